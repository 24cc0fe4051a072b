/* test_service.c -- what a server says of itself: GET /v1, its limits met, /livez, its log */
#include "server/limits.h"
#include "tests/support/client.h"

#include <cmocka.h>
#include <unistd.h>

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

/* The limits of the contract, all and no others, and that they are those of the sources. */
static void test_limits(void **state)
{
    static const struct {
        const char *name;
        json_int_t value;
    } row[] = {
        {"coordinates_max", LIMIT_COORDINATES},
        {"body_bytes_max", LIMIT_BODY_BYTES},
        {"json_body_bytes_max", LIMIT_JSON_BODY_BYTES},
        {"sessions_max", LIMIT_SESSIONS},
        {"layout_entries_max", LIMIT_LAYOUT_ENTRIES},
        {"page_size_max", LIMIT_PAGE},
        {"dense_memory_coordinates_max", LIMIT_DENSE_COORDINATES},
    };
    json_t *const info = client_json(&client, "GET", "/v1", NULL, 200);
    const json_t *const limits = json_object_get(info, "limits");

    (void)state;
    assert_int_equal(json_object_size(limits), sizeof row / sizeof *row);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        assert_int_equal(json_integer_value(json_object_get(limits, row[i].name)), row[i].value);
    json_decref(info);
}

static bool has_word(const json_t *list, const char *word)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), word) == 0)
            return true;
    }
    return false;
}

static void test_info(void **state)
{
    json_t *const info = client_json(&client, "GET", "/v1", NULL, 200);
    const json_t *const dtypes = json_object_get(info, "dtypes");
    const json_t *const families = json_object_get(info, "families");
    const json_t *family;
    char name[64], path[128];
    size_t i;

    (void)state;
    assert_string_equal(json_string_value(json_object_get(info, "name")), "descent");
    assert_true(json_array_size(dtypes) == 3 && has_word(dtypes, "F32") &&
                has_word(dtypes, "F16") && has_word(dtypes, "BF16"));
    assert_true(has_word(json_object_get(info, "problems"), "quadratic"));
    json_array_foreach(families, i, family)
    {
        /* A family without weights has an optimizer of its own name, with the config shown. */
        (void)snprintf(name, sizeof name, "%s", json_string_value(json_object_get(family, "name")));
        if (json_is_true(json_object_get(family, "learned")))
            continue;
        (void)snprintf(path, sizeof path, "/v1/optimizers/%s", name);
        json_t *const optimizer = client_json(&client, "GET", path, NULL, 200);
        assert_true(
            json_equal(json_object_get(optimizer, "config"), json_object_get(family, "config")));
        json_decref(optimizer);
    }
    json_decref(info);
}

/* One more than a limit is refused in the limit's own number, so that a client can look it up. */
static void test_limits_are_met(void **state)
{
    static const struct {
        const char *method, *path, *body, *limit;
        int status;
    } row[] = {
        {"GET", "/v1/optimizers?page_size=1001", NULL, "1000", 422},
        {"POST", "/v1/sessions", "{\"optimizer\":\"sgd\",\"coordinates\":16777217}", "16777216",
         422},
    };

    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        json_t *const problem =
            client_json(&client, row[i].method, row[i].path, row[i].body, row[i].status);
        assert_non_null(
            strstr(json_string_value(json_object_get(problem, "detail")), row[i].limit));
        json_decref(problem);
    }
    json_decref(client_json(&client, "GET", "/v1/optimizers?page_size=1000", NULL, 200));
}

static void test_health(void **state)
{
    static const char *const paths[] = {"/livez", "/readyz"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *const health = client_json(&client, "GET", paths[i], NULL, 200);
        assert_string_equal(json_string_value(json_object_get(health, "status")), "ok");
        json_decref(health);
    }
}

/* The line of a request names it as its client did. */
static void test_trace_is_logged(void **state)
{
    static const char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    char path[64];
    struct served logged = {.log = path};
    struct client its;
    char line[4096], headers[256];
    bool found = false;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/descent-test-service-%d.log", (int)getpid());
    assert_true(served_start(&logged));
    client_open(&its, &logged);
    (void)snprintf(headers, sizeof headers, "X-Request-Id: mine-1\r\ntraceparent: %s\r\n", trace);
    const struct asked asked = {.method = "GET", .path = "/v1/nothing", .headers = headers};
    client_refused(&its, &asked, 404, "not_found");
    client_close(&its);
    assert_true(served_stop(&logged));
    FILE *const log = fopen(logged.log, "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log))
        found |= strstr(line, trace) && strstr(line, "\"mine-1\"") && strstr(line, "404") &&
                 strstr(line, "not_found");
    fclose(log);
    unlink(logged.log);
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_info),
        cmocka_unit_test(test_limits_are_met),  cmocka_unit_test(test_health),
        cmocka_unit_test(test_trace_is_logged),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
