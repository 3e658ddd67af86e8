// What TLS believes and speaks: revoked certificates, suites, tickets, versions.
#include "pgweir/io/tls.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <optional>

#include "tls_peers.hpp"

using namespace pgweir;
using namespace pgweir::io::testing;
using io::TlsContext;
using io::TlsStatus;
using io::TlsVerify;

TEST_CASE("a certificate its authority has revoked is refused, on either side (S45)") {
    folder().issue("joe", {"joe"});
    const auto joins = [](const std::string& crl) {
        auto server = folder().server_asking(true);
        server.crl_file = crl;
        io::TlsClientOptions client;
        client.cert_file = folder().certificate("joe");
        client.key_file = folder().key("joe");
        Pair p(context(TlsContext::server(server)), context(TlsContext::client(client)));
        return p.handshake();
    };
    CHECK(joins(""));
    CHECK(joins(folder().revocations()));
    CHECK(joins(folder().revocations("server")));
    CHECK_FALSE(joins(folder().revocations("joe")));
    const auto believed = [](const std::string& crl, TlsVerify verify) {
        io::TlsClientOptions o;
        o.verify = verify;
        o.ca_file = folder().certificate("ca");
        o.host = "db.example.com";
        o.crl_file = crl;
        return accepts(context(TlsContext::client(o)));
    };
    for (const auto verify : {TlsVerify::ca, TlsVerify::full}) {
        CHECK(believed(folder().revocations(), verify));
        CHECK_FALSE(believed(folder().revocations("server"), verify));
    }
    auto o = folder().server_asking(true);
    for (const auto& none : {folder().path() + "/nothing.crl", folder().certificate("ca")}) {
        o.crl_file = none;
        CHECK(error_of(TlsContext::server(o)).find("CRL file \"" + none) != std::string::npos);
    }
}

TEST_CASE("cipher suites are the ones configured, and names of none are an error (S45)") {
    auto o = folder().server();
    o.suites = "TLS_CHACHA20_POLY1305_SHA256";
    o.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    Pair p(context(TlsContext::server(o)), verifying("db.example.com"));
    REQUIRE(p.handshake());
    CHECK(p.client->description() == "TLSv1.3, TLS_CHACHA20_POLY1305_SHA256");
    o.suites = "TLS_NO_SUCH_SUITE";
    CHECK(error_of(TlsContext::server(o)).find("suites \"TLS_NO_SUCH_SUITE\"") !=
          std::string::npos);
    o.suites = "";
    o.ciphers = "NONSENSE";
    CHECK(error_of(TlsContext::server(o)).find("ciphers \"NONSENSE\"") != std::string::npos);
}

namespace {

/// OpenSSL's own client, which keeps what a server gives it to come back with.
class Returning {
  public:
    Returning() : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free) {
        SSL_CTX_use_certificate_chain_file(context_.get(), folder().certificate("joe").c_str());
        SSL_CTX_use_PrivateKey_file(context_.get(), folder().key("joe").c_str(), SSL_FILETYPE_PEM);
        SSL_CTX_set_max_proto_version(context_.get(), TLS1_3_VERSION);
    }
    /// What is old is spoken at the lowest level of security only.
    void limit(int version) {
        SSL_CTX_set_max_proto_version(context_.get(), version);
        SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
        SSL_CTX_set_security_level(context_.get(), 0);
    }
    /// Whether the session of before was taken up; nothing when the handshake failed.
    std::optional<bool> visit(const std::shared_ptr<TlsContext>& server) {
        Pair p(server, nullptr);
        const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context_.get()), SSL_free);
        if (session_) SSL_set_session(ssl.get(), session_.get());
        SSL_set_fd(ssl.get(), p.fd[1]);
        SSL_set_connect_state(ssl.get());
        auto s = TlsStatus::want_read;
        for (int turn = 0; turn < 10 && Pair::waits(s); ++turn) {
            SSL_do_handshake(ssl.get());
            s = p.server->handshake();
        }
        if (s != TlsStatus::done) return std::nullopt;
        p.server->write("x", 1);
        char byte;
        SSL_read(ssl.get(), &byte, 1);  // the ticket comes before it
        session_.reset(SSL_get1_session(ssl.get()), SSL_SESSION_free);
        CHECK(p.server->peer_common_name() == "joe");
        CHECK(p.server->peer_verified());
        CHECK(p.server->resumed() == (SSL_session_reused(ssl.get()) == 1));
        SSL_set_quiet_shutdown(ssl.get(), 1);
        SSL_shutdown(ssl.get());  // else the session counts as broken
        return p.server->resumed();
    }

  private:
    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
    std::shared_ptr<SSL_SESSION> session_;
};

}  // namespace

TEST_CASE("a session is taken up again by its ticket, until the context is made anew (S45)") {
    folder().issue("joe", {"joe"});
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        const auto server = context(TlsContext::server(folder().server_asking(true)));
        Returning client;
        client.limit(version);
        CHECK(client.visit(server) == false);
        CHECK(client.visit(server) == true);
        CHECK(client.visit(server) == true);
        const auto reloaded = context(TlsContext::server(folder().server_asking(true)));
        CHECK(client.visit(reloaded) == false);
        auto strict = folder().server_asking(true);
        strict.crl_file = folder().revocations("joe");
        CHECK(client.visit(context(TlsContext::server(strict))) == std::nullopt);
    }
}

TEST_CASE("nothing older than TLS 1.2 is spoken (S45)") {
    folder().issue("joe", {"joe"});
    Returning client;
    client.limit(TLS1_1_VERSION);
    CHECK(client.visit(context(TlsContext::server(folder().server_asking(true)))) == std::nullopt);
}
