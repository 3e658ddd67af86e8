// Supervisor: control connections, catalogs, and what the cache may promise for each database.
#include <algorithm>
#include <map>

#include "pgweir/base/log.hpp"
#include "pgweir/server/supervisor.hpp"
#include "target_tls.hpp"

namespace pgweir::server {

namespace {

/// What stands in the way of a change stream, as something to do about it.
std::string stream_obstacle(const control::ServerFacts& facts, const config::Config& config) {
    if (config.cache.stream_max_slots == 0) return "cache.stream.max_slots is 0";
    if (facts.server_version_num < 130000) return "the server is older than PostgreSQL 13";
    if (facts.in_recovery) return "the server is a standby";
    if (!facts.wal_level_logical) return "set wal_level = logical and restart the server";
    if (!facts.may_replicate) return "give the control login the attribute REPLICATION";
    return {};
}

}  // namespace

std::optional<control::Target> Supervisor::lookup_target(const config::Config& config,
                                                         const std::string& database) {
    const auto& login = config.auth.query_login;
    if (login.user.empty()) return std::nullopt;
    const auto* db = config.find_database(database);
    if (db == nullptr && !config.databases.empty()) db = &config.databases.front();  // console
    if (db == nullptr) return std::nullopt;
    control::Target t;
    t.host = db->host;
    t.port = db->port;
    t.dbname = !config.auth.query_database.empty() ? config.auth.query_database
               : !db->dbname.empty()               ? db->dbname
               : db->name == "*"                   ? database
                                                   : db->name;
    if (db->name == "*" && (database == config.admin.database || database == "pgbouncer") &&
        config.auth.query_database.empty())
        t.dbname = "postgres";
    t.user = login.user;
    t.password = login.password;
    set_tls(t, *db);
    return t;
}

std::optional<ControlLogin> Supervisor::control_login(const pool::PoolConfig& pool_config,
                                                      const pool::SharedPool& pool) const {
    const auto config = directory_.config();
    const auto& db = pool_config.database;
    ControlLogin login;
    login.target.host = db.host;
    login.target.port = db.port;
    login.target.dbname = pool_config.dbname;
    set_tls(login.target, db);
    for (const auto* own : {&db.control, &config->control, &db.login}) {
        if (own->user.empty()) continue;
        login.target.user = own->user;
        login.target.password = own->password;
        login.named = true;
        return login;
    }
    // The pool's user, where it can log in.
    const auto known = pool.credentials();
    if (known.state == pool::Credentials::State::unknown &&
        config->auth.method != config::AuthMethod::trust)
        return std::nullopt;
    login.target.user = pool.key.user;
    login.target.password = known.password;
    return login;
}

cache::DatabaseState* Supervisor::database_state(const pool::PoolConfig& pool_config,
                                                 const pool::SharedPool& pool) {
    cache::DatabaseState* state = nullptr;
    directory_.with_database(Directory::server_name(pool_config.database), pool_config.dbname,
                             [&](DatabaseEntry& entry) {
                                 state = entry.state;
                                 if (entry.target != 0 && !entry.control_unsure) return;
                                 const auto login = control_login(pool_config, pool);
                                 if (!login) return;
                                 if (entry.target != 0) return renew_control(entry, {*login});
                                 entry.reading = state->begin_catalog_read();
                                 entry.control = *login;
                                 entry.target = control_->add_target(login->target);
                             });
    return state;
}

/// A login that one of the pools still says stays. So does a pool's user whose pool is gone: which
/// of them it is depends on who came first.
void Supervisor::renew_control(DatabaseEntry& entry, const std::vector<ControlLogin>& said) {
    entry.control_unsure = said.empty();
    const auto& now = entry.control;
    const bool stays = std::any_of(said.begin(), said.end(), [&](const ControlLogin& login) {
        auto target = login.target;
        if (!login.named && !now.named && target.user != now.target.user) {
            target.user = now.target.user;
            target.password = now.target.password;
        }
        return target == now.target;
    });
    if (said.empty() || stays) return;
    drop_stream(entry);
    entry.control = said.front();
    control_->set_target(entry.target, entry.control.target);
}

void Supervisor::renew_controls(const config::Config& config) {
    std::map<std::pair<std::string, std::string>, std::vector<ControlLogin>> said;
    for (const auto& pool : directory_.pools()) {
        const auto pool_config = pool->config();
        const auto* db = config.find_database(pool->key.database);
        // Some are as they were before the reload, some there to prove a client's password.
        if (db == nullptr || db->login.user != pool_config->database.login.user) continue;
        if (auto login = control_login(*pool_config, *pool))
            said[{Directory::server_name(pool_config->database), pool_config->dbname}].push_back(
                *std::move(login));
    }
    directory_.for_each_database([&](DatabaseEntry& entry) {
        if (entry.target != 0) renew_control(entry, said[{entry.server, entry.dbname}]);
    });
}

void Supervisor::begin_reading(DatabaseEntry& entry) {
    auto snapshot = entry.state->begin_catalog_read();
    entry.reload_again = !snapshot;
    if (!snapshot) return;
    entry.reading = std::move(snapshot);
    entry.reload_number = control_->request_reload(entry.target);
}

void Supervisor::reload_catalog(cache::DatabaseState& database) {
    directory_.with_state(database, [&](DatabaseEntry& entry) {
        if (entry.target != 0) begin_reading(entry);
    });
}

/// Those that could not be read because a commit that may change them was in flight, and those that
/// are out of force without anybody having asked for another: what a statement of another database,
/// or one whose client has left, might have changed, it may have left as it was.
void Supervisor::retry_catalogs() {
    directory_.for_each_database([this](DatabaseEntry& entry) {
        if (entry.target == 0) return;
        const bool forgotten =
            !entry.reading && entry.reason.empty() && entry.state->catalog_version() == 0;
        if (entry.reload_again || forgotten) begin_reading(entry);
    });
}

void Supervisor::on_catalog(const control::CatalogEvent& event) {
    std::string server;
    std::uint32_t limit = 0;
    directory_.with_target(event.target, [&](DatabaseEntry& entry) {
        server = entry.server;
        if (event.facts.max_connections > 0) {
            const auto usable =
                event.facts.max_connections -
                std::min(event.facts.max_connections, event.facts.reserved_connections);
            limit = std::max(1u, usable - usable / 10);
        }
        entry.reason = event.reason;
        entry.facts = event.facts;
        entry.tells_ddl = event.tells_ddl;
        entry.tells_writes = event.tells_writes;
        entry.logins_run_code = event.logins_run_code;
        if (!event.catalog) {
            entry.state->set_catalog(nullptr);
            entry.reading.reset();
            base::log_warning("database " + entry.server + "/" + base::printable(entry.dbname) +
                              ": nothing is cached: " + base::printable(event.reason));
        } else if (event.covers < entry.reload_number) {
            return;  // a newer reading is on its way
        } else if (!entry.reading) {
            // The fingerprint changed by itself, unless it is only the server that did.
            if (entry.state->catalog() != event.catalog) return begin_reading(entry);
        } else {
            const bool taken = entry.state->set_catalog(event.catalog, *entry.reading);
            entry.reading.reset();
            if (!taken || entry.reload_again) {
                begin_reading(entry);
                return;
            }
        }
        apply_rung(entry, *directory_.config());
    });
    if (limit > 0) directory_.set_host_limit(server, limit);
}

void Supervisor::on_stream(const control::StreamEvent& event) {
    directory_.for_each_database([&](DatabaseEntry& entry) {
        if (entry.stream != event.stream) return;
        if (event.defined) {
            if (entry.target != 0) begin_reading(entry);
            return;
        }
        entry.stream_live = event.live;
        entry.stream_reason = event.reason;
        apply_rung(entry, *directory_.config());
    });
}

control::StreamOptions Supervisor::stream_options(const config::Config& config) {
    control::StreamOptions o;
    o.max_staleness = config.cache.max_staleness;
    o.max_slots = config.cache.stream_max_slots;
    o.publication = config.cache.stream_publication;
    o.connect_timeout = config.timeouts.connect;
    return o;
}

void Supervisor::drop_stream(DatabaseEntry& entry) {
    if (entry.stream != 0) streams_->remove(entry.stream);
    entry.stream = 0;
    entry.stream_live = false;
    entry.stream_reason.clear();
}

cache::Rung Supervisor::stream_rung(DatabaseEntry& entry, const config::Config& config,
                                    std::string& reason) {
    using config::Consistency;
    const auto why = stream_obstacle(entry.facts, config);
    const bool by_notices = !why.empty() && entry.tells_writes && !entry.facts.in_recovery;
    if (by_notices != entry.by_notices) drop_stream(entry);
    if (!why.empty() && !by_notices) {
        drop_stream(entry);
        reason = "writes around the proxy cannot be seen: " + why;
        if (config.cache.consistency == Consistency::automatic)
            reason += "; or set cache.exclusive_writer: true if there are none";
        return cache::Rung::off;
    }
    if (entry.stream == 0) {
        entry.by_notices = by_notices;
        entry.stream =
            streams_->add(entry.control.target, *entry.state,
                          by_notices ? control::ChangesBy::notices : control::ChangesBy::stream);
        entry.stream_reason =
            "the change stream begins with the first statement that could be cached";
    }
    if (!entry.stream_live) {
        reason = entry.stream_reason;
        return cache::Rung::off;
    }
    return config.cache.consistency == Consistency::strict ? cache::Rung::strict
                                                           : cache::Rung::bounded;
}

cache::Rung Supervisor::choose_rung(DatabaseEntry& entry, const config::Config& config,
                                    std::string& reason) {
    using config::Consistency;
    const auto& c = config.cache;
    const bool automatic = c.consistency == Consistency::automatic;
    const bool streams = c.consistency == Consistency::strict ||
                         c.consistency == Consistency::bounded ||
                         (automatic && !c.exclusive_writer);
    if (!c.enabled || !streams) drop_stream(entry);
    if (!c.enabled || c.consistency == Consistency::off) {
        reason = "cache is switched off in the configuration";
        return cache::Rung::off;
    }
    // While it is read again because something was defined, nothing is judged by it, and no more
    // has to be said.
    const bool reading_again = entry.stream != 0 && entry.reason.empty();
    if (entry.state->catalog_version() == 0 && !reading_again) {
        reason = entry.reason.empty() ? "the catalog is being read anew"
                                      : "the catalog could not be read: " + entry.reason;
        return cache::Rung::off;
    }
    if (streams) return stream_rung(entry, config, reason);
    const bool in_band = c.exclusive_writer && (automatic || c.consistency == Consistency::in_band);
    if (in_band && entry.facts.in_recovery) {
        reason = "the server is a standby: what is written at its primary comes to it later";
        return cache::Rung::off;
    }
    if (in_band && entry.logins_run_code) {
        reason =
            "an event trigger on login may write whenever anybody connects: drop it, or set "
            "cache.consistency: bounded, so that a change stream tells of it";
        return cache::Rung::off;
    }
    if (in_band) return cache::Rung::in_band;
    reason = "cache.consistency asks for what cannot be given";
    return cache::Rung::off;
}

void Supervisor::apply_rung(DatabaseEntry& entry, const config::Config& config) {
    std::string reason;
    const auto rung = choose_rung(entry, config, reason);
    const bool same = rung == entry.state->rung() && reason == entry.guarantee_reason;
    if (same && entry.guarantee_logged) return;
    entry.guarantee_logged = true;
    entry.guarantee_reason = reason;
    entry.state->set_rung(rung, reason);
    base::log_info("database " + entry.server + "/" + base::printable(entry.dbname) +
                   ": cache guarantee " + std::string(cache::name(rung)) +
                   (reason.empty() ? "" : ": " + reason));
}

void Supervisor::server_settings_changed(const pool::PoolConfig& config) {
    directory_.with_database(Directory::server_name(config.database), config.dbname,
                             [](DatabaseEntry& entry) { entry.state->whole().bump(); });
}

bool Supervisor::vacate_database(const std::string& server, const std::string& dbname) {
    bool streamed = false;
    directory_.for_each_database([&](DatabaseEntry& entry) {
        if (entry.server != server || entry.dbname != dbname) return;
        streamed = entry.stream != 0;
        drop_stream(entry);
        if (entry.target != 0) control_->rest(entry.target);
    });
    for (auto& w : workers_)
        w->post([server, dbname](Worker& worker) { worker.vacate(server, dbname); });
    return streamed;
}

void Supervisor::enter_database(const std::string& server, const std::string& dbname) {
    directory_.for_each_database([&](DatabaseEntry& entry) {
        if (entry.server == server && entry.dbname == dbname && entry.target != 0)
            control_->end_rest(entry.target);
    });
}

bool Supervisor::clear_snapshots(cache::DatabaseState& database, std::function<void()> cleared) {
    bool any = false;
    directory_.with_state(database, [&](DatabaseEntry& entry) {
        any = entry.target != 0;
        if (any) control_->clear_snapshots(entry.target, std::move(cleared));
    });
    return any;
}

void Supervisor::hold_until_gone(cache::DatabaseState& database, std::uint32_t pid,
                                 std::unique_ptr<pool::Held> held) {
    auto kept = std::make_shared<std::unique_ptr<pool::Held>>(std::move(held));
    directory_.with_state(database, [&](DatabaseEntry& entry) {
        // Without a control connection nothing is cached, and dropping it only bumps epochs.
        if (entry.target == 0) return;
        control_->watch_pid(entry.target, static_cast<std::int32_t>(pid),
                            [kept] { kept->reset(); });
    });
}

void Supervisor::hold_until_gone(const pool::PoolConfig& place, std::uint32_t pid,
                                 std::unique_ptr<pool::Held> held) {
    cache::DatabaseState* database = nullptr;
    directory_.with_database(Directory::server_name(place.database), place.dbname,
                             [&](DatabaseEntry& entry) { database = entry.state; });
    hold_until_gone(*database, pid, std::move(held));
}

}  // namespace pgweir::server
