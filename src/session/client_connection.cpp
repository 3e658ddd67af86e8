// ClientConnection: the socket's events and the packets before the login. See
// client_connection.hpp.
#include "pgweir/session/client_connection.hpp"

#include <array>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/io/tls.hpp"
#include "pgweir/session/settings_probe.hpp"
#include "pgweir/wire/proxy_header.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

using wire::StartupKind;

namespace {
constexpr std::size_t kSmallRead = std::size_t{16} * 1024;
/// A client that has closed its writing side may still be waiting for its last answer; one that has
/// vanished looks the same. After this its query is cancelled.
constexpr base::Nanos kHalfClosedGrace = 900 * base::kMillisecond;
}  // namespace

ClientConnection::ClientConnection(ClientHost& host, std::uint64_t id)
    : host_(host), id_(id), opening_(std::make_unique<Opening>()) {}

ClientConnection::~ClientConnection() { drop_proof(); }

bool ClientConnection::open(int fd, const io::Address& peer) {
    connected_at_ = host_.loop().now();
    connected_wall_us_ = base::wall_now_us();
    const auto& balancers = host_.doors().balancers;
    const bool speaks_for_others =
        !peer.is_unix() &&
        std::any_of(balancers.begin(), balancers.end(), [&peer](const auth::Network& n) {
            return n.contains(reinterpret_cast<const sockaddr*>(&peer.storage));
        });
    if (!socket_.open(host_.loop(), fd, this, true, false)) return false;
    if (!speaks_for_others) return set_peer(peer);
    peer_ = peer;
    peer_host_ = peer.host();
    phase_ = Phase::proxy_header;
    return true;
}

/// False when this address may not connect now.
bool ClientConnection::set_peer(const io::Address& peer) {
    peer_ = peer;
    local_ = peer.is_local();
    peer_host_ = peer.host();
    peer_port_ = peer.port();
    const bool allowed =
        local_ || host_.address_limits().connections.take(
                      reinterpret_cast<const sockaddr*>(&peer_.storage), host_.loop().now());
    if (!allowed) host_.environment().counters().clients_refused.add(1);
    return allowed;
}

/// Takes the header off the socket, and nothing behind it: that may be TLS. False while it is not
/// all here, or when the connection has ended.
bool ClientConnection::read_proxy_header() {
    auto& in = opening_->in;
    std::array<char, wire::kMaxProxyHeader> room;
    const auto peeked = io::peek(socket_.fd(), room);
    if (peeked.state == io::IoState::blocked) return false;
    const auto before = in.size();
    if (peeked.state == io::IoState::ok) in.append(room.data(), peeked.bytes);
    const auto header = wire::parse_proxy_header(in);
    using Kind = wire::ProxyHeader::Kind;
    if (peeked.state != io::IoState::ok || header.kind == Kind::bad ||
        in.size() > 2 * wire::kMaxProxyHeader) {
        base::log_warning("client " + peer_host_ +
                          ": no PROXY protocol header, though listen.proxy_protocol names it");
        host_.environment().counters().protocol_errors.add(1);
        host_.forget(*this);
        return false;
    }
    const bool whole = header.kind != Kind::need_more;
    const auto take = whole ? header.size - before : peeked.bytes;
    (void)socket_.read(std::span(room).first(take));
    if (!whole) return false;
    in.clear();
    phase_ = Phase::opening;
    io::Address peer = peer_;
    if (header.kind == Kind::peer) {
        peer.storage = header.address;
        peer.size = header.address_size;
    }
    if (set_peer(peer)) return true;
    host_.forget(*this);
    return false;
}

/// A client that begins with TLS itself, as PostgreSQL 17 allows: its first byte is no length.
bool ClientConnection::begin_direct_tls() {
    char first = 0;
    const bool asked = ssl_asked_ || gss_asked_ || socket_.encrypted() || !opening_->in.empty();
    if (asked || host_.doors().tls == nullptr || peer_.is_unix()) return false;
    if (io::peek(socket_.fd(), {&first, 1}).state != io::IoState::ok || first != 0x16) return false;
    auto stream = io::TlsStream::create(host_.doors().tls, socket_.fd());
    if (!stream) return false;
    socket_.start_tls(std::move(*stream));
    ssl_asked_ = direct_tls_ = true;
    phase_ = Phase::tls;
    continue_handshake();
    return true;
}

void ClientConnection::on_ready(bool readable, bool writable) noexcept {
    if (phase_ == Phase::tls) {
        continue_handshake();
        return;
    }
    if (writable && socket_.is_open()) {
        if (!socket_.flush()) {
            readable = true;  // the read finds the connection broken
        } else if (socket_.queued() == 0) {
            if (phase_ == Phase::closing) {
                host_.forget(*this);
                return;
            }
            if (session_) session_->on_client_drained();
            if (console_) console_->on_client_drained();
            if (relay_) relay_->on_client_drained();
        }
    }
    if (readable && socket_.is_open()) read_some();
}

void ClientConnection::read_some() {
    if (phase_ == Phase::proxy_header && !read_proxy_header()) return;
    if (phase_ == Phase::opening && begin_direct_tls()) return;
    do {
        auto scratch = host_.loop().scratch();
        if (opening_) scratch = scratch.first(kSmallRead);
        const auto r = socket_.read(scratch);
        if (r.state == io::IoState::blocked) return;
        if (r.state != io::IoState::ok) {
            // Told of where nobody asked, the end is of both ways, and is told of again and again.
            const bool half_closed = r.state == io::IoState::closed && socket_.reading();
            const bool waits = half_closed && session_ && !eof_ && session_->busy();
            if (waits || (session_ && session_->must_finish())) {
                eof_ = true;
                eof_at_ = host_.loop().now();
                if (half_closed)
                    socket_.set_reading(false);
                else
                    socket_.close();
                return;
            }
            if (session_) session_->on_client_gone();
            host_.forget(*this);
            return;
        }
        on_bytes({scratch.data(), r.bytes});
    } while (socket_.is_open() && socket_.reading() && socket_.may_have_more());
}

void ClientConnection::on_bytes(std::string_view bytes) {
    if (session_) {
        session_->pool_counters().bytes_received.add(bytes.size());
        session_->on_client_bytes(bytes);
        return;
    }
    switch (phase_) {
        case Phase::opening: on_opening_bytes(bytes); return;
        case Phase::serving:
            if (relay_)
                relay_->on_client_bytes(bytes);
            else if (console_)
                console_->on_client_bytes(bytes);
            return;
        case Phase::authenticating:
        case Phase::proving:
        case Phase::settings: on_login_bytes(bytes); return;
        case Phase::proxy_header:
        case Phase::tls:
        case Phase::cancelling:
        case Phase::closing: return;
    }
}

void ClientConnection::on_opening_bytes(std::string_view bytes) {
    opening_->in.append(bytes);
    while (phase_ == Phase::opening) {
        const std::string received = opening_->in;  // the packet's views must outlive the login
        const auto packet = wire::parse_startup(received);
        if (packet.kind == StartupKind::need_more) return;
        opening_->in.erase(0, packet.size);
        if (!on_opening_packet(packet, received.size()) || opening_ == nullptr) return;
        if (phase_ != Phase::opening && phase_ != Phase::closing && !opening_->in.empty()) {
            const auto rest = std::move(opening_->in);
            opening_->in.clear();
            on_login_bytes(rest);
        }
    }
}

/// Deals with one packet; false when the connection goes no further.
bool ClientConnection::on_opening_packet(const wire::StartupPacket& packet, std::size_t received) {
    switch (packet.kind) {
        case StartupKind::ssl_request:
        case StartupKind::gssenc_request: return answer_encryption_request(packet, received);
        case StartupKind::cancel:
            phase_ = Phase::cancelling;
            host_.route_cancel(*this, packet.cancel_pid, std::string(packet.cancel_key), peer_);
            return false;
        case StartupKind::startup: {
            on_startup(packet);
            return phase_ != Phase::closing;
        }
        case StartupKind::bad_version:
            refuse(wire::sqlstate::kFeatureNotSupported,
                   "unsupported frontend protocol " + std::to_string(packet.version >> 16) + "." +
                       std::to_string(packet.version & 0xffff) + ": server supports 3.0 to 3.2");
            return false;
        case StartupKind::malformed:
            refuse(wire::sqlstate::kProtocolViolation,
                   "invalid startup packet layout: expected terminator as last byte");
            return false;
        default:
            host_.environment().counters().protocol_errors.add(1);
            host_.forget(*this);
            return false;
    }
}

bool ClientConnection::answer_encryption_request(const wire::StartupPacket& packet,
                                                 std::size_t received) {
    const bool ssl = packet.kind == StartupKind::ssl_request;
    bool& asked = ssl ? ssl_asked_ : gss_asked_;
    const auto tls = ssl && !socket_.encrypted() ? host_.doors().tls : nullptr;
    if (asked || socket_.encrypted()) {  // PostgreSQL takes the second for a version
        refuse(wire::sqlstate::kFeatureNotSupported,
               "unsupported frontend protocol " + std::to_string(packet.version >> 16) + "." +
                   std::to_string(packet.version & 0xffff) + ": server supports 3.0 to 3.2");
        return false;
    }
    asked = true;
    if (received > packet.size) {  // CVE-2021-23214 and its kin
        send_now(tls == nullptr ? "N" : "S");
        if (tls != nullptr) {  // a FATAL in clear would be taken for TLS
            finish();
            return false;
        }
        refuse(wire::sqlstate::kProtocolViolation,
               ssl ? "received unencrypted data after SSL request"
                   : "received unencrypted data after GSSAPI encryption request");
        return false;
    }
    if (tls == nullptr) {
        send_now("N");
        return true;
    }
    auto stream = io::TlsStream::create(tls, socket_.fd());
    if (!stream) {
        refuse(wire::sqlstate::kConnectionFailure, "TLS is not available");
        return false;
    }
    send_now("S");
    socket_.start_tls(std::move(*stream));
    opening_->in.clear();
    phase_ = Phase::tls;
    return false;
}

void ClientConnection::continue_handshake() {
    switch (socket_.tls()->handshake()) {
        case io::TlsStatus::done:
            // Without it a client of another protocol could be led here (ALPACA).
            if (direct_tls_ && !socket_.tls()->alpn_agreed()) {
                base::log_info("client " + peer_host_ +
                               ": direct TLS without the ALPN name postgresql");
                host_.forget(*this);
                return;
            }
            phase_ = Phase::opening;
            socket_.want_write(false);
            if (socket_.may_have_more()) read_some();
            return;
        case io::TlsStatus::want_read: socket_.want_write(false); return;
        case io::TlsStatus::want_write: socket_.want_write(true); return;
        default:
            base::log_info("client " + peer_host_ +
                           ": TLS handshake failed: " + base::printable(socket_.tls()->error()));
            host_.forget(*this);
            return;
    }
}

void ClientConnection::gather_send(std::span<const iovec> parts) {
    std::size_t total = 0;
    for (const auto& p : parts) total += p.iov_len;
    if (session_) session_->pool_counters().bytes_sent.add(total);
    if (socket_.is_open()) (void)socket_.send(parts);  // a broken one is found by the next read
}

void ClientConnection::send_now(std::string_view bytes) {
    const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    gather_send({&part, 1});
}

void ClientConnection::finish() noexcept {
    if (phase_ == Phase::closing) return;
    phase_ = Phase::closing;
    drop_proof();
    if (!socket_.is_open() || socket_.queued() == 0) {
        host_.forget(*this);
        return;
    }
    socket_.set_reading(false);
}

void ClientConnection::refuse(std::string_view sqlstate, std::string_view message,
                              std::string_view detail) {
    if (phase_ == Phase::closing) return;
    host_.environment().counters().clients_refused.add(1);
    base::log_info("client " + peer_host_ + " refused: " + base::printable(message) +
                   (user_.empty() ? ""
                                  : " (user " + base::printable(user_) + ", database " +
                                        base::printable(database_) + ")"));
    std::string out;
    wire::write_error(
        out, {.severity = "FATAL", .sqlstate = sqlstate, .message = message, .detail = detail});
    send_now(out);
    finish();
}

void ClientConnection::refuse(const pool::ServerFailure& why) {
    refuse(why.sqlstate.empty() ? std::string_view(wire::sqlstate::kCannotConnect)
                                : std::string_view(why.sqlstate),
           why.message, why.detail);
}

void ClientConnection::tick(base::Nanos now) {
    if (phase_ == Phase::closing) {
        if (now - connected_at_ > 0 && !socket_.is_open()) host_.forget(*this);
        return;
    }
    if (session_) {
        const bool given_up = now - eof_at_ >= kHalfClosedGrace && !session_->must_finish();
        if (eof_ && (!session_->busy() || given_up)) {
            session_->on_client_gone();
            host_.forget(*this);
            return;
        }
        session_->tick(now);
        return;
    }
    if (phase_ == Phase::serving) return;
    const auto limit = host_.environment().config().timeouts.login;
    if (limit != 0 && now - connected_at_ > limit) {
        if (phase_ != Phase::cancelling)
            base::log_info("client " + peer_host_ + ": did not log in in time");
        host_.forget(*this);
        return;
    }
    if (waiting_for_permit_) start_forward();
}

void ClientConnection::shut_down(const wire::Report& report) {
    if (session_) {
        session_->shut_down(report);
        return;
    }
    if (phase_ == Phase::closing) return;
    // Words of ours could come into the middle of a message of the server's.
    const bool relayed = relay_ != nullptr && phase_ == Phase::serving;
    relay_.reset();
    if (relayed) {
        finish();
        return;
    }
    std::string out;
    wire::write_error(out, report);
    send_now(out);
    finish();
}

void ClientConnection::on_cancel_request(pool::CancelToken settled) {
    if (session_)
        session_->on_cancel_request(std::move(settled));
    else if (relay_)
        relay_->cancel(std::move(settled));
}

bool ClientConnection::cancel_key_matches(std::string_view key) const noexcept {
    return !cancel_key_.empty() && phase_ == Phase::serving &&
           base::equal_constant_time(key, cancel_key_);
}

}  // namespace pgweir::session
