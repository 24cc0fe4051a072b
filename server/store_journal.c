/* store_journal.c -- how an answered step becomes durable
 *
 * A step's record is its gradient and, every so often, one chunk of the state from before it. The
 * committer drains the whole queue into one transaction, so that sixty-four sessions share one sync
 * of the disk, and then answers them all. Records of `strict` sessions go into a transaction with
 * synchronous=FULL; those of `relaxed` ones into another with NORMAL, which a killed process
 * survives and a power cut may undo.
 *
 * A record is written with INSERT OR REPLACE: when a commit failed and its step is sent again, the
 * second record takes the place of whatever the first may have left.
 *
 * Only the committer's connection writes and checkpoints (SQLite before 3.51.3 has a rare race when
 * two connections checkpoint). The others are query-only, one for each thread that may load at a
 * time, because a load replays steps between its rows.
 *
 * Held to account by tests/unit/test_store_journal.c and the replay tests of tests/http. */
#include "store_journal.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "store_sql.h"
#include <assert.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PUT_GRADIENT,
    PUT_CHUNK,
    PUT_USE,
    PUT_BASE,
    PUT_HISTORY,
    AGE_HISTORY,
    TRIM_HISTORY,
    CUT_HISTORY,
    CUT_GRADIENTS,
    ERASE_GRADIENTS,
    ERASE_CHUNKS,
    ERASE_USE,
    ERASE_BASE,
    ERASE_HISTORY,
    WRITES
};

static const char *const write_sql[WRITES] = {
    [PUT_GRADIENT] = "INSERT OR REPLACE INTO gradient (session, step, part, bytes, trail) VALUES "
                     "(?1, ?2, ?3, ?4,"
                     " ifnull(?6, x''))",
    [PUT_CHUNK] = "INSERT OR REPLACE INTO chunk (session, idx, part, step, bytes) VALUES (?1, ?5, "
                  "?3, ?2, ?4)",
    [PUT_USE] = "INSERT OR REPLACE INTO last_use (session, at) VALUES (?1, ?2)",
    [CUT_GRADIENTS] = "DELETE FROM gradient WHERE session = ?1 AND step < ?2",
    [ERASE_GRADIENTS] = "DELETE FROM gradient WHERE session = ?1",
    [ERASE_CHUNKS] = "DELETE FROM chunk WHERE session = ?1",
    [PUT_BASE] = "INSERT INTO base (session, step, imported) VALUES (?1, ?2, ?3)",
    [PUT_HISTORY] = "INSERT OR REPLACE INTO history (session, first, bytes) VALUES (?1, ?2, ?4)",
    [AGE_HISTORY] = "DELETE FROM history WHERE session = ?1 AND first < ?2",
    [TRIM_HISTORY] =
        "UPDATE history SET bytes = substr(bytes, 1, (?2 - first) * 24) WHERE session ="
        " ?1 AND first < ?2 AND first + length(bytes) / 24 > ?2",
    [CUT_HISTORY] = "DELETE FROM history WHERE session = ?1 AND first >= ?2",
    [ERASE_HISTORY] = "DELETE FROM history WHERE session = ?1",
    [ERASE_BASE] = "DELETE FROM base WHERE session = ?1",
    [ERASE_USE] = "DELETE FROM last_use WHERE session = ?1",
};

/* As many as there are threads that load sessions. */
enum { JOURNAL_READERS = 4 };

struct journal {
    sqlite3 *writer; /* the committer's alone */
    sqlite3_stmt *write[WRITES];
    int log_pages;             /* the committer's alone */
    pthread_mutex_t read_lock; /* of the two below */
    pthread_cond_t returned;
    sqlite3 *reader[JOURNAL_READERS]; /* those that nobody has come first */
    int idle;

    struct probe *probe;
    pthread_t committer;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct record *first, *last;
    struct journal_usage usage;
    bool closing;
};

/* --- writing --- */

/* Run one prepared write; parameters it does not have are SQLITE_RANGE and harmless. */
static bool write_row(struct journal *journal, int which, const int64_t key[3], const void *bytes,
                      size_t len, dsc_err *err)
{
    sqlite3_stmt *stmt = journal->write[which];

    assert(len <= LIMIT_ROW_BYTES);
    for (int i = 0; i < 3; i++)
        sqlite3_bind_int64(stmt, i + 1, key[i]);
    /* What would be stored otherwise is the row before. */
    if (bytes && sqlite3_bind_blob(stmt, 4, bytes, (int)len, SQLITE_STATIC) != SQLITE_OK)
        return store_sql_fail(journal->writer, err);
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE || store_sql_fail(journal->writer, err);
}

/* Of a gradient's first row. */
static bool bind_trail(struct journal *journal, const struct record *record, bool first,
                       dsc_err *err)
{
    sqlite3_stmt *const stmt = journal->write[PUT_GRADIENT];
    const int rc =
        first && record->trail
            ? sqlite3_bind_blob(stmt, 6, record->trail, (int)record->trail_bytes, SQLITE_STATIC)
            : sqlite3_bind_null(stmt, 6);

    return rc == SQLITE_OK || store_sql_fail(journal->writer, err);
}

/* Write `len` bytes as rows of at most LIMIT_ROW_BYTES. */
static bool write_parts(struct journal *journal, int which, const struct record *record,
                        int64_t chunk, const unsigned char *bytes, size_t len, dsc_err *err)
{
    for (size_t at = 0, part = 0; at < len; at += LIMIT_ROW_BYTES, part++) {
        size_t piece = len - at < LIMIT_ROW_BYTES ? len - at : LIMIT_ROW_BYTES;
        int64_t key[3] = {record->session, (int64_t)record->step, (int64_t)part};
        if (which == PUT_CHUNK)
            sqlite3_bind_int64(journal->write[which], 5, chunk);
        else if (!bind_trail(journal, record, part == 0, err))
            return false;
        if (!write_row(journal, which, key, bytes + at, piece, err))
            return false;
    }
    return true;
}

static bool write_use(struct journal *journal, const struct record *record, dsc_err *err)
{
    int64_t key[3] = {record->session, record->used_at, 0};

    return record->used_at == 0 || write_row(journal, PUT_USE, key, NULL, 0, err);
}

/* A block for the history, if there is one, and the end of what is too old. */
static bool write_block(struct journal *journal, const struct record *record, dsc_err *err)
{
    const uint64_t step = record->step;
    int64_t key[3] = {record->session, (int64_t)record->block_first, 0};
    int64_t age[3] = {record->session, 0, 0};

    if (record->block_bytes == 0)
        return true;
    age[1] = step > LIMIT_HISTORY_STEPS ? (int64_t)(step - LIMIT_HISTORY_STEPS) : 0;
    return write_row(journal, PUT_HISTORY, key, record->block, record->block_bytes, err) &&
           write_row(journal, AGE_HISTORY, age, NULL, 0, err);
}

/* There is no history from a step on. */
static bool cut_history(struct journal *journal, const struct record *record, dsc_err *err)
{
    int64_t key[3] = {record->session, (int64_t)record->step, 0};

    return write_row(journal, CUT_HISTORY, key, NULL, 0, err) &&
           write_row(journal, TRIM_HISTORY, key, NULL, 0, err);
}

static bool write_step(struct journal *journal, const struct record *record, dsc_err *err)
{
    int64_t cut[3] = {record->session, (int64_t)record->keep_from, 0};

    return write_parts(journal, PUT_GRADIENT, record, -1, record->gradient, record->gradient_bytes,
                       err) &&
           (record->chunk < 0 || write_parts(journal, PUT_CHUNK, record, record->chunk,
                                             record->state, record->state_bytes, err)) &&
           write_row(journal, CUT_GRADIENTS, cut, NULL, 0, err) &&
           write_block(journal, record, err) && write_use(journal, record, err);
}

/* All but the history. */
static bool erase_state(struct journal *journal, const struct record *record, dsc_err *err)
{
    int64_t key[3] = {record->session, 0, 0};

    return write_row(journal, ERASE_GRADIENTS, key, NULL, 0, err) &&
           write_row(journal, ERASE_CHUNKS, key, NULL, 0, err) &&
           write_row(journal, ERASE_BASE, key, NULL, 0, err) &&
           write_row(journal, ERASE_USE, key, NULL, 0, err) && write_use(journal, record, err);
}

static bool write_erase(struct journal *journal, const struct record *record, dsc_err *err)
{
    int64_t key[3] = {record->session, 0, 0};

    return erase_state(journal, record, err) &&
           write_row(journal, ERASE_HISTORY, key, NULL, 0, err);
}

static bool write_chunk(struct journal *journal, struct record *record, size_t i, dsc_err *err)
{
    struct buf *const chunk = record->chunk_of(record, i);

    if (!chunk)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for a snapshot");
    const bool ok =
        write_parts(journal, PUT_CHUNK, record, (int64_t)i, chunk->data, chunk->len, err);
    buf_drop(chunk);
    return ok;
}

static bool write_state(struct journal *journal, struct record *record, dsc_err *err)
{
    int64_t base[3] = {record->session, (int64_t)record->step, record->imported};
    bool ok = erase_state(journal, record, err) && write_block(journal, record, err) &&
              cut_history(journal, record, err) && write_row(journal, PUT_BASE, base, NULL, 0, err);

    for (size_t i = 0; ok && i < record->chunks; i++)
        ok = write_chunk(journal, record, i, err);
    return ok;
}

static bool write_record(struct journal *journal, struct record *record, dsc_err *err)
{
    switch (record->kind) {
    case RECORD_STEP:
        return write_step(journal, record, err);
    case RECORD_ERASE:
        return write_erase(journal, record, err);
    case RECORD_STATE:
        return write_state(journal, record, err);
    }
    return false;
}

static bool write_all(struct journal *journal, struct record *batch, dsc_err *err)
{
    for (struct record *r = batch; r; r = r->next)
        if (!write_record(journal, r, err))
            return false;
    return true;
}

/* --- the log --- */

/* Pages of the write-ahead log, from which on it is moved into the database: 64 MB. And from which
 * on that may wait for readers, because ever new ones have kept the log from starting over. */
enum { LOG_PAGES = 1000, LOG_PAGES_MAX = 8 * LOG_PAGES };

/* SQLite calls it after each commit, with the log's length. */
static int note_log(void *journal_, sqlite3 *db, const char *name, int pages)
{
    struct journal *const journal = journal_;

    (void)db, (void)name;
    journal->log_pages = pages;
    return SQLITE_OK;
}

/* Behind everybody's answer, which does not depend on it: SQLite itself would do it before. A
 * failure costs nothing but disk until the next time, and a full disk shows with the next commit.
 */
static void trim_log(struct journal *journal)
{
    const bool wait = journal->log_pages >= LOG_PAGES_MAX;

    if (journal->log_pages >= LOG_PAGES)
        (void)sqlite3_wal_checkpoint_v2(
            journal->writer, NULL, wait ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE,
            NULL, NULL);
}

/* --- committing --- */

static size_t record_bytes(const struct record *record)
{
    return record->gradient_bytes + record->state_bytes;
}

static bool run_sql(sqlite3 *db, const char *sql, dsc_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || store_sql_fail(db, err);
}

/* Before anybody is answered, so that who was answered is counted. */
static void count_commit(struct journal *journal, const struct record *batch, bool sync, bool ok,
                         uint64_t began_ns)
{
    uint64_t records = 0;
    size_t bytes = 0;

    for (; batch; batch = batch->next, records++)
        bytes += record_bytes(batch);
    pthread_mutex_lock(&journal->lock);
    journal->usage.bytes -= bytes;
    journal->usage.commits[sync] += ok;
    journal->usage.failures += !ok;
    journal->usage.records += ok ? records : 0;
    journal->usage.commit_ns += clock_ns() - began_ns;
    pthread_mutex_unlock(&journal->lock);
}

struct journal_usage journal_usage(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    struct journal_usage usage = journal->usage;
    pthread_mutex_unlock(&journal->lock);
    return usage;
}

/* One transaction for a batch that shares its durability, then everybody's answer. */
static void commit_batch(struct journal *journal, struct record *batch, bool sync)
{
    dsc_err err = {0};
    const uint64_t began_ns = clock_ns();
    bool ok = run_sql(journal->writer,
                      sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", &err) &&
              run_sql(journal->writer, "BEGIN IMMEDIATE", &err) &&
              write_all(journal, batch, &err) && run_sql(journal->writer, "COMMIT", &err);

    if (!ok && !sqlite3_get_autocommit(journal->writer))
        sqlite3_exec(journal->writer, "ROLLBACK", NULL, NULL, NULL);
    count_commit(journal, batch, sync, ok, began_ns);
    for (struct record *next; batch; batch = next) {
        next = batch->next;
        probe_move(journal->probe, PROBE_COMMIT, PROBE_NONE);
        batch->done(batch, ok ? NULL : &err);
    }
    trim_log(journal);
}

/* Take the records of one durability out of a queue, in order. */
static struct record *split(struct record **queue, bool strict)
{
    struct record *taken = NULL, **tail = &taken;

    for (struct record **at = queue; *at;) {
        struct record *r = *at;
        if ((r->durability == DURABILITY_STRICT) != strict) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        r->next = NULL;
        *tail = r;
        tail = &r->next;
    }
    return taken;
}

static struct record *take_queue(struct journal *journal)
{
    pthread_mutex_lock(&journal->lock);
    while (!journal->first && !journal->closing)
        pthread_cond_wait(&journal->wake, &journal->lock);
    struct record *queue = journal->first;
    journal->first = journal->last = NULL;
    journal->usage.waiting = 0; /* their bytes are pinned until they are committed */
    pthread_mutex_unlock(&journal->lock);
    return queue;
}

static void *committer(void *arg)
{
    struct journal *journal = arg;

    for (struct record *queue; (queue = take_queue(journal)) != NULL;) {
        struct record *strict = split(&queue, true);
        if (strict)
            commit_batch(journal, strict, true);
        if (queue)
            commit_batch(journal, queue, false);
    }
    return NULL;
}

bool journal_append(struct journal *journal, struct record *record)
{
    const size_t bytes = record_bytes(record);

    record->next = NULL;
    pthread_mutex_lock(&journal->lock);
    bool room = journal->usage.waiting < LIMIT_JOURNAL_QUEUE &&
                (journal->usage.bytes == 0 || journal->usage.bytes + bytes <= LIMIT_JOURNAL_BYTES);
    if (room) {
        *(journal->last ? &journal->last->next : &journal->first) = record;
        journal->last = record;
        journal->usage.waiting++;
        journal->usage.bytes += bytes;
        probe_move(journal->probe, PROBE_NONE, PROBE_COMMIT);
        pthread_cond_signal(&journal->wake);
    }
    pthread_mutex_unlock(&journal->lock);
    return room;
}

/* --- reading --- */

static sqlite3 *reader_take(struct journal *journal)
{
    pthread_mutex_lock(&journal->read_lock);
    while (journal->idle == 0)
        pthread_cond_wait(&journal->returned, &journal->read_lock);
    sqlite3 *const reader = journal->reader[--journal->idle];
    pthread_mutex_unlock(&journal->read_lock);
    return reader;
}

static void reader_return(struct journal *journal, sqlite3 *reader)
{
    pthread_mutex_lock(&journal->read_lock);
    journal->reader[journal->idle++] = reader;
    pthread_cond_signal(&journal->returned);
    pthread_mutex_unlock(&journal->read_lock);
}

static bool walk_rows(sqlite3 *reader, sqlite3_stmt *stmt, journal_walk *row, void *arg,
                      dsc_err *err)
{
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        const struct journal_row got = {
            .key = (uint64_t)sqlite3_column_int64(stmt, 0),
            .step = (uint64_t)sqlite3_column_int64(stmt, 1),
            .part = (size_t)sqlite3_column_int64(stmt, 2),
            .bytes = sqlite3_column_blob(stmt, 3),
            .len = (size_t)sqlite3_column_bytes(stmt, 3),
            .trail = sqlite3_column_blob(stmt, 4),
            .trail_len = (size_t)sqlite3_column_bytes(stmt, 4),
        };
        if (!row(arg, &got, err))
            return false;
    }
    return rc == SQLITE_DONE || store_sql_fail(reader, err);
}

static bool walk(struct journal *journal, const char *sql, int64_t session, uint64_t from,
                 journal_walk *row, void *arg, dsc_err *err)
{
    sqlite3 *const reader = reader_take(journal);
    sqlite3_stmt *stmt = NULL;
    bool ok = sqlite3_prepare_v2(reader, sql, -1, &stmt, NULL) == SQLITE_OK ||
              store_sql_fail(reader, err);

    if (ok) {
        sqlite3_bind_int64(stmt, 1, session);
        sqlite3_bind_int64(stmt, 2, (int64_t)from);
        ok = walk_rows(reader, stmt, row, arg, err);
    }
    sqlite3_finalize(stmt);
    reader_return(journal, reader);
    return ok;
}

bool journal_chunks(struct journal *journal, int64_t session, journal_walk *row, void *arg,
                    dsc_err *err)
{
    return walk(journal,
                "SELECT idx, step, part, bytes FROM chunk WHERE session = ?1 AND idx >= ?2"
                " ORDER BY idx, part",
                session, 0, row, arg, err);
}

bool journal_gradient(struct journal *journal, int64_t session, uint64_t from, journal_walk *row,
                      void *arg, dsc_err *err)
{
    return walk(
        journal,
        "SELECT step, step, part, bytes, trail FROM gradient WHERE session = ?1 AND step = (SELECT"
        " min(step) FROM gradient WHERE session = ?1 AND step >= ?2) ORDER BY part",
        session, from, row, arg, err);
}

static bool take_extent(void *arg, const struct journal_row *row, dsc_err *err)
{
    (void)err;
    *(struct journal_extent *)arg = (struct journal_extent) {row->key, row->step, row->part};
    return true;
}

bool journal_history_extent(struct journal *journal, int64_t session, struct journal_extent *extent,
                            dsc_err *err)
{
    *extent = (struct journal_extent) {.count = 0};
    return walk(journal,
                "SELECT ifnull(min(first), 0), ifnull(max(first + length(bytes) / 24), 0),"
                " ifnull(sum(length(bytes) / 24), 0), NULL FROM history WHERE session = ?1 AND"
                " first >= ?2",
                session, 0, take_extent, extent, err);
}

bool journal_history(struct journal *journal, int64_t session, journal_walk *row, void *arg,
                     dsc_err *err)
{
    return walk(journal,
                "SELECT first, first, 0, bytes FROM history WHERE session = ?1 AND first >= ?2"
                " ORDER BY first",
                session, 0, row, arg, err);
}

static bool take_used(void *arg, const struct journal_row *row, dsc_err *err)
{
    (void)err;
    *(int64_t *)arg = (int64_t)row->key;
    return true;
}

bool journal_used(struct journal *journal, int64_t session, int64_t *at, dsc_err *err)
{
    *at = 0;
    return walk(journal, "SELECT at, 0, 0, NULL FROM last_use WHERE session = ?1 AND at >= ?2",
                session, 0, take_used, at, err);
}

static bool take_steps(void *arg, const struct journal_row *row, dsc_err *err)
{
    (void)err;
    *(uint64_t *)arg = row->key;
    return true;
}

static bool take_base(void *arg, const struct journal_row *row, dsc_err *err)
{
    (void)err;
    *(struct journal_base *)arg = (struct journal_base) {row->key, row->step != 0};
    return true;
}

bool journal_base(struct journal *journal, int64_t session, struct journal_base *base, dsc_err *err)
{
    *base = (struct journal_base) {.step = 0};
    return walk(journal,
                "SELECT step, imported, 0, NULL FROM base WHERE session = ?1 AND step >= ?2",
                session, 0, take_base, base, err);
}

bool journal_steps(struct journal *journal, int64_t session, uint64_t *steps, dsc_err *err)
{
    *steps = 0;
    return walk(journal,
                "SELECT max(ifnull((SELECT max(step) + 1 FROM gradient WHERE session = ?1), ?2),"
                " ifnull((SELECT step FROM base WHERE session = ?1), ?2)), 0, 0, NULL",
                session, 0, take_steps, steps, err);
}

/* --- life --- */

/* Pages of 64 kB: gradients and chunks are long, and a long row over small pages costs twice. */
enum { BULK_PAGE_BYTES = 65536 };

static bool prepare_writes(struct journal *journal, dsc_err *err)
{
    for (int i = 0; i < WRITES; i++)
        if (sqlite3_prepare_v3(journal->writer, write_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &journal->write[i], NULL) != SQLITE_OK)
            return store_sql_fail(journal->writer, err);
    return true;
}

static bool open_readers(struct journal *journal, const char *path, dsc_err *err)
{
    for (; journal->idle < JOURNAL_READERS; journal->idle++) {
        sqlite3 **const reader = &journal->reader[journal->idle];

        if (!store_sql_open(reader, path, "bulk", BULK_PAGE_BYTES, err))
            return false;
        if (!run_sql(*reader, "PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0", err)) {
            sqlite3_close(*reader);
            return false;
        }
    }
    return true;
}

bool journal_open(struct journal **out, const char *dir, struct probe *probe, dsc_err *err)
{
    char path[4096];
    struct journal *journal = calloc(1, sizeof *journal);

    if (!journal)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the journal");
    journal->probe = probe;
    pthread_mutex_init(&journal->lock, NULL);
    pthread_mutex_init(&journal->read_lock, NULL);
    pthread_cond_init(&journal->returned, NULL);
    pthread_cond_init(&journal->wake, NULL);
    snprintf(path, sizeof path, "%s/bulk.db", dir);
    if (!store_sql_open(&journal->writer, path, "bulk", BULK_PAGE_BYTES, err) ||
        !open_readers(journal, path, err) || !prepare_writes(journal, err))
        goto fail;
    sqlite3_wal_hook(journal->writer, note_log, journal);
    if (pthread_create(&journal->committer, NULL, committer, journal) != 0) {
        dsc_fail(err, FAULT_INTERNAL, "", "cannot start the committer");
        goto fail;
    }
    journal->started = true;
    *out = journal;
    return true;
fail:
    journal_close(journal);
    return false;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    pthread_mutex_lock(&journal->lock);
    journal->closing = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    if (journal->started)
        pthread_join(journal->committer, NULL);
    for (int i = 0; i < WRITES; i++)
        sqlite3_finalize(journal->write[i]);
    while (journal->idle > 0)
        sqlite3_close(journal->reader[--journal->idle]);
    sqlite3_close(journal->writer);
    pthread_cond_destroy(&journal->wake);
    pthread_cond_destroy(&journal->returned);
    pthread_mutex_destroy(&journal->read_lock);
    pthread_mutex_destroy(&journal->lock);
    free(journal);
}
