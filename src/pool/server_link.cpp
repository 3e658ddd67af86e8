// See server_link.hpp.
#include "pgweir/pool/server_link.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace pgweir::pool {

bool PreparedSet::touch(std::uint64_t id) {
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return false;
    order_.splice(order_.end(), order_, it->second);
    return true;
}

void PreparedSet::insert(std::uint64_t id) {
    if (touch(id)) return;
    order_.push_back(id);
    by_id_.emplace(id, std::prev(order_.end()));
}

void PreparedSet::erase(std::uint64_t id) {
    const auto it = by_id_.find(id);
    if (it == by_id_.end()) return;
    order_.erase(it->second);
    by_id_.erase(it);
}

void PreparedSet::clear() {
    order_.clear();
    by_id_.clear();
}

std::string prepared_name(std::uint64_t id) {
    char name[kPreparedPrefix.size() + std::numeric_limits<std::uint64_t>::digits10 + 1];
    auto* const digits = std::copy(kPreparedPrefix.begin(), kPreparedPrefix.end(), name);
    return {name, std::to_chars(digits, std::end(name), id).ptr};
}

}  // namespace pgweir::pool
