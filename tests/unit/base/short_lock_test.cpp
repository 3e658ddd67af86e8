#include "pgweir/base/short_lock.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

using pgweir::base::ShortLock;

TEST_CASE("a short lock keeps others out, also those who had to sleep for it") {
    ShortLock lock;
    long count = 0;  // nothing but the lock guards it
    std::atomic<int> inside{0};
    std::atomic<bool> alone{true};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                const std::lock_guard held(lock);
                if (inside.fetch_add(1) != 0) alone = false;
                ++count;
                if (i % 1000 == 0) std::this_thread::yield();  // with others in front of the door
                inside.fetch_sub(1);
            }
        });
    for (auto& t : threads) t.join();
    CHECK(count == 80'000);
    CHECK(alone);
}

TEST_CASE("who sleeps for a short lock is woken when it is let go of") {
    ShortLock lock;
    for (int round = 0; round < 200; ++round) {
        lock.lock();
        std::atomic<int> got{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < 3; ++t)
            threads.emplace_back([&] {
                const std::lock_guard held(lock);
                got.fetch_add(1);
            });
        if (round % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(got == 0);
        lock.unlock();
        for (auto& t : threads) t.join();
        CHECK(got == 3);
    }
}
