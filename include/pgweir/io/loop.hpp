// One event loop per worker thread. Readiness of traffic sockets is taken from an epoll instance of
// the loop's own, because that needs one system call to add a socket and none to forget it, and no
// handle of 160 bytes for each; libuv's loop is embedded in it (its backend descriptor is one more
// thing that can be ready) and does timers, cross-thread wake-ups, DNS and signals.
// Thread: everything but post() and stop() belongs to the thread that runs the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "pgweir/base/clock.hpp"

struct uv_loop_s;
struct uv_async_s;

namespace pgweir::io {

/// Told when a watched descriptor can be read or written. A hang-up or error counts as readable:
/// the read then says what happened.
class Watcher {
  public:
    virtual void on_ready(bool readable, bool writable) noexcept = 0;

  protected:
    ~Watcher() = default;
};

/// The registration of one descriptor. Freed at the end of the loop's turn, so an event that was
/// already taken from the kernel for it finds no watcher rather than freed memory.
struct Watch {
    Watcher* watcher = nullptr;
    std::uint32_t events = 0;
};

/// Destroyed at the end of the turn in which it was buried, when no call of its own is on the
/// stack.
class Buried {
  public:
    virtual ~Buried() = default;
};

class Loop {
  public:
    Loop();
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    void run();
    void stop() noexcept;                   // any thread
    void post(std::function<void()> task);  // any thread; runs on the loop's thread, in order

    /// Monotonic time, read once for each batch of events.
    base::Nanos now() const noexcept { return now_; }
    /// Where now() is read from, for those who ask often.
    const base::Nanos* clock() const noexcept { return &now_; }
    /// Shared by all connections of the loop: nothing stays in it between two events.
    std::span<char> scratch() noexcept { return {scratch_.get(), kScratchSize}; }
    static constexpr std::size_t kScratchSize = std::size_t{64} * 1024;

    Watch* watch(int fd, Watcher* watcher, bool readable, bool writable);
    void rewatch(int fd, Watch* watch, bool readable, bool writable) noexcept;
    /// Forgets the watch. With `keep_open`, the descriptor leaves the epoll set too (it will live
    /// on elsewhere); otherwise the caller closes it, which does the same.
    void unwatch(int fd, Watch* watch, bool keep_open) noexcept;

    /// Runs `task` at the end of the turn, when no call of a connection's is on the stack. For what
    /// hands something over to another thread.
    void at_end_of_turn(std::function<void()> task) { deferred_.push_back(std::move(task)); }
    void bury(std::unique_ptr<Buried> dead) { graveyard_.push_back(std::move(dead)); }

    uv_loop_s* uv() noexcept { return uv_.get(); }
    /// libuv is asked for its next timer only now and then; a new one may be due earlier.
    void timers_changed() noexcept { timer_due_ = 0; }

  private:
    struct FreeLoop {
        void operator()(uv_loop_s* loop) const noexcept;
    };

    int wait_timeout_ms() noexcept;
    void dispatch(int count) noexcept;
    void run_tasks() noexcept;
    void end_turn() noexcept;

    std::unique_ptr<uv_loop_s, FreeLoop> uv_;
    std::unique_ptr<uv_async_s> wake_;
    int epoll_ = -1;
    bool stopping_ = false;
    bool uv_ready_ = false;
    base::Nanos now_ = 0;
    base::Nanos timer_due_ = 0;  // until then libuv needs no look
    std::unique_ptr<char[]> scratch_;
    std::vector<Watch*> retired_;
    std::vector<std::function<void()>> deferred_;
    std::vector<std::unique_ptr<Buried>> graveyard_;
    std::mutex tasks_mutex_;
    std::vector<std::function<void()>> tasks_;
};

/// Calls back every `period` until destroyed. Coarse: milliseconds.
class Ticker {
  public:
    Ticker(Loop& loop, base::Nanos period, std::function<void()> tick);
    ~Ticker();
    Ticker(const Ticker&) = delete;
    Ticker& operator=(const Ticker&) = delete;

  private:
    struct State;
    State* state_;  // freed in libuv's close callback
};

}  // namespace pgweir::io
