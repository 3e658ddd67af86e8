// ClientConnection: from the startup packet to the first ReadyForQuery.
#include <optional>
#include <utility>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/session/client_connection.hpp"
#include "pgweir/session/settings_probe.hpp"
#include "pgweir/wire/frame.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

using pool::Credentials;

namespace {

constexpr std::size_t kMaxLoginMessage = 65536 + 16;
/// For this long a password the server has accepted is not proven again. Bounds how long a changed
/// password still lets clients in while no new server connection has been refused.
constexpr base::Nanos kProofAge = 600 * base::kSecond;
constexpr std::size_t kMaxName = 63;
constexpr unsigned kLooksForRoom = 5;

bool is_fresh(const Credentials& known, base::Nanos now) noexcept {
    return known.proven_at != 0 && now - known.proven_at < kProofAge;
}

/// As PostgreSQL reads it: the word database, or any beginning of a boolean's names that tells
/// them apart.
std::optional<Replication> read_replication(std::string_view value) {
    std::string word(value);
    for (auto& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    if (value == "database") return Replication::logical;
    const auto begins = [&word](std::string_view name, std::size_t least) {
        return word.size() >= least && name.starts_with(word);
    };
    if (begins("true", 1) || begins("yes", 1) || begins("on", 2) || word == "1")
        return Replication::physical;
    if (begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0")
        return Replication::none;
    return std::nullopt;
}

std::string printable_ascii(std::string_view name) {
    std::string out(name.substr(0, kMaxName));
    for (auto& c : out)
        if (c < 32 || c > 126) c = '?';
    return out;
}

}  // namespace

bool ClientConnection::read_parameters(const wire::StartupPacket& packet) {
    auto& o = *opening_;
    std::string unknown_options;
    unsigned unknown_count = 0;
    for (const auto& [name, value] : packet.parameters) {
        if (name == "user")
            user_ = value;
        else if (name == "database")
            database_ = value;
        else if (name == "application_name")
            application_name_ = printable_ascii(value);
        else if (name == "replication") {
            const auto kind = read_replication(value);
            if (!kind) {
                refuse(
                    wire::sqlstate::kInvalidParameterValue,
                    "invalid value for parameter \"replication\": \"" + std::string(value) + "\"");
                return false;
            }
            o.replication = *kind;
            o.replication_word = value;
        } else if (name == "options") {
            auto parsed = wire::parse_options(value);
            if (!parsed) {
                refuse("42601", parsed.error());
                return false;
            }
            for (auto& s : *parsed) {
                if (s.first == "application_name")
                    application_name_ = printable_ascii(s.second);
                else
                    o.settings.push_back(std::move(s));
            }
        } else if (name.starts_with("_pq_.")) {
            base::append_cstring(unknown_options, name);
            ++unknown_count;
        } else {
            o.settings.emplace_back(name, value);
        }
    }
    if (user_.empty()) {
        refuse(wire::sqlstate::kInvalidAuthorization,
               "no PostgreSQL user name specified in startup packet");
        return false;
    }
    if (database_.empty()) database_ = user_;
    if (user_.size() > kMaxName * 2 || database_.size() > kMaxName * 2) {
        refuse(wire::sqlstate::kInvalidAuthorization, "user or database name is too long");
        return false;
    }
    o.version = std::min(packet.version, wire::kProtocol32);
    if (packet.version > wire::kProtocol32 || unknown_count > 0) {
        std::string out;
        {
            const wire::MessageScope scope(out, wire::be::kNegotiateProtocolVersion);
            base::append_u32(out, o.version);
            base::append_u32(out, unknown_count);
            out += unknown_options;
        }
        send_now(out);
    }
    return true;
}

void ClientConnection::on_startup(const wire::StartupPacket& packet) {
    phase_ = Phase::authenticating;
    if (!read_parameters(packet)) return;
    auto& o = *opening_;
    const auto tls = host_.environment().config().listen.tls.mode;
    if (tls >= config::TlsMode::require && !socket_.encrypted() && peer_host_ != "unix") {
        refuse(wire::sqlstate::kInvalidAuthorization,
               "TLS is required: listen.tls.mode refuses this connection in clear");
        return;
    }
    if (host_.draining()) {
        refuse(wire::sqlstate::kCannotConnectNow, "the database system is shutting down");
        return;
    }
    if (!host_.accepts_more_clients()) {
        refuse(wire::sqlstate::kTooManyConnections, "sorry, too many clients already");
        return;
    }
    o.profile = pool::intern_profile(std::move(o.settings));
    start_login();
}

/// What the client asked for, by the configuration of now. Not before a stranger has proven
/// himself, or names made up would each get a pool; and anew after whatever was waited for, since a
/// reload may have come, or the pool gone.
LoginTarget& ClientConnection::find_target() {
    opening_->target = host_.find_target(database_, user_);
    return opening_->target;
}

bool ClientConnection::link_is_private() noexcept { return local_ || socket_.encrypted(); }

/// The pool's own logins use what the users file holds, or the keys the client's proof has shown.
void ClientConnection::hand_on_secret() {
    auto& o = *opening_;
    const auto& target = find_target();
    if (target.pool == nullptr || target.database == nullptr ||
        !target.database->login.user.empty())
        return;
    const auto users = o.users ? o.users : host_.doors().users;
    const auto* secret = users ? users->find(user_) : nullptr;
    if (secret == nullptr) return;
    auto& shared = *target.pool->shared();
    auto known = shared.credentials();
    const auto password = secret->password.value_or("");
    const auto* proven = o.login && o.login->client_keys() ? &*o.login->client_keys() : nullptr;
    const bool same_keys = proven == nullptr || (known.keys && known.keys->salt == proven->salt &&
                                                 known.keys->client_key == proven->client_key);
    const bool same = known.state == Credentials::State::password && known.password == password &&
                      known.md5 == secret->md5;
    if (same && same_keys) return;
    if (proven == nullptr && password.empty() && secret->md5.empty() && !known.keys) return;
    known.state = Credentials::State::password;
    known.password = password;
    known.md5 = secret->md5;
    if (proven != nullptr) known.keys = *proven;
    shared.set_credentials(std::move(known));
}

void ClientConnection::start_forward() {
    auto& o = *opening_;
    waiting_for_permit_ = false;
    if (!o.password.empty()) {
        on_password(std::exchange(o.password, {}));
        return;
    }
    // Where there is no such database a password is asked for as everywhere, and is wrong: a
    // stranger learns of no name.
    if (find_target().proof_pool == nullptr) {
        ask_for_password();
        return;
    }
    const auto known = o.target.proof_pool->shared()->credentials();
    const bool fresh = is_fresh(known, host_.loop().now());
    if (known.state == Credentials::State::no_password_needed && fresh) {
        logged_in();
        return;
    }
    if (known.state == Credentials::State::password) {
        ask_for_password();
        return;
    }
    phase_ = Phase::proving;
    if (begin_proof({})) waiting_for_permit_ = o.proof == nullptr;
}

/// Without a proof afterwards there is no place for one. False when it has failed already, and the
/// client been told.
bool ClientConnection::begin_proof(const pool::Credentials& credentials) {
    auto* server = opening_->target.proof_pool->open_for_login(credentials, *this);
    if (phase_ == Phase::closing) return false;
    opening_->proof = server;
    return true;
}

void ClientConnection::on_password_needed() {
    opening_->server_asks = true;
    if (!opening_->password.empty()) {
        opening_->proof->give_password(opening_->password);
        return;
    }
    ask_for_password();
}

void ClientConnection::ask_for_password() {
    if (!link_is_private()) {
        refuse(wire::sqlstate::kInvalidAuthorization,
               "a password may not be sent in clear over this connection",
               "method forward needs TLS, a Unix socket or a loopback address");
        return;
    }
    if (opening_->password_asked) return;
    opening_->password_asked = true;
    phase_ = Phase::authenticating;
    opening_->login = std::make_unique<auth::ClientLogin>();
    on_login_step(opening_->login->start({auth::ClientMethod::forward, user_, nullptr, {}}));
}

void ClientConnection::on_login_bytes(std::string_view bytes) {
    if (phase_ == Phase::closing) return;
    if (phase_ == Phase::serving) {
        on_bytes(bytes);
        return;
    }
    auto& in = opening_->in;
    in.append(bytes);
    if (in.size() > kMaxLoginMessage + 1024) {
        refuse(wire::sqlstate::kProtocolViolation, "too much data before the login was complete");
        return;
    }
    if (phase_ != Phase::authenticating) return;  // kept until the login is over
    const auto frame = wire::scan_frame(in, kMaxLoginMessage);
    if (frame.status == wire::FrameStatus::bad_length ||
        (!in.empty() && in[0] != wire::fe::kPassword && in[0] != wire::fe::kTerminate)) {
        refuse(wire::sqlstate::kProtocolViolation,
               "expected password response, got message type " +
                   std::to_string(static_cast<unsigned char>(in[0])));
        return;
    }
    if (frame.status != wire::FrameStatus::complete) return;
    if (frame.type == wire::fe::kTerminate) {
        host_.forget(*this);
        return;
    }
    const std::string body(frame.body);
    in.erase(0, frame.size);
    if (opening_->login) on_login_step(opening_->login->feed(wire::fe::kPassword, body));
}

void ClientConnection::on_login_step(const auth::ClientLoginStep& step) {
    if (!step.bytes.empty()) send_now(step.bytes);
    switch (step.status) {
        case auth::ClientLoginStatus::need_more: return;
        case auth::ClientLoginStatus::have_password:
            on_password(opening_->login->take_password());
            return;
        case auth::ClientLoginStatus::accepted:
            opening_->told_accepted = true;
            hand_on_secret();
            logged_in();
            return;
        case auth::ClientLoginStatus::rejected: {
            const auto why = opening_->login->failure();
            note_failure();
            if (opening_->looked_up) host_.forget_user(database_, user_);
            refuse(why.sqlstate, why.message, why.detail);
            return;
        }
    }
}

void ClientConnection::on_password(std::string password) {
    auto& o = *opening_;
    o.password = std::move(password);
    if (o.proof != nullptr && o.server_asks) {
        phase_ = Phase::proving;
        o.proof->give_password(o.password);
        return;
    }
    if (find_target().proof_pool == nullptr) {
        base::log_info("client " + peer_host_ + ": there is no database \"" +
                       base::printable(database_) + "\" in the configuration");
        note_failure();
        refuse(wire::sqlstate::kInvalidPassword,
               "password authentication failed for user \"" + user_ + "\"");
        return;
    }
    const auto known = o.target.proof_pool->shared()->credentials();
    const bool same = known.state == Credentials::State::password &&
                      base::equal_constant_time(known.password, o.password);
    const bool fresh = is_fresh(known, host_.loop().now());
    if (same && fresh) {
        logged_in();
        return;
    }
    phase_ = Phase::proving;
    if (!begin_proof({Credentials::State::password, o.password, 0})) return;
    // No place for a connection to prove it: a password that was proven once is still believed.
    if (o.proof == nullptr && same && known.proven_at != 0) {
        logged_in();
        return;
    }
    // Others have been asked to close what they do not use: it is looked again a few ticks long.
    waiting_for_permit_ = o.proof == nullptr && ++o.looks_for_room <= kLooksForRoom;
    if (o.proof == nullptr && !waiting_for_permit_)
        refuse(wire::sqlstate::kTooManyConnections,
               "no server connection to check the password with",
               "pool " + o.target.proof_pool->shared()->name + " is full");
}

void ClientConnection::on_server_login(bool password_was_asked) {
    auto& o = *opening_;
    auto& proof = *std::exchange(o.proof, nullptr);
    const auto proof_pool = proof.pool().shared();
    if (!socket_.is_open()) return;  // it has left in this turn
    Credentials c;
    c.state =
        password_was_asked ? Credentials::State::password : Credentials::State::no_password_needed;
    if (password_was_asked) c.password = o.password;
    c.proven_at = host_.loop().now();
    const auto* now = find_target().proof_pool;
    const bool there = now != nullptr && now->shared() == proof_pool;
    // What was proven where the database was before a reload proves nothing where it is.
    if (!there || !proof_pool->set_proven(proof.config(), std::move(c))) {
        phase_ = Phase::proving;
        waiting_for_permit_ = true;
        return;
    }
    logged_in();
}

void ClientConnection::on_server_login_failed(const pool::ServerFailure& why) {
    opening_->proof = nullptr;
    if (why.from_server && why.sqlstate.starts_with("28")) note_failure();
    refuse(why);
}

/// The server's word on a stranger's password is nobody's but his: without him it is not heard.
void ClientConnection::drop_proof() noexcept {
    if (!opening_) return;
    if (auto* server = std::exchange(opening_->proof, nullptr)) server->pool().close_own(*server);
}

void ClientConnection::logged_in() {
    auto& o = *opening_;
    stranger_link.unlink();
    if (o.target.console && o.replication != Replication::none) {
        refuse(wire::sqlstate::kFeatureNotSupported, "the console has nothing to replicate");
        return;
    }
    if (o.target.console) {
        tell_accepted();
        console_ = host_.open_console(*this, user_);
        if (!console_) {
            refuse(wire::sqlstate::kInsufficientPrivilege,
                   "user \"" + user_ + "\" is not in admin.users or admin.stats_users");
            return;
        }
        serve();
        return;
    }
    if (o.target.pool == nullptr) {
        refuse(wire::sqlstate::kInvalidCatalogName,
               "database \"" + database_ + "\" does not exist");
        return;
    }
    if (o.replication != Replication::none) {
        start_replication();
        return;
    }
    o.identity = host_.identity(database_, user_, *o.target.pool, o.profile);
    const bool keeps = o.identity->mode == config::PoolMode::session;
    if (auto known = o.target.pool->shared()->parameters_at_login(o.profile->id); known && !keeps) {
        start_session(*known, nullptr);
        return;
    }
    fetch_settings(keeps);
}

void ClientConnection::tell_accepted() {
    if (opening_->told_accepted) return;
    opening_->told_accepted = true;
    std::string out;
    wire::write_authentication(out, 0);
    send_now(out);
}

/// In session mode the server connection is the session's from here on.
void ClientConnection::fetch_settings(bool keep) {
    phase_ = Phase::settings;
    opening_->probe = std::make_unique<SettingsProbe>(
        *opening_->target.pool, opening_->profile,
        [this](base::Result<pool::Parameters> p, const pool::ServerFailure& why) {
            on_settings(std::move(p), why);
        });
    opening_->probe->begin(keep);
}

void ClientConnection::on_settings(base::Result<pool::Parameters> parameters,
                                   const pool::ServerFailure& why) {
    if (phase_ != Phase::settings || !socket_.is_open()) return;
    if (!parameters) {
        refuse(why);
        return;
    }
    // The probe is on the stack: it goes with the opening, at the end of this turn.
    struct Later final : io::Buried {
        std::unique_ptr<SettingsProbe> probe;
    };
    auto later = std::make_unique<Later>();
    later->probe = std::move(opening_->probe);
    auto* server = later->probe->take_server();
    host_.loop().bury(std::move(later));
    auto& pool = *opening_->target.pool;
    if (server != nullptr && !pool.is_where_others_are(*server)) {
        pool.release(*server, {.how = pool::Release::How::close});
        find_target();
        logged_in();
        return;
    }
    start_session(*parameters, server);
}

/// With a server connection of its own, a session has that one's process number.
void ClientConnection::start_session(const pool::Parameters& parameters, pool::ServerLink* server) {
    auto& o = *opening_;
    // A reload may have come in between, and the server be where the database is since.
    if (server != nullptr) o.identity = host_.environment().with_profile(*o.identity, o.profile);
    session_ = std::make_unique<Session>(host_.environment(), *this, *o.target.pool, o.identity,
                                         application_name_);
    if (server == nullptr) session_->renew_identity();
    session_->client_host = peer_host_;
    session_->client_port = peer_port_;
    session_->session_id = id_;
    ++o.target.pool->local_clients;
    o.target.pool->shared()->clients.fetch_add(1);
    greet(parameters, server);
    session_->own_pid = server_pid_ != 0 ? server_pid_ : host_.cancel_pid(*this);
    if (server != nullptr) {
        o.target.pool->hand_over(*server, *session_);
        session_->adopt(*server);
    }
    serve();
}

/// What a client is told when it is let in. With a server connection of its own, that one's number.
void ClientConnection::greet(const pool::Parameters& parameters, const pool::ServerLink* server) {
    auto& o = *opening_;
    o.target.pool->counters().login_count.add(1);
    cancel_key_ = base::random_string(o.version >= wire::kProtocol32 ? 32 : 4);
    std::string out;
    if (!o.told_accepted) wire::write_authentication(out, 0);
    for (const auto& [name, value] : parameters)
        wire::write_parameter_status(out, name,
                                     name == "application_name" ? application_name_ : value);
    if (server != nullptr) server_pid_ = server->process_id();
    if (!is_server_pid(server_pid_)) server_pid_ = 0;
    wire::write_backend_key(out, server_pid_ != 0 ? server_pid_ : host_.cancel_pid(*this),
                            cancel_key_);
    wire::write_ready(out, wire::TxStatus::idle);
    send_now(out);
}

/// With the client's own parameters: what the server would not take is refused in its words.
void ClientConnection::start_replication() {
    auto& o = *opening_;
    phase_ = Phase::settings;
    auth::Parameters parameters(o.profile->settings.begin(), o.profile->settings.end());
    parameters.emplace_back("replication", o.replication_word);
    if (!application_name_.empty()) parameters.emplace_back("application_name", application_name_);
    std::unique_ptr<WalsenderWrites> writes;
    if (o.replication == Replication::logical)
        writes = std::make_unique<WalsenderWrites>(
            host_.environment(), host_.identity(database_, user_, *o.target.pool, o.profile), id_);
    relay_ =
        std::make_unique<ReplicationRelay>(*this, *o.target.pool, o.replication, std::move(writes));
    if (relay_->open(std::move(parameters),
                     [this](const pool::ServerFailure* why) { on_replication(why); }))
        return;
    refuse(wire::sqlstate::kTooManyConnections, "no server connection is left for replication",
           "pool " + o.target.pool->shared()->name + ": see pool.max_size and pool.max_pinned");
}

void ClientConnection::on_replication(const pool::ServerFailure* why) {
    if (phase_ != Phase::settings) return;
    if (why != nullptr) {
        refuse(*why);
        return;
    }
    auto* server = relay_->server();
    const auto reason = static_cast<std::size_t>(query::PinReason::replication);
    host_.environment().counters().pins[reason].add(1);
    base::log_info("client " + peer_host_ + ": " + std::string(name(relay_->kind())) +
                   " replication by " + base::printable(user_) + "@" + base::printable(database_) +
                   ", server process " + std::to_string(server->process_id()));
    greet(server->login().parameters(), server);
    serve();
}

void ClientConnection::serve() {
    phase_ = Phase::serving;
    const auto rest = std::move(opening_->in);
    opening_.reset();
    if (!rest.empty()) on_bytes(rest);
}

}  // namespace pgweir::session
