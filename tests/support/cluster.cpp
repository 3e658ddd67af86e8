// See cluster.hpp.
#include "support/cluster.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "support/loopback.hpp"
#include "support/run.hpp"

namespace pgweir::testing {
namespace {

constexpr const char* kTrustAll =
    "local all all trust\nhost all all 127.0.0.1/32 trust\n"
    "local replication all trust\nhost replication all 127.0.0.1/32 trust\n";

/// PostgreSQL refuses to run as root.
std::optional<RunAs> unprivileged_user() {
    if (getuid() != 0) return std::nullopt;
    for (const char* name : {"postgres", "nobody"})
        if (const passwd* p = getpwnam(name); p != nullptr) return RunAs{p->pw_uid, p->pw_gid};
    throw std::runtime_error("no unprivileged user to run PostgreSQL as");
}

}  // namespace

std::string postgres_program(const std::string& name) {
    static const std::string bindir = [] {
        std::string best;
        for (int version = 12; version < 30; ++version) {
            const auto dir = "/usr/lib/postgresql/" + std::to_string(version) + "/bin";
            if (std::filesystem::exists(dir + "/initdb")) best = dir;
        }
        if (!best.empty()) return best;
        auto out = testing::run({"pg_config", "--bindir"}).out;
        while (out.ends_with('\n')) out.pop_back();
        if (std::filesystem::exists(out + "/initdb")) return out;
        throw std::runtime_error("no PostgreSQL server is installed");
    }();
    return bindir + "/" + name;
}

Cluster::Cluster(ClusterOptions options)
    : dir_("pgweir-pg"), options_(std::move(options)), run_as_(unprivileged_user()) {
    if (options_.standby_of != nullptr) {
        copy_from(*options_.standby_of);
        start();
        return;
    }
    initialise();
    start();
    auto db = connect("postgres", "postgres");
    db.run("CREATE ROLE app LOGIN");
    db.run("CREATE DATABASE app OWNER app");
}

Cluster::~Cluster() { end(SIGQUIT); }

Cluster& Cluster::shared() {
    static Cluster cluster;
    return cluster;
}

void Cluster::initialise() {
    if (run_as_ && chown(dir_.path().c_str(), run_as_->uid, run_as_->gid) != 0)
        throw std::runtime_error("chown " + dir_.path());
    RunOptions options;
    options.run_as = run_as_;
    options.directory = dir_.path();
    const auto r =
        testing::run({postgres_program("initdb"), "-D", data(), "-U", "postgres", "-A", "trust",
                      "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"},
                     options);
    if (r.status != 0) throw std::runtime_error("initdb: " + r.out + r.err);
    std::string conf = "\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '" +
                       dir_.path() +
                       "'\nfsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
                       "wal_level = logical\nmax_wal_senders = 8\nmax_replication_slots = 8\n"
                       "shared_buffers = 32MB\nautovacuum = off\nlog_min_messages = warning\n"
                       "log_line_prefix = '%m [%p] %q%u@%d '\nmax_connections = 200\n";
    configure(conf);
    write_file(data() + "/pg_hba.conf", options_.hba.empty() ? kTrustAll : options_.hba);
}

void Cluster::configure(const std::string& conf) const {
    auto all = read_file(data() + "/postgresql.conf") + conf;
    for (const auto& line : options_.settings) all += line + "\n";
    write_file(data() + "/postgresql.conf", all);
}

void Cluster::copy_from(const Cluster& primary) {
    if (run_as_ && chown(dir_.path().c_str(), run_as_->uid, run_as_->gid) != 0)
        throw std::runtime_error("chown " + dir_.path());
    RunOptions options;
    options.run_as = run_as_;
    options.directory = dir_.path();
    const auto r = testing::run({postgres_program("pg_basebackup"), "-D", data(), "-d",
                                 "host=" + primary.dir_.path() +
                                     " port=" + std::to_string(primary.port_) + " user=postgres",
                                 "--write-recovery-conf", "--checkpoint=fast", "--no-sync"},
                                options);
    if (r.status != 0) throw std::runtime_error("pg_basebackup: " + r.out + r.err);
    configure("\nunix_socket_directories = '" + dir_.path() + "'\n");
}

void Cluster::start() {
    if (pid_ > 0) return;
    const auto log_path = dir_.path() + "/server.log";
    // The port is kept over restarts; another program may have taken a fresh one meanwhile.
    for (int attempt = 0; attempt < 5; ++attempt) {
        if (port_ == 0 || attempt > 0) port_ = free_port();
        const int fd = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        SpawnOptions spawn_options;
        spawn_options.run_as = run_as_;
        spawn_options.directory = dir_.path();
        spawn_options.stdout_fd = spawn_options.stderr_fd = fd;
        pid_ = spawn({postgres_program("postgres"), "-D", data(), "-p", std::to_string(port_)},
                     spawn_options);
        close(fd);
        const bool up = eventually(
            [&] {
                if (wait_exit(pid_, Seconds(0))) {
                    pid_ = -1;
                    return true;
                }
                return connect_error(dsn("postgres", "postgres")).empty();
            },
            Seconds(60));
        if (up && pid_ > 0) return;
        end(SIGKILL);
    }
    throw std::runtime_error("PostgreSQL does not start:\n" + log());
}

void Cluster::end(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    if (!wait_exit(pid_, Seconds(30))) {
        kill(pid_, SIGKILL);
        wait_exit(pid_, Seconds(10));
    }
    pid_ = -1;
}

void Cluster::stop() { end(SIGINT); }
void Cluster::crash() { end(SIGQUIT); }

void Cluster::reload() const {
    kill(pid_, SIGHUP);
    // The postmaster takes the signal in its own time; a new login tells nothing, so give it some.
    sleep_for(Seconds(0.2));
}

void Cluster::set_ident(const std::string& text) const {
    write_file(data() + "/pg_ident.conf", text);
    reload();
}

void Cluster::set_hba(const std::string& text) const {
    write_file(data() + "/pg_hba.conf", text);
    reload();
}

std::string Cluster::log() const { return read_file(dir_.path() + "/server.log"); }

std::string Cluster::dsn(const std::string& user, const std::string& db) const {
    return "host=" + dir_.path() + " port=" + std::to_string(port_) + " user=" + user +
           " dbname=" + db + " application_name=direct connect_timeout=10";
}

Db Cluster::connect(const std::string& user, const std::string& db) const {
    return Db(dsn(user, db));
}

std::string Cluster::value(const std::string& sql, const std::string& db) const {
    return connect("postgres", db).value(sql);
}

int Cluster::backends(const std::string& user, const std::string& db) const {
    return std::stoi(value("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + user +
                           "' AND datname = '" + db + "' AND application_name <> 'direct'"));
}

int Cluster::terminate_backends(const std::string& user) const {
    auto db = connect();
    const auto n = db.value(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
        "usename = '" +
        user + "' AND application_name <> 'direct'");
    eventually([&] { return backends(user) == 0; });
    return std::stoi(n);
}

}  // namespace pgweir::testing
