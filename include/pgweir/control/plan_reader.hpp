// Plans of slow statements, by EXPLAIN (never ANALYZE) over a spare connection that is made for one
// plan and closed behind it. It logs in as the statement's own session did and takes over its
// settings, so names mean the same, and what planning evaluates runs with no rights that the client
// has not: never with the control login's.
// Invariants: at most one such connection in the process; never two plans within the interval, nor
// of one query within `again`; one question waits at most, the rest is not asked. Thread: its own;
// claim(), ask() and the numbers any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/control/connection.hpp"
#include "pgweir/control/relation_facts.hpp"
#include "pgweir/pool/profile.hpp"

namespace pgweir::control {

struct PlanQuestion {
    std::uint64_t key = 0;  // of the query and who asks it: what claim() was given
    std::uint64_t fingerprint = 0;
    Target target;                     // with the login of the session's pool
    pool::ProfilePtr profile;          // the session's settings
    std::string text;                  // one SELECT, with nothing but built-in functions
    std::string bind;                  // the Bind's body behind its names; empty: a simple Query
    std::vector<std::uint32_t> types;  // of its parameters, as declared
    std::string database, user, application;
};

struct PlanAnswer {
    bool asked = false;  // the statement was sent: an error from then on may quote it
    std::string json;    // EXPLAIN (VERBOSE, FORMAT JSON)
    std::vector<RelationFacts> relations;
};

class PlanReader {
  public:
    struct Options {
        bool enabled = false;
        base::Nanos interval = base::kSecond;     // between two plans, of whatever query
        base::Nanos again = 600 * base::kSecond;  // between two of one query
        base::Nanos connect_timeout = 5 * base::kSecond;
    };
    /// On the reader's thread.
    using OnPlan = std::function<void(const PlanQuestion&, const PlanAnswer&)>;

    PlanReader(Options options, OnPlan on_plan);
    ~PlanReader();  // stops, whatever it waits for
    PlanReader(const PlanReader&) = delete;
    PlanReader& operator=(const PlanReader&) = delete;

    void configure(Options options);
    /// Whether a plan may be asked for now; true is said once, and ask() or abandon() is to follow.
    bool claim(std::uint64_t key, base::Nanos now) noexcept;
    void ask(PlanQuestion question);
    void abandon() noexcept;

    std::uint64_t read() const noexcept;
    std::uint64_t failed() const noexcept;
    /// Of the latest, if it failed; one line, which may quote its statement.
    std::string problem() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// Both questions over a new connection; the error's text, or nothing. What PlanReader does.
std::optional<std::string> read_plan(const PlanQuestion& question, Connection::Limits limits,
                                     PlanAnswer& answer);

}  // namespace pgweir::control
