// What statements are described as, answered without a server: what drivers ask for before they
// run a statement for the first time. Every answer is compared with PostgreSQL's own.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

const std::string kCache = "{exclusive_writer: true, catalog_poll: 100ms}";

/// One server connection, which a test may take away to see that nothing else is used.
Proxy& proxy() {
    static Proxy p(
        Cluster::shared(),
        {{{"cache", kCache}, {"pool", "{min_size: 0, max_size: 1, wait_timeout: 1s}"}}, {}, {}, 0});
    return p;
}

RawClient login() { return RawClient::login(proxy().port(), "app", "app"); }
RawClient direct_login() { return RawClient::login(Cluster::shared().port()); }

void setup(const std::string& sql) { must_run(login(), sql); }

std::string description(const std::string& sql, const std::string& name = "",
                        const std::vector<std::uint32_t>& types = {}) {
    return msg::parse(name, sql, types) + msg::describe('S', name);
}

bool hits(RawClient& c, const std::string& bytes) {
    return hits_of(proxy(), [&] { c.ask(bytes); }) == 1;
}

/// True once the batch is answered from the cache.
bool becomes_known(RawClient& c, const std::string& bytes) {
    return eventually([&] { return hits(c, bytes); }, Seconds(10));
}

/// Of errors what they say counts, not where in PostgreSQL's code they come from.
bool same(const Messages& a, const Messages& b) {
    const auto x = error_of(a), y = error_of(b);
    if (x.sqlstate.empty()) return a == b;
    return types(a) == types(b) && x.sqlstate == y.sqlstate && x.message == y.message;
}

/// Twice, since the second may be a hit.
void check_same(RawClient& c, RawClient& direct, const std::string& bytes,
                const std::string& what) {
    for (int i = 0; i < 2; ++i) CHECK_MESSAGE(same(c.ask(bytes), direct.ask(bytes)), what);
}

}  // namespace

TEST_CASE("F1: what drivers ask before a first execution needs no server, and is PostgreSQL's") {
    setup(
        "CREATE DOMAIN short AS varchar(7); CREATE TABLE described AS SELECT n, ('x' || n)::short "
        "AS t, n::numeric(9, 2) AS m FROM generate_series(1, 20) n");
    const std::string sql = "SELECT d.*, $2::text AS p, 7 AS seven FROM described d WHERE n = $1";
    const std::vector<std::string> batches = {
        description(sql, "a") + msg::sync(),
        msg::describe('S', "a") + msg::sync(),
        msg::bind("", "a", {"3", "x"}) + msg::execute() + msg::sync(),
        description(sql, "b", {20, 25}) + msg::bind("", "b", {"4", "y"}, 1) +
            msg::describe('P', "") + msg::execute() + msg::sync(),
        description(sql) + msg::sync(),
        msg::bind("", "", {"5", "z"}) + msg::describe('P', "") + msg::execute() + msg::sync(),
        description(sql, "c") + description("SELECT m FROM described", "d") + msg::sync(),
        msg::unnamed("BEGIN") + description(sql) + msg::sync(),
        msg::describe('S', "c") + msg::sync(),
        msg::query("COMMIT"),
    };
    std::string close;
    for (const char* name : {"a", "b", "c", "d"}) close += msg::close('S', name);
    close += msg::sync();
    auto c = login(), holder = login(), direct = direct_login();
    REQUIRE(becomes_known(c, description(sql) + msg::sync()));
    for (int round = 0; round < 2; ++round) {
        // What of it was not stored yet is after the first round; then nobody has a server.
        if (round == 1) ask(holder, "BEGIN"), ask(holder, "SELECT 1, now()");
        for (const auto& bytes : batches) CHECK(c.ask(bytes) == direct.ask(bytes));
        const auto flushed = [&](RawClient& client) {
            client.send(description(sql) + msg::flush());
            auto all = client.read_until('T');
            const auto rest =
                client.ask(msg::bind("", "", {"3", "x"}) + msg::execute() + msg::sync());
            all.insert(all.end(), rest.begin(), rest.end());
            return all;
        };
        CHECK(flushed(c) == flushed(direct));
        CHECK(types(c.ask(close)) == "3333Z");
        direct.ask(close);
    }
    ask(holder, "COMMIT");
    // Rows come and go; what the statement is described as stays.
    setup("UPDATE described SET n = n + 1");
    CHECK(hits(c, description(sql) + msg::sync()));
}

TEST_CASE("C14, D14, F4: a description follows every change of what names mean") {
    setup(
        "CREATE TABLE des (n int, v int); CREATE VIEW des_view AS SELECT n, v FROM des; "
        "CREATE FUNCTION des_widen() RETURNS void LANGUAGE plpgsql AS "
        "$$ BEGIN EXECUTE 'ALTER TABLE des ALTER n TYPE numeric(5, 1)'; END $$; "
        "CREATE SCHEMA des_s; CREATE TABLE des_s.des (other text)");
    auto c = login(), direct = direct_login();
    const std::vector<std::string> texts = {"SELECT * FROM des", "SELECT n FROM des WHERE v = $1",
                                            "SELECT * FROM des_view WHERE v > $1"};
    const auto all_known = [&] {
        for (const auto& sql : texts) {
            const auto wanted = direct.ask(description(sql) + msg::sync());
            if (!error_of(wanted).sqlstate.empty()) continue;
            REQUIRE_MESSAGE(becomes_known(c, description(sql) + msg::sync()), sql);
            CHECK_MESSAGE(c.ask(description(sql) + msg::sync()) == wanted, sql);
        }
    };
    for (const char* change :
         {"ALTER TABLE des ADD COLUMN extra text", "ALTER TABLE des RENAME COLUMN extra TO more",
          "DROP VIEW des_view; ALTER TABLE des ALTER v TYPE bigint",
          "CREATE VIEW des_view AS SELECT v, 'x'::char(3) AS c FROM des",
          "DROP VIEW des_view; CREATE VIEW des_view AS SELECT v AS renamed, v FROM des",
          "DROP VIEW des_view; SELECT des_widen()", "ALTER TABLE des RENAME TO des_gone",
          "CREATE TABLE des AS SELECT 'new' AS v", "DROP TABLE des"}) {
        all_known();
        setup(change);
        for (const auto& sql : texts) check_same(c, direct, description(sql) + msg::sync(), change);
    }
    setup("CREATE TABLE des AS SELECT 1 AS n, 2 AS v");
    all_known();
    const auto star = description(texts[0]) + msg::sync();
    const auto before = direct.ask(star);
    auto other = login();
    // What only one session sees: its transaction's changes, its path, its temporary tables.
    ask(c, "BEGIN");
    ask(c, "ALTER TABLE des ADD COLUMN mine int");
    CHECK(c.ask(star) != before);
    ask(c, "ROLLBACK");
    for (int i = 0; i < 2; ++i) CHECK(c.ask(star) == before);
    REQUIRE(becomes_known(c, star));
    ask(c, "SET search_path = des_s");
    ask(direct, "SET search_path = des_s");
    check_same(c, direct, star, "another path");
    CHECK(other.ask(star) == before);
    ask(c, "RESET search_path");
    ask(direct, "RESET search_path");
    check_same(c, direct, star, "the first path");
    setup("CREATE SCHEMA app; CREATE TABLE app.des AS SELECT 'shadow' AS s");
    auto app = RawClient::login(Cluster::shared().port(), "app", "app");
    check_same(c, app, star, "a schema in front");
    setup("DROP SCHEMA app CASCADE");
    REQUIRE(becomes_known(c, star));
    ask(c, "CREATE TEMP TABLE des AS SELECT 'x' AS temporary");
    CHECK(c.ask(star) != before);
    ask(c, "DROP TABLE pg_temp.des");
    CHECK(other.ask(star) == before);
    // From elsewhere it counts when the catalog has been read again.
    REQUIRE(becomes_known(c, star));
    ask(direct, "ALTER TABLE des ADD COLUMN elsewhere int");
    CHECK(eventually([&] { return c.ask(star) == direct.ask(star); }));
    check_same(c, direct, star, "from elsewhere");
}

TEST_CASE("F4: a statement parsed before a change is not described as one parsed after it") {
    setup("CREATE TABLE old_t (n int, v int)");
    const std::string sql = "SELECT n FROM old_t WHERE v = $1";
    auto c = login(), other = login(), direct = direct_login();
    const auto old = msg::describe('S', "old") + msg::sync();
    REQUIRE(becomes_known(other, description(sql) + msg::sync()));
    c.ask(description(sql, "old") + msg::sync());
    CHECK(hits(c, old));
    setup("ALTER TABLE old_t ALTER v TYPE bigint");
    REQUIRE(becomes_known(other, description(sql) + msg::sync()));
    CHECK_FALSE(hits(c, old));
    // From there on it is one parsed after it.
    check_same(c, direct, description(sql, "new") + msg::sync(), "one parsed after it");
    CHECK(c.ask(old) == c.ask(msg::describe('S', "new") + msg::sync()));
}

TEST_CASE("F4: a statement parsed under other settings is not described for those of now") {
    setup(
        "CREATE SCHEMA des_one; CREATE TABLE des_one.typed (n int); CREATE SCHEMA des_two; CREATE "
        "TABLE des_two.typed (n bigint)");
    const std::string sql = "SELECT 1 FROM typed WHERE n = $1";
    auto c = login(), other = login(), direct = direct_login();
    for (auto* each : {&c, &direct}) ask(*each, "SET search_path = des_one");
    REQUIRE(becomes_known(c, description("SELECT n FROM typed") + msg::sync()));
    c.ask(msg::parse("s", sql) + msg::sync());
    ask(c, "SET search_path = des_two");
    for (int i = 0; i < 2; ++i) c.ask(msg::describe('S', "s") + msg::sync());
    for (auto* each : {&other, &direct}) ask(*each, "SET search_path = des_two");
    check_same(other, direct, description(sql) + msg::sync(), "parsed under the settings of now");
    // Nor is what is stored by now for those the statement was parsed under.
    REQUIRE(becomes_known(other, description(sql) + msg::sync()));
    CHECK(other.ask(description(sql) + msg::sync()) == direct.ask(description(sql) + msg::sync()));
}

TEST_CASE("F4: what is stored of a statement rests on a Parse that was sent for it") {
    setup("CREATE TABLE rests_t (n int, v int)");
    const std::string sql = "SELECT n FROM rests_t WHERE v = $1";
    auto c = login();
    REQUIRE(becomes_known(c, description("SELECT v FROM rests_t") + msg::sync()));
    c.ask(msg::parse("p", sql) + msg::sync());
    for (int i = 0; i < 3; ++i) CHECK_FALSE(hits(c, msg::describe('S', "p") + msg::sync()));
    for (const char* name : {"q", "r", "s"})
        CHECK_FALSE(hits(c, description(sql, name) + msg::sync()));
    CHECK_FALSE(hits(c, description(sql) + msg::sync()));
    CHECK(hits(c, msg::describe('S', "p") + msg::sync()));
}

TEST_CASE("a Parse that nothing vouches for goes to the server, whatever is known beside it") {
    setup("CREATE TABLE vouched_t (n int)");
    const std::string sql = "SELECT n FROM vouched_t", unused = "SELECT n + 1 FROM vouched_t";
    auto c = login(), holder = login(), direct = direct_login();
    REQUIRE(becomes_known(c, description(sql) + msg::sync()));
    check_same(c, direct, msg::parse("p1", "SELEC nonsense") + description(sql, "p2") + msg::sync(),
               "a named one that is wrong");
    check_same(c, direct, msg::parse("", "SELEC nonsense") + description(sql) + msg::sync(),
               "the unnamed one that is replaced");
    check_same(c, direct, description(sql) + msg::parse("", "SELEC nonsense") + msg::sync(),
               "the unnamed one that replaces");
    check_same(
        c, direct,
        msg::parse("p1", "SELEC nonsense") + msg::close('S', "p1") + description(sql) + msg::sync(),
        "one that is closed again");
    c.ask(msg::parse("p3", unused) + msg::sync());
    ask(holder, "BEGIN"), ask(holder, "SELECT 1, now()");
    CHECK(types(c.ask(msg::parse("p4", unused) + description(sql) + msg::sync())) == "11tTZ");
    ask(holder, "COMMIT");
}

TEST_CASE("what fails or does more is not described from the cache") {
    setup("CREATE TABLE more_t (n int)");
    const std::string sql = "SELECT * FROM more_t";
    auto c = login(), direct = direct_login();
    REQUIRE(becomes_known(c, description(sql) + msg::sync()));
    check_same(c, direct, description(sql, "taken") + msg::sync(), "a name that is taken");
    check_same(c, direct, msg::describe('S', "nobody") + msg::sync(), "an unknown name");
    check_same(c, direct, description("SELECT nothing FROM more_t") + msg::sync(), "an error");
    for (auto* each : {&c, &direct}) ask(*each, "PREPARE by_sql AS SELECT 1");
    check_same(c, direct, description(sql, "by_sql") + msg::sync(), "a name taken by SQL");
    check_same(c, direct, description("INSERT INTO more_t VALUES ($1)") + msg::sync(), "a write");
    for (auto* each : {&c, &direct}) ask(*each, "BEGIN"), ask(*each, "SELECT 1 / 0");
    check_same(c, direct, description(sql) + msg::sync(), "a failed transaction");
    for (auto* each : {&c, &direct}) ask(*each, "ROLLBACK");
    // Behind DDL of the same batch, and stored neither.
    const auto altering = msg::unnamed("ALTER TABLE more_t ADD COLUMN IF NOT EXISTS m int") +
                          description(sql) + msg::sync();
    const auto altered = c.ask(altering);
    CHECK(bodies(altered, 'T') == bodies(direct.ask(description(sql) + msg::sync()), 'T'));
    check_same(c, direct, description(sql) + msg::sync(), "after it");
    // Between Bind and Execute.
    check_same(c, direct,
               msg::parse("", sql) + msg::bind("", "") + msg::describe('S', "") + msg::execute() +
                   msg::sync(),
               "in the middle");
}

TEST_CASE("what drivers close ahead of the next statement does not keep that from the cache") {
    setup("CREATE TABLE closing_t AS SELECT n, n * 10 AS v FROM generate_series(1, 9) n");
    const std::string sql = "SELECT v FROM closing_t WHERE n = $1";
    auto c = login(), holder = login(), direct = direct_login();
    const auto run = [](const std::string& name) {
        return msg::bind("", name, {"3"}) + msg::execute();
    };
    const std::vector<std::string> batches = {
        msg::close('S', "none") + description(sql, "a") + run("a") + msg::sync(),
        msg::close('S', "a") + msg::close('S', "") + msg::parse("b", sql) + run("b") + msg::sync(),
        msg::close('S', "b") + description(sql, "b") + run("b") + msg::close('P', "") +
            msg::close('S', "b") + msg::parse("b", sql) + run("b") + msg::sync(),
        description(sql) + run("") + msg::close('S', "") + msg::sync(),
        description(sql) + msg::close('S', "b") + msg::sync(),
    };
    REQUIRE(becomes_known(c, description(sql) + msg::sync()));
    for (int round = 0; round < 2; ++round) {
        if (round == 1) ask(holder, "BEGIN"), ask(holder, "SELECT 1, now()");
        for (const auto& bytes : batches) CHECK(c.ask(bytes) == direct.ask(bytes));
    }
    ask(holder, "COMMIT");
    for (const char* closed : {"a", "b"})
        check_same(c, direct, run(closed) + msg::sync(), "a closed statement");
    for (auto* each : {&c, &direct}) each->ask(description(sql, "x") + msg::sync());
    check_same(c, direct, msg::close('S', "x") + run("x") + msg::sync(), "closed in its batch");
    // What SQL has made under a name goes with it, too.
    for (auto* each : {&c, &direct}) ask(*each, "PREPARE y AS SELECT 1");
    check_same(c, direct, msg::close('S', "y") + msg::sync(), "made by SQL");
    check_same(c, direct, description(sql, "y") + msg::close('S', "y") + msg::sync(), "anew");
    CHECK(ask(c, "EXECUTE y").substr(0, 5) == ask(direct, "EXECUTE y").substr(0, 5));
    // Between Bind and Execute.
    check_same(c, direct,
               msg::parse("m", sql) + msg::bind("", "m", {"3"}) + msg::close('S', "m") +
                   msg::execute() + msg::sync(),
               "in the middle");
}

TEST_CASE("verify_ratio has descriptions compared with the server's") {
    Proxy p(
        Cluster::shared(),
        {{{"cache", "{exclusive_writer: true, verify_ratio: 1, catalog_poll: 100ms}"}}, {}, {}, 0});
    setup("CREATE TABLE verified_t (n int)");
    auto c = RawClient::login(p.port(), "app", "app"), direct = direct_login();
    const auto bytes = description("SELECT n FROM verified_t WHERE n = $1") + msg::sync();
    CHECK(eventually([&] {
        CHECK(c.ask(bytes) == direct.ask(bytes));
        return p.cache_counter("verified") > 0;
    }));
    CHECK(p.cache_counter("mismatches") == 0);
}

TEST_CASE("with a change stream descriptions are stamped as answers are, and follow it") {
    Proxy p(Cluster::shared(),
            {{{"cache", "{max_staleness: 200ms, catalog_poll: 100ms}"}}, {}, {}, 0});
    setup("CREATE TABLE streamed_t (n int, v int)");
    auto c = RawClient::login(p.port(), "app", "app"), direct = direct_login();
    const std::string sql = "SELECT n FROM streamed_t WHERE v = $1";
    const auto first = description(sql) + msg::sync();
    const auto run = description(sql, "s") + msg::bind("", "s", {"1"}) + msg::execute() +
                     msg::close('S', "s") + msg::sync();
    const auto follows = [&] {
        return eventually(
            [&] {
                const bool right = c.ask(first) == direct.ask(first);
                return hits_of(p, [&] { c.ask(first); }) == 1 && right;
            },
            Seconds(10));
    };
    CHECK(follows());
    ask(direct, "INSERT INTO streamed_t VALUES (1, 1)");
    CHECK(follows());
    check_same(c, direct, run, "described and run");
    ask(direct, "ALTER TABLE streamed_t ALTER n TYPE text");
    CHECK(follows());
    check_same(c, direct, first, "after it");
}
