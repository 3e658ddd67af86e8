// Session: which prepared statement a name stands for, while what gave or took it may still be
// refused or skipped behind an error.
#include <algorithm>

#include "pgweir/session/session.hpp"

namespace pgweir::session {

using Kind = Expect::Kind;

/// For a server that may lack it. Settings may say what names mean: under others it is another
/// statement, so that those who have it under its own never meet what was parsed under these.
const StatementPtr* Session::statement_now(std::string_view name) {
    const auto* found = find_statement(name);
    if (found == nullptr || name.empty()) return found;
    const auto& s = **found;
    if (s.profile == Statement::kNotAsked || s.profile == identity_->profile->id) [[likely]]
        return found;
    renew_statement(name, s);
    return find_statement(name);
}

/// The same, but for what only another server has.
const StatementPtr* Session::statement_here(std::string_view name) {
    const auto* found = statement_now(name);
    const bool elsewhere = found != nullptr && (*found)->unseen &&
                           identity_->mode != config::PoolMode::session &&
                           server_->unnamed_statement != (*found)->id;
    return elsewhere ? nullptr : found;
}

const StatementPtr* Session::find_statement(std::string_view name) const noexcept {
    if (name.empty()) return unnamed_ ? &unnamed_ : nullptr;
    return statements_.find(name);
}

/// Whether what is sent now stands behind a Sync, and what gave or took this name in front of that
/// may yet be skipped behind an error, so that the name stands for what it did before. Then it
/// waits for the answer.
bool Session::doubt(std::string_view name) {
    auto& x = *exchange_;
    if (x.ready_expected == 0 || x.expects.names() == 0) return false;
    const auto was_closed = [&](const auto& c) { return c.first == name; };
    const auto closed = std::find_if(x.closed.rbegin(), x.closed.rend(), was_closed);
    const auto* found = find_statement(name);
    const auto id = found != nullptr ? (*found)->id : 0;
    const auto closed_id = closed != x.closed.rend() ? closed->second->id : 0;
    if (id == 0 && closed_id == 0) return false;
    bool synced = false;
    for (std::size_t i = x.expects.size(); i > 0; --i) {
        const auto& e = x.expects[i - 1];
        synced = synced || e.brings_ready();
        if (!e.names() || e.statement == 0 || (e.statement != id && e.statement != closed_id))
            continue;
        return x.in_doubt = synced;
    }
    return false;
}

/// The first of a batch cannot be skipped.
void Session::note_unnamed(std::uint64_t parsed) {
    auto& x = *exchange_;
    if (!x.expects.empty() && !x.expects.back().brings_ready()) [[unlikely]]
        x.parsed.push_back({parsed, "", unnamed_, server_->unnamed_statement});
    server_->unnamed_statement = parsed;
}

/// Later Parses of the like are answered without a server, so only what every session of this
/// context would be told counts.
void Session::confirm_name(std::uint64_t statement) {
    auto& parsed = exchange_->parsed;
    const auto it = std::find_if(parsed.begin(), parsed.end(),
                                 [&](const ParsedName& p) { return p.statement == statement; });
    if (it == parsed.end()) return;
    const auto* named = it->name.empty() ? nullptr : statements_.find(it->name);
    // Not what may rest on temporary objects or on definitions that are not committed.
    const bool for_all = pin_ == query::PinReason::none && !exchange_->notify_catalog;
    if (named != nullptr && (*named)->id == statement && for_all)
        (*named)->note_known(identity_->context.id);
    parsed.erase(it);
}

/// To refuse a Parse the server has let go of the unnamed statement before.
void Session::take_back_unnamed(const Expect& e, bool refused) {
    auto& parsed = exchange_->parsed;
    const auto it = std::find_if(parsed.begin(), parsed.end(), [&](const ParsedName& p) {
        return p.name.empty() && p.statement == e.statement;
    });
    StatementPtr before;
    std::uint64_t here = 0;
    if (it != parsed.end()) {
        if (!refused) before = std::move(it->before), here = it->before_here;
        parsed.erase(it);
    }
    for (auto& later : parsed) {
        if (later.before != nullptr && later.before->id == e.statement) later.before = before;
        if (later.before_here == e.statement) later.before_here = here;
    }
    for (auto& [name, statement] : exchange_->closed)
        if (name.empty() && statement != nullptr && statement->id == e.statement)
            statement = before;
    if (server_->unnamed_statement == e.statement) server_->unnamed_statement = here;
    if (unnamed_ != nullptr && unnamed_->id == e.statement) unnamed_ = before;
}

/// A Parse that failed or was skipped has given nobody anything.
void Session::take_back_names(const Expect& e, bool refused) {
    if ((e.kind != Kind::parse && e.kind != Kind::local_parse) || e.statement == 0) return;
    // Another Parse of the same text may be on its way.
    const auto same = [&](const Expect& other) {
        return &other != &e && other.kind == Kind::parse && other.statement == e.statement;
    };
    const auto& expects = exchange_->expects;
    const bool last = std::none_of(expects.begin(), expects.end(), same);
    if (e.kind == Kind::parse && last) server_->prepared.erase(e.statement);
    if (e.swallow) {
        if (server_->unnamed_statement == e.statement && last) server_->unnamed_statement = 0;
        return;
    }
    if (last) take_back_unnamed(e, refused);
    auto& parsed = exchange_->parsed;
    // Names are taken back from the front of the queue on, so the oldest of this batch is first,
    // but one that was answered already has left `parsed`.
    const auto it = std::find_if(parsed.begin(), parsed.end(), [&](const ParsedName& p) {
        return p.statement == e.statement && !p.name.empty();
    });
    if (it == parsed.end()) return;
    for (auto& [name, statement] : exchange_->closed)  // nor has a Close behind it taken it
        if (name == it->name && statement != nullptr && statement->id == e.statement)
            statement = nullptr;
    // It may have been given to another since.
    const auto* named = statements_.find(it->name);
    if (named != nullptr && (*named)->id == e.statement) statements_.erase(it->name);
    parsed.erase(it);
}

/// Of the first so many Closes in flight, which the server has skipped. What has a new owner, if
/// only the first of them, keeps it.
void Session::give_back_names(std::size_t count) {
    auto& closed = exchange_->closed;
    const auto end = closed.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto it = closed.begin(); it != end; ++it) {
        if (it->second == nullptr || find_statement(it->first) != nullptr) continue;
        if (it->first.empty())
            unnamed_ = it->second;
        else
            statements_.set(it->first, it->second);
    }
    closed.erase(closed.begin(), end);
}

/// The server skips the rest of the batch, so none of it will be answered or take effect.
void Session::skip_batch() {
    auto& expects = exchange_->expects;
    std::size_t closes = 0;
    bool first = true;  // it is what was refused
    while (!expects.empty() && !expects.front().brings_ready()) {
        const auto& front = expects.front();
        take_back_names(front, std::exchange(first, false));
        const bool names_one = front.kind == Kind::close && front.statement != 0;
        closes += front.kind == Kind::local_close || (names_one && !front.swallow);
        if (names_one && front.swallow) server_->prepared.insert(front.statement);
        if (front.takes) end_taking();
        if (front.kind == Expect::Kind::execute && front.swallow && !front.begin)
            server_->sequence_owner = pool::ServerLink::kSeveralOwners;  // DISCARD SEQUENCES
        expects.pop();
    }
    if (closes > 0) give_back_names(closes);
}

}  // namespace pgweir::session
