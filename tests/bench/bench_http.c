/* bench_http.c -- an update through the whole server: against PyTorch, the kernel alone, nginx */
#include "bench.h"
#include "caller.h"
#include "models.h"
#include "server/vector.h"
#include "servers.h"
#include "torch.h"

enum { CALLERS = 32, LARGE = 1000000, SMALL = 1000 };

static const char binary[] = "Content-Type: application/octet-stream\r\n";
static const char json[] = "Content-Type: application/json\r\n";

/* One session, one connection, one request again and again. */
struct talk {
    struct caller caller;
    struct request_text text;
    void *body;
    int times; /* requests of one measurement */
};

static void talk_open(struct talk *talk, const struct served *server, const char *optimizer,
                      size_t n, const char *durability, bool as_json)
{
    char id[64], path[128];

    float *const grad = malloc(n * sizeof *grad);
    char *const body = malloc(vector_text_max(n) + 64);
    size_t len = n * sizeof *grad;

    bench_need(grad && body, "no memory");
    fill_gradient(grad, n);
    if (as_json) {
        len = (size_t)sprintf(body, "{\"gradient\":");
        len += vector_write(body + len, grad, n);
        body[len++] = '}';
    } else {
        memcpy(body, grad, len);
    }
    free(grad);
    server_session(server, optimizer, n, durability, id);
    snprintf(path, sizeof path, "/v1/sessions/%s/update", id);
    talk->body = body;
    request_make(&talk->text, "POST", path, as_json ? json : binary, body, len);
    caller_open(&talk->caller, server->port);
    talk->times = n < 100000 ? 200 : 1;
}

static void talk_close(struct talk *talk)
{
    caller_close(&talk->caller);
    free(talk->body);
}

/* Seconds of a round trip. */
static double round_trip(void *arg)
{
    struct talk *const talk = arg;
    const double began = bench_wall();

    for (int i = 0; i < talk->times; i++)
        bench_need(caller_ask(&talk->caller, &talk->text) == 200, "an update failed");
    return (bench_wall() - began) / talk->times;
}

static void compare(const char *what, bench_side *a, void *arg_a, struct talk *talk,
                    enum bench_goal kind, double goal)
{
    char of_a[32], of_b[32];
    const struct bench_pair pair = bench_in_turn(a, arg_a, round_trip, talk, BENCH_ROUNDS);

    bench_row(what, bench_time(of_a, pair.a), bench_time(of_b, pair.b), pair.ratio, kind, goal);
}

static void bench_torch(const struct served *server)
{
    struct torch torch;
    struct torch_task large = {&torch, LARGE}, small = {&torch, SMALL};
    struct talk memory, strict, little;

    talk_open(&memory, server, "lstm", LARGE, "memory", false);
    talk_open(&strict, server, "lstm", LARGE, "strict", false);
    talk_open(&little, server, "lstm", SMALL, "memory", false);
    torch_start(&torch);
    bench_title("PyTorch in-process / an update over HTTP");
    compare("n = 1,000, memory, binary", torch_step, &small, &little, BENCH_AT_LEAST, 1);
    compare("n = 1M, memory, binary", torch_step, &large, &memory, BENCH_AT_LEAST, 6);
    compare("n = 1M, strict, binary", torch_step, &large, &strict, BENCH_AT_LEAST, 3);
    torch_stop(&torch);
    talk_close(&memory);
    talk_close(&strict);
    talk_close(&little);
}

/* The kernel alone runs in this process, on as many threads as the server has. */
static void bench_added(const struct served *server)
{
    char a[32], b[32];
    struct stepper kernel;
    struct talk talk, text;
    dsc_model *const model = model_lstm(NULL);

    talk_open(&talk, server, "lstm", LARGE, "memory", false);
    talk_open(&text, server, "lstm", LARGE, "memory", true);
    stepper_init(&kernel, model, LARGE, 2);
    bench_title("what HTTP adds, n = 1M, memory");
    struct bench_pair pair =
        bench_in_turn(round_trip, &talk, stepper_wall, &kernel, 2 * BENCH_ROUNDS + 1);
    bench_row("binary round trip / kernel alone, 2 cores", bench_time(a, pair.a),
              bench_time(b, pair.b), pair.ratio, BENCH_AT_MOST, 1.35);
    pair = bench_in_turn(round_trip, &text, round_trip, &talk, 2 * BENCH_ROUNDS + 1);
    bench_row("JSON round trip / binary round trip", bench_time(a, pair.a), bench_time(b, pair.b),
              pair.ratio, BENCH_AT_MOST, 2);
    stepper_clear(&kernel);
    dsc_model_drop(model);
    talk_close(&talk);
    talk_close(&text);
}

/* --- tiny requests --- */

/* Many connections with one kind of request. */
struct crowd {
    struct caller caller[CALLERS];
    struct request_text text[CALLERS];
    pid_t pid;      /* of the server */
    double cpu[64]; /* seconds of its processor time a request, in each measurement */
    int measured;
};

static double crowd_rate(void *arg)
{
    struct crowd *const crowd = arg;
    const double seconds = 0.4, cpu = process_cpu(crowd->pid);
    const double rate = callers_run(crowd->caller, crowd->text, CALLERS, seconds, 200, NULL, NULL);

    crowd->cpu[crowd->measured++] = (process_cpu(crowd->pid) - cpu) / (rate * seconds);
    return rate;
}

static void crowd_open(struct crowd *crowd, int port, pid_t pid)
{
    crowd->pid = pid;
    for (int i = 0; i < CALLERS; i++)
        caller_open(&crowd->caller[i], port);
}

static void crowd_close(struct crowd *crowd)
{
    for (int i = 0; i < CALLERS; i++)
        caller_close(&crowd->caller[i]);
}

static void against_nginx(const char *what, struct crowd *ours, struct crowd *nginx, double goal)
{
    char text[96], a[32], b[32];

    ours->measured = nginx->measured = 0;
    const struct bench_pair pair = bench_in_turn(crowd_rate, ours, crowd_rate, nginx, BENCH_ROUNDS);
    bench_row(what, bench_number(a, pair.a, "/s"), bench_number(b, pair.b, "/s"), pair.ratio,
              BENCH_AT_LEAST, goal);
    const double cpu_a = bench_median(nginx->cpu, nginx->measured);
    const double cpu_b = bench_median(ours->cpu, ours->measured);
    snprintf(text, sizeof text, "%s: processor time, nginx / ours", what);
    bench_row(text, bench_time(a, cpu_a), bench_time(b, cpu_b), cpu_a / cpu_b, BENCH_AT_LEAST,
              goal);
}

static void bench_tiny(const struct served *server)
{
    static struct crowd update, live, theirs;
    static float grad[10];
    struct nginx nginx;
    char id[64], path[128];

    bench_title("tiny requests on 32 connections: ours / nginx");
    if (!nginx_start(&nginx)) {
        bench_skip("all", "there is no nginx");
        return;
    }
    fill_gradient(grad, 10);
    for (int i = 0; i < CALLERS; i++) {
        server_session(server, "sgd", 10, "memory", id);
        snprintf(path, sizeof path, "/v1/sessions/%s/update", id);
        request_make(&update.text[i], "POST", path, binary, grad, sizeof grad);
        request_make(&theirs.text[i], "POST", path, binary, grad, sizeof grad);
        request_make(&live.text[i], "GET", "/livez", NULL, NULL, 0);
    }
    crowd_open(&update, server->port, server->pid);
    crowd_open(&live, server->port, server->pid);
    crowd_open(&theirs, nginx.port, nginx.pid);
    against_nginx("update of 10 coordinates (sgd, memory)", &update, &theirs, 0.45);
    against_nginx("GET /livez", &live, &theirs, 0.8);
    crowd_close(&update);
    crowd_close(&live);
    crowd_close(&theirs);
    nginx_stop(&nginx);
}

int main(void)
{
    static const char *const flags[] = {"--log-level", "warn", NULL};
    struct served server = {.flags = flags};

    server_start(&server);
    bench_tiny(&server);
    bench_added(&server);
    bench_torch(&server);
    bench_need(served_stop(&server), "the server did not stop well");
    return 0;
}
