// Replication connections: passed on one to one to a server connection of their own, with the
// logins and rules of other clients. PostgreSQL's own programs are the clients.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 4}"}}, {}, {}, 0});
    return p;
}
std::vector<std::string> where(const Proxy& p, std::string program, const std::string& user) {
    return {postgres_program(program), "-h", "127.0.0.1", "-p",
            std::to_string(p.port()),  "-U", user};
}
CommandResult command(std::vector<std::string> argv, const std::vector<std::string>& more) {
    argv.insert(argv.end(), more.begin(), more.end());
    return run(argv);
}
CommandResult psql(const std::string& kind, const std::string& sql, const std::string& user) {
    const auto dsn = "host=127.0.0.1 port=" + std::to_string(proxy().port()) + " user=" + user +
                     " dbname=app replication=" + kind + " options='-c work_mem=7MB'";
    return run({postgres_program("psql"), "-XAt", "-d", dsn, "-c", sql});
}
std::string walsenders() {
    return Cluster::shared().value(
        "SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
        "'walsender' AND application_name <> 'pgweir stream'");
}

Proxy& cached() {
    static Proxy p(Cluster::shared(),
                   caching("{exclusive_writer: true}", "{min_size: 0, max_size: 6}"));
    return p;
}
RawClient logical() {
    return RawClient::login(cached().port(), "postgres", "app", {{"replication", "database"}});
}

/// A table of one row, and a query for it that the cache answers.
struct Cached {
    explicit Cached(const std::string& table) : sum("SELECT sum(v) FROM " + table) {
        ask(reader, "CREATE TABLE " + table + " AS SELECT 1 AS n, 0 AS v");
        check();
    }
    void check() { REQUIRE(becomes_cached(cached(), reader, sum)); }
    RawClient reader = RawClient::login(cached().port());
    RawClient direct = RawClient::login(Cluster::shared().port());
    std::string sum;
};

}  // namespace

TEST_CASE("F9: what a walsender is given to execute is seen by who reads from the cache") {
    Cached t("by_walsender");
    auto writer = logical();
    for (const std::string sql :
         {"UPDATE by_walsender SET v = v + 1",
          "/* IDENTIFY_SYSTEM */ UPDATE by_walsender SET v = 2", "; UPDATE by_walsender SET v = 3",
          "BEGIN; UPDATE by_walsender SET v = 4; COMMIT",
          "ALTER TABLE by_walsender ALTER v TYPE numeric(9, 1)",
          "DO 'BEGIN EXECUTE ''TRUNCATE by_walsender''; END'",
          "INSERT INTO by_walsender VALUES (1, 6)"}) {
        t.check();
        const auto error = error_of(writer.ask(msg::query(sql)));
        CHECK_MESSAGE(error.sqlstate.empty(), error.message);
        CHECK_MESSAGE(ask(t.reader, t.sum) == ask(t.direct, t.sum), sql);
    }
    t.check();
    writer.send_pieces(msg::query("UPDATE by_walsender SET v = 7") + msg::query("SHOW work_mem"),
                       1);
    writer.read_until('Z');
    CHECK(ask(t.reader, t.sum) == "7.0");
    writer.read_until('Z');
    writer.ask(msg::query("BEGIN"));
    writer.ask(msg::query("UPDATE by_walsender SET v = 8"));
    t.check();
    CHECK(ask(t.reader, t.sum) == "7.0");
    writer.ask(msg::query("COMMIT"));
    CHECK(ask(t.reader, t.sum) == "8.0");
    t.check();
}

TEST_CASE("F9, A8: what a walsender still executes when its client has left is seen") {
    Cached t("left_walsender");
    for (int round = 1; round <= 2; ++round) {
        t.check();
        const auto before = ask(t.reader, t.sum);
        auto writer = logical();
        writer.send(msg::query("SELECT pg_sleep(1); UPDATE left_walsender SET v = v + 1; SELECT "
                               "pg_sleep(0.3)") +
                    (round == 1 ? "" : msg::terminate()));
        CHECK(ask(t.reader, t.sum) == before);
        writer.close();
        CHECK(ask(t.reader, t.sum) == before);
        CHECK(eventually([&] { return ask(t.direct, t.sum) != before; }));
        CHECK(ask(t.reader, t.sum) == ask(t.direct, t.sum));
    }
    t.check();
}

TEST_CASE("commands of replication leave what is cached as it is") {
    Cached t("beside_walsender");
    auto c = logical();
    const auto hits = [&](const std::string& bytes) {
        return hits_of(cached(), [&] {
            CHECK(error_of(c.ask(bytes)).sqlstate.empty());
            ask(t.reader, t.sum);
        });
    };
    CHECK(hits(msg::query("IDENTIFY_SYSTEM")) == 1);
    CHECK(hits(msg::query(" show work_mem;")) == 1);
    CHECK(hits(msg::query("CREATE_REPLICATION_SLOT beside TEMPORARY LOGICAL test_decoding")) == 1);
    c.send_pieces(msg::query("START_REPLICATION SLOT beside LOGICAL 0/0"), 7);
    c.read_until('W');
    CHECK(hits_of(cached(), [&] { ask(t.reader, t.sum); }) == 1);
    ask(t.direct, "UPDATE beside_walsender SET v = 1");
    c.read_until('d');
    c.ask(msg::copy_done());
    CHECK(hits(msg::query("DROP_REPLICATION_SLOT beside")) == 1);
}

TEST_CASE("a walsender takes neither statements of the extended protocol nor function calls") {
    auto c = logical();
    CHECK(error_of(c.ask(msg::unnamed("SELECT 1") + msg::sync())).sqlstate == "08P01");
    CHECK(error_of(c.ask(msg::frame('F', std::string(10, '\0')))).sqlstate == "08P01");
    CHECK(error_of(c.ask(msg::query("SHOW work_mem; SELECT 1"))).sqlstate == "42601");
    auto physical = RawClient::login(cached().port(), "postgres", "app", {{"replication", "true"}});
    CHECK(error_of(physical.ask(msg::query("SELECT 1"))).sqlstate == "0A000");
}

TEST_CASE(
    "IDENTIFY_SYSTEM, SHOW and SQL are answered by a walsender with the client's settings (95)") {
    const auto system =
        Cluster::shared().value("SELECT system_identifier::text FROM pg_control_system()");
    const auto logical = psql("database", "IDENTIFY_SYSTEM", "postgres");
    CHECK(logical.out.starts_with(system + "|"));
    CHECK(logical.out.ends_with("|app\n"));
    CHECK(psql("database", "SHOW work_mem", "postgres").out == "7MB\n");
    CHECK(psql("database", "SELECT current_user", "postgres").out == "postgres\n");
    const auto physical = psql("true", "IDENTIFY_SYSTEM", "postgres");
    CHECK(physical.out.starts_with(system + "|"));
    CHECK(physical.out.ends_with("|\n"));
    CHECK(psql("off", "SELECT 1", "postgres").out == "1\n");
}

TEST_CASE("who may not replicate is told so in PostgreSQL's words, as is nonsense") {
    const auto refused = psql("database", "IDENTIFY_SYSTEM", "app");
    CHECK(refused.status != 0);
    CHECK(refused.err.find("must be superuser or replication role to start walsender") !=
          std::string::npos);
    CHECK(psql("perhaps", "SELECT 1", "postgres")
              .err.find("invalid value for parameter \"replication\": \"perhaps\"") !=
          std::string::npos);
}

TEST_CASE("a base backup comes through whole, its WAL streamed beside it") {
    const TempDir dir("backup");
    const auto target = dir.path() + "/data";
    const auto made = command(where(proxy(), "pg_basebackup", "postgres"),
                              {"-D", target, "-X", "stream", "-c", "fast"});
    CHECK_MESSAGE(made.status == 0, made.err);
    const auto verified = run({postgres_program("pg_verifybackup"), target});
    CHECK_MESSAGE(verified.status == 0, verified.err);
    CHECK(eventually([] { return walsenders() == "0"; }));
}

TEST_CASE("changes are decoded through it as they are committed") {
    const auto argv = [](const std::vector<std::string>& more) {
        auto all = where(proxy(), "pg_recvlogical", "postgres");
        all.insert(all.end(), {"-d", "app", "--slot", "passed"});
        return command(std::move(all), more);
    };
    const auto created = argv({"--create-slot", "--plugin", "test_decoding"});
    REQUIRE_MESSAGE(created.status == 0, created.err);
    auto db = Cluster::shared().connect("app");
    db.run("CREATE TABLE decoded (n int)");
    db.run("INSERT INTO decoded SELECT generate_series(1, 3000)");
    const auto end = Cluster::shared().value("SELECT pg_current_wal_insert_lsn()");
    const auto got = argv({"--start", "-f", "-", "--no-loop", "--endpos", end});
    CHECK_MESSAGE(got.status == 0, got.err);
    CHECK(got.out.find("table public.decoded: INSERT: n[integer]:3000") != std::string::npos);
    CHECK(argv({"--drop-slot"}).status == 0);
    db.run("DROP TABLE decoded");
}

TEST_CASE("each has a server connection of its own, shown, counted, bounded, and ended with it") {
    Proxy p(Cluster::shared(),
            {{{"pool", "{min_size: 0, max_size: 3, max_pinned: 1}"}}, {}, {}, 0});
    const msg::Parameters physical{{"replication", "true"}};
    {
        auto first = RawClient::login(p.port(), "postgres", "app", physical);
        CHECK(first_value(first.ask(msg::query("IDENTIFY_SYSTEM"))) != "");
        CHECK(walsenders() == "1");
        const auto shown = p.console("SHOW CLIENTS");
        bool found = false;
        for (std::size_t i = 0; i < shown.rows.size(); ++i)
            found = found || (shown.at(i, "replication") == "physical" &&
                              shown.at(i, "pin") == "replication");
        CHECK(found);
        auto second = RawClient(p.port());
        second.send(
            msg::startup({{"user", "postgres"}, {"database", "app"}, {"replication", "true"}}));
        CHECK(error_of(second.read_until('E')).sqlstate == "53300");
        auto ordinary = RawClient::login(p.port(), "postgres");
        CHECK(first_value(ordinary.ask(msg::query("SELECT 1"))) == "1");
        CHECK(walsenders() == "1");
    }
    CHECK(eventually([] { return walsenders() == "0"; }));
    auto again = RawClient::login(p.port(), "postgres", "app", physical);
    CHECK(first_value(again.ask(msg::query("IDENTIFY_SYSTEM"))) != "");
}

TEST_CASE("a pool full of idle server connections has room for a replication connection") {
    Proxy p(Cluster::shared(),
            {{{"pool", "{min_size: 0, max_size: 1}"}, {"workers", "1"}}, {}, {}, 0});
    auto ordinary = RawClient::login(p.port(), "postgres");
    CHECK(first_value(ordinary.ask(msg::query("SELECT 1"))) == "1");
    auto c = RawClient::login(p.port(), "postgres", "app", {{"replication", "true"}});
    CHECK(first_value(c.ask(msg::query("IDENTIFY_SYSTEM"))) != "");
}

TEST_CASE("rules of pg_hba.conf for replication count for physical replication alone") {
    Proxy p(
        Cluster::shared(),
        {{{"auth", "{method: hba, hba_file: hba.conf}"}, {"pool", "{min_size: 0, max_size: 4}"}},
         {{"hba.conf",
           "host replication postgres 127.0.0.1/32 trust\nhost app app 127.0.0.1/32 trust\n"}},
         {},
         0});
    const auto may = [&p](const std::string& user, const std::string& replication) {
        auto c = RawClient(p.port());
        c.send(msg::startup({{"user", user}, {"database", "app"}, {"replication", replication}}));
        for (auto m = c.read();; m = c.read()) {
            if (m.type == 'E') return error_of(m).sqlstate;
            if (m.type == 'Z') return std::string();
        }
    };
    CHECK(may("postgres", "true") == "");
    CHECK(may("postgres", "database") == "28000");
    CHECK(may("app", "true") == "28000");
    CHECK(may("app", "false") == "");
}
