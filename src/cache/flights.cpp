// Who leads, who waits, and who is woken.
#include "pgweir/cache/flights.hpp"

#include <algorithm>

namespace pgweir::cache {

/// Under its shard's mutex.
struct Flight {
    explicit Flight(const base::Hash128& of) noexcept : hash(of) {}
    /// False: what it brings can be no hit for who comes now.
    bool joinable() const noexcept { return unchanged(captured); }

    const base::Hash128 hash;
    std::vector<Dependency> captured;  // nothing yet: later than any arrival so far
    std::vector<FlightPlacePtr> waiting;
};

Lead& Lead::operator=(Lead&& other) noexcept {
    if (this == &other) return *this;
    if (flights_ != nullptr) std::exchange(flights_, nullptr)->hand_on(flight_);
    flights_ = std::exchange(other.flights_, nullptr);
    flight_ = std::move(other.flight_);
    return *this;
}

Lead::~Lead() {
    if (flights_ != nullptr) flights_->hand_on(flight_);
}

void Lead::captured(std::span<const Dependency> dependencies) {
    if (flights_ != nullptr) flights_->captured(*flight_, dependencies);
}

void Lead::land() noexcept {
    if (flights_ != nullptr) std::exchange(flights_, nullptr)->land(flight_);
    flight_.reset();
}

Lead Flights::lead(const base::Hash128& hash) {
    auto& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    auto& flight = shard.flights[hash];
    if (flight != nullptr && flight->joinable()) return {};
    flight = std::make_shared<Flight>(hash);  // an outdated one lands for those it has
    return {*this, flight};
}

bool Flights::wait(const base::Hash128& hash, const FlightPlacePtr& place) {
    auto& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.flights.find(hash);
    if (found == shard.flights.end() || !found->second->joinable()) return false;
    found->second->waiting.push_back(place);
    place->flight_ = found->second;
    return true;
}

void Flights::leave(FlightPlace& place) noexcept {
    const auto flight = place.flight_;
    if (flight == nullptr) return;
    auto& shard = shard_of(flight->hash);
    const std::lock_guard lock(shard.mutex);
    std::erase_if(flight->waiting, [&](const auto& p) { return p.get() == &place; });
}

void Flights::captured(Flight& flight, std::span<const Dependency> dependencies) {
    auto& shard = shard_of(flight.hash);
    const std::lock_guard lock(shard.mutex);
    flight.captured.assign(dependencies.begin(), dependencies.end());
}

void Flights::land(const std::shared_ptr<Flight>& flight) noexcept {
    std::vector<FlightPlacePtr> waiting;
    {
        auto& shard = shard_of(flight->hash);
        const std::lock_guard lock(shard.mutex);
        const auto found = shard.flights.find(flight->hash);
        if (found != shard.flights.end() && found->second == flight) shard.flights.erase(found);
        waiting.swap(flight->waiting);
    }
    for (auto& place : waiting) place->wake(place);
}

void Flights::hand_on(const std::shared_ptr<Flight>& flight) noexcept {
    FlightPlacePtr next;
    {
        auto& shard = shard_of(flight->hash);
        const std::lock_guard lock(shard.mutex);
        if (!flight->waiting.empty()) {
            next = std::move(flight->waiting.front());
            flight->waiting.erase(flight->waiting.begin());
            flight->captured.clear();
            next->lead = Lead(*this, flight);
        } else {
            const auto found = shard.flights.find(flight->hash);
            if (found != shard.flights.end() && found->second == flight) shard.flights.erase(found);
        }
    }
    if (next != nullptr) next->wake(next);
}

}  // namespace pgweir::cache
