// A plan as EXPLAIN (VERBOSE, FORMAT JSON) gives it, made fit for people and logs, and what it says
// against the query or the schema. Invariant: no constant of the statement is in any text; what
// does not prove itself is not found fault with. Thread: pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/control/relation_facts.hpp"
#include "pgweir/metrics/slow_query.hpp"

namespace pgweir::admin {

/// A scan that reads a whole table, or a whole index of it.
struct PlanScan {
    std::string schema, relation, alias, filter;  // the filter as the server writes it
    double rows = 0;                              // it is expected to give, of all processes
    std::string index = {};                       // that is read whole; empty: the table is
};

struct Plan {
    std::string text;         // lines of a tree, as psql shows it
    std::uint64_t shape = 0;  // the same for the same plan with other costs and constants
    std::vector<PlanScan> scans;
    std::vector<metrics::PlanNote> notes;
};
using PlanPtr = std::shared_ptr<const Plan>;

/// Null: it is none that is understood.
std::shared_ptr<Plan> read_plan_json(std::string_view json);
/// What is to be noted of each scan, by what is known of the relations. `statement` as the client
/// wrote it. Rules: sequential_scan, function_on_column, implicit_cast.
std::vector<metrics::PlanNote> plan_notes(const Plan& plan,
                                          const std::vector<control::RelationFacts>& relations,
                                          std::string_view statement);

/// Notes as lines, and read back.
std::string notes_text(const std::vector<metrics::PlanNote>& notes);
std::vector<metrics::PlanNote> read_notes(std::string_view text);

}  // namespace pgweir::admin
