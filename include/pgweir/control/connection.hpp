// A conversation of the proxy's own with PostgreSQL, over libpq without blocking calls, so that
// every wait has a deadline and ends at once when the stop descriptor becomes readable.
// Invariant: after a failed call the connection is broken and only its destructor is of use; there
// is never an unread answer. Thread: one at a time. Errors: returned as text, passwords never in
// it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/base/result.hpp"
#include "pgweir/config/config.hpp"

struct pg_conn;
struct pg_result;

namespace pgweir::control {

/// Where a database is and whom to be there.
struct Target {
    std::string host;  // a leading '/' is a Unix socket directory
    std::uint16_t port = 5432;
    std::string dbname;
    std::string user;
    std::string password;  // empty: none
    config::TlsMode tls_mode = config::TlsMode::prefer;
    std::string tls_ca_file, tls_crl_file, tls_cert_file, tls_key_file;
    bool require_channel_binding = false;
    bool replication = false;  // a walsender of that database
    friend bool operator==(const Target&, const Target&) = default;
};

/// One row of an answer in text form; valid only during the callback it is given to.
class Row {
  public:
    Row(const pg_result* result, int row) noexcept : result_(result), row_(row) {}
    bool is_null(int column) const noexcept;
    std::string_view text(int column) const noexcept;  // "" when null or no such column
    std::uint32_t number(int column) const noexcept;   // 0 when it is not one
    bool flag(int column) const noexcept;              // true for 't'
    char letter(int column) const noexcept;            // first byte, '\0' when there is none

  private:
    const pg_result* result_;
    int row_;
};

/// Gives false to end the reading; the connection is then broken on purpose.
using RowCallback = std::function<bool(const Row&)>;

enum class ConnectState : std::uint8_t { connecting, ready, failed };

class Connection {
  public:
    struct Limits {
        base::Nanos connect = 5 * base::kSecond;
        base::Nanos statement = 5 * base::kSecond;
        int stop_fd = -1;  // readable: every wait ends; not owned
    };

    /// Begins to connect. Resolving a host name is the one step that may block (libpq's own).
    Connection(const Target& target, Limits limits);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Moves the connecting on by what can be done without waiting.
    ConnectState advance() noexcept;
    /// What poll() should wait for while connecting: POLLIN or POLLOUT on fd().
    short events() const noexcept { return events_; }
    int fd() const noexcept;
    base::Nanos connect_deadline() const noexcept { return deadline_; }
    /// Waits until connected, or gives the error.
    std::optional<std::string> wait_connected();

    /// Runs statements (simple protocol) and hands over each row as it arrives, one in memory at a
    /// time. Nothing: success. `limit` 0: Limits::statement; it counts from the start to the last
    /// row.
    std::optional<std::string> query(std::string_view sql, const RowCallback& row,
                                     base::Nanos limit = 0);
    /// The same for one statement with one parameter, which is sent apart from it.
    std::optional<std::string> query_one(const std::string& sql, const std::string& parameter,
                                         const RowCallback& row);
    /// The same with what a client bound: `bind` is a Bind's body behind its names (empty: no
    /// parameters), `types` what its Parse declared.
    std::optional<std::string> query_bound(const std::string& sql,
                                           const std::vector<std::uint32_t>& types,
                                           std::string_view bind, const RowCallback& row);
    std::optional<std::string> run(std::string_view sql);
    /// First column of the first row; empty text for none.
    base::Result<std::string> value(std::string_view sql);

    // For a loop of the caller's own that polls fd() for wanted(): nothing here waits.
    enum class Step : std::uint8_t { busy, row, done, copying, failed };
    /// Sends statements; the answer is fetched with advance_query().
    bool begin_query(std::string_view sql);
    /// What has come of the answer. `busy`: no more has come; `copying`: COPY BOTH has begun.
    Step advance_query(const RowCallback& row);
    /// COPY BOTH: `row` with a whole message, which stays until the next call, or busy, done,
    /// failed.
    Step next_copy(std::string_view& message);
    bool put_copy(std::string_view message);
    struct Notice {
        std::int32_t sender = 0;  // its server process
        std::string text;
    };
    /// A NOTIFY that has come, in order; false: none is left, or nothing more can be read.
    bool next_notice(Notice& notice);
    /// The server process of this connection.
    std::int32_t process() const noexcept;
    /// POLLIN, and POLLOUT while something is unsent.
    short wanted() noexcept;

    bool usable() const noexcept;
    std::uint32_t server_version_num() const noexcept;
    std::string server_version() const;
    const std::string& error() const noexcept { return error_; }
    /// Whether the server has closed an idle connection, as far as is known without waiting.
    bool lost() noexcept;

  private:
    std::optional<std::string> fail(std::string text);
    std::optional<std::string> wait(short events, base::Nanos deadline);
    std::optional<std::string> read_results(bool sent, const RowCallback& row,
                                            base::Nanos deadline);
    std::optional<std::string> next_result(base::Nanos deadline, pg_result** result);

    pg_conn* conn_ = nullptr;
    Limits limits_;
    base::Nanos deadline_ = 0;
    short events_ = 0;
    bool ready_ = false;
    bool broken_ = false;
    std::string error_;
    std::unique_ptr<char, void (*)(char*)> copied_;
};

}  // namespace pgweir::control
