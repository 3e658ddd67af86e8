// Stands between a client and a server, passes bytes on unchanged, and remembers what each
// connection's client said. Thread: its own; what was heard may be asked from any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pgweir::testing {

class Tap {
  public:
    explicit Tap(std::uint16_t server_port);
    ~Tap();
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    /// The bytes of each connection's client, in the order they connected.
    std::vector<std::string> heard() const;

  private:
    struct Line {
        int client, server;
        std::size_t number;
    };
    void run();
    void accept_one();
    bool pass(int from, int to, std::string* record);

    std::uint16_t server_port_;
    std::uint16_t port_ = 0;
    int listener_ = -1;
    std::atomic<bool> stopping_{false};
    std::vector<Line> lines_;
    mutable std::mutex mutex_;
    std::vector<std::string> heard_;
    std::thread thread_;
};

}  // namespace pgweir::testing
