/* test_families.c -- promises that every family keeps, and the numbers of each against float64
 *
 * The references are written from the formulas, one coordinate at a time in double, and share no
 * code with the families. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 100, HIDDEN_MAX = 20, LAYERS_MAX = 2 };

static const size_t sizes[] = {1, 7, 16, 17, 1000};
static const size_t sizes_count = sizeof sizes / sizeof sizes[0];

/* --- helpers
 * --------------------------------------------------------------------------------------------- */

typedef struct {
    dsc_model *model;
    dsc_run *run;
    float *work, *grad, *update;
    size_t n;
} bench;

static void hyper_default(dsc_hyper *hyper, const dsc_family *family, int layers, const char *word)
{
    dsc_hyper_init(hyper, family->hyper);
    if (family != &dsc_family_lstm)
        return;
    assert_true(dsc_hyper_set_number(hyper, "layers", layers, NULL));
    assert_true(dsc_hyper_set_word(hyper, "preprocessing", word, NULL));
    assert_true(dsc_hyper_set_number(hyper, "output_scale", 1, NULL));
}

static dsc_model *model_make(const dsc_family *family, const dsc_hyper *hyper,
                             const dsc_kernel *kernel)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(7, 0, 0);
    dsc_model *model = NULL;
    float *phi = NULL;

    if (family->phi_layout) {
        family->phi_layout(&layout, hyper);
        phi = malloc(layout.len * sizeof *phi);
        assert_non_null(phi);
        family->phi_init(phi, &rng, hyper);
    }
    assert_true(dsc_model_new(&model, family, hyper, phi, kernel, NULL));
    free(phi);
    return model;
}

static bench bench_make(const dsc_family *family, const dsc_hyper *hyper, const dsc_kernel *kernel,
                        size_t n)
{
    bench b = {.n = n, .model = model_make(family, hyper, kernel), .work = dsc_work_new()};

    /* Exactly n long, so that a sanitizer sees a kernel that reads or writes beyond. */
    b.grad = malloc(n * sizeof *b.grad);
    b.update = malloc(n * sizeof *b.update);
    assert_true(b.grad && b.update && b.work);
    assert_true(dsc_run_new(&b.run, b.model, n, NULL));
    return b;
}

static void bench_free(bench *b)
{
    dsc_run_free(b->run);
    dsc_model_drop(b->model);
    dsc_work_free(b->work);
    free(b->grad);
    free(b->update);
}

/* The gradient of coordinate c at step t: sizes from 1e-8 to 10, and now and then a zero. */
static float gradient(size_t c, uint64_t t)
{
    dsc_rng rng = dsc_rng_at(11, t, c);
    const double size = pow(10, -8 * dsc_rng_uniform(&rng));

    return dsc_rng_below(&rng, 20) == 0 ? 0 : (float)(3 * dsc_rng_normal(&rng) * size);
}

static void step(bench *b, uint64_t t)
{
    for (size_t c = 0; c < b->n; c++)
        b->grad[c] = gradient(c, t);
    assert_true(dsc_run_step(b->run, b->grad, b->update, b->work, NULL));
}

static void assert_same(const float *a, const float *b, size_t n)
{
    assert_memory_equal(a, b, n * sizeof *a);
}

/* --- laws: each holds for every family and size
 * ----------------------------------------------------------- */

typedef void law(const dsc_family *family, const dsc_hyper *hyper, size_t n);

static void every(law *check)
{
    for (const dsc_family *const *family = dsc_families; *family; family++) {
        dsc_hyper hyper;

        hyper_default(&hyper, *family, 2, "log_sign");
        for (size_t i = 0; i < sizes_count; i++)
            check(*family, &hyper, sizes[i]);
    }
}

static void deterministic(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench a = bench_make(family, hyper, NULL, n), b = bench_make(family, hyper, NULL, n);

    for (uint64_t t = 0; t < 5; t++) {
        step(&a, t);
        step(&b, t);
        assert_same(a.update, b.update, n);
    }
    bench_free(&a);
    bench_free(&b);
}

/* A state copied midway into a fresh run continues to the bit. */
static void saved(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench a = bench_make(family, hyper, NULL, n), b = bench_make(family, hyper, NULL, n);
    size_t len_a, len_b;
    float *from, *to;

    for (uint64_t t = 0; t < 3; t++)
        step(&a, t);
    from = dsc_run_state(a.run, 0, n, &len_a);
    to = dsc_run_state(b.run, 0, n, &len_b);
    assert_int_equal(len_a, len_b);
    memcpy(to, from, len_a * sizeof *to);
    dsc_run_set_steps(b.run, dsc_run_steps(a.run));
    for (uint64_t t = 3; t < 6; t++) {
        step(&a, t);
        step(&b, t);
        assert_same(a.update, b.update, n);
    }
    bench_free(&a);
    bench_free(&b);
}

/* Coordinates in reverse order give updates in reverse order, to the bit. */
static void permuted(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench a = bench_make(family, hyper, NULL, n), b = bench_make(family, hyper, NULL, n);

    for (uint64_t t = 0; t < 4; t++) {
        step(&a, t);
        for (size_t c = 0; c < n; c++)
            b.grad[c] = a.grad[n - 1 - c];
        assert_true(dsc_run_step(b.run, b.grad, b.update, b.work, NULL));
        for (size_t c = 0; c < n; c++)
            assert_memory_equal(&a.update[c], &b.update[n - 1 - c], sizeof(float));
    }
    bench_free(&a);
    bench_free(&b);
}

/* One range of everything, and ranges of a block each, last one first. */
static void split(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench a = bench_make(family, hyper, NULL, n), b = bench_make(family, hyper, NULL, n);

    for (uint64_t t = 0; t < 4; t++) {
        step(&a, t);
        for (size_t begin = (n - 1) / DSC_BLOCK * DSC_BLOCK + DSC_BLOCK; begin > 0;) {
            const size_t end = begin < n ? begin : n;

            begin -= DSC_BLOCK;
            dsc_run_span(b.run, t, begin, end, a.grad + begin, b.update + begin, b.work);
        }
        dsc_run_advance(b.run);
        assert_same(a.update, b.update, n);
    }
    bench_free(&a);
    bench_free(&b);
}

/* "plain" is always there to compare with. */
static void same_bits(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        bench a, b;

        if (!(*kernel)->usable())
            continue;
        a = bench_make(family, hyper, *kernel, n);
        b = bench_make(family, hyper, dsc_kernel_find("plain"), n);
        for (uint64_t t = 0; t < 4; t++) {
            step(&a, t);
            step(&b, t);
            assert_same(a.update, b.update, n);
        }
        bench_free(&a);
        bench_free(&b);
    }
}

static void zero_gradient(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench b = bench_make(family, hyper, NULL, n);

    memset(b.grad, 0, n * sizeof *b.grad);
    for (int t = 0; t < 20; t++) {
        assert_true(dsc_run_step(b.run, b.grad, b.update, b.work, NULL));
        for (size_t c = 0; c < n; c++)
            assert_true(isfinite(b.update[c]));
    }
    bench_free(&b);
}

/* Gradients of any size stay below what update_bound promised for them. */
static void bounded(const dsc_family *family, const dsc_hyper *hyper, size_t n)
{
    bench b = bench_make(family, hyper, NULL, n);

    for (uint64_t t = 0; t < 10; t++) {
        const float size = powf(10, (float)(4 * t) - 20);
        const double bound = family->update_bound(b.model, (double)(size * 100));

        for (size_t c = 0; c < n; c++)
            b.grad[c] = fmaxf(-100, fminf(100, gradient(c, t))) * size;
        assert_true(dsc_run_step(b.run, b.grad, b.update, b.work, NULL));
        for (size_t c = 0; c < n; c++)
            assert_true(fabs((double)b.update[c]) <= bound);
    }
    bench_free(&b);
}

static void test_deterministic(void **state)
{
    (void)state;
    every(deterministic);
}
static void test_saved(void **state)
{
    (void)state;
    every(saved);
}
static void test_permuted(void **state)
{
    (void)state;
    every(permuted);
}
static void test_split(void **state)
{
    (void)state;
    every(split);
}
static void test_same_bits(void **state)
{
    (void)state;
    every(same_bits);
}
static void test_zero_gradient(void **state)
{
    (void)state;
    every(zero_gradient);
}
static void test_bounded(void **state)
{
    (void)state;
    every(bounded);
}

/* --- references in double
 * --------------------------------------------------------------------------------- */

typedef struct {
    double m, v;
    double h[LAYERS_MAX][HIDDEN_MAX], c[LAYERS_MAX][HIDDEN_MAX];
} memory;

typedef double reference(memory *mem, const dsc_model *model, double g, uint64_t t);

static double sgd_reference(memory *mem, const dsc_model *model, double g, uint64_t t)
{
    (void)mem;
    (void)model;
    (void)t;
    return -0.01 * g;
}

static double adam_reference(memory *mem, const dsc_model *model, double g, uint64_t t)
{
    (void)model;
    mem->m = 0.9 * mem->m + 0.1 * g;
    mem->v = 0.999 * mem->v + 0.001 * g * g;
    return -0.001 * (mem->m / (1 - pow(0.9, (double)t))) /
           (sqrt(mem->v / (1 - pow(0.999, (double)t))) + 1e-8);
}

static const float *weights(const dsc_model *model, const char *format, int layer)
{
    dsc_layout name = {0};
    const dsc_tensor *tensor;

    dsc_layout_add(&name, format, layer, 0, 0, 0); /* borrowed for its formatting */
    tensor = dsc_layout_find(dsc_model_phi_layout(model), name.tensor[0].name);
    assert_non_null(tensor);
    return dsc_model_phi(model) + tensor->offset;
}

static double gate_sum(const dsc_model *model, int layer, int row, const double *x, int inputs,
                       const double *h)
{
    const float *const ih = weights(model, "lstm.weight_ih_l%d", layer) + row * inputs;
    const float *const hh = weights(model, "lstm.weight_hh_l%d", layer) + row * HIDDEN_MAX;
    double sum = (double)weights(model, "lstm.bias_ih_l%d", layer)[row] +
                 (double)weights(model, "lstm.bias_hh_l%d", layer)[row];

    for (int k = 0; k < inputs; k++)
        sum += (double)ih[k] * x[k];
    for (int k = 0; k < HIDDEN_MAX; k++)
        sum += (double)hh[k] * h[k];
    return sum;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void layer_reference(memory *mem, const dsc_model *model, int layer, const double *x,
                            int inputs)
{
    double fresh[HIDDEN_MAX];

    for (int j = 0; j < HIDDEN_MAX; j++) {
        double gate[4];

        for (int i = 0; i < 4; i++)
            gate[i] = gate_sum(model, layer, i * HIDDEN_MAX + j, x, inputs, mem->h[layer]);
        mem->c[layer][j] = sigmoid(gate[1]) * mem->c[layer][j] + sigmoid(gate[0]) * tanh(gate[2]);
        fresh[j] = sigmoid(gate[3]) * tanh(mem->c[layer][j]);
    }
    memcpy(mem->h[layer], fresh, sizeof fresh);
}

static int preprocess(const dsc_model *model, double g, double x[2])
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const bool large = fabs(g) >= exp(-10);

    x[0] = g;
    if (strcmp(dsc_hyper_word(hyper, dsc_hyper_find(hyper->spec, "preprocessing")), "none") == 0)
        return 1;
    x[0] = large ? log(fabs(g)) / 10 : -1;
    x[1] = large ? copysign(1, g) : exp(10) * g;
    return 2;
}

static double lstm_reference(memory *mem, const dsc_model *model, double g, uint64_t t)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const int layers = (int)hyper->value[dsc_hyper_find(hyper->spec, "layers")];
    double input[2], sum = (double)weights(model, "output.bias", 0)[0];
    const double *x = input;
    int count = preprocess(model, g, input);

    (void)t;
    for (int i = 0; i < layers; i++) {
        layer_reference(mem, model, i, x, count);
        x = mem->h[i];
        count = HIDDEN_MAX;
    }
    for (int k = 0; k < count; k++)
        sum += (double)weights(model, "output.weight", 0)[k] * x[k];
    return sum;
}

/* The reference is slow, so of many coordinates some are compared: both ends and every 37th. */
static bool is_compared(size_t c, size_t n)
{
    return n < 20 || c % 37 == 0 || c + 20 >= n;
}

static void compare(const dsc_family *family, const dsc_hyper *hyper, size_t n, reference *want)
{
    bench b = bench_make(family, hyper, NULL, n);
    memory *const mem = calloc(n, sizeof *mem);

    assert_non_null(mem);
    for (uint64_t t = 0; t < STEPS; t++) {
        step(&b, t);
        for (size_t c = 0; c < n; c++) {
            if (is_compared(c, n))
                assert_true(fabs((double)b.update[c] -
                                 want(&mem[c], b.model, (double)b.grad[c], t + 1)) <= 1e-5);
        }
    }
    free(mem);
    bench_free(&b);
}

static void test_hand_designed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizes_count; i++) {
        dsc_hyper hyper;

        hyper_default(&hyper, &dsc_family_sgd, 0, "");
        compare(&dsc_family_sgd, &hyper, sizes[i], sgd_reference);
        hyper_default(&hyper, &dsc_family_adam, 0, "");
        compare(&dsc_family_adam, &hyper, sizes[i], adam_reference);
    }
}

static void test_lstm(void **state)
{
    static const char *const words[] = {"log_sign", "none"};

    (void)state;
    for (int layers = 0; layers <= LAYERS_MAX; layers++)
        for (int word = 0; word < 2; word++)
            for (size_t i = 0; i < sizes_count; i++) {
                dsc_hyper hyper;

                hyper_default(&hyper, &dsc_family_lstm, layers, words[word]);
                compare(&dsc_family_lstm, &hyper, sizes[i], lstm_reference);
            }
}

/* The whole range of floats through the logarithm: with no layers and weights (1, 0) the update is
 * x0. */
static void test_log_sign(void **state)
{
    static const double p[] = {1, 10, 50, 100};

    (void)state;
    for (size_t i = 0; i < sizeof p / sizeof p[0]; i++) {
        const float phi[] = {1, 0, 0};
        dsc_model *model;
        dsc_run *run;
        dsc_hyper hyper;
        float *const work = dsc_work_new(), grad, update;

        hyper_default(&hyper, &dsc_family_lstm, 0, "log_sign");
        assert_true(dsc_hyper_set_number(&hyper, "p", p[i], NULL));
        assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, NULL));
        assert_true(dsc_run_new(&run, model, 1, NULL));
        for (uint32_t bits = 1; bits < 0x7f800000; bits += 104729) {
            double want;

            memcpy(&grad, &bits, sizeof grad);
            want = fmax(-1, log((double)grad) / p[i]);
            assert_true(dsc_run_step(run, &grad, &update, work, NULL));
            assert_true(fabs((double)update - want) <= 1e-7 + fabs(want) * 1.3e-7);
        }
        dsc_run_free(run);
        dsc_model_drop(model);
        dsc_work_free(work);
    }
}

/* --- reading sizes from a file
 * ---------------------------------------------------------------------------- */

static void test_hyper_guess(void **state)
{
    dsc_hyper hyper, guess;
    dsc_layout file = {0};
    dsc_err err = {0};

    (void)state;
    hyper_default(&hyper, &dsc_family_lstm, 2, "none");
    dsc_family_lstm.phi_layout(&file, &hyper);
    assert_true(dsc_family_lstm.hyper_guess(&guess, &file, &err));
    assert_memory_equal(guess.value, hyper.value, sizeof guess.value);
    file.count--; /* output.bias */
    assert_false(dsc_family_lstm.hyper_guess(&guess, &file, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
    assert_string_equal(err.where, "output.bias");
    file = (dsc_layout) {0};
    err = (dsc_err) {0};
    assert_false(dsc_family_lstm.hyper_guess(&guess, &file, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deterministic), cmocka_unit_test(test_saved),
        cmocka_unit_test(test_permuted),      cmocka_unit_test(test_split),
        cmocka_unit_test(test_same_bits),     cmocka_unit_test(test_zero_gradient),
        cmocka_unit_test(test_bounded),       cmocka_unit_test(test_hand_designed),
        cmocka_unit_test(test_lstm),          cmocka_unit_test(test_log_sign),
        cmocka_unit_test(test_hyper_guess),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
