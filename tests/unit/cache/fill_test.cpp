#include "pgweir/cache/fill.hpp"

#include <doctest/doctest.h>

#include "support.hpp"

using namespace pgweir;
using namespace pgweir::cache;
using namespace pgweir::cache::testing;

namespace {

struct Bench {
    World w;
    ResultCache cache{1 << 20, 1 << 16};

    Fill begin(std::string_view key = "k") {
        return begin_fill(cache, w.db, key, *w.capture({1}), 100);
    }
    EntryPtr find(std::string_view key = "k") {
        return cache.lookup(w.db, hash_key(key), key, 200);
    }
    /// What becomes of an answer.
    std::pair<FillEnd, Unfit> outcome(std::string_view bytes) {
        auto fill = begin();
        fill.append(bytes);
        const auto end = fill.publish(150);
        return {end, fill.unfit()};
    }
    Unfit why_unfit(std::string_view bytes) {
        const auto [end, why] = outcome(bytes);
        CHECK(end == FillEnd::unfit);
        CHECK_FALSE(find());
        CHECK(cache.used() == 0);
        return why;
    }
};

const std::string kExtended = message('1') + message('t', std::string(2, '\0')) + description() +
                              message('2') + description() + row("a") + row("bb") +
                              tag("SELECT 2") + message('3') + ready();

}  // namespace

TEST_CASE("an answer cut at any byte makes the same entry") {
    for (std::size_t cut = 0; cut <= kExtended.size(); ++cut) {
        Bench b;
        auto fill = b.begin();
        fill.append(std::string_view(kExtended).substr(0, cut));
        fill.append(std::string_view(kExtended).substr(cut));
        REQUIRE(fill.publish(150) == FillEnd::published);
        const auto entry = b.find();
        REQUIRE(entry);
        REQUIRE(entry->row_description() == description());
        REQUIRE(entry->parameter_description().empty());  // only of what Describe asks for
        REQUIRE(entry->data() == row("a") + row("bb") + tag("SELECT 2"));
        REQUIRE(entry->answer() == description() + row("a") + row("bb") + tag("SELECT 2"));
        REQUIRE(entry->rows() == 2);
        REQUIRE(entry->cost() == 50);
        REQUIRE(entry->filled() == 100);
    }
}

TEST_CASE("an answer that comes byte by byte makes the same entry") {
    Bench b;
    auto fill = b.begin();
    for (const char c : kExtended) fill.append(std::string_view(&c, 1));
    CHECK(fill.publish(150) == FillEnd::published);
    CHECK(b.find()->data() == row("a") + row("bb") + tag("SELECT 2"));
}

TEST_CASE("the parts may be given one by one, and the answer may have no rows") {
    Bench b;
    auto fill = b.begin();
    fill.row_description(description());
    fill.complete(tag("SELECT 0"));
    CHECK(fill.publish(150) == FillEnd::published);
    CHECK(b.find()->rows() == 0);
    CHECK(b.find()->parameter_description().empty());
    auto other = b.begin("other");
    other.parameter_description(message('t', std::string(2, '\0')));
    other.rows(row("a") + row("b"));
    other.rows(row("c"));
    other.complete(tag("SELECT 3"));
    CHECK(other.publish(150) == FillEnd::published);
    CHECK(b.find("other")->row_description().empty());
    CHECK(b.find("other")->rows() == 3);
}

TEST_CASE("a part that is not the message it should be is refused") {
    Bench b;
    auto bad_row = b.begin();
    bad_row.rows(row("a") + tag("SELECT 1"));
    CHECK(bad_row.unfit() == Unfit::malformed);
    auto cut = b.begin();
    cut.complete(std::string_view(tag("SELECT 0")).substr(0, 8));
    CHECK(cut.unfit() == Unfit::malformed);
    auto wrong = b.begin();
    wrong.row_description(row("a"));
    CHECK(wrong.unfit() == Unfit::malformed);
}

TEST_CASE("anything but a plain answer to one SELECT is not stored") {
    Bench b;
    const auto start = description() + row("a");
    CHECK(b.why_unfit(start + message('E', std::string(1, '\0'))) == Unfit::error);
    CHECK(b.why_unfit(start + message('N', std::string(1, '\0')) + tag("SELECT 1")) ==
          Unfit::notice);
    CHECK(b.why_unfit(start + tag("SELECT 1") + message('A', "x") + ready()) == Unfit::notice);
    CHECK(b.why_unfit(message('S', std::string("a\0b\0", 4)) + answer("a")) ==
          Unfit::parameter_change);
    CHECK(b.why_unfit(start + message('s') + ready()) == Unfit::suspended);
    CHECK(b.why_unfit(start + tag("SELECT 1") + start) == Unfit::several_results);
    CHECK(b.why_unfit(start + tag("SELECT 1") + row("b")) == Unfit::several_results);
    CHECK(b.why_unfit(start + tag("SELECT 1") + tag("SELECT 1")) == Unfit::several_results);
    CHECK(b.why_unfit(tag("INSERT 0 1")) == Unfit::not_select);
    CHECK(b.why_unfit(message('I')) == Unfit::not_select);
    CHECK(b.why_unfit(message('n')) == Unfit::not_select);
    CHECK(b.why_unfit(start + message('C')) == Unfit::not_select);
    CHECK(b.why_unfit(start + tag("SELECT 1") + ready(wire::TxStatus::in_transaction)) ==
          Unfit::transaction);
    CHECK(b.why_unfit(message('G', "xyz")) == Unfit::malformed);
    CHECK(b.why_unfit(answer("a") + message('2')) == Unfit::malformed);
    CHECK(b.why_unfit(start + tag("SELECT 1") + message('Z', "II")) == Unfit::malformed);
    CHECK(b.why_unfit(row("a") + description()) == Unfit::malformed);
    CHECK(b.why_unfit(std::string("D\0\0\0\3", 5)) == Unfit::malformed);
    CHECK(b.why_unfit(std::string("D\xff\xff\xff\xff", 5)) == Unfit::malformed);
}

TEST_CASE("rows that do not agree with the tag are not stored") {
    Bench b;
    CHECK(b.why_unfit(row("a") + tag("SELECT 2")) == Unfit::not_select);
    CHECK(b.why_unfit(row("a") + tag("SELECT 1 ")) == Unfit::not_select);
    CHECK(b.why_unfit(row("a") + tag("SELECT ")) == Unfit::not_select);
    CHECK(b.why_unfit(row("a") + tag("SELECT 18446744073709551617")) == Unfit::not_select);
}

TEST_CASE("an answer that is not complete is not stored") {
    Bench b;
    CHECK(b.outcome(description() + row("a")).first == FillEnd::incomplete);
    const auto cut = description() + row("a") + tag("SELECT 1") + "Z";
    CHECK(b.outcome(cut).first == FillEnd::incomplete);
    CHECK(b.outcome(std::string_view(answer("a")).substr(0, cut.size() + 4)).first ==
          FillEnd::incomplete);
    CHECK_FALSE(b.find());
    CHECK(b.w.db.stats().read()[Event::fill_refused] == 3);
}

TEST_CASE("an answer read before a write is not stored after it") {
    Bench b;
    auto during = b.begin();
    during.append(answer("old"));
    WriteFence f;
    f.add(b.w.db.relation(1));
    f.raise();
    CHECK(during.publish(150) == FillEnd::stale);
    f.settle();
    auto after = b.begin();
    after.append(answer("old"));
    b.w.db.relation(1).bump();
    CHECK(after.publish(150) == FillEnd::stale);
    CHECK_FALSE(b.find());
    CHECK(b.w.db.stats().read()[Event::fill_refused] == 2);
    CHECK(b.cache.used() == 0);
}

TEST_CASE("a fill without a captured snapshot is never stored") {
    Bench b;
    auto fill = begin_fill(b.cache, b.w.db, "k", Snapshot());
    fill.append(answer("a"));
    CHECK(fill.publish(150) == FillEnd::stale);
    CHECK_FALSE(b.find());
}

TEST_CASE("an answer over the limit is given up while it is read and costs nothing after") {
    Bench b;
    auto fill = b.begin();
    fill.append(description());
    std::size_t most = 0;
    for (int i = 0; i < 1000 && fill.collecting(); ++i) {
        fill.append(row(std::string(1000, 'x')));
        most = std::max<std::size_t>(most, b.cache.used());
    }
    CHECK(fill.end() == FillEnd::too_large);
    CHECK(most <= 3 * b.cache.max_entry());
    CHECK(b.cache.used() == 0);
    fill.append(tag("SELECT 1"));
    CHECK(fill.publish(150) == FillEnd::too_large);
    CHECK(fill.publish(150) == FillEnd::too_large);
    CHECK(b.w.db.stats().read()[Event::fill_refused] == 1);
}

TEST_CASE("a message that announces more than the limit is given up before it has come") {
    Bench b;
    auto fill = b.begin();
    fill.append(std::string("D\x3f\xff\xff\xff", 5));
    CHECK(b.cache.used() < 1000);
    fill.append(std::string(1 << 17, 'x'));
    CHECK(fill.end() == FillEnd::too_large);
}

TEST_CASE("a key over the limit collects nothing") {
    Bench b;
    auto fill = b.begin(std::string(1 << 17, 'k'));
    CHECK(fill.end() == FillEnd::too_large);
}

TEST_CASE("a fill that its session ends or drops leaves nothing behind") {
    Bench b;
    {
        auto fill = b.begin();
        fill.append(answer("a"));
        CHECK(b.cache.used() > 0);
        Fill moved = std::move(fill);
        moved.mark_unfit();
        CHECK(moved.unfit() == Unfit::caller);
        CHECK(b.cache.used() == 0);
        auto dropped = b.begin();
        dropped.append(description());
    }
    CHECK(b.cache.used() == 0);
    Fill none;
    none.append(answer("a"));
    CHECK_FALSE(none.collecting());
    CHECK(none.publish(1) == FillEnd::incomplete);
}

TEST_CASE("a moved fill goes on where it was") {
    Bench b;
    const auto bytes = answer("abc");
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        auto first = b.begin();
        first.append(std::string_view(bytes).substr(0, cut));
        Fill second = std::move(first);
        second.append(std::string_view(bytes).substr(cut));
        REQUIRE(second.publish(150) == FillEnd::published);
        REQUIRE(value_of(*b.find()) == "abc");
    }
}

TEST_CASE("the description of a statement is not taken for that of a binary portal") {
    Bench b;
    FillOptions options;
    options.text_results = false;
    const auto statement = message('t', std::string(2, '\0')) + message('T', "text");
    Fill fill(b.cache, b.w.db, "k", hash_key("k"), *b.w.capture({1}), options);
    fill.append(statement + row("a") + tag("SELECT 1") + ready());
    CHECK(fill.publish(1) == FillEnd::published);
    CHECK(b.find()->row_description().empty());
    Fill both(b.cache, b.w.db, "k", hash_key("k"), *b.w.capture({1}), options);
    both.append(statement + message('T', "binary") + row("a") + tag("SELECT 1") + ready());
    CHECK(both.publish(1) == FillEnd::published);
    CHECK(b.find()->row_description() == message('T', "binary"));
}

TEST_CASE("the description of a statement is stored whole or not at all") {
    FillOptions options;
    options.description = true;
    const auto parameters = message('t', std::string(2, '\0'));
    const auto end_of = [&](std::string_view bytes) {
        Bench b;
        Fill fill(b.cache, b.w.db, "k", hash_key("k"), *b.w.capture({1}), options);
        fill.append(bytes);
        const auto end = fill.publish(1);
        REQUIRE((end == FillEnd::published) == static_cast<bool>(b.find()));
        if (b.find()) CHECK(b.find()->description() == parameters + description());
        return end;
    };
    CHECK(end_of(message('1') + parameters + description() + ready()) == FillEnd::published);
    CHECK(end_of(parameters + ready()) == FillEnd::incomplete);
    CHECK(end_of(parameters + message('n') + ready()) == FillEnd::unfit);
    CHECK(end_of(description() + ready()) == FillEnd::unfit);
    CHECK(end_of(parameters + description() + description() + ready()) == FillEnd::unfit);
    CHECK(end_of(parameters + description() + row("a") + ready()) == FillEnd::unfit);
    CHECK(end_of(row("a") + tag("SELECT 1") + ready()) == FillEnd::incomplete);
    CHECK(end_of(parameters + description() + ready(wire::TxStatus::in_transaction)) ==
          FillEnd::unfit);
}
