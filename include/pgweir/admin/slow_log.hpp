// The slow log: a bounded queue and a thread that writes PostgreSQL's jsonlog lines to a file.
// Invariant: whoever offers a query waits for a short mutex at most; a slow, full or missing disk
// costs lines, which are counted, never queries. Each line is one write, so the file never holds
// half a line that another follows. Thread: offer(), reopen() and the numbers any; construction and
// destruction the owner's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "pgweir/metrics/slow_query.hpp"

namespace pgweir::admin {

struct SlowLogOptions {
    std::string file;                            // empty: standard error
    std::uint64_t max_file_size = 100ull << 20;  // bytes; 0: never rotated
    std::uint32_t max_files = 10;                // rotated files kept: file.1 is the newest
    std::size_t max_queued = 4096;               // statements
    std::size_t max_queued_bytes = 32ull << 20;  // of their texts
    friend bool operator==(const SlowLogOptions&, const SlowLogOptions&) = default;
};

class SlowLogWriter final : public metrics::SlowQuerySink {
  public:
    /// Starts the thread. A file that cannot be opened is tried again once a second.
    explicit SlowLogWriter(SlowLogOptions options);
    /// Writes what is queued, if it can be written, and ends the thread.
    ~SlowLogWriter();
    SlowLogWriter(const SlowLogWriter&) = delete;
    SlowLogWriter& operator=(const SlowLogWriter&) = delete;

    bool offer(metrics::SlowQuery&& query) noexcept override;
    /// Closes and opens the file again, after the queries offered so far: for logrotate and SIGHUP.
    void reopen() noexcept;
    /// The same, with other options from then on.
    void reconfigure(SlowLogOptions options);

    std::uint64_t written() const noexcept;
    /// Lost because the queue was full or the file could not be written.
    std::uint64_t lost() const noexcept;
    /// Empty while the file can be written; else the system's words for why not.
    std::string problem() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// One line of PostgreSQL 15's jsonlog, without the newline, our own keys at its end. Always valid
/// JSON and UTF-8, without control characters.
std::string slow_log_line(const metrics::SlowQuery& query, std::uint64_t line_number);

}  // namespace pgweir::admin
