// What row-level invalidation is worth: a table of a million rows, reads by key after Zipf 1.0,
// uniform writes by key through the proxy at a given rate. Printed is how many look-ups of answers
// that were stored missed because a write had ended them, with row level on and off.
//   rows_figure [ROWS] [WRITES A SECOND] [SECONDS OF WARM-UP] [SECONDS]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "support/cache_client.hpp"

using namespace pgweir::testing;

namespace {

struct Plan {
    std::uint32_t rows = 1'000'000;
    double writes = 200;
    double warm_up = 40;
    double seconds = 30;
};

/// Ranks from 0 by Zipf 1.0, spread over the keys.
class Zipf {
  public:
    explicit Zipf(std::uint32_t n) : n_(n) {
        double sum = 0;
        for (std::uint32_t i = 1; i <= n; ++i) up_to_.push_back(sum += 1.0 / i);
    }
    std::uint32_t key(std::mt19937_64& random) const {
        const auto at = std::uniform_real_distribution<>(0, up_to_.back())(random);
        const auto rank = std::lower_bound(up_to_.begin(), up_to_.end(), at) - up_to_.begin();
        return static_cast<std::uint32_t>(static_cast<std::uint64_t>(rank) * 7919 % n_) + 1;
    }

  private:
    std::uint32_t n_;
    std::vector<double> up_to_;
};

using Clock = std::chrono::steady_clock;

void write(const Proxy& proxy, const Plan& plan, const std::atomic<bool>& over,
           std::atomic<std::int64_t>& written) {
    auto c = RawClient::login(proxy.port());
    c.ask(msg::parse("w", "UPDATE big SET v = v + 1 WHERE id = $1") + msg::sync());
    std::mt19937_64 random(2);
    const auto start = Clock::now();
    for (std::int64_t n = 0; !over; ++n) {
        const std::chrono::duration<double> due(static_cast<double>(n) / plan.writes);
        std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(due));
        const auto key = std::to_string(random() % plan.rows + 1);
        c.ask(msg::bind("", "w", {key}) + msg::execute("") + msg::sync());
        ++written;
    }
}

void read(RawClient& c, const Zipf& zipf, std::mt19937_64& random, double seconds) {
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < end)
        for (int i = 0; i < 100; ++i) {
            const auto key = std::to_string(zipf.key(random));
            c.ask(msg::bind("", "r", {key}) + msg::execute("") + msg::sync());
        }
}

void run(Cluster& cluster, const Plan& plan, const std::string& cache, const char* name) {
    Proxy proxy(cluster, {{{"cache", cache}, {"pool", "{min_size: 0, max_size: 4}"}}, {}, {}, 0});
    auto c = RawClient::login(proxy.port());
    becomes_cached(proxy, c, "SELECT v FROM big WHERE id = 1");
    c.ask(msg::parse("r", "SELECT v FROM big WHERE id = $1") + msg::sync());
    std::atomic<bool> over{false};
    std::atomic<std::int64_t> written{0};
    std::thread writer([&] { write(proxy, plan, over, written); });
    const Zipf zipf(plan.rows);
    std::mt19937_64 random(1);
    read(c, zipf, random, plan.warm_up);
    const auto of = [&](const char* column) { return proxy.cache_counter(column); };
    const auto hits = of("hits"), misses = of("misses"), ended = of("invalidations");
    const auto writes = written.load();
    read(c, zipf, random, plan.seconds);
    const auto h = of("hits") - hits, m = of("misses") - misses, e = of("invalidations") - ended;
    const auto w = written - writes;
    over = true;
    writer.join();
    const auto stored = static_cast<double>(std::max<std::int64_t>(1, h + e));
    std::printf(
        "%s: %.0f reads/s, %.0f writes/s, %.2f %% hits; of look-ups of stored answers "
        "%.3f %% missed by a write\n",
        name, static_cast<double>(h + m) / plan.seconds, static_cast<double>(w) / plan.seconds,
        100 * static_cast<double>(h) / static_cast<double>(std::max<std::int64_t>(1, h + m)),
        100 * static_cast<double>(e) / stored);
}

}  // namespace

int main(int argc, char** argv) {
    Plan plan;
    if (argc > 1) plan.rows = static_cast<std::uint32_t>(std::atol(argv[1]));
    if (argc > 2) plan.writes = std::atof(argv[2]);
    if (argc > 3) plan.warm_up = std::atof(argv[3]);
    if (argc > 4) plan.seconds = std::atof(argv[4]);
    Cluster cluster;
    cluster.connect("app", "app")
        .run(
            "CREATE TABLE big(id int PRIMARY KEY, v int, filler text);"
            "INSERT INTO big SELECT g, 0, repeat('x', 100) FROM generate_series(1, " +
            std::to_string(plan.rows) + ") g; ANALYZE big");
    const std::string common = "{exclusive_writer: true, max_size: 2GiB";
    run(cluster, plan, common + "}", "row level");
    run(cluster, plan, common + ", row_level: false}", "tables only");
    return 0;
}
