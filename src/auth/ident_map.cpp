// See ident_map.hpp.
#include "pgweir/auth/ident_map.hpp"

#include <regex.h>

#include <algorithm>

#include "pgweir/base/log.hpp"
#include "rule_lines.hpp"

namespace pgweir::auth {

namespace {
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxExpression = 1024;

struct Expression {
    regex_t compiled{};
    bool ok = false;
    ~Expression() {
        if (ok) regfree(&compiled);
    }
};
}  // namespace

struct IdentMap::Entry {
    std::string map, system_name, user;
    bool any_user = false;
    std::unique_ptr<Expression> expression;  // none: the name itself

    bool fits(const std::string& name, std::string_view wanted) const {
        if (expression == nullptr) return name == system_name && (any_user || wanted == user);
        if (name.size() > kMaxName || name.find('\0') != std::string::npos) return false;
        regmatch_t groups[2]{};
        if (regexec(&expression->compiled, name.c_str(), 2, groups, 0) != 0) return false;
        const auto at = user.find("\\1");
        if (any_user || at == std::string::npos) return any_user || wanted == user;
        if (groups[1].rm_so < 0) return false;
        std::string named = user;
        named.replace(at, 2, name, static_cast<std::size_t>(groups[1].rm_so),
                      static_cast<std::size_t>(groups[1].rm_eo - groups[1].rm_so));
        return wanted == named;
    }
};

IdentMap::IdentMap() = default;
IdentMap::~IdentMap() = default;

IdentLoad IdentMap::parse(std::string_view text, const std::string& file) {
    auto split = split_rule_lines(text, file, read_rule_file);
    IdentLoad out;
    out.errors = std::move(split.errors);
    auto made = std::make_shared<IdentMap>();
    for (const auto& line : split.lines) {
        const auto problem = [&](const std::string& what) {
            auto& error = out.errors.emplace_back(file);
            error.append(":").append(std::to_string(line.number)).append(": ").append(what);
        };
        const bool single = std::all_of(line.fields.begin(), line.fields.end(),
                                        [](const RuleField& f) { return f.size() == 1; });
        if (line.fields.size() != 3 || !single) {
            problem("expected three names: map, system name, user");
            continue;
        }
        Entry e;
        e.map = line.fields[0][0].text;
        e.system_name = line.fields[1][0].text;
        e.user = line.fields[2][0].text;
        e.any_user = e.user == "all" && !line.fields[2][0].quoted;
        if (e.system_name.starts_with('/')) {
            e.expression = std::make_unique<Expression>();
            const bool fits = e.system_name.size() <= kMaxExpression;
            e.expression->ok = fits && regcomp(&e.expression->compiled, e.system_name.c_str() + 1,
                                               REG_EXTENDED) == 0;
            if (!e.expression->ok) {
                problem("\"" + base::printable(e.system_name, 80) +
                        "\" is no regular expression (POSIX extended)");
                continue;
            }
            if (e.user.find("\\1") != std::string::npos && e.expression->compiled.re_nsub == 0) {
                problem("\\1 in the user, but the expression has no group in parentheses");
                continue;
            }
        }
        made->entries_.push_back(std::move(e));
    }
    if (out.errors.empty()) out.map = std::move(made);
    return out;
}

IdentLoad IdentMap::load(const std::string& path) {
    const auto text = read_rule_file(path);
    if (!text) return {nullptr, {path + ": " + text.error()}};
    return parse(*text, path);
}

bool IdentMap::allows(std::string_view map, const std::string& system_name,
                      std::string_view user) const {
    return std::any_of(entries_.begin(), entries_.end(),
                       [&](const Entry& e) { return e.map == map && e.fits(system_name, user); });
}

bool IdentMap::has(std::string_view map) const noexcept {
    return std::any_of(entries_.begin(), entries_.end(),
                       [&](const Entry& e) { return e.map == map; });
}

bool ident_allows(const IdentMap* maps, std::string_view map, const std::string& system_name,
                  std::string_view user) {
    if (system_name.empty()) return false;
    if (map.empty()) return system_name == user;
    return maps != nullptr && maps->allows(map, system_name, user);
}

}  // namespace pgweir::auth
