// One stream socket, TCP or Unix, in clear or with TLS, registered with a loop. Writes go out at
// once; what the kernel does not take is copied to a queue the socket owns, so nobody's bytes have
// to stay alive, and the writable event is watched only while the queue is not empty.
// Thread: the loop's. Ownership: owns the descriptor, the queue and the TLS state.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "pgweir/base/result.hpp"
#include "pgweir/io/address.hpp"
#include "pgweir/io/loop.hpp"

namespace pgweir::io {

class TlsStream;

enum class IoState : std::uint8_t { ok, blocked, closed, failed };

struct IoResult {
    IoState state = IoState::ok;
    std::size_t bytes = 0;
};

class Socket {
  public:
    Socket() noexcept;
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// Takes over `fd`, which must be non-blocking. False when the loop refuses it; it is closed
    /// then.
    bool open(Loop& loop, int fd, Watcher* watcher, bool readable, bool writable);
    bool is_open() const noexcept { return fd_ >= 0; }
    bool is_watched() const noexcept { return watch_ != nullptr; }
    int fd() const noexcept { return fd_; }

    /// One read. With TLS, call again while may_have_more().
    IoResult read(std::span<char> into) noexcept;
    bool may_have_more() const noexcept;

    /// Sends all of `parts`, or queues what does not fit. False: the connection is broken.
    bool send(std::span<const iovec> parts);
    bool send(std::string_view bytes);
    /// To be called when the socket is writable. False: the connection is broken.
    bool flush();
    std::size_t queued() const noexcept { return queue_ == nullptr ? 0 : queue_->size() - sent_; }

    void set_reading(bool on) noexcept;
    bool reading() const noexcept { return reading_; }
    /// Whether to be told of writability, beside what the queue needs: connecting, TLS handshakes.
    void want_write(bool on) noexcept;

    /// Moves to another loop: forget() on the old thread, then resume() on the new one.
    void forget() noexcept;
    bool resume(Loop& loop, Watcher* watcher);

    void start_tls(std::unique_ptr<TlsStream> tls) noexcept;
    TlsStream* tls() noexcept { return tls_.get(); }
    bool encrypted() const noexcept { return tls_ != nullptr; }

    void close() noexcept;
    /// Closes so that the peer sees a reset, not an orderly end.
    void abort() noexcept;

  private:
    IoResult write(std::span<const iovec> parts) noexcept;
    IoResult write_tls(std::span<const iovec> parts) noexcept;
    void enqueue(std::span<const iovec> parts, std::size_t skip);
    void rewatch() noexcept;

    Loop* loop_ = nullptr;
    Watch* watch_ = nullptr;
    std::unique_ptr<std::string> queue_;
    std::size_t sent_ = 0;  // bytes of queue_ already gone
    std::unique_ptr<TlsStream> tls_;
    int fd_ = -1;
    bool reading_ = true;
    bool want_write_ = false;
};

/// A non-blocking connect. The descriptor becomes writable when it has ended; then connect_error().
base::Result<int> start_connect(const Address& to);
/// The bytes that wait in the descriptor, left there; at most `into`'s size.
IoResult peek(int fd, std::span<char> into) noexcept;
/// The user at the other end of a Unix socket; nothing: the system does not say.
std::optional<unsigned> peer_user(int fd) noexcept;
/// 0, or the errno with which the connect ended.
int connect_error(int fd) noexcept;
/// TCP_NODELAY, keepalive and TCP_USER_TIMEOUT (milliseconds, 0: the system's own) where they
/// apply.
void tune_socket(int fd, unsigned user_timeout_ms) noexcept;

}  // namespace pgweir::io
