// What is worth caching: per query (fingerprint) a row of what hits saved and what storing cost,
// and per answer two small tables, of those that were too large and of those asked for once.
// Invariant: nothing here decides whether an answer is right, only whether it is looked up and
// kept; everything has a fixed size but the rows, which are bounded and charged to the cache's
// account. Thread: any; rows and tables are atomics, finding a row takes a mutex.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/cache/memory.hpp"
#include "pgweir/query/reasons.hpp"

namespace pgweir::cache {

/// One query of a database. Begins with storing every answer; after the first few only those that
/// are asked for twice, unless what is stored is mostly hit. Where over many misses the time saved
/// is less than what they cost, only a sample is looked up: of one answer in 64, always the same
/// ones, so that what will pay once more answers are there is seen to pay, and of another 64th in
/// turn, so that a few hot ones are found, too.
class LedgerRow {
  public:
    /// Answers stored at once, whatever becomes of them.
    static constexpr std::uint64_t kTrial = 64;
    /// Misses after which is judged: long enough to warm up, short enough to cost nothing.
    static constexpr std::uint32_t kWindow = 4096;
    static constexpr std::uint32_t kSampleWindow = 64;
    /// What a fill is taken to cost beside its bytes, and a byte of it.
    static constexpr base::Nanos kFillCost = 3 * base::kMicrosecond;
    static constexpr base::Nanos kBytesPerNano = 4;  // copied twice
    /// What a look-up in vain is taken to cost.
    static constexpr base::Nanos kMissCost = 300;

    LedgerRow(std::uint64_t database, std::uint64_t fingerprint, Charge charge) noexcept
        : database_(database), fingerprint_(fingerprint), charge_(std::move(charge)) {}

    /// Whether the answer to this text, or to these parameters, is to be looked up and stored.
    bool pays(std::string_view question, base::Nanos now) const noexcept {
        return !off_.load(std::memory_order_relaxed) || sampled(base::hash64(question), now);
    }
    bool off() const noexcept { return off_.load(std::memory_order_relaxed); }
    /// Whether an answer is to be stored that was not asked for before.
    bool at_once() const noexcept { return fills() < kTrial || hits() >= fills(); }

    void hit(base::Nanos saved) noexcept {
        hits_.fetch_add(1, std::memory_order_relaxed);
        saved_.fetch_add(saved, std::memory_order_relaxed);
    }
    void filled(std::uint64_t bytes, bool published) noexcept;
    /// Missed, and not stored.
    void missed() noexcept { spend(kMissCost); }
    void note(query::NotCached reason) noexcept {
        reason_.store(reason, std::memory_order_relaxed);
        passed_.fetch_add(1, std::memory_order_relaxed);
    }

    std::uint64_t database() const noexcept { return database_; }
    std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    std::uint64_t hits() const noexcept { return hits_.load(std::memory_order_relaxed); }
    std::uint64_t fills() const noexcept { return fills_.load(std::memory_order_relaxed); }
    std::uint64_t published() const noexcept { return published_.load(std::memory_order_relaxed); }
    /// Executions that the cache was not asked for, and the latest reason.
    std::uint64_t passed() const noexcept { return passed_.load(std::memory_order_relaxed); }
    query::NotCached reason() const noexcept { return reason_.load(std::memory_order_relaxed); }
    base::Nanos saved() const noexcept { return saved_.load(std::memory_order_relaxed); }
    base::Nanos spent() const noexcept { return spent_.load(std::memory_order_relaxed); }

  private:
    static bool sampled(std::uint64_t hash, base::Nanos now) noexcept;
    void spend(base::Nanos cost) noexcept;
    void judge(std::uint32_t window) noexcept;

    const std::uint64_t database_, fingerprint_;
    const Charge charge_;
    std::atomic<bool> off_{false};
    std::atomic<query::NotCached> reason_{query::NotCached::none};
    std::atomic<std::uint32_t> window_{0};  // misses since the last judgement
    std::atomic<std::uint64_t> hits_{0}, fills_{0}, published_{0}, passed_{0};
    std::atomic<base::Nanos> saved_{0}, spent_{0};
    std::atomic<base::Nanos> saved_before_{0}, spent_before_{0};  // at the last judgement
};
using LedgerRowPtr = std::shared_ptr<LedgerRow>;

class Ledger {
  public:
    static constexpr std::size_t kMaxRows = 4096;
    /// How long an answer that was too large is not collected again.
    static constexpr base::Nanos kTooLargeFor = 60 * base::kSecond;

    explicit Ledger(std::shared_ptr<MemoryAccount> account) noexcept
        : account_(std::move(account)), charge_(account_) {}

    /// Get or create. Null where there is no room for it: everything is stored then. When there are
    /// too many rows all are forgotten, but by those who hold them, and the generation is another.
    LedgerRowPtr row(std::uint64_t database, std::uint64_t fingerprint);
    /// Never 0.
    std::uint32_t generation() const noexcept {
        return generation_.load(std::memory_order_acquire);
    }
    std::vector<LedgerRowPtr> rows() const;
    void forget_rows();

    void note_too_large(const base::Hash128& hash, base::Nanos now) noexcept;
    bool too_large(const base::Hash128& hash, base::Nanos now) const noexcept;
    void forget_too_large() noexcept;

    /// True when this answer was asked for before, lately; else it is remembered that it was now.
    bool asked_before(const base::Hash128& hash) noexcept;

    /// Bytes of the tables of fixed size.
    static constexpr std::uint64_t fixed_bytes() noexcept { return sizeof(Tables); }

  private:
    static constexpr std::size_t kLarge = 1024, kAsked = 65536;
    struct Tables {
        std::array<std::atomic<std::uint64_t>, kLarge> large{};  // tag, and seconds when it was
        std::array<std::atomic<std::uint16_t>, kAsked> asked{};
    };
    struct RowKey {
        std::uint64_t database, fingerprint;
        bool operator==(const RowKey&) const = default;
    };
    struct RowKeyHash {
        std::size_t operator()(const RowKey& k) const noexcept {
            return k.fingerprint ^ (k.database * 0x9E3779B97F4A7C15ull);
        }
    };

    bool make_tables();
    void forget();

    std::shared_ptr<MemoryAccount> account_;
    std::atomic<std::uint32_t> generation_{1};
    mutable std::mutex mutex_;
    Charge charge_;
    std::unique_ptr<Tables> made_;          // with the first row
    std::atomic<Tables*> tables_{nullptr};  // the same
    std::unordered_map<RowKey, LedgerRowPtr, RowKeyHash> rows_;
};

}  // namespace pgweir::cache
