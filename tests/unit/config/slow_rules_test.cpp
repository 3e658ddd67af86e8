#include "../../../src/config/slow_rules.hpp"

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::config;

TEST_CASE("a threshold of some statements has conditions and one duration") {
    const auto rule = read_slow_rule(
        "database=app, user=joe,application = PostgreSQL JDBC Driver , "
        "fingerprint=00000000000000ff, 200ms");
    REQUIRE(rule);
    CHECK(rule->database == "app");
    CHECK(rule->user == "joe");
    CHECK(rule->application == "PostgreSQL JDBC Driver");
    CHECK(rule->fingerprint == 255);
    CHECK(rule->threshold == 200 * base::kMillisecond);
    CHECK(read_slow_rule("user=batch, off")->threshold < 0);
    CHECK(read_slow_rule("0, user=a")->threshold == 0);
}

TEST_CASE("what is no threshold is refused") {
    for (const char* text :
         {"", ",", "user=joe", "user=joe, 200", "user=, 1s", "user=a, user=b, 1s", "host=a, 1s",
          "fingerprint=ff, 1s", "fingerprint=zzzzzzzzzzzzzzzz, 1s", "1s, 2s", "1s,"})
        CHECK_MESSAGE(!read_slow_rule(text), std::string(text));
}
