// What clients asked and were told, and the rules that tell whether any order of it is possible.
// A register has one writer, which writes versions that only grow; so the order of its writes is
// known, and every rule is a comparison of times. Times are of one machine's monotonic clock.
// Invariant: only what a client saw is used. Thread: one writer of each log; check() at the end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgweir::checker {

using Time = std::int64_t;  // nanoseconds

enum class Outcome : std::uint8_t { committed, aborted, unknown };

struct Write {
    std::int64_t version = 0;
    Time invoked = 0;
    Time acknowledged = 0;  // of the answer, whatever it said
    Outcome outcome = Outcome::committed;
};

struct Read {
    std::int64_t version = 0;
    Time invoked = 0;
    Time returned = 0;
    std::uint64_t session = 0;  // whose reads are in order among themselves
};

/// Of one register. Version 0 is there from the beginning.
struct History {
    std::string name;
    std::vector<Write> writes;  // in the order of their writer
    std::vector<Read> reads;
    /// Writes do not pass the proxy: they may be unseen for this long.
    Time staleness = 0;
    bool sessions = false;  // Read::session is known, and no session may go back
};

/// One line for each breach of a rule, at most `most` of each history:
/// DIRTY: a version that no write committed · FUTURE: read before its write began · STALE: older
/// than a write acknowledged before the read began · NONMONO: older than what a read that had ended
/// before saw; where staleness is allowed, one of the same session.
std::vector<std::string> check(const History& history, std::size_t most = 5);

/// Lists that clients append to, each read whole. Breaches: two lists of which neither begins the
/// other; a list without an element whose append was acknowledged before the read began; an element
/// nobody appended, or twice.
struct ListRead {
    std::vector<std::int64_t> elements;
    Time invoked = 0;
    Time returned = 0;
};
std::vector<std::string> check_list(const std::vector<Write>& appends,
                                    const std::vector<ListRead>& reads, std::size_t most = 5);

}  // namespace pgweir::checker
