/* problem.c -- the one list of problems */
#include "problem.h"

#include <string.h>

const dsc_problem *const dsc_problems[] = {
    &dsc_problem_quadratic,
    NULL,
};

const dsc_problem *dsc_problem_find(const char *name)
{
    for (const dsc_problem *const *problem = dsc_problems; *problem; problem++)
        if (strcmp((*problem)->name, name) == 0)
            return *problem;
    return NULL;
}
