/* batch.h -- functions of one problem, drawn together to be minimised side by side
 *
 * A batch owns the functions and where each of them stands. Coordinates of one function follow one
 * another, function after function, as the lanes of a dsc_strand. What is drawn depends on seed,
 * epoch and lane only. One thread at a time.
 *
 * Training may dress each function up, so that an optimizer meets scales and curvatures that its
 * problems do not have (Lv, Jiang, Li 2017, section 4):
 *
 *     random scale L    f(c theta) from theta_0 / c, with c_i = exp(U(-L, L)) for each coordinate
 *     convex helper     + mean of min((x - a)^2, 10) over 20 more coordinates x; a and x_0 normal
 */
#ifndef DSC_BATCH_H
#define DSC_BATCH_H

#include "problem.h"
#include "unroll.h"

/* Coordinates that the convex helper adds to a function. */
#define DSC_HELPER_COORDINATES ((size_t)20)

typedef struct {
    double random_scale; /* L; 0 leaves functions as they are */
    bool convex_helper;
} dsc_dressing;

typedef struct {
    const dsc_problem *problem;
    const dsc_hyper *hyper;
    dsc_dressing dressing;
    dsc_draw first;             /* of the first function; the others have the next lanes */
    size_t functions, n, lanes; /* n: coordinates of one, the helper's included */
    dsc_strand strand;

    dsc_real *memory; /* owned; all of the following, and the strand's arrays, lie in it */
    size_t capacity;
    dsc_real *data;   /* [functions][data_len]                */
    dsc_real *scale;  /* [lanes] c, when there is one         */
    dsc_real *target; /* [functions][helper] a, when there is */
    dsc_real *point;  /* [dim] c theta                        */
    dsc_real *along;  /* [dim] c v                            */
    dsc_real *work;   /* [work_len]                           */
} dsc_batch;

/* How many of `left` functions of n coordinates go well into one batch: one if they are large, else
 * as many as fill DSC_UNROLL_LANES with the least waste. */
size_t dsc_batch_functions(size_t n, size_t left);

/* Coordinates of a dressed function. */
size_t dsc_batch_n(const dsc_problem *problem, const dsc_hyper *hyper,
                   const dsc_dressing *dressing);

/* Draw `functions` functions, stand each at its start, with state 0 and the gradient there. The
 * batch is zeroed before its first use; its memory grows when it must and is kept. Problem and
 * hyper are borrowed. DSC_ENOMEM. */
bool dsc_batch_draw(dsc_batch *batch, const dsc_trainable *trainable, const dsc_hyper *config,
                    const dsc_problem *problem, const dsc_hyper *hyper,
                    const dsc_dressing *dressing, const dsc_draw *first, size_t functions,
                    dsc_err *err) DSC_MUST_CHECK;
void dsc_batch_clear(dsc_batch *batch);

/* A dsc_objective whose arg is the batch. */
double dsc_batch_eval(void *batch, uint64_t t, const dsc_real *theta, dsc_real *grad);

/* A dsc_curvature likewise, of a problem that has a curve. */
void dsc_batch_curve(void *batch, uint64_t t, const dsc_real *theta, const dsc_real *v,
                     dsc_real *product);

#endif
