// See address_limiter.hpp. One number per address is enough: the moment at which its bucket would
// be full again (the "generic cell rate algorithm" of ATM Forum's traffic management).
#include "pgweir/auth/address_limiter.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "pgweir/base/hash.hpp"

namespace pgweir::auth {

namespace {
constexpr std::size_t kWays = 8;
constexpr std::size_t kSets = 1024;
}  // namespace

void AddressLimiter::set_limit(std::uint32_t count, base::Nanos period) {
    period_ = period;
    interval_ = count == 0 ? 0 : std::max<base::Nanos>(1, period / count);
}

std::uint64_t AddressLimiter::hash_of(const sockaddr* address) noexcept {
    char key[9] = {};
    if (address->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        key[0] = 4;
        std::memcpy(key + 1, &v4.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof v6);
        const bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        key[0] = mapped ? 4 : 6;
        std::memcpy(key + 1, &v6.sin6_addr.s6_addr[mapped ? 12 : 0], mapped ? 4 : 8);
    }
    return std::max<std::uint64_t>(1, base::hash64({key, sizeof key}));
}

AddressLimiter::Slot& AddressLimiter::slot_of(std::uint64_t address, base::Nanos now) {
    if (slots_.empty()) slots_.resize(kWays * kSets);
    auto* set = &slots_[address % kSets * kWays];
    auto* best = set;
    for (std::size_t i = 0; i < kWays; ++i) {
        if (set[i].address == address) return set[i];
        if (set[i].due < best->due) best = &set[i];
    }
    *best = {address, now};
    return *best;
}

bool AddressLimiter::take(const sockaddr* address, base::Nanos now) {
    const auto interval = interval_.load();
    if (interval == 0) return true;
    const std::scoped_lock lock(mutex_);
    auto& slot = slot_of(hash_of(address), now);
    const auto due = std::max(slot.due, now) + interval;
    if (due - now > period_.load()) return false;
    slot.due = due;
    return true;
}

bool AddressLimiter::exhausted(const sockaddr* address, base::Nanos now) {
    const auto interval = interval_.load();
    if (interval == 0) return false;
    const std::scoped_lock lock(mutex_);
    return std::max(slot_of(hash_of(address), now).due, now) + interval - now > period_.load();
}

}  // namespace pgweir::auth
