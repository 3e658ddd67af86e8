// What a report says, gathered entry by entry. The figures per query are those of SHOW QUERIES,
// added up by the same code. Invariant: bounded memory, whatever the logs hold; what did not fit is
// counted. Thread: one.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "log_entry.hpp"
#include "pgweir/admin/advisor.hpp"
#include "pgweir/admin/query_stats.hpp"

namespace pgweir::admin {

/// Sums of a set of executions; times in microseconds.
struct Sums {
    std::uint64_t calls = 0, errors = 0, total_us = 0, wait_us = 0, server_us = 0, transfer_us = 0;
    void add(const LogEntry& entry);
};

/// Entries over time, in slots whose width grows with the span, so that they stay few.
class Timeline {
  public:
    static constexpr std::size_t kMaxSlots = 120;
    void add(const LogEntry& entry);
    std::int64_t width_us() const noexcept { return width_us_; }
    std::int64_t first_us() const noexcept { return slots_.empty() ? 0 : slots_.begin()->first; }
    /// One after the other from the first, also those in which nothing happened.
    std::vector<Sums> slots() const;

  private:
    void widen(std::int64_t at_us);
    std::int64_t width_us_ = 1'000'000;
    std::map<std::int64_t, Sums> slots_;  // by begin
};

struct ReportQuery {
    QueryRow row;
    std::uint64_t transfer_us = 0;
    std::uint64_t waited = 0;                     // entries that told of a wait
    std::uint64_t idle = 0, longest_idle_us = 0;  // silences in a transaction behind it
    std::map<std::string, Sums> reasons;          // why the cache had no part
    std::map<std::string, std::uint64_t> sqlstates;
    std::string error;  // the first one's message
    std::string plan;   // the latest
    std::int64_t plan_at_us = 0;
    std::uint64_t plans = 0;       // that were logged: the first, and each change
    std::string worst;             // the text of the longest
    std::uint64_t repeats = 0;     // the same text and parameters again
    std::uint64_t repeats_us = 0;  // what those took on the server
    bool repeats_known = true;     // false: it writes, or parameters are not in the log
};

struct NamedSums {
    std::string name;
    Sums sums;
};

class Summary {
  public:
    void add(LogEntry&& entry);

    /// By total time, the dearest first.
    std::vector<const ReportQuery*> queries() const;
    const Sums& all() const noexcept { return all_; }
    std::uint64_t refused() const noexcept { return refused_; }
    std::uint64_t idle() const noexcept { return idle_; }
    /// Executions of queries beyond the number that is kept.
    const Sums& beyond() const noexcept { return beyond_; }
    std::int64_t from_us() const noexcept { return from_us_; }
    std::int64_t to_us() const noexcept { return to_us_; }
    const Timeline& timeline() const noexcept { return timeline_; }
    std::vector<NamedSums> databases() const { return sorted(databases_); }
    std::vector<NamedSums> users() const { return sorted(users_); }
    std::vector<NamedSums> applications() const { return sorted(applications_); }
    /// Why the cache had no part, over all queries, by time on the server.
    std::vector<NamedSums> reasons() const;
    std::vector<Advice> advice() const;

    static constexpr std::size_t kMaxQueries = 100'000;

  private:
    using Named = std::map<std::string, Sums>;
    static void add_named(Named& named, const std::string& name, const LogEntry& entry);
    static std::vector<NamedSums> sorted(const Named& named);
    ReportQuery* query_of(const LogEntry& entry);
    static void add_plan(ReportQuery* query, LogEntry&& entry);
    void note_repeat(ReportQuery& query, const LogEntry& entry);

    std::unordered_map<std::uint64_t, ReportQuery> queries_;
    std::unordered_set<std::uint64_t> seen_;  // hashes of texts with parameters
    Sums all_, beyond_;
    std::uint64_t refused_ = 0, idle_ = 0;
    std::int64_t from_us_ = 0, to_us_ = 0;
    Timeline timeline_;
    Named databases_, users_, applications_;
};

}  // namespace pgweir::admin
