// What tells a database's StreamState of changes, as a machine of the streams' thread: a logical
// change stream (stream_link.hpp), or notices of triggers (notice_link.hpp). Invariant: none of
// these functions waits.
#pragma once

#include <poll.h>

#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/control/connection.hpp"

namespace pgweir::control {

class ChangeSource {
  public:
    virtual ~ChangeSource() = default;
    /// Does what is due at `now`.
    virtual void step(base::Nanos now) = 0;
    /// When step() is to be called again at the latest, with no event on what is polled.
    virtual base::Nanos due() const noexcept = 0;
    virtual void add_polls(std::vector<pollfd>& to) const = 0;
    virtual const Target& target() const noexcept = 0;
    virtual bool has_slot() const noexcept = 0;
};

}  // namespace pgweir::control
