#include "pgweir/base/intrusive_list.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace pgweir;

namespace {
struct Item {
    int value = 0;
    base::ListLink link;
};
using List = base::IntrusiveList<Item, &Item::link>;
}  // namespace

TEST_CASE("a destroyed element has left its list") {
    List list;
    Item first{1, {}};
    {
        Item second{2, {}};
        list.push_back(first);
        list.push_back(second);
        CHECK(list.size() == 2);
    }
    CHECK(list.size() == 1);
    CHECK(list.front()->value == 1);
}

TEST_CASE("order is kept, and an element may leave while the list is walked") {
    List list;
    Item a{1, {}}, b{2, {}}, c{3, {}};
    list.push_back(b);
    list.push_back(c);
    list.push_front(a);
    std::vector<int> seen;
    list.for_each([&](Item& i) {
        seen.push_back(i.value);
        i.link.unlink();
    });
    CHECK(seen == std::vector<int>{1, 2, 3});
    CHECK(list.empty());
    CHECK(list.pop_front() == nullptr);
}

TEST_CASE("an element moves from list to list") {
    List one, two;
    Item a{1, {}};
    one.push_back(a);
    two.push_back(a);
    CHECK(one.empty());
    CHECK(two.size() == 1);
}
