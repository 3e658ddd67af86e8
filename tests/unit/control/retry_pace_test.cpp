// When what was lost is tried again.
#include "../../../src/control/retry_pace.hpp"

#include <doctest/doctest.h>

using pgweir::control::RetryPace;

TEST_CASE("what fails again and again is tried after times that double up to a limit") {
    RetryPace pace;
    CHECK(pace.lost(1000, 10, 50) == 1010);
    CHECK(pace.lost(1010, 10, 50) == 1030);
    CHECK(pace.lost(1030, 10, 50) == 1070);
    CHECK(pace.lost(1070, 10, 50) == 1120);
    CHECK(pace.lost(1120, 10, 50) == 1170);
}

TEST_CASE("what had worked for a while is tried at once, and then as what fails") {
    RetryPace pace;
    CHECK(pace.lost(1000, 10, 50) == 1010);
    CHECK(pace.lost(1010, 10, 50) == 1030);
    pace.works(1030);
    pace.works(1035);
    CHECK(pace.lost(1200, 10, 50) == 1200);
    CHECK(pace.lost(1200, 10, 50) == 1210);
    CHECK(pace.lost(1210, 10, 50) == 1230);
}

TEST_CASE("what works and is lost without a pause is tried no more often than what fails first") {
    RetryPace pace;
    for (pgweir::base::Nanos now = 1000; now < 2000; now += 10) {
        pace.works(now);
        CHECK(pace.lost(now + 1, 10, 50) == now + 10);
    }
}
