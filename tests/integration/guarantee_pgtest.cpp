// What is promised when that changes, and where nothing can be: by a reload, at a standby, behind
// transactions that stay open.
#include <doctest/doctest.h>

#include <unistd.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Cluster& cluster() {
    static Cluster one;
    return one;
}

/// Which number a process was given last: only root may say.
constexpr const char* kLastPid = "/proc/sys/kernel/ns_last_pid";

ProxyOptions options(const std::string& cache, const Cluster& of = cluster()) {
    const auto place = "{app: {host: 127.0.0.1, port: " + std::to_string(of.port()) + "}}";
    return {{{"cache", cache}, {"databases", place}}, {}, {}, 0};
}

}  // namespace

TEST_CASE("what was written around the proxy while nothing was promised is seen afterwards") {
    auto direct = cluster().connect("app", "app");
    direct.run("CREATE TABLE unpromised AS SELECT 0 AS n");
    const std::string on = "{exclusive_writer: true}", read = "SELECT n FROM unpromised";
    Proxy p(cluster(), options(on));
    auto c = RawClient::login(p.port());
    int n = 0;
    for (const std::string off : {"{consistency: off}", "{exclusive_writer: false}"}) {
        CAPTURE(off);
        REQUIRE(becomes_cached(p, c, read));
        p.reload(options(off).sections);
        direct.run("UPDATE unpromised SET n = " + std::to_string(++n));
        p.reload(options(on).sections);
        CHECK(ask(c, read) == std::to_string(n));
    }
    CHECK(becomes_cached(p, c, read));
}

TEST_CASE("at a standby nothing is promised for who alone writes: what is replayed comes later") {
    cluster().connect("app", "app").run("CREATE TABLE replayed AS SELECT 0 AS n");
    Cluster standby({{"hot_standby = on"}, "", &cluster()});
    Proxy p(cluster(), options("{exclusive_writer: true}", standby));
    auto c = RawClient::login(p.port());
    const std::string read = "SELECT n FROM replayed";
    CHECK(eventually([&] { return ask(c, read) == "0"; }));
    const auto why = [&] { return p.console("SHOW CACHE GUARANTEE").at(0, "reason"); };
    CHECK(eventually([&] { return why().find("standby") != std::string::npos; }));
    for (int i = 0; i < 5; ++i) ask(c, read);
    CHECK(p.cache_counter("hits") == 0);
}

TEST_CASE("a DROP DATABASE that the server refuses lets answers of that database be cached again") {
    cluster().connect("app", "app").run("CREATE TABLE not_dropped AS SELECT 0 AS n");
    cluster().connect("postgres", "app").run("CREATE ROLE nobodys LOGIN");
    const auto place = "{host: 127.0.0.1, port: " + std::to_string(cluster().port()) + "}";
    Proxy p(cluster(), {{{"cache", "{exclusive_writer: true}"},
                         {"databases", "{app: " + place + ", postgres: " + place + "}"}},
                        {},
                        {},
                        0});
    auto c = RawClient::login(p.port());
    REQUIRE(becomes_cached(p, c, "SELECT n FROM not_dropped"));
    auto other = RawClient::login(p.port(), "nobodys", "postgres");
    const auto promised = [&] {
        const auto shown = p.console("SHOW CACHE GUARANTEE");
        for (std::size_t i = 0; i < shown.rows.size(); ++i)
            if (shown.at(i, "database") == "app") return shown.at(i, "guarantee") != "off";
        return false;
    };
    for (const auto& drop :
         {msg::query("DROP DATABASE app"), msg::unnamed("DROP DATABASE app") + msg::sync()}) {
        CHECK(error_of(other.ask(drop)).sqlstate == "42501");
        CHECK(eventually(promised, Seconds(4)));  // it waits six for one that may be at work
        CHECK(becomes_cached(p, c, "SELECT n FROM not_dropped"));
    }
}

TEST_CASE("a transaction that stays open does not keep others from being cached behind many") {
    auto direct = cluster().connect("app", "app"), open = cluster().connect("app", "app");
    direct.run("CREATE TABLE written_often AS SELECT 0 AS n; CREATE TABLE left_alone (n int)");
    Proxy p(cluster(), options("{max_staleness: 200ms}"));
    auto c = RawClient::login(p.port());
    const std::string read = "SELECT count(*) FROM left_alone";
    REQUIRE(becomes_cached(p, c, read));
    open.run("BEGIN; INSERT INTO left_alone VALUES (1)");
    direct.run("SET synchronous_commit = off");
    direct.run(
        "DO $$BEGIN FOR i IN 1..20000 LOOP UPDATE written_often SET n = i; COMMIT; "
        "END LOOP; END$$");
    CHECK(becomes_cached(p, c, "SELECT n FROM written_often"));
    open.run("COMMIT");
    CHECK(eventually([&] { return ask(c, read) == "1"; }));
}

TEST_CASE("the number of a lost process that was given to another keeps no entry away" *
          doctest::skip(access(kLastPid, W_OK) != 0)) {
    Cluster own({{"synchronous_commit = on"}, ""});  // what was made is there after the crash
    auto setup = own.connect("app", "app");
    setup.run("CREATE TABLE lost_by AS SELECT 0 AS n");
    Proxy p(own, options("{exclusive_writer: true}", own));
    auto c = RawClient::login(p.port()), writer = RawClient::login(p.port());
    const std::string read = "SELECT n FROM lost_by";
    REQUIRE(becomes_cached(p, c, read));
    writer.send(msg::query("UPDATE lost_by SET n = 1 WHERE pg_sleep(60) IS NOT NULL"));
    const auto pid = [&] {
        return own.value("SELECT max(pid) FROM pg_stat_activity WHERE query LIKE 'UPDATE%'");
    };
    REQUIRE(eventually([&] { return !pid().empty(); }));
    const auto number = std::stoi(pid());
    own.crash();
    own.start();
    sleep_for(Seconds(3));  // some seconds a new process may be taken for the old one
    for (int i = 0; i < 20; ++i) {
        write_file(kLastPid, std::to_string(number - 1));
        auto stays = own.connect("app", "app");
        if (stays.value("SELECT pg_backend_pid()") != std::to_string(number)) continue;
        CHECK(eventually([&] { return becomes_cached(p, c, read); }, Seconds(15)));
        return;
    }
    FAIL("the number was not given again");
}
