#include "pgweir/auth/scram.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace pgweir;
using auth::ScramServer;
using Outcome = auth::ScramServer::Outcome;

namespace {

// RFC 7677, chapter 3.
constexpr std::string_view kSalt("\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81",
                                 16);
const std::string kClientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const std::string kServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const std::string kBothNonces = "rOprNGfwEbeRWgbNEkqO" + kServerNonce;
const std::string kServerFirst = "r=" + kBothNonces + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const std::string kProof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const std::string kClientFinal = "c=biws,r=" + kBothNonces + ",p=" + kProof;
const std::string kServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

auth::ScramSecret secret_of(std::string_view password) {
    return auth::derive_scram_secret(password, kSalt);
}

ScramServer challenged(const std::string& first = kClientFirst) {
    static const auto secret = secret_of("pencil");
    ScramServer server(secret, true, kServerNonce);
    REQUIRE(server.challenge(first));
    return server;
}

struct Exchange {
    Outcome outcome = Outcome::malformed;
    bool client_satisfied = false;
    std::string server_first;
    std::optional<auth::ClientKeys> from_server;
    std::optional<auth::ClientKeys> from_client;
};

Exchange exchange(auth::ScramClient client, ScramServer server) {
    Exchange e;
    const auto challenge = server.challenge(client.first_message());
    REQUIRE(challenge);
    e.server_first = *challenge;
    const auto answer = client.answer(*challenge);
    REQUIRE(answer);
    e.outcome = server.verify(*answer);
    if (e.outcome != Outcome::accepted) return e;
    e.client_satisfied = !client.finish(server.server_final());
    e.from_server = server.client_keys();
    e.from_client = client.keys();
    return e;
}

}  // namespace

TEST_CASE("the server side gives the messages of RFC 7677") {
    ScramServer server(secret_of("pencil"), true, kServerNonce);
    const auto challenge = server.challenge(kClientFirst);
    REQUIRE(challenge);
    CHECK(*challenge == kServerFirst);
    CHECK(server.verify(kClientFinal) == Outcome::accepted);
    CHECK(server.server_final() == kServerFinal);
    const auto keys = auth::derive_client_keys("pencil", kSalt, 4096);
    CHECK(server.client_keys().client_key == keys.client_key);
}

TEST_CASE("the two sides agree on the right password and only on it") {
    for (const std::string password : {"pencil", "", "p\xc3\xa4ssword", "with,commas=and%"}) {
        CAPTURE(password);
        const auto right = exchange({password, std::nullopt}, {secret_of(password), true});
        CHECK(right.outcome == Outcome::accepted);
        CHECK(right.client_satisfied);
        const auto wrong = exchange({password + "x", std::nullopt}, {secret_of(password), true});
        CHECK(wrong.outcome == Outcome::wrong_password);
    }
    const std::string longest(5000, 'x');
    CHECK(exchange({longest, std::nullopt}, {secret_of(longest), true}).client_satisfied);
}

TEST_CASE("a mock secret refuses every password, after the same exchange") {
    const auto mock = auth::mock_scram_secret("nobody");
    const auto e = exchange({"pencil", std::nullopt}, {mock, false});
    CHECK(e.outcome == Outcome::wrong_password);
    // Shaped as a genuine one: the same salt size and count, so the same size of message.
    const auto genuine = exchange({"x", std::nullopt}, {secret_of("pencil"), true});
    CHECK(e.server_first.size() == genuine.server_first.size());
    // Even someone who guesses the mock's own keys.
    const auto known = secret_of("pencil");
    CHECK(exchange({"pencil", std::nullopt}, {known, false}).outcome == Outcome::wrong_password);
}

TEST_CASE("a mock secret is the same for the same name and differs between names") {
    CHECK(auth::mock_scram_secret("a").salt == auth::mock_scram_secret("a").salt);
    CHECK(auth::mock_scram_secret("a").salt != auth::mock_scram_secret("b").salt);
    CHECK(auth::mock_scram_secret("a").stored_key == auth::mock_scram_secret("a").stored_key);
    CHECK(auth::mock_scram_secret("a", 10000).iterations == 10000);
}

TEST_CASE("the keys a client has shown log in elsewhere without the password") {
    const auto first = exchange({"pencil", std::nullopt}, {secret_of("pencil"), true});
    REQUIRE(first.from_server);
    const auto second = exchange({std::nullopt, first.from_server}, {secret_of("pencil"), true});
    CHECK(second.outcome == Outcome::accepted);
    CHECK(second.client_satisfied);
    const auto third = exchange({std::nullopt, first.from_client}, {secret_of("pencil"), true});
    CHECK(third.client_satisfied);
}

TEST_CASE("keys for another salt are not used, and the password is when there is one") {
    const auto old = auth::derive_client_keys("old", "another salt", 4096);
    auth::ScramClient without(std::nullopt, old);
    ScramServer server(secret_of("pencil"), true);
    CHECK_FALSE(without.answer(*server.challenge(without.first_message())));
    CHECK(exchange({"pencil", old}, {secret_of("pencil"), true}).client_satisfied);
}

TEST_CASE("nonces are fresh") {
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i)
        seen.insert(auth::ScramClient(std::nullopt, std::nullopt).first_message());
    CHECK(seen.size() == 100);
    CHECK(seen.begin()->size() == 8 + 24);
}

TEST_CASE("client-first messages that are not to be accepted are refused") {
    const std::string long_nonce(2000, 'x');
    const std::string bad[] = {
        "",
        "n",
        "n,",
        "n,,",
        "x,,n=,r=abc",
        "n;,n=,r=abc",
        ",,n=,r=abc",
        "p=tls-server-end-point,,n=,r=abc",
        "p=,,n=,r=abc",
        "n,a=other,n=,r=abc",
        "y,a=o,n=,r=abc",
        "n,,r=abc",
        "n,,r=abc,n=",
        "n,,n=",
        "n,,n=,",
        "n,,n=,r=",
        "n,,n=,r",
        "n,,n=,r=abc,",
        "n,,m=ext,n=,r=abc",
        "n,,n=,r=abc,r=abc",
        "n,,n=,r=abc,n=x",
        "n,,n=,r=a\x01"
        "c",
        "n,,n=,r=a\x80",
        "n,,n=,r= a",
        "n,,n=,r=abc,=x",
        "n,,n=,r=abc,1=x",
        "n,,n=,r=abc,xy",
        "n,,n=,r=" + long_nonce,
        "n,,n=,r=" + std::string(1010, 'x'),
        std::string("n,,n=,r=abc\0", 12),
        std::string("n,,n=a\0,r=abc", 13),
        "n,,n=" + std::string(9000, 'u') + ",r=abc",
        std::string(1 << 16, ','),
    };
    for (const auto& message : bad) {
        CAPTURE(message.substr(0, 60));
        ScramServer server(secret_of(""), true);
        const auto r = server.challenge(message);
        CHECK_FALSE(r);
        CHECK_FALSE(r.error().empty());
    }
}

TEST_CASE("client-first messages with and without thoughts about channel binding are accepted") {
    for (const std::string message : {"n,,n=,r=abc", "y,,n=,r=abc", "n,,n=a=2Cb,r=abc",
                                      "n,,n=*,r=abc,x=y,z=", "n,,n=u,r=abc,X="}) {
        CAPTURE(message);
        ScramServer server(secret_of(""), true);
        CHECK(server.challenge(message));
    }
}

TEST_CASE("the channel binding of the last message has to be that of the first") {
    auto says_y = challenged("y,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    CHECK(says_y.verify(kClientFinal) == Outcome::malformed);
    auto fits = challenged("y,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    CHECK(fits.verify("c=eSws,r=" + kBothNonces + ",p=" + kProof) == Outcome::wrong_password);
}

TEST_CASE("client-final messages that are not to be accepted are refused") {
    const std::string start = "c=biws,r=" + kBothNonces;
    const std::string bad[] = {
        "",
        "c=biws",
        "c=biws,",
        "r=" + kBothNonces + ",p=" + kProof,
        start,
        start + ",",
        start + ",p=",
        start + ",p",
        start + ",p=AAAA",
        start + ",p=" + kProof + ",x=y",
        start + ",p=" + kProof + ",",
        start + ",p=" + kProof + "AAAA",
        start + ",x=y",
        start + ",p=" + kProof.substr(0, 43),
        start + ",p=" + kProof.substr(0, 43) + "!",
        start + ",p=" + kProof.substr(0, 42) + "V=",  // bits left over
        start + ",r=" + kBothNonces + ",p=" + kProof,
        start + ",c=biws,p=" + kProof,
        "c=biws,r=" + kBothNonces + "x,p=" + kProof,
        "c=biws,r=x,p=" + kProof,
        "c=eSws,r=" + kBothNonces + ",p=" + kProof,
        "c=,r=" + kBothNonces + ",p=" + kProof,
        "c=biws=,r=" + kBothNonces + ",p=" + kProof,
        start + ",v=x,p=" + kProof,
        start + ",p=" + kProof + std::string(1, '\0'),
        start + ",p=" + std::string(9000, 'A'),
    };
    for (const auto& message : bad) {
        CAPTURE(message.substr(0, 100));
        auto server = challenged();
        CHECK(server.verify(message) == Outcome::malformed);
        CHECK_FALSE(server.detail().empty());
        CHECK(server.server_final().empty());
    }
    auto server = challenged();
    CHECK(server.verify(start + ",x=ext,p=" + kProof) == Outcome::wrong_password);
}

TEST_CASE("no client-final that differs in one byte from the right one is accepted") {
    for (std::size_t at = 0; at < kClientFinal.size(); ++at) {
        for (int other = 0; other < 256; ++other) {
            auto message = kClientFinal;
            message[at] = static_cast<char>(other);
            if (message == kClientFinal) continue;
            auto server = challenged();
            if (server.verify(message) == Outcome::accepted) FAIL_CHECK(message);
        }
        auto shorter = challenged();
        CHECK(shorter.verify(kClientFinal.substr(0, at)) == Outcome::malformed);
    }
}

TEST_CASE("server-first messages that are not to be accepted are refused before any work (S05)") {
    const std::string r = "r=mineTHEIRS";
    const std::string bad[] = {
        "",
        "r=",
        r,
        r + ",",
        r + ",s=AAAA",
        r + ",s=AAAA,",
        r + ",s=AAAA,i=",
        r + ",s=AAAA,i=0",
        r + ",s=AAAA,i=-1",
        r + ",s=AAAA,i=1000001",
        r + ",s=AAAA,i=2147483648",
        r + ",s=AAAA,i=1000000000",
        r + ",s=AAAA,i=4294967297",
        r + ",s=AAAA,i=+1",
        r + ",s=AAAA,i=99999999999999999999",
        r + ",s=AAAA,i=01",
        r + ",s=AAAA,i=4096x",
        r + ",s=AAAA,i= 1",
        r + ",s=AAAA,i=4096,",
        r + ",s=AAAA,i=4096,i=1",
        r + ",i=4096",
        r + ",s=,i=4096",
        r + ",s=A,i=4096",
        r + ",s=AA*A,i=4096",
        r + ",i=4096,s=AAAA",
        r + ",s=====,i=4096",
        r + ",s=A===,i=4096",
        r + ",s=AA=A,i=4096",
        r + ",s=AAB=,i=4096",
        "s=AAAA,i=4096",
        "m=x," + r + ",s=AAAA,i=4096",
        r + "," + r + ",s=AAAA,i=4096",
        "r=mine,s=AAAA,i=4096",
        "r=other,s=AAAA,i=4096",
        "r=min,s=AAAA,i=4096",
        "e=other-error",
        "r=mine" + std::string(1021, 'x') + ",s=AAAA,i=4096",
        "r=mine" + std::string(1 << 20, 'x') + ",s=AAAA,i=4096",
        r + ",s=" + std::string(1368 + 4, 'A') + ",i=4096",
        r + ",s=" + std::string(1 << 20, 'A') + ",i=4096",
        std::string("r=mine\0x,s=AAAA,i=4096", 22),
        r + ",s=AAAA,i=4096,s=AAAA",
    };
    for (const auto& message : bad) {
        CAPTURE(message.substr(0, 60));
        auth::ScramClient client("secret", std::nullopt, "mine");
        const auto answer = client.answer(message);
        CHECK_FALSE(answer);
        CHECK_FALSE(answer.error().empty());
    }
}

TEST_CASE("extensions and small counts of a server are borne") {
    for (const std::string end : {",i=1", ",i=4096,x=ext", ",i=1,t=1,u="}) {
        CAPTURE(end);
        auth::ScramClient client("secret", std::nullopt, "mine");
        CHECK(client.answer("r=mineTHEIRS,s=AAAA" + end));
    }
}

TEST_CASE("a server that does not know the password does not satisfy the client") {
    const auto fresh = [] {
        auth::ScramClient client("pencil", std::nullopt, "mine");
        REQUIRE(client.answer("r=mineTHEIRS,s=AAAA,i=1"));
        return client;
    };
    const std::string zeros(43, 'A');
    const std::string bad[] = {"",
                               "v=",
                               "v=" + zeros + "=",
                               "v=" + zeros,
                               "v=AAAA",
                               "e=invalid-proof",
                               "v=" + zeros + "=,",
                               "v=" + zeros + "=,v=" + zeros + "=",
                               "x=y",
                               std::string(1 << 16, 'v')};
    for (const auto& message : bad) {
        CAPTURE(message.substr(0, 60));
        auto client = fresh();
        CHECK(client.finish(message));
    }
    auto client = fresh();
    ScramServer other(auth::derive_scram_secret("other", std::string(3, '\0'), 1), true, "THEIRS");
    REQUIRE(other.challenge(client.first_message()));
    CHECK(client.finish("v=" + zeros + "="));
}

TEST_CASE("stored secrets are read and written as PostgreSQL writes them") {
    const auto secret = secret_of("pencil");
    const auto text = auth::format_scram_secret(secret);
    CHECK(
        text ==
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=");
    const auto read = auth::parse_scram_secret(text);
    REQUIRE(read);
    CHECK(read->salt == secret.salt);
    CHECK(read->stored_key == secret.stored_key);
    CHECK(read->server_key == secret.server_key);
    for (std::size_t n = 0; n < text.size(); ++n) {
        CAPTURE(n);
        CHECK_FALSE(auth::parse_scram_secret(text.substr(0, n)));
    }
    auto zero = text;
    CHECK_FALSE(auth::parse_scram_secret(zero.replace(zero.find("4096"), 4, "0")));
    CHECK_FALSE(auth::parse_scram_secret(text + "x"));
    CHECK_FALSE(auth::parse_scram_secret("SCRAM-SHA-1" + text.substr(13)));
}
