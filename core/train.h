/* train.h -- meta-training: learning the weights of an optimizer on a distribution of functions
 *
 *     L(phi) = E_f sum_t w_t f(theta_t),   theta_{t+1} = theta_t + g_t(grad f(theta_t); phi)
 *
 * An epoch draws `functions` fresh functions and runs them to the horizon; each unroll of the way
 * gives one derivative (unroll.h), which Adam, after clipping its norm, takes one step with. Now
 * and then the weights are judged on functions drawn apart, and the best ones are what counts.
 *
 * A dsc_train owns the weights, Adam's moments and scratch, and belongs to one thread, which goes
 * on epoch by epoch and may between two of them look, save, or stop; the work inside is done by a
 * crew lent to it. It does no I/O and knows no time. Everything random comes from (seed, epoch,
 * lane) and derivatives are added in lane order, so a training gives the same bits with any number
 * of threads, and whether or not it was saved, ended and loaded on the way.
 *
 * Source: Andrychowicz et al. 2016; random scaling and convex helper: Lv, Jiang, Li 2017;
 * curriculum and imitation: Chen et al. 2020. */
#ifndef DSC_TRAIN_H
#define DSC_TRAIN_H

#include "batch.h"
#include "crew.h"
#include "model.h"
#include "teacher.h"

typedef struct dsc_train dsc_train;

/* The most horizons in a curriculum, and problems in a mixture. */
#define DSC_HORIZONS_MAX 16
#define DSC_PROBLEMS_MAX 16

typedef struct {
    const dsc_problem *problem;
    dsc_hyper hyper;
    double weight; /* > 0: its share of the batches */
} dsc_train_problem;

/* Some epochs follow a teacher instead (teacher.h). */
typedef struct {
    dsc_model *teacher; /* borrowed; NULL: never       */
    double probability; /* of an epoch to be one       */
    uint64_t epochs;    /* only the first ones; 0: all */
} dsc_imitation;

typedef enum {
    DSC_LOSS_UNIFORM, /* w_t = 1                                     */
    DSC_LOSS_LAST,    /* 1 at the end of each unroll, 0 elsewhere    */
    DSC_LOSS_NUMBERS, /* as given, one for each step of the horizon  */
} dsc_loss_kind;

typedef enum { DSC_SCHEDULE_CONSTANT, DSC_SCHEDULE_COSINE } dsc_schedule;

typedef struct {
    const dsc_family *family;
    dsc_hyper config;
    const float *phi; /* [phi_len] to begin with; NULL: fresh ones, from the seed */

    int problem_count;
    dsc_train_problem problems[DSC_PROBLEMS_MAX];
    dsc_dressing dressing;
    dsc_imitation imitation;

    int horizon_count; /* 1, or a curriculum */
    size_t horizons[DSC_HORIZONS_MAX];
    size_t unroll, functions; /* steps of an unroll; functions of an epoch */
    dsc_loss_kind loss;
    const double *loss_weights; /* [the last horizon], for DSC_LOSS_NUMBERS; borrowed */

    bool second_derivatives;

    double learning_rate, clip_norm; /* clip_norm 0: none */
    dsc_schedule schedule;
    uint64_t epochs;
    size_t validate_every, validation_functions; /* epochs; functions drawn apart */
    size_t patience; /* validations without a better one before the next horizon or the end; 0: any
                        number */
    uint64_t seed;
} dsc_train_spec;

typedef enum {
    DSC_TRAIN_RUNNING,
    DSC_TRAIN_COMPLETED,  /* all epochs                                                */
    DSC_TRAIN_EARLY_STOP, /* patience ran out                                          */
    DSC_TRAIN_DIVERGED,   /* too many steps were not finite; the best weights are kept */
} dsc_train_state;

typedef struct {
    dsc_train_state state;
    uint64_t epoch, epochs; /* done; in all */
    size_t horizon;
    double loss;             /* of the last epoch: weighted mean over steps and functions      */
    double validation, best; /* the last one and the best, likewise; NaN before there is one   */
    bool validated;          /* in the last epoch                                              */
    bool imitated;           /* the last epoch followed the teacher: loss is what it was off by */
    uint64_t skipped;        /* meta-steps whose loss or derivative was not finite             */
} dsc_train_progress;

/* Could this be begun, but for memory? DSC_EINVAL with where = the field's name in a job
 * ("unroll").
 */
bool dsc_train_check(const dsc_train_spec *spec, dsc_err *err) DSC_MUST_CHECK;

/* Begin. The spec is copied, all but loss_weights. Fails as dsc_train_check, and DSC_ENOMEM. */
bool dsc_train_new(dsc_train **out, const dsc_train_spec *spec, const dsc_crew *crew,
                   dsc_err *err) DSC_MUST_CHECK;
void dsc_train_free(dsc_train *train); /* NULL is fine */

/* One more epoch; only while the state is DSC_TRAIN_RUNNING. Fails only with DSC_ENOMEM; the
 * train is then to be loaded again, or freed. So it is when the crew has left jobs out. */
bool dsc_train_epoch(dsc_train *train, dsc_err *err) DSC_MUST_CHECK;

dsc_train_progress dsc_train_progress_of(const dsc_train *train);

/* The weights that count: the best validated, or the present ones before the first validation.
 * [phi_len], borrowed until the next epoch. */
const dsc_real *dsc_train_phi(const dsc_train *train);

/* Everything that an epoch depends on, as bytes; save writes dsc_train_bytes(train) of them. load
 * takes a train made of the same spec to where `bytes` was saved. DSC_EINVAL when they are not such
 * bytes; then nothing has changed. */
size_t dsc_train_bytes(const dsc_train *train);
void dsc_train_save(const dsc_train *train, void *bytes);
bool dsc_train_load(dsc_train *train, const void *bytes, size_t len, dsc_err *err) DSC_MUST_CHECK;

#endif
