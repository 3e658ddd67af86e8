// Session: what a prepared statement means by now. A client knows what its statement takes and
// gives from when it asked. PostgreSQL refuses to run one whose result is another since
// (plancache.c, "cached plan must not change result type"); here, where it is parsed anew for each
// server connection, and answered from the cache, the proxy has to see to that.
#include <algorithm>
#include <utility>

#include "batch_plan.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using wire::Frame;
using Kind = Expect::Kind;

/// Whether it may have come to mean something else: definitions have changed, or the settings by
/// which names are looked for.
bool Session::outdated(const Statement& s) const noexcept {
    if (s.definitions == Statement::kNotAsked || s.unseen) return false;
    return s.profile != identity_->profile->id || s.changed() ||
           (s.interned && s.owner != identity_->cache_owner) ||
           s.definitions != Exchange::definitions(exchange_.get(), *identity_->context.database);
}

/// In a session pool the client's statements are the server's. A query of the proxy's own may have
/// destroyed the unnamed one, and with it what the server would have compared.
bool Session::destroyed(std::string_view name, const Statement& s) const noexcept {
    return name.empty() && identity_->mode == config::PoolMode::session && !s.unseen &&
           server_ != nullptr && server_->unnamed_statement != s.id;
}

/// Whether the server has it from before: it sees for itself whether the result is another one. Not
/// where answers can be stored, which must be of what is meant now; none are behind DDL of the same
/// transaction. Definitions may change with every statement: all others would be parsed each time
/// they are run.
bool Session::serves_still(const Statement& s, bool unnamed) {
    const bool same =
        s.profile == identity_->profile->id && (unnamed || s.owner == identity_->cache_owner);
    const bool there = unnamed ? server_->unnamed_statement == s.id : server_->prepared.touch(s.id);
    // Whether PostgreSQL looks for names again behind CREATE TEMP TABLE depends on who else has
    // made one in that process.
    const bool hidden = pin_ == query::PinReason::temporary;
    if (!same || s.changed() || !there || hidden) return false;
    return !exchange_->defines.empty() || identity_->context.database->catalog_version() == 0 ||
           statement_verdict(*judge(s.text, s.scan())) != query::NotCached::none;
}

/// Made anew under the same name, whatever it gives now: the client will be told. If it is not, for
/// an error, the name stands for what it did.
void Session::renew(std::string_view name) {
    const auto* found = find_statement(name);
    if (found == nullptr || (!outdated(**found) && !destroyed(name, **found))) [[likely]]
        return;
    auto& x = *exchange_;
    auto before = *found;
    auto next = next_of(name, *before);
    x.renewed.push_back({std::string(name), std::move(before), next->id, x.batch});
    stands_for(name, std::move(next));
}

/// Whether the Describe that is next to be sent will tell what a name stands for anew.
bool Session::tells_renewed() noexcept {
    auto& renewed = exchange_->renewed;
    return !renewed.empty() && renewed.back().batch == exchange_->batch &&
           !std::exchange(renewed.back().asked, true);
}

/// Those of batch `failed` that the client has not been told of; what is behind them in the batch
/// has not happened.
void Session::take_back_renewed(std::uint32_t failed) {
    auto& renewed = exchange_->renewed;
    for (auto it = renewed.rbegin(); it != renewed.rend(); ++it) {
        if (it->batch != failed) continue;
        const auto* now = find_statement(it->name);
        if (now != nullptr && (*now)->id == it->statement)
            stands_for(it->name, std::move(it->before));
    }
    std::erase_if(renewed, [failed](const RenewedName& r) { return r.batch == failed; });
}

/// The same text and types, as of now.
StatementPtr Session::next_of(std::string_view name, const Statement& old) {
    if (identity_->mode == config::PoolMode::session)
        return StatementTable::make(old.text, old.raw_types(), old.definitions, old.profile);
    return name.empty() ? unnamed_for(old.text, old.raw_types())
                        : intern(old.text, old.raw_types());
}

void Session::stands_for(std::string_view name, StatementPtr statement) {
    if (name.empty())
        unnamed_ = std::move(statement);
    else
        statements_.set(name, std::move(statement));
}

/// To be looked up, where what the client was told is known to hold still. Null: that is not known.
/// Without a catalog nothing is stored, and the server may have the old one still.
const StatementPtr* Session::renewed_for_cache(std::string_view name, const StatementPtr* found) {
    if (identity_->context.database->catalog_version() == 0) return nullptr;
    auto next = next_of(name, **found);
    if (!(*found)->described_like(*next)) return nullptr;
    stands_for(name, std::move(next));
    return find_statement(name);
}

namespace {
/// Whether the client asks at once what this portal gives.
bool describes_next(std::string_view behind, std::string_view portal) noexcept {
    const auto frame = wire::scan_frame(behind);
    return frame.status == wire::FrameStatus::complete && frame.type == wire::fe::kDescribe &&
           frame.body.size() == portal.size() + 2 && frame.body.front() == 'P' &&
           frame.body.substr(1, portal.size()) == portal;
}
}  // namespace

/// Before a Bind of what is outdated. Asked: it waits until the server has said what it means by
/// now. It is asked once, or definitions that change all the time would keep it waiting.
Session::Meaning Session::meaning_now(std::string_view view, const Frame& frame,
                                      std::string_view portal, std::string_view name) {
    auto& x = *exchange_;
    if (tx_ == wire::TxStatus::failed) {
        // What is in flight may end the failed transaction, and then it runs.
        if (x.ready_expected > 0) return x.in_doubt = true, Meaning::asked;
        if (!x.executed) return Meaning::same;
    }
    const auto asked = std::exchange(x.meant, nullptr);
    if (frame.size <= view.size() && describes_next(view.substr(frame.size), portal)) {
        renew(name);
        return Meaning::same;
    }
    const auto old = *find_statement(name);
    const bool again = asked != nullptr && asked->text == old->text && asked->types == old->types;
    const auto next = again ? asked : next_of(name, *old);
    if (old->described_like(*next)) {
        stands_for(name, next);
        return Meaning::same;
    }
    if (old->comparable(*next)) return Meaning::another;
    const bool due =
        std::find(x.undescribed.begin(), x.undescribed.end(), next) != x.undescribed.end();
    if (again && !due) return Meaning::another;
    if (!due)
        ask_meaning(next);
    else if (!std::exchange(x.expects.back().flushed, true))
        turn_->server.copy(wire::kFlush);  // the client has asked, and may not have flushed
    x.meant = next;
    x.in_doubt = true;
    return Meaning::asked;
}

void Session::ask_meaning(const StatementPtr& statement) {
    begin_statement(true);
    ensure_prepared(*statement, false);
    std::string message, body = "S";
    base::append_cstring(body, pool::prepared_name(statement->id));
    wire::write_message(message, wire::fe::kDescribe, body);
    if (identity_->mode == config::PoolMode::session)
        wire::write_close(message, 'S', pool::prepared_name(statement->id));
    turn_->server.copy(message);
    turn_->server.copy(wire::kFlush);
    exchange_->undescribed.push_back(statement);
    exchange_->expects.push({.kind = Kind::describe_statement,
                             .swallow = true,
                             .learns = true,
                             .statement = statement->id});
    if (identity_->mode != config::PoolMode::session) return;
    // There the server's statements are the client's.
    server_->prepared.erase(statement->id);
    exchange_->expects.push({.kind = Kind::close, .swallow = true, .statement = statement->id});
}

/// What the portal of this name was bound to by the message in front; null: not known.
const StatementPtr* Session::bound_last(std::string_view portal) noexcept {
    auto& x = *exchange_;
    const bool named = !x.bound_unnamed && x.bound_name == portal;
    if (!(portal.empty() ? x.bound_unnamed : named) || x.statement == nullptr || x.expects.empty())
        return nullptr;
    const auto& last = x.expects.back();
    return last.kind == Kind::bind && last.statement == x.statement->id ? &x.statement : nullptr;
}

/// Whether the answer to a Describe is the first that is told of it; it is kept then. What
/// temporary objects say of it, and definitions that are not committed, is not for others.
bool Session::to_be_learned(std::string_view name, const StatementPtr& statement, bool types) {
    const auto& told = statement->described();
    if (told.result != 0 && (!types || told.types != 0)) return false;
    // Most are parsed for one Bind. Who asks what it takes means to come back.
    if (name.empty() && !types) return false;
    auto kept = statement;
    const bool shared = exchange_->defines.empty() && pin_ == query::PinReason::none;
    if (statement->interned && !shared) {
        const auto own = StatementTable::own(*statement);
        own->described().types.store(told.types);
        const auto* named = find_statement(name);
        if (named != nullptr && (*named)->id == own->id) stands_for(name, own);
        kept = own;
    }
    exchange_->undescribed.push_back(std::move(kept));
    return true;
}

/// The whole answer to a Describe, or a part of it: the last ends it.
void Session::learn(std::string_view answer) {
    auto& undescribed = exchange_->undescribed;
    if (undescribed.empty()) return;
    note_told(*undescribed.front(), answer);
    if (answer.front() != wire::be::kParameterDescription) undescribed.erase(undescribed.begin());
}

void Session::note_told(const Statement& statement, std::string_view description) noexcept {
    if (description.empty()) return;
    auto& told = statement.described();
    const bool types = description.front() == wire::be::kParameterDescription;
    auto& kept = types ? told.types : told.result;
    std::uint64_t none = 0;
    if (kept == 0)
        kept.compare_exchange_strong(
            none, types ? hash_of_types(description) : hash_of_result(description));
}

/// Only a named statement outlives a change of what it reads. Outside a transaction a batch that
/// fails when it binds has done nothing, so it may be sent again.
/// `bound`: the statement that the one Bind in `batch` names. Who does not ask there what it gives
/// (`asks`) reads its rows as it was told before, and has to hear that it is something else.
bool Session::may_try_again(std::string_view bound, bool asks, std::string_view batch) const {
    const auto* const named = asks ? nullptr : statements_.find(bound);
    if (named != nullptr && (*named)->described().result != 0) return false;
    constexpr std::size_t kLongest = 4096;
    return !bound.empty() && begin_ == nullptr && batch.front() == wire::fe::kBind &&
           batch.size() <= kLongest && identity_->mode != config::PoolMode::session;
}

/// `front`: from the batch on that is about to be sent.
void Session::keep_for_retry(std::string_view front) {
    if (retry_size_ > 0) exchange_->again.assign(front.substr(0, std::exchange(retry_size_, 0)));
}

/// The plan is of another schema: whoever parses the text anew gets another statement. True where
/// the batch is sent again with that one, and nobody need know.
bool Session::stale_plan(const wire::ErrorFields& fields) {
    auto& x = *exchange_;
    const auto failed = x.expects.front().own_error ? 0 : x.expects.front().statement;
    if (fields.sqlstate != wire::sqlstate::kFeatureNotSupported || failed == 0 ||
        fields.routine != "RevalidateCachedQuery")
        return false;
    if (const auto* named = statements_.find(statements_.name_of(failed)); named != nullptr)
        (*named)->note_changed();
    env_.statements->forget(failed);
    const bool alone = x.ready_expected == 1 && x.expects.back().kind == Kind::sync;
    if (x.again.empty() || !alone || tx_ != wire::TxStatus::idle ||
        x.expects.front().kind != Kind::bind)
        return false;
    while (x.expects.front().kind != Kind::sync) x.expects.pop();
    x.undescribed.clear();
    x.meant.reset();
    x.expects.front().again = x.sends_again = true;
    x.sqlstate.clear();
    x.error.clear();
    return true;
}

/// The batch comes once more, as if the client had sent it now.
void Session::try_again() {
    auto& x = *exchange_;
    x.sends_again = false;
    renew(x.statement_name);
    for (auto& fill : x.fills) fill.mark_unfit(cache::Unfit::error);
    if (in_ == nullptr)
        in_ = env_.texts.take(x.again);
    else
        in_->insert(0, x.again);
    x.again.clear();
    consume_buffer();
}

}  // namespace pgweir::session
