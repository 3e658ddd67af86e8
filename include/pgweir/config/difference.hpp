// What changed between two configurations, in words for the log. Thread: pure.
#pragma once

#include <string>
#include <vector>

#include "pgweir/config/config.hpp"

namespace pgweir::config {

struct Difference {
    std::string text;  // "pool.max_size: 20 -> 30"; secrets only as "changed"
    bool needs_restart = false;
};

/// In the order of the table of options, then databases by name. What a database only inherits is
/// told once, for the setting it inherits.
std::vector<Difference> differences(const Config& old, const Config& now);

}  // namespace pgweir::config
