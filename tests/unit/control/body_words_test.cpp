// What the bodies of functions are taken for, word by word.
#include "pgweir/query/body_words.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "../../../src/control/builtins.hpp"

using namespace pgweir::control;
using namespace pgweir::query;

namespace {

std::set<std::string> names(std::string_view body) {
    std::set<std::string> found;
    scan_body(body, [&](std::string_view n) { found.emplace(n); });
    return found;
}
BodyFacts facts(std::string_view body) {
    return scan_body(body, [](std::string_view) {});
}
bool harmless(std::string_view body) {
    const auto f = facts(body);
    return !f.leaves_state && !f.runs_text;
}

}  // namespace

TEST_CASE("SET of an UPDATE is no setting, every other SET is") {
    CHECK(harmless("UPDATE t SET a = 1"));
    CHECK(harmless("begin update only s.t * as x set a = 1 where b = 2; end"));
    CHECK(harmless("INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2"));
    CHECK(harmless("MERGE INTO t USING u ON a = b WHEN MATCHED THEN UPDATE SET a = 1"));
    CHECK(harmless("UPDATE \"T\" SET a = 1; UPDATE u SET b = 2"));
    CHECK(!harmless("SET work_mem = '1MB'"));
    CHECK(!harmless("UPDATE t SET a = 1; SET work_mem = 1"));
    CHECK(!harmless("for r in select * from t for update loop set x = 1; end loop"));
    CHECK(!harmless("for r in select * from t for no key update loop set x = 1; end loop"));
    CHECK(!harmless("if a.update then set x = 1; end if"));
    CHECK(!harmless("declare update int; begin set x = 1; end"));
    CHECK(!harmless("begin <<update>> set x = 1; end"));
    CHECK(!harmless("update t /* set */ set a = 1 set b = 2"));
}

TEST_CASE("words that leave state behind are seen in any case and through comments") {
    for (const auto* body :
         {"RESET ALL", "create temp table x(a int)", "LISTEN c", "unlisten *", "LOAD 'x'",
          "declare c cursor with Hold for select 1", "DISCARD all", "prepare p as select 1",
          "select Set_Config('a','b',false)", "select \"set_config\"('a','b',false)",
          "select setseed(0.5)", "select pg_advisory_lock(1)", "select pg_try_advisory_lock(1)",
          "select pg_catalog.pg_advisory_unlock_all()", "select dblink_connect('x')",
          "insert into pg_temp.t values (1)", "select/**/set_config('a','b',false)",
          "alter role x set y = 1", "s/*/* */ */et x; set/*x*/x = 1"})
        CHECK_MESSAGE(!harmless(body), std::string(body));
    CHECK(harmless("select pg_advisory_xact_lock(1)"));
    CHECK(harmless("select 'SET x = 1', $$reset all$$, $q$ listen $q$ -- discard all\n"));
    CHECK(harmless("select 1 /* set x /* reset */ */"));
}

TEST_CASE("text that is run as SQL is harmful whatever it says") {
    CHECK(facts("begin execute 'select 1'; end").runs_text);
    CHECK(facts("begin return query execute format('x'); end").runs_text);
    CHECK(facts("DO $$ begin end $$").runs_text);
    CHECK(facts("DO 'begin end'").runs_text);
    CHECK(facts("DO LANGUAGE plpgsql $x$ begin end $x$").runs_text);
    CHECK(facts("do").runs_text);
    CHECK(!facts("insert into t values (1) on conflict do nothing").runs_text);
}

TEST_CASE("what cannot be read is harmful") {
    CHECK(!harmless("select 'open"));
    CHECK(!harmless("select \"open"));
    CHECK(!harmless("select /* open"));
    CHECK(!harmless("select $x$ open"));
    CHECK(!harmless("select U&\"s\\0065t_config\"('a','b',false)"));
    CHECK(!harmless("select 'a\\' , set_config"));
    CHECK(!harmless("select \xc3\x89()"));
    CHECK(harmless(R"(select E'a\'b', 'c''d', "e""f")"));
    CHECK(!harmless(R"(select E'a\'b'; set x = 'c')"));
}

TEST_CASE("names come folded and cut as the server folds and cuts them") {
    CHECK(names("select MyFunc(a), \"MyFunc\"(1), s.other($1)") ==
          std::set<std::string>{"select", "myfunc", "a", "MyFunc", "s", "other"});
    CHECK(names(std::string(80, 'a')) == std::set<std::string>{std::string(63, 'a')});
    CHECK(names("'hidden' $$hidden$$ -- hidden\n/* hidden */").empty());
    CHECK(facts("with x as (insert into t values (1) returning a) select 1").writes_rows);
    CHECK(!facts("select inserted from t").writes_rows);
}

TEST_CASE("no cut of a body at any byte reads beyond its end") {
    const std::string body =
        "begin E'\\'' $a$ x $a$ \"q\"\"\" /* */ -- c\n update t set a = 1; U& $ end";
    for (std::size_t n = 0; n <= body.size(); ++n) {
        const std::string cut(body, 0, n);
        std::size_t words = 0;
        scan_body(cut, [&](std::string_view) { ++words; });
        CHECK(words <= 8);
    }
}

TEST_CASE("built-in functions are known by their effects, unknown volatile ones feared") {
    const auto both = [](std::string_view n, char v) {
        const auto e = builtin_effects(n, v);
        return std::string(e.may_write ? "w" : "-") + (e.leaves_state ? "s" : "-");
    };
    CHECK(both("random", 'v') == "--");
    CHECK(both("nextval", 'v') == "--");
    CHECK(both("clock_timestamp", 'v') == "--");
    CHECK(both("pg_advisory_xact_lock", 'v') == "--");
    CHECK(both("set_config", 'v') == "-s");
    CHECK(both("pg_try_advisory_lock", 'v') == "-s");
    CHECK(both("query_to_xml", 'v') == "ws");
    CHECK(both("table_to_xml", 's') == "ws");
    CHECK(both("ts_stat", 'v') == "ws");
    CHECK(both("brin_summarize_new_values", 'v') == "ws");
    CHECK(both("some_function_of_version_30", 'v') == "ws");
    CHECK(both("lower", 'i') == "--");
    CHECK(both("ts_rewrite", 'i') == "--");
    const auto effects = [](char volatility, const char* extension, const char* name,
                            const char* language = "c") {
        const auto e = code_effects(language, volatility, extension, name);
        return std::string(e.may_write ? "w" : "") + (e.leaves_state ? "s" : "") +
               (e.hides_state ? "h" : "");
    };
    CHECK(effects('v', "pg_trgm", "similarity") == "");
    CHECK(effects('v', "pg_trgm", "set_limit") == "ws");
    CHECK(effects('v', "tablefunc", "crosstab3") == "ws");
    CHECK(effects('v', "dblink", "dblink") == "ws");
    CHECK(effects('v', "", "own") == "wsh");
    CHECK(effects('s', "", "own") == "ws");
    CHECK(effects('i', "", "own") == "s");
    CHECK(effects('v', "", "own", "plperl") == "wsh");
    CHECK(effects('v', "", "own", "internal") == "ws");
}
