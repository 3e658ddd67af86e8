// The environment variables of the process, as the configuration loader asks for them.
#pragma once

#include "pgweir/config/loader.hpp"

namespace pgweir::server {

config::Environment process_environment();

}  // namespace pgweir::server
