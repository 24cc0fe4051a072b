/* test_arena.c -- pieces are zeroed, aligned, apart from one another, and never more than the cap
 */
#include "core/descent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static bool is_filled(const unsigned char *piece, size_t len, unsigned char with)
{
    for (size_t i = 0; i < len; i++)
        if (piece[i] != with)
            return false;
    return true;
}

/* Pieces of all sizes around a page's 16 kB, each written full: nobody may see another's bytes. */
static void test_pieces(void **state)
{
    enum { COUNT = 200 };
    unsigned char *piece[COUNT];
    size_t len[COUNT];
    dsc_arena arena;

    (void)state;
    dsc_arena_init(&arena, (size_t)1 << 24);
    for (size_t i = 0; i < COUNT; i++) {
        len[i] = i % 20 == 19 ? 16384 - 100 + i : i * i % 977;
        piece[i] = dsc_arena_take(&arena, len[i], 1);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 16, 0);
        assert_true(is_filled(piece[i], len[i], 0));
        memset(piece[i], (int)(i + 1), len[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_true(is_filled(piece[i], len[i], (unsigned char)(i + 1)));
    dsc_arena_release(&arena);
}

/* Small pieces to the very end of many pages: what they overran would be the allocator's own. */
static void test_page_ends(void **state)
{
    unsigned char *last = NULL;
    dsc_arena arena;

    (void)state;
    dsc_arena_init(&arena, (size_t)1 << 20);
    for (int i = 0; i < 1 << 16; i++) {
        unsigned char *const piece = dsc_arena_take(&arena, 16, 1);

        assert_non_null(piece);
        assert_true(is_filled(piece, 16, 0) && (!last || is_filled(last, 16, 255)));
        memset(piece, 255, 16);
        last = piece;
    }
    assert_null(dsc_arena_take(&arena, 1, 1));
    dsc_arena_release(&arena);
}

/* A piece counts as a multiple of 16 bytes; the last one that fits is given, the next is not, and a
 * refusal costs nothing. */
static void test_cap(void **state)
{
    dsc_arena arena;

    (void)state;
    dsc_arena_init(&arena, 100); /* six pieces and four bytes that are too few */
    assert_non_null(dsc_arena_take(&arena, 17, 1));
    assert_null(dsc_arena_take(&arena, 65, 1));
    assert_non_null(dsc_arena_take(&arena, 3, 16));
    assert_non_null(dsc_arena_take(&arena, 1, 1));
    assert_null(dsc_arena_take(&arena, 1, 1));
    assert_null(dsc_arena_text(&arena, "", 0));
    dsc_arena_release(&arena);
    dsc_arena_init(&arena, 0);
    assert_null(dsc_arena_take(&arena, 1, 1));
    dsc_arena_release(&arena);
}

static void test_overflow(void **state)
{
    static const size_t most = SIZE_MAX;
    dsc_arena arena;

    (void)state;
    dsc_arena_init(&arena, most);
    assert_null(dsc_arena_take(&arena, most / 2 + 1, 2));
    assert_null(dsc_arena_take(&arena, most / 4 + 5, 4)); /* the product wraps to 16 */
    assert_null(dsc_arena_take(&arena, most, most));
    assert_null(dsc_arena_take(&arena, most, 1)); /* wraps when rounded up */
    assert_null(dsc_arena_take(&arena, most - 15, 1));
    assert_null(dsc_arena_take(&arena, most - 16, 1)); /* wraps with the page's head */
    assert_null(dsc_arena_text(&arena, "x", most));
    assert_int_equal(arena.used, 0);
    assert_non_null(dsc_arena_take(&arena, 1, 1));
    dsc_arena_release(&arena);
}

static void test_empty_pieces_are_apart(void **state)
{
    dsc_arena arena;
    void *a, *b;

    (void)state;
    dsc_arena_init(&arena, 1000);
    a = dsc_arena_take(&arena, 0, 8);
    b = dsc_arena_take(&arena, 8, 0);
    assert_true(a && b && a != b);
    dsc_arena_release(&arena);
}

static void test_text(void **state)
{
    dsc_arena arena;
    char *text;

    (void)state;
    dsc_arena_init(&arena, 1000);
    text = dsc_arena_text(&arena, "sixteen letters.and more", 16);
    assert_string_equal(text, "sixteen letters.");
    assert_string_equal(dsc_arena_text(&arena, NULL, 0), "");
    text = dsc_arena_text(&arena, "a\0b", 3);
    assert_memory_equal(text, "a\0b", 4);
    dsc_arena_release(&arena);
}

/* Released, it hands out its whole cap again, zeroed again. */
static void test_release(void **state)
{
    dsc_arena arena;

    (void)state;
    dsc_arena_init(&arena, 100000);
    dsc_arena_release(&arena);
    for (int round = 0; round < 3; round++) {
        unsigned char *const piece = dsc_arena_take(&arena, 100000, 1);

        assert_non_null(piece);
        assert_true(is_filled(piece, 100000, 0));
        memset(piece, 255, 100000);
        assert_null(dsc_arena_take(&arena, 1, 1));
        dsc_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_page_ends),
        cmocka_unit_test(test_cap),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_empty_pieces_are_apart),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
