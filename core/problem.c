/* problem.c -- the one list of problems */
#include "problem.h"

#include <string.h>

const dsc_problem *const dsc_problems[] = {
    &dsc_problem_quadratic,
    &dsc_problem_rosenbrock,
    &dsc_problem_rastrigin,
    &dsc_problem_styblinski_tang,
    &dsc_problem_lasso,
    &dsc_problem_matrix_factorization,
    &dsc_problem_mlp,
    &dsc_problem_softmax_regression,
    &dsc_problem_logistic_regression,
    &dsc_problem_linear_regression,
    &dsc_problem_convnet,
    &dsc_problem_sine_mlp,
    NULL,
};

const dsc_problem *dsc_problem_find(const char *name)
{
    for (const dsc_problem *const *problem = dsc_problems; *problem; problem++)
        if (strcmp((*problem)->name, name) == 0)
            return *problem;
    return NULL;
}
