// What entries depend on beyond the tables in their text: views, partitions, inheritance, cascades,
// triggers. Each pair of a read and a write is tried twice over: the write must show in the next
// read, and entries it has nothing to do with must survive it.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <utility>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    return p;
}

void setup(const std::string& sql) { must_run(RawClient::login(proxy().port()), sql); }

struct Pair {
    std::string read, write;
    bool precise = true;  // the write leaves other entries alone
};

void check(const std::vector<Pair>& pairs) {
    auto reader = RawClient::login(proxy().port());
    auto writer = RawClient::login(proxy().port());
    auto direct = RawClient::login(Cluster::shared().port());
    const std::string other = "SELECT count(*) FROM bystander";
    for (const auto& pair : pairs) {
        const auto& read = pair.read;
        const auto& write = pair.write;
        INFO(read, " | ", write);
        CHECK(becomes_cached(proxy(), reader, read));
        CHECK(becomes_cached(proxy(), reader, other));
        const auto before = ask(reader, read);
        const auto error = error_of(writer.ask(msg::query(write)));
        CHECK_MESSAGE(error.sqlstate.empty(), error.message);
        const auto after = ask(reader, read);
        CHECK(after == ask(direct, read));
        CHECK(after != before);
        if (pair.precise) CHECK(hits_of(proxy(), [&] { ask(reader, other); }) == 1);
    }
}

}  // namespace

TEST_CASE("C3, C11: reads of views and materialized views are cached and follow their tables") {
    setup(
        "CREATE TABLE bystander (n int); CREATE TABLE va (n int); CREATE TABLE vb (n int);"
        "CREATE VIEW v1 AS SELECT n FROM va WHERE n > 0;"
        "CREATE VIEW v2 AS SELECT v1.n + coalesce(sum(vb.n), 0) AS n FROM v1 LEFT JOIN vb ON true "
        "GROUP BY v1.n; INSERT INTO va VALUES (1);"
        "CREATE MATERIALIZED VIEW mv AS SELECT sum(n) AS n FROM va");
    check({{"SELECT sum(n) FROM v1", "INSERT INTO va VALUES (2)"},
           {"SELECT sum(n) FROM v1", "INSERT INTO v1 VALUES (3)"},
           {"SELECT sum(n) FROM v2", "INSERT INTO vb VALUES (4)"},
           {"SELECT sum(n) FROM v2", "DELETE FROM v1 WHERE n = 3"},
           {"SELECT sum(n) FROM va", "UPDATE v1 SET n = n + 10"},
           {"SELECT n FROM mv", "REFRESH MATERIALIZED VIEW mv", false},
           {"SELECT sum(n) FROM v1", "CREATE OR REPLACE VIEW v1 AS SELECT n FROM va WHERE n > 11",
            false}});
}

TEST_CASE("C8: partitions and their roots, parents and children meet in whatever is written") {
    setup(
        "CREATE TABLE IF NOT EXISTS bystander (n int);"
        "CREATE TABLE root (n int, k int) PARTITION BY RANGE (n);"
        "CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (n);"
        "CREATE TABLE leaf PARTITION OF high FOR VALUES FROM (10) TO (50);"
        "CREATE VIEW over_root AS SELECT * FROM root;"
        "CREATE TABLE papa (n int); CREATE TABLE kid () INHERITS (papa);"
        "CREATE TABLE grandkid () INHERITS (kid); CREATE TABLE mama (m int);"
        "CREATE TABLE both_of () INHERITS (papa, mama)");
    check({{"SELECT count(*) FROM root", "INSERT INTO low VALUES (1, 0)"},
           {"SELECT count(*) FROM root", "INSERT INTO leaf VALUES (11, 0)"},
           {"SELECT count(*) FROM leaf", "INSERT INTO root VALUES (12, 0)"},
           {"SELECT count(*) FROM high", "INSERT INTO root VALUES (13, 0)"},
           {"SELECT count(*) FROM high", "INSERT INTO leaf VALUES (14, 0)"},
           {"SELECT count(*) FROM low", "UPDATE root SET n = 2 WHERE n = 14"},
           {"SELECT count(*) FROM over_root", "DELETE FROM low"},
           {"SELECT count(*) FROM leaf", "TRUNCATE root"},
           {"SELECT count(*) FROM papa", "INSERT INTO grandkid VALUES (1)"},
           {"SELECT sum(n) FROM grandkid", "UPDATE papa SET n = n + 1"},
           {"SELECT sum(n) FROM kid", "UPDATE papa SET n = n + 1"},
           {"SELECT count(*) FROM mama", "INSERT INTO both_of VALUES (1, 2)"},
           {"SELECT sum(m) FROM mama", "UPDATE both_of SET m = 3"},
           {"SELECT sum(n) FROM papa", "UPDATE mama SET m = 4; UPDATE both_of SET n = 9", false}});
    // Moved in and out by DDL.
    setup("INSERT INTO root VALUES (1, 1)");
    check({{"SELECT count(*) FROM root", "ALTER TABLE root DETACH PARTITION low", false},
           {"SELECT count(*) FROM root",
            "ALTER TABLE root ATTACH PARTITION low FOR VALUES FROM (0) TO (10)", false}});
}

TEST_CASE("C1, C2, C7: cascades and triggers invalidate what they write, and no more") {
    setup(
        "CREATE TABLE IF NOT EXISTS bystander (n int);"
        "CREATE TABLE master (id int PRIMARY KEY);"
        "CREATE TABLE detail (id int PRIMARY KEY, m int REFERENCES master ON DELETE CASCADE ON "
        "UPDATE SET NULL); CREATE TABLE plain_ref (m int REFERENCES master);"
        "CREATE TABLE deep (d int REFERENCES detail ON DELETE CASCADE);"
        "INSERT INTO master SELECT generate_series(1, 9); INSERT INTO detail SELECT n, n FROM "
        "generate_series(1, 9) n; INSERT INTO deep SELECT generate_series(1, 9);"
        "CREATE TABLE journal (n int); CREATE TABLE watched (n int);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO journal "
        "VALUES (1); RETURN NULL; END$$;"
        "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE "
        "FUNCTION note();"
        "CREATE TABLE late (n int); CREATE CONSTRAINT TRIGGER note AFTER INSERT ON late "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TABLE by_text (n int); CREATE FUNCTION by_text() RETURNS trigger LANGUAGE plpgsql "
        "AS $$BEGIN EXECUTE 'INSERT INTO jour' || 'nal VALUES (1)'; RETURN NULL; END$$;"
        "CREATE TRIGGER t AFTER INSERT ON by_text FOR EACH ROW EXECUTE FUNCTION by_text();"
        "CREATE TABLE emptied (id int PRIMARY KEY); CREATE TABLE emptied_too (m int REFERENCES "
        "emptied); CREATE TABLE empties (n int); INSERT INTO emptied VALUES (1); INSERT INTO "
        "emptied_too VALUES (1); CREATE FUNCTION empties() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN TRUNCATE emptied CASCADE; RETURN NULL; END$$;"
        "CREATE TRIGGER t AFTER INSERT ON empties FOR EACH ROW EXECUTE FUNCTION empties()");
    check({{"SELECT count(*) FROM detail", "DELETE FROM master WHERE id = 1"},
           {"SELECT count(*) FROM deep", "DELETE FROM master WHERE id = 2"},
           {"SELECT count(m) FROM detail", "UPDATE master SET id = 30 WHERE id = 3"},
           {"SELECT count(*) FROM journal", "INSERT INTO watched VALUES (1)"},
           {"SELECT count(*) FROM journal", "UPDATE watched SET n = 2"},
           {"SELECT count(*) FROM journal", "BEGIN; INSERT INTO late VALUES (1); COMMIT", false},
           {"SELECT count(*) FROM journal", "INSERT INTO by_text VALUES (1)", false},
           {"SELECT count(*) FROM emptied_too", "INSERT INTO empties VALUES (1)", false},
           {"SELECT count(*) FROM deep", "TRUNCATE master CASCADE"}});
    // The deferred trigger again, with the commit in a Query of its own.
    auto reader = RawClient::login(proxy().port());
    auto writer = RawClient::login(proxy().port());
    const std::string read = "SELECT count(*) FROM journal";
    CHECK(becomes_cached(proxy(), reader, read));
    ask(writer, "BEGIN");
    ask(writer, "INSERT INTO late VALUES (2)");
    CHECK(hits_of(proxy(), [&] { ask(reader, read); }) == 1);
    const auto before = ask(reader, read);
    ask(writer, "COMMIT");
    CHECK(ask(reader, read) == std::to_string(std::stoi(before) + 1));
}

namespace {

/// Whatever is stored, every read is PostgreSQL's answer, before and after the write.
void check_follows(const std::vector<std::string>& reads, const std::string& write) {
    auto reader = RawClient::login(proxy().port());
    auto direct = RawClient::login(Cluster::shared().port());
    for (const auto& read : reads) {
        INFO(read, " | ", write);
        for (int i = 0; i < 4; ++i) CHECK(ask(reader, read) == ask(direct, read));
        setup(write);
        for (int i = 0; i < 2; ++i) CHECK(ask(reader, read) == ask(direct, read));
    }
}

}  // namespace

TEST_CASE("D14: casts that users have made are seen wherever an expression may use them") {
    setup(
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE plain_mood AS ENUM ('so');"
        "CREATE TABLE ranks (r int); INSERT INTO ranks VALUES (1);"
        "CREATE TABLE person (m mood); INSERT INTO person VALUES ('glad');"
        "CREATE TABLE people (m mood[]); INSERT INTO people VALUES ('{glad,sad}');"
        "CREATE TABLE row_of (n int); INSERT INTO row_of VALUES (1);"
        "CREATE TABLE by_mood (p plain_mood, n int); INSERT INTO by_mood VALUES ('so', 1);"
        "CREATE VIEW person_view AS SELECT m FROM person; CREATE TABLE no_cast (n int);"
        "CREATE FUNCTION rank_of(mood) RETURNS int STABLE LANGUAGE sql AS "
        "'SELECT r FROM ranks LIMIT 1';"
        "CREATE FUNCTION rank_of(row_of) RETURNS int STABLE LANGUAGE sql AS "
        "'SELECT r FROM ranks LIMIT 1';"
        "CREATE CAST (mood AS int) WITH FUNCTION rank_of(mood) AS IMPLICIT;"
        "CREATE CAST (row_of AS int) WITH FUNCTION rank_of(row_of);"
        "CREATE CAST (varchar AS plain_mood) WITH INOUT AS IMPLICIT");
    auto c = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM no_cast"));
    CHECK(becomes_cached(proxy(), c, "SELECT n FROM by_mood WHERE p = 'so'"));
    check_follows({"SELECT m::int FROM person", "SELECT abs(m) FROM person",
                   "SELECT m + 1 FROM person", "SELECT (m[1])::int FROM people",
                   "SELECT abs(x) FROM people, unnest(m) x", "SELECT abs(m) FROM person_view",
                   "SELECT row_of::int FROM row_of", "SELECT CAST(t AS int) FROM row_of t"},
                  "UPDATE ranks SET r = r + 1");
    // Between built-in types any expression may use it.
    auto admin = RawClient::login(Cluster::shared().port(), "postgres", "app");
    for (const char* sql : {"CREATE FUNCTION box_rank(box) RETURNS int STABLE LANGUAGE sql AS "
                            "'SELECT r FROM public.ranks LIMIT 1'",
                            "CREATE CAST (box AS int) WITH FUNCTION box_rank(box) AS IMPLICIT"})
        REQUIRE(error_of(admin.ask(msg::query(sql))).sqlstate.empty());
    setup("CREATE TABLE unrelated (n int)");  // has the catalog read again
    CHECK(catalog_is_read(c));
    check_follows({"SELECT box(point(0, 0), point(1, 1))::int",
                   "SELECT box(point(0, 0), point(1, 1))::int FROM by_mood"},
                  "UPDATE ranks SET r = r + 1");
    REQUIRE(error_of(admin.ask(msg::query("DROP CAST (box AS int)"))).sqlstate.empty());
    setup("DROP TABLE unrelated");
    CHECK(becomes_cached(proxy(), c, "SELECT count(*) FROM no_cast"));
}

TEST_CASE("a changed catalog comes into force while reads go on without a pause") {
    setup("CREATE TABLE IF NOT EXISTS busy (n int)");
    std::atomic<bool> over{false};
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i)
        readers.emplace_back([&] {
            auto c = RawClient::login(proxy().port());
            while (!over) ask(c, "SELECT count(*) FROM busy, pg_class WHERE relname = 'x'");
        });
    auto c = RawClient::login(proxy().port());
    for (int i = 0; i < 3; ++i) {
        setup("CREATE TABLE made_" + std::to_string(i) + " (n int)");
        CHECK(becomes_cached(proxy(), c, "SELECT count(*) FROM made_" + std::to_string(i)));
    }
    over = true;
    for (auto& t : readers) t.join();
}

TEST_CASE("D4, D8: an UPDATE of pg_settings is a SET, of its own session only") {
    setup(
        "CREATE SCHEMA five; CREATE TABLE by_setting AS SELECT 0.1::float8 + 0.2 AS v; CREATE "
        "TABLE five.by_setting AS SELECT 5 AS v; CREATE VIEW over_settings AS SELECT name, setting "
        "FROM pg_settings");
    const std::string read = "SELECT v FROM by_setting", right = "0.30000000000000004";
    auto other = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), other, read));
    for (const std::string view : {"pg_settings", "pg_catalog.pg_settings", "over_settings"}) {
        for (const auto& [set, own] : std::vector<std::pair<std::string, std::string>>{
                 {"'0' WHERE name = 'extra_float_digits'", "0.3"},
                 {"'five' WHERE name = 'search_path'", "5"}}) {
            for (const std::string explain : {"", "EXPLAIN ANALYZE "}) {
                const auto how = explain + "UPDATE " + view + " SET setting = " + set;
                auto c = RawClient::login(proxy().port());
                REQUIRE_MESSAGE(error_of(c.ask(msg::query(how))).sqlstate.empty(), how);
                setup("UPDATE public.by_setting SET v = v");  // no entry is valid
                for (int i = 0; i < 3; ++i) CHECK_MESSAGE(ask(other, read) == right, how);
                for (int i = 0; i < 3; ++i) CHECK_MESSAGE(ask(c, read) == own, how);
            }
        }
    }
}

TEST_CASE("D6: what logins are given by role counts for how texts and names are read") {
    auto admin = Cluster::shared().connect("postgres", "app");
    for (const auto* sql :
         {"CREATE ROLE legacy LOGIN; ALTER ROLE legacy SET standard_conforming_strings = off; "
          "ALTER ROLE legacy SET escape_string_warning = off",
          "CREATE ROLE own_role; CREATE ROLE becomes LOGIN; GRANT own_role TO becomes; ALTER ROLE "
          "becomes SET role = 'own_role'",
          "CREATE SCHEMA own_role; CREATE SCHEMA hidden; CREATE TABLE public.by_role AS SELECT 1 "
          "AS v; CREATE TABLE own_role.by_role AS SELECT 10 AS v; CREATE TABLE hidden.by_role AS "
          "SELECT 100 AS v; CREATE TABLE paths (path text PRIMARY KEY, v int); INSERT INTO paths "
          "VALUES ('C:\\x', 1)",
          "GRANT USAGE ON SCHEMA own_role, hidden TO PUBLIC; GRANT ALL ON public.by_role, "
          "own_role.by_role, hidden.by_role, paths TO PUBLIC"})
        admin.run(sql);
    Proxy p(Cluster::shared(), caching());
    auto c = RawClient::login(p.port(), "app", "app");
    const std::string read = "SELECT v FROM by_role";
    REQUIRE(becomes_cached(p, c, read));
    // A text that hides a SET from whoever believes in standard strings.
    auto legacy = RawClient::login(p.port(), "legacy", "app");
    auto other = RawClient::login(p.port(), "legacy", "app");
    ask(legacy, "SELECT 'a\\'', set_config('search_path', 'hidden', false) --'");
    for (int i = 0; i < 3; ++i) CHECK(ask(other, read) == "1");
    for (int i = 0; i < 3; ++i) CHECK(ask(legacy, read) == "100");
    // A write that says its row in another way.
    const auto get = [&] {
        return first_value(
            c.ask(msg::unnamed("SELECT v FROM paths WHERE path = $1", {"C:\\x"}) + msg::sync()));
    };
    for (int i = 0; i < 5; ++i) CHECK(get() == "1");
    CHECK(ask(other, "UPDATE paths SET v = 2 WHERE path = 'C:\\\\x'").empty());
    CHECK(get() == "2");
    // Who is another role from the login on finds that one's tables.
    auto becomes = RawClient::login(p.port(), "becomes", "app");
    for (int i = 0; i < 5; ++i) CHECK(ask(becomes, read) == "10");
    auto writer = RawClient::login(p.port(), "postgres", "app");
    ask(writer, "UPDATE own_role.by_role SET v = 11");
    CHECK(ask(becomes, read) == "11");
}

namespace {

constexpr const char* kSingle = "\"\xC3\xA9\"";

std::string accents(int n) {
    std::string name = "\"";
    for (int i = 0; i < n; ++i) name += "\xC3\xA9";
    return name + "\"";
}

void run(RawClient& c, const std::string& sql) {
    const auto e = error_of(c.ask(msg::query(sql)));
    CHECK_MESSAGE(e.sqlstate.empty(), e.message, " in ", sql);
}

/// `second` is what `named` means to the server when `speaker` says it; a careless reader takes it
/// for `first`.
void check_names(const std::string& database, const std::string& encoding, const std::string& first,
                 const std::string& second, const std::string& named) {
    const auto server = "host: 127.0.0.1, port: " + std::to_string(Cluster::shared().port());
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"},
                                 {"databases", "{" + database + ": {" + server + "}}"}},
                                {},
                                {},
                                0});
    auto writer = RawClient::login(p.port(), "app", database, {{"client_encoding", "UTF8"}});
    auto speaker = RawClient::login(p.port(), "app", database, {{"client_encoding", encoding}});
    for (const auto& sql :
         {std::string("CREATE TABLE ascii (id int PRIMARY KEY, v int); INSERT INTO ascii VALUES "
                      "(1, 0); CREATE TABLE caused AS SELECT 0 AS v"),
          "CREATE TABLE " + first + " (v int)", "CREATE TABLE " + second + " AS SELECT 0 AS v",
          "CREATE VIEW w AS SELECT v FROM " + second,
          "CREATE FUNCTION writes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE " + second +
              " SET v = v + 1; RETURN NULL; END$$",
          std::string("CREATE TRIGGER t AFTER UPDATE ON caused FOR EACH ROW EXECUTE FUNCTION "
                      "writes()")})
        run(writer, sql);
    const auto hits = [&](RawClient& c, const std::string& sql) {
        const auto before = p.cache_counter("hits", database);
        ask(c, sql), ask(c, sql);
        return p.cache_counter("hits", database) - before;
    };
    const auto cached = [&](RawClient& c, const std::string& sql) {
        return eventually([&] { return hits(c, sql) > 0; }, Seconds(10));
    };
    const std::string view = "SELECT v FROM w", read = "SELECT v FROM " + named;
    REQUIRE(cached(writer, view));
    // Read by name and written by a view; the other way about; and unseen, by a trigger.
    for (int i = 1; i < 10; i += 3) {
        ask(speaker, read), ask(speaker, read);
        run(writer, "UPDATE w SET v = v + 1");
        CHECK(ask(speaker, read) == std::to_string(i));
        CHECK(cached(writer, view));
        run(speaker, "UPDATE " + named + " SET v = v + 1");
        CHECK(ask(writer, view) == std::to_string(i + 1));
        CHECK(cached(writer, view));
        run(writer, "UPDATE caused SET v = v + 1");
        CHECK(ask(writer, view) == std::to_string(i + 2));
    }
    CHECK(hits(speaker, read) == 0);
    // Names in ASCII are what they are, and their rows, too.
    const std::string one = "SELECT v FROM ascii WHERE id = 1 AND 'caf\xC3\xA9' <> ''";
    CHECK(cached(speaker, one));
    run(speaker, "UPDATE ascii SET v = 1 WHERE id = 2");
    CHECK(hits(speaker, one) == 2);
}

}  // namespace

TEST_CASE("D13: names beyond ASCII are not believed where an encoding is not UTF8") {
    Cluster::shared()
        .connect("postgres", "postgres")
        .run(
            "CREATE DATABASE latin OWNER app ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' "
            "TEMPLATE "
            "template0");
    // As UTF-8 both are cut to the same name, as LATIN1 to none.
    check_names("latin", "UTF8", accents(31), accents(40), accents(40));
    // What is said in LATIN1 has the bytes of another name in UTF-8.
    const std::string meant = "\"\xC3\x83\xC2\xA9\"";
    check_names("app", "LATIN1", kSingle, meant, kSingle);
    // In UTF-8 throughout, whichever way it is said.
    auto setup = RawClient::login(proxy().port());
    run(setup, "CREATE TABLE \"\xC3\xBC\" AS SELECT 1 AS v");
    for (const auto* encoding : {"utf-8", "UNICODE", "sql_ascii"}) {
        auto c = RawClient::login(proxy().port(), "app", "app", {{"client_encoding", encoding}});
        CHECK(becomes_cached(proxy(), c, "SELECT v FROM \"\xC3\xBC\""));
    }
}

TEST_CASE("D8: an unqualified name means what somebody has put into pg_catalog, if it is there") {
    auto admin = Cluster::shared().connect("postgres", "app");
    setup("CREATE TABLE twofold AS SELECT 'public' AS v");
    auto c = RawClient::login(proxy().port()), writer = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT v FROM twofold"));
    admin.run(
        "SET allow_system_table_mods = on; CREATE TABLE pg_catalog.twofold AS SELECT 'catalog' AS "
        "v; ALTER TABLE pg_catalog.twofold OWNER TO app");
    setup("CREATE TABLE reread (n int)");
    REQUIRE(becomes_cached(proxy(), c, "SELECT v FROM public.twofold"));
    for (int i = 0; i < 3; ++i) {
        CHECK(hits_of(proxy(), [&] { ask(c, "SELECT v FROM twofold"); }) == 0);
        const auto value = "w" + std::to_string(i);
        ask(writer, "UPDATE twofold SET v = '" + value + "'");
        CHECK(ask(c, "SELECT v FROM pg_catalog.twofold") == value);
        ask(writer, "UPDATE pg_catalog.twofold SET v = v || 'x'");
        CHECK(ask(c, "SELECT v FROM twofold") == value + "x");
        CHECK(ask(c, "SELECT v FROM public.twofold") == "public");
    }
    admin.run("SET allow_system_table_mods = on; DROP TABLE pg_catalog.twofold");
}

TEST_CASE("D14: what a user's operator class compares is not cached") {
    auto admin = Cluster::shared().connect("postgres", "app");
    setup(
        "CREATE TYPE rank AS ENUM ('low', 'high'); CREATE TABLE places (name rank, at int); INSERT "
        "INTO places VALUES ('low', 1), ('high', 2); CREATE TABLE cards (r rank); INSERT INTO "
        "cards "
        "VALUES ('low'), ('high'); CREATE TABLE texts (j text); INSERT INTO texts VALUES ('1')");
    admin.run(
        "CREATE FUNCTION rank_cmp(rank, rank) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT "
        "(SELECT "
        "at FROM public.places WHERE name::text = $1::text) - (SELECT at FROM public.places WHERE "
        "name::text = $2::text)'; CREATE FUNCTION rank_lt(rank, rank) RETURNS bool LANGUAGE sql "
        "IMMUTABLE AS 'SELECT public.rank_cmp($1, $2) < 0'; CREATE FUNCTION rank_eq(rank, rank) "
        "RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT public.rank_cmp($1, $2) = 0';"
        "CREATE OPERATOR <# (LEFTARG = rank, RIGHTARG = rank, FUNCTION = rank_lt);"
        "CREATE OPERATOR =# (LEFTARG = rank, RIGHTARG = rank, FUNCTION = rank_eq);"
        "CREATE OPERATOR CLASS by_rank DEFAULT FOR TYPE rank USING btree AS OPERATOR 1 <#, "
        "OPERATOR 3 =#, FUNCTION 1 rank_cmp(rank, rank)");
    setup("CREATE TABLE with_json (j json, n int)");
    auto c = RawClient::login(proxy().port()), writer = RawClient::login(proxy().port());
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM texts"));
    const std::string first = "SELECT r FROM cards ORDER BY r LIMIT 1";
    ask(c, first);
    CHECK(ask(c, first) == "low");
    ask(writer, "UPDATE places SET at = 3 - at");
    CHECK(ask(c, first) == "high");
    const auto check_misses = [&](const std::string& sql) {
        CHECK_MESSAGE(stays_uncached(proxy(), c, sql), sql);
    };
    check_misses("SELECT DISTINCT r FROM cards");
    // Any expression may be of a type that is built in.
    admin.run(
        "CREATE FUNCTION json_cmp(json, json) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 0'; "
        "CREATE OPERATOR CLASS by_json DEFAULT FOR TYPE json USING btree AS "
        "FUNCTION 1 json_cmp(json, json)");
    setup("CREATE TABLE reread_then (n int)");
    for (const std::string sql :
         {"SELECT j FROM with_json", "SELECT j::json FROM texts", "SELECT count(*) FROM texts",
          "SELECT row_to_json(t) FROM texts t", "SELECT array_agg(j::json) FROM texts"})
        check_misses(sql);
    admin.run("DROP FUNCTION rank_cmp(rank, rank), json_cmp(json, json) CASCADE");
    setup("CREATE TABLE reread_again (n int)");
    CHECK(becomes_cached(proxy(), c, "SELECT count(*) FROM texts"));
}

TEST_CASE("what common extensions bring, and tables named like catalogs, leave the cache in use") {
    auto admin = Cluster::shared().connect("postgres", "app");
    admin.run("CREATE EXTENSION citext");
    setup(
        "CREATE TABLE beside (n int, t text); CREATE TABLE pg_search_documents (n int, content "
        "text)");
    auto c = RawClient::login(proxy().port()), writer = RawClient::login(proxy().port());
    const std::string count = "SELECT count(*) FROM pg_search_documents";
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM beside"));
    REQUIRE(becomes_cached(proxy(), c, count));
    for (int i = 1; i <= 3; ++i) {
        ask(writer, "INSERT INTO pg_search_documents VALUES (1, 'a')");
        CHECK(hits_of(proxy(), [&] { ask(c, "SELECT count(*) FROM beside"); }) == 1);
        CHECK(ask(c, count) == std::to_string(i));
    }
    admin.run("DROP EXTENSION citext CASCADE");
}

TEST_CASE(
    "C4, C15: functions that planning or ANALYZE runs may write, whatever they are declared") {
    setup(
        "CREATE TABLE counted AS SELECT 0 AS n; CREATE TABLE three AS SELECT generate_series(1, 3) "
        "AS n; CREATE FUNCTION counts(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN UPDATE "
        "public.counted SET n = n + 1; RETURN $1; END$$;"
        "CREATE FUNCTION folded(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM "
        "public.counts($1); RETURN $1; END$$;"
        "CREATE FUNCTION estimated(int) RETURNS int LANGUAGE plpgsql STABLE AS $$DECLARE r int; "
        "BEGIN EXECUTE 'SELECT coun' || 'ts($1)' INTO r USING $1; RETURN r; END$$;"
        "CREATE FUNCTION inlined() RETURNS int LANGUAGE sql AS 'SELECT folded(7)';"
        "CREATE VIEW folds AS SELECT n, folded(7) AS f FROM three;"
        "CREATE TABLE given (n int, f int DEFAULT folded(7)); CREATE TABLE rules (n int);"
        "CREATE RULE r AS ON INSERT TO rules DO ALSO SELECT folded(7);"
        "CREATE TABLE ix AS TABLE three; CREATE INDEX ON ix (folded(n)); CREATE TABLE partly AS "
        "TABLE three; CREATE INDEX ON partly (n) WHERE folded(7) = 7; CREATE TABLE st AS SELECT n, "
        "n AS m FROM three; CREATE STATISTICS s ON (folded(n)), m FROM st; CREATE TABLE above "
        "(n int); CREATE TABLE below (CHECK (folded(7) = 7)) INHERITS (above)");
    auto reader = RawClient::login(proxy().port()), writer = RawClient::login(proxy().port());
    auto direct = RawClient::login(Cluster::shared().port());
    const std::string read = "SELECT n FROM counted";
    writer.ask(msg::query("PREPARE folds AS SELECT folded(7)"));
    const auto check_counts = [&](const std::vector<std::string>& asked) {
        INFO(asked.front().substr(5));
        REQUIRE(becomes_cached(proxy(), reader, read));
        const auto before = ask(reader, read);
        for (const auto& bytes : asked) CHECK(error_of(writer.ask(bytes)).message.empty());
        const auto after = ask(reader, read);
        CHECK(after == ask(direct, read));
        CHECK(after != before);
    };
    for (const std::string sql :
         {"SELECT n FROM partly WHERE n = 1", "SELECT n FROM above WHERE n = 1",
          "EXPLAIN SELECT folded(7)", "EXPLAIN (VERBOSE) SELECT inlined()",
          "EXPLAIN SELECT * FROM three WHERE n = folded(7)",
          "EXPLAIN SELECT * FROM three WHERE n > estimated(7)", "EXPLAIN SELECT * FROM folds",
          "EXPLAIN UPDATE three SET n = folded(7)", "EXPLAIN INSERT INTO given VALUES (1)",
          "EXPLAIN INSERT INTO rules VALUES (1)", "EXPLAIN SELECT (7).folded",
          "EXPLAIN EXECUTE folds", "EXPLAIN CREATE TABLE x AS SELECT folded(7)", "ANALYZE ix",
          "ANALYZE st", "VACUUM ANALYZE ix", "VACUUM FULL ix", "ANALYZE"})
        check_counts({msg::query(sql)});
    const std::string folding = "EXPLAIN SELECT folded(7)";
    check_counts({msg::unnamed(folding) + msg::sync()});
    check_counts({msg::query("BEGIN"), msg::query(folding), msg::query("COMMIT")});
    for (const std::string sql : {"EXPLAIN SELECT * FROM three", "EXPLAIN DELETE FROM three",
                                  "ANALYZE three", "VACUUM three"}) {
        REQUIRE(becomes_cached(proxy(), reader, read));
        writer.ask(msg::query(sql));
        CHECK_MESSAGE(hits_of(proxy(), [&] { ask(reader, read); }) == 1, sql);
    }
}

TEST_CASE("what a domain's default writes counts where it is computed, and reads stay reads") {
    setup(
        "CREATE TABLE IF NOT EXISTS bystander (n int); CREATE TABLE ledger (n int); CREATE "
        "FUNCTION "
        "posts() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO ledger VALUES (1); RETURN 7; "
        "END'; CREATE DOMAIN posted AS int DEFAULT posts(); CREATE DOMAIN posted_too AS posted; "
        "CREATE TABLE holds (id int, p posted); CREATE TABLE holds_too (id int, p posted_too); "
        "CREATE TABLE splits (id int, p posted) PARTITION BY LIST (id); CREATE TABLE split "
        "PARTITION "
        "OF splits DEFAULT; CREATE VIEW over_holds AS SELECT * FROM holds; CREATE TABLE upper_of "
        "(id "
        "int PRIMARY KEY); CREATE TABLE lower_of (id posted REFERENCES upper_of ON DELETE SET "
        "DEFAULT); "
        "INSERT INTO upper_of VALUES (1), (7); INSERT INTO lower_of VALUES (1); CREATE FUNCTION "
        "adds_hold() RETURNS int LANGUAGE sql AS 'INSERT INTO holds (id) VALUES (4) RETURNING id'; "
        "CREATE FUNCTION widens() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER TABLE holds ADD "
        "COLUMN w posted; END'");
    const std::string read = "SELECT count(*) FROM ledger";
    check(
        {{read, "INSERT INTO holds (id) VALUES (1)"},
         {read, "INSERT INTO holds_too (id) VALUES (1)"},
         {read, "INSERT INTO splits (id) VALUES (1)"},
         {read, "INSERT INTO over_holds (id) VALUES (2)"},
         {read, "UPDATE holds SET p = DEFAULT WHERE id = 1"},
         {read, "DELETE FROM upper_of WHERE id = 1", false},
         {read, "WITH i AS (INSERT INTO holds (id) VALUES (3) RETURNING id) SELECT id FROM i"},
         {read, "SELECT adds_hold()", false},
         {read, "DO $$BEGIN INSERT INTO holds (id) VALUES (5); END$$", false},
         {read, "CREATE TEMP TABLE own (id int, p posted); INSERT INTO own (id) VALUES (1)", false},
         {read, "ALTER TABLE holds ADD COLUMN q posted", false},
         {read, "SELECT widens()", false}});
    auto c = RawClient::login(proxy().port());
    CHECK(becomes_cached(proxy(), c, "SELECT count(*) FROM holds"));
}

TEST_CASE("DDL in code that runs while no catalog is in force is seen when it is over") {
    Proxy p(Cluster::shared(),
            {{{"cache", "{exclusive_writer: true, catalog_poll: 10min}"}}, {}, {}, 0});
    auto c = RawClient::login(p.port()), reader = RawClient::login(p.port());
    const auto done = [&](const std::string& sql) {
        const auto error = error_of(c.ask(msg::query(sql)));
        REQUIRE_MESSAGE(error.sqlstate.empty(), sql, error.message);
    };
    done(
        "CREATE TABLE shown_1 AS SELECT 1 AS n; CREATE TABLE shown_2 AS SELECT 1 AS n; CREATE "
        "VIEW shown AS SELECT n FROM shown_1; CREATE FUNCTION points(t text) RETURNS int LANGUAGE "
        "plpgsql AS $$BEGIN PERFORM pg_sleep(0.2); EXECUTE 'CREATE OR REPLACE VIEW shown AS "
        "SELECT n FROM ' || t; RETURN 1; END$$; CREATE FUNCTION later(t text) RETURNS int LANGUAGE "
        "sql AS 'SELECT 1'; CREATE TABLE pointing (t text); CREATE FUNCTION points_too() RETURNS "
        "trigger LANGUAGE plpgsql AS 'BEGIN PERFORM points(NEW.t); RETURN NULL; END'; CREATE "
        "TRIGGER t AFTER INSERT ON pointing FOR EACH ROW EXECUTE FUNCTION points_too(); CREATE "
        "VIEW calls AS SELECT points('shown_2'); CREATE VIEW calls_back AS SELECT "
        "points('shown_1')");
    const std::string read = "SELECT n FROM shown";
    // DDL takes the catalog away; the last one is of a function that has become another.
    const std::string away = "CREATE TABLE passing (n int); DROP TABLE passing";
    const std::string other =
        "CREATE OR REPLACE FUNCTION later(t text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN "
        "points(t); END'";
    const std::vector<std::array<std::string, 3>> all{
        {away, "SELECT points('shown_2')", "SELECT points('shown_1')"},
        {away, "INSERT INTO pointing VALUES ('shown_2')",
         "INSERT INTO pointing VALUES ('shown_1')"},
        {"SELECT 1", "INSERT INTO pointing VALUES ('shown_2')",
         "INSERT INTO pointing VALUES ('shown_1')"},
        {away, "SELECT * FROM calls", "SELECT * FROM calls_back"},
        {away, "WITH w AS (SELECT points('shown_2') AS n) SELECT n FROM w",
         "WITH w AS (SELECT points('shown_1') AS n) SELECT n FROM w"},
        {other, "SELECT later('shown_2')", "SELECT later('shown_1')"},
        {other + "; CREATE TABLE fresh AS SELECT 1 AS n", "SELECT later('shown_2') FROM fresh",
         "SELECT later('shown_1') FROM fresh"},
    };
    for (const auto& each : all) {
        const std::string& run = each[1];  // a structured binding cannot be captured in clang 14
        CAPTURE(run);
        done("CREATE OR REPLACE FUNCTION later(t text) RETURNS int LANGUAGE sql AS 'SELECT 1'");
        REQUIRE(becomes_cached(p, reader, read));
        done(each[0]);
        done(run);
        REQUIRE(becomes_cached(p, reader, read));
        done("UPDATE shown_2 SET n = n + 1");
        CHECK(ask(reader, read) == value_of(c, "SELECT n FROM shown_2"));
        done(each[2]);
        REQUIRE(becomes_cached(p, reader, read));
    }
}
