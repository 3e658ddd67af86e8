/* What each top-level statement is: its kind, what it writes beside its facts, what it leaves
 * behind in the session. A statement that is not listed may do anything a utility can.
 * Invariant and thread: see pg_walk.h. */
#include "pg_walk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    pgw_kind kind;
    pgw_pin pin;
    unsigned flags;
} effect;

static void now_is(pgw_walk* w, effect e) {
    w->now->kind = e.kind;
    w->now->flags |= e.flags;
    if (w->now->pin == PGW_PIN_NONE) w->now->pin = e.pin;
}

/* READ UNCOMMITTED is READ COMMITTED by another name. */
static bool other_isolation(const List* options) {
    ListCell* cell;
    foreach (cell, options) {
        const DefElem* option = (const DefElem*)lfirst(cell);
        const A_Const* level = (const A_Const*)option->arg;
        if (strcmp(option->defname, "transaction_isolation") != 0) continue;
        if (level == NULL || !IsA(level, A_Const) || level->isnull ||
            !IsA(&level->val.node, String))
            return true;
        if (strcmp(level->val.sval.sval, "read committed") != 0 &&
            strcmp(level->val.sval.sval, "read uncommitted") != 0)
            return true;
    }
    return false;
}

static void look_transaction(pgw_walk* w, const TransactionStmt* s) {
    switch (s->kind) {
        case TRANS_STMT_BEGIN:
        case TRANS_STMT_START:
            now_is(w, (effect){PGW_KIND_BEGIN, PGW_PIN_NONE,
                               other_isolation(s->options) ? PGW_ISOLATION : 0});
            if (s->kind == TRANS_STMT_START) w->now->flags |= PGW_START;
            return;
        case TRANS_STMT_COMMIT:
        case TRANS_STMT_ROLLBACK:
            now_is(w, (effect){s->kind == TRANS_STMT_COMMIT ? PGW_KIND_COMMIT : PGW_KIND_ROLLBACK,
                               PGW_PIN_NONE, PGW_ENDS_TRANSACTION | (s->chain ? PGW_CHAINS : 0)});
            return;
        case TRANS_STMT_SAVEPOINT:
        case TRANS_STMT_RELEASE:
        case TRANS_STMT_ROLLBACK_TO: w->now->kind = PGW_KIND_SAVEPOINT; return;
        default: break;
    }
    /* What was written, roles perhaps, is not known where COMMIT PREPARED comes from another
     * session. */
    now_is(w, (effect){PGW_KIND_PREPARED_TX, PGW_PIN_NONE,
                       PGW_ENDS_TRANSACTION | PGW_WRITES_DATABASE |
                           (s->kind == TRANS_STMT_COMMIT_PREPARED ? PGW_WRITES_ALL : 0)});
}

/* SET of a setting by which texts are read, to something under which this parser may read them
 * otherwise than the server does: then a text can hide what it changes. */
static bool changes_reading(const VariableSetStmt* s) {
    const A_Const* value;
    if (s->name == NULL || !pgw_reading_setting(s->name)) return false;
    if (s->kind == VAR_RESET || s->kind == VAR_SET_DEFAULT) return false;
    if (list_length(s->args) != 1 || !IsA(linitial(s->args), A_Const)) return true;
    value = (const A_Const*)linitial(s->args);
    return value->isnull || !IsA(&value->val.node, String) ||
           !pgw_plain_reading(s->name, value->val.sval.sval);
}

/* What decides which relation a name means, or which triggers a write fires. */
static bool moves_names(const VariableSetStmt* s) {
    static const char* const names[] = {"search_path", "role", "session_authorization",
                                        "session_replication_role"};
    size_t i;
    if (s->kind == VAR_RESET_ALL || s->name == NULL) return true;
    for (i = 0; i < sizeof names / sizeof names[0]; ++i)
        if (strcasecmp(s->name, names[i]) == 0) return true;
    return false;
}

static void look_set(pgw_walk* w, const VariableSetStmt* s) {
    const bool transaction = s->kind == VAR_SET_MULTI && strncmp(s->name, "TRANSACTION", 11) == 0;
    now_is(w, (effect){PGW_KIND_SET, s->is_local || transaction ? PGW_PIN_NONE : PGW_PIN_SET,
                       PGW_LITERAL_DEPENDENT | (moves_names(s) ? PGW_MOVES_NAMES : 0)});
    if (changes_reading(s)) {
        w->now->pin = PGW_PIN_SET;
        pgw_fact_add(w, PGW_SETTING, 0, NULL, "");
    }
    if (s->name != NULL && s->kind != VAR_SET_MULTI && !s->is_local)
        pgw_fact_add(w, PGW_SETTING, 0, NULL, s->name);
    if (s->name != NULL && (s->kind == VAR_SET_MULTI || strstr(s->name, "transaction") != NULL))
        w->now->flags |= PGW_ISOLATION;
}

static void look_explain(pgw_walk* w, const ExplainStmt* s) {
    bool runs = false, known;
    ListCell* cell;
    foreach (cell, s->options) {
        const DefElem* option = (const DefElem*)lfirst(cell);
        if (option->arg != NULL) w->now->flags |= PGW_LITERAL_DEPENDENT;
        if (strcmp(option->defname, "analyze") == 0) runs = true;
    }
    pgw_statement_look(w, s->query);
    w->now->kind = PGW_KIND_UTILITY;
    if (!runs) {
        known = w->now->pin != PGW_PIN_PREPARE && (w->now->flags & PGW_UNPROVEN) == 0;
        w->now->pin = PGW_PIN_NONE;
        w->now->flags &= ~(unsigned)PGW_MAKES_ON_PATH;
        if (known) w->now->flags &= ~(unsigned)(PGW_WRITES_DATABASE | PGW_WRITES_ALL);
        w->now->flags |= PGW_FACTS_PLANNED_ONLY;
    }
}

/* It runs what indexes and statistics are made of, as reading a table may. */
static void look_vacuum(pgw_walk* w, const VacuumStmt* s) {
    ListCell* cell;
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE,
                       PGW_ENDS_TRANSACTION | (s->is_vacuumcmd ? PGW_VACUUMS : 0) |
                           (s->rels == NIL ? PGW_READS_ALL : 0)});
    foreach (cell, s->rels)
        pgw_relation(w, PGW_READ, ((const VacuumRelation*)lfirst(cell))->relation);
}

static void look_copy(pgw_walk* w, const CopyStmt* s) {
    w->now->kind = PGW_KIND_COPY;
    pgw_relation(w, s->is_from ? PGW_WRITE : PGW_READ, s->relation);
    pgw_walk_tree(w, s->query);
    pgw_walk_tree(w, s->whereClause);
    /* A statement as COPY's source may be one that writes; its facts say so. */
    w->now->kind = PGW_KIND_COPY;
}

static void look_truncate(pgw_walk* w, const TruncateStmt* s) {
    ListCell* cell;
    w->now->kind = PGW_KIND_UTILITY;
    foreach (cell, s->relations) {
        const RangeVar* relation = (const RangeVar*)lfirst(cell);
        pgw_fact_add(w, PGW_WRITE, s->behavior == DROP_CASCADE ? PGW_FACT_CASCADE : 0,
                     relation->schemaname, relation->relname);
    }
}

static void look_created(pgw_walk* w, const RangeVar* relation) {
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE, PGW_WRITES_DATABASE});
    pgw_made_relation(w, relation);
}

/* Types of the temporary schema are found before those of pg_catalog. */
static void look_created_type(pgw_walk* w, const List* names) {
    const int count = list_length(names);
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE, PGW_WRITES_DATABASE});
    pgw_made(w, count > 1 ? strVal(list_nth(names, count - 2)) : NULL, 'p');
}

static void look_create_as(pgw_walk* w, const CreateTableAsStmt* s) {
    look_created(w, s->into->rel);
    if (IsA(s->query, ExecuteStmt))
        now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_PREPARE, PGW_LEAVES_STATE | PGW_WRITES_ALL});
    else
        pgw_walk_tree(w, s->query);
}

/* Whoever makes a default of currval or lastval is going to use it. Nothing else is noted of the
 * expression, which does not run now. */
static void look_default(pgw_walk* w, Node* expression) {
    const pgw_statement before = *w->now;
    const size_t first = w->fact_count;
    bool asks = false;
    pgw_walk_tree(w, expression);
    *w->now = before;
    while (w->fact_count > first) {
        const pgw_fact* fact = &w->facts[--w->fact_count];
        if (fact->what != PGW_CALL) continue;
        asks = asks || strcmp(fact->name, "currval") == 0 || strcmp(fact->name, "lastval") == 0;
    }
    if (asks) w->now->flags |= PGW_ASKS_SEQUENCE;
}

/* An element of CREATE TABLE, or of ALTER TABLE ADD COLUMN. */
static void look_element(pgw_walk* w, const Node* element) {
    ListCell* cell;
    if (element == NULL || !IsA(element, ColumnDef)) return;
    foreach (cell, ((const ColumnDef*)element)->constraints) {
        const Constraint* c = (const Constraint*)lfirst(cell);
        if (IsA(c, Constraint) && c->contype == CONSTR_DEFAULT) look_default(w, c->raw_expr);
    }
}

static void look_create_table(pgw_walk* w, const CreateStmt* s) {
    ListCell* cell;
    look_created(w, s->relation);
    /* Bounds are computed, and rows of a default partition looked at. */
    if (s->partbound != NULL) w->now->flags |= PGW_RUNS_CODE;
    foreach (cell, s->tableElts) look_element(w, (const Node*)lfirst(cell));
}

static void look_alter_table(pgw_walk* w, const AlterTableStmt* s) {
    ListCell* cell;
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE,
                       PGW_WRITES_DATABASE | PGW_LEAVES_STATE | PGW_RUNS_CODE});
    foreach (cell, s->cmds) {
        const AlterTableCmd* command = (const AlterTableCmd*)lfirst(cell);
        if (command->subtype == AT_ColumnDefault) look_default(w, command->def);
        if (command->subtype == AT_AddColumn) look_element(w, command->def);
    }
}

static bool concurrently(const Node* statement) {
    if (IsA(statement, IndexStmt)) return ((const IndexStmt*)statement)->concurrent;
    return IsA(statement, DropStmt) && ((const DropStmt*)statement)->concurrent;
}

static bool shared_object(ObjectType type) {
    return type == OBJECT_DATABASE || type == OBJECT_ROLE || type == OBJECT_TABLESPACE ||
           type == OBJECT_PARAMETER_ACL;
}

/* What DROP DATABASE and its kin need to be free of other sessions. */
static void look_vacated(pgw_walk* w, const Node* s) {
    const char* name = NULL;
    if (IsA(s, DropdbStmt)) name = ((const DropdbStmt*)s)->dbname;
    if (IsA(s, AlterDatabaseStmt)) name = ((const AlterDatabaseStmt*)s)->dbname;
    if (IsA(s, RenameStmt) && ((const RenameStmt*)s)->renameType == OBJECT_DATABASE)
        name = ((const RenameStmt*)s)->subname;
    if (IsA(s, CreatedbStmt)) {
        ListCell* cell;
        foreach (cell, ((const CreatedbStmt*)s)->options) {
            const DefElem* option = (const DefElem*)lfirst(cell);
            if (strcmp(option->defname, "template") != 0 || option->arg == NULL) continue;
            w->now->flags |= PGW_LITERAL_DEPENDENT;
            if (IsA(option->arg, String)) name = ((const String*)option->arg)->sval;
        }
    }
    if (name != NULL) pgw_fact_add(w, PGW_DATABASE, 0, NULL, name);
}

/* Statements about roles and databases, which every database of the server feels. */
static bool look_cluster_wide(pgw_walk* w, const Node* s) {
    unsigned flags = PGW_WRITES_ALL;
    switch (nodeTag(s)) {
        case T_CreateRoleStmt:
        case T_AlterRoleStmt:
        case T_DropRoleStmt:
        case T_GrantRoleStmt:
        case T_AlterDatabaseStmt:
        case T_AlterDatabaseRefreshCollStmt:
        case T_DropOwnedStmt:
        case T_ReassignOwnedStmt:
        case T_AlterTableSpaceOptionsStmt: break;
        case T_AlterRoleSetStmt:
        case T_AlterDatabaseSetStmt: flags |= PGW_CHANGES_LOGINS; break;
        case T_AlterSystemStmt:
        case T_CreatedbStmt:
        case T_DropdbStmt:
        case T_CreateTableSpaceStmt:
        case T_DropTableSpaceStmt: flags |= PGW_ENDS_TRANSACTION; break;
        case T_RenameStmt:
            if (!shared_object(((const RenameStmt*)s)->renameType)) return false;
            break;
        case T_AlterOwnerStmt:
            if (!shared_object(((const AlterOwnerStmt*)s)->objectType)) return false;
            break;
        case T_GrantStmt:
            if (!shared_object(((const GrantStmt*)s)->objtype)) return false;
            break;
        default: return false;
    }
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE, flags});
    look_vacated(w, s);
    return true;
}

/* Statements that change nothing others see. */
static bool look_private(pgw_walk* w, const Node* s) {
    effect e = {PGW_KIND_UTILITY, PGW_PIN_NONE, 0};
    switch (nodeTag(s)) {
        case T_VariableShowStmt: e.kind = PGW_KIND_SHOW; break;
        case T_ListenStmt: e.pin = PGW_PIN_LISTEN; break;
        case T_UnlistenStmt:
        case T_ClosePortalStmt: e.flags = PGW_ENDS_STATE; break;
        case T_NotifyStmt:
        case T_FetchStmt:
        case T_LockStmt:
        case T_CheckPointStmt:
        case T_ConstraintsSetStmt: break;
        case T_LoadStmt: e.pin = PGW_PIN_LOAD; break;
        case T_PrepareStmt: e.pin = PGW_PIN_PREPARE; break;
        case T_DeallocateStmt:
            e.kind = PGW_KIND_DEALLOCATE;
            e.flags = PGW_ENDS_STATE;
            break;
        case T_DiscardStmt:
            if (((const DiscardStmt*)s)->target == DISCARD_TEMP) return false;
            e.flags = PGW_ENDS_STATE;
            if (((const DiscardStmt*)s)->target == DISCARD_ALL) {
                e.kind = PGW_KIND_DISCARD_ALL;
                e.flags |= PGW_ENDS_TRANSACTION | PGW_MOVES_NAMES;
            }
            break;
        default: return false;
    }
    now_is(w, e);
    return true;
}

/* It runs code of users, or has what follows in the same transaction run it unseen. */
static bool leads_to_code(const Node* s) {
    return IsA(s, IndexStmt) || IsA(s, CreateTrigStmt) || IsA(s, RuleStmt) ||
           IsA(s, CreatePolicyStmt) || IsA(s, AlterPolicyStmt);
}

/* DDL that leaves nothing of users' code in the session. */
static bool look_plain_ddl(pgw_walk* w, const Node* s) {
    switch (nodeTag(s)) {
        case T_CreateStmt: look_create_table(w, (const CreateStmt*)s); return true;
        case T_CreateSeqStmt: look_created(w, ((const CreateSeqStmt*)s)->sequence); return true;
        case T_ViewStmt: /* of temporary tables it is temporary, whatever it says */
            look_created(w, ((const ViewStmt*)s)->view);
            w->now->flags |= PGW_NAMES_UNKNOWN | PGW_RUNS_CODE;
            return true;
        case T_CreateEnumStmt:
            look_created_type(w, ((const CreateEnumStmt*)s)->typeName);
            return true;
        case T_CompositeTypeStmt:
            look_created(w, ((const CompositeTypeStmt*)s)->typevar);
            return true;
        case T_DropStmt:
        case T_DiscardStmt: /* TEMP, which drops */
        case T_CommentStmt:
        case T_GrantStmt:
        case T_RenameStmt:
        case T_AlterOwnerStmt:
        case T_AlterDefaultPrivilegesStmt:
        case T_CreateSchemaStmt:
        case T_CreatePolicyStmt:
        case T_AlterPolicyStmt:
        case T_CreateTrigStmt:
        case T_RuleStmt:
        case T_IndexStmt: break;
        default: return false;
    }
    now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_NONE,
                       PGW_WRITES_DATABASE | (concurrently(s) ? PGW_ENDS_TRANSACTION : 0)});
    if (IsA(s, DropStmt) || IsA(s, DiscardStmt)) w->now->flags |= PGW_ENDS_STATE;
    if (IsA(s, CreateTrigStmt) || IsA(s, RuleStmt)) w->now->flags |= PGW_NAMES_UNKNOWN;
    if (leads_to_code(s)) w->now->flags |= PGW_RUNS_CODE;
    /* CREATE SCHEMA may create temporary tables inside, in theory. */
    if (IsA(s, CreateSchemaStmt) && ((const CreateSchemaStmt*)s)->schemaElts != NIL)
        w->now->flags |= PGW_LEAVES_STATE;
    return true;
}

static void look_declare(pgw_walk* w, const DeclareCursorStmt* s) {
    pgw_walk_tree(w, s->query);
    now_is(w,
           (effect){PGW_KIND_UTILITY,
                    (s->options & CURSOR_OPT_HOLD) != 0 ? PGW_PIN_HOLD_CURSOR : PGW_PIN_NONE, 0});
}

/* What it writes and may define, its code says, so the verdict is of this very text. */
static void look_do(pgw_walk* w, const DoStmt* s) {
    const char* body = "";
    const char* language = "";
    ListCell* cell;
    foreach (cell, s->args) {
        const DefElem* option = (const DefElem*)lfirst(cell);
        if (option->arg == NULL || !IsA(option->arg, String)) continue;
        if (strcmp(option->defname, "as") == 0) body = strVal(option->arg);
        if (strcmp(option->defname, "language") == 0) language = strVal(option->arg);
    }
    now_is(w, (effect){PGW_KIND_CALL, PGW_PIN_DO_BLOCK,
                       PGW_LEAVES_STATE | PGW_ENDS_TRANSACTION | PGW_LITERAL_DEPENDENT});
    pgw_fact_add(w, PGW_CODE, 0, language, body);
}

/* What it does counts from here on: it may be called before any catalog shows it. As LOAD does,
 * making a function in C brings its library into the process of the server. */
static pgw_pin look_function(pgw_walk* w, const CreateFunctionStmt* s) {
    const char* body = ""; /* which may be anything */
    const char* language = "";
    const ListCell* cell;
    foreach (cell, s->options) {
        const DefElem* option = lfirst_node(DefElem, cell);
        if (option->arg == NULL) continue;
        if (strcmp(option->defname, "language") == 0 && IsA(option->arg, String))
            language = strVal(option->arg);
        if (strcmp(option->defname, "as") == 0 && IsA(option->arg, List) &&
            IsA(linitial((const List*)option->arg), String))
            body = strVal(linitial((const List*)option->arg));
    }
    pgw_fact_add(w, PGW_CODE, 0, strcasecmp(language, "sql") == 0 ? "" : language, body);
    return strcasecmp(language, "c") == 0 ? PGW_PIN_LOAD : PGW_PIN_NONE;
}

void pgw_statement_look(pgw_walk* w, Node* s) {
    switch (nodeTag(s)) {
        case T_SelectStmt:
            w->now->kind = PGW_KIND_SELECT;
            pgw_walk_tree(w, s);
            return;
        case T_InsertStmt:
        case T_UpdateStmt:
        case T_DeleteStmt:
        case T_MergeStmt:
            w->now->kind = PGW_KIND_DML;
            pgw_walk_tree(w, s);
            return;
        case T_TransactionStmt: look_transaction(w, (const TransactionStmt*)s); return;
        case T_VariableSetStmt: look_set(w, (const VariableSetStmt*)s); return;
        case T_ExplainStmt: look_explain(w, (const ExplainStmt*)s); return;
        case T_CopyStmt: look_copy(w, (const CopyStmt*)s); return;
        case T_TruncateStmt: look_truncate(w, (const TruncateStmt*)s); return;
        case T_VacuumStmt: look_vacuum(w, (const VacuumStmt*)s); return;
        case T_CreateTableAsStmt: look_create_as(w, (const CreateTableAsStmt*)s); return;
        case T_DeclareCursorStmt: look_declare(w, (const DeclareCursorStmt*)s); return;
        case T_CallStmt:
            /* What it writes, its procedure says. */
            now_is(w, (effect){PGW_KIND_CALL, PGW_PIN_DO_BLOCK,
                               PGW_LEAVES_STATE | PGW_ENDS_TRANSACTION});
            pgw_walk_tree(w, (Node*)((const CallStmt*)s)->funccall);
            return;
        case T_DoStmt: look_do(w, (const DoStmt*)s); return;
        case T_ExecuteStmt:
            /* What it runs may call what changes roles, or write the system's own tables. */
            now_is(w, (effect){PGW_KIND_UTILITY, PGW_PIN_PREPARE,
                               PGW_WRITES_DATABASE | PGW_WRITES_ALL | PGW_LEAVES_STATE});
            return;
        case T_AlterTableStmt: look_alter_table(w, (const AlterTableStmt*)s); return;
        default: break;
    }
    if (look_cluster_wide(w, s) || look_private(w, s) || look_plain_ddl(w, s)) return;
    const bool makes = IsA(s, CreateFunctionStmt);
    const pgw_pin pin = makes ? look_function(w, (const CreateFunctionStmt*)s) : PGW_PIN_NONE;
    now_is(w, (effect){PGW_KIND_UTILITY, pin,
                       PGW_WRITES_DATABASE | PGW_LEAVES_STATE | PGW_ENDS_TRANSACTION |
                           (makes ? 0 : PGW_RUNS_CODE)});
    if (makes) w->now->flags |= PGW_LITERAL_DEPENDENT; /* its language may be a string */
    /* Their scripts may do anything. */
    if (IsA(s, CreateExtensionStmt) || IsA(s, AlterExtensionStmt)) w->now->flags |= PGW_WRITES_ALL;
}
