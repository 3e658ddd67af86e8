// The table of options: every name, its type, default, environment variable and help, once. Parser,
// defaults, SHOW CONFIG, the commented reference in conf/ and docs/options.md come from it.
// Thread: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/config/config.hpp"

namespace pgweir::config {

enum class OptionType : std::uint8_t {
    text,
    boolean,
    integer,
    fraction,   // 0 to 1
    duration,
    threshold,  // a duration, or off
    size,
    choice,     // one of `words`
    names,      // a list
    path,       // relative ones are relative to the configuration file
    secret,     // a path whose content is the value
};

/// A value that has been read: the field of its type is set.
struct OptionValue {
    std::string text;           // text, choice, path, secret (the path)
    std::string secret;         // the content
    std::vector<std::string> names;
    std::uint64_t number = 0;   // integer, size; choice: index of the word
    base::Nanos nanos = 0;      // duration, threshold (-1: off)
    double fraction = 0;
    bool flag = false;
};

/// What a name is set on: the file's top level, or one database.
struct OptionTarget {
    Config* config = nullptr;
    Database* database = nullptr;
    PoolSettings* pool = nullptr;
    Credentials* control = nullptr;
};

struct Option {
    std::string_view name;     // dotted; "databases.*." for those of a database
    OptionType type;
    std::string_view standard;  // the default as it would be written
    std::string_view variable;  // environment variable that beats the file; "" none
    bool needs_restart;
    std::string_view words;     // choice: separated by |; integer: "min..max", or "auto|min..max"
    std::string_view help;
    void (*set)(OptionTarget&, const OptionValue&);
    std::string (*get)(const OptionTarget&);
};

std::span<const Option> options();
/// The option of a dotted name as written in a file ("databases.app.pool.mode" finds "pool.mode").
const Option* find_option(std::string_view name);

struct ShownOption {
    std::string name;
    std::string value;
    std::string default_value;
    bool changeable;
};
/// For SHOW CONFIG; secrets are shown as the path of their file.
std::vector<ShownOption> shown_options(const Config& config);

/// conf/pgweir.yaml and docs/options.md.
std::string reference_yaml();
std::string reference_markdown();

}  // namespace pgweir::config
