// The rules between a change stream, fills and hits, without a server: see stream_state.hpp.
#include "pgweir/cache/stream_state.hpp"

#include <doctest/doctest.h>

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;

namespace {

struct Streamed : World {
    StreamState& stream = db.stream();
    ResultCache cache{1 << 20, 1 << 16};
    Streamed() { stream.begin(*Stamp::parse("50:50:"), db.whole()); }

    void deliver(FullXid xid, query::Oid relation) {
        stream.deliver({xid, {&db.relation(relation)}, 0, false}, db.whole());
    }
    /// A fill on relation 1, captured now.
    Fill fill() {
        const std::string key = "k";
        auto f = Fill(cache, db, key, hash_key(key), *capture({1}), {.sent = 1});
        f.append(description() + row("v") + tag("SELECT 1") + ready());
        return f;
    }
};

}  // namespace

TEST_CASE("with a stream a fill without a stamp is never published") {
    Streamed w;
    auto f = w.fill();
    CHECK(f.needs_stamp());
    CHECK(f.publish(2) == FillEnd::stale);
    auto stamped = w.fill();
    CHECK(stamped.publish(2, Stamp::parse("50:60:")) == FillEnd::published);
}

TEST_CASE("a fill whose stamp does not see what was delivered is refused") {
    Streamed w;
    w.deliver(55, 1);
    auto f = w.fill();
    CHECK(f.publish(2, Stamp::parse("55:60:55")) == FillEnd::stale);
    auto early = w.fill();
    CHECK(early.publish(2, Stamp::parse("55:55:")) == FillEnd::stale);
    auto g = w.fill();
    CHECK(g.publish(2, Stamp::parse("56:60:")) == FillEnd::published);
}

TEST_CASE("what another relation waits for holds no fill up, what may be anything does") {
    Streamed w;
    w.deliver(55, 2);
    auto f = w.fill();
    CHECK(f.publish(2, Stamp::parse("55:60:55")) == FillEnd::published);
    w.stream.deliver({57, {}, 0, true}, w.db.whole());
    auto g = w.fill();
    CHECK(g.publish(2, Stamp::parse("57:60:57")) == FillEnd::stale);
}

TEST_CASE("a delivery after the capture refuses the fill, whatever its stamp sees") {
    Streamed w;
    auto f = w.fill();
    w.deliver(55, 1);
    CHECK(f.publish(2, Stamp::parse("58:60:")) == FillEnd::stale);
}

TEST_CASE("what a snapshot has seen is no longer asked for") {
    Streamed w;
    w.deliver(55, 1);
    w.deliver(56, 1);
    CHECK(w.stream.recent() == 2);
    w.stream.proven(*Stamp::parse("55:60:55"));
    CHECK(w.stream.recent() == 1);
    w.stream.proven(*Stamp::parse("58:60:"));
    CHECK(w.stream.recent() == 0);
    auto f = w.fill();
    CHECK(f.publish(2, Stamp::parse("1:1:")) == FillEnd::published);
}

TEST_CASE("what was running when the stream began holds fills up until it is over") {
    World w;
    w.db.stream().begin(*Stamp::parse("40:50:40"), w.db.whole());
    const auto captured = w.capture({1});
    REQUIRE(captured);
    CHECK_FALSE(captured->proven_by(*Stamp::parse("40:50:40")));
    CHECK(captured->proven_by(*Stamp::parse("50:50:")));
    // Its own delivery does not narrow that.
    w.db.stream().deliver({40, {&w.db.relation(9)}, 0, false}, w.db.whole());
    CHECK_FALSE(w.capture({1})->proven_by(*Stamp::parse("40:50:40")));
}

TEST_CASE("more transactions than are listed have to be over all together") {
    Streamed w;
    const auto n = StreamState::kMaxRecent + 10;
    for (FullXid x = 100; x < 100 + n; ++x) w.deliver(x, 2);
    CHECK(w.stream.recent() == StreamState::kMaxRecent);
    const auto newest = std::to_string(100 + n - 1);
    const auto captured = w.capture({1});
    CHECK_FALSE(captured->proven_by(*Stamp::parse(newest + ":9999:" + newest)));
    CHECK(captured->proven_by(*Stamp::parse(std::to_string(100 + n) + ":9999:")));
    // The listed ones are over, the others are not: still something to see.
    w.stream.proven(*Stamp::parse("100:" + newest + ":100"));
    CHECK_FALSE(w.capture({1})->proven_by(*Stamp::parse(newest + ":9999:" + newest)));
    w.stream.proven(*Stamp::parse("9999:9999:"));
    CHECK(w.stream.recent() == 0);
    CHECK(w.capture({1})->proven_by(*Stamp::parse("1:1:")));
}

TEST_CASE("a transaction that was open before many others holds none of them back") {
    Streamed w;
    for (FullXid x = 100; x < 100 + 2 * StreamState::kMaxRecent; ++x) w.deliver(x, 2);
    CHECK(w.capture({1})->proven_by(*Stamp::parse("50:9999:50")));
    CHECK_FALSE(w.capture({1})->proven_by(*Stamp::parse("50:9999:50,2000")));
    CHECK_FALSE(w.capture({1})->proven_by(*Stamp::parse("50:2000:50")));
    w.stream.proven(*Stamp::parse("50:9999:50"));
    CHECK(w.stream.recent() == 0);
}

TEST_CASE("that a definition is visible is told once, when a snapshot sees it") {
    Streamed w;
    w.stream.deliver({55, {}, 0, true, true}, w.db.whole());
    w.deliver(56, 1);
    CHECK_FALSE(w.stream.proven(*Stamp::parse("55:60:55")));
    CHECK(w.stream.proven(*Stamp::parse("60:60:")));
    CHECK_FALSE(w.stream.proven(*Stamp::parse("61:61:")));
    // Beyond those that are listed, too.
    for (FullXid x = 100; x < 100 + StreamState::kMaxRecent; ++x) w.deliver(x, 2);
    w.stream.deliver({5000, {}, 0, true, true}, w.db.whole());
    CHECK_FALSE(w.stream.proven(*Stamp::parse("4000:9999:4000,5000")));
    CHECK(w.stream.proven(*Stamp::parse("9999:9999:")));
}

TEST_CASE("what ran when a stream began that tells of definitions may be one") {
    World w;
    w.db.stream().begin(*Stamp::parse("40:50:40"), w.db.whole(), true);
    w.db.stream().deliver({40, {&w.db.relation(1)}, 0, false, false}, w.db.whole());
    CHECK_FALSE(w.db.stream().proven(*Stamp::parse("40:50:40")));
    CHECK(w.db.stream().proven(*Stamp::parse("50:50:")));
}

TEST_CASE("a gap invalidates everything, and what was captured without a stream stays without") {
    World w;
    const auto before = w.capture({1});
    w.db.stream().begin(*Stamp::parse("50:50:"), w.db.whole());
    CHECK_FALSE(before->still_valid());
    const auto during = w.capture({1});
    w.db.stream().advance(7);
    CHECK(w.db.stream().watermark() == 7);
    w.db.stream().end(w.db.whole());
    CHECK(w.db.stream().watermark() == 0);
    CHECK_FALSE(during->still_valid());
    CHECK_FALSE(w.capture({1})->needs_stamp());
    CHECK(w.db.stream().gaps() == 1);
}

TEST_CASE("whoever waits is woken when the watermark comes, or the stream goes") {
    Streamed w;
    unsigned woken = 0, asked = 0;
    w.stream.on_demand([&] { ++asked; });
    w.stream.await(10, [&] { ++woken; });  // nothing is known of the watermark yet
    CHECK(woken == 1);
    w.stream.advance(5);
    for (const base::Nanos needed : {3, 10, 20}) w.stream.await(needed, [&] { ++woken; });
    CHECK(woken == 2);
    CHECK(asked == 2);
    CHECK(w.stream.needed() == 20);
    w.stream.advance(10);
    CHECK(woken == 3);
    w.stream.end(w.db.whole());
    CHECK(woken == 4);
    CHECK(w.stream.needed() == 0);
}

TEST_CASE("being wanted is told once, and remembered") {
    Streamed w;
    unsigned asked = 0;
    w.stream.on_demand([&] { ++asked; });
    w.stream.want(base::kSecond);
    w.stream.want(base::kSecond + 5);
    CHECK(asked == 1);
    CHECK(w.stream.wanted() == base::kSecond);
    w.stream.want(3 * base::kSecond);
    CHECK(w.stream.wanted() == 3 * base::kSecond);
}
