/* test_kernel.c -- the list of kernels, and that all of one arithmetic give the same bits
 *
 * A kernel is called as family_lstm.c calls it, but with packed weights, states and gradients that
 * no training would produce: what a session may meet on one processor it must meet on every other.
 * Widths that fill a vector, a tile, a block and what is left beyond them are all there. */
#include "core/descent.h"

#include "core/lstm_kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the list --- */

static void test_list(void **state)
{
    size_t count = 0;

    (void)state;
    for (; dsc_kernels[count]; count++) {
        const dsc_kernel *const kernel = dsc_kernels[count];

        assert_true(kernel->lstm && kernel->usable);
        assert_true(strcmp(kernel->arithmetic, "fma") == 0 ||
                    strcmp(kernel->arithmetic, "nofma") == 0);
        assert_ptr_equal(dsc_kernel_find(kernel->name), kernel->usable() ? kernel : NULL);
    }
    assert_true(count > 0);
    assert_string_equal(dsc_kernels[count - 1]->name, "plain");
    assert_true(dsc_kernels[count - 1]->usable());
    assert_null(dsc_kernel_find(""));
    assert_null(dsc_kernel_find("x86-64-v5"));
}

/* A processor that has a level has those below it, so the first usable one is the fastest. */
static void test_best(void **state)
{
    bool below = false;

    (void)state;
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        const bool usable = (*kernel)->usable();

        assert_true(usable || !below);
        if (usable && !below)
            assert_ptr_equal(dsc_kernel_best(), *kernel);
        below = below || usable;
    }
}

/* --- the same bits --- */

enum { STEPS = 3, WILDEST = 3 };

typedef struct {
    dsc_lstm_step step;
    size_t weights, numbers; /* lengths of packed and state */
    float *packed, *grad, *update, *state, *scratch;
} job;

static float *numbers_new(size_t len)
{
    float *const x = aligned_alloc(64, (len * sizeof *x + 64) / 64 * 64);

    assert_non_null(x);
    return x;
}

static size_t weights_of(size_t hidden, size_t layers, size_t inputs)
{
    size_t len = 1 + (layers ? hidden : inputs);

    for (size_t i = 0; i < layers; i++)
        len += hidden * dsc_lstm_row(i ? hidden : inputs, hidden);
    return len;
}

static job job_make(size_t hidden, size_t layers, bool log_sign, size_t n)
{
    const size_t inputs = log_sign ? 2 : 1;
    job j = {.weights = weights_of(hidden, layers, inputs),
             .numbers = dsc_state_lanes(n) * 2 * layers * hidden};

    j.packed = numbers_new(j.weights);
    j.grad = numbers_new(n);
    j.update = numbers_new(n);
    j.state = numbers_new(j.numbers);
    j.scratch = numbers_new(dsc_lstm_scratch_len(hidden));
    j.step = (dsc_lstm_step) {
        .hidden = hidden,
        .layers = layers,
        .inputs = inputs,
        .from = 0,
        .to = layers + 1,
        .input = {log_sign, 3, (float)exp(-10), (float)0.1, (float)exp(5)},
        .output_scale = 0.7f,
        .packed = j.packed,
        .n = n,
        .grad = j.grad,
        .update = j.update,
        .state = j.state,
        .width = 2 * layers * hidden,
        .scratch = j.scratch,
    };
    return j;
}

static void job_free(job *j)
{
    free(j->packed);
    free(j->grad);
    free(j->update);
    free(j->state);
    free(j->scratch);
}

/* Usual numbers of about `size`, and with `wild` one in eight from the ends of what floats are. */
static float draw(dsc_rng *rng, double size, bool wild)
{
    static const float ends[] = {0,         -0.0f,    FLT_TRUE_MIN, -FLT_TRUE_MIN,
                                 FLT_MIN,   -FLT_MIN, FLT_MAX,      -FLT_MAX,
                                 0x1p-140f, 1e30f,    -1e30f,       1,
                                 0x1p24f,   -0x1p24f, 30,           -30};

    if (wild && dsc_rng_below(rng, 8) == 0)
        return ends[dsc_rng_below(rng, sizeof ends / sizeof ends[0])];
    return (float)(size * dsc_rng_normal(rng));
}

static void fill(float *x, size_t len, dsc_rng *rng, double size, bool wild)
{
    for (size_t i = 0; i < len; i++)
        x[i] = draw(rng, size, wild);
}

/* All that a kernel leaves behind, after STEPS steps that depend on nothing but the seed. */
static void run(job *j, const dsc_kernel *kernel, uint64_t seed, double size, bool wild)
{
    dsc_rng rng = dsc_rng_at(seed, 0, 0);

    fill(j->packed, j->weights, &rng, size, seed == WILDEST);
    memset(j->state, 0, j->numbers * sizeof *j->state);
    memset(j->update, 255, j->step.n * sizeof *j->update);
    memset(j->scratch, 255, dsc_lstm_scratch_len(j->step.hidden) * sizeof *j->scratch);
    for (int t = 0; t < STEPS; t++) {
        fill(j->grad, j->step.n, &rng, 1, wild);
        kernel->lstm(&j->step);
    }
}

/* Where a sum overflowed, which payload a NaN has is the processor's business. */
static void assert_same_bits(const float *a, const float *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!(isnan(a[i]) && isnan(b[i])))
            assert_memory_equal(&a[i], &b[i], sizeof *a);
}

static void compare(size_t hidden, size_t layers, bool log_sign, size_t n)
{
    static const double sizes[] = {0.3, 30};
    job want = job_make(hidden, layers, log_sign, n), got = job_make(hidden, layers, log_sign, n);

    for (uint64_t seed = 0; seed <= WILDEST; seed++) {
        const double size = sizes[seed % 2];

        run(&want, &dsc_kernel_plain, seed, size, seed >= 2);
        for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
            if (!(*kernel)->usable() || strcmp((*kernel)->arithmetic, "fma") != 0)
                continue;
            run(&got, *kernel, seed, size, seed >= 2);
            assert_same_bits(got.update, want.update, n);
            assert_same_bits(got.state, want.state, want.numbers);
        }
    }
    job_free(&want);
    job_free(&got);
}

static void test_same_bits(void **state)
{
    static const size_t hiddens[] = {1, 3, 20, 33}, ns[] = {1, 15, 17, 63, 64, 150};

    (void)state;
    assert_string_equal(dsc_kernel_plain.arithmetic, "fma");
    for (size_t h = 0; h < sizeof hiddens / sizeof hiddens[0]; h++)
        for (size_t layers = 0; layers <= (hiddens[h] > 20 ? 2 : 4); layers++) /* "plain" is slow */
            for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
                compare(hiddens[h], layers, (layers + i) % 2 == 0, ns[i]);
}

/* Lanes beyond n are a coordinate whose gradient is always 0, and nothing behind n is written. */
static void test_beyond_n(void **state)
{
    enum { HIDDEN = 3, N = 5 };

    (void)state;
    for (const dsc_kernel *const *kernel = dsc_kernels; *kernel; kernel++) {
        job part = job_make(HIDDEN, 2, true, N), full = job_make(HIDDEN, 2, true, 16);

        if ((*kernel)->usable()) {
            run(&part, *kernel, 1, 1, false);
            run(&full, *kernel, 1, 1, false); /* for its weights */
            memset(full.grad, 0, 16 * sizeof *full.grad);
            memset(full.state, 0, full.numbers * sizeof *full.state);
            for (int t = 0; t < STEPS; t++)
                (*kernel)->lstm(&full.step);
            for (size_t row = 0; row < part.numbers / 16; row++)
                assert_memory_equal(part.state + row * 16 + N, full.state + row * 16 + N,
                                    (16 - N) * sizeof(float));
        }
        job_free(&part);
        job_free(&full);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_beyond_n),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
