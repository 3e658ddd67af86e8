// Reads the stored query of a view, PostgreSQL's node tree as text, for what its result depends on.
// Default: a node, field or type that is not known makes the query unproven, so a later server's
// grammar costs hits and nothing else. Linear time, no recursion. Thread: pure function. Source:
// src/backend/nodes/outfuncs.c of PostgreSQL 13 to 18.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

struct ViewQuery {
    /// Its functions and operators are constant (or depend on settings alone), its types plain, and
    /// it neither locks rows nor reads system catalogs, system columns, time or identity.
    bool proven = false;
    std::vector<query::Oid> relations;  // that it names, with repetitions
};

struct ViewKnowledge {
    std::function<bool(query::Oid)> constant_function;
    std::function<bool(query::Oid)> constant_operator;  // by its function
    std::function<bool(query::Oid)> plain_type;
};

ViewQuery scan_view_query(std::string_view tree, const ViewKnowledge& known);

}  // namespace pgweir::control
