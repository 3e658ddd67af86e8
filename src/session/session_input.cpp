// Session: frames from the client. take_* run while no server is leased, forward_* while one is;
// each gives the number of bytes it has dealt with, 0 when more must come first.
#include <algorithm>
#include <array>

#include "batch_plan.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "processes.hpp"
#include "resets.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace fe = wire::fe;
using wire::Frame;
using wire::FrameStatus;

namespace {
/// A batch is gathered up to this size to be looked at whole; a longer one is sent on as it comes.
constexpr std::size_t kBatchBound = std::size_t{64} * 1024;
/// What the slow log may want of a text.
constexpr std::size_t kLoggedText = std::size_t{64} * 1024;
}  // namespace

std::size_t Session::take_unit(std::string_view view) {
    if (client_left_ > 0) {  // the rest of a frame that goes nowhere
        const auto n = std::min<std::uint64_t>(client_left_, view.size());
        client_left_ -= n;
        discarding_ = client_left_ > 0;
        return n;
    }
    const Frame frame =
        scan_client_frame(view, static_cast<std::uint32_t>(env_.config().limits.max_message));
    if (frame.status == FrameStatus::header_incomplete) {
        if (!wire::is_client_message(frame.type) || frame.type == fe::kPassword)
            protocol_error("invalid frontend message type " +
                           std::to_string(static_cast<unsigned char>(frame.type)));
        return 0;
    }
    if (server_ == nullptr) follow_logins();  // else it is of that server's place
    if (frame.type == fe::kQuery && frame.status == FrameStatus::complete && !skip_until_sync_)
        return take_query(view, frame);
    if (!wire::is_client_message(frame.type) || frame.type == fe::kPassword) {
        protocol_error("invalid frontend message type " +
                       std::to_string(static_cast<unsigned char>(frame.type)));
        return 0;
    }
    if (frame.status == FrameStatus::bad_length) {
        protocol_error("invalid message length");
        return 0;
    }
    if (frame.type == fe::kTerminate) {
        end();
        return 0;
    }
    if (skip_until_sync_) {
        if (frame.type != fe::kSync) return skip_frame(view, frame);
        if (frame.status != FrameStatus::complete) return 0;
        skip_until_sync_ = false;
        std::string out;
        wire::write_ready(out, tx_);
        turn_->client.copy(out);
        return frame.size;
    }
    switch (frame.type) {
        case fe::kQuery: return take_query(view, frame);
        case fe::kFunctionCall:
            if (refuses_all()) return refuse_call(frame);
            return want_server() ? forward_frames(view) : 0;
        case fe::kCopyData:
        case fe::kCopyDone:
        case fe::kCopyFail: return skip_frame(view, frame);  // late ones of a COPY that has failed
        default: return take_batch(view);
    }
}

std::size_t Session::take_query(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) {
        if (frame.size <= env_.config().limits.statement_buffer) return 0;
        return want_server() ? forward_frames(view) : 0;
    }
    if (frame.body.empty() || frame.body.back() != '\0') {
        protocol_error("invalid string in message");
        return 0;
    }
    auto text = frame.body.substr(0, frame.body.size() - 1);
    if (const auto query = explains_cache(text)) {
        explain_cache(*query);
        return frame.size;
    }
    if (may_name_position(text)) {
        if (takes_position(text)) return frame.size;
        text = meant(text);
    }
    const auto scan = query::scan_text(text);
    judged_ = judge(text, scan);
    pending_fills_.reset();
    if (refused_in_statement_mode(*judged_->verdict)) {
        judged_.reset();
        return send_error_and_ready(frame, kNoTransactions);
    }
    if (!judged_->verdict->vacates.empty() && !waited_ &&
        env_.vacate_database(*identity_, judged_->verdict->vacates)) {
        judged_.reset();
        awaiting_ = true;
        awaited_since_ = env_.now();
        return 0;
    }
    if (answer_step(text, *judged_)) {
        judged_.reset();
        return frame.size;
    }
    if (answer_query_from_cache(text, *judged_, scan)) {
        end_waiting();
        judged_.reset();
        return frame.size;
    }
    if (in_flight() || awaiting_) return 0;
    end_waiting();
    return want_server() ? forward_query(view, frame) : 0;
}

bool Session::refused_in_statement_mode(const query::Verdict& verdict) const noexcept {
    return identity_->mode == config::PoolMode::statement && verdict.kind == query::Kind::begin;
}

/// VACUUM is to find no snapshot of the proxy's own that is older than it.
bool Session::waits_for_clear_way(const query::Verdict& verdict) {
    if (!verdict.vacuums) [[likely]]
        return false;
    if (!waited_ && tx_ == wire::TxStatus::idle &&
        env_.clear_snapshots(*identity_->context.database, session_id)) {
        awaiting_ = clearing_ = true;
        awaited_since_ = env_.now();
        return true;
    }
    end_waiting();
    return false;
}

std::size_t Session::take_batch(std::string_view view) {
    if (std::exchange(looked_up_, false)) return want_server() ? forward_frames(view) : 0;
    if (PortalUnit unit; last_ == Last::does_not_pay && passes_again(unit, view)) {
        const bool again = !unit.parses && may_try_again(unit.bind.statement, unit.described, view);
        return send_batch(view, again ? unit.size : 0);
    }
    BatchPlan plan;
    const auto size = plan.scan(view, kBatchBound);
    if (plan.need_more()) return 0;
    pending_fills_.reset();
    const bool asks = identity_->mode != config::PoolMode::session;
    if (plan.flushed() && plan.describes_statement > 0) {
        const bool fits = asks && plan.cacheable_shape();
        const auto answered = fits ? answer_batch_from_cache(plan, view.substr(0, size)) : 0;
        if (awaiting_) return 0;
        end_waiting();
        if (answered > 0) return answered;
    }
    if (plan.whole()) {
        const auto batch = view.substr(0, size);
        const bool done = plan.binds == 0
                              ? answer_batch_here(plan, batch)
                              : answer_step_batch(plan, batch) || takes_position_batch(plan, batch);
        if (done) return size;
        const auto answered = asks ? answer_batch_from_cache(plan, batch) : 0;
        if (in_flight() || awaiting_) return 0;
        end_waiting();
        if (answered > 0) return answered;
    }
    const bool again = plan.parses == 0 && plan.binds == 1 && plan.runs_only() &&
                       may_try_again(plan.first_bound, plan.describes_portal == 1, view);
    return send_batch(view, again ? size : 0);
}

/// To a server. `again`: bytes in front that may be sent a second time.
std::size_t Session::send_batch(std::string_view view, std::size_t again) {
    if (refuses_all()) return refuse_batch(view);
    retry_size_ = static_cast<std::uint32_t>(again);
    const bool may_send = want_server();
    if (server_ != nullptr) keep_for_retry(view);
    return may_send ? forward_frames(view) : 0;
}

/// In a transaction that has only read, while its server has nothing to do.
std::size_t Session::take_between(std::string_view view) {
    if (std::exchange(looked_up_, false)) return forward_frames(view);
    const Frame frame =
        scan_client_frame(view, static_cast<std::uint32_t>(env_.config().limits.max_message));
    const bool text = frame.type == fe::kQuery && frame.status == FrameStatus::complete &&
                      !frame.body.empty() && frame.body.back() == '\0';
    if (text) {
        const auto sql = frame.body.substr(0, frame.body.size() - 1);
        if (explains_cache(sql) || may_name_position(sql)) return forward_query(view, frame);
        const auto scan = query::scan_text(sql);
        judged_ = judge(sql, scan);
        pending_fills_.reset();
        if (!answer_query_from_cache(sql, *judged_, scan)) return forward_query(view, frame);
        judged_.reset();
        return frame.size;
    }
    if (frame.type != fe::kParse && frame.type != fe::kBind && frame.type != fe::kDescribe)
        return forward_frames(view);
    BatchPlan plan;
    const auto size = plan.scan(view, kBatchBound);
    pending_fills_.reset();
    if (!plan.whole()) return forward_frames(view);
    const auto answered = answer_batch_from_cache(plan, view.substr(0, size));
    return answered > 0 ? answered : forward_frames(view);
}

void Session::begin_statement(bool extended) {
    auto& x = *exchange_;
    if (x.sent != 0) return;       // pipelined behind one that is measured already
    const auto ended = x.started;  // of the statement before
    x.started = x.wait > 0 ? env_.now() - x.wait : env_.now();
    x.sent = env_.now();
    x.idle_before = x.tx_statements > 0 ? x.sent - ended : 0;
    x.first_byte = x.idle_since = 0;
    x.rows = x.rows_before = x.bytes = 0;
    x.extended = extended;
    x.timed = false;
    x.cancel_sent = false;
}

/// A batch at once, as far as it is here and nothing holds it up; else one frame.
std::size_t Session::forward_frames(std::string_view view) {
    std::size_t done = 0;
    do {
        const auto n = forward_frame(view.substr(done));
        if (n == 0) break;
        done += n;
    } while (done < view.size() && !stopped() && exchange_ && exchange_->unsynced &&
             !exchange_->taking);
    return done;
}

/// Of a batch. As long as nothing of it was sent, because more of it must come or it has to wait,
/// the batch has not begun.
std::size_t Session::forward_part(std::string_view view, const Frame& frame) {
    const bool begun = std::exchange(exchange_->unsynced, true);
    const auto n = frame.type == fe::kParse      ? forward_parse(view, frame)
                   : frame.type == fe::kBind     ? forward_bind(view, frame)
                   : frame.type == fe::kDescribe ? forward_describe(view, frame)
                   : frame.type == fe::kClose    ? forward_close(view, frame)
                                                 : forward_execute(view, frame);
    if (n == 0 && exchange_ != nullptr) [[unlikely]] {
        auto& expects = exchange_->expects;
        exchange_->unsynced = begun || (!expects.empty() && !expects.back().brings_ready());
    }
    return n;
}

std::size_t Session::forward_frame(std::string_view view) {
    if (client_left_ > 0) {
        const auto n = std::min<std::uint64_t>(client_left_, view.size());
        if (!discarding_) turn_->server.view(view.substr(0, n));
        client_left_ -= n;
        if (client_left_ == 0) discarding_ = false;
        return n;
    }
    if (!exchange_) exchange_ = env_.exchanges.take();
    const Frame frame =
        scan_client_frame(view, static_cast<std::uint32_t>(env_.config().limits.max_message));
    if (base::planted(base::Plant::forward_after_framing_error) &&
        frame.status == FrameStatus::bad_length) {
        turn_->server.view(view);
        return view.size();
    }
    if (frame.status == FrameStatus::bad_length) {
        protocol_error("invalid message length");
        return 0;
    }
    const bool known = wire::is_client_message(frame.type) && frame.type != fe::kPassword;
    if (known && frame.status == FrameStatus::header_incomplete) return 0;
    if (known && (copy_in_ || exchange_->skipping)) return forward_copy(view, frame);
    if (known && !exchange_->expects.empty() && awaits_answers(frame.type)) [[unlikely]]
        return 0;
    const bool here =
        frame.status == FrameStatus::complete || frame.size > env_.config().limits.statement_buffer;
    if (listening_ != nullptr && frame.type != fe::kQuery && here) [[unlikely]]
        show_channels(frame);
    if (begin_ != nullptr && frame.type != fe::kQuery && frame.type != fe::kFunctionCall &&
        frame.type != fe::kTerminate && here) [[unlikely]] {
        send_begin();
        exchange_->unsynced = true;
    }
    switch (frame.type) {
        case fe::kQuery: return forward_query(view, frame);
        case fe::kParse:
        case fe::kBind:
        case fe::kDescribe:
        case fe::kClose:
        case fe::kExecute: return forward_part(view, frame);
        case fe::kSync: return forward_sync(view, frame);
        case fe::kFlush:
            return frame.status == FrameStatus::complete ? forward_whole(view, frame) : 0;
        case fe::kFunctionCall: return forward_function_call(view, frame);
        case fe::kTerminate: return take_terminate(view);
        case fe::kCopyDone:
        case fe::kCopyFail: end_copy(); return stream_frame(view, frame);
        case fe::kCopyData:  // copy messages outside COPY: the server ignores them
            return stream_frame(view, frame);
        default:
            protocol_error("invalid frontend message type " +
                           std::to_string(static_cast<unsigned char>(frame.type)));
            return 0;
    }
}

std::size_t Session::forward_execute(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) return 0;
    auto& x = *exchange_;
    const auto portal = base::ByteReader(frame.body).cstring();
    if (portal.empty() && portal_ != UnnamedPortal::servers) [[unlikely]]
        restore_portal();
    const bool bound_here = portal.empty() && x.bound && x.bound_unnamed;
    x.bound = false;
    x.executed = true;
    StatementPtr taker;
    if (!x.takers.empty()) [[unlikely]]
        taker = begin_taking(portal);
    if (!bound_here && tx_ != wire::TxStatus::idle) {  // what was bound some time ago may commit
        x.may_end_transaction = true;
        raise_fence();
    }
    expect({.kind = Expect::Kind::execute,
            .copies = x.copy_bound ? Copies::one : Copies::none,
            .fill = x.current_fill,
            .work = x.works.last()});
    forward_whole(view, frame);
    if (x.taking) {
        x.expects.back().takes = true;
        turn_->server.copy(wire::kFlush);  // its answer is waited for
        if (kind_of(*taker) == query::Kind::discard_all) note_discard_all();
    } else if (taker != nullptr) {
        restore_in_batch(find_resets(taker->text, start_settings()).lost);
    }
    return frame.size;
}

std::size_t Session::forward_whole(std::string_view view, const Frame& frame) {
    turn_->server.view(view.substr(0, frame.size));
    return frame.size;
}

std::size_t Session::stream_frame(std::string_view view, const Frame& frame) {
    const auto here = std::min<std::uint64_t>(frame.size, view.size());
    turn_->server.view(view.substr(0, here));
    client_left_ = frame.size - here;
    return here;
}

std::size_t Session::forward_copy(std::string_view view, const Frame& frame) {
    if (exchange_->skipping) {
        if (frame.type == fe::kTerminate) return take_terminate(view);
        question_.reset();  // of what is skipped now
        if (frame.type != fe::kSync) return skip_frame(view, frame);
        if (frame.status == FrameStatus::complete) exchange_->skipping = false;
        return forward_sync(view, frame);
    }
    switch (frame.type) {
        case fe::kCopyDone:
        case fe::kCopyFail: end_copy(); return stream_frame(view, frame);
        case fe::kCopyData: exchange_->copy_syncs = 0; return stream_frame(view, frame);
        case fe::kFlush:  // ignored in COPY
            return frame.status == FrameStatus::complete ? frame.size : 0;
        case fe::kSync:  // so is this, unless COPY fails before it reads on
            if (frame.status != FrameStatus::complete) return 0;
            ++exchange_->copy_syncs;
            return frame.size;
        case fe::kTerminate: return take_terminate(view);
        default: break;
    }
    // COPY may have failed already: then the server would run what nobody has looked at.
    char type[3];
    std::snprintf(type, sizeof type, "%02X", static_cast<unsigned char>(frame.type));
    protocol_error("unexpected message type 0x" + std::string(type) + " during COPY from stdin");
    return 0;
}

/// CopyDone or CopyFail is sent. Behind a Sync that may have to be sent yet nothing else is.
void Session::end_copy() {
    auto& expects = exchange_->expects;
    copy_in_ = false;
    if (expects.empty() || expects.back().copies != Copies::one) return;
    expects.back().copies = exchange_->copy_syncs > 0 ? Copies::several : Copies::ended;
    expects.back().flushed = false;
}

/// COPY is over, if there was one, and has not read them, so the server answers them.
void Session::send_kept_syncs() {
    auto& x = *exchange_;
    copy_in_ = false;
    for (; x.copy_syncs > 0; --x.copy_syncs) {
        std::string message;
        wire::write_message(message, fe::kSync);
        turn_->server.copy(message);
        expect({.kind = Expect::Kind::sync});
        x.unsynced = false;
    }
}

/// Whether it depends on what is to be answered how the server takes a message of this type: behind
/// what may be COPY as its data, and a Query in the middle of a batch perhaps not at all.
bool Session::awaits_answers(char type) {
    auto& x = *exchange_;
    auto& last = x.expects.back();
    switch (last.copies) {
        case Copies::none:
        case Copies::ended:
            if (!x.unsynced || (type != fe::kQuery && type != fe::kFunctionCall)) return false;
            break;
        case Copies::one:
            if (type == fe::kCopyData || type == fe::kCopyDone || type == fe::kCopyFail)
                return false;
            break;
        case Copies::several: break;
    }
    if (!std::exchange(last.flushed, true)) turn_->server.copy(wire::kFlush);
    return x.in_doubt = true;
}

std::size_t Session::forward_sync(std::string_view view, const Frame& frame) {
    if (frame.status != FrameStatus::complete) return 0;
    begin_statement(true);
    raise_fence();
    exchange_->unsynced = exchange_->executed = false;
    exchange_->current_fill = 0;
    pending_fills_.reset();
    next_unnamed_.reset();
    looked_up_ = false;
    expect({.kind = Expect::Kind::sync});
    return forward_whole(view, frame);
}

namespace {
/// lo_open and its kin, by which drivers read and write large objects: they run no code of users.
bool of_large_objects(std::string_view call) {
    static constexpr std::array kTheirs{715u, 952u, 953u,  954u,  955u,  956u, 957u,
                                        958u, 964u, 1004u, 3170u, 3171u, 3172u};
    base::ByteReader r(call);
    const auto function = r.u32();
    return r.ok() && std::find(kTheirs.begin(), kTheirs.end(), function) != kTheirs.end();
}
}  // namespace

std::size_t Session::forward_function_call(std::string_view view, const Frame& frame) {
    begin_statement(false);
    exchange_->text = "<function call>";
    if (identity_->mode != config::PoolMode::session && refuse_pin())
        return skip_frame(view, frame);
    unknown_effects(identity_->mode == config::PoolMode::session ? query::PinReason::none
                                                                 : query::PinReason::function_call);
    if (!of_large_objects(frame.body))
        exchange_->writes().add(identity_->context.database->everything());
    raise_fence();
    if (begin_ != nullptr) send_begin();
    exchange_->unsynced = exchange_->executed = false;
    expect({.kind = Expect::Kind::function_call});
    return stream_frame(view, frame);
}

/// Too long to be looked at.
std::size_t Session::stream_query(std::string_view view, const Frame& frame) {
    if (frame.size <= env_.config().limits.statement_buffer || doubt_names()) return 0;
    exchange_->unsynced = exchange_->executed = false;
    begin_statement(false);
    exchange_->text.assign(frame.body.substr(0, kLoggedText));
    if (identity_->mode != config::PoolMode::session && refuse_pin())
        return skip_frame(view, frame);
    unknown_effects(query::PinReason::statement_too_large);
    raise_fence();
    if (begin_ != nullptr) send_begin();
    expect({.kind = Expect::Kind::query, .copies = Copies::several});
    drop_unnamed();
    return stream_frame(view, frame);
}

std::size_t Session::forward_query(std::string_view view, const Frame& frame) {
    auto& x = *exchange_;
    MemoPtr memo = std::exchange(judged_, nullptr);  // of this text, and of none behind it
    if (frame.status != FrameStatus::complete) return stream_query(view, frame);
    if (frame.body.empty() || frame.body.back() != '\0') {
        protocol_error("invalid string in message");
        return 0;
    }
    const auto sent = frame.body.substr(0, frame.body.size() - 1);
    auto text = sent;
    const bool alone = x.expects.empty();
    if (const auto query = explains_cache(text); query && alone) {
        explain_cache(*query);
        return frame.size;
    }
    if (may_name_position(text)) {
        if (alone && takes_position(text)) return frame.size;
        text = meant(text);
    }
    if (listening_ != nullptr) [[unlikely]]
        show_channels(frame);
    if (!memo) memo = judge(text, query::scan_text(text));
    auto sent_text = text;
    std::string with_processes;
    if (waits_for_clear_way(*memo->verdict)) return 0;
    if (memo->may_name_statement && doubt_names()) return 0;
    if (memo->may_name_processes && identity_->mode != config::PoolMode::session &&
        !name_processes(sent_text, with_processes))
        return 0;
    x.unsynced = x.executed = false;
#ifdef PGWEIR_PLANTS
    if (alone && plant_in_transaction(text, memo)) return frame.size;
#endif
    begin_statement(false);
    if (alone || x.text.empty()) x.text.assign(text.substr(0, kLoggedText));
    if (may_pin(*memo->verdict) && refuse_pin()) return frame.size;
    const auto kind = memo->verdict->kind;
    if ((kind == query::Kind::set || kind == query::Kind::several) && !note_settings(text))
        return frame.size;
    if (memo->may_name_statement) prepare_for_sql(text);
    if (listening_ != nullptr) heed_channels(*memo->verdict, text);
    if (sent_text.data() == text.data())
        apply_query_effects(*memo, text);
    else
        apply_effects(*memo, nullptr);  // rows are named by other numbers now
    if (memo->verdict->may_end_transaction || tx_ == wire::TxStatus::idle || !alone) raise_fence();
    x.current_fill = 0;
    auto fill = alone && view.size() == frame.size ? next_fill() : std::uint16_t{0};
    if (base::planted(base::Plant::fill_in_transaction) && x.fills.size() == 1) fill = 1;
    pending_fills_.reset();
    if (begin_ != nullptr) send_begin();
    drop_unnamed();
    expect({.kind = Expect::Kind::query,
            .copies = copies(*memo->verdict, text),
            .fill = fill,
            .work = x.works.push({std::move(memo), nullptr, {}})});
    x.expects.back().takes = x.taking != nullptr;
    x.expects.back().resets = x.lost != nullptr;
    if (kind == query::Kind::discard_all) note_discard_all();
    if (kind == query::Kind::commit || kind == query::Kind::rollback) x.takers.clear();
    if (sent_text.data() == sent.data())
        turn_->server.view(view.substr(0, frame.size));
    else
        send_text(sent_text);
    return frame.size;
}

}  // namespace pgweir::session
