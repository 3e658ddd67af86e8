// See target_link.hpp.
#include "target_link.hpp"

#include <poll.h>

#include <algorithm>
#include <charconv>

#include "pgweir/base/log.hpp"
#include "pgweir/control/catalog_reader.hpp"
#include "publication.hpp"
#include "sql.hpp"

namespace pgweir::control {

namespace {
/// VACUUM after VACUUM must not keep it from being read.
constexpr base::Nanos kLongestPause = base::kSecond;
}  // namespace

void TargetLink::step(base::Nanos now) {
    if (state_ == State::waiting && now >= retry_at_) begin_connect();
    if (state_ == State::connecting) {
        switch (connection_->advance()) {
            case ConnectState::connecting: return;
            case ConnectState::failed: lose(connection_->error()); return;
            case ConnectState::ready: connected(); break;
        }
    }
    if (state_ != State::ready) return;
    if (connection_->lost()) {
        lose("the control connection was lost: " + connection_->error());
        return;
    }
    const bool due = unread_ || now >= poll_due() || (asked() && now >= not_before_);
    if (due && due_since_ == 0) due_since_ = now;
    if (due && (now >= paused_until_ || now - due_since_ > kLongestPause)) {
        due_since_ = 0;
        refresh(unread_);
    }
    if (state_ == State::ready && !watches_.empty() && now >= look_at_) look_for_processes();
}

base::Nanos TargetLink::due() const noexcept {
    switch (state_) {
        case State::waiting: return retry_at_;
        case State::connecting: return connection_->connect_deadline();
        case State::ready: break;
    }
    base::Nanos at = unread_ ? 0 : poll_due();
    if (asked()) at = std::min(at, not_before_);
    at = std::max(at, paused_until_);
    if (due_since_ != 0) at = std::min(at, due_since_ + kLongestPause);
    if (!watches_.empty()) at = std::min(at, look_at_);
    return at;
}

int TargetLink::fd() const noexcept { return state_ == State::waiting ? -1 : connection_->fd(); }

short TargetLink::events() const noexcept {
    return state_ == State::connecting ? connection_->events() : static_cast<short>(POLLIN);
}

void TargetLink::watch(std::int32_t pid, ControlThread::OnGone gone) {
    watches_.push_back({pid, "", false, std::move(gone), base::monotonic_now()});
    look_at_ = 0;
}

void TargetLink::set_target(Target target) {
    target_ = std::move(target);
    retry_delay_ = 0;
    lose("another control login was configured");
    retry_at_ = 0;
}

void TargetLink::begin_connect() {
    const auto& o = *context_.options;
    connection_ = std::make_unique<Connection>(
        target_, Connection::Limits{o.connect_timeout, o.statement_timeout, context_.stop_fd});
    state_ = State::connecting;
    resting_ = false;
}

void TargetLink::connected() {
    state_ = State::ready;
    if (auto error = connection_->run(sql::session)) return lose(*error);
    unread_ = true;
}

std::optional<std::string> TargetLink::read_facts() {
    ServerFacts f;
    auto error = connection_->query(sql::facts, [&](const Row& r) {
        f.server_version = r.text(0);
        f.server_version_num = r.number(1);
        f.max_connections = r.number(2);
        f.reserved_connections = r.number(3) + r.number(4);
        f.wal_level_logical = r.flag(5);
        f.in_recovery = r.flag(6);
        f.may_replicate = r.flag(7);
        return true;
    });
    if (!error) facts_ = f;
    return error;
}

std::optional<std::string> TargetLink::read_watches() {
    const auto ddl = connection_->value(sql::ddl_watch);
    if (!ddl) return ddl.error();
    const auto writes = connection_->value(sql::write_watch);
    if (!writes) return writes.error();
    tells_ddl_ = *ddl == "t" &&
                 passes_messages(context_.options->publication, connection_->server_version_num());
    tells_writes_ = *writes == "t";
    return std::nullopt;
}

/// Only PostgreSQL 17 and later have any.
std::optional<std::string> TargetLink::read_login_triggers() {
    const auto any = connection_->value(
        "SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM pg_catalog.pg_event_trigger e "
        "WHERE e.evtevent OPERATOR(pg_catalog.=) 'login' "
        "AND e.evtenabled OPERATOR(pg_catalog.<>) 'D'");
    if (!any) return any.error();
    logins_run_code_ = *any == "t";
    return std::nullopt;
}

void TargetLink::refresh(bool force) {
    const auto began = base::monotonic_now();
    const auto covering = requests_->load(std::memory_order_acquire);
    const auto publication = context_.options->publication;
    // Standbys are promoted and rights are given while a connection lives.
    const auto facts = facts_;
    if (auto error = read_facts()) return lose(*error);
    bool changed = force || publication != publication_;
    if (!changed) {
        const auto fingerprint = catalog_fingerprint(*connection_, publication);
        if (!fingerprint) return lose(fingerprint.error());
        changed = *fingerprint != fingerprint_;
    }
    if (changed) {
        if (auto error = read_watches()) return lose(*error);
        // Of the catalog's own snapshot: one from before might tell of a state that comes back.
        std::string fingerprint;
        auto catalog =
            read_catalog(*connection_, ++*context_.last_version, {}, publication, &fingerprint);
        if (!catalog) return lose(catalog.error());
        if (auto error = read_login_triggers()) return lose(*error);
        catalog_ = *std::move(catalog);
        unread_ = false;
        fingerprint_ = std::move(fingerprint);
        publication_ = publication;
        retry_delay_ = 0;
    }
    const bool answers = covering > covers_;
    covers_ = std::max(covers_, covering);
    const auto now = base::monotonic_now();
    polled_at_ = now;
    // One reading is often followed by another that only has to find it unchanged.
    not_before_ = now + (now - began) / 4;
    if (changed || answers || facts_ != facts) publish("");
}

/// Not where the number was given to a new process: one with another beginning, or that began
/// behind what is waited for. `now`: before the server was asked.
bool TargetLink::is_there(Watch& watch, const Row& process, base::Nanos now) {
    constexpr base::Nanos kClocksDiffer = base::kSecond;  // the server's may be set meanwhile
    if (watch.seen) return watch.began == process.text(1);
    watch.seen = true;
    watch.began = process.text(1);
    const auto text = process.text(2);
    base::Nanos age = 0;
    const auto known = std::from_chars(text.data(), text.data() + text.size(), age);
    return known.ec != std::errc() || (age + 1) * base::kSecond + kClocksDiffer > now - watch.since;
}

void TargetLink::look_for_processes() {
    std::vector<ControlThread::OnGone> gone;
    for (std::size_t i = 0; i < watches_.size();) {
        auto& w = watches_[i];
        bool found = false;
        std::string text(sql::process);
        text.replace(text.find("$1"), 2, std::to_string(w.pid));
        const auto now = base::monotonic_now();
        if (auto error = connection_->query(text, [&](const Row& r) {
                found = is_there(w, r, now);
                return true;
            })) {
            lose(*error);
            break;
        }
        if (found) {
            ++i;
            continue;
        }
        gone.push_back(std::move(w.gone));
        watches_.erase(watches_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    look_at_ = base::monotonic_now() + context_.options->pid_poll;
    for (const auto& callback : gone) callback();
}

void TargetLink::lose(const std::string& reason) {
    // First: the text may be the connection's own.
    const auto shown = base::printable(reason, 500);
    connection_.reset();
    state_ = State::waiting;
    fingerprint_.clear();
    const auto& o = *context_.options;
    retry_delay_ = std::clamp(retry_delay_ * 2, o.first_retry, o.last_retry);
    retry_at_ = base::monotonic_now() + retry_delay_;
    const bool news = catalog_ != nullptr || shown != reason_;
    catalog_ = nullptr;
    if (news) publish(shown);
}

void TargetLink::pause() noexcept {
    constexpr base::Nanos kPause = 200 * base::kMillisecond;
    paused_until_ = base::monotonic_now() + kPause;
}

void TargetLink::rest() {
    // As long as the server itself waits for sessions of a database to leave it, and a bit.
    constexpr base::Nanos kRest = 6 * base::kSecond;
    lose("a statement needs the database free of sessions");
    retry_at_ = base::monotonic_now() + kRest;
    resting_ = true;
}

void TargetLink::end_rest() noexcept {
    if (!resting_ || state_ != State::waiting) return;
    retry_at_ = retry_delay_ = 0;
}

void TargetLink::publish(const std::string& reason) {
    reason_ = reason;
    (*context_.on_catalog)(
        {id_, catalog_, reason, facts_, tells_ddl_, tells_writes_, logins_run_code_, covers_});
}

}  // namespace pgweir::control
