#include "pgweir/metrics/table.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "metrics/source_root.hpp"

using namespace pgweir::metrics;

TEST_CASE("metric names are unique, well formed, and counters end in _total") {
    std::set<std::string_view> names;
    for (const auto& metric : kMetrics) {
        INFO(std::string(metric.name));
        CHECK(names.insert(metric.name).second);
        CHECK((metric.name.starts_with("pgbouncer_") || metric.name.starts_with("pgweir_")));
        CHECK(metric.name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") ==
              std::string_view::npos);
        CHECK(metric.name.ends_with("_total") == (metric.type == Type::counter));
        CHECK(!metric.help.empty());
        CHECK(metric.help.find('|') == std::string_view::npos);
        CHECK(metric.help.back() != '.');
    }
}

TEST_CASE("docs/metrics.md is what the table says") {
    constexpr const char* path = SOURCE_ROOT "/docs/metrics.md";
    if (std::getenv("PGWEIR_WRITE_DOCS") != nullptr) std::ofstream(path) << metrics_markdown();
    std::ifstream file(path);
    REQUIRE_MESSAGE(file, path);
    std::stringstream text;
    text << file.rdbuf();
    CHECK_MESSAGE(text.str() == metrics_markdown(),
                  "run unit_metrics with PGWEIR_WRITE_DOCS=1 and commit the file");
}
