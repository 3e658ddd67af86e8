// The thread that looks after what is known of databases: one control connection for each target,
// its catalog read at (re)connect, when its fingerprint changes and on request, and server
// processes watched until they are gone. Public functions may be called from any thread and return
// at once; callbacks run on the control thread, must be short, must not throw, and must not call
// stop(). Invariant: a target's newest event is true, or a newer one is on its way within a poll
// interval.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "pgweir/base/clock.hpp"
#include "pgweir/control/connection.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

using TargetId = std::uint64_t;

/// Read with each poll.
struct ServerFacts {
    std::string server_version;  // as the server says it: "15.6 (Debian 15.6-1)"
    std::uint32_t server_version_num = 0;
    std::uint32_t max_connections = 0;
    std::uint32_t reserved_connections =
        0;  // superuser_reserved_connections + reserved_connections
    bool wal_level_logical = false;
    bool in_recovery = false;
    bool may_replicate = false;  // the control login has REPLICATION
    friend bool operator==(const ServerFacts&, const ServerFacts&) = default;
};

struct CatalogEvent {
    TargetId target = 0;
    query::CatalogPtr catalog;     // null: nothing is known of this database now
    std::string reason;            // why, when null; one line, fit for the log
    ServerFacts facts;             // as last read; zeros before the first time
    bool tells_ddl = false;        // sql/watch_ddl.sql is installed: the change stream tells of DDL
    bool tells_writes = false;     // sql/watch_writes.sql is: triggers tell of writes
    bool logins_run_code = false;  // event triggers on login: a new connection may write
    /// All request_reload() of this target that returned a number up to this one are answered: the
    /// catalog was read in a snapshot taken after they were made.
    std::uint64_t covers = 0;
};

struct ControlOptions {
    base::Nanos catalog_poll = 5 * base::kSecond;
    base::Nanos pid_poll = 100 * base::kMillisecond;
    base::Nanos connect_timeout = 5 * base::kSecond;
    base::Nanos statement_timeout = 5 * base::kSecond;
    base::Nanos first_retry = 200 * base::kMillisecond;  // doubles up to last_retry
    base::Nanos last_retry = 10 * base::kSecond;
    std::string publication;  // that change streams are to show; empty: none
};

class ControlThread {
  public:
    using OnCatalog = std::function<void(const CatalogEvent&)>;
    using OnGone = std::function<void()>;

    ControlThread(ControlOptions options, OnCatalog on_catalog);
    ~ControlThread();  // stop()
    ControlThread(const ControlThread&) = delete;
    ControlThread& operator=(const ControlThread&) = delete;

    /// Starts the thread. Targets may be added before and after.
    void start();
    /// Ends it within milliseconds, whatever it waits for (resolving a name excepted). Idempotent.
    /// No callback runs after it has returned.
    void stop();

    TargetId add_target(Target target);
    /// Its connection closes; callbacks in progress end first, later ones do not come (a watched
    /// pid included: what waited for it is the caller's to settle).
    void remove_target(TargetId id);
    /// The same database, to be read by another login from now on: until it has been, nothing is
    /// known of it. Watched pids and requests stay.
    void set_target(TargetId id, Target target);
    /// Something that may have changed the catalog has been done: read it again soon. Cheap, many
    /// requests make one read. An event that `covers` the number given back follows, with the same
    /// catalog when nothing changed.
    std::uint64_t request_reload(TargetId id);
    /// Calls `cleared`, on this thread, when no reading of this target is under way; none begins
    /// for some tenths of a second then.
    void clear_snapshots(TargetId id, std::function<void()> cleared);
    /// Calls `gone` once when server process `pid` of this target is no more, hence its transaction
    /// is over. While the server cannot be asked there is no call.
    void watch_pid(TargetId id, std::int32_t pid, OnGone gone);
    /// Leaves the database for some seconds, so that it can be dropped, or until end_rest().
    void rest(TargetId id);
    void end_rest(TargetId id);
    /// Polls are as far apart from now on, counted from the last one.
    void set_catalog_poll(base::Nanos interval);
    /// From the next poll on; catalogs are read again where it is another one.
    void set_publication(std::string name);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace pgweir::control
