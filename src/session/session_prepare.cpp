// Session: prepared statements. In transaction and statement mode the client's names are its own
// affair: on a server a statement has a name made from its number, is prepared where it lacks, and
// answers about it come in the order the client asked (poolers' traps 51 to 65).
#include <algorithm>

#include "batch_plan.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

using wire::Frame;
using wire::FrameStatus;
using Kind = Expect::Kind;

namespace {
/// A name of ours that no server has, for clients that ask for a name with our prefix.
constexpr std::string_view kNoSuchStatement = "pgweir_0";

bool ends_transaction(query::Kind kind) noexcept {
    return kind == query::Kind::commit || kind == query::Kind::rollback;
}

/// Whether the transaction has failed for the message to be sent next. Behind an Execute of its
/// batch it has not: only what leaves a failed transaction is executed there, and behind an error
/// the server reads nothing.
bool failed_by_then(wire::TxStatus tx, const Exchange& x) noexcept {
    return tx == wire::TxStatus::failed && !x.executed;
}
}  // namespace

/// Statements are shared by sessions of the same settings, until definitions change; in a
/// transaction that has changed them itself they are its own, and what is told of them is where
/// temporary objects may be meant.
StatementPtr Session::intern(std::string_view text, std::string_view raw_types) {
    const auto profile = identity_->profile->id;
    const auto& database = *identity_->context.database;
    const auto definitions = Exchange::definitions(exchange_.get(), database);
    if (exchange_ && !exchange_->defines.empty())
        return StatementTable::make(text, raw_types, definitions, profile);
    auto shared =
        env_.statements->intern(text, raw_types, profile, definitions, identity_->cache_owner);
    return pin_ == query::PinReason::none ? shared : StatementTable::own(*shared);
}

void Session::make_room() {
    const auto limit = env_.config().limits.prepared_statements_per_server;
    while (server_->prepared.size() >= limit && server_->prepared.size() > 0) {
        const auto oldest = server_->prepared.oldest();
        // One that this exchange prepared or bound is needed still: then the limit gives way.
        for (std::size_t i = 0; i < exchange_->expects.size(); ++i)
            if (exchange_->expects[i].statement == oldest) return;
        server_->prepared.erase(oldest);
        std::string message;
        wire::write_close(message, 'S', pool::prepared_name(oldest));
        turn_->server.copy(message);
        exchange_->expects.push({.kind = Kind::close, .swallow = true, .statement = oldest});
        if (base::planted(base::Plant::evicted_still_known))
            return server_->prepared.insert(oldest);
    }
}

/// Whether so many more statements are more than the client may have.
bool Session::full(std::size_t more) const noexcept {
    const auto& limits = env_.config().limits;
    return statements_.size() + more > limits.prepared_statements_per_client ||
           statements_.bytes() >= limits.prepared_memory_per_client;
}

bool Session::ensure_prepared(const Statement& statement, bool unnamed) {
    const bool there = unnamed ? server_->unnamed_statement == statement.id
                               : server_->prepared.touch(statement.id);
    if (there) return true;
    if (!unnamed) make_room();
    std::string message;
    wire::write_parse(message, unnamed ? "" : pool::prepared_name(statement.id), statement.text,
                      statement.types);
    turn_->server.copy(message);
    exchange_->expects.push({.kind = Kind::parse, .swallow = true, .statement = statement.id});
    if (unnamed)
        server_->unnamed_statement = statement.id;
    else
        server_->prepared.insert(statement.id);
    counters_.server_parse_count.add(1);
    return false;
}

/// Forwards `frame` with the name that stands `before` bytes into its body replaced.
void Session::forward_renamed(const Frame& frame, std::size_t before, std::size_t name_size,
                              std::string_view new_name) {
    char header[wire::kHeaderSize];
    header[0] = frame.type;
    const auto size = frame.size - name_size + new_name.size();
    base::store_u32(header + 1, static_cast<std::uint32_t>(size - 1));
    auto& out = turn_->server;
    out.copy({header, sizeof header});
    out.view(frame.body.substr(0, before));
    out.copy(new_name);
    out.view(frame.body.substr(before + name_size));
}

query::Kind Session::kind_of(const Statement& statement) {
    return judge(statement.text, statement.scan())->verdict->kind;
}

bool Session::has_statement(std::string_view name) const noexcept {
    return statements_.find(name) != nullptr || has_sql_statement(name);
}

/// Of a name that no message has given: whether SQL, or what was too long to be looked at, may have
/// given it. What stands in the server's unnamed slot, or under a name of ours, is another
/// session's.
bool Session::may_be_there(std::string_view name) const noexcept {
    if (name.empty() || name.starts_with(pool::kPreparedPrefix)) return false;
    const auto& x = *exchange_;
    return x.may_leave_state || x.suspect || pin_ != query::PinReason::none ||
           !has_its_statements() || has_sql_statement(name);
}

/// Others may have given the same statement another name. And what a name that is taken is refused
/// with, and whether one that the server has is refused, depends on whether the transaction has
/// failed by then.
bool Session::doubt_parse(std::string_view name, const StatementPtr& statement) {
    auto& x = *exchange_;
    if (doubt(name) || (statement != nullptr && doubt(statement->id))) return true;
    if (x.ready_expected == 0 || statement == nullptr) return false;
    const bool inside = tx_ != wire::TxStatus::idle || x.begun || x.acted;
    return x.in_doubt = has_statement(name) || (inside && server_->prepared.touch(statement->id));
}

/// What stands against it that the server cannot know.
std::optional<OwnError> Session::why_not_named(std::string_view name, const Statement& statement) {
    if (has_statement(name)) {
        if (failed_by_then(tx_, *exchange_) && !ends_transaction(kind_of(statement)))
            return own_error(kAborted);
        return OwnError{std::string(wire::sqlstate::kDuplicatePreparedStatement),
                        "prepared statement \"" + std::string(name) + "\" already exists", ""};
    }
    if (!full()) return std::nullopt;
    const auto limit = env_.config().limits.prepared_statements_per_client;
    const bool many = statements_.size() >= limit;
    return OwnError{
        std::string(wire::sqlstate::kProgramLimitExceeded),
        many ? "a session may have at most " + std::to_string(limit) + " prepared statements"
             : "the session's prepared statements are longer than is allowed",
        many ? "See limits.prepared_statements_per_client."
             : "See limits.prepared_memory_per_client."};
}

std::size_t Session::forward_parse(std::string_view view, const Frame& frame) {
    const bool whole = frame.status == FrameStatus::complete;
    if (!whole && frame.size <= env_.config().limits.statement_buffer) return 0;
    if (!whole) return forward_long_parse(view, frame);
    const bool raw = identity_->mode == config::PoolMode::session;
    ParseView parse;
    if (!parse_parse(frame.body, parse)) {
        protocol_error("invalid message format");
        return 0;
    }
    const auto statement =
        raw || parse.name.empty() ? nullptr : intern(parse.text, parse.raw_types);
    if (parse.name.empty() ? doubt_closed() : doubt_parse(parse.name, statement)) return 0;
    counters_.client_parse_count.add(1);
    begin_statement(true);
    if (pending_fills_ && pending_fills_->describes) begin_fills();
    if (raw) {
        auto s = StatementTable::make(parse.text, parse.raw_types);
        const auto id = s->id;
        bool noted = false;
        if (parse.name.empty()) {
            noted = note_unnamed(id);
            unnamed_ = std::move(s);
        } else if (full()) {
            statements_.erase(parse.name);  // its effects are not known then
        } else {
            noted = true;
            exchange_->parsed.push_back({id, std::string(parse.name), {}});
            statements_.set(parse.name, std::move(s));
        }
        expect({.kind = Kind::parse, .noted = noted, .statement = id});
        return forward_whole(view, frame);
    }
    if (parse.name.empty()) {
        auto s = unnamed_for(parse.text, parse.raw_types);
        const bool noted = note_unnamed(s->id);
        replace_unnamed(std::move(s));
        counters_.server_parse_count.add(1);
        expect({.kind = Kind::parse, .noted = noted, .statement = unnamed_->id});
        return forward_whole(view, frame);
    }
    if (auto error = why_not_named(parse.name, *statement)) {
        fail_batch(std::move(*error));
        return frame.size;
    }
    exchange_->parsed.push_back({statement->id, std::string(parse.name), {}});
    statements_.set(parse.name, statement);
    const bool there = server_->prepared.touch(statement->id);
    // In a failed transaction only the server can say which statement may be parsed, but for what
    // ends it.
    if (there && (!failed_by_then(tx_, *exchange_) || ends_transaction(kind_of(*statement)))) {
        expect({.kind = Kind::local_parse, .noted = true, .statement = statement->id});
        if (exchange_->expects.size() == 1) answer_local_front();
        return frame.size;
    }
    if (!there) {
        make_room();
        server_->prepared.insert(statement->id);
    }
    counters_.server_parse_count.add(1);
    expect({.kind = Kind::parse, .kept = there, .noted = true, .statement = statement->id});
    forward_renamed(frame, 0, parse.name.size(), pool::prepared_name(statement->id));
    return frame.size;
}

/// Too long to be remembered: it keeps its own name, on this server only, and what it does is not
/// known.
std::size_t Session::forward_long_parse(std::string_view view, const Frame& frame) {
    base::ByteReader r(frame.body);
    const auto name = r.cstring();
    if (!r.ok()) {
        if (frame.body.size() < 4096) return 0;
        protocol_error("invalid message format");
        return 0;
    }
    if (doubt(name)) return 0;
    counters_.client_parse_count.add(1);
    begin_statement(true);
    unknown_effects(query::PinReason::statement_too_large);
    std::uint64_t id = 0;
    bool noted = false;
    if (name.empty()) {
        auto s = StatementTable::make_unseen();
        id = s->id;
        noted = note_unnamed(id);
        unnamed_ = std::move(s);
    } else {
        statements_.erase(name);
    }
    expect({.kind = Kind::parse, .noted = noted, .statement = id});
    return stream_frame(view, frame);
}

/// A Parse alone of a statement that some server has parsed for the like of this session, or that
/// cannot be wrong: the server that is to run it prepares it then.
bool Session::answer_parse_here(std::string_view batch) {
    const auto frame = wire::scan_frame(batch);
    ParseView parse;
    if (tx_ == wire::TxStatus::failed || frame.type != wire::fe::kParse ||
        !parse_parse(frame.body, parse) || parse.name.empty())
        return false;
    if (has_statement(parse.name) || full()) return false;
    auto statement = intern(parse.text, parse.raw_types);
    if (!statement->known_to(identity_->context.id)) {
        const auto kind = kind_of(*statement);
        if (kind != query::Kind::begin && !ends_transaction(kind)) return false;
    }
    counters_.client_parse_count.add(1);
    statements_.set(parse.name, std::move(statement));
    std::string out;
    wire::write_message(out, wire::be::kParseComplete);
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
    return true;
}

/// Makes the server fail here, so that it skips the rest of the batch as PostgreSQL would, and has
/// the client told `error` in place of its words; one without an SQLSTATE is the name to be told in
/// them.
void Session::fail_batch(OwnError error) {
    std::string body = "S";
    base::append_cstring(body, kNoSuchStatement);
    std::string message;
    wire::write_message(message, wire::fe::kDescribe, body);
    turn_->server.copy(message);
    expect({.kind = Kind::describe_statement,
            .own_error = true,
            .statement = exchange_->errors.push(std::move(error))});
}

/// With the values of the Bind's body, where all of it is here, since they tell rows from others.
void Session::apply_bind_effects(const MemoEntry& memo, const Statement& statement,
                                 std::string_view body) {
    BindView bind;
    const bool by_rows =
        !body.empty() && !memo.verdict->written_rows.empty() && parse_bind(body, bind);
    const query::KeyValues values{statement.text, bind.parameters, statement.types};
    apply_effects(memo, by_rows ? &values : nullptr);
}

/// It may be executed later, and a hit must not take its place meanwhile.
void Session::note_portal(std::string_view name) noexcept {
    exchange_->bound = true;
    exchange_->bound_unnamed = name.empty();
    if (!name.empty()) exchange_->bound_name = name;
    if (name.empty()) portal_ = UnnamedPortal::servers;
    exchange_->acted = exchange_->acted || !name.empty();
}

/// What the statement of a Bind does beyond its answer. False: it may not run, and that is told.
bool Session::apply_bind(const Frame& frame, std::string_view name, const StatementPtr& statement,
                         MemoPtr memo, std::string_view values, bool as_sent) {
    auto& x = *exchange_;
    const bool whole = frame.status == FrameStatus::complete;
    if (statement == nullptr) {
        x.works.push({});
        x.copy_bound = true;
        unknown_effects(query::PinReason::none);  // a statement made by SQL PREPARE, or none
        std::string by_sql = "EXECUTE ";
        pool::append_identifier(by_sql, name);
        const auto runs = sql_ != nullptr ? executed(by_sql) : nullptr;
        if (runs == nullptr || runs->verdict->writes == query::Writes::all_databases)
            x.writes().add(identity_->context.database->everything());
        return true;
    }
    x.statement = statement;
    x.statement_name = name;
    const auto& verdict = *memo->verdict;
    if (whole && refused_in_statement_mode(verdict))
        return fail_batch(own_error(kNoTransactions)), false;
    if (whole && may_pin(verdict) && !has_pin_place()) return fail_pin(), false;
    if (verdict.kind == query::Kind::set) note_timeout(statement->text);
    if (copies(verdict, statement->text) != Copies::none) x.copy_bound = true;
    if (listening_ != nullptr) heed_channels(verdict, statement->text);
    apply_bind_effects(*memo, *statement, whole && as_sent ? frame.body : std::string_view());
    const auto& slow = env_.config().slow_log;
    x.works.push({std::move(memo), statement,
                  slow.parameters || slow.explain ? std::string(values) : std::string()});
    return true;
}

std::size_t Session::forward_bind(std::string_view view, const Frame& frame) {
    const bool whole = frame.status == FrameStatus::complete;
    const bool large = frame.size > env_.config().limits.statement_buffer;
    if (!whole && !large) return 0;
    base::ByteReader r(frame.body);
    const auto portal = r.cstring();
    const auto name = r.cstring();
    if (!r.ok()) {
        if (!whole && frame.body.size() < 4096) return 0;
        protocol_error("invalid message format");
        return 0;
    }
    if (doubt(name)) return 0;
    const auto* found = statement_here(name);
    const bool ours = identity_->mode != config::PoolMode::session;
    const bool old =
        found != nullptr && (ours ? outdated(**found) && !serves_still(**found, name.empty())
                                  : destroyed(name, **found));
    const auto meaning = old ? meaning_now(view, frame, portal, name) : Meaning::same;
    if (meaning == Meaning::asked) [[unlikely]]
        return 0;
    // Its own copy: what it does may take the client's names away.
    const bool known = found != nullptr && !(*found)->unseen;
    const auto statement = known ? *found : nullptr;
    auto memo = statement != nullptr ? judge(statement->text, statement->scan()) : nullptr;
    if (memo != nullptr && waits_for_clear_way(*memo->verdict)) return 0;
    if (memo != nullptr && memo->may_name_statement && doubt_names()) return 0;
    StatementPtr other;
    std::string parameters;  // in place of the client's
    if (ours && whole && memo != nullptr && memo->may_name_processes) [[unlikely]] {
        other = statement;
        if (BindView bind; parse_bind(frame.body, bind) && !name_processes(other, bind, parameters))
            return 0;
    }
    const auto& executed = other != nullptr ? other : statement;
    if (!ours && memo != nullptr && memo->verdict->pin == query::PinReason::prepare) [[unlikely]]
        prepare_for_sql(statement->text);
    const bool takes = memo != nullptr && may_take(memo->verdict->kind, statement->text);
    begin_statement(true);
    counters_.bind_count.add(1);
    note_portal(portal);
    const auto fill = next_fill();
    if (ours && found == nullptr && !may_be_there(name)) {
        fail_batch(name.empty() ? OwnError{std::string(wire::sqlstate::kInvalidSqlStatementName),
                                           "unnamed prepared statement does not exist", ""}
                                : OwnError{"", std::string(name), ""});
        return skip_frame(view, frame);
    }
    if (meaning == Meaning::another) [[unlikely]] {
        fail_batch(own_error(kResultChanged));
        return skip_frame(view, frame);
    }
    const bool as_sent = executed == statement && parameters.empty();
    if (!apply_bind(frame, name, statement, std::move(memo), r.rest(), as_sent)) return frame.size;
    // COMMIT, CALL and their kin take effect at their Execute, before any Sync.
    if (exchange_->may_end_transaction) raise_fence();
    exchange_->current_fill = fill;
    std::string_view server_name = name;
    std::string ours_now;
    // In session pools, too, a query of the proxy's own may have destroyed the unnamed one.
    if (executed != nullptr && (ours || name.empty())) {
        ensure_prepared(*executed, name.empty());
        if (!name.empty()) server_name = ours_now = pool::prepared_name(executed->id);
    }
    expect({.kind = Kind::bind, .fill = fill, .statement = executed != nullptr ? executed->id : 0});
    if (takes || !exchange_->takers.empty()) [[unlikely]]
        note_taker(portal, takes ? statement : nullptr);
    return send_bind(view, frame, name, server_name, parameters);
}

/// `parameters`: in place of the client's, if not empty; then the frame is whole.
std::size_t Session::send_bind(std::string_view view, const Frame& frame, std::string_view name,
                               std::string_view server_name, std::string_view parameters) {
    const bool whole = frame.status == FrameStatus::complete;
    if (!parameters.empty()) {
        BindView bind;
        parse_bind(frame.body, bind);
        std::string rest(parameters);
        rest += frame.body.substr(bind.names_size + bind.parameters.size());
        std::string message;
        wire::write_bind(message, bind.portal, server_name, rest);
        turn_->server.copy(message);
        return frame.size;
    }
    if (server_name == name) return whole ? forward_whole(view, frame) : stream_frame(view, frame);
    const auto before = static_cast<std::size_t>(name.data() - frame.body.data());
    forward_renamed(frame, before, name.size(), server_name);
    if (whole) return frame.size;
    client_left_ = frame.size - view.size();
    return view.size();
}

std::size_t Session::forward_describe(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) return 0;
    base::ByteReader r(frame.body);
    const char kind = static_cast<char>(r.u8());
    const auto name = r.cstring();
    if (!r.done()) {
        protocol_error("invalid message format");
        return 0;
    }
    const bool statement = kind == 'S';
    if (statement && doubt(name)) return 0;
    if (!statement && name.empty() && portal_ != UnnamedPortal::servers) [[unlikely]]
        restore_portal();
    begin_statement(true);
    const auto fill = statement ? next_fill() : exchange_->current_fill;
    if (statement) renew(name);
    const auto* found = statement ? statement_here(name) : nullptr;
    const bool ours = identity_->mode != config::PoolMode::session;
    if (ours && statement && found == nullptr && name.empty()) {
        fail_batch({std::string(wire::sqlstate::kInvalidSqlStatementName),
                    "unnamed prepared statement does not exist", ""});
        return frame.size;
    }
    if (found != nullptr && (ours || name.empty()) && !(*found)->unseen)
        ensure_prepared(**found, name.empty());
    if (fill != 0 && statement && !parse_is_due(found != nullptr ? (*found)->id : 0))
        exchange_->fills[fill - 1].mark_unfit();
    const auto* described = statement ? found : bound_last(name);
    expect({.kind = statement ? Kind::describe_statement : Kind::describe_portal,
            .learns =
                described != nullptr &&
                to_be_learned(statement ? name : exchange_->statement_name, *described, statement),
            .tells = tells_renewed(),
            .fill = fill,
            .statement = found != nullptr ? (*found)->id : 0});
    if (!ours || !statement || (found != nullptr && name.empty()))
        return forward_whole(view, frame);
    if (found != nullptr)
        forward_renamed(frame, 1, name.size(), pool::prepared_name((*found)->id));
    else if (name.starts_with(pool::kPreparedPrefix))
        forward_renamed(frame, 1, name.size(), kNoSuchStatement);
    else
        return forward_whole(view, frame);
    return frame.size;
}

std::size_t Session::forward_close(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) return 0;
    base::ByteReader r(frame.body);
    const char kind = static_cast<char>(r.u8());
    const auto name = r.cstring();
    if (!r.done()) {
        protocol_error("invalid message format");
        return 0;
    }
    if (kind == 'S' && doubt(name)) return 0;
    const auto* known = kind == 'S' ? find_statement(name) : nullptr;
    std::uint64_t id = 0;
    if (known != nullptr) {
        const bool ours = identity_->mode != config::PoolMode::session && !(*known)->unseen;
        id = (*known)->id;
        note_closed(name, *known);
        forget_statement(name);
        if (ours) {
            expect({.kind = Kind::local_close, .statement = id});
            if (exchange_->expects.size() == 1) answer_local_front();
            return frame.size;
        }
    }
    if (kind == 'P' && name.empty()) portal_ = UnnamedPortal::servers;
    // It may be another client's, which is parsed anew.
    if (kind == 'S' && name.empty()) server_->unnamed_statement = 0;
    expect({.kind = Kind::close, .statement = id});
    if (kind == 'S' && has_sql_statement(name)) exchange_->suspect = true;
    if (kind == 'S' && identity_->mode != config::PoolMode::session &&
        name.starts_with(pool::kPreparedPrefix)) {
        forward_renamed(frame, 1, name.size(), kNoSuchStatement);
        return frame.size;
    }
    return forward_whole(view, frame);
}

void Session::answer_local_front() {
    auto& x = *exchange_;
    while (!x.expects.empty()) {
        const auto kind = x.expects.front().kind;
        if (kind == Kind::local_parse) {
            if (x.expects.front().noted) confirm_name(x.expects.front().statement);
            turn_->client.copy(std::string_view("1\0\0\0\4", 5));
        } else if (kind == Kind::local_close) {
            turn_->client.copy(std::string_view("3\0\0\0\4", 5));
            x.closed.erase(x.closed.begin());
        } else {
            return;
        }
        x.expects.pop();
    }
}

/// Whether the server parses it anew behind what it has answered. What it parsed before it may
/// describe as things were then.
bool Session::parse_is_due(std::uint64_t statement) const noexcept {
    constexpr std::size_t kFar = 64;  // mostly it is the message before
    const auto& expects = exchange_->expects;
    const auto n = expects.size();
    for (std::size_t i = n; i > 0 && n - i < kFar; --i)
        if (expects[i - 1].kind == Kind::parse && expects[i - 1].statement == statement)
            return statement != 0;
    return false;
}

}  // namespace pgweir::session
