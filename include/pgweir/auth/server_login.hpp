// The proxy logging in to a PostgreSQL server, protocol 3.0: from the StartupMessage to the first
// ReadyForQuery (manual, "Message Flow: Start-up"). Whole frames in, bytes out; no sockets. TLS, if
// any, is up before it starts.
// Invariants: no byte that depends on a password leaves for a method the policy forbids; a server
// that speaks SCRAM is believed only after it has proven itself; whatever it sends is bounded.
// Thread: one. Errors: status failed, with failure() saying what a client may be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgweir/auth/scram.hpp"

namespace pgweir::auth {

/// The caller refuses longer frames before it buffers them.
inline constexpr std::uint32_t kMaxLoginMessage = 64u << 10;
inline constexpr std::size_t kMaxServerParameters = 64;
inline constexpr std::size_t kMaxServerParameterBytes = 8u << 10;  // names and values together
inline constexpr std::size_t kMaxBackendKey = 256;

using Parameters = std::vector<std::pair<std::string, std::string>>;

/// How a server asked for the password; none: it did not (trust, certificate, peer).
enum class PasswordMethod : std::uint8_t { none, cleartext, md5, scram };

/// What is done about SCRAM's channel binding, in libpq's words.
enum class ChannelBinding : std::uint8_t { disable, prefer, require };

/// What we can prove ourselves with; all empty: nothing yet.
struct ServerSecret {
    std::optional<std::string> password;
    std::optional<ClientKeys> keys;  // kept from an earlier SCRAM exchange
    std::string md5;                 // stored form "md5..."; empty: none
};

struct ServerLoginOptions {
    std::string user;
    std::string database;
    Parameters parameters;  // further ones, in the order to be sent
    ServerSecret secret;
    /// The link is encrypted, a Unix socket or loopback.
    bool may_send_cleartext = false;
    bool may_send_md5 = true;
    /// Over TLS: the hash of the server's certificate; empty: there is nothing to bind to.
    std::string certificate_hash;
    ChannelBinding channel_binding = ChannelBinding::prefer;
    /// The derivation of SCRAM's keys (a millisecond and more) is the caller's: see
    /// LoginStatus::keys_needed.
    bool derive_elsewhere = false;
};

enum class LoginStatus : std::uint8_t {
    need_more,
    password_needed,  // the server waits for give_password(); asked() says for which method
    keys_needed,      // derivation() is to be done, then give_keys()
    ready,
    failed,
};

struct LoginStep {
    LoginStatus status = LoginStatus::need_more;
    std::string bytes;  // to be sent to the server, in every status
};

struct LoginFailure {
    std::string sqlstate;
    std::string message;
    std::string detail;
    std::string hint;
    bool from_server = false;  // the server said so itself, in an ErrorResponse
};

class ServerLogin {
  public:
    ServerLogin() = default;
    ~ServerLogin();
    ServerLogin(ServerLogin&&) noexcept = default;
    ServerLogin& operator=(ServerLogin&&) noexcept = default;

    /// Gives the StartupMessage. Fails when it would be longer than PostgreSQL takes.
    LoginStep start(ServerLoginOptions options);
    /// One whole frame from the server.
    LoginStep feed(char type, std::string_view body);
    /// Only in status password_needed.
    LoginStep give_password(std::string_view password);
    /// Only in status keys_needed.
    const ScramDerivation& derivation() const noexcept { return *derivation_; }
    LoginStep give_keys(ClientKeys keys);

    LoginStatus status() const noexcept { return status_; }
    const LoginFailure& failure() const noexcept { return failure_; }
    PasswordMethod asked() const noexcept { return asked_; }
    /// Once ready, where asked() is scram: spare the next login the derivation.
    const std::optional<ClientKeys>& client_keys() const noexcept { return keys_; }

    std::uint32_t backend_pid() const noexcept { return pid_; }
    /// The secret of a CancelRequest, 4 to 256 bytes; empty: the server gave none.
    std::string_view backend_key() const noexcept { return key_; }
    /// ParameterStatus as the server sent them; the last of equal names.
    const Parameters& parameters() const noexcept { return parameters_; }

  private:
    enum class Phase : std::uint8_t {
        authentication,  // before the server has asked for anything
        password,        // it has asked, and we have nothing to answer
        verdict,         // answered; AuthenticationOk is to come
        scram_first,
        deriving,
        scram_final,
        settling,  // accepted: parameters, key, ReadyForQuery
        ended,
    };

    LoginStep on_authentication(std::string_view body);
    LoginStep on_request(std::uint32_t code, std::string_view rest);
    LoginStep on_ok();
    LoginStep on_sasl_offer(std::string_view mechanisms);
    LoginStep on_scram_first(std::string_view text);
    LoginStep answer_challenge(std::string_view text);
    LoginStep on_scram_final(std::string_view text);
    LoginStep on_error(std::string_view body);
    LoginStep on_settling(char type, std::string_view body);
    LoginStep on_parameter(std::string_view body);
    LoginStep answer_request();
    LoginStep wait_for_password();
    LoginStep send(std::string_view body, Phase next);
    LoginStep more() const { return {LoginStatus::need_more, {}}; }
    LoginStep fail(std::string_view sqlstate, std::string message);
    LoginStep violation(std::string_view what);
    void wipe() noexcept;

    ServerSecret secret_;
    std::string user_;
    std::string salt_;
    std::optional<ScramClient> scram_;
    std::optional<ScramDerivation> derivation_;
    std::string challenge_;  // while the keys are derived
    std::string certificate_hash_;
    ChannelBinding channel_binding_ = ChannelBinding::prefer;
    bool plus_offered_ = false;
    bool derive_elsewhere_ = false;
    std::optional<ClientKeys> keys_;
    Parameters parameters_;
    std::size_t parameter_bytes_ = 0;
    std::string key_;
    std::uint32_t pid_ = 0;
    LoginFailure failure_;
    Phase phase_ = Phase::ended;
    LoginStatus status_ = LoginStatus::need_more;
    PasswordMethod asked_ = PasswordMethod::none;
    bool may_send_cleartext_ = false;
    bool may_send_md5_ = true;
    bool key_seen_ = false;
};

}  // namespace pgweir::auth
