/* run.c -- one optimization in progress
 *
 * A run is its state array and a step counter. dsc_run_check is what keeps a promise: when it has
 * said yes, the step cannot fail. It scans the gradient once, for finiteness and for the largest
 * size, and asks the family for a bound (some want the state's largest number too); only where the
 * bound is beyond the limit is the step itself computed, block by block on copies of the state, to
 * see. A family that proposes computes its proposal, which reads the state and writes only drafts
 * and scratch. */
#include "run.h"

#include "coupling.h"
#include "rule.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64 };

struct dsc_run {
    dsc_model *model; /* holds a count */
    size_t n, width;  /* coordinates; numbers kept of each */
    uint64_t steps;
    bool imported;         /* the family's bounds do not hold */
    float *state;          /* [state_len] owned; never NULL */
    dsc_coupling coupling; /* its contents are scratch, all but what it keeps */
};

/* --- life --- */

static size_t state_len(const dsc_run *run)
{
    return dsc_model_state_len(run->model, run->n);
}

/* NULL when there is no memory, or never could be. One number more, so that none is NULL. */
static float *state_new(size_t n, size_t width)
{
    const size_t most = (SIZE_MAX / 2 - ALIGNMENT) / sizeof(float);
    size_t len;

    if (n > most - DSC_LANES || __builtin_mul_overflow(dsc_state_lanes(n), width, &len) ||
        len > most)
        return NULL;
    return aligned_alloc(ALIGNMENT, (len * sizeof(float) + ALIGNMENT) / ALIGNMENT * ALIGNMENT);
}

bool dsc_run_new(dsc_run **out, dsc_model *model, size_t n, dsc_err *err)
{
    const size_t width = dsc_model_state_layout(model)->len;
    dsc_run *const run = calloc(1, sizeof *run);
    float *const state = state_new(n, width);
    dsc_coupling coupling = {0};

    assert(n >= 1);
    if (!run || !state || !dsc_coupling_init(&coupling, model, n)) {
        free(run);
        free(state);
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the state of %zu coordinates", n);
    }
    *run = (dsc_run) {.model = dsc_model_hold(model),
                      .n = n,
                      .width = width,
                      .state = state,
                      .coupling = coupling};
    dsc_run_reset(run);
    *out = run;
    return true;
}

void dsc_run_free(dsc_run *run)
{
    if (!run)
        return;
    dsc_model_drop(run->model);
    dsc_coupling_release(&run->coupling);
    free(run->state);
    free(run);
}

dsc_model *dsc_run_model(const dsc_run *run)
{
    return run->model;
}

size_t dsc_run_n(const dsc_run *run)
{
    return run->n;
}

uint64_t dsc_run_steps(const dsc_run *run)
{
    return run->steps;
}

void dsc_run_reset(dsc_run *run)
{
    const dsc_family *const family = dsc_model_family(run->model);

    if (family->state_init)
        family->state_init(run->state, run->n, dsc_model_hyper(run->model));
    else
        memset(run->state, 0, state_len(run) * sizeof *run->state);
    dsc_coupling_reset(&run->coupling);
    run->imported = false;
    run->steps = 0;
}

float *dsc_work_new(void)
{
    return aligned_alloc(ALIGNMENT, DSC_WORK_MAX * sizeof(float));
}

void dsc_work_free(float *work)
{
    free(work);
}

/* --- the shape of a step --- */

static const dsc_coupled *coupled(const dsc_run *run)
{
    return dsc_model_family(run->model)->coupled;
}

bool dsc_run_coupled(const dsc_run *run)
{
    return coupled(run) != NULL;
}

int dsc_run_phases(const dsc_run *run)
{
    return coupled(run) ? coupled(run)->phases(dsc_model_hyper(run->model)) : 1;
}

int dsc_run_proposal(const dsc_run *run)
{
    return coupled(run) && coupled(run)->proposes ? dsc_run_phases(run) - 1 : 0;
}

size_t dsc_run_grain(const dsc_run *run)
{
    return coupled(run) ? DSC_TILE : DSC_BLOCK;
}

/* --- one pass --- */

/* One tile, which begins at coordinate c; grad and update are those of c. */
static void step_tile(const dsc_run *run, uint64_t t, int phase, size_t c, const float *grad,
                      float *update, float *work)
{
    const size_t left = run->n - c;
    const dsc_span span = {.t = t,
                           .n = left < DSC_TILE ? left : DSC_TILE,
                           .grad = grad,
                           .update = update,
                           .state = run->state + c * run->width,
                           .work = work,
                           .phase = phase,
                           .begin = c,
                           .shared = dsc_coupling_shared(&run->coupling, phase),
                           .partial = dsc_coupling_row(&run->coupling, c)};

    dsc_model_family(run->model)->step(run->model, &span);
}

static void step_range(const dsc_run *run, uint64_t t, size_t begin, size_t end, const float *grad,
                       float *update, float *work)
{
    const dsc_span span = {.t = t,
                           .n = end - begin,
                           .grad = grad,
                           .update = update,
                           .state = run->state + begin * run->width,
                           .work = work};

    if (begin < end)
        dsc_model_family(run->model)->step(run->model, &span);
}

void dsc_run_phase(dsc_run *run, uint64_t t, int phase, size_t begin, size_t end, const float *grad,
                   float *update, float *work)
{
    const size_t grain = dsc_run_grain(run);

    assert(phase >= 0 && phase < dsc_run_phases(run));
    assert(begin % grain == 0 && begin <= end && end <= run->n);
    assert(end % grain == 0 || end == run->n);
    if (!coupled(run))
        step_range(run, t, begin, end, grad, update, work);
    else
        for (size_t c = begin; c < end; c += DSC_TILE)
            step_tile(run, t, phase, c, grad + (c - begin), update + (c - begin), work);
}

void dsc_run_join(dsc_run *run, uint64_t t, int phase)
{
    assert(coupled(run) && phase >= 0 && phase < dsc_run_phases(run) - 1);
    dsc_coupling_join(&run->coupling, run->model, t, phase);
}

void dsc_run_span(dsc_run *run, uint64_t t, size_t begin, size_t end, const float *grad,
                  float *update, float *work)
{
    assert(!coupled(run));
    dsc_run_phase(run, t, 0, begin, end, grad, update, work);
}

/* --- may this gradient be taken? --- */

static float largest(const dsc_run *run, const float *x, size_t n)
{
    return dsc_model_kernel(run->model)->rules->largest(x, n);
}

static bool fail_at(dsc_err *err, const char *array, size_t at, const char *text)
{
    char where[sizeof err->where];

    (void)snprintf(where, sizeof where, "%s[%zu]", array, at);
    return dsc_fail(err, DSC_ENUMERIC, where, "%s", text);
}

/* Every |x[i]| <= limit; else the first that is not is reported at begin + i. False for NaN. */
static bool check_updates(const dsc_run *run, const float *x, size_t n, size_t begin, double limit,
                          dsc_err *err)
{
    if ((double)largest(run, x, n) <= limit)
        return true;
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)x[i]) <= limit))
            return fail_at(err, "update", begin + i, "would not be within the limit");
    return true;
}

/* One block on a copy: work holds its state, its update and the family's scratch, in this order;
 * all are multiples of 64 bytes long. */
static bool probe_block(const dsc_run *run, const float *grad, size_t c, double limit, float *work,
                        dsc_err *err)
{
    const size_t lanes = dsc_state_block(c, run->n);
    const size_t left = run->n - c;
    float *const update = work + run->width * DSC_BLOCK;
    const dsc_span span = {.t = run->steps,
                           .n = left < lanes ? left : lanes,
                           .grad = grad + c,
                           .update = update,
                           .state = work,
                           .work = update + DSC_BLOCK};

    memcpy(work, run->state + c * run->width, lanes * run->width * sizeof *work);
    dsc_model_family(run->model)->step(run->model, &span);
    return check_updates(run, update, span.n, c, limit, err);
}

static bool probe(const dsc_run *run, const float *grad, double limit, float *work, dsc_err *err)
{
    assert((run->width + 1) * DSC_BLOCK + dsc_model_work_len(run->model) <= DSC_WORK_MAX);
    for (size_t c = 0; c < run->n; c += dsc_state_block(c, run->n))
        if (!probe_block(run, grad, c, limit, work, err))
            return false;
    return true;
}

static bool fail_gradient(const float *grad, size_t n, dsc_err *err)
{
    size_t at = 0;

    while (at < n - 1 && isfinite(grad[at]))
        at++;
    return fail_at(err, "gradient", at, "is not a finite number");
}

/* The passes before the one that writes the update, each with its join: what is left is a draft. */
static void propose(const dsc_run *run, const float *grad, float *work)
{
    for (int phase = 0; phase < dsc_run_proposal(run) - 1; phase++) {
        for (size_t c = 0; c < run->n; c += DSC_TILE)
            step_tile(run, run->steps, phase, c, grad + c, NULL, work);
        dsc_coupling_join(&run->coupling, run->model, run->steps, phase);
    }
}

/* The update of a proposal, tile by tile into scratch. */
static bool probe_proposal(const dsc_run *run, const float *grad, double limit, float *work,
                           dsc_err *err)
{
    const int last = dsc_run_proposal(run) - 1;

    assert(DSC_TILE + dsc_model_work_len(run->model) <= DSC_WORK_MAX);
    propose(run, grad, work);
    for (size_t c = 0; c < run->n; c += DSC_TILE) {
        const size_t left = run->n - c;

        step_tile(run, run->steps, last, c, grad + c, work, work + DSC_TILE);
        if (!check_updates(run, work, left < DSC_TILE ? left : DSC_TILE, c, limit, err))
            return false;
    }
    return true;
}

bool dsc_run_check_gradient(const dsc_run *run, const float *grad, dsc_err *err)
{
    return isfinite(largest(run, grad, run->n)) || fail_gradient(grad, run->n, err);
}

bool dsc_run_check_update(const dsc_run *run, const float *update, double limit, dsc_err *err)
{
    return check_updates(run, update, run->n, 0, limit, err);
}

/* A coupled family that does not propose has nothing to try its step on. */
static bool probe_any(const dsc_run *run, const float *grad, double limit, float *work,
                      dsc_err *err)
{
    if (dsc_run_proposal(run) > 0)
        return probe_proposal(run, grad, limit, work, err);
    if (!coupled(run))
        return probe(run, grad, limit, work, err);
    return dsc_fail(err, DSC_ENUMERIC, "update[0]", "might not be within the limit");
}

static double update_bound(const dsc_run *run, float grad_max)
{
    const dsc_family *const family = dsc_model_family(run->model);
    const float state_max =
        family->bound_reads_state ? largest(run, run->state, state_len(run)) : 0;

    return family->update_bound(run->model, (double)grad_max, (double)state_max);
}

bool dsc_run_check(const dsc_run *run, const float *grad, double limit, float *work, dsc_err *err)
{
    const float grad_max = largest(run, grad, run->n);

    if (!isfinite(grad_max))
        return fail_gradient(grad, run->n, err);
    if (!run->imported && update_bound(run, grad_max) <= limit)
        return true;
    return probe_any(run, grad, limit, work, err);
}

/* --- the step --- */

void dsc_run_advance(dsc_run *run)
{
    dsc_coupling_keep(&run->coupling);
    run->steps++;
}

void dsc_run_replay(dsc_run *run, uint64_t t, const float *grad, float *update, float *work)
{
    run->steps = t;
    for (int phase = 0; phase < dsc_run_phases(run); phase++) {
        if (phase > 0)
            dsc_run_join(run, t, phase - 1);
        dsc_run_phase(run, t, phase, 0, run->n, grad, update, work);
    }
    dsc_run_advance(run);
}

bool dsc_run_step(dsc_run *run, const float *grad, float *update, float *work, dsc_err *err)
{
    const double float_max = 0x1.fffffep127;

    if (!dsc_run_check(run, grad, float_max, work, err))
        return false;
    dsc_run_replay(run, run->steps, grad, update, work);
    return true;
}

/* --- save and load --- */

float *dsc_run_state(dsc_run *run, size_t begin, size_t end, size_t *len)
{
    assert(begin % DSC_BLOCK == 0 && begin <= end && end <= run->n);
    assert(end % DSC_BLOCK == 0 || end == run->n);
    *len = (end == run->n ? dsc_state_lanes(end) - begin : end - begin) * run->width;
    return run->state + begin * run->width;
}

double *dsc_run_shared(dsc_run *run, size_t *len)
{
    *len = dsc_model_shared_len(run->model);
    return run->coupling.kept;
}

void dsc_run_set_steps(dsc_run *run, uint64_t steps)
{
    run->steps = steps;
}

void dsc_run_set_imported(dsc_run *run, bool imported)
{
    run->imported = imported;
}
