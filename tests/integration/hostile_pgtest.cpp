// Servers that misbehave: rubbish, cut messages, sudden ends, missing fields. The client gets one
// clear error, the server connection is never used again. Numbers in names: protocol traps.
#include <doctest/doctest.h>

#include <atomic>

#include "pgweir/base/bytes.hpp"
#include "support/mock_server.hpp"
#include "support/proxy.hpp"

using namespace pgweir::testing;

namespace {

ProxyOptions options(const MockServer& server,
                     const std::string& pool = "{min_size: 0, max_size: 1}") {
    return {{{"cache", "{enabled: false}"},
             {"control", ""},
             {"pool", pool},
             {"databases", "{\"*\": {host: 127.0.0.1, port: " + std::to_string(server.port()) +
                               ", tls: {mode: disable}}}"}},
            {},
            {},
            server.port()};
}

/// Sends a query and gives all that comes up to ReadyForQuery or the end of the connection.
Messages outcome(RawClient& c, const std::string& bytes) {
    Messages all;
    try {
        c.send(bytes);
        do all.push_back(c.read());
        while (all.back().type != 'Z');
    } catch (const Closed&) {
    }
    return all;
}

/// A server that does `misdeed` on the query that asks for it and is an honest one else.
MockServer::Script misbehaving(std::function<void(MockConnection&)> misdeed) {
    return [misdeed](MockConnection& c) {
        if (!c.login()) return;
        while (const auto m = c.read()) {
            if (m->type == 'X') return;
            if (m->type == 'Q' && m->body.starts_with("SELECT 'misbehave'")) {
                misdeed(c);
                continue;
            }
            if (m->type == 'Q') c.send(reply::one_row("q", "honest") + reply::ready());
            if (m->type == 'S') c.send(reply::ready());
        }
    };
}

/// The error the client of such a server sees; then a new session must find an honest server.
ServerError error_after(std::function<void(MockConnection&)> misdeed) {
    MockServer server(misbehaving(std::move(misdeed)));
    Proxy p(options(server));
    auto c = RawClient::login(p.port());
    const auto m = outcome(c, msg::query("SELECT 'misbehave'"));
    CHECK(count_type(m, 'E') == 1);
    auto next = RawClient::login(p.port());
    CHECK(first_value(next.ask(msg::query("SELECT 1"))) == "honest");
    return error_of(m);
}

}  // namespace

TEST_CASE("a server that breaks the framing is FATAL 08P01 and is never used again") {
    for (const std::string& rubbish :
         {std::string("\x01\x02\x03\x04\x05rubbish"), std::string("D\0\0\0\3", 5),
          std::string("D\xff\xff\xff\xff", 5), msg::frame('\x7f', "x"), msg::frame('p', "x")}) {
        const auto e = error_after([&](MockConnection& c) { c.send(rubbish); });
        CHECK(e.severity == "FATAL");
        CHECK(e.sqlstate == "08P01");
    }
}

TEST_CASE("a server that hangs up in an answer is 08006, wherever it stops") {
    const auto answer = reply::one_row("q", "some value") + reply::ready();
    for (std::size_t n = 0; n < answer.size(); n += 3) {
        INFO("cut after ", n);
        MockServer server(misbehaving([&](MockConnection& c) {
            c.send(std::string_view(answer).substr(0, n));
            if (n % 2 == 0)
                c.reset();
            else
                c.close();
        }));
        Proxy p(options(server));
        auto c = RawClient::login(p.port());
        const auto m = outcome(c, msg::query("SELECT 'misbehave'"));
        CHECK(ready_status(m) == '?');
        // Behind half a message that is already on its way no error can be said.
        const bool told = count_type(m, 'E') == 1;
        const bool cut_in_a_message = !told && n > types(m).size() * 5;
        CHECK((told || cut_in_a_message));
        if (told) CHECK(error_of(m).sqlstate == "08006");
        auto next = RawClient::login(p.port());
        CHECK(first_value(next.ask(msg::query("SELECT 1"))) == "honest");
    }
}

TEST_CASE("a server that hangs up on COMMIT leaves the outcome unknown: FATAL 08007") {
    MockServer server([](MockConnection& c) {
        if (!c.login()) return;
        while (const auto m = c.read()) {
            if (m->type != 'Q') continue;
            if (m->body.starts_with("COMMIT")) return c.reset();
            c.send(reply::complete("BEGIN") +
                   reply::ready(m->body.starts_with("BEGIN") ? 'T' : 'T'));
        }
    });
    Proxy p(options(server, "{min_size: 0, max_size: 1, lazy_begin: false}"));
    auto c = RawClient::login(p.port());
    c.ask(msg::query("BEGIN"));
    c.ask(msg::query("UPDATE t SET n = 1"));
    const auto m = outcome(c, msg::query("COMMIT"));
    CHECK(count_type(m, 'E') == 1);
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "08007");
}

TEST_CASE("a server's own FATAL is passed on once, and no second error follows (40)") {
    const auto e = error_after([](MockConnection& c) {
        c.send(
            reply::error("FATAL", "57P01", "terminating connection due to administrator command"));
        c.close();
    });
    CHECK(e.sqlstate == "57P01");
    CHECK(e.message == "terminating connection due to administrator command");
}

TEST_CASE("errors without a SQLSTATE, without any field or without an end are survived (13, S06)") {
    for (const std::string& body :
         {std::string("SERROR\0Mno code\0\0", 17), std::string("\0", 1), std::string(),
          std::string("SERR"), std::string("C12345\0C99999\0Mtwo\0\0", 20)}) {
        MockServer server(misbehaving(
            [&](MockConnection& c) { c.send(msg::frame('E', body) + reply::ready()); }));
        Proxy p(options(server));
        auto c = RawClient::login(p.port());
        outcome(c, msg::query("SELECT 'misbehave'"));
        auto next = RawClient::login(p.port());
        CHECK(first_value(next.ask(msg::query("SELECT 1"))) == "honest");
    }
}

TEST_CASE("rows that lie about their lengths pass as they came, and are nobody else's (S17)") {
    const auto row = [](std::uint16_t columns, std::uint32_t length, const std::string& data) {
        std::string body;
        pgweir::base::append_u16(body, columns);
        pgweir::base::append_u32(body, length);
        return msg::frame('D', body + data);
    };
    const auto description = reply::one_row("q", "x").substr(0, reply::one_row("q", "x").find('D'));
    for (const auto& liar :
         {row(1, 0xfffffffe, "abc"), row(1, 0x80000000, "abc"), row(1, 4, "abc"),
          row(1, 0x7fffffff, ""), row(0xffff, 1, "a"), row(0, 1, "a"), msg::frame('D', "")}) {
        MockServer server(misbehaving([&](MockConnection& c) {
            c.send(description + liar + reply::complete("SELECT 1") + reply::ready());
        }));
        Proxy p(options(server));
        auto c = RawClient::login(p.port());
        const auto m = outcome(c, msg::query("SELECT 'misbehave'"));
        CHECK(bodies(m, 'D') == std::vector<std::string>{liar.substr(5)});
        auto next = RawClient::login(p.port());
        CHECK(first_value(next.ask(msg::query("SELECT 1"))) == "honest");
    }
}

TEST_CASE("a server that is starting up is waited for; the wait's end says 57P03") {
    std::atomic<int> refusals{3};
    MockServer server([&](MockConnection& c) {
        if (!c.read_startup()) return;
        if (refusals-- > 0) {
            c.send(reply::error("FATAL", "57P03", "the database system is starting up"));
            return;
        }
        if (!c.accept_login()) return;
        c.serve([](const std::string&) { return reply::one_row("q", "up"); });
    });
    auto o = options(server, "{min_size: 0, max_size: 1, wait_timeout: 3s}");
    o.sections["auth"] = "{method: trust}";
    Proxy p(o);
    auto c = RawClient::login(p.port());
    CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "up");
    CHECK(refusals <= 0);
    refusals = 1'000'000;
    Proxy q(o);
    RawClient late(q.port());
    late.send(msg::startup({{"user", "app"}, {"database", "app"}}));
    const auto m = late.read_to_end();
    CHECK(count_type(m, 'E') == 1);
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "57P03");
}

TEST_CASE("a server that answers neither a query nor its cancel: one FATAL 57014, and closed") {
    std::atomic<int> cancels{0};
    MockServer server([&](MockConnection& c) {
        if (!c.login()) {
            cancels += c.cancelled();
            return;
        }
        while (const auto m = c.read())
            if (m->type == 'Q' && !m->body.starts_with("SELECT 'hang'"))
                c.send(reply::one_row("q", "honest") + reply::ready());
    });
    auto o = options(server);
    o.sections["timeouts"] = "{query: 100ms}";
    Proxy p(o);
    auto c = RawClient::login(p.port());
    const auto m = outcome(c, msg::query("SELECT 'hang'"));
    CHECK(count_type(m, 'E') == 1);
    CHECK(error_of(m).severity == "FATAL");
    CHECK(error_of(m).sqlstate == "57014");
    CHECK(cancels >= 1);  // the timeout's, and one as the connection is given up
}

TEST_CASE("an error without fields while logging in to the server is survived (13, 42)") {
    std::atomic<int> logins{0};
    MockServer server([&](MockConnection& c) {
        if (logins++ < 1) {
            c.read_startup();
            c.send(msg::frame('E', ""));
            return;
        }
        if (!c.login()) return;
        c.serve([](const std::string&) { return reply::one_row("q", "honest"); });
    });
    Proxy p(options(server));
    CHECK(eventually([&] {
        try {
            auto c = RawClient::login(p.port());
            return first_value(c.ask(msg::query("SELECT 1"))) == "honest";
        } catch (const std::runtime_error&) {
            return false;
        }
    }));
}

TEST_CASE("notices before and between the messages of a login are skipped (12, 19)") {
    MockServer server([](MockConnection& c) {
        std::string notice;
        for (int i = 0; i < 50; ++i) {
            auto one = reply::error("NOTICE", "00000", std::string(2000, 'n'));
            one[0] = 'N';
            notice += one;
        }
        if (!c.login()) return;
        c.serve([&](const std::string&) { return notice + reply::one_row("q", "after notices"); });
    });
    Proxy p(options(server));
    auto c = RawClient::login(p.port());
    const auto m = c.ask(msg::query("SELECT 1"));
    CHECK(count_type(m, 'N') == 50);
    CHECK(first_value(m) == "after notices");
}

TEST_CASE("what an idle server says unasked reaches no client, and rows unasked close it (28)") {
    std::atomic<int> connections{0};
    MockServer server([&](MockConnection& c) {
        const int number = ++connections;
        if (!c.login()) return;
        while (const auto m = c.read()) {
            if (m->type == 'X') return;
            if (m->type != 'Q') continue;
            c.send(reply::one_row("q", "server " + std::to_string(number)) + reply::ready());
            sleep_for(Seconds(0.05));
            if (m->body.starts_with("SELECT 'then notice'")) {
                auto notice = reply::error("NOTICE", "00000", "by the way");
                notice[0] = 'N';
                c.send(notice + reply::parameter("TimeZone", "Asia/Tokyo"));
            }
            if (m->body.starts_with("SELECT 'then rows'")) c.send(reply::one_row("q", "forged"));
        }
    });
    Proxy p(options(server));
    auto c = RawClient::login(p.port());
    c.ask(msg::query("SELECT 'then notice'"));
    sleep_for(Seconds(0.1));
    const auto first = first_value(c.ask(msg::query("SELECT 1")));
    c.ask(msg::query("SELECT 'then rows'"));
    sleep_for(Seconds(0.1));
    auto d = RawClient::login(p.port());
    const auto answer = first_value(d.ask(msg::query("SELECT 1")));
    CHECK(answer != "forged");
    CHECK(answer != first);  // another server connection
    CHECK(!d.poll(Seconds(0.05)));
}

TEST_CASE("a server whose reset fails is closed, not handed on (37)") {
    std::atomic<int> connections{0};
    MockServer server([&](MockConnection& c) {
        const auto name = "server " + std::to_string(++connections);
        if (!c.login()) return;
        c.serve([&](const std::string& sql) {
            if (sql.starts_with("DISCARD") || sql.starts_with("RESET") ||
                sql.starts_with("ROLLBACK"))
                return reply::error("ERROR", "XX000", "cannot");
            return reply::one_row("q", name);
        });
    });
    Proxy p(options(server, "{mode: session, min_size: 0, max_size: 1}"));
    std::string first;
    {
        auto c = RawClient::login(p.port());
        first = first_value(c.ask(msg::query("SELECT 1")));
        c.ask(msg::query("SET work_mem = '1MB'"));
    }
    auto d = RawClient::login(p.port());
    CHECK(first_value(d.ask(msg::query("SELECT 1"))) != first);
}

TEST_CASE("a server that never answers a login is given up after the connect timeout (08001)") {
    MockServer server([](MockConnection& c) {
        c.read_startup();
        c.read();
    });
    auto o = options(server, "{min_size: 0, max_size: 1, wait_timeout: 3s}");
    o.sections["timeouts"] = "{connect: 500ms}";
    Proxy p(o);
    const auto start = std::chrono::steady_clock::now();
    RawClient c(p.port());
    const auto m = outcome(c, msg::startup({{"user", "app"}, {"database", "app"}}));
    CHECK((error_of(m).sqlstate == "08001" || error_of(m).sqlstate == "53300"));
    CHECK(Seconds(std::chrono::steady_clock::now() - start).count() < 5);
}

TEST_CASE(
    "a server that asks for odd passwords or sends odd login messages is refused (14, S05, S22)") {
    const auto auth = [](std::uint32_t code, std::string rest) {
        std::string body{'\0', '\0', '\0', static_cast<char>(code)};
        return msg::frame('R', body + rest);
    };
    const std::vector<std::string> greetings{auth(2, ""),
                                             auth(6, ""),
                                             auth(7, ""),
                                             auth(99, ""),
                                             auth(10, std::string("X-UNKNOWN\0\0", 11)),
                                             auth(10, ""),
                                             auth(11, "r="),
                                             auth(12, "v="),
                                             msg::frame('R', ""),
                                             msg::frame('R', "\0"),
                                             msg::frame('Z', "I"),
                                             msg::frame('D', "x"),
                                             std::string("E\x40\0\0\0", 5)};
    for (const auto& greeting : greetings) {
        MockServer server([&](MockConnection& c) {
            c.read_startup();
            // What follows would do for a login, if what is odd were passed over.
            if (c.send(greeting) && c.accept_login())
                c.serve([](const std::string&) { return reply::one_row("q", "forged"); });
        });
        auto o = options(server, "{min_size: 0, max_size: 1, wait_timeout: 1s}");
        o.sections["timeouts"] = "{connect: 500ms}";
        Proxy p(o);
        RawClient c(p.port());
        const auto m = outcome(c, msg::startup({{"user", "app"}, {"database", "app"}}));
        CHECK(count_type(m, 'E') == 1);
        CHECK(ready_status(m) == '?');
        CHECK(p.running());
        if (!kSanitized) CHECK(p.resident_kib() < 200 * 1024);
    }
}
