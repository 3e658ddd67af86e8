// See inline_code.hpp.
#include "inline_code.hpp"

#include <algorithm>
#include <string>

#include "closure.hpp"
#include "functions.hpp"
#include "lex.hpp"
#include "pgweir/query/body_words.hpp"

namespace pgweir::query {

namespace {

/// Names times schemas that they are looked for in.
constexpr std::size_t kMostLookUps = 200'000;
/// Relations that a write leads to; more are taken for any.
constexpr std::size_t kMostWrites = 64;
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
        const auto all = closure(catalog_, r, Link::truncates, kMostWrites);
        if (all.empty()) written_ = std::max(written_, code_defines(catalog_));
        for (const Relation* w : all)
            written_ =
                std::max(written_, defines_of(w->writing_defines, w->writing_defines_shared));
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

namespace {

/// Of names that are more than one word, or in letters that another encoding writes otherwise.
bool odd_names_define_shared(const Catalog& catalog) {
    const auto odd = [](std::string_view name) {
        return !std::all_of(name.begin(), name.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x80 && lex::kTables.word[lex::byte(&c)] != 0;
        });
    };
    for (const auto& [name, functions] : catalog.functions)
        for (const Function& f : functions)
            if (f.may_write && f.may_define && f.may_define_shared && odd(name)) return true;
    for (const auto& [schema, relations] : catalog.relations)
        for (const auto& [name, r] : relations) {
            const bool shared = (r.reading_may_define && r.reading_may_define_shared) ||
                                (r.writing_defines && r.writing_defines_shared);
            if (shared && odd(name)) return true;
        }
    return false;
}

/// It begins a statement that may run functions which it does not name.
bool runs_unnamed(std::string_view word) noexcept {
    return word == "alter" || word == "analyze" || word == "cluster" || word == "refresh" ||
           word == "reindex" || word == "vacuum";
}

}  // namespace

bool may_define_shared(std::string_view text, const Catalog* catalog) {
    if (may_define_shared(text)) return true;
    if (catalog == nullptr) return false;
    NamedDefines named(*catalog);
    bool writes = false, system = false, odd = false, runs = false;
    std::string word;
    for (const char* p = text.data(); p != text.data() + text.size(); word.clear()) {
        const char* begin = p;
        for (; p != text.data() + text.size() && lex::kTables.word[lex::byte(p)] != 0; ++p)
            word.push_back(lex::kTables.word[lex::byte(p)]);
        odd = odd || std::any_of(begin, p, [](char c) { return lex::byte(&c) >= 0x80; });
        if (word.empty()) {
            odd = odd || *p == '"';
            ++p;
            continue;
        }
        writes = writes || writes_rows(word);
        system = system || system_target(*catalog, word);
        const bool ddl = defines_objects(word) && catalog->ddl_defines_shared;
        const bool upkeep = catalog->functions_define_shared && runs_unnamed(word);
        runs = runs || ddl || upkeep || runs_sql_text(word) || word.starts_with("pg_temp");
        named.add(word);
        named.add(std::string_view(begin, static_cast<std::size_t>(p - begin)));
    }
    // Of triggers by their words, as where a write is understood.
    const auto most = writes ? std::max(named.used(), named.written()) : named.used();
    return most == Defines::shared || runs || (writes && system) || text.find("&\"") != text.npos ||
           (odd && odd_names_define_shared(*catalog));
}

}  // namespace pgweir::query
