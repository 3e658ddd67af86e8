// What counts in every database of a server: roles, logins, the system's own tables, and what of a
// text that is not understood may be about them.
#include <doctest/doctest.h>

#include <functional>
#include <utility>

#include "pgweir/base/bytes.hpp"
#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    return p;
}

void setup(const std::string& sql) { must_run(RawClient::login(proxy().port()), sql); }

/// A table in another database that `member` may read while it is one of the readers.
void make_elsewhere() {
    static bool made = false;
    if (std::exchange(made, true)) return;
    auto admin = Cluster::shared().connect("postgres", "postgres");
    for (const char* sql : {"CREATE DATABASE elsewhere OWNER app", "CREATE ROLE readers",
                            "CREATE ROLE member LOGIN", "GRANT readers TO app WITH ADMIN OPTION"})
        admin.run(sql);
    Cluster::shared()
        .connect("app", "elsewhere")
        .run("CREATE TABLE kept_secret AS SELECT 1 AS n; GRANT SELECT ON kept_secret TO readers");
    setup(
        "CREATE TABLE revoking (n int); CREATE FUNCTION revokes() RETURNS int LANGUAGE plpgsql AS "
        "'BEGIN REVOKE readers FROM member; RETURN 1; END'; CREATE PROCEDURE revoke() LANGUAGE "
        "plpgsql AS 'BEGIN PERFORM revokes(); END'; CREATE FUNCTION on_insert() RETURNS trigger "
        "LANGUAGE plpgsql AS 'BEGIN CALL revoke(); RETURN NULL; END'");
}

ProxyOptions of_both(const Cluster& cluster = Cluster::shared(), const std::string& one = "app") {
    const auto server = "{host: 127.0.0.1, port: " + std::to_string(cluster.port()) + "}";
    return {{{"cache", "{exclusive_writer: true, catalog_poll: 1s}"},
             {"databases", "{" + one + ": " + server + ", elsewhere: " + server + "}"}},
            {},
            {},
            0};
}

bool hits_elsewhere(Proxy& p, RawClient& reader) {
    const auto before = p.cache_counter("hits", "elsewhere");
    ask(reader, "SELECT n FROM kept_secret");
    return p.cache_counter("hits", "elsewhere") > before;
}

/// `how` takes the reader's role away: no answer that is kept for it is given any more.
void check_revoked(Proxy& p, RawClient& boss, const std::function<void()>& how,
                   const std::string& what) {
    auto member = RawClient::login(p.port(), "member", "elsewhere");
    auto other = RawClient::login(p.port(), "app", "app");
    ask(boss, "GRANT readers TO member");
    REQUIRE(eventually([&] { return hits_elsewhere(p, member); }, Seconds(20)));
    REQUIRE(becomes_cached(p, other, "SELECT count(*) FROM revoking"));  // as is its catalog
    how();
    CHECK_MESSAGE(ask(member, "SELECT n FROM kept_secret").starts_with("42501"), what);
}

void check_revoked(Proxy& p, RawClient& boss, const std::string& how) {
    check_revoked(
        p, boss, [&] { CHECK_MESSAGE(error_of(boss.ask(msg::query(how))).sqlstate.empty(), how); },
        how.substr(how.find_first_not_of(' ')));
}
}  // namespace

TEST_CASE("E3: roles that code, or what is not understood, may change count in every database") {
    make_elsewhere();
    setup("CREATE TRIGGER t AFTER INSERT ON revoking FOR EACH ROW EXECUTE FUNCTION on_insert()");
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "app", "app");
    for (const std::string& how :
         {std::string("REVOKE readers FROM member"),
          std::string("DO $$BEGIN REVOKE readers FROM member; END$$"),
          std::string("DO $$BEGIN EXECUTE 'REVOKE readers FROM member'; END$$"),
          std::string("DO $$BEGIN PERFORM revokes(); END$$"), std::string("SELECT revokes()"),
          std::string("CALL revoke()"), std::string("INSERT INTO revoking VALUES (1)"),
          std::string(std::size_t{70} * 1024, ' ') + "REVOKE readers FROM member"})
        check_revoked(p, boss, how);
    setup("DROP TRIGGER t ON revoking");  // behind it any write may be one of roles
}

TEST_CASE("E3: code that writes the system's own tables is DDL, whatever it calls them") {
    make_elsewhere();
    const std::string delete_it = "DELETE FROM ONLY pg_catalog.pg_auth_members";
    const std::string row = " WHERE pg_get_userbyid(member) = 'member'";
    auto admin = Cluster::shared().connect("postgres", "app");
    admin.run(
        "CREATE FUNCTION forgets() RETURNS void LANGUAGE sql AS $$" + delete_it + row +
        "$$; CREATE VIEW members AS SELECT * FROM pg_auth_members; CREATE VIEW over_members "
        "AS SELECT * FROM members; CREATE TABLE ruled_by (n int); CREATE RULE r AS ON INSERT TO "
        "ruled_by DO ALSO DELETE FROM pg_auth_members" +
        row +
        "; CREATE TABLE minded (n int); CREATE FUNCTION on_minded() RETURNS trigger "
        "LANGUAGE plpgsql AS $$BEGIN DELETE FROM over_members" +
        row +
        "; RETURN NULL; END$$; CREATE TRIGGER t AFTER INSERT ON minded FOR EACH ROW EXECUTE "
        "FUNCTION on_minded(); GRANT ALL ON ruled_by, minded TO PUBLIC");
    const std::string by_database = "DELETE FROM app.pg_catalog.pg_auth_members" + row;
    admin.run("CREATE FUNCTION forgets_by_database() RETURNS int LANGUAGE plpgsql AS $$BEGIN " +
              by_database + "; RETURN 1; END$$");
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "postgres", "app");
    for (const auto& how : std::vector<std::string>{
             delete_it + row, "SELECT forgets()", "DO $$BEGIN " + delete_it + row + "; END$$",
             "DO $$BEGIN PERFORM forgets(); END$$", "DELETE FROM members" + row,
             "DELETE FROM over_members" + row,
             "DO $$BEGIN DELETE FROM over_members" + row + "; END$$",
             "INSERT INTO ruled_by VALUES (1)", "DO $$BEGIN INSERT INTO ruled_by VALUES (1); END$$",
             "INSERT INTO minded VALUES (1)", by_database, "DO $$BEGIN " + by_database + "; END$$",
             "SELECT forgets_by_database()"})
        check_revoked(p, boss, how);
}

TEST_CASE("E3: what SQL has prepared, or is called without a text, may change roles") {
    make_elsewhere();
    setup("CREATE FUNCTION revokes(n int) RETURNS int LANGUAGE sql AS 'SELECT revokes()'");
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "app", "app");
    ask(boss, "PREPARE by_sql(int) AS SELECT revokes($1)");
    check_revoked(p, boss, "EXECUTE by_sql(1 + 1)");
    check_revoked(p, boss, "EXPLAIN ANALYZE EXECUTE by_sql(1)");
    check_revoked(
        p, boss,
        [&] {
            CHECK(types(boss.ask(msg::bind("", "by_sql", {"1"}) + msg::execute() + msg::sync())) ==
                  "2DCZ");
        },
        "Bind");
    // Of no formats, no arguments, its result as text.
    std::string call(10, '\0');
    pgweir::base::store_u32(
        call.data(),
        static_cast<std::uint32_t>(std::stoul(ask(boss, "SELECT 'revokes()'::regprocedure::oid"))));
    check_revoked(
        p, boss, [&] { CHECK(types(boss.ask(msg::frame('F', call))) == "VZ"); }, "FunctionCall");
}

TEST_CASE("E3: DDL, upkeep and planning run users' functions, which may change roles") {
    make_elsewhere();
    setup(
        "CREATE FUNCTION revokes_too(n bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "RETURN revokes(); END'; CREATE TABLE worked AS SELECT 1 AS n; CREATE MATERIALIZED VIEW "
        "shown AS SELECT revokes() WITH NO DATA; CREATE TABLE planned (n int); CREATE RULE r AS ON "
        "INSERT TO planned DO ALSO SELECT revokes_too(1); CREATE DOMAIN small AS int; CREATE TABLE "
        "of_small AS SELECT 1::small AS n; CREATE TABLE cut (n int) PARTITION BY LIST (n)");
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "app", "app");
    for (const std::string how :
         {"EXPLAIN INSERT INTO planned VALUES (1)", "CREATE INDEX ON worked (revokes_too(n))",
          "REINDEX TABLE worked", "ANALYZE", "REFRESH MATERIALIZED VIEW shown",
          "ALTER TABLE worked ADD m int DEFAULT revokes()",
          "ALTER TABLE worked ALTER n TYPE bigint USING revokes()",
          "CREATE TABLE one PARTITION OF cut FOR VALUES IN (revokes_too(1))",
          "BEGIN; CREATE FUNCTION late() RETURNS int LANGUAGE plpgsql AS 'BEGIN REVOKE readers "
          "FROM "
          "member; RETURN 1; END'; SELECT late(); COMMIT",
          "ALTER DOMAIN small ADD CHECK (revokes() = VALUE)"})
        check_revoked(p, boss, how);
    setup(
        "DROP TABLE worked, planned, of_small, cut; DROP MATERIALIZED VIEW shown; DROP DOMAIN "
        "small");
}

TEST_CASE("E3: event triggers may change roles behind any DDL, and behind code that runs some") {
    make_elsewhere();
    setup(
        "CREATE FUNCTION makes() RETURNS int LANGUAGE plpgsql AS 'BEGIN CREATE TABLE made_too "
        "(n int); RETURN 1; END'");
    auto admin = Cluster::shared().connect("postgres", "app");
    admin.run(
        "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN REVOKE readers "
        "FROM member; END'; CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN TAG IN "
        "('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') EXECUTE FUNCTION on_ddl()");
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "app", "app");
    for (const std::string how :
         {"CREATE TABLE made (n int)", "SELECT makes()", "SELECT 1 AS n INTO made_by_select",
          "DO 'BEGIN CREATE TABLE made_by_code (n int); END'",
          "CREATE TEMP TABLE made_for_now AS SELECT 1 AS n"})
        check_revoked(p, boss, how);
    admin.run("DROP EVENT TRIGGER on_ddl; DROP FUNCTION on_ddl()");
    setup("DROP TABLE made, made_too, made_by_select, made_by_code; DROP FUNCTION makes()");
}

TEST_CASE("E3: what was prepared may change roles when it is committed") {
    const Cluster cluster(ClusterOptions{{"max_prepared_transactions = 5"}, {}, nullptr});
    auto admin = cluster.connect("postgres", "postgres");
    for (const char* sql :
         {"CREATE DATABASE elsewhere", "CREATE ROLE readers", "CREATE ROLE member LOGIN"})
        admin.run(sql);
    cluster.connect("postgres", "elsewhere")
        .run("CREATE TABLE kept_secret AS SELECT 1 AS n; GRANT SELECT ON kept_secret TO readers");
    admin.run("GRANT readers TO member");
    Proxy p(cluster, of_both(cluster, "postgres"));
    auto boss = RawClient::login(p.port(), "postgres", "postgres");
    auto member = RawClient::login(p.port(), "member", "elsewhere");
    for (const char* sql : {"BEGIN", "REVOKE readers FROM member", "PREPARE TRANSACTION 'x'"})
        CHECK(error_of(boss.ask(msg::query(sql))).sqlstate.empty());
    REQUIRE(eventually([&] { return hits_elsewhere(p, member); }, Seconds(20)));
    CHECK(error_of(boss.ask(msg::query("COMMIT PREPARED 'x'"))).sqlstate.empty());
    CHECK(ask(member, "SELECT n FROM kept_secret").starts_with("42501"));
}

TEST_CASE("C1, C8: what a foreign table leads to counts in every database, whoever writes it") {
    make_elsewhere();
    auto admin = Cluster::shared().connect("postgres", "postgres");
    admin.run("CREATE DATABASE wrapping");
    const auto port = std::to_string(Cluster::shared().port());
    Cluster::shared()
        .connect("postgres", "elsewhere")
        .run("CREATE TABLE counted (n int); GRANT SELECT ON counted TO PUBLIC");
    Cluster::shared()
        .connect("postgres", "wrapping")
        .run(
            "CREATE EXTENSION postgres_fdw; CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw "
            "OPTIONS (host '127.0.0.1', dbname 'elsewhere', port '" +
            port +
            "'); CREATE USER MAPPING FOR postgres SERVER here; CREATE FOREIGN TABLE far (n int) "
            "SERVER here OPTIONS (table_name 'counted'); CREATE TABLE near (n int); CREATE "
            "FUNCTION onwards() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO far VALUES "
            "(1); RETURN NULL; END'; CREATE TRIGGER t AFTER INSERT ON near FOR EACH ROW EXECUTE "
            "FUNCTION onwards(); CREATE FUNCTION sends() RETURNS void LANGUAGE sql AS 'INSERT "
            "INTO far VALUES (1)'; CREATE TABLE ruled (n int); CREATE RULE r AS ON INSERT TO ruled "
            "DO ALSO INSERT INTO far VALUES (1); CREATE TABLE cut (n int) PARTITION BY LIST (n); "
            "CREATE FOREIGN TABLE rest PARTITION OF cut DEFAULT SERVER here OPTIONS (table_name "
            "'counted')");
    Proxy p(Cluster::shared(), of_both(Cluster::shared(), "wrapping"));
    auto boss = RawClient::login(p.port(), "postgres", "wrapping");
    auto reader = RawClient::login(p.port(), "app", "elsewhere");
    const std::string count = "SELECT count(*) FROM counted";
    const auto hits = [&](RawClient& c, const std::string& sql, const std::string& db) {
        return eventually(
            [&] {
                const auto before = p.cache_counter("hits", db);
                ask(c, sql);
                return p.cache_counter("hits", db) > before;
            },
            Seconds(20));
    };
    int rows = 0;
    for (const std::string how :
         {"INSERT INTO far VALUES (1)", "INSERT INTO near VALUES (1)", "SELECT sends()",
          "INSERT INTO ruled VALUES (1)", "INSERT INTO cut VALUES (1)"}) {
        REQUIRE(hits(boss, "SELECT count(*) FROM near", "wrapping"));  // with its catalog
        REQUIRE(hits(reader, count, "elsewhere"));
        CHECK_MESSAGE(error_of(boss.ask(msg::query(how))).sqlstate.empty(), how);
        CHECK_MESSAGE(ask(reader, count) == std::to_string(++rows), how);
    }
}

TEST_CASE("E3: of a text that may hide what it does, what it names and how decides") {
    make_elsewhere();
    Proxy p(Cluster::shared(), of_both());
    auto boss = RawClient::login(p.port(), "app", "app", {{"standard_conforming_strings", "off"}});
    for (const std::string how :
         {"SELECT 'a\\'', revokes() --'", "DO 'BEGIN PERFORM revokes(); END'", "CALL revoke()",
          "REVOKE readers FROM member"})
        check_revoked(p, boss, how);
    auto reader = RawClient::login(p.port(), "app", "elsewhere");
    for (const std::string how :
         {"SELECT n, count(*) FROM revoking GROUP BY n", "SELECT user FROM revoking",
          "INSERT INTO revoking VALUES (1) ON CONFLICT DO NOTHING"}) {
        REQUIRE(eventually([&] { return hits_elsewhere(p, reader); }));
        CHECK(error_of(boss.ask(msg::query(how))).sqlstate.empty());
        CHECK_MESSAGE(hits_elsewhere(p, reader), how);
    }
}

TEST_CASE("what might have changed every database, and has not, ends caching in none of them") {
    const std::string name = "SELECT sum(v) FROM elsewhere";
    auto other = RawClient::login(proxy().port(), "postgres", "postgres");
    ask(other, "CREATE TABLE elsewhere AS SELECT 1 AS v");
    const auto hits = [&] {
        const auto before = proxy().cache_counter("hits", "postgres");
        ask(other, name), ask(other, name), ask(other, name);
        return proxy().cache_counter("hits", "postgres") > before;
    };
    REQUIRE(eventually(hits, Seconds(10)));
    auto admin = RawClient::login(proxy().port(), "postgres");
    admin.ask(msg::query("BEGIN; ALTER ROLE app CONNECTION LIMIT 7; ROLLBACK"));
    CHECK(eventually(hits, Seconds(10)));
    ask(other, "DROP TABLE elsewhere");
}

TEST_CASE("where logins run code that may write, nothing is cached unless a stream tells of it") {
    // No server before 17 has such triggers: this one only looks like it.
    auto admin = Cluster::shared().connect("postgres", "app");
    setup("CREATE TABLE logged AS SELECT 0 AS v");
    auto c = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT v FROM logged"));
    const auto guarantee = [&](const std::string& rung) {
        return eventually(
            [&] {
                const auto shown = proxy().console("SHOW CACHE GUARANTEE");
                for (std::size_t i = 0; i < shown.rows.size(); ++i)
                    if (shown.at(i, "database") == "app") return shown.at(i, "guarantee") == rung;
                return false;
            },
            Seconds(15));
    };
    admin.run(
        "CREATE FUNCTION at_login() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN UPDATE logged "
        "SET v = v + 1; END'; CREATE EVENT TRIGGER at_login ON ddl_command_start EXECUTE FUNCTION "
        "at_login(); SET allow_system_table_mods = on; UPDATE pg_event_trigger SET evtevent = "
        "'login' WHERE evtname = 'at_login'");
    CHECK(guarantee("off"));
    CHECK(hits_of_three(proxy(), c, "SELECT v FROM logged") == 0);
    admin.run("ALTER EVENT TRIGGER at_login DISABLE");
    CHECK(guarantee("in_band"));
    admin.run("ALTER EVENT TRIGGER at_login ENABLE");
    CHECK(guarantee("off"));
    admin.run("DROP EVENT TRIGGER at_login");
    CHECK(guarantee("in_band"));
    CHECK(becomes_cached(proxy(), c, "SELECT v FROM logged"));
}
