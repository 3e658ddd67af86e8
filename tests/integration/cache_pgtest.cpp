// The result cache as clients see it: hits where they are allowed, and never an answer PostgreSQL
// would not give at that moment. The proxy is the only writer here and says so (exclusive_writer).
#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}

RawClient login(const msg::Parameters& more = {}, const std::string& user = "app") {
    return RawClient::login(proxy().port(), user, "app", more);
}

template <class F>
std::int64_t hits(F&& work) {
    return hits_of(proxy(), work);
}

bool becomes_cached(RawClient& c, const std::string& sql) {
    return becomes_cached(proxy(), c, sql);
}

/// The number of hits of five runs, after the catalog has surely been read.
std::int64_t hits_of_five(RawClient& c, const std::string& sql) {
    for (int i = 0; i < 3; ++i) {
        ask(c, sql);
        sleep_for(Seconds(0.02));
    }
    return hits([&] {
        for (int i = 0; i < 5; ++i) ask(c, sql);
    });
}

void setup(const std::string& sql) { must_run(login(), sql); }

}  // namespace

TEST_CASE("a repeated read is answered from the cache with the same bytes, without a server") {
    setup("CREATE TABLE plain AS SELECT n, 'row ' || n AS t FROM generate_series(1, 20) n");
    const std::string sql = "SELECT n, t FROM plain WHERE n < 5 ORDER BY n";
    auto c = login();
    CHECK(becomes_cached(c, sql));
    auto direct = RawClient::login(Cluster::shared().port());
    const auto wanted = direct.ask(msg::query(sql));
    CHECK(hits([&] { CHECK(c.ask(msg::query(sql)) == wanted); }) == 1);
    // Another session of the same user hits, too.
    auto other = login();
    CHECK(hits([&] { CHECK(other.ask(msg::query(sql)) == wanted); }) == 1);
    // With every server connection held.
    std::vector<RawClient> holders;
    for (int i = 0; i < 4; ++i) {
        holders.push_back(login());
        ask(holders.back(), "BEGIN; SELECT 1");
    }
    CHECK(hits([&] { CHECK(c.ask(msg::query(sql)) == wanted); }) == 1);
}

TEST_CASE("every kind of write through the proxy shows in the next read") {
    setup("CREATE TABLE w (id int PRIMARY KEY, v int); INSERT INTO w VALUES (1, 0), (2, 0)");
    setup(
        "CREATE TABLE child (id int PRIMARY KEY, w int REFERENCES w ON DELETE CASCADE ON UPDATE "
        "CASCADE); INSERT INTO child VALUES (1, 2)");
    setup("CREATE VIEW wv AS SELECT id, v FROM w; CREATE TABLE source (v int)");
    setup(
        "CREATE FUNCTION bump() RETURNS int LANGUAGE sql AS 'UPDATE w SET v = v + 1 WHERE id = 1 "
        "RETURNING v'");
    setup("CREATE PROCEDURE bump_call() LANGUAGE sql AS 'UPDATE w SET v = v + 1 WHERE id = 1'");
    setup(
        "CREATE FUNCTION bump_trigger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE w SET v "
        "= "
        "v + 1 WHERE id = 1; RETURN NEW; END$$; CREATE TABLE triggered (n int); CREATE TRIGGER t "
        "AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION bump_trigger()");
    setup(
        "CREATE TABLE ruled (n int); CREATE RULE r AS ON INSERT TO ruled DO ALSO UPDATE w SET v = "
        "v + "
        "1 WHERE id = 1");
    auto c = login();
    auto writer = login();
    const std::string read = "SELECT v FROM w WHERE id = 1";
    for (const std::string& write :
         {std::string("UPDATE w SET v = v + 1"), std::string("UPDATE w SET v = v + 1 WHERE id = 1"),
          std::string("UPDATE ONLY public.w AS x SET v = x.v + 1"),
          std::string("WITH u AS (UPDATE w SET v = v + 1 RETURNING v) SELECT * FROM u"),
          std::string("INSERT INTO w VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET v = w.v + 1"),
          std::string(
              "MERGE INTO w USING (SELECT 1 AS id) s ON w.id = s.id WHEN MATCHED THEN UPDATE "
              "SET v = w.v + 1"),
          std::string("UPDATE wv SET v = v + 1 WHERE id = 1"), std::string("SELECT bump()"),
          std::string("CALL bump_call()"),
          std::string("DO $$BEGIN UPDATE w SET v = v + 1 WHERE id = 1; END$$"),
          std::string("INSERT INTO triggered VALUES (1)"),
          std::string("INSERT INTO ruled VALUES (1)"),
          std::string("SELECT 1; UPDATE w SET v = v + 1; SELECT 2"),
          std::string("BEGIN; UPDATE w SET v = v + 1; COMMIT"),
          std::string("/* SELECT */ update W set V = v + 1"),
          std::string("EXPLAIN ANALYZE UPDATE w SET v = v + 1"),
          std::string("PREPARE p AS UPDATE w SET v = v + 1; EXECUTE p; DEALLOCATE p"),
          std::string("CREATE TABLE made AS SELECT bump() AS b; DROP TABLE made")}) {
        for (const bool extended : {false, true}) {
            if (extended && write.find("; ") != std::string::npos &&
                write.find("$$") == std::string::npos)
                continue;
            INFO(write);
            const auto before = std::stoi(ask(c, read));
            ask(c, read);
            const auto m =
                writer.ask(extended ? msg::unnamed(write) + msg::sync() : msg::query(write));
            REQUIRE_MESSAGE(error_of(m).sqlstate.empty(), error_of(m).message);
            CHECK(ask(c, read) == std::to_string(before + 1));
            CHECK(ask(c, read) == std::to_string(before + 1));
            CHECK(Cluster::shared().value(read) == std::to_string(before + 1));
        }
    }
    CHECK(becomes_cached(c, read));
}

TEST_CASE("writes that reach other tables than they name show there, too") {
    setup("CREATE TABLE parent (n int); CREATE TABLE heir () INHERITS (parent)");
    setup(
        "CREATE TABLE parted (n int) PARTITION BY RANGE (n); CREATE TABLE part1 PARTITION OF "
        "parted "
        "FOR VALUES FROM (0) TO (100)");
    setup(
        "CREATE TABLE owner (id int PRIMARY KEY); CREATE TABLE owned (id int REFERENCES owner ON "
        "DELETE CASCADE)");
    auto c = login();
    auto writer = login();
    const auto check = [&](const std::string& read, const std::string& write) {
        INFO(write);
        for (int i = 0; i < 3; ++i) ask(c, read);
        ask(writer, write);
        CHECK(ask(c, read) == Cluster::shared().value(read));
        CHECK(ask(c, read) == Cluster::shared().value(read));
    };
    check("SELECT count(*) FROM parent", "INSERT INTO heir VALUES (1)");
    check("SELECT count(*) FROM heir", "UPDATE parent SET n = 2");
    check("SELECT count(*) FROM heir WHERE n = 2", "DELETE FROM parent");
    check("SELECT count(*) FROM parted", "INSERT INTO part1 VALUES (1)");
    check("SELECT count(*) FROM part1", "INSERT INTO parted VALUES (2)");
    check("SELECT count(*) FROM parted", "TRUNCATE part1");
    ask(writer, "INSERT INTO owner VALUES (1); INSERT INTO owned VALUES (1)");
    check("SELECT count(*) FROM owned", "DELETE FROM owner");
    ask(writer, "INSERT INTO owner VALUES (1); INSERT INTO owned VALUES (1)");
    check("SELECT count(*) FROM owned", "TRUNCATE owner CASCADE");
}

TEST_CASE("COPY, TRUNCATE and DDL show in the next read") {
    setup("CREATE TABLE ddl AS SELECT 1 AS a");
    auto c = login();
    auto writer = login();
    const std::string count = "SELECT count(*) FROM ddl";
    CHECK(becomes_cached(c, count));
    writer.ask(msg::query("COPY ddl FROM STDIN") + msg::copy_data("2\n3\n") + msg::copy_done());
    CHECK(ask(c, count) == "3");
    CHECK(ask(c, count) == "3");
    ask(writer, "TRUNCATE ddl");
    CHECK(ask(c, count) == "0");
    ask(writer, "INSERT INTO ddl VALUES (5)");
    CHECK(ask(c, "SELECT * FROM ddl") == "5");
    CHECK(ask(c, "SELECT * FROM ddl") == "5");
    ask(writer, "ALTER TABLE ddl ADD COLUMN b int DEFAULT 6");
    CHECK(rows(c.ask(msg::query("SELECT * FROM ddl")))[0] == std::vector<std::string>{"5", "6"});
    CHECK(becomes_cached(c, "SELECT a FROM ddl"));
    ask(writer, "ALTER TABLE ddl RENAME COLUMN a TO z");
    CHECK(ask(c, "SELECT a FROM ddl").starts_with("42703"));
    CHECK(becomes_cached(c, "SELECT z FROM ddl"));
    ask(writer, "ALTER TABLE ddl RENAME TO other");
    CHECK(ask(c, "SELECT z FROM ddl").starts_with("42P01"));
    // The same name again, as test suites do: DROP IF EXISTS, CREATE, write, read.
    for (int i = 0; i < 5; ++i) {
        ask(writer, "DROP TABLE IF EXISTS ddl");
        ask(writer, "CREATE TABLE ddl (z int)");
        CHECK(ask(c, count) == "0");
        CHECK(ask(c, count) == "0");
        ask(writer, "INSERT INTO ddl VALUES (1)");
        CHECK(ask(c, count) == "1");
        CHECK(ask(c, count) == "1");
        ask(writer, "UPDATE ddl SET z = 2");
        CHECK(ask(c, "SELECT z FROM ddl") == "2");
    }
}

TEST_CASE("a transaction sees its own writes, others see them at COMMIT, nobody after ROLLBACK") {
    setup("CREATE TABLE tx (v int); INSERT INTO tx VALUES (1)");
    const std::string read = "SELECT v FROM tx";
    auto reader = login();
    auto writer = login();
    CHECK(becomes_cached(reader, read));
    ask(writer, "BEGIN");
    CHECK(hits([&] { CHECK(ask(writer, read) == "1"); }) == 1);
    ask(writer, "UPDATE tx SET v = 2");
    CHECK(ask(writer, read) == "2");
    CHECK(ask(writer, read) == "2");
    CHECK(ask(reader, read) == "1");
    CHECK(ask(reader, read) == "1");
    ask(writer, "COMMIT");
    CHECK(ask(reader, read) == "2");
    CHECK(ask(writer, read) == "2");
    ask(writer, "BEGIN; UPDATE tx SET v = 3");
    CHECK(ask(writer, read) == "3");
    ask(writer, "ROLLBACK");
    CHECK(ask(reader, read) == "2");
    CHECK(ask(writer, read) == "2");
    // In a transaction that repeats its reads the snapshot rules.
    ask(writer, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    CHECK(ask(writer, read) == "2");
    ask(reader, "UPDATE tx SET v = 4");
    CHECK(ask(reader, read) == "4");
    CHECK(ask(writer, read) == "2");
    ask(writer, "COMMIT");
    CHECK(ask(writer, read) == "4");
}

TEST_CASE("no user gets what another user was allowed to read (90, S13)") {
    Cluster::shared().connect().run(
        "CREATE ROLE reader LOGIN; CREATE ROLE stranger LOGIN; GRANT stranger "
        "TO app");
    setup("CREATE TABLE secret AS SELECT 'for app' AS v; GRANT SELECT ON secret TO reader");
    const std::string read = "SELECT v FROM secret";
    auto app = login();
    auto reader = login({}, "reader");
    auto stranger = login({}, "stranger");
    CHECK(becomes_cached(app, read));
    CHECK(becomes_cached(reader, read));
    CHECK(ask(stranger, read).starts_with("42501"));
    CHECK(ask(app, read) == "for app");
    ask(app, "REVOKE SELECT ON secret FROM reader");
    CHECK(ask(reader, read).starts_with("42501"));
    // A role taken on, also within one write: the read must not be looked up under the old role.
    auto c = login();
    CHECK(becomes_cached(c, read));
    ask(c, "SET ROLE stranger");
    CHECK(ask(c, read).starts_with("42501"));
    ask(c, "RESET ROLE");
    CHECK(ask(c, read) == "for app");
    for (int i = 0; i < 20; ++i) {
        auto d = login();
        d.send(msg::query("SET ROLE stranger") + msg::query(read) + msg::query("RESET ROLE"));
        d.read_until('Z');
        CHECK(error_of(d.read_until('Z')).sqlstate == "42501");
        d.read_until('Z');
    }
}

TEST_CASE("row-level security is never served from the cache") {
    Cluster::shared().connect().exec("CREATE ROLE tenant LOGIN");
    setup(
        "CREATE TABLE rls (owner text, v int); INSERT INTO rls VALUES ('app', 1), ('tenant', 2); "
        "ALTER "
        "TABLE rls ENABLE ROW LEVEL SECURITY; ALTER TABLE rls FORCE ROW LEVEL SECURITY; CREATE "
        "POLICY p "
        "ON rls USING (owner = current_setting('my.tenant', true)); GRANT SELECT ON rls TO tenant");
    auto c = login({}, "tenant");
    for (const char* who : {"app", "tenant", "nobody"}) {
        ask(c, std::string("SET my.tenant = '") + who + "'");
        const auto wanted = std::string(who) == "app"      ? "1"
                            : std::string(who) == "tenant" ? "2"
                                                           : "";
        for (int i = 0; i < 3; ++i) CHECK(ask(c, "SELECT v FROM rls") == wanted);
    }
    CHECK(hits_of_five(c, "SELECT v FROM rls") == 0);
}

TEST_CASE("what depends on time, chance, settings, sequences or who asks is not cached") {
    setup(
        "CREATE TABLE base (n int, d date, t timestamptz); INSERT INTO base VALUES (1, "
        "current_date, "
        "now()); CREATE SEQUENCE seq; CREATE FUNCTION vol() RETURNS int LANGUAGE sql VOLATILE AS "
        "'SELECT 1'; CREATE FUNCTION stab() RETURNS int LANGUAGE sql STABLE AS 'SELECT n FROM "
        "base'; "
        "CREATE UNLOGGED TABLE unlogged (n int)");
    auto c = login();
    CHECK(becomes_cached(c, "SELECT n FROM base"));
    for (const char* sql :
         {"SELECT now(), n FROM base",
          "SELECT n, random() FROM base",
          "SELECT nextval('seq'), n FROM base",
          "SELECT n, vol() FROM base",
          "SELECT n, stab() FROM base",
          "SELECT n FROM base FOR UPDATE",
          "SELECT n FROM base FOR SHARE",
          "SELECT n FROM base WHERE d = 'today'",
          "SELECT n FROM base WHERE d = date 'now'",
          "SELECT n FROM base WHERE t < 'tomorrow'",
          "SELECT n FROM base WHERE d = current_date",
          "SELECT current_user, n FROM base",
          "SELECT n, current_setting('my.x', true) FROM base",
          "SELECT ctid, n FROM base",
          "SELECT xmin, n FROM base",
          "SELECT relname FROM pg_class LIMIT 1",
          "SELECT n FROM base TABLESAMPLE SYSTEM (100)",
          "SELECT 'today'::date, n FROM base",
          "SELECT n FROM base; SELECT n FROM base",
          "SHOW work_mem",
          "EXPLAIN SELECT n FROM base",
          "SELECT pg_backend_pid(), n FROM base",
          "WITH x AS (INSERT INTO unlogged VALUES (1) RETURNING n) SELECT n FROM base"}) {
        INFO(std::string(sql));
        // A session of its own: some of these pin theirs, and a pinned one is never served.
        auto fresh = login();
        CHECK(hits_of_five(fresh, sql) == 0);
    }
    const auto bound = [&](const std::string& value) {
        const auto batch = msg::parse("", "SELECT n FROM base WHERE d = $1", {1082}) +
                           msg::bind("", "", {value}) + msg::execute() + msg::sync();
        auto fresh = login();
        for (int i = 0; i < 3; ++i) fresh.ask(batch);
        return hits([&] {
            for (int i = 0; i < 5; ++i) fresh.ask(batch);
        });
    };
    for (const char* word : {"today", "now", "tomorrow", "yesterday", " Today "}) {
        INFO(std::string(word));
        CHECK(bound(word) == 0);
    }
    CHECK(bound("2026-01-31") == 5);
}

TEST_CASE("temporary tables hide cached ones") {
    setup("CREATE TABLE hidden AS SELECT 'permanent' AS v");
    auto c = login();
    CHECK(becomes_cached(c, "SELECT v FROM hidden"));
    ask(c, "CREATE TEMP TABLE hidden AS SELECT 'temporary' AS v");
    CHECK(ask(c, "SELECT v FROM hidden") == "temporary");
    CHECK(ask(c, "SELECT v FROM hidden") == "temporary");
    auto other = login();
    CHECK(ask(other, "SELECT v FROM hidden") == "permanent");
    ask(c, "DROP TABLE pg_temp.hidden");
    CHECK(ask(c, "SELECT v FROM hidden") == "permanent");
}

TEST_CASE("search_path and output settings are part of the question") {
    setup(
        "CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.t AS SELECT 'one' AS v; CREATE TABLE "
        "s2.t "
        "AS SELECT 'two' AS v");
    setup(
        "CREATE TABLE formats AS SELECT date '2026-01-31' AS d, 1.1::float4 AS f, '\\x41'::bytea "
        "AS b, "
        "interval '90 minutes' AS i, timestamptz '2026-01-31 12:00+00' AS ts");
    const auto check = [](const msg::Parameters& more, const std::string& sql,
                          const std::string& wanted) {
        auto c = login(more);
        for (int i = 0; i < 4; ++i) CHECK(ask(c, sql) == wanted);
    };
    for (int round = 0; round < 3; ++round) {
        check({{"options", "-c search_path=s1"}}, "SELECT v FROM t", "one");
        check({{"options", "-c search_path=s2"}}, "SELECT v FROM t", "two");
        check({{"search_path", "s2, s1"}}, "SELECT v FROM t", "two");
        check({}, "SELECT v FROM t", "42P01 relation \"t\" does not exist");
        check({{"DateStyle", "German"}}, "SELECT d FROM formats", "31.01.2026");
        check({}, "SELECT d FROM formats", "2026-01-31");
        check({{"extra_float_digits", "0"}}, "SELECT f FROM formats", "1.1");
        check({{"bytea_output", "escape"}}, "SELECT b FROM formats", "A");
        check({}, "SELECT b FROM formats", "\\x41");
        check({{"IntervalStyle", "iso_8601"}}, "SELECT i FROM formats", "PT1H30M");
        check({}, "SELECT i FROM formats", "01:30:00");
        check({{"TimeZone", "Asia/Tokyo"}}, "SELECT ts FROM formats", "2026-01-31 21:00:00+09");
        check({{"TimeZone", "UTC"}}, "SELECT ts FROM formats", "2026-01-31 12:00:00+00");
    }
    auto c = login();
    CHECK(ask(c, "SELECT d FROM formats") == "2026-01-31");
    ask(c, "SET DateStyle = 'SQL, DMY'");
    CHECK(ask(c, "SELECT d FROM formats") == "31/01/2026");
    ask(c, "SET search_path = s1");
    CHECK(ask(c, "SELECT v FROM t") == "one");
    ask(c, "SET search_path = s2");
    CHECK(ask(c, "SELECT v FROM t") == "two");
}

TEST_CASE("errors are never cached") {
    setup("CREATE TABLE divisor AS SELECT 0 AS n");
    auto c = login();
    for (int i = 0; i < 3; ++i) CHECK(ask(c, "SELECT 1 / n FROM divisor").starts_with("22012"));
    ask(c, "UPDATE divisor SET n = 1");
    CHECK(ask(c, "SELECT 1 / n FROM divisor") == "1");
}

TEST_CASE(
    "readers beside writers never see an older value than was acknowledged before they asked") {
    setup("CREATE TABLE counter (id int PRIMARY KEY, v bigint); INSERT INTO counter VALUES (1, 0)");
    auto warm = login();
    CHECK(becomes_cached(warm, "SELECT v FROM counter WHERE id = 1"));
    std::atomic<bool> done{false};
    std::atomic<long> acknowledged{0};
    std::atomic<long> reads{0};
    std::atomic<long> stale{0};
    std::atomic<long> backwards{0};
    std::vector<std::thread> threads;
    const auto before = proxy().cache_counter("hits");
    threads.emplace_back([&] {
        auto c = login();
        for (int i = 0; !done; ++i) {
            const std::string write = "UPDATE counter SET v = v + 1 WHERE id = 1 RETURNING v";
            if (i % 3 == 2) {
                c.ask(msg::query("BEGIN"));
                const auto v = std::stol(ask(c, write));
                c.ask(msg::query("COMMIT"));
                acknowledged = v;
            } else {
                acknowledged = std::stol(ask(c, write));
            }
            sleep_for(Seconds(0.004));
        }
    });
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&, i] {
            auto c = login();
            long last = 0;
            while (!done) {
                const long floor = acknowledged;
                const std::string sql = "SELECT v FROM counter WHERE id = 1";
                const long v = std::stol(
                    i % 2 == 0 ? ask(c, sql) : first_value(c.ask(msg::unnamed(sql) + msg::sync())));
                ++reads;
                if (v < floor) ++stale;
                if (v < last) ++backwards;
                last = v;
            }
        });
    }
    sleep_for(Seconds(3));
    done = true;
    for (auto& t : threads) t.join();
    MESSAGE(reads.load(), " reads, ", proxy().cache_counter("hits") - before, " hits, ",
            acknowledged.load(), " writes");
    CHECK(stale == 0);
    CHECK(backwards == 0);
    CHECK(proxy().cache_counter("hits") > before);
}

TEST_CASE("a table made and written to without a pause is cached all the same") {
    setup("CREATE TABLE busy (id int PRIMARY KEY, v bigint); INSERT INTO busy VALUES (1, 0)");
    std::atomic<bool> done{false};
    std::thread writer([&] {
        auto c = login();
        while (!done) {
            ask(c, "UPDATE busy SET v = v + 1 WHERE id = 1");
            sleep_for(Seconds(0.005));
        }
    });
    auto c = login();
    const auto before = proxy().cache_counter("hits");
    CHECK(eventually(
        [&] {
            for (int i = 0; i < 20; ++i) ask(c, "SELECT v FROM busy WHERE id = 1");
            return proxy().cache_counter("hits") > before;
        },
        Seconds(8)));
    done = true;
    writer.join();
}

TEST_CASE("entries end with their time to live") {
    setup("CREATE TABLE ttl AS SELECT 1 AS n");
    Proxy p(Cluster::shared(), caching("{exclusive_writer: true, default_ttl: 700ms}"));
    auto c = RawClient::login(p.port());
    const auto hit = [&] {
        const auto before = p.cache_counter("hits");
        ask(c, "SELECT n FROM ttl");
        return p.cache_counter("hits") > before;
    };
    CHECK(eventually(hit));
    sleep_for(Seconds(0.9));
    CHECK(!hit());
    CHECK(hit());
}

TEST_CASE("memory stays within its limit, and what is too large is not stored") {
    setup("CREATE TABLE bulk AS SELECT n, repeat('b', 10000) AS t FROM generate_series(1, 500) n");
    Proxy p(Cluster::shared(),
            caching("{exclusive_writer: true, max_size: 1MiB, max_entry: 64KiB}"));
    auto c = RawClient::login(p.port());
    CHECK(eventually(
        [&] {
            ask(c, "SELECT t FROM bulk WHERE n = 1");
            return p.cache_counter("hits") > 0;
        },
        Seconds(20)));  // the catalog is read first
    for (int round = 0; round < 2; ++round)
        for (int n = 1; n <= 500; ++n) ask(c, "SELECT t FROM bulk WHERE n = " + std::to_string(n));
    CHECK(p.cache_counter("bytes") > 0);
    CHECK(p.cache_counter("bytes") <= 1024 * 1024);
    CHECK(p.cache_counter("evictions") > 0);
    const auto before = p.cache_counter("hits");
    for (int i = 0; i < 4; ++i) ask(c, "SELECT t FROM bulk ORDER BY n LIMIT 20");
    CHECK(p.cache_counter("hits") == before);
}

TEST_CASE("without exclusive_writer and without a stream nothing is cached, and the log says so") {
    setup("CREATE TABLE unsure AS SELECT 1 AS n");
    Proxy p(Cluster::shared(), caching("{stream: {max_slots: 0}}"));
    auto c = RawClient::login(p.port());
    CHECK(eventually([&] {
        ask(c, "SELECT n FROM unsure");
        return p.metric("pgweir_not_cached_total{reason=\"cache_off\"}") >= 5;
    }));
    CHECK(p.cache_counter("hits") == 0);
    CHECK(p.cache_counter("entries") == 0);
    CHECK(p.logs("exclusive_writer"));
}

TEST_CASE("without a control connection nothing is cached, with that reason") {
    auto o = caching();
    o.sections["control"] = "{user: no_such_role}";
    Proxy p(Cluster::shared(), o);
    auto c = RawClient::login(p.port());
    setup("CREATE TABLE uncontrolled AS SELECT 1 AS n");
    for (int i = 0; i < 5; ++i) CHECK(ask(c, "SELECT n FROM uncontrolled") == "1");
    CHECK(p.cache_counter("hits") == 0);
    CHECK(p.metric("pgweir_not_cached_total{reason=\"no_catalog\"}") >= 5);
}

TEST_CASE("what was found to write nothing is not believed once it means something else") {
    auto admin = RawClient::login(proxy().port(), "postgres", "app");
    ask(admin,
        "CREATE TABLE turned(n int); GRANT ALL ON turned TO app; CREATE FUNCTION turns() RETURNS "
        "int LANGUAGE sql AS 'SELECT 1'");
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"},
                                 {"pool", "{min_size: 0, max_size: 1, wait_timeout: 10s}"}},
                                {},
                                {},
                                0});
    auto holder = RawClient::login(p.port());
    auto other = RawClient::login(p.port(), "postgres", "app");
    const auto turn = [&](const std::string& body) {
        ask(other, "CREATE OR REPLACE FUNCTION turns() RETURNS int LANGUAGE sql AS '" + body + "'");
        REQUIRE(becomes_cached(p, other, "SELECT count(*) FROM turned"));
    };
    int written = 0;
    for (const std::string sql :
         {"SELECT turns()", "SELECT 1; SELECT turns()", "COPY (SELECT turns()) TO STDOUT",
          "EXPLAIN ANALYZE SELECT turns()", "DECLARE c CURSOR WITH HOLD FOR SELECT turns()"}) {
        CAPTURE(sql);
        turn("SELECT 1");
        auto waits = RawClient::login(p.port());
        holder.ask(msg::query("BEGIN; SELECT 1"));
        waits.send(msg::query(sql));
        sleep_for(Seconds(0.2));
        turn("INSERT INTO turned VALUES (1) RETURNING n");
        CHECK(ask(other, "SELECT count(*) FROM turned") == std::to_string(written));
        CHECK(ready_status(holder.ask(msg::query("COMMIT"))) == 'I');
        CHECK(ready_status(waits.read_until('Z')) == 'I');
        CHECK(ask(other, "SELECT count(*) FROM turned") == std::to_string(++written));
        waits.send(msg::terminate());
    }
}

TEST_CASE("a client that asks for many large answers at once and does not read costs no memory") {
    setup(
        "CREATE TABLE large_one AS SELECT string_agg(md5(n::text), '') AS v "
        "FROM generate_series(1, 28000) n");
    auto c = login();
    const std::string read = "SELECT v FROM large_one";
    REQUIRE(becomes_cached(c, read));
    constexpr int kTimes = 300;
    auto batch = msg::parse("", read);
    for (int i = 0; i < kTimes; ++i) batch += msg::bind("", "") + msg::execute();
    c.ask(msg::unnamed(read) + msg::sync());
    CHECK(hits_of(proxy(), [&] { c.ask(msg::unnamed(read) + msg::sync()); }) == 1);
    const auto before = proxy().resident_kib();
    c.send(batch + msg::sync());
    sleep_for(Seconds(1));
    CHECK(proxy().resident_kib() - before < 40 * 1024);
    const auto m = c.read_until('Z');
    CHECK(count_type(m, 'C') == kTimes);
    std::set<std::string> values;
    for (const auto& row : rows(m)) values.insert(row.at(0));
    CHECK(values.size() == 1);
    CHECK(values.begin()->size() == 28000 * 32);
}
