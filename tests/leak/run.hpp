// A run of the leak checker: many clients, few server connections, everything in random order.
// Nobody may ever see another's rows, settings, role, errors, cancels or objects; the limit of
// server connections holds; the server never sees what is not protocol. Thread: run() makes and
// joins its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pgweir::leak {

struct RunOptions {
    double seconds = 5;
    std::int64_t queries = 0;  // goes on until so many are answered
    std::uint64_t seed = 1;
    unsigned clients = 200;
    unsigned workers = 2;
    std::string plant;    // P01 ...: needs a build with planted bugs
    bool direct = false;  // to PostgreSQL itself: the scripts' expectations are its own
};

struct RunResult {
    std::vector<std::string> breaches;
    std::int64_t answers = 0;
    std::int64_t ended = 0, canceled = 0, left = 0;
    std::string invalid;  // why the run proves nothing; empty: it does
};

RunResult run(const RunOptions& options);

}  // namespace pgweir::leak
