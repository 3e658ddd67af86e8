// Reads an ErrorResponse or NoticeResponse body. Every field is optional: a hostile server sends
// none (PgBouncer's CVE-2026-6666 was a missing SQLSTATE).
#pragma once

#include <string_view>

namespace pgweir::wire {

/// Views into the body; empty where the field is absent.
struct ErrorFields {
    std::string_view severity;
    std::string_view sqlstate;
    std::string_view message;
    std::string_view detail;
    std::string_view hint;
    std::string_view routine;  // the same in every language
};

ErrorFields parse_error_fields(std::string_view body) noexcept;

}  // namespace pgweir::wire
