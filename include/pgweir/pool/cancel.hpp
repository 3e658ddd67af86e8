// Sends a CancelRequest to a server (manual, "Canceling Requests in Progress"): a connection of its
// own, sixteen bytes or more, and then the server closes it. `done` is called once the server has
// closed it, or after ten seconds, or when it could not be made: until then the signal may still
// hit whatever the connection runs, so the pool must not lease it to another session. Thread: the
// loop's. Owns itself until it is done.
#pragma once

#include <functional>

#include "pgweir/auth/server_login.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/loop.hpp"

namespace pgweir::pool {

void send_cancel(io::Loop& loop, const io::Address& server, const auth::ServerLogin& login,
                 std::function<void()> done);

}  // namespace pgweir::pool
