// The side that logs in. See scram.hpp.
#include <utility>

#include "crypto.hpp"
#include "pgweir/auth/scram.hpp"
#include "pgweir/base/random.hpp"
#include "scram_keys.hpp"
#include "scram_text.hpp"

namespace pgweir::auth {

namespace {
// "n": we can do no channel binding. PostgreSQL takes the user from the StartupMessage.
constexpr std::string_view kGs2Header = "n,,";
constexpr std::string_view kGs2HeaderBase64 = "biws";
}  // namespace

ScramClient::ScramClient(std::optional<std::string> password, std::optional<ClientKeys> keys,
                         std::string nonce)
    : password_(std::move(password)),
      keys_(std::move(keys)),
      nonce_(nonce.empty() ? make_nonce() : std::move(nonce)),
      auth_message_("n=,r=" + nonce_) {}

ScramClient::~ScramClient() {
    if (password_) wipe(*password_);
    if (keys_) wipe(keys_->client_key);
}

std::string ScramClient::first_message() const {
    return std::string(kGs2Header) + "n=,r=" + nonce_;
}

base::Result<std::string> ScramClient::answer(std::string_view server_first) {
    const auto first = parse_server_first(server_first);
    if (!first) return base::Error{first.error()};
    if (first->nonce.size() <= nonce_.size() || !first->nonce.starts_with(nonce_))
        return base::Error{"The server's nonce does not continue ours."};
    if (!keys_ || keys_->iterations != first->iterations || keys_->salt != first->salt) {
        if (!password_) return base::Error{"The kept keys do not fit the server's salt."};
        keys_ = derive_client_keys(*password_, first->salt, first->iterations);
    }
    std::string final = "c=";
    final.append(kGs2HeaderBase64).append(",r=").append(first->nonce);
    auth_message_.append(",").append(server_first).append(",").append(final);
    const auto stored_key = sha256(view(keys_->client_key));
    const auto signature = hmac_sha256(view(stored_key), auth_message_);
    const auto proof = exclusive_or(keys_->client_key, signature);
    return final + ",p=" + base64(view(proof));
}

std::optional<base::Error> ScramClient::finish(std::string_view server_final) {
    const auto signature = parse_server_final(server_final);
    if (!signature) return base::Error{signature.error()};
    const auto expected = hmac_sha256(view(keys_->server_key), auth_message_);
    if (!base::equal_constant_time(view(*signature), view(expected)))
        return base::Error{"The server does not know the password: its signature is wrong."};
    return std::nullopt;
}

}  // namespace pgweir::auth
