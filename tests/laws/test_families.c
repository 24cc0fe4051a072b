/* test_families.c -- promises that every family keeps, in every config
 *
 * The laws know a family only through family.h and run.h: a new one is held to all of them by its
 * rows in configs[], and one without a row fails. What its numbers are is the business of
 * tests/golden, and of tests/unit/test_family_<name>.c. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- the configs --- */

enum { SETTINGS_MAX = 6 };

typedef struct {
    const char *name, *word; /* word NULL: a number */
    double number;
} setting;

typedef struct {
    const char *family;
    setting set[SETTINGS_MAX];
    double weights;   /* size of the weights, in units of a fresh model's; 0 means 1  */
    double tolerance; /* of a permuted step: 0, to the bit, or 1e-5 where coordinates are coupled */
} config;

#define LSTM(hidden, depth, pre)                                                                   \
    {"hidden_size", NULL, hidden}, {"layers", NULL, depth},                                        \
    {                                                                                              \
        "preprocessing", pre, 0                                                                    \
    }

static const config configs[] = {
    {.family = "sgd"},
    {.family = "sgd", .set = {{"learning_rate", NULL, 1e20}}},
    {.family = "adam"},
    {.family = "adam", .set = {{"beta1", NULL, 0}, {"eps", NULL, 1e-30}}},
    {.family = "adam", .set = {{"beta2", NULL, 0}}},                            /* no bound */
    {.family = "adam", .set = {{"beta1", NULL, 0.99}, {"beta2", NULL, 0.981}}}, /* hardly one */
    {.family = "momentum"},
    {.family = "momentum", .set = {{"learning_rate", NULL, 1e30}}},
    {.family = "momentum", .set = {{"momentum", NULL, 0.9999999}}},
    {.family = "nag"},
    {.family = "nag", .set = {{"learning_rate", NULL, 1e30}, {"momentum", NULL, 0.9999999}}},
    {.family = "rmsprop"},
    {.family = "rmsprop", .set = {{"alpha", NULL, 0.9999999}, {"eps", NULL, 1e-30}}},
    {.family = "rmsprop", .set = {{"alpha", NULL, 0}}}, /* no bound */
    {.family = "adagrad"},
    {.family = "adagrad", .set = {{"eps", NULL, 1e-30}}},
    {.family = "amsgrad"},
    {.family = "amsgrad", .set = {{"beta1", NULL, 0.99}, {"eps", NULL, 1e-30}}},
    {.family = "lion"},
    {.family = "lion", .set = {{"beta1", NULL, 0}, {"beta2", NULL, 0.9999999}}},
    {.family = "rprop"},
    {.family = "rprop", .set = {{"eta_plus", NULL, 1e6}, {"step_max", NULL, 1e30}}},
    {.family = "rprop", .set = {{"learning_rate", NULL, 1e-50}, {"step_min", NULL, 1e-50}}},
    {.family = "lbfgs", .tolerance = 1e-5},
    {.family = "lbfgs", .set = {{"history_size", NULL, 1}}, .tolerance = 1e-5},
    {.family = "lbfgs", .set = {{"history_size", NULL, 100}}, .tolerance = 1e-5},
    {.family = "lbfgs", .set = {{"learning_rate", NULL, 1e30}}, .tolerance = 1e-5},
    {.family = "lstm", .set = {LSTM(20, 2, "log_sign")}},
    {.family = "lstm", .set = {LSTM(20, 2, "none")}},
    {.family = "lstm", .set = {LSTM(20, 2, "log_sign")}, .weights = 30},
    {.family = "lstm", .set = {LSTM(20, 2, "none"), {"input_scale", NULL, 1e30}}},
    {.family = "lstm", .set = {LSTM(20, 0, "log_sign"), {"p", NULL, 100}}},
    {.family = "lstm", .set = {LSTM(20, 0, "none"), {"output_scale", NULL, 1e30}}},
    {.family = "lstm", .set = {LSTM(1, 1, "none")}},
    {.family = "lstm", .set = {LSTM(1, 4, "log_sign"), {"p", NULL, 1}}},
    {.family = "lstm", .set = {LSTM(3, 2, "log_sign")}, .weights = 1e6},
    {.family = "lstm", .set = {LSTM(3, 3, "none")}},
    {.family = "lstm", .set = {LSTM(20, 4, "none")}},
    {.family = "lstm", .set = {LSTM(64, 1, "none")}},
    {.family = "lstm", .set = {LSTM(64, 3, "log_sign")}},
    {.family = "lstm", .set = {LSTM(256, 1, "log_sign")}},
    {.family = "lstm", .set = {LSTM(256, 4, "none")}},
    {.family = "rnnprop"},
    {.family = "rnnprop", .weights = 100},
    {.family = "rnnprop", .weights = 1e30}, /* no bound */
    {.family = "rnnprop", .set = {{"hidden_size", NULL, 3}, {"beta2", NULL, 0}}},
    {.family = "rnnprop",
     .set = {{"hidden_size", NULL, 33}, {"layers", NULL, 1}, {"alpha", NULL, 1e30}}},
    {.family = "rnnprop", .set = {{"hidden_size", NULL, 5}, {"layers", NULL, 4}}},
    {.family = "ntm_lbfgs", .tolerance = 1e-5},
    {.family = "ntm_lbfgs", .set = {LSTM(3, 1, "none"), {"window", NULL, 2}}, .tolerance = 1e-5},
    {.family = "ntm_lbfgs",
     .set = {LSTM(5, 4, "log_sign"), {"read_heads", NULL, 4}, {"write_heads", NULL, 4}},
     .tolerance = 1e-5},
    {.family = "ntm_lbfgs", .set = {{"memory_gain", NULL, 1e6}}, .tolerance = 1e-5},
    {.family = "lstm_gac", .set = {LSTM(20, 2, "log_sign")}, .tolerance = 1e-5},
    {.family = "lstm_gac", .set = {LSTM(20, 2, "none"), {"averaged_cells", NULL, 0}}},
    {.family = "lstm_gac", .set = {LSTM(5, 4, "none")}, .tolerance = 1e-5},
    {.family = "lstm_gac",
     .set = {LSTM(3, 1, "log_sign"), {"averaged_cells", NULL, 3}},
     .tolerance = 1e-5},
    {.family = "lstm_gac", .set = {LSTM(20, 0, "log_sign")}, .tolerance = 1e-5},
    {.family = "lstm_gac", .set = {LSTM(20, 2, "log_sign")}, .weights = 30, .tolerance = 1e-4},
};

static const size_t sizes[] = {1, 7, 16, 17, 80, 150, 1000};

/* Of a coupled family: several tiles and a tail. */
static const size_t size_coupled = 3 * DSC_TILE + 77;

enum { CONFIGS = sizeof configs / sizeof configs[0], SIZES = sizeof sizes / sizeof sizes[0] };

static void apply(dsc_hyper *hyper, const setting *set)
{
    if (set->word)
        assert_true(dsc_hyper_set_word(hyper, set->name, set->word, NULL));
    else
        assert_true(dsc_hyper_set_number(hyper, set->name, set->number, NULL));
}

static float *weights_make(const dsc_family *family, const dsc_hyper *hyper, double size)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(7, 0, 0);
    float *phi;

    if (!family->phi_layout)
        return NULL;
    family->phi_layout(&layout, hyper);
    phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    family->phi_init(phi, &rng, hyper);
    for (size_t i = 0; i < layout.len; i++)
        phi[i] *= (float)size;
    return phi;
}

static dsc_model *model_make(const config *row, const dsc_kernel *kernel)
{
    const dsc_family *const family = dsc_family_find(row->family);
    dsc_hyper hyper;
    dsc_model *model;
    float *phi;

    assert_non_null(family);
    dsc_hyper_init(&hyper, family->hyper);
    for (int i = 0; i < SETTINGS_MAX && row->set[i].name; i++)
        apply(&hyper, &row->set[i]);
    phi = weights_make(family, &hyper, row->weights > 0 ? row->weights : 1);
    assert_true(dsc_model_new(&model, family, &hyper, phi, kernel, NULL));
    free(phi);
    return model;
}

/* --- a run and its arrays --- */

typedef struct {
    dsc_run *run;
    float *work, *grad, *update;
    size_t n;
} bench;

static bench bench_make(dsc_model *model, size_t n)
{
    bench b = {.n = n, .work = dsc_work_new()};

    b.grad = calloc(n, sizeof *b.grad);
    b.update = calloc(n, sizeof *b.update);
    assert_true(b.grad && b.update && b.work);
    assert_true(dsc_run_new(&b.run, model, n, NULL));
    return b;
}

static void bench_free(bench *b)
{
    dsc_run_free(b->run);
    dsc_work_free(b->work);
    free(b->grad);
    free(b->update);
}

/* The gradient of coordinate c at step t: sizes from 1e-8 to 10, and now and then a zero or a
 * subnormal number. */
static float gradient(size_t c, uint64_t t)
{
    dsc_rng rng = dsc_rng_at(11, t, c);
    const double size = pow(10, -8 * dsc_rng_uniform(&rng));
    const uint64_t kind = dsc_rng_below(&rng, 20);

    if (kind == 0)
        return 0;
    return (float)((kind == 1 ? 1e-40 : 3 * size) * dsc_rng_normal(&rng));
}

static void fill_gradient(bench *b, uint64_t t)
{
    for (size_t c = 0; c < b->n; c++)
        b->grad[c] = gradient(c, t);
}

/* Whether the step was possible: with the wildest configs it may overflow. */
static bool step(bench *b, uint64_t t)
{
    fill_gradient(b, t);
    return dsc_run_step(b->run, b->grad, b->update, b->work, NULL);
}

static void assert_same(const bench *a, const bench *b)
{
    size_t len_a, len_b;
    const float *const state_a = dsc_run_state(a->run, 0, a->n, &len_a);
    const float *const state_b = dsc_run_state(b->run, 0, b->n, &len_b);

    assert_memory_equal(a->update, b->update, a->n * sizeof *a->update);
    assert_int_equal(len_a, len_b);
    assert_memory_equal(state_a, state_b, len_a * sizeof *state_a);
    const double *const shared_a = dsc_run_shared(a->run, &len_a);
    const double *const shared_b = dsc_run_shared(b->run, &len_b);
    assert_int_equal(len_a, len_b);
    if (len_a > 0)
        assert_memory_equal(shared_a, shared_b, len_a * sizeof *shared_a);
    assert_int_equal(dsc_run_steps(a->run), dsc_run_steps(b->run));
}

/* --- running a law over all of them --- */

typedef void law(const config *row, size_t n);

/* Multiply-adds of a step are about n times the weights: `budget` keeps the largest networks to
 * sizes that still have a full block and a tail, or at least two tails. */
static void every(law *check, double budget)
{
    for (size_t i = 0; i < CONFIGS; i++) {
        dsc_model *const model = model_make(&configs[i], NULL);
        const double weights = (double)dsc_model_phi_layout(model)->len;

        for (size_t k = 0; k < SIZES; k++)
            if (sizes[k] == 17 || (double)sizes[k] * weights <= budget)
                check(&configs[i], sizes[k]);
        if (dsc_model_family(model)->coupled)
            check(&configs[i], size_coupled);
        dsc_model_drop(model);
    }
}

static const double budget_fast = 2e8, budget_plain = 1e6;

/* --- laws --- */

static void deterministic(const config *row, size_t n)
{
    dsc_model *const model = model_make(row, NULL), *const again = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(again, n);

    for (uint64_t t = 0; t < 5; t++) {
        assert_int_equal(step(&a, t), step(&b, t));
        assert_same(&a, &b);
    }
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
    dsc_model_drop(again);
}

/* "plain" is always there to compare with. */
static void same_bits(const config *row, size_t n)
{
    dsc_model *const plain = model_make(row, dsc_kernel_find("plain"));

    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        dsc_model *const model = model_make(row, *kernel);

        if ((*kernel)->usable() && strcmp((*kernel)->arithmetic, "fma") == 0 &&
            strcmp((*kernel)->name, "plain") != 0) {
            bench a = bench_make(plain, n), b = bench_make(model, n);

            for (uint64_t t = 0; t < 3; t++) {
                assert_int_equal(step(&a, t), step(&b, t));
                assert_same(&a, &b);
            }
            bench_free(&a);
            bench_free(&b);
        }
        dsc_model_drop(model);
    }
    dsc_model_drop(plain);
}

/* One pass, in ranges at bounds drawn by chance, computed in reverse order. */
static void split_pass(bench *b, const float *grad, int phase, dsc_rng *rng)
{
    const size_t grain = dsc_run_grain(b->run);

    for (size_t end = b->n; end > 0;) {
        const size_t last = (end - 1) / grain;
        const size_t begin = (last - dsc_rng_below(rng, last + 1)) * grain;

        dsc_run_phase(b->run, dsc_run_steps(b->run), phase, begin, end, grad + begin,
                      b->update + begin, b->work);
        end = begin;
    }
}

static void split(const config *row, size_t n)
{
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);
    dsc_rng rng = dsc_rng_at(n, 0, 0);

    for (uint64_t t = 0; t < 4; t++) {
        const bool possible = step(&a, t);

        for (int phase = 0; possible && phase < dsc_run_phases(b.run); phase++) {
            if (phase > 0)
                dsc_run_join(b.run, dsc_run_steps(b.run), phase - 1);
            split_pass(&b, a.grad, phase, &rng);
        }
        if (possible)
            dsc_run_advance(b.run);
        assert_same(&a, &b);
    }
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

static void copy_run(bench *to, const bench *from)
{
    size_t len;
    float *const state = dsc_run_state(to->run, 0, to->n, &len);

    memcpy(state, dsc_run_state(from->run, 0, from->n, &len), len * sizeof *state);
    double *const shared = dsc_run_shared(to->run, &len);
    const double *const theirs = dsc_run_shared(from->run, &len);
    if (len > 0)
        memcpy(shared, theirs, len * sizeof *shared);
    dsc_run_set_steps(to->run, dsc_run_steps(from->run));
    memcpy(to->update, from->update, to->n * sizeof *to->update);
}

/* A state copied midway into a fresh run continues to the bit. */
static void saved(const config *row, size_t n)
{
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);

    for (uint64_t t = 0; t < 3; t++)
        (void)step(&a, t);
    copy_run(&b, &a);
    for (uint64_t t = 3; t < 6; t++) {
        assert_int_equal(step(&a, t), step(&b, t));
        assert_same(&a, &b);
    }
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

/* Chunks of different ages, as a journal keeps them: chunk i is saved before step i and has all
 * gradients since then replayed. For families whose coordinates are not coupled. */
static void aged(const config *row, size_t n)
{
    enum { STEPS = 4 };
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);
    bool possible = !dsc_run_coupled(a.run);

    for (uint64_t t = 0; t < STEPS && possible; t++) {
        for (size_t c = t * DSC_BLOCK; c < n; c += STEPS * DSC_BLOCK) {
            const size_t end = c + DSC_BLOCK < n ? c + DSC_BLOCK : n;
            size_t len;
            const float *const from = dsc_run_state(a.run, c, end, &len);

            memcpy(dsc_run_state(b.run, c, end, &len), from, len * sizeof *from);
        }
        possible = step(&a, t);
    }
    for (uint64_t t = 0; t < STEPS && possible; t++) {
        fill_gradient(&b, t);
        for (size_t c = 0; c < n; c += DSC_BLOCK)
            if (c / DSC_BLOCK % STEPS <= t)
                dsc_run_span(b.run, t, c, c + DSC_BLOCK < n ? c + DSC_BLOCK : n, b.grad + c,
                             b.update + c, b.work);
        dsc_run_advance(b.run);
    }
    if (possible)
        assert_same(&a, &b);
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

static void shuffle(size_t *order, size_t n)
{
    dsc_rng rng = dsc_rng_at(3, n, 0);

    for (size_t i = 0; i < n; i++) {
        const size_t at = dsc_rng_below(&rng, i + 1);

        order[i] = order[at];
        order[at] = i;
    }
}

static double update_size(const bench *b)
{
    double most = 0;

    for (size_t c = 0; c < b->n; c++)
        most = fmax(most, fabs((double)b->update[c]));
    return most;
}

/* Coordinates in another order give the updates in that order; where sums were taken in another
 * order too, up to the tolerance times the largest. */
static void permuted(const config *row, size_t n)
{
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);
    size_t *const order = malloc(n * sizeof *order);

    assert_non_null(order);
    shuffle(order, n);
    for (uint64_t t = 0; t < 4 && step(&a, t); t++) {
        for (size_t c = 0; c < n; c++)
            b.grad[c] = a.grad[order[c]];
        assert_true(dsc_run_step(b.run, b.grad, b.update, b.work, NULL));
        for (size_t c = 0; c < n; c++) {
            const float *const x = &a.update[order[c]], *const y = &b.update[c];

            assert_true(memcmp(x, y, sizeof *x) == 0 ||
                        fabs((double)*x - (double)*y) <= row->tolerance * update_size(&a));
        }
    }
    free(order);
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

/* Also where a run has come far: t is an argument of the step. */
static void zero_gradient(const config *row, size_t n)
{
    static const uint64_t begins[] = {0, UINT64_C(1) << 31, UINT64_C(1) << 53, UINT64_MAX - 30};
    dsc_model *const model = model_make(row, NULL);
    bench b = bench_make(model, n);

    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        dsc_run_reset(b.run);
        dsc_run_set_steps(b.run, begins[i]);
        for (int t = 0; t < 20; t++) {
            assert_true(dsc_run_step(b.run, b.grad, b.update, b.work, NULL));
            for (size_t c = 0; c < n; c++)
                assert_true(isfinite(b.update[c]));
        }
    }
    bench_free(&b);
    dsc_model_drop(model);
}

/* A gradient that is refused leaves no trace: the next step is as if it had never been sent. */
static void refused(const config *row, size_t n)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);

    for (uint64_t t = 0; t < 3; t++) {
        dsc_err err = {0};

        assert_int_equal(step(&a, t), step(&b, t));
        b.grad[n * t / 3] = bad[t];
        assert_false(dsc_run_step(b.run, b.grad, b.update, b.work, &err));
        assert_int_equal(err.code, DSC_ENUMERIC);
        assert_same(&a, &b);
    }
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

/* A coupled family that does not propose has only its bound to answer with. */
static bool exact(const dsc_model *model)
{
    const dsc_coupled *const coupled = dsc_model_family(model)->coupled;

    return !coupled || coupled->proposes;
}

/* dsc_run_check answers for exactly the step that would be taken: the largest |update| is within a
 * limit of its own size, and just below that limit the first update of that size is the one named.
 */
static void checked(const config *row, size_t n)
{
    dsc_model *const model = model_make(row, NULL);
    bench a = bench_make(model, n), b = bench_make(model, n);

    for (uint64_t t = 0; t < 3 && step(&a, t); t++) {
        char where[64];
        size_t most = 0;
        dsc_err err = {0};
        double limit;

        for (size_t c = 0; c < n; c++)
            most = fabsf(a.update[c]) > fabsf(a.update[most]) ? c : most;
        limit = fabs((double)a.update[most]);
        (void)snprintf(where, sizeof where, "update[%zu]", most);
        fill_gradient(&b, t);
        assert_true(!exact(model) || dsc_run_check(b.run, b.grad, limit, b.work, NULL));
        if (exact(model) && limit > 0) {
            assert_false(dsc_run_check(b.run, b.grad, limit * (1 - 1e-12), b.work, &err));
            assert_string_equal(err.where, where);
        }
        assert_true(step(&b, t));
        assert_same(&a, &b);
    }
    bench_free(&a);
    bench_free(&b);
    dsc_model_drop(model);
}

/* --- the law of bounds --- */

enum { RISING = 600, KINDS = 8 };

/* Gradients meant to make an update large: of one size with one sign, or alternating; a blow after
 * a long silence; silence after a blow; rising as fast as Adam forgets, the worst that its bound
 * allows for; by chance. `kind` is the coordinate's. */
static float adversary(size_t kind, uint64_t t, float size)
{
    dsc_rng rng = dsc_rng_at(5, t, kind);

    switch (kind % KINDS) {
    case 0:
        return size;
    case 1:
        return t % 2 ? size : -size;
    case 2:
        return t % 50 == 49 ? -size : 0;
    case 3:
        return t % 50 == 0 ? size : FLT_TRUE_MIN;
    case 4:
        return (float)((double)size * pow(0.9 / 0.999, RISING - 1 - (double)t));
    case 5:
        return t % 100 < 50 ? size : -size / 1024;
    case 6:
        return (float)((double)size * (2 * dsc_rng_uniform(&rng) - 1));
    default:
        return dsc_rng_below(&rng, 2) ? size : -size;
    }
}

static float fill_adversary(bench *b, uint64_t t, float size)
{
    float most = 0;

    for (size_t c = 0; c < b->n; c++) {
        b->grad[c] = adversary(c, t, size);
        most = fmaxf(most, fabsf(b->grad[c]));
    }
    return most;
}

/* The largest |number| that a run remembers. */
static double state_size(const bench *b)
{
    size_t len;
    const float *const state = dsc_run_state(b->run, 0, b->n, &len);
    float most = 0;

    for (size_t i = 0; i < len; i++)
        most = fmaxf(most, fabsf(state[i]));
    return (double)most;
}

/* The largest |update| over bound of a run, whose gradients' sizes are `size` but now and then
 * another: what a family remembers may be larger than anything it is shown. A step beyond what a
 * float holds is refused, and then no finite bound may have been promised. */
static double bound_share(dsc_model *model, size_t n, float size, float other, uint64_t steps)
{
    bench b = bench_make(model, n);
    double most = 0;

    for (uint64_t t = 0; t < steps; t++) {
        const float now = other > 0 && t % 7 == 3 ? other : size;
        const double grad_max = (double)fill_adversary(&b, t, now);
        const double bound = dsc_model_family(model)->update_bound(model, grad_max, state_size(&b));

        assert_true(bound >= 0);
        if (!dsc_run_step(b.run, b.grad, b.update, b.work, NULL)) {
            assert_true(bound > (double)FLT_MAX);
            break;
        }
        for (size_t c = 0; c < n; c++) {
            assert_true(fabs((double)b.update[c]) <= bound);
            if (bound > 0)
                most = fmax(most, fabs((double)b.update[c]) / bound);
        }
    }
    bench_free(&b);
    return most;
}

static void bounded(const config *row, size_t n)
{
    static const float ends[] = {FLT_MAX, 1e30f,   1e10f,        1,
                                 1e-10f,  FLT_MIN, FLT_TRUE_MIN, 0x1p-140f};
    enum { ENDS = sizeof ends / sizeof ends[0] };
    dsc_model *const model = model_make(row, NULL);
    const bool large = dsc_model_phi_layout(model)->len >= 100000 || n > DSC_TILE;
    const uint64_t steps = large ? 10 : 60;

    for (size_t i = 0; i < ENDS; i++) {
        (void)bound_share(model, n, ends[i], 0, steps);
        (void)bound_share(model, n, ends[i], ends[(i + ENDS / 2) % ENDS], steps);
    }
    dsc_model_drop(model);
}

/* The bound of Adam takes the worst correction and the worst gradients, which never come together;
 * it may be twenty times what can be reached, but not more: beyond the limit a step is computed
 * twice. */
static void test_adam_bound_is_near(void **state)
{
    const config row = {.family = "adam"};
    dsc_model *const model = model_make(&row, NULL);
    const double share = bound_share(model, KINDS, 1, 0, RISING);

    (void)state;
    print_message("  largest update / bound: %.4f\n", share);
    assert_true(share > 0.05);
    dsc_model_drop(model);
}

/* --- the law of sizes --- */

/* Pages with a page behind and one before them that nobody may touch. */
typedef struct {
    unsigned char *pages;
    size_t bytes, page;
} fence;

static fence fence_make(size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fence f = {.bytes = (bytes + page) / page * page, .page = page};

    f.pages = mmap(NULL, f.bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.pages != MAP_FAILED);
    assert_int_equal(mprotect(f.pages + page, f.bytes, PROT_READ | PROT_WRITE), 0);
    return f;
}

static void fence_free(fence *f)
{
    assert_int_equal(munmap(f->pages, f->bytes + 2 * f->page), 0);
}

/* `len` numbers that end at the page behind, or begin at the page before. */
static float *fence_place(const fence *f, size_t len, bool at_end)
{
    return (float *)(void *)(f->pages + f->page + (at_end ? f->bytes - len * sizeof(float) : 0));
}

/* Where all of a range of work lies: scratch and state in whole vectors. */
static size_t whole(size_t len)
{
    return (len + DSC_LANES - 1) / DSC_LANES * DSC_LANES;
}

/* All passes of step t on fenced arrays. Of a coupled family there are two more, of doubles; all
 * coordinates are one tile. */
static void fenced_step(dsc_model *model, size_t n, uint64_t t, float *const array[6])
{
    const dsc_coupled *const coupled = dsc_model_family(model)->coupled;
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    double *const shared = (double *)(void *)array[4], *const partial = (double *)(void *)array[5];

    for (int phase = 0; phase < (coupled ? coupled->phases(hyper) : 1); phase++) {
        const dsc_span span = {.t = t,
                               .n = n,
                               .grad = array[0],
                               .update = array[1],
                               .state = array[2],
                               .work = array[3],
                               .phase = phase,
                               .shared = shared,
                               .partial = partial};

        if (coupled && phase > 0)
            coupled->join(model, phase - 1, t, partial, shared);
        if (coupled)
            memset(partial, 0, coupled->partial_len(hyper) * sizeof *partial);
        dsc_model_family(model)->step(model, &span);
    }
}

/* Each array in its own fence; a step that reads or writes beyond one dies of it. */
static void fenced_steps(dsc_model *model, size_t n, bool at_end)
{
    const dsc_family *const family = dsc_model_family(model);
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const size_t shared = family->coupled ? family->coupled->shared_len(hyper) : 0;
    const size_t partial = family->coupled ? family->coupled->partial_len(hyper) : 0;
    const size_t len[6] = {
        n,          n,          dsc_model_state_len(model, n), whole(dsc_model_work_len(model)),
        2 * shared, 2 * partial};
    fence fences[6];
    float *array[6];

    for (int i = 0; i < 6; i++) {
        fences[i] = fence_make(len[i] * sizeof(float));
        array[i] = fence_place(&fences[i], len[i], at_end);
    }
    if (family->state_init)
        family->state_init(array[2], n, dsc_model_hyper(model));
    for (uint64_t t = 0; t < 2; t++) {
        for (size_t c = 0; c < n; c++)
            array[0][c] = gradient(c, t);
        fenced_step(model, n, t, array);
    }
    for (int i = 0; i < 6; i++)
        fence_free(&fences[i]);
}

static void fenced(const config *row, size_t n)
{
    if (n > DSC_TILE) /* spans of a coupled family are no longer */
        return;
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        dsc_model *const model = model_make(row, *kernel);

        if ((*kernel)->usable()) {
            fenced_steps(model, n, true);
            fenced_steps(model, n, false);
        }
        dsc_model_drop(model);
    }
}

/* --- the tests --- */

static void test_deterministic(void **state)
{
    (void)state;
    every(deterministic, budget_fast);
}
static void test_same_bits(void **state)
{
    (void)state;
    every(same_bits, budget_plain);
}
static void test_split(void **state)
{
    (void)state;
    every(split, budget_fast);
}
static void test_saved(void **state)
{
    (void)state;
    every(saved, budget_fast);
}
static void test_aged(void **state)
{
    (void)state;
    every(aged, budget_fast);
}
static void test_permuted(void **state)
{
    (void)state;
    every(permuted, budget_fast);
}
static void test_zero_gradient(void **state)
{
    (void)state;
    every(zero_gradient, budget_plain);
}
static void test_refused(void **state)
{
    (void)state;
    every(refused, budget_fast);
}
static void test_checked(void **state)
{
    (void)state;
    every(checked, budget_fast);
}
static void test_bounded(void **state)
{
    (void)state;
    every(bounded, 2e5);
}
static void test_fenced(void **state)
{
    (void)state;
    every(fenced, budget_plain);
}

static void test_every_family_is_here(void **state)
{
    (void)state;
    for (const dsc_family *const *family = dsc_families; *family; family++) {
        bool has = false;

        for (size_t i = 0; i < CONFIGS; i++)
            has = has || strcmp(configs[i].family, (*family)->name) == 0;
        if (!has)
            fail_msg("%s has no row in configs[]", (*family)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_is_here),
        cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_aged),
        cmocka_unit_test(test_permuted),
        cmocka_unit_test(test_zero_gradient),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_checked),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_adam_bound_is_near),
        cmocka_unit_test(test_fenced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
