/* store_query.h -- one statement of the small database on its way; for store_*.c only
 *
 * `struct query` owns a prepared statement and holds the store's lock from query_begin to
 * query_end. Parameters are bound in order; a failure is remembered and told once, by query_end, so
 * that callers read straight down. Statements are prepared for each call: rows are few and small,
 * and what costs here is the disk. Any thread that may wait for one. */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include "store.h"
#include "store_sql.h"
#include <pthread.h>

struct store {
    sqlite3 *db;
    pthread_mutex_t lock; /* recursive: a transaction holds it over its statements */
    int depth;            /* of store_begin */
    uint64_t written_ns;  /* clock_ns of the last probe that went well, under the lock */
};

struct query {
    struct store *store;
    sqlite3_stmt *stmt;
    dsc_arena *arena;
    int bound, rc;
};

/* Prepare `sql`. Texts that query_text reads are borrowed from `arena`, which may be NULL when
 * there are none. Takes the store's lock. */
struct query query_begin(struct store *store, const char *sql, dsc_arena *arena);

/* The next parameter. Texts and buffers must live until query_end; a NULL text binds NULL. */
void query_bind_int(struct query *query, int64_t value);
void query_bind_real(struct query *query, double value);
void query_bind_text(struct query *query, const char *text);
void query_bind_blob(struct query *query, const void *bytes, size_t len);

/* The next row, if there is one. A statement that writes is done when this is false. */
bool query_row(struct query *query);

/* A column of the row. A text that is NULL, or that the arena has no room for, is "". */
bool query_null(struct query *query, int column);
int64_t query_int(struct query *query, int column);
double query_real(struct query *query, int column);
const char *query_text(struct query *query, int column);
/* A copy of a BLOB as a buffer of the caller's; NULL when there is no memory. */
struct buf *query_blob(struct query *query, int column);

/* Give back the statement and the lock. True unless something failed on the way. */
bool query_end(struct query *query, dsc_err *err) DSC_MUST_CHECK;

/* Run a statement without results, and end it. *changed (may be NULL): how many rows. */
bool query_run(struct query *query, int *changed, dsc_err *err) DSC_MUST_CHECK;

/* The same for one that may violate a constraint, which is no failure but *conflict. */
bool query_try(struct query *query, bool *conflict, dsc_err *err) DSC_MUST_CHECK;

/* Take the next number of an AUTOINCREMENT table, and have sign * number in the bulk database
 * erased at the next start, unless its owner comes first. */
bool query_reserve(struct store *store, const char *table, int sign, int64_t *number,
                   dsc_err *err) DSC_MUST_CHECK;

/* FAULT_NOT_FOUND: there is no `what` "name". Returns false. */
bool query_not_found(dsc_err *err, const char *what, const char *name);

#endif
