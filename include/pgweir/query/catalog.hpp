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

namespace pgweir::query {

using Oid = std::uint32_t;

enum class Volatility : char { immutable_ = 'i', stable = 's', volatile_ = 'v' };

struct Relation {
    Oid oid = 0;
    Oid schema = 0;
    std::string name;
    char kind = 'r';         // pg_class.relkind: r table, p partitioned, v view, m matview, f foreign, S sequence ...
    char persistence = 'p';  // pg_class.relpersistence: p, u, t
    bool system = false;     // in pg_catalog, information_schema or pg_toast
    bool row_security = false;
    bool has_triggers = false;       // any trigger, of users or of constraints other than the checking side of a foreign key
    bool has_user_triggers = false;  // pg_trigger.tgisinternal = false
    bool has_rules = false;          // other than a view's own _RETURN rule
    bool inherits = false;           // has parents or children, or is or has a partition
    bool referenced_cascade = false; // a foreign key elsewhere cascades or sets from here
    bool plain_types = false;        // every column's type is a built-in of pg_catalog whose output depends on nothing but tracked settings
    bool generated_or_default_functions = false;  // a default, generated column or check calls a function that is not built-in
};

struct Function {
    Oid oid = 0;
    Oid schema = 0;
    Volatility volatility = Volatility::volatile_;
    bool builtin = false;         // in pg_catalog and made by initdb (oid < 16384)
    bool session_harmless = false;  // proven not to leave session state behind
    bool may_write = true;
};

struct Operator {
    Oid schema = 0;
    bool builtin = false;
    Volatility volatility = Volatility::volatile_;  // of its function; the worst of all of this name and schema
};

struct Catalog {
    std::uint64_t version = 0;
    Oid database_oid = 0;
    std::string system_identifier;
    std::uint32_t server_version_num = 0;

    template <class T>
    using NameMap = std::unordered_map<std::string, T, base::StringHash, std::equal_to<>>;

    NameMap<Oid> schemas;                                   // name to OID
    std::unordered_map<Oid, NameMap<Relation>> relations;   // by schema OID, then name
    NameMap<std::vector<Function>> functions;               // by bare name, every schema
    NameMap<std::vector<Operator>> operators;               // by bare name, every schema
    NameMap<bool> types;                                    // bare names of types outside pg_catalog: true where it shadows a built-in's name
    std::unordered_map<Oid, const Relation*> relations_by_oid;
    /// For each role, its default search_path where pg_db_role_setting has one; key "" is the database's or cluster's.
    NameMap<std::string> role_search_path;
    bool any_harmful_trigger = true;  // some trigger function is not session_harmless
};

using CatalogPtr = std::shared_ptr<const Catalog>;

}  // namespace pgweir::query
