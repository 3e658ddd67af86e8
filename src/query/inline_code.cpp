// See inline_code.hpp.
#include "inline_code.hpp"

#include <algorithm>
#include <string>

#include "functions.hpp"
#include "pgweir/query/body_words.hpp"

namespace pgweir::query {

namespace {

/// Names times schemas that they are looked for in.
constexpr std::size_t kMostLookUps = 200'000;
constexpr Oid kPgCatalog = 11;

}  // namespace

void NamedDefines::add(std::string_view name) {
    if (used_ == Defines::shared || !seen_.emplace(name).second) return;
    if (seen_.size() * catalog_.relations.size() > kMostLookUps) {
        used_ = Defines::shared;
        return;
    }
    if (const auto found = catalog_.functions.find(name); found != catalog_.functions.end())
        for (const Function& f : found->second)
            used_ = std::max(used_, defines_of(f.may_write && f.may_define, f.may_define_shared));
    for (const auto& [schema, relations] : catalog_.relations) {
        const auto found = relations.find(name);
        if (found == relations.end()) continue;
        const Relation& r = found->second;
        used_ = std::max(used_, defines_of(r.reading_may_define, r.reading_may_define_shared));
        written_ = std::max(written_, defines_of(r.writing_defines, r.writing_defines_shared));
    }
}

bool system_target(const Catalog& catalog, std::string_view name) {
    if (name == "information_schema") return true;
    const auto relations = catalog.relations.find(kPgCatalog);
    return relations != catalog.relations.end() && relations->second.contains(name) &&
           name != "pg_settings";
}

Defines inline_code_defines(const Catalog& catalog, std::string_view body) {
    auto most = body.empty() ? Defines::shared : code_defines(catalog);
    if (most == Defines::shared) return most;
    NamedDefines named(catalog);
    bool shared_word = false;
    WriteTarget target;
    const auto facts = scan_body(body, [&](std::string_view name) {
        const bool system = target.at(name) && system_target(catalog, name);
        if (system || name.starts_with("pg_temp") || runs_sql_text(name)) most = Defines::shared;
        if (most == Defines::shared) return;
        shared_word = shared_word || shared_objects(name);
        if (defines_objects(name)) most = std::max(most, Defines::database);
        named.add(name);
    });
    most = std::max(most, named.used());
    if (facts.writes_rows) most = std::max(most, named.written());
    const bool shared = facts.runs_text || (shared_word && most != Defines::nothing);
    return shared ? Defines::shared : most;
}

}  // namespace pgweir::query
