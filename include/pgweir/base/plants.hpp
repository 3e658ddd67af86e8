// Bugs planted on purpose, to prove that the checkers of consistency (M) and of leaks (P) find
// them, and places where a test build waits now and then, so that rare interleavings become common.
// Only a build configured with -Dplants=true contains any: elsewhere both functions are constants
// and leave no code. Chosen when the program starts: PGWEIR_PLANT names one (M05), PGWEIR_HOLDS=1
// switches the waits on. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace pgweir::base {

enum class Plant : std::uint8_t {
    none,
    no_invalidation,
    fill_after_invalidation,
    invalidate_at_statement,
    invalidate_at_answer,
    fill_in_transaction,
    hit_in_own_transaction,
    no_cascade,
    first_table_only,
    key_without_search_path,
    key_without_user,
    key_without_settings,
    key_without_formats,
    stale_statement_name,
    lost_commit_is_rollback,
    savepoint_drops_writes,
    failed_statement_drops_writes,
    copy_truncate_merge_read,
    writing_function_cached,
    two_phase_writes_nothing,
    recreated_table,
    child_only,
    no_view_dependency,
    revoke_ignored,
    wall_clock_ttl,
    freed_while_sent,
    text_description,
    hash_only,
    several_as_one,
    suspended_portal,
    return_at_first_ready,
    return_failed_transaction,
    identity_forgotten,
    late_cancel,
    closing_not_counted,
    two_waiters_woken,
    forward_after_framing_error,
    two_fatals,
    no_parameter_status,
    evicted_still_known,
    no_stamp,
    watermark_too_early,
    gap_keeps_entries,
    row_not_bumped,
    key_change_unseen,
    blanks_count,
    refined_too_early,
    unpublished_covered,
    count_
};

/// The numbers they have in the list of bugs that a checker has to find.
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Plant::count_)> kPlantNames{
    "",    "M01", "M02", "M03", "M04", "M05", "M06", "M07", "M08", "M09", "M10", "M11",
    "M12", "M13", "M14", "M17", "M18", "M19", "M20", "M21", "M23", "M24", "M25", "M26",
    "M27", "M28", "M29", "M30", "M31", "M32", "P01", "P02", "P03", "P04", "P05", "P06",
    "P07", "P08", "P09", "P10", "M15", "M33", "M16", "M34", "M35", "M36", "M37", "M38"};

enum class Hold : std::uint8_t { before_fill_is_sent, before_publish, after_fence, before_settle };

#ifdef PGWEIR_PLANTS
inline constexpr bool kPlants = true;
bool planted(Plant plant) noexcept;
/// Sleeps a few milliseconds, one time in four.
void hold(Hold place) noexcept;
#else
inline constexpr bool kPlants = false;
constexpr bool planted(Plant) noexcept { return false; }
constexpr void hold(Hold) noexcept {}
#endif

}  // namespace pgweir::base
