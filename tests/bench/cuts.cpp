// How hits end when the change stream does: again and again the stream is cut, or made to stand
// still, and a row is written around the proxy at the same moment. Printed is how long after that
// commit an answer was still the old one, which must be no more than max_staleness and 50 ms, and
// how long it took until hits came back by themselves. Status 1 when either did not hold.
//   cuts_figure [CYCLES]
#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

constexpr double kStaleness = 0.1;
constexpr double kSlack = 0.05;

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

const char* const kRead = "SELECT n FROM cut WHERE id = 1";

struct Cycle {
    double stale = 0;    // from the commit to the last answer that lacks it
    double return_ = 0;  // from the end of the disturbance to hits
    bool returned = false;
};

Cycle cycle(Cluster& cluster, const Proxy& proxy, RawClient& c, int number) {
    Cycle result;
    auto db = cluster.connect("postgres", "app");
    const auto pid =
        std::atoi(db.value("SELECT coalesce(max(pid), 0) FROM pg_stat_replication").c_str());
    const bool still = number % 2 == 0;
    const auto value = std::to_string(number);
    if (pid > 0 && still) kill(pid, SIGSTOP);
    if (pid > 0 && !still) db.run("SELECT pg_terminate_backend(" + std::to_string(pid) + ")");
    db.run("UPDATE cut SET n = " + value + " WHERE id = 1");
    const auto committed = Clock::now();
    while (since(committed) < 3 * kStaleness)
        if (ask(c, kRead) != value) result.stale = since(committed);
    if (pid > 0 && still) kill(pid, SIGCONT);
    const auto end = Clock::now();
    result.returned = becomes_cached(proxy, c, kRead);
    result.return_ = since(end);
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    const int cycles = argc > 1 ? std::atoi(argv[1]) : 100;
    Cluster cluster({{"synchronous_commit = on"}, ""});
    cluster.connect("app", "app")
        .run("CREATE TABLE cut(id int PRIMARY KEY, n int); INSERT INTO cut VALUES (1, 0)");
    Proxy proxy(cluster, {{{"cache", "{max_staleness: 100ms}"}}, {}, {}, 0});
    auto c = RawClient::login(proxy.port());
    if (!becomes_cached(proxy, c, kRead)) return 1;
    std::vector<double> stale, back;
    bool kept = true;
    for (int i = 1; i <= cycles; ++i) {
        const auto one = cycle(cluster, proxy, c, i);
        stale.push_back(one.stale);
        back.push_back(one.return_);
        kept = kept && one.returned && one.stale <= kStaleness + kSlack;
    }
    std::sort(stale.begin(), stale.end());
    std::sort(back.begin(), back.end());
    const auto middle = stale.size() / 2;
    std::printf(
        "%d cycles: old answers up to %.0f ms after the commit (median %.0f), hits back "
        "after %.0f ms (median), %.0f at most%s\n",
        cycles, 1000 * stale.back(), 1000 * stale[middle], 1000 * back[middle], 1000 * back.back(),
        kept ? "" : ": BROKEN");
    return kept ? 0 : 1;
}
