// One worker's half of a pool: its server connections and the sessions that wait for one. Decides
// who gets a connection, when one is opened, cleaned, kept warm or closed.
// Invariants: a connection is in exactly one list; it goes to idle only with transaction status 'I'
// and nothing left behind; waiters are served in order of arrival; a worker never keeps a
// connection idle while a session of another has waited longer. Thread: the worker's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pgweir/base/intrusive_list.hpp"
#include "pgweir/io/loop.hpp"
#include "pgweir/metrics/counters.hpp"
#include "pgweir/pool/server_connection.hpp"

namespace pgweir::pool {

/// A place in the queue; leaves it when destroyed.
class Waiter {
  public:
    /// Whose bytes the leased connection brings.
    virtual ServerUser& server_user() noexcept = 0;
    virtual void on_lease(ServerLink& server) noexcept = 0;
    virtual void on_lease_failed(const ServerFailure& why) noexcept = 0;

    base::ListLink wait_link;
    base::Nanos waiting_since = 0;
    /// Process of the server connection it would rather have, if that is idle; 0: any.
    std::uint32_t preferred_server = 0;

  protected:
    ~Waiter() = default;
};

/// What a session must say when it gives a connection back.
struct Release {
    enum class How : std::uint8_t {
        clean,  // status 'I', proven to leave nothing behind
        reset,  // status known and nothing in flight, but state may be left: ROLLBACK, DISCARD ALL
        abandon,  // the session ended while `ready_expected` answers were still to come
        close,    // not fit for anybody
    };
    How how = How::clean;
    unsigned ready_expected = 0;
    bool in_copy = false;
};

/// Shared by all that a client's CancelRequest has set going: its connection is closed when the
/// last part is done, because a client takes that as the sign that it may send its next query.
using CancelToken = std::shared_ptr<void>;

/// The pool as a session sees it.
class Leaser {
  public:
    /// A connection now, or null: then `waiter` is queued and will be told.
    virtual ServerLink* acquire(Waiter& waiter) = 0;
    virtual void cancel_wait(Waiter& waiter) = 0;
    virtual void release(ServerLink& server, Release how) = 0;
    /// Who leases it goes on as another: a login as the session it becomes.
    virtual void hand_over(ServerLink& server, ServerUser& to) noexcept = 0;
    /// Whether it is where new ones are opened: a reload may have moved the database since.
    virtual bool is_where_others_are(const ServerLink&) const noexcept { return true; }
    /// Sends a cancel request for what the session on `server` is running; `settled` is let go of
    /// when it can hit nothing more.
    virtual void cancel(ServerLink& server, CancelToken settled) = 0;
    virtual metrics::PoolCounters& counters() noexcept = 0;
    /// A parameter changed that no client can have changed: the server was reconfigured.
    virtual void parameter_changed(ServerLink& server, std::string_view name,
                                   std::string_view value) = 0;

  protected:
    ~Leaser() = default;
};

/// What a pool needs of its worker.
class PoolHost {
  public:
    virtual io::Loop& loop() noexcept = 0;
    virtual unsigned worker() const noexcept = 0;
    /// Runs `task` on the thread of `worker` with its half of `pool`, made when it has none.
    virtual void post_to_pool(unsigned worker, const std::shared_ptr<SharedPool>& pool,
                              std::function<void(Pool&)> task) = 0;
    /// `pool` needs a place: whoever has an idle connection that holds one closes it, and the
    /// worker's half of `pool` is told.
    virtual void make_room(const std::shared_ptr<SharedPool>& pool) = 0;
    virtual metrics::WorkerCounters& counters() noexcept = 0;
    virtual bool draining() const noexcept = 0;
    /// A parameter changed on a connection nobody used: the server was reconfigured. `place` is the
    /// connection's, here and below: a reload may have moved the pool since it was opened.
    virtual void on_server_settings_changed(const PoolConfig& place) = 0;
    virtual void hold_until_gone(const PoolConfig& place, std::uint32_t server_pid,
                                 std::unique_ptr<Held> held) = 0;

  protected:
    ~PoolHost() = default;
};

class Pool final : public Leaser {
  public:
    Pool(PoolHost& host, std::shared_ptr<SharedPool> shared);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    const std::shared_ptr<SharedPool>& shared() const noexcept { return shared_; }
    /// By which connections are opened here, until apply_config().
    const PoolConfigPtr& config() const noexcept { return config_; }
    PoolHost& host() noexcept { return host_; }
    metrics::PoolCounters& counters() noexcept override { return counters_; }

    ServerLink* acquire(Waiter& waiter) override;
    void cancel_wait(Waiter& waiter) override;
    void release(ServerLink& server, Release how) override;
    void hand_over(ServerLink& server, ServerUser& to) noexcept override;
    bool is_where_others_are(const ServerLink& server) const noexcept override;
    /// What `server` tells a client with this profile.
    void note_parameters(const ServerLink& server, std::uint64_t profile_id, Parameters told);
    void cancel(ServerLink& server, CancelToken settled = {}) override;
    void parameter_changed(ServerLink& server, std::string_view name,
                           std::string_view value) override;

    /// Opens a connection for a login that has to be proven; null when no permit is to be had.
    ServerConnection* open_for_login(const Credentials& credentials, LoginObserver& observer);
    /// Opens one that is leased to `user` from its login on, and closed when that ends: see
    /// ServerConnection::reserve_for. Null when no permit is to be had.
    ServerConnection* open_own(ServerUser& user, LoginObserver& observer,
                               auth::Parameters parameters);
    /// One of these two: its client is gone, and what becomes of it is of no interest to anybody.
    void close_own(ServerConnection& server);

    /// Time passed: timeouts, lifetimes, warm connections, retries. About ten times a second.
    void tick(base::Nanos now);
    void apply_config(PoolConfigPtr config);
    /// Closes idle connections; others are closed when they come back.
    void close_idle(std::string_view why);
    /// Closes the connection that has been idle for longest, where that makes room for `other`.
    bool make_room_for(const SharedPool& other);
    /// Room was made.
    void use_room() { open_if_needed(); }
    /// For some seconds no connection is kept that nobody uses: the database is to be dropped.
    void vacate();

    // From ServerConnection.
    void on_server_ready(ServerConnection& server);
    void on_own_ready(ServerConnection& server);
    void on_server_login_failed(ServerConnection& server, const ServerFailure& why, bool observed);
    void on_cleaned(ServerConnection& server, bool ok);
    void on_drained(ServerConnection& server);
    void on_server_lost(ServerConnection& server);
    void on_cancel_done(std::uint64_t server_id);

    struct Counts {
        std::size_t idle = 0, active = 0, starting = 0, cleaning = 0, waiting = 0, canceling = 0;
    };
    Counts counts() const noexcept;
    std::size_t size() const noexcept { return servers_.size(); }
    base::Nanos oldest_wait() noexcept;
    void for_each_server(const std::function<void(ServerConnection&)>& f);
    std::uint32_t local_clients = 0;
    /// How long it has had neither clients nor connections nor cancels under way; to be asked at
    /// each tick.
    base::Nanos unused_since(base::Nanos now) noexcept {
        const bool used = size() > 0 || local_clients > 0 || !waiters_.empty() || cancels_ > 0;
        if (used) used_at_ = now;
        return now - used_at_;
    }

  private:
    using ServerList = base::IntrusiveList<ServerConnection, &ServerConnection::link>;

    /// False where all places are taken. The pool's credentials are looked up only when there is a
    /// place: every client that waits comes here.
    bool open();
    /// Of a free place, or of that of the connection that has been idle for longest.
    Permit take_place(std::string_view why);
    /// One that is to be started.
    ServerConnection& add(Permit permit);
    std::size_t soon_clean();
    void open_if_needed();
    void open_or_make_room();
    void give_or_idle(ServerConnection& server);
    ServerConnection* find_idle(std::uint32_t process);
    bool give_to_waiter(ServerConnection& server);
    bool donate(ServerConnection& server);
    void ask_others_for_idle();
    void lease(ServerConnection& server, ServerUser& user);
    void make_idle(ServerConnection& server);
    void clean(ServerConnection& server);
    void cancel_abandoned(ServerConnection& server, unsigned ready_expected);
    void remove(ServerConnection& server, std::string_view why);
    std::unique_ptr<ServerConnection> take_out(ServerConnection& server);
    void adopt(std::unique_ptr<ServerConnection> server);
    void queue_changed() noexcept;
    void note_refusal(const ServerFailure& why);
    void fail_waiters(const ServerFailure& why);
    void expire_waiters(base::Nanos now);
    void expire_servers(base::Nanos now);
    void keep_warm(base::Nanos now);
    bool reusable(const ServerConnection& server) const noexcept;
    bool fit_for_lease(const ServerConnection& server, base::Nanos now) const noexcept;
    void set_idle_count() noexcept;
    base::Nanos now() const noexcept { return *clock_; }

    PoolHost& host_;
    std::shared_ptr<SharedPool> shared_;
    PoolConfigPtr config_;
    metrics::PoolCounters counters_;
    std::unordered_map<std::uint64_t, std::unique_ptr<ServerConnection>> servers_;
    ServerList idle_;
    ServerList active_;
    ServerList starting_;
    ServerList cleaning_;
    base::IntrusiveList<Waiter, &Waiter::wait_link> waiters_;
    bool listed_as_waiting_ = false;
    unsigned connect_failures_ = 0;
    base::Nanos retry_at_ = 0;
    ServerFailure last_failure_;
    unsigned refusals_ = 0;
    base::Nanos refused_until_ = 0;  // the server has refused our login
    ServerFailure refusal_;
    const base::Nanos* clock_;  // the loop's
    base::Nanos used_at_ = 0;
    base::Nanos vacated_until_ = 0;
    std::size_t cancels_ = 0;  // under way
};

}  // namespace pgweir::pool
