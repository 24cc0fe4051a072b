/* test_family_lstm.c -- the served LSTM against the formulas in double, over all of its range
 *
 * The reference is written from numerics.md, one coordinate at a time, and shares no code with the
 * family; PyTorch's own numbers are in tests/golden. Here are the long runs, the combinations, the
 * whole range of gradients, and reading sizes from a file. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HIDDEN_MAX = 20, LAYERS_MAX = 4 };

/* --- models --- */

static void hyper_make(dsc_hyper *hyper, int hidden, int layers, const char *preprocessing)
{
    dsc_hyper_init(hyper, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(hyper, "hidden_size", hidden, NULL));
    assert_true(dsc_hyper_set_number(hyper, "layers", layers, NULL));
    assert_true(dsc_hyper_set_word(hyper, "preprocessing", preprocessing, NULL));
    assert_true(dsc_hyper_set_number(hyper, "output_scale", 1, NULL));
}

/* Fresh weights with a readout ten times larger, which makes it PyTorch's, and `forget` instead of
 * 1 added to the forget bias; then all `size` times. */
static dsc_model *model_make(const dsc_hyper *hyper, double forget, double size)
{
    const size_t hidden = (size_t)hyper->value[dsc_hyper_find(hyper->spec, "hidden_size")];
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(7, 0, 0);
    dsc_model *model;
    float *phi;

    dsc_family_lstm.phi_layout(&layout, hyper);
    phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    dsc_family_lstm.phi_init(phi, &rng, hyper);
    for (int i = 2; i < layout.count - 2; i += 4) /* bias_ih */
        for (size_t j = 0; j < hidden; j++)
            phi[layout.tensor[i].offset + hidden + j] += (float)(forget - 1);
    for (size_t i = 0; i < layout.len; i++)
        phi[i] *= (float)(i < layout.tensor[layout.count - 2].offset ? size : 10 * size);
    assert_true(dsc_model_new(&model, &dsc_family_lstm, hyper, phi, NULL, NULL));
    free(phi);
    return model;
}

static double setting(const dsc_model *model, const char *name)
{
    const dsc_hyper *const hyper = dsc_model_hyper(model);

    return hyper->value[dsc_hyper_find(hyper->spec, name)];
}

/* --- the reference --- */

typedef struct {
    double h[LAYERS_MAX][HIDDEN_MAX], c[LAYERS_MAX][HIDDEN_MAX];
} memory;

static const float *weights(const dsc_model *model, const char *format, int layer)
{
    dsc_layout name = {0};
    const dsc_tensor *tensor;

    dsc_layout_add(&name, format, layer, 0, 0, 0); /* borrowed for its formatting */
    tensor = dsc_layout_find(dsc_model_phi_layout(model), name.tensor[0].name);
    assert_non_null(tensor);
    return dsc_model_phi(model) + tensor->offset;
}

static double dot(const float *w, const double *x, int count)
{
    double sum = 0;

    for (int k = 0; k < count; k++)
        sum += (double)w[k] * x[k];
    return sum;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void layer_reference(memory *mem, const dsc_model *model, int layer, const double *x,
                            int inputs, int hidden)
{
    const float *const ih = weights(model, "lstm.weight_ih_l%d", layer);
    const float *const hh = weights(model, "lstm.weight_hh_l%d", layer);
    const float *const bias_ih = weights(model, "lstm.bias_ih_l%d", layer);
    const float *const bias_hh = weights(model, "lstm.bias_hh_l%d", layer);
    double sum[4 * HIDDEN_MAX];

    for (int row = 0; row < 4 * hidden; row++)
        sum[row] = (double)bias_ih[row] + (double)bias_hh[row] + dot(ih + row * inputs, x, inputs) +
                   dot(hh + row * hidden, mem->h[layer], hidden);
    for (int j = 0; j < hidden; j++) {
        double *const c = &mem->c[layer][j];

        *c = sigmoid(sum[hidden + j]) * *c + sigmoid(sum[j]) * tanh(sum[2 * hidden + j]);
        mem->h[layer][j] = sigmoid(sum[3 * hidden + j]) * tanh(*c);
    }
}

static int prepare(const dsc_model *model, double g, double x[2])
{
    const double p = setting(model, "p");
    const bool large = fabs(g) >= exp(-p);
    const dsc_hyper *const hyper = dsc_model_hyper(model);

    x[0] = g;
    if (strcmp(dsc_hyper_word(hyper, dsc_hyper_find(hyper->spec, "preprocessing")), "none") == 0)
        return 1;
    x[0] = large ? log(fabs(g)) / p : -1;
    x[1] = large ? copysign(1, g) : exp(p) * g;
    return 2;
}

static double reference(memory *mem, const dsc_model *model, double g)
{
    const int hidden = (int)setting(model, "hidden_size");
    double input[2];
    const double *x = input;
    int count = prepare(model, g, input);

    for (int i = 0; i < (int)setting(model, "layers"); i++) {
        layer_reference(mem, model, i, x, count, hidden);
        x = mem->h[i];
        count = hidden;
    }
    return (double)weights(model, "output.bias", 0)[0] +
           dot(weights(model, "output.weight", 0), x, count);
}

/* --- comparing --- */

/* The gradient of coordinate c at step t: sizes from 1e-8 to 10, and now and then a zero. */
static float gradient(size_t c, uint64_t t)
{
    dsc_rng rng = dsc_rng_at(11, t, c);
    const double size = pow(10, -8 * dsc_rng_uniform(&rng));

    return dsc_rng_below(&rng, 20) == 0 ? 0 : (float)(3 * dsc_rng_normal(&rng) * size);
}

/* The largest |update - reference| of `steps` steps over n coordinates. */
static double largest_error(dsc_model *model, size_t n, uint64_t steps)
{
    memory *const mem = calloc(n, sizeof *mem);
    float *const grad = calloc(n, sizeof *grad), *const update = calloc(n, sizeof *update);
    float *const work = dsc_work_new();
    double most = 0;
    dsc_run *run;

    assert_true(mem && grad && update && work);
    assert_true(dsc_run_new(&run, model, n, NULL));
    for (uint64_t t = 0; t < steps; t++) {
        for (size_t c = 0; c < n; c++)
            grad[c] = gradient(c, t);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t c = 0; c < n; c++)
            most = fmax(most, fabs((double)update[c] - reference(&mem[c], model, (double)grad[c])));
    }
    dsc_run_free(run);
    dsc_work_free(work);
    free(mem);
    free(grad);
    free(update);
    return most;
}

static void test_every_shape(void **state)
{
    static const char *const words[] = {"log_sign", "none"};
    static const int hiddens[] = {1, 3, 20};

    (void)state;
    for (int h = 0; h < 3; h++)
        for (int layers = 0; layers <= LAYERS_MAX; layers++)
            for (int word = 0; word < 2; word++) {
                dsc_hyper hyper;
                dsc_model *model;

                hyper_make(&hyper, hiddens[h], layers, words[word]);
                model = model_make(&hyper, 1, 1);
                assert_true(largest_error(model, 20, 30) <= 1e-6);
                dsc_model_drop(model);
            }
}

/* Errors do not pile up over 1,000 steps. Seen: 1.1e-7, 0.8e-7, and 6e-7 with weights three times
 * as large. A forget bias three times as large as well makes some networks chaotic: then PyTorch's
 * own float32 is 1e-2 away from its float64, and no accuracy of a step could help. */
static void test_drift(void **state)
{
    static const struct {
        double forget, size, most;
    } cases[] = {{1, 1, 5e-7}, {0, 1, 5e-7}, {0, 3, 1e-5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dsc_hyper hyper;
        dsc_model *model;
        double error;

        hyper_make(&hyper, 20, 2, "log_sign");
        model = model_make(&hyper, cases[i].forget, cases[i].size);
        error = largest_error(model, 40, 1000);
        print_message("  forget bias + %g, weights x %g: largest error %.2e (allowed %.0e)\n",
                      cases[i].forget, cases[i].size, error, cases[i].most);
        assert_true(error <= cases[i].most);
        dsc_model_drop(model);
    }
}

/* --- inputs --- */

/* What the network is shown: with no layers and weights (1, 0) or (0, 1) the update is an input. */
static float shown(int input, double p, float grad)
{
    const float phi[] = {input == 0, input == 1, 0};
    float *const work = dsc_work_new(), update;
    dsc_hyper hyper;
    dsc_model *model;
    dsc_run *run;

    hyper_make(&hyper, 1, 0, "log_sign");
    assert_true(dsc_hyper_set_number(&hyper, "p", p, NULL));
    assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, NULL));
    assert_true(dsc_run_new(&run, model, 1, NULL));
    assert_true(dsc_run_step(run, &grad, &update, work, NULL));
    dsc_run_free(run);
    dsc_model_drop(model);
    dsc_work_free(work);
    return update;
}

/* Floats of all exponents and both signs, for p at its ends and between. Where the logarithm takes
 * over, both ways of saying it are within rounding of each other, and so is the reference. */
static void test_log_sign(void **state)
{
    static const double p[] = {1, 10, 50, 100};

    (void)state;
    for (size_t i = 0; i < sizeof p / sizeof p[0]; i++) {
        const double lost = (double)FLT_TRUE_MIN * exp(p[i] / 2); /* half way, of a subnormal */

        for (uint32_t bits = 1; bits < 0x7f800000; bits += 1048573) {
            float grad;
            double log_want, sign_want;

            memcpy(&grad, &bits, sizeof grad);
            grad = bits % 2 ? grad : -grad;
            log_want = fmax(-1, log(fabs((double)grad)) / p[i]);
            sign_want = fmax(-1, fmin(1, exp(p[i]) * (double)grad));
            assert_true(fabs((double)shown(0, p[i], grad) - log_want) <=
                        1e-7 + fabs(log_want) * 1.3e-7);
            assert_true(fabs((double)shown(1, p[i], grad) - sign_want) <=
                        4e-7 * fabs(sign_want) + lost);
        }
        assert_true(shown(0, p[i], 0) == -1 && shown(1, p[i], 0) == 0);
        assert_true(shown(0, p[i], -0.0f) == -1 && shown(1, p[i], -0.0f) == 0);
    }
}

/* --- reading sizes from a file --- */

static void test_hyper_guess(void **state)
{
    static const char *const words[] = {"log_sign", "none"};

    (void)state;
    for (int layers = 0; layers <= LAYERS_MAX; layers++)
        for (int word = 0; word < 2; word++) {
            dsc_hyper hyper, guess;
            dsc_layout file = {0};

            hyper_make(&hyper, layers ? 7 : 20, layers, words[word]);
            dsc_family_lstm.phi_layout(&file, &hyper);
            assert_true(dsc_family_lstm.hyper_guess(&guess, &file, NULL));
            assert_memory_equal(guess.value, hyper.value, sizeof guess.value);
        }
}

/* One tensor of a good file has another shape, name, or is left out (rank -1). */
static void refused(const char *tensor, const char *name, int rank, size_t rows, size_t cols,
                    const char *where)
{
    dsc_hyper hyper, guess = {0};
    dsc_layout good = {0}, file = {0};
    dsc_err err = {0};

    hyper_make(&hyper, 5, 2, "log_sign");
    dsc_family_lstm.phi_layout(&good, &hyper);
    for (int i = 0; i < good.count; i++) {
        const dsc_tensor *const t = &good.tensor[i];

        if (strcmp(t->name, tensor) != 0)
            dsc_layout_add(&file, t->name, 0, t->rank, t->shape[0], t->shape[1]);
        else if (rank >= 0)
            dsc_layout_add(&file, name, 0, rank, rows, cols);
    }
    assert_false(dsc_family_lstm.hyper_guess(&guess, &file, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
    assert_string_equal(err.where, where);
    assert_null(guess.spec); /* untouched */
}

static void test_hyper_guess_refuses(void **state)
{
    static const char ih[] = "lstm.weight_ih_l0", ih1[] = "lstm.weight_ih_l1";
    static const char out[] = "output.weight";

    (void)state;
    refused(out, NULL, -1, 0, 0, out);
    refused(out, out, 2, 1, 0, out);
    refused(out, out, 2, 1, 257, out);
    refused(out, out, 1, 5, 0, out);
    refused(out, out, 2, 2, 5, out);
    refused(out, out, 2, 1, 6, ih); /* six cells, says the readout */
    refused("output.bias", NULL, -1, 0, 0, "output.bias");
    refused(ih, ih, 2, 20, 3, ih);
    refused(ih, ih, 2, 20, 0, ih);
    refused(ih, ih, 1, 20, 0, ih);
    refused(ih, NULL, -1, 0, 0, out); /* then there are no layers, and five inputs */
    refused(ih1, NULL, -1, 0, 0, "lstm.weight_hh_l1"); /* what is left of it is unknown */
    refused(ih1, "lstm.weight_ih_l7", 2, 20, 5, "lstm.weight_ih_l7");
    refused("lstm.bias_hh_l1", "lstm.bias_hh_l1", 1, 19, 0, "lstm.bias_hh_l1");
}

static void test_too_many_layers(void **state)
{
    dsc_layout file = {0};
    dsc_hyper guess;
    dsc_err err = {0};

    (void)state;
    for (int i = 0; i < LAYERS_MAX + 1; i++)
        dsc_layout_add(&file, "lstm.weight_ih_l%d", i, 2, 4, i ? 1 : 2);
    dsc_layout_add(&file, "output.weight", 0, 2, 1, 1);
    assert_false(dsc_family_lstm.hyper_guess(&guess, &file, &err));
    assert_string_equal(err.text, "there are 5 layers; at most 4 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_shape),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_log_sign),
        cmocka_unit_test(test_hyper_guess),
        cmocka_unit_test(test_hyper_guess_refuses),
        cmocka_unit_test(test_too_many_layers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
