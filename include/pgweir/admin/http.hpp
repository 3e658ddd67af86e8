// The HTTP side: GET /metrics, /livez, /healthz, /readyz, on threads of its own, so that whoever
// asks costs traffic nothing but one snapshot. It has no way in: nothing can be changed here, and
// no secret is shown. Where a token is set, what tells names and figures needs it. Thread: start()
// and stop() the owner's; the handlers run on a small pool of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "pgweir/admin/snapshot.hpp"

namespace pgweir::admin {

class HttpServer {
  public:
    /// `listen` is "host:port", "[v6]:port" or ":port"; port 0 lets the kernel choose.
    /// `token` gives the one in force at each request; empty, or giving an empty one: none needed.
    HttpServer(std::string listen, SnapshotSource& source,
               const std::function<std::string()>& token = {});
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Binds and starts to serve; what went wrong, or empty.
    std::string start();
    /// Ends within a few seconds, whatever clients do. Called by the destructor, too.
    void stop();
    /// The port that is bound; 0 before start().
    std::uint16_t port() const noexcept;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// The text of GET /metrics (Prometheus text format 0.0.4).
std::string metrics_text(const Snapshot& snapshot);
/// The same while the workers do not answer: pgbouncer_up is 0, and nothing else is said.
std::string metrics_text_down();
/// The text of GET /healthz: one JSON object.
std::string health_json(const Snapshot& snapshot, std::int64_t now_wall_us);

}  // namespace pgweir::admin
