#include "store_query.h"
#include "fault.h"
#include <string.h>

struct query query_begin(struct store *store, const char *sql, dsc_arena *arena)
{
    struct query query = {.store = store, .arena = arena};

    pthread_mutex_lock(&store->lock);
    query.rc = sqlite3_prepare_v2(store->db, sql, -1, &query.stmt, NULL);
    return query;
}

void query_bind_int(struct query *query, int64_t value)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_int64(query->stmt, ++query->bound, value);
}

void query_bind_real(struct query *query, double value)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_double(query->stmt, ++query->bound, value);
}

void query_bind_text(struct query *query, const char *text)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_text(query->stmt, ++query->bound, text, -1, SQLITE_STATIC);
}

void query_bind_blob(struct query *query, const void *bytes, size_t len)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_blob64(query->stmt, ++query->bound, bytes, len, SQLITE_STATIC);
}

bool query_row(struct query *query)
{
    if (query->rc == SQLITE_OK || query->rc == SQLITE_ROW)
        query->rc = sqlite3_step(query->stmt);
    return query->rc == SQLITE_ROW;
}

bool query_null(struct query *query, int column)
{
    return sqlite3_column_type(query->stmt, column) == SQLITE_NULL;
}

int64_t query_int(struct query *query, int column)
{
    return sqlite3_column_int64(query->stmt, column);
}

double query_real(struct query *query, int column)
{
    return sqlite3_column_double(query->stmt, column);
}

const char *query_text(struct query *query, int column)
{
    const char *text = (const char *)sqlite3_column_text(query->stmt, column);
    char *copy = text ? dsc_arena_text(query->arena, text, strlen(text)) : NULL;

    if (text && !copy)
        query->rc = SQLITE_NOMEM;
    return copy ? copy : "";
}

struct buf *query_blob(struct query *query, int column)
{
    const size_t len = (size_t)sqlite3_column_bytes(query->stmt, column);
    struct buf *buf = buf_new(len);

    if (!buf || !buf_append(buf, sqlite3_column_blob(query->stmt, column), len)) {
        buf_drop(buf);
        query->rc = SQLITE_NOMEM;
        return NULL;
    }
    return buf;
}

static void release(struct query *query)
{
    sqlite3_finalize(query->stmt);
    pthread_mutex_unlock(&query->store->lock);
}

/* A failure that the database knows nothing of is one of memory: the arena's, or query_blob's. */
bool query_end(struct query *query, dsc_err *err)
{
    const bool ok = query->rc == SQLITE_ROW || query->rc == SQLITE_DONE;

    if (query->rc == SQLITE_NOMEM)
        dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "the database has no memory for this");
    else if (!ok)
        store_sql_fail(query->store->db, err);
    release(query);
    return ok;
}

bool query_run(struct query *query, int *changed, dsc_err *err)
{
    query_row(query);
    if (changed)
        *changed = sqlite3_changes(query->store->db);
    return query_end(query, err);
}

bool query_try(struct query *query, bool *conflict, dsc_err *err)
{
    query_row(query);
    *conflict = (query->rc & 0xff) == SQLITE_CONSTRAINT;
    if (*conflict)
        query->rc = SQLITE_DONE;
    return query_end(query, err);
}

static bool next_number(struct store *store, const char *table, int64_t *number, dsc_err *err)
{
    struct query query = query_begin(
        store, "UPDATE main.sqlite_sequence SET seq = seq + 1 WHERE name = ? RETURNING seq", NULL);

    query_bind_text(&query, table);
    if (query_row(&query)) {
        *number = query_int(&query, 0);
        query_row(&query);
    }
    return query_end(&query, err);
}

static bool add_erasure(struct store *store, int64_t session, dsc_err *err)
{
    struct query query = query_begin(store, "INSERT INTO erasure (session) VALUES (?)", NULL);

    query_bind_int(&query, session);
    return query_run(&query, NULL, err);
}

bool query_reserve(struct store *store, const char *table, int sign, int64_t *number, dsc_err *err)
{
    return store_begin(store, err) && store_end(store,
                                                next_number(store, table, number, err) &&
                                                    add_erasure(store, sign * *number, err),
                                                err);
}

bool query_not_found(dsc_err *err, const char *what, const char *name)
{
    return dsc_fail(err, FAULT_NOT_FOUND, "", "there is no %s \"%.63s\"", what, name);
}
