// Sequences in transaction mode: currval and lastval give a session what it moved itself, or 55000
// as if nobody had, and never what another session of the same server connection moved.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {
/// Two server connections, of which sessions that ask for sequences may keep one, and a catalog
/// that is at hand: once a table's answers are stored.
struct Sequences {
    Sequences()
        : proxy(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 2, max_pinned: 20}"},
                                     {"workers", "1"},
                                     {"cache", "{exclusive_writer: true}"}},
                                    {},
                                    {},
                                    0}) {
        auto setup = Cluster::shared().connect("app");
        setup.run(
            "DROP SCHEMA IF EXISTS counting CASCADE; CREATE SCHEMA counting; SET search_path = "
            "counting; CREATE SEQUENCE hand; CREATE TABLE orders (id serial, n int); CREATE TABLE "
            "lines (n int, of bigint DEFAULT currval('counting.hand')); CREATE TABLE still (n int);"
            "CREATE FUNCTION peek() RETURNS bigint LANGUAGE sql AS $$SELECT "
            "currval('counting.hand')$$; CREATE VIEW shown AS SELECT currval('counting.hand') AS "
            "n");
    }
    RawClient login() const {
        return RawClient::login(proxy.port(), "app", "app", {{"search_path", "counting"}});
    }
    bool knows_catalog() { return becomes_cached(proxy, asker, "SELECT count(*) FROM still"); }
    Proxy proxy;
    RawClient asker = login();
};
}  // namespace

TEST_CASE("a sequence's value is found by who moved it and by nobody else, however it is asked") {
    Sequences s;
    if (!Proxy::direct()) REQUIRE(s.knows_catalog());
    for (const auto* question :
         {"SELECT counting.peek()", "SELECT n FROM shown",
          "INSERT INTO lines (n) VALUES (1) RETURNING of", "SELECT currval('hand')"}) {
        INFO(std::string(question));
        auto owner = s.login(), other = s.login();
        const auto own = ask(owner, "SELECT nextval('hand')");
        for (int i = 0; i < 3; ++i) CHECK(ask(other, question).starts_with("55000"));
        const auto seen = ask(owner, question);
        INFO(seen);
        CHECK((seen == own ||
               seen.starts_with("55000")));  // the other may have had the server connection
        const auto again = ask(owner, "SELECT nextval('hand')");
        for (int i = 0; i < 3; ++i) {
            CHECK(ask(other, "SELECT count(*) FROM still WHERE random() < 2") == "0");
            CHECK(ask(owner, question) == again);
        }
    }
}

TEST_CASE("a portal without a name survives what is forgotten of another's sequences") {
    Sequences s;
    auto owner = s.login(), other = s.login();
    for (int i = 0; i < 3; ++i) {
        ask(other, "SELECT nextval('hand')");
        const auto m = owner.ask(msg::parse("", "SELECT 42") + msg::bind("", "") +
                                 msg::parse("b" + std::to_string(i), "SELECT currval('hand')") +
                                 msg::bind("o", "b" + std::to_string(i)) + msg::execute() +
                                 msg::execute("o") + msg::sync());
        CHECK(first_value(m) == "42");
        CHECK(error_of(m).sqlstate == "55000");
    }
}

TEST_CASE(
    "lastval follows an INSERT in a transaction of its own, while nobody else inserts there") {
    Sequences s;
    if (!Proxy::direct()) REQUIRE(s.knows_catalog());
    auto owner = s.login(), reader = s.login();
    const auto own = ask(owner, "INSERT INTO orders (n) VALUES (1) RETURNING id");
    for (int i = 0; i < 4; ++i)
        CHECK(ask(reader, "SELECT count(*) FROM still WHERE random() < 2") == "0");
    CHECK(ask(owner, "SELECT lastval()") == own);
    // From here it keeps its server connection.
    const auto next = ask(owner, "INSERT INTO orders (n) VALUES (2) RETURNING id");
    for (int i = 0; i < 4; ++i) ask(reader, "INSERT INTO orders (n) VALUES (3)");
    CHECK(ask(owner, "SELECT lastval()") == next);
}

TEST_CASE("who makes a default of currval keeps its server connection from then on") {
    Sequences s;
    auto owner = s.login(), other = s.login();
    ask(owner,
        "CREATE TABLE own (x bigint DEFAULT nextval('hand'), z bigint DEFAULT "
        "currval('hand'))");
    const auto own = ask(owner, "INSERT INTO own DEFAULT VALUES RETURNING x");
    for (int i = 0; i < 4; ++i) ask(other, "SELECT nextval('hand')");
    CHECK(ask(owner, "INSERT INTO own (x) VALUES (0) RETURNING z") == own);
}

TEST_CASE("an error ahead of it in a pipeline does not let a session find another's value") {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    Cluster::shared().connect("app").run("CREATE SEQUENCE IF NOT EXISTS piped");
    auto owner = RawClient::login(p.port()), other = RawClient::login(p.port());
    ask(owner, "SELECT nextval('piped')");
    const auto get = msg::unnamed("SELECT currval('piped')");
    const auto failed = other.ask(msg::unnamed("SELECT nosuch") + get + msg::sync());
    CHECK(error_of(failed).sqlstate == "42703");
    CHECK(error_of(other.ask(get + msg::sync())).sqlstate == "55000");
}
