// See mock_server.hpp.
#include "support/mock_server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "pgweir/base/bytes.hpp"
#include "pgweir/wire/writer.hpp"
#include "support/loopback.hpp"

namespace pgweir::testing {

bool MockConnection::fill(std::size_t n) {
    while (buffer_.size() < n) {
        if (stopping_ || fd_ < 0) return false;
        pollfd p{fd_, POLLIN, 0};
        if (::poll(&p, 1, 20) == 0) continue;
        std::array<char, 16384> chunk;
        const auto got = recv(fd_, chunk.data(), chunk.size(), 0);
        if (got <= 0) return false;
        buffer_.append(chunk.data(), static_cast<std::size_t>(got));
    }
    return true;
}

bool MockConnection::read_packet(std::string& body) {
    if (!fill(4)) return false;
    const std::size_t size = base::load_u32(buffer_.data());
    if (size < 8 || size > 20000 || !fill(size)) return false;
    body = buffer_.substr(4, size - 4);
    buffer_.erase(0, size);
    return true;
}

bool MockConnection::read_startup() {
    std::string body;
    while (true) {
        if (!read_packet(body)) return false;
        const auto code = base::load_u32(body.data());
        if (code == 80877102) {
            cancel_ = true;
            return false;
        }
        if (code != 80877103 && code != 80877104) break;
        if (!send("N")) return false;
    }
    base::ByteReader r(std::string_view(body).substr(4));
    while (true) {
        const std::string name(r.cstring());
        if (!r.ok() || name.empty()) break;
        parameters_.emplace_back(name, std::string(r.cstring()));
    }
    return true;
}

bool MockConnection::accept_login() {
    std::string out;
    wire::write_authentication(out, 0);
    for (const auto& [name, value] : msg::Parameters{{"server_version", "15.0"},
                                                     {"server_encoding", "UTF8"},
                                                     {"client_encoding", "UTF8"},
                                                     {"DateStyle", "ISO, MDY"},
                                                     {"TimeZone", "UTC"},
                                                     {"integer_datetimes", "on"},
                                                     {"standard_conforming_strings", "on"}})
        wire::write_parameter_status(out, name, value);
    wire::write_backend_key(out, 4711, "key!");
    return send(out + reply::ready());
}

std::optional<Message> MockConnection::read() {
    if (!fill(5)) return std::nullopt;
    const std::size_t size = base::load_u32(buffer_.data() + 1) + std::size_t{1};
    if (!fill(size)) return std::nullopt;
    Message m{buffer_[0], buffer_.substr(5, size - 5)};
    buffer_.erase(0, size);
    return m;
}

bool MockConnection::send(std::string_view bytes) { return fd_ >= 0 && send_all(fd_, bytes); }

void MockConnection::serve(const std::function<std::string(const std::string& sql)>& answer) {
    std::string statement;
    while (const auto m = read()) {
        std::string out;
        base::ByteReader r(m->body);
        switch (m->type) {
            case 'Q': out = answer(std::string(r.cstring())) + reply::ready(); break;
            case 'P':
                r.cstring();
                statement = std::string(r.cstring());
                out = msg::frame('1');
                break;
            case 'B': out = msg::frame('2'); break;
            case 'C': out = msg::frame('3'); break;
            case 'D': break;  // the row description comes with the rows
            case 'E': out = answer(statement); break;
            case 'S': out = reply::ready(); break;
            case 'X': return;
            default: break;
        }
        if (!send(out) && !out.empty()) return;
    }
}

void MockConnection::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

void MockConnection::reset() {
    const linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
}

MockServer::MockServer(Script script) : script_(std::move(script)) {
    const auto listening = listen_on_loopback();
    listener_ = listening.fd;
    port_ = listening.port;
    acceptor_ = std::thread([this] { accept_loop(); });
}

MockServer::~MockServer() {
    stopping_ = true;
    acceptor_.join();
    for (auto& t : threads_) t.join();
    close(listener_);
}

void MockServer::accept_loop() {
    while (!stopping_) {
        pollfd p{listener_, POLLIN, 0};
        if (::poll(&p, 1, 20) == 0) continue;
        const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        ++accepted_;
        threads_.emplace_back([this, fd] { run_connection(fd); });
    }
}

void MockServer::run_connection(int fd) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    MockConnection connection(fd, stopping_);
    script_(connection);
    connection.close();
}

namespace reply {

std::string parameter(std::string_view name, std::string_view value) {
    std::string out;
    wire::write_parameter_status(out, name, value);
    return out;
}

std::string ready(char status) { return msg::frame('Z', std::string(1, status)); }

std::string complete(std::string_view tag) {
    std::string out;
    wire::write_command_complete(out, tag);
    return out;
}

std::string error(std::string_view severity, std::string_view sqlstate, std::string_view message) {
    std::string out;
    wire::write_error(out, {severity, sqlstate, message});
    return out;
}

std::string one_row(std::string_view column, std::string_view value) {
    std::string out;
    const wire::Column c{column, wire::kOidText};
    wire::write_row_description(out, {&c, 1});
    wire::write_data_row(out, {&value, 1});
    return out + complete("SELECT 1");
}

}  // namespace reply
}  // namespace pgweir::testing
