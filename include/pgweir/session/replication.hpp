// A replication connection: a server connection of the client's own, made with the start-up
// parameters the client gave, and every byte passed on as it is. PostgreSQL's walsender speaks a
// protocol of its own there (chapter 55.4, Streaming Replication Protocol). One of a database runs
// SQL, too: all that is looked at is when it may, since results in the cache depend on that.
// Invariant: the server connection is never another's; it ends with the client, and the client with
// it. Thread: the worker's. Ownership: owned by its client connection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "pgweir/pool/pool.hpp"
#include "pgweir/pool/shared_pool.hpp"
#include "pgweir/session/environment.hpp"
#include "pgweir/wire/frame.hpp"

namespace pgweir::session {

/// What the start-up parameter `replication` asks for. Physical is of no database.
enum class Replication : std::uint8_t { none, logical, physical };

std::string_view name(Replication kind) noexcept;

/// Frames told of by their first bytes, as their last byte comes.
class FrameTrail {
  public:
    /// `keep`: bytes of a frame, its header with them, that are kept until its end.
    explicit FrameTrail(std::size_t keep) noexcept : keep_(keep) {}
    /// Calls `ended` with each Frame that ends here. False: these are no frames.
    template <class F>
    bool follow(std::string_view bytes, F&& ended);

  private:
    std::size_t keep_;
    std::string kept_;
    std::uint64_t left_ = 0;
};

/// What a walsender of a database may write. Nothing is known of its session, so all that is no
/// command of replication may change anything, and for every database.
class WalsenderWrites {
  public:
    WalsenderWrites(Environment& env, IdentityPtr identity, std::uint64_t client);
    /// To be called before the bytes are passed on.
    void on_client_bytes(std::string_view bytes);
    void on_server_bytes(std::string_view bytes);
    /// The server process may be at work still.
    void hold_until_gone(std::uint32_t server_pid);

  private:
    void on_client_frame(const wire::Frame& frame);
    void may_write(std::uint64_t answered_by);
    void settle();
    void lose_track();

    Environment& env_;
    IdentityPtr identity_;
    std::uint64_t client_;
    FrameTrail to_server_, to_client_;
    cache::WriteFence fence_;
    std::uint64_t asked_ = 0, answered_ = 0;  // each by a ReadyForQuery
    std::uint64_t settled_by_ = 0;            // the answer that ends what the fence stands for
    bool lost_track_ = false;
};

class ReplicationRelay final : public pool::ServerUser, public pool::LoginObserver {
  public:
    /// Empty: the server is ready, see server(); else why there is none. Called once.
    using Ready = std::function<void(const pool::ServerFailure* why)>;

    /// `writes`: null where the server takes no SQL.
    ReplicationRelay(ClientLink& client, pool::Pool& pool, Replication kind,
                     std::unique_ptr<WalsenderWrites> writes)
        : client_(client), pool_(pool), writes_(std::move(writes)), kind_(kind) {}
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
    std::unique_ptr<WalsenderWrites> writes_;
    Replication kind_;
};

}  // namespace pgweir::session
