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
    "bit",       "bool",         "boolean",  "box",    "bytea",       "circle",  "date",
    "float8",    "inet",         "interval", "json",   "jsonb",       "line",    "lseg",
    "macaddr",   "numeric",      "path",     "point",  "polygon",     "text",    "time",
    "timestamp", "timestamptz",  "timetz",   "uuid",   "varbit",      "xml",     "int4",
    "int8",      "money",        "name",     "pg_lsn", "pg_snapshot", "tsquery", "tsvector",
    "oid",       "txid_snapshot"};
constexpr std::string_view kIntervalFields[] = {"year",   "month",  "day", "hour",
                                                "minute", "second", "to"};
/// Types of several words, or of several names: what they are called behind "::".
struct TypeName {
    std::string_view written, name;
};
constexpr TypeName kLongTypes[] = {{" timestamp with time zone", " timestamptz"},
                                   {" timestamp without time zone", " timestamp"},
                                   {" time with time zone", " timetz"},
                                   {" time without time zone", " time"},
                                   {" double precision", " float8"},
                                   {" character varying", " varchar"},
                                   {" bit varying", " varbit"}};
constexpr TypeName kShortTypes[] = {
    {"int", "int4"},    {"integer", "int4"}, {"bigint", "int8"},     {"smallint", "int2"},
    {"real", "float4"}, {"float", "float8"}, {"decimal", "numeric"}, {"boolean", "bool"}};
/// In front of a bracket these are no functions.
constexpr std::string_view kNotCalls[] = {"values", "any",   "all",  "exists", "select", "where",
                                          "and",    "or",    "not",  "on",     "using",  "from",
                                          "as",     "union", "over", "filter", "array",  "in",
                                          "when",   "then",  "else", "case",   "cast",   "by"};
constexpr std::string_view kNumbers[] = {"int2", "int4", "int8", "float4", "float8", "numeric"};

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
            if (skips_list(t) || drops_type(t) || is_alias(t)) continue;
            token(t);
        }
        if (cast_ == Cast::type) end_type();
        if (cast_ == Cast::colon) append(":");
        if (as_waits_) append("as");
        while (!out_.empty() && (out_.back() == ';' || out_.back() == ' ')) out_.pop_back();
        while (!lists_.empty()) close();
        return std::move(out_);
    }

  private:
    /// A constant that an operator joins to what follows.
    struct Left {
        bool pair = false, typed = false;
        char number = 's';
        std::size_t end = 0;
    };
    struct List {
        std::size_t item;    // where the current item starts
        std::size_t before;  // where the item before it starts; npos: there is none
        bool collapses;
        bool rows;  // the rows of VALUES, which no bracket closes
        bool cast = false;
        bool plain = false;  // brackets that only group
        bool call = false;   // arguments of a function
        Left left{};         // of what stands in front of them
    };
    static constexpr std::size_t kDeepest = 256;

    /// The names of output columns and the like say nothing of what is done, as PostgreSQL sees it;
    /// the type in CAST(x AS type) does.
    bool is_alias(const Token& t) {
        const bool after_as = std::exchange(as_waits_, false);
        const bool name = t.kind == TokenKind::quoted ||
                          (t.kind == TokenKind::word && !among(kNotNames, folded(t.text)));
        if (after_as && name) {
            alias_ended_ = true;
            return true;
        }
        if (after_as) append("as");
        const bool in_cast = !lists_.empty() && lists_.back().cast;
        as_waits_ = t.kind == TokenKind::word && !in_cast && folded(t.text) == "as";
        if (as_waits_ && !lists_.empty() && lists_.back().rows && at_item_end_) close();
        return as_waits_;
    }

    /// Names and types of columns behind an alias: AS x (a, b) or AS x (a int, b text).
    bool skips_list(const Token& t) {
        const bool opens = std::exchange(alias_ended_, false) && t.is('(');
        if (skipped_list_ == 0 && !opens) return false;
        if (opens) skipped_columns_ = 1, skipped_types_ = skipped_name_ = false;
        const bool name = t.kind == TokenKind::word || t.kind == TokenKind::quoted;
        skipped_types_ = skipped_types_ || (name && skipped_name_);
        skipped_name_ = name;
        if (t.is(',') && skipped_list_ == 1) ++skipped_columns_;
        if (t.is('(')) ++skipped_list_;
        if (t.is(')') && --skipped_list_ == 0 && skipped_types_)
            append("(" + std::to_string(skipped_columns_) + ")");
        return true;
    }

    void token(const Token& t) {
        const bool literal = t.kind == TokenKind::literal;
        // 'a' 'b' on two lines is one constant, and UESCAPE '!' is part of it.
        const bool text = literal && !(t.text[0] == '.' || (t.text[0] >= '0' && t.text[0] <= '9'));
        if (text && std::exchange(after_text_, true)) return;
        if (t.is("uescape") && after_text_) return;
        if (!text) after_text_ = false;
        if (!lists_.empty() && lists_.back().rows && at_item_end_ && !t.is(',')) close();
        at_item_end_ = false;
        if (t.kind == TokenKind::literal || t.kind == TokenKind::param) {
            // DATE '...' is '...'::date.
            const bool typed =
                text && among(kTypes, last_word_) && out_.ends_with(" " + last_word_);
            const bool said = text && (out_.ends_with("xmlparse ( document") ||
                                       out_.ends_with("xmlparse ( content"));
            if (typed || said) out_.resize(out_.size() - last_word_.size() - 1);
            const bool whole = t.literal == lex::Literal::integer;
            constant(text ? 's' : t.kind == TokenKind::param ? 'p' : whole ? 'i' : 'n');
            if (!typed) return;
            type_ = last_word_;
            end_type();
            if (last_word_ == "interval") cast_ = Cast::fields;
            return;
        }
        if (t.is('(') || t.is('[')) return open(t.text[0]);
        if (t.is(')') || t.is(']')) return shut(t.text[0]);
        if (t.is(',')) return comma();
        sign_ = false;
        if (t.kind == TokenKind::word) return word(t);
        if (t.is('.') && last_word_ == "pg_catalog" && out_.ends_with(" pg_catalog"))
            return out_.resize(out_.size() - last_word_.size() - 1);
        if (t.text == "-" || t.text == "+") sign_ = value_may_start_;
        if (!sign_) operation(t.kind == TokenKind::op);
        append(t.text);
        value_may_start_ = t.kind == TokenKind::op;
    }

    /// What stands between two constants, or does not.
    void operation(bool joins) {
        pair_ = joins && operand_ == Operand::constant;
        left_end_ = out_.size();
        left_typed_ = typed_;
        left_number_ = number_;
        operand_ = Operand::none;
    }

    /// The type behind a constant is looked at whole: '...'::double precision [].
    bool drops_type(const Token& t) {
        switch (cast_) {
            case Cast::none: return false;
            case Cast::constant:
                cast_ = t.is(':') ? Cast::colon : Cast::none;
                return cast_ == Cast::colon;
            case Cast::colon:
                cast_ = t.is(':') ? Cast::type : Cast::none;
                if (cast_ == Cast::none) append(":");
                return cast_ == Cast::type;
            case Cast::fields:
                if (t.kind == TokenKind::word && among(kIntervalFields, folded(t.text)))
                    return true;
                if (t.is('(') || (in_fields_ && t.kind == TokenKind::literal)) {
                    in_fields_ = true;
                    return true;
                }
                cast_ = Cast::none;
                return std::exchange(in_fields_, false) && t.is(')');
            case Cast::type: break;
        }
        if (type_.size() < kLongestType && belongs_to_type(t)) {
            if (!type_.empty()) type_ += ' ';
            type_ += t.kind == TokenKind::word ? folded(t.text) : std::string(t.text);
            return true;
        }
        end_type(t.is(':'));
        return false;
    }

    bool belongs_to_type(const Token& t) const {
        static constexpr std::string_view kMore[] = {"precision", "varying", "with",
                                                     "without",   "time",    "zone"};
        if (type_.empty() || type_.ends_with('.'))
            return t.kind == TokenKind::word || t.kind == TokenKind::quoted;
        if (type_.ends_with('(') || type_.ends_with(',')) return t.kind == TokenKind::literal;
        if (t.is('(') || t.is('[') || t.is('.')) return true;
        if (t.is(']')) return type_.ends_with('[');
        const auto opened = type_.rfind('('), closed = type_.rfind(')');
        const bool inside = opened != type_.npos && (closed == type_.npos || closed < opened);
        if (inside) return t.is(')') || t.is(',');
        if (t.kind != TokenKind::word) return t.kind == TokenKind::literal && type_.ends_with('[');
        const auto low = folded(t.text);
        return among(kMore, low) || (type_ == "interval" && among(kIntervalFields, low));
    }

    /// The type says nothing that is not known without it.
    bool known_where_it_stands(std::string_view type) const {
        if (type == "regclass") return out_.ends_with(" nextval ( ?");
        if (type == "text") return !lists_.empty() && lists_.back().call;
        return out_.ends_with(" any ( ?") || out_.ends_with(" all ( ?");
    }

    /// '1'::numeric is 1.0, and '1'::bool is true.
    bool relabels(std::string_view type) {
        if (type != "numeric" && type != "bool") return false;
        number_ = type == "bool" ? 'b' : 'n';
        if (column_) out_.back() = number_;
        return type == "numeric" || column_;
    }

    /// PostgreSQL gives a constant beside another one of known type that type: '1'::t = '2'.
    void end_type(bool another_follows = false) {
        cast_ = Cast::none;
        auto type = std::exchange(type_, {});
        if (type.starts_with("pg_catalog . ")) type.erase(0, 13);
        if (type.starts_with("interval ")) type = "interval";
        for (const auto& [written, name] : kLongTypes)
            if (type == written.substr(1)) type = name.substr(1);
        for (const auto& [written, name] : kShortTypes)
            if (type == written) type = name;
        if (type == "int4" && number_ == 'i') return;  // it is one
        const bool number = among(kNumbers, type);
        if (second_ && !another_follows) {
            if (number) {
                out_.back() = type == "numeric" ? 'n' : 'i';
                if (type != "numeric" && type != "int4") out_ += type;
                return;
            }
            if (!left_typed_) out_.insert(left_end_, " : : " + type);
            left_typed_ = true;
            return;
        }
        if (!another_follows && (known_where_it_stands(type) || relabels(type))) return;
        typed_ = true;
        append(": : " + type);
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
        if (low == "at" && operand_ == Operand::constant && !typed_) at_end_ = out_.size();
        operation(false);
        append(low);
        last_word_ = low;
        constexpr std::string_view kZone = " at time zone";
        if (out_.size() == at_end_ + kZone.size() && out_.ends_with(kZone))
            out_.insert(at_end_, " : : timestamptz");
        for (const auto& [written, name] : kLongTypes) {
            if (!out_.ends_with(written)) continue;
            out_.resize(out_.size() - written.size());
            out_.append(name);
            last_word_ = name.substr(1);
        }
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
        column_ = column;
        second_ = std::exchange(pair_, false);
        if (second_) out_.insert(left_end_, 1, left_number_);
        append("?");
        if (column || second_) out_ += kind;
        number_ = kind;
        typed_ = false;
        operand_ = Operand::constant;
        cast_ = Cast::constant;
        value_may_start_ = after_in_ = false;
    }

    void open(char bracket) {
        const bool cast = last_word_ == "cast" && out_.ends_with(" cast");
        const bool listed = !lists_.empty() && lists_.back().collapses;
        const bool values = last_word_ == "values" && out_.ends_with(" values");
        const bool plain = !listed && bracket == '(' && value_may_start_ && !after_in_ && !values;
        const Left left{pair_, left_typed_, left_number_, left_end_};
        const bool call = bracket == '(' && !after_in_ && operand_ == Operand::none &&
                          !last_word_.empty() && out_.ends_with(" " + last_word_) &&
                          !among(kNotCalls, last_word_);
        operation(false);
        append({&bracket, 1});
        if (lists_.size() < kDeepest)
            lists_.push_back(
                {out_.size(), std::string::npos, after_in_, false, cast, plain, call, left});
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
                const auto left = lists_.back().left;
                close();
                if (plain && out_.ends_with(" ( ?")) {  // (-1) is -1
                    out_.resize(out_.size() - 4);
                    pair_ = left.pair;
                    left_typed_ = left.typed;
                    left_number_ = left.number;
                    left_end_ = left.end;
                    return constant(number_);
                }
            }
        }
        append({&bracket, 1});
        operand_ = Operand::other;
        at_item_end_ = skipped_ == 0 && !lists_.empty() && lists_.back().rows;
        value_may_start_ = sign_ = after_in_ = false;
    }

    void comma() {
        if (skipped_ == 0 && !lists_.empty() && lists_.back().collapses) end_item(lists_.back());
        operation(false);
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
    enum class Operand : std::uint8_t { none, constant, other };
    enum class Cast : std::uint8_t { none, constant, colon, type, fields };
    static constexpr std::size_t kLongestType = 200;
    Operand operand_ = Operand::none;          // what was read last, at this level
    bool pair_ = false;                        // behind a constant and an operator
    bool second_ = false;                      // the latest constant was
    char number_ = 's', left_number_ = 's';    // kinds of it, and of the one before it
    bool column_ = false;                      // the latest constant begins a select list
    bool in_fields_ = false;                   // in the brackets of "second (2)"
    std::size_t at_end_ = 0;                   // of a constant in front of AT
    bool typed_ = false, left_typed_ = false;  // it, and the one before it, have a type
    std::size_t left_end_ = 0;                 // where the one before it ends
    Cast cast_ = Cast::none;
    std::string type_;
    bool after_text_ = false;                             // the latest token was a string
    bool alias_ended_ = false;                            // the latest token was an alias
    std::size_t skipped_list_ = 0, skipped_columns_ = 0;  // brackets open behind one
    bool skipped_types_ = false, skipped_name_ = false;
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
