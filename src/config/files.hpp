// Whole files, read with a bound. Thread: any that may block.
#pragma once

#include <cstddef>
#include <string>

#include "pgweir/base/result.hpp"

namespace pgweir::config {

enum class FileKind : unsigned char {
    any,      // a pipe will do, too
    regular,  // anything else, which might block for ever, is an error
};

/// The content of `path`; an error is what the system said, or that it has more than `limit` bytes.
base::Result<std::string> read_file(const std::string& path, std::size_t limit, FileKind kind);

}  // namespace pgweir::config
