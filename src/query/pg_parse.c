/* Opens a text with PostgreSQL's own parser and hands out the facts. Only the raw parse is used:
 * libpg_query's other entry points recurse over the tree and can be crashed by a long expression.
 * Invariant: every pgw_open is followed by pgw_close on the same thread. */
#include "pg_walk.h"

#include <stdlib.h>

/* libpg_query exports these, but their header is not meant for users. */
struct PgQueryError;
typedef struct {
    List* tree;
    char* stderr_buffer;
    struct PgQueryError* error;
} PgQueryInternalParsetreeAndError;
extern PgQueryInternalParsetreeAndError pg_query_raw_parse(const char* input);
extern void pg_query_free_error(struct PgQueryError* error);
extern MemoryContext pg_query_enter_memory_context(void);
extern void pg_query_exit_memory_context(MemoryContext context);

typedef struct {
    MemoryContext context;
    pgw_walk walk;
} pgw_owner;

static bool new_statement(pgw_walk* w) {
    if (w->statement_count == w->statement_size) {
        const size_t wanted = w->statement_size == 0 ? 4 : w->statement_size * 2;
        pgw_statement* bigger = realloc(w->statements, wanted * sizeof *bigger);
        if (bigger == NULL) {
            w->failed = true;
            return false;
        }
        w->statements = bigger;
        w->statement_size = wanted;
    }
    w->now = &w->statements[w->statement_count++];
    *w->now = (pgw_statement){.kind = PGW_KIND_UTILITY, .first_fact = w->fact_count};
    return true;
}

static void walk_statements(pgw_walk* w, List* tree) {
    for (int i = 0; i < list_length(tree) && !w->failed; i++) {
        const RawStmt* raw = (const RawStmt*)list_nth(tree, i);
        if (!new_statement(w)) return;
        w->binding_count = 0;
        if (raw->stmt != NULL) pgw_statement_look(w, raw->stmt);
        w->now->facts = w->fact_count - w->now->first_fact;
    }
}

pgw_result pgw_open(const char* sql) {
    pgw_result result = {.failed = 1};
    PgQueryInternalParsetreeAndError parsed;
    pgw_owner* owner = calloc(1, sizeof *owner);
    if (owner == NULL) return result;
    result.owner = owner;
    owner->context = pg_query_enter_memory_context();
    parsed = pg_query_raw_parse(sql);
    free(parsed.stderr_buffer);
    if (parsed.error != NULL) {
        pg_query_free_error(parsed.error);
        return result;
    }
    owner->walk.text = sql;
    walk_statements(&owner->walk, parsed.tree);
    result.failed = owner->walk.failed;
    result.statements = owner->walk.statements;
    result.statement_count = owner->walk.statement_count;
    result.facts = owner->walk.facts;
    result.keys = owner->walk.keys;
    result.parameter_uses = owner->walk.parameter_uses;
    return result;
}

void pgw_close(pgw_result* result) {
    pgw_owner* owner = result->owner;
    if (owner == NULL) return;
    while (owner->walk.owned_scopes != NULL) {
        pgw_scope* next = owner->walk.owned_scopes->next_owned;
        free(owner->walk.owned_scopes);
        owner->walk.owned_scopes = next;
    }
    free(owner->walk.pending);
    free(owner->walk.facts);
    free(owner->walk.keys);
    free(owner->walk.statements);
    pg_query_exit_memory_context(owner->context);
    free(owner);
    *result = (pgw_result){.failed = 1};
}
