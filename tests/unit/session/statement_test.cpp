#include "pgweir/session/statement.hpp"

#include <doctest/doctest.h>

using namespace pgweir::session;

TEST_CASE("a statement is made in the place of one that is over, and of no other") {
    const std::string types("\0\0\0\27", 4);
    auto first = StatementTable::make("select 1", types, 7, 3);
    const auto* place = first.get();
    const auto number = first->id;
    auto held = first;
    CHECK(StatementTable::spare(std::move(held)) == nullptr);  // `first` has it still
    CHECK(StatementTable::spare(nullptr) == nullptr);
    auto next =
        StatementTable::make("select 22", {}, 8, 4, StatementTable::spare(std::move(first)));
    CHECK(next.get() == place);
    CHECK(next->id > number);
    CHECK(next->text == "select 22");
    CHECK(next->types.empty());
    CHECK(next->definitions == 8);
    CHECK(next->profile == 4);
    CHECK(next->scan().shape == pgweir::query::scan_text("select 22").shape);
    auto longest = StatementTable::make(std::string(100'000, 'x'), {});
    CHECK(StatementTable::spare(std::move(longest)) == nullptr);
    StatementTable table;
    for (int i = 0; i < 2000; ++i) table.intern("select " + std::to_string(i), {}, 1, 1);
    auto interned = table.intern("select 0", {}, 1, 1);  // no longer among those that are kept
    CHECK(StatementTable::spare(std::move(interned)) == nullptr);
}
