// What a change of a relation's rows means for the epochs of a database.
// Thread: the streams' thread.
#pragma once

#include <vector>

#include "pgweir/cache/epochs.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

/// Adds the states of `relation` and of those that stand for it in a reader's dependencies, or for
/// which it stands: the tables above a partition, the children of an inheritance parent. False: too
/// many, or not all are known.
bool add_with_parents(const query::Catalog& catalog, const query::Relation& relation,
                      cache::DatabaseState& database, std::vector<cache::State*>& states);

}  // namespace pgweir::control
