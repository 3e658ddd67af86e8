// Reading the file of rules. See hba.hpp. Every line either becomes a rule or an error.
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <bit>
#include <cstring>

#include "pgweir/auth/hba.hpp"
#include "pgweir/base/log.hpp"
#include "rule_lines.hpp"

namespace pgweir::auth {

namespace {

using Problem = std::optional<std::string>;

std::string quoted(std::string_view text) { return "\"" + base::printable(text, 80) + "\""; }

/// The prefix of a mask such as 255.255.0.0; nothing when its ones are not all in front.
std::optional<unsigned> prefix_of_mask(const std::string& text, bool v6) {
    std::array<std::uint8_t, 16> bytes{};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) != 1) return std::nullopt;
    unsigned bits = 0;
    bool ended = false;
    for (std::size_t i = 0; i < (v6 ? 16u : 4u); ++i) {
        const auto ones = static_cast<unsigned>(std::countl_one(bytes[i]));
        const bool tail = static_cast<std::uint8_t>(bytes[i] << ones) != 0;
        if (tail || (ended && ones > 0)) return std::nullopt;
        bits += ones;
        ended |= ones < 8;
    }
    return bits;
}

std::string numeric(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = "";
    const void* in = nullptr;
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (address->sa_family == AF_INET) {
        std::memcpy(&v4, address, sizeof v4);
        in = &v4.sin_addr;
    } else {
        std::memcpy(&v6, address, sizeof v6);
        in = &v6.sin6_addr;
    }
    inet_ntop(address->sa_family, in, text, sizeof text);
    return text;
}

/// This machine's addresses (samehost), or the networks they are in (samenet).
std::vector<Network> own_networks(bool whole_net) {
    std::vector<Network> found;
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return found;
    for (const auto* i = list; i != nullptr; i = i->ifa_next) {
        if (i->ifa_addr == nullptr) continue;
        const bool v6 = i->ifa_addr->sa_family == AF_INET6;
        if (!v6 && i->ifa_addr->sa_family != AF_INET) continue;
        auto network = parse_network(numeric(i->ifa_addr));
        if (!network) continue;
        if (whole_net && i->ifa_netmask != nullptr) {
            if (const auto bits = prefix_of_mask(numeric(i->ifa_netmask), v6))
                network->prefix = *bits + (v6 ? 0 : 96);
        }
        found.push_back(*network);
    }
    freeifaddrs(list);
    return found;
}

class LineReader {
  public:
    LineReader(const RuleLine& line, HbaRule& rule) : line_(line), rule_(rule) {}

    Problem read() {
        for (const auto step :
             {&LineReader::kind, &LineReader::databases, &LineReader::users, &LineReader::address,
              &LineReader::method, &LineReader::options, &LineReader::agreement})
            if (auto problem = (this->*step)()) return problem;
        return std::nullopt;
    }

  private:
    const RuleField* next() noexcept {
        return at_ < line_.fields.size() ? &line_.fields[at_++] : nullptr;
    }
    /// A field that may be one word only.
    Problem word(const char* what, std::string& into) {
        const auto* field = next();
        if (field == nullptr) return std::string("the line ends before ") + what;
        if (field->size() != 1) return std::string("several values; expected one ") + what;
        into = field->front().text;
        return std::nullopt;
    }

    Problem kind() {
        std::string text;
        if (auto p = word("the type", text)) return p;
        for (const auto k : {HbaKind::local, HbaKind::host, HbaKind::hostssl, HbaKind::hostnossl,
                             HbaKind::hostgssenc, HbaKind::hostnogssenc})
            if (name(k) == text) {
                rule_.kind = k;
                return std::nullopt;
            }
        return quoted(text) +
               " is no type; expected local, host, hostssl, hostnossl, hostgssenc or hostnogssenc";
    }

    Problem databases() {
        const auto* field = next();
        if (field == nullptr) return std::string("the line ends before the database");
        for (const auto& token : *field) {
            HbaName n{HbaName::Is::name, token.text};
            if (!token.quoted) {
                if (token.text == "all") n.is = HbaName::Is::all;
                if (token.text == "sameuser") n.is = HbaName::Is::same_user;
                if (token.text == "replication") n.is = HbaName::Is::replication;
                if (token.text == "samerole" || token.text == "samegroup")
                    return quoted(token.text) +
                           " asks for memberships that only the server knows; expected names";
                if (token.text.starts_with('/'))
                    return quoted(token.text) + " is a regular expression; expected names";
            }
            rule_.databases.push_back(std::move(n));
        }
        return std::nullopt;
    }

    Problem users() {
        const auto* field = next();
        if (field == nullptr) return std::string("the line ends before the user");
        for (const auto& token : *field) {
            HbaName n{HbaName::Is::name, token.text};
            if (!token.quoted) {
                if (token.text == "all") n.is = HbaName::Is::all;
                if (token.text.starts_with('+'))
                    return quoted(token.text) +
                           " asks for memberships that only the server knows; expected names";
                if (token.text.starts_with('/'))
                    return quoted(token.text) + " is a regular expression; expected names";
            }
            rule_.users.push_back(std::move(n));
        }
        return std::nullopt;
    }

    Problem address() {
        if (rule_.kind == HbaKind::local) return std::nullopt;
        if (auto p = word("the address", rule_.address)) return p;
        const auto& text = rule_.address;
        const bool keyword = !line_.fields[at_ - 1].front().quoted;
        if (keyword && text == "all") return std::nullopt;
        if (keyword && (text == "samehost" || text == "samenet")) {
            rule_.networks = own_networks(text == "samenet");
            if (rule_.networks.empty()) return quoted(text) + ": no network is to be found";
            return std::nullopt;
        }
        auto network = parse_network(text);
        if (!network)
            return network.error() +
                   "; expected one such as 10.0.0.0/8 or ::1/128, all, samehost or samenet (names "
                   "are not looked up)";
        if (text.find('/') == std::string::npos) {
            if (auto p = word("the mask", rule_.mask)) return p;
            const bool v6 = text.find(':') != std::string::npos;
            const auto bits = prefix_of_mask(rule_.mask, v6);
            if (!bits) return quoted(rule_.mask) + " is no mask; expected one, or address/bits";
            network->prefix = *bits + (v6 ? 0 : 96);
        }
        rule_.networks.push_back(*network);
        return std::nullopt;
    }

    Problem method() {
        std::string text;
        if (auto p = word("the method", text)) return p;
        if (text == "ident" && rule_.kind == HbaKind::local) text = "peer";
        for (const auto m :
             {HbaMethod::trust, HbaMethod::reject, HbaMethod::forward, HbaMethod::md5,
              HbaMethod::scram_sha_256, HbaMethod::cert, HbaMethod::peer})
            if (name(m) == text) {
                rule_.method = m;
                return std::nullopt;
            }
        return quoted(text) +
               " is no method that can be had here; expected trust, reject, forward, md5, "
               "scram-sha-256, cert or peer";
    }

    Problem options() {
        while (const auto* field = next()) {
            std::string text;
            for (const auto& token : *field) text += (text.empty() ? "" : ",") + token.text;
            const auto equals = text.find('=');
            if (equals == std::string::npos)
                return quoted(text) + " is no option; expected name=value";
            if (auto p = option(text.substr(0, equals), text.substr(equals + 1))) return p;
        }
        return std::nullopt;
    }

    Problem option(const std::string& key, const std::string& value) {
        if (key == "map") {
            if (rule_.method != HbaMethod::cert && rule_.method != HbaMethod::peer)
                return std::string("map is for methods cert and peer");
            rule_.map = value;
        } else if (key == "clientcert") {
            if (rule_.kind != HbaKind::hostssl)
                return std::string("clientcert is for lines of type hostssl");
            if (value != "verify-ca" && value != "verify-full")
                return "clientcert " + quoted(value) + "; expected verify-ca or verify-full";
            if (value == "verify-ca" && rule_.method == HbaMethod::cert)
                return std::string("method cert always means clientcert=verify-full");
            rule_.client_cert =
                value == "verify-ca" ? HbaClientCert::verify_ca : HbaClientCert::verify_full;
        } else if (key == "clientname") {
            if (rule_.kind != HbaKind::hostssl)
                return std::string("clientname is for lines of type hostssl");
            if (value != "CN" && value != "DN")
                return "clientname " + quoted(value) + "; expected CN or DN";
            rule_.by_subject = value == "DN";
        } else {
            return quoted(key) + " is no option here; expected map, clientcert or clientname";
        }
        return std::nullopt;
    }

    Problem agreement() {
        if (rule_.method == HbaMethod::cert && rule_.kind != HbaKind::hostssl)
            return std::string("method cert needs TLS; expected a line of type hostssl");
        if (rule_.method == HbaMethod::peer && rule_.kind != HbaKind::local)
            return std::string("method peer is for Unix sockets; expected a line of type local");
        return std::nullopt;
    }

    const RuleLine& line_;
    HbaRule& rule_;
    std::size_t at_ = 0;
};

}  // namespace

HbaLoad HbaRules::parse(std::string_view text, const std::string& file, const Reader& read) {
    auto split = split_rule_lines(text, file, read);
    HbaLoad out;
    out.errors = std::move(split.errors);
    auto made = std::make_shared<HbaRules>();
    for (const auto& line : split.lines) {
        HbaRule rule;
        rule.file = file;
        rule.line = line.number;
        if (auto problem = LineReader(line, rule).read())
            out.errors.push_back(file + ":" + std::to_string(line.number) + ": " + *problem);
        else
            made->rules_.push_back(std::move(rule));
    }
    if (out.errors.empty() && made->rules_.empty())
        out.errors.push_back(file + ":1: no rules, so nobody could log in; expected at least one");
    if (out.errors.empty()) out.rules = std::move(made);
    return out;
}

HbaLoad HbaRules::load(const std::string& path) {
    const auto text = read_rule_file(path);
    if (!text) return {nullptr, {path + ": " + text.error()}};
    return parse(*text, path, read_rule_file);
}

}  // namespace pgweir::auth
