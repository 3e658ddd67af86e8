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

bool function_may_define(const Catalog& catalog, std::string_view name) {
    const auto found = catalog.functions.find(name);
    return found != catalog.functions.end() &&
           std::any_of(found->second.begin(), found->second.end(),
                       [](const Function& f) { return f.may_write && f.may_define; });
}

/// Of a table, what writing it may cause is Catalog::code_may_define.
bool relation_may_define(const Catalog& catalog, std::string_view name) {
    return std::any_of(catalog.relations.begin(), catalog.relations.end(), [&](const auto& schema) {
        const auto found = schema.second.find(name);
        return found != schema.second.end() && found->second.reading_may_define;
    });
}

}  // namespace

bool inline_code_may_define(const Catalog& catalog, std::string_view body) {
    bool defines = catalog.code_may_define || body.empty();
    if (defines) return true;
    std::unordered_set<std::string> seen;
    const auto facts = scan_body(body, [&](std::string_view name) {
        if (defines || !seen.emplace(name).second) return;
        defines = defines_objects(name) || name.starts_with("pg_temp") ||
                  seen.size() * catalog.relations.size() > kMostLookUps || runs_sql_text(name) ||
                  function_may_define(catalog, name) || relation_may_define(catalog, name);
    });
    return defines || facts.runs_text;
}

}  // namespace pgweir::query
