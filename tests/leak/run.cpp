// See run.hpp.
#include "leak/run.hpp"

#include <poll.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <thread>

#include "leak/client.hpp"
#include "support/proxy.hpp"

namespace pgweir::leak {

using namespace testing;

namespace {

constexpr unsigned kThreads = 3;
constexpr std::size_t kServers = 4;
using Clock = std::chrono::steady_clock;

ProxyOptions proxy_options(const RunOptions& options) {
    ProxyOptions o;
    o.sections = {{"cache", "{exclusive_writer: true}"},
                  {"pool", "{min_size: 0, max_size: " + std::to_string(kServers) +
                               ", max_pinned: 1000, wait_timeout: 30s}"},
                  {"limits", "{prepared_statements_per_server: 12}"},
                  {"workers", std::to_string(options.workers)}};
    if (!options.plant.empty()) o.environment.emplace_back("PGWEIR_PLANT", options.plant);
    return o;
}

/// Drives its share of the clients; none waits for another's answer.
void drive(Common& common, std::vector<Client>& clients) {
    try {
        while (!common.stop) {
            std::vector<pollfd> fds;
            for (auto& c : clients) {
                c.begin();
                if (c.waits()) fds.push_back({c.fd(), POLLIN, 0});
            }
            if (!fds.empty()) ::poll(fds.data(), fds.size(), 1000);
            for (auto& c : clients) c.advance();
        }
    } catch (const std::exception& e) {
        common.complain(std::string("EXCEPTION ") + e.what());
    }
}

/// Processes that are there three times with a second in between are not on their way out.
void watch_limit(Common& common, const Cluster& cluster) {
    std::vector<std::set<std::string>> seen;
    auto db = cluster.connect();
    while (!common.stop) {
        std::set<std::string> now;
        for (const auto& row : db.exec("SELECT pid FROM pg_stat_activity WHERE usename = 'app' "
                                       "AND application_name <> 'direct'")
                                   .rows)
            now.insert(row[0]);
        seen.push_back(now);
        if (seen.size() > 20) seen.erase(seen.begin());
        std::set<std::string> lasting;
        if (seen.size() == 20)
            for (const auto& pid : seen[0])
                if (seen[10].count(pid) != 0 && now.count(pid) != 0) lasting.insert(pid);
        if (lasting.size() > kServers)
            common.complain("LIMIT " + std::to_string(lasting.size()) + " server connections");
        sleep_for(Seconds(0.1));
    }
}

void look_at_server_log(Common& common, const Cluster& cluster) {
    const auto log = cluster.log();
    for (const auto* word : {"invalid frontend message", "invalid message length",
                             "protocol synchronization was lost"})
        if (const auto at = log.find(word); at != std::string::npos)
            common.complain("FORWARDED what the server calls " + log.substr(at, 60));
}

}  // namespace

RunResult run(const RunOptions& options) {
    Cluster cluster({{"max_connections = 100"}, ""});
    cluster.connect("postgres").run(schema());
    std::optional<Proxy> proxy;
    if (!options.direct) proxy.emplace(cluster, proxy_options(options));
    Common common;
    common.port = options.direct ? cluster.port() : proxy->port();
    common.direct = options.direct;
    std::vector<std::vector<Client>> shares(kThreads);
    for (unsigned i = 0; i < options.clients; ++i)
        shares[i % kThreads].emplace_back(common, static_cast<int>(i), options.seed);
    std::vector<std::thread> threads;
    for (auto& share : shares) threads.emplace_back([&] { drive(common, share); });
    if (!options.direct) threads.emplace_back([&] { watch_limit(common, cluster); });
    const auto end = Clock::now() + std::chrono::duration<double>(options.seconds);
    while (!common.stop && (Clock::now() < end || common.answers < options.queries))
        sleep_for(Seconds(0.05));
    RunResult result;
    {
        const std::scoped_lock lock(common.mutex);
        common.stop = true;
    }
    for (auto& t : threads) t.join();
    if (!options.direct) look_at_server_log(common, cluster);
    result.breaches = std::move(common.breaches);
    result.answers = common.answers;
    result.ended = common.ended;
    result.canceled = common.canceled;
    result.left = common.left;
    if (result.answers < 1000 || result.ended == 0 || result.canceled == 0 || result.left == 0)
        result.invalid = "too little happened";
    shares.clear();
    if (proxy && !result.breaches.empty() && proxy->running()) {
        // With a bug in it, it may not end as it should; the breaches are what counts.
        proxy->send_signal(9);
        proxy->wait();
    }
    return result;
}

}  // namespace pgweir::leak
