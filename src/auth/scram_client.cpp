// The side that logs in. See scram.hpp.
#include <utility>

#include "crypto.hpp"
#include "pgweir/auth/scram.hpp"
#include "pgweir/base/random.hpp"
#include "scram_keys.hpp"
#include "scram_text.hpp"

namespace pgweir::auth {

namespace {
/// PostgreSQL takes the user from the StartupMessage, so no name stands here.
std::string_view header_for(ScramBinding::Use use) noexcept {
    switch (use) {
        case ScramBinding::Use::none: return "n,,";
        case ScramBinding::Use::not_offered: return "y,,";
        case ScramBinding::Use::bound: return kGs2Bound;
    }
    return {};
}
}  // namespace

ScramClient::ScramClient(std::optional<std::string> password, std::optional<ClientKeys> keys,
                         std::string nonce, ScramBinding binding)
    : password_(std::move(password)),
      keys_(std::move(keys)),
      nonce_(nonce.empty() ? make_nonce() : std::move(nonce)),
      binding_(std::move(binding)),
      gs2_header_(header_for(binding_.use)),
      auth_message_("n=,r=" + nonce_) {}

ScramClient::~ScramClient() {
    if (password_) wipe(*password_);
    if (keys_) wipe(keys_->client_key);
}

std::string ScramClient::first_message() const { return gs2_header_ + "n=,r=" + nonce_; }

std::optional<ScramDerivation> ScramClient::derivation(std::string_view server_first) const {
    const auto first = parse_server_first(server_first);
    if (!first || !password_) return std::nullopt;
    if (keys_ && keys_->iterations == first->iterations && keys_->salt == first->salt)
        return std::nullopt;
    return ScramDerivation{*password_, first->salt, first->iterations};
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
    const bool bound = binding_.use == ScramBinding::Use::bound;
    final.append(base64(bound ? gs2_header_ + binding_.data : gs2_header_));
    final.append(",r=").append(first->nonce);
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
