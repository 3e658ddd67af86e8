// `pgweir report` on a slow log that a running pgweir wrote: its numbers and those of SHOW QUERIES.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

using Numbers = std::vector<std::string>;

/// What the page says of each query, by fingerprint: the exact numbers of its row.
std::map<std::string, Numbers> numbers_of(const std::string& page) {
    std::map<std::string, Numbers> all;
    const std::string row = "<tr class=figures id=q", value = "<data value=";
    for (auto at = page.find(row); at != std::string::npos; at = page.find(row, at + 1)) {
        auto& numbers = all[page.substr(at + row.size(), 16)];
        const auto end = page.find("</tr>", at);
        for (auto v = page.find(value, at); v < end; v = page.find(value, v + 1))
            numbers.push_back(page.substr(v + value.size(), page.find('>', v) - v - value.size()));
    }
    return all;
}

void traffic(Proxy& proxy) {
    auto a = proxy.connect();
    auto b = proxy.connect("app", "app", "application_name=other");
    for (int i = 0; i < 30; ++i) {
        a.run("SELECT count(*) FROM generate_series(1, " + std::to_string(i * 1000) + ")");
        b.run("SELECT '<b>' || g FROM generate_series(1, 5) g WHERE g > " + std::to_string(i % 7));
    }
    CHECK(!a.exec("SELECT 1 / 0").ok);
    CHECK(!a.exec("SELECT nothing FROM nowhere").ok);
    a.run("BEGIN");
    b.run("SELECT pg_sleep(0.05)");
    a.run("SELECT 1");
    a.run("COMMIT");
}

}  // namespace

TEST_CASE("the report's numbers are those of SHOW QUERIES, in every form of the log") {
    for (const std::string form : {"json", "csv", "stderr"}) {
        CAPTURE(form);
        Proxy proxy(
            Cluster::shared(),
            {{{"slow_log", "{threshold: 0, errors: true, file: slow.log, format: " + form + "}"},
              // A BEGIN that no server was asked is counted, and never slow.
              {"pool", "{min_size: 0, max_size: 5, lazy_begin: false}"}},
             {},
             {},
             0});
        traffic(proxy);
        const auto page = proxy.directory() + "/page.html";
        Answer shown;
        const auto same = [&] {
            shown = proxy.console("SHOW QUERIES LIMIT 10000");
            const auto r = run({Proxy::binary(), "report", proxy.directory() + "/slow.log",
                                "--html", page, "--top", "10000"});
            REQUIRE_MESSAGE(r.status == 0, r.err);
            const auto wanted = numbers_of(read_file(page));
            if (shown.rows.empty() || wanted.size() != shown.rows.size()) return false;
            for (std::size_t i = 0; i < shown.rows.size(); ++i) {
                Numbers row;
                for (const char* column : {"total_time", "calls", "mean_time", "p95_time",
                                           "max_time", "wait_time", "rows", "errors"})
                    row.push_back(shown.at(i, column));
                const auto it = wanted.find(shown.at(i, "fingerprint"));
                if (it == wanted.end() || it->second != row) return false;
            }
            return true;
        };
        CHECK(eventually(same));
        CHECK(shown.rows.size() >= 7);
        CHECK(read_file(page).find("&lt;b&gt;") != std::string::npos);
    }
}

namespace {

/// Queries for which a rule fired.
std::map<std::string, Numbers> advice_of(const Proxy& proxy) {
    std::map<std::string, Numbers> found;
    const auto a = proxy.console("SHOW ADVICE");
    for (std::size_t i = 0; i < a.rows.size(); ++i)
        found[a.at(i, "rule")].push_back(a.at(i, "query"));
    return found;
}

void seed_fan_out(Db& db, int rows, int executions) {
    db.run("SELECT g AS id FROM generate_series(1, " + std::to_string(rows) + ") g");
    for (int i = 0; i < executions; ++i)
        db.run("SELECT oid FROM pg_type WHERE oid = " + std::to_string(i));
}

}  // namespace

TEST_CASE("advice from traffic: each seeded habit is found, and its likes are not") {
    Proxy proxy(Cluster::shared());
    auto db = proxy.connect();
    for (int n = 5; n < 12; ++n) seed_fan_out(db, n, n);
    db.run("CREATE TABLE IF NOT EXISTS advised (a int)");
    for (int run = 0; run < 3; ++run) {
        for (int i = 0; i < 110; ++i)
            db.run("INSERT INTO advised VALUES (" + std::to_string(i) + ")");
        db.run("BEGIN");
        for (int i = 0; i < 110; ++i)
            db.run("UPDATE advised SET a = 1 WHERE a = " + std::to_string(-i));
        db.run("COMMIT");
    }
    std::string list = "1";
    for (int i = 0; i < 12; ++i) {
        db.run("SELECT relname FROM pg_class WHERE oid IN (" + list + ")");
        db.run("SELECT relkind FROM pg_class WHERE oid = ANY ('{" + list + "}')");
        list += ", " + std::to_string(i);
    }
    std::vector<Db> idle;
    for (int i = 0; i < 5; ++i) {
        idle.push_back(proxy.connect());
        idle.back().run("BEGIN");
        idle.back().run("SELECT 'held'::text AS held, now()");  // a hit would hold no server
    }
    sleep_for(Seconds(1.1));  // what is looked for is silence
    for (auto& session : idle) session.run("COMMIT");
    std::map<std::string, Numbers> found;
    CHECK(eventually([&] {
        found = advice_of(proxy);
        return found.size() >= 4;
    }));
    CHECK(found["n_plus_one"] == Numbers{"SELECT oid FROM pg_type WHERE oid = $1"});
    CHECK(found["autocommit_loop"] == Numbers{"INSERT INTO advised VALUES ($1)"});
    CHECK(found["varying_in_list"] == Numbers{"SELECT relname FROM pg_class WHERE oid IN ($1)"});
    CHECK(found["idle_in_transaction"] == Numbers{"SELECT $1::text AS held, now()"});
    db.run("DROP TABLE advised");
}

TEST_CASE("a slow log that hangs costs entries, which are counted, and traffic nothing") {
    const TempDir dir("pgweir-hung-");
    const auto fifo = dir.path() + "/fifo";
    REQUIRE(mkfifo(fifo.c_str(), 0666) == 0);
    REQUIRE(chmod(dir.path().c_str(), 0777) == 0);
    REQUIRE(chmod(fifo.c_str(), 0666) == 0);
    for (const bool reader : {false, true}) {  // nobody at its other end; somebody who sleeps
        CAPTURE(reader);
        const int end = reader ? open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
        REQUIRE((end >= 0) == reader);
        Proxy proxy(Cluster::shared(),
                    {{{"slow_log", "{threshold: 0, file: " + fifo + "}"}}, {}, {}, 0});
        auto db = proxy.connect();
        for (int i = 0; i < 500; ++i) CHECK(db.exec("SELECT '" + std::string(1000, 'x') + "'").ok);
        CHECK(eventually([&] { return proxy.metric("pgweir_slow_queries_lost_total") >= 300; }));
        CHECK(db.alive());
        if (end >= 0) close(end);
    }
}

TEST_CASE("a slow disk costs entries, which are counted, and traffic nothing") {
    const auto tests = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
    // The real write(2), but a fiftieth of a second later for the slow log.
    Proxy proxy(Cluster::shared(), {{{"slow_log", "{threshold: 0}"}, {"cache", "{enabled: false}"}},
                                    {},
                                    {{"LD_PRELOAD", tests / "support/libslow_disk.so"},
                                     {"ASAN_OPTIONS", "verify_asan_link_order=0"}},
                                    0});
    auto db = proxy.connect();
    for (int i = 0; i < 2000; ++i) CHECK(db.exec("SELECT 1").ok);
    const auto written = proxy.metric("pgweir_slow_queries_total");
    CHECK(written > 0);
    CHECK(written < 1000);  // most of them were answered before the disk had the line
    auto other = RawClient::login(proxy.port());
    std::string many;
    for (int i = 0; i < 100; ++i) many += msg::unnamed("SELECT 2") + msg::sync();
    CHECK(eventually(
        [&] {
            other.send(many);
            for (int i = 0; i < 100; ++i) other.read_until('Z');
            return proxy.metric("pgweir_slow_queries_lost_total") > 0;
        },
        Seconds(40)));
    CHECK(db.alive());
    proxy.terminate();
    CHECK(proxy.wait(Seconds(8)) == 0);  // and does not hold up the end
}

TEST_CASE("the subcommand says what is wrong with its use and its files") {
    const auto none = run({Proxy::binary(), "report"});
    CHECK(none.status == 2);
    const auto missing = run({Proxy::binary(), "report", "/nonexistent/slow.log"});
    CHECK(missing.status == 1);
    CHECK(missing.err.find("/nonexistent/slow.log: No such file") != std::string::npos);
    RunOptions options;
    options.input = "{\"cut";
    const auto piped = run({Proxy::binary(), "report", "-"}, options);
    CHECK(piped.status == 0);
    CHECK(piped.out.find("1 cut or not understood") != std::string::npos);
    CHECK(piped.err.empty());
}
