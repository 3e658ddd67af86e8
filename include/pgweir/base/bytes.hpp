// Big-endian loads and stores and byte views. A run of bytes is a std::string_view everywhere in
// pgweir: protocol data is bytes, never text, until a parser has said otherwise.
// Thread: pure functions. Errors: none; callers check sizes first.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pgweir::base {

inline std::uint16_t load_u16(const char* p) noexcept {
    std::uint16_t v;
    std::memcpy(&v, p, sizeof v);
    return std::endian::native == std::endian::little ? __builtin_bswap16(v) : v;
}

inline std::uint32_t load_u32(const char* p) noexcept {
    std::uint32_t v;
    std::memcpy(&v, p, sizeof v);
    return std::endian::native == std::endian::little ? __builtin_bswap32(v) : v;
}

inline void store_u16(char* p, std::uint16_t v) noexcept {
    if constexpr (std::endian::native == std::endian::little) v = __builtin_bswap16(v);
    std::memcpy(p, &v, sizeof v);
}

inline void store_u32(char* p, std::uint32_t v) noexcept {
    if constexpr (std::endian::native == std::endian::little) v = __builtin_bswap32(v);
    std::memcpy(p, &v, sizeof v);
}

inline void append_u16(std::string& out, std::uint16_t v) {
    char b[2];
    store_u16(b, v);
    out.append(b, sizeof b);
}

inline void append_u32(std::string& out, std::uint32_t v) {
    char b[4];
    store_u32(b, v);
    out.append(b, sizeof b);
}

/// Appends `s` and the NUL that ends a string in the protocol.
inline void append_cstring(std::string& out, std::string_view s) {
    out.append(s);
    out.push_back('\0');
}

/// Reads protocol fields from a message body. Every read is checked: after the first one that does
/// not fit, ok() is false and all further reads give zero or empty.
class ByteReader {
  public:
    explicit ByteReader(std::string_view body) noexcept : rest_(body) {}

    std::uint8_t u8() noexcept {
        const auto* p = take(1);
        return p != nullptr ? static_cast<std::uint8_t>(*p) : 0;
    }
    std::uint16_t u16() noexcept {
        const auto* p = take(2);
        return p != nullptr ? load_u16(p) : 0;
    }
    std::uint32_t u32() noexcept {
        const auto* p = take(4);
        return p != nullptr ? load_u32(p) : 0;
    }
    std::int16_t i16() noexcept { return static_cast<std::int16_t>(u16()); }
    std::int32_t i32() noexcept { return static_cast<std::int32_t>(u32()); }
    std::string_view bytes(std::size_t n) noexcept {
        const auto* p = take(n);
        return p != nullptr ? std::string_view(p, n) : std::string_view{};
    }

    /// A NUL-terminated string without its NUL.
    std::string_view cstring() noexcept {
        if (!rest_.empty() && rest_.front() == '\0') {  // as most names are
            rest_.remove_prefix(1);
            return {};
        }
        const auto end = rest_.find('\0');
        if (end == std::string_view::npos) {
            fail();
            return {};
        }
        const auto s = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return s;
    }

    std::string_view rest() const noexcept { return rest_; }
    bool ok() const noexcept { return ok_; }
    bool done() const noexcept { return ok_ && rest_.empty(); }

  private:
    const char* take(std::size_t n) noexcept {
        if (n > rest_.size()) {
            fail();
            return nullptr;
        }
        const auto* p = rest_.data();
        rest_.remove_prefix(n);
        return p;
    }
    void fail() noexcept {
        ok_ = false;
        rest_ = {};
    }

    std::string_view rest_;
    bool ok_ = true;
};

}  // namespace pgweir::base
