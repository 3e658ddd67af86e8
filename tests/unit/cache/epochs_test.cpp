#include "pgweir/cache/epochs.hpp"

#include <doctest/doctest.h>

#include <set>
#include <thread>

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using pgweir::cache::testing::catalog;
using pgweir::cache::testing::World;

TEST_CASE("a snapshot holds until a relation of it, the database or everything is bumped") {
    World w;
    auto a = w.capture({1, 2});
    REQUIRE(a);
    CHECK(a->dependencies().size() == 6);  // two of each relation, see RelationState::any_row
    w.db.relation(3).bump();
    CHECK(a->still_valid());
    w.db.relation(2).bump();
    CHECK_FALSE(a->still_valid());
    auto b = w.capture({1});
    w.db.whole().bump();
    CHECK_FALSE(b->still_valid());
    auto c = w.capture({1});
    w.registry.everything().bump();
    CHECK_FALSE(c->still_valid());
}

TEST_CASE("nothing is captured while a fence is up, and what was captured before stays invalid") {
    World w;
    auto before = w.capture({1});
    WriteFence fence;
    fence.add(w.db.relation(1));
    CHECK(before->still_valid());
    CHECK(w.capture({1}));
    fence.raise();
    CHECK_FALSE(before->still_valid());
    CHECK_FALSE(w.capture({1}));
    CHECK(w.capture({2}));
    fence.settle();
    CHECK(w.capture({1}));
    CHECK_FALSE(before->still_valid());
    CHECK(fence.empty());
}

TEST_CASE("every other catalog brings other definitions, the first one, too") {
    Registry registry;
    auto& db = registry.database("s", "d");
    const auto none = db.definitions();
    const auto first = catalog(1);
    CHECK(db.set_catalog(first));
    const auto known = db.definitions();
    CHECK(known > none);
    CHECK(db.set_catalog(first));
    CHECK(db.definitions() == known);
    CHECK(db.set_catalog(catalog(2)));
    CHECK(db.definitions() > known);
}

TEST_CASE("one writer's end does not take another's fence away") {
    World w;
    WriteFence a, b;
    a.add(w.db.relation(1));
    a.add(w.db.relation(1));
    b.add(w.db.relation(1));
    a.raise();
    b.raise();
    CHECK(w.db.relation(1).fence() == 2);
    a.settle();
    CHECK_FALSE(w.capture({1}));
    b.settle();
    CHECK(w.capture({1}));
}

TEST_CASE("a raised fence settles when its owner is destroyed or assigned over, once") {
    World w;
    auto& r = w.db.relation(1);
    {
        WriteFence a;
        a.add(r);
        a.raise();
        WriteFence b(std::move(a));
        CHECK(r.fence() == 1);
    }
    CHECK(r.fence() == 0);
    CHECK(r.epoch() == 2);
    WriteFence c;
    c.add(r);
    c.raise();
    c = WriteFence();
    CHECK(r.fence() == 0);
    c.add(r);
    c.settle();
    CHECK(r.epoch() == 4);
}

TEST_CASE("a relation added to a raised fence is fenced at once") {
    World w;
    WriteFence f;
    f.raise();
    f.add(w.db.relation(1));
    CHECK(w.db.relation(1).fence() == 1);
    f.settle();
    CHECK(w.db.relation(1).fence() == 0);
}

TEST_CASE("a write set that grows beyond its bound fences the whole database") {
    World w;
    WriteFence f;
    for (query::Oid oid = 1; oid <= 1000; ++oid) f.add(w.db.relation(oid));
    f.raise();
    CHECK(w.db.whole().fence() == 1);
    CHECK(w.db.relation(1).fence() == 1);
    CHECK(w.db.relation(1000).fence() == 0);
    CHECK_FALSE(w.capture({1000}));
    f.settle();
    CHECK(w.capture({1000}));
}

TEST_CASE("a commit of unknown outcome keeps its fence until somebody settles it") {
    World w;
    auto orphan = [&] {
        WriteFence f;
        f.add(w.db.relation(1));
        f.raise();
        return f.release_unsettled();
    }();
    CHECK_FALSE(orphan.empty());
    CHECK(w.db.relation(1).fence() == 1);
    const auto epoch = w.db.relation(1).epoch();
    orphan.settle();
    CHECK(w.db.relation(1).fence() == 0);
    CHECK(w.db.relation(1).epoch() == epoch + 1);
    WriteFence unsent;
    unsent.add(w.db.relation(1));
    CHECK(unsent.release_unsettled().empty());
    CHECK(w.db.relation(1).epoch() == epoch + 1);
}

TEST_CASE("a relation keeps its address, and beyond the bound it is the whole database") {
    World w;
    auto* first = &w.db.relation(1);
    for (query::Oid oid = 1; oid <= EpochDomain::kMaxRelations; ++oid) {
        if (&w.db.relation(oid) == &w.db.whole()) FAIL("too early");
    }
    CHECK(&w.db.relation(1) == first);
    CHECK(&w.db.relation(EpochDomain::kMaxRelations + 1) == &w.db.whole());
    CHECK(&w.db.relation(7) != &w.db.whole());
    auto s = w.capture({EpochDomain::kMaxRelations + 2});
    REQUIRE(s);
    w.db.whole().bump();
    CHECK_FALSE(s->still_valid());
}

TEST_CASE("a write through one address of a server reaches what was read through another") {
    World w;
    auto& alias = w.registry.database("localhost:5432", "app");
    auto& other = w.registry.database("127.0.0.1:5432", "other");
    alias.set_catalog(catalog(1));
    other.set_catalog(catalog(1));
    CHECK(&alias != &w.db);
    CHECK(&w.registry.database("localhost:5432", "app") == &alias);
    CHECK(alias.cache_id() != w.db.cache_id());
    const query::Oid oids[] = {1};
    auto here = w.capture({1});
    auto elsewhere = Snapshot::capture(other, oids, 1);
    WriteFence f;
    f.add(alias.relation(1));
    f.raise();
    CHECK_FALSE(here->still_valid());
    CHECK(elsewhere->still_valid());
    f.settle();
    f.add(alias.everything());
    f.raise();
    CHECK_FALSE(elsewhere->still_valid());
    CHECK_FALSE(w.capture({1}));
}

TEST_CASE("an address and a name never run into one another") {
    Registry r;
    CHECK(&r.database("a", "bc") != &r.database("ab", "c"));
    CHECK(r.databases().size() == 2);
}

TEST_CASE("names that strangers make up are bounded, and the surplus is never cached") {
    Registry r;
    auto& known = r.database("s", "app");
    for (std::size_t i = 0; i < Registry::kMaxDatabases; ++i)
        r.database("s", "x" + std::to_string(i));
    auto& surplus = r.database("s", "one more");
    CHECK(&surplus == &r.database("s", "and another"));
    CHECK(r.databases().size() == Registry::kMaxDatabases);
    surplus.set_rung(Rung::in_band, "asked for");
    CHECK(surplus.rung() == Rung::off);
    CHECK(&r.database("s", "app") == &known);
    CHECK(&r.database("other address", "app") != &surplus);
}

TEST_CASE("no fill is begun under another catalog than the one in force") {
    World w;
    const query::Oid oids[] = {1};
    CHECK(Snapshot::capture(w.db, oids, 1));
    CHECK_FALSE(Snapshot::capture(w.db, oids, 2));
    CHECK_FALSE(Snapshot::capture(w.db, oids, 0));
    auto old = w.capture({1});
    CHECK(w.db.set_catalog(catalog(2)));
    CHECK_FALSE(old->still_valid());
    CHECK_FALSE(Snapshot::capture(w.db, oids, 1));
    CHECK(Snapshot::capture(w.db, oids, 2));
    CHECK_FALSE(w.db.set_catalog(catalog(2)));
    CHECK(w.db.catalog_version() == 2);
    w.db.set_catalog(nullptr);
    CHECK(w.db.catalog() == nullptr);
    CHECK_FALSE(Snapshot::capture(w.db, oids, 2));
}

TEST_CASE("a schema change takes the catalog away until one is read that began after it") {
    World w;
    const query::Oid oids[] = {1};
    auto early = w.db.begin_catalog_read();
    REQUIRE(early);
    WriteFence ddl;
    ddl.add_schema(w.db);
    ddl.raise();
    CHECK(w.db.catalog_version() == 0);
    CHECK(w.db.catalog() == nullptr);
    CHECK_FALSE(w.db.begin_catalog_read());
    ddl.settle();
    CHECK_FALSE(w.db.set_catalog(catalog(2), *early));
    CHECK_FALSE(Snapshot::capture(w.db, oids, 1));
    auto late = w.db.begin_catalog_read();
    REQUIRE(late);
    CHECK(w.db.set_catalog(catalog(3), *late));
    CHECK(Snapshot::capture(w.db, oids, w.db.catalog_version()));
    CHECK_FALSE(Snapshot::capture(w.db, oids, 1));
}

TEST_CASE("a catalog that was read again unchanged is put in force again, but not an older one") {
    World w;
    const query::Oid oids[] = {1};
    const auto first = catalog(7), second = catalog(8);
    CHECK(w.db.set_catalog(first));
    const auto version = w.db.catalog_version();
    w.db.schema().bump();
    CHECK(w.db.catalog_version() == 0);
    CHECK(w.db.set_catalog(first));
    CHECK(w.db.catalog_version() > version);
    CHECK_FALSE(Snapshot::capture(w.db, oids, version));
    CHECK(w.db.catalog() == first);
    w.db.set_catalog(nullptr);
    CHECK(w.db.catalog() == nullptr);
    CHECK(w.db.catalog_version() == 0);
    CHECK(w.db.set_catalog(first));  // the control connection came back to the same catalog
    CHECK(Snapshot::capture(w.db, oids, w.db.catalog_version()));
    CHECK(w.db.set_catalog(second));
    CHECK_FALSE(w.db.set_catalog(first));
    CHECK(w.db.catalog() == second);
}

TEST_CASE("a write of unknown extent leaves the catalog in force") {
    World w;
    WriteFence f;
    f.add(w.db.whole());
    f.raise();
    CHECK(w.db.catalog_version() == 1);
    CHECK_FALSE(w.capture({1}));
    f.settle();
    CHECK(w.capture({1}));
}

TEST_CASE("a role-level change takes the catalogs of all databases away") {
    World w;
    w.registry.everything().bump();
    CHECK(w.db.catalog_version() == 0);
}

TEST_CASE("the rung says why it is what it is") {
    World w;
    CHECK(w.db.rung() == Rung::off);
    w.db.set_rung(Rung::in_band, "exclusive_writer is declared");
    CHECK(w.db.rung() == Rung::in_band);
    CHECK(w.db.rung_reason() == "exclusive_writer is declared");
    CHECK(name(w.db.rung()) == "in_band");
}

TEST_CASE("another rung keeps nothing of what was stored under the one before") {
    World w;
    w.db.set_rung(Rung::in_band, "");
    const auto kept = w.capture({1});
    w.db.set_rung(Rung::in_band, "the same");
    CHECK(kept->still_valid());
    w.db.set_rung(Rung::off, "");
    w.db.set_rung(Rung::in_band, "");
    CHECK_FALSE(kept->still_valid());
}

TEST_CASE("a catalog swapped under readers never shows a version that is not in force") {
    World w;
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> mixed{0};
    std::thread reader([&] {
        while (!stop.load()) {
            const auto seen = w.db.catalog_version();
            const auto c = w.db.catalog();
            if (c != nullptr && c->version < seen) mixed.fetch_add(1);
        }
    });
    for (std::uint64_t v = 2; v < 2000; ++v) {
        w.db.schema().bump();
        CHECK(w.db.catalog_version() == 0);
        w.db.set_catalog(catalog(v));
        CHECK(w.db.catalog_version() == v);
    }
    stop.store(true);
    reader.join();
    CHECK(mixed.load() == 0);
}

TEST_CASE("what ran without a catalog, or by one that is another by now, may have defined") {
    World w;
    // By the last one there is: what tells nothing new comes into force.
    const auto first = catalog(2), second = catalog(3);
    CHECK(w.db.set_catalog(first));
    w.db.schema().bump();
    CHECK_FALSE(w.db.judged_in_doubt(w.db.catalogs()));
    CHECK(w.db.set_catalog(first));
    // What does tells it, and is read once more.
    w.db.schema().bump();
    const auto before = w.db.catalogs();
    CHECK_FALSE(w.db.judged_in_doubt(before));
    CHECK_FALSE(w.db.set_catalog(second));
    CHECK(w.db.catalog_version() == 0);
    CHECK(w.db.last_catalog() == second);
    CHECK(w.db.set_catalog(second));
    CHECK(w.db.catalog() == second);
    // What was judged by the first is over now.
    CHECK(w.db.judged_in_doubt(before));
    CHECK(w.db.catalog_version() == 0);
    CHECK(w.db.set_catalog(second));
}

TEST_CASE("a catalog that comes too late is the last one, though not in force") {
    World w;
    auto early = w.db.begin_catalog_read();
    REQUIRE(early);
    w.db.schema().bump();
    const auto late = catalog(2);
    CHECK_FALSE(w.db.set_catalog(late, *early));
    CHECK(w.db.last_catalog() == late);
    CHECK(w.db.catalog_version() == 0);
}
