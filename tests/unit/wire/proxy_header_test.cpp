#include "pgweir/wire/proxy_header.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

using namespace pgweir;
using Kind = wire::ProxyHeader::Kind;

namespace {

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string v2(unsigned char command, unsigned char family, const std::string& body) {
    std::string h = kSignature;
    h += static_cast<char>(command);
    h += static_cast<char>(family);
    h += static_cast<char>(body.size() >> 8);
    h += static_cast<char>(body.size() & 255);
    return h + body;
}

std::string address_of(const wire::ProxyHeader& h) {
    char text[INET6_ADDRSTRLEN] = "";
    if (h.address.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &h.address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return std::string(text) + ":" + std::to_string(ntohs(v4.sin_port));
    }
    sockaddr_in6 v6{};
    std::memcpy(&v6, &h.address, sizeof v6);
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(v6.sin6_port));
}

const std::string kV4("\xcb\x00\x71\x07\x0a\x00\x00\x01\xdd\xd5\x19\x20", 12);

}  // namespace

TEST_CASE("both versions tell who is behind the balancer, whatever follows") {
    for (const std::string rest : {"", "\x16\x03\x01", "PROXY TCP4"}) {
        const std::string one = "PROXY TCP4 203.0.113.7 10.0.0.1 56789 6432\r\n";
        auto h = wire::parse_proxy_header(one + rest);
        CHECK(h.kind == Kind::peer);
        CHECK(h.size == one.size());
        CHECK(address_of(h) == "203.0.113.7:56789");
        const auto two = v2(0x21, 0x11, kV4 + std::string("\x04\0\1x", 4));
        h = wire::parse_proxy_header(two + rest);
        CHECK(h.kind == Kind::peer);
        CHECK(h.size == two.size());
        CHECK(address_of(h) == "203.0.113.7:56789");
    }
    CHECK(address_of(wire::parse_proxy_header("PROXY TCP6 2001:db8::1 ::1 1 2\r\n")) ==
          "2001:db8::1:1");
    std::string six(36, '\0');
    six[15] = 1;
    six[33] = 9;
    CHECK(address_of(wire::parse_proxy_header(v2(0x21, 0x21, six))) == "::1:9");
}

TEST_CASE("health checks and unknown origins count as the balancer itself") {
    CHECK(wire::parse_proxy_header("PROXY UNKNOWN\r\n").kind == Kind::local);
    CHECK(wire::parse_proxy_header("PROXY UNKNOWN ffff::1 ::2 1 2\r\n").kind == Kind::local);
    CHECK(wire::parse_proxy_header(v2(0x20, 0x00, "")).kind == Kind::local);
    CHECK(wire::parse_proxy_header(v2(0x21, 0x31, std::string(216, 'u'))).kind == Kind::local);
    CHECK(wire::parse_proxy_header(v2(0x21, 0x00, "xyz")).kind == Kind::local);
}

TEST_CASE("what is cut is waited for, at every byte") {
    for (const auto& whole :
         {std::string("PROXY TCP4 203.0.113.7 10.0.0.1 56789 6432\r\n"), v2(0x21, 0x11, kV4)})
        for (std::size_t n = 0; n < whole.size(); ++n)
            CHECK(wire::parse_proxy_header(whole.substr(0, n)).kind == Kind::need_more);
}

TEST_CASE("what is no header, or a broken one, is refused at once") {
    for (const std::string& bad : {std::string("GET / HTTP/1.1\r\n"),
                                   std::string("\0\0\0\x08\x04\xd2\x16\x2f", 8),
                                   std::string("\x16\x03\x01"),
                                   std::string("PROXX"),
                                   std::string("\r\n\r\n1"),
                                   std::string("PROXY TCP4 203.0.113.7 10.0.0.1 56789\r\n"),
                                   std::string("PROXY TCP4 203.0.113.7 10.0.0.1 56789 6432 x\r\n"),
                                   std::string("PROXY TCP4 203.0.113.7 10.0.0.1 70000 6432\r\n"),
                                   std::string("PROXY TCP4 203.0.113.7 10.0.0.1 -1 6432\r\n"),
                                   std::string("PROXY TCP4 ::1 10.0.0.1 1 6432\r\n"),
                                   std::string("PROXY TCP6 10.0.0.1 10.0.0.1 1 6432\r\n"),
                                   std::string("PROXY TCP5 10.0.0.1 10.0.0.1 1 6432\r\n"),
                                   std::string("PROXY \r\n"),
                                   "PROXY TCP4 " + std::string(200, '1'),
                                   v2(0x11, 0x11, kV4),
                                   v2(0x22, 0x11, kV4),
                                   v2(0x21, 0x11, "short"),
                                   v2(0x21, 0x21, kV4),
                                   v2(0x21, 0x41, kV4),
                                   v2(0x21, 0x11, std::string(4000, 'x'))}) {
        CAPTURE(bad);
        CHECK(wire::parse_proxy_header(bad).kind == Kind::bad);
    }
}
