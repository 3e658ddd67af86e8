// ServerConnection: connecting, TLS and login; then bytes for whoever holds the lease. See the
// header.
#include "pgweir/pool/server_connection.hpp"

#include <cstring>

#include "pgweir/base/log.hpp"
#include "pgweir/io/off_loop.hpp"
#include "pgweir/io/resolver.hpp"
#include "pgweir/io/tls.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/startup.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::pool {

namespace {
constexpr std::size_t kMaxHeld = std::size_t{1024} * 1024;

ServerFailure unreachable(std::string detail) {
    return {std::string(wire::sqlstate::kCannotConnect), "could not connect to the server",
            std::move(detail), false};
}
}  // namespace

ServerConnection::ServerConnection(Pool& pool, Permit permit, PoolConfigPtr config,
                                   std::uint64_t id)
    : pool_(&pool), permit_(std::move(permit)), config_(std::move(config)), id_(id) {}

ServerConnection::~ServerConnection() = default;

void ServerConnection::start(const Credentials& credentials, LoginObserver* observer) {
    observer_ = observer;
    opened = since_ = pool_->host().loop().now();
    const auto& db = config_->database;
    use_tls_ = db.tls.mode >= config::TlsMode::prefer;
    if (credentials.state == Credentials::State::password) {
        if (!credentials.password.empty()) secret_.password = credentials.password;
        secret_.md5 = credentials.md5;
        secret_.keys = credentials.keys;
    }
    io::resolve(
        pool_->host().loop(), db.host, db.port,
        [alive = std::weak_ptr<bool>(alive_), this](base::Result<std::vector<io::Address>> found) {
            if (alive.expired() || state_ == ServerState::closed) return;
            on_resolved(std::move(found));
        });
}

void ServerConnection::on_resolved(base::Result<std::vector<io::Address>> found) {
    if (!found || found->empty()) {
        fail_login(unreachable(found ? "no address" : found.error()));
        return;
    }
    addresses_ = std::move(*found);
    connect_next();
}

void ServerConnection::connect_next() {
    std::string why = "no address";
    while (!addresses_.empty()) {
        address_ = addresses_.front();
        addresses_.erase(addresses_.begin());
        auto fd = io::start_connect(address_);
        if (!fd) {
            why = fd.error();
            continue;
        }
        io::tune_socket(*fd, 30'000);
        if (socket_.open(pool_->host().loop(), *fd, this, false, true)) return;
        why = "the event loop refused the socket";
    }
    fail_login(unreachable(why));
}

/// By the way this connection itself was made, whatever the configuration says by now.
CancelTarget ServerConnection::cancel_target() const {
    const auto& database = config_->database;
    const bool direct = database.tls.negotiation == config::TlsNegotiation::direct;
    return {address_, socket_.encrypted() ? config_->tls : nullptr, database.host, direct};
}

void ServerConnection::connect_timed_out() {
    fail_login(unreachable(state_ == ServerState::connecting
                               ? "connection timed out"
                               : "the server did not complete the login in time"));
}

void ServerConnection::on_ready(bool readable, bool writable) noexcept {
    switch (state_) {
        case ServerState::connecting:
            if (readable || writable) on_connected();
            return;
        case ServerState::tls_handshake: continue_handshake(); return;
        case ServerState::closed: return;
        default: break;
    }
    if (writable && socket_.is_open()) {
        if (!socket_.flush())
            readable = true;
        else if (socket_.queued() == 0 && user_ != nullptr)
            user_->on_server_drained();
    }
    if (readable && state_ != ServerState::closed && socket_.is_open()) {
        if (state_ == ServerState::tls_answer)
            read_tls_answer();
        else
            read_some();
    }
}

void ServerConnection::on_connected() {
    if (const int error = io::connect_error(socket_.fd()); error != 0) {
        const std::string why = std::strerror(error);
        socket_.close();
        if (!addresses_.empty())
            connect_next();
        else
            fail_login(unreachable(why));
        return;
    }
    socket_.want_write(false);
    socket_.set_reading(true);
    if (!use_tls_ || address_.is_unix()) {
        send_startup();
        return;
    }
    if (config_->tls == nullptr) {
        fail_login(unreachable("TLS is not set up: " + config_->tls_error));
        return;
    }
    if (config_->database.tls.negotiation == config::TlsNegotiation::direct) {
        begin_tls();
        return;
    }
    state_ = ServerState::tls_answer;
    std::string request;
    base::append_u32(request, 8);
    base::append_u32(request, wire::kSslRequestCode);
    if (!socket_.send(request)) fail_login(unreachable("the connection broke"));
}

void ServerConnection::read_tls_answer() {
    char answer =
        0;  // one byte: what follows it in clear must never be taken for the server's words
    const auto r = socket_.read({&answer, 1});
    if (r.state == io::IoState::blocked) return;
    if (r.state != io::IoState::ok) {
        fail_login(unreachable("the server closed the connection"));
        return;
    }
    if (answer == 'S') {
        begin_tls();
        return;
    }
    if (answer == 'N' && config_->database.tls.mode == config::TlsMode::prefer) {
        send_startup();
        return;
    }
    fail_login(unreachable(answer == 'N'
                               ? "the server does not support TLS, but tls.mode requires it"
                               : "the server gave an unknown answer to the request for TLS"));
}

void ServerConnection::begin_tls() {
    auto tls = io::TlsStream::create(config_->tls, socket_.fd(), config_->database.host);
    if (!tls) {
        fail_login(unreachable(tls.error()));
        return;
    }
    socket_.start_tls(std::move(*tls));
    state_ = ServerState::tls_handshake;
    continue_handshake();
}

/// As libpq: `prefer` goes on without TLS and `allow` with it where the first way is refused before
/// a password was asked for. Other modes, and a second refusal, stay refused.
bool ServerConnection::try_other_way() {
    const auto mode = config_->database.tls.mode;
    const bool either = mode == config::TlsMode::allow || mode == config::TlsMode::prefer;
    if (!either || second_try_ || address_.is_unix() || config_->tls == nullptr) return false;
    second_try_ = true;
    use_tls_ = !use_tls_;
    socket_.close();
    in_.clear();
    addresses_.insert(addresses_.begin(), address_);
    state_ = ServerState::connecting;
    connect_next();
    return true;
}

void ServerConnection::continue_handshake() {
    switch (socket_.tls()->handshake()) {
        case io::TlsStatus::done:
            if (config_->database.tls.negotiation == config::TlsNegotiation::direct &&
                !socket_.tls()->alpn_agreed()) {
                fail_login(unreachable("direct TLS: the server did not agree to ALPN postgresql"));
                return;
            }
            socket_.want_write(false);
            send_startup();
            if (socket_.is_open() && socket_.may_have_more()) read_some();
            return;
        case io::TlsStatus::want_read: socket_.want_write(false); return;
        case io::TlsStatus::want_write: socket_.want_write(true); return;
        default: {
            const auto why = "TLS: " + socket_.tls()->error();
            if (!try_other_way()) fail_login(unreachable(why));
            return;
        }
    }
}

void ServerConnection::send_startup() {
    state_ = ServerState::login;
    auth::ServerLoginOptions options;
    options.user = pool_->shared()->key.user;
    options.database = config_->dbname;
    options.parameters = startup_;
    options.secret = secret_;  // kept for a second try
    options.may_send_cleartext = socket_.encrypted() || address_.is_local();
    options.derive_elsewhere = true;
    options.channel_binding =
        static_cast<auth::ChannelBinding>(config_->database.tls.channel_binding);
    if (auto* tls = socket_.tls(); tls != nullptr)
        options.certificate_hash = tls->server_end_point();
    on_login_step(login_.start(std::move(options)));
}

void ServerConnection::give_password(std::string_view password) {
    if (state_ != ServerState::login) return;
    on_login_step(login_.give_password(password));
}

void ServerConnection::read_some() {
    do {
        auto scratch = pool_->host().loop().scratch();
        const auto r = socket_.read(scratch);
        if (r.state == io::IoState::blocked) return;
        if (r.state != io::IoState::ok) {
            lost("the server closed the connection unexpectedly");
            return;
        }
        const std::string_view bytes(scratch.data(), r.bytes);
        switch (state_) {
            case ServerState::leased:
                if (user_ != nullptr) user_->on_server_bytes(bytes);
                break;
            case ServerState::login:
                in_.append(bytes);
                consume_login();
                break;
            case ServerState::idle: consume_idle(bytes); break;
            case ServerState::closed: return;
            default:
                in_.append(bytes);
                consume_cleaning();
                break;
        }
        // One that was handed over to another worker in that call is no longer watched here.
    } while (socket_.is_watched() && socket_.reading() && socket_.may_have_more());
}

void ServerConnection::consume_login() {
    while (state_ == ServerState::login) {
        const auto frame = wire::scan_frame(in_);
        const bool absurd = frame.status == wire::FrameStatus::bad_length || frame.size > kMaxHeld;
        if (absurd || (!in_.empty() && !wire::is_server_message(in_[0]))) {
            fail_login({std::string(wire::sqlstate::kProtocolViolation),
                        "the server sent a malformed message", "", false});
            return;
        }
        if (frame.status != wire::FrameStatus::complete) return;
        const auto step = login_.feed(frame.type, frame.body);
        in_.erase(0, frame.size);
        on_login_step(step);
    }
}

void ServerConnection::on_login_step(const auth::LoginStep& step) {
    if (!step.bytes.empty() && !socket_.send(step.bytes)) {
        fail_login(unreachable("the connection broke"));
        return;
    }
    switch (step.status) {
        case auth::LoginStatus::need_more: return;
        case auth::LoginStatus::password_needed:
            if (observer_ != nullptr)
                observer_->on_password_needed();
            else
                fail_login({std::string(wire::sqlstate::kInvalidAuthorization),
                            "the server asks for a password and none is known", "", true});
            return;
        case auth::LoginStatus::keys_needed: derive_keys(); return;
        case auth::LoginStatus::failed:
            if (login_.failure().from_server && login_.failure().sqlstate == "28000" &&
                login_.asked() == auth::PasswordMethod::none && try_other_way())
                return;
            fail_login({login_.failure().sqlstate, login_.failure().message,
                        login_.failure().detail, login_.failure().from_server});
            return;
        case auth::LoginStatus::ready: break;
    }
    secret_ = {};
    state_ = ServerState::idle;
    since_ = pool_->host().loop().now();
    tx = wire::TxStatus::idle;
    if (owner_ != nullptr) pool_->on_own_ready(*this);
    if (auto* observer = observer_) {
        observer_ = nullptr;
        observer->on_server_login(login_.asked() != auth::PasswordMethod::none);
    }
    if (owner_ != nullptr) return;
    keep_keys();
    pool_->on_server_ready(*this);
}

/// SCRAM's thousands of hashes: on another thread, since this one has traffic.
void ServerConnection::derive_keys() {
    struct Job {
        auth::ScramDerivation from;
        auth::ClientKeys keys;
    };
    auto job = std::make_shared<Job>();
    job->from = login_.derivation();
    io::run_off_loop(
        pool_->host().loop(),
        [job] {
            job->keys =
                auth::derive_client_keys(job->from.password, job->from.salt, job->from.iterations);
            job->from.password.assign(job->from.password.size(), '\0');
        },
        [this, job, alive = std::weak_ptr<bool>(alive_)] {
            if (alive.expired() || state_ != ServerState::login) return;
            on_login_step(login_.give_keys(std::move(job->keys)));
            if (state_ == ServerState::login) consume_login();
        });
}

/// The next login of this pool is spared the derivation.
void ServerConnection::keep_keys() {
    if (!login_.client_keys()) return;
    auto credentials = pool_->shared()->credentials();
    if (credentials.state != Credentials::State::password || credentials.keys) return;
    credentials.keys = login_.client_keys();
    (void)pool_->shared()->set_proven(*config_, std::move(credentials));
}

void ServerConnection::fail_login(const ServerFailure& why) {
    if (state_ == ServerState::closed) return;
    state_ = ServerState::closed;
    secret_ = {};
    socket_.close();
    auto* observer = observer_;
    observer_ = nullptr;
    const bool observed = observer != nullptr;
    auto& pool = *pool_;
    if (observed) observer->on_server_login_failed(why);
    pool.on_server_login_failed(*this, why, observed);
}

void ServerConnection::send(std::span<const iovec> parts) { (void)socket_.send(parts); }

void ServerConnection::lease_to(ServerUser* user, base::Nanos now) noexcept {
    state_ = ServerState::leased;
    user_ = user;
    since_ = now;
}

void ServerConnection::unlease(base::Nanos now) noexcept {
    user_ = nullptr;
    if (state_ == ServerState::closed) return;
    state_ = ServerState::idle;
    since_ = now;
    socket_.set_reading(true);
}

void ServerConnection::run_query(ServerState state, std::string_view sql) {
    state_ = state;
    since_ = pool_->host().loop().now();
    in_.clear();
    cleaning_failed_ = false;
    ready_expected_ = 1;
    unnamed_statement = 0;  // a simple Query destroys it
    std::string message;
    wire::write_query(message, sql);
    (void)socket_.send(message);
}

void ServerConnection::drain(unsigned ready) {
    state_ = ServerState::draining;
    since_ = pool_->host().loop().now();
    in_.clear();
    ready_expected_ = ready;
    cleaning_failed_ = false;
}

void ServerConnection::consume_cleaning() {
    while (state_ != ServerState::closed && ready_expected_ > 0) {
        const auto frame = wire::scan_frame(in_);
        if (frame.status == wire::FrameStatus::bad_length ||
            !(in_.empty() || wire::is_server_message(in_[0]))) {
            lost("the server sent a malformed message");
            return;
        }
        if (frame.status != wire::FrameStatus::complete) {
            // Rows of a drained query may be of any size, but are worth no memory.
            if (in_.size() > kMaxHeld) lost("the server sent a message that is too long");
            return;
        }
        const char type = frame.type;
        const std::string body(frame.body.substr(0, 16));
        in_.erase(0, frame.size);
        on_cleaning_frame(type, body);
    }
}

void ServerConnection::on_cleaning_frame(char type, std::string_view body) {
    if (type == wire::be::kErrorResponse && state_ != ServerState::draining)
        cleaning_failed_ = true;
    if (type != wire::be::kReadyForQuery) return;
    if (body.size() == 1) tx = static_cast<wire::TxStatus>(body[0]);
    if (--ready_expected_ > 0) return;
    in_.clear();
    if (state_ == ServerState::draining)
        pool_->on_drained(*this);
    else
        pool_->on_cleaned(*this, !cleaning_failed_);
}

void ServerConnection::consume_idle(std::string_view bytes) {
    in_.append(bytes);
    while (!in_.empty()) {
        const auto frame = wire::scan_frame(in_);
        if (frame.status == wire::FrameStatus::bad_length || in_.size() > kMaxHeld) break;
        if (frame.status != wire::FrameStatus::complete) return;
        if (frame.type == wire::be::kParameterStatus) {
            base::ByteReader r(frame.body);
            const auto name = r.cstring();
            const auto value = r.cstring();
            if (r.ok()) pool_->parameter_changed(*this, name, value);
        } else if (frame.type != wire::be::kNoticeResponse &&
                   frame.type != wire::be::kNotificationResponse)
            break;
        in_.erase(0, frame.size);
    }
    if (!in_.empty()) lost("the server ended the connection");  // 57P01 and the like, or nonsense
}

void ServerConnection::lost(std::string_view why) {
    if (state_ == ServerState::closed) return;
    const auto before = state_;
    if (before == ServerState::login) {
        fail_login(unreachable(std::string(why)));
        return;
    }
    state_ = ServerState::closed;
    socket_.close();
    auto* user = user_;
    user_ = nullptr;
    auto& pool = *pool_;
    if (user != nullptr) user->on_server_gone(why);
    pool.on_server_lost(*this);
}

void ServerConnection::close(std::string_view) noexcept {
    if (socket_.is_open() && state_ > ServerState::login)  // before, it would be no message
        (void)socket_.send(std::string_view("X\0\0\0\4", 5));
    state_ = ServerState::closed;
    socket_.close();
    permit_ = {};  // the place is free now, not when this object goes at the end of the turn
}

void ServerConnection::detach() noexcept { socket_.forget(); }

bool ServerConnection::attach(Pool& pool) {
    pool_ = &pool;
    return socket_.resume(pool.host().loop(), this);
}

}  // namespace pgweir::pool
