/* bench_load.c -- many clients, many sessions, slow and silent ones, little memory
 *
 * Every answer is checked: its status, and at the end each session's step, which must be the number
 * of answers that its client got. */
#include "bench.h"
#include "caller.h"
#include "models.h"
#include "servers.h"

#include <sys/resource.h>

enum { ACTIVE = 64, IDLE = 4000, SLOW = 200, RESIDENT = 10000, HUGE_N = 10000000 };

static const char binary[] = "Content-Type: application/octet-stream\r\n";

/* A client with its session. */
struct crowd {
    size_t count;
    struct caller *caller;
    struct request_text *text;
    char (*id)[64];
    float *grad;
};

static void crowd_open(struct crowd *crowd, const struct served *server, size_t count, size_t n,
                       const char *optimizer, const char *durability)
{
    char path[128];

    *crowd = (struct crowd) {.count = count,
                             .caller = calloc(count, sizeof *crowd->caller),
                             .text = calloc(count, sizeof *crowd->text),
                             .id = calloc(count, sizeof *crowd->id),
                             .grad = malloc(n * sizeof *crowd->grad)};
    bench_need(crowd->caller && crowd->text && crowd->id && crowd->grad, "no memory");
    fill_gradient(crowd->grad, n);
    for (size_t i = 0; i < count; i++) {
        server_session(server, optimizer, n, durability, crowd->id[i]);
        snprintf(path, sizeof path, "/v1/sessions/%s/update", crowd->id[i]);
        request_make(&crowd->text[i], "POST", path, binary, crowd->grad, n * sizeof *crowd->grad);
    }
}

static void crowd_connect(struct crowd *crowd, const struct served *server)
{
    for (size_t i = 0; i < crowd->count; i++)
        caller_open(&crowd->caller[i], server->port);
}

static void crowd_disconnect(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->count; i++)
        caller_close(&crowd->caller[i]);
}

static void crowd_free(struct crowd *crowd)
{
    free(crowd->caller);
    free(crowd->text);
    free(crowd->id);
    free(crowd->grad);
}

static double crowd_rate(void *crowd_)
{
    struct crowd *const crowd = crowd_;

    return callers_run(crowd->caller, crowd->text, crowd->count, 0.5, 200, NULL, NULL);
}

/* --- latency --- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void bench_latency(const struct served *server, const char *durability, size_t n)
{
    static double latency[1 << 20];
    size_t count = sizeof latency / sizeof *latency;
    struct crowd crowd;
    char what[96], a[32], b[32];

    crowd_open(&crowd, server, ACTIVE, n, "lstm", durability);
    crowd_connect(&crowd, server);
    const double rate = callers_run(crowd.caller, crowd.text, crowd.count, 3, 200, latency, &count);
    qsort(latency, count, sizeof *latency, compare);
    snprintf(what, sizeof what, "64 clients, n = %zu, %s (%.0f/s): p99 / median", n, durability,
             rate);
    bench_row(what, bench_time(a, latency[count * 99 / 100]), bench_time(b, latency[count / 2]),
              latency[count * 99 / 100] / latency[count / 2], BENCH_AT_MOST, 10);
    crowd_disconnect(&crowd);
    crowd_free(&crowd);
}

/* --- silent and slow ones --- */

static void compare_rates(const char *what, struct crowd *crowd, const struct served *server,
                          void (*disturb)(const struct served *, struct caller *, size_t),
                          size_t others, double goal)
{
    double ratio[3], with[3], without[3];
    char a[32], b[32];

    for (int i = 0; i < 3; i++) {
        struct caller *const other = calloc(others, sizeof *other);

        bench_need(other != NULL, "no memory");
        without[i] = crowd_rate(crowd);
        disturb(server, other, others);
        with[i] = crowd_rate(crowd);
        ratio[i] = with[i] / without[i];
        for (size_t k = 0; k < others; k++)
            caller_close(&other[k]);
        free(other);
    }
    bench_row(what, bench_number(a, bench_median(with, 3), "/s"),
              bench_number(b, bench_median(without, 3), "/s"), bench_median(ratio, 3),
              BENCH_AT_LEAST, goal);
}

static void be_silent(const struct served *server, struct caller *other, size_t count)
{
    for (size_t i = 0; i < count; i++)
        caller_open(&other[i], server->port);
}

/* A request whose body never becomes whole, as far as this measurement sees. */
static void be_slow(const struct served *server, struct caller *other, size_t count)
{
    struct request_text text;
    char id[64], path[128];

    server_session(server, "lstm", 100000, "memory", id);
    snprintf(path, sizeof path, "/v1/sessions/%s/update", id);
    request_make(&text, "POST", path, binary, "0123456789", 400000);
    text.body_len = 10;
    for (size_t i = 0; i < count; i++) {
        caller_open(&other[i], server->port);
        caller_send(&other[i], &text);
    }
}

static void bench_disturbed(const struct served *server)
{
    struct crowd crowd;

    crowd_open(&crowd, server, ACTIVE, 100, "lstm", "memory");
    crowd_connect(&crowd, server);
    compare_rates("64 clients beside 4,000 silent connections / alone", &crowd, server, be_silent,
                  IDLE, 0.8);
    compare_rates("64 clients beside 200 that send a body slowly / alone", &crowd, server, be_slow,
                  SLOW, 0.8);
    crowd_disconnect(&crowd);
    crowd_free(&crowd);
}

/* --- many sessions, more than there is memory for --- */

/* Every session one step on, through 64 connections; the steps answered must be `step`. Seconds. */
static double walk_sessions(struct crowd *crowd, struct caller *caller, int step)
{
    const double began = bench_wall();

    for (size_t i = 0; i < crowd->count; i++) {
        char want[48];

        struct caller *const at = &caller[i % ACTIVE];
        bench_need(caller_ask(at, &crowd->text[i]) == 200, "an update failed");
        snprintf(want, sizeof want, "Descent-Step: %d\r\n", step);
        bench_need(strstr(at->reply, want) != NULL, "a session lost or gained a step");
    }
    return bench_wall() - began;
}

static void bench_many(size_t sessions, size_t n, const char *memory_mb, double resident_goal)
{
    const char *const flags[] = {"--log-level", "warn", "--memory-mb", memory_mb, NULL};
    struct served server = {.flags = flags};
    struct caller caller[ACTIVE];
    struct crowd crowd;
    char what[120], a[32], b[32];

    server_start(&server);
    const double before = (double)server_resident(&server);
    crowd_open(&crowd, &server, sessions, n, "lstm", "relaxed");
    for (int i = 0; i < ACTIVE; i++)
        caller_open(&caller[i], server.port);
    for (int step = 1; step <= 3; step++)
        (void)walk_sessions(&crowd, caller, step);
    const double seconds = walk_sessions(&crowd, caller, 4);
    const double grown = (double)server_resident(&server) - before;
    snprintf(what, sizeof what, "%zu sessions of %zu, budget %s MB (%.0f/s): resident / budget",
             sessions, n, memory_mb, (double)sessions / seconds);
    const double budget = atof(memory_mb) * (1 << 20);
    bench_row(what, bench_number(a, grown / 1e6, "MB"), bench_number(b, budget / 1e6, "MB"),
              grown / budget, BENCH_AT_MOST, resident_goal);
    for (int i = 0; i < ACTIVE; i++)
        caller_close(&caller[i]);
    bench_need(served_kill(&server) && served_start(&server), "the server does not come back");
    for (int i = 0; i < ACTIVE; i++)
        caller_open(&caller[i], server.port);
    const double again = walk_sessions(&crowd, caller, 5);
    snprintf(what, sizeof what, "%zu sessions of %zu after kill -9: first step / a step", sessions,
             n);
    bench_row(what, bench_time(a, again / (double)sessions),
              bench_time(b, seconds / (double)sessions), again / seconds, BENCH_AT_MOST, 10);
    for (int i = 0; i < ACTIVE; i++)
        caller_close(&caller[i]);
    crowd_free(&crowd);
    bench_need(served_stop(&server), "the server did not stop well");
}

/* --- a huge one --- */

static void bench_huge(const struct served *server)
{
    enum { STEPS = 5 };
    struct crowd large, huge;
    double of_large[STEPS], of_huge[STEPS], ratio[STEPS];
    char a[32], b[32];

    crowd_open(&large, server, 1, HUGE_N / 10, "lstm", "strict");
    crowd_open(&huge, server, 1, HUGE_N, "lstm", "strict");
    crowd_connect(&large, server);
    crowd_connect(&huge, server);
    for (int i = -1; i < STEPS; i++) {
        const double t0 = bench_wall();
        bench_need(caller_ask(huge.caller, huge.text) == 200, "an update failed");
        const double t1 = bench_wall();
        for (int k = 0; k < 5; k++)
            bench_need(caller_ask(large.caller, large.text) == 200, "an update failed");
        const double t2 = bench_wall();
        if (i < 0)
            continue;
        of_huge[i] = (t1 - t0) / 10;
        of_large[i] = (t2 - t1) / 5;
        ratio[i] = of_huge[i] / of_large[i];
    }
    bench_row("strict step, a million coordinates: of n = 10M / of n = 1M",
              bench_time(a, bench_median(of_huge, STEPS)),
              bench_time(b, bench_median(of_large, STEPS)), bench_median(ratio, STEPS),
              BENCH_AT_MOST, 1.3);
    crowd_disconnect(&large);
    crowd_disconnect(&huge);
    crowd_free(&large);
    crowd_free(&huge);
}

/* 4,000 connections need as many descriptors, here and in the server. */
static void raise_descriptors(void)
{
    struct rlimit files;

    bench_need(getrlimit(RLIMIT_NOFILE, &files) == 0, "no limit of descriptors");
    files.rlim_cur = files.rlim_max;
    bench_need(setrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur > IDLE + 1000,
               "too few descriptors: ulimit -n 8192");
}

int main(void)
{
    static const char *const flags[] = {"--log-level", "warn", NULL};
    struct served server = {.flags = flags};

    raise_descriptors();
    server_start(&server);
    bench_title("load: clients");
    bench_latency(&server, "memory", 100);
    bench_latency(&server, "strict", 100);
    bench_disturbed(&server);
    bench_title("load: sessions");
    bench_many(RESIDENT, 10, "1000", 1);
    bench_many(RESIDENT, 10, "16", 2);
    bench_many(30, 100000, "320", 1.5);
    bench_huge(&server);
    bench_need(served_stop(&server), "the server did not stop well");
    return 0;
}
