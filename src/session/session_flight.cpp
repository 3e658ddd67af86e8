// Session: waiting for an answer that another session is fetching already. The unit stays at the
// front of the input; whoever is woken looks at it again from the start.
#include "pgweir/cache/flights.hpp"
#include "pgweir/session/session.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "turn.hpp"

namespace pgweir::session {

namespace {
/// Then the server is asked all the same: what holds the other one up need not hold this one up.
constexpr base::Nanos kLongestFlight = 2 * base::kSecond;
}  // namespace

bool Session::in_flight() const noexcept { return flight_ && flight_->session != nullptr; }

/// The duty to fetch this answer; empty: nobody's, or in_flight() and to be waited for. Who was
/// woken does not wait again: whoever led before has failed, or leads no more.
cache::Lead Session::board(const PlacePtr& woken, const base::Hash128& hash) {
    if (woken) return std::move(woken->lead);
    auto& flights = env_.result_cache()->flights();
    if (auto lead = flights.lead(hash)) return lead;
    auto place = std::make_shared<Place>(env_, this);
    place->until = env_.now() + kLongestFlight;
    place->flights = &flights;
    if (flights.wait(hash, place)) flight_ = std::move(place);
    return {};
}

void Session::leave_flight() noexcept {
    if (!in_flight()) return;
    flight_->session = nullptr;
    flight_->flights->leave(*flight_);
    flight_.reset();
}

void Session::look_again() {
    consume_buffer();
    if (!in_flight()) flight_.reset();
    bound_input();
    maybe_release();
}

void Session::on_flight_ended() {
    if (ended_ || !in_flight()) return;
    const TurnScope scope(*this);
    flight_->session = nullptr;
    look_again();
}

void Session::tick_flight(base::Nanos now) {
    if (!in_flight() || now < flight_->until) return;
    leave_flight();
    flight_ = std::make_shared<Place>(env_, nullptr);
    const TurnScope scope(*this);
    look_again();
}

}  // namespace pgweir::session
