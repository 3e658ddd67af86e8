// "host:port" as http.listen gives it. Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgweir/base/result.hpp"

namespace pgweir::admin {

struct ListenAddress {
    std::string host;  // numeric or a name
    std::uint16_t port = 0;
};

/// "127.0.0.1:9930", "localhost:9930", "[::1]:9930"; ":9930" and "*:9930" are all IPv4 addresses.
base::Result<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace pgweir::admin
