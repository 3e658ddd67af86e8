// The console: SHOW and its kin, spoken to with psql or by PgBouncer's exporters. It takes SQL text
// and gives protocol bytes; the session around it does login, framing, and ReadyForQuery. Columns
// and types are those of PgBouncer 1.25.2; our own come after them. Thread: any. The callback runs
// on whichever thread the snapshot arrives on, perhaps before execute() returns; it is called
// exactly once. A Console outlives every callback it was given.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/admin/cache_admin.hpp"
#include "pgweir/admin/snapshot.hpp"
#include "pgweir/admin/stats_history.hpp"
#include "pgweir/auth/hba.hpp"
#include "pgweir/config/config.hpp"

namespace pgweir::admin {

struct ConsoleContext {
    bool admin = false;  // may change things; everybody let in may SHOW
    /// For Execute: one statement, and no RowDescription, as Describe has given it.
    bool extended = false;
};

/// What the console does to the process.
struct ConsoleHooks {
    std::function<config::ConfigPtr()> config;
    /// Reads the configuration again and calls `done` with the errors: none when it is in force
    /// now.
    std::function<void(std::function<void(std::vector<std::string>)> done)> reload;
    std::function<auth::HbaRulesPtr()> hba = {};  // empty, or giving null: no rules
    CacheAdmin* cache = nullptr;                  // outlives the console; null: there is none
};

class Console {
  public:
    using Reply = std::function<void(std::string)>;

    Console(SnapshotSource& source, ConsoleHooks hooks);

    /// Runs the statements of `sql`, up to the first error, and gives their answers without
    /// ReadyForQuery: RowDescription, DataRows and CommandComplete, EmptyQueryResponse, or
    /// ErrorResponse.
    void execute(std::string_view sql, const ConsoleContext& context, Reply reply);
    /// For Describe: RowDescription or NoData, or ErrorResponse when it is no statement of ours.
    std::string describe(std::string_view sql) const;
    /// What Parse has to refuse: an ErrorResponse, or empty.
    std::string check(std::string_view sql) const;

    /// Takes a sample of the totals for SHOW STATS; call it every so often, at least once a minute.
    void sample();
    StatsHistory& history() noexcept { return history_; }

  private:
    SnapshotSource& source_;
    const ConsoleHooks hooks_;
    StatsHistory history_;
};

/// The parameters a client of the console is told after login (ParameterStatus).
struct GreetingParameter {
    std::string_view name;
    std::string_view value;
};
std::vector<GreetingParameter> console_parameters();

}  // namespace pgweir::admin
