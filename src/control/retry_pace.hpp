// When to try again what was lost: at once if it had worked for a while, else after a time that
// doubles. So whatever fails as soon as it works is not tried without a pause. Thread: one.
#pragma once

#include <algorithm>
#include <utility>

#include "pgweir/base/clock.hpp"

namespace pgweir::control {

class RetryPace {
  public:
    void works(base::Nanos now) noexcept {
        if (works_since_ == 0) works_since_ = now;
    }
    /// It is lost at `now`: the moment of the next try. `first`, which doubles up to `last`, is
    /// also how long it must have worked to be tried at once.
    base::Nanos lost(base::Nanos now, base::Nanos first, base::Nanos last) noexcept {
        if (works_since_ != 0) {
            delay_ = 0;
            return std::max(now, std::exchange(works_since_, 0) + first);
        }
        delay_ = std::clamp(delay_ * 2, first, last);
        return now + delay_;
    }

  private:
    base::Nanos works_since_ = 0;  // 0: it does not
    base::Nanos delay_ = 0;        // before the last try
};

}  // namespace pgweir::control
