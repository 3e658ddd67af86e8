// GET /metrics: a snapshot as families of metrics, by their table.
// Invariant: no two samples of a family have the same labels, or a scraper would refuse the whole
// answer. Names come from clients, and two of them may look alike once they are made printable;
// such samples are added up.
#include <prometheus/text_serializer.h>

#include <map>
#include <sstream>

#include "commands/command.hpp"
#include "pgweir/admin/http.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/metrics/table.hpp"
#include "pgweir/query/reasons.hpp"

namespace pgweir::admin {

namespace {

using metrics::Metric;
using metrics::PoolStats;
using Label = prometheus::ClientMetric::Label;
using LabelList = std::vector<Label>;

static_assert(query::kNotCachedReasons.size() <= metrics::kReasons);
static_assert(query::kPinReasons.size() <= metrics::kReasons);

template <class Number>
double real(Number n) {
    return static_cast<double>(n);
}

class Families {
  public:
    Families() {
        for (const auto& info : metrics::kMetrics) {
            auto& family = families_[static_cast<std::size_t>(info.id)];
            family.name = info.name;
            family.help = info.help;
            family.type = info.type == metrics::Type::counter ? prometheus::MetricType::Counter
                                                              : prometheus::MetricType::Gauge;
        }
    }

    void add(Metric metric, double value, const LabelList& labels = {}) {
        const auto index = static_cast<std::size_t>(metric);
        auto& samples = families_[index].metric;
        std::string key;
        for (const auto& label : labels) key.append(label.value).push_back('\0');
        const auto [at, added] = known_[index].try_emplace(std::move(key), samples.size());
        if (added) samples.emplace_back().label = labels;
        samples[at->second].counter.value += value;
        samples[at->second].gauge.value += value;
    }

    std::string text() const {
        std::ostringstream out;
        prometheus::TextSerializer().Serialize(out, {families_.begin(), families_.end()});
        return std::move(out).str();
    }

  private:
    std::array<prometheus::MetricFamily, metrics::kMetricCount> families_;
    std::array<std::map<std::string, std::size_t>, metrics::kMetricCount> known_;
};

Label label(std::string_view name, std::string_view value) {
    return {std::string(name), base::printable(value)};
}

void add_pools(Families& to, const Snapshot& snapshot) {
    static constexpr std::pair<Metric, std::uint32_t PoolRow::*> kGauges[] = {
        {Metric::pools_client_active, &PoolRow::cl_active},
        {Metric::pools_client_active_cancel, &PoolRow::cl_active_cancel_req},
        {Metric::pools_client_waiting, &PoolRow::cl_waiting},
        {Metric::pools_client_waiting_cancel, &PoolRow::cl_waiting_cancel_req},
        {Metric::pools_server_active, &PoolRow::sv_active},
        {Metric::pools_server_active_cancel, &PoolRow::sv_active_cancel},
        {Metric::pools_server_being_canceled, &PoolRow::sv_being_canceled},
        {Metric::pools_server_idle, &PoolRow::sv_idle},
        {Metric::pools_server_used, &PoolRow::sv_used},
        {Metric::pools_server_testing, &PoolRow::sv_tested},
        {Metric::pools_server_login, &PoolRow::sv_login},
    };
    static constexpr std::pair<Metric, std::uint64_t PoolStats::*> kCounters[] = {
        {Metric::pool_logins, &PoolStats::login_count},
        {Metric::pool_errors, &PoolStats::errors},
        {Metric::pool_server_assignments, &PoolStats::server_assignment_count},
    };
    for (const auto& pool : merged_pools(snapshot.pools)) {
        const LabelList labels{label("database", pool.database), label("user", pool.user)};
        for (const auto& [metric, field] : kGauges) to.add(metric, real(pool.*field), labels);
        for (const auto& [metric, field] : kCounters)
            to.add(metric, real(pool.totals.*field), labels);
        to.add(Metric::pools_client_maxwait, real(pool.maxwait_us) / 1e6, labels);
    }
}

void add_totals(Families& to, const Snapshot& snapshot) {
    struct Total {
        Metric metric;
        std::uint64_t PoolStats::*field;
        double per_unit = 1;  // 1e6: microseconds to seconds
    };
    static constexpr Total kTotals[] = {
        {Metric::totals_queries_pooled, &PoolStats::query_count},
        {Metric::totals_queries_duration, &PoolStats::query_time_us, 1e6},
        {Metric::totals_received_bytes, &PoolStats::bytes_received},
        {Metric::totals_sent_bytes, &PoolStats::bytes_sent},
        {Metric::totals_client_wait, &PoolStats::wait_time_us, 1e6},
        {Metric::totals_transactions_pooled, &PoolStats::xact_count},
        {Metric::totals_server_in_transaction, &PoolStats::xact_time_us, 1e6},
        {Metric::totals_client_parses, &PoolStats::client_parse_count},
        {Metric::totals_server_parses, &PoolStats::server_parse_count},
        {Metric::totals_binds, &PoolStats::bind_count},
    };
    for (const auto& [database, stats] : stats_by_database(snapshot.pools))
        for (const auto& total : kTotals)
            to.add(total.metric, real(stats.*total.field) / total.per_unit,
                   {label("database", database)});
}

void add_databases(Families& to, const Snapshot& snapshot) {
    for (const auto& d : snapshot.databases) {
        const LabelList labels{label("name", d.name),
                               label("host", d.host),
                               label("port", std::to_string(d.port)),
                               label("database", d.database),
                               label("force_user", d.force_user),
                               label("pool_mode", name(d.mode))};
        to.add(Metric::databases_pool_size, d.pool_size, labels);
        to.add(Metric::databases_reserve_pool, 0, labels);
        to.add(Metric::databases_max_connections, d.max_connections, labels);
        to.add(Metric::databases_current_connections, d.current_connections, labels);
        to.add(Metric::databases_paused, d.paused ? 1 : 0, labels);
        to.add(Metric::databases_disabled, d.disabled ? 1 : 0, labels);
    }
}

void add_caches(Families& to, const Snapshot& snapshot) {
    static constexpr std::pair<Metric, std::uint64_t CacheRow::*> kFigures[] = {
        {Metric::cache_hits, &CacheRow::hits},
        {Metric::cache_misses, &CacheRow::misses},
        {Metric::cache_fills, &CacheRow::fills},
        {Metric::cache_invalidations, &CacheRow::invalidations},
        {Metric::cache_evictions, &CacheRow::evictions},
        {Metric::cache_verified, &CacheRow::verified},
        {Metric::cache_mismatches, &CacheRow::mismatches},
        {Metric::cache_entries, &CacheRow::entries},
        {Metric::cache_bytes, &CacheRow::bytes},
        {Metric::cache_stream_transactions, &CacheRow::stream_transactions},
        {Metric::cache_stream_gaps, &CacheRow::stream_gaps},
        {Metric::cache_stream_waits, &CacheRow::stream_waits},
    };
    for (const auto& cache : snapshot.caches) {
        const LabelList labels{label("database", cache.database)};
        to.add(Metric::cache_guarantee, cache.rung, labels);
        to.add(Metric::cache_stream_lag, cache.stream_lag, labels);
        for (const auto& [metric, field] : kFigures) to.add(metric, real(cache.*field), labels);
    }
}

void add_lists(Families& to, const Snapshot& snapshot) {
    const auto counts = list_counts(snapshot);
    to.add(Metric::databases, real(counts.databases));
    to.add(Metric::users, real(counts.users));
    to.add(Metric::pools, real(counts.pools));
    to.add(Metric::free_clients, 0);
    to.add(Metric::used_clients, real(counts.used_clients));
    to.add(Metric::login_clients, real(counts.login_clients));
    to.add(Metric::free_servers, real(counts.free_servers));
    to.add(Metric::used_servers, real(counts.used_servers));
    to.add(Metric::cached_dns_names, real(counts.dns_names));
    to.add(Metric::cached_dns_zones, 0);
    to.add(Metric::in_flight_dns_queries, real(counts.dns_queries));
    to.add(Metric::client_connections, real(counts.used_clients + counts.login_clients));
}

void add_workers(Families& to, const metrics::WorkerStats& workers) {
    using metrics::WorkerStats;
    static constexpr std::pair<Metric, std::uint64_t WorkerStats::*> kCounters[] = {
        {Metric::clients_accepted, &WorkerStats::clients_accepted},
        {Metric::clients_refused, &WorkerStats::clients_refused},
        {Metric::disconnects, &WorkerStats::disconnects},
        {Metric::protocol_errors, &WorkerStats::protocol_errors},
        {Metric::cancel_requests, &WorkerStats::cancel_requests},
        {Metric::server_connects, &WorkerStats::server_connects},
        {Metric::server_connect_failures, &WorkerStats::server_connect_failures},
        {Metric::server_resets, &WorkerStats::resets},
        {Metric::query_timeouts, &WorkerStats::query_timeouts},
        {Metric::wait_timeouts, &WorkerStats::wait_timeouts},
    };
    for (const auto& [metric, field] : kCounters) to.add(metric, real(workers.*field));
    for (std::size_t i = 1; i < query::kNotCachedReasons.size(); ++i)  // 0 is "none"
        to.add(Metric::not_cached, real(workers.not_cached[i]),
               {label("reason", query::kNotCachedReasons[i].name)});
    for (std::size_t i = 1; i < query::kPinReasons.size(); ++i)
        to.add(Metric::pins, real(workers.pins[i]), {label("reason", query::kPinReasons[i].name)});
}

void add_process(Families& to, const Snapshot& snapshot) {
    to.add(Metric::up, 1);
    to.add(Metric::version_info, 1, {label("version", "pgweir " PGWEIR_VERSION)});
    to.add(Metric::build_info, 1, {label("version", PGWEIR_VERSION)});
    to.add(Metric::config_max_client_connections, snapshot.max_clients);
    to.add(Metric::config_max_user_connections, 0);
    to.add(Metric::start_time, real(snapshot.started_wall_us) / 1e6);
    to.add(Metric::ready, snapshot.ready && !snapshot.draining ? 1 : 0);
    to.add(Metric::draining, snapshot.draining ? 1 : 0);
    to.add(Metric::slow_queries, real(snapshot.slow_queries_logged));
    to.add(Metric::slow_queries_lost, real(snapshot.slow_queries_lost));
    to.add(Metric::plans_read, real(snapshot.plans_read));
    to.add(Metric::plans_failed, real(snapshot.plans_failed));
    const auto queries = snapshot.queries ? snapshot.queries->totals() : QueryTotals{};
    to.add(Metric::queries_known, real(queries.queries));
    to.add(Metric::queries_bytes, real(queries.bytes));
    to.add(Metric::queries_forgotten, real(queries.forgotten));
    to.add(Metric::query_executions_dropped, real(queries.dropped));
    to.add(Metric::log_lines_dropped, real(snapshot.log_lines_dropped));
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot) {
    Families families;
    add_process(families, snapshot);
    add_lists(families, snapshot);
    add_pools(families, snapshot);
    add_databases(families, snapshot);
    add_totals(families, snapshot);
    add_workers(families, snapshot.workers);
    add_caches(families, snapshot);
    return families.text();
}

std::string metrics_text_down() {
    const auto& up = metrics::info(Metric::up);
    const std::string_view parts[] = {"# HELP ", up.name,    " ",     up.help, "\n# TYPE ",
                                      up.name,   " gauge\n", up.name, " 0\n"};
    std::string out;
    for (const auto part : parts) out.append(part);
    return out;
}

}  // namespace pgweir::admin
