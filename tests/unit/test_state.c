/* test_state.c -- every number of every coordinate has one place, for every n and so every tail */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 200, WIDTH = 6 };

static void layout_make(dsc_layout *layout)
{
    *layout = (dsc_layout) {0};
    dsc_layout_add(layout, "m", 0, 0, 0, 0);
    dsc_layout_add(layout, "h", 0, 1, 4, 0);
    dsc_layout_add(layout, "v", 0, 0, 0, 0);
}

/* The picture at the top of state.h, walked from the front: `row` and coordinate of each number, or
 * -1 as coordinate for a lane beyond n. */
typedef struct {
    int c, row;
} owner;

static size_t walk(owner *owners, size_t n)
{
    size_t at = 0;

    for (size_t c = 0; c < n;) {
        const size_t lanes = n - c >= 64 ? 64 : 16;

        for (size_t row = 0; row < WIDTH; row++)
            for (size_t lane = 0; lane < lanes; lane++)
                owners[at++] = (owner) {c + lane < n ? (int)(c + lane) : -1, (int)row};
        c += lanes;
    }
    return at;
}

static float number(int c, size_t row)
{
    return (float)(c * WIDTH) + (float)row + 1;
}

static void scatter_all(float *state, size_t n, const dsc_layout *layout)
{
    float rows[N_MAX * WIDTH];

    for (int i = 0; i < layout->count; i++) {
        const dsc_tensor *const tensor = &layout->tensor[i];

        for (size_t c = 0; c < n; c++)
            for (size_t k = 0; k < tensor->len; k++)
                rows[c * tensor->len + k] = number((int)c, tensor->offset + k);
        dsc_state_scatter(state, rows, n, layout, tensor);
    }
}

static void check_gather(const float *state, size_t n, const dsc_layout *layout)
{
    float rows[N_MAX * WIDTH];

    for (int i = 0; i < layout->count; i++) {
        const dsc_tensor *const tensor = &layout->tensor[i];

        dsc_state_gather(rows, state, n, layout, tensor);
        for (size_t c = 0; c < n; c++)
            for (size_t k = 0; k < tensor->len; k++)
                assert_true(rows[c * tensor->len + k] == number((int)c, tensor->offset + k));
    }
}

static void test_every_n(void **state)
{
    dsc_layout layout;

    (void)state;
    layout_make(&layout);
    for (size_t n = 1; n <= N_MAX; n++) {
        static owner owners[(N_MAX + 64) * WIDTH];
        const size_t len = walk(owners, n);
        float *const numbers = calloc(len, sizeof *numbers); /* exactly: a sanitizer watches */

        assert_non_null(numbers);
        assert_int_equal(len, dsc_state_lanes(n) * WIDTH);
        scatter_all(numbers, n, &layout);
        for (size_t at = 0; at < len; at++)
            assert_true(numbers[at] ==
                        (owners[at].c < 0 ? 0 : number(owners[at].c, (size_t)owners[at].row)));
        check_gather(numbers, n, &layout);
        free(numbers);
    }
}

static void test_blocks(void **state)
{
    (void)state;
    assert_int_equal(dsc_state_lanes(1), 16);
    assert_int_equal(dsc_state_lanes(16), 16);
    assert_int_equal(dsc_state_lanes(17), 32);
    assert_int_equal(dsc_state_block(0, 64), 64);
    assert_int_equal(dsc_state_block(0, 63), 16);
    assert_int_equal(dsc_state_block(64, 127), 16);
    assert_int_equal(dsc_state_block(64, 128), 64);
    for (size_t n = 1; n <= N_MAX; n++) {
        size_t c = 0;

        while (c < n)
            c += dsc_state_block(c, n);
        assert_int_equal(c, dsc_state_lanes(n));
    }
}

/* What is gathered is what a family keeps: after one step m of Adam is (1 - beta1) grad. */
static void test_of_a_run(void **state)
{
    dsc_hyper hyper;
    dsc_model *model;
    float *const work = dsc_work_new();

    (void)state;
    dsc_hyper_init(&hyper, dsc_family_adam.hyper);
    assert_true(dsc_model_new(&model, &dsc_family_adam, &hyper, NULL, NULL, NULL));
    for (size_t n = 1; n <= N_MAX; n += 3) {
        float grad[N_MAX], update[N_MAX], m[N_MAX];
        const dsc_layout *const layout = dsc_model_state_layout(model);
        dsc_run *run;
        size_t len;

        for (size_t c = 0; c < n; c++)
            grad[c] = (float)(c + 1);
        assert_true(dsc_run_new(&run, model, n, NULL));
        assert_true(dsc_run_step(run, grad, update, work, NULL));
        dsc_state_gather(m, dsc_run_state(run, 0, n, &len), n, layout,
                         dsc_layout_find(layout, "m"));
        assert_int_equal(len, dsc_model_state_len(model, n));
        for (size_t c = 0; c < n; c++)
            assert_true(m[c] == (float)(1 - 0.9) * grad[c]);
        dsc_run_free(run);
    }
    dsc_model_drop(model);
    dsc_work_free(work);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_n),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_of_a_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
