// See notice_link.hpp.
#include "notice_link.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "pgweir/base/log.hpp"
#include "pgweir/base/random.hpp"
#include "relation_states.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {

/// A connection that has not answered for this long is given up.
constexpr base::Nanos kAnswerLimit = 12 * base::kSecond;
constexpr base::Nanos kNoTime = std::numeric_limits<base::Nanos>::max();

}  // namespace

NoticeLink::~NoticeLink() { close(); }

void NoticeLink::step(base::Nanos now) {
    const auto last = database_.stream().wanted();
    const bool wanted = last != 0 && now - last < context_.options->idle_release;
    if (!wanted && state_ != State::dormant) {
        close();
        return publish(false, "notices of writes were released, as nothing was cached for a while");
    }
    switch (state_) {
        case State::dormant:
            if (wanted) begin_connect(now);
            return;
        case State::waiting:
            if (now >= retry_at_) begin_connect(now);
            return;
        case State::connecting: return connect_further();
        case State::asking: return hear_facts();
        case State::live: return listen(now);
    }
}

base::Nanos NoticeLink::due() const noexcept {
    switch (state_) {
        case State::dormant: return kNoTime;
        case State::waiting: return retry_at_;
        case State::connecting: return connection_->connect_deadline();
        case State::asking: return since_ + kAnswerLimit;
        case State::live: break;
    }
    auto at = probe_text_.empty() ? next_probe() : probe_sent_ + kAnswerLimit;
    if (const auto fence = database_.stream().oldest_fence(); fence != 0)
        at = std::min(at, fence + context_.options->max_staleness + 1);
    return at;
}

void NoticeLink::add_polls(std::vector<pollfd>& to) const {
    if (connection_ && connection_->fd() >= 0)
        to.push_back({connection_->fd(), connection_->wanted(), 0});
}

void NoticeLink::begin_connect(base::Nanos now) {
    connection_ = std::make_unique<Connection>(
        target_,
        Connection::Limits{context_.options->connect_timeout, kAnswerLimit, context_.stop_fd});
    state_ = State::connecting;
    since_ = now;
}

void NoticeLink::connect_further() {
    switch (connection_->advance()) {
        case ConnectState::connecting: return;
        case ConnectState::failed: return lose(connection_->error());
        case ConnectState::ready: break;
    }
    since_ = base::monotonic_now();
    state_ = State::asking;
    std::string session(sql::notice_session);
    session.replace(session.find("$1"), 2, sql::ddl_watch);
    connection_->begin_query(session);
    hear_facts();
}

void NoticeLink::hear_facts() {
    const auto step = connection_->advance_query([this](const Row& r) {
        installed_ = r.flag(0);
        subscribes_ = r.flag(1);
        tells_ddl_ = r.flag(2);
        return true;
    });
    if (step == Connection::Step::failed) return lose(connection_->error());
    const auto now = base::monotonic_now();
    if (step == Connection::Step::busy) {
        if (now - since_ > kAnswerLimit) lose("no answer within the time limit");
        return;
    }
    const auto wait = context_.options->obstacle_retry;
    if (!installed_) return lose("what watch_writes.sql installs is not there any more", wait);
    if (subscribes_)
        return lose("tables are written by a subscription, which no trigger tells of", wait);
    state_ = State::live;
    // From here on every commit is heard; what was before is forgotten.
    begun_ = true;
    database_.stream().begin_by_notice(database_.whole());
    if (tells_ddl_) defined();
    probe();
}

void NoticeLink::listen(base::Nanos now) {
    const auto step = connection_->advance_query(nullptr);
    if (step == Connection::Step::failed) return lose(connection_->error());
    probe_answered_ = probe_answered_ || step == Connection::Step::done;
    Connection::Notice notice;
    while (connection_->next_notice(notice)) hear(notice);
    database_.stream().give_up(now - context_.options->max_staleness);
    if (!probe_text_.empty()) {
        if (now - probe_sent_ > kAnswerLimit) lose("no answer within the time limit");
    } else if (probe_answered_ && now >= next_probe()) {
        probe();
    }
}

void NoticeLink::hear(const Connection::Notice& notice) {
    if (notice.sender != connection_->process())
        return notice.text == "ddl" ? defined() : written(notice.text);
    if (notice.text != probe_text_) return;
    probe_text_.clear();
    database_.stream().advance(probe_sent_);
    told_live_ = true;
    retry_delay_ = 0;
    publish(true, "");
}

void NoticeLink::written(std::string_view relation) {
    cache::Change change;
    query::Oid oid = 0;
    const auto [end, error] =
        std::from_chars(relation.data(), relation.data() + relation.size(), oid);
    const auto version = database_.catalog_version();
    const auto catalog = database_.catalog();
    change.everything = true;
    if (catalog && error == std::errc{} && end == relation.data() + relation.size()) {
        const auto found = catalog->relations_by_oid.find(oid);
        change.everything = found == catalog->relations_by_oid.end() ||
                            !add_with_parents(*catalog, *found->second, database_, change.states);
        if (change.everything) change.states.clear();
    }
    database_.stream().deliver(std::move(change), database_.whole());
    // Found by a catalog that is not the one of those who read now.
    if (version == 0 || database_.catalog_version() != version) database_.whole().bump();
}

void NoticeLink::defined() {
    database_.schema().bump();
    database_.whole().bump();
    (*context_.on_event)({id_, published_live_, reason_, true});
}

base::Nanos NoticeLink::next_probe() const {
    if (database_.stream().needed() > probe_sent_) return probe_sent_;
    return probe_sent_ + context_.options->max_staleness / 4;
}

/// A number that nobody could have known before, and only ours counts.
void NoticeLink::probe() {
    probe_text_ = std::to_string(base::random_u64());
    probe_answered_ = false;
    probe_sent_ = base::monotonic_now();
    if (!connection_->begin_query("SELECT pg_catalog.pg_notify('pgweir', '" + probe_text_ + "')"))
        lose(connection_->error());
}

void NoticeLink::close() {
    // Before anything else: no hit rests on it any longer.
    if (begun_) database_.stream().end(database_.whole());
    begun_ = false;
    connection_.reset();
    probe_text_.clear();
    probe_answered_ = true;
    state_ = State::dormant;
}

void NoticeLink::lose(std::string reason, base::Nanos retry) {
    // By value: the text may be the connection's own.
    const auto& o = *context_.options;
    const bool was_live = told_live_;
    close();
    told_live_ = false;
    state_ = State::waiting;
    retry_delay_ =
        was_live ? o.first_retry : std::clamp(retry_delay_ * 2, o.first_retry, o.last_retry);
    retry_at_ = base::monotonic_now() + (retry != 0 ? retry : retry_delay_);
    publish(false, base::printable(reason, 500));
}

void NoticeLink::publish(bool live, const std::string& reason) {
    if (live == published_live_ && reason == reason_) return;
    published_live_ = live;
    reason_ = reason;
    (*context_.on_event)({id_, live, reason, false});
}

}  // namespace pgweir::control
