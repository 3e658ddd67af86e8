// Statistics per query: what workers recorded, gathered by fingerprint and by who asked, in all and
// over the last minute, hour and day. Bounded: beyond the limit the least valuable eighth (little
// time in total, not seen for long) is forgotten, and only counted.
// Thread: a thread of its own gathers; everything public may be called by any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "pgweir/admin/plan.hpp"
#include "pgweir/admin/query_figures.hpp"
#include "pgweir/admin/query_traits.hpp"
#include "pgweir/base/clock.hpp"
#include "pgweir/metrics/query_record.hpp"

namespace pgweir::admin {

enum class QueryWindow : std::uint8_t { all, minute, hour, day };
enum class QueryOrder : std::uint8_t {
    total,
    calls,
    mean,
    p50,
    p95,
    p99,
    max,
    wait,
    server,
    rows,
    bytes,
    errors,
    hits,
    saved,
    last
};

struct QueryFilter {
    QueryWindow window = QueryWindow::all;
    std::string database, user, application;                            // empty: any
    std::string fingerprint;                                            // 16 digits; empty: any
    bool by_database = false, by_user = false, by_application = false;  // else added up
    QueryOrder order = QueryOrder::total;                               // the largest first
    std::size_t limit = 100;
};
/// Reads "last hour by database order by p95 limit 20 database 'app'"; the error, or empty.
std::string read_query_filter(std::span<const std::string> words, QueryFilter& filter);

struct QueryRow {
    std::uint64_t fingerprint = 0;
    std::string database, user, application;  // empty where added up
    std::string text;                         // without constants, cut
    std::string sample;                       // as a client wrote it, cut
    QueryFigures figures;
    PlanPtr plan;                                      // the latest of the fingerprint; or null
    QueryTraits traits;                                // of the fingerprint, whoever asks, ever
    std::int64_t first_wall_us = 0, last_wall_us = 0;  // ever
};

struct QueryTotals {
    std::uint64_t queries = 0;    // fingerprints known, per who asks
    std::uint64_t bytes = 0;      // of memory
    std::uint64_t calls = 0;      // gathered
    std::uint64_t forgotten = 0;  // queries
    std::uint64_t dropped = 0;    // executions that were not gathered
};

class QueryStats final : public metrics::QuerySink {
  public:
    /// `max_memory` in bytes. Without a thread, what is recorded is gathered when it is read.
    explicit QueryStats(std::uint64_t max_memory, bool with_thread = true);
    ~QueryStats();
    QueryStats(const QueryStats&) = delete;
    QueryStats& operator=(const QueryStats&) = delete;

    std::uint32_t group(std::string_view database, std::string_view user,
                        std::string_view application) override;
    metrics::QueryBatchPtr exchange(metrics::QueryBatchPtr full) noexcept override;
    void count_dropped(std::uint64_t records) noexcept override;

    /// From now on the plan of that query, if it is known.
    void set_plan(std::uint64_t fingerprint, PlanPtr plan);
    /// Everything handed over so far, as it stands at `now` (monotonic).
    std::vector<QueryRow> rows(const QueryFilter& filter, base::Nanos now);
    QueryTotals totals();
    void reset();
    void set_max_memory(std::uint64_t bytes);
    /// Samples show no constants in whose text one of `words` occurs, or none at all.
    void set_hidden(std::vector<std::string> words, bool all);

  private:
    struct State;
    std::unique_ptr<State> state_;
};
using QueryStatsPtr = std::shared_ptr<QueryStats>;

/// GET /queries.csv and /queries.json: times in microseconds.
std::string queries_csv(const std::vector<QueryRow>& rows);
std::string queries_json(const std::vector<QueryRow>& rows);

}  // namespace pgweir::admin
