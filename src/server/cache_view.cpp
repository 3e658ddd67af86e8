// See cache_view.hpp.
#include "cache_view.hpp"

#include <algorithm>
#include <tuple>

#include "pgweir/base/clock.hpp"
#include "pgweir/query/reasons.hpp"

namespace pgweir::server {

namespace {

std::string name_of(const query::Catalog* catalog, query::Oid oid) {
    auto number = std::to_string(oid);
    if (catalog == nullptr) return number;
    const auto at = catalog->relations_by_oid.find(oid);
    if (at == catalog->relations_by_oid.end()) return number;
    for (const auto& [schema, its] : catalog->schemas)
        if (its == at->second->schema) return schema + "." + at->second->name;
    return at->second->name;
}

std::string_view cached(const cache::LedgerRow& row) noexcept {
    if (row.off()) return "sample";
    return row.hits() + row.fills() > 0 ? "yes" : "no";
}

/// Bumps the relation and all that a write to it may change: somebody says that it was written to.
void invalidate(cache::DatabaseState& database, const query::Catalog& catalog,
                const query::Relation& relation, base::Nanos now) {
    database.relation(relation.oid).invalidate(now);
    if (relation.writes_unknown) return database.whole().invalidate(now);
    for (const auto oid : relation.writes_also) {
        const auto at = catalog.relations_by_oid.find(oid);
        if (at == catalog.relations_by_oid.end() || !at->second->writes_also.empty())
            return database.whole().invalidate(now);  // further than it is worth following
        database.relation(oid).invalidate(now);
    }
}

}  // namespace

std::vector<CacheView::Database> CacheView::databases() {
    std::vector<Database> all;
    directory_.for_each_database([&](DatabaseEntry& entry) {
        all.push_back(
            {entry.server, entry.dbname, entry.state, entry.stream_live && entry.tells_ddl});
    });
    return all;
}

std::vector<admin::CacheQueryRow> CacheView::queries() {
    const auto databases = this->databases();
    std::vector<admin::CacheQueryRow> rows;
    for (const auto& row : cache_.ledger().rows()) {
        const auto at = std::find_if(databases.begin(), databases.end(), [&](const Database& d) {
            return d.state->cache_id() == row->database();
        });
        if (at == databases.end()) continue;
        rows.push_back({.fingerprint = row->fingerprint(),
                        .database = at->dbname,
                        .cached = cached(*row),
                        .reason = query::name(row->reason()),
                        .hits = row->hits(),
                        .fills = row->fills(),
                        .stored = row->published(),
                        .passed = row->passed(),
                        .saved = row->saved(),
                        .spent = row->spent()});
    }
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
        return std::tie(b.saved, b.passed, a.fingerprint) <
               std::tie(a.saved, a.passed, b.fingerprint);
    });
    return rows;
}

std::vector<admin::CacheRelationRow> CacheView::relations() {
    std::vector<admin::CacheRelationRow> rows;
    for (const auto& d : databases()) {
        const auto catalog = d.state->catalog();
        const auto add = [&](std::string name, const cache::RelationState& state) {
            // A write by rows raises only what stands for any row of the relation.
            const auto epoch = state.epoch() + state.any_row().epoch();
            if (epoch == 0) return;
            rows.push_back({d.dbname, std::move(name), epoch,
                            state.fence() + state.any_row().fence(), state.changed_by(),
                            state.changed_at()});
        };
        add("(all)", d.state->whole());
        for (const auto& [oid, state] : d.state->known())
            if (state->epoch() != 0 || state->any_row().epoch() != 0)
                add(name_of(catalog.get(), oid), *state);
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a.changed > b.changed; });
    if (rows.size() > kMostRelations) rows.resize(kMostRelations);
    return rows;
}

std::vector<admin::CacheGuaranteeRow> CacheView::guarantees() {
    using admin::WritesTold;
    std::vector<admin::CacheGuaranteeRow> rows;
    for (const auto& d : databases()) {
        const auto& stream = d.state->stream();
        const auto writes = stream.by_notice()        ? WritesTold::by_notices
                            : !stream.on()            ? WritesTold::no
                            : stream.by_publication() ? WritesTold::of_publication
                                                      : WritesTold::of_all;
        rows.push_back({d.dbname, d.server, cache::name(d.state->rung()), writes, d.tells_ddl,
                        d.state->rung_reason()});
    }
    return rows;
}

std::size_t CacheView::invalidate_table(std::span<const std::string> name) {
    const auto now = base::monotonic_now();
    const auto& table = name.back();
    std::size_t count = 0;
    for (const auto& d : databases()) {
        if (name.size() == 3 && d.dbname != name[0]) continue;
        const auto catalog = d.state->catalog();
        if (catalog == nullptr) continue;
        for (const auto& [schema, oid] : catalog->schemas) {
            if (name.size() >= 2 && schema != name[name.size() - 2]) continue;
            const auto relations = catalog->relations.find(oid);
            if (relations == catalog->relations.end()) continue;
            const auto at = relations->second.find(table);
            if (at == relations->second.end()) continue;
            invalidate(*d.state, *catalog, at->second, now);
            ++count;
        }
    }
    return count;
}

void CacheView::invalidate_query(std::uint64_t fingerprint) {
    const auto now = base::monotonic_now();
    for (const auto& d : databases()) d.state->query(fingerprint).invalidate(now);
}

void CacheView::invalidate_all() {
    const auto now = base::monotonic_now();
    for (const auto& d : databases()) d.state->whole().invalidate(now);
    cache_.clear();  // at once, and not when each is looked for
}

}  // namespace pgweir::server
