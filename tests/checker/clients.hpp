// One reading or writing client of the checker, and the log of what it saw. Thread: its owner's.
#pragma once

#include <chrono>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "checker/registers.hpp"
#include "support/cache_client.hpp"

namespace pgweir::checker {

Time now();

/// How a text is sent.
enum class Mode : std::uint8_t { simple, unnamed, named, transaction };

class Client {
  public:
    Client(std::uint16_t port, std::string user = "app", testing::msg::Parameters more = {});

    /// The answer of a text, by any way of asking. Throws testing::Closed when the proxy hangs up.
    testing::Messages ask(const std::string& sql, Mode mode);
    testing::Messages send(const std::string& bytes) { return client_.ask(bytes); }
    void reconnect();
    /// Differs between connections.
    std::uint64_t session() const noexcept { return session_; }
    testing::RawClient& raw() { return client_; }

  private:
    testing::Messages described(const std::string& sql, Mode mode);

    std::uint16_t port_;
    std::string user_;
    testing::msg::Parameters more_;
    testing::RawClient client_;
    std::uint64_t session_;
    std::map<std::string, std::string> names_;  // statements prepared, by text
};

/// Breaches that are seen at once, from any thread.
class Complaints {
  public:
    void add(const std::string& line);
    std::vector<std::string> take() { return std::move(lines_); }

  private:
    std::mutex mutex_;
    std::vector<std::string> lines_;
    std::size_t count_ = 0;
};

/// Writes registers of its own by random ways; the histories' writes are its alone.
class Writer {
  public:
    /// Of the proxy, of the server, and of a second proxy.
    struct Ports {
        std::uint16_t proxy, direct, second;
    };
    Writer(const Ports& ports, std::uint64_t seed, Complaints& complaints);
    void write(const Register& what, History& history);
    /// Where a server was lost that sessions were kept on.
    void reconnect() {
        for (auto* client : {&client_, &direct_, &second_}) client->reconnect();
    }

  private:
    void step(testing::RawClient& c, const std::string& text, std::int64_t version);
    bool transaction(const Register& what, const Way& way, Write& write);

    Client client_;
    Client direct_;
    Client second_;
    std::minstd_rand random_;
    Complaints& complaints_;
    std::map<const History*, std::int64_t> versions_;
};

/// The version an answer carries; nothing when it is an error.
std::optional<std::int64_t> version_of(const testing::Messages& answer);

}  // namespace pgweir::checker
