// What the bench programs share: byte order, message building, sockets, limits, numbers from the
// command line. Errors end the program: a bench that cannot open a socket has nothing to measure.
// Header only and without the project's own code, so that it measures that code from outside.
// One thread.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

[[noreturn]] inline void die(const char* what) {
    std::fprintf(stderr, "bench: %s: %s\n", what, errno ? std::strerror(errno) : "failed");
    std::exit(2);
}

[[noreturn]] inline void usage(const char* text) {
    std::fputs(text, stderr);
    std::exit(2);
}

/// A decimal number between low and high; anything else ends the program.
inline long number(const char* text, long low, long high) {
    char* end = nullptr;
    errno = 0;
    long value = std::strtol(text, &end, 10);
    if (errno || end == text || *end || value < low || value > high) {
        std::fprintf(stderr, "bench: '%s' is not a number from %ld to %ld\n", text, low, high);
        std::exit(2);
    }
    return value;
}

inline std::uint32_t load32(const void* at) {
    std::uint32_t v;
    std::memcpy(&v, at, sizeof v);
    return ntohl(v);
}

/// Bytes to be sent, in network order.
class Bytes {
  public:
    void raw(const void* data, std::size_t n) { text_.append(static_cast<const char*>(data), n); }
    void raw(std::string_view s) { text_.append(s); }
    void byte(char c) { text_.push_back(c); }
    void u16(unsigned v) {
        byte(static_cast<char>(v >> 8));
        byte(static_cast<char>(v));
    }
    void u32(std::uint32_t v) {
        std::uint32_t n = htonl(v);
        raw(&n, sizeof n);
    }
    void zstring(std::string_view s) {
        text_.append(s);
        text_.push_back('\0');
    }
    /// Starts a message (tag 0: a startup packet, which has none); give the result to end().
    std::size_t begin(char tag) {
        if (tag) byte(tag);
        u32(0);
        return text_.size() - 4;
    }
    void end(std::size_t at) {
        std::uint32_t n = htonl(static_cast<std::uint32_t>(text_.size() - at));
        std::memcpy(text_.data() + at, &n, sizeof n);
    }
    void message(char tag, std::string_view body) {
        std::size_t at = begin(tag);
        raw(body);
        end(at);
    }
    void clear() { text_.clear(); }
    std::string_view view() const { return text_; }

  private:
    std::string text_;
};

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    bool tcp = true;
    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// An IPv4 address, or a directory that holds PostgreSQL's Unix socket for that port.
inline Address address(const std::string& host, int port) {
    Address a;
    if (!host.empty() && host[0] == '/') {
        sockaddr_un un{};
        un.sun_family = AF_UNIX;
        int n =
            std::snprintf(un.sun_path, sizeof un.sun_path, "%s/.s.PGSQL.%d", host.c_str(), port);
        if (n < 0 || static_cast<std::size_t>(n) >= sizeof un.sun_path) die("socket path too long");
        std::memcpy(&a.storage, &un, sizeof un);
        a.size = sizeof un;
        a.tcp = false;
        return a;
    }
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) die("not an IPv4 address");
    std::memcpy(&a.storage, &in, sizeof in);
    a.size = sizeof in;
    return a;
}

inline void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/// A non-blocking listening socket.
inline int listen_on(const std::string& host, int port) {
    Address a = address(host, port);
    int fd = socket(a.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const char* path = reinterpret_cast<const sockaddr_un*>(&a.storage)->sun_path;
    if (!a.tcp) unlink(path);
    if (bind(fd, a.get(), a.size) < 0 || listen(fd, 4096) < 0) die("bind or listen");
    if (!a.tcp) chmod(path, 0777);
    return fd;
}

/// Connects blocking (immediate on loopback, and it paces a storm of connections), then gives a
/// non-blocking socket; -1 with errno when refused.
inline int connect_to(const Address& a) {
    int fd = socket(a.get()->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (connect(fd, a.get(), a.size) < 0) {
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    if (a.tcp) no_delay(fd);
    return fd;
}

inline void watch(int epoll, int op, int fd, std::uint32_t events, void* owner) {
    epoll_event ev{};
    ev.events = events;
    ev.data.ptr = owner;
    if (epoll_ctl(epoll, op, fd, &ev) < 0) die("epoll_ctl");
}

inline void raise_file_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace bench
