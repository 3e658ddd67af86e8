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
    statement,  // SQL; may have lines
    boolean,
    integer,
    fraction,  // 0 to 1
    duration,
    threshold,  // a duration, or off
    size,
    choice,  // one of `words`
    names,   // a list
    path,    // what is written or made; relative ones are relative to the configuration file
    file,    // the same for what is read, so it has to be readable
    secret,  // a file whose content is the value
};

/// A value that has been read: the field of its type is set.
struct OptionValue {
    std::string text;    // text, statement, path, file, secret (the path)
    std::string secret;  // the content
    std::vector<std::string> names;
    std::uint64_t number = 0;  // integer, size; choice: index of the word
    base::Nanos nanos = 0;     // duration, threshold (-1: off)
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
    /// Dotted. "databases.*." begins those that only a database has; those of pool. and control.
    /// may stand in a database, too, and are laid over the global ones there.
    std::string_view name;
    OptionType type;
    std::string_view standard;   // the default as it would be written
    std::string_view variables;  // environment variables that beat the file, the last one all
    bool needs_restart;
    /// choice: words separated by |; integer, duration, threshold, size: "least..most", before it
    /// "auto|" where auto stands for 0.
    std::string_view words;
    std::string_view help;
    void (*set)(const OptionTarget&, const OptionValue&);
    std::string (*get)(const OptionTarget&);
};

std::span<const Option> options();

/// The name of an option where it is written: at the top of the file, or inside one database.
/// Empty: it does not belong there.
std::string_view local_name(const Option& option, bool in_database) noexcept;

struct ShownOption {
    std::string name;
    std::string value;
    std::string default_value;
    bool changeable;  // by a reload
};
/// For SHOW CONFIG; secrets are shown as the path of their file. A database shows its host and port
/// and whatever else differs from what it would have had without being given.
std::vector<ShownOption> shown_options(const Config& config);

/// The texts of conf/pgweir.yaml and docs/options.md.
std::string reference_yaml();
std::string reference_markdown();

}  // namespace pgweir::config
