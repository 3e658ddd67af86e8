// See write_sets.hpp.
#include "write_sets.hpp"

#include <algorithm>
#include <unordered_set>

namespace pgweir::control {

void WriteSets::add_unique(std::vector<Oid>& list, Oid oid) {
    if (std::find(list.begin(), list.end(), oid) == list.end()) list.push_back(oid);
}

/// Functions that nothing was said of do nothing: built-in ones without effects.
std::optional<std::vector<const WriteSets::Function*>> WriteSets::reached(
    const std::vector<Oid>& from) const {
    std::vector<Oid> open = from;
    std::unordered_set<Oid> seen(from.begin(), from.end());
    std::vector<const Function*> all;
    while (!open.empty()) {
        const auto at = functions_.find(open.back());
        open.pop_back();
        if (at == functions_.end()) continue;
        if (at->second.unknown || all.size() == kMostFunctions) return std::nullopt;
        all.push_back(&at->second);
        for (const Oid callee : at->second.callees)
            if (seen.insert(callee).second) open.push_back(callee);
    }
    return all;
}

}  // namespace pgweir::control
