// What is installed in a database from sql/, so that it tells the proxy of what is done elsewhere:
// event triggers for changes of the schema, triggers for writes where there is no logical decoding.
#include <doctest/doctest.h>
#include <signal.h>

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

/// A stored answer stays and is given again after each of `n` writes, which are none to it.
void check_stays(const std::string& read, RawClient& c, const std::string& write, RawClient& writer,
                 int n) {
    // What the catalog said of earlier writes may have been replaced while they were under way.
    REQUIRE(becomes_cached(watched(), c, read));
    const auto fills = watched().cache_counter("fills");
    for (int i = 1; i <= n; ++i) {
        ask(writer, write);
        CHECK(eventually([&] { return hits_of(watched(), [&] { ask(c, read); }) == 1; }));
    }
    const auto filled = watched().cache_counter("fills");
    CHECK_MESSAGE(filled == fills, told_of(watched(), c, read));
}

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
        {"SELECT min(n) FROM d1",
         "BEGIN; ALTER TABLE d1 ALTER n TYPE text USING 'x' || n;"
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
    direct.run(
        "CREATE POLICY nothing ON p1 USING (false); ALTER TABLE p1 ENABLE ROW LEVEL SECURITY");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM p1").empty());
}

TEST_CASE("what was done while the stream was cut counts when it is back") {
    setup(
        "CREATE TABLE g1(n int); INSERT INTO g1 VALUES (1);"
        "CREATE TABLE g2(n int); INSERT INTO g2 VALUES (2);"
        "CREATE VIEW gv AS SELECT n FROM g1");
    auto c = RawClient::login(watched().port());
    auto direct = cluster().connect("postgres", "app");
    for (int i = 0; i < 3; ++i) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM gv"));
        direct.run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        direct.run("CREATE OR REPLACE VIEW gv AS SELECT n FROM " +
                   std::string(i % 2 != 0 ? "g1" : "g2"));
        wait_staleness();
        CHECK(becomes_cached(watched(), c, "SELECT n FROM gv"));
        CHECK(ask(c, "SELECT n FROM gv") == direct.value("SELECT n FROM gv"));
    }
}

TEST_CASE("a change that is not visible yet counts when it is, not when it is delivered") {
    setup(
        "CREATE TABLE w1(n int); INSERT INTO w1 VALUES (1);"
        "CREATE TABLE w2(n int); INSERT INTO w2 VALUES (2);"
        "CREATE VIEW wv AS SELECT n FROM w1");
    auto c = RawClient::login(watched().port());
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM wv"));
    auto admin = cluster().connect();
    admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    admin.run("SELECT pg_reload_conf()");
    REQUIRE(
        eventually([&] { return cluster().value("SHOW synchronous_standby_names") == "nobody"; }));
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
    REQUIRE(eventually(
        [&] { return depends(asking, "SELECT n FROM wv").find(".w1") != std::string::npos; }));
    admin.run("ALTER SYSTEM RESET synchronous_standby_names");
    admin.run("SELECT pg_reload_conf()");
    REQUIRE(take_answer(PQgetResult(writer.raw())).ok);
    CHECK(eventually(
        [&] { return depends(asking, "SELECT n FROM wv").find(".w2") != std::string::npos; }));
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
          "CREATE TEMP TABLE t2 AS SELECT 1 AS n; DROP TABLE t2", "COMMENT ON TABLE quiet IS 'x'",
          "CREATE TABLE IF NOT EXISTS quiet(n int)", "DROP TABLE IF EXISTS nobody",
          "BEGIN; CREATE TABLE undone(n int); ROLLBACK"}) {
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

TEST_CASE("a function's writes through the proxy cost only the tables it writes") {
    setup(
        "CREATE TABLE kept(n int); INSERT INTO kept VALUES (1);"
        "CREATE TABLE hit(n int); INSERT INTO hit VALUES (0);"
        "CREATE FUNCTION hits() RETURNS int LANGUAGE sql AS "
        "'UPDATE hit SET n = n + 1 RETURNING n'");
    auto c = RawClient::login(watched().port());
    auto writer = RawClient::login(watched().port());
    for (int i = 1; i <= 20; ++i) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM hit"));
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM kept"));
        CHECK(ask(writer, "SELECT hits()") == std::to_string(i));
        // At once, although nobody knew what it would write.
        CHECK(ask(c, "SELECT n FROM hit") == std::to_string(i));
    }
    check_stays("SELECT n FROM kept", c, "SELECT hits()", writer, 20);
}

TEST_CASE("a procedure that commits in between is seen at once, and costs only what it writes") {
    setup(
        "CREATE TABLE stays(n int); INSERT INTO stays VALUES (1);"
        "CREATE TABLE twice(n int); INSERT INTO twice VALUES (0);"
        "CREATE PROCEDURE write_twice() LANGUAGE plpgsql AS "
        "'BEGIN UPDATE twice SET n = n + 1; COMMIT; UPDATE twice SET n = n + 1; END'");
    auto c = RawClient::login(watched().port());
    auto writer = RawClient::login(watched().port());
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM stays"));
    for (int i = 1; i <= 10; ++i) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM twice"));
        REQUIRE(ask(writer, "CALL write_twice()").empty());
        CHECK(ask(c, "SELECT n FROM twice") == std::to_string(2 * i));
    }
    check_stays("SELECT n FROM stays", c, "CALL write_twice()", writer, 10);
}

TEST_CASE("a DO block is seen at once, and costs only what it writes, or all where it may define") {
    setup(
        "CREATE TABLE calm(n int); INSERT INTO calm VALUES (1);"
        "CREATE TABLE done(n int); INSERT INTO done VALUES (0);"
        "CREATE VIEW doing AS SELECT n FROM calm");
    auto c = RawClient::login(watched().port());
    auto writer = RawClient::login(watched().port());
    REQUIRE(becomes_cached(watched(), c, "SELECT n FROM calm"));
    const std::string write =
        "DO $$BEGIN UPDATE done SET n = n + 1; COMMIT; UPDATE done SET n = n + 1; END$$";
    for (int i = 1; i <= 10; ++i) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM done"));
        REQUIRE(ask(writer, write).empty());
        CHECK(ask(c, "SELECT n FROM done") == std::to_string(2 * i));
    }
    check_stays("SELECT n FROM calm", c, write, writer, 10);
    // What a block defines counts at once.
    for (const std::string body :
         {"CREATE OR REPLACE VIEW doing AS SELECT n FROM done",
          "EXECUTE 'CREATE OR REPLACE VIEW doing AS SELECT n FROM calm'"}) {
        REQUIRE(becomes_cached(watched(), c, "SELECT n FROM doing"));
        REQUIRE(ask(writer, "DO $$BEGIN " + body + "; END$$").empty());
        CHECK(ask(c, "SELECT n FROM doing") ==
              cluster().connect("app", "app").value("SELECT n FROM doing"));
    }
}

namespace {

/// A server that decodes nothing: writes are told by triggers.
Cluster& plain() {
    static Cluster& c = []() -> Cluster& {
        static Cluster cluster({{"synchronous_commit = on", "wal_level = replica"}, ""});
        auto admin = cluster.connect("postgres", "app");
        admin.run("CREATE TABLE before(n int PRIMARY KEY); ALTER TABLE before OWNER TO app");
        for (const std::string file : {"watch_writes.sql", "watch_ddl.sql", "watch_writes.sql"})
            admin.run(read_file(PGWEIR_SQL + file));
        return cluster;
    }();
    return c;
}

Proxy& by_notices() {
    static Proxy p(plain(), options());
    return p;
}

}  // namespace

TEST_CASE(
    "without logical decoding triggers tell of writes around the proxy, within max_staleness") {
    auto direct = plain().connect("app", "app");
    direct.run(
        "CREATE TABLE n1(id int PRIMARY KEY, n int); INSERT INTO n1 VALUES (1, 0);"
        "CREATE TABLE n2(id int REFERENCES n1 ON UPDATE CASCADE); INSERT INTO n2 VALUES (1);"
        "CREATE TABLE n3(id int, n int) PARTITION BY LIST (id);"
        "CREATE TABLE n3a PARTITION OF n3 FOR VALUES IN (1); INSERT INTO n3 VALUES (1, 0);"
        "CREATE TABLE n4(n int); INSERT INTO n4 VALUES (0); CREATE TABLE n5() INHERITS (n4);"
        "INSERT INTO n5 VALUES (0); INSERT INTO before VALUES (0);"
        "CREATE VIEW nv AS SELECT n FROM n1");
    auto c = RawClient::login(by_notices().port());
    const std::vector<std::array<std::string, 2>> cases{
        {"SELECT n FROM n1 WHERE id = 1", "UPDATE n1 SET n = n + 1"},
        {"SELECT n FROM nv", "UPDATE n1 SET n = n + 1"},
        {"SELECT max(id) FROM n2", "UPDATE n1 SET id = id + 1"},
        {"SELECT sum(n) FROM n3", "UPDATE n3a SET n = n + 1"},
        {"SELECT sum(n) FROM n3a", "UPDATE n3 SET n = n + 1"},
        {"SELECT max(n) FROM n5", "UPDATE n4 SET n = n + 1"},
        {"SELECT sum(n) FROM n4", "UPDATE n5 SET n = n + 1"},
        {"SELECT count(*) FROM n2", "TRUNCATE n1 CASCADE"},
        {"SELECT max(n) FROM before",
         "SET session_replication_role = replica;"
         "UPDATE before SET n = n + 1"},
        {"SELECT n FROM nv", "CREATE OR REPLACE VIEW nv AS SELECT n FROM n4"},
    };
    for (const auto& both : cases) {
        const auto& read = both[0];
        CAPTURE(read);
        CHECK(becomes_cached(by_notices(), c, read));
        // Settings of replication are a superuser's.
        plain().connect("postgres", "app").run(both[1]);
        wait_staleness();
        CHECK(ask(c, read) == direct.exec(read).value());
    }
    CHECK(guarantee(by_notices(), "guarantee") == "bounded");
    CHECK(guarantee(by_notices(), "schema_changes").starts_with("told by event triggers"));
}

TEST_CASE("a table that does not tell of its writes is not cached where triggers have to") {
    auto direct = plain().connect("app", "app");
    direct.run(
        "CREATE TABLE silent(n int); INSERT INTO silent VALUES (1);"
        "CREATE TABLE half(n int) PARTITION BY LIST (n);"
        "CREATE TABLE half1 PARTITION OF half FOR VALUES IN (1);"
        "ALTER TABLE half1 DISABLE TRIGGER pgweir_tell;"
        "DROP TRIGGER pgweir_tell ON silent");
    auto c = RawClient::login(by_notices().port());
    const std::string reason = "pgweir_not_cached_total{reason=\"not_told\"}";
    for (const std::string query : {"SELECT n FROM silent", "SELECT n FROM half"}) {
        CAPTURE(query);
        const auto before = by_notices().metric(reason);
        CHECK(eventually([&] {
            ask(c, query);
            return by_notices().metric(reason) > before;
        }));
        CHECK(hits_of(by_notices(), [&] {
                  for (int i = 0; i < 5; ++i) ask(c, query);
              }) == 0);
    }
    plain().connect("postgres", "app").run("SELECT pgweir.watch_tables()");
    CHECK(becomes_cached(by_notices(), c, "SELECT n FROM silent"));
}

TEST_CASE("a session that hears notices never goes back behind what it has seen") {
    Proxy p(plain(), {{{"cache", "{max_staleness: 1s}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port());
    auto direct = plain().connect("app", "app");
    REQUIRE(becomes_cached(p, c, "SELECT max(n) FROM before"));
    for (int i = 1; i <= 50; ++i) {
        direct.run("UPDATE before SET n = " + std::to_string(1000 + i));
        // Never cached, so this shows what is there.
        REQUIRE(ask(c, "SELECT max(n) + 0 * random() FROM before") == std::to_string(1000 + i));
        REQUIRE(ask(c, "SELECT max(n) FROM before") == std::to_string(1000 + i));
    }
}

TEST_CASE("while notices are cut hits stop, what was missed is seen, and hits return") {
    auto direct = plain().connect("postgres", "app");
    auto c = RawClient::login(by_notices().port());
    for (int i = 1; i <= 3; ++i) {
        REQUIRE(becomes_cached(by_notices(), c, "SELECT max(n) FROM before"));
        direct.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE '%pg_notify(%' AND pid <> pg_backend_pid()");
        direct.run("UPDATE before SET n = " + std::to_string(10 * i));
        wait_staleness();
        CHECK(ask(c, "SELECT max(n) FROM before") == std::to_string(10 * i));
    }
    CHECK(becomes_cached(by_notices(), c, "SELECT max(n) FROM before"));
}

TEST_CASE("a notice that stands still keeps hits back, whoever sends the like of ours") {
    auto c = RawClient::login(by_notices().port());
    REQUIRE(becomes_cached(by_notices(), c, "SELECT max(n) FROM before"));
    const auto pid = std::stoi(
        plain().value("SELECT max(pid) FROM pg_stat_activity WHERE query LIKE '%pg_notify(%' "
                      "AND pid <> pg_backend_pid()"));
    REQUIRE(pid > 0);
    kill(pid, SIGSTOP);
    auto direct = plain().connect("app", "app");
    direct.run("UPDATE before SET n = 77");
    for (int i = 0; i < 5; ++i)
        direct.run("SELECT pg_notify('pgweir', '" + std::to_string(i) + "')");
    wait_staleness();
    CHECK(hits_of(by_notices(), [&] {
              for (int i = 0; i < 5; ++i) CHECK(ask(c, "SELECT max(n) FROM before") == "77");
          }) == 0);
    kill(pid, SIGCONT);
    CHECK(becomes_cached(by_notices(), c, "SELECT max(n) FROM before"));
}

TEST_CASE("what tells of writes goes again, and writes with it") {
    auto admin = plain().connect("postgres", "app");
    for (const std::string file : {"unwatch_writes.sql", "unwatch_ddl.sql", "unwatch_writes.sql"})
        admin.run(read_file(PGWEIR_SQL + file));
    CHECK(admin.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'pgweir_tell'") == "0");
    CHECK(admin.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'pgweir'") == "0");
    admin.run("UPDATE before SET n = 1");
}
