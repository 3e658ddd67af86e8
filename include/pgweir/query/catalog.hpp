// What is known of one database's catalog: an immutable snapshot that the control thread reads and
// traffic threads use through a shared_ptr. A newer one replaces it whole and has a higher version.
// Invariant: what is not in it is unknown, and unknown is never cacheable and may write anything.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pgweir/base/hash.hpp"
#include "pgweir/query/row_keys.hpp"

namespace pgweir::query {

enum class Volatility : char { immutable_ = 'i', stable = 's', volatile_ = 'v' };

/// What something does with sequences, however indirectly. Default: not known.
struct SequenceUse {
    bool moves = true;    // may call nextval or setval
    bool may_ask = true;  // may call currval or lastval
    bool asks = false;    // is known to: it names them, or what it calls or writes does
    SequenceUse& operator|=(SequenceUse other) noexcept {
        moves = moves || other.moves;
        may_ask = may_ask || other.may_ask;
        asks = asks || other.asks;
        return *this;
    }
};

/// Tables, views, sequences and the like of every schema; never indexes, TOAST tables, composite
/// types, or temporary relations (of any session: whoever has made one must not rely on names found
/// here).
struct Relation {
    Oid oid = 0;
    Oid schema = 0;
    std::string name;
    char kind =
        'r';  // pg_class.relkind: r table, p partitioned, v view, m matview, f foreign, S sequence
    char persistence = 'p';     // pg_class.relpersistence: p, u
    bool system = false;        // in pg_catalog, information_schema or pg_toast
    bool row_security = false;  // relrowsecurity, whether or not there is a policy
    /// A write to it may cause another write or run a function: has_user_triggers or
    /// referenced_cascade. Triggers that only check (foreign keys, deferred uniqueness) do not
    /// count.
    bool has_triggers = false;
    bool has_user_triggers = false;  // pg_trigger.tgisinternal = false, disabled ones included
    bool has_rules = false;          // other than a view's own _RETURN rule
    bool inherits = false;           // has parents or children, or is or has a partition
    bool referenced_cascade =
        false;  // a foreign key elsewhere cascades or sets null or default from here
    /// Every column's type is a built-in (or array of one) whose input and output depend on nothing
    /// but its bytes and tracked settings: no enum, domain, composite, reg*, money, timetz,
    /// aclitem. Neither they nor its row type can be cast by code that is not proven.
    bool plain_types = false;
    /// A default, generated column, check, index expression or index predicate calls a function or
    /// operator that is not built in, or a built-in that may write. nextval() does not count.
    bool generated_or_default_functions = false;
    /// Reading it may call a function that may write: through the view's query or a policy, however
    /// deep.
    bool reading_may_write = true;
    /// ... or one that may run DDL.
    bool reading_may_define = true;
    /// ... of what every database of the server feels: see Function::may_define_shared.
    bool reading_may_define_shared = true;
    /// What a write to it runs says words of DDL, or of what every database feels.
    bool writing_defines = false, writing_defines_shared = false;
    /// A view: its stored query was looked through, and everything it computes is constant but for
    /// the rows of reads_also.
    bool query_proven = false;
    /// Some partition below it, at any depth, is no ordinary permanent table.
    bool odd_partitions = false;
    /// A write may change more than it, writes_also, and what those lead to in turn. True until
    /// proven otherwise.
    bool writes_unknown = true;
    /// Reading it depends on these, and on theirs: what a view's query names, an inheritance
    /// parent's children, a partition's parent. A partition stands for its ancestors in both
    /// directions: whatever reads and whatever writes a part of a tree counts for all tables above
    /// it, so a reader and a writer of overlapping parts always meet in the upper one's table, and
    /// a tree with any number of partitions costs its depth.
    std::vector<Oid> reads_also;
    /// Writing it may change rows of these, and of theirs: as above, and by cascading references
    /// and by what triggers and defaults call.
    std::vector<Oid> writes_also;
    /// TRUNCATE ... CASCADE empties these, too: every table with a foreign key to it.
    std::vector<Oid> truncates_also;
    /// Every write to it is told by NOTIFY (sql/watch_writes.sql), to the partitions below it, too.
    bool tells_writes = false;
    /// The publication that the change stream is to show has it, every row and every change, and
    /// the partitions below it, those to come as well. A partition is published with any table
    /// above it.
    bool published = false;
    /// Columns by which its rows are kept apart, ascending by number: those of its replica identity
    /// whose type allows it, at most kMostKeyColumns. Only of ordinary permanent tables.
    std::vector<IdentityColumn> identity;
    /// What the change stream shows of an UPDATE is the whole old row, not only a changed identity.
    bool identity_full = false;
    /// ON CONFLICT on all columns of `identity` can only mean the primary key.
    bool conflicts_by_identity = false;
    /// Nothing that reading it calls (view, policy, index) can leave session state behind.
    bool session_harmless = false;
    /// The same of writing (rule, default, check, but not its triggers: see
    /// Catalog::any_harmful_trigger).
    bool writing_harmless = false;
    /// A trigger of its own may call volatile code in C or the like that belongs to no extension:
    /// what that keeps in the server process cannot be asked for.
    bool triggers_hide_state = false;
    SequenceUse reading_sequences;  // by a view's query, a policy
    SequenceUse writing_sequences;  // by a default, an identity column, a trigger of its own
};

struct Function {
    Oid oid = 0;
    Oid schema = 0;
    Volatility volatility = Volatility::volatile_;
    bool builtin = false;  // in pg_catalog and made by initdb (oid < 16384)
    /// Immutable code of an extension that was looked at: its value depends on its arguments alone.
    bool known_code = false;
    /// Proven not to leave session state behind (settings, session locks, temporary objects,
    /// prepared statements, LISTEN, held cursors). A sequence's currval and random()'s position do
    /// not count.
    bool session_harmless = false;
    /// May change rows of a table, or is not known not to. Sequences and large objects do not
    /// count. True also for a stable function whose body reaches a volatile one: PostgreSQL lets it
    /// write.
    bool may_write = true;
    /// May run DDL, or is not known not to.
    bool may_define = true;
    /// May change roles and what else all databases share, or is not known not to.
    bool may_define_shared = true;
    SequenceUse sequences;
};

/// All operators of one name and schema together.
struct Operator {
    Oid schema = 0;
    bool known = false;  // each is built in, or runs what is Function::known_code
    Volatility volatility = Volatility::volatile_;  // of their functions, the worst
};

struct Catalog {
    std::uint64_t version = 0;
    Oid database_oid = 0;
    std::string system_identifier;
    /// The state of the publication when this was read (sql/publication.sql); empty: none is asked
    /// for, or there is none.
    std::string publication;
    std::uint32_t server_version_num = 0;

    template <class T>
    using NameMap = std::unordered_map<std::string, T, base::StringHash, std::equal_to<>>;

    NameMap<Oid> schemas;                                  // name to OID
    std::unordered_map<Oid, NameMap<Relation>> relations;  // by schema OID, then name
    NameMap<std::vector<Function>> functions;              // by bare name, every schema
    NameMap<std::vector<Operator>> operators;              // by bare name, every schema
    /// Bare names of types outside pg_catalog, tables' row types included; array types (_x) only
    /// where pg_catalog has a type of that name, too. True where all of that name are plain, and
    /// none is of pg_catalog, nor a domain, which may be over one that reads dates.
    NameMap<bool> types;
    std::unordered_map<Oid, const Relation*> relations_by_oid;
    /// The search_path a role logs in with, as text, where its own settings (for this database or
    /// for all) have one; key "" is every other role's: the database's, else the cluster's. Without
    /// key "" that could not be learnt, and such a role's path is unknown. ALTER ... SET counts for
    /// later logins.
    NameMap<std::string> role_search_path;
    /// Roles whose logins are given another role, or session_authorization; "": everybody's are.
    NameMap<bool> other_at_login;
    /// Changes with any setting that some session logs in with.
    std::string login_settings;
    /// Transactions that do not ask for another isolation level are READ COMMITTED, whoever begins
    /// them. ALTER ... SET counts for later logins here, too.
    bool read_committed = false;
    /// What code may cause without naming it (triggers, rules and defaults of what it writes,
    /// operators and casts) may run DDL.
    bool code_may_define = true;
    bool code_may_define_shared = true;
    /// Some function of the users may change what every database feels; the function of some event
    /// trigger may, disabled ones included.
    bool functions_define_shared = true;
    bool ddl_defines_shared = true;
    /// No cast that is not proven was made between built-in types: any expression might use it
    /// unseen.
    bool casts_proven = false;
    /// Some user's trigger (row, statement or event, disabled ones included) may leave session
    /// state.
    bool any_harmful_trigger = true;
};

using CatalogPtr = std::shared_ptr<const Catalog>;

}  // namespace pgweir::query
