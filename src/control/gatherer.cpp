// See gatherer.hpp.
#include "gatherer.hpp"

#include <algorithm>

namespace pgweir::control {

void Gatherer::reset() {
    inside_ = false;
    change_ = {};
    forget();
}

Gatherer::Result Gatherer::begin(std::uint32_t xid) {
    if (inside_ || xid == 0) return Result::malformed;
    reset();
    inside_ = true;
    xid_ = xid;
    return Result::more;
}

Gatherer::Result Gatherer::commit() {
    if (!inside_) return Result::malformed;
    inside_ = false;
    return Result::transaction;
}

Gatherer::Result Gatherer::define(cache::FullXid full_xid) {
    if (!inside_) change_ = {full_xid, {}, 0, false, false};
    everything();
    change_.defines = true;
    return inside_ ? Result::more : Result::definition;
}

void Gatherer::everything() {
    change_.everything = true;
    change_.states.clear();
}

void Gatherer::settle(std::size_t before) {
    auto& states = change_.states;
    for (auto i = before; i < states.size();) {
        const auto end = states.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(states.begin(), end, *end) == end)
            ++i;
        else
            states.erase(end);
    }
    if (states.size() > kMaxStates) everything();
}

}  // namespace pgweir::control
