#include "pgweir/admin/console.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using namespace pgweir::admin::testing;

namespace {

std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> result(1);
    for (const char c : text)
        if (c == ' ')
            result.emplace_back();
        else
            result.back() += c;
    return result;
}

/// PgBouncer's letters: s and T text, i int4, q int8, N numeric.
std::vector<std::uint32_t> oids(const std::string& letters) {
    std::vector<std::uint32_t> result;
    for (const char c : letters)
        result.push_back(c == 'i' ? 23 : c == 'q' ? 20 : c == 'N' ? 1700 : 25);
    return result;
}

PoolRow pool_row(std::string database, std::string user) {
    PoolRow row;
    row.database = std::move(database);
    row.user = std::move(user);
    return row;
}

const std::string kConnections =
    "type user database replication state addr port local_addr local_port connect_time "
    "request_time "
    "wait wait_us close_needed ptr link remote_pid tls application_name prepared_statements id pin";

}  // namespace

TEST_CASE("every SHOW has PgBouncer's columns and types, and Describe says the same") {
    struct Table {
        std::string sql, columns, types;
    };
    const std::string N(11, 'N');
    const Table tables[] = {
        {"SHOW POOLS",
         "database user cl_active cl_waiting cl_active_cancel_req cl_waiting_cancel_req sv_active "
         "sv_active_cancel sv_being_canceled sv_idle sv_used sv_tested sv_login maxwait maxwait_us "
         "pool_mode load_balance_hosts",
         "ssiiiiiiiiiiiiiss"},
        {"SHOW STATS",
         "database total_server_assignment_count total_xact_count total_query_count total_received "
         "total_sent total_xact_time total_query_time total_wait_time total_client_parse_count "
         "total_server_parse_count total_bind_count avg_server_assignment_count avg_xact_count "
         "avg_query_count avg_recv avg_sent avg_xact_time avg_query_time avg_wait_time "
         "avg_client_parse_count avg_server_parse_count avg_bind_count",
         "s" + N + N},
        {"SHOW STATS_TOTALS",
         "database server_assignment_count xact_count query_count bytes_received bytes_sent "
         "xact_time "
         "query_time wait_time client_parse_count server_parse_count bind_count",
         "s" + N},
        {"SHOW STATS_AVERAGES",
         "database server_assignment_count xact_count query_count bytes_received bytes_sent "
         "xact_time "
         "query_time wait_time avg_client_parse_count avg_server_parse_count avg_bind_count",
         "s" + N},
        {"SHOW TOTALS", "name value", "sN"},
        {"SHOW CLIENTS", kConnections, "ssssssisiTTiiississiis"},
        {"SHOW SERVERS", kConnections, "ssssssisiTTiiississiis"},
        {"SHOW DATABASES",
         "name host port database force_user pool_size min_pool_size reserve_pool_size "
         "server_lifetime pool_mode load_balance_hosts max_connections current_connections "
         "max_client_connections current_client_connections paused disabled",
         "ssissiiiissiiiiii"},
        {"SHOW USERS",
         "name pool_size reserve_pool_size pool_mode max_user_connections current_connections "
         "max_user_client_connections current_client_connections",
         "ssssiiii"},
        {"SHOW LISTS", "list items", "si"},
        {"SHOW CONFIG", "key value default changeable", "ssss"},
        {"SHOW VERSION", "version", "s"},
        {"SHOW STATE", "key value", "ss"},
        {"SHOW MEM", "name size used free memtotal", "siiii"},
        {"SHOW CACHE",
         "database enabled guarantee entries bytes hits misses fills invalidations evictions "
         "verified mismatches",
         "sssqqqqqqqqq"},
        {"SHOW datestyle", "DateStyle", "s"},
    };
    TestConsole t;
    for (const auto& table : tables) {
        INFO(table.sql);
        const auto r = t.run(table.sql);
        CHECK(r.columns == words(table.columns));
        CHECK(r.oids == oids(table.types));
        CHECK(r.types.back() == 'C');
        CHECK(r.tags == std::vector<std::string>{"SHOW"});
        const auto described = read_reply(t.console.describe(table.sql));
        CHECK(described.types == "T");
        CHECK(described.columns == r.columns);
        CHECK(described.oids == r.oids);
        const auto extended = t.run(table.sql, {.admin = false, .extended = true});
        CHECK(extended.types == r.types.substr(1));
        for (const auto& row : extended.rows) CHECK(row.size() == r.columns.size());
    }
}

TEST_CASE("a command is read in any case, with comments, semicolons and by its alias") {
    TestConsole t;
    for (const char* sql :
         {"show version", "SHOW VERSION;", "  Show\tVersion ; ; ",
          "/* a /* b */ */ show version -- x", "-- first\nSELECT version;", "select \"version\""}) {
        INFO(std::string(sql));
        const auto r = t.run(sql);
        CHECK(r.types == "TDC");
        CHECK(r.at(0, "version").find("pgweir") == 0);
    }
    CHECK(t.source.collected == 0);  // the workers were not asked
}

TEST_CASE("several statements are answered in order, up to the first error") {
    TestConsole t;
    CHECK(t.run("show version; set a = 1; show help").types == "TDCCNC");
    const auto r = t.run("show version; nonsense; show version");
    CHECK(r.types == "TDCE");
    CHECK(r.error.at('C') == "42601");
    CHECK(r.error.at('M').find("nonsense") != std::string::npos);
    CHECK(r.error.at('H').find("STATS_TOTALS") != std::string::npos);
    t.run("show pools; show lists; show pools");
    CHECK(t.source.collected == 1);
}

TEST_CASE("what is no command of ours is a syntax error and nothing else") {
    TestConsole t;
    std::string many;
    for (int i = 0; i < 100; ++i) many += "show version;";
    for (const std::string& sql :
         {std::string("show nonsense"), std::string("show 'version'"),
          std::string("show version x"), std::string("select 1"), std::string("select"),
          std::string("drop table t"), std::string("set"), std::string("reload now"),
          std::string("show 'unterminated"), std::string("/* unterminated"), std::string("\"pools"),
          std::string("(("), std::string("show\0version", 12), many, std::string(70'000, 'x'),
          std::string("show \x01\xff")}) {
        INFO(sql.substr(0, 40));
        for (const bool extended : {false, true}) {
            const auto r = t.run(sql, {.admin = true, .extended = extended});
            CHECK(r.types == "E");
            CHECK(r.error.at('C') == "42601");
            CHECK(r.error.at('M').find('\x01') == std::string::npos);
        }
        CHECK(read_reply(t.console.describe(sql)).types == "E");
        CHECK(read_reply(t.console.check(sql)).types == "E");
    }
    CHECK(t.reloads == 0);
}

TEST_CASE("nothing is an empty query") {
    TestConsole t;
    for (const char* sql : {"", " ", ";", " ; -- nothing", "/* */"}) {
        CHECK(t.run(sql).types == "I");
        CHECK(read_reply(t.console.describe(sql)).types == "n");
        CHECK(t.console.check(sql).empty());
    }
}

TEST_CASE("a prepared statement is one statement") {
    TestConsole t;
    CHECK(t.run("show version; show version", {.admin = false, .extended = true}).types == "E");
    CHECK(read_reply(t.console.check("show version; show version")).error.at('C') == "42601");
    CHECK(t.console.check("show version").empty());
}

TEST_CASE(
    "SET of any name is accepted and without effect, and drivers are told what they ask for") {
    TestConsole t;
    for (const char* sql :
         {"SET extra_float_digits = 3", "set client_encoding to 'UTF8'", "SET a.b TO DEFAULT",
          "set session characteristics as transaction isolation level read committed",
          "SET datestyle = ISO, MDY"}) {
        const auto r = t.run(sql);
        CHECK(r.types == "C");
        CHECK(r.tags.front() == "SET");
        CHECK(read_reply(t.console.describe(sql)).types == "n");
    }
    CHECK(t.run("show client_encoding").at(0, "client_encoding") == "UTF8");
    CHECK(t.run("show standard_conforming_strings").at(0, "standard_conforming_strings") == "on");
    CHECK(t.run("show default_transaction_isolation").at(0, "default_transaction_isolation") ==
          "read committed");
    CHECK(t.run("SHOW TRANSACTION ISOLATION LEVEL").at(0, "transaction_isolation") ==
          "read committed");
    CHECK(t.run("show time zone").at(0, "TimeZone") == "UTC");
    CHECK(t.run("show server_version").at(0, "server_version").find("pgweir") != std::string::npos);
    bool told = false;
    for (const auto& p : console_parameters())
        told |= p.name == "DateStyle" && p.value == "ISO, MDY";
    CHECK(told);
}

TEST_CASE("only an admin may reload, and errors are told") {
    TestConsole t;
    const auto refused = t.run("RELOAD");
    CHECK(refused.types == "E");
    CHECK(refused.error.at('C') == "42501");
    CHECK(t.reloads == 0);
    CHECK(t.run("RELOAD;", {.admin = true}).tags == std::vector<std::string>{"RELOAD"});
    CHECK(t.reloads == 1);
    t.reload_errors = {"a.yaml:3:1: first", "a.yaml:9:2: second"};
    const auto failed = t.run("reload; show version", {.admin = true});
    CHECK(failed.types == "E");
    CHECK(failed.error.at('D') == "a.yaml:3:1: first\na.yaml:9:2: second");
    CHECK(failed.error.at('S') == "ERROR");
}

TEST_CASE("every command has its right: a new one is refused to all until it stands here (S07)") {
    TestConsole t;
    const std::set<std::string> for_stats_users{"SHOW HELP",
                                                "SHOW CONFIG",
                                                "SHOW DATABASES",
                                                "SHOW POOLS",
                                                "SHOW CLIENTS",
                                                "SHOW SERVERS",
                                                "SHOW USERS",
                                                "SHOW VERSION",
                                                "SHOW STATE",
                                                "SHOW LISTS",
                                                "SHOW MEM",
                                                "SHOW STATS",
                                                "SHOW STATS_TOTALS",
                                                "SHOW STATS_AVERAGES",
                                                "SHOW TOTALS",
                                                "SHOW CACHE",
                                                "SHOW CACHE QUERIES",
                                                "SHOW CACHE RELATIONS",
                                                "SHOW CACHE GUARANTEE",
                                                "SHOW QUERIES",
                                                "SHOW ADVICE",
                                                "SET key = arg"};
    const std::set<std::string> for_admins{"SHOW HBA",       "RELOAD",
                                           "RESET QUERIES",  "INVALIDATE TABLE t",
                                           "INVALIDATE ALL", "INVALIDATE QUERY 0123456789abcdef"};
    std::set<std::string> told;
    std::istringstream help(t.run("show help").notice.at('D'));
    for (std::string line; std::getline(help, line);) {
        const auto verb = line.substr(0, line.find(' '));
        std::istringstream topics(line.substr(std::min(line.size(), verb.size() + 1)));
        if (verb == line) told.insert(line);
        for (std::string topic; std::getline(topics, topic, '|');)
            told.insert(verb + " " +
                        (topic == "TABLE name"          ? "TABLE t"
                         : topic == "QUERY fingerprint" ? "QUERY 0123456789abcdef"
                                                        : topic));
    }
    auto known = for_stats_users;
    known.insert(for_admins.begin(), for_admins.end());
    CHECK(told == known);
    for (const bool extended : {false, true}) {
        for (const auto& command : for_stats_users) {
            const auto r = t.run(command, {.admin = false, .extended = extended});
            CHECK_MESSAGE(r.error.count('C') == 0, command);
        }
        for (const auto& command : for_admins)
            for (const auto& text : {command, "show state; " + command, " /* x */ " + command}) {
                if (extended && text.starts_with("show")) continue;  // several are no statement
                const auto r = t.run(text, {.admin = false, .extended = extended});
                CHECK_MESSAGE(r.error.at('C') == "42501", text);
            }
    }
    CHECK(t.reloads == 0);
}

TEST_CASE("the answer comes when the workers have answered, once") {
    TestConsole t;
    t.source.answers = false;
    int replies = 0;
    t.console.execute("show pools; show version", {}, [&](std::string bytes) {
        ++replies;
        CHECK(read_reply(bytes).types == "TDCTDC");
    });
    CHECK(replies == 0);
    t.source.snapshot.pools.push_back(pool_row("app", "joe"));
    t.source.pending(t.source.snapshot);
    CHECK(replies == 1);
}

TEST_CASE("SHOW HELP is a notice, as PgBouncer's is") {
    TestConsole t;
    const auto r = t.run("show help");
    CHECK(r.types == "NC");
    CHECK(r.notice.at('D').find("RELOAD") != std::string::npos);
    CHECK(read_reply(t.console.describe("show help")).types == "n");
}

TEST_CASE("SHOW POOLS adds up the workers' halves of a pool") {
    TestConsole t;
    auto a = pool_row("app", "joe"), b = pool_row("app", "joe"), c = pool_row("app", "ann");
    a.cl_active = 3, a.sv_active = 1, a.maxwait_us = 2'500'001, a.cl_waiting = 1;
    b.cl_active = 4, b.sv_idle = 2, b.maxwait_us = 10;
    b.mode = a.mode = config::PoolMode::session;
    t.source.snapshot.pools = {a, c, b};
    const auto r = t.run("show pools");
    REQUIRE(r.rows.size() == 2);
    CHECK(r.at(0, "user") == "ann");
    CHECK(r.at(0, "pool_mode") == "transaction");
    CHECK(r.at(0, "load_balance_hosts") == "NULL");
    CHECK(r.at(1, "cl_active") == "7");
    CHECK(r.at(1, "cl_waiting") == "1");
    CHECK(r.at(1, "sv_active") == "1");
    CHECK(r.at(1, "sv_idle") == "2");
    CHECK(r.at(1, "maxwait") == "2");
    CHECK(r.at(1, "maxwait_us") == "500001");
    CHECK(r.at(1, "pool_mode") == "session");
    const auto users = t.run("show users");
    REQUIRE(users.rows.size() == 2);
    CHECK(users.at(1, "name") == "joe");
    CHECK(users.at(1, "current_connections") == "3");
    CHECK(users.at(1, "current_client_connections") == "8");
    CHECK(users.at(1, "pool_size") == "NULL");
}

TEST_CASE("SHOW CLIENTS and SERVERS tell each connection, with its pin") {
    TestConsole t;
    ClientRow c;
    c.user = "joe";
    c.database = "app\x01\xff";
    c.state = "waiting";
    c.addr = "127.0.0.1";
    c.port = 4711;
    c.connect_time_us = 1'795'228'201'123'456;
    c.wait_us = 3'000'004;
    c.ptr = 0xabc;
    c.id = 0x1'0000'0001;
    c.pin = "temporary";
    t.source.snapshot.clients = {c};
    const auto r = t.run("show clients");
    REQUIRE(r.rows.size() == 1);
    CHECK(r.at(0, "type") == "C");
    CHECK(r.at(0, "database") == "app\\x01\\xff");
    CHECK(r.at(0, "port") == "4711");
    CHECK(r.at(0, "connect_time") == "2026-11-21 02:30:01 UTC");
    CHECK(r.at(0, "request_time") == "NULL");
    CHECK(r.at(0, "wait") == "3");
    CHECK(r.at(0, "wait_us") == "4");
    CHECK(r.at(0, "ptr") == "0xabc");
    CHECK(r.at(0, "link") == "");
    CHECK(r.at(0, "replication") == "none");
    CHECK(r.at(0, "id") == "1");
    CHECK(r.at(0, "pin") == "temporary");
    t.source.snapshot.servers.resize(1);
    t.source.snapshot.servers[0].remote_pid = 42;
    const auto s = t.run("show servers");
    CHECK(s.at(0, "type") == "S");
    CHECK(s.at(0, "remote_pid") == "42");
}

TEST_CASE("SHOW LISTS counts databases, users, pools, clients and servers") {
    TestConsole t;
    auto a = pool_row("app", "joe"), b = pool_row("app", "ann"), c = pool_row("x", "joe");
    a.sv_idle = 2, a.sv_active = 1, b.sv_used = 1, b.sv_login = 5;
    t.source.snapshot.pools = {a, b, c, a};
    t.source.snapshot.clients.resize(7);
    t.source.snapshot.databases.resize(2);
    t.source.snapshot.lists.login_clients = 3;
    const auto r = t.run("show lists");
    std::map<std::string, std::string> lists;
    for (const auto& row : r.rows) lists[*row[0]] = *row[1];
    CHECK(lists.size() == 14);
    CHECK(lists["databases"] == "2");
    CHECK(lists["users"] == "2");
    CHECK(lists["pools"] == "3");
    CHECK(lists["used_clients"] == "7");
    CHECK(lists["login_clients"] == "3");
    CHECK(lists["free_servers"] == "5");
    CHECK(lists["used_servers"] == "7");
}

TEST_CASE("SHOW CONFIG has our options and the two numbers PgBouncer's exporter reads") {
    TestConsole t;
    t.config.limits.max_clients = 77;
    t.config.pool.max_size = 9;
    const auto r = t.run("show config");
    std::map<std::string, std::size_t> at;
    std::string last;
    for (std::size_t i = 0; i < r.rows.size(); ++i) {
        at[*r.rows[i][0]] = i;
        CHECK(last < *r.rows[i][0]);
        last = *r.rows[i][0];
    }
    REQUIRE(at.contains("max_client_conn"));
    CHECK(r.at(at["max_client_conn"], "value") == "77");
    CHECK(r.at(at["max_user_connections"], "value") == "0");
    REQUIRE(at.contains("pool.max_size"));
    CHECK(r.at(at["pool.max_size"], "value") == "9");
    CHECK(r.at(at["pool.max_size"], "changeable") == "yes");
    CHECK(r.at(at["listen.port"], "changeable") == "no");
}

namespace {

struct FakeCache final : CacheAdmin {
    std::vector<std::string> done;

    std::vector<CacheQueryRow> queries() override {
        return {{0xabc, "app", "yes", "none", 1, 2, 3, 4, 5'000'000, 6000}};
    }
    std::vector<CacheRelationRow> relations() override {
        return {{"app", "public.t", 4, 1, 7, 1}, {"app", "public.u", 2, 0, 0, 0}};
    }
    std::vector<CacheGuaranteeRow> guarantees() override {
        return {{"app", "h:5432", "off", WritesTold::of_all, false, "why"},
                {"more", "h:5432", "bounded", WritesTold::of_publication, false, ""},
                {"told", "h:5432", "bounded", WritesTold::of_all, true, ""},
                {"here", "h:5432", "in_band", WritesTold::no, false, ""}};
    }
    std::size_t invalidate_table(std::span<const std::string> name) override {
        done.emplace_back("table");
        for (const auto& part : name) done.back() += " " + part;
        return name.back() == "none" ? 0 : 1;
    }
    void invalidate_query(std::uint64_t fingerprint) override {
        done.push_back("query " + std::to_string(fingerprint));
    }
    void invalidate_all() override { done.emplace_back("all"); }
};

}  // namespace

TEST_CASE("SHOW CACHE QUERIES, RELATIONS and GUARANTEE tell what the cache says") {
    FakeSource source;
    FakeCache cache;
    const auto config = std::make_shared<const config::Config>();
    Console console(source, {[&] { return config; }, {}, {}, &cache});
    const auto run = [&](const std::string& sql, bool admin) {
        std::string got;
        console.execute(sql, {.admin = admin}, [&](std::string bytes) { got = std::move(bytes); });
        return read_reply(got);
    };
    const auto queries = run("SHOW CACHE QUERIES", false);
    CHECK(queries.at(0, "fingerprint") == "0000000000000abc");
    CHECK(queries.at(0, "time_saved") == "5000");
    CHECK(queries.at(0, "time_spent") == "6");
    const auto relations = run("show cache relations", false);
    CHECK(relations.at(0, "changed_by") == "session 7");
    CHECK(relations.at(1, "changed_by") == "NULL");
    const auto guarantee = run("SHOW CACHE GUARANTEE", false);
    CHECK(guarantee.at(0, "promise") == "nothing is answered from the cache");
    CHECK(guarantee.at(0, "reason") == "why");
    CHECK(guarantee.at(0, "schema_changes") == "nothing depends on them");
    CHECK(guarantee.at(0, "writes_elsewhere") == "nothing depends on them");
    CHECK(guarantee.at(1, "writes_elsewhere").ends_with("in cache.stream.publication"));
    CHECK(guarantee.at(2, "writes_elsewhere").ends_with("of all tables"));
    CHECK(guarantee.at(3, "writes_elsewhere") == "not seen");
    CHECK(guarantee.at(1, "schema_changes") == "polled, every cache.catalog_poll");
    CHECK(guarantee.at(2, "schema_changes").starts_with("told by event triggers"));

    CHECK(run("INVALIDATE ALL", false).error['C'] == "42501");
    CHECK(cache.done.empty());
    CHECK(run("INVALIDATE ALL", true).tags == std::vector<std::string>{"INVALIDATE"});
    CHECK(run("invalidate table app.\"S\".t; invalidate query '00000000000000ff'", true)
              .tags.size() == 2);
    CHECK(cache.done == std::vector<std::string>{"all", "table app S t", "query 255"});
    CHECK(run("INVALIDATE TABLE none", true).error['C'] == "42P01");
    for (const char* wrong :
         {"INVALIDATE", "INVALIDATE TABLE", "INVALIDATE TABLE a.", "INVALIDATE x",
          "INVALIDATE TABLE a.b.c.d", "INVALIDATE ALL 1", "INVALIDATE QUERY 5"})
        CHECK_MESSAGE(run(wrong, true).error['C'] == "42601", wrong);
}

TEST_CASE("SHOW DATABASES, CACHE, STATE and MEM tell what the snapshot says") {
    TestConsole t;
    DatabaseRow d;
    d.name = "app";
    d.host = "10.0.0.5";
    d.port = 5433;
    d.server_lifetime = 3600 * base::kSecond;
    d.pool_size = 20;
    t.source.snapshot.databases = {d};
    t.source.snapshot.caches = {{"app", true, "in_band", 2, 5'000'000'000, 3, 4, 5, 6, 7}};
    t.source.snapshot.draining = true;
    const auto databases = t.run("show databases");
    CHECK(databases.at(0, "server_lifetime") == "3600");
    CHECK(databases.at(0, "force_user") == "NULL");
    CHECK(databases.at(0, "port") == "5433");
    const auto cache = t.run("show cache");
    CHECK(cache.at(0, "guarantee") == "in_band");
    CHECK(cache.at(0, "bytes") == "5000000000");
    CHECK(cache.at(0, "evictions") == "7");
    const auto mem = t.run("show mem");
    CHECK(mem.at(1, "memtotal") == "2147483647");  // int4 holds no more
    CHECK(std::stoll(mem.at(0, "memtotal")) > 100'000);
    const auto state = t.run("show state");
    CHECK(*state.rows[0][0] == "active");
    CHECK(*state.rows[0][1] == "no");
}
