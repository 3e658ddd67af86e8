// The program's log: levels and a line of text, over spdlog, which is included in log.cpp only.
// Text from outside (names, SQL, server errors) must pass through printable() first: no newline or
// control byte of a stranger's reaches the log. Thread: any. Never blocks on traffic threads: lines
// go through a bounded queue, and what does not fit is dropped and counted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgweir::base {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Opens the log: to `file`, or standard error when it is empty. May be called again to reopen or
/// change the level. Gives false when the file cannot be opened; the old log then stays.
bool open_log(LogLevel level, const std::string& file);
void close_log();
bool log_enabled(LogLevel level) noexcept;
void log(LogLevel level, std::string_view line);
/// Lines lost because the queue was full.
std::uint64_t log_dropped() noexcept;

inline void log_debug(std::string_view line) {
    if (log_enabled(LogLevel::debug)) log(LogLevel::debug, line);
}
inline void log_info(std::string_view line) { log(LogLevel::info, line); }
inline void log_warning(std::string_view line) { log(LogLevel::warning, line); }
inline void log_error(std::string_view line) { log(LogLevel::error, line); }

/// `text` with control bytes and invalid UTF-8 as \xNN, cut after `max` bytes with "...".
std::string printable(std::string_view text, std::size_t max = 200);

}  // namespace pgweir::base
