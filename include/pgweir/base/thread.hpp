// Threads that no signal of the process is delivered to: those are for the thread that waits for
// them, and would interrupt what others wait for.
#pragma once

#include <csignal>
#include <thread>
#include <utility>

namespace pgweir::base {

/// Errors: as std::thread's constructor.
template <class F>
std::thread thread_without_signals(F&& work) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // a new thread inherits it
    std::thread thread(std::forward<F>(work));
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace pgweir::base
