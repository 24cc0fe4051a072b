/* test_jobs.c -- jobs over HTTP: trained, measured, followed, paused, ended, and everything refused
 *
 * After each refused submission the list of jobs is what it was before. */
#include "server/job.h"
#include "server/limits.h"
#include "tests/support/client.h"
#include "tests/support/follower.h"
#include <cmocka.h>
#include <sodium.h>
#include <time.h>
#include <unistd.h>

#define JOBS "/v1/jobs"

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

/* --- what tests do often --- */

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

static json_t *ask(const char *method, const char *path, const char *body, int status)
{
    return client_json(&client, method, path, body, status);
}

static json_t *get(const char *path)
{
    return ask("GET", path, NULL, 200);
}

static void path_of(char path[160], const json_t *job, const char *rest)
{
    (void)snprintf(path, 160, JOBS "/%s%s", text(job, "id"), rest);
}

#define PROBLEM "{\"type\":\"quadratic\",\"params\":{\"dimension\":5}}"
#define TRAINING                                                                                   \
    "\"type\":\"meta_train\",\"problems\":[" PROBLEM "],\"horizon\":20,\"unroll\":10,"             \
    "\"functions_per_step\":8,\"validate_every\":50,\"validation_functions\":8,\"patience\":0,"    \
    "\"config\":{\"hidden_size\":4,\"layers\":1}"
#define FOREVER ",\"epochs\":1000000000"

static const char short_training[] = "{" TRAINING ",\"optimizer\":\"short\",\"epochs\":200}";

static json_t *submit(const char *body)
{
    return ask("POST", JOBS, body, 202);
}

/* The job, once it is over. Frees the one given. */
static json_t *await_end(json_t *job)
{
    char path[160];

    path_of(path, job, "");
    while (json_is_null(json_object_get(job, "finished_at"))) {
        nanosleep(&(struct timespec) {.tv_nsec = 2000000}, NULL);
        json_decref(job);
        job = get(path);
    }
    return job;
}

/* Post to its /action. Frees the job given. */
static json_t *act(json_t *job, const char *action, int status)
{
    char path[160];

    path_of(path, job, action);
    json_decref(job);
    return ask("POST", path, NULL, status);
}

static void discard(json_t *job)
{
    char path[160];

    path_of(path, job, "");
    json_decref(ask("DELETE", path, NULL, 204));
    json_decref(job);
}

static void refuse(const char *method, const char *path, const char *body, int status,
                   const char *code)
{
    client_refused(&client,
                   &(struct asked) {.method = method,
                                    .path = path,
                                    .type = body ? "application/json" : NULL,
                                    .body = body,
                                    .len = body ? strlen(body) : 0},
                   status, code);
}

/* --- a training --- */

static void test_training(void **state)
{
    char path[160], location[256];

    (void)state;
    json_t *job = submit(short_training);
    client_header(&client, "Location", location);
    path_of(path, job, "");
    assert_string_equal(location, path);
    assert_string_equal(text(job, "state"), "queued");
    assert_string_equal(text(job, "type"), "meta_train");
    assert_int_equal(whole(json_object_get(job, "progress"), "epochs"), 200);
    assert_true(json_is_null(json_object_get(job, "started_at")));
    assert_true(json_is_null(json_object_get(job, "result")));
    json_t *const spec = json_loads(short_training, 0, NULL);
    assert_true(json_equal(spec, json_object_get(job, "spec")));
    json_decref(spec);

    job = await_end(job);
    assert_string_equal(text(job, "state"), "succeeded");
    assert_true(json_is_null(json_object_get(job, "error")));
    const json_t *const result = json_object_get(job, "result"), *const progress = json_object_get(
                                                                     job, "progress");
    assert_string_equal(text(result, "optimizer"), "short");
    assert_string_equal(text(result, "reason"), "completed");
    assert_true(json_real_value(json_object_get(result, "validation_loss")) > 0);
    assert_int_equal(whole(progress, "epoch"), 200);
    assert_int_equal(whole(progress, "eta_seconds"), 0);

    json_t *const version = get("/v1/optimizers/short/versions/1");
    assert_string_equal(text(version, "source"), "job");
    assert_string_equal(text(version, "job"), text(job, "id"));
    assert_true(json_is_null(json_object_get(version, "parent")));
    assert_true(
        json_real_value(json_object_get(json_object_get(version, "metrics"), "validation_loss")) ==
        json_real_value(json_object_get(result, "validation_loss")));
    json_decref(version);
    json_t *const session =
        ask("POST", "/v1/sessions", "{\"optimizer\":\"short\",\"coordinates\":3}", 201);
    assert_string_equal(text(session, "optimizer"), "short:1");
    json_decref(session);
    discard(job);
    refuse("GET", path, NULL, 404, "not_found");
}

/* `descent train` on the same spec writes the file that the job's version serves. */
static void test_same_bits_as_the_command(void **state)
{
    const char *const program = getenv("DESCENT_BIN") ? getenv("DESCENT_BIN") : "build/descent";
    char spec[] = "/tmp/descent-spec-XXXXXX", out[64], command[512], digest[65];
    unsigned char hash[crypto_hash_sha256_BYTES];
    static unsigned char bytes[1 << 20];

    (void)state;
    const int fd = mkstemp(spec);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, short_training, strlen(short_training)), strlen(short_training));
    close(fd);
    snprintf(out, sizeof out, "%s.safetensors", spec);
    snprintf(command, sizeof command, "%s train %s --out %s --threads 2 >/dev/null", program, spec,
             out);
    assert_int_equal(system(command), 0);
    FILE *const file = fopen(out, "rb");
    assert_non_null(file);
    const size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    unlink(spec);
    unlink(out);
    crypto_hash_sha256(hash, bytes, len);
    sodium_bin2hex(digest, sizeof digest, hash, sizeof hash);

    json_decref(await_end(submit(short_training)));
    json_t *const page = get("/v1/optimizers/short/versions");
    const json_t *const items = json_object_get(page, "items");
    for (size_t i = 0; i < json_array_size(items); i++)
        assert_string_equal(text(json_array_get(items, i), "sha256"), digest);
    assert_true(json_array_size(items) > 0);
    json_decref(page);
}

/* On data that a client uploaded: the table is read by the submission and by the worker. */
static void test_on_a_dataset(void **state)
{
    static const char table[] = "a,b,class\n0,1,0\n1,0,1\n0,2,0\n2,0,1\n";
    const struct asked asked = {.method = "PUT",
                                .path = "/v1/datasets/mine/files/train.csv",
                                .type = "application/octet-stream",
                                .body = table,
                                .len = strlen(table)};

    (void)state;
    assert_int_equal(client_ask(&client, &asked).status, 201);
    json_decref(ask("POST", "/v1/datasets/mine/commit", "{\"format\":\"csv\"}", 200));
    json_t *const job = await_end(
        submit("{\"type\":\"meta_train\",\"optimizer\":\"tabular\",\"problems\":[{\"type\":\"mlp\","
               "\"params\":{\"dataset\":\"mine\",\"hidden\":[3],\"batch\":2}}],\"epochs\":3,"
               "\"functions_per_step\":2,\"validation_functions\":2,"
               "\"imitation\":{\"optimizer\":\"adam\",\"probability\":0.5,\"epochs\":2}}"));
    assert_string_equal(text(job, "state"), "succeeded");
    discard(job);
    json_decref(ask("DELETE", "/v1/datasets/mine", NULL, 204));
}

/* --- an evaluation --- */

static void test_evaluation(void **state)
{
    static const char *const curves[] = {"mean", "median", "p10", "p90"};
    static const char *const numbers[] = {"final_loss", "final_loss_stderr", "loss_sum",
                                          "seconds_per_step"};

    (void)state;
    json_t *const job = await_end(
        submit("{\"type\":\"evaluate\",\"optimizers\":[\"adam:1\"],\"baselines\":[\"sgd\"],"
               "\"problem\":" PROBLEM ",\"steps\":12,\"functions\":9,\"seed\":7,"
               "\"tuning\":{\"learning_rates\":5,\"functions\":4}}"));
    assert_string_equal(text(job, "state"), "succeeded");
    const json_t *const list = json_object_get(json_object_get(job, "result"), "optimizers");
    assert_int_equal(json_array_size(list), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *const one = json_array_get(list, i);
        assert_string_equal(text(one, "optimizer"), i == 0 ? "adam:1" : "sgd");
        assert_int_equal(json_is_true(json_object_get(one, "tuned")), i == 1);
        assert_true(json_is_object(json_object_get(one, "config")));
        assert_int_equal(whole(one, "diverged"), 0);
        for (int c = 0; c < 4; c++)
            assert_int_equal(json_array_size(json_object_get(one, curves[c])), 13);
        for (int n = 0; n < 4; n++)
            assert_true(json_number_value(json_object_get(one, numbers[n])) > 0);
        assert_true(json_real_value(json_array_get(json_object_get(one, "mean"), 12)) ==
                    json_real_value(json_object_get(one, "final_loss")));
    }
    discard(job);
}

/* --- states --- */

static void expect_state(const json_t *job, const char *state)
{
    assert_string_equal(text(job, "state"), state);
}

static void test_states(void **state)
{
    char path[160];

    (void)state;
    json_t *job = submit("{" TRAINING FOREVER ",\"optimizer\":\"mine\"}");
    job = act(job, "/pause", 200);
    expect_state(job, "paused");
    job = act(job, "/pause", 200); /* again */
    expect_state(job, "paused");
    job = act(job, "/resume", 200);
    expect_state(job, "queued");
    job = act(job, "/resume", 200); /* queued or running by now */
    assert_true(strcmp(text(job, "state"), "paused") != 0);
    path_of(path, job, "");
    refuse("DELETE", path, NULL, 409, "invalid_state");
    refuse("DELETE", "/v1/optimizers/mine", NULL, 409, "in_use");
    job = act(job, "/cancel", 200);
    expect_state(job, "cancelled");
    assert_true(json_is_string(json_object_get(job, "finished_at")));
    job = act(job, "/cancel", 200); /* again */
    expect_state(job, "cancelled");
    path_of(path, job, "/pause");
    refuse("POST", path, NULL, 409, "invalid_state");
    path_of(path, job, "/resume");
    refuse("POST", path, NULL, 409, "invalid_state");
    discard(job);
    refuse("POST", path, NULL, 404, "not_found");

    job = await_end(submit(short_training));
    path_of(path, job, "/cancel");
    refuse("POST", path, NULL, 409, "invalid_state");
    discard(job);
    refuse("POST", JOBS "/job_0/cancel", NULL, 404, "not_found");
    refuse("POST", JOBS "/job_0/pause", NULL, 404, "not_found");
    refuse("DELETE", JOBS "/job_0", NULL, 404, "not_found");
    refuse("GET", JOBS "/job_0/events", NULL, 404, "not_found");
}

/* kill -9 in the middle; the next server goes on by itself. */
static void test_killed(void **state)
{
    char path[160];

    (void)state;
    json_t *job = submit("{" TRAINING ",\"optimizer\":\"mine\",\"epochs\":6000}");
    path_of(path, job, "");
    client_close(&client);
    assert_true(served_kill(&server) && served_start(&server));
    client_open(&client, &server);
    json_decref(job);
    job = await_end(get(path));
    expect_state(job, "succeeded");
    assert_int_equal(whole(json_object_get(job, "progress"), "epoch"), 6000);
    discard(job);
}

static void test_pages(void **state)
{
    char path[160];
    json_t *job[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        job[i] = await_end(submit("{" TRAINING ",\"optimizer\":\"mine\",\"epochs\":1}"));
    json_t *page = get(JOBS "?page_size=2");
    for (int i = 0; i < 2; i++)
        assert_true(json_equal(json_array_get(json_object_get(page, "items"), (size_t)i), job[i]));
    snprintf(path, sizeof path, JOBS "?page_size=2&page_token=%s", text(page, "next_page_token"));
    json_decref(page);
    page = get(path);
    assert_int_equal(json_array_size(json_object_get(page, "items")), 1);
    assert_string_equal(text(page, "next_page_token"), "");
    json_decref(page);
    json_decref(ask("GET", JOBS "?page_size=0", NULL, 422));
    for (int i = 0; i < 3; i++)
        discard(job[i]);
}

/* --- what is refused --- */

static void refuse_job(const char *body, int status, const char *code, const char *pointer)
{
    json_t *const before = get(JOBS);
    const struct asked asked = {.method = "POST",
                                .path = JOBS,
                                .type = "application/json",
                                .body = body,
                                .len = strlen(body)};

    client_refused(&client, &asked, status, code);
    const struct wire_reply reply = client_ask(&client, &asked);
    json_t *const problem = json_loadb(reply.body, reply.len, 0, NULL);
    const json_t *const first = json_array_get(json_object_get(problem, "errors"), 0);
    if (pointer[0] && strcmp(text(first, "pointer"), pointer) != 0)
        fail_msg("%s: %s", body, reply.body);
    json_decref(problem);
    json_t *const after = get(JOBS);
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

#define FOR       "\"optimizer\":\"other\","
#define TRAIN     "{\"type\":\"meta_train\","
#define PROBLEMS  "\"problems\":[" PROBLEM "]"
#define EVALUATE  "{\"type\":\"evaluate\","
#define BASELINES "\"baselines\":[\"adam\"],"

static void test_refused(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *code, *pointer;
    } rows[] = {
        {"", 422, "missing_field", "/type"},
        {"{}", 422, "missing_field", "/type"},
        {"{\"type\":\"meta\"}", 422, "invalid_value", "/type"},
        {"{\"type\":1}", 422, "invalid_value", "/type"},
        {"[]", 400, "malformed_json", ""},
        {TRAIN PROBLEMS, 400, "malformed_json", ""},
        {TRAIN PROBLEMS ",\"type\":\"meta_train\"}", 400, "duplicate_key", ""},
        {TRAIN PROBLEMS "}", 422, "missing_field", "/optimizer"},
        {TRAIN "\"optimizer\":\"other\"}", 422, "missing_field", "/problems"},
        {TRAIN FOR PROBLEMS ",\"steps\":3}", 422, "unknown_field", "/steps"},
        {TRAIN "\"optimizer\":\"No\"," PROBLEMS "}", 422, "invalid_value", "/optimizer"},
        {TRAIN "\"optimizer\":\"adam\"," PROBLEMS "}", 409, "builtin_protected", "/optimizer"},
        {TRAIN FOR "\"problems\":[]}", 422, "invalid_value", "/problems"},
        {TRAIN FOR "\"problems\":[{}]}", 422, "missing_field", "/problems/0/type"},
        {TRAIN FOR "\"problems\":[{\"type\":\"cubic\"}]}", 422, "invalid_value",
         "/problems/0/type"},
        {TRAIN FOR "\"problems\":[" PROBLEM ",{\"type\":\"quadratic\",\"weight\":0}]}", 422,
         "invalid_value", "/problems/1/weight"},
        {TRAIN FOR "\"problems\":[{\"type\":\"quadratic\",\"params\":{\"dimension\":0}}]}", 422,
         "invalid_value", "/problems/0/params/dimension"},
        {TRAIN FOR "\"problems\":[{\"type\":\"quadratic\",\"params\":{\"n\":1}}]}", 422,
         "unknown_field", "/problems/0/params/n"},
        {TRAIN FOR PROBLEMS ",\"family\":\"sgd\"}", 422, "invalid_value", "/family"},
        {TRAIN FOR PROBLEMS ",\"config\":{\"layers\":9}}", 422, "invalid_value", "/config/layers"},
        {TRAIN FOR PROBLEMS ",\"init_from\":\"nobody:3\"}", 404, "not_found", "/init_from"},
        {TRAIN FOR PROBLEMS ",\"init_from\":\"empty\"}", 409, "no_version", "/init_from"},
        {TRAIN FOR PROBLEMS ",\"imitation\":{\"optimizer\":\"nobody\"}}", 404, "not_found",
         "/imitation/optimizer"},
        {TRAIN FOR "\"problems\":[{\"type\":\"mlp\"}]}", 422, "missing_field",
         "/problems/0/params/dataset"},
        {TRAIN FOR "\"problems\":[{\"type\":\"mlp\",\"params\":{\"dataset\":\"nobody\"}}]}", 422,
         "invalid_value", "/problems/0/params/dataset"},
        {TRAIN FOR PROBLEMS ",\"horizon\":0}", 422, "invalid_value", "/horizon"},
        {TRAIN FOR PROBLEMS ",\"horizon\":10.5}", 422, "invalid_value", "/horizon"},
        {TRAIN FOR PROBLEMS ",\"horizon\":10}", 422, "invalid_value", "/unroll"},
        {TRAIN FOR PROBLEMS ",\"unroll\":0}", 422, "invalid_value", "/unroll"},
        {TRAIN FOR PROBLEMS ",\"functions_per_step\":0}", 422, "invalid_value",
         "/functions_per_step"},
        {TRAIN FOR PROBLEMS ",\"loss_weights\":\"first\"}", 422, "invalid_value", "/loss_weights"},
        {TRAIN FOR PROBLEMS ",\"loss_weights\":[1]}", 422, "invalid_value", "/loss_weights"},
        {TRAIN FOR PROBLEMS ",\"meta_optimizer\":{\"name\":\"sgd\"}}", 422, "invalid_value",
         "/meta_optimizer/name"},
        {TRAIN FOR PROBLEMS ",\"meta_optimizer\":{\"clip_norm\":-1}}", 422, "invalid_value",
         "/meta_optimizer/clip_norm"},
        {TRAIN FOR PROBLEMS ",\"epochs\":0}", 422, "invalid_value", "/epochs"},
        {TRAIN FOR PROBLEMS ",\"validate_every\":0}", 422, "invalid_value", "/validate_every"},
        {TRAIN FOR PROBLEMS ",\"validation_functions\":0}", 422, "invalid_value",
         "/validation_functions"},
        {TRAIN FOR PROBLEMS ",\"patience\":-1}", 422, "invalid_value", "/patience"},
        {TRAIN FOR PROBLEMS ",\"seed\":\"1\"}", 422, "invalid_value", "/seed"},
        {TRAIN FOR PROBLEMS ",\"algorithm\":\"es\"}", 422, "invalid_value", "/algorithm"},
        {EVALUATE BASELINES "\"problem\":" PROBLEM ",\"epochs\":3}", 422, "unknown_field",
         "/epochs"},
        {EVALUATE "\"problem\":" PROBLEM "}", 422, "missing_field", "/optimizers"},
        {EVALUATE "\"baselines\":[\"adam\"]}", 422, "missing_field", "/problem"},
        {EVALUATE BASELINES "\"problem\":{\"type\":\"x\"}}", 422, "invalid_value", "/problem/type"},
        {EVALUATE "\"optimizers\":[\"adam\",\"nobody\"],\"problem\":" PROBLEM "}", 404, "not_found",
         "/optimizers/1"},
        {EVALUATE "\"optimizers\":[\"empty\"],\"problem\":" PROBLEM "}", 409, "no_version",
         "/optimizers/0"},
        {EVALUATE "\"baselines\":[\"lstm\"],\"problem\":" PROBLEM "}", 422, "invalid_value",
         "/baselines/0"},
        {EVALUATE BASELINES "\"problem\":" PROBLEM ",\"functions\":0}", 422, "invalid_value",
         "/functions"},
        {EVALUATE BASELINES "\"problem\":" PROBLEM ",\"tuning\":{\"learning_rates\":1}}", 422,
         "invalid_value", "/tuning/learning_rates"},
    };

    (void)state;
    json_decref(ask("POST", "/v1/optimizers", "{\"name\":\"empty\",\"family\":\"lstm\"}", 201));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        refuse_job(rows[i].body, rows[i].status, rows[i].code, rows[i].pointer);
    refuse("GET", "/v1/optimizers/other", NULL, 404, "not_found"); /* none of them made it */
}

/* --- events --- */

static void event_path(char path[160], const json_t *job, const char *query)
{
    char rest[144];

    snprintf(rest, sizeof rest, "/events%s", query);
    path_of(path, job, rest);
}

/* From its beginning to its end, as it happens. */
static void test_followed(void **state)
{
    struct follower follower;
    struct follower_event event;
    char path[160], last[2048] = "";
    int metrics = 0, states = 0, done = 0;

    (void)state;
    json_t *job = submit("{" TRAINING ",\"optimizer\":\"mine\",\"epochs\":1000}");
    event_path(path, job, "");
    follower_open(&follower, server.port, path, "", WIRE_WIDE);
    for (long id = 1; follower_next(&follower, &event); id++) {
        assert_int_equal(event.id, id);
        json_t *const data = json_loads(event.data, 0, NULL);
        assert_non_null(data);
        metrics += strcmp(event.kind, "metric") == 0;
        states += strcmp(event.kind, "state") == 0;
        done += strcmp(event.kind, "done") == 0;
        if (strcmp(event.kind, "metric") == 0)
            assert_int_equal(whole(data, "epoch"), metrics * 50);
        if (strcmp(event.kind, "progress") == 0)
            assert_int_equal(whole(data, "epochs"), 1000);
        json_decref(data);
        strcpy(last, event.kind);
    }
    follower_close(&follower);
    assert_int_equal(metrics, 20);
    assert_int_equal(states, 3);
    assert_int_equal(done, 1);
    assert_string_equal(last, "done");
    discard(await_end(job));
}

static void expect_first(const char *path, const char *headers, long id)
{
    struct follower follower;
    struct follower_event event;

    follower_open(&follower, server.port, path, headers, WIRE_WIDE);
    assert_true(follower_next(&follower, &event));
    assert_int_equal(event.id, id);
    follower_close(&follower);
}

static void refuse_events(const char *path, const char *headers, int status, const char *code)
{
    client_refused(&client, &(struct asked) {.method = "GET", .path = path, .headers = headers},
                   status, code);
}

static void test_events(void **state)
{
    char path[160];

    (void)state;
    json_t *const job = await_end(submit(short_training));
    event_path(path, job, "");
    expect_first(path, "", 1);
    expect_first(path, "Accept: text/event-stream\r\n", 1);
    expect_first(path, "Last-Event-ID: 3\r\n", 4);
    refuse_events(path, "Last-Event-ID: x\r\n", 400, "malformed_header");
    refuse_events(path, "Accept: image/png\r\n", 406, "not_acceptable");
    event_path(path, job, "?after=2");
    expect_first(path, "", 3);
    expect_first(path, "Last-Event-ID: 4\r\n", 5); /* a browser that connects again */

    /* As pages: the same events. */
    struct follower follower;
    struct follower_event event;
    char token[64] = "";
    event_path(path, job, "");
    follower_open(&follower, server.port, path, "", WIRE_WIDE);
    do {
        char query[128];
        snprintf(query, sizeof query, "?page_size=3&page_token=%s", token);
        event_path(path, job, query);
        const struct wire_reply reply = client_ask(
            &client, &(struct asked) {
                         .method = "GET", .path = path, .headers = "Accept: application/json\r\n"});
        assert_int_equal(reply.status, 200);
        json_t *const page = json_loadb(reply.body, reply.len, 0, NULL);
        const json_t *const items = json_object_get(page, "items");
        assert_true(json_array_size(items) <= 3);
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *const item = json_array_get(items, i);
            assert_true(follower_next(&follower, &event));
            assert_int_equal(whole(item, "id"), event.id);
            assert_string_equal(text(item, "event"), event.kind);
            json_t *const data = json_loads(event.data, 0, NULL);
            assert_true(json_equal(data, json_object_get(item, "data")));
            json_decref(data);
        }
        snprintf(token, sizeof token, "%s", text(page, "next_page_token"));
        json_decref(page);
    } while (token[0]);
    assert_false(follower_next(&follower, &event));
    follower_close(&follower);
    event_path(path, job, "?after=x");
    json_decref(ask("GET", path, NULL, 422));
    discard(job);
}

/* One more client than may: the others go on. */
static void test_too_many_followers(void **state)
{
    static struct follower follower[LIMIT_WATCHERS];
    struct follower_event event;
    char path[160];

    (void)state;
    json_t *job = act(submit("{" TRAINING FOREVER ",\"optimizer\":\"mine\"}"), "/pause", 200);
    event_path(path, job, "");
    for (int i = 0; i < LIMIT_WATCHERS; i++)
        follower_open(&follower[i], server.port, path, "", WIRE_WIDE);
    refuse_events(path, NULL, 503, "overloaded");
    job = act(job, "/cancel", 200);
    for (int i = 0; i < LIMIT_WATCHERS; i++) {
        bool done = false;
        while (follower_next(&follower[i], &event))
            done = strcmp(event.kind, "done") == 0;
        assert_true(done);
        follower_close(&follower[i]);
    }
    discard(job);
}

/* A server that stops ends what clients follow, and the job goes on in the next one. */
static void test_stopped(void **state)
{
    static const char *const flags[] = {"--jobs", "1", NULL};
    struct served other = {.flags = flags};
    struct follower follower;
    struct follower_event event;
    char path[160], reply[4096];

    (void)state;
    assert_true(served_start(&other));
    assert_int_equal(served_ask(&other, "POST", JOBS,
                                "{" TRAINING FOREVER ",\"optimizer\":\"mine\"}", reply,
                                sizeof reply),
                     202);
    json_t *const job = json_loads(reply, 0, NULL);
    event_path(path, job, "");
    follower_open(&follower, other.port, path, "", WIRE_WIDE);
    do
        assert_true(follower_next(&follower, &event));
    while (strcmp(event.kind, "progress") != 0);
    assert_true(served_stop(&other));
    while (follower_next(&follower, &event))
        assert_true(strcmp(event.kind, "done") != 0);
    follower_close(&follower);
    json_decref(job);
}

/* As many unfinished jobs as may be, on a server that does none. */
static void test_quota(void **state)
{
    static const char *const flags[] = {"--jobs", "0", NULL};
    static const char body[] = "{" TRAINING ",\"optimizer\":\"mine\"}";
    struct served idle = {.flags = flags};
    struct client filler;

    (void)state;
    assert_true(served_start(&idle));
    client_open(&filler, &idle);
    for (int i = 0; i < LIMIT_JOBS_UNFINISHED; i++) {
        json_t *const job = client_json(&filler, "POST", JOBS, body, 202);
        expect_state(job, "queued");
        json_decref(job);
    }
    client_refused(&filler,
                   &(struct asked) {.method = "POST",
                                    .path = JOBS,
                                    .type = "application/json",
                                    .body = body,
                                    .len = strlen(body)},
                   429, "quota_exceeded");
    client_close(&filler);
    assert_true(served_stop(&idle));
}

static void test_metrics(void **state)
{
    static char body[1 << 18];

    (void)state;
    assert_int_equal(served_ask(&server, "GET", "/metrics", NULL, body, sizeof body), 200);
    assert_non_null(strstr(body, "\ndescent_jobs{state=\"running\"} 0\n"));
    const char *const epochs = strstr(body, "\ndescent_job_epochs_total ");
    assert_non_null(epochs);
    assert_true(atof(epochs + strlen("\ndescent_job_epochs_total ")) > 1000);
    assert_non_null(strstr(body, "\ndescent_job_followers 0\n"));
    assert_non_null(strstr(body, "\ndescent_job_work_seconds_total "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_training),
        cmocka_unit_test(test_same_bits_as_the_command),
        cmocka_unit_test(test_on_a_dataset),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_too_many_followers),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_followed),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_quota),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
