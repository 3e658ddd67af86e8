// The reference of metrics, written from their table. Thread: any.
#include "pgweir/metrics/table.hpp"

namespace pgweir::metrics {

std::string_view label_names(Labels labels) noexcept {
    switch (labels) {
        case Labels::none: return "";
        case Labels::version: return "version";
        case Labels::pool: return "database, user";
        case Labels::database: return "database";
        case Labels::database_settings: return "name, host, port, database, force_user, pool_mode";
        case Labels::not_cached_reason:
        case Labels::pin_reason: return "reason";
    }
    return "";
}

std::string metrics_markdown() {
    std::string out =
        "# Metrics\n\n"
        "What `GET /metrics` gives, in the Prometheus text format. The names that start with "
        "`pgbouncer_` are\n"
        "those of pgbouncer_exporter, so that dashboards and alerts made for it work unchanged. "
        "This file is\n"
        "written from the table in `include/pgweir/metrics/table.hpp`; a test fails when the two "
        "differ.\n\n"
        "| metric | type | labels | meaning |\n|---|---|---|---|\n";
    for (const auto& metric : kMetrics) {
        out.append("| `").append(metric.name).append("` | ");
        out.append(metric.type == Type::counter ? "counter" : "gauge").append(" | ");
        out.append(label_names(metric.labels)).append(" | ").append(metric.help).append(" |\n");
    }
    return out;
}

}  // namespace pgweir::metrics
