// A session's channels that a hub listens to in its place. Made when the session first hands some
// over, and gone when it has none. Thread: the worker's.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/session/session.hpp"

namespace pgweir::session {

struct Session::Listening final : ChannelUser {
    /// Where the hand-over of channels is that the session's own server listens to.
    enum class Step : std::uint8_t {
        none,
        joining,   // the hub begins to listen
        marking,   // the own server is to bring the mark
        marked,    // it has: what it brings behind that comes from the hub, too
        unlistens  // it ceases to listen
    };

    explicit Listening(Session& s) noexcept : session(s) {}
    ~Listening() {
        if (hub) hub->leave(*this);
    }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;

    // Each may destroy this.
    void on_notification(std::string_view m) noexcept override { session.on_notification(m); }
    void on_joined(bool ok) noexcept override { session.on_joined(ok); }
    void on_caught_up() noexcept override { session.on_caught_up(); }
    void on_channels_lost(std::string_view why) noexcept override { session.on_channels_lost(why); }

    std::uint32_t number() const noexcept override { return session.own_pid; }

    static bool has(const std::vector<std::string>& names, std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    }

    Session& session;
    std::shared_ptr<ChannelHub> hub;
    std::vector<std::string> channels;  // the hub's
    std::vector<std::string> joining;   // on their way to it
    std::string mark;                   // what the session's own mark says
    std::string waiting;                // notifications, until the client may be told
    std::vector<std::string> leaving;   // by UNLISTEN, once it is committed; empty name: all
    Step step = Step::none;
    bool failed = false;      // what the own server was asked last
    bool owes_ready = false;  // the client's ReadyForQuery waits for notifications before it
};

}  // namespace pgweir::session
