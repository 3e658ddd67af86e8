// Session: what SQL's PREPARE has made, carried, and what SQL says of statements prepared by
// message. The look finds what PREPARE has made, each statement with the text that made it; the
// next server connection is given the same texts in front of the client's bytes. On the server they
// have the client's names, so one session's are there at a time, and another's go first. Invariant:
// ServerLink::sql_statements lists all that are on it, whenever a session holds the server and
// nothing is suspected. Thread: the worker's.
#include <algorithm>

#include "inspection.hpp"
#include "pgweir/query/tokens.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::PinReason;
using query::TextToken;

namespace {

constexpr std::size_t kMostTokens = 2000;
/// Bytes; the server cuts names of this length and more.
constexpr std::size_t kMostName = 64;

/// The name as the server has it; empty where this is no name.
std::string name_of(const TextToken& token) {
    if (token.kind == TextToken::Kind::word) return token.text;
    std::string name;
    if (token.kind != TextToken::Kind::quoted) return name;
    for (std::size_t i = 1; i + 1 < token.text.size(); ++i) {
        name += token.text[i];
        if (token.text[i] == '"') ++i;
    }
    return name;
}

/// Null where there is none.
pool::SqlStatementsPtr list_of(pool::SqlStatements statements) {
    if (statements.empty()) return nullptr;
    return std::make_shared<const pool::SqlStatements>(std::move(statements));
}

/// What PREPARE name [(types)] AS says behind AS; empty where that is not to be found.
std::string_view inner_text(std::string_view text, const std::vector<TextToken>& tokens) {
    if (tokens.size() < 4 || !tokens[0].is("prepare")) return {};
    std::size_t i = 2;
    while (i + 1 < tokens.size() && !tokens[i].is("as")) ++i;
    return i + 1 < tokens.size() ? text.substr(tokens[i + 1].at) : std::string_view();
}

/// What a constant means may depend on the settings, or the day, of the moment in which PREPARE
/// reads it: dates, times and intervals have digits, or are special words.
bool depends_on_moment(const TextToken& token) {
    const bool text = token.kind == TextToken::Kind::constant &&
                      token.text.find_first_of("'$") != std::string::npos;
    return text && token.text.find_first_of("0123456789") != std::string::npos;
}

/// What the DEALLOCATE or DISCARD at `at`, which is not the last, names.
const TextToken& taken(const std::vector<TextToken>& tokens, std::size_t at) {
    if (++at + 1 < tokens.size() && tokens[at].is("prepare") && !tokens[at + 1].is(";")) ++at;
    return tokens[at];
}

}  // namespace

/// What a text of PREPARE makes, as long as it may be made anywhere, at any time: something that
/// would not pin if it ran by itself, and that means the same whenever it is read. Null otherwise.
MemoPtr Session::portable(std::string_view text) {
    const auto scan = query::scan_text(text);
    const auto tokens = query::text_tokens(text, kMostTokens);
    const auto inner = inner_text(text, tokens);
    if (inner.empty() || !scan.lexed || scan.special_datetime || tokens.size() == kMostTokens ||
        judge(text, scan)->verdict->kind != query::Kind::utility ||
        std::any_of(tokens.begin(), tokens.end(), depends_on_moment))
        return nullptr;
    auto memo = judge(inner, query::scan_text(inner));
    const auto& v = *memo->verdict;
    const bool plain = v.kind == query::Kind::select || v.kind == query::Kind::dml;
    return plain && v.pin == PinReason::none ? memo : nullptr;
}

/// What EXECUTE with constants runs: it is judged like the statement itself. Only while the server
/// is known to have what the session has been found to have.
MemoPtr Session::executed(std::string_view text) {
    using Kind = TextToken::Kind;
    if (exchange_->suspect || !has_its_statements()) return nullptr;
    const auto tokens = query::text_tokens(text, kMostTokens);
    if (tokens.size() < 2 || tokens.size() == kMostTokens || !tokens[0].is("execute") ||
        !query::scan_text(text).lexed)
        return nullptr;
    for (std::size_t i = 2; i < tokens.size(); ++i) {
        const auto& t = tokens[i];
        const bool constant =
            t.kind == Kind::constant || t.is("null") || t.is("true") || t.is("false") || t.is("-");
        const bool mark = t.is("(") || t.is(",") || t.is(")") || t.is(";");
        if (!constant && !mark) return nullptr;
    }
    const auto name = name_of(tokens[1]);
    for (const auto& [known, made_by] : *sql_->all)
        if (known == name) return portable(made_by);
    return nullptr;
}

/// Whether a simple Query is EXECUTE, and nothing else, of a name that nothing can have on the
/// server: PostgreSQL looks for the statement before it computes the parameters.
bool Session::executes_nothing(std::string_view text) const {
    if (identity_->mode == config::PoolMode::session || identity_->opaque_text ||
        !query::mentions(text, "execute"))
        return false;
    const auto tokens = query::text_tokens(text, kMostTokens);
    if (tokens.size() < 2 || tokens.size() == kMostTokens || !tokens[0].is("execute") ||
        !query::scan_text(text).lexed)
        return false;
    for (std::size_t i = 2; i < tokens.size(); ++i)
        if (tokens[i].is(";") ? i + 1 < tokens.size() : i == 2 && !tokens[i].is("(")) return false;
    const auto name = name_of(tokens[1]);
    const bool said = !name.empty() && name.size() < kMostName &&
                      std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0; });
    return said && !name.starts_with(pool::kPreparedPrefix) && !has_statement(name) &&
           !may_be_there(name);
}

/// Of a simple Query; of what it runs, where it is EXECUTE.
void Session::apply_query_effects(const MemoEntry& memo, std::string_view text) {
    if (memo.may_name_statement && executes_nothing(text)) [[unlikely]] {
        exchange_->acted = true;
        return;
    }
    if (sql_ != nullptr) [[unlikely]]
        if (const auto runs = executed(text); runs != nullptr) return apply_effects(*runs, nullptr);
    const query::KeyValues values{text, {}, {}};
    apply_effects(memo, &values);
}

/// Statements of another session, or of this one before it changed them elsewhere.
void Session::append_deallocate(std::string& sql) const {
    for (const auto& [name, text] : *server_->sql_statements) {
        sql += "DEALLOCATE ";
        pool::append_identifier(sql, name);
        sql += ';';
    }
}

/// Each in a message of its own, so that one that fails, for what it names may be gone, stands for
/// itself.
void Session::bring_statements() {
    server_->sql_statements = sql_ ? sql_->all : nullptr;
    if (sql_ == nullptr) return;
    sql_->failed.clear();
    for (std::size_t i = 0; i < sql_->all->size(); ++i) {
        inject((*sql_->all)[i].second);
        auto& e = exchange_->expects.back();
        e.quiet = e.remakes = true;
        e.statement = i;
    }
}

void Session::note_unmade(std::uint64_t index, std::string_view error) {
    if (sql_ == nullptr || index >= sql_->all->size()) return;
    const auto& name = (*sql_->all)[index].first;
    sql_->failed.emplace_back(name, error);
    if (server_->sql_statements == nullptr) return;
    auto there = *server_->sql_statements;
    std::erase_if(there, [&](const auto& s) { return s.first == name; });
    server_->sql_statements = list_of(std::move(there));
}

/// The server says there is no such statement, because it could not be made again: PostgreSQL's
/// words for that, which a session of its own would have got from EXECUTE.
std::string_view Session::why_unmade(const wire::ErrorFields& fields) const {
    const auto& x = *exchange_;
    if (fields.sqlstate != wire::sqlstate::kInvalidSqlStatementName || x.expects.empty() ||
        x.expects.front().swallow || x.expects.front().own_error)
        return {};
    for (const auto& [name, error] : sql_->failed)
        if (fields.message.find('"' + name + '"') != std::string_view::npos) return error;
    return {};
}

bool Session::has_sql_statement(std::string_view name) const noexcept {
    return sql_ != nullptr && std::any_of(sql_->all->begin(), sql_->all->end(),
                                          [&](const auto& s) { return s.first == name; });
}

/// Nothing is known of them: whoever holds the server then keeps it.
void Session::forget_sql_statements() noexcept {
    sql_.reset();
    server_->sql_statements.reset();
}

/// True when everything SQL's PREPARE has made can be made again elsewhere: each by a text that
/// does nothing else.
bool Session::carry_statements(Inspection& found) {
    const auto carried = [this](const auto& s) { return portable(s.second) != nullptr; };
    auto& there = found.statements;
    if (found.too_many_statements || !std::all_of(there.begin(), there.end(), carried)) {
        forget_sql_statements();
        return false;
    }
    auto all = there;
    if (sql_ != nullptr) {
        for (const auto& [name, error] : sql_->failed) {
            const auto is_it = [&name = name](const auto& s) { return s.first == name; };
            const auto known = std::find_if(sql_->all->begin(), sql_->all->end(), is_it);
            const bool again = std::any_of(there.begin(), there.end(), is_it);
            if (!again && known != sql_->all->end()) all.push_back(*known);
        }
    }
    if (all.empty()) {
        forget_sql_statements();
        return true;
    }
    std::sort(all.begin(), all.end());
    std::sort(there.begin(), there.end());
    if (sql_ == nullptr) sql_ = std::make_unique<SqlPrepared>();
    if (sql_->all == nullptr || *sql_->all != all)
        sql_->all = std::make_shared<const pool::SqlStatements>(std::move(all));
    server_->sql_statements = *sql_->all == there ? sql_->all : list_of(std::move(there));
    preferred_server = server_->process_id();
    return true;
}

/// SQL's EXECUTE and DEALLOCATE know statements by the client's names: what was prepared by message
/// gets that name on the server, too, before they run. EXECUTE may stand behind EXPLAIN or AS.
void Session::prepare_for_sql(std::string_view text) {
    const bool raw = identity_->mode == config::PoolMode::session;
    const bool gives = raw && query::mentions(text, "prepare");
    if (!gives && !query::mentions(text, "execute") && !query::mentions(text, "deallocate") &&
        !query::mentions(text, "discard"))
        return;
    const auto tokens = query::text_tokens(text, kMostTokens);
    std::vector<std::string> executed;
    auto& taking = exchange_->taking;
    bool begins = true;
    if (gives && tokens.size() == kMostTokens) statements_.clear();
    for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
        const bool deallocates = begins && tokens[i].is("deallocate");
        if (gives && begins && tokens[i].is("prepare")) {
            // It is refused unless code has taken the name from what was prepared by message.
            statements_.erase(name_of(tokens[i + 1]));
        } else if (tokens[i].is("execute")) {
            executed.push_back(name_of(tokens[i + 1]));
        } else if (deallocates || (begins && tokens[i].is("discard"))) {
            const auto& what = taken(tokens, i);
            if (deallocates || what.is("all")) {
                if (taking == nullptr) taking = std::make_unique<Taking>();
                taking->due.push_back({name_of(what), what.is("all")});
            }
        }
        begins = tokens[i].is(";");
    }
    if (raw || tx_ == wire::TxStatus::failed) return;
    for (const auto& name : executed)
        if (const auto* found = statements_.find(name); found != nullptr)
            name_on_server(name, (*found)->text, (*found)->types);
    if (taking != nullptr) name_taken(executed);
}

/// Something without a text stands in for each statement that was prepared by message and is not
/// executed in the same text: nothing its own text may lack makes it fail.
void Session::name_taken(const std::vector<std::string>& executed) {
    for (const auto& [name, all] : exchange_->taking->due) {
        if (all || statements_.find(name) == nullptr) continue;
        exchange_->taking->renamed = true;
        if (std::find(executed.begin(), executed.end(), name) == executed.end())
            name_on_server(name, {}, {});
    }
}

/// Whatever had that name there goes first.
void Session::name_on_server(const std::string& name, std::string_view text,
                             const std::vector<std::uint32_t>& types) {
    std::string message, close(1, 'S');
    base::append_cstring(close, name);
    wire::write_message(message, wire::fe::kClose, close);
    wire::write_parse(message, name, text, types);
    expect({.kind = Expect::Kind::close, .swallow = true, .quiet = true});
    expect({.kind = Expect::Kind::parse, .swallow = true, .quiet = true});
    if (!exchange_->unsynced) {
        wire::write_message(message, wire::fe::kSync);
        expect({.kind = Expect::Kind::sync, .swallow = true, .quiet = true});
    }
    turn_->server.copy(message);
}

/// `statement`: of DEALLOCATE, DISCARD ALL or RESET, to which `portal` was bound; null: of none.
void Session::note_taker(std::string_view portal, const StatementPtr& statement) {
    auto& takers = exchange_->takers;
    std::erase_if(takers, [portal](const auto& taker) { return taker.first == portal; });
    if (statement != nullptr) takers.emplace_back(portal, statement);
}

/// Before its Execute: what it takes away. Null: nothing.
StatementPtr Session::begin_taking(std::string_view portal) {
    const auto& takers = exchange_->takers;
    const auto taker = std::find_if(takers.begin(), takers.end(),
                                    [portal](const auto& t) { return t.first == portal; });
    if (taker == takers.end()) return nullptr;
    prepare_for_sql(taker->second->text);
    return taker->second;
}

/// It does not wait for the transaction to commit. The statement of the unnamed slot stays.
void Session::note_taken(std::string_view tag) {
    tag = tag.substr(0, tag.find('\0'));
    auto& due = exchange_->taking->due;
    if (tag == "DEALLOCATE ALL" || tag == "DISCARD ALL") {
        statements_.clear();
        server_->prepared.clear();
    } else if (tag == "DEALLOCATE" && !due.empty()) {
        statements_.erase(due.front().name);
    } else {
        return;
    }
    if (!due.empty()) due.erase(due.begin());
}

/// It has been answered, or will never be. Names that were given for it and are there still are not
/// to meet another session.
void Session::end_taking() {
    const auto taking = std::move(exchange_->taking);
    if (taking == nullptr) return;
    if (taking->renamed && !taking->due.empty()) exchange_->may_leave_state = true;
}

}  // namespace pgweir::session
