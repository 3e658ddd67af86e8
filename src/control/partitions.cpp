// See partitions.hpp.
#include "partitions.hpp"

#include "catalog_text.hpp"
#include "pgweir/base/plants.hpp"
#include "write_sets.hpp"

namespace pgweir::control {

void conclude_published(RelationsByOid& relations, const Parents& parents,
                        const Published& published) {
    if (published.partly.empty()) return;
    for (auto& [oid, relation] : relations) {
        bool given = base::planted(base::Plant::unpublished_covered);
        bool partly = published.as_root && relation->kind == 'p';
        for (auto at = oid; at != 0;) {
            if (const auto found = published.partly.find(at); found != published.partly.end()) {
                given = true;
                partly = partly || found->second || (published.as_root && at != oid);
            }
            const auto above = parents.find(at);
            at = above == parents.end() ? 0 : above->second;
        }
        relation->published = given && !partly;
    }
}

void conclude_partitions(RelationsByOid& relations, const Parents& parents) {
    for (const auto& [oid, first] : parents) {
        const auto& part = *relations.at(oid);
        const bool odd = part.kind == 'f' || part.persistence != 'p';
        for (auto at = parents.find(oid); at != parents.end(); at = parents.find(at->second)) {
            const auto above = relations.find(at->second);
            if (above == relations.end()) break;
            auto& upper = *above->second;
            upper.odd_partitions = upper.odd_partitions || odd;
            upper.tells_writes = upper.tells_writes && part.tells_writes;
            upper.published = upper.published && part.published;
            upper.has_user_triggers = upper.has_user_triggers || part.has_user_triggers;
            upper.writing_sequences |= part.writing_sequences;
            upper.writes_unknown = upper.writes_unknown || part.writes_unknown;
            add_unique(upper.writes_also, part.writes_also);
            add_unique(upper.truncates_also, part.truncates_also);
            if (upper.writes_also.size() > WriteSets::kMostRelations) upper.writes_unknown = true;
        }
    }
    if (base::planted(base::Plant::child_only)) return;
    for (const auto& [part, parent] : parents) {
        relations.at(part)->reads_also.push_back(parent);
        relations.at(part)->writes_also.push_back(parent);
    }
}

}  // namespace pgweir::control
