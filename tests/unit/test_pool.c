/* test_pool.c -- tasks run once each, in order, and all of them before the pool is closed
 *
 * Threads are held at a gate where an order matters, so nothing here depends on time. */
#include "server/pool.h"
#include "server/fault.h"
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A task that says that it runs, and then waits until it may end. */
struct gate {
    struct task task; /* first: run hands it back */
    sem_t inside, open;
};

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0)
        ;
}

static void run_gate(struct task *task, float *work)
{
    struct gate *const gate = (struct gate *)(void *)task;

    (void)work;
    sem_post(&gate->inside);
    wait_for(&gate->open);
}

/* Put a pool's thread at the gate; it is there when this returns. */
static void gate_close(struct gate *gate, struct pool *pool)
{
    *gate = (struct gate) {.task = {.run = run_gate}};
    sem_init(&gate->inside, 0, 0);
    sem_init(&gate->open, 0, 0);
    assert_true(pool_submit(pool, &gate->task));
    wait_for(&gate->inside);
}

/* A task that writes down when it ran. */
struct entry {
    struct task task;
    atomic_int *clock;
    int ran_at, times;
};

static void run_entry(struct task *task, float *work)
{
    struct entry *const entry = (struct entry *)(void *)task;

    (void)work;
    entry->ran_at = atomic_fetch_add(entry->clock, 1);
    entry->times++;
}

static struct entry *entries_new(size_t count, atomic_int *clock)
{
    struct entry *const entry = calloc(count, sizeof *entry);

    assert_non_null(entry);
    for (size_t i = 0; i < count; i++)
        entry[i] = (struct entry) {.task = {.run = run_entry}, .clock = clock, .ran_at = -1};
    return entry;
}

static void test_in_order(void **state)
{
    enum { COUNT = 1000 };
    atomic_int clock = 0;
    struct entry *const entry = entries_new(COUNT, &clock);
    struct pool *pool = NULL;
    struct gate gate;

    (void)state;
    assert_true(pool_open(&pool, 1, NULL));
    assert_int_equal(pool_threads(pool), 1);
    gate_close(&gate, pool);
    for (int i = 0; i < COUNT; i++)
        assert_true(pool_submit(pool, &entry[i].task));
    assert_int_equal(pool_waiting(pool), COUNT);
    sem_post(&gate.open);
    pool_close(pool); /* runs what is queued */
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(entry[i].ran_at, i);
        assert_int_equal(entry[i].times, 1);
    }
    free(entry);
}

/* A full queue refuses what is new, and never what follows from something accepted. */
static void test_the_bound(void **state)
{
    enum { MORE = 3 };
    atomic_int clock = 0;
    struct entry *const entry = entries_new(LIMIT_POOL_QUEUE + MORE + 1, &clock);
    struct pool *pool = NULL;
    struct gate gate;

    (void)state;
    assert_true(pool_open(&pool, 1, NULL));
    gate_close(&gate, pool);
    for (int i = 0; i < LIMIT_POOL_QUEUE; i++)
        assert_true(pool_submit(pool, &entry[i].task));
    assert_false(pool_submit(pool, &entry[LIMIT_POOL_QUEUE].task));
    assert_int_equal(pool_waiting(pool), LIMIT_POOL_QUEUE);
    for (int i = 1; i <= MORE; i++)
        pool_follow(pool, &entry[LIMIT_POOL_QUEUE + i].task);
    assert_int_equal(pool_waiting(pool), LIMIT_POOL_QUEUE + MORE);
    assert_false(pool_submit(pool, &entry[LIMIT_POOL_QUEUE].task));
    sem_post(&gate.open);
    pool_close(pool);
    assert_int_equal(entry[LIMIT_POOL_QUEUE].times, 0);
    assert_int_equal(clock, LIMIT_POOL_QUEUE + MORE);
    free(entry);
}

/* A queue that ran empty takes tasks as a new one does. */
static void test_empty_and_again(void **state)
{
    enum { TIMES = 100 };
    struct pool *pool = NULL;
    struct gate gate[TIMES]; /* the thread may still be leaving the one before */

    (void)state;
    assert_true(pool_open(&pool, 1, NULL));
    for (int i = 0; i < TIMES; i++) {
        gate_close(&gate[i], pool);
        assert_int_equal(pool_waiting(pool), 0);
        sem_post(&gate[i].open);
    }
    pool_close(pool);
}

/* --- several threads --- */

/* As many tasks as threads can only pass when all of them are inside at once. */
struct meeting {
    struct task task;
    pthread_barrier_t *barrier;
    float *work;
};

static void run_meeting(struct task *task, float *work)
{
    struct meeting *const meeting = (struct meeting *)(void *)task;

    meeting->work = work;
    memset(work, 0, sizeof *work * DSC_WORK_MAX); /* all of it is this thread's */
    pthread_barrier_wait(meeting->barrier);
}

static void test_side_by_side(void **state)
{
    enum { THREADS = 5 };
    struct meeting meeting[THREADS];
    pthread_barrier_t barrier;
    struct pool *pool = NULL;

    (void)state;
    pthread_barrier_init(&barrier, NULL, THREADS);
    assert_true(pool_open(&pool, THREADS, NULL));
    assert_int_equal(pool_threads(pool), THREADS);
    for (int i = 0; i < THREADS; i++) {
        meeting[i] = (struct meeting) {.task = {.run = run_meeting}, .barrier = &barrier};
        assert_true(pool_submit(pool, &meeting[i].task));
    }
    pool_close(pool);
    for (int i = 0; i < THREADS; i++)
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(meeting[i].work, meeting[j].work);
    pthread_barrier_destroy(&barrier);
}

/* A task that has a task follow, down to nothing: a close waits for the last of them. */
struct chain {
    struct task task;
    struct pool *pool;
    atomic_int left;
};

static void run_chain(struct task *task, float *work)
{
    struct chain *const chain = (struct chain *)(void *)task;

    (void)work;
    if (atomic_fetch_sub(&chain->left, 1) > 1)
        pool_follow(chain->pool, task);
}

static void test_close_waits_for_what_follows(void **state)
{
    enum { CHAINS = 8, LINKS = 500 };
    struct chain chain[CHAINS];
    struct pool *pool = NULL;

    (void)state;
    assert_true(pool_open(&pool, 3, NULL));
    for (int i = 0; i < CHAINS; i++) {
        chain[i] = (struct chain) {.task = {.run = run_chain}, .pool = pool, .left = LINKS};
        assert_true(pool_submit(pool, &chain[i].task));
    }
    pool_close(pool);
    for (int i = 0; i < CHAINS; i++)
        assert_int_equal(atomic_load(&chain[i].left), 0);
}

/* Many threads submit; each task runs once. */
struct submitter {
    pthread_t thread;
    struct pool *pool;
    struct entry *entry;
    int count, refused;
};

static void *submit_all(void *arg)
{
    struct submitter *const submitter = arg;

    for (int i = 0; i < submitter->count; i++)
        if (!pool_submit(submitter->pool, &submitter->entry[i].task))
            submitter->refused++;
    return NULL;
}

static void test_many_submit(void **state)
{
    enum { SUBMITTERS = 4, EACH = 5000 };
    struct submitter submitter[SUBMITTERS];
    atomic_int clock = 0;
    int refused = 0;
    struct pool *pool = NULL;

    (void)state;
    assert_true(pool_open(&pool, 3, NULL));
    for (int i = 0; i < SUBMITTERS; i++) {
        submitter[i] =
            (struct submitter) {.pool = pool, .entry = entries_new(EACH, &clock), .count = EACH};
        assert_int_equal(pthread_create(&submitter[i].thread, NULL, submit_all, &submitter[i]), 0);
    }
    for (int i = 0; i < SUBMITTERS; i++)
        pthread_join(submitter[i].thread, NULL);
    pool_close(pool);
    for (int i = 0; i < SUBMITTERS; i++) {
        for (int j = 0; j < EACH; j++)
            assert_in_range(submitter[i].entry[j].times, 0, 1);
        refused += submitter[i].refused;
        free(submitter[i].entry);
    }
    assert_int_equal(atomic_load(&clock), SUBMITTERS * EACH - refused);
}

/* --- when there is not enough --- */

/* More threads than can be had: a sentence, and nothing left behind. */
static void test_too_many_threads(void **state)
{
    struct rlimit before, tight;
    struct pool *pool = NULL;
    dsc_err err = {0};

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)4 << 30; /* beside 8 MB for each stack */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* their shadow alone is more */
#endif
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    const bool opened = pool_open(&pool, 100000, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_false(opened);
    assert_int_equal(err.code, FAULT_OUT_OF_MEMORY);
    assert_non_null(strstr(err.text, "100000"));
    assert_true(pool_open(&pool, 2, NULL));
    pool_close(pool);
    pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_the_bound),
        cmocka_unit_test(test_empty_and_again),
        cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_close_waits_for_what_follows),
        cmocka_unit_test(test_many_submit),
        cmocka_unit_test(test_too_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
