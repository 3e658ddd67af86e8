// Time. Durations and deadlines are monotonic nanoseconds; wall time is only for people and logs.
// The machines never read a clock: they are given `now`, so tests move time by hand.
#pragma once

#include <cstdint>
#include <ctime>

namespace pgweir::base {

/// Nanoseconds of CLOCK_MONOTONIC, or a duration in nanoseconds.
using Nanos = std::int64_t;

inline constexpr Nanos kMicrosecond = 1'000;
inline constexpr Nanos kMillisecond = 1'000'000;
inline constexpr Nanos kSecond = 1'000'000'000;

inline Nanos monotonic_now() noexcept {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * kSecond + t.tv_nsec;
}

/// Microseconds since 1970 UTC.
inline std::int64_t wall_now_us() noexcept {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1'000'000 + t.tv_nsec / 1'000;
}

}  // namespace pgweir::base
