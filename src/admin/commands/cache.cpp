// SHOW CACHE and its kin, and INVALIDATE.
#include <charconv>
#include <unordered_map>

#include "../slow_line.hpp"
#include "command.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 12> kCacheColumns{{
    {"database", kTextType},
    {"enabled", kTextType},
    {"guarantee", kTextType},
    {"entries", kInt8Type},
    {"bytes", kInt8Type},
    {"hits", kInt8Type},
    {"misses", kInt8Type},
    {"fills", kInt8Type},
    {"invalidations", kInt8Type},
    {"evictions", kInt8Type},
    {"verified", kInt8Type},
    {"mismatches", kInt8Type},
}};

void show_cache(const CommandInput& input, RowWriter& row) {
    for (const auto& c : input.snapshot.caches) {
        row.text(c.database).text(c.enabled ? "yes" : "no").text(c.guarantee);
        for (const auto n : {c.entries, c.bytes, c.hits, c.misses, c.fills, c.invalidations,
                             c.evictions, c.verified, c.mismatches})
            row.number(n);
        row.end();
    }
}

const std::array<wire::Column, 11> kCacheQueriesColumns{{
    {"fingerprint", kTextType},
    {"database", kTextType},
    {"cached", kTextType},
    {"reason", kTextType},
    {"hits", kInt8Type},
    {"fills", kInt8Type},
    {"stored", kInt8Type},
    {"passed", kInt8Type},
    {"time_saved", kInt8Type},
    {"time_spent", kInt8Type},
    {"query", kTextType},
}};

void show_cache_queries(const CommandInput& input, RowWriter& row) {
    if (input.cache == nullptr) return;
    std::unordered_map<std::uint64_t, std::string> texts;
    if (input.snapshot.queries) {
        QueryFilter every;
        every.limit = 10'000;
        for (auto& q : input.snapshot.queries->rows(every, input.now))
            texts.emplace(q.fingerprint, std::move(q.text));
    }
    for (const auto& q : input.cache->queries()) {
        const auto text = texts.find(q.fingerprint);
        row.text(fingerprint_text(q.fingerprint)).text(q.database).text(q.cached).text(q.reason);
        for (const auto n : {q.hits, q.fills, q.stored, q.passed}) row.number(n);
        for (const auto time : {q.saved, q.spent})
            row.number(static_cast<std::uint64_t>(time / base::kMicrosecond));
        row.text_or_null(text == texts.end() ? std::string_view() : text->second).end();
    }
}

const std::array<wire::Column, 6> kCacheRelationsColumns{{
    {"database", kTextType},
    {"relation", kTextType},
    {"changes", kInt8Type},
    {"commits_in_flight", kInt8Type},
    {"changed_by", kTextType},
    {"changed_us_ago", kInt8Type},
}};

void show_cache_relations(const CommandInput& input, RowWriter& row) {
    if (input.cache == nullptr) return;
    for (const auto& r : input.cache->relations()) {
        row.text(r.database).text(r.relation).number(r.epoch).number(r.fences);
        if (r.changed == 0) {
            row.null().null().end();
            continue;
        }
        row.text(r.changed_by == 0 ? "INVALIDATE" : "session " + std::to_string(r.changed_by));
        const auto ago = std::max<base::Nanos>(0, input.now - r.changed) / base::kMicrosecond;
        row.number(static_cast<std::uint64_t>(ago)).end();
    }
}

const std::array<wire::Column, 7> kCacheGuaranteeColumns{{
    {"database", kTextType},
    {"server", kTextType},
    {"guarantee", kTextType},
    {"promise", kTextType},
    {"writes_elsewhere", kTextType},
    {"schema_changes", kTextType},
    {"reason", kTextType},
}};

namespace {

std::string_view promise(std::string_view guarantee) noexcept {
    if (guarantee == "in_band")
        return "a hit is what the server would have answered, as long as all writes pass through "
               "this proxy";
    if (guarantee == "bounded")
        return "the same, and writes from elsewhere are seen within cache.max_staleness";
    if (guarantee == "strict")
        return "a hit is what the server would have answered, whoever writes";
    if (guarantee == "ttl") return "as old as its time to live, at most";
    return "nothing is answered from the cache";
}

/// How writes that do not pass through the proxy are seen.
std::string_view writes_elsewhere(const CacheGuaranteeRow& g) noexcept {
    if (g.guarantee == "off") return "nothing depends on them";
    switch (g.writes) {
        case WritesTold::no: break;
        case WritesTold::by_notices: return "told by NOTIFY, of tables with the trigger for it";
        case WritesTold::of_publication:
            return "told by the change stream, of tables in cache.stream.publication";
        case WritesTold::of_all: return "told by the change stream, of all tables";
    }
    return "not seen";
}

/// What counts of schema and privileges changed elsewhere.
std::string_view schema_changes(const CacheGuaranteeRow& g) noexcept {
    if (g.guarantee == "off") return "nothing depends on them";
    if (g.tells_ddl)
        return "told by event triggers, seen like writes; roles and settings are polled, every "
               "cache.catalog_poll";
    return "polled, every cache.catalog_poll";
}

/// Of 16 digits, as SHOW QUERIES writes it.
bool read_fingerprint(std::string_view text, std::uint64_t& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return error == std::errc() && end == text.data() + text.size() && text.size() == 16;
}

/// The parts between dots, which words hold like letters; so a quoted name with a dot in it is not
/// found. Empty where they make no name of one to three parts.
std::vector<std::string> names_of(std::span<const std::string> words) {
    std::vector<std::string> names(1);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        if (i > 0 && !words[i - 1].ends_with('.') && !word.starts_with('.')) return {};
        for (const char c : word) {
            if (c == '.')
                names.emplace_back();
            else
                names.back() += c;
        }
    }
    for (const auto& name : names)
        if (name.empty()) return {};
    return names.size() <= 3 ? names : std::vector<std::string>();
}

}  // namespace

void show_cache_guarantee(const CommandInput& input, RowWriter& row) {
    if (input.cache == nullptr) return;
    for (const auto& g : input.cache->guarantees())
        row.text(g.database)
            .text(g.server)
            .text(g.guarantee)
            .text(promise(g.guarantee))
            .text(writes_elsewhere(g))
            .text(schema_changes(g))
            .text_or_null(g.reason)
            .end();
}

std::string check_invalidate_table(std::span<const std::string> arguments) {
    return names_of(arguments).empty() ? "INVALIDATE TABLE wants [[database.]schema.]table" : "";
}

std::string check_invalidate_query(std::span<const std::string> arguments) {
    std::uint64_t ignored = 0;
    const bool good = arguments.size() == 1 && read_fingerprint(arguments[0], ignored);
    return good ? "" : "INVALIDATE QUERY wants a fingerprint of SHOW QUERIES, in quotes";
}

std::string invalidate(std::string_view topic, std::span<const std::string> arguments,
                       CacheAdmin& cache) {
    if (topic == "table") {
        const auto names = names_of(arguments);
        return cache.invalidate_table(names) != 0 ? "" : "no such table is known";
    }
    std::uint64_t fingerprint = 0;
    if (topic == "query" && read_fingerprint(arguments[0], fingerprint))
        cache.invalidate_query(fingerprint);
    if (topic == "all") cache.invalidate_all();
    return {};
}

}  // namespace pgweir::admin
