// What the process looks like at one moment, as plain values: the server layer fills it by asking
// its workers, the console and the HTTP side only read it. Ownership: everything is owned by the
// Snapshot. Units are in the names. Thread: a value.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/admin/query_stats.hpp"
#include "pgweir/base/clock.hpp"
#include "pgweir/config/config.hpp"
#include "pgweir/metrics/counters.hpp"

namespace pgweir::admin {

/// One pool, summed over the workers; rows of one (database, user) are added up when read, so each
/// worker may append its own.
struct PoolRow {
    std::string database;  // as clients name it
    std::string user;
    config::PoolMode mode = config::PoolMode::transaction;
    std::uint32_t cl_active = 0;  // clients, but those that wait
    std::uint32_t cl_waiting = 0;
    std::uint32_t cl_active_cancel_req = 0;   // cancel requests on their way to the server
    std::uint32_t cl_waiting_cancel_req = 0;  // not sent yet
    std::uint32_t sv_active = 0;
    std::uint32_t sv_active_cancel = 0;   // connections that carry a cancel request
    std::uint32_t sv_being_canceled = 0;  // kept from others until a cancel request is through
    std::uint32_t sv_idle = 0;
    std::uint32_t sv_used = 0;    // idle so long that they are checked before use
    std::uint32_t sv_tested = 0;  // being checked or reset
    std::uint32_t sv_login = 0;
    std::int64_t maxwait_us = 0;  // how long the oldest waiting client has waited
    metrics::PoolStats totals;
};

/// A client or server connection: the columns of SHOW CLIENTS and SHOW SERVERS.
struct ConnectionRow {
    std::string user;
    std::string database;
    std::string_view replication = "none";  // static: none, logical, physical
    std::string_view state;                 // static: active, idle, waiting, used, tested, new, ...
    std::string addr;                       // "unix" for a Unix socket
    std::uint16_t port = 0;
    std::string local_addr;
    std::uint16_t local_port = 0;
    std::int64_t connect_time_us = 0;  // microseconds since 1970 UTC
    std::int64_t request_time_us = 0;  // the same, of the latest request; 0: none yet
    std::int64_t wait_us = 0;          // how long it has been waiting for a server; 0: it is not
    bool close_needed = false;         // ends as soon as it is free
    std::uint64_t ptr = 0;   // identity of this connection in this process, never an address
    std::uint64_t link = 0;  // ptr of the connection it is linked to; 0: none
    std::uint32_t remote_pid =
        0;            // of a server: its process; of a client on a Unix socket: its own
    std::string tls;  // "TLSv1.3/cipher"; empty: none
    std::string application_name;
    std::uint32_t prepared_statements = 0;
    std::uint64_t id = 0;
    std::string_view pin;  // static: query::name of the reason; empty: not pinned
};
using ClientRow = ConnectionRow;
using ServerRow = ConnectionRow;

/// One configured or seen database.
struct DatabaseRow {
    std::string name;
    std::string host;
    std::uint16_t port = 0;
    std::string database;    // on the server
    std::string force_user;  // empty: the client's own
    std::uint32_t pool_size = 0;
    std::uint32_t min_pool_size = 0;
    base::Nanos server_lifetime = 0;
    config::PoolMode mode = config::PoolMode::transaction;
    std::uint32_t max_connections = 0;  // of servers, over all users; 0: no limit of its own
    std::uint32_t current_connections = 0;
    std::uint32_t max_client_connections = 0;  // 0: no limit of its own
    std::uint32_t current_client_connections = 0;
    bool paused = false;
    bool disabled = false;
};

struct CacheRow {
    std::string database;
    bool enabled = false;
    std::string_view guarantee;  // static: strict, bounded, in_band, ttl, off
    std::uint64_t entries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t hits = 0;
    std::uint64_t misses = 0;
    std::uint64_t fills = 0;
    std::uint64_t invalidations = 0;
    std::uint64_t evictions = 0;
    std::uint64_t verified = 0;
    std::uint64_t mismatches = 0;
    std::string guarantee_reason;  // why it is not more, for people
    unsigned rung = 0;             // the guarantee as a number
    double stream_lag = -1;        // seconds; -1: no change stream
    std::uint64_t stream_transactions = 0;
    std::uint64_t stream_gaps = 0;
    std::uint64_t stream_waits = 0;
};

/// Counts that SHOW LISTS gives and that cannot be had from the rows.
struct Lists {
    std::uint32_t login_clients = 0;  // accepted, not logged in yet
    std::uint32_t dns_names = 0;
    std::uint32_t dns_queries = 0;
};

struct Snapshot {
    std::vector<PoolRow> pools;
    std::vector<ClientRow> clients;
    std::vector<ServerRow> servers;
    std::vector<DatabaseRow> databases;
    std::vector<CacheRow> caches;
    Lists lists;
    metrics::WorkerStats workers;
    std::uint32_t max_clients = 0;
    std::int64_t started_wall_us = 0;  // microseconds since 1970 UTC
    bool draining = false;
    bool ready = true;             // some pool can serve
    std::string not_ready_reason;  // for people; without secrets
    std::uint64_t slow_queries_logged = 0;
    std::uint64_t slow_queries_lost = 0;
    std::uint64_t plans_read = 0, plans_failed = 0;
    std::uint64_t log_lines_dropped = 0;
    QueryStatsPtr queries;  // not a copy: the statistics per query themselves; may be null
};

class SnapshotSource {
  public:
    /// Collects a snapshot and calls `done` with it once, on any thread, perhaps before collect()
    /// returns. Does not block. `done` may outlive whoever asked, so it owns what it needs.
    virtual void collect(std::function<void(Snapshot)> done) = 0;

  protected:
    ~SnapshotSource() = default;
};

/// Waits for a snapshot, at most `limit`; nullopt: the workers did not answer in time. For threads
/// that may block: never a worker's.
std::optional<Snapshot> collect_blocking(SnapshotSource& source, base::Nanos limit);

/// Adds up pool rows of the same (database, user), in order of these names.
std::vector<PoolRow> merged_pools(const std::vector<PoolRow>& rows);

std::string_view name(config::PoolMode mode) noexcept;

}  // namespace pgweir::admin
