// Asking a proxy's cache: was this answered from it, does it come to be. Thread: one.
#pragma once

#include <string>

#include "support/proxy.hpp"
#include "support/raw_client.hpp"

namespace pgweir::testing {

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

/// True once this query is answered from the cache. Catalogs are read in the background, so it may
/// take a few tries.
inline bool becomes_cached(const Proxy& proxy, RawClient& c, const std::string& sql) {
    return eventually(
        [&] {
            ask(c, sql);
            return hits_of(proxy, [&] { ask(c, sql); }) == 1;
        },
        Seconds(10));
}

}  // namespace pgweir::testing
