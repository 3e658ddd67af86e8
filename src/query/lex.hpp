// PostgreSQL's lexical rules, shared by the scanner of shapes and by the lexer of tokens, so that
// the two cannot disagree. Assumes standard_conforming_strings = on and an encoding in which ASCII
// bytes are characters. Invariant: no function reads at or past `end`. Thread: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pgweir::query::lex {

enum class Class : std::uint8_t {
    bad,
    space,
    word,
    digit,
    op,
    punct,
    dot,
    quote,
    double_quote,
    dollar
};

constexpr bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
constexpr bool is_word_start(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}
constexpr bool is_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr char fold(unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

constexpr Class classify(unsigned char c) {
    if (is_word_start(c)) return Class::word;
    if (is_digit(c)) return Class::digit;
    constexpr std::string_view spaces = " \t\n\r\f";
    constexpr std::string_view ops = "~!@#^&|`?+-*/%<>=";
    constexpr std::string_view puncts = ",()[];:";
    const char byte = static_cast<char>(c);
    if (spaces.find(byte) != spaces.npos) return Class::space;
    if (ops.find(byte) != ops.npos) return Class::op;
    if (puncts.find(byte) != puncts.npos) return Class::punct;
    if (c == '.') return Class::dot;
    if (c == '\'') return Class::quote;
    if (c == '"') return Class::double_quote;
    return c == '$' ? Class::dollar : Class::bad;
}

/// Tables, one load a byte: the class; the folded byte of a word or 0; the folded byte of what a
/// shape takes over without a look (a blank only if it is the first), or 0; whether a string's byte
/// needs a look (its end, a backslash, NUL, and w and y, in which the words for "now" end).
struct Tables {
    std::array<Class, 256> classes{};
    std::array<char, 256> word{};
    std::array<char, 256> copied{};
    std::array<bool, 256> in_string{};
    constexpr Tables() {
        for (unsigned c = 0; c < 256; ++c) {
            const auto byte = static_cast<unsigned char>(c);
            classes[c] = classify(byte);
            word[c] = is_word_start(byte) || is_digit(byte) || c == '$' ? fold(byte) : '\0';
            const bool plain = classes[c] == Class::word || classes[c] == Class::op ||
                               classes[c] == Class::punct || classes[c] == Class::dot;
            copied[c] = (plain && c != '-' && c != '/') || c == ' ' ? fold(byte) : '\0';
            in_string[c] =
                c == '\'' || c == '\\' || c == 0 || c == 'w' || c == 'W' || c == 'y' || c == 'Y';
        }
    }
};
inline constexpr Tables kTables{};

inline unsigned char byte(const char* p) { return static_cast<unsigned char>(*p); }
inline Class class_of(const char* p) { return kTables.classes[byte(p)]; }

/// What a literal is, as far as the grammar and the types of expressions can tell. The values
/// stand in shapes and so are bytes that no lexed text holds outside of literals.
enum class Literal : char {
    none = 0,
    integer = 1,
    wide_integer = 2,  // does not fit int4, so the grammar takes it for a decimal
    decimal = 3,
    string = 4,
    escape_string = 5,
    bit_string = 6,
    hex_string = 7,
    national_string = 14,
    unicode_string = 15,
    dollar_string = 16,
};

struct Span {
    const char* end = nullptr;  // nullptr: not understood
    Literal literal = Literal::none;
    bool special = false;  // holds a word for the current time, or might
};

/// The first byte from `p` that a string has to look at, or `end`.
inline const char* skip_in_string(const char* p, const char* end) noexcept {
    for (; end - p >= 8; p += 8) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            if (kTables.in_string[byte(p + i)]) return p + i;
        }
    }
    while (p != end && !kTables.in_string[byte(p)]) ++p;
    return p;
}

/// `p` at the first byte after the opening quote.
Span string_body(const char* begin, const char* end, Literal kind) noexcept;
/// `p` at `$`, not followed by a digit.
Span dollar_string(const char* p, const char* end) noexcept;
/// `p` at a digit, or at a dot before a digit.
Span number(const char* p, const char* end) noexcept;
/// `p` at `/*`; the end of the comment and of those inside it, or nullptr.
const char* block_comment(const char* p, const char* end) noexcept;
/// `p` at `--`; the line's end.
const char* line_comment(const char* p, const char* end) noexcept;
/// `p` at `"`; past the closing one, or nullptr.
const char* quoted_identifier(const char* p, const char* end) noexcept;
/// `p` at a letter: the kind of string if it is the prefix of one; *quote is then its quote.
inline Literal string_prefix(const char* p, const char* end, const char** quote) noexcept {
    if (end - p < 2) return Literal::none;
    if (p[1] == '\'') {
        *quote = p + 1;
        switch (*p) {
            case 'e':
            case 'E': return Literal::escape_string;
            case 'b':
            case 'B': return Literal::bit_string;
            case 'x':
            case 'X': return Literal::hex_string;
            case 'n':
            case 'N': return Literal::national_string;
            default: return Literal::none;
        }
    }
    if (p[1] != '&' || end - p < 3 || (*p != 'u' && *p != 'U')) return Literal::none;
    *quote = p + 2;
    return p[2] == '\'' || p[2] == '"' ? Literal::unicode_string : Literal::none;
}
inline bool starts_comment(const char* p, const char* end) noexcept {
    return end - p > 1 && ((p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*'));
}
inline const char* comment(const char* p, const char* end) noexcept {
    return *p == '-' ? line_comment(p, end) : block_comment(p, end);
}
/// Whether one of now, today, tomorrow, yesterday ends at `last`, a `w` or `y` within the text.
/// `anywhere`: in a longer word, too.
bool current_time_word(const char* begin, const char* last, const char* end,
                       bool anywhere = false) noexcept;

}  // namespace pgweir::query::lex
