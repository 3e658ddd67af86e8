// Certificates made on the spot, and the two ends of a TLS connection, for the tests of io/tls.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "pgweir/io/tls.hpp"

namespace pgweir::io::testing {

struct Identity {
    std::shared_ptr<EVP_PKEY> key;
    std::shared_ptr<X509> certificate;
};

struct Wish {
    std::string common_name = "server";
    std::string alt_names;  // "DNS:a,IP:1.2.3.4"; empty: none
    long from = -3600;      // seconds from now
    long until = 3600;
    bool is_ca = false;
};

inline void add_extension(X509* to, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context{};  // without a configuration database
    X509V3_set_ctx(&context, issuer, to, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(to, extension, -1);
    X509_EXTENSION_free(extension);
}

/// A certificate by `issuer`, or by itself.
inline Identity make_identity(const Wish& wish, const Identity* issuer = nullptr) {
    static long serial = 1;
    Identity id{{EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free},
                {X509_new(), X509_free}};
    X509* x = id.certificate.get();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), wish.from);
    X509_gmtime_adj(X509_getm_notAfter(x), wish.until);
    X509_set_pubkey(x, id.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.common_name.data()),
                               static_cast<int>(wish.common_name.size()), -1, 0);
    const Identity& by = issuer != nullptr ? *issuer : id;
    X509_set_issuer_name(x, X509_get_subject_name(by.certificate.get()));
    add_extension(x, by.certificate.get(), NID_basic_constraints,
                  wish.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wish.alt_names.empty())
        add_extension(x, by.certificate.get(), NID_subject_alt_name, wish.alt_names);
    REQUIRE(X509_sign(x, by.key.get(), EVP_sha256()) > 0);
    return id;
}

/// A directory with a CA, and what it has signed.
class Folder {
  public:
    Folder() {
        char path[] = "/tmp/pgweir_tls_XXXXXX";
        REQUIRE(mkdtemp(path) != nullptr);
        path_ = path;
        Wish wish{"test CA"};
        wish.is_ca = true;
        ca_ = make_identity(wish);
        write("ca", ca_);
        wish.common_name = "other CA";
        other_ca_ = make_identity(wish);
        write("other_ca", other_ca_);
        issue("server", {"server", "DNS:db.example.com,DNS:*.pool.example.com,IP:127.0.0.1"});
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    void issue(const std::string& name, const Wish& wish) {
        write(name, make_identity(wish, &ca_));
    }
    std::string certificate(const std::string& name) const { return path_ + "/" + name + ".crt"; }
    std::string key(const std::string& name) const { return path_ + "/" + name + ".key"; }
    const std::string& path() const { return path_; }

    TlsServerOptions server(const std::string& name = "server") const {
        return {certificate(name), key(name), "", false, "", "", ""};
    }
    TlsServerOptions server_asking(bool require) const {
        return {certificate("server"), key("server"), certificate("ca"), require, "", "", ""};
    }
    /// A list by the authority `ca` of what it has revoked: nothing, or the certificate `name`.
    std::string revocations(const std::string& name = {}) const {
        const std::unique_ptr<X509_CRL, void (*)(X509_CRL*)> list(X509_CRL_new(), X509_CRL_free);
        X509_CRL_set_version(list.get(), 1);
        X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(ca_.certificate.get()));
        const std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> time(ASN1_TIME_new(),
                                                                    ASN1_TIME_free);
        X509_gmtime_adj(time.get(), -3600);
        X509_CRL_set1_lastUpdate(list.get(), time.get());
        if (!name.empty()) {
            std::FILE* f = std::fopen(certificate(name).c_str(), "r");
            X509* revoked = PEM_read_X509(f, nullptr, nullptr, nullptr);
            std::fclose(f);
            X509_REVOKED* entry = X509_REVOKED_new();
            X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
            X509_REVOKED_set_revocationDate(entry, time.get());
            X509_CRL_add0_revoked(list.get(), entry);
            X509_free(revoked);
        }
        X509_gmtime_adj(time.get(), 3600);
        X509_CRL_set1_nextUpdate(list.get(), time.get());
        REQUIRE(X509_CRL_sign(list.get(), ca_.key.get(), EVP_sha256()) > 0);
        const auto path = path_ + "/crl" + name + ".pem";
        std::FILE* f = std::fopen(path.c_str(), "w");
        PEM_write_X509_CRL(f, list.get());
        std::fclose(f);
        return path;
    }

  private:
    void write(const std::string& name, const Identity& id) const {
        std::FILE* f = std::fopen(certificate(name).c_str(), "w");
        PEM_write_X509(f, id.certificate.get());
        std::fclose(f);
        f = std::fopen(key(name).c_str(), "w");
        PEM_write_PrivateKey(f, id.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(f);
        chmod(key(name).c_str(), 0600);
    }

    std::string path_;
    Identity ca_;
    Identity other_ca_;
};

inline Folder& folder() {
    static Folder f;
    return f;
}

inline std::shared_ptr<TlsContext> context(base::Result<std::shared_ptr<TlsContext>> r) {
    if (!r) FAIL(r.error());
    return *std::move(r);
}

inline std::shared_ptr<TlsContext> verifying(const std::string& host,
                                             TlsVerify verify = TlsVerify::full,
                                             const std::string& ca = "ca") {
    TlsClientOptions o;
    o.verify = verify;
    o.ca_file = folder().certificate(ca);
    o.host = host;
    return context(TlsContext::client(o));
}

inline std::shared_ptr<TlsContext> server_context() {
    static const auto c = context(TlsContext::server(folder().server()));
    return c;
}

/// Both ends of a connection, non-blocking.
struct Pair {
    Pair(std::shared_ptr<TlsContext> server_side, std::shared_ptr<TlsContext> client_side) {
        REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
        if (server_side) server = *TlsStream::create(std::move(server_side), fd[0]);
        if (client_side) client = *TlsStream::create(std::move(client_side), fd[1]);
    }
    ~Pair() {
        close_end(0);
        close_end(1);
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;

    void close_end(int end) {
        if (fd[end] < 0) return;
        close(fd[end]);
        fd[end] = -1;
    }
    /// True when both are satisfied.
    bool handshake() {
        auto s = TlsStatus::want_read;
        auto c = TlsStatus::want_read;
        for (int turn = 0; turn < 20 && (waits(s) || waits(c)); ++turn) {
            if (waits(c)) c = client->handshake();
            if (waits(s)) s = server->handshake();
        }
        // With TLS 1.3 a server's refusal of the client comes after the client's end of it.
        char byte;
        if (c == TlsStatus::done && client->read(&byte, 1).status == TlsStatus::failed)
            c = TlsStatus::failed;
        return s == TlsStatus::done && c == TlsStatus::done;
    }
    static bool waits(TlsStatus s) {
        return s == TlsStatus::want_read || s == TlsStatus::want_write;
    }

    int fd[2] = {-1, -1};
    std::unique_ptr<TlsStream> server;
    std::unique_ptr<TlsStream> client;
};

inline std::string error_of(const base::Result<std::shared_ptr<TlsContext>>& r) {
    return r ? "" : r.error();
}

inline bool accepts(const std::shared_ptr<TlsContext>& client,
                    const std::string& server_name = "server") {
    Pair p(context(TlsContext::server(folder().server(server_name))), client);
    return p.handshake();
}

}  // namespace pgweir::io::testing
