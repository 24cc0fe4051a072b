/* test_trainable.c -- promises that every trainable family keeps
 *
 * That the way back is right is held to account in double, by tests/double/test_gradients.c. */
#include "core/lstm.h"
#include "core/run.h"
#include "core/unroll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 30 };

static const char *const words[] = {"log_sign", "none"};

static void configure(dsc_hyper *hyper, const dsc_trainable *trainable, int layers, int word)
{
    dsc_hyper_init(hyper, trainable->family->hyper);
    assert_true(dsc_hyper_set_number(hyper, "layers", layers, NULL));
    assert_true(dsc_hyper_set_number(hyper, "output_scale", 1, NULL));
    assert_true(dsc_hyper_set_word(hyper, "preprocessing", words[word], NULL));
}

static float *phi_new(const dsc_trainable *trainable, const dsc_hyper *hyper, size_t *len)
{
    dsc_rng rng = dsc_rng_at(21, 0, 0);
    dsc_layout layout = {0};
    float *phi;

    trainable->family->phi_layout(&layout, hyper);
    phi = calloc(layout.len, sizeof *phi);
    assert_non_null(phi);
    trainable->family->phi_init(phi, &rng, hyper);
    for (size_t i = 0; i < layout.len; i++)
        phi[i] *= 2;
    *len = layout.len;
    return phi;
}

static float *numbers_new(size_t len)
{
    float *const x = aligned_alloc(64, (len * sizeof *x + 64) / 64 * 64);

    assert_non_null(x);
    return memset(x, 0, len * sizeof *x);
}

/* Gradients of many sizes, with a zero now and then. */
static void gradients(float *grad, size_t n, uint64_t t)
{
    for (size_t c = 0; c < n; c++) {
        dsc_rng rng = dsc_rng_at(4, t, c);
        const double size = pow(10, 1 - 9 * dsc_rng_uniform(&rng));

        grad[c] = dsc_rng_below(&rng, 20) == 0 ? 0 : (float)(size * dsc_rng_normal(&rng));
    }
}

/* --- the step that is served is the step that was trained --- */

static void check_step(const dsc_trainable *trainable, const dsc_hyper *hyper)
{
    const size_t n = 75, lanes = dsc_state_lanes(n);
    float *const state = numbers_new(trainable->state_len(hyper, lanes));
    float *const trace = numbers_new(trainable->trace_len(hyper, lanes));
    float *const packed = numbers_new(trainable->packed_len(hyper));
    float *const scratch = numbers_new(trainable->work_len(hyper, lanes));
    float *const rows = numbers_new(3 * lanes), *const update = rows + lanes;
    float *const served = update + lanes, *const work = dsc_work_new();
    const dsc_pass pass = {hyper, packed, lanes, scratch};
    dsc_model *model = NULL;
    dsc_run *run = NULL;
    size_t len;
    float *const phi = phi_new(trainable, hyper, &len);

    assert_true(dsc_model_new(&model, trainable->family, hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&run, model, n, NULL));
    trainable->pack(packed, phi, hyper);
    for (uint64_t t = 0; t < STEPS; t++) {
        gradients(rows, n, t);
        trainable->step(&pass, rows, update, state, trace);
        assert_true(dsc_run_step(run, rows, served, work, NULL));
        for (size_t c = 0; c < n; c++)
            assert_true(fabsf(update[c] - served[c]) <= 1e-6f * fmaxf(1, fabsf(served[c])));
    }
    dsc_run_free(run);
    dsc_model_drop(model);
    dsc_work_free(work);
    free(phi);
    free(state);
    free(trace);
    free(packed);
    free(scratch);
    free(rows);
}

static void test_step(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_trainables[i]; i++)
        for (int layers = 0; layers <= 2; layers++)
            for (int word = 0; word < 2; word++) {
                dsc_hyper hyper;

                configure(&hyper, dsc_trainables[i], layers, word);
                check_step(dsc_trainables[i], &hyper);
            }
}

/* --- weights that only act as a sum have one derivative --- */

static void test_unpack(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_trainables[i]; i++) {
        const dsc_trainable *const trainable = dsc_trainables[i];
        float *phi, *back, *packed, *again;
        dsc_hyper hyper;
        size_t len;

        configure(&hyper, trainable, 2, 0);
        phi = phi_new(trainable, &hyper, &len);
        back = numbers_new(len);
        packed = numbers_new(trainable->packed_len(&hyper));
        again = numbers_new(trainable->packed_len(&hyper));
        trainable->pack(packed, phi, &hyper);
        trainable->unpack(back, packed, &hyper);
        trainable->pack(again, back, &hyper);
        assert_memory_equal(packed, again, trainable->packed_len(&hyper) * sizeof *packed);
        free(phi);
        free(back);
        free(packed);
        free(again);
    }
}

/* --- every instruction set gives the same bits --- */

enum { HIDDEN = 20, INPUTS = 2, LANES = 48 };

static void fill(float *x, size_t len, uint64_t lane)
{
    dsc_rng rng = dsc_rng_at(31, 0, lane);

    for (size_t i = 0; i < len; i++)
        x[i] = (float)dsc_rng_normal(&rng);
}

/* Forward and back through one layer; everything that comes out, in one array. */
static float *layer_bits(const dsc_lstm_maths *maths, size_t *count)
{
    const dsc_lstm_shape shape = {INPUTS, HIDDEN, LANES};
    const size_t weights = 4 * HIDDEN * dsc_lstm_pitch(INPUTS, HIDDEN), row = HIDDEN * LANES;
    const size_t trace_len = dsc_lstm_trace_len(&shape),
                 parts[] = {trace_len, row, row, row, row, INPUTS * LANES, weights};
    float *const weight = numbers_new(weights), *const x = numbers_new(INPUTS * LANES);
    float *const work = numbers_new(dsc_lstm_work_len(&shape)), *out, *at[7];

    *count = 0;
    for (int i = 0; i < 7; i++)
        *count += parts[i];
    out = numbers_new(*count);
    at[0] = out;
    for (int i = 1; i < 7; i++) {
        at[i] = at[i - 1] + parts[i - 1];
        fill(at[i], parts[i], (uint64_t)i);
    }
    fill(weight, weights, 8);
    fill(x, INPUTS * LANES, 9);
    maths->forward(&shape, weight, x, at[1], at[2], at[0], work);
    maths->backward(&shape, weight, at[0], at[3], at[4], at[6], at[5], work);
    free(weight);
    free(x);
    free(work);
    return out;
}

static void test_same_bits(void **state)
{
    size_t count;
    float *const plain = layer_bits(&dsc_lstm_maths_plain, &count);

    (void)state;
    for (size_t i = 0; dsc_kernels[i]; i++) {
        float *other;

        if (!dsc_kernels[i]->usable())
            continue;
        other = layer_bits(dsc_kernels[i]->maths, &count);
        assert_memory_equal(plain, other, count * sizeof *plain);
        free(other);
    }
    free(plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_unpack),
        cmocka_unit_test(test_same_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
