// The proxy's own connections, by which it knows a database and hears of its changes: with few
// rights, with rights and logins that change, and while they have to wait.
#include <doctest/doctest.h>
#include <signal.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

/// With a role `ctl` that may do nothing but replicate.
Cluster& cluster() {
    static Cluster& c = []() -> Cluster& {
        static Cluster cluster({{"synchronous_commit = on"}, ""});
        cluster.value("CREATE ROLE ctl LOGIN REPLICATION");
        cluster.connect("app", "app").run("CREATE TABLE t(n int); INSERT INTO t VALUES (1)");
        return cluster;
    }();
    return c;
}

ProxyOptions options(const std::string& cache, const std::string& control = "{user: ctl}") {
    return {{{"cache", "{max_staleness: 200ms" + cache + "}"},
             {"control", control},
             {"pool", "{min_size: 0, max_size: 4}"}},
            {},
            {},
            0};
}

std::string guarantee(const Proxy& p, const std::string& column) {
    return p.console("SHOW CACHE GUARANTEE").at(0, column);
}

/// What is told of it once a client asks for what could be cached.
bool comes_to_tell(const Proxy& p, RawClient& c, const std::string& reason) {
    return eventually(
        [&] {
            ask(c, "SELECT n FROM t");
            return guarantee(p, "reason").find(reason) != std::string::npos;
        },
        Seconds(10));
}

void check_calm(const Proxy& p) {
    const auto before = processor_time(p.pid());
    sleep_for(Seconds(1.2));
    CHECK(processor_time(p.pid()) - before < 0.3);
}

/// The connection by which a stream asks how far the server is.
int asker(const Cluster& c) {
    return std::stoi(
        c.value("SELECT coalesce(max(pid), 0) FROM pg_stat_activity "
                "WHERE query LIKE '%wal_block_size%' AND pid <> pg_backend_pid()"));
}

/// A transaction that a replication slot has to wait for.
Db open_transaction() {
    auto db = cluster().connect("app", "app");
    db.run("BEGIN; CREATE TABLE never()");
    return db;
}

}  // namespace

TEST_CASE("a stream that waits for open transactions takes no processor time") {
    auto old = open_transaction();
    Proxy p(cluster(), options(""));
    auto c = RawClient::login(p.port());
    REQUIRE(comes_to_tell(p, c, "waits for transactions"));
    check_calm(p);
    // Its other connection has nothing to do meanwhile, and may end.
    REQUIRE(asker(cluster()) > 0);
    cluster().value("SELECT pg_terminate_backend(" + std::to_string(asker(cluster())) + ")");
    check_calm(p);
    old.run("ROLLBACK");
    CHECK(becomes_cached(p, c, "SELECT n FROM t"));
}

TEST_CASE("a stream whose first question is not answered yet takes no processor time") {
    auto old = open_transaction();
    Proxy p(cluster(), options(""));
    auto c = RawClient::login(p.port());
    REQUIRE(comes_to_tell(p, c, "waits for transactions"));
    const auto pid = asker(cluster());
    REQUIRE(pid > 0);
    kill(pid, SIGSTOP);
    old.run("ROLLBACK");
    CHECK(eventually([] {
        return cluster().value(
                   "SELECT count(*) FROM pg_stat_replication "
                   "WHERE state = 'streaming'") == "1";
    }));
    check_calm(p);
    kill(pid, SIGCONT);
    CHECK(becomes_cached(p, c, "SELECT n FROM t"));
}

TEST_CASE("what the scripts install is found by a login without rights to their schema") {
    auto admin = cluster().connect("postgres", "app");
    const auto run_file = [&](const std::string& name) { admin.run(read_file(PGWEIR_SQL + name)); };
    run_file("watch_ddl.sql");
    {
        Proxy p(cluster(), options(""));
        auto c = RawClient::login(p.port());
        CHECK(becomes_cached(p, c, "SELECT n FROM t"));
        CHECK(guarantee(p, "schema_changes").starts_with("told by event triggers"));
    }
    run_file("watch_writes.sql");
    admin.run("ALTER ROLE ctl NOREPLICATION");
    {
        Proxy p(cluster(), options(""));
        auto c = RawClient::login(p.port());
        CHECK(becomes_cached(p, c, "SELECT n FROM t"));
        CHECK(guarantee(p, "guarantee") == "bounded");
        CHECK(guarantee(p, "schema_changes").starts_with("told by event triggers"));
    }
    admin.run("ALTER ROLE ctl REPLICATION");
    run_file("unwatch_writes.sql");
    run_file("unwatch_ddl.sql");
}

TEST_CASE("the right to replicate is seen when it is given, and when it is taken") {
    auto admin = cluster().connect("postgres", "app");
    admin.run("ALTER ROLE ctl NOREPLICATION");
    Proxy p(cluster(), options(", catalog_poll: 100ms"));
    auto c = RawClient::login(p.port());
    REQUIRE(comes_to_tell(p, c, "REPLICATION"));
    admin.run("ALTER ROLE ctl REPLICATION");
    CHECK(becomes_cached(p, c, "SELECT n FROM t"));
    admin.run("ALTER ROLE ctl NOREPLICATION");
    CHECK(comes_to_tell(p, c, "REPLICATION"));
    admin.run("ALTER ROLE ctl REPLICATION");
    CHECK(becomes_cached(p, c, "SELECT n FROM t"));
}

TEST_CASE("a standby that is promoted is cached for as what it is now") {
    ClusterOptions as_standby;
    as_standby.standby_of = &cluster();
    Cluster standby(as_standby);
    Proxy p(standby, options(", catalog_poll: 100ms"));
    auto c = RawClient::login(p.port());
    REQUIRE(comes_to_tell(p, c, "standby"));
    standby.promote();
    CHECK(becomes_cached(p, c, "SELECT n FROM t"));
    CHECK(guarantee(p, "guarantee") == "bounded");
}

TEST_CASE("a control login that a reload changes is the one that is used") {
    Cluster c({{"synchronous_commit = on"},
               "host all ctl,ctl2 127.0.0.1/32 scram-sha-256\nlocal all all trust\n"
               "host all all 127.0.0.1/32 trust\n"});
    auto admin = c.connect("postgres", "app");
    admin.run(
        "CREATE ROLE ctl LOGIN REPLICATION PASSWORD 'one';"
        "CREATE ROLE ctl2 LOGIN REPLICATION PASSWORD 'three';"
        "CREATE TABLE t(n int); INSERT INTO t VALUES (1); GRANT SELECT ON t TO app");
    auto o = options("", "{user: ctl, password_file: secret}");
    o.files["secret"] = "one";
    Proxy p(c, o);
    auto client = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, client, "SELECT n FROM t"));
    const auto sessions_of = [&](const std::string& user) {
        return c.value("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + user + "'");
    };
    SUBCASE("another password, by its file") {
        admin.run("ALTER ROLE ctl PASSWORD 'two'");
        write_file(p.directory() + "/secret", "two");
        CHECK(p.logs("has changed"));
        admin.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ctl'");
        CHECK(becomes_cached(p, client, "SELECT n FROM t"));
        CHECK(sessions_of("ctl") != "0");
    }
    SUBCASE("another user, though the old one could go on") {
        write_file(p.directory() + "/secret", "three");
        p.reload({{"control", "{user: ctl2, password_file: secret}"}});
        CHECK(eventually([&] { return sessions_of("ctl") == "0"; }));
        CHECK(becomes_cached(p, client, "SELECT n FROM t"));
        CHECK(sessions_of("ctl2") == "3");
    }
    CHECK(guarantee(p, "guarantee") == "bounded");
}

TEST_CASE("a reload that leaves the control login as it is leaves its connection alone") {
    std::string control = "{user: ctl}", more;
    SUBCASE("one that is named") {}
    SUBCASE("a pool's user") {
        control.clear();
        more = ", exclusive_writer: true";
    }
    Proxy p(cluster(), options(more, control));
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM t"));
    auto other = RawClient::login(p.port(), "postgres");
    ask(other, "SELECT n FROM t");
    const auto connections = [] {
        return cluster().value(
            "SELECT string_agg(usename || pid, ',' ORDER BY pid) FROM pg_stat_activity "
            "WHERE application_name LIKE 'pgweir %'");
    };
    const auto before = connections();
    p.reload({{"log", "{level: debug}"}});
    sleep_for(Seconds(0.3));
    CHECK(connections() == before);
    CHECK(hits_of(p, [&] { ask(c, "SELECT n FROM t"); }) == 1);
}
