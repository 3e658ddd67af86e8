// Session state in transaction mode: a session keeps what it has set, whatever server connections
// it meets, and no other session ever sees it. Numbers in names: the list of protocol traps.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(),
                   {{{"pool", "{min_size: 0, max_size: 3, max_pinned: 20}"}}, {}, {}, 0});
    return p;
}
RawClient login(const msg::Parameters& more = {}, const std::string& user = "app") {
    return RawClient::login(proxy().port(), user, "app", more);
}

/// A statement that changes the session, and a question that shows whether it has.
struct State {
    std::string name;
    std::string change;
    std::string question;
    std::string changed;
};

const State kStates[] = {
    {"SET", "SET work_mem = '11MB'", "SHOW work_mem", "11MB"},
    {"SET behind a comment (35)", "/* x */ -- y\n SET work_mem = '12MB'", "SHOW work_mem", "12MB"},
    {"two SETs in one query (35)", "SET work_mem = '1MB'; SET work_mem = '13MB'", "SHOW work_mem",
     "13MB"},
    {"SET behind a SELECT (35)", "SELECT 1; SET work_mem = '14MB'", "SHOW work_mem", "14MB"},
    {"set_config (34)", "SELECT set_config('search_path', '', false)", "SHOW search_path", ""},
    {"set_config computed (34)", "SELECT set_config('work' || '_mem', '15MB', false)",
     "SHOW work_mem", "15MB"},
    {"custom setting", "SET my.tenant = 'secret'",
     "SELECT coalesce(current_setting('my.tenant', "
     "true), '')",
     "secret"},
    {"empty setting (31)", "SET search_path = ''", "SHOW search_path", "\"\""},
    {"quoted setting (31)", "SET application_name = 'a''b\"c\\d'", "SHOW application_name",
     "a'b\"c\\d"},
    {"SET in a DO block", "DO $$BEGIN PERFORM set_config('work_mem', '16MB', false); END$$",
     "SHOW work_mem", "16MB"},
    {"SET in a function", "SELECT sets_work_mem()", "SHOW work_mem", "17MB"},
    {"SET TIME ZONE", "SET TIME ZONE 'Asia/Kathmandu'", "SHOW TimeZone", "Asia/Kathmandu"},
    {"SET SESSION CHARACTERISTICS",
     "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ",
     "SHOW default_transaction_isolation", "repeatable read"},
    {"read only", "SET default_transaction_read_only = on", "SHOW default_transaction_read_only",
     "on"},
    {"temporary table", "CREATE TEMP TABLE scratch AS SELECT 1 AS n",
     "SELECT coalesce(to_regclass('scratch')::text, 'none')", "scratch"},
    {"SELECT INTO TEMP", "SELECT 1 AS n INTO TEMP scratch2",
     "SELECT coalesce(to_regclass('scratch2')::text, 'none')", "scratch2"},
    {"temporary view", "CREATE TEMP VIEW peek AS SELECT 1 AS n",
     "SELECT coalesce(to_regclass('peek')::text, 'none')", "peek"},
    {"table in pg_temp", "CREATE TABLE pg_temp.hidden (n int)",
     "SELECT coalesce(to_regclass('hidden')::text, 'none')", "hidden"},
    {"PREPARE", "PREPARE plan AS SELECT 1",
     "SELECT count(*) FROM pg_prepared_statements WHERE name = 'plan'", "1"},
    {"LISTEN", "LISTEN news", "SELECT coalesce(max(c), '') FROM pg_listening_channels() c", "news"},
    {"advisory lock (39)", "SELECT pg_advisory_lock(4242)",
     "SELECT pg_try_advisory_lock(4242) AND pg_advisory_unlock(4242) AND EXISTS (SELECT FROM "
     "pg_locks "
     "WHERE locktype = 'advisory' AND objid = 4242 AND pid = pg_backend_pid())",
     "t"},
    {"cursor WITH HOLD", "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
     "SELECT count(*) FROM pg_cursors WHERE name = 'held'", "1"},
    {"nextval and currval", "SELECT nextval('tickets')", "SELECT currval('tickets') > 0", "t"},
};

}  // namespace

TEST_CASE("what a session sets it keeps, and no other session sees it, during or after (31-39)") {
    auto setup = Cluster::shared().connect("app");
    setup.run("CREATE SEQUENCE tickets");
    setup.run(
        "CREATE FUNCTION sets_work_mem() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET work_mem = "
        "'17MB'; END$$");
    for (const auto& state : kStates) {
        for (const bool extended : {false, true}) {
            // The extended protocol takes single statements only.
            if (extended && state.change.find("; ") != std::string::npos &&
                state.change.find("$$") == std::string::npos)
                continue;
            INFO(state.name, std::string(extended ? " (extended)" : " (simple)"));
            auto before = login();
            const auto unchanged = value_of(before, state.question);
            REQUIRE(unchanged != state.changed);
            auto c = login();
            const auto m = c.ask(extended ? msg::unnamed(state.change) + msg::sync()
                                          : msg::query(state.change));
            REQUIRE_MESSAGE(error_of(m).sqlstate.empty(), error_of(m).message);
            for (int i = 0; i < 3; ++i) {
                CHECK(value_of(c, state.question) == state.changed);
                CHECK(value_of(before, state.question) == unchanged);
                auto fresh = login();
                CHECK(value_of(fresh, state.question) == unchanged);
            }
            c.close();
            for (int i = 0; i < 6; ++i) {
                auto fresh = login();
                CHECK(value_of(fresh, state.question) == unchanged);
            }
        }
    }
}

TEST_CASE("D9: what search_path or its schema's name makes temporary is its session's alone") {
    Cluster::shared().connect("app").run(
        "CREATE TABLE hid AS SELECT 'permanent' AS v; CREATE FUNCTION makes_hid() RETURNS void "
        "LANGUAGE sql SET search_path = pg_temp AS 'SELECT 1 AS v INTO hid'");
    const std::string path = "SET search_path = pg_temp, public", begin = "BEGIN", end = "COMMIT",
                      table = "CREATE TABLE hid AS SELECT 'temporary' AS v",
                      date = "CREATE TYPE date AS ENUM ('one')";
    const std::vector<std::vector<std::string>> kMade{
        {path, table},
        {path, "SELECT 'temporary' AS v INTO hid"},
        {path, "CREATE TABLE hid (v text)"},
        {path, "CREATE VIEW hid AS SELECT 'temporary' AS v"},
        {path, "CREATE SEQUENCE hid"},
        {path, "CREATE TYPE date AS (v int)"},
        {path, date},
        {path, "EXPLAIN ANALYZE " + table},
        {begin, "SET LOCAL search_path = pg_temp", table, end},
        {begin, "SET LOCAL search_path = nosuch, \"pg_temp\"", date, end},
        {"BEGIN; SET LOCAL search_path = pg_temp; " + table + "; COMMIT"},
        {"SELECT set_config('search_path', 'PG_TEMP', false)", table},
        {begin, "SELECT set_config('search_path', 'pg_temp', true)", table, end},
        {begin, "DO $$BEGIN SET LOCAL search_path = pg_temp; END$$", table, end},
        {"SELECT makes_hid()"},
        {"CREATE TYPE pg_temp.date AS ENUM ('one')"},
        {"CREATE TYPE pg_temp.date AS (n int)"},
        {"CREATE DOMAIN pg_temp.date AS text CHECK (value = 'one')"}};
    const auto unchanged = [](RawClient& c) {
        CHECK(value_of(c, "SELECT max(v) FROM hid") == "permanent");
        CHECK(value_of(c, "SELECT date '2020-01-02' + 1") == "2020-01-03");
    };
    for (const auto& statements : kMade) {
        std::string made;
        for (const auto& sql : statements) made += sql + "; ";
        CAPTURE(made);
        auto c = login(), other = login();
        for (const auto& sql : statements) REQUIRE(value_of(c, sql).size() != 5);
        for (int i = 0; i < 3; ++i) {
            unchanged(other);
            auto fresh = login();
            unchanged(fresh);
        }
        value_of(c, "RESET search_path");
        const auto own =
            value_of(c, "SELECT max(v) FROM hid") + value_of(c, "SELECT date '2020-01-02' + 1");
        CHECK(own != "permanent2020-01-03");
        c.close();
        for (int i = 0; i < 6; ++i) {
            auto fresh = login();
            unchanged(fresh);
        }
    }
    auto c = login({{"options", "-c search_path=\"$user\",pg_temp"}});
    CHECK(value_of(c, table).empty());
    for (int i = 0; i < 4; ++i) {
        auto fresh = login();
        unchanged(fresh);
    }
}

TEST_CASE("what is carried arrives byte by byte, however it is written (S32)") {
    Cluster::shared().connect().run(
        "CREATE TABLE bystander (n int); GRANT SELECT ON bystander TO app");
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    auto other = RawClient::login(p.port());
    const std::vector<std::string> values{
        "'",         "\\'",   "''; DROP TABLE bystander;--",       "\\", "\\\\'\\",
        "a\nb\r\tc", "$$x$$", "E'\\x27'; DROP TABLE bystander;--", "\"", "\xc3\xa4\xe2\x82\xac"};
    const auto as_name = [](const std::string& text) {  // a search_path of one name
        std::string name = "\"";
        for (const char c : text) name += c == '"' ? std::string("\"\"") : std::string(1, c);
        return name + "\"";
    };
    for (const bool standard : {true, false})
        for (const auto& value : values) {
            INFO(value, standard);
            auto c = RawClient::login(p.port());
            if (!standard) c.ask(msg::query("SET standard_conforming_strings = off"));
            const auto set = c.ask(msg::query("SET search_path = " + as_name(value)));
            REQUIRE(error_of(set).message == "");
            for (int i = 0; i < 2; ++i) {  // away from the one server connection, and back
                // Without standard strings, or where it is not ASCII, what a text says is not
                // known for sure, and the session is pinned.
                if (standard && value.back() > 0)
                    CHECK(value_of(other, "SHOW search_path") == "\"$user\", public");
                CHECK(value_of(c, "SHOW search_path") == as_name(value));
                CHECK(value_of(c, "SHOW standard_conforming_strings") == (standard ? "on" : "off"));
            }
        }
    // The same from the start-up packet on.
    for (const auto& value : values) {
        auto c = RawClient::login(p.port(), "app", "app", {{"search_path", as_name(value)}});
        value_of(other, "SELECT 1");
        CHECK(value_of(c, "SHOW search_path") == as_name(value));
    }
    // Half a character of SJIS eats a backslash, whether that is the value's own or an escape.
    const auto half = as_name("\x95\\'); DROP TABLE bystander; SELECT ('");
    for (int i = 0; i < 2; ++i) try {
            auto c = RawClient::login(p.port(), "app", "app",
                                      {{"client_encoding", "SJIS"}, {"search_path", half}});
            c.ask(msg::query("SELECT 1"));
        } catch (const std::runtime_error&) {  // refused: no text in the server's encoding
        }
    CHECK(value_of(other, "SELECT count(*) FROM public.bystander") == "0");
}

TEST_CASE("a role taken on is nobody else's, and ends with its session (S30)") {
    auto admin = Cluster::shared().connect();
    admin.run("CREATE ROLE low; GRANT low TO app");
    for (const char* change :
         {"SET ROLE low", "SET SESSION ROLE low", "SELECT set_config('role', 'low', false)"}) {
        INFO(change);
        auto c = login();
        auto other = login();
        c.ask(msg::query(change));
        for (int i = 0; i < 4; ++i) {
            CHECK(value_of(c, "SELECT current_user") == "low");
            CHECK(value_of(other, "SELECT current_user") == "app");
        }
        c.close();
        for (int i = 0; i < 4; ++i) {
            auto fresh = login();
            CHECK(value_of(fresh, "SELECT current_user") == "app");
        }
    }
    auto c = login({}, "postgres");
    c.ask(msg::query("SET SESSION AUTHORIZATION app"));
    CHECK(value_of(c, "SELECT session_user") == "app");
    c.close();
    for (int i = 0; i < 4; ++i) {
        auto fresh = login({}, "postgres");
        CHECK(value_of(fresh, "SELECT session_user") == "postgres");
    }
}

TEST_CASE("SET LOCAL, SET TRANSACTION and a rolled-back SET change nothing after it (33)") {
    auto c = login();
    c.ask(msg::query("BEGIN"));
    c.ask(msg::query("SET LOCAL work_mem = '21MB'"));
    CHECK(value_of(c, "SHOW work_mem") == "21MB");
    c.ask(msg::query("COMMIT"));
    CHECK(value_of(c, "SHOW work_mem") == "4MB");
    c.ask(msg::query("BEGIN"));
    c.ask(msg::query("SET work_mem = '22MB'"));
    c.ask(msg::query("ROLLBACK"));
    CHECK(value_of(c, "SHOW work_mem") == "4MB");
    c.ask(msg::query("BEGIN; SET work_mem = '23MB'; SAVEPOINT s; SET work_mem = '24MB'"));
    c.ask(msg::query("ROLLBACK TO s"));
    c.ask(msg::query("COMMIT"));
    for (int i = 0; i < 3; ++i) CHECK(value_of(c, "SHOW work_mem") == "23MB");
    auto fresh = login();
    CHECK(value_of(fresh, "SHOW work_mem") == "4MB");
}

TEST_CASE("notifications reach the session that listens") {
    auto c = login();
    c.ask(msg::query("LISTEN bell"));
    auto other = login();
    other.ask(msg::query("NOTIFY bell, 'ding'"));
    const auto m = c.poll(Seconds(5));
    REQUIRE(m);
    CHECK(m->type == 'A');
    CHECK(m->body.find("bell") != std::string::npos);
    CHECK(m->body.find("ding") != std::string::npos);
}

TEST_CASE("sessions with other start-up settings never get each other's (30)") {
    auto german = login({{"DateStyle", "German"}});
    auto sql = login({{"DateStyle", "SQL, DMY"}});
    auto plain = login();
    for (int i = 0; i < 10; ++i) {
        CHECK(value_of(german, "SELECT date '2026-01-31'") == "31.01.2026");
        CHECK(value_of(sql, "SELECT date '2026-01-31'") == "31/01/2026");
        CHECK(value_of(plain, "SELECT date '2026-01-31'") == "2026-01-31");
    }
}

TEST_CASE("of a DateStyle that says only a half the other half is no other session's") {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    const auto with = [](std::uint16_t port, const std::string& style) {
        return RawClient::login(port, "app", "app", {{"DateStyle", style}});
    };
    for (const std::string first : {"SQL, DMY", "German", "ISO, YMD"})
        for (const std::string style : {"ISO", "SQL", "DMY", "Postgres", "MDY"}) {
            auto before = with(p.port(), first), c = with(p.port(), style);
            auto direct = with(Cluster::shared().port(), style);
            value_of(before, "SELECT 1");
            const std::string read = "SELECT '01/02/2024'::date";
            CHECK_MESSAGE(value_of(c, read) == value_of(direct, read), first, " then ", style);
        }
}

TEST_CASE("client_encoding is the session's own") {
    auto latin = login({{"client_encoding", "LATIN1"}});
    auto utf8 = login({{"client_encoding", "UTF8"}});
    for (int i = 0; i < 5; ++i) {
        CHECK(value_of(latin, "SELECT chr(233)") == "\xe9");
        CHECK(value_of(utf8, "SELECT chr(233)") == "\xc3\xa9");
    }
    CHECK(parameter_status(latin.greeting(), "client_encoding") == "LATIN1");
}

TEST_CASE("sessions pinned to their server connections do not shut the others out for ever") {
    std::vector<RawClient> pinned;
    for (int i = 0; i < 2; ++i) {
        pinned.push_back(login());
        pinned.back().ask(msg::query("CREATE TEMP TABLE pinned_by (n int)"));
    }
    auto c = login();
    CHECK(value_of(c, "SELECT 'through'") == "through");
    pinned.clear();
    for (int i = 0; i < 3; ++i) CHECK(value_of(c, "SELECT 'free'") == "free");
}

TEST_CASE("settings and roles are carried: more sessions than server connections, and no pin" *
          doctest::skip(Proxy::direct())) {
    Cluster::shared().connect().run("CREATE ROLE carried_low; GRANT carried_low TO app");
    struct Owner {
        RawClient client;
        std::string tag;
    };
    std::vector<Owner> owners;
    const auto pins = [] {
        double sum = 0;
        for (const char* reason : {"set", "function", "not_understood"})
            sum += proxy().metric("pgweir_pins_total{reason=\"" + std::string(reason) + "\"}");
        return sum;
    };
    const auto before = pins();
    for (int i = 0; i < 8; ++i) {
        auto& o = owners.emplace_back(Owner{login(), "tag" + std::to_string(i)});
        value_of(o.client, "SET work_mem = '" + std::to_string(100 + i) + "kB'");
        value_of(o.client, "SET own.tag = '" + o.tag + "'");
        value_of(o.client, "SELECT set_config('search_path', '" + o.tag + ", public', false)");
        value_of(o.client, "SET application_name = '" + o.tag + "'");
        if (i % 2 == 1) value_of(o.client, "SET ROLE carried_low");
    }
    for (int round = 0; round < 6; ++round)
        for (std::size_t i = 0; i < owners.size(); ++i) {
            auto& o = owners[(i * 5 + static_cast<std::size_t>(round)) % owners.size()];
            const auto at = std::stoi(o.tag.substr(3));
            CHECK(value_of(o.client, "SHOW work_mem") == std::to_string(100 + at) + "kB");
            CHECK(value_of(o.client, "SHOW own.tag") == o.tag);
            CHECK(value_of(o.client, "SHOW search_path") == o.tag + ", public");
            CHECK(value_of(o.client, "SHOW application_name") == o.tag);
            CHECK(value_of(o.client, "SELECT current_user") ==
                  (at % 2 == 1 ? "carried_low" : "app"));
        }
    auto fresh = login();
    CHECK(value_of(fresh, "SELECT coalesce(current_setting('own.tag', true), '')").empty());
    CHECK(value_of(fresh, "SHOW work_mem") == "4MB");
    CHECK(pins() == before);
    CHECK(Cluster::shared().backends() <= 3);
}

TEST_CASE("SET SESSION AUTHORIZATION is carried, and ends with RESET or DISCARD ALL") {
    for (const char* end : {"RESET SESSION AUTHORIZATION", "DISCARD ALL"}) {
        auto c = login({}, "postgres");
        std::vector<RawClient> others;
        value_of(c, "SET work_mem = '77kB'");
        value_of(c, "SET SESSION AUTHORIZATION app");
        for (int i = 0; i < 4; ++i) {
            auto& other = others.emplace_back(login({}, "postgres"));
            CHECK(value_of(c, "SELECT session_user || current_user") == "appapp");
            CHECK(value_of(other, "SELECT session_user || current_user") == "postgrespostgres");
            CHECK(value_of(c, "DELETE FROM pg_class") == "42501");
        }
        value_of(c, end);
        for (int i = 0; i < 4; ++i) CHECK(value_of(c, "SELECT session_user") == "postgres");
    }
}

TEST_CASE("a pin ends when its state is gone" * doctest::skip(Proxy::direct())) {
    struct Pin {
        const char* begin;
        const char* end;
    };
    const auto pins = {Pin{"CREATE TEMP TABLE gone (n int)", "DROP TABLE gone"},
                       Pin{"LISTEN gone", "UNLISTEN *"},
                       Pin{"DECLARE gone CURSOR WITH HOLD FOR SELECT 1", "CLOSE gone"},
                       Pin{"PREPARE gone AS SELECT 1", "DEALLOCATE gone"},
                       Pin{"SELECT pg_advisory_lock(909)", "SELECT pg_advisory_unlock(909)"},
                       Pin{"BEGIN; CREATE TEMP TABLE gone (n int) ON COMMIT DROP; COMMIT", ""}};
    for (const auto& pin : pins) {
        INFO(std::string(pin.begin));
        std::vector<RawClient> clients;  // more than there are server connections
        for (int i = 0; i < 5; ++i) {
            auto& c = clients.emplace_back(login());
            CHECK(error_of(c.ask(msg::query(pin.begin))).sqlstate.empty());
            if (*pin.end != '\0') CHECK(error_of(c.ask(msg::query(pin.end))).sqlstate.empty());
        }
        for (auto& c : clients) CHECK(value_of(c, "SELECT 'free'") == "free");
    }
}

TEST_CASE("DISCARD ALL ends a pin" * doctest::skip(Proxy::direct())) {
    std::vector<RawClient> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(login());
        clients.back().ask(msg::query("CREATE TEMP TABLE t (n int)"));
        CHECK(error_of(clients.back().ask(msg::query("DISCARD ALL"))).sqlstate.empty());
    }
    CHECK(Cluster::shared().backends() <= 3);
}

TEST_CASE(
    "a session's advisory lock is held until it is given back as often as it was taken (99)") {
    const auto held = [] {
        return Cluster::shared().value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND "
            "objid = 555 AND granted");
    };
    auto c = login();
    auto other = login();
    value_of(c, "SELECT pg_advisory_lock(555)");
    value_of(c, "SELECT pg_advisory_lock(555)");
    CHECK(value_of(c, "SELECT pg_advisory_unlock(555)") == "t");
    for (int i = 0; i < 4; ++i) {
        CHECK(value_of(other, "SELECT pg_try_advisory_lock(555)") == "f");
        CHECK(held() == "1");
    }
    CHECK(value_of(c, "SELECT pg_advisory_unlock(555)") == "t");
    CHECK(held() == "0");
    // (int, int) is another key space, shared is not exclusive.
    value_of(c, "SELECT pg_advisory_lock_shared(555)");
    CHECK(value_of(other, "SELECT pg_try_advisory_lock_shared(555)") == "t");
    CHECK(value_of(other, "SELECT pg_try_advisory_lock(0, 556)") == "t");
    c.close();
    other.close();
    CHECK(eventually([&] { return held() == "0"; }));
}

TEST_CASE("a transaction's advisory lock ends with it, and does not pin (39)" *
          doctest::skip(Proxy::direct())) {
    const std::string pins = "pgweir_pins_total{reason=\"advisory_lock\"}";
    const auto before = proxy().metric(pins);
    auto c = login();
    c.ask(msg::query("BEGIN"));
    value_of(c, "SELECT pg_advisory_xact_lock(777)");
    c.ask(msg::query("COMMIT"));
    CHECK(proxy().metric(pins) == before);
}

TEST_CASE(
    "SET search_path after Parse changes what the statement means, for this session only (101)") {
    auto setup = Cluster::shared().connect("app");
    setup.run(
        "CREATE SCHEMA p1; CREATE SCHEMA p2; CREATE TABLE p1.t AS SELECT 'one' AS v; CREATE TABLE "
        "p2.t AS SELECT 'two' AS v");
    auto a = login({{"search_path", "p1"}});
    auto b = login({{"search_path", "p1"}});
    const auto run = [](RawClient& c) {
        return first_value(c.ask(msg::bind("", "s") + msg::execute() + msg::sync()));
    };
    for (auto* c : {&a, &b}) c->ask(msg::parse("s", "SELECT v FROM t") + msg::sync());
    CHECK(run(a) == "one");
    CHECK(run(b) == "one");
    a.ask(msg::query("SET search_path = p2"));
    for (int i = 0; i < 4; ++i) {
        CHECK(run(a) == "two");
        CHECK(run(b) == "one");
    }
}

TEST_CASE("settings are carried up to 64 KiB; with more the session keeps its server connection") {
    Proxy p(Cluster::shared(),
            {{{"pool", "{min_size: 0, max_size: 1, wait_timeout: 300ms}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port()), other = RawClient::login(p.port());
    const std::string value(4000, 'x');
    for (int i = 0; i < 20; ++i) {
        CHECK(value_of(c, "SET my.setting_" + std::to_string(i) + " = '" + value + "'") == "");
        if (i == 12) CHECK(value_of(other, "SELECT 1") == "1");
    }
    CHECK(value_of(other, "SELECT 1") == "53300");
    CHECK(value_of(c, "SELECT length(current_setting('my.setting_0'))") == "4000");
    CHECK(value_of(c, "SELECT length(current_setting('my.setting_19'))") == "4000");
}

TEST_CASE("what EXECUTE has left unseen is gone when its server connection goes to another") {
    Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port());
    CHECK(value_of(c, "PREPARE tenant AS SELECT set_config('my.tenant', 'secret', false)") == "");
    CHECK(value_of(c, "EXECUTE tenant") == "secret");
    CHECK(value_of(c, "DEALLOCATE tenant") == "");
    auto other = RawClient::login(p.port());
    CHECK(value_of(other, "SELECT coalesce(current_setting('my.tenant', true), '')") == "");
}

TEST_CASE("what SET TRANSACTION leaves behind in pg_settings is nobody's setting") {
    const Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    Cluster::shared().connect("app").run("CREATE TABLE set_tx (n int)");
    const auto other = [&](const std::string& option) {
        return RawClient::login(p.port(), "app", "app", {{"options", "-c " + option}});
    };
    for (const char* change :
         {"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET TRANSACTION READ ONLY",
          "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
          "SET transaction_read_only = on",
          "SELECT set_config('transaction_read_only', 'on', true)",
          "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"}) {
        INFO(change);
        auto a = RawClient::login(p.port()), b = RawClient::login(p.port());
        for (const auto& sql : {std::string("BEGIN"), std::string(change), std::string("SELECT 1"),
                                std::string("COMMIT")})
            value_of(a, sql);
        value_of(b, "SET work_mem = '21MB'");
        CHECK(value_of(b, "SELECT 1") == "1");
        for (const char* option :
             {"default_transaction_isolation=serializable", "default_transaction_read_only=on",
              "default_transaction_deferrable=on", "transaction_read_only=on"}) {
            auto c = other(option);
            CHECK(value_of(c, "SELECT 1") == "1");
            CHECK(value_of(b, "SELECT 2") == "2");
            CHECK(value_of(b, "INSERT INTO set_tx VALUES (1)").empty());
            CHECK(value_of(b, "SHOW transaction_isolation") == "read committed");
            CHECK(value_of(b, "SHOW work_mem") == "21MB");
            CHECK(value_of(a, "SELECT 3") == "3");
        }
    }
}
