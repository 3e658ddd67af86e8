// The code of a DO block, judged as the catalog reader judges a function's body: by the words in
// it. Thread: pure function.
#pragma once

#include <string_view>

#include "pgweir/query/catalog.hpp"

namespace pgweir::query {

/// Whether PL/pgSQL code may run DDL, or is not known not to: by words of its own, as text, or
/// through any function, view, trigger, operator that it may reach. A name counts for all objects
/// of that name, in whatever schema, since the code may set another search_path.
bool inline_code_may_define(const Catalog& catalog, std::string_view body);

}  // namespace pgweir::query
