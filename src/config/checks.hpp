// What single values cannot say: settings that do not fit each other. Thread: pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "pgweir/config/config.hpp"
#include "problems.hpp"

namespace pgweir::config {

/// Where an option was given; line 0 when it was not.
struct Source {
    Position at;
    std::string written;  // as in the file, where it has a reference to the environment; else empty
};
/// The source of an option by its local name.
using Where = std::function<Source(std::string_view name)>;

void check_global(const Config& config, const Where& where, Problems& problems);
void check_database(const Config& config, const Database& database, const Where& where,
                    Problems& problems);

}  // namespace pgweir::config
