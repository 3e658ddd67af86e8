// What clients are told when something is full, slow, down or dead: each fault has its SQLSTATE,
// and the session is kept wherever PostgreSQL would keep it. Numbers in names: protocol traps.
#include <doctest/doctest.h>

#include "support/loopback.hpp"
#include "support/mock_server.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Cluster& cluster() { return Cluster::shared(); }
ProxyOptions options(std::map<std::string, std::string> sections) {
    return {std::move(sections), {}, {}, 0};
}
RawClient login(const Proxy& p, const msg::Parameters& more = {}) {
    return RawClient::login(p.port(), "app", "app", more);
}
std::string ask(RawClient& c, const std::string& sql) {
    return first_value(c.ask(msg::query(sql)));
}

double seconds_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return Seconds(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("a full pool is ERROR 53300 after the wait timeout, and the session is kept (77)") {
    Proxy p(cluster(), options({{"pool", "{min_size: 0, max_size: 1, wait_timeout: 400ms}"}}));
    auto holder = login(p);
    holder.ask(msg::query("BEGIN; SELECT 1"));
    auto c = login(p);
    SUBCASE("in the simple protocol") {
        Messages m;
        const double took = seconds_of([&] { m = c.ask(msg::query("SELECT 1")); });
        CHECK(took > 0.35);
        CHECK(took < 1.5);
        CHECK(types(m) == "EZ");
        CHECK(error_of(m).severity == "ERROR");
        CHECK(error_of(m).sqlstate == "53300");
        CHECK(!error_of(m).detail.empty());
        CHECK(ready_status(m) == 'I');
    }
    SUBCASE("in the extended protocol, with ReadyForQuery only at Sync") {
        c.send(msg::unnamed("SELECT 1") + msg::unnamed("SELECT 2") + msg::flush());
        const auto error = c.read_until('E');
        CHECK(types(error) == "E");
        CHECK(error_of(error).sqlstate == "53300");
        CHECK(!c.poll(Seconds(0.1)));
        CHECK(types(c.ask(msg::unnamed("SELECT 3") + msg::sync())) == "Z");
    }
    SUBCASE("in a pipeline, each batch gets its own error") {
        c.send(msg::unnamed("SELECT 1") + msg::sync() + msg::query("SELECT 2"));
        CHECK(types(c.read_until('Z')) == "EZ");
        CHECK(types(c.read_until('Z')) == "EZ");
    }
    holder.ask(msg::query("COMMIT"));
    CHECK(ask(c, "SELECT 'kept'") == "kept");
}

TEST_CASE(
    "a query over the time limit is cancelled on the server, 57014, and the session is kept (79)") {
    Proxy p(cluster(), options({{"timeouts", "{query: 400ms}"}}));
    auto c = login(p);
    Messages m;
    const double took = seconds_of([&] { m = c.ask(msg::query("SELECT pg_sleep(20)")); });
    CHECK(took > 0.35);
    CHECK(took < 3);
    CHECK(types(m).ends_with("EZ"));
    CHECK(error_of(m).severity == "ERROR");
    CHECK(error_of(m).sqlstate == "57014");
    CHECK(ready_status(m) == 'I');
    CHECK(eventually([] {
        return cluster().value(
                   "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
                   "state = 'active'") == "0";
    }));
    CHECK(ask(c, "SELECT 'kept'") == "kept");
    m = c.ask(msg::unnamed("SELECT pg_sleep(20)") + msg::unnamed("SELECT 2") + msg::sync());
    CHECK(error_of(m).sqlstate == "57014");
    CHECK(count_type(m, 'Z') == 1);
    // In a transaction it fails the transaction.
    c.ask(msg::query("BEGIN"));
    CHECK(ready_status(c.ask(msg::query("SELECT pg_sleep(20)"))) == 'E');
    CHECK(ready_status(c.ask(msg::query("ROLLBACK"))) == 'I');
}

TEST_CASE(
    "the query timeout spares idle time, COPY, utility, CALL, DO and who sets his own (79, 80)") {
    Proxy p(cluster(), options({{"timeouts", "{query: 300ms}"}}));
    auto c = login(p);
    c.ask(msg::query("BEGIN"));
    ask(c, "SELECT 1");
    sleep_for(Seconds(0.5));
    CHECK(ask(c, "SELECT 2") == "2");
    CHECK(ready_status(c.ask(msg::query("COMMIT"))) == 'I');
    for (int i = 0; i < 4; ++i) CHECK(ask(c, "SELECT pg_sleep(0.15) IS NOT NULL") == "t");
    auto m = c.ask(msg::query("COPY (SELECT pg_sleep(0.7)) TO STDOUT"));
    CHECK(error_of(m).sqlstate.empty());
    m = c.ask(msg::query("DO $$BEGIN PERFORM pg_sleep(0.7); END$$"));
    CHECK(error_of(m).sqlstate.empty());
    c.ask(msg::query("CREATE TABLE slow_copy (n int)"));
    c.send(msg::query("COPY slow_copy FROM STDIN"));
    c.read_until('G');
    sleep_for(Seconds(0.6));
    CHECK(types(c.ask(msg::copy_data("1\n") + msg::copy_done())) == "CZ");
    c.ask(msg::query("DROP TABLE slow_copy"));
    // A client that thinks between Flush and Sync is not slow.
    c.send(msg::unnamed("SELECT 1") + msg::flush());
    c.read_until('C');
    sleep_for(Seconds(0.5));
    CHECK(types(c.ask(msg::sync())) == "Z");
    auto own = login(p);
    own.ask(msg::query("SET statement_timeout = '5s'"));
    CHECK(ask(own, "SELECT pg_sleep(0.7) IS NOT NULL") == "t");
}

TEST_CASE("what a client has left running keeps nobody waiting while the pool has places") {
    std::atomic<bool> arrived{false};
    std::atomic<bool> settle{false};
    const MockServer server([&](MockConnection& c) {
        if (!c.login()) {
            while (c.cancelled() && !settle && c.send("")) sleep_for(Seconds(0.005));
            return;
        }
        c.serve([&](const std::string& sql) {
            if (sql == "SELECT 1") arrived = true;
            while (sql == "SELECT 1" && !settle) sleep_for(Seconds(0.005));
            return reply::complete("SELECT 0");
        });
    });
    Proxy p(options(
        {{"pool", "{min_size: 0, max_size: 5, wait_timeout: 1s}"},
         {"workers", "1"},
         {"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(server.port()) + "}}"},
         {"auth", "{method: trust}"}}));
    auto leaver = login(p);
    auto next = login(p);
    leaver.send(msg::query("SELECT 1"));
    REQUIRE(eventually([&] { return arrived.load(); }));
    leaver.reset();
    sleep_for(Seconds(0.05));
    CHECK(types(next.ask(msg::query("SELECT 2"))) == "CZ");
    settle = true;
}

TEST_CASE("a server that is down is ERROR 08001, and the session works once it is back (F01)") {
    Cluster own;
    Proxy p(own, options({{"timeouts", "{connect: 1s}"},
                          {"pool", "{min_size: 0, max_size: 2, wait_timeout: 2s}"}}));
    auto c = login(p);
    CHECK(ask(c, "SELECT 1") == "1");
    own.stop();
    sleep_for(Seconds(0.1));
    for (int i = 0; i < 2; ++i) {
        const auto m = c.ask(msg::query("SELECT 1"));
        CHECK(types(m) == "EZ");
        CHECK(error_of(m).severity == "ERROR");
        CHECK(error_of(m).sqlstate == "08001");
        CHECK(ready_status(m) == 'I');
    }
    const auto m = c.ask(msg::unnamed("SELECT 1") + msg::sync());
    CHECK(types(m) == "EZ");
    CHECK(error_of(m).sqlstate == "08001");
    own.start();
    CHECK(eventually([&] { return ask(c, "SELECT 'back'") == "back"; }, Seconds(10)));
}

TEST_CASE("a server whose name is not known is 08001 with that cause, at once") {
    Proxy p(ProxyOptions{
        {{"databases", "{app: {host: no-such-host.invalid}}"}, {"timeouts", "{connect: 2s}"}},
        {},
        {},
        5432});
    RawClient c(p.port());
    c.send(msg::startup({{"user", "app"}, {"database", "app"}}));
    const auto m = c.read_to_end();
    CHECK(count_type(m, 'E') == 1);
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "08001");
    CHECK(error_of(m).detail.find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("a server that was never up refuses logins with FATAL 08001, and soon") {
    Proxy p(ProxyOptions{{{"timeouts", "{connect: 1s}"}}, {}, {}, free_port()});
    RawClient c(p.port());
    c.send(msg::startup({{"user", "app"}, {"database", "app"}}));
    const auto m = c.read_to_end();
    CHECK(error_of(m).sqlstate == "08001");
    CHECK(error_of(m).severity == "FATAL");
}

TEST_CASE(
    "a server process that is ended gives its client one clear error, and nobody else any (40)") {
    Proxy p(cluster(), options({{"pool", "{min_size: 0, max_size: 4}"}}));
    auto c = login(p, {{"application_name", "victim"}});
    auto other = login(p);
    CHECK(ask(other, "SELECT 1") == "1");
    for (const bool idle_in_transaction : {true, false}) {
        auto v = login(p, {{"application_name", "victim"}});
        if (idle_in_transaction)
            v.ask(msg::query("BEGIN; SELECT 1"));
        else
            v.send(msg::query("SELECT pg_sleep(20)"));
        const auto victims = [] {
            return "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                   "application_name = 'victim' AND state <> 'idle'";
        };
        CHECK(eventually([&] { return cluster().value(victims()) != "0"; }));
        if (idle_in_transaction) {
            sleep_for(Seconds(0.1));
            try {
                v.send(msg::query("SELECT 1"));
            } catch (const Closed&) {
            }
        }
        Messages m;
        try {
            do m.push_back(v.read());
            while (m.back().type != 'Z');
        } catch (const Closed&) {
        }
        CHECK(count_type(m, 'E') == 1);
        CHECK((error_of(m).sqlstate == "57P01" || error_of(m).sqlstate == "08006"));
        CHECK(ask(other, "SELECT 'unharmed'") == "unharmed");
    }
    CHECK(ask(c, "SELECT 'new server'") == "new server");
}

TEST_CASE("a PostgreSQL that crashes and comes back is survived") {
    Cluster own;
    Proxy p(own, options({{"pool", "{min_size: 0, max_size: 2, wait_timeout: 3s}"}}));
    auto c = login(p);
    CHECK(ask(c, "SELECT 1") == "1");
    own.crash();
    own.start();
    CHECK(eventually(
        [&] {
            try {
                return ask(c, "SELECT 'again'") == "again";
            } catch (const Closed&) {
                c = RawClient::login(p.port());
                return false;
            }
        },
        Seconds(10)));
}

TEST_CASE("more clients than allowed are refused with FATAL 53300, and room is found again") {
    Proxy p(cluster(), options({{"limits", "{max_clients: 3}"}}));
    std::vector<RawClient> clients;
    eventually([] {
        sleep_for(Seconds(0.1));
        return true;
    });
    for (int i = 0; i < 3; ++i) clients.push_back(login(p));
    RawClient extra(p.port());
    extra.send(msg::startup({{"user", "app"}, {"database", "app"}}));
    const auto m = extra.read_to_end();
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "53300");
    CHECK(error_of(m).message == "sorry, too many clients already");
    clients.pop_back();
    CHECK(eventually([&] {
        try {
            auto c = login(p);
            return ask(c, "SELECT 1") == "1";
        } catch (const std::exception&) {
            return false;
        }
    }));
}

TEST_CASE("max_server_connections holds over all pools of a host") {
    Proxy p(cluster(), options({{"limits", "{max_server_connections: 3}"},
                                {"control", "{user: postgres}"},
                                {"cache", "{enabled: false}"},
                                {"pool", "{min_size: 0, max_size: 5, wait_timeout: 300ms}"}}));
    cluster().connect().exec("CREATE ROLE second LOGIN");
    std::vector<RawClient> holders;
    int refused = 0;
    for (int i = 0; i < 6; ++i) {
        try {
            holders.push_back(RawClient::login(p.port(), i % 2 == 0 ? "app" : "second"));
            const auto m = holders.back().ask(msg::query("BEGIN; SELECT 1"));
            if (error_of(m).sqlstate == "53300") ++refused;
        } catch (const std::runtime_error&) {
            ++refused;  // not even the login found a server connection
        }
    }
    CHECK(refused >= 3);
    CHECK(cluster().backends("app") + cluster().backends("second") <= 3);
}

TEST_CASE("connections that nobody uses keep no client of another pool waiting") {
    cluster().connect().exec("CREATE ROLE second LOGIN");
    Proxy p(cluster(), options({{"limits", "{max_server_connections: 2}"},
                                {"control", "{user: postgres}"},
                                {"cache", "{enabled: false}"},
                                {"workers", "4"},
                                {"pool", "{min_size: 0, max_size: 5, wait_timeout: 3s}"}}));
    std::vector<RawClient> first, others;
    for (int i = 0; i < 4; ++i) first.push_back(RawClient::login(p.port(), "app"));
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 2; ++i)
            CHECK(ready_status(first[i].ask(msg::query("BEGIN; SELECT 1"))) == 'T');
        for (int i = 0; i < 2; ++i) first[i].ask(msg::query("COMMIT"));
        CHECK(cluster().backends("app") == 2);
        if (others.empty())
            for (int i = 0; i < 2; ++i) others.push_back(RawClient::login(p.port(), "second"));
        for (auto& c : others) CHECK(ready_status(c.ask(msg::query("BEGIN; SELECT 1"))) == 'T');
        CHECK(cluster().backends("second") == 2);
        CHECK(error_of(first[0].ask(msg::query("SELECT 1"))).sqlstate == "53300");
        for (auto& c : others) c.ask(msg::query("COMMIT"));
    }
}

TEST_CASE("a message over limits.max_message is refused, without memory for it (S16)") {
    Proxy p(cluster(), options({{"limits", "{max_message: 1MiB}"}}));
    auto c = login(p);
    const auto before = p.resident_kib();
    std::string header(1, 'Q');
    header += std::string("\x20\0\0\0", 4);
    c.send(header);
    const auto m = c.read_to_end();
    CHECK(error_of(m).severity == "FATAL");
    CHECK((error_of(m).sqlstate == "54000" || error_of(m).sqlstate == "08P01"));
    CHECK(p.resident_kib() - before < 2048);
    auto d = login(p);
    CHECK(ask(d, "SELECT length('" + std::string(1000, 'x') + "')") == "1000");
}

TEST_CASE("a pool whose own password is wrong backs off and leaves other pools alone (20)") {
    Cluster own({{},
                 "local all all trust\nhost all wrongpass 127.0.0.1/32 scram-sha-256\n"
                 "host all all 127.0.0.1/32 trust\n"});
    own.connect().run("CREATE ROLE wrongpass LOGIN PASSWORD 'right'");
    const auto port = std::to_string(own.port());
    Proxy p(own,
            {{{"databases", "{broken: {host: 127.0.0.1, port: " + port +
                                ", dbname: app, user: wrongpass, password_file: secret}, \"*\": "
                                "{host: 127.0.0.1, port: " +
                                port + "}}"},
              {"pool", "{min_size: 2, max_size: 5, wait_timeout: 500ms}"},
              {"control", "{user: postgres}"}},
             {{"secret", "wrong"}},
             {},
             0});
    const auto failures = [&] {
        const auto log = own.log();
        int n = 0;
        for (auto at = log.find("password authentication failed"); at != std::string::npos;
             at = log.find("password authentication failed", at + 1))
            ++n;
        return n;
    };
    for (int i = 0; i < 10; ++i) {
        RawClient c(p.port());
        c.send(msg::startup({{"user", "app"}, {"database", "broken"}}));
        Messages m;
        try {
            do m.push_back(c.read());
            while (m.back().type != 'Z' && m.back().type != 'E');
            if (m.back().type == 'Z') m = c.ask(msg::query("SELECT 1"));
        } catch (const Closed&) {
        }
        CHECK(count_type(m, 'E') == 1);
    }
    sleep_for(Seconds(1));
    MESSAGE("attempts on the server: ", failures());
    CHECK(failures() >= 1);
    CHECK(failures() <= 40);
    auto fine = login(p);
    CHECK(ask(fine, "SELECT 'fine'") == "fine");
}

TEST_CASE("without a file descriptor left it waits instead of spinning, and recovers (85)") {
    Proxy p(cluster());
    auto c = login(p);
    CHECK(ask(c, "SELECT 1") == "1");
    const auto limit = std::to_string(p.open_files() + 10);
    const auto r =
        run({"prlimit", "--pid", std::to_string(p.pid()), "--nofile=" + limit + ":4096"});
    REQUIRE(r.status == 0);
    std::vector<RawClient> crowd;
    for (int i = 0; i < 60; ++i) crowd.emplace_back(p.port());
    const auto before = processor_time(p.pid());
    sleep_for(Seconds(1));
    CHECK(processor_time(p.pid()) - before < 0.5);
    CHECK(ask(c, "SELECT 'served'") == "served");
    crowd.clear();
    CHECK(eventually([&] {
        try {
            auto d = login(p);
            return ask(d, "SELECT 1") == "1";
        } catch (const std::exception&) {
            return false;
        }
    }));
}
