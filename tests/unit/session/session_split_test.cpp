// The same conversation in every fragmentation, and ended after every message by either side.
#include <doctest/doctest.h>

#include "fakes.hpp"

using namespace pgweir;
using namespace pgweir::session::testing;

namespace {

struct Step {
    std::string from_client;
    std::string from_server;  // sent when the server has all of the above
};

std::vector<Step> conversation() {
    return {
        {ask("select 1"), rows() + ready()},
        {parse("s", "select $1") + describe('S', "s") + end_batch(),
         message('1') + message('t', std::string_view("\0\0", 2)) + message('n') + ready()},
        {bind("", "s") + describe('P', "") + execute() + end_batch(),
         message('2') + rows() + ready()},
        {ask("begin"), complete("BEGIN") + ready('T')},
        {bind("", "nosuch") + execute() + end_batch(), error("26000", "no statement") + ready('E')},
        {ask("rollback"), complete("ROLLBACK") + ready()},
        {"", looked()},
        {ask("copy t from stdin"), message('G', std::string_view("\0\0\0", 3))},
        {message('d', "1\n") + message('c'), complete("COPY 1") + ready()},
        {"", looked()},
        {ask("set work_mem = '4MB'"),
         message('S', std::string_view("TimeZone\0UTC\0", 13)) + complete("SET") + ready()},
        {"", looked("fffff", {{"work_mem", "4096"}})},
        {ask("select 2"), rows() + ready()},
    };
}

struct Transcript {
    std::string client, server;
    bool operator==(const Transcript&) const = default;
};

void feed(Stage& s, std::string_view bytes, std::size_t cut, bool from_client) {
    const auto one = bytes.substr(0, std::min(cut, bytes.size()));
    const auto two = bytes.substr(one.size());
    for (const auto part : {one, two}) {
        if (part.empty()) continue;
        if (from_client)
            s.session->on_client_bytes(part);
        else
            s.session->on_server_bytes(part);
    }
}

/// Each step cut at `cut`; npos: every byte alone.
Transcript run(std::size_t cut) {
    Stage s;
    s.start();
    Transcript t;
    for (const auto& step : conversation()) {
        if (cut == std::string::npos) {
            for (const char c : step.from_client) s.session->on_client_bytes({&c, 1});
            for (const char c : step.from_server) s.session->on_server_bytes({&c, 1});
        } else {
            feed(s, step.from_client, cut, true);
            feed(s, step.from_server, cut, false);
        }
        t.client += s.client_got();
        t.server += s.server_got();
    }
    CHECK_FALSE(s.session->ended());
    // The numbers in statement names count on through the process.
    for (auto at = t.server.find("pgweir_"); at != std::string::npos;
         at = t.server.find("pgweir_", at + 1))
        for (auto d = at + 7;
             d < t.server.size() && std::isdigit(static_cast<unsigned char>(t.server[d])); ++d)
            t.server[d] = '#';
    return t;
}

}  // namespace

TEST_CASE("a conversation is the same however its bytes are cut") {
    const auto whole = run(1'000'000);
    CHECK(types(whole.client) == "TDCZ1tnZ2TDCZCZEZCZGCZSCZTDCZ");
    std::size_t longest = 0;
    for (const auto& step : conversation())
        longest = std::max({longest, step.from_client.size(), step.from_server.size()});
    for (std::size_t cut = 1; cut < longest; ++cut) {
        const auto t = run(cut);
        CHECK(t.client == whole.client);
        CHECK(types(t.server) == types(whole.server));
    }
    CHECK(run(std::string::npos).client == whole.client);
}

TEST_CASE("a client that disappears after any byte leaves no lease and no place in the queue") {
    const auto steps = conversation();
    for (std::size_t last = 0; last < steps.size(); ++last) {
        for (std::size_t bytes = 0; bytes <= steps[last].from_client.size(); ++bytes) {
            for (const bool answered : {false, true}) {
                Stage s;
                s.start();
                for (std::size_t i = 0; i < last; ++i) {
                    s.session->on_client_bytes(steps[i].from_client);
                    s.session->on_server_bytes(steps[i].from_server);
                }
                s.session->on_client_bytes(
                    std::string_view(steps[last].from_client).substr(0, bytes));
                if (answered && bytes == steps[last].from_client.size())
                    s.session->on_server_bytes(std::string_view(steps[last].from_server)
                                                   .substr(0, steps[last].from_server.size() / 2));
                s.session->on_client_gone();
                CHECK(s.session->ended());
                CHECK_FALSE(s.server().leased);
                CHECK(s.pool.queue.empty());
                CHECK(s.client.finished);
            }
        }
    }
}

TEST_CASE("a server that disappears after any byte gives its client exactly one error") {
    const auto steps = conversation();
    for (std::size_t last = 0; last < steps.size(); ++last) {
        for (std::size_t bytes = 0; bytes < steps[last].from_server.size(); ++bytes) {
            Stage s;
            s.start();
            for (std::size_t i = 0; i < last; ++i) {
                s.session->on_client_bytes(steps[i].from_client);
                s.session->on_server_bytes(steps[i].from_server);
            }
            s.session->on_client_bytes(steps[last].from_client);
            s.client_got();
            s.session->on_server_bytes(std::string_view(steps[last].from_server).substr(0, bytes));
            if (s.session->server() == nullptr) continue;
            s.session->on_server_gone("gone");
            CHECK(s.session->ended());
            const auto got = s.client_got();
            std::size_t fatals = 0;
            for (auto at = got.find("SFATAL"); at != std::string::npos;
                 at = got.find("SFATAL", at + 1))
                ++fatals;
            CHECK(fatals == 1);
        }
    }
}

TEST_CASE("a waiting client that leaves before its turn is not served") {
    Stage s(0);
    s.start().on_client_bytes(ask("select 1"));
    REQUIRE(s.pool.queue.size() == 1);
    s.session->on_client_gone();
    CHECK(s.pool.queue.empty());
    CHECK(s.pool.releases.empty());
}

TEST_CASE("a server that breaks the protocol ends its session with one error, wherever it is cut") {
    for (const std::string& broken :
         {std::string("D\0\0\0\3x", 6), std::string("\x01\0\0\0\5x", 6), message('2'),
          message('Z', "xx"), ready() + ready(), message('R', std::string_view("\0\0\0\0", 4))})
        for (std::size_t cut = 0; cut < broken.size(); ++cut) {
            CAPTURE(cut);
            Stage s;
            s.start().on_client_bytes(parse("a", "select 1") + end_batch());
            s.reply(broken.substr(0, cut));
            if (!s.session->ended()) s.reply(broken.substr(cut));
            const auto got = s.client_got();
            const auto first = got.find("SFATAL");
            CHECK(first != std::string::npos);
            CHECK(got.find("SFATAL", first + 1) == std::string::npos);
            CHECK(s.session->ended());
            CHECK(s.client.finished);
            CHECK_FALSE(s.server().leased);
        }
}
