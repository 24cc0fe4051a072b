/* store.c -- the small database: opened, closed, and several calls as one transaction
 *
 * The nouns are in store_optimizer.c, store_version.c and store_session.c, over store_query.h. */
#include "clock.h"
#include "fault.h"
#include "store_query.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

const char *const durability_words[] = {"strict", "relaxed", "memory", NULL};

enum { SMALL_PAGE_BYTES = 4096, PROBE_NS = 1000000000 };

/* Sessions that never reach the disk: the same columns in the same order, in memory, seq beyond
 * every stored one, so that a listing has them last. */
static const char memory_tables[] =
    "CREATE TEMP TABLE memory_session (seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, coordinates INTEGER NOT NULL,"
    " durability INTEGER NOT NULL, labels TEXT NOT NULL, ttl_seconds INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL, used_at INTEGER NOT NULL, clip_norm REAL NOT NULL,"
    " state_bytes INTEGER NOT NULL, optimizer INTEGER NOT NULL);"
    "CREATE INDEX temp.memory_session_by_expiry ON memory_session (used_at + ttl_seconds * 1000)"
    " WHERE ttl_seconds > 0;"
    "CREATE INDEX temp.memory_session_by_version ON memory_session (version);"
    "CREATE INDEX temp.memory_session_by_optimizer ON memory_session (optimizer);"
    "INSERT INTO temp.sqlite_sequence (name, seq) VALUES ('memory_session', 4611686018427387904);"
    "CREATE TEMP TABLE memory_tensor (session INTEGER NOT NULL, idx INTEGER NOT NULL,"
    " name TEXT NOT NULL, shape TEXT NOT NULL, version INTEGER,"
    " PRIMARY KEY (session, idx)) WITHOUT ROWID;"
    "CREATE INDEX temp.memory_tensor_by_version ON memory_tensor (version)"
    " WHERE version IS NOT NULL;"
    "CREATE TEMP TABLE memory_session_label (name TEXT NOT NULL, value TEXT NOT NULL,"
    " session INTEGER NOT NULL, PRIMARY KEY (name, value, session)) WITHOUT ROWID;"
    "CREATE INDEX temp.memory_label_by_session ON memory_session_label (session);"
    "CREATE TEMP TRIGGER memory_session_leaves AFTER DELETE ON memory_session BEGIN"
    " DELETE FROM memory_tensor WHERE session = OLD.seq;"
    " DELETE FROM checkpoint WHERE session = OLD.seq;"
    " DELETE FROM memory_session_label WHERE session = OLD.seq; END;"
    "CREATE TEMP TRIGGER memory_session_is_labelled AFTER INSERT ON memory_session BEGIN"
    " INSERT INTO memory_session_label SELECT key, value, NEW.seq FROM json_each(NEW.labels); END;"
    "CREATE TEMP TRIGGER memory_session_is_relabelled AFTER UPDATE OF labels ON memory_session"
    " BEGIN DELETE FROM memory_session_label WHERE session = NEW.seq;"
    " INSERT INTO memory_session_label SELECT key, value, NEW.seq FROM json_each(NEW.labels); END;"
    "CREATE TEMP VIEW any_session AS"
    " SELECT * FROM main.session UNION ALL SELECT * FROM memory_session;"
    "CREATE TEMP VIEW any_pin AS SELECT session, version FROM main.tensor WHERE version IS NOT NULL"
    " UNION ALL SELECT session, version FROM memory_tensor WHERE version IS NOT NULL"
    " UNION ALL SELECT seq, version FROM any_session;";

static void init_lock(struct store *store)
{
    pthread_mutexattr_t recursive;

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&store->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

bool store_make_dir(const char *dir, dsc_err *err)
{
    return mkdir(dir, 0700) == 0 || errno == EEXIST ||
           dsc_fail(err, FAULT_INTERNAL, "--data", "cannot create %.80s: %s", dir, strerror(errno));
}

bool store_lock_dir(const char *dir, int *fd, dsc_err *err)
{
    char path[4096];

    if (!store_make_dir(dir, err))
        return false;
    snprintf(path, sizeof path, "%s/lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "cannot open %.80s: %s", path,
                        strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "another server uses %.80s", dir);
    return true;
}

bool store_open(struct store **out, const char *dir, dsc_err *err)
{
    char path[4096];
    struct store *store = calloc(1, sizeof *store);

    if (!store)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the store");
    init_lock(store);
    snprintf(path, sizeof path, dir ? "%s/descent.db" : ":memory:", dir);
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

/* The application id, by which file(1) could tell our databases, is what there is to write. */
static bool write_again(struct store *store, dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store, store_sql_run(store->db, "PRAGMA application_id=1684370275", err), err);
}

bool store_probe(struct store *store, dsc_err *err)
{
    const uint64_t now = clock_ns();

    pthread_mutex_lock(&store->lock);
    const bool known = store->written_ns && now < store->written_ns + PROBE_NS;
    const bool ok = known || write_again(store, err);
    if (ok && !known)
        store->written_ns = now;
    pthread_mutex_unlock(&store->lock);
    return ok;
}

/* --- transactions --- */

bool store_begin(struct store *store, dsc_err *err)
{
    pthread_mutex_lock(&store->lock);
    if (store->depth > 0 || store_sql_run(store->db, "BEGIN IMMEDIATE", err)) {
        store->depth++;
        return true;
    }
    pthread_mutex_unlock(&store->lock);
    return false;
}

/* A failed COMMIT (a full disk) leaves the transaction open. */
static bool finish(struct store *store, bool ok, dsc_err *err)
{
    ok = ok && store_sql_run(store->db, "COMMIT", err);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return ok;
}

bool store_end(struct store *store, bool ok, dsc_err *err)
{
    assert(store->depth > 0);
    if (--store->depth == 0)
        ok = finish(store, ok, err);
    pthread_mutex_unlock(&store->lock);
    return ok;
}
