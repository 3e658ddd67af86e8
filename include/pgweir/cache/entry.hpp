// One stored answer: immutable, in one allocation, shared by reference count between the cache and
// the sessions that are writing it to their clients. Invariant: its bytes are charged to the
// cache's account until the last reference is gone. Thread: any reader; the index links belong to
// the shard's mutex.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "pgweir/base/clock.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/cache/epochs.hpp"
#include "pgweir/cache/memory.hpp"

namespace pgweir::cache {

inline constexpr base::Nanos kNever = std::numeric_limits<base::Nanos>::max();

/// What an entry is made from; all views are copied.
struct EntryParts {
    DatabaseState* database = nullptr;
    base::Hash128 hash;
    base::Hash128 shape;  // query::TextScan's of the statement
    std::string_view key;
    /// Whole message, as Describe of the portal or a simple Query gives it, or empty when not
    /// known.
    std::string_view row_description;
    /// Whole message, of what Describe of a statement says; of an answer empty.
    std::string_view parameter_description;
    /// DataRow messages and the CommandComplete.
    std::string_view data;
    std::uint64_t rows = 0;
    std::span<const Dependency> dependencies;
    base::Nanos filled = 0;  // before the query was sent: the answer is no older than that
    base::Nanos expires = kNever;
    base::Nanos cost = 0;  // what the server needed
};

class EntryPtr;

class Entry {
  public:
    /// Bytes the index keeps per entry beside the entry itself, at its worst ratio of buckets.
    static constexpr std::uint64_t kIndexBytes = 48;
    /// What an entry of these parts will be charged.
    static std::uint64_t bytes_for(const EntryParts& parts) noexcept;
    /// `charge` holds at least bytes_for(parts).
    static EntryPtr make(const EntryParts& parts, Charge charge);

    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    std::string_view key() const noexcept { return {text(), key_size_}; }
    std::string_view parameter_description() const noexcept { return {said(), parameter_size_}; }
    std::string_view row_description() const noexcept {
        return {said() + parameter_size_, row_size_};
    }
    std::string_view data() const noexcept {
        return {said() + parameter_size_ + row_size_, data_size_};
    }
    /// row_description() and data() in one run: the answer to a simple Query but for ReadyForQuery.
    /// Only when row_description() is not empty.
    std::string_view answer() const noexcept {
        return {said() + parameter_size_, row_size_ + data_size_};
    }
    /// The same, row_description() where there is one, in one run with `lead` in front, "", or the
    /// end of kLead, and ReadyForQuery outside a transaction behind. Not of a description.
    std::string_view framed(std::string_view lead) const noexcept {
        return {said() - lead.size(), lead.size() + row_size_ + data_size_ + kReady.size()};
    }
    /// ParseComplete and BindComplete.
    static constexpr std::string_view kLead{"1\0\0\0\0042\0\0\0\4", 10};
    static constexpr std::string_view kReady{"Z\0\0\0\5I", 6};
    /// parameter_description() and row_description() in one run: what Describe of a statement says.
    std::string_view description() const noexcept { return {said(), parameter_size_ + row_size_}; }
    std::span<const Dependency> dependencies() const noexcept {
        return {reinterpret_cast<const Dependency*>(this + 1), dependency_count_};
    }
    bool valid() const noexcept { return unchanged(dependencies()); }
    bool expired(base::Nanos now) const noexcept { return now >= expires_; }

    DatabaseState& database() const noexcept { return *database_; }
    const base::Hash128& hash() const noexcept { return hash_; }
    /// Of the statement in the key, so that it need not be looked at again: it has that shape, and
    /// no word that may mean the current time, or there were no entry.
    const base::Hash128& shape() const noexcept { return shape_; }
    std::uint64_t rows() const noexcept { return rows_; }
    base::Nanos filled() const noexcept { return filled_; }
    base::Nanos expires() const noexcept { return expires_; }
    base::Nanos cost() const noexcept { return cost_; }
    /// How often it was given; for people, so read without the shard's mutex.
    std::uint64_t hits() const noexcept { return hits_.load(std::memory_order_relaxed); }
    /// Everything, with overheads.
    std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    friend class EntryPtr;
    friend class Shard;
    Entry(const EntryParts& parts, Charge charge) noexcept;
    ~Entry() = default;
    void release() noexcept;
    const char* text() const noexcept {
        return reinterpret_cast<const char*>(this + 1) + dependency_count_ * sizeof(Dependency);
    }
    const char* said() const noexcept {
        return text() + key_size_ + (parameter_size_ == 0 ? kLead.size() : 0);
    }

    // By cache lines: who looks for an entry needs the first only.
    std::atomic<std::uint32_t> references_{0};
    std::uint32_t dependency_count_;
    base::Hash128 hash_;
    Entry* bucket_next_ = nullptr;  // the shard's, under its mutex, as those below
    std::uint64_t key_size_, parameter_size_, row_size_, data_size_;

    base::Nanos expires_, filled_, cost_;
    DatabaseState* database_;
    std::uint64_t rows_;
    Entry* newer_ = nullptr;
    Entry* older_ = nullptr;
    std::atomic<std::uint32_t> hits_{0};  // written under the shard's mutex
    bool visited_ = false;

    base::Hash128 shape_;
    std::uint64_t bytes_;
    Charge charge_;
};

/// Shared ownership of an entry; may be moved to and dropped by any thread.
class EntryPtr {
  public:
    EntryPtr() = default;
    explicit EntryPtr(Entry* entry) noexcept : entry_(entry) {
        if (entry_ != nullptr) entry_->references_.fetch_add(1, std::memory_order_relaxed);
    }
    EntryPtr(const EntryPtr& other) noexcept : EntryPtr(other.entry_) {}
    EntryPtr(EntryPtr&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
    EntryPtr& operator=(EntryPtr other) noexcept {
        std::swap(entry_, other.entry_);
        return *this;
    }
    ~EntryPtr() {
        if (entry_ != nullptr) entry_->release();
    }
    const Entry* get() const noexcept { return entry_; }
    const Entry* operator->() const noexcept { return entry_; }
    const Entry& operator*() const noexcept { return *entry_; }
    explicit operator bool() const noexcept { return entry_ != nullptr; }
    void reset() noexcept { *this = EntryPtr(); }

  private:
    friend class Shard;
    Entry* entry_ = nullptr;
};

}  // namespace pgweir::cache
