// Session: what the statistics per query and the slow log are told. With both off it costs a branch
// per statement; the statistics cost a record of 64 bytes. Everything else is made only for what is
// logged.
#include <charconv>
#include <random>

#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"

namespace pgweir::session {

using metrics::QueryRecord;
using metrics::SlowEvent;
using metrics::SlowQuery;
using query::NotCached;
using query::PinReason;

namespace {

/// Bytes; texts of simple Queries are cut beyond.
constexpr std::size_t kMostExplained = std::size_t{64} * 1024;

std::uint64_t micros(base::Nanos nanos) noexcept {
    return nanos > 0 ? static_cast<std::uint64_t>(nanos / base::kMicrosecond) : 0;
}

bool sampled(double share) {
    if (share >= 1) return true;
    static thread_local std::minstd_rand generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0, 1)(generator) < share;
}

bool fits(const std::string& wanted, const std::string& value) noexcept {
    return wanted.empty() || wanted == value;
}

/// Why the cache had no part in a statement that ran on a server.
NotCached passed_by(PinReason pin, bool in_transaction, NotCached asked) noexcept {
    if (pin != PinReason::none) return NotCached::pinned_session;
    return in_transaction ? NotCached::in_transaction : asked;
}

}  // namespace

std::uint32_t Session::stats_group() {
    if (stats_group_ == 0)
        stats_group_ =
            env_.queries.sink()->group(identity_->database, identity_->user, application_name_);
    return stats_group_;
}

void Session::introduce(const MemoEntry& memo, std::string_view text) {
    const auto generation = env_.queries.generation();
    if (env_.queries.introduce(memo.fingerprint, text)) memo.introduced = generation;
}

/// What is known of each execution, to be added to; null: there is no room for it.
QueryRecord* Session::begin_record(const MemoEntry& memo, std::string_view text) {
    if (memo.introduced != env_.queries.generation()) [[unlikely]]
        introduce(memo, text);
    const auto group = stats_group_ != 0 ? stats_group_ : stats_group();
    auto* const r = env_.queries.next();
    if (r == nullptr) return nullptr;
    *r = {};
    r->fingerprint = memo.fingerprint;
    r->session = session_id;
    r->group = group;
    return r;
}

void Session::record_hit(const MemoEntry& memo, std::string_view text, std::size_t bytes) {
    auto* const r = begin_record(memo, text);
    if (r == nullptr) return;
    r->bytes = bytes;
    r->flags = QueryRecord::hit;
}

/// A statement that no server had a part in, and that is no hit.
void Session::record_here(const MemoEntry& memo, std::string_view text) {
    counters_.query_count.add(1);
    if (!env_.queries.on()) return;
    if (auto* const r = begin_record(memo, text); r != nullptr)
        r->not_cached = static_cast<std::uint8_t>(passed_by(pin_, begin_ != nullptr, not_cached_));
}

void Session::record_query(base::Nanos now, std::uint64_t work, base::Nanos since) {
    auto& x = *exchange_;
    const auto* w = x.works.find(work);
    if (w == nullptr || w->memo == nullptr) return;
    const auto& memo = *w->memo;
    if (memo.introduced != env_.queries.generation()) [[unlikely]]
        introduce(memo, w->statement ? std::string_view(w->statement->text) : x.text);
    const bool first = x.parts == 0;
    const auto answered = first && x.first_byte != 0 ? x.first_byte : now;
    unsigned flags = 0;
    if (!x.sqlstate.empty()) flags |= QueryRecord::failed;
    if (x.cache_word == "miss") flags |= QueryRecord::filled;
    if (tx_ != wire::TxStatus::idle || x.tx_statements > 0) flags |= QueryRecord::in_transaction;
    if (!first) flags |= QueryRecord::in_batch;
    const auto group = stats_group_ != 0 ? stats_group_ : stats_group();
    auto* r = env_.queries.next();
    if (r == nullptr) return;
    r->fingerprint = memo.fingerprint;
    r->session = session_id;
    r->total_us = micros(now - since);
    r->wait_us = first && x.wait != 0 ? micros(x.wait) : 0;
    r->server_us = micros(answered - (first ? x.sent : since));
    r->rows = x.rows - x.part_rows;
    r->bytes = x.bytes - x.part_bytes;
    r->group = group;
    r->flags = static_cast<std::uint8_t>(flags);
    r->not_cached = 0;
    if (x.cache_word.empty())
        r->not_cached =
            static_cast<std::uint8_t>(passed_by(pin_, x.tx_statements > 0, not_cached_));
    r->idle_cs = 0;
    if (x.idle_before >= base::kSecond) [[unlikely]]
        r->idle_cs = static_cast<std::uint16_t>(
            std::min<base::Nanos>(x.idle_before / (10 * base::kMillisecond), 0xffff));
    x.idle_before = 0;
}

/// One Execute of a batch has its answer.
void Session::finish_execute(std::uint64_t work) {
    auto& x = *exchange_;
    x.work = work;
    if (env_.queries.on() && work != 0) record_part(work);
    x.works.drop_before(work);
}

void Session::record_part(std::uint64_t work) {
    auto& x = *exchange_;
    const auto now = env_.now();
    record_query(now, work, x.part_started != 0 ? x.part_started : x.started);
    ++x.parts;
    x.part_started = now;
    x.part_rows = x.rows;
    x.part_bytes = x.bytes;
}

/// Rows that a command has changed without sending them count, too, as its tag tells.
void Session::count_affected(std::string_view tag) {
    auto& x = *exchange_;
    const bool sent = x.rows != x.rows_before;
    std::uint64_t n = 0;
    if (!sent && tag.size() > 2) {
        const auto digits = tag.rfind(' ') + 1;  // the NUL at the end is none
        std::from_chars(tag.data() + digits, tag.data() + tag.size() - 1, n);
    }
    x.rows += n;
    x.rows_before = x.rows;
}

base::Nanos Session::slow_threshold(const SlowQuery& q, const Work* work) const {
    const auto& slow = env_.config().slow_log;
    for (const auto& rule : slow.rules)
        if (fits(rule.database, q.database) && fits(rule.user, q.user) &&
            fits(rule.application, q.application_name) &&
            (!rule.fingerprint ||
             (work != nullptr && work->memo && work->memo->fingerprint == *rule.fingerprint)))
            return rule.threshold;
    return slow.threshold;
}

void Session::consider_logging(base::Nanos now, base::Nanos total) {
    const auto& slow = env_.config().slow_log;
    auto& x = *exchange_;
    const bool failed = slow.errors && !x.sqlstate.empty();
    const bool waited = slow.wait_threshold >= 0 && x.wait >= slow.wait_threshold;
    const bool over = slow.threshold >= 0 && total >= slow.threshold;
    if (!failed && !waited && !over && slow.rules.empty()) [[likely]]
        return;
    log_statement(now, total, failed, waited, over);
}

/// Apart, so that what is not logged does not pay for its frame.
void Session::log_statement(base::Nanos now, base::Nanos total, bool failed, bool waited,
                            bool over) {
    const auto& slow = env_.config().slow_log;
    auto& x = *exchange_;
    auto* log = env_.slow_log();
    if (log == nullptr) return;
    if (!slow.rules.empty()) {
        SlowQuery who;
        who.user = identity_->user;
        who.database = identity_->database;
        who.application_name = application_name_;
        const auto threshold = slow_threshold(who, x.works.find(x.work));
        over = threshold >= 0 && total >= threshold;
    }
    over = over && sampled(slow.sample);
    if (!failed && !waited && !over) return;
    auto q = describe(now, total);
    q.event = failed ? SlowEvent::error : over ? SlowEvent::slow : SlowEvent::waited;
    if (slow.explain && q.event == SlowEvent::slow) explain_slow(q);
    log->offer(std::move(q));
}

/// Only what is proven to mean the same elsewhere, and whose functions are harmless: what the cache
/// could take. Inside a transaction settings and tables may be others than are known here.
void Session::explain_slow(const SlowQuery& q) {
    const auto& x = *exchange_;
    const auto* work = exchange_->works.find(x.work);
    if (work == nullptr || !work->memo || (q.extended && !work->statement)) return;
    const bool proven =
        work->memo->verdict->not_cached == NotCached::none && work->memo->catalog_version != 0;
    const bool settled = identity_->not_cached == NotCached::none && pin_ == PinReason::none &&
                         q.tx_position == 0 && !x.suspect && x.sqlstate.empty();
    const bool whole = q.text.size() < kMostExplained && work->bind.size() < kMostExplained &&
                       (!q.extended || !work->bind.empty());
    if (!proven || !settled || !whole) return;
    env_.explain(*identity_, application_name_, work->memo->fingerprint, q.text, work->bind,
                 work->statement ? work->statement->types : std::vector<std::uint32_t>());
}

void Session::describe_client(SlowQuery& q) const {
    q.user = identity_->user;
    q.database = identity_->database;
    q.application_name = application_name_;
    q.client_host = client_host;
    q.client_port = client_port;
    q.server_pid = server_ != nullptr ? server_->process_id() : 0;
    q.session_id = session_id;
    q.pool = identity_->shared_pool ? identity_->shared_pool->name : identity_->database;
    if (pin_ != PinReason::none) q.pin = query::name(pin_);
}

SlowQuery Session::describe(base::Nanos now, base::Nanos total) {
    auto& x = *exchange_;
    const auto* work = x.works.find(x.work);
    const auto statement = work != nullptr && work->statement ? work->statement : x.statement;
    SlowQuery q;
    describe_client(q);
    q.text = x.extended ? (statement ? statement->text : std::string()) : x.text;
    q.extended = x.extended;
    if (x.extended) q.prepared_name = x.statement_name;
    if (x.extended && work != nullptr && env_.config().slow_log.parameters) {
        q.bind = work->bind;
        if (statement) q.types = statement->types;
    }
    q.started_wall_us = base::wall_now_us() - total / base::kMicrosecond;
    q.total_ns = total;
    q.wait_ns = x.wait;
    const auto answered = x.first_byte != 0 ? x.first_byte : now;
    q.server_ns = answered - x.sent;
    q.transfer_ns = now - answered;
    q.rows = x.rows;
    q.bytes = x.bytes;
    q.cache = x.cache_word.empty() ? std::string_view("bypass") : x.cache_word;
    if (x.cache_word.empty()) {
        const auto reason = passed_by(pin_, x.tx_statements > 0, not_cached_);
        if (reason != NotCached::none) q.cache_reason = query::name(reason);
    }
    if (tx_ != wire::TxStatus::idle || x.tx_statements > 0) {
        q.tx_position = x.tx_statements + 1;
        q.tx_age_ns = now - (x.tx_started != 0 ? x.tx_started : x.sent);
    }
    q.sqlstate = x.sqlstate;
    q.error = std::move(x.error);
    return q;
}

/// Once per silence.
void Session::log_idle(base::Nanos now) {
    auto& x = *exchange_;
    const auto limit = env_.config().slow_log.idle_in_transaction;
    if (limit < 0 || now - x.idle_since < limit) return;
    const auto idle = now - x.idle_since;
    x.idle_since = 0;
    auto* log = env_.slow_log();
    if (log == nullptr) return;
    SlowQuery q;
    describe_client(q);
    q.event = SlowEvent::idle;
    q.text = x.extended ? (x.statement ? x.statement->text : std::string()) : x.text;
    q.started_wall_us = base::wall_now_us() - idle / base::kMicrosecond;
    q.total_ns = idle;
    q.tx_age_ns = now - x.tx_started;
    q.tx_position = x.tx_statements;
    log->offer(std::move(q));
}

/// It was refused before it had a server.
void Session::log_refused(std::string_view text, const pool::ServerFailure& why) {
    auto* log = env_.slow_log();
    if (!env_.config().slow_log.errors || log == nullptr) return;
    constexpr std::size_t kLoggedText = std::size_t{64} * 1024;
    SlowQuery q;
    describe_client(q);
    q.event = SlowEvent::error;
    text = text.substr(0, kLoggedText);
    if (text.ends_with('\0')) text.remove_suffix(1);
    q.text = text;
    q.total_ns = q.wait_ns = std::max<base::Nanos>(env_.now() - wait_started_, 0);
    q.started_wall_us = base::wall_now_us() - q.total_ns / base::kMicrosecond;
    q.cache = "bypass";
    q.sqlstate = why.sqlstate;
    q.error = why.message;
    log->offer(std::move(q));
}

}  // namespace pgweir::session
