// LISTEN, UNLISTEN and NOTIFY in transaction mode: whoever listens hears what PostgreSQL would tell
// a session of its own, and holds no server connection while it waits.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

using namespace pgweir::testing;

namespace {

Proxy& proxy() {
    static Proxy p(Cluster::shared(),
                   {{{"workers", "1"}, {"pool", "{min_size: 0, max_size: 3}"}}, {}, {}, 0});
    return p;
}
RawClient login(const msg::Parameters& more = {}) {
    return RawClient::login(proxy().port(), "app", "app", more);
}
struct Heard {
    std::uint32_t sender = 0;
    std::string channel, payload;
    bool operator==(const Heard&) const = default;
};
Heard heard(const Message& m) {
    REQUIRE(m.type == 'A');
    Heard h;
    for (int i = 0; i < 4; ++i) h.sender = h.sender << 8 | static_cast<unsigned char>(m.body[i]);
    h.channel = m.body.c_str() + 4;
    h.payload = m.body.c_str() + 4 + h.channel.size() + 1;
    return h;
}
/// The next message, which is a notification: "channel payload".
std::string hears(RawClient& c) {
    const auto h = heard(c.read());
    return h.channel + " " + h.payload;
}
/// The notifications among the messages, "channel payload" each, joined by commas.
std::string among(const Messages& messages) {
    std::string all;
    for (const auto& m : messages)
        if (m.type == 'A') all += heard(m).channel + " " + heard(m).payload + ",";
    return all;
}
void notify(const std::string& channel, const std::string& payload) {
    Cluster::shared().value("SELECT pg_notify('" + channel + "', '" + payload + "')");
}
/// Asks the server, not the cache: what was committed comes ahead of the answer's end.
const std::string kAskServer = msg::query("SELECT clock_timestamp()");
/// Nothing more has come: asked behind all that was committed.
bool silent(RawClient& c) { return among(c.ask(kAskServer)).empty(); }

}  // namespace

TEST_CASE("more clients listen than there are server connections, and all of them hear" *
          doctest::skip(Proxy::direct())) {
    std::vector<RawClient> clients;
    for (int i = 0; i < 20; ++i) {
        auto& c = clients.emplace_back(login());
        REQUIRE(value_of(c, i % 2 == 0 ? "LISTEN bell" : "LISTEN bell; LISTEN gong").empty());
    }
    auto other = login();
    CHECK(value_of(other, "SELECT 1") == "1");
    notify("bell", "ding");
    for (auto& c : clients) CHECK(hears(c) == "bell ding");
    value_of(other, "NOTIFY gong, 'dong'");
    for (std::size_t i = 1; i < clients.size(); i += 2) CHECK(hears(clients[i]) == "gong dong");
    for (auto& c : clients) CHECK(silent(c));
    CHECK(Cluster::shared().backends() <= 3);
    CHECK(Cluster::shared().value("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                  "'pgweir notifications'") == "1");
    clients.clear();
    CHECK(eventually([] {
        return Cluster::shared().value(
                   "SELECT count(*) FROM pg_stat_activity WHERE "
                   "application_name = 'pgweir notifications'") == "0";
    }));
}

TEST_CASE("each notification comes once and in order, from LISTEN on, while others come and go") {
    std::atomic<bool> done{false};
    std::thread source([&] {
        auto c = Cluster::shared().connect();
        for (int i = 1; !done; ++i) c.run("SELECT pg_notify('count', '" + std::to_string(i) + "')");
    });
    std::string wrong;
    std::vector<std::thread> listeners;
    std::mutex mutex;
    for (int n = 0; n < 3; ++n)
        listeners.emplace_back([&] {
            for (int round = 0; round < 12; ++round) {
                auto c = login();
                const auto answer = c.ask(msg::query(
                    round % 3 == 0 ? "BEGIN; LISTEN count; LISTEN other; COMMIT" : "LISTEN count"));
                REQUIRE(error_of(answer).message == "");
                int last = 0;
                for (int i = 0; i < 40; ++i) {
                    Messages got;
                    if (i % 8 == 7)
                        got = c.ask(msg::query("SELECT 1"));
                    else
                        got.push_back(c.read());
                    for (const auto& m : got) {
                        if (m.type != 'A') continue;
                        const int now = std::stoi(m.body.c_str() + 4 + 6);
                        const std::scoped_lock lock(mutex);
                        if (last != 0 && now != last + 1)
                            wrong += std::to_string(now) + " after " + std::to_string(last) + "; ";
                        last = now;
                    }
                }
            }
        });
    for (auto& t : listeners) t.join();
    done = true;
    source.join();
    CHECK(wrong == "");
}

TEST_CASE("a session's own notification comes before ReadyForQuery, from its own number") {
    auto a = login();
    auto b = login();
    for (auto* c : {&a, &b}) {
        REQUIRE(value_of(*c, "LISTEN bell").empty());
        CHECK(silent(*c));  // handed over by now
    }
    for (int i = 0; i < 3; ++i) {
        const auto mine = a.ask(msg::query("NOTIFY bell, 'mine'"));
        REQUIRE(among(mine) == "bell mine,");
        CHECK(mine.back().type == 'Z');
        for (const auto& m : mine)
            if (m.type == 'A') CHECK(heard(m).sender == a.backend_pid());
        const auto theirs = heard(b.read());
        CHECK(theirs.payload == "mine");
        CHECK(theirs.sender == a.backend_pid());
        const auto yours = b.ask(msg::unnamed("SELECT pg_notify('bell', 'yours')") + msg::sync());
        CHECK(among(yours) == "bell yours,");
        CHECK(heard(a.read()).sender == b.backend_pid());
    }
    auto third = login();
    value_of(third, "NOTIFY bell, 'third'");
    CHECK(heard(a.read()).sender == third.backend_pid());
}

TEST_CASE("who listens is told the sender's number as its client knows it, across workers") {
    Proxy p(Cluster::shared(),
            {{{"workers", "2"}, {"pool", "{min_size: 0, max_size: 12}"}}, {}, {}, 0});
    std::vector<RawClient> clients;
    for (std::size_t i = 0; i < 6; ++i) {
        auto& c = clients.emplace_back(RawClient::login(p.port()));
        if (i >= 4) continue;
        REQUIRE(value_of(c, "LISTEN bell").empty());
        CHECK(silent(c));
    }
    const auto each_hears = [&](std::size_t sender, const std::string& sql, auto&& check) {
        for (const auto& m : clients[sender].ask(msg::query(sql)))
            if (m.type == 'A') check(heard(m).sender, sender);
        for (std::size_t i = 0; i < 4; ++i)
            if (i != sender) check(heard(clients[i].read()).sender, i);
    };
    for (std::size_t s = 0; s < clients.size(); ++s)
        each_hears(s, "SELECT pg_notify('bell', '')", [&](std::uint32_t told, std::size_t) {
            CHECK(told == clients[s].backend_pid());
        });
    // Unseen in the text: the own number is still nobody else's.
    Cluster::shared().connect().run(
        "CREATE FUNCTION rings() RETURNS void LANGUAGE sql AS $$SELECT pg_notify('bell', '')$$");
    for (std::size_t s = 0; s < clients.size(); ++s)
        each_hears(s, "SELECT rings()", [&](std::uint32_t told, std::size_t hearer) {
            CHECK((told == clients[hearer].backend_pid()) == (hearer == s));
        });
}

TEST_CASE("what other sessions have committed comes before the answer is complete") {
    auto c = login();
    value_of(c, "LISTEN bell");
    for (int i = 0; i < 20; ++i) {
        notify("bell", std::to_string(i));
        std::string got;
        if (i % 2 == 0) got = among({c.read()});
        got += among(c.ask(kAskServer));
        CHECK(got == "bell " + std::to_string(i) + ",");
    }
}

TEST_CASE("no notification comes inside a transaction") {
    auto c = login();
    value_of(c, "LISTEN bell");
    value_of(c, "BEGIN");
    value_of(c, "SELECT 1");
    notify("bell", "inside");
    for (int i = 0; i < 3; ++i) CHECK(silent(c));
    CHECK(among(c.ask(msg::query("COMMIT"))) == "bell inside,");
    c.ask(msg::query("BEGIN"));
    notify("bell", "nothing ran");
    auto m = c.ask(msg::query("COMMIT"));
    if (among(m).empty()) m.push_back(c.read());
    CHECK(among(m) == "bell nothing ran,");
    value_of(c, "BEGIN");
    CHECK(value_of(c, "SELECT 1/0") == "22012");
    notify("bell", "failed");
    CHECK(value_of(c, "SELECT 1") == "25P02");
    CHECK(among(c.ask(msg::query("ROLLBACK"))) == "bell failed,");
    c.send(msg::query("SELECT 1") + msg::query("SELECT pg_notify('bell', 'piped')") +
           msg::query("SELECT 2"));
    auto all = c.read_until('Z');
    for (int i = 0; i < 2; ++i)
        for (auto& x : c.read_until('Z')) all.push_back(std::move(x));
    CHECK(among(all) == "bell piped,");
}

TEST_CASE("LISTEN and UNLISTEN count when their transaction commits") {
    auto c = login();
    const auto hears_bell = [&] {
        notify("bell", "?");
        return !silent(c);
    };
    value_of(c, "BEGIN; LISTEN bell");
    CHECK(value_of(c, "ROLLBACK").empty());
    CHECK_FALSE(hears_bell());
    CHECK(value_of(c, "LISTEN bell; SELECT 1/0") == "22012");
    CHECK_FALSE(hears_bell());
    value_of(c, "BEGIN");
    value_of(c, "SAVEPOINT s");
    value_of(c, "LISTEN gong");
    value_of(c, "ROLLBACK TO s");
    value_of(c, "LISTEN bell");
    CHECK(among(c.ask(msg::query("NOTIFY bell, 'self'; NOTIFY gong; COMMIT"))) == "bell self,");
    CHECK(hears_bell());
    notify("gong", "");
    CHECK(silent(c));
    value_of(c, "BEGIN; UNLISTEN bell");
    value_of(c, "ROLLBACK");
    CHECK(hears_bell());
    CHECK(value_of(c, "UNLISTEN *; SELECT 1/0") == "22012");
    CHECK(hears_bell());
    value_of(c, "BEGIN");
    value_of(c, "UNLISTEN bell");
    notify("bell", "too late");
    CHECK(among(c.ask(msg::query("COMMIT"))).empty());
    CHECK_FALSE(hears_bell());
    for (const auto* end : {"UNLISTEN bell", "UNLISTEN *", "DISCARD ALL", "unlisten \"bell\""}) {
        INFO(std::string(end));
        c.ask(msg::unnamed("LISTEN bell") + msg::sync());
        CHECK(hears_bell());
        CHECK(value_of(c, end).empty());
        CHECK_FALSE(hears_bell());
    }
    value_of(c, "LISTEN bell");
    c.ask(msg::unnamed("UNLISTEN \"bell\"") + msg::sync());
    CHECK_FALSE(hears_bell());
}

TEST_CASE("channels of any name and payloads of any length come as they are") {
    auto c = login();
    const std::string name = "We\"ird; \xc3\xa4 name";
    value_of(c, "LISTEN \"We\"\"ird; \xc3\xa4 name\"");
    const std::string payload(7999, 'x');
    notify(name, payload);
    CHECK(hears(c) == name + " " + payload);
    notify(name, "");
    CHECK(hears(c) == name + " ");
    auto latin = login({{"client_encoding", "LATIN1"}});
    value_of(latin, "LISTEN \"caf\xe9\"");
    notify("caf\xc3\xa9", "\xc3\xa4");
    CHECK(hears(latin) == "caf\xe9 \xe4");
    value_of(c, "LISTEN \"caf\xc3\xa9\"");
    notify("caf\xc3\xa9", "\xc3\xb6");
    CHECK(hears(latin) == "caf\xe9 \xf6");
    CHECK(hears(c) == "caf\xc3\xa9 \xc3\xb6");
}

TEST_CASE("a session is shown the channels it listens to, and no others") {
    auto a = login();
    auto b = login();
    const std::string list = "SELECT string_agg(c, ' ' ORDER BY c) FROM pg_listening_channels() c";
    for (int i = 0; i < 3; ++i) {
        value_of(a, "LISTEN bell");
        value_of(a, "LISTEN gong");
        value_of(b, "LISTEN horn");
        CHECK(value_of(a, list) == "bell gong");
        CHECK(first_value(b.ask(msg::unnamed(list) + msg::sync())) == "horn");
        CHECK(value_of(a, "BEGIN").empty());
        CHECK(value_of(a, list) == "bell gong");
        CHECK(value_of(a, "COMMIT").empty());
        value_of(a, "UNLISTEN gong");
        CHECK(value_of(a, list) == "bell");
        notify("bell", "once");
        CHECK(hears(a) == "bell once");
        CHECK(silent(a));
    }
    auto c = login();
    CHECK(value_of(c, list) == "NULL");
}

TEST_CASE("a session pinned for something else goes on listening, and its pin can end") {
    auto a = login();
    auto b = login();
    value_of(a, "LISTEN bell");
    value_of(b, "LISTEN bell");
    value_of(b, "CREATE TEMP TABLE kept (n int)");
    value_of(b, "LISTEN gong");
    notify("bell", "1");
    notify("gong", "2");
    CHECK(hears(a) == "bell 1");
    auto got = among({b.read()});
    got += among({b.read()});
    CHECK((got == "bell 1,gong 2," || got == "gong 2,bell 1,"));
    value_of(b, "DROP TABLE kept");
    notify("bell", "3");
    CHECK(hears(b) == "bell 3");
    notify("gong", "4");
    CHECK(hears(b) == "gong 4");
    CHECK(hears(a) == "bell 3");
    CHECK(silent(b));
}

TEST_CASE("when the connection that listens is lost, each client that listened is told" *
          doctest::skip(Proxy::direct())) {
    auto a = login();
    auto b = login();
    auto bystander = login();
    value_of(a, "LISTEN bell");
    value_of(b, "LISTEN gong");
    CHECK(silent(a));
    CHECK(silent(b));  // handed over by now
    CHECK(value_of(bystander, "SELECT 1") == "1");
    Cluster::shared().value(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        "application_name = 'pgweir notifications'");
    for (auto* c : {&a, &b}) {
        const auto end = c->read_to_end();
        CHECK(error_of(end).severity == "FATAL");
        CHECK(error_of(end).sqlstate == "08006");
    }
    CHECK(value_of(bystander, "SELECT 1") == "1");
    auto again = login();
    value_of(again, "LISTEN bell");
    notify("bell", "back");
    CHECK(hears(again) == "bell back");
}
