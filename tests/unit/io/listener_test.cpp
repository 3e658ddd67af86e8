// The listener when the process has no descriptor left, and loops and sockets at work on real
// descriptors. Each test runs a loop on a thread of its own and waits for what it is to see.
#include "pgweir/io/listener.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "pgweir/io/socket.hpp"

using namespace pgweir;
using namespace std::chrono_literals;

namespace {

bool eventually(const std::function<bool()>& what) {
    for (int i = 0; i < 1000; ++i) {
        if (what()) return true;
        std::this_thread::sleep_for(5ms);
    }
    return false;
}

/// A loop that runs on a thread of its own until the end of the test.
struct RunningLoop {
    io::Loop loop;
    std::thread thread;
    void start() {
        thread = std::thread([this] { loop.run(); });
    }
    ~RunningLoop() {
        loop.stop();
        if (thread.joinable()) thread.join();
    }
    void on_loop(std::function<void()> what) {
        std::atomic<bool> done = false;
        loop.post([&] {
            what();
            done = true;
        });
        REQUIRE(eventually([&] { return done.load(); }));
    }
};

io::Address loopback(std::uint16_t port) {
    io::Address a;
    auto* in = reinterpret_cast<sockaddr_in*>(&a.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.size = sizeof(sockaddr_in);
    return a;
}

int connect_to(std::uint16_t port, int fd) {
    const auto a = loopback(port);
    return connect(fd, reinterpret_cast<const sockaddr*>(&a.storage), a.size);
}

double cpu_seconds() {
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/// No descriptor above those that are open now may be made, until destroyed.
struct NoDescriptors {
    rlimit before{};
    NoDescriptors() {
        getrlimit(RLIMIT_NOFILE, &before);
        const int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
        close(next);
        rlimit less = before;
        less.rlim_cur = static_cast<rlim_t>(next);
        setrlimit(RLIMIT_NOFILE, &less);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before); }
};

}  // namespace

TEST_CASE("a listener without any descriptor left waits instead of spinning, and accepts again") {
    RunningLoop running;
    std::atomic<int> accepted = 0;
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    auto listener = io::Listener::open(running.loop, loopback(0), false, [&](int fd, auto&) {
        close(fd);
        ++accepted;
    });
    REQUIRE(listener);
    const auto port = (*listener)->port();
    running.start();
    {
        const NoDescriptors none;
        // The listener's reserve goes to the first that comes; somebody else takes its place.
        REQUIRE(connect_to(port, client) == 0);
        char byte = 0;
        REQUIRE(recv(client, &byte, 1, 0) <= 0);
        std::vector<int> taken;
        running.on_loop([&] { (*listener)->give_up_reserve(); });
        for (int fd = 0; (fd = dup(spare)) >= 0;) taken.push_back(fd);
        close(spare);
        const int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);  // in place of the spare
        REQUIRE(late >= 0);
        REQUIRE(connect_to(port, late) == 0);
        const auto before = cpu_seconds();
        std::this_thread::sleep_for(1s);
        CHECK(cpu_seconds() - before < 0.5);
        CHECK(accepted == 0);
        for (const int fd : taken) close(fd);
    }
    CHECK(eventually([&] {
        const int next = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool connected = connect_to(port, next) == 0;
        close(next);
        return connected && accepted > 0;
    }));
    close(client);
    running.on_loop([&] { listener->reset(); });
}
