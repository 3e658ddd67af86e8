// The hazards of caching SQL results, by the numbers of docs/cache_hazards.md: each case makes what
// goes wrong in careless caches happen, and holds the proxy's answers against PostgreSQL's own.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"},
                                        {"pool", "{min_size: 0, max_size: 6}"},
                                        {"databases", in_both_modes(Cluster::shared())}},
                                       {},
                                       {},
                                       0});
    return p;
}

RawClient login(const std::string& user = "app") {
    return RawClient::login(proxy().port(), user, "app");
}

void setup(const std::string& sql) { must_run(login(), sql); }

/// The second answer, which is a hit wherever there can be one, and PostgreSQL's.
void check_same(RawClient& c, const std::string& bytes, const std::string& what) {
    auto direct = RawClient::login(Cluster::shared().port());
    const auto wanted = direct.ask(bytes);
    c.ask(bytes);
    CHECK_MESSAGE(c.ask(bytes) == wanted, what);
}

/// Each in a session of its own: what pins one is not cached for that reason alone.
void check_never_cached(const std::vector<std::string>& texts) {
    for (const auto& sql : texts) {
        auto c = login();
        const auto told = rows(c.ask(msg::query("EXPLAIN CACHE " + sql)));
        REQUIRE_MESSAGE(told.size() > 2, sql);
        CHECK_MESSAGE(told[0].at(1) == "no", sql);
        CHECK_MESSAGE(told[1].at(1) != "no_catalog", sql);
        CHECK_MESSAGE(hits_of(proxy(), [&] { ask(c, sql), ask(c, sql); }) == 0, sql);
    }
}

/// A table that is known and cached.
void known_table(RawClient& c, const std::string& name) {
    setup("DROP TABLE IF EXISTS " + name + "; CREATE TABLE " + name +
          " AS SELECT n, n * 10 AS v FROM generate_series(1, 20) n");
    REQUIRE(becomes_cached(proxy(), c, "SELECT sum(v) FROM " + name));
}

}  // namespace

TEST_CASE("a name that was deallocated and prepared anew by SQL is judged by what it is now") {
    auto reader = login();
    known_table(reader, "renamed");
    const std::string sum = "SELECT sum(v) FROM renamed";
    auto writer = RawClient::login(proxy().port(), "app", "exact");
    writer.ask(msg::parse("s", "SELECT 1") + msg::sync());
    writer.ask(msg::query("DEALLOCATE s"));
    writer.ask(msg::query("PREPARE s AS UPDATE renamed SET v = v + 1 WHERE n = 1"));
    for (int round = 1; round <= 3; ++round) {
        REQUIRE(becomes_cached(proxy(), reader, sum));
        CHECK(types(writer.ask(msg::bind("", "s") + msg::execute() + msg::sync())) == "2CZ");
        CHECK(ask(reader, sum) == std::to_string(2100 + round));
    }
}

TEST_CASE("C5, C6, C9, C13, D1, D2, D3, D5, D16, D17: what more than tables decide is not cached") {
    auto c = login();
    setup(
        "CREATE SEQUENCE IF NOT EXISTS hs; CREATE OR REPLACE FUNCTION hf() RETURNS int LANGUAGE "
        "sql VOLATILE AS 'SELECT 1'");
    known_table(c, "h");
    check_never_cached({"SELECT random() FROM h",
                        "SELECT gen_random_uuid()",
                        "SELECT clock_timestamp()",
                        "SELECT txid_current()",
                        "SELECT nextval('hs')",
                        "SELECT now(), n FROM h",
                        "SELECT n FROM h WHERE current_date > date '2020-01-01'",
                        "SELECT age(timestamp '2020-01-01')",
                        "SELECT date 'today'",
                        "SELECT 'now'::timestamp",
                        "SELECT 'tomorrow'::timestamptz",
                        "SELECT current_setting('app.tenant', true)",
                        "SELECT inet_client_addr()",
                        "SELECT pg_backend_pid()",
                        "SELECT hf()",
                        "SELECT relname FROM pg_class LIMIT 1",
                        "SELECT table_name FROM "
                        "information_schema.tables LIMIT 1",
                        "SELECT ctid FROM h",
                        "SELECT xmin FROM h",
                        "SELECT (h).ctid FROM h",
                        "SELECT (h).xmax FROM h",
                        "SELECT n FROM h TABLESAMPLE BERNOULLI (50)",
                        "SELECT n FROM h FOR UPDATE",
                        "SELECT n FROM h FOR SHARE",
                        "DO 'BEGIN END'",
                        "EXPLAIN (ANALYZE, TIMING off, COSTS off, SUMMARY off) SELECT n FROM h",
                        "COPY (SELECT 1) TO STDOUT",
                        "SELECT count(*) FROM pg_stat_activity"});
    // The same by a parameter.
    for (const char* value : {"today", "NOW", " yesterday "}) {
        const auto batch = msg::unnamed("SELECT $1::date::text", {value}) + msg::sync();
        CHECK(hits_of(proxy(), [&] { c.ask(batch), c.ask(batch); }) == 0);
    }
}

TEST_CASE("D3: what data say may be today is not cached, by whatever cast it is read") {
    auto c = login();
    setup(
        "CREATE TABLE said(note text, span text, days daterange); INSERT INTO said VALUES "
        "('today', '[today,)', '[2020-01-01,)'); CREATE DOMAIN cbrt AS date; CREATE VIEW "
        "said_spans AS SELECT span::daterange AS days FROM said");
    known_table(c, "d3");
    const std::vector<std::string> texts{"SELECT date(note) FROM said",
                                         "SELECT pg_catalog.date(note) FROM said",
                                         "SELECT timestamptz('n' || 'ow')",
                                         "SELECT \"timestamp\"(note) FROM said",
                                         "SELECT daterange(span) FROM said",
                                         "SELECT datemultirange('{' || span || '}') FROM said",
                                         "SELECT cbrt(note) FROM said",
                                         "SELECT (note).date FROM said",
                                         "SELECT (span).daterange FROM said",
                                         "SELECT g.date FROM said, unnest(ARRAY[note]) g",
                                         "SELECT g.cbrt FROM said, unnest(ARRAY[note]) g(word)",
                                         "SELECT days FROM said_spans"};
    for (const auto& sql : texts) CHECK_MESSAGE(ask(c, sql).find("20") < 3, sql);
    check_never_cached(texts);
}

TEST_CASE("D3: a literal that a function takes for a timetz has today's offset") {
    auto c = login();
    known_table(c, "d3_zone");
    const std::vector<std::string> texts{"SELECT timetz_pl_interval('04:05', '0')",
                                         "SELECT pg_catalog.timetz('04:05', 0)",
                                         "SELECT timetz_eq('04:05', '04:05+01')",
                                         "SELECT interval_pl_timetz('0', '04:05')",
                                         "SELECT timetz '04:05'",
                                         "SELECT '04:05'::timetz",
                                         "SELECT cash_words('1')"};
    for (const auto& sql : texts) CHECK_MESSAGE(!ask(c, sql).starts_with("42"), sql);
    check_never_cached(texts);
    for (const auto* sql : {"SELECT max('04:05'), extract(hour FROM time '04:05')",
                            "SELECT to_tsvector('english', 'a b')"})
        CHECK(becomes_cached(proxy(), c, sql));
}

TEST_CASE("D3: today is found where input of arrays and ranges takes marks out of the word") {
    auto c = login();
    setup("CREATE TABLE stays(days daterange); INSERT INTO stays VALUES ('[2020-01-01,)')");
    known_table(c, "d3_marks");
    const std::vector<std::string> texts{"SELECT '{to\\day}'::date[]",
                                         "SELECT $${\\t\\od\\ay}$$::date[]",
                                         "SELECT count(*) FROM stays WHERE days @> '[to\\day,)'",
                                         "SELECT count(*) FROM stays WHERE days @> '[t\"oda\"y,)'"};
    for (const auto& sql : texts) CHECK_MESSAGE(!ask(c, sql).starts_with("22"), sql);
    check_never_cached(texts);
    const auto batch = msg::unnamed("SELECT $1::date[]", {"{to\\day}"}) + msg::sync();
    CHECK(hits_of(proxy(), [&] { c.ask(batch), c.ask(batch); }) == 0);
}

TEST_CASE("B1, B2, B3, B7, B8: writes of a transaction, a savepoint, a batch or one text show") {
    auto c = login(), other = login();
    known_table(c, "b");
    const std::string sum = "SELECT sum(v) FROM b";
    const auto at_first = std::stoll(ask(c, sum));
    ask(c, "BEGIN");
    ask(c, "UPDATE b SET v = v + 1 WHERE n = 1");
    CHECK(ask(c, sum) == std::to_string(at_first + 1));
    CHECK(ask(other, sum) == std::to_string(at_first));
    ask(c, "SAVEPOINT s");
    ask(c, "UPDATE b SET v = v + 10 WHERE n = 1");
    CHECK(ask(c, sum) == std::to_string(at_first + 11));
    ask(c, "ROLLBACK TO s");
    CHECK(ask(c, sum) == std::to_string(at_first + 1));
    ask(c, "COMMIT");
    CHECK(ask(other, sum) == std::to_string(at_first + 1));
    ask(c, "BEGIN");
    ask(c, "UPDATE b SET v = 0");
    CHECK(ask(c, sum) == "0");
    ask(c, "ROLLBACK");
    for (auto* who : {&c, &other}) CHECK(ask(*who, sum) == std::to_string(at_first + 1));
    const auto in_batch =
        c.ask(msg::unnamed("UPDATE b SET v = v + 1 WHERE n = 1") + msg::unnamed(sum) + msg::sync());
    CHECK(first_value(in_batch) == std::to_string(at_first + 2));
    CHECK(first_value(c.ask(msg::query("UPDATE b SET v = v + 1 WHERE n = 1; " + sum))) ==
          std::to_string(at_first + 3));
    CHECK(ask(other, sum) == std::to_string(at_first + 3));
}

TEST_CASE("A7, B10: a COMMIT that rolls back, and writes that happen at COMMIT, show") {
    auto c = login(), other = login();
    known_table(c, "late");
    const std::string count = "SELECT count(*) FROM late";
    ask(c, "BEGIN");
    ask(c, "INSERT INTO late VALUES (100, 0)");
    ask(c, "SELECT 1 / 0");
    ask(c, "COMMIT");
    CHECK(ask(other, count) == "20");
    setup(
        "CREATE TABLE audit (n int); CREATE FUNCTION audits() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO audit VALUES (NEW.n); RETURN NULL; END'; CREATE CONSTRAINT TRIGGER "
        "audits AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION "
        "audits()");
    const std::string audited = "SELECT count(*) FROM audit";
    REQUIRE(becomes_cached(proxy(), other, audited));
    for (int i = 1; i <= 3; ++i) {
        ask(c, "BEGIN");
        ask(c, "INSERT INTO late VALUES (" + std::to_string(100 + i) + ", 0)");
        ask(other, audited);
        CHECK(ask(other, audited) == std::to_string(i - 1));
        ask(c, "COMMIT");
        CHECK(ask(other, audited) == std::to_string(i));
    }
}

TEST_CASE("B4, B6, B11, B12: a transaction with a snapshot, a lock or a cursor sees its own time") {
    auto c = login(), writer = login();
    known_table(c, "snap");
    const std::string sum = "SELECT sum(v) FROM snap";
    const auto old = ask(c, sum);
    ask(c, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    CHECK(ask(c, sum) == old);
    ask(writer, "UPDATE snap SET v = v + 1 WHERE n = 1");
    CHECK(ask(writer, sum) != old);
    CHECK(ask(writer, sum) != old);  // cached now
    CHECK(ask(c, sum) == old);
    ask(c, "COMMIT");
    CHECK(ask(c, sum) == ask(writer, sum));

    ask(c, "BEGIN");
    ask(c, "DECLARE kept CURSOR WITH HOLD FOR " + sum);
    ask(c, "COMMIT");
    const auto before = ask(c, sum);
    ask(writer, "UPDATE snap SET v = v + 1 WHERE n = 1");
    CHECK(ask(c, "FETCH kept") == before);
    CHECK(ask(c, sum) != before);
    ask(c, "CLOSE kept");

    ask(c, "BEGIN");
    ask(c, "LOCK TABLE snap IN SHARE MODE");
    const auto locked = ask(c, sum);
    CHECK(ask(c, sum) == locked);
    ask(c, "COMMIT");
}

namespace {
RawClient login_with(const char* path) {
    return RawClient::login(proxy().port(), "app", "app", {{"search_path", path}});
}
}  // namespace

TEST_CASE(
    "B12, D4: what a batch or transaction sets holds for what follows in it, and is no one "
    "else's") {
    setup(
        "CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.set_in AS SELECT 'one' AS v; "
        "CREATE TABLE two.set_in AS SELECT 'two' AS v");
    const std::string read = "SELECT v FROM set_in";
    auto c = login_with("one"), other = login_with("one");
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM set_in"));  // its relation is known
    for (const std::string set : {"SET search_path = two", "SET LOCAL search_path = two",
                                  "SELECT set_config('search_path', 'two', true)", "DISCARD ALL"}) {
        setup("UPDATE one.set_in SET v = 'one'");  // no entry is valid
        auto d = login_with("one");
        d.ask(msg::unnamed(set) + msg::unnamed(read) + msg::sync());
        for (int i = 0; i < 3; ++i) CHECK_MESSAGE(ask(other, read) == "one", set);
        CHECK_MESSAGE(ask(d, read) == (set == "SET search_path = two" ? "two" : "one"), set);
    }
    for (const std::string set : {"SET search_path = two", "SET LOCAL search_path = two",
                                  "SELECT set_config('search_path', 'two', true)"}) {
        setup("UPDATE one.set_in SET v = 'one'");
        auto d = login_with("one");
        ask(d, "BEGIN");
        ask(d, set);
        CHECK_MESSAGE(ask(d, read) == "two", set);
        CHECK_MESSAGE(ask(other, read) == "one", set);
        CHECK_MESSAGE(ask(d, read) == "two", set);
        ask(d, "ROLLBACK");
        CHECK_MESSAGE(ask(d, read) == "one", set);
    }
}

TEST_CASE(
    "B12, C14: what is written under a search_path that was just set shows in the next read") {
    setup(
        "CREATE SCHEMA three; CREATE SCHEMA four; CREATE TABLE three.moved AS SELECT 0 AS v; "
        "CREATE TABLE four.moved AS SELECT 0 AS v; CREATE TABLE three.between AS SELECT 0 AS v; "
        "CREATE TABLE four.between AS SELECT 0 AS v");
    const std::string read = "SELECT v FROM moved";
    const std::string write = "UPDATE moved SET v = v + 1 RETURNING v";
    auto other = login_with("four"), three = login_with("three");
    REQUIRE(becomes_cached(proxy(), other, read));
    REQUIRE(becomes_cached(proxy(), three, read));
    auto written = std::stoi(ask(other, read));
    const auto check = [&](const std::string& how, const std::string& set) {
        CHECK_MESSAGE(ask(other, read) == std::to_string(++written), how, " after ", set);
        ask(other, read);  // stored again
    };
    for (const std::string database : {"app", "exact"}) {
        const auto login = [&](const char* path) {
            return RawClient::login(proxy().port(), "app", database, {{"search_path", path}});
        };
        for (const std::string set : {"SET search_path = four", "SET LOCAL search_path = four",
                                      "SELECT set_config('search_path', 'four', true)",
                                      "DO 'BEGIN SET search_path = four; END'"}) {
            const bool local = set.find("LOCAL") != std::string::npos || set.ends_with("true)");
            auto c = login("three");
            ask(c, write);  // what it means is known
            ask(c, "BEGIN"), ask(c, set), ask(c, write), ask(c, "COMMIT");
            check("a transaction", set);
            auto d = login("three");
            d.ask(msg::unnamed(set) + msg::unnamed(write) + msg::sync());
            check("a batch", set);
            auto e = login("three");
            e.ask(msg::query(set + "; " + write));
            check("one text", set);
            auto f = login("three");
            f.send(msg::query("BEGIN") + msg::query(set) + msg::query(write) +
                   msg::query("COMMIT"));
            for (int i = 0; i < 4; ++i) f.read_until('Z');
            check("a pipeline", set);
            if (local) continue;
            auto g = login("three");
            ask(g, set), ask(g, write);
            check("another statement", set);
        }
        auto t = login("four");
        ask(t, "SELECT v FROM between");
        ask(t, "CREATE TEMP VIEW between AS SELECT * FROM moved");
        ask(t, "UPDATE between SET v = v + 1");
        check("a temporary view", "of a table's name");
    }
}

TEST_CASE("D6: what logins are given changes, and server connections from before are not used") {
    auto admin = RawClient::login(Cluster::shared().port(), "postgres", "app");
    ask(admin, "DROP ROLE IF EXISTS given; CREATE ROLE given LOGIN");
    setup(
        "CREATE SCHEMA g1; CREATE SCHEMA g2; GRANT ALL ON SCHEMA g1, g2 TO PUBLIC; "
        "CREATE TABLE g1.given_t AS SELECT 'one' AS v, date '2026-01-31' AS d; "
        "CREATE TABLE g2.given_t AS SELECT 'two' AS v, date '2026-01-31' AS d; "
        "GRANT ALL ON g1.given_t, g2.given_t TO PUBLIC");
    const auto login_given = [] { return RawClient::login(proxy().port(), "given", "app"); };
    const std::string read = "SELECT v FROM given_t";
    for (const auto& each :
         {std::pair<std::string, std::string>{"g1", "one"}, {"g2", "two"}, {"g1", "one"}}) {
        const auto& path = each.first;
        const auto& value = each.second;
        auto before = login_given();
        ask(before, "SELECT 1");
        auto c = login();  // by the proxy, so that it knows; another superuser's is found by a poll
        RawClient super = RawClient::login(proxy().port(), "postgres", "app");
        ask(super, "ALTER ROLE given SET search_path = " + path);
        auto given = login_given();
        REQUIRE(becomes_cached(proxy(), given, read));
        CHECK_MESSAGE(ask(given, read) == value, path);
        CHECK(ask(given, "SHOW search_path") == path);
        CHECK(ask(before, "SHOW search_path") == path);  // with its next server connection
        ask(c, "UPDATE " + path + ".given_t SET v = v || '!'");
        CHECK(ask(given, read) == value + "!");
        REQUIRE(becomes_cached(proxy(), given, read));
        ask(given, "UPDATE given_t SET v = '" + value + "'");
        CHECK(ask(before, read) == value);
    }
    RawClient super = RawClient::login(proxy().port(), "postgres", "app");
    ask(super, "ALTER ROLE given SET DateStyle = 'German'");
    auto german = login_given();
    CHECK(parameter_status(german.greeting(), "DateStyle") == "German, DMY");
    for (int i = 0; i < 3; ++i) CHECK(ask(german, "SELECT d FROM given_t") == "31.01.2026");
    // Who logs in while the catalog is being read again is judged by no other path than its own.
    for (int i = 0; i < 5; ++i) {
        auto c = login();
        ask(c, "CREATE TABLE IF NOT EXISTS given_ddl (n int); DROP TABLE given_ddl");
        auto given = login_given();
        ask(given, read);
        REQUIRE(becomes_cached(proxy(), given, read));
        ask(c, "UPDATE g1.given_t SET v = 'v" + std::to_string(i) + "'");
        CHECK(ask(given, read) == "v" + std::to_string(i));
    }
    german.send(msg::terminate());
    ask(admin, "DROP OWNED BY given; DROP ROLE given");
}

TEST_CASE("D6: who may not say what logins are given has no connections opened anew") {
    auto admin = RawClient::login(Cluster::shared().port(), "postgres", "app");
    ask(admin, "DROP ROLE IF EXISTS denied; CREATE ROLE denied LOGIN");
    auto c = RawClient::login(proxy().port(), "denied", "app");
    const auto servers = [&] {
        ask(c, "SELECT 1");
        return ask(admin,
                   "SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity "
                   "WHERE usename = 'denied'");
    };
    const auto before = servers();
    for (const std::string alter :
         {"ALTER ROLE postgres SET work_mem = '1MB'", "ALTER DATABASE app SET work_mem = '1MB'"}) {
        c.ask(msg::query(alter));
        CHECK(servers() == before);
        ask(c, "BEGIN"), c.ask(msg::query(alter)), ask(c, "ROLLBACK");
        CHECK(servers() == before);
    }
    c.ask(msg::query("ALTER ROLE denied SET work_mem = '1MB'"));
    CHECK(eventually([&] { return servers() != before; }));
    c.send(msg::terminate());
    ask(admin, "ALTER ROLE denied RESET ALL");
    CHECK(eventually([&] {
        return error_of(admin.ask(msg::query("DROP ROLE IF EXISTS denied"))).sqlstate.empty();
    }));
}

TEST_CASE("C4: every statement that writes in disguise shows") {
    auto c = login(), other = login();
    known_table(c, "dis");
    const std::string sum = "SELECT sum(v) FROM dis";
    auto expected = std::stoll(ask(c, sum));
    c.ask(msg::query("PREPARE up AS UPDATE dis SET v = v + 1 WHERE n = 1"));
    for (const char* write :
         {"WITH w AS (UPDATE dis SET v = v + 1 WHERE n = 1 RETURNING n) SELECT n FROM w",
          "MERGE INTO dis USING (SELECT 1 AS n) s ON dis.n = s.n WHEN MATCHED THEN UPDATE SET v = "
          "v + 1",
          "EXPLAIN (ANALYZE, COSTS off) UPDATE dis SET v = v + 1 WHERE n = 1", "EXECUTE up",
          "DO 'BEGIN UPDATE dis SET v = v + 1 WHERE n = 1; END'",
          "INSERT INTO dis VALUES (99, 1)"}) {
        ask(other, sum);
        ask(other, sum);
        const auto answer = c.ask(msg::query(write));
        REQUIRE_MESSAGE(error_of(answer).sqlstate.empty(), write);
        CHECK_MESSAGE(ask(other, sum) == std::to_string(++expected), write);
    }
}

TEST_CASE("C14, D8, D9, D14, F4, F10: names and types that come to mean something else") {
    auto c = login(), other = login();
    const std::string read = "SELECT * FROM re";
    known_table(c, "re");
    CHECK(becomes_cached(proxy(), c, read));
    setup("ALTER TABLE re ADD COLUMN extra text DEFAULT 'x'");
    check_same(c, msg::query(read), "another column");
    setup("ALTER TABLE re ALTER COLUMN v TYPE bigint");
    check_same(c, msg::query(read), "another type");
    setup("DROP TABLE re; CREATE TABLE re AS SELECT 'text' AS other");
    check_same(c, msg::query(read), "another table");
    setup("CREATE SCHEMA IF NOT EXISTS app; DROP TABLE IF EXISTS app.re");
    CHECK(becomes_cached(proxy(), c, read));
    ask(c, "CREATE TABLE app.re AS SELECT 'shadow' AS n");  // search_path: "$user", public
    CHECK(ask(c, read) == "shadow");
    CHECK(ask(other, read) == "shadow");
    setup("DROP SCHEMA app CASCADE");
    CHECK(ask(other, read) == "text");
    ask(c, "CREATE TEMP TABLE re AS SELECT 'mine' AS n");
    CHECK(ask(c, read) == "mine");
    CHECK(ask(other, read) == "text");
    ask(c, "DROP TABLE pg_temp.re");
    CHECK(ask(c, read) == "text");
}

TEST_CASE("F2, F3, F6, F7, F8: portals, errors, Flush and ReadyForQuery are as PostgreSQL's") {
    auto c = login();
    known_table(c, "port");
    const std::string read = "SELECT n FROM port ORDER BY n";
    CHECK(becomes_cached(proxy(), c, read));
    const auto start = msg::parse("", read) + msg::bind("", "");
    check_same(c, start + msg::execute("", 5) + msg::execute("", 5) + msg::sync(), "in two parts");
    check_same(c, start + msg::execute() + msg::execute() + msg::sync(), "a drained portal");
    check_same(c, start + msg::execute("", 20) + msg::execute() + msg::sync(), "exactly all");
    check_same(c,
               start + msg::describe('P', "") + msg::close('P', "") + msg::execute() + msg::sync(),
               "a closed portal");
    check_same(c,
               msg::unnamed("SELECT 1 / (n - 1) FROM port WHERE n = 1") + start + msg::execute() +
                   msg::sync(),
               "behind an error");
    c.send(start + msg::execute() + msg::flush());
    CHECK(types(c.read_until('C')).ends_with("C"));
    CHECK(types(c.ask(msg::sync())) == "Z");
    c.ask(msg::query("BEGIN"));
    CHECK(ready_status(c.ask(msg::query(read))) == 'T');
    c.ask(msg::query("SELECT 1 / 0"));
    const auto failed = c.ask(msg::query(read));
    CHECK(error_of(failed).sqlstate == "25P02");
    CHECK(ready_status(failed) == 'E');
    c.ask(msg::query("ROLLBACK"));
    CHECK(ready_status(c.ask(msg::query(read))) == 'I');
}

TEST_CASE("D10, D11, D12, D15, F13, F14: formats, types, comments and spaces keep answers apart") {
    auto c = login();
    known_table(c, "fmt");
    const auto with_type = [](std::uint32_t type) {
        return msg::parse("", "SELECT $1", {type}) + msg::bind("", "", {"7"}) +
               msg::describe('P', "") + msg::execute() + msg::sync();
    };
    for (int i = 0; i < 2; ++i)
        for (const std::uint32_t type : {23u, 25u, 20u, 0u})
            check_same(c, with_type(type), "type " + std::to_string(type));
    for (int i = 0; i < 2; ++i)
        for (const int format : {0, 1})
            check_same(c,
                       msg::parse("", "SELECT v FROM fmt WHERE n = 3") +
                           msg::bind("", "", {}, format) + msg::describe('P', "") + msg::execute() +
                           msg::sync(),
                       "format " + std::to_string(format));
    for (const char* sql :
         {"SELECT v FROM fmt WHERE n = 3", "/* trace 1 */ SELECT v FROM fmt WHERE n = 3",
          "SELECT v FROM fmt WHERE n = 3 -- ; DROP", "SELECT  v\nFROM fmt WHERE n=3;",
          "SELECT '/* no comment */', v FROM fmt WHERE n = 3",
          "SELECT $$--$$, v FROM \"fmt\" WHERE n = 3", "SELECT v FROM U&\"f\\006dt\" WHERE n = 3",
          "SELECT v FROM public.fmt WHERE n = 3"})
        check_same(c, msg::query(sql), sql);
}

TEST_CASE("D19, D20, D21: notices, parameter changes and errors come each time") {
    auto c = login();
    known_table(c, "noise");
    setup(
        "CREATE OR REPLACE FUNCTION loud() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE "
        "NOTICE ''heard''; RETURN 1; END'");
    CHECK(hits_of(proxy(), [&] {
              for (int i = 0; i < 3; ++i) {
                  check_same(c, msg::query("SELECT loud(), v FROM noise WHERE n = 1"), "notices");
                  CHECK(error_of(c.ask(msg::query("SELECT 1 / (n - n) FROM noise"))).sqlstate ==
                        "22012");
              }
          }) == 0);
}

TEST_CASE("E1, E3, E8: no role gets what another may read, nor after it was revoked (S13, S40)") {
    Cluster::shared().connect().exec("CREATE ROLE bob LOGIN");
    Cluster::shared().connect().exec("GRANT bob TO app");
    auto owner = login(), reader = login("bob");
    known_table(owner, "secret");
    const std::string read = "SELECT sum(v) FROM secret";
    ask(owner, read);
    CHECK(ask(reader, read).starts_with("42501"));
    setup("GRANT SELECT ON secret TO bob");
    CHECK(becomes_cached(proxy(), reader, read));
    setup("REVOKE SELECT ON secret FROM bob");
    CHECK(ask(reader, read).starts_with("42501"));
    // A SET ROLE that fails or is rolled back leaves the session what it was.
    CHECK(ask(reader, "SET ROLE app").starts_with("42"));
    CHECK(ask(reader, read).starts_with("42501"));
    ask(owner, "BEGIN");
    ask(owner, "SET LOCAL ROLE bob");
    CHECK(ask(owner, read).starts_with("42501"));
    ask(owner, "ROLLBACK");
    CHECK(ask(owner, read) == "2100");
}

TEST_CASE(
    "bad input: long sums, long lists, odd quotings and odd grammar are answered as ever (S47)") {
    auto c = login();
    auto direct = RawClient::login(Cluster::shared().port());
    std::string sum = "SELECT 1", list = "SELECT 5 IN (0";
    for (int i = 0; i < 5000; ++i) sum += "+1";
    for (int i = 1; i < 100'000; ++i) list += "," + std::to_string(i);
    list += ")";
    known_table(c, "quoted");
    for (const auto& sql :
         {sum, list, std::string("SELECT sum(v) FROM \"quoted\""),
          std::string("SELECT sum(v) FROM public.\"quoted\""),
          std::string("SELECT sum(v) FROM U&\"quo\\0074ed\""),
          std::string("SELECT sum(v) FROM QuOtEd"), std::string("SELEC 1"), std::string("\\"),
          std::string("SELECT 'open"), std::string("SELECT JSON_OBJECT('a': 1)")})
        for (int i = 0; i < 2; ++i)
            CHECK_MESSAGE(c.ask(msg::query(sql)) == direct.ask(msg::query(sql)), sql.substr(0, 40));
    setup("UPDATE QUOTED SET v = v + 1 WHERE n = 1");
    for (const char* sql : {"SELECT sum(v) FROM \"quoted\"", "SELECT sum(v) FROM public.\"quoted\"",
                            "SELECT sum(v) FROM U&\"quo\\0074ed\"", "SELECT sum(v) FROM QuOtEd"})
        CHECK(ask(c, sql) == "2101");
    // What is far too long for the server's stack is its error to tell.
    std::string deep = "SELECT 1";
    for (int i = 0; i < 200'000; ++i) deep += "+1";
    CHECK(types(c.ask(msg::query(deep))) == types(direct.ask(msg::query(deep))));
}

TEST_CASE("bad days: a table dropped and made anew before anything is cached is followed") {
    auto c = login();
    setup("DROP TABLE IF EXISTS anew; CREATE TABLE anew (n int)");
    for (int i = 0; i < 20; ++i) {
        CHECK(ask(c, "SELECT count(*) FROM anew") == std::to_string(i));
        ask(c, "INSERT INTO anew VALUES (1)");
        if (i % 5 == 4) {
            setup("DROP TABLE IF EXISTS anew; CREATE TABLE anew AS SELECT generate_series(1, " +
                  std::to_string(i + 1) + ") AS n");
        }
    }
    CHECK(becomes_cached(proxy(), c, "SELECT count(*) FROM anew"));
    ask(c, "INSERT INTO anew VALUES (1)");
    CHECK(ask(c, "SELECT count(*) FROM anew") == "21");
}
