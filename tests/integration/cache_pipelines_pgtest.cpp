// The result cache and what is sent without waiting for answers: what a pipeline writes and defines
// counts when its own answer has come, whatever is in flight behind it.
#include <doctest/doctest.h>

#include <optional>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), caching_with_one_server());
    return p;
}

Proxy& several_servers() {
    static Proxy p(Cluster::shared(), caching());
    return p;
}

RawClient login(const Proxy& p = proxy()) { return RawClient::login(p.port(), "app", "app"); }

void setup(const std::string& sql, const Proxy& p = proxy()) { must_run(login(p), sql); }

/// A row of `waits` that is locked, so that whoever writes it waits, until this goes.
struct Lock {
    Lock() {
        setup("CREATE TABLE IF NOT EXISTS waits AS SELECT 1 AS n, 0 AS v", several_servers());
        holder.ask(msg::query("BEGIN; UPDATE waits SET v = v WHERE n = 1"));
    }
    RawClient holder = RawClient::login(Cluster::shared().port());
};

std::string batch(const std::string& sql) { return msg::unnamed(sql) + msg::sync(); }

}  // namespace

TEST_CASE("B10: a write that was answered is over for the cache, whatever is in flight behind it") {
    setup("CREATE TABLE passed AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    auto reader = login(several_servers()), writer = login(several_servers());
    const std::string sum = "SELECT sum(v) FROM passed", other = "SELECT sum(v) FROM waits";
    const std::string update = "UPDATE passed SET v = v + 1 WHERE n = 1";
    const std::string waits = "UPDATE waits SET v = v + 1";
    REQUIRE(becomes_cached(several_servers(), reader, sum));
    std::optional<Lock> lock(std::in_place);
    REQUIRE(becomes_cached(several_servers(), reader, other));
    writer.send(batch(update) + batch(waits) + msg::unnamed(update));
    writer.read_until('Z');
    CHECK(becomes_cached(several_servers(), reader, sum));
    CHECK(ask(reader, sum) == "151");
    const auto before = ask(reader, other);
    CHECK(hits_of_three(several_servers(), reader, other) == 0);
    lock.reset();
    writer.read_until('Z');
    CHECK(ask(reader, other) == std::to_string(std::stoi(before) + 1));
    // Half a batch is one transaction with its other half.
    CHECK(hits_of_three(several_servers(), reader, sum) == 3);
    CHECK(types(writer.ask(msg::sync())) == "12nCZ");
    CHECK(ask(reader, sum) == "152");
    CHECK(becomes_cached(several_servers(), reader, sum));
}

TEST_CASE("B10: a write in a pipeline is over once the end of its transaction was answered") {
    setup("CREATE TABLE piped AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    auto reader = login(several_servers());
    const std::string sum = "SELECT sum(v) FROM piped";
    const std::string update = "UPDATE piped SET v = v + 1 WHERE n = 1";
    int value = 150;
    for (const std::string end : {"COMMIT", "ROLLBACK", "COMMIT AND CHAIN"}) {
        CAPTURE(end);
        REQUIRE(becomes_cached(several_servers(), reader, sum));
        std::optional<Lock> lock(std::in_place);
        auto writer = login(several_servers());
        writer.send(batch("BEGIN") + batch(update) + batch("UPDATE waits SET v = v + 1") +
                    batch(end) + batch("SELECT 1") + batch("SELECT pg_sleep(1)"));
        writer.read_until('Z');
        CHECK(ready_status(writer.read_until('Z')) == 'T');
        CHECK(hits_of_three(several_servers(), reader, sum) == 0);
        lock.reset();
        writer.read_until('Z');
        writer.read_until('Z');
        if (end != "ROLLBACK") ++value;
        CHECK(ask(reader, sum) == std::to_string(value));
        if (end == "COMMIT AND CHAIN") continue;  // inside the next one it is not known for sure
        writer.read_until('Z');
        CHECK(becomes_cached(several_servers(), reader, sum));
        CHECK(ask(reader, sum) == std::to_string(value));
    }
}

TEST_CASE("B10: of several ends of transactions in one batch each is heeded") {
    setup(
        "CREATE TABLE ends AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n; "
        "CREATE TABLE begun AS SELECT * FROM ends");
    auto reader = login(several_servers()), c = login(several_servers());
    const std::string sum = "SELECT sum(v) FROM ends", other = "SELECT sum(v) FROM begun";
    const auto run = [](const std::string& sql) { return msg::unnamed(sql); };
    for (int round = 1; round <= 2; ++round) {
        REQUIRE(becomes_cached(several_servers(), reader, sum));
        REQUIRE(becomes_cached(several_servers(), reader, other));
        c.send(run("BEGIN") + run("UPDATE ends SET v = v + 1 WHERE n = 1") + run("COMMIT") +
               run("BEGIN") + run("UPDATE begun SET v = v + 1 WHERE n = 1") + msg::sync());
        CHECK(ready_status(c.read_until('Z')) == 'T');
        const auto before = std::to_string(149 + round), now = std::to_string(150 + round);
        CHECK(ask(reader, sum) == now);
        CHECK(ask(reader, other) == before);
        CHECK(types(c.ask(run("UPDATE ends SET v = v WHERE n = 2") + run("COMMIT") + msg::sync()))
                  .ends_with("CZ"));
        CHECK(ask(reader, other) == now);
        CHECK(ask(reader, other) == now);
    }
}

TEST_CASE(
    "F9: a write behind a COPY that still works is seen, and so is one behind a failed batch") {
    setup("CREATE TABLE copied (n int); CREATE TABLE beside AS SELECT 1 AS n, 'old' AS v",
          several_servers());
    setup(
        "CREATE FUNCTION copied_f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM "
        "pg_sleep(0.4); RETURN NULL; END$$; CREATE TRIGGER g AFTER INSERT ON copied FOR EACH "
        "STATEMENT EXECUTE FUNCTION copied_f()",
        several_servers());
    auto reader = login(several_servers()), writer = login(several_servers());
    const std::string sought = "SELECT v FROM beside WHERE n = 1";
    REQUIRE(becomes_cached(several_servers(), reader, sought));
    writer.send(msg::query("COPY copied FROM STDIN") + msg::copy_data("1\n") + msg::copy_done() +
                msg::query("SELECT 1"));
    CHECK(writer.read().type == 'G');
    CHECK(!writer.poll(Seconds(0.2)));
    writer.send(msg::query("UPDATE beside SET v = 'new'"));
    CHECK(types(writer.read_until('Z')) == "CZ");
    CHECK(types(writer.read_until('Z')) == "TDCZ");
    CHECK(types(writer.read_until('Z')) == "CZ");
    CHECK(ask(reader, sought) == "new");
    REQUIRE(becomes_cached(several_servers(), reader, sought));
    const auto update = msg::query("UPDATE beside SET v = 'newer'");
    CHECK(types(writer.ask(msg::execute("none") + update + msg::sync())) == "EZ");
    CHECK(ask(reader, sought) == "new");
    CHECK(types(writer.ask(update)) == "CZ");
    CHECK(ask(reader, sought) == "newer");
    CHECK(becomes_cached(several_servers(), reader, sought));
}

TEST_CASE("B10: the first bytes of a batch hold up neither the cache nor a server connection") {
    setup("CREATE TABLE cut AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    auto reader = login(), other = login(), c = login();
    const std::string sum = "SELECT sum(v) FROM cut";
    c.ask(msg::parse("s", "SELECT 7") + msg::sync());
    int value = 150;
    for (const auto& cut :
         {msg::parse("", "SELECT 7"), msg::bind("", "s"), msg::describe('S', "s"),
          msg::close('S', "none"), msg::execute("none"), msg::query("SELECT 7")}) {
        CAPTURE(cut[0]);
        REQUIRE(becomes_cached(proxy(), reader, sum));
        constexpr std::size_t kSome = 7;
        c.send(batch("UPDATE cut SET v = v + 1 WHERE n = 1") + cut.substr(0, kSome));
        CHECK(types(c.read_until('Z')) == "12nCZ");
        CHECK(ask(other, "SELECT random() < 2") == "t");
        CHECK(ask(reader, sum) == std::to_string(++value));
        CHECK(becomes_cached(proxy(), reader, sum));
        c.send(cut.substr(kSome));
        if (cut[0] != 'Q') c.send(msg::sync());
        CHECK(ready_status(c.read_until('Z')) == 'I');
    }
}

TEST_CASE("B10: a BEGIN is kept back until what follows it is there") {
    setup("CREATE TABLE cut_begun AS SELECT 0 AS v");
    auto c = login(), other = login();
    const auto update = batch("UPDATE cut_begun SET v = v + 1 RETURNING v");
    for (std::size_t some = 1; some < update.size(); some += 3) {
        c.send(msg::query("BEGIN") + update.substr(0, some));
        CHECK(types(c.read_until('Z')) == "CZ");
        if (some < msg::parse("", "UPDATE cut_begun SET v = v + 1 RETURNING v").size())
            CHECK(ask(other, "SELECT random() < 2") == "t");
        c.send(update.substr(some));
        CHECK(types(c.read_until('Z')) == "12TDCZ");
        CHECK(types(c.ask(msg::query("COMMIT"))) == "CZ");
    }
}

TEST_CASE("B10: what came to write while it waited is heeded with its own answer in a pipeline") {
    const auto define = [](const std::string& code) {
        return "CREATE OR REPLACE FUNCTION comes_to_write() RETURNS int LANGUAGE sql AS '" + code +
               "'";
    };
    const std::string count = "SELECT count(*) FROM come";
    auto admin = RawClient::login(proxy().port(), "postgres", "app");
    ask(admin, "CREATE TABLE come(n int); GRANT ALL ON come TO app; " + define("SELECT 1"));
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"},
                                 {"pool", "{min_size: 0, max_size: 1, wait_timeout: 10s}"}},
                                {},
                                {},
                                0});
    auto holder = login(p), waits = login(p);
    auto other = RawClient::login(p.port(), "postgres", "app");
    REQUIRE(becomes_cached(p, other, count));
    holder.ask(msg::query("BEGIN; SELECT 1"));
    waits.send(msg::query("SELECT comes_to_write()"));
    sleep_for(Seconds(0.2));
    ask(other, define("INSERT INTO come VALUES (1) RETURNING n"));
    REQUIRE(becomes_cached(p, other, count));
    waits.send(msg::query("SELECT pg_sleep(2)"));
    holder.ask(msg::query("COMMIT"));
    CHECK(first_value(waits.read_until('Z')) == "1");
    CHECK(ask(other, count) == "1");
    waits.read_until('Z');
    CHECK(ask(other, count) == "1");
}
