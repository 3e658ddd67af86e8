// The verifying side. See scram.hpp.
#include <utility>

#include "crypto.hpp"
#include "pgweir/auth/scram.hpp"
#include "pgweir/base/random.hpp"
#include "scram_keys.hpp"
#include "scram_text.hpp"

namespace pgweir::auth {

ScramServer::ScramServer(ScramSecret secret, bool genuine, std::string nonce)
    : secret_(std::move(secret)),
      genuine_(genuine),
      nonce_(nonce.empty() ? make_nonce() : std::move(nonce)) {}

base::Result<std::string> ScramServer::challenge(std::string_view client_first) {
    const auto first = parse_client_first(client_first);
    if (!first) return base::Error{first.error()};
    if (first->nonce.size() + nonce_.size() > kScramMaxNonce)
        return base::Error{"The nonce (r) is missing or unfit."};
    // A client that could, and was told that we cannot, has somebody in between.
    if (first->binding == 'y' && !binding_.empty())
        return base::Error{
            "The client supports channel binding but thinks the server does not; it does."};
    if (bound_ && first->binding != 'p')
        return base::Error{"SCRAM-SHA-256-PLUS was selected without channel binding data."};
    if (!bound_ && first->binding == 'p')
        return base::Error{"Channel binding data came with a mechanism without channel binding."};
    gs2_header_ = first->gs2_header;
    if (bound_) gs2_header_ += binding_;
    nonce_.insert(0, first->nonce);
    std::string answer =
        "r=" + nonce_ + ",s=" + base64(secret_.salt) + ",i=" + std::to_string(secret_.iterations);
    auth_message_ = std::string(first->bare) + "," + answer;
    return answer;
}

ScramServer::Outcome ScramServer::malformed(std::string_view what) {
    detail_ = what;
    return Outcome::malformed;
}

ScramServer::Outcome ScramServer::verify(std::string_view client_final) {
    const auto final = parse_client_final(client_final);
    if (!final) return malformed(final.error());
    // Whoever changed the header between the two messages has something in the middle.
    if (final->channel_binding != base64(gs2_header_))
        return malformed("The channel binding (c) is not what the first message said.");
    if (!base::equal_constant_time(final->nonce, nonce_))
        return malformed("The nonce (r) is not the one of this exchange.");
    auth_message_.append(",").append(final->without_proof);
    const auto signature = hmac_sha256(view(secret_.stored_key), auth_message_);
    const auto client_key = exclusive_or(final->proof, signature);
    const auto stored_key = sha256(view(client_key));
    const bool proven = base::equal_constant_time(view(stored_key), view(secret_.stored_key));
    if (!proven || !genuine_) return Outcome::wrong_password;
    server_final_ = "v=" + base64(view(hmac_sha256(view(secret_.server_key), auth_message_)));
    client_keys_ = {secret_.iterations, secret_.salt, client_key, secret_.server_key};
    return Outcome::accepted;
}

}  // namespace pgweir::auth
