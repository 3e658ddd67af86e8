// Which client stands behind a server process that has sent a notification: so that whoever hears
// it is told the number that client knows itself by. Shared by the workers of a pool; asked when
// notifications come, written when a text says NOTIFY while somebody listens. Thread: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "pgweir/base/clock.hpp"

namespace pgweir::pool {

class SenderNames {
  public:
    /// Connections that listen for many; while there is none nothing is kept.
    std::atomic<unsigned> listeners{0};

    /// The client told `number` is about to notify through process `pid`.
    void name(std::uint32_t pid, std::uint32_t number);
    /// Another client has the connection now. What the one before sent may still be on its way.
    void leave(std::uint32_t pid, base::Nanos now);
    /// 0: not known.
    std::uint32_t find(std::uint32_t pid, base::Nanos now) const;

  private:
    struct Name {
        std::uint32_t number = 0;
        base::Nanos until = 0;  // 0: for as long as it has the connection
    };
    mutable std::mutex mutex_;
    std::unordered_map<std::uint32_t, Name> names_;
};

}  // namespace pgweir::pool
