#include "pgweir/metrics/counters.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <thread>
#include <vector>

using namespace pgweir::metrics;

TEST_CASE("sums over workers lose nothing once the workers are done") {
    constexpr std::uint64_t kTimes = 100'000;
    std::vector<WorkerCounters> workers(3);
    std::vector<std::thread> threads;
    for (auto& worker : workers)
        threads.emplace_back([&worker] {
            for (std::uint64_t i = 0; i < kTimes; ++i) {
                worker.clients_accepted.add();
                worker.pins[5].add(2);
            }
        });
    std::uint64_t last = 0;
    for (int i = 0; i < 100; ++i) {  // a reader never sees a sum shrink
        WorkerStats sum;
        for (const auto& worker : workers) sum.add(worker);
        CHECK(sum.clients_accepted >= last);
        last = sum.clients_accepted;
    }
    for (auto& thread : threads) thread.join();
    WorkerStats sum;
    for (const auto& worker : workers) sum.add(worker);
    CHECK(sum.clients_accepted == 3 * kTimes);
    CHECK(sum.pins[5] == 6 * kTimes);
    CHECK(sum.pins[4] == 0);
}

TEST_CASE("every field of a pool is summed") {
    static_assert(sizeof(PoolFields<std::uint64_t>) == 13 * sizeof(std::uint64_t));
    PoolCounters counters;
    PoolStats ignored;
    std::set<const void*> seen;
    std::uint64_t n = 1;
    zip_pool_fields(counters, ignored, [&](Counter& c, std::uint64_t&) {
        c.add(n++);
        seen.insert(&c);
    });
    CHECK(seen.size() == 13);
    PoolStats sum;
    sum.add(counters);
    sum.add(counters);
    std::vector<std::uint64_t> values;
    zip_pool_fields(sum, ignored, [&](std::uint64_t& v, std::uint64_t&) { values.push_back(v); });
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == 2 * (i + 1));
}

TEST_CASE("every field of a worker is summed") {
    constexpr std::size_t kFields = 10 + 2 * kReasons;
    static_assert(sizeof(WorkerFields<std::uint64_t>) == kFields * sizeof(std::uint64_t));
    WorkerStats a, b;
    std::set<const void*> seen;
    zip_worker_fields(a, b, [&](std::uint64_t& x, std::uint64_t& y) {
        x = 1;
        y = 2;
        seen.insert(&x);
    });
    CHECK(seen.size() == kFields);
    a += b;
    zip_worker_fields(a, b, [&](std::uint64_t& x, std::uint64_t&) { CHECK(x == 3); });
}

TEST_CASE("a difference to a pool that is gone is nothing, not a huge number") {
    PoolStats before, now;
    before.query_count = 10;
    before.xact_count = 3;
    now.query_count = 4;
    now.xact_count = 8;
    const auto d = now.since(before);
    CHECK(d.query_count == 0);
    CHECK(d.xact_count == 5);
}
