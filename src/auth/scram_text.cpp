// See scram_text.hpp.
#include "scram_text.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "pgweir/auth/scram.hpp"
#include "pgweir/base/random.hpp"

namespace pgweir::auth {

namespace {

using base::Error;

/// Takes attributes `x=value` off the front; a comma stands between two, none at the end.
class AttributeReader {
  public:
    explicit AttributeReader(std::string_view text) noexcept : rest_(text), end_(text.empty()) {}

    bool at_end() const noexcept { return end_; }
    char next_name() const noexcept {
        return rest_.size() >= 2 && rest_[1] == '=' ? rest_[0] : '\0';
    }
    std::optional<std::string_view> take(char name) noexcept {
        if (end_ || next_name() != name) return std::nullopt;
        const auto comma = rest_.find(',');
        const auto value = rest_.substr(2, comma == std::string_view::npos ? comma : comma - 2);
        end_ = comma == std::string_view::npos;
        rest_.remove_prefix(end_ ? rest_.size() : comma + 1);
        return value;
    }
    /// Skips optional extensions: letters that mean nothing in SCRAM itself.
    bool skip_extensions() noexcept {
        constexpr std::string_view known = "acegimnprsv";
        while (!end_) {
            const char name = next_name();
            const char lower = static_cast<char>(name | 0x20);
            if (lower < 'a' || lower > 'z') return false;
            if (known.find(name) != std::string_view::npos) return name == 'p';
            if (!take(name)) return false;
        }
        return true;
    }
    std::string_view rest() const noexcept { return rest_; }

  private:
    std::string_view rest_;
    bool end_;
};

bool printable_nonce(std::string_view nonce) noexcept {
    return !nonce.empty() && nonce.size() <= kScramMaxNonce &&
           std::all_of(nonce.begin(), nonce.end(),
                       [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

std::optional<Error> bad_size(std::string_view message) {
    if (message.empty()) return Error{"The message is empty."};
    if (message.size() > kScramMaxMessage) return Error{"The message is too long."};
    if (message.find('\0') != std::string_view::npos)
        return Error{"The message contains a zero byte."};
    return std::nullopt;
}

/// The size of the gs2 header of a client-first message.
base::Result<std::size_t> scan_gs2_header(std::string_view message) {
    switch (message[0]) {
        case 'n':
        case 'y': break;
        case 'p': {
            if (!message.starts_with(kGs2Bound.substr(0, kGs2Bound.size() - 1)))
                return Error{"The channel binding type is not tls-server-end-point."};
            if (!message.starts_with(kGs2Bound))
                return Error{"An authorization identity is not supported."};
            return kGs2Bound.size();
        }
        default: return Error{"The channel binding flag is none of n, y and p."};
    }
    if (message.size() < 2 || message[1] != ',')
        return Error{"A comma was expected after the channel binding flag."};
    if (message.size() < 3 || message[2] != ',')
        return Error{"An authorization identity is not supported."};
    return std::size_t{3};
}

}  // namespace

base::Result<ClientFirst> parse_client_first(std::string_view message) {
    if (auto e = bad_size(message)) return *std::move(e);
    const auto header = scan_gs2_header(message);
    if (!header) return Error{header.error()};
    ClientFirst first;
    first.binding = message[0];
    first.gs2_header = message.substr(0, *header);
    first.bare = message.substr(*header);
    AttributeReader r(first.bare);
    if (r.next_name() == 'm') return Error{"A mandatory extension is not supported."};
    if (!r.take('n')) return Error{"The user name (n) was expected."};
    const auto nonce = r.take('r');
    if (!nonce || !printable_nonce(*nonce)) return Error{"The nonce (r) is missing or unfit."};
    if (!r.skip_extensions() || !r.at_end())
        return Error{"Something unexpected follows the nonce."};
    first.nonce = *nonce;
    return first;
}

base::Result<ServerFirst> parse_server_first(std::string_view message) {
    if (auto e = bad_size(message)) return *std::move(e);
    AttributeReader r(message);
    if (r.next_name() == 'm') return Error{"A mandatory extension is not supported."};
    ServerFirst first;
    const auto nonce = r.take('r');
    if (!nonce || !printable_nonce(*nonce)) return Error{"The nonce (r) is missing or unfit."};
    first.nonce = *nonce;
    const auto salt_text = r.take('s');
    auto salt = salt_text && salt_text->size() <= kScramMaxSalt / 3 * 4 + 4
                    ? decode_base64(*salt_text)
                    : std::nullopt;
    if (!salt || salt->empty() || salt->size() > kScramMaxSalt)
        return Error{"The salt (s) is missing or unfit."};
    first.salt = *std::move(salt);
    const auto count = r.take('i');
    if (!count || count->empty() || count->front() < '1' || count->front() > '9')
        return Error{"The iteration count (i) is missing or unfit."};
    const auto [end, error] =
        std::from_chars(count->data(), count->data() + count->size(), first.iterations);
    if (end != count->data() + count->size() || error != std::errc{} ||
        first.iterations > kScramMaxIterations)
        return Error{"The iteration count (i) is no number or too high."};
    if (!r.skip_extensions() || !r.at_end())
        return Error{"Something unexpected follows the iteration count."};
    return first;
}

base::Result<ClientFinal> parse_client_final(std::string_view message) {
    if (auto e = bad_size(message)) return *std::move(e);
    ClientFinal final;
    AttributeReader r(message);
    const auto binding = r.take('c');
    if (!binding) return Error{"The channel binding (c) was expected."};
    final.channel_binding = *binding;
    const auto nonce = r.take('r');
    if (!nonce || !printable_nonce(*nonce)) return Error{"The nonce (r) is missing or unfit."};
    final.nonce = *nonce;
    if (!r.skip_extensions() || r.at_end()) return Error{"The proof (p) was expected."};
    final.without_proof = message.substr(0, message.size() - r.rest().size() - 1);
    const auto proof_text = r.take('p');
    const auto proof = proof_text ? decode_base64_key(*proof_text) : std::nullopt;
    if (!proof || !r.at_end()) return Error{"The proof (p) is unfit or not the last."};
    final.proof = *proof;
    return final;
}

base::Result<Digest> parse_server_final(std::string_view message) {
    if (auto e = bad_size(message)) return *std::move(e);
    AttributeReader r(message);
    if (r.next_name() == 'e') return Error{"The server reports an error in the SCRAM exchange."};
    const auto text = r.take('v');
    const auto signature = text ? decode_base64_key(*text) : std::nullopt;
    if (!signature) return Error{"The server's signature (v) is missing or unfit."};
    if (!r.skip_extensions() || !r.at_end())
        return Error{"Something unexpected follows the server's signature."};
    return *signature;
}

std::string make_nonce() { return base64(base::random_string(18)); }

}  // namespace pgweir::auth
