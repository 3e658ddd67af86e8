// Why is this cached, or not: EXPLAIN CACHE on the application's own connection; and verify_ratio,
// which has the server asked as well and compares.
#include <doctest/doctest.h>

#include <map>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    return p;
}

std::map<std::string, std::string> explain(RawClient& c, const std::string& sql) {
    std::map<std::string, std::string> found;
    for (const auto& row : rows(c.ask(msg::query("EXPLAIN CACHE " + sql))))
        found[row.at(0)] = row.at(1);
    return found;
}

}  // namespace

TEST_CASE("EXPLAIN CACHE says whether, why not, on what, and what invalidated last") {
    auto c = RawClient::login(proxy().port());
    ask(c, "CREATE TABLE e (n int); CREATE TABLE f (n int); CREATE VIEW ev AS SELECT n FROM e");
    const std::string read = "SELECT n FROM ev";
    CHECK(becomes_cached(proxy(), c, read));
    auto told = explain(c, read);
    CHECK(told["cached"] == "yes");
    CHECK(told["reason"] == "none");
    CHECK(told["guarantee"] == "in_band");
    CHECK(told["depends on"] == "public.e, public.ev");
    CHECK(told["writes"] == "nothing");
    CHECK(told["entry"].starts_with("valid, 0 rows, "));
    CHECK(told["entry"].find(" hits saved ") != std::string::npos);
    // Catalogs that are read late end the life of all entries: only then the next one stays.
    CHECK(eventually([&] {
        ask(c, read);
        ask(c, "INSERT INTO f VALUES (1)");
        return explain(c, read)["entry"].starts_with("valid");
    }));
    ask(c, "INSERT INTO e VALUES (1)");
    told = explain(c, read);
    CHECK(told["entry"].starts_with("invalid"));
    CHECK(told["last change"].starts_with("public.e by session "));
    CHECK(explain(c, "SELECT n FROM e WHERE n = 77")["entry"] == "none");
    CHECK(explain(c, "DELETE FROM e")["writes"] == "public.e");
    CHECK(explain(c, "DO 'BEGIN END'")["writes"] == "perhaps any table of the database");
    CHECK(explain(c, "DO 'BEGIN EXECUTE x; END'")["writes"].starts_with("perhaps all databases"));
}

TEST_CASE("EXPLAIN CACHE gives the reason of this session, role and place") {
    auto c = RawClient::login(proxy().port());
    ask(c, "CREATE TABLE IF NOT EXISTS e (n int)");
    CHECK(becomes_cached(proxy(), c, "SELECT n FROM e"));
    for (const auto& [sql, reason] : std::vector<std::pair<std::string, std::string>>{
             {"SELECT now()", "time_dependent"},
             {"SELECT random()", "function_not_immutable"},
             {"SELECT n FROM e FOR UPDATE", "locking_clause"},
             {"SELECT relname FROM pg_class", "system_relation"},
             {"SELECT 1; SELECT 2", "several_statements"},
             {"SELECT date 'today'", "special_date_input"},
             {"INSERT INTO e VALUES (1)", "not_a_read"},
             {"SELEC", "not_understood"},
             {"SELECT * FROM nosuch", "unknown_relation"}})
        CHECK(sql + ": " + explain(c, sql)["reason"] == sql + ": " + reason);
    ask(c, "BEGIN");
    ask(c, "INSERT INTO e VALUES (2)");
    auto answer = c.ask(msg::query("explain\n cache SELECT n FROM e"));
    CHECK(ready_status(answer) == 'T');
    CHECK(rows(answer).at(1).at(1) == "in_transaction");
    ask(c, "COMMIT");
    auto elsewhere =
        RawClient::login(proxy().port(), "app", "app", {{"search_path", "pg_catalog"}});
    CHECK(explain(elsewhere, "SELECT n FROM e")["reason"] == "unknown_relation");
    // What is PostgreSQL's goes to PostgreSQL.
    CHECK(ask(c, "EXPLAIN (COSTS off) SELECT 1") == "Result");
    CHECK(ask(c, "EXPLAIN CACHES SELECT 1").starts_with("42601"));
}

TEST_CASE("what was written past the proxy shows once it is said, by table, by query and for all") {
    auto c = RawClient::login(proxy().port());
    auto direct = RawClient::login(Cluster::shared().port());
    ask(c, "DROP TABLE IF EXISTS hand; CREATE TABLE hand AS SELECT 0 AS n");
    const std::string read = "SELECT n FROM hand WHERE n >= 0";
    REQUIRE(becomes_cached(proxy(), c, read));
    const auto fingerprint = [&] {
        for (const auto& row : proxy().console("SHOW CACHE QUERIES").rows)
            if (row.back().find("hand") != std::string::npos &&
                row.back().find(">=") != std::string::npos)
                return row.front();
        return std::string();
    };
    REQUIRE(eventually([&] { return !fingerprint().empty(); }));
    int n = 0;
    for (const std::string& by : {std::string("TABLE hand"), std::string("TABLE public.hand"),
                                  std::string("TABLE \"app\".\"public\".hand"),
                                  "QUERY '" + fingerprint() + "'", std::string("ALL")}) {
        // Stale: an entry was there while it was written to elsewhere, and stayed.
        CHECK(eventually([&] {
            ask(c, read);
            const auto old = ask(c, read);
            ask(direct, "UPDATE hand SET n = " + std::to_string(++n));
            return ask(c, read) == old;
        }));
        const auto done = proxy().console("INVALIDATE " + by);
        CHECK_MESSAGE(done.ok, by, ": ", done.message);
        CHECK_MESSAGE(ask(c, read) == std::to_string(n), by);
    }
    CHECK(proxy().console("INVALIDATE TABLE nosuch").sqlstate == "42P01");
    CHECK(proxy().console("INVALIDATE TABLE").sqlstate == "42601");
    CHECK(proxy().console("INVALIDATE QUERY 12").sqlstate == "42601");
}

TEST_CASE("the console tells of the cache's queries, relations and guarantees") {
    auto c = RawClient::login(proxy().port());
    ask(c, "DROP TABLE IF EXISTS told; CREATE TABLE told AS SELECT 1 AS n");
    REQUIRE(becomes_cached(proxy(), c, "SELECT n FROM told"));
    ask(c, "SELECT now(), n FROM told");
    ask(c, "UPDATE told SET n = 2");
    const auto row_with = [&](const std::string& command, std::size_t column,
                              const std::string& text) {
        for (const auto& row : proxy().console(command).rows)
            if (row.at(column).find(text) != std::string::npos) return row;
        return std::vector<std::string>(12);
    };
    CHECK(eventually([&] {
        return row_with("SHOW CACHE QUERIES", 10, "n FROM told")[2] == "yes" ||
               row_with("SHOW CACHE QUERIES", 3, "time_dependent")[2] == "no";
    }));
    const auto relation = row_with("SHOW CACHE RELATIONS", 1, "public.told");
    CHECK(relation[0] == "app");
    CHECK(std::stoll(relation[2]) >= 2);
    CHECK(relation[3] == "0");
    CHECK(relation[4].starts_with("session "));
    const auto guarantee = row_with("SHOW CACHE GUARANTEE", 0, "app");
    CHECK(guarantee[2] == "in_band");
    CHECK(guarantee[3].starts_with("a hit is what the server would have answered"));
}

TEST_CASE("verify_ratio has hits compared with the server's answers") {
    Proxy verifying(
        Cluster::shared(),
        {{{"cache", "{exclusive_writer: true, verify_ratio: 1, catalog_poll: 100ms}"}}, {}, {}, 0});
    auto c = RawClient::login(verifying.port());
    auto direct = RawClient::login(Cluster::shared().port());
    ask(direct,
        "DROP TABLE IF EXISTS ver; CREATE TABLE ver AS SELECT n FROM generate_series(1, 3) n");
    const std::string read = "SELECT n FROM ver";
    const auto batch = msg::parse("", read) + msg::bind("", "", {}, 1) + msg::describe('P', "") +
                       msg::execute() + msg::sync();
    CHECK(eventually([&] {
        ask(c, read);
        return verifying.cache_counter("verified") > 0;
    }));
    // A catalog that is read late makes hits misses for once.
    CHECK(eventually([&] {
        c.ask(batch);
        const auto before = verifying.cache_counter("verified");
        for (int i = 0; i < 5; ++i) {
            CHECK(ask(c, read) == "1");
            CHECK(c.ask(batch) == direct.ask(batch));
        }
        return verifying.cache_counter("verified") == before + 10;
    }));
    CHECK(verifying.cache_counter("mismatches") == 0);
    // Rows in another order are no difference, another value is.
    ask(direct, "UPDATE ver SET n = n WHERE n = 1");
    CHECK(ask(c, read) == "2");
    CHECK(verifying.cache_counter("mismatches") == 0);
    ask(direct, "UPDATE ver SET n = 9 WHERE n = 2");
    CHECK(ask(c, "SELECT n FROM ver") != "");
    CHECK(verifying.cache_counter("mismatches") == 1);
    CHECK(verifying.logs("an entry was not what the server answers"));
}
