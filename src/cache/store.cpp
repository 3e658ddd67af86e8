// The cache over its shards: which shard, how much room, who goes.
#include "pgweir/cache/store.hpp"

#include <algorithm>
#include <bit>

#include "shard.hpp"

namespace pgweir::cache {

namespace {
/// Few shards for a small cache: a queue of a handful of entries cannot tell used from unused.
std::size_t shards_for(std::uint64_t max_bytes) noexcept {
    constexpr std::uint64_t kBytesPerShard = std::uint64_t{4} * 1024 * 1024;
    return std::bit_floor(std::clamp<std::uint64_t>(max_bytes / kBytesPerShard, 1, 64));
}
}  // namespace

ResultCache::ResultCache(std::uint64_t max_bytes, std::uint64_t max_entry)
    : account_(std::make_shared<MemoryAccount>(max_bytes)),
      max_entry_(std::min(max_bytes, max_entry)),
      ledger_(account_) {
    const auto n = shards_for(max_bytes);
    for (std::size_t i = 0; i < n; ++i) shards_.push_back(std::make_unique<Shard>());
}

ResultCache::~ResultCache() = default;

EntryPtr ResultCache::lookup(DatabaseState& database, const base::Hash128& hash,
                             const KeyName& name, base::Nanos now) {
    auto entry = find(hash, name, now);
    database.stats().count(entry ? Event::hit : Event::miss);
    return entry;
}

EntryPtr ResultCache::find(const base::Hash128& hash, const KeyName& name, base::Nanos now) {
    return shard_of(hash).lookup(hash, name, now);
}

EntryPtr ResultCache::peek(const base::Hash128& hash, const KeyName& name) {
    return shard_of(hash).peek(hash, name);
}

bool ResultCache::would_hit(const base::Hash128& hash, const KeyName& name, base::Nanos now) {
    const auto entry = peek(hash, name);
    return entry && entry->valid() && !entry->expired(now);
}

EntryPtr ResultCache::make(const EntryParts& parts) {
    const auto bytes = Entry::bytes_for(parts);
    if (bytes > max_entry()) return {};
    auto paid = charge();
    if (!grow(paid, bytes)) return {};
    return Entry::make(parts, std::move(paid));
}

Publish ResultCache::publish(EntryPtr entry) {
    if (entry->bytes() > max_entry()) return Publish::too_large;
    auto& shard = shard_of(entry->hash());
    return shard.publish(std::move(entry));
}

bool ResultCache::grow(Charge& charge, std::uint64_t bytes) {
    // What is evicted may still be pinned, and others may take the room: try again, but a bounded
    // number of times, so that slow readers cannot make one fill empty the cache.
    for (int attempt = 0; attempt < 3; ++attempt) {
        if (charge.grow(bytes)) return true;
        const auto limit = account_->limit();
        const auto wanted = account_->used() + bytes;
        if (bytes > limit) return false;
        if (wanted > limit && evict(wanted - limit) == 0) break;
    }
    return charge.grow(bytes);
}

State* ResultCache::row_to_read(RelationState& relation, std::uint64_t number) {
    if (auto* known = relation.row(number)) return known;
    const auto with = RelationState::with_rows();
    const auto bytes = RelationState::row_bytes();
    // Looked at first: nothing is to be evicted for what is refused.
    if (with >= RelationState::kMostWithRows || (with + 1) * bytes > account_->limit() / 4)
        return nullptr;
    auto paid = charge();
    return grow(paid, bytes) ? relation.row_to_read(number, std::move(paid)) : nullptr;
}

std::uint64_t ResultCache::evict(std::uint64_t bytes) {
    const auto first = next_victim_.fetch_add(1, std::memory_order_relaxed);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < shards_.size() && sum < bytes; ++i)
        sum += shards_[(first + i) & (shards_.size() - 1)]->evict(bytes - sum);
    return sum;
}

void ResultCache::set_limits(std::uint64_t max_bytes, std::uint64_t max_entry) {
    max_entry_.store(std::min(max_bytes, max_entry), std::memory_order_relaxed);
    ledger_.forget_too_large();
    account_->set_limit(max_bytes);
    for (auto used = account_->used(); used > max_bytes; used = account_->used())
        if (evict(used - max_bytes) == 0) return;
}

void ResultCache::clear() {
    for (auto& shard : shards_) shard->clear();
}

void ResultCache::clear_database(std::uint64_t cache_id) {
    for (auto& shard : shards_) shard->clear_database(cache_id);
}

}  // namespace pgweir::cache
