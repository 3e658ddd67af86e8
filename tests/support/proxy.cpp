// See proxy.hpp.
#include "support/proxy.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "support/loopback.hpp"
#include "support/raw_client.hpp"

namespace pgweir::testing {
namespace {

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
        text.replace(at, what.size(), by);
    return text;
}

/// As PGWEIR_TEST_WORKERS says; two, where it says nothing.
std::string worker_count() {
    const char* given = std::getenv("PGWEIR_TEST_WORKERS");
    return given != nullptr ? given : "2";
}

std::map<std::string, std::string> default_sections(std::uint16_t server_port) {
    return {
        {"listen", "{host: 127.0.0.1, port: {port}}"},
        {"workers", worker_count()},
        {"databases", "{\"*\": {host: 127.0.0.1, port: " + std::to_string(server_port) + "}}"},
        {"control", "{user: postgres}"},
        {"auth", "{method: trust}"},
        {"pool", "{min_size: 0, max_size: 5}"},
        {"slow_log", "{threshold: 1s, file: slow.log}"},
        {"http", "{listen: \"127.0.0.1:{http_port}\"}"},
    };
}

std::size_t count(const std::string& text, const std::string& what) {
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
}

std::int64_t status_field(pid_t pid, const std::string& field) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/status");
    const auto at = text.find(field);
    return at == std::string::npos ? -1 : std::atoll(text.c_str() + at + field.size());
}

}  // namespace

std::string Proxy::binary() {
    if (const char* given = std::getenv("PGWEIR_BINARY"); given != nullptr) return given;
    auto dir = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    for (int up = 0; up < 4; ++up, dir = dir.parent_path())
        if (const auto path = dir / "pgweir"; std::filesystem::is_regular_file(path)) return path;
    throw std::runtime_error("no pgweir program near this one; set PGWEIR_BINARY");
}

bool Proxy::direct() { return std::getenv("PGWEIR_TEST_DIRECT") != nullptr; }

Proxy::Proxy(const Cluster& cluster, ProxyOptions options)
    : dir_("pgweir"), options_(std::move(options)), port_(free_port()), http_port_(free_port()) {
    options_.server_port = cluster.port();
    prepare();
}

Proxy::Proxy(ProxyOptions options)
    : dir_("pgweir"), options_(std::move(options)), port_(free_port()), http_port_(free_port()) {
    prepare();
}

void Proxy::prepare() {
    auto sections = default_sections(options_.server_port);
    for (const auto& [name, text] : options_.sections) sections[name] = text;
    options_.sections = sections;
    for (const auto& [name, text] : options_.files) write_file(dir_.path() + "/" + name, text);
    write_config({});
    start();
}

Proxy::~Proxy() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);
    auto status = wait_exit(pid_, Seconds(3));
    if (!status) {
        kill(pid_, SIGTERM);
        status = wait_exit(pid_, Seconds(20));
    }
    if (status == 0) return;
    if (!status) kill(pid_, SIGKILL);
    std::fprintf(stderr, "pgweir %s %d at the end of its test; its log:\n%s\n",
                 status ? "ended with status" : "did not stop", status.value_or(-1), log().c_str());
    std::_Exit(3);
}

void Proxy::write_config(const std::map<std::string, std::string>& sections) {
    for (const auto& [name, text] : sections) options_.sections[name] = text;
    std::string yaml;
    for (const auto& [name, text] : options_.sections)
        if (!text.empty()) yaml += name + ": " + text + "\n";
    yaml = replaced(yaml, "{port}", std::to_string(port_));
    yaml = replaced(yaml, "{http_port}", std::to_string(http_port_));
    yaml = replaced(yaml, "{directory}", dir_.path());
    write_file(dir_.path() + "/pgweir.yaml", yaml);
}

void Proxy::start() {
    if (direct()) {
        port_ = options_.server_port;
        return;
    }
    const auto log_path = dir_.path() + "/output.log";
    const int fd = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    SpawnOptions spawn_options;
    spawn_options.stdout_fd = spawn_options.stderr_fd = fd;
    spawn_options.environment = options_.environment;
    spawn_options.directory = dir_.path();
    pid_ = spawn({binary(), "--config", dir_.path() + "/pgweir.yaml"}, spawn_options);
    close(fd);
    const bool up = eventually(
        [&] {
            if (wait_exit(pid_, Seconds(0))) {
                pid_ = -1;
                return true;
            }
            // A console login shows more than an open port: the program is ready to talk.
            return connect_error(dsn("postgres", "pgweir")).empty() ||
                   connect_error(dsn("postgres", "pgweir")).find("refused") == std::string::npos;
        },
        Seconds(20));
    if (up && pid_ > 0) return;
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        wait_exit(pid_, Seconds(5));
        pid_ = -1;
    }
    throw std::runtime_error("pgweir does not start:\n" + log());
}

std::string Proxy::dsn(const std::string& user, const std::string& db,
                       const std::string& more) const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " user=" + user + " dbname=" + db +
           " connect_timeout=10 " + more;
}

Db Proxy::connect(const std::string& user, const std::string& db, const std::string& more) const {
    return Db(dsn(user, db, more));
}

Answer Proxy::console(const std::string& command) const {
    return connect("postgres", "pgweir").exec(command);
}

std::int64_t Proxy::cache_counter(const std::string& column, const std::string& db) const {
    if (direct()) return 0;
    const auto a = console("SHOW CACHE");
    std::int64_t sum = 0;  // of all servers it has been on
    for (std::size_t i = 0; i < a.rows.size(); ++i)
        if (a.at(i, "database") == db) sum += std::atoll(a.at(i, column).c_str());
    return sum;
}

std::string Proxy::http(const std::string& path) const {
    RawClient c(http_port_);
    c.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    return c.read_rest();
}

double Proxy::metric(const std::string& name) const {
    const auto text = http("/metrics");
    const auto at = text.find("\n" + name + " ");
    return at == std::string::npos ? 0 : std::atof(text.c_str() + at + name.size() + 2);
}

std::string Proxy::log() const { return read_file(dir_.path() + "/output.log"); }

bool Proxy::logs(const std::string& text, Seconds limit) const {
    return eventually([&] { return log().find(text) != std::string::npos; }, limit);
}

void Proxy::send_signal(int signal) const {
    if (pid_ > 0) kill(pid_, signal);
}

std::optional<int> Proxy::wait(Seconds limit) {
    const auto status = wait_exit(pid_, limit);
    if (status) pid_ = -1;
    return status;
}

void Proxy::reload(const std::map<std::string, std::string>& sections) {
    write_config(sections);
    const auto before = count(log(), "reload");
    send_signal(SIGHUP);
    if (!eventually([&] { return count(log(), "reload") > before; }))
        throw std::runtime_error("the log does not speak of the reload:\n" + log());
}

std::int64_t Proxy::resident_kib() const { return status_field(pid_, "VmRSS:"); }

int Proxy::open_files() const {
    int n = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/fd")) {
        n += entry.path().empty() ? 0 : 1;
    }
    return n;
}

}  // namespace pgweir::testing
