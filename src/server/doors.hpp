// Reads everything that decides who may come in: certificates, users, rules, name maps; and looks
// whether they agree with each other. Thread: any that may block. Errors: all in one run; nothing
// of what was read is used when there is one.
#pragma once

#include <string>
#include <vector>

#include "pgweir/config/config.hpp"
#include "pgweir/session/client_connection.hpp"

namespace pgweir::server {

struct DoorsLoad {
    session::DoorsPtr doors;  // null exactly when there are errors
    std::vector<std::string> errors;
};

/// What was derived from unchanged passwords is taken over from `before`.
DoorsLoad load_doors(const config::Config& config, const session::Doors* before);

}  // namespace pgweir::server
