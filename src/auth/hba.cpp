// Matching connections with rules. See hba.hpp.
#include "pgweir/auth/hba.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace pgweir::auth {

namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
using Bytes = std::array<std::uint8_t, 16>;

bool to_bytes(const sockaddr* peer, Bytes& out) noexcept {
    if (peer->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, peer, sizeof v4);
        std::copy(kMapped.begin(), kMapped.end(), out.begin());
        std::memcpy(out.data() + 12, &v4.sin_addr, 4);
        return true;
    }
    if (peer->sa_family != AF_INET6) return false;
    sockaddr_in6 v6{};
    std::memcpy(&v6, peer, sizeof v6);
    std::memcpy(out.data(), &v6.sin6_addr, 16);
    return true;
}

bool same_prefix(const Bytes& a, const Bytes& b, unsigned bits) noexcept {
    const unsigned whole = bits / 8;
    if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
    if (bits % 8 == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
    return (a[whole] & mask) == (b[whole] & mask);
}

bool kind_fits(HbaKind kind, const HbaQuery& q) noexcept {
    switch (kind) {
        case HbaKind::local: return q.address == nullptr;
        case HbaKind::host:
        case HbaKind::hostnogssenc: return q.address != nullptr;
        case HbaKind::hostssl: return q.address != nullptr && q.encrypted;
        case HbaKind::hostnossl: return q.address != nullptr && !q.encrypted;
        case HbaKind::hostgssenc: return false;
    }
    return false;
}

bool name_fits(const std::vector<HbaName>& names, std::string_view wanted,
               std::string_view user) noexcept {
    return std::any_of(names.begin(), names.end(), [&](const HbaName& n) {
        switch (n.is) {
            case HbaName::Is::all: return true;
            case HbaName::Is::same_user: return wanted == user;
            case HbaName::Is::replication: return false;
            case HbaName::Is::name: return n.text == wanted;
        }
        return false;
    });
}

bool for_replication(const std::vector<HbaName>& databases) noexcept {
    return std::any_of(databases.begin(), databases.end(),
                       [](const HbaName& n) { return n.is == HbaName::Is::replication; });
}

}  // namespace

std::string_view name(HbaKind kind) noexcept {
    switch (kind) {
        case HbaKind::local: return "local";
        case HbaKind::host: return "host";
        case HbaKind::hostssl: return "hostssl";
        case HbaKind::hostnossl: return "hostnossl";
        case HbaKind::hostgssenc: return "hostgssenc";
        case HbaKind::hostnogssenc: return "hostnogssenc";
    }
    return "";
}

std::string_view name(HbaMethod method) noexcept {
    switch (method) {
        case HbaMethod::trust: return "trust";
        case HbaMethod::reject: return "reject";
        case HbaMethod::forward: return "forward";
        case HbaMethod::md5: return "md5";
        case HbaMethod::scram_sha_256: return "scram-sha-256";
        case HbaMethod::cert: return "cert";
        case HbaMethod::peer: return "peer";
    }
    return "";
}

bool Network::contains(const sockaddr* peer) const noexcept {
    Bytes bytes{};
    return to_bytes(peer, bytes) && same_prefix(bytes, address, prefix);
}

bool Network::is_loopback() const noexcept {
    Bytes v4{}, v6{};
    std::copy(kMapped.begin(), kMapped.end(), v4.begin());
    v4[12] = 127;
    v6[15] = 1;
    return (prefix >= 104 && same_prefix(address, v4, 104)) ||
           (prefix == 128 && same_prefix(address, v6, 128));
}

base::Result<Network> parse_network(std::string_view text) {
    const auto slash = text.find('/');
    const std::string host(text.substr(0, slash));
    Network n;
    unsigned most = 128;
    if (inet_pton(AF_INET, host.c_str(), n.address.data() + 12) == 1) {
        std::copy(kMapped.begin(), kMapped.end(), n.address.begin());
        most = 32;
    } else if (inet_pton(AF_INET6, host.c_str(), n.address.data()) != 1) {
        return base::Error{"\"" + host + "\" is no address"};
    }
    n.prefix = most;
    if (slash != std::string_view::npos) {
        const auto digits = text.substr(slash + 1);
        const auto end = digits.data() + digits.size();
        const auto [at, error] = std::from_chars(digits.data(), end, n.prefix);
        if (digits.empty() || error != std::errc() || at != end || n.prefix > most)
            return base::Error{"the prefix is no number up to " + std::to_string(most)};
    }
    if (most == 32) n.prefix += 96;
    return n;
}

bool HbaRule::reaches_beyond_loopback() const noexcept {
    if (kind == HbaKind::local || kind == HbaKind::hostgssenc) return false;
    return networks.empty() || !std::all_of(networks.begin(), networks.end(),
                                            [](const Network& n) { return n.is_loopback(); });
}

std::string HbaRule::options_text() const {
    std::string text;
    const auto add = [&text](std::string_view option) {
        text += (text.empty() ? "" : " ") + std::string(option);
    };
    if (!map.empty()) add("map=" + map);
    if (client_cert != HbaClientCert::none)
        add(client_cert == HbaClientCert::verify_ca ? "clientcert=verify-ca"
                                                    : "clientcert=verify-full");
    if (by_subject) add("clientname=DN");
    return text;
}

const HbaRule* HbaRules::find(const HbaQuery& q) const noexcept {
    for (const auto& rule : rules_) {
        if (!kind_fits(rule.kind, q)) continue;
        if (q.address != nullptr && !rule.networks.empty() &&
            std::none_of(rule.networks.begin(), rule.networks.end(),
                         [&](const Network& n) { return n.contains(q.address); }))
            continue;
        const bool database = q.replication ? for_replication(rule.databases)
                                            : name_fits(rule.databases, q.database, q.user);
        if (database && name_fits(rule.users, q.user, {})) return &rule;
    }
    return nullptr;
}

}  // namespace pgweir::auth
