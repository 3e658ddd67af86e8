// What single values cannot say: settings that do not fit each other. Thread: pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "pgweir/config/config.hpp"
#include "problems.hpp"

namespace pgweir::config {

/// Where an option was given, by its local name; line 0 when it was not.
using Where = std::function<Position(std::string_view name)>;

void check_global(const Config& config, const Where& where, Problems& problems);
void check_database(const Config& config, const Database& database, const Where& where,
                    Problems& problems);

}  // namespace pgweir::config
