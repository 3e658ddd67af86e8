// See builtins.hpp.
#include "builtins.hpp"

#include <algorithm>
#include <array>

namespace pgweir::control {

namespace {

/// Neither write rows nor leave state. Random's position and a sequence's currval do not count.
constexpr std::string_view kHarmless[] = {
    "bernoulli",
    "brinhandler",
    "bthandler",
    "clock_timestamp",
    "current_query",
    "currtid2",
    "currval",
    "gen_random_uuid",
    "ginhandler",
    "gisthandler",
    "hashhandler",
    "heap_tableam_handler",
    "lastval",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek",
    "lo_lseek64",
    "lo_open",
    "lo_put",
    "lo_tell",
    "lo_tell64",
    "lo_truncate",
    "lo_truncate64",
    "lo_unlink",
    "loread",
    "lowrite",
    "nextval",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_blocking_pids",
    "pg_cancel_backend",
    "pg_collation_actual_version",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_create_restore_point",
    "pg_current_logfile",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_collation_actual_version",
    "pg_database_size",
    "pg_export_snapshot",
    "pg_get_backend_memory_contexts",
    "pg_get_multixact_members",
    "pg_get_shmem_allocations",
    "pg_get_wal_replay_pause_state",
    "pg_get_wal_resource_managers",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_isolation_test_session_is_blocked",
    "pg_jit_available",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_log_backend_memory_contexts",
    "pg_logical_emit_message",
    "pg_ls_archive_statusdir",
    "pg_ls_dir",
    "pg_ls_logdir",
    "pg_ls_logicalmapdir",
    "pg_ls_logicalsnapdir",
    "pg_ls_replslotdir",
    "pg_ls_tmpdir",
    "pg_ls_waldir",
    "pg_notification_queue_usage",
    "pg_notify",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_prepared_xact",
    "pg_read_binary_file",
    "pg_read_file",
    "pg_read_file_old",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value",
    "pg_show_all_file_settings",
    "pg_show_replication_origin_status",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_stat_clear_snapshot",
    "pg_stat_file",
    "pg_stat_force_next_flush",
    "pg_stat_get_recovery_prefetch",
    "pg_stat_get_xact_blocks_fetched",
    "pg_stat_get_xact_blocks_hit",
    "pg_stat_get_xact_function_calls",
    "pg_stat_get_xact_function_self_time",
    "pg_stat_get_xact_function_total_time",
    "pg_stat_get_xact_numscans",
    "pg_stat_get_xact_tuples_deleted",
    "pg_stat_get_xact_tuples_fetched",
    "pg_stat_get_xact_tuples_hot_updated",
    "pg_stat_get_xact_tuples_inserted",
    "pg_stat_get_xact_tuples_returned",
    "pg_stat_get_xact_tuples_updated",
    "pg_stat_have_stats",
    "pg_stat_reset",
    "pg_stat_reset_replication_slot",
    "pg_stat_reset_shared",
    "pg_stat_reset_single_function_counters",
    "pg_stat_reset_single_table_counters",
    "pg_stat_reset_slru",
    "pg_stat_reset_subscription_stats",
    "pg_switch_wal",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_terminate_backend",
    "pg_total_relation_size",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_xact_commit_timestamp",
    "pg_xact_commit_timestamp_origin",
    "pg_xact_status",
    "random",
    "random_normal",
    "setval",
    "spghandler",
    "suppress_redundant_updates_trigger",
    "system",
    "timeofday",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
    "txid_status",
    "unique_key_recheck",
    "uuidv4",
    "uuidv7",
};

/// Write nothing, but leave settings, locks, or other state in the session.
constexpr std::string_view kStateOnly[] = {
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
    "pg_backup_start",
    "pg_backup_stop",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_replication_origin_session_is_setup",
    "pg_replication_origin_session_progress",
    "pg_replication_origin_session_reset",
    "pg_replication_origin_session_setup",
    "pg_replication_origin_xact_reset",
    "pg_replication_origin_xact_setup",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "set_config",
    "setseed",
};

static_assert(std::is_sorted(std::begin(kHarmless), std::end(kHarmless)));
static_assert(std::is_sorted(std::begin(kStateOnly), std::end(kStateOnly)));

constexpr std::string_view kExtensions[] = {
    "btree_gin", "btree_gist", "citext",   "cube",      "earthdistance", "fuzzystrmatch",
    "hstore",    "intarray",   "isn",      "ltree",     "pg_trgm",       "pgcrypto",
    "seg",       "tablefunc",  "unaccent", "uuid-ossp", "vector",
};
static_assert(std::is_sorted(std::begin(kExtensions), std::end(kExtensions)));

}  // namespace

bool moves_sequence(std::string_view builtin) noexcept {
    return builtin == "nextval" || builtin == "setval";
}
bool asks_sequence(std::string_view builtin) noexcept {
    return builtin == "currval" || builtin == "lastval";
}

Effects builtin_effects(std::string_view name, char volatility) noexcept {
    // These run SQL that they are given or that stands in views, whatever they are declared as.
    if (name.find("_to_xml") != std::string_view::npos) return {true, true};
    if (volatility != 'v') return {false, false};
    const auto in = [&](const auto& list) {
        return std::binary_search(std::begin(list), std::end(list), name);
    };
    if (in(kHarmless)) return {false, false};
    if (in(kStateOnly)) return {false, true};
    return {true, true};
}

namespace {
/// Functions in C of these extensions were looked at: they neither write nor leave state, whatever
/// their volatility, but for the ones excepted.
bool known_extension_function(std::string_view extension, std::string_view name) noexcept {
    if (!std::binary_search(std::begin(kExtensions), std::end(kExtensions), extension))
        return false;
    // These set a limit for the session, or run the SQL they are given.
    return !name.starts_with("set_") && !name.starts_with("isn_weak") &&
           !name.starts_with("crosstab") && !name.starts_with("connectby");
}
}  // namespace

Effects code_effects(std::string_view language, char volatility, std::string_view extension,
                     std::string_view name) noexcept {
    const bool c = language == "c" || language == "internal";
    if (c && known_extension_function(extension, name)) return {false, false};
    // What a stable one does with SQL text that it is given is not known. Extensions are made for
    // sharing server connections or not; a function of somebody's own may keep anything.
    return {!c || volatility != 'i', true,
            language != "internal" && volatility == 'v' && extension.empty()};
}

std::string constant_extensions() {
    std::string all;
    // How isn reads a number is a setting of the session's that is no setting.
    for (const auto extension : kExtensions)
        if (extension != "isn") all.append(all.empty() ? "{" : ",").append(extension);
    return all + "}";
}

bool approximate(std::string_view function) noexcept {
    return function.ends_with("_distance") || function.find("inner_product") != function.npos;
}

}  // namespace pgweir::control
