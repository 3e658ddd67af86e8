// The tests' own tools, checked against PostgreSQL itself: what they say must be true before
// anything they say about the proxy is believed.
#include <doctest/doctest.h>

#include "support/cluster.hpp"
#include "support/mock_server.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

TEST_CASE("a cluster starts, answers, restarts on its port and stops") {
    Cluster cluster;
    const auto port = cluster.port();
    CHECK(cluster.value("SELECT 40 + 2") == "42");
    cluster.restart();
    CHECK(cluster.port() == port);
    CHECK(cluster.value("SHOW wal_level") == "logical");
    CHECK(cluster.value("SELECT current_user || current_database()") == "postgresapp");
    cluster.stop();
    CHECK(!connect_error(cluster.dsn()).empty());
}

TEST_CASE("the raw client speaks both protocols with PostgreSQL") {
    auto& cluster = Cluster::shared();
    auto c = RawClient::login(cluster.port());
    CHECK(c.backend_pid() != 0);
    CHECK(c.backend_key().size() == 4);
    CHECK(parameter_status(c.greeting(), "client_encoding") == "UTF8");
    auto m = c.ask(msg::query("SELECT 'x', NULL"));
    CHECK(types(m) == "TDCZ");
    CHECK(rows(m) == std::vector<std::vector<std::string>>{{"x", "NULL"}});
    m = c.ask(msg::unnamed("SELECT $1::int + 1", {"41"}) + msg::sync());
    CHECK(types(m) == "12TDCZ");
    CHECK(first_value(m) == "42");
    m = c.ask(msg::query("SELECT 1/0"));
    CHECK(types(m) == "EZ");
    CHECK(error_of(m).sqlstate == "22012");
    CHECK(ready_status(m) == 'I');
    c.send_pieces(msg::query("SELECT 7"), 1);
    CHECK(first_value(c.read_until('Z')) == "7");
    c.send(msg::terminate());
    CHECK(c.closed_within(Seconds(5)));
}

TEST_CASE("server connections of a user are counted and ended") {
    auto& cluster = Cluster::shared();
    CHECK(cluster.backends() == 0);
    auto a = RawClient::login(cluster.port());
    auto b = RawClient::login(cluster.port());
    CHECK(cluster.backends() == 2);
    CHECK(cluster.terminate_backends() == 2);
    CHECK(error_of(a.read_to_end()).sqlstate == "57P01");
    CHECK(cluster.backends() == 0);
}

TEST_CASE("the mock server logs a client in and follows its script") {
    MockServer server([](MockConnection& c) {
        if (!c.login()) return;
        c.serve([](const std::string& sql) { return reply::one_row("q", sql); });
    });
    auto c = RawClient::login(server.port());
    CHECK(first_value(c.ask(msg::query("hello"))) == "hello");
    CHECK(first_value(c.ask(msg::unnamed("there") + msg::sync())) == "there");
    CHECK(server.accepted() == 1);
}

TEST_CASE("a command is run with its input, output, status and time limit") {
    RunOptions options;
    options.input = "SELECT 6 * 7;";
    const auto r = run({postgres_program("psql"), "-XAt", Cluster::shared().dsn()}, options);
    CHECK(r.status == 0);
    CHECK(r.out == "42\n");
    CHECK(run({"sh", "-c", "echo oops >&2; exit 7"}).status == 7);
    RunOptions brief;
    brief.limit = Seconds(0.3);
    CHECK(run({"sleep", "30"}, brief).status == -1);
}
