// The program from its command line to its end: exit codes, configuration, reload, shutdown.
#include <doctest/doctest.h>

#include <signal.h>

#include "support/cache_client.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

Cluster& cluster() { return Cluster::shared(); }
ProxyOptions options(std::map<std::string, std::string> sections) {
    return {std::move(sections), {}, {}, 0};
}

}  // namespace

TEST_CASE("exit codes: 0 for help, version and a good file, 2 for usage, 78 for configuration") {
    const TempDir dir("pgweir-cli");
    const auto with = [&](const std::string& yaml) {
        write_file(dir.path() + "/c.yaml", yaml);
        return run({Proxy::binary(), "--config", dir.path() + "/c.yaml", "--check-config"});
    };
    CHECK(run({Proxy::binary(), "--help"}).status == 0);
    const auto version = run({Proxy::binary(), "--version"});
    CHECK(version.status == 0);
    CHECK(version.out.find("pgweir") != std::string::npos);
    CHECK(run({Proxy::binary(), "--no-such-option"}).status == 2);
    CHECK(with("listen: {port: 6432}\n").status == 0);
    CHECK(run({Proxy::binary(), "--check-config", "--config", dir.path() + "/none.yaml"}).status ==
          78);
    const auto bad = with("listen: {prot: 6432}\npool: {max_size: lots}\npool: {min_size: 1}\n");
    CHECK(bad.status == 78);
    const auto said = bad.out + bad.err;
    CHECK(said.find("c.yaml:1:") != std::string::npos);
    CHECK(said.find("port") != std::string::npos);  // the nearest known key
    CHECK(said.find("c.yaml:2:") != std::string::npos);
    CHECK(said.find("c.yaml:3:") != std::string::npos);  // the duplicate, in the same run
}

TEST_CASE("the program is built hardened, and of Debian's libraries alone (S48)") {
    const auto elf = run({"sh", "-c", "readelf -hldsW " + Proxy::binary()}).out;
    const auto has = [&elf](const char* text) { return elf.find(text) != std::string::npos; };
    REQUIRE(has("Dynamic section"));
    CHECK(has("DYN (Position-Independent Executable file)"));
    CHECK(has("GNU_RELRO"));
    CHECK(has("NOW"));
    const auto stack = elf.find("GNU_STACK");
    REQUIRE(stack != std::string::npos);
    CHECK(elf.substr(stack, elf.find('\n', stack) - stack).find("RWE") == std::string::npos);
    if (has("__asan_init") || has("__tsan_init")) return;  // such a build is not for use
    CHECK(has("__stack_chk_fail"));
    CHECK(has("_chk@GLIBC"));
    // What is linked statically, or from elsewhere, gets no security updates.
    const auto libraries = run({"sh", "-c", "ldd " + Proxy::binary()}).out;
    for (const char* library : {"libssl.so.3", "libcrypto.so.3", "libpq.so.5", "libuv.so.1"})
        CHECK(libraries.find(library) != std::string::npos);
    CHECK(libraries.find("/usr/local/") == std::string::npos);
    CHECK(libraries.find("/opt/") == std::string::npos);
}

TEST_CASE("a port that is taken is a runtime error, status 1") {
    Proxy p(cluster());
    const auto file = p.directory() + "/second.yaml";
    write_file(file, "listen: {port: " + std::to_string(p.port()) + "}\nhttp: {listen: \"\"}\n");
    const auto r = run({Proxy::binary(), "--config", file});
    CHECK(r.status == 1);
    INFO(std::string(r.out + r.err));
    CHECK((r.out + r.err).find(std::to_string(p.port())) != std::string::npos);
}

TEST_CASE("a reload applies what has changed, says so, and disturbs no session") {
    Proxy p(cluster(), options({{"pool", "{min_size: 0, max_size: 1, wait_timeout: 300ms}"}}));
    auto a = RawClient::login(p.port());
    auto b = RawClient::login(p.port());
    a.ask(msg::query("BEGIN; SELECT 1"));
    CHECK(error_of(b.ask(msg::query("SELECT 1"))).sqlstate == "53300");
    p.reload({{"pool", "{min_size: 0, max_size: 2, wait_timeout: 300ms}"}});
    CHECK(p.logs("max_size"));
    CHECK(eventually([&] { return ask(b, "SELECT 'room'") == "room"; }));
    CHECK(ready_status(a.ask(msg::query("COMMIT"))) == 'I');
}

TEST_CASE("a reload of a bad file changes nothing and says what is wrong (98)") {
    Proxy p(cluster());
    auto a = RawClient::login(p.port());
    p.write_config({{"pool", "{max_size: 0x, nonsense: 1}"}});
    p.send_signal(SIGHUP);
    CHECK(p.logs("nonsense"));
    CHECK(ask(a, "SELECT 'still'") == "still");
    auto b = RawClient::login(p.port());
    CHECK(ask(b, "SELECT 'here'") == "here");
    const auto config = p.console("SHOW CONFIG");
    for (std::size_t i = 0; i < config.rows.size(); ++i)
        if (config.at(i, "key") == "pool.max_size") CHECK(config.at(i, "value") == "5");
    p.reload({{"pool", "{max_size: 4}"}});
    const auto again = p.console("RELOAD");
    CHECK_MESSAGE(again.ok, again.message);
}

TEST_CASE("environment variables beat the file") {
    auto o = options({{"pool", "{min_size: 0, max_size: 5}"}});
    o.environment = {{"DB_POOL_MAX", "3"}, {"SLOW_QUERY_THRESHOLD", "250"}};
    Proxy p(cluster(), o);
    const auto config = p.console("SHOW CONFIG");
    int seen = 0;
    for (std::size_t i = 0; i < config.rows.size(); ++i) {
        if (config.at(i, "key") == "pool.max_size") seen += config.at(i, "value") == "3";
        if (config.at(i, "key") == "slow_log.threshold") seen += config.at(i, "value") == "250ms";
    }
    CHECK(seen == 2);
}

TEST_CASE(
    "SIGTERM: idle clients get 57P01, an open transaction may finish, then the end, status 0") {
    Proxy p(cluster());
    auto idle = RawClient::login(p.port());
    CHECK(ask(idle, "SELECT 1") == "1");
    auto busy = RawClient::login(p.port());
    busy.ask(msg::query("BEGIN"));
    CHECK(ask(busy, "SELECT 1") == "1");
    p.terminate();
    const auto m = idle.read_to_end();
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "57P01");
    CHECK(count_type(m, 'E') == 1);
    CHECK(!p.wait(Seconds(0.3)));
    CHECK(eventually([&] {
        try {
            RawClient late(p.port());
            late.send(msg::startup({{"user", "app"}, {"database", "app"}}));
            const auto answer = late.read_to_end();
            return answer.empty() || error_of(answer).sqlstate == "57P03" ||
                   error_of(answer).sqlstate == "57P01";
        } catch (const std::runtime_error&) {
            return true;  // refused
        }
    }));
    CHECK(ask(busy, "SELECT 'finishing'") == "finishing");
    CHECK(ready_status(busy.ask(msg::query("COMMIT"))) == 'I');
    CHECK(error_of(busy.read_to_end()).sqlstate == "57P01");
    CHECK(p.wait(Seconds(5)) == 0);
    CHECK(eventually([] { return cluster().backends() == 0; }));
}

TEST_CASE("SIGTERM: a transaction that waits for its server connection gets one, and may finish") {
    Proxy p(cluster(), options({{"pool", "{min_size: 0, max_size: 1, wait_timeout: 2s}"},
                                {"timeouts", "{shutdown: 10s}"}}));
    const auto draining = [&] { return p.http("/readyz").starts_with("HTTP/1.1 503"); };
    auto begun = RawClient::login(p.port());
    SUBCASE("that was not opened yet") {
        CHECK(ready_status(begun.ask(msg::query("BEGIN"))) == 'T');
        p.terminate();
        REQUIRE(eventually(draining));
        CHECK(ask(begun, "SELECT 'begun'") == "begun");
    }
    SUBCASE("that others had") {
        std::vector<RawClient> waiting;
        begun.ask(msg::query("BEGIN; SELECT 1"));
        for (int i = 0; i < 4; ++i) {
            waiting.push_back(RawClient::login(p.port()));
            waiting.back().send(msg::query("SELECT 'waited'"));
        }
        sleep_for(Seconds(0.1));
        p.terminate();
        REQUIRE(eventually(draining));
        CHECK(ask(begun, "SELECT 'begun'") == "begun");
        begun.ask(msg::query("COMMIT"));
        for (auto& c : waiting) CHECK(first_value(c.read_until('Z')) == "waited");
    }
    begun.send(msg::query("COMMIT"));
    CHECK(p.wait(Seconds(5)) == 0);
    CHECK(eventually([] { return cluster().backends() == 0; }));
}

TEST_CASE("what has not finished when the shutdown's time is over is told 57P01") {
    Proxy p(cluster(), options({{"timeouts", "{shutdown: 500ms}"}}));
    auto busy = RawClient::login(p.port());
    busy.ask(msg::query("BEGIN; SELECT 1"));
    auto running = RawClient::login(p.port());
    running.send(msg::query("SELECT pg_sleep(20)"));
    sleep_for(Seconds(0.2));
    p.terminate();
    CHECK(error_of(busy.read_to_end()).sqlstate == "57P01");
    CHECK(error_of(running.read_to_end()).sqlstate == "57P01");
    CHECK(p.wait(Seconds(5)) == 0);
    CHECK(eventually([] {
        return cluster().value(
                   "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state "
                   "<> 'idle'") == "0";
    }));
}

TEST_CASE("a second SIGTERM ends it at once (86)") {
    Proxy p(cluster());
    auto busy = RawClient::login(p.port());
    busy.ask(msg::query("BEGIN; SELECT 1"));
    p.terminate();
    CHECK(!p.wait(Seconds(0.3)));
    p.terminate();
    CHECK(p.wait(Seconds(2)).has_value());
}

TEST_CASE("while draining it is alive but not ready") {
    Proxy p(cluster());
    auto busy = RawClient::login(p.port());
    busy.ask(msg::query("BEGIN; SELECT 1"));
    CHECK(p.http("/readyz").starts_with("HTTP/1.1 200"));
    p.terminate();
    CHECK(eventually([&] { return p.http("/readyz").starts_with("HTTP/1.1 503"); }));
    CHECK(p.http("/livez").starts_with("HTTP/1.1 200"));
    busy.ask(msg::query("COMMIT"));
    CHECK(p.wait(Seconds(5)) == 0);
}

TEST_CASE("it works over a Unix socket") {
    const TempDir dir("pgweir-sock");
    Proxy p(cluster(), options({{"listen", "{host: 127.0.0.1, port: {port}, unix_socket_dir: " +
                                               dir.path() + "}"}}));
    Db db("host=" + dir.path() + " port=" + std::to_string(p.port()) + " user=app dbname=app");
    CHECK(db.value("SELECT 42") == "42");
    Proxy over_socket(
        cluster(),
        options({{"databases", "{\"*\": {host: " + cluster().socket_directory() +
                                   ", port: " + std::to_string(cluster().port()) + "}}"}}));
    CHECK(over_socket.connect().value("SELECT inet_server_addr() IS NULL") == "t");
}

TEST_CASE("it starts without a server, and serves once there is one") {
    Cluster own;
    own.stop();
    Proxy p(own);
    CHECK(!connect_error(p.dsn()).empty());
    own.start();
    CHECK(eventually([&] { return connect_error(p.dsn()).empty(); }, Seconds(10)));
}

TEST_CASE("a reload that moves a database sends its sessions to the new server (44)") {
    Cluster second;
    cluster().connect().exec("CREATE TABLE IF NOT EXISTS which_server AS SELECT 'first' AS name");
    second.connect().run(
        "CREATE TABLE which_server AS SELECT 'second' AS name; GRANT SELECT ON which_server "
        "TO app");
    cluster().connect().run("GRANT SELECT ON which_server TO app");
    Proxy p(cluster(), options({{"cache", "{enabled: false}"}}));
    auto c = RawClient::login(p.port());
    auto in_transaction = RawClient::login(p.port());
    in_transaction.ask(msg::query("BEGIN"));
    CHECK(ask(in_transaction, "SELECT name FROM which_server") == "first");
    CHECK(ask(c, "SELECT name FROM which_server") == "first");
    p.reload(
        {{"databases", "{\"*\": {host: 127.0.0.1, port: " + std::to_string(second.port()) + "}}"}});
    CHECK(eventually([&] { return ask(c, "SELECT name FROM which_server") == "second"; }));
    CHECK(ask(in_transaction, "SELECT name FROM which_server") == "first");
    CHECK(ready_status(in_transaction.ask(msg::query("COMMIT"))) == 'I');
    CHECK(ask(in_transaction, "SELECT name FROM which_server") == "second");
    CHECK(eventually([] { return cluster().backends() == 0; }));
    auto fresh = RawClient::login(p.port());
    CHECK(ask(fresh, "SELECT name FROM which_server") == "second");
}

TEST_CASE("a reload that moves a database leaves nobody with answers of the server before") {
    Cluster second;
    const auto make = [](const Cluster& c, const std::string& name) {
        c.connect("postgres", "app")
            .run("DROP TABLE IF EXISTS moved; CREATE TABLE moved AS SELECT '" + name +
                 "' AS name; ALTER TABLE moved OWNER TO app");
    };
    make(cluster(), "first");
    make(second, "second");
    const auto at = [](const Cluster& c) {
        return std::map<std::string, std::string>{
            {"databases", "{\"*\": {host: 127.0.0.1, port: " + std::to_string(c.port()) + "}}"}};
    };
    Proxy p(cluster(), options({{"cache", "{exclusive_writer: true}"}, {"workers", "2"}}));
    std::vector<RawClient> clients;
    for (int i = 0; i < 4; ++i) clients.push_back(RawClient::login(p.port(), "app", "app"));
    const std::string read = "SELECT name FROM moved";
    REQUIRE(becomes_cached(p, clients[0], read));
    for (auto& c : clients) CHECK(ask(c, read) == "first");
    p.reload(at(second));
    for (auto& c : clients) CHECK(eventually([&] { return ask(c, read) == "second"; }));
    for (auto& c : clients) REQUIRE(becomes_cached(p, c, read));
    ask(clients[0], "UPDATE moved SET name = 'changed'");
    for (auto& c : clients) CHECK(ask(c, read) == "changed");
    // While it was away others may have written to the first.
    cluster().connect("app", "app").run("UPDATE moved SET name = 'before'");
    p.reload(at(cluster()));
    for (auto& c : clients) CHECK(eventually([&] { return ask(c, read) == "before"; }));
}

namespace {
/// A table in a database app, and one of that name in a database elsewhere of another server.
struct TwoPlaces {
    Cluster second;
    std::string read;

    explicit TwoPlaces(const std::string& table) : read("SELECT v FROM " + table) {
        second.connect("postgres", "postgres").run("CREATE DATABASE elsewhere OWNER app");
        cluster().connect("postgres", "app").run("DROP TABLE IF EXISTS " + table);
        const auto make = "CREATE TABLE " + table + " AS SELECT 'old' AS v";
        cluster().connect("app", "app").run(make);
        second.connect("app", "elsewhere").run(make);
    }
    std::string first_at(const std::string& more = "") const { return at(cluster(), "app" + more); }
    std::string second_at(const std::string& more = "") const {
        return at(second, "elsewhere" + more);
    }
    static std::map<std::string, std::string> sections(const std::string& moves,
                                                       const std::string& stays) {
        return {{"databases", "{moves: " + moves + ", stays: " + stays + "}"},
                {"cache", "{exclusive_writer: true}"},
                {"workers", "1"}};
    }

  private:
    static std::string at(const Cluster& c, const std::string& more) {
        return "{host: 127.0.0.1, port: " + std::to_string(c.port()) + ", dbname: " + more + "}";
    }
};
}  // namespace

TEST_CASE("what is left running at a server that a database has moved from is waited for there") {
    TwoPlaces two("left_running");
    const auto stays = two.first_at();
    Proxy p(cluster(), options(TwoPlaces::sections(two.first_at(), stays)));
    auto reader = RawClient::login(p.port(), "app", "stays");
    auto leaver = RawClient::login(p.port(), "app", "moves");
    CHECK(eventually([&] { return ask(reader, two.read) == "old"; }));
    sleep_for(Seconds(1));  // for the catalog
    ask(reader, two.read);
    leaver.ask(msg::query("BEGIN; SELECT 1"));
    p.reload(TwoPlaces::sections(two.second_at(), stays));
    CHECK(p.logs("reload: done"));
    // It survives the cancel, which is one signal or two: the process and its group are told.
    leaver.send(msg::unnamed("DO $$ BEGIN BEGIN PERFORM pg_sleep(9); EXCEPTION WHEN query_canceled "
                             "THEN BEGIN PERFORM pg_sleep(0.5); EXCEPTION WHEN query_canceled THEN "
                             "NULL; END; PERFORM pg_sleep(2); END; "
                             "UPDATE left_running SET v = 'new'; END $$") +
                msg::sync() + msg::unnamed("COMMIT") + msg::sync());
    sleep_for(Seconds(0.3));
    leaver.reset();
    for (int i = 0; i < 10; ++i, sleep_for(Seconds(0.1))) CHECK(ask(reader, two.read) == "old");
    auto direct = cluster().connect("app", "app");
    CHECK(eventually([&] { return direct.value(two.read) == "new"; }));
    CHECK(ask(reader, two.read) == "new");
}

TEST_CASE(
    "who stays at the place that a database has moved from, with new settings, writes there") {
    TwoPlaces two("set_there");
    const auto stays = two.first_at();
    const std::string keeps = ", pool: {mode: session}";
    Proxy p(cluster(), options(TwoPlaces::sections(two.first_at(keeps), stays)));
    auto reader = RawClient::login(p.port(), "app", "stays");
    auto keeper = RawClient::login(p.port(), "app", "moves");
    CHECK(eventually([&] { return ask(reader, two.read) == "old"; }));
    sleep_for(Seconds(1));  // for the catalog
    p.reload(TwoPlaces::sections(two.second_at(keeps), stays));
    CHECK(p.logs("reload: done"));
    auto new_one = RawClient::login(p.port(), "app", "moves");
    for (const auto& c : {&reader, &new_one})
        CHECK(eventually([&] { return ask(*c, two.read) == "old"; }));
    sleep_for(Seconds(1));  // for the catalogs
    for (const std::string value : {"1", "2"}) {
        ask(keeper, "SET search_path = public, schema" + value);
        for (int i = 0; i < 5; ++i) ask(reader, two.read), ask(keeper, "SELECT 1");
        ask(keeper, "UPDATE set_there SET v = " + value);
        CHECK(ask(reader, two.read) == value);
    }
}

TEST_CASE("who logs in for a session of its own while its database moves is at the new place") {
    TwoPlaces two("logs_in");
    const auto stays = two.second_at();
    const std::string keeps = ", pool: {mode: session, max_size: 1}";
    std::string unread;
    bool waits = true;
    SUBCASE("from one that is known, while it waits for a server connection") {}
    SUBCASE("from one that is not known, likewise") { unread = ", control: {user: nobody}"; }
    SUBCASE("while its server connection is set up") { waits = false; }
    Proxy p(cluster(), options(TwoPlaces::sections(two.first_at(unread + keeps), stays)));
    auto reader = RawClient::login(p.port(), "app", "stays");
    auto keeper = RawClient::login(p.port(), "app", "moves");
    CHECK(eventually([&] { return ask(reader, two.read) == "old"; }));
    sleep_for(Seconds(1));  // for the catalog
    RawClient late(p.port());
    const auto log_in = [&] {
        late.send(msg::startup({{"user", "app"}, {"database", "moves"}}));
        sleep_for(Seconds(0.3));
    };
    const auto move = [&] {
        p.reload(TwoPlaces::sections(two.second_at(keeps), stays));
        CHECK(p.logs("reload: done"));
    };
    const auto pid = static_cast<pid_t>(std::stol(ask(keeper, "SELECT pg_backend_pid()")));
    if (waits) {
        log_in();
        move();
        keeper.close();
    } else {
        keeper.close();
        sleep_for(Seconds(0.3));
        REQUIRE(kill(pid, SIGSTOP) == 0);
        log_in();
        move();
        kill(pid, SIGCONT);
    }
    late.read_until('Z');
    for (const std::string value : {"1", "2"}) {
        for (int i = 0; i < 5; ++i) ask(reader, two.read);
        ask(late, "UPDATE logs_in SET v = " + value);
        CHECK(ask(reader, two.read) == value);
        CHECK(ask(late, two.read) == value);
    }
    CHECK(two.second.value(two.read, "elsewhere") == "2");
}

TEST_CASE("a reload that moves a database tells those who listened at the server before") {
    Cluster second;
    const auto notify = [](const Cluster& at) { at.value("SELECT pg_notify('bell', 'ding')"); };
    Proxy p(cluster(), options({{"workers", "1"}}));
    auto listener = RawClient::login(p.port());
    ask(listener, "LISTEN bell");
    notify(cluster());
    CHECK(listener.read().type == 'A');
    auto late = RawClient::login(p.port());
    late.ask(msg::query("BEGIN"));
    late.ask(msg::query("LISTEN bell"));
    p.reload(
        {{"databases", "{\"*\": {host: 127.0.0.1, port: " + std::to_string(second.port()) + "}}"}});
    CHECK(error_of(listener.read_to_end()).sqlstate == "08006");
    // Who listens at the first from within a transaction hears the first, and nobody else does.
    CHECK(ready_status(late.ask(msg::query("COMMIT"))) == 'I');
    auto again = RawClient::login(p.port());
    ask(again, "LISTEN bell");
    auto another = RawClient::login(p.port());
    ask(another, "LISTEN bell");
    notify(second);
    CHECK(again.read().type == 'A');
    CHECK(another.read().type == 'A');
    CHECK(!late.poll(Seconds(0.2)));
    notify(cluster());
    CHECK(late.read().type == 'A');
    CHECK(!again.poll(Seconds(0.2)));
}

TEST_CASE("a reload that takes a database or its login away keeps no connections of it") {
    const auto entry = [](const std::string& name, const std::string& user) {
        return name + ": {host: 127.0.0.1, port: " + std::to_string(cluster().port()) +
               ", dbname: app, user: " + user + ", pool: {min_size: 2, idle_timeout: 0}}";
    };
    const auto databases = [](const std::string& entries) {
        return std::map<std::string, std::string>{{"databases", "{" + entries + "}"}};
    };
    cluster().connect().run("CREATE ROLE leaving LOGIN");
    Proxy p(cluster(), options(databases(entry("one", "leaving"))));
    auto stays = RawClient::login(p.port(), "app", "one");
    CHECK(eventually([] { return cluster().backends("leaving") == 2; }));
    SUBCASE("the database") { p.reload(databases(entry("other", "app"))); }
    SUBCASE("the login") { p.reload(databases(entry("one", "app"))); }
    CHECK(p.logs("reload: done"));
    CHECK(ask(stays, "SELECT current_user") == "leaving");
    CHECK(eventually([] { return cluster().backends("leaving") == 0; }, Seconds(10)));
    CHECK(ask(stays, "SELECT current_user || '!'") == "leaving!");  // who was there may stay
    stays.close();
    CHECK(eventually([] { return cluster().backends("leaving") == 0; }, Seconds(10)));
    cluster().connect().run("DROP ROLE leaving");
}

TEST_CASE("the limit of a server counts the pools that a reload has moved there, and no others") {
    Cluster second;
    const auto at = [](const Cluster& a, const Cluster& b) {
        const auto entry = [](const Cluster& c) {
            return "{host: 127.0.0.1, port: " + std::to_string(c.port()) + ", dbname: app}";
        };
        return std::map<std::string, std::string>{
            {"databases", "{a: " + entry(a) + ", b: " + entry(b) + "}"}};
    };
    auto sections = at(cluster(), second);
    sections["limits"] = "{max_server_connections: 1}";
    sections["pool"] = "{min_size: 0, wait_timeout: 500ms}";
    Proxy p(cluster(), options(sections));
    auto a = RawClient::login(p.port(), "app", "a");
    a.ask(msg::query("BEGIN; SELECT 1"));
    p.reload(at(second, second));
    CHECK(p.logs("reload: done"));
    // The connection to the first still counts there, and only there.
    auto b = RawClient::login(p.port(), "app", "b");
    CHECK(ready_status(b.ask(msg::query("BEGIN; SELECT 1"))) == 'T');
    CHECK(ready_status(a.ask(msg::query("COMMIT"))) == 'I');
    CHECK(error_of(a.ask(msg::query("SELECT 2"))).sqlstate == "53300");
    b.ask(msg::query("COMMIT"));
    b.close();
    CHECK(second.backends() <= 1);
}

TEST_CASE("the cache can be switched off while a session waits for what another one fetches") {
    cluster().connect("app", "app").run("CREATE TABLE slow_one AS SELECT 1 AS n");
    Proxy p(cluster(), options({{"cache", "{exclusive_writer: true}"}}));
    auto leads = RawClient::login(p.port()), waits = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, leads, "SELECT max(n) FROM slow_one"));
    auto holder = cluster().connect("app", "app");
    holder.run("BEGIN; LOCK TABLE slow_one");
    leads.send(msg::query("SELECT min(n) FROM slow_one"));
    sleep_for(Seconds(0.2));
    waits.send(msg::query("SELECT min(n) FROM slow_one"));
    {
        auto leaves = RawClient::login(p.port());
        leaves.send(msg::query("SELECT min(n) FROM slow_one"));
        sleep_for(Seconds(0.2));
        p.reload({{"cache", "{enabled: false}"}});
    }
    sleep_for(Seconds(2.2));  // as long as anybody waits for another
    holder.run("COMMIT");
    CHECK(first_value(leads.read_until('Z')) == "1");
    CHECK(first_value(waits.read_until('Z')) == "1");
}
