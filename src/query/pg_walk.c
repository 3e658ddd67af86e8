/* The walk over expressions, SELECT and DML of PostgreSQL's raw parse tree: what is read, written,
 * called and cast. A node it does not know makes the statement unproven, never an error.
 * Invariant and thread: see pg_walk.h. */
#include "pg_walk.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <nodes/nodeFuncs.h>

bool pgw_grow(pgw_walk* w, void** items, size_t count, size_t* size, size_t item) {
    void* bigger;
    size_t wanted;
    if (count < *size) return true;
    wanted = *size == 0 ? 64 : *size * 2;
    bigger = realloc(*items, wanted * item);
    if (bigger == NULL) {
        w->failed = true;
        return false;
    }
    *items = bigger;
    *size = wanted;
    return true;
}

void pgw_push(pgw_walk* w, Node* node, const pgw_scope* scope) {
    void* items = w->pending;
    if (node == NULL ||
        !pgw_grow(w, &items, w->pending_count, &w->pending_size, sizeof(pgw_pending)))
        return;
    w->pending = items;
    w->pending[w->pending_count].node = node;
    w->pending[w->pending_count].scope = scope;
    w->pending_count++;
}

void pgw_fact_add(pgw_walk* w, pgw_what what, unsigned flags, const char* schema,
                  const char* name) {
    void* items = w->facts;
    pgw_fact* fact;
    if (!pgw_grow(w, &items, w->fact_count, &w->fact_size, sizeof(pgw_fact))) return;
    w->facts = items;
    fact = &w->facts[w->fact_count++];
    fact->what = what;
    fact->flags = flags;
    fact->schema = schema == NULL ? "" : schema;
    fact->name = name == NULL ? "" : name;
    fact->first_key = fact->keys = 0;
    fact->rows = 0;
}

void pgw_made(pgw_walk* w, const char* schema, char persistence) {
    if (persistence == 't' || (schema != NULL && strncmp(schema, "pg_temp", 7) == 0)) {
        if (w->now->pin == PGW_PIN_NONE) w->now->pin = PGW_PIN_TEMPORARY;
    } else if (schema == NULL) {
        w->now->flags |= PGW_MAKES_ON_PATH;
    }
}

void pgw_made_relation(pgw_walk* w, const RangeVar* relation) {
    if (relation != NULL) pgw_made(w, relation->schemaname, relation->relpersistence);
}

static bool names_cte(const pgw_scope* scope, const char* name) {
    for (; scope != NULL; scope = scope->outer) {
        for (int i = 0; i < scope->visible; i++) {
            const CommonTableExpr* cte = (const CommonTableExpr*)list_nth(scope->ctes, i);
            if (strcmp(cte->ctename, name) == 0) return true;
        }
    }
    return false;
}

void pgw_relation(pgw_walk* w, pgw_what what, const RangeVar* relation) {
    if (relation == NULL) return;
    if (what == PGW_READ && relation->schemaname == NULL && names_cte(w->scope, relation->relname))
        return;
    pgw_fact_add(w, what, 0, relation->schemaname, relation->relname);
    if (what != PGW_READ || w->failed) return;
    for (size_t i = 0; i < w->binding_count; i++) {
        if (w->bindings[i].relation != relation) continue;
        w->facts[w->fact_count - 1].first_key = w->bindings[i].first_key;
        w->facts[w->fact_count - 1].keys = w->bindings[i].keys;
    }
}

static const pgw_scope* new_scope(pgw_walk* w, const pgw_scope* outer, List* ctes, int visible) {
    pgw_scope* scope = malloc(sizeof *scope);
    if (scope == NULL) {
        w->failed = true;
        return outer;
    }
    scope->outer = outer;
    scope->ctes = ctes;
    scope->visible = visible;
    scope->next_owned = w->owned_scopes;
    w->owned_scopes = scope;
    return scope;
}

/* Pushes the queries of a WITH clause and gives the scope of what stands under it: a query of WITH
 * sees those before it, of WITH RECURSIVE all of them. */
static const pgw_scope* open_with(pgw_walk* w, const WithClause* with) {
    const pgw_scope* outer = w->scope;
    const int count = with == NULL ? 0 : list_length(with->ctes);
    const pgw_scope* all;
    if (count == 0) return outer;
    all = new_scope(w, outer, with->ctes, count);
    for (int i = count - 1; i >= 0; i--) {
        const CommonTableExpr* cte = (const CommonTableExpr*)list_nth(with->ctes, i);
        const pgw_scope* seen = all;
        if (!with->recursive) seen = i == 0 ? outer : new_scope(w, outer, with->ctes, i);
        if (!IsA(cte->ctequery, SelectStmt)) w->now->flags |= PGW_DML_INSIDE;
        if (cte->search_clause != NULL || cte->cycle_clause != NULL) w->now->flags |= PGW_UNPROVEN;
        pgw_push(w, cte->ctequery, seen);
    }
    return all;
}

static void push_list(pgw_walk* w, List* list, const pgw_scope* scope) {
    pgw_push(w, (Node*)list, scope);
}

static void look_select(pgw_walk* w, SelectStmt* s) {
    const pgw_scope* in = open_with(w, s->withClause);
    if (s->lockingClause != NIL) w->now->flags |= PGW_LOCKING;
    if (s->intoClause != NULL) {
        w->now->flags |= PGW_INTO | PGW_WRITES_DATABASE;
        pgw_made_relation(w, s->intoClause->rel);
    }
    pgw_keys_of_select(w, s);
    push_list(w, s->distinctClause, in);
    push_list(w, s->targetList, in);
    push_list(w, s->fromClause, in);
    pgw_push(w, s->whereClause, in);
    push_list(w, s->groupClause, in);
    pgw_push(w, s->havingClause, in);
    push_list(w, s->windowClause, in);
    push_list(w, s->valuesLists, in);
    push_list(w, s->sortClause, in);
    pgw_push(w, s->limitOffset, in);
    pgw_push(w, s->limitCount, in);
    pgw_push(w, (Node*)s->larg, in);
    pgw_push(w, (Node*)s->rarg, in);
}

static void look_insert(pgw_walk* w, InsertStmt* s) {
    const pgw_scope* in = open_with(w, s->withClause);
    pgw_relation(w, PGW_WRITE, s->relation);
    pgw_keys_of_insert(w, s);
    push_list(w, s->cols, in);
    pgw_push(w, s->selectStmt, in);
    pgw_push(w, (Node*)s->onConflictClause, in);
    push_list(w, s->returningList, in);
}

static void look_update(pgw_walk* w, UpdateStmt* s) {
    const pgw_scope* in = open_with(w, s->withClause);
    pgw_relation(w, PGW_WRITE, s->relation);
    pgw_keys_of_update(w, s);
    push_list(w, s->targetList, in);
    pgw_push(w, s->whereClause, in);
    push_list(w, s->fromClause, in);
    push_list(w, s->returningList, in);
}

static void look_delete(pgw_walk* w, DeleteStmt* s) {
    const pgw_scope* in = open_with(w, s->withClause);
    pgw_relation(w, PGW_WRITE, s->relation);
    pgw_keys_of_delete(w, s);
    push_list(w, s->usingClause, in);
    pgw_push(w, s->whereClause, in);
    push_list(w, s->returningList, in);
}

static void look_merge(pgw_walk* w, MergeStmt* s) {
    const pgw_scope* in = open_with(w, s->withClause);
    pgw_relation(w, PGW_WRITE, s->relation);
    pgw_push(w, s->sourceRelation, in);
    pgw_push(w, s->joinCondition, in);
    push_list(w, s->mergeWhenClauses, in);
}

/* The last two names of a qualified name: a database's name before them changes nothing. */
static void named(pgw_walk* w, pgw_what what, unsigned flags, List* names) {
    const int count = list_length(names);
    const char* schema = "";
    const Node* last;
    if (count == 0) return;
    last = (const Node*)llast(names);
    if (!IsA(last, String)) return;
    if (count > 1) {
        const Node* before = (const Node*)list_nth(names, count - 2);
        if (IsA(before, String)) schema = strVal(before);
    }
    pgw_fact_add(w, what, flags, schema, strVal(last));
}

static bool is_literal(const Node* node) {
    return node != NULL && (IsA(node, A_Const) || IsA(node, ParamRef));
}

static void look_type(pgw_walk* w, const TypeName* type, unsigned flags) {
    if (type == NULL) return;
    if (type->pct_type || type->setof || type->names == NIL) flags |= PGW_FACT_UNPROVEN;
    if (type->names == NIL)
        pgw_fact_add(w, PGW_TYPE, flags, "", "");
    else
        named(w, PGW_TYPE, flags, type->names);
    push_list(w, type->typmods, w->scope);
}

/* TRUE is a cast of a constant to bool in this grammar. */
static bool is_true(const Node* node) {
    if (node != NULL && IsA(node, TypeCast)) node = ((const TypeCast*)node)->arg;
    if (node == NULL || !IsA(node, A_Const)) return false;
    {
        const A_Const* c = (const A_Const*)node;
        if (c->isnull) return false;
        if (IsA(&c->val.node, Boolean)) return c->val.boolval.boolval;
        if (!IsA(&c->val.node, String)) return false;
        return strcmp(c->val.sval.sval, "t") == 0 || strcmp(c->val.sval.sval, "true") == 0;
    }
}

bool pgw_reading_setting(const char* name) {
    return strcasecmp(name, "standard_conforming_strings") == 0 ||
           strcasecmp(name, "client_encoding") == 0;
}

bool pgw_plain_reading(const char* name, const char* value) {
    static const char* const plain[] = {"UTF8", "UTF-8", "UNICODE", "SQL_ASCII", "LATIN1"};
    if (strcasecmp(name, "standard_conforming_strings") == 0)
        return strcasecmp(value, "on") == 0 || strcasecmp(value, "true") == 0;
    for (size_t i = 0; i < lengthof(plain); i++)
        if (strcasecmp(value, plain[i]) == 0) return true;
    return false;
}

static const char* text_argument(const FuncCall* call, int at) {
    const A_Const* c;
    if (list_length(call->args) <= at || !IsA(list_nth(call->args, at), A_Const)) return NULL;
    c = (const A_Const*)list_nth(call->args, at);
    return !c->isnull && IsA(&c->val.node, String) ? c->val.sval.sval : NULL;
}

/* Which setting a call of set_config changes. What it changes for the transaction only leaves
 * nothing behind, but for how the rest of the transaction is read. */
static void look_set_config(pgw_walk* w, const FuncCall* call, unsigned* flags) {
    const Node* last = (const Node*)llast(call->funcname);
    const char* name = text_argument(call, 0);
    const char* value = text_argument(call, 1);
    if (!IsA(last, String) || strcmp(strVal(last), "set_config") != 0) return;
    if (name == NULL ||
        (pgw_reading_setting(name) && (value == NULL || !pgw_plain_reading(name, value)))) {
        *flags &= ~(unsigned)PGW_FACT_LOCAL;
        name = "";
    }
    if ((*flags & PGW_FACT_LOCAL) == 0) pgw_fact_add(w, PGW_SETTING, 0, NULL, name);
}

static unsigned only_argument(const FuncCall* call) {
    const Node* argument;
    if (list_length(call->args) != 1) return 0;
    argument = (const Node*)linitial(call->args);
    if (IsA(argument, NamedArgExpr)) return 0;
    return is_literal(argument) ? PGW_FACT_ONE | PGW_FACT_LITERAL : PGW_FACT_ONE;
}

static void look_call(pgw_walk* w, FuncCall* call) {
    unsigned flags = only_argument(call);
    if (list_length(call->args) == 3 && is_true((Node*)lthird(call->args))) flags |= PGW_FACT_LOCAL;
    look_set_config(w, call, &flags);
    named(w, PGW_CALL, flags, call->funcname);
}

static void look_operator(pgw_walk* w, const A_Expr* e) {
    static const char* const between[] = {"<", ">", "<=", ">="};
    switch (e->kind) {
        case AEXPR_BETWEEN:
        case AEXPR_NOT_BETWEEN:
        case AEXPR_BETWEEN_SYM:
        case AEXPR_NOT_BETWEEN_SYM:
            for (size_t i = 0; i < lengthof(between); i++)
                pgw_fact_add(w, PGW_OPERATOR, 0, "", between[i]);
            break;
        default: named(w, PGW_OPERATOR, 0, e->name);
    }
}

/* From 16 on SYSTEM_USER is a value of the session, in FROM, too. No other word of newer grammars
 * than this one becomes one: the rest are names of functions, or are no SQL to this one. */
static void look_system_user(pgw_walk* w, const char* name, int place) {
    const bool quoted = place >= 0 && w->text[place] != 's' && w->text[place] != 'S';
    if (!quoted && strcmp(name, "system_user") == 0) w->now->flags |= PGW_SESSION_VALUE;
}

static void look_field_name(pgw_walk* w, const char* name) {
    static const char* const moving[] = {"ctid", "xmin", "xmax", "cmin", "cmax"};
    for (size_t i = 0; i < lengthof(moving); i++)
        if (strcmp(name, moving[i]) == 0) w->now->flags |= PGW_SYSTEM_COLUMN;
}

static void look_column(pgw_walk* w, const ColumnRef* column) {
    const Node* last = (const Node*)llast(column->fields);
    if (!IsA(last, String)) return;
    look_field_name(w, strVal(last));
    if (list_length(column->fields) == 1) look_system_user(w, strVal(last), column->location);
    if (list_length(column->fields) > 1) {
        const Node* of = (const Node*)list_nth(column->fields, list_length(column->fields) - 2);
        pgw_fact_add(w, PGW_COLUMN, 0, IsA(of, String) ? strVal(of) : NULL, strVal(last));
    }
}

static void look_table(pgw_walk* w, const RangeVar* table) {
    if (table->schemaname == NULL) look_system_user(w, table->relname, table->location);
    pgw_relation(w, PGW_READ, table);
}

static void look_parameter(pgw_walk* w, const ParamRef* parameter) {
    const int number = parameter->number;
    if (number > 0 && number < PGW_MOST_PARAMETERS && w->parameter_uses[number] < 255)
        w->parameter_uses[number]++;
}

static bool push_child(Node* node, void* walk) {
    pgw_walk* w = walk;
    pgw_push(w, node, w->scope);
    return false;
}

/* Children by PostgreSQL's own walker, which calls push_child for each and does not recurse. Only
 * for nodes it knows: it raises an error for others, and nothing here could catch it. */
static void children(pgw_walk* w, Node* node) { raw_expression_tree_walker(node, push_child, w); }

static void look_indirection(pgw_walk* w, Node* node) {
    ListCell* cell;
    const A_Indirection* in = (const A_Indirection*)node;
    foreach (cell, in->indirection) {
        const Node* item = (const Node*)lfirst(cell);
        if (!IsA(item, String)) continue;
        look_field_name(w, strVal(item));
        pgw_fact_add(w, PGW_FIELD, 0, "", strVal(item));
    }
    children(w, node);
}

/* Without an alias its name is that of the function. Numbers and times are no text. */
static void look_range_function(pgw_walk* w, const RangeFunction* from) {
    const List* first = (const List*)linitial(from->functions); /* the call, and its columns */
    const FuncCall* call = (const FuncCall*)linitial(first);
    const Node* name = IsA(call, FuncCall) ? (const Node*)llast(call->funcname) : NULL;
    const char* function = name != NULL && IsA(name, String) ? strVal(name) : "";
    const Alias* alias = from->alias;
    w->now->flags |= PGW_FROM_FUNCTION;
    if (strcmp(function, "generate_series") == 0) return;
    pgw_fact_add(w, PGW_SCALAR, 0,
                 alias != NULL && alias->colnames != NIL ? strVal(linitial(alias->colnames)) : NULL,
                 alias != NULL ? alias->aliasname : function);
}

/* Nodes with something to note beside their children. False: only their children matter. */
static bool look_expression(pgw_walk* w, Node* node) {
    switch (nodeTag(node)) {
        case T_A_Expr: look_operator(w, (A_Expr*)node); return false;
        case T_FuncCall: look_call(w, (FuncCall*)node); return false;
        case T_SortBy: named(w, PGW_OPERATOR, 0, ((SortBy*)node)->useOp); return false;
        case T_SubLink: {
            const SubLink* link = (const SubLink*)node;
            if (link->operName != NIL)
                named(w, PGW_OPERATOR, 0, link->operName);
            else if (link->subLinkType == ANY_SUBLINK)
                pgw_fact_add(w, PGW_OPERATOR, 0, "", "=");
            return false;
        }
        case T_CaseExpr:
            if (((CaseExpr*)node)->arg != NULL) pgw_fact_add(w, PGW_OPERATOR, 0, "", "=");
            return false;
        case T_JoinExpr:
            if (((JoinExpr*)node)->usingClause != NIL || ((JoinExpr*)node)->isNatural)
                pgw_fact_add(w, PGW_OPERATOR, 0, "", "=");
            return false;
        case T_TypeCast: {
            const TypeCast* cast = (const TypeCast*)node;
            look_type(w, cast->typeName, is_literal(cast->arg) ? PGW_FACT_LITERAL : 0);
            pgw_push(w, cast->arg, w->scope);
            return true;
        }
        case T_A_Indirection: look_indirection(w, node); return true;
        case T_RangeFunction: look_range_function(w, (RangeFunction*)node); return false;
        case T_RangeTableSample: w->now->flags |= PGW_TABLESAMPLE; return false;
        case T_XmlExpr:
        case T_XmlSerialize:
        case T_RangeTableFunc:
        case T_RangeTableFuncCol:
        case T_CurrentOfExpr: w->now->flags |= PGW_UNPROVEN; return false;
        default: return false;
    }
}

static void look(pgw_walk* w, Node* node) {
    switch (nodeTag(node)) {
        case T_List: {
            const List* list = (const List*)node;
            for (int i = list_length(list) - 1; i >= 0; i--)
                pgw_push(w, list_nth(list, i), w->scope);
            return;
        }
        case T_SelectStmt: look_select(w, (SelectStmt*)node); return;
        case T_InsertStmt: look_insert(w, (InsertStmt*)node); return;
        case T_UpdateStmt: look_update(w, (UpdateStmt*)node); return;
        case T_DeleteStmt: look_delete(w, (DeleteStmt*)node); return;
        case T_MergeStmt: look_merge(w, (MergeStmt*)node); return;
        case T_RangeVar: look_table(w, (RangeVar*)node); return;
        case T_ColumnRef: look_column(w, (ColumnRef*)node); return;
        case T_TypeName: look_type(w, (TypeName*)node, 0); return;
        case T_SQLValueFunction: w->now->flags |= PGW_SESSION_VALUE; return;
        case T_ParamRef: look_parameter(w, (ParamRef*)node); return;
        case T_A_Const:
        case T_A_Star:
        case T_String:
        case T_Integer:
        case T_Float:
        case T_Boolean:
        case T_BitString:
        case T_Alias:
        case T_SetToDefault:
        case T_LockingClause: return;
        case T_A_Expr:
        case T_A_Indices:
        case T_A_Indirection:
        case T_A_ArrayExpr:
        case T_BoolExpr:
        case T_BooleanTest:
        case T_CaseExpr:
        case T_CoalesceExpr:
        case T_CollateClause:
        case T_ColumnDef:
        case T_CurrentOfExpr:
        case T_FuncCall:
        case T_GroupingFunc:
        case T_GroupingSet:
        case T_IndexElem:
        case T_InferClause:
        case T_JoinExpr:
        case T_MergeWhenClause:
        case T_MinMaxExpr:
        case T_MultiAssignRef:
        case T_NamedArgExpr:
        case T_NullTest:
        case T_OnConflictClause:
        case T_RangeFunction:
        case T_RangeSubselect:
        case T_RangeTableFunc:
        case T_RangeTableFuncCol:
        case T_RangeTableSample:
        case T_ResTarget:
        case T_RowExpr:
        case T_SortBy:
        case T_SubLink:
        case T_TypeCast:
        case T_WindowDef:
        case T_XmlExpr:
        case T_XmlSerialize:
            if (!look_expression(w, node)) children(w, node);
            return;
        default: w->now->flags |= PGW_UNPROVEN | PGW_WRITES_DATABASE | PGW_LEAVES_STATE;
    }
}

void pgw_walk_tree(pgw_walk* w, Node* node) {
    w->pending_count = 0;
    pgw_push(w, node, NULL);
    while (w->pending_count > 0 && !w->failed) {
        const pgw_pending next = w->pending[--w->pending_count];
        w->scope = next.scope;
        look(w, next.node);
    }
    w->scope = NULL;
}
