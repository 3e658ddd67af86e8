// Resolution by search_path. A schema the role may not use is passed over by the server, which the
// catalog does not show: so all schemas of the path that have the name count.
#include "names.hpp"

#include <algorithm>

#include "functions.hpp"

namespace pgweir::query {

namespace {

constexpr Oid kPgCatalog = 11;

template <class Map, class Key>
const typename Map::mapped_type* find(const Map& map, const Key& name) {
    const auto at = map.find(name);
    return at == map.end() ? nullptr : &at->second;
}

bool system_schema(std::string_view schema) {
    return schema == "pg_catalog" || schema == "information_schema" || schema == "pg_toast";
}

}  // namespace

Names::Names(const Catalog& catalog, const ResolveContext& context)
    : catalog_(catalog), pg_catalog_(kPgCatalog), only_path_(context.scope == NameScope::path) {
    if (const Oid* oid = find(catalog.schemas, "pg_catalog")) pg_catalog_ = *oid;
    if (context.scope != NameScope::path) {
        for (const auto& [name, oid] : catalog.schemas)
            if (!system_schema(name)) path_.push_back(oid);
        return;
    }
    for (const std::string_view entry : context.search_path) {
        const Oid oid = schema_oid(entry == "$user" ? context.user : entry);
        if (oid != 0 && std::find(path_.begin(), path_.end(), oid) == path_.end())
            path_.push_back(oid);
    }
}

Oid Names::schema_oid(std::string_view name) const {
    const Oid* oid = find(catalog_.schemas, name);
    if (oid != nullptr) return *oid;
    return name == "pg_catalog" ? pg_catalog_ : 0;
}

bool Names::visible(Oid schema) const {
    return schema == pg_catalog_ || std::find(path_.begin(), path_.end(), schema) != path_.end();
}

template <class T>
bool Names::candidate(const T& item, std::string_view schema) const {
    return schema.empty() ? visible(item.schema) : item.schema == schema_oid(schema);
}

/// pg_catalog comes first unless it is on the path, and others can put relations there.
bool Names::hidden_by_pg_catalog(std::string_view name) const {
    if (std::find(path_.begin(), path_.end(), pg_catalog_) != path_.end()) return false;
    const auto* relations = find(catalog_.relations, pg_catalog_);
    return relations != nullptr && find(*relations, name) != nullptr;
}

RelationMatch Names::relation(std::string_view schema, std::string_view name) const {
    RelationMatch match;
    if (schema.starts_with("pg_temp")) return {RelationPlace::temporary, {}};
    if (system_schema(schema)) return {RelationPlace::system, {}};
    if (schema.empty() && hidden_by_pg_catalog(name))
        return {only_path_ ? RelationPlace::system : RelationPlace::unknown, {}};
    std::vector<Oid> explicit_schema;
    if (!schema.empty()) explicit_schema.push_back(schema_oid(schema));
    for (const Oid oid : schema.empty() ? path_ : explicit_schema) {
        const auto in_schema = catalog_.relations.find(oid);
        if (in_schema == catalog_.relations.end()) continue;
        const Relation* relation = find(in_schema->second, name);
        if (relation == nullptr) continue;
        if (relation->system) return {RelationPlace::system, {}};
        match.candidates.push_back(relation);
    }
    if (!match.candidates.empty()) match.place = RelationPlace::found;
    // Every catalog's name that PostgreSQL brings starts like this, also that of a later version.
    else if (schema.empty() && name.starts_with("pg_"))
        match.place = RelationPlace::system;
    return match;
}

CallMatch Names::call(std::string_view schema, std::string_view name) const {
    CallMatch match;
    if (const auto* functions = find(catalog_.functions, name)) {
        for (const Function& f : *functions) {
            if (!candidate(f, schema)) continue;
            match.found = true;
            (f.builtin ? match.builtin : match.foreign) = true;
            if (!constant_function(f, name)) match.constant = false;
            bool& harmless = f.builtin ? match.builtin_harmless : match.harmless;
            harmless = harmless && f.session_harmless;
            match.may_write = match.may_write || f.may_write;
            match.may_define = match.may_define || f.may_define;
            match.may_define_shared = match.may_define_shared || f.may_define_shared;
            match.sequences |= f.sequences;
        }
    }
    match.constant = match.constant && match.found;
    return match;
}

OperatorMatch Names::operation(std::string_view schema, std::string_view name) const {
    OperatorMatch match;
    if (const auto* operators = find(catalog_.operators, name)) {
        for (const Operator& op : *operators) {
            if (!candidate(op, schema)) continue;
            match.found = true;
            if (!op.known || op.volatility == Volatility::volatile_) match.constant = false;
            if (op.known) continue;
            match.foreign = true;
            match.may_write = match.may_write || op.volatility == Volatility::volatile_;
        }
    }
    match.constant = match.constant && match.found;
    return match;
}

bool Names::shadowed_type(std::string_view name) const {
    return find(catalog_.types, name) != nullptr;
}

bool Names::plain_type(std::string_view schema, std::string_view name) const {
    const bool* plain = find(catalog_.types, name);
    return plain != nullptr && *plain && !schema.starts_with("pg_temp") && !system_schema(schema);
}

}  // namespace pgweir::query
