/* session.c -- the life of a step
 *
 *     session_step   take the session's turn, or wait in its line
 *     step_begin     compare the step number; replay, refuse, or accept
 *     step_accept    from here nothing can go wrong but the disk: the journal gets the record and
 * the pool the ranges, at the same time step_part_done the last of them (ranges, record) finishes
 * the step step_finish    the session advances, the answer goes out, the next in line begins
 *
 * A step is accepted only when its update is known to be finite (dsc_run_check), so a record never
 * has to be taken back. When the commit fails, the state in memory is ahead of the disk: the
 * session is dropped from memory ("stale") and the next request loads it from the journal, where
 * the step never happened.
 *
 * Rolling chunks. The state is 80 times the gradient, so it is cut into up to CHUNKS_MAX chunks,
 * and every step's record takes at most one along, as it was before the step; each chunk is written
 * once in PERIOD steps. Recovery loads each chunk at its own step and replays the gradients from
 * there on, range by range. Because every chunk is older than the last gradient, the last update is
 * always computed again, so a repeated request is answered after a restart too.
 *
 * One lock guards the table and every session's small members; it is never held during numerics or
 * I/O. */
#include "session.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { PERIOD = 80, CHUNKS_MAX = 80, CHUNK_BYTES_MIN = 65536, BUCKETS = 1 << 16 };

/* Fewer coordinates than this are not worth a second thread. */
enum { SPAN_MIN = 4096 };

struct session {
    char id[40];
    int64_t seq;
    enum durability durability;
    int64_t expires_at; /* ms; 0: never */
    dsc_run *run;
    size_t n, chunks;
    uint64_t steps; /* answered */
    uint64_t chunk_step[CHUNKS_MAX];
    struct buf *gradient, *update; /* of the last answered step; NULL when there is none */

    int holders;
    bool busy, stale;
    size_t in_line;
    struct session_step *first, *last; /* waiting for their turn */
    pthread_cond_t turn;               /* for threads that wait for it */
    struct session *next;              /* in the bucket */
};

struct sessions {
    pthread_mutex_t lock, load_lock;
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct pool *compute;
    struct session *bucket[BUCKETS];
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- the table --- */

static struct session **bucket_of(struct sessions *sessions, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a; ids are random */

    for (const char *c = id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &sessions->bucket[hash % BUCKETS];
}

static void session_free(struct session *session)
{
    if (!session)
        return;
    dsc_run_free(session->run);
    buf_drop(session->gradient);
    buf_drop(session->update);
    pthread_cond_destroy(&session->turn);
    free(session);
}

static void unlink_locked(struct sessions *sessions, struct session *session)
{
    for (struct session **at = bucket_of(sessions, session->id); *at; at = &(*at)->next)
        if (*at == session) {
            *at = session->next;
            session->holders--; /* the table's own */
            return;
        }
}

struct session *session_find(struct sessions *sessions, const char *id)
{
    pthread_mutex_lock(&sessions->lock);
    struct session *session = *bucket_of(sessions, id);
    while (session && strcmp(session->id, id) != 0)
        session = session->next;
    if (session)
        session->holders++;
    pthread_mutex_unlock(&sessions->lock);
    return session;
}

void session_drop(struct sessions *sessions, struct session *session)
{
    if (!session)
        return;
    pthread_mutex_lock(&sessions->lock);
    bool last = --session->holders == 0;
    pthread_mutex_unlock(&sessions->lock);
    if (last)
        session_free(session);
}

static void table_add(struct sessions *sessions, struct session *session)
{
    pthread_mutex_lock(&sessions->lock);
    struct session **head = bucket_of(sessions, session->id);
    session->next = *head;
    *head = session;
    session->holders++;
    pthread_mutex_unlock(&sessions->lock);
}

/* --- chunks --- */

static size_t chunk_count(const dsc_model *model, size_t n)
{
    size_t bytes = dsc_model_state_len(model, n) * sizeof(float);
    size_t blocks = (n + DSC_BLOCK - 1) / DSC_BLOCK;
    size_t count = bytes / CHUNK_BYTES_MIN;

    if (bytes == 0)
        return 0;
    count = count < 1 ? 1 : count > CHUNKS_MAX ? CHUNKS_MAX : count;
    return count < blocks ? count : blocks;
}

/* The coordinates of part j of `parts`, at block bounds. */
static void part_bounds(size_t n, size_t parts, size_t j, size_t *begin, size_t *end)
{
    size_t blocks = (n + DSC_BLOCK - 1) / DSC_BLOCK;

    *begin = blocks * j / parts * DSC_BLOCK;
    *end = blocks * (j + 1) / parts * DSC_BLOCK;
    if (*end > n)
        *end = n;
}

/* The chunk that travels with step t, or -1. */
static int64_t chunk_due(const struct session *session, uint64_t t)
{
    for (size_t j = 0; j < session->chunks; j++)
        if (j * PERIOD / session->chunks == t % PERIOD)
            return (int64_t)j;
    return -1;
}

static uint64_t oldest_chunk(const struct session *session)
{
    uint64_t oldest = session->chunks ? session->chunk_step[0] : session->steps;

    for (size_t j = 1; j < session->chunks; j++)
        if (session->chunk_step[j] < oldest)
            oldest = session->chunk_step[j];
    return oldest;
}

/* --- loading --- */

struct recovery {
    struct session *session;
    float *work;
    struct buf *gradient, *update;
    size_t filled; /* bytes of the gradient so far */
};

static bool damaged(const struct session *session, dsc_err *err)
{
    log_line(LOG_ERROR, "session_damaged", "session %s: its journal does not fit it", session->id);
    return dsc_fail(err, FAULT_INTERNAL, "", "the stored session is damaged");
}

static bool recover_chunk(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct session *session = ((struct recovery *)arg)->session;
    size_t begin, end, len;

    if (row->key >= session->chunks)
        return damaged(session, err);
    part_bounds(session->n, session->chunks, (size_t)row->key, &begin, &end);
    float *state = dsc_run_state(session->run, begin, end, &len);
    if (row->len > LIMIT_ROW_BYTES || row->part > len * sizeof *state / LIMIT_ROW_BYTES ||
        row->part * LIMIT_ROW_BYTES + row->len > len * sizeof *state)
        return damaged(session, err);
    memcpy((unsigned char *)state + row->part * LIMIT_ROW_BYTES, row->bytes, row->len);
    session->chunk_step[row->key] = row->step;
    return true;
}

/* One whole gradient has been read: take its step in every chunk that is from before it. */
static void replay(struct recovery *recovery, uint64_t t)
{
    struct session *session = recovery->session;
    const float *gradient = (const float *)(const void *)recovery->gradient->data;
    float *update = (float *)(void *)recovery->update->data;
    size_t parts = session->chunks ? session->chunks : 1;

    for (size_t j = 0; j < parts; j++) {
        size_t begin, end;
        part_bounds(session->n, parts, j, &begin, &end);
        if (!session->chunks || session->chunk_step[j] <= t)
            dsc_run_span(session->run, t, begin, end, gradient + begin, update + begin,
                         recovery->work);
    }
    session->steps = t + 1;
}

static bool recover_gradient(void *arg, const struct journal_row *row, dsc_err *err)
{
    struct recovery *recovery = arg;
    size_t whole = recovery->session->n * sizeof(float), at = row->part * LIMIT_ROW_BYTES;

    if (at != recovery->filled % whole || row->len > whole - at)
        return damaged(recovery->session, err);
    memcpy(recovery->gradient->data + at, row->bytes, row->len);
    recovery->filled = at + row->len;
    if (recovery->filled == whole)
        replay(recovery, row->key);
    return true;
}

static bool recover(struct sessions *sessions, struct session *session, float *work, dsc_err *err)
{
    size_t bytes = session->n * sizeof(float);
    struct recovery recovery = {session, work, buf_new(bytes), buf_new(bytes), 0};
    bool ok = false;

    if (!recovery.gradient || !recovery.update) {
        dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
        goto done;
    }
    recovery.gradient->len = recovery.update->len = bytes;
    if (!journal_chunks(sessions->journal, session->seq, recover_chunk, &recovery, err) ||
        !journal_gradients(sessions->journal, session->seq,
                           session->chunks ? oldest_chunk(session) : 0, recover_gradient, &recovery,
                           err))
        goto done;
    dsc_run_set_steps(session->run, session->steps);
    if (session->steps > 0) {
        session->gradient = buf_hold(recovery.gradient);
        session->update = buf_hold(recovery.update);
    }
    ok = true;
done:
    buf_drop(recovery.gradient);
    buf_drop(recovery.update);
    return ok;
}

/* A session in its initial state, from its row; the first holder is the caller. */
static bool session_new(struct sessions *sessions, const struct session_row *row,
                        struct session **out, dsc_err *err)
{
    dsc_model *model = NULL;
    struct session *session = calloc(1, sizeof *session);

    if (!session)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
    pthread_cond_init(&session->turn, NULL);
    if (!registry_model(sessions->registry, row->version_id, &model, err) ||
        !dsc_run_new(&session->run, model, (size_t)row->coordinates, err)) {
        dsc_model_drop(model);
        session_free(session);
        return false;
    }
    strncpy(session->id, row->id, sizeof session->id - 1);
    session->seq = row->seq;
    session->durability = row->durability;
    session->expires_at = row->ttl_seconds ? row->created_at + row->ttl_seconds * 1000 : 0;
    session->n = (size_t)row->coordinates;
    session->chunks = chunk_count(model, session->n);
    session->holders = 1;
    dsc_model_drop(model);
    *out = session;
    return true;
}

static bool load_locked(struct sessions *sessions, const char *id, struct session **out,
                        float *work, dsc_err *err)
{
    dsc_arena arena;
    struct session_row row;
    struct session *session = NULL;
    bool ok = false;

    if ((*out = session_find(sessions, id)) != NULL)
        return true;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    if (!store_session_find(sessions->store, id, &row, &arena, err) ||
        !session_new(sessions, &row, &session, err))
        goto done;
    if (row.durability != DURABILITY_MEMORY && !recover(sessions, session, work, err)) {
        session_free(session);
        goto done;
    }
    table_add(sessions, session);
    *out = session;
    ok = true;
done:
    dsc_arena_release(&arena);
    return ok;
}

bool session_load(struct sessions *sessions, const char *id, struct session **out, float *work,
                  dsc_err *err)
{
    pthread_mutex_lock(&sessions->load_lock);
    bool ok = load_locked(sessions, id, out, work, err);
    pthread_mutex_unlock(&sessions->load_lock);
    if (!ok)
        return false;
    if ((*out)->expires_at == 0 || now_ms() < (*out)->expires_at)
        return true;
    session_drop(sessions, *out);
    *out = NULL;
    return dsc_fail(err, FAULT_SESSION_EXPIRED, "", "the session %.40s has expired", id);
}

/* --- the line --- */

static void step_begin(struct session_step *step, float *work);

static void step_task(struct task *task, float *work)
{
    step_begin((struct session_step *)((char *)task - offsetof(struct session_step, task)), work);
}

/* Give the turn to the next in line: a step on the pool, or a thread that waits. */
static void turn_release(struct sessions *sessions, struct session *session)
{
    pthread_mutex_lock(&sessions->lock);
    struct session_step *next = session->first;
    if (next) {
        session->first = next->waiting;
        session->in_line--;
    } else {
        session->busy = false;
        pthread_cond_broadcast(&session->turn);
    }
    pthread_mutex_unlock(&sessions->lock);
    if (next)
        pool_follow(sessions->compute, &next->task);
}

/* Wait for the turn on this thread; the line of steps goes first. */
static void turn_wait(struct sessions *sessions, struct session *session)
{
    pthread_mutex_lock(&sessions->lock);
    while (session->busy)
        pthread_cond_wait(&session->turn, &sessions->lock);
    session->busy = true;
    pthread_mutex_unlock(&sessions->lock);
}

enum turn { TURN_MINE, TURN_LATER, TURN_FULL };

static enum turn turn_take(struct sessions *sessions, struct session *session,
                           struct session_step *step)
{
    enum turn turn = TURN_MINE;

    pthread_mutex_lock(&sessions->lock);
    if (!session->busy) {
        session->busy = true;
    } else if (session->in_line >= LIMIT_TURN_QUEUE) {
        turn = TURN_FULL;
    } else {
        turn = TURN_LATER;
        step->waiting = NULL;
        *(session->first ? &session->last->waiting : &session->first) = step;
        session->last = step;
        session->in_line++;
    }
    pthread_mutex_unlock(&sessions->lock);
    return turn;
}

/* --- a step --- */

/* Answer with a failure; the session is as it was. */
static void step_refuse(struct session_step *step, const dsc_err *err)
{
    buf_drop(step->gradient);
    buf_drop(step->chunk);
    step->gradient = step->chunk = NULL;
    turn_release(step->sessions, step->session);
    step->done(step, err);
}

static void step_replay(struct session_step *step)
{
    struct session *session = step->session;
    dsc_err err = {0};

    if (memcmp(session->gradient->data, step->gradient->data, session->gradient->len) != 0) {
        dsc_fail(&err, FAULT_STEP_PAYLOAD_MISMATCH, "gradient",
                 "step %" PRIu64 " was answered for another gradient", step->step);
        step_refuse(step, &err);
        return;
    }
    const float *update = (const float *)(const void *)session->update->data;
    for (size_t i = 0; i < session->n; i++)
        if (!(update[i] <= step->limit && update[i] >= -step->limit)) {
            char where[64];
            snprintf(where, sizeof where, "update[%zu]", i);
            dsc_fail(&err, FAULT_NON_FINITE_UPDATE, where, "does not fit the format of the answer");
            step_refuse(step, &err);
            return;
        }
    step->update = buf_hold(session->update);
    step->next = session->steps;
    step->replayed = true;
    buf_drop(step->gradient);
    step->gradient = NULL;
    turn_release(step->sessions, session);
    step->done(step, NULL);
}

/* The step table of the HTTP contract: true when the step is the next one. */
static bool step_number_ok(const struct session_step *step, dsc_err *err)
{
    uint64_t current = step->session->steps;

    if (!step->has_step || step->step == current)
        return true;
    if (step->step > current)
        dsc_fail(err, FAULT_STEP_GAP, "step", "is %" PRIu64 "; the session is at step %" PRIu64,
                 step->step, current);
    else
        dsc_fail(err, FAULT_STEP_STALE, "step",
                 "is %" PRIu64 "; the session is at step %" PRIu64
                 " and answers again only the one before",
                 step->step, current);
    return dsc_fail_fact(err, "current_step", current);
}

/* Everything of the step is there: advance or, when the disk refused, forget what memory knows. */
static void step_finish(struct session_step *step)
{
    struct sessions *sessions = step->sessions;
    struct session *session = step->session;
    bool ok = step->failure.code == DSC_OK;

    buf_drop(step->chunk);
    step->chunk = NULL;
    pthread_mutex_lock(&sessions->lock);
    if (ok) {
        dsc_run_advance(session->run);
        session->steps++;
        if (step->record.chunk >= 0)
            session->chunk_step[step->record.chunk] = session->steps - 1;
    } else if (!session->stale) {
        session->stale = true;
        unlink_locked(sessions, session);
    }
    pthread_mutex_unlock(&sessions->lock);
    step->next = session->steps;
    if (ok) {
        buf_drop(session->gradient);
        session->gradient = step->gradient;
        step->gradient = NULL;
        buf_drop(session->update);
        session->update = buf_hold(step->update);
        turn_release(sessions, session);
        step->done(step, NULL);
    } else {
        buf_drop(step->update);
        step->update = NULL;
        step_refuse(step, &step->failure);
    }
}

static void step_part_done(struct session_step *step)
{
    if (atomic_fetch_sub(&step->pending, 1) == 1)
        step_finish(step);
}

static void record_done(struct record *record, const dsc_err *err)
{
    struct session_step *step =
        (struct session_step *)((char *)record - offsetof(struct session_step, record));

    if (err)
        step->failure = *err;
    step->persist_ns = now_ns() - step->began_ns;
    step_part_done(step);
}

static void span_task(struct task *task, float *work)
{
    struct session_span *span = (struct session_span *)(void *)task; /* its first member */
    struct session_step *step = span->step;
    const float *gradient = (const float *)(const void *)step->gradient->data;
    float *update = (float *)(void *)step->update->data;

    dsc_run_span(step->session->run, step->session->steps, span->begin, span->end,
                 gradient + span->begin, update + span->begin, work);
    if (atomic_fetch_sub(&step->computing, 1) == 1)
        step->compute_ns = now_ns() - step->began_ns;
    step_part_done(step);
}

static int span_count(const struct session_step *step)
{
    size_t count = step->session->n / SPAN_MIN;
    size_t most = (size_t)pool_threads(step->sessions->compute);

    most = most < SESSION_SPANS_MAX ? most : SESSION_SPANS_MAX;
    return (int)(count < 1 ? 1 : count > most ? most : count);
}

/* Copy the chunk that is due, from before the step, and describe the record. */
static bool record_prepare(struct session_step *step, dsc_err *err)
{
    struct session *session = step->session;
    struct record *record = &step->record;

    *record = (struct record) {
        .kind = RECORD_STEP,
        .durability = session->durability,
        .session = session->seq,
        .step = session->steps,
        .gradient = step->gradient->data,
        .gradient_bytes = session->n * sizeof(float),
        .chunk = session->durability == DURABILITY_MEMORY ? -1 : chunk_due(session, session->steps),
        .done = record_done,
    };
    if (record->chunk >= 0) {
        size_t begin, end, len;
        part_bounds(session->n, session->chunks, (size_t)record->chunk, &begin, &end);
        const float *state = dsc_run_state(session->run, begin, end, &len);
        step->chunk = buf_new(len * sizeof *state);
        if (!step->chunk)
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for a snapshot");
        memcpy(step->chunk->data, state, len * sizeof *state);
        record->state = step->chunk->data;
        record->state_bytes = len * sizeof *state;
    }
    /* The chunk that travels along is from before this step, so it may raise the oldest. */
    uint64_t before = record->chunk >= 0 ? session->chunk_step[record->chunk] : 0;
    if (record->chunk >= 0)
        session->chunk_step[record->chunk] = session->steps;
    record->keep_from = oldest_chunk(session);
    if (record->chunk >= 0)
        session->chunk_step[record->chunk] = before;
    return true;
}

/* From here on only the disk can refuse. */
static void step_accept(struct session_step *step, float *work)
{
    struct session *session = step->session;
    bool durable = session->durability != DURABILITY_MEMORY;
    int spans = span_count(step);
    dsc_err err = {0};

    step->update = buf_new(session->n * sizeof(float));
    if (!step->update) {
        dsc_fail(&err, FAULT_OUT_OF_MEMORY, "", "no memory for the update");
        step_refuse(step, &err);
        return;
    }
    step->update->len = session->n * sizeof(float);
    if (!record_prepare(step, &err))
        goto refuse;
    atomic_store(&step->pending, spans + (durable ? 1 : 0));
    atomic_store(&step->computing, spans);
    step->began_ns = now_ns();
    if (durable && !journal_append(step->sessions->journal, &step->record)) {
        dsc_fail(&err, FAULT_OVERLOADED, "", "too many updates wait for the disk; try again");
        goto refuse;
    }
    for (int i = spans - 1; i >= 0; i--) {
        struct session_span *span = &step->span[i];
        *span = (struct session_span) {.task = {.run = span_task}, .step = step};
        part_bounds(session->n, (size_t)spans, (size_t)i, &span->begin, &span->end);
        if (i > 0)
            pool_follow(step->sessions->compute, &span->task);
    }
    span_task(&step->span[0].task, work);
    return;
refuse:
    buf_drop(step->update);
    step->update = NULL;
    step_refuse(step, &err);
}

/* The core's word for a number that is not finite, in the contract's two words. */
static void translate(dsc_err *err)
{
    if (err->code == DSC_ENUMERIC)
        err->code = strncmp(err->where, "update", 6) == 0 ? FAULT_NON_FINITE_UPDATE
                                                          : FAULT_NON_FINITE_GRADIENT;
}

/* Finiteness comes before the step number, whatever the step. */
static bool gradient_finite(const float *gradient, size_t n, dsc_err *err)
{
    char where[64];

    for (size_t i = 0; i < n; i++)
        if (!(fabsf(gradient[i]) <= FLT_MAX)) {
            snprintf(where, sizeof where, "gradient[%zu]", i);
            return dsc_fail(err, FAULT_NON_FINITE_GRADIENT, where, "must be finite in float32");
        }
    return true;
}

/* It is this step's turn. */
static void step_begin(struct session_step *step, float *work)
{
    struct session *session = step->session;
    const float *gradient = (const float *)(const void *)step->gradient->data;
    dsc_err err = {0};

    step->queued_ns = now_ns() - step->began_ns;
    if (session->stale) {
        dsc_fail(&err, FAULT_OVERLOADED, "", "the session is being loaded again; try again");
        step_refuse(step, &err);
        return;
    }
    bool again = step->has_step && step->step + 1 == session->steps && session->gradient;
    if (!gradient_finite(gradient, session->n, &err)) {
        step_refuse(step, &err);
    } else if (again) {
        step_replay(step);
    } else if (!step_number_ok(step, &err) ||
               !dsc_run_check(session->run, gradient, step->limit, work, &err)) {
        translate(&err);
        step_refuse(step, &err);
    } else {
        step_accept(step, work);
    }
}

void session_step(struct sessions *sessions, struct session *session, struct session_step *step,
                  float *work)
{
    dsc_err err = {0};

    step->sessions = sessions;
    step->session = session;
    step->task.run = step_task;
    step->began_ns = now_ns();
    switch (turn_take(sessions, session, step)) {
    case TURN_MINE:
        step_begin(step, work);
        break;
    case TURN_LATER:
        break;
    case TURN_FULL:
        buf_drop(step->gradient);
        step->gradient = NULL;
        dsc_fail(&err, FAULT_OVERLOADED, "", "too many requests wait for this session; try again");
        step->done(step, &err);
        break;
    }
}

/* --- create, reset, delete --- */

/* 128 random bits: ids cannot be guessed. */
static void make_id(char id[40])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        abort(); /* cannot happen for 16 bytes once the kernel's pool is ready */
    memcpy(id, "ses_", 4);
    for (int i = 0; i < 16; i++) {
        id[4 + 2 * i] = digits[bytes[i] >> 4];
        id[5 + 2 * i] = digits[bytes[i] & 15];
    }
    id[36] = '\0';
}

bool session_create(struct sessions *sessions, struct session_row *row, dsc_err *err)
{
    static _Thread_local char id[40];
    struct session *session = NULL;

    make_id(id);
    row->id = id;
    if (row->created_at == 0)
        row->created_at = now_ms();
    if (!session_new(sessions, row, &session, err))
        return false;
    if (!store_session_insert(sessions->store, row, err)) {
        session_free(session);
        return false;
    }
    session->seq = row->seq;
    table_add(sessions, session);
    session_drop(sessions, session);
    return true;
}

struct erasure {
    struct record record;
    sem_t ready;
    dsc_err err;
};

static void erased(struct record *record, const dsc_err *err)
{
    struct erasure *erasure = (struct erasure *)(void *)record; /* its first member */

    if (err)
        erasure->err = *err;
    sem_post(&erasure->ready);
}

/* Erase a session's journal and wait until it is durable. */
static bool erase(struct sessions *sessions, const struct session *session, dsc_err *err)
{
    struct erasure erasure = {.record = {.kind = RECORD_ERASE,
                                         .durability = session->durability,
                                         .session = session->seq,
                                         .chunk = -1,
                                         .done = erased}};

    if (session->durability == DURABILITY_MEMORY)
        return true;
    sem_init(&erasure.ready, 0, 0);
    bool ok = journal_append(sessions->journal, &erasure.record);
    if (!ok)
        dsc_fail(err, FAULT_OVERLOADED, "", "too many updates wait for the disk; try again");
    while (ok && sem_wait(&erasure.ready) != 0)
        ;
    sem_destroy(&erasure.ready);
    if (ok && erasure.err.code != DSC_OK && err)
        *err = erasure.err;
    return ok && erasure.err.code == DSC_OK;
}

bool session_reset(struct sessions *sessions, struct session *session, dsc_err *err)
{
    turn_wait(sessions, session);
    bool ok = session->stale
                  ? dsc_fail(err, FAULT_OVERLOADED, "", "the session is being loaded again")
                  : erase(sessions, session, err);
    if (ok) {
        pthread_mutex_lock(&sessions->lock);
        dsc_run_reset(session->run);
        session->steps = 0;
        memset(session->chunk_step, 0, sizeof session->chunk_step);
        pthread_mutex_unlock(&sessions->lock);
        buf_drop(session->gradient);
        buf_drop(session->update);
        session->gradient = session->update = NULL;
    }
    turn_release(sessions, session);
    return ok;
}

/* The row goes first: from then on the session is gone, and what the journal still has of it is
 * only garbage, removed here or at the next start. */
static bool delete_in_turn(struct sessions *sessions, struct session *session, dsc_err *err)
{
    if (session->stale || !store_session_delete(sessions->store, session->id, err))
        return session->stale
                   ? dsc_fail(err, FAULT_NOT_FOUND, "", "there is no session %s", session->id)
                   : false;
    pthread_mutex_lock(&sessions->lock);
    session->stale = true;
    unlink_locked(sessions, session);
    pthread_mutex_unlock(&sessions->lock);
    if (!erase(sessions, session, NULL))
        log_line(LOG_WARN, "session_erase", "the journal of %s stays until the next start",
                 session->id);
    return true;
}

bool session_delete(struct sessions *sessions, const char *id, float *work, dsc_err *err)
{
    struct session *session = NULL;

    pthread_mutex_lock(&sessions->load_lock);
    bool ok = load_locked(sessions, id, &session, work, err);
    pthread_mutex_unlock(&sessions->load_lock);
    if (!ok)
        return false;
    turn_wait(sessions, session);
    ok = delete_in_turn(sessions, session, err);
    turn_release(sessions, session);
    session_drop(sessions, session);
    return ok;
}

/* --- life --- */

size_t session_n(const struct session *session)
{
    return session->n;
}

uint64_t session_steps(struct sessions *sessions, struct session *session)
{
    pthread_mutex_lock(&sessions->lock);
    uint64_t steps = session->steps;
    pthread_mutex_unlock(&sessions->lock);
    return steps;
}

size_t session_state_bytes(const struct session *session)
{
    return dsc_model_state_len(dsc_run_model(session->run), session->n) * sizeof(float);
}

bool sessions_open(struct sessions **out, struct store *store, struct journal *journal,
                   struct registry *registry, struct pool *compute, dsc_err *err)
{
    struct sessions *sessions = calloc(1, sizeof *sessions);

    if (!sessions)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the table of sessions");
    pthread_mutex_init(&sessions->lock, NULL);
    pthread_mutex_init(&sessions->load_lock, NULL);
    sessions->store = store;
    sessions->journal = journal;
    sessions->registry = registry;
    sessions->compute = compute;
    *out = sessions;
    return true;
}

void sessions_close(struct sessions *sessions)
{
    if (!sessions)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct session *session = sessions->bucket[i], *next; session; session = next) {
            next = session->next;
            session_free(session);
        }
    pthread_mutex_destroy(&sessions->load_lock);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}
