// SCRAM's channel binding, both sides, and keys derived elsewhere.
#include <doctest/doctest.h>

#include "pgweir/auth/client_login.hpp"
#include "pgweir/auth/server_login.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/frame.hpp"

using namespace pgweir;
using auth::ChannelBinding;
using auth::ScramBinding;
using Use = auth::ScramBinding::Use;
using Outcome = auth::ScramServer::Outcome;

namespace {

const std::string kHash(32, 'h');

auth::ScramServer server(const std::string& binding, bool chosen) {
    auth::ScramServer s(auth::derive_scram_secret("pencil", "salt and pepper.", 4096), true);
    s.set_binding(binding, chosen);
    return s;
}

auth::ScramClient client(Use use, const std::string& data) {
    return {"pencil", std::nullopt, std::string(), ScramBinding{use, data}};
}

std::string request(std::uint32_t code, std::string_view rest = {}) {
    std::string body;
    base::append_u32(body, code);
    return body.append(rest);
}
const std::string kBoth =
    request(10, std::string_view("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", 34));
const std::string kPlain = request(10, std::string_view("SCRAM-SHA-256\0\0", 15));

auth::ServerLogin login(ChannelBinding binding, const std::string& hash) {
    auth::ServerLoginOptions o;
    o.user = "joe";
    o.secret.password = "pencil";
    o.may_send_cleartext = true;
    o.channel_binding = binding;
    o.certificate_hash = hash;
    auth::ServerLogin l;
    l.start(std::move(o));
    return l;
}

/// Mechanism and gs2 header of what a login answers to an offer; "failed" when it does not.
std::string answered(auth::ServerLogin l, const std::string& offer) {
    const auto step = l.feed('R', offer);
    if (step.status == auth::LoginStatus::failed) return "failed";
    const auto f = wire::scan_frame(step.bytes);
    base::ByteReader r(f.body);
    const std::string mechanism(r.cstring());
    r.u32();
    return mechanism + " " + std::string(r.rest().substr(0, r.rest().find(",,")));
}

}  // namespace

TEST_CASE("a bound exchange succeeds over one certificate and fails over another") {
    for (const auto& [seen, expected] : {std::pair(kHash, Outcome::accepted),
                                         std::pair(std::string(32, 'x'), Outcome::malformed)}) {
        auto c = client(Use::bound, seen);
        auto s = server(kHash, true);
        const auto challenge = s.challenge(c.first_message());
        REQUIRE(challenge);
        CHECK(s.verify(*c.answer(*challenge)) == expected);
    }
}

TEST_CASE("what was offered, chosen and bound has to agree, or somebody is in between (S21)") {
    CHECK(server("", false).challenge(client(Use::none, "").first_message()));
    CHECK(server("", false).challenge(client(Use::not_offered, "").first_message()));
    CHECK(server(kHash, false).challenge(client(Use::none, "").first_message()));
    CHECK_FALSE(server(kHash, false).challenge(client(Use::not_offered, "").first_message()));
    CHECK_FALSE(server(kHash, false).challenge(client(Use::bound, kHash).first_message()));
    CHECK_FALSE(server("", false).challenge(client(Use::bound, kHash).first_message()));
    CHECK_FALSE(server(kHash, true).challenge(client(Use::none, "").first_message()));
    CHECK_FALSE(server(kHash, true).challenge("p=tls-unique,,n=,r=abc"));
    CHECK_FALSE(server(kHash, true).challenge("p=tls-server-end-point,a=x,n=,r=abc"));
}

TEST_CASE("clients are offered -PLUS over TLS only, and only then can they choose it") {
    auto users = *auth::UserStore::parse("\"joe\" \"pencil\"\n", "users.txt");
    for (const bool tls : {false, true}) {
        auth::ClientLogin l;
        const auto step =
            l.start({auth::ClientMethod::scram_sha_256, "joe", users, tls ? kHash : std::string()});
        CHECK((step.bytes.find("SCRAM-SHA-256-PLUS") != std::string::npos) == tls);
        std::string body;
        base::append_cstring(body, "SCRAM-SHA-256-PLUS");
        const std::string first = "p=tls-server-end-point,,n=,r=abcdef";
        base::append_u32(body, static_cast<std::uint32_t>(first.size()));
        const auto after = l.feed('p', body + first).status;
        CHECK(after ==
              (tls ? auth::ClientLoginStatus::need_more : auth::ClientLoginStatus::rejected));
    }
}

TEST_CASE("towards servers: prefer takes the best there is, disable none, require means it (S21)") {
    CHECK(answered(login(ChannelBinding::prefer, kHash), kBoth) ==
          "SCRAM-SHA-256-PLUS p=tls-server-end-point");
    CHECK(answered(login(ChannelBinding::prefer, kHash), kPlain) == "SCRAM-SHA-256 y");
    CHECK(answered(login(ChannelBinding::prefer, ""), kBoth) == "SCRAM-SHA-256 n");
    CHECK(answered(login(ChannelBinding::disable, kHash), kBoth) == "SCRAM-SHA-256 n");
    CHECK(answered(login(ChannelBinding::require, kHash), kBoth) ==
          "SCRAM-SHA-256-PLUS p=tls-server-end-point");
    CHECK(answered(login(ChannelBinding::require, kHash), kPlain) == "failed");
    CHECK(answered(login(ChannelBinding::require, ""), kBoth) == "failed");
    for (const auto& offer : {request(3), request(5, "salt"), request(0)})
        CHECK(answered(login(ChannelBinding::require, kHash), offer) == "failed");
}

TEST_CASE("keys can be derived elsewhere; the server has to wait meanwhile") {
    const auto begun = [] {
        auth::ServerLoginOptions o;
        o.user = "joe";
        o.secret.password = "pencil";
        o.derive_elsewhere = true;
        auth::ServerLogin l;
        l.start(std::move(o));
        return l;
    };
    auto s = server("", false);
    auto again = begun();
    const auto step = again.feed('R', kPlain);
    const auto frame = wire::scan_frame(step.bytes);
    base::ByteReader r(frame.body);
    r.cstring();
    r.u32();
    const auto challenge = s.challenge(r.rest());
    REQUIRE(challenge);
    const auto wait = again.feed('R', request(11, *challenge));
    CHECK(wait.status == auth::LoginStatus::keys_needed);
    CHECK(wait.bytes.empty());
    const auto& d = again.derivation();
    CHECK(d.password == "pencil");
    CHECK(d.iterations == 4096);
    const auto final = again.give_keys(auth::derive_client_keys(d.password, d.salt, d.iterations));
    CHECK(final.status == auth::LoginStatus::need_more);
    CHECK(s.verify(wire::scan_frame(final.bytes).body) == Outcome::accepted);
    // Nothing but an error may come while the keys are made.
    auto hasty = begun();
    auto t = server("", false);
    const auto hello = hasty.feed('R', kPlain);
    base::ByteReader q(wire::scan_frame(hello.bytes).body);
    q.cstring();
    q.u32();
    hasty.feed('R', request(11, *t.challenge(q.rest())));
    CHECK(hasty.feed('R', request(0)).status == auth::LoginStatus::failed);
}
