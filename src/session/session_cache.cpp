// Session: answers from the result cache, and the beginnings of entries. Only while no server is
// leased: then every earlier message of the session has been answered and applied, so the identity
// in the key is the one this statement would run under.
#include "batch_plan.hpp"
#include "pgweir/cache/key.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::NotCached;

namespace {

constexpr std::string_view kParseComplete("1\0\0\0\4", 5);
constexpr std::string_view kBindComplete("2\0\0\0\4", 5);
constexpr std::string_view kCloseComplete("3\0\0\0\4", 5);
constexpr std::string_view kReadyIdle("Z\0\0\0\5I", 6);

cache::KeyParts key_parts(const Identity& identity, std::string_view text) {
    cache::KeyParts parts;
    parts.database = identity.context.database->cache_id();
    parts.session_user = identity.user;
    parts.role = identity.user;
    parts.settings = static_cast<std::uint32_t>(identity.profile->id);
    parts.statement = text;
    return parts;
}

/// The parameters of a Bind in the key's parts: formats and values without their counts.
void add_bind(cache::KeyParts& parts, const BindView& bind) {
    base::ByteReader r(bind.parameters);
    const auto formats = r.u16();
    parts.parameter_formats = r.bytes(std::size_t{formats} * 2);
    parts.parameters = r.u16();
    parts.parameter_values = r.rest();
    parts.result_formats = bind.result_formats;
}

}  // namespace

NotCached Session::cache_verdict(const MemoEntry& memo,
                                 const query::TextScan& scan) const noexcept {
    // What the configuration rules out is said before what the statement lacks.
    const auto& c = env_.config().cache;
    const bool may_be = c.exclusive_writer && (c.consistency == config::Consistency::automatic ||
                                               c.consistency == config::Consistency::in_band);
    if (!c.enabled || !may_be) return NotCached::cache_off;
    if (identity_->not_cached != NotCached::none) return identity_->not_cached;
    if (pin_ != query::PinReason::none) return NotCached::pinned_session;
    if (server_ != nullptr || tx_ != wire::TxStatus::idle) return NotCached::in_transaction;
    if (memo.verdict->not_cached != NotCached::none) return memo.verdict->not_cached;
    if (scan.special_datetime) return NotCached::special_date_input;
    if (identity_->context.database->rung() < cache::Rung::in_band) return NotCached::cache_off;
    return NotCached::none;
}

void Session::count_not_cached(NotCached reason) {
    env_.counters().not_cached[static_cast<std::size_t>(reason)].add(1);
}

void Session::count_hit(base::Nanos started) {
    auto& c = counters_;
    c.query_count.add(1);
    c.xact_count.add(1);
    (void)started;  // a hit takes less than the clock's grain is worth reading for
}

bool Session::answer_query_from_cache(std::string_view text, const MemoEntry& memo,
                                      const query::TextScan& scan) {
    auto* cache = env_.result_cache();
    const auto reason = cache_verdict(memo, scan);
    if (reason != NotCached::none || cache == nullptr) {
        count_not_cached(reason);
        return false;
    }
    auto& key = env_.key_buffer;
    cache::build_key(key, key_parts(*identity_, text));
    const auto hash = cache::hash_key(key);
    auto& database = *identity_->context.database;
    const auto entry = cache->lookup(database, hash, key, env_.now());
    if (entry && !entry->row_description().empty()) {
        turn_->client.view(entry->answer());
        turn_->client.view(kReadyIdle);
        turn_->client.flush();  // the entry is held for this long only
        unnamed_.reset();
        count_hit(env_.now());
        return true;
    }
    pending_fill_ = std::make_unique<PendingFill>(PendingFill{key, hash, judged_});
    return false;
}

void Session::begin_fill() {
    auto* cache = env_.result_cache();
    auto& x = *exchange_;
    if (cache == nullptr || pin_ != query::PinReason::none || tx_ != wire::TxStatus::idle ||
        x.wrote)
        return;
    if (pending_fill_->memo->verdict->may_leave_state) return;
    auto& database = *identity_->context.database;
    const auto& memo = *pending_fill_->memo;
    auto snapshot = cache::Snapshot::capture(database, std::span(memo.reads), memo.catalog_version);
    x.cache_word = "miss";
    if (!snapshot) return;
    const auto ttl = env_.config().cache.default_ttl;
    x.fill.emplace(*cache, database, pending_fill_->key, pending_fill_->hash, std::move(*snapshot),
                   cache::FillOptions{.sent = env_.now(), .ttl = ttl == 0 ? cache::kNever : ttl});
}

/// Batches of nothing but Sync and Close of statements: the server has no part in them.
bool Session::answer_batch_here(const BatchPlan& plan, std::string_view batch) {
    if (identity_->mode == config::PoolMode::session) return false;
    if (plan.parses + plan.binds + plan.executes + plan.describes_statement +
            plan.describes_portal >
        0)
        return false;
    if (plan.closes_portal > 0) return false;
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        if (frame.type == wire::fe::kSync) {
            turn_->client.view(kReadyIdle);
            continue;
        }
        base::ByteReader r(frame.body);
        r.u8();
        const auto name = r.cstring();
        if (name.empty())
            unnamed_.reset();
        else
            statements_.erase(name);
        turn_->client.view(kCloseComplete);
    }
    return true;
}

bool Session::answer_batch_from_cache(const BatchPlan& plan, std::string_view batch) {
    auto* cache = env_.result_cache();
    if (plan.binds == 0) return false;
    StatementPtr statement;
    if (plan.parses == 1 && plan.parse.name == plan.bind.statement) {
        // A name that is taken is an error only the server words; one parsed here is known from now
        // on.
        if (!plan.parse.name.empty() && statements_.find(plan.parse.name) != nullptr) return false;
        statement = plan.parse.name.empty()
                        ? env_.statements->intern(plan.parse.text, plan.parse.raw_types, 0, 0)
                        : intern(plan.parse.text, plan.parse.raw_types);
    } else if (const auto* found = find_statement(plan.bind.statement);
               found != nullptr && plan.parses == 0) {
        statement = *found;
    }
    if (statement == nullptr) return false;
    const auto memo = judge(statement->text, statement->scan);
    auto reason = cache_verdict(*memo, statement->scan);
    if (reason == NotCached::none && !plan.cacheable_shape()) reason = NotCached::batch_shape;
    if (reason == NotCached::none && plan.max_rows > 0) reason = NotCached::row_limit;
    if (reason == NotCached::none && plan.describes_statement > 0) reason = NotCached::batch_shape;
    for (const auto type : statement->types)
        if (reason == NotCached::none && !query::plain_parameter_type(type))
            reason = NotCached::type_not_proven;
    if (reason == NotCached::none &&
        !each_parameter(plan.bind.parameters, [](bool text, std::string_view v) {
            return !text || !query::special_datetime_word(v);
        }))
        reason = NotCached::special_date_input;
    if (reason != NotCached::none || cache == nullptr) {
        count_not_cached(reason);
        return false;
    }
    auto parts = key_parts(*identity_, statement->text);
    parts.types = statement->types;
    add_bind(parts, plan.bind);
    auto& key = env_.key_buffer;
    cache::build_key(key, parts);
    const auto hash = cache::hash_key(key);
    const auto entry = cache->lookup(*identity_->context.database, hash, key, env_.now());
    if (!entry || (plan.describes_portal > 0 && entry->row_description().empty())) {
        pending_fill_ = std::make_unique<PendingFill>(PendingFill{key, hash, memo});
        return false;
    }
    if (plan.parses == 1) {
        if (plan.parse.name.empty())
            unnamed_ = statement;
        else
            statements_.set(plan.parse.name, statement);
        counters_.client_parse_count.add(1);
    }
    counters_.bind_count.add(1);
    write_batch_hit(plan, batch, *entry);
    count_hit(env_.now());
    return true;
}

void Session::write_batch_hit(const BatchPlan&, std::string_view batch, const cache::Entry& entry) {
    auto& out = turn_->client;
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        switch (frame.type) {
            case wire::fe::kParse: out.view(kParseComplete); break;
            case wire::fe::kBind: out.view(kBindComplete); break;
            case wire::fe::kDescribe: out.view(entry.row_description()); break;
            case wire::fe::kExecute: out.view(entry.data()); break;
            case wire::fe::kClose: out.view(kCloseComplete); break;
            case wire::fe::kSync: out.view(kReadyIdle); break;
            default: break;
        }
    }
    out.flush();
}

}  // namespace pgweir::session
