#include "pool.h"
#include "fault.h"
#include "limits.h"
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

struct worker {
    struct pool *pool;
    float *work; /* scratch of its own */
    pthread_t thread;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct task *first, *last;
    size_t waiting;
    bool closing;
    int threads;
    struct worker *worker; /* [threads] */
};

static struct task *pool_take(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && !pool->closing)
        pthread_cond_wait(&pool->wake, &pool->lock);
    struct task *task = pool->first;
    if (task) {
        pool->first = task->next;
        pool->waiting--;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void *pool_thread(void *arg)
{
    const struct worker *const worker = arg;

    for (struct task *task; (task = pool_take(worker->pool)) != NULL;)
        task->run(task, worker->work);
    return NULL;
}

/* Memory is asked for here and not on the thread, where nobody could be told. */
static bool pool_hire(struct pool *pool)
{
    struct worker *const worker = &pool->worker[pool->threads];

    *worker = (struct worker) {.pool = pool, .work = dsc_work_new()};
    if (worker->work && pthread_create(&worker->thread, NULL, pool_thread, worker) == 0) {
        pool->threads++;
        return true;
    }
    dsc_work_free(worker->work);
    return false;
}

bool pool_open(struct pool **out, int threads, dsc_err *err)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for a pool of threads");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->worker = calloc((size_t)threads, sizeof *pool->worker);
    while (pool->worker && pool->threads < threads && pool_hire(pool))
        ;
    if (pool->threads == threads) {
        *out = pool;
        return true;
    }
    pool_close(pool);
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "cannot start %d threads", threads);
}

/* Append, unless `max` tasks wait already. */
static bool pool_append(struct pool *pool, struct task *task, size_t max)
{
    task->next = NULL;
    pthread_mutex_lock(&pool->lock);
    bool room = pool->waiting < max;
    if (room) {
        if (pool->waiting++ == 0)
            pool->first = task;
        else
            pool->last->next = task;
        pool->last = task;
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return room;
}

bool pool_submit(struct pool *pool, struct task *task)
{
    return pool_append(pool, task, LIMIT_POOL_QUEUE);
}

void pool_follow(struct pool *pool, struct task *task)
{
    bool queued = pool_append(pool, task, SIZE_MAX);
    assert(queued);
    (void)queued;
}

size_t pool_waiting(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

int pool_threads(const struct pool *pool)
{
    return pool->threads;
}

void pool_close(struct pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->threads; i++)
        pthread_join(pool->worker[i].thread, NULL);
    for (int i = 0; i < pool->threads; i++)
        dsc_work_free(pool->worker[i].work);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool->worker);
    free(pool);
}
