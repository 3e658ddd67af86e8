// Plans of slow statements: what sessions ask for, and where the answers go, which is the slow log
// and the statistics. Invariant: a plan is logged when it is the query's first or another than
// before. Thread: explain() workers; configure() main; the answers come on the reader's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgweir/admin/query_stats.hpp"
#include "pgweir/admin/slow_log.hpp"
#include "pgweir/control/plan_reader.hpp"
#include "pgweir/session/environment.hpp"

namespace pgweir::server {

class Plans {
  public:
    /// Log and statistics have to outlive it.
    Plans(const config::Config& config, admin::SlowLogWriter& log, admin::QueryStats& stats);
    void configure(const config::Config& config);
    /// Costs a short mutex where no plan is due.
    void explain(const session::Identity& identity, const std::string& application,
                 std::uint64_t fingerprint, std::string_view text, std::string_view bind,
                 const std::vector<std::uint32_t>& types);
    std::uint64_t read() const noexcept { return reader_.read(); }
    std::uint64_t failed() const noexcept { return reader_.failed(); }

  private:
    void on_plan(const control::PlanQuestion& question, const control::PlanAnswer& answer);

    admin::SlowLogWriter& log_;
    admin::QueryStats& stats_;
    std::unordered_map<std::uint64_t, std::uint64_t> shapes_;  // the reader's thread's; by key
    control::PlanReader reader_;                               // last: it calls on_plan()
};

}  // namespace pgweir::server
