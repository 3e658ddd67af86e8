// What goes wrong at the server while the clients of the checker are at work: each fault is made
// again and again for the whole of a run. Thread: one; the clusters are the caller's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string_view>

#include "support/cluster.hpp"

namespace pgweir::checker {

enum class Fault : std::uint8_t {
    usual,        // cuts, standing still, and commits that are not visible for a while, by chance
    cut,          // the change stream's connection
    slot,         // the slot is invalidated, as the server keeps too little of its log
    stopped,      // the walsender stands still for longer than hits may go on
    publication,  // that the stream shows: altered, emptied, dropped and made again
    failover,     // to a standby that lacks the last commits; the address moves
    standby,      // the synchronous standby is dead: commits are decoded and not visible
    lazy,         // synchronous_commit = off
    huge,         // transactions of millions of rows
    count_
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::count_)> kFaultNames{
    "usual", "cut", "slot", "stopped", "publication", "failover", "standby", "lazy", "huge"};

class Disturber {
  public:
    Disturber(testing::Cluster& server, Fault fault, std::uint64_t seed);
    /// Makes the fault once, and gives back when it is over. Nothing for those the workload makes.
    void disturb();

  private:
    void cut();
    void stand_still();
    void lose_slot();
    void wait_for_nobody(double seconds);
    void change_publication();
    int sender();

    testing::Cluster& server_;
    testing::Db db_;
    const Fault fault_;
    std::minstd_rand random_;
};

/// The publication that the proxies' streams are to show. It has all tables but one, which is
/// written around the proxy like the others.
inline constexpr std::string_view kPublication = "checked";
void publish(testing::Cluster& server);

/// A standby of `primary` that streams from it.
std::unique_ptr<testing::Cluster> standby_of(testing::Cluster& primary);
/// Returns when the standby has all that is committed now, and gets nothing that comes later.
void separate(testing::Cluster& primary, testing::Cluster& standby);

}  // namespace pgweir::checker
