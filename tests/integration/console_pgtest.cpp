// The console as psql and PgBouncer's exporter use it, and the HTTP side: names, types, contents.
#include <doctest/doctest.h>

#include <set>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

constexpr Oid kText = 25, kInt4 = 23, kInt8 = 20, kNumeric = 1700;

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    return p;
}

using Names = std::vector<std::string>;

Names split(const std::string& text) {
    Names names;
    std::string word;
    for (const char c : text + " ") {
        if (c != ' ')
            word += c;
        else if (!word.empty())
            names.push_back(std::exchange(word, ""));
    }
    return names;
}

/// Types by PgBouncer's letters: s text, i int4, q int8, N numeric.
std::vector<Oid> oids(const std::string& letters) {
    std::vector<Oid> types;
    for (const char c : letters)
        types.push_back(c == 'i' ? kInt4 : c == 'q' ? kInt8 : c == 'N' ? kNumeric : kText);
    return types;
}

/// Row of the answer in which `column` is `value`; past the end when there is none.
std::size_t row_of(const Answer& a, const std::string& column, const std::string& value) {
    for (std::size_t i = 0; i < a.rows.size(); ++i)
        if (a.at(i, column) == value) return i;
    return a.rows.size();
}

const char* kStats =
    "database total_server_assignment_count total_xact_count total_query_count total_received "
    "total_sent total_xact_time total_query_time total_wait_time total_client_parse_count "
    "total_server_parse_count total_bind_count avg_server_assignment_count avg_xact_count "
    "avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time "
    "avg_client_parse_count avg_server_parse_count avg_bind_count";
const char* kConnections =
    "type user database replication state addr port local_addr local_port connect_time "
    "request_time "
    "wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id";

}  // namespace

TEST_CASE("SHOW has the columns and types of PgBouncer 1.25.2") {
    auto user = proxy().connect();
    user.run("SELECT 1");
    struct Table {
        const char* command;
        std::string columns;
        std::string types;
    };
    const Table tables[] = {
        {"SHOW POOLS",
         "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
         "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us "
         "pool_mode load_balance_hosts",
         "ssiiiiiiiiiiiiiss"},
        {"SHOW STATS", kStats, "s" + std::string(22, 'N')},
        {"SHOW STATS_TOTALS",
         "database server_assignment_count xact_count query_count bytes_received bytes_sent "
         "xact_time "
         "query_time wait_time client_parse_count server_parse_count bind_count",
         "s" + std::string(11, 'N')},
        {"SHOW CLIENTS", kConnections, "ssssssisiTTiiississii"},
        {"SHOW SERVERS", kConnections, "ssssssisiTTiiississii"},
        {"SHOW DATABASES",
         "name host port database force_user pool_size min_pool_size reserve_pool_size "
         "server_lifetime pool_mode load_balance_hosts max_connections current_connections "
         "max_client_connections current_client_connections paused disabled",
         "ssissiiiissiiiiii"},
        {"SHOW LISTS", "list items", "si"},
        {"SHOW CONFIG", "key value default changeable", "ssss"},
        {"SHOW VERSION", "version", "s"},
    };
    for (const auto& table : tables) {
        INFO(std::string(table.command));
        const auto a = proxy().console(table.command);
        REQUIRE_MESSAGE(a.ok, a.message);
        // More columns may follow: readers go by name.
        const auto wanted = split(table.columns);
        REQUIRE(a.columns.size() >= wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            CHECK(a.columns[i] == wanted[i]);
            CHECK_MESSAGE(a.types[i] == oids(table.types)[i], wanted[i]);
        }
        CHECK(!a.rows.empty());
    }
    const auto cache = proxy().console("SHOW CACHE");
    CHECK(
        cache.columns ==
        split("database enabled guarantee entries bytes hits misses fills invalidations evictions "
              "verified mismatches"));
}

TEST_CASE("the console answers under both its names, in any case, with a semicolon") {
    for (const char* db : {"pgweir", "pgbouncer"}) {
        auto c = proxy().connect("postgres", db);
        CHECK(c.exec("show version;").ok);
        CHECK(c.exec("  SHOW   Version  ; ").ok);
        CHECK(c.exec("SHOW version").value().find("pgweir") != std::string::npos);
        CHECK(!c.exec("SHOW nonsense").ok);
        CHECK(c.alive());
        CHECK(c.status() == 'I');
    }
}

TEST_CASE("a console's client that does not read does not fill the memory") {
    auto c = RawClient::login(proxy().port(), "postgres", "pgweir");
    const auto one = c.ask(msg::query("SHOW CONFIG"));
    const auto before = proxy().resident_kib();
    constexpr int kAsked = 4000;
    std::string all;
    for (int i = 0; i < kAsked; ++i) all += msg::query("SHOW CONFIG");
    c.send(all);
    sleep_for(Seconds(1));
    CHECK(proxy().resident_kib() - before < 8 * 1024);
    for (int i = 0; i < kAsked; ++i) REQUIRE(c.read_until('Z').size() == one.size());
}

TEST_CASE("only the users named may use the console (S07)") {
    CHECK(!connect_error(proxy().dsn("app", "pgweir")).empty());
    CHECK(!connect_error(proxy().dsn("app", "pgbouncer")).empty());
}

TEST_CASE("SET of any real setting is accepted in the console, for drivers' sake (89)") {
    auto c = proxy().connect("postgres", "pgweir");
    for (const char* sql : {"SET extra_float_digits = 3", "SET client_encoding TO 'UTF8'",
                            "SET application_name = 'exporter'", "SET datestyle TO 'ISO'"})
        CHECK(c.exec(sql).ok);
}

TEST_CASE("SHOW POOLS and SHOW CLIENTS tell what is so") {
    auto a = proxy().connect("app", "app", "application_name=shown");
    auto b = proxy().connect();
    a.run("BEGIN");
    a.run("SELECT 1");
    b.run("SELECT 1");
    auto pools = proxy().console("SHOW POOLS");
    auto row = row_of(pools, "user", "app");
    REQUIRE(row < pools.rows.size());
    CHECK(pools.at(row, "database") == "app");
    CHECK(pools.at(row, "sv_active") == "1");
    CHECK(pools.at(row, "pool_mode") == "transaction");
    CHECK(std::stoi(pools.at(row, "cl_active")) >= 1);
    CHECK(pools.at(row, "cl_waiting") == "0");
    const auto clients = proxy().console("SHOW CLIENTS");
    row = row_of(clients, "application_name", "shown");
    REQUIRE(row < clients.rows.size());
    CHECK(clients.at(row, "type") == "C");
    CHECK(clients.at(row, "user") == "app");
    CHECK(clients.at(row, "state") == "active");
    CHECK(clients.at(row, "addr") == "127.0.0.1");
    const auto servers = proxy().console("SHOW SERVERS");
    REQUIRE(!servers.rows.empty());
    CHECK(servers.at(0, "type") == "S");
    const auto pid = servers.at(row_of(servers, "state", "active"), "remote_pid");
    CHECK(Cluster::shared().value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + pid) ==
          "1");
    a.run("COMMIT");
    pools = proxy().console("SHOW POOLS");
    CHECK(pools.at(row_of(pools, "user", "app"), "sv_active") == "0");
}

TEST_CASE("SHOW STATS counts queries, transactions and bytes") {
    const auto total = [](const std::string& column) {
        const auto a = proxy().console("SHOW STATS_TOTALS");
        return std::atoll(a.at(row_of(a, "database", "app"), column).c_str());
    };
    auto c = proxy().connect();
    c.run("SELECT 1");
    const auto queries = total("query_count");
    const auto transactions = total("xact_count");
    const auto sent = total("bytes_sent");
    const auto time = total("query_time");
    for (int i = 0; i < 10; ++i) c.run("SELECT " + std::to_string(i));
    c.run("BEGIN");
    c.run("SELECT 1");
    c.run("SELECT 2");
    c.run("COMMIT");
    c.run("SELECT pg_sleep(0.05)");
    CHECK(total("query_count") - queries == 15);
    CHECK(total("xact_count") - transactions == 12);
    CHECK(total("bytes_sent") - sent > 100);
    CHECK(total("query_time") - time >= 50'000);
}

TEST_CASE("what pgbouncer_exporter asks for is there") {
    auto c = proxy().connect("postgres", "pgbouncer");
    CHECK(c.exec("SHOW STATS").ok);
    const auto lists = c.exec("SHOW LISTS");
    std::set<std::string> names;
    for (const auto& row : lists.rows) names.insert(row[0]);
    for (const char* name : {"databases", "users", "peers", "pools", "peer_pools", "free_clients",
                             "used_clients", "login_clients", "free_servers", "used_servers",
                             "dns_names", "dns_zones", "dns_queries", "dns_pending"})
        CHECK_MESSAGE(names.count(name) == 1, name);
    const auto config = c.exec("SHOW CONFIG");
    CHECK(row_of(config, "key", "max_client_conn") < config.rows.size());
    CHECK(row_of(config, "key", "max_user_connections") < config.rows.size());
    CHECK(config.at(row_of(config, "key", "pool.max_size"), "value") == "5");
}

TEST_CASE("psql uses the console") {
    const auto r = run({postgres_program("psql"), "-X", proxy().dsn("postgres", "pgweir"), "-c",
                        "SHOW POOLS", "-c", "SHOW CACHE"});
    CHECK(r.status == 0);
    CHECK(r.out.find("sv_active") != std::string::npos);
    CHECK(r.out.find("guarantee") != std::string::npos);
}

TEST_CASE("health and metrics are served") {
    auto c = proxy().connect();
    c.run("SELECT 1");
    for (const char* path : {"/livez", "/healthz", "/readyz"})
        CHECK_MESSAGE(proxy().http(path).starts_with("HTTP/1.1 200"), path);
    CHECK(proxy().http("/nothing").starts_with("HTTP/1.1 404"));
    CHECK(proxy().http("/../../etc/passwd").find("root:") == std::string::npos);
    const auto metrics = proxy().http("/metrics");
    CHECK(metrics.starts_with("HTTP/1.1 200"));
    for (const char* name :
         {"pgbouncer_pools_client_active_connections", "pgbouncer_pools_client_waiting_connections",
          "pgbouncer_pools_server_active_connections", "pgbouncer_pools_server_idle_connections",
          "pgbouncer_stats_totals_queries_pooled_total", "pgweir_cache_hits_total",
          "pgweir_cache_misses_total", "pgweir_not_cached_total{reason=", "pgweir_pins_total"})
        CHECK_MESSAGE(metrics.find(name) != std::string::npos, name);
}

TEST_CASE("pins are counted with their reason") {
    const std::string name = "pgweir_pins_total{reason=\"temporary\"}";
    const auto before = proxy().metric(name);
    auto c = proxy().connect();
    c.run("CREATE TEMP TABLE pin (n int)");
    CHECK(eventually([&] { return proxy().metric(name) == before + 1; }));
}

TEST_CASE("SHOW QUERIES counts executions by fingerprint, and hits of the cache" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    auto c = p.connect("app", "app", "application_name=counted");
    for (int i = 0; i < 3; ++i) c.run("SELECT pg_sleep(0.01), " + std::to_string(i));
    CHECK(!c.exec("SELECT 1/0").ok);
    c.run("BEGIN");
    for (int i = 0; i < 4; ++i)
        c.exec_params("SELECT $1::int, generate_series(1, 5)", {std::to_string(i)});
    c.run("COMMIT");
    c.run("CREATE TEMP TABLE touched AS SELECT generate_series(1, 30) AS n");
    c.exec_params("UPDATE touched SET n = n + $1", {"1"});
    c.run("DELETE FROM touched WHERE n < 6; SELECT n FROM touched WHERE n < 8");
    c.run("DELETE FROM touched WHERE n < 8 RETURNING n");
    const auto rows = p.console("SHOW QUERIES BY database, user, application ORDER BY total");
    REQUIRE(rows.ok);
    std::map<std::string, std::size_t> by_query;
    for (std::size_t i = 0; i < rows.rows.size(); ++i) by_query[rows.at(i, "query")] = i;
    for (std::size_t i = 1; i < rows.rows.size(); ++i)
        CHECK(std::stoll(rows.at(i - 1, "total_time")) >= std::stoll(rows.at(i, "total_time")));
    REQUIRE(by_query.count("SELECT pg_sleep($1), $2") == 1);
    const auto sleeps = by_query["SELECT pg_sleep($1), $2"];
    CHECK(rows.at(sleeps, "sample") == "SELECT pg_sleep(0.01), 0");
    CHECK(rows.at(sleeps, "calls") == "3");
    CHECK(rows.at(sleeps, "rows") == "3");
    CHECK(std::stoll(rows.at(sleeps, "min_time")) >= 10'000);
    CHECK(std::stoll(rows.at(sleeps, "total_time")) >= 30'000);
    CHECK(rows.at(sleeps, "database") == "app");
    CHECK(rows.at(sleeps, "application") == "counted");
    REQUIRE(by_query.count("SELECT $1::int, generate_series($2, $3)") == 1);
    const auto series = by_query["SELECT $1::int, generate_series($2, $3)"];
    CHECK(rows.at(series, "calls") == "4");
    CHECK(rows.at(series, "rows") == "20");
    const auto rows_of = [&](const std::string& query) { return rows.at(by_query[query], "rows"); };
    CHECK(rows_of("CREATE TEMP TABLE touched AS SELECT generate_series($1, $2) AS n") == "30");
    CHECK(rows_of("UPDATE touched SET n = n + $1") == "30");
    CHECK(rows_of("DELETE FROM touched WHERE n < $1; SELECT n FROM touched WHERE n < $2") == "6");
    CHECK(rows_of("DELETE FROM touched WHERE n < $1 RETURNING n") == "2");
    CHECK(rows.at(by_query["SELECT $1/$2"], "errors") == "1");
    CHECK(rows.at(by_query["BEGIN"], "calls") == "1");
    CHECK(p.console("SHOW QUERIES LAST hour APPLICATION 'nobody'").rows.empty());
    CHECK(!p.console("SHOW QUERIES LAST week").ok);
    CHECK(p.http("/queries.csv?order=calls").find("generate_series") != std::string::npos);
    CHECK(p.http("/queries.json?last=minute&by=user").find("\"user\":\"app\"") !=
          std::string::npos);
    CHECK(p.http("/queries.json?last=week").find("400") != std::string::npos);
    CHECK(p.metric("pgweir_queries_known") >= 5);
    CHECK(p.console("RESET QUERIES").ok);
    CHECK(p.console("SHOW QUERIES").rows.empty());
}

TEST_CASE("SHOW ADVICE and the log tell of deep OFFSET paging" * doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {});
    auto c = p.connect();
    for (int i = 0; i < 12; ++i)
        c.run("SELECT n FROM generate_series(1, 20000) n ORDER BY n LIMIT 10 OFFSET " +
              std::to_string(5000 + i));
    c.run("SELECT n FROM generate_series(1, 5) n ORDER BY n LIMIT 10 OFFSET 1");
    const auto advice = p.console("SHOW ADVICE");
    REQUIRE(advice.rows.size() == 1);
    CHECK(advice.at(0, "rule") == "offset_paging");
    CHECK(advice.at(0, "evidence").find("OFFSET 5000") == 0);
    CHECK(advice.at(0, "advice").find("n > $last ORDER BY n LIMIT") != std::string::npos);
    CHECK(p.logs("advice: offset_paging", Seconds(20)));
}

TEST_CASE("a batch of several Executes counts each for its own query" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {});
    auto c = p.connect();
    REQUIRE(PQenterPipelineMode(c.raw()) == 1);
    for (int i = 0; i < 3; ++i) {
        PQsendQueryParams(c.raw(), "SELECT 1 AS first", 0, nullptr, nullptr, nullptr, nullptr, 0);
        PQsendQueryParams(c.raw(), "SELECT 2 AS second FROM generate_series(1, 2)", 0, nullptr,
                          nullptr, nullptr, nullptr, 0);
        PQpipelineSync(c.raw());
    }
    int synced = 0;
    while (synced < 3) {
        auto* r = PQgetResult(c.raw());
        if (r != nullptr && PQresultStatus(r) == PGRES_PIPELINE_SYNC) ++synced;
        PQclear(r);
    }
    const auto rows = p.console("SHOW QUERIES ORDER BY rows");
    REQUIRE(rows.rows.size() == 2);
    CHECK(rows.at(0, "query") == "SELECT $1 AS second FROM generate_series($2, $3)");
    CHECK(rows.at(0, "calls") == "3");
    CHECK(rows.at(0, "rows") == "6");
    CHECK(rows.at(1, "calls") == "3");
    CHECK(rows.at(1, "rows") == "3");
}

TEST_CASE("errors, waits, silence in transactions and parameters are logged where asked for" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(),
            {{{"slow_log",
               "{threshold: off, thresholds: [\"application=watched, 0\"], errors: true, "
               "wait_threshold: 100ms, idle_in_transaction: 200ms, parameters: true, "
               "file: slow.log}"},
              {"pool", "{max_size: 1}"}},
             {},
             {},
             0});
    auto c = p.connect();
    CHECK(!c.exec("SELECT 1/0 AS planted").ok);
    c.run("SELECT 'not logged'");
    auto watched = p.connect("app", "app", "application_name=watched");
    watched.exec_params("SELECT $1::int, $2::text", {"42", "it's"});
    c.run("BEGIN");
    c.run("SELECT 'left idle'");
    REQUIRE(PQsendQuery(watched.raw(), "SELECT 'waited'") == 1);  // c has the only connection
    CHECK(
        eventually([&] { return p.slow_log().find("idle in transaction") != std::string::npos; }));
    c.run("COMMIT");
    CHECK(take_answer(PQgetResult(watched.raw())).ok);
    auto third = p.connect();
    c.run("BEGIN");
    c.run("SELECT 'idle again'");
    REQUIRE(PQsendQuery(third.raw(), "SELECT 'queued'") == 1);
    CHECK(eventually([&] {
        const auto log = p.slow_log();
        return log.find("idle in transaction") != log.rfind("idle in transaction");
    }));
    c.run("COMMIT");
    CHECK(take_answer(PQgetResult(third.raw())).ok);
    CHECK(eventually([&] { return p.slow_log().find("'queued'") != std::string::npos; }));
    const auto log = p.slow_log();
    CHECK(log.find("not logged") == std::string::npos);
    CHECK(log.find("\"error_severity\":\"ERROR\",\"state_code\":\"22012\",\"message\":\"division "
                   "by zero\",\"statement\":\"SELECT 1/0 AS planted\"") != std::string::npos);
    CHECK(log.find("\"detail\":\"parameters: $1 = '42', $2 = 'it''s'\"") != std::string::npos);
    CHECK(log.find("\"statement\":\"SELECT 'left idle'\"") != std::string::npos);
    CHECK(log.find("client waited") != std::string::npos);
    CHECK(log.find("\"tx_position\":2") != std::string::npos);
}

TEST_CASE("a slow statement is in the slow log, once, with its figures" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"slow_log", "{threshold: 200ms, file: slow.log}"}}, {}, {}, 0});
    auto c = p.connect("app", "app", "application_name=slowpoke");
    c.run("SELECT 'fast'");
    c.run("SELECT pg_sleep(0.3), 'slow one'");
    c.exec_params("SELECT pg_sleep($1::float), 'slow two'", {"0.3"});
    CHECK(eventually([&] { return p.slow_log().find("slow two") != std::string::npos; }));
    const auto log = p.slow_log();
    CHECK(log.find("'fast'") == std::string::npos);
    CHECK(log.find("slow one") != std::string::npos);
    CHECK(log.find("slow one") == log.rfind("slow one"));
    const auto line = log.substr(0, log.find('\n'));
    for (const char* key :
         {"\"timestamp\"", "\"user\":\"app\"", "\"dbname\":\"app\"", "\"wait_ms\"", "\"server_ms\"",
          "\"transfer_ms\"", "\"rows\"", "\"bytes\"", "\"cache\"", "\"fingerprint\"", "\"pool\"",
          "\"application_name\":\"slowpoke\""})
        CHECK_MESSAGE(line.find(key) != std::string::npos, key, " in ", line);
    if (run({"sh", "-c", "command -v pgbadger"}).status != 0) return;
    const auto r = run({"pgbadger", "-f", "jsonlog", "-o", p.directory() + "/report.json", "-x",
                        "json", "-q", p.directory() + "/slow.log"});
    CHECK(r.status == 0);
    const auto report = read_file(p.directory() + "/report.json");
    CHECK(report.find("slow one") != std::string::npos);
}
