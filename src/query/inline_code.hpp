// The code of a DO block, judged as the catalog reader judges a function's body: by the words in
// it. Thread: pure function.
#pragma once

#include <cstdint>
#include <string_view>

#include "pgweir/query/catalog.hpp"

namespace pgweir::query {

/// Of what it may run DDL: shared is what every database of the server feels.
enum class Defines : std::uint8_t { nothing, database, shared };

inline Defines defines_of(bool defines, bool shared) noexcept {
    if (!defines) return Defines::nothing;
    return shared ? Defines::shared : Defines::database;
}

/// What PL/pgSQL code may define, or is not known not to: by words of its own, as text, or through
/// any function, view, trigger, operator that it may reach. A name counts for all objects of that
/// name, in whatever schema, since the code may set another search_path.
Defines inline_code_defines(const Catalog& catalog, std::string_view body);

/// What the functions and views of that name may define.
Defines name_defines(const Catalog& catalog, std::string_view name);

/// What writing the users' relations of that name may, beside code_defines(): the system's tables
/// behind a view or rule are written without being named.
Defines written_defines(const Catalog& catalog, std::string_view name);

/// What triggers, rules and defaults may, behind any write.
inline Defines code_defines(const Catalog& catalog) noexcept {
    return defines_of(catalog.code_may_define, catalog.code_may_define_shared);
}

}  // namespace pgweir::query
