// The PROXY protocol, versions 1 and 2 (HAProxy's specification, "The PROXY protocol"): whom a load
// balancer stands for. Read only from peers that are configured to send it.
// Invariant: nothing beyond the header's own bytes is looked at; at most 16 + 2048 of them.
// Thread: pure function.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string_view>

namespace pgweir::wire {

inline constexpr std::size_t kMaxProxyHeader = 16 + 2048;

struct ProxyHeader {
    enum class Kind : std::uint8_t {
        need_more,
        bad,    // no header, or a broken one
        local,  // the balancer speaks for itself (health check), or does not know for whom
        peer,   // `address` is who is behind it
    };
    Kind kind = Kind::need_more;
    std::size_t size = 0;  // of the header, when it is whole
    sockaddr_storage address{};
    socklen_t address_size = 0;
};

ProxyHeader parse_proxy_header(std::string_view bytes) noexcept;

}  // namespace pgweir::wire
