// Work that takes too long for a loop's thread, or blocks: run by libuv's pool, its end told on the
// loop. Thread: run_off_loop() and `done` the loop's; `work` one of the pool's.
#pragma once

#include <functional>
#include <string>

#include "pgweir/io/loop.hpp"

namespace pgweir::io {

/// `done` must itself check that its owner is still there. When the pool takes nothing more, both
/// are called before this returns.
void run_off_loop(Loop& loop, std::function<void()> work, std::function<void()> done);

/// The system's name of a user; empty: there is none. May ask a directory service: not for loops.
std::string system_user_name(unsigned uid);

}  // namespace pgweir::io
