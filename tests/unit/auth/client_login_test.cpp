#include "pgweir/auth/client_login.hpp"

#include <doctest/doctest.h>

#include "pgweir/auth/md5.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/frame.hpp"

using namespace pgweir;
using auth::ClientLogin;
using auth::ClientMethod;
using Status = auth::ClientLoginStatus;

namespace {

const std::string kScramOfPencil =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

auth::UserStorePtr store(const std::string& text) {
    auto s = auth::UserStore::parse(text, "users.txt");
    REQUIRE(s);
    return *std::move(s);
}

const auth::UserStorePtr& users() {
    static const auto all =
        store("\"plain\" \"pencil\"\n\"hash\" \"" + auth::md5_secret("pencil", "hash") +
              "\"\n\"scram\" \"" + kScramOfPencil + "\"\n\"none\" \"\"\n");
    return all;
}

/// The code and the rest of the Authentication message that `bytes` starts with.
struct Request {
    std::uint32_t code = 9999;
    std::string rest;
    std::string after;
};

Request read(std::string_view bytes) {
    const auto f = wire::scan_frame(bytes);
    if (f.status != wire::FrameStatus::complete || f.type != 'R' || f.body.size() < 4) return {};
    return {base::load_u32(f.body.data()), std::string(f.body.substr(4)),
            std::string(bytes.substr(f.size))};
}

std::string cstring(std::string_view s) {
    std::string out;
    base::append_cstring(out, s);
    return out;
}

std::string sasl_initial(std::string_view mechanism, std::string_view text, std::uint32_t size) {
    auto body = cstring(mechanism);
    base::append_u32(body, size);
    return body.append(text);
}
std::string sasl_initial(std::string_view text) {
    return sasl_initial("SCRAM-SHA-256", text, static_cast<std::uint32_t>(text.size()));
}

/// Logs in as `user`, by whatever is asked for. Gives the codes asked, too.
struct Outcome {
    Status status = Status::need_more;
    auth::ClientLoginFailure failure;
    std::vector<std::uint32_t> codes;
    std::vector<std::size_t> sizes;
    std::optional<auth::ClientKeys> keys;
};

Outcome log_in(ClientMethod method, const std::string& user, const std::string& password,
               const auth::UserStorePtr& from = users()) {
    Outcome o;
    ClientLogin login;
    auth::ScramClient scram(password, std::nullopt);
    auto step = login.start({method, user, from});
    const auto note = [&] {
        if (step.bytes.empty()) return Request{};
        auto r = read(step.bytes);
        o.codes.push_back(r.code);
        o.sizes.push_back(step.bytes.size());
        return r;
    };
    auto asked = note();
    if (asked.code == 5) {
        const auto answer = auth::md5_answer(auth::md5_secret(password, user), asked.rest);
        step = login.feed('p', cstring(answer));
        note();
    } else if (asked.code == 10) {
        CHECK(asked.rest == std::string("SCRAM-SHA-256\0\0", 15));
        step = login.feed('p', sasl_initial(scram.first_message()));
        const auto answer = scram.answer(note().rest);
        REQUIRE(answer);
        step = login.feed('p', *answer);
        const auto final = note();
        if (final.code == 12) {
            CHECK_FALSE(scram.finish(final.rest));
            CHECK(read(final.after).code == 0);
        }
    }
    o.status = login.status();
    CHECK(o.status == step.status);
    o.failure = login.failure();
    o.keys = login.client_keys();
    return o;
}

void check_wrong_password(const Outcome& o, const std::string& user) {
    CHECK(o.status == Status::rejected);
    CHECK(o.failure.sqlstate == "28P01");
    CHECK(o.failure.message == "password authentication failed for user \"" + user + "\"");
    CHECK(o.failure.detail.empty());
    CHECK_FALSE(o.keys);
}

/// A login that has come to the given point of a SCRAM exchange.
ClientLogin at_sasl(bool challenged) {
    ClientLogin login;
    login.start({ClientMethod::scram_sha_256, "scram", users()});
    if (challenged)
        REQUIRE(login.feed('p', sasl_initial("n,,n=,r=abc")).status == Status::need_more);
    return login;
}

void check_violation(const ClientLogin& login) {
    CHECK(login.status() == Status::rejected);
    CHECK(login.failure().sqlstate == "08P01");
    CHECK_FALSE(login.failure().message.empty());
}

}  // namespace

TEST_CASE("trust accepts at once, without asking") {
    ClientLogin login;
    const auto step = login.start({ClientMethod::trust, "anybody", nullptr});
    CHECK(step.status == Status::accepted);
    CHECK(step.bytes == std::string("R\0\0\0\10\0\0\0\0", 9));
}

TEST_CASE("each method accepts the right password of each kind of secret it can check") {
    for (const char* user : {"plain", "hash", "scram"}) {
        CAPTURE(user);
        CHECK(log_in(ClientMethod::md5, user, "pencil").status == Status::accepted);
        check_wrong_password(log_in(ClientMethod::md5, user, "pencil2"), user);
    }
    for (const char* user : {"plain", "scram"}) {
        CAPTURE(user);
        const auto right = log_in(ClientMethod::scram_sha_256, user, "pencil");
        CHECK(right.status == Status::accepted);
        CHECK(right.keys.has_value());
        check_wrong_password(log_in(ClientMethod::scram_sha_256, user, "pencil2"), user);
    }
}

TEST_CASE("method md5 asks for SCRAM where the secret is one") {
    CHECK(log_in(ClientMethod::md5, "scram", "pencil").codes ==
          std::vector<std::uint32_t>{10, 11, 12});
    CHECK(log_in(ClientMethod::md5, "hash", "pencil").codes == std::vector<std::uint32_t>{5, 0});
}

TEST_CASE("nobody tells an unknown user from a wrong password (S19, S34)") {
    for (const auto method : {ClientMethod::md5, ClientMethod::scram_sha_256}) {
        const auto known = log_in(method, "plain", "wrong");
        for (const char* user : {"ghost", "none", "hash"}) {
            if (method == ClientMethod::md5 && std::string(user) == "hash") continue;
            CAPTURE(user);
            const auto o = log_in(method, user, "pencil");
            check_wrong_password(o, user);
            CHECK(o.codes == known.codes);
            CHECK(o.sizes == known.sizes);
        }
    }
    check_wrong_password(log_in(ClientMethod::md5, "ghost", "pencil", nullptr), "ghost");
    check_wrong_password(log_in(ClientMethod::scram_sha_256, "ghost", "pencil", nullptr), "ghost");
}

TEST_CASE("where all secrets are SCRAM, a stranger is asked for SCRAM, with their count") {
    auto text = kScramOfPencil;
    text.replace(text.find("4096"), 4, "5000");
    const auto only_scram = store("\"scram\" \"" + text + "\"");
    for (const auto method : {ClientMethod::md5, ClientMethod::scram_sha_256}) {
        const auto known = log_in(method, "scram", "wrong", only_scram);
        const auto ghost = log_in(method, "ghost", "wrong", only_scram);
        CHECK(ghost.codes == std::vector<std::uint32_t>{10, 11});
        CHECK(ghost.codes == known.codes);
        CHECK(ghost.sizes == known.sizes);
    }
    ClientLogin login;
    login.start({ClientMethod::scram_sha_256, "ghost", only_scram});
    CHECK(login.feed('p', sasl_initial("n,,n=,r=abc")).bytes.ends_with(",i=5000"));
}

TEST_CASE("the keys a client has shown satisfy a server with the same secret") {
    const auto o = log_in(ClientMethod::scram_sha_256, "scram", "pencil");
    REQUIRE(o.keys);
    auth::ScramClient again(std::nullopt, o.keys);
    auth::ScramServer server(*auth::parse_scram_secret(kScramOfPencil), true);
    const auto challenge = server.challenge(again.first_message());
    REQUIRE(challenge);
    CHECK(server.verify(*again.answer(*challenge)) == auth::ScramServer::Outcome::accepted);
}

TEST_CASE("forward asks in clear, hands the password out once and waits for the verdict") {
    ClientLogin login;
    CHECK(read(login.start({ClientMethod::forward, "joe", nullptr}).bytes).code == 3);
    CHECK(login.accept().bytes.empty());
    auto step = login.feed('p', cstring("s3cret"));
    CHECK(step.status == Status::have_password);
    CHECK(step.bytes.empty());
    CHECK(login.take_password() == "s3cret");
    CHECK(login.take_password().empty());
    CHECK(login.feed('p', cstring("again")).status == Status::have_password);
    step = login.accept();
    CHECK(step.status == Status::accepted);
    CHECK(step.bytes == std::string("R\0\0\0\10\0\0\0\0", 9));
    CHECK(login.reject().status == Status::accepted);
}

TEST_CASE("forward rejects as a wrong password, or with what the server said") {
    for (const bool own_words : {false, true}) {
        ClientLogin login;
        login.start({ClientMethod::forward, "joe", nullptr});
        login.feed('p', cstring("x"));
        const auto step = own_words ? login.reject("53300", "too many") : login.reject();
        CHECK(step.status == Status::rejected);
        CHECK(step.bytes.empty());
        CHECK(login.failure().sqlstate == (own_words ? "53300" : "28P01"));
        CHECK(login.failure().message ==
              (own_words ? "too many" : "password authentication failed for user \"joe\""));
        CHECK(login.accept().status == Status::rejected);
    }
}

TEST_CASE("a password of nearly 64 KiB is taken, a longer message is not") {
    for (const std::size_t size : {1u, 1024u, 60000u, auth::kMaxPasswordMessage - 1}) {
        ClientLogin login;
        login.start({ClientMethod::forward, "joe", nullptr});
        CHECK(login.feed('p', cstring(std::string(size, 'x'))).status == Status::have_password);
        CHECK(login.take_password().size() == size);
    }
    ClientLogin login;
    login.start({ClientMethod::forward, "joe", nullptr});
    login.feed('p', cstring(std::string(auth::kMaxPasswordMessage, 'x')));
    check_violation(login);
}

TEST_CASE(
    "malformed password messages are breaches of protocol, an empty password is a wrong one") {
    for (const auto method : {ClientMethod::forward, ClientMethod::md5}) {
        for (const std::string& body : {std::string(), std::string("abc"), std::string("a\0b", 3),
                                        std::string("a\0\0", 3), std::string("\0\0", 2)}) {
            CAPTURE(body);
            ClientLogin login;
            login.start({method, "plain", users()});
            login.feed('p', body);
            check_violation(login);
        }
        ClientLogin login;
        login.start({method, "plain", users()});
        login.feed('p', std::string(1, '\0'));
        CHECK(login.status() == Status::rejected);
        CHECK(login.failure().sqlstate == "28P01");
        CHECK(login.failure().message == "empty password returned by client");
    }
}

TEST_CASE("every other message type is a breach of protocol in every phase (S11)") {
    for (int type = 0; type < 256; ++type) {
        if (type == 'p') continue;
        ClientLogin logins[4] = {{}, {}, at_sasl(false), at_sasl(true)};
        logins[0].start({ClientMethod::forward, "joe", nullptr});
        logins[1].start({ClientMethod::md5, "plain", users()});
        for (auto& login : logins) {
            CAPTURE(type);
            const auto step = login.feed(static_cast<char>(type), "anything");
            CHECK(step.bytes.empty());
            check_violation(login);
            CHECK(login.failure().message.ends_with("got message type " + std::to_string(type)));
        }
    }
}

TEST_CASE("malformed SASLInitialResponses are breaches of protocol (S04)") {
    const std::string first = "n,,n=,r=abc";
    const auto n = static_cast<std::uint32_t>(first.size());
    std::vector<std::string> bad = {
        "",
        "SCRAM-SHA-256",
        cstring("SCRAM-SHA-256"),
        cstring("SCRAM-SHA-256") + "abc",
        cstring("") + first,
        sasl_initial("SCRAM-SHA-256-PLUS", first, n),
        sasl_initial("SCRAM-SHA-1", first, n),
        sasl_initial("scram-sha-256", first, n),
        sasl_initial("p=x,,n=,r=abc"),
        sasl_initial(""),
    };
    for (const std::uint32_t size :
         {0x80000000u, 0xfffffffeu, 0xffffffffu, 0u, 1u, n - 1, n + 1, 0x7fffffffu})
        bad.push_back(sasl_initial("SCRAM-SHA-256", first, size));
    for (const auto& body : bad) {
        CAPTURE(body);
        auto login = at_sasl(false);
        CHECK(login.feed('p', body).bytes.empty());
        check_violation(login);
    }
}

TEST_CASE("a client that sends no initial response is asked for it") {
    auto login = at_sasl(false);
    const auto step = login.feed('p', sasl_initial("SCRAM-SHA-256", "", 0xffffffff));
    CHECK(step.status == Status::need_more);
    CHECK(step.bytes == std::string("R\0\0\0\10\0\0\0\13", 9));
    auth::ScramClient scram("pencil", std::nullopt);
    const auto challenge = read(login.feed('p', scram.first_message()).bytes);
    REQUIRE(challenge.code == 11);
    CHECK(login.feed('p', *scram.answer(challenge.rest)).status == Status::accepted);
}

TEST_CASE("a malformed client-final says what was wrong with it") {
    auto login = at_sasl(true);
    login.feed('p', "c=biws,r=abc,p=AAAA");
    check_violation(login);
    CHECK(login.failure().message == "malformed SCRAM message");
    CHECK_FALSE(login.failure().detail.empty());
}

TEST_CASE("what comes after the end changes nothing") {
    auto login = at_sasl(true);
    login.feed('p', "rubbish");
    const auto message = login.failure().message;
    CHECK(login.feed('Q', "x").status == Status::rejected);
    CHECK(login.failure().message == message);
}

TEST_CASE("who comes in is decided by method, kind of secret and password alone (S15)") {
    const auto secrets =
        store("\"plain\" \"pencil\"\n\"md5\" \"" + auth::md5_secret("pencil", "md5") +
              "\"\n\"scram\" \"" + kScramOfPencil + "\"\n\"empty\" \"\"\n");
    // What a client could type: the password, another, nothing, and the secrets as they are stored.
    const std::vector<std::string> passwords{"pencil", "wrong", "",
                                             auth::md5_secret("pencil", "md5"), kScramOfPencil};
    int accepted = 0;
    for (const auto method : {ClientMethod::md5, ClientMethod::scram_sha_256})
        for (const std::string user : {"plain", "md5", "scram", "empty", "nobody"})
            for (const auto& password : passwords)
                for (const auto& from : {secrets, auth::UserStorePtr()}) {
                    CAPTURE(user);
                    CAPTURE(password);
                    const bool can = from != nullptr && user != "empty" && user != "nobody" &&
                                     (method == ClientMethod::md5 || user != "md5");
                    const auto o = log_in(method, user, password, from);
                    CHECK((o.status == Status::accepted) == (can && password == "pencil"));
                    if (o.status == Status::accepted)
                        ++accepted;
                    else
                        check_wrong_password(o, user);
                }
    CHECK(accepted == 5);
}
