// A replication connection: a server connection of the client's own, made with the start-up
// parameters the client gave, and every byte passed on as it is. PostgreSQL's walsender speaks a
// protocol of its own there (chapter 55.4, Streaming Replication Protocol), which is not looked at.
// Invariant: the server connection is never another's; it ends with the client, and the client with
// it. Thread: the worker's. Ownership: owned by its client connection.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "pgweir/pool/pool.hpp"
#include "pgweir/pool/shared_pool.hpp"
#include "pgweir/session/environment.hpp"

namespace pgweir::session {

/// What the start-up parameter `replication` asks for. Physical is of no database.
enum class Replication : std::uint8_t { none, logical, physical };

std::string_view name(Replication kind) noexcept;

class ReplicationRelay final : public pool::ServerUser, public pool::LoginObserver {
  public:
    /// Empty: the server is ready, see server(); else why there is none. Called once.
    using Ready = std::function<void(const pool::ServerFailure* why)>;

    ReplicationRelay(ClientLink& client, pool::Pool& pool, Replication kind)
        : client_(client), pool_(pool), kind_(kind) {}
    ~ReplicationRelay();
    ReplicationRelay(const ReplicationRelay&) = delete;
    ReplicationRelay& operator=(const ReplicationRelay&) = delete;

    /// False when no server connection may be opened: the pool, or what of it may be pinned, is
    /// full.
    bool open(auth::Parameters parameters, Ready ready);
    void on_client_bytes(std::string_view bytes);
    void on_client_drained() noexcept;
    /// The client has asked for what runs to be cancelled.
    void cancel(pool::CancelToken settled);
    pool::ServerConnection* server() noexcept { return server_; }
    Replication kind() const noexcept { return kind_; }

    // ServerUser, LoginObserver
    void on_server_bytes(std::string_view bytes) noexcept override;
    void on_server_gone(std::string_view why) noexcept override;
    void on_server_drained() noexcept override;
    void on_password_needed() override;
    void on_server_login(bool password_was_asked) override;
    void on_server_login_failed(const pool::ServerFailure& why) override;

  private:
    ClientLink& client_;
    pool::Pool& pool_;
    pool::ServerConnection* server_ = nullptr;
    pool::PinPermit permit_;
    Ready ready_;
    Replication kind_;
};

}  // namespace pgweir::session
