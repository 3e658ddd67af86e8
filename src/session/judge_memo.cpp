// See judge_memo.hpp.
#include "pgweir/session/judge_memo.hpp"

#include <algorithm>

#include "pgweir/query/processes.hpp"
#include "pgweir/query/tokens.hpp"

namespace pgweir::session {

namespace {

/// SQL's EXECUTE counts among the utilities. DISCARD ALL names all.
bool may_name_statement(query::Kind kind) noexcept {
    return kind == query::Kind::deallocate || kind == query::Kind::discard_all ||
           kind == query::Kind::utility || kind == query::Kind::several ||
           kind == query::Kind::unknown;
}

/// Without a catalog in force any code may write, but not any may define, or no catalog would ever
/// come into force again. What the last one says of that holds, unless code has become another
/// since: see DatabaseState::judged_in_doubt().
query::VerdictPtr judge_without(const cache::DatabaseState& database, std::string_view text,
                                query::ResolveContext resolve) {
    auto verdict = query::judge(text, resolve);
    const auto last = database.last_catalog();
    if (!last || verdict->may_define) return verdict;
    resolve.catalog = last.get();
    const auto by_last = query::judge(text, resolve);
    if (!by_last->may_define && !by_last->literal_dependent) return verdict;
    auto both = std::make_shared<query::Verdict>(*verdict);
    both->literal_dependent = verdict->literal_dependent || by_last->literal_dependent;
    if (by_last->may_define) {
        both->may_define = true;
        both->writes = std::max({verdict->writes, by_last->writes, query::Writes::database});
    }
    return both;
}

}  // namespace

MemoPtr JudgeMemo::find(const base::Hash128& hash, std::uint64_t version,
                        const cache::DatabaseState& database) const {
    const auto it = by_hash_.find(hash);
    if (it == by_hash_.end() || !fits_now(*it->second, version, database)) return nullptr;
    return it->second;
}

void JudgeMemo::store(const base::Hash128& hash, MemoPtr entry) {
    if (by_hash_.size() >= max_entries_) {
        near_ = {};
        by_hash_.clear();
    }
    by_hash_.insert_or_assign(hash, std::move(entry));
}

MemoPtr JudgeMemo::judge(const JudgeContext& context, std::string_view text,
                         const query::TextScan& scan, query::NameScope scope) {
    const auto catalogs = context.database->catalogs();
    const auto version = context.database->catalog_version();
    const auto id = number_of(context, scope);
    const auto shape = in_context(scan.shape, id);
    auto found = find(shape, version, *context.database);
    if (found && !found->verdict->literal_dependent) return found;
    // A shape whose verdict depends on its literals is remembered by its bytes instead.
    base::Hash128 exact;
    if (found) {
        exact = in_context(base::hash128(text), ~id);
        if (auto by_text = find(exact, version, *context.database)) return by_text;
    }
    const auto catalog = context.database->catalog();
    query::ResolveContext resolve;
    resolve.user = context.user;
    resolve.search_path.assign(context.search_path.begin(), context.search_path.end());
    resolve.catalog = catalog.get();
    resolve.scope = scope;
    resolve.other_encoding = context.other_encoding;
    auto entry = std::make_shared<MemoEntry>();
    entry->verdict =
        catalog ? query::judge(text, resolve) : judge_without(*context.database, text, resolve);
    entry->catalog_version = catalog ? version : 0;
    entry->catalogs = catalogs;
    entry->fingerprint = query::fingerprint(text);
    entry->may_notify = query::mentions(text, "notify");
    // What is only kept by the server may be run when the processes are others.
    const bool runs =
        entry->verdict->kind == query::Kind::select || entry->verdict->kind == query::Kind::dml;
    entry->may_name_processes = runs && query::may_name_processes(text);
    entry->may_name_statement = may_name_statement(entry->verdict->kind);
    ++parses_;
    for (const auto oid : entry->verdict->reads)
        entry->reads.push_back(&context.database->relation(oid));
    for (auto* relation : entry->reads) {
        entry->depends.push_back(relation);
        entry->depends.push_back(&relation->any_row());
    }
    if (entry->verdict->not_cached == query::NotCached::none) {
        entry->reads.push_back(&context.database->query(entry->fingerprint));
        entry->depends.push_back(entry->reads.back());
    }
    for (const auto oid : entry->verdict->written)
        entry->writes.push_back(&context.database->relation(oid));
    if (entry->verdict->literal_dependent) store(in_context(base::hash128(text), ~id), entry);
    store(shape, entry);
    return entry;
}

}  // namespace pgweir::session
