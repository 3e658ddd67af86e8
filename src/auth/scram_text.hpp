// The grammar of SCRAM messages (RFC 5802, chapter 7), strictly: attributes in their order, nothing
// twice, nothing unexpected, everything within bounds. Views point into the message.
// Thread: pure functions. Errors: texts for a DETAIL, without any of the peer's bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crypto.hpp"
#include "pgweir/base/result.hpp"

namespace pgweir::auth {

/// The gs2 header of a bound exchange.
inline constexpr std::string_view kGs2Bound = "p=tls-server-end-point,,";

struct ClientFirst {
    char binding = 'n';           // n, y or p (tls-server-end-point)
    std::string_view gs2_header;  // with its two commas
    std::string_view bare;        // the rest
    std::string_view nonce;
};
base::Result<ClientFirst> parse_client_first(std::string_view message);

struct ServerFirst {
    std::string_view nonce;  // both halves
    std::string salt;
    std::uint32_t iterations = 0;
};
base::Result<ServerFirst> parse_server_first(std::string_view message);

struct ClientFinal {
    std::string_view without_proof;
    std::string_view channel_binding;  // base64 of the gs2 header and, bound, of the binding
    std::string_view nonce;
    Digest proof;
};
base::Result<ClientFinal> parse_client_final(std::string_view message);

/// Gives the server's signature; an error also when the server reports one (e=).
base::Result<Digest> parse_server_final(std::string_view message);

/// 24 characters that a nonce may have, from 18 random bytes.
std::string make_nonce();

}  // namespace pgweir::auth
