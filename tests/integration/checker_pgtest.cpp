// The consistency checker's rules, and short runs of each of its profiles: nothing that a client
// sees through the cache is impossible without it. Long runs, and runs with planted bugs that have
// to be found: scripts/checker.
#include <doctest/doctest.h>

#include "checker/workload.hpp"
#include "pgweir/base/plants.hpp"

using namespace pgweir::checker;

namespace {

std::string rule(const History& h) {
    const auto breaches = check(h);
    return breaches.empty() ? "" : breaches[0].substr(0, breaches[0].find(' '));
}

RunResult run_clean(Profile profile, Fault fault = Fault::usual) {
    auto r = run({.profile = profile, .fault = fault, .seconds = 5, .seed = 7});
    INFO(r.reads, " reads, ", r.hits, " hits, ", r.writes, " writes");
    for (const auto& line : r.breaches) FAIL_CHECK(line);
    CHECK(r.invalid == "");
    CHECK(r.writes > 20);
    return r;
}

}  // namespace

TEST_CASE("the checker's rules find each kind of impossible read and accept possible ones") {
    const std::vector<Write> writes{{1, 10, 20, Outcome::committed},
                                    {2, 30, 40, Outcome::aborted},
                                    {3, 50, 60, Outcome::committed},
                                    {4, 70, 80, Outcome::unknown}};
    const auto with = [&](std::vector<Read> reads, Time staleness = 0) {
        return rule({"r", writes, std::move(reads), staleness});
    };
    CHECK(with({{0, 1, 2}, {0, 12, 15}, {1, 13, 16}, {1, 45, 55}, {3, 55, 56}, {3, 90, 91}}) == "");
    CHECK(with({{4, 75, 76}, {4, 90, 91}}) == "");
    CHECK(with({{2, 35, 45}}) == "DIRTY");
    CHECK(with({{9, 35, 45}}) == "DIRTY");
    CHECK(with({{3, 41, 45}}) == "FUTURE");
    CHECK(with({{0, 21, 25}}) == "STALE");
    CHECK(with({{1, 61, 62}}) == "STALE");
    CHECK(with({{1, 61, 62}}, 10) == "");
    CHECK(with({{3, 55, 56}, {1, 57, 58}}) == "NONMONO");
    CHECK(with({{4, 75, 76}, {3, 77, 78}}) == "NONMONO");
    CHECK(with({{3, 55, 58}, {1, 57, 59}}) == "");
    CHECK(check_list({{1, 1, 2}, {2, 3, 4}}, {{{}, 0, 1}, {{1}, 3, 5}, {{1, 2}, 5, 6}}).empty());
    CHECK(!check_list({{1, 1, 2}, {2, 3, 4}}, {{{1}, 5, 6}}).empty());
    CHECK(!check_list({{1, 1, 2}, {2, 1, 4}}, {{{1, 2}, 5, 6}, {{2}, 3, 4}}).empty());
    CHECK(!check_list({{1, 1, 2}}, {{{1, 7}, 5, 6}}).empty());
}

TEST_CASE("the checker finds a session that goes back, where reads may be old") {
    const std::vector<Write> writes{{1, 10, 20, Outcome::committed}};
    CHECK(rule({"r", writes, {{1, 30, 31, 1}, {0, 32, 33, 2}}, 1000, true}) == "");
    CHECK(rule({"r", writes, {{1, 30, 31, 1}, {0, 32, 33, 1}}, 1000, true}) == "NONMONO");
}

TEST_CASE("hot registers: every read is possible without a cache") { run_clean(Profile::hot); }

TEST_CASE("every way of writing: every read is possible without a cache") {
    run_clean(Profile::indirect);
}

TEST_CASE("writers around the proxy and a second proxy: no read is older than allowed") {
    run_clean(Profile::outside);
}

TEST_CASE("of commits that a failover loses nothing is read behind it") {
    CHECK(run_clean(Profile::outside, Fault::failover).faults > 0);
}

TEST_CASE("while the server lets the stream's slot go no read is older than allowed") {
    CHECK(run_clean(Profile::outside, Fault::slot).faults > 0);
}

TEST_CASE("users, schemas, settings, formats and names are never mixed up") {
    run_clean(Profile::contexts);
}

TEST_CASE("this build has no planted bugs") { CHECK(!pgweir::base::kPlants); }
