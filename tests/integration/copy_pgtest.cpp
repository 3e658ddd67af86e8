// COPY in both directions through a proxy in transaction mode, with the mistakes clients make.
// Numbers in names: the list of protocol traps.
#include <doctest/doctest.h>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(), {{{"pool", "{min_size: 0, max_size: 1}"}}, {}, {}, 0});
    return p;
}
std::uint16_t port() { return proxy().port(); }
RawClient login() { return RawClient::login(port()); }

/// A table of its own for each test case.
class Table {
  public:
    explicit Table(std::string name) : name_(std::move(name)) {
        Cluster::shared().connect("app").run("CREATE TABLE " + name_ + " (n int, t text)");
    }
    ~Table() { Cluster::shared().connect("app").exec("DROP TABLE " + name_); }
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;
    std::string count() const {
        return Cluster::shared().connect("app").value("SELECT count(*) FROM " + name_);
    }

  private:
    std::string name_;
};

/// A statement trigger that sleeps, or fails: in the middle of COPY, after its last row or before
/// it reads the first.
void add_trigger(const std::string& table, const std::string& when, const std::string& body) {
    Cluster::shared().connect("app").run("CREATE OR REPLACE FUNCTION " + table +
                                         "_f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN " +
                                         body + "; RETURN NULL; END$$; CREATE TRIGGER g " + when +
                                         " INSERT ON " + table +
                                         " FOR EACH STATEMENT EXECUTE FUNCTION " + table + "_f()");
}

std::string copy_from(const std::string& table) {
    return msg::parse("", "COPY " + table + " FROM STDIN") + msg::bind("", "") + msg::execute();
}
std::string run(const std::string& sql) {
    return msg::parse("", sql) + msg::bind("", "") + msg::execute();
}

void check_served() { CHECK(first_value(login().ask(msg::query("SELECT 'served'"))) == "served"); }

}  // namespace

TEST_CASE("COPY IN of many messages arrives whole") {
    Table table("copy_in");
    auto c = login();
    c.send(msg::query("COPY copy_in FROM STDIN"));
    CHECK(types(c.read_until('G')) == "G");
    std::string data;
    for (int i = 0; i < 50000; ++i) data += msg::copy_data(std::to_string(i) + "\tline\n");
    c.send(data + msg::copy_done());
    const auto m = c.read_until('Z');
    CHECK(types(m) == "CZ");
    CHECK(bodies(m, 'C')[0] == std::string("COPY 50000\0", 11));
    CHECK(table.count() == "50000");
}

TEST_CASE("COPY IN sent in one write with its query, and byte by byte") {
    Table table("copy_pieces");
    auto c = login();
    const auto all = msg::query("COPY copy_pieces FROM STDIN") + msg::copy_data("1\ta\n2\t") +
                     msg::copy_data("b\n") + msg::copy_done();
    CHECK(types(c.ask(all)) == "GCZ");
    c.send_pieces(all, 1);
    CHECK(types(c.read_until('Z')) == "GCZ");
    CHECK(table.count() == "4");
}

TEST_CASE("COPY OUT comes through whole") {
    auto c = login();
    const auto m =
        c.ask(msg::query("COPY (SELECT n, repeat('o', 100) FROM generate_series(1, 50000) "
                         "n) TO STDOUT"));
    CHECK(count_type(m, 'd') == 50000);
    CHECK(bodies(m, 'd')[49999] == "50000\t" + std::string(100, 'o') + "\n");
    CHECK(types(m).substr(50000) == "dcCZ");
}

TEST_CASE("COPY keeps its server connection until the end, also outside a transaction (68)") {
    Table table("copy_held");
    auto c = login();
    c.send(msg::query("COPY copy_held FROM STDIN"));
    c.read_until('G');
    auto other = login();
    other.send(msg::query("SELECT 'waited'"));
    if (!Proxy::direct()) CHECK(!other.poll(Seconds(0.2)));
    c.send(msg::copy_data("1\tx\n"));
    c.send(msg::copy_done());
    CHECK(types(c.read_until('Z')) == "CZ");
    CHECK(first_value(other.read_until('Z')) == "waited");
    CHECK(table.count() == "1");
}

TEST_CASE("Sync between Execute and CopyDone is ignored by the server (66)") {
    Table table("copy_sync");
    auto c = login();
    c.send(msg::unnamed("COPY copy_sync FROM STDIN") + msg::sync());
    CHECK(types(c.read_until('G')) == "12nG");
    CHECK(!c.poll(Seconds(0.05)));
    c.send(msg::copy_data("1\tx\n") + msg::sync() + msg::copy_data("2\ty\n") + msg::copy_done() +
           msg::sync());
    CHECK(types(c.read_until('Z')) == "CZ");
    CHECK(!c.poll(Seconds(0.05)));
    CHECK(table.count() == "2");
    check_served();
}

TEST_CASE("Flush inside COPY is ignored (69)") {
    Table table("copy_flush");
    auto c = login();
    CHECK(types(c.ask(msg::query("COPY copy_flush FROM STDIN") + msg::copy_data("1\tx\n") +
                      msg::flush() + msg::copy_data("2\ty\n") + msg::flush() + msg::copy_done())) ==
          "GCZ");
    CHECK(table.count() == "2");
}

TEST_CASE("CopyFail ends the COPY with its reason and stores nothing") {
    Table table("copy_fail");
    auto c = login();
    auto m = c.ask(msg::query("COPY copy_fail FROM STDIN") + msg::copy_data("1\tx\n") +
                   msg::copy_fail("no more"));
    CHECK(types(m) == "GEZ");
    CHECK(error_of(m).sqlstate == "57014");
    CHECK(error_of(m).message.find("no more") != std::string::npos);
    CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
    CHECK(table.count() == "0");
}

TEST_CASE("what a client still sends after a server error in COPY IN is swallowed (67)") {
    Table table("copy_error");
    auto c = login();
    auto m = c.ask(msg::query("COPY copy_error FROM STDIN") + msg::copy_data("not a number\tx\n"));
    CHECK(types(m) == "GEZ");
    CHECK(error_of(m).sqlstate == "22P02");
    c.send(msg::copy_data("2\ty\n") + msg::copy_data("3\tz\n"));
    c.send(msg::copy_done());
    CHECK(first_value(c.ask(msg::query("SELECT 'after'"))) == "after");
    CHECK(!c.poll(Seconds(0.05)));
    check_served();
    m = c.ask(msg::query("COPY copy_error FROM STDIN") + msg::copy_data("bad\tx\n"));
    CHECK(types(m) == "GEZ");
    check_served();
    c.send(msg::copy_fail("late"));
    CHECK(first_value(c.ask(msg::query("SELECT 'again'"))) == "again");
    CHECK(table.count() == "0");
}

TEST_CASE("an error in COPY IN of an extended batch waits for the client's Sync (67)") {
    Table table("copy_xerror");
    auto c = login();
    c.send(msg::unnamed("COPY copy_xerror FROM STDIN"));
    c.send(msg::copy_data("bad\tx\n") + msg::copy_data("2\ty\n") + msg::copy_done() + msg::sync());
    Messages m;
    try {
        do m.push_back(c.read());
        while (m.back().type != 'Z');
    } catch (const Closed&) {
    }
    INFO(error_of(m).message);
    REQUIRE(types(m) == "12nGEZ");
    CHECK(!c.poll(Seconds(0.05)));
    CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
    check_served();
}

TEST_CASE("several COPYs in one query follow each other") {
    Table table("copy_twice");
    auto c = login();
    c.send(msg::query("COPY copy_twice FROM STDIN; SELECT 'between'; COPY copy_twice FROM STDIN"));
    CHECK(types(c.read_until('G')) == "G");
    c.send(msg::copy_data("1\ta\n") + msg::copy_done());
    CHECK(types(c.read_until('G')) == "CTDCG");
    c.send(msg::copy_data("2\tb\n") + msg::copy_done());
    CHECK(types(c.read_until('Z')) == "CZ");
    CHECK(table.count() == "2");
}

TEST_CASE("COPY inside a transaction is rolled back with it") {
    Table table("copy_block");
    auto c = login();
    c.ask(msg::query("BEGIN"));
    auto m = c.ask(msg::query("COPY copy_block FROM STDIN") + msg::copy_data("1\ta\n") +
                   msg::copy_done());
    CHECK(ready_status(m) == 'T');
    c.ask(msg::query("ROLLBACK"));
    CHECK(table.count() == "0");
}

TEST_CASE("a query in the middle of COPY IN is the error PostgreSQL makes of it") {
    Table table("copy_mess");
    auto direct = RawClient::login(Cluster::shared().port());
    auto c = login();
    for (auto* who : {&c, &direct}) {
        who->send(msg::query("COPY copy_mess FROM STDIN"));
        who->read_until('G');
        who->send(msg::query("SELECT 1"));
        const auto m = who->read_until('E');
        CHECK(error_of(m).sqlstate == "08P01");
    }
    check_served();
    CHECK(table.count() == "0");
}

TEST_CASE("a client that vanishes in COPY leaves no rows and a usable server connection (36)") {
    Table table("copy_gone");
    for (const bool hard : {true, false}) {
        auto c = login();
        c.send(msg::query("COPY copy_gone FROM STDIN"));
        c.read_until('G');
        c.send(msg::copy_data("1\tx\n"));
        if (hard)
            c.reset();
        else
            c.close();
        check_served();
        CHECK(table.count() == "0");
    }
    auto c = login();
    c.send(msg::query("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 200000)) TO STDOUT"));
    c.read();
    c.reset();
    check_served();
}

TEST_CASE("what is sent behind a COPY that still works waits for its own answer (29)") {
    Table table("copy_behind");
    add_trigger("copy_behind", "AFTER", "PERFORM pg_sleep(0.6)");
    const auto copy = msg::query("COPY copy_behind FROM STDIN") + msg::copy_data("1\tx\n") +
                      msg::copy_done() + msg::query("SELECT 1");
    const std::string own = "SELECT 'own', pg_sleep(0.3)";
    for (const auto& late : {msg::query(own), run(own) + msg::sync()}) {
        auto c = login();
        auto other = login();
        c.send(copy);
        CHECK(c.read().type == 'G');
        CHECK(!c.poll(Seconds(0.2)));
        c.send(late);
        other.send(msg::query("SELECT 'other'"));
        Messages m;
        for (int ready = 0; ready < 3; ready += m.back().type == 'Z') m.push_back(c.read());
        CHECK(rows(m).back().at(0) == "own");
        CHECK(first_value(other.read_until('Z')) == "other");
        CHECK(!c.poll(Seconds(0.05)));
        CHECK(!other.poll(Seconds(0.05)));
    }
    CHECK(table.count() == "2");
}

TEST_CASE("several COPYs in one query are told from what follows them") {
    Table table("copy_many");
    const auto copies = msg::query("COPY copy_many FROM STDIN; COPY copy_many FROM STDIN");
    const auto data = msg::copy_data("1\ta\n") + msg::copy_done();
    auto c = login();
    c.send(copies + data + data + msg::query("SELECT 'next'"));
    CHECK(types(c.read_until('Z')) == "GCGCZ");
    CHECK(first_value(c.read_until('Z')) == "next");
    c.send(copies + data);
    CHECK(types(c.read_until('G')) == "G");
    CHECK(types(c.read_until('G')) == "CG");
    CHECK(!c.poll(Seconds(0.05)));
    CHECK(types(c.ask(msg::sync() + data)) == "CZ");
    CHECK(table.count() == "4");
    check_served();
}

TEST_CASE("a COPY in a batch may be followed by others without waiting for it (66)") {
    Table table("copy_pipeline");
    const auto copy = copy_from("copy_pipeline");
    const auto data = msg::copy_data("1\ta\n") + msg::copy_done();
    const auto next = run("SELECT 1") + msg::sync();
    auto c = login();
    c.send(copy + data + msg::sync() + next);
    CHECK(types(c.read_until('Z')) == "12GCZ");
    CHECK(types(c.read_until('Z')) == "12DCZ");
    CHECK(types(c.ask(copy + data + next)) == "12GC12DCZ");
    CHECK(types(c.ask(copy + msg::copy_fail("no") + next)) == "12GEZ");
    c.send(copy + data + msg::sync() + copy + msg::copy_data("2\tb\n") + msg::sync() +
           msg::copy_done() + msg::sync() + copy + msg::sync() + data + msg::sync() + next);
    for (int i = 0; i < 3; ++i) CHECK(types(c.read_until('Z')) == "12GCZ");
    CHECK(types(c.read_until('Z')) == "12DCZ");
    c.send(copy + msg::copy_data("bad\tx\n") + msg::copy_done() + msg::sync() + next);
    CHECK(types(c.read_until('Z')) == "12GEZ");
    CHECK(types(c.read_until('Z')) == "12DCZ");
    CHECK(!c.poll(Seconds(0.05)));
    CHECK(table.count() == "5");
    check_served();
}

TEST_CASE("a Sync between refused data of a COPY and its end is answered (66)") {
    auto c = login();
    c.ask(msg::query("CREATE TABLE IF NOT EXISTS refuses (n int)"));
    for (int i = 0; i < 5; ++i) {
        c.send(msg::parse("", "COPY refuses FROM STDIN") + msg::bind("", "") + msg::execute() +
               msg::copy_data("bad\n") + msg::sync() + msg::copy_done() + msg::sync() +
               msg::parse("", "SELECT 'end'") + msg::bind("", "") + msg::execute() + msg::sync());
        CHECK(types(c.read_until('Z')).ends_with("EZ"));
        CHECK(types(c.read_until('Z')) == "Z");
        CHECK(types(c.read_until('Z')) == "12DCZ");
    }
}

TEST_CASE("the Sync of a COPY that fails before it reads is answered (66)") {
    Table table("copy_early");
    auto direct = Cluster::shared().connect("app");
    direct.run("CREATE OR REPLACE VIEW copy_view AS SELECT 1 AS n");
    add_trigger("copy_early", "BEFORE", "PERFORM pg_sleep(0.1); RAISE 'not today'");
    const auto data = msg::copy_data("1\ta\n") + msg::copy_done() + msg::sync();
    for (const std::string name : {"copy_view", "copy_early"}) {
        auto c = login();
        CHECK(types(c.ask(copy_from(name) + msg::sync())) == "12GEZ");
        CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
        CHECK(types(c.ask(copy_from(name) + data)) == "12GEZ");
        CHECK(types(c.ask(msg::query("COPY " + name + " FROM STDIN") + msg::sync())) == "GEZ");
        CHECK(types(c.read_until('Z')) == "Z");
        CHECK(!c.poll(Seconds(0.05)));
        check_served();
    }
    auto c = login();
    CHECK(types(c.ask(copy_from("copy_view") + msg::sync() + msg::sync())) == "12GEZ");
    CHECK(types(c.read_until('Z')) == "Z");
    CHECK(types(c.ask(copy_from("copy_none") + msg::sync())) == "12EZ");
    CHECK(types(c.ask(msg::query("COPY copy_none FROM STDIN") + msg::query("SELECT 1"))) == "EZ");
    CHECK(first_value(c.read_until('Z')) == "1");
    direct.run("DROP VIEW copy_view");
}

TEST_CASE("a COPY whose client leaves before it begins keeps no server connection (36)") {
    Table table("copy_left");
    auto locks = Cluster::shared().connect("app");
    for (const auto& copy : {msg::query("COPY copy_left FROM STDIN"), copy_from("copy_left")}) {
        locks.run("BEGIN; LOCK copy_left IN ACCESS EXCLUSIVE MODE");
        auto c = login();
        c.send(copy + msg::flush());
        CHECK(!c.poll(Seconds(0.1)).has_value());
        c.close();
        locks.run("ROLLBACK");
        check_served();
    }
}
