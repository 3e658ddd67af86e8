// Shapes: what they tell apart, what they do not, and that verdicts go by them.
#include <doctest/doctest.h>

#include <random>

#include "fixture.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;

namespace {
bool same(const std::string& a, const std::string& b) {
    const TextScan x = scan_text(a), y = scan_text(b);
    CAPTURE(a);
    CAPTURE(b);
    CHECK(x.lexed);
    CHECK(y.lexed);
    return x.shape == y.shape;
}
bool lexed(std::string_view sql) { return scan_text(sql).lexed; }
bool special(std::string_view sql) { return scan_text(sql).special_datetime; }
}  // namespace

TEST_CASE("texts that differ in constants, comments, white space or case of words have one shape") {
    CHECK(same("SELECT 1", "select 2"));
    CHECK(same("SELECT 1", "SELECT 2147483647"));
    CHECK(same("SELECT 1", "SELECT 0000000000000000007"));
    CHECK(same("SELECT 2147483648", "SELECT 99999999999999999999"));
    CHECK(same("SELECT 1.5", "SELECT .5"));
    CHECK(same("SELECT 1.", "SELECT 1e10"));
    CHECK(same("SELECT 1.5e-3", "SELECT 1E+5"));
    CHECK(same("SELECT 'a'", "SELECT 'it''s -- no comment /* at all'"));
    CHECK(same("SELECT ''", "SELECT 'back\\'"));
    CHECK(same("SELECT E'a'", "SELECT e'it\\'s \\n'"));
    CHECK(same("SELECT B'01'", "SELECT b''"));
    CHECK(same("SELECT X'1F'", "SELECT x'ab'"));
    CHECK(same("SELECT N'a'", "SELECT n'b'"));
    CHECK(same("SELECT U&'a'", "SELECT u&'b'"));
    CHECK(same("SELECT $$a$$", "SELECT $tag$ $$ ' $not$ $tag$"));
    CHECK(same("SELECT  a ,  b", "  select\ta\n,\r\nb  "));
    CHECK(same("SELECT a -- note\nFROM t", "SELECT a /* x /* nested */ y */ FROM t"));
    CHECK(same("SELECT a--note\r, b", "SELECT a , b"));
    CHECK(same("SELECT 1 -- last", "SELECT 1"));
    CHECK(same("SELECT a FROM t LIMIT 5", "SELECT a FROM t LIMIT 6"));
    CHECK(
        same("\xC3\x84"
             "b",
             "\xC3\x84"
             "B"));
    CHECK(same("f(1,2)", "f(3,4)"));
    CHECK(same("t.a=.5", "t.a=1.5"));
}

TEST_CASE("texts whose tokens differ have different shapes") {
    const std::vector<std::string> texts = {
        "SELECT 1",       "SELECT 2147483648", "SELECT 1.5",         "SELECT 'a'",
        "SELECT E'a'",    "SELECT B'1'",       "SELECT X'1'",        "SELECT N'1'",
        "SELECT U&'a'",   "SELECT $$a$$",      "SELECT $1",          "SELECT $2",
        "SELECT a",       "SELECT \"a\"",      "SELECT \"A\"",       "SELECT a1",
        "SELECT a2",      "SELECT -1",         "SELECT - 1",         "SELECT - -1",
        "SELECT +1",      "SELECT 1-1",        "SELECT 1 -1",        "SELECT 1,1",
        "SELECT (1)",     "SELECT 1 a",        "SELECT 1;",          "SELECT a.b",
        "SELECT a. b",    "SELECT a b",        "SELECT ab",          "SELECT a||b",
        "SELECT a| |b",   "SELECT a |b",       "SELECT a<b",         "SELECT a<=b",
        "SELECT a< =b",   "SELECT a::int",     "SELECT a::int4",     "SELECT a:int",
        "SELECT a[1]",    "SELECT a[1:2]",     "SELECT a[:2]",       "SELECT e 'a'",
        "SELECT 'a' e",   "SELECT ae",         "SELECT $1a$2",       "SELECT \"a\"\"b\"",
        "SELECT \"a b\"", "SELECT \"a  b\"",   "SELECT \"a\" \"b\"", "SELECT 'a' 1",
        "SELECT 1 'a'",   "SELECT xe'a'",      "SELECT a'b'",        "SELECT a$1",
        "SELECT a $1",    "SELECT \xC3\xA4",   "SELECT \xC3\x84",    "SELECT e",
        "SELECT u&a",     "SELECT u & 'a'"};
    for (std::size_t i = 0; i < texts.size(); ++i) {
        for (std::size_t j = i + 1; j < texts.size(); ++j) {
            CAPTURE(texts[i]);
            CAPTURE(texts[j]);
            CHECK_FALSE(scan_text(texts[i]).shape == scan_text(texts[j]).shape);
        }
    }
}

TEST_CASE("what is odd is not understood and is its own shape") {
    for (const std::string_view odd : {"SELECT 'open",
                                       "SELECT E'a\\",
                                       "SELECT E'\\x41'",
                                       "SELECT E'\\u0041'",
                                       "SELECT E'\\101'",
                                       "SELECT \"open",
                                       "SELECT \"\"",
                                       "SELECT $a$open",
                                       "SELECT $a",
                                       "SELECT $",
                                       "SELECT /* open",
                                       "SELECT /* /* */",
                                       "SELECT ..5",
                                       "SELECT 1a",
                                       "SELECT 0x1F",
                                       "SELECT 1_000",
                                       "SELECT 1e",
                                       "SELECT 1e+",
                                       "SELECT 1.2.3",
                                       "SELECT 1..2",
                                       "SELECT 1$1",
                                       "SELECT $1a",
                                       "SELECT \\d",
                                       "SELECT {a}",
                                       "SELECT \v",
                                       "SELECT \x01",
                                       "SELECT \x7f",
                                       "SELECT 'a' 'b'",
                                       "SELECT 'a'\n'b'",
                                       "SELECT 'a' -- c\n 'b'",
                                       "SELECT 'a'/**/'b'",
                                       "SELECT E'a'\n'b'",
                                       "SELECT $$a$$'b'",
                                       "SELECT 'a'$$b$$",
                                       "SELECT $$a$$$$b$$",
                                       "SELECT $$a$$1",
                                       "SELECT $$a$$b",
                                       "SELECT U&\"a\"",
                                       "SELECT U&'\\0041'",
                                       "SELECT U&'a' UESCAPE '!'",
                                       "SELECT U&'a' /**/ uescape '!'",
                                       "SELECT U&'a' -- x\n uescape '!'",
                                       "SELECT $12345678"}) {
        CAPTURE(odd);
        CHECK_FALSE(lexed(odd));
        CHECK(special(odd));
    }
    using namespace std::string_view_literals;
    for (const auto with_nul :
         {"SELECT \0"sv, "SELECT 'a\0b'"sv, "SELECT \"a\0b\""sv, "SELECT $$a\0b$$"sv,
          "SELECT 1 --\0"sv, "SELECT /*\0*/ 1"sv, "\0"sv})
        CHECK_FALSE(lexed(with_nul));
    CHECK_FALSE(scan_text("SELECT 'a").shape == scan_text("SELECT 'b").shape);
    CHECK(scan_text("SELECT 'a").shape == scan_text("SELECT 'a").shape);
}

TEST_CASE("no raw text can pass for the shape of another (S47)") {
    // The shape's own bytes, given as text: control characters are not lexed, and hash otherwise.
    CHECK_FALSE(scan_text("select \x01").shape == scan_text("SELECT 1").shape);
    CHECK_FALSE(scan_text("select \x04").shape == scan_text("SELECT 'a'").shape);
}

TEST_CASE("operators end before a comment, and division and minus are operators") {
    CHECK(same("SELECT a+--x\nb", "SELECT a+ b"));
    CHECK(same("SELECT a*/*x*/b", "SELECT a* b"));
    CHECK(same("SELECT a@/*x*/-1", "SELECT a@ -2"));
    CHECK(same("SELECT a/b", "select A/B"));
    CHECK(same("SELECT a-b", "select A-B"));
    CHECK(same("SELECT /**//**/1", "SELECT 2"));
    CHECK(same("SELECT/***/1", "SELECT 2"));
    CHECK(same("SELECT /*/ x */ 1", "SELECT 2"));
}

TEST_CASE("the words for the current time are found in every kind of string and nowhere else") {
    for (const auto* sql : {"SELECT 'now'",
                            "SELECT 'NOW'",
                            "SELECT ' today '",
                            "SELECT 'today'",
                            "SELECT 'tomorrow'",
                            "SELECT 'Yesterday'",
                            "SELECT $$now$$",
                            "SELECT $x$ a today $x$",
                            "SELECT E'now'",
                            "SELECT E'\\now'",
                            "SELECT '{2024-01-01,now}'",
                            "SELECT '[today,)'",
                            "SELECT '2024now'",
                            "SELECT '{to\\day}'",
                            "SELECT '{\\n\\o\\w}'",
                            "SELECT '[to\"day\",)'",
                            "SELECT $$[\"to\"\"mor\"row,)$$",
                            "SELECT N'now'",
                            "SELECT 'a' || 'now'",
                            "SELECT 'today''s'",
                            "SELECT 'now\xC3\xA4'"}) {
        CAPTURE(sql);
        CHECK(special(sql));
    }
    for (const auto* sql : {"SELECT now",
                            "SELECT \"now\"",
                            "SELECT 'know'",
                            "SELECT 'snow white'",
                            "SELECT 'nowhere'",
                            "SELECT 'w'",
                            "SELECT 'y'",
                            "SELECT 'ow'",
                            "SELECT 'toda'",
                            "SELECT 'day'",
                            "SELECT 'yesterdays'",
                            "SELECT 1 -- 'now'",
                            "SELECT /* 'today' */ 1",
                            "SELECT 'to/day'",
                            "SELECT '\\ow'",
                            "SELECT '\"y'",
                            "SELECT 'kn\\ow'",
                            "SELECT 'xnow'",
                            "SELECT '2024-01-01 12:00:00'",
                            "SELECT ''"}) {
        CAPTURE(sql);
        CHECK_FALSE(special(sql));
    }
    CHECK(special_datetime_word("now"));
    CHECK(special_datetime_word("  TODAY"));
    CHECK(special_datetime_word("{yesterday}"));
    CHECK(special_datetime_word("{yes\\terday}"));
    using namespace std::string_view_literals;
    CHECK(special_datetime_word("\0\0\0\x05today\0\0\0\x01x"sv));
    CHECK(special_datetime_word("\0\0\0ytoday "sv));
    CHECK(special_datetime_word("\0\0\0\x08to\\morrow"sv));
    CHECK_FALSE(special_datetime_word("\0\0\0\x05monday"sv));
    CHECK_FALSE(special_datetime_word("\0\0\0y"sv));
    CHECK_FALSE(special_datetime_word(""));
    CHECK_FALSE(special_datetime_word("snow"));
    CHECK_FALSE(special_datetime_word("2024-05-06"));
}

TEST_CASE("a string's prefix at the end of the buffer is judged by the text before it") {
    // What stands for the text before is a hash, so many texts are tried.
    std::size_t refused = 0;
    for (std::size_t size = 2020; size < 2040; ++size)
        for (char first = 'a'; first <= 'z'; ++first)
            for (char second = 'a'; second <= 'z'; ++second) {
                const auto text = std::string("SELECT ") + first + second + std::string(size, 'c');
                if (!lexed(text + " e'b'")) ++refused;
            }
    CHECK(refused == 0);
    CHECK_FALSE(lexed("SELECT " + std::string(2030, 'c') + " 'a' e'b'"));
    CHECK_FALSE(lexed("SELECT " + std::string(2030, 'c') + " 'a' U&'b'"));
}

TEST_CASE("texts longer than the buffer keep their differences and their equality") {
    for (const std::size_t size : {1000u, 2030u, 2031u, 2032u, 2039u, 2040u, 2041u, 2047u, 2048u,
                                   2049u, 2060u, 4100u, 70000u}) {
        const std::string pad(size, 'c'), spaced(size, ' ');
        CAPTURE(size);
        CHECK(same("SELECT " + pad + ", 1", "select " + pad + ", 22"));
        CHECK(same("SELECT \"" + pad + "\", 1", "SELECT \"" + pad + "\", 2"));
        CHECK(same("SELECT " + spaced + "1, 2", "SELECT 3, 4"));
        CHECK(same("SELECT '" + pad + "'", "SELECT 'x'"));
        CHECK(same("SELECT /*" + pad + "*/ 1", "SELECT 1"));
        CHECK_FALSE(same("SELECT " + pad + "x, 1", "SELECT " + pad + "y, 1"));
        CHECK_FALSE(same("SELECT " + pad + " x, 1", "SELECT " + pad + "x, 1"));
        CHECK_FALSE(same("SELECT " + pad + ", 1", "SELECT " + pad + ", 'a'"));
        CHECK_FALSE(lexed("SELECT " + pad + " 'a' 'b'"));
        CHECK_FALSE(lexed("SELECT " + pad + " 'a'\n'b'"));
        CHECK(same("SELECT " + pad + " e'b'", "SELECT " + pad + " e'c'"));
        CHECK_FALSE(same("SELECT " + pad + "e'b'", "SELECT " + pad + " e'b'"));
        CHECK_FALSE(same("SELECT " + pad + "1, 2", "SELECT " + pad + "2, 2"));
    }
}

namespace {
/// The same statement with other constants, blanks, comments and case of words.
std::string varied(std::string_view sql, std::mt19937& random) {
    std::string out;
    const auto pick = [&](std::initializer_list<const char*> from) {
        return *(from.begin() + random() % from.size());
    };
    for (const char c : sql) {
        if (c == '#')
            out += pick({"0", "1", "7", "42", "2147483647", "007"});
        else if (c == '~')
            out += pick({"''", "'a'", "'O''Hara'", "'x; drop table t'", "'-- /*'", "'$$'", "'true'",
                         "'t'"});
        else if (c == '@')
            out += pick({"1.5", ".5", "1e5", "3."});
        else if (c == ' ')
            out += pick({" ", "  ", "\n", "\t", " /* c */ ", " -- d\n"});
        else
            out.push_back(c >= 'a' && c <= 'z' && random() % 3 == 0 ? static_cast<char>(c - 32)
                                                                    : c);
    }
    return out;
}

bool same_verdict(const Verdict& a, const Verdict& b) {
    return a.kind == b.kind && a.pin == b.pin && a.may_leave_state == b.may_leave_state &&
           a.may_end_transaction == b.may_end_transaction && a.writes == b.writes &&
           a.written == b.written && a.not_cached == b.not_cached && a.reads == b.reads &&
           a.literal_dependent == b.literal_dependent && a.timed == b.timed &&
           a.isolation_changed == b.isolation_changed;
}
}  // namespace

TEST_CASE("texts of equal shape have equal verdicts unless these say otherwise (S47)") {
    std::mt19937 random(4711);
    for (const std::string_view sql :
         {"select * from t where id = # and b = ~ limit #",
          "select a + @ from t where b in (#, #) order by #",
          "select ~::date",
          "select ~::varchar(#), interval ~ second(#)",
          "insert into t values (#, ~, @), (#, ~, @) returning a",
          "update t set a = -# where b = ~",
          "delete from u where a between # and #",
          "select ~::regclass",
          "select nextval(~)",
          "select pg_advisory_lock(#)",
          "with x as (select # from t) select * from x offset #",
          "select substring(a from # for #) from t",
          "select (array[#, #])[#]",
          "create table x (a varchar(#) default ~, b numeric(#, #))",
          "copy t from ~ with (format csv, delimiter ~)",
          "notify a, ~",
          "comment on table t is ~",
          "prepare transaction ~",
          "vacuum t",
          "explain select #",
          "values (#), (~)",
          "select * from triggered where a = ~; select #",
          "merge into t using u on t.a = # when matched then update set b = ~",
          "select float(#)",
          "select own_writer(~)",
          "select date ~, timestamp ~",
          "select case when a = # then ~ else ~ end from t",
          "select * from generate_series(#, #) g",
          "lock table t",
          "truncate t",
          "nonsense # ~ @",
          "select row_number() over (order by a rows # preceding) from t",
          "listen a",
          "select # from t fetch first # rows only",
          "select #;",
          "execute s(#, ~)"}) {
        const std::string first = varied(sql, random);
        const TextScan scan = scan_text(first);
        const Verdict verdict = judged(first);
        CAPTURE(first);
        CHECK(scan.lexed);
        CHECK_FALSE(verdict.literal_dependent);
        for (int i = 0; i < 40; ++i) {
            const std::string other = varied(sql, random);
            CAPTURE(other);
            CHECK(scan_text(other).shape == scan.shape);
            CHECK(same_verdict(judged(other), verdict));
        }
    }
}

TEST_CASE("a verdict that looked at a literal holds for its text only") {
    for (const char* sql :
         {"SET x = 1", "SELECT set_config('a', 'b', true)", "EXPLAIN (ANALYZE 0) SELECT 1",
          "SELECT 'today'::date", "SELECT 'a'\n'b'", "CREATE FUNCTION f() LANGUAGE 'c' AS 'x'"}) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK(judged(sql).literal_dependent);
    }
    for (const char* sql :
         {"SELECT 1", "INSERT INTO t VALUES ('x', 5)", "nonsense", "SELECT 'x'::regclass", "COMMIT",
          "EXPLAIN SELECT 1", "EXPLAIN (ANALYZE) SELECT 1",
          "CREATE TABLE x (a varchar(10) DEFAULT 'x')"}) {
        const std::string text = sql;
        CAPTURE(text);
        CHECK_FALSE(judged(sql).literal_dependent);
    }
}
