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
    return dsc_fail(err, FAULT_INTERNAL, "", "the database could not do this; the log says why");
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

static bool apply(sqlite3 *db, const struct migration *migration, dsc_err *err)
{
    char version[64];

    snprintf(version, sizeof version, "PRAGMA user_version=%d", migration->number);
    if (store_sql_run(db, "BEGIN IMMEDIATE", err) && store_sql_run(db, migration->sql, err) &&
        store_sql_run(db, version, err) && store_sql_run(db, "COMMIT", err))
        return true;
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool migrate(sqlite3 *db, const char *path, const char *database, dsc_err *err)
{
    int version = 0, newest = 0;

    if (!read_version(db, &version, err))
        return false;
    for (size_t i = 0; i < migrations_count; i++) {
        const struct migration *migration = &migrations[i];
        if (strcmp(migration->database, database) != 0)
            continue;
        newest = migration->number;
        if (migration->number > version && !apply(db, migration, err))
            return false;
    }
    return version <= newest ||
           dsc_fail(err, FAULT_INTERNAL, "--data", "%.80s is of a newer Descent (%d, not %d)", path,
                    version, newest);
}

bool store_sql_open(sqlite3 **out, const char *path, const char *database, int page_bytes,
                    dsc_err *err)
{
    char page[64];
    sqlite3 *db = NULL;

    snprintf(page, sizeof page, "PRAGMA page_size=%d", page_bytes);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) == SQLITE_OK &&
        store_sql_run(db, "PRAGMA busy_timeout=5000", err) && store_sql_run(db, page, err) &&
        store_sql_run(db,
                      "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF;"
                      "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0;"
                      "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864",
                      err) &&
        migrate(db, path, database, err)) {
        *out = db;
        return true;
    }
    store_sql_fail(db, err); /* only when nothing else has failed yet */
    sqlite3_close(db);
    return false;
}
