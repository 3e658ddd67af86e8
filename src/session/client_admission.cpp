// ClientConnection: how a client has to prove itself, by the method configured or by the first rule
// that fits it.
#include "pgweir/base/log.hpp"
#include "pgweir/io/off_loop.hpp"
#include "pgweir/io/tls.hpp"
#include "pgweir/session/client_connection.hpp"
#include "pgweir/session/settings_probe.hpp"
#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::session {

using auth::ClientMethod;
using auth::HbaMethod;
using config::AuthMethod;

namespace {

const sockaddr* socket_address(const io::Address& a) noexcept {
    return reinterpret_cast<const sockaddr*>(&a.storage);
}

}  // namespace

void ClientConnection::start_login() {
    if (!local_ &&
        host_.address_limits().failures.exhausted(socket_address(peer_), host_.loop().now())) {
        refuse(wire::sqlstate::kTooManyConnections, "too many failed logins from this address",
               "limits.failed_logins_per_address");
        return;
    }
    switch (host_.environment().config().auth.method) {
        case AuthMethod::trust: let_in(); return;
        case AuthMethod::forward: start_exchange(ClientMethod::forward); return;
        case AuthMethod::md5: start_exchange(ClientMethod::md5); return;
        case AuthMethod::scram_sha_256: start_exchange(ClientMethod::scram_sha_256); return;
        case AuthMethod::hba: start_by_rule(); return;
    }
}

/// PostgreSQL's words for a connection, as its own refusals have them.
std::string ClientConnection::how_it_came() {
    return (peer_.is_unix() ? "host \"[local]\"" : "host \"" + peer_host_ + "\"") + ", user \"" +
           user_ + "\", database \"" + database_ + "\", " +
           (socket_.encrypted() ? "SSL encryption" : "no encryption");
}

void ClientConnection::start_by_rule() {
    const auto& doors = host_.doors();
    const auto* rule = doors.hba == nullptr
                           ? nullptr
                           : doors.hba->find({peer_.is_unix() ? nullptr : socket_address(peer_),
                                              socket_.encrypted(), database_, user_,
                                              opening_->replication == Replication::physical});
    if (rule == nullptr) {
        refuse(wire::sqlstate::kInvalidAuthorization, "no pg_hba.conf entry for " + how_it_came());
        return;
    }
    if (rule->needs_certificates() && rule->method != HbaMethod::reject &&
        !certificate_allows(*rule))
        return;
    switch (rule->method) {
        case HbaMethod::trust:
        case HbaMethod::cert: let_in(); return;
        case HbaMethod::reject:
            refuse(wire::sqlstate::kInvalidAuthorization,
                   "pg_hba.conf rejects connection for " + how_it_came());
            return;
        case HbaMethod::forward: start_exchange(ClientMethod::forward); return;
        case HbaMethod::md5: start_exchange(ClientMethod::md5); return;
        case HbaMethod::scram_sha_256: start_exchange(ClientMethod::scram_sha_256); return;
        case HbaMethod::peer: start_peer(rule->map); return;
    }
}

bool ClientConnection::certificate_allows(const auth::HbaRule& rule) {
    auto* tls = socket_.tls();
    if (tls == nullptr || !tls->peer_verified()) {
        refuse(wire::sqlstate::kInvalidAuthorization,
               "connection requires a valid client certificate");
        return false;
    }
    if (rule.method != HbaMethod::cert && rule.client_cert == auth::HbaClientCert::verify_ca)
        return true;
    const auto shown = rule.by_subject ? tls->peer_subject() : tls->peer_common_name();
    if (auth::ident_allows(host_.doors().idents.get(), rule.map, shown, user_)) return true;
    note_failure();
    refuse(wire::sqlstate::kInvalidAuthorization,
           "certificate authentication failed for user \"" + user_ + "\"");
    return false;
}

/// The kernel says who is at the other end; what that user is called may take a directory service.
void ClientConnection::start_peer(const std::string& map) {
    const auto uid = io::peer_user(socket_.fd());
    if (!uid) {
        refuse(wire::sqlstate::kInvalidAuthorization,
               "Peer authentication failed for user \"" + user_ + "\"");
        return;
    }
    phase_ = Phase::proving;
    const auto name = std::make_shared<std::string>();
    io::run_off_loop(
        host_.loop(), [name, uid] { *name = io::system_user_name(*uid); },
        [this, name, map, alive = std::weak_ptr<bool>(alive_)] {
            if (alive.expired() || phase_ != Phase::proving) return;
            if (auth::ident_allows(host_.doors().idents.get(), map, *name, user_)) {
                let_in();
                return;
            }
            refuse(wire::sqlstate::kInvalidAuthorization,
                   "Peer authentication failed for user \"" + user_ + "\"");
        });
}

void ClientConnection::start_exchange(ClientMethod method) {
    auto& o = *opening_;
    if (method == ClientMethod::forward) {
        start_forward();
        return;
    }
    const auto users = host_.doors().users;
    if (users != nullptr && users->find(user_) != nullptr) {
        begin_exchange(method, users);
        return;
    }
    phase_ = Phase::proving;
    o.looked_up = host_.look_up_user(
        database_, user_,
        [this, method,
         alive = std::weak_ptr<bool>(alive_)](base::Result<auth::UserStorePtr> found) {
            if (alive.expired() || phase_ != Phase::proving) return;
            if (found) {
                begin_exchange(method, *std::move(found));
                return;
            }
            base::log_warning("the secret of a user cannot be looked up: " +
                              base::printable(found.error()));
            refuse(wire::sqlstate::kCannotConnect, "users cannot be looked up now");
        });
    if (!o.looked_up) begin_exchange(method, users);
}

void ClientConnection::begin_exchange(ClientMethod method, auth::UserStorePtr users) {
    auto& o = *opening_;
    phase_ = Phase::authenticating;
    o.users = std::move(users);
    auth::ClientLoginOptions options{method, user_, o.users, {}};
    if (auto* tls = socket_.tls(); tls != nullptr)
        options.channel_binding = tls->server_end_point();
    o.login = std::make_unique<auth::ClientLogin>();
    on_login_step(o.login->start(std::move(options)));
}

/// Believed without a password: the pool's own logins use what the users file has.
void ClientConnection::let_in() {
    hand_on_secret();
    logged_in();
}

void ClientConnection::note_failure() noexcept {
    if (!local_) host_.address_limits().failures.take(socket_address(peer_), host_.loop().now());
}

}  // namespace pgweir::session
