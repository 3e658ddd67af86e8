// Notifications for sessions that hold no server: one connection listens for all, each is served
// from one place in the order of notifications on, and told when a session of PostgreSQL's own
// would tell.
#include <doctest/doctest.h>

#include "fakes.hpp"

using namespace pgweir;
using namespace pgweir::session;
using namespace pgweir::session::testing;

namespace {

constexpr std::uint32_t kOwnPid = 0x1000007;

std::string notification(std::string_view channel, std::string_view payload,
                         std::uint32_t sender = 99) {
    std::string body;
    base::append_u32(body, sender);
    base::append_cstring(body, channel);
    base::append_cstring(body, payload);
    return message('A', body);
}

/// Several sessions of one pool. Server 0 becomes the one that listens.
struct Listeners : Stage {
    explicit Listeners(unsigned servers) : Stage(servers) {}
    struct One {
        FakeClient client;
        std::unique_ptr<Session> session;
        void ask(std::string_view sql) { session->on_client_bytes(testing::ask(sql)); }
        std::string got() { return std::exchange(client.sent, {}); }
    };
    One& add() {
        auto& one = all.emplace_back();
        one.session = std::make_unique<Session>(env, one.client, pool,
                                                std::make_shared<Identity>(identity), "");
        one.session->session_id = all.size();
        one.session->own_pid = kOwnPid;
        return one;
    }
    /// The first that listens: its server is the hub's then.
    One& first(std::string_view channel = "bell") {
        auto& one = add();
        one.ask("listen " + std::string(channel));
        one.session->on_server_bytes(complete("LISTEN") + ready());
        CHECK(types(one.got()) == "CZ");
        one.session->on_server_bytes(looked("fffft", {}, "none", {channel}));
        server_got(0);
        hub(complete("SET") + ready());
        return one;
    }
    void hub(std::string_view bytes) {
        REQUIRE(server(0).user != nullptr);
        server(0).user->on_server_bytes(bytes);
    }
    std::string mark() {
        const auto sql = server_got(1);
        const auto at = sql.find("NOTIFY ") + 7;
        return sql.substr(at, sql.find(',', at) - at);
    }
    std::deque<One> all;
};

}  // namespace

TEST_CASE("a session that only listens holds no server and is told what comes") {
    Listeners s(1);
    auto& c = s.add();
    c.ask("listen bell");
    c.session->on_server_bytes(complete("LISTEN") + ready());
    CHECK(types(c.got()) == "CZ");
    s.server_got();
    c.session->on_server_bytes(looked("fffft", {}, "none", {"bell"}));
    CHECK(c.session->server() == nullptr);
    CHECK(c.session->pin() == query::PinReason::none);
    // What the client has set is not the others'.
    CHECK(s.server_got().find("SET SESSION AUTHORIZATION DEFAULT; RESET ALL;") !=
          std::string::npos);
    s.hub(complete("SET") + ready());
    s.hub(notification("bell", "ding") + notification("gong", "dong"));
    CHECK(c.got() == notification("bell", "ding"));
    s.all.clear();
    REQUIRE(s.pool.releases.size() == 1);
    CHECK(s.pool.releases[0].how == pool::Release::How::reset);
}

TEST_CASE("a session that joins hears each notification once, whoever brings it first") {
    for (const bool hub_first : {false, true}) {
        Listeners s(2);
        auto& one = s.first();
        auto& two = s.add();
        two.ask("listen bell; listen gong");
        auto own = [&](std::string_view bytes) { two.session->on_server_bytes(bytes); };
        own(complete("LISTEN") + complete("LISTEN") + ready());
        own(looked("fffft", {}, "none", {"bell", "gong"}));
        two.got();
        CHECK(s.server_got(0) == ask("LISTEN \"bell\";LISTEN \"gong\";"));
        s.server_got(1);
        s.hub(complete("LISTEN") + complete("LISTEN") + ready());
        const auto mark = s.mark();
        REQUIRE(mark.starts_with("pgweir_"));
        const auto before = notification("gong", "before");
        const auto marked = notification(mark, "1");
        const auto behind = notification("gong", "behind");
        if (hub_first) s.hub(before + marked + behind);
        own(before + marked + behind);
        if (!hub_first) s.hub(before + marked + behind);
        CHECK(types(two.got()) == "A");  // the hub's wait for the end
        own(complete("LISTEN") + complete("NOTIFY") + ready());
        CHECK(s.server_got(1) == ask("UNLISTEN *"));
        own(notification("gong", "late, and the hub's, too") + complete("UNLISTEN") + ready());
        CHECK(two.got() == behind);
        CHECK(two.session->server() == nullptr);
        s.hub(notification("bell", "all"));
        CHECK(one.got() == notification("bell", "all"));
        CHECK(two.got() == notification("bell", "all"));
        s.hub(notification("gong", "two"));
        CHECK(one.got().empty());
        CHECK(two.got() == notification("gong", "two"));
    }
}

TEST_CASE("a session whose mark does not come stays pinned, and hears from its own server") {
    Listeners s(2);
    s.first();
    auto& two = s.add();
    two.ask("listen gong");
    two.session->on_server_bytes(complete("LISTEN") + ready());
    two.session->on_server_bytes(looked("fffft", {}, "none", {"gong"}));
    s.hub(complete("LISTEN") + ready());
    two.session->on_server_bytes(error("54000", "too many notifications") + ready());
    CHECK(two.session->pin() == query::PinReason::listen);
    two.got();
    s.hub(notification("gong", "once"));
    CHECK(two.got().empty());
    two.session->on_server_bytes(notification("gong", "once"));
    CHECK(two.got() == notification("gong", "once"));
}

TEST_CASE("notifications wait for the end of the transaction and come before ReadyForQuery") {
    Listeners s(2);
    auto& c = s.first();
    c.ask("begin; select 1");
    CHECK(s.server_got(1).empty());  // what others sent through it comes first
    CHECK(s.server_got(0) == ask(""));
    s.hub(message('I') + ready());
    CHECK(s.server_got(1) == ask("begin; select 1"));
    c.session->on_server_bytes(complete("BEGIN") + rows() + ready('T'));
    CHECK(types(c.got()) == "CTDCZ");
    s.hub(notification("bell", "inside"));
    CHECK(c.got().empty());
    c.ask("commit");
    c.session->on_server_bytes(complete("COMMIT") + ready());
    CHECK(types(c.got()) == "C");
    CHECK(c.session->server() != nullptr);
    s.hub(notification("bell", "meanwhile") + message('I') + ready());
    CHECK(c.got() == notification("bell", "inside") + notification("bell", "meanwhile") + ready());
    CHECK(c.session->server() == nullptr);
}

TEST_CASE("what a session notifies itself of comes from the number it was told") {
    Listeners s(2);
    auto& c = s.first();
    c.ask("notify bell");
    s.hub(notification("bell", "another's", 4711) + message('I') + ready());
    CHECK(c.got().empty());
    c.session->on_server_bytes(complete("NOTIFY") + ready());
    s.hub(notification("bell", "", 4711) + message('I') + ready());
    CHECK(c.got() == complete("NOTIFY") + notification("bell", "another's", 4711) +
                         notification("bell", "", kOwnPid) + ready());
    s.hub(notification("bell", "another's", 4711));
    CHECK(c.got() == notification("bell", "another's", 4711));
}

TEST_CASE("UNLISTEN counts when it is committed") {
    Listeners s(2);
    auto& c = s.first("bell");
    const auto run = [&](std::string_view sql, char status) {
        c.ask(sql);
        if (status == 'E')
            c.session->on_server_bytes(error("22012", "no") + ready('I'));
        else
            c.session->on_server_bytes(complete("X") + ready(status));
        if (s.server_got(0) == ask("")) s.hub(message('I') + ready());
        c.got();
    };
    c.ask("select 1");
    s.hub(message('I') + ready());
    c.session->on_server_bytes(rows() + ready());
    s.hub(message('I') + ready());
    s.server_got(0);
    c.got();
    const auto heard = [&] {
        s.hub(notification("bell", "?"));
        return c.got() == notification("bell", "?");
    };
    run("begin; unlisten bell", 'T');
    run("rollback", 'I');
    CHECK(heard());
    run("unlisten bell; select 1/0", 'E');
    CHECK(heard());
    run("unlisten \"Bell\"", 'I');
    CHECK(heard());
    c.ask("unlisten Bell");
    c.session->on_server_bytes(complete("UNLISTEN") + ready());
    CHECK(types(c.got()) == "CZ");
    REQUIRE(s.pool.releases.size() >= 1);
    CHECK_FALSE(s.server(0).leased);  // nobody listens any more
}

TEST_CASE("a session whose notifications may be lost is ended with a word") {
    Listeners s(1);
    auto& c = s.first();
    s.server(0).user->on_server_gone("gone");
    CHECK(types(c.got()) == "E");
    CHECK(c.client.finished);
    CHECK(c.session->ended());
}

TEST_CASE("a client that does not read its notifications is ended, not kept in memory") {
    Listeners s(2);
    auto& c = s.first();
    c.ask("begin; select 1");
    s.hub(message('I') + ready());
    c.session->on_server_bytes(complete("BEGIN") + rows() + ready('T'));
    const auto much = notification("bell", std::string(7000, 'x'));
    for (int i = 0; i < 1300 && !c.session->ended(); ++i) s.hub(much);
    CHECK(c.client.finished);
}

TEST_CASE("who has been notified is given no answer that is older") {
    Listeners s(2);
    auto& c = s.first();
    s.give_cache();
    const auto caught_up = message('I') + ready();
    c.ask("select 3");
    s.hub(caught_up);
    CHECK(types(s.server_got(1)).ends_with('Q'));
    c.session->on_server_bytes(rows() + ready());
    s.hub(caught_up);
    CHECK(types(c.got()) == "TDCZ");
    s.identity.context.database->stream().advance(base::monotonic_now());
    c.ask("select 3");
    CHECK(types(c.got()) == "TDCZ");
    s.hub(notification("bell", "ding"));
    CHECK(types(c.got()) == "A");
    c.ask("select 3");
    CHECK(c.got().empty());
    CHECK(s.env.awaited.size() == 1);
    CHECK(s.server_got(1).empty());
}
