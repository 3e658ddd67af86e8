// Sends a CancelRequest to a server (manual, "Canceling Requests in Progress"): a connection of its
// own, sixteen bytes or more, and then the server closes it. Over TLS where the connection to be
// cancelled is: the key is a secret, and whoever answers has to show the same certificate; there is
// no falling back. `done` is called once the server has closed it, or after ten seconds, or when it
// could not be made, but never before send_cancel has returned: until then the signal may still hit
// whatever the connection runs, so the pool must not lease it to another session. Thread: the
// loop's. Owns itself until it is done.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "pgweir/auth/server_login.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/loop.hpp"
#include "pgweir/io/tls.hpp"

namespace pgweir::pool {

struct CancelTarget {
    io::Address address;
    std::shared_ptr<io::TlsContext> tls;  // null: in clear
    std::string host;                     // to be found in the certificate
    bool direct_tls = false;              // TLS from the first byte on
};

void send_cancel(io::Loop& loop, CancelTarget server, const auth::ServerLogin& login,
                 std::function<void()> done);

}  // namespace pgweir::pool
