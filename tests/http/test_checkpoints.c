/* test_checkpoints.c -- a session's state kept, gone back to, forked, taken out and put in
 *
 * What a session must answer afterwards is known from what it answered before: the same numbers, to
 * the last digit, also when the server was killed in between. */
#include "tests/support/client.h"
#include "tests/support/disk.h"

#include <cmocka.h>
#include <time.h>

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

/* Kinds of session: with one chunk and several, with groups, clipped, without any state. */
static const char *const kinds[] = {
    "\"optimizer\":\"adam\",\"coordinates\":3",
    "\"optimizer\":\"adam\",\"coordinates\":20000",
    "\"optimizer\":\"sgd\",\"coordinates\":3",
    "\"optimizer\":\"adam\",\"clip_norm\":2,\"layout\":[{\"name\":\"a\",\"shape\":[50]},"
    "{\"name\":\"b\",\"shape\":[70],\"optimizer\":\"sgd\"},"
    "{\"name\":\"c\",\"shape\":[2,3],\"optimizer\":\"rmsprop\"},{\"name\":\"d\",\"shape\":[1]}]",
};
static const int sizes[] = {3, 20000, 3, 127};
enum { KINDS = 4 };
static const char *const durabilities[] = {"strict", "relaxed", "memory"};

struct subject {
    char path[160];
    int n;
};

static void open_subject(struct subject *subject, int kind, const char *durability)
{
    char body[512];

    (void)snprintf(body, sizeof body, "{%s,\"durability\":\"%s\",\"labels\":{\"k\":\"v\"}}",
                   kinds[kind], durability);
    json_t *const made = ask("POST", SESSIONS, body, 201);
    (void)snprintf(subject->path, sizeof subject->path, SESSIONS "/%s", text(made, "id"));
    subject->n = sizes[kind];
    json_decref(made);
}

static void path_of(const struct subject *subject, const char *rest, char path[256])
{
    (void)snprintf(path, 256, "%.159s%s", subject->path, rest);
}

/* The gradient of step t in JSON; the caller frees it. */
static char *gradient_of(int n, int t)
{
    char *const body = malloc((size_t)n * 12 + 64);
    size_t len = (size_t)sprintf(body, "{\"step\":%d,\"gradient\":[", t);

    for (int i = 0; i < n; i++)
        len += (size_t)sprintf(body + len, "%s%g", i ? "," : "", ((t * 7 + i * 3) % 41 - 20) / 8.0);
    (void)sprintf(body + len, "]}");
    return body;
}

static json_t *step(const struct subject *subject, int t)
{
    char path[256];
    char *const body = gradient_of(subject->n, t);

    path_of(subject, "/update", path);
    json_t *const answer = ask("POST", path, body, 200);
    free(body);
    return answer;
}

static void steps(const struct subject *subject, int from, int to)
{
    for (int t = from; t < to; t++)
        json_decref(step(subject, t));
}

/* Steps from..to give the same answers in both. */
static void same_steps(const struct subject *a, const struct subject *b, int from, int to)
{
    for (int t = from; t < to; t++) {
        json_t *const one = step(a, t), *const other = step(b, t);
        assert_true(json_equal(one, other));
        json_decref(one);
        json_decref(other);
    }
}

/* Step t was never answered in this state: it is behind, not a replay. */
static void expect_stale(const struct subject *subject, int t)
{
    char path[256];
    char *const body = gradient_of(subject->n, t);

    path_of(subject, "/update", path);
    refuse("POST", path, body, 409, "step_stale");
    free(body);
}

static void keep(const struct subject *subject, const char *name, int expected_step)
{
    char path[256], body[128];

    path_of(subject, "/checkpoints", path);
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\"}", name);
    json_t *const made = ask("POST", path, body, 201);
    assert_string_equal(text(made, "name"), name);
    assert_int_equal(whole(made, "step"), expected_step);
    json_decref(made);
}

static void restore(const struct subject *subject, const char *name, int expected_step)
{
    char path[256], body[128];

    path_of(subject, "/restore", path);
    (void)snprintf(body, sizeof body, "{\"checkpoint\":\"%s\"}", name);
    json_t *const now = ask("POST", path, body, 200);
    assert_int_equal(whole(now, "step"), expected_step);
    json_decref(now);
}

static void fork_of(const struct subject *subject, const char *body, struct subject *out)
{
    char path[256];

    path_of(subject, "/fork", path);
    json_t *const made = ask("POST", path, body, 201);
    (void)snprintf(out->path, sizeof out->path, SESSIONS "/%s", text(made, "id"));
    out->n = subject->n;
    assert_string_equal(text(json_object_get(made, "labels"), "k"), "v");
    json_decref(made);
}

/* --- going back --- */

/* Answers after a restore are those after the checkpoint; a kill at any time changes nothing. */
static void go_back(int kind, const char *durability, bool kills)
{
    enum { KEPT = 5, MORE = 4 };
    struct subject subject;
    json_t *first[MORE];

    open_subject(&subject, kind, durability);
    steps(&subject, 0, KEPT);
    keep(&subject, "here", KEPT);
    for (int t = 0; t < MORE; t++)
        first[t] = step(&subject, KEPT + t);
    for (int round = 0; round < 2; round++) {
        if (kills)
            restart();
        restore(&subject, "here", KEPT);
        if (kills)
            restart();
        expect_stale(&subject, KEPT - 1);
        for (int t = 0; t < MORE; t++) {
            json_t *const again = step(&subject, KEPT + t);
            assert_true(json_equal(again, first[t]));
            json_decref(again);
        }
        json_t *const replay = step(&subject, KEPT + MORE - 1); /* there is a last answer again */
        assert_true(json_is_true(json_object_get(replay, "replayed")));
        json_decref(replay);
    }
    for (int t = 0; t < MORE; t++)
        json_decref(first[t]);
}

static void test_back_to_a_checkpoint(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int d = 0; d < 3; d++) {
            go_back(kind, durabilities[d], false);
            if (d < 2)
                go_back(kind, durabilities[d], true);
        }
}

/* Chunks are written once in 80 steps: the state is of many ages when it is kept and restored. */
static void test_back_after_many_steps(void **state)
{
    struct subject subject, twin;

    (void)state;
    open_subject(&subject, 3, "strict");
    open_subject(&twin, 3, "memory");
    steps(&subject, 0, 170);
    keep(&subject, "late", 170);
    steps(&subject, 170, 190);
    restart();
    restore(&subject, "late", 170);
    open_subject(&twin, 3, "strict"); /* undisturbed */
    steps(&twin, 0, 170);
    same_steps(&subject, &twin, 170, 300);
    restart();
    same_steps(&subject, &twin, 300, 305);
}

static void test_checkpoint_at_the_start(void **state)
{
    struct subject subject, twin;

    (void)state;
    open_subject(&subject, 0, "strict");
    open_subject(&twin, 0, "strict");
    keep(&subject, "zero", 0);
    steps(&subject, 0, 3);
    restore(&subject, "zero", 0);
    restart();
    same_steps(&subject, &twin, 0, 3);
}

/* --- forks --- */

static void forks(int kind, const char *durability, bool kills)
{
    struct subject subject, now, then;

    open_subject(&subject, kind, durability);
    steps(&subject, 0, 4);
    keep(&subject, "four", 4);
    steps(&subject, 4, 7);
    fork_of(&subject, "{}", &now);
    if (kills)
        restart();
    fork_of(&subject, "{\"checkpoint\":\"four\"}", &then);
    if (kills)
        restart();
    expect_stale(&now, 6);
    expect_stale(&then, 3);
    same_steps(&subject, &now, 7, 10);
    steps(&then, 4, 7);
    if (kills)
        restart();
    restore(&subject, "four", 4);
    steps(&subject, 4, 10);
    same_steps(&subject, &now, 10, 12);
    steps(&then, 7, 12);
    same_steps(&then, &now, 12, 14);
}

static void test_forks(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        for (int d = 0; d < 3; d++)
            forks(kind, durabilities[d], d < 2 && kind != 1);
}

/* What it was forked from may go. */
static void test_fork_stands_alone(void **state)
{
    struct subject subject, fork, twin;

    (void)state;
    open_subject(&subject, 3, "strict");
    open_subject(&twin, 3, "strict");
    steps(&subject, 0, 3);
    steps(&twin, 0, 3);
    fork_of(&subject, "{\"checkpoint\":null}", &fork);
    done("DELETE", subject.path, NULL, 204);
    restart();
    same_steps(&fork, &twin, 3, 6);
}

/* --- the state as a file --- */

static struct wire_reply put_state(const struct subject *subject, const void *bytes, size_t len)
{
    char path[256];

    path_of(subject, "/state", path);
    const struct asked asked = {.method = "PUT",
                                .path = path,
                                .type = "application/x-safetensors",
                                .body = bytes,
                                .len = len};
    return client_ask(&client, &asked);
}

/* The caller's bytes. */
static char *get_state(const struct subject *subject, size_t *len)
{
    char path[256];

    path_of(subject, "/state", path);
    const struct asked asked = {.method = "GET", .path = path};
    const struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, 200);
    char *const copy = malloc(reply.len + 1);
    memcpy(copy, reply.body, reply.len);
    *len = reply.len;
    return copy;
}

static void test_state_travels(void **state)
{
    size_t len, again_len;

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct subject from, to;
        open_subject(&from, kind, "strict");
        open_subject(&to, kind, "strict");
        steps(&from, 0, 6);
        steps(&to, 0, 2);
        char *const file = get_state(&from, &len);
        const struct wire_reply reply = put_state(&to, file, len);
        assert_int_equal(reply.status, 200);
        char *const again = get_state(&to, &again_len);
        assert_int_equal(len, again_len);
        assert_memory_equal(file, again, len);
        expect_stale(&to, 5);
        restart();
        same_steps(&from, &to, 6, 9);
        free(file);
        free(again);
    }
}

static json_t *header_of(const char *file, size_t len)
{
    uint64_t header;

    assert_true(len > 8);
    memcpy(&header, file, sizeof header);
    return json_loadb(file + 8, (size_t)header, 0, NULL);
}

/* Names, shapes and metadata are those of the contract. */
static void test_state_names(void **state)
{
    struct subject subject;
    size_t len;

    (void)state;
    open_subject(&subject, 0, "strict");
    steps(&subject, 0, 2);
    char *file = get_state(&subject, &len);
    json_t *header = header_of(file, len);
    const json_t *metadata = json_object_get(header, "__metadata__");
    assert_string_equal(text(metadata, "step"), "2");
    assert_string_equal(text(metadata, "coordinates"), "3");
    json_t *const version = ask("GET", OPTIMIZERS "/adam/versions/1", NULL, 200);
    assert_string_equal(text(metadata, "optimizer_sha256"), text(version, "sha256"));
    assert_int_equal(json_integer_value(
                         json_array_get(json_object_get(json_object_get(header, "m"), "shape"), 0)),
                     3);
    assert_int_equal(json_object_size(header), 3); /* m and v */
    json_decref(header);
    json_decref(version);
    free(file);
    open_subject(&subject, 3, "strict");
    file = get_state(&subject, &len);
    header = header_of(file, len);
    assert_non_null(json_object_get(header, "group0.m"));
    assert_null(json_object_get(header, "group1.m")); /* sgd remembers nothing */
    json_decref(header);
    free(file);
}

static void expect_refused(const struct subject *subject, const char *bytes, size_t len,
                           const char *code)
{
    const struct wire_reply reply = put_state(subject, bytes, len);

    if (reply.status != 422 || !strstr(reply.body, code))
        fail_msg("%d, not 422 %s: %.300s", reply.status, code, reply.body);
}

/* Replace a text in the file by one of the same length. */
static void replace(char *file, size_t len, const char *old, const char *new)
{
    char *const at = memmem(file, len, old, strlen(old));

    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(new));
    memcpy(at, new, strlen(new));
}

static void test_state_refused(void **state)
{
    struct subject subject, other, longer, twin;
    size_t len;
    float number;

    (void)state;
    open_subject(&subject, 0, "strict");
    open_subject(&twin, 0, "strict");
    open_subject(&other, 2, "strict");
    open_subject(&longer, 1, "strict");
    steps(&subject, 0, 3);
    steps(&twin, 0, 3);
    char *const file = get_state(&subject, &len), *const bad = malloc(len);
    expect_refused(&other, file, len, "invalid_value");       /* another optimizer */
    expect_refused(&longer, file, len, "dimension_mismatch"); /* another n */
    expect_refused(&subject, file, len - 1, "invalid_weights");
    expect_refused(&subject, file, 7, "invalid_weights");
    expect_refused(&subject, "", 0, "invalid_weights");
    memcpy(bad, file, len);
    replace(bad, len, "\"step\":\"3\"", "\"step\":\"x\"");
    expect_refused(&subject, bad, len, "invalid_value");
    memcpy(bad, file, len);
    replace(bad, len, "\"m\":{", "\"M\":{");
    expect_refused(&subject, bad, len, "invalid_weights");
    memcpy(bad, file, len);
    memset(bad + len - 4, 0xff, 4); /* a NaN */
    expect_refused(&subject, bad, len, "invalid_weights");
    same_steps(&subject, &twin, 3, 5); /* untouched */

    /* Finite numbers that adam would never reach are taken, and never give anything but finite
     * updates or a refusal that changes nothing. */
    number = -1.0F;
    memcpy(bad, file, len);
    memcpy(bad + len - 4, &number, 4); /* v of the last coordinate */
    assert_int_equal(put_state(&subject, bad, len).status, 200);
    for (int restarts = 0; restarts < 2; restarts++) {
        char path[256];
        char *const body = gradient_of(3, 3);
        path_of(&subject, "/update", path);
        refuse("POST", path, body, 422, "non_finite_update");
        free(body);
        json_t *const now = ask("GET", subject.path, NULL, 200);
        assert_int_equal(whole(now, "step"), 3);
        json_decref(now);
        restart();
    }
    free(file);
    free(bad);
}

/* Sixteen groups of three tensors each are more than a file has. */
static void test_state_of_too_many_tensors(void **state)
{
    char body[2048];
    struct subject subject = {.n = 16};
    char path[256];

    (void)state;
    done("POST", OPTIMIZERS, "{\"name\":\"many\",\"family\":\"amsgrad\"}", 201);
    size_t len = (size_t)snprintf(body, sizeof body, "{\"optimizer\":\"many:1\",\"layout\":[");
    for (int v = 1; v <= 16; v++) {
        if (v > 1)
            done("POST", OPTIMIZERS "/many/versions", "{\"config\":{}}", 201);
        len += (size_t)snprintf(body + len, sizeof body - len,
                                "%s{\"name\":\"t\",\"shape\":[1],\"optimizer\":\"many:%d\"}",
                                v > 1 ? "," : "", v);
    }
    (void)snprintf(body + len, sizeof body - len, "]}");
    json_t *const made = ask("POST", SESSIONS, body, 201);
    (void)snprintf(subject.path, sizeof subject.path, SESSIONS "/%s", text(made, "id"));
    json_decref(made);
    steps(&subject, 0, 2);
    path_of(&subject, "/state", path);
    refuse("GET", path, NULL, 409, "invalid_state");
    const struct asked asked = {
        .method = "PUT", .path = path, .type = "application/x-safetensors", .body = "x", .len = 1};
    client_refused(&client, &asked, 409, "invalid_state");
    keep(&subject, "a", 2); /* what is no file can be kept all the same */
    steps(&subject, 2, 4);
    restore(&subject, "a", 2);
}

/* --- names, bounds, ends --- */

/* An expired session gives and takes nothing any more. */
static void test_expired(void **state)
{
    static const struct {
        const char *method, *rest, *body;
    } row[] = {
        {"POST", "/checkpoints", "{\"name\":\"b\"}"},
        {"DELETE", "/checkpoints/a", NULL},
        {"POST", "/restore", "{\"checkpoint\":\"a\"}"},
        {"POST", "/fork", "{}"},
        {"GET", "/history", NULL},
        {"GET", "/state", NULL},
    };
    struct subject subject = {.n = 1};
    char path[256];

    (void)state;
    json_t *const made =
        ask("POST", SESSIONS, "{\"optimizer\":\"adam\",\"coordinates\":1,\"ttl_seconds\":1}", 201);
    (void)snprintf(subject.path, sizeof subject.path, SESSIONS "/%s", text(made, "id"));
    json_decref(made);
    keep(&subject, "a", 0);
    for (bool expired = false; !expired;) {
        json_t *const now = ask("GET", subject.path, NULL, 200);
        expired = strcmp(text(now, "state"), "expired") == 0;
        json_decref(now);
        (void)nanosleep(&(struct timespec) {.tv_nsec = 10000000}, NULL);
    }
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        path_of(&subject, row[i].rest, path);
        refuse(row[i].method, path, row[i].body, 410, "session_expired");
    }
    path_of(&subject, "/state", path);
    const struct asked asked = {
        .method = "PUT", .path = path, .type = "application/x-safetensors", .body = "x", .len = 1};
    client_refused(&client, &asked, 410, "session_expired");
}

static void test_names(void **state)
{
    static const char *const bad[] = {"", "A", ".a", "a b", "a/b"};
    struct subject subject, other;
    char path[256], body[128], one[300];

    (void)state;
    open_subject(&subject, 0, "strict");
    open_subject(&other, 0, "strict");
    path_of(&subject, "/checkpoints", path);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        (void)snprintf(body, sizeof body, "{\"name\":\"%s\"}", bad[i]);
        refuse("POST", path, body, 422, "invalid_value");
    }
    refuse("POST", path, "{}", 422, "missing_field");
    keep(&subject, "a", 0);
    refuse("POST", path, "{\"name\":\"a\"}", 409, "already_exists");
    keep(&other, "a", 0);
    steps(&subject, 0, 1);
    keep(&subject, "b", 1);
    json_t *const page = ask("GET", path, NULL, 200);
    const json_t *const items = json_object_get(page, "items");
    assert_int_equal(json_array_size(items), 2);
    assert_string_equal(text(json_array_get(items, 0), "name"), "a");
    assert_string_equal(text(json_array_get(items, 1), "name"), "b");
    json_decref(page);
    (void)snprintf(one, sizeof one, "%s/a", path);
    done("GET", one, NULL, 200);
    done("DELETE", one, NULL, 204);
    refuse("DELETE", one, NULL, 404, "not_found");
    refuse("GET", one, NULL, 404, "not_found");
    path_of(&subject, "/restore", path);
    refuse("POST", path, "{\"checkpoint\":\"a\"}", 404, "not_found");
    path_of(&subject, "/fork", path);
    refuse("POST", path, "{\"checkpoint\":\"a\"}", 404, "not_found");
    restore(&other, "a", 0); /* the other's is its own */
    refuse("POST", SESSIONS "/ses_0/checkpoints", "{\"name\":\"a\"}", 404, "not_found");
    refuse("POST", SESSIONS "/ses_0/fork", "{}", 404, "not_found");
}

static void test_bounded(void **state)
{
    struct subject subject;
    char path[256], name[16];

    (void)state;
    open_subject(&subject, 0, "relaxed");
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "c%d", i);
        keep(&subject, name, 0);
    }
    path_of(&subject, "/checkpoints", path);
    refuse("POST", path, "{\"name\":\"more\"}", 429, "quota_exceeded");
    path_of(&subject, "/checkpoints/c7", path);
    done("DELETE", path, NULL, 204);
    keep(&subject, "more", 0);
}

/* Nothing stays on the disk of what is gone; a memory session's checkpoints go with the process. */
static void test_nothing_stays(void **state)
{
    struct subject subject[3];

    (void)state;
    for (int d = 0; d < 3; d++) {
        open_subject(&subject[d], 1, durabilities[d]);
        steps(&subject[d], 0, 2);
        keep(&subject[d], "a", 2);
        keep(&subject[d], "b", 2);
    }
    for (int d = 0; d < 2; d++)
        done("DELETE", subject[d].path, NULL, 204);
    restart(); /* the memory session is gone with its checkpoints */
    client_close(&client);
    assert_true(served_kill(&server));
    assert_int_equal(disk_number(server.dir, "SELECT count(*) FROM erasure"), 0);
    assert_int_equal(disk_number(server.dir,
                                 "SELECT count(*) FROM bulk.base WHERE session < 0 AND -session"
                                 " NOT IN (SELECT number FROM checkpoint)"),
                     0);
    assert_int_equal(disk_number(server.dir,
                                 "SELECT count(*) FROM bulk.chunk WHERE session < 0 AND -session"
                                 " NOT IN (SELECT number FROM checkpoint)"),
                     0);
    assert_int_equal(disk_number(server.dir,
                                 "SELECT count(*) FROM checkpoint WHERE session NOT IN (SELECT seq"
                                 " FROM session)"),
                     0);
    assert_true(served_start(&server));
}

/* A fork whose row was never written, as a kill between the two databases leaves it. */
static void test_half_a_fork_is_erased(void **state)
{
    struct subject subject;

    (void)state;
    open_subject(&subject, 0, "strict");
    steps(&subject, 0, 2);
    client_close(&client);
    assert_true(served_kill(&server));
    assert_true(disk_change(server.dir,
                            "INSERT INTO erasure VALUES (987654321);"
                            "INSERT INTO bulk.base VALUES (987654321, 7, 0);"
                            "INSERT INTO bulk.chunk SELECT 987654321, 0, 0, 7, zeroblob(128)"));
    assert_true(served_start(&server));
    json_decref(step(&subject, 2));
    client_close(&client);
    assert_true(served_kill(&server));
    assert_int_equal(disk_number(server.dir, "SELECT (SELECT count(*) FROM erasure) +"
                                             " (SELECT count(*) FROM bulk.base WHERE session ="
                                             " 987654321) + (SELECT count(*) FROM bulk.chunk WHERE"
                                             " session = 987654321)"),
                     0);
    assert_true(served_start(&server));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_back_to_a_checkpoint),
        cmocka_unit_test(test_back_after_many_steps),
        cmocka_unit_test(test_checkpoint_at_the_start),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_fork_stands_alone),
        cmocka_unit_test(test_state_travels),
        cmocka_unit_test(test_state_names),
        cmocka_unit_test(test_state_refused),
        cmocka_unit_test(test_state_of_too_many_tensors),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_half_a_fork_is_erased),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
