// What happens is counted here: one slab per worker, and in it one per pool, each written by one
// thread only and summed when somebody reads.
// Invariant: a counter only grows, and only its owner's thread adds to it; so adding is a plain
// load and store, without a locked instruction, and a reader sees a value that was true a moment
// ago. Thread: add() the owner's, get() and the sums any. Errors: none.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "pgweir/base/cache_line.hpp"

namespace pgweir::metrics {

class Counter {
  public:
    void add(std::uint64_t n = 1) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// What is counted per pool. Cell is Counter while counting and std::uint64_t once summed, so that
/// both forms have the same fields. Times are microseconds.
template <class Cell>
struct PoolFields {
    Cell xact_count{};
    Cell query_count{};
    Cell bytes_received{};  // from clients
    Cell bytes_sent{};      // to clients
    Cell xact_time_us{};    // with a server connection inside a transaction
    Cell query_time_us{};   // a server connection at work
    Cell wait_time_us{};    // clients waiting for a server connection
    Cell client_parse_count{};
    Cell server_parse_count{};
    Cell bind_count{};
    Cell server_assignment_count{};
    Cell login_count{};
    Cell errors{};  // ErrorResponses sent to clients
};

/// Calls f(a's field, b's field) for each field: the one list of them beside the struct.
template <class A, class B, class F>
void zip_pool_fields(A& a, B& b, F f) {
    f(a.xact_count, b.xact_count);
    f(a.query_count, b.query_count);
    f(a.bytes_received, b.bytes_received);
    f(a.bytes_sent, b.bytes_sent);
    f(a.xact_time_us, b.xact_time_us);
    f(a.query_time_us, b.query_time_us);
    f(a.wait_time_us, b.wait_time_us);
    f(a.client_parse_count, b.client_parse_count);
    f(a.server_parse_count, b.server_parse_count);
    f(a.bind_count, b.bind_count);
    f(a.server_assignment_count, b.server_assignment_count);
    f(a.login_count, b.login_count);
    f(a.errors, b.errors);
}

/// One worker's half of a pool. Aligned, so that two workers never write one cache line.
struct alignas(base::kCacheLine) PoolCounters : PoolFields<Counter> {};

/// Sums of PoolCounters: plain numbers.
struct PoolStats : PoolFields<std::uint64_t> {
    /// Adds what the counters say now.
    void add(const PoolCounters& counters) noexcept;
    PoolStats& operator+=(const PoolStats& other) noexcept;
    /// What was added since `before`. A field that shrank (a pool is gone) gives 0.
    PoolStats since(const PoolStats& before) const noexcept;
};

/// Reasons have their names in a higher layer, which gives them when the numbers are read; here
/// they are only indices. Their tables are asserted to fit.
inline constexpr std::size_t kReasons = 64;

/// What is counted per worker.
template <class Cell>
struct WorkerFields {
    Cell clients_accepted{};
    Cell clients_refused{};  // before login: too many, draining, wrong password, no such database
    Cell disconnects{};      // connections ended, whatever the reason
    Cell protocol_errors{};
    Cell cancel_requests{};
    Cell server_connects{};
    Cell server_connect_failures{};
    Cell resets{};
    Cell query_timeouts{};
    Cell wait_timeouts{};
    std::array<Cell, kReasons> not_cached{};  // by query::NotCached
    std::array<Cell, kReasons> pins{};        // by query::PinReason
};

template <class A, class B, class F>
void zip_worker_fields(A& a, B& b, F f) {
    f(a.clients_accepted, b.clients_accepted);
    f(a.clients_refused, b.clients_refused);
    f(a.disconnects, b.disconnects);
    f(a.protocol_errors, b.protocol_errors);
    f(a.cancel_requests, b.cancel_requests);
    f(a.server_connects, b.server_connects);
    f(a.server_connect_failures, b.server_connect_failures);
    f(a.resets, b.resets);
    f(a.query_timeouts, b.query_timeouts);
    f(a.wait_timeouts, b.wait_timeouts);
    for (std::size_t i = 0; i < kReasons; ++i) f(a.not_cached[i], b.not_cached[i]);
    for (std::size_t i = 0; i < kReasons; ++i) f(a.pins[i], b.pins[i]);
}

struct alignas(base::kCacheLine) WorkerCounters : WorkerFields<Counter> {};

struct WorkerStats : WorkerFields<std::uint64_t> {
    void add(const WorkerCounters& counters) noexcept;
    WorkerStats& operator+=(const WorkerStats& other) noexcept;
};

}  // namespace pgweir::metrics
