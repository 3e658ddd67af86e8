// Reading a snapshot's text, and comparing across wraparound.
#include "pgweir/cache/stamp.hpp"

#include <algorithm>
#include <charconv>

namespace pgweir::cache {

namespace {

/// Takes digits off the front of `text`; false when there are none or too many.
bool take_number(std::string_view& text, FullXid& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take_colon(std::string_view& text) noexcept {
    if (!text.starts_with(':')) return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

std::optional<Stamp> Stamp::parse(std::string_view text) {
    Stamp s;
    if (!take_number(text, s.xmin_) || !take_colon(text)) return std::nullopt;
    if (!take_number(text, s.xmax_) || !take_colon(text)) return std::nullopt;
    if (s.xmin_ == 0 || s.xmin_ > s.xmax_) return std::nullopt;
    while (!text.empty()) {
        FullXid xid = 0;
        if (!s.running_.empty()) {
            if (text[0] != ',') return std::nullopt;
            text.remove_prefix(1);
        }
        if (s.running_.size() == kMaxRunning || !take_number(text, xid)) return std::nullopt;
        const bool ascends = s.running_.empty() ? xid >= s.xmin_ : xid > s.running_.back();
        if (!ascends || xid >= s.xmax_) return std::nullopt;
        s.running_.push_back(xid);
    }
    return s;
}

bool Stamp::sees(FullXid xid) const noexcept {
    if (xid < xmin_) return true;
    return xid < xmax_ && !std::binary_search(running_.begin(), running_.end(), xid);
}

bool Stamp::sees_all(const std::vector<FullXid>& xids) const noexcept {
    return std::all_of(xids.begin(), xids.end(), [this](FullXid x) { return sees(x); });
}

bool Stamp::sees_range(FullXid first, FullXid last) const noexcept {
    if (last < xmin_) return true;
    const auto next = std::lower_bound(running_.begin(), running_.end(), first);
    return last < xmax_ && (next == running_.end() || *next > last);
}

FullXid full_xid(std::uint32_t xid, FullXid near) noexcept {
    const auto distance = static_cast<std::int32_t>(xid - static_cast<std::uint32_t>(near));
    const auto moved = near + static_cast<FullXid>(static_cast<std::int64_t>(distance));
    // Before the first epoch there is nothing.
    return distance < 0 && moved > near ? xid : moved;
}

}  // namespace pgweir::cache
