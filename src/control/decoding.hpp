// What a walsender says, taken apart: replication messages (Streaming Replication Protocol), and
// the lines of the output plugin test_decoding. Pure: bytes in, values out. Invariant: whatever the
// bytes, memory is bounded and time is linear. Thread: its owner's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gatherer.hpp"

namespace pgweir::control {

/// A position in the write-ahead log.
using Lsn = std::uint64_t;

/// "16/B374D848".
std::optional<Lsn> parse_lsn(std::string_view text) noexcept;

struct ReplicationMessage {
    enum class Kind : std::uint8_t { data, keepalive, malformed } kind = Kind::malformed;
    Lsn position = 0;  // of the data, or up to where the server has decoded and sent everything
    bool reply_wanted = false;
    std::string_view data;  // a view into what was parsed
};
ReplicationMessage parse_replication(std::string_view message) noexcept;
/// Standby status update: everything up to `position` is received and done with.
std::string status_update(Lsn position, bool reply_wanted);

/// One line of test_decoding.
struct DecodedLine {
    enum class Kind : std::uint8_t {
        begin,
        commit,
        change,
        message,
        definition,
        other
    } kind = Kind::other;
    std::uint32_t xid = 0;        // begin, commit
    cache::FullXid full_xid = 0;  // definition: as its transaction says of itself; 0: it does not
    std::string_view names;       // change: of the tables, quoted as SQL, several for a TRUNCATE
    std::string_view row;         // change: what comes behind the names, from ": INSERT:" on
};
DecodedLine parse_line(std::string_view line) noexcept;
/// Takes one "schema.table" and what separates it from the next off the front of `names`, unquoted.
/// False: none is left, or this is no name; then `names` is empty only in the first case.
bool next_table(std::string_view& names, std::string& schema, std::string& table);

/// The rows a change of a relation with an identity concerns, old and new, as sets of the values of
/// the identity's columns; false: not known. `row` is DecodedLine::row.
bool identities(std::string_view row, const query::Relation& relation,
                std::vector<std::vector<query::RowValue>>& out);

/// Gathers lines into transactions.
class TransactionGatherer final : public Gatherer {
  public:
    struct Table {
        std::string_view schema, name;
        std::string_view row;  // DecodedLine::row; empty: any row may be concerned
    };
    /// Adds what a change of this table changes.
    using Resolve = std::function<Found(const Table& table, std::vector<cache::State*>& states)>;

    explicit TransactionGatherer(Resolve resolve) : resolve_(std::move(resolve)) {}
    Result take(std::string_view line) override;

  private:
    void add(const DecodedLine& line);
    void forget() override { last_names_.clear(); }

    Resolve resolve_;
    std::string last_names_;  // whose relations were added last: mostly the same again
    std::string schema_, table_;
};

}  // namespace pgweir::control
