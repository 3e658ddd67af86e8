// See cutter.hpp.
#include "checker/cutter.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string_view>

namespace pgweir::checker {

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

}  // namespace

Cutter::Cutter(std::uint16_t server_port) : server_port_(server_port) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = loopback(0);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_, 64) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error("the cutter cannot listen");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_loop(); });
}

Cutter::~Cutter() {
    stopping_ = true;
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& relay : relays_) relay.join();
    close(listener_);
}

void Cutter::accept_loop() {
    while (!stopping_) {
        const int proxy = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (proxy < 0) continue;
        const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const auto address = loopback(server_port_);
        const int on = 1;
        setsockopt(proxy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            close(proxy);
            close(server);
            continue;
        }
        relays_.emplace_back([this, proxy, server] { relay(proxy, server); });
    }
}

void Cutter::relay(int proxy, int server) {
    std::array<char, 65536> buffer;
    bool open = true;
    bool cut = false;
    while (open && !stopping_ && !cut) {
        std::array<pollfd, 2> fds{pollfd{proxy, POLLIN, 0}, pollfd{server, POLLIN, 0}};
        ::poll(fds.data(), fds.size(), 100);
        for (const auto& [from, to] : {std::pair(0, server), std::pair(1, proxy)}) {
            if (fds[static_cast<std::size_t>(from)].revents == 0) continue;
            const auto n = recv(from == 0 ? proxy : server, buffer.data(), buffer.size(), 0);
            open = open && n > 0;
            if (n <= 0) break;
            const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
            open = open && send_all(to, bytes);
            cut = cut || (from == 0 && bytes.find("/*cut*/") != std::string_view::npos);
        }
    }
    if (cut) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        const linger now{1, 0};
        setsockopt(proxy, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(proxy);
        // The server learns of it only when it has done its work and answers.
        for (int i = 0; i < 10 && !stopping_; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        close(server);
        return;
    }
    close(proxy);
    close(server);
}

}  // namespace pgweir::checker
