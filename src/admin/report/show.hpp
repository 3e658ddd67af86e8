// How the report writes numbers and texts of strangers. Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pgweir::admin {

/// "1.23 s", "45.6 ms", "789 µs", "2 h 05 min"
std::string time_text(std::uint64_t us);
/// "1,234,567"
std::string count_text(std::uint64_t n);
/// "1.5 MiB"
std::string bytes_text(std::uint64_t bytes);
/// "12.3 %"; of nothing: "0 %"
std::string share_text(std::uint64_t part, std::uint64_t whole);

/// Printable on a terminal and on a page: no control characters, and none that turn the direction
/// of what follows. Lines may stay.
std::string shown(std::string_view text, bool keep_lines);
/// The same as text of a page, or as the value of an attribute in quotes.
std::string escaped(std::string_view text);
/// On one line, space folded, at most `max` characters, the last of them "…" where it was cut.
std::string one_line(std::string_view text, std::size_t max);

}  // namespace pgweir::admin
