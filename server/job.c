/* job.c -- workers, and what clients may ask of jobs
 *
 *     queued --claim--> running --finish--> succeeded, failed
 *        ^  \            |  ^
 *     resume  pause    pause |            cancel: from any of the three on the left
 *        |      \        v   |
 *        +------- paused     put back (the server ends, or the database failed)
 *
 * The row is the truth and every change of it one transaction; `stop` only makes a worker look
 * sooner. A worker that looks finds in the answer to its save whether the job is still its own.
 *
 * A worker lowers its priority before it opens its pool, whose threads inherit that: nice is a
 * thread's on Linux. Locks: jobs->lock is held for a few instructions, never during a call of the
 * store.
 *
 * Held to account by. tests/unit/test_job.c, tests/http/test_jobs.c, tests/crash/test_crash_job.c.
 */
#include "clock.h"
#include "fault.h"
#include "job_work.h"
#include "lend.h"
#include "limits.h"
#include "log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Below updates, which have 0: those get nine tenths of a processor that both want. */
enum { JOB_NICE = 10 };

/* After a failure of the database. */
enum { RETRY_SECONDS = 5 };

struct worker {
    struct jobs *jobs;
    pthread_t thread;
    bool started;
    struct pool *pool;
    dsc_crew crew;
    struct work work;
    int64_t seq; /* of the job in hand; 0: none. Under the lock */
};

struct jobs {
    struct jobs_means means;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t news; /* how often something was queued */
    bool halting;
    struct jobs_done done;
    int ready, broken; /* workers that have opened, or could not */
    struct worker worker[];
};

/* --- telling workers --- */

static void announce(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->news++;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
}

static void stop_work_on(struct jobs *jobs, int64_t seq)
{
    pthread_mutex_lock(&jobs->lock);
    for (int i = 0; i < jobs->means.workers; i++)
        if (jobs->worker[i].seq == seq)
            atomic_store(&jobs->worker[i].work.stop, true);
    pthread_mutex_unlock(&jobs->lock);
}

/* --- what clients ask --- */

#define IN(state) (1u << (state))

struct transition {
    unsigned from, already;
    enum job_state to;
    const char *past; /* of its verb */
};

static const struct transition pausing = {IN(JOB_QUEUED) | IN(JOB_RUNNING), IN(JOB_PAUSED),
                                          JOB_PAUSED, "paused"};
static const struct transition resuming = {IN(JOB_PAUSED), IN(JOB_QUEUED) | IN(JOB_RUNNING),
                                           JOB_QUEUED, "resumed"};
static const struct transition cancelling = {IN(JOB_QUEUED) | IN(JOB_RUNNING) | IN(JOB_PAUSED),
                                             IN(JOB_CANCELLED), JOB_CANCELLED, "cancelled"};

/* Within a transaction. */
static bool move(struct store *store, const char *id, const struct transition *t,
                 struct job_row *out, dsc_arena *arena, dsc_err *err)
{
    bool moved;

    if (!store_job_find(store, id, out, arena, err))
        return false;
    if (t->already >> out->state & 1)
        return true;
    if (!(t->from >> out->state & 1))
        return dsc_fail(err, FAULT_INVALID_STATE, "", "the job is %s: it cannot be %s",
                        job_state_words[out->state], t->past);
    return store_job_move(store, out->seq, t->from, t->to, &moved, err) &&
           event_state(store, out->seq, t->to, err) && store_job_find(store, id, out, arena, err);
}

static bool change(struct jobs *jobs, const char *id, const struct transition *t,
                   struct job_row *out, dsc_arena *arena, dsc_err *err)
{
    struct store *const store = jobs->means.store;

    if (!store_begin(store, err) || !store_end(store, move(store, id, t, out, arena, err), err))
        return false;
    if (t->to == JOB_QUEUED)
        announce(jobs);
    else
        stop_work_on(jobs, out->seq);
    watchers_wake(jobs->means.watchers, out->seq);
    return true;
}

bool job_pause(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
               dsc_err *err)
{
    return change(jobs, id, &pausing, out, arena, err);
}

bool job_resume(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
                dsc_err *err)
{
    return change(jobs, id, &resuming, out, arena, err);
}

bool job_cancel(struct jobs *jobs, const char *id, struct job_row *out, dsc_arena *arena,
                dsc_err *err)
{
    return change(jobs, id, &cancelling, out, arena, err);
}

bool job_delete(struct jobs *jobs, const char *id, dsc_err *err)
{
    dsc_arena arena;
    struct job_row row;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    ok = store_job_find(jobs->means.store, id, &row, &arena, err) &&
         store_job_delete(jobs->means.store, id, err);
    if (ok)
        watchers_wake(jobs->means.watchers, row.seq);
    dsc_arena_release(&arena);
    return ok;
}

/* --- for the other files of jobs --- */

const struct jobs_means *jobs_means(const struct jobs *jobs)
{
    return &jobs->means;
}

void jobs_announce(struct jobs *jobs)
{
    announce(jobs);
}

/* --- what a kind of job asks of its worker --- */

/* Move the clock of worked_ms on, and the server's counters. */
static void count(struct work *work)
{
    struct job_progress *const now = &work->row.progress, *const then = &work->counted;
    struct jobs_done *const done = &work->jobs->done;
    const uint64_t ms = (clock_ns() - work->clock) / 1000000;

    now->worked_ms += (int64_t)ms;
    work->clock += ms * 1000000;
    pthread_mutex_lock(&work->jobs->lock);
    done->epochs += (uint64_t)(now->epoch - then->epoch);
    done->seconds += (double)(now->worked_ms - then->worked_ms) / 1000;
    pthread_mutex_unlock(&work->jobs->lock);
    *then = *now;
}

bool work_is_due(const struct work *work)
{
    return clock_ns() - work->saved_ns >= LIMIT_JOB_SAVE_MS * UINT64_C(1000000);
}

static bool save(struct work *work, const void *bytes, size_t len, const struct shape *measured,
                 const void *body, enum job_state *state, dsc_err *err)
{
    struct store *const store = work->jobs->means.store;
    const int64_t seq = work->row.seq;

    if (!store_job_save(store, &work->row, bytes, len, state, err))
        return false;
    return job_is_over(*state) ||
           ((!measured || event_tell(store, seq, EVENT_METRIC, measured, body, err)) &&
            event_progress(store, &work->row, err));
}

bool work_save(struct work *work, const void *bytes, size_t len, const struct shape *measured,
               const void *body, dsc_err *err)
{
    struct store *const store = work->jobs->means.store;
    enum job_state state = JOB_RUNNING;

    count(work);
    if (!store_begin(store, err) ||
        !store_end(store, save(work, bytes, len, measured, body, &state, err), err))
        return false;
    work->saved_ns = clock_ns();
    if (state != JOB_RUNNING)
        atomic_store(&work->stop, true);
    watchers_wake(work->jobs->means.watchers, work->row.seq);
    return true;
}

static bool finish(struct work *work, bool *mine, dsc_err *err)
{
    struct store *const store = work->jobs->means.store;

    return store_job_finish(store, &work->row, mine, err) &&
           (!*mine || (event_progress(store, &work->row, err) &&
                       event_state(store, work->row.seq, work->row.state, err)));
}

bool work_finish(struct work *work, bool *mine, dsc_err *err)
{
    struct store *const store = work->jobs->means.store;

    count(work);
    return store_begin(store, err) && store_end(store, finish(work, mine, err), err);
}

const char *work_error(struct work *work, const char *code, const char *detail)
{
    const struct job_error body = {.code = code, .detail = detail};
    struct buf *const text = buf_new(256);
    const char *copy = NULL;

    if (text && field_encode(&job_error_shape, &body, text, NULL))
        copy = dsc_arena_text(&work->arena, (const char *)text->data, text->len);
    buf_drop(text);
    return copy;
}

/* --- one job --- */

/* It failed for the reason in err. */
static bool fail(struct work *work, const dsc_err *why, dsc_err *err)
{
    char detail[256];
    bool mine;

    snprintf(detail, sizeof detail, "%s%s%s", why->where, why->where[0] ? ": " : "", why->text);
    work->row.state = JOB_FAILED;
    work->row.result = "";
    work->row.error = work_error(work, fault_find(why->code)->word, detail);
    log_line(LOG_WARN, "job", "%s failed: %s", work->row.id, detail);
    return work->row.error ? work_finish(work, &mine, err)
                           : dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the reason");
}

/* A failure that says nothing about the job itself. */
static bool is_ours(const dsc_err *err)
{
    return err->code == FAULT_INTERNAL || err->code == FAULT_STORAGE_FULL;
}

/* To be taken again: by this server later, or by the next one. */
static bool put_back(struct work *work, dsc_err *err)
{
    struct store *const store = work->jobs->means.store;
    bool moved = false;

    return store_begin(store, err) &&
           store_end(
               store,
               store_job_move(store, work->row.seq, IN(JOB_RUNNING), JOB_QUEUED, &moved, err) &&
                   (!moved || event_state(store, work->row.seq, JOB_QUEUED, err)),
               err);
}

static bool is_halting(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    const bool halting = jobs->halting;
    pthread_mutex_unlock(&jobs->lock);
    return halting;
}

/* Until the time is over or the server ends. */
static void wait_seconds(struct jobs *jobs, int seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->halting && pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&jobs->lock);
}

/* The database would not take what came of the job, or the server ends. */
static void let_go(struct worker *worker, const dsc_err *why)
{
    struct jobs *const jobs = worker->jobs;
    dsc_err err = {0};

    if (why->code) {
        log_line(LOG_ERROR, "job", "%s goes on later: %s", worker->work.row.id, why->text);
        wait_seconds(jobs, RETRY_SECONDS);
    }
    while (!put_back(&worker->work, &err) && !is_halting(jobs))
        wait_seconds(jobs, RETRY_SECONDS);
    announce(jobs);
}

static void drop(struct worker *worker)
{
    pthread_mutex_lock(&worker->jobs->lock);
    worker->seq = 0;
    pthread_mutex_unlock(&worker->jobs->lock);
}

/* True when nothing more is to be done about it. */
static bool do_work(struct work *work, dsc_err *err)
{
    dsc_err why = {0};
    const bool ok =
        work->row.type == JOB_META_TRAIN ? job_train(work, &why) : job_evaluate(work, &why);

    if (ok)
        return true;
    if (!is_ours(&why))
        return fail(work, &why, err);
    *err = why;
    return false;
}

static void do_job(struct worker *worker)
{
    struct work *const work = &worker->work;
    enum job_state state;
    dsc_err err = {0};

    work->counted = work->row.progress;
    work->clock = work->saved_ns = clock_ns();
    if (!store_job_state(worker->jobs->means.store, work->row.seq, &state, &err))
        let_go(worker, &err);
    else if (state == JOB_RUNNING && (!do_work(work, &err) || is_halting(worker->jobs)))
        let_go(worker, &err);
    drop(worker);
    watchers_wake(worker->jobs->means.watchers, work->row.seq);
}

/* --- a worker's life --- */

static bool claim(struct worker *worker, bool *found, dsc_err *err)
{
    struct store *const store = worker->jobs->means.store;
    struct work *const work = &worker->work;

    return store_job_claim(store, &work->row, found, &work->arena, err) &&
           (!*found || event_state(store, work->row.seq, JOB_RUNNING, err));
}

/* The next job, if there is one. False when the database failed. */
static bool take(struct worker *worker, bool *found)
{
    struct jobs *const jobs = worker->jobs;
    dsc_err err = {0};

    *found = false;
    dsc_arena_release(&worker->work.arena);
    const bool ok = store_begin(jobs->means.store, &err) &&
                    store_end(jobs->means.store, claim(worker, found, &err), &err);
    if (!ok)
        log_line(LOG_ERROR, "job", "cannot take a job: %s", err.text);
    if (!ok || !*found)
        return ok;
    pthread_mutex_lock(&jobs->lock);
    worker->seq = worker->work.row.seq;
    atomic_store(&worker->work.stop, jobs->halting);
    pthread_mutex_unlock(&jobs->lock);
    watchers_wake(jobs->means.watchers, worker->work.row.seq);
    return true;
}

/* Until there are news after number `seen`. False when the server ends. */
static bool wait_for_news(struct jobs *jobs, uint64_t *seen)
{
    pthread_mutex_lock(&jobs->lock);
    while (!jobs->halting && jobs->news == *seen)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    *seen = jobs->news;
    const bool halting = jobs->halting;
    pthread_mutex_unlock(&jobs->lock);
    return !halting;
}

struct errand {
    const struct work *work;
    dsc_job *job;
    void *arg;
};

static void run_errand(void *errand_, size_t index, int worker)
{
    const struct errand *const errand = errand_;

    if (!atomic_load_explicit(&errand->work->stop, memory_order_relaxed))
        errand->job(errand->arg, index, worker);
}

/* A dsc_crew's run: as the pool's, but over at once when the job is to stop. */
static void run_crew(void *worker_, size_t count, dsc_job *job, void *arg)
{
    struct worker *const worker = worker_;
    struct errand errand = {&worker->work, job, arg};

    worker->crew.run(worker->crew.pool, count, run_errand, &errand);
}

static bool worker_open(struct worker *worker)
{
    struct jobs *const jobs = worker->jobs;
    dsc_err err = {0};

    if (setpriority(PRIO_PROCESS, 0, JOB_NICE) != 0)
        log_line(LOG_WARN, "job", "jobs run at the priority of updates: %s", strerror(errno));
    const bool ok = pool_open(&worker->pool, jobs->means.threads, &err);
    if (ok) {
        worker->crew = lend_pool(worker->pool);
        worker->work.crew = (dsc_crew) {worker->crew.workers, run_crew, worker};
    }
    dsc_arena_init(&worker->work.arena, LIMIT_ARENA_BYTES);
    worker->work.jobs = jobs;
    pthread_mutex_lock(&jobs->lock);
    jobs->ready += ok;
    jobs->broken += !ok;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return ok;
}

/* All that there are to do now. */
static void do_jobs(struct worker *worker)
{
    bool found;

    while (!is_halting(worker->jobs)) {
        if (!take(worker, &found))
            wait_seconds(worker->jobs, RETRY_SECONDS);
        else if (found)
            do_job(worker);
        else
            break;
    }
}

static void *worker_run(void *worker_)
{
    struct worker *const worker = worker_;
    uint64_t seen = UINT64_MAX; /* so that it looks once at the start */

    if (!worker_open(worker))
        return NULL;
    while (wait_for_news(worker->jobs, &seen))
        do_jobs(worker);
    dsc_arena_release(&worker->work.arena);
    pool_close(worker->pool);
    return NULL;
}

/* --- life --- */

/* Tell those who follow that what was running waits again. */
static bool recover(struct jobs *jobs, dsc_err *err)
{
    struct store *const store = jobs->means.store;
    int64_t seqs[LIMIT_JOBS_UNFINISHED];
    size_t count;
    bool ok = store_job_recover(store, seqs, LIMIT_JOBS_UNFINISHED, &count, err);

    for (size_t i = 0; ok && i < count; i++)
        ok = event_log(store, seqs[i], "the server ended meanwhile", err) &&
             event_state(store, seqs[i], JOB_QUEUED, err);
    return ok;
}

static bool start(struct jobs *jobs, dsc_err *err)
{
    for (int i = 0; i < jobs->means.workers; i++) {
        struct worker *const worker = &jobs->worker[i];
        worker->jobs = jobs;
        worker->started = pthread_create(&worker->thread, NULL, worker_run, worker) == 0;
        if (!worker->started)
            return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "cannot start a worker");
    }
    pthread_mutex_lock(&jobs->lock);
    while (jobs->ready + jobs->broken < jobs->means.workers)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    const bool ok = jobs->broken == 0;
    pthread_mutex_unlock(&jobs->lock);
    return ok || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "cannot start the threads of a worker");
}

bool jobs_open(struct jobs **out, const struct jobs_means *means, dsc_err *err)
{
    struct jobs *const jobs =
        calloc(1, sizeof *jobs + (size_t)means->workers * sizeof *jobs->worker);

    if (!jobs)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the jobs");
    jobs->means = *means;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->changed, NULL);
    *out = jobs;
    if (store_begin(means->store, err) && store_end(means->store, recover(jobs, err), err) &&
        start(jobs, err))
        return true;
    jobs_close(jobs);
    *out = NULL;
    return false;
}

void jobs_halt(struct jobs *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->halting = true;
    for (int i = 0; i < jobs->means.workers; i++)
        atomic_store(&jobs->worker[i].work.stop, true);
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
}

void jobs_close(struct jobs *jobs)
{
    if (!jobs)
        return;
    jobs_halt(jobs);
    for (int i = 0; i < jobs->means.workers; i++)
        if (jobs->worker[i].started)
            pthread_join(jobs->worker[i].thread, NULL);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

struct jobs_done jobs_done(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    const struct jobs_done done = jobs->done;
    pthread_mutex_unlock(&jobs->lock);
    return done;
}
