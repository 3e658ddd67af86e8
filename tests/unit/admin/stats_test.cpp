#include <doctest/doctest.h>

#include "pgweir/admin/stats_history.hpp"
#include "support.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using namespace pgweir::admin::testing;
using base::kSecond;

namespace {

DatabaseStats totals(std::uint64_t queries, std::uint64_t time_us) {
    DatabaseStats all;
    auto& s = all["app"];
    s.query_count = queries;
    s.query_time_us = time_us;
    s.bytes_sent = queries * 100;
    s.wait_time_us = queries * 10;
    return all;
}

}  // namespace

TEST_CASE("averages are per second of the last whole period, times per query") {
    StatsHistory history(0, 60 * kSecond);
    CHECK(history.averages(totals(0, 0), 0).at("app").query_count == 0);
    // The first period is not over: since the start.
    auto a = history.averages(totals(100, 5000), 10 * kSecond).at("app");
    CHECK(a.query_count == 10);
    CHECK(a.query_time_us == 50);
    CHECK(a.bytes_sent == 1000);
    CHECK(a.wait_time_us == 100);
    history.sample(totals(600, 600), 60 * kSecond);
    a = history.averages(totals(9999, 1), 61 * kSecond).at("app");
    CHECK(a.query_count == 10);
    CHECK(a.query_time_us == 1);
    history.sample(totals(700, 9600), 90 * kSecond);  // too early: ignored
    history.sample(totals(1800, 24'600), 120 * kSecond);
    a = history.averages(totals(9999, 1), 150 * kSecond).at("app");
    CHECK(a.query_count == 20);
    CHECK(a.query_time_us == 20);
}

TEST_CASE("a database that came or went has averages that make sense") {
    StatsHistory history(0, 60 * kSecond);
    history.sample(totals(600, 0), 60 * kSecond);
    DatabaseStats now;
    now["other"].query_count = 5;
    const auto a = history.averages(now, 70 * kSecond);
    CHECK(a.size() == 1);
    CHECK(a.at("other").query_count == 0);
    history.sample(now, 120 * kSecond);
    CHECK(history.average_of_all(now, 121 * kSecond).query_count == 0);  // fewer than before
}

TEST_CASE("SHOW STATS sums a database's users and SHOW TOTALS everything") {
    TestConsole t;
    PoolRow a, b, c;
    a.database = b.database = "app";
    a.user = "joe", b.user = "ann", c.database = "x";
    a.totals.query_count = 5, b.totals.query_count = 6, c.totals.query_count = 100;
    a.totals.bytes_received = 18'000'000'000'000'000'000U;
    t.source.snapshot.pools = {a, b, c};
    const auto r = t.run("SHOW STATS");
    REQUIRE(r.rows.size() == 2);
    CHECK(r.at(0, "database") == "app");
    CHECK(r.at(0, "total_query_count") == "11");
    CHECK(r.at(0, "total_received") == "18000000000000000000");
    CHECK(t.run("SHOW STATS_TOTALS").at(1, "query_count") == "100");
    const auto all = t.run("SHOW TOTALS");
    CHECK(all.rows.size() == 22);
    CHECK(*all.rows[2][0] == "total_query_count");
    CHECK(*all.rows[2][1] == "111");
    CHECK(*all.rows[13][0] == "avg_query_count");
    t.console.sample();
    CHECK(t.source.collected == 4);
}
