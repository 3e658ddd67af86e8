// SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS: one list of figures, shown in four ways.
// PgBouncer's column names are not all of one mould; the tables below are theirs.
#include "command.hpp"

namespace pgweir::admin {

namespace {

using metrics::PoolStats;

/// The figures in the order of all four tables.
constexpr std::array<std::uint64_t PoolStats::*, 11> kFigures{
    &PoolStats::server_assignment_count, &PoolStats::xact_count,   &PoolStats::query_count,
    &PoolStats::bytes_received,          &PoolStats::bytes_sent,   &PoolStats::xact_time_us,
    &PoolStats::query_time_us,           &PoolStats::wait_time_us, &PoolStats::client_parse_count,
    &PoolStats::server_parse_count,      &PoolStats::bind_count,
};

/// Their names in SHOW TOTALS, after "total_" and "avg_".
constexpr std::array<std::string_view, kFigures.size()> kTotalsNames{
    "server_assignment_count",
    "xact_count",
    "query_count",
    "client_bytes",
    "server_bytes",
    "xact_time",
    "query_time",
    "wait_time",
    "ps_client_parse_count",
    "ps_server_parse_count",
    "ps_bind_count",
};

void write_figures(const PoolStats& stats, RowWriter& row) {
    for (const auto figure : kFigures) row.number(stats.*figure);
}

}  // namespace

const std::array<wire::Column, 23> kStatsColumns{{
    {"database", kTextType},
    {"total_server_assignment_count", kNumericType},
    {"total_xact_count", kNumericType},
    {"total_query_count", kNumericType},
    {"total_received", kNumericType},
    {"total_sent", kNumericType},
    {"total_xact_time", kNumericType},
    {"total_query_time", kNumericType},
    {"total_wait_time", kNumericType},
    {"total_client_parse_count", kNumericType},
    {"total_server_parse_count", kNumericType},
    {"total_bind_count", kNumericType},
    {"avg_server_assignment_count", kNumericType},
    {"avg_xact_count", kNumericType},
    {"avg_query_count", kNumericType},
    {"avg_recv", kNumericType},
    {"avg_sent", kNumericType},
    {"avg_xact_time", kNumericType},
    {"avg_query_time", kNumericType},
    {"avg_wait_time", kNumericType},
    {"avg_client_parse_count", kNumericType},
    {"avg_server_parse_count", kNumericType},
    {"avg_bind_count", kNumericType},
}};

const std::array<wire::Column, 12> kStatsTotalsColumns{{
    {"database", kTextType},
    {"server_assignment_count", kNumericType},
    {"xact_count", kNumericType},
    {"query_count", kNumericType},
    {"bytes_received", kNumericType},
    {"bytes_sent", kNumericType},
    {"xact_time", kNumericType},
    {"query_time", kNumericType},
    {"wait_time", kNumericType},
    {"client_parse_count", kNumericType},
    {"server_parse_count", kNumericType},
    {"bind_count", kNumericType},
}};

const std::array<wire::Column, 12> kStatsAveragesColumns{{
    {"database", kTextType},
    {"server_assignment_count", kNumericType},
    {"xact_count", kNumericType},
    {"query_count", kNumericType},
    {"bytes_received", kNumericType},
    {"bytes_sent", kNumericType},
    {"xact_time", kNumericType},
    {"query_time", kNumericType},
    {"wait_time", kNumericType},
    {"avg_client_parse_count", kNumericType},
    {"avg_server_parse_count", kNumericType},
    {"avg_bind_count", kNumericType},
}};

const std::array<wire::Column, 2> kTotalsColumns{{{"name", kTextType}, {"value", kNumericType}}};

void show_stats(const CommandInput& input, RowWriter& row) {
    const auto totals = stats_by_database(input.snapshot.pools);
    const auto averages = input.history.averages(totals, input.now);
    for (const auto& [database, stats] : totals) {
        row.text(database);
        write_figures(stats, row);
        write_figures(averages.at(database), row);
        row.end();
    }
}

void show_stats_totals(const CommandInput& input, RowWriter& row) {
    for (const auto& [database, stats] : stats_by_database(input.snapshot.pools)) {
        row.text(database);
        write_figures(stats, row);
        row.end();
    }
}

void show_stats_averages(const CommandInput& input, RowWriter& row) {
    const auto totals = stats_by_database(input.snapshot.pools);
    for (const auto& [database, stats] : input.history.averages(totals, input.now)) {
        row.text(database);
        write_figures(stats, row);
        row.end();
    }
}

void show_totals(const CommandInput& input, RowWriter& row) {
    const auto by_database = stats_by_database(input.snapshot.pools);
    PoolStats total;
    for (const auto& [database, stats] : by_database) total += stats;
    auto average = input.history.average_of_all(by_database, input.now);
    for (const auto& [prefix, stats] : {std::pair("total_", &total), std::pair("avg_", &average)})
        for (std::size_t i = 0; i < kFigures.size(); ++i)
            row.text(std::string(prefix).append(kTotalsNames[i])).number(stats->*kFigures[i]).end();
}

}  // namespace pgweir::admin
