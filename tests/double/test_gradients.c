/* test_gradients.c -- every hand-written gradient against central differences, calculated in double
 *
 * Linked with the training sources compiled for double (Makefile, FLAGS_double). The derivative by
 * phi is compared with the optimizer's inputs frozen: truncated backpropagation counts them as
 * constants, and differences that let them move would measure another derivative. That one is what
 * second derivatives give, and is compared so. */
#include "core/dataset.h"
#include "core/gradcheck.h"
#include "core/problem.h"
#include "core/unroll.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(dsc_real) == sizeof(double), "this test is of the build in double");

/* --- problems --- */

typedef struct {
    const dsc_problem *problem;
    const dsc_hyper *hyper;
    const dsc_draw *draw;
    dsc_real *data, *work;
} drawn;

static double value(void *arg, const dsc_real *theta)
{
    const drawn *const f = arg;

    return f->problem->eval(f->hyper, f->draw, f->data, 3, theta, NULL, f->work);
}

/* H v against differences of the gradient along v. */
static void check_curve(const drawn *f, const dsc_real *theta, size_t n)
{
    const double h = 1e-5;
    dsc_real *const v = calloc(5 * n, sizeof *v), *const product = v + n;
    dsc_real *const moved = product + n, *const above = moved + n, *const below = above + n;
    dsc_rng rng = dsc_rng_at(4, 5, 6);
    double largest = 0;

    for (size_t i = 0; i < n; i++)
        v[i] = dsc_rng_normal(&rng);
    f->problem->curve(f->hyper, f->draw, f->data, 3, theta, v, product, f->work);
    for (size_t i = 0; i < n; i++)
        moved[i] = theta[i] + h * v[i];
    (void)f->problem->eval(f->hyper, f->draw, f->data, 3, moved, above, f->work);
    for (size_t i = 0; i < n; i++)
        moved[i] = theta[i] - h * v[i];
    (void)f->problem->eval(f->hyper, f->draw, f->data, 3, moved, below, f->work);
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(product[i]));
    for (size_t i = 0; i < n; i++)
        assert_true(fabs((above[i] - below[i]) / (2 * h) - product[i]) < 1e-6 * largest);
    free(v);
}

static void check_problem(const dsc_problem *problem, const dsc_hyper *hyper)
{
    const size_t n = problem->dim(hyper);
    const dsc_draw draw = {5, 6, 7};
    dsc_real *const data = calloc(problem->data_len(hyper) + 1, sizeof *data);
    dsc_real *const work = calloc(problem->work_len(hyper) + 1, sizeof *work);
    dsc_real *const theta = calloc(2 * n, sizeof *theta), *const grad = theta + n;
    drawn f = {problem, hyper, &draw, data, work};
    dsc_rng rng = dsc_rng_at(1, 2, 3);
    double with_gradient;

    problem->sample(hyper, &draw, data, theta);
    for (size_t i = 0; i < n; i++)
        theta[i] += dsc_rng_normal(&rng);
    with_gradient = problem->eval(hyper, &draw, data, 3, theta, grad, work);
    assert_true(with_gradient == value(&f, theta));
    assert_true(dsc_gradcheck(value, &f, theta, grad, n, 1e-5) < 1e-6);
    if (problem->curve)
        check_curve(&f, theta, n);
    free(data);
    free(work);
    free(theta);
}

/* A few rows of noise, for problems that learn from a dataset. */
enum { TOY_ROWS = 9, TOY_FEATURES = 12 };
static float toy_numbers[TOY_ROWS * TOY_FEATURES], toy_targets[TOY_ROWS];
static const dsc_dataset toy = {.rows = TOY_ROWS,
                                .features = TOY_FEATURES,
                                .classes = 2,
                                .image = {3, 2, 2},
                                .numbers = toy_numbers,
                                .targets = toy_targets};

static int make_toy(void **state)
{
    dsc_rng rng = dsc_rng_at(8, 0, 0);

    (void)state;
    for (size_t i = 0; i < TOY_ROWS * TOY_FEATURES; i++)
        toy_numbers[i] = (float)dsc_rng_normal(&rng);
    for (size_t row = 0; row < TOY_ROWS; row++)
        toy_targets[row] = (float)dsc_rng_below(&rng, 2);
    return 0;
}

static void begin_hyper(dsc_hyper *hyper, const dsc_problem *problem)
{
    dsc_hyper_init(hyper, problem->hyper);
    if (!dsc_hyper_has_dataset(problem->hyper))
        return;
    hyper->dataset = &toy;
    assert_true(dsc_hyper_set_number(hyper, "batch", 5, NULL));
}

/* At its defaults, and at every other word that it offers. */
static void test_problems(void **state)
{
    (void)state;
    for (size_t i = 0; dsc_problems[i]; i++) {
        dsc_hyper hyper;

        begin_hyper(&hyper, dsc_problems[i]);
        check_problem(dsc_problems[i], &hyper);
        for (const dsc_hyper_spec *row = hyper.spec; row->name; row++)
            for (int word = 0; row->kind == DSC_HYPER_WORD && row->words[word]; word++) {
                begin_hyper(&hyper, dsc_problems[i]);
                assert_true(dsc_hyper_set_word(&hyper, row->name, row->words[word], NULL));
                check_problem(dsc_problems[i], &hyper);
            }
    }
}

/* --- unrolls --- */

enum { FUNCTIONS = 3, STEPS = 7, BEFORE = 4 };

/* A few quadratics side by side, played once so that states are not zero, then a recording. */
typedef struct {
    const dsc_trainable *trainable;
    const dsc_hyper *hyper;
    dsc_hyper problem;
    size_t n, lanes, phi_len;
    dsc_real *data, *phi, *d_phi, *packed, *d_packed;
    dsc_real *theta, *state; /* where the recording begins */
    dsc_real *grads;         /* [STEPS + 1][lanes] */
    double weights[STEPS];
    dsc_unroll *unroll;
} lesson;

static double evaluate(void *arg, uint64_t t, const dsc_real *theta, dsc_real *grad)
{
    const lesson *const l = arg;
    double sum = 0;

    for (size_t i = 0; i < FUNCTIONS; i++)
        sum += dsc_problem_quadratic.eval(&l->problem, NULL, l->data + i * l->n * (l->n + 1), t,
                                          theta + i * l->n, grad ? grad + i * l->n : NULL, NULL);
    return sum;
}

/* An objective that answers with the recorded gradient, whatever theta is. */
static double evaluate_frozen(void *arg, uint64_t t, const dsc_real *theta, dsc_real *grad)
{
    const lesson *const l = arg;

    memcpy(grad, l->grads + t * l->lanes, l->lanes * sizeof *grad);
    return evaluate(arg, t, theta, NULL);
}

static void curvature(void *arg, uint64_t t, const dsc_real *theta, const dsc_real *v,
                      dsc_real *product)
{
    const lesson *const l = arg;

    for (size_t i = 0; i < FUNCTIONS; i++)
        dsc_problem_quadratic.curve(&l->problem, NULL, l->data + i * l->n * (l->n + 1), t,
                                    theta + i * l->n, v + i * l->n, product + i * l->n, NULL);
}

/* The loss with the weights `phi`, and with the gradients that `objective` answers as inputs. */
static double loss_of(lesson *l, dsc_objective *objective, bool back)
{
    const dsc_pupil pupil = {l->trainable, l->hyper, l->packed};
    const size_t state_len = dsc_unroll_state_len(l->trainable, l->hyper, l->lanes);
    dsc_real *const memory = malloc((state_len + 2 * l->lanes) * sizeof *memory);
    dsc_strand strand = {.lanes = l->lanes, .theta = memory, .grad = memory + l->lanes};
    double losses[STEPS], loss = 0;

    strand.state = strand.grad + l->lanes;
    memcpy(strand.theta, l->theta, l->lanes * sizeof *memory);
    memcpy(strand.grad, l->grads, l->lanes * sizeof *memory);
    memcpy(strand.state, l->state, state_len * sizeof *memory);
    l->trainable->pack(l->packed, l->phi, l->hyper);
    dsc_unroll_play(l->unroll, &pupil, &strand, STEPS, objective, l, losses);
    for (size_t k = 0; k < STEPS; k++)
        loss += l->weights[k] * losses[k];
    if (back)
        dsc_unroll_back_curved(l->unroll, &pupil, l->weights, curvature, l, l->d_packed);
    free(memory);
    return loss;
}

static void begin(lesson *l, const dsc_trainable *trainable, const dsc_hyper *hyper, double d,
                  bool curved)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(2, 0, 0);
    float *phi;

    *l = (lesson) {.trainable = trainable, .hyper = hyper};
    dsc_hyper_init(&l->problem, dsc_problem_quadratic.hyper);
    assert_true(dsc_hyper_set_number(&l->problem, "dimension", d, NULL));
    assert_true(dsc_hyper_set_word(&l->problem, "distribution", "gaussian", NULL));
    l->n = (size_t)d;
    l->lanes = dsc_state_lanes(FUNCTIONS * l->n);
    trainable->family->phi_layout(&layout, hyper);
    l->phi_len = layout.len;
    phi = calloc(layout.len, sizeof *phi);
    trainable->family->phi_init(phi, &rng, hyper);
    l->phi = calloc(2 * layout.len, sizeof *l->phi);
    l->d_phi = l->phi + layout.len;
    for (size_t i = 0; i < layout.len; i++) /* large enough to bend */
        l->phi[i] = 3 * (double)phi[i];
    free(phi);
    l->packed = calloc(2 * trainable->packed_len(hyper), sizeof *l->packed);
    l->d_packed = l->packed + trainable->packed_len(hyper);
    trainable->pack(l->packed, l->phi, hyper);
    l->data = calloc(FUNCTIONS * l->n * (l->n + 1), sizeof *l->data);
    l->theta = calloc(l->lanes, sizeof *l->theta);
    l->state = calloc(dsc_unroll_state_len(trainable, hyper, l->lanes) + 1, sizeof *l->state);
    l->grads = calloc((STEPS + 1) * l->lanes, sizeof *l->grads);
    for (size_t k = 0; k < STEPS; k++)
        l->weights[k] = 0.5 + (double)(k % 3);
    assert_true(dsc_unroll_new(&l->unroll, trainable, hyper,
                               curved ? DSC_UNROLL_CURVED : DSC_UNROLL_PLAIN, l->lanes, STEPS,
                               NULL));
}

static void end(lesson *l)
{
    dsc_unroll_free(l->unroll);
    free(l->data);
    free(l->phi);
    free(l->packed);
    free(l->theta);
    free(l->state);
    free(l->grads);
}

/* Play BEFORE steps, remember, then STEPS more and back; record what they saw. */
static void learn(lesson *l)
{
    const dsc_pupil pupil = {l->trainable, l->hyper, l->packed};
    const size_t state_len = dsc_unroll_state_len(l->trainable, l->hyper, l->lanes);
    dsc_strand strand = {.lanes = l->lanes, .theta = l->theta, .state = l->state};
    double losses[STEPS];

    strand.grad = l->grads;
    for (size_t i = 0; i < FUNCTIONS; i++) {
        const dsc_draw draw = {9, 0, i};

        dsc_problem_quadratic.sample(&l->problem, &draw, l->data + i * l->n * (l->n + 1),
                                     l->theta + i * l->n);
    }
    (void)evaluate(l, 0, strand.theta, strand.grad);
    dsc_unroll_play(l->unroll, &pupil, &strand, BEFORE, evaluate, l, losses);

    strand.theta = malloc(l->lanes * sizeof *strand.theta);
    strand.state = malloc((state_len + 1) * sizeof *strand.state);
    memcpy(strand.theta, l->theta, l->lanes * sizeof *strand.theta);
    memcpy(strand.state, l->state, state_len * sizeof *strand.state);
    for (size_t k = 0; k < STEPS; k++) { /* one step at a time, to see each gradient */
        strand.grad = l->grads + (k + 1) * l->lanes;
        memcpy(strand.grad, l->grads + k * l->lanes, l->lanes * sizeof *strand.grad);
        dsc_unroll_play(l->unroll, &pupil, &strand, 1, evaluate, l, losses);
    }
    memcpy(strand.state, l->state, state_len * sizeof *strand.state);
    dsc_unroll_replay(l->unroll, &pupil, &strand, STEPS, l->grads, NULL);
    dsc_unroll_back(l->unroll, &pupil, l->weights, l->d_packed);
    l->trainable->unpack(l->d_phi, l->d_packed, l->hyper);
    free(strand.theta);
    free(strand.state);
}

/* Tensors that act only as a sum have all of it on the first (trainable.h): the differences of the
 * others are left out. */
static void forget_twins(lesson *l, dsc_real *differences_wanted)
{
    dsc_layout layout = {0};

    l->trainable->family->phi_layout(&layout, l->hyper);
    for (int i = 0; i < layout.count; i++)
        for (size_t k = 0; k < layout.tensor[i].len; k++)
            differences_wanted[layout.tensor[i].offset + k] =
                strstr(layout.tensor[i].name, "bias_hh") == NULL;
}

static void check_unroll(const dsc_trainable *trainable, const dsc_hyper *hyper, double d,
                         bool curved)
{
    dsc_objective *const objective = curved ? evaluate : evaluate_frozen;
    lesson l;
    dsc_real *wanted;

    begin(&l, trainable, hyper, d, curved);
    learn(&l);
    if (curved) {
        memset(l.d_packed, 0, trainable->packed_len(hyper) * sizeof *l.d_packed);
        (void)loss_of(&l, evaluate, true);
        trainable->unpack(l.d_phi, l.d_packed, hyper);
    }
    wanted = calloc(l.phi_len, sizeof *wanted);
    forget_twins(&l, wanted);
    for (size_t i = 0, step = 1 + l.phi_len / 400; i < l.phi_len; i++) {
        const dsc_real here = l.phi[i];

        if (wanted[i] == 0) {
            assert_true(l.d_phi[i] == 0);
            continue;
        }
        if (i % step == 0) { /* one weight at a time, through the same door */
            const double h = 1e-5;
            double slope, floor = 0;

            for (size_t j = 0; j < l.phi_len; j++)
                floor = fmax(floor, 1e-3 * fabs(l.d_phi[j]));
            l.phi[i] = here + h;
            slope = loss_of(&l, objective, false);
            l.phi[i] = here - h;
            slope = (slope - loss_of(&l, objective, false)) / (2 * h);
            l.phi[i] = here;
            assert_true(fabs(slope - l.d_phi[i]) <= 1e-5 * fmax(fabs(slope), floor));
        }
    }
    free(wanted);
    end(&l);
}

static void test_unrolls(void **state)
{
    static const char *const words[] = {"log_sign", "none"};

    (void)state;
    for (size_t i = 0; dsc_trainables[i]; i++)
        for (int layers = 0; layers <= 3; layers++)
            for (int word = 0; word < 2; word++) {
                dsc_hyper hyper;

                dsc_hyper_init(&hyper, dsc_trainables[i]->family->hyper);
                assert_true(dsc_hyper_set_number(&hyper, "layers", layers, NULL));
                assert_true(dsc_hyper_set_number(&hyper, "hidden_size", 5, NULL));
                assert_true(dsc_hyper_set_word(&hyper, "preprocessing", words[word], NULL));
                check_unroll(dsc_trainables[i], &hyper, 4, false);
                check_unroll(dsc_trainables[i], &hyper, 4, true);
            }
}

/* More lanes than a part holds: the way back goes part by part. */
static void test_parts(void **state)
{
    dsc_hyper hyper;

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "hidden_size", 3, NULL));
    check_unroll(&dsc_trainable_lstm, &hyper, 41, false);
    /* The logarithm of a gradient near 0 is too steep for differences of the loop. */
    assert_true(dsc_hyper_set_word(&hyper, "preprocessing", "none", NULL));
    check_unroll(&dsc_trainable_lstm, &hyper, 41, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_problems),
        cmocka_unit_test(test_unrolls),
        cmocka_unit_test(test_parts),
    };

    return cmocka_run_group_tests(tests, make_toy, NULL);
}
