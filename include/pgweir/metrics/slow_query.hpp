// One statement that took longer than slow_log.threshold, and the door of the slow log: sessions
// fill the one and hand it to the other. Ownership: a SlowQuery owns its text, as it outlives the
// session. Thread: offer() any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgweir::metrics {

/// Times in nanoseconds, sizes in bytes. total = wait + server + transfer and what lies between.
struct SlowQuery {
    std::string text;  // the whole statement; the writer cuts it
    std::string user;
    std::string database;
    std::string application_name;
    std::string client_host;
    std::string pool;           // "database/user"
    std::string prepared_name;  // of an extended statement; empty: unnamed
    std::string sqlstate;       // empty: it did not fail
    std::string_view cache;     // the cache's verdict, static text: hit, miss, bypass ...
    std::uint16_t client_port = 0;
    std::uint32_t server_pid = 0;  // 0: no server took part
    std::uint64_t session_id = 0;
    std::int64_t started_wall_us = 0;  // microseconds since 1970 UTC
    std::int64_t total_ns = 0;
    std::int64_t wait_ns = 0;      // until a server connection was had
    std::int64_t server_ns = 0;    // until its first byte of answer
    std::int64_t transfer_ns = 0;  // until the last byte had been passed on
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;
    bool extended = false;  // Execute rather than Query
};

class SlowQuerySink {
  public:
    /// Takes the query if there is room; false: it was dropped and counted. Never blocks on a disk.
    virtual bool offer(SlowQuery&& query) noexcept = 0;

  protected:
    ~SlowQuerySink() = default;
};

}  // namespace pgweir::metrics
