// A server's snapshot as text (pg_current_snapshot()), and which transactions it sees: the stamp
// that a fill carries, because logical decoding shows a commit before it is visible.
// Thread: a value. Errors: a text that PostgreSQL would not print is no stamp.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pgweir::cache {

/// A transaction's number with its epoch, as PostgreSQL's xid8: never comes back.
using FullXid = std::uint64_t;

class Stamp {
  public:
    /// More running transactions than any server has are refused.
    static constexpr std::size_t kMaxRunning = 1 << 20;

    Stamp() = default;  // sees nothing
    /// "xmin:xmax:xip,xip,...": functions-info, pg_snapshot.
    static std::optional<Stamp> parse(std::string_view text);

    /// The transaction is over and its rows, where it committed, are visible in this snapshot.
    bool sees(FullXid xid) const noexcept;
    bool sees_all(const std::vector<FullXid>& xids) const noexcept;
    /// The same of all from `first` to `last`.
    bool sees_range(FullXid first, FullXid last) const noexcept;
    /// Everything below is over.
    FullXid xmin() const noexcept { return xmin_; }
    /// Everything from here on had not begun or is not seen.
    FullXid xmax() const noexcept { return xmax_; }
    /// Those in between that were running, ascending.
    const std::vector<FullXid>& running() const noexcept { return running_; }

  private:
    FullXid xmin_ = 0;
    FullXid xmax_ = 0;
    std::vector<FullXid> running_;
};

/// What a fill's stamp has to see.
struct Unseen {
    std::vector<FullXid> each;
    FullXid all_from = 0, all_up_to = 0;  // and everything from one to the other; 0: nothing
    bool seen_by(const Stamp& stamp) const noexcept {
        return stamp.sees_all(each) && (all_up_to == 0 || stamp.sees_range(all_from, all_up_to));
    }
};

/// The number nearest to `near` that ends in `xid`: what the change stream names in 32 bits.
FullXid full_xid(std::uint32_t xid, FullXid near) noexcept;

}  // namespace pgweir::cache
