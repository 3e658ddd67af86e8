// Names as the server would resolve them for one session, with all candidates where one cannot be
// chosen without knowing more (argument types, privileges on schemas): every candidate has to be
// fit. Invariant: points into the catalog it was made for. Thread: any, while the catalog lives.
#pragma once

#include <string_view>
#include <vector>

#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

enum class RelationPlace : std::uint8_t { found, unknown, system, temporary };

struct RelationMatch {
    RelationPlace place = RelationPlace::unknown;
    std::vector<const Relation*> candidates;  // with found: one for each schema that has it
};

/// What a call of this name may come to.
struct CallMatch {
    bool found = false;
    bool builtin = false;            // some candidate is built in
    bool foreign = false;            // some candidate is not
    bool constant = true;            // constant_function() is true of every candidate
    bool harmless = true;            // no candidate that is not built in changes the session
    bool builtin_harmless = true;    // nor one that is
    bool may_write = false;          // some candidate may write
    bool may_define = false;         // some candidate may run DDL
    bool may_define_shared = false;  // ... that every database feels
    SequenceUse sequences{false, false, false};  // all that some candidate does
};

struct OperatorMatch {
    bool found = false;
    bool foreign = false;  // some candidate is not known
    bool may_write = false;
    bool constant = true;  // every candidate is known and not volatile
};

class Names {
  public:
    Names(const Catalog& catalog, const ResolveContext& context);

    RelationMatch relation(std::string_view schema, std::string_view name) const;
    CallMatch call(std::string_view schema, std::string_view name) const;
    OperatorMatch operation(std::string_view schema, std::string_view name) const;
    /// Whether a bare type name might mean a type outside pg_catalog.
    bool shadowed_type(std::string_view name) const;
    /// Whether it can only mean an enum or a base type that is plain: see Catalog::types.
    bool plain_type(std::string_view schema, std::string_view name) const;

  private:
    bool hidden_by_pg_catalog(std::string_view name) const;
    bool visible(Oid schema) const;
    Oid schema_oid(std::string_view name) const;
    template <class T>
    bool candidate(const T& item, std::string_view schema) const;

    const Catalog& catalog_;
    Oid pg_catalog_;
    bool only_path_;
    std::vector<Oid> path_;
};

}  // namespace pgweir::query
