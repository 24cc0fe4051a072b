/* test_layouts.c -- sessions made of tensors, some with an optimizer of their own
 *
 * What such a session must answer is known from sessions that have each optimizer alone: the same
 * numbers, to the last digit, dealt out by the layout. */
#include "tests/support/client.h"

#include <cmocka.h>
#include <math.h>

#define SESSIONS   "/v1/sessions"
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

static void restart(void)
{
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
}

static const char *text(const json_t *body, const char *name)
{
    const char *const value = json_string_value(json_object_get(body, name));

    assert_non_null(value);
    return value;
}

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    return client_json(&client, method, path, body, status);
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    const struct asked asked = {.method = method,
                                .path = path,
                                .type = body ? "application/json" : NULL,
                                .body = body,
                                .len = body ? strlen(body) : 0};

    client_refused(&client, &asked, status, code);
}

static void create(const char *body, char id[64])
{
    json_t *const made = ask("POST", SESSIONS, body, 201);

    (void)snprintf(id, 64, "%s", text(made, "id"));
    json_decref(made);
}

/* --- what is shown --- */

static void test_shown(void **state)
{
    static const char wanted[] = "[{\"name\":\"w1\",\"shape\":[784,20],\"optimizer\":\"sgd:1\"},"
                                 "{\"name\":\"b1\",\"shape\":[20],\"optimizer\":\"adam:1\"},"
                                 "{\"name\":\"k\",\"shape\":[2,3,4],\"optimizer\":\"sgd:1\"}]";
    json_t *const layout = json_loads(wanted, 0, NULL);
    json_t *const made =
        ask("POST", SESSIONS,
            "{\"optimizer\":\"sgd\",\"clip_norm\":0.5,\"ttl_seconds\":3600,\"layout\":["
            "{\"name\":\"w1\",\"shape\":[784,20]},"
            "{\"name\":\"b1\",\"shape\":[20],\"optimizer\":\"adam\"},"
            "{\"name\":\"k\",\"shape\":[2,3,4],\"optimizer\":\"sgd:1\"}]}",
            201);
    char path[160];

    (void)state;
    assert_true(json_equal(json_object_get(made, "layout"), layout));
    assert_true(json_real_value(json_object_get(made, "clip_norm")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(made, "coordinates")), 784 * 20 + 20 + 24);
    (void)snprintf(path, sizeof path, SESSIONS "/%s", text(made, "id"));
    json_t *got = ask("GET", path, NULL, 200);
    assert_true(json_equal(made, got));
    json_decref(got);
    restart();
    got = ask("GET", path, NULL, 200);
    assert_true(json_equal(made, got));
    json_decref(got);
    json_decref(made);
    json_decref(layout);
    json_t *const plain = ask("POST", SESSIONS, "{\"optimizer\":\"sgd\",\"coordinates\":1}", 201);
    assert_true(json_is_null(json_object_get(plain, "layout")));
    assert_true(json_is_null(json_object_get(plain, "clip_norm")));
    json_decref(plain);
}

/* --- what is answered --- */

/* Which coordinates of the mixed session are whose: tensors of 70, 100, 30 and 64. */
enum { A = 70, B = 100, C = 30, D = 64, N = A + B + C + D, STEPS = 100 };

static double gradient_at(int step, int i)
{
    return ((step * 31 + i * 17) % 101 - 50) / 16.0; /* exact in float32 and in text */
}

static json_t *step(const char *id, const double *gradient, int n, int t)
{
    char path[160];
    json_t *const body = json_object(), *const vector = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(vector, json_real(gradient[i]));
    json_object_set_new(body, "gradient", vector);
    json_object_set_new(body, "step", json_integer(t));
    char *const sent = json_dumps(body, JSON_REAL_PRECISION(9));
    (void)snprintf(path, sizeof path, SESSIONS "/%s/update", id);
    json_t *const answer = ask("POST", path, sent, 200);
    free(sent);
    json_decref(body);
    return answer;
}

static void expect_part(const json_t *whole, int at, const json_t *part, int from, int len)
{
    const json_t *const a = json_object_get(whole, "update");
    const json_t *const b = json_object_get(part, "update");

    for (int i = 0; i < len; i++)
        if (!json_equal(json_array_get(a, (size_t)(at + i)), json_array_get(b, (size_t)(from + i))))
            fail_msg("coordinate %d differs", at + i);
}

static void mixed_body(char body[512], const char *durability)
{
    (void)snprintf(body, 512,
                   "{\"optimizer\":\"adam\",\"durability\":\"%s\",\"layout\":["
                   "{\"name\":\"a\",\"shape\":[%d]},"
                   "{\"name\":\"b\",\"shape\":[%d],\"optimizer\":\"slow\"},"
                   "{\"name\":\"c\",\"shape\":[%d],\"optimizer\":\"adam:1\"},"
                   "{\"name\":\"d\",\"shape\":[%d],\"optimizer\":\"sgd\"}]}",
                   durability, A, B, C, D);
}

/* Every few steps the server is killed; the sessions with one optimizer are never disturbed. */
static void follow(const char *durability, int kill_every)
{
    char mixed[64], adam[64], slow[64], sgd[64], body[512];
    double gradient[N], first[A + C];

    mixed_body(body, durability);
    create(body, mixed);
    (void)snprintf(body, sizeof body, "{\"optimizer\":\"adam\",\"coordinates\":%d}", A + C);
    create(body, adam);
    (void)snprintf(body, sizeof body, "{\"optimizer\":\"slow\",\"coordinates\":%d}", B);
    create(body, slow);
    (void)snprintf(body, sizeof body, "{\"optimizer\":\"sgd\",\"coordinates\":%d}", D);
    create(body, sgd);
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < N; i++)
            gradient[i] = gradient_at(t, i);
        memcpy(first, gradient, A * sizeof *first);
        memcpy(first + A, gradient + A + B, C * sizeof *first);
        if (kill_every && t % kill_every == kill_every - 1)
            restart();
        json_t *const whole = step(mixed, gradient, N, t);
        json_t *const of_adam = step(adam, first, A + C, t);
        json_t *const of_slow = step(slow, gradient + A, B, t);
        json_t *const of_sgd = step(sgd, gradient + A + B + C, D, t);
        expect_part(whole, 0, of_adam, 0, A);
        expect_part(whole, A, of_slow, 0, B);
        expect_part(whole, A + B, of_adam, A, C);
        expect_part(whole, A + B + C, of_sgd, 0, D);
        json_decref(whole);
        json_decref(of_adam);
        json_decref(of_slow);
        json_decref(of_sgd);
    }
}

static void test_each_tensor_by_its_own_optimizer(void **state)
{
    (void)state;
    json_decref(ask("POST", OPTIMIZERS,
                    "{\"name\":\"slow\",\"family\":\"adam\",\"config\":{\"learning_rate\":0.0001}}",
                    201));
    follow("memory", 0);
    follow("relaxed", 17);
    follow("strict", 9);
}

/* A version is pinned: what is published later is not used. */
static void test_pinned(void **state)
{
    char id[64], body[512];
    double gradient[N];

    (void)state;
    mixed_body(body, "strict");
    create(body, id);
    json_decref(
        ask("POST", OPTIMIZERS "/slow/versions", "{\"config\":{\"learning_rate\":100}}", 201));
    for (int i = 0; i < N; i++)
        gradient[i] = 1;
    json_t *const answer = step(id, gradient, N, 0);
    const json_t *const update = json_object_get(answer, "update");
    assert_true(fabs(json_real_value(json_array_get(update, A)) + 0.0001) < 1e-8);
    json_decref(answer);
}

/* --- clip_norm --- */

/* The norm of (3, 4, 12) is 13, over both optimizers; s is scaled by 1/26. */
static void test_clipped_over_all_tensors(void **state)
{
    static const double long_gradient[] = {3, 4, 12}, short_gradient[] = {0.03, 0.04, 0.12};
    char clipped[64], free_one[64];
    double scaled[3];

    (void)state;
    create("{\"optimizer\":\"sgd\",\"clip_norm\":0.5,\"layout\":[{\"name\":\"a\",\"shape\":[1]},"
           "{\"name\":\"b\",\"shape\":[1],\"optimizer\":\"adam\"},{\"name\":\"c\",\"shape\":[1]}]}",
           clipped);
    create("{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"shape\":[1]},"
           "{\"name\":\"b\",\"shape\":[1],\"optimizer\":\"adam\"},{\"name\":\"c\",\"shape\":[1]}]}",
           free_one);
    for (int i = 0; i < 3; i++)
        scaled[i] = (double)((float)long_gradient[i] * (float)(0.5 / 13.0));
    json_t *a = step(clipped, long_gradient, 3, 0), *b = step(free_one, scaled, 3, 0);
    expect_part(a, 0, b, 0, 3);
    json_decref(a);
    json_decref(b);
    restart(); /* and the gradient is clipped again when it is replayed */
    a = step(clipped, short_gradient, 3, 1);
    b = step(free_one, short_gradient, 3, 1);
    expect_part(a, 0, b, 0, 3);
    json_t *const again = step(clipped, short_gradient, 3, 1);
    assert_true(json_is_true(json_object_get(again, "replayed")));
    expect_part(again, 0, a, 0, 3);
    json_decref(again);
    json_decref(a);
    json_decref(b);
}

static void test_clip_norm_refused(void **state)
{
    static const char *const values[] = {"0", "-1", "1e-31", "1e31", "\"1\"", "[]"};
    char body[128];

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"sgd\",\"coordinates\":1,\"clip_norm\":%s}", values[i]);
        refuse("POST", SESSIONS, body, 422, "invalid_value");
    }
}

/* --- what is refused --- */

static void expect_where(const char *body, int status, const char *pointer)
{
    json_t *const problem = ask("POST", SESSIONS, body, status);
    const json_t *const first = json_array_get(json_object_get(problem, "errors"), 0);

    assert_string_equal(text(first, "pointer"), pointer);
    json_decref(problem);
}

static void test_bad_entries(void **state)
{
    (void)state;
    expect_where("{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"shape\":[1]},"
                 "{\"name\":\"b\",\"shape\":[1],\"optimizer\":\"nobody\"}]}",
                 404, "/layout/1/optimizer");
    expect_where("{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"shape\":[1]},"
                 "{\"name\":\"b\",\"shape\":[1],\"optimizer\":\"adam:9\"}]}",
                 404, "/layout/1/optimizer");
    expect_where("{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"shape\":[1],"
                 "\"optimizer\":\"Adam\"}]}",
                 422, "/layout/0/optimizer");
    json_decref(ask("POST", OPTIMIZERS, "{\"name\":\"empty\",\"family\":\"lstm\"}", 201));
    expect_where("{\"optimizer\":\"sgd\",\"layout\":[{\"name\":\"a\",\"shape\":[1],"
                 "\"optimizer\":\"empty\"}]}",
                 409, "/layout/0/optimizer");
}

/* Seventeen versions are one more than a session may have. */
static void test_too_many_optimizers(void **state)
{
    char body[2048];
    size_t len = (size_t)snprintf(body, sizeof body, "{\"optimizer\":\"many:1\",\"layout\":[");

    (void)state;
    json_decref(ask("POST", OPTIMIZERS, "{\"name\":\"many\",\"family\":\"sgd\"}", 201));
    for (int v = 1; v <= 16; v++)
        json_decref(ask("POST", OPTIMIZERS "/many/versions", "{\"config\":{}}", 201));
    for (int v = 1; v <= 16; v++)
        len += (size_t)snprintf(body + len, sizeof body - len,
                                "%s{\"name\":\"t\",\"shape\":[2],\"optimizer\":\"many:%d\"}",
                                v > 1 ? "," : "", v);
    (void)snprintf(body + len, sizeof body - len, "]}");
    json_decref(ask("POST", SESSIONS, body, 201));
    (void)snprintf(body + len, sizeof body - len,
                   ",{\"name\":\"t\",\"shape\":[2],\"optimizer\":\"many:17\"}]}");
    refuse("POST", SESSIONS, body, 422, "invalid_value");
}

/* A version that only a tensor names is in use as well, until the session is gone. */
static void test_tensor_versions_are_in_use(void **state)
{
    static const char *const words[] = {"strict", "relaxed", "memory"};
    char body[512], path[160], id[64];

    (void)state;
    for (int i = 0; i < 3; i++) {
        json_decref(ask("POST", OPTIMIZERS, "{\"name\":\"held\",\"family\":\"sgd\"}", 201));
        (void)snprintf(body, sizeof body,
                       "{\"optimizer\":\"adam\",\"durability\":\"%s\",\"layout\":[{\"name\":\"a\","
                       "\"shape\":[3],\"optimizer\":\"held\"}]}",
                       words[i]);
        create(body, id);
        refuse("DELETE", OPTIMIZERS "/held/versions/1", NULL, 409, "in_use");
        refuse("DELETE", OPTIMIZERS "/held", NULL, 409, "in_use");
        (void)snprintf(path, sizeof path, SESSIONS "/%s", id);
        json_decref(ask("DELETE", path, NULL, 204));
        json_decref(ask("DELETE", OPTIMIZERS "/held/versions/1", NULL, 204));
        json_decref(ask("DELETE", OPTIMIZERS "/held", NULL, 204));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_each_tensor_by_its_own_optimizer),
        cmocka_unit_test(test_pinned),
        cmocka_unit_test(test_clipped_over_all_tensors),
        cmocka_unit_test(test_clip_norm_refused),
        cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_too_many_optimizers),
        cmocka_unit_test(test_tensor_versions_are_in_use),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
