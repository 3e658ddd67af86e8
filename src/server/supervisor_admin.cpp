// Supervisor: console, HTTP, slow log, snapshots and reload.
#include <csignal>

#include "cache_view.hpp"
#include "doors.hpp"
#include "pgweir/admin/advisor.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/config/difference.hpp"
#include "pgweir/config/loader.hpp"
#include "pgweir/server/environment.hpp"
#include "pgweir/server/supervisor.hpp"
#include "plans.hpp"
#include "secret_files.hpp"

namespace pgweir::server {

namespace {

admin::SlowLogOptions slow_log_options(const config::Config& config) {
    admin::SlowLogOptions o;
    o.file = config.slow_log.file;
    o.max_file_size = config.slow_log.max_file_size;
    o.max_files = config.slow_log.max_files;
    o.max_age = config.slow_log.max_age;
    o.form = static_cast<admin::SlowLogForm>(config.slow_log.format);
    o.prefix = config.slow_log.line_prefix;
    o.literals = config.slow_log.literals;
    o.redact = config.slow_log.redact;
    return o;
}

base::LogLevel log_level(config::LogLevelOption level) noexcept {
    return static_cast<base::LogLevel>(static_cast<int>(level));
}

/// A snapshot that the workers fill one after the other; the last one hands it on.
struct Gathering {
    admin::Snapshot snapshot;
    std::mutex mutex;
    std::size_t left = 0;
    std::function<void(admin::Snapshot)> done;
};

}  // namespace

std::string Supervisor::start_admin(const config::Config& config) {
    slow_log_ = std::make_unique<admin::SlowLogWriter>(slow_log_options(config));
    plans_ = std::make_unique<Plans>(config, *slow_log_, *query_stats_);
    admin::ConsoleHooks hooks;
    hooks.config = [this] { return directory_.config(); };
    hooks.hba = [this] { return doors()->hba; };
    hooks.reload = [this](std::function<void(std::vector<std::string>)> done) {
        // Files are read and TLS is set up: not on a worker's thread.
        const std::scoped_lock lock(main_mutex_);
        main_tasks_.push_back([this, done = std::move(done)] { done(reload()); });
        pthread_kill(main_thread_, SIGUSR2);
    };
    cache_view_ = std::make_unique<CacheView>(directory_, *cache_);
    hooks.cache = cache_view_.get();
    console_ = std::make_unique<admin::Console>(*this, std::move(hooks));
    if (config.http.listen.empty()) return {};
    http_ = std::make_unique<admin::HttpServer>(config.http.listen, *this,
                                                [this] { return directory_.config()->http.token; });
    const auto error = http_->start();
    return error.empty() ? std::string() : "http.listen " + config.http.listen + ": " + error;
}

void Supervisor::collect(std::function<void(admin::Snapshot)> done) {
    auto g = std::make_shared<Gathering>();
    g->left = workers_.size();
    g->done = std::move(done);
    describe_process(g->snapshot);
    for (auto& w : workers_)
        w->post([g](Worker& worker) {
            std::unique_lock lock(g->mutex);
            worker.collect(g->snapshot);
            if (--g->left > 0) return;
            lock.unlock();
            g->done(std::move(g->snapshot));
        });
}

void Supervisor::describe_process(admin::Snapshot& s) {
    const auto config = directory_.config();
    s.max_clients = config->limits.max_clients;
    s.started_wall_us = started_wall_us_;
    s.draining = draining_;
    s.slow_queries_logged = slow_log_->written();
    s.slow_queries_lost = slow_log_->lost();
    s.plans_read = plans_->read();
    s.plans_failed = plans_->failed();
    s.queries = query_stats_;
    s.log_lines_dropped = base::log_dropped();
    bool any_pool = false, any_serving = false;
    for (const auto& pool : directory_.pools()) {
        any_pool = true;
        if (pool->permits_used() > 0 || !pool->failing) any_serving = true;
    }
    s.ready = !draining_ && (!any_pool || any_serving);
    if (draining_)
        s.not_ready_reason = "the proxy is shutting down";
    else if (!s.ready)
        s.not_ready_reason = "no pool can reach its server";
    describe_databases(s, *config);
    directory_.for_each_database([&s](DatabaseEntry& entry) {
        const auto stats = entry.state->stats().read();
        admin::CacheRow row;
        row.database = entry.dbname;
        row.enabled = entry.state->rung() != cache::Rung::off;
        row.guarantee = cache::name(entry.state->rung());
        row.guarantee_reason = entry.state->rung_reason();
        row.rung = static_cast<unsigned>(entry.state->rung());
        const auto& stream = entry.state->stream();
        if (const auto mark = stream.watermark(); mark != 0)
            row.stream_lag =
                static_cast<double>(base::monotonic_now() - mark) / double{base::kSecond};
        row.stream_transactions = stream.transactions();
        row.stream_gaps = stream.gaps();
        row.stream_waits = stream.waits();
        row.entries = stats.entries;
        row.bytes = stats.bytes;
        row.hits = stats[cache::Event::hit];
        row.misses = stats[cache::Event::miss];
        row.fills = stats[cache::Event::fill];
        row.invalidations = stats[cache::Event::invalidation];
        row.evictions = stats[cache::Event::eviction];
        row.verified = stats[cache::Event::verified];
        row.mismatches = stats[cache::Event::mismatch];
        s.caches.push_back(std::move(row));
    });
}

void Supervisor::describe_databases(admin::Snapshot& s, const config::Config& config) {
    std::map<std::string, admin::DatabaseRow> rows;
    const auto row_of = [&rows](const std::string& name,
                                const config::Database& db) -> admin::DatabaseRow& {
        auto& row = rows[name];
        row.name = name;
        row.host = db.host;
        row.port = db.port;
        row.database = db.dbname.empty() ? name : db.dbname;
        row.force_user = db.login.user;
        row.pool_size = db.pool.max_size;
        row.min_pool_size = db.pool.min_size;
        row.server_lifetime = db.pool.lifetime;
        row.mode = db.pool.mode;
        return row;
    };
    for (const auto& db : config.databases)
        if (db.name != "*") row_of(db.name, db);
    for (const auto& pool : directory_.pools()) {
        auto& row = row_of(pool->key.database, pool->config()->database);
        row.current_connections += pool->permits_used();
        row.current_client_connections += pool->clients;
    }
    auto& own = rows[config.admin.database];
    own.name = own.database = config.admin.database;
    own.force_user = config.admin.database;
    own.pool_size = 2;
    own.port = config.listen.port;
    own.mode = config::PoolMode::statement;
    for (auto& [name, row] : rows) s.databases.push_back(std::move(row));
}

/// Once a minute, each finding once.
void Supervisor::log_advice() {
    constexpr std::size_t kMaxTold = 1000;
    const auto config = directory_.config();
    const auto now = base::monotonic_now();
    if (!config->queries.enabled || !config->queries.advice || now < advice_at_) return;
    advice_at_ = now + 60 * base::kSecond;
    admin::QueryFilter filter;
    filter.limit = kMaxTold;
    for (const auto& a : admin::advise(query_stats_->rows(filter, now)))
        if (advised_.size() < kMaxTold && advised_.emplace(a.rule, a.fingerprint).second)
            base::log_info("advice: " + std::string(a.rule) + ": " +
                           base::printable(a.evidence, 400) + "; " +
                           base::printable(a.advice, 400) + "; it has cost " +
                           std::to_string(a.time_us / 1000) + " ms: " + base::printable(a.query));
}

std::vector<std::string> Supervisor::reload() {
    const std::scoped_lock lock(reload_mutex_);
    const auto old = directory_.config();
    auto loaded = config::load_config(old->file, process_environment());
    if (!loaded.config) return loaded.errors;
    auto now = loaded.config;
    const auto secret_files = secret_files_stamp(*now);
    const auto config_file = config_file_stamp(*now);
    auto doors = load_doors(*now, this->doors().get());
    for (auto& error : directory_.check(*now)) doors.errors.push_back(std::move(error));
    if (!doors.errors.empty()) return doors.errors;
    // The last that can fail: from here on everything is taken over.
    if (!base::open_log(log_level(now->log.level), now->log.file))
        return {"log.file: cannot open " + now->log.file};
    for (const auto& change : config::differences(*old, *now))
        base::log_info("reload: " + change.text +
                       (change.needs_restart ? " (takes effect after a restart)" : ""));
    open_doors(std::move(doors.doors), *now);
    secret_files_ = secret_files;
    config_file_ = config_file;
    slow_log_->reconfigure(slow_log_options(*now));
    slow_log_->reopen();
    plans_->configure(*now);
    query_stats_->set_max_memory(now->queries.max_memory);
    query_stats_->set_hidden(now->slow_log.redact, !now->slow_log.literals);
    cache_->set_limits(now->cache.max_size, now->cache.max_entry);
    if (!now->cache.enabled) cache_->clear();
    directory_.set_config(now);
    control_->set_catalog_poll(now->cache.catalog_poll);
    control_->set_publication(now->cache.stream_publication);
    streams_->set_options(stream_options(*now));
    renew_controls(*now);
    directory_.for_each_database([&](DatabaseEntry& entry) {
        if (entry.target != 0) apply_rung(entry, *now);
    });
    for (auto& w : workers_) w->post([now](Worker& worker) { worker.apply_config(now); });
    base::log_info("reload: done");
    return {};
}

}  // namespace pgweir::server
