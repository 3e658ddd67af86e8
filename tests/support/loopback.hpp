// Sockets on 127.0.0.1 for what stands between or in place of real programs. The caller closes
// what it is given. Thread: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace pgweir::testing {

struct Listening {
    int fd = -1;
    std::uint16_t port = 0;
};
/// On a port that was free. Throws std::runtime_error.
Listening listen_on_loopback();
/// A TCP port of 127.0.0.1 that nobody listened on a moment ago, and that no connection is given
/// for its own end meanwhile. Throws std::runtime_error.
std::uint16_t free_port();
/// Blocking; -1 where nobody listens, with errno.
int connect_to_loopback(std::uint16_t port);
/// False: the peer takes no more.
bool send_all(int fd, std::string_view bytes);

}  // namespace pgweir::testing
