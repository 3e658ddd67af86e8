// One value of the file, from text to what its option's type says. Reads text strictly, because YAML
// 1.1's own notions (on, 010, 0x10) surprise people.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pgweir/config/loader.hpp"
#include "pgweir/config/options.hpp"

namespace pgweir::config {

/// ${NAME}, ${NAME:-default}, and $${ for a plain ${. An error text for what is not defined.
std::optional<std::string> interpolate(std::string& text, const Environment& env);

/// Reads `text`; an error as "what; what was expected". `bare_unit` is the unit of a number without
/// one ("ms", "s"), for environment variables; empty: a unit is required. `directory` is where
/// relative paths start.
std::optional<std::string> read_value(const Option& option, std::string_view text, std::string_view bare_unit,
                                      const std::string& directory, OptionValue& value);

std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace pgweir::config
