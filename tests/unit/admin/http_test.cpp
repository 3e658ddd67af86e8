// The HTTP side over real sockets.
#include "pgweir/admin/http.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "pgweir/base/clock.hpp"

using namespace pgweir;
using namespace pgweir::admin;
using base::kSecond;

namespace {

/// Answers on the HTTP threads, so it is not changed while they run but through its mutex.
struct Source final : SnapshotSource {
    std::mutex mutex;
    Snapshot snapshot;
    bool answers = true;

    void collect(std::function<void(Snapshot)> done) override {
        Snapshot copy;
        {
            const std::lock_guard lock(mutex);
            if (!answers) return;
            copy = snapshot;
        }
        done(std::move(copy));
    }
    template <class F>
    void change(F f) {
        const std::lock_guard lock(mutex);
        f(*this);
    }
};

struct Socket {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    explicit Socket(std::uint16_t port) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    }
    Socket(Socket&& o) noexcept : fd(std::exchange(o.fd, -1)) {}
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { close(fd); }

    bool send(std::string_view text) const {
        return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text.size());
    }
    /// Until the end, or until `enough` is in it; at most ten seconds.
    std::string receive(std::string_view enough = {}) const {
        std::string all;
        char part[4096];
        const auto until = base::monotonic_now() + 10 * kSecond;
        while (base::monotonic_now() < until &&
               (enough.empty() || all.find(enough) == std::string::npos)) {
            pollfd p{fd, POLLIN, 0};
            if (poll(&p, 1, 100) != 1) continue;
            const auto n = recv(fd, part, sizeof part, 0);
            if (n <= 0) break;
            all.append(part, static_cast<std::size_t>(n));
        }
        return all;
    }
};

struct Fixture {
    Source source;
    HttpServer server{"127.0.0.1:0", source};
    Fixture() { REQUIRE(server.start() == ""); }

    std::string ask(std::string_view request) const {
        const Socket s(server.port());
        s.send(request);
        return s.receive();
    }
    std::string get(const std::string& path) const {
        return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "health, readiness and metrics are served") {
    CHECK(server.port() != 0);
    CHECK(get("/livez").starts_with("HTTP/1.1 200"));
    CHECK(get("/readyz").starts_with("HTTP/1.1 200"));
    const auto health = get("/healthz");
    CHECK(health.starts_with("HTTP/1.1 200"));
    CHECK(health.find("Content-Type: application/json") != std::string::npos);
    CHECK(health.find("\"status\":\"ok\"") != std::string::npos);
    const auto metrics = get("/metrics");
    CHECK(metrics.starts_with("HTTP/1.1 200"));
    CHECK(metrics.find("Content-Type: text/plain; version=0.0.4") != std::string::npos);
    CHECK(metrics.find("pgbouncer_up 1\n") != std::string::npos);
    const auto head = ask("HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(head.starts_with("HTTP/1.1 200"));
    CHECK(head.ends_with("\r\n\r\n"));
}

TEST_CASE_FIXTURE(Fixture, "readyz says 503 and why while draining or when no pool can serve") {
    source.change([](Source& s) {
        s.snapshot.ready = false;
        s.snapshot.not_ready_reason = "app: connection refused";
    });
    auto answer = get("/readyz");
    CHECK(answer.starts_with("HTTP/1.1 503"));
    CHECK(answer.ends_with("app: connection refused\n"));
    CHECK(get("/healthz").find("\"reason\":\"app: connection refused\"") != std::string::npos);
    CHECK(get("/livez").starts_with("HTTP/1.1 200"));
    source.change([](Source& s) {
        s.snapshot.ready = true;
        s.snapshot.draining = true;
    });
    answer = get("/readyz");
    CHECK(answer.starts_with("HTTP/1.1 503"));
    CHECK(answer.ends_with("shutting down\n"));
}

TEST_CASE_FIXTURE(Fixture, "workers that do not answer in two seconds are told, not waited for") {
    source.change([](Source& s) { s.answers = false; });
    const auto start = base::monotonic_now();
    CHECK(get("/readyz").starts_with("HTTP/1.1 503"));
    CHECK(base::monotonic_now() - start < 4 * kSecond);
    CHECK(get("/metrics").find("pgbouncer_up 0\n") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "other paths and methods are refused (S42)") {
    CHECK(get("/").starts_with("HTTP/1.1 404"));
    CHECK(get("/metricsx").starts_with("HTTP/1.1 404"));
    CHECK(get("/../../etc/passwd").starts_with("HTTP/1.1 404"));
    CHECK(get("/metrics/%2e%2e/x").starts_with("HTTP/1.1 404"));
    for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
        INFO(method);
        const auto answer =
            ask(method + " /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        CHECK(answer.starts_with("HTTP/1.1 405"));
        CHECK(answer.find("Allow: GET, HEAD") != std::string::npos);
        CHECK(answer.find("HTTP/1.1", 8) == std::string::npos);  // one answer only
        CHECK(ask(method + " /x HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404"));
    }
}

TEST_CASE_FIXTURE(Fixture, "a connection is kept for a next request") {
    const Socket s(server.port());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(s.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"));
        CHECK(s.receive("alive\n").starts_with("HTTP/1.1 200"));
    }
}

TEST_CASE_FIXTURE(Fixture, "garbage and endless requests end, and others are served (S42)") {
    ask("\x16\x03\x01\x02 no HTTP\r\n\r\n");
    ask(std::string(100'000, 'x'));
    ask("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\n\r\n");
    std::string headers = "GET /livez HTTP/1.1\r\n";
    for (int i = 0; i < 5000; ++i) headers += "A" + std::to_string(i) + ": b\r\n";
    CHECK(ask(headers + "\r\n").find("alive") == std::string::npos);
    CHECK(ask("BREW /livez HTTP/1.1\r\n\r\n").find("alive") == std::string::npos);
    CHECK(get("/livez").starts_with("HTTP/1.1 200"));
}

TEST_CASE_FIXTURE(Fixture, "clients that send slowly hold nobody up for long (S42)") {
    std::vector<Socket> slow;
    for (int i = 0; i < 8; ++i) {
        slow.emplace_back(server.port());
        slow.back().send("GET /livez HTTP/1.1\r\nX: ");
    }
    std::atomic<bool> over{false};
    std::thread drip([&] {
        while (!over) {
            for (const auto& s : slow) s.send("y");
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });
    const Socket s(server.port());
    s.send("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n");
    std::string answer;
    for (int i = 0; i < 2 && answer.empty(); ++i) answer = s.receive();
    over = true;
    drip.join();
    CHECK(answer.starts_with("HTTP/1.1 200"));
}

TEST_CASE("a port that is taken or an address that is none is told at start") {
    Source source;
    HttpServer first("127.0.0.1:0", source);
    REQUIRE(first.start() == "");
    HttpServer second("127.0.0.1:" + std::to_string(first.port()), source);
    const auto problem = second.start();
    CHECK(problem.starts_with("cannot listen on 127.0.0.1:"));
    CHECK(problem.find("Address already in use") != std::string::npos);
    for (const char* bad :
         {"", "nonsense", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:x", "::1:80", "[::1:80"}) {
        INFO(std::string(bad));
        HttpServer server(bad, source);
        CHECK(!server.start().empty());
        CHECK(server.port() == 0);
    }
}

TEST_CASE("stopping ends at once while connections are open") {
    Source source;
    HttpServer server("localhost:0", source);
    REQUIRE(server.start() == "");
    const Socket idle(server.port());
    idle.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(idle.receive("alive\n").starts_with("HTTP/1.1 200"));
    const auto start = base::monotonic_now();
    server.stop();
    CHECK(base::monotonic_now() - start < kSecond);
    server.stop();
}
