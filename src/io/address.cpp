// See address.hpp.
#include "pgweir/io/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace pgweir::io {

namespace {
const sockaddr_in* as_v4(const sockaddr_storage& s) noexcept {
    return reinterpret_cast<const sockaddr_in*>(&s);
}
const sockaddr_in6* as_v6(const sockaddr_storage& s) noexcept {
    return reinterpret_cast<const sockaddr_in6*>(&s);
}
}  // namespace

bool Address::is_local() const noexcept {
    switch (storage.ss_family) {
        case AF_UNIX: return true;
        case AF_INET: return (ntohl(as_v4(storage)->sin_addr.s_addr) >> 24) == 127;
        case AF_INET6: return IN6_IS_ADDR_LOOPBACK(&as_v6(storage)->sin6_addr) != 0;
        default: return false;
    }
}

std::string Address::host() const {
    char text[INET6_ADDRSTRLEN] = "";
    switch (storage.ss_family) {
        case AF_UNIX: return "unix";
        case AF_INET: {  // inet_ntop() would format with printf, at each login
            const auto address = ntohl(as_v4(storage)->sin_addr.s_addr);
            std::string dotted;
            for (int shift = 24; shift >= 0; shift -= 8) {
                if (!dotted.empty()) dotted += '.';
                dotted += std::to_string((address >> shift) & 0xff);
            }
            return dotted;
        }
        case AF_INET6:
            inet_ntop(AF_INET6, &as_v6(storage)->sin6_addr, text, sizeof text);
            return text;
        default: return "";
    }
}

std::uint16_t Address::port() const noexcept {
    switch (storage.ss_family) {
        case AF_INET: return ntohs(as_v4(storage)->sin_port);
        case AF_INET6: return ntohs(as_v6(storage)->sin6_port);
        default: return 0;
    }
}

base::Result<Address> unix_address(const std::string& directory, std::uint16_t port) {
    Address a;
    auto* un = reinterpret_cast<sockaddr_un*>(&a.storage);
    const auto path = directory + "/.s.PGSQL." + std::to_string(port);
    if (path.size() >= sizeof un->sun_path)
        return base::Error{"Unix socket path \"" + path + "\" is longer than the system allows"};
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, path.c_str(), path.size() + 1);
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return a;
}

base::Result<Address> numeric_address(const std::string& host, std::uint16_t port) {
    Address a;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&a.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&a.storage);
    const std::string text = host.empty() || host == "*" ? "0.0.0.0"
                             : host == "localhost"       ? "127.0.0.1"
                                                         : host;
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        a.size = sizeof *v4;
        return a;
    }
    if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        a.size = sizeof *v6;
        return a;
    }
    return base::Error{"\"" + host + "\" is not a numeric address"};
}

Address peer_address(int fd) noexcept {
    Address a;
    a.size = sizeof a.storage;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&a.storage), &a.size) != 0) a.size = 0;
    return a;
}

Address local_address(int fd) noexcept {
    Address a;
    a.size = sizeof a.storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&a.storage), &a.size) != 0) a.size = 0;
    return a;
}

}  // namespace pgweir::io
