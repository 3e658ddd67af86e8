// The primitives of the login methods, over OpenSSL, which is included in crypto.cpp only.
// Thread: any. Errors: SHA-256 is always there; a library without MD5 (FIPS) gives an empty text.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgweir::auth {

using Digest = std::array<char, 32>;

inline std::string_view view(const Digest& d) noexcept { return {d.data(), d.size()}; }

Digest sha256(std::string_view data);
Digest hmac_sha256(std::string_view key, std::string_view data);
/// RFC 8018's PBKDF2 with HMAC-SHA-256, one block; Hi() of RFC 5802.
Digest pbkdf2_sha256(std::string_view password, std::string_view salt, std::uint32_t iterations);
/// 32 hexadecimal digits in lower case.
std::string md5_hex(std::string_view data);

std::string base64(std::string_view bytes);
/// Strict: padded, the standard alphabet, nothing else, no bits left over.
std::optional<std::string> decode_base64(std::string_view text);
/// The same, of exactly 32 bytes.
std::optional<Digest> decode_base64_key(std::string_view text);

/// Overwrites a secret in a way the compiler does not leave out, and empties it.
void wipe(std::string& secret) noexcept;
void wipe(Digest& secret) noexcept;

}  // namespace pgweir::auth
