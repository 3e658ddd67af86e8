// Asking a proxy's cache: was this answered from it, does it come to be. Thread: one.
#pragma once

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

namespace pgweir::testing {

/// The section `databases`: "app", and "exact", which is the same in session pools.
inline std::string in_both_modes(const Cluster& cluster) {
    const auto server = "host: 127.0.0.1, port: " + std::to_string(cluster.port());
    return "{app: {" + server + "}, exact: {" + server + ", dbname: app, pool: {mode: session}}}";
}

/// With the cache on, by default because nobody writes but through the proxy.
inline ProxyOptions caching(const std::string& cache = "{exclusive_writer: true}",
                            const std::string& pool = "{min_size: 0, max_size: 4}") {
    return {{{"cache", cache}, {"pool", pool}}, {}, {}, 0};
}
/// One server connection, which a test may take away to see that nothing else is used.
inline ProxyOptions caching_with_one_server() {
    return caching("{exclusive_writer: true}", "{min_size: 0, max_size: 1, wait_timeout: 500ms}");
}

/// What a test begins with. Throws where it fails.
inline void must_run(RawClient c, const std::string& sql) {
    const auto error = error_of(c.ask(msg::query(sql)));
    if (!error.sqlstate.empty()) throw std::runtime_error(error.message + " in " + sql);
}

/// First value of the answer, or the SQLSTATE of its error.
inline std::string ask(RawClient& c, const std::string& sql) {
    const auto m = c.ask(msg::query(sql));
    const auto error = error_of(m);
    return error.sqlstate.empty() ? first_value(m) : error.sqlstate + " " + error.message;
}

/// Hits of the database while `work` runs.
template <class F>
std::int64_t hits_of(const Proxy& proxy, F&& work) {
    const auto before = proxy.cache_counter("hits");
    work();
    return proxy.cache_counter("hits") - before;
}

/// Hits of the database while the query runs three times in a row.
inline std::int64_t hits_of_three(const Proxy& proxy, RawClient& c, const std::string& sql) {
    return hits_of(proxy, [&] { ask(c, sql), ask(c, sql), ask(c, sql); });
}

/// What the cache says of a query, and the end of the log: for a test that has failed.
inline std::string told_of(const Proxy& proxy, RawClient& c, const std::string& sql) {
    std::string told;
    for (const auto& row : rows(c.ask(msg::query("EXPLAIN CACHE " + sql))))
        told += row.at(0) + ": " + row.at(1) + "\n";
    for (const auto* column : {"hits", "misses", "fills"})
        told += std::string(column) + ": " + std::to_string(proxy.cache_counter(column)) + "\n";
    const auto log = proxy.log();
    constexpr std::size_t kEnd = 3000;
    return told + log.substr(log.size() - std::min(log.size(), kEnd));
}

/// True once this query is answered from the cache. Catalogs are read in the background, so it may
/// take a few tries.
inline bool becomes_cached(const Proxy& proxy, RawClient& c, const std::string& sql) {
    const bool did = eventually(
        [&] {
            ask(c, sql);
            return hits_of(proxy, [&] { ask(c, sql); }) == 1;
        },
        Seconds(10));
    if (!did)
        std::fprintf(stderr, "not cached: %s\n%s", sql.c_str(), told_of(proxy, c, sql).c_str());
    return did;
}

/// What EXPLAIN CACHE gives as the reason.
inline std::string cache_reason(RawClient& c, const std::string& sql) {
    for (const auto& row : rows(c.ask(msg::query("EXPLAIN CACHE " + sql))))
        if (row.at(0) == "reason") return row.at(1);
    return "";
}

/// True once the catalog has been read, without which nothing is cached: behind DDL it takes a
/// moment.
inline bool catalog_is_read(RawClient& c, const std::string& sql = "SELECT now()") {
    return eventually(
        [&] {
            const auto reason = cache_reason(c, sql);
            return !reason.empty() && reason != "no_catalog";
        },
        Seconds(10));
}

inline bool stays_uncached(const Proxy& proxy, RawClient& c, const std::string& sql) {
    return catalog_is_read(c, sql) && hits_of_three(proxy, c, sql) == 0;
}

}  // namespace pgweir::testing
