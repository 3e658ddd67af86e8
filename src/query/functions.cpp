// The lists of functions.hpp, each sorted by bytes and searched by halving.
#include "functions.hpp"

#include <algorithm>
#include <array>

#include "pgweir/query/verdict.hpp"

namespace pgweir::query {

namespace {

using std::string_view;

constexpr auto kSessionEffects = std::to_array<SessionEffect>({
    {"currval", PinReason::sequence},
    {"lastval", PinReason::sequence},
    {"pg_advisory_lock", PinReason::advisory_lock},
    {"pg_advisory_lock_shared", PinReason::advisory_lock},
    {"pg_advisory_unlock", PinReason::advisory_lock},
    {"pg_advisory_unlock_all", PinReason::advisory_lock},
    {"pg_advisory_unlock_shared", PinReason::advisory_lock},
    {"pg_backend_pid", PinReason::backend_pid},
    {"pg_backup_start", PinReason::replication},
    {"pg_backup_stop", PinReason::replication},
    {"pg_copy_logical_replication_slot", PinReason::replication},
    {"pg_copy_physical_replication_slot", PinReason::replication},
    {"pg_create_logical_replication_slot", PinReason::replication},
    {"pg_create_physical_replication_slot", PinReason::replication},
    {"pg_drop_replication_slot", PinReason::replication},
    {"pg_replication_origin_session_reset", PinReason::replication},
    {"pg_replication_origin_session_setup", PinReason::replication},
    {"pg_replication_slot_advance", PinReason::replication},
    {"pg_start_backup", PinReason::replication},
    {"pg_stop_backup", PinReason::replication},
    {"pg_try_advisory_lock", PinReason::advisory_lock},
    {"pg_try_advisory_lock_shared", PinReason::advisory_lock},
    {"set_config", PinReason::set},
    {"setseed", PinReason::seed},
});

constexpr auto kRunsSqlText = std::to_array<string_view>({
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "database_to_xmlschema",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "schema_to_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "table_to_xmlschema",
    "ts_rewrite",
    "ts_stat",
});

// Not among them, though stable: age of one argument and timezone of a timetz know the current
// date; json_populate_record and its kin read dates from data.
constexpr auto kSettingsOnly = std::to_array<string_view>({
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "date",
    "date_part",
    "date_trunc",
    "extract",
    "format",
    "generate_series",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "length",
    "overlaps",
    "phraseto_tsquery",
    "plainto_tsquery",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "timestamp",
    "timestamptz",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsquery",
    "to_tsvector",
    "ts_headline",
    "websearch_to_tsquery",
});

constexpr auto kCommon = std::to_array<string_view>({
#include "builtin_names.inc"
});

struct Type {
    string_view name;
    TypeTrust trust;
    Oid oid;
    Oid array;
};

constexpr auto kTypes = std::to_array<Type>({
    {"bit", TypeTrust::plain, 1560, 1561},
    {"bool", TypeTrust::plain, 16, 1000},
    {"box", TypeTrust::plain, 603, 1020},
    {"bpchar", TypeTrust::plain, 1042, 1014},
    {"bytea", TypeTrust::plain, 17, 1001},
    {"cidr", TypeTrust::plain, 650, 651},
    {"circle", TypeTrust::plain, 718, 719},
    {"date", TypeTrust::datetime, 1082, 1182},
    {"float4", TypeTrust::plain, 700, 1021},
    {"float8", TypeTrust::plain, 701, 1022},
    {"inet", TypeTrust::plain, 869, 1041},
    {"int2", TypeTrust::plain, 21, 1005},
    {"int4", TypeTrust::plain, 23, 1007},
    {"int8", TypeTrust::plain, 20, 1016},
    {"interval", TypeTrust::plain, 1186, 1187},
    {"json", TypeTrust::plain, 114, 199},
    {"jsonb", TypeTrust::plain, 3802, 3807},
    {"jsonpath", TypeTrust::plain, 4072, 4073},
    {"macaddr", TypeTrust::plain, 829, 1040},
    {"macaddr8", TypeTrust::plain, 774, 775},
    {"name", TypeTrust::plain, 19, 1003},
    {"numeric", TypeTrust::plain, 1700, 1231},
    {"oid", TypeTrust::plain, 26, 1028},
    {"point", TypeTrust::plain, 600, 1017},
    {"text", TypeTrust::plain, 25, 1009},
    {"time", TypeTrust::datetime, 1083, 1183},
    {"timestamp", TypeTrust::datetime, 1114, 1115},
    {"timestamptz", TypeTrust::datetime, 1184, 1185},
    {"tsquery", TypeTrust::plain, 3615, 3645},
    {"tsvector", TypeTrust::plain, 3614, 3643},
    {"uuid", TypeTrust::plain, 2950, 2951},
    {"varbit", TypeTrust::plain, 1562, 1563},
    {"varchar", TypeTrust::plain, 1043, 1015},
});

constexpr auto kDateRanges = std::to_array<string_view>({
    "datemultirange",
    "daterange",
    "tsmultirange",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
});

constexpr Oid kUnknownType = 705;

constexpr auto names_before = [](const auto& a, const auto& b) { return a.name < b.name; };
static_assert(std::is_sorted(kSessionEffects.begin(), kSessionEffects.end(), names_before));
static_assert(std::is_sorted(kTypes.begin(), kTypes.end(), names_before));
static_assert(std::is_sorted(kRunsSqlText.begin(), kRunsSqlText.end()));
static_assert(std::is_sorted(kSettingsOnly.begin(), kSettingsOnly.end()));
static_assert(std::is_sorted(kCommon.begin(), kCommon.end()));
static_assert(std::is_sorted(kDateRanges.begin(), kDateRanges.end()));

constexpr auto by_name = [](const auto& entry, string_view name) { return entry.name < name; };

template <class Table>
auto find_by_name(const Table& table, string_view name) noexcept -> decltype(table.data()) {
    const auto at = std::lower_bound(table.begin(), table.end(), name, by_name);
    return at != table.end() && at->name == name ? &*at : nullptr;
}

}  // namespace

const SessionEffect* session_effect(string_view function) noexcept {
    return find_by_name(kSessionEffects, function);
}

bool runs_sql_text(string_view function) noexcept {
    return std::binary_search(kRunsSqlText.begin(), kRunsSqlText.end(), function);
}

bool depends_on_settings_only(string_view function) noexcept {
    return std::binary_search(kSettingsOnly.begin(), kSettingsOnly.end(), function);
}

bool constant_function(const Function& f, string_view name) noexcept {
    if (f.known_code) return true;
    if (!f.builtin || f.volatility == Volatility::volatile_) return false;
    return f.volatility == Volatility::immutable_ || depends_on_settings_only(name);
}

bool common_builtin(string_view function) noexcept {
    return std::binary_search(kCommon.begin(), kCommon.end(), function);
}

TypeTrust builtin_type(string_view type) noexcept {
    const Type* found = find_by_name(kTypes, type);
    return found == nullptr ? TypeTrust::unknown : found->trust;
}

bool reads_dates(string_view type) noexcept {
    if (type.starts_with('_')) type.remove_prefix(1);
    return type == "timetz" || builtin_type(type) == TypeTrust::datetime ||
           std::binary_search(kDateRanges.begin(), kDateRanges.end(), type);
}

bool plain_parameter_type(Oid type) noexcept {
    if (type == 0 || type == kUnknownType) return true;
    return std::any_of(kTypes.begin(), kTypes.end(),
                       [type](const Type& t) { return t.oid == type || t.array == type; });
}

}  // namespace pgweir::query
