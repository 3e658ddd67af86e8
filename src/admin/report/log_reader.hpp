// Reads slow logs of any of our forms, also mixed in one file (the form may change by a reload),
// cut anywhere, of any length of line. Invariant: bounded memory and linear time; every line is
// part of an entry or counted as something else. Thread: one.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "log_entry.hpp"

namespace pgweir::admin {

struct ReadCounts {
    std::uint64_t entries = 0;
    std::uint64_t other = 0;   // of somebody else's, such as a PostgreSQL server's
    std::uint64_t broken = 0;  // lines that were cut or not understood
    std::uint64_t bytes = 0;
};

class LogReader {
  public:
    explicit LogReader(std::function<void(LogEntry&&)> use) : use_(std::move(use)) {}
    /// The next bytes of a file.
    void feed(std::string_view bytes);
    /// The file is over: what waits for more is an entry now, or broken.
    void finish();
    const ReadCounts& counts() const noexcept { return counts_; }

    static constexpr std::size_t kMaxLine = 4 << 20;  // bytes; a longer one is broken

  private:
    void line(std::string_view line, bool whole);
    void begin(std::string_view line, bool whole);
    void csv_line(std::string_view line);
    void give_up_csv();
    void count(LineIs what, LogEntry&& entry);
    void flush_stderr(std::string_view next);

    std::function<void(LogEntry&&)> use_;
    ReadCounts counts_;
    std::string rest_;       // of a line that has not ended
    bool skipping_ = false;  // the rest of a line that is too long
    std::string csv_;        // a record inside whose quotes a line ended
    bool csv_open_ = false;
    StderrEntry stderr_;
};

/// Feeds a file (or standard input, "-"); `tick` is told of bytes read. The error, or empty.
std::string read_log(const std::string& path, LogReader& reader,
                     const std::function<void(std::uint64_t)>& tick);

}  // namespace pgweir::admin
