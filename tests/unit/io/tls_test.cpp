#include "pgweir/io/tls.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include "pgweir/io/socket.hpp"
#include "tls_peers.hpp"

using namespace pgweir;
using namespace pgweir::io::testing;
using io::TlsContext;
using io::TlsStatus;
using io::TlsStream;
using io::TlsVerify;

TEST_CASE("bytes go both ways, and the end is seen as one") {
    Pair p(server_context(), verifying("db.example.com"));
    REQUIRE(p.handshake());
    CHECK(p.client->description().starts_with("TLSv1.3, "));
    CHECK(p.client->peer_common_name() == "server");
    CHECK(p.client->peer_subject() == "CN=server");
    CHECK(p.server->peer_subject().empty());
    char block[64];
    CHECK(p.server->read(block, sizeof block).status == TlsStatus::want_read);
    CHECK(p.client->write("hello", 5).bytes == 5);
    auto r = p.server->read(block, 2);
    CHECK(r.status == TlsStatus::done);
    CHECK(std::string(block, r.bytes) == "he");
    CHECK(p.server->pending() == 3);
    r = p.server->read(block, sizeof block);
    CHECK(std::string(block, r.bytes) == "llo");
    CHECK(p.server->pending() == 0);
    CHECK(p.server->write("world", 5).bytes == 5);
    p.server->shutdown();
    r = p.client->read(block, sizeof block);
    CHECK(std::string(block, r.bytes) == "world");
    CHECK(p.client->read(block, sizeof block).status == TlsStatus::closed);
    CHECK(p.client->read(block, sizeof block).status == TlsStatus::closed);
}

TEST_CASE("records read ahead are announced, because the descriptor will not tell") {
    Pair p(server_context(), verifying("db.example.com"));
    REQUIRE(p.handshake());
    for (int i = 0; i < 3; ++i) p.client->write("x", 1);
    char byte;
    int got = 0;
    CHECK(p.server->read(&byte, 1).bytes == 1);
    ++got;
    while (p.server->pending() > 0) {
        if (p.server->read(&byte, 1).status != TlsStatus::done) break;
        ++got;
    }
    CHECK(got == 3);
}

namespace {

/// Reads one record and no more, until it is told to read on. Both records its peer has written
/// have left the descriptor then.
struct Hesitant final : io::Watcher {
    Hesitant() {
        REQUIRE(p.handshake());
        p.client->write("one", 3);
        p.client->write("two", 3);
        socket.open(loop, std::exchange(p.fd[0], -1), this, true, false);
        socket.start_tls(std::move(p.server));
    }
    void on_ready(bool, bool) noexcept override {
        char block[64];
        const auto r = socket.read(block);
        if (r.state == io::IoState::ok) got.append(block, r.bytes);
        socket.set_reading(false);
        if (after_first) loop.post(std::exchange(after_first, nullptr));
    }
    /// Until nothing more comes.
    void run() {
        int ticks = 0;
        const io::Ticker end(loop, 20 * base::kMillisecond, [&] {
            if (++ticks == 2) loop.stop();
        });
        loop.run();
    }

    io::Loop loop;
    Pair p{server_context(), verifying("db.example.com")};
    io::Socket socket;
    std::string got;
    std::function<void()> after_first;
};

}  // namespace

TEST_CASE("what TLS has read ahead is told of when reading goes on, on whatever loop") {
    Hesitant reader;
    SUBCASE("the same") {
        reader.after_first = [&] { reader.socket.set_reading(true); };
        reader.run();
        CHECK(reader.got == "onetwo");
    }
    SUBCASE("another") {
        reader.run();
        CHECK(reader.got == "one");
        reader.socket.set_reading(true);
        reader.socket.forget();
        io::Loop other;
        other.post([&] { CHECK(reader.socket.resume(other, &reader)); });
        int ticks = 0;
        const io::Ticker end(other, 20 * base::kMillisecond, [&] {
            if (++ticks == 2) other.stop();
        });
        other.run();
        CHECK(reader.got == "onetwo");
        reader.socket.close();
    }
}

TEST_CASE("what TLS has read ahead is not told of where reading has ended again in that turn") {
    Hesitant reader;
    SUBCASE("for a while") {
        reader.after_first = [&] {
            reader.socket.set_reading(true);
            reader.socket.set_reading(false);
        };
        reader.run();
        reader.socket.set_reading(true);
    }
    SUBCASE("for good") {
        reader.after_first = [&] {
            reader.socket.set_reading(true);
            reader.socket.close();
        };
        reader.run();
    }
    CHECK(reader.got == "one");
}

TEST_CASE("a full socket takes a part, and the rest from wherever it lies later") {
    Pair p(server_context(), verifying("db.example.com"));
    REQUIRE(p.handshake());
    std::string data;
    for (std::size_t i = 0; i < 4'000'000; ++i) data.push_back(static_cast<char>(i * 7 % 251));
    std::string got;
    std::string block(20000, '\0');
    std::size_t sent = 0;
    bool was_blocked = false;
    while (got.size() < data.size()) {
        while (sent < data.size()) {
            const std::string moved = data.substr(sent, 50000);
            const auto w = p.client->write(moved.data(), moved.size());
            if (w.status == TlsStatus::want_write) {
                was_blocked = true;
                break;
            }
            REQUIRE(w.status == TlsStatus::done);
            REQUIRE(w.bytes > 0);
            sent += w.bytes;
        }
        const auto r = p.server->read(block.data(), block.size());
        REQUIRE(r.status == TlsStatus::done);
        got.append(block, 0, r.bytes);
    }
    CHECK(was_blocked);
    CHECK(got == data);
}

TEST_CASE("a peer that vanishes is an end when reading, a failure when writing, never a signal") {
    Pair p(server_context(), verifying("db.example.com"));
    REQUIRE(p.handshake());
    p.close_end(0);
    char byte;
    CHECK(p.client->write("x", 1).status == TlsStatus::failed);
    CHECK_FALSE(p.client->error().empty());
    CHECK(p.client->read(&byte, 1).status == TlsStatus::failed);
    p.client->shutdown();
    Pair q(server_context(), verifying("db.example.com"));
    REQUIRE(q.handshake());
    q.close_end(1);
    CHECK(q.server->read(&byte, 1).status == TlsStatus::closed);
    q.server->shutdown();
}

TEST_CASE("verify-full wants the name, verify-ca the signer only, none neither") {
    CHECK(accepts(verifying("db.example.com")));
    CHECK(accepts(verifying("DB.Example.COM")));
    CHECK(accepts(verifying("a.pool.example.com")));
    CHECK(accepts(verifying("127.0.0.1")));
    for (const char* wrong : {"other.example.com", "example.com", "server", "a.b.pool.example.com",
                              "127.0.0.2", "::1", "db.example.com.evil.org"}) {
        CAPTURE(wrong);
        CHECK_FALSE(accepts(verifying(wrong)));
        CHECK(accepts(verifying(wrong, TlsVerify::ca)));
    }
    CHECK_FALSE(accepts(verifying("db.example.com", TlsVerify::full, "other_ca")));
    CHECK_FALSE(accepts(verifying("db.example.com", TlsVerify::ca, "other_ca")));
    CHECK(accepts(context(TlsContext::client({}))));
}

TEST_CASE("without alternative names the common name counts, with them it does not") {
    folder().issue("cn_only", {"cn.example.com"});
    CHECK(accepts(verifying("cn.example.com"), "cn_only"));
    CHECK_FALSE(accepts(verifying("x.example.com"), "cn_only"));
    folder().issue("both", {"cn.example.com", "DNS:san.example.com"});
    CHECK_FALSE(accepts(verifying("cn.example.com"), "both"));
}

TEST_CASE("a certificate outside its time is refused, and the reason said (S45)") {
    folder().issue("expired", {"e", "DNS:db.example.com", -7200, -3600});
    folder().issue("future", {"f", "DNS:db.example.com", 3600, 7200});
    for (const auto& [name, reason] : {std::pair{"expired", "certificate has expired"},
                                       std::pair{"future", "certificate is not yet valid"}}) {
        Pair p(context(TlsContext::server(folder().server(name))), verifying("db.example.com"));
        CHECK_FALSE(p.handshake());
        CHECK(p.client->error() ==
              std::string("TLS handshake: certificate verify failed: ") + reason);
        CHECK(p.server->error().starts_with("TLS handshake: "));
        CHECK(accepts(context(TlsContext::client({})), name));
    }
}

TEST_CASE("each server of a list is checked against its own name (S25)") {
    const auto c = verifying("first.example.com");
    Pair p(server_context(), nullptr);
    p.client = *TlsStream::create(c, p.fd[1], "db.example.com");
    CHECK(p.handshake());
    Pair q(server_context(), c);
    CHECK_FALSE(q.handshake());
}

TEST_CASE("verify-full without a host name is refused") {
    const auto c = verifying("");
    Pair p(nullptr, nullptr);
    CHECK_FALSE(TlsStream::create(c, p.fd[1]));
    CHECK_FALSE(TlsStream::create(c, p.fd[1], "/var/run/postgresql"));
    CHECK(TlsStream::create(c, p.fd[1], "db.example.com"));
}

TEST_CASE("a server that demands a client certificate lets nobody in without a good one") {
    for (const bool require : {false, true}) {
        Pair p(context(TlsContext::server(folder().server_asking(require))),
               verifying("db.example.com"));
        CHECK(p.handshake() == !require);
    }
    CHECK(error_of(TlsContext::server({folder().certificate("server"), folder().key("server"), "",
                                       true, "", "", ""})) != "");
}

TEST_CASE("files that are missing, wrong or not ours are said by name") {
    auto o = folder().server();
    o.cert_file = folder().path() + "/nothing.crt";
    CHECK(error_of(TlsContext::server(o)).find("nothing.crt\": ") != std::string::npos);
    o = folder().server();
    o.key_file = folder().path() + "/nothing.key";
    CHECK(error_of(TlsContext::server(o)).find("nothing.key\": No such file") != std::string::npos);
    o.key_file = folder().key("ca");
    CHECK(error_of(TlsContext::server(o)).find("key values mismatch") != std::string::npos);
    o.key_file = folder().certificate("server");
    chmod(o.key_file.c_str(), 0600);
    CHECK(error_of(TlsContext::server(o)).find("server.crt\": ") != std::string::npos);
    o.key_file = folder().path();
    CHECK(error_of(TlsContext::server(o)).find("not a regular file") != std::string::npos);
    CHECK_FALSE(TlsContext::server({}));
    o = folder().server_asking(true);
    o.ca_file = folder().path() + "/nothing.ca";
    CHECK(error_of(TlsContext::server(o)).find("nothing.ca") != std::string::npos);
    io::TlsClientOptions c;
    c.verify = TlsVerify::ca;
    c.ca_file = folder().path() + "/nothing.ca";
    CHECK(error_of(TlsContext::client(c)).find("nothing.ca") != std::string::npos);
}

TEST_CASE("a private key that others can read is refused (S44)") {
    folder().issue("loose", {"loose"});
    const auto o = folder().server("loose");
    const bool root = geteuid() == 0;
    for (const mode_t mode : {0600u, 0400u}) {
        chmod(o.key_file.c_str(), mode);
        CHECK(TlsContext::server(o));
    }
    for (const mode_t mode : {0604u, 0644u, 0660u, 0666u, 0601u}) {
        CAPTURE(mode);
        chmod(o.key_file.c_str(), mode);
        CHECK(error_of(TlsContext::server(o)).find("group or world access") != std::string::npos);
    }
    // A group may read a key of root's.
    chmod(o.key_file.c_str(), 0640);
    CHECK(static_cast<bool>(TlsContext::server(o)) == root);
    if (root) {
        REQUIRE(chown(o.key_file.c_str(), 65534, 65534) == 0);
        chmod(o.key_file.c_str(), 0600);
        CHECK(error_of(TlsContext::server(o)).find("must belong") != std::string::npos);
    }
}

TEST_CASE("the protocol postgresql is agreed on when it is offered, and another is refused") {
    io::TlsClientOptions o;
    o.alpn = true;
    Pair p(server_context(), context(TlsContext::client(o)));
    REQUIRE(p.handshake());
    CHECK(p.client->alpn_agreed());
    CHECK(p.server->alpn_agreed());
    Pair q(server_context(), context(TlsContext::client({})));
    REQUIRE(q.handshake());
    CHECK_FALSE(q.server->alpn_agreed());

    const auto raw_client = [](auto&& prepare) {
        Pair r(server_context(), nullptr);
        SSL_CTX* c = SSL_CTX_new(TLS_client_method());
        SSL* ssl = SSL_new(c);
        prepare(ssl);
        SSL_set_fd(ssl, r.fd[1]);
        SSL_set_connect_state(ssl);
        auto s = TlsStatus::want_read;
        for (int turn = 0; turn < 10 && Pair::waits(s); ++turn) {
            SSL_do_handshake(ssl);
            s = r.server->handshake();
        }
        SSL_free(ssl);
        SSL_CTX_free(c);
        return s;
    };
    CHECK(raw_client([](SSL*) {}) == TlsStatus::done);
    const unsigned char http[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
    CHECK(raw_client([&](SSL* s) { SSL_set_alpn_protos(s, http, sizeof http); }) ==
          TlsStatus::failed);
    CHECK(raw_client([](SSL* s) {
              SSL_set_security_level(s, 0);
              SSL_set_min_proto_version(s, TLS1_VERSION);
              SSL_set_max_proto_version(s, TLS1_1_VERSION);
          }) == TlsStatus::failed);
    CHECK(raw_client([](SSL* s) { SSL_set_max_proto_version(s, TLS1_2_VERSION); }) ==
          TlsStatus::done);
}

TEST_CASE("rubbish instead of a handshake fails, and so does an end in the middle") {
    std::string cut_record("\x16\x03\x01\xff\xff", 5);
    cut_record.append(20000, 'x');
    const std::string ssl_request("\0\0\0\x08\x04\xd2\x16\x2f", 8);
    const std::string_view cases[] = {"GET / HTTP/1.1\r\n\r\n", cut_record, ssl_request, ""};
    for (const auto bytes : cases) {
        Pair p(server_context(), nullptr);
        REQUIRE(send(p.fd[1], bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
        p.close_end(1);
        auto s = p.server->handshake();
        CHECK(s == TlsStatus::failed);
        CHECK(p.server->error().starts_with("TLS handshake: "));
        CHECK(p.server->handshake() == TlsStatus::failed);
        char byte;
        CHECK(p.server->read(&byte, 1).status == TlsStatus::failed);
        CHECK(p.server->write("x", 1).status == TlsStatus::failed);
        p.server->shutdown();
    }
}

TEST_CASE("rubbish after the handshake breaks the stream") {
    Pair p(server_context(), verifying("db.example.com"));
    REQUIRE(p.handshake());
    const std::string bytes = "plain bytes in the middle of an encrypted stream";
    REQUIRE(send(p.fd[1], bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
    char block[64];
    CHECK(p.server->read(block, sizeof block).status == TlsStatus::failed);
    CHECK(p.server->error().starts_with("TLS read: "));
}

TEST_CASE("one stream's errors are not another's") {
    Pair bad(server_context(), nullptr);
    REQUIRE(send(bad.fd[1], "rubbish", 7, 0) == 7);
    Pair good(server_context(), verifying("db.example.com"));
    REQUIRE(good.handshake());
    CHECK(bad.server->handshake() == TlsStatus::failed);
    char byte;
    CHECK(good.server->read(&byte, 1).status == TlsStatus::want_read);
    CHECK(good.client->write("x", 1).status == TlsStatus::done);
    CHECK(good.server->read(&byte, 1).status == TlsStatus::done);
}

TEST_CASE("a client's common name with a zero byte inside is nobody's (S45)") {
    folder().issue("zero", {std::string("good\0evil", 9)});
    Pair p(context(TlsContext::server(folder().server("zero"))), context(TlsContext::client({})));
    REQUIRE(p.handshake());
    CHECK(p.client->peer_common_name().empty());
    CHECK_FALSE(p.client->peer_subject().empty());
}
