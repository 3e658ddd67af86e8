// See tap.hpp.
#include "support/tap.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "support/loopback.hpp"

namespace pgweir::testing {

Tap::Tap(std::uint16_t server_port) : server_port_(server_port) {
    const auto listening = listen_on_loopback();
    listener_ = listening.fd;
    port_ = listening.port;
    thread_ = std::thread([this] { run(); });
}

Tap::~Tap() {
    stopping_ = true;
    thread_.join();
    for (const auto& line : lines_) {
        close(line.client);
        close(line.server);
    }
    close(listener_);
}

std::vector<std::string> Tap::heard() const {
    const std::scoped_lock lock(mutex_);
    return heard_;
}

void Tap::accept_one() {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int server = connect_to_loopback(server_port_);
    if (client < 0 || server < 0) {
        close(client);
        close(server);
        return;
    }
    const std::scoped_lock lock(mutex_);
    lines_.push_back({client, server, heard_.size()});
    heard_.emplace_back();
}

/// False at the end of either side.
bool Tap::pass(int from, int to, std::string* record) {
    std::array<char, 65536> buffer;
    const auto n = recv(from, buffer.data(), buffer.size(), 0);
    if (n <= 0) return false;
    if (record != nullptr) {
        const std::scoped_lock lock(mutex_);
        record->append(buffer.data(), static_cast<std::size_t>(n));
    }
    return send_all(to, {buffer.data(), static_cast<std::size_t>(n)});
}

void Tap::run() {
    while (!stopping_) {
        std::vector<pollfd> watched{{listener_, POLLIN, 0}};
        for (const auto& line : lines_) {
            watched.push_back({line.client, POLLIN, 0});
            watched.push_back({line.server, POLLIN, 0});
        }
        ::poll(watched.data(), watched.size(), 20);
        std::vector<Line> open;
        for (std::size_t i = 0; i < lines_.size(); ++i) {
            const auto& line = lines_[i];
            bool alive = true;
            if (watched[2 * i + 1].revents != 0)
                alive = pass(line.client, line.server, &heard_[line.number]);
            if (alive && watched[2 * i + 2].revents != 0)
                alive = pass(line.server, line.client, nullptr);
            if (alive) {
                open.push_back(line);
                continue;
            }
            close(line.client);
            close(line.server);
        }
        lines_ = std::move(open);
        if (watched[0].revents != 0) accept_one();
    }
}

}  // namespace pgweir::testing
