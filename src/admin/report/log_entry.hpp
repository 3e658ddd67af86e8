// One entry of a slow log as the report reads it back, and the readers of each form.
// Invariant: whatever bytes a line has, reading it takes linear time and gives an entry, or says
// that there is none; only what our own figures say is counted. Thread: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/metrics/slow_query.hpp"

namespace pgweir::admin {

/// Times in microseconds.
struct LogEntry {
    metrics::SlowEvent event = metrics::SlowEvent::slow;
    bool refused = false;    // it had no server
    std::int64_t at_us = 0;  // when it ended, since 1970 UTC; 0: not known
    std::string user, database, application;
    std::string sqlstate;
    std::string error;       // the message of what failed
    std::string text;        // as it was logged, or without constants
    std::string parameters;  // "parameters: $1 = '42'", or empty
    std::string cache, cache_reason, pin;
    std::string plan;                      // of event plan: lines
    std::vector<metrics::PlanNote> notes;  // on it
    std::uint64_t fingerprint = 0;
    std::uint64_t total_us = 0, wait_us = 0, server_us = 0, transfer_us = 0, tx_age_us = 0;
    std::uint64_t rows = 0, bytes = 0;
};

enum class LineIs : std::uint8_t {
    entry,
    other,   // whole, and not one of ours
    broken,  // cut, or not understood
};

/// "2026-11-21 02:30:01.123 UTC" at the beginning; 0: it is none.
std::int64_t read_stamp(std::string_view text);
/// "total_ms=... fingerprint=0123456789abcdef", all of it, in the order it is written in.
bool read_figures(std::string_view text, LogEntry& entry);
/// Event, text and error from what follows the severity.
void read_message(std::string_view severity, std::string_view message, std::string_view statement,
                  LogEntry& entry);

LineIs read_json_line(std::string_view line, LogEntry& entry);
LineIs read_csv_record(std::string_view record, LogEntry& entry);
LineIs read_pgbouncer_line(std::string_view line, LogEntry& entry);

/// The lines of one entry of stderr's form, each with those that continue it. What stands before
/// the severity is any text; it is known by the line with our figures, which nobody else can end.
class StderrEntry {
  public:
    void line(std::string_view line);
    /// True once, when the lines so far hold an entry that the line to come cannot belong to.
    bool take_before(std::string_view next, LogEntry& entry);
    /// Lines that belong to no entry, counted once.
    std::uint64_t take_stray();
    bool empty() const noexcept { return parts_.empty() && !complete_; }
    bool begun() const noexcept { return complete_ || !parts_.empty(); }

  private:
    bool complete(std::string_view figures_line);
    std::vector<std::string> parts_;
    std::size_t bytes_ = 0;
    std::uint64_t stray_ = 0;
    bool complete_ = false;
    std::string prefix_, severity_, message_, detail_, statement_;
    LogEntry figures_;
};

}  // namespace pgweir::admin
