// Advice on queries, each from one rule of a table: what is wrong, the evidence, and what to do.
// Invariant: a rule that cannot see what it needs is silent, because a wrong advice is worse than
// none. Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/admin/query_stats.hpp"

namespace pgweir::admin {

struct Advice {
    std::string_view rule;  // static
    std::uint64_t fingerprint = 0;
    std::string evidence;
    std::string advice;
    std::uint64_t time_us = 0;  // what the query has cost so far: the most that could be saved
    std::string query;
};

/// The dearest first.
std::vector<Advice> advise(const std::vector<QueryRow>& rows);

struct AdviceRule {
    std::string_view name;
    std::string_view fires;   // when
    std::string_view silent;  // when not
    /// True: it fires, and evidence and advice are set.
    bool (*look)(const QueryRow& row, const std::vector<QueryRow>& all, Advice& advice);
};
const std::vector<AdviceRule>& advice_rules();

}  // namespace pgweir::admin
