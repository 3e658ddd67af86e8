// Sums of counters. Thread: any.
#include "pgweir/metrics/counters.hpp"

namespace pgweir::metrics {

namespace {
constexpr auto kAddCounter = [](std::uint64_t& sum, const Counter& counter) {
    sum += counter.get();
};
constexpr auto kAdd = [](std::uint64_t& sum, const std::uint64_t& more) { sum += more; };
}  // namespace

void PoolStats::add(const PoolCounters& counters) noexcept {
    zip_pool_fields(*this, counters, kAddCounter);
}

PoolStats& PoolStats::operator+=(const PoolStats& other) noexcept {
    zip_pool_fields(*this, other, kAdd);
    return *this;
}

PoolStats PoolStats::since(const PoolStats& before) const noexcept {
    PoolStats difference = *this;
    zip_pool_fields(difference, before, [](std::uint64_t& now, const std::uint64_t& then) {
        now = now > then ? now - then : 0;
    });
    return difference;
}

void WorkerStats::add(const WorkerCounters& counters) noexcept {
    zip_worker_fields(*this, counters, kAddCounter);
}

WorkerStats& WorkerStats::operator+=(const WorkerStats& other) noexcept {
    zip_worker_fields(*this, other, kAdd);
    return *this;
}

}  // namespace pgweir::metrics
