// Single flight: while one session fetches an answer that is to be stored, others that miss the
// same key wait for it. What a waiter gets is never the flight's answer itself but leave to look
// again, so whether it may have it is decided as for any hit, at that moment; the rule for joining
// (epochs at arrival equal to those the flight captured) only keeps it from waiting in vain.
// Invariant: every flight ends, since its Lead's destructor hands it on. Thread: any; a mutex for
// each sixteenth of the keys, never held while a waiter is woken.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/cache/epochs.hpp"

namespace pgweir::cache {

class Flights;
struct Flight;

/// The duty to fetch an answer for all who wait for it.
class [[nodiscard]] Lead {
  public:
    Lead() = default;
    Lead(Lead&& other) noexcept
        : flights_(std::exchange(other.flights_, nullptr)), flight_(std::move(other.flight_)) {}
    Lead& operator=(Lead&& other) noexcept;
    /// Died before it landed: the first who waits leads now.
    ~Lead();
    explicit operator bool() const noexcept { return flights_ != nullptr; }

    /// The answer will be of these epochs.
    void captured(std::span<const Dependency> dependencies);
    /// The answer is stored, or will not be: all who wait look again, and go themselves if there is
    /// none.
    void land() noexcept;

  private:
    friend class Flights;
    Lead(Flights& flights, std::shared_ptr<Flight> flight) noexcept
        : flights_(&flights), flight_(std::move(flight)) {}
    Flights* flights_ = nullptr;
    std::shared_ptr<Flight> flight_;
};

/// One who waits. Kept by who waits and by the flight.
class FlightPlace {
  public:
    virtual ~FlightPlace() = default;
    /// Called once, unless it was left before, by any thread.
    virtual void wake(std::shared_ptr<FlightPlace> self) noexcept = 0;
    /// To be looked at when woken: holds the duty where the one who led has died.
    Lead lead;

  private:
    friend class Flights;
    std::shared_ptr<Flight> flight_;
};
using FlightPlacePtr = std::shared_ptr<FlightPlace>;

class Flights {
  public:
    /// Empty: somebody does it already.
    Lead lead(const base::Hash128& hash);
    /// False: there is no flight, or it has captured what is not so any more.
    bool wait(const base::Hash128& hash, const FlightPlacePtr& place);
    /// Does not wait any more; a wake() may be under way.
    void leave(FlightPlace& place) noexcept;

  private:
    friend class Lead;
    struct Shard {
        std::mutex mutex;
        std::unordered_map<base::Hash128, std::shared_ptr<Flight>, base::Hash128Hash> flights;
        /// Of one that is over, to make the next one of.
        decltype(flights)::node_type spare;
    };
    Shard& shard_of(const base::Hash128& hash) noexcept {
        return shards_[(hash.high >> 32) % shards_.size()];
    }
    static void take_off(Shard& shard, const std::shared_ptr<Flight>& flight) noexcept;
    void captured(Flight& flight, std::span<const Dependency> dependencies);
    void land(const std::shared_ptr<Flight>& flight) noexcept;
    void hand_on(const std::shared_ptr<Flight>& flight) noexcept;

    std::array<Shard, 16> shards_;
};

}  // namespace pgweir::cache
