/* family_lbfgs.c -- L-BFGS: Newton's step with what the last few steps have told of the curvature
 *
 * Of each of the last m steps a pair is kept: s, the update that was given, and y, how much the
 * gradient changed by it. The two-loop recursion turns the pairs and a gradient g into the
 * direction -H g, where H is the inverse Hessian that BFGS would have built from them, starting
 * from gamma times the identity, gamma = s.y / y.y of the newest pair:
 *
 *     q = -g
 *     newest to oldest:   a_i = s_i.q / s_i.y_i      q = q - a_i y_i
 *     q = gamma q
 *     oldest to newest:   b_i = y_i.q / s_i.y_i      q = q + (a_i - b_i) s_i
 *     update = learning_rate q
 *
 * A pair is kept only where s.y > 1e-10, which keeps H positive. The first step, when nothing is
 * known yet, is -learning_rate min(1, 1 / |g|_1) g. There is no line search: a server that is sent
 * one gradient a step cannot do one.
 *
 * q is always a sum of the vectors g, s_i and y_i, so the recursion can be run on its coefficients
 * alone, once the scalar products of these vectors are known (Chen, Wang, Zhou 2014). That is what
 * makes a step three passes over the coordinates, in ranges on any number of threads, with a little
 * arithmetic on one thread between them:
 *
 *     pass 0    products of the new s, the new y, and g with all vectors, summed up by tiles
 *     join 0    keep the new pair or not; the recursion, on the products; 2 m + 1 coefficients
 *     pass 1    update <- the sum of the vectors with these coefficients
 *     pass 2    the new pair, g and the update go into the state
 *
 * Products of old vectors are kept in the shared numbers, so a step adds 5 m + 5 of them. s.s is
 * never needed. Products and coefficients are double; the vectors themselves are float, and y is a
 * difference of two of the client's gradients, rounded once.
 *
 * State of a coordinate: s [m], y [m], as a ring whose oldest pair is `head`, the last gradient,
 * the last update: 88 bytes for m = 10. A step reads it twice and writes a tenth of it.
 *
 * Sources. Nocedal: Updating quasi-Newton matrices with limited storage (1980); Liu, Nocedal: On
 * the limited memory BFGS method (1989); Chen, Wang, Zhou: Large-scale L-BFGS using MapReduce
 * (2014). Conventions are those of torch.optim.LBFGS with max_iter = 1 and tolerances 0.
 * Held to account by tests/golden (PyTorch), tests/unit/test_family_lbfgs.c (the textbook's
 * recursion on whole vectors; quadratics), tests/laws. */
#include "family.h"
#include "family_rows.h"
#include "model.h"
#include "rule.h"

#include <math.h>
#include <string.h>

enum { LEARNING_RATE, HISTORY_SIZE };

/* A hundred pairs are more than anyone has found of use; the shared numbers grow with the square.
 */
enum { PAIRS_MAX = 100 };

static const double curvature_min = 1e-10;

static const dsc_hyper_spec hyper_spec[] = {
    [LEARNING_RATE] = DSC_ROW_LEARNING_RATE(1, "The share of Newton's step that is taken."),
    [HISTORY_SIZE] = {.name = "history_size",
                      .kind = DSC_HYPER_INT,
                      .min = 1,
                      .max = PAIRS_MAX,
                      .initial = 10,
                      .doc = "Pairs of steps and changes of the gradient that are kept."},
    {.name = NULL},
};

static size_t pairs_of(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[HISTORY_SIZE];
}

static void lbfgs_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    dsc_layout_add(state, "s", 0, 1, pairs_of(hyper), 0);
    dsc_layout_add(state, "y", 0, 1, pairs_of(hyper), 0);
    dsc_layout_add(state, "last_gradient", 0, 0, 0, 0);
    dsc_layout_add(state, "last_update", 0, 0, 0, 0);
}

/* --- what the coordinates share --- */

/* Shared numbers: these, then s_a.y_b [m, m], y_a.y_b [m, m], coefficients of s [m] and y [m]. */
enum {
    COUNT, /* of pairs                                          */
    HEAD,  /* the slot of the oldest                            */
    FRESH, /* the slot that this step's pair goes to, or -1     */
    SCALE, /* the coefficient of the gradient                   */
    FIXED
};

/* Partial sums: these, then for each slot products of its vectors with the new ones. */
enum { S_Y, Y_Y, G_S, G_Y, G_SIZE, NEW_PRODUCTS };
enum { OLD_S_Y, S_OLD_Y, Y_OLD_Y, G_OLD_S, G_OLD_Y, OLD_PRODUCTS };

static size_t shared_len(const dsc_hyper *hyper)
{
    const size_t m = pairs_of(hyper);

    return FIXED + 2 * m * m + 2 * m;
}

static size_t partial_len(const dsc_hyper *hyper)
{
    return NEW_PRODUCTS + OLD_PRODUCTS * pairs_of(hyper);
}

/* The shared numbers by name, for the join that writes them ... */
typedef struct {
    size_t m;
    double *fixed;   /* [FIXED] */
    double *sy, *yy; /* [m, m] by slot; sy[a * m + b] = s_a.y_b */
    double *s, *y;   /* [m] coefficients by slot */
} memory;

static memory memory_of(const dsc_hyper *hyper, double *shared)
{
    const size_t m = pairs_of(hyper);
    double *const sy = shared + FIXED;

    return (memory) {m, shared, sy, sy + m * m, sy + 2 * m * m, sy + 2 * m * m + m};
}

/* ... and what the passes after it read. */
typedef struct {
    size_t m, count;
    size_t fresh; /* m: there is none */
    double scale;
    const double *s, *y; /* [m] */
} plan;

static plan plan_of(const dsc_hyper *hyper, const double *shared)
{
    const size_t m = pairs_of(hyper);
    const double *const s = shared + FIXED + 2 * m * m;
    const size_t fresh = shared[FRESH] < 0 ? m : (size_t)shared[FRESH];

    return (plan) {m, (size_t)shared[COUNT], fresh, shared[SCALE], s, s + m};
}

/* --- pass 0: products --- */

/* The vectors of one block: rows of the state, and the new ones, whole to the last lane. */
typedef struct {
    size_t lanes, left;  /* of them coordinates */
    const float *s, *y;  /* slot after slot      */
    const float *update; /* the last one: the new s */
    float grad[DSC_BLOCK], change[DSC_BLOCK];
} block;

static block block_at(const dsc_span *span, size_t c, size_t m)
{
    const size_t lanes = dsc_state_block(c, span->n);
    const float *const state = span->state + c * (2 * m + 2);
    const float *const last = state + 2 * m * lanes;
    block b = {.lanes = lanes,
               .left = span->n - c < lanes ? span->n - c : lanes,
               .s = state,
               .y = state + m * lanes,
               .update = last + lanes};

    memcpy(b.grad, span->grad + c, b.left * sizeof *b.grad);
    for (size_t i = 0; i < lanes; i++)
        b.change[i] = b.grad[i] - last[i];
    return b;
}

/* sums: rows of DSC_LANES, in the order of the partial sums. */
static void add_products(const dsc_rules *rules, const block *b, size_t count, double *sums)
{
    double *const old = sums + NEW_PRODUCTS * DSC_LANES;
    float sign[DSC_BLOCK];

    for (size_t i = 0; i < b->lanes; i++)
        sign[i] = (float)((b->grad[i] > 0) - (b->grad[i] < 0));
    rules->dot(sums + S_Y * DSC_LANES, b->update, b->change, b->lanes);
    rules->dot(sums + Y_Y * DSC_LANES, b->change, b->change, b->lanes);
    rules->dot(sums + G_S * DSC_LANES, b->grad, b->update, b->lanes);
    rules->dot(sums + G_Y * DSC_LANES, b->grad, b->change, b->lanes);
    rules->dot(sums + G_SIZE * DSC_LANES, b->grad, sign, b->lanes);
    for (size_t j = 0; j < count; j++) {
        double *const row = old + j * OLD_PRODUCTS * DSC_LANES;
        const float *const s = b->s + j * b->lanes, *const y = b->y + j * b->lanes;

        rules->dot(row + OLD_S_Y * DSC_LANES, s, b->change, b->lanes);
        rules->dot(row + S_OLD_Y * DSC_LANES, b->update, y, b->lanes);
        rules->dot(row + Y_OLD_Y * DSC_LANES, b->change, y, b->lanes);
        rules->dot(row + G_OLD_S * DSC_LANES, b->grad, s, b->lanes);
        rules->dot(row + G_OLD_Y * DSC_LANES, b->grad, y, b->lanes);
    }
}

static void measure(const dsc_model *model, const dsc_span *span)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const size_t m = pairs_of(hyper), count = (size_t)span->shared[COUNT];
    const size_t products = NEW_PRODUCTS + OLD_PRODUCTS * count;
    double *const sums = (double *)(void *)span->work;

    memset(sums, 0, products * DSC_LANES * sizeof *sums);
    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, m);

        add_products(dsc_model_kernel(model)->rules, &b, count, sums);
    }
    for (size_t p = 0; p < products; p++)
        for (size_t lane = 0; lane < DSC_LANES; lane++)
            span->partial[p] += sums[p * DSC_LANES + lane];
}

/* --- join 0: the recursion on coefficients --- */

/* Take the new pair in, in the place of the oldest when there is no room: its row and column. */
static void keep_pair(const memory *k, const double *sum)
{
    const double *const old = sum + NEW_PRODUCTS;
    const size_t count = (size_t)k->fixed[COUNT], head = (size_t)k->fixed[HEAD];
    const size_t slot = count < k->m ? count : head;

    for (size_t j = 0; j < count; j++) {
        k->sy[j * k->m + slot] = old[j * OLD_PRODUCTS + OLD_S_Y];
        k->sy[slot * k->m + j] = old[j * OLD_PRODUCTS + S_OLD_Y];
        k->yy[j * k->m + slot] = k->yy[slot * k->m + j] = old[j * OLD_PRODUCTS + Y_OLD_Y];
    }
    k->sy[slot * k->m + slot] = sum[S_Y];
    k->yy[slot * k->m + slot] = sum[Y_Y];
    k->fixed[FRESH] = (double)slot;
    if (count < k->m)
        k->fixed[COUNT] = (double)(count + 1);
    else
        k->fixed[HEAD] = (double)((head + 1) % k->m);
}

/* The products of the gradient with the vectors of a slot. */
static double grad_s(const memory *k, const double *sum, size_t slot)
{
    return (double)slot == k->fixed[FRESH] ? sum[G_S]
                                           : sum[NEW_PRODUCTS + slot * OLD_PRODUCTS + G_OLD_S];
}
static double grad_y(const memory *k, const double *sum, size_t slot)
{
    return (double)slot == k->fixed[FRESH] ? sum[G_Y]
                                           : sum[NEW_PRODUCTS + slot * OLD_PRODUCTS + G_OLD_Y];
}

/* s_i.q, while q is made of g and y alone. */
static double product_s(const memory *k, const double *sum, size_t i, size_t count)
{
    double product = k->fixed[SCALE] * grad_s(k, sum, i);

    for (size_t j = 0; j < count; j++)
        product += k->y[j] * k->sy[i * k->m + j];
    return product;
}

/* y_i.q */
static double product_y(const memory *k, const double *sum, size_t i, size_t count)
{
    double product = k->fixed[SCALE] * grad_y(k, sum, i);

    for (size_t j = 0; j < count; j++)
        product += k->y[j] * k->yy[i * k->m + j] + k->s[j] * k->sy[j * k->m + i];
    return product;
}

static void multiply(const memory *k, double factor, size_t count)
{
    k->fixed[SCALE] *= factor;
    for (size_t j = 0; j < count; j++) {
        k->s[j] *= factor;
        k->y[j] *= factor;
    }
}

/* q = -g comes in, the direction goes out; both loops, from the newest pair and back to it. */
static void recur(const memory *k, const double *sum)
{
    const size_t count = (size_t)k->fixed[COUNT], head = (size_t)k->fixed[HEAD];
    double a[PAIRS_MAX] = {0};
    size_t slot = 0;

    for (size_t back = 1; back <= count; back++) {
        slot = (head + count - back) % k->m;
        a[slot] = product_s(k, sum, slot, count) / k->sy[slot * k->m + slot];
        k->y[slot] -= a[slot];
    }
    slot = (head + count - 1) % k->m;
    multiply(k, k->sy[slot * k->m + slot] / k->yy[slot * k->m + slot], count);
    for (size_t i = 0; i < count; i++) {
        slot = (head + i) % k->m;
        k->s[slot] += a[slot] - product_y(k, sum, slot, count) / k->sy[slot * k->m + slot];
    }
}

static void lbfgs_join(const dsc_model *model, int phase, uint64_t t, const double *sum,
                       double *shared)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const memory k = memory_of(hyper, shared);

    if (phase > 0) /* nothing is left to be concluded */
        return;
    k.fixed[FRESH] = -1;
    k.fixed[SCALE] = -1;
    memset(k.s, 0, k.m * sizeof *k.s);
    memset(k.y, 0, k.m * sizeof *k.y);
    if (t > 0 && sum[S_Y] > curvature_min)
        keep_pair(&k, sum);
    if (k.fixed[COUNT] > 0)
        recur(&k, sum);
    if (t == 0)
        k.fixed[SCALE] = -fmin(1, 1 / sum[G_SIZE]);
    multiply(&k, hyper->value[LEARNING_RATE], (size_t)k.fixed[COUNT]);
}

/* --- pass 1: the update --- */

/* direction [lanes] <- the sum of the block's vectors; the fresh pair is not in its slot yet. */
static void combine(const dsc_rules *rules, const plan *p, const block *b, double *direction)
{
    memset(direction, 0, b->lanes * sizeof *direction);
    rules->add(direction, p->scale, b->grad, b->lanes);
    for (size_t j = 0; j < p->count; j++) {
        const bool fresh = j == p->fresh;

        rules->add(direction, p->s[j], fresh ? b->update : b->s + j * b->lanes, b->lanes);
        rules->add(direction, p->y[j], fresh ? b->change : b->y + j * b->lanes, b->lanes);
    }
}

static void propose(const dsc_model *model, const dsc_span *span)
{
    const plan p = plan_of(dsc_model_hyper(model), span->shared);
    double *const direction = (double *)(void *)span->work;

    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, p.m);

        combine(dsc_model_kernel(model)->rules, &p, &b, direction);
        for (size_t i = 0; i < b.lanes && c + i < span->n; i++)
            span->update[c + i] = (float)direction[i];
    }
}

/* --- pass 2: the state --- */

static void keep_block(const plan *p, const block *b, const float *update, float *state)
{
    float *const last = state + 2 * p->m * b->lanes;
    const size_t row = b->lanes * sizeof *state;

    if (p->fresh < p->m) {
        memcpy(state + p->fresh * b->lanes, b->update, row);
        memcpy(state + (p->m + p->fresh) * b->lanes, b->change, row);
    }
    memcpy(last, b->grad, row);
    memcpy(last + b->lanes, update, b->left * sizeof *update);
}

static void keep(const dsc_model *model, const dsc_span *span)
{
    const plan p = plan_of(dsc_model_hyper(model), span->shared);

    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, p.m);

        keep_block(&p, &b, span->update + c, span->state + c * (2 * p.m + 2));
    }
}

static void lbfgs_step(const dsc_model *model, const dsc_span *span)
{
    static void (*const pass[])(const dsc_model *, const dsc_span *) = {measure, propose, keep};

    pass[span->phase](model, span);
}

/* --- the family --- */

static int lbfgs_phases(const dsc_hyper *hyper)
{
    (void)hyper;
    return 3;
}

/* In floats, two to a double: the sums of pass 0 are more than the direction of pass 1. */
static size_t lbfgs_work_len(const dsc_hyper *hyper)
{
    return 2 * partial_len(hyper) * DSC_LANES;
}

/* One over the smallest curvature can be anything. */
static double lbfgs_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    (void)model;
    (void)grad_max;
    (void)state_max;
    return INFINITY;
}

static const dsc_coupled coupled = {
    .phases = lbfgs_phases,
    .proposes = true,
    .remembers = true,
    .partial_len = partial_len,
    .shared_len = shared_len,
    .join = lbfgs_join,
};

const dsc_family dsc_family_lbfgs = {
    .name = "lbfgs",
    .doc = "L-BFGS: quasi-Newton steps from the last few gradients, without a line search.",
    .source = "Nocedal 1980; Liu, Nocedal 1989; vector-free as Chen, Wang, Zhou 2014.",
    .hyper = hyper_spec,
    .state_layout = lbfgs_state_layout,
    .work_len = lbfgs_work_len,
    .update_bound = lbfgs_update_bound,
    .step = lbfgs_step,
    .coupled = &coupled,
};
