// See listener.hpp.
#include "pgweir/io/listener.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pgweir/io/socket.hpp"

namespace pgweir::io {

namespace {
constexpr int kBacklog = 1024;
constexpr base::Nanos kRetry = 100 * base::kMillisecond;

bool is_stale_unix_socket(const Address& at) noexcept {
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const int rc = connect(probe, reinterpret_cast<const sockaddr*>(&at.storage), at.size);
    const bool stale = rc != 0 && errno == ECONNREFUSED;
    ::close(probe);
    return stale;
}

const char* unix_path(const Address& at) noexcept {
    return reinterpret_cast<const sockaddr_un*>(&at.storage)->sun_path;
}
}  // namespace

bool Listener::is_taken(const Address& at) noexcept {
    const int probe = socket(at.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int rc = bind(probe, reinterpret_cast<const sockaddr*>(&at.storage), at.size);
    const bool taken = rc != 0 && errno == EADDRINUSE;
    ::close(probe);
    return taken;
}

Listener::Listener(Loop& loop, int fd, OnAccept on_accept)
    : loop_(loop),
      fd_(fd),
      reserve_fd_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      on_accept_(std::move(on_accept)) {}

base::Result<std::unique_ptr<Listener>> Listener::open(Loop& loop, const Address& at, bool shared,
                                                       OnAccept on_accept) {
    const int fd = socket(at.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return base::Error{std::string("socket: ") + std::strerror(errno)};
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (shared) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    tune_socket(fd, 0);  // who is accepted inherits it (Linux, tcp(7))
    if (at.is_unix() && is_stale_unix_socket(at)) unlink(unix_path(at));
    const auto failed = [fd](const char* what) {
        const std::string why = std::string(what) + ": " + std::strerror(errno);
        ::close(fd);
        return base::Error{why};
    };
    if (bind(fd, reinterpret_cast<const sockaddr*>(&at.storage), at.size) != 0)
        return failed("bind");
    if (at.is_unix())
        chmod(unix_path(at), 0777);  // as PostgreSQL's default unix_socket_permissions
    if (listen(fd, kBacklog) != 0) return failed("listen");
    std::unique_ptr<Listener> l(new Listener(loop, fd, std::move(on_accept)));
    if (at.is_unix()) l->path_ = unix_path(at);
    l->watch_ = loop.watch(fd, l.get(), true, false);
    if (l->watch_ == nullptr) return base::Error{"cannot watch the listening socket"};
    return l;
}

Listener::~Listener() {
    if (watch_ != nullptr) loop_.unwatch(fd_, watch_, false);
    ::close(fd_);
    if (reserve_fd_ >= 0) ::close(reserve_fd_);
    if (!path_.empty()) unlink(path_.c_str());
}

void Listener::give_up_reserve() noexcept {
    if (reserve_fd_ >= 0) ::close(reserve_fd_);
    reserve_fd_ = -1;
}

/// False when not even that was possible: another thread has taken the reserve's place.
bool Listener::refuse_one() noexcept {
    give_up_reserve();
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    const bool none = fd < 0 && (errno == EMFILE || errno == ENFILE);
    if (fd >= 0) ::close(fd);
    reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    return !none;
}

/// The socket stays readable while nobody can be accepted; looking again at once would spin.
void Listener::pause() {
    loop_.rewatch(fd_, watch_, false, false);
    retry_ = std::make_unique<Ticker>(loop_, kRetry, [this] {
        if (reserve_fd_ < 0) reserve_fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (reserve_fd_ < 0) return;
        loop_.rewatch(fd_, watch_, true, false);
        retry_.reset();
    });
}

/// One for each event: the socket stays readable while more wait, and nearly always none does, so a
/// second try would be a system call for nothing.
void Listener::on_ready(bool, bool) noexcept {
    Address peer;
    peer.size = sizeof peer.storage;
    const int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        on_accept_(fd, peer);
    else if ((errno == EMFILE || errno == ENFILE) && !refuse_one())
        pause();
}

}  // namespace pgweir::io
