// See closure.hpp. Sets are small, so a vector is searched.
#include "closure.hpp"

#include <algorithm>

#include "pgweir/base/plants.hpp"

namespace pgweir::query {

namespace {

/// False when the set grows too large or a relation is not known.
bool follow(const Catalog& catalog, const std::vector<Oid>& links, std::size_t most,
            std::vector<const Relation*>& set) {
    for (const Oid oid : links) {
        const auto known = catalog.relations_by_oid.find(oid);
        if (known == catalog.relations_by_oid.end()) return false;
        if (std::find(set.begin(), set.end(), known->second) != set.end()) continue;
        if (set.size() == most) return false;
        set.push_back(known->second);
    }
    return true;
}

}  // namespace

std::vector<const Relation*> closure(const Catalog& catalog, const Relation& from, Link link,
                                     std::size_t most) {
    std::vector<const Relation*> set{&from};
    if (link == Link::writes && base::planted(base::Plant::no_cascade)) return set;
    if (from.kind == 'v' && base::planted(base::Plant::no_view_dependency)) return set;
    for (std::size_t i = 0; i < set.size(); ++i) {
        const Relation& r = *set[i];
        if (!follow(catalog, link == Link::reads ? r.reads_also : r.writes_also, most, set))
            return {};
        if (link == Link::truncates && !follow(catalog, r.truncates_also, most, set)) return {};
    }
    return set;
}

}  // namespace pgweir::query
