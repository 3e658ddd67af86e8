// Session: what statements do beyond their answer: pins, fences, statistics, the slow log.
#include "pgweir/base/log.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::Kind;
using query::PinReason;
using query::Writes;

MemoPtr Session::judge(std::string_view text, const query::TextScan& scan) {
    return env_.memo.judge(identity_->context, text, scan);
}

void Session::pin(PinReason reason) {
    if (pin_ != PinReason::none || identity_->mode == config::PoolMode::session) return;
    pin_ = reason;
    env_.counters().pins[static_cast<std::size_t>(reason)].add(1);
    base::log_info("session " + std::to_string(session_id) + " " +
                   base::printable(identity_->user) + "@" + base::printable(identity_->database) +
                   " is pinned: " + std::string(query::name(reason)));
}

void Session::apply_effects(const MemoEntry& memo) {
    const auto& v = *memo.verdict;
    auto& x = *exchange_;
    x.timed = x.timed || v.timed;
    if (v.pin != PinReason::none) pin(v.pin);
    if (v.may_leave_state) x.may_leave_state = true;
    if (v.kind == Kind::discard_all) {
        x.unpin_at_ready = true;
        forget_all_statements();
    }
    if (v.may_end_transaction) x.may_end_transaction = true;
    auto& database = *identity_->context.database;
    switch (v.writes) {
        case Writes::nothing: return;
        case Writes::relations:
            for (auto* state : memo.writes) x.written.add(*state);
            break;
        case Writes::database:
        case Writes::all_databases: {
            const bool dml = v.kind == Kind::dml || v.kind == Kind::copy;
            if (dml) {
                x.written.add(database.whole());
                break;
            }
            x.written.add_schema(database);
            x.notify_catalog = true;
            if (v.writes == Writes::all_databases) x.written.add(database.everything());
            break;
        }
    }
    x.wrote = true;
    // Without a catalog a read counts as a write for the cache, but not for what a client is told.
    if (v.kind != Kind::select || v.catalog_version != 0) x.commit_in_flight = true;
}

void Session::unknown_effects(PinReason reason) {
    auto& x = *exchange_;
    if (reason != PinReason::none) pin(reason);
    x.may_leave_state = true;
    x.may_end_transaction = true;
    x.written.add_schema(*identity_->context.database);
    x.wrote = x.commit_in_flight = true;
    x.notify_catalog = true;
}

void Session::raise_fence() {
    auto& x = *exchange_;
    if (!x.wrote || x.written.empty()) return;
    // Inside a transaction only what may end it can commit. Whether we are inside is known for sure
    // only when nothing is in flight.
    const bool inside = tx_ == wire::TxStatus::in_transaction && x.ready_expected == 0;
    if (inside && !x.may_end_transaction) return;
    x.written.raise();
    x.fences.push_back(std::move(x.written));
    x.written = {};
}

void Session::settle_at_ready(wire::TxStatus status) {
    auto& x = *exchange_;
    x.forgotten.clear();
    x.may_end_transaction = false;
    if (status != wire::TxStatus::idle || x.ready_expected > 0) return;
    if (x.wrote) {
        x.fences.clear();  // settles them
        x.written = {};
        x.wrote = x.commit_in_flight = false;
    }
    if (x.notify_catalog) env_.catalog_may_have_changed(*identity_->context.database);
    x.notify_catalog = false;
    if (x.unpin_at_ready) {
        x.unpin_at_ready = false;
        pin_ = PinReason::none;
        // DISCARD ALL took the client's own settings too: they are applied again for the next
        // lease.
        server_->profile = pool::empty_profile();
        server_->application_name.clear();
    }
}

void Session::finish_statement(base::Nanos now) {
    auto& x = *exchange_;
    if (x.sent == 0) return;
    const auto total = now - x.started;
    auto& c = counters_;
    c.query_count.add(1);
    c.query_time_us.add(static_cast<std::uint64_t>((now - x.sent) / base::kMicrosecond));
    const auto& slow = env_.config().slow_log;
    if (tx_ == wire::TxStatus::idle)
        c.xact_time_us.add(static_cast<std::uint64_t>(
            (now - (x.tx_started != 0 ? x.tx_started : x.sent)) / base::kMicrosecond));
    x.tx_started = tx_ == wire::TxStatus::idle ? 0 : x.tx_started != 0 ? x.tx_started : x.sent;
    if (slow.threshold >= 0 && total >= slow.threshold) log_slow(now, total);
    x.sqlstate.clear();
    x.wait = 0;
    x.sent = x.ready_expected > 0 ? now : 0;  // a pipelined one is at work from here
    x.started = now;
    x.rows = x.bytes = 0;
    x.first_byte = 0;
}

void Session::log_slow(base::Nanos now, base::Nanos total) {
    auto* log = env_.slow_log();
    if (log == nullptr) return;
    auto& x = *exchange_;
    metrics::SlowQuery q;
    q.text = x.extended ? (x.statement ? x.statement->text : std::string()) : x.text;
    q.extended = x.extended;
    if (x.extended) q.prepared_name = x.statement_name;
    q.user = identity_->user;
    q.database = identity_->database;
    q.application_name = application_name_;
    q.client_host = client_host;
    q.client_port = client_port;
    q.server_pid = server_ != nullptr ? server_->process_id() : 0;
    q.session_id = session_id;
    q.started_wall_us = base::wall_now_us() - total / base::kMicrosecond;
    q.total_ns = total;
    q.wait_ns = x.wait;
    const auto answered = x.first_byte != 0 ? x.first_byte : now;
    q.server_ns = answered - x.sent;
    q.transfer_ns = now - answered;
    q.rows = x.rows;
    q.bytes = x.bytes;
    q.cache = x.cache_word.empty() ? std::string_view("bypass") : x.cache_word;
    q.sqlstate = x.sqlstate;
    q.pool = identity_->shared_pool ? identity_->shared_pool->name : identity_->database;
    log->offer(std::move(q));
}

}  // namespace pgweir::session
