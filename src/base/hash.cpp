// xxHash behind our names; inlined here and nowhere else, because libpg_query exports an older
// copy of the same symbols.
#include "pgweir/base/hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "pgweir/base/random.hpp"

namespace pgweir::base {

namespace {
std::uint64_t process_seed() noexcept {
    static const std::uint64_t seed = random_u64();
    return seed;
}
}  // namespace

std::uint64_t hash64(std::string_view bytes) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), process_seed());
}

Hash128 hash128(std::string_view bytes) noexcept {
    const auto h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), process_seed());
    return {h.low64, h.high64};
}

std::uint64_t stable_hash64(std::string_view bytes) noexcept {
    return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace pgweir::base
