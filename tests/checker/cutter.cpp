// See cutter.hpp.
#include "checker/cutter.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string_view>

#include "support/loopback.hpp"

namespace pgweir::checker {

using testing::send_all;

Cutter::Cutter(std::uint16_t server_port) : server_port_(server_port) {
    const auto listening = testing::listen_on_loopback();
    listener_ = listening.fd;
    port_ = listening.port;
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
        const int server = testing::connect_to_loopback(server_port_);
        if (server < 0) {
            close(proxy);
            continue;
        }
        const int on = 1;
        setsockopt(proxy, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
