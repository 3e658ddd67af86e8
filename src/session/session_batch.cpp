// Session: batches of the extended protocol that need no server: nothing but Close and Sync, or
// statements whose answers and descriptions are in the cache, all or those in front. The frames are
// walked a second time here, each portal looked up at its Execute; what is missing is noted to be
// stored when it passes.
#include <algorithm>

#include "batch_plan.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/session/session.hpp"
#include "turn.hpp"

namespace pgweir::session {

using query::NotCached;
namespace fe = wire::fe;

namespace {

/// Parsed or closed in one batch: they are looked through for each name.
constexpr std::size_t kMostNames = 64;
constexpr std::string_view kCloseComplete("3\0\0\0\4", 5);
constexpr std::string_view kNoData("n\0\0\0\4", 5);
constexpr char kUnnamedPortal[] = {'P', '\0'};  // body of its Close

std::string command_complete(std::string_view tag) {
    std::string out;
    wire::write_command_complete(out, tag);
    return out;
}

/// Of a Describe's body.
bool of_statement(std::string_view body) noexcept { return !body.empty() && body.front() == 'S'; }

}  // namespace

/// One walk over a batch.
struct Session::BatchLookup {
    explicit BatchLookup(std::vector<cache::EntryPtr>& scratch) : entries(scratch) {
        entries.clear();
    }
    ~BatchLookup() { entries.clear(); }
    BatchLookup(const BatchLookup&) = delete;
    BatchLookup& operator=(const BatchLookup&) = delete;

    /// The unnamed portal in a transaction, behind what was looked up; servers: as it was.
    struct Portal {
        UnnamedPortal is = UnnamedPortal::servers;
        StatementPtr statement;
        std::string_view values;  // as in AnsweredPortal
    };
    /// What can be answered: all, or up to the Execute in front of the first miss.
    struct Front {
        std::size_t bytes = 0, entries = 0, named = 0;
        unsigned parses = 0, at = 0;
        StatementPtr unnamed;  // parsed last in it
        Portal portal;
    };

    /// Parsed in this batch, or the session's.
    const StatementPtr* find(const Session& session, std::string_view name) const noexcept {
        if (name.empty() && unnamed) return &unnamed;
        for (const auto& entry : named)
            if (entry.name == name) return &entry.statement;
        const bool gone = std::find(closed.begin(), closed.end(), name) != closed.end();
        return gone ? nullptr : session.find_statement(name);
    }
    void close(std::string_view name) {
        if (name.empty()) {
            misses = misses || std::exchange(unnamed_open, false);
            unnamed.reset();
        }
        std::erase_if(named, [&](const Parsed& entry) {
            if (entry.name == name) misses = misses || entry.open;
            return entry.name == name;
        });
        closed.push_back(name);
    }
    /// What is known of it, here or at the server, came of a Parse like this batch's.
    void vouch(const StatementPtr& known) noexcept {
        if (known == unnamed) unnamed_open = false;
        for (auto& entry : named)
            if (entry.statement == known) entry.open = false;
    }
    /// Whether a Parse of the batch may be wrong, for all that is known.
    bool open() const noexcept {
        return unnamed_open ||
               std::any_of(named.begin(), named.end(), [](const Parsed& p) { return p.open; });
    }

    /// All hits of a batch are queued for the client at once, whether it reads or not.
    bool has_room_for(const cache::Entry& entry) noexcept {
        constexpr std::uint64_t kMost = std::uint64_t{1024} * 1024;
        if (given > kMost) return false;
        given += entry.bytes();
        return true;
    }

    /// Looked up one after the other, all must hold at one moment, too.
    bool holds() const noexcept {
        const auto all = entries.size() + descriptions.size();
        if (all <= 1) return all == 1;
        const auto valid = [](const cache::EntryPtr& entry) { return entry->valid(); };
        return std::all_of(entries.begin(), entries.end(), valid) &&
               std::all_of(descriptions.begin(), descriptions.end(), valid);
    }

    /// What goes before `bytes` of the batch can be answered; what follows need not.
    void mark(std::size_t bytes) {
        if (misses || begin || fresh != Fresh::yes || open()) return;
        front = {bytes, entries.size(), named.size(), parses, at, unnamed, portal};
    }
    /// All that was looked up, which is so long, can be.
    void mark_whole(std::size_t bytes) {
        front = {bytes, entries.size(),     named.size(),     parses,
                 at,    std::move(unnamed), std::move(portal)};
    }
    void keep_portal() {
        const auto* const end = bind.result_formats.data() + bind.result_formats.size();
        const auto* const start = bind.parameters.data();
        portal = {
            UnnamedPortal::answered, *statement, {start, static_cast<std::size_t>(end - start)}};
    }

    std::vector<cache::EntryPtr>& entries;  // one for each portal, in order; empty: a miss
    struct Parsed {
        std::string_view name;
        StatementPtr statement;
        bool open;  // nothing vouches for it yet: the server may refuse it
    };
    std::vector<Parsed> named;
    std::vector<std::string_view> closed;       // before they were parsed, if they were
    StatementPtr unnamed;                       // parsed in this batch
    bool unnamed_open = false;                  // as Parsed::open
    std::vector<cache::EntryPtr> descriptions;  // one for each Describe of a statement; the same
    std::uint64_t given = 0;                    // bytes of what was found
    unsigned parses = 0;
    unsigned at = 0;  // the next Bind or Describe of a statement
    bool misses = false;
    bool verify = false;   // hits are to be compared with the server's answers
    bool seeks = false;    // as Session::expects_hit()
    bool alone = false;    // one portal only
    bool tainted = false;  // what follows may be answered under other settings
    bool plain = true;     // no portal does more than read or write rows, for all that is known
    Portal portal;
    Front front;
    MemoPtr begin;  // the first portal is this BEGIN, which is kept back
    StatementPtr begin_statement;
    PlacePtr woken;            // it has waited for another's answer
    Fresh fresh = Fresh::yes;  // what the change stream says to hits

    // The portal at work.
    const StatementPtr* statement = nullptr;
    BindView bind;
    bool described = false;
    std::int32_t max_rows = 0;
    MemoPtr memo;  // of `judged`, which the portals before may have run, too
    StatementPtr judged;
    std::unique_ptr<PendingFills> pending;
};

/// Batches of nothing but Sync and Close of statements, or one Parse of what is known to be right:
/// the server has no part in them.
bool Session::answer_batch_here(const BatchPlan& plan, std::string_view batch) {
    if (plan.binds + plan.executes + plan.describes_statement + plan.describes_portal > 0)
        return false;
    if (identity_->mode == config::PoolMode::session) return false;
    // A name may be of a statement that SQL has made: the server has that one.
    if (plan.closes_portal > 0 || (plan.closes_statement > 0 && sql_ != nullptr)) return false;
    if (plan.parses > 0)
        return plan.parses == 1 && plan.closes_statement == 0 && answer_parse_here(batch);
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        if (frame.type == fe::kSync) {
            std::string out;
            wire::write_ready(out, tx_);
            turn_->client.copy(out);
            continue;
        }
        base::ByteReader r(frame.body);
        r.u8();
        forget_statement(r.cstring());
        turn_->client.view(kCloseComplete);
    }
    return true;
}

void Session::forget_statement(std::string_view name) {
    if (name.empty())
        unnamed_.reset();
    else
        statements_.erase(name);
}

/// The session's unnamed statement where it is the same again, which saves making it.
StatementPtr Session::unnamed_for(std::string_view text, std::string_view raw_types) {
    const auto definitions = Exchange::definitions(exchange_.get(), *identity_->context.database);
    const auto profile = identity_->profile->id;
    for (const auto* known : {&unnamed_, &next_unnamed_})
        if (*known && (*known)->text == text && (*known)->definitions == definitions &&
            (*known)->profile == profile && (*known)->has_types(raw_types))
            return *known;
    return StatementTable::make(text, raw_types, definitions, profile,
                                std::move(env_.spare_statement));
}

/// The old one's memory may serve for the next text.
void Session::replace_unnamed(StatementPtr statement) {
    std::swap(unnamed_, statement);
    if (auto spare = StatementTable::spare(std::move(statement)))
        env_.spare_statement = std::move(spare);
}

/// The bytes of the batch that are answered: all, what stands in front of the first miss, or none.
std::size_t Session::answer_batch_from_cache(const BatchPlan& plan, std::string_view batch) {
    if (plan.binds + plan.describes_statement == 0) return 0;
    const bool possible = env_.result_cache() != nullptr && cache_may_answer();
    if (!possible || !plan.cacheable_shape()) {
        if (plan.binds > 0)
            count_not_cached(possible ? NotCached::batch_shape : NotCached::cache_off);
        return 0;
    }
    BatchLookup lookup(env_.batch_entries);
    lookup.woken = std::exchange(flight_, nullptr);
    lookup.alone = plan.binds == 1;
    env_.batch_works.clear();
    lookup.verify = verifies();
    lookup.seeks = expects_hit() != nullptr;
    last_ = Last::other;
    lookup.fresh = freshness();
    if (lookup.fresh == Fresh::wait && server_ != nullptr) lookup.fresh = Fresh::no;
    if (!look_up_batch(lookup, batch)) return 0;
    if (lookup.open()) lookup.misses = true;
    if (lookup.fresh == Fresh::wait && !lookup.misses) {
        await_watermark();
        return 0;
    }
    pending_fills_ = std::move(lookup.pending);
    if (pending_fills_) pending_fills_->begins = lookup.begin != nullptr;
    if (!lookup.misses && lookup.holds()) {
        lookup.mark_whole(batch.size());
        next_unnamed_.reset();
        return answer_front(lookup, batch);
    }
    next_unnamed_ = std::move(lookup.unnamed);
    const bool front = lookup.misses && lookup.front.bytes > 0 && plan.runs_only() && lookup.plain;
    return front ? answer_front(lookup, batch) : 0;
}

/// What is left of the batch, if anything, goes to a server as one of its own: each statement of
/// READ COMMITTED has its snapshot, so that it may be a later one; and reads and writes of rows do
/// not ask whether something went before in their transaction.
std::size_t Session::answer_front(BatchLookup& lookup, std::string_view batch) {
    auto& front = lookup.front;
    const bool whole = front.bytes == batch.size();
    if (front.named > 0 && full(front.named)) return 0;
    // Before names are forgotten, and statements with them.
    for (std::size_t i = 0; i < std::min(front.entries, env_.batch_works.size()); ++i) {
        const auto& work = env_.batch_works[i];
        record_hit(*work.memo, work.statement->text, lookup.entries[i]->data().size());
    }
    env_.batch_works.clear();
    for (const auto name : lookup.closed) forget_statement(name);
    if (front.unnamed) replace_unnamed(std::move(front.unnamed));
    for (std::size_t i = 0; i < front.named; ++i)
        statements_.set(lookup.named[i].name, std::move(lookup.named[i].statement));
    const auto portals = front.entries + (lookup.begin ? 1 : 0);
    counters_.client_parse_count.add(front.parses);
    counters_.bind_count.add(portals);
    for (std::size_t i = 0; i < front.entries; ++i) saw(*lookup.entries[i]);
    for (const auto& entry : lookup.descriptions) saw(*entry);
    const auto begun = lookup.begin ? step_here(*lookup.begin, lookup.begin_statement->text) : "";
    if (lookup.begin) portal_ = UnnamedPortal::servers;  // as send_begin() binds it
    if (front.portal.is == UnnamedPortal::answered)
        keep_portal(front.portal.statement, front.portal.values);
    else if (front.portal.is == UnnamedPortal::none)
        portal_ = UnnamedPortal::none;
    write_batch_hit(lookup, batch.substr(0, front.bytes), begun);
    if (whole) count_hit();
    if (pending_fills_)
        for (auto& item : pending_fills_->items) item.at -= front.at;
    looked_up_ = !whole;
    if (whole) last_ = Last::hit;
    return front.bytes;
}

/// False when the batch has something only the server can answer.
bool Session::look_up_batch(BatchLookup& lookup, std::string_view batch) {
    const auto size = batch.size();
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        switch (frame.type) {
            case fe::kParse:
                if (!look_up_parse(lookup, frame.body)) return false;
                break;
            case fe::kBind: {
                if (!parse_bind(frame.body, lookup.bind)) return false;
                const auto* found = lookup.find(*this, lookup.bind.statement);
                if (found != nullptr && outdated(**found)) [[unlikely]]
                    found = renewed_for_cache(lookup.bind.statement, found);
                if (found == nullptr) return false;
                lookup.statement = found;
                lookup.described = false;
                break;
            }
            case fe::kDescribe:
                if (of_statement(frame.body)) {
                    if (!look_up_description(lookup, frame.body)) return false;
                } else {
                    lookup.described = true;
                }
                break;
            case fe::kClose:
                if (of_statement(frame.body) && !look_up_close(lookup, frame.body)) return false;
                if (frame.body == std::string_view(kUnnamedPortal, 2))
                    lookup.portal = {UnnamedPortal::none};
                break;
            case fe::kExecute: {
                base::ByteReader r(frame.body);
                r.cstring();
                lookup.max_rows = r.i32();
                if (!r.done()) return false;
                look_up_portal(lookup);
                ++lookup.at;
                if (!lookup.alone) lookup.mark(size - batch.size());
                break;
            }
            default: break;
        }
    }
    return true;
}

bool Session::look_up_parse(BatchLookup& lookup, std::string_view body) {
    ParseView parse;
    if (!parse_parse(body, parse)) return false;
    ++lookup.parses;
    if (parse.name.empty()) {
        if (lookup.unnamed_open) lookup.misses = true;
        lookup.unnamed = unnamed_for(parse.text, parse.raw_types);
        lookup.unnamed_open = !lookup.unnamed->known_to(identity_->context.id);
        return true;
    }
    if (lookup.named.size() >= kMostNames) return false;
    // A name that is taken is an error only the server words.
    if (lookup.find(*this, parse.name) != nullptr || has_sql_statement(parse.name)) return false;
    auto statement = intern(parse.text, parse.raw_types);
    const bool open = !statement->known_to(identity_->context.id);
    lookup.named.push_back({parse.name, std::move(statement), open});
    return true;
}

bool Session::look_up_close(BatchLookup& lookup, std::string_view body) {
    base::ByteReader r(body);
    r.u8();
    const auto name = r.cstring();
    // What SQL has made under that name only the server can close.
    if (!r.done() || has_sql_statement(name) || lookup.closed.size() >= kMostNames) return false;
    lookup.close(name);
    return true;
}

/// BEGIN in front of what the cache may answer.
bool Session::look_up_begin(BatchLookup& lookup, const MemoPtr& memo) {
    const auto& v = *memo->verdict;
    if (lookup.begin || !lookup.entries.empty() || v.kind != query::Kind::begin ||
        tx_ != wire::TxStatus::idle)
        return false;
    if (!identity_->lazy_begin || server_ != nullptr || !begins_reads(v)) return false;
    // As in step_statement().
    if (!without_parameters(lookup.bind) || !lookup.bind.portal.empty()) return false;
    lookup.begin = memo;
    lookup.begin_statement = *lookup.statement;
    return true;
}

/// The portal at work is neither answered here nor stored.
void Session::pass_by(BatchLookup& lookup, const MemoEntry& memo, NotCached reason) {
    lookup.entries.emplace_back();
    lookup.misses = true;
    count_not_cached(reason, &memo);
}

/// What stands against an answer to the portal at work from the cache.
NotCached Session::portal_verdict(const BatchLookup& lookup, const MemoEntry& memo) const {
    const auto& statement = **lookup.statement;
    const auto reason = cache_verdict(memo, statement.scan());
    if (reason != NotCached::none) return reason;
    // In a transaction it stays, to be asked for more, or closed by SQL.
    const bool stays = !lookup.bind.portal.empty() && (tx_ != wire::TxStatus::idle || lookup.begin);
    if (lookup.tainted || stays) return NotCached::batch_shape;
    for (const auto type : statement.types)
        if (!query::plain_parameter_type(type)) return NotCached::type_not_proven;
    // In either format: that of a text is the text.
    const bool plain = each_parameter(lookup.bind.parameters, [](bool, std::string_view v) {
        return !query::special_datetime_word(v);
    });
    return plain ? NotCached::none : NotCached::special_date_input;
}

cache::KeyParts Session::portal_parts(const BatchLookup& lookup) const {
    const auto& statement = **lookup.statement;
    auto parts = key_parts(statement.text, statement.hash());
    parts.types = statement.types;
    add_bind(parts, lookup.bind);
    return parts;
}

/// Adds the portal's entry, or an empty one and, where it may be stored, what to store it under.
void Session::look_up_portal(BatchLookup& lookup) {
    const auto& statement = **lookup.statement;
    const auto parts = portal_parts(lookup);
    Sought sought;
    if (lookup.seeks && lookup.fresh == Fresh::yes && !statement.scanned()) {
        seek(sought, parts, true);
        if (sought.entry) statement.note_scan({.shape = sought.entry->shape(), .lexed = true});
    }
    if (lookup.judged != *lookup.statement) {
        lookup.memo = judge(statement.text, statement.scan());
        lookup.judged = *lookup.statement;
    }
    const auto& memo = lookup.memo;
    lookup.vouch(*lookup.statement);  // by its entry, without which the batch misses
    const auto kind = memo->verdict->kind;
    lookup.plain = lookup.plain && (kind == query::Kind::select || kind == query::Kind::dml);
    if (look_up_begin(lookup, memo)) return;
    if (lookup.begin || tx_ != wire::TxStatus::idle) lookup.keep_portal();
    if (env_.queries.on()) env_.batch_works.push_back({memo, *lookup.statement});
    const auto question = parts.question();
    const bool idle = does_not_pay(*env_.result_cache(), *memo, question);
    auto reason = idle ? NotCached::does_not_pay : portal_verdict(lookup, *memo);
    lookup.tainted = lookup.tainted || !only_reads(*memo->verdict);
    if (idle && lookup.alone) last_ = Last::does_not_pay;
    if (reason != NotCached::none) return pass_by(lookup, *memo, reason);
    auto* row = ledger_row(*memo);
    if (row != nullptr && !row->pays(question, env_.now()))
        return pass_by(lookup, *memo, NotCached::does_not_pay);
    if (lookup.fresh == Fresh::no) return pass_by(lookup, *memo, NotCached::stream_behind);
    if (!sought.named) seek(sought, parts, lookup.fresh == Fresh::yes);
    auto& hash = sought.hash;
    auto& entry = sought.entry;
    auto& database = *identity_->context.database;
    auto& cache = *env_.result_cache();
    if (lookup.fresh == Fresh::yes) {
        database.stats().count(entry ? cache::Event::hit : cache::Event::miss);
    } else if (cache.would_hit(hash, sought.name, env_.now())) {
        lookup.entries.emplace_back();
        return;  // it is asked again when the stream has come, if the others are known, too
    } else {
        database.stats().count(cache::Event::miss);
    }
    if (base::planted(base::Plant::suspended_portal)) lookup.max_rows = 0;
    const bool suspends = entry && lookup.max_rows > 0 &&
                          entry->rows() >= static_cast<std::uint64_t>(lookup.max_rows);
    if (suspends || (entry && lookup.described && entry->row_description().empty())) entry.reset();
    if (suspends) return pass_by(lookup, *memo, NotCached::row_limit);
    if (entry && !lookup.has_room_for(*entry)) return pass_by(lookup, *memo, NotCached::too_large);
    if (!entry && (reason = stores(hash, row)) != NotCached::none)
        return pass_by(lookup, *memo, reason);
    if (entry && lookup.described) note_told(statement, entry->row_description());
    if (entry && row != nullptr) row->hit(entry->cost());
    if (entry && lookup.woken) lookup.woken->lead.land();
    cache::Lead lead;
    if (!entry && lookup.alone && server_ == nullptr) lead = board(lookup.woken, hash);
    const bool missing = !entry || lookup.verify;
    if (missing) lookup.misses = true;
    if (missing && !in_flight()) {
        not_cached_ = NotCached::none;
        if (!lookup.pending) lookup.pending = make_fills();
        lookup.pending->items.push_back(
            {lookup.at, room_for(sought), hash, statement.scan().shape, memo, entry,
             std::move(lead),
             rows_read(*memo, {statement.text, lookup.bind.parameters, statement.types})});
    }
    lookup.entries.push_back(std::move(entry));
}

/// Adds what the statement is described as, or an empty entry and, where it may be stored, what to
/// store it under. A description holds as long as an answer would that depends on no rows. It is
/// the statement's as of a Parse now, so it must have been parsed under the same definitions and
/// settings.
bool Session::look_up_description(BatchLookup& lookup, std::string_view body) {
    base::ByteReader r(body);
    r.u8();
    const auto* found = lookup.find(*this, r.cstring());
    if (found == nullptr || !r.done()) return false;
    const auto& statement = **found;
    const auto at = lookup.at++;
    const auto memo = judge(statement.text, statement.scan());
    auto& database = *identity_->context.database;
    auto reason = cache_verdict(*memo, statement.scan());
    const auto is_current = [&] {
        return statement.definitions == database.definitions() &&
               statement.profile == identity_->profile->id;
    };
    lookup.vouch(*found);  // as with portals
    if (reason == NotCached::none && (lookup.tainted || !is_current()))
        reason = NotCached::batch_shape;
    if (reason == NotCached::none && lookup.fresh == Fresh::no) reason = NotCached::stream_behind;
    if (reason != NotCached::none) {
        not_cached_ = reason;
        lookup.misses = true;
        return true;
    }
    auto parts = key_parts(statement.text, statement.hash());
    parts.types = statement.types;
    parts.description = true;
    Sought sought;
    seek(sought, parts, false);
    const auto& hash = sought.hash;
    auto& cache = *env_.result_cache();
    cache::EntryPtr entry;
    if (lookup.fresh == Fresh::yes) {
        entry = cache.lookup(database, hash, sought.name, env_.now());
    } else if (cache.would_hit(hash, sought.name, env_.now())) {
        lookup.descriptions.emplace_back();
        return true;  // as with portals: it is asked again when the stream has come
    }
    // After the look-up, too: no others have come into force before it, then.
    const bool current = is_current();
    if (!current || (entry && !lookup.has_room_for(*entry))) entry.reset();
    if (entry) note_told(statement, entry->parameter_description());
    if (entry) note_told(statement, entry->row_description());
    const bool missing = !entry || lookup.verify;
    if (missing) lookup.misses = true;
    if (missing && current &&
        (entry || worth_storing(hash, ledger_row(*memo)) == NotCached::none)) {
        if (!lookup.pending) lookup.pending = make_fills();
        lookup.pending->describes = true;
        lookup.pending->items.push_back({.at = at,
                                         .key = room_for(sought),
                                         .hash = hash,
                                         .shape = statement.scan().shape,
                                         .memo = memo,
                                         .verify = entry,
                                         .description = true});
    }
    lookup.descriptions.push_back(std::move(entry));
    return true;
}

/// `begun`: the command tag of the BEGIN in front; empty: there is none.
void Session::write_batch_hit(BatchLookup& lookup, std::string_view batch, std::string_view begun) {
    auto& out = turn_->client;
    std::size_t next = 0, next_description = 0;
    while (!batch.empty()) {
        const auto frame = wire::scan_frame(batch);
        batch.remove_prefix(frame.size);
        switch (frame.type) {
            case fe::kParse:
                if (!batch.empty() && batch.front() == fe::kBind) {
                    batch.remove_prefix(wire::scan_frame(batch).size);
                    out.join(kParseAndBindComplete);
                } else {
                    out.join(kParseComplete);
                }
                break;
            case fe::kBind: out.join(kBindComplete); break;
            case fe::kDescribe:
                if (of_statement(frame.body)) {
                    out.join(lookup.descriptions[next_description++]->description());
                } else if (!begun.empty()) {
                    out.join(kNoData);
                } else if (!batch.empty() && batch.front() == fe::kExecute) {
                    batch.remove_prefix(wire::scan_frame(batch).size);
                    out.join(lookup.entries[next++]->answer());
                } else {
                    out.join(lookup.entries[next]->row_description());
                }
                break;
            case fe::kExecute:
                if (begun.empty()) {
                    out.join(lookup.entries[next++]->data());
                    break;
                }
                out.copy(command_complete(std::exchange(begun, {})));
                break;
            case fe::kClose: out.join(kCloseComplete); break;
            case fe::kSync: out.view(ready_message()); break;
            default: break;
        }
    }
    out.flush();  // the entries are held for this long only
}

}  // namespace pgweir::session
