// A short run of the leak checker: hundreds of clients of different settings, roles and objects on
// four server connections see only their own. Long runs, and runs with planted bugs that have to be
// found: scripts/leak.
#include <doctest/doctest.h>

#include "leak/run.hpp"

TEST_CASE(
    "hundreds of clients on four server connections never see anything of another's (S29, S30)") {
    const auto r = pgweir::leak::run({.seconds = 5, .queries = 3000, .seed = 11});
    INFO(r.answers, " answers, ", r.ended, " ended, ", r.canceled, " canceled, ", r.left, " left");
    for (const auto& line : r.breaches) FAIL_CHECK(line);
    CHECK(r.invalid == "");
}
