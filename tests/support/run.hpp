// Running commands (psql, pgbench, pg_dump) from tests: see run() in process.hpp, and here where
// PostgreSQL's own programs are. Thread: any.
#pragma once

#include <string>

#include "support/process.hpp"

namespace pgweir::testing {

/// Path of a program of the newest PostgreSQL installed. Throws std::runtime_error when there is
/// none.
std::string postgres_program(const std::string& name);

}  // namespace pgweir::testing
