// TLS over a descriptor, by OpenSSL, whose headers are seen in tls.cpp only. A context is made once
// per listener or pool and shared; a stream is one connection's encryption.
// Invariants: TLS 1.2 at least, no renegotiation, no compression; a stream never raises SIGPIPE; a
// key file others can read is refused, as PostgreSQL does.
// Thread: a context any; a stream one at a time. Ownership: a stream holds its context, not its
// descriptor. Errors: Result texts, and TlsStatus::failed with error() saying why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "pgweir/base/result.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace pgweir::io {

struct TlsServerOptions {
    std::string cert_file;  // PEM, the chain after it
    std::string key_file;   // PEM, without passphrase
    std::string
        ca_file;  // whom to believe about client certificates; empty: they are not asked for
    bool require_client_cert = false;  // verify-ca, verify-full; needs ca_file
    std::string crl_file;  // PEM lists of revoked certificates; empty: none is looked at
    std::string ciphers;   // of TLS 1.2, in OpenSSL's words; empty: OpenSSL's choice
    std::string suites;    // of TLS 1.3, names with colons between; empty: OpenSSL's choice
};

enum class TlsVerify : std::uint8_t {
    none,  // encrypt only: allow, prefer, require
    ca,    // verify-ca: a certificate by someone we trust
    full,  // verify-full: and made out to this host
};

struct TlsClientOptions {
    TlsVerify verify = TlsVerify::none;
    std::string ca_file;  // empty: the system's trust store, where verify is not none
    std::string host;     // name or address for verify-full and SNI (no SNI for addresses)
    std::string cert_file, key_file;  // to prove ourselves with; empty: nothing
    bool alpn = false;                // offer "postgresql", as direct TLS demands (PostgreSQL 17)
    std::string crl_file;             // as of the server side; where verify is not none
};

class TlsContext {
  public:
    static base::Result<std::shared_ptr<TlsContext>> server(const TlsServerOptions& options);
    static base::Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

  private:
    friend class TlsStream;
    TlsContext(ssl_ctx_st* handle, bool is_server) noexcept : handle_(handle), server_(is_server) {}

    ssl_ctx_st* handle_;  // owned
    bool server_;
    TlsVerify verify_ = TlsVerify::none;
    std::string host_;
};

enum class TlsStatus : std::uint8_t {
    done,
    want_read,   // call again when the descriptor is readable
    want_write,  // ... writable
    closed,      // the peer has ended the stream
    failed,      // broken; error() says why
};

struct TlsResult {
    TlsStatus status = TlsStatus::done;
    std::size_t bytes = 0;  // > 0 when done, of a read or write of more than nothing
};

class TlsStream {
  public:
    /// `fd` must be non-blocking and outlive the stream. `host` replaces the context's, for servers
    /// given as a list.
    static base::Result<std::unique_ptr<TlsStream>> create(std::shared_ptr<TlsContext> context,
                                                           int fd, const std::string& host = {});
    ~TlsStream();
    TlsStream(const TlsStream&) = delete;
    TlsStream& operator=(const TlsStream&) = delete;

    /// Never gives closed: an end during the handshake is a failure.
    TlsStatus handshake();
    TlsResult read(char* into, std::size_t size) noexcept;
    /// May take a part only. After want_*, call again with the same bytes, wherever they now are.
    TlsResult write(const char* from, std::size_t size) noexcept;
    /// More than 0 while bytes have been taken from the descriptor and not yet read here: the
    /// descriptor will not become readable for them. They may be no whole record yet.
    std::size_t pending() const noexcept;
    /// Says goodbye (close_notify) if it can be said at once.
    void shutdown() noexcept;

    const std::string& error() const noexcept { return error_; }
    /// The ALPN "postgresql" was agreed on.
    bool alpn_agreed() const noexcept;
    /// "TLSv1.3, TLS_AES_256_GCM_SHA384"; after the handshake.
    std::string description() const;
    /// Of the peer's certificate, in the form of RFC 2253; empty: it showed none.
    std::string peer_subject() const;
    /// An earlier session was taken up again by its ticket, without certificates.
    bool resumed() const noexcept;
    /// The peer has shown a certificate, and it was found good.
    bool peer_verified() const noexcept;
    /// The hash of the server's certificate, ours or the peer's, that SCRAM's channel binding
    /// tls-server-end-point is made of (RFC 5929, 4.1); empty: there is none to be had.
    std::string server_end_point() const;
    /// Empty also when it is not plain text (a zero byte inside).
    std::string peer_common_name() const;

  private:
    TlsStream(std::shared_ptr<TlsContext> context, ssl_st* handle) noexcept;
    TlsStatus status_of(int rc, const char* doing) noexcept;

    std::shared_ptr<TlsContext> context_;
    ssl_st* handle_;  // owned
    std::string error_;
    bool established_ = false;
    bool broken_ = false;
};

}  // namespace pgweir::io
