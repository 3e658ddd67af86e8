// A small catalog made by hand: one relation and function of every sort the rules tell apart.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "pgweir/query/verdict.hpp"

namespace pgweir::query::fixture {

inline constexpr Oid kPgCatalog = 11, kPublic = 2200, kApp = 20000, kAlice = 20001,
                     kInformation = 13000;
inline constexpr Oid kT = 1, kU = 2, kAppT = 3, kBoth = 4, kAppBoth = 5, kAliceNotes = 6,
                     kQuoted = 7;

class Builder {
  public:
    Builder() {
        catalog_.version = 7;
        catalog_.database_oid = 5;
        catalog_.any_harmful_trigger = true;
        catalog_.casts_proven = true;
        catalog_.code_may_define_shared = false;
        catalog_.functions_define_shared = catalog_.ddl_defines_shared = false;
        catalog_.schemas = {{"pg_catalog", kPgCatalog},
                            {"public", kPublic},
                            {"app", kApp},
                            {"alice", kAlice},
                            {"information_schema", kInformation}};
        relations();
        functions();
        operators();
        catalog_.types["mood"] = false;
        catalog_.types["uuid"] = false;
        catalog_.types["level"] = true;
        catalog_.types["btrim"] = false;
    }
    Catalog take() {
        for (auto& [schema, named] : catalog_.relations)
            for (auto& [name, relation] : named)
                catalog_.relations_by_oid[relation.oid] = &relation;
        return std::move(catalog_);
    }

  private:
    Relation& add(Oid schema, std::string name, Oid oid, char kind = 'r') {
        Relation r{.oid = oid,
                   .schema = schema,
                   .name = name,
                   .kind = kind,
                   .plain_types = true,
                   .reading_may_write = false,
                   .reading_may_define_shared = false,
                   .writes_unknown = false,
                   .session_harmless = true,
                   .writing_harmless = true,
                   .reading_sequences = {false, false, false},
                   .writing_sequences = {false, false, false}};
        return catalog_.relations[schema][name] = r;
    }

    void relations() {
        add(kPublic, "t", kT);
        add(kPublic, "u", kU);
        add(kApp, "t", kAppT);
        add(kPublic, "twice", kBoth);
        add(kApp, "twice", kAppBoth);
        add(kAlice, "notes", kAliceNotes);
        add(kPublic, "Odd Name", kQuoted);
        auto& view = add(kPublic, "v", 100, 'v');
        view.reading_may_write = true;
        view.session_harmless = false;
        add(kPublic, "quiet_view", 120, 'v');
        auto& quiet_guard = add(kPublic, "quiet_guard", 121);
        quiet_guard.row_security = true;
        add(kPublic, "mv", 101, 'm');
        add(kPublic, "remote", 102, 'f').writes_unknown = true;
        add(kPublic, "parted", 103, 'p');
        add(kPublic, "seq", 104, 'S');
        add(kPublic, "fast", 105).persistence = 'u';
        add(kPublic, "gone", 106).persistence = 't';
        auto& guarded = add(kPublic, "guarded", 107);
        guarded.row_security = guarded.reading_may_write = true;
        guarded.session_harmless = false;
        linked();
        with_identity();
        add(kPublic, "moods", 109).plain_types = false;
        add(kPublic, "checked", 110).writes_unknown = true;
        auto& triggered = add(kPublic, "triggered", 111);
        triggered.has_user_triggers = triggered.writes_unknown = true;
        add(kPublic, "remembers", 119).triggers_hide_state = true;
        auto& ruled = add(kPublic, "ruled", 112);
        ruled.has_rules = ruled.writes_unknown = true;
        add(kPublic, "parent", 113).writes_unknown = true;
        auto& defaults = add(kPublic, "defaults", 114);
        defaults.writes_unknown = true;
        defaults.writing_harmless = false;
        add(kPublic, "setting_default", 122).writing_harmless = false;
        add(kInformation, "tables", 115, 'v').system = true;
        add(kPgCatalog, "pg_authid", 1260).system = true;
        auto& over_system = add(kPublic, "over_system", 116, 'v');
        over_system.writing_defines = over_system.writing_defines_shared = true;
        add(kPublic, "serial_one", 160).writing_sequences = {true, false, false};
        add(kPublic, "asking_default", 161).writing_sequences = {true, true, true};
        add(kPublic, "asking_view", 162, 'v').reading_sequences = {false, true, true};
    }

    /// Tables whose rows are kept apart by a key.
    void with_identity() {
        auto& keyed = add(kPublic, "keyed", 150);
        keyed.identity = {{1, 1, KeyType::integer, "id"}};
        keyed.conflicts_by_identity = true;
        auto& tenants = add(kPublic, "tenants", 151);
        tenants.identity = {{1, 1, KeyType::integer, "tenant"}, {3, 2, KeyType::integer, "id"}};
        add(kPublic, "named", 152).identity = {{1, 1, KeyType::text, "Name"}};
        add(kPublic, "by_uuid", 153).identity = {{1, 1, KeyType::uuid, "u"}};
        auto& watched = add(kPublic, "watched", 154);
        watched.identity = keyed.identity;
        watched.has_triggers = watched.has_user_triggers = true;
        // Its default writes the table itself.
        auto& own_default = add(kPublic, "own_default", 157);
        own_default.identity = keyed.identity;
        own_default.writes_also = {157};
        auto& inherited = add(kPublic, "inherited", 155);
        inherited.identity = keyed.identity;
        inherited.inherits = true;
        auto& over = add(kPublic, "keyed_view", 156, 'v');
        over.query_proven = true;
        over.reads_also = over.writes_also = {150};
    }

    /// Relations that lead to others: see catalog.hpp.
    void linked() {
        add(kPublic, "child", 108).reads_also = {103};
        add(kPublic, "odd_parted", 130, 'p').odd_partitions = true;
        auto& proven = add(kPublic, "proven_view", 131, 'v');
        proven.query_proven = true;
        proven.reads_also = proven.writes_also = {kT, 132};
        auto& nested = add(kPublic, "nested_view", 132, 'v');
        nested.query_proven = true;
        nested.reads_also = nested.writes_also = {kU};
        auto& over_guarded = add(kPublic, "guarded_view", 133, 'v');
        over_guarded.query_proven = true;
        over_guarded.reads_also = {121};
        auto& over_unproven = add(kPublic, "unproven_view", 134, 'v');
        over_unproven.query_proven = true;
        over_unproven.reads_also = {120};
        auto& cascades = add(kPublic, "cascades", 135);
        cascades.writes_also = {136};
        cascades.truncates_also = {136, kU};
        auto& further = add(kPublic, "further", 136);
        further.writes_also = {kT, 135};
        auto& audited = add(kPublic, "audited", 137);
        audited.has_user_triggers = true;
        audited.writes_also = {kU};
        add(kPublic, "leads_nowhere", 138).writes_also = {999};
        add(kPublic, "leads_to_unknown", 139).writes_also = {111};
        auto& wide = add(kPublic, "wide", 140);
        for (Oid oid = 1000; oid < 1100; ++oid) {
            add(kPublic, "wide_" + std::to_string(oid), oid);
            wide.reads_also.push_back(oid);
            wide.writes_also.push_back(oid);
        }
    }

    void builtin(Volatility volatility, std::initializer_list<const char*> names,
                 bool effects = false) {
        for (const char* name : names)
            catalog_.functions[name].push_back({.oid = 100,
                                                .schema = kPgCatalog,
                                                .volatility = volatility,
                                                .builtin = true,
                                                .session_harmless = !effects,
                                                .may_write = effects,
                                                .sequences = sequences_of(name, effects)});
    }

    static SequenceUse sequences_of(std::string_view name, bool effects) {
        const bool asks = name == "currval" || name == "lastval";
        return {effects || name == "nextval" || name == "setval", effects || asks, asks};
    }

    void user(const char* name, Oid schema, Volatility volatility, bool harmless, bool writes) {
        catalog_.functions[name].push_back({.oid = 20000,
                                            .schema = schema,
                                            .volatility = volatility,
                                            .session_harmless = harmless,
                                            .may_write = writes,
                                            .may_define_shared = false,
                                            .sequences = {!harmless, !harmless, false}});
    }

    void functions() {
        builtin(Volatility::immutable_, {"lower",
                                         "upper",
                                         "count",
                                         "sum",
                                         "min",
                                         "max",
                                         "avg",
                                         "bool_and",
                                         "length",
                                         "abs",
                                         "round",
                                         "substring",
                                         "btrim",
                                         "position",
                                         "overlay",
                                         "date_part",
                                         "extract",
                                         "date_trunc",
                                         "unnest",
                                         "generate_series",
                                         "row_number",
                                         "rank",
                                         "lag",
                                         "string_agg",
                                         "array_agg",
                                         "md5",
                                         "to_timestamp",
                                         "timezone",
                                         "age",
                                         "jsonb_array_elements",
                                         "like_escape",
                                         "overlaps",
                                         "percentile_cont",
                                         "date",
                                         "timestamptz",
                                         "daterange",
                                         "left",
                                         "right",
                                         "jsonb_path_exists",
                                         "array_length",
                                         "ts_rewrite"});
        builtin(Volatility::stable, {"now",
                                     "to_char",
                                     "to_date",
                                     "to_timestamp",
                                     "date_trunc",
                                     "date_part",
                                     "extract",
                                     "concat",
                                     "format",
                                     "current_setting",
                                     "timezone",
                                     "age",
                                     "pg_typeof",
                                     "has_table_privilege",
                                     "version",
                                     "to_json",
                                     "row_to_json",
                                     "transaction_timestamp",
                                     "json_populate_record",
                                     "to_regclass",
                                     "current_database",
                                     "date",
                                     "generate_series",
                                     "json_agg",
                                     "pg_table_is_visible",
                                     "table_to_xml"});
        volatile_functions();
    }

    void volatile_functions() {
        builtin(Volatility::volatile_, {"random",
                                        "nextval",
                                        "currval",
                                        "lastval",
                                        "setval",
                                        "set_config",
                                        "setseed",
                                        "clock_timestamp",
                                        "pg_advisory_lock",
                                        "pg_advisory_unlock",
                                        "pg_try_advisory_lock",
                                        "pg_advisory_xact_lock",
                                        "pg_backend_pid",
                                        "pg_sleep",
                                        "gen_random_uuid",
                                        "pg_notify",
                                        "query_to_xml",
                                        "lo_create",
                                        "txid_current",
                                        "pg_export_snapshot",
                                        "ts_stat",
                                        "pg_create_logical_replication_slot"});
        builtin(Volatility::volatile_, {"pg_new_in_19"}, true);
        user("own_constant", kPublic, Volatility::immutable_, true, false);
        user("own_reader", kPublic, Volatility::stable, true, false);
        user("own_writer", kPublic, Volatility::volatile_, true, true);
        user("only_rows", kPublic, Volatility::volatile_, true, true);
        catalog_.functions["only_rows"].back().may_define = false;
        user("own_granter", kPublic, Volatility::volatile_, true, true);
        catalog_.functions["own_granter"].back().may_define_shared = true;
        user("own_setter", kPublic, Volatility::volatile_, false, false);
        user("own_anything", kPublic, Volatility::volatile_, false, true);
        user("hidden", kApp, Volatility::volatile_, false, true);
        user("upper", kPublic, Volatility::immutable_, true, false);
        user("lower", kApp, Volatility::volatile_, false, true);
        user("full_name", kPublic, Volatility::stable, true, false);
        user("own_counter", kPublic, Volatility::volatile_, true, false);
        catalog_.functions["own_counter"].back().sequences = {true, false, false};
        user("own_asker", kPublic, Volatility::volatile_, true, false);
        catalog_.functions["own_asker"].back().sequences = {false, true, true};
    }

    void operators() {
        for (const char* name :
             {"=",   "<>",  "<", ">",  "<=", ">=", "+",  "-",   "*",  "/",  "%", "||", "~~",
              "!~~", "~~*", "~", "!~", "@>", "<@", "->", "->>", "&&", "@@", "^", "|/"})
            catalog_.operators[name].push_back({kPgCatalog, true, Volatility::immutable_});
        catalog_.operators["<"].push_back({kPgCatalog, true, Volatility::stable});
        catalog_.operators["<->"].push_back({kPgCatalog, true, Volatility::immutable_});
        catalog_.operators["<->"].push_back({kPublic, false, Volatility::immutable_});
        catalog_.operators["==>"].push_back({kPublic, false, Volatility::volatile_});
        catalog_.operators["~"].push_back({kApp, false, Volatility::volatile_});
    }

    Catalog catalog_;
};

inline const Catalog& catalog() {
    static const Catalog made = Builder().take();
    return made;
}

/// As the session of bob, whose search_path is public.
inline Verdict judged(std::string_view sql) {
    return *judge(sql, {.user = "bob", .search_path = {"$user", "public"}, .catalog = &catalog()});
}
inline Verdict judged_without_catalog(std::string_view sql) {
    return *judge(sql, {.user = "bob", .search_path = {"$user", "public"}, .catalog = nullptr});
}

}  // namespace pgweir::query::fixture
