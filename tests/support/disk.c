#include "disk.h"
#include <dirent.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static sqlite3 *open_quietly(const char *dir, const char *file)
{
    char path[256];
    sqlite3 *db = NULL;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

/* True when the pragma answers nothing but, perhaps, "ok". */
static bool all_well(sqlite3 *db, const char *file, const char *pragma)
{
    sqlite3_stmt *stmt = NULL;
    bool well = sqlite3_prepare_v2(db, pragma, -1, &stmt, NULL) == SQLITE_OK;
    int rc = SQLITE_DONE;

    while (well && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        well = text && strcmp(text, "ok") == 0;
        if (!well)
            fprintf(stderr, "%s: %s: %s\n", file, pragma, text ? text : "");
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        fprintf(stderr, "%s: %s\n", file, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    return well && rc == SQLITE_DONE;
}

static bool file_sound(const char *dir, const char *file)
{
    sqlite3 *db = open_quietly(dir, file);
    bool sound = db && all_well(db, file, "PRAGMA integrity_check") &&
                 all_well(db, file, "PRAGMA foreign_key_check");

    sqlite3_close(db);
    return sound;
}

bool disk_sound(const char *dir)
{
    return file_sound(dir, "descent.db") && file_sound(dir, "bulk.db");
}

/* Both, with bulk.db attached as bulk; NULL when it cannot. */
static sqlite3 *open_both(const char *dir)
{
    char attach[320];
    sqlite3 *db = open_quietly(dir, "descent.db");

    snprintf(attach, sizeof attach, "ATTACH '%s/bulk.db' AS bulk", dir);
    if (!db || sqlite3_exec(db, attach, NULL, NULL, NULL) == SQLITE_OK)
        return db;
    fprintf(stderr, "%s: %s\n", attach, sqlite3_errmsg(db));
    sqlite3_close(db);
    return NULL;
}

int64_t disk_number(const char *dir, const char *sql)
{
    sqlite3 *db = open_both(dir);
    sqlite3_stmt *stmt = NULL;
    int64_t number = -1;

    if (db && sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        number = sqlite3_column_int64(stmt, 0);
    else
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return number;
}

bool disk_change(const char *dir, const char *sql)
{
    sqlite3 *db = open_both(dir);
    const bool ok = db && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    if (!ok)
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    return ok;
}

void disk_remove_uploads(const char *dir)
{
    char path[512];

    (void)snprintf(path, sizeof path, "%s/datasets", dir);
    DIR *const uploads = opendir(path);
    for (struct dirent *entry; uploads && (entry = readdir(uploads)) != NULL;) {
        (void)snprintf(path, sizeof path, "%s/datasets/%.255s", dir, entry->d_name);
        (void)unlink(path);
    }
    if (uploads)
        closedir(uploads);
    (void)snprintf(path, sizeof path, "%s/datasets", dir);
    (void)rmdir(path);
}
