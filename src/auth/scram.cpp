// Secrets of SCRAM: derived, read, written, made up. See scram.hpp.
#include "pgweir/auth/scram.hpp"

#include <charconv>

#include "crypto.hpp"
#include "pgweir/base/random.hpp"
#include "scram_keys.hpp"

namespace pgweir::auth {

namespace {

/// Splits off what stands before `separator`; nothing when it is not there.
std::optional<std::string_view> take_until(std::string_view& text, char separator) noexcept {
    const auto at = text.find(separator);
    if (at == std::string_view::npos) return std::nullopt;
    const auto part = text.substr(0, at);
    text.remove_prefix(at + 1);
    return part;
}

}  // namespace

base::Result<ScramSecret> parse_scram_secret(std::string_view text) {
    const base::Error bad{"not a SCRAM secret; expected SCRAM-SHA-256$count:salt$key:key"};
    const auto mechanism = take_until(text, '$');
    const auto count = take_until(text, ':');
    const auto salt_text = take_until(text, '$');
    const auto stored_text = take_until(text, ':');
    if (!mechanism || *mechanism != kScramMechanism || !count || !salt_text || !stored_text)
        return bad;
    ScramSecret secret;
    const auto [end, error] =
        std::from_chars(count->data(), count->data() + count->size(), secret.iterations);
    if (error != std::errc{} || end != count->data() + count->size() || secret.iterations == 0 ||
        secret.iterations > kScramMaxIterations)
        return bad;
    auto salt = decode_base64(*salt_text);
    const auto stored = decode_base64_key(*stored_text);
    const auto server = decode_base64_key(text);
    if (!salt || salt->empty() || salt->size() > kScramMaxSalt || !stored || !server) return bad;
    secret.salt = *std::move(salt);
    secret.stored_key = *stored;
    secret.server_key = *server;
    return secret;
}

std::string format_scram_secret(const ScramSecret& secret) {
    std::string out(kScramMechanism);
    out += '$' + std::to_string(secret.iterations) + ':' + base64(secret.salt);
    out += '$' + base64(view(secret.stored_key)) + ':' + base64(view(secret.server_key));
    return out;
}

ClientKeys derive_client_keys(std::string_view password, std::string_view salt,
                              std::uint32_t iterations) {
    Digest salted = pbkdf2_sha256(password, salt, iterations);
    ClientKeys keys{iterations, std::string(salt), client_key_of(salted), server_key_of(salted)};
    wipe(salted);
    return keys;
}

ScramSecret derive_scram_secret(std::string_view password, std::string_view salt,
                                std::uint32_t iterations) {
    auto keys = derive_client_keys(password, salt, iterations);
    ScramSecret secret{iterations, std::move(keys.salt), sha256(view(keys.client_key)),
                       keys.server_key};
    wipe(keys.client_key);
    return secret;
}

ScramSecret mock_scram_secret(std::string_view user, std::uint32_t iterations) {
    static const std::string process_secret = base::random_string(32);
    const auto made_up = [user](std::string_view purpose) {
        return hmac_sha256(process_secret, std::string(purpose).append(user));
    };
    const auto salt = made_up("salt ");
    return {iterations, std::string(view(salt).substr(0, 16)), made_up("stored "),
            made_up("server ")};
}

}  // namespace pgweir::auth
