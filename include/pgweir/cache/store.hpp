// The result cache: shards by hash, each a mutex, an index and a SIEVE queue; one byte account over
// all. Invariants: what a lookup gives was valid after the lookup began; the bytes of all entries,
// also evicted ones that a reader still holds, and of the fills being collected never exceed the
// limit. Thread: any. No lock is held while an entry is freed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "pgweir/cache/entry.hpp"
#include "pgweir/cache/flights.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/cache/ledger.hpp"

namespace pgweir::cache {

class Shard;

enum class Publish : std::uint8_t { published, stale, too_large, older };

class ResultCache {
  public:
    /// Bytes. A `max_entry` above `max_bytes` is cut to it.
    ResultCache(std::uint64_t max_bytes, std::uint64_t max_entry);
    ~ResultCache();
    ResultCache(const ResultCache&) = delete;
    ResultCache& operator=(const ResultCache&) = delete;

    /// Null: a miss, counted for `database`. All bytes of the key are compared. Entries that turn
    /// out invalid or expired are dropped.
    EntryPtr lookup(DatabaseState& database, const base::Hash128& hash, const KeyName& name,
                    base::Nanos now);
    /// The same, and whether it is a hit or a miss is not counted yet.
    EntryPtr find(const base::Hash128& hash, const KeyName& name, base::Nanos now);
    /// The same for people: counts and drops nothing.
    EntryPtr peek(const base::Hash128& hash, const KeyName& name);
    /// Whether lookup() would find it now; counts and drops nothing.
    bool would_hit(const base::Hash128& hash, const KeyName& name, base::Nanos now);
    /// Charges and builds an entry, evicting for it; null when too large or there is no room.
    EntryPtr make(const EntryParts& parts);
    /// Takes the place of an entry of the same key unless that is valid and was filled later.
    Publish publish(EntryPtr entry);

    /// Shrinks at once, as far as readers let go.
    void set_limits(std::uint64_t max_bytes, std::uint64_t max_entry);
    void clear();
    void clear_database(std::uint64_t cache_id);

    std::uint64_t max_bytes() const noexcept { return account_->limit(); }
    std::uint64_t max_entry() const noexcept { return max_entry_.load(std::memory_order_relaxed); }
    /// All that is charged: entries, pinned entries, fills.
    std::uint64_t used() const noexcept { return account_->used(); }

    /// So full that something has to go for what comes: only what is asked for twice is stored.
    bool full() const noexcept {
        const auto limit = account_->limit();
        return account_->used() > limit - limit / 16;
    }
    Ledger& ledger() noexcept { return ledger_; }
    Flights& flights() noexcept { return flights_; }

    /// RelationState::row_to_read(), charged here. The states of all relations' rows take at most a
    /// quarter of the cache; null beyond that, and where readers and fills hold too much.
    State* row_to_read(RelationState& relation, std::uint64_t number);

    /// An empty charge on this cache's account.
    Charge charge() const { return Charge(account_); }
    /// Grows `charge`, evicting entries for it. False when readers and fills hold too much.
    bool grow(Charge& charge, std::uint64_t bytes);

  private:
    Shard& shard_of(const base::Hash128& hash) noexcept {
        return *shards_[hash.high & (shards_.size() - 1)];
    }
    std::uint64_t evict(std::uint64_t bytes);

    std::shared_ptr<MemoryAccount> account_;
    std::atomic<std::uint64_t> max_entry_;
    Ledger ledger_;
    Flights flights_;
    std::atomic<std::size_t> next_victim_{0};
    std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace pgweir::cache
