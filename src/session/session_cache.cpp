// Session: answers from the result cache, and the beginnings of entries. Only while no server is
// leased: then every earlier message of the session has been answered and applied, so the identity
// in the key is the one this statement would run under.
#include <random>

#include "own_run.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::NotCached;

namespace {

constexpr std::string_view kReadyOpen("Z\0\0\0\5T", 6);

}  // namespace

std::string_view Session::ready_message() const noexcept {
    return tx_ == wire::TxStatus::idle ? cache::Entry::kReady : kReadyOpen;
}

/// The moment up to which everything visible must have been delivered before a hit is given: what
/// this client was told already, and for `strict` all there is now.
base::Nanos Session::watermark_needed() {
    if (awaited_ != 0) return awaited_;
    const bool strict = identity_->context.database->rung() == cache::Rung::strict;
    // Not the clock of the batch of events: what is asked now may have been sent after it.
    return strict ? base::monotonic_now() : last_seen_;
}

/// To be asked before an entry is looked up: what the watermark stands for has then raised the
/// epochs the look-up compares.
Session::Fresh Session::freshness() {
    auto& database = *identity_->context.database;
    if (database.rung() < cache::Rung::bounded) return Fresh::yes;
    auto& stream = database.stream();
    const auto now = env_.now();
    stream.want(now);
    const auto mark = stream.watermark();
    const auto needed = watermark_needed();
    if (mark == 0 || mark + env_.config().cache.max_staleness < now) return Fresh::no;
    if (mark >= needed) return Fresh::yes;
    return waited_ ? Fresh::no : Fresh::wait;
}

/// What would be a hit waits for one probe, which all share. Its bytes stay where they are, and
/// what they need stays the same, however long they wait.
void Session::await_watermark() {
    awaited_ = watermark_needed();
    awaiting_ = true;
    awaited_since_ = env_.now();
    env_.await_watermark(*identity_->context.database, awaited_, session_id);
}

bool Session::only_reads(const query::Verdict& v) noexcept {
    return v.kind == query::Kind::select && v.writes == query::Writes::nothing &&
           !v.may_leave_state && v.names_after == query::NameScope::path;
}

/// Outside a transaction, or in one whose every statement sees the latest: it is READ COMMITTED,
/// and has nothing of its own to see.
bool Session::each_has_its_snapshot() const noexcept {
    if (tx_ == wire::TxStatus::idle) return true;
    return tx_ == wire::TxStatus::in_transaction && begin_reads_ &&
           (!exchange_ || !exchange_->acted);
}

/// A server is held for such a transaction only, and owes nothing: all that was sent has been
/// answered and applied.
bool Session::between_reads() const noexcept {
    if (!exchange_) return false;
    const auto& x = *exchange_;
    return tx_ == wire::TxStatus::in_transaction && each_has_its_snapshot() && !x.bound &&
           x.expects.empty() && !x.unsynced && !x.skipping && client_left_ == 0 && !copy_in_ &&
           pin_ == query::PinReason::none;
}

/// Whether this BEGIN leaves the cache to what follows.
bool Session::begins_reads(const query::Verdict& verdict) const noexcept {
    return cache_may_answer() && !verdict.isolation_changed &&
           identity_->context.database->read_committed() &&
           identity_->mode != config::PoolMode::session;
}

NotCached Session::cache_verdict(const MemoEntry& memo,
                                 const query::TextScan& scan) const noexcept {
    // What the configuration rules out is said before what the statement lacks.
    if (!cache_may_answer()) return NotCached::cache_off;
    if (identity_->not_cached != NotCached::none) return identity_->not_cached;
    if (pin_ != query::PinReason::none) return NotCached::pinned_session;
    if (server_ != nullptr ? !between_reads() : !each_has_its_snapshot())
        return NotCached::in_transaction;
    if (scan.special_datetime && memo.verdict->not_cached == NotCached::none)
        return NotCached::special_date_input;
    return statement_verdict(memo);
}

/// What stands against the statement's answers from the cache, whoever asks and when.
NotCached Session::statement_verdict(const MemoEntry& memo) const noexcept {
    auto& database = *identity_->context.database;
    if (memo.verdict->not_cached != NotCached::none) return memo.verdict->not_cached;
    if (!database.read_committed() && memo.catalog_version != 0) return NotCached::unknown_setting;
    if (database.rung() < cache::Rung::in_band) {
        database.stream().want(env_.now());
        return NotCached::cache_off;
    }
    if (database.stream().by_notice() && !memo.verdict->told) return NotCached::not_told;
    if (database.stream().by_publication() && !memo.verdict->published)
        return NotCached::not_published;
    return NotCached::none;
}

void Session::count_not_cached(NotCached reason, const MemoEntry* memo) {
    not_cached_ = reason;
    env_.counters().not_cached[static_cast<std::size_t>(reason)].add(1);
    if (memo == nullptr || reason == NotCached::cache_off) return;
    if (memo->verdict->kind != query::Kind::select) return;
    if (auto* row = ledger_row(*memo)) row->note(reason);
}

/// Null: nothing is known, so it is stored.
cache::LedgerRow* Session::ledger_row(const MemoEntry& memo) {
    auto* const cache = env_.result_cache();
    return cache == nullptr ? nullptr : ledger_row(*cache, memo);
}

cache::LedgerRow* Session::find_ledger_row(cache::Ledger& ledger, const MemoEntry& memo) {
    // Asked first: should all be forgotten in between, the row is looked for again.
    memo.ledger_generation = ledger.generation();
    memo.ledger = ledger.row(identity_->context.database->cache_id(), memo.fingerprint);
    return memo.ledger.get();
}

/// Asked first of what is known not to pay: nothing else is to be paid for it, then. `question`:
/// the text, or the parameters where there are any.
bool Session::does_not_pay(cache::ResultCache& cache, const MemoEntry& memo,
                           std::string_view question) {
    if (memo.ledger == nullptr || !memo.ledger->off()) return false;
    const auto* const row = ledger_row(cache, memo);
    return row != nullptr && !row->pays(question, env_.now());
}

/// Whether what is not there is to be stored; else why not.
NotCached Session::worth_storing(const base::Hash128& hash, const cache::LedgerRow* row) {
    auto& cache = *env_.result_cache();
    if (cache.ledger().too_large(hash, env_.now())) return NotCached::too_large;
    const bool at_once = !cache.full() && (row == nullptr || row->at_once());
    return at_once || cache.ledger().asked_before(hash) ? NotCached::none : NotCached::first_use;
}

/// The same for an answer.
NotCached Session::stores(const base::Hash128& hash, cache::LedgerRow* row) {
    const auto reason = worth_storing(hash, row);
    if (reason == NotCached::first_use && row != nullptr) row->missed();
    return reason;
}

/// A hit takes less than the clock's grain: no time is counted.
void Session::count_hit() {
    counters_.query_count.add(1);
    if (tx_ == wire::TxStatus::idle) counters_.xact_count.add(1);
    if (server_ == nullptr) return;
    ++exchange_->tx_statements;
    exchange_->idle_since = env_.now();
}

/// Names what is asked and, where its entry may be given by now, looks for that.
void Session::seek(Sought& sought, const cache::KeyParts& parts, bool look) {
    sought.named = true;
    sought.name = cache::KeyName(parts);
    sought.hash = sought.name.hash();
    if (look) sought.entry = env_.result_cache()->find(sought.hash, sought.name, env_.now());
}

/// Its bytes, for what is to be stored.
std::string Session::room_for(const Sought& sought) {
    return cache::Fill::with_room(sought.name.build(env_.key_buffer));
}

/// With ReadyForQuery, and `lead` in front (Entry::framed). `described`: the description goes
/// along. At once: the entry is held for this long only.
void Session::send_answer(const cache::Entry& entry, std::string_view lead, bool described) {
    auto& out = turn_->client;
    if (tx_ == wire::TxStatus::idle && (described || entry.row_description().empty()))
        return out.send(entry.framed(lead));
    out.join(lead);
    out.join(described ? entry.answer() : entry.data());
    out.copy(ready_message());
    out.flush();
}

/// To a Query.
void Session::give_answer(const cache::Entry& entry, const MemoEntry& memo, std::string_view text) {
    send_answer(entry, {}, true);
    saw(entry);
    portal_ = UnnamedPortal::none;
    unnamed_.reset();
    last_ = Last::hit;
    count_hit();
    if (env_.queries.on()) record_hit(memo, text, entry.answer().size());
}

bool Session::answer_query_from_cache(std::string_view text, const MemoEntry& memo,
                                      const query::TextScan& scan) {
    auto* cache = env_.result_cache();
    const auto woken = std::exchange(flight_, nullptr);
    last_ = Last::other;
    const bool idle = cache != nullptr && cache_may_answer() && does_not_pay(*cache, memo, text);
    auto reason = idle ? NotCached::does_not_pay : cache_verdict(memo, scan);
    if (reason != NotCached::none || cache == nullptr) {
        count_not_cached(reason, &memo);
        return false;
    }
    auto* row = ledger_row(*cache, memo);
    if (row != nullptr && !row->pays(text, env_.now())) {
        count_not_cached(NotCached::does_not_pay, &memo);
        return false;
    }
    const auto fresh = freshness();
    Sought sought;
    seek(sought, key_parts(text, base::hash128(text)), fresh == Fresh::yes);
    const auto& [named, name, hash, entry] = sought;
    auto& database = *identity_->context.database;
    if (fresh == Fresh::yes) {
        database.stats().count(entry ? cache::Event::hit : cache::Event::miss);
    } else {
        if (fresh == Fresh::wait && server_ == nullptr &&
            cache->would_hit(hash, name, env_.now())) {
            await_watermark();
            return false;
        }
        if (fresh == Fresh::no) {
            count_not_cached(NotCached::stream_behind);
            return false;
        }
        database.stats().count(cache::Event::miss);
    }
    const bool answers = entry && !entry->row_description().empty();
    if (answers && row != nullptr) row->hit(entry->cost());
    if (answers && !verifies()) {
        give_answer(*entry, memo, text);
        if (woken) woken->lead.land();
        return true;
    }
    if (!answers && (reason = stores(hash, row)) != NotCached::none) {
        count_not_cached(reason, &memo);
        return false;
    }
    not_cached_ = NotCached::none;
    // Who holds a server does not wait for who may need it.
    auto lead = answers || server_ != nullptr ? cache::Lead() : board(woken, hash);
    if (in_flight()) return false;
    pending_fills_ = make_fills();
    pending_fills_->items.push_back({0, room_for(sought), hash, scan.shape, judged_,
                                     answers ? entry : cache::EntryPtr(), std::move(lead),
                                     rows_read(memo, {text, {}, {}})});
    return false;
}

/// Some hits go to the server all the same, and what it says is compared.
bool Session::verifies() const noexcept {
    const auto ratio = env_.config().cache.verify_ratio;
    if (ratio <= 0) return false;
    thread_local std::minstd_rand random(static_cast<unsigned>(base::random_u64()));
    return ratio >= 1 || std::generate_canonical<double, 24>(random) < ratio;
}

void Session::end_fill(cache::Fill& fill, base::Nanos now) {
    if (fill.publish(now, exchange_->stamp) != cache::FillEnd::differs) return;
    const auto& x = *exchange_;
    const auto& text = x.extended && x.statement ? x.statement->text : x.text;
    base::log_warning("cache: an entry was not what the server answers, for user " +
                      base::printable(identity_->user) + " of database " +
                      base::printable(identity_->database) + ": " + base::printable(text, 500));
}

/// Captures the epochs of all answers at once, before the first message of the batch is sent: in
/// REPEATABLE READ the first one's snapshot is everybody's. A description is as of its Parse.
void Session::begin_fills() {
    auto* cache = env_.result_cache();
    auto& x = *exchange_;
    const auto pending = pending_fills_.get();
    if (std::exchange(pending->captured, true)) return;
    if (cache == nullptr || pin_ != query::PinReason::none || !each_has_its_snapshot() || x.wrote ||
        !x.fills.empty())
        return pending->items.clear();
    auto& database = *identity_->context.database;
    const auto ttl = env_.config().cache.default_ttl;
    cache::FillOptions options{.sent = env_.now(),
                               .ttl = ttl == 0 ? cache::kNever : ttl,
                               .in_transaction = tx_ != wire::TxStatus::idle || pending->begins};
    x.cache_word = "miss";
    for (auto& item : pending->items) {
        const auto& memo = *item.memo;
        std::span<cache::State* const> states(memo.depends);
        // What a statement is described as rests on definitions only, hence on the database's
        // state, which every snapshot holds, and on the query's, which is for invalidation by hand.
        if (item.description) states = states.last(1);
        auto snapshot =
            item.rows.empty()
                ? cache::Snapshot::capture(database, states, memo.catalog_version)
                : cache::Snapshot::capture(database, std::move(item.rows), memo.catalog_version);
        // Compared with what the server answers from now on: so it must be valid still.
        options.verify = std::move(item.verify);
        if (options.verify && !options.verify->valid()) options.verify.reset();
        options.row = item.description ? nullptr : memo.ledger;
        options.description = item.description;
        options.shape = item.shape;
        if (snapshot && !memo.verdict->may_leave_state) {
            x.fills.emplace_back(*cache, database, std::move(item.key), item.hash,
                                 std::move(*snapshot), options);
            if (item.lead) x.fills.back().lead_with(std::move(item.lead));
        } else {
            x.fills.emplace_back();
            item.lead.land();  // a write is on its way: nothing to wait for
        }
    }
    x.stamp.reset();
    if (std::any_of(x.fills.begin(), x.fills.end(),
                    [](const cache::Fill& fill) { return fill.needs_stamp(); }))
        send_stamp();
}

/// In the same write, ahead of what takes the fills' snapshots. In the middle of a batch as part of
/// it, since a simple Query would destroy the client's unnamed statement.
void Session::send_stamp() {
    static const auto statement =
        StatementTable::make("SELECT pg_catalog.pg_current_snapshot()", {});
    using Kind = Expect::Kind;
    if (!exchange_->unsynced) {
        std::string message;
        wire::write_query(message, statement->text);
        turn_->server.copy(message);
        server_->unnamed_statement = 0;
        return expect({.kind = Kind::query, .swallow = true, .quiet = true, .stamp = true});
    }
    ensure_prepared(*statement, false);
    std::string message;
    write_own_run(message, pool::prepared_name(statement->id));
    turn_->server.copy(message);
    expect({.kind = Kind::bind, .swallow = true, .statement = statement->id});
    expect({.kind = Kind::execute, .swallow = true, .stamp = true});
    expect({.kind = Kind::close, .swallow = true});
}

Session::Reply Session::take_stamp(std::string_view row) {
    base::ByteReader r(row);
    const auto columns = r.u16();
    const auto size = r.i32();
    const auto text = size < 0 ? std::string_view() : r.bytes(static_cast<std::size_t>(size));
    exchange_->stamp.reset();
    if (columns == 1 && r.done()) exchange_->stamp = cache::Stamp::parse(text);
    return Reply::swallow;
}

/// The fill of the next Bind or Describe of a statement of the batch, by its number; 0: none.
std::uint16_t Session::next_fill() {
    if (!pending_fills_) return 0;
    auto& p = *pending_fills_;
    begin_fills();
    const auto at = p.next++;
    std::uint16_t fill = 0;
    if (p.begun < p.items.size() && p.items[p.begun].at == at)
        fill = static_cast<std::uint16_t>(++p.begun);
    if (p.begun == p.items.size()) end_pending();
    return fill;
}

/// One of the worker's, so that misses one after the other need no new ones.
std::unique_ptr<Session::PendingFills>& Session::spare_fills() {
    thread_local std::unique_ptr<PendingFills> spare;
    return spare;
}

std::unique_ptr<Session::PendingFills> Session::make_fills() {
    auto spare = std::move(spare_fills());
    return spare ? std::move(spare) : std::make_unique<PendingFills>();
}

void Session::end_pending() {
    auto items = std::move(pending_fills_->items);
    items.clear();
    *pending_fills_ = {};
    pending_fills_->items = std::move(items);
    spare_fills() = std::move(pending_fills_);
}

}  // namespace pgweir::session
