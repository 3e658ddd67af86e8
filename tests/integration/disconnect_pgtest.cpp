// Clients that leave at every possible moment: no open transaction, no lock, no half request and no
// dirty server connection stays behind. Numbers in names: the list of protocol traps.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(),
                   {{{"pool", "{min_size: 0, max_size: 2, wait_timeout: 5s}"}}, {}, {}, 0});
    return p;
}
std::uint16_t port() { return proxy().port(); }
RawClient login() { return RawClient::login(port()); }

std::string direct(const std::string& sql) { return Cluster::shared().value(sql); }

/// Nothing of the pool's may be in a transaction, running, or holding a lock.
void check_clean() {
    const auto dirty = [] {
        return direct(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
            "application_name <> 'direct' AND state <> 'idle'");
    };
    CHECK(eventually([&] { return dirty() == "0"; }));
    // A connection that is being opened or closed may hold one for a moment.
    CHECK(eventually([&] {
        return direct(
                   "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                   "WHERE a.usename = 'app'") == "0";
    }));
    for (int i = 0; i < 3; ++i)
        CHECK(first_value(login().ask(msg::query("SELECT 'next'"))) == "next");
    CHECK(Cluster::shared().backends() <= 2);
}

enum class Way { close, reset, terminate, half_close };

void leave(RawClient& c, Way way) {
    switch (way) {
        case Way::close: c.close(); break;
        case Way::reset: c.reset(); break;
        case Way::terminate:
            c.send(msg::terminate());
            c.close();
            break;
        case Way::half_close: c.half_close(); break;
    }
}

/// Logs in over the Unix socket `path`, sends `last` when a query can be sent, and closes.
void send_and_close(const std::string& path, const std::string& last) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const auto say = [&](const std::string& bytes) {
        REQUIRE(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    };
    say(msg::startup({{"user", "app"}, {"database", "app"}}));
    std::string greeting;
    char block[4096];
    while (!greeting.ends_with(std::string_view("Z\0\0\0\5I", 6))) {
        const auto n = recv(fd, block, sizeof block, 0);
        REQUIRE(n > 0);
        greeting.append(block, static_cast<std::size_t>(n));
    }
    say(last);
    close(fd);
}

constexpr Way kWays[] = {Way::close, Way::reset, Way::terminate, Way::half_close};

}  // namespace

TEST_CASE("a client that leaves in a transaction leaves it rolled back (36)") {
    Cluster::shared().connect("app").run("CREATE TABLE leavers (n int)");
    for (const auto way : kWays) {
        auto c = login();
        c.ask(msg::query("BEGIN"));
        c.ask(msg::query("INSERT INTO leavers VALUES (1)"));
        c.ask(msg::query("SELECT pg_advisory_lock(7)"));
        leave(c, way);
        check_clean();
        CHECK(direct("SELECT count(*) FROM leavers") == "0");
    }
}

TEST_CASE("a client that leaves in a failed transaction leaves it rolled back (36, 38)") {
    for (const auto way : kWays) {
        auto c = login();
        c.ask(msg::query("BEGIN"));
        c.ask(msg::query("SELECT 1/0"));
        leave(c, way);
        check_clean();
    }
}

TEST_CASE("a client that leaves before Sync leaves nothing done (36)") {
    for (const auto way : kWays) {
        auto c = login();
        c.send(msg::unnamed("INSERT INTO leavers VALUES (2)") + msg::flush());
        c.read_until('C');
        leave(c, way);
        check_clean();
        CHECK(direct("SELECT count(*) FROM leavers WHERE n = 2") == "0");
    }
}

TEST_CASE("a client that leaves behind a failed message keeps no server connection (36)") {
    const auto fails = msg::describe('P', "none");
    for (int i = 0; i < 3; ++i) {
        auto c = login();
        c.send(fails + msg::query("SELECT 1"));
        CHECK(c.read().type == 'E');
        c.close();
        auto d = login();
        d.send(msg::unnamed("SELECT pg_sleep(0.1)") + msg::sync() + fails);
        d.close();
    }
    check_clean();
}

TEST_CASE("half a request is never sent on (36)") {
    const auto insert = msg::query("INSERT INTO leavers VALUES (3)");
    for (std::size_t n = 1; n < insert.size(); n += 3) {
        auto c = login();
        c.send(std::string_view(insert).substr(0, n));
        if (n % 2 == 0) c.reset();
    }
    check_clean();
    CHECK(direct("SELECT count(*) FROM leavers WHERE n = 3") == "0");
}

TEST_CASE("a client that leaves while its query runs has it cancelled") {
    for (const auto way : {Way::close, Way::reset}) {
        auto c = login();
        c.send(msg::query("SELECT pg_sleep(30)"));
        CHECK(eventually([] {
            return direct(
                       "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' "
                       "AND usename = 'app' AND state = 'active'") == "1";
        }));
        leave(c, way);
        check_clean();
    }
}

TEST_CASE("a connection whose cancel cannot be sent is nobody's before it has ended (71)") {
    const auto& server = Cluster::shared();
    const auto at = server.socket_directory();
    Proxy p(server, {{{"pool", "{min_size: 0, max_size: 1, wait_timeout: 8s}"},
                      {"workers", "1"},
                      {"databases",
                       "{\"*\": {host: " + at + ", port: " + std::to_string(server.port()) + "}}"}},
                     {},
                     {},
                     0});
    auto leaver = RawClient::login(p.port());
    auto waiter = RawClient::login(p.port());
    const auto slow = msg::query("SELECT pg_sleep(0.8), 'of another'");
    SUBCASE("in the middle of a query") { leaver.send(slow); }
    SUBCASE("in the middle of a pipeline") {
        leaver.send(slow + msg::query("SELECT 'of another'"));
    }
    CHECK(eventually([] {
        return direct(
                   "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(0.8)%' "
                   "AND usename = 'app' AND state = 'active'") == "1";
    }));
    waiter.send(msg::query("SELECT 'its own'"));
    sleep_for(Seconds(0.1));
    const auto socket = at + "/.s.PGSQL." + std::to_string(server.port());
    std::filesystem::rename(socket, socket + ".away");
    leaver.reset();
    sleep_for(Seconds(0.3));
    std::filesystem::rename(socket + ".away", socket);
    const auto m = waiter.read_until('Z');
    CHECK(types(m) == "TDCZ");
    CHECK(first_value(m) == "its own");
    CHECK(first_value(waiter.ask(msg::query("SELECT 'the next'"))) == "the next");
}

TEST_CASE("a client that leaves while queued leaves the queue (72)") {
    auto a = login();
    auto b = login();
    auto c = login();
    auto d = login();
    a.ask(msg::query("BEGIN; SELECT 1"));
    b.ask(msg::query("BEGIN; SELECT 1"));
    c.send(msg::query("INSERT INTO leavers VALUES (4)"));
    sleep_for(Seconds(0.1));
    d.send(msg::query("SELECT 'served'"));
    c.reset();
    sleep_for(Seconds(0.1));
    a.ask(msg::query("COMMIT"));
    CHECK(first_value(d.read_until('Z')) == "served");
    b.ask(msg::query("COMMIT"));
    check_clean();
    CHECK(direct("SELECT count(*) FROM leavers WHERE n = 4") == "0");
}

TEST_CASE(
    "a client that leaves in the middle of a large row keeps the server's frames whole (70)") {
    for (int i = 0; i < 4; ++i) {
        auto c = login();
        c.shrink_receive_buffer(4096);
        c.send(msg::query("SELECT repeat('x', 50000000)"));
        c.read_bytes(1000);
        leave(c, kWays[i % 2]);
        check_clean();
    }
}

TEST_CASE("a client that half-closes still gets the answer it asked for") {
    auto c = login();
    c.ask(msg::query("SELECT 1"));  // a server is ready: what vanished looks the same in the queue
    c.send(msg::query("SELECT 'last wish'"));
    c.half_close();
    const auto m = c.read_to_end();
    // PostgreSQL answers and then sees the end.
    CHECK(first_value(m) == "last wish");
    check_clean();
}

TEST_CASE("a client that reads slowly does not fill the proxy's memory (88)" *
          doctest::skip(Proxy::direct())) {
    auto warm = login();
    warm.ask(msg::query("SELECT 1"));
    const auto before = proxy().resident_kib();
    auto c = login();
    c.send(msg::query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"));
    c.read();
    sleep_for(Seconds(1));
    CHECK(proxy().resident_kib() - before < 8 * 1024);
    // Others are served meanwhile, and the slow one gets all in the end.
    CHECK(first_value(warm.ask(msg::query("SELECT 'others'"))) == "others");
    const auto m = c.read_until('Z');
    CHECK(count_type(m, 'D') == 100000);
}

TEST_CASE("nor does one that asks for stored answers and does not read them (88)" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    auto warm = RawClient::login(p.port());
    const std::string large = "SELECT repeat('x', 500000)";
    REQUIRE(becomes_cached(p, warm, large));
    const auto before = p.resident_kib();
    auto c = RawClient::login(p.port());
    constexpr int kAsked = 300;
    std::string all;
    for (int i = 0; i < kAsked; ++i) all += msg::query(large);
    c.send(all);
    sleep_for(Seconds(1));
    CHECK(p.resident_kib() - before < 8 * 1024);
    CHECK(ask(warm, "SELECT 'others'") == "others");
    for (int i = 0; i < kAsked; ++i) {
        const auto m = c.read_until('Z');
        REQUIRE(first_value(m).size() == 500000);
    }
}

TEST_CASE("a pipeline that never drains is kept in the same memory, with its Syncs or without" *
          doctest::skip(Proxy::direct() || kSanitized)) {
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port());
    c.ask(msg::query("DROP TABLE IF EXISTS endless; CREATE TABLE endless (n int)"));
    // The server is what all wait for, so that it never gets to the end of them.
    const std::string slow = "(SELECT count(random()) FROM generate_series(1, 2000))";
    c.ask(msg::parse("w", "INSERT INTO endless SELECT 1 WHERE 1 > " + slow) +
          msg::parse("r", "SELECT " + slow) + msg::sync());
    const auto run = [](const char* name) { return msg::bind("", name) + msg::execute(); };
    std::string next;
    char last = 'Z';
    SUBCASE("writes") { next = run("w") + msg::sync(); }
    SUBCASE("reads") { next = run("r") + msg::sync(); }
    SUBCASE("refused") { next = run("r") + run("") + msg::sync(); }
    SUBCASE("without Sync") {
        next = run("r") + msg::flush();
        last = 'C';
    }
    for (int i = 0; i < 64; ++i) c.send(next);
    std::int64_t before = 0;
    for (int i = 0; i < 12000; ++i) {
        if (i == 1000) before = p.resident_kib();
        c.read_until(last);
        c.send(next);
    }
    CHECK(p.resident_kib() - before < 768);
    c.send(msg::sync());
}

TEST_CASE("thousands of comers and goers leave no file open and little memory (I6)" *
          doctest::skip(Proxy::direct())) {
    for (int i = 0; i < 50; ++i) login().ask(msg::query("SELECT 1"));
    const auto memory = proxy().resident_kib();
    const int files = proxy().open_files();
    for (int i = 0; i < 2000; ++i) {
        auto c = login();
        if (i % 4 == 0) c.ask(msg::query("SELECT " + std::to_string(i)));
        leave(c, kWays[i % 3]);
    }
    CHECK(eventually([&] { return proxy().open_files() <= files + 8; }));
    // A sanitiser keeps freed memory back, to see it used.
    if (!kSanitized) CHECK(proxy().resident_kib() - memory < 4 * 1024);
    check_clean();
}

TEST_CASE("what was sent before Terminate is still done and answered, as PostgreSQL does") {
    auto setup = login();
    setup.ask(msg::query("CREATE TABLE farewells (n int)"));
    for (const bool extended : {false, true}) {
        const auto wrap = [&](const std::string& sql) {
            return extended ? msg::unnamed(sql) + msg::sync() : msg::query(sql);
        };
        auto reader = login();
        reader.send(wrap("SELECT 'bye'") + msg::terminate());
        const auto all = reader.read_to_end();
        CHECK(first_value(all) == "bye");
        CHECK(ready_status(all) == 'I');
        // A write outlives even the connection, however long it takes.
        auto writer = login();
        writer.send(wrap("INSERT INTO farewells SELECT 1 FROM pg_sleep(2)") + msg::terminate());
        writer.close();
    }
    // All in one segment, the start-up packet too.
    RawClient hasty(port());
    hasty.send(msg::startup({{"user", "app"}, {"database", "app"}}) + msg::query("SELECT 'hasty'") +
               msg::terminate());
    CHECK(first_value(hasty.read_to_end()) == "hasty");
    CHECK(eventually(
        [&] { return first_value(setup.ask(msg::query("SELECT count(*) FROM farewells"))) == "2"; },
        Seconds(15)));
    // Of a batch without its Sync nothing is left.
    auto half = login();
    half.send(msg::unnamed("INSERT INTO farewells VALUES (9)") + msg::terminate());
    half.read_to_end();
    CHECK(first_value(setup.ask(msg::query("SELECT count(*) FROM farewells"))) == "2");
    setup.ask(msg::query("DROP TABLE farewells"));
}

TEST_CASE("a write that outlives its client's Unix socket keeps the processor idle meanwhile" *
          doctest::skip(Proxy::direct())) {
    const TempDir sockets("pgweir-sock");
    Proxy p(
        Cluster::shared(),
        {{{"listen", "{host: 127.0.0.1, port: {port}, unix_socket_dir: " + sockets.path() + "}"}},
         {},
         {},
         0});
    auto holder = Cluster::shared().connect("app");
    holder.run("CREATE TABLE outlived AS SELECT 1 AS n");
    holder.run("BEGIN; UPDATE outlived SET n = 2");
    send_and_close(sockets.path() + "/.s.PGSQL." + std::to_string(p.port()),
                   msg::query("UPDATE outlived SET n = n + 10") + msg::terminate());
    const auto waits = [] {
        return direct(
                   "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                   "query LIKE 'UPDATE outlived%'") == "1";
    };
    REQUIRE(eventually(waits));
    const auto before = processor_time(p.pid());
    sleep_for(Seconds(1.5));
    CHECK(processor_time(p.pid()) - before < 0.5);
    CHECK(waits());
    holder.run("COMMIT");
    CHECK(eventually([] { return direct("SELECT n FROM outlived") == "12"; }));
    CHECK(eventually([&] { return p.console("SHOW CLIENTS").rows.size() == 1; }));
}
