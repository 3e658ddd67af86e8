// Effects spread to callers, and only to them.
#include "../../../src/control/call_graph.hpp"

#include <doctest/doctest.h>

using namespace pgweir::control;

TEST_CASE("an effect reaches every caller, through cycles, and nobody else") {
    CallGraph g;
    const auto a = g.function(1), b = g.function(2), c = g.function(3), other = g.function(4);
    g.call(a, b);
    g.call(b, c);
    g.call(c, a);
    g.call(b, other);
    const auto view = g.reading(10);
    g.call(view, a);
    g.mark(c, Effect::state);
    g.settle();
    for (const auto n : {a, b, c, view}) CHECK(g.has(n, Effect::state));
    CHECK(!g.has(other, Effect::state));
    CHECK(!g.has(g.writing(10), Effect::state));
    for (const auto n : {a, b, c, view, other}) CHECK(!g.has(n, Effect::writes));
}

TEST_CASE("what a trigger does, every write may do") {
    CallGraph g;
    const auto trigger = g.function(1), writer = g.function(2), reader = g.function(3);
    g.call(g.triggers(), trigger);
    g.call(writer, g.any_write());
    g.mark(trigger, Effect::state);
    g.settle();
    CHECK(g.has(writer, Effect::state));
    CHECK(!g.has(reader, Effect::state));
    CHECK(!g.has(g.ambient(), Effect::state));
}

TEST_CASE("a domain's default is computed by writes and DDL, and by nothing that reads") {
    CallGraph g;
    const auto computed = g.function(1), definer = g.function(2), view = g.reading(3);
    g.call(g.domain_defaults(), computed);
    g.mark_definer(definer);
    for (const auto e : {Effect::writes, Effect::state, Effect::shared}) g.mark(computed, e);
    g.settle();
    for (const auto e : {Effect::writes, Effect::state, Effect::shared}) {
        CHECK(g.has(g.any_write(), e));
        CHECK(g.has(definer, e));
        CHECK(!g.has(g.ambient(), e));
        CHECK(!g.has(view, e));
    }
}

TEST_CASE("of a foreign table nothing is known, nor of what reads or writes it") {
    CallGraph g;
    const auto above = g.writing(1), view = g.reading(2), other = g.writing(3);
    g.call(above, g.writing(9));
    g.call(view, g.reading(9));
    g.mark_unknown(9);
    g.settle();
    for (const auto n : {above, view}) {
        CHECK(g.has(n, Effect::writes));
        CHECK(g.has(n, Effect::defines));
        CHECK(g.has(n, Effect::shared));
    }
    CHECK(!g.has(other, Effect::writes));
}

TEST_CASE("ten thousand functions that call each other in a row settle") {
    CallGraph g;
    for (std::uint32_t i = 1; i < 10'000; ++i) g.call(g.function(i), g.function(i + 1));
    g.mark(g.function(10'000), Effect::writes);
    g.settle();
    CHECK(g.has(g.function(1), Effect::writes));
}
