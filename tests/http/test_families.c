/* test_families.c -- every family over HTTP: its config, its weights, its updates, a kill midway
 *
 * The keys and defaults are written here once more, from the contract. Expected updates come from
 * the same optimizer run in this process (calm.h), to the bit. A family without a row fails. */
#include "server/safetensors.h"
#include "tests/support/calm.h"
#include "tests/support/client.h"

#include <cmocka.h>
#include <inttypes.h>

enum { N = 150, STEPS = 90 };

/* `changed`: another value than the default for every key, or for those that a learned family's
 * weights depend on; `bad`: one value out of its range, and where. */
struct row {
    const char *family;
    int state_bytes; /* of a coordinate; -1: not proportional */
    const char *defaults, *changed, *bad, *pointer;
};

static const struct row rows[] = {
    {"sgd", 0, "{\"learning_rate\":0.01}", "{\"learning_rate\":0.5}", "{\"learning_rate\":0}",
     "/config/learning_rate"},
    {"momentum", 4, "{\"learning_rate\":0.01,\"momentum\":0.9}",
     "{\"learning_rate\":0.5,\"momentum\":0.25}", "{\"momentum\":1}", "/config/momentum"},
    {"nag", 4, "{\"learning_rate\":0.01,\"momentum\":0.9}",
     "{\"learning_rate\":0.5,\"momentum\":0.25}", "{\"momentum\":-0.1}", "/config/momentum"},
    {"rmsprop", 4, "{\"learning_rate\":0.01,\"alpha\":0.99,\"eps\":1e-8}",
     "{\"learning_rate\":0.5,\"alpha\":0.75,\"eps\":0.001}", "{\"alpha\":1}", "/config/alpha"},
    {"adagrad", 4, "{\"learning_rate\":0.01,\"eps\":1e-10}",
     "{\"learning_rate\":0.5,\"eps\":0.001}", "{\"eps\":0}", "/config/eps"},
    {"adam", 8, "{\"learning_rate\":0.001,\"beta1\":0.9,\"beta2\":0.999,\"eps\":1e-8}",
     "{\"learning_rate\":0.5,\"beta1\":0.5,\"beta2\":0.75,\"eps\":0.001}", "{\"beta2\":1}",
     "/config/beta2"},
    {"amsgrad", 12, "{\"learning_rate\":0.001,\"beta1\":0.9,\"beta2\":0.999,\"eps\":1e-8}",
     "{\"learning_rate\":0.5,\"beta1\":0.5,\"beta2\":0.75,\"eps\":0.001}", "{\"beta1\":\"0.9\"}",
     "/config/beta1"},
    {"lion", 4, "{\"learning_rate\":0.0001,\"beta1\":0.9,\"beta2\":0.99}",
     "{\"learning_rate\":0.5,\"beta1\":0.5,\"beta2\":0.75}", "{\"beta1\":2}", "/config/beta1"},
    {"rprop", 8,
     "{\"learning_rate\":0.01,\"eta_minus\":0.5,\"eta_plus\":1.2,\"step_min\":1e-6,\"step_max\":"
     "50}",
     "{\"learning_rate\":0.5,\"eta_minus\":0.75,\"eta_plus\":1.5,\"step_min\":0.01,\"step_max\":8}",
     "{\"eta_plus\":1}", "/config/eta_plus"},
    {"lbfgs", -1, "{\"learning_rate\":1,\"history_size\":10}",
     "{\"learning_rate\":0.5,\"history_size\":3}", "{\"history_size\":2.5}",
     "/config/history_size"},
    {"lstm", 320,
     "{\"hidden_size\":20,\"layers\":2,\"preprocessing\":\"log_sign\",\"p\":10,\"input_scale\":1,"
     "\"output_scale\":0.1}",
     "{\"hidden_size\":5,\"layers\":3,\"output_scale\":0.5}", "{\"layers\":5}", "/config/layers"},
    {"lstm_gac", 320,
     "{\"hidden_size\":20,\"layers\":2,\"preprocessing\":\"log_sign\",\"p\":10,\"input_scale\":1,"
     "\"output_scale\":0.1,\"averaged_cells\":2}",
     "{\"hidden_size\":5,\"layers\":3,\"averaged_cells\":4}",
     "{\"hidden_size\":5,\"averaged_cells\":6}", "/config/averaged_cells"},
    {"rnnprop", 328,
     "{\"hidden_size\":20,\"layers\":2,\"beta1\":0.95,\"beta2\":0.95,\"eps\":1e-8,\"alpha\":0.1}",
     "{\"hidden_size\":7,\"layers\":1,\"beta1\":0.5,\"alpha\":0.5}", "{\"layers\":0}",
     "/config/layers"},
    {"ntm_lbfgs", 564,
     "{\"hidden_size\":20,\"layers\":2,\"preprocessing\":\"log_sign\",\"p\":10,\"input_scale\":1,"
     "\"output_scale\":0.1,\"averaged_cells\":2,\"read_heads\":1,\"write_heads\":3,\"sigma\":1,"
     "\"memory_gain\":0.1,\"window\":10}",
     "{\"hidden_size\":7,\"layers\":1,\"read_heads\":2,\"window\":4}", "{\"layers\":0}",
     "/config/layers"},
};

enum { ROWS = sizeof rows / sizeof rows[0], RPROP = 8 };

static struct served server;
static struct client client;

static int start(void **state)
{
    (void)state;
    if (!served_start(&server))
        return -1;
    client_open(&client, &server);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    client_close(&client);
    return served_stop(&server) ? 0 : -1;
}

static json_t *json_of(const char *text)
{
    json_t *const root = json_loads(text, 0, NULL);

    assert_non_null(root);
    return root;
}

/* --- configs --- */

/* Every key that is expected, and its value; numbers as such: 50 and 50.0 are one. */
static void assert_config(const json_t *shown, const char *expected)
{
    json_t *const want = json_of(expected);
    const char *key;
    json_t *value;

    json_object_foreach(want, key, value)
    {
        const json_t *const got = json_object_get(shown, key);

        assert_true(json_is_number(value) ? json_number_value(got) == json_number_value(value)
                                          : json_equal(got, value));
    }
    json_decref(want);
}

static bool learned(const struct row *row)
{
    return dsc_family_find(row->family)->phi_layout != NULL;
}

/* A builtin, which stays. */
static void check_builtin(const struct row *row)
{
    char path[128];

    (void)snprintf(path, sizeof path, "/v1/optimizers/%s/versions/1", row->family);
    json_t *const version = client_json(&client, "GET", path, NULL, 200);
    json_t *const want = json_of(row->defaults);
    const json_t *const bytes = json_object_get(version, "state_bytes_per_coordinate");

    assert_string_equal(json_string_value(json_object_get(version, "source")), "builtin");
    assert_config(json_object_get(version, "config"), row->defaults);
    assert_int_equal(json_object_size(json_object_get(version, "config")), json_object_size(want));
    assert_true(row->state_bytes < 0 ? json_is_null(bytes)
                                     : json_integer_value(bytes) == row->state_bytes);
    json_decref(want);
    json_decref(version);
    const struct asked asked = {.method = "DELETE", .path = path};
    client_refused(&client, &asked, 409, "builtin_protected");
}

/* One without weights yet, which shows the config of its jobs. */
static void check_learned(const struct row *row)
{
    char path[128], body[128];

    (void)snprintf(body, sizeof body, "{\"name\":\"fresh\",\"family\":\"%s\"}", row->family);
    json_t *const made = client_json(&client, "POST", "/v1/optimizers", body, 201);
    json_t *const want = json_of(row->defaults);
    (void)snprintf(path, sizeof path, "/v1/optimizers/fresh");

    assert_true(json_is_null(json_object_get(made, "latest_version")));
    assert_config(json_object_get(made, "config"), row->defaults);
    assert_int_equal(json_object_size(json_object_get(made, "config")), json_object_size(want));
    json_decref(want);
    json_decref(made);
    json_decref(client_json(&client, "DELETE", path, NULL, 204));
}

static void test_defaults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        (learned(&rows[i]) ? check_learned : check_builtin)(&rows[i]);
}

/* The config is refused with a pointer to the key. */
static void refuse_config(const struct row *row, const char *config, const char *pointer)
{
    char body[512];

    (void)snprintf(body, sizeof body, "{\"name\":\"no\",\"family\":\"%s\",\"config\":%s}",
                   row->family, config);
    json_t *const problem = client_json(&client, "POST", "/v1/optimizers", body, 422);
    const json_t *const error = json_array_get(json_object_get(problem, "errors"), 0);
    assert_string_equal(json_string_value(json_object_get(error, "pointer")), pointer);
    json_decref(problem);
}

static void test_bad_configs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        refuse_config(&rows[i], rows[i].bad, rows[i].pointer);
        refuse_config(&rows[i], "{\"bogus\":1}", "/config/bogus");
    }
    refuse_config(&rows[RPROP], "{\"step_max\":1e-9}", "/config/step_min");
}

/* --- updates --- */

static float *weights_of(const dsc_family *family, const dsc_hyper *hyper)
{
    dsc_layout layout = {0};
    dsc_rng rng = dsc_rng_at(3, 0, 0);

    if (!family->phi_layout)
        return NULL;
    family->phi_layout(&layout, hyper);
    float *const phi = malloc(layout.len * sizeof *phi);
    assert_non_null(phi);
    family->phi_init(phi, &rng, hyper);
    return phi;
}

static dsc_model *model_of(const struct row *row)
{
    const dsc_family *const family = dsc_family_find(row->family);
    json_t *const config = json_of(row->changed);
    dsc_model *model = NULL;
    dsc_hyper hyper;
    const char *key;
    json_t *value;

    assert_non_null(family);
    dsc_hyper_init(&hyper, family->hyper);
    json_object_foreach(config, key, value)
        assert_true(dsc_hyper_set_number(&hyper, key, json_number_value(value), NULL));
    float *const phi = weights_of(family, &hyper);
    assert_true(dsc_model_new(&model, family, &hyper, phi, NULL, NULL));
    free(phi);
    json_decref(config);
    return model;
}

/* The weights file goes in, and comes out with the same bytes. */
static void import(const struct row *row, const dsc_model *model)
{
    struct buf *file = NULL;
    char path[128];
    struct asked asked = {.method = "POST", .path = path, .type = "application/x-safetensors"};

    assert_true(safetensors_export(&file, model, NULL));
    asked.body = file->data;
    asked.len = file->len;
    (void)snprintf(path, sizeof path, "/v1/optimizers/my-%s/versions", row->family);
    const struct wire_reply made = client_ask(&client, &asked);
    if (made.status != 201)
        fail_msg("%s: %d %.300s", path, made.status, made.body);
    (void)snprintf(path, sizeof path, "/v1/optimizers/my-%s/versions/1/weights", row->family);
    asked = (struct asked) {.method = "GET", .path = path};
    const struct wire_reply back = client_ask(&client, &asked);
    assert_int_equal(back.len, file->len);
    assert_memory_equal(back.body, file->data, file->len);
    buf_drop(file);
}

static void create_optimizer(const struct row *row, const dsc_model *model)
{
    char body[512];

    (void)snprintf(body, sizeof body, "{\"name\":\"my-%s\",\"family\":\"%s\",\"config\":%s}",
                   row->family, row->family, row->changed);
    json_t *const made = client_json(&client, "POST", "/v1/optimizers", body, 201);
    assert_config(json_object_get(made, "config"), row->changed);
    json_decref(made);
    if (learned(row))
        import(row, model);
}

static void create_session(const struct row *row, char path[128])
{
    char body[256];

    (void)snprintf(body, sizeof body, "{\"optimizer\":\"my-%s\",\"coordinates\":%d}", row->family,
                   N);
    json_t *const made = client_json(&client, "POST", "/v1/sessions", body, 201);
    (void)snprintf(path, 128, "/v1/sessions/%s/update",
                   json_string_value(json_object_get(made, "id")));
    json_decref(made);
}

static void expect_step(struct calm *calm, const char *path, uint64_t t, bool replayed)
{
    char headers[64];
    const struct asked asked = {.method = "POST",
                                .path = path,
                                .type = "application/octet-stream",
                                .headers = headers,
                                .body = calm_gradient(calm, t),
                                .len = N * sizeof(float)};

    (void)snprintf(headers, sizeof headers, "Descent-Step: %" PRIu64 "\r\n", t);
    const struct wire_reply reply = client_ask(&client, &asked);
    if (reply.status != 200)
        fail_msg("%s, step %" PRIu64 ": %d %.300s", path, t, reply.status, reply.body);
    assert_int_equal(reply.len, N * sizeof(float));
    assert_memory_equal(reply.body, calm_update(calm, t), reply.len);
    assert_int_equal(reply.replayed, replayed);
}

static void kill_and_start(void)
{
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    client_open(&client, &server);
}

/* All families' sessions side by side, so that each kill meets them all; after it the last step is
 * asked for again. The second kill comes when chunks of several ages are stored. */
static void test_updates(void **state)
{
    static struct calm calm[ROWS];
    char path[ROWS][128];

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        dsc_model *const model = model_of(&rows[i]);

        create_optimizer(&rows[i], model);
        create_session(&rows[i], path[i]);
        assert_true(calm_init(&calm[i], model, N, i, VECTOR_F32));
        dsc_model_drop(model);
    }
    for (uint64_t t = 0; t < STEPS; t++) {
        for (size_t i = 0; i < ROWS; i++)
            expect_step(&calm[i], path[i], t, false);
        if (t != 5 && t != 83)
            continue;
        kill_and_start();
        for (size_t i = 0; i < ROWS; i++)
            expect_step(&calm[i], path[i], t, true);
    }
    for (size_t i = 0; i < ROWS; i++)
        calm_release(&calm[i]);
}

static void test_every_family_has_a_row(void **state)
{
    (void)state;
    for (const dsc_family *const *family = dsc_families; *family; family++) {
        bool has = false;

        for (size_t i = 0; i < ROWS; i++)
            has = has || strcmp(rows[i].family, (*family)->name) == 0;
        if (!has)
            fail_msg("%s has no row", (*family)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_family_has_a_row),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_bad_configs),
        cmocka_unit_test(test_updates),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
