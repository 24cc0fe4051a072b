#include "store_sql.h"
#include "fault.h"
#include "log.h"
#include "migrations/embedded.h"
#include <stdio.h>
#include <string.h>

bool store_sql_fail(sqlite3 *db, dsc_err *err)
{
    int code = db ? sqlite3_errcode(db) : SQLITE_NOMEM;

    log_line(LOG_ERROR, "database", "%s (%d)", db ? sqlite3_errmsg(db) : "no memory", code);
    if (code == SQLITE_FULL)
        return dsc_fail(err, FAULT_STORAGE_FULL, "", "the disk is full");
    if (code == SQLITE_NOMEM)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "the database has no memory");
    if (code == SQLITE_BUSY) /* for longer than its timeout: another program has the file */
        return dsc_fail(err, FAULT_OVERLOADED, "", "the database is in use; try again");
    return dsc_fail(err, FAULT_INTERNAL, "", "the database could not do this: %s",
                    sqlite3_errstr(code));
}

bool store_sql_run(sqlite3 *db, const char *sql, dsc_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || store_sql_fail(db, err);
}

static bool read_version(sqlite3 *db, int *version, dsc_err *err)
{
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
              sqlite3_step(stmt) == SQLITE_ROW;

    if (ok)
        *version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return ok || store_sql_fail(db, err);
}

bool store_sql_version(sqlite3 *db, const char *database, int *version, int *newest,
                       size_t *pending, dsc_err *err)
{
    *newest = 0;
    *pending = 0;
    if (!read_version(db, version, err))
        return false;
    for (size_t i = 0; i < migrations_count; i++) {
        if (strcmp(migrations[i].database, database) != 0)
            continue;
        *newest = migrations[i].number;
        *pending += migrations[i].number > *version;
    }
    return true;
}

/* The operator is told what SQLite says of a migration: it is about our statements, not a client's
 * data. A full disk is a full disk. */
static bool apply_statements(sqlite3 *db, const struct migration *migration, dsc_err *err)
{
    const int rc = sqlite3_exec(db, migration->sql, NULL, NULL, NULL) & 0xff;

    if (rc == SQLITE_ERROR || rc == SQLITE_CONSTRAINT)
        (void)dsc_fail(err, FAULT_INTERNAL, "--data", "migration %d of the %s database fails: %s",
                       migration->number, migration->database, sqlite3_errmsg(db));
    return rc == SQLITE_OK || store_sql_fail(db, err);
}

static bool apply(sqlite3 *db, const struct migration *migration, dsc_err *err)
{
    const bool alone = sqlite3_get_autocommit(db);
    char version[64];

    snprintf(version, sizeof version, "PRAGMA user_version=%d", migration->number);
    if ((!alone || store_sql_run(db, "BEGIN IMMEDIATE", err)) &&
        apply_statements(db, migration, err) && store_sql_run(db, version, err) &&
        (!alone || store_sql_run(db, "COMMIT", err)))
        return true;
    if (alone)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

bool store_sql_migrate(sqlite3 *db, const char *database, dsc_err *err)
{
    int version = 0;

    if (!read_version(db, &version, err))
        return false;
    for (size_t i = 0; i < migrations_count; i++)
        if (strcmp(migrations[i].database, database) == 0 && migrations[i].number > version &&
            !apply(db, &migrations[i], err))
            return false;
    return true;
}

/* A newer file is refused as it is. */
static bool migrate(sqlite3 *db, const char *path, const char *database, dsc_err *err)
{
    int version = 0, newest = 0;
    size_t pending = 0;

    if (!store_sql_version(db, database, &version, &newest, &pending, err))
        return false;
    if (version > newest)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "%.80s is of a newer Descent (%d, not %d)",
                        path, version, newest);
    return pending == 0 || store_sql_migrate(db, database, err);
}

/* NULL when it cannot be opened; SQLite makes a connection even so, which says why. */
static sqlite3 *open_file(const char *path, int flags, dsc_err *err)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        return db;
    store_sql_fail(db, err);
    sqlite3_close(db);
    return NULL;
}

/* Hand the connection to the caller, or close it. */
static bool keep(sqlite3 **out, sqlite3 *db, bool ok)
{
    if (ok)
        *out = db;
    else
        sqlite3_close(db);
    return ok;
}

bool store_sql_look(sqlite3 **out, const char *path, dsc_err *err)
{
    sqlite3 *const db = open_file(path, SQLITE_OPEN_READWRITE, err);

    return db && keep(out, db,
                      store_sql_run(db,
                                    "PRAGMA busy_timeout=5000; PRAGMA trusted_schema=OFF;"
                                    "PRAGMA temp_store=MEMORY; SELECT count(*) FROM sqlite_schema",
                                    err));
}

bool store_sql_attach(sqlite3 *db, const char *path, const char *name, dsc_err *err)
{
    sqlite3_stmt *stmt = NULL;
    const bool ok = sqlite3_prepare_v2(db, "ATTACH ?1 AS ?2", -1, &stmt, NULL) == SQLITE_OK &&
                    sqlite3_bind_text(stmt, 1, path, -1, SQLITE_STATIC) == SQLITE_OK &&
                    sqlite3_bind_text(stmt, 2, name, -1, SQLITE_STATIC) == SQLITE_OK &&
                    sqlite3_step(stmt) == SQLITE_DONE;

    if (!ok)
        store_sql_fail(db, err);
    sqlite3_finalize(stmt);
    return ok;
}

bool store_sql_open(sqlite3 **out, const char *path, const char *database, int page_bytes,
                    dsc_err *err)
{
    sqlite3 *const db = open_file(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    char page[64];

    snprintf(page, sizeof page, "PRAGMA page_size=%d", page_bytes);
    return db &&
           keep(out, db,
                store_sql_run(db, "PRAGMA busy_timeout=5000", err) &&
                    store_sql_run(db, page, err) &&
                    store_sql_run(db,
                                  "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                  "PRAGMA secure_delete=OFF; PRAGMA foreign_keys=ON;"
                                  "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0;"
                                  "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864",
                                  err) &&
                    migrate(db, path, database, err));
}
