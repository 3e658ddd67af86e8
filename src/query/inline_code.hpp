// The code of a DO block, judged as the catalog reader judges a function's body: by the words in
// it. Thread: pure function.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

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

/// What objects of the names that a text holds may define, each looked up once in all schemas and
/// in bounded time: behind too many names it is anything.
class NamedDefines {
  public:
    explicit NamedDefines(const Catalog& catalog) : catalog_(catalog) {}
    void add(std::string_view name);
    /// By being called or read.
    Defines used() const noexcept { return used_; }
    /// By being written, with all that this leads to, as far as words of triggers and rules say.
    Defines written() const noexcept { return written_; }

  private:
    const Catalog& catalog_;
    std::unordered_set<std::string> seen_;
    Defines used_ = Defines::nothing, written_ = Defines::nothing;
};

/// What triggers, rules and defaults may, behind any write.
inline Defines code_defines(const Catalog& catalog) noexcept {
    return defines_of(catalog.code_may_define, catalog.code_may_define_shared);
}

/// What writes to all of these may define.
inline Defines writing_defines(const std::vector<const Relation*>& written) noexcept {
    auto most = Defines::nothing;
    for (const auto* r : written)
        most = std::max(most, defines_of(r->writing_defines, r->writing_defines_shared));
    return most;
}

/// What a statement of DDL does beyond its words and event triggers. `runs_code`: that of any
/// function, perhaps.
inline Defines statement_defines(const Catalog* catalog, bool runs_code) noexcept {
    const bool shared = runs_code && (catalog == nullptr || catalog->functions_define_shared);
    return shared ? Defines::shared : Defines::database;
}

}  // namespace pgweir::query
