// Who may come in from where, and how: rules in the form of pg_hba.conf (PostgreSQL's manual, "The
// pg_hba.conf File"), the first that fits a connection decides. What needs the server's knowledge
// (roles' memberships) or blocking look-ups (host names) is refused when the file is read.
// Invariant: a set of rules is immutable and whole: a file with any error gives none, so that no
// line is ever skipped. No rule that fits means: refused.
// Thread: any may ask; reading blocks on files.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/result.hpp"

namespace pgweir::auth {

enum class HbaKind : std::uint8_t { local, host, hostssl, hostnossl, hostgssenc, hostnogssenc };
enum class HbaMethod : std::uint8_t { trust, reject, forward, md5, scram_sha_256, cert, peer };
enum class HbaClientCert : std::uint8_t { none, verify_ca, verify_full };

std::string_view name(HbaKind kind) noexcept;
std::string_view name(HbaMethod method) noexcept;

/// A network; an IPv4 one is kept as the IPv6 addresses ::ffff:0:0/96 map it to.
struct Network {
    std::array<std::uint8_t, 16> address{};
    unsigned prefix = 0;  // bits that count, of 128

    bool contains(const sockaddr* peer) const noexcept;
    bool is_loopback() const noexcept;  // all of it
};
/// "10.0.0.0/8", "::1/128", or a lone address.
base::Result<Network> parse_network(std::string_view text);

struct HbaName {
    enum class Is : std::uint8_t { name, all, same_user, replication };
    Is is = Is::name;
    std::string text;  // as written
};

struct HbaRule {
    std::string file;
    std::size_t line = 0;
    HbaKind kind = HbaKind::host;
    std::vector<HbaName> databases, users;
    std::vector<Network> networks;  // none: every address
    std::string address, mask;      // as written
    HbaMethod method = HbaMethod::reject;
    std::string map;
    HbaClientCert client_cert = HbaClientCert::none;
    bool by_subject = false;  // clientname=DN: the whole subject, not its common name

    bool needs_certificates() const noexcept {
        return method == HbaMethod::cert || client_cert != HbaClientCert::none;
    }
    bool needs_users() const noexcept {
        return method == HbaMethod::md5 || method == HbaMethod::scram_sha_256;
    }
    /// Whether somebody beyond this machine could meet it.
    bool reaches_beyond_loopback() const noexcept;
    std::string options_text() const;
};

struct HbaQuery {
    const sockaddr* address = nullptr;  // null: a Unix socket
    bool encrypted = false;
    std::string_view database, user;
    /// Of a physical replication connection, which is of no database: only the word `replication`
    /// in place of one fits.
    bool replication = false;
};

class HbaRules;
using HbaRulesPtr = std::shared_ptr<const HbaRules>;

struct HbaLoad {
    HbaRulesPtr rules;                // null exactly when there are errors
    std::vector<std::string> errors;  // file:line: what; what was expected
};

class HbaRules {
  public:
    using Reader = std::function<base::Result<std::string>(const std::string& path)>;

    static HbaLoad load(const std::string& path);
    static HbaLoad parse(std::string_view text, const std::string& file, const Reader& read);

    /// The rule a connection meets; null: none, and it is refused.
    const HbaRule* find(const HbaQuery& query) const noexcept;
    const std::vector<HbaRule>& rules() const noexcept { return rules_; }

  private:
    std::vector<HbaRule> rules_;
};

}  // namespace pgweir::auth
