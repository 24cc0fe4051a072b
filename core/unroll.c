/* unroll.c -- T steps of a learned optimizer, and the way back through them
 *
 * Memory decides the shape of this. A step leaves a trace of some 300 numbers a coordinate, so 20
 * steps of 10,000 coordinates would be 250 MB that go to memory and come back. Lanes are therefore
 * cut into parts of DSC_UNROLL_LANES. With one part the traces of playing are kept. With several,
 * playing keeps the gradients and the state it began with, and the way back plays each part once
 * more, from the recording, into one part's traces: a third more arithmetic, a hundredth of the
 * memory, and all of it in cache.
 *
 * With second derivatives that cannot be: what one coordinate's gradient did at step k moves all
 * coordinates of its function at step k - 1, so all parts must go back side by side, step by step.
 * A curved unroll therefore keeps all traces.
 *
 * Parts depend on nothing but the number of lanes, so results do not depend on threads.
 *
 * Held to account by. tests/double/test_gradients.c (differences, of one part and of several),
 * tests/unit/test_train.c (golden values). */
#include "unroll.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct dsc_unroll {
    const dsc_trainable *trainable;
    dsc_hyper hyper;
    dsc_unroll_kind kind;
    size_t lanes_max, steps_max, part_max;
    size_t kept_max;     /* lanes whose traces are kept: a part, or all when curved */
    size_t lanes, steps; /* of the unroll just played */

    dsc_real *memory; /* owned; all of the following lie in it */
    dsc_real *grads;  /* [steps_max + 1][lanes] */
    dsc_real *begin;  /* [state_len] before the first step */
    dsc_real *update; /* [lanes] */
    dsc_real *thetas; /* [steps_max][lanes] where each step began; only when curved */
    uint64_t t;       /* of the first step */
    dsc_real *work;   /* of one part */
    /* of one part, or of all when curved: */
    dsc_real *trace;   /* [steps_max][trace_len] */
    dsc_real *state;   /* [state_len] */
    dsc_real *d_state; /* [state_len] */
    dsc_real *lambda;  /* [lanes] */
    dsc_real *d_grad;  /* [lanes] */
    dsc_real *product; /* [lanes] */
};

/* --- parts --- */

static size_t part_lanes(size_t lanes, size_t at)
{
    return lanes - at < DSC_UNROLL_LANES ? lanes - at : DSC_UNROLL_LANES;
}

size_t dsc_unroll_state_len(const dsc_trainable *trainable, const dsc_hyper *hyper, size_t lanes)
{
    size_t len = 0;

    for (size_t at = 0; at < lanes; at += DSC_UNROLL_LANES)
        len += trainable->state_len(hyper, part_lanes(lanes, at));
    return len;
}

static size_t trace_len(const dsc_unroll *u, size_t lanes)
{
    size_t len = 0;

    for (size_t at = 0; at < lanes; at += DSC_UNROLL_LANES)
        len += u->trainable->trace_len(&u->hyper, part_lanes(lanes, at));
    return len;
}

/* Are the traces of playing kept? */
static bool keeps_traces(const dsc_unroll *u)
{
    return u->kind == DSC_UNROLL_CURVED || u->lanes <= DSC_UNROLL_LANES;
}

/* --- life --- */

/* The next `len` numbers, from a multiple of 64 bytes. With no memory yet this only measures. */
static dsc_real *carve(dsc_real *memory, size_t *used, size_t len)
{
    dsc_real *const at = memory ? memory + *used : NULL;

    *used += (len + DSC_LANES - 1) / DSC_LANES * DSC_LANES;
    return at;
}

static size_t lay_out(dsc_unroll *u)
{
    const dsc_trainable *const trainable = u->trainable;
    const size_t kept = u->kept_max, curved = u->kind == DSC_UNROLL_CURVED ? kept : 0;
    size_t used = 0;

    u->grads = carve(u->memory, &used, (u->steps_max + 1) * u->lanes_max);
    u->begin = carve(u->memory, &used, dsc_unroll_state_len(trainable, &u->hyper, u->lanes_max));
    u->update = carve(u->memory, &used, u->lanes_max);
    u->thetas = carve(u->memory, &used, u->steps_max * curved);
    u->work = carve(u->memory, &used, trainable->work_len(&u->hyper, u->part_max));
    u->trace = carve(u->memory, &used, u->steps_max * trace_len(u, kept));
    u->state = carve(u->memory, &used, trainable->state_len(&u->hyper, u->part_max));
    u->d_state = carve(u->memory, &used, dsc_unroll_state_len(trainable, &u->hyper, kept));
    u->lambda = carve(u->memory, &used, kept);
    u->d_grad = carve(u->memory, &used, curved);
    u->product = carve(u->memory, &used, curved);
    return used;
}

static bool check_size(const dsc_unroll *u, dsc_err *err)
{
    const size_t bytes = u->steps_max * trace_len(u, u->kept_max) * sizeof(dsc_real);

    return bytes <= DSC_UNROLL_BYTES ||
           dsc_fail(err, DSC_ELIMIT, "second_derivatives",
                    "take %zu MB of traces for %zu coordinates and unrolls of %zu steps, more than "
                    "%zu",
                    bytes >> 20, u->lanes_max, u->steps_max, DSC_UNROLL_BYTES >> 20);
}

bool dsc_unroll_new(dsc_unroll **out, const dsc_trainable *trainable, const dsc_hyper *hyper,
                    dsc_unroll_kind kind, size_t lanes, size_t steps, dsc_err *err)
{
    dsc_unroll *const u = calloc(1, sizeof *u);

    assert(lanes % DSC_LANES == 0 && lanes > 0 && steps > 0);
    if (!u)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for an unroll");
    *u = (dsc_unroll) {.trainable = trainable,
                       .hyper = *hyper,
                       .kind = kind,
                       .lanes_max = lanes,
                       .steps_max = steps,
                       .part_max = part_lanes(lanes, 0)};
    u->kept_max = kind == DSC_UNROLL_CURVED ? lanes : u->part_max;
    if (!check_size(u, err)) {
        free(u);
        return false;
    }
    u->memory = aligned_alloc(64, lay_out(u) * sizeof *u->memory);
    if (!u->memory) {
        free(u);
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for unrolls of %zu steps", steps);
    }
    (void)lay_out(u);
    *out = u;
    return true;
}

void dsc_unroll_free(dsc_unroll *u)
{
    if (!u)
        return;
    free(u->memory);
    free(u);
}

/* --- forward --- */

static dsc_pass pass_of(const dsc_unroll *u, const dsc_pupil *pupil, size_t lanes)
{
    return (dsc_pass) {
        .hyper = pupil->hyper, .packed = pupil->packed, .lanes = lanes, .work = u->work};
}

/* Where the traces of step k lie, for `lanes` lanes: those of a part, or of all. */
static dsc_real *trace_at(const dsc_unroll *u, size_t k, size_t lanes)
{
    return u->trace + k * trace_len(u, lanes);
}

static void begin(dsc_unroll *u, const dsc_strand *strand, size_t steps)
{
    assert(strand->lanes <= u->lanes_max && steps <= u->steps_max);
    u->lanes = strand->lanes;
    u->steps = steps;
    u->t = strand->t;
    memcpy(u->begin, strand->state,
           dsc_unroll_state_len(u->trainable, &u->hyper, u->lanes) * sizeof *u->begin);
}

/* Step k of every part, from u->grads[k] into u->update. Traces that are not kept overwrite each
 * other. */
static void step(dsc_unroll *u, const dsc_pupil *pupil, dsc_real *state, size_t k)
{
    const dsc_real *const grad = u->grads + k * u->lanes;
    dsc_real *trace = keeps_traces(u) ? trace_at(u, k, u->lanes) : u->trace;

    for (size_t at = 0; at < u->lanes; at += DSC_UNROLL_LANES) {
        const size_t lanes = part_lanes(u->lanes, at);
        const dsc_pass pass = pass_of(u, pupil, lanes);

        u->trainable->step(&pass, grad + at, u->update + at, state, trace);
        state += u->trainable->state_len(&u->hyper, lanes);
        if (keeps_traces(u))
            trace += trace_len(u, lanes);
    }
}

void dsc_unroll_play(dsc_unroll *u, const dsc_pupil *pupil, dsc_strand *strand, size_t steps,
                     dsc_objective *objective, void *arg, double *losses)
{
    const size_t lanes = strand->lanes;

    begin(u, strand, steps);
    memset(u->grads, 0, (steps + 1) * lanes * sizeof *u->grads); /* lanes of nobody learn nothing */
    memcpy(u->grads, strand->grad, lanes * sizeof *u->grads);
    for (size_t k = 0; k < steps; k++) {
        if (u->kind == DSC_UNROLL_CURVED)
            memcpy(u->thetas + k * lanes, strand->theta, lanes * sizeof *u->thetas);
        step(u, pupil, strand->state, k);
        for (size_t i = 0; i < lanes; i++)
            strand->theta[i] += u->update[i];
        losses[k] = objective(arg, ++strand->t, strand->theta, u->grads + (k + 1) * lanes);
    }
    memcpy(strand->grad, u->grads + steps * lanes, lanes * sizeof *u->grads);
}

void dsc_unroll_replay(dsc_unroll *u, const dsc_pupil *pupil, dsc_strand *strand, size_t steps,
                       const dsc_real *grads, dsc_real *updates)
{
    begin(u, strand, steps);
    memcpy(u->grads, grads, (steps + 1) * u->lanes * sizeof *grads);
    for (size_t k = 0; k < steps; k++) {
        step(u, pupil, strand->state, k);
        if (updates)
            memcpy(updates + k * u->lanes, u->update, u->lanes * sizeof *updates);
    }
    strand->t += steps;
    memcpy(strand->grad, grads + steps * u->lanes, u->lanes * sizeof *grads);
}

/* --- and back --- */

/* What the loss is: by the points reached, or by the updates themselves. */
typedef struct {
    const double *weights;  /* [steps], or NULL */
    const dsc_real *errors; /* [steps][lanes]   */
} lesson;

/* Make lambda [lanes] of lanes `at` on the derivative by the update of step k. Steps are asked for
 * from the last one. */
static void derive(dsc_unroll *u, const lesson *from, size_t k, size_t at, size_t lanes,
                   dsc_real *lambda)
{
    const dsc_real *const grad = u->grads + (k + 1) * u->lanes + at;

    if (from->errors) {
        memcpy(lambda, from->errors + k * u->lanes + at, lanes * sizeof *lambda);
        return;
    }
    for (size_t i = 0; i < lanes; i++)
        lambda[i] += (dsc_real)from->weights[k] * grad[i];
}

static void replay_part(dsc_unroll *u, const dsc_pass *pass, size_t at, const dsc_real *state)
{
    memcpy(u->state, state, u->trainable->state_len(&u->hyper, pass->lanes) * sizeof *state);
    for (size_t k = 0; k < u->steps; k++)
        u->trainable->step(pass, u->grads + k * u->lanes + at, u->update, u->state,
                           trace_at(u, k, pass->lanes));
}

/* Part by part, each through all steps. */
static void back(dsc_unroll *u, const dsc_pupil *pupil, const lesson *from, dsc_real *d_packed)
{
    const dsc_real *state = u->begin;

    for (size_t at = 0; at < u->lanes; at += DSC_UNROLL_LANES) {
        const size_t lanes = part_lanes(u->lanes, at);
        const size_t state_len = u->trainable->state_len(&u->hyper, lanes);
        const dsc_pass pass = pass_of(u, pupil, lanes);

        if (u->lanes > DSC_UNROLL_LANES)
            replay_part(u, &pass, at, state);
        memset(u->lambda, 0, lanes * sizeof *u->lambda);
        memset(u->d_state, 0, state_len * sizeof *u->d_state);
        for (size_t k = u->steps; k-- > 0;) {
            derive(u, from, k, at, lanes, u->lambda);
            u->trainable->backward(&pass, u->grads + k * u->lanes + at, u->lambda,
                                   trace_at(u, k, lanes), d_packed, u->d_state, NULL);
        }
        state += state_len;
    }
}

/* Step k of all parts: into d_packed, d_state and d_grad. */
static void back_step(dsc_unroll *u, const dsc_pupil *pupil, const lesson *from, size_t k,
                      dsc_real *d_packed)
{
    const dsc_real *trace = trace_at(u, k, u->lanes);
    dsc_real *d_state = u->d_state;

    for (size_t at = 0; at < u->lanes; at += DSC_UNROLL_LANES) {
        const size_t lanes = part_lanes(u->lanes, at);
        const dsc_pass pass = pass_of(u, pupil, lanes);

        derive(u, from, k, at, lanes, u->lambda + at);
        u->trainable->backward(&pass, u->grads + k * u->lanes + at, u->lambda + at, trace, d_packed,
                               d_state, u->d_grad + at);
        trace += trace_len(u, lanes);
        d_state += u->trainable->state_len(&u->hyper, lanes);
    }
}

/* lambda += H d_grad at theta_k, which is lambda's own point: what the gradient seen there did. */
static void add_curvature(dsc_unroll *u, size_t k, dsc_curvature *curvature, void *arg)
{
    memset(u->product, 0, u->lanes * sizeof *u->product);
    curvature(arg, u->t + k, u->thetas + k * u->lanes, u->d_grad, u->product);
    for (size_t i = 0; i < u->lanes; i++)
        u->lambda[i] += u->product[i];
}

void dsc_unroll_back(dsc_unroll *u, const dsc_pupil *pupil, const double *weights,
                     dsc_real *d_packed)
{
    back(u, pupil, &(lesson) {.weights = weights}, d_packed);
}

/* Step by step, each through all parts. */
void dsc_unroll_back_curved(dsc_unroll *u, const dsc_pupil *pupil, const double *weights,
                            dsc_curvature *curvature, void *arg, dsc_real *d_packed)
{
    const lesson from = {.weights = weights};

    assert(u->kind == DSC_UNROLL_CURVED);
    memset(u->lambda, 0, u->lanes * sizeof *u->lambda);
    memset(u->d_state, 0,
           dsc_unroll_state_len(u->trainable, &u->hyper, u->lanes) * sizeof *u->d_state);
    for (size_t k = u->steps; k-- > 0;) {
        back_step(u, pupil, &from, k, d_packed);
        if (k > 0) /* the unroll's first point is given */
            add_curvature(u, k, curvature, arg);
    }
}

void dsc_unroll_back_updates(dsc_unroll *u, const dsc_pupil *pupil, const dsc_real *errors,
                             dsc_real *d_packed)
{
    back(u, pupil, &(lesson) {.errors = errors}, d_packed);
}
