// Notices that a file with a secret was renewed: passwords, tokens, users, certificates and keys.
// Rules and name maps are not among them: who edits those says when they are ready (SIGHUP).
// Thread: any that may block; a value.
#pragma once

#include <string>

#include "pgweir/config/config.hpp"

namespace pgweir::server {

/// Another text when one of the files was written, replaced or removed.
std::string secret_files_stamp(const config::Config& config);
/// The same for the configuration file itself.
std::string config_file_stamp(const config::Config& config);

}  // namespace pgweir::server
