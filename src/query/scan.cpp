// The shape of a statement: one pass, run for every query, so it writes the folded text into a
// buffer on the stack and hashes that once (a long text in pieces). Equal shapes have equal tokens
// up to the values of literals. Thread: pure functions.
#include <cstring>

#include "lex.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

using lex::byte;
using lex::Class;
using lex::Literal;

class ShapeScanner {
  public:
    explicit ShapeScanner(std::string_view sql) noexcept
        : text_(sql), p_(sql.data()), end_(sql.data() + sql.size()) {}

    TextScan run() noexcept {
        while (p_ != end_) {
            if (out_ > buffer_ + kFlush) flush();
            if (!token()) return refused();
        }
        if (out_ != buffer_ && out_[-1] == ' ') --out_;
        return {base::hash128({buffer_, size()}), true, special_};
    }

  private:
    static constexpr std::size_t kSize = 2048;
    static constexpr std::size_t kFlush = kSize - 64;

    std::size_t size() const noexcept { return static_cast<std::size_t>(out_ - buffer_); }

    /// The digest of what is written stands for it from now on. The last two bytes stay, because
    /// the next token is judged by what stands before it.
    void flush() noexcept {
        const auto digest = base::hash128({buffer_, size()});
        const char last[2] = {out_[-2], out_[-1]};
        std::memcpy(buffer_, &digest, sizeof digest);
        std::memcpy(buffer_ + sizeof digest, last, sizeof last);
        out_ = buffer_ + sizeof digest + sizeof last;
    }

    /// All bytes decide. Inverted, so that no text's bytes can pass for another one's shape.
    TextScan refused() const noexcept {
        const auto raw = base::hash128(text_);
        return {{~raw.low, ~raw.high}, false, true};
    }

    bool token() noexcept {
        switch (lex::class_of(p_)) {
            case Class::word: return word();
            case Class::space:
                do ++p_;
                while (p_ != end_ && lex::class_of(p_) == Class::space);
                return space();
            case Class::punct: *out_++ = *p_++; return true;
            case Class::op: return op();
            case Class::digit: return literal(lex::number(p_, end_));
            case Class::quote: return string(lex::string_body(p_ + 1, end_, Literal::string));
            case Class::dot:
                if (end_ - p_ > 1 && lex::is_digit(byte(p_ + 1))) return literal(lex::number(p_, end_));
                *out_++ = *p_++;
                return p_ == end_ || *p_ != '.';
            case Class::double_quote: return quoted();
            case Class::dollar: return dollar();
            case Class::bad: break;
        }
        return false;
    }

    bool space() noexcept {
        if (out_ != buffer_ && out_[-1] != ' ') *out_++ = ' ';
        return true;
    }

    bool word() noexcept {
        const char* quote = nullptr;
        const Literal kind = lex::string_prefix(p_, end_, &quote);
        if (kind != Literal::none) return *quote == '\'' && prefixed(quote, kind);
        copy_word();
        while (p_ != end_ && lex::kTables.word[byte(p_)] != 0) {  // longer than the buffer's rest
            flush();
            copy_word();
        }
        return true;
    }

    void copy_word() noexcept {
        const char* p = p_;
        char* out = out_;
        const auto room = buffer_ + kSize - out;
        const char* const stop = end_ - p > room ? p + room : end_;
        for (char c; p != stop && (c = lex::kTables.word[byte(p)]) != 0; ++p) *out++ = c;
        p_ = p;
        out_ = out;
    }

    bool prefixed(const char* quote, Literal kind) noexcept {
        if (!string(lex::string_body(quote + 1, end_, kind))) return false;
        if (kind != Literal::unicode_string) return true;
        const char* next = p_;  // UESCAPE would decide what the string means
        while (next != end_ && lex::class_of(next) == Class::space) ++next;
        return next == end_ || (lex::fold(byte(next)) != 'u' && !lex::starts_comment(next, end_));
    }

    bool op() noexcept {
        if (!lex::starts_comment(p_, end_)) {
            *out_++ = *p_++;
            return true;
        }
        p_ = lex::comment(p_, end_);
        return p_ != nullptr && space();
    }

    bool literal(const lex::Span& span) noexcept {
        if (span.end == nullptr) return false;
        special_ = special_ || span.special;
        p_ = span.end;
        *out_++ = static_cast<char>(span.literal);
        return true;
    }

    /// A string after a string continues it if a newline stands between, else it is an error.
    bool string(const lex::Span& span) noexcept {
        const char* before = out_;
        if (before != buffer_ && before[-1] == ' ') --before;
        const char last = before == buffer_ ? '\0' : before[-1];
        if (last >= static_cast<char>(Literal::string) && last <= static_cast<char>(Literal::dollar_string))
            return false;
        return literal(span);
    }

    bool quoted() noexcept {
        const char* past = lex::quoted_identifier(p_, end_);
        if (past == nullptr) return false;
        while (p_ != past) {
            if (out_ == buffer_ + kSize) flush();
            *out_++ = *p_++;
        }
        return true;
    }

    bool dollar() noexcept {
        if (end_ - p_ < 2) return false;
        if (!lex::is_digit(byte(p_ + 1))) return string(lex::dollar_string(p_, end_));
        *out_++ = *p_++;
        for (int digits = 0; p_ != end_ && lex::is_digit(byte(p_)); ++digits) {
            if (digits == 9) return false;
            *out_++ = *p_++;
        }
        return p_ == end_ || !lex::is_word_start(byte(p_));
    }

    std::string_view text_;
    const char* p_;
    const char* end_;
    bool special_ = false;
    char buffer_[kSize];
    char* out_ = buffer_;
};

}  // namespace

TextScan scan_text(std::string_view sql) noexcept { return ShapeScanner(sql).run(); }

bool special_datetime_word(std::string_view value) noexcept {
    const char* const end = value.data() + value.size();
    for (const char* p = value.data(); p != end; ++p) {
        const char low = lex::fold(byte(p));
        if ((low == 'w' || low == 'y') && lex::current_time_word(value.data(), p, end)) return true;
    }
    return false;
}

}  // namespace pgweir::query
