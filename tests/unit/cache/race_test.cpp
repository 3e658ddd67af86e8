// Real threads on the same cache: writers, readers and whoever clears, reloads and reads
// statistics. Meant to be run under ThreadSanitizer, too.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;

namespace {

/// One relation's value, and threads that change and read it through the cache.
struct Course {
    World world;
    ResultCache cache{1 << 20, 1 << 16};
    std::atomic<std::uint64_t> visible{0};  // what the database would answer
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> hits{0}, stale{0}, over_limit{0};

    void write(bool whole) {
        while (!stop.load()) {
            WriteFence fence;
            fence.add(whole ? world.db.whole() : world.db.relation(1));
            fence.raise();
            visible.fetch_add(1);
            fence.settle();
            for (int i = 0; i < 20 && !stop.load(); ++i) std::this_thread::yield();
        }
    }

    void read(std::uint64_t reader) {
        for (std::uint64_t n = reader; !stop.load(); ++n) {
            if (n % 64 == 0) std::this_thread::yield();
            const auto key = "key " + std::to_string(n % 50);
            const auto before = visible.load();
            if (const auto entry = cache.lookup(world.db, hash_key(key), key, 0)) {
                hits.fetch_add(1);
                if (std::stoull(value_of(*entry)) < before) stale.fetch_add(1);
                continue;
            }
            auto snapshot = world.capture({1});
            if (!snapshot) continue;
            auto fill = begin_fill(cache, world.db, key, std::move(*snapshot));
            fill.append(answer(std::to_string(visible.load())));
            fill.publish(0);
            if (cache.used() > (1 << 20)) over_limit.fetch_add(1);
        }
    }

    void disturb() {
        for (std::uint64_t n = 0; !stop.load(); ++n) {
            cache.set_limits(n % 2 == 0 ? 20'000 : 1 << 20, 1 << 16);
            if (n % 3 == 0) cache.clear_database(world.db.cache_id());
            if (n % 5 == 0) cache.clear();
            (void)world.db.stats().read();
            for (int i = 0; i < 50 && !stop.load(); ++i) std::this_thread::yield();
        }
    }
};

}  // namespace

TEST_CASE("with threads no hit is older than what was visible before the lookup") {
    Course c;
    std::vector<std::thread> threads;
    threads.emplace_back([&] { c.write(false); });
    threads.emplace_back([&] { c.write(true); });
    for (std::uint64_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { c.read(i); });
    threads.emplace_back([&] { c.disturb(); });
    // Until enough has happened to mean something, however busy the machine is.
    for (int i = 0; i < 600 && (i < 5 || c.visible.load() < 1000 || c.hits.load() < 1000); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    c.stop.store(true);
    for (auto& t : threads) t.join();
    CHECK(c.stale.load() == 0);
    CHECK(c.over_limit.load() == 0);
    CHECK(c.hits.load() >= 1000);
    CHECK(c.visible.load() >= 1000);
    const auto stats = c.world.db.stats().read();
    CHECK(stats[Event::hit] == c.hits.load());
    CHECK(stats.bytes == c.cache.used());
    c.cache.clear();
    CHECK(c.cache.used() == 0);
    CHECK(c.world.db.stats().read().entries == 0);
}

TEST_CASE("a limit lowered while others reserve holds when all is quiet") {
    for (int round = 0; round < 200; ++round) {
        MemoryAccount account(1000);
        std::thread other([&] {
            for (int i = 0; i < 50; ++i) account.try_reserve(10);
        });
        account.set_limit(100);
        const auto over = account.used();  // what the lowering thread sees and would evict
        other.join();
        CHECK(account.used() <= std::max<std::uint64_t>(over, 100));
    }
}

TEST_CASE("relations and databases made by many threads at once are the same for all") {
    World w;
    std::array<std::vector<RelationState*>, 4> seen;
    std::array<DatabaseState*, 4> databases{};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < seen.size(); ++t)
        threads.emplace_back([&, t] {
            databases[t] = &w.registry.database("s", "new");
            for (query::Oid oid = 1; oid < 2000; ++oid) seen[t].push_back(&w.db.relation(oid));
        });
    for (auto& t : threads) t.join();
    for (std::size_t t = 1; t < seen.size(); ++t) {
        CHECK(seen[t] == seen[0]);
        CHECK(databases[t] == databases[0]);
    }
}
