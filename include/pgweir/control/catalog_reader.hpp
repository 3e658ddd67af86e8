// Reads one database's catalog into a query::Catalog: a few statements in one REPEATABLE READ READ
// ONLY transaction, rows taken one at a time. Invariant: what could not be proven harmless is left
// at the cautious value. Thread: the control thread, or any one that owns the connection.
#pragma once

#include <cstdint>
#include <string>

#include "pgweir/base/result.hpp"
#include "pgweir/control/connection.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::control {

struct ReadLimits {
    std::uint32_t relations = 200'000;  // more are refused: the error says so
    std::uint32_t functions = 200'000;
    std::uint32_t body_bytes = 256 * 1024;  // a longer function body is taken for harmful
    base::Nanos time = 60 * base::kSecond;  // for the whole read
};

/// Everything a statement's judgement needs. `version` is copied into the result. `publication`:
/// the one a change stream is to show; empty: none. `fingerprint` is given what
/// catalog_fingerprint() says of the very snapshot that is read.
base::Result<query::CatalogPtr> read_catalog(Connection& connection, std::uint64_t version,
                                             const ReadLimits& limits = {},
                                             const std::string& publication = {},
                                             std::string* fingerprint = nullptr);

/// A short text that differs after any committed DDL, GRANT, REVOKE, ALTER ROLE or REFRESH (not
/// CONCURRENTLY) in this database, and stays through DML, TRUNCATE, ANALYZE, VACUUM, CLUSTER, plain
/// indexes and temporary objects. A change that is undone before the next look leaves no trace (a
/// table made and dropped, a name changed and changed back). A different text need not mean a
/// different catalog. Cost at the server: about 12 ms for each 1,000 tables of 8 columns.
/// With a `publication`, what is done to that is seen, too.
base::Result<std::string> catalog_fingerprint(Connection& connection,
                                              const std::string& publication = {});

}  // namespace pgweir::control
