// Session: which prepared statement a name stands for, while what gave or took it may still be
// refused or skipped behind an error.
#include <algorithm>
#include <vector>

#include "pgweir/session/session.hpp"

namespace pgweir::session {

using Kind = Expect::Kind;

/// But for what only another server has.
const StatementPtr* Session::statement_here(std::string_view name) const noexcept {
    const auto* found = find_statement(name);
    const bool elsewhere = found != nullptr && (*found)->unseen &&
                           identity_->mode != config::PoolMode::session &&
                           server_->unnamed_statement != (*found)->id;
    return elsewhere ? nullptr : found;
}

const StatementPtr* Session::find_statement(std::string_view name) const noexcept {
    if (name.empty()) return unnamed_ ? &unnamed_ : nullptr;
    return statements_.find(name);
}

/// Whether what is sent now stands behind a Sync, and a Parse or Close of one of these in front of
/// that may yet be refused or skipped. Then it waits for the answer.
bool Session::doubt(std::uint64_t statement, std::uint64_t other) {
    auto& x = *exchange_;
    if (x.ready_expected == 0 || x.expects.names() == 0) return false;
    bool synced = false;
    for (std::size_t i = x.expects.size(); i > 0; --i) {
        const auto& e = x.expects[i - 1];
        synced = synced || e.brings_ready();
        const bool meant = e.statement == statement || e.statement == other;
        if (e.names() && e.statement != 0 && meant) return x.in_doubt = synced;
    }
    return false;
}

/// The same of what gave or took this name, which may turn out to stand for what it did before.
bool Session::doubt(std::string_view name) {
    auto& x = *exchange_;
    if (x.ready_expected == 0 || x.expects.names() == 0) return false;
    const auto closed = std::find_if(x.closed.rbegin(), x.closed.rend(), [&](const ClosedName& c) {
        return c.name == name && c.statement != nullptr;
    });
    const auto* found = find_statement(name);
    const auto id = found != nullptr ? (*found)->id : 0;
    const auto closed_id = closed != x.closed.rend() ? closed->statement->id : 0;
    return (id != 0 || closed_id != 0) && doubt(id, closed_id);
}

/// The same of any name, for SQL that may take it away.
bool Session::doubt_names() {
    auto& x = *exchange_;
    if (x.ready_expected == 0 || x.expects.names() == 0) return false;
    bool synced = false;
    for (std::size_t i = x.expects.size(); i > 0; --i) {
        const auto& e = x.expects[i - 1];
        synced = synced || e.brings_ready();
        if (synced && e.names() && e.statement != 0) return x.in_doubt = true;
    }
    return false;
}

/// The same of a Close of the unnamed one, which gives back what a Parse of now would replace.
bool Session::doubt_closed() {
    const auto& closed = exchange_->closed;
    return std::any_of(closed.begin(), closed.end(), [&](const ClosedName& c) {
        return c.name.empty() && c.statement != nullptr && doubt(c.statement->id);
    });
}

/// A simple Query destroys the unnamed statement, and so what a Close that is skipped would give
/// back; and the portal.
void Session::drop_unnamed() noexcept {
    unnamed_.reset();
    for (auto& c : exchange_->closed)
        if (c.name.empty()) c.statement.reset();
    server_->unnamed_statement = 0;
    portal_ = UnnamedPortal::servers;
}

/// The first of a batch cannot be skipped. Whether it was noted.
bool Session::note_unnamed(std::uint64_t parsed) {
    auto& x = *exchange_;
    server_->unnamed_statement = parsed;
    if (x.expects.empty() || x.expects.back().brings_ready()) [[likely]]
        return false;
    x.parsed.push_back({parsed, "", unnamed_});
    return true;
}

/// To be forgotten already, or as good as.
void Session::note_closed(std::string_view name, const StatementPtr& statement) {
    const auto& parsed = exchange_->parsed;
    const bool parsed_here = std::any_of(parsed.begin(), parsed.end(), [&](const ParsedName& p) {
        return p.statement == statement->id && p.name == name;
    });
    exchange_->closed.push_back({std::string(name), statement, parsed_here});
}

/// Later Parses of the like are answered without a server, so only what every session of this
/// context would be told counts.
void Session::confirm_name(std::uint64_t statement) {
    auto& parsed = exchange_->parsed;
    const auto it = std::find_if(parsed.begin(), parsed.end(),
                                 [&](const ParsedName& p) { return p.statement == statement; });
    if (it == parsed.end()) return;
    for (auto& c : exchange_->closed)  // the one behind it, should that be skipped
        if (c.parsed_here && c.name == it->name && c.statement != nullptr &&
            c.statement->id == statement) {
            c.parsed_here = false;
            break;
        }
    const auto* named = it->name.empty() ? nullptr : statements_.find(it->name);
    // Not what may rest on temporary objects or on definitions that are not committed.
    const bool for_all = pin_ == query::PinReason::none && exchange_->defines.empty();
    if (named != nullptr && (*named)->id == statement && for_all)
        (*named)->note_known(identity_->context.id);
    parsed.erase(it);
}

/// To refuse a Parse the server has let go of the unnamed statement before. `last`: no other Parse
/// of the same is on its way.
void Session::take_back_unnamed(const Expect& e, bool refused, bool last) {
    auto& parsed = exchange_->parsed;
    const auto it = std::find_if(parsed.begin(), parsed.end(), [&](const ParsedName& p) {
        return e.noted && p.name.empty() && p.statement == e.statement;
    });
    StatementPtr before;
    if (it != parsed.end()) {
        if (!refused) before = std::move(it->before);
        parsed.erase(it);
    }
    for (auto& later : parsed)
        if (later.before != nullptr && later.before->id == e.statement) later.before = before;
    for (auto& c : exchange_->closed)
        if (c.name.empty() && c.statement != nullptr && c.statement->id == e.statement)
            c.statement = before;
    if (last && unnamed_ != nullptr && unnamed_->id == e.statement) unnamed_ = before;
}

/// A Parse that failed or was skipped has given nobody anything.
void Session::take_back_names(const Expect& e, bool refused) {
    if ((e.kind != Kind::parse && e.kind != Kind::local_parse) || e.statement == 0) return;
    const auto same = [&](const Expect& other) {
        return &other != &e && other.kind == Kind::parse && other.statement == e.statement;
    };
    const auto& expects = exchange_->expects;
    const bool last = std::none_of(expects.begin(), expects.end(), same);
    if (e.kind == Kind::parse && last && !e.kept) server_->prepared.erase(e.statement);
    // What the server has there instead nobody knows for sure: it is parsed anew.
    if (server_->unnamed_statement == e.statement) server_->unnamed_statement = 0;
    if (e.swallow) return;
    take_back_unnamed(e, refused, last);
    auto& parsed = exchange_->parsed;
    // Names are taken back from the front of the queue on, and what was answered has left `parsed`.
    const auto it = std::find_if(parsed.begin(), parsed.end(), [&](const ParsedName& p) {
        return p.statement == e.statement && !p.name.empty();
    });
    if (it == parsed.end()) return;
    for (auto& c : exchange_->closed)  // nor has a Close behind it taken it
        if (c.parsed_here && c.name == it->name && c.statement != nullptr &&
            c.statement->id == e.statement)
            c.statement = nullptr;
    // It may have been given to another since.
    const auto* named = statements_.find(it->name);
    if (named != nullptr && (*named)->id == e.statement) statements_.erase(it->name);
    parsed.erase(it);
}

/// The body of an error that says our name of the statement, with the client's there; empty: it
/// does not say it.
std::string Session::in_clients_words(const Expect& bind, std::string_view error) const {
    const auto ours = pool::prepared_name(bind.statement);
    const auto at = error.find(ours);
    const auto end = at + ours.size();
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    if (at == std::string_view::npos || end >= error.size() || digit(error[end])) return {};
    const auto* last = statements_.find(exchange_->statement_name);
    auto name = last != nullptr && (*last)->id == bind.statement
                    ? std::string_view(exchange_->statement_name)
                    : statements_.name_of(bind.statement);
    for (const auto& c : exchange_->closed)  // behind it in the batch
        if (name.empty() && c.statement != nullptr && c.statement->id == bind.statement)
            name = c.name;
    if (name.empty()) return {};
    std::string told(error.substr(0, at));
    return told.append(name).append(error.substr(end));
}

/// The server's words about the statement that no server has, as said of another.
std::string Session::in_clients_words(std::string error, std::string_view name) {
    const auto none = pool::prepared_name(0);
    const auto at = error.find(none);
    return at == error.npos ? error : error.replace(at, none.size(), name);
}

/// Of the first so many Closes in flight, which the server has skipped. What has a new owner, if
/// only the first of them, keeps it.
void Session::give_back_names(std::size_t count) {
    auto& closed = exchange_->closed;
    const auto end = closed.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto it = closed.begin(); it != end; ++it) {
        if (it->statement == nullptr || find_statement(it->name) != nullptr) continue;
        if (it->name.empty())
            unnamed_ = it->statement;
        else
            statements_.set(it->name, it->statement);
    }
    closed.erase(closed.begin(), end);
}

/// The server skips the rest of the batch, so none of it will be answered or take effect.
void Session::skip_batch() {
    auto& expects = exchange_->expects;
    std::size_t closes = 0;
    std::vector<std::uint64_t> evicted;  // and are there still, whatever was to come behind
    bool first = true;                   // it is what was refused
    while (!expects.empty() && !expects.front().brings_ready()) {
        const auto& front = expects.front();
        take_back_names(front, std::exchange(first, false));
        const bool names_one = front.kind == Kind::close && front.statement != 0;
        closes += front.kind == Kind::local_close || (names_one && !front.swallow);
        if (names_one && front.swallow) evicted.push_back(front.statement);
        if (front.takes) end_taking();
        if (front.own_error) exchange_->errors.drop_to(front.statement);
        if (front.learns) forget_question();
        if (front.kind == Expect::Kind::execute && front.swallow && !front.begin)
            server_->sequence_owner = pool::ServerLink::kSeveralOwners;  // DISCARD SEQUENCES
        expects.pop();
    }
    for (const auto statement : evicted) server_->prepared.insert(statement);
    if (closes > 0) give_back_names(closes);
    if (!exchange_->renewed.empty())
        take_back_renewed(expects.empty() ? exchange_->batch : expects.front().batch);
}

/// The Describe that is next will not be answered, and the Bind that waits for it not be run.
void Session::forget_question() {
    auto& x = *exchange_;
    if (x.meant == x.undescribed.front()) x.meant.reset();
    x.undescribed.erase(x.undescribed.begin());
}

}  // namespace pgweir::session
