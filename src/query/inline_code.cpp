// See inline_code.hpp.
#include "inline_code.hpp"

#include <algorithm>
#include <string>
#include <unordered_set>

#include "functions.hpp"
#include "pgweir/query/body_words.hpp"

namespace pgweir::query {

namespace {

/// Names times schemas that they are looked for in.
constexpr std::size_t kMostLookUps = 200'000;
constexpr Oid kPgCatalog = 11;

}  // namespace

/// Of a table, what writing it may cause is code_defines().
Defines name_defines(const Catalog& catalog, std::string_view name) {
    auto most = Defines::nothing;
    if (const auto found = catalog.functions.find(name); found != catalog.functions.end())
        for (const Function& f : found->second)
            most = std::max(most, defines_of(f.may_write && f.may_define, f.may_define_shared));
    for (const auto& [schema, relations] : catalog.relations)
        if (const auto found = relations.find(name); found != relations.end())
            most = std::max(most, defines_of(found->second.reading_may_define,
                                             found->second.reading_may_define_shared));
    return most;
}

bool system_target(const Catalog& catalog, std::string_view name) {
    if (name == "information_schema") return true;
    const auto relations = catalog.relations.find(kPgCatalog);
    return relations != catalog.relations.end() && relations->second.contains(name) &&
           name != "pg_settings";
}

Defines written_defines(const Catalog& catalog, std::string_view name) {
    auto most = Defines::nothing;
    for (const auto& [schema, relations] : catalog.relations)
        if (const auto found = relations.find(name); found != relations.end())
            most = std::max(most, defines_of(found->second.writing_defines,
                                             found->second.writing_defines_shared));
    return most;
}

Defines inline_code_defines(const Catalog& catalog, std::string_view body) {
    auto most = body.empty() ? Defines::shared : code_defines(catalog);
    if (most == Defines::shared) return most;
    std::unordered_set<std::string> seen;
    bool shared_word = false;
    auto written = Defines::nothing;
    WriteTarget target;
    const auto facts = scan_body(body, [&](std::string_view name) {
        if (target.at(name) && system_target(catalog, name)) most = Defines::shared;
        if (most == Defines::shared || !seen.emplace(name).second) return;
        shared_word = shared_word || shared_objects(name);
        const bool unknown = name.starts_with("pg_temp") || runs_sql_text(name) ||
                             seen.size() * catalog.relations.size() > kMostLookUps;
        if (defines_objects(name)) most = std::max(most, Defines::database);
        most = std::max(most, unknown ? Defines::shared : name_defines(catalog, name));
        written = std::max(written, written_defines(catalog, name));
    });
    if (facts.writes_rows) most = std::max(most, written);
    const bool shared = facts.runs_text || (shared_word && most != Defines::nothing);
    return shared ? Defines::shared : most;
}

}  // namespace pgweir::query
