// Session: more of the same. Who was given an answer from the cache most likely will be given the
// next one, too: a Query, or the batch of one portal, is looked up before anything else is asked.
// What the long way asks of a statement has been asked when its entry was filled, so what may have
// changed since is asked here: the session's state, the verdict on the statement's shape, and
// whether caching it pays. Whatever is not as expected goes the long way, which finds out why. So
// it is with a statement that does not pay: whoever ran it will most likely run it again.
#include "batch_plan.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::NotCached;

cache::ResultCache* Session::expects_hit() const noexcept {
    if (last_ != Last::hit || server_ != nullptr || tx_ != wire::TxStatus::idle ||
        flight_ != nullptr || pin_ != query::PinReason::none)
        return nullptr;
    const auto& identity = *identity_;
    auto& database = *identity.context.database;
    const bool open = identity.not_cached == NotCached::none && cache_may_answer() &&
                      database.rung() >= cache::Rung::in_band &&
                      database.logins_changed().load() == logins_seen_ &&
                      env_.config().cache.verify_ratio <= 0;
    return open ? env_.result_cache() : nullptr;
}

/// What is known of the statement of an entry that is to be given; counted then. Null: the long
/// way.
const MemoEntry* Session::may_repeat(cache::ResultCache& cache, const cache::Entry& entry) {
    const auto* const memo = env_.memo.known(identity_->context, entry.shape(), scope_now());
    if (memo == nullptr || statement_verdict(*memo) != NotCached::none) return nullptr;
    auto* const row = ledger_row(cache, *memo);
    if (row != nullptr && row->off()) return nullptr;
    if (row != nullptr) row->hit(entry.cost());
    identity_->context.database->stats().count(cache::Event::hit);
    pending_fills_.reset();
    end_waiting();
    return memo;
}

std::size_t Session::answer_query_again(cache::ResultCache& cache, std::string_view bytes) {
    const auto frame =
        scan_client_frame(bytes, static_cast<std::uint32_t>(env_.config().limits.max_message));
    if (frame.status != wire::FrameStatus::complete || frame.body.empty() ||
        frame.body.back() != '\0')
        return 0;
    const auto text = frame.body.substr(0, frame.body.size() - 1);
    const cache::KeyName name(identity_->cache_owner, text, base::hash128(text));
    const auto entry = cache.find(name.hash(), name, env_.now());
    if (!entry || entry->row_description().empty()) return 0;
    const auto* const memo = may_repeat(cache, *entry);
    if (memo == nullptr) return 0;
    give_answer(*entry, *memo, text);
    return frame.size;
}

/// `statement`: what the portal is bound to, unless it is parsed here.
cache::EntryPtr Session::seek_portal(cache::ResultCache& cache, const PortalUnit& unit,
                                     const StatementPtr*& statement) {
    cache::KeyParts parts;
    std::array<query::Oid, PortalUnit::kMostTypes> types;
    if (unit.parses) {
        parts = key_parts(unit.parse.text, base::hash128(unit.parse.text));
        parts.types = unit.types(types);
    } else {
        statement = find_statement(unit.bind.statement);
        if (statement == nullptr || outdated(**statement)) return {};
        parts = key_parts((*statement)->text, (*statement)->hash());
        parts.types = (*statement)->types;
    }
    add_bind(parts, unit.bind);
    const cache::KeyName name(parts);
    return cache.find(name.hash(), name, env_.now());
}

/// [Parse] Bind [Describe] Execute Sync without names but the statement's: what is answered, in
/// bytes of the client; 0: this is something else, or not there.
std::size_t Session::answer_portal_again(cache::ResultCache& cache, std::string_view bytes) {
    PortalUnit unit;
    if (!unit.scan(bytes, static_cast<std::uint32_t>(env_.config().limits.max_message))) return 0;
    const StatementPtr* statement = nullptr;
    const auto entry = seek_portal(cache, unit, statement);
    if (!entry || (unit.described && entry->row_description().empty())) return 0;
    const auto* const memo = may_repeat(cache, *entry);
    if (memo == nullptr) return 0;
    if (unit.parses) {
        replace_unnamed(unnamed_for(unit.parse.text, unit.parse.raw_types));
        if (!unnamed_->scanned()) unnamed_->note_scan({.shape = entry->shape(), .lexed = true});
        statement = &unnamed_;
        counters_.client_parse_count.add(1);
    }
    next_unnamed_.reset();
    counters_.bind_count.add(1);
    if (unit.described && !unit.parses) note_told(**statement, entry->row_description());
    send_answer(*entry, unit.parses ? kParseAndBindComplete : kBindComplete, unit.described);
    saw(*entry);
    count_hit();
    if (env_.queries.on()) record_hit(*memo, (*statement)->text, entry->data().size());
    return unit.size;
}

/// What comes behind hits, as long as it is hits; gives their bytes.
std::size_t Session::answer_hits(std::string_view bytes) {
    if (stopped() || skip_until_sync_ || looked_up_ || client_left_ > 0) return 0;
    std::size_t done = 0;
    while (done < bytes.size()) {
        auto* const cache = expects_hit();
        if (cache == nullptr || client_.queued() > kHighWater || freshness() != Fresh::yes) break;
        const auto rest = bytes.substr(done);
        const auto n = rest.front() == wire::fe::kQuery ? answer_query_again(*cache, rest)
                                                        : answer_portal_again(*cache, rest);
        if (n == 0) break;
        done += n;
    }
    return done;
}

/// Whether `bytes` begin with the batch of one portal, `unit`, that is known not to pay and so goes
/// past the cache; counted then, and nothing is left of what was looked up before.
bool Session::passes_again(PortalUnit& unit, std::string_view bytes) {
    last_ = Last::other;
    const auto& identity = *identity_;
    auto* const cache = env_.result_cache();
    if (cache == nullptr || !cache_may_answer() || identity.not_cached != NotCached::none ||
        identity.mode == config::PoolMode::session || begin_ != nullptr || flight_ != nullptr ||
        !unit.scan(bytes, static_cast<std::uint32_t>(env_.config().limits.max_message)))
        return false;
    next_unnamed_.reset();
    if (unit.parses) next_unnamed_ = unnamed_for(unit.parse.text, unit.parse.raw_types);
    const auto* const found = unit.parses ? &next_unnamed_ : find_statement(unit.bind.statement);
    if (found == nullptr) return false;
    const auto& statement = **found;
    const auto* const memo = env_.memo.known(identity.context, statement.scan().shape, scope_now());
    if (memo == nullptr) return false;
    cache::KeyParts parts;
    parts.statement = statement.text;
    add_bind(parts, unit.bind);
    if (!does_not_pay(*cache, *memo, parts.question())) return false;
    last_ = Last::does_not_pay;
    pending_fills_.reset();
    end_waiting();
    count_not_cached(NotCached::does_not_pay, memo);
    return true;
}

}  // namespace pgweir::session
