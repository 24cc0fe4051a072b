/* store_check.c -- what must hold of the two databases, as questions to SQLite
 *
 * A question is a SELECT that has a row, with one text, for each thing that is wrong. */
#include "store_check.h"
#include "fault.h"
#include "store_sql.h"
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, DATABASES = 2 };

static const struct {
    const char *file, *migrations;
} database[DATABASES] = {{"descent.db", "small"}, {"bulk.db", "bulk"}};

static bool open_one(sqlite3 **out, const char *dir, const char *file, dsc_err *err)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", dir, file);
    if (access(path, F_OK) != 0)
        return dsc_fail(err, FAULT_NOT_FOUND, dir, "has no %s", file);
    return store_sql_look(out, path, err);
}

/* --- migrations --- */

static bool try_one(sqlite3 *db, const char *migrations, dsc_err *err)
{
    const bool ok = store_sql_run(db, "PRAGMA foreign_keys=ON; BEGIN IMMEDIATE", err) &&
                    store_sql_migrate(db, migrations, err);

    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

static bool look_at(const char *dir, size_t i, bool try, FILE *out, size_t *pending, dsc_err *err)
{
    sqlite3 *db = NULL;
    int version = 0, newest = 0;
    size_t steps = 0;

    if (!open_one(&db, dir, database[i].file, err))
        return false;
    bool ok = store_sql_version(db, database[i].migrations, &version, &newest, &steps, err);
    if (ok)
        fprintf(out, "%s is at migration %d of %d; %zu to apply\n", database[i].file, version,
                newest, steps);
    if (ok && version > newest)
        ok = dsc_fail(err, FAULT_INTERNAL, dir, "%s is of a newer Descent", database[i].file);
    *pending += steps;
    ok = ok && (!try || try_one(db, database[i].migrations, err));
    sqlite3_close(db);
    return ok;
}

bool store_check_migrations(const char *dir, bool try, FILE *out, size_t *pending, dsc_err *err)
{
    bool ok = true;

    *pending = 0;
    for (size_t i = 0; i < DATABASES && ok; i++)
        ok = look_at(dir, i, try, out, pending, err);
    return ok;
}

/* --- soundness --- */

struct check {
    const char *dir;
    const char *about; /* before each line: "bulk.db: " */
    sqlite3 *db;
    FILE *out;
    size_t faults;
};

/* Lines for one question: the first ones say what has happened. */
enum { FAULTS_MAX = 20 };

static const char structure[] =
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'";

static const char *const of_newest[] = {
    "SELECT 'row ' || ifnull(rowid, '?') || ' of ' || \"table\" || ' refers to a ' ||"
    " parent || ' that is not there' FROM pragma_foreign_key_check",
    "SELECT 'version ' || id || ': its weights are not there' FROM version WHERE sha256 NOT IN"
    " (SELECT sha256 FROM weights)",
    "SELECT 'session ' || s.id || ': gradients are missing between step ' || min(g.step) ||"
    " ' and step ' || max(g.step) FROM bulk.gradient g JOIN main.session s ON s.seq = g.session"
    " GROUP BY g.session HAVING count(DISTINCT g.step) <> max(g.step) - min(g.step) + 1",
    "SELECT 'session ' || s.id || ': the gradient of step ' || g.step || ' has ' ||"
    " sum(length(g.bytes)) || ' bytes and not ' || (4 * s.coordinates)"
    " FROM bulk.gradient g JOIN main.session s ON s.seq = g.session GROUP BY g.session, g.step"
    " HAVING sum(length(g.bytes)) <> 4 * s.coordinates",
    "SELECT 'session ' || s.id || ': chunk ' || c.idx || ' is from before step ' || c.step ||"
    " ', of which there is no gradient' FROM bulk.chunk c JOIN main.session s ON s.seq = c.session"
    " WHERE c.part = 0 AND c.session IN (SELECT session FROM bulk.gradient) AND NOT EXISTS (SELECT "
    "1 FROM bulk.gradient g WHERE g.session = c.session"
    " AND g.step = c.step)",
    NULL,
};

static void fault(struct check *check, const char *text)
{
    check->faults++;
    fprintf(check->out, "%s%s\n", check->about, text ? text : "(no memory for the text)");
}

/* Damage may go so far that the question cannot be asked. */
static bool ask(struct check *check, const char *question, dsc_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(check->db, question, -1, &stmt, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    for (int i = 0; rc == SQLITE_ROW && i < FAULTS_MAX; i++, rc = sqlite3_step(stmt))
        fault(check, (const char *)sqlite3_column_text(stmt, 0));
    sqlite3_finalize(stmt);
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        fault(check, sqlite3_errmsg(check->db));
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return store_sql_fail(check->db, err);
    return true;
}

/* The one thing that SQLite cannot be asked. */
static bool check_weights(struct check *check, dsc_err *err)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof hash + 1], text[160];
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(check->db, "SELECT sha256, bytes FROM main.weights", -1, &stmt,
                                 NULL) == SQLITE_OK;

    while (ok && sqlite3_step(stmt) == SQLITE_ROW) {
        const char *const name = (const char *)sqlite3_column_text(stmt, 0);
        crypto_hash_sha256(hash, sqlite3_column_blob(stmt, 1),
                           (unsigned long long)sqlite3_column_bytes(stmt, 1));
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        snprintf(text, sizeof text, "weights %.64s: their hash is %s", name ? name : "", hex);
        if (!name || strcmp(hex, name) != 0)
            fault(check, text);
    }
    return (sqlite3_finalize(stmt) == SQLITE_OK && ok) || store_sql_fail(check->db, err);
}

static bool check_structure(struct check *check, size_t i, dsc_err *err)
{
    char about[32];

    snprintf(about, sizeof about, "%s: ", database[i].file);
    check->about = about;
    if (!open_one(&check->db, check->dir, database[i].file, err))
        return false;
    const bool ok = ask(check, structure, err);
    sqlite3_close(check->db);
    check->about = "";
    return ok;
}

/* descent.db is main, bulk.db is bulk. */
static bool check_meaning(struct check *check, dsc_err *err)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/bulk.db", check->dir);
    if (!open_one(&check->db, check->dir, "descent.db", err))
        return false;
    bool ok = store_sql_attach(check->db, path, "bulk", err);
    for (const char *const *question = of_newest; ok && *question; question++)
        ok = ask(check, *question, err);
    ok = ok && check_weights(check, err);
    sqlite3_close(check->db);
    return ok;
}

bool store_check(const char *dir, FILE *out, size_t *faults, dsc_err *err)
{
    struct check check = {.dir = dir, .about = "", .out = out};
    size_t pending = 0;
    bool ok = store_check_migrations(dir, false, out, &pending, err);

    for (size_t i = 0; i < DATABASES && ok; i++)
        ok = check_structure(&check, i, err);
    if (ok && pending == 0 && check.faults == 0)
        ok = check_meaning(&check, err);
    *faults = check.faults;
    return ok;
}
