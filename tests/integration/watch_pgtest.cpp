// What is installed in a database from sql/, so that it tells the proxy of what is done elsewhere:
// event triggers for changes of the schema.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Cluster& cluster() {
    static Cluster c({{"synchronous_commit = on"}, ""});
    return c;
}

/// The catalog is polled so rarely that what is seen has been told.
ProxyOptions options(const std::string& more = "") {
    return {{{"cache", "{max_staleness: 200ms, catalog_poll: 10min" + more + "}"},
             {"pool", "{min_size: 0, max_size: 4}"}},
            {},
            {},
            0};
}

void run_file(const std::string& name, const std::string& db) {
    cluster().connect("postgres", db).run(read_file(PGWEIR_SQL + name));
}

void setup(const std::string& sql) { cluster().connect("app", "app").run(sql); }

std::string guarantee(const Proxy& p, const std::string& column) {
    return p.console("SHOW CACHE GUARANTEE").at(0, column);
}

/// Installed once for the tests of this file.
Proxy& watched() {
    static Proxy& p = []() -> Proxy& {
        run_file("watch_ddl.sql", "app");
        static Proxy proxy(cluster(), options());
        return proxy;
    }();
    return p;
}

/// What EXPLAIN CACHE says that the query depends on.
std::string depends(Db& db, const std::string& query) {
    for (const auto& row : db.exec("EXPLAIN CACHE " + query).rows)
        if (row.at(0) == "depends on") return row.at(1);
    return "";
}

void wait_staleness() { sleep_for(Seconds(0.21)); }


}  // namespace

TEST_CASE("schema changes made elsewhere count within max_staleness, of every kind") {
    setup(
        "CREATE TABLE d1(n int); INSERT INTO d1 VALUES (1);"
        "CREATE TABLE d2(n int); INSERT INTO d2 VALUES (2);"
        "CREATE VIEW dv AS SELECT n FROM d1;"
        "CREATE MATERIALIZED VIEW dm AS SELECT count(*) AS n FROM d1");
    auto c = RawClient::login(watched().port());
    auto direct = cluster().connect("app", "app");
    const std::vector<std::array<std::string, 2>> cases{
        {"SELECT n FROM dv", "CREATE OR REPLACE VIEW dv AS SELECT n FROM d2"},
        {"SELECT n FROM dm", "INSERT INTO d1 VALUES (7); REFRESH MATERIALIZED VIEW dm"},
        {"SELECT max(n) FROM dv", "DROP VIEW dv"},
        {"SELECT max(n) FROM d1", "ALTER TABLE d1 RENAME TO d3; ALTER TABLE d2 RENAME TO d1"},
        {"SELECT min(n) FROM d1", "BEGIN; ALTER TABLE d1 ALTER n TYPE text USING 'x' || n;"
                                  "ALTER TABLE d1 ADD m int DEFAULT 3; COMMIT"},
        {"SELECT max(m) FROM d1", "DO $$ BEGIN EXECUTE 'ALTER TABLE d1 DROP m'; END $$"},
        {"SELECT count(*) FROM d1", "CREATE SCHEMA app; CREATE TABLE app.d1(n int)"},
        {"SELECT count(n) FROM d3", "DROP TABLE d3 CASCADE"},
    };
    for (const auto& both : cases) {
        const auto& read = both[0];  // a structured binding cannot be captured in clang 14
        CAPTURE(read);
        CHECK(becomes_cached(watched(), c, read));
        direct.run(both[1]);
        wait_staleness();
        const auto answer = direct.exec(read);
        CHECK(ask(c, read).substr(0, 5) ==
              (answer.ok ? answer.value() : answer.sqlstate).substr(0, 5));
    }
    direct.run("DROP SCHEMA app CASCADE");
    CHECK(guarantee(watched(), "schema_changes").starts_with("told by event triggers"));
}

TEST_CASE("privileges and policies changed elsewhere count within max_staleness") {
    cluster().connect("postgres", "app").run("CREATE ROLE reader LOGIN");
    setup("CREATE TABLE p1(n int); INSERT INTO p1 VALUES (1); GRANT SELECT ON p1 TO reader");
    auto c = RawClient::login(watched().port(), "reader");
    auto direct = cluster().connect("app", "app");
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM p1"));
    direct.run("REVOKE SELECT ON p1 FROM reader");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM p1").starts_with("42501"));
    direct.run("GRANT SELECT ON p1 TO reader");
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM p1"));
    direct.run("CREATE POLICY nothing ON p1 USING (false); ALTER TABLE p1 ENABLE ROW LEVEL SECURITY");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM p1").empty());
}

TEST_CASE("what was done while the stream was cut counts when it is back") {
    setup("CREATE TABLE g1(n int); INSERT INTO g1 VALUES (1);"
          "CREATE TABLE g2(n int); INSERT INTO g2 VALUES (2);"
          "CREATE VIEW gv AS SELECT n FROM g1");
    auto c = RawClient::login(watched().port());
    auto direct = cluster().connect("postgres", "app");
    for (int i = 0; i < 3; ++i) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM gv"));
        direct.run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        direct.run("CREATE OR REPLACE VIEW gv AS SELECT n FROM " +
                   std::string(i % 2 != 0 ? "g1" : "g2"));
        CHECK(becomes_cached(watched(), c, "SELECT n FROM gv"));
        CHECK(ask(c, "SELECT n FROM gv") == direct.value("SELECT n FROM gv"));
    }
}

TEST_CASE("a change that is not visible yet counts when it is, not when it is delivered") {
    setup("CREATE TABLE w1(n int); INSERT INTO w1 VALUES (1);"
          "CREATE TABLE w2(n int); INSERT INTO w2 VALUES (2);"
          "CREATE VIEW wv AS SELECT n FROM w1");
    auto c = RawClient::login(watched().port());
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM wv"));
    auto admin = cluster().connect();
    admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    admin.run("SELECT pg_reload_conf()");
    REQUIRE(eventually(
        [&] { return cluster().value("SHOW synchronous_standby_names") == "nobody"; }));
    // Committed and decoded, but visible to nobody until the standby that is not there answers.
    auto writer = cluster().connect("app", "app");
    PQsendQuery(writer.raw(), "CREATE OR REPLACE VIEW wv AS SELECT n FROM w2");
    const auto waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    REQUIRE(eventually([&] { return cluster().value(waiting) == "1"; }));
    // DDL through the proxy meanwhile: the catalog that is read now still has the old view.
    for (const std::string statement : {"BEGIN", "SET LOCAL synchronous_commit = local",
                                        "CREATE TABLE meanwhile(n int)", "COMMIT"})
        ask(c, statement);
    auto asking = watched().connect();
    REQUIRE(eventually([&] { return depends(asking, "SELECT n FROM wv").ends_with(".w1"); }));
    admin.run("ALTER SYSTEM RESET synchronous_standby_names");
    admin.run("SELECT pg_reload_conf()");
    REQUIRE(take_answer(PQgetResult(writer.raw())).ok);
    CHECK(eventually([&] { return depends(asking, "SELECT n FROM wv").ends_with(".w2"); }));
    // Judged by the new view: a write to what it reads now is a write to it.
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM wv"));
    ask(c, "UPDATE w2 SET n = 3");
    CHECK(ask(c, "SELECT n FROM wv") == "3");
}

TEST_CASE("temporary tables, comments and what exists already disturb no entry") {
    setup("CREATE TABLE quiet(n int); INSERT INTO quiet VALUES (1); CREATE TABLE marks(n int)");
    auto c = RawClient::login(watched().port());
    auto direct = cluster().connect("app", "app");
    for (const std::string statement :
         {"CREATE TEMP TABLE t1(id serial PRIMARY KEY, n int DEFAULT 7)",
          "CREATE INDEX ON t1(n); ALTER TABLE t1 ADD m text DEFAULT 'x'", "DROP TABLE t1",
          "CREATE TEMP TABLE t2 AS SELECT 1 AS n; DROP TABLE t2",
          "COMMENT ON TABLE quiet IS 'x'", "CREATE TABLE IF NOT EXISTS quiet(n int)",
          "DROP TABLE IF EXISTS nobody", "BEGIN; CREATE TABLE undone(n int); ROLLBACK"}) {
        CAPTURE(statement);
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM quiet"));
        direct.run(statement);
        // What comes later in the stream has been seen by then.
        direct.run("INSERT INTO marks VALUES (1)");
        wait_staleness();
        CHECK(hits_of(watched(), [&] { ask(c, "SELECT n FROM quiet"); }) == 1);
    }
}

TEST_CASE("what the scripts install goes again, and the guarantee says so") {
    cluster().connect("postgres", "postgres").run("CREATE DATABASE other OWNER app");
    run_file("watch_ddl.sql", "other");
    run_file("watch_ddl.sql", "other");  // as after an update
    const auto installed =
        "SELECT count(*) FROM pg_event_trigger WHERE evtname LIKE 'pgweir%' UNION ALL "
        "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgweir'";
    CHECK(cluster().connect("postgres", "other").exec(installed).rows ==
          std::vector<std::vector<std::string>>{{"2"}, {"1"}});
    Proxy p(cluster(), {{{"cache", "{catalog_poll: 100ms}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port(), "app", "other");
    cluster().connect("app", "other").run("CREATE TABLE o(n int); INSERT INTO o VALUES (1)");
    CHECK(eventually([&] {
        ask(c, "SELECT n FROM o");
        return guarantee(p, "schema_changes").starts_with("told by");
    }));
    run_file("unwatch_ddl.sql", "other");
    run_file("unwatch_ddl.sql", "other");
    CHECK(cluster().connect("postgres", "other").exec(installed).rows ==
          std::vector<std::vector<std::string>>{{"0"}, {"0"}});
    CHECK(eventually([&] { return guarantee(p, "schema_changes").starts_with("polled"); }));
}
