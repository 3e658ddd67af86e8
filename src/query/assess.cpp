// See assess.hpp. Without a catalog nothing is cached, relations may be anything, and a function
// that is not known to be pg_catalog's may change the session.
#include "assess.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "functions.hpp"
#include "inline_code.hpp"
#include "lexer.hpp"
#include "pgweir/base/plants.hpp"
#include "pgweir/query/body_words.hpp"

namespace pgweir::query {

namespace {

constexpr std::size_t kMostReads = 64;
/// Of more aliases in FROM it is not told which one a name belongs to.
constexpr std::size_t kMostScalars = 16;
/// A write set beyond this is the database: see cache::WriteFence::kMaxStates.
constexpr std::size_t kMostWrites = 64;

constexpr std::array kKinds{Kind::select, Kind::dml,      Kind::copy,        Kind::begin,
                            Kind::commit, Kind::rollback, Kind::savepoint,   Kind::prepared_tx,
                            Kind::set,    Kind::show,     Kind::discard_all, Kind::deallocate,
                            Kind::call,   Kind::utility};
static_assert(kKinds.size() == PGW_KIND_UTILITY + 1);

constexpr std::array kPins{PinReason::none,   PinReason::set,       PinReason::prepare,
                           PinReason::listen, PinReason::temporary, PinReason::hold_cursor,
                           PinReason::load,   PinReason::do_block};
static_assert(kPins.size() == PGW_PIN_DO_BLOCK + 1);

bool of_pg_catalog(std::string_view schema) { return schema.empty() || schema == "pg_catalog"; }

bool tells_time(std::string_view function) {
    constexpr std::array<std::string_view, 6> clocks{"now",
                                                     "age",
                                                     "timeofday",
                                                     "clock_timestamp",
                                                     "statement_timestamp",
                                                     "transaction_timestamp"};
    return std::find(clocks.begin(), clocks.end(), function) != clocks.end();
}

bool plain_ascii(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

void sort_unique(std::vector<Oid>& oids) {
    std::sort(oids.begin(), oids.end());
    oids.erase(std::unique(oids.begin(), oids.end()), oids.end());
}

}  // namespace

bool names_in_doubt(std::string_view sql, const ResolveContext& context) {
    const bool escapes = sql.find("&\"") != sql.npos;
    if (!context.other_encoding || (plain_ascii(sql) && !escapes)) return false;
    Lexer lexer(sql);
    for (Token t = lexer.next(); t.kind != TokenKind::end; t = lexer.next()) {
        if (t.kind == TokenKind::bad) return true;
        const bool name = t.kind == TokenKind::word || t.kind == TokenKind::quoted;
        if (name && !plain_ascii(t.text)) return true;
    }
    return false;
}

Assessor::Assessor(const ResolveContext& context) {
    verdict_ = {.kind = Kind::empty,
                .pin = PinReason::none,
                .may_leave_state = false,
                .opaque = false,
                .resets = false,
                .moves_sequence = false,
                .asks_sequence = false,
                .names_after = NameScope::path,
                .may_end_transaction = false,
                .writes = Writes::nothing,
                .may_define = false,
                .not_cached = NotCached::none,
                .literal_dependent = false};
    const auto searches = [&](std::string_view prefix) {
        return std::any_of(context.search_path.begin(), context.search_path.end(),
                           [&](std::string_view schema) { return schema.starts_with(prefix); });
    };
    other_encoding_ = context.other_encoding;
    may_make_temporary_ = context.scope != NameScope::path || searches("pg_temp");
    if (context.catalog == nullptr) return;
    catalog_ = context.catalog;
    names_.emplace(*context.catalog, context);
    verdict_.catalog_version = context.catalog->version;
    any_harmful_trigger_ = context.catalog->any_harmful_trigger;
    only_path_ = context.scope == NameScope::path;
    // By their real names temporary schemas may be other sessions'.
    if (!only_path_ || searches("pg_temp_") || searches("pg_toast_temp"))
        refuse(NotCached::unknown_setting);
}

void Assessor::refuse(NotCached reason) {
    if (verdict_.not_cached == NotCached::none) verdict_.not_cached = reason;
}

/// Code that is not known may have made anything.
void Assessor::leaves_state() {
    verdict_.may_leave_state = true;
    sequences({});
    moves_names(NameScope::unknown);
}

void Assessor::sequences(SequenceUse use) {
    verdict_.moves_sequence = verdict_.moves_sequence || use.moves;
    verdict_.asks_sequence = verdict_.asks_sequence || use.may_ask;
    if (use.asks) pin(PinReason::sequence);
}

void Assessor::moves_names(NameScope scope) {
    verdict_.names_after = std::max(verdict_.names_after, scope);
}

void Assessor::pin(PinReason reason) {
    if (verdict_.pin == PinReason::none) verdict_.pin = reason;
    switch (reason) {
        case PinReason::none: return;
        case PinReason::set:
        case PinReason::prepare:
        case PinReason::listen:
        case PinReason::advisory_lock:
        case PinReason::hold_cursor:
        case PinReason::sequence:
        case PinReason::seed:
        case PinReason::backend_pid: break;
        case PinReason::temporary: moves_names(NameScope::anywhere); break;
        default: return leaves_state();
    }
    verdict_.may_leave_state = true;
}

/// What every database feels it writes for all of them. Event triggers are behind all DDL.
void Assessor::may_define(Defines what) {
    if (what == Defines::nothing) return;
    verdict_.may_define = true;
    const bool behind = catalog_ != nullptr && catalog_->ddl_defines_shared;
    if (what == Defines::shared || behind) verdict_.writes = Writes::all_databases;
}

void Assessor::add(const pgw_statement& statement, const pgw_fact* facts, RowsOf* rows) {
    ++statements_;
    rows_ = rows;
    verdict_.kind = statements_ == 1 ? kKinds[statement.kind] : Kind::several;
    const auto kind = kKinds[statement.kind];
    const bool by_facts = kind == Kind::select || kind == Kind::dml || kind == Kind::copy ||
                          (kind == Kind::call && names_);
    if (!by_facts) verdict_.may_define = true;
    if (kind == Kind::call) writes_database();
    if (verdict_.kind != Kind::select)
        refuse(statements_ == 1 ? NotCached::not_a_read : NotCached::several_statements);
    flags(statement);
    pin(kPins[statement.pin]);
    if (may_make_temporary_ && (statement.flags & PGW_MAKES_ON_PATH) != 0)
        pin(PinReason::temporary);
    scalars_.clear();
    for (std::size_t i = 0; i < statement.facts; ++i)
        if (const auto& f = facts[statement.first_fact + i];
            f.what == PGW_SCALAR && scalars_.size() <= kMostScalars)
            scalars_.push_back(&f);
    for (std::size_t i = 0; i < statement.facts; ++i)
        fact(facts[statement.first_fact + i], statement);
}

void Assessor::flags(const pgw_statement& statement) {
    struct Refusal {
        unsigned flag;
        NotCached reason;
    };
    static constexpr Refusal refusals[] = {
        {PGW_INTO, NotCached::select_into},
        {PGW_DML_INSIDE, NotCached::writes},
        {PGW_LOCKING, NotCached::locking_clause},
        {PGW_TABLESAMPLE, NotCached::tablesample},
        {PGW_SYSTEM_COLUMN, NotCached::system_column},
        {PGW_SESSION_VALUE, NotCached::time_dependent},
        {PGW_UNPROVEN, NotCached::function_not_immutable},
    };
    for (const auto& [flag, reason] : refusals) {
        if ((statement.flags & flag) != 0) refuse(reason);
    }
    const auto has = [&](unsigned flag) { return (statement.flags & flag) != 0; };
    if (has(PGW_WRITES_DATABASE)) {
        writes_database();
        may_define(statement_defines(catalog_, has(PGW_RUNS_CODE)));
    }
    if (has(PGW_READS_ALL)) reads_all();
    if (has(PGW_WRITES_ALL)) verdict_.writes = Writes::all_databases;
    if (has(PGW_LEAVES_STATE)) leaves_state();
    verdict_.resets =
        verdict_.resets || (has(PGW_LEAVES_STATE) && statement.pin == PGW_PIN_PREPARE);
    if (has(PGW_ASKS_SEQUENCE)) sequences({false, false, true});
    if (has(PGW_MOVES_NAMES)) moves_names(NameScope::anywhere);
    if (has(PGW_NAMES_UNKNOWN)) moves_names(NameScope::unknown);
    verdict_.may_end_state = verdict_.may_end_state || has(PGW_ENDS_STATE);
    verdict_.may_end_transaction = verdict_.may_end_transaction || has(PGW_ENDS_TRANSACTION);
    verdict_.isolation_changed = verdict_.isolation_changed || has(PGW_ISOLATION);
    verdict_.vacuums = verdict_.vacuums || has(PGW_VACUUMS);
    verdict_.changes_logins = verdict_.changes_logins || has(PGW_CHANGES_LOGINS);
    verdict_.start_transaction = has(PGW_START);
    verdict_.chains = has(PGW_CHAINS);
    verdict_.literal_dependent = verdict_.literal_dependent || has(PGW_LITERAL_DEPENDENT);
}

/// Of tables that VACUUM and ANALYZE look for themselves, temporary ones of the session among them.
void Assessor::reads_all() {
    if (!only_path_) return writes_database(), may_define(statement_defines(catalog_, true));
    for (const auto& [oid, r] : catalog_->relations_by_oid)
        if (r->kind == 'r' || r->kind == 'm' || r->kind == 'p') hidden_code(*r, true);
}

void Assessor::fact(const pgw_fact& f, const pgw_statement& statement) {
    const bool planned_only = (statement.flags & PGW_FACTS_PLANNED_ONLY) != 0;
    switch (f.what) {
        case PGW_READ: return read(f);
        case PGW_WRITE: return planned_only ? planned_write(f) : write(f);
        case PGW_CALL: return planned_only ? planned_call(f) : call(f);
        case PGW_SETTING: return planned_only ? void() : setting(f.name);
        case PGW_DATABASE: verdict_.vacates = f.name; return;
        case PGW_FIELD: call_as_cast("", f.name, 0); return field(f.name, true);
        case PGW_COLUMN: return column(f, statement);
        case PGW_SCALAR: return;
        case PGW_OPERATOR: return operation(f.schema, f.name);
        case PGW_TYPE: return type(f.schema, f.name, f.flags);
        case PGW_CODE: return code(f.schema, f.name);
    }
}

/// Views, policies, defaults, casts call functions that are not in the text.
void Assessor::hidden_code(const Relation& r, bool written) {
    if (r.reading_may_write) {
        writes_database();
        may_define(defines_of(r.reading_may_define, r.reading_may_define_shared));
    }
    if (!r.session_harmless || (written && !r.writing_harmless)) leaves_state();
}

void Assessor::read(const pgw_fact& f) {
    const std::string_view schema = f.schema, name = f.name;
    if (!names_) {
        // It may be a view that calls anything.
        verdict_.moves_sequence = true;
        if (!of_pg_catalog(schema) || !name.starts_with("pg_")) writes_database();
        return;
    }
    const RelationMatch match = names_->relation(schema, name);
    switch (match.place) {
        case RelationPlace::system: return refuse(NotCached::system_relation);
        case RelationPlace::temporary:
            sequences({});  // it may be a view
            return refuse(NotCached::temporary_relation);
        case RelationPlace::unknown:
            refuse(NotCached::unknown_relation);
            leaves_state();
            return writes_database();
        case RelationPlace::found:
            for (const Relation* relation : match.candidates)
                readable(*relation, match.candidates.size() == 1 ? &f : nullptr);
    }
}

/// `fact`: what the text says of the rows, if it can only mean this relation.
void Assessor::readable(const Relation& r, const pgw_fact* fact) {
    const auto all = closure(*catalog_, r, Link::reads, kMostReads);
    // Code that reading calls is looked for along the same links, so the one that is named shows
    // it.
    hidden_code(r, false);
    sequences(r.reading_sequences);
    if (all.empty()) return refuse(NotCached::too_complex);
    std::optional<RowKey> rows;
    if (fact != nullptr && rows_ != nullptr && all.size() == 1)
        rows = rows_->read(r, *fact, *names_);
    for (const Relation* relation : all) {
        verdict_.reads.push_back(relation->oid);
        if (!rows) whole_reads_.push_back(relation->oid);
        depends_on(*relation);
    }
    if (rows) verdict_.read_rows.push_back(std::move(*rows));
}

void Assessor::depends_on(const Relation& r) {
    if (r.kind != 'v' && !r.tells_writes) verdict_.told = false;
    if (r.kind != 'v' && !r.published) verdict_.published = false;
    switch (r.kind) {
        case 'r':
        case 'm': break;
        case 'v':
            if (!r.query_proven) refuse(NotCached::view);
            break;
        case 'p': break;
        case 'f': refuse(NotCached::foreign_table); break;
        default: refuse(NotCached::unknown_relation);
    }
    if (r.persistence == 't') refuse(NotCached::temporary_relation);
    if (r.persistence != 'p') refuse(NotCached::unlogged_relation);
    if (r.row_security) refuse(NotCached::row_security);
    if (r.odd_partitions) refuse(NotCached::partitioned);
    if (!r.plain_types) refuse(NotCached::type_not_proven);
}

void Assessor::write(const pgw_fact& f) {
    ++targets_;
    if (!names_) {
        leaves_state();
        return writes_database();
    }
    const RelationMatch match = names_->relation(f.schema, f.name);
    if (match.place == RelationPlace::found) {
        for (const Relation* relation : match.candidates) writable(*relation, f);
        return;
    }
    // An UPDATE of pg_settings sets them; a write to any other of the system's tables is DDL.
    leaves_state();
    writes_database();
    if (match.place == RelationPlace::system)
        may_define(std::string_view(f.name) == "pg_settings" ? Defines::database : Defines::shared);
}

void Assessor::writable(const Relation& r, const pgw_fact& f) {
    const auto link = (f.flags & PGW_FACT_CASCADE) != 0 ? Link::truncates : Link::writes;
    const auto all = closure(*catalog_, r, link, kMostWrites);
    bool unknown = all.empty();
    bool triggers = unknown;
    for (const Relation* relation : all) {
        unknown = unknown || (relation->writes_unknown && !base::planted(base::Plant::no_cascade));
        triggers = triggers || unknown || relation->has_user_triggers;
        verdict_.written.push_back(relation->oid);
        hidden_code(*relation, true);
        if (relation->triggers_hide_state) pin(PinReason::function);
        sequences(relation->reading_sequences);
        sequences(relation->writing_sequences);
    }
    hidden_code(r, true);
    if (r.triggers_hide_state) pin(PinReason::function);
    if (unknown) sequences({});
    if (unknown) {
        writes_database();
        may_define(all.empty() ? code_defines(*catalog_) : writing_defines(all));
    } else {
        verdict_.writes = std::max(verdict_.writes, Writes::relations);
    }
    if (triggers && any_harmful_trigger_) leaves_state();
    if (rows_ != nullptr && !unknown && all.size() == 1)
        verdict_.written_rows = rows_->written(r, f, *names_);
}

CallMatch Assessor::match_call(std::string_view schema, std::string_view name) const {
    if (names_) return names_->call(schema, name);
    const bool builtin =
        schema == "pg_catalog" ||
        (schema.empty() && (common_builtin(name) || session_effect(name) != nullptr ||
                            runs_sql_text(name) || builtin_type(name) != TypeTrust::unknown));
    return {.found = true,
            .builtin = builtin,
            .foreign = !builtin,
            .constant = false,
            .harmless = builtin,
            .builtin_harmless = true,
            .may_write = !builtin,
            .sequences = {!builtin, !builtin, false}};
}

/// Planning folds calls of what is declared immutable, estimates by what is declared stable, and
/// looks into functions in SQL; whatever they are declared as, what they call may write.
void Assessor::planned_call(const pgw_fact& f) {
    const CallMatch match = match_call(f.schema, f.name);
    if (!match.found || !match.harmless) leaves_state();
    if (match.foreign) sequences({match.sequences.moves, match.sequences.may_ask, false});
    if (!match.found && std::string_view(f.schema).starts_with("pg_temp"))
        may_define(Defines::shared);
    if (!match.found || match.may_write) calls_writer(match);
}

/// Nothing is written, but rules, defaults and what reading calls are planned.
void Assessor::planned_write(const pgw_fact& f) {
    if (!names_) return writes_database();
    const RelationMatch match = names_->relation(f.schema, f.name);
    if (match.place == RelationPlace::system) return;
    if (match.place != RelationPlace::found) return writes_database();
    for (const Relation* relation : match.candidates) {
        const auto all = closure(*catalog_, *relation, Link::writes, kMostWrites);
        bool runs = all.empty();
        for (const Relation* r : all) {
            hidden_code(*r, true);
            runs = runs || r->has_rules || r->generated_or_default_functions;
        }
        if (!runs) continue;
        writes_database();
        may_define(all.empty() ? code_defines(*catalog_) : writing_defines(all));
    }
}

void Assessor::call(const pgw_fact& f) {
    const std::string_view name = f.name;
    const CallMatch match = match_call(f.schema, name);
    if (!match.found) {
        const bool cast = *f.schema == '\0' &&
                          (builtin_type(name) != TypeTrust::unknown || names_->shadowed_type(name));
        if (cast) return type(f.schema, name, 0);
        refuse(NotCached::function_not_immutable);
        pin(PinReason::function);
        writes_database();
        // A temporary one can only be called like this; others were made elsewhere just now.
        const bool temporary = std::string_view(f.schema).starts_with("pg_temp");
        return may_define(temporary ? Defines::shared : Defines::database);
    }
    if (base::planted(base::Plant::writing_function_cached)) return;
    if (!match.constant)
        refuse(tells_time(name) ? NotCached::time_dependent : NotCached::function_not_immutable);
    if ((f.flags & PGW_FACT_ONE) != 0) call_as_cast(f.schema, name, f.flags);
    sequences(match.sequences);
    if (match.builtin) session(name, f.flags, match.builtin_harmless);
    if (!match.harmless) pin(PinReason::function);
    if (match.may_write) calls_writer(match);
}

void Assessor::calls_writer(const CallMatch& match) {
    writes_database();
    may_define(defines_of(match.may_define, match.may_define_shared));
}

/// Two bodies: the server refuses it. What is temporary may be a view that calls anything.
void Assessor::code(std::string_view language, std::string_view body) {
    if (!language.empty() && language != "plpgsql") return may_define(Defines::shared);
    if (other_encoding_ && !plain_ascii(body)) return may_define(Defines::shared);
    if (!names_) return may_define(may_define_shared(body) ? Defines::shared : Defines::database);
    const auto defines = inline_code_defines(*catalog_, body);
    may_define(only_path_ ? defines : std::max(defines, Defines::database));
}

void Assessor::session(std::string_view function, unsigned flags, bool harmless) {
    if (runs_sql_text(function)) {
        pin(PinReason::function);
        may_define(Defines::shared);
        refuse(NotCached::function_not_immutable);
    }
    if (function == "nextval" || function == "setval")
        verdict_.names_sequence = verdict_.moves_sequence = true;
    const SessionEffect* effect = session_effect(function);
    if (effect == nullptr) {
        if (!harmless) leaves_state();
        return;
    }
    refuse(NotCached::function_not_immutable);
    if (function == "set_config") {
        verdict_.literal_dependent = true;
        moves_names(NameScope::anywhere);
        if ((flags & PGW_FACT_LOCAL) != 0) return;
    }
    if (effect->pin == PinReason::sequence) verdict_.asks_sequence = true;
    pin(effect->pin);
}

/// The server lists what was set but for names with a dot that no extension has declared.
void Assessor::setting(std::string_view name) {
    if (name.empty()) verdict_.opaque = true;
    if (name.find('.') != std::string_view::npos) verdict_.custom_settings.emplace_back(name);
}

/// x.name is a call of name(x) where x has no such column. A relation's row can only be given to
/// functions that take any row, which of pg_catalog's are constant or named pg_...; the value of a
/// function in FROM, or of an expression, to all.
void Assessor::field(std::string_view name, bool any_function) {
    if (any_function && name == "set_config") setting("");
    if (!names_) {
        if (any_function && session_effect(name) != nullptr) session(name, 0, true);
        return;
    }
    const CallMatch match = names_->call("", name);
    if (!match.found) return;
    if ((match.foreign || any_function || name.starts_with("pg_")) && !match.constant)
        refuse(NotCached::function_not_immutable);
    if (match.builtin && any_function) session(name, 0, match.builtin_harmless);
    if (match.foreign) sequences(match.sequences);
    if (!match.harmless) leaves_state();
    if (match.may_write) calls_writer(match);
}

/// A function in FROM may give its alias a value instead of a row.
void Assessor::column(const pgw_fact& f, const pgw_statement& statement) {
    const std::string_view alias = f.schema, name = f.name;
    const bool any = scalars_.size() > kMostScalars;
    const bool scalar = std::any_of(scalars_.begin(), scalars_.end(), [&](const pgw_fact* s) {
        return (*s->name == '\0' || alias == s->name) && name != s->schema;
    });
    if (any || scalar) call_as_cast("", name, 0);
    field(name, (statement.flags & PGW_FROM_FUNCTION) != 0);
}

/// name(x) and (x).name cast x where no function of that name takes just what it is.
void Assessor::call_as_cast(std::string_view schema, std::string_view name, unsigned flags) {
    const bool users = schema.empty() && names_ && names_->shadowed_type(name);
    if (users || reads_dates(name)) type(schema, name, flags);
}

void Assessor::operation(std::string_view schema, std::string_view name) {
    if (!names_) return;
    const OperatorMatch match = names_->operation(schema, name);
    if (!match.constant) refuse(NotCached::operator_not_immutable);
    if (!match.found || match.foreign) leaves_state();
    if (match.found && !match.may_write) return;
    may_define(Defines::shared);
}

void Assessor::type(std::string_view schema, std::string_view name, unsigned flags) {
    const TypeTrust trust = of_pg_catalog(schema) ? builtin_type(name) : TypeTrust::unknown;
    const bool shadowed = schema.empty() && names_ && names_->shadowed_type(name);
    // A column cast to a date may be text that says 'today'.
    const bool from_data = trust == TypeTrust::datetime && (flags & PGW_FACT_LITERAL) == 0;
    const bool users = names_ && names_->plain_type(schema, name);
    const bool proven = users || (trust != TypeTrust::unknown && !shadowed && !from_data);
    if (!proven || (flags & PGW_FACT_UNPROVEN) != 0) refuse(NotCached::type_not_proven);
}

void Assessor::any_name() {
    if (targets_ > 0) {
        leaves_state();
        writes_database();
        may_define(catalog_ != nullptr ? code_defines(*catalog_) : Defines::nothing);
    }
    if (catalog_ == nullptr) return;
    for (const auto& [oid, relation] : catalog_->relations_by_oid) {
        if (relation->system) continue;
        hidden_code(*relation, true);
        sequences(relation->reading_sequences);
        if (targets_ > 0 && relation->triggers_hide_state) pin(PinReason::function);
    }
    for (const auto& [name, functions] : catalog_->functions) {
        if (plain_ascii(name)) continue;
        for (const Function& f : functions) {
            if (!f.session_harmless) pin(PinReason::function);
            sequences(f.sequences);
            if (!f.may_write) continue;
            writes_database();
            may_define(defines_of(f.may_define, f.may_define_shared));
        }
    }
}

#ifdef PGWEIR_PLANTS
void Assessor::plant() {
    using base::Plant;
    using base::planted;
    auto& v = verdict_;
    if (planted(Plant::first_table_only) && v.reads.size() > 1) v.reads.resize(1);
    if (planted(Plant::two_phase_writes_nothing) && v.kind == Kind::prepared_tx)
        v.writes = Writes::nothing;
    if (planted(Plant::several_as_one) && v.not_cached == NotCached::several_statements)
        v.not_cached = NotCached::none;
}
#endif

/// What was found of one place in the text counts only where all others agree.
void Assessor::settle_rows() {
    auto& v = verdict_;
    std::erase_if(v.read_rows, [&](const RowKey& key) {
        return std::find(whole_reads_.begin(), whole_reads_.end(), key.relation) !=
               whole_reads_.end();
    });
    if (statements_ != 1 || v.not_cached != NotCached::none) v.read_rows.clear();
    // The rows are those of the last target: a WITH clause may write others of the relation.
    const bool one = statements_ == 1 && targets_ == 1 && v.kind == Kind::dml &&
                     v.writes == Writes::relations && v.written.size() == 1;
    if (!one || v.written_rows.empty() || v.written_rows[0].relation != v.written[0])
        v.written_rows.clear();
}

Verdict Assessor::finish() {
    if (statements_ == 0) refuse(NotCached::not_a_read);
    if (!names_ && verdict_.kind == Kind::select) {
        verdict_.not_cached = NotCached::no_catalog;
    }
    if (statements_ > 1 && !base::planted(base::Plant::several_as_one)) {
        verdict_.not_cached = NotCached::several_statements;
        verdict_.may_end_transaction = true;
    }
    if (names_ && !catalog_->casts_proven) refuse(NotCached::type_not_proven);
#ifdef PGWEIR_PLANTS
    plant();
#endif
    sort_unique(verdict_.reads);
    sort_unique(verdict_.written);
    if (verdict_.reads.size() > kMostReads) refuse(NotCached::too_complex);
    if (verdict_.may_leave_state) refuse(NotCached::leaves_state);
    if (verdict_.not_cached != NotCached::none) verdict_.reads.clear();
    if (verdict_.writes != Writes::relations) verdict_.written.clear();
    settle_rows();
    verdict_.timed = verdict_.kind == Kind::select || verdict_.kind == Kind::dml;
    return std::move(verdict_);
}

}  // namespace pgweir::query
