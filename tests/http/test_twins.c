/* test_twins.c -- a session that was refused things, killed, and asked again goes on as its
 * undisturbed twin
 *
 * The twin is a run of the same model in this process (calm.h). For every family and format: steps,
 * each followed by requests that must be refused and leave no trace (an update that the format
 * cannot carry, a gradient that is not finite, a wrong length, a wrong step), then kill -9, the
 * last answer again in every format, and on. */
#include "server/field.h"
#include "server/safetensors.h"
#include "tests/support/calm.h"
#include "tests/support/client.h"

#include <cmocka.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>

enum { COORDINATES = 300 };

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

/* Rates at which every update is finite in float32 and none fits F16, whose largest is 65504. */
static const struct {
    const char *family, *config;
} wild[] = {
    {"sgd", "{\"learning_rate\":1e12}"},    {"momentum", "{\"learning_rate\":1e12}"},
    {"nag", "{\"learning_rate\":1e12}"},    {"adam", "{\"learning_rate\":1e7}"},
    {"amsgrad", "{\"learning_rate\":1e7}"}, {"rmsprop", "{\"learning_rate\":1e7}"},
    {"adagrad", "{\"learning_rate\":1e7}"}, {"lion", "{\"learning_rate\":1e7}"},
    {"lstm", "{\"output_scale\":1e9}"},
};

/* --- a session and its twin --- */

struct subject {
    char path[200];
    struct calm calm;
};

static dsc_model *make_model(const dsc_family *family, const char *config)
{
    dsc_hyper hyper;
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(4, 5, 6);
    dsc_model *model = NULL;
    float *phi = NULL;

    dsc_hyper_init(&hyper, family->hyper);
    assert_true(field_hyper_decode(&hyper, config, strlen(config), "config", NULL));
    if (family->phi_layout) {
        family->phi_layout(&layout, &hyper);
        phi = malloc(layout.len * sizeof *phi);
        assert_non_null(phi);
        family->phi_init(phi, &rng, &hyper);
    }
    assert_true(dsc_model_new(&model, family, &hyper, phi, NULL, NULL));
    free(phi);
    return model;
}

static void import_model(const char *name, const dsc_model *model)
{
    char path[160];
    struct buf *file = NULL;

    (void)snprintf(path, sizeof path, "/v1/optimizers/%s/versions", name);
    assert_true(safetensors_export(&file, model, NULL));
    assert_int_equal(client_ask(&client, &(struct asked) {.method = "POST",
                                                          .path = path,
                                                          .type = "application/x-safetensors",
                                                          .body = file->data,
                                                          .len = file->len})
                         .status,
                     201);
    buf_drop(file);
}

static void subject_open(struct subject *subject, size_t which, enum vector_dtype dtype,
                         const char *durability)
{
    const dsc_family *const family = dsc_family_find(wild[which].family);
    char body[256], name[64];
    const bool learned = family->phi_layout != NULL;
    dsc_model *const model = make_model(family, wild[which].config);

    (void)snprintf(name, sizeof name, "wild-%s-%s-%s", family->name, durability,
                   dtype == VECTOR_F32   ? "f32"
                   : dtype == VECTOR_F16 ? "f16"
                                         : "bf16");
    (void)snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"%s\",\"config\":%s}", name,
                   family->name, wild[which].config);
    json_decref(client_json(&client, "POST", "/v1/optimizers", body, 201));
    if (learned)
        import_model(name, model);
    (void)snprintf(body, sizeof body,
                   "{\"optimizer\":\"%s\",\"coordinates\":%d,\"durability\":\"%s\"}", name,
                   COORDINATES, durability);
    json_t *const made = client_json(&client, "POST", "/v1/sessions", body, 201);
    (void)snprintf(subject->path, sizeof subject->path, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    json_decref(made);
    assert_true(calm_init(&subject->calm, model, COORDINATES, which, dtype));
    dsc_model_drop(model);
}

/* --- requests --- */

/* Gradient x [n] in a format; `body` has room for n float32. */
static struct asked ask_for(const struct subject *subject, const float *x, size_t n, uint64_t t,
                            enum vector_dtype dtype, void *body, char headers[128])
{
    vector_to_bytes(body, x, n, dtype);
    (void)snprintf(headers, 128, "Descent-Step: %" PRIu64 "\r\nDescent-Dtype: %s\r\n", t,
                   vector_dtypes[dtype]);
    return (struct asked) {.method = "POST",
                           .path = subject->path,
                           .type = "application/octet-stream",
                           .headers = headers,
                           .body = body,
                           .len = n * vector_dtype_bytes(dtype)};
}

/* Step t of the twin, to the bit, in `dtype`. */
static void expect_step(struct subject *subject, uint64_t t, enum vector_dtype dtype, bool replayed)
{
    unsigned char body[COORDINATES * sizeof(float)], want[COORDINATES * sizeof(float)];
    char headers[128];
    const struct asked asked =
        ask_for(subject, calm_gradient(&subject->calm, t), COORDINATES, t, dtype, body, headers);
    const struct wire_reply reply = client_ask(&client, &asked);

    if (reply.status != 200)
        fail_msg("step %" PRIu64 " of %s: %d %s", t, subject->path, reply.status, reply.body);
    assert_int_equal(reply.step, t + 1);
    assert_int_equal(reply.replayed, replayed);
    vector_to_bytes(want, calm_update(&subject->calm, t), COORDINATES, dtype);
    assert_int_equal(reply.len, COORDINATES * vector_dtype_bytes(dtype));
    assert_memory_equal(reply.body, want, reply.len);
}

static void refuse(const struct subject *subject, const float *x, size_t n, uint64_t t,
                   enum vector_dtype dtype, int status, const char *code)
{
    unsigned char body[(COORDINATES + 1) * sizeof(float)];
    char headers[128];
    const struct asked asked = ask_for(subject, x, n, t, dtype, body, headers);

    client_refused(&client, &asked, status, code);
}

/* Everything that the session at step t must refuse without a trace. */
static void refuse_all(struct subject *subject, uint64_t t)
{
    float x[COORDINATES + 1] = {0};
    const enum vector_dtype dtype = subject->calm.dtype;

    for (int i = 0; i < COORDINATES; i++)
        x[i] = 1;
    refuse(subject, x, COORDINATES, t, VECTOR_F16, 422, "non_finite_update");
    refuse(subject, x, COORDINATES + 1, t, dtype, 422, "dimension_mismatch");
    refuse(subject, x, COORDINATES - 1, t, dtype, 422, "dimension_mismatch");
    refuse(subject, x, COORDINATES, t + 1, dtype, 409, "step_gap");
    if (t >= 1)
        refuse(subject, x, COORDINATES, t - 1, dtype, 422, "step_payload_mismatch");
    if (t >= 2)
        refuse(subject, x, COORDINATES, t - 2, dtype, 409, "step_stale");
    x[COORDINATES - 1] = NAN;
    refuse(subject, x, COORDINATES, t, dtype, 422, "non_finite_gradient");
    x[COORDINATES - 1] = -INFINITY;
    refuse(subject, x, COORDINATES, t, dtype, 422, "non_finite_gradient");
}

/* The last answer in formats other than the one it was given in: what counts is the numbers. */
static void replay_all(struct subject *subject, uint64_t t)
{
    expect_step(subject, t, subject->calm.dtype, true);
    expect_step(subject, t, VECTOR_F32, true);
    refuse(subject, calm_gradient(&subject->calm, t), COORDINATES, t, VECTOR_F16, 422,
           subject->calm.dtype == VECTOR_F16 ? "non_finite_update" : "step_payload_mismatch");
}

static void kill_and_start(void)
{
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
}

/* --- every family with updates that F16 cannot carry --- */

static void run_twins(const char *durability, enum vector_dtype dtype)
{
    enum { COUNT = sizeof wild / sizeof *wild, STEPS = 4, KILLS = 2 };
    static struct subject subject[COUNT];
    uint64_t t = 0;

    for (size_t i = 0; i < COUNT; i++) {
        subject_open(&subject[i], i, dtype, durability);
        refuse_all(&subject[i], 0);
    }
    for (int kills = 0; kills <= KILLS; kills++) {
        for (int step = 0; step < STEPS; step++, t++)
            for (size_t i = 0; i < COUNT; i++) {
                expect_step(&subject[i], t, dtype, false);
                refuse_all(&subject[i], t + 1);
            }
        kill_and_start();
        for (size_t i = 0; i < COUNT; i++) {
            refuse_all(&subject[i], t); /* the first that it sees after the kill */
            replay_all(&subject[i], t - 1);
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        calm_release(&subject[i].calm);
}

static void test_strict(void **state)
{
    (void)state;
    run_twins("strict", VECTOR_F32);
}

static void test_relaxed(void **state)
{
    (void)state;
    run_twins("relaxed", VECTOR_BF16);
}

/* --- F16, with updates that fit --- */

/* The gradient comes in halves and the update goes out in halves; what is kept is float32, so the
 * answer again after a kill, in halves or whole, is rounded from the same numbers. */
static void test_halves(void **state)
{
    static const enum vector_dtype dtypes[] = {VECTOR_F16, VECTOR_BF16};
    struct subject subject = {.path = ""};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dsc_model *const model = make_model(dsc_family_find("adam"), "{}");
        json_t *const made = client_json(&client, "POST", "/v1/sessions",
                                         "{\"optimizer\":\"adam\",\"coordinates\":300}", 201);
        (void)snprintf(subject.path, sizeof subject.path, "/v1/sessions/%s/update",
                       json_string_value(json_object_get(made, "id")));
        json_decref(made);
        assert_true(calm_init(&subject.calm, model, COORDINATES, 40 + i, dtypes[i]));
        for (uint64_t t = 0; t < 85; t++) { /* beyond one period of chunks */
            expect_step(&subject, t, dtypes[i], false);
            if (t % 20 == 4) {
                kill_and_start();
                expect_step(&subject, t, dtypes[i], true);
                expect_step(&subject, t, VECTOR_F32, true);
            }
        }
        calm_release(&subject.calm);
        dsc_model_drop(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_relaxed),
        cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
