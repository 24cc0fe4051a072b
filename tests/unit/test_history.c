/* test_history.c -- entries of steps: put together again from pieces, and thinned out without
 * losing an extreme */
#include "server/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct history_entry entry_of(uint64_t step)
{
    return (struct history_entry) {(double)step, (double)step + 0.25, (double)step + 0.5};
}

static void expect_entry(const struct history_trail *trail, uint64_t step)
{
    const struct history_entry want = entry_of(step);

    assert_true(step >= trail->first && step - trail->first < trail->count);
    assert_memory_equal(&trail->entry[step - trail->first], &want, sizeof want);
}

/* --- the trail --- */

static void test_due_once_in_a_block(void **state)
{
    struct history_trail trail;

    (void)state;
    history_restart(&trail, 37); /* as after a restore */
    for (uint64_t t = 37; t < 500; t++) {
        const struct history_entry entry = entry_of(t);

        assert_int_equal(history_due(&trail, t), t % HISTORY_BLOCK == 0 && t > 37);
        if (history_due(&trail, t))
            history_restart(&trail, t);
        history_add(&trail, &entry); /* asserts that there is room */
        expect_entry(&trail, t);
    }
}

/* Rows have the entry of their step without its update, and whole ones of steps before. */
static void merge_rows(size_t carried, uint64_t first, uint64_t end, uint64_t told)
{
    struct history_trail trail;

    history_restart(&trail, told);
    for (uint64_t t = first; t < end; t++) {
        struct history_entry row[HISTORY_BLOCK + 1];
        const size_t count = carried < t + 1 ? carried : (size_t)t + 1;

        for (size_t i = 0; i < count; i++)
            row[i] = entry_of(t + 1 - count + i);
        row[count - 1].update_norm = NAN;
        history_merge(&trail, t, row, count, told);
    }
    assert_int_equal(trail.first, told);
    assert_int_equal(trail.count, end - told);
    for (uint64_t t = told; t + 1 < end; t++)
        expect_entry(&trail, t);
    assert_true(isnan(trail.entry[trail.count - 1].update_norm));
}

static void test_merged_from_rows(void **state)
{
    (void)state;
    merge_rows(2, 0, 5, 0);      /* every gradient is kept */
    merge_rows(2, 75, 100, 80);  /* some are in the history already */
    merge_rows(20, 99, 100, 80); /* only the last is kept, and carries all */
    merge_rows(1, 0, 1, 0);
}

/* What does not follow is left out: rows from before there was a history, damaged ones. */
static void test_gaps_are_left_out(void **state)
{
    const struct history_entry one = entry_of(9);
    struct history_trail trail;

    (void)state;
    history_restart(&trail, 0);
    history_merge(&trail, 5, &one, 1, 0);
    assert_int_equal(trail.first, 5);
    history_merge(&trail, 9, &one, 1, 0); /* 6, 7, 8 are missing */
    assert_int_equal(trail.count, 1);
    history_merge(&trail, 3, &one, 1, 0);
    assert_int_equal(trail.count, 1);
    history_merge(&trail, 0, &one, 2, 0); /* more entries than steps */
    assert_int_equal(trail.count, 1);
}

/* --- thinning --- */

/* A curve with one spike up and one down in each of its numbers, at places of their own. */
static struct history_entry curve(uint64_t step, const uint64_t spike[6])
{
    double x[3] = {sin((double)step / 50) + 2, cos((double)step / 70) + 2, 2 + (double)step / 1e6};

    for (int i = 0; i < 6; i++)
        if (step == spike[i])
            x[i / 2] = i % 2 ? 0.001 : 1000;
    return (struct history_entry) {step % 3 ? x[0] : x[0], x[1], x[2]};
}

static bool has(const struct history_point *point, size_t count, uint64_t step)
{
    for (size_t i = 0; i < count; i++)
        if (point[i].step == step)
            return true;
    return false;
}

static void thin(uint64_t first, uint64_t total, size_t max, const uint64_t spike[6])
{
    struct history_sampler sampler;
    size_t count;

    assert_true(history_sampler_open(&sampler, total, first, first + total - 1, max));
    for (uint64_t step = first; step < first + total; step++) {
        const struct history_entry entry = curve(step, spike);
        history_sample(&sampler, step, &entry);
    }
    const struct history_point *const point = history_points(&sampler, &count);
    assert_true(count <= max && count >= (total < 2 ? total : 2));
    if (total <= max)
        assert_int_equal(count, total);
    assert_true(has(point, count, first) && has(point, count, first + total - 1));
    for (size_t i = 0; i < count; i++) {
        const struct history_entry want = curve(point[i].step, spike);
        assert_memory_equal(&point[i].entry, &want, sizeof want);
        assert_true(i == 0 || point[i].step > point[i - 1].step);
    }
    for (int i = 0; i < 6; i++)
        if (spike[i] >= first && spike[i] < first + total)
            assert_true(has(point, count, spike[i]));
    history_sampler_close(&sampler);
}

static void test_no_extreme_is_lost(void **state)
{
    static const uint64_t spikes[][6] = {{500, 501, 502, 503, 504, 505},
                                         {1, 77, 3000, 4000, 9000, 9998},
                                         {123, 456, 789, 1234, 5678, 9123}};
    static const size_t max[] = {8, 9, 20, 100, 500, 10000};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < sizeof max / sizeof *max; k++) {
            thin(0, 10000, max[k], spikes[i]);
            thin(400, 200, max[k], spikes[i]);
        }
    thin(7, 1, 8, spikes[0]);
    thin(7, 9, 8, spikes[0]);
}

/* Steps without a loss are no smallest loss. */
static void test_without_a_loss(void **state)
{
    struct history_sampler sampler;
    size_t count;

    (void)state;
    assert_true(history_sampler_open(&sampler, 1000, 0, 999, 8));
    for (uint64_t step = 0; step < 1000; step++) {
        struct history_entry entry = {NAN, 1, 1};
        if (step == 600)
            entry.loss = 5;
        history_sample(&sampler, step, &entry);
    }
    const struct history_point *const point = history_points(&sampler, &count);
    assert_true(has(point, count, 600) && has(point, count, 0) && has(point, count, 999));
    history_sampler_close(&sampler);
}

static void test_nothing_at_all(void **state)
{
    struct history_sampler sampler;
    size_t count;

    (void)state;
    assert_true(history_sampler_open(&sampler, 0, 0, 0, 8));
    (void)history_points(&sampler, &count);
    assert_int_equal(count, 0);
    history_sampler_close(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_due_once_in_a_block), cmocka_unit_test(test_merged_from_rows),
        cmocka_unit_test(test_gaps_are_left_out),   cmocka_unit_test(test_no_extreme_is_lost),
        cmocka_unit_test(test_without_a_loss),      cmocka_unit_test(test_nothing_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
