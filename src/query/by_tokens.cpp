// See by_tokens.hpp. The grammar of a plain INSERT here is a strict subset of PostgreSQL's:
// whatever does not fit is left to the careful judgement.
#include "by_tokens.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>
#include <vector>

#include "assess.hpp"
#include "functions.hpp"
#include "inline_code.hpp"
#include "lexer.hpp"
#include "pgweir/query/body_words.hpp"

namespace pgweir::query {

namespace {

constexpr std::size_t kLongLiteral = 64;

std::string name_of(const Token& t) {
    if (t.kind == TokenKind::word) return folded(t.text);
    std::string name;
    for (std::size_t i = 1; i + 1 < t.text.size(); ++i) {
        name.push_back(t.text[i]);
        if (t.text[i] == '"') ++i;
    }
    return name;
}

bool is_name(const Token& t) { return t.kind == TokenKind::word || t.kind == TokenKind::quoted; }

/// INSERT INTO a.b (c, d) VALUES (1, 'x'), ... [ON CONFLICT DO NOTHING] [RETURNING c, d] [;]
class PlainInsert {
  public:
    explicit PlainInsert(std::string_view sql) : lexer_(sql) { step(); }

    bool read() {
        if (!words({"insert", "into"}) || !target() || (now_.is('(') && !name_list())) return false;
        if (!words({"values"}) || !row()) return false;
        while (accept(',')) {
            if (!row()) return false;
        }
        if (now_.is("on") && !words({"on", "conflict", "do", "nothing"})) return false;
        if (now_.is("returning") && !returning()) return false;
        accept(';');
        return now_.kind == TokenKind::end;
    }
    std::string schema, name;

  private:
    void step() { now_ = lexer_.next(); }
    bool accept(char c) {
        if (!now_.is(c)) return false;
        step();
        return true;
    }
    bool words(std::initializer_list<std::string_view> wanted) {
        for (const std::string_view word : wanted) {
            if (!now_.is(word)) return false;
            step();
        }
        return true;
    }
    bool target() {
        if (!is_name(now_)) return false;
        name = name_of(now_);
        step();
        if (!accept('.')) return true;
        if (!is_name(now_)) return false;
        schema = std::exchange(name, name_of(now_));
        step();
        return true;
    }
    bool names() {
        do {
            if (!is_name(now_)) return false;
            step();
        } while (accept(','));
        return true;
    }
    bool name_list() { return accept('(') && names() && accept(')'); }
    bool returning() {
        step();
        return names();
    }
    bool row() {
        if (!accept('(')) return false;
        do {
            if (!value()) return false;
        } while (accept(','));
        return accept(')');
    }
    bool value() {
        const bool signed_value =
            now_.kind == TokenKind::op && (now_.text == "-" || now_.text == "+");
        if (signed_value) step();
        const bool word =
            now_.is("null") || now_.is("default") || now_.is("true") || now_.is("false");
        if (now_.kind != TokenKind::literal && now_.kind != TokenKind::param &&
            (!word || signed_value))
            return false;
        step();
        if (!now_.is(':')) return now_.kind != TokenKind::literal;
        if (!accept(':') || !accept(':') || now_.kind != TokenKind::word) return false;
        const bool builtin = builtin_type(name_of(now_)) != TypeTrust::unknown;
        step();
        return builtin;
    }

    Lexer lexer_;
    Token now_;
};

Verdict not_understood(const ResolveContext& context) {
    Verdict verdict;
    verdict.literal_dependent = false;
    if (context.catalog != nullptr) verdict.catalog_version = context.catalog->version;
    return verdict;
}

/// One statement's tokens, looked through for whatever might change the session.
class Suspicion {
  public:
    explicit Suspicion(const ResolveContext& context) : catalog_(context.catalog) {
        if (catalog_ != nullptr) named_.emplace(*catalog_);
    }
    PinReason pin = PinReason::none;
    bool writes_word = false;

    void look(const std::string& name, bool called) {
        static constexpr std::array<std::string_view, 4> writers{"insert", "update", "delete",
                                                                 "merge"};
        writes_word =
            writes_word || std::find(writers.begin(), writers.end(), name) != writers.end();
        if (const SessionEffect* effect = session_effect(name)) suspect(effect->pin);
        if (name == "temp" || name == "temporary" || name.starts_with("pg_temp"))
            suspect(PinReason::temporary);
        if (runs_sql_text(name) || name.starts_with("dblink")) suspect(PinReason::function);
        if (called && catalog_ != nullptr && user_function_may_change(name))
            suspect(PinReason::function);
        if (named_) named_->add(name);
        system_ = system_ || name.starts_with("pg_") || name == "information_schema";
    }
    /// Triggers behind a write, and writes to the system's own tables, are named by nobody.
    Defines all() const {
        auto most = pin != PinReason::none ? Defines::database : Defines::nothing;
        if (!named_) return most;
        most = std::max(most, named_->used());
        if (writes_word) most = std::max({most, named_->written(), code_defines(*catalog_)});
        return writes_word && system_ ? Defines::shared : most;
    }

  private:
    void suspect(PinReason reason) {
        if (pin == PinReason::none) pin = reason;
    }
    bool user_function_may_change(const std::string& name) const {
        const auto at = catalog_->functions.find(name);
        return at != catalog_->functions.end() &&
               std::any_of(at->second.begin(), at->second.end(),
                           [](const Function& f) { return !f.builtin && !f.session_harmless; });
    }
    const Catalog* catalog_;
    std::optional<NamedDefines> named_;  // with catalog_
    bool system_ = false;
};

bool starts_dml_or_select(const Token& first) {
    static constexpr std::array<std::string_view, 8> starts{"select", "insert", "update", "delete",
                                                            "merge",  "with",   "values", "table"};
    return std::any_of(starts.begin(), starts.end(),
                       [&](std::string_view s) { return first.is(s); });
}

}  // namespace

std::optional<std::string> without_long_literals(std::string_view sql) {
    std::string out;
    Lexer lexer(sql);
    const char* copied = sql.data();
    for (Token t = lexer.next(); t.kind != TokenKind::end; t = lexer.next()) {
        if (t.kind == TokenKind::bad) return std::nullopt;
        if (t.kind != TokenKind::literal || t.text.size() <= kLongLiteral) continue;
        const auto literal = static_cast<char>(t.literal);
        if (literal < static_cast<char>(lex::Literal::string)) continue;
        out.append(copied, t.text.data());
        if (t.literal != lex::Literal::string && t.literal != lex::Literal::dollar_string)
            out.append(t.text.substr(0, t.text.find('\'')));
        out.append("''");
        copied = t.text.data() + t.text.size();
    }
    out.append(copied, sql.data() + sql.size());
    return out;
}

std::optional<Verdict> judge_plain_insert(std::string_view sql, const ResolveContext& context) {
    PlainInsert insert(sql);
    if (!insert.read()) return std::nullopt;
    const pgw_fact target{PGW_WRITE, 0, insert.schema.c_str(), insert.name.c_str(), 0, 0, 0};
    const pgw_statement statement{PGW_KIND_DML, PGW_PIN_NONE, 0, 0, 1};
    Assessor assessor(context);
    assessor.add(statement, &target, nullptr);
    return assessor.finish();
}

Verdict judge_by_tokens(std::string_view sql, const ResolveContext& context) {
    Verdict verdict = not_understood(context);
    Suspicion suspicion(context);
    Lexer lexer(sql);
    Token token = lexer.next();
    const Token first = token;
    bool plain = starts_dml_or_select(first);
    while (token.kind != TokenKind::end && token.kind != TokenKind::bad) {
        const Token next = lexer.next();
        if (token.is(';') && next.kind != TokenKind::end && !next.is(';')) plain = false;
        if (is_name(token)) suspicion.look(name_of(token), next.is('('));
        token = next;
    }
    plain = plain && token.kind == TokenKind::end;
    const auto defines = names_in_doubt(sql, context) ? Defines::shared : suspicion.all();
    // Of what is neither, what it runs is not known.
    const auto* catalog = context.catalog;
    const bool any = catalog != nullptr &&
                     (catalog->ddl_defines_shared || (!plain && catalog->functions_define_shared));
    const bool shared = defines == Defines::shared || (!plain && may_define_shared(sql)) ||
                        (any && (!plain || defines != Defines::nothing));
    verdict.writes = shared ? Writes::all_databases : Writes::database;
    if (!plain) return verdict;
    const bool reads =
        first.is("select") || first.is("values") || first.is("table") || first.is("with");
    verdict.kind = reads && !suspicion.writes_word ? Kind::select : Kind::dml;
    verdict.pin = suspicion.pin;
    verdict.may_end_transaction = false;
    verdict.may_define = defines != Defines::nothing;
    verdict.timed = true;
    return verdict;
}

}  // namespace pgweir::query
