// One event for the slow log (a statement that was slow, failed or waited, or a session idle in its
// transaction), and the log's door: sessions fill the one and hand it to the other. Ownership: a
// SlowQuery owns its texts, as it outlives the session. Thread: offer() any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::metrics {

enum class SlowEvent : std::uint8_t {
    slow,    // over its threshold
    error,   // it failed, and errors are logged
    waited,  // it waited longer than slow_log.wait_threshold, and was not slow otherwise
    idle,    // nothing came for total_ns inside a transaction; the text is the latest statement's
    plan,    // of a statement that was slow before: no execution of its own, all figures are 0
};

/// What a plan says against a query or its tables. Without constants.
struct PlanNote {
    std::string rule, evidence, advice;
    friend bool operator==(const PlanNote&, const PlanNote&) = default;
};

/// Times in nanoseconds, sizes in bytes. total = wait + server + transfer and what lies between.
struct SlowQuery {
    SlowEvent event = SlowEvent::slow;
    std::string text;  // the whole statement; the writer cuts it
    std::string user;
    std::string database;
    std::string application_name;
    std::string client_host;
    std::string pool;           // "database/user"
    std::string prepared_name;  // of an extended statement; empty: unnamed
    std::string sqlstate;       // empty: it did not fail
    std::string error;          // the server's message, where errors are logged
    std::string bind;           // a Bind's body behind its names, where parameters are logged
    std::vector<std::uint32_t> types;  // of its parameters, as the client declared them
    std::string plan;                  // lines, of event plan
    std::vector<PlanNote> notes;       // on it
    std::string_view cache;            // the cache's verdict, static text: hit, miss, bypass ...
    std::string_view cache_reason;     // static: why it was passed by; empty: it was not
    std::string_view pin;              // static: why the session is pinned; empty: it is not
    std::uint16_t client_port = 0;
    std::uint32_t server_pid = 0;  // 0: no server took part
    std::uint64_t session_id = 0;
    std::int64_t started_wall_us = 0;  // microseconds since 1970 UTC
    std::int64_t total_ns = 0;
    std::int64_t wait_ns = 0;       // until a server connection was had
    std::int64_t server_ns = 0;     // until its first byte of answer
    std::int64_t transfer_ns = 0;   // until the last byte had been passed on
    std::int64_t tx_age_ns = 0;     // since its transaction began
    std::uint32_t tx_position = 0;  // in its transaction, from 1; 0: not in one
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
