// Transactions in transaction mode: BEGIN is kept back until something needs a server connection,
// and what keeps a server connection for itself is bounded.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

ProxyOptions options(const std::string& pool) {
    return {{{"pool", pool}, {"cache", "{enabled: false}"}}, {}, {}, 0};
}
Proxy& proxy() {
    static Proxy p(Cluster::shared(), options("{min_size: 0, max_size: 2, wait_timeout: 1s}"));
    return p;
}
RawClient login(const Proxy& p) { return RawClient::login(p.port()); }
Messages query(RawClient& c, const std::string& sql) { return c.ask(msg::query(sql)); }

}  // namespace

TEST_CASE("a Parse behind the COMMIT of a transaction in which nothing ran is parsed") {
    auto c = login(proxy());
    c.ask(msg::parse("end", "commit") + msg::sync());
    value_of(c, "BEGIN");
    CHECK(types(c.ask(msg::bind("", "end", {}) + msg::execute() + msg::parse("behind", "SELECT 3") +
                      msg::sync())) == "2C1Z");
    CHECK(first_value(c.ask(msg::bind("", "behind", {}) + msg::execute() + msg::sync())) == "3");
}

TEST_CASE("clients with an empty transaction hold no server connection, simple or extended" *
          doctest::skip(Proxy::direct())) {
    std::vector<RawClient> open;
    for (int i = 0; i < 10; ++i) {
        open.push_back(login(proxy()));
        const auto m =
            open.back().ask(i % 2 == 0 ? msg::query("BEGIN") : msg::unnamed("BEGIN") + msg::sync());
        CHECK(ready_status(m) == 'T');
    }
    auto other = login(proxy());
    CHECK(value_of(other, "SELECT 1") == "1");
    for (auto& c : open) {
        CHECK(value_of(c, "SELECT 2") == "2");
        CHECK(ready_status(query(c, "COMMIT")) == 'I');
    }
}

TEST_CASE("a transaction begins with its first statement, and is one") {
    auto c = login(proxy());
    auto db = Cluster::shared().connect();
    db.run("CREATE TABLE ledger(n int); GRANT ALL ON ledger TO app");
    query(c, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    if (!Proxy::direct()) {
        const auto before = db.value("SELECT clock_timestamp()");
        CHECK(value_of(c, "SELECT now() > '" + before + "'") == "t");
    }
    CHECK(value_of(c, "SHOW transaction_isolation") == "repeatable read");
    query(c, "INSERT INTO ledger VALUES (1)");
    db.run("INSERT INTO ledger VALUES (2)");
    CHECK(value_of(c, "SELECT count(*) FROM ledger") == "1");
    CHECK(ready_status(query(c, "SELECT 1/0")) == 'E');
    CHECK(value_of(c, "SELECT 1") == "25P02");
    CHECK(ready_status(query(c, "COMMIT")) == 'I');
    CHECK(value_of(c, "SELECT count(*) FROM ledger") == "1");
    db.run("DROP TABLE ledger");
}

TEST_CASE("what BEGIN, COMMIT and ROLLBACK answer does not depend on who answers") {
    struct Step {
        const char* sql;
        const char* tag;
        char status;
        unsigned notices;
    };
    const Step steps[] = {{"COMMIT", "COMMIT", 'I', 1},
                          {"ROLLBACK", "ROLLBACK", 'I', 1},
                          {"BEGIN READ ONLY", "BEGIN", 'T', 0},
                          {"BEGIN", "BEGIN", 'T', 1},
                          {"END", "COMMIT", 'I', 0},
                          {"start transaction", "START TRANSACTION", 'T', 0},
                          {"abort", "ROLLBACK", 'I', 0},
                          {"BEGIN", "BEGIN", 'T', 0},
                          {"SET TRANSACTION READ ONLY", "SET", 'T', 0},
                          {"COMMIT AND CHAIN", "COMMIT", 'T', 0},
                          {"ROLLBACK", "ROLLBACK", 'I', 0},
                          {"BEGIN", "BEGIN", 'T', 0},
                          {"ROLLBACK AND CHAIN", "ROLLBACK", 'T', 0},
                          {"/* x */ COMMIT", "COMMIT", 'I', 0},
                          {"BEGIN; SELECT 1", "BEGIN", 'T', 0},
                          {"COMMIT", "COMMIT", 'I', 0}};
    for (const bool extended : {false, true}) {
        auto c = login(proxy());
        for (const auto& step : steps) {
            const std::string sql = step.sql;
            if (extended && sql.find(';') != std::string::npos) break;
            INFO(sql, std::string(extended ? " (extended)" : ""));
            const auto m = c.ask(extended ? msg::unnamed(sql) + msg::sync() : msg::query(sql));
            REQUIRE_MESSAGE(error_of(m).sqlstate.empty(), error_of(m).message);
            CHECK(bodies(m, 'C').front() == std::string(step.tag) + '\0');
            CHECK(ready_status(m) == step.status);
            CHECK(count_type(m, 'N') == step.notices);
        }
    }
}

TEST_CASE("a cancel that meets BEGIN or its first statement leaves nothing done") {
    auto db = Cluster::shared().connect();
    db.run("CREATE TABLE undone(n int); GRANT ALL ON undone TO app");
    for (int i = 0; i < 20; ++i) {
        auto c = login(proxy());
        query(c, "BEGIN");
        c.send(msg::query("INSERT INTO undone SELECT 1 FROM pg_sleep(0.02)"));
        RawClient canceller(Proxy::direct() ? Cluster::shared().port() : proxy().port());
        canceller.send(msg::cancel_request(c.backend_pid(), c.backend_key()));
        CHECK(canceller.closed_within(Seconds(5)));
        const auto m = c.read_until('Z');
        const bool cancelled = !error_of(m).sqlstate.empty();
        CHECK(ready_status(m) == (cancelled ? 'E' : 'T'));
        query(c, "INSERT INTO undone VALUES (2)");
        if (cancelled) query(c, "COMMIT");
    }
    CHECK(db.value("SELECT count(*) FROM undone") == "0");
    db.run("DROP TABLE undone");
}

TEST_CASE("with pool.lazy_begin off, BEGIN takes a server connection" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(),
            options("{min_size: 0, max_size: 1, wait_timeout: 100ms, lazy_begin: false}"));
    auto a = login(p);
    query(a, "BEGIN");
    auto b = login(p);
    CHECK(value_of(b, "SELECT 1") == "53300");
    query(a, "COMMIT");
    CHECK(value_of(b, "SELECT 1") == "1");
}

TEST_CASE("a transaction that finds no server connection in time has failed, until its end" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), options("{min_size: 0, max_size: 1, wait_timeout: 100ms}"));
    auto holder = login(p);
    query(holder, "BEGIN; SELECT 1");
    auto c = login(p);
    CHECK(ready_status(query(c, "BEGIN")) == 'T');
    const auto m = query(c, "SELECT 1");
    CHECK(error_of(m).sqlstate == "53300");
    CHECK(ready_status(m) == 'E');
    query(holder, "COMMIT");
    CHECK(value_of(c, "SELECT 1") == "25P02");
    CHECK(value_of(c, "ROLLBACK; SELECT 'again'") == "again");
}

TEST_CASE("a known statement is prepared again without a server connection" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), options("{min_size: 0, max_size: 1, wait_timeout: 100ms}"));
    auto a = login(p);
    CHECK(types(a.ask(msg::parse("s", "SELECT 40 + 2") + msg::sync())) == "1Z");
    query(a, "BEGIN; SELECT 1");
    auto b = login(p);
    CHECK(types(b.ask(msg::parse("mine", "SELECT 40 + 2") + msg::sync())) == "1Z");
    CHECK(types(b.ask(msg::parse("b", "BEGIN") + msg::sync())) == "1Z");
    CHECK(error_of(b.ask(msg::parse("new", "SELECT 40 + 3") + msg::sync())).sqlstate == "53300");
    CHECK(error_of(b.ask(msg::parse("mine", "SELECT 40 + 2") + msg::sync())).sqlstate == "53300");
    query(a, "COMMIT");
    CHECK(error_of(b.ask(msg::parse("mine", "SELECT 40 + 2") + msg::sync())).sqlstate == "42P05");
    CHECK(first_value(b.ask(msg::bind("", "mine") + msg::execute() + msg::sync())) == "42");
}

TEST_CASE("one thread of pgbench that prepares while others wait does not wait for itself") {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 5}"}}, {}, {}, 0});
    const auto pgbench = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), postgres_program("pgbench"));
        arguments.push_back(p.dsn());
        return run(arguments);
    };
    REQUIRE(pgbench({"-i", "-q"}).status == 0);
    const auto r = pgbench({"-n", "-M", "prepared", "-j", "1", "-c", "50", "-t", "20"});
    CHECK_MESSAGE(r.status == 0, r.err);
    CHECK(Cluster::shared().value("SELECT count(*) FROM pgbench_history") == "1000");
}

TEST_CASE("what would pin beyond pool.max_pinned fails with 53300 and has done nothing" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), options("{min_size: 0, max_size: 3}"));
    auto a = login(p);
    auto b = login(p);
    CHECK(value_of(a, "CREATE TEMP TABLE one(n int)").empty());
    CHECK(value_of(b, "LISTEN news").empty());
    auto c = login(p);
    CHECK(value_of(c, "SELECT pg_advisory_lock(77)") == "53300");
    CHECK(error_of(c.ask(msg::unnamed("LOAD 'plpgsql'") + msg::unnamed("SELECT 1") + msg::sync()))
              .sqlstate == "53300");
    query(c, "BEGIN");
    auto m = query(c, "DECLARE k CURSOR WITH HOLD FOR SELECT 1");
    CHECK(error_of(m).sqlstate == "53300");
    CHECK(ready_status(m) == 'E');
    query(c, "ROLLBACK");
    CHECK(value_of(c, "SET work_mem = '7MB'").empty());  // settings are carried
    CHECK(value_of(c, "SHOW work_mem") == "7MB");
    CHECK(value_of(a, "CREATE TEMP TABLE two(n int)").empty());  // it has its place
    CHECK(Cluster::shared().value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") ==
          "0");
    CHECK(value_of(b, "UNLISTEN *").empty());
    CHECK(eventually([&] { return value_of(c, "SELECT pg_advisory_lock(77)").empty(); }));
    CHECK(value_of(b, "LISTEN news") == "53300");
    c.close();
    CHECK(eventually([&] { return value_of(b, "LISTEN news").empty(); }));
}

TEST_CASE("a database can be dropped, renamed or copied while server connections to it are idle" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 2, max_size: 3}"}}, {}, {}, 0});
    Cluster::shared().value("CREATE DATABASE going");
    auto stays = RawClient::login(p.port(), "postgres", "going");
    CHECK(value_of(stays, "SELECT 1") == "1");
    auto admin = RawClient::login(p.port(), "postgres", "app");
    CHECK(value_of(admin, "CREATE DATABASE twin TEMPLATE going").empty());
    CHECK(value_of(stays, "SELECT 2") == "2");
    CHECK(value_of(admin, "ALTER DATABASE going RENAME TO gone").empty());
    CHECK(value_of(admin, "ALTER DATABASE gone RENAME TO going").empty());
    CHECK(value_of(stays, "SELECT 3") == "3");
    const auto m = admin.ask(msg::unnamed("DROP DATABASE going") + msg::sync());
    CHECK_MESSAGE(error_of(m).sqlstate.empty(), error_of(m).message);
    Cluster::shared().value("DROP DATABASE twin");
}
