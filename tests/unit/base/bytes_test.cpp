#include "pgweir/base/bytes.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <unordered_set>

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

TEST_CASE("a comparison of secrets reads all of both, wherever they differ (S19)") {
    // The last bytes lie in a page that kills whoever reads it: stopping early would survive.
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const auto secret = [page](char first) {
        void* at =
            mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        REQUIRE(at != MAP_FAILED);
        auto* bytes = static_cast<char*>(at);
        bytes[page - 16] = first;
        return std::string_view(bytes + page - 16, 32);
    };
    for (const bool of_the_first : {false, true}) {
        const auto a = secret('a');
        const auto b = secret('b');
        auto* last = const_cast<char*>((of_the_first ? a : b).data()) + 16;
        REQUIRE(mprotect(last, page, PROT_NONE) == 0);
        const auto child = fork();
        if (child == 0) {
            signal(SIGSEGV, SIG_DFL);  // a sanitizer would tell a story
            (void)base::equal_constant_time(a, b);
            _exit(0);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status));
        for (const auto s : {a, b}) munmap(const_cast<char*>(s.data()) + 16 - page, 2 * page);
    }
}

TEST_CASE("keys from the generator are as even as chance has it, and none comes twice (S27)") {
    std::array<std::size_t, 256> seen{};
    std::unordered_set<std::string> keys;
    constexpr std::size_t kKeys = 200'000;
    for (std::size_t i = 0; i < kKeys; ++i) {
        auto key = base::random_string(8);
        for (const char c : key) ++seen[static_cast<unsigned char>(c)];
        keys.insert(std::move(key));
    }
    CHECK(keys.size() == kKeys);
    const double expected = kKeys * 8 / 256.0;
    double chi = 0;
    for (const auto n : seen) {
        const double d = static_cast<double>(n) - expected;
        chi += d * d / expected;
    }
    // 255 degrees of freedom: one run in a billion is outside.
    CHECK(chi > 130);
    CHECK(chi < 410);
}

TEST_CASE("constant-time comparison is still a comparison") {
    CHECK(base::equal_constant_time("abc", "abc"));
    CHECK_FALSE(base::equal_constant_time("abc", "abd"));
    CHECK_FALSE(base::equal_constant_time("abc", "ab"));
    CHECK(base::random_string(16) != base::random_string(16));
}
