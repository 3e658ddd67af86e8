// BEGIN that is kept back: what the client is told meanwhile, what the server gets, and what
// happens where the first statement, or BEGIN itself, fails.
#include <doctest/doctest.h>

#include "fakes.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;

namespace {

struct Lazy : Stage {
    explicit Lazy(unsigned servers = 1) : Stage(servers) {
        identity.lazy_begin = true;
        start();
    }
    void send(std::string_view bytes) { session->on_client_bytes(bytes); }
};

std::string alone(std::string_view sql) {
    return parse("", sql) + bind("", "") + describe('P', "") + execute() + end_batch();
}
/// The server's answer to a BEGIN it had not prepared yet.
std::string begun() { return message('1') + message('2') + complete("BEGIN"); }

}  // namespace

TEST_CASE("BEGIN and the end of an empty transaction need no server") {
    Lazy s(0);
    for (const auto* end : {"commit", "END;", "rollback", "abort work"}) {
        INFO(end);
        s.send(ask("begin isolation level serializable"));
        CHECK(s.client_got() == complete("BEGIN") + ready('T'));
        CHECK(s.session->in_transaction());
        s.send(ask(end));
        const bool commits = end[0] == 'c' || end[0] == 'E';
        CHECK(s.client_got() == complete(commits ? "COMMIT" : "ROLLBACK") + ready('I'));
        CHECK_FALSE(s.session->in_transaction());
    }
    s.send(ask("start transaction"));
    CHECK(s.client_got() == complete("START TRANSACTION") + ready('T'));
    s.send(end_batch());
    CHECK(s.client_got() == ready('T'));
    CHECK(s.pool.queue.empty());
}

TEST_CASE("BEGIN goes to the server with its exact text, ahead of the first statement") {
    Lazy s;
    const std::string text = "/* 1 */ Begin  Isolation Level SERIALIZABLE";
    s.send(ask(text));
    CHECK(types(s.client_got()) == "CZ");
    CHECK(s.server_got().empty());
    s.send(ask("select 1"));
    const auto got = s.server_got();
    CHECK(types(got) == "PBEQ");
    CHECK(got.find(text) != std::string::npos);
    CHECK(s.server().sends == 1);
    s.reply(begun() + rows() + ready('T'));
    CHECK(s.client_got() == rows() + ready('T'));
    CHECK(s.server().leased);
    s.send(ask("commit"));
    CHECK(types(s.server_got()) == "Q");
    s.reply(complete("COMMIT") + ready());
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("a BEGIN that is always the same stays prepared on the server") {
    Lazy s;
    for (const bool first : {true, false}) {
        s.send(ask("begin"));
        s.send(ask("select 1"));
        CHECK(types(s.server_got()) == (first ? "PBEQ" : "BEQ"));
        s.reply((first ? message('1') : "") + message('2') + complete("BEGIN") + rows() +
                ready('T'));
        s.send(ask("commit"));
        s.server_got();
        s.reply(complete("COMMIT") + ready());
    }
}

TEST_CASE("the extended protocol keeps BEGIN back, too, named or not") {
    Lazy s;
    s.send(alone("BEGIN"));
    CHECK(types(s.client_got()) == "12nCZ");
    s.send(alone("COMMIT"));
    const auto got = s.client_got();
    CHECK(types(got) == "12nCZ");
    CHECK(got.ends_with(complete("COMMIT") + ready('I')));
    s.send(parse("b", "BEGIN READ ONLY") + bind("", "b") + execute() + end_batch());
    CHECK(types(s.client_got()) == "12CZ");
    s.send(bind("", "b") + execute() + end_batch());  // BEGIN in BEGIN: the server warns
    CHECK(types(s.server_got()) == "PBEBES");         // one statement for both
    CHECK(s.client_got().empty());
    s.reply(begun() + message('2') + message('N', std::string_view("\0", 1)) + complete("BEGIN") +
            ready('T'));
    CHECK(types(s.client_got()) == "2NCZ");
}

TEST_CASE("a batch behind BEGIN goes to the server in one piece with it") {
    Lazy s;
    s.send(ask("begin") + parse("", "select 1") + bind("", "") + execute() + end_batch());
    CHECK(types(s.server_got()) == "PBEPBES");
    CHECK(s.server().sends == 1);
    s.reply(begun() + message('1') + message('2') + rows() + ready('T'));
    CHECK(types(s.client_got()) == "CZ12TDCZ");
}

TEST_CASE("COMMIT AND CHAIN, savepoints and SET TRANSACTION need the server") {
    for (const auto* sql : {"commit and chain", "savepoint a", "set transaction read only"}) {
        Lazy s;
        s.send(ask("begin"));
        s.client_got();
        s.send(ask(sql));
        CHECK(types(s.server_got()) == "PBEQ");
    }
}

TEST_CASE("where BEGIN is refused, nothing behind it runs, and the transaction has failed") {
    Lazy s;
    s.send(ask("begin"));
    s.client_got();
    s.send(ask("delete from t") + ask("delete from u"));
    CHECK(types(s.server_got()) == "PBEQ");  // the second waits for BEGIN
    s.reply(message('1') + error("57014", "canceled"));
    CHECK(types(s.server_got()) == "S");  // which ends what the server skips
    s.reply(ready('I'));
    CHECK(s.client_got() == error("57014", "canceled") + ready('E') +
                                error("25P02",
                                      "current transaction is aborted, commands ignored until end "
                                      "of transaction block") +
                                ready('E'));
    CHECK_FALSE(s.server().leased);
    CHECK(s.server_got().empty());
    s.send(ask("commit"));
    CHECK(s.client_got() == complete("ROLLBACK") + ready('I'));
}

TEST_CASE("where BEGIN is refused ahead of a batch, the batch is skipped up to its Sync") {
    for (const bool at_once : {true, false}) {
        Lazy s;
        s.send(ask("begin"));
        s.client_got();
        s.send(parse("", "delete from t") + message('H'));
        if (at_once) s.send(bind("", "") + execute() + end_batch());
        CHECK(types(s.server_got()) == (at_once ? "PBEPHBES" : "PBEPH"));
        s.reply(message('1') + message('2') + error("57014", "canceled"));
        CHECK(types(s.client_got()) == "E");
        if (!at_once) {
            s.send(bind("", "") + execute() + end_batch());
            CHECK(types(s.server_got()) == "S");
        }
        s.reply(ready('I'));
        CHECK(s.client_got() == ready('E'));
        CHECK_FALSE(s.server().leased);
        s.send(alone("select 1"));
        CHECK(types(s.client_got()) == "EZ");
        s.send(alone("rollback"));
        CHECK(s.client_got().ends_with(complete("ROLLBACK") + ready('I')));
    }
}

TEST_CASE("no server in time fails the transaction, which only its end leaves") {
    Lazy s(0);
    s.send(ask("begin"));
    s.send(ask("select 1"));
    s.client_got();
    s.pool.queue.clear();
    s.session->on_lease_failed({"53300", "timed out", "", false});
    CHECK(s.client_got() == error("53300", "timed out") + ready('E'));
    s.send(ask("select 1"));
    CHECK(s.client_got().find("25P02") != std::string::npos);
    s.send(message('F', "whatever"));
    CHECK(types(s.client_got()) == "EZ");
    CHECK(s.pool.queue.empty());
    s.send(ask("rollback; select 1"));
    CHECK(s.pool.queue.size() == 1);
}

TEST_CASE("a cancel while the first statement waits fails the transaction") {
    Lazy s(0);
    s.send(ask("begin"));
    s.send(alone("select 1"));
    s.client_got();
    s.session->on_cancel_request();
    const auto got = s.client_got();
    CHECK(got.find("57014") != std::string::npos);
    CHECK(got.ends_with(ready('E')));
}

TEST_CASE("a client that leaves with a BEGIN kept back leaves nothing") {
    Lazy s;
    s.send(ask("begin"));
    s.session->on_client_gone();
    CHECK(s.pool.releases.empty());
    CHECK(s.server_got().empty());
}

TEST_CASE("what the server skips of a batch that comes late is skipped here, too") {
    Stage s;
    s.start().on_client_bytes(parse("", "selec") + message('H'));
    s.reply(error("42601", "syntax error"));
    s.server_got();
    s.session->on_client_bytes(bind("", "") + execute() + end_batch() + ask("select 1"));
    CHECK(types(s.server_got()) == "SQ");
    s.reply(ready() + rows() + ready());
    CHECK(types(s.client_got()) == "EZTDCZ");
    CHECK_FALSE(s.server().leased);
}

TEST_CASE("a conversation with a BEGIN kept back is the same however its bytes are cut") {
    struct Step {
        std::string from_client, from_server;
    };
    const Step steps[] = {
        {ask("begin"), ""},
        {ask("select 1"), begun() + rows() + ready('T')},
        {ask("commit"), complete("COMMIT") + ready()},
        {alone("begin"), ""},
        {alone("select 2"),
         message('2') + complete("BEGIN") + message('1') + message('2') + rows() + ready('T')},
        {ask("rollback"), complete("ROLLBACK") + ready()},
    };
    std::string expected;
    for (std::size_t cut = 0; cut < 60; ++cut) {
        Lazy s;
        std::string all;
        for (const auto& step : steps) {
            for (const bool client : {true, false}) {
                const std::string_view bytes = client ? step.from_client : step.from_server;
                const auto at = cut == 0 ? bytes.size() : std::min(cut, bytes.size());
                for (const auto part : {bytes.substr(0, at), bytes.substr(at)}) {
                    if (part.empty()) continue;
                    if (client)
                        s.send(part);
                    else
                        s.reply(part);
                }
            }
            all += s.client_got();
        }
        if (cut == 0) expected = all;
        CHECK(types(all) == "CZTDCZCZ12nCZ12TDCZCZ");
        CHECK(all == expected);
        CHECK_FALSE(s.server().leased);
    }
}
