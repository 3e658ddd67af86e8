// Numbers of server processes in statements: the one a client was told at its login stands for the
// server connection it has, as from a server of its own.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {
Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 4}"}}, {}, {}, 0});
    return p;
}
RawClient login() { return RawClient::login(proxy().port()); }
std::string number(const RawClient& c) { return std::to_string(c.backend_pid()); }

void check_terminated(RawClient& c) {
    const auto m = c.read_to_end();
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "57P01");
    CHECK(count_type(m, 'E') == 1);
}
std::string text_of(int n) { return "SELECT " + std::to_string(n); }
}  // namespace

TEST_CASE("a session that is named to pg_terminate_backend ends as the server ends it") {
    auto admin = login();
    for (int i = 0; i < 4; ++i) {  // idle, in a transaction, at work, twice by Bind
        INFO(i);
        auto victim = login();
        CHECK(ask(victim, text_of(i)) == std::to_string(i));
        if (i == 1) victim.ask(msg::query("BEGIN; SELECT 1"));
        if (i == 2) victim.send(msg::query("SELECT pg_sleep(30)"));
        if (i == 2) sleep_for(Seconds(0.2));
        if (i < 3)
            CHECK(ask(admin, "SELECT pg_terminate_backend(" + number(victim) + ")") == "t");
        else
            CHECK(first_value(admin.ask(
                      msg::unnamed("SELECT pg_terminate_backend($1::int)", {number(victim)}) +
                      msg::sync())) == "t");
        check_terminated(victim);
    }
    CHECK(ask(admin, "SELECT 1") == "1");
}

TEST_CASE("a session can end itself by the number it was told") {
    auto c = login();
    c.send(msg::query("SELECT pg_terminate_backend(" + number(c) + ")"));
    check_terminated(c);
    auto prepared = login();
    prepared.ask(msg::parse("end", "SELECT pg_terminate_backend($1)") + msg::sync());
    prepared.send(msg::bind("", "end", {number(prepared)}) + msg::execute() + msg::sync());
    check_terminated(prepared);
}

TEST_CASE("pg_cancel_backend by number cancels what that client runs, and nothing when it rests") {
    auto admin = login(), victim = login();
    CHECK(ask(admin, "SELECT pg_cancel_backend(" + number(victim) + ")") == "t");
    CHECK(ask(victim, "SELECT 1") == "1");
    victim.send(msg::query("SELECT pg_sleep(30)"));
    CHECK(eventually([&] {
        return Cluster::shared().value(
                   "SELECT count(*) FROM pg_stat_activity WHERE query = "
                   "'SELECT pg_sleep(30)' AND state = 'active'") == "1";
    }));
    CHECK(ask(admin, "SELECT pg_cancel_backend(" + number(victim) + ")") == "t");
    CHECK(error_of(victim.read_until('Z')).sqlstate == "57014");
    CHECK(ask(victim, "SELECT 2") == "2");
}

TEST_CASE("who may signal whom is for the server to say") {
    Cluster::shared()
        .connect("postgres")
        .run(
            "DO $$BEGIN CREATE ROLE meek LOGIN; EXCEPTION WHEN duplicate_object "
            "THEN NULL; END$$");
    auto victim = login();
    auto meek = RawClient::login(proxy().port(), "meek");
    CHECK(ask(victim, "SELECT 1") == "1");
    CHECK(ask(meek, "SELECT pg_terminate_backend(" + number(victim) + ")").starts_with("42501"));
    CHECK(ask(victim, "SELECT 2") == "2");
}

TEST_CASE("a number that no client was told is nobody's, as on the server") {
    auto admin = login();
    std::uint32_t gone = 0;
    {
        auto c = login();
        gone = c.backend_pid();
    }
    const auto m =
        admin.ask(msg::query("SELECT pg_terminate_backend(" + std::to_string(gone + 1000) + ")"));
    CHECK(first_value(m) == "f");
    CHECK(count_type(m, 'N') == 1);
    CHECK(ask(admin, "SELECT pg_terminate_backend(2147483647)") == "f");
}

TEST_CASE("a client finds itself and others in pg_stat_activity by the numbers it knows") {
    auto one = login(), other = login();
    other.ask(msg::query("BEGIN; SELECT 'it is me'"));
    const auto asked = "SELECT state, query FROM pg_stat_activity WHERE pid = ";
    CHECK(
        rows(one.ask(msg::query(asked + number(other)))) ==
        std::vector<std::vector<std::string>>{{"idle in transaction", "BEGIN; SELECT 'it is me'"}});
    CHECK(first_value(one.ask(msg::unnamed(asked + std::string("$1::int"), {number(one)}) +
                              msg::sync())) == "active");
    other.ask(msg::query("COMMIT"));
    CHECK(ask(one, asked + number(other)) == "idle");
}

TEST_CASE("who waits for whom is told by the numbers clients know") {
    Cluster::shared().connect("app").run("CREATE TABLE IF NOT EXISTS queue (n int)");
    auto holder = login(), waiter = login(), watcher = login();
    holder.ask(msg::query("BEGIN; LOCK TABLE queue"));
    waiter.send(msg::query("LOCK TABLE queue; SELECT 1"));
    const auto blocked = [&](const RawClient& a, const RawClient& b) {
        return ask(watcher, "SELECT pg_isolation_test_session_is_blocked(" + number(a) + ", '{" +
                                number(b) + "}')");
    };
    CHECK(eventually([&] { return blocked(waiter, holder) == "t"; }));
    CHECK(blocked(holder, waiter) == "f");
    CHECK(blocked(watcher, holder) == "f");
    watcher.ask(msg::parse("w", "SELECT pg_isolation_test_session_is_blocked($1, '{" +
                                    number(holder) + "," + number(watcher) + "}')") +
                msg::sync());
    const auto wait = [&](const RawClient& who) {
        return first_value(
            watcher.ask(msg::bind("", "w", {number(who)}) + msg::execute() + msg::sync()));
    };
    CHECK(wait(waiter) == "t");
    CHECK(wait(holder) == "f");
    holder.ask(msg::query("COMMIT"));
    CHECK(types(waiter.read_until('Z')).back() == 'Z');
    CHECK(wait(waiter) == "f");
}

TEST_CASE("a session that was named goes back to sharing server connections" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 2}"}}, {}, {}, 0});
    auto admin = RawClient::login(p.port()), named = RawClient::login(p.port());
    CHECK(ask(admin, "SELECT pg_cancel_backend(" + number(named) + ")") == "t");
    auto a = RawClient::login(p.port()), b = RawClient::login(p.port());
    a.ask(msg::query("BEGIN; SELECT 1"));  // both server connections
    b.ask(msg::query("BEGIN; SELECT 1"));
    CHECK(ready_status(a.ask(msg::query("COMMIT"))) == 'I');
    CHECK(ask(named, "SELECT 3") == "3");
}

TEST_CASE("where no server connection is free for the one that is named, the statement goes on" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    auto admin = RawClient::login(p.port()), named = RawClient::login(p.port());
    CHECK(ask(admin, "SELECT pg_cancel_backend(" + number(named) + ")") == "f");
    CHECK(ask(named, "SELECT 3") == "3");
    CHECK(ask(admin, "SELECT 4") == "4");
}

TEST_CASE("a statement that names others and runs long does not keep their server connections" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(),
            {{{"pool", "{min_size: 0, max_size: 2, wait_timeout: 9s}"}}, {}, {}, 0});
    auto admin = RawClient::login(p.port()), named = RawClient::login(p.port());
    admin.send(msg::query("SELECT pg_sleep(8) FROM pg_stat_activity WHERE pid = " + number(named)));
    auto other = RawClient::login(p.port());
    CHECK(ask(other, "SELECT 1") == "1");
    CHECK(admin.poll(Seconds(0.01)) == std::nullopt);
    CHECK(ask(named, "SELECT 2") == "2");
}

TEST_CASE("half a batch in front of a statement that waits for others is never completed by them" *
          doctest::skip(Proxy::direct())) {
    Cluster::shared().connect("app").run("CREATE TABLE IF NOT EXISTS half (n int)");
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 2}"},
                                 {"workers", "1"},
                                 {"cache", "{exclusive_writer: true}"}},
                                {},
                                {},
                                0});
    auto named = RawClient::login(p.port()), holder = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, named, "SELECT count(*) FROM half"));  // the catalog is at hand
    const auto count = "SELECT count(*) FROM half WHERE random() < 2";
    holder.ask(msg::query("BEGIN; SELECT 1"));
    {
        auto c = RawClient::login(p.port());
        c.send(msg::unnamed("INSERT INTO half VALUES (1)") + msg::flush());
        c.read_until('C');
        c.send(msg::query("SELECT pg_terminate_backend(" + number(named) + ")"));
        CHECK(c.poll(Seconds(0.3)) == std::nullopt);  // `named` waits for a server connection
    }
    for (int i = 0; i < 3; ++i) CHECK(ask(named, count) == "0");
    CHECK(ready_status(holder.ask(msg::query("COMMIT"))) == 'I');
    CHECK(ask(holder, count) == "0");
}

TEST_CASE("what is only kept by the server keeps the numbers it was given") {
    auto one = login(), other = login();
    CHECK(ask(other, "SELECT 1") == "1");
    one.ask(msg::query("BEGIN"));
    one.ask(msg::query("DECLARE c CURSOR FOR SELECT pg_terminate_backend(" + number(other) + ")"));
    CHECK(ask(one, "FETCH c") == (Proxy::direct() ? "t" : "f"));
    one.ask(msg::query("COMMIT"));
    if (!Proxy::direct()) CHECK(ask(other, "SELECT 2") == "2");
}
