// See judge_memo.hpp.
#include "pgweir/session/judge_memo.hpp"

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

}  // namespace

MemoPtr JudgeMemo::find(const base::Hash128& hash, std::uint64_t version) const {
    const auto it = by_hash_.find(hash);
    if (it == by_hash_.end() || it->second->catalog_version != version) return nullptr;
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
    const auto version = context.database->catalog_version();
    const auto id = number_of(context, scope);
    const auto shape = in_context(scan.shape, id);
    auto found = find(shape, version);
    if (found && !found->verdict->literal_dependent) return found;
    // A shape whose verdict depends on its literals is remembered by its bytes instead.
    base::Hash128 exact;
    if (found) {
        exact = in_context(base::hash128(text), ~id);
        if (auto by_text = find(exact, version)) return by_text;
    }
    const auto catalog = context.database->catalog();
    query::ResolveContext resolve;
    resolve.user = context.user;
    resolve.search_path.assign(context.search_path.begin(), context.search_path.end());
    resolve.catalog = catalog.get();
    resolve.scope = scope;
    resolve.other_encoding = context.other_encoding;
    auto entry = std::make_shared<MemoEntry>();
    entry->verdict = query::judge(text, resolve);
    entry->catalog_version = catalog ? version : 0;
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
