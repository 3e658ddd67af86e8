// How soon a commit around the proxy is seen through it: a row is written over a direct connection,
// and read through the proxy's cache without a pause until the new value comes. Printed is the time
// from the server's answer to COMMIT to the answer that has the value, as median and 99th
// percentile, with the reads a commit took. Status 1 when the median is above 2 ms, which is
// wanted, or a value was not seen within two seconds.
//   seen_figure [COMMITS]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

constexpr double kWanted = 0.002;

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

const char* const kRead = "SELECT n FROM seen WHERE id = 1";

}  // namespace

int main(int argc, char** argv) {
    const int commits = argc > 1 ? std::atoi(argv[1]) : 2000;
    Cluster cluster({{"synchronous_commit = on"}, ""});
    cluster.connect("app").run(
        "CREATE TABLE seen(id int PRIMARY KEY, n int); INSERT INTO seen VALUES (1, 0)");
    Proxy proxy(cluster, {{{"cache", "{}"}}, {}, {}, 0});
    auto reader = RawClient::login(proxy.port());
    auto writer = RawClient::login(cluster.port());
    if (!becomes_cached(proxy, reader, kRead)) return 1;
    const auto before = proxy.cache_counter("hits");
    std::vector<double> times;
    long reads = 0;
    for (int i = 1; i <= commits; ++i) {
        const auto value = std::to_string(i);
        ask(reader, kRead);
        sleep_for(Seconds(0.002));
        ask(writer, "UPDATE seen SET n = " + value + " WHERE id = 1");
        const auto committed = Clock::now();
        while (++reads, ask(reader, kRead) != value)
            if (since(committed) > 2) return 1;
        times.push_back(since(committed));
    }
    std::sort(times.begin(), times.end());
    const auto at = [&](double share) {
        return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
    };
    std::printf(
        "%d commits: seen after %.2f ms (median), %.2f ms (99th percentile), %.2f at most; "
        "%.1f reads each, %lld hits\n",
        commits, 1000 * at(0.5), 1000 * at(0.99), 1000 * at(1),
        static_cast<double>(reads) / commits,
        static_cast<long long>(proxy.cache_counter("hits") - before));
    return at(0.5) <= kWanted ? 0 : 1;
}
