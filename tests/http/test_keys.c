/* test_keys.c -- every route of the table with no key, wrong ones and one of each scope; the life
 * of a key; what a server without one does */
#include "server/clock.h"
#include "server/fault.h"
#include "server/key.h"
#include "server/limits.h"
#include "server/routes.h"
#include "tests/support/served.h"
#include <jansson.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const required[] = {"--require-keys", NULL};

static struct served server = {.flags = required};
static struct key_text of_scope[SCOPE_END]; /* from SCOPE_FIRST */
static struct key_text all, expired, bounded;

static void create(struct store *store, const char *name, scope_set scopes, int64_t expires_at,
                   struct key_text *out)
{
    dsc_err err = {0};
    if (!key_create(store, name, scopes, expires_at, out, &err))
        fail_msg("%s: %s", name, err.text);
}

/* One request a minute. */
static void create_bounded(struct store *store, struct key_text *out)
{
    char words[SCOPE_TEXT_BYTES];
    struct key_row row = {.name = "bounded", .scopes = words, .requests_per_minute = 1};

    scope_format(SCOPE_ALL, words);
    assert_true(key_create_row(store, &row, out, NULL));
}

/* The keys are made before the server starts, as `descent key create` makes them. */
static int start(void **state)
{
    struct store *store;

    (void)state;
    strcpy(server.dir, "/tmp/descent-test-XXXXXX");
    if (!mkdtemp(server.dir) || !store_open(&store, server.dir, NULL))
        return -1;
    for (int scope = SCOPE_FIRST; scope < SCOPE_END; scope++)
        create(store, scope_word((enum scope)scope), scope_bit((enum scope)scope), 0,
               &of_scope[scope]);
    create(store, "all", SCOPE_ALL, 0, &all);
    create(store, "expired", SCOPE_ALL, clock_ms() - 1000, &expired);
    create_bounded(store, &bounded);
    store_close(store);
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return served_stop(&server) ? 0 : -1;
}

/* A request that fits the row: every {x} is "none", which is not there. */
static int call(const struct route *route, const char *key, char *reply, size_t size)
{
    char path[256] = "";
    size_t len = 0;

    for (const char *c = route->path; *c; c++)
        if (*c == '{') {
            len += (size_t)sprintf(path + len, "none");
            c = strchr(c, '}');
        } else {
            path[len++] = *c;
        }
    server.key = key;
    int status = served_ask_whole(&server, route->method, path, route_takes(route) ? "{}" : NULL,
                                  reply, size);
    server.key = NULL;
    return status;
}

static void refused(const struct route *route, const char *key, int status, const char *code,
                    const char *challenge)
{
    char reply[65536];
    int got = call(route, key, reply, sizeof reply);

    if (got != status || !strstr(reply, code) || !strstr(reply, challenge))
        fail_msg("%s %s with %s: %d\n%s", route->method, route->path, key ? key : "no key", got,
                 reply);
}

static void test_every_route_is_closed(void **state)
{
    struct key_text unknown;

    (void)state;
    key_make(&unknown, NULL);
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        if (route->scope == SCOPE_NONE)
            continue;
        refused(route, NULL, 401, "unauthenticated", "Bearer realm=\"descent\"\r\n");
        refused(route, "wrong", 401, "unauthenticated", "error=\"invalid_token\"");
        refused(route, unknown.text, 401, "unauthenticated", "error=\"invalid_token\"");
        refused(route, expired.text, 401, "the key has expired", "error=\"invalid_token\"");
    }
}

static void test_every_scope_at_every_route(void **state)
{
    char reply[65536], challenge[128];

    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        for (int scope = SCOPE_FIRST; scope < SCOPE_END; scope++) {
            bool may = route->scope == SCOPE_NONE || route->scope == SCOPE_ANY ||
                       (int)route->scope == scope;
            if (may) {
                int got = call(route, of_scope[scope].text, reply, sizeof reply);
                if (got == 401 || got == 403 || got < 200)
                    fail_msg("%s %s: %d", route->method, route->path, got);
            } else {
                snprintf(challenge, sizeof challenge, "error=\"insufficient_scope\", scope=\"%s\"",
                         scope_word(route->scope));
                refused(route, of_scope[scope].text, 403, "forbidden", challenge);
            }
        }
    }
}

/* A key that may send one request in a minute has sent it; then every route says so, and how long
 * it must wait. */
static void test_quota_at_every_route(void **state)
{
    char reply[65536];

    (void)state;
    server.key = bounded.text;
    assert_int_equal(served_ask_whole(&server, "GET", "/v1", NULL, reply, sizeof reply), 200);
    server.key = NULL;
    assert_non_null(strstr(reply, "RateLimit-Limit: 1\r\n"));
    assert_non_null(strstr(reply, "RateLimit-Remaining: 0\r\n"));
    assert_non_null(strstr(reply, "RateLimit-Reset: 60\r\n"));
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        if (route->scope == SCOPE_NONE)
            continue;
        int got = call(route, bounded.text, reply, sizeof reply);
        if (got != 429 || !strstr(reply, "quota_exceeded") || !strstr(reply, "Retry-After: ") ||
            !strstr(reply, "RateLimit-Remaining: 0\r\n"))
            fail_msg("%s %s: %d\n%s", route->method, route->path, got, reply);
    }
}

static void test_without_quota(void **state)
{
    char reply[65536];

    (void)state;
    server.key = all.text;
    assert_int_equal(served_ask_whole(&server, "GET", "/v1", NULL, reply, sizeof reply), 200);
    server.key = NULL;
    assert_null(strstr(reply, "RateLimit"));
}

/* What is open is exactly what the contract says. */
static void test_open_routes(void **state)
{
    static const char *const open[] = {"/", "/livez", "/readyz", "/openapi.json"};

    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *const route = route_at(i);
        bool listed = strncmp(route->path, "/ui/", 4) == 0; /* the page's assets */
        for (size_t k = 0; k < sizeof open / sizeof *open; k++)
            listed |= strcmp(route->path, open[k]) == 0;
        assert_int_not_equal(route->scope, SCOPE_UNDECLARED);
        if ((route->scope == SCOPE_NONE) != listed)
            fail_msg("%s is %s", route->path, scope_word(route->scope));
    }
}

/* An unknown path is 404 before a key is asked for; a key before a length. */
static void test_order_of_checks(void **state)
{
    char reply[4096];

    (void)state;
    assert_int_equal(served_ask(&server, "GET", "/v1/nothing", NULL, reply, sizeof reply), 404);
    assert_int_equal(served_ask(&server, "PUT", "/v1/keys", NULL, reply, sizeof reply), 405);
    char *large = calloc(1, (2 << 20) + 1);
    assert_non_null(large);
    memset(large, ' ', 2 << 20);
    assert_int_equal(served_ask(&server, "POST", "/v1/optimizers", large, reply, sizeof reply),
                     401);
    free(large);
}

/* --- the life of a key --- */

static json_t *ask(const char *key, const char *method, const char *path, const char *body,
                   int status)
{
    char reply[16384];

    server.key = key;
    int got = served_ask(&server, method, path, body, reply, sizeof reply);
    server.key = NULL;
    if (got != status)
        fail_msg("%s %s: %d %s", method, path, got, reply);
    json_t *root = json_loads(reply[0] ? reply : "{}", 0, NULL);
    assert_non_null(root);
    return root;
}

static void expect(const char *key, const char *method, const char *path, const char *body,
                   int status)
{
    json_decref(ask(key, method, path, body, status));
}

static const char *text_of(json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

static void test_life(void **state)
{
    char path[64], rotate[80], old[128];

    (void)state;
    json_t *made = ask(all.text, "POST", "/v1/keys",
                       "{\"name\":\"reader\",\"scopes\":[\"sessions:read\"],"
                       "\"expires_at\":\"2999-01-01T00:00:00Z\"}",
                       201);
    snprintf(path, sizeof path, "/v1/keys/%s", text_of(made, "id"));
    snprintf(rotate, sizeof rotate, "%s/rotate", path);
    strcpy(old, text_of(made, "key"));
    assert_string_equal(text_of(made, "expires_at"), "2999-01-01T00:00:00.000Z");
    assert_true(json_is_null(json_object_get(made, "last_used_at")));
    assert_memory_equal(old, text_of(made, "prefix"), strlen(text_of(made, "prefix")));
    json_decref(made);

    expect(old, "GET", "/v1/sessions", NULL, 200);
    expect(old, "GET", "/v1/optimizers", NULL, 403);
    json_t *shown = ask(all.text, "GET", path, NULL, 200);
    assert_null(json_object_get(shown, "key")); /* never again */
    assert_null(json_object_get(shown, "hash"));
    assert_non_null(text_of(shown, "last_used_at"));
    json_decref(shown);

    json_t *patched =
        ask(all.text, "PATCH", path, "{\"scopes\":[\"optimizers:read\"],\"expires_at\":null}", 200);
    assert_string_equal(text_of(patched, "name"), "reader");
    assert_true(json_is_null(json_object_get(patched, "expires_at")));
    assert_true(json_is_null(json_object_get(patched, "requests_per_minute")));
    json_decref(patched);
    patched = ask(all.text, "PATCH", path, "{\"requests_per_minute\":90}", 200);
    assert_int_equal(json_integer_value(json_object_get(patched, "requests_per_minute")), 90);
    json_decref(patched);
    expect(old, "GET", "/v1/optimizers", NULL, 200);
    expect(old, "GET", "/v1/sessions", NULL, 403);

    json_t *rotated = ask(all.text, "POST", rotate, NULL, 200);
    assert_string_not_equal(text_of(rotated, "key"), old);
    expect(old, "GET", "/v1/optimizers", NULL, 401);
    expect(text_of(rotated, "key"), "GET", "/v1/optimizers", NULL, 200);
    assert_true(served_kill(&server) && served_start(&server)); /* all of it is on the disk */
    expect(text_of(rotated, "key"), "GET", "/v1/optimizers", NULL, 200);
    expect(all.text, "DELETE", path, NULL, 204);
    expect(text_of(rotated, "key"), "GET", "/v1/optimizers", NULL, 401);
    expect(all.text, "DELETE", path, NULL, 404);
    expect(all.text, "GET", path, NULL, 404);
    json_decref(rotated);
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code, *words;
    } row[] = {
        {"{\"scopes\":[\"jobs:read\"]}", 422, "missing_field", "name"},
        {"{\"name\":\"x\"}", 422, "missing_field", "scopes"},
        {"{\"name\":\"x\",\"scopes\":[]}", 422, "invalid_value", "scopes"},
        {"{\"name\":\"x\",\"scopes\":[\"jobs:raed\"]}", 422, "invalid_value",
         "scopes[0]: \"jobs:raed\" is none of the 10 words; did you mean \"jobs:read\"?"},
        {"{\"name\":\"x\",\"scopes\":[7]}", 422, "invalid_value", "7"},
        {"{\"name\":\"x\",\"scopes\":[\"jobs:read\",\"jobs:read\"]}", 422, "invalid_value",
         "scopes[1]: \"jobs:read\" is there twice"},
        {"{\"name\":\"\",\"scopes\":[\"jobs:read\"]}", 422, "invalid_value", "name"},
        {"{\"name\":\"all\",\"scopes\":[\"jobs:read\"]}", 409, "already_exists", "all"},
        {"{\"name\":\"x\",\"scopes\":[\"jobs:read\"],\"expires_at\":\"2001-01-01T00:00:00Z\"}", 422,
         "invalid_value", "in the past"},
        {"{\"name\":\"x\",\"scopes\":[\"jobs:read\"],\"expires_at\":\"2999-02-30T00:00:00Z\"}", 422,
         "invalid_value", "2999-02-30T00:00:00Z"},
        {"{\"name\":\"x\",\"scopes\":[\"jobs:read\"],\"more\":1}", 422, "unknown_field", "more"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *problem = ask(all.text, "POST", "/v1/keys", row[i].body, row[i].status);
        assert_string_equal(text_of(problem, "code"), row[i].code);
        if (!strstr(text_of(problem, "detail"), row[i].words))
            fail_msg("%s", text_of(problem, "detail"));
        json_decref(problem);
    }
}

static void test_pages(void **state)
{
    char path[128] = "/v1/keys?page_size=5";
    int seen = 0;

    (void)state;
    for (bool more = true; more;) {
        json_t *page = ask(all.text, "GET", path, NULL, 200);
        seen += (int)json_array_size(json_object_get(page, "items"));
        more = text_of(page, "next_page_token")[0];
        snprintf(path, sizeof path, "/v1/keys?page_size=5&page_token=%s",
                 text_of(page, "next_page_token"));
        json_decref(page);
    }
    assert_int_equal(seen, SCOPE_COUNT + 3);
}

/* --- servers that start without a key --- */

static void test_first_key(void **state)
{
    static const char *const anywhere[] = {"--listen", "0.0.0.0:0", NULL};
    struct served fresh = {.flags = anywhere, .log = "/tmp/descent-test-first-key.log"};
    char reply[8192], line[1024], key[128] = "";
    int keys = 0;

    (void)state;
    unlink(fresh.log);
    assert_true(served_start(&fresh));
    assert_true(served_kill(&fresh) && served_start(&fresh)); /* the second start makes none */
    FILE *log = fopen(fresh.log, "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log))
        keys += sscanf(line, "descent: %127[a-z0-9A-Z_-]\n", key) == 1 &&
                strncmp(key, "descent_", 8) == 0;
    fclose(log);
    assert_int_equal(keys, 1);
    assert_int_equal(served_ask(&fresh, "GET", "/v1", NULL, reply, sizeof reply), 401);
    log = fopen(fresh.log, "r");
    while (fgets(line, sizeof line, log))
        if (sscanf(line, "descent: %127[a-z0-9A-Z_-]\n", key) == 1 &&
            strncmp(key, "descent_", 8) == 0)
            break;
    fclose(log);
    fresh.key = key;
    assert_int_equal(served_ask(&fresh, "GET", "/v1/keys", NULL, reply, sizeof reply), 200);
    assert_int_equal(served_ask(&fresh, "GET", "/readyz", NULL, reply, sizeof reply), 200);
    assert_true(served_stop(&fresh));
    unlink(fresh.log);
}

static void test_configured_key(void **state)
{
    static const char *const anywhere[] = {"--listen", "0.0.0.0:0", NULL};
    struct served fresh = {.flags = anywhere, .log = "/tmp/descent-test-configured.log"};
    char reply[8192], line[1024];

    (void)state;
    unlink(fresh.log);
    setenv("DESCENT_API_KEY", "a-secret-of-thirty-two-characters", 1);
    assert_true(served_start(&fresh));
    unsetenv("DESCENT_API_KEY");
    assert_int_equal(served_ask(&fresh, "GET", "/v1", NULL, reply, sizeof reply), 401);
    fresh.key = "a-secret-of-thirty-two-characters";
    assert_int_equal(served_ask(&fresh, "GET", "/v1/keys", NULL, reply, sizeof reply), 200);
    assert_non_null(strstr(reply, "\"items\":[]")); /* no first key was made */
    assert_true(served_stop(&fresh));
    FILE *log = fopen(fresh.log, "r");
    while (fgets(line, sizeof line, log))
        assert_null(strstr(line, "a-secret")); /* nor is the secret in the log */
    fclose(log);
    unlink(fresh.log);
}

static void test_insecure(void **state)
{
    static const char *const open[] = {"--listen", "0.0.0.0:0", "--insecure-no-keys", NULL};
    struct served fresh = {.flags = open};
    char reply[8192];

    (void)state;
    assert_true(served_start(&fresh));
    assert_int_equal(served_ask(&fresh, "GET", "/v1/keys", NULL, reply, sizeof reply), 200);
    fresh.key = "wrong"; /* one that is sent is checked all the same */
    assert_int_equal(served_ask(&fresh, "GET", "/v1/keys", NULL, reply, sizeof reply), 401);
    assert_true(served_stop(&fresh));
}

/* The names of others stay theirs, also by PATCH. */
static void test_taken_names(void **state)
{
    char path[64], reply[4096];

    (void)state;
    json_t *made =
        ask(all.text, "POST", "/v1/keys", "{\"name\":\"renamed\",\"scopes\":[\"jobs:read\"]}", 201);
    snprintf(path, sizeof path, "/v1/keys/%s", text_of(made, "id"));
    server.key = all.text;
    assert_int_equal(served_ask(&server, "PATCH", path, "{\"name\":\"all\"}", reply, sizeof reply),
                     409);
    server.key = NULL;
    assert_non_null(strstr(reply, "already_exists"));
    json_t *kept = ask(all.text, "GET", path, NULL, 200);
    assert_string_equal(text_of(kept, "name"), "renamed");
    json_decref(made);
    json_decref(kept);
}

/* The table is filled behind the server's back: ten thousand requests would take longer. */
static void test_quota(void **state)
{
    char sql[512], path[128], reply[4096];
    sqlite3 *db = NULL;

    (void)state;
    snprintf(path, sizeof path, "%s/descent.db", server.dir);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < %d) "
             "INSERT INTO key SELECT printf('fill%%d', n), printf('fill%%d', n), 'jobs:read', "
             "'', 0, 0, 0, 0, 0 FROM i",
             LIMIT_KEYS);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 60000), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    server.key = all.text;
    assert_int_equal(served_ask(&server, "POST", "/v1/keys",
                                "{\"name\":\"one more\",\"scopes\":[\"jobs:read\"]}", reply,
                                sizeof reply),
                     429);
    server.key = NULL;
    assert_non_null(strstr(reply, "quota_exceeded"));
    assert_int_equal(sqlite3_exec(db, "DELETE FROM key WHERE id LIKE 'fill%'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

/* `descent key create` beside a running server. */
static void test_created_beside(void **state)
{
    const char *program = getenv("DESCENT_BIN");
    char line[256], key[128] = "";

    (void)state;
    snprintf(line, sizeof line, "%s key create --data %s --name beside --scopes sessions:read",
             program ? program : "build/descent", server.dir);
    FILE *out = popen(line, "r");
    assert_non_null(out);
    assert_int_equal(fscanf(out, "%127s", key), 1);
    assert_int_equal(pclose(out), 0);
    expect(key, "GET", "/v1/sessions", NULL, 200);
    expect(key, "GET", "/v1/keys", NULL, 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_routes),
        cmocka_unit_test(test_every_route_is_closed),
        cmocka_unit_test(test_every_scope_at_every_route),
        cmocka_unit_test(test_quota_at_every_route),
        cmocka_unit_test(test_without_quota),
        cmocka_unit_test(test_order_of_checks),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_bad_bodies),
        cmocka_unit_test(test_taken_names),
        cmocka_unit_test(test_quota),
        cmocka_unit_test(test_created_beside),
        cmocka_unit_test(test_first_key),
        cmocka_unit_test(test_configured_key),
        cmocka_unit_test(test_insecure),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
