// Totals of two moments, so that SHOW STATS can say what the average of the last period was.
// Invariant: samples are at least a period apart; older() is not later than newer().
// Thread: any; one mutex, held for copies of a few numbers per pool.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "pgweir/admin/snapshot.hpp"
#include "pgweir/base/clock.hpp"
#include "pgweir/metrics/counters.hpp"

namespace pgweir::admin {

/// Per database, over its users.
using DatabaseStats = std::map<std::string, metrics::PoolStats>;
DatabaseStats stats_by_database(const std::vector<PoolRow>& pools);

/// Averages of a period as PgBouncer gives them: counts, bytes and wait_time_us per second;
/// xact_time_us and query_time_us per transaction and query.
metrics::PoolStats average(const metrics::PoolStats& total, const metrics::PoolStats& before,
                           base::Nanos length) noexcept;

class StatsHistory {
  public:
    /// `now` is monotonic, as everywhere here: the start of the first period.
    explicit StatsHistory(base::Nanos now, base::Nanos period = 60 * base::kSecond);
    /// Keeps these totals when a period has passed since the last ones that were kept.
    void sample(const DatabaseStats& totals, base::Nanos now);
    /// The averages of the last whole period; before the first one ended, since the start.
    DatabaseStats averages(const DatabaseStats& totals, base::Nanos now) const;
    /// The same over all databases together, where a time per query is not a sum of such times.
    metrics::PoolStats average_of_all(const DatabaseStats& totals, base::Nanos now) const;

  private:
    struct Sample {
        base::Nanos at = 0;
        DatabaseStats totals;
    };
    /// Calls f(totals then, totals before, length) with the period that averages are taken over.
    template <class F>
    void with_period(const DatabaseStats& totals, base::Nanos now, F f) const;

    const base::Nanos period_;
    mutable std::mutex mutex_;
    Sample older_, newer_;
    bool whole_ = false;  // a period has ended
};

}  // namespace pgweir::admin
