// Cancelling: the right query, never another client's. Numbers in names: the list of protocol
// traps.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "support/mock_server.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(),
                   {{{"pool", "{min_size: 0, max_size: 2, wait_timeout: 10s}"}}, {}, {}, 0});
    return p;
}
std::uint16_t port() { return proxy().port(); }
RawClient login() { return RawClient::login(port()); }

void cancel(std::uint32_t pid, const std::string& key) {
    RawClient c(port());
    c.send(msg::cancel_request(pid, key));
    CHECK(c.read_to_end().empty());
}

void wait_for_active(const std::string& text) {
    CHECK(eventually([&] {
        return Cluster::shared().value(
                   "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' "
                   "AND state = 'active' AND query LIKE '%" +
                   text + "%'") != "0";
    }));
}

}  // namespace

TEST_CASE("a cancel ends the running query with 57014, and the session goes on") {
    auto c = login();
    for (int i = 0; i < 3; ++i) {
        c.send(i % 2 == 0 ? msg::query("SELECT pg_sleep(30)")
                          : msg::unnamed("SELECT pg_sleep(30)") + msg::sync());
        wait_for_active("pg_sleep(30)");
        cancel(c.backend_pid(), c.backend_key());
        const auto m = c.read_until('Z');
        CHECK(error_of(m).severity == "ERROR");
        CHECK(error_of(m).sqlstate == "57014");
        CHECK(error_of(m).message == "canceling statement due to user request");
        CHECK(ready_status(m) == 'I');
        CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
    }
}

TEST_CASE("libpq cancels") {
    auto db = proxy().connect();
    PQsendQuery(db.raw(), "SELECT pg_sleep(30)");
    wait_for_active("pg_sleep(30)");
    PGcancel* handle = PQgetCancel(db.raw());
    char error[256];
    CHECK(PQcancel(handle, error, sizeof error) == 1);
    PQfreeCancel(handle);
    const auto a = take_answer(PQgetResult(db.raw()));
    CHECK(a.sqlstate == "57014");
    while (PGresult* r = PQgetResult(db.raw())) PQclear(r);
    CHECK(db.value("SELECT 1") == "1");
}

TEST_CASE("a cancel in a transaction fails the transaction") {
    auto c = login();
    c.ask(msg::query("BEGIN"));
    c.send(msg::query("SELECT pg_sleep(30)"));
    wait_for_active("pg_sleep(30)");
    cancel(c.backend_pid(), c.backend_key());
    CHECK(ready_status(c.read_until('Z')) == 'E');
    CHECK(ready_status(c.ask(msg::query("ROLLBACK"))) == 'I');
}

TEST_CASE("a cancel with a wrong key, pid or size hits nobody and gets no answer (74)") {
    auto c = login();
    c.send(msg::query("SELECT pg_sleep(1)"));
    wait_for_active("pg_sleep(1)");
    auto wrong = c.backend_key();
    wrong.back() = static_cast<char>(wrong.back() ^ 1);
    cancel(c.backend_pid(), wrong);
    cancel(c.backend_pid() + 1, c.backend_key());
    cancel(0, std::string(4, '\0'));
    for (const std::size_t size : {0u, 1u, 3u, 5u, 256u, 300u}) {
        RawClient other(port());
        other.send(msg::cancel_request(c.backend_pid(), std::string(size, 'k')));
        CHECK(other.read_to_end().empty());
    }
    CHECK(types(c.read_until('Z')) == "TDCZ");
}

TEST_CASE("a cancel for an idle session hits nobody (72)") {
    auto idle = login();
    CHECK(first_value(idle.ask(msg::query("SELECT 1"))) == "1");
    auto a = login();
    auto b = login();
    a.send(msg::query("SELECT pg_sleep(0.5)"));
    b.send(msg::query("SELECT pg_sleep(0.5)"));
    for (int i = 0; i < 20; ++i) cancel(idle.backend_pid(), idle.backend_key());
    CHECK(types(a.read_until('Z')) == "TDCZ");
    CHECK(types(b.read_until('Z')) == "TDCZ");
    CHECK(first_value(idle.ask(msg::query("SELECT 2"))) == "2");
}

TEST_CASE("a cancel for a queued query takes it out of the queue (72)" *
          doctest::skip(Proxy::direct())) {
    auto a = login();
    auto b = login();
    a.ask(msg::query("BEGIN; SELECT 1"));
    b.ask(msg::query("BEGIN; SELECT 1"));
    auto queued = login();
    queued.send(msg::query("CREATE TABLE must_not_be (n int)"));
    sleep_for(Seconds(0.2));
    cancel(queued.backend_pid(), queued.backend_key());
    const auto m = queued.read_until('Z');
    CHECK(error_of(m).sqlstate == "57014");
    CHECK(ready_status(m) == 'I');
    a.ask(msg::query("COMMIT"));
    b.ask(msg::query("COMMIT"));
    CHECK(first_value(queued.ask(msg::query("SELECT to_regclass('must_not_be') IS NULL"))) == "t");
}

TEST_CASE("a key is worth nothing once its session has ended (S27)") {
    auto c = login();
    const auto pid = c.backend_pid();
    const auto key = c.backend_key();
    c.close();
    // Somebody comes to have its number.
    std::vector<RawClient> later;
    while (later.size() < 40 && (later.empty() || later.back().backend_pid() != pid))
        later.push_back(login());
    auto& a = later.back();
    REQUIRE(a.backend_pid() == pid);
    a.send(msg::query("SELECT pg_sleep(0.5)"));
    for (int i = 0; i < 5; ++i) cancel(pid, key);
    CHECK(types(a.read_until('Z')) == "TDCZ");
}

TEST_CASE("racing cancels never hit another client's query (71, S28)") {
    constexpr int kVictims = 400;
    std::atomic<bool> done{false};
    std::atomic<int> bystander_errors{0};
    std::vector<std::thread> bystanders;
    for (int i = 0; i < 4; ++i) {
        bystanders.emplace_back([&] {
            auto c = login();
            while (!done) {
                const auto m = c.ask(msg::query("SELECT pg_sleep(0.001), 'mine'"));
                if (types(m) != "TDCZ") ++bystander_errors;
            }
        });
    }
    std::mt19937 random(4711);
    int cancelled = 0;
    int strange = 0;
    auto victim = login();
    for (int i = 0; i < kVictims; ++i) {
        victim.send(msg::query("SELECT pg_sleep(0.002)"));
        sleep_for(Seconds(std::uniform_real_distribution<double>(0, 0.006)(random)));
        RawClient canceller(port());
        canceller.send(msg::cancel_request(victim.backend_pid(), victim.backend_key()));
        if (i % 2 == 0)
            canceller.read_to_end();
        else
            canceller.reset();
        const auto m = victim.read_until('Z');
        if (error_of(m).sqlstate == "57014")
            ++cancelled;
        else if (types(m) != "TDCZ")
            ++strange;
    }
    done = true;
    for (auto& t : bystanders) t.join();
    MESSAGE("cancelled ", cancelled, " of ", kVictims);
    CHECK(bystander_errors == 0);
    CHECK(strange == 0);
    CHECK(cancelled > 0);
}

TEST_CASE("a flood of cancels starves nobody (73)") {
    auto c = login();
    std::vector<RawClient> flood;
    for (int i = 0; i < 200; ++i) {
        flood.emplace_back(port());
        flood.back().send(msg::cancel_request(c.backend_pid(), c.backend_key()));
    }
    CHECK(first_value(login().ask(msg::query("SELECT 'served'"))) == "served");
    for (auto& f : flood) CHECK(f.read_to_end().empty());
    for (int i = 0; i < 10; ++i) {
        const auto m = c.ask(msg::query("SELECT 'calm'"));
        if (i > 5) CHECK(first_value(m) == "calm");
    }
}

TEST_CASE(
    "while a cancel is on its way its server runs nobody's query, and the canceller waits (71)") {
    std::atomic<bool> first_arrived{false};
    std::atomic<bool> arrived{false};
    std::atomic<bool> settle{false};
    std::atomic<bool> answer_first{false};
    std::atomic<int> queries{0};
    const MockServer server([&](MockConnection& c) {
        if (!c.login()) {
            if (!c.cancelled()) return;
            arrived = true;
            while (!settle && c.send("")) sleep_for(Seconds(0.005));
            return;
        }
        c.serve([&](const std::string& sql) {
            if (sql == "SELECT 1") {
                first_arrived = true;
                while (!answer_first && !settle) sleep_for(Seconds(0.005));
            } else if (sql == "SELECT 2") {
                ++queries;
            }
            return reply::complete("SELECT 0");
        });
    });
    Proxy p(
        Cluster::shared(),
        {{{"pool", "{min_size: 0, max_size: 1, wait_timeout: 20s}"},
          {"databases", "{app: {host: 127.0.0.1, port: " + std::to_string(server.port()) + "}}"},
          {"auth", "{method: trust}"}},
         {},
         {},
         0});
    auto c = RawClient::login(p.port());
    c.send(msg::query("SELECT 1"));
    REQUIRE(eventually([&] { return first_arrived.load(); }));
    RawClient canceller(p.port());
    canceller.send(msg::cancel_request(c.backend_pid(), c.backend_key()));
    REQUIRE(eventually([&] { return arrived.load(); }));
    answer_first = true;
    CHECK(types(c.read_until('Z')) == "CZ");
    c.send(msg::query("SELECT 2"));
    CHECK(!canceller.closed_within(Seconds(0.3)));
    CHECK(queries == 0);
    settle = true;
    CHECK(types(c.read_until('Z')) == "CZ");
    CHECK(queries == 1);
    CHECK(canceller.read_to_end().empty());
}
