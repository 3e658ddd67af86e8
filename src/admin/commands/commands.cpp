// The table of console commands, and the rows they write.
#include "command.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "pgweir/base/bytes.hpp"
#include "pgweir/base/log.hpp"

namespace pgweir::admin {

namespace {

constexpr std::size_t kMaxValue = 8192;  // bytes of one value in a row

#define PGWEIR_SHOW(topic, help, snapshot, columns, rows) \
    Command { Verb::show, topic, help, snapshot, Right::stats, columns, rows }

constexpr bool kFromWorkers = true;
constexpr bool kAtHand = false;

constexpr std::array<Command, 28> kCommands{{
    PGWEIR_SHOW("help", "what there is", kAtHand, {}, nullptr),
    PGWEIR_SHOW("config", "options in force", kAtHand, kConfigColumns, show_config),
    PGWEIR_SHOW("databases", "databases and where they are", kFromWorkers, kDatabasesColumns,
                show_databases),
    PGWEIR_SHOW("pools", "clients and server connections per pool", kFromWorkers, kPoolsColumns,
                show_pools),
    PGWEIR_SHOW("clients", "client connections", kFromWorkers, kConnectionColumns, show_clients),
    PGWEIR_SHOW("servers", "server connections", kFromWorkers, kConnectionColumns, show_servers),
    PGWEIR_SHOW("users", "users that have a pool", kFromWorkers, kUsersColumns, show_users),
    PGWEIR_SHOW("version", "our version", kAtHand, kVersionColumns, show_version),
    PGWEIR_SHOW("state", "whether new clients are served", kFromWorkers, kStateColumns, show_state),
    PGWEIR_SHOW("lists", "how many of everything", kFromWorkers, kListsColumns, show_lists),
    PGWEIR_SHOW("mem", "memory of the process and the cache", kFromWorkers, kMemColumns, show_mem),
    PGWEIR_SHOW("stats", "totals and averages per database", kFromWorkers, kStatsColumns,
                show_stats),
    PGWEIR_SHOW("stats_totals", "totals per database", kFromWorkers, kStatsTotalsColumns,
                show_stats_totals),
    PGWEIR_SHOW("stats_averages", "averages of the last minute per database", kFromWorkers,
                kStatsAveragesColumns, show_stats_averages),
    PGWEIR_SHOW("totals", "totals and averages of everything", kFromWorkers, kTotalsColumns,
                show_totals),
    PGWEIR_SHOW("cache", "the result cache per database", kFromWorkers, kCacheColumns, show_cache),
    PGWEIR_SHOW("cache queries", "what is cached, why not, and what it has saved", kFromWorkers,
                kCacheQueriesColumns, show_cache_queries),
    PGWEIR_SHOW("cache relations", "what was written to lately, and by whom", kAtHand,
                kCacheRelationsColumns, show_cache_relations),
    PGWEIR_SHOW("cache guarantee", "what a hit promises, per database", kAtHand,
                kCacheGuaranteeColumns, show_cache_guarantee),
    Command{Verb::invalidate,
            "table",
            "drop what depends on [[database.]schema.]table",
            kAtHand,
            Right::admin,
            {},
            nullptr,
            true,
            check_invalidate_table},
    Command{Verb::invalidate,
            "query",
            "drop the answers to the query with this fingerprint",
            kAtHand,
            Right::admin,
            {},
            nullptr,
            true,
            check_invalidate_query},
    Command{Verb::invalidate, "all", "drop everything in the cache", kAtHand, Right::admin},
    Command{Verb::show, "hba", "the rules, or with address, database and user the one that is met",
            kAtHand, Right::admin, kHbaColumns, show_hba, true},
    Command{Verb::show, "queries", "statistics per query", kFromWorkers, Right::stats,
            kQueriesColumns, show_queries, true, check_queries},
    PGWEIR_SHOW("advice", "what the rules find in the statistics per query", kFromWorkers,
                kAdviceColumns, show_advice),
    Command{Verb::reset, "queries", "forget the statistics per query", kFromWorkers, Right::admin},
    Command{Verb::set, "", "accepted for drivers' sake, without effect", kAtHand, Right::stats},
    Command{Verb::reload, "", "read the configuration file again", kAtHand, Right::admin},
}};

#undef PGWEIR_SHOW

}  // namespace

std::span<const Command> commands() noexcept { return kCommands; }

const Command* find_command(Verb verb, std::string_view topic) noexcept {
    const auto at = std::find_if(kCommands.begin(), kCommands.end(), [&](const Command& c) {
        return c.verb == verb && c.topic == topic;
    });
    return at == kCommands.end() ? nullptr : &*at;
}

std::string usage() {
    std::string topics;
    for (const auto& c : kCommands)
        if (c.verb == Verb::show) topics.append(topics.empty() ? "SHOW " : "|").append(c.topic);
    std::transform(topics.begin(), topics.end(), topics.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return topics +
           "\nSET key = arg\nRELOAD\nRESET QUERIES\nINVALIDATE TABLE name|QUERY fingerprint|ALL";
}

RowWriter& RowWriter::raw(std::string_view value) {
    base::append_u32(values_, static_cast<std::uint32_t>(value.size()));
    values_.append(value);
    ++count_;
    return *this;
}

RowWriter& RowWriter::text(std::string_view value) {
    return raw(base::printable(value, kMaxValue));
}

RowWriter& RowWriter::int4(std::int64_t value) {
    using Limits = std::numeric_limits<std::int32_t>;
    return raw(std::to_string(std::clamp<std::int64_t>(value, Limits::min(), Limits::max())));
}

RowWriter& RowWriter::number(std::uint64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return raw({digits, static_cast<std::size_t>(end - digits)});
}

RowWriter& RowWriter::null() {
    base::append_u32(values_, 0xffffffffU);
    ++count_;
    return *this;
}

void RowWriter::end() {
    wire::MessageScope message(out_, wire::be::kDataRow);
    base::append_u16(out_, count_);
    out_.append(values_);
    values_.clear();
    count_ = 0;
}

}  // namespace pgweir::admin
