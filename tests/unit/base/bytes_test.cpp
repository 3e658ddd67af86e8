#include "pgweir/base/bytes.hpp"

#include <doctest/doctest.h>

#include "pgweir/base/hash.hpp"
#include "pgweir/base/random.hpp"

using namespace pgweir;

TEST_CASE("a reader that ran past the end stays failed and gives zeros") {
    base::ByteReader r(std::string_view("\x00\x01\x02", 3));
    CHECK(r.u16() == 1);
    CHECK(r.u32() == 0);
    CHECK_FALSE(r.ok());
    CHECK(r.u8() == 0);
    CHECK_FALSE(r.done());
}

TEST_CASE("a string without its NUL is not a string") {
    base::ByteReader r("abc");
    CHECK(r.cstring().empty());
    CHECK_FALSE(r.ok());
}

TEST_CASE("numbers are stored in network order") {
    std::string s;
    base::append_u32(s, 0x01020304);
    base::append_u16(s, 0x0506);
    CHECK(s == std::string("\x01\x02\x03\x04\x05\x06"));
    CHECK(base::load_u32(s.data()) == 0x01020304);
    CHECK(base::load_u16(s.data() + 4) == 0x0506);
}

TEST_CASE("hashes of one process agree and differ for other bytes") {
    CHECK(base::hash128("a") == base::hash128("a"));
    CHECK_FALSE(base::hash128("a") == base::hash128("b"));
    CHECK(base::stable_hash64("select") == base::stable_hash64("select"));
}

TEST_CASE("constant-time comparison is still a comparison") {
    CHECK(base::equal_constant_time("abc", "abc"));
    CHECK_FALSE(base::equal_constant_time("abc", "abd"));
    CHECK_FALSE(base::equal_constant_time("abc", "ab"));
    CHECK(base::random_string(16) != base::random_string(16));
}
