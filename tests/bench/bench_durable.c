/* bench_durable.c -- what an answered step costs that survives: rates, stalls, resuming, disk */
#include "bench.h"
#include "caller.h"
#include "models.h"
#include "servers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SESSIONS = 64, SMALL = 10, LARGE = 1000000, LARGE_STEPS = 300, PERIOD = 80 };

static const char binary[] = "Content-Type: application/octet-stream\r\n";
static const char *const flags[] = {"--log-level", "warn", NULL};

static float *gradient(size_t n)
{
    float *const grad = malloc(n * sizeof *grad);

    bench_need(grad != NULL, "no memory");
    fill_gradient(grad, n);
    return grad;
}

static void update_make(struct request_text *text, const char *id, const float *grad, size_t n)
{
    char path[128];

    snprintf(path, sizeof path, "/v1/sessions/%s/update", id);
    request_make(text, "POST", path, binary, grad, n * sizeof *grad);
}

/* --- many small sessions --- */

struct crowd {
    struct caller caller[SESSIONS];
    struct request_text text[SESSIONS];
};

static double durable_rate(void *arg)
{
    struct crowd *const crowd = arg;

    return callers_run(crowd->caller, crowd->text, SESSIONS, 1, 200, NULL, NULL);
}

/* Single writes of 4 kB, each synced, one after the other, into a file that has its room. */
static double raw_rate(void *dir)
{
    static char block[4096];
    char path[128];
    int count = 0;

    snprintf(path, sizeof path, "%s/raw", (const char *)dir);
    const int fd = open(path, O_RDWR | O_CREAT, 0600);
    bench_need(fd >= 0 && pwrite(fd, block, sizeof block, 0) > 0 && fsync(fd) == 0, "a raw file");
    const double began = bench_wall();
    for (; bench_wall() - began < 0.5; count++) {
        block[0]++;
        bench_need(pwrite(fd, block, sizeof block, 0) > 0 && fdatasync(fd) == 0, "a raw sync");
    }
    const double rate = count / (bench_wall() - began);
    close(fd);
    unlink(path);
    return rate;
}

static void bench_small(struct served *server)
{
    static struct crowd crowd;
    char id[64], a[32], b[32];
    float *const grad = gradient(SMALL);

    for (int i = 0; i < SESSIONS; i++) {
        server_session(server, "lstm", SMALL, "strict", id);
        update_make(&crowd.text[i], id, grad, SMALL);
        caller_open(&crowd.caller[i], server->port);
    }
    const struct bench_pair pair =
        bench_in_turn(durable_rate, &crowd, raw_rate, server->dir, BENCH_ROUNDS);
    bench_row("64 sessions of 10, strict / raw single fdatasync", bench_number(a, pair.a, "/s"),
              bench_number(b, pair.b, "/s"), pair.ratio, BENCH_AT_LEAST, pair.b < 500 ? 20 : 1.5);
    for (int i = 0; i < SESSIONS; i++)
        caller_close(&crowd.caller[i]);
    free(grad);
}

/* --- a large one: stalls, disk, and resuming --- */

static double file_mb(const struct served *server, const char *name)
{
    struct stat status;
    char path[128];

    snprintf(path, sizeof path, "%s/%s", server->dir, name);
    return stat(path, &status) == 0 ? (double)status.st_size / 1e6 : 0;
}

static double disk_mb(const struct served *server)
{
    return file_mb(server, "bulk.db") + file_mb(server, "bulk.db-wal");
}

/* Seconds of the first answer after a kill -9, the server's own start not counted; and of a step's
 * computation in that server. */
static double resume(struct served *server, const struct request_text *text, double *compute)
{
    struct caller caller;

    bench_need(served_kill(server) && served_start(server), "the server does not come back");
    caller_open(&caller, server->port);
    const double began = bench_wall();
    bench_need(caller_ask(&caller, text) == 200, "the session does not come back");
    const double first = bench_wall() - began;
    double times[5];
    for (int i = 0; i < 5; i++) {
        bench_need(caller_ask(&caller, text) == 200, "an update failed");
        times[i] = caller_timing(&caller, "compute") / 1e3;
    }
    *compute = bench_median(times, 5);
    caller_close(&caller);
    return first;
}

static void bench_large(struct served *server)
{
    static double times[LARGE_STEPS], persist[LARGE_STEPS], compute[LARGE_STEPS];
    struct caller caller;
    struct request_text text;
    char id[64], a[32], b[32];
    float *const grad = gradient(LARGE);
    double worst = 0, disk = 0, computed;

    server_session(server, "lstm", LARGE, "strict", id);
    update_make(&text, id, grad, LARGE);
    caller_open(&caller, server->port);
    for (int i = 0; i < LARGE_STEPS; i++) {
        const double began = bench_wall();
        bench_need(caller_ask(&caller, &text) == 200, "an update failed");
        times[i] = bench_wall() - began;
        persist[i] = caller_timing(&caller, "persist") / 1e3;
        compute[i] = caller_timing(&caller, "compute") / 1e3;
        worst = times[i] > worst ? times[i] : worst;
        if (i == 2 * PERIOD) /* every chunk has been written twice */
            disk = disk_mb(server);
    }
    caller_close(&caller);
    const double median = bench_median(times, LARGE_STEPS);
    bench_row("n = 1M, strict: worst step / median step of 300", bench_time(a, worst),
              bench_time(b, median), worst / median, BENCH_AT_MOST, 10);
    const double m_persist = bench_median(persist, LARGE_STEPS);
    const double m_compute = bench_median(compute, LARGE_STEPS);
    bench_row("n = 1M, strict: persist phase / compute phase, medians", bench_time(a, m_persist),
              bench_time(b, m_compute), m_persist / m_compute, BENCH_AT_MOST, 1);
    const double end = disk_mb(server);
    bench_row("bulk.db and its log, step 300 / step 160", bench_number(a, end, "MB"),
              bench_number(b, disk, "MB"), end / disk, BENCH_AT_MOST, 1.1);
    const double first = resume(server, &text, &computed);
    bench_row("first step after kill -9 / compute of a step", bench_time(a, first),
              bench_time(b, computed), first / computed, BENCH_AT_MOST, PERIOD);
    free(grad);
}

/* --- memory --- */

/* Bytes that a session adds to the server, over a bound. */
static void bench_memory(const struct served *server, const char *optimizer, size_t n, double state,
                         double bound, double goal)
{
    enum { MANY = 40 };
    struct caller caller;
    struct request_text text;
    char what[96], a[32], b[32], id[64];
    float *const grad = gradient(n);

    caller_open(&caller, server->port);
    const double before = (double)server_resident(server);
    for (int i = 0; i < MANY; i++) {
        server_session(server, optimizer, n, "memory", id);
        update_make(&text, id, grad, n);
        for (int k = 0; k < 3; k++)
            bench_need(caller_ask(&caller, &text) == 200, "an update failed");
    }
    const double each = ((double)server_resident(server) - before) / MANY;
    caller_close(&caller);
    free(grad);
    snprintf(what, sizeof what, "resident bytes of a session, %s, n = %zu / %s", optimizer, n,
             bound == state ? "its state" : "state + 16 n + 4 kB");
    bench_row(what, bench_number(a, each, "B"), bench_number(b, bound, "B"), each / bound,
              BENCH_AT_MOST, goal);
}

int main(void)
{
    struct served server = {.flags = flags};

    server_start(&server);
    bench_title("memory");
    bench_memory(&server, "lstm", 10000, 320.0 * 10000, 320.0 * 10000, 1.15);
    bench_memory(&server, "lstm", 100000, 320.0 * 100000, 320.0 * 100000, 1.15);
    bench_memory(&server, "adam", 100000, 8.0 * 100000, (8.0 + 16) * 100000 + 4096, 1);
    bench_title("durable steps");
    bench_small(&server);
    bench_large(&server);
    bench_need(served_stop(&server), "the server did not stop well");
    return 0;
}
