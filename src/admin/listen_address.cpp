// Splits an address at its last colon.
#include "listen_address.hpp"

#include <charconv>

namespace pgweir::admin {

base::Result<ListenAddress> parse_listen_address(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return base::Error{"host:port is expected"};
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    ListenAddress address;
    const auto end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, address.port);
    if (digits.empty() || error != std::errc{} || at != end)
        return base::Error{"the port is no number up to 65535"};
    const bool bracketed = host.starts_with('[');
    if (bracketed != host.ends_with(']') ||
        (!bracketed && host.find(':') != std::string_view::npos))
        return base::Error{"an IPv6 address is written [address]:port"};
    if (bracketed) host = host.substr(1, host.size() - 2);
    address.host = host.empty() || host == "*" ? "0.0.0.0" : host;
    return address;
}

}  // namespace pgweir::admin
