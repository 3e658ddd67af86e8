// What people group statements by: the fingerprint and the text without constants. Both read
// tokens, never the parser, so that a statement of any length and any version has them.
// Invariant: no constant's bytes reach the result. Thread: pure functions.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lexer.hpp"
#include "pgweir/base/hash.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

constexpr std::string_view kConstantWords[] = {"null", "true", "false"};
/// Behind AS these begin something else than a name.
constexpr std::string_view kNotNames[] = {"select",       "with",  "values", "table",
                                          "materialized", "not",   "insert", "update",
                                          "delete",       "begin", "on",     "execute"};
/// Types that may stand before a string instead of behind it.
constexpr std::string_view kTypes[] = {
    "bit",       "bool",        "boolean",  "box",   "bytea",   "circle", "date",
    "float8",    "inet",        "interval", "json",  "jsonb",   "line",   "lseg",
    "macaddr",   "numeric",     "path",     "point", "polygon", "text",   "time",
    "timestamp", "timestamptz", "timetz",   "uuid",  "varbit",  "xml"};

template <std::size_t N>
bool among(const std::string_view (&words)[N], std::string_view word) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// Writes tokens in one form, and of equal neighbours in an IN list, an ARRAY[] or among the rows
/// of VALUES only the first.
class Folder {
  public:
    std::string fold(std::string_view sql) {
        Lexer lexer(sql);
        for (Token t = lexer.next(); t.kind != TokenKind::end; t = lexer.next()) {
            if (t.kind == TokenKind::bad) {
                out_.append("\x01");
                break;
            }
            if (!is_alias(t)) token(t);
        }
        if (as_waits_) append("as");
        while (!out_.empty() && (out_.back() == ';' || out_.back() == ' ')) out_.pop_back();
        while (!lists_.empty()) close();
        return std::move(out_);
    }

  private:
    struct List {
        std::size_t item;    // where the current item starts
        std::size_t before;  // where the item before it starts; npos: there is none
        bool collapses;
        bool rows;  // the rows of VALUES, which no bracket closes
        bool cast = false;
        bool plain = false;  // brackets that only group
    };
    static constexpr std::size_t kDeepest = 256;

    /// The names of output columns and the like say nothing of what is done, as PostgreSQL sees it;
    /// the type in CAST(x AS type) does.
    bool is_alias(const Token& t) {
        const bool after_as = std::exchange(as_waits_, false);
        const bool name = t.kind == TokenKind::quoted ||
                          (t.kind == TokenKind::word && !among(kNotNames, folded(t.text)));
        if (after_as && name) return true;
        if (after_as) append("as");
        const bool in_cast = !lists_.empty() && lists_.back().cast;
        as_waits_ = t.kind == TokenKind::word && !in_cast && folded(t.text) == "as";
        if (as_waits_ && !lists_.empty() && lists_.back().rows && at_item_end_) close();
        return as_waits_;
    }

    void token(const Token& t) {
        if (!lists_.empty() && lists_.back().rows && at_item_end_ && !t.is(',')) close();
        at_item_end_ = false;
        if (t.kind == TokenKind::literal || t.kind == TokenKind::param) {
            // DATE '...' is '...'::date.
            const bool typed = among(kTypes, last_word_) && out_.ends_with(" " + last_word_);
            if (typed) out_.resize(out_.size() - last_word_.size() - 1);
            const bool number = t.text[0] == '.' || (t.text[0] >= '0' && t.text[0] <= '9');
            constant(number ? 'n' : t.kind == TokenKind::param ? 'p' : 's');
            if (typed) append(": : " + last_word_);
            return;
        }
        if (t.is('(') || t.is('[')) return open(t.text[0]);
        if (t.is(')') || t.is(']')) return shut(t.text[0]);
        if (t.is(',')) return comma();
        sign_ = false;
        if (t.kind == TokenKind::word) return word(t);
        if (t.text == "-" || t.text == "+") sign_ = value_may_start_;
        append(t.text);
        value_may_start_ = t.kind == TokenKind::op;
    }

    void word(const Token& t) {
        const std::string low = folded(t.text);
        // In EXTRACT(field FROM x) the field is a constant, and so are these, but behind IS.
        const bool field = last_word_ == "extract" && out_.ends_with(" extract (");
        const bool is = last_word_ == "is" || last_word_ == "not";
        const bool follows_word = out_.ends_with(" " + last_word_);
        if (field || (among(kConstantWords, low) && !(is && follows_word))) {
            last_word_ = low;
            return constant(low == "true" || low == "false" ? 'b' : 's');
        }
        append(low);
        last_word_ = low;
        after_in_ = low == "in" || low == "array";
        static constexpr std::string_view before_values[] = {
            "select", "in", "values", "limit",   "offset", "when",  "then", "else",
            "and",    "or", "not",    "between", "return", "where", "on",   "by"};
        value_may_start_ = std::find(std::begin(before_values), std::end(before_values), low) !=
                           std::end(before_values);
        if (low == "values" && lists_.size() < kDeepest && skipped_ == 0)
            lists_.push_back({out_.size(), std::string::npos, true, true});
    }

    /// What a constant alone in a select list is decides the type of the column.
    void constant(char kind) {
        if (sign_) out_.resize(out_.size() - 2);
        sign_ = false;
        const bool column = out_.ends_with(" select");
        append("?");
        if (column) out_ += kind;
        value_may_start_ = after_in_ = false;
    }

    void open(char bracket) {
        const bool cast = last_word_ == "cast" && out_.ends_with(" cast");
        const bool listed = !lists_.empty() && lists_.back().collapses;
        const bool plain = !listed && bracket == '(' && value_may_start_ && !after_in_ &&
                           !out_.ends_with(" " + last_word_);
        append({&bracket, 1});
        if (lists_.size() < kDeepest)
            lists_.push_back({out_.size(), std::string::npos, after_in_, false, cast, plain});
        else
            ++skipped_;
        value_may_start_ = true;
        sign_ = after_in_ = false;
    }

    void shut(char bracket) {
        if (skipped_ > 0) {
            --skipped_;
        } else {
            while (!lists_.empty() && lists_.back().rows) close();
            if (!lists_.empty()) {
                const bool plain = lists_.back().plain;
                close();
                if (plain && out_.ends_with(" ( ?")) {  // (-1) is -1
                    out_.resize(out_.size() - 4);
                    return constant('n');
                }
            }
        }
        append({&bracket, 1});
        at_item_end_ = skipped_ == 0 && !lists_.empty() && lists_.back().rows;
        value_may_start_ = sign_ = after_in_ = false;
    }

    void comma() {
        if (skipped_ == 0 && !lists_.empty() && lists_.back().collapses) end_item(lists_.back());
        append(",");
        if (skipped_ == 0 && !lists_.empty()) lists_.back().item = out_.size();
        value_may_start_ = true;
        sign_ = after_in_ = false;
    }

    void end_item(List& list) {
        const std::string_view item = std::string_view(out_).substr(list.item);
        if (list.before != std::string::npos) {
            // The item before, without the comma and the blank that follow it.
            const auto previous =
                std::string_view(out_).substr(list.before, list.item - list.before - 2);
            if (previous == item) {
                out_.resize(list.item - 2);
                return;
            }
        }
        list.before = list.item;
    }

    void close() {
        if (lists_.back().collapses) end_item(lists_.back());
        lists_.pop_back();
    }

    void append(std::string_view s) {
        out_.push_back(' ');
        out_.append(s);
    }

    std::string out_;
    std::vector<List> lists_;
    std::size_t skipped_ = 0;
    bool value_may_start_ = true;  // a sign here belongs to the constant that follows
    bool sign_ = false;
    bool after_in_ = false;
    bool at_item_end_ = false;
    bool as_waits_ = false;  // AS was read and is not written yet
    std::string last_word_;
};

std::size_t first_free_parameter(std::string_view sql) {
    std::size_t highest = 0;
    Lexer lexer(sql);
    for (Token t = lexer.next(); t.kind != TokenKind::end && t.kind != TokenKind::bad;
         t = lexer.next()) {
        if (t.kind != TokenKind::param || t.text.size() > 7) continue;
        std::size_t number = 0;
        for (const char c : t.text.substr(1))
            number = number * 10 + static_cast<std::size_t>(c - '0');
        highest = std::max(highest, number);
    }
    return highest + 1;
}

/// Cuts to `max` bytes, not inside a UTF-8 sequence.
void cut(std::string& text, std::size_t max) {
    if (text.size() <= max) return;
    while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
    text.resize(max);
}

}  // namespace

std::uint64_t fingerprint(std::string_view sql) { return base::stable_hash64(Folder().fold(sql)); }

std::string normalise(std::string_view sql, std::size_t max) {
    std::string out;
    std::size_t number = first_free_parameter(sql);
    Lexer lexer(sql);
    const char* last = sql.data();
    for (Token t = lexer.next(); t.kind != TokenKind::end && out.size() <= max; t = lexer.next()) {
        if (t.kind == TokenKind::bad) {
            out += " ...";
            break;
        }
        if (t.text.data() != last && !out.empty()) out.push_back(' ');
        last = lexer.position();
        if (t.kind != TokenKind::literal) {
            out.append(t.text);
        } else {
            out.push_back('$');
            out += std::to_string(number++);
        }
    }
    cut(out, max);
    return out;
}

}  // namespace pgweir::query
