// See notice_link.hpp.
#include "notice_link.hpp"

#include <algorithm>
#include <charconv>

#include "pgweir/base/random.hpp"
#include "relation_states.hpp"
#include "sql.hpp"

namespace pgweir::control {

void NoticeLink::begin_connect(base::Nanos) {
    connection_ = connection_to(target_);
    state_ = State::connecting;
}

void NoticeLink::work(base::Nanos now) {
    switch (state_) {
        case State::connecting: return connect_further();
        case State::asking: return hear_facts();
        case State::live: return listen(now);
    }
}

base::Nanos NoticeLink::work_due() const noexcept {
    switch (state_) {
        case State::connecting: return connection_->connect_deadline();
        case State::asking: return since_ + kAnswerLimit;
        case State::live: break;
    }
    const auto at = probe_text_.empty() ? next_probe() : probe_sent_ + kAnswerLimit;
    return std::min(at, fence_due());
}

void NoticeLink::add_polls(std::vector<pollfd>& to) const {
    if (connection_ && connection_->fd() >= 0)
        to.push_back({connection_->fd(), connection_->wanted(), 0});
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
    session.replace(session.find("$2"), 2, sql::write_watch);
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
    if (step == Connection::Step::busy) return look_at_limit(now, since_);
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
    if (!probe_text_.empty()) return look_at_limit(now, probe_sent_);
    if (probe_answered_ && now >= next_probe()) probe();
}

void NoticeLink::hear(const Connection::Notice& notice) {
    if (notice.sender != connection_->process())
        return notice.text == "ddl" ? defined() : written(notice.text);
    if (notice.text != probe_text_) return;
    probe_text_.clear();
    told_up_to(probe_sent_);
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

void NoticeLink::drop() {
    connection_.reset();
    probe_text_.clear();
    probe_answered_ = true;
}

}  // namespace pgweir::control
