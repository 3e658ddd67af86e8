// See scalar.hpp.
#include "scalar.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "files.hpp"
#include "pgweir/base/units.hpp"
#include "problems.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kMaxText = std::size_t{64} * 1024;  // bytes of a value after interpolation
constexpr std::size_t kMaxSecret =
    std::size_t{64} * 1024;                       // bytes of a password; tokens can be long
constexpr std::size_t kMaxNamedFile = 64u << 20;  // bytes of certificates, users, rules

/// What is wrong with a value, without the value: read_value() says what it is called.
using ErrorText = std::optional<std::string>;

/// Decimal digits and no more. A leading zero is refused: YAML would read 010 as 8.
bool read_number(std::string_view text, std::uint64_t& number) {
    if (text.size() > 1 && text[0] == '0') return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

/// "low..high" in two parts; empty ones when there is no range.
std::pair<std::string_view, std::string_view> bounds(std::string_view words) {
    const auto dots = words.find("..");
    if (dots == std::string_view::npos) return {};
    return {words.substr(0, dots), words.substr(dots + 2)};
}

ErrorText read_integer(const Option& o, std::string_view text, OptionValue& v) {
    constexpr std::string_view kAuto = "auto|";
    auto range = o.words;
    const bool may_be_auto = range.starts_with(kAuto);
    if (may_be_auto) range.remove_prefix(kAuto.size());
    v.number = 0;
    if (may_be_auto && text == "auto") return std::nullopt;
    const auto [low, high] = bounds(range);
    std::uint64_t least = 0, most = 0;
    read_number(low, least);
    read_number(high, most);
    const auto expected = "; expected " + std::string(may_be_auto ? "auto or " : "") +
                          "a whole number from " + std::string(low) + " to " + std::string(high);
    if (!read_number(text, v.number)) return " is not a whole number" + expected;
    if (v.number < least || v.number > most) return " is out of range" + expected;
    return std::nullopt;
}

ErrorText read_choice(const Option& o, std::string_view text, OptionValue& v) {
    std::string words;
    v.number = 0;
    for (auto rest = o.words;;) {
        const auto bar = rest.find('|');
        const auto word = rest.substr(0, bar);
        if (word == text) return std::nullopt;
        if (!words.empty()) words += bar == std::string_view::npos ? " or " : ", ";
        words += word;
        if (bar == std::string_view::npos) break;
        rest.remove_prefix(bar + 1);
        ++v.number;
    }
    return " is not known; expected " + words;
}

/// Durations and sizes: `parse` and an inclusive range.
template <class Parse, class Number>
ErrorText read_quantity(const Option& o, std::string_view text, Parse parse, Number& number,
                        std::string_view kind, std::string_view examples) {
    const auto value = parse(text);
    const auto [low, high] = bounds(o.words);
    const auto range = " from " + std::string(low) + " to " + std::string(high);
    if (!value)
        return " is not a " + std::string(kind) +
               "; expected a whole number with a unit, such as " + std::string(examples) + "," +
               range;
    if (*value < *parse(low) || *value > *parse(high))
        return " is out of range; expected a " + std::string(kind) + range;
    number = *value;
    return std::nullopt;
}

ErrorText read_duration(const Option& o, std::string_view text, OptionValue& v) {
    if (o.type == OptionType::threshold && (text == "off" || text == "-1")) {
        v.nanos = -1;
        return std::nullopt;
    }
    auto problem = read_quantity(
        o, text, base::parse_duration, v.nanos, "duration",
        o.type == OptionType::threshold ? "off, 200ms, 30s, 5min, 1h" : "200ms, 30s, 5min, 1h");
    return problem;
}

ErrorText read_fraction(std::string_view text, OptionValue& v) {
    const bool plain = text.find_first_not_of("0123456789.") == std::string_view::npos;
    const auto end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, v.fraction);
    if (plain && !text.empty() && error == std::errc() && at == end && v.fraction <= 1)
        return std::nullopt;
    return " is not a share; expected a number from 0 to 1, such as 0.01";
}

/// Control bytes in names, addresses and paths are always mistakes; SQL may have lines.
ErrorText read_text(const Option& o, std::string_view text, OptionValue& v) {
    const bool lines = o.type == OptionType::statement;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (lines && byte != 0 && (c == '\n' || c == '\t' || c == '\r')) continue;
        if (byte < 0x20 || byte == 0x7F)
            return " has a control character; expected text without any";
    }
    v.text = text;
    return std::nullopt;
}

ErrorText read_named_file(const Option& o, OptionValue& v) {
    if (v.text.empty() || o.type == OptionType::path) return std::nullopt;
    const bool secret = o.type == OptionType::secret;
    auto content = read_file(v.text, secret ? kMaxSecret : kMaxNamedFile, FileKind::regular);
    if (!content) return " cannot be read: " + content.error() + "; expected a readable file";
    if (!secret) return std::nullopt;
    if (content->ends_with("\r\n"))
        content->resize(content->size() - 2);
    else if (content->ends_with('\n'))
        content->pop_back();
    if (content->empty()) return " is empty; expected the secret";
    if (content->find('\0') != std::string::npos)
        return " holds a zero byte; expected the secret as text";
    v.secret = std::move(*content);
    return std::nullopt;
}

ErrorText read_path(const Option& o, std::string_view text, const std::string& directory,
                    OptionValue& v) {
    if (auto problem = read_text(o, text, v)) return problem;
    const bool output = o.name == "slow_log.file" || o.name == "log.file";
    if (output && text == "stderr") v.text.clear();
    if (o.name == "slow_log.file" && text == "journald") return std::nullopt;
    if (!v.text.empty() && v.text[0] != '/' && !directory.empty())
        v.text = directory + (directory.ends_with('/') ? "" : "/") + v.text;
    return read_named_file(o, v);
}

ErrorText read_boolean(std::string_view text, OptionValue& v) {
    v.flag = text == "true";
    if (v.flag || text == "false") return std::nullopt;
    return " is not a switch; expected true or false";
}

bool is_variable_name(std::string_view name) {
    const auto letter = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    };
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return !name.empty() && !digit(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || digit(c); });
}

/// What stands for the reference `inside` the braces.
base::Result<std::string> resolve(std::string_view inside, const Environment& environment) {
    const auto split = inside.find(":-");
    const bool has_default = split != std::string_view::npos;
    const std::string name(inside.substr(0, split));
    if (!is_variable_name(name) || inside.find("${") != std::string_view::npos)
        return base::Error{quoted("${" + std::string(inside) + "}") +
                           " is no reference; expected ${NAME} or ${NAME:-default}, or $${ for ${"};
    auto value = environment(name);
    if (has_default && (!value || value->empty())) return std::string(inside.substr(split + 2));
    if (!value)
        return base::Error{"the environment variable " + name +
                           " is not set; expected a value, or ${" + name + ":-default}"};
    return std::move(*value);
}

ErrorText read_typed(const Option& o, std::string_view text, std::string_view bare_unit,
                     const std::string& directory, OptionValue& v) {
    std::string with_unit(text);
    std::uint64_t bare = 0;
    if (!bare_unit.empty() && read_number(text, bare)) with_unit += bare_unit;
    switch (o.type) {
        case OptionType::text:
        case OptionType::statement: return read_text(o, text, v);
        case OptionType::boolean: return read_boolean(text, v);
        case OptionType::integer: return read_integer(o, text, v);
        case OptionType::fraction: return read_fraction(text, v);
        case OptionType::duration:
        case OptionType::threshold: return read_duration(o, with_unit, v);
        case OptionType::size:
            return read_quantity(o, text, base::parse_size, v.number, "size",
                                 "64KiB, 256MiB, 1GiB");
        case OptionType::choice: return read_choice(o, text, v);
        case OptionType::names:
            if (text.empty()) return " is an empty name; expected a name";
            if (auto problem = read_text(o, text, v)) return problem;
            v.names.push_back(std::move(v.text));
            return std::nullopt;
        case OptionType::path:
        case OptionType::file:
        case OptionType::secret: return read_path(o, text, directory, v);
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> interpolate(std::string& text, const Environment& environment) {
    std::string out;
    std::string_view rest = text;
    for (;;) {
        const auto at = rest.find("${");
        out += rest.substr(0, at);
        if (at == std::string_view::npos) break;
        const bool escaped = at > 0 && rest[at - 1] == '$';
        rest.remove_prefix(at + 2);
        if (escaped) {  // the first $ of $${ is there already
            out += '{';
            continue;
        }
        const auto end = rest.find('}');
        if (end == std::string_view::npos)
            return "${ without }; expected ${NAME} or ${NAME:-default}, or $${ for ${";
        auto value = resolve(rest.substr(0, end), environment);
        if (!value) return value.error();
        out += *value;
        rest.remove_prefix(end + 1);
        if (out.size() > kMaxText) return "too long; expected at most 64 KiB";
    }
    if (out.size() > kMaxText) return "too long; expected at most 64 KiB";
    text = std::move(out);
    return std::nullopt;
}

std::optional<std::string> read_value(const Option& o, std::string_view text,
                                      std::string_view bare_unit, const std::string& directory,
                                      OptionValue& v, std::string_view written) {
    const auto problem = read_typed(o, text, bare_unit, directory, v);
    if (!problem) return std::nullopt;
    if (!written.empty()) return quoted(written) + *problem;
    const bool path =
        o.type == OptionType::path || o.type == OptionType::file || o.type == OptionType::secret;
    return quoted(path && !v.text.empty() ? v.text : text) + *problem;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before.swap(last);
        last.swap(row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

}  // namespace pgweir::config
