// Protocol-level prepared statements in transaction mode: a statement belongs to its session and
// works on whatever server connection the session meets. Numbers in names: the list of protocol
// traps.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(
        Cluster::shared(),
        {{{"pool", "{min_size: 0, max_size: 2}"},
          {"limits", "{prepared_statements_per_client: 1000, prepared_statements_per_server: 20}"}},
         {},
         {},
         0});
    return p;
}
std::uint16_t port() { return proxy().port(); }
RawClient login(const msg::Parameters& more = {}) {
    return RawClient::login(port(), "app", "app", more);
}
const std::string kSync = msg::sync();

/// Runs `work` on whichever of the pool's two server connections is not held by somebody else,
/// then on the other one.
template <class F>
void on_both_servers(F&& work) {
    auto first = login();
    auto second = login();
    first.ask(msg::query("BEGIN"));
    first.ask(msg::query("SELECT 1"));
    work();
    // `second` can only get the connection `work` had; then `first` gives its own back.
    second.ask(msg::query("BEGIN"));
    second.ask(msg::query("SELECT 1"));
    first.ask(msg::query("COMMIT"));
    work();
    second.ask(msg::query("COMMIT"));
}

Messages run(RawClient& c, const std::string& name, const std::vector<msg::Value>& values = {}) {
    return c.ask(msg::bind("", name, values) + msg::execute() + kSync);
}

}  // namespace

TEST_CASE("a named statement works on any server connection") {
    auto c = login();
    CHECK(types(c.ask(msg::parse("s", "SELECT $1::int * 2") + kSync)) == "1Z");
    on_both_servers([&] {
        const auto m = run(c, "s", {"21"});
        CHECK(types(m) == "2DCZ");
        CHECK(first_value(m) == "42");
        CHECK(types(c.ask(msg::describe('S', "s") + kSync)) == "tTZ");
    });
}

TEST_CASE("the unnamed statement outlives Sync and a change of server, until the next one (59)") {
    auto c = login();
    CHECK(types(c.ask(msg::parse("", "SELECT 'first'") + kSync)) == "1Z");
    on_both_servers([&] { CHECK(first_value(run(c, "")) == "first"); });
    c.ask(msg::parse("", "SELECT 'second'") + kSync);
    on_both_servers([&] { CHECK(first_value(run(c, "")) == "second"); });
    // A simple query ends it.
    c.ask(msg::query("SELECT 1"));
    CHECK(error_of(run(c, "")).sqlstate == "26000");
}

TEST_CASE("the unnamed statement is never another session's (59)") {
    auto a = login();
    auto b = login();
    a.ask(msg::parse("", "SELECT 'a'") + kSync);
    b.ask(msg::parse("", "SELECT 'b'") + kSync);
    for (int i = 0; i < 10; ++i) {
        CHECK(first_value(run(a, "")) == "a");
        CHECK(first_value(run(b, "")) == "b");
    }
    for (const std::size_t size : {1U, 2U << 20}) {  // the longer one comes in parts
        auto fresh = login();
        const auto m = fresh.ask(msg::bind("", "", {std::string(size, 'x')}) + msg::execute() +
                                 kSync + msg::query("SELECT 1"));
        CHECK(types(m) == "EZ");
        CHECK(error_of(m).sqlstate == "26000");
        CHECK(first_value(fresh.read_until('Z')) == "1");
    }
}

TEST_CASE("one name means each session its own statement (51)") {
    auto a = login();
    auto b = login();
    a.ask(msg::parse("same", "SELECT 'a' || $1::text") + kSync);
    b.ask(msg::parse("same", "SELECT $1::int + 1") + kSync);
    on_both_servers([&] {
        CHECK(first_value(run(a, "same", {"1"})) == "a1");
        CHECK(first_value(run(b, "same", {"1"})) == "2");
    });
    auto fresh = login();
    CHECK(error_of(run(fresh, "same", {"1"})).sqlstate == "26000");
}

TEST_CASE("one text with other declared types or another search_path is another statement (51)") {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE SCHEMA one; CREATE TABLE one.t AS SELECT 'one' AS v");
    setup.run("CREATE SCHEMA two; CREATE TABLE two.t AS SELECT 'two' AS v");
    auto a = login({{"options", "-c search_path=one"}});
    auto b = login({{"options", "-c search_path=two"}});
    a.ask(msg::parse("s", "SELECT v FROM t") + kSync);
    b.ask(msg::parse("s", "SELECT v FROM t") + kSync);
    for (int i = 0; i < 4; ++i) {
        CHECK(first_value(run(a, "s")) == "one");
        CHECK(first_value(run(b, "s")) == "two");
    }
    auto c = login();
    auto d = login();
    c.ask(msg::parse("s", "SELECT pg_typeof($1)::text", {23}) + kSync);
    d.ask(msg::parse("s", "SELECT pg_typeof($1)::text", {701}) + kSync);
    for (int i = 0; i < 4; ++i) {
        CHECK(first_value(run(c, "s", {"1"})) == "integer");
        CHECK(first_value(run(d, "s", {"1"})) == "double precision");
    }
    setup.run("DROP SCHEMA one, two CASCADE");
}

TEST_CASE("who changes the search_path leaves others the statements of the old one (51)" *
          doctest::skip(Proxy::direct())) {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE SCHEMA one; CREATE TABLE one.t AS SELECT 1 AS v");
    setup.run("CREATE SCHEMA two; CREATE TABLE two.t AS SELECT 1::bigint AS v");
    const std::string sql = "SELECT pg_typeof($1)::text FROM t JOIN (SELECT) x ON v = $1";
    auto c = login();
    c.ask(msg::query("SET search_path = one"));
    CHECK(types(c.ask(msg::parse("s", sql) + kSync)) == "1Z");
    c.ask(msg::query("SET search_path = two"));
    on_both_servers([&] { run(c, "s", {"1"}); });
    auto d = login();
    d.ask(msg::query("SET search_path = one"));
    CHECK(types(d.ask(msg::parse("s", sql) + kSync)) == "1Z");
    on_both_servers([&] { CHECK(first_value(run(d, "s", {"1"})) == "integer"); });
    c.ask(msg::query("SET search_path = one"));
    on_both_servers([&] { CHECK(first_value(run(c, "s", {"1"})) == "integer"); });
    setup.run("DROP SCHEMA one, two CASCADE");
}

TEST_CASE("one text under two roles on one server connection never shows the other's rows (S24)") {
    auto db = Cluster::shared().connect();
    db.run(
        "CREATE ROLE tenant_a; CREATE ROLE tenant_b; GRANT tenant_a, tenant_b TO app; CREATE TABLE "
        "tenants AS SELECT v::name AS owner FROM unnest('{tenant_a,tenant_b}'::text[]) v; GRANT "
        "SELECT ON tenants TO tenant_a, tenant_b; ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY own ON tenants USING (owner = current_user)");
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    std::vector<RawClient> clients;
    for (const std::string role : {"tenant_a", "tenant_b"}) {
        clients.push_back(RawClient::login(p.port()));
        clients.back().ask(msg::query("SET ROLE " + role));
        clients.back().ask(msg::parse("s", "SELECT owner FROM tenants WHERE $1::int > 0") + kSync);
    }
    for (int i = 0; i < 20; ++i)  // beyond the sixth, PostgreSQL may keep a plan
        for (std::size_t k = 0; k < 2; ++k) {
            const auto all = rows(run(clients[k], "s", {"1"}));
            REQUIRE(all.size() == 1);
            CHECK(all[0][0] == (k == 0 ? "tenant_a" : "tenant_b"));
        }
}

TEST_CASE("a Parse that fails leaves nothing, and the same Parse passes once it can (53)") {
    auto c = login();
    for (int i = 0; i < 3; ++i)
        CHECK(error_of(c.ask(msg::parse("late", "SELECT n FROM late_table") + kSync)).sqlstate ==
              "42P01");
    CHECK(error_of(run(c, "late")).sqlstate == "26000");
    Cluster::shared().connect("app").run("CREATE TABLE late_table AS SELECT 5 AS n");
    CHECK(types(c.ask(msg::parse("late", "SELECT n FROM late_table") + kSync)) == "1Z");
    on_both_servers([&] { CHECK(first_value(run(c, "late")) == "5"); });
    Cluster::shared().connect("app").run("DROP TABLE late_table");
}

TEST_CASE("more statements than a server may hold are prepared again when needed (54, 65)") {
    auto c = login();
    std::string all;
    for (int i = 0; i < 100; ++i)
        all += msg::parse("s" + std::to_string(i), "SELECT " + std::to_string(i));
    auto m = c.ask(all + kSync);
    CHECK(count_type(m, '1') == 100);
    on_both_servers([&] {
        for (int i = 0; i < 100; i += 7)
            REQUIRE(first_value(run(c, "s" + std::to_string(i))) == std::to_string(i));
        // One batch that refers to more statements than the server may hold.
        std::string batch;
        for (int i = 0; i < 60; ++i)
            batch += msg::bind("", "s" + std::to_string(i)) + msg::execute();
        const auto answer = c.ask(batch + kSync);
        REQUIRE(types(answer).find('E') == std::string::npos);
        REQUIRE(rows(answer).size() == 60);
        for (std::size_t i = 0; i < 60; ++i) REQUIRE(rows(answer)[i][0] == std::to_string(i));
    });
}

TEST_CASE("the number of statements on a server connection stays near its limit (65)" *
          doctest::skip(Proxy::direct())) {
    // Both, since one that a long pipeline took over its limit comes back to it with its next
    // Parse.
    on_both_servers([] {
        auto c = login();
        for (int i = 0; i < 30; ++i) {
            const auto name = "s" + std::to_string(i);
            c.ask(msg::parse(name, "SELECT 'near' || " + std::to_string(i)) + kSync);
            REQUIRE(first_value(run(c, name)) == "near" + std::to_string(i));
        }
        const auto m = c.ask(msg::query("SELECT count(*) FROM pg_prepared_statements"));
        CHECK(std::stoi(first_value(m)) <= 21);
    });
}

TEST_CASE("a client that leaves between Parse and Sync leaves nothing that misleads others (55)") {
    for (int i = 0; i < 5; ++i) {
        auto c = login();
        c.send(msg::parse("gone", "SELECT 'gone'"));
        if (i % 2 == 0) c.send(msg::flush());
        if (i % 3 == 0) c.reset();
    }
    auto c = login();
    CHECK(types(c.ask(msg::parse("gone", "SELECT 'gone'") + kSync)) == "1Z");
    on_both_servers([&] { CHECK(first_value(run(c, "gone")) == "gone"); });
}

TEST_CASE("ParseComplete comes in order, and not for what an error skipped (56)") {
    auto c = login();
    c.ask(msg::parse("known", "SELECT 'known'") + kSync);
    auto other = login();
    other.ask(msg::parse("known", "SELECT 'known'") + kSync);
    auto m = c.ask(msg::parse("a", "SELECT 'known'") + msg::bind("", "a") + msg::execute() +
                   msg::parse("b", "SELECT broken") + msg::parse("c", "SELECT 'known'") + kSync);
    CHECK(types(m) == "12DCEZ");
    CHECK(first_value(run(c, "a")) == "known");
    CHECK(error_of(run(c, "c")).sqlstate == "26000");
    // A name that was skipped is free.
    CHECK(types(c.ask(msg::parse("c", "SELECT 'c'") + kSync)) == "1Z");
    CHECK(first_value(run(c, "c")) == "c");
}

TEST_CASE("an unnamed Parse that fails does not take the next one's statement away (53, 59)") {
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    for (auto* each : {&c, &direct}) {
        each->send(msg::parse("", "SELEC 1") + kSync + msg::parse("", "SELECT 'kept'") + kSync);
        CHECK(types(each->read_until('Z')) == "EZ");
        CHECK(types(each->read_until('Z')) == "1Z");
        CHECK(first_value(run(*each, "")) == "kept");
    }
}

TEST_CASE("a statement parsed behind DEALLOCATE ALL or DISCARD ALL in one pipeline survives (57)") {
    auto c = login();
    for (const char* clear : {"DEALLOCATE ALL", "DISCARD ALL"}) {
        c.ask(msg::parse("old", "SELECT 'old'") + kSync);
        c.send(msg::query(clear) + msg::parse("x", "SELECT 'new'") + kSync);
        c.read_until('Z');
        CHECK(types(c.read_until('Z')) == "1Z");
        on_both_servers([&] { CHECK(first_value(run(c, "x")) == "new"); });
        CHECK(error_of(run(c, "old")).sqlstate == "26000");
        c.ask(msg::close('S', "x") + kSync);
    }
    c.ask(msg::parse("old", "SELECT 'old'") + kSync);
    const auto m = c.ask(msg::parse("", "DEALLOCATE ALL") + msg::bind("", "") + msg::execute() +
                         msg::parse("y", "SELECT 'y'") + kSync);
    CHECK(types(m) == "12C1Z");
    CHECK(first_value(run(c, "y")) == "y");
    CHECK(error_of(run(c, "old")).sqlstate == "26000");
}

TEST_CASE("a name in use is 42P05, an unknown name closes quietly and binds as 26000 (58)") {
    auto c = login();
    c.ask(msg::parse("n", "SELECT 1") + kSync);
    on_both_servers([&] {
        auto m = c.ask(msg::parse("n", "SELECT 2") + kSync);
        CHECK(error_of(m).sqlstate == "42P05");
        CHECK(error_of(m).severity == "ERROR");
        CHECK(first_value(run(c, "n")) == "1");
        CHECK(types(c.ask(msg::close('S', "unknown") + kSync)) == "3Z");
        m = run(c, "unknown");
        CHECK(error_of(m).sqlstate == "26000");
        CHECK(error_of(m).message == "prepared statement \"unknown\" does not exist");
    });
    CHECK(types(c.ask(msg::close('S', "n") + msg::parse("n", "SELECT 3") + kSync)) == "31Z");
    CHECK(first_value(run(c, "n")) == "3");
}

TEST_CASE("an error of a name in a pipeline keeps its place, and fails an open block (58, 78)") {
    auto c = login();
    auto m = c.ask(msg::unnamed("SELECT 1") + msg::bind("", "unknown") + msg::execute() +
                   msg::unnamed("SELECT 2") + kSync);
    CHECK(types(m) == "12TDCEZ");
    CHECK(ready_status(m) == 'I');
    c.ask(msg::query("BEGIN"));
    m = run(c, "unknown");
    CHECK(types(m) == "EZ");
    CHECK(ready_status(m) == 'E');
    CHECK(error_of(c.ask(msg::query("SELECT 1"))).sqlstate == "25P02");
    CHECK(ready_status(c.ask(msg::query("ROLLBACK"))) == 'I');
}

TEST_CASE("a statement prepared in a transaction that is rolled back stays") {
    auto c = login();
    c.ask(msg::query("BEGIN"));
    c.ask(msg::parse("kept", "SELECT 'kept'") + kSync);
    c.ask(msg::query("ROLLBACK"));
    on_both_servers([&] { CHECK(first_value(run(c, "kept")) == "kept"); });
}

TEST_CASE("a statement whose result has changed can be prepared anew (64)") {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE TABLE changing AS SELECT 1 AS a");
    auto c = login();
    c.ask(msg::parse("p", "SELECT * FROM changing") + kSync);
    on_both_servers([&] { CHECK(first_value(run(c, "p")) == "1"); });
    setup.run("ALTER TABLE changing ADD COLUMN b int DEFAULT 2");
    for (const bool in_transaction : {true, false}) {
        if (in_transaction) c.ask(msg::query("BEGIN"));
        const auto m = run(c, "p");
        // PostgreSQL refuses where it had planned the old form.
        if (types(m) != "2DCZ") CHECK_MESSAGE(error_of(m).sqlstate == "0A000", types(m));
        if (in_transaction) c.ask(msg::query("ROLLBACK"));
    }
    c.ask(msg::close('S', "p") + msg::parse("p", "SELECT * FROM changing") + kSync);
    on_both_servers([&] {
        const auto m = run(c, "p");
        REQUIRE_MESSAGE(rows(m).size() == 1, error_of(m).message);
        CHECK(rows(m)[0] == std::vector<std::string>{"1", "2"});
    });
    setup.run("DROP TABLE changing");
}

TEST_CASE("outside a transaction nobody sees that a statement's result has changed (64)" *
          doctest::skip(Proxy::direct())) {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE TABLE widening AS SELECT 1 AS a");
    auto c = login();
    c.ask(msg::parse("p", "SELECT * FROM widening") + kSync);
    on_both_servers([&] { CHECK(first_value(run(c, "p")) == "1"); });
    setup.run("ALTER TABLE widening ADD COLUMN b int DEFAULT 2");
    on_both_servers([&] {
        const auto m = c.ask(msg::bind("", "p") + msg::describe('P', "") + msg::execute() + kSync);
        CHECK(types(m) == "2TDCZ");
        CHECK(rows(m).at(0) == std::vector<std::string>{"1", "2"});
    });
    setup.run("DROP TABLE widening");
}

TEST_CASE("statements prepared by message can be used and dropped by SQL, as in PostgreSQL") {
    auto c = login();
    c.ask(msg::parse("bymsg", "SELECT $1::int + 1") + kSync);
    CHECK(first_value(c.ask(msg::query("EXECUTE bymsg(41)"))) == "42");
    c.ask(msg::query("DEALLOCATE bymsg"));
    CHECK(error_of(run(c, "bymsg", {"1"})).sqlstate == "26000");
    c.ask(msg::query("PREPARE by_sql AS SELECT $1::int - 1"));
    CHECK(first_value(run(c, "by_sql", {"43"})) == "42");
    CHECK(first_value(c.ask(msg::query("EXECUTE by_sql(8)"))) == "7");
}

TEST_CASE("SQL finds what was prepared by message wherever in a text it is named") {
    auto c = login();
    c.ask(msg::parse("bymsg", "SELECT $1::int + 1") + kSync);
    for (const char* text : {"/* run it */ EXECUTE bymsg(41)", "-- run it\nEXECUTE bymsg(41)",
                             "SELECT 0; EXECUTE bymsg(41)", "EXPLAIN (COSTS OFF) EXECUTE bymsg(41)",
                             "CREATE TEMPORARY TABLE made ON COMMIT DROP AS EXECUTE bymsg(41)"})
        CHECK_MESSAGE(count_type(c.ask(msg::query(text)), 'E') == 0, text);
    for (const char* text :
         {"/* gone */ DEALLOCATE bymsg", "SELECT 0; DEALLOCATE PREPARE bymsg",
          "EXECUTE bymsg(1); DEALLOCATE bymsg; SELECT 2", "/* all */ DEALLOCATE ALL",
          "SELECT 0; DEALLOCATE /* PREPARE */ ALL"}) {
        CHECK_MESSAGE(count_type(c.ask(msg::query(text)), 'E') == 0, text);
        CHECK_MESSAGE(error_of(run(c, "bymsg", {"1"})).sqlstate == "26000", text);
        CHECK_MESSAGE(types(c.ask(msg::parse("bymsg", "SELECT $1::int + 1") + kSync)) == "1Z",
                      text);
    }
}

TEST_CASE("DEALLOCATE that fails takes no statement away") {
    auto c = login();
    c.ask(msg::parse("kept", "SELECT $1::int + 1") + kSync);
    for (const char* text : {"DEALLOCATE ALL", "DEALLOCATE kept"})
        for (const bool extended : {false, true}) {
            c.ask(msg::query("BEGIN"));
            c.ask(msg::query("SELECT 1/0"));
            const auto m =
                c.ask(extended ? msg::parse("", text) + msg::bind("", "") + msg::execute() + kSync
                               : msg::query(text));
            CHECK_MESSAGE(error_of(m).sqlstate == "25P02", text);
            c.ask(msg::query("ROLLBACK"));
            CHECK_MESSAGE(first_value(run(c, "kept", {"41"})) == "42", text);
        }
    const auto discard = msg::parse("", "DISCARD ALL") + msg::bind("", "");
    for (const auto& batch : {msg::parse("", "DEALLOCATE ALL") + msg::bind("", ""), discard,
                              msg::parse("", "SELECT 1/0") + msg::bind("", "") + msg::execute() +
                                  discard + msg::execute(),
                              discard + msg::parse("", "SELEC 1") + msg::execute()}) {
        c.ask(batch + kSync);
        CHECK(first_value(run(c, "kept", {"41"})) == "42");
    }
    for (const char* text :
         {"SELECT 1/0; DEALLOCATE ALL", "SELECT 1/0; DEALLOCATE kept", "SELECT 1; DISCARD ALL"}) {
        CHECK_MESSAGE(count_type(c.ask(msg::query(text)), 'E') == 1, text);
        CHECK_MESSAGE(first_value(run(c, "kept", {"41"})) == "42", text);
    }
    CHECK(error_of(c.ask(msg::query("DEALLOCATE ALL; SELECT 1/0"))).sqlstate == "22012");
    CHECK(error_of(run(c, "kept", {"41"})).sqlstate == "26000");
}

TEST_CASE("of several that a text takes away those are gone that the server has taken") {
    auto c = login();
    const auto known = [&](const std::string& name) {
        return error_of(run(c, name, {"41"})).sqlstate.empty();
    };
    const auto with = [&](const std::string& text, bool a, bool b) {
        for (const char* name : {"a", "b"})
            c.ask(msg::close('S', name) + msg::parse(name, "SELECT $1::int + 1") + kSync);
        c.ask(msg::query(text));
        CHECK_MESSAGE(known("a") == a, text);
        CHECK_MESSAGE(known("b") == b, text);
    };
    for (int round = 0; round < 2; ++round) {
        with("DEALLOCATE a; SELECT 1/0; DEALLOCATE b", false, true);
        with("DEALLOCATE a; SELECT 1/0; DEALLOCATE ALL", false, true);
        with("DEALLOCATE nosuch; DEALLOCATE a", true, true);
        with("EXECUTE a(1); DEALLOCATE a; DEALLOCATE b; SELECT 2", false, false);
        with("DEALLOCATE ALL; SELECT 1/0", false, false);
        with("PREPARE mine AS SELECT 1; DEALLOCATE mine; DEALLOCATE a", false, true);
        with(";DEALLOCATE ALL", false, false);
        with("DEALLOCATE a; DEALLOCATE a", false, true);
        with("RESET ALL", true, true);
    }
    // One behind the other, in flight at once.
    c.ask(msg::parse("a", "SELECT $1::int + 1") + kSync);
    for (const char* first : {"RESET ALL", "DEALLOCATE nosuch", "SELECT 1"}) {
        c.send(msg::query(first) + msg::query("SELECT 1/0; DEALLOCATE ALL") +
               msg::bind("", "a", {"41"}) + msg::execute() + kSync);
        c.read_until('Z');
        CHECK(error_of(c.read_until('Z')).sqlstate == "22012");
        CHECK_MESSAGE(first_value(c.read_until('Z')) == "42", first);
    }
}

TEST_CASE("a name that DEALLOCATE did not come to meets no other session" *
          doctest::skip(Proxy::direct())) {
    auto a = login();
    for (const char* text : {"SELECT 1/0; DEALLOCATE kept", "DEALLOCATE nosuch; DEALLOCATE kept"}) {
        a.ask(msg::close('S', "kept") + msg::parse("kept", "SELECT 'a'") + kSync);
        a.ask(msg::query(text));
        for (int i = 0; i < 4; ++i) {
            auto b = login();
            CHECK(error_of(b.ask(msg::query("EXECUTE kept"))).sqlstate == "26000");
            CHECK(error_of(run(b, "kept")).sqlstate == "26000");
            b.ask(msg::parse("kept", "SELECT 'b'") + kSync);
            CHECK(first_value(b.ask(msg::query("EXECUTE kept"))) == "b");
        }
        CHECK(first_value(a.ask(msg::query("EXECUTE kept"))) == "a");
    }
}

TEST_CASE("EXECUTE runs what a name stands for now, and DEALLOCATE takes away what cannot run") {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE TABLE leaving AS SELECT 1 AS v");
    auto c = login();
    c.ask(msg::parse("k", "SELECT 1") + kSync);
    CHECK(first_value(c.ask(msg::query("EXECUTE k"))) == "1");
    c.ask(msg::close('S', "k") + msg::parse("k", "SELECT 2") + kSync);
    CHECK(first_value(c.ask(msg::query("EXECUTE k"))) == "2");
    c.ask(msg::query("DEALLOCATE k"));
    c.ask(msg::parse("k", "SELECT v FROM leaving") + kSync);
    CHECK(first_value(run(c, "k")) == "1");
    setup.run("DROP TABLE leaving");
    CHECK(error_of(c.ask(msg::query("DEALLOCATE k"))).sqlstate == "");
    CHECK(error_of(run(c, "k")).sqlstate == "26000");
    CHECK(types(c.ask(msg::parse("k", "SELECT 3") + kSync)) == "1Z");
    CHECK(first_value(c.ask(msg::query("EXECUTE k"))) == "3");
}

TEST_CASE("DEALLOCATE and DISCARD ALL by message, wherever they stand and however they come") {
    auto c = login();
    const auto make = [&](const std::string& name) {
        return msg::parse(name, "SELECT $1::int + 1");
    };
    const auto take = [](const std::string& text, const std::string& portal = "") {
        return msg::parse("", text) + msg::bind(portal, "") + msg::execute(portal);
    };
    const auto known = [&](const std::string& name) {
        return error_of(run(c, name, {"41"})).sqlstate.empty();
    };
    for (const char* text : {"DEALLOCATE ALL", "DEALLOCATE kept", "DISCARD ALL"}) {
        const bool alone = std::string(text) == "DISCARD ALL";
        c.ask(make("kept") + kSync);
        CHECK(types(c.ask(take(text) + kSync)) == "12CZ");
        CHECK_MESSAGE(!known("kept"), text);
        // Behind a failure in its batch, or in front of one.
        c.ask(make("kept") + kSync);
        const auto m = c.ask(msg::parse("s", "SELECT * FROM no_such_table") + take(text) + kSync);
        CHECK(error_of(m).sqlstate == "42P01");
        CHECK_MESSAGE(known("kept"), text);
        CHECK(types(c.ask(msg::parse("s", "SELECT 1") + msg::close('S', "s") + kSync)) == "13Z");
        c.ask(take(text) + msg::parse("", "SELEC") + kSync);
        CHECK_MESSAGE(!known("kept"), text);
        // The Bind in one piece, the Execute in another, behind another's answer.
        c.ask(make("kept") + kSync);
        c.send(msg::query("SELECT pg_sleep(0.05)") + msg::parse("", text) + msg::bind("", ""));
        sleep_for(Seconds(0.1));
        c.send(msg::execute() + kSync);
        c.read_until('Z');
        CHECK(types(c.read_until('Z')) == "12CZ");
        CHECK_MESSAGE(!known("kept"), text);
        if (alone) continue;
        // A portal with a name, executed behind another Sync.
        c.ask(msg::query("BEGIN"));
        c.ask(make("kept") + msg::parse("", text) + msg::bind("later", "") + kSync);
        CHECK(first_value(run(c, "kept", {"41"})) == "42");
        CHECK(types(c.ask(msg::execute("later") + make("new") + kSync)) == "C1Z");
        CHECK_MESSAGE(!known("kept"), text);
        c.ask(msg::query("ROLLBACK"));
        CHECK_MESSAGE(known("new"), text);
        c.ask(msg::query("DEALLOCATE ALL"));
    }
    // The unnamed one stays.
    c.ask(msg::parse("d", "DEALLOCATE ALL") + msg::parse("", "SELECT 'unnamed'") + kSync);
    CHECK(types(run(c, "d")) == "2CZ");
    CHECK(first_value(run(c, "")) == "unnamed");
}

TEST_CASE("DEALLOCATE ALL and DISCARD ALL that are prepared themselves take themselves away") {
    auto c = login();
    for (const char* text : {"DEALLOCATE ALL", "DISCARD ALL"})
        for (int i = 0; i < 3; ++i) {
            CHECK_MESSAGE(types(c.ask(msg::parse("itself", text) + kSync)) == "1Z", text);
            CHECK_MESSAGE(error_of(run(c, "itself")).sqlstate == "", text);
            CHECK_MESSAGE(error_of(run(c, "itself")).sqlstate == "26000", text);
            CHECK_MESSAGE(first_value(c.ask(msg::query("SELECT 'idle'"))) == "idle", text);
        }
}

TEST_CASE("a session has a limited number of statements, and an error when it wants more (61)" *
          doctest::skip(Proxy::direct())) {
    auto c = login();
    std::string all;
    for (int i = 0; i < 1001; ++i) all += msg::parse("s" + std::to_string(i), "SELECT 1");
    const auto m = c.ask(all + kSync);
    CHECK(count_type(m, 'E') == 1);
    CHECK((error_of(m).sqlstate == "54000" || error_of(m).sqlstate == "53200"));
    CHECK(error_of(m).severity == "ERROR");
    CHECK(first_value(run(c, "s0")) == "1");
}

TEST_CASE("a thousand sessions' statements of equal text do not multiply on the servers" *
          doctest::skip(Proxy::direct())) {
    for (int i = 0; i < 100; ++i) {
        auto c = login();
        c.ask(msg::parse("shared", "SELECT 'shared text'") + kSync);
        REQUIRE(first_value(run(c, "shared")) == "shared text");
    }
    auto c = login();
    const auto m =
        c.ask(msg::query("SELECT count(*) FROM pg_prepared_statements "
                         "WHERE statement = 'SELECT ''shared text'''"));
    CHECK(std::stoi(first_value(m)) <= 5);
}

TEST_CASE("texts of prepared statements are bounded in bytes, too, and Close makes room again") {
    for (const char* mode : {"transaction", "session"}) {
        INFO(std::string(mode));
        Proxy p(Cluster::shared(), {{{"pool", std::string("{max_size: 1, mode: ") + mode + "}"},
                                     {"limits", "{prepared_memory_per_client: 64KiB}"}},
                                    {},
                                    {},
                                    0});
        const bool shared = std::string(mode) == "transaction";
        auto c = RawClient::login(p.port());
        const auto prepare = [&](int i) {
            const auto text =
                "SELECT " + std::to_string(i) + " /*" + std::string(16000, 'x') + "*/";
            return c.ask(msg::parse("s" + std::to_string(i), text) + kSync);
        };
        for (int i = 0; i < 4; ++i) CHECK(types(prepare(i)) == "1Z");
        for (int i = 4; i < 8; ++i) {
            const auto m = prepare(i);
            // In session mode the server keeps them and the client has it to itself: less is known
            // of what runs, and nothing more is kept.
            CHECK(types(m) == (i < 5 || !shared ? "1Z" : "EZ"));
            if (i >= 5 && shared) CHECK(error_of(m).sqlstate == "54000");
        }
        CHECK(types(c.ask(msg::close('S', "s0") + kSync)) == "3Z");
        CHECK(types(prepare(8)) == "1Z");
        for (const int i : {1, 4, 8})
            CHECK(first_value(run(c, "s" + std::to_string(i))) == std::to_string(i));
        if (!shared) CHECK(first_value(run(c, "s7")) == "7");
    }
}
