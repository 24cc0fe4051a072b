/* store_sql.h -- opening a SQLite database of ours, and saying what went wrong with one */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "core/descent.h"
#include <sqlite3.h>

/* Open (creating) the file with our settings and bring it up to date with the migrations of
 * `database`. A file that is newer than this program is refused. *out is the caller's. */
bool store_sql_open(sqlite3 **out, const char *path, const char *database, int page_bytes,
                    dsc_err *err) DSC_MUST_CHECK;

/* Turn the connection's last failure into ours and log its details. Returns false. */
bool store_sql_fail(sqlite3 *db, dsc_err *err);

/* Run statements without results. */
bool store_sql_run(sqlite3 *db, const char *sql, dsc_err *err) DSC_MUST_CHECK;

#endif
