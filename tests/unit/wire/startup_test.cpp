#include "pgweir/wire/startup.hpp"

#include <doctest/doctest.h>

#include "pgweir/base/bytes.hpp"

using namespace pgweir;
using wire::StartupKind;

namespace {
std::string packet(std::uint32_t version, std::string_view body) {
    std::string p;
    base::append_u32(p, static_cast<std::uint32_t>(8 + body.size()));
    base::append_u32(p, version);
    p += body;
    return p;
}
constexpr std::string_view kUser("user\0joe\0database\0app\0\0", 23);
}  // namespace

TEST_CASE("a start-up packet split at every byte is read once it is whole") {
    const auto p = packet(wire::kProtocol30, kUser);
    for (std::size_t n = 0; n < p.size(); ++n)
        CHECK(wire::parse_startup(std::string_view(p).substr(0, n)).kind == StartupKind::need_more);
    const auto longer = p + "more";
    const auto s = wire::parse_startup(longer);
    CHECK(s.kind == StartupKind::startup);
    CHECK(s.size == p.size());
    REQUIRE(s.parameters.size() == 2);
    CHECK(s.parameters[1].second == "app");
}

TEST_CASE("requests before the start-up packet are told apart") {
    CHECK(wire::parse_startup(packet(wire::kSslRequestCode, "")).kind == StartupKind::ssl_request);
    CHECK(wire::parse_startup(packet(wire::kGssEncRequestCode, "")).kind ==
          StartupKind::gssenc_request);
    const auto cancel = packet(wire::kCancelRequestCode, std::string_view("\0\0\0\7abcd", 8));
    const auto c = wire::parse_startup(cancel);
    CHECK(c.kind == StartupKind::cancel);
    CHECK(c.cancel_pid == 7);
    CHECK(c.cancel_key == "abcd");
    CHECK(wire::parse_startup(packet(wire::kCancelRequestCode, "xx")).kind ==
          StartupKind::bad_length);
}

TEST_CASE("lengths and versions no client sends are refused at once") {
    CHECK(wire::parse_startup(std::string_view("\0\0\0\3", 4)).kind == StartupKind::bad_length);
    CHECK(wire::parse_startup("GET / HTTP/1.1").kind == StartupKind::bad_length);
    CHECK(wire::parse_startup(packet(2 << 16, kUser)).kind == StartupKind::bad_version);
    CHECK(wire::parse_startup(packet(4 << 16, kUser)).kind == StartupKind::bad_version);
    CHECK(wire::parse_startup(packet(wire::kProtocol30, "user")).kind == StartupKind::malformed);
    CHECK(wire::parse_startup(packet(wire::kProtocol30, std::string_view("user\0joe\0", 9))).kind ==
          StartupKind::malformed);
}

TEST_CASE("options are read in every form PostgreSQL reads") {
    const auto o = wire::parse_options("-c a=1 -cb=2 --c-d=3 -c e=x\\ y\\\\z");
    REQUIRE(o);
    REQUIRE(o->size() == 4);
    CHECK((*o)[0] == std::pair<std::string, std::string>("a", "1"));
    CHECK((*o)[1] == std::pair<std::string, std::string>("b", "2"));
    CHECK((*o)[2] == std::pair<std::string, std::string>("c_d", "3"));
    CHECK((*o)[3] == std::pair<std::string, std::string>("e", "x y\\z"));
    CHECK_FALSE(wire::parse_options("-c"));
    CHECK_FALSE(wire::parse_options("-c novalue"));
    CHECK_FALSE(wire::parse_options("-X"));
}
