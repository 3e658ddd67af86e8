// Writes the fields of a key one after another, each self-delimiting.
#include "pgweir/cache/key.hpp"

#include "pgweir/base/bytes.hpp"

namespace pgweir::cache {

namespace {

void append_field(std::string& out, std::string_view bytes) {
    base::append_u32(out, static_cast<std::uint32_t>(bytes.size() >> 32));
    base::append_u32(out, static_cast<std::uint32_t>(bytes.size()));
    out.append(bytes);
}

/// "One code for all" and "none" both mean text when the one is 0.
std::string_view folded(std::string_view formats) noexcept {
    return formats == std::string_view("\0\0", 2) ? std::string_view() : formats;
}

}  // namespace

bool all_text(std::string_view formats) noexcept {
    return formats.find_first_not_of('\0') == std::string_view::npos;
}

void build_key(std::string& out, const KeyParts& parts) {
    out.clear();
    base::append_u32(out, static_cast<std::uint32_t>(parts.database >> 32));
    base::append_u32(out, static_cast<std::uint32_t>(parts.database));
    base::append_u32(out, parts.settings);
    append_field(out, parts.session_user);
    append_field(out, parts.role);
    append_field(out, parts.statement);
    base::append_u32(out, static_cast<std::uint32_t>(parts.types.size()));
    for (const auto type : parts.types) base::append_u32(out, type);
    base::append_u16(out, parts.parameters);
    append_field(out, folded(parts.parameter_formats));
    append_field(out, parts.parameter_values);
    append_field(out, folded(parts.result_formats));
}

}  // namespace pgweir::cache
