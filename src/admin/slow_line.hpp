// What all forms of the slow log say of an entry, worked out once: text with or without constants,
// message, parameters, fingerprint. Invariant: a text that must not be shown is in none of the
// fields. Thread: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/admin/slow_log.hpp"

namespace pgweir::admin {

struct SlowLine {
    std::string_view severity = "LOG";
    std::string message;      // after the severity
    std::string detail;       // "parameters: $1 = '42'", or empty
    std::string statement;    // beside a message that does not contain it, or empty
    std::string normalised;   // without constants
    std::string traceparent;  // of sqlcommenter's; empty: none
    std::uint64_t fingerprint = 0;
    std::int64_t stamp_us = 0;  // when it ended
    bool cut = false;
};
SlowLine slow_line(const metrics::SlowQuery& query, const SlowLogOptions& options);

/// Our own figures as one line, for forms that have no keys of their own.
std::string slow_figures(const metrics::SlowQuery& query, const SlowLine& line);

/// PostgreSQL's %m: "2026-11-21 02:30:01.123 UTC".
std::string stamp_text(std::int64_t wall_us, bool milliseconds = true);
std::string hex_text(std::uint64_t number);
/// 16 digits.
std::string fingerprint_text(std::uint64_t fingerprint);
/// One of them occurs, in any case.
bool has_any_word(std::string_view text, const std::vector<std::string>& words);
/// "1234.567"
std::string duration_ms_text(std::int64_t nanos);
/// UTF-8 without control characters (C1, too): they become \xNN; lines and tabs may stay.
std::string clean_text(std::string_view text, bool keep_lines);
/// The traceparent of a comment of sqlcommenter's form; empty when there is none.
std::string traceparent_of(std::string_view sql);
/// "parameters: $1 = '42', $2 = NULL" of a Bind's body behind its names. Values are cut; binary
/// ones are shown as numbers where their type says so, else as hexadecimal digits.
std::string parameters_text(std::string_view bind, const std::vector<std::uint32_t>& types);

/// For systemd's journal.
std::string journal_entry(const metrics::SlowQuery& query, const SlowLogOptions& options);

// One form each.
std::string json_line(const metrics::SlowQuery& query, const SlowLine& line, std::uint64_t number);
std::string csv_line(const metrics::SlowQuery& query, const SlowLine& line, std::uint64_t number);
std::string stderr_lines(const metrics::SlowQuery& query, const SlowLine& line,
                         std::uint64_t number, std::string_view prefix);
std::string pgbouncer_line(const metrics::SlowQuery& query, const SlowLine& line);

}  // namespace pgweir::admin
