// See difference.hpp.
#include "pgweir/config/difference.hpp"

#include <map>

#include "pgweir/config/options.hpp"

namespace pgweir::config {

namespace {

void compare_secret(std::vector<Difference>& out, const std::string& name, const Credentials& a, const Credentials& b) {
    if (a.password != b.password && a.password_file == b.password_file) out.push_back({name + ": changed", false});
}

}  // namespace

std::vector<Difference> differences(const Config& old, const Config& now) {
    std::vector<Difference> out;
    std::map<std::string, ShownOption> before;
    for (auto& o : shown_options(old)) before.emplace(o.name, std::move(o));
    for (const auto& o : shown_options(now)) {
        const auto it = before.find(o.name);
        if (it == before.end()) continue;
        if (it->second.value != o.value)
            out.push_back({o.name + ": " + it->second.value + " -> " + o.value, !o.changeable});
    }
    compare_secret(out, "control.password_file", old.control, now.control);
    for (const auto& d : now.databases) {
        const auto* was = old.find_database(d.name);
        if (was == nullptr || was->name != d.name) {
            out.push_back({"databases." + d.name + ": added", false});
            continue;
        }
        compare_secret(out, "databases." + d.name + ".password_file", was->login, d.login);
        compare_secret(out, "databases." + d.name + ".control.password_file", was->control, d.control);
    }
    for (const auto& d : old.databases) {
        const auto* is = now.find_database(d.name);
        if (is == nullptr || is->name != d.name) out.push_back({"databases." + d.name + ": removed", false});
    }
    return out;
}

}  // namespace pgweir::config
