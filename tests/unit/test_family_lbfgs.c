/* test_family_lbfgs.c -- the vector-free L-BFGS against the textbook's recursion, and on quadratics
 *
 * The recursion here works on whole vectors in double and knows nothing of products, tiles or
 * coefficients. That a hundred steps agree with PyTorch is the business of tests/golden. */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2 * 4096 + 99, PAIRS = 4 };

static dsc_run *run_of(size_t n, double rate, int pairs)
{
    dsc_hyper hyper;
    dsc_model *model = NULL;
    dsc_run *run = NULL;

    dsc_hyper_init(&hyper, dsc_family_lbfgs.hyper);
    assert_true(dsc_hyper_set_number(&hyper, "learning_rate", rate, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "history_size", pairs, NULL));
    assert_true(dsc_model_new(&model, &dsc_family_lbfgs, &hyper, NULL, NULL, NULL));
    assert_true(dsc_run_new(&run, model, n, NULL));
    dsc_model_drop(model);
    return run;
}

/* --- the textbook --- */

struct textbook {
    int count;
    double s[PAIRS][N], y[PAIRS][N]; /* oldest first */
    double gradient[N], update[N];   /* the last     */
};

static double product(const double *a, const double *b)
{
    double sum = 0;

    for (size_t i = 0; i < N; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add(double *to, double factor, const double *x)
{
    for (size_t i = 0; i < N; i++)
        to[i] += factor * x[i];
}

static void keep_pair(struct textbook *book, const double *gradient)
{
    static double change[N];

    memcpy(change, gradient, sizeof change);
    add(change, -1, book->gradient);
    if (!(product(book->update, change) > 1e-10))
        return;
    if (book->count == PAIRS) {
        memmove(book->s, book->s + 1, (PAIRS - 1) * sizeof *book->s);
        memmove(book->y, book->y + 1, (PAIRS - 1) * sizeof *book->y);
        book->count--;
    }
    memcpy(book->s[book->count], book->update, sizeof *book->s);
    memcpy(book->y[book->count++], change, sizeof *book->y);
}

/* q <- H q */
static void recur(const struct textbook *book, double *q)
{
    double a[PAIRS];

    for (int i = book->count - 1; i >= 0; i--) {
        a[i] = product(book->s[i], q) / product(book->s[i], book->y[i]);
        add(q, -a[i], book->y[i]);
    }
    const double *const s = book->s[book->count - 1], *const y = book->y[book->count - 1];
    const double gamma = product(s, y) / product(y, y);
    for (size_t k = 0; k < N; k++)
        q[k] *= gamma;
    for (int i = 0; i < book->count; i++)
        add(q, a[i] - product(book->y[i], q) / product(book->s[i], book->y[i]), book->s[i]);
}

static void textbook_step(struct textbook *book, int t, const float *grad)
{
    static double gradient[N];
    double size = 0;

    for (size_t i = 0; i < N; i++) {
        gradient[i] = (double)grad[i];
        size += fabs(gradient[i]);
    }
    if (t > 0)
        keep_pair(book, gradient);
    memset(book->update, 0, sizeof book->update);
    add(book->update, t == 0 ? -fmin(1, 1 / size) : -1, gradient);
    if (book->count > 0)
        recur(book, book->update);
    for (size_t i = 0; i < N; i++)
        book->update[i] = (double)(float)book->update[i];
    memcpy(book->gradient, gradient, sizeof gradient);
}

/* Three tiles of coordinates, of 1/2 sum of a_i (x_i - b_i)^2, a from 1 to 100. Now and then the
 * gradient is turned round, so that a pair must be left out. */
static void test_textbook(void **state)
{
    static struct textbook book;
    static float x[N], grad[N], update[N];
    dsc_run *const run = run_of(N, 1, PAIRS);
    float *const work = dsc_work_new();

    (void)state;
    for (int t = 0; t < 12; t++) {
        double most = 0, off = 0;

        for (size_t i = 0; i < N; i++) {
            dsc_rng rng = dsc_rng_at(1, 0, i);
            const double a = pow(100, dsc_rng_uniform(&rng)), b = dsc_rng_normal(&rng);

            grad[i] = (float)((t == 6 ? -1 : 1) * a * ((double)x[i] - b));
        }
        textbook_step(&book, t, grad);
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t i = 0; i < N; i++) {
            most = fmax(most, fabs(book.update[i]));
            off = fmax(off, fabs(book.update[i] - (double)update[i]));
            x[i] += update[i];
        }
        if (!(off <= 1e-5 * most))
            fail_msg("step %d: off by %g of %g", t, off, most);
    }
    assert_int_equal(book.count, PAIRS);
    dsc_work_free(work);
    dsc_run_free(run);
}

/* --- by hand --- */

/* A parabola: after one pair the curvature is known, and the third point is the bottom. */
static void test_parabola(void **state)
{
    dsc_run *const run = run_of(1, 1, 10);
    float *const work = dsc_work_new();
    float x = 8, update;

    (void)state;
    for (int t = 0; t < 2; t++) { /* f = 2 (x - 3)^2 */
        const float grad = 4 * (x - 3);

        assert_true(dsc_run_step(run, &grad, &update, work, NULL));
        if (t == 0)
            assert_true(update == -1); /* min(1, 1 / 20) * 20 */
        x += update;
    }
    assert_true(fabsf(x - 3) < 1e-6F);
    dsc_work_free(work);
    dsc_run_free(run);
}

/* A hundred coordinates, curvatures from 1 to 1000, a loss of 7,000 at the start: gradient descent
 * at its best rate has come to 280 by then. */
static void test_quadratic(void **state)
{
    dsc_run *const run = run_of(100, 1, 10);
    float *const work = dsc_work_new();
    float x[100], grad[100], update[100];
    double loss = 0;

    (void)state;
    for (size_t i = 0; i < 100; i++)
        x[i] = 1;
    for (int t = 0; t < 150; t++) {
        loss = 0;
        for (size_t i = 0; i < 100; i++) {
            const double a = pow(1000, (double)i / 99);

            loss += a * (double)x[i] * (double)x[i] / 2;
            grad[i] = (float)(a * (double)x[i]);
        }
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        for (size_t i = 0; i < 100; i++)
            x[i] += update[i];
    }
    assert_true(loss < 1e-4);
    dsc_work_free(work);
    dsc_run_free(run);
}

/* A gradient whose change is no float is refused, and the next one is answered as if it had not
 * been sent. */
static void test_overflow_is_refused(void **state)
{
    static const float grads[][2] = {{-FLT_MAX, 1}, {-1, 2}, {3, -1}, {0.5F, 4}};
    static const float wild[2] = {FLT_MAX, 1};
    dsc_run *const run = run_of(2, 1, 3), *const calm = run_of(2, 1, 3);
    float *const work = dsc_work_new();
    float update[2], expected[2];

    (void)state;
    for (int t = 0; t < 4; t++) {
        dsc_err err = {0};

        if (t == 1) {
            update[0] = 7;
            assert_false(dsc_run_step(run, wild, update, work, &err));
            assert_int_equal(err.code, DSC_ENUMERIC);
            assert_string_equal(err.where, "update[0]");
            assert_true(update[0] == 7);
        }
        assert_true(dsc_run_step(calm, grads[t], expected, work, NULL));
        assert_true(dsc_run_step(run, grads[t], update, work, NULL));
        assert_memory_equal(update, expected, sizeof update);
    }
    dsc_work_free(work);
    dsc_run_free(run);
    dsc_run_free(calm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_textbook),
        cmocka_unit_test(test_parabola),
        cmocka_unit_test(test_quadratic),
        cmocka_unit_test(test_overflow_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
