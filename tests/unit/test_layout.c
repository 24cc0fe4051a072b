/* test_layout.c -- naming the parts of an array, and whether a file has exactly these parts */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static void assert_tensor(const dsc_tensor *tensor, const char *name, size_t offset, size_t len)
{
    assert_non_null(tensor);
    assert_string_equal(tensor->name, name);
    assert_int_equal(tensor->offset, offset);
    assert_int_equal(tensor->len, len);
}

static void test_add(void **state)
{
    dsc_layout layout = {0};

    (void)state;
    dsc_layout_add(&layout, "scale", 9, 0, 0, 0);
    dsc_layout_add(&layout, "lstm.weight_l%d", 3, 2, 80, 20);
    dsc_layout_add(&layout, "l%d.bias", 12, 1, 80, 7); /* a column of rank 1 does not count */
    dsc_layout_add(&layout, "none", 0, 2, 0, 5);
    assert_int_equal(layout.count, 4);
    assert_tensor(&layout.tensor[0], "scale", 0, 1);
    assert_tensor(&layout.tensor[1], "lstm.weight_l3", 1, 1600);
    assert_tensor(&layout.tensor[2], "l12.bias", 1601, 80);
    assert_int_equal(layout.tensor[2].shape[1], 0);
    assert_tensor(&layout.tensor[3], "none", 1681, 0);
    assert_int_equal(layout.len, 1681);
}

static void test_find(void **state)
{
    dsc_layout layout = {0};

    (void)state;
    dsc_layout_add(&layout, "h_l%d", 1, 1, 20, 0);
    dsc_layout_add(&layout, "h_l%d", 10, 1, 20, 0);
    assert_ptr_equal(dsc_layout_find(&layout, "h_l10"), &layout.tensor[1]);
    assert_null(dsc_layout_find(&layout, "h_l"));
    assert_null(dsc_layout_find(&layout, "h_l100"));
    assert_null(dsc_layout_find(&layout, ""));
}

/* --- matching --- */

static void wanted(dsc_layout *layout)
{
    *layout = (dsc_layout) {0};
    dsc_layout_add(layout, "weight", 0, 2, 80, 20);
    dsc_layout_add(layout, "bias", 0, 1, 80, 0);
    dsc_layout_add(layout, "scale", 0, 0, 0, 0);
}

static void refused(const dsc_layout *file, const char *where, const char *text)
{
    dsc_layout want;
    dsc_err err = {0};

    wanted(&want);
    assert_false(dsc_layout_match(file, &want, &err));
    assert_int_equal(err.code, DSC_EWEIGHTS);
    assert_string_equal(err.where, where);
    assert_string_equal(err.text, text);
}

static void test_matches_in_any_order(void **state)
{
    dsc_layout want, file = {0};

    (void)state;
    wanted(&want);
    dsc_layout_add(&file, "scale", 0, 0, 0, 0);
    dsc_layout_add(&file, "bias", 0, 1, 80, 0);
    dsc_layout_add(&file, "weight", 0, 2, 80, 20);
    assert_true(dsc_layout_match(&file, &want, NULL));
    assert_true(dsc_layout_match(&(dsc_layout) {0}, &(dsc_layout) {0}, NULL));
}

static void test_refuses_names(void **state)
{
    dsc_layout file;

    (void)state;
    wanted(&file);
    file.count--;
    refused(&file, "scale", "is missing");
    wanted(&file);
    dsc_layout_add(&file, "momentum", 0, 0, 0, 0);
    refused(&file, "momentum", "is not a tensor of this optimizer");
    refused(&(dsc_layout) {0}, "weight", "is missing");
    wanted(&file);
    dsc_layout_add(&file, "bias", 0, 1, 80, 0);
    refused(&file, "bias", "is there twice");
}

static void test_refuses_shapes(void **state)
{
    static const struct {
        const char *name;
        int rank;
        size_t rows, cols;
        const char *text;
    } bad[] = {
        {"weight", 2, 20, 80, "must have shape [80, 20], not [20, 80]"},
        {"weight", 1, 1600, 0, "must have shape [80, 20], not [1600]"},
        {"bias", 2, 80, 0, "must have shape [80], not [80, 0]"},
        {"bias", 2, 80, 1, "must have shape [80], not [80, 1]"},
        {"bias", 1, 81, 0, "must have shape [80], not [81]"},
        {"bias", 0, 0, 0, "must have shape [80], not []"},
        {"scale", 1, 1, 0, "must have shape [], not [1]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dsc_layout file = {0}, want;

        wanted(&want);
        for (int k = 0; k < want.count; k++) {
            const dsc_tensor *const t = &want.tensor[k];

            if (strcmp(t->name, bad[i].name) == 0)
                dsc_layout_add(&file, t->name, 0, bad[i].rank, bad[i].rows, bad[i].cols);
            else
                dsc_layout_add(&file, t->name, 0, t->rank, t->shape[0], t->shape[1]);
        }
        refused(&file, bad[i].name, bad[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_refuses_names),
        cmocka_unit_test(test_matches_in_any_order),
        cmocka_unit_test(test_refuses_shapes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
