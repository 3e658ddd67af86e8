// Session: prepared statements. In transaction and statement mode the client's names are its own
// affair: on a server a statement has a name made from its number, is prepared where it lacks, and
// answers about it come in the order the client asked (poolers' traps 51 to 65).
#include "batch_plan.hpp"
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
}  // namespace

const StatementPtr* Session::find_statement(std::string_view name) const noexcept {
    if (name.empty()) return unnamed_ ? &unnamed_ : nullptr;
    return statements_.find(name);
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
        exchange_->expects.push({.kind = Kind::close, .swallow = true});
    }
}

bool Session::ensure_prepared(const Statement& statement, bool unnamed) {
    if (unnamed) {
        if (server_->unnamed_statement == statement.id) return true;
    } else if (server_->prepared.touch(statement.id)) {
        return true;
    }
    if (!unnamed) make_room();
    std::string message;
    wire::write_parse(message, unnamed ? "" : pool::prepared_name(statement.id), statement.text, statement.types);
    turn_->server.copy(message);
    exchange_->expects.push({.kind = Kind::parse, .swallow = true, .statement = statement.id});
    if (unnamed) server_->unnamed_statement = statement.id;
    else server_->prepared.insert(statement.id);
    leaser_.counters().server_parse_count.add(1);
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

std::size_t Session::forward_parse(std::string_view view, const Frame& frame) {
    leaser_.counters().client_parse_count.add(1);
    const bool raw = identity_->mode == config::PoolMode::session;
    if (frame.status != FrameStatus::complete) {
        if (frame.size <= env_.config().limits.statement_buffer) return 0;
        // Too long to be remembered: it keeps its own name, on this server only.
        begin_statement(true);
        unknown_effects(query::PinReason::statement_too_large);
        expect({.kind = Kind::parse});
        return stream_frame(view, frame);
    }
    ParseView parse;
    if (!parse_parse(frame.body, parse)) {
        protocol_error("invalid message format");
        return 0;
    }
    begin_statement(true);
    if (raw) {
        auto s = StatementTable::make(parse.text, parse.raw_types);
        if (parse.name.empty()) unnamed_ = std::move(s);
        else statements_.set(parse.name, std::move(s));
        expect({.kind = Kind::parse});
        return forward_whole(view, frame);
    }
    if (parse.name.empty()) {
        unnamed_ = StatementTable::make(parse.text, parse.raw_types);
        server_->unnamed_statement = unnamed_->id;
        leaser_.counters().server_parse_count.add(1);
        expect({.kind = Kind::parse, .statement = unnamed_->id});
        return forward_whole(view, frame);
    }
    if (statements_.size() >= env_.config().limits.prepared_statements_per_client) {
        fatal({.severity = "FATAL", .sqlstate = wire::sqlstate::kProgramLimitExceeded,
               .message = "too many prepared statements", .hint = "limits.prepared_statements_per_client"});
        return 0;
    }
    const bool taken = statements_.find(parse.name) != nullptr;
    const auto statement = env_.statements.intern(parse.text, parse.raw_types, identity_->profile->id);
    const bool failed_tx = tx_ == wire::TxStatus::failed;
    if (taken || failed_tx) {
        // The server must refuse this one itself, so that it fails what follows in the batch: a name
        // that is taken there, or any Parse in a failed transaction.
        if (taken) {
            duplicate_name_ = parse.name;
            ensure_prepared(*statement, false);
        }
        expect({.kind = Kind::parse, .duplicate = taken, .statement = taken ? 0 : statement->id});
        forward_renamed(frame, 0, parse.name.size(), pool::prepared_name(statement->id));
        if (!taken) {
            server_->prepared.insert(statement->id);
            statements_.set(parse.name, statement);
        }
        return frame.size;
    }
    statements_.set(parse.name, statement);
    if (server_->prepared.touch(statement->id)) {
        expect({.kind = Kind::local_parse, .statement = statement->id});
        if (exchange_->expects.size() == 1) answer_local_front();
        return frame.size;
    }
    make_room();
    server_->prepared.insert(statement->id);
    leaser_.counters().server_parse_count.add(1);
    expect({.kind = Kind::parse, .statement = statement->id});
    forward_renamed(frame, 0, parse.name.size(), pool::prepared_name(statement->id));
    return frame.size;
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
    begin_statement(true);
    leaser_.counters().bind_count.add(1);
    auto& x = *exchange_;
    const auto* found = find_statement(name);
    if (found != nullptr) {
        x.statement = *found;
        apply_effects(*judge((*found)->text, (*found)->scan));
    } else {
        unknown_effects(query::PinReason::none);  // a statement made by SQL PREPARE, or none
    }
    if (pending_fill_) begin_fill();
    pending_fill_.reset();
    const auto before = portal.size() + 1;
    std::uint64_t id = 0;
    std::string server_name(name);
    if (identity_->mode != config::PoolMode::session && found != nullptr) {
        id = (*found)->id;
        ensure_prepared(**found, name.empty());
        if (!name.empty()) server_name = pool::prepared_name(id);
    } else if (identity_->mode != config::PoolMode::session && name.starts_with(pool::kPreparedPrefix)) {
        server_name = kNoSuchStatement;
    }
    expect({.kind = Kind::bind, .statement = id});
    if (server_name == name) return whole ? forward_whole(view, frame) : stream_frame(view, frame);
    forward_renamed(frame, before, name.size(), server_name);
    if (whole) return frame.size;
    client_left_ = frame.size - view.size();
    return view.size();
}

std::size_t Session::forward_describe(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) {
        if (frame.size > 4096) protocol_error("invalid message format");
        return 0;
    }
    base::ByteReader r(frame.body);
    const char kind = static_cast<char>(r.u8());
    const auto name = r.cstring();
    if (!r.done()) {
        protocol_error("invalid message format");
        return 0;
    }
    begin_statement(true);
    const bool statement = kind == 'S';
    const auto* found = statement ? find_statement(name) : nullptr;
    const bool ours = identity_->mode != config::PoolMode::session;
    if (ours && found != nullptr) ensure_prepared(**found, name.empty());
    expect({.kind = statement ? Kind::describe_statement : Kind::describe_portal,
            .statement = found != nullptr ? (*found)->id : 0});
    if (!ours || !statement || (found != nullptr && name.empty())) return forward_whole(view, frame);
    if (found != nullptr) forward_renamed(frame, 1, name.size(), pool::prepared_name((*found)->id));
    else if (name.starts_with(pool::kPreparedPrefix)) forward_renamed(frame, 1, name.size(), kNoSuchStatement);
    else return forward_whole(view, frame);
    return frame.size;
}

std::size_t Session::forward_close(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) {
        if (frame.size > 4096) protocol_error("invalid message format");
        return 0;
    }
    base::ByteReader r(frame.body);
    const char kind = static_cast<char>(r.u8());
    const auto name = r.cstring();
    if (!r.done()) {
        protocol_error("invalid message format");
        return 0;
    }
    const bool known = kind == 'S' && find_statement(name) != nullptr;
    if (known) {
        if (name.empty()) unnamed_.reset();
        else statements_.erase(name);
        if (identity_->mode != config::PoolMode::session) {
            expect({.kind = Kind::local_close});
            if (exchange_->expects.size() == 1) answer_local_front();
            return frame.size;
        }
    }
    expect({.kind = Kind::close});
    if (kind == 'S' && identity_->mode != config::PoolMode::session && name.starts_with(pool::kPreparedPrefix)) {
        forward_renamed(frame, 1, name.size(), kNoSuchStatement);
        return frame.size;
    }
    return forward_whole(view, frame);
}

void Session::answer_local_front() {
    auto& x = *exchange_;
    while (!x.expects.empty()) {
        const auto kind = x.expects.front().kind;
        if (kind == Kind::local_parse) turn_->client.copy(std::string_view("1\0\0\0\4", 5));
        else if (kind == Kind::local_close) turn_->client.copy(std::string_view("3\0\0\0\4", 5));
        else return;
        x.expects.pop();
    }
}

void Session::forget_all_statements() {
    statements_.clear();
    unnamed_.reset();
    server_->prepared.clear();
    server_->unnamed_statement = 0;
}

}  // namespace pgweir::session
