// Every metric the program shows, declared once: name, type, labels, help. The exposition, the
// reference in docs/metrics.md and the tests come from this table.
// Names that start with pgbouncer_ are those of prometheus-community/pgbouncer_exporter, so that
// dashboards and alerts made for it work unchanged.
// Thread: constants.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgweir::metrics {

enum class Type : std::uint8_t { counter, gauge };

/// What a metric is counted for, which decides its labels.
enum class Labels : std::uint8_t {
    none,
    version,            // version
    pool,               // database, user
    database,           // database
    database_settings,  // name, host, port, database, force_user, pool_mode
    not_cached_reason,  // reason
    pin_reason,         // reason
};
/// The labels' names, as people read them.
std::string_view label_names(Labels labels) noexcept;

enum class Metric : std::uint8_t {
    up,
    version_info,
    config_max_client_connections,
    config_max_user_connections,
    databases,
    users,
    pools,
    free_clients,
    used_clients,
    login_clients,
    free_servers,
    used_servers,
    cached_dns_names,
    cached_dns_zones,
    in_flight_dns_queries,
    pools_client_active,
    pools_client_active_cancel,
    pools_client_waiting,
    pools_client_waiting_cancel,
    pools_server_active,
    pools_server_active_cancel,
    pools_server_being_canceled,
    pools_server_idle,
    pools_server_used,
    pools_server_testing,
    pools_server_login,
    pools_client_maxwait,
    databases_pool_size,
    databases_reserve_pool,
    databases_max_connections,
    databases_current_connections,
    databases_paused,
    databases_disabled,
    totals_queries_pooled,
    totals_queries_duration,
    totals_received_bytes,
    totals_sent_bytes,
    totals_client_wait,
    totals_transactions_pooled,
    totals_server_in_transaction,
    totals_client_parses,
    totals_server_parses,
    totals_binds,
    build_info,
    start_time,
    ready,
    draining,
    pool_logins,
    pool_errors,
    pool_server_assignments,
    client_connections,
    clients_accepted,
    clients_refused,
    disconnects,
    protocol_errors,
    cancel_requests,
    server_connects,
    server_connect_failures,
    server_resets,
    query_timeouts,
    wait_timeouts,
    cache_hits,
    cache_misses,
    cache_fills,
    cache_invalidations,
    cache_evictions,
    cache_verified,
    cache_mismatches,
    cache_entries,
    cache_bytes,
    not_cached,
    pins,
    slow_queries,
    slow_queries_lost,
    queries_known,
    queries_bytes,
    queries_forgotten,
    query_executions_dropped,
    log_lines_dropped,
    count_
};
inline constexpr std::size_t kMetricCount = static_cast<std::size_t>(Metric::count_);

struct MetricInfo {
    Metric id;
    std::string_view name;
    Type type;
    Labels labels;
    std::string_view help;
};

inline constexpr std::array<MetricInfo, kMetricCount> kMetrics{{
    {Metric::up, "pgbouncer_up", Type::gauge, Labels::none, "1 while the numbers can be had"},
    {Metric::version_info, "pgbouncer_version_info", Type::gauge, Labels::version,
     "Always 1; the version is the label"},
    {Metric::config_max_client_connections, "pgbouncer_config_max_client_connections", Type::gauge,
     Labels::none, "Most clients at once (limits.max_clients)"},
    {Metric::config_max_user_connections, "pgbouncer_config_max_user_connections", Type::gauge,
     Labels::none, "Most server connections of one user; 0: no limit of its own"},
    {Metric::databases, "pgbouncer_databases", Type::gauge, Labels::none, "Databases"},
    {Metric::users, "pgbouncer_users", Type::gauge, Labels::none, "Users that have a pool"},
    {Metric::pools, "pgbouncer_pools", Type::gauge, Labels::none, "Pools"},
    {Metric::free_clients, "pgbouncer_free_clients", Type::gauge, Labels::none,
     "Client slots kept for reuse: always 0"},
    {Metric::used_clients, "pgbouncer_used_clients", Type::gauge, Labels::none,
     "Clients that are logged in"},
    {Metric::login_clients, "pgbouncer_login_clients", Type::gauge, Labels::none,
     "Clients that are logging in"},
    {Metric::free_servers, "pgbouncer_free_servers", Type::gauge, Labels::none,
     "Server connections that nobody holds"},
    {Metric::used_servers, "pgbouncer_used_servers", Type::gauge, Labels::none,
     "Server connections that are held, checked, reset or logging in"},
    {Metric::cached_dns_names, "pgbouncer_cached_dns_names", Type::gauge, Labels::none,
     "Host names remembered"},
    {Metric::cached_dns_zones, "pgbouncer_cached_dns_zones", Type::gauge, Labels::none,
     "DNS zones watched: always 0"},
    {Metric::in_flight_dns_queries, "pgbouncer_in_flight_dns_queries", Type::gauge, Labels::none,
     "Host names being looked up"},
    {Metric::pools_client_active, "pgbouncer_pools_client_active_connections", Type::gauge,
     Labels::pool, "Clients that do not wait"},
    {Metric::pools_client_active_cancel, "pgbouncer_pools_client_active_cancel_connections",
     Type::gauge, Labels::pool, "Cancel requests on their way to the server"},
    {Metric::pools_client_waiting, "pgbouncer_pools_client_waiting_connections", Type::gauge,
     Labels::pool, "Clients that wait for a server connection"},
    {Metric::pools_client_waiting_cancel, "pgbouncer_pools_client_waiting_cancel_connections",
     Type::gauge, Labels::pool, "Cancel requests that wait to be sent"},
    {Metric::pools_server_active, "pgbouncer_pools_server_active_connections", Type::gauge,
     Labels::pool, "Server connections held by a client"},
    {Metric::pools_server_active_cancel, "pgbouncer_pools_server_active_cancel_connections",
     Type::gauge, Labels::pool, "Server connections that carry a cancel request"},
    {Metric::pools_server_being_canceled, "pgbouncer_pools_server_being_canceled_connections",
     Type::gauge, Labels::pool, "Server connections kept back until a cancel request is through"},
    {Metric::pools_server_idle, "pgbouncer_pools_server_idle_connections", Type::gauge,
     Labels::pool, "Server connections ready for a client"},
    {Metric::pools_server_used, "pgbouncer_pools_server_used_connections", Type::gauge,
     Labels::pool, "Server connections idle so long that they are checked before use"},
    {Metric::pools_server_testing, "pgbouncer_pools_server_testing_connections", Type::gauge,
     Labels::pool, "Server connections being checked or reset"},
    {Metric::pools_server_login, "pgbouncer_pools_server_login_connections", Type::gauge,
     Labels::pool, "Server connections logging in"},
    {Metric::pools_client_maxwait, "pgbouncer_pools_client_maxwait_seconds", Type::gauge,
     Labels::pool, "How long the oldest waiting client has waited, in seconds"},
    {Metric::databases_pool_size, "pgbouncer_databases_pool_size", Type::gauge,
     Labels::database_settings, "Most server connections of one pool (pool.max_size)"},
    {Metric::databases_reserve_pool, "pgbouncer_databases_reserve_pool", Type::gauge,
     Labels::database_settings, "Connections beyond pool_size: always 0"},
    {Metric::databases_max_connections, "pgbouncer_databases_max_connections", Type::gauge,
     Labels::database_settings, "Most server connections of the database; 0: no limit of its own"},
    {Metric::databases_current_connections, "pgbouncer_databases_current_connections", Type::gauge,
     Labels::database_settings, "Server connections of the database"},
    {Metric::databases_paused, "pgbouncer_databases_paused", Type::gauge, Labels::database_settings,
     "1 while the database is paused"},
    {Metric::databases_disabled, "pgbouncer_databases_disabled", Type::gauge,
     Labels::database_settings, "1 while the database is disabled"},
    {Metric::totals_queries_pooled, "pgbouncer_stats_totals_queries_pooled_total", Type::counter,
     Labels::database, "Statements of clients"},
    {Metric::totals_queries_duration, "pgbouncer_stats_totals_queries_duration_seconds_total",
     Type::counter, Labels::database,
     "Time server connections were at work on statements, in seconds"},
    {Metric::totals_received_bytes, "pgbouncer_stats_totals_received_bytes_total", Type::counter,
     Labels::database, "Bytes from clients"},
    {Metric::totals_sent_bytes, "pgbouncer_stats_totals_sent_bytes_total", Type::counter,
     Labels::database, "Bytes to clients"},
    {Metric::totals_client_wait, "pgbouncer_stats_totals_client_wait_seconds_total", Type::counter,
     Labels::database, "Time clients waited for a server connection, in seconds"},
    {Metric::totals_transactions_pooled, "pgbouncer_stats_totals_sql_transactions_pooled_total",
     Type::counter, Labels::database, "Transactions of clients"},
    {Metric::totals_server_in_transaction,
     "pgbouncer_stats_totals_server_in_transaction_seconds_total", Type::counter, Labels::database,
     "Time server connections were inside transactions, in seconds"},
    {Metric::totals_client_parses, "pgbouncer_stats_totals_client_parses_total", Type::counter,
     Labels::database, "Parse messages from clients"},
    {Metric::totals_server_parses, "pgbouncer_stats_totals_server_parses_total", Type::counter,
     Labels::database, "Parse messages to servers"},
    {Metric::totals_binds, "pgbouncer_stats_totals_binds_total", Type::counter, Labels::database,
     "Bind messages from clients"},
    {Metric::build_info, "pgweir_build_info", Type::gauge, Labels::version,
     "Always 1; the version is the label"},
    {Metric::start_time, "pgweir_start_time_seconds", Type::gauge, Labels::none,
     "When the process started, in seconds since 1970"},
    {Metric::ready, "pgweir_ready", Type::gauge, Labels::none, "1 while /readyz says yes"},
    {Metric::draining, "pgweir_draining", Type::gauge, Labels::none,
     "1 while the process shuts down"},
    {Metric::pool_logins, "pgweir_logins_total", Type::counter, Labels::pool,
     "Clients that logged in"},
    {Metric::pool_errors, "pgweir_errors_total", Type::counter, Labels::pool,
     "Errors clients were told"},
    {Metric::pool_server_assignments, "pgweir_server_assignments_total", Type::counter,
     Labels::pool, "Times a client was given a server connection"},
    {Metric::client_connections, "pgweir_client_connections", Type::gauge, Labels::none,
     "Client connections, those that are logging in included"},
    {Metric::clients_accepted, "pgweir_client_connections_accepted_total", Type::counter,
     Labels::none, "Client connections accepted"},
    {Metric::clients_refused, "pgweir_client_connections_refused_total", Type::counter,
     Labels::none, "Client connections refused before they were logged in"},
    {Metric::disconnects, "pgweir_client_disconnects_total", Type::counter, Labels::none,
     "Client connections that ended"},
    {Metric::protocol_errors, "pgweir_protocol_errors_total", Type::counter, Labels::none,
     "Messages that broke the protocol"},
    {Metric::cancel_requests, "pgweir_cancel_requests_total", Type::counter, Labels::none,
     "Cancel requests"},
    {Metric::server_connects, "pgweir_server_connects_total", Type::counter, Labels::none,
     "Server connections begun"},
    {Metric::server_connect_failures, "pgweir_server_connect_failures_total", Type::counter,
     Labels::none, "Server connections that could not be made"},
    {Metric::server_resets, "pgweir_server_resets_total", Type::counter, Labels::none,
     "Server connections reset before reuse"},
    {Metric::query_timeouts, "pgweir_query_timeouts_total", Type::counter, Labels::none,
     "Statements canceled by timeouts.query"},
    {Metric::wait_timeouts, "pgweir_wait_timeouts_total", Type::counter, Labels::none,
     "Clients that waited longer than pool.wait_timeout"},
    {Metric::cache_hits, "pgweir_cache_hits_total", Type::counter, Labels::database,
     "Reads answered from the cache"},
    {Metric::cache_misses, "pgweir_cache_misses_total", Type::counter, Labels::database,
     "Reads looked up in the cache and not found"},
    {Metric::cache_fills, "pgweir_cache_fills_total", Type::counter, Labels::database,
     "Answers stored in the cache"},
    {Metric::cache_invalidations, "pgweir_cache_invalidations_total", Type::counter,
     Labels::database, "Entries dropped because what they were read from changed"},
    {Metric::cache_evictions, "pgweir_cache_evictions_total", Type::counter, Labels::database,
     "Entries dropped for room"},
    {Metric::cache_verified, "pgweir_cache_verified_total", Type::counter, Labels::database,
     "Hits that cache.verify_ratio had run on the server as well, with the same answer"},
    {Metric::cache_mismatches, "pgweir_cache_mismatches_total", Type::counter, Labels::database,
     "The same with another answer: each is a bug, or a function that is not what it is declared"},
    {Metric::cache_entries, "pgweir_cache_entries", Type::gauge, Labels::database,
     "Entries in the cache"},
    {Metric::cache_bytes, "pgweir_cache_bytes", Type::gauge, Labels::database,
     "Memory of the cache's entries, in bytes"},
    {Metric::not_cached, "pgweir_not_cached_total", Type::counter, Labels::not_cached_reason,
     "Statements that were neither answered from the cache nor stored, by reason"},
    {Metric::pins, "pgweir_pins_total", Type::counter, Labels::pin_reason,
     "Sessions that were kept on their server connection, by reason"},
    {Metric::slow_queries, "pgweir_slow_queries_total", Type::counter, Labels::none,
     "Statements written to the slow log"},
    {Metric::slow_queries_lost, "pgweir_slow_queries_lost_total", Type::counter, Labels::none,
     "Slow statements that could not be written"},
    {Metric::queries_known, "pgweir_queries_known", Type::gauge, Labels::none,
     "Queries in the statistics, counted per database, user and application"},
    {Metric::queries_bytes, "pgweir_queries_bytes", Type::gauge, Labels::none,
     "Memory of the statistics per query, in bytes"},
    {Metric::queries_forgotten, "pgweir_queries_forgotten_total", Type::counter, Labels::none,
     "Queries that the statistics forgot for room"},
    {Metric::query_executions_dropped, "pgweir_query_executions_dropped_total", Type::counter,
     Labels::none, "Executions that the statistics per query had no time for"},
    {Metric::log_lines_dropped, "pgweir_log_lines_dropped_total", Type::counter, Labels::none,
     "Lines of the program's log lost because its queue was full"},
}};

constexpr bool table_is_in_order() {
    for (std::size_t i = 0; i < kMetrics.size(); ++i)
        if (static_cast<std::size_t>(kMetrics[i].id) != i) return false;
    return true;
}
static_assert(table_is_in_order(), "kMetrics has one row per Metric, in the enum's order");

constexpr const MetricInfo& info(Metric metric) {
    return kMetrics[static_cast<std::size_t>(metric)];
}

/// docs/metrics.md.
std::string metrics_markdown();

}  // namespace pgweir::metrics
