// The cache beside writers that never pass the proxy: what is promised by `bounded` and `strict`,
// and that hits stop where it cannot be kept.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

/// Commits are written out at once, as on a server that is used in earnest.
Cluster& cluster() {
    static Cluster c({{"synchronous_commit = on"}, ""});
    return c;
}

ProxyOptions options(const std::string& cache = "{max_staleness: 100ms}") {
    return {{{"cache", cache}, {"pool", "{min_size: 0, max_size: 4}"}}, {}, {}, 0};
}

Proxy& proxy() {
    static Proxy p(cluster(), options());
    return p;
}

void setup(const std::string& sql) { cluster().connect("app", "app").run(sql); }

std::string slots() { return cluster().value("SELECT count(*) FROM pg_replication_slots"); }

int walsender() {
    return std::stoi(cluster().value("SELECT coalesce(max(pid), 0) FROM pg_stat_replication"));
}

/// Longer than max_staleness.
void wait_staleness() { sleep_for(Seconds(0.11)); }

std::string ask_prepared(RawClient& c, const std::string& name, const std::string& value) {
    return first_value(c.ask(msg::bind("", name, {value}) + msg::execute("") + msg::sync()));
}

}  // namespace

TEST_CASE("writes around the proxy are seen within max_staleness, of every kind") {
    setup(
        "CREATE TABLE s1(id int PRIMARY KEY, n int); INSERT INTO s1 VALUES (1, 0);"
        "CREATE TABLE \"S 2 \"\"x\"(n int); INSERT INTO \"S 2 \"\"x\" VALUES (0);"
        "CREATE TABLE s3(id int, n int) PARTITION BY LIST (id);"
        "CREATE TABLE s3a PARTITION OF s3 FOR VALUES IN (1); INSERT INTO s3 VALUES (1, 0);"
        "CREATE TABLE s4(n int); INSERT INTO s4 VALUES (0);"
        "CREATE FUNCTION bump4() RETURNS void LANGUAGE sql AS 'UPDATE s4 SET n = n + 1'");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    const std::vector<std::array<std::string, 2>> cases{
        {"SELECT n FROM s1 WHERE id = 1", "UPDATE s1 SET n = n + 1"},
        {"SELECT n FROM \"S 2 \"\"x\"", "UPDATE \"S 2 \"\"x\" SET n = n + 1"},
        {"SELECT sum(n) FROM s3", "UPDATE s3a SET n = n + 1"},
        {"SELECT n FROM s4", "SELECT bump4()"},
        {"SELECT max(n) FROM s4", "DO $$ BEGIN UPDATE s4 SET n = n + 1; END $$"},
        {"SELECT count(*) FROM s1", "TRUNCATE s1, s4"},
    };
    for (const auto& both : cases) {
        const auto& read = both[0];  // a structured binding cannot be captured in clang 14
        const auto& write = both[1];
        CAPTURE(read);
        CHECK(becomes_cached(proxy(), c, read));
        direct.run(write);
        wait_staleness();
        CHECK(ask(c, read) == direct.value(read));
    }
    CHECK(proxy().console("SHOW CACHE").rows.at(0).at(2) == "bounded");
}

TEST_CASE("strict sees each write around the proxy at once, and still answers from the cache") {
    setup("CREATE TABLE strictly(n int); INSERT INTO strictly VALUES (0)");
    Proxy p(cluster(), options("{consistency: strict, max_staleness: 1s}"));
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM strictly"));
    auto direct = cluster().connect("app", "app");
    const auto before = p.cache_counter("hits");
    for (int i = 1; i <= 100; ++i) {
        direct.run("UPDATE strictly SET n = " + std::to_string(i));
        for (int k = 0; k < 4; ++k) REQUIRE(ask(c, "SELECT n FROM strictly") == std::to_string(i));
    }
    CHECK(p.cache_counter("hits") - before > 50);
}

TEST_CASE("beside very many transactions strict reads are as fresh, and hits go on") {
    setup(
        "CREATE TABLE calm(n int); INSERT INTO calm VALUES (0); CREATE TABLE noise AS TABLE calm");
    Proxy p(cluster(), options("{consistency: strict, max_staleness: 1s}"));
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM calm"));
    auto direct = cluster().connect("app", "app");
    std::atomic<bool> over{false};
    std::thread noise([&] {
        auto other = cluster().connect("app", "app");
        while (!over)
            other.run(
                "DO $$BEGIN FOR i IN 1..100 LOOP UPDATE noise SET n = n + 1; UPDATE noise SET n = "
                "n + 1; COMMIT; PERFORM pg_sleep(0.0005); END LOOP; END$$");
    });
    const auto before = p.cache_counter("hits");
    int fresh = 0;
    for (int i = 1; i <= 100; ++i) {
        direct.run("UPDATE calm SET n = " + std::to_string(i));
        for (int k = 0; k < 4; ++k) fresh += ask(c, "SELECT n FROM calm") == std::to_string(i);
    }
    over = true;
    noise.join();
    CHECK(fresh == 400);
    CHECK(p.cache_counter("hits") - before > 50);
}

TEST_CASE("a session never goes back behind what it has seen") {
    setup("CREATE TABLE seen(n int); INSERT INTO seen VALUES (0)");
    Proxy p(cluster(), options("{max_staleness: 1s}"));
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM seen"));
    auto direct = cluster().connect("app", "app");
    for (int i = 1; i <= 50; ++i) {
        direct.run("UPDATE seen SET n = " + std::to_string(i));
        // Never cached, so this shows what is there.
        REQUIRE(ask(c, "SELECT n + 0 * random() FROM seen") == std::to_string(i));
        REQUIRE(ask(c, "SELECT n FROM seen") == std::to_string(i));
    }
}

TEST_CASE("prepared statements of both kinds are filled under a stamp, and invalidated") {
    setup("CREATE TABLE prep(id int PRIMARY KEY, n int); INSERT INTO prep VALUES (1, 0), (2, 0)");
    auto c = RawClient::login(proxy().port());
    c.ask(msg::parse("one", "SELECT n FROM prep WHERE id = $1") +
          msg::parse("", "SELECT n FROM prep WHERE id = $1 AND true") + msg::sync());
    auto direct = cluster().connect("app", "app");
    for (const std::string name : {"one", ""}) {
        CAPTURE(name);
        CHECK(
            eventually([&] { return hits_of(proxy(), [&] { ask_prepared(c, name, "1"); }) == 1; }));
        direct.run("UPDATE prep SET n = n + 1");
        wait_staleness();
        CHECK(ask_prepared(c, name, "1") == direct.value("SELECT n FROM prep WHERE id = 1"));
    }
}

TEST_CASE(
    "C10: tables whose changes an access method of its own may keep from the stream are out") {
    cluster()
        .connect("postgres", "app")
        .run("CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler");
    setup(
        "CREATE TABLE am(n int) USING heap2; CREATE MATERIALIZED VIEW am_view USING heap2 AS "
        "SELECT 1 AS n; CREATE TABLE am_parts(n int) PARTITION BY LIST (n);"
        "CREATE TABLE am_part PARTITION OF am_parts FOR VALUES IN (1) USING heap2;"
        "CREATE TABLE am_plain(n int)");
    auto c = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM am_plain"));
    for (const std::string name : {"am", "am_view", "am_parts"}) {
        const auto sql = "SELECT count(*) FROM " + name;
        CHECK_MESSAGE(hits_of_three(proxy(), c, sql) == 0, sql);
    }
    const auto told = [&] { return cache_reason(c, "SELECT count(*) FROM am_plain"); };
    auto admin = cluster().connect("postgres", "app");
    admin.run(
        "SET allow_system_table_mods = on; INSERT INTO pg_extension SELECT 16383, 'citus', 10, "
        "extnamespace, false, '1', NULL, NULL FROM pg_extension WHERE extname = 'plpgsql'");
    ask(c, "CREATE TABLE sharded(n int)");  // so that the catalog is read now
    CHECK(eventually([&] { return told() == "unlogged_relation"; }));
    admin.run("SET allow_system_table_mods = on; DELETE FROM pg_extension WHERE oid = 16383");
    ask(c, "DROP TABLE sharded");
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM am_plain"));
    ask(c, "ALTER TABLE am_plain SET ACCESS METHOD heap2");
    CHECK(eventually([&] { return told() == "unlogged_relation"; }));
}

TEST_CASE("after a cut hits stop, what was missed is seen, and hits return by themselves") {
    setup("CREATE TABLE cuts(n int); INSERT INTO cuts VALUES (0)");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("postgres", "app");
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM cuts"));
        direct.run("SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        direct.run("UPDATE cuts SET n = " + std::to_string(i));
        wait_staleness();
        CHECK(ask(c, "SELECT n FROM cuts") == std::to_string(i));
    }
    CHECK(becomes_cached(proxy(), c, "SELECT n FROM cuts"));
    CHECK(proxy().logs("cache guarantee off"));
}

TEST_CASE("while the stream stands still hits stop, and go on with it") {
    setup("CREATE TABLE still(n int); INSERT INTO still VALUES (0)");
    auto c = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM still"));
    const auto pid = walsender();
    REQUIRE(pid > 0);
    kill(pid, SIGSTOP);
    setup("UPDATE still SET n = 1");
    wait_staleness();
    CHECK(ask(c, "SELECT n FROM still") == "1");
    CHECK(hits_of(proxy(), [&] {
              for (int i = 0; i < 5; ++i) ask(c, "SELECT n FROM still");
          }) == 0);
    CHECK(proxy().metric("pgweir_not_cached_total{reason=\"stream_behind\"}") > 0);
    kill(pid, SIGCONT);
    CHECK(becomes_cached(proxy(), c, "SELECT n FROM still"));
}

TEST_CASE("commits that are visible before they are written out are seen, too") {
    setup("CREATE TABLE lazily(n int); INSERT INTO lazily VALUES (0)");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    direct.run("SET synchronous_commit = off");
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM lazily"));
        direct.run("UPDATE lazily SET n = " + std::to_string(i));
        wait_staleness();
        CHECK(ask(c, "SELECT n FROM lazily") == std::to_string(i));
    }
}

TEST_CASE("a proxy that dies leaves no slot behind (S41)") {
    setup("CREATE TABLE dies(n int); INSERT INTO dies VALUES (0)");
    const auto before = slots();
    auto p = std::make_unique<Proxy>(cluster(), options());
    auto c = RawClient::login(p->port());
    REQUIRE(becomes_cached(*p, c, "SELECT n FROM dies"));
    CHECK(slots() != before);
    p->send_signal(SIGKILL);
    CHECK(eventually([&] { return slots() == before; }));
    p->wait();
}

TEST_CASE("a REFRESH that a trigger runs counts at once, though no stream tells of it") {
    setup(
        "CREATE TABLE source(n int); INSERT INTO source VALUES (0);"
        "CREATE MATERIALIZED VIEW made_of AS SELECT max(n) AS n FROM source;"
        "CREATE TABLE ping(n int); CREATE FUNCTION refresh() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN REFRESH MATERIALIZED VIEW made_of; RETURN NULL; END';"
        "CREATE TRIGGER r AFTER INSERT ON ping FOR EACH STATEMENT EXECUTE FUNCTION refresh()");
    Proxy p(cluster(), options("{max_staleness: 100ms, catalog_poll: 10min}"));
    auto c = RawClient::login(p.port());
    auto other = RawClient::login(p.port());
    const std::string read = "SELECT n FROM made_of";
    for (int i = 1; i <= 3; ++i) {
        ask(c, "INSERT INTO source VALUES (" + std::to_string(i) + ")");
        REQUIRE(becomes_cached(p, c, read));
        ask(c, "INSERT INTO ping VALUES (1)");
        CHECK(ask(c, read) == std::to_string(i));
        CHECK(ask(other, read) == std::to_string(i));
    }
}

TEST_CASE("two proxies agree within max_staleness") {
    setup("CREATE TABLE agreed(n int); INSERT INTO agreed VALUES (0)");
    Proxy other(cluster(), options());
    auto here = RawClient::login(proxy().port());
    auto there = RawClient::login(other.port());
    for (int i = 1; i <= 5; ++i) {
        REQUIRE(becomes_cached(proxy(), here, "SELECT n FROM agreed"));
        REQUIRE(becomes_cached(other, there, "SELECT n FROM agreed"));
        ask(here, "UPDATE agreed SET n = " + std::to_string(i));
        CHECK(ask(here, "SELECT n FROM agreed") == std::to_string(i));
        wait_staleness();
        CHECK(ask(there, "SELECT n FROM agreed") == std::to_string(i));
    }
}

TEST_CASE("a session reads at another proxy what it has written here, by pgweir.lsn") {
    setup("CREATE TABLE carried(n int); INSERT INTO carried VALUES (0)");
    const auto late = options("{max_staleness: 10s}");
    Proxy one(cluster(), late), other(cluster(), late);
    auto here = RawClient::login(one.port());
    auto there = RawClient::login(other.port());
    REQUIRE(becomes_cached(other, there, "SELECT n FROM carried"));
    const auto before = other.cache_counter("hits");
    for (int i = 1; i <= 50; ++i) {
        ask(here, "UPDATE carried SET n = " + std::to_string(i));
        const auto position = ask(here, i % 2 != 0 ? "SHOW pgweir.lsn" : "show PGWEIR.lsn ;");
        REQUIRE(position.find('/') != std::string::npos);
        const auto set =
            (i % 2 != 0 ? "SET pgweir.lsn = '" : "set session pgweir.lsn TO '") + position + "'";
        const auto done = there.ask(i % 3 != 0 ? msg::query(set) : msg::unnamed(set) + msg::sync());
        REQUIRE(types(done) == (i % 3 != 0 ? "CZ" : "12nCZ"));
        for (int k = 0; k < 3; ++k)
            REQUIRE(ask(there, "SELECT n FROM carried") == std::to_string(i));
    }
    CHECK(other.cache_counter("hits") - before >= 50);
    // In a transaction, too, and what is no position is a setting of the server's.
    there.ask(msg::query("BEGIN"));
    ask(there, "SET LOCAL pgweir.lsn = '0/1'");
    CHECK(ask(there, "SHOW pgweir.lsn").find('/') != std::string::npos);
    there.ask(msg::query("ROLLBACK"));
    CHECK(ask(there, "SET pgweir.lsn = 'x/1'").empty());
    CHECK(ask(there, "SET pgweir.lsn = 1 2").starts_with("42601"));
}

TEST_CASE("where no stream can be had the log says what to do") {
    auto o = options();
    o.sections["control"] = "{user: app}";
    Proxy p(cluster(), o);
    auto c = RawClient::login(p.port());
    ask(c, "SELECT 1");
    CHECK(p.logs("give the control login the attribute REPLICATION"));
    CHECK(p.console("SHOW CACHE").rows.at(0).at(2) == "off");
}

TEST_CASE("who has been notified of a write around the proxy reads it") {
    setup("CREATE TABLE told_of(n int); INSERT INTO told_of VALUES (0)");
    auto c = RawClient::login(proxy().port());
    auto direct = cluster().connect("app", "app");
    CHECK(types(c.ask(msg::query("LISTEN told"))) == "CZ");
    for (int i = 1; i <= 20; ++i) {
        REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM told_of"));
        direct.run("BEGIN; UPDATE told_of SET n = n + 1; NOTIFY told; COMMIT");
        const auto m = c.poll(Seconds(5));
        REQUIRE(m.has_value());
        CHECK(m->type == 'A');
        CHECK(ask(c, "SELECT n FROM told_of") == std::to_string(i));
    }
}
