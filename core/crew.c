/* crew.c -- the crew that everyone has */
#include "crew.h"

static void run_alone(void *pool, size_t jobs, dsc_job *job, void *arg)
{
    (void)pool;
    for (size_t i = 0; i < jobs; i++)
        job(arg, i, 0);
}

const dsc_crew dsc_crew_alone = {1, run_alone, NULL};
