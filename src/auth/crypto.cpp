// See crypto.hpp.
#include "crypto.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <cstring>

namespace pgweir::auth {

namespace {

const unsigned char* raw(std::string_view s) noexcept {
    return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* raw(Digest& d) noexcept { return reinterpret_cast<unsigned char*>(d.data()); }

/// OpenSSL fails here only without memory or with a broken installation; a made-up digest would be
/// a login without a check.
void demand(bool worked) noexcept {
    if (!worked) std::abort();
}

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<signed char, 256> make_values() {
    std::array<signed char, 256> values{};
    for (auto& v : values) v = -1;
    for (std::size_t i = 0; i < kAlphabet.size(); ++i)
        values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
    return values;
}
constexpr auto kValues = make_values();

}  // namespace

Digest sha256(std::string_view data) {
    Digest out;
    unsigned size = 0;
    demand(EVP_Digest(data.data(), data.size(), raw(out), &size, EVP_sha256(), nullptr) == 1 &&
           size == out.size());
    return out;
}

Digest hmac_sha256(std::string_view key, std::string_view data) {
    Digest out;
    unsigned size = 0;
    // A null key means "the one of before" to OpenSSL; an empty view may be null.
    const char* bytes = key.empty() ? "" : key.data();
    demand(HMAC(EVP_sha256(), bytes, static_cast<int>(key.size()), raw(data), data.size(), raw(out),
                &size) != nullptr &&
           size == out.size());
    return out;
}

Digest pbkdf2_sha256(std::string_view password, std::string_view salt, std::uint32_t iterations) {
    Digest out;
    const char* bytes = password.empty() ? "" : password.data();
    demand(PKCS5_PBKDF2_HMAC(bytes, static_cast<int>(password.size()), raw(salt),
                             static_cast<int>(salt.size()), static_cast<int>(iterations),
                             EVP_sha256(), static_cast<int>(out.size()), raw(out)) == 1);
    return out;
}

std::string md5_hex(std::string_view data) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    if (EVP_Digest(data.data(), data.size(), digest, &size, EVP_md5(), nullptr) != 1) return {};
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(2 * std::size_t{size});
    for (unsigned i = 0; i < size; ++i) {
        out.push_back(digits[digest[i] >> 4]);
        out.push_back(digits[digest[i] & 15]);
    }
    return out;
}

std::string base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
        std::uint32_t v = 0;
        for (std::size_t k = 0; k < 3; ++k)
            v = v << 8 | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0u);
        for (std::size_t k = 0; k < 4; ++k)
            out.push_back(k <= n ? kAlphabet[v >> (18 - 6 * k) & 63] : '=');
    }
    return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
        ++padding;
    std::string out;
    out.reserve(text.size() / 4 * 3);
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text.substr(0, text.size() - padding)) {
        const std::int8_t value = kValues[static_cast<unsigned char>(c)];
        if (value < 0) return std::nullopt;
        bits = (bits << 6 | static_cast<std::uint8_t>(value)) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out.push_back(static_cast<char>(bits >> held & 0xff));
        }
    }
    if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
    return out;
}

std::optional<Digest> decode_base64_key(std::string_view text) {
    const auto bytes = decode_base64(text);
    Digest key;
    if (!bytes || bytes->size() != key.size()) return std::nullopt;
    std::memcpy(key.data(), bytes->data(), key.size());
    return key;
}

void wipe(std::string& secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

void wipe(Digest& secret) noexcept { OPENSSL_cleanse(secret.data(), secret.size()); }

}  // namespace pgweir::auth
