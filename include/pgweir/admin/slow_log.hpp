// The slow log: a bounded queue and a thread that writes to a file or to systemd's journal.
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
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/metrics/slow_query.hpp"

namespace pgweir::admin {

enum class SlowLogForm : std::uint8_t { json, csv, stderr_, pgbouncer };

struct SlowLogOptions {
    std::string file;                            // empty: standard error; journald: the journal
    std::uint64_t max_file_size = 100ull << 20;  // bytes; 0: never rotated
    std::uint32_t max_files = 10;                // rotated files kept: file.1 is the newest
    std::size_t max_queued = 4096;               // statements
    std::size_t max_queued_bytes = 32ull << 20;  // of their texts
    base::Nanos max_age = 0;                     // the file is rotated then; 0: never
    SlowLogForm form = SlowLogForm::json;
    std::string prefix = "%m [%p]: ";  // of the form stderr_
    bool literals = true;              // false: texts without their constants
    std::vector<std::string> redact;   // in whose presence neither constants nor parameters are
                                       // written; compared without case
    std::string journal_socket = "/run/systemd/journal/socket";
    friend bool operator==(const SlowLogOptions&, const SlowLogOptions&) = default;
};

class SlowLogWriter final : public metrics::SlowQuerySink {
  public:
    /// Starts the thread. A file that cannot be opened is tried again once a second.
    explicit SlowLogWriter(SlowLogOptions options);
    /// Writes what is queued, for two seconds at most, and ends the thread.
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

/// One entry in the form the options name, without the newline at its end. Always valid UTF-8.
/// json: one line of PostgreSQL 15's jsonlog, our own keys at its end, without control characters.
/// csv: a record of its csvlog; lines of a statement stand inside quotes. stderr_: as PostgreSQL
/// writes it, lines of a statement begin with a tab. pgbouncer: one line.
std::string slow_log_line(const metrics::SlowQuery& query, std::uint64_t line_number,
                          const SlowLogOptions& options = {});

}  // namespace pgweir::admin
