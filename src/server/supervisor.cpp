// See supervisor.hpp: starting, waiting for signals, stopping.
#include "pgweir/server/supervisor.hpp"

#include <csignal>
#include <thread>

#include "cache_view.hpp"
#include "doors.hpp"
#include "pgweir/base/log.hpp"
#include "plans.hpp"
#include "secret_files.hpp"

namespace pgweir::server {

namespace {

constexpr unsigned kMaxAutoWorkers = 4;
constexpr base::Nanos kHousekeeping = 10 * base::kSecond;

unsigned worker_count(const config::Config& config) {
    if (config.workers != 0) return config.workers;
    return std::clamp(std::thread::hardware_concurrency(), 1u, kMaxAutoWorkers);
}

control::UserLookup::Options lookup_options(const config::Config& config) {
    return {config.auth.query, config.auth.query_ttl, config.timeouts.connect};
}

control::ControlOptions control_options(const config::Config& config) {
    control::ControlOptions o;
    o.catalog_poll = config.cache.catalog_poll;
    o.publication = config.cache.stream_publication;
    o.connect_timeout = config.timeouts.connect;
    return o;
}

std::string joined(const std::vector<std::string>& errors) {
    std::string all;
    for (const auto& e : errors) all += (all.empty() ? "" : "\n") + e;
    return all;
}

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int s : {SIGHUP, SIGTERM, SIGINT, SIGUSR2}) sigaddset(&set, s);
    return set;
}

}  // namespace

Supervisor::Supervisor(const config::ConfigPtr& config)
    : directory_(config, worker_count(*config)),
      cache_(std::make_unique<cache::ResultCache>(config->cache.max_size, config->cache.max_entry)),
      query_stats_(std::make_shared<admin::QueryStats>(config->queries.max_memory)),
      started_wall_us_(base::wall_now_us()) {}

Supervisor::~Supervisor() {
    http_.reset();
    if (control_) control_->stop();
    if (streams_) streams_->stop();
    user_lookup_.reset();
    for (auto& w : workers_) w->stop_and_join();
    workers_.clear();
    console_.reset();
    plans_.reset();
    slow_log_.reset();
}

void Supervisor::open_doors(session::DoorsPtr doors, const config::Config& config) {
    address_limits_.connections.set_limit(config.limits.connections_per_address, base::kSecond);
    address_limits_.failures.set_limit(config.limits.failed_logins_per_address, 60 * base::kSecond);
    if (user_lookup_) user_lookup_->configure(lookup_options(config));
    const std::scoped_lock lock(doors_mutex_);
    doors_ = std::move(doors);
}

session::DoorsPtr Supervisor::doors() const {
    const std::scoped_lock lock(doors_mutex_);
    return doors_;
}

std::string Supervisor::listen() {
    const auto config = directory_.config();
    std::string error;
    const bool shared = workers_.size() > 1;
    auto at = io::numeric_address(config->listen.host, config->listen.port);
    if (!at) return "listen.host: " + at.error();
    if (shared && io::Listener::is_taken(*at))
        return "cannot listen on " + config->listen.host + ":" +
               std::to_string(config->listen.port) +
               ": Address already in use; expected a free port in listen.port";
    for (auto& w : workers_)
        if (!w->listen(*at, shared, false, error))
            return "cannot listen on " + config->listen.host + ":" +
                   std::to_string(config->listen.port) + ": " + error;
    if (!config->listen.unix_socket_dir.empty()) {
        auto path = io::unix_address(config->listen.unix_socket_dir, config->listen.port);
        if (!path) return "listen.unix_socket_dir: " + path.error();
        if (!workers_[0]->listen(*path, false, true, error))
            return "cannot listen in " + config->listen.unix_socket_dir + ": " + error;
    }
    return {};
}

void Supervisor::make_room(const std::shared_ptr<pool::SharedPool>& pool, unsigned asker,
                           unsigned step) {
    if (step == workers()) return;
    worker((asker + step) % workers()).post([pool, asker, step](Worker& w) {
        if (w.frees_place_of(*pool))
            w.post_to_pool(asker, pool, [](pool::Pool& p) { p.use_room(); });
        else
            w.supervisor().make_room(pool, asker, step + 1);
    });
}

void Supervisor::block_signals() {
    const auto set = handled_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

std::vector<std::string> Supervisor::check(const config::Config& config) {
    auto errors = load_doors(config, nullptr).errors;
    for (auto& error : Directory::check(config)) errors.push_back(std::move(error));
    return errors;
}

std::string Supervisor::start() {
    const auto config = directory_.config();
    look_at_secret_files();  // what changes from here on is seen
    query_stats_->set_hidden(config->slow_log.redact, !config->slow_log.literals);
    auto loaded = load_doors(*config, nullptr);
    for (auto& error : directory_.check(*config)) loaded.errors.push_back(std::move(error));
    if (!loaded.errors.empty()) return joined(loaded.errors);
    open_doors(std::move(loaded.doors), *config);
    for (unsigned n = 0; n < worker_count(*config); ++n)
        workers_.push_back(std::make_unique<Worker>(*this, n));
    if (auto error = listen(); !error.empty()) return error;
    if (auto error = start_admin(*config); !error.empty()) return error;
    streams_ = std::make_unique<control::ChangeStreams>(
        stream_options(*config), [this](const control::StreamEvent& e) { on_stream(e); });
    streams_->start();
    control_ = std::make_unique<control::ControlThread>(
        control_options(*config), [this](const control::CatalogEvent& e) { on_catalog(e); });
    control_->start();
    user_lookup_ = std::make_unique<control::UserLookup>(lookup_options(*config));
    for (auto& w : workers_) w->start();
    warm_named_pools(*config);
    base::log_info("pgweir " PGWEIR_VERSION " listens on " + config->listen.host + ":" +
                   std::to_string(config->listen.port) + " with " +
                   std::to_string(workers_.size()) + " workers");
    return {};
}

/// Databases that name a user keep min_size connections from the start.
void Supervisor::warm_named_pools(const config::Config& config) {
    for (const auto& db : config.databases) {
        if (db.name == "*" || db.login.user.empty() || db.pool.min_size == 0) continue;
        if (auto shared = directory_.pool(db.name, db.login.user, false))
            workers_[0]->post([shared](Worker& w) { w.pool(shared); });
    }
}

std::uint32_t Supervisor::client_count() const noexcept {
    std::uint32_t n = 0;
    for (const auto& w : workers_) n += w->clients.load(std::memory_order_relaxed);
    return n;
}

unsigned Supervisor::least_loaded(unsigned self, unsigned slack) const noexcept {
    auto best = self;
    auto fewest = workers_[self]->clients.load(std::memory_order_relaxed);
    const auto mine = fewest;
    for (unsigned w = 0; w < workers_.size(); ++w) {
        const auto n = workers_[w]->clients.load(std::memory_order_relaxed);
        if (n + slack + mine / 8 <= mine && n < fewest) {
            best = w;
            fewest = n;
        }
    }
    return best;
}

int Supervisor::run() {
    const auto set = handled_signals();
    base::Nanos housekeeping_at = base::monotonic_now() + kHousekeeping;
    while (true) {
        const timespec wait{1, 0};
        const int signal = sigtimedwait(&set, nullptr, &wait);
        if (signal == SIGHUP) {
            for (const auto& error : reload()) base::log_error("reload: " + error);
        } else if (signal == SIGTERM || signal == SIGINT) {
            drain(false);
            return 0;
        }
        run_main_tasks();
        retry_catalogs();
        look_at_secret_files();
        if (base::monotonic_now() >= housekeeping_at) {
            housekeeping();
            housekeeping_at = base::monotonic_now() + kHousekeeping;
        }
    }
}

bool Supervisor::all_quiet() { return client_count() == 0; }

void Supervisor::drain(bool at_once) {
    const auto limit = directory_.config()->timeouts.shutdown;
    draining_ = true;
    base::log_info("shutting down: transactions have " + std::to_string(limit / base::kSecond) +
                   " s to finish");
    for (auto& w : workers_) w->post([](Worker& worker) { worker.begin_drain(); });
    const auto set = handled_signals();
    const auto deadline = base::monotonic_now() + limit;
    while (!at_once && !all_quiet() && base::monotonic_now() < deadline) {
        const timespec wait{0, 50'000'000};
        const int signal = sigtimedwait(&set, nullptr, &wait);
        if (signal == SIGTERM || signal == SIGINT) break;
        for (auto& w : workers_) w->post([](Worker& worker) { worker.end_idle(); });
    }
    for (auto& w : workers_) w->post([](Worker& worker) { worker.end_all(); });
    const auto last = base::monotonic_now() + base::kSecond;
    while (!all_quiet() && base::monotonic_now() < last)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    base::log_info("pgweir has shut down");
}

void Supervisor::run_main_tasks() {
    std::vector<std::function<void()>> tasks;
    {
        const std::scoped_lock lock(main_mutex_);
        tasks.swap(main_tasks_);
    }
    for (auto& t : tasks) t();
}

/// Renewed passwords and certificates come into force by themselves. A configuration that is being
/// edited does not: it waits for whoever edits it.
void Supervisor::look_at_secret_files() {
    const auto config = directory_.config();
    auto now = secret_files_stamp(*config);
    if (secret_files_.empty()) {
        secret_files_ = std::move(now);
        config_file_ = config_file_stamp(*config);
        return;
    }
    if (now == secret_files_) return;
    secret_files_ = std::move(now);
    if (config_file_stamp(*config) != config_file_) return;
    base::log_info("a file with passwords or certificates has changed");
    for (const auto& error : reload()) base::log_error("reload: " + error);
}

void Supervisor::housekeeping() {
    directory_.sweep();
    console_->sample();
    log_advice();
}

}  // namespace pgweir::server
