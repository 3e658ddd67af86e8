// One value of the file or the environment, from text to what its option's type says. Reads text
// strictly, because YAML 1.1's own notions (on, 010, 0x10) surprise people.
// Thread: the one that loads; files of secrets are read.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "pgweir/config/loader.hpp"
#include "pgweir/config/options.hpp"

namespace pgweir::config {

/// Puts the environment's values in place of ${NAME} and ${NAME:-default} (where it is not set or
/// empty), and ${ in place of $${. What is put in is not looked at again. An error as below.
std::optional<std::string> interpolate(std::string& text, const Environment& environment);

/// Reads `text`; an error as "what; what was expected". `bare_unit` is the unit of a number without
/// one ("ms", "s"), for environment variables; empty: a unit is required. `directory` is where
/// relative paths start; empty: where the program does. `written` is what errors call the value;
/// empty: itself. It is given where the environment had a part in the value, which may be a secret
/// then.
std::optional<std::string> read_value(const Option& option, std::string_view text,
                                      std::string_view bare_unit, const std::string& directory,
                                      OptionValue& value, std::string_view written = {});

/// Letters to put in, take out, change or swap with their neighbour to come from `a` to `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace pgweir::config
