/* test_buf.c -- counted bytes: alignment, growth, counts */
#include "server/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void new_is_aligned_and_empty(void **state)
{
    static const size_t caps[] = {0, 1, 63, 64, 65, 4096, 1u << 20};

    (void)state;
    for (size_t i = 0; i < sizeof caps / sizeof caps[0]; i++) {
        struct buf *const buf = buf_new(caps[i]);

        assert_non_null(buf);
        assert_non_null(buf->data);
        assert_int_equal((uintptr_t)buf->data % 64, 0);
        assert_true(buf->cap >= caps[i]);
        assert_int_equal(buf->len, 0);
        buf_drop(buf);
    }
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    assert_null(buf_new(SIZE_MAX));
    assert_null(buf_new(SIZE_MAX - 64));
    assert_null(buf_new(SIZE_MAX / 2));
}

static void append_keeps_what_was_there(void **state)
{
    struct buf *const buf = buf_new(1);

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        const unsigned char piece[3] = {(unsigned char)i, (unsigned char)(i >> 8), 7};

        assert_true(buf_append(buf, piece, sizeof piece));
    }
    assert_int_equal(buf->len, 30000);
    assert_true(buf->cap >= buf->len && buf->cap < 2 * buf->len);
    assert_int_equal((uintptr_t)buf->data % 64, 0);
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(buf->data[3 * i], i & 255);
        assert_int_equal(buf->data[3 * i + 1], i >> 8);
        assert_int_equal(buf->data[3 * i + 2], 7);
    }
    buf_drop(buf);
}

static void append_of_nothing_and_of_too_much(void **state)
{
    struct buf *const buf = buf_new(8);

    (void)state;
    assert_true(buf_append(buf, NULL, 0));
    assert_true(buf_append(buf, "abc", 3));
    assert_false(buf_append(buf, "abc", SIZE_MAX));     /* the sum overflows */
    assert_false(buf_append(buf, "abc", SIZE_MAX / 2)); /* no object is so large */
    assert_int_equal(buf->len, 3);
    assert_memory_equal(buf->data, "abc", 3);
    buf_drop(buf);
}

static void the_last_holder_frees(void **state)
{
    struct buf *const buf = buf_new(8);

    (void)state;
    assert_true(buf_sole(buf));
    assert_ptr_equal(buf_hold(buf), buf);
    assert_false(buf_sole(buf));
    buf_drop(buf);
    assert_true(buf_sole(buf));
    buf_drop(buf); /* the sanitizers see whether it is freed once */
    buf_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_is_aligned_and_empty),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(append_keeps_what_was_there),
        cmocka_unit_test(append_of_nothing_and_of_too_much),
        cmocka_unit_test(the_last_holder_frees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
