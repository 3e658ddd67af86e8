// The shape of a statement: one pass, run for every query, so it writes the folded text into a
// buffer on the stack and hashes that once (a long text in pieces). Most bytes are taken over by a
// table alone; what a byte means beyond that is told by the byte before it.
// Invariant: equal shapes have equal tokens up to the values of literals. Thread: pure functions.
#include <cstring>

#include "lex.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

using lex::byte;
using lex::Class;
using lex::kTables;
using lex::Literal;

class ShapeScanner {
  public:
    explicit ShapeScanner(std::string_view sql) noexcept
        : text_(sql), begin_(sql.data()), end_(sql.data() + sql.size()) {}

    TextScan run() noexcept {
        const char* p = begin_;
        char* out = buffer_;
        *out++ = ' ';  // so that there is always a byte before, and blanks at the start are dropped
        for (;;) {
            copy(p, out);
            if (p == end_) break;
            p = special(p, out);
            if (p == nullptr) return refused();
        }
        if (out[-1] == ' ' && out != buffer_ + 1) --out;
        return {digest(out), true, special_};
    }

  private:
    static constexpr std::size_t kSize = 2048;
    static constexpr std::ptrdiff_t kStep = 8;

    /// All bytes decide. Inverted, so that no text's bytes can pass for another one's shape.
    TextScan refused() const noexcept {
        const auto raw = base::hash128(text_);
        return {{~raw.low, ~raw.high}, false, true};
    }

    base::Hash128 digest(const char* out) const noexcept {
        return base::hash128({buffer_ + 1, static_cast<std::size_t>(out - buffer_ - 1)});
    }

    /// Copies up to a byte that needs a look. There is room for one more byte afterwards.
    void copy(const char*& from, char*& to) noexcept {
        const char* p = from;
        char* out = to;
        for (;;) {
            if (out >= buffer_ + kSize - kStep) out = flush(out);
            if (end_ - p < kStep) break;
#pragma GCC unroll 8
            for (std::ptrdiff_t i = 0; i < kStep; ++i) {
                const auto c = static_cast<unsigned char>(kTables.copied[byte(p + i)]);
                if (c <= ' ' && (c == 0 || out[i - 1] == ' ')) {
                    from = p + i;
                    to = out + i;
                    return;
                }
                out[i] = static_cast<char>(c);
            }
            p += kStep;
            out += kStep;
        }
        for (; p != end_; ++p) {
            const char c = kTables.copied[byte(p)];
            if (c == 0 || (c == ' ' && out[-1] == ' ')) break;
            *out++ = c;
        }
        from = p;
        to = out;
    }

    /// The digest of what is written stands for it from now on. The last four bytes stay, because
    /// the next token is judged by what stands before it: a literal, a space and the prefix U&.
    [[gnu::noinline]] char* flush(const char* out) noexcept {
        const auto so_far = digest(out);
        char last[4];
        std::memcpy(last, out - sizeof last, sizeof last);
        std::memcpy(buffer_ + 1, &so_far, sizeof so_far);
        std::memcpy(buffer_ + 1 + sizeof so_far, last, sizeof last);
        return buffer_ + 1 + sizeof so_far + sizeof last;
    }

    /// Whether the byte at `p` continues an identifier.
    bool in_word(const char* p) const noexcept {
        return p != begin_ && kTables.word[byte(p - 1)] != 0;
    }

    const char* special(const char* p, char*& out) noexcept {
        switch (lex::class_of(p)) {
            case Class::space: return space(p, out);
            case Class::digit: return digit(p, out);
            case Class::quote: return string(p, out);
            case Class::op:
                if (lex::starts_comment(p, end_)) {
                    p = lex::comment(p, end_);
                    return p == nullptr ? p : space(p, out);
                }
                break;
            case Class::double_quote: return quoted(p, out);
            case Class::dollar:
                if (!in_word(p)) return dollar(p, out);
                break;
            default: return nullptr;
        }
        *out++ = *p;
        return p + 1;
    }

    const char* space(const char* p, char*& out) const noexcept {
        while (p != end_ && lex::class_of(p) == Class::space) ++p;
        if (out[-1] != ' ') *out++ = ' ';
        return p;
    }

    const char* digit(const char* p, char*& out) noexcept {
        if (in_word(p)) {
            *out++ = *p;
            return p + 1;
        }
        if (p != begin_ && p[-1] == '.') {
            if (p - begin_ > 1 && p[-2] == '.') return nullptr;  // two dots are one token
            --p;
            --out;
        }
        return literal(lex::number(p, end_), out);
    }

    const char* literal(const lex::Span& span, char*& out) noexcept {
        if (span.end == nullptr) return nullptr;
        special_ = special_ || span.special;
        *out++ = static_cast<char>(span.literal);
        return span.end;
    }

    /// The byte before the quote may be the string's prefix; it is written already.
    const char* string(const char* p, char*& out) noexcept {
        Literal kind = Literal::string;
        if (in_word(p) && (p - 1 == begin_ || !in_word(p - 1))) {
            const char* quote = nullptr;
            const Literal prefixed = lex::string_prefix(p - 1, end_, &quote);
            if (prefixed != Literal::none) {
                kind = prefixed;
                --out;
            }
        } else if (p - begin_ > 1 && p[-1] == '&' && (p[-2] == 'u' || p[-2] == 'U') &&
                   (p - 2 == begin_ || !in_word(p - 2))) {
            kind = Literal::unicode_string;
            out -= 2;
        }
        if (follows_string(out)) return nullptr;
        p = literal(lex::string_body(p + 1, end_, kind), out);
        return p != nullptr && kind == Literal::unicode_string && may_be_uescape(p) ? nullptr : p;
    }

    /// A string after a string continues it if a newline stands between, else it is an error.
    bool follows_string(const char* out) const noexcept {
        const char last = out[-1] == ' ' && out != buffer_ + 1 ? out[-2] : out[-1];
        return last >= static_cast<char>(Literal::string) &&
               last <= static_cast<char>(Literal::dollar_string);
    }

    /// UESCAPE would decide what the string means.
    bool may_be_uescape(const char* p) const noexcept {
        while (p != end_ && lex::class_of(p) == Class::space) ++p;
        return p != end_ && (lex::fold(byte(p)) == 'u' || lex::starts_comment(p, end_));
    }

    const char* quoted(const char* p, char*& out) noexcept {
        if (p - begin_ > 1 && p[-1] == '&' && (p[-2] == 'u' || p[-2] == 'U')) return nullptr;
        const char* past = lex::quoted_identifier(p, end_);
        if (past == nullptr) return nullptr;
        while (p != past) {
            if (out == buffer_ + kSize - 1) out = flush(out);
            *out++ = *p++;
        }
        return past;
    }

    const char* dollar(const char* p, char*& out) noexcept {
        if (end_ - p < 2) return nullptr;
        if (lex::is_digit(byte(p + 1))) {
            int digits = 0;
            for (*out++ = *p++; p != end_ && lex::is_digit(byte(p)); *out++ = *p++) {
                if (++digits > 6) return nullptr;
            }
            return p != end_ && kTables.word[byte(p)] != 0 ? nullptr : p;
        }
        if (follows_string(out)) return nullptr;
        p = literal(lex::dollar_string(p, end_), out);
        // Its last byte would make what follows look like part of a word.
        return p != nullptr && p != end_ && kTables.word[byte(p)] != 0 ? nullptr : p;
    }

    std::string_view text_;
    const char* begin_;
    const char* end_;
    bool special_ = false;
    char buffer_[kSize];
};

}  // namespace

TextScan scan_text(std::string_view sql) noexcept { return ShapeScanner(sql).run(); }

bool special_datetime_word(std::string_view value) noexcept {
    const char* const end = value.data() + value.size();
    // Lengths stand between the texts of a binary array, and their bytes may look like letters.
    const bool lengths = value.find('\0') != value.npos;
    for (const char* p = value.data(); p != end; ++p) {
        const char low = lex::fold(byte(p));
        if ((low == 'w' || low == 'y') && lex::current_time_word(value.data(), p, end, lengths))
            return true;
    }
    return false;
}

}  // namespace pgweir::query
