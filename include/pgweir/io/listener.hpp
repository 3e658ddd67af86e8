// A listening socket. Accepts until the queue is empty or a bound is reached, so one turn of the
// loop is never all accepting. When descriptors run out it keeps one in reserve to refuse politely
// instead of spinning on an event it cannot serve. Thread: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pgweir/base/result.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/loop.hpp"

namespace pgweir::io {

class Listener final : private Watcher {
  public:
    /// Called with a non-blocking descriptor that the callee now owns.
    using OnAccept = std::function<void(int fd, const Address& peer)>;

    /// With `shared`, several listeners bind the same address and the kernel spreads connections.
    static base::Result<std::unique_ptr<Listener>> open(Loop& loop, const Address& at, bool shared,
                                                        OnAccept on_accept);
    /// Somebody listens there. With SO_REUSEPORT a second process of the same user would share the
    /// port without a word.
    static bool is_taken(const Address& at) noexcept;
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    std::uint16_t port() const noexcept { return local_address(fd_).port(); }
    /// Closes the descriptor kept for refusing those that come when there is no other.
    void give_up_reserve() noexcept;

  private:
    Listener(Loop& loop, int fd, OnAccept on_accept);
    void on_ready(bool readable, bool writable) noexcept override;
    bool refuse_one() noexcept;
    void pause();

    Loop& loop_;
    int fd_;
    int reserve_fd_;
    Watch* watch_ = nullptr;
    std::unique_ptr<Ticker> retry_;  // while no descriptor is to be had
    OnAccept on_accept_;
    std::string path_;  // of a Unix socket: removed with the listener
};

}  // namespace pgweir::io
