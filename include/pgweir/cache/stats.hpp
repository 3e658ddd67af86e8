// What the cache did, per database: for SHOW CACHE and metrics. Counters are striped, so that
// workers which hit the same database do not pass one cache line around; a reader sums the stripes.
// Invariant: entries and bytes are those reachable in the cache, the rest only grows.
// Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "pgweir/base/cache_line.hpp"

namespace pgweir::cache {

enum class Event : std::uint8_t {
    hit,           // answered from the cache
    miss,          // looked up and not answered
    fill,          // an entry was published
    fill_refused,  // collected and not published: stale, unfit, too large, no room
    invalidation,  // an entry dropped because a dependency changed
    expiry,        // an entry dropped because its time was over
    eviction,      // a valid entry dropped for room
    verified,      // a hit that was run on the server as well, with the same answer
    mismatch,      // ... with another
    count_
};
inline constexpr std::size_t kEvents = static_cast<std::size_t>(Event::count_);

struct StatsSnapshot {
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::array<std::uint64_t, kEvents> events{};
    std::uint64_t operator[](Event e) const noexcept { return events[static_cast<std::size_t>(e)]; }
};

class Stats {
  public:
    void count(Event e) noexcept;
    void entry_added(std::uint64_t bytes) noexcept;
    void entry_removed(std::uint64_t bytes) noexcept;
    /// Each number is exact at some moment during the call, not all at one moment.
    StatsSnapshot read() const noexcept;

  private:
    struct alignas(base::kCacheLine) Stripe {
        std::array<std::atomic<std::uint64_t>, kEvents> events{};
    };
    std::array<Stripe, 8> stripes_{};
    std::atomic<std::uint64_t> entries_{0};
    std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace pgweir::cache
