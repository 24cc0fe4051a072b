/* test_file.c -- files read within a bound, and written completely or not at all */
#include "server/fault.h"
#include "server/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/descent-file-XXXXXX";
static char path[64];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir); /* fails when something else was left in it */
}

static void write_bytes(size_t len, int byte)
{
    struct buf *const bytes = buf_new(len);

    memset(bytes->data, byte, len);
    bytes->len = len;
    assert_true(file_write(path, bytes, NULL));
    buf_drop(bytes);
}

static void test_there_and_back(void **state)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 300000};
    struct buf *back;
    dsc_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        write_bytes(sizes[i], 'a' + (int)i);
        assert_true(file_read(&back, path, sizes[i], &err)); /* the bound is allowed */
        assert_int_equal(back->len, sizes[i]);
        assert_int_equal(back->data[sizes[i]], 0);
        assert_true(sizes[i] == 0 || back->data[sizes[i] - 1] == 'a' + (int)i);
        buf_drop(back);
        assert_true(sizes[i] == 0 || !file_read(&back, path, sizes[i] - 1, &err));
    }
    assert_int_equal(err.code, FAULT_BODY_TOO_LARGE);
    assert_non_null(strstr(err.text, path));
}

static void test_cannot(void **state)
{
    struct buf *bytes = buf_new(1);
    dsc_err err = {0};

    (void)state;
    assert_false(file_read(&bytes, "/nowhere/x", 10, &err));
    assert_non_null(strstr(err.text, "cannot read /nowhere/x: No such file"));
    assert_false(file_read(&bytes, dir, 10, NULL)); /* a folder */
    assert_false(file_check("/nowhere/x", NULL));
    assert_false(file_write("/nowhere/x", bytes, NULL));
    buf_drop(bytes);
}

/* What is there stays until the new bytes are whole; looking leaves nothing. */
static void test_old_bytes_stay(void **state)
{
    char part[80];
    struct buf *back;

    (void)state;
    write_bytes(3, 'o');
    assert_true(file_check(path, NULL));
    snprintf(part, sizeof part, "%s.part", path);
    assert_int_equal(access(part, F_OK), -1);
    assert_true(file_read(&back, path, 3, NULL));
    assert_memory_equal(back->data, "ooo", 4);
    buf_drop(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_cannot),
        cmocka_unit_test(test_old_bytes_stay),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
