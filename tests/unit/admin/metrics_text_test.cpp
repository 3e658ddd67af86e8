#include <doctest/doctest.h>

#include <cstdio>
#include <set>
#include <sstream>

#include "pgweir/admin/http.hpp"
#include "pgweir/metrics/table.hpp"
#include "pgweir/query/reasons.hpp"

using namespace pgweir;
using namespace pgweir::admin;

namespace {

Snapshot example() {
    Snapshot s;
    PoolRow p;
    p.database = "app";
    p.user = "joe";
    p.cl_active = 3;
    p.maxwait_us = 1'500'000;
    p.totals.query_count = 12;
    p.totals.query_time_us = 2'500'000;
    s.pools = {p, p};
    DatabaseRow d;
    d.name = d.database = "app";
    d.host = "h";
    d.port = 5432;
    s.databases = {d};
    s.caches = {{"app", true, "in_band", 1, 2, 3, 4, 5, 6, 7}};
    s.workers.pins[static_cast<std::size_t>(query::PinReason::temporary)] = 9;
    s.max_clients = 100;
    return s;
}

bool has(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("every metric of the table is served, with its help and type") {
    const auto text = "\n" + metrics_text(example());
    for (const auto& m : metrics::kMetrics) {
        INFO(std::string(m.name));
        const std::string name(m.name);
        CHECK(has(text, "# HELP " + name + " " + std::string(m.help)));
        CHECK(has(text,
                  "# TYPE " + name + (m.type == metrics::Type::counter ? " counter" : " gauge")));
        const bool labelled = m.labels != metrics::Labels::none;
        CHECK(text.find("\n" + name + (labelled ? "{" : " ")) != std::string::npos);
    }
}

TEST_CASE("numbers, units and labels are those of PgBouncer's exporter") {
    const auto text = metrics_text(example());
    CHECK(text.find("pgbouncer_up 1\n") != std::string::npos);
    CHECK(has(text, R"(pgbouncer_pools_client_active_connections{database="app",user="joe"} 6)"));
    CHECK(has(text, R"(pgbouncer_pools_client_maxwait_seconds{database="app",user="joe"} 1.5)"));
    CHECK(has(text, R"(pgbouncer_stats_totals_queries_pooled_total{database="app"} 24)"));
    CHECK(has(text, R"(pgbouncer_stats_totals_queries_duration_seconds_total{database="app"} 5)"));
    CHECK(has(text, R"(pgweir_cache_hits_total{database="app"} 3)"));
    CHECK(has(text, R"(pgweir_pins_total{reason="temporary"} 9)"));
    CHECK(has(text, R"(pgweir_not_cached_total{reason="no_catalog"} 0)"));
    CHECK(text.find("reason=\"none\"") == std::string::npos);
    CHECK(has(text, "pgbouncer_config_max_client_connections 100"));
    const std::string labels = R"(name="app",host="h",port="5432",database="app",force_user="",)"
                               R"(pool_mode="transaction")";
    CHECK(has(text, "pgbouncer_databases_pool_size{" + labels + "} 0"));
}

TEST_CASE("no two samples have the same labels, whatever names clients give") {
    auto s = example();
    s.pools[0].database = "a\x01";
    s.pools[1].database = "a\\x01";
    s.pools.push_back(s.pools[0]);
    s.pools.back().user = "quote\" back\\ line\n \xff";
    s.databases.push_back(s.databases[0]);
    s.caches.push_back(s.caches[0]);
    std::istringstream text(metrics_text(s));
    std::set<std::string> seen;
    for (std::string line; std::getline(text, line);) {
        for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20);
        if (line.starts_with('#')) continue;
        const auto space = line.rfind(' ');
        REQUIRE(space != std::string::npos);
        CHECK_MESSAGE(seen.insert(line.substr(0, space)).second, line);
    }
    CHECK(seen.size() > 100);
}

TEST_CASE("promtool finds nothing to say about the names" *
          doctest::skip(std::system("command -v promtool >/dev/null 2>&1") != 0)) {
    auto* promtool = popen("promtool check metrics >/dev/null", "w");
    REQUIRE(promtool != nullptr);
    const auto text = metrics_text(example());
    CHECK(std::fwrite(text.data(), 1, text.size(), promtool) == text.size());
    const int status = pclose(promtool);
    CHECK((status == 0 || status == 3 << 8));  // 3: remarks of style, on the exporter's own names
}

TEST_CASE("while the workers do not answer, only that is said") {
    CHECK(metrics_text_down().ends_with("# TYPE pgbouncer_up gauge\npgbouncer_up 0\n"));
}
