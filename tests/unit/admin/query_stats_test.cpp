#include "pgweir/admin/query_stats.hpp"

#include <doctest/doctest.h>

#include <malloc.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "pgweir/query/verdict.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using metrics::QueryRecord;
using metrics::QueryRecorder;
using pgweir::testing::amount;

namespace {

QueryRecord record(std::uint64_t fingerprint, std::uint64_t total_us, std::uint32_t group = 0) {
    QueryRecord r;
    r.fingerprint = fingerprint;
    r.total_us = total_us;
    r.server_us = total_us / 2;
    r.wait_us = 1;
    r.rows = 2;
    r.bytes = 10;
    r.group = group;
    return r;
}

struct Fixture {
    QueryStats stats{8 << 20, false};
    QueryRecorder recorder;
    Fixture() { recorder.use(&stats); }
    void add(const std::string& sql, std::uint64_t us, std::uint32_t group = 0) {
        const auto f = query::fingerprint(sql);
        recorder.introduce(f, sql);
        recorder.record(record(f, us, group));
    }
    /// A batch that was handed over at `at`.
    void add_at(std::uint64_t fingerprint, std::uint64_t us, base::Nanos at) {
        auto batch = std::make_unique<metrics::QueryBatch>();
        batch->records[0] = record(fingerprint, us);
        batch->size = 1;
        batch->at = at;
        batch->wall_us = at / 1000;
        stats.exchange(std::move(batch));
    }
    std::vector<QueryRow> rows(QueryFilter filter = {}) {
        recorder.flush();
        return stats.rows(filter, base::monotonic_now());
    }
};

}  // namespace

TEST_CASE("percentiles of a histogram are within a sixteenth of the true ones") {
    std::minstd_rand random(7);
    for (const double spread : {1.0, 3.0, 9.0}) {
        std::lognormal_distribution<double> times(7, spread / 3);
        Histogram h;
        std::vector<std::uint64_t> all;
        for (int i = 0; i < 20'000; ++i) {
            all.push_back(static_cast<std::uint64_t>(times(random)));
            h.add(all.back());
        }
        std::sort(all.begin(), all.end());
        for (const double q : {0.01, 0.5, 0.95, 0.99, 1.0}) {
            const auto rank = static_cast<std::size_t>(q * 20'000 + 0.999999) - 1;
            const auto truth = static_cast<double>(all[rank]);
            CHECK(static_cast<double>(h.quantile(q)) == doctest::Approx(truth).epsilon(0.0626));
        }
    }
}

TEST_CASE("every value has a bucket, in order, and the largest, too") {
    std::size_t last = 0;
    for (std::uint64_t v = 0; v < 100'000; ++v) {
        const auto b = Histogram::bucket(v);
        CHECK((b == last || b == last + 1));
        last = b;
    }
    Histogram h;
    h.add(~std::uint64_t{0});
    h.add(0);
    CHECK(h.quantile(1) > std::uint64_t{1} << 63);
    CHECK(h.quantile(0) == 0);
    CHECK(h.count() == 2);
}

TEST_CASE("statements that differ in constants are one row with their sums") {
    Fixture f;
    f.add("SELECT * FROM t WHERE a = 1", 100);
    f.add("select * from t where a = 2 -- why", 300);
    f.add("SELECT 1", 5);
    const auto rows = f.rows();
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].fingerprint == query::fingerprint("SELECT * FROM t WHERE a = 9"));
    CHECK(rows[0].text == "SELECT * FROM t WHERE a = $1");
    CHECK(rows[0].sample == "SELECT * FROM t WHERE a = 1");
    const auto& g = rows[0].figures;
    CHECK(g.calls == 2);
    CHECK(g.rows == 4);
    CHECK(g.bytes == 20);
    CHECK(g.total.sum == 400);
    CHECK(g.total.min() == 100);
    CHECK(g.total.most == 300);
    CHECK(g.total.mean() == 200);
    CHECK(g.server.sum == 200);
    CHECK(g.wait.sum == 2);
}

TEST_CASE("hits are calls that save what an execution takes") {
    Fixture f;
    f.add("SELECT 1", 100);
    auto hit = record(query::fingerprint("SELECT 1"), 0);
    hit.flags = QueryRecord::hit;
    f.recorder.record(hit);
    auto failed = record(query::fingerprint("SELECT 1"), 300);
    failed.flags = QueryRecord::failed | QueryRecord::filled;
    f.recorder.record(failed);
    f.recorder.record(hit);
    const auto rows = f.rows();
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].figures.calls == 4);
    CHECK(rows[0].figures.hits == 2);
    CHECK(rows[0].figures.errors == 1);
    CHECK(rows[0].figures.fills == 1);
    CHECK(rows[0].figures.saved_us == 300);  // 100, then 200
    CHECK(rows[0].figures.total.histogram.count() == 2);
}

TEST_CASE("rows are split, filtered, ordered and limited as asked") {
    Fixture f;
    const auto a = f.stats.group("app", "joe", "shop");
    const auto b = f.stats.group("app", "ann", "shop");
    CHECK(f.stats.group("app", "joe", "shop") == a);
    CHECK(a != b);
    f.add("SELECT 1", 100, a);
    f.add("SELECT 1", 50, b);
    f.add("SELECT a FROM t", 120, b);
    CHECK(f.rows().size() == 2);
    CHECK(f.rows()[0].figures.total.sum == 150);
    QueryFilter by_user;
    by_user.by_user = true;
    const auto split = f.rows(by_user);
    REQUIRE(split.size() == 3);
    CHECK(split[0].user == "ann");
    CHECK(split[0].database.empty());
    CHECK(split[1].user == "joe");
    QueryFilter ann;
    ann.user = "ann";
    ann.order = QueryOrder::max;
    ann.limit = 1;
    REQUIRE(f.rows(ann).size() == 1);
    CHECK(f.rows(ann)[0].text == "SELECT a FROM t");
    QueryFilter nobody;
    nobody.application = "none";
    CHECK(f.rows(nobody).empty());
}

TEST_CASE("a window holds what happened in it, and all holds everything") {
    Fixture f;
    constexpr base::Nanos kMinute = 60 * base::kSecond;
    const auto now = 100'000 * kMinute;
    f.add_at(1, 7, now - 3000 * kMinute);
    f.add_at(1, 10, now - 600 * kMinute);
    f.add_at(1, 20, now - 30 * kMinute);
    f.add_at(1, 40, now - 20 * base::kSecond);
    f.add_at(1, 80, now);
    const auto sum = [&](QueryWindow window) {
        QueryFilter filter;
        filter.window = window;
        const auto rows = f.stats.rows(filter, now);
        return rows.empty() ? 0 : rows[0].figures.total.sum;
    };
    CHECK(sum(QueryWindow::all) == 157);
    CHECK(sum(QueryWindow::day) == 150);
    CHECK(sum(QueryWindow::hour) == 140);
    CHECK(sum(QueryWindow::minute) == 120);
    QueryFilter minute;
    minute.window = QueryWindow::minute;
    CHECK(f.stats.rows(minute, now + 3 * kMinute).empty());
}

TEST_CASE("a clock that jumps back loses nothing") {
    Fixture f;
    constexpr base::Nanos kMinute = 60 * base::kSecond;
    f.add_at(1, 10, 1000 * kMinute);
    f.add_at(1, 20, 10 * kMinute);
    f.add_at(1, 40, 1000 * kMinute);
    CHECK(f.stats.rows({}, 1000 * kMinute)[0].figures.total.sum == 70);
}

TEST_CASE("100,000 queries stay within the memory, and the valuable ones are kept") {
    Fixture f;
    constexpr std::uint64_t kLimit = 8 << 20;
    for (std::uint64_t i = 1; i <= 100'000; ++i) {
        const auto sql = "SELECT c" + std::to_string(i) + " FROM t";
        f.add(sql, 10);
        if (i % 1000 == 0) f.add("SELECT valuable FROM t", 100'000);
        if (i % 10'000 == 0) CHECK(f.stats.totals().bytes <= kLimit);  // gathers
    }
    f.recorder.flush();
    const auto totals = f.stats.totals();
    CHECK(totals.bytes <= kLimit);
    CHECK(totals.queries > 1000);
    CHECK(totals.calls + totals.dropped == 100'100);
    CHECK(totals.forgotten > 50'000);
    QueryFilter first;
    first.limit = 1;
    const auto rows = f.rows(first);
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].text == "SELECT valuable FROM t");
    CHECK(rows[0].figures.calls >= 99);
    f.stats.set_max_memory(1 << 20);
    CHECK(f.stats.totals().bytes <= 1 << 20);
    f.stats.reset();
    CHECK(f.stats.totals().bytes == 0);
    CHECK(f.rows().empty());
}

TEST_CASE("the memory that is counted is the memory that is taken") {
    const auto heap = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
    constexpr std::size_t kLimit = 8 << 20;
    const auto before = heap();
    Fixture f;
    for (std::uint64_t i = 1; i <= amount(100'000u); ++i) {
        f.add("SELECT c" + std::to_string(i) + " FROM t WHERE a = 'some text of usual length'", 10);
        if (i % 10'000 == 0) f.stats.totals();  // gathers
    }
    f.recorder.flush();
    CHECK(f.stats.totals().bytes <= kLimit);
    // Beside it there are batches: 128 on their way at most.
    constexpr std::size_t kBatches =
        129 *
        (sizeof(metrics::QueryBatch) + metrics::QueryBatch::kTexts * sizeof(metrics::QueryText));
    CHECK(heap() <= before + kLimit + kLimit / 4 + kBatches);
}

TEST_CASE("records that nobody gathers are dropped and counted, never waited for") {
    QueryStats stats(1 << 20, false);
    QueryRecorder recorder;
    recorder.use(&stats);
    for (int i = 0; i < 200'000; ++i) recorder.record(record(1, 1));
    recorder.flush();
    const auto totals = stats.totals();
    CHECK(totals.dropped > 0);
    CHECK(totals.calls + totals.dropped == 200'000);
}

TEST_CASE("a plan is of its query, known already or not yet, counts as memory and is forgotten") {
    Fixture f;
    const auto known = query::fingerprint("SELECT 1"),
               later = query::fingerprint("SELECT a FROM t");
    f.add("SELECT 1", 5);
    CHECK(f.rows()[0].plan == nullptr);
    const auto before = f.stats.totals().bytes;
    auto plan = std::make_shared<Plan>();
    plan->text = std::string(10'000, 'x');
    f.stats.set_plan(known, plan);
    CHECK(f.stats.totals().bytes > before + 10'000);
    CHECK(f.rows()[0].plan == plan);
    f.stats.set_plan(known, nullptr);
    CHECK(f.stats.totals().bytes == before);
    f.stats.set_plan(later, plan);
    CHECK(f.stats.totals().bytes == before);
    f.add("SELECT a FROM t", 50);
    CHECK(f.rows()[0].plan == plan);
    CHECK(f.stats.totals().bytes > before + 10'000);
    for (std::uint64_t i = 0; i < 10'000; ++i) f.stats.set_plan(i + 1, plan);  // of nobody
    f.stats.reset();
    CHECK(f.stats.totals().bytes == 0);
    CHECK(plan.use_count() < 100);
}

TEST_CASE("several threads record while others read") {
    QueryStats stats(4 << 20);
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&stats] {
            QueryRecorder recorder;
            recorder.use(&stats);
            for (std::uint64_t i = 0; i < 20'000; ++i) recorder.record(record(i % 10, i));
            recorder.flush();
        });
    for (int i = 0; i < 20; ++i) CHECK(stats.rows({}, base::monotonic_now()).size() <= 10);
    for (auto& t : threads) t.join();
    const auto totals = stats.totals();
    CHECK(totals.calls + totals.dropped == 60'000);
}

TEST_CASE("what is asked is read, and nonsense is refused") {
    QueryFilter f;
    const std::string good[] = {"last", "hour", "by",    "database", ",",        "user",  "order",
                                "by",   "p95",  "limit", "7",        "database", "My App"};
    CHECK(read_query_filter(good, f).empty());
    CHECK(f.window == QueryWindow::hour);
    CHECK((f.by_database && f.by_user && !f.by_application));
    CHECK(f.order == QueryOrder::p95);
    CHECK(f.limit == 7);
    CHECK(f.database == "My App");
    const std::vector<std::vector<std::string>> refused{
        {"last"},         {"last", "week"},        {"limit", "0"},
        {"limit", "x"},   {"order", "by", "name"}, {"fingerprint", "12"},
        {"nonsense", "1"}};
    for (const auto& bad : refused) CHECK(!read_query_filter(bad, f).empty());
}

TEST_CASE("exports are valid, with hostile text in them") {
    Fixture f;
    const auto g = f.stats.group("a\"b,\nc", "=cmd|x", "\xff\x1b");
    f.add("SELECT \"a\n\x1b,b\" -- \xff", 3, g);
    QueryFilter filter;
    filter.by_database = filter.by_user = filter.by_application = true;
    const auto rows = f.rows(filter);
    const auto json = nlohmann::json::parse(queries_json(rows));
    REQUIRE(json.size() == 1);
    CHECK(json[0]["calls"] == 1);
    CHECK(json[0]["total_us"] == 3);
    const auto csv = queries_csv(rows);
    CHECK(csv.find("\"'=cmd|x\"") != std::string::npos);
    CHECK(csv.find('\x1b') == std::string::npos);
    CHECK(csv.find("a\"\"b,") != std::string::npos);
}
