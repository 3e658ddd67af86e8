// What a database's change stream has shown: how far it has come (the watermark), and the
// transactions it has delivered that are not yet known to be visible. One per DatabaseState.
//
// Stream   S1 remember the transaction · S2 raise the epochs of what it changed · S3, once all that
//          was committed before a probe was sent is delivered: watermark = the probe's sending
// Fill     C1 load epochs · C1' take the remembered transactions on its relations · the stamp and
//          the query are sent · published only if the stamp sees them all
// Hit      H0 watermark no older than allowed · H1 load epochs
// A delivery before C1 is remembered at C1', unless a snapshot has seen it already, and then the
// fill's, which is taken later, sees it too; one after C1 changes an epoch the fill rests on. So an
// entry that is valid at H1 contains all that was delivered, hence all that was visible when the
// probe was sent to which the watermark of H0 belongs.
// Thread: as each function says. Invariant: bounded memory, whatever the stream brings.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/cache/stamp.hpp"

namespace pgweir::cache {

class RelationState;
class State;
struct Dependency;

/// One transaction of the stream.
struct Change {
    FullXid xid = 0;
    std::vector<State*> states;         // of relations, or of their rows
    std::uint64_t catalog_version = 0;  // by which they were found; 0: by any
    bool everything = false;            // not known what, or too much to list
    bool defines = false;               // the catalog may be another one; then everything, too
};

class StreamState {
  public:
    /// More that are not known to be visible are remembered by their lowest and highest number
    /// only.
    static constexpr std::size_t kMaxRecent = 1024;
    /// More sessions that wait are woken at once instead.
    static constexpr std::size_t kMaxWaiting = 100'000;

    StreamState() = default;
    StreamState(const StreamState&) = delete;
    StreamState& operator=(const StreamState&) = delete;

    // Any thread.

    /// Fills have to carry a stamp.
    bool on() const noexcept { return on_.load(std::memory_order_seq_cst); }
    /// What is delivered is visible already, and told only of tables that have a trigger for it.
    bool by_notice() const noexcept { return by_notice_.load(std::memory_order_seq_cst); }
    /// Only what is published is delivered.
    bool by_publication() const noexcept { return by_publication_.load(std::memory_order_seq_cst); }
    /// Everything that was visible at this moment (monotonic clock) has raised its epochs; 0: there
    /// is no stream.
    base::Nanos watermark() const noexcept { return watermark_.load(std::memory_order_seq_cst); }
    /// The transactions a fill's stamp has to see. To be called after the fill's epochs are loaded.
    /// `catalog_version` is that of the fill: another one may tell rows apart by other columns.
    Unseen unproven(std::span<const Dependency> dependencies, std::uint64_t catalog_version) const;
    /// Some statement could be answered from the cache if there were a stream.
    void want(base::Nanos now);
    base::Nanos wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }
    /// Calls `wake` once, on any thread, when the watermark has reached `needed` or the stream is
    /// over; asks for a probe. It must be short.
    void await(base::Nanos needed, std::function<void()> wake);
    /// Takes over a fence that was raised for a write of unknown extent whose outcome is known at
    /// `since`: it comes down when the watermark has reached that, as what was written has raised
    /// its own epochs by then. Where that does not come (a gap, give_up()), it counts as
    /// everything.
    void refine(State& fenced, base::Nanos since);

    // The stream's thread.

    /// From here on fills need stamps. What `at` says to be running may have been committed before
    /// the stream begins, and not be visible yet; it `defines` where the stream tells of that.
    /// Raises `whole`.
    void begin(const Stamp& at, RelationState& whole, bool defines = false,
               bool by_publication = false);
    /// The same for a stream that tells of what is visible only: fills need no stamps.
    void begin_by_notice(RelationState& whole);
    void deliver(Change change, RelationState& whole);
    /// A snapshot of the same server that somebody has seen. True: something that defines is
    /// visible since the last one, so a catalog read before this may be an old one.
    bool proven(const Stamp& stamp);
    void advance(base::Nanos sent);
    /// The fences that have waited since before `limit` come down as if everything was written.
    void give_up(base::Nanos limit);
    /// There may be a gap from here on. Raises `whole` and wakes everybody.
    void end(RelationState& whole);
    /// What await() and the first want() call, on any thread; null: nothing.
    void on_demand(std::function<void()> signal);
    /// The latest moment somebody waits for; 0: nobody waits.
    base::Nanos needed() const;
    /// The earliest moment a fence waits for; 0: none does.
    base::Nanos oldest_fence() const;

    // For people.
    std::uint64_t transactions() const noexcept {
        return transactions_.load(std::memory_order_relaxed);
    }
    std::uint64_t gaps() const noexcept { return gaps_.load(std::memory_order_relaxed); }
    std::uint64_t waits() const noexcept { return waits_.load(std::memory_order_relaxed); }
    std::size_t recent() const noexcept { return recent_count_.load(std::memory_order_relaxed); }

  private:
    struct Waiter {
        base::Nanos needed;
        std::function<void()> wake;
    };
    struct Fenced {
        base::Nanos since;
        State* state;
    };
    void remember(Change change);
    void signal() const;

    std::atomic<bool> on_{false};
    std::atomic<bool> by_notice_{false};
    std::atomic<bool> by_publication_{false};
    std::atomic<base::Nanos> watermark_{0};
    std::atomic<base::Nanos> wanted_{0};
    std::atomic<std::size_t> recent_count_{0};
    std::atomic<std::uint64_t> transactions_{0}, gaps_{0}, waits_{0};
    mutable std::mutex mutex_;  // of all below
    std::vector<Change> recent_;
    FullXid all_from_ = 0, all_up_to_ = 0;  // those beyond kMaxRecent; 0: none
    bool beyond_defines_ = false;           // one of those does
    std::vector<Waiter> waiting_;
    std::vector<Fenced> fenced_;
    std::function<void()> signal_;
};

}  // namespace pgweir::cache
