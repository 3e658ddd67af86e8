// Real clients through the proxy: psql, pg_dump, pgbench, libpq's pipeline, libpqxx.
#include <doctest/doctest.h>

#include <libpq/libpq-fs.h>

#include <pqxx/pqxx>

#include "support/proxy.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"},
                                        {"pool", "{min_size: 0, max_size: 5, wait_timeout: 60s}"}},
                                       {},
                                       {},
                                       0});
    return p;
}

CommandResult psql(const std::vector<std::string>& arguments, const std::string& input = "",
                   const std::string& db = "app") {
    std::vector<std::string> argv{postgres_program("psql"), "-X", "-v", "ON_ERROR_STOP=1",
                                  proxy().dsn("app", db)};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    RunOptions options;
    options.input = input;
    return run(argv, options);
}

/// A dump without the lines that differ from run to run.
std::string without_tokens(const std::string& dump) {
    std::string kept;
    for (std::size_t at = 0; at < dump.size();) {
        const auto end = std::min(dump.find('\n', at), dump.size() - 1);
        const auto line = dump.substr(at, end + 1 - at);
        if (!line.starts_with("\\restrict") && !line.starts_with("\\unrestrict")) kept += line;
        at = end + 1;
    }
    return kept;
}

CommandResult pgbench(const std::vector<std::string>& arguments) {
    std::vector<std::string> argv{postgres_program("pgbench")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    argv.push_back(proxy().dsn());
    RunOptions options;
    options.limit = Seconds(120);
    return run(argv, options);
}

void make_pgbench_tables() {
    static const bool made = [] {
        const auto r = pgbench({"-i", "-s", "2", "-q"});
        CHECK_MESSAGE(r.status == 0, r.err);
        return true;
    }();
    static_cast<void>(made);
}

}  // namespace

TEST_CASE("psql: scripts, variables, backslash commands, errors, COPY") {
    auto r = psql({"-At", "-c", "SELECT 1", "-c", "SELECT 'two'"});
    CHECK(r.status == 0);
    CHECK(r.out == "1\ntwo\n");
    r = psql({"-At"},
             "CREATE TABLE script (n int, t text);\n\\copy script from stdin\n1\ta\n2\tb\n\\.\n"
             "\\set limit 1\nSELECT t FROM script ORDER BY n LIMIT :limit;\n"
             "\\copy script to stdout\nBEGIN;\nDELETE FROM script;\nROLLBACK;\n"
             "SELECT count(*) FROM script;\nSELECT n AS x FROM script ORDER BY n \\gset last_\n");
    CHECK(r.out.find("a\n1\ta\n2\tb\n") != std::string::npos);
    CHECK(r.out.find("2\n") != std::string::npos);
    for (const char* command :
         {"\\d", "\\d script", "\\dt+", "\\df", "\\l", "\\du", "\\dn", "\\conninfo"}) {
        r = psql({"-c", command});
        CHECK_MESSAGE(r.status == 0, command, r.err);
    }
    r = psql({"-c", "SELECT * FROM nowhere"});
    CHECK(r.status != 0);
    CHECK(r.err.find("relation \"nowhere\" does not exist") != std::string::npos);
    CHECK(r.err.find("LINE 1: SELECT * FROM nowhere") != std::string::npos);
    r = psql({"-At"}, "\\set FETCH_COUNT 3\nSELECT n FROM generate_series(1, 10) n;\n");
    CHECK(r.out == "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
}

TEST_CASE("pg_dump | psql makes an equal database, and leaves nothing behind (34)") {
    psql({"-q"},
         "CREATE SCHEMA dumped; CREATE TABLE dumped.a (id serial PRIMARY KEY, t text, d date "
         "DEFAULT '2026-01-31', b bytea, j jsonb); INSERT INTO dumped.a (t, b, j) SELECT 'row ' || "
         "n, decode(md5(n::text), 'hex'), jsonb_build_object('n', n) FROM generate_series(1, 2000) "
         "n; CREATE INDEX ON dumped.a (t); CREATE VIEW dumped.v AS SELECT count(*) FROM dumped.a; "
         "CREATE FUNCTION dumped.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';");
    Cluster::shared().connect("postgres", "postgres").run("CREATE DATABASE copy OWNER app");
    const auto dump = [](const std::string& db) {
        RunOptions options;
        options.limit = Seconds(60);
        return run({postgres_program("pg_dump"), "-n", "dumped", proxy().dsn("app", db)}, options);
    };
    const auto first = dump("app");
    REQUIRE_MESSAGE(first.status == 0, first.err);
    CHECK(first.out.find("row 2000") != std::string::npos);
    const auto restored = psql({"-q"}, first.out, "copy");
    CHECK_MESSAGE(restored.status == 0, restored.err);
    const auto second = dump("copy");
    CHECK((without_tokens(second.out) == without_tokens(first.out)));
    for (int i = 0; i < 6; ++i)
        CHECK(psql({"-At", "-c", "SHOW search_path"}).out == "\"$user\", public\n");
}

TEST_CASE(
    "pgbench in each mode, 20 clients on 5 server connections: no error, and the sums agree") {
    make_pgbench_tables();
    auto sums = [] {
        return proxy().connect().value(
            "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = s.d AND (SELECT sum(tbalance) "
            "FROM "
            "pgbench_tellers) = s.d AND (SELECT sum(bbalance) FROM pgbench_branches) = s.d FROM "
            "(SELECT "
            "coalesce(sum(delta), 0) AS d FROM pgbench_history) s");
    };
    for (const char* mode : {"simple", "extended", "prepared"}) {
        for (const bool reads : {false, true}) {
            INFO(std::string(mode), std::string(reads ? " -S" : ""));
            // One thread per client: pgbench prepares with a blocking call and would wait on
            // itself.
            std::vector<std::string> arguments{"-n", "-c", "20", "-j", "20", "-T", "3", "-M", mode};
            if (reads) arguments.push_back("-S");
            const auto r = pgbench(arguments);
            CHECK_MESSAGE(r.status == 0, r.err);
            CHECK(r.out.find("number of failed transactions: 0 ") != std::string::npos);
            CHECK(r.err.find("error") == std::string::npos);
            CHECK(Cluster::shared().backends() <= 5);
        }
        CHECK(sums() == "t");
    }
    CHECK(std::stoi(proxy().connect().value("SELECT count(*) FROM pgbench_history")) > 100);
}

TEST_CASE("pgbench reconnecting for each transaction") {
    make_pgbench_tables();
    const auto r = pgbench({"-n", "-C", "-S", "-c", "10", "-j", "2", "-t", "50"});
    CHECK_MESSAGE(r.status == 0, r.err);
    CHECK(r.out.find("500/500") != std::string::npos);
}

TEST_CASE("libpq's pipeline mode: answers in order, an error skips to its Sync") {
    auto db = proxy().connect();
    PGconn* c = db.raw();
    REQUIRE(PQenterPipelineMode(c) == 1);
    const auto send = [&](const char* sql) {
        REQUIRE(PQsendQueryParams(c, sql, 0, nullptr, nullptr, nullptr, nullptr, 0) == 1);
    };
    for (int i = 0; i < 50; ++i) send(("SELECT " + std::to_string(i)).c_str());
    PQpipelineSync(c);
    send("SELECT 1/0");
    send("SELECT 'skipped'");
    PQpipelineSync(c);
    send("SELECT 'after'");
    PQpipelineSync(c);
    const auto next = [&] {
        PGresult* r = PQgetResult(c);
        const auto status = PQresultStatus(r);
        auto a = take_answer(r);
        if (status != PGRES_PIPELINE_SYNC) PQclear(PQgetResult(c));
        return std::pair(status, a);
    };
    for (int i = 0; i < 50; ++i) CHECK(next().second.value() == std::to_string(i));
    CHECK(next().first == PGRES_PIPELINE_SYNC);
    CHECK(next().second.sqlstate == "22012");
    CHECK(next().first == PGRES_PIPELINE_ABORTED);
    CHECK(next().first == PGRES_PIPELINE_SYNC);
    CHECK(next().second.value() == "after");
    CHECK(next().first == PGRES_PIPELINE_SYNC);
    CHECK(PQexitPipelineMode(c) == 1);
    CHECK(db.value("SELECT 1") == "1");
}

TEST_CASE("libpq's single-row mode and large objects") {
    auto db = proxy().connect();
    PQsendQuery(db.raw(), "SELECT n FROM generate_series(1, 1000) n");
    PQsetSingleRowMode(db.raw());
    int seen = 0;
    while (PGresult* r = PQgetResult(db.raw())) {
        seen += PQntuples(r);
        PQclear(r);
    }
    CHECK(seen == 1000);
    db.run("BEGIN");
    const Oid large = lo_creat(db.raw(), INV_READ | INV_WRITE);
    CHECK(large != 0);
    const int fd = lo_open(db.raw(), large, INV_READ | INV_WRITE);
    const std::string text(100'000, 'l');
    CHECK(lo_write(db.raw(), fd, text.data(), text.size()) == static_cast<int>(text.size()));
    CHECK(lo_lseek(db.raw(), fd, 0, 0) == 0);
    std::string back(text.size(), '\0');
    CHECK(lo_read(db.raw(), fd, back.data(), back.size()) == static_cast<int>(back.size()));
    CHECK(back == text);
    CHECK(lo_unlink(db.raw(), large) == 1);
    db.run("COMMIT");
}

TEST_CASE("libpqxx: transactions, prepared statements, streams, pipeline, errors, cancel") {
    pqxx::connection c(proxy().dsn());
    {
        pqxx::work tx(c);
        tx.exec0("CREATE TABLE px (n int, t text)");
        tx.commit();
    }
    c.prepare("put", "INSERT INTO px VALUES ($1, $2)");
    {
        pqxx::work tx(c);
        for (int i = 0; i < 10; ++i) tx.exec_prepared0("put", i, "row " + std::to_string(i));
        tx.commit();
    }
    {
        pqxx::work tx(c);
        tx.exec_prepared0("put", 99, "gone");
        tx.abort();
    }
    {
        pqxx::work tx(c);
        pqxx::stream_to stream(tx, "px");
        for (int i = 10; i < 1000; ++i) stream << std::make_tuple(i, "streamed");
        stream.complete();
        tx.commit();
    }
    {
        pqxx::read_transaction tx(c);
        CHECK(tx.exec1("SELECT count(*) FROM px")[0].as<int>() == 1000);
        CHECK(tx.exec_params1("SELECT t FROM px WHERE n = $1", 7)[0].as<std::string>() == "row 7");
        pqxx::stateless_cursor<pqxx::cursor_base::read_only, pqxx::cursor_base::owned> cursor(
            tx, "SELECT n FROM px ORDER BY n", "cur", false);
        CHECK(cursor.retrieve(500, 510).size() == 10);
    }
    {
        pqxx::nontransaction tx(c);
        CHECK_THROWS_AS(tx.exec("SELECT * FROM nowhere"), pqxx::undefined_table);
        CHECK_THROWS_AS(tx.exec("SELEC"), pqxx::syntax_error);
        CHECK(tx.exec1("SELECT 1")[0].as<int>() == 1);
    }
    {
        pqxx::work tx(c);
        pqxx::subtransaction sub(tx, "inner");
        CHECK_THROWS_AS(sub.exec("SELECT 1/0"), pqxx::sql_error);
        sub.abort();
        CHECK(tx.exec1("SELECT count(*) FROM px")[0].as<int>() == 1000);
        tx.exec0("DROP TABLE px");
        tx.commit();
    }
}

TEST_CASE("a program that changes only its DSN reads its own writes, round after round") {
    auto db = proxy().connect();
    db.run("CREATE TABLE rounds (id int PRIMARY KEY, v int); INSERT INTO rounds VALUES (1, 0)");
    auto other = proxy().connect();
    for (int i = 1; i <= 100; ++i) {
        (i % 2 == 0 ? db : other)
            .exec_params("UPDATE rounds SET v = $1 WHERE id = 1", {std::to_string(i)});
        REQUIRE(db.exec_params("SELECT v FROM rounds WHERE id = $1", {"1"}).value() ==
                std::to_string(i));
        REQUIRE(other.value("SELECT v FROM rounds WHERE id = 1") == std::to_string(i));
    }
}
