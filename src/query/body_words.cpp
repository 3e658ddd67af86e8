// See body_words.hpp. Lexical rules: PostgreSQL 15, chapter 4.1 (strings, dollar quotes, nested
// comments).
#include "pgweir/query/body_words.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace pgweir::query {

namespace {

constexpr std::string_view kState[] = {
    "advisory", "alter",      "create",  "deallocate", "discard",   "dblink",
    "hold",     "import",     "listen",  "load",       "pg_temp",   "prepare",
    "reset",    "set_config", "setseed", "temp",       "temporary", "unlisten",
};
constexpr std::string_view kWrites[] = {"copy", "delete", "insert", "merge", "truncate", "update"};
constexpr std::string_view kDefines[] = {"alter",    "call",    "cluster", "comment",
                                         "create",   "drop",    "grant",   "import",
                                         "reassign", "refresh", "revoke",  "security"};
constexpr std::string_view kBeforeTarget[] = {"binary", "from",       "into",
                                              "only",   "pg_catalog", "table"};
/// GRANT and REVOKE may be of roles; the script of an extension may do anything.
constexpr std::string_view kShared[] = {"database", "extension",  "grant",  "group",
                                        "owned",    "reassign",   "revoke", "role",
                                        "system",   "tablespace", "user"};
constexpr std::string_view kRunsCode[] = {"call", "do", "execute"};
/// After these a new statement may begin without a semicolon before it.
constexpr std::string_view kStarts[] = {"atomic", "begin", "else", "loop", "then"};
constexpr std::string_view kAfterDo[] = {"also", "instead", "nothing", "update"};

template <std::size_t N>
bool in(const std::string_view (&list)[N], std::string_view word) noexcept {
    return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

bool starts_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           static_cast<unsigned char>(c) >= 0x80;
}
bool in_word(char c) noexcept { return starts_word(c) || (c >= '0' && c <= '9') || c == '$'; }

class Scanner {
  public:
    Scanner(std::string_view text, const std::function<void(std::string_view)>& name)
        : text_(text), name_(name) {}

    BodyFacts run() {
        while (at_ < text_.size()) step();
        // A body that ends inside a string or comment was not understood.
        if (open_ended_) facts_ = {true, true, true};
        if (after_do_) facts_.runs_text = true;
        return facts_;
    }

  private:
    char peek(std::size_t n = 0) const noexcept {
        return at_ + n < text_.size() ? text_[at_ + n] : '\0';
    }

    void step() {
        const char c = peek();
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
            ++at_;
        } else if (c == '-' && peek(1) == '-') {
            at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
        } else if (c == '/' && peek(1) == '*') {
            skip_comment();
        } else if (c == '\'') {
            skip_string(false);
        } else if (c == '"') {
            quoted_name();
        } else if (c == '$' && skip_dollar_string()) {
            punctuation('\'');
        } else if (starts_word(c)) {
            word();
        } else if (c >= '0' && c <= '9') {
            // A number runs into no word: "1set" is read as a number and a word by old servers.
            ++at_;
            punctuation('0');
        } else {
            ++at_;
            punctuation(c);
        }
    }

    void skip_comment() {
        std::size_t depth = 0;
        do {
            if (peek() == '/' && peek(1) == '*') {
                ++depth;
                at_ += 2;
            } else if (peek() == '*' && peek(1) == '/') {
                --depth;
                at_ += 2;
            } else {
                ++at_;
            }
        } while (depth > 0 && at_ < text_.size());
        open_ended_ = open_ended_ || depth > 0;
    }

    void skip_string(bool escapes) {
        for (++at_; at_ < text_.size(); ++at_) {
            if (escapes && peek() == '\\') {
                ++at_;
            } else if (peek() == '\'' && peek(1) == '\'') {
                ++at_;
            } else if (peek() == '\'') {
                ++at_;
                punctuation('\'');
                return;
            } else if (peek() == '\\') {
                // With standard_conforming_strings off it would escape: then where the string ends
                // is not known.
                open_ended_ = open_ended_ || peek(1) == '\'';
            }
        }
        open_ended_ = true;
    }

    bool skip_dollar_string() {
        std::size_t end = at_ + 1;
        while (end < text_.size() && in_word(text_[end]) && text_[end] != '$') ++end;
        if (end >= text_.size() || text_[end] != '$') return false;
        if (text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9') return false;
        const auto tag = text_.substr(at_, end + 1 - at_);
        const auto close = text_.find(tag, end + 1);
        open_ended_ = open_ended_ || close == std::string_view::npos;
        at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
        return true;
    }

    void quoted_name() {
        std::string name;
        for (++at_; at_ < text_.size(); ++at_) {
            if (peek() == '"') {
                ++at_;
                if (peek() != '"') {
                    may_be_cut(name);
                    identifier(name, true);
                    return;
                }
            }
            name.push_back(peek());
        }
        open_ended_ = true;
    }

    /// The server cuts it at 63 bytes of its own encoding, which may be longer than UTF-8.
    void may_be_cut(std::string_view name) {
        constexpr std::size_t kShort = 47;
        const bool ascii = std::all_of(name.begin(), name.end(),
                                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        open_ended_ = open_ended_ || (name.size() > kShort && !ascii);
    }

    void word() {
        const auto begin = at_;
        while (at_ < text_.size() && in_word(text_[at_])) ++at_;
        std::string folded(text_.substr(begin, at_ - begin));
        // Servers with one-byte encodings fold these, too, by rules of their locale.
        for (const char c : folded)
            open_ended_ = open_ended_ || static_cast<unsigned char>(c) >= 0x80;
        for (char& c : folded)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (folded == "u" && peek() == '&' && (peek(1) == '"' || peek(1) == '\'')) {
            open_ended_ = true;  // Unicode escapes can spell any name
            return;
        }
        if (folded == "e" && peek() == '\'') {
            skip_string(true);
            return;
        }
        identifier(folded, false);
    }

    void identifier(std::string_view word, bool quoted) {
        if (word.size() > 63) word = word.substr(0, 63);
        name_(word);
        if (word.find("advisory") != std::string_view::npos && word.find("xact") == word.npos)
            facts_.leaves_state = true;
        if (word.starts_with("pg_temp") || word.starts_with("dblink")) facts_.leaves_state = true;
        if (quoted) {
            // Quoted, it is no keyword, but may be a name of the deny list.
            if (word == "set_config" || word == "setseed") facts_.leaves_state = true;
            after_do_ = false;
            previous_.clear();
            return;
        }
        keyword(word);
        previous_ = word;
    }

    void keyword(std::string_view word) {
        if (after_do_ && !in(kAfterDo, word)) facts_.runs_text = true;
        after_do_ = word == "do";
        if (word == "execute") facts_.runs_text = true;
        if (in(kState, word)) facts_.leaves_state = true;
        if (in(kWrites, word)) facts_.writes_rows = true;
        if (word == "set") {
            // UPDATE ... SET is no setting. Only a table's name and alias may stand between them.
            if (!update_open_) facts_.leaves_state = true;
            update_open_ = false;
        } else if (word == "update") {
            update_open_ = previous_ != "for" && previous_ != "key";
        } else if (in(kStarts, word)) {
            update_open_ = false;
        }
    }

    void punctuation(char c) {
        if (after_do_) facts_.runs_text = true;
        after_do_ = false;
        if (c != '.' && c != '*') update_open_ = false;
        previous_.clear();
    }

    std::string_view text_;
    const std::function<void(std::string_view)>& name_;
    std::size_t at_ = 0;
    BodyFacts facts_;
    std::string previous_;      // the word before, when nothing but white space lies between
    bool update_open_ = false;  // UPDATE was read and its SET is still to come
    bool after_do_ = false;
    bool open_ended_ = false;
};

}  // namespace

bool writes_rows(std::string_view word) noexcept { return in(kWrites, word); }

bool defines_objects(std::string_view word) noexcept { return in(kDefines, word); }

bool WriteTarget::at(std::string_view word) noexcept {
    constexpr unsigned kNames = 3;
    if (in(kWrites, word)) {
        open_ = kNames;
        list_ = list_ || word == "truncate";
        return false;
    }
    if (open_ > 0 && in(kBeforeTarget, word)) return false;
    if (open_ == 0) return list_;
    --open_;
    return true;
}

void DefiningWords::add(std::string_view word) {
    // In PL/pgSQL SELECT INTO fills a variable.
    makes = makes || (in_sql_ && word == "into" && previous_ != "insert" && previous_ != "merge");
    const bool system = target_.at(word) && system_target(catalog_, word);
    defines = defines || makes || system || defines_objects(word);
    shared = shared || system || shared_objects(word);
    cascades = cascades || word == "cascade";
    previous_ = word;
}

bool shared_objects(std::string_view word) noexcept { return in(kShared, word); }

namespace {
/// Of words in a row: whether they may be a statement that every database feels, or run one.
class SharedWords {
  public:
    /// True where what has been read is enough to say so.
    bool add(std::string_view word) noexcept {
        // ON CONFLICT DO UPDATE, as long as only white space is between.
        if (std::exchange(after_do_, false) && !in(kAfterDo, word)) return true;
        after_do_ = word == "do";
        if (!after_do_ && in(kRunsCode, word)) return true;
        verb_ = verb_ || in(kDefines, word);
        object_ = object_ || in(kShared, word);
        return verb_ && object_;
    }
    bool between(char c) const noexcept {
        return after_do_ && c != ' ' && c != '\t' && c != '\n' && c != '\r';
    }

  private:
    bool verb_ = false, object_ = false, after_do_ = false;
};

/// `word` is told each, in lower case, and `between` each character that is in none; either ends
/// it by true.
template <class Word, class Between>
bool any_word(std::string_view text, Word&& word, Between&& between) {
    std::string folded;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        const char c = i < text.size() ? text[i] : ';';
        if (in_word(c)) {
            folded.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
            continue;
        }
        if ((!folded.empty() && word(folded)) || between(c)) return true;
        folded.clear();
    }
    return false;
}
}  // namespace

bool may_define_shared(std::string_view text) {
    SharedWords words;
    return any_word(
        text, [&](std::string_view word) { return words.add(word); },
        [&](char c) { return words.between(c); });
}

void DefiningWords::add_strings(std::string_view body) {
    any_word(
        body,
        [this](std::string_view word) {
            defines = defines || defines_objects(word);
            shared = shared || shared_objects(word);
            return defines && shared;
        },
        [](char) { return false; });
}

BodyFacts scan_body(std::string_view body, const std::function<void(std::string_view)>& name) {
    return Scanner(body, name).run();
}

}  // namespace pgweir::query
