/* test_hyper.c -- what a table lets through, what it refuses, in which words; and the tables there
 * are */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { COUNT, RATE, SHARE, KIND };

static const char *const kinds[] = {"plain", "fancy", NULL};

static const dsc_hyper_spec table[] = {
    [COUNT] = {.name = "count", .kind = DSC_HYPER_INT, .min = 1, .max = 256, .initial = 20},
    [RATE] = {.name = "rate",
              .kind = DSC_HYPER_REAL,
              .min = 0,
              .max = 1e30,
              .initial = 0.1,
              .open = true},
    [SHARE] = {.name = "share", .kind = DSC_HYPER_REAL, .min = 0, .max = 1, .initial = 0.5},
    [KIND] = {.name = "kind", .kind = DSC_HYPER_WORD, .max = 1, .initial = 1, .words = kinds},
    {.name = NULL},
};

static void test_init(void **state)
{
    dsc_hyper hyper;

    (void)state;
    memset(&hyper, 255, sizeof hyper);
    dsc_hyper_init(&hyper, table);
    assert_ptr_equal(hyper.spec, table);
    assert_true(hyper.value[COUNT] == 20 && hyper.value[RATE] == 0.1 && hyper.value[SHARE] == 0.5);
    assert_string_equal(dsc_hyper_word(&hyper, KIND), "fancy");
    for (int row = KIND + 1; row < DSC_HYPER_MAX; row++)
        assert_true(hyper.value[row] == 0); /* models are compared and stored whole */
}

static void test_accepts(void **state)
{
    dsc_hyper hyper;

    (void)state;
    dsc_hyper_init(&hyper, table);
    assert_true(dsc_hyper_set_number(&hyper, "count", 1, NULL));
    assert_true(hyper.value[COUNT] == 1);
    assert_true(dsc_hyper_set_number(&hyper, "count", 256, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "rate", DBL_TRUE_MIN, NULL));
    assert_true(hyper.value[RATE] == DBL_TRUE_MIN);
    assert_true(dsc_hyper_set_number(&hyper, "rate", 1e30, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "share", 0, NULL));
    assert_true(dsc_hyper_set_number(&hyper, "share", 1, NULL));
    assert_true(dsc_hyper_set_word(&hyper, "kind", "plain", NULL));
    assert_string_equal(dsc_hyper_word(&hyper, KIND), "plain");
}

/* A number, or a word when `word` is there, is refused with this sentence and nothing changes. */
static void refused(const char *name, double value, const char *word, const char *text)
{
    dsc_hyper hyper, before;
    dsc_err err = {0};

    dsc_hyper_init(&hyper, table);
    before = hyper;
    assert_false(word ? dsc_hyper_set_word(&hyper, name, word, &err)
                      : dsc_hyper_set_number(&hyper, name, value, &err));
    assert_int_equal(err.code, DSC_EINVAL);
    assert_string_equal(err.where, name);
    assert_string_equal(err.text, text);
    assert_memory_equal(&hyper, &before, sizeof hyper);
}

static void test_refuses(void **state)
{
    static const char count[] = "must be a whole number in [1, 256]";
    static const char rate[] = "must be a number in (0, 1e+30]";
    static const char share[] = "must be a number in [0, 1]";
    static const char kind[] = "must be one of: plain, fancy";
    static const char unknown[] = "is not a parameter; there are: count, rate, share, kind";
    static const double bad_count[] = {0, 257, 1.5, -1, NAN, INFINITY, -INFINITY, 1e300};

    (void)state;
    for (size_t i = 0; i < sizeof bad_count / sizeof bad_count[0]; i++)
        refused("count", bad_count[i], NULL, count);
    refused("rate", 0, NULL, rate);
    refused("rate", -0.0, NULL, rate);
    refused("rate", nextafter(1e30, INFINITY), NULL, rate);
    refused("rate", NAN, NULL, rate);
    refused("share", -DBL_TRUE_MIN, NULL, share);
    refused("share", nextafter(1, 2), NULL, share);
    refused("share", INFINITY, NULL, share);
    refused("share", 0, "much", share);
    refused("count", 0, "1", count);
    refused("kind", 0, NULL, kind);
    refused("kind", 0, "", kind);
    refused("kind", 0, "Plain", kind);
    refused("kind", 0, "plain ", kind);
    refused("Count", 1, NULL, unknown);
    refused("", 1, NULL, unknown);
    refused("rates", 0, "plain", unknown);
}

/* A list of names that does not fit the sentence is cut, not overrun. */
static void test_long_list(void **state)
{
    static const char name[] = "a_parameter_with_a_name_as_long_as_a_line";
    dsc_hyper_spec many[DSC_HYPER_MAX] = {0};
    dsc_hyper hyper;
    dsc_err err = {0};

    (void)state;
    for (int row = 0; row < DSC_HYPER_MAX - 1; row++)
        many[row] = (dsc_hyper_spec) {.name = name, .kind = DSC_HYPER_REAL, .max = 1};
    dsc_hyper_init(&hyper, many);
    assert_false(dsc_hyper_set_number(&hyper, "other", 0, &err));
    assert_non_null(strstr(err.text, name));
    assert_true(strlen(err.text) < sizeof err.text);
}

/* --- the tables of the families: promises that nobody else would notice broken --- */

static void check_row(const dsc_hyper_spec *spec, int row)
{
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, spec);
    assert_int_equal(dsc_hyper_find(spec, spec[row].name), row); /* no name twice */
    assert_true(spec[row].doc && strlen(spec[row].doc) > 10);
    assert_true(!spec[row].at_most || dsc_hyper_find(spec, spec[row].at_most) >= 0);
    assert_true(dsc_hyper_check(&hyper, NULL));
    if (spec[row].kind == DSC_HYPER_WORD) {
        const char *const word = dsc_hyper_word(&hyper, row);

        assert_true(spec[row].words[(int)spec[row].max] &&
                    !spec[row].words[(int)spec[row].max + 1]);
        assert_true(dsc_hyper_set_word(&hyper, spec[row].name, word, NULL));
    } else {
        assert_true(dsc_hyper_set_number(&hyper, spec[row].name, spec[row].initial, NULL));
        assert_true(dsc_hyper_set_number(&hyper, spec[row].name, spec[row].max, NULL));
        assert_true(dsc_hyper_set_number(&hyper, spec[row].name, spec[row].min, NULL) !=
                    spec[row].open);
    }
}

static void test_families(void **state)
{
    (void)state;
    for (const dsc_family *const *family = dsc_families; *family; family++) {
        int row = 0;

        for (; (*family)->hyper[row].name; row++)
            check_row((*family)->hyper, row);
        assert_true(row < DSC_HYPER_MAX);
        assert_ptr_equal(dsc_family_find((*family)->name), *family);
    }
    assert_null(dsc_family_find("no such family"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),     cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses),  cmocka_unit_test(test_long_list),
        cmocka_unit_test(test_families),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
