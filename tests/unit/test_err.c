/* test_err.c -- the first failure wins, and nothing is written beyond its room */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static void test_records(void **state)
{
    dsc_err err = {0};

    (void)state;
    assert_false(dsc_fail(&err, DSC_EINVAL, "gradient[3]", "must be below %d, not %s", 7, "8"));
    assert_int_equal(err.code, DSC_EINVAL);
    assert_string_equal(err.where, "gradient[3]");
    assert_string_equal(err.text, "must be below 7, not 8");
    assert_null(err.fact[0].name);
}

static void test_first_wins(void **state)
{
    dsc_err err = {0};

    (void)state;
    assert_false(dsc_fail(&err, DSC_ENOMEM, NULL, "first"));
    assert_false(dsc_fail(&err, DSC_EINVAL, "other", "second"));
    assert_int_equal(err.code, DSC_ENOMEM);
    assert_string_equal(err.where, "");
    assert_string_equal(err.text, "first");
}

static void test_null(void **state)
{
    (void)state;
    assert_false(dsc_fail(NULL, DSC_EINVAL, "x", "%s", "y"));
    assert_false(dsc_fail_fact(NULL, "expected", 1));
}

/* A client chooses names, so both texts may be longer than their room: cut, with a NUL behind. */
static void test_cuts(void **state)
{
    struct {
        dsc_err err;
        char guard[8];
    } box = {.guard = "intact!"};
    char longer[1000];

    (void)state;
    memset(longer, 'w', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_false(dsc_fail(&box.err, DSC_EINVAL, longer, "%s", longer));
    assert_int_equal(strlen(box.err.where), sizeof box.err.where - 1);
    assert_int_equal(strlen(box.err.text), sizeof box.err.text - 1);
    assert_null(box.err.fact[0].name);
    assert_string_equal(box.guard, "intact!");
}

/* A percent sign of the client's is text. */
static void test_where_is_no_format(void **state)
{
    dsc_err err = {0};

    (void)state;
    assert_false(dsc_fail(&err, DSC_EINVAL, "%n%s%d", "fine"));
    assert_string_equal(err.where, "%n%s%d");
}

static void test_facts(void **state)
{
    dsc_err err = {0};

    (void)state;
    assert_false(dsc_fail(&err, DSC_ELIMIT, NULL, "too many"));
    assert_false(dsc_fail_fact(&err, "expected", UINT64_MAX));
    assert_false(dsc_fail_fact(&err, "received", 0));
    assert_false(dsc_fail_fact(&err, "third", 3));
    assert_string_equal(err.fact[0].name, "expected");
    assert_true(err.fact[0].value == UINT64_MAX);
    assert_string_equal(err.fact[1].name, "received");
    assert_true(err.fact[1].value == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records), cmocka_unit_test(test_first_wins),
        cmocka_unit_test(test_null),    cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_facts),   cmocka_unit_test(test_where_is_no_format),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
