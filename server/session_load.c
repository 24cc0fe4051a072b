/* session_load.c -- a session out of the journal: its chunks, and the gradients after them
 *
 * The state is 80 times the gradient, so it is cut into chunks, and every step's record takes at
 * most one along, as it was before the step; each is written once in SESSION_PERIOD steps.
 *
 *     step            ... 78  79  80  81  82  83
 *     gradient kept       79  80  81  82  83
 *     chunk 0 travels with 80, chunk 1 with 81, ...
 *
 * Recovery loads each chunk at its own step and replays, range by range, the gradients from there
 * on. Every chunk is older than the last gradient, so the last update is always computed again and
 * a repeated request is answered after a restart too.
 *
 * Held to account by tests/unit/test_session.c and tests/crash. */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "norm.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- chunks and steps --- */

int64_t session_chunk_due(const struct session *session, uint64_t t)
{
    const size_t chunks = groups_chunks(session->groups);

    for (size_t j = 0; j < chunks; j++)
        if (j * SESSION_PERIOD / chunks == t % SESSION_PERIOD)
            return (int64_t)j;
    return -1;
}

uint64_t session_keep_from(const struct session *session, int64_t renewed, uint64_t step)
{
    uint64_t oldest = step;

    for (size_t j = 0; j < groups_chunks(session->groups); j++)
        if ((int64_t)j != renewed && session->chunk_step[j] < oldest)
            oldest = session->chunk_step[j];
    return oldest;
}

/* --- what the optimizers see --- */

bool session_arranges(const struct session *session)
{
    return session->clip_norm > 0 || groups_reordered(session->groups);
}

void session_arrange(const struct session *session, float *to, const float *from, double squares)
{
    if (groups_reordered(session->groups))
        groups_gather(session->groups, to, from);
    else
        memcpy(to, from, session->n * sizeof *to);
    norm_scale(to, session->n, norm_factor(squares, session->clip_norm));
}

/* --- recovery --- */

bool session_damaged(const char *id, dsc_err *err)
{
    log_line(LOG_ERROR, "session_damaged", "session %s: its journal does not fit it", id);
    return dsc_fail(err, FAULT_INTERNAL, "", "the stored session is damaged");
}

/* Append a row to a buffer of `whole` bytes; rows come in order and are full but for the last. */
static bool add_part(struct buf *to, size_t whole, const struct journal_row *row)
{
    if (row->part == 0)
        to->len = 0;
    if (row->part > whole / LIMIT_ROW_BYTES || row->part * LIMIT_ROW_BYTES != to->len ||
        row->len > whole - to->len)
        return false;
    if (row->len)
        memcpy(to->data + to->len, row->bytes, row->len);
    to->len += row->len;
    return true;
}

/* --- chunks --- */

struct chunks {
    const char *id;
    struct groups *groups;
    uint64_t *step;  /* [GROUPS_CHUNKS_MAX] */
    struct buf *buf; /* the one being read */
};

static bool load_chunk(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct chunks *const chunks = arg;

    if (row->key >= groups_chunks(chunks->groups))
        return session_damaged(chunks->id, err);
    const size_t bytes = groups_chunk_bytes(chunks->groups, row->key);
    if (row->part == 0) {
        buf_drop(chunks->buf);
        chunks->buf = buf_new(bytes);
    }
    if (!chunks->buf)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
    if (!add_part(chunks->buf, bytes, row))
        return session_damaged(chunks->id, err);
    if (chunks->buf->len == bytes) {
        groups_chunk_load(chunks->groups, row->key, chunks->buf->data);
        chunks->step[row->key] = row->step;
    }
    return true;
}

bool session_chunks_load(struct journal *journal, const char *id, int64_t number,
                         struct groups *groups, uint64_t chunk_step[GROUPS_CHUNKS_MAX],
                         dsc_err *err)
{
    struct chunks chunks = {.id = id, .groups = groups, .step = chunk_step};
    const bool ok = journal_chunks(journal, number, load_chunk, &chunks, err);

    buf_drop(chunks.buf);
    return ok;
}

/* --- steps --- */

struct recovery {
    struct session *session;
    float *work;
    struct buf *gradient, *update;
    struct buf *ordered, *fresh; /* as the optimizers see them; the same where that is one */
    uint64_t next;               /* the step whose gradient must come now; ANY_STEP: whichever */
    bool replayed;               /* at least one */
    uint64_t told;               /* steps before this one are in the history */
};

/* Without chunks nothing says which gradient is the first. */
#define ANY_STEP UINT64_MAX

static float *floats(struct buf *buf)
{
    return (float *)(void *)buf->data;
}

/* One whole gradient has been read: take its step in every chunk that is from before it. */
static void replay(struct recovery *recovery, uint64_t t)
{
    struct session *const session = recovery->session;
    struct groups *const groups = session->groups;
    float *const grad = floats(recovery->ordered), *const update = floats(recovery->fresh);

    if (session_arranges(session))
        session_arrange(session, grad, floats(recovery->gradient),
                        norm_squares(floats(recovery->gradient), session->n));
    for (size_t j = 0; j < groups_chunks(groups); j++)
        if (session->chunk_step[j] <= t)
            groups_chunk_replay(groups, j, t, grad, update, recovery->work);
    groups_rest_replay(groups, t, grad, update, recovery->work);
    session->steps = t + 1;
    recovery->replayed = true;
}

static void merge_trail(struct recovery *recovery, const struct journal_row *row)
{
    struct history_entry entry[HISTORY_BLOCK + 1];

    if (row->trail_len == 0 || row->trail_len > sizeof entry)
        return;
    memcpy(entry, row->trail, row->trail_len);
    history_merge(&recovery->session->trail, row->key, entry, row->trail_len / sizeof *entry,
                  recovery->told);
}

static bool recover_gradient(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct recovery *const recovery = arg;
    struct session *const session = recovery->session;
    const size_t bytes = session->n * sizeof(float);

    if (recovery->next != ANY_STEP && row->key != recovery->next)
        return session_damaged(session->id, err); /* a step is missing */
    if (!add_part(recovery->gradient, bytes, row))
        return session_damaged(session->id, err);
    recovery->next = row->key;
    if (row->part == 0 && row->trail_len % sizeof(struct history_entry) == 0)
        merge_trail(recovery, row);
    return true;
}

/* Read and replay one gradient after the other until there is no more. */
static bool recover_steps(struct journal *journal, struct recovery *recovery, dsc_err *err)
{
    struct session *const session = recovery->session;
    const size_t bytes = session->n * sizeof(float);
    const uint64_t from = recovery->next, base = session->steps;

    for (;;) {
        recovery->gradient->len = 0;
        if (!journal_gradient(journal, session->seq,
                              recovery->next == ANY_STEP ? 0 : recovery->next, recover_gradient,
                              recovery, err))
            return false;
        if (recovery->gradient->len == 0)
            break;
        if (recovery->gradient->len != bytes)
            return session_damaged(session->id, err);
        replay(recovery, recovery->next);
        recovery->next = session->steps;
    }
    /* A chunk that was written came with the gradient of its step, or with all others. */
    recovery->gradient->len = bytes;
    return recovery->replayed || from == ANY_STEP || from == base ||
           session_damaged(session->id, err);
}

/* Buffers for one gradient and one update, twice where the optimizers see another. */
static bool recovery_open(struct recovery *recovery, dsc_err *err)
{
    const struct session *const session = recovery->session;
    const size_t bytes = session->n * sizeof(float);

    recovery->gradient = buf_new(bytes);
    recovery->update = buf_new(bytes);
    if (recovery->gradient && recovery->update) {
        recovery->ordered =
            session_arranges(session) ? buf_new(bytes) : buf_hold(recovery->gradient);
        recovery->fresh =
            groups_reordered(session->groups) ? buf_new(bytes) : buf_hold(recovery->update);
    }
    if (recovery->ordered && recovery->fresh)
        return true;
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
}

static void recovery_close(struct recovery *recovery)
{
    buf_drop(recovery->gradient);
    buf_drop(recovery->update);
    buf_drop(recovery->ordered);
    buf_drop(recovery->fresh);
}

/* What the last answer was made of, for a request that comes again. */
static void keep_last(struct recovery *recovery)
{
    struct session *const session = recovery->session;

    groups_set_steps(session->groups, session->steps);
    if (!recovery->replayed)
        return;
    recovery->update->len = session->n * sizeof(float);
    if (groups_reordered(session->groups))
        groups_scatter(session->groups, floats(recovery->update), floats(recovery->fresh));
    session->gradient = buf_hold(recovery->gradient);
    session->update = buf_hold(recovery->update);
    if (session->trail.count > 0)
        session->trail.entry[session->trail.count - 1].update_norm =
            sqrt(norm_squares(floats(recovery->update), session->n));
}

static bool recover(struct journal *journal, struct session *session, float *work, dsc_err *err)
{
    struct recovery recovery = {.session = session, .work = work};
    struct journal_base base;
    struct journal_extent extent;
    bool ok = recovery_open(&recovery, err) && journal_base(journal, session->seq, &base, err) &&
              journal_history_extent(journal, session->seq, &extent, err) &&
              session_chunks_load(journal, session->id, session->seq, session->groups,
                                  session->chunk_step, err);

    if (ok) {
        session->steps = base.step;
        session->imported = base.imported;
        recovery.told = extent.end > base.step ? extent.end : base.step;
        history_restart(&session->trail, recovery.told);
        groups_set_imported(session->groups, base.imported);
        recovery.next = session_keep_from(session, -1, ANY_STEP);
        ok = recover_steps(journal, &recovery, err);
    }
    if (ok)
        keep_last(&recovery);
    recovery_close(&recovery);
    return ok;
}

/* --- coming into memory --- */

/* What a session takes: its state, the gradient and update of the last step and of the next, and
 * itself. */
static size_t memory_of(const struct session_plan *plan, size_t n)
{
    return session_plan_state_bytes(plan) + 4 * n * sizeof(float) + sizeof(struct session);
}

bool session_make(struct sessions *sessions, const struct session_row *row, struct session **out,
                  dsc_err *err)
{
    struct session *const session = calloc(1, sizeof *session);
    struct session_plan plan;

    if (!session)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->turn, NULL);
    strncpy(session->id, row->id, sizeof session->id - 1);
    session->seq = row->seq;
    session->durability = row->durability;
    session->ttl_ms = row->ttl_seconds * 1000;
    session->n = (size_t)row->coordinates;
    session->clip_norm = row->clip_norm;
    session->busy = true;
    if (!session_used_at(sessions, row, &session->used_at, err) ||
        !session_plan_open(&plan, sessions->means.registry, row, err)) {
        session_free(session);
        return false;
    }
    session->bytes = memory_of(&plan, session->n);
    session_plan_close(&plan);
    *out = session;
    return true;
}

bool session_groups_new(struct sessions *sessions, const struct session_row *row,
                        struct groups **out, dsc_err *err)
{
    struct session_plan plan;

    if (!session_plan_open(&plan, sessions->means.registry, row, err))
        return false;
    const bool ok = groups_new(out, plan.model, plan.count, plan.slice, plan.slices, err);
    session_plan_close(&plan);
    return ok;
}

bool session_fill(struct sessions *sessions, struct session *session, const struct session_row *row,
                  float *work, dsc_err *err)
{
    const bool ok = session_groups_new(sessions, row, &session->groups, err) &&
                    (!work || recover(sessions->means.journal, session, work, err));

    pthread_mutex_lock(&session->lock);
    session->loaded = ok;
    session->light = ok && session->n <= LIMIT_LIGHT_COORDINATES &&
                     groups_work(session->groups) <= LIMIT_LIGHT_WORK;
    pthread_mutex_unlock(&session->lock);
    return ok;
}

/* Others that come meanwhile find the session in the table and stand in its line, because it is
 * made with its turn taken. */
static bool load(struct sessions *sessions, const struct session_row *row, struct session **out,
                 float *work, dsc_err *err)
{
    struct session *session = NULL;

    if (!session_make(sessions, row, &session, err))
        return false;
    if (!session_table_add(sessions, session, out, err) || *out != session) {
        session_free(session);
        return *out != NULL;
    }
    const bool ok = session_fill(sessions, session, row, work, err);
    if (!ok)
        session_forget(sessions, session);
    else
        session_table_count_load(sessions);
    session_turn_release(session, sessions->means.compute);
    if (ok)
        return true;
    session_drop(sessions, session);
    *out = NULL;
    return false;
}

bool session_load(struct sessions *sessions, const char *id, struct session **out, float *work,
                  dsc_err *err)
{
    dsc_arena arena;
    struct session_row row;

    *out = session_find(sessions, id);
    if (!*out) {
        dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
        const bool ok = store_session_find(sessions->means.store, id, &row, &arena, err) &&
                        (row.durability == DURABILITY_MEMORY
                             ? dsc_fail(err, FAULT_NOT_FOUND, "", "there is no session %s", id)
                             : load(sessions, &row, out, work, err));
        dsc_arena_release(&arena);
        if (!ok)
            return false;
    }
    if (session_check_expiry(sessions, *out, err))
        return true;
    session_drop(sessions, *out);
    *out = NULL;
    return false;
}

/* What the journal says of a session counts only if its row is there afterwards: of one that was
 * deleted in between the journal knows nothing, and nothing reads as step 0. */
static bool stored_steps(struct sessions *sessions, const struct session_row *row, uint64_t *steps,
                         dsc_err *err)
{
    struct session_row there;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = journal_steps(sessions->means.journal, row->seq, steps, err) &&
                    store_session_find(sessions->means.store, row->id, &there, &arena, err);
    dsc_arena_release(&arena);
    return ok;
}

bool session_steps(struct sessions *sessions, const struct session_row *row, uint64_t *steps,
                   dsc_err *err)
{
    struct session *const session = session_find(sessions, row->id);
    bool known = false;

    if (session) {
        pthread_mutex_lock(&session->lock);
        known = session->loaded;
        *steps = session->steps;
        pthread_mutex_unlock(&session->lock);
        session_drop(sessions, session);
    }
    return known || stored_steps(sessions, row, steps, err);
}
