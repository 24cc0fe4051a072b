#include "lend.h"
#include <pthread.h>
#include <stdatomic.h>

/* More threads than this would only wait for each other. */
enum { WORKERS_MAX = 64 };

/* The jobs of one call: each worker takes the next until there is none. */
struct shift {
    dsc_job *job;
    void *arg;
    size_t jobs;
    atomic_size_t next;
    pthread_mutex_t lock;
    pthread_cond_t done;
    int working; /* under the lock */
};

struct worker {
    struct task task; /* first: the pool gives it back */
    struct shift *shift;
    int number;
};

static void worker_run(struct task *task, float *work)
{
    struct worker *const worker = (struct worker *)task;
    struct shift *const shift = worker->shift;

    (void)work;
    for (size_t i; (i = atomic_fetch_add(&shift->next, 1)) < shift->jobs;)
        shift->job(shift->arg, i, worker->number);
    pthread_mutex_lock(&shift->lock);
    if (--shift->working == 0)
        pthread_cond_signal(&shift->done);
    pthread_mutex_unlock(&shift->lock);
}

static int workers_of(const struct pool *pool)
{
    return pool_threads(pool) < WORKERS_MAX ? pool_threads(pool) : WORKERS_MAX;
}

static void run(void *pool, size_t jobs, dsc_job *job, void *arg)
{
    struct worker workers[WORKERS_MAX];
    struct shift shift = {.job = job, .arg = arg, .jobs = jobs, .working = workers_of(pool)};
    const int count = shift.working;

    pthread_mutex_init(&shift.lock, NULL);
    pthread_cond_init(&shift.done, NULL);
    for (int i = 0; i < count; i++) {
        workers[i] = (struct worker) {{.run = worker_run}, &shift, i};
        pool_follow(pool, &workers[i].task);
    }
    pthread_mutex_lock(&shift.lock);
    while (shift.working > 0)
        pthread_cond_wait(&shift.done, &shift.lock);
    pthread_mutex_unlock(&shift.lock);
    pthread_cond_destroy(&shift.done);
    pthread_mutex_destroy(&shift.lock);
}

dsc_crew lend_pool(struct pool *pool)
{
    return (dsc_crew) {.workers = workers_of(pool), .run = run, .pool = pool};
}
