// Statements by clients: no text makes the judgement crash, and what is not understood is not
// cached.
#include "pgweir/query/verdict.hpp"
#include "target.hpp"

using namespace pgweir;
using fuzz::must;

FUZZ_TARGET(sql) {
    if (input.size() > 16 * 1024) return;
    const auto verdict = query::judge(input, {});
    must(verdict != nullptr, "there is always a verdict");
    must(verdict->not_cached != query::NotCached::none, "nothing is cached without a catalog");
    must(query::fingerprint(input) == query::fingerprint(input), "a fingerprint is stable");
}
