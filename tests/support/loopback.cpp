// See loopback.hpp.
#include "support/loopback.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <random>
#include <stdexcept>

namespace pgweir::testing {

namespace {
sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// `port`: 0 for any. No descriptor where it is not to be had.
Listening listen_on(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto address = loopback(port);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bind(fd, generic, size) == 0 && listen(fd, 128) == 0 &&
        getsockname(fd, generic, &size) == 0)
        return {fd, ntohs(address.sin_port)};
    close(fd);
    return {};
}

/// The first port that the kernel may give to a connection for its own end (ip(7)).
int first_of_connections() {
    int first = 0;
    std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
    return first;
}
}  // namespace

Listening listen_on_loopback() {
    const auto listening = listen_on(0);
    if (listening.fd < 0) throw std::runtime_error("cannot listen on 127.0.0.1");
    return listening;
}

std::uint16_t free_port() {
    constexpr int kFirst = 10'000;
    static const int count = std::max(first_of_connections() - kFirst, 0);
    // In turn, so that none is given twice, from somewhere else in each program.
    static std::atomic<unsigned> turn{std::random_device{}()};
    Listening found;
    for (int i = 0; i < count && found.fd < 0; ++i)
        found =
            listen_on(static_cast<std::uint16_t>(kFirst + turn++ % static_cast<unsigned>(count)));
    if (found.fd < 0) found = listen_on_loopback();
    close(found.fd);
    return found.port;
}

int connect_to_loopback(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = loopback(port);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const int why = errno;
    close(fd);
    errno = why;
    return -1;
}

bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

}  // namespace pgweir::testing
