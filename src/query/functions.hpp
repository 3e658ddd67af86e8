// What is known beforehand of pg_catalog's functions and types: which ones change the session,
// which ones run SQL given as text, which stable ones depend on nothing but tracked settings.
// Checked against pg_proc of PostgreSQL 15. Thread: pure functions.
#pragma once

#include <string_view>

#include "pgweir/query/reasons.hpp"

namespace pgweir::query {

struct SessionEffect {
    std::string_view name;
    PinReason pin = PinReason::none;
};
/// The effect of a pg_catalog function on the session, or nullptr.
const SessionEffect* session_effect(std::string_view function) noexcept;
/// A pg_catalog function that runs SQL from its arguments, and so may write and change anything.
bool runs_sql_text(std::string_view function) noexcept;
/// Stable, but only because of settings that are in the cache's key.
bool depends_on_settings_only(std::string_view function) noexcept;
/// For when no catalog is at hand: the name of a pg_catalog function.
bool common_builtin(std::string_view function) noexcept;

enum class TypeTrust : std::uint8_t { unknown, plain, datetime };
/// plain: input depends on nothing but bytes and tracked settings; datetime: also on the time, if
/// the text says so.
TypeTrust builtin_type(std::string_view type) noexcept;
/// Of pg_catalog, and what text is read as may depend on the time: dates and times, and ranges and
/// arrays of them.
bool reads_dates(std::string_view type) noexcept;

}  // namespace pgweir::query
