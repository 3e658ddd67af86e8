// A name that comes to stand for what its statement means by now, because the client asks: an error
// in the batch takes that back only as far as the client has not been told.
#include <doctest/doctest.h>

#include "support/cache_client.hpp"
#include "support/prepared_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& cached() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}
RawClient login() { return RawClient::login(cached().port()); }
const std::string kFails = msg::bind("", "not there");

void setup(const std::string& sql) { must_run(login(), sql); }
/// By another client.
void changed(const std::string& sql) {
    auto other = login();
    done(other, sql);
}

}  // namespace

TEST_CASE("a name that was described, closed and given anew is not given back by an error behind") {
    const std::string wanted = "SELECT 'new'";
    const std::string anew = msg::describe('S', "a") + msg::close('S', "a");
    const auto parse = msg::parse("a", wanted);
    const auto by_sql = msg::describe('S', "a") + msg::unnamed("DEALLOCATE a");
    for (const auto& batches : {
             std::vector{anew + parse + kFails + kSync},
             std::vector{kFails + kSync, anew + parse + kSync},
             std::vector{by_sql + parse + kFails + kSync},
         }) {
        setup("DROP TABLE IF EXISTS emptied; CREATE TABLE emptied AS SELECT 1 AS n");
        auto c = login();
        c.ask(msg::parse("a", "DELETE FROM emptied RETURNING 'old'") + kSync);
        changed("COMMENT ON TABLE emptied IS NULL");
        std::string all;
        for (const auto& batch : batches) all += batch;
        c.send(all);
        for (std::size_t i = 0; i < batches.size(); ++i) c.read_until('Z');
        CHECK(run(c, "a") == "new");
    }
}

TEST_CASE("what a Describe has told stands though its batch fails behind it" *
          doctest::skip(Proxy::direct())) {
    for (const std::string name : {"a", ""}) {
        CAPTURE(name);
        setup("DROP TABLE IF EXISTS back; CREATE TABLE back AS SELECT 1 AS n");
        auto c = login();
        REQUIRE(told(c, name, "SELECT n FROM back").empty());
        changed("ALTER TABLE back ALTER n TYPE bigint");
        c.ask(msg::describe('S', name) + kFails + kSync);
        changed("ALTER TABLE back ALTER n TYPE int");
        CHECK(run(c, name) == "0A000");
    }
}

TEST_CASE("a Describe that is skipped, or whose Bind fails, has told nothing of the unnamed one") {
    const auto by_portal = msg::describe('P', "") + msg::execute();
    for (const std::string name : {"a", ""}) {
        const auto bad = msg::bind("", name, {"no number"}), good = msg::bind("", name, {"1"});
        for (const auto& batch :
             {kFails + msg::describe('S', name), bad + by_portal, kFails + good + by_portal,
              msg::execute("none") + good + by_portal}) {
            CAPTURE(name);
            setup("DROP TABLE IF EXISTS skipped; CREATE TABLE skipped AS SELECT 1 AS n");
            auto c = login();
            REQUIRE(told(c, name, "SELECT n FROM skipped WHERE n >= $1::int").empty());
            changed("ALTER TABLE skipped ALTER n TYPE bigint");
            CHECK_FALSE(error_of(c.ask(batch + kSync)).sqlstate.empty());
            CHECK(run(c, name, {"1"}) == "0A000");
        }
    }
}

TEST_CASE("the unnamed one of a failed transaction was told what it was told in front of it") {
    setup("DROP TABLE IF EXISTS skipped; CREATE TABLE skipped AS SELECT 1 AS n");
    auto c = login();
    REQUIRE(told(c, "b", "BEGIN").empty());
    REQUIRE(told(c, "r", "ROLLBACK").empty());
    REQUIRE(told(c, "", "SELECT n FROM skipped").empty());
    changed("ALTER TABLE skipped ALTER n TYPE bigint");
    run(c, "b");
    c.ask(kFails + kSync);
    c.ask(msg::describe('S', "") + kSync);
    c.ask(msg::bind("", "") + msg::describe('P', "") + kSync);
    CHECK(run(c, "r").empty());
    CHECK(run(c, "") == "0A000");
}

TEST_CASE("whoever closes an unnamed statement it has not closes nobody's") {
    Proxy p(Cluster::shared(), caching("{enabled: false}", "{min_size: 0, max_size: 1}"));
    auto c = RawClient::login(p.port()), other = RawClient::login(p.port());
    REQUIRE(told(c, "", "SELECT 'mine'").empty());
    const auto m = other.ask(msg::close('S', "") + msg::parse("x", "SELECT 7") + bound("x"));
    CHECK(error_of(m).sqlstate.empty());
    CHECK(run(c, "") == "mine");
}

TEST_CASE("in session pools the unnamed statement outlives what the proxy asks" *
          doctest::skip(Proxy::direct())) {
    Proxy p(Cluster::shared(), {{{"databases", in_both_modes(Cluster::shared())}}, {}, {}, 0});
    for (const std::string change :
         {"ALTER TABLE looked_at ALTER n TYPE bigint", "SET search_path TO elsewhere, public",
          "SELECT set_config('search_path', 'elsewhere, public', false)"}) {
        CAPTURE(change);
        setup(
            "DROP TABLE IF EXISTS looked_at; CREATE TABLE looked_at AS SELECT 1 AS n; "
            "DROP SCHEMA IF EXISTS elsewhere CASCADE; CREATE SCHEMA elsewhere "
            "CREATE TABLE looked_at (n text)");
        auto c = RawClient::login(p.port(), "app", "exact");
        REQUIRE(told(c, "", "SELECT n FROM looked_at").empty());
        REQUIRE(error_of(c.ask(msg::parse("c", change) + bound("c"))).sqlstate.empty());
        CHECK(run(c, "") == "0A000");
    }
}

TEST_CASE("what was prepared over temporary objects is nobody's behind DISCARD TEMP") {
    Proxy p(Cluster::shared(), caching("{enabled: false}", "{min_size: 0, max_size: 1}"));
    setup("DROP TABLE IF EXISTS hidden; CREATE TABLE hidden AS SELECT 1 AS id");
    auto c = RawClient::login(p.port()), other = RawClient::login(p.port());
    const std::string sql = "SELECT id FROM hidden WHERE id = $1";
    done(c, "CREATE TEMP TABLE hidden (id text)");
    REQUIRE(told(c, "a", sql).empty());
    CHECK(run(c, "a", {"1"}).empty());
    done(c, "DISCARD TEMP");
    CHECK(told(other, "a", sql).empty());
    CHECK(run(other, "a", {"1"}) == "1");
    CHECK(run(other, "a", {"1"}) == "1");
}

TEST_CASE("a Bind refused for what its statement takes by now says the client's name for it") {
    setup("DROP TABLE IF EXISTS worded; CREATE TABLE worded AS SELECT 1 AS n");
    auto c = login();
    REQUIRE(told(c, "a", "SELECT n FROM worded").empty());
    changed("ALTER TABLE worded ADD m int");
    const auto m = c.ask(msg::bind("", "a", {"1", "2"}) + msg::describe('P', "") + kSync);
    CHECK(error_of(m).sqlstate == "08P01");
    CHECK(error_of(m).message.find("\"a\"") != std::string::npos);
}
