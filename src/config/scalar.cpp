// See scalar.hpp.
#include "scalar.hpp"

#include <charconv>
#include <fstream>
#include <sstream>

#include "pgweir/base/units.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kMaxSecret = 64 * 1024;

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool read_number(std::string_view text, std::uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::optional<std::string> read_integer(const Option& o, std::string_view text, OptionValue& v) {
    auto range = o.words;
    const bool may_be_auto = range.starts_with("auto|");
    if (may_be_auto) {
        range.remove_prefix(5);
        if (text == "auto") return std::nullopt;  // 0
    }
    const auto dots = range.find("..");
    std::uint64_t low = 0, high = 0;
    read_number(range.substr(0, dots), low);
    read_number(range.substr(dots + 2), high);
    if (read_number(text, v.number) && v.number >= low && v.number <= high) return std::nullopt;
    return quoted(text) + " is out of range; expected " + (may_be_auto ? "auto or " : "") + "a whole number from " +
           std::to_string(low) + " to " + std::to_string(high);
}

std::optional<std::string> read_choice(const Option& o, std::string_view text, OptionValue& v) {
    auto rest = o.words;
    for (std::uint64_t i = 0;; ++i) {
        const auto bar = rest.find('|');
        if (rest.substr(0, bar) == text) {
            v.number = i;
            return std::nullopt;
        }
        if (bar == std::string_view::npos) break;
        rest.remove_prefix(bar + 1);
    }
    std::string words(o.words);
    for (std::size_t at = 0; (at = words.find('|', at)) != std::string::npos; at += 2) words.replace(at, 1, ", ");
    return quoted(text) + " is not known; expected one of " + words;
}

std::optional<std::string> read_secret(OptionValue& v) {
    if (v.text.empty()) return std::nullopt;
    std::ifstream in(v.text, std::ios::binary);
    std::string content(kMaxSecret + 1, '\0');
    if (in) in.read(content.data(), static_cast<std::streamsize>(content.size()));
    if (!in && !in.eof()) return "cannot read " + quoted(v.text) + "; expected a file that holds the secret";
    content.resize(static_cast<std::size_t>(in.gcount()));
    if (content.size() > kMaxSecret) return quoted(v.text) + " is too long; expected a secret of at most 64 KiB";
    if (content.ends_with('\n')) content.pop_back();
    if (content.ends_with('\r')) content.pop_back();
    v.secret = std::move(content);
    return std::nullopt;
}

}  // namespace

std::optional<std::string> interpolate(std::string& text, const Environment& env) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (text.compare(at, 3, "$${") == 0) {
            out += "${";
            at += 3;
            continue;
        }
        if (text.compare(at, 2, "${") != 0) {
            out += text[at++];
            continue;
        }
        const auto end = text.find('}', at);
        if (end == std::string::npos) return "${ without }; expected ${NAME} or ${NAME:-default}";
        const auto inside = text.substr(at + 2, end - at - 2);
        const auto split = inside.find(":-");
        const auto name = inside.substr(0, split);
        if (name.empty() || name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos)
            return "${" + inside + "} is not a reference; expected ${NAME} or ${NAME:-default}";
        const auto value = env(name);
        if (value && !(value->empty() && split != std::string::npos)) out += *value;
        else if (split != std::string::npos) out += inside.substr(split + 2);
        else return "environment variable " + name + " is not set; expected it to be, or ${" + name + ":-default}";
        at = end + 1;
    }
    text = std::move(out);
    return std::nullopt;
}

std::optional<std::string> read_value(const Option& o, std::string_view text, std::string_view bare_unit,
                                      const std::string& directory, OptionValue& v) {
    std::string with_unit(text);
    std::uint64_t bare = 0;
    if (!bare_unit.empty() && read_number(text, bare)) with_unit += bare_unit;
    switch (o.type) {
        case OptionType::text: v.text = text; return std::nullopt;
        case OptionType::boolean:
            if (text != "true" && text != "false") return quoted(text) + " is not a switch; expected true or false";
            v.flag = text == "true";
            return std::nullopt;
        case OptionType::integer: return read_integer(o, text, v);
        case OptionType::fraction: {
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v.fraction);
            const bool whole = error == std::errc() && end == text.data() + text.size() && !text.empty();
            if (whole && v.fraction >= 0 && v.fraction <= 1) return std::nullopt;
            return quoted(text) + " is not a share; expected a number from 0 to 1";
        }
        case OptionType::threshold:
            if (text == "off" || text == "-1") {
                v.nanos = -1;
                return std::nullopt;
            }
            [[fallthrough]];
        case OptionType::duration: {
            const auto d = base::parse_duration(with_unit);
            if (!d) return quoted(text) + " is not a duration; expected a number with a unit, such as 200ms, 30s, 5min, 1h, or 0";
            v.nanos = *d;
            return std::nullopt;
        }
        case OptionType::size: {
            const auto s = base::parse_size(text);
            if (!s) return quoted(text) + " is not a size; expected a number with a unit, such as 64KiB, 256MiB, 1GiB, or 0";
            v.number = *s;
            return std::nullopt;
        }
        case OptionType::choice: return read_choice(o, text, v);
        case OptionType::names: v.names.emplace_back(text); return std::nullopt;
        case OptionType::path:
        case OptionType::secret:
            v.text = text;
            if (o.name == "slow_log.file" && text == "stderr") v.text.clear();
            if (!v.text.empty() && v.text[0] != '/' && !directory.empty()) v.text = directory + "/" + v.text;
            return o.type == OptionType::secret ? read_secret(v) : std::nullopt;
    }
    return std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const auto up = row[j];
            row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = up;
        }
    }
    return row[b.size()];
}

}  // namespace pgweir::config
