// The ledger: what is stored is what pays, and what it keeps itself is bounded.
#include <doctest/doctest.h>

#include "pgweir/cache/ledger.hpp"
#include "pgweir/cache/store.hpp"
#include "support.hpp"
#include "support/amount.hpp"

namespace pgweir::cache::testing {

using pgweir::testing::amount;
namespace {

constexpr std::uint64_t kLimit = 16 << 20;

base::Hash128 hash_of(std::uint64_t n) { return hash_key(std::to_string(n)); }

/// How many of `n` different answers are stored and looked up.
std::size_t tried(const LedgerRow& row, std::uint64_t n, base::Nanos now) {
    std::size_t count = 0;
    for (std::uint64_t i = 0; i < n; ++i) count += row.pays(std::to_string(i), now) ? 1 : 0;
    return count;
}

void fill(LedgerRow& row, std::uint32_t n) {
    for (std::uint32_t i = 0; i < n; ++i) row.filled(100, true);
}

}  // namespace

TEST_CASE("a query that never hits is tried by a sample only, and by all once the sample pays") {
    ResultCache cache(kLimit, 1 << 20);
    const auto row = cache.ledger().row(1, 42);
    REQUIRE(row);
    fill(*row, LedgerRow::kWindow - 1);
    CHECK(tried(*row, 6400, 0) == 6400);
    fill(*row, 1);
    CHECK(row->off());
    const auto few = tried(*row, 6400, 5 * base::kSecond);
    CHECK(few > 100);  // two in 64
    CHECK(few < 300);
    // The same ones again, and as time passes every one for a moment.
    CHECK(tried(*row, 6400, 5 * base::kSecond) == few);
    bool found = false;
    for (int second = 0; second < 64; ++second)
        found = found || row->pays("7", second * base::kSecond);
    CHECK(found);

    row->hit(base::kMillisecond);
    fill(*row, LedgerRow::kSampleWindow);
    CHECK(!row->off());
    CHECK(tried(*row, 640, 0) == 640);
}

TEST_CASE("after a trial only what is asked for twice is stored, unless what is stored is hit") {
    ResultCache cache(kLimit, 1 << 20);
    const auto row = cache.ledger().row(1, 42);
    REQUIRE(row);
    fill(*row, LedgerRow::kTrial - 1);
    CHECK(row->at_once());
    fill(*row, 1);
    CHECK(!row->at_once());
    for (std::uint64_t i = 0; i < LedgerRow::kTrial; ++i) row->hit(base::kMillisecond);
    CHECK(row->at_once());
    fill(*row, 1);
    CHECK(!row->at_once());
}

TEST_CASE("a query that is never asked for twice is given up, though nothing of it is stored") {
    ResultCache cache(kLimit, 1 << 20);
    const auto row = cache.ledger().row(1, 42);
    REQUIRE(row);
    for (std::uint32_t i = 0; i < LedgerRow::kWindow; ++i) row->missed();
    CHECK(row->off());
    CHECK(row->fills() == 0);
    row->hit(base::kMillisecond);
    for (std::uint32_t i = 0; i < LedgerRow::kSampleWindow; ++i) row->missed();
    CHECK(!row->off());
}

TEST_CASE("a query whose hits save more than its fills cost is never given up") {
    ResultCache cache(kLimit, 1 << 20);
    const auto row = cache.ledger().row(1, 42);
    REQUIRE(row);
    for (std::uint32_t i = 0; i < 4 * LedgerRow::kWindow; ++i) {
        row->filled(100, true);
        if (i % 10 == 0) row->hit(50 * base::kMicrosecond);
        REQUIRE(!row->off());
    }
}

TEST_CASE("an answer that was too large is not collected again for a minute, or until a reload") {
    ResultCache cache(kLimit, 1 << 20);
    auto& ledger = cache.ledger();
    REQUIRE(ledger.row(1, 42));
    CHECK(!ledger.too_large(hash_of(1), 0));
    ledger.note_too_large(hash_of(1), 100 * base::kSecond);
    CHECK(ledger.too_large(hash_of(1), 159 * base::kSecond));
    CHECK(!ledger.too_large(hash_of(2), 159 * base::kSecond));
    CHECK(!ledger.too_large(hash_of(1), 160 * base::kSecond));
    cache.set_limits(kLimit, 2 << 20);
    CHECK(!ledger.too_large(hash_of(1), 101 * base::kSecond));
}

TEST_CASE("a fill that grew too large is remembered, and counts among what the query costs") {
    World w;
    ResultCache cache(kLimit, 1000);
    const auto row = cache.ledger().row(1, 42);
    REQUIRE(row);
    const auto hash = hash_key("k");
    Fill fill(cache, w.db, "k", hash, *w.capture({7}), FillOptions{.row = row});
    fill.append(answer(std::string(2000, 'x')));
    CHECK(fill.publish(base::kSecond) == FillEnd::too_large);
    CHECK(cache.ledger().too_large(hash, 2 * base::kSecond));
    CHECK(row->fills() == 1);
    CHECK(row->published() == 0);
    CHECK(row->spent() > 0);
}

TEST_CASE("what is asked for twice is known from what is asked for once") {
    ResultCache cache(kLimit, 1 << 20);
    REQUIRE(cache.ledger().row(1, 42));
    CHECK(!cache.ledger().asked_before(hash_of(1)));
    CHECK(!cache.ledger().asked_before(hash_of(2)));
    CHECK(cache.ledger().asked_before(hash_of(1)));
}

TEST_CASE("rows are counted in the cache's memory, bounded, and made anew when they are too many") {
    ResultCache cache(kLimit, 1 << 20);
    auto& ledger = cache.ledger();
    const auto generation = ledger.generation();
    const auto kept = ledger.row(1, 0);
    CHECK(cache.used() > Ledger::fixed_bytes());
    const auto with_one = cache.used();
    CHECK(ledger.row(1, 0) == kept);
    CHECK(cache.used() == with_one);
    for (std::uint64_t i = 0; i < 10 * Ledger::kMaxRows; ++i) ledger.row(1, i);
    CHECK(ledger.rows().size() <= Ledger::kMaxRows);
    CHECK(cache.used() < with_one + Ledger::kMaxRows * 512);
    CHECK(ledger.generation() != generation);
    ledger.forget_rows();
    CHECK(cache.used() == with_one);  // the one that is held here
}

TEST_CASE("a small cache has no ledger and stores everything") {
    ResultCache cache(64 * 1024, 4096);
    CHECK(cache.ledger().row(1, 42) == nullptr);
    CHECK(cache.used() == 0);
    CHECK(cache.ledger().asked_before(hash_of(1)));
    CHECK(!cache.ledger().too_large(hash_of(1), 0));
}

TEST_CASE("a write to a relation with 100,000 entries changes as little as to one with 1") {
    World w;
    ResultCache cache(256 << 20, 1 << 20);
    constexpr int kEntries = amount(100'000);
    for (int i = 0; i < kEntries; ++i) {
        const auto key = std::to_string(i);
        auto f = begin_fill(cache, w.db, key, *w.capture({7}));
        f.append(answer("x"));
        REQUIRE(f.publish(0) == FillEnd::published);
    }
    const auto before = w.db.stats().read();
    const auto epoch = w.db.relation(7).epoch();
    {
        WriteFence write;
        write.add(w.db.relation(7));
        write.raise();
    }
    // Two numbers have changed, and no entry was touched; yet none is found again.
    CHECK(w.db.relation(7).epoch() == epoch + 2);
    CHECK(w.db.stats().read().entries == before.entries);
    CHECK(w.db.stats().read()[Event::invalidation] == 0);
    for (int i = 0; i < kEntries; ++i) {
        const auto key = std::to_string(i);
        REQUIRE(!cache.lookup(w.db, hash_key(key), key, 0));
    }
    CHECK(w.db.stats().read()[Event::invalidation] == kEntries);
    CHECK(cache.used() == 0);
}

}  // namespace pgweir::cache::testing
