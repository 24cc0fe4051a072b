/* test_lend.c -- every job once, and no worker twice at the same time */
#include "server/lend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdatomic.h>

enum { JOBS = 1000, THREADS = 3 };

struct tally {
    atomic_int jobs[JOBS], inside[THREADS];
    atomic_bool clash;
};

static void job(void *arg, size_t index, int worker)
{
    struct tally *const tally = arg;

    if (worker < 0 || worker >= THREADS || atomic_fetch_add(&tally->inside[worker], 1) != 0)
        atomic_store(&tally->clash, true);
    atomic_fetch_add(&tally->jobs[index], 1);
    atomic_fetch_sub(&tally->inside[worker], 1);
}

static void test_every_job_once(void **state)
{
    static struct tally tally;
    struct pool *pool = NULL;
    dsc_crew crew;

    (void)state;
    assert_true(pool_open(&pool, THREADS, NULL));
    crew = lend_pool(pool);
    assert_int_equal(crew.workers, THREADS);
    crew.run(crew.pool, 0, job, &tally); /* none, one, fewer than threads, many */
    crew.run(crew.pool, 1, job, &tally);
    crew.run(crew.pool, 2, job, &tally);
    for (int i = 0; i < 50; i++)
        crew.run(crew.pool, JOBS, job, &tally);
    assert_false(tally.clash);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(tally.jobs[i], 50 + (i < 1) + (i < 2));
    pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_job_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
