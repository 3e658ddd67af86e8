// What a table's place in a tree of partitions means for it. Last steps of reading a catalog.
// Thread: pure functions.
#pragma once

#include <unordered_map>

#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

using RelationsByOid = std::unordered_map<query::Oid, query::Relation*>;
/// Of partitions: the table directly above.
using Parents = std::unordered_map<query::Oid, query::Oid>;
/// The tables a publication was given, see sql/published.sql.
struct Published {
    std::unordered_map<query::Oid, bool> partly;  // by table
    bool as_root = false;

    void add(query::Oid table, bool only_partly, bool via_root) {
        partly[table] = only_partly;
        as_root = via_root;
    }
};

/// Sets Relation::published: with a table itself or one above it, unless rows may be left out of
/// any of these, or a partition is published as a table above it: its TRUNCATE is not then. What
/// the partitions below add is conclude_partitions()'s.
void conclude_published(RelationsByOid& relations, const Parents& parents,
                        const Published& published);
/// What a write to a partition may cause, a write to any table above it may cause.
void conclude_partitions(RelationsByOid& relations, const Parents& parents);

}  // namespace pgweir::control
