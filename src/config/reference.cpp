// conf/pgweir.yaml and docs/options.md, from the table of options.
#include "pgweir/config/options.hpp"

namespace pgweir::config {

namespace {

std::string shown_default(const Option& o) {
    const bool quotes = o.standard.empty() || o.name == "http.listen";
    return quotes ? "\"" + std::string(o.standard) + "\"" : std::string(o.standard);
}

std::string expectation(const Option& o) {
    std::string text(o.words);
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 3) text.replace(at, 1, " | ");
    return text;
}

/// `text` in lines of comment, each at most 98 columns.
void append_comment(std::string& out, const std::string& indent, std::string_view text) {
    constexpr std::size_t kWidth = 98;
    std::string line = indent + "#";
    while (!text.empty()) {
        const auto space = text.find(' ');
        const auto word = text.substr(0, space);
        if (line.size() + 1 + word.size() > kWidth) {
            out += line + "\n";
            line = indent + "#";
        }
        line += " ";
        line += word;
        text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    }
    out += line + "\n";
}

void append_option(std::string& out, const Option& o, std::string_view name, const std::string& indent) {
    std::string help(o.help);
    if (!o.words.empty() && o.words != "json") help += " (" + expectation(o) + ")";
    if (!o.variable.empty()) help += " Environment: " + std::string(o.variable) + (o.name == "pool.max_size" ? ", DB_POOL_SIZE." : ".");
    if (o.needs_restart) help += " Takes effect after a restart.";
    append_comment(out, indent, help);
    out += indent + std::string(name) + ": " + shown_default(o) + "\n";
}

/// Opens the groups of `name` that are not open yet and gives its last part.
std::string_view open_groups(std::string& out, std::string& open, std::string_view name, const std::string& base) {
    const auto last = name.rfind('.');
    const std::string group(last == std::string_view::npos ? "" : name.substr(0, last));
    if (group != open) {
        std::string shared;
        std::string indent = base;
        std::size_t at = 0;
        while (at < group.size()) {
            auto end = group.find('.', at);
            if (end == std::string::npos) end = group.size();
            const auto whole = group.substr(0, end);
            if (open != whole && !open.starts_with(whole + ".")) {
                if (indent.empty()) out += "\n";
                out += indent + group.substr(at, end - at) + ":\n";
            }
            indent += "  ";
            at = end + 1;
        }
        if (group.empty()) out += "\n";
        open = group;
    }
    return last == std::string_view::npos ? name : name.substr(last + 1);
}

std::string indent_of(std::string_view name, const std::string& base) {
    std::string indent = base;
    for (const char c : name)
        if (c == '.') indent += "  ";
    return indent;
}

}  // namespace

std::string reference_yaml() {
    std::string out =
        "# pgweir: every option with its default. Generated from the table of options; `pgweir\n"
        "# --check-config` says whether a file is good. Durations and sizes need units (30s, 256MiB);\n"
        "# relative paths are relative to this file. ${VAR} and ${VAR:-default} are replaced by\n"
        "# environment variables; $${ is a plain ${. SIGHUP reads the file again: all or nothing.\n";
    std::string open;
    bool databases_done = false;
    for (const auto& o : options()) {
        if (o.name.starts_with("databases.*.")) {
            if (!databases_done) {
                out += "\n# A database under the name clients use; \"*\" is any other name, as the client gave it. Each\n"
                       "# may have its own pool: and control: besides.\ndatabases:\n  \"*\":\n";
                databases_done = true;
                open.clear();
            }
            const auto name = o.name.substr(12);
            const auto last = open_groups(out, open, name, "    ");
            append_option(out, o, last, indent_of(name, "    "));
            continue;
        }
        if (databases_done && open.starts_with("tls")) open.clear();
        const auto last = open_groups(out, open, o.name, "");
        append_option(out, o, last, indent_of(o.name, ""));
    }
    return out;
}

std::string reference_markdown() {
    std::string out =
        "# Options\n\nGenerated from the table of options. Durations and sizes need units; `${VAR}` and\n"
        "`${VAR:-default}` are replaced; environment variables beat the file (a bare number there is\n"
        "milliseconds, for CACHE_DEFAULT_TTL seconds). `pool.*` and `control.*` may stand in a database, too.\n\n"
        "| option | default | values | environment | reload | what |\n|---|---|---|---|---|---|\n";
    for (const auto& o : options()) {
        auto words = expectation(o);
        for (std::size_t at = 0; (at = words.find('|', at)) != std::string::npos; at += 2) words.replace(at, 1, "\\|");
        out += "| `" + std::string(o.name) + "` | `" + (o.standard.empty() ? "\"\"" : std::string(o.standard)) + "` | " + words +
               " | " + std::string(o.variable) + " | " + (o.needs_restart ? "restart" : "yes") + " | " + std::string(o.help) + " |\n";
    }
    return out;
}

}  // namespace pgweir::config
