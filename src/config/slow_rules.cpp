// See slow_rules.hpp.
#include "slow_rules.hpp"

#include <charconv>

#include "pgweir/base/units.hpp"

namespace pgweir::config {

namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

bool set_once(std::string& field, std::string_view value) {
    if (!field.empty() || value.empty()) return false;
    field = value;
    return true;
}

bool read_condition(SlowRule& rule, std::string_view name, std::string_view value) {
    if (name == "database") return set_once(rule.database, value);
    if (name == "user") return set_once(rule.user, value);
    if (name == "application") return set_once(rule.application, value);
    if (name != "fingerprint" || rule.fingerprint || value.size() != 16) return false;
    std::uint64_t number = 0;
    const auto end = value.data() + value.size();
    const auto [at, error] = std::from_chars(value.data(), end, number, 16);
    if (error != std::errc() || at != end) return false;
    rule.fingerprint = number;
    return true;
}

}  // namespace

std::optional<SlowRule> read_slow_rule(std::string_view text) {
    SlowRule rule;
    bool timed = false;
    for (bool more = true; more;) {
        const auto comma = text.find(',');
        const auto part = trimmed(text.substr(0, comma));
        more = comma != std::string_view::npos;
        if (more) text.remove_prefix(comma + 1);
        if (const auto equals = part.find('='); equals != std::string_view::npos) {
            if (!read_condition(rule, trimmed(part.substr(0, equals)),
                                trimmed(part.substr(equals + 1))))
                return std::nullopt;
            continue;
        }
        const auto nanos = base::parse_duration(part);
        if (timed || (!nanos && part != "off")) return std::nullopt;
        timed = true;
        rule.threshold = nanos ? *nanos : -1;
    }
    if (!timed) return std::nullopt;
    return rule;
}

std::vector<SlowRule> read_slow_rules(const std::vector<std::string>& texts) {
    std::vector<SlowRule> rules;
    for (const auto& text : texts)
        if (auto rule = read_slow_rule(text)) rules.push_back(std::move(*rule));
    return rules;
}

}  // namespace pgweir::config
