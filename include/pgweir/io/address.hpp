// Socket addresses: what a connection is made to, and what a peer is called in logs and SHOW.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "pgweir/base/result.hpp"

namespace pgweir::io {

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    bool is_unix() const noexcept { return storage.ss_family == AF_UNIX; }
    /// 127.0.0.0/8, ::1, or a Unix socket.
    bool is_local() const noexcept;
    std::string host() const;  // "127.0.0.1", "::1", "unix"
    std::uint16_t port() const noexcept;
};

/// The socket PostgreSQL listens on in `directory` for `port`. Fails when the path is too long.
base::Result<Address> unix_address(const std::string& directory, std::uint16_t port);
/// A numeric IPv4 or IPv6 address; "*" and "" are every IPv4 address.
base::Result<Address> numeric_address(const std::string& host, std::uint16_t port);
Address peer_address(int fd) noexcept;
Address local_address(int fd) noexcept;

}  // namespace pgweir::io
