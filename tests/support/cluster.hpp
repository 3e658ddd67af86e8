// A private PostgreSQL server in a temporary directory: user postgres is superuser, user app owns
// database app. As root it runs as an unprivileged user. Settings are made for speed, not safety.
// Invariant: the server is gone when the object is, or when the test program dies.
// Thread: one. Errors: throws std::runtime_error with the server's log.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/db.hpp"
#include "support/process.hpp"

namespace pgweir::testing {

struct ClusterOptions {
    std::vector<std::string> settings;          // lines for postgresql.conf
    std::string hba;                            // whole pg_hba.conf; empty: trust for all
    const class Cluster* standby_of = nullptr;  // its copy, which streams from it; else a new one
};

class Cluster {
  public:
    explicit Cluster(ClusterOptions options = {});
    ~Cluster();
    Cluster(const Cluster&) = delete;
    Cluster& operator=(const Cluster&) = delete;

    /// One per test program, started at first use.
    static Cluster& shared();

    std::uint16_t port() const noexcept { return port_; }
    const std::string& socket_directory() const noexcept { return dir_.path(); }
    std::string dsn(const std::string& user = "postgres", const std::string& db = "app") const;
    /// A direct connection, marked application_name=direct.
    Db connect(const std::string& user = "postgres", const std::string& db = "app") const;
    std::string value(const std::string& sql, const std::string& db = "app") const;
    std::string log() const;

    void start();
    /// A standby goes on as a primary; waits.
    void promote() const { connect("postgres", "postgres").run("SELECT pg_promote()"); }
    void stop();   // fast shutdown, waits
    void crash();  // immediate shutdown, waits
    void restart() {
        stop();
        start();
    }
    void reload() const;
    void set_hba(const std::string& text) const;
    void set_ident(const std::string& text) const;
    bool running() const noexcept { return pid_ > 0; }

    /// Number of connections of this user's pool (never the direct ones).
    int backends(const std::string& user = "app", const std::string& db = "app") const;
    /// Ends them and waits until they are gone. Gives how many there were.
    int terminate_backends(const std::string& user = "app") const;

  private:
    void initialise();
    void configure(const std::string& conf) const;
    void copy_from(const Cluster& primary);
    std::string data() const { return dir_.path() + "/data"; }
    void end(int signal);

    TempDir dir_;
    ClusterOptions options_;
    std::optional<RunAs> run_as_;
    std::uint16_t port_ = 0;
    pid_t pid_ = -1;
};

}  // namespace pgweir::testing
