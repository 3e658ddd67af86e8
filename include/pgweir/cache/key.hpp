// The bytes that name one answer. Invariant: two requests have the same key bytes only if the
// server would treat them alike (given the same data), so every field is prefixed by its length or
// of fixed size, and only what means the same is folded together. Thread: pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "pgweir/base/hash.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/query/catalog.hpp"

namespace pgweir::cache {

/// Views of what the caller owns. A simple Query leaves types, parameters and result formats empty.
struct KeyParts {
    std::uint64_t database = 0;          // DatabaseState::cache_id()
    std::string_view session_user;       // who logged in
    std::string_view role;               // current role
    std::uint32_t settings = 0;          // class of all settings that differ from login; interned
    std::string_view statement;          // exact text, without the NUL
    std::span<const query::Oid> types;   // declared in Parse, as sent
    std::uint16_t parameters = 0;        // number of values in Bind
    std::string_view parameter_formats;  // the Int16s of Bind, network order, without their count
    std::string_view parameter_values;   // the Int32 lengths and bytes of Bind, without their count
    std::string_view result_formats;     // the Int16s of Bind, network order, without their count
    bool description = false;            // what Describe of the statement says, and no answer
};

/// Writes to the start of `buffer`, which only grows; what it gives is a view of that.
/// Folded: no format code and one code 0 (both mean text for all, protocol chapter "Bind"). Not
/// folded: a code per column, since a wrong number of them is an error that only the server can
/// see.
std::string_view build_key(std::string& buffer, const KeyParts& parts);

/// All results in text format, as far as the codes alone show: a simple Query's answer is the same.
bool all_text(std::string_view formats) noexcept;

inline base::Hash128 hash_key(std::string_view key) noexcept {
    if (base::planted(base::Plant::hash_only)) return {base::hash128(key).low & 0xf, 0};
    return base::hash128(key);
}

}  // namespace pgweir::cache
