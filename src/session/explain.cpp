// Session: EXPLAIN CACHE <query>, answered by the proxy on the application's own connection, so
// that its role and search_path decide. PostgreSQL has no such statement: what begins with these
// two words would be a syntax error there. Changes nothing, but for what judging remembers.
#include <algorithm>
#include <array>

#include "pgweir/cache/key.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {

constexpr std::size_t kMostNames = 64;

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Takes the word off the front, with the white space before it; it must end there.
bool take_word(std::string_view& text, std::string_view word) noexcept {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    if (text.size() <= word.size() || !is_space(text[word.size()])) return false;
    for (std::size_t i = 0; i < word.size(); ++i)
        if ((text[i] | 0x20) != word[i]) return false;
    text.remove_prefix(word.size());
    return true;
}

std::string milliseconds(base::Nanos time) {
    const auto us = time / base::kMicrosecond;
    auto digits = std::to_string(us % 1000);
    digits.insert(0, 3 - digits.size(), '0');
    return std::to_string(us / 1000) + "." + digits + " ms";
}

/// schema.name of each, in the order given.
std::string names(const query::Catalog* catalog, const std::vector<query::Oid>& oids) {
    std::string all;
    std::size_t count = 0;
    for (const auto oid : oids) {
        if (catalog == nullptr || ++count > kMostNames) return all + ", ...";
        const auto at = catalog->relations_by_oid.find(oid);
        if (at == catalog->relations_by_oid.end()) continue;
        const auto schema =
            std::find_if(catalog->schemas.begin(), catalog->schemas.end(),
                         [&](const auto& s) { return s.second == at->second->schema; });
        if (!all.empty()) all += ", ";
        if (schema != catalog->schemas.end()) all += schema->first + ".";
        all += at->second->name;
    }
    return all;
}

/// The relations of which only rows count.
std::string by_key(const query::Verdict& v, const query::Catalog* catalog) {
    std::vector<query::Oid> oids;
    for (const auto* keys : {&v.read_rows, &v.written_rows})
        for (const auto& key : *keys)
            if (std::find(oids.begin(), oids.end(), key.relation) == oids.end())
                oids.push_back(key.relation);
    return oids.empty() ? "none" : names(catalog, oids);
}

std::string written(const query::Verdict& v, const query::Catalog* catalog) {
    switch (v.writes) {
        case query::Writes::nothing: return "nothing";
        case query::Writes::relations: return names(catalog, v.written);
        case query::Writes::database: break;
        case query::Writes::all_databases: return "perhaps all databases of the server";
    }
    return v.may_define ? "perhaps anything in the database, its schema included"
                        : "perhaps any table of the database";
}

class Rows {
  public:
    explicit Rows(std::string& out) : out_(out) {
        static constexpr std::array<wire::Column, 2> kColumns{
            {{"property", wire::kOidText}, {"value", wire::kOidText}}};
        wire::write_row_description(out_, kColumns);
    }
    void add(std::string_view property, std::string_view value) {
        const std::array<std::string_view, 2> values{property, value};
        wire::write_data_row(out_, values);
        ++count_;
    }
    void end() { wire::write_command_complete(out_, "EXPLAIN"); }

  private:
    std::string& out_;
    std::size_t count_ = 0;
};

std::string entry_text(const cache::EntryPtr& entry, base::Nanos now) {
    if (!entry) return "none";
    std::string text = entry->valid() && !entry->expired(now) ? "valid" : "invalid";
    text += ", " + std::to_string(entry->rows()) + " rows, " + std::to_string(entry->bytes()) +
            " bytes, stored " + milliseconds(now - entry->filled()) + " ago";
    if (entry->expires() != cache::kNever)
        text += ", expires in " + milliseconds(std::max<base::Nanos>(0, entry->expires() - now));
    const auto hits = entry->hits();
    return text + "; " + std::to_string(hits) + " hits saved " +
           milliseconds(static_cast<base::Nanos>(hits) * entry->cost()) + " of the server's time";
}

std::string change_text(const MemoEntry& memo, cache::DatabaseState& database,
                        const query::Catalog* catalog, base::Nanos now) {
    const cache::RelationState* last = &database.whole();
    std::string name = "the database as a whole";
    for (std::size_t i = 0; i < memo.reads.size(); ++i) {
        if (memo.reads[i]->changed_at() <= last->changed_at()) continue;
        last = memo.reads[i];
        const auto& oids = memo.verdict->reads;
        name = i < oids.size() ? names(catalog, {oids[i]}) : "this query";
    }
    if (last->changed_at() == 0) return "none since the start";
    const auto by = last->changed_by();
    return name + (by == 0 ? " by INVALIDATE" : " by session " + std::to_string(by)) + ", " +
           milliseconds(now - last->changed_at()) + " ago" + (last->fenced() ? ", under way" : "");
}

}  // namespace

std::optional<std::string_view> Session::explained(std::string_view text) noexcept {
    if (!take_word(text, "explain") || !take_word(text, "cache")) return std::nullopt;
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
}

void Session::explain_cache(std::string_view text) {
    const auto scan = query::scan_text(text);
    const auto memo = judge(text, scan);
    const auto& verdict = *memo->verdict;
    auto& database = *identity_->context.database;
    const auto catalog = database.catalog();
    const auto reason = cache_verdict(*memo, scan);
    const auto now = env_.now();
    std::string out;
    Rows rows(out);
    rows.add("cached", reason == query::NotCached::none ? "yes" : "no");
    rows.add("reason", query::name(reason));
    rows.add("meaning", query::kNotCachedReasons[static_cast<std::size_t>(reason)].help);
    const auto why = database.rung_reason();
    rows.add("guarantee",
             std::string(cache::name(database.rung())) + (why.empty() ? "" : ": " + why));
    rows.add("depends on", names(catalog.get(), verdict.reads));
    rows.add("writes", written(verdict, catalog.get()));
    rows.add("rows by key of", by_key(verdict, catalog.get()));
    rows.add("pins the session", query::name(verdict.pin));
    if (verdict.not_cached == query::NotCached::none) {
        const cache::KeyName key(key_parts(text, base::hash128(text)));
        auto* cache = env_.result_cache();
        rows.add("entry",
                 cache == nullptr ? "none" : entry_text(cache->peek(key.hash(), key), now));
        rows.add("last change", change_text(*memo, database, catalog.get(), now));
    }
    rows.end();
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
}

}  // namespace pgweir::session
