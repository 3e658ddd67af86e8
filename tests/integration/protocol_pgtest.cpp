// The simple and the extended protocol, batch by batch and byte by byte, through a proxy in
// transaction mode. Every expectation is what PostgreSQL itself answers.
// Numbers in names: the list of protocol traps.
#include <doctest/doctest.h>

#include "pgweir/base/bytes.hpp"
#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;
namespace base = pgweir::base;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared());
    return p;
}
std::uint16_t port() { return proxy().port(); }
RawClient login() { return RawClient::login(port()); }

std::string call_now() {
    std::string body;
    base::append_u32(body, 1299);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    base::append_u16(body, 0);
    return msg::frame('F', body);
}

void check_alive() { CHECK(first_value(login().ask(msg::query("SELECT 'alive'"))) == "alive"); }

}  // namespace

TEST_CASE("a simple query answers row description, rows, tag and ready") {
    auto c = login();
    const auto m = c.ask(msg::query("SELECT n, n * 2 AS twice FROM generate_series(1, 3) n"));
    CHECK(types(m) == "TDDDCZ");
    CHECK(rows(m) == std::vector<std::vector<std::string>>{{"1", "2"}, {"2", "4"}, {"3", "6"}});
    CHECK(bodies(m, 'C')[0] == std::string("SELECT 3\0", 9));
    CHECK(ready_status(m) == 'I');
}

TEST_CASE("answers are the same bytes PostgreSQL sends") {
    auto direct = RawClient::login(Cluster::shared().port());
    auto c = login();
    for (const char* sql : {"SELECT 1, 'two', NULL, 3.5, now() IS NOT NULL",
                            "SELECT",
                            "",
                            ";",
                            "SELECT 1; SELECT 2",
                            "SELECT 1/0",
                            "SELEC 1",
                            "SELECT * FROM nowhere",
                            "SELECT 1; SELECT 1/0; SELECT 3",
                            "SET client_min_messages = notice",
                            "DO $$BEGIN RAISE NOTICE 'hello'; END$$",
                            "SELECT repeat('x', 100000)",
                            "VALUES (1, 'a'), (2, 'b')",
                            "BEGIN",
                            "SELECT 1",
                            "SELECT 1/0",
                            "SELECT 1",
                            "",
                            "ROLLBACK",
                            "COMMIT",
                            "SHOW server_version_num",
                            "SELECT '\xc3\xa9'",
                            "EXPLAIN (COSTS off) SELECT 1",
                            "BEGIN; SELECT 1; COMMIT",
                            "BEGIN; SELECT 1/0; COMMIT",
                            "ROLLBACK"}) {
        INFO(sql);
        CHECK(c.ask(msg::query(sql)) == direct.ask(msg::query(sql)));
    }
}

TEST_CASE("extended batches are the same bytes PostgreSQL sends") {
    auto direct = RawClient::login(Cluster::shared().port());
    auto c = login();
    const auto s = msg::sync();
    for (const std::string& batch :
         {msg::unnamed("SELECT $1::int + 1", {"41"}) + s,
          msg::parse("", "SELECT $1::text, $2::int", {25, 23}) + msg::describe('S', "") + s,
          msg::bind("", "", {std::nullopt, "7"}, 1) + msg::describe('P', "") + msg::execute() + s,
          msg::unnamed("") + s,
          msg::unnamed("SELECT 1") + msg::unnamed("SELECT 1/0") + msg::unnamed("SELECT 3") + s,
          s,
          s + s + s,
          msg::unnamed("SELECT 1") + s + msg::unnamed("SELECT 1/0") + s + msg::unnamed("SELECT 3") +
              s,
          msg::parse("", "SELECT 1; SELECT 2") + s,
          msg::bind("", "missing") + s,
          msg::execute("missing") + s,
          msg::describe('S', "missing") + s,
          msg::describe('P', "missing") + s,
          msg::close('S', "missing") + msg::close('P', "missing") + s,
          msg::unnamed("BEGIN") + s,
          msg::unnamed("SELECT 1/0") + s,
          msg::unnamed("SELECT 1") + s,
          msg::unnamed("") + s,
          msg::unnamed("ROLLBACK") + s,
          msg::parse("", "SELECT $1") + msg::bind("", "", {}) + s}) {
        std::size_t syncs = 0;
        for (std::size_t at = 0; (at = batch.find(s, at)) != std::string::npos; at += s.size())
            ++syncs;
        c.send(batch);
        direct.send(batch);
        for (std::size_t i = 0; i < syncs; ++i) {
            const auto got = c.read_until('Z');
            const auto wanted = direct.read_until('Z');
            INFO(types(wanted), " got ", types(got), " ", error_of(got).message);
            CHECK(got == wanted);
        }
    }
}

TEST_CASE("a query of several statements gives one ReadyForQuery (93)") {
    auto c = login();
    const auto m = c.ask(msg::query("SELECT 1; SELECT 2; BEGIN; SELECT 3"));
    CHECK(types(m) == "TDCTDCCTDCZ");
    CHECK(ready_status(m) == 'T');
    CHECK(types(c.ask(msg::query("ROLLBACK"))) == "CZ");
    CHECK(!c.poll(Seconds(0.05)));
}

TEST_CASE("an empty query is answered, also in a failed transaction (92)") {
    auto c = login();
    CHECK(types(c.ask(msg::query(""))) == "IZ");
    CHECK(types(c.ask(msg::query(" ; "))) == "IZ");
    c.ask(msg::query("BEGIN"));
    CHECK(ready_status(c.ask(msg::query("SELECT 1/0"))) == 'E');
    auto m = c.ask(msg::query(""));
    CHECK(types(m) == "IZ");
    CHECK(ready_status(m) == 'E');
    m = c.ask(msg::unnamed("") + msg::sync());
    CHECK(types(m) == "1EZ");  // the Parse passes, the Bind does not
    m = c.ask(msg::query("SELECT 1"));
    CHECK(error_of(m).sqlstate == "25P02");
    CHECK(ready_status(c.ask(msg::query("ROLLBACK"))) == 'I');
}

TEST_CASE("messages split at every byte are put together") {
    auto c = login();
    const auto batch =
        msg::query("SELECT 'one'") + msg::unnamed("SELECT $1::text", {"two"}) + msg::sync();
    for (std::size_t n = 1; n < batch.size(); ++n) {
        c.send(std::string_view(batch).substr(0, n));
        sleep_for(Seconds(0.0005));
        c.send(std::string_view(batch).substr(n));
        CHECK(first_value(c.read_until('Z')) == "one");
        const auto m = c.read_until('Z');
        CHECK(types(m) == "12TDCZ");
        CHECK(first_value(m) == "two");
    }
}

TEST_CASE("after an error the rest of the batch is skipped up to Sync (56, 78)") {
    auto c = login();
    auto m = c.ask(msg::unnamed("SELECT 1") + msg::unnamed("SELECT 1/0") +
                   msg::parse("later", "SELECT 2") + msg::bind("", "later") + msg::execute() +
                   msg::sync());
    CHECK(types(m) == "12TDC1EZ");
    CHECK(error_of(m).sqlstate == "22012");
    CHECK(ready_status(m) == 'I');
    // What was skipped never happened.
    m = c.ask(msg::bind("", "later") + msg::execute() + msg::sync());
    CHECK(types(m) == "EZ");
    CHECK(error_of(m).sqlstate == "26000");
}

TEST_CASE("an error in a pipeline in an explicit block fails the block (78)") {
    auto c = login();
    auto m = c.ask(msg::unnamed("BEGIN") + msg::unnamed("SELECT 1/0") + msg::unnamed("SELECT 2") +
                   msg::sync());
    CHECK(types(m) == "12nC1EZ");
    CHECK(ready_status(m) == 'E');
    m = c.ask(msg::unnamed("SELECT 1") + msg::sync());
    CHECK(error_of(m).sqlstate == "25P02");
    CHECK(ready_status(m) == 'E');
    m = c.ask(msg::unnamed("ROLLBACK") + msg::sync());
    CHECK(ready_status(m) == 'I');
}

TEST_CASE("a batch with an error rolls back what the batch did before it (78)") {
    auto c = login();
    c.ask(msg::query("CREATE TABLE batch_rollback (n int)"));
    c.ask(msg::unnamed("INSERT INTO batch_rollback VALUES (1)") + msg::unnamed("SELECT 1/0") +
          msg::sync());
    CHECK(first_value(c.ask(msg::query("SELECT count(*) FROM batch_rollback"))) == "0");
    c.ask(msg::unnamed("INSERT INTO batch_rollback VALUES (1)") + msg::sync() +
          msg::unnamed("SELECT 1/0") + msg::sync());
    c.read_until('Z');
    CHECK(first_value(c.ask(msg::query("SELECT count(*) FROM batch_rollback"))) == "1");
    c.ask(msg::query("DROP TABLE batch_rollback"));
}

TEST_CASE("pipelined batches are answered in order, each with its ReadyForQuery (27)") {
    auto c = login();
    std::string all;
    for (int i = 0; i < 200; ++i) {
        all += msg::unnamed("SELECT $1::text", {std::to_string(i)}) + msg::sync();
        if (i % 3 == 0) all += msg::query("SELECT 'q" + std::to_string(i) + "'");
    }
    c.send(all);
    for (int i = 0; i < 200; ++i) {
        CHECK(first_value(c.read_until('Z')) == std::to_string(i));
        if (i % 3 == 0) CHECK(first_value(c.read_until('Z')) == "q" + std::to_string(i));
    }
    CHECK(!c.poll(Seconds(0.05)));
}

TEST_CASE("Flush brings the answers before Sync") {
    auto c = login();
    c.send(msg::unnamed("SELECT 'early'") + msg::flush());
    const auto m = c.read_until('C');
    CHECK(types(m) == "12TDC");
    CHECK(first_value(m) == "early");
    CHECK(!c.poll(Seconds(0.05)));
    CHECK(types(c.ask(msg::sync())) == "Z");
}

TEST_CASE("Parse alone with Flush is answered, and a later batch binds it") {
    auto c = login();
    c.send(msg::parse("p1", "SELECT $1::int * 2") + msg::describe('S', "p1") + msg::flush());
    auto m = c.read_until('T');
    CHECK(types(m) == "1tT");
    m = c.ask(msg::bind("", "p1", {"21"}) + msg::execute() + msg::sync());
    CHECK(types(m) == "2DCZ");
    CHECK(first_value(m) == "42");
}

TEST_CASE(
    "an Execute with a row limit suspends its portal, and goes on within the transaction (62)") {
    auto c = login();
    c.ask(msg::query("BEGIN"));
    auto m = c.ask(msg::parse("", "SELECT n FROM generate_series(1, 5) n") + msg::bind("cur", "") +
                   msg::execute("cur", 2) + msg::sync());
    CHECK(types(m) == "12DDsZ");
    CHECK(ready_status(m) == 'T');
    // Other clients' work goes on meanwhile.
    check_alive();
    m = c.ask(msg::execute("cur", 2) + msg::sync());
    CHECK(types(m) == "DDsZ");
    CHECK(rows(m)[1][0] == "4");
    m = c.ask(msg::execute("cur", 0) + msg::close('P', "cur") + msg::sync());
    CHECK(types(m) == "DC3Z");
    CHECK(ready_status(c.ask(msg::query("COMMIT"))) == 'I');
}

TEST_CASE(
    "a suspended portal outside a transaction goes on before Sync, and is gone after it (62)") {
    auto c = login();
    c.send(msg::parse("", "SELECT n FROM generate_series(1, 3) n") + msg::bind("", "") +
           msg::execute("", 1) + msg::flush());
    CHECK(types(c.read_until('s')) == "12Ds");
    CHECK(types(c.ask(msg::execute("", 0) + msg::sync())) == "DDCZ");
    const auto m = c.ask(msg::execute("", 0) + msg::sync());
    CHECK(error_of(m).sqlstate == "34000");
}

TEST_CASE("a Bind with 65,535 parameters and one of 20 MB go through (60)") {
    auto c = login();
    std::string sql = "SELECT cardinality(array_remove(ARRAY[$1";
    for (int i = 2; i <= 65535; ++i) sql += ",$" + std::to_string(i);
    std::vector<msg::Value> values;
    for (int i = 0; i < 65535; ++i) values.push_back(i % 2 == 0 ? msg::Value("1") : std::nullopt);
    auto m = c.ask(msg::parse("", sql + "], NULL))", std::vector<std::uint32_t>(65535, 23)) +
                   msg::bind("", "", values) + msg::execute() + msg::sync());
    CHECK(first_value(m) == "32768");
    m = c.ask(msg::unnamed("SELECT length($1::text)", {std::string(20'000'000, 'b')}) +
              msg::sync());
    CHECK(first_value(m) == "20000000");
}

TEST_CASE("large rows and many rows come through whole (70)") {
    auto c = login();
    auto m = c.ask(msg::query("SELECT repeat('r', 30000000)"));
    CHECK(first_value(m).size() == 30'000'000);
    m = c.ask(msg::query("SELECT n, repeat('z', 200) FROM generate_series(1, 50000) n"));
    CHECK(count_type(m, 'D') == 50000);
    CHECK(rows(m)[49999][0] == "50000");
}

TEST_CASE("answers of any length around the buffers' sizes come through (84)") {
    auto c = login();
    for (const int size : {4096, 8192, 16384, 32768, 65536, 131072, 262144}) {
        for (int off = -40; off <= 0; off += 1) {
            const auto m =
                c.ask(msg::query("SELECT repeat('s', " + std::to_string(size + off) + ")"));
            REQUIRE(first_value(m).size() == static_cast<std::size_t>(size + off));
        }
    }
}

TEST_CASE(
    "wrong lengths and types after the login are a FATAL 08P01 or a hang-up, and harm nobody "
    "(76, S16)") {
    const auto header = [](char type, std::uint32_t length) {
        std::string h(1, type);
        base::append_u32(h, length);
        return h;
    };
    for (const auto& bytes :
         {header('Q', 3), header('Q', 0), header('Q', 0xffffffff), header('Q', 0x7fffffff),
          header('Q', 0x80000000), header('P', 0x40000000), header('C', 10'001),
          header('D', 10'001), header('E', 10'001), header('H', 10'001), header('S', 10'001),
          header('X', 10'001), header('c', 10'001), header('f', 0x3fffffff)}) {
        auto c = login();
        c.send(bytes);
        const auto m = c.read_to_end();
        CHECK(m.size() <= 1);
        if (!m.empty()) {
            CHECK(error_of(m).severity == "FATAL");
            CHECK(error_of(m).sqlstate == "08P01");
        }
    }
    for (const char type : {'T', 'Z', 'R', '\0', '\x7f', 'k', 'q', '1'}) {
        auto c = login();
        c.send(msg::frame(type, "junk"));
        const auto m = c.read_to_end();
        REQUIRE(m.size() == 1);
        CHECK(error_of(m).severity == "FATAL");
        CHECK(error_of(m).sqlstate == "08P01");
    }
    check_alive();
}

TEST_CASE("a message whose body lies about itself is refused, and harms nobody (76)") {
    std::string params = std::string("\0\0\0\0\xff\xff", 6) + "x";
    const std::vector<std::string> liars{
        msg::frame('Q', "SELECT 1"),  // no NUL
        msg::frame('P', "name"),      // no NUL
        msg::frame('P', std::string("\0SELECT 1\0\xff\xff", 12)),
        msg::frame('B', params),
        msg::frame('D', "S"),
        msg::frame('D', std::string("Q\0", 2)),
        msg::frame('C', std::string("?\0", 2)),
        msg::frame('E', std::string("\0\0", 2)),
    };
    for (const auto& liar : liars) {
        INFO(liar);
        auto c = login();
        auto direct = RawClient::login(Cluster::shared().port());
        const auto answer = [&liar](RawClient& who) -> ServerError {
            who.send(liar + msg::sync());
            try {
                return error_of(who.read_until('E'));
            } catch (const Closed&) {
                return {};
            }
        };
        CHECK(answer(c).sqlstate == answer(direct).sqlstate);
    }
    check_alive();
}

TEST_CASE("FunctionCall is answered") {
    auto c = login();
    const auto m = c.ask(call_now());
    CHECK(types(m) == "VZ");
    CHECK(bodies(m, 'V')[0].size() > 10);
    CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
}

TEST_CASE("a Query or FunctionCall behind what fails in a batch is skipped up to Sync (78)") {
    const auto long_text = "SELECT 5 /*" + std::string(2 << 20, 'x') + "*/";
    for (const auto& fails :
         {msg::describe('P', "none"), msg::execute("none"), msg::bind("", "none")}) {
        for (const auto& skipped : {msg::query("SELECT 5"), call_now(), msg::query(long_text)}) {
            auto c = login();
            c.send(fails + skipped);
            CHECK(c.read().type == 'E');
            CHECK(!c.poll(Seconds(0.05)));
            CHECK(types(c.ask(msg::sync())) == "Z");
            CHECK(types(c.ask(fails + skipped + msg::sync())) == "EZ");
            CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
        }
    }
}

TEST_CASE("a Query in the middle of a batch ends it") {
    auto c = login();
    const auto batch = msg::unnamed("SELECT 1");
    CHECK(types(c.ask(batch + msg::query("SELECT 2"))) == "12TDCTDCZ");
    CHECK(types(c.ask(batch + call_now())) == "12TDCVZ");
    c.send(batch + msg::query("SELECT 1 / 0") + batch + msg::sync());
    CHECK(types(c.read_until('Z')) == "12TDCEZ");
    CHECK(types(c.read_until('Z')) == "12TDCZ");
}

TEST_CASE("notices and parameter changes arrive at their place") {
    auto c = login();
    auto m = c.ask(msg::query("DO $$BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END$$"));
    CHECK(count_type(m, 'N') == 2);
    m = c.ask(msg::query("SET application_name = 'renamed'"));
    CHECK(parameter_status(m, "application_name") == "renamed");
    CHECK(first_value(c.ask(msg::query("SHOW application_name"))) == "renamed");
}

TEST_CASE("errors and notices that quote megabytes come through, and the session lives") {
    auto c = login();
    const std::string large(2'000'000, 'x');
    const auto m = c.ask(msg::query("SELECT '" + large + "'::int"));
    CHECK(error_of(m).sqlstate == "22P02");
    CHECK(error_of(m).message.find(large) != std::string::npos);
    const auto bound = c.ask(msg::unnamed("SELECT $1::int", {large}) + msg::sync());
    CHECK(error_of(bound).message.find(large) != std::string::npos);
    const auto noticed = c.ask(
        msg::query("DO $$ BEGIN RAISE NOTICE '%', repeat('n', 3000000); END $$; SELECT 'after'"));
    CHECK(first_value(noticed) == "after");
    REQUIRE(count_type(noticed, 'N') == 1);
    CHECK(bodies(noticed, 'N').at(0).size() > 3'000'000);
}

TEST_CASE("Terminate ends the session without a word, also in the middle of a batch") {
    auto c = login();
    c.send(msg::terminate());
    CHECK(c.read_to_end().empty());
    auto d = login();
    d.send(msg::query("BEGIN") + msg::terminate());
    CHECK(types(d.read_to_end()).size() <= 2);
    check_alive();
}

TEST_CASE("BEGIN in all its forms starts a transaction with its properties (63)") {
    auto c = login();
    auto m = c.ask(msg::parse("b", "BEGIN") + msg::describe('S', "b") + msg::sync());
    CHECK(types(m) == "1tnZ");
    m = c.ask(msg::bind("", "b") + msg::describe('P', "") + msg::execute() + msg::sync());
    CHECK(types(m) == "2nCZ");
    CHECK(ready_status(m) == 'T');
    c.ask(msg::query("ROLLBACK"));
    c.ask(msg::query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"));
    CHECK(first_value(c.ask(msg::query("SHOW transaction_isolation"))) == "serializable");
    CHECK(first_value(c.ask(msg::query("SHOW transaction_read_only"))) == "on");
    c.ask(msg::query("COMMIT"));
    m = c.ask(msg::query("COMMIT"));
    CHECK(count_type(m, 'N') == 1);  // WARNING: there is no transaction in progress
    c.ask(msg::query("START TRANSACTION"));
    m = c.ask(msg::query("BEGIN"));
    CHECK(count_type(m, 'N') == 1);
    CHECK(ready_status(m) == 'T');
    c.ask(msg::query("ABORT"));
}
