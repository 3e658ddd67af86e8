// Plans of slow statements: asked for over a connection of the proxy's own, for the statement that
// was slow, and only where its meaning is certain.
#include <doctest/doctest.h>

#include "support/proxy.hpp"

using namespace pgweir::testing;

namespace {

/// `again`: how soon a plan is asked for again.
Proxy proxy_with_plans(const std::string& again = "1h", const std::string& more = "") {
    return Proxy(Cluster::shared(), {{{"slow_log",
                                       "{threshold: 0, explain: true, explain_interval: 10ms, "
                                       "explain_again: " +
                                           again + more + "}"},
                                      {"cache", "{enabled: false}"}},
                                     {},
                                     {},
                                     0});
}

std::size_t count_of(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

const std::string kPlan = "plan of what was slow:";

/// Asks until the log has `count` plans; a plan wants the catalog, which is read in between.
bool plans(const Proxy& proxy, Db& db, const std::string& sql, std::size_t count = 1) {
    return eventually([&] {
        db.exec(sql);
        return count_of(proxy.slow_log(), kPlan) >= count;
    });
}

/// A rule's advice on the query of this beginning; empty: none.
std::string advice(const Proxy& proxy, const std::string& rule, const std::string& query) {
    const auto a = proxy.console("SHOW ADVICE");
    for (std::size_t i = 0; i < a.rows.size(); ++i)
        if (a.at(i, "rule") == rule && a.at(i, "query").starts_with(query))
            return a.at(i, "evidence") + " -> " + a.at(i, "advice");
    return {};
}

/// 500,000 rows, 40 MiB, an index on id, name and at.
void make_orders() {
    auto db = Cluster::shared().connect("app");
    if (db.value("SELECT to_regclass('public.orders') IS NULL") == "f") return;
    db.run(
        "CREATE TABLE orders (id int PRIMARY KEY, customer int, name varchar, at timestamptz, "
        "fill text)");
    db.run(
        "INSERT INTO orders SELECT g, g / 10, 'n' || g, '2026-01-01'::timestamptz, "
        "repeat('x', 40) FROM generate_series(1, 500000) g");
    db.run("CREATE INDEX ON orders (name)");
    db.run("ANALYZE orders");
}

}  // namespace

TEST_CASE("a slow scan is logged with its plan once, and advised on; its index changes both") {
    make_orders();
    Cluster::shared().connect("app").run("DROP INDEX IF EXISTS orders_customer_idx");
    auto proxy = proxy_with_plans("1s");
    auto db = proxy.connect();
    const std::string query = "SELECT id FROM orders WHERE customer = 77 ORDER BY id";
    REQUIRE(plans(proxy, db, query));
    const auto log = proxy.slow_log();
    CHECK(log.find("Seq Scan on public.orders") != std::string::npos);
    CHECK(log.find("Filter: (orders.customer = $1)") != std::string::npos);
    CHECK(log.find("orders.customer = 77") == std::string::npos);
    std::string found;
    CHECK(eventually([&] {
        found = advice(proxy, "sequential_scan", "SELECT id FROM orders WHERE customer");
        return !found.empty();
    }));
    CHECK(found.find("a sequential scan of public.orders (about 500000 rows") == 0);
    CHECK(found.find("-> CREATE INDEX CONCURRENTLY ON public.orders (customer);") !=
          std::string::npos);
    const auto read = proxy.metric("pgweir_plans_read_total");
    CHECK_MESSAGE(eventually([&] {  // asked for again, and no other: nothing is logged
                      db.exec(query);
                      return proxy.metric("pgweir_plans_read_total") > read;
                  }),
                  proxy.log());
    CHECK(count_of(proxy.slow_log(), kPlan) == 1);
    Cluster::shared().connect("app").run("CREATE INDEX orders_customer_idx ON orders (customer)");
    CHECK(plans(proxy, db, query, 2));
    CHECK(proxy.slow_log().find("using orders_customer_idx") != std::string::npos);
    CHECK(advice(proxy, "sequential_scan", "SELECT id FROM orders WHERE customer").empty());
    CHECK_MESSAGE(proxy.metric("pgweir_plans_failed_total") == 0, proxy.log());
}

TEST_CASE("a function and a cast that keep an index from being used are found, bound values too") {
    make_orders();
    auto proxy = proxy_with_plans("1s");
    auto db = proxy.connect();
    CHECK(eventually([&] {
        db.exec("SELECT id FROM orders WHERE lower(name) = 'n5'");
        db.exec("SELECT id FROM orders WHERE lower(name) = 'n5' AND id > 3");
        db.exec("SELECT count(id) FROM orders WHERE abs(id) = 5");  // reads the index whole
        db.exec_params("SELECT name FROM orders WHERE id = $1 * 1.0", {"5"});
        return !advice(proxy, "function_on_column", "SELECT id FROM orders").empty() &&
               !advice(proxy, "function_on_column", "SELECT count(id)").empty() &&
               !advice(proxy, "implicit_cast", "SELECT name FROM orders").empty();
    }));
    CHECK(advice(proxy, "implicit_cast", "SELECT name FROM orders")
              .find("index orders_pkey begins with id (integer), which is compared as numeric") ==
          0);
    CHECK(advice(proxy, "function_on_column", "SELECT name").empty());
    CHECK(advice(proxy, "implicit_cast", "SELECT id").empty());
}

TEST_CASE("a plan is the session's own: its search path, role and settings decide") {
    auto admin = Cluster::shared().connect("postgres");
    admin.run("DROP SCHEMA IF EXISTS pa, pb CASCADE");
    admin.run("CREATE SCHEMA pa AUTHORIZATION app");
    admin.run("CREATE SCHEMA pb AUTHORIZATION app");
    admin.run("CREATE TABLE pa.same (a int); CREATE TABLE pb.same (a int)");
    admin.run("GRANT SELECT ON pa.same, pb.same TO app");
    auto proxy = proxy_with_plans("1h");
    auto db = proxy.connect("app", "app", "options='-c search_path=pb'");
    REQUIRE(plans(proxy, db, "SELECT count(*) FROM same"));
    CHECK(proxy.slow_log().find("on pb.same") != std::string::npos);
    CHECK(proxy.slow_log().find("on pa.same") == std::string::npos);
    auto other = proxy.connect();
    other.run("SET search_path = pa");
    CHECK(plans(proxy, other, "SELECT sum(a) FROM same", 2));
    CHECK(proxy.slow_log().find("on pa.same") != std::string::npos);
    auto guided = proxy.connect("app", "app", "options='-c enable_seqscan=off'");
    guided.run("SET search_path = pa");
    CHECK(plans(proxy, guided, "SELECT max(a) FROM same", 3));
    CHECK(proxy.slow_log().find("cost=10000000") != std::string::npos);
}

TEST_CASE("what is not certain or not harmless is never asked for") {
    auto admin = Cluster::shared().connect("postgres");
    admin.run("DROP TABLE IF EXISTS seen; DROP FUNCTION IF EXISTS lies(int)");
    admin.run("CREATE TABLE seen (who text); GRANT ALL ON seen TO app");
    // Planning would run it: what is declared immutable and has constant arguments is folded.
    admin.run(
        "CREATE FUNCTION lies(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS "
        "$$BEGIN INSERT INTO seen VALUES (current_setting('application_name')); "
        "RETURN 1; END$$");
    auto proxy = proxy_with_plans("1h");
    auto db = proxy.connect();
    REQUIRE(plans(proxy, db, "SELECT count(*) FROM seen"));  // plans can be had
    for (int i = 0; i < 20; ++i) {
        db.exec("SELECT lies(1) FROM seen");
        db.exec("INSERT INTO seen VALUES ('x')");
        db.exec("UPDATE seen SET who = 'y' WHERE who = 'z'");
        db.exec("SELECT pg_sleep(0)");
        db.exec("SELECT 1; SELECT count(who) FROM seen");
        db.exec("SELECT who FROM seen FOR UPDATE");
        db.exec("SELECT nothing FROM seen");
        db.run("BEGIN");
        db.run("SET LOCAL search_path = pg_temp");
        db.exec("SELECT min(who) FROM public.seen");
        db.run("COMMIT");
    }
    auto pinned = proxy.connect();
    pinned.run("CREATE TEMP TABLE seen (a int)");
    pinned.run("SELECT count(a) FROM seen");
    REQUIRE(plans(proxy, db, "SELECT max(who) FROM seen", 2));  // the last to be asked
    CHECK(count_of(proxy.slow_log(), kPlan) == 2);
    CHECK(admin.value("SELECT count(*) FROM seen WHERE who LIKE 'pgweir%'") == "0");
    CHECK_MESSAGE(proxy.metric("pgweir_plans_failed_total") == 0, proxy.log());
}

TEST_CASE("plans are not asked for unless they are wanted, and a reload begins with them") {
    // Before the catalog is read.
    Cluster::shared().connect("app").run("CREATE TABLE IF NOT EXISTS plain (a int)");
    Proxy proxy(Cluster::shared(),
                {{{"slow_log", "{threshold: 0}"}, {"cache", "{enabled: false}"}}, {}, {}, 0});
    auto db = proxy.connect();
    for (int i = 0; i < 50; ++i) db.run("SELECT count(*) FROM plain");
    CHECK(proxy.metric("pgweir_plans_read_total") == 0);
    proxy.reload({{"slow_log", "{threshold: 0, explain: true}"}});
    CHECK(plans(proxy, db, "SELECT count(*) FROM plain"));
}
