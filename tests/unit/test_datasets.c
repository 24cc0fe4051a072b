/* test_datasets.c -- a folder of datasets by name: found once, in it or below, and never outside */
#include "server/datasets.h"
#include "server/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/descent-datasets-XXXXXX";
static const dsc_hyper_list all = {.count = 0};

static void write_text(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *const file = fopen(path, "w");
    assert_true(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static int setup(void **state)
{
    char path[128];

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/offered", dir);
    if (mkdir(path, 0700) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/offered/tables", dir);
    if (mkdir(path, 0700) != 0)
        return -1;
    write_text("secret.csv", "1,0\n2,1\n");
    write_text("offered/three.csv", "1,0\n2,1\n3,2\n");
    write_text("offered/tables/deep.tra", "1,0\n2,1\n");
    write_text("offered/broken.csv", "1,0\n2\n");
    return 0;
}

static int teardown(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static struct datasets *open_offered(void)
{
    char path[128];
    struct datasets *datasets = NULL;

    snprintf(path, sizeof path, "%s/offered", dir);
    assert_true(datasets_open(&datasets, path, NULL));
    return datasets;
}

static void test_found(void **state)
{
    struct datasets *const datasets = open_offered();
    const dsc_dataset *first, *again, *part;

    (void)state;
    assert_true(datasets_find(datasets, "three", &all, &first, NULL));
    assert_true(first->rows == 3 && first->classes == 3);
    assert_true(datasets_find(datasets, "three", &all, &again, NULL));
    assert_ptr_equal(first, again);
    assert_true(datasets_find(datasets, "three", &(dsc_hyper_list) {2, {2, 0}}, &part, NULL));
    assert_true(part->rows == 2 && part->classes == 2 && part->targets[0] == 1);
    assert_true(datasets_find(datasets, "deep", &all, &again, NULL));
    assert_true(again->rows == 2);
    datasets_close(datasets);
}

static void test_not_found(void **state)
{
    static const char *const names[] = {"four", "../secret", "..", ".", "tables/deep", "/etc", ""};
    struct datasets *datasets = open_offered();
    const dsc_dataset *dataset;
    dsc_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        err = (dsc_err) {0};
        assert_false(datasets_find(datasets, names[i], &all, &dataset, &err));
        assert_int_equal(err.code, FAULT_NOT_FOUND);
    }
    assert_false(datasets_find(datasets, "broken", &all, &dataset, &err));
    assert_false(datasets_find(datasets, "three", &(dsc_hyper_list) {1, {7}}, &dataset, NULL));
    datasets_close(datasets);
    assert_true(datasets_open(&datasets, NULL, NULL));
    assert_false(datasets_find(datasets, "three", &all, &dataset, NULL));
    datasets_close(datasets);
    assert_false(datasets_open(&datasets, "/nowhere", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_found),
                                       cmocka_unit_test(test_not_found)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
