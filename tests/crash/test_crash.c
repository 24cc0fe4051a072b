/* test_crash.c -- a server killed 200 times continues as if nothing had happened
 *
 * A round is one life of the server. Ten clients, a thread and a keep-alive connection each, take
 * steps of their own sessions: three families, 3 to 60,000 coordinates, each durability, JSON and
 * two binary formats. When each has got on, the round aims at a phase (receive, compute, commit,
 * reply, in turn), waits on the server's gauges (probe.h) until a request is in it and at least
 * four are in flight, and kills with -9. The gauges outlive the process: where the kill landed is
 * read from them afterwards, and a kill that met fewer than four requests is repeated.
 *
 * Two phases are helped. Aimed at receive, four clients stop in the middle of a body; aimed at
 * reply, those with long vectors stop reading, over connections that hold little, so that the rest
 * of the reply stays with the server. Every fourth round kills while sessions are still being
 * loaded.
 *
 * In the next round each client finds out what became of its session:
 *
 *     an answered step is there, and one that was not sent whole is not
 *     the one in flight was either taken or not: sent again, it gives the same update, and says
 * which it was after every fourth kill, the last step taken is sent again: replayed, the same bits
 *     a `memory` session is 404
 *
 * and every update, of every round, is compared bit for bit with a run that was never disturbed
 * (calm.h). Before every fourth restart, and at the end, both databases pass integrity_check.
 *
 * DESCENT_CRASH_KILLS (200) is for slow builds; the least for each phase, a tenth, shrinks with it.
 * No sleeps: waits are for a gauge or a semaphore, with a deadline. */
#include "server/fault.h"
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
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 11, IN_FLIGHT_MIN = 4, STEPS_A_ROUND = 2, HOLDERS = 4 };
enum { READY_SECONDS = 60, MOMENT_SECONDS = 10, SOUND_EVERY = 4 };

enum format { JSON, F32, BF16 };

/* One optimization; the long ones are cut into many chunks. */
static const struct plan {
    const char *optimizer;
    size_t n;
    const char *durability;
    enum format format;
} plans[CLIENTS] = {
    {"crash-adam", 3, "strict", JSON},     {"sgd", 10, "relaxed", F32},
    {"crash-lstm", 60000, "strict", F32},  {"crash-adam", 60000, "strict", F32},
    {"crash-lstm", 5000, "relaxed", JSON}, {"crash-adam", 40001, "relaxed", BF16},
    {"crash-lstm", 1000, "strict", BF16},  {"sgd", 30000, "strict", JSON},
    {"crash-adam", 100, "memory", F32},    {"crash-lstm", 3, "relaxed", F32},
    {"crash-lbfgs", 20000, "strict", F32},
};

enum { LONG_VECTOR = 30000 };

struct fleet;

struct client {
    struct fleet *fleet;
    const struct plan *plan;
    int index;
    char id[40]; /* "" before the session is made */
    struct calm calm;
    uint64_t answered; /* steps whose answer has been read whole */
    bool whole;        /* the step after those has been sent whole, perhaps in an earlier round */
    bool posted;       /* ready, in this round */
    atomic_bool in_flight; /* sent in part at least, answer not read */
    struct wire wire;
    char *body;  /* of a request */
    float *read; /* [n] an update out of JSON, or its bytes */
    pthread_t thread;
    char fault[256]; /* the first thing that was wrong, "" so far */
};

struct fleet {
    struct served server;
    char probe_path[64];
    struct probe *probe;
    dsc_model *lstm, *adam, *sgd, *lbfgs;
    struct client client[CLIENTS];
    int round, kills, replays;
    bool replay;                                 /* this round begins with the last step again */
    int landed[PROBE_PHASES], hit[PROBE_PHASES]; /* all kills; those aimed there */
    sem_t ready;
    atomic_int aim; /* a phase; PROBE_NONE: just take steps */
    atomic_bool killed;
    pthread_mutex_t lock;
    pthread_cond_t death;
};

static const char *const phase_words[] = {
    [PROBE_RECEIVE] = "receive",
    [PROBE_COMPUTE] = "compute",
    [PROBE_COMMIT] = "commit",
    [PROBE_REPLY] = "reply",
};

static const enum probe_phase aims[] = {PROBE_RECEIVE, PROBE_COMPUTE, PROBE_COMMIT, PROBE_REPLY};

static struct fleet fleet; /* cmocka's fixtures take no argument */

/* --- faults, found on a client's thread and reported when it has ended --- */

static bool fault(struct client *client, const char *fmt, ...) DSC_PRINTF(2, 3);

static bool fault(struct client *client, const char *fmt, ...)
{
    va_list args;

    if (client->fault[0])
        return false;
    int len = snprintf(client->fault, sizeof client->fault,
                       "%s, %zu coordinates, %s, step %" PRIu64 ": ", client->plan->optimizer,
                       client->plan->n, client->plan->durability, client->answered);
    va_start(args, fmt);
    vsnprintf(client->fault + len, sizeof client->fault - (size_t)len, fmt, args);
    va_end(args);
    return false;
}

/* The connection ended: what we are here for, unless nobody killed the server. */
static bool gone(struct client *client, const char *when)
{
    return atomic_load(&client->fleet->killed) ? false
                                               : fault(client, "the server hung up %s", when);
}

/* --- requests --- */

static bool ask(struct client *client, const char *method, const char *path, const char *body,
                struct wire_reply *reply)
{
    char head[512];
    size_t len = body ? strlen(body) : 0;
    int head_len = snprintf(head, sizeof head,
                            "%s %s HTTP/1.1\r\nHost: t\r\nContent-Type: "
                            "application/json\r\nContent-Length: %zu\r\n\r\n",
                            method, path, len);

    return (wire_send(&client->wire, head, (size_t)head_len) &&
            wire_send(&client->wire, body, len) && wire_read(&client->wire, reply)) ||
           gone(client, "before an answer");
}

/* The body of step t, and its length. */
static size_t write_body(struct client *client, uint64_t t)
{
    struct calm *calm = &client->calm;
    const float *gradient = calm_gradient(calm, t);

    if (client->plan->format != JSON) {
        vector_to_bytes(client->body, gradient, calm->n, calm->dtype);
        return calm->n * vector_dtype_bytes(calm->dtype);
    }
    size_t len = (size_t)sprintf(client->body, "{\"step\":%" PRIu64 ",\"gradient\":", t);
    len += vector_write(client->body + len, gradient, calm->n);
    client->body[len++] = '}';
    return len;
}

enum portion { WHOLE, HALF };

/* Send step t: all of it, or only the first half of its body. */
static bool send_step(struct client *client, uint64_t t, enum portion portion)
{
    char head[512];
    size_t len = write_body(client, t);
    int head_len = snprintf(
        head, sizeof head,
        "POST /v1/sessions/%s/update HTTP/1.1\r\nHost: t\r\nContent-Type: %s\r\nDescent-Step: "
        "%" PRIu64 "\r\nDescent-Dtype: %s\r\nContent-Length: %zu\r\n\r\n",
        client->id, client->plan->format == JSON ? "application/json" : "application/octet-stream",
        t, vector_dtypes[client->calm.dtype], len);

    atomic_store(&client->in_flight, true);
    if (!wire_send(&client->wire, head, (size_t)head_len) ||
        !wire_send(&client->wire, client->body, portion == WHOLE ? len : len / 2))
        return gone(client, "while it was sent a request");
    client->whole |= portion == WHOLE;
    return true;
}

/* --- answers --- */

/* The members beside the update; vector_extract has emptied its array. */
static bool check_members(struct client *client, const struct wire_reply *reply, size_t len)
{
    json_t *root = json_loadb(reply->body, len, 0, NULL);
    bool ok = json_integer_value(json_object_get(root, "step")) == (json_int_t)reply->step &&
              json_is_true(json_object_get(root, "replayed")) == reply->replayed;

    json_decref(root);
    return ok || fault(client, "the answer's members do not agree with its headers");
}

/* The update's bytes in the format of the answer: what came, and what should have. */
static bool same_update(struct client *client, uint64_t t, const struct wire_reply *reply)
{
    struct calm *calm = &client->calm;
    const float *want = calm_update(calm, t);
    size_t bytes = calm->n * vector_dtype_bytes(calm->dtype), len = reply->len, count = 0;
    bool found = false;

    if (client->plan->format == JSON)
        return (vector_extract(reply->body, &len, "update", client->read, calm->n, &count, &found,
                               NULL) &&
                count == calm->n && memcmp(client->read, want, bytes) == 0 &&
                check_members(client, reply, len)) ||
               fault(client, "the update is not the undisturbed run's");
    vector_to_bytes(client->read, want, calm->n, calm->dtype);
    return (reply->len == bytes && memcmp(client->read, reply->body, bytes) == 0) ||
           fault(client, "the update is not the undisturbed run's");
}

static bool check_answer(struct client *client, uint64_t t, bool replayed)
{
    struct wire_reply reply;

    if (!wire_read(&client->wire, &reply))
        return gone(client, "in an answer");
    if (reply.status != 200)
        return fault(client, "%d %.120s", reply.status, reply.body);
    if (reply.step != t + 1 || reply.replayed != replayed)
        return fault(client,
                     "answered step %" PRIu64 ", replayed %d, where %" PRIu64 ", %d was due",
                     reply.step, reply.replayed, t + 1, replayed);
    if (!same_update(client, t, &reply))
        return false;
    client->answered = t + 1;
    client->whole = false;
    atomic_store(&client->in_flight, false);
    return true;
}

/* --- a client's round --- */

static void wait_for_death(struct fleet *f)
{
    pthread_mutex_lock(&f->lock);
    while (!atomic_load(&f->killed))
        pthread_cond_wait(&f->death, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

/* Take the step that is due; the kill may meet it anywhere. */
static bool step_once(struct client *client, bool replayed)
{
    struct fleet *f = client->fleet;
    enum probe_phase aim = (enum probe_phase)atomic_load(&f->aim);
    bool half = aim == PROBE_RECEIVE && (client->index + f->round) % CLIENTS < HOLDERS;
    bool deaf = aim == PROBE_REPLY && client->plan->n >= LONG_VECTOR;

    if (!send_step(client, client->answered, half ? HALF : WHOLE))
        return false;
    if (half || deaf)
        wait_for_death(f);
    return check_answer(client, client->answered, replayed);
}

static bool create(struct client *client)
{
    char body[256];
    struct wire_reply reply;

    snprintf(body, sizeof body, "{\"optimizer\":\"%s\",\"coordinates\":%zu,\"durability\":\"%s\"}",
             client->plan->optimizer, client->plan->n, client->plan->durability);
    if (!ask(client, "POST", "/v1/sessions", body, &reply))
        return false;
    json_t *root = json_loadb(reply.body, reply.len, 0, NULL);
    const char *id = json_string_value(json_object_get(root, "id"));
    if (reply.status == 201 && id)
        snprintf(client->id, sizeof client->id, "%s", id);
    json_decref(root);
    return client->id[0] || fault(client, "no session: %d %.120s", reply.status, reply.body);
}

/* A memory session is gone; begin another. */
static bool expect_gone(struct client *client)
{
    char path[80];
    struct wire_reply reply;

    snprintf(path, sizeof path, "/v1/sessions/%s", client->id);
    if (!ask(client, "GET", path, NULL, &reply))
        return false;
    if (reply.status != 404)
        return fault(client, "GET answers %d after a kill", reply.status);
    if (!send_step(client, client->answered, WHOLE) || !wire_read(&client->wire, &reply))
        return gone(client, "before an answer");
    if (reply.status != 404)
        return fault(client, "a step is answered %d after a kill", reply.status);
    atomic_store(&client->in_flight, false);
    client->id[0] = '\0';
    client->answered = 0;
    dsc_run_reset(client->calm.run);
    return true;
}

/* The session's own word for how far it got. */
static bool ask_steps(struct client *client, uint64_t *steps)
{
    char path[80];
    struct wire_reply reply;

    snprintf(path, sizeof path, "/v1/sessions/%s", client->id);
    if (!ask(client, "GET", path, NULL, &reply))
        return false;
    json_t *root = json_loadb(reply.body, reply.len, 0, NULL);
    json_t *step = json_object_get(root, "step");
    bool ok = reply.status == 200 && json_is_integer(step);
    *steps = ok ? (uint64_t)json_integer_value(step) : 0;
    json_decref(root);
    return ok || fault(client, "GET answers %d %.120s", reply.status, reply.body);
}

/* What did the kill leave? *taken: the step that was in flight is there. */
static bool resume(struct client *client, bool *taken)
{
    uint64_t steps = 0;

    *taken = false;
    if (client->id[0] && strcmp(client->plan->durability, "memory") == 0 && !expect_gone(client))
        return false;
    if (!client->id[0])
        return create(client);
    if (!ask_steps(client, &steps))
        return false;
    *taken = steps == client->answered + 1;
    if (steps != client->answered && !(*taken && client->whole))
        return fault(client, "the session is at step %" PRIu64 " (the request was %s)", steps,
                     client->whole ? "sent whole" : "cut in the middle");
    client->whole = *taken;
    if (!client->fleet->replay || steps == 0)
        return true;
    *taken = false;
    return send_step(client, steps - 1, WHOLE) && check_answer(client, steps - 1, true);
}

static void post_ready(struct client *client)
{
    if (!client->posted)
        sem_post(&client->fleet->ready);
    client->posted = true;
}

static void *play(void *arg)
{
    struct client *client = arg;
    struct fleet *f = client->fleet;
    int steps = 0, quota = f->round % 4 == 3 ? 0 : STEPS_A_ROUND;
    bool taken = false, alive = true;

    if (!wire_open(&client->wire, f->server.port,
                   client->plan->n >= LONG_VECTOR ? WIRE_NARROW : WIRE_WIDE))
        alive = fault(client, "cannot connect");
    for (alive = alive && resume(client, &taken); alive;
         alive = step_once(client, taken), taken = false)
        if (steps++ == quota)
            post_ready(client);
    post_ready(client);
    wire_close(&client->wire);
    return NULL;
}

/* --- the kill --- */

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int gauge(const struct fleet *f, enum probe_phase phase)
{
    return atomic_load(&f->probe->gauge[phase]);
}

/* Requests in a phase. Those that only wait for their record count as COMMIT. */
static int occupied(const struct fleet *f, enum probe_phase phase)
{
    return gauge(f, phase) - (phase == PROBE_COMPUTE ? gauge(f, PROBE_COMMIT) : 0);
}

static int server_in_flight(const struct fleet *f)
{
    return gauge(f, PROBE_RECEIVE) + gauge(f, PROBE_COMPUTE) + gauge(f, PROBE_REPLY);
}

static int clients_in_flight(const struct fleet *f)
{
    int count = 0;

    for (int i = 0; i < CLIENTS; i++)
        count += atomic_load(&f->client[i].in_flight);
    return count;
}

/* Let a request be in the phase for `lag` looks at the gauges, so that kills do not all come as it
 * is entered. */
static bool wait_for_moment(const struct fleet *f, enum probe_phase aim, unsigned lag)
{
    uint64_t end = now_ms() + MOMENT_SECONDS * 1000;

    while (now_ms() < end) {
        if (occupied(f, aim) > 0 && server_in_flight(f) >= IN_FLIGHT_MIN &&
            clients_in_flight(f) >= IN_FLIGHT_MIN && lag-- == 0)
            return true;
        sched_yield();
    }
    return false;
}

static bool wait_for_clients(struct fleet *f)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += READY_SECONDS;
    for (int i = 0; i < CLIENTS; i++)
        if (sem_timedwait(&f->ready, &end) != 0)
            return false;
    return true;
}

static void start_clients(struct fleet *f)
{
    sem_init(&f->ready, 0, 0);
    atomic_store(&f->killed, false);
    atomic_store(&f->aim, PROBE_NONE);
    for (int i = 0; i < CLIENTS; i++) {
        f->client[i].posted = false;
        atomic_store(&f->client[i].in_flight, false);
        assert_int_equal(pthread_create(&f->client[i].thread, NULL, play, &f->client[i]), 0);
    }
}

static void kill_server(struct fleet *f)
{
    pthread_mutex_lock(&f->lock);
    atomic_store(&f->killed, true);
    pthread_mutex_unlock(&f->lock);
    assert_true(served_kill(&f->server));
    pthread_cond_broadcast(&f->death);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(f->client[i].thread, NULL);
    sem_destroy(&f->ready);
}

static void report_faults(const struct fleet *f)
{
    int faults = 0;

    for (int i = 0; i < CLIENTS; i++)
        if (f->client[i].fault[0]) {
            print_error("round %d: %s\n", f->round, f->client[i].fault);
            faults++;
        }
    assert_int_equal(faults, 0);
}

/* Count a kill that met enough requests. */
static void count_kill(struct fleet *f, enum probe_phase aim)
{
    bool counts = server_in_flight(f) >= IN_FLIGHT_MIN;

    f->replay = counts && f->kills % 4 == 0;
    if (!counts)
        return;
    f->kills++;
    f->replays += f->replay;
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++)
        if (occupied(f, aims[i]) > 0) {
            f->landed[aims[i]]++;
            f->hit[aims[i]] += aims[i] == aim;
        }
}

static int kills_wanted(void)
{
    const char *text = getenv("DESCENT_CRASH_KILLS");

    return text ? atoi(text) : 200;
}

/* A phase that has been hit too rarely, because requests were quicker than the kill; PROBE_NONE
 * when there is none. */
static enum probe_phase lacking(const struct fleet *f)
{
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++)
        if (f->hit[aims[i]] < kills_wanted() / 10)
            return aims[i];
    return PROBE_NONE;
}

static void play_round(struct fleet *f)
{
    const enum probe_phase aim = f->kills < kills_wanted() ? aims[f->kills % 4] : lacking(f);

    assert_true(served_start(&f->server));
    start_clients(f);
    bool ready = wait_for_clients(f);
    atomic_store(&f->aim, aim);
    if (ready)
        (void)wait_for_moment(f, aim, (unsigned)f->round * 7 % 32);
    kill_server(f);
    report_faults(f);
    assert_true(ready);
    count_kill(f, aim);
    if (f->round % SOUND_EVERY == 0) /* damage stays, and reading everything is what takes long */
        assert_true(disk_sound(f->server.dir));
    assert_int_equal(
        disk_number(f->server.dir, "SELECT count(*) FROM session WHERE durability = 2"), 0);
    f->round++;
}

/* --- the test --- */

static void print_table(const struct fleet *f, int wanted)
{
    print_message("crash: %d kills with at least %d requests in flight (%d with fewer, repeated),"
                  " %d followed by a replay\n",
                  f->kills, IN_FLIGHT_MIN, f->round - f->kills, f->replays);
    print_message("crash: %-8s %13s %12s %10s\n", "phase", "aimed and hit", "all landings",
                  "at least");
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++)
        print_message("crash: %-8s %13d %12d %10d\n", phase_words[aims[i]], f->hit[aims[i]],
                      f->landed[aims[i]], wanted / 10);
}

static void test_two_hundred_kills(void **state)
{
    int wanted = kills_wanted();

    (void)state;
    while ((fleet.kills < wanted || lacking(&fleet) != PROBE_NONE) && fleet.round < 2 * wanted)
        play_round(&fleet);
    print_table(&fleet, wanted);
    assert_true(disk_sound(fleet.server.dir));
    assert_true(fleet.kills >= wanted);
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++)
        assert_true(fleet.hit[aims[i]] >= wanted / 10);
    assert_true(fleet.replays >= wanted / 4);
}

/* --- life --- */

/* Small cells, so that 60,000 coordinates keep 5.8 MB and make all 80 chunks in a test's time. */
static bool make_lstm(dsc_model **out)
{
    const dsc_family *family = dsc_family_find("lstm");
    dsc_layout layout = {0};
    dsc_hyper hyper;
    dsc_rng rng = dsc_rng_at(1, 2, 3);

    dsc_hyper_init(&hyper, family->hyper);
    if (!dsc_hyper_set_number(&hyper, "hidden_size", 6, NULL))
        return false;
    family->phi_layout(&layout, &hyper);
    float *phi = malloc(layout.len * sizeof *phi);
    for (size_t i = 0; phi && i < layout.len; i++)
        phi[i] = (float)(dsc_rng_uniform(&rng) - 0.5);
    bool ok = phi && dsc_model_new(out, family, &hyper, phi, NULL, NULL);
    free(phi);
    return ok;
}

static bool make_plain(dsc_model **out, const char *name, double learning_rate)
{
    const dsc_family *family = dsc_family_find(name);
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, family->hyper);
    return dsc_hyper_set_number(&hyper, "learning_rate", learning_rate, NULL) &&
           dsc_model_new(out, family, &hyper, NULL, NULL, NULL);
}

static bool post_json(const struct fleet *f, const char *path, const char *body)
{
    char reply[4096];

    return served_ask(&f->server, "POST", path, body, reply, sizeof reply) == 201;
}

static bool import(const struct fleet *f, const char *path, const dsc_model *model)
{
    char head[256];
    struct buf *file = NULL;
    struct wire wire;
    struct wire_reply reply = {0};

    if (!safetensors_export(&file, model, NULL))
        return false;
    int len = snprintf(head, sizeof head,
                       "POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-safetensors\r\n"
                       "Content-Length: %zu\r\n\r\n",
                       path, file->len);
    bool ok = wire_open(&wire, f->server.port, WIRE_WIDE) && wire_send(&wire, head, (size_t)len) &&
              wire_send(&wire, file->data, file->len) && wire_read(&wire, &reply) &&
              reply.status == 201;
    wire_close(&wire);
    buf_drop(file);
    return ok;
}

static bool make_optimizers(struct fleet *f)
{
    return make_lstm(&f->lstm) && make_plain(&f->adam, "adam", 0.01) &&
           make_plain(&f->sgd, "sgd", 0.01) && make_plain(&f->lbfgs, "lbfgs", 0.1) &&
           post_json(f, "/v1/optimizers",
                     "{\"name\":\"crash-lbfgs\",\"family\":\"lbfgs\",\"config\":{\"learning_"
                     "rate\":0.1}}") &&
           post_json(f, "/v1/optimizers",
                     "{\"name\":\"crash-adam\",\"family\":\"adam\",\"config\":{\"learning_rate\":0."
                     "01}}") &&
           post_json(f, "/v1/optimizers", "{\"name\":\"crash-lstm\",\"family\":\"lstm\"}") &&
           import(f, "/v1/optimizers/crash-lstm/versions", f->lstm);
}

static bool make_client(struct fleet *f, int index)
{
    const struct plan *plan = &plans[index];
    struct client *client = &f->client[index];
    dsc_model *model = strstr(plan->optimizer, "lstm")    ? f->lstm
                       : strstr(plan->optimizer, "adam")  ? f->adam
                       : strstr(plan->optimizer, "lbfgs") ? f->lbfgs
                                                          : f->sgd;

    *client = (struct client) {.fleet = f, .plan = plan, .index = index, .wire = {.fd = -1}};
    client->body = malloc(vector_text_max(plan->n) + 128);
    client->read = malloc(plan->n * sizeof *client->read);
    return client->body && client->read &&
           calm_init(&client->calm, model, plan->n, (uint64_t)index,
                     plan->format == BF16 ? VECTOR_BF16 : VECTOR_F32);
}

static int start(void **state)
{
    struct fleet *f = &fleet;

    (void)state;
    strcpy(f->probe_path, "/tmp/descent-probe-XXXXXX");
    int fd = mkstemp(f->probe_path);
    if (fd < 0 || close(fd) != 0 || !probe_open(&f->probe, f->probe_path, NULL) ||
        setenv("DESCENT_PROBE", f->probe_path, 1) != 0)
        return -1;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->death, NULL);
    if (!served_start(&f->server) || !make_optimizers(f) || !served_kill(&f->server))
        return -1;
    for (int i = 0; i < CLIENTS; i++)
        if (!make_client(f, i))
            return -1;
    return 0;
}

static int stop(void **state)
{
    struct fleet *f = &fleet;

    (void)state;
    bool ended = served_start(&f->server) && served_stop(&f->server);
    for (int i = 0; i < CLIENTS; i++) {
        calm_release(&f->client[i].calm);
        free(f->client[i].body);
        free(f->client[i].read);
    }
    dsc_model_drop(f->lstm);
    dsc_model_drop(f->adam);
    dsc_model_drop(f->sgd);
    dsc_model_drop(f->lbfgs);
    probe_close(f->probe);
    unlink(f->probe_path);
    return ended ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_two_hundred_kills)};

    return cmocka_run_group_tests(tests, start, stop);
}
