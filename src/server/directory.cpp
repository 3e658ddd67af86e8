// See directory.hpp.
#include "pgweir/server/directory.hpp"

#include <algorithm>

#include "pgweir/base/log.hpp"
#include "pgweir/io/tls.hpp"

namespace pgweir::server {

namespace {

/// As libpq: a given list of authorities is believed in every mode, and nobody else is.
io::TlsClientOptions tls_options(const config::Database& database) {
    using config::TlsMode;
    const auto& t = database.tls;
    io::TlsClientOptions o;
    o.verify = t.mode == TlsMode::verify_full                       ? io::TlsVerify::full
               : t.mode == TlsMode::verify_ca || !t.ca_file.empty() ? io::TlsVerify::ca
                                                                    : io::TlsVerify::none;
    o.ca_file = t.ca_file;
    o.crl_file = t.crl_file;
    o.host = database.host;
    o.cert_file = t.cert_file;
    o.key_file = t.key_file;
    o.alpn = t.negotiation == config::TlsNegotiation::direct;
    return o;
}

pool::Credentials configured(const config::Credentials& login) {
    pool::Credentials c;
    c.state = login.password.empty() ? pool::Credentials::State::no_password_needed
                                     : pool::Credentials::State::password;
    c.password = login.password;
    return c;
}

/// As somebody else than the pool's connections.
bool logs_in_otherwise(const config::Database& database, const pool::SharedPool& pool,
                       bool own_login) {
    return !own_login && !database.login.user.empty() && database.login.user != pool.key.user;
}

/// Of a pool that nobody new finds: its clients go on, and it with them.
pool::PoolConfigPtr without_reserve(const pool::PoolConfig& config) {
    constexpr base::Nanos kUnused = 5 * base::kSecond;
    auto c = std::make_shared<pool::PoolConfig>(config);
    auto& p = c->database.pool;
    p.min_size = 0;
    p.idle_timeout = p.idle_timeout == 0 ? kUnused : std::min(p.idle_timeout, kUnused);
    return c;
}

}  // namespace

Directory::Directory(config::ConfigPtr config, unsigned workers)
    : config_(std::move(config)), workers_(workers) {}

config::ConfigPtr Directory::config() const {
    const std::scoped_lock lock(mutex_);
    return config_;
}

std::string Directory::server_name(const config::Database& database) {
    return database.host + ":" + std::to_string(database.port);
}

std::shared_ptr<pool::HostBudget> Directory::host(const std::string& server) {
    auto& h = hosts_[server];
    if (!h) h = std::make_shared<pool::HostBudget>(config_->limits.max_server_connections);
    return h;
}

std::shared_ptr<io::TlsContext> Directory::tls_context(const config::Database& database,
                                                       std::string& error) {
    const auto& t = database.tls;
    const auto key = std::to_string(static_cast<int>(t.mode)) +
                     std::to_string(static_cast<int>(t.negotiation)) + database.host + '\0' +
                     t.ca_file + '\0' + t.crl_file + '\0' + t.cert_file + '\0' + t.key_file;
    if (const auto it = tls_.find(key); it != tls_.end()) return it->second;
    auto made = io::TlsContext::client(tls_options(database));
    if (!made) {
        error = made.error();
        return nullptr;
    }
    return tls_[key] = *made;
}

std::vector<std::string> Directory::check(const config::Config& config) {
    std::vector<std::string> errors;
    for (const auto& database : config.databases) {
        if (database.tls.mode == config::TlsMode::disable) continue;
        if (const auto made = io::TlsContext::client(tls_options(database)); !made)
            errors.push_back("databases." + base::printable(database.name) +
                             ".tls: " + made.error());
    }
    return errors;
}

pool::PoolConfigPtr Directory::make_config(const config::Database& database,
                                           const std::string& name, bool own_login) {
    auto c = std::make_shared<pool::PoolConfig>();
    c->database = database;
    c->dbname = database.dbname.empty() ? name : database.dbname;
    if (own_login) c->database.login = {};
    c->connect_timeout = config_->timeouts.connect;
    c->prepared_per_server = config_->limits.prepared_statements_per_server;
    c->generation = generation_;
    if (database.tls.mode != config::TlsMode::disable) c->tls = tls_context(database, c->tls_error);
    return c;
}

std::shared_ptr<pool::SharedPool> Directory::pool(const std::string& name, const std::string& user,
                                                  bool own_login) {
    const std::scoped_lock lock(mutex_);
    const auto* database = config_->find_database(name);
    if (database == nullptr) return nullptr;
    const bool named = !own_login && !database->login.user.empty();
    const auto& server_user = named ? database->login.user : user;
    const auto key = std::to_string(own_login && !database->login.user.empty()) + ":" +
                     std::to_string(name.size()) + ":" + name + server_user;
    auto& known = pools_[key];
    if (known.pool) return known.pool;
    known.own_login = own_login && !database->login.user.empty();
    known.pool = std::make_shared<pool::SharedPool>(pool::PoolKey{name, server_user},
                                                    make_config(*database, name, known.own_login),
                                                    host(server_name(*database)), workers_);
    if (named) known.pool->set_credentials(configured(database->login));
    return known.pool;
}

std::vector<std::shared_ptr<pool::SharedPool>> Directory::pools() const {
    const std::scoped_lock lock(mutex_);
    std::vector<std::shared_ptr<pool::SharedPool>> all;
    for (const auto& [key, known] : pools_) all.push_back(known.pool);
    return all;
}

void Directory::sweep() {
    const std::scoped_lock lock(mutex_);
    std::erase_if(pools_, [](const auto& p) {
        return p.second.pool.use_count() == 1 && p.second.pool->clients == 0;
    });
}

void Directory::set_config(config::ConfigPtr config) {
    for (const auto& [server, dbname] : apply(std::move(config)))
        with_database(server, dbname, [](DatabaseEntry& entry) { entry.state->whole().bump(); });
}

/// The databases that pools have been moved to: what was known of them may be of a time when others
/// wrote there.
std::vector<std::pair<std::string, std::string>> Directory::apply(config::ConfigPtr config) {
    std::vector<std::pair<std::string, std::string>> moved;
    const std::scoped_lock lock(mutex_);
    config_ = std::move(config);
    tls_.clear();  // certificates may have been renewed
    for (auto& [key, known] : pools_) {
        const auto* database = config_->find_database(known.pool->key.database);
        const auto old = known.pool->config();
        if (database == nullptr || logs_in_otherwise(*database, *known.pool, known.own_login)) {
            known.pool->set_config(without_reserve(*old));
            continue;
        }
        auto made = std::make_shared<pool::PoolConfig>(
            *make_config(*database, known.pool->key.database, known.own_login));
        const bool same_server = pool::same_place(*old, *made) &&
                                 old->database.tls == database->tls &&
                                 old->database.login.user == made->database.login.user &&
                                 old->database.login.password == made->database.login.password;
        made->generation = same_server ? old->generation : ++generation_;
        if (!same_server) {
            moved.emplace_back(server_name(*database), made->dbname);
            known.pool->move_to(host(server_name(*database)));
            if (old->database.login.user != made->database.login.user)
                known.pool->set_credentials({});
            if (!made->database.login.user.empty())
                known.pool->set_credentials(configured(made->database.login));
        }
        known.pool->set_config(std::move(made));
    }
    if (config_->limits.max_server_connections != 0)
        for (auto& [name, h] : hosts_) h->set_limit(config_->limits.max_server_connections);
    return moved;
}

void Directory::set_host_limit(const std::string& server, std::uint32_t limit) {
    const std::scoped_lock lock(mutex_);
    if (config_->limits.max_server_connections == 0) host(server)->set_limit(limit);
}

void Directory::with_database(const std::string& server, const std::string& dbname,
                              const std::function<void(DatabaseEntry&)>& f) {
    const std::scoped_lock lock(databases_mutex_);
    auto& entry = databases_[server + "/" + dbname];
    if (entry.state == nullptr) {
        entry.server = server;
        entry.dbname = dbname;
        entry.state = &registry_.database(server, dbname);
    }
    f(entry);
}

void Directory::with_target(control::TargetId target,
                            const std::function<void(DatabaseEntry&)>& f) {
    const std::scoped_lock lock(databases_mutex_);
    for (auto& [key, entry] : databases_)
        if (entry.target == target && target != 0) f(entry);
}

void Directory::with_state(const cache::DatabaseState& state,
                           const std::function<void(DatabaseEntry&)>& f) {
    const std::scoped_lock lock(databases_mutex_);
    for (auto& [key, entry] : databases_)
        if (entry.state == &state) f(entry);
}

void Directory::for_each_database(const std::function<void(DatabaseEntry&)>& f) {
    const std::scoped_lock lock(databases_mutex_);
    for (auto& [key, entry] : databases_) f(entry);
}

}  // namespace pgweir::server
