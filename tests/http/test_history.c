/* test_history.c -- what is shown of a session's steps, across kills, restores and resets
 *
 * The norms are computed again here, from what was sent and what was answered. */
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

static json_int_t whole(const json_t *body, const char *name)
{
    assert_true(json_is_integer(json_object_get(body, name)));
    return json_integer_value(json_object_get(body, name));
}

/* A request with JSON, and further headers or NULL. */
static struct asked json_request(const char *method, const char *path, const char *body,
                                 const char *headers)
{
    return (struct asked) {.method = method,
                           .path = path,
                           .type = body ? "application/json" : NULL,
                           .headers = headers,
                           .body = body,
                           .len = body ? strlen(body) : 0};
}

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    return client_json(&client, method, path, body, status);
}

static void done(const char *method, const char *path, const char *body, int status)
{
    json_decref(ask(method, path, body, status));
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    const struct asked asked = json_request(method, path, body, NULL);

    client_refused(&client, &asked, status, code);
}

enum { N = 3, MOST = 1000 };

struct subject {
    char path[160];
    int t;
    double loss[MOST], gradient[MOST], update[MOST]; /* of each step; loss NaN: none was sent */
};

static struct subject subject;

static void open_subject(const char *optimizer, const char *durability)
{
    char body[256];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"%s\",\"coordinates\":3,\"durability\":\"%s\"}", optimizer,
                   durability);
    json_t *const made = ask("POST", SESSIONS, body, 201);
    subject.t = 0;
    (void)snprintf(subject.path, sizeof subject.path, SESSIONS "/%s", text(made, "id"));
    json_decref(made);
}

static void path_of(const char *rest, char path[256])
{
    (void)snprintf(path, 256, "%.159s%s", subject.path, rest);
}

/* One step; every third sends no loss. */
static void step(void)
{
    const int t = subject.t++;
    const double g[N] = {1 + t % 7, -0.5 * (t % 11), 0.25 * t};
    char body[160], loss[40] = "", path[256];
    double sum = 0;

    subject.loss[t] = t % 3 ? 1.0 / (t + 1) : (double)NAN;
    subject.gradient[t] = sqrt(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
    if (t % 3)
        (void)snprintf(loss, sizeof loss, ",\"loss\":%.17g", subject.loss[t]);
    (void)snprintf(body, sizeof body, "{\"step\":%d,\"gradient\":[%g,%g,%g]%s}", t, g[0], g[1],
                   g[2], loss);
    path_of("/update", path);
    json_t *const answer = ask("POST", path, body, 200);
    const json_t *const update = json_object_get(answer, "update");
    for (size_t i = 0; i < N; i++)
        sum += pow(json_number_value(json_array_get(update, i)), 2);
    subject.update[t] = sqrt(sum);
    json_decref(answer);
}

static void steps(int count)
{
    while (count-- > 0)
        step();
}

static double number(const json_t *item, const char *name)
{
    const json_t *const value = json_object_get(item, name);

    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* The history has the steps from `first` to the session's, each as it was. */
static void expect_history(int first)
{
    char path[256];

    path_of("/history?max_points=10000", path);
    json_t *const history = ask("GET", path, NULL, 200);
    const json_t *const items = json_object_get(history, "items");
    assert_int_equal(whole(history, "total"), subject.t - first);
    assert_int_equal(json_array_size(items), subject.t - first);
    for (int t = first; t < subject.t; t++) {
        const json_t *const item = json_array_get(items, (size_t)(t - first));
        assert_int_equal(whole(item, "step"), t);
        if (isnan(subject.loss[t]))
            assert_true(json_is_null(json_object_get(item, "loss")));
        else
            assert_true(number(item, "loss") == subject.loss[t]);
        assert_true(fabs(number(item, "gradient_norm") / subject.gradient[t] - 1) < 1e-12);
        assert_true(fabs(number(item, "update_norm") / subject.update[t] - 1) < 1e-6);
    }
    json_decref(history);
}

static const char *const optimizers[] = {"sgd", "adam"}; /* without and with chunks */
static const char *const durabilities[] = {"strict", "relaxed", "memory"};

static void test_every_step(void **state)
{
    (void)state;
    for (int o = 0; o < 2; o++)
        for (int d = 0; d < 3; d++) {
            open_subject(optimizers[o], durabilities[d]);
            expect_history(0);
            for (int k = 0; k < 5; k++) {
                steps(k == 2 ? 80 : 33);
                expect_history(0);
            }
        }
}

/* Killed at many ages of a block, also right when it becomes a row. */
static void test_killed(void **state)
{
    static const int between[] = {1, 1, 77, 1, 1, 1, 40, 79, 3};

    (void)state;
    for (int o = 0; o < 2; o++) {
        open_subject(optimizers[o], "strict");
        for (size_t i = 0; i < sizeof between / sizeof *between; i++) {
            steps(between[i]);
            restart();
            if (i % 2)
                expect_history(0); /* or only after more steps */
        }
        expect_history(0);
    }
}

/* A restore takes back the steps after the checkpoint, the future is another one. */
static void test_restored(void **state)
{
    static const int at[] = {5, 80, 100, 161};
    char path[256];

    (void)state;
    for (int o = 0; o < 2; o++)
        for (int d = 0; d < 3; d++)
            for (size_t i = 0; i < 4; i++) {
                open_subject(optimizers[o], durabilities[d]);
                steps(at[i]);
                path_of("/checkpoints", path);
                done("POST", path, "{\"name\":\"c\"}", 201);
                steps(130);
                path_of("/restore", path);
                done("POST", path, "{\"checkpoint\":\"c\"}", 200);
                subject.t = at[i];
                if (d < 2 && i % 2)
                    restart();
                expect_history(0);
                steps(95);
                if (d < 2)
                    restart();
                expect_history(0);
            }
}

static void test_reset_and_fork(void **state)
{
    char path[256];

    (void)state;
    for (int d = 0; d < 3; d++) {
        open_subject("adam", durabilities[d]);
        steps(100);
        path_of("/fork", path);
        json_t *const fork = ask("POST", path, "{}", 201);
        (void)snprintf(subject.path, sizeof subject.path, SESSIONS "/%s", text(fork, "id"));
        json_decref(fork);
        expect_history(100); /* a fork has its own */
        steps(70);
        expect_history(100);
        path_of("/reset", path);
        done("POST", path, NULL, 200);
        subject.t = 0;
        expect_history(0);
        steps(3);
        if (d < 2)
            restart();
        expect_history(0);
    }
}

/* A repeated request is one step, whose loss stays what it was. */
static void test_replayed(void **state)
{
    char path[256];

    (void)state;
    open_subject("adam", "strict");
    steps(2);
    subject.t = 1;
    path_of("/update", path);
    done("POST", path, "{\"step\":1,\"gradient\":[2,-0.5,0.25],\"loss\":77}", 200);
    subject.t = 2;
    expect_history(0);
}

static void test_thinned(void **state)
{
    char path[256];

    (void)state;
    open_subject("sgd", "relaxed");
    steps(500);
    for (int max = 8; max < 500; max += 41) {
        char query[64];
        (void)snprintf(query, sizeof query, "/history?max_points=%d", max);
        path_of(query, path);
        json_t *const history = ask("GET", path, NULL, 200);
        const json_t *const items = json_object_get(history, "items");
        const size_t count = json_array_size(items);
        assert_true(count <= (size_t)max && count >= 2);
        assert_int_equal(whole(history, "total"), 500);
        assert_int_equal(whole(json_array_get(items, 0), "step"), 0);
        assert_int_equal(whole(json_array_get(items, count - 1), "step"), 499);
        json_decref(history);
    }
    static const char *const bad[] = {"7", "0", "-1", "10001", "x", "", "1.5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char query[64];
        (void)snprintf(query, sizeof query, "/history?max_points=%s", bad[i]);
        path_of(query, path);
        refuse("GET", path, NULL, 422, "invalid_value");
    }
    refuse("GET", SESSIONS "/ses_0/history", NULL, 404, "not_found");
}

/* Binary bodies carry the loss in a header. */
static void test_binary(void **state)
{
    static const float gradient[N] = {3, 4, 12};
    char path[256];

    (void)state;
    open_subject("sgd", "strict");
    path_of("/update", path);
    const struct asked asked = {.method = "POST",
                                .path = path,
                                .type = "application/octet-stream",
                                .headers = "Descent-Loss: 0.125\r\n",
                                .body = gradient,
                                .len = sizeof gradient};
    assert_int_equal(client_ask(&client, &asked).status, 200);
    subject.loss[0] = 0.125;
    subject.gradient[0] = 13;
    subject.update[0] = 0.13;
    subject.t = 1;
    expect_history(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_step), cmocka_unit_test(test_killed),
        cmocka_unit_test(test_restored),   cmocka_unit_test(test_reset_and_fork),
        cmocka_unit_test(test_replayed),   cmocka_unit_test(test_thinned),
        cmocka_unit_test(test_binary),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
