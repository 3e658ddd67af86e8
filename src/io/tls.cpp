// See tls.hpp. The only file that includes OpenSSL's TLS.
#include "pgweir/io/tls.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

namespace pgweir::io {

namespace {

constexpr unsigned char kAlpn[] = {10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l'};

// A BIO of our own: OpenSSL's writes with write(2), which raises SIGPIPE. Its data pointer is the
// descriptor, its flag "eof" the peer's end.

int descriptor_of(BIO* bio) noexcept {
    return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool is_transient(int error) noexcept {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int bio_read(BIO* bio, char* into, int size) {
    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY | BIO_FLAGS_IN_EOF);
    const auto n = recv(descriptor_of(bio), into, static_cast<std::size_t>(size), 0);
    if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (n < 0 && is_transient(errno)) BIO_set_retry_read(bio);
    return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    const auto n = send(descriptor_of(bio), from, static_cast<std::size_t>(size), MSG_NOSIGNAL);
    if (n < 0 && is_transient(errno)) BIO_set_retry_write(bio);
    return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long, void*) {
    switch (command) {
        case BIO_CTRL_FLUSH: return 1;
        case BIO_CTRL_EOF: return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
        default: return 0;
    }
}

BIO* new_bio(int fd) {
    static BIO_METHOD* const method = [] {
        auto* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pgweir socket");
        if (m != nullptr) {
            BIO_meth_set_read(m, bio_read);
            BIO_meth_set_write(m, bio_write);
            BIO_meth_set_ctrl(m, bio_control);
        }
        return m;
    }();
    BIO* bio = method == nullptr ? nullptr : BIO_new(method);
    if (bio == nullptr) return nullptr;
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
    BIO_set_init(bio, 1);
    return bio;
}

/// The first error in this thread's queue, and empties it.
std::string queued_error() {
    const auto code = ERR_peek_error();
    ERR_clear_error();
    if (code == 0) return "unknown TLS error";
    if (const char* reason = ERR_reason_error_string(code)) return reason;
    if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
    return "TLS error " + std::to_string(code);
}

base::Error queued_error(const std::string& doing) { return {doing + ": " + queued_error()}; }

/// PostgreSQL's rule: a key of ours is nobody else's to read; one of root's may be read by a group.
std::optional<base::Error> key_file_problem(const std::string& path) {
    struct stat s {};
    if (stat(path.c_str(), &s) != 0)
        return base::Error{"private key file \"" + path + "\": " + std::strerror(errno)};
    if (!S_ISREG(s.st_mode))
        return base::Error{"private key file \"" + path + "\" is not a regular file"};
    if (s.st_uid != geteuid() && s.st_uid != 0)
        return base::Error{"private key file \"" + path +
                           "\" must belong to the user of this program or to root"};
    const mode_t forbidden = s.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if ((s.st_mode & forbidden) != 0)
        return base::Error{"private key file \"" + path +
                           "\" has group or world access; it must be u=rw (0600) or less, or "
                           "u=rw,g=r (0640) or less if it belongs to root"};
    return std::nullopt;
}

int refuse_passphrase(char*, int, int, void*) { return -1; }  // never ask on the terminal

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
    unsigned char* chosen = nullptr;
    if (SSL_select_next_proto(&chosen, out_size, kAlpn, sizeof kAlpn, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX* new_context(const SSL_METHOD* method) {
    ERR_clear_error();
    SSL_CTX* c = SSL_CTX_new(method);
    if (c == nullptr) return nullptr;
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    // An end without close_notify is an end: messages have lengths, so nothing can be cut unseen.
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);                           // one read a record, not two
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);  // tickets need none
    SSL_CTX_set_default_passwd_cb(c, refuse_passphrase);
    return c;
}

bool is_address(const std::string& host) {
    ASN1_OCTET_STRING* ip = a2i_IPADDRESS(host.c_str());
    ASN1_OCTET_STRING_free(ip);
    ERR_clear_error();
    return ip != nullptr;
}

/// Names the host to the server and demands its name in the certificate.
bool set_host(SSL* ssl, const std::string& host, TlsVerify verify) {
    if (host.empty() || host.front() == '/') return verify != TlsVerify::full;
    const bool address = is_address(host);
    // What SSL_set_tlsext_host_name() does, without its C cast.
    if (!address && SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                             const_cast<char*>(host.c_str())) != 1)
        return false;
    if (verify != TlsVerify::full) return true;
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    if (address) return X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host.data(), host.size()) == 1;
}

std::optional<base::Error> load_certificate(SSL_CTX* c, const std::string& cert_file,
                                            const std::string& key_file) {
    if (cert_file.empty() || key_file.empty())
        return base::Error{"TLS needs a certificate file and a private key file"};
    if (SSL_CTX_use_certificate_chain_file(c, cert_file.c_str()) != 1)
        return queued_error("certificate file \"" + cert_file + "\"");
    if (auto problem = key_file_problem(key_file)) return problem;
    if (SSL_CTX_use_PrivateKey_file(c, key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        return queued_error("private key file \"" + key_file + "\"");
    if (SSL_CTX_check_private_key(c) != 1)
        return queued_error("private key \"" + key_file + "\" and certificate \"" + cert_file +
                            "\"");
    return std::nullopt;
}

std::optional<base::Error> load_client_ca(SSL_CTX* c, const TlsServerOptions& o) {
    if (o.ca_file.empty()) {
        if (!o.require_client_cert) return std::nullopt;
        return base::Error{"verifying client certificates needs a CA file"};
    }
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(o.ca_file.c_str());
    if (names == nullptr || SSL_CTX_load_verify_file(c, o.ca_file.c_str()) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return queued_error("CA file \"" + o.ca_file + "\"");
    }
    SSL_CTX_set_client_CA_list(c, names);
    SSL_CTX_set_verify(
        c, SSL_VERIFY_PEER | (o.require_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        nullptr);
    return std::nullopt;
}

/// As PostgreSQL: with lists at hand the whole chain is looked up, and an authority whose list is
/// not there, or is out of date, is not believed.
std::optional<base::Error> load_revocations(SSL_CTX* c, const std::string& crl_file) {
    if (crl_file.empty()) return std::nullopt;
    X509_STORE* store = SSL_CTX_get_cert_store(c);
    X509_LOOKUP* lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == nullptr || X509_load_crl_file(lookup, crl_file.c_str(), X509_FILETYPE_PEM) < 1)
        return queued_error("CRL file \"" + crl_file + "\"");
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return std::nullopt;
}

std::optional<base::Error> set_suites(SSL_CTX* c, const TlsServerOptions& o) {
    if (!o.ciphers.empty() && SSL_CTX_set_cipher_list(c, o.ciphers.c_str()) != 1)
        return queued_error("ciphers \"" + o.ciphers + "\"");
    if (!o.suites.empty() && SSL_CTX_set_ciphersuites(c, o.suites.c_str()) != 1)
        return queued_error("suites \"" + o.suites + "\"");
    return std::nullopt;
}

}  // namespace

base::Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerOptions& options) {
    SSL_CTX* c = new_context(TLS_server_method());
    if (c == nullptr) return queued_error("TLS");
    std::shared_ptr<TlsContext> context(new TlsContext(c, true));
    if (auto error = load_certificate(c, options.cert_file, options.key_file))
        return *std::move(error);
    if (auto error = load_client_ca(c, options)) return *std::move(error);
    if (auto error = load_revocations(c, options.crl_file)) return *std::move(error);
    if (auto error = set_suites(c, options)) return *std::move(error);
    SSL_CTX_set_alpn_select_cb(c, select_alpn, nullptr);
    // One ticket, of which libpq makes no use. Its key is the context's own and goes with it: after
    // a reload everybody shows a certificate again, to whoever is believed then.
    SSL_CTX_set_num_tickets(c, 1);
    // Without it a resumed session of a client with a certificate is refused.
    static constexpr unsigned char kSessions[] = "pgweir";
    SSL_CTX_set_session_id_context(c, kSessions, sizeof kSessions - 1);
    return context;
}

base::Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
    SSL_CTX* c = new_context(TLS_client_method());
    if (c == nullptr) return queued_error("TLS");
    std::shared_ptr<TlsContext> context(new TlsContext(c, false));
    context->verify_ = options.verify;
    context->host_ = options.host;
    if (options.verify != TlsVerify::none) {
        const bool loaded = options.ca_file.empty()
                                ? SSL_CTX_set_default_verify_paths(c) == 1
                                : SSL_CTX_load_verify_file(c, options.ca_file.c_str()) == 1;
        if (!loaded) return queued_error("CA file \"" + options.ca_file + "\"");
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        if (auto error = load_revocations(c, options.crl_file)) return *std::move(error);
    }
    if (!options.cert_file.empty() || !options.key_file.empty())
        if (auto error = load_certificate(c, options.cert_file, options.key_file))
            return *std::move(error);
    if (options.alpn && SSL_CTX_set_alpn_protos(c, kAlpn, sizeof kAlpn) != 0)
        return queued_error("ALPN");
    return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(handle_); }

TlsStream::TlsStream(std::shared_ptr<TlsContext> context, ssl_st* handle) noexcept
    : context_(std::move(context)), handle_(handle) {}

TlsStream::~TlsStream() {
    SSL_free(handle_);
    ERR_clear_error();
}

base::Result<std::unique_ptr<TlsStream>> TlsStream::create(std::shared_ptr<TlsContext> context,
                                                           int fd, const std::string& host) {
    ERR_clear_error();
    SSL* ssl = SSL_new(context->handle_);
    if (ssl == nullptr) return queued_error("TLS");
    std::unique_ptr<TlsStream> stream(new TlsStream(std::move(context), ssl));
    BIO* bio = new_bio(fd);
    if (bio == nullptr) return queued_error("TLS");
    SSL_set_bio(ssl, bio, bio);
    const auto& c = *stream->context_;
    if (c.server_) {
        SSL_set_accept_state(ssl);
        return stream;
    }
    SSL_set_connect_state(ssl);
    const auto& name = host.empty() ? c.host_ : host;
    if (!set_host(ssl, name, c.verify_))
        return base::Error{"no host name to verify the server's certificate against"};
    return stream;
}

TlsStatus TlsStream::status_of(int rc, const char* doing) noexcept {
    const int system_error = errno;
    switch (SSL_get_error(handle_, rc)) {
        case SSL_ERROR_WANT_READ: return TlsStatus::want_read;
        case SSL_ERROR_WANT_WRITE: return TlsStatus::want_write;
        case SSL_ERROR_ZERO_RETURN:
            if (established_) return TlsStatus::closed;
            error_ = "the peer closed the connection";
            break;
        case SSL_ERROR_SYSCALL:
            error_ = ERR_peek_error() != 0 ? queued_error()
                     : system_error != 0   ? std::strerror(system_error)
                                           : "the peer closed the connection";
            break;
        default: {
            // Where nothing is verified, the verdict is there all the same, and means nothing.
            const bool verifies = (SSL_get_verify_mode(handle_) & SSL_VERIFY_PEER) != 0;
            const long verdict = verifies ? SSL_get_verify_result(handle_) : X509_V_OK;
            if (!established_ && verdict != X509_V_OK)
                error_ = std::string("certificate verify failed: ") +
                         X509_verify_cert_error_string(verdict);
            else
                error_ = queued_error();
        }
    }
    ERR_clear_error();
    error_.insert(0, std::string(doing) + ": ");
    broken_ = true;
    return TlsStatus::failed;
}

TlsStatus TlsStream::handshake() {
    if (broken_) return TlsStatus::failed;
    ERR_clear_error();
    errno = 0;
    const int rc = SSL_do_handshake(handle_);
    if (rc != 1) return status_of(rc, "TLS handshake");
    established_ = true;
    return TlsStatus::done;
}

TlsResult TlsStream::read(char* into, std::size_t size) noexcept {
    if (broken_) return {TlsStatus::failed, 0};
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    const int rc = SSL_read_ex(handle_, into, size, &n);
    if (rc == 1) return {TlsStatus::done, n};
    return {status_of(rc, "TLS read"), 0};
}

TlsResult TlsStream::write(const char* from, std::size_t size) noexcept {
    if (broken_) return {TlsStatus::failed, 0};
    if (size == 0) return {TlsStatus::done, 0};
    ERR_clear_error();
    errno = 0;
    std::size_t n = 0;
    const int rc = SSL_write_ex(handle_, from, size, &n);
    if (rc == 1) return {TlsStatus::done, n};
    return {status_of(rc, "TLS write"), 0};
}

std::size_t TlsStream::pending() const noexcept {
    const int ready = SSL_pending(handle_);
    if (ready > 0) return static_cast<std::size_t>(ready);
    return SSL_has_pending(handle_) == 1 ? 1 : 0;
}

void TlsStream::shutdown() noexcept {
    // After a fatal error, or in the middle of a handshake, OpenSSL must not be asked to.
    if (broken_ || !established_) return;
    ERR_clear_error();
    SSL_shutdown(handle_);
    ERR_clear_error();
}

bool TlsStream::alpn_agreed() const noexcept {
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(handle_, &protocol, &size);
    return size == sizeof kAlpn - 1 && std::memcmp(protocol, kAlpn + 1, size) == 0;
}

std::string TlsStream::description() const {
    return std::string(SSL_get_version(handle_)) + ", " + SSL_get_cipher_name(handle_);
}

std::string TlsStream::peer_subject() const {
    X509* certificate = SSL_get0_peer_certificate(handle_);
    if (certificate == nullptr) return {};
    BIO* text = BIO_new(BIO_s_mem());
    if (text == nullptr) return {};
    std::string subject;
    if (X509_NAME_print_ex(text, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(text, &data);
        if (size > 0) subject.assign(data, static_cast<std::size_t>(size));
    }
    BIO_free(text);
    return subject;
}

bool TlsStream::resumed() const noexcept { return SSL_session_reused(handle_) == 1; }

bool TlsStream::peer_verified() const noexcept {
    return (SSL_get_verify_mode(handle_) & SSL_VERIFY_PEER) != 0 &&
           SSL_get0_peer_certificate(handle_) != nullptr &&
           SSL_get_verify_result(handle_) == X509_V_OK;
}

std::string TlsStream::server_end_point() const {
    const X509* certificate =
        context_->server_ ? SSL_get_certificate(handle_) : SSL_get0_peer_certificate(handle_);
    int digest = NID_undef;
    if (certificate == nullptr || X509_get_signature_info(const_cast<X509*>(certificate), &digest,
                                                          nullptr, nullptr, nullptr) != 1) {
        ERR_clear_error();
        return {};
    }
    if (digest == NID_md5 || digest == NID_sha1) digest = NID_sha256;
    const EVP_MD* method = EVP_get_digestbynid(digest);  // none for Ed25519: no binding then
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const bool made = method != nullptr && X509_digest(certificate, method, hash, &size) == 1;
    ERR_clear_error();
    if (!made) return {};
    return {reinterpret_cast<const char*>(hash), size};
}

std::string TlsStream::peer_common_name() const {
    X509* certificate = SSL_get0_peer_certificate(handle_);
    if (certificate == nullptr) return {};
    X509_NAME* name = X509_get_subject_name(certificate);
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) return {};
    unsigned char* utf8 = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    ERR_clear_error();
    if (size < 0) return {};
    const std::string cn(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
    OPENSSL_free(utf8);
    // "good\0.evil" must not pass for "good".
    return cn.find('\0') == std::string::npos ? cn : std::string{};
}

}  // namespace pgweir::io
