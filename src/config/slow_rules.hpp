// Thresholds of the slow log for some statements: "database=app, user=joe, 200ms".
// Thread: pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/config/config.hpp"

namespace pgweir::config {

/// Conditions and a duration (or off), separated by commas, each condition once. Nothing: it is not
/// such a text.
std::optional<SlowRule> read_slow_rule(std::string_view text);
/// Those of `texts` that can be read; the others are found by the checks.
std::vector<SlowRule> read_slow_rules(const std::vector<std::string>& texts);

}  // namespace pgweir::config
