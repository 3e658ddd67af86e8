// The bare byte relay: joins each client to an upstream connection of its own and parses nothing.
// It shows what passing a query on costs in the kernel alone: one wake-up, one read and one write
// in each direction. Invariant: bytes held for a side are in that side's `held`, and while there
// are any, its peer is not read. One thread.
//
//   relay LISTEN_PORT UPSTREAM_HOST|SOCKET_DIRECTORY UPSTREAM_PORT
#include <array>
#include <memory>
#include <vector>

#include "net.hpp"

namespace {

constexpr std::size_t kReadSize = 64 * 1024;

struct Side {
    int fd = -1;
    Side* peer = nullptr;
    std::string held;  // what this side's socket would not take yet
    std::size_t sent = 0;
    bool dead = false;
};

class Relay {
  public:
    Relay(int listener, bench::Address upstream) : listener_(listener), upstream_(upstream) {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ < 0) bench::die("epoll_create1");
        bench::watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr);
    }

    [[noreturn]] void run() {
        std::array<epoll_event, 256> events;
        for (;;) {
            int n = epoll_wait(epoll_, events.data(), events.size(), -1);
            for (int i = 0; i < n; i++) {
                if (auto* side = static_cast<Side*>(events[i].data.ptr))
                    on_event(*side, events[i].events);
                else
                    accept_all();
            }
            // Both sides of a pair may stand in one batch of events: freed only after it.
            graveyard_.clear();
        }
    }

  private:
    void accept_all() {
        int fd;
        while ((fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
            bench::no_delay(fd);
            int up = bench::connect_to(upstream_);
            if (up < 0) {
                close(fd);
                continue;
            }
            // Ownership passes to the graveyard when the pair ends.
            auto* client = new Side{.fd = fd};
            auto* server = new Side{.fd = up};
            client->peer = server;
            server->peer = client;
            bench::watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, client);
            bench::watch(epoll_, EPOLL_CTL_ADD, up, EPOLLIN, server);
        }
    }

    void on_event(Side& side, std::uint32_t events) {
        if (side.dead) return;
        if ((events & EPOLLOUT) && !flush(side)) return;
        if (!side.peer->held.empty()) {
            // Not being read; a hang-up is still reported and would come again at once.
            if (events & (EPOLLHUP | EPOLLERR)) bury(side);
            return;
        }
        if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
        ssize_t n = recv(side.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return bury(side);
        Side& to = *side.peer;
        ssize_t w = send(to.fd, buffer_.data(), static_cast<std::size_t>(n), kSendFlags);
        if (w < 0 && errno != EAGAIN) return bury(side);
        if (w < 0) w = 0;
        if (w == n) return;
        to.held.assign(buffer_.data() + w, static_cast<std::size_t>(n - w));
        to.sent = 0;
        bench::watch(epoll_, EPOLL_CTL_MOD, side.fd, 0, &side);
        bench::watch(epoll_, EPOLL_CTL_MOD, to.fd, EPOLLIN | EPOLLOUT, &to);
    }

    /// False when the pair has ended.
    bool flush(Side& side) {
        ssize_t n =
            send(side.fd, side.held.data() + side.sent, side.held.size() - side.sent, kSendFlags);
        if (n < 0 && errno != EAGAIN) {
            bury(side);
            return false;
        }
        if (n > 0) side.sent += static_cast<std::size_t>(n);
        if (side.sent < side.held.size()) return true;
        side.held = std::string();
        bench::watch(epoll_, EPOLL_CTL_MOD, side.fd, side.peer->held.empty() ? EPOLLIN : 0U, &side);
        bench::watch(epoll_, EPOLL_CTL_MOD, side.peer->fd,
                     side.peer->held.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, side.peer);
        return true;
    }

    void bury(Side& side) {
        for (Side* s : {&side, side.peer}) {
            s->dead = true;
            close(s->fd);
            graveyard_.emplace_back(s);
        }
    }

    static constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
    int epoll_, listener_;
    bench::Address upstream_;
    std::vector<std::unique_ptr<Side>> graveyard_;
    std::array<char, kReadSize> buffer_;
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) bench::usage("usage: relay LISTEN_PORT UPSTREAM_HOST UPSTREAM_PORT\n");
    bench::raise_file_limit();
    int listener =
        bench::listen_on("127.0.0.1", static_cast<int>(bench::number(argv[1], 1, 65535)));
    auto upstream = bench::address(argv[2], static_cast<int>(bench::number(argv[3], 1, 65535)));
    static Relay relay(listener, upstream);
    relay.run();
}
