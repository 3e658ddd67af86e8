// A change stream that shows a publication of the operator's: what is in it is cached and seen, and
// what it leaves out is never taken for seen, whatever is done to it meanwhile.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Cluster& cluster() {
    static Cluster& c = []() -> Cluster& {
        static Cluster one({{"synchronous_commit = on"}, ""});
        one.connect("postgres", "app").run("CREATE PUBLICATION \"shown, 'here'\"");
        return one;
    }();
    return c;
}

/// The catalog is polled so rarely that what is seen was told by the stream.
ProxyOptions options(const std::string& publication, const std::string& more = "") {
    return {{{"cache", "{max_staleness: 100ms, catalog_poll: 10min, stream: {publication: " +
                           publication + "}" + more + "}"},
             {"pool", "{min_size: 0, max_size: 4}"}},
            {},
            {},
            0};
}

void setup(const std::string& sql) { cluster().connect("app", "app").run(sql); }
/// All tables need a superuser.
void admin(const std::string& sql) { cluster().connect("postgres", "app").run(sql); }

Proxy& proxy() {
    static Proxy p(cluster(), options("\"shown, 'here'\""));
    return p;
}

void alter(const std::string& what) { admin("ALTER PUBLICATION \"shown, 'here'\" " + what); }

/// Longer than max_staleness.
void wait_staleness() { sleep_for(Seconds(0.11)); }

std::string guarantee(const Proxy& p, const std::string& column) {
    return p.console("SHOW CACHE GUARANTEE").at(0, column);
}

bool comes_to(RawClient& c, const std::string& sql, const std::string& why) {
    return eventually(
        [&] {
            ask(c, sql);
            return cache_reason(c, sql) == why;
        },
        Seconds(10));
}

}  // namespace

TEST_CASE("writes around the proxy to published tables are seen within max_staleness") {
    setup(
        "CREATE TABLE p1(id int PRIMARY KEY, n int); INSERT INTO p1 VALUES (1, 0);"
        "CREATE TABLE \"P 2 \"\"x\"(n int); ALTER TABLE \"P 2 \"\"x\" REPLICA IDENTITY FULL;"
        "INSERT INTO \"P 2 \"\"x\" VALUES (0);"
        "CREATE TABLE p3(id int PRIMARY KEY, n int) PARTITION BY LIST (id);"
        "CREATE TABLE p3a PARTITION OF p3 FOR VALUES IN (1); INSERT INTO p3 VALUES (1, 0);"
        "CREATE TABLE p4(n int PRIMARY KEY); INSERT INTO p4 VALUES (0);"
        "CREATE TABLE p4heir(PRIMARY KEY (n)) INHERITS (p4); CREATE VIEW pv AS SELECT n FROM p4;"
        "CREATE FUNCTION bump4() RETURNS void LANGUAGE sql AS 'UPDATE p4 SET n = n + 1'");
    alter("ADD TABLE p1, \"P 2 \"\"x\", p3, p4");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    const std::vector<std::array<std::string, 2>> cases{
        {"SELECT n FROM p1", "UPDATE p1 SET n = n + 1"},
        {"SELECT n FROM \"P 2 \"\"x\"", "UPDATE \"P 2 \"\"x\" SET n = n + 1"},
        {"SELECT sum(n) FROM p3", "UPDATE p3a SET n = n + 1"},
        {"SELECT sum(n) FROM p3a", "UPDATE p3 SET n = n + 1"},
        {"SELECT count(*) FROM p3", "TRUNCATE p3a"},
        {"SELECT n FROM pv", "SELECT bump4()"},
        {"SELECT max(n) FROM p4", "DO $$ BEGIN UPDATE p4 SET n = n + 1; END $$"},
        {"SELECT max(n) FROM p4", "INSERT INTO p4heir VALUES (100)"},
        {"SELECT count(*) FROM p1", "TRUNCATE p1, p4"},
    };
    for (const std::string root : {"false", "true"}) {
        CAPTURE(root);
        alter("SET (publish_via_partition_root = " + root + ")");
        for (const auto& both : cases) {
            const auto& read = both[0];  // a structured binding cannot be captured in clang 14
            CAPTURE(read);
            if (root == "true" && read.find("p3") != read.npos) {
                // TRUNCATE of a partition is not shown then.
                CHECK(comes_to(c, read, "not_published"));
                continue;
            }
            CHECK(becomes_cached(proxy(), c, read));
            direct.run(both[1]);
            wait_staleness();
            CHECK(ask(c, read) == direct.value(read));
        }
        setup("INSERT INTO p1 VALUES (1, 0); INSERT INTO p4 VALUES (0)");
    }
    CHECK(guarantee(proxy(), "guarantee") == "bounded");
    CHECK(guarantee(proxy(), "writes_elsewhere").ends_with("in cache.stream.publication"));
    alter("SET (publish_via_partition_root = false)");
}

TEST_CASE("published rows are known by their keys, and other rows stay") {
    setup(
        "CREATE TABLE keyed(a int, b text, n int, PRIMARY KEY (a, b));"
        "INSERT INTO keyed SELECT i, 'x', 0 FROM generate_series(1, 9) i;"
        "CREATE TABLE whole(a int PRIMARY KEY, n int); ALTER TABLE whole REPLICA IDENTITY FULL;"
        "INSERT INTO whole SELECT i, 0 FROM generate_series(1, 9) i");
    alter("ADD TABLE keyed (a, b), whole");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    for (const std::string table : {"keyed", "whole"}) {
        CAPTURE(table);
        const auto one = "SELECT sum(n) FROM " + table + " WHERE a = 1";
        const auto two = "SELECT sum(n) FROM " + table + " WHERE a = 2";
        REQUIRE(becomes_cached(proxy(), c, one));
        // Without a definition in between entries of one row outlive writes to others.
        const auto stays = [&](const std::string& write) {
            REQUIRE(becomes_cached(proxy(), c, two));
            const auto fills = proxy().cache_counter("fills");
            direct.run(write);
            CHECK(eventually([&] { return hits_of(proxy(), [&] { ask(c, two); }) == 1; }));
            wait_staleness();
            CHECK(hits_of(proxy(), [&] { ask(c, two); }) == 1);
            CHECK(proxy().cache_counter("fills") == fills);
        };
        const auto ends = [&](const std::string& write) {
            REQUIRE(becomes_cached(proxy(), c, one));
            direct.run(write);
            wait_staleness();
            CHECK(ask(c, one) == direct.value(one));
        };
        stays("UPDATE " + table + " SET n = n + 1 WHERE a = 1");
        ends("UPDATE " + table + " SET n = n + 1 WHERE a = 1");
        ends("UPDATE " + table + " SET a = 11 WHERE a = 1");
        ends("UPDATE " + table + " SET a = 1 WHERE a = 11");
        stays("UPDATE " + table + " SET a = 13 WHERE a = 3");
        stays("DELETE FROM " + table + " WHERE a = 4");
        ends("DELETE FROM " + table + " WHERE a = 1");
        ends(table == "keyed" ? "INSERT INTO keyed VALUES (1, 'y', 7)"
                              : "INSERT INTO whole VALUES (1, 7)");
    }
}

TEST_CASE("a table that is not published whole is not cached, and said not to be") {
    setup(
        "CREATE TABLE q1(n int PRIMARY KEY); CREATE TABLE q2(n int PRIMARY KEY);"
        "CREATE TABLE q3(id int PRIMARY KEY, n int) PARTITION BY LIST (id);"
        "CREATE TABLE q3a PARTITION OF q3 FOR VALUES IN (1);"
        "CREATE TABLE q3b PARTITION OF q3 FOR VALUES IN (2);"
        "CREATE TABLE q4(n int PRIMARY KEY); CREATE TABLE q4heir() INHERITS (q4);"
        "CREATE VIEW qv AS SELECT q1.n FROM q1, q2;"
        "CREATE MATERIALIZED VIEW qm AS SELECT n FROM q1");
    alter("ADD TABLE q1, q2 WHERE (n > 5), q3a, ONLY q4");
    auto c = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM q1"));
    for (const std::string read : {"SELECT n FROM q2", "SELECT n FROM qv", "SELECT n FROM q3",
                                   "SELECT n FROM q3b", "SELECT n FROM q3a", "SELECT n FROM q4",
                                   "SELECT n FROM qm", "SELECT q1.n FROM q1 JOIN q4heir ON true"}) {
        CAPTURE(read);
        CHECK(comes_to(c, read, "not_published"));
        CHECK(hits_of(proxy(), [&] {
                  for (int i = 0; i < 5; ++i) ask(c, read);
              }) == 0);
    }
    CHECK(proxy().metric("pgweir_not_cached_total{reason=\"not_published\"}") > 0);
    // Named as a whole, the tree is published, with partitions that are to come.
    alter("ADD TABLE q3");
    CHECK(becomes_cached(proxy(), c, "SELECT n FROM q3"));
    setup("CREATE TABLE q3c PARTITION OF q3 FOR VALUES IN (3); INSERT INTO q3 VALUES (3, 3)");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM q3") == "3");
}

TEST_CASE("what is taken from the publication or added to it counts within max_staleness") {
    setup(
        "CREATE TABLE r1(n int PRIMARY KEY); INSERT INTO r1 VALUES (0);"
        "CREATE SCHEMA other; CREATE TABLE other.r2(n int PRIMARY KEY);"
        "INSERT INTO other.r2 VALUES (0)");
    alter("SET TABLE r1");  // a list of columns, as of others, would bar schemas
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    int n = 0;
    const auto write = [&](const std::string& table) {
        direct.run("UPDATE " + table + " SET n = " + std::to_string(++n));
        wait_staleness();
        CHECK(ask(c, "SELECT n FROM " + table) == std::to_string(n));
    };
    for (const std::string table : {"r1", "r1", "other.r2"}) {
        CAPTURE(table);
        const auto read = "SELECT n FROM " + table;
        if (table == "other.r2") alter("ADD TABLES IN SCHEMA other");
        REQUIRE(becomes_cached(proxy(), c, read));
        write(table);
        REQUIRE(becomes_cached(proxy(), c, read));
        alter(table == "r1" ? "DROP TABLE r1" : "DROP TABLES IN SCHEMA other");
        write(table);
        CHECK(comes_to(c, read, "not_published"));
        write(table);
        if (table == "r1") alter("ADD TABLE r1");
    }
    // Gone and back between two looks.
    for (int i = 0; i < 10; ++i) {
        REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM r1"));
        alter("DROP TABLE r1");
        direct.run("UPDATE r1 SET n = " + std::to_string(++n));
        alter("ADD TABLE r1");
        wait_staleness();
        REQUIRE(ask(c, "SELECT n FROM r1") == std::to_string(n));
    }
}

TEST_CASE("a publication that leaves some kinds of change out, or is none, is no ground for hits") {
    setup("CREATE TABLE u1(n int PRIMARY KEY); INSERT INTO u1 VALUES (0)");
    Proxy p(cluster(), options("later"));
    auto c = RawClient::login(p.port());
    auto direct = cluster().connect("app", "app");
    CHECK(eventually([&] {
        ask(c, "SELECT n FROM u1");
        return p.logs("the publication later does not exist in this database", Seconds(0.1));
    }));
    CHECK(guarantee(p, "guarantee") == "off");
    CHECK(guarantee(p, "reason").find("does not exist") != std::string::npos);
    admin("CREATE PUBLICATION later FOR ALL TABLES WITH (publish = 'insert, update, delete')");
    CHECK(eventually([&] { return p.logs("the publication later leaves some of insert"); },
                     Seconds(15)));
    CHECK(hits_of(p, [&] {
              for (int i = 0; i < 5; ++i) ask(c, "SELECT n FROM u1");
          }) == 0);
    admin("ALTER PUBLICATION later SET (publish = 'insert, update, delete, truncate')");
    CHECK(eventually([&] { return becomes_cached(p, c, "SELECT n FROM u1"); }, Seconds(15)));
    direct.run("UPDATE u1 SET n = 1");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM u1") == "1");
    REQUIRE(becomes_cached(p, c, "SELECT n FROM u1"));
    admin("DROP PUBLICATION later");
    direct.run("UPDATE u1 SET n = 2");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM u1") == "2");
    CHECK(eventually([&] { return guarantee(p, "guarantee") == "off"; }));
    CHECK(hits_of(p, [&] {
              for (int i = 0; i < 5; ++i) ask(c, "SELECT n FROM u1");
          }) == 0);
}

TEST_CASE("a publication that is changed again while its stream begins is shown as it is then") {
    setup("CREATE TABLE again(n int PRIMARY KEY); INSERT INTO again VALUES (0)");
    admin("CREATE PUBLICATION again FOR TABLE again");
    Proxy p(cluster(), options("again"));
    auto c = RawClient::login(p.port());
    auto direct = cluster().connect("app", "app");
    const auto alter_again = [&](const std::string& root) {
        admin("ALTER PUBLICATION again SET (publish_via_partition_root = " + root + ")");
    };
    // What the stream was told of it, and what the catalog then says, may be of two moments.
    for (int i = 0; i < 30; ++i) {
        CAPTURE(i);
        REQUIRE(becomes_cached(p, c, "SELECT n FROM again"));
        alter_again("true");
        for (int j = 0; j < i; ++j) {
            sleep_for(Seconds(0.005));
            alter_again(j % 2 == 0 ? "false" : "true");
        }
        direct.run("UPDATE again SET n = n + 1");
        wait_staleness();
        CHECK(ask(c, "SELECT n FROM again") == std::to_string(i + 1));
    }
    REQUIRE(becomes_cached(p, c, "SELECT n FROM again"));
}

TEST_CASE("a reload takes another publication, or none") {
    setup("CREATE TABLE v1(n int PRIMARY KEY); CREATE TABLE v2(n int PRIMARY KEY)");
    admin("CREATE PUBLICATION first FOR TABLE v1; CREATE PUBLICATION second FOR TABLE v2");
    Proxy p(cluster(), options("first"));
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM v1"));
    CHECK(comes_to(c, "SELECT n FROM v2", "not_published"));
    const auto reload = [&](const std::string& publication) {
        p.reload(options(publication).sections);
    };
    reload("second");
    REQUIRE(becomes_cached(p, c, "SELECT n FROM v2"));
    CHECK(comes_to(c, "SELECT n FROM v1", "not_published"));
    reload("\"\"");
    CHECK(becomes_cached(p, c, "SELECT n FROM v1"));
    CHECK(becomes_cached(p, c, "SELECT n FROM v2"));
    CHECK(guarantee(p, "writes_elsewhere").ends_with("of all tables"));
}

TEST_CASE("with a publication, too, functions cost only what they write, and event triggers tell") {
    admin(read_file(PGWEIR_SQL "watch_ddl.sql"));
    setup(
        "CREATE TABLE w1(n int PRIMARY KEY); INSERT INTO w1 VALUES (0);"
        "CREATE TABLE w2(n int PRIMARY KEY); INSERT INTO w2 VALUES (0);"
        "CREATE VIEW wv AS SELECT n FROM w1;"
        "CREATE FUNCTION bump1() RETURNS int LANGUAGE sql AS "
        "'UPDATE w1 SET n = n + 1 RETURNING n'");
    admin("CREATE PUBLICATION w FOR TABLES IN SCHEMA public");
    Proxy p(cluster(), options("w"));
    auto c = RawClient::login(p.port());
    auto writer = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM w2"));
    REQUIRE(becomes_cached(p, c, "SELECT n FROM w1"));
    const auto fills = p.cache_counter("fills");
    for (int i = 1; i <= 10; ++i) {
        CHECK(ask(writer, "SELECT bump1()") == std::to_string(i));
        CHECK(ask(c, "SELECT n FROM w1") == std::to_string(i));
        CHECK(eventually([&] { return hits_of(p, [&] { ask(c, "SELECT n FROM w2"); }) == 1; }));
    }
    CHECK(p.cache_counter("fills") <= fills + 20);
    REQUIRE(becomes_cached(p, c, "SELECT n FROM wv"));
    setup("CREATE OR REPLACE VIEW wv AS SELECT n FROM w2");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM wv") == "0");
    CHECK(guarantee(p, "schema_changes").starts_with("told by event triggers"));
    admin(read_file(PGWEIR_SQL "unwatch_ddl.sql"));
}
