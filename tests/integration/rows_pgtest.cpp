// Answers that depend on rows instead of tables: a write of other rows leaves them, a write that
// may be of their rows ends them. Every answer is compared with PostgreSQL's own.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& in_band() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}

Cluster& streaming() {
    static Cluster c({{"synchronous_commit = on"}, ""});
    return c;
}

Proxy& streamed() {
    static Proxy p(streaming(), caching("{max_staleness: 100ms}"));
    return p;
}

std::string error_in(RawClient& c, const std::string& sql) {
    return error_of(c.ask(msg::query(sql))).message;
}

void setup(const std::string& sql) { must_run(RawClient::login(in_band().port()), sql); }

/// A read, a write, and whether the read's answer is there still after it.
struct Case {
    const char* read;
    const char* write;
    bool stays;
};

void check(Proxy& proxy, const std::vector<Case>& cases) {
    auto c = RawClient::login(proxy.port());
    auto direct = Cluster::shared().connect("app", "app");
    for (const auto& each : cases) {
        const auto *read = each.read, *write = each.write;
        CAPTURE(read);
        CAPTURE(write);
        REQUIRE(becomes_cached(proxy, c, read));
        CHECK(error_in(c, write) == "");
        std::string answer;
        const auto hits = hits_of(proxy, [&] { answer = ask(c, read); });
        CHECK(answer == direct.value(read));
        CHECK(hits == (each.stays ? 1 : 0));
    }
}

}  // namespace

TEST_CASE("a write by key ends the answers that read its rows, and leaves those of other rows") {
    setup(
        "CREATE TABLE r1(id int PRIMARY KEY, n int, t text);"
        "INSERT INTO r1 SELECT g, 0, 'x' FROM generate_series(1, 50) g;"
        "CREATE TABLE r2(tenant int, id bigint, n int, PRIMARY KEY (tenant, id));"
        "INSERT INTO r2 SELECT g % 5, g, 0 FROM generate_series(1, 50) g;"
        "CREATE TABLE r3(u uuid PRIMARY KEY, n int);"
        "INSERT INTO r3 VALUES ('00000000-0000-0000-0000-000000000001', 0);"
        "CREATE TABLE r4(k text, d date, n int, PRIMARY KEY (k, d));"
        "INSERT INTO r4 VALUES ('a', '2020-02-29', 0), ('b', '2020-03-01', 0)");
    check(in_band(),
          {{"SELECT n FROM r1 WHERE id = 1", "UPDATE r1 SET n = n + 1 WHERE id = 1", false},
           {"SELECT n FROM r1 WHERE id = 1", "UPDATE r1 SET n = n + 1 WHERE id = 2", true},
           {"SELECT n FROM r1 WHERE id = 1", "UPDATE r1 SET n = n + 1 WHERE id IN (2, 1)", false},
           {"SELECT n FROM r1 WHERE id = '1'", "UPDATE r1 SET n = n + 1 WHERE 1 = id", false},
           {"SELECT sum(n) FROM r1 WHERE id IN (1, 2)", "UPDATE r1 SET n = 9 WHERE id = 2", false},
           {"SELECT sum(n) FROM r1 WHERE id IN (1, 2)", "UPDATE r1 SET n = 9 WHERE id = 3", true},
           {"SELECT sum(n) FROM r1", "UPDATE r1 SET n = n + 1 WHERE id = 3", false},
           {"SELECT count(*) FROM r1 WHERE id = 60", "INSERT INTO r1 VALUES (60, 1)", false},
           {"SELECT count(*) FROM r1 WHERE id = 61", "INSERT INTO r1 VALUES (62, 1)", true},
           {"SELECT count(*) FROM r1 WHERE id = 60", "DELETE FROM r1 WHERE id = 60", false},
           {"SELECT n FROM r1 WHERE id = 2", "DELETE FROM r1 WHERE id = 62", true},
           {"SELECT n FROM r1 WHERE id = 2",
            "INSERT INTO r1 VALUES (2, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n", false},
           {"SELECT n FROM r1 WHERE id = 2",
            "INSERT INTO r1 VALUES (3, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n", true},
           {"SELECT max(n) FROM r2 WHERE tenant = 1",
            "UPDATE r2 SET n = 5 WHERE tenant = 1 AND id = 6", false},
           {"SELECT max(n) FROM r2 WHERE tenant = 1",
            "UPDATE r2 SET n = 5 WHERE tenant = 2 AND id = 7", true},
           {"SELECT n FROM r2 WHERE id = 6", "UPDATE r2 SET n = 6 WHERE id = 6 AND tenant = 1",
            false},
           {"SELECT n FROM r3 WHERE u = '00000000-0000-0000-0000-000000000001'",
            "UPDATE r3 SET n = 3 WHERE u = '00000000-0000-0000-0000-000000000001'::uuid", false},
           {"SELECT n FROM r4 WHERE k = 'a' AND d = '2020-02-29'",
            "UPDATE r4 SET n = 3 WHERE d = date '2020-02-29' AND k = 'a'", false},
           {"SELECT n FROM r4 WHERE k = 'a'",
            "UPDATE r4 SET n = 4 WHERE d = '2020-03-01' AND k = 'b'", true},
           {"SELECT r1.n + r2.n FROM r1, r2 WHERE r1.id = 4 AND r2.id = 6",
            "UPDATE r1 SET n = n + 1 WHERE id = 5", true},
           {"SELECT r1.n + r2.n FROM r1, r2 WHERE r1.id = 4 AND r2.id = 6",
            "UPDATE r2 SET n = n + 1 WHERE tenant = 1 AND id = 6", false},
           {"SELECT r1.n FROM r1 JOIN r2 ON r2.id = r1.id WHERE r1.id = 6",
            "UPDATE r2 SET n = n + 1 WHERE tenant = 2 AND id = 7", false}});
}

TEST_CASE("a write of which is not known what rows it is of ends all answers of the table") {
    setup(
        "CREATE TABLE q1(id int PRIMARY KEY, n int, other int UNIQUE);"
        "INSERT INTO q1 SELECT g, 0, g FROM generate_series(1, 50) g;"
        "CREATE TABLE q2(tenant int, id int, n int, PRIMARY KEY (tenant, id));"
        "INSERT INTO q2 VALUES (1, 1, 0), (2, 2, 0);"
        "CREATE TABLE q3(k text PRIMARY KEY, n int);"
        "INSERT INTO q3 VALUES ('a', 0), ('b', 0), ('ab', 0)");
    const char* read = "SELECT n FROM q1 WHERE id = 1";
    check(
        in_band(),
        {{read, "UPDATE q1 SET n = n + 1", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE id + 0 = 2", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE id = 2.0", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE other = 3", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE id = 2 OR id = 1", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE id IN (1::numeric, 2)", false},
         {read, "UPDATE q1 SET n = n + 1 WHERE id IN (2, 1::numeric, 3)", false},
         {"SELECT sum(n) FROM q1 WHERE id IN (1::numeric, 2)",
          "UPDATE q1 SET n = n + 1 WHERE id = 1", false},
         {"SELECT sum(n) FROM q1 WHERE id IN (2, 1::numeric, 3)",
          "UPDATE q1 SET n = n + 1 WHERE id = 2", false},
         {"SELECT sum(n) FROM q3 WHERE k IN ('a'::bpchar, 'b')",
          "UPDATE q3 SET n = n + 1 WHERE k = 'a'", false},
         {read, "UPDATE q1 SET id = 99 WHERE id = 2", false},
         {read, "UPDATE q1 SET id = 2 WHERE id = 99", false},
         {read, "INSERT INTO q1 SELECT 70, 1, 70", false},
         {read, "INSERT INTO q1 VALUES (71, 1, 1) ON CONFLICT (other) DO UPDATE SET n = 77", false},
         {read, "WITH w AS (UPDATE q1 SET n = 5 WHERE id = 1) SELECT 1", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = 'a'\n'b'", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = 'a'--\n 'b'",
          false},
         {"SELECT count(*) FROM q3 WHERE k = 'xy'", "INSERT INTO q3 VALUES ('x'\n'y', 1)", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = E'a\\x62'", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = U&'a\\0062'",
          false},
         {"SELECT n FROM q3 WHERE k = 'ab'",
          "UPDATE q3 SET n = n + 1 WHERE k = U&'a!0062' UESCAPE '!'", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = N'ab'", false},
         {"SELECT n FROM q3 WHERE k = 'ab'", "UPDATE q3 SET n = n + 1 WHERE k = $q$ab$q$", false},
         {"SELECT n FROM q1 WHERE id = 2",
          "WITH x AS (UPDATE q1 SET n = n - 1 WHERE id = 1 RETURNING 1) "
          "UPDATE q1 SET n = n + 1 WHERE id = 2",
          false},
         {"SELECT count(*) FROM q1 WHERE id = 101",
          "WITH d AS (DELETE FROM q1 WHERE id = 50 RETURNING n, other) "
          "INSERT INTO q1 SELECT 101, n, other FROM d",
          false},
         {read, "UPDATE q1 SET n = 1 WHERE id = 2; UPDATE q1 SET n = 8 WHERE id = 1", false},
         {read, "TRUNCATE q1", false},
         {"SELECT n FROM q2 WHERE tenant = 1", "UPDATE q2 SET n = 3 WHERE id = 1", false},
         {"SELECT n FROM q2 WHERE id = 1", "UPDATE q2 SET n = 4 WHERE tenant = 1", false}});
}

TEST_CASE(
    "tables whose rows lead to others, and types that are not their bytes, have no row level") {
    setup(
        "CREATE TABLE c1(id int PRIMARY KEY, n int); INSERT INTO c1 VALUES (1, 0), (2, 0);"
        "CREATE FUNCTION mirror() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE c1 SET n = "
        "NEW.n WHERE id = 1 AND n <> NEW.n; RETURN NEW; END$$;"
        "CREATE TRIGGER t AFTER UPDATE ON c1 FOR EACH ROW EXECUTE FUNCTION mirror();"
        "CREATE TABLE c2(id int PRIMARY KEY, up int REFERENCES c2 ON UPDATE CASCADE ON DELETE SET "
        "NULL); INSERT INTO c2 VALUES (1, NULL), (2, 1);"
        "CREATE TABLE c3(id numeric PRIMARY KEY, n int); INSERT INTO c3 VALUES (1.00, 0), (2, 0);"
        "CREATE TABLE c4(id char(4) PRIMARY KEY, n int); INSERT INTO c4 VALUES ('a', 0), ('b', 0);"
        "CREATE TABLE c5(id float8 PRIMARY KEY, n int); INSERT INTO c5 VALUES (0, 0), (1, 0);"
        "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        "CREATE TABLE c6(id text COLLATE ci PRIMARY KEY, n int); INSERT INTO c6 VALUES ('a', 0);"
        "CREATE TABLE c7(id int, n int); INSERT INTO c7 VALUES (1, 0), (2, 0);"
        "CREATE TABLE c8(id int PRIMARY KEY, n int) PARTITION BY RANGE (id);"
        "CREATE TABLE c8a PARTITION OF c8 FOR VALUES FROM (0) TO (10);"
        "INSERT INTO c8 VALUES (1, 0), (2, 0);"
        "CREATE TABLE c9(id int PRIMARY KEY, n int); INSERT INTO c9 VALUES (2, 0);"
        "CREATE TABLE c9a(PRIMARY KEY (id)) INHERITS (c9); INSERT INTO c9a VALUES (1, 0);"
        "CREATE TABLE d1(a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY, n int);"
        "INSERT INTO d1 VALUES (1), (2);"
        "CREATE TABLE d2(id int PRIMARY KEY, n int); ALTER TABLE d2 REPLICA IDENTITY NOTHING;"
        "INSERT INTO d2 VALUES (1, 0), (2, 0);"
        "CREATE TABLE d3(id int, n int, PRIMARY KEY (id) DEFERRABLE);"
        "INSERT INTO d3 VALUES (1, 0), (2, 0);"
        "CREATE TABLE d4(id varchar(3) PRIMARY KEY, n int);"
        "CREATE TABLE d5(id int PRIMARY KEY, n int, pos int); INSERT INTO d5 VALUES (0, 0);"
        "CREATE FUNCTION bump() RETURNS int LANGUAGE sql AS 'UPDATE d5 SET n = n + 1 WHERE id = 0 "
        "RETURNING n'; ALTER TABLE d5 ALTER pos SET DEFAULT bump();"
        "CREATE TABLE d6(id int PRIMARY KEY, n int); INSERT INTO d6 VALUES (0, 0), (1, 0);"
        "CREATE FUNCTION tally(i int) RETURNS bool LANGUAGE plpgsql AS $$BEGIN UPDATE d6 SET n = "
        "n + 1 WHERE id = 0 AND i <> 0; RETURN true; END$$; ALTER TABLE d6 ADD CHECK (tally(id));"
        "CREATE FUNCTION add_up(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN UPDATE d7 SET n = "
        "n + 1 WHERE id = 0 AND i <> 0; RETURN i; END$$;"
        "CREATE FUNCTION adds_up(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "'BEGIN RETURN add_up(i); END'; CREATE TABLE d7(id int PRIMARY KEY, n int, same int "
        "GENERATED ALWAYS AS (adds_up(id)) STORED); INSERT INTO d7 VALUES (0, 0);");
    check(in_band(),
          {{"SELECT n FROM c1 WHERE id = 1", "UPDATE c1 SET n = 5 WHERE id = 2", false},
           {"SELECT up FROM c2 WHERE id = 2", "DELETE FROM c2 WHERE id = 1", false},
           {"SELECT n FROM c3 WHERE id = '1.0'", "UPDATE c3 SET n = 5 WHERE id = '1.00'", false},
           {"SELECT n FROM c4 WHERE id = 'a'", "UPDATE c4 SET n = 5 WHERE id = 'a '", false},
           {"SELECT n FROM c5 WHERE id = '0'", "UPDATE c5 SET n = 5 WHERE id = '-0'", false},
           {"SELECT n FROM c6 WHERE id = 'a'", "UPDATE c6 SET n = 5 WHERE id = 'A'", false},
           {"SELECT n FROM c7 WHERE id = 1", "UPDATE c7 SET n = 5 WHERE id = 2", false},
           {"SELECT n FROM c8 WHERE id = 1", "UPDATE c8 SET n = 5 WHERE id = 2", false},
           {"SELECT n FROM c8 WHERE id = 1", "UPDATE c8a SET n = 6 WHERE id = 1", false},
           {"SELECT sum(n) FROM c9 WHERE id = 1", "UPDATE c9a SET n = 5 WHERE id = 1", false},
           {"SELECT a FROM d1 WHERE id = 6", "UPDATE d1 SET a = 3 WHERE id = 2", false},
           {"SELECT n FROM d2 WHERE id = 1", "UPDATE d2 SET n = 5 WHERE id = 2", false},
           {"SELECT n FROM d3 WHERE id = 1", "UPDATE d3 SET n = 5 WHERE id = 2", false},
           {"SELECT n FROM d4 WHERE id = 'abc'", "INSERT INTO d4 VALUES ('abc  ', 1)", false},
           {"SELECT n FROM d5 WHERE id = 0", "INSERT INTO d5(id) VALUES (5)", false},
           {"SELECT n FROM d6 WHERE id = 0", "UPDATE d6 SET n = 5 WHERE id = 1", false},
           {"SELECT n FROM d7 WHERE id = 0", "INSERT INTO d7 VALUES (5, 0)", false}});
}

TEST_CASE(
    "parameters of every format name rows, and transactions keep what they wrote to the end") {
    setup("CREATE TABLE p1(id int PRIMARY KEY, n int); INSERT INTO p1 VALUES (1, 0), (2, 0)");
    auto c = RawClient::login(in_band().port());
    auto writer = RawClient::login(in_band().port());
    writer.ask(msg::parse("u", "UPDATE p1 SET n = n + 1 WHERE id = $1") + msg::sync());
    const auto read = "SELECT n FROM p1 WHERE id = 1";
    const auto write = [&](const std::string& id) {
        writer.ask(msg::bind("", "u", {id}) + msg::execute("") + msg::sync());
    };
    REQUIRE(becomes_cached(in_band(), c, read));
    write("2");
    CHECK(hits_of(in_band(), [&] { CHECK(ask(c, read) == "0"); }) == 1);
    write("1");
    CHECK(hits_of(in_band(), [&] { CHECK(ask(c, read) == "1"); }) == 0);
    write(" 1 ");  // an integer all the same, but not one that is told apart
    CHECK(ask(c, read) == "2");
    REQUIRE(becomes_cached(in_band(), c, read));
    writer.ask(msg::query("BEGIN"));
    write("1");
    CHECK(ask(c, read) == "2");
    writer.ask(msg::query("ROLLBACK"));
    CHECK(ask(c, read) == "2");
    REQUIRE(becomes_cached(in_band(), c, read));
    writer.ask(msg::query("BEGIN"));
    writer.ask(msg::query("SAVEPOINT s"));
    write("1");
    write("2");
    writer.ask(msg::query("COMMIT"));
    CHECK(ask(c, read) == "3");
}

TEST_CASE("with cache.row_level off any write to the table ends its answers") {
    setup("CREATE TABLE off1(id int PRIMARY KEY, n int); INSERT INTO off1 VALUES (1, 0), (2, 0)");
    Proxy p(Cluster::shared(), caching("{exclusive_writer: true, row_level: false}"));
    check(p, {{"SELECT n FROM off1 WHERE id = 1", "UPDATE off1 SET n = 1 WHERE id = 2", false}});
}

TEST_CASE("what is written around the proxy ends the answers of its rows, and of no others") {
    streaming()
        .connect("app", "app")
        .run(
            "CREATE TABLE s1(id int PRIMARY KEY, n int, t text);"
            "INSERT INTO s1 SELECT g, 0, repeat('x', 10) FROM generate_series(1, 50) g;"
            "CREATE TABLE s2(\"K\" text, d date, n int, PRIMARY KEY (\"K\", d));"
            "INSERT INTO s2 VALUES ('it''s', '2020-02-29', 0), ('b', '2020-03-01', 0);"
            "CREATE TABLE s3(id int PRIMARY KEY, n int); ALTER TABLE s3 REPLICA IDENTITY FULL;"
            "INSERT INTO s3 VALUES (1, 0), (2, 0);"
            "CREATE TABLE s4(a int NOT NULL, id int PRIMARY KEY, n int);"
            "CREATE UNIQUE INDEX s4a ON s4(a); ALTER TABLE s4 REPLICA IDENTITY USING INDEX s4a;"
            "INSERT INTO s4 VALUES (1, 10, 0), (2, 20, 0);"
            "CREATE TABLE s5(id int PRIMARY KEY, n int); INSERT INTO s5 VALUES (1, 0), (2, 0);"
            "CREATE FUNCTION w5(i int) RETURNS void LANGUAGE sql AS 'UPDATE s5 SET n = n + 1 WHERE "
            "id "
            "= i';");
    auto c = RawClient::login(streamed().port());
    auto direct = streaming().connect("app", "app");
    const std::vector<Case> cases{
        {"SELECT n FROM s1 WHERE id = 1", "UPDATE s1 SET n = n + 1 WHERE id = 1", false},
        {"SELECT n FROM s1 WHERE id = 1", "UPDATE s1 SET n = n + 1 WHERE id = 2", true},
        {"SELECT n FROM s1 WHERE id = 1", "UPDATE s1 SET n = n + 1 WHERE id BETWEEN 3 AND 20",
         true},
        {"SELECT n FROM s1 WHERE id = 1", "UPDATE s1 SET n = n + 1", false},
        {"SELECT count(*) FROM s1 WHERE id = 70", "UPDATE s1 SET id = 70 WHERE id = 3", false},
        {"SELECT count(*) FROM s1 WHERE id = 70", "UPDATE s1 SET id = 3 WHERE id = 70", false},
        {"SELECT count(*) FROM s1 WHERE id = 71", "INSERT INTO s1 VALUES (71, 0)", false},
        {"SELECT n FROM s1 WHERE id = 1", "DELETE FROM s1 WHERE id = 71", true},
        {"SELECT sum(n) FROM s1", "UPDATE s1 SET n = n + 1 WHERE id = 9", false},
        {"SELECT n FROM s2 WHERE \"K\" = 'it''s'", "UPDATE s2 SET n = 1 WHERE d = '2020-02-29'",
         false},
        {"SELECT n FROM s2 WHERE d = '2020-03-01'", "UPDATE s2 SET n = 2 WHERE \"K\" = 'it''s'",
         true},
        {"SELECT n FROM s3 WHERE id = 1", "UPDATE s3 SET n = 3 WHERE id = 1", false},
        {"SELECT n FROM s3 WHERE id = 1", "UPDATE s3 SET n = 4 WHERE id = 2", true},
        {"SELECT n FROM s4 WHERE a = 1", "UPDATE s4 SET n = 5 WHERE id = 10", false},
        {"SELECT n FROM s4 WHERE a = 1", "UPDATE s4 SET n = 5 WHERE id = 20", true},
        {"SELECT n FROM s4 WHERE id = 10", "UPDATE s4 SET n = 6 WHERE id = 20", false},
        {"SELECT n FROM s5 WHERE id = 1", "SELECT w5(1)", false},
        {"SELECT n FROM s5 WHERE id = 1", "SELECT w5(2)", true},
        {"SELECT n FROM s5 WHERE id = 1", "TRUNCATE s5", false},
    };
    for (const auto& each : cases) {
        const auto *read = each.read, *write = each.write;
        CAPTURE(read);
        CAPTURE(write);
        REQUIRE(becomes_cached(streamed(), c, read));
        direct.run(write);
        sleep_for(Seconds(0.11));  // longer than max_staleness
        std::string answer;
        const auto hits = hits_of(streamed(), [&] { answer = ask(c, read); });
        CHECK(answer == direct.value(read));
        if (!each.stays) CHECK(hits == 0);
        // Another reason may end an answer, too, such as a stream that was late for once.
        if (each.stays)
            CHECK(eventually([&] {
                REQUIRE(becomes_cached(streamed(), c, read));
                direct.run(write);
                sleep_for(Seconds(0.11));
                return hits_of(streamed(), [&] { ask(c, read); }) == 1;
            }));
    }
}
