// What the server says of a relation that a plan reads, for advice on it. Thread: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgweir::control {

struct IndexFacts {
    std::string name;
    std::string first_column;  // empty: an expression
};
struct ColumnFacts {
    std::string name, type;
};
struct RelationFacts {
    std::string schema, name;
    double rows = 0;          // as the server estimates
    std::uint64_t bytes = 0;  // of the table without its indexes
    bool ordinary = false;    // a table that is no partition
    std::vector<ColumnFacts> columns;
    std::vector<IndexFacts> indexes;
};

}  // namespace pgweir::control
