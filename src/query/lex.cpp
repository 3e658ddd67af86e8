// Strings, numbers, comments and quoted names, by PostgreSQL 15's scan.l. What is odd (a junk
// suffix, an escape that may be invalid) is not understood rather than guessed.
#include "lex.hpp"

#include <cstring>

namespace pgweir::query::lex {

namespace {

/// Input of arrays and ranges takes these out of what they stand in.
bool taken_out(char c) noexcept { return c == '\\' || c == '"'; }

bool ends_with_folded(const char* begin, const char* last, std::string_view word,
                      bool anywhere) noexcept {
    const char* p = last + 1;
    for (std::size_t left = word.size(); left != 0; --left) {
        while (p != begin && taken_out(p[-1])) --p;
        if (p == begin || fold(byte(p - 1)) != word[left - 1]) return false;
        --p;
    }
    return anywhere || p == begin || !is_letter(byte(p - 1));
}

/// An escape whose validity depends on more than its first letter.
bool fragile_escape(unsigned char c) noexcept {
    return c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7') || c == 0;
}

}  // namespace

bool current_time_word(const char* begin, const char* last, const char* end,
                       bool anywhere) noexcept {
    if (!anywhere && last + 1 != end && is_letter(byte(last + 1))) return false;
    const auto ends = [&](std::string_view word) {
        return ends_with_folded(begin, last, word, anywhere);
    };
    if (fold(byte(last)) == 'w') return ends("now") || ends("tomorrow");
    return ends("today") || ends("yesterday");
}

Span string_body(const char* begin, const char* end, Literal kind) noexcept {
    Span span{nullptr, kind, false};
    for (const char* p = begin;; ++p) {
        p = skip_in_string(p, end);
        if (p == end || *p == '\0') return span;
        if (*p == '\'') {
            if (p + 1 == end || p[1] != '\'') {
                span.end = p + 1;
                return span;
            }
            ++p;
        } else if (*p != '\\') {
            span.special = span.special || current_time_word(begin, p, end);
        } else if (kind == Literal::escape_string) {
            if (p + 1 == end || fragile_escape(byte(p + 1))) return span;
            span.special = true;
            ++p;
        } else if (kind == Literal::unicode_string) {
            return span;
        }
    }
}

Span dollar_string(const char* p, const char* end) noexcept {
    Span span{nullptr, Literal::dollar_string, false};
    const char* tag_end = p + 1;
    if (tag_end != end && is_word_start(byte(tag_end))) {
        while (tag_end != end && (is_word_start(byte(tag_end)) || is_digit(byte(tag_end))))
            ++tag_end;
    }
    if (tag_end == end || *tag_end != '$') return span;
    const std::size_t size = static_cast<std::size_t>(tag_end + 1 - p);
    const char* const begin = tag_end + 1;
    for (const char* q = begin; q != end; ++q) {
        q = static_cast<const char*>(std::memchr(q, '$', static_cast<std::size_t>(end - q)));
        if (q == nullptr || static_cast<std::size_t>(end - q) < size) return span;
        if (std::memcmp(q, p, size) != 0) continue;
        const std::size_t length = static_cast<std::size_t>(q - begin);
        if (std::memchr(begin, '\0', length) != nullptr) return span;
        for (const char* c = begin; c != q && !span.special; ++c) {
            if (const char low = fold(byte(c)); low == 'w' || low == 'y')
                span.special = current_time_word(begin, c, q);
        }
        span.end = q + size;
        return span;
    }
    return span;
}

Span number(const char* p, const char* end) noexcept {
    Span span{nullptr, Literal::integer, false};
    const auto digits = [&] {
        while (p != end && is_digit(byte(p))) ++p;
    };
    const char* first = p;
    digits();
    if (p - first > 9) {
        while (first != p && *first == '0') ++first;
        const std::string_view value(first, static_cast<std::size_t>(p - first));
        if (value.size() > 10 || (value.size() == 10 && value > "2147483647"))
            span.literal = Literal::wide_integer;
    }
    if (p != end && *p == '.') {
        span.literal = Literal::decimal;
        ++p;
        digits();
    }
    if (p != end && (*p == 'e' || *p == 'E')) {
        span.literal = Literal::decimal;
        ++p;
        if (p != end && (*p == '+' || *p == '-')) ++p;
        if (p == end || !is_digit(byte(p))) return span;
        digits();
    }
    if (p != end && (*p == '.' || *p == '$' || is_word_start(byte(p)))) return span;
    span.end = p;
    return span;
}

const char* block_comment(const char* p, const char* end) noexcept {
    std::size_t depth = 0;
    while (end - p > 1) {
        if (p[0] == '/' && p[1] == '*') {
            ++depth;
            p += 2;
        } else if (p[0] == '*' && p[1] == '/') {
            p += 2;
            if (--depth == 0) return p;
        } else if (*p == '\0') {
            return nullptr;
        } else {
            ++p;
        }
    }
    return nullptr;
}

const char* line_comment(const char* p, const char* end) noexcept {
    for (; p != end && *p != '\n' && *p != '\r'; ++p) {
        if (*p == '\0') return nullptr;
    }
    return p;
}

const char* quoted_identifier(const char* p, const char* end) noexcept {
    const char* const first = ++p;
    for (; p != end && *p != '\0'; ++p) {
        if (*p != '"') continue;
        if (p + 1 != end && p[1] == '"') {
            ++p;
            continue;
        }
        return p == first ? nullptr : p + 1;
    }
    return nullptr;
}

}  // namespace pgweir::query::lex
