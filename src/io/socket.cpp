// See socket.hpp.
#include "pgweir/io/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "pgweir/io/tls.hpp"

namespace pgweir::io {

namespace {
constexpr int kMaxParts = 64;

// The C library's own wrappers are cancellation points, which in a program with threads costs more
// instructions than the rest of a small relay's turn. Nobody cancels threads here.
ssize_t plain_recv(int fd, char* into, std::size_t size) noexcept {
    return syscall(SYS_recvfrom, fd, into, size, 0, nullptr, nullptr);
}
ssize_t plain_send(int fd, const void* bytes, std::size_t size) noexcept {
    return syscall(SYS_sendto, fd, bytes, size, MSG_NOSIGNAL, nullptr, 0);
}
ssize_t plain_sendmsg(int fd, const msghdr& message) noexcept {
    return syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

IoResult from_errno() noexcept {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {IoState::blocked, 0};
    return {IoState::failed, 0};
}

/// Of what TLS has taken off the descriptor already the kernel tells nobody. When the turn ends,
/// the watch is still there, but perhaps watches for other things, or for nobody.
void tell_of_rest(Loop& loop, const Watch* watch) {
    loop.at_end_of_turn([watch] {
        if (watch->watcher != nullptr && (watch->events & EPOLLIN) != 0)
            watch->watcher->on_ready(true, false);
    });
}
}  // namespace

Socket::Socket() noexcept = default;
Socket::~Socket() { close(); }

bool Socket::open(Loop& loop, int fd, Watcher* watcher, bool readable, bool writable) {
    fd_ = fd;
    loop_ = &loop;
    reading_ = readable;
    want_write_ = writable;
    watch_ = loop.watch(fd, watcher, readable, writable);
    if (watch_ == nullptr) {
        ::close(fd);
        fd_ = -1;
        return false;
    }
    return true;
}

IoResult Socket::read(std::span<char> into) noexcept {
    if (tls_ != nullptr) {
        const auto r = tls_->read(into.data(), into.size());
        switch (r.status) {
            case TlsStatus::done: return {IoState::ok, r.bytes};
            case TlsStatus::want_read: return {IoState::blocked, 0};
            case TlsStatus::want_write:
                want_write_ = true;
                rewatch();
                return {IoState::blocked, 0};
            case TlsStatus::closed: return {IoState::closed, 0};
            case TlsStatus::failed: return {IoState::failed, 0};
        }
    }
    const auto n = plain_recv(fd_, into.data(), into.size());
    if (n > 0) return {IoState::ok, static_cast<std::size_t>(n)};
    if (n == 0) return {IoState::closed, 0};
    return from_errno();
}

bool Socket::may_have_more() const noexcept { return tls_ != nullptr && tls_->pending() > 0; }

IoResult Socket::write_tls(std::span<const iovec> parts) noexcept {
    std::size_t total = 0;
    for (const auto& p : parts) {
        std::size_t done = 0;
        while (done < p.iov_len) {
            const auto r =
                tls_->write(static_cast<const char*>(p.iov_base) + done, p.iov_len - done);
            if (r.status == TlsStatus::done) {
                done += r.bytes;
                total += r.bytes;
                continue;
            }
            const bool blocked =
                r.status == TlsStatus::want_read || r.status == TlsStatus::want_write;
            return {blocked ? IoState::blocked : IoState::failed, total};
        }
    }
    return {IoState::ok, total};
}

IoResult Socket::write(std::span<const iovec> parts) noexcept {
    if (tls_ != nullptr) return write_tls(parts);
    if (parts.size() == 1) {  // send() is the cheaper call
        const auto n = plain_send(fd_, parts[0].iov_base, parts[0].iov_len);
        return n >= 0 ? IoResult{IoState::ok, static_cast<std::size_t>(n)} : from_errno();
    }
    msghdr m{};
    m.msg_iov = const_cast<iovec*>(parts.data());
    m.msg_iovlen = std::min<std::size_t>(parts.size(), kMaxParts);
    const auto n = plain_sendmsg(fd_, m);
    return n >= 0 ? IoResult{IoState::ok, static_cast<std::size_t>(n)} : from_errno();
}

void Socket::enqueue(std::span<const iovec> parts, std::size_t skip) {
    if (queue_ == nullptr) queue_ = std::make_unique<std::string>();
    for (const auto& p : parts) {
        const auto drop = std::min(skip, p.iov_len);
        skip -= drop;
        queue_->append(static_cast<const char*>(p.iov_base) + drop, p.iov_len - drop);
    }
}

bool Socket::send(std::span<const iovec> parts) {
    if (fd_ < 0) return false;
    if (queue_ != nullptr) {
        enqueue(parts, 0);
        return true;
    }
    if (parts.size() == 1 && tls_ == nullptr) {  // nearly always, and then nearly always whole
        const auto n = plain_send(fd_, parts[0].iov_base, parts[0].iov_len);
        if (n == static_cast<ssize_t>(parts[0].iov_len)) return true;
        if (n < 0 && from_errno().state == IoState::failed) return false;
        enqueue(parts, n < 0 ? 0 : static_cast<std::size_t>(n));
        want_write_ = true;
        rewatch();
        return true;
    }
    std::size_t total = 0;
    for (const auto& p : parts) total += p.iov_len;
    if (total == 0) return true;
    const auto r = write(parts);
    if (r.state == IoState::failed) return false;
    if (r.bytes == total) return true;
    enqueue(parts, r.bytes);
    want_write_ = true;
    rewatch();
    return true;
}

bool Socket::send(std::string_view bytes) {
    const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    return send({&part, 1});
}

bool Socket::flush() {
    if (fd_ < 0) return false;
    while (queue_ != nullptr) {
        const iovec part{queue_->data() + sent_, queue_->size() - sent_};
        const auto r = write({&part, 1});
        if (r.state == IoState::failed) return false;
        sent_ += r.bytes;
        if (sent_ == queue_->size()) {
            queue_.reset();
            sent_ = 0;
        } else if (r.state == IoState::blocked || r.bytes == 0) {
            return true;
        }
    }
    want_write_ = false;
    rewatch();
    return true;
}

void Socket::rewatch() noexcept {
    if (watch_ != nullptr) loop_->rewatch(fd_, watch_, reading_, want_write_);
}

void Socket::set_reading(bool on) noexcept {
    if (reading_ == on) return;
    reading_ = on;
    rewatch();
    if (on && watch_ != nullptr && may_have_more()) tell_of_rest(*loop_, watch_);
}

void Socket::want_write(bool on) noexcept {
    if (want_write_ == on || queue_ != nullptr) return;
    want_write_ = on;
    rewatch();
}

void Socket::forget() noexcept {
    if (watch_ == nullptr) return;
    loop_->unwatch(fd_, watch_, true);
    watch_ = nullptr;
    loop_ = nullptr;
}

bool Socket::resume(Loop& loop, Watcher* watcher) {
    loop_ = &loop;
    watch_ = loop.watch(fd_, watcher, reading_, want_write_);
    if (watch_ == nullptr) return false;
    if (reading_ && may_have_more()) tell_of_rest(loop, watch_);
    return true;
}

void Socket::start_tls(std::unique_ptr<TlsStream> tls) noexcept { tls_ = std::move(tls); }

void Socket::close() noexcept {
    if (fd_ < 0) return;
    if (tls_ != nullptr) tls_->shutdown();
    tls_.reset();
    if (watch_ != nullptr) loop_->unwatch(fd_, watch_, false);
    watch_ = nullptr;
    ::close(fd_);
    fd_ = -1;
    queue_.reset();
    sent_ = 0;
}

void Socket::abort() noexcept {
    if (fd_ < 0) return;
    const linger reset{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close();
}

base::Result<int> start_connect(const Address& to) {
    const int fd = socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return base::Error{std::string("socket: ") + std::strerror(errno)};
    const int rc = connect(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.size);
    if (rc == 0 || errno == EINPROGRESS) return fd;
    const std::string why = std::strerror(errno);
    ::close(fd);
    return base::Error{why};
}

IoResult peek(int fd, std::span<char> into) noexcept {
    const auto n = ::recv(fd, into.data(), into.size(), MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return {IoState::ok, static_cast<std::size_t>(n)};
    return n == 0 ? IoResult{IoState::closed, 0} : from_errno();
}

std::optional<unsigned> peer_user(int fd) noexcept {
    ucred who{};
    socklen_t size = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || size != sizeof who)
        return std::nullopt;
    return who.uid;
}

int connect_error(int fd) noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
}

void tune_socket(int fd, unsigned user_timeout_ms) noexcept {
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) return;  // a Unix socket
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (user_timeout_ms > 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

}  // namespace pgweir::io
