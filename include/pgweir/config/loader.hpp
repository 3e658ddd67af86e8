// Reads the configuration file: all errors in one run, each as file:line:column: what; what was
// expected. Nothing of a file with an error is used. yaml-cpp is seen in yaml_tree.cpp only.
// Thread: any that may block, since the file and the files it names are read. Errors: in the
// result; nothing is thrown.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pgweir/config/config.hpp"

namespace pgweir::config {

/// The value of an environment variable; nothing: not set. An empty one counts as not set, too,
/// but in ${NAME}.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct LoadResult {
    ConfigPtr config;                 // null exactly when there are errors
    std::vector<std::string> errors;  // in the file's order
};

/// An empty file name: the defaults, every database from 127.0.0.1:5432, slow log to standard
/// error.
LoadResult load_config(const std::string& file, const Environment& env);
/// The same for text at hand; `file` names it in errors and is where relative paths start.
LoadResult parse_config(const std::string& text, const std::string& file, const Environment& env);

}  // namespace pgweir::config
