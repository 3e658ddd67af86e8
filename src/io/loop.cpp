// See loop.hpp. The embedding follows libuv's guide: wait on its backend descriptor with its own
// timeout, then run it once without waiting.
#include "pgweir/io/loop.hpp"

#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <stdexcept>
#include <utility>

namespace pgweir::io {

namespace {
constexpr int kEventsPerTurn = 256;

std::uint32_t mask(bool readable, bool writable) noexcept {
    return (readable ? EPOLLIN | EPOLLRDHUP : 0u) | (writable ? EPOLLOUT : 0u);
}
}  // namespace

void Loop::FreeLoop::operator()(uv_loop_s* loop) const noexcept {
    uv_walk(
        loop,
        [](uv_handle_t* h, void*) {
            if (!uv_is_closing(h)) uv_close(h, nullptr);
        },
        nullptr);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    delete loop;
}

Loop::Loop() : scratch_(new char[kScratchSize]) {
    auto* raw = new uv_loop_t;
    if (uv_loop_init(raw) != 0) {
        delete raw;
        throw std::runtime_error("cannot make an event loop");
    }
    uv_.reset(raw);
    wake_ = std::make_unique<uv_async_s>();
    wake_->data = this;
    uv_async_init(raw, wake_.get(),
                  [](uv_async_t* a) { static_cast<Loop*>(a->data)->run_tasks(); });
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) throw std::runtime_error("cannot make an epoll instance");
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.ptr = nullptr;  // libuv
    epoll_ctl(epoll_, EPOLL_CTL_ADD, uv_backend_fd(raw), &e);
    now_ = base::monotonic_now();
}

Loop::~Loop() {
    deferred_.clear();
    graveyard_.clear();
    uv_.reset();
    end_turn();
    if (epoll_ >= 0) close(epoll_);
}

int Loop::wait_timeout_ms() noexcept {
    uv_update_time(uv_.get());
    return uv_backend_timeout(uv_.get());
}

void Loop::run() {
    epoll_event events[kEventsPerTurn];
    uv_run(uv_.get(), UV_RUN_NOWAIT);
    while (!stopping_) {
        int timeout = -1;
        if (timer_due_ <= now_) {  // asked again only when the last answer has run out
            timeout = wait_timeout_ms();
            timer_due_ =
                now_ + (timeout < 0 ? 3600 : 0) * base::kSecond + timeout * base::kMillisecond;
        } else {
            timeout = static_cast<int>((timer_due_ - now_) / base::kMillisecond) + 1;
        }
        const int n = epoll_wait(epoll_, events, kEventsPerTurn, timeout);
        now_ = base::monotonic_now();
        uv_ready_ = false;
        for (int i = 0; i < n; ++i) {
            auto* w = static_cast<Watch*>(events[i].data.ptr);
            if (w == nullptr) {
                uv_ready_ = true;
                continue;
            }
            const auto e = events[i].events;
            const bool readable = (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
            const bool writable = (e & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
            if (w->watcher != nullptr) w->watcher->on_ready(readable, writable);
        }
        if (uv_ready_ || timer_due_ <= now_) {
            uv_run(uv_.get(), UV_RUN_NOWAIT);
            timer_due_ = 0;
        }
        end_turn();
    }
}

void Loop::stop() noexcept {
    post([this] { stopping_ = true; });
}

void Loop::post(std::function<void()> task) {
    {
        const std::scoped_lock lock(tasks_mutex_);
        tasks_.push_back(std::move(task));
    }
    uv_async_send(wake_.get());
}

void Loop::run_tasks() noexcept {
    std::vector<std::function<void()>> tasks;
    {
        const std::scoped_lock lock(tasks_mutex_);
        tasks.swap(tasks_);
    }
    for (auto& t : tasks) t();
}

void Loop::end_turn() noexcept {
    while (!deferred_.empty() || !graveyard_.empty()) {  // who is buried may leave tasks, too
        if (deferred_.empty()) {
            const auto dead = std::exchange(graveyard_, {});
            continue;
        }
        for (const auto& t : std::exchange(deferred_, {})) t();
    }
    for (auto* w : retired_) delete w;
    retired_.clear();
}

Watch* Loop::watch(int fd, Watcher* watcher, bool readable, bool writable) {
    auto w = std::make_unique<Watch>();
    w->watcher = watcher;
    w->events = mask(readable, writable);
    epoll_event e{};
    e.events = w->events;
    e.data.ptr = w.get();
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) != 0) return nullptr;
    return w.release();
}

void Loop::rewatch(int fd, Watch* watch, bool readable, bool writable) noexcept {
    const auto events = mask(readable, writable);
    if (events == watch->events) return;
    watch->events = events;
    epoll_event e{};
    e.events = events;
    e.data.ptr = watch;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &e);
}

void Loop::unwatch(int fd, Watch* watch, bool keep_open) noexcept {
    if (keep_open) epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
    watch->watcher = nullptr;
    retired_.push_back(watch);
}

struct Ticker::State {
    uv_timer_t timer{};
    std::function<void()> tick;
};

Ticker::Ticker(Loop& loop, base::Nanos period, std::function<void()> tick) : state_(new State) {
    loop.timers_changed();
    state_->tick = std::move(tick);
    state_->timer.data = state_;
    const auto ms = static_cast<std::uint64_t>(period / base::kMillisecond);
    uv_timer_init(loop.uv(), &state_->timer);
    uv_timer_start(
        &state_->timer, [](uv_timer_t* t) { static_cast<State*>(t->data)->tick(); }, ms, ms);
}

Ticker::~Ticker() {
    uv_timer_stop(&state_->timer);
    uv_close(reinterpret_cast<uv_handle_t*>(&state_->timer),
             [](uv_handle_t* h) { delete static_cast<State*>(h->data); });
}

}  // namespace pgweir::io
