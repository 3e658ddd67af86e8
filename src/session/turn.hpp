// What one event collects for both peers. Made on the stack by the outermost call into a session,
// and sent when that call ends, so an event costs at most one send to each side.
#pragma once

#include "pgweir/session/session.hpp"

namespace pgweir::session {

/// Bytes queued towards one peer at which the other is no longer read. Two reads' worth: more costs
/// memory for each slow client and makes nothing faster.
inline constexpr std::size_t kHighWater = std::size_t{128} * 1024;

struct Session::Turn {
    explicit Turn(Session& s) noexcept : sink(s), client(s.client_), server(sink) {}
    ServerSink sink;
    Gather client;
    Gather server;
};

struct Session::TurnScope {
    explicit TurnScope(Session& s) noexcept : session(s) {
        if (s.turn_ != nullptr) return;
        turn.emplace(s);
        s.turn_ = &*turn;
    }
    ~TurnScope() {
        if (!turn) return;
        turn->server.flush();
        turn->client.flush();
        session.turn_ = nullptr;
    }
    TurnScope(const TurnScope&) = delete;
    TurnScope& operator=(const TurnScope&) = delete;

    Session& session;
    std::optional<Turn> turn;
};

/// Whoever has been told something by a server may have been told of what is there now.
inline void Session::saw_present() noexcept {
    const auto& stream = identity_->context.database->stream();
    if (stream.on() || stream.by_notice()) last_seen_ = base::monotonic_now();
}

/// A session that waits for what another one fetches, or was woken.
struct Session::Place final : cache::FlightPlace {
    Place(Environment& e, Session* s) noexcept : environment(e), session(s) {}
    void wake(std::shared_ptr<FlightPlace> self) noexcept override {
        environment.post_task([self = std::move(self)] {
            auto& place = static_cast<Place&>(*self);
            if (place.session != nullptr) place.session->on_flight_ended();
        });
    }
    Environment& environment;
    Session* session;  // the session's thread only; null: it has left, or does not wait
    base::Nanos until = 0;
    cache::Flights* flights = nullptr;  // where it waits, also once the cache is switched off
};

/// What is to be stored when the answers to the unit at the front of the input have come.
struct Session::PendingFills {
    struct Item {
        unsigned at = 0;  // which Bind or Describe of a statement of the batch, from 0
        std::string key;
        base::Hash128 hash, shape;
        MemoPtr memo;
        cache::EntryPtr verify = {};  // the hit that is to be compared with the server's answer
        cache::Lead lead = {};        // others wait for it
        std::vector<cache::Dependency> rows = {};  // of which it is made; empty: memo->depends
        bool description = false;                  // what Describe of the statement says
    };
    std::vector<Item> items;
    unsigned next = 0;       // Bind or Describe
    std::size_t begun = 0;   // items whose fill is in the exchange, in order
    bool begins = false;     // the batch begins the transaction it reads in
    bool describes = false;  // there is a description among them
    bool captured = false;   // the fills are in the exchange
};

}  // namespace pgweir::session
