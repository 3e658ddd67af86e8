// The clients: writers, readers and probes on threads of their own, for a time. Invariant: every
// answer is judged, none is thrown away. Thread: run() makes and joins its own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checker/faults.hpp"
#include "checker/history.hpp"

namespace pgweir::checker {

/// hot: few registers, written and read as fast as it goes. indirect: every way of writing, DDL,
/// lost connections. contexts: users, schemas, settings, formats and statement names that must not
/// be mixed up. outside: the cache reads the server's changes; writers go around it and through a
/// second proxy, while the change stream is cut and stopped.
enum class Profile : std::uint8_t { hot, indirect, contexts, outside };

struct RunOptions {
    Profile profile = Profile::hot;
    Fault fault = Fault::usual;  // of the profile `outside`
    double seconds = 5;
    std::uint64_t seed = 1;
    std::string plant;  // M01 ...: needs a build with planted bugs
    bool holds = false;
    unsigned workers = 2;
    unsigned rows = 5'000'000;  // of a huge transaction
};

struct RunResult {
    std::vector<std::string> breaches;
    std::int64_t reads = 0;
    std::int64_t writes = 0;
    std::int64_t hits = 0;
    std::int64_t fills = 0;
    std::int64_t faults = 0;        // how often it was made
    std::int64_t resident_kib = 0;  // of the proxy, at the end
    std::string metrics;            // of the proxy, at the end
    std::string invalid;            // why the run proves nothing; empty: it does
};

RunResult run(const RunOptions& options);

}  // namespace pgweir::checker
