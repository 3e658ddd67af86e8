// Stands between the proxy and PostgreSQL and passes bytes on. When the proxy sends a text with the
// mark /*cut*/, the server gets it, and soon after the proxy's side is reset while the server goes
// on working: a commit in flight whose outcome nobody is told. Thread: one of its own per
// direction; the object belongs to one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace pgweir::checker {

class Cutter {
  public:
    explicit Cutter(std::uint16_t server_port);
    ~Cutter();
    Cutter(const Cutter&) = delete;
    Cutter& operator=(const Cutter&) = delete;
    std::uint16_t port() const noexcept { return port_; }
    /// Where connections go that are made from now on.
    void move_to(std::uint16_t server_port) noexcept { server_port_ = server_port; }

  private:
    void accept_loop();
    void relay(int proxy, int server);

    std::atomic<std::uint16_t> server_port_;
    std::uint16_t port_ = 0;
    int listener_ = -1;
    std::atomic<bool> stopping_{false};
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<std::thread> relays_;
};

}  // namespace pgweir::checker
