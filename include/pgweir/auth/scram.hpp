// SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it: both sides, as machines that take and
// give SASL message texts; with channel binding to the server's certificate (tls-server-end-point,
// RFC 5929) where there is TLS. No authorisation identity.
// Invariants: everything received is parsed strictly and within bounds before any work is done for
// it; secrets are compared in constant time; a client is not satisfied before the server has shown
// that it knows the password, too.
// Limit: passwords are not normalised (SASLprep, RFC 4013). ASCII needs none; other passwords are
// used as they are, as PostgreSQL does where normalising fails.
// Thread: one per machine; the functions are pure. derive_*() takes about 1.3 ms at 4096 rounds.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgweir/base/result.hpp"

namespace pgweir::auth {

inline constexpr std::string_view kScramMechanism = "SCRAM-SHA-256";
inline constexpr std::string_view kScramPlusMechanism = "SCRAM-SHA-256-PLUS";
inline constexpr std::uint32_t kScramDefaultIterations = 4096;
/// More than this is taken for an attempt to burn our processor (about 0.3 s).
inline constexpr std::uint32_t kScramMaxIterations = 1'000'000;
inline constexpr std::size_t kScramMaxMessage = 8192;  // bytes of one SASL message
inline constexpr std::size_t kScramMaxNonce = 1024;    // characters, both halves
inline constexpr std::size_t kScramMaxSalt = 1024;     // bytes

using ScramKey = std::array<char, 32>;

/// What the verifying side keeps. It does not suffice to log in anywhere.
struct ScramSecret {
    std::uint32_t iterations = kScramDefaultIterations;
    std::string salt;
    ScramKey stored_key{};
    ScramKey server_key{};
};

/// What the side that logs in can keep instead of the password, for servers with this salt and
/// count. As good as the password there: never shown, never logged.
struct ClientKeys {
    std::uint32_t iterations = kScramDefaultIterations;
    std::string salt;
    ScramKey client_key{};
    ScramKey server_key{};
};

/// PostgreSQL's stored form: SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>.
base::Result<ScramSecret> parse_scram_secret(std::string_view text);
std::string format_scram_secret(const ScramSecret& secret);
ScramSecret derive_scram_secret(std::string_view password, std::string_view salt,
                                std::uint32_t iterations = kScramDefaultIterations);
ClientKeys derive_client_keys(std::string_view password, std::string_view salt,
                              std::uint32_t iterations);
/// For a user who does not exist: the same for the same name as long as the process lives, so that
/// asking twice shows nothing. No password fits it.
ScramSecret mock_scram_secret(std::string_view user,
                              std::uint32_t iterations = kScramDefaultIterations);

/// What the side that logs in does about channel binding.
struct ScramBinding {
    enum class Use : std::uint8_t {
        none,         // "n": no TLS, or switched off
        not_offered,  // "y": we could, but the server has not offered it
        bound,        // "p": the mechanism is -PLUS
    };
    Use use = Use::none;
    std::string data;  // hash of the server's certificate, when bound
};

/// What derive_client_keys() is to be called with.
struct ScramDerivation {
    std::string password, salt;
    std::uint32_t iterations = 0;
};

/// The side that logs in.
class ScramClient {
  public:
    /// `keys` are used when salt and count are those the server names, else the password; one of
    /// the two must be there. `nonce` is for tests; empty: random.
    ScramClient(std::optional<std::string> password, std::optional<ClientKeys> keys,
                std::string nonce = {}, ScramBinding binding = {});
    ~ScramClient();
    ScramClient(ScramClient&&) noexcept = default;
    ScramClient& operator=(ScramClient&&) noexcept = default;

    std::string first_message() const;
    /// What has to be derived before answer(server_first) is cheap; nothing: it is, or will fail.
    std::optional<ScramDerivation> derivation(std::string_view server_first) const;
    void set_keys(ClientKeys keys) { keys_ = std::move(keys); }
    /// Takes server-first, gives client-final.
    base::Result<std::string> answer(std::string_view server_first);
    /// Takes server-final. Nothing: the server has proven itself; else what is wrong.
    std::optional<base::Error> finish(std::string_view server_final);
    /// Once finished: what to keep for the next login.
    const ClientKeys& keys() const noexcept { return *keys_; }

  private:
    std::optional<std::string> password_;
    std::optional<ClientKeys> keys_;
    std::string nonce_;
    ScramBinding binding_;
    std::string gs2_header_;
    std::string auth_message_;
};

/// The verifying side.
class ScramServer {
  public:
    enum class Outcome : std::uint8_t { accepted, wrong_password, malformed };

    /// `genuine` is false for a mock secret: the exchange is the same, and ends in wrong_password.
    ScramServer(ScramSecret secret, bool genuine, std::string nonce = {});
    /// Before challenge(): `data` is what -PLUS was offered with (empty: it was not), `chosen` that
    /// the client has taken it.
    void set_binding(std::string data, bool chosen) {
        binding_ = std::move(data);
        bound_ = chosen;
    }

    /// Takes client-first, gives server-first; an error is a breach of protocol.
    base::Result<std::string> challenge(std::string_view client_first);
    /// Takes client-final; when accepted, server_final() is to be sent.
    Outcome verify(std::string_view client_final);
    const std::string& server_final() const noexcept { return server_final_; }
    /// What was malformed, for the DETAIL of an error.
    const std::string& detail() const noexcept { return detail_; }
    /// Once accepted: the keys the client has shown it has, with which we can log in elsewhere.
    const ClientKeys& client_keys() const noexcept { return client_keys_; }

  private:
    Outcome malformed(std::string_view what);

    ScramSecret secret_;
    bool genuine_;
    std::string nonce_;
    std::string binding_;
    bool bound_ = false;
    std::string gs2_header_;
    std::string auth_message_;
    std::string server_final_;
    std::string detail_;
    ClientKeys client_keys_;
};

}  // namespace pgweir::auth
