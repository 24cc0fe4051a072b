/* test_binary.c -- the update endpoint with raw bytes: formats, headers, the step table, a million
 * coordinates
 *
 * Expected updates come from the same optimizer run in this process (calm.h), to the bit. */
#include "server/registry.h"
#include "server/safetensors.h"
#include "tests/support/calm.h"
#include "tests/support/client.h"

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>

static struct served server;
static struct client client;
static dsc_model *lstm, *adam;

static dsc_model *make_lstm(void)
{
    dsc_hyper hyper;
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(4, 5, 6);
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_lstm.hyper);
    dsc_family_lstm.phi_layout(&layout, &hyper);
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    dsc_family_lstm.phi_init(phi, &rng, &hyper);
    assert_true(dsc_model_new(&model, &dsc_family_lstm, &hyper, phi, NULL, NULL));
    free(phi);
    return model;
}

static dsc_model *make_adam(void)
{
    dsc_hyper hyper;
    dsc_model *model = NULL;

    dsc_hyper_init(&hyper, dsc_family_adam.hyper);
    assert_true(dsc_model_new(&model, &dsc_family_adam, &hyper, NULL, NULL, NULL));
    return model;
}

static void import_lstm(void)
{
    struct buf *file = NULL;

    json_decref(client_json(&client, "POST", "/v1/optimizers",
                            "{\"name\":\"net\",\"family\":\"lstm\"}", 201));
    assert_true(safetensors_export(&file, lstm, NULL));
    const struct asked asked = {.method = "POST",
                                .path = "/v1/optimizers/net/versions",
                                .type = "application/x-safetensors",
                                .body = file->data,
                                .len = file->len};
    assert_int_equal(client_ask(&client, &asked).status, 201);
    const struct asked back = {.method = "GET", .path = "/v1/optimizers/net/versions/1/weights"};
    const struct wire_reply reply = client_ask(&client, &back);
    assert_int_equal(reply.len, file->len);
    assert_memory_equal(reply.body, file->data, file->len);
    buf_drop(file);
}

static int start(void **state)
{
    (void)state;
    if (!served_start(&server))
        return -1;
    client_open(&client, &server);
    lstm = make_lstm();
    adam = make_adam();
    import_lstm();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    dsc_model_drop(lstm);
    dsc_model_drop(adam);
    return served_stop(&server) ? 0 : -1;
}

/* --- one session and its updates --- */

struct subject {
    char path[128];
    struct calm calm;
    uint64_t t;
};

static void subject_open(struct subject *subject, const char *optimizer, size_t n,
                         enum vector_dtype dtype)
{
    char body[256];

    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"%s\",\"coordinates\":%zu,\"durability\":\"relaxed\"}",
                   optimizer, n);
    json_t *const made = client_json(&client, "POST", "/v1/sessions", body, 201);
    (void)snprintf(subject->path, sizeof subject->path, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    json_decref(made);
    assert_true(
        calm_init(&subject->calm, strcmp(optimizer, "net") == 0 ? lstm : adam, n, 7, dtype));
    subject->t = 0;
}

/* The update request of step t as bytes of the session's format; the caller frees asked.body. */
static struct asked asked_of(struct subject *subject, uint64_t t, char headers[256])
{
    const size_t n = subject->calm.n, bytes = n * vector_dtype_bytes(subject->calm.dtype);
    void *const body = malloc(bytes);

    assert_non_null(body);
    vector_to_bytes(body, calm_gradient(&subject->calm, t), n, subject->calm.dtype);
    (void)snprintf(headers, 256, "Descent-Step: %" PRIu64 "\r\nDescent-Dtype: %s\r\n", t,
                   vector_dtypes[subject->calm.dtype]);
    return (struct asked) {.method = "POST",
                           .path = subject->path,
                           .type = "application/octet-stream",
                           .headers = headers,
                           .body = body,
                           .len = bytes};
}

static void expect_step(struct subject *subject, uint64_t t, bool replayed)
{
    const size_t n = subject->calm.n, bytes = n * vector_dtype_bytes(subject->calm.dtype);
    char headers[256];
    const struct asked asked = asked_of(subject, t, headers);
    const struct wire_reply reply = client_ask(&client, &asked);
    void *const expected = malloc(bytes);

    assert_non_null(expected);
    if (reply.status != 200)
        fail_msg("step %" PRIu64 ": %d %.300s", t, reply.status, reply.body);
    vector_to_bytes(expected, calm_update(&subject->calm, t), n, subject->calm.dtype);
    assert_int_equal(reply.len, bytes);
    assert_memory_equal(reply.body, expected, bytes);
    assert_int_equal(reply.step, t + 1);
    assert_int_equal(reply.replayed, replayed);
    free(expected);
    free((void *)(uintptr_t)asked.body);
}

static void test_formats(void **state)
{
    (void)state;
    for (int dtype = 0; vector_dtypes[dtype]; dtype++) {
        struct subject subject;

        subject_open(&subject, dtype == VECTOR_F16 ? "net" : "adam", 77, (enum vector_dtype)dtype);
        for (; subject.t < 5; subject.t++)
            expect_step(&subject, subject.t, false);
        expect_step(&subject, 4, true);
        calm_release(&subject.calm);
    }
}

static void refuse_step(struct subject *subject, uint64_t t, bool other, int status,
                        const char *code)
{
    char headers[256];
    struct asked asked = asked_of(subject, t, headers);

    if (other)
        ((float *)(uintptr_t)asked.body)[0] += 1;
    client_refused(&client, &asked, status, code);
    free((void *)(uintptr_t)asked.body);
}

static void test_step_table(void **state)
{
    struct subject subject;

    (void)state;
    subject_open(&subject, "net", 33, VECTOR_F32);
    for (; subject.t < 3; subject.t++)
        expect_step(&subject, subject.t, false);
    expect_step(&subject, 2, true);
    expect_step(&subject, 2, true);
    refuse_step(&subject, 2, true, 422, "step_payload_mismatch");
    refuse_step(&subject, 1, false, 409, "step_stale");
    refuse_step(&subject, 4, false, 409, "step_gap");
    assert_true(served_kill(&server) && served_start(&server));
    expect_step(&subject, 2, true);
    refuse_step(&subject, 2, true, 422, "step_payload_mismatch");
    expect_step(&subject, 3, false);
    calm_release(&subject.calm);
}

/* Bytes in, text out, and the other way round: the same session, the same numbers. */
static void test_accept_chooses_the_format(void **state)
{
    struct subject subject;
    char headers[256];

    (void)state;
    subject_open(&subject, "adam", 3, VECTOR_F32);
    struct asked asked = asked_of(&subject, 0, headers);
    strcat(headers, "Accept: application/json\r\n");
    const struct wire_reply reply = client_ask(&client, &asked);
    assert_int_equal(reply.status, 200);
    json_t *const answer = json_loadb(reply.body, reply.len, 0, NULL);
    json_t *const update = json_object_get(answer, "update");
    for (size_t i = 0; i < 3; i++)
        assert_true((float)json_real_value(json_array_get(update, i)) ==
                    calm_update(&subject.calm, 0)[i]);
    assert_int_equal(json_integer_value(json_object_get(answer, "step")), 1);
    assert_true(json_is_false(json_object_get(answer, "replayed")));
    json_decref(answer);
    free((void *)(uintptr_t)asked.body);
    expect_step(&subject, 0, true); /* the same answer, as bytes */
    expect_step(&subject, 1, false);
    calm_release(&subject.calm);
}

/* The headers are those of a request in JSON as well: the format of a binary reply, and the step.
 */
static void test_headers_with_json(void **state)
{
    static const char body[] = "{\"gradient\":[1,-2,0.5]}",
                      with_step[] = "{\"gradient\":[1,-2,0.5],\"step\":0}";
    json_t *const made = client_json(&client, "POST", "/v1/sessions",
                                     "{\"optimizer\":\"sgd\",\"coordinates\":3}", 201);
    char path[160], header[256];
    uint16_t update[3];
    float x[3];

    (void)state;
    (void)snprintf(path, sizeof path, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    struct asked asked = {"POST", path, "application/json", NULL, body, sizeof body - 1};
    asked.headers = "Descent-Step: 1\r\n";
    client_refused(&client, &asked, 409, "step_gap");
    asked.headers = "Descent-Step: 0\r\nDescent-Dtype: BF16\r\n"
                    "Accept: application/json;q=0.5, application/octet-stream\r\n";
    for (int i = 0; i < 2; i++) { /* the second one is replayed */
        const struct wire_reply reply = client_ask(&client, &asked);
        assert_int_equal(reply.status, 200);
        assert_int_equal(reply.replayed, i == 1);
        assert_int_equal(reply.len, sizeof update);
        assert_string_equal(client_header(&client, "Descent-Dtype", header), "BF16");
        memcpy(update, reply.body, sizeof update);
        vector_from_bytes(x, update, 3, VECTOR_BF16);
        assert_true(x[0] < -0.0099 && x[0] > -0.0101 && x[1] > 0.0199 && x[1] < 0.0201);
    }
    asked.body = with_step;
    asked.len = sizeof with_step - 1;
    asked.headers = "Descent-Step: 0\r\n"; /* the same twice is fine */
    assert_int_equal(client_ask(&client, &asked).status, 200);
    asked.headers = "Descent-Step: 1\r\n";
    client_refused(&client, &asked, 422, "invalid_value");
    assert_non_null(strstr(client.wire.bytes, "\"header\":\"Descent-Step\""));
    asked.headers = "Descent-Dtype: F64\r\n";
    client_refused(&client, &asked, 422, "invalid_value");
    json_decref(made);
}

static void test_bad_bytes_and_headers(void **state)
{
    static const struct {
        const char *headers, *code;
        size_t len;
        int status;
    } row[] = {
        {"", "dimension_mismatch", 8, 422},
        {"", "dimension_mismatch", 16, 422},
        {"", "dimension_mismatch", 11, 422},
        {"", "dimension_mismatch", 0, 422},
        {"Descent-Dtype: F16\r\n", "dimension_mismatch", 12, 422},
        {"Descent-Dtype: F64\r\n", "invalid_value", 12, 422},
        {"Descent-Dtype: f32\r\n", "invalid_value", 12, 422},
        {"Descent-Step: -1\r\n", "invalid_value", 12, 422},
        {"Descent-Step: 1.0\r\n", "invalid_value", 12, 422},
        {"Descent-Step: 9007199254740992\r\n", "invalid_value", 12, 422},
        {"Descent-Loss: nan\r\n", "invalid_value", 12, 422},
        {"Descent-Loss: inf\r\n", "invalid_value", 12, 422},
        {"Descent-Loss: x\r\n", "invalid_value", 12, 422},
        {"Descent-Loss: 0x10\r\n", "invalid_value", 12, 422},
        {"Descent-Loss: \r\n", "invalid_value", 12, 422},
    };
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct subject subject;
    float body[4] = {1, 2, 3, 4};

    (void)state;
    subject_open(&subject, "net", 3, VECTOR_F32);
    expect_step(&subject, 0, false);
    struct asked asked = {
        .method = "POST", .path = subject.path, .type = "application/octet-stream", .body = body};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        asked.headers = row[i].headers;
        asked.len = row[i].len;
        client_refused(&client, &asked, row[i].status, row[i].code);
    }
    asked.headers = NULL;
    asked.len = 12;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        body[2] = bad[i];
        client_refused(&client, &asked, 422, "non_finite_gradient");
        assert_non_null(strstr(client.wire.bytes, "gradient[2]"));
    }
    asked.headers = "Descent-Loss: -1.5e3\r\nDescent-Step: 1\r\n";
    memcpy(body, calm_gradient(&subject.calm, 1), 12);
    assert_int_equal(client_ask(&client, &asked).status, 200);
    expect_step(&subject, 1, true); /* and nothing before it had been taken */
    calm_release(&subject.calm);
}

static void test_wrong_length_says_both(void **state)
{
    struct subject subject;
    float body[5] = {0};

    (void)state;
    subject_open(&subject, "adam", 3, VECTOR_F32);
    const struct asked asked = {.method = "POST",
                                .path = subject.path,
                                .type = "application/octet-stream",
                                .body = body,
                                .len = sizeof body};
    const struct wire_reply reply = client_ask(&client, &asked);
    json_t *const problem = json_loadb(reply.body, reply.len, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(problem, "expected")), 3);
    assert_int_equal(json_integer_value(json_object_get(problem, "got")), 5);
    json_decref(problem);
    calm_release(&subject.calm);
}

/* A rate of 1e30 makes any gradient overflow what F16 can say, and a large one float32 itself. */
static void test_an_update_that_does_not_fit(void **state)
{
    float body[2] = {1e20f, 1};
    char path[128];

    (void)state;
    json_decref(client_json(&client, "POST", "/v1/optimizers",
                            "{\"name\":\"wild\",\"family\":\"sgd\","
                            "\"config\":{\"learning_rate\":1e20}}",
                            201));
    json_t *const made = client_json(&client, "POST", "/v1/sessions",
                                     "{\"optimizer\":\"wild\",\"coordinates\":2}", 201);
    (void)snprintf(path, sizeof path, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    json_decref(made);
    struct asked asked = {
        .method = "POST", .path = path, .type = "application/octet-stream", .body = body, .len = 8};
    client_refused(&client, &asked, 422, "non_finite_update");
    const uint16_t half[2] = {0x3c00, 0}; /* 1 and 0 */
    asked.body = half;
    asked.len = 4;
    asked.headers = "Descent-Dtype: F16\r\n";
    client_refused(&client, &asked, 422, "non_finite_update");
    body[0] = 1;
    asked.body = body;
    asked.len = 8;
    asked.headers = "Descent-Step: 0\r\n";
    assert_int_equal(client_ask(&client, &asked).status, 200);
}

static void test_a_million_coordinates(void **state)
{
    struct subject subject;

    (void)state;
    subject_open(&subject, "net", 1000000, VECTOR_F32);
    for (; subject.t < 3; subject.t++)
        expect_step(&subject, subject.t, false);
    assert_true(served_kill(&server) && served_start(&server));
    expect_step(&subject, 2, true);
    expect_step(&subject, 3, false);
    calm_release(&subject.calm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_step_table),
        cmocka_unit_test(test_accept_chooses_the_format),
        cmocka_unit_test(test_headers_with_json),
        cmocka_unit_test(test_bad_bytes_and_headers),
        cmocka_unit_test(test_wrong_length_says_both),
        cmocka_unit_test(test_an_update_that_does_not_fit),
        cmocka_unit_test(test_a_million_coordinates),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
