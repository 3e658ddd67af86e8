// All pools of the process, their hosts' limits, and the databases behind them: what workers look
// up when a client logs in, and what reload replaces. Thread: any; two mutexes, taken at logins,
// reload and for statistics, never per query.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "pgweir/cache/epochs.hpp"
#include "pgweir/config/config.hpp"
#include "pgweir/control/change_streams.hpp"
#include "pgweir/control/control_thread.hpp"
#include "pgweir/pool/shared_pool.hpp"

namespace pgweir::server {

/// Whom the proxy's own connections to a database are.
struct ControlLogin {
    control::Target target;
    bool named = false;  // in the configuration; else it is the user of one of the pools
};

/// One database of one server: its cache state and the control connection that reads its catalog.
struct DatabaseEntry {
    std::string server;  // host:port
    std::string dbname;
    cache::DatabaseState* state = nullptr;
    control::TargetId target = 0;            // 0: no control connection has been tried
    std::optional<cache::Snapshot> reading;  // of the catalog read that is under way
    std::uint64_t reload_number = 0;
    bool reload_again = false;
    std::string reason;  // why the catalog is not known
    bool guarantee_logged = false;
    std::string guarantee_reason;  // as logged last
    ControlLogin control;          // of `target`
    bool control_unsure = false;   // no pool could say after a reload whether it still is
    control::ServerFacts facts;    // as last read by the control connection
    control::StreamId stream = 0;  // 0: none is wanted, or none can be had
    bool stream_live = false;
    bool tells_ddl = false;        // the stream, as of the last catalog
    bool tells_writes = false;     // triggers, likewise
    bool logins_run_code = false;  // event triggers, likewise
    bool by_notices = false;       // `stream` is of that kind
    std::string stream_reason;     // why not
};

class Directory {
  public:
    Directory(config::ConfigPtr config, unsigned workers);

    config::ConfigPtr config() const;
    /// What stands in the way of logging in to servers as a configuration says: unreadable keys.
    static std::vector<std::string> check(const config::Config& config);
    /// Swaps the configuration and gives every pool its new settings.
    void set_config(config::ConfigPtr config);

    /// The pool of these names; `own_login` makes the one in which a client's own password is
    /// proven, whatever user the database's entry names. Null: no such database.
    std::shared_ptr<pool::SharedPool> pool(const std::string& database, const std::string& user,
                                           bool own_login);
    std::vector<std::shared_ptr<pool::SharedPool>> pools() const;
    /// Drops pools nobody holds any more.
    void sweep();

    void set_host_limit(const std::string& server, std::uint32_t limit);

    cache::Registry& registry() noexcept { return registry_; }
    /// Calls f with the entry, made when there is none, under the databases' lock.
    void with_database(const std::string& server, const std::string& dbname,
                       const std::function<void(DatabaseEntry&)>& f);
    void with_target(control::TargetId target, const std::function<void(DatabaseEntry&)>& f);
    void with_state(const cache::DatabaseState& state,
                    const std::function<void(DatabaseEntry&)>& f);
    void for_each_database(const std::function<void(DatabaseEntry&)>& f);

    static std::string server_name(const config::Database& database);

  private:
    std::vector<std::pair<std::string, std::string>> apply(config::ConfigPtr config);
    pool::PoolConfigPtr make_config(const config::Database& database, const std::string& name,
                                    bool own_login);
    std::shared_ptr<pool::HostBudget> host(const std::string& server);
    std::shared_ptr<io::TlsContext> tls_context(const config::Database& database,
                                                std::string& error);

    struct Known {
        std::shared_ptr<pool::SharedPool> pool;
        bool own_login = false;
    };
    mutable std::mutex mutex_;
    config::ConfigPtr config_;
    const unsigned workers_;
    std::uint64_t generation_ = 1;
    std::map<std::string, Known> pools_;
    std::map<std::string, std::shared_ptr<pool::HostBudget>> hosts_;
    std::map<std::string, std::shared_ptr<io::TlsContext>> tls_;
    cache::Registry registry_;
    std::mutex databases_mutex_;  // of databases_; taken before mutex_ where both are
    std::map<std::string, DatabaseEntry> databases_;
};

}  // namespace pgweir::server
