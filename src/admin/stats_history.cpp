// Averages over the last whole period.
#include "pgweir/admin/stats_history.hpp"

#include <utility>

namespace pgweir::admin {

namespace {

metrics::PoolStats sum(const DatabaseStats& all) {
    metrics::PoolStats total;
    for (const auto& [database, stats] : all) total += stats;
    return total;
}

}  // namespace

DatabaseStats stats_by_database(const std::vector<PoolRow>& pools) {
    DatabaseStats all;
    for (const auto& pool : pools) all[pool.database] += pool.totals;
    return all;
}

metrics::PoolStats average(const metrics::PoolStats& total, const metrics::PoolStats& before,
                           base::Nanos length) noexcept {
    metrics::PoolStats result;
    if (length <= 0) return result;
    const auto growth = total.since(before);
    const auto seconds = static_cast<double>(length) / static_cast<double>(base::kSecond);
    metrics::zip_pool_fields(result, growth, [&](std::uint64_t& out, const std::uint64_t& in) {
        out = static_cast<std::uint64_t>(static_cast<double>(in) / seconds);
    });
    result.xact_time_us = growth.xact_count > 0 ? growth.xact_time_us / growth.xact_count : 0;
    result.query_time_us = growth.query_count > 0 ? growth.query_time_us / growth.query_count : 0;
    return result;
}

StatsHistory::StatsHistory(base::Nanos now, base::Nanos period) : period_(period) {
    older_.at = newer_.at = now;
}

void StatsHistory::sample(const DatabaseStats& totals, base::Nanos now) {
    const std::lock_guard lock(mutex_);
    if (now - newer_.at < period_) return;
    older_ = std::exchange(newer_, {now, totals});
    whole_ = true;
}

template <class F>
void StatsHistory::with_period(const DatabaseStats& totals, base::Nanos now, F f) const {
    const std::lock_guard lock(mutex_);
    if (whole_)
        f(newer_.totals, older_.totals, newer_.at - older_.at);
    else
        f(totals, older_.totals, now - older_.at);
}

DatabaseStats StatsHistory::averages(const DatabaseStats& totals, base::Nanos now) const {
    DatabaseStats result;
    with_period(totals, now, [&](const auto& then, const auto& before, base::Nanos length) {
        for (const auto& [database, stats] : totals) {
            const auto a = then.find(database);
            const auto b = before.find(database);
            result[database] =
                average(a != then.end() ? a->second : metrics::PoolStats{},
                        b != before.end() ? b->second : metrics::PoolStats{}, length);
        }
    });
    return result;
}

metrics::PoolStats StatsHistory::average_of_all(const DatabaseStats& totals,
                                                base::Nanos now) const {
    metrics::PoolStats result;
    with_period(totals, now, [&](const auto& then, const auto& before, base::Nanos length) {
        result = average(sum(then), sum(before), length);
    });
    return result;
}

}  // namespace pgweir::admin
