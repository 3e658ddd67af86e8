// Which statements may be answered from the cache, hazard by hazard.
#include <doctest/doctest.h>

#include "fixture.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;

namespace {
struct Case {
    const char* sql;
    NotCached why;
};

void check(std::initializer_list<Case> cases) {
    for (const Case& c : cases) {
        const std::string text = c.sql;
        CAPTURE(text);
        const Verdict v = judged(c.sql);
        CHECK(name(v.not_cached) == name(c.why));
        if (c.why != NotCached::none) CHECK(v.reads.empty());
    }
}
void check(NotCached why, std::initializer_list<const char*> texts) {
    for (const char* sql : texts) check({{sql, why}});
}
void check_reads(const char* sql, std::vector<Oid> oids) {
    const std::string text = sql;
    CAPTURE(text);
    const Verdict v = judged(sql);
    CHECK(name(v.not_cached) == "none");
    CHECK(v.reads == oids);
    CHECK(v.writes == Writes::nothing);
    CHECK(v.pin == PinReason::none);
    CHECK_FALSE(v.may_leave_state);
    CHECK_FALSE(v.may_end_transaction);
    CHECK(v.kind == Kind::select);
    CHECK(v.timed);
    CHECK(v.catalog_version == 7);
}
}  // namespace

TEST_CASE("comments change nothing, wherever they stand between two words") {
    check_reads("SELECT * FROM t WHERE a NOT /* none */ IN (1, 2)", {kT});
    check_reads("SELECT * FROM t WHERE a NOT -- none\n BETWEEN 1 AND 2", {kT});
    check_reads("SELECT * FROM t ORDER BY a NULLS /**/ LAST", {kT});
    check_reads("/* one */ SELECT a FROM t -- end", {kT});
    check(NotCached::type_not_proven, {"SELECT b::timestamp WITH /**/ TIME ZONE FROM t"});
    // Nor do they make a text of what is none.
    check(NotCached::not_understood, {"SELECT 'a' /* not one string */\n 'b' FROM t",
                                      "SELECT 'a' -- nor here\n /**/ 'b' FROM t"});
    // What only looks like one stays.
    check_reads("SELECT '/* one', '-- two', '*/' FROM t", {kT});
}

TEST_CASE("a plain read of ordinary tables is cacheable and depends on each of them") {
    check_reads("SELECT 1", {});
    check_reads("VALUES (1, 'a'), (2, 'b')", {});
    check_reads("TABLE t", {kT});
    check_reads("SELECT * FROM t", {kT});
    check_reads("select a, b from only t where id = 5", {kT});
    check_reads("SELECT t.a, u.b FROM t JOIN u ON t.id = u.id", {kT, kU});
    check_reads("SELECT * FROM t, u, t AS again", {kT, kU});
    check_reads("SELECT * FROM t NATURAL JOIN u", {kT, kU});
    check_reads("SELECT * FROM t JOIN u USING (id)", {kT, kU});
    check_reads("SELECT (SELECT max(x) FROM u WHERE u.id = t.id) FROM t", {kT, kU});
    check_reads("SELECT * FROM t WHERE EXISTS (SELECT FROM u)", {kT, kU});
    check_reads("SELECT * FROM t WHERE id IN (SELECT id FROM u)", {kT, kU});
    check_reads("SELECT * FROM t WHERE id = ANY (SELECT id FROM u)", {kT, kU});
    check_reads("SELECT * FROM t WHERE a = ALL (ARRAY(SELECT id FROM u))", {kT, kU});
    check_reads("SELECT a FROM t UNION ALL SELECT b FROM u ORDER BY 1", {kT, kU});
    check_reads("SELECT a FROM t INTERSECT (SELECT b FROM u EXCEPT SELECT 3)", {kT, kU});
    check_reads("SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id) x", {kT, kU});
    check_reads("SELECT * FROM t LIMIT (SELECT count(*) FROM u)", {kT, kU});
    check_reads("SELECT * FROM t ORDER BY (SELECT 1 FROM u)", {kT, kU});
    check_reads("SELECT a FROM t GROUP BY a HAVING count(*) > (SELECT 1 FROM u)", {kT, kU});
    check_reads("SELECT sum(a) OVER (PARTITION BY b ORDER BY (SELECT 1 FROM u)) FROM t", {kT, kU});
    check_reads("SELECT sum(a) FILTER (WHERE b IN (TABLE u)) FROM t", {kT, kU});
    check_reads("SELECT CASE WHEN a THEN (SELECT 1 FROM u) END FROM t", {kT, kU});
    check_reads("SELECT COALESCE((SELECT 1 FROM u), 2) FROM t", {kT, kU});
    check_reads("SELECT ROW(1, (SELECT 1 FROM u)) FROM t", {kT, kU});
    check_reads("SELECT * FROM t WHERE a BETWEEN 1 AND (SELECT 9 FROM u)", {kT, kU});
    check_reads("SELECT GREATEST(a, (SELECT 1 FROM u)) FROM t", {kT, kU});
    check_reads("SELECT (ARRAY[1,2])[(SELECT 1 FROM u)] FROM t", {kT, kU});
    check_reads("SELECT DISTINCT ON ((SELECT 1 FROM u)) a FROM t", {kT, kU});
    check_reads("SELECT a FROM t GROUP BY GROUPING SETS ((a), ((SELECT 1 FROM u)))", {kT, kU});
    check_reads("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (SELECT 1 FROM u)) FROM t",
                {kT, kU});
    check_reads("SELECT * FROM generate_series(1, (SELECT 3 FROM u)) g", {kU});
    check_reads("SELECT * FROM \"Odd Name\"", {kQuoted});
    check_reads("SELECT * FROM PUBLIC.T", {kT});
    check_reads("SELECT * FROM db.public.t", {kT});
    check_reads("SELECT t.tableoid FROM t", {kT});
    check_reads("SELECT * FROM t;", {kT});
    check_reads("/* hint */ SELECT * FROM t -- note", {kT});
    check_reads("(SELECT * FROM t)", {kT});
    check_reads("SELECT * FROM t WHERE id = $1 AND b = $2::text", {kT});
    check_reads("SELECT a IS DISTINCT FROM b, NULLIF(a, b), a NOT IN (1, 2) FROM t", {kT});
    check_reads("SELECT a COLLATE \"C\", round(v => a) FROM t", {kT});
    check_reads("SELECT GROUPING(a) FROM t GROUP BY ROLLUP (a)", {kT});
    check_reads("SELECT a IS NULL, b IS TRUE, NOT c FROM t ORDER BY a FETCH FIRST 3 ROWS WITH TIES",
                {kT});
}

TEST_CASE("CTE names hide tables where they are in scope and nowhere else") {
    check_reads("WITH x AS (SELECT * FROM t) SELECT * FROM x", {kT});
    check_reads("WITH u AS (SELECT 1) SELECT * FROM u", {});
    check_reads("WITH u AS (SELECT 1) SELECT * FROM public.u", {kU});
    check_reads("WITH u AS (SELECT * FROM u) SELECT * FROM u", {kU});
    check_reads("WITH RECURSIVE u AS (SELECT 1 UNION ALL SELECT * FROM u) SELECT * FROM u", {});
    check_reads(
        "WITH RECURSIVE r AS (SELECT 1 UNION SELECT r.a FROM r, public.u) SELECT * FROM r, t",
        {kT, kU});
    check_reads("WITH a AS (SELECT * FROM u), u AS (SELECT 1) SELECT * FROM a, u", {kU});
    check_reads("WITH RECURSIVE a AS (SELECT * FROM u), u AS (SELECT 1) SELECT * FROM a, u", {});
    check_reads("WITH u AS (SELECT 1), b AS (SELECT * FROM u) SELECT * FROM b", {});
    check_reads("SELECT * FROM (WITH u AS (SELECT 1) SELECT * FROM u) x, u", {kU});
    check_reads("WITH u AS (SELECT 1) SELECT (SELECT 1 FROM u) FROM t", {kT});
    check_reads("WITH u AS (SELECT 1) SELECT 1 FROM t UNION SELECT * FROM u", {kT});
    check_reads("SELECT 1 FROM t UNION (WITH t AS (SELECT 2) SELECT * FROM t)", {kT});
    check_reads("WITH \"U\" AS (SELECT 1) SELECT * FROM u", {kU});
    check_reads("WITH x AS MATERIALIZED (SELECT * FROM t) SELECT * FROM x", {kT});
}

TEST_CASE("relations are resolved by the session's search_path, all that may be meant count") {
    const auto with = [](std::string_view sql, std::vector<std::string_view> path,
                         std::string_view user = "bob") {
        return *judge(sql, {.user = user, .search_path = std::move(path), .catalog = &catalog()});
    };
    CHECK(with("TABLE t", {"app"}).reads == std::vector{kAppT});
    CHECK(with("TABLE t", {"public"}).reads == std::vector{kT});
    CHECK(with("TABLE t", {"app", "public"}).reads == std::vector{kT, kAppT});
    CHECK(with("TABLE app.t", {"public"}).reads == std::vector{kAppT});
    CHECK(with("TABLE notes", {"$user", "public"}, "alice").reads == std::vector{kAliceNotes});
    CHECK(with("TABLE notes", {"$user", "public"}, "bob").not_cached ==
          NotCached::unknown_relation);
    CHECK(with("TABLE t", {"missing", "public"}).reads == std::vector{kT});
    CHECK(with("TABLE t", {}).not_cached == NotCached::unknown_relation);
    CHECK(with("TABLE twice", {"public", "app"}).reads == std::vector{kBoth, kAppBoth});
}

TEST_CASE("relations that are not ordinary permanent tables of plain types are not cached") {
    check({{"SELECT * FROM nosuch", NotCached::unknown_relation},
           {"SELECT * FROM nowhere.t", NotCached::unknown_relation},
           {"SELECT * FROM T2", NotCached::unknown_relation},
           {"SELECT * FROM \"T\"", NotCached::unknown_relation},
           {"SELECT * FROM v", NotCached::view},
           {"SELECT * FROM unproven_view", NotCached::view},
           {"SELECT * FROM guarded_view", NotCached::row_security},
           {"SELECT * FROM remote", NotCached::foreign_table},
           {"SELECT * FROM odd_parted", NotCached::partitioned},
           {"SELECT * FROM wide", NotCached::too_complex},
           {"SELECT last_value FROM seq", NotCached::unknown_relation},
           {"SELECT * FROM fast", NotCached::unlogged_relation},
           {"SELECT * FROM gone", NotCached::temporary_relation},
           {"SELECT * FROM pg_temp.x", NotCached::temporary_relation},
           {"SELECT * FROM pg_temp_3.x", NotCached::temporary_relation},
           {"SELECT * FROM guarded", NotCached::row_security},
           {"SELECT * FROM moods", NotCached::type_not_proven},
           {"SELECT * FROM pg_class", NotCached::system_relation},
           {"SELECT * FROM pg_catalog.pg_class", NotCached::system_relation},
           {"SELECT * FROM pg_stat_activity", NotCached::system_relation},
           {"SELECT * FROM information_schema.tables", NotCached::system_relation},
           {"SELECT * FROM pg_toast.pg_toast_1", NotCached::system_relation},
           {"SELECT * FROM t WHERE id IN (SELECT id FROM v)", NotCached::view},
           {"WITH x AS (SELECT * FROM guarded) SELECT 1", NotCached::row_security},
           {"SELECT * FROM checked", NotCached::none},
           {"SELECT * FROM triggered", NotCached::none},
           {"SELECT * FROM defaults", NotCached::none},
           {"SELECT * FROM parent", NotCached::none}});
}

TEST_CASE("C8, C11: a read depends on all that its relation leads to") {
    check_reads("SELECT * FROM proven_view", {kT, kU, 131, 132});
    check_reads("SELECT * FROM u WHERE a IN (SELECT a FROM nested_view)", {kU, 132});
    check_reads("SELECT * FROM parted", {103});
    check_reads("SELECT * FROM child", {103, 108});
    check_reads("SELECT * FROM mv", {101});
    check_reads("SELECT * FROM ruled", {112});
    check_reads("SELECT * FROM audited", {137});
}

TEST_CASE("what depends on time, chance, identity, sequences or catalogs is not cached") {
    check(NotCached::time_dependent, {"SELECT now()",
                                      "SELECT * FROM t WHERE ts > now() - interval '1 hour'",
                                      "SELECT CURRENT_DATE",
                                      "SELECT CURRENT_TIMESTAMP(3)",
                                      "SELECT LOCALTIME",
                                      "SELECT LOCALTIMESTAMP",
                                      "SELECT CURRENT_USER",
                                      "SELECT user",
                                      "SELECT session_user",
                                      "SELECT CURRENT_ROLE",
                                      "SELECT current_catalog",
                                      "SELECT current_schema",
                                      "SELECT clock_timestamp()",
                                      "SELECT transaction_timestamp()",
                                      "SELECT pg_catalog.now()",
                                      "SELECT age(ts) FROM t",
                                      "SELECT \"now\"()",
                                      "SELECT * FROM CURRENT_DATE",
                                      "SELECT * FROM t ORDER BY CURRENT_TIME",
                                      "SELECT system_user",
                                      "SELECT * FROM t WHERE a = lower(System_User)",
                                      "SELECT 1 FROM u, t, system_user"});
    check_reads("SELECT \"system_user\", u.system_user FROM u", {kU});
    check(NotCached::function_not_immutable,
          {"SELECT random()",
           "SELECT nextval('seq')",
           "SELECT currval('seq')",
           "SELECT pg_backend_pid()",
           "SELECT current_setting('app.tenant')",
           "SELECT gen_random_uuid()",
           "SELECT version()",
           "SELECT pg_typeof(a) FROM t",
           "SELECT has_table_privilege('t', 'select')",
           "SELECT set_config('a.b', 'c', true)",
           "SELECT pg_sleep(1)",
           "SELECT to_regclass('t')",
           "SELECT current_database()",
           "SELECT txid_current()",
           "SELECT * FROM json_populate_record(NULL::int4, '{}')",
           "SELECT a AT TIME ZONE 'UTC' FROM t",
           "SELECT query_to_xml('select 1', true, true, '')",
           "SELECT ts_rewrite('a'::tsquery, 'select 1')",
           "SELECT xmlelement(name a)",
           "SELECT xmlserialize(content a AS text) FROM t",
           "SELECT * FROM xmltable('/a' passing b columns c int) x",
           "SELECT a FROM t WHERE id = (SELECT random())",
           "SELECT a FROM t ORDER BY random()",
           "SELECT a FROM t LIMIT random()",
           "SELECT sum(random()) OVER () FROM t",
           "SELECT count(*) FILTER (WHERE random() > 0.5) FROM t",
           "SELECT unknown_function(1)"});
}

TEST_CASE("functions of users are never cached, not even as another overload of a built-in one") {
    check(NotCached::function_not_immutable,
          {"SELECT own_constant(1)", "SELECT own_reader()", "SELECT public.own_constant(1)",
           "SELECT upper(a) FROM t", "SELECT * FROM own_reader() x", "SELECT app.lower('A')",
           "SELECT hidden()"});
    check(NotCached::none,
          {"SELECT lower(a) FROM t", "SELECT pg_catalog.upper(a) FROM t", "SELECT length('x')"});
    const Verdict v =
        *judge("SELECT lower('A')", {.user = "bob", .search_path = {"app"}, .catalog = &catalog()});
    CHECK(v.not_cached == NotCached::function_not_immutable);
}

TEST_CASE("a field that may be a call is judged as one") {
    check({{"SELECT t.full_name FROM t", NotCached::function_not_immutable},
           {"SELECT t.pg_typeof FROM t", NotCached::function_not_immutable},
           {"SELECT t.age, t.random FROM t", NotCached::none},
           {"SELECT x.random FROM generate_series(1, 2) x", NotCached::function_not_immutable},
           {"SELECT (0.5).setseed", NotCached::function_not_immutable},
           {"SELECT (a).full_name FROM t", NotCached::function_not_immutable},
           {"SELECT (a).street FROM t", NotCached::none},
           {"SELECT full_name FROM t", NotCached::none},
           {"SELECT t.* FROM t", NotCached::none}});
}

TEST_CASE("constant functions and those that read tracked settings are cached") {
    check(NotCached::none,
          {"SELECT count(*), sum(a), min(a), max(a), avg(a), bool_and(b) FROM t",
           "SELECT to_char(ts, 'YYYY') FROM t", "SELECT date_trunc('day', ts) FROM t",
           "SELECT extract(year FROM ts) FROM t", "SELECT concat(a, b) FROM t",
           "SELECT format('%s', a) FROM t", "SELECT substring(a FROM 1 FOR 2) FROM t",
           "SELECT trim(both ' ' from a) FROM t", "SELECT position('a' IN b) FROM t",
           "SELECT row_number() OVER (ORDER BY a) FROM t", "SELECT to_json(t) FROM t",
           "SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY x", "SELECT json_agg(a) FROM t",
           "SELECT overlay(a placing 'x' from 1) FROM t",
           "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
           "SELECT string_agg(a, ',' ORDER BY b) FROM t",
           "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[3])) x"});
}

TEST_CASE("operators must be built in, whichever of the name is meant") {
    check(NotCached::none,
          {"SELECT 1 + 2", "SELECT a < b FROM t", "SELECT a LIKE 'x%' FROM t",
           "SELECT a ILIKE 'x' FROM t", "SELECT a || b FROM t",
           "SELECT a OPERATOR(pg_catalog.<->) b FROM t", "SELECT a ~ 'x' FROM t",
           "SELECT a BETWEEN SYMMETRIC 1 AND 2 FROM t", "SELECT -a FROM t", "SELECT |/ a FROM t"});
    check(NotCached::operator_not_immutable,
          {"SELECT a <-> b FROM t", "SELECT a ==> b FROM t",
           "SELECT a OPERATOR(public.==>) b FROM t", "SELECT a <#> b FROM t",
           "SELECT a FROM t ORDER BY a USING ==>", "SELECT a ==> ANY (ARRAY[1]) FROM t",
           "SELECT a FROM t WHERE a ==> ALL (SELECT 1)", "SELECT a OPERATOR(app.~) b FROM t"});
    const Verdict v =
        *judge("SELECT a ~ b FROM public.t", {.search_path = {"app"}, .catalog = &catalog()});
    CHECK(v.not_cached == NotCached::operator_not_immutable);
}

TEST_CASE("casts are cached only to types whose input is constant") {
    check(NotCached::none, {"SELECT a::int FROM t", "SELECT CAST(a AS varchar(10)) FROM t",
                            "SELECT a::text::numeric(10,2) FROM t", "SELECT '2024-01-01'::date",
                            "SELECT DATE '2024-01-01'", "SELECT TIMESTAMP '2024-01-01 00:00'",
                            "SELECT $1::timestamptz", "SELECT '1 day'::interval",
                            "SELECT INTERVAL '1' DAY", "SELECT '{1,2}'::int[]",
                            "SELECT a::bool, b::float8, c::real, d::bigint, e::char(3) FROM t",
                            "SELECT TRUE, NULL, FALSE", "SELECT a::jsonb FROM t",
                            "SELECT x.a FROM unnest(ARRAY[1]) AS x(a)",
                            "SELECT a::pg_catalog.text FROM t", "SELECT int4('5')"});
    check(
        NotCached::type_not_proven,
        {"SELECT 't'::regclass", "SELECT 'x'::regproc", "SELECT '12:00'::timetz",
         "SELECT a::mood FROM t", "SELECT a::public.mood FROM t", "SELECT a::uuid FROM t",
         "SELECT a::regclass::text FROM t", "SELECT a::date FROM t", "SELECT a::timestamptz FROM t",
         "SELECT ('to' || 'day')::date", "SELECT lower('x')::date", "SELECT a::time FROM t",
         "SELECT ARRAY['2024-01-01']::date[]", "SELECT a::\"char\" FROM t",
         "SELECT a::record FROM t", "SELECT TIME WITH TIME ZONE '12:00'", "SELECT mood('x')",
         "SELECT '[2024-01-01,)'::daterange", "SELECT * FROM unnest(ARRAY[1]) AS x(a date)"});
    check(NotCached::type_not_proven,
          {"SELECT a::pg_temp.level FROM t", "SELECT a::pg_catalog.level FROM t"});
    check(NotCached::none,
          {"SELECT a::pg_catalog.uuid FROM t", "SELECT a::level, $1::public.level[] FROM t",
           "SELECT level(a), (a).level FROM t"});
}

TEST_CASE("a call of a type's name is judged as the cast it may be") {
    check(
        NotCached::type_not_proven,
        {"SELECT date(a) FROM t", "SELECT pg_catalog.date(a) FROM t",
         "SELECT timestamptz('n' || 'ow')", "SELECT daterange(a) FROM t", "SELECT (a).date FROM t",
         "SELECT (a)._date FROM t", "SELECT (a).mood FROM t", "SELECT btrim(a) FROM t",
         "SELECT x.date FROM unnest(ARRAY['a']) x", "SELECT unnest.date FROM unnest(ARRAY['a'])",
         "SELECT d.date FROM unnest(ARRAY['a']) d(day)", "SELECT x.mood FROM unnest(ARRAY['a']) x",
         "SELECT x.date FROM coalesce('a', 'b') x",
         "SELECT * FROM t WHERE date(lower(a)) = '2024-01-01'"});
    check(NotCached::none,
          {"SELECT date('2024-01-01'), date($1)", "SELECT daterange(a, b) FROM t",
           "SELECT t.date, t.daterange FROM t", "SELECT pg_catalog.btrim(a), btrim(a, b) FROM t",
           "SELECT d.date, t.date FROM generate_series(1, 2) AS d(date), t",
           "SELECT d.date, t.date, t.mood FROM unnest(ARRAY['a']) d(date), t",
           "SELECT x.day FROM unnest(ARRAY['a']) x(day)"});
    std::string many = "SELECT x.date FROM generate_series(1, 2) AS x(date)";
    for (int i = 0; i < 16; ++i) many += ", unnest(ARRAY['a']) y" + std::to_string(i);
    CHECK(judged(many).not_cached == NotCached::none);
    CHECK(judged(many + ", unnest(ARRAY['a']) y").not_cached == NotCached::type_not_proven);
}

TEST_CASE("date input that may mean the current time is not cached") {
    check(NotCached::special_date_input,
          {"SELECT 'now'::timestamp", "SELECT * FROM t WHERE d = 'today'", "SELECT DATE 'Tomorrow'",
           "SELECT $$yesterday$$::date", "SELECT '{today,2024-01-01}'::date[]",
           "SELECT * FROM t WHERE d < ' TODAY '", "SELECT E'to\\day'::date",
           "SELECT 'x', 'know now'"});
    check(NotCached::none, {"SELECT 'snow', 'nowadays', 'todays', 'known', 'Monday'"});
    check(NotCached::not_understood,
          {"SELECT 'to'\n'day'::date", "SELECT U&'t\\006fday'::date", "SELECT E'to\\144ay'::date"});
}

TEST_CASE("statements that lock, write, draw or show physical places are not cached") {
    check({{"SELECT * FROM t FOR UPDATE", NotCached::locking_clause},
           {"SELECT * FROM t FOR SHARE OF t SKIP LOCKED", NotCached::locking_clause},
           {"SELECT * FROM (SELECT * FROM t FOR NO KEY UPDATE) x", NotCached::locking_clause},
           {"WITH x AS (SELECT * FROM t FOR KEY SHARE) SELECT 1", NotCached::locking_clause},
           {"SELECT * INTO n FROM t", NotCached::select_into},
           {"WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", NotCached::writes},
           {"WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", NotCached::writes},
           {"SELECT * FROM t TABLESAMPLE system (10)", NotCached::tablesample},
           {"SELECT * FROM t TABLESAMPLE bernoulli (10) REPEATABLE (1)", NotCached::tablesample},
           {"SELECT ctid FROM t", NotCached::system_column},
           {"SELECT t.xmin FROM t", NotCached::system_column},
           {"SELECT * FROM t WHERE xmax = '0'", NotCached::system_column},
           {"SELECT public.t.cmin FROM public.t", NotCached::system_column},
           {"SELECT cmax FROM t", NotCached::system_column},
           {"SELECT (t).ctid FROM t", NotCached::system_column},
           {"SELECT (public.t).xmin FROM t", NotCached::system_column},
           {"SELECT a FROM t WHERE (t).\"xmax\" = '0'", NotCached::system_column},
           {"SELECT (x.t).cmax FROM (SELECT t FROM t) x", NotCached::system_column},
           {"SELECT (t).tableoid, (t).a FROM t", NotCached::none},
           {"SELECT 1; SELECT 2", NotCached::several_statements},
           {"INSERT INTO t VALUES (1)", NotCached::not_a_read},
           {"SHOW work_mem", NotCached::not_a_read},
           {"EXPLAIN SELECT 1", NotCached::not_a_read},
           {"COPY t TO STDOUT", NotCached::not_a_read},
           {"", NotCached::not_a_read},
           {"BEGIN", NotCached::not_a_read},
           {"WITH RECURSIVE x AS (SELECT 1) CYCLE a SET b USING c SELECT * FROM x",
            NotCached::function_not_immutable},
           {"selct 1", NotCached::not_understood},
           {"SELECT 'open", NotCached::not_understood}});
    CHECK(judged_without_catalog("SELECT * FROM t").not_cached == NotCached::no_catalog);
    CHECK(judged_without_catalog("SELECT now()").not_cached == NotCached::no_catalog);
}

TEST_CASE("a statement of very many relations is too complex") {
    Catalog many = Builder().take();
    std::string sql = "SELECT 1 FROM t";
    for (Oid i = 0; i < 70; ++i) {
        const std::string name = "many" + std::to_string(i);
        many.relations[kPublic][name] = {
            .oid = 1000 + i, .schema = kPublic, .name = name, .plain_types = true};
        sql += ", " + name;
    }
    CHECK(judge(sql, {.search_path = {"public"}, .catalog = &many})->not_cached ==
          NotCached::too_complex);
}

TEST_CASE("a declared parameter type may be cached only if its meaning is in its bytes") {
    for (const Oid good :
         {0u, 16u, 20u, 23u, 25u, 1043u, 1082u, 1114u, 1184u, 1700u, 2950u, 3802u, 1007u, 705u})
        CHECK(plain_parameter_type(good));
    for (const Oid bad : {2205u, 24u, 2202u, 2206u, 1266u, 2249u, 16384u, 4294967295u, 2210u, 142u})
        CHECK_FALSE(plain_parameter_type(bad));
}

TEST_CASE("D13: a name beyond ASCII is in doubt where an encoding is not UTF8") {
    const auto other = [](std::string_view sql) {
        return *judge(sql,
                      {.search_path = {"public"}, .catalog = &catalog(), .other_encoding = true});
    };
    for (const char* sql : {"SELECT a AS \"\xC3\xA9\" FROM t", "SELECT \xE9 FROM t",
                            "SELECT * FROM U&\"\\00e9\"", "WITH \xE9 AS (SELECT 1) SELECT 1"}) {
        CAPTURE(std::string(sql));
        CHECK(other(sql).not_cached == NotCached::client_encoding);
        CHECK(other(sql).reads.empty());
    }
    for (const char* sql : {"SELECT a FROM t WHERE b = '\xC3\xA9'", "SELECT a /* \xE9 */ FROM t"})
        CHECK(other(sql).not_cached == NotCached::none);
    for (const char* sql :
         {"UPDATE t SET a = 1 FROM \"\xE9\"", "DELETE FROM \"\xE9\"",
          "INSERT INTO t (\"\xE9\") VALUES (1)", "COPY t (\"\xE9\") FROM STDIN"}) {
        CAPTURE(std::string(sql));
        CHECK(other(sql).writes == Writes::database);
        CHECK(other(sql).written.empty());
    }
    CHECK(other("UPDATE t SET a = '\xE9'").writes == Writes::relations);
    CHECK(other("DO 'BEGIN PERFORM \"\xE9\"(); END'").writes == Writes::all_databases);
    CHECK(judged("SELECT a AS \"\xC3\xA9\" FROM t").not_cached == NotCached::none);
}
