// See client_login.hpp.
#include "pgweir/auth/client_login.hpp"

#include <utility>

#include "crypto.hpp"
#include "pgweir/auth/md5.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/base/random.hpp"
#include "pgweir/wire/messages.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::auth {

namespace {

namespace sqlstate = wire::sqlstate;

/// Codes of Authentication messages (manual, "Message Formats").
enum Request : std::uint32_t {
    kOk = 0,
    kCleartextPassword = 3,
    kMd5Password = 5,
    kSasl = 10,
    kSaslContinue = 11,
    kSaslFinal = 12,
};

std::string request(std::uint32_t code, std::string_view rest = {}) {
    std::string bytes;
    wire::write_authentication(bytes, code, rest);
    return bytes;
}

/// A secret in MD5's stored form that fits no password.
std::string nobodys_md5() { return md5_secret(base::random_string(16), {}); }

}  // namespace

ClientLogin::~ClientLogin() {
    wipe(password_);
    if (keys_) wipe(keys_->client_key);
}

ClientLoginStep ClientLogin::start(ClientLoginOptions options) {
    *this = ClientLogin();
    user_ = std::move(options.user);
    channel_binding_ = std::move(options.channel_binding);
    const UserStore* users = options.users.get();
    const UserSecret* secret = users == nullptr ? nullptr : users->find(user_);
    const auto iterations = users == nullptr ? kScramDefaultIterations : users->scram_iterations();
    switch (options.method) {
        case ClientMethod::trust: return accepted({});
        case ClientMethod::forward:
            phase_ = Phase::clear;
            return {status_, request(kCleartextPassword)};
        case ClientMethod::md5: {
            // A stranger, or a user who cannot log in, is asked as most users here are.
            const bool known = secret != nullptr && (!secret->md5.empty() || secret->scram);
            const bool by_md5 = known ? !secret->md5.empty() : users == nullptr || users->has_md5();
            return by_md5 ? start_md5(secret) : start_scram(secret, iterations);
        }
        case ClientMethod::scram_sha_256: return start_scram(secret, iterations);
    }
    return rejected(sqlstate::kInvalidAuthorization, "unknown authentication method");
}

ClientLoginStep ClientLogin::start_md5(const UserSecret* secret) {
    genuine_ = secret != nullptr && !secret->md5.empty();
    md5_ = genuine_ ? secret->md5 : nobodys_md5();
    salt_ = base::random_string(kMd5SaltSize);
    phase_ = Phase::md5;
    return {status_, request(kMd5Password, salt_)};
}

ClientLoginStep ClientLogin::start_scram(const UserSecret* secret, std::uint32_t iterations) {
    genuine_ = secret != nullptr && secret->scram.has_value();
    scram_.emplace(genuine_ ? *secret->scram : mock_scram_secret(user_, iterations), genuine_);
    std::string mechanisms;
    if (!channel_binding_.empty()) base::append_cstring(mechanisms, kScramPlusMechanism);
    base::append_cstring(mechanisms, kScramMechanism);
    mechanisms.push_back('\0');
    phase_ = Phase::sasl_initial;
    return {status_, request(kSasl, mechanisms)};
}

ClientLoginStep ClientLogin::feed(char type, std::string_view body) {
    if (phase_ == Phase::ended) return {status_, {}};
    const bool sasl = phase_ != Phase::md5 && phase_ != Phase::clear;
    if (type != wire::fe::kPassword)
        return rejected(sqlstate::kProtocolViolation,
                        std::string("expected ") + (sasl ? "SASL" : "password") +
                            " response, got message type " +
                            std::to_string(static_cast<unsigned char>(type)));
    if (body.size() > kMaxPasswordMessage)
        return rejected(sqlstate::kProtocolViolation, "the password message is too long");
    switch (phase_) {
        case Phase::md5: return on_md5(body);
        case Phase::clear: return on_clear(body);
        case Phase::sasl_initial: return on_sasl_initial(body);
        case Phase::sasl_first: return on_sasl_first(body);
        case Phase::sasl_final: return on_sasl_final(body);
        case Phase::ended: break;
    }
    return {status_, {}};
}

std::optional<std::string_view> ClientLogin::password_of(std::string_view body) {
    base::ByteReader r(body);
    const auto text = r.cstring();
    if (!r.done()) {
        rejected(sqlstate::kProtocolViolation, "invalid password packet size");
        return std::nullopt;
    }
    if (text.empty()) {
        rejected(sqlstate::kInvalidPassword, "empty password returned by client");
        return std::nullopt;
    }
    return text;
}

ClientLoginStep ClientLogin::on_md5(std::string_view body) {
    const auto answer = password_of(body);
    if (!answer) return {status_, {}};
    const bool right = md5_answer_matches(md5_, salt_, *answer);
    return right && genuine_ ? accepted({}) : wrong_password();
}

ClientLoginStep ClientLogin::on_clear(std::string_view body) {
    const auto password = password_of(body);
    if (!password) return {status_, {}};
    password_ = *password;
    phase_ = Phase::ended;
    status_ = ClientLoginStatus::have_password;
    return {status_, {}};
}

ClientLoginStep ClientLogin::on_sasl_initial(std::string_view body) {
    base::ByteReader r(body);
    const auto mechanism = r.cstring();
    const auto size = r.u32();
    if (!r.ok())
        return rejected(sqlstate::kProtocolViolation, "invalid SASLInitialResponse message");
    const bool bound = !channel_binding_.empty() && mechanism == kScramPlusMechanism;
    if (!bound && mechanism != kScramMechanism)
        return rejected(sqlstate::kProtocolViolation,
                        "client selected an invalid SASL authentication mechanism");
    scram_->set_binding(channel_binding_, bound);
    phase_ = Phase::sasl_first;
    const auto text = r.rest();
    // -1: the client wants to be asked first.
    if (size == 0xffffffff && text.empty()) return {status_, request(kSaslContinue)};
    if (size != text.size())
        return rejected(sqlstate::kProtocolViolation, "invalid SASLInitialResponse message");
    return on_sasl_first(text);
}

ClientLoginStep ClientLogin::on_sasl_first(std::string_view text) {
    const auto challenge = scram_->challenge(text);
    if (!challenge)
        return rejected(sqlstate::kProtocolViolation, "malformed SCRAM message", challenge.error());
    phase_ = Phase::sasl_final;
    return {status_, request(kSaslContinue, *challenge)};
}

ClientLoginStep ClientLogin::on_sasl_final(std::string_view text) {
    switch (scram_->verify(text)) {
        case ScramServer::Outcome::accepted: break;
        case ScramServer::Outcome::wrong_password: return wrong_password();
        case ScramServer::Outcome::malformed:
            return rejected(sqlstate::kProtocolViolation, "malformed SCRAM message",
                            scram_->detail());
    }
    keys_ = scram_->client_keys();
    return accepted(request(kSaslFinal, scram_->server_final()));
}

std::string ClientLogin::take_password() { return std::exchange(password_, {}); }

ClientLoginStep ClientLogin::accept() {
    if (status_ != ClientLoginStatus::have_password) return {status_, {}};
    return accepted({});
}

ClientLoginStep ClientLogin::reject(std::string_view sqlstate, std::string_view message) {
    if (status_ != ClientLoginStatus::have_password) return {status_, {}};
    return message.empty() ? wrong_password() : rejected(sqlstate, std::string(message));
}

ClientLoginStep ClientLogin::accepted(std::string bytes) {
    scram_.reset();
    wipe(password_);
    phase_ = Phase::ended;
    status_ = ClientLoginStatus::accepted;
    bytes += request(kOk);
    return {status_, std::move(bytes)};
}

ClientLoginStep ClientLogin::wrong_password() {
    return rejected(sqlstate::kInvalidPassword,
                    "password authentication failed for user \"" + user_ + "\"");
}

ClientLoginStep ClientLogin::rejected(std::string_view sqlstate, std::string message,
                                      std::string detail) {
    failure_ = {std::string(sqlstate), std::move(message), std::move(detail)};
    scram_.reset();
    wipe(password_);
    phase_ = Phase::ended;
    status_ = ClientLoginStatus::rejected;
    return {status_, {}};
}

}  // namespace pgweir::auth
