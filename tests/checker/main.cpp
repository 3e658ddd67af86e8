// The consistency checker as a program: one run of one profile. Status 0: no breach; 1: breaches,
// which are printed; 2: a run that proves nothing (few hits), or a wrong call.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "checker/workload.hpp"

using namespace pgweir::checker;

namespace {

int usage() {
    std::fputs(
        "checker [--profile hot|indirect|contexts|outside] [--seconds N] [--seed N] [--workers N]\n"
        "        [--plant M01 ...] [--holds] [--fault NAME] [--rows N]\n"
        "--fault (with the profile `outside`): usual, cut, slot, stopped, publication, failover,\n"
        "standby, lazy, huge; --rows: of each of its transactions.\n"
        "--plant and --holds need a program built with -Dplants=true in PGWEIR_BINARY.\n",
        stderr);
    return 2;
}

bool parse(const std::vector<std::string>& words, RunOptions& o) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& w = words[i];
        if (w == "--holds") {
            o.holds = true;
            continue;
        }
        if (i + 1 == words.size()) return false;
        const auto& value = words[++i];
        if (w == "--profile" && value == "hot")
            o.profile = Profile::hot;
        else if (w == "--profile" && value == "indirect")
            o.profile = Profile::indirect;
        else if (w == "--profile" && value == "contexts")
            o.profile = Profile::contexts;
        else if (w == "--profile" && value == "outside")
            o.profile = Profile::outside;
        else if (w == "--fault" && std::ranges::find(kFaultNames, value) != kFaultNames.end())
            o.fault =
                static_cast<Fault>(std::ranges::find(kFaultNames, value) - kFaultNames.begin());
        else if (w == "--rows")
            o.rows = static_cast<unsigned>(std::atoi(value.c_str()));
        else if (w == "--seconds")
            o.seconds = std::atof(value.c_str());
        else if (w == "--seed")
            o.seed = static_cast<std::uint64_t>(std::atoll(value.c_str()));
        else if (w == "--workers")
            o.workers = static_cast<unsigned>(std::atoi(value.c_str()));
        else if (w == "--plant")
            o.plant = value;
        else
            return false;
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    RunOptions options;
    if (!parse({argv + 1, argv + argc}, options)) return usage();
    const auto r = run(options);
    for (const auto& line : r.breaches) std::printf("%s\n", line.c_str());
    std::printf("%lld reads, %lld hits, %lld writes, %lld faults, %lld MiB, %zu breaches%s%s\n",
                static_cast<long long>(r.reads), static_cast<long long>(r.hits),
                static_cast<long long>(r.writes), static_cast<long long>(r.faults),
                static_cast<long long>(r.resident_kib / 1024), r.breaches.size(),
                r.invalid.empty() ? "" : "; INVALID: ", r.invalid.c_str());
    if (!r.invalid.empty())
        for (std::size_t at = 0;
             (at = r.metrics.find("\npgweir_not_cached_", at)) != r.metrics.npos; ++at)
            std::printf("%s", r.metrics.substr(at, r.metrics.find('\n', at + 1) - at).c_str());
    if (!r.breaches.empty()) return 1;
    return r.invalid.empty() ? 0 : 2;
}
