// One shard of the cache: a chained index and a SIEVE queue (Zhang et al., NSDI 2024) whose links
// lie in the entries. SIEVE: new entries at one end, a hand that moves from the oldest to the
// newest, spares and unmarks what was hit since it last came by, and evicts the first that was not;
// so a scan passes through without pushing out what is used, and a hit only sets a mark. Invariant:
// an entry is in the index iff it is in the queue, and both together hold one reference. Thread:
// any; one mutex. What is dropped is released after unlocking.
#pragma once

#include <mutex>
#include <vector>

#include "pgweir/base/short_lock.hpp"
#include "pgweir/cache/store.hpp"

namespace pgweir::cache {

class Shard {
  public:
    Shard() = default;
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    ~Shard() { clear(); }

    EntryPtr lookup(const base::Hash128& hash, const KeyName& name, base::Nanos now);
    EntryPtr peek(const base::Hash128& hash, const KeyName& name) const;
    Publish publish(EntryPtr entry);
    /// Drops entries until they sum to `bytes` or none is left; gives their sum.
    std::uint64_t evict(std::uint64_t bytes);
    void clear();
    void clear_database(std::uint64_t cache_id);

  private:
    /// Entries taken out under the lock, released when this goes, after the lock.
    class Dropped {
      public:
        Dropped() = default;
        Dropped(const Dropped&) = delete;
        Dropped& operator=(const Dropped&) = delete;
        ~Dropped();
        void add(Entry* entry) noexcept {
            entry->bucket_next_ = first_;
            first_ = entry;
        }

      private:
        Entry* first_ = nullptr;
    };

    Entry* find(const base::Hash128& hash, const KeyName& name) const noexcept;
    Entry*& bucket_of(const Entry& entry) noexcept;
    void insert(Entry* entry);
    void remove(Entry* entry) noexcept;
    Entry* victim() noexcept;
    void grow();
    void halve() noexcept;
    static void plant_reuse(const Entry& entry) noexcept;

    mutable base::ShortLock mutex_;
    std::vector<Entry*> buckets_;  // a power of two, or none
    std::size_t count_ = 0;
    Entry* newest_ = nullptr;
    Entry* oldest_ = nullptr;
    Entry* hand_ = nullptr;  // null: start at the oldest
    unsigned plant_lookups_ = 0;
};

}  // namespace pgweir::cache
