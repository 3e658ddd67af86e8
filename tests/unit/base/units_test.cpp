#include "pgweir/base/units.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace pgweir::base;

TEST_CASE("durations are read in PostgreSQL's units") {
    CHECK(parse_duration("0") == 0);
    CHECK(parse_duration("0s") == 0);
    CHECK(parse_duration("7us") == 7 * kMicrosecond);
    CHECK(parse_duration("200ms") == 200 * kMillisecond);
    CHECK(parse_duration("30s") == 30 * kSecond);
    CHECK(parse_duration("30 s") == 30 * kSecond);
    CHECK(parse_duration("5min") == 300 * kSecond);
    CHECK(parse_duration("1h") == 3600 * kSecond);
    CHECK(parse_duration("2d") == 2 * 86400 * kSecond);
}

TEST_CASE("what is not a duration is refused, above all a number without a unit") {
    for (const char* text :
         {"",   " ",  "s",    "30",   "1",     "-1s",  "+1s",    " 1s",  "1s ", "1.5s",
          "1m", "1S", "1sec", "1MIN", "0x10s", "1s1s", "1_000s", "1e3s", "٣s",  "1\ts"})
        CHECK_MESSAGE(!parse_duration(text), text);
    CHECK(!parse_duration(std::string_view("1s\0", 3)));
}

TEST_CASE("a duration that does not fit is refused, not wrapped") {
    CHECK(parse_duration("9223372036854775us") == 9'223'372'036'854'775 * kMicrosecond);
    CHECK(!parse_duration("9223372036854776us"));
    CHECK(!parse_duration("106752d"));
    CHECK(parse_duration("106751d"));
    CHECK(!parse_duration("18446744073709551616s"));
    CHECK(!parse_duration("99999999999999999999999999999999d"));
}

TEST_CASE("sizes are powers of 1024, however they are spelled") {
    CHECK(parse_size("0") == 0u);
    CHECK(parse_size("17B") == 17u);
    for (const char* text : {"64kB", "64KiB", "64 KiB"}) CHECK(parse_size(text) == 65536u);
    for (const char* text : {"256MB", "256MiB"}) CHECK(parse_size(text) == 256u << 20);
    for (const char* text : {"1GB", "1GiB", "1024MiB"}) CHECK(parse_size(text) == 1u << 30);
    for (const char* text : {"1TB", "1TiB"}) CHECK(parse_size(text) == 1ull << 40);
}

TEST_CASE("what is not a size is refused") {
    for (const char* text : {"", "B", "1", "1024", "-1B", "1.5GiB", "1kb", "1KB", "1mb", "1M",
                             "1Mi", "1MIB", "1GiBs", "1 GiB ", "0x1B"})
        CHECK_MESSAGE(!parse_size(text), text);
    CHECK(parse_size("16777215TiB") == 16777215ull << 40);
    CHECK(!parse_size("16777216TiB"));
    CHECK(!parse_size("18446744073709551616B"));
    CHECK(parse_size("18446744073709551615B") == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("values are printed in the largest unit that divides them") {
    CHECK(duration_text(0) == "0");
    CHECK(duration_text(-1) == "off");
    CHECK(duration_text(90 * kSecond) == "90s");
    CHECK(duration_text(120 * kSecond) == "2min");
    CHECK(duration_text(3600 * kSecond) == "1h");
    CHECK(duration_text(1500 * kMillisecond) == "1500ms");
    CHECK(size_text(0) == "0");
    CHECK(size_text(256u << 20) == "256MiB");
    CHECK(size_text((1u << 20) + 1) == "1048577B");
    CHECK(size_text(3ull << 40) == "3TiB");
}

TEST_CASE("what is printed reads back the same") {
    std::uint64_t seed = 1;
    for (int i = 0; i < 10'000; ++i) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const auto size = seed >> (i % 64);
        CHECK(parse_size(size_text(size)) == size);
        const auto time = static_cast<Nanos>(size >> 1) / kMicrosecond * kMicrosecond;
        CHECK(parse_duration(duration_text(time)) == time);
    }
}
