/* test_crash_life.c -- kills while things begin, start over and end
 *
 * First, kills spread evenly over the time that a first start takes: migrations and built-in
 * optimizers. The next start must come up with all of them.
 *
 * Then four clients go round and round: create an optimizer, import weights, begin a session, take
 * two steps, reset, take one again, delete the session, the version's optimizer. The server is
 * killed while a request of a chosen kind is in flight, each kind in turn. What was acknowledged
 * must be there afterwards; the one in flight is whole or absent, and the client continues from
 * what it finds. Weights come back byte for byte, updates are the undisturbed run's bits.
 *
 * The two databases share no transaction, so a deletion may leave rows in the bulk one; after a
 * kill those must be known to table `erasure`, and after the next start there must be none. */
#include "server/probe.h"
#include "server/safetensors.h"
#include "tests/support/calm.h"
#include "tests/support/disk.h"
#include "tests/support/served.h"
#include "tests/support/wire.h"
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 4, COORDINATES = 20000, MOMENT_SECONDS = 60 };

/* A client's next request; also, what it has: everything of the kinds before. */
enum deed { CREATE, IMPORT, BEGIN, STEP, STEP_ON, RESET, STEP_AGAIN, END, REMOVE, DEEDS };

static const char *const deed_words[DEEDS] = {
    "create optimizer", "import weights", "create session",   "step 0", "step 1", "reset",
    "step 0 again",     "delete session", "delete optimizer",
};

/* Steps that the session has taken before each deed; -1: there is no session. */
static const int steps_before[DEEDS + 1] = {-1, -1, -1, 0, 1, 2, 0, 1, -1, -1};

struct client {
    struct stage *stage;
    int index, round; /* the round names the optimizer */
    enum deed next;
    char id[40];
    struct calm calm;
    struct wire wire;
    atomic_int in_flight; /* the deed, or DEEDS */
    atomic_bool over;     /* it goes no further: something is wrong, or the server is dead */
    pthread_t thread;
    char fault[256];
};

struct stage {
    struct served server;
    struct buf *file;
    char probe_path[64];
    struct probe *probe;
    dsc_model *model;
    struct client client[CLIENTS];
    atomic_bool killed;
    int kills, met[DEEDS], garbage;
};

static struct stage stage; /* cmocka's fixtures take no argument */

/* --- what a client asks --- */

static bool fault(struct client *client, const char *fmt, ...) DSC_PRINTF(2, 3);

static bool fault(struct client *client, const char *fmt, ...)
{
    va_list args;

    if (client->fault[0])
        return false;
    int len = snprintf(client->fault, sizeof client->fault,
                       "client %d, round %d, before \"%s\": ", client->index, client->round,
                       client->next < DEEDS ? deed_words[client->next] : "the next round");
    va_start(args, fmt);
    vsnprintf(client->fault + len, sizeof client->fault - (size_t)len, fmt, args);
    va_end(args);
    return false;
}

static bool ask(struct client *client, const char *method, const char *path, const char *headers,
                const void *body, size_t len, struct wire_reply *reply)
{
    char head[512];
    int head_len = snprintf(head, sizeof head,
                            "%s %s HTTP/1.1\r\nHost: t\r\n%s\r\nContent-Length: %zu\r\n\r\n",
                            method, path, headers, len);

    return (wire_send(&client->wire, head, (size_t)head_len) &&
            wire_send(&client->wire, body, len) && wire_read(&client->wire, reply)) ||
           (atomic_load(&client->stage->killed) ? false : fault(client, "the server hung up"));
}

static bool ask_json(struct client *client, const char *method, const char *path, const char *body,
                     struct wire_reply *reply)
{
    return ask(client, method, path, "Content-Type: application/json", body,
               body ? strlen(body) : 0, reply);
}

static bool expect(struct client *client, const struct wire_reply *reply, int status)
{
    return reply->status == status || fault(client, "%d %.120s", reply->status, reply->body);
}

static void optimizer_name(const struct client *client, char name[64])
{
    snprintf(name, 64, "life-%d-%d", client->index, client->round);
}

/* A text or number out of a JSON body; the root is borrowed to the caller for a moment. */
static json_int_t number_in(const struct wire_reply *reply, const char *name)
{
    json_t *root = json_loadb(reply->body, reply->len, 0, NULL);
    json_t *value = json_object_get(root, name);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;

    json_decref(root);
    return number;
}

static bool take_id(struct client *client, const char *body, size_t len)
{
    json_t *root = json_loadb(body, len, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "id"));

    snprintf(client->id, sizeof client->id, "%s", id ? id : "");
    json_decref(root);
    return client->id[0] || fault(client, "a session without an id");
}

/* --- the deeds --- */

static bool create(struct client *client, struct wire_reply *reply)
{
    char name[64], body[128];

    optimizer_name(client, name);
    snprintf(body, sizeof body, "{\"name\":\"%s\",\"family\":\"lstm\"}", name);
    return ask_json(client, "POST", "/v1/optimizers", body, reply) && expect(client, reply, 201);
}

static bool import(struct client *client, struct wire_reply *reply)
{
    const struct buf *file = client->stage->file;
    char name[64], path[128];

    optimizer_name(client, name);
    snprintf(path, sizeof path, "/v1/optimizers/%s/versions", name);
    return ask(client, "POST", path, "Content-Type: application/x-safetensors", file->data,
               file->len, reply) &&
           expect(client, reply, 201);
}

static bool begin(struct client *client, struct wire_reply *reply)
{
    char name[64], body[256];

    optimizer_name(client, name);
    snprintf(body, sizeof body, "{\"optimizer\":\"%s\",\"coordinates\":%d,\"durability\":\"%s\"}",
             name, COORDINATES, client->index % 2 ? "relaxed" : "strict");
    return ask_json(client, "POST", "/v1/sessions", body, reply) && expect(client, reply, 201) &&
           take_id(client, reply->body, reply->len);
}

/* The session takes its next step, or repeats it when the kill came after it had been taken. */
static bool step(struct client *client, struct wire_reply *reply)
{
    struct calm *calm = &client->calm;
    char path[128], headers[128];
    uint64_t t = (uint64_t)steps_before[client->next];
    const size_t bytes = COORDINATES * sizeof(float);

    snprintf(path, sizeof path, "/v1/sessions/%s/update", client->id);
    snprintf(headers, sizeof headers,
             "Content-Type: application/octet-stream\r\nDescent-Step: %" PRIu64, t);
    if (t == 0)
        dsc_run_reset(calm->run);
    const float *want = calm_update(calm, t);
    return ask(client, "POST", path, headers, calm_gradient(calm, t), bytes, reply) &&
           expect(client, reply, 200) &&
           ((reply->step == t + 1 && reply->len == bytes &&
             memcmp(reply->body, want, bytes) == 0) ||
            fault(client, "the update is not the undisturbed run's"));
}

static bool reset(struct client *client, struct wire_reply *reply)
{
    char path[128];

    snprintf(path, sizeof path, "/v1/sessions/%s/reset", client->id);
    return ask_json(client, "POST", path, NULL, reply) && expect(client, reply, 200);
}

static bool end(struct client *client, struct wire_reply *reply)
{
    char path[128];

    snprintf(path, sizeof path, "/v1/sessions/%s", client->id);
    return ask_json(client, "DELETE", path, NULL, reply) && expect(client, reply, 204);
}

static bool drop_optimizer(struct client *client, struct wire_reply *reply)
{
    char name[64], path[128];

    optimizer_name(client, name);
    snprintf(path, sizeof path, "/v1/optimizers/%s", name);
    return ask_json(client, "DELETE", path, NULL, reply) && expect(client, reply, 204);
}

static bool (*const deeds[DEEDS])(struct client *client, struct wire_reply *reply) = {
    create, import, begin, step, step, reset, step, end, drop_optimizer,
};

/* --- what a client finds after a kill --- */

/* *version: the newest of the client's optimizer, 0 when it has none, -1 when there is no
 * optimizer. */
static bool find_optimizer(struct client *client, json_int_t *version)
{
    char name[64], path[128];
    struct wire_reply reply;

    optimizer_name(client, name);
    snprintf(path, sizeof path, "/v1/optimizers/%s", name);
    if (!ask_json(client, "GET", path, NULL, &reply))
        return false;
    if (reply.status == 404) {
        *version = -1;
        return true;
    }
    *version = number_in(&reply, "latest_version");
    if (*version < 0)
        *version = 0;
    return expect(client, &reply, 200);
}

static bool check_weights(struct client *client)
{
    const struct buf *file = client->stage->file;
    char name[64], path[128];
    struct wire_reply reply;

    optimizer_name(client, name);
    snprintf(path, sizeof path, "/v1/optimizers/%s/versions/1/weights", name);
    return ask_json(client, "GET", path, NULL, &reply) && expect(client, &reply, 200) &&
           ((reply.len == file->len && memcmp(reply.body, file->data, file->len) == 0) ||
            fault(client, "the weights are not those imported"));
}

/* The session of the client's optimizer, out of the list: *steps, or -1 when there is none. Its id
 * is learned here when the kill came before the answer that told it. */
static bool find_session(struct client *client, int *steps)
{
    char reference[80], name[64];
    struct wire_reply reply;
    size_t i;
    json_t *item;

    *steps = -1;
    optimizer_name(client, name);
    snprintf(reference, sizeof reference, "%s:1", name);
    if (!ask_json(client, "GET", "/v1/sessions", NULL, &reply) || !expect(client, &reply, 200))
        return false;
    json_t *root = json_loadb(reply.body, reply.len, 0, NULL);
    json_array_foreach(json_object_get(root, "items"), i, item)
    {
        const char *of = json_string_value(json_object_get(item, "optimizer"));
        if (!of || strcmp(of, reference) != 0)
            continue;
        *steps = (int)json_integer_value(json_object_get(item, "step"));
        snprintf(client->id, sizeof client->id, "%s",
                 json_string_value(json_object_get(item, "id")));
    }
    json_decref(root);
    return true;
}

/* Is what is there what `next` would find? */
static bool fits(enum deed next, json_int_t version, int steps)
{
    const json_int_t want = next == CREATE || next == DEEDS ? -1 : next == IMPORT ? 0 : 1;

    return version == want && steps == steps_before[next];
}

/* Either everything is as it was before the deed in flight, or as after it. */
static bool look_around(struct client *client)
{
    json_int_t version = -1;
    int steps = -1;
    const enum deed cut = (enum deed)atomic_load(&client->in_flight);

    if (!find_optimizer(client, &version) || !find_session(client, &steps))
        return false;
    if (version == 1 && !check_weights(client))
        return false;
    if (fits(client->next, version, steps))
        return true;
    if (cut != client->next || !fits(client->next + 1, version, steps))
        return fault(client, "found version %d and step %d", (int)version, steps);
    if (deeds[cut] == step)
        return true; /* the same step again: it is answered as before */
    client->next++;
    return true;
}

static void *play(void *arg)
{
    struct client *client = arg;
    struct wire_reply reply;
    bool alive =
        wire_open(&client->wire, client->stage->server.port, WIRE_WIDE) && look_around(client);

    while (alive) {
        if (client->next == DEEDS) {
            client->next = CREATE;
            client->round++;
        }
        atomic_store(&client->in_flight, (int)client->next);
        alive = deeds[client->next](client, &reply);
        if (alive) {
            atomic_store(&client->in_flight, DEEDS);
            client->next++;
        }
    }
    atomic_store(&client->over, true);
    wire_close(&client->wire);
    return NULL;
}

/* --- the kills --- */

static uint64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A client has the deed in flight, and the server has a request in its hands. */
static bool met(const struct stage *s, enum deed deed)
{
    for (int i = 0; i < CLIENTS; i++)
        if (atomic_load(&s->client[i].in_flight) == (int)deed)
            return atomic_load(&s->probe->gauge[PROBE_COMPUTE]) > 0;
    return false;
}

static bool anybody_wrong(const struct stage *s)
{
    for (int i = 0; i < CLIENTS; i++)
        if (atomic_load(&s->client[i].over))
            return true;
    return false;
}

/* `lag` looks later than the first that meets it, so that kills do not all come at its beginning.
 */
static void wait_for(const struct stage *s, enum deed deed, unsigned lag)
{
    const uint64_t end_us = now_us() + UINT64_C(1000000) * MOMENT_SECONDS;

    while (now_us() < end_us && !anybody_wrong(s) && !(met(s, deed) && lag-- == 0))
        sched_yield();
}

static int64_t orphans(const struct stage *s, const char *unless)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT DISTINCT session FROM bulk.gradient UNION SELECT "
             "DISTINCT session"
             " FROM bulk.chunk) WHERE session NOT IN (SELECT seq FROM main.session)%s",
             unless);
    return disk_number(s->server.dir, sql);
}

static void check_disk(struct stage *s)
{
    assert_true(disk_sound(s->server.dir));
    assert_int_equal(orphans(s, " AND session NOT IN (SELECT session FROM main.erasure)"), 0);
    s->garbage += disk_number(s->server.dir, "SELECT count(*) FROM erasure") > 0;
}

static void report_faults(const struct stage *s)
{
    int faults = 0;

    for (int i = 0; i < CLIENTS; i++)
        if (s->client[i].fault[0]) {
            print_error("kill %d: %s\n", s->kills, s->client[i].fault);
            faults++;
        }
    assert_int_equal(faults, 0);
}

static void kill_at(struct stage *s, enum deed deed)
{
    assert_true(served_start(&s->server));
    atomic_store(&s->killed, false);
    for (int i = 0; i < CLIENTS; i++) {
        atomic_store(&s->client[i].over, false);
        assert_int_equal(pthread_create(&s->client[i].thread, NULL, play, &s->client[i]), 0);
    }
    wait_for(s, deed, (unsigned)s->kills * 5 % 16);
    atomic_store(&s->killed, true);
    assert_true(served_kill(&s->server));
    s->kills++;
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(s->client[i].thread, NULL);
        s->met[atomic_load(&s->client[i].in_flight) % DEEDS] +=
            atomic_load(&s->client[i].in_flight) < DEEDS;
    }
    report_faults(s);
    check_disk(s);
}

/* Kills at each deed; DESCENT_CRASH_KILLS, 200 by default, scales them. */
static int kills_each(void)
{
    const char *text = getenv("DESCENT_CRASH_KILLS");
    const int each = (text ? atoi(text) : 200) / 20;

    return each < 2 ? 2 : each;
}

static void test_whole_or_absent(void **state)
{
    struct stage *s = &stage;

    (void)state;
    for (int i = 0; i < kills_each() * DEEDS; i++)
        kill_at(s, (enum deed)(i % DEEDS));
    for (int i = 0; i < DEEDS; i++) /* a client may be quicker than the kill: then once more */
        for (int more = 0; more < kills_each() && s->met[i] < kills_each() / 2; more++)
            kill_at(s, (enum deed)i);
    print_message(
        "crash: %d kills of %d clients; %d left rows of a deleted session for the next start\n",
        s->kills, CLIENTS, s->garbage);
    for (int i = 0; i < DEEDS; i++)
        print_message("crash: %-16s cut off %d times, at least %d\n", deed_words[i], s->met[i],
                      kills_each() / 2);
    for (int i = 0; i < DEEDS; i++)
        assert_true(s->met[i] >= kills_each() / 2);
    assert_true(served_start(&s->server) && served_kill(&s->server));
    assert_int_equal(orphans(s, ""), 0);
    assert_int_equal(disk_number(s->server.dir, "SELECT count(*) FROM erasure"), 0);
}

/* --- the first start --- */

/* 40 by default. */
static int starts(void)
{
    return 4 * kills_each();
}

/* Begin a first start and kill it `after_us` later; the folder is left as it is. */
static void kill_in_start(struct served *server, uint64_t after_us)
{
    const char *program = getenv("DESCENT_BIN");

    strcpy(server->dir, "/tmp/descent-test-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    const uint64_t began = now_us();
    const pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
            _exit(126);
        program = program ? program : "build/descent";
        execl(program, program, "serve", "--listen", "127.0.0.1:0", "--data", server->dir,
              (char *)NULL);
        _exit(127);
    }
    while (now_us() - began < after_us)
        sched_yield();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Every hand-designed family is there, with its first version. */
static void check_builtins(const struct served *server)
{
    char path[128], reply[4096];

    for (size_t i = 0; dsc_families[i]; i++) {
        if (dsc_families[i]->phi_layout)
            continue;
        snprintf(path, sizeof path, "/v1/optimizers/%s/versions/1", dsc_families[i]->name);
        assert_int_equal(served_ask(server, "GET", path, NULL, reply, sizeof reply), 200);
    }
}

static void test_a_first_start_cut_off(void **state)
{
    struct served whole = {0};
    const uint64_t began = now_us();
    int unfinished = 0;

    (void)state;
    assert_true(served_start(&whole));
    const uint64_t took_us = now_us() - began;
    assert_true(served_stop(&whole));
    for (int i = 0; i < starts(); i++) {
        struct served server = {0};
        char path[128];
        kill_in_start(&server, took_us * (uint64_t)i / (uint64_t)starts());
        snprintf(path, sizeof path, "%s/bulk.db", server.dir);
        unfinished += access(path, F_OK) != 0 ||
                      disk_number(server.dir,
                                  "SELECT count(*) FROM sqlite_schema WHERE name = 'session'") != 1;
        assert_true(served_start(&server));
        check_builtins(&server);
        assert_true(served_kill(&server) && disk_sound(server.dir));
        assert_true(served_start(&server) && served_stop(&server));
    }
    print_message(
        "crash: %d first starts of %.0f ms cut off, %d before their databases were made\n",
        starts(), (double)took_us / 1e3, unfinished);
}

/* --- life --- */

static bool make_model(dsc_model **out)
{
    const dsc_family *family = dsc_family_find("lstm");
    dsc_layout layout = {0};
    dsc_hyper hyper;
    dsc_rng rng = dsc_rng_at(4, 5, 6);

    dsc_hyper_init(&hyper, family->hyper);
    family->phi_layout(&layout, &hyper);
    float *phi = malloc(layout.len * sizeof *phi);
    for (size_t i = 0; phi && i < layout.len; i++)
        phi[i] = (float)(dsc_rng_uniform(&rng) - 0.5);
    bool ok = phi && dsc_model_new(out, family, &hyper, phi, NULL, NULL);
    free(phi);
    return ok;
}

static int start(void **state)
{
    struct stage *s = &stage;

    (void)state;
    strcpy(s->probe_path, "/tmp/descent-probe-XXXXXX");
    int fd = mkstemp(s->probe_path);
    if (fd < 0 || close(fd) != 0 || !probe_open(&s->probe, s->probe_path, NULL) ||
        setenv("DESCENT_PROBE", s->probe_path, 1) != 0 || !make_model(&s->model) ||
        !safetensors_export(&s->file, s->model, NULL))
        return -1;
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &s->client[i];
        *client = (struct client) {.stage = s, .index = i, .in_flight = DEEDS, .wire = {.fd = -1}};
        if (!calm_init(&client->calm, s->model, COORDINATES, (uint64_t)i, VECTOR_F32))
            return -1;
    }
    return 0;
}

static int stop(void **state)
{
    struct stage *s = &stage;

    (void)state;
    bool ended = served_start(&s->server) && served_stop(&s->server);
    for (int i = 0; i < CLIENTS; i++)
        calm_release(&s->client[i].calm);
    dsc_model_drop(s->model);
    buf_drop(s->file);
    probe_close(s->probe);
    unlink(s->probe_path);
    return ended ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_start_cut_off),
        cmocka_unit_test(test_whole_or_absent),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
