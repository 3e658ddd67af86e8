// Session: frames from the server. Looks at type and length, passes runs of bytes on as they are,
// takes out what the proxy asked for itself, puts in what it answers itself, and counts what is
// owed.
#include <charconv>

#include "inspection.hpp"
#include "listening.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace be = wire::be;
using wire::FrameStatus;
using Kind = Expect::Kind;

namespace {
/// Frames that must be seen whole are held up to this size. Errors and notices may quote a value of
/// the client; no honest server sends others that long.
constexpr std::size_t hold_bound(char type) noexcept {
    const bool quotes = type == be::kErrorResponse || type == be::kNoticeResponse;
    return std::size_t{1024} * 1024 * (quotes ? 64 : 1);
}
constexpr std::size_t kLoggedError = 4096;  // bytes of a message in the slow log
constexpr std::size_t kReadySize = wire::kHeaderSize + 1;
constexpr std::string_view kNobodysName = "\1";  // as application_name: to be set anew

bool streamable(char type) noexcept {
    return type == be::kDataRow || type == be::kCopyData || type == be::kFunctionCallResponse;
}
}  // namespace

/// The run of bytes of the present event that goes to the client unchanged.
struct Session::Run {
    Gather& out;
    std::string_view bytes;
    std::size_t begin = 0;  // of the run
    std::size_t at = 0;     // of the frame being looked at

    void emit() {
        if (at > begin) out.view(bytes.substr(begin, at - begin));
        begin = at;
    }
    /// The frame at `at` of `size` bytes stays behind.
    void drop(std::size_t size) {
        emit();
        at += size;
        begin = at;
    }
};

void Session::emit(Run& run) { run.emit(); }

void Session::on_server_bytes(std::string_view bytes) noexcept {
    if (ended_ || server_ == nullptr) return;
    const TurnScope scope(*this);
    if (!exchange_) exchange_ = env_.exchanges.take();
    const bool held = exchange_->begin || held_back();
    if (exchange_->first_byte == 0) exchange_->first_byte = env_.now();
    exchange_->bytes += bytes.size();
    Run run{turn_->client, bytes};
    if (held_ != nullptr)
        run.at = run.begin = complete_held(run, bytes);
    else if (!held && reply_left_ == 0 && whole_answer(run))
        return;
    if (ended_ || server_ == nullptr) return;  // by what was held
    local_replies(run);
    while (run.at < bytes.size() && !ended_) {
        if (reply_left_ > 0) {
            const auto n = std::min<std::uint64_t>(reply_left_, bytes.size() - run.at);
            if (!exchange_->expects.empty()) tee(bytes.substr(run.at, n));
            reply_left_ -= n;
            if (reply_swallowed_)
                run.drop(n);
            else
                run.at += n;
            continue;
        }
        run.at += pass_usual(bytes.substr(run.at));
        local_replies(run);
        const auto rest = bytes.substr(run.at);
        if (rest.empty()) break;
        const auto frame = wire::scan_frame(rest);
        if (frame.status == FrameStatus::bad_length || !wire::is_server_message(frame.type)) {
            run.emit();
            server_violation("the server sent a malformed message");
            return;
        }
        if (frame.status == FrameStatus::complete) {
            const auto whole = rest.substr(0, frame.size);
            switch (on_server_frame(run, frame.type, frame.body, whole)) {
                case Reply::forward: run.at += frame.size; break;
                case Reply::swallow: run.drop(frame.size); break;
                case Reply::violation: return;
            }
            if (local_is_next()) local_replies(run);
            continue;
        }
        if (frame.status == FrameStatus::partial && streamable(frame.type) && !inspecting()) {
            if (exchange_->expects.empty()) {
                server_violation("the server sent data nobody asked for");
                return;
            }
            reply_left_ = frame.size;
            reply_swallowed_ = exchange_->expects.front().swallow;
            if (frame.type == be::kDataRow) ++exchange_->rows;
            continue;
        }
        run.emit();
        if (!hold(rest, frame.size)) return;
        break;
    }
    if (ended_) return;
    run.emit();
    if (client_.queued() > kHighWater && server_ != nullptr) server_->set_reading(false);
    // In doubt it may be since an answer among these, and they may have brought what it waits for.
    if (server_ != nullptr && (held || exchange_->in_doubt)) {
        exchange_->in_doubt = false;
        consume_buffer();
    }
    if (server_ == nullptr || ended_) return;
    if (exchange_->expects.empty()) maybe_release();
}

/// Whether a message of this type is the usual answer to what is due, and the last; it is counted
/// then.
Session::Usual Session::take_usual(char type, const Expect& due) {
    auto& x = *exchange_;
    if (due.swallow || due.learns) return Usual::no;
    const auto only = [&](Kind kind) { return due.kind == kind ? Usual::done : Usual::no; };
    switch (type) {
        case be::kDataRow:
            if (due.kind != Kind::query && due.kind != Kind::execute) return Usual::no;
            ++x.rows;
            return Usual::more;
        case be::kCommandComplete:
            if (due.kind == Kind::query) return Usual::more;
            if (due.kind == Kind::execute) finish_execute(due.work);
            return only(Kind::execute);
        case be::kRowDescription:
            if (due.kind == Kind::query) return Usual::more;
            return due.kind == Kind::describe_portal ? Usual::done : only(Kind::describe_statement);
        case be::kParameterDescription:
            return due.kind == Kind::describe_statement ? Usual::more : Usual::no;
        case be::kParseComplete:
            if (due.kind == Kind::parse && due.noted) confirm_name(due.statement);
            return only(Kind::parse);
        case be::kBindComplete: return only(Kind::bind);
        default: return Usual::no;
    }
}

/// The whole frames at the start of `bytes` that need nothing but to be counted: they answer the
/// client's own messages in the usual way. Gives their size.
std::size_t Session::pass_usual(std::string_view bytes) {
    auto& expects = exchange_->expects;
    const Expect* due = expects.begin();
    const Expect* const end = expects.end();
    std::size_t at = 0;
    std::size_t kept = 0;  // up to here the fills have it
    std::uint16_t fill = 0;
    while (bytes.size() - at >= wire::kHeaderSize && due != end) {
        const std::size_t length = base::load_u32(bytes.data() + at + 1);
        if (length < 4 || length >= bytes.size() - at) break;
        if (bytes[at] == be::kCommandComplete && !due->swallow) {
            if (due->takes) break;
            count_affected(bytes.substr(at + wire::kHeaderSize, length - 4));
        }
        const auto taken = take_usual(bytes[at], *due);
        if (taken == Usual::no) break;
        if (due->fill != fill) {
            append_to_fill(fill, bytes.substr(kept, at - kept));
            fill = due->fill;
            kept = at;
        }
        if (taken == Usual::done) ++due;
        at += length + 1;
    }
    expects.pop_to(due);
    append_to_fill(fill, bytes.substr(kept, at - kept));
    return at;
}

/// The usual case at once: up to the ReadyForQuery of a Query or batch behind which nothing is in
/// flight. Otherwise `run` stands behind what was usual.
bool Session::whole_answer(Run& run) {
    auto& x = *exchange_;
    run.at = pass_usual(run.bytes);
    const auto rest = run.bytes.substr(run.at);
    if (rest.size() != kReadySize || rest[0] != be::kReadyForQuery ||
        base::load_u32(rest.data() + 1) != kReadySize - 1)
        return false;
    if (x.expects.size() != 1 || x.lost || x.begin_failed || x.taking || listening_ != nullptr)
        return false;
    const auto& front = x.expects.front();
    if (front.swallow || front.again || (front.kind != Kind::query && front.kind != Kind::sync))
        return false;
    const char status = rest[wire::kHeaderSize];
    if (status != 'I' && status != 'T' && status != 'E') return false;
    if (front.work != 0 && x.sqlstate.empty()) x.work = front.work;
    x.ended = front.batch;
    x.expects.pop();
    --x.ready_expected;
    ready(static_cast<wire::TxStatus>(status));
    run.at = run.bytes.size();
    run.emit();
    if (client_.queued() > kHighWater) server_->set_reading(false);
    if (x.expects.empty()) maybe_release();
    return true;
}

/// What comes is for the proxy, and is looked at whole.
bool Session::inspecting() const noexcept {
    const auto& expects = exchange_->expects;
    return !expects.empty() && (expects.front().inspect || expects.front().stamp);
}

bool Session::local_is_next() const noexcept {
    const auto& expects = exchange_->expects;
    return !expects.empty() &&
           (expects.front().kind == Kind::local_parse || expects.front().kind == Kind::local_close);
}

bool Session::hold(std::string_view rest, std::size_t frame_size) {
    if (frame_size > hold_bound(rest.front())) {
        server_violation("the server sent a message that is too long");
        return false;
    }
    held_ = std::make_unique<std::string>(rest);
    return true;
}

/// Adds to the held frame what it lacks; gives how many of `bytes` that took.
std::size_t Session::complete_held(Run&, std::string_view bytes) {
    std::size_t taken = 0;
    while (held_ != nullptr) {
        const auto frame = wire::scan_frame(*held_);
        if (frame.status == FrameStatus::bad_length || frame.size > hold_bound(frame.type)) {
            server_violation("the server sent a malformed message");
            return bytes.size();
        }
        if (frame.status == FrameStatus::complete) {
            const auto whole = std::move(held_);
            Run own{turn_->client, *whole};
            const auto f = wire::scan_frame(*whole);
            const auto reply = on_server_frame(own, f.type, f.body, *whole);
            if (reply == Reply::violation) return bytes.size();
            if (reply == Reply::swallow)
                own.drop(whole->size());
            else
                own.at += whole->size();
            if (own.at > own.begin)
                turn_->client.copy(own.bytes.substr(own.begin, own.at - own.begin));
            Run none{turn_->client, {}};
            local_replies(none);
            return taken;
        }
        const auto want = frame.status == FrameStatus::partial ? frame.size : wire::kHeaderSize;
        const auto n = std::min<std::size_t>(want - held_->size(), bytes.size() - taken);
        if (n == 0) return taken;
        held_->append(bytes.substr(taken, n));
        taken += n;
        const auto now = wire::scan_frame(*held_);
        if (now.status == FrameStatus::partial && streamable(now.type) && !inspecting()) {
            // A row whose header was cut: pass on what is here and stream the rest.
            reply_left_ = now.size - held_->size();
            reply_swallowed_ = !exchange_->expects.empty() && exchange_->expects.front().swallow;
            if (now.type == be::kDataRow) ++exchange_->rows;
            if (!exchange_->expects.empty()) tee(*held_);
            if (!reply_swallowed_) turn_->client.copy(*held_);
            held_.reset();
            return taken;
        }
    }
    return taken;
}

void Session::local_replies(Run& run) {
    while (local_is_next()) {
        run.emit();
        answer_local_front();
    }
}

void Session::append_to_fill(std::uint16_t fill, std::string_view bytes) {
    auto& fills = exchange_->fills;
    if (fill != 0 && fill <= fills.size()) fills[fill - 1].append(bytes);
}

/// For the fill of the answer that is due.
void Session::tee(std::string_view bytes) {
    append_to_fill(exchange_->expects.front().fill, bytes);
}

/// What comes between answers spoils them all.
void Session::tee_to_all(std::string_view whole) {
    for (auto& fill : exchange_->fills) fill.append(whole);
}

Session::Reply Session::on_server_frame(Run& run, char type, std::string_view body,
                                        std::string_view whole) {
    auto& x = *exchange_;
    const bool asked = !x.expects.empty();
    switch (type) {
        case be::kNotificationResponse:  // whenever it is
            tee_to_all(whole);
            return on_own_notification(run, whole);
        case be::kNoticeResponse:
        case be::kParameterStatus:
            // What RESET undid and we set again is news to the client.
            if (asked && x.expects.front().swallow && !x.expects.front().quiet)
                return Reply::swallow;
            if (base::planted(base::Plant::no_parameter_status) && type == be::kParameterStatus)
                return Reply::swallow;
            if (type == be::kParameterStatus) note_parameter(body);
            tee_to_all(whole);
            return Reply::forward;
        case be::kErrorResponse: return on_error(run, body);
        default: break;
    }
    if (!asked || std::string_view("RKv").find(type) != std::string_view::npos) {  // of logins
        server_violation("the server answered what nobody asked");
        return Reply::violation;
    }
    const bool swallow = x.expects.front().swallow;
    switch (type) {
        case be::kDataRow:
            if (x.expects.front().inspect) {
                x.inspection->take_row(body, identity_->user);
                return Reply::swallow;
            }
            if (x.expects.front().stamp) return take_stamp(body);
            if (!swallow) ++x.rows;
            tee(whole);
            return swallow ? Reply::swallow : Reply::forward;
        case be::kReadyForQuery: return on_ready_for_query(run, body);
        case be::kParseComplete: return answer(run, Kind::parse, whole);
        case be::kBindComplete: return answer(run, Kind::bind, whole);
        case be::kCloseComplete: return answer(run, Kind::close, whole);
        case be::kCommandComplete:
        case be::kEmptyQueryResponse:
        case be::kPortalSuspended: return completion(whole, type);
        case be::kParameterDescription:
        case be::kRowDescription:
        case be::kNoData:
            tee(whole);
            if (x.expects.front().learns) learn(whole);
            if (x.expects.front().describes() && type != be::kParameterDescription) {
                if (x.expects.front().tells && !x.renewed.empty())
                    x.renewed.erase(x.renewed.begin());
                x.expects.pop();
            }
            return swallow ? Reply::swallow : Reply::forward;
        case be::kCopyInResponse:
        case be::kCopyOutResponse:
        case be::kCopyBothResponse: return on_copy_response(type);
        default: break;
    }
    tee(whole);
    return swallow ? Reply::swallow : Reply::forward;
}

Session::Reply Session::answer(Run&, Kind kind, std::string_view whole) {
    auto& x = *exchange_;
    const auto front = x.expects.front();
    if (front.kind != kind) {
        server_violation("the server's answers are out of order");
        return Reply::violation;
    }
    if (!front.swallow) tee(whole);
    x.expects.pop();
    if (kind == Kind::parse && front.noted) confirm_name(front.statement);
    if (kind == Kind::close && !front.swallow && front.statement != 0)
        x.closed.erase(x.closed.begin());
    return front.swallow ? Reply::swallow : Reply::forward;
}

Session::Reply Session::completion(std::string_view whole, char type) {
    auto& x = *exchange_;
    const auto front = x.expects.front();
    if (front.kind != Kind::execute &&
        (front.kind != Kind::query || type == be::kPortalSuspended)) {
        server_violation("the server completed what was not begun");
        return Reply::violation;
    }
    tee(whole);
    x.copy_syncs = 0;  // COPY has swallowed them
    if (type == be::kPortalSuspended) x.acted = true;
    if (type == be::kCommandComplete && !front.swallow) {
        const auto tag = whole.substr(wire::kHeaderSize);
        if (front.takes) note_taken(tag);
        count_affected(tag);
    }
    if (front.kind == Kind::execute) {
        x.expects.pop();
        if (front.takes) end_taking();
        if (front.resets && x.lost) restore_in_batch(*std::exchange(x.lost, nullptr));
        if (front.begin) x.begin.reset();
        finish_execute(front.work);
    }
    return front.swallow ? Reply::swallow : Reply::forward;
}

Session::Reply Session::on_copy_response(char type) {
    auto& x = *exchange_;
    for (auto& fill : x.fills) fill.mark_unfit();
    x.timed = false;
    auto& reads = x.expects.front().copies;
    if (type == be::kCopyOutResponse) {
        if (reads == Copies::one) reads = Copies::none;
        return Reply::forward;
    }
    if (type != be::kCopyInResponse || reads == Copies::none) {
        server_violation("the server began a COPY that nobody asked for");
        return Reply::violation;
    }
    // What ended the COPY may have been sent in the same breath as what began it.
    copy_in_ = reads != Copies::ended;
    x.copy_syncs = 0;
    return Reply::forward;
}

Session::Reply Session::on_error(Run& run, std::string_view body) {
    auto& x = *exchange_;
    auto fields = wire::parse_error_fields(body);
    const auto own = sql_ != nullptr ? why_unmade(fields) : std::string_view();
    if (!own.empty()) fields = wire::parse_error_fields(own);
    // Its last word is the client's to hear, whoever it answers.
    const bool last = fields.severity == "FATAL" || fields.severity == "PANIC";
    fatal_seen_ = fatal_seen_ || last;
    send_kept_syncs();
    if (base::planted(base::Plant::failed_statement_drops_writes)) x.written = {};
    for (auto& fill : x.fills) fill.mark_unfit(cache::Unfit::error);
    counters_.errors.add(1);
    if (x.expects.empty()) return Reply::forward;
    const auto front = x.expects.front();
    if (last && front.swallow) return Reply::forward;
    if (front.kind == Kind::query && front.swallow) {
        if (front.inspect) x.inspection->failed = true;
        if (front.channels && listening_ != nullptr) listening_->failed = true;
        if (front.quiet) server_->sequence_owner = pool::ServerLink::kSeveralOwners;
        if (front.remakes) note_unmade(front.statement, body);
        if (front.label) {
            server_->application_name = kNobodysName;
            // Meant for what the client asks, which goes on.
            if (fields.sqlstate == wire::sqlstate::kQueryCanceled && x.expects.size() > 1)
                leaser_.cancel(*server_, {});
        }
        if (front.unheard()) return Reply::swallow;
        // Our own settings were refused. The client gets the server's words in place of an answer.
        lease_failure_ = std::make_unique<pool::ServerFailure>(
            pool::ServerFailure{std::string(fields.sqlstate), std::string(fields.message),
                                std::string(fields.detail), true});
        return Reply::swallow;
    }
    if (!front.quiet) {
        x.sqlstate = fields.sqlstate;
        x.work = front.work != 0 ? front.work : x.works.last();
        if (env_.config().slow_log.errors) x.error = fields.message.substr(0, kLoggedError);
    }
    if (front.begin) {
        begin_failed();
        return Reply::forward;
    }
    const auto ours = front.own_error ? x.errors.take(front.statement) : OwnError();
    if (stale_plan(fields)) return Reply::swallow;
    // What was to be reset may have been, or will be: DISCARD ALL commits by itself.
    if (std::exchange(x.unpin_at_ready, false)) x.suspect = true;
    if (front.resets && front.brings_ready()) give_up_reset();
    if (front.brings_ready()) return tell_error(run, own);
    // Before the names are given back.
    const bool of_bind = front.kind == Kind::bind && front.statement != 0 && own.empty();
    const auto words = of_bind ? in_clients_words(front, body) : std::string();
    skip_batch();
    if (x.lost && !reset_is_due()) give_up_reset();
    // Its Sync has not come yet: what comes before that is skipped, too.
    x.skipping = x.expects.empty() && x.unsynced;
    if (front.quiet) return Reply::swallow;
    if (of_bind) return tell_error(run, words);
    if (!front.own_error || fields.sqlstate != wire::sqlstate::kInvalidSqlStatementName)
        return tell_error(run, own);
    if (ours.sqlstate.empty())
        return tell_error(run, in_clients_words(std::string(body), ours.message));
    run.emit();
    std::string out;
    wire::write_error(out, ours.report());
    turn_->client.copy(out);
    return Reply::swallow;
}

/// `own`: the body of the ErrorResponse that the client gets instead; empty: the server's.
Session::Reply Session::tell_error(Run& run, std::string_view own) {
    if (own.empty()) return Reply::forward;
    run.emit();
    std::string out;
    wire::write_message(out, be::kErrorResponse, own);
    turn_->client.copy(out);
    return Reply::swallow;
}

Session::Reply Session::on_ready_for_query(Run& run, std::string_view body) {
    auto& x = *exchange_;
    const auto front = x.expects.front();
    const char status = body.size() == 1 ? body[0] : '\0';
    if (!front.brings_ready() || (status != 'I' && status != 'T' && status != 'E')) {
        server_violation("the server was ready before it had answered");
        return Reply::violation;
    }
    x.expects.pop();
    --x.ready_expected;
    if (front.work != 0 && x.sqlstate.empty()) x.work = front.work;
    if (front.takes) end_taking();
    if (front.inspect) preparing_ = false;
    if (front.tells_ready) return Reply::forward;
    if (front.again) {
        run.drop(0);
        try_again();
        return ended_ || server_ == nullptr ? Reply::violation : Reply::swallow;
    }
    if (front.channels && listening_ != nullptr) {
        run.drop(0);
        step_hand_over();
        return ended_ || server_ == nullptr ? Reply::violation : Reply::swallow;
    }
    if (front.quiet || front.inspect) return Reply::swallow;
    if (front.swallow) {
        if (lease_failure_ != nullptr) {
            settings_refused();
            return Reply::violation;  // what follows is of a connection given back
        }
        server_->profile = identity_->profile;
        if (preparing_) {
            preparing_ = false;
            x.first_byte = 0;
            run.drop(0);
            if (!consuming_) consume_buffer();
        }
        return Reply::swallow;
    }
    if (base::planted(base::Plant::return_at_first_ready)) {
        x.expects.clear();
        x.ready_expected = 0;
    }
    const bool alone = x.expects.empty();
    x.ended = front.batch;
    ready(static_cast<wire::TxStatus>(status));
    if (std::exchange(x.begin_failed, false)) {
        tx_ = wire::TxStatus::failed;
        run.drop(0);
        std::string out;
        wire::write_ready(out, tx_);
        turn_->client.copy(out);
        return Reply::swallow;
    }
    if (listening_ != nullptr) {
        run.emit();
        if (hold_ready()) return Reply::swallow;
    }
    if (!alone || x.expects.empty()) return Reply::forward;
    // The client's settings are coming back after RESET: it is told of them before it goes on.
    x.expects.back().tells_ready = true;
    return Reply::swallow;
}

/// The server is ready after what the client asked.
void Session::ready(wire::TxStatus status) {
    auto& x = *exchange_;
    const auto before = tx_;
    tx_ = status;
    server_->tx = tx_;
    copy_in_ = false;
    const auto now = env_.now();
    saw_present();
    if (!x.fills.empty()) {
        const char message[] = {be::kReadyForQuery, 0, 0, 0, 5, static_cast<char>(status)};
        for (auto& fill : x.fills) {
            fill.append({message, sizeof message});
            if (!x.wrote || base::planted(base::Plant::fill_in_transaction)) end_fill(fill, now);
        }
        x.fills.clear();
        x.stamp.reset();
    }
    settle_at_ready(before);
    if (tx_ == wire::TxStatus::idle) {
        counters_.xact_count.add(1);
        if (answered_portal_) forget_portal();
    }
    finish_statement(now);
    if (x.lost && !reset_is_due()) reapply_settings();
}

}  // namespace pgweir::session
