// A blocking client that speaks the protocol by hand, byte by byte where a test wants it: what no
// library would send, and every byte of what comes back. Thread: one per client.
// Errors: std::runtime_error when the peer is silent for the time limit; Closed when it has hung
// up. Source: manual, "Frontend/Backend Protocol".
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/process.hpp"

namespace pgweir::testing {

struct Message {
    char type;
    std::string body;
    friend bool operator==(const Message&, const Message&) = default;
};
using Messages = std::vector<Message>;

/// The peer closed or reset the connection.
class Closed : public std::runtime_error {
  public:
    Closed() : std::runtime_error("the peer closed the connection") {}
};

/// Bytes of the messages a client sends.
namespace msg {
using Parameters = std::vector<std::pair<std::string, std::string>>;
using Value = std::optional<std::string>;
std::string frame(char type, std::string_view body = {});
std::string startup(const Parameters& parameters, std::uint32_t version = 196608);
std::string ssl_request();
std::string gssenc_request();
std::string cancel_request(std::uint32_t pid, std::string_view key);
std::string query(std::string_view sql);
std::string parse(std::string_view name, std::string_view sql,
                  const std::vector<std::uint32_t>& types = {});
/// All parameters in text format, all results in `result_format` (0 text, 1 binary).
std::string bind(std::string_view portal, std::string_view statement,
                 const std::vector<Value>& values = {}, int result_format = 0);
std::string describe(char kind, std::string_view name);
std::string execute(std::string_view portal = {}, std::uint32_t max_rows = 0);
std::string close(char kind, std::string_view name);
std::string sync();
std::string flush();
std::string terminate();
std::string password(std::string_view text);
std::string copy_data(std::string_view data);
std::string copy_done();
std::string copy_fail(std::string_view reason);
/// Parse, Bind, Describe, Execute of the unnamed statement, without Sync.
std::string unnamed(std::string_view sql, const std::vector<Value>& values = {});
}  // namespace msg

struct ServerError {
    std::string severity, sqlstate, message, detail;
};

class RawClient {
  public:
    explicit RawClient(std::uint16_t port, Seconds limit = Seconds(10));
    ~RawClient();
    RawClient(RawClient&& other) noexcept;
    RawClient& operator=(RawClient&& other) noexcept;
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    /// Connects and logs in where no password is asked for; throws with the error's text.
    static RawClient login(std::uint16_t port, const std::string& user = "app",
                           const std::string& db = "app", const msg::Parameters& more = {});

    void send(std::string_view bytes);
    /// Sends `piece` bytes at a time, each in a segment of its own.
    void send_pieces(std::string_view bytes, std::size_t piece);
    Message read();
    /// The next message unless none arrives within `time`.
    std::optional<Message> poll(Seconds time);
    /// All messages up to and including one of this type. Throws Closed before it.
    Messages read_until(char type);
    /// All messages until the peer hangs up.
    Messages read_to_end();
    /// The batch's answer: sends, then reads up to ReadyForQuery.
    Messages ask(std::string_view bytes);
    /// Exactly `n` bytes without framing (the answer to SSLRequest).
    std::string read_bytes(std::size_t n);
    /// All bytes until the peer hangs up, without framing (HTTP).
    std::string read_rest();
    /// True if the peer hangs up within `time` without another byte.
    bool closed_within(Seconds time);

    void half_close();  // no more will be sent; reading goes on
    void reset();       // closes with RST, what is on its way is lost
    void close();
    /// Limits the kernel's receive buffer, for a client that reads slowly.
    void shrink_receive_buffer(int bytes);

    std::uint32_t backend_pid() const noexcept { return pid_; }
    const std::string& backend_key() const noexcept { return key_; }
    int fd() const noexcept { return fd_; }
    /// What was read at login.
    const Messages& greeting() const noexcept { return greeting_; }

  private:
    bool fill(Seconds time);  // false: nothing came; throws Closed at the end
    std::optional<Message> take();

    int fd_ = -1;
    Seconds limit_;
    std::string buffer_;
    std::uint32_t pid_ = 0;
    std::string key_;
    Messages greeting_;
};

/// Types in order, without NoticeResponse, NotificationResponse and ParameterStatus: "12TDCZ".
std::string types(const Messages& messages);
/// The first ErrorResponse; empty fields without one.
ServerError error_of(const Messages& messages);
ServerError error_of(const Message& message);
std::size_t count_type(const Messages& messages, char type);
/// The bodies of all messages of one type.
std::vector<std::string> bodies(const Messages& messages, char type);
/// Rows as text; NULL is "NULL".
std::vector<std::vector<std::string>> rows(const Messages& messages);
/// The first column of the first row, "" without one.
std::string first_value(const Messages& messages);
/// Runs one query: its first value, or the SQLSTATE of its error.
std::string value_of(RawClient& c, const std::string& sql);
/// Status byte of the last ReadyForQuery, '?' without one.
char ready_status(const Messages& messages);
/// The value of the last ParameterStatus of this name.
std::optional<std::string> parameter_status(const Messages& messages, std::string_view name);

}  // namespace pgweir::testing
