// The tokens of a text, for what needs more than its shape: fingerprints, statements that the
// parser does not know, statements too long for it. Invariant: tokens are in order and do not
// overlap; after `bad` or `end` the same comes for ever. Thread: one lexer, one thread.
#pragma once

#include <string>
#include <string_view>

#include "lex.hpp"

namespace pgweir::query {

enum class TokenKind : std::uint8_t { end, bad, word, quoted, literal, param, op, punct };

struct Token {
    TokenKind kind = TokenKind::end;
    lex::Literal literal = lex::Literal::none;
    std::string_view text;

    bool is(char c) const noexcept { return kind == TokenKind::punct && text[0] == c; }
    /// Whether this is the word, given in lower case.
    bool is(std::string_view word) const noexcept;
};

class Lexer {
  public:
    explicit Lexer(std::string_view sql) noexcept : p_(sql.data()), end_(p_ + sql.size()) {}
    Token next() noexcept;
    /// The next one that is a literal, `end` or `bad`: the same as by next(), for less.
    Token next_literal() noexcept;
    /// Where the rest of the text starts.
    const char* position() const noexcept { return p_; }

  private:
    bool skip_space() noexcept;
    Token take(TokenKind kind, const char* past) noexcept;
    Token take_literal(const lex::Span& span) noexcept;
    Token word() noexcept;
    Token op() noexcept;
    Token dollar() noexcept;

    const char* p_;
    const char* end_;
    bool bad_ = false;
};

/// The text with ASCII letters in lower case.
std::string folded(std::string_view text);

/// The text with comments as spaces, so that every token stays where it is; from where it cannot be
/// read on it is left alone.
std::string blank_comments(std::string_view sql);

}  // namespace pgweir::query
