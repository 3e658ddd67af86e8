// A running pgweir with a configuration of its own, for integration tests.
// Invariant: when the object goes, the program is told to stop and must end with status 0; anything
// else (a crash, a sanitizer's report, hanging) ends the test program with a failure.
// With PGWEIR_TEST_DIRECT=1 there is no proxy and all goes to PostgreSQL itself: what a test then
// finds is what PostgreSQL does, which is what the proxy has to do (only for tests that look at the
// protocol alone).
// PGWEIR_TEST_WORKERS=4 gives it four workers where the test does not say how many; two otherwise.
// Thread: one. Errors: throws std::runtime_error with the proxy's log.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "support/amount.hpp"
#include "support/cluster.hpp"
#include "support/db.hpp"
#include "support/process.hpp"

namespace pgweir::testing {

struct ProxyOptions {
    /// Sections of the configuration by name, YAML flow text: {"pool", "{max_size: 2}"}. They
    /// replace the defaults section by section; an empty text leaves the section out. "listen" and
    /// "http" may use {port} and {http_port}.
    std::map<std::string, std::string> sections;
    std::map<std::string, std::string> files;  // written beside the configuration
    std::vector<std::pair<std::string, std::string>> environment;
    /// PostgreSQL's port for the default `databases`.
    std::uint16_t server_port = 0;
};

class Proxy {
  public:
    /// A proxy in front of `cluster`, trusting all clients, at most 5 server connections a pool.
    explicit Proxy(const Cluster& cluster, ProxyOptions options = {});
    /// The same in front of any port of 127.0.0.1.
    explicit Proxy(ProxyOptions options);
    ~Proxy();
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::uint16_t http_port() const noexcept { return http_port_; }
    const std::string& directory() const noexcept { return dir_.path(); }
    std::string dsn(const std::string& user = "app", const std::string& db = "app",
                    const std::string& more = "") const;
    Db connect(const std::string& user = "app", const std::string& db = "app",
               const std::string& more = "") const;
    /// Console answer as user postgres.
    Answer console(const std::string& command) const;
    /// The whole answer to GET `path` on the HTTP port, status line first.
    std::string http(const std::string& path) const;
    /// A metric's value by its full name with labels, as /metrics writes it; 0 when it is not
    /// there.
    double metric(const std::string& name) const;
    /// One column of SHOW CACHE for a database, as a number.
    std::int64_t cache_counter(const std::string& column, const std::string& db = "app") const;

    /// Standard output and standard error of all runs so far.
    std::string log() const;
    std::string slow_log() const { return read_file(dir_.path() + "/slow.log"); }
    /// True once the log has the text.
    bool logs(const std::string& text, Seconds limit = Seconds(5)) const;

    void start();
    /// SIGTERM; see wait().
    void terminate() const { send_signal(15); }
    void send_signal(int signal) const;
    /// Exit status, as wait_exit(); nothing when it still runs after `limit`.
    std::optional<int> wait(Seconds limit = Seconds(10));
    /// Changes sections and reloads by SIGHUP. Waits until the log speaks of it.
    void reload(const std::map<std::string, std::string>& sections);
    void write_config(const std::map<std::string, std::string>& sections);
    bool running() const noexcept { return pid_ > 0; }
    pid_t pid() const noexcept { return pid_; }

    std::int64_t resident_kib() const;
    int open_files() const;

    /// Path of the program under test: $PGWEIR_BINARY, else the one of this build.
    static std::string binary();
    /// True when the tests are aimed at PostgreSQL itself.
    static bool direct();

  private:
    void prepare();

    TempDir dir_;
    ProxyOptions options_;
    std::uint16_t port_;
    std::uint16_t http_port_;
    pid_t pid_ = -1;
};

}  // namespace pgweir::testing
