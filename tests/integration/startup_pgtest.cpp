// Start-up as strangers do it: fragments, wrong lengths, requests out of order, options. Every
// expectation is what PostgreSQL itself answers. Numbers in names: the list of protocol traps.
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

const msg::Parameters kApp{{"user", "app"}, {"database", "app"}};

std::string with(const msg::Parameters& more, std::uint32_t version = 196608) {
    auto all = kApp;
    all.insert(all.end(), more.begin(), more.end());
    return msg::startup(all, version);
}

void check_alive() {
    auto c = RawClient::login(port());
    CHECK(first_value(c.ask(msg::query("SELECT 'alive'"))) == "alive");
}

std::string packet(std::uint32_t length, std::uint32_t code) {
    std::string p;
    base::append_u32(p, length);
    base::append_u32(p, code);
    return p;
}

/// Sends a start-up packet and gives all that comes until the first ReadyForQuery or the end.
Messages outcome(RawClient& c, std::string_view bytes) {
    c.send(bytes);
    Messages all;
    try {
        do all.push_back(c.read());
        while (all.back().type != 'Z');
    } catch (const Closed&) {
    }
    return all;
}

}  // namespace

TEST_CASE("a start-up packet split at any byte logs in (1)") {
    const auto whole = with({{"application_name", "split"}});
    for (std::size_t n = 1; n < whole.size(); ++n) {
        RawClient c(port());
        c.send(std::string_view(whole).substr(0, n));
        sleep_for(Seconds(0.001));
        const auto m = outcome(c, std::string_view(whole).substr(n));
        REQUIRE_MESSAGE(ready_status(m) == 'I', "split at ", n);
    }
    RawClient c(port());
    c.send_pieces(whole, 1);
    CHECK(ready_status(c.read_until('Z')) == 'I');
}

TEST_CASE("a start-up packet of nearly 10,000 bytes logs in, a longer one is hung up on (1)") {
    RawClient c(port());
    const auto m = outcome(c, with({{"application_name", std::string(9900, 'n')}}));
    REQUIRE(ready_status(m) == 'I');
    CHECK(first_value(c.ask(msg::query("SHOW application_name"))) == std::string(63, 'n'));
    RawClient longer(port());
    longer.send(with({{"application_name", std::string(10100, 'n')}}));
    CHECK(longer.read_to_end().empty());
    check_alive();
}

TEST_CASE(
    "TLS and GSS requests are refused with one byte, in either order, and the login goes on (4)" *
    doctest::skip(Proxy::direct())) {
    for (const bool gss_first : {true, false}) {
        RawClient c(port());
        c.send(gss_first ? msg::gssenc_request() : msg::ssl_request());
        CHECK(c.read_bytes(1) == "N");
        c.send(gss_first ? msg::ssl_request() : msg::gssenc_request());
        CHECK(c.read_bytes(1) == "N");
        CHECK(ready_status(outcome(c, with({}))) == 'I');
    }
}

TEST_CASE("a second request of the same kind ends the connection (4, S20)" *
          doctest::skip(Proxy::direct())) {
    for (const bool ssl : {true, false}) {
        RawClient c(port());
        const auto request = ssl ? msg::ssl_request() : msg::gssenc_request();
        c.send(request);
        CHECK(c.read_bytes(1) == "N");
        c.send(request);
        const auto m = c.read_to_end();
        REQUIRE(m.size() == 1);
        CHECK(error_of(m).severity == "FATAL");
        // PostgreSQL takes the second for a version it does not know.
        CHECK((error_of(m).sqlstate == "0A000" || error_of(m).sqlstate == "08P01"));
    }
    RawClient c(port());
    std::string many;
    for (int i = 0; i < 2000; ++i) many += msg::ssl_request() + msg::gssenc_request();
    try {
        c.send(many);
        CHECK(c.read_rest().size() < 300);
    } catch (const Closed&) {
    }
    check_alive();
}

TEST_CASE("bytes sent behind a TLS or GSS request are never used (3, S01)" *
          doctest::skip(Proxy::direct())) {
    for (const bool ssl : {true, false}) {
        for (const std::string& behind :
             {with({}) + msg::query("SELECT 1"), std::string("x"), std::string(64, '\0')}) {
            RawClient c(port());
            c.send((ssl ? msg::ssl_request() : msg::gssenc_request()) + behind);
            CHECK(c.read_bytes(1) == "N");
            const auto m = c.read_to_end();
            REQUIRE(m.size() == 1);
            CHECK(error_of(m).severity == "FATAL");
            CHECK(error_of(m).sqlstate == "08P01");
            CHECK(error_of(m).message == std::string("received unencrypted data after ") +
                                             (ssl ? "SSL" : "GSSAPI encryption") + " request");
        }
    }
}

TEST_CASE("a newer minor version is negotiated once, with the options not known (5)") {
    for (const std::uint32_t version : {196610u, 196608u + 9999u}) {
        RawClient c(port());
        const auto m = outcome(c, with({{"_pq_.nonsense", "1"}, {"_pq_.other", "x"}}, version));
        REQUIRE(ready_status(m) == 'I');
        const auto negotiated = bodies(m, 'v');
        REQUIRE(negotiated.size() == 1);
        base::ByteReader r(negotiated[0]);
        const auto newest = r.u32();
        CHECK((newest == 196608 || newest == 196610));
        REQUIRE(r.u32() == 2);
        CHECK(r.cstring() == "_pq_.nonsense");
        CHECK(r.cstring() == "_pq_.other");
        CHECK(r.done());
        CHECK(first_value(c.ask(msg::query("SELECT 1"))) == "1");
    }
    RawClient c(port());
    CHECK(count_type(outcome(c, with({})), 'v') == 0);
}

TEST_CASE("protocols 1, 2 and 4 are refused with a clear FATAL (6)") {
    for (const std::uint32_t major : {1u, 2u, 4u, 99u}) {
        if (major < 3 && Proxy::direct()) continue;  // answers in the old protocol's form
        RawClient c(port());
        const auto m = outcome(c, with({}, major << 16));
        REQUIRE(m.size() == 1);
        CHECK(error_of(m).severity == "FATAL");
        CHECK(error_of(m).sqlstate == "0A000");
        CHECK(error_of(m).message.find("unsupported frontend protocol " + std::to_string(major)) ==
              0);
    }
}

TEST_CASE("without a database name the user's name is used; without a user there is no login (7)") {
    RawClient c(port());
    CHECK(ready_status(outcome(c, msg::startup({{"user", "app"}}))) == 'I');
    CHECK(first_value(c.ask(msg::query("SELECT current_database()"))) == "app");
    for (const auto& p : {msg::startup({{"database", "app"}}), msg::startup({{"user", ""}})}) {
        RawClient nobody(port());
        const auto m = outcome(nobody, p);
        CHECK(error_of(m).severity == "FATAL");
        CHECK(error_of(m).sqlstate == "28000");
    }
}

TEST_CASE("settings given as start-up parameters and in options hold, in all their spellings (8)") {
    const auto setting = [](const msg::Parameters& more, const std::string& name) {
        auto c = RawClient::login(port(), "app", "app", more);
        // Twice, with another session's work between: the second may meet another server.
        auto other = RawClient::login(port());
        other.send(msg::query("BEGIN"));
        other.read_until('Z');
        const auto first = first_value(c.ask(msg::query("SHOW " + name)));
        other.ask(msg::query("COMMIT"));
        CHECK(first_value(c.ask(msg::query("SHOW " + name))) == first);
        return first;
    };
    CHECK(setting({{"options", "-c work_mem=5MB"}}, "work_mem") == "5MB");
    CHECK(setting({{"options", "-cwork_mem=6MB"}}, "work_mem") == "6MB");
    CHECK(setting({{"options", "--work-mem=7MB"}}, "work_mem") == "7MB");
    CHECK(setting({{"options", "-c search_path=a,b -c work_mem=8MB"}}, "work_mem") == "8MB");
    CHECK(setting({{"options", "-c search_path=a,\\ b"}}, "search_path") == "a, b");
    CHECK(setting({{"options", "-c application_name=back\\\\slash"}}, "application_name") ==
          "back\\slash");
    CHECK(setting({{"DateStyle", "German"}}, "DateStyle") == "German, DMY");
    CHECK(setting({{"search_path", "pg_catalog"}}, "search_path") == "pg_catalog");
    CHECK(setting({{"application_name", "it's \"quoted\""}}, "application_name") ==
          "it's \"quoted\"");
    CHECK(setting({}, "work_mem") == "4MB");
    CHECK(setting({}, "search_path") == "\"$user\", public");
}

TEST_CASE("a setting PostgreSQL does not know or take refuses the login as PostgreSQL does (8)") {
    const auto refusal = [](const msg::Parameters& more) {
        RawClient c(port());
        return error_of(outcome(c, with(more)));
    };
    CHECK(refusal({{"options", "-c no_such_setting=1"}}).sqlstate == "42704");
    CHECK(refusal({{"work_mem", "much"}}).sqlstate == "22023");
    CHECK(refusal({{"work_mem", "much"}}).severity == "FATAL");
    CHECK(refusal({{"client_encoding", "EBCDIC"}}).severity == "FATAL");
    check_alive();
}

TEST_CASE("an unknown database or role is refused in PostgreSQL's words") {
    const auto refusal = [](const std::string& user, const std::string& db) {
        RawClient c(port());
        return error_of(outcome(c, msg::startup({{"user", user}, {"database", db}})));
    };
    CHECK(refusal("app", "nowhere").sqlstate == "3D000");
    CHECK(refusal("app", "nowhere").message == "database \"nowhere\" does not exist");
    CHECK(refusal("nobody_at_all", "app").sqlstate == "28000");
    CHECK(refusal("app", std::string(9000, 'd')).severity == "FATAL");
    CHECK(refusal("app", "a\n\x1b[31mb").severity == "FATAL");
    check_alive();
}

TEST_CASE("the greeting has the parameters PostgreSQL reports, and a key") {
    auto c = RawClient::login(port());
    auto direct = RawClient::login(Cluster::shared().port());
    for (const char* name :
         {"server_version", "server_encoding", "client_encoding", "application_name", "DateStyle",
          "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings",
          "is_superuser", "session_authorization", "default_transaction_read_only",
          "in_hot_standby"}) {
        INFO(name);
        CHECK(parameter_status(c.greeting(), name) == parameter_status(direct.greeting(), name));
    }
    CHECK(c.backend_key().size() >= 4);
    auto second = RawClient::login(port());
    CHECK((c.backend_pid() != second.backend_pid() || c.backend_key() != second.backend_key()));
}

TEST_CASE("a wrong length or a wrong protocol is hung up on at once (76, S18)") {
    const std::vector<std::string> openings{packet(3, 196608),
                                            packet(0, 196608),
                                            packet(7, 196608),
                                            packet(0x7fffffff, 196608),
                                            packet(0xffffffff, 196608),
                                            packet(0x80000000, 196608),
                                            "GET / HTTP/1.1\r\nHost: x\r\n\r\n"};
    for (const auto& bytes : openings) {
        RawClient c(port());
        c.send(bytes);
        CHECK(c.read_to_end().empty());
    }
    check_alive();
}

TEST_CASE("any message type before the start-up packet is hung up on (S11)") {
    for (int type = 1; type < 256; ++type) {
        RawClient c(port());
        c.send(msg::frame(static_cast<char>(type)));
        CHECK(c.read_to_end().empty());
    }
    check_alive();
}

TEST_CASE("start-up parameters without an end are a protocol violation") {
    std::string body;
    base::append_cstring(body, "user");
    body += "app";
    std::string p;
    base::append_u32(p, static_cast<std::uint32_t>(body.size() + 8));
    base::append_u32(p, 196608);
    RawClient c(port());
    const auto m = outcome(c, p + body);
    CHECK(error_of(m).sqlstate == "08P01");
}

TEST_CASE("claims of huge packets cost no memory (S18)" * doctest::skip(Proxy::direct())) {
    check_alive();
    const auto before = proxy().resident_kib();
    std::vector<RawClient> clients;
    for (int i = 0; i < 200; ++i) {
        clients.emplace_back(port());
        clients.back().send(packet(i % 2 == 0 ? 9999 : 1u << 20, 196608));
    }
    // And after the login, where long messages are allowed.
    for (const char type : {'Q', 'P'}) {
        clients.push_back(RawClient::login(port()));
        clients.back().send(std::string(1, type) + std::string("\x0f\0\0\0", 4));
    }
    sleep_for(Seconds(0.2));
    CHECK(proxy().resident_kib() - before < 16 * 1024);
    check_alive();
}

TEST_CASE("a client that leaves before saying a word leaves no line in the log (22)" *
          doctest::skip(Proxy::direct())) {
    check_alive();
    sleep_for(Seconds(0.1));
    const auto before = proxy().log();
    const int files = proxy().open_files();
    for (int i = 0; i < 20; ++i) RawClient(port()).close();
    for (int i = 0; i < 20; ++i) RawClient(port()).reset();
    CHECK(eventually([&] { return proxy().open_files() <= files; }));
    CHECK(proxy().log() == before);
}

TEST_CASE("names from strangers cannot forge lines of the log (96)" *
          doctest::skip(Proxy::direct())) {
    RawClient c(port());
    outcome(c,
            msg::startup({{"user", "eve\n2026-01-01 FORGED line"}, {"database", "app\r\nFORGED"}}));
    check_alive();
    CHECK(proxy().log().find("\n2026-01-01 FORGED") == std::string::npos);
    CHECK(proxy().log().find("\nFORGED") == std::string::npos);
}
