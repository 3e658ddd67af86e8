// See resolver.hpp.
#include "pgweir/io/resolver.hpp"

#include <netdb.h>
#include <uv.h>

#include <cstring>
#include <memory>

namespace pgweir::io {

namespace {

struct Request {
    uv_getaddrinfo_t uv{};
    ResolveCallback callback;
    std::string host;
};

void on_resolved(uv_getaddrinfo_t* uv, int status, addrinfo* list) {
    const std::unique_ptr<Request> request(static_cast<Request*>(uv->data));
    if (status != 0) {
        request->callback(base::Error{"could not translate host name \"" + request->host +
                                      "\" to address: " + uv_strerror(status)});
        return;
    }
    std::vector<Address> found;
    for (const addrinfo* a = list; a != nullptr; a = a->ai_next) {
        if (a->ai_addrlen > sizeof(sockaddr_storage)) continue;
        Address address;
        std::memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
        address.size = a->ai_addrlen;
        found.push_back(address);
    }
    uv_freeaddrinfo(list);
    request->callback(std::move(found));
}

}  // namespace

void resolve(Loop& loop, const std::string& host, std::uint16_t port, ResolveCallback callback) {
    auto numeric = host.starts_with('/') ? unix_address(host, port) : numeric_address(host, port);
    if (numeric || host.starts_with('/')) {
        if (numeric)
            callback(std::vector<Address>{*numeric});
        else
            callback(base::Error{numeric.error()});
        return;
    }
    auto request = std::make_unique<Request>();
    request->uv.data = request.get();
    request->callback = std::move(callback);
    request->host = host;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    const auto service = std::to_string(port);
    auto* raw = request.release();
    const int rc =
        uv_getaddrinfo(loop.uv(), &raw->uv, on_resolved, host.c_str(), service.c_str(), &hints);
    if (rc != 0) on_resolved(&raw->uv, rc, nullptr);
}

}  // namespace pgweir::io
