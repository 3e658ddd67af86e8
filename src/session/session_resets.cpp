// RESET, SET TO DEFAULT and DISCARD ALL go back to what the client itself began with, as on a
// server of its own: what that is and the server does not know is set again behind them, before
// anything else runs. Thread: the worker's.
#include <memory>
#include <string>

#include "pgweir/query/tokens.hpp"
#include "pgweir/session/session.hpp"
#include "resets.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {
constexpr wire::Report kResetInFront{
    .sqlstate = wire::sqlstate::kFeatureNotSupported,
    .message =
        "RESET of what this client set when it connected must not stand in front of other "
        "statements in one query text",
    .hint = "Send it as a query of its own."};
}  // namespace

pool::Settings Session::start_settings() const {
    auto settings = start().profile->settings;
    settings.emplace_back("application_name", start_application_name());
    return settings;
}

/// The client's own statement_timeout beats the proxy's.
void Session::note_timeout(std::string_view text) {
    if (query::mentions(text, "statement_timeout")) own_timeout_ = true;
}

/// Of a Query. False: it may not run, and that is told.
bool Session::note_settings(std::string_view text) {
    note_timeout(text);
    auto resets = find_resets(text, start_settings());
    if (resets.in_front) {
        if (begin_ != nullptr) send_begin();
        fail_batch(own_error(kResetInFront));
        end_refused();
        return false;
    }
    if (!resets.lost.empty())
        exchange_->lost = std::make_unique<pool::Settings>(std::move(resets.lost));
    return true;
}

/// Whether its Execute is followed by something of the proxy's, or waited for.
bool Session::may_take(query::Kind kind, std::string_view text) const {
    if (kind == query::Kind::deallocate || kind == query::Kind::discard_all) return true;
    return kind == query::Kind::set && !find_resets(text, start_settings()).lost.empty();
}

/// What was sent last.
void Session::note_discard_all() {
    auto& x = *exchange_;
    x.unpin_at_ready = x.expects.back().resets = true;
    x.lost = std::make_unique<pool::Settings>(start_settings());
}

/// Nothing is sent behind it until it has been answered, so it is the last.
bool Session::reset_is_due() const noexcept {
    auto& expects = exchange_->expects;
    return !expects.empty() && expects.back().resets;
}

/// It has failed, or was skipped; DISCARD ALL may have come half its way.
void Session::give_up_reset() {
    exchange_->lost.reset();
    exchange_->suspect = true;
}

/// In a batch, behind what took them away.
void Session::restore_in_batch(const pool::Settings& settings) {
    for (const auto& sql : pool::restoring_sql(settings)) run_in_batch(sql);
}

void Session::reapply_settings() {
    const auto lost = std::move(exchange_->lost);
    if (tx_ == wire::TxStatus::failed) return;
    std::string sql;
    for (const auto& one : pool::restoring_sql(*lost)) sql += one + ';';
    if (sql.empty()) return;
    inject(sql);
    exchange_->expects.back().quiet = true;
}

}  // namespace pgweir::session
