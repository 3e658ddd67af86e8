// What the code of a DO block is taken for.
#include <doctest/doctest.h>

#include "fixture.hpp"
#include "pgweir/query/body_words.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;

TEST_CASE("a DO block has the catalog read again only where its code may run DDL") {
    Catalog calm = Builder().take();
    calm.code_may_define = false;
    for (auto& [schema, relations] : calm.relations)
        for (auto& [relation_name, r] : relations) r.reading_may_define = relation_name == "v";
    const ResolveContext context{.search_path = {"public"}, .catalog = &calm};
    const auto defines = [&](const std::string& sql) { return judge(sql, context)->may_define; };
    for (const std::string sql :
         {"DO $$BEGIN UPDATE t SET a = 1; END$$", "DO 'BEGIN END'",
          "do language plpgsql $x$declare n int; begin select a into n from app.t; commit; end$x$",
          "DO $$BEGIN PERFORM only_rows(1), upper('CREATE'); /* ALTER */ TRUNCATE t CASCADE; "
          "END$$"}) {
        CAPTURE(sql);
        const auto v = judge(sql, context);
        CHECK_FALSE(v->may_define);
        // What it writes is not known, and may be committed in between; another text of the same
        // shape may do anything.
        CHECK(v->writes == Writes::database);
        CHECK(v->may_end_transaction);
        CHECK(v->literal_dependent);
        CHECK(name(v->pin) == "do_block");
    }
    for (const std::string sql :
         {"DO $$BEGIN SELECT oid INTO n FROM pg_authid; UPDATE t SET a = n; END$$",
          "DO $$BEGIN INSERT INTO t SELECT oid FROM pg_authid; END$$",
          "DO $$BEGIN DELETE FROM public.t; SELECT oid INTO n FROM pg_authid; END$$"})
        CHECK_MESSAGE(!defines(sql), sql);
    for (const std::string sql :
         {"DO $$BEGIN CREATE TABLE n (a int); END$$", "DO $$BEGIN EXECUTE 'select 1'; END$$",
          "DO $$BEGIN alter table t add x int; END$$", "DO $$BEGIN GRANT a TO b; END$$",
          "DO $$BEGIN REFRESH MATERIALIZED VIEW m; END$$", "DO $$BEGIN CALL p(); END$$",
          "DO $$BEGIN PERFORM own_writer(); END$$", "DO $$BEGIN PERFORM \"own_writer\"(); END$$",
          "DO $$BEGIN PERFORM query_to_xml('x', true, true, ''); END$$",
          "DO $$BEGIN PERFORM * FROM v; END$$", "DO $$BEGIN PERFORM 'open; END$$",
          "DO $$BEGIN DO 'x'; END$$", "DO $$BEGIN PERFORM gr\xc3\xbc\xc3\x9f(); END$$", "DO ''",
          "DO $$BEGIN END$$ LANGUAGE plperl", "DO LANGUAGE sql 'select 1'",
          "DO 'BEGIN EXECUTE ''x''; END'", "DO E'BEGIN \\x45XECUTE f; END'",
          "DO $$BEGIN END$$; DO $$BEGIN DROP TABLE t; END$$"})
        CHECK_MESSAGE(defines(sql), sql);
    // What is temporary is not in the catalog.
    CHECK(defines("DO $$BEGIN PERFORM * FROM pg_temp.view; END$$"));
    CHECK(defines("DO $$BEGIN PERFORM * FROM pg_temp_3.view; END$$"));
    auto anywhere = context;
    anywhere.scope = NameScope::anywhere;
    CHECK(judge("DO $$BEGIN PERFORM a FROM t; END$$", anywhere)->may_define);
    // Too long to be parsed whole, so the code is not looked at.
    const std::string filler(std::size_t{70} * 1024, 'x');
    CHECK(defines("DO $$BEGIN PERFORM '" + filler + "'; END$$"));
    calm.code_may_define = true;
    CHECK(defines("DO 'BEGIN END'"));
    CHECK(judge("DO 'BEGIN END'", {})->may_define);
}

TEST_CASE("what may change roles, or is not known not to, counts for every database") {
    const auto check_writes = [](Writes writes, std::initializer_list<const char*> texts) {
        for (const std::string sql : texts) {
            CAPTURE(sql);
            CHECK(static_cast<int>(judged(sql).writes) == static_cast<int>(writes));
            CHECK(judged(sql).may_define);
        }
    };
    check_writes(Writes::all_databases,
                 {"SELECT own_granter()",
                  "INSERT INTO t VALUES (own_granter())",
                  "CALL own_granter()",
                  "SELECT t.own_granter FROM t",
                  "SELECT pg_temp.f()",
                  "DELETE FROM t WHERE a ==> 1",
                  "SELECT query_to_xml('x', true, true, '')",
                  "DO $$BEGIN REVOKE a FROM b; END$$",
                  "DO $$BEGIN DROP OWNED BY a; END$$",
                  "DO $$BEGIN EXECUTE 'x'; END$$",
                  "DO $$BEGIN PERFORM own_granter(); END$$",
                  "DO LANGUAGE plperl 'x'",
                  "REVOKE INHERIT OPTION FOR a FROM b",
                  "nonsense; drop ROLE a",
                  "nonsense; DELETE FROM pg_authid",
                  "nonsense; SELECT own_granter()",
                  "EXECUTE s(1)",
                  "EXPLAIN ANALYZE EXECUTE s",
                  "CREATE TABLE n AS EXECUTE s",
                  "CREATE EXTENSION x",
                  "ALTER EXTENSION x UPDATE",
                  "UPDATE pg_authid SET rolsuper = true",
                  "nonsense; DO 'x'",
                  "SELECT pg_new_in_19()",
                  "DELETE FROM pg_class",
                  "DO $$BEGIN DELETE FROM pg_authid; END$$",
                  "DO $$BEGIN truncate t, pg_authid; END$$",
                  "DO $$BEGIN DELETE FROM db.pg_catalog.pg_authid; END$$",
                  "DO $$BEGIN UPDATE \"d b\".pg_catalog.pg_authid SET a = 1; "
                  "END$$",
                  "DO $$BEGIN DELETE FROM d.information_schema.x; END$$",
                  "DO 'BEGIN DELETE FROM ONLY pg_catalog.\"pg_authid\"; "
                  "END'",
                  "DO $$BEGIN UPDATE pg_authid SET a = 1; END$$",
                  "DO $$BEGIN DELETE FROM information_schema.x; END$$",
                  "DO $$BEGIN UPDATE over_system SET a = 1; END$$",
                  "SELECT * FROM ts_stat('select 1')",
                  "SELECT own_granter() FROM JSON_TABLE(1)"});
    check_writes(
        Writes::database,
        {"DO $$BEGIN DROP TABLE t; END$$", "nonsense", "CALL p()",
         "nonsense; SELECT 1 GROUP BY user", "SELECT own_writer() FROM JSON_TABLE(1)",
         "UPDATE pg_settings SET setting = '0'", "DO $$BEGIN PERFORM own_writer(); END$$"});
    CHECK(judge("SELECT own_writer()", {})->writes == Writes::database);
    CHECK(judge("DO 'BEGIN REVOKE a FROM b; END'", {})->writes == Writes::all_databases);
}

TEST_CASE("DDL runs functions and event triggers, which may change roles") {
    Catalog risky = Builder().take();
    const ResolveContext context{.search_path = {"public"}, .catalog = &risky};
    const auto check_all = [&](bool all, std::initializer_list<const char*> texts) {
        for (const std::string sql : texts)
            CHECK_MESSAGE((judge(sql, context)->writes == Writes::all_databases) == all, sql);
    };
    const auto runs = {"ALTER TABLE t ADD b int DEFAULT own_constant()",
                       "ALTER DOMAIN d ADD CHECK (true)",
                       "REFRESH MATERIALIZED VIEW mv",
                       "CREATE INDEX ON t (own_constant(a))",
                       "REINDEX TABLE t",
                       "CLUSTER",
                       "CREATE TABLE p PARTITION OF parted FOR VALUES IN (own_constant())",
                       "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()",
                       "CREATE VIEW x AS SELECT own_constant()",
                       "SELECT 1; ALTER TABLE t ADD b int"};
    const auto runs_none = {"CREATE TABLE n (a int)", "CREATE TEMP TABLE n (a int)",
                            "DROP TABLE t",           "CREATE TABLE n AS SELECT 1",
                            "SELECT 1 INTO n",        "GRANT SELECT ON t TO bob",
                            "SELECT own_writer()",    "DO $$BEGIN DROP TABLE t; END$$"};
    check_all(false, runs);
    check_all(false, runs_none);
    risky.functions_define_shared = true;
    check_all(true, runs);
    check_all(true, {"ALTER nonsense"});
    check_all(false, runs_none);
    CHECK(may_define_shared("REFRESH MATERIALIZED VIEW mv", &risky));
    risky.functions_define_shared = false;
    risky.ddl_defines_shared = true;
    check_all(true, runs);
    check_all(true, runs_none);
    CHECK(may_define_shared("CREATE TABLE n (a int)", &risky));
    check_all(false, {"SELECT * FROM t", "UPDATE t SET a = 1", "SELECT only_rows(1)"});
    for (const std::string sql : runs)
        CHECK_MESSAGE(judge(sql, {})->writes == Writes::all_databases, sql);
    CHECK(judge("CREATE TABLE n (a int)", {})->writes == Writes::database);
}

TEST_CASE("a new function may change roles before any catalog shows it") {
    const std::string create = "CREATE FUNCTION f() RETURNS int LANGUAGE ";
    for (const std::string sql :
         {"plpgsql AS 'BEGIN REVOKE a FROM b; END'", "plpgsql AS 'BEGIN EXECUTE x; END'",
          "sql AS 'SELECT own_granter()'", "'SQL' AS 'DROP ROLE a'", "c AS 'lib', 'f'",
          "plperl AS 'x'", "sql BEGIN ATOMIC SELECT 1; END"})
        CHECK_MESSAGE(judged(create + sql).writes == Writes::all_databases, sql);
    for (const std::string sql :
         {"plpgsql AS 'BEGIN UPDATE t SET a = 1; END'", "sql AS 'SELECT 1'",
          "sql STABLE AS 'SELECT a FROM t'", "'sql' AS $$CREATE TABLE n (a int)$$"})
        CHECK_MESSAGE(judged(create + sql).writes == Writes::database, sql);
}

TEST_CASE("upkeep of all tables runs what these have at them") {
    Catalog calm = Builder().take();
    const ResolveContext context{.search_path = {"public"}, .catalog = &calm};
    const auto writes = [&](const char* sql) { return judge(sql, context)->writes; };
    auto& guarded = calm.relations[kPublic].find("guarded")->second;
    CHECK(writes("VACUUM") == Writes::database);
    guarded.reading_may_write = false;
    for (const auto* sql : {"VACUUM", "ANALYZE", "VACUUM (ANALYZE)"})
        CHECK(writes(sql) == Writes::nothing);
    guarded.reading_may_write = guarded.reading_may_define_shared = true;
    CHECK(writes("ANALYZE") == Writes::all_databases);
    CHECK(judge("VACUUM", {})->writes == Writes::all_databases);
    auto anywhere = context;
    anywhere.scope = NameScope::anywhere;  // behind a temporary table
    guarded.reading_may_write = false;
    CHECK(judge("VACUUM", anywhere)->writes == Writes::database);
}

TEST_CASE("planning a write runs what rules and defaults compute, which may change roles") {
    Catalog calm = Builder().take();
    const ResolveContext context{.search_path = {"public"}, .catalog = &calm};
    const auto writes = [&](const char* sql) { return judge(sql, context)->writes; };
    auto& ruled = calm.relations[kPublic].find("ruled")->second;
    const auto* plans = "EXPLAIN INSERT INTO ruled VALUES (1)";
    CHECK(writes(plans) == Writes::database);
    ruled.writing_defines = ruled.writing_defines_shared = true;
    CHECK(writes(plans) == Writes::all_databases);
}

TEST_CASE(
    "a text of which only the words are known may change roles by them, and by what they name") {
    Catalog odd = Builder().take();
    const auto shared = [&](std::string_view text) { return may_define_shared(text, &odd); };
    for (const auto* text :
         {"SELECT 'a\\'', own_granter() --'", "select OWN_GRANTER()", "Alter User x", "DO 'x'",
          "CREATE/**/ROLE x", "x; revoke a from b", "'; drop owned by a", "do/**/update",
          "EXECUTE x", "ON CONFLICT DO", "CALL p()", "DELETE FROM pg_authid",
          "UPDATE over_system SET a = 1", "SELECT query_to_xml('x')", "SELECT pg_temp.f()",
          "SELECT U&\"x\"()", "DELETE FROM information_schema.x"})
        CHECK_MESSAGE(shared(text), std::string(text));
    const std::string quoted = "SELECT \"a\", 'b' FROM \"Odd Name\" GROUP BY \"a\"";
    const auto harmless = {"SELECT count(*) FROM t GROUP BY a",
                           "SELECT user, current_user FROM t",
                           "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
                           "INSERT INTO t VALUES (1) ON CONFLICT (a) DO\nUPDATE SET a = 1",
                           "SELECT oid FROM pg_authid",
                           "SELECT own_writer()",
                           "CREATE TABLE n (a int)",
                           "ALTER TABLE t ADD a int",
                           "SET ROLE a"};
    for (const auto* text : harmless) CHECK_MESSAGE(!shared(text), std::string(text));
    CHECK(!shared(quoted));
    odd.functions["own granter"] = odd.functions["own_granter"];
    CHECK(shared(quoted));
    for (const auto* text : harmless) CHECK_MESSAGE(!shared(text), std::string(text));
    odd.code_may_define_shared = true;
    CHECK(shared("UPDATE wide SET a = 1"));
    CHECK(!shared("UPDATE t SET a = 1"));
    CHECK(!shared("SELECT * FROM wide"));
    CHECK(!may_define_shared("SELECT own_granter()", nullptr));
}
