// What a server's snapshot sees, and how 32 bits of a transaction's number become 64.
#include "pgweir/cache/stamp.hpp"

#include <doctest/doctest.h>

using namespace pgweir::cache;

TEST_CASE("a stamp sees what was over, and nothing that was running or had not begun") {
    const auto s = Stamp::parse("100:110:103,105");
    REQUIRE(s);
    for (const FullXid seen : {1, 99, 100, 104, 109}) CHECK(s->sees(seen));
    for (const FullXid hidden : {103, 105, 110, 111, 1 << 30}) CHECK_FALSE(s->sees(hidden));
    CHECK(s->sees_all({99, 104}));
    CHECK_FALSE(s->sees_all({99, 105}));
    CHECK(Stamp::parse("5:5:")->running().empty());
    CHECK_FALSE(Stamp().sees(0));
}

TEST_CASE("what PostgreSQL would not print is no stamp") {
    for (const auto* text :
         {"", "1", "1:", "1:2", "0:2:", "3:2:", "1:2:2", "5:9:4", "5:9:6,6", "5:9:7,6", "5:9:6,",
          "5:9:,6", "5:9:6 ", "5:9:x", "-1:2:", "99999999999999999999:1:", "5:9:6,7:"})
        CHECK_MESSAGE(!Stamp::parse(text), text);
    std::string many = "1:9000000:1";
    for (int i = 2; i < 1'100'000; ++i) many += "," + std::to_string(i);
    CHECK_FALSE(Stamp::parse(many));
}

TEST_CASE("numbers are completed across wraparound") {
    constexpr FullXid kEpoch = 1ull << 32;
    CHECK(full_xid(700, 750) == 700);
    CHECK(full_xid(800, 750) == 800);
    CHECK(full_xid(3, kEpoch - 5) == kEpoch + 3);
    CHECK(full_xid(0xFFFFFFFF, 2 * kEpoch + 4) == 2 * kEpoch - 1);
    CHECK(full_xid(9, 5 * kEpoch + 4) == 5 * kEpoch + 9);
    // Before the first epoch there is nothing.
    CHECK(full_xid(0xFFFFFFF0, 4) == 0xFFFFFFF0);
}
