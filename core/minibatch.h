/* minibatch.h -- what all problems that learn from a dataset have in common
 *
 * Their rows of parameters, a normal start, and a fresh minibatch at each step, drawn with
 * replacement from (seed, epoch, lane, t). Owns nothing; any thread. */
#ifndef DSC_MINIBATCH_H
#define DSC_MINIBATCH_H

#include "dataset.h"
#include "problem.h"

#define DSC_MINIBATCH_DATASET                                                                      \
    {                                                                                              \
        .name = "dataset", .kind = DSC_HYPER_DATASET, .doc = "What to learn from."                 \
    }
#define DSC_MINIBATCH_LABELS                                                                       \
    {                                                                                              \
        .name = "labels", .kind = DSC_HYPER_LIST, .min = 0, .max = DSC_CLASSES_MAX - 1,            \
        .doc = "Only the rows of these classes, which count from 0 in this order; []: all."        \
    }
#define DSC_MINIBATCH_BATCH                                                                        \
    {                                                                                              \
        .name = "batch", .kind = DSC_HYPER_INT, .min = 1, .max = 4096, .initial = 128,             \
        .doc = "Rows of a minibatch; each step has a fresh one."                                   \
    }
#define DSC_MINIBATCH_INIT                                                                         \
    {                                                                                              \
        .name = "init_std", .kind = DSC_HYPER_REAL, .min = 0, .max = 10, .initial = 0.01,          \
        .doc = "Standard deviation of weights and biases at the start."                            \
    }

/* Has the bound dataset classes to tell apart? DSC_EINVAL with where = "dataset". */
bool dsc_minibatch_check(const dsc_hyper *hyper, dsc_err *err);

/* theta [n] normal with deviation init_std. */
void dsc_minibatch_start(const dsc_draw *draw, double init_std, dsc_real *theta, size_t n);

/* x [rows][features] and target [rows] of step t. */
void dsc_minibatch_fill(const dsc_dataset *dataset, const dsc_draw *draw, uint64_t t, size_t rows,
                        dsc_real *x, dsc_real *target);

#endif
