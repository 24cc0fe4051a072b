#include "server/scope.h"
#include "server/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every set is a text that gives it back; the longest fits. */
static void test_sets_are_texts(void **state)
{
    char text[SCOPE_TEXT_BYTES];
    scope_set back;

    (void)state;
    for (scope_set set = 1; set <= SCOPE_ALL; set++) {
        scope_format(set, text);
        assert_true(scope_parse(&back, text, "", NULL));
        assert_true(back == set);
    }
    assert_true(scope_parse(&back, "all", "", NULL));
    assert_true(back == SCOPE_ALL);
}

static void test_words_that_are_none(void **state)
{
    static const char *const row[] = {
        "",     ",",   "jobs:read,", ",jobs:read",          "all,jobs:read",
        "none", "any", "Jobs:read",  "jobs:read jobs:write"};
    scope_set set;

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        dsc_err err = {0};
        assert_false(scope_parse(&set, row[i], "--scopes", &err));
        assert_int_equal(err.code, FAULT_INVALID_VALUE);
        assert_string_equal(err.where, "--scopes");
    }
    dsc_err err = {0};
    assert_false(scope_parse(&set, "jobs:raed", "scopes", &err));
    assert_non_null(strstr(err.text, "\"jobs:raed\"; did you mean jobs:read?"));
}

static void test_none_and_any_are_no_bits(void **state)
{
    (void)state;
    assert_true(scope_bit(SCOPE_UNDECLARED) == 0);
    assert_true(scope_bit(SCOPE_NONE) == 0);
    assert_true(scope_bit(SCOPE_ANY) == 0);
    assert_string_equal(scope_word(SCOPE_NONE), "none");
    assert_string_equal(scope_word(SCOPE_KEYS_ADMIN), "keys:admin");
    assert_string_equal(scope_word(SCOPE_METRICS_READ), "metrics:read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets_are_texts),
        cmocka_unit_test(test_words_that_are_none),
        cmocka_unit_test(test_none_and_any_are_no_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
