// See raw_client.hpp.
#include "support/raw_client.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/error_fields.hpp"
#include "support/loopback.hpp"

namespace pgweir::testing {

using base::append_cstring;
using base::append_u16;
using base::append_u32;

RawClient::RawClient(std::uint16_t port, Seconds limit) : limit_(limit) {
    fd_ = connect_to_loopback(port);
    if (fd_ < 0) throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

RawClient::~RawClient() { close(); }

RawClient::RawClient(RawClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      limit_(other.limit_),
      buffer_(std::move(other.buffer_)),
      pid_(other.pid_),
      key_(std::move(other.key_)),
      greeting_(std::move(other.greeting_)) {}

RawClient& RawClient::operator=(RawClient&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(limit_, other.limit_);
    std::swap(buffer_, other.buffer_);
    std::swap(pid_, other.pid_);
    std::swap(key_, other.key_);
    std::swap(greeting_, other.greeting_);
    return *this;
}

RawClient RawClient::login(std::uint16_t port, const std::string& user, const std::string& db,
                           const msg::Parameters& more) {
    RawClient c(port);
    msg::Parameters all{{"user", user}, {"database", db}};
    all.insert(all.end(), more.begin(), more.end());
    c.send(msg::startup(all));
    while (true) {
        const auto m = c.read();
        c.greeting_.push_back(m);
        if (m.type == 'E') throw std::runtime_error("login: " + error_of(m).message);
        if (m.type == 'K' && m.body.size() >= 8) {
            c.pid_ = base::load_u32(m.body.data());
            c.key_ = m.body.substr(4);
        }
        if (m.type == 'Z') return c;
    }
}

void RawClient::send(std::string_view bytes) {
    if (!send_all(fd_, bytes)) throw Closed();
}

void RawClient::send_pieces(std::string_view bytes, std::size_t piece) {
    while (!bytes.empty()) {
        send(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
        sleep_for(Seconds(0.0005));
    }
}

bool RawClient::fill(Seconds time) {
    pollfd p{fd_, POLLIN, 0};
    const int ms = static_cast<int>(time.count() * 1000);
    if (::poll(&p, 1, std::max(ms, 0)) == 0) return false;
    std::array<char, 65536> chunk;
    const auto n = recv(fd_, chunk.data(), chunk.size(), 0);
    if (n <= 0) throw Closed();
    buffer_.append(chunk.data(), static_cast<std::size_t>(n));
    return true;
}

std::optional<Message> RawClient::take() {
    if (buffer_.size() < 5) return std::nullopt;
    const std::size_t length = base::load_u32(buffer_.data() + 1);
    if (length < 4) throw std::runtime_error("the server sent a bad length");
    if (buffer_.size() < length + 1) return std::nullopt;
    Message m{buffer_[0], buffer_.substr(5, length - 4)};
    buffer_.erase(0, length + 1);
    return m;
}

std::optional<Message> RawClient::poll(Seconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (true) {
        if (auto m = take()) return m;
        const Seconds left = end - std::chrono::steady_clock::now();
        if (!fill(std::max(left, Seconds(0)))) return std::nullopt;
    }
}

Message RawClient::read() {
    auto m = poll(limit_);
    if (!m) throw std::runtime_error("no message within the time limit");
    return *std::move(m);
}

Messages RawClient::read_until(char type) {
    Messages all;
    do {
        all.push_back(read());
    } while (all.back().type != type);
    return all;
}

Messages RawClient::read_to_end() {
    Messages all;
    try {
        while (true) all.push_back(read());
    } catch (const Closed&) {
        return all;
    }
}

Messages RawClient::ask(std::string_view bytes) {
    send(bytes);
    return read_until('Z');
}

std::string RawClient::read_bytes(std::size_t n) {
    while (buffer_.size() < n)
        if (!fill(limit_)) throw std::runtime_error("no bytes within the time limit");
    auto bytes = buffer_.substr(0, n);
    buffer_.erase(0, n);
    return bytes;
}

std::string RawClient::read_rest() {
    try {
        while (fill(limit_)) {
        }
    } catch (const Closed&) {
    }
    return std::exchange(buffer_, {});
}

bool RawClient::closed_within(Seconds time) {
    try {
        return buffer_.empty() && fill(time) && false;
    } catch (const Closed&) {
        return true;
    }
}

void RawClient::half_close() { shutdown(fd_, SHUT_WR); }

void RawClient::reset() {
    const linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
}

void RawClient::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void RawClient::shrink_receive_buffer(int bytes) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

std::string types(const Messages& messages) {
    std::string t;
    for (const auto& m : messages)
        if (m.type != 'N' && m.type != 'A' && m.type != 'S') t += m.type;
    return t;
}

ServerError error_of(const Message& message) {
    const auto f = wire::parse_error_fields(message.body);
    return {std::string(f.severity), std::string(f.sqlstate), std::string(f.message),
            std::string(f.detail)};
}

ServerError error_of(const Messages& messages) {
    for (const auto& m : messages)
        if (m.type == 'E') return error_of(m);
    return {};
}

std::size_t count_type(const Messages& messages, char type) {
    return bodies(messages, type).size();
}

std::vector<std::string> bodies(const Messages& messages, char type) {
    std::vector<std::string> found;
    for (const auto& m : messages)
        if (m.type == type) found.push_back(m.body);
    return found;
}

std::vector<std::vector<std::string>> rows(const Messages& messages) {
    std::vector<std::vector<std::string>> all;
    for (const auto& body : bodies(messages, 'D')) {
        base::ByteReader r(body);
        std::vector<std::string> row(r.u16());
        for (auto& value : row) {
            const auto size = r.i32();
            value = size < 0 ? "NULL" : std::string(r.bytes(static_cast<std::size_t>(size)));
        }
        all.push_back(std::move(row));
    }
    return all;
}

std::string first_value(const Messages& messages) {
    const auto all = rows(messages);
    return all.empty() || all[0].empty() ? "" : all[0][0];
}

std::string value_of(RawClient& c, const std::string& sql) {
    const auto messages = c.ask(msg::query(sql));
    const auto error = error_of(messages);
    return error.sqlstate.empty() ? first_value(messages) : error.sqlstate;
}

char ready_status(const Messages& messages) {
    char status = '?';
    for (const auto& m : messages)
        if (m.type == 'Z' && m.body.size() == 1) status = m.body[0];
    return status;
}

std::optional<std::string> parameter_status(const Messages& messages, std::string_view name) {
    std::optional<std::string> value;
    for (const auto& body : bodies(messages, 'S')) {
        base::ByteReader r(body);
        const auto key = r.cstring();
        if (key == name) value = std::string(r.cstring());
    }
    return value;
}

namespace msg {

std::string frame(char type, std::string_view body) {
    std::string m(1, type);
    append_u32(m, static_cast<std::uint32_t>(body.size() + 4));
    m += body;
    return m;
}

namespace {
std::string packet(std::uint32_t code, std::string_view body) {
    std::string p;
    append_u32(p, static_cast<std::uint32_t>(body.size() + 8));
    append_u32(p, code);
    p += body;
    return p;
}
}  // namespace

std::string startup(const Parameters& parameters, std::uint32_t version) {
    std::string body;
    for (const auto& [name, value] : parameters) {
        append_cstring(body, name);
        append_cstring(body, value);
    }
    body.push_back('\0');
    return packet(version, body);
}

std::string ssl_request() { return packet(80877103, {}); }
std::string gssenc_request() { return packet(80877104, {}); }

std::string cancel_request(std::uint32_t pid, std::string_view key) {
    std::string body;
    append_u32(body, pid);
    body += key;
    return packet(80877102, body);
}

std::string query(std::string_view sql) {
    std::string body;
    append_cstring(body, sql);
    return frame('Q', body);
}

std::string parse(std::string_view name, std::string_view sql,
                  const std::vector<std::uint32_t>& oids) {
    std::string body;
    append_cstring(body, name);
    append_cstring(body, sql);
    append_u16(body, static_cast<std::uint16_t>(oids.size()));
    for (const auto oid : oids) append_u32(body, oid);
    return frame('P', body);
}

std::string bind(std::string_view portal, std::string_view statement,
                 const std::vector<Value>& values, int result_format) {
    std::string body;
    append_cstring(body, portal);
    append_cstring(body, statement);
    append_u16(body, 0);
    append_u16(body, static_cast<std::uint16_t>(values.size()));
    for (const auto& v : values) {
        append_u32(body, v ? static_cast<std::uint32_t>(v->size()) : 0xffffffffu);
        if (v) body += *v;
    }
    append_u16(body, 1);
    append_u16(body, static_cast<std::uint16_t>(result_format));
    return frame('B', body);
}

std::string describe(char kind, std::string_view name) {
    std::string body(1, kind);
    append_cstring(body, name);
    return frame('D', body);
}

std::string execute(std::string_view portal, std::uint32_t max_rows) {
    std::string body;
    append_cstring(body, portal);
    append_u32(body, max_rows);
    return frame('E', body);
}

std::string close(char kind, std::string_view name) {
    std::string body(1, kind);
    append_cstring(body, name);
    return frame('C', body);
}

std::string sync() { return frame('S'); }
std::string flush() { return frame('H'); }
std::string terminate() { return frame('X'); }
std::string copy_data(std::string_view data) { return frame('d', data); }
std::string copy_done() { return frame('c'); }

std::string password(std::string_view text) {
    std::string body;
    append_cstring(body, text);
    return frame('p', body);
}

std::string copy_fail(std::string_view reason) {
    std::string body;
    append_cstring(body, reason);
    return frame('f', body);
}

std::string unnamed(std::string_view sql, const std::vector<Value>& values) {
    return msg::parse("", sql) + msg::bind("", "", values) + describe('P', "") + execute();
}

}  // namespace msg
}  // namespace pgweir::testing
