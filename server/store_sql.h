/* store_sql.h -- opening a SQLite database of ours, and saying what went wrong with one */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "core/descent.h"
#include <sqlite3.h>

/* Open (creating) the file with our settings and bring it up to date with the migrations of
 * `database`. A file that is newer than this program is refused. *out is the caller's. */
bool store_sql_open(sqlite3 **out, const char *path, const char *database, int page_bytes,
                    dsc_err *err) DSC_MUST_CHECK;

/* Open a file that is there, as it is: nothing is made or migrated. *out is the caller's. */
bool store_sql_look(sqlite3 **out, const char *path, dsc_err *err) DSC_MUST_CHECK;

/* Attach another file that is there to the connection. */
bool store_sql_attach(sqlite3 *db, const char *path, const char *name, dsc_err *err) DSC_MUST_CHECK;

/* Which migration of `database` ("small", "bulk") the file is at, which is the newest, and how many
 * there are in between. */
bool store_sql_version(sqlite3 *db, const char *database, int *version, int *newest,
                       size_t *pending, dsc_err *err) DSC_MUST_CHECK;

/* Apply those, as one transaction each or as part of the one that is open. */
bool store_sql_migrate(sqlite3 *db, const char *database, dsc_err *err) DSC_MUST_CHECK;

/* Turn the connection's last failure into ours and log its details. Returns false. */
bool store_sql_fail(sqlite3 *db, dsc_err *err);

/* Run statements without results. */
bool store_sql_run(sqlite3 *db, const char *sql, dsc_err *err) DSC_MUST_CHECK;

#endif
