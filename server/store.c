/* store.c -- the small database behind store.h
 *
 * Statements are prepared for each call: rows are few and small, and what costs here is the disk.
 * `query` below is one statement on its way: parameters are bound in order, failures are remembered
 * until query_end tells. */
#include "store.h"
#include "fault.h"
#include "limits.h"
#include "store_sql.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const durability_words[] = {"strict", "relaxed", "memory", NULL};

struct store {
    sqlite3 *db;
    pthread_mutex_t lock;
};

enum { SMALL_PAGE_BYTES = 4096 };

/* Sessions that never reach the disk: the same columns, in memory, seq beyond every stored one
 * (their bulk rows do not exist, so the numbers need only be in order among themselves). */
static const char memory_tables[] =
    "CREATE TEMP TABLE memory_session (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL "
    "UNIQUE,"
    " version INTEGER NOT NULL, coordinates INTEGER NOT NULL, durability INTEGER NOT NULL,"
    " labels TEXT NOT NULL, ttl_seconds INTEGER NOT NULL, created_at INTEGER NOT NULL);"
    "CREATE INDEX temp.memory_session_by_version ON memory_session (version);"
    "INSERT INTO temp.sqlite_sequence (name, seq) VALUES ('memory_session', 4611686018427387904);"
    "CREATE TEMP VIEW any_session AS SELECT * FROM main.session UNION ALL SELECT * FROM "
    "memory_session;";

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- one statement --- */

struct query {
    struct store *store;
    sqlite3_stmt *stmt;
    dsc_arena *arena;
    int bound, rc;
};

/* Takes the lock, which query_end gives back. */
static struct query query_begin(struct store *store, const char *sql, dsc_arena *arena)
{
    struct query query = {.store = store, .arena = arena};

    pthread_mutex_lock(&store->lock);
    query.rc = sqlite3_prepare_v2(store->db, sql, -1, &query.stmt, NULL);
    return query;
}

static void bind_int(struct query *query, int64_t value)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_int64(query->stmt, ++query->bound, value);
}

static void bind_text(struct query *query, const char *text)
{
    if (query->rc == SQLITE_OK)
        query->rc = sqlite3_bind_text(query->stmt, ++query->bound, text, -1, SQLITE_STATIC);
}

static void bind_blob(struct query *query, const struct buf *buf)
{
    if (query->rc == SQLITE_OK)
        query->rc =
            sqlite3_bind_blob64(query->stmt, ++query->bound, buf->data, buf->len, SQLITE_STATIC);
}

/* The next row, if there is one. */
static bool query_row(struct query *query)
{
    if (query->rc == SQLITE_OK || query->rc == SQLITE_ROW)
        query->rc = sqlite3_step(query->stmt);
    return query->rc == SQLITE_ROW;
}

/* True unless something failed on the way. */
static bool query_end(struct query *query, dsc_err *err)
{
    bool ok = query->rc == SQLITE_ROW || query->rc == SQLITE_DONE;

    if (!ok)
        store_sql_fail(query->store->db, err);
    sqlite3_finalize(query->stmt);
    pthread_mutex_unlock(&query->store->lock);
    return ok;
}

/* Run it; a statement that found its constraint violated says so in *conflict. */
static bool query_run(struct query *query, bool *conflict, int *changed, dsc_err *err)
{
    query_row(query);
    *conflict = (query->rc & 0xff) == SQLITE_CONSTRAINT;
    if (*conflict)
        query->rc = SQLITE_DONE;
    if (changed)
        *changed = sqlite3_changes(query->store->db);
    return query_end(query, err);
}

static const char *column_text(struct query *query, int column)
{
    const char *text = (const char *)sqlite3_column_text(query->stmt, column);
    char *copy = text ? dsc_arena_text(query->arena, text, strlen(text)) : NULL;

    if (text && !copy)
        query->rc = SQLITE_NOMEM;
    return copy ? copy : "";
}

static int64_t column_int(struct query *query, int column)
{
    return sqlite3_column_int64(query->stmt, column);
}

static bool not_found(dsc_err *err, const char *what, const char *name)
{
    return dsc_fail(err, FAULT_NOT_FOUND, "", "there is no %s \"%.63s\"", what, name);
}

/* --- optimizers --- */

#define OPTIMIZER_SELECT                                                                           \
    "SELECT o.id, o.name, o.family, o.config, o.description, o.labels, o.builtin, o.created_at,"   \
    " ifnull((SELECT max(number) FROM version WHERE optimizer = o.id), 0) FROM optimizer o "

static void read_optimizer(struct query *query, struct optimizer_row *out)
{
    *out = (struct optimizer_row) {
        .id = column_int(query, 0),
        .name = column_text(query, 1),
        .family = column_text(query, 2),
        .config = column_text(query, 3),
        .description = column_text(query, 4),
        .labels = column_text(query, 5),
        .builtin = column_int(query, 6) != 0,
        .created_at = column_int(query, 7),
        .latest_version = column_int(query, 8),
    };
}

bool store_optimizer_insert(struct store *store, struct optimizer_row *row, dsc_err *err)
{
    bool conflict;
    struct query query =
        query_begin(store,
                    "INSERT INTO optimizer (name, family, config, description, labels, builtin,"
                    " version_next, created_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                    NULL);

    bind_text(&query, row->name);
    bind_text(&query, row->family);
    bind_text(&query, row->config);
    bind_text(&query, row->description);
    bind_text(&query, row->labels);
    bind_int(&query, row->builtin);
    bind_int(&query, now_ms());
    return query_run(&query, &conflict, NULL, err) &&
           (!conflict ||
            dsc_fail(err, FAULT_ALREADY_EXISTS, "name", "\"%.63s\" is taken", row->name));
}

bool store_optimizer_find(struct store *store, const char *name, struct optimizer_row *out,
                          dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, OPTIMIZER_SELECT "WHERE o.name = ?", arena);

    bind_text(&query, name);
    bool found = query_row(&query);
    if (found)
        read_optimizer(&query, out);
    return query_end(&query, err) && (found || not_found(err, "optimizer", name));
}

bool store_optimizer_list(struct store *store, const char *after, size_t max,
                          struct optimizer_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, OPTIMIZER_SELECT "WHERE o.name > ? ORDER BY o.name LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    bind_text(&query, after ? after : "");
    bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_optimizer(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_optimizer_delete(struct store *store, const char *name, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row row;
    int changed = 0;
    bool conflict;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    bool ok = store_optimizer_find(store, name, &row, &arena, err);
    bool builtin = ok && row.builtin;
    dsc_arena_release(&arena);
    if (!ok)
        return false;
    if (builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "", "%s is built in", name);
    struct query query =
        query_begin(store,
                    "DELETE FROM optimizer WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM version v"
                    " JOIN any_session s ON s.version = v.id WHERE v.optimizer = optimizer.id)",
                    NULL);
    bind_text(&query, name);
    return query_run(&query, &conflict, &changed, err) &&
           (changed == 1 ||
            dsc_fail(err, FAULT_IN_USE, "", "a session uses a version of %s", name));
}

/* --- versions --- */

#define VERSION_SELECT                                                                             \
    "SELECT v.id, v.optimizer, v.number, o.name, o.family, v.config, v.sha256, v.source, "         \
    "length(v.weights),"                                                                           \
    " v.weights_count, v.created_at FROM version v JOIN optimizer o ON o.id = v.optimizer "

static void read_version(struct query *query, struct version_row *out)
{
    *out = (struct version_row) {
        .id = column_int(query, 0),
        .optimizer_id = column_int(query, 1),
        .number = column_int(query, 2),
        .optimizer = column_text(query, 3),
        .family = column_text(query, 4),
        .config = column_text(query, 5),
        .sha256 = column_text(query, 6),
        .source = column_text(query, 7),
        .size_bytes = column_int(query, 8),
        .weights_count = column_int(query, 9),
        .created_at = column_int(query, 10),
    };
}

/* The number and the row in one statement: the insert reads version_next, a trigger-like second
 * statement raises it, both in one transaction. */
bool store_version_insert(struct store *store, struct version_row *row, const struct buf *weights,
                          dsc_err *err)
{
    struct query query =
        query_begin(store,
                    "INSERT INTO version (optimizer, number, config, sha256, source, weights_count,"
                    " created_at, weights) SELECT id, version_next, ?2, ?3, ?4, ?5, ?6, ?7"
                    " FROM optimizer WHERE name = ?1 RETURNING id, number",
                    NULL);
    sqlite3 *db = store->db;

    bind_text(&query, row->optimizer);
    bind_text(&query, row->config);
    bind_text(&query, row->sha256);
    bind_text(&query, row->source);
    bind_int(&query, row->weights_count);
    bind_int(&query, now_ms());
    bind_blob(&query, weights);
    bool ok =
        query.rc == SQLITE_OK && sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    bool found = ok && query_row(&query);
    if (found) {
        row->id = column_int(&query, 0);
        row->number = column_int(&query, 1);
        query_row(&query);
        ok = query.rc == SQLITE_DONE &&
             sqlite3_exec(
                 db,
                 "UPDATE optimizer SET version_next = version_next + 1"
                 " WHERE id = (SELECT optimizer FROM version WHERE id = last_insert_rowid())",
                 NULL, NULL, NULL) == SQLITE_OK &&
             sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    }
    if (!ok)
        store_sql_fail(db, err);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    query.rc = SQLITE_DONE;
    return query_end(&query, err) && ok && (found || not_found(err, "optimizer", row->optimizer));
}

bool store_version_find(struct store *store, const char *optimizer, int64_t number,
                        struct version_row *out, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    struct query query =
        query_begin(store,
                    VERSION_SELECT "WHERE v.optimizer = ?1 AND (v.number = ?2 OR ?2 = 0)"
                                   " ORDER BY v.number DESC LIMIT 1",
                    arena);
    bind_int(&query, owner.id);
    bind_int(&query, number);
    bool found = query_row(&query);
    if (found)
        read_version(&query, out);
    if (!query_end(&query, err) || found)
        return found;
    return number
               ? dsc_fail(err, FAULT_NOT_FOUND, "", "%s has no version %lld", optimizer,
                          (long long)number)
               : dsc_fail(err, FAULT_NO_VERSION, "optimizer", "%s has no version yet", optimizer);
}

bool store_version_by_id(struct store *store, int64_t id, struct version_row *out, dsc_arena *arena,
                         dsc_err *err)
{
    struct query query = query_begin(store, VERSION_SELECT "WHERE v.id = ?", arena);

    bind_int(&query, id);
    bool found = query_row(&query);
    if (found)
        read_version(&query, out);
    return query_end(&query, err) &&
           (found || dsc_fail(err, FAULT_NOT_FOUND, "", "the version is gone"));
}

bool store_version_list(struct store *store, const char *optimizer, int64_t after, size_t max,
                        struct version_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    *count = 0;
    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    *out = dsc_arena_take(arena, max, sizeof **out);
    struct query query = query_begin(
        store, VERSION_SELECT "WHERE v.optimizer = ? AND v.number > ? ORDER BY v.number LIMIT ?",
        arena);
    bind_int(&query, owner.id);
    bind_int(&query, after);
    bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_version(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_version_weights(struct store *store, int64_t version_id, struct buf **out, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT weights FROM version WHERE id = ?", NULL);

    *out = NULL;
    bind_int(&query, version_id);
    bool found = query_row(&query);
    if (found) {
        size_t len = (size_t)sqlite3_column_bytes(query.stmt, 0);
        *out = buf_new(len);
        if (*out && !buf_append(*out, sqlite3_column_blob(query.stmt, 0), len))
            found = false;
    }
    if (!query_end(&query, err))
        return false;
    return found ? *out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the weights")
                 : dsc_fail(err, FAULT_NOT_FOUND, "", "the version is gone");
}

bool store_version_delete(struct store *store, const char *optimizer, int64_t number, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row owner;
    struct version_row row;
    int changed = 0;
    bool conflict;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    bool ok = store_version_find(store, optimizer, number, &row, &arena, err) &&
              store_optimizer_find(store, optimizer, &owner, &arena, err);
    bool builtin = ok && owner.builtin;
    dsc_arena_release(&arena);
    if (!ok)
        return false;
    if (builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "", "%s is built in", optimizer);
    struct query query = query_begin(store,
                                     "DELETE FROM version WHERE id = ?1 AND NOT EXISTS (SELECT 1 "
                                     "FROM any_session WHERE version = ?1)",
                                     NULL);
    bind_int(&query, row.id);
    return query_run(&query, &conflict, &changed, err) &&
           (changed == 1 || dsc_fail(err, FAULT_IN_USE, "", "a session uses %s:%lld", optimizer,
                                     (long long)number));
}

/* --- sessions --- */

#define SESSION_SELECT                                                                             \
    "SELECT s.seq, s.id, s.version, o.name || ':' || v.number, s.coordinates, s.durability, "      \
    "s.labels, s.ttl_seconds,"                                                                     \
    " s.created_at FROM any_session s JOIN version v ON v.id = s.version JOIN optimizer o ON "     \
    "o.id = v.optimizer "

static void read_session(struct query *query, struct session_row *out)
{
    *out = (struct session_row) {
        .seq = column_int(query, 0),
        .id = column_text(query, 1),
        .version_id = column_int(query, 2),
        .optimizer = column_text(query, 3),
        .coordinates = column_int(query, 4),
        .durability = (enum durability)column_int(query, 5),
        .labels = column_text(query, 6),
        .ttl_seconds = column_int(query, 7),
        .created_at = column_int(query, 8),
    };
}

bool store_session_insert(struct store *store, struct session_row *row, dsc_err *err)
{
    bool memory = row->durability == DURABILITY_MEMORY;
    /* The select makes the pinned version's existence part of the statement. */
    struct query query = query_begin(
        store,
        memory ? "INSERT INTO memory_session (id, version, coordinates, durability, labels, "
                 "ttl_seconds, created_at)"
                 " SELECT ?1, id, ?3, ?4, ?5, ?6, ?7 FROM main.version WHERE id = ?2 RETURNING seq"
               : "INSERT INTO session (id, version, coordinates, durability, labels, ttl_seconds, "
                 "created_at)"
                 " SELECT ?1, id, ?3, ?4, ?5, ?6, ?7 FROM version WHERE id = ?2 RETURNING seq",
        NULL);

    bind_text(&query, row->id);
    bind_int(&query, row->version_id);
    bind_int(&query, row->coordinates);
    bind_int(&query, row->durability);
    bind_text(&query, row->labels);
    bind_int(&query, row->ttl_seconds);
    bind_int(&query, row->created_at);
    bool found = query_row(&query);
    if (found) {
        row->seq = column_int(&query, 0);
        query_row(&query); /* the statement is durable once it is done */
    }
    return query_end(&query, err) &&
           (found || dsc_fail(err, FAULT_NOT_FOUND, "optimizer", "the version is gone"));
}

bool store_session_find(struct store *store, const char *id, struct session_row *out,
                        dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, SESSION_SELECT "WHERE s.id = ?", arena);

    bind_text(&query, id);
    bool found = query_row(&query);
    if (found)
        read_session(&query, out);
    return query_end(&query, err) && (found || not_found(err, "session", id));
}

bool store_session_list(struct store *store, int64_t after, size_t max, struct session_row **out,
                        size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, SESSION_SELECT "WHERE s.seq > ? ORDER BY s.seq LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    bind_int(&query, after);
    bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_session(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_session_delete(struct store *store, const char *id, dsc_err *err)
{
    static const char *const sql[] = {"DELETE FROM main.session WHERE id = ?",
                                      "DELETE FROM memory_session WHERE id = ?"};
    int changed = 0;

    for (int i = 0; i < 2 && changed == 0; i++) {
        bool conflict;
        struct query query = query_begin(store, sql[i], NULL);
        bind_text(&query, id);
        if (!query_run(&query, &conflict, &changed, err))
            return false;
    }
    return changed > 0 || not_found(err, "session", id);
}

/* --- life --- */

bool store_open(struct store **out, const char *dir, dsc_err *err)
{
    char path[4096];
    struct store *store = calloc(1, sizeof *store);

    if (!store)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the store");
    pthread_mutex_init(&store->lock, NULL);
    snprintf(path, sizeof path, "%s/descent.db", dir);
    if (store_sql_open(&store->db, path, "small", SMALL_PAGE_BYTES, err) &&
        store_sql_run(store->db, memory_tables, err)) {
        *out = store;
        return true;
    }
    store_close(store);
    return false;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    pthread_mutex_destroy(&store->lock);
    free(store);
}
