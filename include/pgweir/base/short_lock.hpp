// A mutex for what takes some dozen instructions: taking it and letting it go, while nobody else
// wants it, are one exchange each, without a call. Who finds it taken sleeps in the kernel, so that
// a holder that was interrupted costs nobody a processor. Not fair, not recursive. Thread: any.
// Source: U. Drepper, "Futexes Are Tricky", the mutex of three states.
#pragma once

#include <atomic>
#include <cstdint>

namespace pgweir::base {

/// Lockable, for std::lock_guard.
class ShortLock {
  public:
    ShortLock() = default;
    ShortLock(const ShortLock&) = delete;
    ShortLock& operator=(const ShortLock&) = delete;

    void lock() noexcept {
        if (state_.exchange(kTaken, std::memory_order_acquire) != kFree) [[unlikely]]
            wait();
    }
    void unlock() noexcept {
        if (state_.exchange(kFree, std::memory_order_release) == kAwaited) [[unlikely]]
            state_.notify_one();
    }

  private:
    static constexpr std::uint32_t kFree = 0, kTaken = 1, kAwaited = 2;
    /// lock() may have overwritten kAwaited by kTaken: kAwaited is put back before anything else.
    void wait() noexcept {
        while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree)
            state_.wait(kAwaited, std::memory_order_relaxed);
    }
    std::atomic<std::uint32_t> state_{kFree};
};

}  // namespace pgweir::base
