// When a query pays, and the small tables.
#include "pgweir/cache/ledger.hpp"

namespace pgweir::cache {

namespace {

constexpr std::uint64_t kClasses = 64;

std::uint64_t seconds(base::Nanos now) noexcept {
    return static_cast<std::uint64_t>(now / base::kSecond);
}

}  // namespace

bool LedgerRow::sampled(std::uint64_t hash, base::Nanos now) noexcept {
    const auto its = hash % kClasses;
    return its == 0 || its == seconds(now) % kClasses;
}

void LedgerRow::filled(std::uint64_t bytes, bool published) noexcept {
    fills_.fetch_add(1, std::memory_order_relaxed);
    if (published) published_.fetch_add(1, std::memory_order_relaxed);
    spend(kFillCost + static_cast<base::Nanos>(bytes) / kBytesPerNano);
}

void LedgerRow::spend(base::Nanos cost) noexcept {
    spent_.fetch_add(cost, std::memory_order_relaxed);
    const auto window = off() ? kSampleWindow : kWindow;
    if (window_.fetch_add(1, std::memory_order_relaxed) + 1 >= window) judge(window);
}

/// Two at once judge twice, which harms nothing.
void LedgerRow::judge(std::uint32_t window) noexcept {
    if (window_.exchange(0, std::memory_order_relaxed) < window) return;
    const auto saved = saved_.load(std::memory_order_relaxed);
    const auto spent = spent_.load(std::memory_order_relaxed);
    const auto gain = saved - saved_before_.exchange(saved, std::memory_order_relaxed);
    const auto cost = spent - spent_before_.exchange(spent, std::memory_order_relaxed);
    off_.store(gain < cost, std::memory_order_relaxed);
}

/// A cache of a few entries has no room for them, and no need.
bool Ledger::make_tables() {
    if (made_ != nullptr) return true;
    if (account_->limit() < 16 * fixed_bytes()) return false;
    if (!charge_.grow(allocation_bytes(fixed_bytes()))) return false;
    made_ = std::make_unique<Tables>();
    tables_.store(made_.get(), std::memory_order_release);
    return true;
}

LedgerRowPtr Ledger::row(std::uint64_t database, std::uint64_t fingerprint) {
    constexpr std::uint64_t kNode = 64;  // of the map, with its share of the buckets
    const RowKey key{database, fingerprint};
    const std::lock_guard lock(mutex_);
    const auto found = rows_.find(key);
    if (found != rows_.end()) return found->second;
    if (!make_tables()) return nullptr;
    if (rows_.size() >= kMaxRows) forget();
    Charge charge(account_);
    if (!charge.grow(allocation_bytes(sizeof(LedgerRow) + 16) + kNode)) return nullptr;
    auto row = std::make_shared<LedgerRow>(database, fingerprint, std::move(charge));
    rows_.emplace(key, row);
    return row;
}

std::vector<LedgerRowPtr> Ledger::rows() const {
    const std::lock_guard lock(mutex_);
    std::vector<LedgerRowPtr> all;
    all.reserve(rows_.size());
    for (const auto& [key, row] : rows_) all.push_back(row);
    return all;
}

void Ledger::forget_rows() {
    const std::lock_guard lock(mutex_);
    forget();
}

void Ledger::forget() {
    rows_.clear();
    const auto next = generation_.load(std::memory_order_relaxed) + 1;
    generation_.store(next != 0 ? next : 1, std::memory_order_release);
}

void Ledger::note_too_large(const base::Hash128& hash, base::Nanos now) noexcept {
    auto* tables = tables_.load(std::memory_order_acquire);
    if (tables == nullptr) return;
    const auto tag = (hash.high & ~std::uint64_t{0xffffffff}) | (seconds(now) & 0xffffffff);
    tables->large[hash.low % kLarge].store(tag, std::memory_order_relaxed);
}

bool Ledger::too_large(const base::Hash128& hash, base::Nanos now) const noexcept {
    auto* tables = tables_.load(std::memory_order_acquire);
    if (tables == nullptr) return false;
    const auto tag = tables->large[hash.low % kLarge].load(std::memory_order_relaxed);
    if (tag == 0 || (tag ^ hash.high) >> 32 != 0) return false;
    const auto age = static_cast<std::uint32_t>(seconds(now)) - static_cast<std::uint32_t>(tag);
    return age < static_cast<std::uint32_t>(seconds(kTooLargeFor));
}

void Ledger::forget_too_large() noexcept {
    auto* tables = tables_.load(std::memory_order_acquire);
    if (tables == nullptr) return;
    for (auto& slot : tables->large) slot.store(0, std::memory_order_relaxed);
}

bool Ledger::asked_before(const base::Hash128& hash) noexcept {
    auto* tables = tables_.load(std::memory_order_acquire);
    if (tables == nullptr) return true;
    const auto tag = static_cast<std::uint16_t>(hash.high | 1);
    auto& slot = tables->asked[(hash.low >> 16) % kAsked];
    return slot.exchange(tag, std::memory_order_relaxed) == tag;
}

}  // namespace pgweir::cache
