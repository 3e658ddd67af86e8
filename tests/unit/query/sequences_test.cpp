// What statements do with sequences, in the text or behind it.
#include <doctest/doctest.h>

#include "fixture.hpp"

using namespace pgweir::query;
using namespace pgweir::query::fixture;

namespace {
/// n: names nextval or setval, m: may move a sequence, a: may ask for its value, p: pins for that.
std::string sequences_of(const Verdict& v) {
    return std::string(v.names_sequence ? "n" : "") + (v.moves_sequence ? "m" : "") +
           (v.asks_sequence ? "a" : "") + (v.pin == PinReason::sequence ? "p" : "");
}
}  // namespace

TEST_CASE("what moves sequences or asks for their values is known, in the text or behind it") {
    struct Case {
        const char* sql;
        const char* with_catalog;
        const char* without;
    };
    const Case cases[] = {
        {"SELECT 1", "", ""},
        {"SELECT * FROM t", "", "m"},
        {"SELECT lower('X'), now()", "", ""},
        {"SELECT nextval('s')", "nm", "nm"},
        {"SELECT currval('s')", "ap", "ap"},
        {"SELECT nextval('s'), lastval()", "nmap", "nmap"},
        {"INSERT INTO t VALUES (1)", "", "ma"},
        {"INSERT INTO serial_one VALUES (1)", "m", "ma"},
        {"SELECT * FROM serial_one", "", "m"},
        {"COPY serial_one FROM STDIN", "m", "ma"},
        {"INSERT INTO asking_default VALUES (1)", "map", "ma"},
        {"WITH x AS (INSERT INTO asking_default VALUES (1)) SELECT 1", "map", "ma"},
        {"SELECT * FROM asking_default", "", "m"},
        {"SELECT * FROM asking_view", "ap", "m"},
        {"INSERT INTO triggered VALUES (1)", "ma", "ma"},
        {"SELECT * FROM nosuch", "ma", "m"},
        {"SELECT own_counter()", "m", "ma"},
        {"SELECT own_asker()", "ap", "ma"},
        {"SELECT unknown_function()", "ma", "ma"},
        {"DO $$begin end$$", "ma", "ma"},
        {"nonsense", "ma", "ma"},
        {"DROP TABLE t", "", ""},
        {"CREATE TABLE x (a int DEFAULT nextval('s'), b int DEFAULT -1 * currval('s'))", "p", "p"},
        {"CREATE TABLE x (a int DEFAULT nextval('s'))", "", ""},
        {"CREATE TABLE x (a int DEFAULT own_setter())", "", ""},
        {"ALTER TABLE t ADD COLUMN b bigint DEFAULT lastval()", "map", "map"},
        {"ALTER TABLE t ALTER COLUMN a SET DEFAULT currval('s')", "map", "map"},
        {"EXPLAIN SELECT nextval('s')", "", ""},
    };
    for (const Case& c : cases) {
        const std::string text = c.sql;
        CAPTURE(text);
        CHECK(sequences_of(judged(c.sql)) == c.with_catalog);
        CHECK(sequences_of(judged_without_catalog(c.sql)) == c.without);
    }
}
