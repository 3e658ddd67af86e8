// The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) for the load generator. The salted
// password depends on password, salt and count alone and is kept for all connections, or the
// client's own hashing would be what limits a measurement of logins. One thread.
#pragma once

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net.hpp"

namespace bench {

using Digest = std::array<unsigned char, 32>;

inline Digest hmac_sha256(const Digest& key, std::string_view data) {
    Digest out{};
    unsigned n = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.data(), &n);
    return out;
}

inline std::string base64(const unsigned char* data, std::size_t n) {
    std::string out((n + 2) / 3 * 4 + 1, '\0');
    int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), data, static_cast<int>(n));
    out.resize(static_cast<std::size_t>(size));
    return out;
}

/// Empty when it is not base64.
inline std::vector<unsigned char> from_base64(std::string_view text) {
    std::vector<unsigned char> out(text.size() / 4 * 3 + 3);
    int n = EVP_DecodeBlock(out.data(), reinterpret_cast<const unsigned char*>(text.data()),
                            static_cast<int>(text.size()));
    std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    out.resize(n < static_cast<int>(padding) ? 0 : static_cast<std::size_t>(n) - padding);
    return out;
}

class ScramLogin {
  public:
    explicit ScramLogin(std::string password) : password_(std::move(password)) {
        std::array<unsigned char, 18> random;
        if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) die("RAND_bytes");
        bare_ = "n=,r=" + base64(random.data(), random.size());
    }

    std::string first_message() const { return "n,," + bare_; }

    /// The proof for the server's challenge; empty when the challenge cannot be understood.
    std::string final_message(std::string_view challenge) {
        std::string_view nonce = field(challenge, 'r'), salt = field(challenge, 's');
        int count = std::atoi(std::string(field(challenge, 'i')).c_str());
        if (nonce.empty() || salt.empty() || count <= 0) return {};
        const Digest& salted = salted_password(salt, count);
        Digest client_key = hmac_sha256(salted, "Client Key");
        Digest stored_key{};
        unsigned n = 0;
        EVP_Digest(client_key.data(), client_key.size(), stored_key.data(), &n, EVP_sha256(),
                   nullptr);
        std::string without_proof = "c=biws,r=" + std::string(nonce);
        Digest signature =
            hmac_sha256(stored_key, bare_ + "," + std::string(challenge) + "," + without_proof);
        for (std::size_t i = 0; i < signature.size(); i++) signature[i] ^= client_key[i];
        return without_proof + ",p=" + base64(signature.data(), signature.size());
    }

  private:
    static std::string_view field(std::string_view text, char name) {
        while (text.size() > 2) {
            std::size_t end = text.find(',');
            std::string_view one = text.substr(0, end);
            if (one.size() > 2 && one[0] == name && one[1] == '=') return one.substr(2);
            if (end == text.npos) break;
            text.remove_prefix(end + 1);
        }
        return {};
    }

    const Digest& salted_password(std::string_view salt, int count) const {
        static std::string known_salt;
        static int known_count = 0;
        static Digest known{};
        if (known_count != count || known_salt != salt) {
            std::vector<unsigned char> raw = from_base64(salt);
            PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), raw.data(),
                              static_cast<int>(raw.size()), count, EVP_sha256(),
                              static_cast<int>(known.size()), known.data());
            known_salt = salt;
            known_count = count;
        }
        return known;
    }

    std::string password_, bare_;
};

}  // namespace bench
