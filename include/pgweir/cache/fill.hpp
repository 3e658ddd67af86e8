// Collects a server's answer while it passes to the client, and publishes it as an entry.
// Invariant: only a complete, plain answer to one SELECT, or the description of one, read under a
// Snapshot that is still valid, is ever published; what is held is bounded by the cache's max_entry
// and counted in its account. Thread: its session's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pgweir/cache/store.hpp"

namespace pgweir::cache {

enum class FillEnd : std::uint8_t {
    collecting,
    published,
    stale,       // a dependency changed, or a commit on one is in flight
    too_large,   // over max_entry
    no_room,     // the account is full of what cannot be evicted
    unfit,       // see Unfit
    incomplete,  // publish() before the answer was complete
    older,       // an entry filled later is there already
    verified,    // the answer is that of FillOptions::verify
    differs,     // it is not, though nothing changed in between
};

enum class Unfit : std::uint8_t {
    none,
    error,             // ErrorResponse
    notice,            // NoticeResponse or NotificationResponse: the client would miss it on a hit
    parameter_change,  // ParameterStatus
    suspended,         // PortalSuspended: not all rows
    several_results,   // more than one CommandComplete
    not_select,        // another tag, or a row count that does not agree with the rows
    transaction,       // ReadyForQuery says a transaction is open
    malformed,         // framing or order that PostgreSQL does not send
    caller,            // mark_unfit() of the session: cancelled, batch wrote ...
};

struct FillOptions {
    base::Nanos sent = 0;      // now, before the query is sent
    base::Nanos ttl = kNever;  // from `sent`
    base::Hash128 shape = {};  // of the statement; see Entry::shape()
    /// An entry that was valid when this fill's snapshot was captured: the answer is compared with
    /// it. Rows may come in another order, which is legal where the query asks for none.
    EntryPtr verify = {};
    /// Where what this costs is counted; null: nowhere.
    LedgerRowPtr row = {};
    /// Asked in a transaction that stays open; else an answer that ends with one open is no entry.
    bool in_transaction = false;
    /// All results are text, so that Describe of the statement gives the portal's description, too.
    bool text_results = true;
    /// Not rows are collected but what Describe of a statement says: a ParameterDescription and a
    /// RowDescription.
    bool description = false;
};

class Fill {
  public:
    Fill() = default;  // collects nothing
    /// A moved-from fill may only be destroyed or assigned to.
    /// `snapshot` was captured before the message is sent that takes the server's snapshot: the
    /// simple Query or the Bind. Cache and database outlive the fill. The answer is collected in
    /// the memory of `key`: see with_room().
    Fill(ResultCache& cache, DatabaseState& database, std::string key, const base::Hash128& hash,
         Snapshot snapshot, const FillOptions& options);
    /// A copy of the key with room behind it for a small answer.
    static std::string with_room(std::string_view key);
    Fill(Fill&&) noexcept = default;
    Fill& operator=(Fill&&) noexcept = default;

    /// Others wait for what this collects: they are woken when it is stored or given up.
    void lead_with(Lead lead);

    /// False: given up or never begun; more bytes are ignored.
    bool collecting() const noexcept { return end_ == FillEnd::collecting; }
    FillEnd end() const noexcept { return end_; }
    Unfit unfit() const noexcept { return unfit_; }

    /// The answer's bytes as they come, cut anywhere, ReadyForQuery included: sorts the messages.
    void append(std::string_view bytes);

    // For a caller that has framed the answer itself: whole messages.
    void row_description(std::string_view message);
    void parameter_description(std::string_view message);
    /// One or more DataRow messages.
    void rows(std::string_view messages);
    /// The CommandComplete.
    void complete(std::string_view message);

    void mark_unfit(Unfit reason = Unfit::caller);

    bool needs_stamp() const noexcept { return snapshot_.needs_stamp(); }

    /// To be called at a clean ReadyForQuery, once. Also counts the outcome. `stamp`: of a snapshot
    /// the same server connection took after the fill's capture and before the query's own.
    FillEnd publish(base::Nanos now, const std::optional<Stamp>& stamp = std::nullopt);

  private:
    enum class Target : std::uint8_t { none, rows, row_description, parameter_description, status };

    /// A run of the bytes collected.
    struct Part {
        std::size_t at = 0, size = 0;
    };
    std::string_view view(const Part& part) const noexcept {
        return std::string_view(bytes_).substr(part.at, part.size);
    }
    std::string_view key() const noexcept { return std::string_view(bytes_).substr(0, key_size_); }
    void give_up(FillEnd end) noexcept;
    void take(std::string_view bytes);
    bool store(Part& part, std::string_view bytes);
    bool make_capacity(std::size_t size);
    void whole_message(std::string_view message);
    void begin_message();
    Target judge_message(char type);
    void end_message();
    bool tag_agrees() const;
    bool whole() const noexcept;
    void another_result();
    void plant_completion();
    FillEnd publish_entry(base::Nanos now, const std::optional<Stamp>& stamp);
    bool agrees(const Entry& entry) const;
    void count(FillEnd end, std::uint64_t bytes, base::Nanos now) noexcept;

    ResultCache* cache_ = nullptr;
    DatabaseState* database_ = nullptr;
    base::Hash128 hash_;
    Snapshot snapshot_;
    FillOptions options_;
    Charge charge_;
    FillEnd end_ = FillEnd::incomplete;
    Unfit unfit_ = Unfit::none;

    Lead lead_;
    std::string bytes_;  // the key, then messages as they came
    std::size_t key_size_ = 0;
    Part row_description_, parameter_description_, data_;
    std::uint64_t rows_ = 0;
    std::size_t tag_at_ = 0;  // of the CommandComplete in data_
    bool complete_ = false;
    char status_ = 0;                   // of ReadyForQuery; 0: not seen
    bool statement_described_ = false;  // this or the last message was a ParameterDescription

    // Framing: the header as far as it has come, then the body's bytes still to come.
    char header_[5] = {};
    std::size_t header_size_ = 0;
    std::uint32_t body_left_ = 0;
    Target target_ = Target::none;
};

}  // namespace pgweir::cache
