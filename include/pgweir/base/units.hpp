// Durations and sizes as people write them: "30s", "5min", "256MiB". A unit is required unless the
// number is 0, because a bare number means seconds to some programs and milliseconds to others.
// Thread: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgweir/base/clock.hpp"

namespace pgweir::base {

/// us, ms, s, min, h, d; whole numbers. Nothing: not a duration, or one that does not fit.
std::optional<Nanos> parse_duration(std::string_view text) noexcept;
/// B, kB, KiB, MB, MiB, GB, GiB, TB, TiB; all are powers of 1024, as in PostgreSQL.
std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;
/// In the largest unit that divides it: what parse_* reads back to the same value.
std::string duration_text(Nanos nanos);
std::string size_text(std::uint64_t bytes);

}  // namespace pgweir::base
