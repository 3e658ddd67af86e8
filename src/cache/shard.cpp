// Index and eviction queue of one shard.
#include "shard.hpp"

#include <cstring>

#include "pgweir/base/plants.hpp"

namespace pgweir::cache {

namespace {
constexpr std::size_t kMinBuckets = 16;

/// With the bug planted, times to live are measured by a clock that is set back two seconds after
/// the start.
base::Nanos plant_clock(base::Nanos now) noexcept {
    if (!base::planted(base::Plant::wall_clock_ttl)) return now;
    static const base::Nanos start = now;
    return now - start > 2 * base::kSecond ? now - 3600 * base::kSecond : now;
}

/// An entry of many lies in no processor's cache: all that a hit reads of one with a short answer
/// is asked of the memory at once, not line after line.
void fetch(const Entry& entry) noexcept {
    constexpr std::size_t kLine = 64, kLines = 7;
    const auto* at = reinterpret_cast<const char*>(&entry);
    for (std::size_t i = 1; i < kLines; ++i) __builtin_prefetch(at + i * kLine);
}
}  // namespace

Shard::Dropped::~Dropped() {
    while (first_ != nullptr) {
        Entry* entry = std::exchange(first_, first_->bucket_next_);
        entry->release();
    }
}

#ifdef PGWEIR_PLANTS
/// As if another entry had got the memory of one that is being sent.
void Shard::plant_reuse(const Entry& entry) noexcept {
    const auto data = entry.data();
    if (data.size() > 12) std::memset(const_cast<char*>(data.data()) + 11, '7', 1);
}
#endif

inline Entry* Shard::find(const base::Hash128& hash, const KeyName& name) const noexcept {
    if (buckets_.empty()) return nullptr;
    Entry* entry = buckets_[hash.low & (buckets_.size() - 1)];
    const bool any_key = base::planted(base::Plant::hash_only);
    for (; entry != nullptr; entry = entry->bucket_next_) {
        fetch(*entry);
        if (entry->hash() == hash && (any_key || name.names(entry->key()))) break;
    }
    return entry;
}

EntryPtr Shard::lookup(const base::Hash128& hash, const KeyName& name, base::Nanos now) {
    Dropped dropped;
    const std::lock_guard lock(mutex_);
    Entry* entry = find(hash, name);
    if (entry == nullptr) return {};
    const bool settled_now = settled(entry->dependencies());
    const bool fit = fits(entry->dependencies());
    const bool live = fit && !entry->expired(plant_clock(now));
    if (live && !settled_now) return {};  // it may be right still, when the fence is down
    if (live) {
        entry->visited_ = true;
        entry->hits_.store(entry->hits_.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
#ifdef PGWEIR_PLANTS
        if (base::planted(base::Plant::freed_while_sent) && ++plant_lookups_ % 32 == 0) {
            EntryPtr sent(entry);
            remove(entry);
            dropped.add(entry);
            plant_reuse(*sent);
            return sent;
        }
#endif
        return EntryPtr(entry);
    }
    entry->database().stats().count(fit ? Event::expiry : Event::invalidation);
    remove(entry);
    dropped.add(entry);
    return {};
}

EntryPtr Shard::peek(const base::Hash128& hash, const KeyName& name) const {
    const std::lock_guard lock(mutex_);
    return EntryPtr(find(hash, name));
}

Publish Shard::publish(EntryPtr pointer) {
    Dropped dropped;
    const std::lock_guard lock(mutex_);
    Entry* entry = pointer.entry_;
    if (!entry->valid()) return Publish::stale;
    if (Entry* present = find(entry->hash(), entry->key()); present != nullptr) {
        const bool valid = present->valid();
        if (present == entry || (valid && present->filled() > entry->filled()))
            return Publish::older;
        if (!valid) present->database().stats().count(Event::invalidation);
        remove(present);
        dropped.add(present);
    }
    insert(entry);
    pointer.entry_ = nullptr;  // its reference is the index's now
    entry->database().stats().count(Event::fill);
    return Publish::published;
}

std::uint64_t Shard::evict(std::uint64_t bytes) {
    Dropped dropped;
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    while (sum < bytes && count_ != 0) {
        Entry* entry = victim();
        entry->database().stats().count(entry->valid() ? Event::eviction : Event::invalidation);
        sum += entry->bytes();
        remove(entry);
        dropped.add(entry);
    }
    return sum;
}

void Shard::clear() {
    Dropped dropped;
    const std::lock_guard lock(mutex_);
    while (oldest_ != nullptr) {
        Entry* entry = oldest_;
        remove(entry);
        dropped.add(entry);
    }
}

void Shard::clear_database(std::uint64_t cache_id) {
    Dropped dropped;
    const std::lock_guard lock(mutex_);
    for (Entry* entry = oldest_; entry != nullptr;) {
        Entry* next = entry->newer_;
        if (entry->database().cache_id() == cache_id) {
            remove(entry);
            dropped.add(entry);
        }
        entry = next;
    }
}

Entry*& Shard::bucket_of(const Entry& entry) noexcept {
    return buckets_[entry.hash().low & (buckets_.size() - 1)];
}

void Shard::insert(Entry* entry) {
    if (count_ >= buckets_.size()) grow();
    Entry*& bucket = bucket_of(*entry);
    entry->bucket_next_ = bucket;
    bucket = entry;
    entry->newer_ = nullptr;
    entry->older_ = newest_;
    (newest_ != nullptr ? newest_->newer_ : oldest_) = entry;
    newest_ = entry;
    entry->visited_ = false;
    ++count_;
    entry->database().stats().entry_added(entry->bytes());
}

void Shard::remove(Entry* entry) noexcept {
    Entry** link = &bucket_of(*entry);
    while (*link != entry) link = &(*link)->bucket_next_;
    *link = entry->bucket_next_;
    if (hand_ == entry) hand_ = entry->newer_;
    (entry->newer_ != nullptr ? entry->newer_->older_ : newest_) = entry->older_;
    (entry->older_ != nullptr ? entry->older_->newer_ : oldest_) = entry->newer_;
    entry->newer_ = entry->older_ = nullptr;
    --count_;
    entry->database().stats().entry_removed(entry->bytes());
    // Entry::kIndexBytes rests on this ratio.
    if (buckets_.size() > kMinBuckets && count_ * 4 <= buckets_.size()) halve();
}

Entry* Shard::victim() noexcept {
    for (;;) {
        Entry* entry = hand_ != nullptr ? hand_ : oldest_;
        // A dead entry goes first, however often it was hit while it lived.
        if (!entry->visited_ || !fits(entry->dependencies())) {
            hand_ = entry;  // remove() moves it on
            return entry;
        }
        entry->visited_ = false;
        hand_ = entry->newer_;
    }
}

void Shard::grow() {
    std::vector<Entry*> old(std::max(kMinBuckets, buckets_.size() * 2));
    old.swap(buckets_);
    for (Entry* first : old) {
        while (first != nullptr) {
            Entry* entry = std::exchange(first, first->bucket_next_);
            Entry*& bucket = bucket_of(*entry);
            entry->bucket_next_ = bucket;
            bucket = entry;
        }
    }
}

// In place, because taking entries out must not fail for want of memory.
void Shard::halve() noexcept {
    const auto half = buckets_.size() / 2;
    for (std::size_t i = 0; i < half; ++i) {
        Entry** end = &buckets_[i];
        while (*end != nullptr) end = &(*end)->bucket_next_;
        *end = buckets_[i + half];
    }
    buckets_.resize(half);
    buckets_.shrink_to_fit();
}

}  // namespace pgweir::cache
