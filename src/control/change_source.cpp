// The life of what tells of changes. See change_source.hpp.
#include "change_source.hpp"

#include <limits>

#include "pgweir/base/log.hpp"

namespace pgweir::control {

namespace {
constexpr base::Nanos kNoTime = std::numeric_limits<base::Nanos>::max();
}  // namespace

void ChangeSource::step(base::Nanos now) {
    const auto last = database_.stream().wanted();
    const bool wanted = last != 0 && now - last < context_.options->idle_release;
    if (!wanted && phase_ != Phase::dormant) {
        close();
        return publish(false, std::string(release_text()));
    }
    if (phase_ == Phase::working) return work(now);
    const bool due = phase_ == Phase::dormant ? wanted : now >= retry_at_;
    if (!due) return;
    phase_ = Phase::working;
    since_ = now;
    begin_connect(now);
}

base::Nanos ChangeSource::due() const noexcept {
    switch (phase_) {
        case Phase::dormant: return kNoTime;
        case Phase::waiting: return retry_at_;
        case Phase::working: break;
    }
    return work_due();
}

std::unique_ptr<Connection> ChangeSource::connection_to(const Target& target) const {
    return std::make_unique<Connection>(
        target,
        Connection::Limits{context_.options->connect_timeout, kAnswerLimit, context_.stop_fd});
}

void ChangeSource::look_at_limit(base::Nanos now, base::Nanos since) {
    if (now - since > kAnswerLimit) lose("no answer within the time limit");
}

base::Nanos ChangeSource::fence_due() const noexcept {
    const auto fence = database_.stream().oldest_fence();
    return fence == 0 ? kNoTime : fence + context_.options->max_staleness + 1;
}

void ChangeSource::told_up_to(base::Nanos sent) {
    database_.stream().advance(sent);
    told_live_ = true;
    pace_.works(base::monotonic_now());
    publish(true, "");
}

void ChangeSource::defined() {
    database_.schema().bump();
    database_.whole().bump();
    (*context_.on_event)({id_, published_live_, reason_, true});
}

void ChangeSource::close() {
    // Before anything else: no hit rests on it any longer.
    if (begun_) database_.stream().end(database_.whole());
    begun_ = told_live_ = false;
    drop();
    phase_ = Phase::dormant;
}

void ChangeSource::lose(const std::string& reason, base::Nanos retry) {
    // First: the text may be a connection's own.
    const auto shown = base::printable(reason, 500);
    close();
    phase_ = Phase::waiting;
    const auto now = base::monotonic_now();
    const auto& o = *context_.options;
    const auto paced = pace_.lost(now, o.first_retry, o.last_retry);
    retry_at_ = retry != 0 ? now + retry : paced;
    publish(false, shown);
}

void ChangeSource::publish(bool live, const std::string& reason) {
    if (live == published_live_ && reason == reason_) return;
    published_live_ = live;
    reason_ = reason;
    (*context_.on_event)({id_, live, reason, false});
}

}  // namespace pgweir::control
