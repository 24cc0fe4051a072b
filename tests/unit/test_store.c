/* test_store.c -- the small database: opened, refused, several calls as one transaction, several
 * threads */
#include "server/store.h"
#include "server/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct room {
    char dir[64];
    struct store *store;
    dsc_arena arena;
};

static int set_up(void **state)
{
    struct room *const room = calloc(1, sizeof *room);

    assert_non_null(room);
    strcpy(room->dir, "/tmp/descent-store-XXXXXX");
    assert_non_null(mkdtemp(room->dir));
    dsc_arena_init(&room->arena, 1 << 20);
    assert_true(store_open(&room->store, room->dir, NULL));
    *state = room;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm"};
    struct room *const room = *state;
    char path[128];

    store_close(room->store);
    dsc_arena_release(&room->arena);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", room->dir, files[i]);
        (void)unlink(path);
    }
    const int removed = rmdir(room->dir);
    free(room);
    return removed;
}

/* DSC_OK, or the code it failed with. */
static int insert(struct store *store, const char *name)
{
    struct optimizer_row row = {
        .name = name, .family = "sgd", .config = "{}", .description = "", .labels = "{}"};
    dsc_err err = {0};

    return store_optimizer_insert(store, &row, &err) ? DSC_OK : err.code;
}

static bool there(struct room *room, const char *name)
{
    struct optimizer_row row;

    return store_optimizer_find(room->store, name, &row, &room->arena, NULL);
}

static void reopen(struct room *room)
{
    store_close(room->store);
    assert_true(store_open(&room->store, room->dir, NULL));
}

/* --- transactions --- */

static void test_all_or_nothing(void **state)
{
    struct room *const room = *state;

    for (int ok = 0; ok < 2; ok++) {
        assert_true(store_begin(room->store, NULL));
        assert_int_equal(insert(room->store, "a"), DSC_OK);
        assert_int_equal(insert(room->store, "b"), DSC_OK);
        assert_true(there(room, "a")); /* for whoever is inside */
        assert_int_equal(store_end(room->store, ok, NULL), ok);
        reopen(room);
        assert_int_equal(there(room, "a"), ok);
        assert_int_equal(there(room, "b"), ok);
    }
}

/* The outermost decides. */
static void test_nested(void **state)
{
    struct room *const room = *state;

    for (int ok = 0; ok < 2; ok++) {
        assert_true(store_begin(room->store, NULL));
        assert_int_equal(insert(room->store, "outer"), DSC_OK);
        assert_true(store_begin(room->store, NULL));
        assert_int_equal(insert(room->store, "inner"), DSC_OK);
        assert_true(store_end(room->store, true, NULL));
        assert_int_equal(store_end(room->store, ok, NULL), ok);
        reopen(room);
        assert_int_equal(there(room, "outer"), ok);
        assert_int_equal(there(room, "inner"), ok);
    }
}

/* A call that fails inside leaves the transaction usable, and its caller decides. */
static void test_failure_inside(void **state)
{
    struct room *const room = *state;

    assert_int_equal(insert(room->store, "taken"), DSC_OK);
    assert_true(store_begin(room->store, NULL));
    assert_int_equal(insert(room->store, "new"), DSC_OK);
    assert_int_equal(insert(room->store, "taken"), FAULT_ALREADY_EXISTS);
    assert_false(store_end(room->store, false, NULL));
    assert_false(there(room, "new"));
    assert_int_equal(insert(room->store, "new"), DSC_OK);
}

enum { THREADS = 4, EACH = 25 };

struct writer {
    pthread_t thread;
    struct store *store;
    int index, failures;
};

/* Pairs in one transaction; every third is undone. */
static void *write_pairs(void *arg)
{
    struct writer *const writer = arg;
    char name[2][64];

    for (int i = 0; i < EACH; i++) {
        const bool keep = i % 3 != 0;
        (void)snprintf(name[0], 64, "left-%d-%d", writer->index, i);
        (void)snprintf(name[1], 64, "right-%d-%d", writer->index, i);
        if (!store_begin(writer->store, NULL)) {
            writer->failures++;
            continue;
        }
        const bool ok =
            insert(writer->store, name[0]) == DSC_OK && insert(writer->store, name[1]) == DSC_OK;
        writer->failures += !ok || store_end(writer->store, keep, NULL) != keep;
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct room *const room = *state;
    struct writer writer[THREADS];
    char name[64];

    for (int i = 0; i < THREADS; i++) {
        writer[i] = (struct writer) {.store = room->store, .index = i};
        assert_int_equal(pthread_create(&writer[i].thread, NULL, write_pairs, &writer[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(writer[i].thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(writer[i].failures, 0);
        for (int j = 0; j < EACH; j++) {
            (void)snprintf(name, sizeof name, "left-%d-%d", i, j);
            assert_int_equal(there(room, name), j % 3 != 0);
            (void)snprintf(name, sizeof name, "right-%d-%d", i, j);
            assert_int_equal(there(room, name), j % 3 != 0);
        }
    }
}

/* --- opening --- */

static void test_private(void **state)
{
    struct room *const room = *state;
    char dir[160];
    struct stat status;

    (void)snprintf(dir, sizeof dir, "%s/made", room->dir);
    assert_true(store_make_dir(dir, NULL));
    assert_int_equal(stat(dir, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_true(store_make_dir(dir, NULL)); /* it is there */
    assert_int_equal(rmdir(dir), 0);
    (void)snprintf(dir, sizeof dir, "%s/no/such/place", room->dir);
    assert_false(store_make_dir(dir, NULL));
}

static void test_newer_is_refused(void **state)
{
    struct room *const room = *state;
    char path[128];
    sqlite3 *db = NULL;
    struct store *store = NULL;
    dsc_err err = {0};

    (void)snprintf(path, sizeof path, "%s/descent.db", room->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 1000", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_false(store_open(&store, room->dir, &err));
    assert_non_null(strstr(err.text, "newer"));
    assert_false(store_open(&store, "/nowhere/at/all", NULL));
    store_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_or_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nested, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure_inside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
