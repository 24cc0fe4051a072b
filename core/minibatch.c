/* minibatch.c -- what all problems that learn from a dataset have in common */
#include "minibatch.h"

/* Streams of minibatches stand apart from those of functions. */
#define BATCH_EPOCHS (UINT64_C(1) << 60)

bool dsc_minibatch_check(const dsc_hyper *hyper, dsc_err *err)
{
    if (hyper->dataset->classes == 0)
        return dsc_fail(err, DSC_EINVAL, "dataset", "%s has numbers to predict, not classes",
                        hyper->dataset_name);
    return hyper->dataset->classes >= 2 ||
           dsc_fail(err, DSC_EINVAL, "dataset", "%s has 1 class; there is nothing to tell apart",
                    hyper->dataset_name);
}

void dsc_minibatch_start(const dsc_draw *draw, double init_std, dsc_real *theta, size_t n)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch, draw->lane);

    for (size_t i = 0; i < n; i++)
        theta[i] = (dsc_real)(init_std * dsc_rng_normal(&rng));
}

void dsc_minibatch_fill(const dsc_dataset *dataset, const dsc_draw *draw, uint64_t t, size_t rows,
                        dsc_real *x, dsc_real *target)
{
    dsc_rng rng = dsc_rng_at(draw->seed, draw->epoch + BATCH_EPOCHS, draw->lane << 32 ^ t);

    for (size_t i = 0; i < rows; i++) {
        const size_t row = (size_t)dsc_rng_below(&rng, dataset->rows);

        dsc_dataset_row(dataset, row, x + i * dataset->features);
        target[i] = (dsc_real)dataset->targets[row];
    }
}
