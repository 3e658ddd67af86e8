// See units.hpp.
#include "pgweir/base/units.hpp"

#include <charconv>
#include <limits>

namespace pgweir::base {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr Unit kDurations[] = {{"d", 86'400'000'000'000}, {"h", 3'600'000'000'000},
                               {"min", 60'000'000'000},   {"s", 1'000'000'000},
                               {"ms", 1'000'000},         {"us", 1'000}};
constexpr std::uint64_t kKi = 1024;
constexpr Unit kSizes[] = {
    {"TiB", kKi* kKi* kKi* kKi}, {"GiB", kKi* kKi* kKi}, {"MiB", kKi* kKi}, {"KiB", kKi}, {"B", 1},
    {"TB", kKi* kKi* kKi* kKi},  {"GB", kKi* kKi* kKi},  {"MB", kKi* kKi},  {"kB", kKi}};

template <std::size_t N>
std::optional<std::uint64_t> parse(std::string_view text, const Unit (&units)[N],
                                   std::uint64_t limit) noexcept {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end == text.data()) return std::nullopt;
    auto unit = text.substr(static_cast<std::size_t>(end - text.data()));
    while (!unit.empty() && unit[0] == ' ') unit.remove_prefix(1);
    if (unit.empty()) return number == 0 ? std::optional<std::uint64_t>(0) : std::nullopt;
    for (const auto& u : units) {
        if (u.name != unit) continue;
        if (number > limit / u.factor) return std::nullopt;
        return number * u.factor;
    }
    return std::nullopt;
}

template <std::size_t N>
std::string print(std::uint64_t value, const Unit (&units)[N]) {
    if (value == 0) return "0";
    for (const auto& u : units)
        if (value % u.factor == 0) return std::to_string(value / u.factor) + std::string(u.name);
    return std::to_string(value / 1000) + "us";
}

}  // namespace

std::optional<Nanos> parse_duration(std::string_view text) noexcept {
    const auto v =
        parse(text, kDurations, static_cast<std::uint64_t>(std::numeric_limits<Nanos>::max()));
    if (!v) return std::nullopt;
    return static_cast<Nanos>(*v);
}

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
    return parse(text, kSizes, std::numeric_limits<std::uint64_t>::max());
}

std::string duration_text(Nanos nanos) {
    return nanos < 0 ? "off" : print(static_cast<std::uint64_t>(nanos), kDurations);
}

std::string size_text(std::uint64_t bytes) { return print(bytes, kSizes); }

}  // namespace pgweir::base
