// One client of the leak checker: what it is (its tag, settings, role), what it has sent and what
// the answers must be. Invariant: every answer carries its owner's tag and settings, and every one
// is judged. Thread: one, the runner's that owns it.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/raw_client.hpp"

namespace pgweir::leak {

/// What a session is; roles, paths and zones are indices of the tables in scripts.cpp.
struct State {
    int role = 0;
    int path = 0;
    int zone = 0;
    std::string custom;
    bool temporary = false;  // it has a temporary table
};

/// What one ReadyForQuery, or the end of the connection, must bring.
struct Answer {
    std::string rows;      // all values, with | between columns and ; behind rows
    std::string sqlstate;  // of the error; empty: none
    char status = 'I';
    int zone = 0;          // what the client has been told of it
    std::string or_error;  // may come in its place
    bool ends = false;     // one FATAL, and nothing behind it
};

struct Step {
    std::string bytes;
    std::vector<Answer> answers;
    bool cancel = false;  // and a CancelRequest while it runs
    bool leave = false;   // and hang up without waiting
    bool unpins = false;  // its client keeps no server connection when it is done
};

/// Shared by all clients of a run.
struct Common {
    std::uint16_t port = 0;
    bool direct = false;
    std::atomic<std::int64_t> answers{0};
    std::atomic<int> pins{0};
    std::atomic<bool> stop{false};
    std::atomic<std::int64_t> ended{0}, canceled{0}, left{0};
    std::mutex mutex;
    std::vector<std::string> breaches;

    void complain(std::string line);
    /// Few clients may hold a server connection for long, or the others would starve.
    bool take_pin();
    void give_pin() { --pins; }
};

class Client {
  public:
    Client(Common& common, int number, std::uint64_t seed);

    /// Sends the next step if none is under way.
    void begin();
    /// Reads what has come; true while an answer is owed.
    bool advance();
    int fd() const noexcept { return raw_ ? raw_->fd() : -1; }
    bool waits() const noexcept { return !owed_.empty(); }
    /// Gives up on an answer that does not come.
    bool late() const;

  private:
    friend class Scripts;
    using Clock = std::chrono::steady_clock;

    void connect();
    void hang_up(bool reset);
    void over();
    void cancel();
    void take(testing::Message message);
    void judge(const Answer& due);
    void breach(const std::string& what);
    unsigned dice(unsigned sides) { return static_cast<unsigned>(random_() % sides); }

    Common& common_;
    int number_;
    std::string tag_;
    std::minstd_rand random_;
    std::optional<testing::RawClient> raw_;
    State start_, state_;
    std::string statement_row_;  // what the statement named "s" gives; empty: there is none
    std::string sql_row_;        // what the statement "sqls" gives, which SQL has made
    std::deque<Step> script_;
    std::deque<Answer> owed_;
    testing::Messages seen_;
    std::string told_zone_, sent_, key_;
    std::uint32_t pid_ = 0;
    Clock::time_point since_;
    std::int64_t nonce_ = 0;
    bool pinned_ = false;
    bool unpins_ = false;
};

/// Plans what a client does next: fills its script and its expectations.
void plan(Client& client);

/// As it appears in answers.
std::string zone_name(int zone);
/// The start-up parameters of a client that begins as `state`.
testing::msg::Parameters login(const State& state);
/// Roles, schemas and tables that clients use.
std::string schema();
/// How many roles, paths and zones there are.
inline constexpr int kRoles = 4, kPaths = 5, kZones = 5;

}  // namespace pgweir::leak
