/* test_update.c -- the step table over a real server, and what a kill -9 leaves
 *
 * Each test talks to build/descent as a child process over curl-like raw requests on one socket. */
#include "tests/support/client.h"
#include <jansson.h>

#include <cmocka.h>

static struct served server;

static int start(void **state)
{
    (void)state;
    return served_start(&server) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    return served_stop(&server) ? 0 : -1;
}

/* The JSON reply to a JSON request, whose status must be `status`. The caller's. */
static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    char reply[8192];
    assert_int_equal(served_ask(&server, method, path, body, reply, sizeof reply), status);
    json_t *root = json_loads(reply[0] ? reply : "{}", 0, NULL);
    assert_non_null(root);
    return root;
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    json_t *problem = ask(method, path, body, status);
    assert_string_equal(json_string_value(json_object_get(problem, "code")), code);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    assert_true(json_is_boolean(json_object_get(problem, "retryable")));
    assert_non_null(json_object_get(problem, "request_id"));
    json_decref(problem);
}

/* A session of `optimizer` with two coordinates; its update path. */
static void open_session(const char *optimizer, const char *durability, char path[128])
{
    char body[256];

    snprintf(body, sizeof body, "{\"optimizer\":\"%s\",\"coordinates\":2,\"durability\":\"%s\"}",
             optimizer, durability);
    json_t *made = ask("POST", "/v1/sessions", body, 201);
    snprintf(path, 128, "/v1/sessions/%s/update", json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

static void expect_update(const char *path, const char *body, double u0, double u1, int step,
                          bool replayed)
{
    json_t *answer = ask("POST", path, body, 200);
    json_t *update = json_object_get(answer, "update");
    assert_true(json_number_value(json_array_get(update, 0)) == u0);
    assert_true(json_number_value(json_array_get(update, 1)) == u1);
    assert_int_equal(json_integer_value(json_object_get(answer, "step")), step);
    assert_int_equal(json_is_true(json_object_get(answer, "replayed")), replayed);
    json_decref(answer);
}

static void make_halving_sgd(void)
{
    char reply[4096];
    int status =
        served_ask(&server, "POST", "/v1/optimizers",
                   "{\"name\":\"half\",\"family\":\"sgd\",\"config\":{\"learning_rate\":0.5}}",
                   reply, sizeof reply);
    assert_true(status == 201 || status == 409);
}

static void test_step_table(void **state)
{
    char path[128];

    (void)state;
    make_halving_sgd();
    open_session("half", "strict", path);
    expect_update(path, "{\"gradient\":[1,-2]}", -0.5, 1, 1, false);
    expect_update(path, "{\"gradient\":[2,-2],\"step\":1}", -1, 1, 2, false);
    expect_update(path, "{\"gradient\":[2,-2],\"step\":1}", -1, 1, 2, true);
    refuse("POST", path, "{\"gradient\":[2,-3],\"step\":1}", 422, "step_payload_mismatch");
    refuse("POST", path, "{\"gradient\":[2,-2],\"step\":0}", 409, "step_stale");
    refuse("POST", path, "{\"gradient\":[2,-2],\"step\":9}", 409, "step_gap");
    expect_update(path, "{\"gradient\":[4,0],\"step\":2}", -2, 0, 3, false);
}

/* "The same" is said of the numbers, rounded to float32: not of how they are written, nor of the
 * loss, nor of the format they come in. */
static void test_the_same_gradient(void **state)
{
    static const float next_to_one[2] = {1.00000012f, -2};
    static const char *const same[] = {
        "{\"gradient\":[1.0000001,-2],\"step\":0}",
        "{\"gradient\":[1.00000011920928955078125,-2.0],\"step\":0}",
        "{ \"step\" : 0, \"loss\": 3, \"gradient\" : [ 10000001e-7 , -0.2e1 ] }",
        "{\"gradient\":[1.00000012,-2],\"step\":0,\"loss\":-1e300}",
    };
    static const char *const others[] = {
        "{\"gradient\":[1.0000002,-2],\"step\":0}",
        "{\"gradient\":[1,-2],\"step\":0}",
        "{\"gradient\":[-2,1.0000001],\"step\":0}",
    };
    char path[128];
    struct client client;

    (void)state;
    make_halving_sgd();
    open_session("half", "strict", path);
    json_t *const first = ask("POST", path, same[0], 200);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        json_t *const again = ask("POST", path, same[i], 200);
        assert_true(json_is_true(json_object_get(again, "replayed")));
        assert_true(json_equal(json_object_get(again, "update"), json_object_get(first, "update")));
        json_decref(again);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        refuse("POST", path, others[i], 422, "step_payload_mismatch");
    client_open(&client, &server);
    const struct asked bytes = {.method = "POST",
                                .path = path,
                                .type = "application/octet-stream",
                                .headers = "Descent-Step: 0\r\nDescent-Loss: 7\r\n",
                                .body = next_to_one,
                                .len = sizeof next_to_one};
    const struct wire_reply reply = client_ask(&client, &bytes);
    assert_true(reply.status == 200 && reply.replayed);
    client_close(&client);
    json_decref(first);
}

/* A zero that is negative has other bits. */
static void test_the_sign_of_zero(void **state)
{
    char path[128];

    (void)state;
    make_halving_sgd();
    open_session("half", "strict", path);
    expect_update(path, "{\"gradient\":[0,1],\"step\":0}", 0, -0.5, 1, false);
    refuse("POST", path, "{\"gradient\":[-0.0,1],\"step\":0}", 422, "step_payload_mismatch");
    expect_update(path, "{\"gradient\":[0e5,1],\"step\":0}", 0, -0.5, 1, true);
}

/* Each request has all of the mistakes from its own on; the first of them is what is named. */
static void test_order_of_checks(void **state)
{
    static const struct {
        const char *type, *headers, *body, *code;
        bool real; /* the session is there */
        int status;
    } row[] = {
        {"text/html", "Content-Length: 99999999999\r\n", "", "body_too_large", false, 413},
        {"text/html", NULL, "{\"gradient\":[1e39", "unsupported_media_type", false, 415},
        {"application/json", NULL, "{\"gradient\":[1e39", "not_found", false, 404},
        {"application/json", NULL, "{\"gradient\":[1e39],\"step\":5", "malformed_json", true, 400},
        {"application/json", NULL, "{\"gradient\":[1e39],\"step\":-5}", "invalid_value", true, 422},
        {"application/json", NULL, "{\"gradient\":[1e39],\"step\":5}", "dimension_mismatch", true,
         422},
        {"application/json", NULL, "{\"gradient\":[1,1e39],\"step\":5}", "non_finite_gradient",
         true, 422},
        {"application/json", NULL, "{\"gradient\":[1,1],\"step\":5}", "step_gap", true, 409},
    };
    char path[128];
    struct client client;

    (void)state;
    open_session("sgd", "strict", path);
    client_open(&client, &server);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct asked asked = {.method = "POST",
                                    .path = row[i].real ? path : "/v1/sessions/ses_x/update",
                                    .type = row[i].type,
                                    .headers = row[i].headers,
                                    .body = row[i].body,
                                    .len = strlen(row[i].body)};
        client_refused(&client, &asked, row[i].status, row[i].code);
    }
    client_close(&client);
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code;
    } row[] = {
        {"{\"gradient\":[1]}", 422, "dimension_mismatch"},
        {"{\"gradient\":[1,2,3]}", 422, "dimension_mismatch"},
        {"{\"gradient\":[1,NaN]}", 400, "malformed_json"},
        {"{\"gradient\":[1,1e99]}", 422, "non_finite_gradient"},
        {"{\"gradient\":[1,\"x\"]}", 422, "invalid_value"},
        {"{\"gradient\":[1,2],\"step\":17.0}", 422, "invalid_value"},
        {"{\"gradient\":[1,2],\"more\":1}", 422, "unknown_field"},
        {"{\"gradient\":[1,2],\"step\":0,\"step\":0}", 400, "duplicate_key"},
        {"{\"step\":0}", 422, "missing_field"},
        {"{\"gradient\":[1,2]", 400, "malformed_json"},
        {"[1,2]", 400, "malformed_json"},
    };
    char path[128];

    (void)state;
    make_halving_sgd();
    open_session("half", "strict", path);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        refuse("POST", path, row[i].body, row[i].status, row[i].code);
    expect_update(path, "{\"gradient\":[1,-2],\"step\":0}", -0.5, 1, 1, false);
}

static void test_things_that_are_not_there(void **state)
{
    (void)state;
    refuse("POST", "/v1/sessions/ses_none/update", "{\"gradient\":[1]}", 404, "not_found");
    refuse("GET", "/v1/nothing", NULL, 404, "not_found");
    refuse("DELETE", "/v1/sessions", NULL, 405, "method_not_allowed");
    refuse("DELETE", "/v1/optimizers/sgd", NULL, 409, "builtin_protected");
    refuse("POST", "/v1/sessions", "{\"optimizer\":\"sgd\"}", 422, "invalid_value");
}

/* Adam remembers: 200 steps, some before a kill and some after, equal 200 undisturbed ones to the
 * bit. */
static void test_killed_continues(void **state)
{
    char disturbed[128], calm[128], body[128], first[8192], second[8192];

    (void)state;
    open_session("adam", "strict", disturbed);
    open_session("adam", "strict", calm);
    for (int step = 0; step < 200; step++) {
        snprintf(body, sizeof body, "{\"gradient\":[%d.25,-%d],\"step\":%d}", step % 7, step % 5,
                 step);
        assert_int_equal(served_ask(&server, "POST", calm, body, first, sizeof first), 200);
        if (step % 50 == 49)
            assert_true(served_kill(&server) && served_start(&server));
        assert_int_equal(served_ask(&server, "POST", disturbed, body, second, sizeof second), 200);
        assert_string_equal(first, second);
    }
    /* The last answer is given again after one more kill, and a memory session is gone. */
    open_session("adam", "memory", calm);
    assert_true(served_kill(&server) && served_start(&server));
    json_t *again = ask("POST", disturbed, body, 200);
    assert_true(json_is_true(json_object_get(again, "replayed")));
    json_decref(again);
    refuse("POST", calm, "{\"gradient\":[1,2]}", 404, "not_found");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_table),       cmocka_unit_test(test_the_same_gradient),
        cmocka_unit_test(test_the_sign_of_zero), cmocka_unit_test(test_order_of_checks),
        cmocka_unit_test(test_bad_bodies),       cmocka_unit_test(test_things_that_are_not_there),
        cmocka_unit_test(test_killed_continues),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
