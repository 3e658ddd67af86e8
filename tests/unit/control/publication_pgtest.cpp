// What the catalog reader makes of a publication that a change stream is to show.
#include <doctest/doctest.h>

#include <set>

#include "control_fixture.hpp"

using namespace pgweir;
using namespace pgweir::testing;

TEST_CASE("a table is published with all its rows by itself, its schema or a table above it") {
    create_database("published");
    Cluster::shared().connect("postgres", "published").run(R"(
        CREATE TABLE a(n int); CREATE TABLE b(n int); CREATE TABLE c(n int, m int);
        CREATE VIEW v AS SELECT * FROM a; CREATE MATERIALIZED VIEW m AS SELECT * FROM a;
        CREATE UNLOGGED TABLE u(n int);
        CREATE TABLE parts(n int) PARTITION BY RANGE (n);
        CREATE TABLE low PARTITION OF parts FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (n);
        CREATE TABLE lower PARTITION OF low FOR VALUES FROM (0) TO (5);
        CREATE TABLE high PARTITION OF parts FOR VALUES FROM (9) TO (20);
        CREATE SCHEMA s; CREATE TABLE s.d(n int);
        CREATE TABLE parted(n int) PARTITION BY LIST (n);
        CREATE TABLE s.part PARTITION OF parted FOR VALUES IN (1);
        CREATE TABLE s.whole(n int) PARTITION BY LIST (n);
        CREATE TABLE piece PARTITION OF s.whole FOR VALUES IN (1);
        CREATE PUBLICATION every FOR ALL TABLES;
        CREATE PUBLICATION named FOR TABLE a, b WHERE (n > 1), c (n), low;
        CREATE PUBLICATION partly FOR TABLE parts, lower WHERE (n > 1);
        CREATE PUBLICATION rooted FOR TABLE a, parts, s.part WITH (publish_via_partition_root);
        CREATE PUBLICATION schema FOR TABLES IN SCHEMA s;
        CREATE PUBLICATION inserts FOR ALL TABLES WITH (publish = 'insert, update, delete');)");
    const auto shown = [](const std::string& publication) {
        control::Connection c(target_of(Cluster::shared(), "published"), {});
        REQUIRE(!c.wait_connected());
        const auto catalog = control::read_catalog(c, 1, {}, publication);
        REQUIRE(catalog);
        CHECK((*catalog)->publication.empty() == (publication.empty() || publication == "none"));
        std::set<std::string> names;
        for (const auto& [oid, relation] : (*catalog)->relations_by_oid)
            if (relation->published) names.insert(relation->name);
        std::string all;
        for (const auto& name : names) all += (all.empty() ? "" : " ") + name;
        return all;
    };
    CHECK(shown("every") == "a b c d high low lower part parted parts piece whole");
    CHECK(shown("named") == "a c low lower");
    CHECK(shown("partly") == "high");
    CHECK(shown("schema") == "d part piece whole");
    // TRUNCATE of a partition is not published as one of its root.
    CHECK(shown("rooted") == "a part");
    CHECK(shown("inserts") == "");
    CHECK(shown("none") == "");
    CHECK(shown("") == "");
}

TEST_CASE("whatever is done to the publication that is shown changes the fingerprint") {
    create_database("fingerprint_shown");
    auto db = Cluster::shared().connect("postgres", "fingerprint_shown");
    db.run("CREATE TABLE t(n int PRIMARY KEY); CREATE SCHEMA s; CREATE PUBLICATION other");
    control::Connection c(target_of(Cluster::shared(), "fingerprint_shown"), {});
    REQUIRE(!c.wait_connected());
    const auto now = [&] { return *control::catalog_fingerprint(c, "shown"); };
    auto before = now();
    for (const auto* change :
         {"CREATE PUBLICATION shown", "ALTER PUBLICATION shown ADD TABLE t",
          "ALTER PUBLICATION shown SET TABLE t WHERE (n > 1)",
          "ALTER PUBLICATION shown DROP TABLE t; ALTER PUBLICATION shown ADD TABLE t",
          "ALTER PUBLICATION shown ADD TABLES IN SCHEMA s",
          "ALTER PUBLICATION shown DROP TABLES IN SCHEMA s;"
          "ALTER PUBLICATION shown ADD TABLES IN SCHEMA s",
          "ALTER PUBLICATION shown SET (publish_via_partition_root)", "DROP PUBLICATION shown"}) {
        db.run(change);
        const auto after = now();
        CHECK_MESSAGE(before != after, change);
        before = after;
    }
    db.run("CREATE PUBLICATION shown FOR TABLE t; INSERT INTO t VALUES (1); ANALYZE t");
    before = now();
    db.run("UPDATE t SET n = 2; ANALYZE t");
    CHECK(now() == before);
}
