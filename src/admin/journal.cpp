// See journal.hpp.
#include "journal.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace pgweir::admin {

/// The form with a length, as values may have lines.
void append_journal_field(std::string& datagram, std::string_view name, std::string_view value) {
    datagram.append(name).push_back('\n');
    auto size = value.size();
    for (int i = 0; i < 8; ++i, size >>= 8) datagram.push_back(static_cast<char>(size & 0xff));
    datagram.append(value).push_back('\n');
}

Journal::~Journal() {
    if (fd_ >= 0) close(fd_);
}

bool Journal::fail(int error) {
    problem_ = path_ + ": cannot be written: " + std::generic_category().message(error);
    retry_at_ = base::monotonic_now() + base::kSecond;
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
    return false;
}

bool Journal::open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG);
    std::memcpy(address.sun_path, path_.data(), path_.size());
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd_ < 0) return fail(errno);
    if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return fail(errno);
    const int size = 1 << 20;  // for long statements
    setsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return true;
}

bool Journal::write(std::string_view datagram) {
    if (base::monotonic_now() < retry_at_) return false;
    if (fd_ < 0 && !open()) return false;
    if (send(fd_, datagram.data(), datagram.size(), MSG_NOSIGNAL) < 0) return fail(errno);
    problem_.clear();
    return true;
}

}  // namespace pgweir::admin
