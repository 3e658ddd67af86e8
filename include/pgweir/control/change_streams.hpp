// The thread that reads the change streams: for each database whose statements could be cached, a
// temporary logical slot over a replication connection, and an ordinary connection that asks how
// far the server is. What is delivered raises epochs; what is proven moves the watermark (see
// cache/stream_state.hpp). Apart from the control thread, because a catalog that takes long to read
// must not hold up the watermark of every database.
// Thread: public functions any, at once; callbacks run on this thread, must be short and must not
// call stop(). Invariant: while a stream is not live, its watermark is 0.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "pgweir/base/clock.hpp"
#include "pgweir/cache/epochs.hpp"
#include "pgweir/control/connection.hpp"

namespace pgweir::control {

using StreamId = std::uint64_t;

struct StreamEvent {
    StreamId stream = 0;
    bool live = false;
    std::string reason;  // why not; one line, fit for the log
    /// Elsewhere the catalog may have been changed, and what was done is visible now.
    bool defined = false;
};

/// A logical change stream, or notices of the triggers that sql/watch_writes.sql installs.
enum class ChangesBy : std::uint8_t { stream, notices };

struct StreamOptions {
    base::Nanos max_staleness = 200 * base::kMillisecond;  // probes go four times as often
    unsigned max_slots = 2;                                // of this proxy, per server
    unsigned spare_slots = 3;  // free ones of the server that are left alone
    base::Nanos idle_release = 600 * base::kSecond;
    base::Nanos connect_timeout = 5 * base::kSecond;
    base::Nanos first_retry = 100 * base::kMillisecond;  // doubles up to last_retry
    base::Nanos last_retry = 10 * base::kSecond;
    base::Nanos obstacle_retry = 30 * base::kSecond;  // after what only a person can change
    /// What the streams show, by pgoutput: the publication of this name in each database; empty:
    /// everything, by test_decoding.
    std::string publication;
};

class ChangeStreams {
  public:
    using OnEvent = std::function<void(const StreamEvent&)>;

    ChangeStreams(StreamOptions options, OnEvent on_event);
    ~ChangeStreams();  // stop()
    ChangeStreams(const ChangeStreams&) = delete;
    ChangeStreams& operator=(const ChangeStreams&) = delete;

    void start();
    /// Ends all streams and the thread within milliseconds. Idempotent.
    void stop();
    /// Dormant until the database is wanted. `database` outlives this.
    StreamId add(Target target, cache::DatabaseState& database, ChangesBy by = ChangesBy::stream);
    void remove(StreamId id);
    void set_options(StreamOptions options);

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace pgweir::control
