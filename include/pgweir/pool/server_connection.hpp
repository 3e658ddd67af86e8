// One connection to a PostgreSQL server: connect, TLS, login, then idle in its pool, leased to a
// session, or being cleaned. The pool decides what happens to it; this class carries it out and
// reports.
// Thread: that of the worker whose pool owns it. Ownership: owned by its pool; owns its socket and
// its permit.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "pgweir/auth/server_login.hpp"
#include "pgweir/base/intrusive_list.hpp"
#include "pgweir/io/socket.hpp"
#include "pgweir/pool/cancel.hpp"
#include "pgweir/pool/server_link.hpp"
#include "pgweir/pool/shared_pool.hpp"
#include "pgweir/wire/messages.hpp"

namespace pgweir::pool {

class Pool;

/// Why a connection could not be made or was lost, in the terms a client is told.
struct ServerFailure {
    std::string sqlstate;
    std::string message;
    std::string detail;
    bool from_server = false;  // the server said so itself (an ErrorResponse at login)
};

/// A login that a client is waiting for: told what the server wants and how it ended.
class LoginObserver {
  public:
    /// The server asks for a password; answer with ServerConnection::give_password().
    virtual void on_password_needed() = 0;
    virtual void on_server_login(bool password_was_asked) = 0;
    virtual void on_server_login_failed(const ServerFailure& why) = 0;

  protected:
    ~LoginObserver() = default;
};

enum class ServerState : std::uint8_t {
    connecting,  // TCP or Unix connect is under way
    tls_answer,  // SSLRequest sent
    tls_handshake,
    login,
    idle,
    validating,  // the validation query runs before a lease
    leased,
    draining,      // its session is gone; waiting for the end of what it had asked
    rolling_back,  // ROLLBACK runs
    resetting,     // DISCARD ALL runs
    closed,
};

class ServerConnection final : public ServerLink, public io::Watcher, public io::Buried {
  public:
    ServerConnection(Pool& pool, Permit permit, PoolConfigPtr config, std::uint64_t id);
    ~ServerConnection() override;

    /// Starts connecting. The secret comes from `credentials`; an observer may give it later.
    void start(const Credentials& credentials, LoginObserver* observer);
    /// Before start(): it is to be nobody's but `user`'s, from its login on, which has these
    /// start-up parameters beside user and database.
    void reserve_for(ServerUser& user, auth::Parameters parameters) {
        owner_ = &user;
        startup_ = std::move(parameters);
    }
    ServerUser* owner() const noexcept { return owner_; }
    void give_password(std::string_view password);
    void drop_observer() noexcept { observer_ = nullptr; }
    void connect_timed_out();

    // ServerLink
    void send(std::span<const iovec> parts) override;
    std::size_t queued() const noexcept override { return socket_.queued(); }
    void set_reading(bool on) noexcept override { socket_.set_reading(on); }
    std::uint32_t process_id() const noexcept override { return login_.backend_pid(); }

    // For the pool.
    void lease_to(ServerUser* user, base::Nanos now) noexcept;
    void unlease(base::Nanos now) noexcept;
    /// Runs `sql` and reports to Pool::on_cleaned(ok).
    void run_query(ServerState state, std::string_view sql);
    /// Waits for `ready` ReadyForQuery messages, then reports to Pool::on_drained.
    void drain(unsigned ready);
    void close(std::string_view why) noexcept;
    /// Off this worker's loop, and onto another's.
    void detach() noexcept;
    bool attach(Pool& pool);

    ServerState state() const noexcept { return state_; }
    std::uint64_t id() const noexcept { return id_; }
    const PoolConfig& config() const noexcept { return *config_; }
    const auth::ServerLogin& login() const noexcept { return login_; }
    const io::Address& address() const noexcept { return address_; }
    CancelTarget cancel_target() const;
    io::Socket& socket() noexcept { return socket_; }
    Pool& pool() noexcept { return *pool_; }
    ServerUser* user() noexcept { return user_; }
    base::Nanos since() const noexcept { return since_; }  // in its present state
    void set_since(base::Nanos now) noexcept { since_ = now; }
    base::Nanos retire_at = 0;  // lifetime with jitter; 0: never
    unsigned cancels_in_flight = 0;
    bool dirty = false;  // must be reset before another session uses it
    bool pinned = false;

    base::ListLink link;  // in one of its pool's lists

  private:
    void on_ready(bool readable, bool writable) noexcept override;
    void on_resolved(base::Result<std::vector<io::Address>> found);
    void connect_next();
    void on_connected();
    void begin_tls();
    bool try_other_way();
    void send_startup();
    void derive_keys();
    void read_tls_answer();
    void continue_handshake();
    void read_some();
    void consume_login();
    void on_login_step(const auth::LoginStep& step);
    void consume_idle(std::string_view bytes);
    void consume_cleaning();
    void on_cleaning_frame(char type, std::string_view body);
    void keep_keys();
    void fail_login(const ServerFailure& why);
    void lost(std::string_view why);

    Pool* pool_;
    Permit permit_;
    PoolConfigPtr config_;
    std::uint64_t id_;
    io::Socket socket_;
    io::Address address_;
    std::vector<io::Address> addresses_;  // still to be tried
    std::shared_ptr<bool> alive_ =
        std::make_shared<bool>(true);  // for callbacks that may come late
    auth::ServerSecret secret_;        // until it is sent
    auth::Parameters startup_;
    ServerUser* owner_ = nullptr;
    auth::ServerLogin login_;
    LoginObserver* observer_ = nullptr;
    ServerUser* user_ = nullptr;
    std::string in_;  // bytes of a frame that has not arrived whole, while nobody leases
    ServerState state_ = ServerState::connecting;
    unsigned ready_expected_ = 0;
    bool cleaning_failed_ = false;
    bool use_tls_ = false;
    bool second_try_ = false;  // allow and prefer: the other way, with or without TLS
    base::Nanos since_ = 0;
};

}  // namespace pgweir::pool
