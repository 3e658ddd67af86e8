// How often something may happen per address: so many in a period, after that as fast as they come
// back. An IPv6 address counts as its /64, which is what one household or machine is given.
// Invariant: fixed memory whatever strangers do: where a slot is needed, the address that has used
// least of its share is forgotten. Thread: any; a mutex, not taken while there is no limit.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "pgweir/base/clock.hpp"

namespace pgweir::auth {

class AddressLimiter {
  public:
    /// 0: no limit.
    void set_limit(std::uint32_t count, base::Nanos period);

    /// Counts one; false when that is one too many, which is then not counted.
    bool take(const sockaddr* address, base::Nanos now);
    /// Whether take() would be refused.
    bool exhausted(const sockaddr* address, base::Nanos now);

  private:
    struct Slot {
        std::uint64_t address = 0;  // its hash; 0: free
        base::Nanos due = 0;        // when all that was counted has been made up for
    };
    Slot& slot_of(std::uint64_t address, base::Nanos now);
    static std::uint64_t hash_of(const sockaddr* address) noexcept;

    std::atomic<base::Nanos> interval_{0};  // between two, in the long run; 0: no limit
    std::atomic<base::Nanos> period_{0};
    std::mutex mutex_;
    std::vector<Slot> slots_;
};

}  // namespace pgweir::auth
