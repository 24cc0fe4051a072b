/* session_step.c -- the life of a step
 *
 *     session_step    take the session's turn, or wait in its line
 *     step_begin      compare the step number; answer again, refuse, or accept
 *     step_accept     from here only the disk can refuse: the journal gets the record and the pool
 *                     the ranges, at the same time
 *     step_round      the pool gets the ranges of one round; with the last of them, the next round
 *     step_part_done  the last of computation and record finishes the step
 *     step_finish     the session advances, the next in line begins, the answer goes out
 *
 * A step is accepted only when its update is known to be finite (groups_check), so a record never
 * has to be taken back. Optimizers whose coordinates depend on one another may know that only from
 * their proposals: those rounds are computed first, and step_accept comes after them. When the
 * commit fails, the state in memory is ahead of the disk: the session is forgotten, and the next
 * request loads it from the journal, where the step never happened. */
#include "session_impl.h"
#include "clock.h"
#include "fault.h"
#include "norm.h"
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static float *floats(struct buf *buf)
{
    return (float *)(void *)buf->data;
}

static struct buf *vector_new(size_t n, const char *what, dsc_err *err)
{
    struct buf *const buf = buf_new(n * sizeof(float));

    if (!buf)
        (void)dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the %s", what);
    else
        buf->len = n * sizeof(float);
    return buf;
}

/* --- the two ways out --- */

/* What the step no longer needs once it is over, one way or the other. */
static void step_clear(struct session_step *step)
{
    buf_drop(step->gradient);
    buf_drop(step->ordered);
    buf_drop(step->fresh);
    buf_drop(step->chunk);
    step->gradient = step->ordered = step->fresh = step->chunk = NULL;
}

static void step_end(struct session_step *step, const dsc_err *err)
{
    step_clear(step);
    session_turn_release(step->session, step->sessions->means.compute);
    step->done(step, err);
}

/* Answer with a failure; the session is as it was. */
static void step_refuse(struct session_step *step, const dsc_err *err)
{
    buf_drop(step->update);
    step->update = NULL;
    step_end(step, err);
}

/* The step is over: its entry is whole, and those before it are in a row if one was due. */
static void step_tell(struct session_step *step)
{
    struct session *const session = step->session;
    struct history_entry entry = {.loss = step->loss, .gradient_norm = sqrt(step->squares)};

    entry.update_norm = sqrt(norm_squares(floats(step->update), session->n));
    if (history_due(&session->trail, session->steps)) {
        if (session->durability == DURABILITY_MEMORY)
            (void)!session_history_flush(session); /* without memory there is a gap */
        history_restart(&session->trail, session->steps);
    }
    history_add(&session->trail, &entry);
}

/* The session has taken the step: it keeps the gradient and the update for a repeated request. */
static void step_keep(struct session_step *step)
{
    struct session *const session = step->session;

    buf_drop(session->gradient);
    buf_drop(session->update);
    session->gradient = buf_hold(step->gradient);
    session->update = buf_hold(step->update);
    if (step->record.chunk >= 0)
        session->chunk_step[step->record.chunk] = session->steps;
    step_tell(step);
    groups_advance(session->groups);
    pthread_mutex_lock(&session->lock);
    session->steps++;
    session->used_at = step->record.used_at;
    pthread_mutex_unlock(&session->lock);
}

/* The computation and the record are both over. */
static void step_finish(struct session_step *step)
{
    if (step->failure.code != DSC_OK) {
        session_forget(step->sessions, step->session);
        step_refuse(step, &step->failure);
        return;
    }
    if (step->fresh != step->update)
        groups_scatter(step->session->groups, floats(step->update), floats(step->fresh));
    step_keep(step);
    step->next = step->session->steps;
    step_end(step, NULL);
}

static void step_part_done(struct session_step *step)
{
    if (atomic_fetch_sub(&step->pending, 1) == 1)
        step_finish(step);
}

/* --- the two parts --- */

static void record_done(struct record *record, const dsc_err *err)
{
    struct session_step *const step =
        (struct session_step *)((char *)record - offsetof(struct session_step, record));

    if (err)
        step->failure = *err;
    step->persist_ns = clock_ns() - step->began_ns;
    step_part_done(step);
}

/* --- accepting --- */

/* Copy the chunk that travels along, from before the step. */
static bool record_chunk(struct session_step *step, dsc_err *err)
{
    struct groups *const groups = step->session->groups;
    struct record *const record = &step->record;

    record->state_bytes = groups_chunk_bytes(groups, (size_t)record->chunk);
    step->chunk = buf_new(record->state_bytes);
    if (!step->chunk)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for a snapshot");
    groups_chunk_save(groups, (size_t)record->chunk, step->chunk->data);
    record->state = step->chunk->data;
    return true;
}

/* What rides along of the history: a row of it when one is due, and the entries of this step and
 * the one before, or, where no older gradient is kept that has them, of all that are in no row. */
static void record_trail(struct session_step *step)
{
    const struct session *const session = step->session;
    struct record *const record = &step->record;
    const bool due = history_due(&session->trail, session->steps);
    const size_t all = due ? 0 : session->trail.count;
    const size_t kept = groups_chunks(session->groups) > 0 && all > 1 ? 1 : all;

    if (due) {
        record->block = session->trail.entry;
        record->block_bytes = session->trail.count * sizeof *session->trail.entry;
        record->block_first = session->trail.first;
    }
    memcpy(step->trail, session->trail.entry + all - kept, kept * sizeof *step->trail);
    step->trail[kept] = (struct history_entry) {step->loss, sqrt(step->squares), (double)NAN};
    record->trail = step->trail;
    record->trail_bytes = (kept + 1) * sizeof *step->trail;
}

static bool record_prepare(struct session_step *step, dsc_err *err)
{
    struct session *const session = step->session;
    struct record *const record = &step->record;
    const bool durable = session->durability != DURABILITY_MEMORY;

    *record = (struct record) {
        .kind = RECORD_STEP,
        .durability = session->durability,
        .session = session->seq,
        .step = session->steps,
        .gradient = step->gradient->data,
        .gradient_bytes = step->gradient->len,
        .chunk = durable ? session_chunk_due(session, session->steps) : -1,
        .used_at = session_use(step->sessions, session),
        .done = record_done,
    };
    record->keep_from = session_keep_from(session, record->chunk, session->steps);
    record_trail(step);
    return record->chunk < 0 || record_chunk(step, err);
}

/* From here on only the disk can refuse. */
static bool step_accept(struct session_step *step, dsc_err *err)
{
    const bool durable = step->session->durability != DURABILITY_MEMORY;

    if (!record_prepare(step, err))
        return false;
    atomic_store(&step->pending, durable ? 2 : 1);
    step->began_ns = clock_ns();
    return !durable || journal_append(step->sessions->means.journal, &step->record) ||
           dsc_fail(err, FAULT_OVERLOADED, "", "too many updates wait for the disk; try again");
}

/* --- computing --- */

/* The core's word for a number that is not finite, in the contract's two words. */
static bool translate(dsc_err *err)
{
    if (err->code == DSC_ENUMERIC)
        err->code = strncmp(err->where, "update", 6) == 0 ? FAULT_NON_FINITE_UPDATE
                                                          : FAULT_NON_FINITE_GRADIENT;
    return false;
}

/* The proposals are made: the step is accepted if their update may be given out. */
static bool step_judge(struct session_step *step, dsc_err *err)
{
    return (groups_check_update(step->session->groups, floats(step->fresh), step->limit, err) ||
            translate(err)) &&
           step_accept(step, err);
}

static void step_round(struct session_step *step, float *work);

/* Every range of a round has been computed. */
static void step_round_done(struct session_step *step, float *work)
{
    struct groups *const groups = step->session->groups;
    const int round = step->round++;
    dsc_err err = {0};

    if (round + 1 == groups_rounds(groups)) {
        step->compute_ns = clock_ns() - step->compute_began_ns;
        step_part_done(step);
        return;
    }
    groups_join(groups, step->session->steps, round);
    if (round + 1 == groups_proposals(groups) && !step_judge(step, &err))
        step_refuse(step, &err);
    else
        step_round(step, work);
}

static void range_task(struct task *task, float *work)
{
    struct session_range *const range = (struct session_range *)(void *)task; /* its first member */
    struct session_step *const step = range->step;

    groups_span(step->session->groups, step->session->steps, step->round, &range->range,
                floats(step->ordered), floats(step->fresh), work);
    if (atomic_fetch_sub(&step->computing, 1) == 1)
        step_round_done(step, work);
}

static void step_split(struct session_step *step)
{
    struct range piece[SESSION_RANGES_MAX];
    const size_t threads = (size_t)pool_threads(step->sessions->means.compute);

    step->ranges =
        groups_split(step->session->groups, step->round, threads, piece, SESSION_RANGES_MAX);
    for (size_t i = 0; i < step->ranges; i++)
        step->range[i] =
            (struct session_range) {.task = {.run = range_task}, .step = step, .range = piece[i]};
}

/* The ranges go to the pool, but for the first: this thread is one of its. The step may be over
 * when the last has been handed on, so nothing of it is touched after that. */
static void step_round(struct session_step *step, float *work)
{
    struct pool *const pool = step->sessions->means.compute;

    step_split(step);
    const size_t ranges = step->ranges;
    atomic_store(&step->computing, (int)ranges);
    for (size_t i = 1; i < ranges; i++)
        pool_follow(pool, &step->range[i].task);
    range_task(&step->range[0].task, work);
}

/* --- before that --- */

/* Gradient and update as the optimizers see them: the same buffers where that is the client's. */
static bool step_order(struct session_step *step, dsc_err *err)
{
    const struct session *const session = step->session;
    const bool moved = groups_reordered(session->groups), arranged = session_arranges(session);

    step->update = vector_new(session->n, "update", err);
    if (!step->update)
        return false;
    step->fresh = moved ? vector_new(session->n, "update", err) : buf_hold(step->update);
    step->ordered = arranged ? vector_new(session->n, "gradient", err) : buf_hold(step->gradient);
    if (!step->fresh || !step->ordered)
        return false;
    if (arranged)
        session_arrange(session, floats(step->ordered), floats(step->gradient), step->squares);
    return true;
}

/* Finiteness comes before the step number, whatever the step. */
static bool gradient_finite(struct session_step *step, dsc_err *err)
{
    const float *const gradient = floats(step->gradient);
    char where[64];
    size_t at = 0;

    step->squares = norm_squares(gradient, step->session->n);
    if (step->squares <= DBL_MAX)
        return true;
    while (fabsf(gradient[at]) <= FLT_MAX)
        at++;
    (void)snprintf(where, sizeof where, "gradient[%zu]", at);
    return dsc_fail(err, FAULT_NON_FINITE_GRADIENT, where, "must be finite in float32");
}

/* The step table of the HTTP contract: true when the step is the next one. */
static bool step_number_ok(const struct session_step *step, dsc_err *err)
{
    const uint64_t current = step->session->steps;

    if (!step->has_step || step->step == current)
        return true;
    if (step->step > current)
        (void)dsc_fail(err, FAULT_STEP_GAP, "step",
                       "is %" PRIu64 "; the session is at step %" PRIu64, step->step, current);
    else
        (void)dsc_fail(err, FAULT_STEP_STALE, "step",
                       "is %" PRIu64 "; the session is at step %" PRIu64
                       " and answers again only the one before",
                       step->step, current);
    return dsc_fail_fact(err, "current_step", current);
}

/* The last update again, if the gradient is the same and the update fits the answer's format. */
static bool step_replay(struct session_step *step, dsc_err *err)
{
    const struct session *const session = step->session;
    const float *const update = floats(session->update);
    char where[64];

    if (memcmp(session->gradient->data, step->gradient->data, session->gradient->len) != 0)
        return dsc_fail(err, FAULT_STEP_PAYLOAD_MISMATCH, "gradient",
                        "step %" PRIu64 " was answered for another gradient", step->step);
    for (size_t i = 0; i < session->n; i++) {
        if (fabs((double)update[i]) <= step->limit)
            continue;
        (void)snprintf(where, sizeof where, "update[%zu]", i);
        return dsc_fail(err, FAULT_NON_FINITE_UPDATE, where,
                        "does not fit the format of the answer");
    }
    step->update = buf_hold(session->update);
    step->next = session->steps;
    step->replayed = true;
    return true;
}

static bool step_fresh(struct session_step *step, float *work, dsc_err *err)
{
    return step_number_ok(step, err) && step_order(step, err) &&
           (groups_check(step->session->groups, floats(step->ordered), step->limit, work, err) ||
            translate(err)) &&
           (groups_proposals(step->session->groups) > 0 || step_accept(step, err));
}

/* It is this step's turn. */
static void step_begin(struct session_step *step, float *work)
{
    struct session *const session = step->session;
    dsc_err err = {0};

    step->compute_began_ns = clock_ns();
    step->queue_ns = step->compute_began_ns - step->began_ns;
    step->round = 0;
    const bool ok = session_here(session, &err) && gradient_finite(step, &err);
    const bool again =
        ok && step->has_step && session->gradient && step->step + 1 == session->steps;
    if (ok && again && step_replay(step, &err))
        step_end(step, NULL);
    else if (ok && !again && step_fresh(step, work, &err))
        step_round(step, work);
    else
        step_refuse(step, &err);
}

static void step_task(struct task *task, float *work)
{
    step_begin((struct session_step *)((char *)task - offsetof(struct session_step, task)), work);
}

void session_step(struct sessions *sessions, struct session *session, struct session_step *step,
                  float *work)
{
    dsc_err err = {0};

    step->sessions = sessions;
    step->session = session;
    step->task.run = step_task;
    step->place.task = &step->task;
    step->began_ns = clock_ns();
    switch (session_turn_take(session, &step->place)) {
    case TURN_MINE:
        step_begin(step, work);
        break;
    case TURN_LATER:
        break;
    case TURN_FULL:
        (void)dsc_fail(&err, FAULT_OVERLOADED, "",
                       "too many requests wait for this session; try again");
        step_clear(step);
        step->done(step, &err);
        break;
    }
}
