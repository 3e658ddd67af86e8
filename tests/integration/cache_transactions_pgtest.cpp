// The result cache inside transactions: those that are READ COMMITTED and have only read, while
// their BEGIN is kept back. Answers are compared with PostgreSQL's own.
#include <doctest/doctest.h>

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

std::string begin_and(const std::string& sql, const std::string& begin = "BEGIN") {
    return msg::unnamed(begin) + msg::unnamed(sql) + msg::sync();
}

}  // namespace

TEST_CASE("B5, B13: a transaction of hits uses no server, and reads as PostgreSQL's does") {
    setup("CREATE TABLE only_read AS SELECT n, n * 10 AS v FROM generate_series(1, 20) n");
    auto c = login(), holder = login(), direct = RawClient::login(Cluster::shared().port());
    const std::string one = "SELECT v FROM only_read WHERE n = 1";
    const std::string sum = "SELECT sum(v) FROM only_read";
    REQUIRE(becomes_cached(proxy(), c, one));
    REQUIRE(becomes_cached(proxy(), c, sum));
    const std::vector<std::string> whole = {
        msg::query("BEGIN"),
        msg::query(one),
        msg::unnamed(sum) + msg::sync(),
        msg::query("COMMIT"),
        msg::query("START TRANSACTION READ ONLY"),
        msg::query(sum),
        msg::query("ROLLBACK"),
        begin_and(one),
        msg::query(sum),
        msg::unnamed("COMMIT") + msg::sync(),
        begin_and(sum, "START TRANSACTION ISOLATION LEVEL READ COMMITTED"),
        msg::query("END")};
    for (const auto& bytes : whole) c.ask(bytes);          // what of it was not stored yet is now
    ask(holder, "BEGIN"), ask(holder, "SELECT 1, now()");  // the only server connection
    CHECK(hits_of(proxy(), [&] {
              for (const auto& bytes : whole) CHECK(c.ask(bytes) == direct.ask(bytes));
          }) == 6);
    ask(c, "BEGIN");
    ask(c, one);
    CHECK(ask(c, "SELECT now()").starts_with("53300"));
    CHECK(ask(c, one).starts_with("25P02"));
    CHECK(types(c.ask(msg::query("COMMIT"))) == "CZ");
    ask(holder, "COMMIT");
}

TEST_CASE("B5: what a transaction of reads is answered is stored for others") {
    setup("CREATE TABLE stored_in AS SELECT n, n * 10 AS v FROM generate_series(1, 20) n");
    auto c = login();
    REQUIRE(becomes_cached(proxy(), c, "SELECT count(*) FROM stored_in"));  // it is known
    int n = 0;
    const auto read = [&] { return "SELECT v FROM stored_in WHERE n = " + std::to_string(++n); };
    const auto hits_after = [&](const std::string& sql, auto&& transaction) {
        transaction(sql);
        return hits_of(proxy(), [&] { CHECK(ask(c, sql) == std::to_string(n * 10)); });
    };
    CHECK(hits_after(read(), [&](const std::string& sql) {
              ask(c, "BEGIN"), ask(c, sql), ask(c, "COMMIT");
          }) == 1);
    CHECK(hits_after(read(), [&](const std::string& sql) {
              ask(c, "BEGIN"), c.ask(msg::unnamed(sql) + msg::sync()), ask(c, "ROLLBACK");
          }) == 1);
    CHECK(hits_after(read(), [&](const std::string& sql) {
              c.ask(begin_and(sql)), ask(c, "COMMIT");
          }) == 1);
    // Not so what may have seen other rows, or seen them under other settings.
    for (const std::string first :
         {"BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN; SET LOCAL work_mem = '1MB'",
          "BEGIN; UPDATE stored_in SET v = v WHERE n = 20"})
        CHECK_MESSAGE(hits_after(read(),
                                 [&](const std::string& sql) {
                                     ask(c, first), ask(c, sql), ask(c, "COMMIT");
                                 }) == 0,
                      first);
    CHECK(hits_after(read(), [&](const std::string& sql) {
              c.ask(begin_and(sql, "BEGIN ISOLATION LEVEL SERIALIZABLE")), ask(c, "COMMIT");
          }) == 0);
    CHECK(hits_after(read(), [&](const std::string& sql) {
              c.ask(msg::unnamed("BEGIN") +
                    msg::unnamed("UPDATE stored_in SET v = v WHERE n = 20") + msg::unnamed(sql) +
                    msg::sync());
              ask(c, "COMMIT");
          }) == 0);
}

TEST_CASE(
    "B1, B2, B4, B5: each read of a transaction sees what was committed before it, and its own") {
    Proxy p(Cluster::shared(), {{{"cache", "{exclusive_writer: true}"}}, {}, {}, 0});
    setup("CREATE TABLE seen AS SELECT n, 0 AS v FROM generate_series(1, 3) n", p);
    auto c = login(p), other = login(p);
    const std::string sum = "SELECT sum(v) FROM seen";
    const std::string write = "UPDATE seen SET v = v + 1 WHERE n = 1";
    REQUIRE(becomes_cached(p, c, sum));
    const auto is_cached = [&] { return hits_of(p, [&] { ask(other, sum); }) == 1; };
    ask(c, "BEGIN");
    CHECK(ask(c, sum) == "0");
    ask(other, write);
    CHECK(ask(c, sum) == "1");
    REQUIRE(is_cached());
    CHECK(ask(c, sum) == "1");
    ask(c, write);
    CHECK(ask(c, sum) == "2");
    CHECK(ask(other, sum) == "1");
    CHECK(ask(c, sum) == "2");
    ask(c, "ROLLBACK");
    CHECK(ask(c, sum) == "1");
    for (const std::string begin : {"BEGIN ISOLATION LEVEL REPEATABLE READ",
                                    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE"}) {
        const auto before = ask(other, sum);
        REQUIRE(is_cached());
        ask(c, begin);
        CHECK(hits_of(p, [&] { CHECK(ask(c, sum) == before); }) == 0);
        ask(other, write);
        ask(other, sum), ask(other, sum);
        CHECK(ask(c, sum) == before);
        ask(c, "COMMIT");
        CHECK(ask(c, sum) != before);
    }
}

TEST_CASE(
    "B5: a transaction that holds a server and has only read is answered from the cache, too") {
    for (const std::string lazy : {"true", "false"}) {
        CAPTURE(lazy);
        Proxy p(Cluster::shared(),
                {{{"cache", "{exclusive_writer: true}"}, {"pool", "{lazy_begin: " + lazy + "}"}},
                 {},
                 {},
                 0});
        setup(
            "DROP TABLE IF EXISTS held; CREATE TABLE held AS SELECT n, 0 AS v "
            "FROM generate_series(1, 9) n",
            p);
        auto c = login(p), other = login(p);
        const std::string sum = "SELECT sum(v) FROM held", now = "SELECT now() IS NULL";
        const auto with = [](const std::string& sql) { return msg::unnamed(sql) + msg::sync(); };
        REQUIRE(becomes_cached(p, c, sum));
        other.ask(with(sum));
        other.ask(with(sum));
        const auto hits = [&](const std::string& before, const std::string& bytes) {
            ask(c, "BEGIN");
            ask(c, now);  // a server is held from here
            if (!before.empty()) c.ask(msg::query(before));
            const auto n = hits_of(p, [&] { CHECK(first_value(c.ask(bytes)) == "0"); });
            CHECK(ask(c, now) == "f");
            CHECK(types(c.ask(msg::query("COMMIT"))) == "CZ");
            return n;
        };
        for (const auto& bytes : {msg::query(sum), with(sum)}) {
            CHECK(hits("", bytes) == 1);
            CHECK(hits("SELECT count(*) FROM held WHERE v > 7", bytes) == 1);
            // Not behind what may have other rows to see, or see them otherwise.
            for (const std::string before :
                 {"UPDATE held SET v = v WHERE n = 1", "SET LOCAL work_mem = '1MB'", "SAVEPOINT s",
                  "SELECT * FROM held FOR UPDATE", "SELECT set_config('work_mem', '2MB', true)",
                  "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"})
                CHECK_MESSAGE(hits(before, bytes) == 0, before);
            CHECK(ask(c, sum) == "0");
            c.ask(with(sum));  // stored again since the UPDATE
            CHECK(hits("", bytes) == 1);
        }
        // What it is told is stored for others, and it sees what others have committed.
        const std::string some = "SELECT sum(v) FROM held WHERE n < 5";
        ask(c, "BEGIN"), ask(c, now), ask(c, some);
        CHECK(hits_of(p, [&] { CHECK(ask(other, some) == "0"); }) == 1);
        ask(other, "UPDATE held SET v = 1 WHERE n = 1");
        CHECK(ask(c, some) == "1");
        CHECK(hits_of(p, [&] { CHECK(ask(c, some) == "1"); }) == 1);
        ask(c, "UPDATE held SET v = 2 WHERE n = 1");
        CHECK(ask(c, some) == "2");
        CHECK(ask(other, some) == "1");
        ask(c, "ROLLBACK");
        CHECK(ask(c, some) == "1");
        ask(c, "BEGIN ISOLATION LEVEL REPEATABLE READ"), ask(c, now);
        CHECK(hits_of(p, [&] { ask(c, sum), ask(c, sum); }) == 0);
        ask(c, "COMMIT AND CHAIN");
        CHECK(hits_of(p, [&] { ask(c, sum), ask(c, sum); }) == 0);
        ask(c, "COMMIT");
    }
}

TEST_CASE("B4: where transactions are not READ COMMITTED by default nothing is answered") {
    const Cluster cluster({{"default_transaction_isolation = 'repeatable read'"}, ""});
    Proxy p(cluster, {{{"cache", "{exclusive_writer: true, catalog_poll: 100ms}"}}, {}, {}, 0});
    setup("CREATE TABLE by_default AS SELECT 1 AS v", p);
    auto c = login(p);
    const std::string read = "SELECT v FROM by_default";
    const auto reason = [&] { return cache_reason(c, read); };
    CHECK(eventually([&] { return reason() == "unknown_setting"; }, Seconds(10)));
    CHECK(hits_of(p, [&] { ask(c, read), ask(c, read); }) == 0);
    auto direct = RawClient::login(cluster.port(), "postgres", "app");
    ask(direct, "ALTER SYSTEM SET default_transaction_isolation = 'read committed'");
    ask(direct, "SELECT pg_reload_conf()");
    CHECK(becomes_cached(p, c, read));
    ask(direct, "ALTER ROLE app SET default_transaction_isolation = 'serializable'");
    CHECK(eventually([&] { return reason() == "unknown_setting"; }, Seconds(10)));
}

TEST_CASE("B11: a portal of a transaction is the last one that was bound, whoever answered that") {
    setup("CREATE TABLE portals AS SELECT n FROM generate_series(1, 20) n");
    auto c = login(), direct = RawClient::login(Cluster::shared().port());
    const std::string sum = "SELECT sum(n) FROM portals", all = "SELECT n FROM portals ORDER BY n";
    const auto run = [](const std::string& sql, std::uint32_t rows) {
        return msg::parse("", sql) + msg::bind("", "", {}, 0) + msg::execute("", rows) +
               msg::sync();
    };
    REQUIRE(becomes_cached(proxy(), c, sum));
    c.ask(run(sum, 0)), c.ask(run(sum, 0));
    for (const auto& open :
         {run(all, 3), msg::parse("", all) + msg::bind("", "", {}, 0) + msg::sync(),
          msg::parse("", all) + msg::bind("p", "", {}, 0) + msg::sync()}) {
        for (const auto& then : {run(sum, 0), msg::query(sum)}) {
            for (const auto& portal : {"", "p"}) {
                const std::vector<std::string> whole = {msg::query("BEGIN"), open, then,
                                                        msg::execute(portal, 5) + msg::sync(),
                                                        msg::query("ROLLBACK")};
                for (const auto& bytes : whole) CHECK(c.ask(bytes) == direct.ask(bytes));
            }
        }
    }
}

namespace {

/// What comes between BEGIN and the use of a portal that is not bound anew.
std::vector<std::vector<std::string>> before_use(const std::string& hit, const std::string& other) {
    const auto named = msg::bind("", "s", {"3"}) + msg::describe('P', "") + msg::execute();
    const auto reparsed = msg::parse("", "SELECT 'other'") + msg::sync();
    const auto savepoint = msg::unnamed("SAVEPOINT x") + msg::sync();
    const auto on_server = msg::unnamed("SELECT 'uncached', random() < 2") + msg::sync();
    const auto batch = msg::unnamed(hit) + msg::sync();
    return {{},
            {batch},
            {msg::unnamed(hit, {}) + named + msg::sync()},
            {named + msg::sync(),
             msg::close('S', "s") + msg::parse("s", "SELECT $1::int") + msg::sync()},
            {batch, msg::query(other)},
            {batch, reparsed},
            {batch, msg::describe('S', "s") + msg::sync()},
            {msg::unnamed(hit) + msg::close('P', "") + msg::sync()},
            {on_server, batch},
            {on_server, msg::query(other)},
            {on_server, named + msg::sync(), batch},
            {batch, on_server},
            {batch, savepoint},
            {batch, msg::query("SELECT 1 / (n - 1) FROM reused")}};
}

}  // namespace

TEST_CASE("B11: the unnamed portal stays what it is, whether it was answered here or by a server") {
    setup("CREATE TABLE reused AS SELECT n, n * 10 AS v FROM generate_series(1, 20) n");
    auto c = login(), direct = RawClient::login(Cluster::shared().port());
    const std::string sum = "SELECT sum(v) FROM reused", one = "SELECT v FROM reused WHERE n = 1";
    const auto parse = msg::parse("s", "SELECT v AS third FROM reused WHERE n = $1");
    const auto sync = msg::sync();
    const auto named = msg::bind("", "s", {"3"}) + msg::describe('P', "") + msg::execute() + sync;
    REQUIRE(becomes_cached(proxy(), c, sum));
    REQUIRE(becomes_cached(proxy(), c, one));
    c.ask(parse + sync);
    for (int i = 0; i < 3; ++i) c.ask(msg::unnamed(sum) + sync), c.ask(named);
    const auto describe = msg::describe('P', "");
    std::int64_t hits = 0;
    for (const auto& begin : {msg::query("BEGIN"), msg::unnamed("BEGIN") + sync,
                              msg::unnamed("BEGIN") + msg::unnamed(one) + sync})
        for (const auto& between : before_use(sum, one))
            for (const auto& use :
                 {describe + msg::execute() + sync, msg::execute() + sync, describe + sync,
                  msg::parse("", "SELECT 1") + describe + msg::execute() + sync,
                  msg::close('P', "") + describe + sync}) {
                c.ask(msg::close('S', "s") + parse + sync);
                direct.ask(msg::close('S', "s") + parse + sync);
                std::vector<std::string> whole = {begin};
                whole.insert(whole.end(), between.begin(), between.end());
                whole.insert(whole.end(), {use, named, msg::query("ROLLBACK")});
                int at = 0;
                hits += hits_of(proxy(), [&] {
                    for (const auto& bytes : whole) {
                        const auto ours = c.ask(bytes), theirs = direct.ask(bytes);
                        CHECK_MESSAGE(ours == theirs, at, " of ", whole.size(), ": ", types(ours),
                                      " ", types(theirs), " ", error_of(ours).message);
                        ++at;
                    }
                });
            }
    CHECK(hits > 300);
}

TEST_CASE("B13: the portal of a BEGIN, if it has a name, is there until the transaction ends") {
    setup("CREATE TABLE begun AS SELECT 1 AS n");
    auto c = login(), direct = RawClient::login(Cluster::shared().port());
    const std::string read = "SELECT n FROM begun";
    REQUIRE(becomes_cached(proxy(), c, read));
    const auto as_p = [](const std::string& sql) {
        return msg::parse("", sql) + msg::bind("p", "") + msg::execute("p");
    };
    const auto sync = msg::sync();
    for (const auto& begin : {as_p("BEGIN") + sync, as_p("BEGIN") + msg::unnamed(read) + sync})
        for (const auto& use : {as_p("COMMIT") + sync, msg::describe('P', "p") + sync})
            for (const auto& bytes :
                 {begin, use, msg::query("SELECT n + 1 FROM begun"), msg::query("ROLLBACK")}) {
                const auto ours = c.ask(bytes), theirs = direct.ask(bytes);
                CHECK_MESSAGE(ours == theirs, types(ours), " ", types(theirs));
            }
}

TEST_CASE("B6: a BEGIN behind one that has asked for a snapshot does not take it away") {
    setup("CREATE TABLE before AS SELECT 1 AS v; CREATE TABLE after AS SELECT 1 AS v");
    const auto& roomy = several_servers();
    auto other = login(roomy);
    const std::string read = "SELECT v FROM after";
    int value = 1;
    for (const std::string level : {"REPEATABLE READ", "SERIALIZABLE"})
        for (const int form : {0, 1, 2}) {
            CAPTURE(form);
            auto c = login(roomy);
            const auto begin = "BEGIN ISOLATION LEVEL " + level;
            REQUIRE(becomes_cached(roomy, other, read));
            if (form == 0) {
                c.ask(msg::unnamed(begin) + msg::unnamed("BEGIN") + msg::sync());
            } else if (form == 1) {
                c.send(msg::query("SELECT now()") + msg::query(begin) + msg::query("BEGIN"));
                for (int i = 0; i < 3; ++i) c.read_until('Z');
            } else {
                c.send(msg::unnamed(begin) + msg::sync() + msg::unnamed("BEGIN") + msg::sync());
                for (int i = 0; i < 2; ++i) c.read_until('Z');
            }
            CHECK(ask(c, "SELECT v FROM before") == "1");  // its snapshot
            CHECK(ask(other, "UPDATE after SET v = v + 1").empty());
            REQUIRE(becomes_cached(roomy, other, read));
            CHECK(ask(c, read) == std::to_string(value));
            CHECK(ask(other, "UPDATE after SET v = v + 1").empty());
            value += 2;
            for (int i = 0; i < 3; ++i) CHECK(ask(c, read) == std::to_string(value - 2));
            CHECK(ask(other, read) == std::to_string(value));
            CHECK(types(c.ask(msg::query("COMMIT"))) == "CZ");
            CHECK(ask(c, read) == std::to_string(value));
        }
}

TEST_CASE("B10: a COMMIT that was bound before the write it commits invalidates all the same") {
    setup("CREATE TABLE bound_first AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    const auto& roomy = several_servers();
    auto reader = login(roomy);
    const std::string sum = "SELECT sum(v) FROM bound_first";
    int value = 150;
    for (const std::string portal : {"p", ""})
        for (const bool another : {false, true}) {
            CAPTURE(portal);
            REQUIRE(becomes_cached(roomy, reader, sum));
            auto c = login(roomy);
            ask(c, "BEGIN");
            c.ask(msg::parse("c", "COMMIT") +
                  msg::parse("u",
                             "UPDATE bound_first SET v = v + 1 "
                             "WHERE n = 1") +
                  msg::sync());
            c.ask(msg::bind(portal, "c") + msg::sync());
            const std::string own = portal.empty() ? "w" : "";  // the other portal stays
            CHECK(types(c.ask(msg::bind(own, "u") + msg::execute(own) + msg::sync())) == "2CZ");
            CHECK(ask(reader, sum) == std::to_string(value));
            const auto last = (another ? msg::bind("q", "u") : "") + msg::execute(portal);
            CHECK(types(c.ask(last + msg::sync())).ends_with("CZ"));
            CHECK(ask(reader, sum) == std::to_string(++value));
            CHECK(ask(reader, sum) == std::to_string(value));
        }
}

TEST_CASE("B10: what was asked of the proxy itself is not taken for what is asked next") {
    setup("CREATE TABLE judged AS SELECT n, n * 10 AS v FROM generate_series(1, 5) n");
    auto reader = login(several_servers());
    const std::string sum = "SELECT sum(v) FROM judged";
    int value = 150;
    for (const std::string between :
         {"SET pgweir.lsn = '0/1'", "SHOW pgweir.lsn", "EXPLAIN CACHE SELECT 1"}) {
        CAPTURE(between);
        REQUIRE(becomes_cached(several_servers(), reader, sum));
        auto c = login(several_servers());
        ask(c, "BEGIN");
        CHECK(ask(c, "SELECT max(n) FROM judged WHERE random() < 2") == "5");
        ask(c, between);
        const auto update = "UPDATE judged SET v = v + 1 WHERE n = 1";
        CHECK(types(c.ask(msg::unnamed(update) + msg::sync())) == "12nCZ");
        CHECK(types(c.ask(msg::query("COMMIT"))) == "CZ");
        CHECK(ask(reader, sum) == std::to_string(++value));
    }
}
