// Tokens by the rules of lex.hpp. A run of operator characters is one token here, up to a comment;
// nobody needs to know where PostgreSQL would split it.
#include "lexer.hpp"

namespace pgweir::query {

using lex::byte;
using lex::Class;

bool Token::is(std::string_view wanted) const noexcept {
    if (kind != TokenKind::word || text.size() != wanted.size()) return false;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        if (lex::fold(byte(&text[i])) != wanted[i]) return false;
    }
    return true;
}

std::string folded(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = lex::fold(byte(&c));
    return out;
}

std::string blank_comments(std::string_view sql) {
    std::string out(sql);
    const auto blank = [&](const char* from, const char* to) {
        // Across a line's end two strings are one, but not across a block comment.
        const std::string_view gap(from, static_cast<std::size_t>(to - from));
        const bool keep_lines = gap.find("/*") == gap.npos;
        for (const char& c : gap)
            if (!keep_lines || (c != '\n' && c != '\r'))
                out[static_cast<std::size_t>(&c - sql.data())] = ' ';
    };
    Lexer lexer(sql);
    for (const char* gap = sql.data();;) {
        const Token t = lexer.next();
        if (t.kind == TokenKind::bad) return out;
        const char* past = t.kind == TokenKind::end ? sql.data() + sql.size() : t.text.data();
        blank(gap, past);
        if (t.kind == TokenKind::end) return out;
        gap = t.text.data() + t.text.size();
    }
}

bool Lexer::skip_space() noexcept {
    while (p_ != end_) {
        if (lex::class_of(p_) == Class::space) {
            ++p_;
        } else if (lex::starts_comment(p_, end_)) {
            const char* past = lex::comment(p_, end_);
            if (past == nullptr) return false;
            p_ = past;
        } else {
            return true;
        }
    }
    return true;
}

Token Lexer::take(TokenKind kind, const char* past) noexcept {
    if (past == nullptr) {
        bad_ = true;
        return {TokenKind::bad, lex::Literal::none, {}};
    }
    const Token token{kind, lex::Literal::none, {p_, static_cast<std::size_t>(past - p_)}};
    p_ = past;
    return token;
}

Token Lexer::take_literal(const lex::Span& span) noexcept {
    Token token = take(TokenKind::literal, span.end);
    token.literal = span.literal;
    return token;
}

Token Lexer::next() noexcept {
    if (bad_ || !skip_space()) return take(TokenKind::bad, nullptr);
    if (p_ == end_) return {};
    switch (lex::class_of(p_)) {
        case Class::word: return word();
        case Class::digit: return take_literal(lex::number(p_, end_));
        case Class::op: return op();
        case Class::punct: return take(TokenKind::punct, p_ + 1);
        case Class::quote:
            return take_literal(lex::string_body(p_ + 1, end_, lex::Literal::string));
        case Class::double_quote: return take(TokenKind::quoted, lex::quoted_identifier(p_, end_));
        case Class::dollar: return dollar();
        case Class::dot:
            if (end_ - p_ > 1 && lex::is_digit(byte(p_ + 1)))
                return take_literal(lex::number(p_, end_));
            return take(TokenKind::punct, p_ + 1);
        case Class::space:
        case Class::bad: break;
    }
    return take(TokenKind::bad, nullptr);
}

Token Lexer::next_literal() noexcept {
    while (!bad_ && p_ != end_) {
        switch (lex::class_of(p_)) {
            case Class::space:
            case Class::punct: ++p_; break;
            case Class::word: {
                const char* quote = nullptr;
                if (lex::string_prefix(p_, end_, &quote) != lex::Literal::none) return word();
                while (p_ != end_ && lex::kTables.word[byte(p_)] != 0) ++p_;
                break;
            }
            case Class::op:
                if (!lex::starts_comment(p_, end_))
                    ++p_;
                else if (!skip_space())
                    bad_ = true;
                break;
            default: {
                const auto token = next();
                if (token.kind == TokenKind::literal || token.kind == TokenKind::bad) return token;
            }
        }
    }
    return bad_ ? take(TokenKind::bad, nullptr) : Token{};
}

Token Lexer::word() noexcept {
    const char* quote = nullptr;
    const auto kind = lex::string_prefix(p_, end_, &quote);
    if (kind != lex::Literal::none) {
        if (*quote == '"') return take(TokenKind::bad, nullptr);
        return take_literal(lex::string_body(quote + 1, end_, kind));
    }
    const char* past = p_;
    while (past != end_ && lex::kTables.word[byte(past)] != 0) ++past;
    return take(TokenKind::word, past);
}

Token Lexer::op() noexcept {
    const char* past = p_;
    while (past != end_ && lex::class_of(past) == Class::op && !lex::starts_comment(past, end_))
        ++past;
    return take(TokenKind::op, past);
}

Token Lexer::dollar() noexcept {
    const char* past = p_ + 1;
    if (past == end_ || !lex::is_digit(byte(past)))
        return take_literal(lex::dollar_string(p_, end_));
    while (past != end_ && lex::is_digit(byte(past))) ++past;
    if (past != end_ && lex::is_word_start(byte(past))) past = nullptr;
    return take(TokenKind::param, past);
}

}  // namespace pgweir::query
