// What the extensions that people install into their schemas bring (operators called =, functions
// called max, types of columns) leaves the cache in use, and what users bring themselves does not.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}

RawClient login() { return RawClient::login(proxy().port()); }
void setup(const std::string& sql) { must_run(login(), sql); }

/// Only a superuser may bring what is tried here; the catalog is read anew behind DDL through the
/// proxy.
void bring(const std::string& sql) {
    Cluster::shared().connect("postgres", "app").run(sql);
    setup("CREATE TABLE IF NOT EXISTS read_anew (); DROP TABLE read_anew");
}

void check_cached(const std::vector<std::string>& reads) {
    auto reader = login();
    auto direct = RawClient::login(Cluster::shared().port());
    for (const auto& sql : reads) {
        CHECK_MESSAGE(becomes_cached(proxy(), reader, sql), sql);
        CHECK_MESSAGE(ask(reader, sql) == ask(direct, sql), sql);
    }
}

void check_misses(const std::vector<std::string>& reads) {
    auto reader = login();
    for (const auto& sql : reads) CHECK_MESSAGE(stays_uncached(proxy(), reader, sql), sql);
}

const char* const kExtensions =
    "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION "
    "cube; CREATE EXTENSION intarray; CREATE EXTENSION btree_gist; CREATE EXTENSION pg_trgm; "
    "CREATE EXTENSION isn";

/// Their operators stand for more than the built-in ones of these names.
const std::vector<std::string> kOfBuiltinTypes = {
    "SELECT t FROM plainly WHERE n = 1",
    "SELECT n FROM plainly WHERE t = 'a' AND n + 1 < 9",
    "SELECT max(n), min(t), t || 'x' FROM plainly WHERE t <> 'z' GROUP BY t ORDER BY t",
    "SELECT n FROM plainly WHERE t ~ '^a' AND numbers @> ARRAY[1]",
};

}  // namespace

TEST_CASE("what extensions in public bring leaves reads of built-in types cached") {
    if (Proxy::direct()) return;
    setup(
        "CREATE TABLE plainly (n int PRIMARY KEY, t text, numbers int[]);"
        "INSERT INTO plainly VALUES (1, 'a', '{1}'), (2, 'b', '{2}')");
    bring("DROP EXTENSION IF EXISTS isn");
    check_cached(kOfBuiltinTypes);
    bring(kExtensions);
    // isn brings an `=` whose arguments are read by a setting that is none.
    check_misses({kOfBuiltinTypes.begin(), kOfBuiltinTypes.begin() + 3});
    bring("DROP EXTENSION isn");
    check_cached(kOfBuiltinTypes);
    auto reader = login();
    auto writer = login();
    const std::string one = "SELECT t FROM plainly WHERE n = 1", two = one.substr(0, 32) + "2";
    REQUIRE(becomes_cached(proxy(), reader, one));
    REQUIRE(becomes_cached(proxy(), reader, two));
    must_run(std::move(writer), "UPDATE plainly SET t = 'ab' WHERE n = 1");
    CHECK(ask(reader, one) == "ab");
    CHECK(hits_of(proxy(), [&] { ask(reader, two); }) == 1);
    // Its limit is a setting of its own.
    check_misses({"SELECT n FROM plainly WHERE t % 'a'"});
    bring("DROP EXTENSION citext, hstore, ltree, cube, intarray, btree_gist, pg_trgm");
}

TEST_CASE("columns of extensions' types are cached, follow writes, and fold as they do") {
    if (Proxy::direct()) return;
    bring("CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree");
    setup(
        "CREATE DOMAIN mail AS citext;"
        "CREATE TABLE people (id int, email citext, other mail, tags hstore, place ltree);"
        "INSERT INTO people VALUES (1, 'Ann@x', 'A', 'a=>1', 'top.one'), (2, 'bob@x', 'b', "
        "'b=>2', 'top.two'); CREATE VIEW mails AS SELECT email FROM people WHERE id > 0");
    const std::vector<std::string> reads = {
        "SELECT id FROM people WHERE email = 'ANN@X'",
        "SELECT DISTINCT email FROM people ORDER BY email",
        "SELECT max(email), count(*) FROM people WHERE other = 'a'",
        "SELECT tags -> 'a', akeys(tags) FROM people WHERE tags ? 'a'",
        "SELECT id FROM people WHERE place <@ 'top' ORDER BY id",
        "SELECT * FROM mails ORDER BY 1",
        "SELECT * FROM people ORDER BY id",
    };
    check_cached(reads);
    must_run(login(),
             "UPDATE people SET email = 'anna@x', other = 'c', tags = 'a=>3', place = 'low' "
             "WHERE email = 'ANN@x'");
    auto reader = login();
    auto direct = RawClient::login(Cluster::shared().port());
    for (const auto& sql : reads) CHECK_MESSAGE(ask(reader, sql) == ask(direct, sql), sql);
    CHECK(ask(reader, reads.front()).empty());
    // What takes any row may make times of texts.
    check_misses({"SELECT populate_record(p, tags) FROM people p"});
    setup("DROP TABLE people CASCADE; DROP DOMAIN mail");
    bring("DROP EXTENSION citext, hstore, ltree");
}

TEST_CASE("casts to enums and to extensions' types are cached while the types are what they were") {
    if (Proxy::direct()) return;
    bring("CREATE EXTENSION citext");
    setup(
        "CREATE TYPE mood AS ENUM ('bad', 'good'); CREATE DOMAIN due AS date;"
        "CREATE TABLE felt (id int, mood mood, said text, email citext);"
        "INSERT INTO felt VALUES (1, 'good', 'bad', 'A'), (2, 'bad', 'today', 'b')");
    const std::string worse = "SELECT id FROM felt WHERE mood < 'good'::mood";
    check_cached({worse, "SELECT id FROM felt WHERE said::citext = 'BAD' OR email = 'B'::citext",
                  "SELECT said::public.mood FROM felt WHERE id = 1",
                  "SELECT ARRAY[said]::mood[] FROM felt WHERE id < 2"});
    check_misses({"SELECT said::due FROM felt WHERE id = 2", "SELECT (1, 'bad', 'b', 'c')::felt"});
    auto reader = login();
    setup("ALTER TYPE mood RENAME VALUE 'good' TO 'fine'");
    CHECK(error_of(reader.ask(msg::query(worse))).sqlstate == "22P02");
    const std::string fine = "SELECT id FROM felt WHERE mood < 'fine'::mood";
    check_cached({fine});
    CHECK(ask(reader, fine) == "2");
    // Another type of that name may be meant, by another path or none.
    setup("CREATE SCHEMA beside; CREATE DOMAIN beside.mood AS date");
    check_misses({fine});
    setup("DROP SCHEMA beside CASCADE");
    check_cached({fine});
    // A temporary type comes first.
    auto other = login();
    ask(other, "CREATE TYPE pg_temp.mood AS ENUM ('fine')");
    REQUIRE(becomes_cached(proxy(), reader, fine));
    CHECK(error_of(other.ask(msg::query(fine))).sqlstate == "42883");
    CHECK(hits_of(proxy(), [&] { ask(reader, fine); }) == 1);
    other = login();
    setup("DROP TABLE felt; DROP TYPE mood; DROP DOMAIN due");
    bring("DROP EXTENSION citext");
}

TEST_CASE(
    "what users bring by the same names, or put beside an extension's types, is not trusted") {
    if (Proxy::direct()) return;
    bring("CREATE EXTENSION citext");
    setup(
        "CREATE TABLE few (n int, email citext); INSERT INTO few VALUES (1, 'a');"
        "CREATE TYPE own AS ENUM ('a', 'b')");
    const std::string by_number = "SELECT email FROM few WHERE n = 1";
    const std::string by_mail = "SELECT n FROM few WHERE email = 'A'";
    const std::string largest = "SELECT max(n) FROM few WHERE n > 0";
    check_cached({by_number, by_mail, largest});
    setup(
        "CREATE FUNCTION own_eq(own, own) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN random() < 0.5; END'; "
        "CREATE OPERATOR = (LEFTARG = own, RIGHTARG = own, FUNCTION = own_eq)");
    check_misses({by_number, by_mail});
    check_cached({largest});
    setup("DROP OPERATOR = (own, own)");
    check_cached({by_number, by_mail});
    // It belongs to the extension then, and is no code of it.
    bring(
        "CREATE OPERATOR = (LEFTARG = own, RIGHTARG = own, FUNCTION = own_eq); "
        "CREATE FUNCTION own_max(own, own) RETURNS own LANGUAGE sql IMMUTABLE AS 'SELECT $1'; "
        "CREATE AGGREGATE max(own) (SFUNC = own_max, STYPE = own);"
        "ALTER EXTENSION citext ADD FUNCTION own_eq(own, own);"
        "ALTER EXTENSION citext ADD FUNCTION own_max(own, own);"
        "ALTER EXTENSION citext ADD AGGREGATE max(own);"
        "ALTER EXTENSION citext ADD OPERATOR = (own, own)");
    check_misses({by_number, by_mail, largest});
    bring(
        "ALTER EXTENSION citext DROP OPERATOR = (own, own);"
        "ALTER EXTENSION citext DROP AGGREGATE max(own);"
        "ALTER EXTENSION citext DROP FUNCTION own_max(own, own);"
        "ALTER EXTENSION citext DROP FUNCTION own_eq(own, own);"
        "DROP FUNCTION own_eq(own, own), own_max(own, own) CASCADE");
    check_cached({by_number, by_mail, largest});
    // A number may then be taken for a text silently, by what users wrote.
    bring(
        "CREATE FUNCTION as_mail(int) RETURNS citext LANGUAGE plpgsql IMMUTABLE AS "
        "'BEGIN RETURN random()::text::public.citext; END'; "
        "CREATE CAST (int AS citext) WITH FUNCTION as_mail(int) AS IMPLICIT");
    check_misses({by_number, by_mail, "SELECT n FROM few WHERE n ~ 'a'"});
    bring("DROP FUNCTION as_mail(int) CASCADE");
    check_cached({by_number, by_mail});
    // What sorts an extension's type may have been replaced.
    const std::string mails = "SELECT DISTINCT email FROM few", by_n = "SELECT n FROM few";
    check_cached({mails, by_n});
    bring(
        "CREATE OR REPLACE FUNCTION citext_cmp(citext, citext) RETURNS int LANGUAGE plpgsql "
        "IMMUTABLE STRICT AS 'BEGIN RETURN (random() * 9)::int; END'");
    check_misses({mails, by_n});
    setup("DROP TABLE few; DROP TYPE own");
    bring("DROP EXTENSION citext");
}
