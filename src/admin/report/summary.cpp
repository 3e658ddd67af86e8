// See summary.hpp.
#include "summary.hpp"

#include <algorithm>

#include "pgweir/base/hash.hpp"
#include "pgweir/query/reasons.hpp"
#include "pgweir/query/tokens.hpp"
#include "pgweir/query/verdict.hpp"

namespace pgweir::admin {

namespace {

using metrics::SlowEvent;

constexpr std::size_t kMaxNames = 500;
constexpr std::size_t kMaxReasons = 50;  // of one query
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kSample = 4096;
constexpr std::size_t kMaxSeen = 4'000'000;

/// Microseconds: what people divide time by.
constexpr std::int64_t kSecond = 1'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute;
constexpr std::int64_t kWidths[] = {kSecond, 2 * kSecond, 5 * kSecond, 10 * kSecond, 30 * kSecond,
                                    kMinute, 2 * kMinute, 5 * kMinute, 10 * kMinute, 30 * kMinute,
                                    kHour,   2 * kHour,   6 * kHour,   12 * kHour,   24 * kHour};

std::int64_t wider(std::int64_t width) {
    for (const auto w : kWidths)
        if (w > width) return w;
    return width * 2;
}

void add_sums(Sums& into, const Sums& s) {
    into.calls += s.calls;
    into.errors += s.errors;
    into.total_us += s.total_us;
    into.wait_us += s.wait_us;
    into.server_us += s.server_us;
    into.transfer_us += s.transfer_us;
}

/// 0: none, or one that this version does not know.
std::uint8_t reason_number(const std::string& name) {
    for (std::size_t i = 1; i < query::kNotCachedReasons.size(); ++i)
        if (query::kNotCachedReasons[i].name == name) return static_cast<std::uint8_t>(i);
    return 0;
}

metrics::QueryRecord record_of(const LogEntry& e) {
    metrics::QueryRecord r;
    r.fingerprint = e.fingerprint;
    r.total_us = e.total_us;
    r.wait_us = e.wait_us;
    r.server_us = e.server_us;
    r.rows = e.rows;
    r.bytes = e.bytes;
    if (e.event == SlowEvent::error) r.flags |= metrics::QueryRecord::failed;
    if (e.cache == "miss") r.flags |= metrics::QueryRecord::filled;
    return r;
}

/// A read whose text and parameters, all of them, are in the log.
bool comparable(const LogEntry& e) {
    const auto tokens = query::text_tokens(std::string_view(e.text).substr(0, kSample));
    const bool reads = !tokens.empty() && (tokens[0].is("select") || tokens[0].is("with") ||
                                           tokens[0].is("values") || tokens[0].is("table"));
    if (!reads) return false;
    return std::none_of(tokens.begin(), tokens.end(), [&](const query::TextToken& t) {
        const bool hidden = t.kind == query::TextToken::Kind::parameter && e.parameters.empty();
        return hidden || t.is("insert") || t.is("update") || t.is("delete") || t.is("merge") ||
               t.is("into");
    });
}

}  // namespace

void Sums::add(const LogEntry& e) {
    ++calls;
    if (e.event == SlowEvent::error) ++errors;
    total_us += e.total_us;
    wait_us += e.wait_us;
    server_us += e.server_us;
    transfer_us += e.transfer_us;
}

void Timeline::widen(std::int64_t at_us) {
    const auto slot = [this](std::int64_t us) { return us / width_us_; };
    for (;;) {
        const auto first = slots_.empty() ? at_us : std::min(at_us, slots_.begin()->first);
        const auto last = slots_.empty() ? at_us : std::max(at_us, slots_.rbegin()->first);
        if (slot(last) - slot(first) < static_cast<std::int64_t>(kMaxSlots)) return;
        width_us_ = wider(width_us_);
        std::map<std::int64_t, Sums> wide;
        for (const auto& [begin, sums] : slots_) add_sums(wide[slot(begin) * width_us_], sums);
        slots_ = std::move(wide);
    }
}

void Timeline::add(const LogEntry& e) {
    if (e.at_us <= 0) return;
    widen(e.at_us);
    slots_[e.at_us / width_us_ * width_us_].add(e);
}

std::vector<Sums> Timeline::slots() const {
    std::vector<Sums> all;
    if (slots_.empty()) return all;
    for (auto at = slots_.begin()->first; at <= slots_.rbegin()->first; at += width_us_) {
        const auto it = slots_.find(at);
        all.push_back(it == slots_.end() ? Sums{} : it->second);
    }
    return all;
}

void Summary::add_named(Named& named, const std::string& name, const LogEntry& e) {
    const auto key = name.substr(0, kMaxName);
    const bool room = named.size() < kMaxNames || named.count(key) > 0;
    named[room ? key : "(other)"].add(e);
}

std::vector<NamedSums> Summary::sorted(const Named& named) {
    std::vector<NamedSums> all;
    for (const auto& [name, sums] : named) all.push_back({name, sums});
    std::stable_sort(all.begin(), all.end(), [](const NamedSums& a, const NamedSums& b) {
        return a.sums.total_us > b.sums.total_us;
    });
    return all;
}

ReportQuery* Summary::query_of(const LogEntry& e) {
    const auto it = queries_.find(e.fingerprint);
    if (it != queries_.end()) return &it->second;
    if (queries_.size() >= kMaxQueries) return nullptr;
    auto& q = queries_[e.fingerprint];
    q.row.fingerprint = e.fingerprint;
    q.row.sample = e.text.substr(0, kSample);
    q.row.text = query::normalise(e.text, kSample);
    return &q;
}

/// What a cache could have answered: the same text with the same parameters, again.
void Summary::note_repeat(ReportQuery& q, const LogEntry& e) {
    if (!q.repeats_known) return;
    if (!comparable(e)) {
        q.repeats_known = false;
        return;
    }
    const auto hash = base::hash64(e.text + '\0' + e.parameters + '\0' + e.database);
    if (seen_.count(hash) > 0) {
        ++q.repeats;
        q.repeats_us += e.server_us + e.transfer_us;
    } else if (seen_.size() < kMaxSeen) {
        seen_.insert(hash);
    }
}

/// No execution: nothing is counted.
void Summary::add_plan(ReportQuery* q, LogEntry&& e) {
    if (q == nullptr || e.plan.empty()) return;
    ++q->plans;
    if (e.at_us < q->plan_at_us) return;
    q->plan_at_us = e.at_us;
    auto plan = std::make_shared<Plan>();
    plan->notes = std::move(e.notes);
    q->row.plan = std::move(plan);
    q->plan = std::move(e.plan);
}

void Summary::add(LogEntry&& e) {
    if (e.at_us > 0) {
        from_us_ = from_us_ == 0 ? e.at_us : std::min(from_us_, e.at_us);
        to_us_ = std::max(to_us_, e.at_us);
    }
    auto* q = query_of(e);
    if (e.event == SlowEvent::idle) {
        ++idle_;
        if (q == nullptr) return;
        ++q->idle;
        q->longest_idle_us = std::max(q->longest_idle_us, e.total_us);
        if (e.total_us >= 1'000'000) q->row.traits.note_idle(e.total_us / 1000);
        return;
    }
    if (e.event == SlowEvent::plan) return add_plan(q, std::move(e));
    if (e.event == SlowEvent::error && q != nullptr) {
        if (q->sqlstates.size() < kMaxReasons || q->sqlstates.count(e.sqlstate) > 0)
            ++q->sqlstates[e.sqlstate.substr(0, kMaxName)];
        if (q->error.empty()) q->error = e.error.substr(0, kSample);
    }
    if (e.refused) {
        ++refused_;
        return;
    }
    all_.add(e);
    timeline_.add(e);
    add_named(databases_, e.database, e);
    add_named(users_, e.user, e);
    add_named(applications_, e.application, e);
    if (q == nullptr) return beyond_.add(e);
    if (e.event == SlowEvent::waited) ++q->waited;
    if (e.total_us >= q->row.figures.total.most) q->worst = e.text.substr(0, kSample);
    q->row.figures.add(record_of(e), 0);
    q->transfer_us += e.transfer_us;
    if (q->row.first_wall_us == 0) q->row.first_wall_us = e.at_us;
    q->row.first_wall_us = std::min(q->row.first_wall_us, e.at_us);
    q->row.last_wall_us = std::max(q->row.last_wall_us, e.at_us);
    if (!e.cache_reason.empty() &&
        (q->reasons.size() < kMaxReasons || q->reasons.count(e.cache_reason) > 0))
        q->reasons[e.cache_reason.substr(0, kMaxName)].add(e);
    if (const auto reason = reason_number(e.cache_reason)) q->row.traits.note_reason(reason);
    q->row.traits.note_text(std::string_view(e.text).substr(0, kSample));
    note_repeat(*q, e);
}

std::vector<const ReportQuery*> Summary::queries() const {
    std::vector<const ReportQuery*> all;
    for (const auto& [fingerprint, q] : queries_)
        if (q.row.figures.calls > 0 || q.idle > 0 || !q.sqlstates.empty()) all.push_back(&q);
    std::sort(all.begin(), all.end(), [](const ReportQuery* a, const ReportQuery* b) {
        const auto x = a->row.figures.total.sum, y = b->row.figures.total.sum;
        return x != y ? x > y : a->row.fingerprint < b->row.fingerprint;
    });
    return all;
}

std::vector<NamedSums> Summary::reasons() const {
    Named named;
    for (const auto& [fingerprint, q] : queries_)
        for (const auto& [reason, sums] : q.reasons)
            if (named.size() < kMaxNames || named.count(reason) > 0) add_sums(named[reason], sums);
    return sorted(named);
}

std::vector<Advice> Summary::advice() const {
    std::vector<QueryRow> rows;
    for (const auto* q : queries()) rows.push_back(q->row);
    return advise(rows);
}

}  // namespace pgweir::admin
