// Targets for reading values out of a configuration through the table. Thread: pure.
#pragma once

#include "pgweir/config/options.hpp"

namespace pgweir::config {

/// For Option::get only, which never writes; set has the same target type, hence the casts.
inline OptionTarget read_only(const Config& config) noexcept {
    auto& c = const_cast<Config&>(config);
    return {&c, nullptr, &c.pool, &c.control};
}

inline OptionTarget read_only(const Config& config, const Database& database) noexcept {
    auto& d = const_cast<Database&>(database);
    return {&const_cast<Config&>(config), &d, &d.pool, &d.control};
}

}  // namespace pgweir::config
