// See difference.hpp.
#include "pgweir/config/difference.hpp"

#include <map>

#include "pgweir/base/log.hpp"
#include "pgweir/config/options.hpp"
#include "target.hpp"

namespace pgweir::config {

namespace {

std::string shown(const std::string& value) {
    return value.empty() ? "\"\"" : base::printable(value);
}

void add(std::vector<Difference>& out, const Option& option, const std::string& label,
         const std::string& old, const std::string& now) {
    out.push_back(
        {base::printable(label) + ": " + shown(old) + " -> " + shown(now), option.needs_restart});
}

/// A new password in the file of old; a new file is told by its name.
void compare_secret(std::vector<Difference>& out, const std::string& label, const Credentials& old,
                    const Credentials& now) {
    if (old.password != now.password && old.password_file == now.password_file)
        out.push_back({base::printable(label) + ": changed", false});
}

void compare_global(std::vector<Difference>& out, const Config& old, const Config& now) {
    const auto before = read_only(old);
    const auto after = read_only(now);
    for (const auto& o : options()) {
        const auto name = local_name(o, false);
        if (name.empty()) continue;
        const auto was = o.get(before);
        const auto is = o.get(after);
        if (was != is) add(out, o, std::string(name), was, is);
    }
    compare_secret(out, "control.password_file", old.control, now.control);
    compare_secret(out, "auth.query_password_file", old.auth.query_login, now.auth.query_login);
}

void compare_database(std::vector<Difference>& out, const Config& old, const Config& now,
                      const Database& before, const Database& after) {
    const auto label = "databases." + after.name + ".";
    for (const auto& o : options()) {
        const auto name = local_name(o, true);
        if (name.empty()) continue;
        const auto was = o.get(read_only(old, before));
        const auto is = o.get(read_only(now, after));
        const bool inheritable = name == o.name;
        const bool inherited =
            inheritable && was == o.get(read_only(old)) && is == o.get(read_only(now));
        if (was != is && !inherited) add(out, o, label + std::string(name), was, is);
    }
    compare_secret(out, label + "password_file", before.login, after.login);
    if (after.control.password_file != now.control.password_file)
        compare_secret(out, label + "control.password_file", before.control, after.control);
}

std::map<std::string_view, const Database*> by_name(const Config& config) {
    std::map<std::string_view, const Database*> databases;
    for (const auto& d : config.databases) databases.emplace(d.name, &d);
    return databases;
}

}  // namespace

std::vector<Difference> differences(const Config& old, const Config& now) {
    std::vector<Difference> out;
    compare_global(out, old, now);
    const auto before = by_name(old);
    const auto after = by_name(now);
    for (const auto& [name, d] : after) {
        const auto was = before.find(name);
        if (was != before.end())
            compare_database(out, old, now, *was->second, *d);
        else
            out.push_back({"databases." + base::printable(name) + ": added", false});
    }
    for (const auto& [name, d] : before)
        if (!after.contains(name))
            out.push_back({"databases." + base::printable(name) + ": removed", false});
    return out;
}

}  // namespace pgweir::config
