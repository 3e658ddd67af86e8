// Fingerprints and texts without constants, and the splitting of search_path.
#include <doctest/doctest.h>

#include "pgweir/query/verdict.hpp"
#include "support/amount.hpp"

using namespace pgweir::query;
using pgweir::testing::amount;

namespace {
bool same(std::string_view a, std::string_view b) {
    CAPTURE(a);
    CAPTURE(b);
    return fingerprint(a) == fingerprint(b);
}
using Names = std::vector<std::string>;
}  // namespace

TEST_CASE("a fingerprint is the same for other constants, lists, rows, comments, blanks and case") {
    CHECK(same("SELECT 1", "select  2 ;"));
    CHECK(same("SELECT a FROM t WHERE b = 'x'", "select A from T where b = $1 -- c"));
    CHECK(same("SELECT a FROM t WHERE b = -1", "SELECT a FROM t WHERE b = 1.5"));
    CHECK(same("SELECT * FROM t WHERE a IN (1)", "SELECT * FROM t WHERE a IN (1, 2, 3, 'x')"));
    CHECK(same("SELECT * FROM t WHERE a IN ($1, $2) AND b = 1",
               "SELECT * FROM t WHERE a IN ($1) AND b = 2"));
    CHECK(same("SELECT * FROM t WHERE a NOT IN (-1, 2)", "SELECT * FROM t WHERE a NOT IN (3)"));
    CHECK(same("SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4))",
               "SELECT * FROM t WHERE (a, b) IN ((5, 6))"));
    CHECK(same("SELECT * FROM t WHERE a = ANY (ARRAY[1, 2, 3])",
               "SELECT * FROM t WHERE a = ANY (ARRAY[1])"));
    CHECK(same("INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES (3, 4), (5, 6), (7, 8)"));
    CHECK(same("INSERT INTO t VALUES (1, now()) RETURNING a",
               "INSERT INTO t VALUES (1, now()), (2, now()) RETURNING a"));
    CHECK(same("SELECT * FROM (VALUES (1), (2)) x WHERE a = 1",
               "SELECT * FROM (VALUES (1)) x WHERE a = 1"));
    CHECK(same("SELECT /* hint */ 1", "SELECT 1"));
}

TEST_CASE("a fingerprint does not look at names of columns, forms of constants and brackets") {
    CHECK(same("SELECT a AS x FROM t AS u", "SELECT a AS \"Y\" FROM t AS v"));
    CHECK(same("SELECT a AS x, b", "SELECT a AS y, b"));
    CHECK(same("SELECT * FROM t WHERE a = NULL AND b = TRUE",
               "SELECT * FROM t WHERE a = 1 AND b = false"));
    CHECK(same("INSERT INTO t VALUES (1, NULL)", "INSERT INTO t VALUES (NULL, 'a'), (2, 'b')"));
    CHECK(same("SELECT extract(year FROM a)", "SELECT EXTRACT (MONTH FROM a)"));
    CHECK(same("SELECT a + DATE '2026-01-01'", "SELECT a + '2025-01-01'::date"));
    CHECK(same("SELECT a ^ (-1)", "SELECT a ^ 2"));
    CHECK_FALSE(same("SELECT CAST(a AS int)", "SELECT CAST(a AS text)"));
    CHECK_FALSE(same("SELECT a IS NULL", "SELECT a IS TRUE"));
    CHECK_FALSE(same("SELECT a IS NOT NULL", "SELECT a IS NULL"));
    CHECK_FALSE(same("CREATE TABLE a AS SELECT 1", "CREATE TABLE a AS VALUES (1)"));
    CHECK_FALSE(same("SELECT f(1)", "SELECT f 1"));
    CHECK_FALSE(same("SELECT 1", "SELECT 'a'"));
    CHECK_FALSE(same("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT * FROM a"));
    CHECK_FALSE(same("SELECT * FROM t AS", "SELECT * FROM t"));
}

TEST_CASE("a fingerprint takes a constant's type for what PostgreSQL takes it") {
    CHECK(same("SELECT a + timestamp with time zone '2026-01-01'",
               "SELECT a + '2025-01-01'::timestamptz"));
    CHECK(same("SELECT a + interval '1' day", "SELECT a + interval '1 2:03' day to second (2)"));
    CHECK(same("SELECT a + interval '1 2'  day to hour", "SELECT a + '3 days'::interval"));
    CHECK(same("SELECT a::pg_catalog.int4", "SELECT a::int4"));
    CHECK(same("SELECT '1'::double precision", "SELECT '2'::float8"));
    CHECK(same("SELECT a = ANY ('{1}'::int[])", "SELECT a = ANY ('{1,2}')"));
    CHECK(same("SELECT f(a, 'x'::text)", "SELECT f(a, 'y')"));
    CHECK(same("SELECT '5'::jsonb @> '5'", "SELECT '{}'::jsonb @> '[]'::jsonb"));
    CHECK(same("SELECT '{}' @> '[]'::jsonb", "SELECT '{}'::jsonb @> '[]'"));
    CHECK(same("SELECT 1::int", "SELECT 2"));
    CHECK(same("SELECT 1.5", "SELECT 'NaN'::numeric"));
    CHECK(same("SELECT 'a'\n'b', c", "SELECT 'd', c"));
    CHECK(same("SELECT * FROM t AS u (a, b)", "SELECT * FROM t AS v"));
    CHECK(same("SELECT '2026-01-01' AT TIME ZONE 'UTC'",
               "SELECT '2026-01-01'::timestamptz AT TIME ZONE 'UTC'"));
    CHECK_FALSE(same("SELECT '{}'::jsonb -> 'a'", "SELECT '[]'::jsonb -> 1"));
    CHECK_FALSE(same("SELECT '{}'::jsonb -> 'a'", "SELECT '{}'::json -> 'a'"));
    CHECK_FALSE(same("SELECT '1'::money / 2::int8", "SELECT '1'::money / 2::float4"));
    CHECK_FALSE(same("SELECT a = '1'::int8", "SELECT a = '1'::date"));
    CHECK_FALSE(same("SELECT a::int8", "SELECT a::date"));
    CHECK_FALSE(same("SELECT 'a'::varchar(5)", "SELECT 'a'::varchar(6)"));
    CHECK_FALSE(same("SELECT * FROM f() AS u (a int, b int)", "SELECT * FROM f() AS u (a int)"));
    CHECK_FALSE(same("SELECT a AT TIME ZONE 'UTC'", "SELECT '2026-01-01' AT TIME ZONE 'UTC'"));
    // Half a type, a slice, brackets that nothing closes.
    for (const auto* odd :
         {"SELECT 1:", "SELECT 1::", "SELECT a[1:2]", "SELECT '1'::(", "SELECT 1::a.",
          "SELECT interval '1' second (", "SELECT a AS b (", "SELECT '1' :: ::"})
        CHECK_FALSE(same(odd, "SELECT 1"));
}

TEST_CASE("a fingerprint costs no more than a text is long, whatever stands in it") {
    for (const std::string piece : {"'1'::a||", "1::int[]+", "'a' 'b' ", "AS x (a int, b ", "1 AT ",
                                    "interval '1' second (2) ", "(-1)^", "zone ", "f('x'::text,"}) {
        std::string text = "SELECT ";
        while (text.size() < amount(2'000'000u)) text += piece;
        CHECK(fingerprint(text) != 0);  // or the test's time limit tells
    }
}

TEST_CASE("a fingerprint tells different queries apart") {
    CHECK_FALSE(same("SELECT a FROM t", "SELECT b FROM t"));
    CHECK_FALSE(same("SELECT a FROM t", "SELECT a FROM \"T\""));
    CHECK_FALSE(same("SELECT f(1)", "SELECT f(1, 2)"));
    CHECK_FALSE(same("SELECT a - 1", "SELECT a + 1"));
    CHECK_FALSE(same("SELECT * FROM t WHERE a IN (1)", "SELECT * FROM t WHERE a NOT IN (1)"));
    CHECK_FALSE(same("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1, 2)"));
    CHECK_FALSE(same("INSERT INTO t VALUES (1), (now())", "INSERT INTO t VALUES (1), (2)"));
    CHECK_FALSE(same("SELECT 1, 2", "SELECT 1"));
    CHECK_FALSE(same("SELECT ab", "SELECT a b"));
    CHECK_FALSE(same("SELECT 1", "SELECT 1; SELECT 1"));
}

TEST_CASE("a fingerprint is the same in every run") {
    CHECK(fingerprint("SELECT a FROM t WHERE b = 5") == fingerprint("SELECT a FROM t WHERE b = 6"));
    CHECK(fingerprint("") == fingerprint(" -- nothing"));
}

TEST_CASE("normalised text has no constants and no comments") {
    CHECK(normalise("SELECT 1") == "SELECT $1");
    CHECK(normalise("SELECT  a,\n b -- c\nFROM t WHERE x = 'secret' AND y = -5") ==
          "SELECT a, b FROM t WHERE x = $1 AND y = -$2");
    CHECK(normalise("SELECT $2, 'a', $1, 2") == "SELECT $2, $3, $1, $4");
    CHECK(normalise("SELECT E'a\\'b', $$x$$, B'1', 1.5e3") == "SELECT $1, $2, $3, $4");
    CHECK(normalise("SELECT \"Quoted\" FROM t /* note */ ;") == "SELECT \"Quoted\" FROM t ;");
    CHECK(normalise("SELECT 'open secret") == "SELECT ...");
    CHECK(normalise("") == "");
    CHECK(normalise("UPDATE u SET password='hunter2'WHERE id=3") ==
          "UPDATE u SET password=$1WHERE id=$2");
    CHECK(normalise("SELECT abcdef", 10) == "SELECT abc");
    CHECK(normalise("SELECT \"\xC3\xA4\xC3\xA4\"", 10) == "SELECT \"\xC3\xA4");
    CHECK(normalise(std::string(100000, 'a'), 50).size() == 50);
}

TEST_CASE("search_path is split as PostgreSQL does it") {
    CHECK(split_search_path("public") == Names{"public"});
    CHECK(split_search_path("\"$user\", public") == Names{"$user", "public"});
    CHECK(split_search_path("  A ,b  ,\tC ") == Names{"a", "b", "c"});
    CHECK(split_search_path("\"A b\",\"x\"\"y\"") == Names{"A b", "x\"y"});
    CHECK(split_search_path("$user") == Names{"$user"});
    CHECK(split_search_path("\"a,b\"") == Names{"a,b"});
    CHECK(split_search_path("\xC3\x84") == Names{"\xC3\x84"});
    CHECK(split_search_path(std::string(70, 'x')) == Names{std::string(63, 'x')});
    for (const auto* nonsense :
         {"", "  ", ",", "a,", ",a", "a b", "\"a", "\"\"", "\"a\"b", "a,,b"}) {
        CAPTURE(nonsense);
        CHECK(split_search_path(nonsense).empty());
    }
}
