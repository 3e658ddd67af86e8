// A key is a header of fixed size that holds every length, then the fields one after another.
#include "pgweir/cache/key.hpp"

#include <cstring>
#include <map>
#include <mutex>
#include <tuple>

#include "pgweir/base/plants.hpp"

namespace pgweir::cache {

namespace {

/// "One code for all" and "none" both mean text when the one is 0.
inline std::string_view folded(std::string_view formats) noexcept {
    return formats == std::string_view("\0\0", 2) ? std::string_view() : formats;
}

void put(char*& to, const void* bytes, std::size_t size) noexcept {
    if (size == 0) return;
    std::memcpy(to, bytes, size);
    to += size;
}

}  // namespace

bool all_text(std::string_view formats) noexcept {
    return formats.find_first_not_of('\0') == std::string_view::npos;
}

/// Tells them apart from the same bytes in another place.
void KeyName::mix(base::Hash128& h, std::string_view field) noexcept {
    h.low *= kOdd;
    h.high *= kOther;
    if (field.empty()) return;
    const auto f = base::hash128(field);
    h.low += f.low;
    h.high += f.high;
}

std::uint64_t owner_number(std::uint64_t database, std::string_view user, std::uint64_t settings) {
    constexpr std::size_t kMost = 65536;
    static std::mutex mutex;
    static std::map<std::tuple<std::uint64_t, std::uint64_t, std::string>, std::uint64_t> numbers;
    static std::uint64_t last = 0;
    using base::Plant;
    if (base::planted(Plant::key_without_user)) user = "";
    if (base::planted(Plant::key_without_settings) || base::planted(Plant::key_without_search_path))
        settings = 0;
    const std::scoped_lock lock(mutex);
    if (numbers.size() >= kMost) numbers.clear();
    auto& number = numbers[{database, settings, std::string(user)}];
    if (number == 0) number = ++last;
    return number;
}

KeyName::KeyName(const KeyParts& parts) noexcept
    : statement_(parts.statement),
      values_(parts.parameter_values),
      types_(reinterpret_cast<const char*>(parts.types.data()), parts.types.size_bytes()),
      formats_(folded(parts.parameter_formats)),
      results_(base::planted(base::Plant::key_without_formats) ? "" : folded(parts.result_formats)),
      header_{.owner = parts.owner,
              .statement = statement_.size(),
              .values = values_.size(),
              .types = static_cast<std::uint32_t>(types_.size()),
              .formats = static_cast<std::uint32_t>(formats_.size()),
              .results = static_cast<std::uint32_t>(results_.size()),
              .parameters = parts.parameters,
              .description = parts.description ? std::uint16_t{1} : std::uint16_t{0}},
      statement_hash_(parts.statement_hash) {}

std::string_view KeyName::build(std::string& buffer) const {
    if (whole_) return statement_;
    const auto total = size();
    if (buffer.size() < total) buffer.resize(total);
    char* to = buffer.data();
    put(to, &header_, sizeof header_);
    for (const auto field : {statement_, values_, types_, formats_, results_})
        put(to, field.data(), field.size());
    return {buffer.data(), total};
}

void KeyName::mix_bound(base::Hash128& h) const noexcept {
    if (header_.parameters != 0 || header_.values != 0) {
        h.low ^= header_.parameters * kOther;
        mix(h, values_);
    }
    if (small() == 0 && header_.description == 0) return;
    h.high += header_.description * kOdd;
    for (const auto field : {types_, formats_, results_}) mix(h, field);
}

}  // namespace pgweir::cache
