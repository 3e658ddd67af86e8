// What a statement is and does, as far as its text and the catalog show: decided once per shape and
// remembered. Default: not proven cacheable is not cached; not understood may write anything and
// pins the session.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/query/catalog.hpp"
#include "pgweir/query/reasons.hpp"

namespace pgweir::query {

/// One pass over a text, cheap enough to be made for every execution.
struct TextScan {
    base::Hash128
        shape;  // the text with literals replaced by their kinds; white space and comments folded
    bool lexed = false;             // false: not understood; then `shape` is the hash of all bytes
    bool special_datetime = false;  // a string literal holds a word that may mean the current time
                                    // (now, today, tomorrow, yesterday)
};
/// Never reads past the text; linear time. Assumes standard_conforming_strings = on. Two texts of
/// equal shape differ in nothing but the values of literals, white space, comments and the case of
/// words. The verdict of a shape says nothing of `special_datetime`: callers look at it each time.
TextScan scan_text(std::string_view sql) noexcept;
/// The same words looked for in a parameter of either format.
bool special_datetime_word(std::string_view value) noexcept;
/// Whether a parameter whose type Parse declares as this OID may go to the cache: a built-in type
/// whose meaning is in its bytes and the tracked settings. 0 (left to the server) is one of them;
/// regclass and its kin, timetz, record and every type that is not built in are not.
bool plain_parameter_type(Oid type) noexcept;

/// A function whose result depends on nothing but its arguments and tracked settings: a built-in
/// one, or known code. `name` is the function's.
bool constant_function(const Function& function, std::string_view name) noexcept;

enum class Kind : std::uint8_t {
    empty,        // no statement at all
    select,       // SELECT, VALUES, TABLE, WITH ... SELECT
    dml,          // INSERT, UPDATE, DELETE, MERGE
    copy,         // COPY either way
    begin,        // BEGIN, START TRANSACTION
    commit,       // COMMIT, END
    rollback,     // ROLLBACK, ABORT (of the whole transaction)
    savepoint,    // SAVEPOINT, RELEASE, ROLLBACK TO
    prepared_tx,  // PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
    set,          // SET, RESET, SET TRANSACTION, SET LOCAL ...
    show,
    discard_all,
    deallocate,  // DEALLOCATE name or ALL
    call,        // CALL, DO
    utility,     // any other utility
    several,     // more than one statement
    unknown,     // not parsed
};

enum class Writes : std::uint8_t { nothing, relations, database, all_databases };

/// Where names of a session are looked for, since what ran before on the server connection may have
/// changed what they mean.
enum class NameScope : std::uint8_t {
    path,      // by search_path, as the server does
    anywhere,  // in every schema: another search_path or role may be in force
    unknown,   // also temporary views, or tables with triggers, of which nothing is known
};

struct Verdict {
    Kind kind = Kind::unknown;
    PinReason pin = PinReason::not_understood;
    /// The connection must be reset before another session uses it, though this session need not
    /// keep it.
    bool may_leave_state = true;
    /// With a pin: the server cannot be asked for all that it may have changed.
    bool opaque = true;
    /// Beside what pins, it may leave what the server is not asked about (EXECUTE runs what another
    /// text says): the connection is reset before another session uses it.
    bool resets = true;
    /// Settings with a dot in their names that it may change: the server does not list them.
    std::vector<std::string> custom_settings;
    /// A database that it needs free of sessions: DROP DATABASE, CREATE DATABASE ... TEMPLATE.
    std::string vacates;
    /// VACUUM: cannot clean what a snapshot taken before it may still see.
    bool vacuums = false;
    bool changes_logins = false;  // ALTER ROLE or DATABASE ... SET: what new logins are given
    bool names_sequence = false;  // calls nextval or setval in so many words
    bool moves_sequence = true;   // may do so, however indirectly
    bool asks_sequence = true;    // may call currval or lastval; where it is known to, it pins
    /// Of a session that is pinned: it may take away what pins it.
    bool may_end_state = false;
    /// What names may mean to statements that follow on the same connection.
    NameScope names_after = NameScope::unknown;
    /// May end the current transaction by itself (COMMIT, CALL, DO, several, unknown ...).
    bool may_end_transaction = true;
    Writes writes = Writes::database;
    /// With Writes::database or more: may change the catalog, too. Not so a SELECT or DML whose
    /// functions only write rows, nor one judged without a catalog: what its functions define is
    /// then seen when the catalog is polled.
    bool may_define = true;
    std::vector<Oid> written;  // with Writes::relations
    /// The only relation written is a plain one, and these are the rows: empty: not known.
    std::vector<RowKey> written_rows;
    NotCached not_cached = NotCached::not_understood;
    std::vector<Oid> reads;  // with not_cached == none: all relations the result depends on
    bool told = true;       // each of them tells of writes to it by NOTIFY, where it can be written
    bool published = true;  // each of them is published, likewise: see Relation::published
    /// Of those relations of which only these rows count, wherever the statement names them.
    std::vector<RowKey> read_rows;
    /// The verdict holds for this exact text only, not for other literals of its shape.
    bool literal_dependent = true;
    /// timeouts.query applies: not for COPY, utility, CALL, DO.
    bool timed = false;
    /// begin: for another isolation level than READ COMMITTED. SET: of anything about transactions.
    bool isolation_changed = false;
    bool start_transaction = false;     // begin: in these words, so its command tag is these words
    bool chains = false;                // commit, rollback: AND CHAIN
    std::uint64_t catalog_version = 0;  // of the catalog used; 0: none was at hand
};

using VerdictPtr = std::shared_ptr<const Verdict>;

/// Who asks: names are resolved as the server would for this session.
struct ResolveContext {
    std::string_view user;                      // for "$user"
    std::vector<std::string_view> search_path;  // schema names in order, "$user" included as such
    const Catalog* catalog = nullptr;           // none: nothing is cacheable, writes are unknown
    NameScope scope = NameScope::path;          // beyond path: nothing is cacheable
    /// The client's encoding, or the server's, is not UTF-8, in which the catalog was read: names
    /// beyond ASCII may be other bytes there, cut elsewhere, and folded.
    bool other_encoding = false;
};

/// Parses and judges. Thread: any (parser state is thread-local). Never throws; cost: microseconds
/// per hundred bytes, so callers remember the result by TextScan::shape, or by the whole text when
/// literal_dependent.
VerdictPtr judge(std::string_view sql, const ResolveContext& context);

/// For people and statistics: the same for the same query with other constants, IN-list lengths,
/// VALUES rows, comments, white space and case of keywords.
std::uint64_t fingerprint(std::string_view sql);
/// The text with constants as $1, $2 ... and comments gone, cut to `max` bytes.
std::string normalise(std::string_view sql, std::size_t max = 4096);

/// Splits the value of search_path as PostgreSQL does (quotes, folding); empty on nonsense.
std::vector<std::string> split_search_path(std::string_view value);

}  // namespace pgweir::query
