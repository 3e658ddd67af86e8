// SHOW QUERIES: the statistics per query. Times are microseconds, like those of SHOW STATS.
#include "../slow_line.hpp"
#include "command.hpp"
#include "pgweir/admin/query_stats.hpp"

namespace pgweir::admin {

const std::array<wire::Column, 28> kQueriesColumns{{
    {"fingerprint", kTextType}, {"database", kTextType},    {"user", kTextType},
    {"application", kTextType}, {"calls", kInt8Type},       {"errors", kInt8Type},
    {"rows", kInt8Type},        {"bytes", kInt8Type},       {"total_time", kInt8Type},
    {"min_time", kInt8Type},    {"mean_time", kInt8Type},   {"p50_time", kInt8Type},
    {"p95_time", kInt8Type},    {"p99_time", kInt8Type},    {"max_time", kInt8Type},
    {"wait_time", kInt8Type},   {"p95_wait", kInt8Type},    {"max_wait", kInt8Type},
    {"server_time", kInt8Type}, {"p95_server", kInt8Type},  {"max_server", kInt8Type},
    {"cache_hits", kInt8Type},  {"cache_fills", kInt8Type}, {"time_saved", kInt8Type},
    {"first_seen", kTextType},  {"last_seen", kTextType},   {"query", kTextType},
    {"sample", kTextType},
}};

std::string check_queries(std::span<const std::string> arguments) {
    QueryFilter filter;
    return read_query_filter(arguments, filter);
}

void show_queries(const CommandInput& input, RowWriter& row) {
    QueryFilter filter;
    if (!input.snapshot.queries || !read_query_filter(input.arguments, filter).empty()) return;
    for (const auto& q : input.snapshot.queries->rows(filter, input.now)) {
        const auto& f = q.figures;
        row.text(fingerprint_text(q.fingerprint));
        row.text_or_null(q.database).text_or_null(q.user).text_or_null(q.application);
        row.number(f.calls).number(f.errors).number(f.rows).number(f.bytes);
        row.number(f.total.sum).number(f.total.min()).number(f.total.mean());
        row.number(f.total.quantile(0.5)).number(f.total.quantile(0.95));
        row.number(f.total.quantile(0.99)).number(f.total.most);
        row.number(f.wait.sum).number(f.wait.quantile(0.95)).number(f.wait.most);
        row.number(f.server.sum).number(f.server.quantile(0.95)).number(f.server.most);
        row.number(f.hits).number(f.fills).number(f.saved_us);
        row.text(stamp_text(q.first_wall_us)).text(stamp_text(q.last_wall_us));
        row.text(q.text).text(q.sample).end();
    }
}

}  // namespace pgweir::admin
