// See server_login.hpp.
#include "pgweir/auth/server_login.hpp"

#include <algorithm>

#include "crypto.hpp"
#include "pgweir/auth/md5.hpp"
#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "pgweir/wire/messages.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/startup.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::auth {

namespace {

namespace be = wire::be;
namespace fe = wire::fe;
namespace sqlstate = wire::sqlstate;

/// Codes of Authentication messages (manual, "Message Formats").
enum Request : std::uint32_t {
    kOk = 0,
    kKerberos5 = 2,
    kCleartextPassword = 3,
    kMd5Password = 5,
    kScmCredential = 6,
    kGss = 7,
    kGssContinue = 8,
    kSspi = 9,
    kSasl = 10,
    kSaslContinue = 11,
    kSaslFinal = 12,
};

constexpr std::size_t kMaxErrorField = 2048;  // of what a server not yet believed says

const char* name_of(std::uint32_t code) noexcept {
    switch (code) {
        case kKerberos5: return "Kerberos V5";
        case kScmCredential: return "SCM credentials";
        case kGss:
        case kGssContinue: return "GSSAPI";
        case kSspi: return "SSPI";
        default: return nullptr;
    }
}

bool is_sqlstate(std::string_view s) noexcept {
    return s.size() == 5 && std::all_of(s.begin(), s.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
           });
}

bool has_zero(std::string_view s) noexcept { return s.find('\0') != std::string_view::npos; }

/// An empty packet when a string cannot be sent as one.
std::string startup_packet(const ServerLoginOptions& o) {
    std::string packet(4, '\0');
    base::append_u32(packet, wire::kProtocol30);
    bool fit = true;
    const auto add = [&](std::string_view name, std::string_view value) {
        fit &= !name.empty() && !has_zero(name) && !has_zero(value);
        base::append_cstring(packet, name);
        base::append_cstring(packet, value);
    };
    add("user", o.user);
    if (!o.database.empty()) add("database", o.database);
    for (const auto& [name, value] : o.parameters) add(name, value);
    packet.push_back('\0');
    if (!fit || o.user.empty() || packet.size() > wire::kMaxStartupPacket) return {};
    base::store_u32(packet.data(), static_cast<std::uint32_t>(packet.size()));
    return packet;
}

}  // namespace

ServerLogin::~ServerLogin() {
    wipe();
    if (keys_) auth::wipe(keys_->client_key);
}

void ServerLogin::wipe() noexcept {
    if (secret_.password) auth::wipe(*secret_.password);
    if (secret_.keys) auth::wipe(secret_.keys->client_key);
    auth::wipe(secret_.md5);
    if (derivation_) auth::wipe(derivation_->password);
    derivation_.reset();
    secret_ = {};
}

LoginStep ServerLogin::start(ServerLoginOptions options) {
    *this = ServerLogin();
    auto packet = startup_packet(options);
    if (packet.empty())
        return fail(sqlstate::kInvalidParameterValue,
                    "the start-up parameters cannot be sent to the server");
    user_ = std::move(options.user);
    secret_ = std::move(options.secret);
    may_send_cleartext_ = options.may_send_cleartext;
    may_send_md5_ = options.may_send_md5;
    certificate_hash_ = std::move(options.certificate_hash);
    channel_binding_ = options.channel_binding;
    derive_elsewhere_ = options.derive_elsewhere;
    phase_ = Phase::authentication;
    return {status_, std::move(packet)};
}

LoginStep ServerLogin::feed(char type, std::string_view body) {
    if (phase_ == Phase::ended) return {status_, {}};
    if (body.size() > kMaxLoginMessage) return violation("its message is too long");
    if (phase_ == Phase::deriving && type != be::kErrorResponse && type != be::kNoticeResponse)
        return violation("its message is out of order");
    switch (type) {
        case be::kErrorResponse: return on_error(body);
        case be::kNoticeResponse: return {status_, {}};
        case be::kAuthentication: return on_authentication(body);
        case be::kNegotiateProtocolVersion: {
            // Only about _pq_ options here: 3.0 is what we asked for.
            base::ByteReader r(body);
            r.u32();
            for (auto n = r.u32(); n > 0 && r.ok(); --n) r.cstring();
            if (phase_ != Phase::authentication || !r.done())
                return violation("its NegotiateProtocolVersion is malformed or out of order");
            return more();
        }
        default: return on_settling(type, body);
    }
}

LoginStep ServerLogin::on_authentication(std::string_view body) {
    base::ByteReader r(body);
    const auto code = r.u32();
    if (!r.ok()) return violation("its Authentication message is cut short");
    switch (code) {
        case kOk: return r.done() ? on_ok() : violation("its AuthenticationOk is malformed");
        case kSaslContinue:
            return phase_ == Phase::scram_first ? on_scram_first(r.rest())
                                                : violation("its SASL challenge is out of order");
        case kSaslFinal:
            return phase_ == Phase::scram_final ? on_scram_final(r.rest())
                                                : violation("its SASL outcome is out of order");
        default: return on_request(code, r.rest());
    }
}

LoginStep ServerLogin::on_ok() {
    if (phase_ == Phase::scram_first || phase_ == Phase::scram_final)
        return violation("it accepted the login without proving that it knows the password");
    if (phase_ != Phase::authentication && phase_ != Phase::verdict)
        return violation("its AuthenticationOk is out of order");
    if (channel_binding_ == ChannelBinding::require && !scram_)
        return fail(sqlstate::kInvalidAuthorization,
                    "channel binding is required, but the server let us in without it");
    if (scram_) keys_ = scram_->keys();
    scram_.reset();
    wipe();
    phase_ = Phase::settling;
    return more();
}

LoginStep ServerLogin::on_request(std::uint32_t code, std::string_view rest) {
    if (phase_ != Phase::authentication) return violation("it asks for a second authentication");
    if (channel_binding_ == ChannelBinding::require && code != kSasl)
        return fail(sqlstate::kInvalidAuthorization,
                    "channel binding is required, but the server asks for another method than "
                    "SCRAM");
    switch (code) {
        case kCleartextPassword:
            if (!rest.empty()) return violation("its password request is malformed");
            asked_ = PasswordMethod::cleartext;
            if (may_send_cleartext_) return answer_request();
            return fail(
                sqlstate::kInvalidAuthorization,
                "the server asks for the password in clear text, but the connection to it is "
                "neither encrypted nor local");
        case kMd5Password:
            if (rest.size() != kMd5SaltSize) return violation("its password request is malformed");
            salt_ = rest;
            asked_ = PasswordMethod::md5;
            if (may_send_md5_) return answer_request();
            return fail(sqlstate::kInvalidAuthorization,
                        "the server asks for MD5 authentication, which is not allowed here");
        case kSasl: return on_sasl_offer(rest);
        default: break;
    }
    const char* name = name_of(code);
    return fail(sqlstate::kInvalidAuthorization,
                std::string("the server asks for ") + (name ? name : "an unknown kind of") +
                    " authentication" + (name ? "" : " (code " + std::to_string(code) + ")") +
                    ", which is not supported");
}

LoginStep ServerLogin::on_sasl_offer(std::string_view mechanisms) {
    base::ByteReader r(mechanisms);
    bool offered = false;
    while (true) {
        const auto name = r.cstring();
        if (!r.ok()) return violation("its list of SASL mechanisms is malformed");
        if (name.empty()) break;
        offered |= name == kScramMechanism;
        plus_offered_ |= name == kScramPlusMechanism;
    }
    if (!r.done()) return violation("its list of SASL mechanisms is malformed");
    if (channel_binding_ == ChannelBinding::require &&
        (!plus_offered_ || certificate_hash_.empty()))
        return fail(sqlstate::kInvalidAuthorization,
                    certificate_hash_.empty()
                        ? "channel binding is required, but there is no TLS to bind to"
                        : "channel binding is required, but the server does not offer it");
    const bool bindable = channel_binding_ != ChannelBinding::disable && !certificate_hash_.empty();
    plus_offered_ &= bindable;
    if (!offered && !plus_offered_)
        return fail(sqlstate::kInvalidAuthorization,
                    "the server offers no SASL mechanism that is supported (SCRAM-SHA-256)");
    asked_ = PasswordMethod::scram;
    return answer_request();
}

LoginStep ServerLogin::wait_for_password() {
    phase_ = Phase::password;
    status_ = LoginStatus::password_needed;
    return {status_, {}};
}

LoginStep ServerLogin::answer_request() {
    std::string body;
    switch (asked_) {
        case PasswordMethod::cleartext:
            if (!secret_.password) return wait_for_password();
            base::append_cstring(body, *secret_.password);
            break;
        case PasswordMethod::md5: {
            if (!secret_.password && secret_.md5.empty()) return wait_for_password();
            const auto stored =
                secret_.password ? md5_secret(*secret_.password, user_) : secret_.md5;
            const auto answer = md5_answer(stored, salt_);
            if (answer.empty())
                return fail(sqlstate::kInvalidAuthorization,
                            "the server asks for MD5 authentication, which is not available here");
            base::append_cstring(body, answer);
            break;
        }
        case PasswordMethod::scram: {
            if (!secret_.password && !secret_.keys) return wait_for_password();
            using Use = ScramBinding::Use;
            const bool could =
                channel_binding_ != ChannelBinding::disable && !certificate_hash_.empty();
            const auto use = plus_offered_ ? Use::bound : could ? Use::not_offered : Use::none;
            scram_.emplace(secret_.password, secret_.keys, std::string(),
                           ScramBinding{use, certificate_hash_});
            const auto first = scram_->first_message();
            base::append_cstring(body, plus_offered_ ? kScramPlusMechanism : kScramMechanism);
            base::append_u32(body, static_cast<std::uint32_t>(first.size()));
            body += first;
            return send(body, Phase::scram_first);
        }
        case PasswordMethod::none: return violation("it asks for nothing");
    }
    auto step = send(body, Phase::verdict);
    auth::wipe(body);
    return step;
}

LoginStep ServerLogin::send(std::string_view body, Phase next) {
    phase_ = next;
    status_ = LoginStatus::need_more;
    LoginStep step;
    wire::write_message(step.bytes, fe::kPassword, body);
    return step;
}

LoginStep ServerLogin::give_password(std::string_view password) {
    if (phase_ != Phase::password) return {status_, {}};
    if (has_zero(password) || password.size() >= kMaxLoginMessage)
        return fail(sqlstate::kInvalidPassword, "the password cannot be sent to the server");
    secret_.password = password;
    return answer_request();
}

LoginStep ServerLogin::on_scram_first(std::string_view text) {
    if (derive_elsewhere_) derivation_ = scram_->derivation(text);
    if (!derivation_) return answer_challenge(text);
    challenge_ = text;
    phase_ = Phase::deriving;
    status_ = LoginStatus::keys_needed;
    return {status_, {}};
}

LoginStep ServerLogin::give_keys(ClientKeys keys) {
    if (phase_ != Phase::deriving) return {status_, {}};
    auth::wipe(derivation_->password);
    derivation_.reset();
    scram_->set_keys(std::move(keys));
    return answer_challenge(challenge_);
}

LoginStep ServerLogin::answer_challenge(std::string_view text) {
    const auto answer = scram_->answer(text);
    if (!answer) {
        auto step = violation("its SCRAM challenge is refused");
        failure_.detail = answer.error();
        return step;
    }
    return send(*answer, Phase::scram_final);
}

LoginStep ServerLogin::on_scram_final(std::string_view text) {
    if (const auto error = scram_->finish(text)) {
        auto step = violation("its SCRAM outcome is refused");
        failure_.detail = error->message;
        return step;
    }
    phase_ = Phase::verdict;
    return more();
}

LoginStep ServerLogin::on_error(std::string_view body) {
    const auto fields = wire::parse_error_fields(body);
    const auto text = [](std::string_view s) { return std::string(s.substr(0, kMaxErrorField)); };
    const bool coded = is_sqlstate(fields.sqlstate);
    auto step = fail(coded ? fields.sqlstate : sqlstate::kProtocolViolation,
                     fields.message.empty() ? "the server refused the login without saying why"
                                            : text(fields.message));
    failure_.detail = text(fields.detail);
    failure_.hint = text(fields.hint);
    failure_.from_server = true;
    return step;
}

LoginStep ServerLogin::on_settling(char type, std::string_view body) {
    if (phase_ != Phase::settling) return violation("its message is out of order");
    switch (type) {
        case be::kParameterStatus: return on_parameter(body);
        case be::kBackendKeyData: {
            base::ByteReader r(body);
            pid_ = r.u32();
            key_ = r.rest();
            if (!r.ok() || key_seen_ || key_.size() < 4 || key_.size() > kMaxBackendKey)
                return violation("its BackendKeyData is malformed");
            key_seen_ = true;
            return more();
        }
        case be::kReadyForQuery:
            if (body != "I") return violation("its first ReadyForQuery is not idle");
            phase_ = Phase::ended;
            status_ = LoginStatus::ready;
            return {status_, {}};
        default: return violation("its message is out of order");
    }
}

LoginStep ServerLogin::on_parameter(std::string_view body) {
    base::ByteReader r(body);
    const auto name = r.cstring();
    const auto value = r.cstring();
    if (!r.done() || name.empty()) return violation("its ParameterStatus is malformed");
    parameter_bytes_ += name.size() + value.size();
    const auto same = std::find_if(parameters_.begin(), parameters_.end(),
                                   [name](const auto& p) { return p.first == name; });
    if (same != parameters_.end()) {
        parameter_bytes_ -= name.size() + same->second.size();
        same->second = value;
    } else {
        parameters_.emplace_back(name, value);
    }
    if (parameters_.size() > kMaxServerParameters || parameter_bytes_ > kMaxServerParameterBytes)
        return violation("it reports more parameters than are kept");
    return more();
}

LoginStep ServerLogin::fail(std::string_view sqlstate, std::string message) {
    failure_ = {std::string(sqlstate), std::move(message), {}, {}, false};
    wipe();
    scram_.reset();
    phase_ = Phase::ended;
    status_ = LoginStatus::failed;
    return {status_, {}};
}

LoginStep ServerLogin::violation(std::string_view what) {
    return fail(sqlstate::kProtocolViolation,
                "the server broke the protocol at login: " + std::string(what));
}

}  // namespace pgweir::auth
