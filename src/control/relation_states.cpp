// See relation_states.hpp.
#include "relation_states.hpp"

#include <algorithm>

namespace pgweir::control {

bool add_with_parents(const query::Catalog& catalog, const query::Relation& relation,
                      cache::DatabaseState& database, std::vector<cache::State*>& states) {
    std::vector<const query::Relation*> set{&relation};
    for (std::size_t i = 0; i < set.size(); ++i) {
        for (const auto oid : set[i]->reads_also) {
            const auto found = catalog.relations_by_oid.find(oid);
            if (found == catalog.relations_by_oid.end() || set.size() > 64) return false;
            if (std::find(set.begin(), set.end(), found->second) == set.end())
                set.push_back(found->second);
        }
    }
    for (const auto* r : set) states.push_back(&database.relation(r->oid));
    return true;
}

}  // namespace pgweir::control
