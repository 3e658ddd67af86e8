#include "pgweir/base/log.hpp"

#include <doctest/doctest.h>

using pgweir::base::printable;

TEST_CASE("a stranger's text cannot break a log line") {
    CHECK(printable("a\nb\x1b[0m") == "a\\x0ab\\x1b[0m");
    CHECK(printable("é") == "é");
    CHECK(printable("\xff\xc3") == "\\xff\\xc3");
    CHECK(printable(std::string(500, 'x'), 10) == "xxxxxxxxxx...");
}
