// Session: buffers, leases and ends. See session.hpp.
#include "pgweir/session/session.hpp"
#include "pgweir/base/plants.hpp"

#include "listening.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "processes.hpp"
#include "turn.hpp"

namespace pgweir::session {

using wire::TxStatus;

namespace {

/// Unread bytes kept of a client that waits or is ahead of its server; then it is no longer read.
constexpr std::size_t kInputBound = std::size_t{256} * 1024;

/// A read whose client has said good-bye is given this long to be answered; a write is given all
/// the time it takes.
constexpr base::Nanos kTerminatedGrace = base::kSecond;

struct HeldFences final : pool::Held {
    HeldFences(Exchange& x, cache::DatabaseState& of)
        : fences(x.fences.take()), believed(std::move(x.believed)), database(of) {}
    ~HeldFences() override { outrun(believed, database); }
    HeldFences(const HeldFences&) = delete;
    HeldFences& operator=(const HeldFences&) = delete;

    std::vector<FenceQueue::Raised> fences;
    std::vector<Believed> believed;
    cache::DatabaseState& database;
};

}  // namespace

void Session::ServerSink::gather_send(std::span<const iovec> parts) {
    if (session.server_ == nullptr) return;
    session.server_->send(parts);
    if (session.server_ != nullptr && session.server_->queued() > kHighWater) session.hold_up();
}

Session::Session(Environment& env, ClientLink& client, pool::Leaser& leaser, IdentityPtr identity,
                 std::string application_name)
    : env_(env),
      client_(client),
      leaser_(leaser),
      counters_(leaser.counters()),
      identity_(std::move(identity)),
      application_name_(std::move(application_name)) {}

Session::~Session() {
    ended_ = true;
    leave_server();
}

bool Session::busy() const noexcept {
    return waiting_ || in_flight() || tx_ != TxStatus::idle ||
           (exchange_ && !exchange_->expects.empty()) || in_ != nullptr || hub_wait_ || asking_ ||
           lending_.count > 0 || notifications_wait();
}

void Session::on_client_bytes(std::string_view bytes) noexcept {
    if (ended_) return;
    const TurnScope scope(*this);
    const bool streamed = client_left_ > 0;
    if (in_ == nullptr) {
        auto done = last_ == Last::hit ? answer_hits(bytes) : 0;
        if (done < bytes.size()) done += consume(bytes.substr(done));
        turn_->server.flush();
        if (done < bytes.size() && !ended_) in_ = env_.texts.take(bytes.substr(done));
    } else {
        in_->append(bytes);
        consume_buffer();
    }
    if (listening_ != nullptr && !ended_) [[unlikely]]
        tell_waiting();
    bound_input();
    // The rest of a frame may come behind the end of what it belonged to, a COPY that has failed.
    if (streamed && client_left_ == 0) [[unlikely]]
        maybe_release();
}

std::size_t Session::input_bound() const noexcept {
    const bool stuck = waiting_ || preparing_ || awaiting_ || hub_wait_ || asking_ || in_flight() ||
                       client_.queued() > kHighWater;
    return stuck ? kInputBound : kInputBound + env_.config().limits.statement_buffer;
}

void Session::bound_what_waits(std::size_t bytes) noexcept {
    if (bytes > input_bound()) hold_up();
}

void Session::hold_up() noexcept {
    held_up_ = true;
    client_.set_reading(false);
}

/// Whatever stood against it may have gone. A message that is waited for as a whole has to come in.
void Session::resume_reading() noexcept {
    if (!held_up_ || ended_) [[likely]]
        return;
    const bool fits = in_ == nullptr || in_->size() <= input_bound();
    held_up_ = !fits || (server_ != nullptr && server_->queued() > kHighWater);
    if (!held_up_) client_.set_reading(true);
}

void Session::consume_buffer() {
    if (consuming_ || ended_) return;
    if (in_ == nullptr) return resume_reading();
    const auto done = consume(*in_);
    turn_->server.flush();  // it may hold views into the buffer
    if (done == in_->size())
        env_.texts.give(std::move(in_));
    else if (done > 0)
        in_->erase(0, done);
    resume_reading();
}

std::size_t Session::consume(std::string_view view) {
    consuming_ = true;
    std::size_t done = 0;
    while (done < view.size() && !stopped() && !in_flight() && !held_back()) {
        const auto rest = view.substr(done);
        // It may have been given a server connection without having asked for one.
        const bool no_server = server_ == nullptr || skip_until_sync_ || refuses_all();
        const bool here = no_server || (begin_reads_ && between_reads());
        // What is answered here costs the client a few bytes and may be long: it has to read, too.
        if (here && client_.queued() > kHighWater) break;
        const auto n = !here       ? forward_frames(rest)
                       : no_server ? take_unit(rest)
                                   : take_between(rest);
        if (n == 0) {
            if (lease_failure_ != nullptr) {
                const auto why = std::move(lease_failure_);
                done += fail_unit(rest, *why);
                continue;
            }
            break;
        }
        done += n;
    }
    consuming_ = false;
    return done;
}

bool Session::want_server() {
    if (server_ != nullptr) return !preparing_ && !hub_wait_;
    if (waiting_) return false;
    turn_->client.flush();  // other sessions may be served before this returns
    wait_started_ = env_.now();
    waiting_ = true;
    if (auto* server = leaser_.acquire(*this)) {
        waiting_ = false;
        server_ = server;
        begin_lease();
    }
    return server_ != nullptr && !preparing_ && !hub_wait_;
}

void Session::on_lease(pool::ServerLink& server) noexcept {
    waiting_ = lending_.waits = false;
    server_ = &server;
    const TurnScope scope(*this);
    begin_lease();
    answer_borrowers();
    if (consuming_) return;  // want_server() is on the stack and goes on
    if (in_ != nullptr) keep_for_retry(*in_);
    consume_buffer();
    maybe_release();
}

void Session::adopt(pool::ServerLink& server) noexcept {
    wait_started_ = env_.now();
    on_lease(server);
}

void Session::begin_lease() {
    if (!exchange_) exchange_ = env_.exchanges.take();
    const auto now = env_.now();
    exchange_->wait = now - wait_started_;
    counters_.wait_time_us.add(static_cast<std::uint64_t>(exchange_->wait / base::kMicrosecond));
    copy_in_ = fatal_seen_ = false;
    meet_logins();
    const bool met = server_->last_session != session_id;
    if (met) meet_server();
    match_settings();
    if (listening_ != nullptr) [[unlikely]]
        listen_at_lease(met);
}

/// Brings the server to the session's settings where they differ.
void Session::match_settings() {
    if (server_->profile->id == identity_->profile->id &&
        server_->application_name == application_name_ && has_its_statements()) [[likely]]
        return;
    std::string sql;
    if (server_->profile->id != identity_->profile->id) {
        // Nothing of the client's may run under another's settings: wait until they are in force.
        pool::append_settings_sql(sql, *server_->profile, *identity_->profile);
        preparing_ = true;
    }
    if (server_->application_name != application_name_) {
        pool::append_application_name_sql(sql, application_name_);
        server_->application_name = application_name_;
    }
    const bool others = server_->sql_statements != nullptr && !has_its_statements();
    if (others) {
        append_deallocate(sql);
        preparing_ = true;  // a list of none is not kept, so something is sent
    }
    if (!sql.empty()) {
        inject(sql);
        exchange_->expects.back().label = !preparing_;
    }
    if (!has_its_statements()) bring_statements();
}

void Session::inject(std::string_view sql) {
    std::string message;
    wire::write_query(message, sql);
    turn_->server.copy(message);
    server_->unnamed_statement = 0;  // a simple Query destroys it
    exchange_->expects.push({.kind = Expect::Kind::query, .swallow = true});
    ++exchange_->ready_expected;
}

void Session::on_lease_failed(const pool::ServerFailure& why) noexcept {
    waiting_ = false;
    answer_borrowers();
    const bool lends = std::exchange(lending_.waits, false);
    if (consuming_ && !lends) {
        lease_failure_ = std::make_unique<pool::ServerFailure>(why);
        return;
    }
    const TurnScope scope(*this);
    if (lends) return consume_buffer();  // what the client has sent meanwhile waits for itself
    fail_front(why);
}

/// What waits at the front of the input is answered with an error; the rest goes on.
void Session::fail_front(const pool::ServerFailure& why) {
    if (in_ == nullptr || wire::scan_frame(*in_).status == wire::FrameStatus::header_incomplete)
        return;
    const auto done = fail_unit(*in_, why);
    in_->erase(0, done);
    if (in_->empty()) env_.texts.give(std::move(in_));
    consume_buffer();
}

std::size_t Session::fail_unit(std::string_view view, const pool::ServerFailure& why) {
    judged_.reset();
    pending_fills_.reset();
    looked_up_ = false;
    retry_size_ = 0;
    if (begin_ != nullptr) tx_ = TxStatus::failed;
    counters_.errors.add(1);
    const wire::Report report{
        .sqlstate = why.sqlstate, .message = why.message, .detail = why.detail};
    const auto frame = wire::scan_frame(view);
    log_refused(frame.type == wire::fe::kQuery ? frame.body : std::string_view(), why);
    if (frame.type == wire::fe::kQuery || frame.type == wire::fe::kFunctionCall)
        return send_error_and_ready(frame, report);
    std::string out;
    wire::write_error(out, report);
    turn_->client.copy(out);
    skip_until_sync_ = true;
    return 0;
}

std::size_t Session::send_error_and_ready(const wire::Frame& frame, const wire::Report& report) {
    std::string out;
    wire::write_error(out, report);
    wire::write_ready(out, tx_);
    turn_->client.copy(out);
    const auto here = std::min<std::uint64_t>(frame.size, wire::kHeaderSize + frame.body.size());
    client_left_ = frame.size - here;
    discarding_ = client_left_ > 0;
    return here;
}

std::size_t Session::skip_frame(std::string_view view, const wire::Frame& frame) {
    const auto here = std::min<std::uint64_t>(frame.size, view.size());
    client_left_ = frame.size - here;
    discarding_ = client_left_ > 0;
    return here;
}

void Session::maybe_release() {
    if (server_ == nullptr || ended_ || consuming_ || hub_wait_ || asking_ || awaiting_) return;
    auto& x = *exchange_;
    if (terminating_ && x.expects.empty()) return end();
    const bool open_tx = base::planted(base::Plant::return_failed_transaction)
                             ? tx_ == TxStatus::in_transaction
                             : tx_ != TxStatus::idle && begin_ == nullptr;
    if (!x.expects.empty() || x.unsynced || open_tx || reply_left_ > 0 || held_ != nullptr ||
        client_left_ > 0)
        return;
    if (copy_in_) return;
    if (identity_->mode == config::PoolMode::session || pin_lasts_) return look_for_names();
    if (x.suspect) {
        inspect();
        return;
    }
    if (x.inspection != nullptr) {
        if (!conclude()) {
            if (server_ != nullptr && !hub_wait_) match_settings();
            consume_buffer();
            return;
        }
    } else if (pin_ != query::PinReason::none) {
        scope_ = scope_set_;
        return;
    }
    if (lending_.count > 0) {
        match_settings();
        return consume_buffer();
    }
    // A signal that was sent arrives before the answer to what is sent later.
    if (!lending_.kept_from_all && std::exchange(lending_.signalled, false)) {
        inject("");
        exchange_->expects.back().quiet = true;
        return;
    }
    turn_->server.flush();
    turn_->client.flush();
    give_back({.how = x.may_leave_state ? pool::Release::How::reset : pool::Release::How::clean});
    consume_buffer();
}

pool::ServerLink* Session::let_go_of_server() {
    auto* server = std::exchange(server_, nullptr);
    if (listening_ != nullptr) listening_->hub->forget_sender(server->process_id());
    if (exchange_) env_.exchanges.give(std::move(exchange_));
    reply_left_ = 0;
    retry_size_ = 0;
    held_.reset();
    question_.reset();
    preparing_ = asking_ = lending_.signalled = lending_.kept_from_all = false;
    scope_ = scope_set_ = query::NameScope::path;
    return server;
}

void Session::give_back(pool::Release how) {
    using How = pool::Release::How;
    // Whoever is next must not be given answers to what was asked here.
    if (how.how != How::abandon && !exchange_->expects.empty()) how.how = How::close;
    // What is to meet this process must meet nobody else.
    if (lending_.count > 0 || lending_.signalled || lending_.kept_from_all) {
        if (how.how == How::abandon)
            how.in_copy = true;  // cancelled, and then closed
        else
            how.how = How::close;
    }
    auto& server = *let_go_of_server();
    leaser_.release(server, how);
    resume_reading();  // that server's peer no longer holds the client up
}

void Session::leave_server() {
    leave_flight();
    if (waiting_) {
        leaser_.cancel_wait(*this);
        waiting_ = false;
    }
    if (server_ == nullptr) return;
    auto& x = *exchange_;
    pool::Release how;
    if (x.expects.empty() && x.unsynced) {
        how.how = pool::Release::How::close;  // half a batch: an open implicit transaction
    } else if (x.expects.empty()) {
        const bool clean = tx_ == TxStatus::idle && pin_ == query::PinReason::none &&
                           !x.may_leave_state && identity_->mode != config::PoolMode::session &&
                           client_left_ == 0 && reply_left_ == 0 && held_ == nullptr;
        how.how = clean ? pool::Release::How::clean : pool::Release::How::reset;
        if (client_left_ > 0 || pin_ == query::PinReason::load || reply_left_ > 0 ||
            held_ != nullptr || copy_in_)
            how.how = pool::Release::How::close;
    } else {
        const auto copies = x.expects.back().copies;
        const bool may_copy = copies == Copies::one || copies == Copies::several;
        how = {pool::Release::How::abandon, x.ready_expected,
               copy_in_ || x.unsynced || may_copy || client_left_ > 0 || reply_left_ > 0 ||
                   held_ != nullptr};
    }
    if (how.how != pool::Release::How::clean && !x.written.empty()) {
        x.written.raise();  // its fate is unknown, too
        x.fences.push(std::move(x.written), x.batch);
    }
    const bool runs = how.how == pool::Release::How::abandon && !x.believed.empty();
    if (runs || (how.how != pool::Release::How::clean && !x.fences.empty()))
        server_->held = std::make_unique<HeldFences>(x, *identity_->context.database);
    give_back(how);
}

/// The server reads Terminate after what was sent before it, and so does PostgreSQL: that is still
/// answered. Without a Sync behind them, extended messages come to nothing there, too.
std::size_t Session::take_terminate(std::string_view view) {
    if (exchange_ && !exchange_->expects.empty() && !exchange_->unsynced && !copy_in_) {
        terminating_ = true;
        return view.size();
    }
    end();
    return 0;
}

void Session::end() {
    if (ended_) return;
    ended_ = true;
    if (turn_ != nullptr) {
        turn_->server.flush();
        turn_->client.flush();
    }
    leave_server();
    question_.reset();
    answer_borrowers();
    listening_.reset();
    client_.finish();
}

void Session::fatal(const wire::Report& report) {
    if (ended_) return;
    if (!fatal_seen_ || base::planted(base::Plant::two_fatals)) {
        std::string out;
        wire::write_error(out, report);
        turn_->client.copy(out);
    }
    end();
}

void Session::server_violation(std::string_view what) {
    env_.counters().protocol_errors.add(1);
    base::log_warning("server process " + std::to_string(server_->process_id()) + " of " +
                      base::printable(identity_->database) + ": " + std::string(what));
    turn_->client.flush();
    auto* server = server_;
    hold_fences();
    server_ = nullptr;
    if (exchange_) env_.exchanges.give(std::move(exchange_));
    held_.reset();
    leaser_.release(*server, {.how = pool::Release::How::close});
    fatal({.severity = "FATAL", .sqlstate = wire::sqlstate::kProtocolViolation, .message = what});
}

void Session::protocol_error(std::string_view what) {
    env_.counters().protocol_errors.add(1);
    base::log_warning("client " + client_host + " " + base::printable(identity_->user) + "@" +
                      base::printable(identity_->database) +
                      ": protocol error: " + base::printable(what));
    fatal({.severity = "FATAL", .sqlstate = wire::sqlstate::kProtocolViolation, .message = what});
}

void Session::shut_down(const wire::Report& report) noexcept {
    const TurnScope scope(*this);
    fatal(report);
}

void Session::on_client_gone() noexcept {
    const TurnScope scope(*this);
    end();
}

void Session::on_watermark() noexcept {
    if (ended_ || !awaiting_) return;
    const TurnScope scope(*this);
    awaiting_ = clearing_ = false;
    consume_buffer();
}

void Session::on_way_clear() noexcept {
    if (!awaiting_) return;
    waited_ = true;
    on_watermark();
}

void Session::on_client_drained() noexcept {
    if (server_ != nullptr) server_->set_reading(true);
    if (ended_ || in_ == nullptr) return;
    const TurnScope scope(*this);
    consume_buffer();
}

void Session::on_server_drained() noexcept { resume_reading(); }

/// Nobody knows yet whether what was sent has committed: its fences stay until the server process
/// is gone.
void Session::hold_fences() {
    if (!exchange_) return;
    auto& database = *identity_->context.database;
    const auto catalog = database.catalog_version();
    const auto& believed = exchange_->believed;
    const bool doubt = std::any_of(believed.begin(), believed.end(), [catalog](const Believed& b) {
        return catalog == 0 || b.catalog != catalog;
    });
    if (exchange_->fences.empty() && !doubt) return;
    if (base::planted(base::Plant::lost_commit_is_rollback)) return exchange_->fences.clear();
    env_.hold_until_gone(*identity_, server_->process_id(),
                         std::make_unique<HeldFences>(*exchange_, database));
}

void Session::on_server_gone(std::string_view why) noexcept {
    const TurnScope scope(*this);
    const bool outcome_unknown = exchange_ && !exchange_->fences.empty() &&
                                 exchange_->commit_in_flight && !exchange_->expects.empty();
    hold_fences();
    server_ = nullptr;
    if (exchange_) env_.exchanges.give(std::move(exchange_));
    held_.reset();
    counters_.errors.add(1);
    fatal({.severity = "FATAL",
           .sqlstate = outcome_unknown ? wire::sqlstate::kOutcomeUnknown
                                       : wire::sqlstate::kConnectionFailure,
           .message = "the server connection was lost",
           .detail = why});
}

void Session::on_cancel_request(pool::CancelToken settled) noexcept {
    if (ended_) return;
    if (waiting_ || (in_flight() && server_ == nullptr)) {
        if (waiting_) leaser_.cancel_wait(*this);
        if (in_ != nullptr) lending_.waits = false;  // it is the client's query that is cancelled
        leave_flight();
        on_lease_failed({std::string(wire::sqlstate::kQueryCanceled),
                         "canceling statement due to user request", "", false});
        return;
    }
    const bool own = exchange_ && exchange_->expects.size() == 1 && exchange_->expects[0].unheard();
    if (server_ != nullptr && exchange_ && !exchange_->expects.empty() && !preparing_ && !own)
        leaser_.cancel(*server_, std::move(settled));
}

void Session::tick(base::Nanos now) noexcept {
    if (!ended_ && exchange_ && exchange_->idle_since != 0) log_idle(now);
    if (!ended_ && notifications_wait()) {
        const TurnScope scope(*this);
        tell_waiting();
    }
    if (!ended_) tick_flight(now);
    if (!ended_) tick_processes(now);
    constexpr base::Nanos kClearing = 2 * base::kSecond;
    const auto patience = clearing_ ? kClearing : env_.config().cache.max_staleness;
    if (awaiting_ && now - awaited_since_ > patience) {
        waited_ = true;
        on_watermark();
    }
    if (ended_ || !exchange_ || server_ == nullptr || exchange_->sent == 0) return;
    auto& x = *exchange_;
    if (terminating_ && !must_finish() && now - x.sent > kTerminatedGrace) {
        const TurnScope scope(*this);
        return end();
    }
    const auto limit = env_.config().timeouts.query;
    if (limit == 0 || !x.timed || own_timeout_ || x.expects.empty() || client_.queued() > 0) return;
    constexpr base::Nanos kCancelWait = 5 * base::kSecond;
    if (!x.cancel_sent && now - x.sent >= limit) {
        x.cancel_sent = true;
        env_.counters().query_timeouts.add(1);
        leaser_.cancel(*server_, {});
    } else if (x.cancel_sent && now - x.sent >= limit + kCancelWait) {
        const TurnScope scope(*this);
        fatal({.severity = "FATAL",
               .sqlstate = wire::sqlstate::kQueryCanceled,
               .message = "canceling statement due to query timeout",
               .detail = "the server did not answer the cancel request"});
    }
}

}  // namespace pgweir::session
