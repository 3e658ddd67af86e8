// See sender_names.hpp.
#include "pgweir/pool/sender_names.hpp"

namespace pgweir::pool {

namespace {
/// A notification is told at once, so it is on its way for no longer than this; and what another
/// client sends through the connection so soon, unseen in its text, is rare.
constexpr base::Nanos kOnItsWay = 200 * base::kMillisecond;
/// Processes that are gone are not told apart from others: then all are forgotten.
constexpr std::size_t kMost = 4096;
}  // namespace

void SenderNames::name(std::uint32_t pid, std::uint32_t number) {
    const std::scoped_lock lock(mutex_);
    if (names_.size() >= kMost) names_.clear();
    names_[pid] = {number, 0};
}

void SenderNames::leave(std::uint32_t pid, base::Nanos now) {
    const std::scoped_lock lock(mutex_);
    const auto it = names_.find(pid);
    if (it != names_.end() && it->second.until == 0) it->second.until = now + kOnItsWay;
}

std::uint32_t SenderNames::find(std::uint32_t pid, base::Nanos now) const {
    const std::scoped_lock lock(mutex_);
    const auto it = names_.find(pid);
    if (it == names_.end() || (it->second.until != 0 && now > it->second.until)) return 0;
    return it->second.number;
}

}  // namespace pgweir::pool
