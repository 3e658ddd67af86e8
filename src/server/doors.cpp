// See doors.hpp.
#include "doors.hpp"

#include <sys/stat.h>

#include "pgweir/base/log.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/tls.hpp"

namespace pgweir::server {

namespace {

using config::AuthMethod;
using config::TlsMode;

bool listens_beyond_loopback(const config::Config& config) {
    const auto at = io::numeric_address(config.listen.host, config.listen.port);
    return !at || !at->is_local() || !config.listen.proxy_protocol.empty();
}

/// What a rule needs and the rest of the configuration does not give.
std::string missing_for(const auth::HbaRule& rule, const config::Config& config,
                        const session::Doors& doors) {
    using auth::HbaMethod;
    if (rule.needs_users() && doors.users == nullptr && config.auth.query_login.user.empty())
        return "method " + std::string(name(rule.method)) +
               " has no users to check; expected auth.users_file";
    if (rule.needs_certificates() && (doors.tls == nullptr || config.listen.tls.ca_file.empty()))
        return "client certificates cannot be checked; expected listen.tls with a ca_file";
    if (!rule.map.empty() && (doors.idents == nullptr || !doors.idents->has(rule.map)))
        return "map " + rule.map + " is not there; expected it in auth.ident_file";
    if (rule.method == HbaMethod::trust && rule.reaches_beyond_loopback() &&
        listens_beyond_loopback(config) && !config.auth.allow_remote_trust)
        return "trust would believe whoever connects; expected a loopback address, or "
               "auth.allow_remote_trust: true";
    return {};
}

/// Only said: many run with such files, and PgBouncer says nothing either.
void warn_if_open(const std::string& path) {
    struct stat s {};
    if (path.empty() || stat(path.c_str(), &s) != 0 || (s.st_mode & S_IRWXO) == 0) return;
    base::log_warning(base::printable(path) +
                      " can be read by every user of the system; chmod o-rwx");
}

class Loading {
  public:
    Loading(const config::Config& config, const session::Doors* before)
        : config_(config), before_(before) {}

    DoorsLoad run() {
        tls();
        users();
        idents();
        balancers();
        for (const auto* path : {&config_.auth.users_file, &config_.auth.query_login.password_file,
                                 &config_.control.password_file, &config_.http.token_file})
            warn_if_open(*path);
        for (const auto& d : config_.databases) warn_if_open(d.login.password_file);
        if (config_.auth.method == AuthMethod::hba) rules();
        if (!out_.errors.empty()) return std::move(out_);
        out_.doors = std::make_shared<const session::Doors>(std::move(made_));
        return std::move(out_);
    }

  private:
    void tls() {
        const auto& tls = config_.listen.tls;
        if (tls.mode == TlsMode::disable) return;
        const bool verify = tls.mode == TlsMode::verify_ca || tls.mode == TlsMode::verify_full;
        auto made = io::TlsContext::server({tls.cert_file, tls.key_file, tls.ca_file, verify,
                                            tls.crl_file, tls.ciphers, tls.suites});
        if (made)
            made_.tls = *std::move(made);
        else
            out_.errors.push_back("listen.tls: " + made.error());
    }

    void users() {
        if (config_.auth.users_file.empty()) return;
        auto loaded = auth::UserStore::load(config_.auth.users_file,
                                            before_ == nullptr ? nullptr : before_->users.get());
        if (loaded)
            made_.users = *std::move(loaded);
        else
            out_.errors.push_back(loaded.error());
    }

    void idents() {
        if (config_.auth.ident_file.empty()) return;
        auto loaded = auth::IdentMap::load(config_.auth.ident_file);
        made_.idents = std::move(loaded.map);
        take(std::move(loaded.errors));
    }

    void balancers() {
        for (const auto& text : config_.listen.proxy_protocol) {
            const auto network = auth::parse_network(text);
            if (network)
                made_.balancers.push_back(*network);
            else
                out_.errors.push_back("listen.proxy_protocol: " + network.error());
        }
    }

    void rules() {
        auto loaded = auth::HbaRules::load(config_.auth.hba_file);
        take(std::move(loaded.errors));
        made_.hba = std::move(loaded.rules);
        if (made_.hba == nullptr || !out_.errors.empty()) return;
        for (const auto& rule : made_.hba->rules())
            if (auto missing = missing_for(rule, config_, made_); !missing.empty())
                out_.errors.push_back(rule.file + ":" + std::to_string(rule.line) + ": " + missing);
    }

    void take(std::vector<std::string> errors) {
        for (auto& e : errors) out_.errors.push_back(std::move(e));
    }

    const config::Config& config_;
    const session::Doors* before_;
    session::Doors made_;
    DoorsLoad out_;
};

}  // namespace

DoorsLoad load_doors(const config::Config& config, const session::Doors* before) {
    return Loading(config, before).run();
}

}  // namespace pgweir::server
