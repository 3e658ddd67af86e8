// One worker thread: its loop, its clients, its halves of the pools, its counters. Everything in it
// is touched by that thread only, but for what says otherwise.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "pgweir/admin/snapshot.hpp"
#include "pgweir/io/listener.hpp"
#include "pgweir/io/loop.hpp"
#include "pgweir/pool/pool.hpp"
#include "pgweir/session/client_connection.hpp"

namespace pgweir::server {

class Supervisor;

/// A base, so that the loop lives longer than the other bases, which keep its clock.
struct WorkerLoop {
    io::Loop loop_;
};

class Worker final : private WorkerLoop,
                     public session::Environment,
                     public session::ClientHost,
                     public pool::PoolHost {
  public:
    Worker(Supervisor& supervisor, unsigned number);
    ~Worker();

    void start();
    void stop_and_join();
    /// Any thread.
    void post(std::function<void(Worker&)> task);
    std::atomic<std::uint32_t> clients{0};

    /// On the worker's thread.
    void adopt_client(int fd, const io::Address& peer);
    bool listen(const io::Address& at, bool shared, bool distribute, std::string& error);
    std::uint16_t listening_port() const noexcept {
        return listeners_.empty() ? 0 : listeners_.front()->port();
    }
    void apply_config(config::ConfigPtr config);
    void cancel(std::uint32_t slot, const std::string& key, const io::Address& from,
                pool::CancelToken settled);
    void cancel_by_server(std::uint32_t pid, const std::string& key, const io::Address& from,
                          pool::CancelToken settled);
    /// Tells `told` the server process of the client in `slot`, if that is one of `server`; the
    /// loan is of a server connection that client is given for it. See session::Environment.
    using ProcessTold = std::function<void(std::uint32_t process, session::Loan loan)>;
    void tell_process(std::uint32_t slot, const std::string& server, bool lend, ProcessTold told);
    void begin_drain();
    /// See session::Environment::vacate_database.
    void vacate(const std::string& server, const std::string& dbname);
    /// Ends everybody with 57P01.
    void end_all();
    void end_idle();
    bool quiet() const noexcept { return by_id_.empty(); }
    void collect(admin::Snapshot& into);
    pool::Pool& pool(const std::shared_ptr<pool::SharedPool>& shared);

    // Environment, ClientHost, PoolHost
    const config::Config& config() const noexcept override { return *config_; }
    metrics::WorkerCounters& counters() noexcept override { return counters_; }
    metrics::SlowQuerySink* slow_log() noexcept override;
    void explain(const session::Identity& identity, const std::string& application,
                 std::uint64_t fingerprint, std::string_view text, std::string_view bind,
                 const std::vector<std::uint32_t>& types) override;
    cache::ResultCache* result_cache() noexcept override;
    void catalog_may_have_changed(cache::DatabaseState& database) override;
    void logins_may_have_changed() override;
    void post_task(std::function<void()> task) override { loop_.post(std::move(task)); }
    bool vacate_database(const session::Identity& identity, const std::string& dbname) override;
    void enter_database(const session::Identity& identity, const std::string& dbname) override;
    bool clear_snapshots(cache::DatabaseState& database, std::uint64_t session) override;
    void hold_until_gone(const session::Identity& identity, std::uint32_t server_pid,
                         std::unique_ptr<pool::Held> held) override;
    void await_watermark(cache::DatabaseState& database, base::Nanos needed,
                         std::uint64_t session) override;
    void find_process(const session::Identity& asker, std::uint32_t number, bool lend,
                      std::uint64_t session, std::uint64_t question) override;
    session::Environment& environment() noexcept override { return *this; }
    io::Loop& loop() noexcept override { return loop_; }
    const session::Doors& doors() noexcept override { return *doors_; }
    session::AddressLimits& address_limits() noexcept override;
    bool look_up_user(const std::string& database, const std::string& user,
                      UserAnswer answer) override;
    void forget_user(const std::string& database, const std::string& user) override;
    session::LoginTarget find_target(const std::string& database, const std::string& user) override;
    session::IdentityPtr with_profile(const session::Identity& of,
                                      pool::ProfilePtr profile) override;
    session::IdentityPtr identity(const std::string& database, const std::string& user,
                                  pool::Pool& pool, pool::ProfilePtr profile) override;
    session::IdentityPtr identity(const std::string& database, const std::string& user,
                                  pool::Pool& pool, pool::ProfilePtr profile,
                                  config::PoolMode mode);
    std::unique_ptr<session::ConsolePort> open_console(session::ClientConnection& client,
                                                       const std::string& user) override;
    std::uint32_t cancel_pid(const session::ClientConnection& client) noexcept override;
    void route_cancel(session::ClientConnection& canceller, std::uint32_t pid, std::string key,
                      const io::Address& from) override;
    void forget(session::ClientConnection& client) noexcept override;
    bool draining() const noexcept override { return draining_; }
    bool accepts_more_clients() noexcept override;
    unsigned worker() const noexcept override { return number_; }
    void post_to_pool(unsigned worker, const std::shared_ptr<pool::SharedPool>& shared,
                      std::function<void(pool::Pool&)> task) override;
    void make_room(const std::shared_ptr<pool::SharedPool>& pool) override;
    /// True when an idle connection was closed whose place `pool` can take.
    bool frees_place_of(const pool::SharedPool& pool) {
        return std::any_of(pools_.begin(), pools_.end(),
                           [&](auto& p) { return p.second->make_room_for(pool); });
    }
    void on_server_settings_changed(const pool::PoolConfig& place) override;
    void hold_until_gone(const pool::PoolConfig& place, std::uint32_t server_pid,
                         std::unique_ptr<pool::Held> held) override;

    session::ClientConnection* client_by_id(std::uint64_t id) noexcept;
    /// Any thread: calls `task` with the session of this client on the worker's, if there is one
    /// then.
    void post_to_session(std::uint64_t client, std::function<void(session::Session&)> task);
    Supervisor& supervisor() noexcept { return supervisor_; }
    metrics::WorkerCounters counters_;

  private:
    void note_wrong_key(const io::Address& from);
    class Commands;
    void on_accept(int fd, const io::Address& peer, bool distribute);
    void tick();
    bool make_room_for_stranger();
    session::JudgeContext judge_context(cache::DatabaseState& state, const pool::Profile& profile,
                                        const std::string& login,
                                        const std::vector<std::string>& path, bool other_encoding);
    /// Nothing: what logins are given has not been learnt.
    std::optional<std::vector<std::string>> search_path_of(
        const pool::Profile& profile, const std::string& user,
        const cache::DatabaseState& database) const;

    std::shared_ptr<Worker*> self_ = std::make_shared<Worker*>(this);
    Supervisor& supervisor_;
    const unsigned number_;
    std::thread thread_;
    config::ConfigPtr config_;
    session::DoorsPtr doors_;
    bool draining_ = false;
    std::unique_ptr<io::Ticker> ticker_;
    std::vector<std::unique_ptr<io::Listener>> listeners_;
    std::unordered_map<pool::SharedPool*, std::unique_ptr<pool::Pool>> pools_;
    std::unordered_map<std::uint64_t, std::unique_ptr<session::ClientConnection>> by_id_;
    std::vector<session::ClientConnection*> slots_;
    base::IntrusiveList<session::ClientConnection, &session::ClientConnection::stranger_link>
        strangers_;  // not logged in, by arrival
    std::deque<std::uint32_t> free_slots_;
    std::unordered_map<std::string, std::weak_ptr<const session::Identity>> identities_;
    std::unordered_map<std::string, std::uint64_t> contexts_;  // numbers of JudgeContexts
};

}  // namespace pgweir::server
