// The sums of SCRAM (RFC 5802, chapter 3), for both sides. Thread: pure functions.
#pragma once

#include <string_view>

#include "crypto.hpp"

namespace pgweir::auth {

inline Digest exclusive_or(const Digest& a, const Digest& b) noexcept {
    Digest out;
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>(a[i] ^ b[i]);
    return out;
}

inline Digest client_key_of(const Digest& salted_password) {
    return hmac_sha256(view(salted_password), "Client Key");
}
inline Digest server_key_of(const Digest& salted_password) {
    return hmac_sha256(view(salted_password), "Server Key");
}

}  // namespace pgweir::auth
