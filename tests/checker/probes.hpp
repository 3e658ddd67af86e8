// Probes of what must not be mixed up: users, schemas, settings, formats, statement names, row
// limits, privileges. Each asks what PostgreSQL itself was asked before, in the same context, and
// compares all bytes. Thread: one per object.
#pragma once

#include <functional>
#include <memory>

#include "checker/clients.hpp"

namespace pgweir::checker {

/// DDL for the probes, run by a superuser; makes roles bob and eve.
std::string probe_schema();

class Probes {
  public:
    Probes(std::uint16_t port, std::uint16_t direct_port, std::uint64_t seed,
           Complaints& complaints);
    ~Probes();
    /// One round of all. Gives how many questions were asked.
    std::int64_t round();

  private:
    struct Context;
    void contexts();
    void statement_names();
    void row_limits();
    void several_statements();
    void privileges();
    void touch();
    void compare(const std::string& what, const testing::Messages& got,
                 const testing::Messages& wanted);

    std::vector<std::unique_ptr<Context>> contexts_;
    Client owner_, bob_;
    std::minstd_rand random_;
    Complaints& complaints_;
    std::int64_t asked_ = 0;
    Time privileges_at_ = 0;
};

}  // namespace pgweir::checker
