// A client proving who it is: from our Authentication request to AuthenticationOk (manual, "Message
// Flow: Start-up"). Whole frames in, bytes out; no sockets.
// Invariants: a user who does not exist and a wrong password have the same exchange and the same
// end; nothing but an Authentication message is sent here: after a rejection the caller sends one
// FATAL from failure() and closes.
// Thread: one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pgweir/auth/scram.hpp"
#include "pgweir/auth/users.hpp"

namespace pgweir::auth {

/// Of a password or SASL message, type and length not counted; the caller refuses longer frames
/// before it buffers them. PostgreSQL's limit, too.
inline constexpr std::uint32_t kMaxPasswordMessage = (64u << 10) + 1;  // 64 KiB and a zero byte

enum class ClientMethod : std::uint8_t {
    trust,
    md5,  // SCRAM for users whose secret is one, as PostgreSQL does
    scram_sha_256,
    forward,  // the password is asked for in clear, and the caller finds out whether it is right
};

struct ClientLoginOptions {
    ClientMethod method = ClientMethod::forward;
    std::string user;
    UserStorePtr users;  // for md5 and scram_sha_256; null: nobody can log in
    /// Over TLS: the hash of our certificate, with which SCRAM-SHA-256-PLUS is offered.
    std::string channel_binding;
};

enum class ClientLoginStatus : std::uint8_t {
    need_more,
    have_password,  // take_password(), then accept() or reject()
    accepted,
    rejected,
};

struct ClientLoginStep {
    ClientLoginStatus status = ClientLoginStatus::need_more;
    std::string bytes;  // to be sent to the client
};

struct ClientLoginFailure {
    std::string sqlstate;  // 28P01, 28000, 08P01
    std::string message;
    std::string detail;
};

class ClientLogin {
  public:
    ClientLogin() = default;
    ~ClientLogin();
    ClientLogin(ClientLogin&&) noexcept = default;
    ClientLogin& operator=(ClientLogin&&) noexcept = default;

    /// The first request; with trust, AuthenticationOk at once.
    ClientLoginStep start(ClientLoginOptions options);
    /// One whole frame from the client.
    ClientLoginStep feed(char type, std::string_view body);

    /// Only in status have_password, once.
    std::string take_password();
    /// Only in status have_password: gives AuthenticationOk.
    ClientLoginStep accept();
    /// Only in status have_password. An empty message is PostgreSQL's for a wrong password.
    ClientLoginStep reject(std::string_view sqlstate = {}, std::string_view message = {});

    ClientLoginStatus status() const noexcept { return status_; }
    const ClientLoginFailure& failure() const noexcept { return failure_; }
    /// Once accepted by SCRAM: keys with which the proxy can log in where the same secret is
    /// stored.
    const std::optional<ClientKeys>& client_keys() const noexcept { return keys_; }

  private:
    enum class Phase : std::uint8_t { md5, sasl_initial, sasl_first, sasl_final, clear, ended };

    ClientLoginStep start_md5(const UserSecret* secret);
    ClientLoginStep start_scram(const UserSecret* secret, std::uint32_t iterations);
    ClientLoginStep on_md5(std::string_view body);
    ClientLoginStep on_clear(std::string_view body);
    ClientLoginStep on_sasl_initial(std::string_view body);
    ClientLoginStep on_sasl_first(std::string_view text);
    ClientLoginStep on_sasl_final(std::string_view text);
    std::optional<std::string_view> password_of(std::string_view body);
    ClientLoginStep accepted(std::string bytes);
    ClientLoginStep wrong_password();
    ClientLoginStep rejected(std::string_view sqlstate, std::string message,
                             std::string detail = {});

    std::string user_;
    std::string md5_;  // stored form of the user, or of nobody
    std::string salt_;
    std::string password_;
    std::string channel_binding_;
    std::optional<ScramServer> scram_;
    std::optional<ClientKeys> keys_;
    ClientLoginFailure failure_;
    Phase phase_ = Phase::ended;
    ClientLoginStatus status_ = ClientLoginStatus::need_more;
    bool genuine_ = false;
};

}  // namespace pgweir::auth
