#include "store_job.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"
#include <math.h>
#include <stdio.h>

const char *const job_type_words[] = {"meta_train", "evaluate", NULL};
const char *const job_state_words[] = {"queued", "running",   "paused", "succeeded",
                                       "failed", "cancelled", NULL};

#define JOB_COLUMNS_WITH(result)                                                                   \
    "seq, id, type, state, turn, spec, ifnull(optimizer, 0), epoch, epochs, loss, validation,"     \
    " worked_ms, " result ", error, created_at, started_at, finished_at"
#define JOB_COLUMNS JOB_COLUMNS_WITH("result")
#define JOB_COLUMNS_SHORT                                                                          \
    JOB_COLUMNS_WITH("iif(length(result) <= " SHORT_RESULT_BYTES ", result, '')")

/* Of a result that a listing shows; the rest is for those who ask for the job. */
#define SHORT_RESULT_BYTES "4096"

/* A page of jobs ends early when their specs take this much. */
enum { PAGE_BYTES = LIMIT_ARENA_BYTES / 4 };

#define JOB_OVER "state >= 3"

static void read_job(struct query *query, struct job_row *out)
{
    *out = (struct job_row) {
        .seq = query_int(query, 0),
        .id = query_text(query, 1),
        .type = (enum job_type)query_int(query, 2),
        .state = (enum job_state)query_int(query, 3),
        .turn = query_int(query, 4),
        .spec = query_text(query, 5),
        .optimizer_id = query_int(query, 6),
        .progress = {.epoch = query_int(query, 7),
                     .epochs = query_int(query, 8),
                     .loss = query_null(query, 9) ? NAN : query_real(query, 9),
                     .validation = query_null(query, 10) ? NAN : query_real(query, 10),
                     .worked_ms = query_int(query, 11)},
        .result = query_text(query, 12),
        .error = query_text(query, 13),
        .created_at = query_int(query, 14),
        .started_at = query_int(query, 15),
        .finished_at = query_int(query, 16),
    };
}

/* Columns 7 to 11; what is not finite is stored as NULL. */
static void bind_progress(struct query *query, const struct job_progress *progress)
{
    query_bind_int(query, progress->epoch);
    query_bind_int(query, progress->epochs);
    query_bind_real(query, isfinite(progress->loss) ? progress->loss : NAN);
    query_bind_real(query, isfinite(progress->validation) ? progress->validation : NAN);
    query_bind_int(query, progress->worked_ms);
}

/* --- making and looking --- */

static bool check_room(struct store *store, dsc_err *err)
{
    int64_t counts[JOB_STATES], unfinished = 0, all = 0;

    if (!store_job_counts(store, counts, err))
        return false;
    for (int state = 0; state < JOB_STATES; state++) {
        all += counts[state];
        unfinished += job_is_over((enum job_state)state) ? 0 : counts[state];
    }
    if (unfinished >= LIMIT_JOBS_UNFINISHED)
        return dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "%d jobs are unfinished, as many as may be",
                        LIMIT_JOBS_UNFINISHED);
    return all < LIMIT_JOBS ||
           dsc_fail(err, FAULT_QUOTA_EXCEEDED, "",
                    "there are %d jobs, as many as may be: delete some", LIMIT_JOBS);
}

static bool insert_row(struct store *store, struct job_row *row, dsc_err *err)
{
    struct query query = query_begin(
        store,
        "INSERT INTO job (id, type, state, turn, spec, optimizer, epoch, epochs, loss, validation,"
        " worked_ms, event_last, result, error, created_at, started_at, finished_at)"
        " VALUES (?, ?, 0, 0, ?, nullif(?, 0), ?, ?, ?, ?, ?, 0, '', '', ?, 0, 0) RETURNING seq",
        NULL);

    row->state = JOB_QUEUED;
    row->created_at = clock_ms();
    query_bind_text(&query, row->id);
    query_bind_int(&query, row->type);
    query_bind_text(&query, row->spec);
    query_bind_int(&query, row->optimizer_id);
    bind_progress(&query, &row->progress);
    query_bind_int(&query, row->created_at);
    if (query_row(&query)) {
        row->seq = query_int(&query, 0);
        query_row(&query);
    }
    return query_end(&query, err);
}

static bool insert_version(struct store *store, int64_t seq, size_t position, int64_t version,
                           dsc_err *err)
{
    int changed;
    struct query query = query_begin(store,
                                     "INSERT INTO job_version (job, position, version) SELECT ?, "
                                     "?, id FROM version WHERE id = ?",
                                     NULL);

    query_bind_int(&query, seq);
    query_bind_int(&query, (int64_t)position);
    query_bind_int(&query, version);
    return query_run(&query, &changed, err) &&
           (changed == 1 || dsc_fail(err, FAULT_NOT_FOUND, "", "a version it needs is gone"));
}

static bool insert(struct store *store, struct job_row *row, const int64_t *versions, size_t count,
                   dsc_err *err)
{
    bool ok = check_room(store, err) && insert_row(store, row, err);

    for (size_t i = 0; ok && i < count; i++)
        ok = !versions[i] || insert_version(store, row->seq, i, versions[i], err);
    return ok;
}

static bool fulfil(struct store *store, const struct job_row *row, dsc_err *err)
{
    char location[80];

    (void)snprintf(location, sizeof location, "/v1/jobs/%s", row->id);
    return store_claim_fulfil(store, row->claim, location, err);
}

bool store_job_insert(struct store *store, struct job_row *row, const int64_t *versions,
                      size_t count, dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store, insert(store, row, versions, count, err) && fulfil(store, row, err),
                     err);
}

bool store_job_find(struct store *store, const char *id, struct job_row *out, dsc_arena *arena,
                    dsc_err *err)
{
    struct query query = query_begin(store, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?", arena);

    query_bind_text(&query, id);
    const bool found = query_row(&query);
    if (found)
        read_job(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "job", id));
}

bool store_job_list(struct store *store, int64_t after, size_t max, struct job_row **out,
                    size_t *count, bool *more, dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(
        store, "SELECT " JOB_COLUMNS_SHORT " FROM job WHERE seq > ? ORDER BY seq LIMIT ?", arena);
    const size_t before = arena->used;

    *count = 0;
    *more = false;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max + 1);
    while (*out && query_row(&query)) {
        *more = *count == max || arena->used - before > PAGE_BYTES;
        if (*more)
            break;
        read_job(&query, &(*out)[(*count)++]);
    }
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_job_version(struct store *store, int64_t seq, size_t position, int64_t *version,
                       dsc_err *err)
{
    struct query query =
        query_begin(store, "SELECT version FROM job_version WHERE job = ? AND position = ?", NULL);

    query_bind_int(&query, seq);
    query_bind_int(&query, (int64_t)position);
    *version = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err);
}

bool store_job_delete(struct store *store, const char *id, dsc_err *err)
{
    dsc_arena arena;
    struct job_row row;
    int changed = 0;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool found = store_job_find(store, id, &row, &arena, err);
    dsc_arena_release(&arena);
    if (!found)
        return false;
    struct query query = query_begin(store, "DELETE FROM job WHERE seq = ? AND " JOB_OVER, NULL);
    query_bind_int(&query, row.seq);
    return query_run(&query, &changed, err) &&
           (changed == 1 || dsc_fail(err, FAULT_INVALID_STATE, "", "the job is %s: cancel it first",
                                     job_state_words[row.state]));
}

bool store_job_state(struct store *store, int64_t seq, enum job_state *state, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT state FROM job WHERE seq = ?", NULL);

    query_bind_int(&query, seq);
    *state = query_row(&query) ? (enum job_state)query_int(&query, 0) : JOB_CANCELLED;
    return query_end(&query, err);
}

bool store_job_counts(struct store *store, int64_t counts[JOB_STATES], dsc_err *err)
{
    struct query query = query_begin(store, "SELECT state, count(*) FROM job GROUP BY state", NULL);

    for (int state = 0; state < JOB_STATES; state++)
        counts[state] = 0;
    while (query_row(&query))
        counts[query_int(&query, 0)] = query_int(&query, 1);
    return query_end(&query, err);
}

/* --- what clients do --- */

bool store_job_move(struct store *store, int64_t seq, unsigned from, enum job_state to, bool *moved,
                    dsc_err *err)
{
    int changed = 0;
    struct query query = query_begin(
        store, "UPDATE job SET state = ?, finished_at = ? WHERE seq = ? AND (? >> state) & 1",
        NULL);

    query_bind_int(&query, to);
    query_bind_int(&query, job_is_over(to) ? clock_ms() : 0);
    query_bind_int(&query, seq);
    query_bind_int(&query, from);
    const bool ok = query_run(&query, &changed, err);
    *moved = changed == 1;
    return ok;
}

/* --- what workers do --- */

bool store_job_recover(struct store *store, int64_t *seqs, size_t max, size_t *count, dsc_err *err)
{
    struct query query =
        query_begin(store, "UPDATE job SET state = 0 WHERE state = 1 RETURNING seq", NULL);

    *count = 0;
    while (query_row(&query))
        if (*count < max)
            seqs[(*count)++] = query_int(&query, 0);
    return query_end(&query, err);
}

bool store_job_claim(struct store *store, struct job_row *out, bool *found, dsc_arena *arena,
                     dsc_err *err)
{
    struct query query = query_begin(
        store,
        "UPDATE job SET state = 1, turn = turn + 1,"
        " started_at = iif(started_at = 0, ?, started_at)"
        " WHERE seq = (SELECT min(seq) FROM job WHERE state = 0) RETURNING " JOB_COLUMNS,
        arena);

    query_bind_int(&query, clock_ms());
    *found = query_row(&query);
    if (*found) {
        read_job(&query, out);
        query_row(&query);
    }
    return query_end(&query, err);
}

/* *state is JOB_CANCELLED for a job that is gone or another's: there is nothing to do for it. */
static bool save_progress(struct store *store, const struct job_row *row, enum job_state *state,
                          dsc_err *err)
{
    struct query query =
        query_begin(store,
                    "UPDATE job SET epoch = ?, epochs = ?, loss = ?, validation = ?, worked_ms = ?"
                    " WHERE seq = ? AND turn = ? AND NOT " JOB_OVER " RETURNING state",
                    NULL);

    bind_progress(&query, &row->progress);
    query_bind_int(&query, row->seq);
    query_bind_int(&query, row->turn);
    *state = JOB_CANCELLED;
    if (query_row(&query)) {
        *state = (enum job_state)query_int(&query, 0);
        query_row(&query);
    }
    return query_end(&query, err);
}

static bool save_bytes(struct store *store, int64_t seq, const void *bytes, size_t len,
                       dsc_err *err)
{
    struct query query = query_begin(store,
                                     "INSERT INTO job_checkpoint (job, bytes) VALUES (?, ?)"
                                     " ON CONFLICT (job) DO UPDATE SET bytes = excluded.bytes",
                                     NULL);

    query_bind_int(&query, seq);
    query_bind_blob(&query, bytes, len);
    return query_run(&query, NULL, err);
}

bool store_job_save(struct store *store, const struct job_row *row, const void *bytes, size_t len,
                    enum job_state *state, dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store,
                     save_progress(store, row, state, err) &&
                         (job_is_over(*state) || save_bytes(store, row->seq, bytes, len, err)),
                     err);
}

bool store_job_checkpoint(struct store *store, int64_t seq, struct buf **out, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT bytes FROM job_checkpoint WHERE job = ?", NULL);

    query_bind_int(&query, seq);
    *out = query_row(&query) ? query_blob(&query, 0) : NULL;
    return query_end(&query, err);
}

bool store_job_finish(struct store *store, const struct job_row *row, bool *mine, dsc_err *err)
{
    int changed = 0;
    struct query query = query_begin(
        store,
        "UPDATE job SET epoch = ?, epochs = ?, loss = ?, validation = ?, worked_ms = ?, state = ?,"
        " result = ?, error = ?, finished_at = ? WHERE seq = ? AND turn = ? AND state = 1",
        NULL);

    bind_progress(&query, &row->progress);
    query_bind_int(&query, row->state);
    query_bind_text(&query, row->result);
    query_bind_text(&query, row->error);
    query_bind_int(&query, clock_ms());
    query_bind_int(&query, row->seq);
    query_bind_int(&query, row->turn);
    const bool ok = query_run(&query, &changed, err);
    *mine = changed == 1;
    return ok;
}
