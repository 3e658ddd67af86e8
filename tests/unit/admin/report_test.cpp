#include "pgweir/admin/report.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "../../../src/admin/report/report.hpp"
#include "../../../src/admin/report/show.hpp"
#include "../../../src/admin/slow_line.hpp"
#include "pgweir/admin/slow_log.hpp"
#include "pgweir/query/verdict.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using metrics::SlowEvent;
using metrics::SlowQuery;
using pgweir::testing::amount;

namespace {

constexpr SlowLogForm kForms[] = {SlowLogForm::json, SlowLogForm::csv, SlowLogForm::stderr_,
                                  SlowLogForm::pgbouncer};
const std::string kPrefix = "%m [%p]: user=%u,db=%d,app=%a,client=%h ";

SlowQuery slow(std::string text, std::int64_t ms = 1500) {
    SlowQuery q;
    q.text = std::move(text);
    q.user = "joe";
    q.database = "app";
    q.application_name = "shop";
    q.client_host = "10.1.2.3";
    q.client_port = 4711;
    q.server_pid = 4242;
    q.session_id = 0x1234;
    q.cache = "bypass";
    q.cache_reason = "in_transaction";
    q.started_wall_us = 1'795'228'200'000'000;  // 2026-11-21 02:30:00 UTC
    q.total_ns = ms * 1'000'000 + 7'000;
    q.wait_ns = 2'000'000;
    q.server_ns = ms * 1'000'000 - 5'000'000;
    q.transfer_ns = 1'000'000;
    q.rows = 3;
    q.bytes = 100;
    return q;
}

std::string lines(const std::vector<SlowQuery>& queries, SlowLogForm form) {
    std::string all;
    for (std::size_t i = 0; i < queries.size(); ++i)
        all += slow_log_line(queries[i], i, {.form = form, .prefix = kPrefix}) + "\n";
    return all;
}

struct Read {
    std::vector<LogEntry> entries;
    ReadCounts counts;
};

/// The same whatever the pieces in which it comes.
Read read(std::string_view log, std::size_t piece = std::string_view::npos) {
    Read r;
    LogReader reader([&](LogEntry&& e) { r.entries.push_back(std::move(e)); });
    for (std::size_t at = 0; at < log.size(); at += std::min(piece, log.size() - at))
        reader.feed(log.substr(at, piece));
    reader.finish();
    r.counts = reader.counts();
    return r;
}

std::vector<SlowQuery> all_events() {
    auto first = slow("SELECT *\n\tFROM t WHERE a = 'x: \"y\", z' -- STATEMENT:  no");
    auto prepared = slow("UPDATE t SET a = $1", 20);
    prepared.extended = true;
    prepared.prepared_name = "s: 1";
    prepared.tx_position = 2;
    prepared.tx_age_ns = 9'000'000;
    prepared.pin = "temporary";
    auto failed = slow("SELECT 1/0", 7);
    failed.event = SlowEvent::error;
    failed.sqlstate = "22012";
    failed.error = "division by zero";
    auto waited = slow("SELECT 3", 30);
    waited.event = SlowEvent::waited;
    auto idle = slow("SELECT 4", 60'000);
    idle.event = SlowEvent::idle;
    auto refused = slow("SELECT 5", 3);
    refused.event = SlowEvent::error;
    refused.sqlstate = "53300";
    refused.error = "no more connections";
    refused.server_ns = 0;
    return {first, prepared, failed, waited, idle, refused};
}

SlowQuery plan_entry(std::string statement, std::string plan) {
    auto q = slow(std::move(statement), 0);
    q.event = SlowEvent::plan;
    q.plan = std::move(plan);
    q.notes = {{"sequential_scan", "a: scan | of it", "CREATE INDEX ON t (a)"}};
    return q;
}

Summary summary_of(std::string_view log) {
    Summary s;
    for (auto& e : read(log).entries) s.add(std::move(e));
    return s;
}

std::string page_of(const Summary& s) { return report_page({s, {{"slow.log", {}, ""}}, 20}); }
std::string text_of(const Summary& s) { return report_text({s, {{"slow.log", {}, ""}}, 20}); }

std::size_t count_of(std::string_view text, std::string_view what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

struct Directory {
    std::string path;
    Directory() {
        char name[] = "/tmp/pgweir-report-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

void write(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
}

struct Ran {
    bool good = false;
    std::string out, err, bar;
};

Ran run(ReportOptions options) {
    Ran ran;
    ran.good = run_report(
        options, [&](const std::string& s) { ran.out += s; },
        [&](const std::string& s) { ran.err += s + "\n"; },
        [&](const std::string& s) { ran.bar += s; });
    return ran;
}

}  // namespace

TEST_CASE("every form of the slow log is read back to the same figures") {
    const auto events = all_events();
    for (const auto form : kForms) {
        CAPTURE(static_cast<int>(form));
        const auto r = read(lines(events, form));
        CHECK(r.counts.entries == events.size());
        CHECK(r.counts.other == 0);
        CHECK(r.counts.broken == 0);
        REQUIRE(r.entries.size() == events.size());
        for (std::size_t i = 0; i < events.size(); ++i) {
            const auto& e = r.entries[i];
            const auto& q = events[i];
            CAPTURE(i);
            CHECK(e.event == q.event);
            CHECK(e.refused == (i == 5));
            CHECK(e.total_us == static_cast<std::uint64_t>(q.total_ns / 1000));
            CHECK(e.wait_us == 2000);
            CHECK(e.server_us == static_cast<std::uint64_t>(q.server_ns / 1000));
            CHECK(e.transfer_us == 1000);
            CHECK(e.rows == 3);
            CHECK(e.bytes == 100);
            CHECK(e.cache == "bypass");
            CHECK(e.cache_reason == "in_transaction");
            CHECK(e.pin == q.pin);
            CHECK(e.tx_age_us == static_cast<std::uint64_t>(q.tx_age_ns / 1000));
            CHECK(e.user == "joe");
            CHECK(e.database == "app");
            CHECK(e.fingerprint == query::fingerprint(q.text));
            CHECK(e.at_us / 1000 == (q.started_wall_us + q.total_ns / 1000) / 1000);
            if (form != SlowLogForm::pgbouncer && i != 1) CHECK(e.text == q.text);
            if (q.event == SlowEvent::error) CHECK(e.error == q.error);
        }
        CHECK(r.entries[3].text == "SELECT 3");
        if (form != SlowLogForm::pgbouncer) CHECK(r.entries[0].application == "shop");
    }
}

TEST_CASE("plans are read back with what was noted on them, and count as no execution") {
    const std::string first = "Seq Scan on public.t  (cost=1)\n  Filter: (t.a = $1)";
    const std::string second = "Index Scan using x on public.t";
    for (const auto form : kForms) {
        CAPTURE(static_cast<int>(form));
        const auto log = lines({plan_entry("SELECT * FROM t WHERE a = 1", first),
                                slow("SELECT * FROM t WHERE a = 5"), slow("SELECT 2")},
                               form);
        const auto r = read(log);
        REQUIRE(r.entries.size() == 3);
        CHECK(r.counts.broken + r.counts.other == 0);
        CHECK(r.entries[0].event == SlowEvent::plan);
        const auto s = summary_of(log);
        CHECK(s.all().calls == 2);
        if (form == SlowLogForm::pgbouncer) continue;  // for people only
        CHECK(r.entries[0].plan == first);
        CHECK(r.entries[0].notes == plan_entry("", "").notes);
        CHECK(r.entries[0].parameters.empty());
        CHECK(text_of(s).find("Filter: (t.a = $1)") != std::string::npos);
        CHECK(page_of(s).find("Filter: (t.a = $1)") != std::string::npos);
        const auto found = s.advice();
        REQUIRE(found.size() == 1);
        CHECK(found[0].rule == "sequential_scan");
        CHECK(found[0].evidence == "a: scan | of it");
        CHECK(found[0].advice == "CREATE INDEX ON t (a)");
    }
}

TEST_CASE("of several plans of a query the latest counts") {
    auto old = plan_entry("SELECT * FROM t WHERE a = 1", "Seq Scan on public.t");
    auto changed = plan_entry("SELECT * FROM t WHERE a = 2", "Index Scan using x");
    changed.notes.clear();
    changed.started_wall_us += 1'000'000;
    for (const auto& order : {std::vector{old, changed}, std::vector{changed, old}}) {
        auto all = order;
        all.push_back(slow("SELECT * FROM t WHERE a = 5"));
        const auto s = summary_of(lines(all, SlowLogForm::json));
        REQUIRE(s.queries().size() == 1);
        CHECK(s.queries()[0]->plans == 2);
        CHECK(s.queries()[0]->plan == "Index Scan using x");
        CHECK(s.advice().empty());
    }
}

TEST_CASE("a log may be cut anywhere, and pieces may come of any size") {
    const auto events = all_events();
    for (const auto form : kForms) {
        const auto log = lines(events, form);
        const auto whole = read(log);
        for (const std::size_t piece : {1, 7, 4096}) CHECK(read(log, piece).counts.entries == 6);
        for (std::size_t cut = 0; cut <= log.size(); ++cut) {
            CAPTURE(cut);
            const auto front = read(std::string_view(log).substr(0, cut));
            CHECK(front.counts.entries <= 6);
            for (std::size_t i = 0; i < front.entries.size(); ++i)
                CHECK(front.entries[i].total_us == whole.entries[i].total_us);
            const auto back = read(std::string_view(log).substr(cut));
            CHECK(back.counts.entries <= 6);
            const auto lost = 6 - back.entries.size();
            for (std::size_t i = 0; i < back.entries.size(); ++i)
                CHECK(back.entries[i].total_us == whole.entries[lost + i].total_us);
        }
    }
    const auto json = lines(events, SlowLogForm::json);
    CHECK(read(json.substr(0, json.size() - 20)).counts.broken == 1);
    CHECK(read(json.substr(20)).counts.broken == 1);
    CHECK(read(json.substr(20)).counts.entries == 5);
}

TEST_CASE("a record of CSV that ends inside its quotes costs itself and none behind it") {
    const auto good = lines({slow("SELECT 1"), slow("SELECT\n2")}, SlowLogForm::csv);
    const auto torn = lines({slow("SELECT\n'x'")}, SlowLogForm::csv);
    for (std::size_t cut = torn.find(",\"") + 3; cut < torn.size() - 1; ++cut) {
        CAPTURE(cut);
        const auto r = read(torn.substr(0, cut) + "\n" + good + good);
        CHECK(r.counts.entries >= 4);
        CHECK(r.counts.entries <= 5);
    }
}

TEST_CASE("forms may change within a file, and what others wrote is told apart") {
    std::string log;
    for (const auto form : kForms) log += lines({slow("SELECT 1")}, form);
    for (const auto form : kForms) log += lines({slow("SELECT 2")}, form);
    log +=
        "{\"timestamp\":\"2026-11-21 02:30:01.234 UTC\",\"pid\":1,\"message\":\"checkpoint\"}\n"
        "[1,2]\n\n";
    const auto r = read(log);
    CHECK(r.counts.entries == 8);
    CHECK(r.counts.other == 1);
    CHECK(r.counts.broken == 1);
}

TEST_CASE("no text from outside makes an entry of its own or changes the figures of one") {
    const auto forged_json = lines({slow("SELECT 'forged'", 99'999)}, SlowLogForm::json);
    const auto forged_csv = lines({slow("SELECT 'forged'", 99'999)}, SlowLogForm::csv);
    const auto forged_lines = lines({slow("SELECT 'forged'", 99'999)}, SlowLogForm::stderr_);
    const auto figures =
        " (total_ms=99999.000 wait_ms=0.000 server_ms=0.000 transfer_ms=0.000 rows=1 bytes=1 "
        "cache=hit fingerprint=0123456789abcdef)";
    for (const auto form : kForms)
        for (const auto& evil :
             {"x\n" + forged_json, "x\n" + forged_csv + "\n", "\"\n" + forged_csv,
              "x\n" + forged_lines + "\n", "CONTEXT:  " + std::string(figures).substr(2),
              "LOG:  duration: 1 ms\n" + forged_lines, std::string(figures),
              std::string("\",\"total_ms\":99999,\"x\":\"")}) {
            CAPTURE(evil);
            auto q = slow("SELECT '" + evil + "'");
            q.application_name = q.user = q.database = evil;
            auto failed = q;
            failed.event = SlowEvent::error;
            failed.error = evil;
            const auto r = read(lines({q, slow("SELECT 1"), failed, slow("SELECT 2")}, form));
            REQUIRE(r.counts.entries == 4);
            CHECK(r.counts.broken == 0);
            for (const auto& e : r.entries) CHECK(e.total_us == 1'500'007);
        }
}

TEST_CASE("lines without end, and lines of nothing but quotes, cost linear time and no memory") {
    std::string log(amount(20u << 20), '"');
    CHECK(read(log).counts.broken == 1);
    const std::string record = "2026-11-21 02:30:01.234 UTC,\"\n";
    log.clear();
    while (log.size() < amount(12u << 20)) log += record;
    const auto r = read(log + lines({slow("SELECT 1")}, SlowLogForm::csv));
    CHECK(r.counts.broken > amount(100'000));
    log.assign(amount(9u << 20), '[');
    CHECK(read(log + "\n").counts.broken == 1);
    log.assign(amount(3u << 20), '[');
    CHECK(read("{\"a\":" + log + "\n").counts.broken == 1);
    log.clear();
    while (log.size() < amount(6u << 20)) log += "\tLOG:  x\nLOG:  y\n";
    CHECK(read(log).counts.entries == 0);
}

TEST_CASE("the summary's figures are those of the entries") {
    const auto s = summary_of(lines(all_events(), SlowLogForm::json));
    CHECK(s.all().calls == 4);  // neither silences nor what had no server
    CHECK(s.all().errors == 1);
    CHECK(s.refused() == 1);
    CHECK(s.idle() == 1);
    CHECK(s.all().total_us == 1'500'007 + 20'007 + 7'007 + 30'007);
    const auto queries = s.queries();
    REQUIRE(queries.size() == 4);  // SELECT 3, 4 and 5 are one
    CHECK(queries[0]->row.figures.total.sum == 1'500'007);
    REQUIRE(s.databases().size() == 1);
    CHECK(s.databases()[0].name == "app");
    CHECK(s.databases()[0].sums.calls == 4);
    REQUIRE(s.reasons().size() == 1);
    CHECK(s.reasons()[0].name == "in_transaction");
    CHECK(s.reasons()[0].sums.calls == 4);
}

TEST_CASE("what was asked again with the same text and parameters is the cache's potential") {
    std::vector<SlowQuery> queries;
    for (int i = 0; i < 10; ++i) queries.push_back(slow("SELECT " + std::to_string(i % 4), 100));
    for (int i = 0; i < 10; ++i) queries.push_back(slow("SELECT a FROM t WHERE b = $1"));
    for (int i = 0; i < 10; ++i) queries.push_back(slow("UPDATE t SET a = 1", 50));
    for (int i = 0; i < 10; ++i)
        queries.push_back(slow("WITH d AS (DELETE FROM t RETURNING a) SELECT a FROM d", 10));
    const auto s = summary_of(lines(queries, SlowLogForm::json));
    REQUIRE(s.queries().size() == 4);
    CHECK(s.queries()[2]->repeats == 0);  // writes
    CHECK(s.queries()[3]->repeats == 0);
    const auto* unknown = s.queries()[0];  // its parameters are not in the log
    CHECK(!unknown->repeats_known);
    CHECK(unknown->repeats == 0);
    CHECK(s.queries()[1]->repeats == 6);
    CHECK(s.queries()[1]->repeats_us == 6 * 96'000);
}

TEST_CASE("the timeline keeps few slots, however long the time, and loses none of it") {
    Timeline t;
    LogEntry e;
    e.total_us = 5;
    std::uint64_t all = 0;
    for (const std::int64_t at :
         {1'795'228'200'000'000, 1'795'228'201'000'000, 1'795'228'500'000'000,
          1'795'328'500'000'000, 1'700'000'000'000'000, 4'000'000'000'000'000, std::int64_t{0},
          std::int64_t{-5}}) {
        e.at_us = at;
        t.add(e);
        CHECK(t.slots().size() <= Timeline::kMaxSlots);
    }
    for (const auto& slot : t.slots()) all += slot.total_us;
    CHECK(all == 6 * 5);
}

TEST_CASE("100,001 queries and more are summed, and only the first are told apart") {
    Summary s;
    for (std::uint64_t i = 0; i < Summary::kMaxQueries + 10; ++i) {
        LogEntry e;
        e.fingerprint = i;
        e.total_us = 1;
        e.text = "x";
        e.database = "d" + std::to_string(i % 5000);
        s.add(std::move(e));
    }
    CHECK(s.queries().size() == Summary::kMaxQueries);
    CHECK(s.beyond().calls == 10);
    CHECK(s.all().calls == Summary::kMaxQueries + 10);
    CHECK(s.databases().size() <= 501);
}

TEST_CASE("the page has no script, fetches nothing, and shows hostile text as text") {
    const std::string evil =
        "<script>alert(1)</script><img src=http://x onerror=a>\"'&amp;</style>\x1b[31m\x7f"
        "\xe2\x80\xae"
        "reversed]]>\xff";
    std::vector<SlowQuery> queries;
    for (const auto event :
         {SlowEvent::slow, SlowEvent::error, SlowEvent::waited, SlowEvent::idle, SlowEvent::plan}) {
        auto q = slow("SELECT '" + evil + "' FROM \"" + evil + "\"");
        q.event = event;
        q.user = q.database = q.application_name = q.error = q.sqlstate = evil;
        q.cache_reason = "<b>reason";
        q.plan = evil + "\n  " + evil;
        q.notes = {{"sequential_scan", evil, evil}};
        queries.push_back(q);
    }
    for (const auto form : kForms) {
        const auto s = summary_of(lines(queries, form));
        CAPTURE(static_cast<int>(form));
        REQUIRE(s.all().calls == 3);
        const auto page = report_page({s, {{evil, {}, evil}}, 20});
        CHECK(page.find("<script") == std::string::npos);
        CHECK(page.find("<img") == std::string::npos);
        CHECK(page.find("<b>reason") == std::string::npos);
        CHECK(count_of(page, "</style>") == 1);
        CHECK(page.find("&lt;script&gt;alert(1)") != std::string::npos);
        CHECK(page.find("default-src 'none'") != std::string::npos);
        for (const char* fetched : {" src=", " href=", "url(", "@import"}) {
            const auto count = count_of(page, fetched);
            CHECK(count == count_of(page, std::string("img") + fetched));  // of the hostile text
        }
        for (const auto& text : {page, report_text({s, {{evil, {}, evil}}, 20})}) {
            CHECK(text.find('\x1b') == std::string::npos);
            CHECK(text.find('\x7f') == std::string::npos);
            CHECK(text.find("\xe2\x80\xae") == std::string::npos);
        }
    }
}

TEST_CASE(
    "text and page tell the top queries, waits, advice, the cache's potential and a timeline") {
    std::vector<SlowQuery> queries;
    for (int i = 0; i < 12; ++i)
        queries.push_back(slow("SELECT a FROM t ORDER BY a LIMIT 10 OFFSET 5000", 100 + i));
    const auto s = summary_of(lines(queries, SlowLogForm::json));
    for (const auto& text : {text_of(s), page_of(s)}) {
        CHECK(text.find("SELECT a FROM t ORDER BY a LIMIT $1 OFFSET $2") != std::string::npos);
        CHECK(text.find("offset_paging") != std::string::npos);
        CHECK(text.find("in_transaction") != std::string::npos);
        CHECK(text.find("Timeline") != std::string::npos);
        CHECK(text.find("1.27 s") != std::string::npos);   // total
        CHECK(text.find("24.0 ms") != std::string::npos);  // waited
    }
    const auto nothing = summary_of("");
    CHECK(text_of(nothing).find("No entry") != std::string::npos);
    CHECK(page_of(nothing).find("</html>") != std::string::npos);
}

TEST_CASE("many files are one report; one that cannot be read is told, and fails it") {
    const Directory dir;
    const auto a = dir.path + "/a", b = dir.path + "/b", page = dir.path + "/page.html";
    write(a, lines({slow("SELECT 1")}, SlowLogForm::json));
    write(b, lines({slow("SELECT 1"), slow("SELECT 2")}, SlowLogForm::csv) + "torn");
    const auto both = run({.files = {a, b}, .html = page, .progress = true});
    CHECK(both.good);
    CHECK(both.err.empty());
    CHECK(both.out.find("statements 3,") != std::string::npos);
    CHECK(both.out.find("1 cut or not understood") != std::string::npos);
    CHECK(both.bar.find("100 %") != std::string::npos);
    std::ifstream file(page);
    std::stringstream text;
    text << file.rdbuf();
    CHECK(text.str().ends_with("</html>\n"));
    CHECK(!std::filesystem::exists(page + ".part"));
    const auto missing = run({.files = {a, dir.path + "/no"}});
    CHECK(!missing.good);
    CHECK(missing.err.find("No such file") != std::string::npos);
    CHECK(missing.bar.empty());
    CHECK(missing.out.find("statements 1,") != std::string::npos);
    CHECK(!run({.files = {dir.path}}).good);
    CHECK(!run({.files = {a}, .html = dir.path + "/no/page"}).good);
}

TEST_CASE("numbers are written for people") {
    CHECK(time_text(0) == "0 µs");
    CHECK(time_text(999) == "999 µs");
    CHECK(time_text(1'234) == "1.23 ms");
    CHECK(time_text(45'600) == "45.6 ms");
    CHECK(time_text(1'500'000) == "1.50 s");
    CHECK(time_text(599'000'000) == "599 s");
    CHECK(time_text(3'600'000'000) == "1 h 00 min");
    CHECK(count_text(0) == "0");
    CHECK(count_text(999) == "999");
    CHECK(count_text(1'234'567) == "1,234,567");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1536) == "1.50 KiB");
    CHECK(share_text(1, 3) == "33.3 %");
    CHECK(share_text(1, 0) == "0 %");
    CHECK(one_line("  a\n\t b  ", 10) == "a b");
    CHECK(one_line("abcdef", 4) == "abc…");
}
