// 64- and 128-bit hashes with a seed drawn at random once per process, so that a stranger cannot
// aim at collisions. A hash finds; equality is always decided by comparing all bytes.
// Thread: pure functions after the seed's thread-safe initialisation.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgweir::base {

struct Hash128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const Hash128&, const Hash128&) = default;
};

std::uint64_t hash64(std::string_view bytes) noexcept;
Hash128 hash128(std::string_view bytes) noexcept;
/// The same for every process and run: for fingerprints people compare. Never for tables.
std::uint64_t stable_hash64(std::string_view bytes) noexcept;

/// For unordered containers that are looked up by string_view without making a string.
struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept { return hash64(s); }
};

struct Hash128Hash {
    std::size_t operator()(const Hash128& h) const noexcept { return h.low; }
};

}  // namespace pgweir::base
