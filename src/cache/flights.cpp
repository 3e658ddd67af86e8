// Who leads, who waits, and who is woken.
#include "pgweir/cache/flights.hpp"

#include <algorithm>

namespace pgweir::cache {

/// Under its shard's mutex.
struct Flight {
    /// False: what it brings can be no hit for who comes now.
    bool joinable() const noexcept { return unchanged(captured); }

    base::Hash128 hash;
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

namespace {
std::shared_ptr<Flight> make(const base::Hash128& hash) {
    auto flight = std::make_shared<Flight>();
    flight->hash = hash;
    return flight;
}
}  // namespace

Lead Flights::lead(const base::Hash128& hash) {
    auto& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto known = shard.flights.find(hash);
    if (known != shard.flights.end()) {
        auto& flight = known->second;
        if (flight->joinable()) return {};
        flight = make(hash);  // an outdated one lands for those it has
        return {*this, flight};
    }
    // Almost every miss that is stored passes here: the memory of the one before will do, unless
    // somebody holds that still.
    auto node = std::move(shard.spare);
    if (node.empty()) return {*this, shard.flights.emplace(hash, make(hash)).first->second};
    node.key() = hash;
    if (node.mapped().use_count() != 1) node.mapped() = make(hash);
    // Whoever let go of it last has done so without the mutex: counting it once more, up and down,
    // takes over what was done before. (A fence would do, but ThreadSanitizer knows none.)
    std::shared_ptr(node.mapped()).reset();
    node.mapped()->hash = hash;
    node.mapped()->captured.clear();
    return {*this, shard.flights.insert(std::move(node)).position->second};
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

void Flights::take_off(Shard& shard, const std::shared_ptr<Flight>& flight) noexcept {
    const auto found = shard.flights.find(flight->hash);
    if (found != shard.flights.end() && found->second == flight)
        shard.spare = shard.flights.extract(found);
}

void Flights::land(const std::shared_ptr<Flight>& flight) noexcept {
    std::vector<FlightPlacePtr> waiting;
    {
        auto& shard = shard_of(flight->hash);
        const std::lock_guard lock(shard.mutex);
        take_off(shard, flight);
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
            take_off(shard, flight);
        }
    }
    if (next != nullptr) next->wake(next);
}

}  // namespace pgweir::cache
