#include "pgweir/cache/store.hpp"

#include <doctest/doctest.h>
#include <malloc.h>

#include <random>

#include "support.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;
using pgweir::testing::amount;

namespace {

struct Bench {
    World w;
    ResultCache cache;
    explicit Bench(std::uint64_t max_bytes = 1 << 20, std::uint64_t max_entry = 1 << 16)
        : cache(max_bytes, max_entry) {}

    EntryParts parts(std::string_view key, std::string_view data) {
        EntryParts p;
        p.database = &w.db;
        p.hash = hash_key(key);
        p.key = key;
        p.data = data;
        return p;
    }
    bool put(std::string_view key, std::string_view data, base::Nanos expires = kNever) {
        const auto snapshot = w.capture({1});
        auto p = parts(key, data);
        p.dependencies = snapshot->dependencies();
        p.expires = expires;
        auto entry = cache.make(p);
        return entry && cache.publish(std::move(entry)) == Publish::published;
    }
    EntryPtr get(std::string_view key, base::Nanos now = 0) {
        return cache.lookup(w.db, hash_key(key), key, now);
    }
    std::uint64_t events(Event e) { return w.db.stats().read()[e]; }
};

std::string key_number(std::uint64_t n) { return "key " + std::to_string(n); }

}  // namespace

TEST_CASE("what was published is found until a relation it depends on changes") {
    Bench b;
    CHECK_FALSE(b.get("k"));
    CHECK(b.put("k", "value"));
    CHECK(b.get("k")->data() == "value");
    CHECK(b.get("k")->key() == "k");
    b.w.db.relation(2).bump();
    CHECK(b.get("k"));
    b.w.db.relation(1).bump();
    CHECK_FALSE(b.get("k"));
    CHECK(b.events(Event::hit) == 3);
    CHECK(b.events(Event::miss) == 2);
    CHECK(b.events(Event::invalidation) == 1);
    CHECK(b.w.db.stats().read().entries == 0);
    CHECK(b.cache.used() == 0);
}

TEST_CASE("an entry ends with its time") {
    Bench b;
    CHECK(b.put("k", "v", 100));
    CHECK(b.get("k", 99));
    CHECK_FALSE(b.get("k", 100));
    CHECK(b.events(Event::expiry) == 1);
    CHECK(b.w.db.stats().read().entries == 0);
}

TEST_CASE("equal hashes of different keys are different entries (S39)") {
    Bench b;
    const base::Hash128 same{42, 42};
    const auto snapshot = b.w.capture({1});
    for (const std::string_view key : {"a", "b", "c"}) {
        auto p = b.parts(key, key);
        p.hash = same;
        p.dependencies = snapshot->dependencies();
        CHECK(b.cache.publish(b.cache.make(p)) == Publish::published);
    }
    for (const std::string_view key : {"a", "b", "c"})
        CHECK(b.cache.lookup(b.w.db, same, key, 0)->data() == key);
    CHECK_FALSE(b.cache.lookup(b.w.db, same, "d", 0));
    CHECK_FALSE(b.cache.lookup(b.w.db, same, "", 0));
    CHECK(b.w.db.stats().read().entries == 3);
}

TEST_CASE("an entry takes the place of an older one and not of a newer one") {
    Bench b;
    const auto snapshot = b.w.capture({1});
    const auto publish = [&](std::string_view data, base::Nanos filled) {
        auto p = b.parts("k", data);
        p.dependencies = snapshot->dependencies();
        p.filled = filled;
        return b.cache.publish(b.cache.make(p));
    };
    CHECK(publish("second", 2) == Publish::published);
    CHECK(publish("first", 1) == Publish::older);
    CHECK(b.get("k")->data() == "second");
    CHECK(publish("third", 3) == Publish::published);
    CHECK(b.get("k")->data() == "third");
    CHECK(b.w.db.stats().read().entries == 1);
    b.w.db.relation(1).bump();
    CHECK(publish("fourth", 4) == Publish::stale);
}

TEST_CASE("an entry in the cache is not put there twice") {
    Bench b;
    auto entry = b.cache.make(b.parts("k", "v"));
    CHECK(b.cache.publish(entry) == Publish::published);
    CHECK(b.cache.publish(entry) == Publish::older);
    CHECK(b.w.db.stats().read().entries == 1);
    b.cache.clear();
    CHECK(b.cache.publish(entry) == Publish::published);
    CHECK(b.get("k")->data() == "v");
}

TEST_CASE("a reader keeps its bytes after the entry was evicted, replaced or cleared") {
    Bench b;
    b.put("k", "old");
    auto pinned = b.get("k");
    b.put("k", "new");
    CHECK(b.get("k")->data() == "new");
    b.cache.clear();
    CHECK(pinned->data() == "old");
    CHECK(b.cache.used() == pinned->bytes());
    pinned.reset();
    CHECK(b.cache.used() == 0);
}

TEST_CASE("an entry outlives the cache when a reader holds it") {
    World w;
    EntryPtr pinned;
    {
        ResultCache cache(1 << 20, 1 << 16);
        EntryParts p;
        p.database = &w.db;
        p.key = "k";
        p.data = "v";
        pinned = cache.make(p);
        CHECK(cache.publish(pinned) == Publish::published);
    }
    CHECK(pinned->data() == "v");
}

TEST_CASE("an entry over the limit is refused, one at the limit is not") {
    Bench b(1 << 20, 4096);
    CHECK_FALSE(b.put("k", std::string(4096, 'x')));
    CHECK(b.cache.used() == 0);
    std::size_t size = 4096;
    while (Entry::bytes_for(b.parts("k", std::string(size, 'x'))) + 3 * sizeof(Dependency) > 4096)
        --size;
    CHECK(b.put("k", std::string(size - 16, 'x')));
    CHECK(ResultCache(1000, 5000).max_entry() == 1000);
}

TEST_CASE("what an entry is charged covers what the allocator gave for it") {
    Bench b(64 << 20, 16 << 20);
    std::mt19937_64 random(3);
    for (int i = 0; i < 300; ++i) {
        const auto size = random() % (std::uint64_t{1} << (random() % 23));
        auto entry = b.cache.make(b.parts("k", std::string(size, 'x')));
        REQUIRE(entry);
        // Entries are only ever changed by the shard; the cast is for malloc's sake.
        const auto given = malloc_usable_size(const_cast<Entry*>(entry.get()));
        CHECK(entry->bytes() >= given + 8);
        CHECK(entry->bytes() <= given + given / 10 + 4096 + 64);
        CHECK(b.cache.used() == entry->bytes());
    }
}

TEST_CASE("readers that pin evicted entries cannot push the cache over its limit") {
    Bench b(1 << 20, 1 << 16);
    std::vector<EntryPtr> pinned;
    std::uint64_t refused = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        const auto key = key_number(i);
        if (b.put(key, std::string(5000, 'x'))) {
            if (i % 2 == 0) pinned.push_back(b.get(key));
        } else {
            ++refused;
        }
        REQUIRE(b.cache.used() <= b.cache.max_bytes());
    }
    CHECK(refused > 0);
    std::uint64_t held = 0;
    for (const auto& p : pinned) held += p->bytes();
    CHECK(held <= b.cache.max_bytes());
    CHECK(held > b.cache.max_bytes() / 2);
    for (const auto& p : pinned) CHECK(p->data().size() == 5000);
    pinned.clear();
    CHECK(b.cache.used() == b.w.db.stats().read().bytes);
    CHECK(b.put("after", std::string(5000, 'x')));
}

TEST_CASE("fills being collected count against the limit, and make room for themselves") {
    Bench b(1 << 20, 1 << 16);
    for (std::uint64_t i = 0; i < 500; ++i) b.put(key_number(i), std::string(5000, 'x'));
    CHECK(b.cache.used() > b.cache.max_bytes() * 9 / 10);
    std::vector<Fill> fills;
    std::uint64_t refused = 0;
    for (int i = 0; i < 40; ++i) {
        fills.push_back(begin_fill(b.cache, b.w.db, "k", *b.w.capture({1})));
        for (int n = 0; n < 60; ++n) fills.back().append(row(std::string(1000, 'x')));
        refused += fills.back().end() == FillEnd::no_room;
        REQUIRE(b.cache.used() <= b.cache.max_bytes());
    }
    CHECK(refused > 0);
    CHECK(refused < 30);
    fills.clear();
    CHECK(b.cache.used() == b.w.db.stats().read().bytes);
}

TEST_CASE("two million small entries stay within the limit") {
    constexpr std::uint64_t kEntries = amount(2'000'000);
    Bench b(amount(32 << 20), 1 << 16);
    REQUIRE(b.w.capture({1}));
    std::string key;
    for (std::uint64_t i = 0; i < kEntries; ++i) {
        key = key_number(i);
        auto entry = b.cache.make(b.parts(key, "v"));
        if (!entry || b.cache.publish(std::move(entry)) != Publish::published) FAIL("refused");
        if (i % 1024 == 0) REQUIRE(b.cache.used() <= b.cache.max_bytes());
    }
    const auto stats = b.w.db.stats().read();
    CHECK(b.cache.used() <= b.cache.max_bytes());
    CHECK(b.cache.used() > b.cache.max_bytes() * 99 / 100);
    CHECK(stats.bytes == b.cache.used());
    CHECK(stats[Event::fill] == kEntries);
    CHECK(stats[Event::eviction] == kEntries - stats.entries);
    CHECK(b.get(key)->data() == "v");
}

TEST_CASE("a scan does not push out what is used") {
    Bench b(1 << 20, 1 << 16);
    constexpr std::uint64_t kHot = 300;  // about a tenth of what fits
    std::uint64_t cold = 1'000'000, hits = 0, tries = 0;
    for (std::uint64_t i = 0; i < kHot; ++i) {
        b.put(key_number(i), "hot");
        CHECK(b.get(key_number(i)));
    }
    for (int round = 0; round < amount(200); ++round) {
        for (std::uint64_t i = 0; i < kHot; ++i) {
            const bool hit = static_cast<bool>(b.get(key_number(i)));
            ++tries;
            hits += hit;
            if (!hit) b.put(key_number(i), "hot");
        }
        // More than the whole cache between two uses: FIFO and LRU would both lose every one.
        for (int i = 0; i < 6000; ++i) b.put(key_number(++cold), "cold");
    }
    CHECK(b.events(Event::eviction) > amount(500'000));
    CHECK(hits > tries * 9 / 10);
}

TEST_CASE("dead entries make room before living ones") {
    Bench b(1 << 20, 1 << 16);
    const query::Oid two[] = {2};
    const auto living = Snapshot::capture(b.w.db, two, 1);
    for (std::uint64_t i = 0; i < 50; ++i) {
        const auto key = key_number(1000 + i);
        const std::string data(5000, 'x');
        auto p = b.parts(key, data);
        p.dependencies = living->dependencies();
        b.cache.publish(b.cache.make(p));
        b.put(key_number(i), std::string(5000, 'x'));
        CHECK(b.get(key_number(i)));
        CHECK(b.get(key));
    }
    b.w.db.relation(1).bump();
    for (std::uint64_t i = 0; i < 120; ++i) b.put(key_number(2000 + i), std::string(5000, 'y'));
    for (std::uint64_t i = 0; i < 50; ++i) CHECK(b.get(key_number(1000 + i)));
    CHECK(b.events(Event::invalidation) > 0);
    CHECK(b.events(Event::eviction) == 0);
}

TEST_CASE("lower limits at a reload shrink the cache, higher ones let it grow") {
    Bench b(8 << 20, 1 << 16);
    for (std::uint64_t i = 0; i < 2000; ++i) b.put(key_number(i), std::string(5000, 'x'));
    CHECK(b.cache.used() > 7 << 20);
    b.cache.set_limits(1 << 20, 4096);
    CHECK(b.cache.used() <= 1 << 20);
    CHECK(b.cache.used() > 900'000);
    CHECK_FALSE(b.put("k", std::string(5000, 'x')));
    CHECK(b.put("k", std::string(3000, 'x')));
    b.cache.set_limits(0, 0);
    CHECK(b.cache.used() == 0);
    CHECK_FALSE(b.put("k", ""));
    b.cache.set_limits(8 << 20, 1 << 16);
    for (std::uint64_t i = 0; i < 2000; ++i) b.put(key_number(i), std::string(5000, 'x'));
    CHECK(b.cache.used() > 7 << 20);
}

TEST_CASE("one database is cleared without the others") {
    Bench b;
    auto& other = b.w.registry.database("127.0.0.1:5432", "other");
    other.set_catalog(catalog(1));
    for (std::uint64_t i = 0; i < 100; ++i) {
        b.put(key_number(i), "v");
        const auto key = "other " + key_number(i);
        auto p = b.parts(key, "v");
        p.database = &other;
        b.cache.publish(b.cache.make(p));
    }
    CHECK(other.stats().read().entries == 100);
    b.cache.clear_database(b.w.db.cache_id());
    CHECK(b.w.db.stats().read().entries == 0);
    CHECK(b.w.db.stats().read().bytes == 0);
    CHECK(other.stats().read().entries == 100);
    CHECK(other.stats().read().bytes == b.cache.used());
    b.cache.clear();
    CHECK(other.stats().read().entries == 0);
    CHECK(b.cache.used() == 0);
}

TEST_CASE("the index follows a random course of puts, looks and clears") {
    Bench b(1 << 20, 1 << 16);
    std::mt19937_64 random(11);
    std::unordered_map<std::string, std::string> last;
    for (int i = 0; i < 100'000; ++i) {
        const auto key = key_number(random() % 3000);
        switch (random() % 8) {
            case 0:
            case 1:
            case 2:
                last[key] = std::to_string(i);
                REQUIRE(b.put(key, last[key]));
                break;
            case 3:
                if (random() % 5000 == 0) b.cache.clear();
                if (random() % 5000 == 0) b.w.db.relation(1).bump();
                break;
            default:
                if (const auto entry = b.get(key)) REQUIRE(entry->data() == last[key]);
        }
    }
    const auto stats = b.w.db.stats().read();
    CHECK(stats[Event::hit] > 10'000);
    CHECK(stats.bytes == b.cache.used());
}
