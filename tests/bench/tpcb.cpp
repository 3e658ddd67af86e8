// What the change stream costs the server: pgbench's TPC-B straight at PostgreSQL, in rounds that
// take turns, with a proxy beside it that holds a stream on the database, and without one. Printed
// are transactions a second, and the processor time that all of the server's processes and the
// proxy took for one; each as the median of the rounds' ratios. The second stands also where other
// programs want the processor. Status 1 when that is below 0.95, which is wanted.
//   tpcb_figure [ROUNDS [SECONDS [WORD...]]]
// `unsafe`: commits do not wait for the disk. `published`: the stream shows a publication of the
// one table that is read through the cache. `bare`: no proxy; PostgreSQL's own pg_recvlogical takes
// the stream and throws it away, which is what decoding costs whoever listens.
// `one`: one client, as pgbench has it by itself, in place of four, which leave no processor idle.

#include <unistd.h>

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <sstream>
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

/// Fields of /proc/PID/stat behind the name, which may hold anything; empty: no such process.
std::vector<std::string> stat_fields(const std::string& pid) {
    const auto text = read_file("/proc/" + pid + "/stat");
    const auto name_end = text.rfind(')');
    if (name_end == text.npos) return {};
    std::istringstream in(text.substr(name_end + 1));
    return {std::istream_iterator<std::string>(in), {}};
}

constexpr std::size_t kParent = 1, kUser = 11, kEnded = 13;  // behind the name; each with its next

/// In clock ticks, with that of its children that have ended if `ended`.
double ticks(const std::vector<std::string>& fields, bool ended) {
    double sum = 0;
    for (std::size_t i = kUser; i < (ended ? kEnded : kUser) + 2; ++i)
        if (i < fields.size()) sum += std::atof(fields[i].c_str());
    return sum;
}

/// Of the server's first process, those it has started, and the proxy if there is one.
double processor_seconds(const std::string& postmaster, const Proxy* proxy) {
    double sum = ticks(stat_fields(postmaster), true);
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto pid = entry.path().filename().string();
        if (pid.find_first_not_of("0123456789") != pid.npos) continue;
        const auto fields = stat_fields(pid);
        if (fields.size() > kParent && fields[kParent] == postmaster) sum += ticks(fields, false);
    }
    if (proxy != nullptr) sum += ticks(stat_fields(std::to_string(proxy->pid())), false);
    return sum / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Round {
    double per_second = 0;
    double processor = 0;  // microseconds a transaction
};

const char* clients = "4";

Round transactions(const Cluster& cluster, const std::string& seconds, const Proxy* proxy) {
    const auto any =
        cluster.value("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
    const auto postmaster = stat_fields(any).at(kParent);
    const auto before = processor_seconds(postmaster, proxy);
    const auto out = pgbench(cluster, {"-n", "-c", clients, "-j", "1", "-T", seconds});
    // Who is just ending would be in neither sum.
    eventually([&] {
        return cluster.value(
                   "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                   "'pgbench'") == "0";
    });
    sleep_for(Seconds(0.3));
    const auto took = processor_seconds(postmaster, proxy) - before;
    const auto number = [&](const char* label) {
        const auto at = out.find(label);
        if (at == out.npos) throw std::runtime_error("pgbench said: " + out);
        return std::atof(out.c_str() + at + std::string(label).size());
    };
    return {number("tps = "), 1e6 * took / number("transactions actually processed: ")};
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

bool said(int argc, char** argv, std::string_view word) {
    return std::any_of(argv + std::min(argc, 3), argv + argc,
                       [word](const char* w) { return w == word; });
}

/// Takes what is decoded, as fast as it comes, and keeps nothing.
class Listener {
  public:
    explicit Listener(const Cluster& cluster) : cluster_(cluster) {
        cluster.value("SELECT pg_create_logical_replication_slot('bare', 'test_decoding')");
        SpawnOptions options;
        pid_ = spawn({postgres_program("pg_recvlogical"), "-h", cluster.socket_directory(), "-p",
                      std::to_string(cluster.port()), "-U", "postgres", "-d", "app", "-S", "bare",
                      "--start", "-f", "/dev/null"},
                     options);
        if (!eventually([&] { return active() == "t"; }))
            throw std::runtime_error("pg_recvlogical does not start");
    }
    ~Listener() {
        kill(pid_, SIGTERM);
        wait_exit(pid_, Seconds(10));
        eventually([&] { return active() == "f"; });
        cluster_.value("SELECT pg_drop_replication_slot('bare')");
    }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

  private:
    std::string active() const {
        return cluster_.value("SELECT active FROM pg_replication_slots WHERE slot_name = 'bare'");
    }
    const Cluster& cluster_;
    pid_t pid_ = 0;
};

Round with_proxy(const Cluster& cluster, const std::string& seconds, bool published) {
    Proxy proxy(cluster,
                {{{"cache", published ? "{stream: {publication: shown}}" : "{}"}}, {}, {}, 0});
    auto client = RawClient::login(proxy.port());
    if (!becomes_cached(proxy, client, "SELECT count(*) FROM pgbench_branches"))
        throw std::runtime_error("there is no stream");
    const auto round = transactions(cluster, seconds, &proxy);
    if (proxy.console("SHOW CACHE").rows.at(0).at(2) != "bounded")
        throw std::runtime_error("the stream was lost");
    return round;
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
    const std::string seconds = argc > 2 ? argv[2] : "10";
    // As PostgreSQL comes, commits wait for the disk; `unsafe`: all they take is the processor.
    const std::string durable = said(argc, argv, "unsafe") ? "off" : "on";
    const bool published = said(argc, argv, "published"), bare = said(argc, argv, "bare");
    if (said(argc, argv, "one")) clients = "1";
    Cluster cluster(
        {{"synchronous_commit = on", "fsync = " + durable, "full_page_writes = " + durable}, ""});
    pgbench(cluster, {"-i", "-q", "-s", "10"});
    transactions(cluster, seconds, nullptr);
    std::vector<double> speeds, costs;
    if (published) cluster.value("CREATE PUBLICATION shown FOR TABLE pgbench_branches");
    const auto with_stream = [&] {
        if (!bare) return with_proxy(cluster, seconds, published);
        const Listener listener(cluster);
        return transactions(cluster, seconds, nullptr);
    };
    for (int i = 0; i < rounds; ++i) {
        Round with, without;
        if (i % 2 == 0) with = with_stream();
        without = transactions(cluster, seconds, nullptr);
        if (i % 2 != 0) with = with_stream();
        speeds.push_back(with.per_second / without.per_second);
        costs.push_back(without.processor / with.processor);
        std::printf("round %d: with the stream %.0f/s, %.0f us each; without %.0f/s, %.0f us\n",
                    i + 1, with.per_second, with.processor, without.per_second, without.processor);
        std::fflush(stdout);
    }
    std::printf(
        "with the stream %.3f times the transactions a second, %.3f times those a second "
        "of the processor\n",
        median(speeds), median(costs));
    return median(costs) >= kWanted ? 0 : 1;
}
