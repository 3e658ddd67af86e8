// See proxy_header.hpp.
#include "pgweir/wire/proxy_header.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "pgweir/base/bytes.hpp"

namespace pgweir::wire {

namespace {

constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::string_view kSignature1 = "PROXY ";
constexpr std::size_t kMaxLine1 = 107;  // with its CR LF
using Kind = ProxyHeader::Kind;

bool set_v4(ProxyHeader& h, const void* address, std::uint16_t port) noexcept {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, address, 4);
    std::memcpy(&h.address, &v4, sizeof v4);
    h.address_size = sizeof v4;
    return true;
}

bool set_v6(ProxyHeader& h, const void* address, std::uint16_t port) noexcept {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address, 16);
    std::memcpy(&h.address, &v6, sizeof v6);
    h.address_size = sizeof v6;
    return true;
}

std::string_view take_word(std::string_view& rest) noexcept {
    const auto end = std::min(rest.find(' '), rest.size());
    const auto word = rest.substr(0, end);
    rest.remove_prefix(std::min(rest.size(), end + 1));
    return word;
}

bool port_of(std::string_view digits, std::uint16_t& port) noexcept {
    const auto end = digits.data() + digits.size();
    const auto [at, error] = std::from_chars(digits.data(), end, port);
    return !digits.empty() && error == std::errc() && at == end;
}

/// "TCP4 192.0.2.1 192.0.2.2 56324 443"
bool read_line(std::string_view line, ProxyHeader& h) noexcept {
    const auto family = take_word(line);
    if (family == "UNKNOWN") {
        h.kind = Kind::local;
        return true;
    }
    const bool v6 = family == "TCP6";
    if (!v6 && family != "TCP4") return false;
    char source[64] = "", target[64] = "";
    for (char* text : {source, target}) {
        const auto word = take_word(line);
        if (word.empty() || word.size() >= sizeof source) return false;
        std::memcpy(text, word.data(), word.size());
    }
    std::uint16_t from = 0, to = 0;
    if (!port_of(take_word(line), from) || !port_of(take_word(line), to) || !line.empty())
        return false;
    unsigned char address[16], other[16];
    const int kind = v6 ? AF_INET6 : AF_INET;
    if (inet_pton(kind, source, address) != 1 || inet_pton(kind, target, other) != 1) return false;
    h.kind = Kind::peer;
    return v6 ? set_v6(h, address, from) : set_v4(h, address, from);
}

ProxyHeader read_version1(std::string_view bytes) noexcept {
    ProxyHeader h;
    const auto end = bytes.substr(0, kMaxLine1).find("\r\n");
    if (end == std::string_view::npos) {
        if (bytes.size() >= kMaxLine1) h.kind = Kind::bad;
        return h;
    }
    h.size = end + 2;
    if (!read_line(bytes.substr(kSignature1.size(), end - kSignature1.size()), h))
        h.kind = Kind::bad;
    return h;
}

ProxyHeader read_version2(std::string_view bytes) noexcept {
    ProxyHeader h;
    if (bytes.size() < 16) return h;
    const auto command = static_cast<unsigned char>(bytes[12]);
    const auto family = static_cast<unsigned char>(bytes[13]);
    const std::size_t length = base::load_u16(bytes.data() + 14);
    h.kind = Kind::bad;
    if (command >> 4 != 2 || (command & 15) > 1 || 16 + length > kMaxProxyHeader) return h;
    if (bytes.size() < 16 + length) {
        h.kind = Kind::need_more;
        return h;
    }
    h.size = 16 + length;
    const char* body = bytes.data() + 16;
    if ((command & 15) == 0) {
        h.kind = Kind::local;
    } else if (family == 0x11 && length >= 12) {
        h.kind = Kind::peer;
        set_v4(h, body, base::load_u16(body + 8));
    } else if (family == 0x21 && length >= 36) {
        h.kind = Kind::peer;
        set_v6(h, body, base::load_u16(body + 32));
    } else if (family == 0x00 || family >> 4 == 3) {
        h.kind = Kind::local;  // unspecified, or a Unix socket at the balancer
    }
    return h;
}

}  // namespace

ProxyHeader parse_proxy_header(std::string_view bytes) noexcept {
    const auto begins = [bytes](std::string_view signature) {
        const auto n = std::min(bytes.size(), signature.size());
        return bytes.substr(0, n) == signature.substr(0, n);
    };
    if (begins(kSignature2) && !bytes.empty() && bytes[0] == '\r') {
        if (bytes.size() < kSignature2.size()) return {};
        return read_version2(bytes);
    }
    if (begins(kSignature1)) {
        if (bytes.size() < kSignature1.size()) return {};
        return read_version1(bytes);
    }
    ProxyHeader h;
    h.kind = Kind::bad;
    return h;
}

}  // namespace pgweir::wire
