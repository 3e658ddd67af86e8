// Statements whose caching does not pay: they go past the cache, and what they say stays right;
// once their answers are asked for again, that is found out.
#include <doctest/doctest.h>

#include <functional>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    return p;
}

double passed() { return proxy().metric("pgweir_not_cached_total{reason=\"does_not_pay\"}"); }

/// For one number. Its answer is the number's tenfold.
using Unit = std::function<std::string(int n)>;

/// Each number once; gives how many answers were wrong. Not in a pipeline, which looks up no more
/// once something in it has gone to a server.
int run(RawClient& c, const Unit& unit, int from, int count) {
    int wrong = 0;
    for (int n = from; n < from + count; ++n)
        wrong += first_value(c.ask(unit(n))) == std::to_string(10 * n) ? 0 : 1;
    return wrong;
}

/// A client with a table of its own, whose statements have not paid.
struct Idle {
    Idle(const std::string& table, const Unit& make) : c(RawClient::login(proxy().port())) {
        ask(c,
            "CREATE TABLE " + table + " AS SELECT n, n * 10 AS v FROM generate_series(1, 30000) n");
        ask(c, "ALTER TABLE " + table + " ADD PRIMARY KEY (n)");
        c.ask(msg::parse("p", "SELECT v FROM " + table + " WHERE n = $1", {23}) + msg::sync());
        REQUIRE(becomes_cached(proxy(), c, "SELECT v FROM " + table + " WHERE n = 1"));
        const auto before = passed();
        while (passed() - before < 100 && next < 20'000) {
            REQUIRE(run(c, make, next, 500) == 0);
            next += 500;
        }
        REQUIRE(passed() - before >= 100);
    }
    RawClient c;
    int next = 1;
};

std::string portal(const std::string& statement, const std::string& value) {
    return msg::bind("", statement, {value}) + msg::execute() + msg::sync();
}
std::string named(int n) { return portal("p", std::to_string(n)); }

}  // namespace

TEST_CASE("what never hits goes past the cache, and each answer is right") {
    const auto select = [](const std::string& table, const std::string& what) {
        return "SELECT v FROM " + table + " WHERE n = " + what;
    };
    const auto cached = [&](const std::string& table, const Unit& unit) {
        Idle idle(table, unit);
        // One of 64 is looked up all the same, and another 64th, which is another each second.
        const auto before = passed();
        CHECK(run(idle.c, unit, idle.next, 1000) == 0);
        const auto past = passed() - before;
        CHECK_MESSAGE(past >= 850, table);
        CHECK_MESSAGE(past <= 1000, table);
    };
    cached("simple", [&](int n) { return msg::query(select("simple", std::to_string(n))); });
    cached("named", named);
    cached("unnamed", [&](int n) {
        return msg::parse("", select("unnamed", "$1"), {23}) + portal("", std::to_string(n));
    });
    cached("literal", [&](int n) {
        return msg::parse("", select("literal", std::to_string(n))) + msg::bind("", "") +
               msg::describe('P', "") + msg::execute() + msg::sync();
    });
}

TEST_CASE("behind what goes past the cache a batch of any form is answered as PostgreSQL does") {
    Idle idle("forms", named);
    auto& c = idle.c;
    auto direct = RawClient::login(Cluster::shared().port());
    direct.ask(msg::parse("p", "SELECT v FROM forms WHERE n = $1", {23}) + msg::sync());
    const std::string p = msg::bind("", "p", {"7"}), end = msg::execute() + msg::sync();
    const std::string other = "SELECT v + 1 FROM forms WHERE n = 7";
    const std::string batches[] = {
        portal("p", "seven"),
        portal("absent", "7"),
        portal("", "7"),
        msg::parse("", other) + msg::bind("", "") + end,
        msg::parse("", "SELECT v FROM forms WHERE n = 7") + msg::bind("", "") + end,
        msg::bind("", "") + end,  // what has just been parsed
        msg::parse("", "SELEC") + msg::bind("", "") + end,
        msg::bind("", "") + end,  // nothing, after that
        p + msg::describe('P', "") + end,
        p + msg::describe('S', "p") + end,
        p + msg::execute("", 1) + msg::execute() + msg::sync(),
        p + msg::execute() + msg::execute() + msg::sync(),
        p + msg::execute() + msg::flush() + msg::sync(),
        p + msg::close('P', "") + msg::sync(),
        p + msg::execute() + p + end,
        p + msg::execute() + msg::bind("", "p", {"8"}) + end,
        msg::bind("", "p", {"7"}, 1) + end,
        msg::bind("", "p", {"7", "8"}) + end,
        msg::bind("", "p", {std::nullopt}) + end,
        msg::bind("x", "p", {"7"}) + msg::execute("x") + msg::sync(),
        msg::parse("q", other) + msg::bind("", "q") + end,
        msg::bind("", "q") + end,
        msg::close('S', "q") + p + end,
        msg::bind("", "q") + end,
        msg::sync(),
        msg::flush() + p + end,
        msg::query("BEGIN"),
        p + end,
        msg::query("UPDATE forms SET v = 1 WHERE n = 0"),
        p + end,
        portal("p", "seven"),
        p + end,
        msg::query("ROLLBACK"),
        msg::query("SET TimeZone = 'UTC'"),
        p + end,
        msg::query("DEALLOCATE p"),
        p + end,
    };
    int at = 0;
    for (const auto& batch : batches) {
        // In front of it, in the same write and not, one that goes past the cache.
        for (const bool together : {false, true}) {
            const auto one = named(++idle.next);
            for (auto* each : {&c, &direct}) {
                if (!together) each->ask(one);
                each->send((together ? one : "") + batch);
                if (together) each->read_until('Z');
            }
            const auto ours = c.read_until('Z'), theirs = direct.read_until('Z');
            CHECK_MESSAGE(types(ours) == types(theirs), at, ": ", error_of(ours).message);
            CHECK_MESSAGE(error_of(ours).sqlstate == error_of(theirs).sqlstate, at);
            if (types(theirs).find('E') == std::string::npos) CHECK_MESSAGE(ours == theirs, at);
            if (batch.starts_with(msg::parse("q", other))) break;  // once
        }
        ++at;
    }
}

TEST_CASE("nobody sees that the result has changed of what goes past the cache (64)") {
    Idle idle("widened", named);
    auto setup = Cluster::shared().connect("app");
    setup.run("ALTER TABLE widened ALTER v TYPE text");
    const auto before = passed();
    CHECK(run(idle.c, named, idle.next, 50) == 0);
    CHECK(passed() - before >= 40);
    const auto m = idle.c.ask(msg::bind("", "p", {"7"}) + msg::describe('P', "") + msg::execute() +
                              msg::sync());
    CHECK(types(m) == "2TDCZ");
    CHECK(first_value(m) == "70");
}

TEST_CASE("what comes to be asked for again is found to pay") {
    Idle idle("again", named);
    // All that is looked up of it by then is one in 32, and when that hits enough, all.
    std::int64_t hits = 0;
    for (int round = 0; round < 60 && hits < 1900; ++round)
        hits = hits_of(proxy(), [&] { CHECK(run(idle.c, named, 25'000, 2000) == 0); });
    CHECK(hits >= 1900);
}
