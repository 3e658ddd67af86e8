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
    ask(c, "INSERT INTO f VALUES (1)");
    CHECK(explain(c, read)["entry"].starts_with("valid"));
    ask(c, "INSERT INTO e VALUES (1)");
    told = explain(c, read);
    CHECK(told["entry"].starts_with("invalid"));
    CHECK(told["last change"].starts_with("public.e by session "));
    CHECK(explain(c, "SELECT n FROM e WHERE n = 77")["entry"] == "none");
    CHECK(explain(c, "DELETE FROM e")["writes"] == "public.e");
    CHECK(explain(c, "DO 'BEGIN END'")["writes"].starts_with("perhaps anything"));
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
    ask(c, "SELECT 1");
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

TEST_CASE("verify_ratio has hits compared with the server's answers") {
    Proxy verifying(Cluster::shared(),
                    {{{"cache", "{exclusive_writer: true, verify_ratio: 1}"}}, {}, {}, 0});
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
    c.ask(batch);
    const auto before = verifying.cache_counter("verified");
    for (int i = 0; i < 5; ++i) {
        CHECK(ask(c, read) == "1");
        CHECK(c.ask(batch) == direct.ask(batch));
    }
    CHECK(verifying.cache_counter("verified") == before + 10);
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
