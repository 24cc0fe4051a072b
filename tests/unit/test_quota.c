/* test_quota.c -- buckets of requests, by a clock that the test sets */
#include "server/limits.h"
#include "server/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

static const char one[] = "0123456789abcdef", other[] = "fedcba9876543210";

static int set_up(void **state)
{
    *state = quotas_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    quotas_free(*state);
    return 0;
}

static void test_a_minute_at_once_then_its_pace(void **state)
{
    struct quota quota;
    int64_t now = 1000000;

    for (int i = 0; i < 60; i++) {
        assert_true(quota_take(*state, one, 60, now, &quota));
        assert_int_equal(quota.limit, 60);
        assert_int_equal(quota.remaining, 59 - i);
        assert_int_equal(quota.reset_s, i + 1);
    }
    assert_false(quota_take(*state, one, 60, now, &quota));
    assert_int_equal(quota.remaining, 0);
    assert_int_equal(quota.retry_s, 1);
    assert_false(quota_take(*state, one, 60, now + 999, &quota));
    assert_true(quota_take(*state, one, 60, now + 1000, &quota));
    assert_false(quota_take(*state, one, 60, now + 1001, &quota));
    now += 1000 + 60000;
    for (int i = 0; i < 60; i++)
        assert_true(quota_take(*state, one, 60, now, &quota));
    assert_false(quota_take(*state, one, 60, now, &quota));
}

/* Over a long time as many as the bound says, whatever the rhythm of the questions. */
static void test_rate_over_time(void **state)
{
    struct quota quota;
    int taken = 0;

    for (int64_t now = 0; now < 600000; now += 37)
        taken += quota_take(*state, one, 90, now, &quota);
    assert_in_range(taken, 90 + 899, 90 + 900);
}

static void test_each_key_has_its_own(void **state)
{
    struct quota quota;

    assert_true(quota_take(*state, one, 1, 0, &quota));
    assert_false(quota_take(*state, one, 1, 0, &quota));
    assert_int_equal(quota.retry_s, 60);
    assert_true(quota_take(*state, other, 1, 0, &quota));
    assert_false(quota_take(*state, one, 1, 59999, &quota));
    assert_true(quota_take(*state, one, 1, 60000, &quota));
}

/* A bound that was lowered holds at once; a clock that goes back gives nothing. */
static void test_changes(void **state)
{
    struct quota quota;

    assert_true(quota_take(*state, one, 100, 5000, &quota));
    assert_true(quota_take(*state, one, 2, 5000, &quota));
    assert_int_equal(quota.remaining, 1);
    assert_true(quota_take(*state, one, 2, 4000, &quota));
    assert_false(quota_take(*state, one, 2, 3000, &quota));
}

/* As many keys as there may be, and as many again that are gone: each is still counted. */
static void test_many_keys(void **state)
{
    struct quota quota;
    char id[17];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < LIMIT_KEYS; i++) {
            (void)snprintf(id, sizeof id, "%016llx",
                           (unsigned long long)(i + round * LIMIT_KEYS + 1) * 0x9e3779b97f4a7c15u);
            assert_true(quota_take(*state, id, 1, round * 1000, &quota));
            assert_false(quota_take(*state, id, 1, round * 1000, &quota));
        }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_minute_at_once_then_its_pace),
        TEST(test_rate_over_time),
        TEST(test_each_key_has_its_own),
        TEST(test_changes),
        TEST(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
