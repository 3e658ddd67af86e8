// See checks.hpp.
#include "checks.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "pgweir/base/log.hpp"
#include "slow_rules.hpp"

namespace pgweir::config {

namespace {

constexpr std::size_t kMaxHost = 255;          // bytes of a name, RFC 1035 2.3.4
constexpr std::size_t kMaxUnixDirectory = 92;  // sun_path's 107 less "/.s.PGSQL.65535"
constexpr std::size_t kMaxDatabaseName = 255;

bool is_any(std::string_view host) {
    return host.empty() || host == "*" || host == "0.0.0.0" || host == "::";
}

bool is_loopback(const std::string& host) {
    in_addr v4{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    in6_addr v6{};
    if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
    return host == "localhost";
}

bool is_numeric(const std::string& host) {
    char address[sizeof(in6_addr)];
    return inet_pton(AF_INET, host.c_str(), address) == 1 ||
           inet_pton(AF_INET6, host.c_str(), address) == 1;
}

/// Whether who listens on `listener` is reached at `host`, the port being the same.
bool reaches(const std::string& host, const std::string& listener) {
    if (!is_loopback(host)) return host == listener;
    return is_any(listener) || host == listener ||
           (is_loopback(listener) && (host == "localhost" || listener == "localhost"));
}

/// "10.0.0.1", "10.0.0.0/8", "::1".
bool is_network(std::string_view text) {
    const auto slash = text.find('/');
    const std::string host(text.substr(0, slash));
    if (!is_numeric(host)) return false;
    if (slash == std::string_view::npos) return true;
    unsigned bits = 0;
    const auto digits = text.substr(slash + 1);
    const auto end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, bits);
    const unsigned most = host.find(':') == std::string::npos ? 32 : 128;
    return !digits.empty() && error == std::errc() && at == end && bits <= most;
}

struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};

/// "host:port", "[address]:port", ":port".
std::optional<HostPort> split(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    HostPort result;
    const auto digits = text.substr(colon + 1);
    const auto end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, result.port);
    if (error != std::errc() || at != end || result.port == 0) return std::nullopt;
    auto host = text.substr(0, colon);
    if (host.starts_with('[') != host.ends_with(']')) return std::nullopt;
    const bool bracketed = host.size() > 2 && host.starts_with('[');
    if (bracketed) host = host.substr(1, host.size() - 2);
    result.host = host;
    if (bracketed != (host.find(':') != std::string_view::npos)) return std::nullopt;
    if (bracketed && !is_numeric(result.host)) return std::nullopt;
    if (host.find_first_of(" /,@") != std::string_view::npos) return std::nullopt;
    return result;
}

class Checker {
  public:
    /// `label` is what stands before the names of options: "" or "databases.app.".
    Checker(const Config& config, const Where& where, Problems& problems, std::string label = {})
        : c_(config), where_(where), problems_(problems), label_(std::move(label)) {}

    void listen() {
        const auto& host = c_.listen.host;
        if (!is_any(host) && host != "localhost" && !is_numeric(host))
            add("listen.host", shown("listen.host", host) +
                                   " is no address; expected one such as 127.0.0.1 or ::1, "
                                   "localhost, or \"*\" for all");
        if (c_.listen.unix_socket_dir.size() > kMaxUnixDirectory)
            add("listen.unix_socket_dir",
                "longer than the system allows for a socket; expected at most 92 bytes");
        for (const auto& network : c_.listen.proxy_protocol)
            if (!is_network(network))
                add("listen.proxy_protocol",
                    shown("listen.proxy_protocol", network) +
                        " is no address; expected one such as 10.0.0.5, 10.0.0.0/8 or ::1");
        const auto& tls = c_.listen.tls;
        if (tls.mode == TlsMode::disable) return;
        if (tls.cert_file.empty() || tls.key_file.empty())
            add("listen.tls.mode",
                "needs a certificate; expected listen.tls.cert_file and listen.tls.key_file, or "
                "mode disable");
        const bool verify = tls.mode == TlsMode::verify_ca || tls.mode == TlsMode::verify_full;
        if (verify && tls.ca_file.empty())
            add("listen.tls.mode",
                "checks clients' certificates; expected listen.tls.ca_file, or mode require");
        if (!tls.crl_file.empty() && tls.ca_file.empty())
            add("listen.tls.crl_file",
                "revokes certificates nobody is asked for; expected listen.tls.ca_file");
    }

    void auth() {
        const auto method = c_.auth.method;
        if (method == AuthMethod::hba && c_.auth.hba_file.empty())
            add("auth.method", "has no rules to go by; expected auth.hba_file");
        const bool secrets = method == AuthMethod::scram_sha_256 || method == AuthMethod::md5;
        if (secrets && c_.auth.users_file.empty() && c_.auth.query_login.user.empty())
            add("auth.method", "has no users to check; expected auth.users_file");
        const bool remote = !is_loopback(c_.listen.host) || !c_.listen.proxy_protocol.empty();
        if (method == AuthMethod::trust && remote && !c_.auth.allow_remote_trust)
            add("auth.method", "trust would believe whoever reaches " +
                                   shown("listen.host", c_.listen.host) +
                                   "; expected a loopback listen.host, or "
                                   "auth.allow_remote_trust: true");
    }

    void cache() {
        if (c_.cache.max_entry > c_.cache.max_size)
            add("cache.max_entry", "larger than cache.max_size; expected at most that");
        if (c_.cache.consistency == Consistency::in_band && !c_.cache.exclusive_writer)
            add("cache.consistency",
                "in_band holds only where nobody writes around the proxy; expected "
                "cache.exclusive_writer: true, or another consistency");
    }

    void slow_log() {
        for (const auto& text : c_.slow_log.thresholds)
            if (!read_slow_rule(text))
                add("slow_log.thresholds",
                    quoted(text) +
                        " is no threshold; expected such as \"database=app, user=joe, 200ms\", "
                        "with any of database, user, application and fingerprint (16 digits), and "
                        "a duration or off");
    }

    void admin() {
        if (c_.admin.database.empty() || c_.admin.database == "*")
            add("admin.database",
                shown("admin.database", c_.admin.database) + " is no name; expected one");
        if (c_.http.listen.empty()) return;
        const auto at = split(c_.http.listen);
        if (!at) {
            add("http.listen", shown("http.listen", c_.http.listen) +
                                   " is no address; expected host:port such as 127.0.0.1:9930, "
                                   "[::1]:9930 or :9930, or \"\" for none");
        } else if (at->port == c_.listen.port &&
                   (is_any(at->host) || reaches(at->host, c_.listen.host))) {
            add("http.listen", "the address clients connect to; expected another port");
        } else if (!is_loopback(at->host) && c_.http.token.empty() && !c_.http.allow_remote_open) {
            add("http.listen",
                shown("http.listen", c_.http.listen) +
                    " would tell everybody who reaches it; expected a loopback address, "
                    "http.token_file, or http.allow_remote_open: true");
        }
    }

    void credentials(const Credentials& login, std::string_view user, std::string_view file) {
        if (login.user.empty() && !login.password_file.empty())
            add(file, "a password of nobody; expected " + std::string(user) + " beside it");
    }

    void server(const Database& d) {
        const auto& host = d.host;
        const auto bad = [&](const std::string& expected) {
            add("host", shown("host", host) + " is no server's name; expected " + expected);
        };
        if (host.empty()) return bad("a name, an address, or a directory that begins with /");
        if (host[0] == '/') {
            if (host.size() > kMaxUnixDirectory)
                bad("a directory of at most 92 bytes");
            else if (host == c_.listen.unix_socket_dir && d.port == c_.listen.port)
                itself();
            return;
        }
        if (host.find('@') != std::string::npos || host.find("://") != std::string::npos)
            return add(
                "host",
                "a user or a scheme in it (not shown, as a password may be, too); expected a "
                "name or an address, since the rest has options of its own");
        if (host.size() > kMaxHost) return bad("at most 255 bytes");
        if (host.find(',') != std::string::npos) return bad("one name, not a list");
        if (host.find(':') != std::string::npos && !is_numeric(host))
            return bad("no port in it; the port is an option of its own");
        if (host.find_first_of(" /*[]") != std::string::npos) return bad("a name or an address");
        if (d.port == c_.listen.port && reaches(host, c_.listen.host)) itself();
    }

    void tls(const Database& d) {
        const auto& tls = d.tls;
        if (tls.cert_file.empty() != tls.key_file.empty())
            add(tls.cert_file.empty() ? "tls.key_file" : "tls.cert_file",
                "a certificate and its key belong together; expected both or none");
        // A list that is never looked at would be believed to protect.
        if (!tls.crl_file.empty() && tls.ca_file.empty() && tls.mode < TlsMode::verify_ca)
            add("tls.crl_file",
                "is of no use where nothing is verified; expected tls.mode verify-ca or above, or "
                "a tls.ca_file");
        if (tls.negotiation == TlsNegotiation::direct && tls.mode < TlsMode::require)
            add("tls.negotiation", "direct needs TLS; expected tls.mode require or above");
        if (tls.channel_binding == ChannelBindingOption::require && tls.mode < TlsMode::require)
            add("tls.channel_binding",
                "require needs TLS to bind to; expected tls.mode require or above");
    }

    void name(const Database& d) {
        if (d.name == c_.admin.database || d.name == "pgbouncer")
            add("", quoted(d.name) + " is the console's name; expected another");
        if (d.name.size() > kMaxDatabaseName)
            add("", "the name of a database is too long; expected at most 255 bytes");
    }

  private:
    void itself() {
        add("host", "pgweir would connect to itself; expected PostgreSQL's host and port");
    }
    void add(std::string_view option, const std::string& text) {
        const auto label = option.empty() ? std::string() : label_ + std::string(option) + ": ";
        problems_.add(where_(option).at, label + text);
    }
    std::string shown(std::string_view option, const std::string& value) const {
        const auto written = where_(option).written;
        return quoted(written.empty() ? value : written);
    }

    const Config& c_;
    const Where& where_;
    Problems& problems_;
    const std::string label_;
};

}  // namespace

void check_global(const Config& config, const Where& where, Problems& problems) {
    Checker checker(config, where, problems);
    checker.listen();
    checker.auth();
    checker.cache();
    checker.slow_log();
    checker.admin();
    checker.credentials(config.control, "control.user", "control.password_file");
    checker.credentials(config.auth.query_login, "auth.query_user", "auth.query_password_file");
}

void check_database(const Config& config, const Database& database, const Where& where,
                    Problems& problems) {
    Checker checker(config, where, problems, "databases." + base::printable(database.name) + ".");
    checker.name(database);
    checker.server(database);
    checker.tls(database);
    checker.credentials(database.login, "user", "password_file");
    const auto& own = database.control;
    if (own.password_file != config.control.password_file)
        checker.credentials(own, "control.user", "control.password_file");
}

}  // namespace pgweir::config
