// Session: what statements do beyond their answer: pins, fences, counters.
#include "listening.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/query/body_words.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::Kind;
using query::PinReason;
using query::Writes;

/// Between leases: the next server connection is given what logins are given now.
void Session::follow_logins() {
    const auto changed = identity_->context.database->logins_changed().load();
    if (changed == logins_seen_) [[likely]]
        return;
    logins_seen_ = changed;
    pending_fills_.reset();  // of a batch whose front has been answered
    identity_ = env_.with_profile(*identity_, identity_->profile);
    if (changed_ != nullptr)
        changed_->identity = env_.with_profile(*changed_->identity, changed_->identity->profile);
}

/// What was judged while it waited for this server may have meant other tables.
void Session::meet_logins() {
    const auto changed = identity_->context.database->logins_changed().load();
    const bool hides = !server_->hides_text.empty() || !server_->other_encoding.empty();
    if (changed == logins_seen_ && !hides) [[likely]]
        return;
    if (changed != logins_seen_) {
        judged_.reset();
        pending_fills_.reset();
        if (server_->opened >= changed) follow_logins();
    }
    if (hides) hide_text();
}

/// On this server texts may hide what they do, unless the client says how they are to be read.
void Session::hide_text() {
    const auto open = [&](const std::string& name) {
        return identity_->profile->find(name).data() != nullptr;
    };
    const auto& hiding = server_->hides_text;
    const auto& other = server_->other_encoding;
    const bool known =
        identity_->context.other_encoding || std::all_of(other.begin(), other.end(), open);
    if (identity_->opaque_text || (known && std::all_of(hiding.begin(), hiding.end(), open)))
        return;
    judged_.reset();
    pending_fills_.reset();
    auto hidden = std::make_shared<Identity>(*identity_);
    hidden->opaque_text = true;
    hidden->not_cached = query::NotCached::unknown_setting;
    identity_ = std::move(hidden);
    renew_identity();  // once it has no server
}

MemoPtr Session::judge(std::string_view text, const query::TextScan& scan) {
    if (!identity_->opaque_text) {
        return env_.memo.judge(identity_->context, text, scan, scope_now());
    }
    static const auto nothing_known = [](Writes writes) {
        auto verdict = std::make_shared<query::Verdict>();
        verdict->writes = writes;
        auto entry = std::make_shared<MemoEntry>();
        entry->verdict = std::move(verdict);
        return MemoPtr(entry);
    };
    static const auto here = nothing_known(Writes::database);
    static const auto anywhere = nothing_known(Writes::all_databases);
    const auto catalog = identity_->context.database->last_catalog();
    return query::may_define_shared(text, catalog.get()) ? anywhere : here;
}

/// `values`: of this execution; null: not known.
void Session::apply_effects(const MemoEntry& memo, const query::KeyValues* values) {
    const auto& v = *memo.verdict;
    auto& x = *exchange_;
    x.timed = x.timed || v.timed;
    if (base::planted(base::Plant::savepoint_drops_writes) && v.kind == Kind::savepoint)
        x.written = {};
    // Behind another that is not answered yet it may find itself in that one's transaction.
    if (v.kind == Kind::begin && tx_ == wire::TxStatus::idle)
        begin_reads_ = (!std::exchange(x.begun, true) || begin_reads_) && begins_reads(v);
    else if (!only_reads(v))
        x.acted = true;
    if (v.may_leave_state) {
        suspect(v);
    } else if (v.may_end_state &&
               (pin_ != PinReason::none || x.suspicion != PinReason::none || sql_ != nullptr)) {
        x.suspect = true;
    }
    if (memo.may_notify) name_sender();
    if (v.moves_sequence || v.asks_sequence) use_sequences(v);
    if (v.may_end_transaction) x.may_end_transaction = true;
    collect_writes(memo, values);
    scope_ = std::max(scope_, v.names_after);
}

namespace {
/// Of itself, whatever the catalog says and whatever was made in the session.
bool cannot_write(Kind kind) noexcept {
    switch (kind) {
        case Kind::begin:
        case Kind::commit:
        case Kind::rollback:
        case Kind::savepoint:
        case Kind::set:
        case Kind::show:
        case Kind::deallocate: return true;
        default: return false;
    }
}
}  // namespace

/// A temporary object that nothing is known of may pass any access on to other relations.
Writes Session::writes_now(const query::Verdict& verdict) const noexcept {
    if (cannot_write(verdict.kind)) return verdict.writes;
    return scope_ == query::NameScope::unknown ? std::max(verdict.writes, Writes::database)
                                               : verdict.writes;
}

namespace {
/// DDL judged without a catalog has the event triggers there were. Of a database that has never had
/// one temporary tables do not count: made all the time they would keep all others without one.
bool fires_unseen(const query::Verdict& v, const cache::DatabaseState& database) {
    if (v.catalog_version != 0) return false;
    const auto last = database.last_catalog();
    return last != nullptr ? last->ddl_defines_shared : v.pin != PinReason::temporary;
}
}  // namespace

void Session::collect_writes(const MemoEntry& memo, const query::KeyValues* values) {
    const auto& v = *memo.verdict;
    auto& x = *exchange_;
    auto& database = *identity_->context.database;
    auto& written = x.writes();
    const auto writes = writes_now(v);
    const bool defines = writes >= Writes::database && v.may_define;
    // What was believed of a statement that the proxy answered by itself is of no use any more.
    if (tx_ == wire::TxStatus::idle && x.ready_expected == 0 && !x.unsynced) x.believed.clear();
    if (!cannot_write(v.kind) && !defines) x.believe(memo.catalog_version, memo.catalogs);
    switch (writes) {
        case Writes::nothing: return;
        case Writes::relations:
            written.judged(database, memo.catalog_version);
            // Where it is up already it does not ask any more.
            if (written.raised() && memo.catalog_version != database.catalog_version())
                written.add(database.whole());
            if (values != nullptr && !v.written_rows.empty() && write_rows(memo, *values)) break;
            for (auto* state : memo.writes) written.add(*state);
            break;
        case Writes::database:
        case Writes::all_databases: {
            if (!defines) {
                written.add_unknown(database);
                break;
            }
            written.add_schema(database);
            x.note_defines();
            if (v.changes_logins) x.note_in(x.changes_logins);
            if (!v.vacates.empty()) {
                env_.vacate_database(*identity_, v.vacates);
                x.vacated.push_back(v.vacates);
            }
            if (v.writes == Writes::all_databases || fires_unseen(v, database))
                written.add(database.everything());
            break;
        }
    }
    if (written.raised()) written.note(session_id, env_.now());
    x.wrote = true;
    if (base::planted(base::Plant::invalidate_at_statement) &&
        tx_ == wire::TxStatus::in_transaction) {
        x.written.raise();
        x.written.settle();
    }
    // Without a catalog a read counts as a write for the cache, but not for what a client is told.
    if (v.kind != Kind::select || v.catalog_version != 0) x.commit_in_flight = true;
}

void Session::unknown_effects(PinReason reason) {
    auto& x = *exchange_;
    x.acted = true;
    scope_ = query::NameScope::unknown;
    suspect_lasting(reason);
    use_sequences({});
    x.may_end_transaction = true;
    auto& written = x.writes();
    written.add_schema(*identity_->context.database);
    if (reason == PinReason::statement_too_large)
        written.add(identity_->context.database->everything());
    x.wrote = x.commit_in_flight = true;
    x.note_defines();
}

void Session::raise_fence() {
    auto& x = *exchange_;
    if (!x.wrote || x.written.empty()) return;
    // Inside a transaction only what may end it can commit. Whether we are inside is known for sure
    // only when nothing is in flight.
    const bool inside = tx_ == wire::TxStatus::in_transaction && x.ready_expected == 0;
    if (inside && !x.may_end_transaction) return;
    x.written.note(session_id, env_.now());
    x.written.raise();
    x.fences.push(std::move(x.written), x.batch);
}

/// At each end of a transaction behind what changes what logins are given, unless it has failed as
/// a whole: whoever may not say so is not to have all servers' connections opened anew.
void Session::settle_logins(wire::TxStatus before) {
    auto& x = *exchange_;
    if (x.leave(x.changes_logins) && !undone(before)) env_.logins_may_have_changed();
}

/// What wrote nothing may have come to write something while it waited or ran, and to define.
void Session::settle_believed() {
    auto& x = *exchange_;
    auto& database = *identity_->context.database;
    if (outrun(x.believed, database)) env_.catalog_may_have_changed(database);
    std::erase_if(x.believed, [&x](const Believed& b) { return x.over(b.batch); });
}

/// Those of batches that are over. A client may always have others in flight.
void Session::settle_fences() {
    auto& x = *exchange_;
    if (x.ready_expected > 0 || x.unsynced) return x.fences.settle(x.ended);
    x.written = x.fences.settle_all();
    x.wrote = x.commit_in_flight = false;
}

/// What a batch has been found to do whose Sync has not come yet is left for its own end.
void Session::settle_at_ready(wire::TxStatus before) {
    auto& x = *exchange_;
    const auto status = tx_;
    if (status == wire::TxStatus::idle) {
        settle_logins(before);
        if (!x.unsynced) settle_suspicion(before);
        if (listening_ != nullptr && !x.unsynced) settle_channels(before);
        if (!x.believed.empty()) settle_believed();
        if (x.wrote) settle_fences();
        if (x.leave(x.defines)) env_.catalog_may_have_changed(*identity_->context.database);
    }
    x.again.clear();
    if (x.unsynced) return;
    x.may_end_transaction = false;
    std::erase_if(x.renewed, [&x](const RenewedName& r) { return x.over(r.batch); });
    if (status != wire::TxStatus::idle) return;
    if (!x.loans.empty()) end_loans();
    if (x.ready_expected > 0) return;
    for (const auto& dbname : x.vacated) env_.enter_database(*identity_, dbname);
    x.vacated.clear();
    x.errors.clear();
    x.acted = x.begun = x.copy_bound = false;
    x.takers.clear();  // their portals are gone
    if (x.unpin_at_ready) {
        x.unpin_at_ready = false;
        // DISCARD ALL took the client's own settings too: they are applied again for the next
        // lease.
        unpin();
        x.suspect = true;
    }
}

void Session::finish_statement(base::Nanos now) {
    auto& x = *exchange_;
    if (x.sent == 0) return;
    const auto total = now - x.started;
    const auto done = x.work;
    auto& c = counters_;
    c.query_count.add(1);
    c.query_time_us.add(static_cast<std::uint64_t>((now - x.sent) / base::kMicrosecond));
    if (tx_ == wire::TxStatus::idle)
        c.xact_time_us.add(static_cast<std::uint64_t>(
            (now - (x.tx_started != 0 ? x.tx_started : x.sent)) / base::kMicrosecond));
    if (env_.queries.on() && (x.parts == 0 || !x.sqlstate.empty()))
        record_query(now, x.work, x.part_started != 0 ? x.part_started : x.started);
    consider_logging(now, total);
    const bool inside = tx_ != wire::TxStatus::idle;
    x.tx_started = !inside ? 0 : x.tx_started != 0 ? x.tx_started : x.sent;
    x.tx_statements = inside ? x.tx_statements + 1 : 0;
    x.idle_since = inside && x.ready_expected == 0 ? now : 0;
    x.sqlstate.clear();
    x.wait = 0;
    x.sent = x.ready_expected > 0 ? now : 0;  // a pipelined one is at work from here
    x.started = now;
    x.rows = x.rows_before = x.bytes = 0;
    x.first_byte = 0;
    x.parts = x.work = 0;
    x.part_started = 0;
    x.part_rows = x.part_bytes = 0;
    if (x.expects.empty())
        x.works.clear();
    else
        x.works.drop_before(done);
}

}  // namespace pgweir::session
