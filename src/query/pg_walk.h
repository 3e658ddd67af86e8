/* Shared by the walk's C files only. Invariant: the walk never recurses; depth costs heap, and the
 * heap is bounded by the length of the text. */
#ifndef PGWEIR_QUERY_PG_WALK_H
#define PGWEIR_QUERY_PG_WALK_H

#define _GNU_SOURCE 1 /* the server's headers use sigjmp_buf */
#include <postgres.h>

#include <nodes/nodes.h>
#include <nodes/parsenodes.h>
#include <nodes/pg_list.h>
#include <nodes/primnodes.h>

#include "pg_facts.h"

/* The names of WITH clauses that are visible at a place in the tree. */
typedef struct pgw_scope {
    const struct pgw_scope* outer;
    struct pgw_scope* next_owned;
    List* ctes;
    int visible; /* so many of `ctes`, from the first */
} pgw_scope;

typedef struct {
    Node* node;
    const pgw_scope* scope;
} pgw_pending;

/* A relation in FROM of which some rows only are read. */
typedef struct {
    const RangeVar* relation;
    size_t first_key;
    size_t keys;
} pgw_binding;

enum { PGW_MOST_BINDINGS = 16 };

typedef struct pgw_walk {
    pgw_pending* pending;
    size_t pending_count, pending_size;
    pgw_fact* facts;
    size_t fact_count, fact_size;
    pgw_statement* statements;
    size_t statement_count, statement_size;
    pgw_key* keys;
    size_t key_count, key_size;
    pgw_binding bindings[PGW_MOST_BINDINGS]; /* of the statement being looked at */
    size_t binding_count;
    unsigned char parameter_uses[PGW_MOST_PARAMETERS];
    pgw_scope* owned_scopes;
    const pgw_scope* scope; /* of the node being looked at */
    const char* text;       /* what was parsed */
    pgw_statement* now;
    bool failed;
} pgw_walk;

void pgw_push(pgw_walk* w, Node* node, const pgw_scope* scope);
void pgw_fact_add(pgw_walk* w, pgw_what what, unsigned flags, const char* schema, const char* name);
void pgw_relation(pgw_walk* w, pgw_what what, const RangeVar* relation);
/* The statement makes what is named: temporary, or perhaps so by search_path alone. */
void pgw_made(pgw_walk* w, const char* schema, char persistence);
void pgw_made_relation(pgw_walk* w, const RangeVar* relation);
bool pgw_grow(pgw_walk* w, void** items, size_t count, size_t* size, size_t item);

/* Notes which rows of the relations in its FROM a SELECT reads. */
void pgw_keys_of_select(pgw_walk* w, const SelectStmt* s);
/* The same for the target of a DML statement, whose fact was added last. */
void pgw_keys_of_insert(pgw_walk* w, const InsertStmt* s);
void pgw_keys_of_update(pgw_walk* w, const UpdateStmt* s);
void pgw_keys_of_delete(pgw_walk* w, const DeleteStmt* s);
/* A setting on which the lexing of texts depends, and a value that leaves it as it is here. */
bool pgw_reading_setting(const char* name);
bool pgw_plain_reading(const char* name, const char* value);
/* Walks everything under `node` into the current statement. */
void pgw_walk_tree(pgw_walk* w, Node* node);
/* Classifies one top-level statement and walks what it runs. */
void pgw_statement_look(pgw_walk* w, Node* statement);

#endif
