// Host names to addresses, off the loop's thread (libuv's thread pool runs getaddrinfo, so nsswitch
// and /etc/hosts are honoured). Numeric addresses and Unix directories never leave the thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pgweir/base/result.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/loop.hpp"

namespace pgweir::io {

using ResolveCallback = std::function<void(base::Result<std::vector<Address>>)>;

/// `host` starting with '/' is a Unix socket directory. The callback runs on the loop's thread,
/// maybe before this returns; it must itself check that its owner is still there.
void resolve(Loop& loop, const std::string& host, std::uint16_t port, ResolveCallback callback);

}  // namespace pgweir::io
