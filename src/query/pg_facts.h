/* What the walk over PostgreSQL's raw parse tree found, flat and free of PostgreSQL's headers, so
 * that C++ can read it. Invariant: strings live until pgw_close; an empty list of statements with
 * `failed` unset is an empty text. Thread: any; the parser's state is thread-local. */
#ifndef PGWEIR_QUERY_PG_FACTS_H
#define PGWEIR_QUERY_PG_FACTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    PGW_READ,     /* a relation in FROM, or its like; one whose expressions VACUUM runs */
    PGW_WRITE,    /* target of INSERT, UPDATE, DELETE, MERGE, COPY FROM, TRUNCATE */
    PGW_CALL,     /* a function, aggregate or window function */
    PGW_FIELD,    /* (expression).name: a field or a call */
    PGW_COLUMN,   /* schema.name, of a relation or alias: a column or, if there is none, a call */
    PGW_SCALAR,   /* an alias in FROM ("": any) whose value may be text; its schema is its column */
    PGW_OPERATOR, /* schema may be empty */
    PGW_SETTING,  /* set for the session by SET or set_config; "" when it is computed */
    PGW_DATABASE, /* that the statement needs free of sessions */
    PGW_TYPE,     /* a cast or a column definition of a function in FROM */
    PGW_CODE, /* of a DO block or new function: its body; its schema is the language, "" one that
                 is read by its words */
} pgw_what;

enum {
    PGW_FACT_LOCAL = 1,    /* PGW_CALL: set_config whose third argument is the constant true */
    PGW_FACT_LITERAL = 2,  /* PGW_TYPE: of a literal or a parameter, whose text can be looked at */
                           /* PGW_CALL: the same of the only argument */
    PGW_FACT_UNPROVEN = 4, /* PGW_TYPE: %TYPE, SETOF */
    PGW_FACT_CASCADE = 8,  /* PGW_WRITE: TRUNCATE ... CASCADE */
    PGW_FACT_ONE = 16,     /* PGW_CALL: of one argument without a name, so it may be a cast */
};

/* What fixes rows of the relation of a PGW_READ or PGW_WRITE to values of its columns. */
typedef enum {
    PGW_KEY_PARAMETER, /* the column is equal to, or is given, parameter `number` */
    PGW_KEY_LITERAL,   /* ... the literal that begins at byte `number` of the text */
    PGW_KEY_CHANGED,   /* SET gives the column another value */
    PGW_KEY_CONFLICT,  /* the column is named by ON CONFLICT ... DO UPDATE */
} pgw_key_kind;
enum { PGW_MOST_PARAMETERS = 64 }; /* of those that fix rows */

typedef struct {
    pgw_key_kind kind;
    int number;
    int position;       /* INSERT without a list of columns: which of VALUES, from 1; else 0 */
    unsigned group;     /* keys of one column and group are alternatives (IN); a row of VALUES */
    const char* column; /* never NULL; "" with a position */
    const char* cast;   /* never NULL; "": none */
} pgw_key;

typedef struct {
    pgw_what what;
    unsigned flags;
    const char* schema; /* never NULL; "" when not qualified */
    const char* name;
    size_t first_key;
    size_t keys;   /* 0: not known which rows */
    unsigned rows; /* of VALUES; its keys are of those, by group from 1 */
} pgw_fact;

typedef enum {
    PGW_KIND_SELECT,
    PGW_KIND_DML,
    PGW_KIND_COPY,
    PGW_KIND_BEGIN,
    PGW_KIND_COMMIT,
    PGW_KIND_ROLLBACK,
    PGW_KIND_SAVEPOINT,
    PGW_KIND_PREPARED_TX,
    PGW_KIND_SET,
    PGW_KIND_SHOW,
    PGW_KIND_DISCARD_ALL,
    PGW_KIND_DEALLOCATE,
    PGW_KIND_CALL,
    PGW_KIND_UTILITY,
} pgw_kind;

typedef enum {
    PGW_PIN_NONE,
    PGW_PIN_SET,
    PGW_PIN_PREPARE,
    PGW_PIN_LISTEN,
    PGW_PIN_TEMPORARY,
    PGW_PIN_HOLD_CURSOR,
    PGW_PIN_LOAD,
    PGW_PIN_DO_BLOCK,
} pgw_pin;

/* What the statement does beside its facts. */
enum {
    PGW_LOCKING = 1u << 0,
    PGW_INTO = 1u << 1,
    PGW_DML_INSIDE = 1u << 2,
    PGW_TABLESAMPLE = 1u << 3,
    PGW_SYSTEM_COLUMN = 1u << 4,
    PGW_SESSION_VALUE = 1u << 5, /* CURRENT_DATE, CURRENT_USER and their kin */
    PGW_UNPROVEN = 1u << 6,      /* an expression this walk does not vouch for */
    PGW_FROM_FUNCTION = 1u << 7,
    PGW_WRITES_DATABASE = 1u << 8,
    PGW_WRITES_ALL = 1u << 9,
    PGW_LEAVES_STATE = 1u << 10,
    PGW_ENDS_TRANSACTION = 1u << 11,
    PGW_ISOLATION = 1u << 12,
    PGW_LITERAL_DEPENDENT = 1u << 13,
    PGW_FACTS_PLANNED_ONLY = 1u << 14, /* plain EXPLAIN: what is found is planned, not run */
    PGW_ENDS_STATE = 1u << 15,    /* DROP, CLOSE, UNLISTEN ...: what pins may be gone after it */
    PGW_CHAINS = 1u << 16,        /* COMMIT or ROLLBACK AND CHAIN */
    PGW_START = 1u << 17,         /* START TRANSACTION, whose command tag is another than BEGIN's */
    PGW_MOVES_NAMES = 1u << 18,   /* names may mean other schemas' relations behind it */
    PGW_NAMES_UNKNOWN = 1u << 19, /* ... or what temporary objects stand for */
    PGW_ASKS_SEQUENCE = 1u << 20, /* a column's default that it makes calls currval or lastval */
    PGW_VACUUMS = 1u << 21,
    PGW_CHANGES_LOGINS = 1u << 22, /* settings that logins are given */
    PGW_MAKES_ON_PATH = 1u << 23,  /* makes something in the schema that search_path says */
    PGW_RUNS_CODE = 1u << 24, /* DDL that may run users' functions, or what follows in its place */
    PGW_READS_ALL = 1u << 25, /* VACUUM or ANALYZE of all tables */
};

typedef struct {
    pgw_kind kind;
    pgw_pin pin;
    unsigned flags;
    size_t first_fact;
    size_t facts;
} pgw_statement;

typedef struct {
    int failed; /* not parsed, or out of memory */
    const pgw_statement* statements;
    size_t statement_count;
    const pgw_fact* facts;
    const pgw_key* keys;
    /* How often parameter n occurs in all statements, by n; counts no further than 255. */
    const unsigned char* parameter_uses;
    void* owner;
} pgw_result;

/* `sql` ends with NUL. Never fails otherwise than by `failed`; always followed by pgw_close. */
pgw_result pgw_open(const char* sql);
void pgw_close(pgw_result* result);

#ifdef __cplusplus
}
#endif

#endif
