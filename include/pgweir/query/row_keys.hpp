// Rows named by values of columns that identify them: what a statement's text says (RowKey), what
// one execution makes of it, and what the change stream says. All three give the same number for
// the same columns and values, by which rows are kept apart for invalidation.
// Invariant: two values that PostgreSQL holds equal give equal numbers, or none at all; so only
// types whose equality is that of one canonical form are known here, and only forms of input that
// mean that value whatever the settings. Thread: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pgweir::query {

using Oid = std::uint32_t;

/// A row may be read by any of so many columns of its relation's identity.
inline constexpr std::size_t kMostKeyColumns = 3;

/// int2, int4 and int8 compare across one another by value, text and varchar by bytes.
enum class KeyType : std::uint8_t { integer, oid, uuid, date, text };

/// By the type's OID; nothing for all others: numeric (1.0 = 1.00), bpchar (blanks), floats (-0),
/// citext and collations that are not deterministic, domains, arrays ...
std::optional<KeyType> key_type(Oid type) noexcept;
/// By its name in pg_catalog.
std::optional<KeyType> cast_type(std::string_view name) noexcept;
/// By the name PostgreSQL prints, without modifiers.
std::optional<KeyType> printed_type(std::string_view name) noexcept;

/// A column of a relation's replica identity.
struct IdentityColumn {
    std::int16_t number = 0;    // pg_attribute.attnum
    std::int16_t position = 0;  // among the columns that exist, from 1
    KeyType type = KeyType::integer;
    std::string name;
};

/// Where a value stands in an execution.
struct KeySource {
    bool parameter = false;    // else a literal
    std::uint16_t number = 0;  // of parameters or literals, from 0
    /// Occurs nowhere else in the text, so that a type that is not declared is the column's.
    bool sole = false;
};

struct KeyColumn {
    std::int16_t number = 0;
    KeyType type = KeyType::integer;
    std::vector<KeySource> values;  // alternatives
};

/// The rows of a relation with these values in these columns.
struct RowKey {
    Oid relation = 0;
    std::vector<KeyColumn> columns;  // ascending by number
};

/// One execution: of a simple Query the text; of a portal also what Bind said.
struct KeyValues {
    std::string_view text;
    std::string_view parameters;           // formats and values as in Bind, result formats or not
    std::span<const std::uint32_t> types;  // as declared by Parse
};

/// A column's value in its canonical form, which is appended to `out`; false: not known.
bool canonical_text(KeyType type, std::string_view value, std::string& out);
bool canonical_binary(KeyType type, std::string_view value, std::string& out);

/// One column with one value.
struct RowValue {
    std::int16_t number = 0;
    std::string value;  // canonical
};
/// The number of rows with these values. `values` ascend by column.
std::uint64_t row_number(std::span<const RowValue> values);
/// The numbers of all sets of columns a row may be read by: each but the empty one.
void row_numbers(std::span<const RowValue> values, std::vector<std::uint64_t>& out);

/// What the statement may read of the relation: one number for each combination of alternatives.
/// False: not known in this execution.
bool rows_read(const RowKey& key, const KeyValues& values, std::vector<std::uint64_t>& out);
/// What it writes: for each row all numbers it may be read by.
bool rows_written(std::span<const RowKey> keys, const KeyValues& values,
                  std::vector<std::uint64_t>& out);

}  // namespace pgweir::query
