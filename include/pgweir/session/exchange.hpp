// What is in flight between one session and its server: which answers are still to come, in order,
// and the measurements of the statement at work. Taken from the worker's store when a session gets
// a server and given back when nothing is in flight, so an idle session holds none. Thread: the
// worker's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pgweir/base/clock.hpp"
#include "pgweir/cache/epochs.hpp"
#include "pgweir/cache/fill.hpp"
#include "pgweir/pool/shared_pool.hpp"
#include "pgweir/session/judge_memo.hpp"
#include "pgweir/session/statement.hpp"
#include "pgweir/wire/sqlstate.hpp"
#include "pgweir/wire/writer.hpp"

namespace pgweir::session {

struct Inspection;

/// Whether the server may read what follows a message as the data of COPY.
enum class Copies : std::uint8_t {
    none,
    one,      // COPY: up to the next CopyDone or CopyFail
    several,  // it may be part of the text, and more than once
    ended,    // one, and CopyDone or CopyFail was sent
};
Copies copies(const query::Verdict& verdict, std::string_view text) noexcept;

/// One answer the server owes, or that the proxy gives itself when its turn comes.
struct Expect {
    enum class Kind : std::uint8_t {
        query,          // everything up to ReadyForQuery
        sync,           // ReadyForQuery
        function_call,  // FunctionCallResponse and ReadyForQuery
        parse,          // ParseComplete
        bind,
        close,
        describe_statement,
        describe_portal,
        execute,
        local_parse,  // ParseComplete made here: the server has the statement already
        local_close,  // CloseComplete made here: statements are shared and stay on the server
    };
    Kind kind = Kind::query;
    bool swallow = false;        // asked by the proxy, not by the client
    bool quiet = false;          // and a failure of it is nobody's business
    bool label = false;          // sets application_name and nothing else: nor is one of that
    bool tells_ready = false;    // its end is what the client waits for
    bool inspect = false;        // the answer says what the session has left on the server
    bool stamp = false;          // the answer is the server's snapshot, for the fills behind it
    bool begin = false;          // of a BEGIN that was kept back
    bool again = false;          // the batch it ends failed for a stale plan and is sent again
    bool channels = false;       // of the hand-over of channels
    bool remakes = false;        // PREPARE of the statement that `statement` says, once more
    bool takes = false;          // what Exchange::taking says
    bool resets = false;         // query, execute: takes away what Exchange::lost says
    bool kept = false;           // parse: the server has the statement whatever becomes of it
    bool noted = false;          // parse, local_parse: what it gave is in Exchange::parsed
    bool own_error : 1 = false;  // sent to make the server fail; `statement`: the index in errors
    bool learns : 1 = false;  // describe: the answer is kept in the first of Exchange::undescribed
    bool tells : 1 = false;   // describe: what the first of Exchange::renewed stands for now
    bool flushed = false;     // Flush was sent behind it
    Copies copies = Copies::none;  // query, execute
    std::uint16_t fill = 0;        // which of Exchange::fills collects the answer, from 1; 0: none
    std::uint32_t batch = 0;       // which one its ReadyForQuery ends
    std::uint64_t statement = 0;
    std::uint64_t work = 0;  // query, execute: what it runs, a number of WorkQueue

    /// Gives a name, or takes one.
    bool names() const noexcept {
        return kind == Kind::parse || kind == Kind::local_parse || kind == Kind::close ||
               kind == Kind::local_close;
    }
    bool describes() const noexcept {
        return kind == Kind::describe_statement || kind == Kind::describe_portal;
    }
    /// Asked for the proxy's own purposes: the client neither hears of a failure nor cancels it.
    bool unheard() const noexcept { return quiet || inspect || label; }
    /// Its answer ends with ReadyForQuery.
    bool brings_ready() const noexcept {
        return kind == Kind::query || kind == Kind::sync || kind == Kind::function_call;
    }
};

static_assert(sizeof(Expect) <= 40);  // several for each query

/// A name a Parse gave, taken back when the server refuses or skips it, in the order of the Parses.
/// Of the unnamed statement only where it may be skipped: then the one before is the one again.
struct ParsedName {
    std::uint64_t statement = 0;
    std::string name;
    StatementPtr before;
};

/// A name a Close took, given back when the server skips it.
struct ClosedName {
    std::string name;
    StatementPtr statement;    // null: there is nothing to be given back
    bool parsed_here = false;  // its Parse is not answered yet
};

/// A name that came to stand for what its statement means by now, to be told by a Describe that is
/// not answered yet: until it is, an error in its batch has the name stand for what it did.
struct RenewedName {
    std::string name;
    StatementPtr before;
    std::uint64_t statement = 0;  // what it stands for now, unless it was given anew since
    std::uint32_t batch = 0;
    bool asked = false;  // its Describe has been sent
};

/// What a session has prepared by SQL, and what of it could not be made again on the server at
/// hand, with PostgreSQL's own words for it.
struct SqlPrepared {
    pool::SqlStatementsPtr all;
    std::vector<std::pair<std::string, std::string>> failed;  // name, body of ErrorResponse
};

/// What stands behind the unnamed portal of a transaction: what the server has there, nothing, or
/// what was answered without it, of which the server may have another one there.
enum class UnnamedPortal : std::uint8_t { servers, none, answered };
struct AnsweredPortal {
    StatementPtr statement;
    std::string values;  // its Bind's body behind the names
};

/// What DEALLOCATE and DISCARD ALL are about to take away: the server's command tags say what they
/// have. Until the statement has been answered nothing is sent behind it, so that all agree on what
/// is there.
struct Taking {
    struct What {
        std::string name;
        bool all = false;
    };
    std::vector<What> due;  // in the order of the text
    bool renamed = false;   // some were given the client's names on the server, for this only
};

inline constexpr wire::Report kAborted{
    .sqlstate = wire::sqlstate::kInFailedTransaction,
    .message = "current transaction is aborted, commands ignored until end of transaction block"};
inline constexpr wire::Report kNoTransactions{
    .sqlstate = wire::sqlstate::kFeatureNotSupported,
    .message = "transaction blocks are not allowed in statement pooling mode"};

/// As PostgreSQL says it: drivers that hear it describe their statement anew.
inline constexpr wire::Report kResultChanged{.sqlstate = wire::sqlstate::kFeatureNotSupported,
                                             .message = "cached plan must not change result type",
                                             .routine = "RevalidateCachedQuery"};

/// What the client is told where the server was made to fail for the proxy's reasons.
struct OwnError {
    std::string sqlstate;
    std::string message;
    std::string hint;
    std::string routine;
    wire::Report report() const noexcept {
        return {.sqlstate = sqlstate, .message = message, .hint = hint, .routine = routine};
    }
};
inline OwnError own_error(const wire::Report& report) {
    return {std::string(report.sqlstate), std::string(report.message), std::string(report.hint),
            std::string(report.routine)};
}

/// Of a queue in a vector: what lies in front of `head` is over. Taken away once it is most of it,
/// so what is left is moved about once.
template <class T>
void drop_front(std::vector<T>& items, std::size_t& head) noexcept {
    constexpr std::size_t kMuch = 64;
    if (head == items.size())
        items.clear();
    else if (head > kMuch && head > items.size() / 2)
        items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(head));
    else
        return;
    head = 0;
}

/// Indices and pointers hold until something is added or taken.
class ExpectQueue {
  public:
    bool empty() const noexcept { return head_ == items_.size(); }
    std::size_t size() const noexcept { return items_.size() - head_; }
    Expect& front() noexcept { return items_[head_]; }
    const Expect& front() const noexcept { return items_[head_]; }
    Expect& back() noexcept { return items_.back(); }
    Expect& operator[](std::size_t i) noexcept { return items_[head_ + i]; }
    const Expect& operator[](std::size_t i) const noexcept { return items_[head_ + i]; }
    /// The first and, behind the last, the end.
    const Expect* begin() const noexcept { return items_.data() + head_; }
    const Expect* end() const noexcept { return items_.data() + items_.size(); }
    void push(const Expect& e) {
        names_ += e.names();
        items_.push_back(e);
    }
    void pop() noexcept {
        names_ -= front().names();
        ++head_;
        drop_front(items_, head_);
    }
    /// `first`, from begin() to end(), is the next.
    void pop_to(const Expect* first) noexcept {
        if (names_ > 0)
            for (const auto* e = begin(); e != first; ++e) names_ -= e->names();
        head_ = static_cast<std::size_t>(first - items_.data());
        drop_front(items_, head_);
    }
    /// How many of them give or take a name.
    std::size_t names() const noexcept { return names_; }
    void erase(std::size_t i) {
        names_ -= (*this)[i].names();
        items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(head_ + i));
    }
    void clear() noexcept {
        items_.clear();
        head_ = names_ = 0;
    }
    std::size_t capacity() const noexcept { return items_.capacity(); }

  private:
    std::vector<Expect> items_;
    std::size_t head_ = 0, names_ = 0;
};

/// Whether batch `a` was sent behind `b`. Their numbers may begin anew.
inline bool later(std::uint32_t a, std::uint32_t b) noexcept {
    return static_cast<std::int32_t>(a - b) > 0;
}

/// Raised for messages that may have committed, each in the batch of these.
class FenceQueue {
  public:
    struct Raised {
        cache::WriteFence fence;
        std::uint32_t batch = 0;
    };
    bool empty() const noexcept { return head_ == items_.size(); }
    void push(cache::WriteFence fence, std::uint32_t batch) {
        items_.push_back({std::move(fence), batch});
    }
    /// The one that is up for this batch, which is the last; null: none.
    cache::WriteFence* of(std::uint32_t batch) noexcept {
        return !empty() && items_.back().batch == batch ? &items_.back().fence : nullptr;
    }
    /// Those up to this batch.
    void settle(std::uint32_t last) noexcept {
        while (!empty() && !later(items_[head_].batch, last)) items_[head_++].fence.settle();
        drop_front(items_, head_);
    }
    /// All. Gives one of them, so that its memory serves the next.
    cache::WriteFence settle_all() noexcept {
        cache::WriteFence first;
        if (!empty()) {
            items_[head_].fence.settle();
            first = std::move(items_[head_].fence);
        }
        clear();
        return first;
    }
    void clear() noexcept {
        items_.clear();
        head_ = 0;
    }
    std::vector<Raised> take() noexcept {
        head_ = 0;
        return std::exchange(items_, {});
    }
    std::size_t capacity() const noexcept { return items_.capacity(); }

  private:
    std::vector<Raised> items_;
    std::size_t head_ = 0;
};

/// What the client is told in place of the server's words, by numbers that count up from 0.
class OwnErrors {
  public:
    std::uint64_t push(OwnError error) {
        items_.push_back(std::move(error));
        return base_ + items_.size() - 1;
    }
    /// Those before are over.
    OwnError take(std::uint64_t number) {
        auto error = std::move(items_[number - base_]);
        drop_to(number);
        return error;
    }
    void drop_to(std::uint64_t number) noexcept {
        if (number < base_) return;
        const auto n = static_cast<std::ptrdiff_t>(number - base_ + 1);
        items_.erase(items_.begin(), items_.begin() + n);
        base_ = number + 1;
    }
    void clear() noexcept {
        items_.clear();
        base_ = 0;
    }

  private:
    std::vector<OwnError> items_;
    std::uint64_t base_ = 0;
};

/// A statement that was sent and is not completed yet, for the slow log and the statistics.
struct Work {
    MemoPtr memo;
    StatementPtr statement;  // extended protocol
    std::string bind;        // the Bind's body behind its names, where parameters are logged
};

/// What is at work, by numbers that count up from 1.
class WorkQueue {
  public:
    std::uint64_t push(Work work) {
        items_.push_back(std::move(work));
        return last();
    }
    std::uint64_t last() const noexcept { return base_ + items_.size(); }
    Work* find(std::uint64_t number) noexcept {
        return number > base_ && number <= last() ? &items_[number - base_ - 1] : nullptr;
    }
    /// Those before `number` are over.
    void drop_before(std::uint64_t number) noexcept {
        if (number <= base_ + kKept) return;
        const auto n = std::min<std::uint64_t>(number - base_ - 1, items_.size());
        items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(n));
        base_ += n;
    }
    void clear() noexcept {
        items_.clear();
        base_ = 0;
    }
    std::size_t capacity() const noexcept { return items_.capacity(); }

  private:
    static constexpr std::uint64_t kKept = 64;  // so that a pipeline is not moved for each
    std::vector<Work> items_;
    std::uint64_t base_ = 0;
};

/// Another session keeps its server connection while this lives.
using Loan = std::shared_ptr<void>;
using ProcessAnswer = std::function<void(std::uint32_t process)>;

/// A session's server connection where others name its process in their statements.
struct Lending {
    std::vector<ProcessAnswer> waiting;  // until it has a server connection
    unsigned count = 0;                  // those for whom it keeps it
    unsigned overdue = 0;                // whose end is no news any more
    base::Nanos since = 0;
    bool waits = false;          // for a server connection, and not for its client
    bool kept_from_all = false;  // a loan was overdue: the connection is for nobody after it
    bool signalled = false;      // a signal may be on its way to its server process
};

/// What was found to define nothing, by a catalog or by the last one there was.
struct Believed {
    std::uint64_t catalog = 0;   // MemoEntry::catalog_version
    std::uint64_t catalogs = 0;  // the same
    std::uint32_t batch = 0;     // the last one in which it was
};
/// They are over: whichever were not run under the catalog in force that they were judged by may
/// have done anything. True: the catalog is to be read again.
bool outrun(std::span<const Believed> believed, cache::DatabaseState& database) noexcept;

struct Exchange {
    ExpectQueue expects;
    unsigned ready_expected = 0;  // query, sync and function_call items, the proxy's own included
    // Batches end with a ReadyForQuery each and have numbers in the order they are sent in.
    std::uint32_t batch = 0;  // being sent
    std::uint32_t ended = 0;  // answered last

    // The statement at work, for the slow log and the statistics.
    std::string text;            // simple protocol; cut
    StatementPtr statement;      // extended protocol
    std::string statement_name;  // the client's
    bool extended = false;
    bool timed = false;  // timeouts.query applies
    bool cancel_sent = false;
    base::Nanos started = 0;        // its first message was complete
    base::Nanos sent = 0;           // forwarded to the server; 0: not yet
    base::Nanos first_byte = 0;     // the server began to answer
    std::uint64_t rows = 0;         // sent or changed
    std::uint64_t rows_before = 0;  // when the command at work began
    std::uint64_t bytes = 0;
    std::string sqlstate;
    std::string_view cache_word;      // verdict for the log: "miss", or why not
    base::Nanos wait = 0;             // for a server connection
    base::Nanos tx_started = 0;       // of the transaction that is open
    std::uint32_t tx_statements = 0;  // completed in it
    base::Nanos idle_since = 0;       // inside it; 0: at work, or logged already
    base::Nanos idle_before = 0;      // silence in the transaction before the present statement
    WorkQueue works;
    std::uint64_t work = 0;                       // completed last, or that failed
    std::uint64_t parts = 0;                      // Executes completed since the last ReadyForQuery
    base::Nanos part_started = 0;                 // of the next Execute
    std::uint64_t part_rows = 0, part_bytes = 0;  // before it
    std::string error;                            // the server's message, where errors are logged

    // Effects that end with the transaction or the lease.
    FenceQueue fences;
    cache::WriteFence written;     // collected in this transaction, not raised yet
    bool wrote = false;            // something in flight may write
    bool may_leave_state = false;  // reset the server before another session uses it
    bool suspect = false;          // look at what is left before it goes back
    query::PinReason suspicion = query::PinReason::none;  // why, if the look fails
    query::PinReason lasting = query::PinReason::none;    // pins once its transaction commits
    bool reset_after_look = false;                        // the look does not see everything
    std::vector<std::string> custom_settings;             // that may have been set
    std::unique_ptr<Inspection> inspection;               // what was found, until it is acted on
    bool acted = false;          // what was sent did more than read, or left a portal
    bool bound = false;          // the server has a portal that has not been executed
    bool bound_unnamed = false;  // ... which is the unnamed one
    bool begun = false;          // a BEGIN was sent outside a transaction, for all that is known
    std::vector<Believed> believed;
    bool commit_in_flight = false;  // what was sent may have committed something
    bool copy_bound = false;        // a portal of the transaction may be a COPY
    unsigned copy_syncs = 0;        // kept back since the last data of the COPY
    bool unsynced = false;          // extended messages were sent, and no Sync behind them
    bool executed = false;          // ... with an Execute among them
    bool skipping = false;          // the server skips what the client sends, up to its Sync
    pool::PinPermit pin_permit;     // what runs or has run here may keep the server connection
    StatementPtr begin;             // BEGIN was sent ahead of the client's first statement
    std::string again;              // a batch that may meet a stale plan, up to its answer
    bool sends_again = false;       // it has, and comes next
    bool in_doubt = false;          // what comes next waits for what a name stands for
    bool begin_failed = false;      // ... and refused: the client's transaction has failed
    std::unique_ptr<pool::Settings> lost;  // by RESET: those the client began with come back
    std::unique_ptr<Taking> taking;        // by what was sent last
    std::vector<std::pair<std::string, StatementPtr>> takers;  // portals that will, when executed
    std::vector<ParsedName> parsed;         // names given by Parses that are not answered yet
    std::vector<ClosedName> closed;         // by Closes that are not answered yet
    std::vector<StatementPtr> undescribed;  // what will be known to have been told of them
    StatementPtr meant;                     // that which the Bind that waits may stand for by now
    std::vector<RenewedName> renewed;       // in the order of their Describes
    std::string bound_name;                 // of the portal bound last, where it has one
    OwnErrors errors;
    std::vector<std::pair<std::uint32_t, Loan>> loans;  // of what is named in a batch
    bool unpin_at_ready = false;
    bool may_end_transaction = false;           // something since the last ReadyForQuery may commit
    std::vector<std::uint32_t> defines;         // batches with DDL: the catalog must be read again
    std::uint64_t own_definitions = 0;          // see definitions()
    std::vector<std::uint32_t> changes_logins;  // by which new logins are given something else
    std::vector<std::string> vacated;           // databases: see Environment::vacate_database
    std::vector<cache::Fill> fills;             // one for each answer that is to be stored
    std::uint16_t current_fill = 0;             // of the portal bound last
    std::optional<cache::Stamp> stamp;          // taken before the fills' snapshots

    Exchange();
    ~Exchange();
    void reset();
    void expect(const Expect& e) {
        expects.push(e);
        if (!e.brings_ready()) return;
        expects.back().batch = batch++;
        ++ready_expected;
    }
    bool over(std::uint32_t of) const noexcept { return !later(of, ended); }
    /// The present batch is one of them.
    void note_in(std::vector<std::uint32_t>& batches) {
        if (batches.empty() || batches.back() != batch) batches.push_back(batch);
    }
    /// Those that are over are no longer among them. False: there were none.
    bool leave(std::vector<std::uint32_t>& batches) const {
        return !batches.empty() && std::erase_if(batches, [&](auto b) { return over(b); }) > 0;
    }
    /// The present batch may change definitions: what is made from now on is for this transaction.
    void note_defines();
    /// DatabaseState's number of definitions; while they are changed and not committed, one that is
    /// nobody else's. `exchange`: may be null.
    static std::uint64_t definitions(const Exchange* exchange,
                                     const cache::DatabaseState& database) noexcept {
        const bool own = exchange != nullptr && !exchange->defines.empty();
        return own ? exchange->own_definitions : database.definitions();
    }
    void believe(std::uint64_t catalog, std::uint64_t catalogs) {
        const bool known = !believed.empty() && believed.back().catalog == catalog &&
                           believed.back().catalogs == catalogs;
        if (known)
            believed.back().batch = batch;
        else
            believed.push_back({catalog, catalogs, batch});
    }
    /// What the batch is about to do belongs to the fence that is up for it, if there is one.
    cache::WriteFence& writes() noexcept {
        auto* const raised = fences.of(batch);
        return raised != nullptr ? *raised : written;
    }
};

/// Keeps a few exchanges with their capacity for the next session that needs one.
class ExchangeStore {
  public:
    std::unique_ptr<Exchange> take();
    void give(std::unique_ptr<Exchange> exchange);

  private:
    static constexpr std::size_t kKept = 256;
    std::vector<std::unique_ptr<Exchange>> free_;
};

}  // namespace pgweir::session
