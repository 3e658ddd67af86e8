#include "pgweir/auth/server_login.hpp"

#include <doctest/doctest.h>

#include "pgweir/auth/md5.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/startup.hpp"

using namespace pgweir;
using auth::PasswordMethod;
using auth::ServerLogin;
using Status = auth::LoginStatus;

namespace {

auth::ServerLoginOptions options(std::optional<std::string> password = "pencil") {
    auth::ServerLoginOptions o;
    o.user = "joe";
    o.database = "app";
    o.secret.password = std::move(password);
    o.may_send_cleartext = true;
    return o;
}

ServerLogin started(std::optional<std::string> password = "pencil") {
    ServerLogin login;
    login.start(options(std::move(password)));
    return login;
}

std::string request(std::uint32_t code, std::string_view rest = {}) {
    std::string body;
    base::append_u32(body, code);
    return body.append(rest);
}

std::string cstring(std::string_view s) {
    std::string out;
    base::append_cstring(out, s);
    return out;
}

const std::string kOffer = request(10, std::string_view("SCRAM-SHA-256\0\0", 15));
const std::string kKey(
    "\0\0\x12\x34"
    "abcd",
    8);

void check_violation(const ServerLogin& login) {
    CHECK(login.status() == Status::failed);
    CHECK(login.failure().sqlstate == "08P01");
    CHECK_FALSE(login.failure().message.empty());
    CHECK_FALSE(login.failure().from_server);
}

/// After AuthenticationOk.
ServerLogin settling() {
    auto login = started();
    REQUIRE(login.feed('R', request(0)).status == Status::need_more);
    return login;
}

/// Plays the server's part of SCRAM up to and without its final message.
struct ScramPlay {
    ServerLogin login = started();
    auth::ScramServer server{auth::derive_scram_secret("pencil", "salt and pepper.", 4096), true};

    ScramPlay() {
        auto body = body_of(login.feed('R', kOffer).bytes);
        base::ByteReader r(body);
        REQUIRE(r.cstring() == "SCRAM-SHA-256");
        const auto size = r.u32();
        REQUIRE(size == r.rest().size());
        challenge = *server.challenge(r.rest());
    }
    static std::string body_of(const std::string& bytes) {
        const auto f = wire::scan_frame(bytes);
        REQUIRE(f.status == wire::FrameStatus::complete);
        REQUIRE(f.type == 'p');
        REQUIRE(f.size == bytes.size());
        return std::string(f.body);
    }
    void answer() {
        const auto final = body_of(login.feed('R', request(11, challenge)).bytes);
        REQUIRE(server.verify(final) == auth::ScramServer::Outcome::accepted);
    }
    std::string challenge;
};

}  // namespace

TEST_CASE("the start-up packet says user, database and parameters, in protocol 3.0") {
    auto o = options();
    o.parameters = {{"client_encoding", "UTF8"}, {"options", "-c a=b"}};
    ServerLogin login;
    const auto step = login.start(std::move(o));
    CHECK(step.status == Status::need_more);
    const auto p = wire::parse_startup(step.bytes);
    CHECK(p.kind == wire::StartupKind::startup);
    CHECK(p.version == wire::kProtocol30);
    CHECK(p.size == step.bytes.size());
    REQUIRE(p.parameters.size() == 4);
    CHECK(p.parameters[0].second == "joe");
    CHECK(p.parameters[1].second == "app");
    CHECK(p.parameters[3].second == "-c a=b");
}

TEST_CASE("parameters that cannot be sent are refused before anything is") {
    const auto fails = [](auto&& change) {
        auto o = options();
        change(o);
        ServerLogin login;
        const auto step = login.start(std::move(o));
        CHECK(step.status == Status::failed);
        CHECK(step.bytes.empty());
        CHECK(login.failure().sqlstate == "22023");
    };
    fails([](auto& o) { o.user.clear(); });
    fails([](auto& o) { o.user = std::string("a\0b", 3); });
    fails([](auto& o) { o.database = std::string("\0", 1); });
    fails([](auto& o) { o.parameters = {{"", "x"}}; });
    fails([](auto& o) { o.parameters = {{"x", std::string("\0user\0root", 10)}}; });
    fails([](auto& o) { o.parameters = {{"x", std::string(10000, 'x')}}; });
}

TEST_CASE("a server that trusts leads to ready with parameters and key") {
    auto login = settling();
    CHECK(login.asked() == PasswordMethod::none);
    CHECK(login.feed('S', cstring("server_version") + cstring("15.2")).status == Status::need_more);
    CHECK(login.feed('N', "SNOTICE").status == Status::need_more);
    CHECK(login.feed('S', cstring("TimeZone") + cstring("UTC")).status == Status::need_more);
    CHECK(login.feed('S', cstring("TimeZone") + cstring("")).status == Status::need_more);
    CHECK(login.feed('K', kKey).status == Status::need_more);
    const auto step = login.feed('Z', "I");
    CHECK(step.status == Status::ready);
    CHECK(step.bytes.empty());
    CHECK(login.backend_pid() == 0x1234);
    CHECK(login.backend_key() == "abcd");
    CHECK(login.parameters() == auth::Parameters{{"server_version", "15.2"}, {"TimeZone", ""}});
}

TEST_CASE("notices and a version negotiation before the login are borne") {
    auto login = started();
    CHECK(login.feed('N', "").status == Status::need_more);
    std::string body = request(196608);
    base::append_u32(body, 1);
    CHECK(login.feed('v', body + cstring("_pq_.x")).status == Status::need_more);
    CHECK(login.feed('R', request(0)).status == Status::need_more);
    CHECK(login.feed('Z', "I").status == Status::ready);
}

TEST_CASE("the password is sent in clear when it is asked for and may be") {
    auto login = started();
    const auto step = login.feed('R', request(3));
    CHECK(step.bytes == std::string("p\0\0\0\13pencil\0", 12));
    CHECK(login.asked() == PasswordMethod::cleartext);
    CHECK(login.feed('R', request(0)).status == Status::need_more);
}

TEST_CASE("no byte of the password leaves for a method that is not allowed (S22)") {
    auto o = options();
    o.may_send_cleartext = false;
    ServerLogin clear;
    clear.start(o);
    auto step = clear.feed('R', request(3));
    CHECK(step.status == Status::failed);
    CHECK(step.bytes.empty());
    CHECK(clear.failure().sqlstate == "28000");
    o.may_send_md5 = false;
    ServerLogin md5;
    md5.start(o);
    step = md5.feed('R', request(5, "salt"));
    CHECK(step.status == Status::failed);
    CHECK(step.bytes.empty());
    // Nor later, when the password comes.
    CHECK(md5.give_password("pencil").bytes.empty());
    ServerLogin late;
    o.secret = {};
    late.start(o);
    CHECK(late.feed('R', request(3)).status == Status::failed);
}

TEST_CASE("md5 is answered from a password or a stored secret") {
    const auto expected = auth::md5_answer(auth::md5_secret("pencil", "joe"), "salt");
    auto login = started();
    const auto step = login.feed('R', request(5, "salt"));
    CHECK(step.bytes == std::string("p\0\0\0\50", 5) + cstring(expected));
    CHECK(login.asked() == PasswordMethod::md5);
    auto o = options(std::nullopt);
    o.secret.md5 = auth::md5_secret("pencil", "joe");
    ServerLogin stored;
    stored.start(o);
    CHECK(stored.feed('R', request(5, "salt")).bytes == step.bytes);
}

TEST_CASE("a password that comes later is sent on the same connection") {
    for (const auto& [body, method] : {std::pair{request(3), PasswordMethod::cleartext},
                                       std::pair{request(5, "salt"), PasswordMethod::md5},
                                       std::pair{kOffer, PasswordMethod::scram}}) {
        auto login = started(std::nullopt);
        auto step = login.feed('R', body);
        CHECK(step.status == Status::password_needed);
        CHECK(step.bytes.empty());
        CHECK(login.asked() == method);
        CHECK(login.feed('N', "").status == Status::password_needed);
        step = login.give_password("pencil");
        CHECK(step.status == Status::need_more);
        CHECK(step.bytes.starts_with('p'));
        CHECK(login.give_password("again").bytes.empty());
        if (method != PasswordMethod::scram) {
            CHECK(login.feed('R', request(0)).status == Status::need_more);
            CHECK(login.feed('Z', "I").status == Status::ready);
        }
    }
}

TEST_CASE("a password that cannot be sent is refused") {
    for (const std::string& password : {std::string("a\0b", 3), std::string(1 << 17, 'x')}) {
        auto login = started(std::nullopt);
        login.feed('R', request(3));
        const auto step = login.give_password(password);
        CHECK(step.status == Status::failed);
        CHECK(step.bytes.empty());
        CHECK(login.failure().sqlstate == "28P01");
    }
}

TEST_CASE("a server that gives up while the password is awaited fails the login") {
    auto login = started(std::nullopt);
    login.feed('R', request(3));
    login.feed('E', cstring("C57P01") + cstring("Mgone") + std::string(1, '\0'));
    CHECK(login.status() == Status::failed);
    CHECK(login.failure().sqlstate == "57P01");
    CHECK(login.give_password("x").bytes.empty());
}

TEST_CASE("SCRAM with a server that knows the password leads to ready, and leaves keys") {
    ScramPlay play;
    CHECK(play.login.asked() == PasswordMethod::scram);
    play.answer();
    CHECK(play.login.feed('R', request(12, play.server.server_final())).status ==
          Status::need_more);
    CHECK(play.login.feed('R', request(0)).status == Status::need_more);
    CHECK(play.login.feed('Z', "I").status == Status::ready);
    REQUIRE(play.login.client_keys());
    CHECK(play.login.client_keys()->client_key == play.server.client_keys().client_key);

    auto o = options(std::nullopt);
    o.secret.keys = play.login.client_keys();
    ScramPlay second;
    second.login = ServerLogin();
    second.login.start(o);
    const auto body = ScramPlay::body_of(second.login.feed('R', kOffer).bytes);
    second.server = {auth::derive_scram_secret("pencil", "salt and pepper.", 4096), true};
    second.challenge = *second.server.challenge(std::string_view(body).substr(18));
    second.answer();
    CHECK(second.login.feed('R', request(12, second.server.server_final())).status ==
          Status::need_more);
}

TEST_CASE("a server that accepts before it has proven itself is refused (S22)") {
    auto first = started();
    first.feed('R', kOffer);
    CHECK(first.feed('R', request(0)).status == Status::failed);
    check_violation(first);
    ScramPlay play;
    play.answer();
    play.login.feed('R', request(0));
    check_violation(play.login);
}

TEST_CASE("a server that proves itself wrongly is refused") {
    for (const std::string& final :
         {std::string(), std::string("v="), "v=" + std::string(43, 'A') + "=",
          std::string("e=other-error")}) {
        ScramPlay play;
        play.answer();
        play.login.feed('R', request(12, final));
        check_violation(play.login);
        CHECK_FALSE(play.login.failure().detail.empty());
        CHECK_FALSE(play.login.client_keys());
    }
}

TEST_CASE("SCRAM is chosen wherever it stands in the list, PLUS never (S23)") {
    const auto offer = [](std::initializer_list<std::string_view> names) {
        auto body = request(10);
        for (const auto n : names) base::append_cstring(body, n);
        return body + std::string(1, '\0');
    };
    for (const auto& body :
         {offer({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}), offer({"SCRAM-SHA-256", "X"}),
          offer({"OAUTHBEARER", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"})}) {
        auto login = started();
        const auto step = login.feed('R', body);
        CHECK(ScramPlay::body_of(step.bytes).starts_with(std::string("SCRAM-SHA-256\0", 14)));
    }
    for (const auto& body : {offer({}), offer({"SCRAM-SHA-256-PLUS"}), offer({"OAUTHBEARER"}),
                             offer({"SCRAM-SHA-25"})}) {
        auto login = started();
        CHECK(login.feed('R', body).status == Status::failed);
        CHECK(login.failure().sqlstate == "28000");
        CHECK(login.failure().message.find("SCRAM-SHA-256") != std::string::npos);
    }
    for (const auto& body :
         {request(10), request(10, "SCRAM-SHA-256"), offer({"SCRAM-SHA-256"}) + "x",
          request(10, std::string_view("SCRAM-SHA-256\0", 14))}) {
        auto login = started();
        login.feed('R', body);
        check_violation(login);
    }
}

TEST_CASE("methods that are not supported fail with their names") {
    for (const auto& [number, name] : {std::pair{2u, "Kerberos V5"},
                                       {6u, "SCM"},
                                       {7u, "GSSAPI"},
                                       {9u, "SSPI"},
                                       {1u, "code 1"},
                                       {4u, "code 4"},
                                       {13u, "code 13"},
                                       {0xffffffffu, "code 4294967295"}}) {
        const auto code = number;
        CAPTURE(code);
        auto login = started();
        const auto step = login.feed('R', request(code, "rest"));
        CHECK(step.status == Status::failed);
        CHECK(step.bytes.empty());
        CHECK(login.failure().sqlstate == "28000");
        CHECK(login.failure().message.find(name) != std::string::npos);
    }
}

TEST_CASE("a second request for a password is refused") {
    for (const auto& body : {request(3), request(5, "salt"), kOffer, request(7)}) {
        auto after_clear = started();
        after_clear.feed('R', request(3));
        CHECK(after_clear.feed('R', body).bytes.empty());
        check_violation(after_clear);
        auto in_scram = started();
        in_scram.feed('R', kOffer);
        CHECK(in_scram.feed('R', body).bytes.empty());
        check_violation(in_scram);
        auto waiting = started(std::nullopt);
        waiting.feed('R', request(3));
        waiting.feed('R', body);
        check_violation(waiting);
        auto accepted = settling();
        accepted.feed('R', body);
        check_violation(accepted);
    }
}

TEST_CASE("malformed Authentication messages are refused") {
    for (const std::string& body :
         {std::string(), std::string("\0\0\0", 3), request(0, "x"), request(3, "x"), request(5),
          request(5, "abc"), request(5, "abcde"), request(11), request(11, "r=x"), request(12),
          request(12, "v=x")}) {
        CAPTURE(body);
        auto login = started();
        CHECK(login.feed('R', body).bytes.empty());
        check_violation(login);
    }
}

TEST_CASE("every message type out of its place is refused") {
    const std::string_view early = "RENv";
    const std::string_view late = "RENvSKZ";
    for (int type = 0; type < 256; ++type) {
        CAPTURE(type);
        const char c = static_cast<char>(type);
        if (early.find(c) == std::string_view::npos) {
            auto login = started();
            CHECK(login.feed(c, "").bytes.empty());
            check_violation(login);
        }
        if (late.find(c) == std::string_view::npos) {
            auto login = settling();
            login.feed(c, "");
            check_violation(login);
        }
    }
    auto login = settling();
    login.feed('v', request(196608, std::string_view("\0\0\0\0", 4)));
    check_violation(login);
}

TEST_CASE("what a server reports after the login is bounded and checked") {
    const auto fails = [](char type, const std::string& body) {
        auto login = settling();
        login.feed(type, body);
        check_violation(login);
    };
    fails('S', "");
    fails('S', "x");
    fails('S', cstring("x"));
    fails('S', cstring("") + cstring("x"));
    fails('S', cstring("x") + cstring("y") + "z");
    fails('S', cstring("x") + cstring(std::string(9000, 'x')));
    fails('K', "");
    fails('K', "abcd");
    fails('K', "abcdabc");
    fails('K', "abcd" + std::string(257, 'k'));
    fails('Z', "");
    fails('Z', "T");
    fails('Z', "E");
    fails('Z', "II");
    fails('N', std::string(auth::kMaxLoginMessage + 1, 'x'));
    auto keys = settling();
    CHECK(keys.feed('K', "abcd" + std::string(256, 'k')).status == Status::need_more);
    keys.feed('K', kKey);
    check_violation(keys);
    auto many = settling();
    for (std::size_t i = 0; i < auth::kMaxServerParameters; ++i)
        CHECK(many.feed('S', cstring("p" + std::to_string(i)) + cstring("v")).status ==
              Status::need_more);
    CHECK(many.feed('S', cstring("p0") + cstring("again")).status == Status::need_more);
    many.feed('S', cstring("one more") + cstring("v"));
    check_violation(many);
    auto again = settling();
    for (int i = 0; i < 1000; ++i)
        CHECK(again.feed('S', cstring("x") + cstring(std::string(1000, 'v'))).status ==
              Status::need_more);
}

TEST_CASE("the server's own error is kept with its fields") {
    auto login = started();
    login.feed('R', request(3));
    login.feed('E', cstring("SFATAL") + cstring("C28P01") + cstring("Mno") + cstring("Ddetail") +
                        cstring("Hhint") + std::string(1, '\0'));
    CHECK(login.status() == Status::failed);
    const auto& f = login.failure();
    CHECK(f.from_server);
    CHECK(f.sqlstate == "28P01");
    CHECK(f.message == "no");
    CHECK(f.detail == "detail");
    CHECK(f.hint == "hint");
    CHECK(login.feed('R', request(0)).status == Status::failed);
}

TEST_CASE("an error without its fields is still one, in every phase") {
    const std::string fields[] = {"SFATAL", "VFATAL", "C28P01", "Mtext"};
    for (unsigned subset = 0; subset < 16; ++subset) {
        std::string body;
        for (unsigned i = 0; i < 4; ++i)
            if ((subset >> i & 1) != 0) body += cstring(fields[i]);
        for (const auto& text : {body, body + std::string(1, '\0'), body + "Munterminated"}) {
            ServerLogin logins[] = {started(), started(std::nullopt), settling()};
            logins[1].feed('R', request(3));
            for (auto& login : logins) {
                login.feed('E', text);
                CHECK(login.status() == Status::failed);
                CHECK(login.failure().sqlstate == ((subset & 4) != 0 ? "28P01" : "08P01"));
                CHECK_FALSE(login.failure().message.empty());
            }
        }
    }
    auto odd = started();
    odd.feed('E',
             cstring("C28p0!") + cstring("M" + std::string(60000, 'x')) + std::string(1, '\0'));
    CHECK(odd.failure().sqlstate == "08P01");
    CHECK(odd.failure().message.size() == 2048);
}

TEST_CASE("a malformed version negotiation is refused") {
    for (const std::string& body : {std::string(), request(196608), request(196608) + request(1),
                                    request(196608) + request(0xffffffff) + cstring("x"),
                                    request(196608) + request(0) + "x"}) {
        auto login = started();
        login.feed('v', body);
        check_violation(login);
    }
}

TEST_CASE("a login can be used again") {
    auto login = settling();
    login.feed('S', cstring("x") + cstring("y"));
    login.feed('K', kKey);
    login.feed('Z', "I");
    CHECK(login.start(options()).status == Status::need_more);
    CHECK(login.parameters().empty());
    CHECK(login.backend_key().empty());
    CHECK(login.feed('Z', "I").status == Status::failed);
}
