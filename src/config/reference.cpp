// conf/pgweir.yaml and docs/options.md, from the table of options. A test fails when the files
// differ from what is written here. Thread: pure.
#include "pgweir/config/options.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kColumns = 100;

constexpr std::string_view kIntroduction =
    R"(# pgweir: every option with its default. Generated from the table of options; what is not
# needed may be left out. "pgweir --check-config --config FILE" says whether a file is good.
#
# Durations and sizes need a unit: us, ms, s, min, h, d; B, kB, MB, GB, TB (or KiB, MiB, GiB, TiB),
# all powers of 1024. Relative paths are relative to the folder of this file. In values, ${NAME} and
# ${NAME:-default} are replaced by environment variables; $${ is a plain ${. Where an environment
# variable is named below it beats this file; a bare number in it is milliseconds, in
# CACHE_DEFAULT_TTL seconds. SIGHUP reads the file again: all of it, or nothing if it has an error.
)";

constexpr std::string_view kDatabases =
    R"(
# The databases, by the name clients use; "*" is any other name, as the client gave it. One that
# names a user has its min_size connections from the start. Each may have its own pool and control,
# whose options are laid over those below, for example:
#   app:
#     host: 10.0.0.5
#     dbname: app_production
#     user: app
#     password_file: /run/secrets/app
#     pool: {mode: session, max_size: 10}
#     control: {user: pgweir, password_file: /run/secrets/control}
)";

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
    std::string out(text);
    for (auto at = out.find(what); at != std::string::npos; at = out.find(what, at + by.size()))
        out.replace(at, what.size(), by);
    return out;
}

std::string standard_yaml(const Option& o) {
    const bool quotes = o.standard.empty() || o.standard.find(':') != std::string_view::npos;
    return quotes ? "\"" + std::string(o.standard) + "\"" : std::string(o.standard);
}

std::string_view type_name(OptionType type) {
    switch (type) {
        case OptionType::text: return "text";
        case OptionType::statement: return "SQL";
        case OptionType::boolean: return "true, false";
        case OptionType::integer: return "number";
        case OptionType::fraction: return "0 to 1";
        case OptionType::duration: return "duration";
        case OptionType::threshold: return "off, duration";
        case OptionType::size: return "size";
        case OptionType::choice: return "";
        case OptionType::names: return "list of names";
        case OptionType::path:
        case OptionType::file:
        case OptionType::secret: return "path";
    }
    return "";
}

/// "auto, number 1 to 64", "duration 0 to 365d", "session, transaction, statement".
std::string values(const Option& o) {
    constexpr std::string_view kAuto = "auto|";
    auto words = o.words;
    std::string out;
    if (words.starts_with(kAuto)) {
        out = "auto, ";
        words.remove_prefix(kAuto.size());
    }
    out += type_name(o.type);
    if (!words.empty() && o.type != OptionType::choice) out += " ";
    return out + replaced(replaced(words, "|", ", "), "..", " to ");
}

/// `text` as lines of comment.
void append_comment(std::string& out, const std::string& indent, std::string_view text) {
    auto line = indent + "#";
    while (!text.empty()) {
        const auto space = text.find(' ');
        const auto word = text.substr(0, space);
        if (line.size() + 1 + word.size() > kColumns) {
            out += line + "\n";
            line = indent + "#";
        }
        line += " ";
        line += word;
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    out += line + "\n";
}

std::string explained(const Option& o) {
    auto text = std::string(o.help) + " [" + values(o) + "]";
    if (!o.variables.empty()) text += " Environment: " + replaced(o.variables, " ", ", ") + ".";
    if (o.needs_restart) text += " Takes effect after a restart.";
    return text;
}

class YamlWriter {
  public:
    void add(const Option& o) {
        auto rest = o.name;
        std::string path, indent;
        for (auto dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
            const auto group = rest.substr(0, dot);
            rest.remove_prefix(dot + 1);
            path += std::string(group) + ".";
            if (!open_.starts_with(path)) begin(group, indent);
            indent += "  ";
        }
        if (path.empty()) out_ += "\n";
        open_ = path;
        append_comment(out_, indent, explained(o));
        out_ += indent + std::string(rest) + ": " + standard_yaml(o) + "\n";
    }
    std::string take() { return std::move(out_); }

  private:
    void begin(std::string_view group, const std::string& indent) {
        if (indent.empty()) out_ += group == "databases" ? kDatabases : "\n";
        out_ += indent + (group == "*" ? "\"*\"" : std::string(group)) + ":\n";
    }

    std::string out_{kIntroduction};
    std::string open_;  // the group of the last option, with a dot at its end
};

}  // namespace

std::string reference_yaml() {
    YamlWriter writer;
    for (const auto& o : options()) writer.add(o);
    return writer.take();
}

std::string reference_markdown() {
    std::string out =
        R"(# Options

One YAML file; `conf/pgweir.yaml` has every option with its default and its explanation. This page
is generated from the same table; a test fails when they differ.

- Durations and sizes need a unit: `us ms s min h d`, `B kB MB GB TB` or `KiB MiB GiB TiB`, all
  powers of 1024. `0` needs none.
- Relative paths are relative to the folder of the configuration file. A `*_file` has to be readable
  when the configuration is loaded; the newline at the end of a secret is dropped.
  `env:NAME` in the place of a secret's file takes it from that environment variable.
- In values, `${NAME}` and `${NAME:-default}` are replaced by environment variables; `$${` is `${`.
  Errors show the reference, never what replaced it.
- An environment variable named here beats the file, also what a database says of its own pool. A
  bare number in it is milliseconds, in `CACHE_DEFAULT_TTL` seconds. An empty one counts as not set.
- Options of `pool` and `control` may also stand in a database and are laid over the global ones.
  `pool.min_size` follows a smaller `pool.max_size` that is given more specifically.
- An alias (`*name`) may stand for a whole value; merge keys (`<<`), tags and a second document are
  errors, and so is a name that is given twice.
- SIGHUP and `RELOAD` read the file again: all of it, or nothing when it has an error. What needs a
  restart keeps its old value until then.

| option | default | values | environment | reload | meaning |
|---|---|---|---|---|---|
)";
    for (const auto& o : options()) {
        const auto name = replaced(o.name, ".*.", ".<name>.");
        const auto variables =
            o.variables.empty() ? "" : "`" + replaced(o.variables, " ", "` `") + "`";
        out.append("| `").append(name).append("` | `");
        out.append(o.standard.empty() ? "\"\"" : o.standard).append("` | ");
        out.append(values(o)).append(" | ").append(variables).append(" | ");
        out.append(o.needs_restart ? "restart" : "yes").append(" | ");
        out.append(replaced(o.help, "<", "&lt;")).append(" |\n");
    }
    return out;
}

}  // namespace pgweir::config
