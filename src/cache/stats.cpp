// Striped counters: each thread keeps to one stripe.
#include "pgweir/cache/stats.hpp"

namespace pgweir::cache {

namespace {
std::size_t own_stripe(std::size_t stripes) noexcept {
    static std::atomic<std::size_t> next{0};
    thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
    return mine % stripes;
}
}  // namespace

void Stats::count(Event e) noexcept {
    auto& stripe = stripes_[own_stripe(stripes_.size())];
    stripe.events[static_cast<std::size_t>(e)].fetch_add(1, std::memory_order_relaxed);
}

void Stats::entry_added(std::uint64_t bytes) noexcept {
    entries_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Stats::entry_removed(std::uint64_t bytes) noexcept {
    entries_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

StatsSnapshot Stats::read() const noexcept {
    StatsSnapshot s;
    s.entries = entries_.load(std::memory_order_relaxed);
    s.bytes = bytes_.load(std::memory_order_relaxed);
    for (const auto& stripe : stripes_)
        for (std::size_t i = 0; i < kEvents; ++i)
            s.events[i] += stripe.events[i].load(std::memory_order_relaxed);
    return s;
}

}  // namespace pgweir::cache
