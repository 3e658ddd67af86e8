// The HTTP side's server, over cpp-httplib, with bounds of its own around it: deadlines and sizes
// of requests, threads and waiting connections.
#include "pgweir/admin/http.hpp"

#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "listen_address.hpp"
#include "pgweir/auth/http_token.hpp"
#include "pgweir/base/log.hpp"
#include "pgweir/base/thread.hpp"

namespace pgweir::admin {

namespace {

constexpr base::Nanos kSnapshotLimit = 2 * base::kSecond;
constexpr base::Nanos kRequestLimit =
    5 * base::kSecond;  // from its first byte to the end of the answer
constexpr base::Nanos kKeepAliveLimit = 2 * base::kSecond;        // between requests
constexpr std::size_t kMaxRequestBytes = std::size_t{16} * 1024;  // head and body
constexpr std::size_t kMaxRequests = 100;                         // per connection
constexpr std::size_t kThreads = 4;
constexpr std::size_t kMaxWaiting = 16;  // accepted connections; more wait in the kernel

/// A client's socket with a deadline and a number of bytes, so that nobody holds a thread by
/// sending slowly or memory by sending much. The library's own waits use select(), which sockets
/// above 1023 break, and it bounds neither the number of headers nor the time of a request.
class BoundedStream final : public httplib::Stream {
  public:
    explicit BoundedStream(int fd) noexcept : fd_(fd) {}

    /// Whether a request begins in time. Looks up now and then, so that stopping need not wait.
    bool wait_for_request(const std::atomic<bool>& stopping) const {
        const auto until = base::monotonic_now() + kKeepAliveLimit;
        while (at_ == end_ && !stopping && base::monotonic_now() < until)
            if (wait(POLLIN, base::monotonic_now() + 100 * base::kMillisecond)) return true;
        return at_ < end_;
    }
    void begin_request() noexcept {
        deadline_ = base::monotonic_now() + kRequestLimit;
        bytes_left_ = kMaxRequestBytes;
    }

    bool is_readable() const override { return at_ < end_ || wait(POLLIN, deadline_); }
    bool is_writable() const override { return wait(POLLOUT, deadline_); }

    ssize_t read(char* to, std::size_t size) override {
        if (at_ == end_ && !fill()) return -1;
        const auto n = std::min({size, end_ - at_, bytes_left_});
        if (n == 0) return -1;
        std::memcpy(to, buffer_ + at_, n);
        at_ += n;
        bytes_left_ -= n;
        return static_cast<ssize_t>(n);
    }

    ssize_t write(const char* from, std::size_t size) override {
        for (std::size_t done = 0; done < size;) {
            if (!is_writable()) return -1;
            const auto n = send(fd_, from + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR) return -1;
            if (n > 0) done += static_cast<std::size_t>(n);
        }
        return static_cast<ssize_t>(size);
    }

    // Nothing here depends on who asks.
    void get_remote_ip_and_port(std::string& ip, int& port) const override { no_address(ip, port); }
    void get_local_ip_and_port(std::string& ip, int& port) const override { no_address(ip, port); }
    socket_t socket() const override { return fd_; }

  private:
    static void no_address(std::string& ip, int& port) {
        ip.clear();
        port = 0;
    }

    bool wait(short events, base::Nanos until) const {
        for (;;) {
            const auto left = until - base::monotonic_now();
            if (left <= 0) return false;
            pollfd p{fd_, events, 0};
            const int n = poll(&p, 1, static_cast<int>(left / base::kMillisecond) + 1);
            if (n > 0) return true;
            if (n < 0 && errno != EINTR) return false;
        }
    }

    bool fill() {
        if (!wait(POLLIN, deadline_)) return false;
        const auto n = recv(fd_, buffer_, sizeof buffer_, MSG_DONTWAIT);
        if (n <= 0) return false;
        at_ = 0;
        end_ = static_cast<std::size_t>(n);
        return true;
    }

    const int fd_;
    base::Nanos deadline_ = 0;
    std::size_t bytes_left_ = 0;
    char buffer_[2048];
    std::size_t at_ = 0, end_ = 0;
};

/// The library's server with our stream between it and the socket.
class BoundedServer final : public httplib::Server {
  public:
    std::atomic<bool> stopping{false};

  private:
    bool process_and_close_socket(socket_t fd) override {
        BoundedStream stream(fd);
        for (std::size_t n = 1; n <= kMaxRequests && !stopping; ++n) {
            if (!stream.wait_for_request(stopping)) break;
            stream.begin_request();
            bool closed = false, plain = false;
            const auto look = [&](httplib::Request& r) {
                plain = r.method == "GET" || r.method == "HEAD";
            };
            const bool ok = process_request(stream, n == kMaxRequests, closed, look);
            // What other methods may have sent after their head was not read; it is no next
            // request.
            if (!ok || closed || !plain) break;
        }
        shutdown(fd, SHUT_RDWR);
        close(fd);
        return true;
    }
};

/// A few threads and a short queue: whoever comes when it is full waits in the kernel's.
class Threads final : public httplib::TaskQueue {
  public:
    Threads() {
        for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
    }

    void enqueue(std::function<void()> task) override {
        std::unique_lock lock(mutex_);
        has_room_.wait(lock, [&] { return tasks_.size() < kMaxWaiting; });
        tasks_.push_back(std::move(task));
        has_task_.notify_one();
    }

    void shutdown() override {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        has_task_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

  private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            has_task_.wait(lock, [&] { return over_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            const auto task = std::move(tasks_.front());
            tasks_.pop_front();
            has_room_.notify_one();
            lock.unlock();
            task();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable has_task_, has_room_;
    std::deque<std::function<void()>> tasks_;
    std::vector<std::thread> threads_;
    bool over_ = false;
};

using httplib::Request;
using httplib::Response;

constexpr const char* kText = "text/plain; charset=utf-8";

void answer(Response& to, int status, const std::string& body, const char* type = kText) {
    to.status = status;
    to.set_content(body, type);
}

void metrics(SnapshotSource& source, const Request&, Response& to) {
    const auto snapshot = collect_blocking(source, kSnapshotLimit);
    answer(to, 200, snapshot ? metrics_text(*snapshot) : metrics_text_down(),
           "text/plain; version=0.0.4; charset=utf-8");
}

void livez(SnapshotSource& source, const Request&, Response& to) {
    const bool alive = collect_blocking(source, kSnapshotLimit).has_value();
    answer(to, alive ? 200 : 503, alive ? "alive\n" : "the workers do not answer\n");
}

void healthz(SnapshotSource& source, const Request&, Response& to) {
    const auto snapshot = collect_blocking(source, kSnapshotLimit);
    answer(to, snapshot ? 200 : 503,
           snapshot ? health_json(*snapshot, base::wall_now_us())
                    : R"({"status":"the workers do not answer"})",
           "application/json");
}

void readyz(SnapshotSource& source, const Request&, Response& to) {
    const auto snapshot = collect_blocking(source, kSnapshotLimit);
    if (!snapshot) return answer(to, 503, "the workers do not answer\n");
    if (snapshot->draining) return answer(to, 503, "shutting down\n");
    if (!snapshot->ready)
        return answer(to, 503, base::printable(snapshot->not_ready_reason, 1000) + "\n");
    // Without its cache a database is served all the same; whoever looks is told.
    std::string text = "ready\n";
    for (const auto& cache : snapshot->caches)
        if (!cache.enabled)
            text += "cache of " + base::printable(cache.database) +
                    " off: " + base::printable(cache.guarantee_reason, 500) + "\n";
    answer(to, 200, text);
}

/// ?last=hour&by=database&order=p95&limit=20 and so on, as words of SHOW QUERIES.
void queries(SnapshotSource& source, const Request& request, Response& to, bool csv) {
    QueryFilter filter;
    filter.limit = 1000;
    std::vector<std::string> words;
    for (const auto& [name, value] : request.params) {
        words.push_back(name);
        words.push_back(value);
    }
    if (const auto error = read_query_filter(words, filter); !error.empty())
        return answer(to, 400, error + "\n");
    const auto snapshot = collect_blocking(source, kSnapshotLimit);
    if (!snapshot || !snapshot->queries) return answer(to, 503, "the workers do not answer\n");
    const auto rows = snapshot->queries->rows(filter, base::monotonic_now());
    if (csv)
        answer(to, 200, queries_csv(rows), "text/csv; charset=utf-8");
    else
        answer(to, 200, queries_json(rows), "application/json");
}

void queries_as_csv(SnapshotSource& source, const Request& request, Response& to) {
    queries(source, request, to, true);
}

void queries_as_json(SnapshotSource& source, const Request& request, Response& to) {
    queries(source, request, to, false);
}

/// What is asked of whoever wants a path. Paths that are not in the table are not there.
enum class Access { open, token };

struct Route {
    const char* path;
    Access access;
    void (*handler)(SnapshotSource&, const Request&, Response&);
};
constexpr Route kRoutes[] = {{"/metrics", Access::token, metrics},
                             {"/livez", Access::open, livez},
                             {"/healthz", Access::token, healthz},
                             {"/queries.csv", Access::token, queries_as_csv},
                             {"/queries.json", Access::token, queries_as_json},
                             {"/readyz", Access::open, readyz}};

using TokenSource = std::function<std::string()>;

bool may_read(const Route& route, const TokenSource& token, const Request& request, Response& to) {
    const auto wanted = route.access == Access::open || !token ? std::string() : token();
    if (wanted.empty() || auth::shows_token(request.get_header_value("Authorization"), wanted))
        return true;
    to.set_header("WWW-Authenticate", "Bearer realm=\"pgweir\", Basic realm=\"pgweir\"");
    answer(to, 401, "a token is needed\n");
    return false;
}

void add_routes(httplib::Server& server, SnapshotSource& source, const TokenSource& token) {
    for (const auto& route : kRoutes)
        server.Get(route.path, [&source, &route, token](const Request& request, Response& to) {
            if (may_read(route, token, request, to)) route.handler(source, request, to);
        });
    server.set_pre_routing_handler([](const Request& request, Response& to) {
        if (request.method == "GET" || request.method == "HEAD")
            return httplib::Server::HandlerResponse::Unhandled;
        const bool known = std::any_of(std::begin(kRoutes), std::end(kRoutes),
                                       [&](const Route& r) { return request.path == r.path; });
        if (known) to.set_header("Allow", "GET, HEAD");
        to.set_header("Connection", "close");
        answer(to, known ? 405 : 404, known ? "method not allowed\n" : "not found\n");
        return httplib::Server::HandlerResponse::Handled;
    });
    server.set_error_handler([](const Request&, Response& to) {
        if (to.body.empty())
            to.set_content(to.status == 404 ? "not found\n" : "bad request\n", kText);
    });
    server.set_exception_handler([](const Request&, Response& to, const std::exception_ptr&) {
        answer(to, 500, "internal error\n");
    });
    server.set_default_headers(
        {{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
    server.set_payload_max_length(kMaxRequestBytes);
    server.new_task_queue = [] { return new Threads; };
    // Not the library's SO_REUSEPORT: a second process on this port is a mistake to be told about.
    server.set_socket_options([](socket_t fd) {
        const int on = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
}

}  // namespace

struct HttpServer::State {
    std::string listen;
    ListenAddress address;
    SnapshotSource& source;
    BoundedServer server;
    std::atomic<std::uint16_t> port{0};
    std::mutex mutex;
    std::condition_variable wake;  // for stopping while the thread pauses
    std::atomic<bool> finished{false};
    std::thread thread;

    State(std::string where, SnapshotSource& from) : listen(std::move(where)), source(from) {}
    void run();
};

/// The library ends at some errors of accept() that pass; then it is opened again on the same port.
void HttpServer::State::run() {
    for (bool bound = true; !server.stopping;) {
        if (bound) server.listen_after_bind();
        std::unique_lock lock(mutex);
        if (wake.wait_for(lock, std::chrono::seconds(1), [&] { return server.stopping.load(); }))
            break;
        bound = server.bind_to_port(address.host, port);
        base::log_warning(bound ? "http: opened again"
                                : "http: cannot be opened again; will be tried");
    }
    finished = true;
}

HttpServer::HttpServer(std::string listen, SnapshotSource& source, const TokenSource& token)
    : state_(std::make_unique<State>(std::move(listen), source)) {
    add_routes(state_->server, source, token);
}

HttpServer::~HttpServer() { stop(); }

std::string HttpServer::start() {
    auto& s = *state_;
    const auto address = parse_listen_address(s.listen);
    if (!address) return address.error();
    s.address = *address;
    errno = 0;
    const int port = s.address.port == 0 ? s.server.bind_to_any_port(s.address.host)
                     : s.server.bind_to_port(s.address.host, s.address.port) ? s.address.port
                                                                             : -1;
    if (port <= 0)
        return "cannot listen on " + base::printable(s.listen) +
               (errno != 0 ? ": " + std::generic_category().message(errno) : "");
    s.port = static_cast<std::uint16_t>(port);
    s.thread = base::thread_without_signals([&s] { s.run(); });
    return {};
}

void HttpServer::stop() {
    auto& s = *state_;
    if (!s.thread.joinable()) return;
    {
        const std::lock_guard lock(s.mutex);
        s.server.stopping = true;
    }
    s.wake.notify_one();
    // The library's stop() does nothing before its loop has begun.
    while (!s.server.is_running() && !s.finished) std::this_thread::yield();
    s.server.stop();
    s.thread.join();
}

std::uint16_t HttpServer::port() const noexcept { return state_->port; }

}  // namespace pgweir::admin
