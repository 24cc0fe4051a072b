/* test_optimizers.c -- optimizers over HTTP: what is created, what is refused, what stays
 *
 * After each refusal the whole list of optimizers is what it was before. */
#include "migrations/embedded.h"
#include "tests/support/client.h"

#include <cmocka.h>

#define OPTIMIZERS "/v1/optimizers"

static struct served server;
static struct client client;

static int start(void **state)
{
    (void)state;
    client_open(&client, &server);
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

static const char *text(const json_t *body, const char *name)
{
    const char *const value = json_string_value(json_object_get(body, name));

    assert_non_null(value);
    return value;
}

static void expect_number(const json_t *body, const char *object, const char *name, double value)
{
    const json_t *const number = json_object_get(json_object_get(body, object), name);

    assert_true(json_is_number(number) && json_number_value(number) == value);
}

static json_t *all(void)
{
    return client_json(&client, "GET", OPTIMIZERS "?page_size=1000", NULL, 200);
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    const struct asked asked = {.method = method,
                                .path = path,
                                .type = body ? "application/json" : NULL,
                                .body = body,
                                .len = body ? strlen(body) : 0};
    json_t *const before = all();

    client_refused(&client, &asked, status, code);
    json_t *const after = all();
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

static void create(const char *body)
{
    json_decref(client_json(&client, "POST", OPTIMIZERS, body, 201));
}

static void discard(const char *path)
{
    json_decref(client_json(&client, "DELETE", path, NULL, 204));
}

/* What the reply to POST says is what GET says afterwards, and Location leads there. */
static void test_create_and_get(void **state)
{
    char location[256];

    (void)state;
    json_t *const made =
        client_json(&client, "POST", OPTIMIZERS,
                    "{\"name\":\"slow.adam_1-x\",\"family\":\"adam\","
                    "\"config\":{\"learning_rate\":0.5},\"description\":\"Ünïcode \\\"d\\\"\","
                    "\"labels\":{\"team\":\"a\",\"b\":\"\"}}",
                    201);
    client_header(&client, "Location", location);
    assert_string_equal(location, OPTIMIZERS "/slow.adam_1-x");
    assert_string_equal(text(made, "name"), "slow.adam_1-x");
    assert_string_equal(text(made, "family"), "adam");
    assert_string_equal(text(made, "source"), "user");
    assert_string_equal(text(made, "description"), "Ünïcode \"d\"");
    assert_string_equal(text(json_object_get(made, "labels"), "team"), "a");
    assert_int_equal(json_integer_value(json_object_get(made, "latest_version")), 1);
    expect_number(made, "config", "learning_rate", 0.5);
    expect_number(made, "config", "beta1", 0.9); /* replies show the whole config */
    expect_number(made, "config", "beta2", 0.999);
    expect_number(made, "config", "eps", 1e-8);
    json_t *const got = client_json(&client, "GET", location, NULL, 200);
    assert_true(json_equal(made, got));
    json_decref(made);
    json_decref(got);
    discard(OPTIMIZERS "/slow.adam_1-x");
}

/* The longest name there may be, the shortest, and those that are none. */
static void test_names(void **state)
{
    static const char *const bad[] = {
        "",    "A",    "-a",      ".a",   "_a",    "a b",   "aä",        "a/b",           "a:1",
        "a@c", "a%41", "\\u0000", "a\\n", "../..", "a\\\\", "a\\u0000b", "\\ud83d\\ude00"};
    char name[80], body[256], path[128];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"sgd\"}", bad[i]);
        refuse("POST", OPTIMIZERS, body, 422, "invalid_value");
    }
    memset(name, 'a', sizeof name);
    name[64] = '\0';
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"sgd\"}", name);
    refuse("POST", OPTIMIZERS, body, 422, "invalid_value");
    for (int len = 63; len >= 1; len -= 62) {
        name[len] = '\0';
        (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"sgd\"}", name);
        create(body);
        (void)snprintf(path, sizeof path, OPTIMIZERS "/%s", name);
        json_decref(client_json(&client, "GET", path, NULL, 200));
        discard(path);
    }
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *body, *code;
        int status;
    } row[] = {
        {"{\"family\":\"sgd\"}", "missing_field", 422},
        {"{\"name\":\"x\"}", "missing_field", 422},
        {"{}", "missing_field", 422},
        {"{\"name\":\"x\",\"family\":\"sgdd\"}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"SGD\"}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":1}", "invalid_value", 422},
        {"{\"name\":null,\"family\":\"sgd\"}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"famly\":1}", "unknown_field", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"name\":\"y\"}", "duplicate_key", 400},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"config\":[]}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"config\":{\"learning_rate\":\"1\"}}",
         "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"config\":{\"learning_rate\":-1}}", "invalid_value",
         422},
        {"{\"name\":\"x\",\"family\":\"adam\",\"config\":{\"beta1\":1.5}}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"lstm\",\"config\":{\"hidden_size\":0}}", "invalid_value",
         422},
        {"{\"name\":\"x\",\"family\":\"lstm\",\"config\":{\"hidden_size\":2.5}}", "invalid_value",
         422},
        {"{\"name\":\"x\",\"family\":\"lstm\",\"config\":{\"preprocessing\":\"log\"}}",
         "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"labels\":{\"a\":1}}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"labels\":[]}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\",\"description\":7}", "invalid_value", 422},
        {"{\"name\":\"x\",\"family\":\"sgd\"", "malformed_json", 400},
        {"{\"name\":\"x\",\"family\":\"sgd\"} x", "malformed_json", 400},
        {"{\"name\":\"\xff\",\"family\":\"sgd\"}", "malformed_json", 400},
        {"[]", "malformed_json", 400},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        refuse("POST", OPTIMIZERS, row[i].body, row[i].status, row[i].code);
}

/* A config key that the family has not got is named in the sentence and by a pointer. */
static void test_unknown_config_key(void **state)
{
    (void)state;
    refuse("POST", OPTIMIZERS, "{\"name\":\"x\",\"family\":\"sgd\",\"config\":{\"beta1\":0.9}}",
           422, "unknown_field");
    const char body[] = "{\"name\":\"x\",\"family\":\"sgd\",\"config\":{\"beta1\":0.9}}";
    json_t *const problem = client_json(&client, "POST", OPTIMIZERS, body, 422);
    const json_t *const error = json_array_get(json_object_get(problem, "errors"), 0);
    assert_string_equal(text(error, "pointer"), "/config/beta1");
    assert_non_null(strstr(text(problem, "detail"), "beta1"));
    json_decref(problem);
}

static void test_a_name_is_taken_once(void **state)
{
    (void)state;
    create("{\"name\":\"twice\",\"family\":\"sgd\"}");
    refuse("POST", OPTIMIZERS, "{\"name\":\"twice\",\"family\":\"sgd\"}", 409, "already_exists");
    refuse("POST", OPTIMIZERS, "{\"name\":\"twice\",\"family\":\"lstm\"}", 409, "already_exists");
    refuse("POST", OPTIMIZERS, "{\"name\":\"sgd\",\"family\":\"sgd\"}", 409, "already_exists");
    discard(OPTIMIZERS "/twice");
    refuse("DELETE", OPTIMIZERS "/twice", NULL, 404, "not_found");
    refuse("GET", OPTIMIZERS "/twice", NULL, 404, "not_found");
    create("{\"name\":\"twice\",\"family\":\"adam\"}"); /* and the name is free again */
    discard(OPTIMIZERS "/twice");
}

/* Each hand-designed family is there under its own name, at version 1, and stays. */
static void test_builtins(void **state)
{
    char path[128], version[160];
    int builtins = 0;

    (void)state;
    json_t *const info = client_json(&client, "GET", "/v1", NULL, 200);
    size_t at;
    json_t *family;
    json_array_foreach(json_object_get(info, "families"), at, family)
    {
        if (json_is_true(json_object_get(family, "learned")))
            continue;
        (void)snprintf(path, sizeof path, OPTIMIZERS "/%s", text(family, "name"));
        (void)snprintf(version, sizeof version, "%s/versions/1", path);
        json_t *const builtin = client_json(&client, "GET", path, NULL, 200);
        assert_string_equal(text(builtin, "source"), "builtin");
        assert_int_equal(json_integer_value(json_object_get(builtin, "latest_version")), 1);
        assert_true(
            json_equal(json_object_get(builtin, "config"), json_object_get(family, "config")));
        json_decref(builtin);
        refuse("DELETE", path, NULL, 409, "builtin_protected");
        refuse("DELETE", version, NULL, 409, "builtin_protected");
        (void)snprintf(version, sizeof version, "%s/versions", path);
        refuse("POST", version, "{\"config\":{}}", 409, "builtin_protected");
        builtins++;
    }
    assert_true(builtins >= 2);
    json_decref(info);
}

/* The learned ones that ship: protected like the others, and their weights are those of the file.
 */
static void test_pretrained(void **state)
{
    char path[128], file[160];

    (void)state;
    assert_non_null(pretrained[0].name);
    for (size_t i = 0; pretrained[i].name; i++) {
        (void)snprintf(path, sizeof path, OPTIMIZERS "/%s", pretrained[i].name);
        json_t *const optimizer = client_json(&client, "GET", path, NULL, 200);
        assert_string_equal(text(optimizer, "source"), "builtin");
        assert_int_equal(json_integer_value(json_object_get(optimizer, "latest_version")), 1);
        assert_true(strlen(text(optimizer, "description")) > 20);
        json_decref(optimizer);
        refuse("DELETE", path, NULL, 409, "builtin_protected");
        (void)snprintf(file, sizeof file, "%s/versions/1/weights", path);
        const struct wire_reply reply =
            client_ask(&client, &(struct asked) {.method = "GET", .path = file});
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.len, pretrained[i].len);
        assert_memory_equal(reply.body, pretrained[i].bytes, pretrained[i].len);
    }
}

/* Pages by name: every optimizer once, in order, whatever the size of a page. */
static void test_pages(void **state)
{
    char body[128], path[256];

    (void)state;
    for (int i = 0; i < 25; i++) {
        (void)snprintf(body, sizeof body, "{\"name\":\"page-%02d\",\"family\":\"sgd\"}", i);
        create(body);
    }
    json_t *const listed = all();
    const json_t *const whole = json_object_get(listed, "items");
    for (int size = 1; size <= 30; size += 7) {
        char token[80] = "";
        size_t seen = 0;
        do {
            (void)snprintf(path, sizeof path, OPTIMIZERS "?page_size=%d&page_token=%s", size,
                           token);
            json_t *const page = client_json(&client, "GET", path, NULL, 200);
            const json_t *const items = json_object_get(page, "items");
            assert_true(json_array_size(items) <= (size_t)size);
            for (size_t i = 0; i < json_array_size(items); i++)
                assert_true(json_equal(json_array_get(items, i), json_array_get(whole, seen++)));
            (void)snprintf(token, sizeof token, "%s", text(page, "next_page_token"));
            json_decref(page);
        } while (token[0]);
        assert_int_equal(seen, json_array_size(whole));
    }
    json_decref(listed);
    for (int i = 0; i < 25; i++) {
        (void)snprintf(path, sizeof path, OPTIMIZERS "/page-%02d", i);
        discard(path);
    }
}

static void test_page_sizes(void **state)
{
    static const char *const bad[] = {"0", "1001", "-1", "x", "1.5", "9999999999999999999999", ""};
    char path[128];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(path, sizeof path, OPTIMIZERS "?page_size=%s", bad[i]);
        json_t *const problem = client_json(&client, "GET", path, NULL, 422);
        assert_string_equal(text(problem, "code"), "invalid_value");
        json_decref(problem);
    }
}

/* A learned optimizer has no version until one is imported. */
static void test_no_version(void **state)
{
    (void)state;
    json_t *const made =
        client_json(&client, "POST", OPTIMIZERS, "{\"name\":\"empty\",\"family\":\"lstm\"}", 201);
    assert_true(json_is_null(json_object_get(made, "latest_version")));
    expect_number(made, "config", "hidden_size", 20);
    json_decref(made);
    refuse("POST", "/v1/sessions", "{\"optimizer\":\"empty\",\"coordinates\":2}", 409,
           "no_version");
    refuse("GET", OPTIMIZERS "/empty/versions/1", NULL, 404, "not_found");
    refuse("POST", OPTIMIZERS "/empty/versions", "{\"config\":{}}", 422, "invalid_value");
    discard(OPTIMIZERS "/empty");
}

/* What was created is there after a kill -9. */
static void test_survives_a_kill(void **state)
{
    (void)state;
    create("{\"name\":\"kept\",\"family\":\"adam\",\"config\":{\"beta1\":0.25}}");
    json_t *const before = all();
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    json_t *const after = all();
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    discard(OPTIMIZERS "/kept");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_get),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_bad_bodies),           cmocka_unit_test(test_unknown_config_key),
        cmocka_unit_test(test_a_name_is_taken_once), cmocka_unit_test(test_builtins),
        cmocka_unit_test(test_pretrained),           cmocka_unit_test(test_pages),
        cmocka_unit_test(test_page_sizes),           cmocka_unit_test(test_no_version),
        cmocka_unit_test(test_survives_a_kill),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
