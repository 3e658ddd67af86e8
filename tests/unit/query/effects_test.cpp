// What statements write, leave behind and end; what kind they are.
#include <doctest/doctest.h>

#include "fixture.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;

namespace {
struct PinCase {
    const char* sql;
    PinReason pin;
    bool leaves;
};
void check_pins(std::initializer_list<PinCase> cases) {
    for (const PinCase& c : cases) {
        const std::string text = c.sql;
        CAPTURE(text);
        const Verdict v = judged(c.sql);
        CHECK(name(v.pin) == name(c.pin));
        CHECK(v.may_leave_state == c.leaves);
    }
}
void check_writes(Writes writes, std::initializer_list<const char*> texts) {
    for (const char* sql : texts) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK(static_cast<int>(judged(sql).writes) == static_cast<int>(writes));
    }
}
void check_written(const char* sql, std::vector<Oid> oids) {
    const std::string text = sql;
    CAPTURE(text);
    const Verdict v = judged(sql);
    CHECK(v.writes == Writes::relations);
    CHECK(v.written == oids);
    CHECK(v.not_cached != NotCached::none);
    CHECK_FALSE(v.may_end_transaction);
}
void check_kind(Kind kind, std::initializer_list<const char*> texts) {
    for (const char* sql : texts) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK(static_cast<int>(judged(sql).kind) == static_cast<int>(kind));
        CHECK(static_cast<int>(judged_without_catalog(sql).kind) == static_cast<int>(kind));
    }
}
}  // namespace

TEST_CASE("every statement has its kind, with and without a catalog") {
    check_kind(Kind::empty, {"", ";", " ; ; ", "-- nothing", "/* a /* b */ c */"});
    check_kind(Kind::select,
               {"SELECT 1", "VALUES (1)", "TABLE t", "WITH x AS (SELECT 1) SELECT * FROM x",
                "(SELECT 1)", "SELECT * INTO n FROM t"});
    check_kind(Kind::dml, {"INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t",
                           "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE",
                           "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x"});
    check_kind(Kind::copy, {"COPY t FROM STDIN", "COPY t TO STDOUT", "COPY (SELECT 1) TO STDOUT"});
    check_kind(Kind::begin, {"BEGIN", "START TRANSACTION", "BEGIN ISOLATION LEVEL SERIALIZABLE"});
    check_kind(Kind::commit, {"COMMIT", "END", "COMMIT AND CHAIN"});
    check_kind(Kind::rollback, {"ROLLBACK", "ABORT"});
    check_kind(Kind::savepoint, {"SAVEPOINT a", "RELEASE a", "ROLLBACK TO SAVEPOINT a"});
    check_kind(Kind::prepared_tx,
               {"PREPARE TRANSACTION 'a'", "COMMIT PREPARED 'a'", "ROLLBACK PREPARED 'a'"});
    check_kind(Kind::set, {"SET a.b = 1", "RESET ALL", "SET LOCAL x = 1",
                           "SET TRANSACTION READ ONLY", "SET ROLE a", "SET SESSION AUTHORIZATION a",
                           "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                           "SET TIME ZONE 'UTC'", "RESET ROLE", "SET NAMES 'utf8'"});
    check_kind(Kind::show, {"SHOW ALL", "SHOW work_mem", "SHOW TRANSACTION ISOLATION LEVEL"});
    check_kind(Kind::discard_all, {"DISCARD ALL"});
    check_kind(Kind::deallocate, {"DEALLOCATE a", "DEALLOCATE ALL"});
    check_kind(Kind::call, {"CALL p()", "DO $$begin end$$"});
    check_kind(Kind::utility,
               {"VACUUM t", "CREATE TABLE n (a int)", "LISTEN a", "EXPLAIN ANALYZE SELECT 1",
                "TRUNCATE t", "DISCARD TEMP", "EXECUTE s", "CREATE TABLE n AS SELECT 1",
                "DECLARE c CURSOR FOR SELECT 1"});
    check_kind(Kind::several, {"SELECT 1; SELECT 2", "BEGIN; COMMIT;"});
    check_kind(Kind::unknown, {"nonsense", "SELECT 'open", "CREATE TABL x", "SELECT 1; SELEC 2"});
}

TEST_CASE("a write to a table with nothing attached to it writes that table only") {
    check_written("INSERT INTO t VALUES (1)", {kT});
    check_written("INSERT INTO t SELECT * FROM u", {kT});
    check_written("INSERT INTO t VALUES (now(), random(), nextval('s')) RETURNING *", {kT});
    check_written(
        "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET a = excluded.a WHERE t.b > 1",
        {kT});
    check_written("UPDATE t SET a = a + 1 FROM u WHERE t.id = u.id", {kT});
    check_written("UPDATE ONLY t SET (a, b) = (SELECT 1, 2)", {kT});
    check_written("DELETE FROM t USING u WHERE t.id = u.id", {kT});
    check_written(
        "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1 "
        "WHEN NOT MATCHED THEN INSERT VALUES (1)",
        {kT});
    check_written("WITH x AS (DELETE FROM u RETURNING *) INSERT INTO t SELECT * FROM x", {kT, kU});
    check_written("WITH x AS (UPDATE u SET a = 1 RETURNING *) SELECT * FROM x", {kU});
    check_written("COPY t FROM STDIN", {kT});
    check_written("COPY t (a, b) FROM '/tmp/x' WHERE a > 1", {kT});
    check_written("COPY (DELETE FROM u RETURNING *) TO STDOUT", {kU});
    check_written("TRUNCATE t, u", {kT, kU});
    check_written("TRUNCATE TABLE t RESTART IDENTITY RESTRICT", {kT});
    check_written("EXPLAIN ANALYZE DELETE FROM t", {kT});
    check_written("EXPLAIN (ANALYZE, FORMAT json) INSERT INTO t VALUES (1)", {kT});
    check_written("INSERT INTO app.t VALUES (1)", {kAppT});
    check_written("INSERT INTO fast VALUES (1)", {105});
    check_written("INSERT INTO moods VALUES ('happy')", {109});
    check_written("INSERT INTO t VALUES (own_reader())", {kT});
    check_written("UPDATE t SET a = 1 WHERE CURRENT OF c", {kT});
}

TEST_CASE("C1, C2, C3, C7: a write counts for all that cascades, views and triggers lead to") {
    check_written("DELETE FROM cascades", {kT, 135, 136});
    check_written("TRUNCATE cascades", {kT, 135, 136});
    check_written("TRUNCATE cascades CASCADE", {kT, kU, 135, 136});
    check_written("TRUNCATE t CASCADE", {kT});
    check_written("INSERT INTO audited VALUES (1)", {kU, 137});
    check_written("UPDATE proven_view SET a = 1", {kT, kU, 131, 132});
    check_written("UPDATE parted SET a = 1", {103});
}

TEST_CASE("only what may run DDL has the catalog read again") {
    for (const char* sql :
         {"SELECT own_writer()", "CREATE TABLE n (a int)", "CALL p()", "SELECT 1 INTO n",
          "SELECT unknown_function()", "COMMIT PREPARED 'a'",
          "INSERT INTO t VALUES (1); CREATE TABLE n (a int)", "nonsense", "CALL own_writer()",
          "CALL only_rows(own_writer())", "DO 'x'", "CALL only_rows(1); DO 'x'"})
        CHECK_MESSAGE(judged(sql).may_define, std::string(sql));
    Catalog calm = Builder().take();
    for (const bool defines : {true, false}) {
        // As far as its own triggers, rules and defaults do, or any where it may reach any.
        calm.code_may_define = defines;
        for (const auto* name : {"triggered", "ruled"})
            calm.relations[kPublic].find(name)->second.writing_defines = defines;
        const ResolveContext context{.search_path = {"public"}, .catalog = &calm};
        for (const char* sql : {"INSERT INTO triggered VALUES (1)", "COPY ruled FROM STDIN",
                                "DELETE FROM leads_to_unknown", "UPDATE wide SET a = 1"})
            CHECK_MESSAGE(judge(sql, context)->may_define == defines, std::string(sql));
    }
    for (const char* sql : {"INSERT INTO audited VALUES (1)", "SELECT * FROM nosuch",
                            "UPDATE t SET a = 1; DELETE FROM u", "COPY t FROM STDIN",
                            "CALL only_rows(1)", "CALL public.only_rows((SELECT max(a) FROM t))"})
        CHECK_MESSAGE(!judged(sql).may_define, std::string(sql));
    // Without a catalog every read is a write to the cache; it must not keep the catalog away.
    CHECK(!judge("SELECT * FROM t", {})->may_define);
    CHECK(!judge("SELECT f(a) FROM t", {})->may_define);
    CHECK(judge("SELECT * FROM t", {})->writes == Writes::database);
    CHECK(judge("CALL only_rows(1)", {})->may_define);
    check_writes(Writes::database, {"CALL only_rows(1)"});
}

TEST_CASE("a write that may reach other tables counts for the whole database") {
    check_writes(Writes::database,
                 {"INSERT INTO checked VALUES (1)",
                  "INSERT INTO triggered VALUES (1)",
                  "DELETE FROM ruled",
                  "DELETE FROM parent",
                  "INSERT INTO leads_nowhere VALUES (1)",
                  "INSERT INTO leads_to_unknown VALUES (1)",
                  "INSERT INTO wide VALUES (1)",
                  "INSERT INTO defaults VALUES (1)",
                  "INSERT INTO v VALUES (1)",
                  "INSERT INTO remote VALUES (1)",
                  "INSERT INTO nosuch VALUES (1)",
                  "INSERT INTO pg_temp.x VALUES (1)",
                  "INSERT INTO t VALUES (own_writer())",
                  "UPDATE t SET a = own_anything(b)",
                  "TRUNCATE parent",
                  "COPY triggered FROM STDIN",
                  "WITH x AS (DELETE FROM parent RETURNING 1) INSERT INTO t SELECT 1",
                  "INSERT INTO t SELECT * FROM v",
                  "SELECT * FROM v",
                  "SELECT * FROM guarded",
                  "SELECT own_writer()",
                  "SELECT * FROM own_anything() x",
                  "SELECT unknown_function()",
                  "SELECT * FROM nosuch",
                  "SELECT t.own_writer FROM t",
                  "SELECT * FROM t ORDER BY own_writer()",
                  "CALL p()",
                  "DO $$begin end$$",
                  "SELECT * INTO n FROM t",
                  "CREATE TABLE n (a int)",
                  "CREATE TABLE n AS SELECT 1",
                  "CREATE MATERIALIZED VIEW m AS SELECT 1",
                  "REFRESH MATERIALIZED VIEW mv",
                  "ALTER TABLE t ADD COLUMN b int",
                  "DROP TABLE t",
                  "GRANT SELECT ON t TO bob",
                  "REVOKE ALL ON t FROM bob",
                  "CREATE INDEX ON t (a)",
                  "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1'",
                  "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO bob",
                  "COMMENT ON TABLE t IS 'x'",
                  "CLUSTER t",
                  "REINDEX TABLE t",
                  "ALTER TYPE mood ADD VALUE 'x'",
                  "ROLLBACK PREPARED 'a'",
                  "PREPARE TRANSACTION 'a'",
                  "CREATE POLICY p ON t",
                  "SECURITY LABEL ON TABLE t IS 'x'",
                  "SELECT 1; DROP TABLE t",
                  "not sql at all",
                  "DECLARE c CURSOR FOR SELECT own_writer()",
                  "ALTER TABLE t OWNER TO bob",
                  "ALTER TABLE t RENAME TO x",
                  "CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()",
                  "COPY (SELECT own_writer()) TO STDOUT",
                  "IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c",
                  "CREATE VIEW x AS SELECT 1",
                  "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1",
                  "LISTEN a; DELETE FROM parent"});
}

TEST_CASE("C4: what planning and upkeep run of users' code may write") {
    check_writes(Writes::database,
                 {"EXPLAIN SELECT own_writer()", "EXPLAIN SELECT own_anything(a) FROM t",
                  "EXPLAIN SELECT unknown_function()", "EXPLAIN SELECT t.own_writer FROM t",
                  "EXPLAIN SELECT (a).own_writer FROM t", "EXPLAIN SELECT * FROM v",
                  "EXPLAIN SELECT * FROM nosuch", "EXPLAIN DELETE FROM ruled",
                  "EXPLAIN INSERT INTO nosuch VALUES (1)", "EXPLAIN UPDATE t SET a = own_writer()",
                  "EXPLAIN CREATE TABLE x AS SELECT own_writer()",
                  "EXPLAIN DECLARE c CURSOR FOR SELECT own_writer()", "VACUUM", "ANALYZE",
                  "ANALYZE guarded", "VACUUM t, guarded (a)", "VACUUM FULL nosuch"});
    check_writes(Writes::all_databases,
                 {"EXPLAIN SELECT pg_temp.f()", "EXPLAIN (COSTS off) EXECUTE s",
                  "EXPLAIN CREATE TABLE x AS EXECUTE s"});
}

TEST_CASE("roles, databases and server settings concern every database") {
    check_writes(Writes::all_databases, {"CREATE ROLE a",
                                         "CREATE USER a",
                                         "ALTER ROLE a SUPERUSER",
                                         "ALTER ROLE a SET x = 1",
                                         "DROP ROLE a",
                                         "GRANT a TO b",
                                         "REVOKE a FROM b",
                                         "ALTER DATABASE d SET x = 1",
                                         "ALTER DATABASE d CONNECTION LIMIT 1",
                                         "ALTER SYSTEM SET x = 1",
                                         "DROP OWNED BY a",
                                         "REASSIGN OWNED BY a TO b",
                                         "CREATE DATABASE d",
                                         "DROP DATABASE d",
                                         "CREATE TABLESPACE s LOCATION '/x'",
                                         "DROP TABLESPACE s",
                                         "ALTER DATABASE d RENAME TO e",
                                         "ALTER ROLE a RENAME TO b",
                                         "ALTER DATABASE d OWNER TO a",
                                         "GRANT CONNECT ON DATABASE d TO a",
                                         "SELECT 1; CREATE ROLE a",
                                         "COMMIT PREPARED 'a'",
                                         "ALTER GROUP g ADD USER a",
                                         "CREATE ROLE a; DROP TABLE t"});
}

TEST_CASE("what nobody else sees writes nothing") {
    check_writes(Writes::nothing, {"",
                                   "SELECT 1",
                                   "SELECT * FROM t",
                                   "SELECT now(), random()",
                                   "SELECT nextval('seq')",
                                   "SELECT * FROM t FOR UPDATE",
                                   "BEGIN",
                                   "COMMIT",
                                   "ROLLBACK",
                                   "SAVEPOINT a",
                                   "SET x = 1",
                                   "RESET ALL",
                                   "SHOW ALL",
                                   "PREPARE s AS DELETE FROM parent",
                                   "DEALLOCATE ALL",
                                   "LISTEN a",
                                   "UNLISTEN *",
                                   "NOTIFY a, 'x'",
                                   "DECLARE c CURSOR FOR SELECT * FROM t",
                                   "FETCH 5 FROM c",
                                   "MOVE c",
                                   "CLOSE c",
                                   "EXPLAIN DELETE FROM parent",
                                   "EXPLAIN SELECT own_reader() FROM t",
                                   "EXPLAIN INSERT INTO triggered VALUES (1)",
                                   "EXPLAIN CREATE TABLE x AS SELECT 1",
                                   "EXPLAIN ANALYZE SELECT * FROM t",
                                   "VACUUM t",
                                   "VACUUM FULL t",
                                   "ANALYZE t, u (a)",
                                   "LOCK TABLE t",
                                   "DISCARD ALL",
                                   "DISCARD PLANS",
                                   "CHECKPOINT",
                                   "SET CONSTRAINTS ALL DEFERRED",
                                   "COPY t TO STDOUT",
                                   "COPY (SELECT * FROM t) TO STDOUT",
                                   "SELECT own_setter()",
                                   "SELECT own_constant(1)",
                                   "SELECT set_config('a.b', 'c', false)",
                                   "SELECT pg_advisory_lock(1)",
                                   "LOAD 'x'",
                                   "SELECT * FROM pg_class",
                                   "SELECT * FROM information_schema.tables",
                                   "SELECT * FROM mv",
                                   "SELECT * FROM remote",
                                   "SELECT a <-> b FROM t",
                                   "SELECT pg_notify('a', 'b')",
                                   "SELECT hidden_but_qualified.a FROM t hidden_but_qualified"});
}

TEST_CASE("a write to what is the system's own may set settings, and is DDL") {
    for (const char* sql :
         {"UPDATE pg_settings SET setting = '0' WHERE name = 'extra_float_digits'",
          "UPDATE pg_catalog.pg_settings SET setting = '0'", "DELETE FROM pg_class",
          "WITH w AS (UPDATE pg_settings SET setting = '0' RETURNING 1) SELECT * FROM w",
          "MERGE INTO pg_settings s USING t ON s.name = t.a WHEN MATCHED THEN DO NOTHING",
          "EXPLAIN ANALYZE UPDATE pg_settings SET setting = '0'",
          "UPDATE information_schema.tables SET table_name = 'x'"}) {
        const Verdict v = judged(sql);
        CHECK_MESSAGE(v.may_leave_state, std::string(sql));
        CHECK_MESSAGE(v.may_define, std::string(sql));
        CHECK_MESSAGE(v.names_after == NameScope::unknown, std::string(sql));
        CHECK_MESSAGE(v.not_cached != NotCached::none, std::string(sql));
    }
}

TEST_CASE("views and policies are harmless where the catalog has looked through them") {
    const Verdict v = judged("SELECT * FROM quiet_view, quiet_guard");
    CHECK(v.writes == Writes::nothing);
    CHECK_FALSE(v.may_leave_state);
    CHECK(v.not_cached == NotCached::view);
    CHECK(judged("DELETE FROM quiet_guard").writes == Writes::relations);
    CHECK(judged("DELETE FROM guarded").writes == Writes::database);
}

TEST_CASE("session state pins with its reason") {
    check_pins({{"SET x = 1", PinReason::set, true},
                {"SET SESSION x TO 1", PinReason::set, true},
                {"SET ROLE a", PinReason::set, true},
                {"SET SESSION AUTHORIZATION a", PinReason::set, true},
                {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
                 PinReason::set, true},
                {"RESET x", PinReason::set, true},
                {"RESET ALL", PinReason::set, true},
                {"RESET ROLE", PinReason::set, true},
                {"SET TIME ZONE 'UTC'", PinReason::set, true},
                {"SELECT set_config('a.b', 'c', false)", PinReason::set, true},
                {"SELECT pg_catalog.set_config('search_path', '', false)", PinReason::set, true},
                {"SELECT set_config('a.b', 'c', $1)", PinReason::set, true},
                {"PREPARE s AS SELECT 1", PinReason::prepare, true},
                {"EXECUTE s", PinReason::prepare, true},
                {"LISTEN a", PinReason::listen, true},
                {"CREATE TEMP TABLE x (a int)", PinReason::temporary, true},
                {"CREATE TEMPORARY TABLE x AS SELECT 1", PinReason::temporary, true},
                {"CREATE LOCAL TEMP TABLE x (a int)", PinReason::temporary, true},
                {"CREATE TABLE pg_temp.x (a int)", PinReason::temporary, true},
                {"CREATE TEMP VIEW x AS SELECT 1", PinReason::temporary, true},
                {"CREATE TEMP SEQUENCE x", PinReason::temporary, true},
                {"CREATE TYPE pg_temp_3.x AS ENUM ()", PinReason::temporary, true},
                {"SELECT * INTO TEMP x FROM t", PinReason::temporary, true},
                {"SELECT * INTO pg_temp.x FROM t", PinReason::temporary, true},
                {"SELECT pg_advisory_lock(1)", PinReason::advisory_lock, true},
                {"SELECT pg_try_advisory_lock(1, 2)", PinReason::advisory_lock, true},
                {"SELECT pg_advisory_unlock(1)", PinReason::advisory_lock, true},
                {"SELECT * FROM t WHERE pg_try_advisory_lock(id)", PinReason::advisory_lock, true},
                {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", PinReason::hold_cursor, true},
                {"LOAD 'auto_explain'", PinReason::load, true},
                {"CREATE FUNCTION f() RETURNS trigger AS '$libdir/refint' LANGUAGE C",
                 PinReason::load, true},
                {"CREATE OR REPLACE PROCEDURE f() LANGUAGE 'c' AS 'x', 'y'", PinReason::load, true},
                {"CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1", PinReason::none, true},
                {"SELECT currval('s')", PinReason::sequence, true},
                {"SELECT lastval()", PinReason::sequence, true},
                {"INSERT INTO t VALUES (currval('s'))", PinReason::sequence, true},
                {"SELECT setseed(0.5)", PinReason::seed, true},
                {"SELECT (0.5).setseed", PinReason::seed, true},
                {"SELECT x.setseed FROM abs(0.5) x", PinReason::seed, true},
                {"SELECT pg_backend_pid()", PinReason::backend_pid, true},
                {"SELECT own_setter()", PinReason::function, true},
                {"SELECT public.own_anything()", PinReason::function, true},
                {"SELECT unknown_function()", PinReason::function, true},
                {"SELECT query_to_xml('select 1', true, true, '')", PinReason::function, true},
                {"SELECT pg_create_logical_replication_slot('a', 'b', true)",
                 PinReason::replication, true},
                {"DO $$begin end$$", PinReason::do_block, true},
                {"CALL p(1)", PinReason::do_block, true},
                {"nonsense", PinReason::not_understood, true},
                {"SELECT 1; SET x = 1; LISTEN a", PinReason::set, true},
                {"LISTEN a; SET x = 1", PinReason::listen, true},
                {"EXPLAIN ANALYZE SELECT setseed(1)", PinReason::seed, true},
                {"COPY (SELECT pg_advisory_lock(1)) TO STDOUT", PinReason::advisory_lock, true}});
}

TEST_CASE("what ends with the transaction or changes nothing does not pin and leaves nothing") {
    check_pins({{"SELECT * FROM t", PinReason::none, false},
                {"SELECT 1; SELECT 2", PinReason::none, false},
                {"INSERT INTO t VALUES (1)", PinReason::none, false},
                {"UPDATE t SET a = lower(b)", PinReason::none, false},
                {"SET LOCAL x = 1", PinReason::none, false},
                {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", PinReason::none, false},
                {"SET LOCAL ROLE a", PinReason::none, false},
                {"SELECT set_config('a.b', 'c', true)", PinReason::none, false},
                {"SELECT set_config('a.b', $1, TRUE)", PinReason::none, false},
                {"BEGIN", PinReason::none, false},
                {"COMMIT", PinReason::none, false},
                {"ROLLBACK TO a", PinReason::none, false},
                {"SHOW x", PinReason::none, false},
                {"DISCARD ALL", PinReason::none, false},
                {"DEALLOCATE ALL", PinReason::none, false},
                {"UNLISTEN *", PinReason::none, false},
                {"NOTIFY a", PinReason::none, false},
                {"VACUUM t", PinReason::none, false},
                {"CREATE TABLE x (a int)", PinReason::none, false},
                {"DROP TABLE x", PinReason::none, false},
                {"CREATE INDEX CONCURRENTLY i ON t (a)", PinReason::none, false},
                {"GRANT SELECT ON t TO a", PinReason::none, false},
                {"TRUNCATE t", PinReason::none, false},
                {"COPY t FROM STDIN", PinReason::none, false},
                {"COPY t TO STDOUT", PinReason::none, false},
                {"DECLARE c CURSOR FOR SELECT 1", PinReason::none, false},
                {"FETCH c", PinReason::none, false},
                {"EXPLAIN SELECT setseed(1)", PinReason::none, false},
                {"SELECT pg_advisory_xact_lock(1)", PinReason::none, false},
                {"SELECT pg_sleep(1), random(), now()", PinReason::none, false},
                {"SELECT nextval('s'), setval('s', 5)", PinReason::none, false},
                {"SELECT lo_create(0)", PinReason::none, false},
                {"SELECT pg_export_snapshot()", PinReason::none, false},
                {"SELECT own_writer()", PinReason::none, false},
                {"SELECT t.lastval FROM t", PinReason::none, false},
                {"CREATE TABLE x (temp int)", PinReason::none, false}});
}

TEST_CASE("state that may be left behind without need of this session costs a reset, not a pin") {
    check_pins({{"SELECT pg_new_in_19()", PinReason::none, true},
                {"INSERT INTO setting_default VALUES (1)", PinReason::none, true},
                {"INSERT INTO triggered VALUES (1)", PinReason::none, true},
                {"DELETE FROM parent", PinReason::none, true},
                {"INSERT INTO nosuch VALUES (1)", PinReason::none, true},
                {"INSERT INTO v VALUES (1)", PinReason::none, true},
                {"SELECT * FROM v", PinReason::none, true},
                {"SELECT * FROM nosuch", PinReason::none, true},
                {"SELECT * FROM guarded", PinReason::none, true},
                {"INSERT INTO defaults VALUES (1)", PinReason::none, true},
                {"ALTER TABLE t ADD COLUMN x int DEFAULT own_setter()", PinReason::none, true},
                {"CREATE EXTENSION x", PinReason::none, true},
                {"SELECT a <-> b FROM t", PinReason::none, true}});
    Catalog calm = Builder().take();
    calm.any_harmful_trigger = false;
    const Verdict v =
        *judge("INSERT INTO triggered VALUES (1)", {.search_path = {"public"}, .catalog = &calm});
    CHECK_FALSE(v.may_leave_state);
}

TEST_CASE("a trigger that may keep what cannot be asked for pins who writes, and no reader") {
    check_pins({{"INSERT INTO remembers VALUES (1)", PinReason::function, true},
                {"COPY remembers FROM STDIN", PinReason::function, true},
                {"SELECT * FROM remembers", PinReason::none, false}});
}

TEST_CASE("without a catalog functions that do not look built in pin, and writes are unknown") {
    const auto pin = [](const char* sql) { return name(judged_without_catalog(sql).pin); };
    CHECK(pin("SELECT count(*), lower(a), to_char(b, 'x') FROM t") == "none");
    CHECK(pin("SELECT my_function(1)") == "function");
    CHECK(pin("SELECT public.lower('x')") == "function");
    CHECK(pin("SELECT pg_catalog.whatever()") == "none");
    CHECK(pin("SELECT dblink_connect('x')") == "function");
    CHECK(pin("SELECT setseed(1)") == "seed");
    CHECK(pin("SELECT set_config('a', 'b', false)") == "set");
    CHECK(pin("SELECT extract(year FROM now()), a AT TIME ZONE 'x', position('a' in b), "
              "coalesce(1, 2)") == "none");
    const Verdict insert = judged_without_catalog("INSERT INTO t VALUES (1)");
    CHECK(insert.writes == Writes::database);
    CHECK(insert.may_leave_state);
    CHECK(insert.pin == PinReason::none);
    const Verdict read = judged_without_catalog("SELECT * FROM t");
    CHECK(read.writes == Writes::database);
    CHECK_FALSE(read.may_leave_state);
    CHECK(read.catalog_version == 0);
    CHECK(judged_without_catalog("SELECT 1").writes == Writes::nothing);
    CHECK(judged_without_catalog("SELECT * FROM pg_class").writes == Writes::nothing);
}

TEST_CASE("what may end a transaction says so") {
    for (const char* sql :
         {"COMMIT", "ROLLBACK", "END", "PREPARE TRANSACTION 'x'", "CALL p()", "DO ''",
          "SELECT 1; SELECT 2", "garbage", "VACUUM", "CREATE INDEX CONCURRENTLY i ON t (a)",
          "CREATE DATABASE d", "DISCARD ALL", "DROP INDEX CONCURRENTLY i", "REINDEX TABLE t",
          "ALTER SYSTEM SET x = 1", "CLUSTER t"}) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK(judged(sql).may_end_transaction);
    }
    for (const char* sql :
         {"SELECT 1", "INSERT INTO t VALUES (1)", "BEGIN", "SAVEPOINT a", "ROLLBACK TO a",
          "SET x = 1", "CREATE TABLE x (a int)", "CREATE INDEX ON t (a)", "TRUNCATE t",
          "COPY t FROM STDIN", "", "EXECUTE s", "LISTEN a", "EXPLAIN SELECT 1", "FETCH c",
          "SELECT own_anything()"}) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK_FALSE(judged(sql).may_end_transaction);
    }
}

TEST_CASE("only reads and row changes are timed, isolation changes are noted") {
    for (const char* sql : {"SELECT 1", "UPDATE t SET a = 1", "WITH x AS (SELECT 1) TABLE x"})
        CHECK(judged(sql).timed);
    for (const char* sql :
         {"COPY t TO STDOUT", "VACUUM", "CALL p()", "DO ''", "BEGIN", "SELECT 1; SELECT 2", "x"})
        CHECK_FALSE(judged(sql).timed);
    for (const char* sql :
         {"BEGIN ISOLATION LEVEL SERIALIZABLE",
          "START TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ",
          "SET TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
          "SET default_transaction_isolation = 'x'",
          "SET LOCAL transaction_isolation = 'serializable'"}) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK(judged(sql).isolation_changed);
    }
    for (const char* sql : {"BEGIN", "SET work_mem = '1MB'", "SELECT 1", "COMMIT",
                            "BEGIN READ ONLY, ISOLATION LEVEL READ COMMITTED",
                            "START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED DEFERRABLE"})
        CHECK_FALSE(judged(sql).isolation_changed);
}

TEST_CASE("what may change the meaning of names behind it says so") {
    const auto after = [](const char* sql) { return judged(sql).names_after; };
    for (const char* sql :
         {"SET search_path = a", "SET LOCAL search_path TO a, b", "SET SCHEMA 'a'", "SET ROLE x",
          "RESET search_path", "RESET ALL", "SET SESSION AUTHORIZATION x", "DISCARD ALL",
          "SET session_replication_role = replica", "CREATE TEMP TABLE x (n int)",
          "SELECT set_config('search_path', 'a', true)",
          "SELECT set_config('work_mem', '1', false)"})
        CHECK_MESSAGE(after(sql) == NameScope::anywhere, sql);
    for (const char* sql :
         {"DO 'x'", "CALL p()", "CREATE VIEW v AS SELECT 1", "CREATE TEMP VIEW v AS SELECT 1",
          "CREATE RULE r AS ON INSERT TO t DO NOTHING", "EXECUTE x", "not a statement",
          "SELECT no_such_function()"})
        CHECK_MESSAGE(after(sql) == NameScope::unknown, sql);
    for (const char* sql : {"SELECT 1", "UPDATE t SET a = 1", "SET work_mem = '1MB'", "BEGIN",
                            "SELECT pg_advisory_lock(1)", "LISTEN x", "PREPARE p AS SELECT 1"})
        CHECK_MESSAGE(after(sql) == NameScope::path, sql);
}

TEST_CASE("D9: what may be made in the temporary schema pins, but where search_path excludes it") {
    const auto pin = [](const char* sql, std::vector<std::string_view> path, NameScope scope) {
        return judge(sql, {.search_path = path, .catalog = &catalog(), .scope = scope})->pin;
    };
    for (const char* sql :
         {"CREATE TABLE x (a int)", "CREATE TABLE x AS SELECT 1", "CREATE VIEW x AS SELECT 1",
          "SELECT 1 INTO x", "CREATE SEQUENCE x", "CREATE TYPE x AS ENUM ()",
          "CREATE TYPE x AS (a int)", "CREATE MATERIALIZED VIEW x AS SELECT 1"}) {
        CAPTURE(std::string(sql));
        CHECK(pin(sql, {"public"}, NameScope::path) == PinReason::none);
        CHECK(pin(sql, {"nosuch", "pg_temp"}, NameScope::path) == PinReason::temporary);
        CHECK(pin(sql, {"pg_temp_3"}, NameScope::path) == PinReason::temporary);
        CHECK(pin(sql, {"public"}, NameScope::anywhere) == PinReason::temporary);
    }
    CHECK(judged("SET LOCAL search_path = a; SELECT 1 INTO x").pin == PinReason::temporary);
    CHECK(pin("CREATE TABLE public.x (a int)", {"pg_temp"}, NameScope::path) == PinReason::none);
    CHECK(pin("EXPLAIN SELECT 1 INTO x", {"pg_temp"}, NameScope::path) == PinReason::none);
}

TEST_CASE("settings the server does not list are named, and what may set any is opaque") {
    struct Case {
        const char* sql;
        std::vector<std::string> custom;
        bool opaque;
    };
    const Case cases[] = {
        {"SET a.b = 'x'", {"a.b"}, false},
        {"RESET a.b", {"a.b"}, false},
        {"SET LOCAL a.b = 'x'", {}, false},
        {"SET work_mem = '1MB'", {}, false},
        {"SELECT set_config('a.b', $1, false)", {"a.b"}, false},
        {"SELECT set_config('a.b', 'x', true)", {}, false},
        {"SELECT set_config('a' || '.b', 'x', false)", {}, true},
        {"SELECT set_config($1, 'x', false)", {}, true},
        {"SELECT set_config($1, 'x', true)", {}, true},
        {"SET standard_conforming_strings = off", {}, true},
        {"SET LOCAL standard_conforming_strings = off", {}, true},
        {"SET standard_conforming_strings = on", {}, false},
        {"SELECT set_config('Standard_Conforming_Strings', 'off', true)", {}, true},
        {"SET client_encoding TO 'UTF8'", {}, false},
        {"SET NAMES 'SJIS'", {}, true},
        {"SET LOCAL client_encoding = GBK", {}, true},
        {"SELECT 1", {}, false},
    };
    for (const Case& c : cases) {
        const std::string text = c.sql;
        CAPTURE(text);
        for (const Verdict& v : {judged(c.sql), judged_without_catalog(c.sql)}) {
            CHECK(v.custom_settings == c.custom);
            CHECK(v.opaque == c.opaque);
            if (c.opaque) CHECK(v.pin == PinReason::set);
        }
    }
}
