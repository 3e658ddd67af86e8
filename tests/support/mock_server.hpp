// A scripted PostgreSQL server: a thread accepts, every connection runs the test's script on a
// thread of its own. For servers that misbehave: rubbish, cut messages, delays, sudden ends.
// Invariant: the destructor hangs up on everybody and joins all threads.
// Thread: the script runs beside the test; what they share must be atomic or locked.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "support/process.hpp"
#include "support/raw_client.hpp"

namespace pgweir::testing {

/// One client of the mock server; lives as long as its script.
class MockConnection {
  public:
    MockConnection(int fd, const std::atomic<bool>& stopping) : fd_(fd), stopping_(stopping) {}

    /// Answers SSLRequest and GSSENCRequest with 'N', reads the start-up packet, accepts the login
    /// with parameters and a key. False when the client left or wanted to cancel.
    bool login() { return read_startup() && accept_login(); }
    /// The first half of login(): up to the start-up packet, which is not answered.
    bool read_startup();
    bool accept_login();
    /// The next message; nothing when the client left or the test ends.
    std::optional<Message> read();
    /// False when the client has gone.
    bool send(std::string_view bytes);
    /// Answers every Query and Sync as a small server would: `answer(sql)` gives the messages
    /// before ReadyForQuery. Returns when the client leaves.
    void serve(const std::function<std::string(const std::string& sql)>& answer);
    void close();
    void reset();  // RST

    bool cancelled() const noexcept { return cancel_; }  // this connection was a CancelRequest
    const msg::Parameters& parameters() const noexcept { return parameters_; }

  private:
    bool read_packet(std::string& body);
    bool fill(std::size_t n);

    int fd_;
    const std::atomic<bool>& stopping_;
    std::string buffer_;
    bool cancel_ = false;
    msg::Parameters parameters_;
};

class MockServer {
  public:
    using Script = std::function<void(MockConnection&)>;
    explicit MockServer(Script script);
    ~MockServer();
    MockServer(const MockServer&) = delete;
    MockServer& operator=(const MockServer&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    /// Connections accepted so far.
    int accepted() const noexcept { return accepted_; }

  private:
    void accept_loop();
    void run_connection(int fd);

    Script script_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<bool> stopping_{false};
    std::atomic<int> accepted_{0};
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

/// Messages a server sends.
namespace reply {
std::string parameter(std::string_view name, std::string_view value);
std::string ready(char status = 'I');
std::string complete(std::string_view tag);
std::string error(std::string_view severity, std::string_view sqlstate, std::string_view message);
/// Row description of one text column and one row.
std::string one_row(std::string_view column, std::string_view value);
}  // namespace reply

}  // namespace pgweir::testing
