// Writes a key: a header of fixed size that holds every length, then the fields one after another.
#include "pgweir/cache/key.hpp"

#include <cstring>
#include <type_traits>

#include "pgweir/base/plants.hpp"

namespace pgweir::cache {

namespace {

/// Never leaves the process, so the machine's own byte order will do.
struct Header {
    std::uint64_t database = 0;
    std::uint64_t statement = 0;
    std::uint64_t parameter_values = 0;
    std::uint32_t session_user = 0;
    std::uint32_t role = 0;
    std::uint32_t settings = 0;
    std::uint32_t types = 0;
    std::uint32_t parameters = 0;
    std::uint32_t parameter_formats = 0;
    std::uint32_t result_formats = 0;
    std::uint32_t description = 0;
};
static_assert(std::has_unique_object_representations_v<Header>, "padding has no value");

/// "One code for all" and "none" both mean text when the one is 0.
std::string_view folded(std::string_view formats) noexcept {
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

#ifdef PGWEIR_PLANTS
namespace {
/// Keys that lack something: see base/plants.hpp.
KeyParts plant_key(KeyParts parts) {
    using base::Plant;
    if (base::planted(Plant::key_without_user)) parts.session_user = parts.role = "";
    if (base::planted(Plant::key_without_settings)) parts.settings = 0;
    if (base::planted(Plant::key_without_search_path)) parts.settings = 0;
    if (base::planted(Plant::key_without_formats)) parts.result_formats = "";
    return parts;
}
}  // namespace

std::string_view build_key(std::string& buffer, const KeyParts& whole) {
    const KeyParts parts = plant_key(whole);
#else
std::string_view build_key(std::string& buffer, const KeyParts& parts) {
#endif
    const auto formats = folded(parts.parameter_formats);
    const auto results = folded(parts.result_formats);
    const Header header{.database = parts.database,
                        .statement = parts.statement.size(),
                        .parameter_values = parts.parameter_values.size(),
                        .session_user = static_cast<std::uint32_t>(parts.session_user.size()),
                        .role = static_cast<std::uint32_t>(parts.role.size()),
                        .settings = parts.settings,
                        .types = static_cast<std::uint32_t>(parts.types.size()),
                        .parameters = parts.parameters,
                        .parameter_formats = static_cast<std::uint32_t>(formats.size()),
                        .result_formats = static_cast<std::uint32_t>(results.size()),
                        .description = parts.description ? 1u : 0u};
    const std::size_t total = sizeof header + parts.session_user.size() + parts.role.size() +
                              parts.statement.size() + parts.types.size_bytes() + formats.size() +
                              parts.parameter_values.size() + results.size();
    if (buffer.size() < total) buffer.resize(total);
    char* to = buffer.data();
    put(to, &header, sizeof header);
    put(to, parts.session_user.data(), parts.session_user.size());
    put(to, parts.role.data(), parts.role.size());
    put(to, parts.statement.data(), parts.statement.size());
    put(to, parts.types.data(), parts.types.size_bytes());
    put(to, formats.data(), formats.size());
    put(to, parts.parameter_values.data(), parts.parameter_values.size());
    put(to, results.data(), results.size());
    return {buffer.data(), total};
}

}  // namespace pgweir::cache
