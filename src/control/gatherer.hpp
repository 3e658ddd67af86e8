// Gathers what a logical decoding plugin says of rows into transactions, each as the epochs it
// raises. What a plugin's messages look like is its reader's affair: decoding.hpp for
// test_decoding, pgoutput.hpp for pgoutput. Invariant: whatever is said, memory is bounded; what is
// not understood inside a transaction makes it one that changed everything, what is out of order is
// malformed. Thread: its owner's.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "pgweir/cache/epochs.hpp"

namespace pgweir::control {

class Gatherer {
  public:
    /// More states, of relations or of rows, than this are "everything".
    static constexpr std::size_t kMaxStates = 128;
    /// More, and rows are not told apart any more.
    static constexpr std::size_t kMaxWithRows = 96;
    /// What a change was found to concern: its relation, or only some of its rows.
    enum class Found : std::uint8_t { nothing, relation, rows };
    /// `definition`: one that comes without its transaction around it, as it may before
    /// PostgreSQL 16 until rows are changed, too.
    enum class Result : std::uint8_t { more, transaction, definition, malformed };

    Gatherer() = default;
    virtual ~Gatherer() = default;
    Gatherer(const Gatherer&) = delete;
    Gatherer& operator=(const Gatherer&) = delete;

    /// One message of the plugin.
    virtual Result take(std::string_view message) = 0;
    std::uint32_t xid() const noexcept { return xid_; }
    /// After Result::transaction, where its xid is left at 0, and after Result::definition.
    cache::Change take_change() { return std::move(change_); }
    bool inside() const noexcept { return inside_; }
    /// As if nothing of the transaction at work had been heard.
    void reset();

  protected:
    Result begin(std::uint32_t xid);
    Result commit();
    /// The transaction changes the catalog; `full_xid` is what it says of itself, 0: it does not.
    Result define(cache::FullXid full_xid);
    /// Nothing more of this transaction matters.
    void everything();
    bool knows_everything() const noexcept { return change_.everything; }
    bool tells_rows() const noexcept { return change_.states.size() < kMaxWithRows; }
    /// Of one change: more are not even collected.
    bool too_many() const noexcept { return change_.states.size() > 4096; }
    /// Where a change adds its states, and how many were there before; settle() has each there
    /// once, and not too many. Those before are so already.
    std::vector<cache::State*>& states() noexcept { return change_.states; }
    void settle(std::size_t before);
    /// Another transaction begins.
    virtual void forget() {}

  private:
    bool inside_ = false;
    std::uint32_t xid_ = 0;
    cache::Change change_;
};

}  // namespace pgweir::control
