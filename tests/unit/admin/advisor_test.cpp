#include "pgweir/admin/advisor.hpp"

#include <doctest/doctest.h>

using namespace pgweir;
using namespace pgweir::admin;

namespace {

QueryRow row(std::string sample, std::uint64_t executions, std::uint64_t us = 100,
             std::uint64_t rows = 0, std::uint64_t bytes = 0) {
    QueryRow r;
    r.sample = std::move(sample);
    for (std::uint64_t i = 0; i < executions; ++i) {
        metrics::QueryRecord record;
        record.total_us = record.server_us = us;
        record.rows = rows;
        record.bytes = bytes;
        r.figures.add(record, 0);
    }
    return r;
}

/// The rule that fires, or empty; there is never more than one here.
std::string fired(const QueryRow& r) {
    const auto found = advise({r});
    CHECK(found.size() <= 1);
    return found.empty() ? "" : std::string(found[0].rule);
}

}  // namespace

TEST_CASE("offset_paging fires on deep offsets, with the keyset form of that very query") {
    const auto found =
        advise({row("SELECT * FROM t WHERE a = 1 ORDER BY t.id DESC LIMIT 20 "
                    "OFFSET 5000",
                    10)});
    REQUIRE(found.size() == 1);
    CHECK(found[0].rule == "offset_paging");
    CHECK(found[0].evidence.starts_with("OFFSET 5000 in the sample"));
    CHECK(found[0].advice.find("AND t.id < $last ORDER BY t.id DESC LIMIT n") != std::string::npos);
    const auto two = advise({row("SELECT a FROM t ORDER BY a, b OFFSET 5000", 10)});
    REQUIRE(two.size() == 1);
    CHECK(two[0].advice.find("$last") == std::string::npos);  // not of two columns
}

TEST_CASE("offset_paging is silent where it cannot be sure") {
    CHECK(fired(row("SELECT a FROM t ORDER BY a LIMIT 20 OFFSET 999", 100)).empty());
    CHECK(fired(row("SELECT a FROM t ORDER BY a LIMIT 20 OFFSET $1", 100)).empty());
    CHECK(fired(row("SELECT a FROM t ORDER BY a LIMIT 20 OFFSET 5000", 9)).empty());
    CHECK(fired(row("SELECT a FROM (SELECT a FROM t OFFSET 5000) x", 100)).empty());
    CHECK(fired(row("SELECT 'OFFSET 5000' -- OFFSET 5000", 100)).empty());
    CHECK(fired(row("SELECT \"offset\" 5000", 100)).empty());
}

TEST_CASE("select_star fires on wide rows and is silent on narrow ones and on named columns") {
    CHECK(fired(row("SELECT * FROM t", 10, 100, 2, 5000)) == "select_star");
    CHECK(fired(row("select t.* FROM t", 10, 100, 2, 5000)) == "select_star");
    CHECK(fired(row("SELECT * FROM t", 10, 100, 2, 3000)).empty());
    CHECK(fired(row("SELECT a FROM t", 10, 100, 2, 5000)).empty());
    CHECK(fired(row("SELECT count(*) FROM t", 10, 100, 2, 5000)).empty());
    CHECK(fired(row("SELECT * FROM t", 9, 100, 2, 5000)).empty());
    CHECK(fired(row("SELECT * FROM t", 10, 100, 0, 5000)).empty());
}

TEST_CASE("unbounded_result fires on many rows without a bound") {
    CHECK(fired(row("SELECT a FROM t", 3, 100, 10'000, 80'000)) == "unbounded_result");
    CHECK(fired(row("SELECT a FROM (SELECT a FROM t LIMIT 1) x", 3, 100, 10'000, 80'000)) ==
          "unbounded_result");
    CHECK(fired(row("SELECT a FROM t LIMIT 20000", 3, 100, 10'000, 80'000)).empty());
    CHECK(
        fired(row("SELECT a FROM t FETCH FIRST 20000 ROWS ONLY", 3, 100, 10'000, 80'000)).empty());
    CHECK(fired(row("SELECT a FROM t", 3, 100, 9'999, 80'000)).empty());
    CHECK(fired(row("SELECT a FROM t", 2, 100, 10'000, 80'000)).empty());
    CHECK(fired(row("COPY t TO STDOUT", 3, 100, 10'000, 80'000)).empty());
}

TEST_CASE("leading_wildcard fires on slow patterns that begin with %") {
    CHECK(fired(row("SELECT a FROM t WHERE b LIKE '%x%'", 10, 5000)) == "leading_wildcard");
    CHECK(fired(row("SELECT a FROM t WHERE b NOT ILIKE '%x'", 10, 5000)) == "leading_wildcard");
    CHECK(fired(row("SELECT a FROM t WHERE b LIKE 'x%'", 10, 5000)).empty());
    CHECK(fired(row("SELECT a FROM t WHERE b LIKE $1", 10, 5000)).empty());
    CHECK(fired(row("SELECT a FROM t WHERE b LIKE '%x%'", 10, 4999)).empty());
    CHECK(fired(row("SELECT a FROM t WHERE b = 'LIKE ''%x'''", 10, 5000)).empty());
}

TEST_CASE("the dearest advice comes first, and every rule says when it is silent") {
    const auto found = advise({row("SELECT a FROM t WHERE b LIKE '%x%'", 10, 5000),
                               row("SELECT * FROM t ORDER BY a OFFSET 5000", 10, 9000)});
    REQUIRE(found.size() == 2);
    CHECK(found[0].rule == "offset_paging");
    CHECK(found[0].time_us == 90'000);
    for (const auto& rule : advice_rules()) {
        CHECK(!rule.fires.empty());
        CHECK(!rule.silent.empty());
    }
}

TEST_CASE("hostile samples bring no advice and no harm") {
    for (const auto& text :
         {std::string(), std::string("'"), std::string(1 << 20, '('),
          std::string(")))) OFFSET 5000"), std::string("SELECT * FROM \xff\0x", 16)})
        CHECK(fired(row(text, 100, 10'000)).empty());
}
