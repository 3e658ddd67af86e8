// A server connection as a session sees it while it holds the lease: bytes out, bytes in, and what
// is known of the state of the server's session. Abstract, so that the session machine can be
// driven in a unit test without a socket. Thread: the worker's.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/pool/profile.hpp"
#include "pgweir/wire/messages.hpp"

namespace pgweir::pool {

/// Which prepared statements a server connection has, least recently used first. Numbers are drawn
/// from one counter of the process, so they stay right when a connection moves to another worker.
class PreparedSet {
  public:
    /// True, and most recently used now, when the server has it.
    bool touch(std::uint64_t id);
    void insert(std::uint64_t id);
    void erase(std::uint64_t id);
    void clear();
    std::size_t size() const noexcept { return by_id_.size(); }
    /// The least recently used one; only when size() > 0.
    std::uint64_t oldest() const { return order_.front(); }

  private:
    std::list<std::uint64_t> order_;
    std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> by_id_;
};

/// What SQL's PREPARE has made on a server connection: names and the texts they were made by.
using SqlStatements = std::vector<std::pair<std::string, std::string>>;
using SqlStatementsPtr = std::shared_ptr<const SqlStatements>;

/// The name of a prepared statement on the server.
std::string prepared_name(std::uint64_t id);
inline constexpr std::string_view kPreparedPrefix = "pgweir_";

/// The session that holds the lease. Calls come from the event loop; the session may end the lease
/// in any of them.
class ServerUser {
  public:
    virtual void on_server_bytes(std::string_view bytes) noexcept = 0;
    /// The connection is lost and the lease over; `why` is for people.
    virtual void on_server_gone(std::string_view why) noexcept = 0;
    /// What was queued towards the server has gone out.
    virtual void on_server_drained() noexcept = 0;

  protected:
    ~ServerUser() = default;
};

/// Something that must stay until the fate of the connection's last transaction is known; settled
/// by its destructor.
class Held {
  public:
    virtual ~Held() = default;
};

class ServerLink {
  public:
    virtual ~ServerLink() = default;

    /// Sends, queueing what does not fit; a broken connection is reported through on_server_gone
    /// later.
    virtual void send(std::span<const iovec> parts) = 0;
    virtual std::size_t queued() const noexcept = 0;
    virtual void set_reading(bool on) noexcept = 0;
    virtual std::uint32_t process_id() const noexcept = 0;

    PreparedSet prepared;
    std::uint64_t unnamed_statement =
        0;                            // number of the statement in the unnamed slot, 0: none known
    SqlStatementsPtr sql_statements;  // that are there; null: none
    ProfilePtr profile = empty_profile();     // whose settings are in force
    std::string application_name;             // in force on the server
    base::Nanos opened = 0;                   // before its login
    std::vector<std::string> hides_text;      // settings its login was given: see pool::hides_text
    std::vector<std::string> other_encoding;  // likewise: see pool::other_encoding
    std::uint64_t last_session = 0;           // that held it since it was opened or reset; 0: none
    bool notified = false;                    // its session's number is in SenderNames
    /// The session whose currval and lastval the server may have; 0: it has none.
    std::uint64_t sequence_owner = 0;
    bool sequences_guessed = false;  // no catalog was at hand: perhaps nobody has moved any
    static constexpr std::uint64_t kSeveralOwners = ~std::uint64_t{0};
    wire::TxStatus tx = wire::TxStatus::idle;  // of the last ReadyForQuery
    std::unique_ptr<Held> held;                // of a session that left before its answer came
};

}  // namespace pgweir::pool
