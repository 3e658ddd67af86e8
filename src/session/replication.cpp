// See replication.hpp.
#include "pgweir/session/replication.hpp"

#include <utility>

#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::session {

namespace {
/// Bytes that may wait for one side before the other is no longer read.
constexpr std::size_t kMostQueued = std::size_t{256} * 1024;

iovec part_of(std::string_view bytes) noexcept {
    return {const_cast<char*>(bytes.data()), bytes.size()};
}
}  // namespace

std::string_view name(Replication kind) noexcept {
    switch (kind) {
        case Replication::none: return "none";
        case Replication::logical: return "logical";
        case Replication::physical: return "physical";
    }
    return "";
}

ReplicationRelay::~ReplicationRelay() {
    if (auto* server = std::exchange(server_, nullptr)) {
        server->drop_observer();
        pool_.close_own(*server);
    }
}

bool ReplicationRelay::open(auth::Parameters parameters, Ready ready) {
    permit_ = pool::PinPermit::take(pool_.shared());
    if (!permit_) return false;
    ready_ = std::move(ready);
    auto* server = pool_.open_own(*this, *this, std::move(parameters));
    if (ready_) server_ = server;  // else it has failed already, and is gone
    return server != nullptr;
}

void ReplicationRelay::on_client_bytes(std::string_view bytes) {
    if (server_ == nullptr) return;
    const auto part = part_of(bytes);
    server_->send({&part, 1});
    if (server_->queued() > kMostQueued) client_.set_reading(false);
}

void ReplicationRelay::on_client_drained() noexcept {
    if (server_ != nullptr) server_->set_reading(true);
}

void ReplicationRelay::on_server_drained() noexcept { client_.set_reading(true); }

void ReplicationRelay::on_server_bytes(std::string_view bytes) noexcept {
    const auto part = part_of(bytes);
    client_.gather_send({&part, 1});
    if (server_ != nullptr && client_.queued() > kMostQueued) server_->set_reading(false);
}

/// Its own last words, if any, have been passed on.
void ReplicationRelay::on_server_gone(std::string_view) noexcept {
    server_ = nullptr;
    client_.finish();
}

void ReplicationRelay::cancel(pool::CancelToken settled) {
    if (server_ != nullptr) pool_.cancel(*server_, std::move(settled));
}

void ReplicationRelay::on_password_needed() {
    on_server_login_failed({std::string(wire::sqlstate::kInvalidAuthorization),
                            "the server asks for a password and none is known", "", true});
}

void ReplicationRelay::on_server_login(bool) {
    const auto ready = std::exchange(ready_, nullptr);
    if (ready) ready(nullptr);
}

void ReplicationRelay::on_server_login_failed(const pool::ServerFailure& why) {
    // A server that waits for a password is closed when this object goes; others are gone already.
    if (server_ != nullptr && server_->state() == pool::ServerState::closed) server_ = nullptr;
    const auto ready = std::exchange(ready_, nullptr);
    if (ready) ready(&why);
}

}  // namespace pgweir::session
