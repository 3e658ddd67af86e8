// The cache's byte account. Invariant: the sum of all live charges never exceeds the limit that
// held when the last one was granted; a charge is given back when its owner is destroyed, so
// entries that are evicted but still being written to a slow client stay counted. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

namespace pgweir::cache {

class MemoryAccount {
  public:
    explicit MemoryAccount(std::uint64_t limit) noexcept : limit_(limit) {}
    std::uint64_t used() const noexcept { return used_.load(); }
    std::uint64_t limit() const noexcept { return limit_.load(); }
    void set_limit(std::uint64_t bytes) noexcept { limit_.store(bytes); }
    bool try_reserve(std::uint64_t bytes) noexcept;
    void release(std::uint64_t bytes) noexcept { used_.fetch_sub(bytes); }

  private:
    std::atomic<std::uint64_t> used_{0};
    std::atomic<std::uint64_t> limit_;
};

/// Bytes taken from an account until destroyed. Keeps the account alive.
class Charge {
  public:
    Charge() = default;
    explicit Charge(std::shared_ptr<MemoryAccount> account) noexcept
        : account_(std::move(account)) {}
    Charge(Charge&& other) noexcept
        : account_(std::move(other.account_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
        if (this != &other) {
            reset();
            account_ = std::move(other.account_);
            bytes_ = std::exchange(other.bytes_, 0);
        }
        return *this;
    }
    ~Charge() { reset(); }

    bool grow(std::uint64_t bytes) noexcept {
        if (account_ == nullptr || !account_->try_reserve(bytes)) return false;
        bytes_ += bytes;
        return true;
    }
    void shrink(std::uint64_t bytes) noexcept {
        bytes_ -= bytes;
        account_->release(bytes);
    }
    void reset() noexcept {
        if (account_ != nullptr) account_->release(std::exchange(bytes_, 0));
    }
    std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    std::shared_ptr<MemoryAccount> account_;
    std::uint64_t bytes_ = 0;
};

/// What an allocation of `size` bytes costs: the allocator's header and rounding.
constexpr std::uint64_t allocation_bytes(std::uint64_t size) noexcept {
    constexpr std::uint64_t kMapped =
        std::uint64_t{128} * 1024;  // glibc gives larger ones pages of their own
    return size + 16 < kMapped ? (size + 8 + 15) / 16 * 16 : (size + 16 + 4095) / 4096 * 4096;
}

}  // namespace pgweir::cache
