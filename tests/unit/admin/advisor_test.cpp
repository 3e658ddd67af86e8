#include "pgweir/admin/advisor.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <unordered_map>

#include "pgweir/query/reasons.hpp"

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

TEST_CASE("n_plus_one fires where as many executions follow as there were rows") {
    auto child = row("SELECT a FROM t WHERE b = 1", 60);
    auto parent = row("SELECT b FROM u", 5);
    parent.fingerprint = 7;
    parent.text = "SELECT b FROM u";
    child.traits.fanouts = 5;
    child.traits.fanout_calls = 50;
    child.traits.fanout_parent = 7;
    const auto found = advise({parent, child});
    REQUIRE(found.size() == 1);
    CHECK(found[0].rule == "n_plus_one");
    CHECK(found[0].evidence.find("0000000000000007: SELECT b FROM u") != std::string::npos);
    auto few = child;
    few.traits.fanouts = 4;
    CHECK(fired(few).empty());
    auto mostly_else = row("SELECT a FROM t WHERE b = 1", 101);
    mostly_else.traits = child.traits;
    CHECK(fired(mostly_else).empty());
    auto write = row("UPDATE t SET a = 1", 60);
    write.traits = child.traits;
    CHECK(fired(write).empty());
}

TEST_CASE("autocommit_loop fires on long runs of one write outside transactions") {
    auto loop = row("INSERT INTO t VALUES (1)", 400);
    loop.traits.loops = 3;
    loop.traits.loop_calls = 300;
    REQUIRE(fired(loop) == "autocommit_loop");
    CHECK(advise({loop})[0].advice.find("COPY") != std::string::npos);
    auto read = row("SELECT 1", 400);
    read.traits = loop.traits;
    CHECK(fired(read).empty());
    auto twice = loop;
    twice.traits.loops = 2;
    CHECK(fired(twice).empty());
    auto rare = row("INSERT INTO t VALUES (1)", 601);
    rare.traits = loop.traits;
    CHECK(fired(rare).empty());
}

TEST_CASE("idle_in_transaction fires on silences that come again") {
    auto r = row("SELECT a FROM t FOR UPDATE", 5);
    for (int i = 0; i < 4; ++i) r.traits.note_idle(1000);
    CHECK(fired(r).empty());
    r.traits.note_idle(3500);
    REQUIRE(fired(r) == "idle_in_transaction");
    CHECK(advise({r})[0].evidence.find("longest 3500.000 ms, 7500.000 ms in all") !=
          std::string::npos);
}

TEST_CASE("varying_in_list fires on five lengths of constants or parameters") {
    auto r = row("SELECT a FROM t WHERE b IN (1)", 10);
    for (const char* list : {"1", "-1, 2", "$1, $2, $3", "1, 2, 3, 4"})
        r.traits.note_text("SELECT a FROM t WHERE b IN (" + std::string(list) + ")");
    CHECK(fired(r).empty());
    for (const char* other :
         {"SELECT a FROM t WHERE b IN (SELECT 1, 2, 3, 4, 5)", "SELECT 'b IN (1, 2, 3, 4, 5)'",
          "SELECT a FROM t WHERE b IN (1, 2, 3, 4, c)", "SELECT a FROM t WHERE b IN (1, 2, 3, 4, 5",
          "SELECT a FROM t WHERE b = ANY ('{1,2,3,4,5}')", "SELECT a IN (1, 2, f(3), 4, 5)"})
        r.traits.note_text(other);
    CHECK(fired(r).empty());
    r.traits.note_text("SELECT a FROM t WHERE b NOT IN ('1', '2', '3', '4', '5', '6')");
    REQUIRE(fired(r) == "varying_in_list");
    CHECK(advise({r})[0].evidence.find("5 lengths, 1 to 6") != std::string::npos);
    std::string many = "1";
    for (int i = 0; i < 300; ++i) many += ", 1";
    r.traits.note_text("SELECT a FROM t WHERE b IN (" + many + ")");
    CHECK(advise({r})[0].evidence.find("6 lengths, 1 to 63 and more") != std::string::npos);
}

TEST_CASE("cacheable_but fires where one reason that can be mended keeps every answer out") {
    using query::NotCached;
    const auto with = [](NotCached reason, std::uint64_t calls, std::uint64_t us) {
        auto r = row("SELECT a FROM t WHERE b > now()", calls, us);
        for (std::uint64_t i = 0; i < calls; ++i)
            r.traits.note_reason(static_cast<std::uint8_t>(reason));
        return r;
    };
    REQUIRE(fired(with(NotCached::time_dependent, 100, 1000)) == "cacheable_but");
    CHECK(fired(with(NotCached::not_published, 100, 1000)) == "cacheable_but");
    CHECK(fired(with(NotCached::not_told, 100, 1000)) == "cacheable_but");
    CHECK(advise({with(NotCached::time_dependent, 100, 1000)})[0].evidence.find(
              "none of 100 executions could be cached, always for time_dependent") == 0);
    CHECK(fired(with(NotCached::time_dependent, 99, 1000)).empty());
    CHECK(fired(with(NotCached::time_dependent, 100, 999)).empty());
    CHECK(fired(with(NotCached::locking_clause, 100, 1000)).empty());
    CHECK(fired(with(NotCached::cache_off, 100, 1000)).empty());
    auto two = with(NotCached::time_dependent, 99, 1000);
    two.figures.merge(with(NotCached::time_dependent, 1, 1000).figures);
    two.traits.note_reason(static_cast<std::uint8_t>(NotCached::in_transaction));
    CHECK(fired(two).empty());
    auto cached = with(NotCached::time_dependent, 100, 1000);
    metrics::QueryRecord hit;
    hit.flags = metrics::QueryRecord::hit;
    cached.figures.add(hit, 1000);
    CHECK(fired(cached).empty());
}

namespace {

/// Follows sessions as the statistics do, and keeps the traits of each fingerprint.
struct Watched {
    std::unique_ptr<SessionWatch> watch = std::make_unique<SessionWatch>();
    std::unordered_map<std::uint64_t, QueryTraits> traits;
    base::Nanos now = base::kSecond;

    void run(std::uint64_t fingerprint, std::uint64_t times = 1, std::uint64_t rows = 1,
             std::uint64_t session = 1, std::uint8_t flags = 0, std::uint16_t idle_cs = 0) {
        metrics::QueryRecord r;
        r.fingerprint = fingerprint;
        r.session = session;
        r.rows = rows;
        r.flags = flags;
        r.idle_cs = idle_cs;
        for (std::uint64_t i = 0; i < times; ++i)
            watch->observe(r, now, [&](std::uint64_t f) { return &traits[f]; });
    }
};

}  // namespace

TEST_CASE("as many executions as rows are a fan-out, any other number is none") {
    Watched w;
    for (std::uint64_t n = 5; n < 15; ++n) {
        w.run(1, 1, n);
        w.run(2, n);
    }
    w.run(3);
    CHECK(w.traits[2].fanouts == 10);
    CHECK(w.traits[2].fanout_calls == 95);
    CHECK(w.traits[2].fanout_parent == 1);
    Watched other;
    for (std::uint64_t n = 1; n < 15; ++n) {
        other.run(1, 1, n);  // one more than rows
        other.run(2, n + 1);
        other.run(1, 1, n);  // another session between: as many, but not in one session
        other.run(2, n, 1, 2);
        other.run(3, 1, n, 2);
        other.now += base::kSecond;
    }
    for (std::uint64_t n = 0; n < 5; ++n) {  // too few
        other.run(4, 1, n);
        other.run(5, n);
    }
    for (std::uint64_t n = 5; n < 9; ++n) {  // too late
        other.run(6, 1, n);
        other.now += base::kSecond;
        other.run(7, n);
    }
    other.run(8);
    for (const auto& [fingerprint, t] : other.traits) CHECK(t.fanouts == 0);
}

TEST_CASE("runs in a transaction, short ones, and ones with pauses are no loops") {
    Watched w;
    w.run(1, 100);
    w.run(2);
    CHECK(w.traits[1].loops == 1);
    w.run(1, 99);
    w.run(2);
    w.run(1, 100, 1, 1, metrics::QueryRecord::in_transaction);
    w.run(2);
    for (int i = 0; i < 10; ++i) {
        w.run(1, 20);
        w.now += base::kSecond;
    }
    w.run(2);
    CHECK(w.traits[1].loops == 1);
}

TEST_CASE("silence is behind what the session did before it") {
    Watched w;
    w.run(1);
    w.run(2, 1, 1, 1, 0, 250);
    w.run(3, 1, 1, 1, 0, 99);
    CHECK(w.traits[1].idles == 1);
    CHECK(w.traits[1].longest_idle_ms == 2500);
    CHECK(w.traits[2].idles == 0);
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
