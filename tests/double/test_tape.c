/* test_tape.c -- every kind of node against central differences, calculated in double */
#include "core/gradcheck.h"
#include "core/rng.h"
#include "core/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(dsc_real) == sizeof(double), "this test is of the build in double");

enum { ROWS = 5 };

/* A tape under test, with room to run it. */
typedef struct {
    dsc_tape tape;
    dsc_var x, target; /* inputs; target 0 when there is none yet */
    dsc_real *work;
} subject;

static double value(void *arg, const dsc_real *theta)
{
    const subject *const s = arg;

    return dsc_tape_run(&s->tape, theta, NULL, s->work);
}

static void fill(dsc_real *x, size_t n, uint64_t seed)
{
    dsc_rng rng = dsc_rng_at(seed, 0, 0);

    for (size_t i = 0; i < n; i++)
        x[i] = dsc_rng_normal(&rng);
}

/* Finish the tape with a squared difference to a random target, so that every number of `y` weighs
 * differently. */
static void end_in_squares(subject *s, dsc_var y)
{
    const dsc_tape_node *const node = &s->tape.node[y];

    s->target = dsc_tape_input(&s->tape, node->rows, node->columns);
    (void)dsc_tape_square_loss(&s->tape, y, s->target);
}

/* Fill in what is not filled, and compare. */
static void check(subject *s, double worst)
{
    const size_t n = s->tape.params;
    dsc_real *const theta = calloc(2 * n, sizeof *theta), *const grad = theta + n;
    double loss;

    s->work = calloc(s->tape.work_len, sizeof *s->work);
    fill(dsc_tape_at(&s->tape, s->work, s->x), s->tape.node[s->x].rows * s->tape.node[s->x].columns,
         1);
    if (s->target)
        fill(dsc_tape_at(&s->tape, s->work, s->target),
             s->tape.node[s->target].rows * s->tape.node[s->target].columns, 2);
    fill(theta, n, 3);
    loss = dsc_tape_run(&s->tape, theta, grad, s->work);
    assert_true(isfinite(loss) && loss == value(s, theta));
    assert_true(dsc_gradcheck(value, s, theta, grad, n, 1e-5) < worst);
    free(s->work);
    free(theta);
}

static dsc_var dense(dsc_tape *tape, dsc_var x, size_t outputs)
{
    const dsc_var w = dsc_tape_param(tape, tape->node[x].columns, outputs);
    const dsc_var b = dsc_tape_param(tape, 1, outputs);

    return dsc_tape_affine(tape, x, w, b);
}

static dsc_var begin(subject *s, size_t columns)
{
    *s = (subject) {.target = 0};
    dsc_tape_init(&s->tape);
    return s->x = dsc_tape_input(&s->tape, ROWS, columns);
}

/* Two layers, so that the gradient by x of the second one is used. */
static void test_dense(void **state)
{
    static dsc_var (*const layers[])(dsc_tape *, dsc_var) = {dsc_tape_sigmoid, dsc_tape_tanh,
                                                             dsc_tape_relu};
    subject s;

    (void)state;
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const dsc_var x = begin(&s, 4);
        const dsc_var hidden = layers[i](&s.tape, dense(&s.tape, x, 7));

        end_in_squares(&s, dense(&s.tape, hidden, 3));
        check(&s, 1e-6);
    }
}

/* What is used twice gets both gradients. */
static void test_shared(void **state)
{
    subject s;
    dsc_var x, w, b;

    (void)state;
    x = begin(&s, 4);
    w = dsc_tape_param(&s.tape, 4, 4);
    b = dsc_tape_param(&s.tape, 1, 4);
    x = dsc_tape_tanh(&s.tape, dsc_tape_affine(&s.tape, x, w, b));
    end_in_squares(&s, dsc_tape_affine(&s.tape, x, w, b));
    check(&s, 1e-6);
}

static void test_losses(void **state)
{
    subject s;
    dsc_var labels;

    (void)state;
    (void)dense(&s.tape, begin(&s, 4), 3);
    labels = dsc_tape_input(&s.tape, ROWS, 1);
    (void)dsc_tape_softmax_loss(&s.tape, labels - 1, labels);
    check(&s, 1e-6); /* all labels 0 */
    (void)dense(&s.tape, begin(&s, 4), 1);
    labels = dsc_tape_input(&s.tape, ROWS, 1);
    (void)dsc_tape_logistic_loss(&s.tape, labels - 1, labels);
    check(&s, 1e-6);
}

/* By hand: logits 0 give log(classes), whatever the labels; a sure and right answer gives 0. */
static void test_loss_values(void **state)
{
    dsc_tape tape;
    dsc_real work[512] = {0}, theta[4] = {0};
    dsc_var logits, labels;

    (void)state;
    dsc_tape_init(&tape);
    logits = dsc_tape_input(&tape, 2, 3);
    labels = dsc_tape_input(&tape, 2, 1);
    (void)dsc_tape_softmax_loss(&tape, logits, labels);
    assert_true(tape.work_len <= 512);
    dsc_tape_at(&tape, work, labels)[1] = 2;
    assert_true(fabs(dsc_tape_run(&tape, theta, NULL, work) - log(3)) < 1e-15);
    dsc_tape_at(&tape, work, logits)[0] = 1e4;
    dsc_tape_at(&tape, work, logits)[5] = 1e4;
    assert_true(dsc_tape_run(&tape, theta, NULL, work) == 0);
    dsc_tape_at(&tape, work, labels)[1] = 1;
    assert_true(dsc_tape_run(&tape, theta, NULL, work) == 5e3);
}

/* Odd sizes, so that windows at the edges are cut; two convolutions, so that images have
 * gradients too. */
static void test_images(void **state)
{
    const dsc_image image = {2, 5, 3}, filtered = {3, 5, 3}, half = {3, 3, 2};
    subject s;
    dsc_var x, w, b;

    (void)state;
    x = begin(&s, 2 * 5 * 3);
    w = dsc_tape_param(&s.tape, 3, 2 * 5 * 5);
    b = dsc_tape_param(&s.tape, 1, 3);
    x = dsc_tape_pool(&s.tape, dsc_tape_conv(&s.tape, x, w, b, image, 5), filtered);
    w = dsc_tape_param(&s.tape, 2, 3 * 3 * 3);
    b = dsc_tape_param(&s.tape, 1, 2);
    x = dsc_tape_conv(&s.tape, x, w, b, half, 3);
    end_in_squares(&s, x);
    check(&s, 1e-5);
}

static void test_batch_norm(void **state)
{
    const dsc_image image = {3, 2, 2};
    subject s;
    dsc_var x, gain, bias;

    (void)state;
    x = dense(&s.tape, begin(&s, 4), 12);
    gain = dsc_tape_param(&s.tape, 1, 3);
    bias = dsc_tape_param(&s.tape, 1, 3);
    end_in_squares(&s, dsc_tape_batch_norm(&s.tape, x, gain, bias, image));
    check(&s, 1e-5);
}

/* A convolution by its definition. */
static void test_convolution_by_hand(void **state)
{
    const dsc_image image = {1, 3, 3};
    const dsc_real plane[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    /* w picks the neighbour to the left (row 1, column 0 of 3 x 3), b adds 10. */
    const dsc_real theta[10] = {[3] = 1, [9] = 10};
    const dsc_real expected[9] = {10, 11, 12, 10, 14, 15, 10, 17, 18};
    dsc_tape tape;
    dsc_real work[512] = {0};
    dsc_var x, w, b, y, target;

    (void)state;
    dsc_tape_init(&tape);
    x = dsc_tape_input(&tape, 1, 9);
    w = dsc_tape_param(&tape, 1, 9);
    b = dsc_tape_param(&tape, 1, 1);
    y = dsc_tape_conv(&tape, x, w, b, image, 3);
    target = dsc_tape_input(&tape, 1, 9);
    (void)dsc_tape_square_loss(&tape, y, target);
    assert_true(tape.work_len <= 512);
    memcpy(dsc_tape_at(&tape, work, x), plane, sizeof plane);
    memcpy(dsc_tape_at(&tape, work, target), expected, sizeof expected);
    assert_true(dsc_tape_run(&tape, theta, NULL, work) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_losses),
        cmocka_unit_test(test_loss_values),
        cmocka_unit_test(test_images),
        cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_convolution_by_hand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
