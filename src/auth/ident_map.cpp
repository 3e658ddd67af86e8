// See ident_map.hpp.
#include "pgweir/auth/ident_map.hpp"

#include <regex.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "pgweir/base/log.hpp"
#include "rule_lines.hpp"

namespace pgweir::auth {

namespace {
constexpr std::size_t kMaxName = 256;
constexpr std::size_t kMaxExpression = 1024;
constexpr std::size_t kMaxWeight = 1000;  // see weight_of()

struct Expression {
    regex_t compiled{};
    bool ok = false;
    ~Expression() {
        if (ok) regfree(&compiled);
    }
};
}  // namespace

namespace {

/// Past a bracket expression that begins at `at`.
std::size_t past_bracket(std::string_view text, std::size_t at) noexcept {
    ++at;
    if (at < text.size() && text[at] == '^') ++at;
    if (at < text.size() && text[at] == ']') ++at;
    while (at < text.size() && text[at] != ']') {
        const char kind = at + 1 < text.size() ? text[at + 1] : '\0';
        if (text[at] == '[' && (kind == ':' || kind == '.' || kind == '=')) {
            const char end[] = {kind, ']'};
            const auto found = text.find(std::string_view(end, 2), at + 2);
            if (found == std::string_view::npos) return text.size();
            at = found + 1;
        }
        ++at;
    }
    return std::min(at + 1, text.size());
}

/// The larger number of {n}, {n,} or {n,m} at `at`, which is left behind it.
std::size_t count_at(std::string_view text, std::size_t& at) noexcept {
    std::size_t most = 1, number = 0;
    for (++at; at < text.size() && text[at] != '}'; ++at) {
        const bool digit = text[at] >= '0' && text[at] <= '9';
        number =
            digit ? std::min<std::size_t>(number * 10 + std::size_t(text[at] - '0'), 100'000) : 0;
        most = std::max(most, number);
    }
    return most;
}

/// How many single characters an expression is with its counts written out, which is what matching
/// costs per character of a name; beyond kMaxWeight it is not told exactly. What the library may
/// take any time for weighs too much: references back (\1), a repetition of a repetition (a+?), a
/// parenthesis without the other one.
std::size_t weight_of(std::string_view text) {
    constexpr std::size_t kTooMuch = kMaxWeight + 1;
    std::vector<std::size_t> groups{0};
    std::size_t last = 0;  // weight of what a count would repeat
    bool counted = false;
    for (std::size_t at = 0; at < text.size() && groups.back() <= kMaxWeight; ++at) {
        const char c = text[at];
        const bool counts = c == '{' || c == '*' || c == '+' || c == '?';
        if (counts && std::exchange(counted, true)) return kTooMuch;
        if (counts) {
            // a+ is made of an a and of any number of them.
            const auto count = c == '{' ? count_at(text, at) : c == '+' ? 2 : 1;
            groups.back() += last * (count - 1);
            last *= count;
            continue;
        }
        counted = false;
        if (c == '(') {
            groups.push_back(0);
            last = 0;
            continue;
        }
        if (c == ')') {
            if (groups.size() == 1) return kTooMuch;
            last = std::max<std::size_t>(groups.back(), 1);
            groups.pop_back();
            groups.back() += last;
            continue;
        }
        if (c == '[') at = past_bracket(text, at) - 1;
        if (c == '\\' && ++at < text.size() && text[at] >= '1' && text[at] <= '9') return kTooMuch;
        last = 1;
        ++groups.back();
    }
    return *std::max_element(groups.begin(), groups.end());
}

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
            if (weight_of(e.system_name) > kMaxWeight) {
                problem("\"" + base::printable(e.system_name, 80) +
                        "\" could take too long; expected no references back, no repetition "
                        "of a repetition, and counts that make at most 1000 characters of it");
                continue;
            }
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
