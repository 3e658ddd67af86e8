// Reservation against a limit that may be lowered meanwhile.
#include "pgweir/cache/memory.hpp"

namespace pgweir::cache {

bool MemoryAccount::try_reserve(std::uint64_t bytes) noexcept {
    const auto limit = limit_.load();
    auto used = used_.load();
    do {
        if (bytes > limit || used > limit - bytes) return false;
    } while (!used_.compare_exchange_weak(used, used + bytes));
    // Either we see a lowered limit here, or who lowered it sees our bytes and evicts for them.
    if (limit_.load() >= limit || used_.load() <= limit_.load()) return true;
    release(bytes);
    return false;
}

}  // namespace pgweir::cache
