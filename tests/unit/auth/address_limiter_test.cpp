#include "pgweir/auth/address_limiter.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

#include "pgweir/auth/http_token.hpp"

using namespace pgweir;
using base::kMillisecond;
using base::kSecond;

namespace {

struct Peer {
    sockaddr_storage storage{};
    explicit Peer(const std::string& text) {
        sockaddr_in v4{};
        sockaddr_in6 v6{};
        if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
            v4.sin_family = AF_INET;
            std::memcpy(&storage, &v4, sizeof v4);
        } else {
            REQUIRE(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1);
            v6.sin6_family = AF_INET6;
            std::memcpy(&storage, &v6, sizeof v6);
        }
    }
    operator const sockaddr*() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

}  // namespace

TEST_CASE("so many at once, then as they come back, each address for itself") {
    auth::AddressLimiter limiter;
    const Peer a("192.0.2.1"), b("192.0.2.2");
    for (int i = 0; i < 1000; ++i) CHECK(limiter.take(a, 0));  // no limit yet
    limiter.set_limit(10, kSecond);
    base::Nanos now = 5 * kSecond;
    for (int i = 0; i < 10; ++i) CHECK(limiter.take(a, now));
    CHECK(limiter.exhausted(a, now));
    CHECK_FALSE(limiter.take(a, now));
    CHECK_FALSE(limiter.exhausted(b, now));
    CHECK(limiter.take(b, now));
    now += 100 * kMillisecond;
    CHECK_FALSE(limiter.exhausted(a, now));
    CHECK(limiter.take(a, now));
    CHECK_FALSE(limiter.take(a, now));
    now += 10 * kSecond;
    for (int i = 0; i < 10; ++i) CHECK(limiter.take(a, now));
    CHECK_FALSE(limiter.take(a, now));
    limiter.set_limit(0, kSecond);
    CHECK(limiter.take(a, now));
}

TEST_CASE("an IPv6 network of 64 bits counts as one address, a mapped IPv4 address as itself") {
    auth::AddressLimiter limiter;
    limiter.set_limit(1, kSecond);
    CHECK(limiter.take(Peer("2001:db8::1"), kSecond));
    CHECK_FALSE(limiter.take(Peer("2001:db8::2"), kSecond));
    CHECK(limiter.take(Peer("2001:db8:0:1::1"), kSecond));
    CHECK(limiter.take(Peer("192.0.2.7"), kSecond));
    CHECK_FALSE(limiter.take(Peer("::ffff:192.0.2.7"), kSecond));
}

TEST_CASE("a flood from many addresses takes no more memory, and forgets the innocent first") {
    auth::AddressLimiter limiter;
    limiter.set_limit(100, kSecond);
    const Peer guilty("192.0.2.1");
    while (limiter.take(guilty, kSecond)) {
    }
    for (std::uint32_t i = 0; i < 20'000; ++i) {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_addr.s_addr = htonl(0x0a000000 + i);
        CHECK(limiter.take(reinterpret_cast<const sockaddr*>(&v4), kSecond));
    }
    CHECK(limiter.exhausted(guilty, kSecond));
}

TEST_CASE("a token is shown as Bearer or as Basic's password, and as nothing else") {
    using auth::shows_token;
    CHECK(shows_token("Bearer s3cret", "s3cret"));
    CHECK(shows_token("bearer s3cret", "s3cret"));
    CHECK(shows_token("Basic dXNlcjpzM2NyZXQ=", "s3cret"));  // user:s3cret
    for (const char* header :
         {"", "s3cret", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cretx", "Bearer  s3cret",
          "Basic s3cret", "Basic dXNlcjpzM2NyZQ==", "Basic ", "Digest s3cret", "Basic czNjcmV0"})
        CHECK_FALSE_MESSAGE(shows_token(header, "s3cret"), header);
    CHECK_FALSE(shows_token("Bearer ", ""));
    CHECK_FALSE(shows_token("Basic dXNlcjo=", ""));
}
