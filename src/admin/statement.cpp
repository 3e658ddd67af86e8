// Reads console text: comments as in SQL, words folded to lower case, quotes doubled inside quotes.
#include "statement.hpp"

#include <utility>

namespace pgweir::admin {

namespace {

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
  public:
    explicit Lexer(std::string_view text) noexcept : text_(text) {}

    Script read() {
        while (skip_blanks() && at_ < text_.size()) {
            if (text_[at_] == ';') {
                ++at_;
                end_statement();
            } else if (!token()) {
                break;
            }
            if (script_.statements.size() > kMaxConsoleStatements || !script_.error.empty()) break;
        }
        end_statement();
        if (script_.statements.size() > kMaxConsoleStatements) fail("too many statements");
        if (!script_.error.empty()) script_.statements.clear();
        return std::move(script_);
    }

  private:
    bool fail(std::string_view why) {
        script_.error = why;
        return false;
    }

    bool starts(std::string_view with) const noexcept {
        return text_.substr(at_).starts_with(with);
    }

    bool skip_blanks() {
        while (at_ < text_.size()) {
            if (is_space(text_[at_])) {
                ++at_;
            } else if (starts("--")) {
                const auto end = text_.find('\n', at_);
                at_ = end == std::string_view::npos ? text_.size() : end + 1;
            } else if (starts("/*")) {
                if (!skip_block_comment()) return fail("unterminated /* comment");
            } else {
                break;
            }
        }
        return true;
    }

    bool skip_block_comment() {
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            if (starts("/*")) {
                ++depth;
                at_ += 2;
            } else if (starts("*/")) {
                at_ += 2;
                if (--depth == 0) return true;
            } else {
                ++at_;
            }
        }
        return false;
    }

    bool token() {
        const char c = text_[at_];
        if (c == '\0') return fail("a zero byte is no SQL");
        if (c == '\'') return quoted('\'', Token::Kind::string);
        if (c == '"') return quoted('"', Token::Kind::word);
        Token t;
        if (is_word(c)) {
            t.kind = Token::Kind::word;
            for (; at_ < text_.size() && is_word(text_[at_]); ++at_) {
                const char w = text_[at_];
                t.text += w >= 'A' && w <= 'Z' ? static_cast<char>(w - 'A' + 'a') : w;
            }
        } else {
            t.text = c;
            ++at_;
        }
        statement_.push_back(std::move(t));
        return true;
    }

    bool quoted(char quote, Token::Kind kind) {
        Token t;
        t.kind = kind;
        for (++at_; at_ < text_.size(); ++at_) {
            if (text_[at_] == quote) {
                if (at_ + 1 == text_.size() || text_[at_ + 1] != quote) {
                    ++at_;
                    statement_.push_back(std::move(t));
                    return true;
                }
                ++at_;
            }
            t.text += text_[at_];
        }
        return fail("unterminated quoted string");
    }

    void end_statement() {
        if (!statement_.empty()) script_.statements.push_back(std::exchange(statement_, {}));
    }

    std::string_view text_;
    std::size_t at_ = 0;
    Statement statement_;
    Script script_;
};

}  // namespace

Script parse_script(std::string_view sql) {
    if (sql.size() > kMaxConsoleText) return {{}, "the text is longer than the console reads"};
    return Lexer(sql).read();
}

}  // namespace pgweir::admin
