#include "pgweir/admin/slow_log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "pgweir/base/clock.hpp"
#include "pgweir/query/verdict.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using base::kMillisecond;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

struct Directory {
    std::string path;
    Directory() {
        char name[] = "/tmp/pgweir-slowlog-XXXXXX";
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
    q.cache = "miss";
    q.started_wall_us = 1'795'228'200'000'000;  // 2026-11-21 02:30:00 UTC
    q.total_ns = 1'234'567'890;
    q.wait_ns = 1'001'000;
    q.server_ns = 1'200 * kMillisecond;
    q.transfer_ns = 500'000;
    q.rows = 3;
    q.bytes = 99;
    return q;
}

std::vector<std::string> lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
}

template <class F>
bool eventually(F f) {
    const auto until = base::monotonic_now() + 10 * base::kSecond;
    while (!f()) {
        if (base::monotonic_now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
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

}  // namespace

TEST_CASE("a line has PostgreSQL's keys first and ours at the end") {
    const auto text = slow_log_line(slow("SELECT 1"), 7);
    CHECK(text.starts_with(
        R"({"timestamp":"2026-11-21 02:30:01.234 UTC","user":"joe","dbname":"app","pid":4242,)"));
    const auto line = json::parse(text);
    CHECK(line["remote_host"] == "10.1.2.3");
    CHECK(line["remote_port"] == 4711);
    CHECK(line["session_id"] == "1234.1092");
    CHECK(line["line_num"] == 7);
    CHECK(line["error_severity"] == "LOG");
    CHECK(line["message"] == "duration: 1234.567 ms  statement: SELECT 1");
    CHECK(line["application_name"] == "shop");
    CHECK(line["backend_type"] == "client backend");
    CHECK(line["wait_ms"] == 1.001);
    CHECK(line["server_ms"] == 1200.0);
    CHECK(line["transfer_ms"] == 0.5);
    CHECK(line["rows"] == 3);
    CHECK(line["bytes"] == 99);
    CHECK(line["cache"] == "miss");
    CHECK(line["pool"] == "app/joe");
    CHECK(!line.contains("state_code"));
    CHECK(!line.contains("text_cut"));
    const auto hex = line["fingerprint"].get<std::string>();
    CHECK(hex.size() == 16);
    CHECK(std::stoull(hex, nullptr, 16) == query::fingerprint("select  2"));
    CHECK(line["query_id"].get<std::int64_t>() ==
          static_cast<std::int64_t>(query::fingerprint("SELECT 1")));
    CHECK(text.find("\": ") == std::string::npos);
}

TEST_CASE("an extended statement says execute and its name") {
    auto q = slow("SELECT $1");
    q.extended = true;
    CHECK(json::parse(slow_log_line(q, 1))["message"] ==
          "duration: 1234.567 ms  execute <unnamed>: SELECT $1");
    q.prepared_name = "s1";
    q.sqlstate = "57014";
    q.client_host = "unix";
    q.client_port = 0;
    const auto line = json::parse(slow_log_line(q, 1));
    CHECK(line["message"] == "duration: 1234.567 ms  execute s1: SELECT $1");
    CHECK(line["state_code"] == "57014");
    CHECK(line["remote_host"] == "[local]");
    CHECK(!line.contains("remote_port"));
}

TEST_CASE("hostile text is one valid line of JSON without control characters (S35)") {
    std::string every;
    for (int c = 1; c < 256; ++c) every += static_cast<char>(c);
    for (const auto& text : {every, std::string("a\nb\r\0c", 6),
                             std::string("\xc2\x9b"
                                         "31m \x7f \xe2\x82"),
                             std::string("\"}\n{\"timestamp\":\"x\"}"), std::string(10, '\xf0')}) {
        auto q = slow(text);
        q.user = q.application_name = q.database = q.pool = q.prepared_name = q.client_host = text;
        const auto line = slow_log_line(q, 1);
        for (std::size_t i = 0; i < line.size(); ++i) {
            const auto c = static_cast<unsigned char>(line[i]);
            CHECK(c >= 0x20);
            CHECK(c != 0x7f);
            if (c == 0xc2) CHECK(static_cast<unsigned char>(line.at(i + 1)) >= 0xa0);
        }
        CHECK(json::accept(line));
    }
    CHECK(json::parse(slow_log_line(slow("caf\xc3\xa9 \x7f \xc2\x80"), 1))["message"] ==
          "duration: 1234.567 ms  statement: caf\xc3\xa9 \x7f \xc2\x80");
}

TEST_CASE("a long text is cut between characters and says so") {
    std::string text = "SELECT '";
    while (text.size() < 300'000) text += "\xe2\x82\xac";
    const auto cut = json::parse(slow_log_line(slow(text), 1));
    CHECK(cut["text_cut"] == true);
    const auto message = cut["message"].get<std::string>();
    CHECK(message.size() < 70'000);
    CHECK(message.ends_with("\xe2\x82\xac"));
    CHECK(message.find("\xef\xbf\xbd") == std::string::npos);
}

TEST_CASE("every query offered is a line, in order, once the writer has ended") {
    const Directory dir;
    {
        SlowLogWriter log({.file = dir / "slow.log"});
        for (int i = 0; i < 100; ++i) CHECK(log.offer(slow("SELECT " + std::to_string(i))));
    }
    const auto all = lines(dir / "slow.log");
    REQUIRE(all.size() == 100);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto line = json::parse(all[i]);
        CHECK(line["line_num"] == i + 1);
        CHECK(line["message"].get<std::string>().ends_with("SELECT " + std::to_string(i)));
    }
}

TEST_CASE("the log is rotated by size and keeps so many files") {
    const Directory dir;
    std::ofstream(dir / "slow.log.3") << "the oldest\n";
    {
        SlowLogWriter log({.file = dir / "slow.log", .max_file_size = 1500, .max_files = 3});
        for (int i = 0; i < 40; ++i) log.offer(slow("SELECT 1"));
    }
    int last = 41;
    for (const char* name : {"slow.log", "slow.log.1", "slow.log.2", "slow.log.3"}) {
        INFO(std::string(name));
        CHECK(fs::file_size(dir / name) <= 1500);
        const auto all = lines(dir / name);
        REQUIRE(!all.empty());
        for (auto line = all.rbegin(); line != all.rend(); ++line) {
            const auto number = json::parse(*line)["line_num"].get<int>();
            CHECK(number == last - 1);
            last = number;
        }
    }
    CHECK(!fs::exists(dir / "slow.log.4"));
}

TEST_CASE("reopen writes later queries to a new file, earlier ones to the old") {
    const Directory dir;
    SlowLogWriter log({.file = dir / "slow.log"});
    log.offer(slow("SELECT 'before'"));
    CHECK(eventually([&] { return log.written() == 1; }));
    fs::rename(dir / "slow.log", dir / "moved");
    log.offer(slow("SELECT 'between'"));
    log.reopen();
    log.offer(slow("SELECT 'after'"));
    CHECK(eventually([&] { return log.written() == 3; }));
    CHECK(lines(dir / "moved").size() == 2);
    CHECK(lines(dir / "slow.log").size() == 1);
    log.reconfigure({.file = dir / "other.log"});
    log.offer(slow("SELECT 'elsewhere'"));
    CHECK(eventually([&] { return log.written() == 4; }));
    CHECK(lines(dir / "other.log").size() == 1);
}

TEST_CASE("a file that was removed or truncated by others is written on") {
    const Directory dir;
    SlowLogWriter log({.file = dir / "slow.log"});
    log.offer(slow("SELECT 1"));
    CHECK(eventually([&] { return log.written() == 1; }));
    fs::remove(dir / "slow.log");
    log.offer(slow("SELECT 2"));
    CHECK(eventually([&] { return log.written() == 2; }));
    CHECK(lines(dir / "slow.log").size() == 1);
    fs::resize_file(dir / "slow.log", 0);
    log.offer(slow("SELECT 3"));
    CHECK(eventually([&] { return log.written() == 3; }));
    CHECK(lines(dir / "slow.log").size() == 1);
}

TEST_CASE("a file that cannot be opened costs lines, which are counted, until it can") {
    const Directory dir;
    SlowLogWriter log({.file = dir / "missing/slow.log"});
    CHECK(log.offer(slow("SELECT 1")));
    CHECK(eventually([&] { return log.lost() == 1; }));
    CHECK(eventually([&] { return log.problem().find("No such file") != std::string::npos; }));
    fs::create_directory(dir / "missing");
    CHECK(eventually([&] {
        log.offer(slow("SELECT 2"));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return log.written() > 0;
    }));
    CHECK(eventually([&] { return log.problem().empty(); }));
}

TEST_CASE("a full disk costs lines, which are counted") {
    SlowLogWriter log({.file = "/dev/full"});
    for (int i = 0; i < 10; ++i) CHECK(log.offer(slow("SELECT 1")));
    CHECK(eventually([&] { return log.lost() == 10; }));
    CHECK(log.written() == 0);
    CHECK(eventually([&] { return log.problem().find("No space left") != std::string::npos; }));
}

TEST_CASE("a reader that does not read costs lines, never the time of whoever offers") {
    const Directory dir;
    const auto path = dir / "fifo";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0);
    {
        SlowLogWriter log({.file = path, .max_queued = 50});
        int refused = 0;
        const auto start = base::monotonic_now();
        for (int i = 0; i < 2000; ++i)
            if (!log.offer(slow("SELECT '" + std::string(1000, 'x') + "'"))) ++refused;
        CHECK(base::monotonic_now() - start < base::kSecond);
        CHECK(eventually([&] { return log.written() + log.lost() == 2000; }));
        CHECK(log.lost() >= static_cast<std::uint64_t>(refused));
        CHECK(log.lost() > 1000);
        CHECK(log.written() > 0);
    }
    close(reader);
}

TEST_CASE("the queue is bounded by the bytes of its texts") {
    const Directory dir;
    SlowLogWriter log({.file = dir / "slow.log", .max_queued_bytes = 1000});
    CHECK(!log.offer(slow(std::string(1001, 'x'))));
    CHECK(log.lost() == 1);
    CHECK(log.offer(slow(std::string(900, 'x'))));
    CHECK(eventually([&] { return log.written() == 1; }));
    CHECK(eventually([&] { return log.offer(slow(std::string(900, 'x'))); }));
}

TEST_CASE("half a line is taken back, and the log goes on when there is room again") {
    const Directory dir;
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto handler = signal(SIGXFSZ, SIG_IGN);
    auto small = before;
    small.rlim_cur = 4000;  // as a full disk: the kernel writes a part of what does not fit
    REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
    SlowLogWriter log({.file = dir / "slow.log"});
    for (int i = 0; i < 20; ++i) log.offer(slow("SELECT 1"));
    const bool lost =
        eventually([&] { return log.written() + log.lost() == 20; }) && log.lost() > 0;
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    CHECK(lost);
    CHECK(lines(dir / "slow.log").size() == log.written());
    CHECK(eventually([&] {
        const auto wrote = log.written();
        log.offer(slow("SELECT 2"));
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        return log.written() > wrote;
    }));
    for (const auto& line : lines(dir / "slow.log")) CHECK(json::accept(line));
}

TEST_CASE("half a line that cannot be taken back is ended before the next") {
    const Directory dir;
    const auto path = dir / "fifo";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    const int reader = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0);
    std::string all;
    const auto drain = [&] {
        char part[65536];
        for (ssize_t n; (n = read(reader, part, sizeof part)) > 0;)
            all.append(part, static_cast<std::size_t>(n));
    };
    {
        SlowLogWriter log({.file = path});
        for (int i = 0; i < 20; ++i) log.offer(slow("SELECT '" + std::string(30'000, 'x') + "'"));
        CHECK(eventually([&] { return log.written() + log.lost() == 20; }));
        CHECK(log.lost() > 0);
        const auto wrote = log.written();
        CHECK(eventually([&] {
            drain();
            log.offer(slow("SELECT 2"));
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            return log.written() > wrote + 1;
        }));
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        drain();
        std::istringstream text(all);
        std::size_t whole = 0, halves = 0;
        for (std::string line; std::getline(text, line);) ++(json::accept(line) ? whole : halves);
        CHECK(whole == log.written());
        CHECK(halves == 1);
    }
    close(reader);
}

TEST_CASE("several threads may offer at once") {
    const Directory dir;
    {
        SlowLogWriter log({.file = dir / "slow.log"});
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 200; ++i) log.offer(slow("SELECT 1"));
            });
        for (auto& t : threads) t.join();
        CHECK(eventually([&] { return log.written() + log.lost() == 800; }));
    }
    for (const auto& line : lines(dir / "slow.log")) CHECK(json::accept(line));
}

TEST_CASE("pgBadger reads the file as it is" *
          doctest::skip(std::system("command -v pgbadger >/dev/null") != 0)) {
    const Directory dir;
    {
        SlowLogWriter log({.file = dir / "slow.log"});
        log.offer(slow("SELECT * FROM orders WHERE id = 1 AND name = 'O''Hara \"x\" \\ \xc3\xa9'"));
        auto second = slow("SELECT * FROM orders WHERE id = 2 AND name = 'b'");
        second.total_ns = 2'000'500'000;
        log.offer(std::move(second));
        auto third = slow("UPDATE t\n\tSET a = $1 -- why\n WHERE b = 'multi\nline'");
        third.extended = true;
        third.user = "ann";
        third.total_ns = 5'000 * kMillisecond;
        log.offer(std::move(third));
        auto hostile = slow("SELECT '\x01\xff \x7f'");
        hostile.total_ns = 1'500 * kMillisecond;
        log.offer(std::move(hostile));
    }
    for (const char* how : {"", "-f jsonlog "}) {  // it finds the format by itself, too
        INFO(std::string(how));
        const auto report =
            json::parse(output_of("pgbadger -q " + std::string(how) + "-x json -o - " +
                                  (dir / "slow.log") + " 2>/dev/null"));
        CHECK(report["overall_stat"]["queries_number"] == 4);
        const auto& overall = report["overall_stat"]["postgres"];
        CHECK(overall["select"] == 3);
        CHECK(overall["update"] == 1);
        CHECK(overall["errors_number"] == 0);
        CHECK(overall["first_query_ts"] == "2026-11-21 02:30:01");
        CHECK(overall["queries_duration"]["execute"].get<double>() == doctest::Approx(9735.067));
        const auto& orders = report["normalyzed_info"]["postgres"]
                                   ["select * from orders where id = ? and name = ?;"];
        CHECK(orders["count"] == 2);
        CHECK(orders["min"] == "1234.567");
        CHECK(orders["max"] == "2000.500");
        CHECK(report["normalyzed_info"]["postgres"].size() == 3);
        CHECK(report["top_slowest"]["postgres"][0][0] == "5000.000");
        CHECK(report["user_info"]["postgres"]["joe"]["count"] == 3);
        CHECK(report["user_info"]["postgres"]["ann"]["update"] == 1);
        CHECK(report["database_info"]["postgres"]["app"]["count"] == 4);
        CHECK(report["application_info"]["postgres"]["shop"]["count"] == 4);
        CHECK(report["host_info"]["postgres"]["10.1.2.3"]["count"] == 4);
    }
}
