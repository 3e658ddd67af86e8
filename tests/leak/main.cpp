// The leak checker as a program: one run. Status 0: no breach; 1: breaches, which are printed; 2: a
// run that proves nothing, or a wrong call.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "leak/run.hpp"

using namespace pgweir::leak;

namespace {

int usage() {
    std::fputs(
        "leak [--seconds N] [--queries N] [--seed N] [--clients N] [--workers N] [--direct]\n"
        "     [--plant P01 ...]\n"
        "--plant needs a program built with -Dplants=true in PGWEIR_BINARY.\n",
        stderr);
    return 2;
}

bool parse(const std::vector<std::string>& words, RunOptions& o) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& w = words[i];
        if (w == "--direct") {
            o.direct = true;
            continue;
        }
        if (i + 1 == words.size()) return false;
        const auto& value = words[++i];
        if (w == "--seconds")
            o.seconds = std::atof(value.c_str());
        else if (w == "--queries")
            o.queries = std::atoll(value.c_str());
        else if (w == "--seed")
            o.seed = static_cast<std::uint64_t>(std::atoll(value.c_str()));
        else if (w == "--clients")
            o.clients = static_cast<unsigned>(std::atoi(value.c_str()));
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
    std::printf("%lld answers, %lld ended, %lld canceled, %lld left, %zu breaches%s%s\n",
                static_cast<long long>(r.answers), static_cast<long long>(r.ended),
                static_cast<long long>(r.canceled), static_cast<long long>(r.left),
                r.breaches.size(), r.invalid.empty() ? "" : "; INVALID: ", r.invalid.c_str());
    if (!r.breaches.empty()) return 1;
    return r.invalid.empty() ? 0 : 2;
}
