// StreamLink, live: what is delivered, and the probes that prove how far that is.
//
// A probe asks the server over the ordinary connection for its snapshot and its insert position.
// All that was visible when it was sent stands in the log before that position, so once the stream
// has passed it, everything visible then has been delivered: the watermark is the probe's sending.
// It is the insert position, because with synchronous_commit=off commits are visible before they
// are written out.
#include <algorithm>
#include <utility>

#include "pgweir/base/plants.hpp"
#include "relation_states.hpp"
#include "sql.hpp"
#include "stream_link.hpp"

namespace pgweir::control {

namespace {

/// Messages of one step; then other streams have their turn.
constexpr int kMessagesAtOnce = 20'000;
/// A stream that brings so much in such a time is read once a millisecond only, unless somebody
/// waits: to be woken for each message costs as much as the transaction it tells of.
constexpr base::Nanos kSpan = 10 * base::kMillisecond;
constexpr unsigned kManyMessages = 30;
constexpr base::Nanos kRest = base::kMillisecond;
/// While transactions are not known to be visible, fills on what they changed do not stand.
constexpr base::Nanos kProveEvery = 5 * base::kMillisecond;
constexpr base::Nanos kFirstAsk = 500 * base::kMicrosecond;
constexpr base::Nanos kLastAsk = 20 * base::kMillisecond;
/// A position that is not written out yet is hurried after this long when somebody waits.
constexpr base::Nanos kHurry = 2 * base::kMillisecond;
constexpr base::Nanos kNudgeGap = 20 * base::kMillisecond;
constexpr unsigned kNudges = 3;  // of one probe: a stream may be slow for other reasons
/// No transaction is that far ahead of the newest a probe has seen.
constexpr cache::FullXid kFarXid = 1'000'000;

/// The insert position may stand behind a page's header where no record has been begun; on a quiet
/// server no record ever ends there. None that ends within a header's length of a page's beginning
/// has begun in that page, so whoever has passed the page's beginning has passed it, too.
Lsn reachable(Lsn position, std::uint32_t block_size) noexcept {
    constexpr Lsn kLongestHeader = 40;
    const auto inside = position % block_size;
    return inside <= kLongestHeader ? position - inside : position;
}

/// Only the rows a change concerns; false, and nothing is added: not known.
template <class Change>
bool add_rows(const query::Relation& relation, const Change& change, cache::DatabaseState& database,
              std::vector<cache::State*>& states) {
    if (relation.identity.empty() || relation.inherits) return false;
    auto& state = database.relation(relation.oid);
    if (state.row(0) == nullptr) return false;  // nobody reads it by rows
    std::vector<std::vector<query::RowValue>> rows;
    if (!identities(change, relation, rows)) return false;
    if (base::planted(base::Plant::key_change_unseen)) rows.resize(1);
    std::vector<std::uint64_t> numbers;
    for (const auto& values : rows) query::row_numbers(values, numbers);
    states.push_back(&state.any_row());
    if (base::planted(base::Plant::row_not_bumped)) return true;
    for (const auto number : numbers) states.push_back(state.row(number));
    return true;
}

}  // namespace

void StreamLink::read_stream(base::Nanos now) {
    // The first probe's snapshot says how transactions' numbers go on.
    if (!begun_) hear_probe(now);
    if (!begun_) return;
    if (!rests(now) && !take_messages(now)) return;
    if (now - reported_at_ >= base::kSecond) report_position(now, false);
    if (state_ != State::live) return;
    database_.stream().give_up(now - context_.options->max_staleness);
    if (probe_ == Probe::asked || probe_ == Probe::nudging) hear_probe(now);
    if (state_ == State::live && probe_ == Probe::passing) look_if_passed(now);
    if (state_ == State::live && probe_ == Probe::none && now >= next_probe()) probe(now);
}

bool StreamLink::rests(base::Nanos now) const {
    return busy_ && now < read_at_ && database_.stream().needed() == 0;
}

bool StreamLink::take_messages(base::Nanos now) {
    int n = 0;
    for (; n < kMessagesAtOnce; ++n) {
        std::string_view message;
        const auto step = stream_->next_copy(message);
        if (step == Connection::Step::busy) break;
        if (step != Connection::Step::row) return lose(stream_->error()), false;
        if (!take_message(message)) return false;
    }
    span_messages_ += static_cast<unsigned>(n);
    if (now - span_began_ >= kSpan) {
        busy_ = span_messages_ >= kManyMessages;
        span_began_ = now;
        span_messages_ = 0;
    }
    // What is left may be in the library's memory, where nothing wakes for it.
    const bool left = n == kMessagesAtOnce;
    busy_ = busy_ || left;
    read_at_ = left ? now : now + kRest;
    return true;
}

bool StreamLink::take_message(std::string_view message) {
    const auto m = parse_replication(message);
    using Kind = ReplicationMessage::Kind;
    if (m.kind == Kind::keepalive) {
        position_ = std::max(position_, m.position);
        if (m.reply_wanted) report_position(base::monotonic_now(), false);
        return state_ == State::live;
    }
    if (m.kind == Kind::data && take_line(m.position, m.data)) return true;
    lose("the change stream brought what is not understood");
    return false;
}

bool StreamLink::take_line(Lsn position, std::string_view line) {
    using Result = Gatherer::Result;
    switch (gatherer_->take(line)) {
        case Result::more: return true;
        case Result::malformed: return false;
        case Result::definition: {
            // Its position is that of the message, not of the commit.
            auto change = gatherer_->take_change();
            if (change.xid == 0 || change.xid > newest_xid_ + kFarXid) change.xid = newest_xid_;
            deliver(std::move(change));
            return true;
        }
        case Result::transaction: break;
    }
    // A server that has lost commits would go back.
    if (position < last_commit_) return false;
    last_commit_ = position;
    auto change = gatherer_->take_change();
    change.xid = cache::full_xid(gatherer_->xid(), newest_xid_);
    // Tables and rows were found by one catalog, which must be the one fills are made by, too. What
    // is captured under a later one sees the second delivery remembered, or its epoch.
    change.catalog_version = std::exchange(transaction_version_, 0);
    const auto version = change.catalog_version;
    const cache::Change wider{change.xid, {}, 0, true, false};
    deliver(std::move(change));
    if (version != 0 && version != database_.catalog_version())
        database_.stream().deliver(wider, database_.whole());
    position_ = std::max(position_, position);
    return true;
}

/// Nothing is judged by the catalog in force from here on, nor by one that is read before this can
/// be seen: see hear_probe().
void StreamLink::deliver(cache::Change change) {
    const bool defines = change.defines;
    database_.stream().deliver(std::move(change), database_.whole());
    if (defines) database_.schema().bump();
}

std::unique_ptr<Gatherer> StreamLink::gatherer() {
    if (publication_.empty())
        return std::make_unique<TransactionGatherer>(
            [this](const TransactionGatherer::Table& table, auto& states) {
                return resolve(table, states);
            });
    return std::make_unique<PublicationGatherer>(
        [this](const ToldChange& change, auto& states) { return resolve(change, states); });
}

const query::Catalog* StreamLink::catalog_at_work() {
    const auto version = database_.catalog_version();
    if (version == 0) return nullptr;
    if (version != catalog_version_ || !catalog_) {
        catalog_ = database_.catalog();
        catalog_version_ = version;
    }
    if (transaction_version_ == 0) transaction_version_ = version;
    return transaction_version_ == version ? catalog_.get() : nullptr;
}

template <class Change>
Gatherer::Found StreamLink::add(const query::Relation& relation, const Change& change,
                                std::vector<cache::State*>& states) {
    using Found = Gatherer::Found;
    if (add_rows(relation, change, database_, states)) return Found::rows;
    return add_with_parents(*catalog_, relation, database_, states) ? Found::relation
                                                                    : Found::nothing;
}

/// By its name, as test_decoding tells it.
Gatherer::Found StreamLink::resolve(const TransactionGatherer::Table& table,
                                    std::vector<cache::State*>& states) {
    using Found = Gatherer::Found;
    const auto* catalog = catalog_at_work();
    if (catalog == nullptr) return Found::nothing;
    const auto in_schema = catalog->schemas.find(table.schema);
    if (in_schema == catalog->schemas.end()) return Found::nothing;
    const auto relations = catalog->relations.find(in_schema->second);
    if (relations == catalog->relations.end()) return Found::nothing;
    const auto found = relations->second.find(table.name);
    return found == relations->second.end() ? Found::nothing
                                            : add(found->second, table.row, states);
}

/// By its OID: of a partition that may be the table above that is published.
Gatherer::Found StreamLink::resolve(const ToldChange& change, std::vector<cache::State*>& states) {
    using Found = Gatherer::Found;
    const auto* catalog = catalog_at_work();
    if (catalog == nullptr) return Found::nothing;
    const auto found = catalog->relations_by_oid.find(change.relation);
    return found == catalog->relations_by_oid.end() ? Found::nothing
                                                    : add(*found->second, change, states);
}

base::Nanos StreamLink::next_probe() const {
    const auto regular = probe_sent_ + context_.options->max_staleness / 4;
    if (database_.stream().needed() > probe_sent_) return probe_sent_;
    const auto& stream = database_.stream();
    const bool read = probe_sent_ - stream.wanted() < 2 * base::kSecond;
    if (read && stream.recent() > 0) return std::min(regular, probe_sent_ + kProveEvery);
    return regular;
}

void StreamLink::probe(base::Nanos now) {
    probe_ = Probe::asked;
    probe_stamp_.reset();
    probe_position_.reset();
    probe_publication_.clear();
    passing_since_ = now;
    // Read again: `now` may be older than somebody's need that this is to answer.
    probe_sent_ = base::monotonic_now();
    if (!asker_->begin_query(probe_query_)) lose(asker_->error());
}

void StreamLink::hear_probe(base::Nanos now) {
    const auto step = asker_->advance_query([this](const Row& r) {
        if (probe_ == Probe::nudging) return true;
        probe_stamp_ = cache::Stamp::parse(r.text(0));
        probe_position_ = parse_lsn(r.text(1));
        probe_publication_ = r.text(2);
        return probe_stamp_ && probe_position_;
    });
    if (step == Connection::Step::failed) return lose(asker_->error());
    if (step == Connection::Step::busy) return look_at_limit(now, passing_since_);
    if (probe_ == Probe::nudging) {
        // It is written out now.
        probe_ = Probe::passing;
        ask_at_ = now;
        ask_gap_ = kFirstAsk;
        return;
    }
    if (!probe_position_) return lose("the server did not say how far it is");
    // What is shown of transactions that were under way then is not known; a new stream knows.
    if (probe_publication_ != publication_state_)
        return lose("the publication " + publication_ + " was changed");
    probe_ = Probe::passing;
    passing_since_ = ask_at_ = now;
    ask_gap_ = kFirstAsk;
    nudges_ = 0;
    *probe_position_ = reachable(*probe_position_, block_size_);
    newest_xid_ = std::max(newest_xid_, probe_stamp_->xmax());
    if (!begun_) {
        begun_ = true;
        database_.stream().begin(*probe_stamp_, database_.whole(), tells_ddl_,
                                 !publication_.empty());
        // What was defined while there was no stream.
        if (tells_ddl_) defined();
    }
    if (database_.stream().proven(*probe_stamp_)) defined();
}

void StreamLink::look_if_passed(base::Nanos now) {
    const bool passed = position_ >= *probe_position_ && !gatherer_->inside();
    if (passed && !catalog_is_of_publication()) {
        ask_at_ = now + kLastAsk;
        // The catalog may be of a later state than this stream: that shows in another probe.
        if (now - passing_since_ >= context_.options->max_staleness / 4) probe(now);
        return;
    }
    if (passed || (told_live() && base::planted(base::Plant::watermark_too_early))) {
        probe_ = Probe::none;
        return told_up_to(probe_sent_);
    }
    if (now < ask_at_) return;
    report_position(now, true);
    if (state_ != State::live) return;
    ask_gap_ = std::min(ask_gap_ * 2, kLastAsk);
    ask_at_ = now + ask_gap_;
    const bool hurry = database_.stream().needed() != 0 || !told_live();
    const auto patience = hurry ? kHurry : context_.options->max_staleness / 4;
    if (now - passing_since_ < patience || now - nudged_at_ < kNudgeGap || nudges_ == kNudges)
        return;
    nudged_at_ = now;
    ++nudges_;
    probe_ = Probe::nudging;
    if (!asker_->begin_query(sql::stream_nudge)) lose(asker_->error());
}

/// Whether tables are taken for published by the very state of the publication that is shown. If
/// not, the catalog is read again.
bool StreamLink::catalog_is_of_publication() {
    const auto version = database_.catalog_version();
    if (publication_.empty() || (version != 0 && version == agreed_version_)) return true;
    const auto catalog = version == 0 ? nullptr : database_.catalog();
    if (catalog && catalog->publication == publication_state_) {
        agreed_version_ = version;
        return true;
    }
    if (catalog && asked_for_catalog_ != version) {
        asked_for_catalog_ = version;
        defined();
    }
    return false;
}

void StreamLink::report_position(base::Nanos now, bool ask) {
    reported_at_ = now;
    if (!stream_->put_copy(status_update(position_, ask))) lose(stream_->error());
}

}  // namespace pgweir::control
