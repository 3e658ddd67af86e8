// Figures of executions: counts, sums, and a histogram from which percentiles are read.
// Invariant: adding the same executions in any order and in any parts gives the same figures.
// Thread: one, or behind a lock.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "pgweir/metrics/query_record.hpp"

namespace pgweir::admin {

/// Log-linear: eight buckets per doubling, so a percentile is off by at most a sixteenth. Holds
/// only the range of buckets that was used.
class Histogram {
  public:
    void add(std::uint64_t value, std::uint32_t count = 1) {
        const auto at = bucket(value);
        if (at - first_ >= buckets_.size()) [[unlikely]]  // also when it is below
            reach(at);
        buckets_[at - first_] += count;
        count_ += count;
    }
    void merge(const Histogram& other);
    std::uint64_t count() const noexcept { return count_; }
    /// The middle of the bucket that has the value of this rank; 0 when there is none.
    std::uint64_t quantile(double share) const noexcept;
    std::size_t bytes() const noexcept { return buckets_.capacity() * sizeof(std::uint32_t); }

    static std::size_t bucket(std::uint64_t value) noexcept {
        if (value < 8) return value;
        const auto exponent = static_cast<std::size_t>(std::bit_width(value)) - 4;
        return 8 + exponent * 8 + ((value >> exponent) & 7);
    }

  private:
    void reach(std::size_t bucket);
    std::vector<std::uint32_t> buckets_;
    std::size_t first_ = 0;
    std::uint64_t count_ = 0;
};

/// Microseconds.
struct Span {
    std::uint64_t sum = 0;
    std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t most = 0;
    Histogram histogram;

    void add(std::uint64_t us) {
        sum += us;
        least = std::min(least, us);
        most = std::max(most, us);
        histogram.add(us);
    }
    void merge(const Span& other);
    std::uint64_t min() const noexcept { return most >= least ? least : 0; }
    std::uint64_t mean() const noexcept {
        return histogram.count() == 0 ? 0 : sum / histogram.count();
    }
    /// Within what was seen.
    std::uint64_t quantile(double share) const noexcept;
};

/// Hits count as calls; the times are those of executions on a server.
struct QueryFigures {
    std::uint64_t calls = 0, errors = 0, rows = 0, bytes = 0;
    std::uint64_t hits = 0, fills = 0;
    std::uint64_t saved_us = 0;  // hits times what an execution took on average until then
    Span total, wait, server;

    void add(const metrics::QueryRecord& r, std::uint64_t mean_us) {
        using metrics::QueryRecord;
        ++calls;
        rows += r.rows;
        bytes += r.bytes;
        if ((r.flags & QueryRecord::failed) != 0) ++errors;
        if ((r.flags & QueryRecord::filled) != 0) ++fills;
        if ((r.flags & QueryRecord::hit) != 0) {
            ++hits;
            saved_us += mean_us;
            return;
        }
        total.add(r.total_us);
        wait.add(r.wait_us);
        server.add(r.server_us);
    }
    void merge(const QueryFigures& other);
    std::size_t bytes_held() const noexcept {
        return sizeof *this + total.histogram.bytes() + wait.histogram.bytes() +
               server.histogram.bytes();
    }
};

}  // namespace pgweir::admin
