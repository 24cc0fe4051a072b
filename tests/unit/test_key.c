/* test_key.c -- keys and the keyring over a real database, without HTTP */
#include "server/key.h"
#include "server/clock.h"
#include "server/fault.h"
#include "server/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct store *store;
static struct pool *pool;
static struct keyring *ring;
static dsc_err err;

static int start(void **state)
{
    (void)state;
    err = (dsc_err) {0};
    strcpy(dir, "/tmp/descent-key-XXXXXX");
    return mkdtemp(dir) && store_open(&store, dir, &err) && pool_open(&pool, 1, &err) ? 0 : -1;
}

static int stop(void **state)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm"};
    char path[128];

    (void)state;
    pool_close(pool);
    keyring_close(ring);
    store_close(store);
    ring = NULL;
    pool = NULL;
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static bool open_ring(bool required, const char *configured)
{
    return keyring_open(&ring,
                        &(struct keyring_options) {.dir = dir,
                                                   .store = store,
                                                   .control = pool,
                                                   .required = required,
                                                   .configured = configured},
                        &err);
}

static struct quota quota;

/* 0 when it may, else the failure's code. */
static int ask(const char *text, enum scope scope)
{
    char header[512];

    err = (dsc_err) {0};
    snprintf(header, sizeof header, "Bearer %s", text ? text : "");
    return keyring_admit(ring, text ? header : NULL, scope, &quota, &err) ? 0 : err.code;
}

static struct key_text make(const char *name, scope_set scopes, int64_t expires_at)
{
    struct key_text key;
    assert_true(key_create(store, name, scopes, expires_at, &key, &err));
    return key;
}

static void test_texts(void **state)
{
    struct key_text a, b, c;

    (void)state;
    key_make(&a, NULL);
    key_make(&b, NULL);
    key_make(&c, a.id);
    assert_int_equal(strlen(a.text), 8 + 16 + 1 + 43);
    assert_memory_equal(a.text, a.prefix, strlen(a.prefix));
    assert_string_not_equal(a.id, b.id);
    assert_string_equal(a.id, c.id);
    assert_string_not_equal(a.text, c.text);
    assert_string_not_equal(a.hash, c.hash);
    assert_int_equal(strspn(a.hash, "0123456789abcdef"), 64);
    assert_null(strstr(a.hash, a.text));
}

static void test_required(void **state)
{
    (void)state;
    assert_true(open_ring(true, NULL));
    struct key_text key = make("k", scope_bit(SCOPE_JOBS_READ), 0);
    assert_int_equal(ask(NULL, SCOPE_NONE), 0);
    assert_int_equal(ask("nonsense", SCOPE_NONE), 0);
    assert_int_equal(ask(NULL, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    assert_int_equal(ask(key.text, SCOPE_ANY), 0);
    assert_int_equal(ask(key.text, SCOPE_JOBS_READ), 0);
    assert_int_equal(ask(key.text, SCOPE_JOBS_WRITE), FAULT_FORBIDDEN);
    assert_non_null(strstr(err.text, "jobs:write"));
    assert_int_equal(ask(key.text, SCOPE_UNDECLARED), FAULT_FORBIDDEN);
    assert_int_equal(ask(key.text, SCOPE_END), FAULT_FORBIDDEN);
}

static void test_not_required_but_checked(void **state)
{
    (void)state;
    assert_true(open_ring(false, NULL));
    struct key_text key = make("k", scope_bit(SCOPE_JOBS_READ), 0);
    assert_int_equal(ask(NULL, SCOPE_KEYS_ADMIN), 0);
    assert_true(keyring_admit(ring, "Basic dTpw", SCOPE_KEYS_ADMIN, &quota, &err)); /* a proxy's */
    assert_int_equal(ask(key.text, SCOPE_JOBS_WRITE), FAULT_FORBIDDEN);
    assert_int_equal(ask("nonsense", SCOPE_JOBS_WRITE), FAULT_UNAUTHENTICATED);
}

/* One character more, less or other is another key; so is one of the right form. */
static void test_texts_that_are_no_keys(void **state)
{
    char text[700];

    (void)state;
    assert_true(open_ring(true, NULL));
    struct key_text key = make("k", SCOPE_ALL, 0);
    assert_int_equal(ask(key.text, SCOPE_ANY), 0);
    for (size_t i = 0; key.text[i]; i++) {
        strcpy(text, key.text);
        text[i] ^= 1;
        assert_int_equal(ask(text, SCOPE_ANY), FAULT_UNAUTHENTICATED);
        text[i] = '\0';
        assert_int_equal(ask(text, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    }
    snprintf(text, sizeof text, "%sx", key.text);
    assert_int_equal(ask(text, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    assert_int_equal(ask(key.hash, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    assert_int_equal(ask("", SCOPE_ANY), FAULT_UNAUTHENTICATED);
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(ask(text, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    snprintf(text, sizeof text, "bEARER   %s", key.text); /* RFC 9110: schemes have no case */
    assert_true(keyring_admit(ring, text, SCOPE_ANY, &quota, &err));
}

static void test_expiry(void **state)
{
    (void)state;
    assert_true(open_ring(true, NULL));
    struct key_text past = make("past", SCOPE_ALL, clock_ms() - 1);
    struct key_text future = make("future", SCOPE_ALL, clock_ms() + 3600000);
    assert_int_equal(ask(past.text, SCOPE_ANY), FAULT_UNAUTHENTICATED);
    assert_non_null(strstr(err.text, "expired"));
    assert_int_equal(ask(future.text, SCOPE_ANY), 0);
}

/* Keys made and changed by another connection; those that were seen, after keyring_forget. */
static void test_changes(void **state)
{
    struct key_row row;
    dsc_arena arena;

    (void)state;
    assert_true(open_ring(true, NULL));
    struct key_text key = make("k", scope_bit(SCOPE_JOBS_READ), 0);
    assert_int_equal(ask(key.text, SCOPE_JOBS_READ), 0);
    dsc_arena_init(&arena, 1 << 16);
    assert_true(store_key_find(store, key.id, &row, &arena, &err));
    assert_string_equal(row.hash, key.hash);
    struct key_text again;
    key_make(&again, key.id);
    row.hash = again.hash;
    row.scopes = "jobs:write";
    assert_true(store_key_update(store, &row, &err));
    keyring_forget(ring, key.id);
    assert_int_equal(ask(key.text, SCOPE_JOBS_READ), FAULT_UNAUTHENTICATED);
    assert_int_equal(ask(again.text, SCOPE_JOBS_READ), FAULT_FORBIDDEN);
    assert_int_equal(ask(again.text, SCOPE_JOBS_WRITE), 0);
    assert_true(store_key_delete(store, key.id, &err));
    keyring_forget(ring, key.id);
    assert_int_equal(ask(again.text, SCOPE_JOBS_WRITE), FAULT_UNAUTHENTICATED);
    assert_false(store_key_delete(store, key.id, &err));
    dsc_arena_release(&arena);
}

/* Ids that begin alike share a slot of the cache and are still two keys. */
static void test_one_slot_two_keys(void **state)
{
    struct key_text a, b;

    (void)state;
    assert_true(open_ring(true, NULL));
    key_make(&a, "abc0000000000001");
    key_make(&b, "abc0000000000002");
    assert_true(store_key_insert(
        store, &(struct key_row) {.id = a.id, .name = "a", .scopes = "jobs:read", .hash = a.hash},
        &err));
    assert_true(store_key_insert(
        store, &(struct key_row) {.id = b.id, .name = "b", .scopes = "jobs:write", .hash = b.hash},
        &err));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(a.text, SCOPE_JOBS_READ), 0);
        assert_int_equal(ask(b.text, SCOPE_JOBS_READ), FAULT_FORBIDDEN);
    }
}

static int64_t stored_use(const char *id)
{
    struct key_row row;
    dsc_arena arena;

    dsc_arena_init(&arena, 1 << 16);
    assert_true(store_key_find(store, id, &row, &arena, &err));
    dsc_arena_release(&arena);
    return row.last_used_at;
}

/* The cache knows each use; the database is told of the first, and not again within the minute. */
static void test_last_used(void **state)
{
    (void)state;
    assert_true(open_ring(true, NULL));
    struct key_text key = make("k", SCOPE_ALL, 0);
    assert_true(keyring_last_used(ring, key.id) == 0);
    assert_int_equal(ask(key.text, SCOPE_ANY), 0);
    const int64_t first = keyring_last_used(ring, key.id);
    assert_true(first > 0);
    while (clock_ms() == first)
        ;
    assert_int_equal(ask(key.text, SCOPE_ANY), 0);
    assert_true(keyring_last_used(ring, key.id) > first);
    assert_int_equal(ask(key.text, SCOPE_JOBS_READ), 0);
    pool_close(pool); /* what is queued is run */
    pool = NULL;
    assert_true(stored_use(key.id) == first);
}

static void test_configured(void **state)
{
    static const char good[] = "0123456789abcdef0123456789abcdef";
    char text[LIMIT_KEY_BYTES + 2] = "";

    (void)state;
    assert_false(open_ring(true, ""));
    err = (dsc_err) {0};
    assert_false(open_ring(true, "0123456789abcdef0123456789abcde"));
    assert_int_equal(err.code, FAULT_INVALID_VALUE);
    assert_string_equal(err.where, "api-key");
    assert_null(strstr(err.text, "0123456789")); /* the sentence does not tell the secret */
    assert_false(open_ring(true, "0123456789abcdef 0123456789abcdef"));
    memset(text, 'k', LIMIT_KEY_BYTES + 1);
    assert_false(open_ring(true, text));
    assert_true(open_ring(true, good));
    assert_int_equal(ask(good, SCOPE_KEYS_ADMIN), 0);
    assert_int_equal(ask("0123456789abcdef0123456789abcdeg", SCOPE_ANY), FAULT_UNAUTHENTICATED);
    assert_int_equal(ask(NULL, SCOPE_ANY), FAULT_UNAUTHENTICATED);
}

static void test_names_are_unique(void **state)
{
    struct key_text key;

    (void)state;
    make("k", SCOPE_ALL, 0);
    assert_false(key_create(store, "k", SCOPE_ALL, 0, &key, &err));
    assert_int_equal(err.code, FAULT_ALREADY_EXISTS);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(test_texts),
        TEST(test_required),
        TEST(test_not_required_but_checked),
        TEST(test_texts_that_are_no_keys),
        TEST(test_expiry),
        TEST(test_changes),
        TEST(test_one_slot_two_keys),
        TEST(test_last_used),
        TEST(test_configured),
        TEST(test_names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
