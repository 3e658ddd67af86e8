// What the change stream costs the server: pgbench's TPC-B straight at PostgreSQL, in rounds that
// take turns, with a proxy beside it that holds a stream on the database, and without one. Printed
// are the medians and the median of the rounds' ratios, of which 0.95 is wanted (else status 1).
//   tpcb_figure [ROUNDS [SECONDS]]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "support/cache_client.hpp"
#include "support/run.hpp"

using namespace pgweir::testing;

namespace {

constexpr double kWanted = 0.95;

std::string pgbench(const Cluster& cluster, const std::vector<std::string>& words) {
    std::vector<std::string> all{postgres_program("pgbench"),
                                 "-h",
                                 cluster.socket_directory(),
                                 "-p",
                                 std::to_string(cluster.port()),
                                 "-U",
                                 "app"};
    all.insert(all.end(), words.begin(), words.end());
    all.push_back("app");
    RunOptions options;
    options.limit = Seconds(300);
    const auto r = run(all, options);
    if (r.status != 0) throw std::runtime_error("pgbench: " + r.err);
    return r.out;
}

double transactions(const Cluster& cluster, const std::string& seconds) {
    const auto out = pgbench(cluster, {"-n", "-c", "4", "-j", "1", "-T", seconds});
    const auto at = out.find("tps = ");
    return at == out.npos ? 0 : std::atof(out.c_str() + at + 6);
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
    const std::string seconds = argc > 2 ? argv[2] : "10";
    Cluster cluster({{"synchronous_commit = on"}, ""});
    pgbench(cluster, {"-i", "-q", "-s", "10"});
    transactions(cluster, seconds);
    std::vector<double> with, without, ratios;
    const auto with_stream = [&] {
        Proxy proxy(cluster, {{{"cache", "{}"}}, {}, {}, 0});
        auto client = RawClient::login(proxy.port());
        if (!becomes_cached(proxy, client, "SELECT count(*) FROM pgbench_branches"))
            throw std::runtime_error("there is no stream");
        with.push_back(transactions(cluster, seconds));
        if (proxy.console("SHOW CACHE").rows.at(0).at(2) != "bounded")
            throw std::runtime_error("the stream was lost");
    };
    for (int i = 0; i < rounds; ++i) {
        if (i % 2 == 0) with_stream();
        without.push_back(transactions(cluster, seconds));
        if (i % 2 != 0) with_stream();
        ratios.push_back(with.back() / without.back());
        std::printf("round %d: %.0f/s with the stream, %.0f without\n", i + 1, with.back(),
                    without.back());
        std::fflush(stdout);
    }
    const auto ratio = median(ratios);
    std::printf("%.0f/s with the stream, %.0f without: %.3f (median of the rounds' ratios)\n",
                median(with), median(without), ratio);
    return ratio >= kWanted ? 0 : 1;
}
