// See show.hpp.
#include "show.hpp"

#include <cstdio>

#include "../slow_line.hpp"

namespace pgweir::admin {

namespace {

std::string three_digits(double value, const char* unit) {
    char text[64];
    const int places = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    std::snprintf(text, sizeof text, "%.*f %s", places, value, unit);
    return text;
}

/// U+2028 to U+202E and U+2066 to U+2069: line ends and turns of direction, all "e2 80|81 xx".
std::string_view direction_escape(std::string_view text, std::size_t i) {
    if (i + 2 >= text.size() || text[i] != '\xe2') return {};
    const auto a = static_cast<unsigned char>(text[i + 1]);
    const auto b = static_cast<unsigned char>(text[i + 2]);
    const bool turns = (a == 0x80 && b >= 0xa8 && b <= 0xae) ||
                       (a == 0x80 && (b == 0x8e || b == 0x8f)) ||
                       (a == 0x81 && b >= 0xa6 && b <= 0xa9);
    return turns ? std::string_view("\\x{bidi}") : std::string_view();
}

}  // namespace

std::string time_text(std::uint64_t us) {
    const auto value = static_cast<double>(us);
    if (us < 1'000) return std::to_string(us) + " µs";
    if (us < 1'000'000) return three_digits(value / 1e3, "ms");
    if (us < 600'000'000) return three_digits(value / 1e6, "s");
    const auto minutes = us / 60'000'000;
    if (minutes < 60) return std::to_string(minutes) + " min";
    return count_text(minutes / 60) + " h " + std::to_string(100 + minutes % 60).substr(1) + " min";
}

std::string count_text(std::uint64_t n) {
    const auto digits = std::to_string(n);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
        text += digits[i];
    }
    return text;
}

std::string bytes_text(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return std::to_string(bytes) + " B";
    auto value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    for (; value >= 1000 && unit < 5; ++unit) value /= 1024;
    return three_digits(value, kUnits[unit]);
}

std::string share_text(std::uint64_t part, std::uint64_t whole) {
    if (whole == 0) return "0 %";
    char text[32];
    std::snprintf(text, sizeof text, "%.1f %%",
                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
    return text;
}

std::string shown(std::string_view text, bool keep_lines) {
    const auto clean = clean_text(text, keep_lines);
    std::string out;
    out.reserve(clean.size());
    for (std::size_t i = 0; i < clean.size(); ++i) {
        const auto escape = direction_escape(clean, i);
        if (escape.empty()) {
            out += clean[i];
            continue;
        }
        out += escape;
        i += 2;
    }
    return out;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : shown(text, true)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    }
    return out;
}

std::string one_line(std::string_view text, std::size_t max) {
    std::string out;
    std::size_t characters = 0;
    bool space = false;
    for (const char c : shown(text, true)) {
        if (c == ' ' || c == '\n' || c == '\t') {
            space = !out.empty();
            continue;
        }
        const bool begins = (static_cast<unsigned char>(c) & 0xc0) != 0x80;
        if (begins && characters + (space ? 2 : 1) >= max) return out + "…";
        if (space) {
            out += ' ';
            ++characters;
            space = false;
        }
        out += c;
        if (begins) ++characters;
    }
    return out;
}

}  // namespace pgweir::admin
