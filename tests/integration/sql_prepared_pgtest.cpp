// SQL's PREPARE, EXECUTE and DEALLOCATE in transaction mode: a session's statements go with it from
// server connection to server connection, are its own, and behave as on one connection.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 2, wait_timeout: 2s}"},
                                        {"cache", "{exclusive_writer: true}"}},
                                       {},
                                       {},
                                       0});
    return p;
}
RawClient login() {
    static const bool prepared = [] {
        Cluster::shared().connect("app").run(
            "CREATE TABLE stock (n int, name text); INSERT INTO stock VALUES (1, 'one'), (2, "
            "'two'); CREATE TABLE log (n int)");
        return true;
    }();
    static_cast<void>(prepared);
    return RawClient::login(proxy().port());
}
double pins() { return proxy().metric("pgweir_pins_total{reason=\"prepare\"}"); }

const char* const kOwn =
    "SELECT coalesce(string_agg(name, ',' ORDER BY name), 'none') FROM pg_prepared_statements "
    "WHERE from_sql";

}  // namespace

TEST_CASE("statements of equal names are each session's own, on fewer server connections") {
    const auto before = Proxy::direct() ? 0.0 : pins();
    std::vector<RawClient> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(login());
        const auto tag = std::to_string(i);
        CHECK(value_of(clients.back(), "PREPARE mine (int) AS SELECT $1 + 100 * " + tag) == "");
        CHECK(value_of(clients.back(), "PREPARE only_" + tag + " AS SELECT name FROM stock") == "");
    }
    for (int round = 0; round < 5; ++round)
        for (int i = 5; i >= 0; --i) {
            auto& c = clients[static_cast<std::size_t>((i * 5 + round) % 6)];
            const auto tag = (i * 5 + round) % 6;
            CHECK(value_of(c, "EXECUTE mine(" + std::to_string(round) + ")") ==
                  std::to_string(round + 100 * tag));
            CHECK(value_of(c, "execute \"mine\" (1 + 1)") == std::to_string(2 + 100 * tag));
            CHECK(value_of(c, kOwn) == "mine,only_" + std::to_string(tag));
        }
    auto fresh = login();
    for (int i = 0; i < 3; ++i) CHECK(value_of(fresh, kOwn) == "none");
    CHECK(value_of(fresh, "EXECUTE mine(1)") == "26000");
    if (!Proxy::direct()) CHECK(pins() == before);
}

TEST_CASE(
    "DEALLOCATE, DEALLOCATE ALL and DISCARD ALL take them away everywhere, ROLLBACK does not") {
    for (const auto* end : {"DEALLOCATE a; DEALLOCATE b", "DEALLOCATE ALL", "DISCARD ALL",
                            "DEALLOCATE PREPARE ALL"}) {
        INFO(std::string(end));
        auto c = login(), other = login();
        CHECK(value_of(c, "BEGIN") == "");
        CHECK(value_of(c, "PREPARE a AS SELECT 1") == "");
        CHECK(value_of(c, "ROLLBACK") == "");
        CHECK(value_of(c, "PREPARE b AS SELECT 2") == "");
        CHECK(value_of(c, "PREPARE a AS SELECT 3") == "42P05");
        for (int i = 0; i < 3; ++i) {
            CHECK(value_of(other, kOwn) == "none");
            CHECK(value_of(c, "EXECUTE a") == "1");
            CHECK(value_of(c, "EXECUTE b") == "2");
        }
        CHECK(value_of(c, end) == "");
        for (int i = 0; i < 3; ++i) {
            CHECK(value_of(other, kOwn) == "none");
            CHECK(value_of(c, kOwn) == "none");
            CHECK(value_of(c, "EXECUTE b") == "26000");
        }
        CHECK(value_of(c, "PREPARE a AS SELECT 4") == "");
        CHECK(value_of(other, "SELECT 0") == "0");
        CHECK(value_of(c, "EXECUTE a") == "4");
    }
}

TEST_CASE(
    "what cannot be made again tells PostgreSQL's words for it, and comes back with its table") {
    auto c = login(), other = login();
    value_of(c, "CREATE TABLE fleeting (n int)");
    CHECK(value_of(c, "PREPARE reads AS SELECT count(*) FROM fleeting") == "");
    CHECK(value_of(c, "EXECUTE reads") == "0");
    value_of(c, "DROP TABLE fleeting");
    for (int i = 0; i < 3; ++i) {
        CHECK(value_of(other, "PREPARE reads AS SELECT 7") == (i == 0 ? "" : "42P05"));
        CHECK(value_of(c, "EXECUTE reads") == "42P01");
        CHECK(value_of(c, "BEGIN") == "");
        CHECK(value_of(c, "EXECUTE reads") == "42P01");
        CHECK(value_of(c, "SELECT 1") == "25P02");
        CHECK(value_of(c, "ROLLBACK") == "");
    }
    value_of(c, "CREATE TABLE fleeting (n int)");
    CHECK(value_of(other, "EXECUTE reads") == "7");
    CHECK(value_of(c, "EXECUTE reads") == "0");
    value_of(c, "DROP TABLE fleeting");
}

TEST_CASE("what EXECUTE writes is seen, whatever it is given") {
    auto c = login(), other = login();
    CHECK(value_of(c, "PREPARE adds (int) AS INSERT INTO log VALUES ($1) RETURNING n") == "");
    for (int i = 1; i < 5; ++i) {
        CHECK(value_of(other, "SELECT count(*) FROM log") == std::to_string(2 * i - 2));
        CHECK(value_of(other, "SELECT count(*) FROM log") == std::to_string(2 * i - 2));
        CHECK(value_of(c, "EXECUTE adds (" + std::to_string(i) + ")") == std::to_string(i));
        CHECK(value_of(other, "SELECT count(*) FROM log") == std::to_string(2 * i - 1));
        CHECK(value_of(c, "EXECUTE adds (abs(-3))") == "3");
    }
    value_of(c, "TRUNCATE log");
}

TEST_CASE(
    "a statement whose meaning hangs on the moment, or that leaves something, keeps its server") {
    struct Kept {
        const char* made_by;
        const char* question;
    };
    const Kept kept[] = {
        {"PREPARE p AS SELECT TIMESTAMPTZ '2020-01-01 00:00' = '2020-01-01 00:00+00'", "EXECUTE p"},
        {"PREPARE p AS SELECT extract(epoch FROM 'now'::timestamptz)", "EXECUTE p"},
        {"PREPARE p AS SELECT set_config('my.tag', 'x', false)", "EXECUTE p"},
        {"PREPARE p AS SELECT 1; SELECT 2", "EXECUTE p"},
    };
    for (const auto& k : kept) {
        INFO(std::string(k.made_by));
        auto c = login(), other = login();
        value_of(c, "SET TimeZone = 'UTC'");
        value_of(c, k.made_by);
        const auto first = value_of(c, k.question);
        value_of(c, "SET TimeZone = 'Asia/Tokyo'");
        for (int i = 0; i < 3; ++i) {
            CHECK(value_of(other, kOwn) == "none");
            CHECK(value_of(c, k.question) == first);
        }
        value_of(c, "DEALLOCATE ALL");
        for (int i = 0; i < 3; ++i)
            CHECK(value_of(other, "SELECT coalesce(current_setting('my.tag', true), '')") == "");
    }
}

TEST_CASE("a name made by SQL is taken for messages, and can be bound and closed by them") {
    auto c = login(), other = login();
    CHECK(value_of(c, "PREPARE shared (int) AS SELECT $1 * 2") == "");
    value_of(other, "SELECT 1");
    CHECK(error_of(c.ask(msg::parse("shared", "SELECT 1") + msg::sync())).sqlstate == "42P05");
    const auto m = c.ask(msg::bind("", "shared", {"21"}) + msg::execute() + msg::sync());
    CHECK(first_value(m) == "42");
    c.ask(msg::close('S', "shared") + msg::sync());
    for (int i = 0; i < 2; ++i) {
        CHECK(value_of(c, "EXECUTE shared (1)") == "26000");
        value_of(other, "SELECT 1");
    }
}

TEST_CASE("they follow the search_path of the moment, as PostgreSQL's plans do") {
    auto c = login(), other = login();
    value_of(c, "CREATE SCHEMA IF NOT EXISTS left_one; CREATE SCHEMA IF NOT EXISTS right_one");
    value_of(
        c,
        "CREATE TABLE left_one.side AS SELECT 'left' AS v; CREATE TABLE right_one.side AS SELECT "
        "'right' AS v");
    value_of(c, "SET search_path = left_one");
    CHECK(value_of(c, "PREPARE side AS SELECT v FROM side") == "");
    for (int i = 0; i < 3; ++i) {
        value_of(c, "SET search_path = left_one");
        CHECK(value_of(other, kOwn) == "none");
        CHECK(value_of(c, "EXECUTE side") == "left");
        value_of(c, "SET search_path = right_one");
        CHECK(value_of(other, kOwn) == "none");
        CHECK(value_of(c, "EXECUTE side") == "right");
    }
    value_of(c, "DROP SCHEMA left_one, right_one CASCADE");
}
