/* Which rows a statement reads or writes, where its text fixes columns to constants: conjuncts
 * `column = constant` and `column IN (constants)` of a WHERE clause, and the rows of VALUES. What a
 * column is, and whether that says anything, is for the reader of the facts to decide.
 * Invariant: leaving a key out is always right, and work per SELECT is bounded by constants, so
 * whatever is large or unusual has none. Thread: see pg_walk.h. */
#include "pg_walk.h"

#include <string.h>

enum {
    kMostConjuncts = 32,
    kMostRelations = 16,
    kMostAlternatives = 16, /* of IN, and rows of VALUES */
    kMostColumns = 100,     /* of a row of VALUES */
};

static void add_key(pgw_walk* w, const pgw_key* key) {
    void* items = w->keys;
    if (!pgw_grow(w, &items, w->key_count, &w->key_size, sizeof(pgw_key))) return;
    w->keys = items;
    w->keys[w->key_count] = *key;
    if (key->column == NULL) w->keys[w->key_count].column = "";
    if (key->cast == NULL) w->keys[w->key_count].cast = "";
    w->key_count++;
}

static bool all_digits(const char* text) {
    const size_t length = strlen(text);
    return length > 0 && strspn(text, "0123456789") == length;
}

/* A negative number's place is that of its sign, which is no part of the literal: left out. */
static bool plain_constant(const A_Const* c) {
    if (c->isnull || c->location < 0) return false;
    if (IsA(&c->val.node, Integer)) return c->val.ival.ival >= 0;
    if (IsA(&c->val.node, Float)) return all_digits(c->val.fval.fval);
    return IsA(&c->val.node, String);
}

/* A type's bare name, where it is one of pg_catalog's or not qualified. */
static const char* plain_type(const TypeName* type) {
    const Node* last;
    if (type == NULL || type->setof || type->pct_type || type->typmods != NIL ||
        type->arrayBounds != NIL || type->typemod >= 0)
        return NULL;
    if (list_length(type->names) < 1 || list_length(type->names) > 2) return NULL;
    last = (const Node*)llast(type->names);
    if (!IsA(last, String)) return NULL;
    if (list_length(type->names) == 2) {
        const Node* schema = (const Node*)linitial(type->names);
        if (!IsA(schema, String) || strcmp(strVal(schema), "pg_catalog") != 0) return NULL;
    }
    return strVal(last);
}

/* A literal, a parameter, or a cast of one. */
static bool constant(const Node* node, pgw_key* key) {
    key->cast = "";
    if (node != NULL && IsA(node, TypeCast)) {
        key->cast = plain_type(((const TypeCast*)node)->typeName);
        node = ((const TypeCast*)node)->arg;
        if (key->cast == NULL) return false;
    }
    if (node == NULL) return false;
    if (IsA(node, ParamRef)) {
        key->kind = PGW_KEY_PARAMETER;
        key->number = ((const ParamRef*)node)->number;
        return key->number > 0 && key->number < PGW_MOST_PARAMETERS;
    }
    if (!IsA(node, A_Const) || !plain_constant((const A_Const*)node)) return false;
    key->kind = PGW_KEY_LITERAL;
    key->number = ((const A_Const*)node)->location;
    return true;
}

/* The column's name, if it is one of this relation; `alone`: nothing else is in FROM. */
static const char* column_of(const Node* node, const RangeVar* relation, bool alone) {
    const ColumnRef* column = (const ColumnRef*)node;
    const Node* first;
    const Node* last;
    const char* name = relation->alias != NULL ? relation->alias->aliasname : relation->relname;
    if (node == NULL || !IsA(node, ColumnRef)) return NULL;
    first = (const Node*)linitial(column->fields);
    last = (const Node*)llast(column->fields);
    if (!IsA(first, String) || !IsA(last, String)) return NULL;
    switch (list_length(column->fields)) {
        case 1: return alone ? strVal(last) : NULL;
        case 2: return strcmp(strVal(first), name) == 0 ? strVal(last) : NULL;
        default: return NULL;
    }
}

static bool is_equality(const A_Expr* e) {
    const Node* last;
    if (list_length(e->name) < 1 || list_length(e->name) > 2) return false;
    last = (const Node*)llast(e->name);
    if (!IsA(last, String) || strcmp(strVal(last), "=") != 0) return false;
    if (list_length(e->name) == 1) return true;
    last = (const Node*)linitial(e->name);
    return IsA(last, String) && strcmp(strVal(last), "pg_catalog") == 0;
}

static void keys_of_list(pgw_walk* w, const char* column, const List* values, unsigned group) {
    const size_t before = w->key_count;
    if (list_length(values) > kMostAlternatives) return;
    for (int i = 0; i < list_length(values); i++) {
        pgw_key key = {.group = group, .column = column};
        if (!constant((const Node*)list_nth(values, i), &key)) {
            w->key_count = before;
            return;
        }
        add_key(w, &key);
    }
}

static void keys_of_conjunct(pgw_walk* w, const Node* node, const RangeVar* relation, bool alone,
                             unsigned group) {
    const A_Expr* e = (const A_Expr*)node;
    const char* column;
    pgw_key key = {.group = group};
    if (!IsA(node, A_Expr) || !is_equality(e)) return;
    column = column_of(e->lexpr, relation, alone);
    if (e->kind == AEXPR_IN) {
        if (column != NULL && e->rexpr != NULL && IsA(e->rexpr, List))
            keys_of_list(w, column, (const List*)e->rexpr, group);
        return;
    }
    if (e->kind != AEXPR_OP) return;
    if (column != NULL) {
        key.column = column;
        if (constant(e->rexpr, &key)) add_key(w, &key);
        return;
    }
    key.column = column_of(e->rexpr, relation, alone);
    if (key.column != NULL && constant(e->lexpr, &key)) add_key(w, &key);
}

/* What WHERE demands: the parts of its ANDs, as many as fit. */
static int conjuncts(Node* where, Node** out) {
    int count = 0;
    if (where == NULL) return 0;
    out[count++] = where;
    for (int i = 0; i < count; i++) {
        const BoolExpr* b = (const BoolExpr*)out[i];
        while (IsA(b, BoolExpr) && b->boolop == AND_EXPR) {
            for (int k = 1; k < list_length(b->args) && count < kMostConjuncts; k++)
                out[count++] = list_nth(b->args, k);
            out[i] = list_nth(b->args, 0);
            b = (const BoolExpr*)out[i];
        }
    }
    return count;
}

static bool plain_relation(const RangeVar* relation) {
    return relation != NULL && (relation->alias == NULL || relation->alias->colnames == NIL);
}

static void keys_of_where(pgw_walk* w, Node* where, const RangeVar* relation, bool alone) {
    Node* parts[kMostConjuncts];
    const int count = conjuncts(where, parts);
    for (int i = 0; i < count; i++) keys_of_conjunct(w, parts[i], relation, alone, (unsigned)i + 1);
}

/* The relations that stand in FROM themselves or in its joins, as many as fit. A row of the join
 * that WHERE lets pass holds a row of each with the columns it demands, whatever kinds of join
 * there are; so other rows of the relation do not count. */
static int relations_in(const List* from, const RangeVar** out) {
    const Node* pending[kMostRelations];
    int open = 0, found = 0;
    for (int i = 0; i < list_length(from) && i < kMostRelations; i++) {
        pending[open++] = (const Node*)list_nth(from, i);
        while (open > 0) {
            const Node* node = pending[--open];
            if (node != NULL && IsA(node, RangeVar) && found < kMostRelations) {
                out[found++] = (const RangeVar*)node;
            } else if (node != NULL && IsA(node, JoinExpr)) {
                const JoinExpr* join = (const JoinExpr*)node;
                /* An alias of a join hides the names under it. */
                if (join->alias != NULL || open + 2 > kMostRelations) continue;
                pending[open++] = join->larg;
                pending[open++] = join->rarg;
            }
        }
    }
    return found;
}

void pgw_keys_of_select(pgw_walk* w, const SelectStmt* s) {
    const RangeVar* relations[kMostRelations];
    int count;
    bool alone;
    if (s->whereClause == NULL || s->fromClause == NIL) return;
    count = relations_in(s->fromClause, relations);
    alone = list_length(s->fromClause) == 1 && IsA(linitial(s->fromClause), RangeVar);
    for (int i = 0; i < count && w->binding_count < PGW_MOST_BINDINGS; i++) {
        pgw_binding* binding = &w->bindings[w->binding_count];
        if (!plain_relation(relations[i])) continue;
        binding->relation = relations[i];
        binding->first_key = w->key_count;
        keys_of_where(w, s->whereClause, relations[i], alone);
        binding->keys = w->key_count - binding->first_key;
        if (binding->keys > 0) w->binding_count++;
    }
}

/* Gives the fact of the target the keys from `first`. */
static void attach(pgw_walk* w, size_t first) {
    if (w->failed || w->fact_count == 0) return;
    w->facts[w->fact_count - 1].first_key = first;
    w->facts[w->fact_count - 1].keys = w->key_count - first;
}

static void changed_columns(pgw_walk* w, const List* targets, pgw_key_kind kind) {
    for (int i = 0; i < list_length(targets); i++) {
        const ResTarget* target = (const ResTarget*)list_nth(targets, i);
        const pgw_key key = {.kind = kind, .column = target->name};
        add_key(w, &key);
    }
}

void pgw_keys_of_update(pgw_walk* w, const UpdateStmt* s) {
    const size_t first = w->key_count;
    if (s->withClause != NULL || s->whereClause == NULL || !plain_relation(s->relation)) return;
    keys_of_where(w, s->whereClause, s->relation, s->fromClause == NIL);
    if (w->key_count == first) return;
    changed_columns(w, s->targetList, PGW_KEY_CHANGED);
    attach(w, first);
}

void pgw_keys_of_delete(pgw_walk* w, const DeleteStmt* s) {
    const size_t first = w->key_count;
    if (s->withClause != NULL || s->whereClause == NULL || !plain_relation(s->relation)) return;
    keys_of_where(w, s->whereClause, s->relation, s->usingClause == NIL);
    attach(w, first);
}

/* False: which row a conflict leads to is not known. */
static bool keys_of_conflict(pgw_walk* w, const OnConflictClause* conflict) {
    const InferClause* infer;
    if (conflict == NULL || conflict->action == ONCONFLICT_NOTHING) return true;
    infer = conflict->infer;
    if (infer == NULL || infer->conname != NULL || infer->whereClause != NULL) return false;
    for (int i = 0; i < list_length(infer->indexElems); i++) {
        const IndexElem* element = (const IndexElem*)list_nth(infer->indexElems, i);
        const pgw_key key = {.kind = PGW_KEY_CONFLICT, .column = element->name};
        if (element->name == NULL || element->collation != NIL || element->opclass != NIL)
            return false;
        add_key(w, &key);
    }
    changed_columns(w, conflict->targetList, PGW_KEY_CHANGED);
    return true;
}

static void keys_of_row(pgw_walk* w, const InsertStmt* s, const List* row, unsigned group) {
    for (int i = 0; i < list_length(row) && i < kMostColumns; i++) {
        pgw_key key = {.group = group, .position = i + 1};
        if (!constant((const Node*)list_nth(row, i), &key)) continue;
        if (s->cols != NIL) {
            const ResTarget* target;
            if (i >= list_length(s->cols)) return;
            target = (const ResTarget*)list_nth(s->cols, i);
            if (target->indirection != NIL) continue;
            key.position = 0;
            key.column = target->name;
        }
        add_key(w, &key);
    }
}

void pgw_keys_of_insert(pgw_walk* w, const InsertStmt* s) {
    const size_t first = w->key_count;
    const SelectStmt* values = (const SelectStmt*)s->selectStmt;
    if (s->withClause != NULL || s->override != OVERRIDING_NOT_SET || values == NULL) return;
    if (!IsA(values, SelectStmt) || values->valuesLists == NIL || values->withClause != NULL ||
        values->limitCount != NULL || values->limitOffset != NULL || values->op != SETOP_NONE ||
        list_length(values->valuesLists) > kMostAlternatives)
        return;
    for (int i = 0; i < list_length(values->valuesLists); i++)
        keys_of_row(w, s, (const List*)list_nth(values->valuesLists, i), (unsigned)i + 1);
    if (!keys_of_conflict(w, s->onConflictClause)) {
        w->key_count = first;
        return;
    }
    attach(w, first);
    if (!w->failed && w->fact_count > 0)
        w->facts[w->fact_count - 1].rows = (unsigned)list_length(values->valuesLists);
}
