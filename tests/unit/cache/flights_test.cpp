// Single flight: one fetches, others wait, and nobody waits for what is of no use or for nobody.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "pgweir/cache/flights.hpp"
#include "support.hpp"

namespace pgweir::cache::testing {

namespace {

struct TestPlace final : FlightPlace {
    void wake(std::shared_ptr<FlightPlace>) noexcept override { ++woken; }
    std::atomic<int> woken{0};
};

std::shared_ptr<TestPlace> place() { return std::make_shared<TestPlace>(); }

const base::Hash128 kKey = hash_key("k");

}  // namespace

TEST_CASE("A10: all who miss while one fetches wait, and are woken when it has landed") {
    Flights flights;
    const auto a = place(), b = place();
    CHECK(!flights.wait(kKey, a));  // nobody flies
    auto lead = flights.lead(kKey);
    REQUIRE(lead);
    CHECK(!flights.lead(kKey));
    CHECK(flights.lead(hash_key("other")));
    CHECK(flights.wait(kKey, a));
    CHECK(flights.wait(kKey, b));
    lead.land();
    CHECK(a->woken == 1);
    CHECK(b->woken == 1);
    CHECK(!a->lead);
    CHECK(flights.lead(kKey));
}

TEST_CASE("A10: nobody joins a flight that captured other epochs than there are now") {
    World w;
    Flights flights;
    const auto before = place(), after = place();
    auto lead = flights.lead(kKey);
    lead.captured(w.capture({7})->dependencies());
    CHECK(flights.wait(kKey, before));
    w.db.relation(7).bump();
    CHECK(!flights.wait(kKey, after));
    auto newer = flights.lead(kKey);
    REQUIRE(newer);
    newer.captured(w.capture({7})->dependencies());
    CHECK(flights.wait(kKey, after));
    // Each lands for its own.
    lead.land();
    CHECK(before->woken == 1);
    CHECK(after->woken == 0);
    CHECK(!flights.lead(kKey));
    newer.land();
    CHECK(after->woken == 1);
}

TEST_CASE("a leader that dies hands over to the one who has waited longest") {
    Flights flights;
    const auto a = place(), b = place();
    {
        auto lead = flights.lead(kKey);
        CHECK(flights.wait(kKey, a));
        CHECK(flights.wait(kKey, b));
    }
    CHECK(a->woken == 1);
    CHECK(b->woken == 0);
    REQUIRE(a->lead);
    CHECK(!flights.lead(kKey));
    a->lead = Lead();  // and dies, too
    CHECK(b->woken == 1);
    REQUIRE(b->lead);
    b->lead.land();
    CHECK(flights.lead(kKey));
}

TEST_CASE("who has left is not woken, and a duty given to somebody who leaves goes on") {
    Flights flights;
    const auto a = place(), c = place();
    auto b = place();
    auto lead = flights.lead(kKey);
    CHECK(flights.wait(kKey, a));
    CHECK(flights.wait(kKey, b));
    CHECK(flights.wait(kKey, c));
    flights.leave(*a);
    lead = Lead();
    CHECK(a->woken == 0);
    CHECK(b->woken == 1);
    flights.leave(*b);  // too late: it has the duty
    b.reset();
    CHECK(c->woken == 1);
    CHECK(c->lead);
}

TEST_CASE("a fill lands its flight when it is stored, given up or dropped") {
    World w;
    ResultCache cache(1 << 20, 1000);
    for (const int how : {0, 1, 2}) {
        const auto waits = place();
        {
            Fill fill(cache, w.db, "k", kKey, *w.capture({7}), FillOptions{});
            fill.lead_with(cache.flights().lead(kKey));
            CHECK(cache.flights().wait(kKey, waits));
            if (how == 0) {
                fill.append(answer("v"));
                CHECK(waits->woken == 0);
                CHECK(fill.publish(0) == FillEnd::published);
            } else if (how == 1) {
                fill.append(answer(std::string(2000, 'x')));
                CHECK(waits->woken == 1);
            }
        }
        CHECK(waits->woken == 1);
        CHECK(static_cast<bool>(waits->lead) == (how == 2));
    }
}

TEST_CASE("of many threads one leads at a time, and nobody waits for ever") {
    Flights flights;
    std::atomic<int> leading{0}, most{0}, waiting{0};
    const auto work = [&] {
        for (int i = 0; i < 2000; ++i) {
            auto lead = flights.lead(kKey);
            if (lead) {
                most = std::max(most.load(), ++leading);
                --leading;
                if (i % 3 == 0) lead.land();
                continue;
            }
            const auto mine = place();
            if (!flights.wait(kKey, mine)) continue;
            ++waiting;
            if (i % 2 == 0) flights.leave(*mine);
            while (i % 2 != 0 && mine->woken == 0) std::this_thread::yield();
        }
    };
    std::thread other(work), third(work);
    work();
    other.join();
    third.join();
    CHECK(most == 1);
    CHECK(flights.lead(kKey));
}

}  // namespace pgweir::cache::testing
