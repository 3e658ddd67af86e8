#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "../../../src/admin/log_file.hpp"
#include "../../../src/admin/slow_line.hpp"
#include "pgweir/base/bytes.hpp"
#include "support/amount.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using metrics::SlowEvent;
using nlohmann::json;
using pgweir::testing::amount;
namespace fs = std::filesystem;

namespace {

constexpr SlowLogForm kForms[] = {SlowLogForm::json, SlowLogForm::csv, SlowLogForm::stderr_,
                                  SlowLogForm::pgbouncer};

struct Directory {
    std::string path;
    Directory() {
        char name[] = "/tmp/pgweir-slowforms-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        path = name;
    }
    ~Directory() {
        std::error_code ignored;
        fs::remove_all(path, ignored);
    }
    std::string operator/(const std::string& file) const { return path + "/" + file; }
};

metrics::SlowQuery slow(std::string text) {
    metrics::SlowQuery q;
    q.text = std::move(text);
    q.user = "joe";
    q.database = "app";
    q.application_name = "shop";
    q.client_host = "10.1.2.3";
    q.client_port = 4711;
    q.server_pid = 4242;
    q.session_id = 0x1234;
    q.pool = "app/joe";
    q.cache = "bypass";
    q.started_wall_us = 1'795'228'200'000'000;  // 2026-11-21 02:30:00 UTC
    q.total_ns = 1'234'567'890;
    q.wait_ns = 1'001'000;
    q.server_ns = 1'200'000'000;
    return q;
}

const std::string kNull = "\x01null";

/// A Bind's body behind its names.
std::string bind_of(const std::vector<std::string>& values, std::uint16_t format = 0) {
    std::string body;
    base::append_u16(body, 1);
    base::append_u16(body, format);
    base::append_u16(body, static_cast<std::uint16_t>(values.size()));
    for (const auto& v : values) {
        base::append_u32(body, v == kNull ? 0xffffffffu : static_cast<std::uint32_t>(v.size()));
        if (v != kNull) body += v;
    }
    base::append_u16(body, 0);
    return body;
}

std::string output_of(const std::string& command) {
    std::string all;
    FILE* pipe = popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    char part[4096];
    while (const auto n = std::fread(part, 1, sizeof part, pipe)) all.append(part, n);
    CHECK(pclose(pipe) == 0);
    return all;
}

const bool kNoBadger = std::system("command -v pgbadger >/dev/null") != 0;

/// Three slow statements, an error and a wait: what every form has to tell pgBadger.
std::vector<metrics::SlowQuery> planted() {
    auto first = slow("SELECT * FROM orders WHERE id = 1 AND name = 'O''Hara \"x\" \\ \xc3\xa9'");
    auto second = slow("SELECT * FROM orders WHERE id = 2 AND name = 'b'");
    second.total_ns = 2'000'500'000;
    auto third = slow("UPDATE t\n\tSET a = $1\nWHERE b = 'x,\ny'");
    third.extended = true;
    third.user = "ann";
    third.total_ns = 5'000'000'000;
    third.bind = bind_of({"42"});
    auto failed = slow("SELECT 1/0");
    failed.event = SlowEvent::error;
    failed.sqlstate = "22012";
    failed.error = "division by zero";
    auto waited = slow("SELECT 3");
    waited.event = SlowEvent::waited;
    auto plan = slow("SELECT * FROM orders WHERE id = 1 AND name = 'b'");
    plan.event = SlowEvent::plan;
    plan.total_ns = plan.wait_ns = plan.server_ns = plan.transfer_ns = 0;
    plan.plan = "Seq Scan on public.orders  (cost=0.00..9.00 rows=1 width=8)\n  Filter: (id = $1)";
    plan.notes = {{"sequential_scan", "seen", "do"}};
    return {first, second, third, failed, waited, plan};
}

json badger(SlowLogOptions options, const std::string& how) {
    const Directory dir;
    options.file = dir / "slow.log";
    {
        SlowLogWriter log(options);
        for (auto& q : planted()) CHECK(log.offer(std::move(q)));
    }
    return json::parse(
        output_of("pgbadger -q " + how + " -x json -o - " + options.file + " 2>/dev/null"));
}

void check_planted(const json& report) {
    const auto& overall = report["overall_stat"]["postgres"];
    CHECK(report["overall_stat"]["queries_number"] == 3);
    CHECK(overall["select"] == 2);
    CHECK(overall["update"] == 1);
    CHECK(overall["errors_number"] == 1);
    CHECK(overall["queries_duration"]["execute"].get<double>() == doctest::Approx(8235.067));
    const auto& normalised = report["normalyzed_info"]["postgres"];
    REQUIRE(normalised.contains("select * from orders where id = ? and name = ?;"));
    const auto& orders = normalised["select * from orders where id = ? and name = ?;"];
    CHECK(orders["count"] == 2);
    CHECK(orders["min"] == "1234.567");
    CHECK(orders["max"] == "2000.500");
    CHECK(normalised.size() == 2);
    CHECK(report["user_info"]["postgres"]["joe"]["count"] == 2);
    CHECK(report["user_info"]["postgres"]["ann"]["update"] == 1);
    CHECK(report["database_info"]["postgres"]["app"]["count"] == 3);
    CHECK(report["error_info"]["postgres"].dump().find("division by zero") != std::string::npos);
}

}  // namespace

TEST_CASE("pgBadger reads jsonlog with right counts" * doctest::skip(kNoBadger)) {
    check_planted(badger({}, "-f jsonlog"));
}

TEST_CASE("pgBadger reads csvlog with right counts" * doctest::skip(kNoBadger)) {
    check_planted(badger({.form = SlowLogForm::csv}, "-f csv"));
}

TEST_CASE("pgBadger reads stderr's form with right counts, by the prefix it was given" *
          doctest::skip(kNoBadger)) {
    for (const std::string prefix :
         {"%m [%p]: user=%u,db=%d,app=%a,client=%h ", "%m [%p]: [%l-1] db=%d,user=%u "})
        check_planted(badger({.form = SlowLogForm::stderr_, .prefix = prefix},
                             "-f stderr --prefix '" + prefix + "'"));
}

TEST_CASE("pgBadger reads PgBouncer's lines: it knows errors in them, no queries" *
          doctest::skip(kNoBadger)) {
    const auto report = badger({.form = SlowLogForm::pgbouncer}, "-f pgbouncer3");
    CHECK(report.dump().find("division by zero") != std::string::npos);
}

TEST_CASE("a CSV record has PostgreSQL's 26 columns") {
    auto q = slow("SELECT \"a\", 'b\nc'");
    q.database = "a,b\"c\nd";
    const auto row = slow_log_line(q, 7, {.form = SlowLogForm::csv});
    std::vector<std::string> columns{""};
    bool quoted = false;
    for (const char c : row) {
        if (c == '"') quoted = !quoted;
        if (c == ',' && !quoted)
            columns.emplace_back();
        else
            columns.back() += c;
    }
    REQUIRE(columns.size() == 26);
    CHECK(columns[0] == "2026-11-21 02:30:01.234 UTC");
    CHECK(columns[2] == "\"a,b\"\"c\\x0ad\"");
    CHECK(columns[4] == "\"10.1.2.3:4711\"");
    CHECK(columns[7] == "\"SELECT\"");
    CHECK(columns[11] == "LOG");
    CHECK(columns[13] == "\"duration: 1234.567 ms  statement: SELECT \"\"a\"\", 'b\nc'\"");
    CHECK(columns[18].find("wait_ms=1.001") != std::string::npos);
    CHECK(columns[22] == "\"shop\"");
}

TEST_CASE("nothing from outside begins a line of its own in forms of lines") {
    const std::string evil =
        "x\n2026-11-21 02:30:01.234 UTC [1]: LOG:  forged\r\n\x1b[31m\x7f\xc2\x9b\xff";
    for (const auto form : {SlowLogForm::stderr_, SlowLogForm::pgbouncer}) {
        for (const auto event : {SlowEvent::slow, SlowEvent::error, SlowEvent::idle}) {
            auto q = slow(evil);
            q.event = event;
            q.user = q.database = q.application_name = q.client_host = evil;
            q.prepared_name = q.error = q.sqlstate = evil;
            q.bind = bind_of({evil});
            const auto text = slow_log_line(q, 1, {.form = form, .prefix = "%m %u %d %a %h %e: "});
            for (std::size_t end = 0; (end = text.find('\n', end)) != std::string::npos; ++end) {
                const bool ours =
                    text.compare(end + 1, 33, "2026-11-21 02:30:01.234 UTC x\\x0a") == 0;
                CHECK((ours || text[end + 1] == '\t'));
            }
            for (const char c : {'\r', '\x1b', '\x7f', '\xff'})
                CHECK(text.find(c) == std::string::npos);
            CHECK(text.find("\xc2\x9b") == std::string::npos);
            if (form == SlowLogForm::pgbouncer) CHECK(text.find('\n') == std::string::npos);
        }
    }
}

TEST_CASE("the prefix knows PostgreSQL's escapes and paddings") {
    const auto text = slow_log_line(slow("SELECT 1"), 7,
                                    {.form = SlowLogForm::stderr_,
                                     .prefix = "%t|%p|%u|%d|%a|%r|%h|%l|%c|%e|%i|%%|%5l|%-5l|%z "});
    CHECK(
        text.starts_with("2026-11-21 02:30:01 UTC|4242|joe|app|shop|10.1.2.3(4711)|10.1.2.3|7|"
                         "1234.1092|00000|SELECT|%|    7|7    | LOG:  duration: 1234.567 ms"));
}

TEST_CASE("parameters are shown as text, NULL, numbers, or digits, and what is cut says so") {
    CHECK(parameters_text(bind_of({"42", "it's", kNull}), {}) ==
          "parameters: $1 = '42', $2 = 'it''s', $3 = NULL");
    CHECK(parameters_text(bind_of({std::string("\0\0\1\2", 4)}, 1), {23}) ==
          "parameters: $1 = '258'");
    CHECK(parameters_text(bind_of({"\xff\xff"}, 1), {21}) == "parameters: $1 = '-1'");
    CHECK(parameters_text(bind_of({std::string("\0\1", 2)}, 1), {}) ==
          "parameters: $1 = '\\x0001'");
    CHECK(parameters_text(bind_of({std::string(5000, 'x')}), {}).size() < 1100);
    CHECK(parameters_text("", {}).empty());
    CHECK(parameters_text(std::string_view("\0\1", 2), {}).empty());
    auto torn = bind_of({"first", "second"});
    torn.resize(torn.size() - 6);
    CHECK(parameters_text(torn, {}) == "parameters: $1 = 'first'...");
}

TEST_CASE("a statement with a redacted word shows no constant, no parameter and no message (S36)") {
    auto q = slow("ALTER ROLE joe PassWord 'sesame' -- why");
    q.bind = bind_of({"sesame"});
    q.error = "sesame is too short";
    q.sqlstate = "22023";
    for (const auto event : {SlowEvent::slow, SlowEvent::error, SlowEvent::waited, SlowEvent::idle})
        for (const auto form : kForms) {
            q.event = event;
            const SlowLogOptions options{.form = form, .redact = {"password"}};
            CHECK(slow_log_line(q, 1, options).find("sesame") == std::string::npos);
            CHECK(slow_log_line(q, 1, options).find("ALTER ROLE joe") != std::string::npos);
            CHECK(journal_entry(q, options).find("sesame") == std::string::npos);
        }
    CHECK(slow_log_line(q, 1, {}).find("sesame") != std::string::npos);
}

TEST_CASE("without literals every text is the normalised one") {
    const auto line =
        json::parse(slow_log_line(slow("SELECT 'secret', 17"), 1, {.literals = false}));
    CHECK(line["message"] == "duration: 1234.567 ms  statement: SELECT $1, $2");
    CHECK(line["normalised"] == "SELECT $1, $2");
}

TEST_CASE("the trace of sqlcommenter is found in comments only, and only when it is one") {
    const std::string trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const std::string key = "traceparent='" + trace + "'";
    CHECK(traceparent_of("SELECT 1 /*action='x'," + key + "*/") == trace);
    CHECK(traceparent_of("/* " + key + " */ SELECT 1") == trace);
    CHECK(traceparent_of("SELECT \"" + key + "\"").empty());
    CHECK(traceparent_of("/* x */ SELECT \"" + key + "\" /* y */").empty());
    CHECK(traceparent_of("SELECT 1 /*traceparent='00-zz'*/").empty());
    CHECK(traceparent_of("SELECT 1 /*" + key.substr(0, 20)).empty());
    const auto line = json::parse(slow_log_line(slow("SELECT 1 /*" + key + "*/"), 1));
    CHECK(line["traceparent"] == trace);
}

TEST_CASE("what is known of cache, pin and transaction is in the line") {
    auto q = slow("SELECT 1");
    q.cache_reason = "in_transaction";
    q.pin = "temporary";
    q.tx_position = 3;
    q.tx_age_ns = 5'000'000;
    const auto line = json::parse(slow_log_line(q, 1));
    CHECK(line["cache_reason"] == "in_transaction");
    CHECK(line["pin"] == "temporary");
    CHECK(line["tx_position"] == 3);
    CHECK(line["tx_age_ms"] == 5.0);
    CHECK(line["total_ms"] == 1234.567);
    const auto csv = slow_log_line(q, 1, {.form = SlowLogForm::csv});
    CHECK(csv.find("cache_reason=in_transaction pin=temporary tx_position=3 tx_age_ms=5.000") !=
          std::string::npos);
}

TEST_CASE("a statement of 16 MB, with zero bytes, or of nothing is an entry in every form") {
    CHECK(slow_log_line(slow(std::string(amount(16u << 20), '(')), 1).size() < 1'000'000);
    for (const auto& text :
         {std::string(amount(1u << 20), '('), std::string("SELECT 1\0forged", 15), std::string(),
          std::string(200'000, '\xff')})
        for (const auto form : kForms) {
            const auto line = slow_log_line(slow(text), 1, {.form = form});
            CHECK(line.size() < 1'000'000);
            CHECK(line.find("forged") == std::string::npos);
        }
}

TEST_CASE("the journal gets one datagram of fields, and none that hides its end") {
    const Directory dir;
    const auto path = dir / "socket";
    const int receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size());
    REQUIRE(bind(receiver, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    {
        SlowLogWriter log({.file = "journald", .journal_socket = path});
        CHECK(log.offer(slow("SELECT 1\nPRIORITY=0\n")));
    }
    char buffer[65536];
    const auto n = recv(receiver, buffer, sizeof buffer, MSG_DONTWAIT);
    REQUIRE(n > 0);
    std::string_view rest(buffer, static_cast<std::size_t>(n));
    std::map<std::string, std::string> fields;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        std::uint64_t size = 0;
        for (std::size_t i = 8; i > 0; --i)
            size = size << 8 | static_cast<unsigned char>(rest.at(end + i));
        CHECK(fields.emplace(rest.substr(0, end), rest.substr(end + 9, size)).second);
        rest.remove_prefix(end + 9 + size + 1);
    }
    CHECK(fields["MESSAGE"] == "duration: 1234.567 ms  statement: SELECT 1\nPRIORITY=0\n");
    CHECK(fields["PRIORITY"] == "5");
    CHECK(fields["PGWEIR_USER"] == "joe");
    close(receiver);
}

TEST_CASE("a journal that is not there costs entries, which are counted") {
    SlowLogWriter log({.file = "journald", .journal_socket = "/nonexistent/socket"});
    log.offer(slow("SELECT 1"));
    const auto until = base::monotonic_now() + 10 * base::kSecond;
    while (log.lost() == 0 && base::monotonic_now() < until) usleep(1000);
    CHECK(log.lost() == 1);
}

TEST_CASE("a file is rotated by age") {
    const Directory dir;
    LogFile file(dir / "slow.log", 0, 3, base::kMicrosecond);
    CHECK(file.write_line("first"));
    usleep(2000);
    CHECK(file.write_line("second"));
    CHECK(fs::exists(dir / "slow.log.1"));
    LogFile young(dir / "young.log", 0, 3, 3600 * base::kSecond);
    CHECK(young.write_line("first"));
    CHECK(young.write_line("second"));
    CHECK(!fs::exists(dir / "young.log.1"));
}
