// The process: configuration, workers, control thread, cache, logs, HTTP, and the signals that
// reload and stop them. Runs on the main thread, which waits for signals and does what is due now
// and then. Thread: what workers call says so; the rest belongs to the main thread.
#pragma once

#include <pthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "pgweir/admin/console.hpp"
#include "pgweir/admin/http.hpp"
#include "pgweir/admin/slow_log.hpp"
#include "pgweir/admin/snapshot.hpp"
#include "pgweir/cache/store.hpp"
#include "pgweir/control/change_streams.hpp"
#include "pgweir/control/control_thread.hpp"
#include "pgweir/control/user_lookup.hpp"
#include "pgweir/server/directory.hpp"
#include "pgweir/server/worker.hpp"

namespace pgweir::server {

class CacheView;
class Plans;

class Supervisor final : public admin::SnapshotSource {
  public:
    explicit Supervisor(const config::ConfigPtr& config);
    ~Supervisor();

    /// To be called before any thread is made: all inherit it, and only run() takes signals.
    static void block_signals();
    /// What is wrong with the files that decide who may come in, and with keys towards servers.
    static std::vector<std::string> check(const config::Config& config);
    /// Opens sockets and starts all threads; an error text when something cannot be had.
    std::string start();
    /// Until a signal ends it; the exit code.
    int run();

    // Any thread.
    Directory& directory() noexcept { return directory_; }
    unsigned workers() const noexcept { return static_cast<unsigned>(workers_.size()); }
    Worker& worker(unsigned n) noexcept { return *workers_[n]; }
    std::uint64_t next_client_id() noexcept { return next_client_id_.fetch_add(1); }
    std::uint64_t next_context_id() noexcept { return next_context_id_.fetch_add(1); }
    std::uint32_t client_count() const noexcept;
    /// `self`, unless another has at least `slack` clients fewer.
    unsigned least_loaded(unsigned self, unsigned slack) const noexcept;
    session::DoorsPtr doors() const;
    session::AddressLimits& address_limits() noexcept { return address_limits_; }
    control::UserLookup& user_lookup() noexcept { return *user_lookup_; }
    /// Where a user who wants `database` is looked up; nothing: nobody is to be asked.
    static std::optional<control::Target> lookup_target(const config::Config& config,
                                                        const std::string& database);
    const std::shared_ptr<session::StatementTable>& statements() const noexcept {
        return statements_;
    }
    metrics::SlowQuerySink* slow_log() noexcept { return slow_log_.get(); }
    Plans& plans() noexcept { return *plans_; }
    metrics::QuerySink* query_stats() noexcept { return query_stats_.get(); }
    cache::ResultCache* result_cache() noexcept { return cache_.get(); }
    cache::DatabaseState* database_state(const pool::PoolConfig& config,
                                         const pool::SharedPool& pool);
    void reload_catalog(cache::DatabaseState& database);
    void server_settings_changed(const pool::PoolConfig& config);
    /// See session::Environment; `cleared` comes on the control thread.
    bool clear_snapshots(cache::DatabaseState& database, std::function<void()> cleared);
    /// See session::Environment.
    bool vacate_database(const std::string& server, const std::string& dbname);
    void enter_database(const std::string& server, const std::string& dbname);
    /// For a worker: asks it and, one after the other, those behind it, until one has made room.
    void make_room(const std::shared_ptr<pool::SharedPool>& pool, unsigned asker,
                   unsigned step = 0);
    void hold_until_gone(cache::DatabaseState& database, std::uint32_t pid,
                         std::unique_ptr<pool::Held> held);
    void hold_until_gone(const pool::PoolConfig& place, std::uint32_t pid,
                         std::unique_ptr<pool::Held> held);
    void collect(std::function<void(admin::Snapshot)> done) override;
    /// Reads the configuration again; the errors, none when it is in force now.
    std::vector<std::string> reload();
    admin::Console& console() noexcept { return *console_; }

  private:
    void open_doors(session::DoorsPtr doors, const config::Config& config);
    std::string listen();
    std::string start_admin(const config::Config& config);
    void warm_named_pools(const config::Config& config);
    void on_catalog(const control::CatalogEvent& event);
    void begin_reading(DatabaseEntry& entry);
    void retry_catalogs();
    void on_stream(const control::StreamEvent& event);
    void apply_rung(DatabaseEntry& entry, const config::Config& config);
    cache::Rung choose_rung(DatabaseEntry& entry, const config::Config& config,
                            std::string& reason);
    cache::Rung stream_rung(DatabaseEntry& entry, const config::Config& config,
                            std::string& reason);
    void drop_stream(DatabaseEntry& entry);
    static control::StreamOptions stream_options(const config::Config& config);
    /// Nothing: the pool's user would have to be, and cannot log in yet.
    std::optional<ControlLogin> control_login(const pool::PoolConfig& config,
                                              const pool::SharedPool& pool) const;
    /// After a reload: `said` is what pools of the database say of the login now.
    void renew_control(DatabaseEntry& entry, const std::vector<ControlLogin>& said);
    void renew_controls(const config::Config& config);
    void describe_process(admin::Snapshot& snapshot);
    void describe_databases(admin::Snapshot& snapshot, const config::Config& config);
    void drain(bool at_once);
    bool all_quiet();
    void housekeeping();
    void log_advice();
    void look_at_secret_files();

    Directory directory_;
    mutable std::mutex doors_mutex_;
    session::DoorsPtr doors_ = std::make_shared<const session::Doors>();
    session::AddressLimits address_limits_;
    std::shared_ptr<session::StatementTable> statements_ =
        std::make_shared<session::StatementTable>();
    std::unique_ptr<cache::ResultCache> cache_;
    std::unique_ptr<CacheView> cache_view_;
    std::unique_ptr<admin::SlowLogWriter> slow_log_;
    std::unique_ptr<Plans> plans_;
    base::Nanos advice_at_ = 0;                                     // next time
    std::set<std::pair<std::string_view, std::uint64_t>> advised_;  // rule and query, told already
    admin::QueryStatsPtr query_stats_;  // always there; workers use it when queries.enabled
    std::unique_ptr<control::ControlThread> control_;
    std::unique_ptr<control::ChangeStreams> streams_;
    std::unique_ptr<control::UserLookup> user_lookup_;
    std::unique_ptr<admin::Console> console_;
    std::unique_ptr<admin::HttpServer> http_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::atomic<std::uint64_t> next_client_id_{1};
    std::atomic<std::uint64_t> next_context_id_{1};
    std::atomic<bool> draining_{false};
    void run_main_tasks();

    pthread_t main_thread_ = pthread_self();
    std::mutex main_mutex_;
    std::vector<std::function<void()>> main_tasks_;  // for the main thread, woken by SIGUSR2
    std::mutex reload_mutex_;
    std::string secret_files_, config_file_;  // their stamps, as last read
    std::int64_t started_wall_us_ = 0;
};

}  // namespace pgweir::server
