// Why a session is pinned and why a statement is not cached: one table each. Names are what SHOW,
// the log and the metrics' label `reason` say.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pgweir::query {

struct ReasonInfo {
    std::string_view name;
    std::string_view help;
};

/// State on a server connection that cannot be carried to another one.
enum class PinReason : std::uint8_t {
    none,
    set,
    prepare,
    listen,
    temporary,
    advisory_lock,
    hold_cursor,
    load,
    sequence,
    seed,
    backend_pid,
    function,
    do_block,
    not_understood,
    statement_too_large,
    function_call,
    replication,
    count_
};

inline constexpr std::array<ReasonInfo, static_cast<std::size_t>(PinReason::count_)> kPinReasons{{
    {"none", "not pinned"},
    {"set", "SET, RESET, SET ROLE or set_config changed the session"},
    {"prepare", "SQL PREPARE made a statement on this connection"},
    {"listen", "LISTEN waits for notifications on this connection"},
    {"temporary", "a temporary object exists"},
    {"advisory_lock", "a session-level advisory lock may be held"},
    {"hold_cursor", "a cursor WITH HOLD may be open"},
    {"load", "LOAD or CREATE FUNCTION in C changed the server process"},
    {"sequence", "currval or lastval reads what this session did before"},
    {"seed", "setseed changed the random generator"},
    {"backend_pid", "the session asked for its server process"},
    {"function", "a function that may change session state was called"},
    {"do_block", "a DO block or CALL may change session state"},
    {"not_understood", "the statement could not be parsed"},
    {"statement_too_large", "the statement is longer than limits.statement_buffer"},
    {"function_call", "a FunctionCall message may change session state"},
    {"replication", "replication, a backup or a slot is bound to this connection"},
}};

/// Why a statement is neither answered from the cache nor stored in it.
enum class NotCached : std::uint8_t {
    none,
    cache_off,
    no_catalog,
    not_understood,
    not_a_read,
    several_statements,
    in_transaction,
    pinned_session,
    unknown_setting,
    locking_clause,
    writes,
    select_into,
    tablesample,
    system_column,
    time_dependent,
    function_not_immutable,
    operator_not_immutable,
    type_not_proven,
    unknown_relation,
    system_relation,
    temporary_relation,
    unlogged_relation,
    foreign_table,
    view,
    partitioned,
    row_security,
    special_date_input,
    client_encoding,
    too_large,
    row_limit,
    pipelined,
    batch_shape,
    too_complex,
    does_not_pay,
    first_use,
    stream_behind,
    not_told,
    not_published,
    leaves_state,
    count_
};

inline constexpr std::array<ReasonInfo, static_cast<std::size_t>(NotCached::count_)>
    kNotCachedReasons{{
        {"none", "cacheable"},
        {"cache_off", "the cache is off for this database"},
        {"no_catalog", "the catalog could not be read over a control connection"},
        {"not_understood", "the statement could not be parsed"},
        {"not_a_read", "only SELECT, VALUES and TABLE are cached"},
        {"several_statements", "a query of several statements"},
        {"in_transaction",
         "inside a transaction that has done more than read, or is not READ COMMITTED"},
        {"pinned_session", "the session is pinned"},
        {"unknown_setting",
         "the session has a setting the cache does not know, or transactions are not READ "
         "COMMITTED by default"},
        {"locking_clause", "FOR UPDATE, FOR SHARE and their kin lock rows"},
        {"writes", "the statement writes"},
        {"select_into", "SELECT INTO makes a table"},
        {"tablesample", "TABLESAMPLE draws other rows each time"},
        {"system_column", "system columns change without a write"},
        {"time_dependent", "the result depends on the time or on who asks"},
        {"function_not_immutable", "a function is not immutable or not of pg_catalog"},
        {"operator_not_immutable", "an operator is not immutable or not of pg_catalog"},
        {"type_not_proven", "a type whose input or output is not known to be constant"},
        {"unknown_relation", "a relation is not in the catalog snapshot"},
        {"system_relation", "system catalogs are not cached"},
        {"temporary_relation", "a temporary table"},
        {"unlogged_relation", "an unlogged table"},
        {"foreign_table", "a foreign table"},
        {"view", "a view whose query is not proven constant"},
        {"partitioned", "a partitioned table with a foreign or unlogged partition"},
        {"row_security", "row-level security"},
        {"special_date_input", "a literal or parameter such as 'now' or 'today'"},
        {"client_encoding",
         "a client encoding in which ASCII bytes occur inside characters, or names beyond ASCII "
         "where the client's encoding or the server's is not UTF8"},
        {"too_large", "the result is larger than cache.max_entry"},
        {"row_limit", "Execute with a row limit"},
        {"pipelined", "earlier batches of this session are not answered yet"},
        {"batch_shape", "a batch of another shape, or one in which more than reads goes before"},
        {"too_complex", "the statement is too deep or reads too many relations"},
        {"does_not_pay", "storing its answers has cost more than hits saved; a sample is tried"},
        {"first_use",
         "only what is asked for a second time is stored: the cache is full, or few of this "
         "query's answers were asked for again"},
        {"stream_behind", "the change stream is further behind than cache.max_staleness"},
        {"not_told", "writes are told by NOTIFY, and a table has no trigger for it"},
        {"not_published",
         "the change stream shows a publication, in which a table is not, or not with all rows"},
        {"leaves_state", "what it runs may leave something behind in its session"},
    }};

inline constexpr std::string_view name(PinReason r) {
    return kPinReasons[static_cast<std::size_t>(r)].name;
}
inline constexpr std::string_view name(NotCached r) {
    return kNotCachedReasons[static_cast<std::size_t>(r)].name;
}

}  // namespace pgweir::query
