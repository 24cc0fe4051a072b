/* bench_core.c -- a step of the core against PyTorch, both in-process; families against memcpy */
#include "bench.h"
#include "models.h"
#include "torch.h"

#include <stdlib.h>
#include <string.h>

static void bench_torch(struct torch *torch, size_t n, int threads, double goal)
{
    char what[200], a[32], b[32];
    struct stepper ours;
    dsc_model *const model = model_lstm(NULL);
    struct torch_task theirs = {torch, n};

    stepper_init(&ours, model, n, threads);
    const struct bench_pair pair =
        bench_in_turn(torch_step, &theirs, stepper_wall, &ours, BENCH_ROUNDS);
    snprintf(what, sizeof what, "LSTM, n = %zu, %d core%s (%.60s)", n, threads,
             threads == 1 ? "" : "s", torch->how);
    bench_row(what, bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio, BENCH_AT_LEAST, goal);
    stepper_clear(&ours);
    dsc_model_drop(model);
}

/* --- families that are bound by memory --- */

/* As many bytes as a step of n coordinates reads and writes, half of them read, half written. */
struct copier {
    size_t bytes;
    char *from, *to;
    int times;
};

static double copy(void *arg)
{
    const struct copier *const c = arg;
    const double began = bench_cpu();

    for (int i = 0; i < c->times; i++)
        memcpy(c->to, c->from, c->bytes);
    return (bench_cpu() - began) / c->times;
}

static void bench_family(const dsc_family *family, size_t n)
{
    char what[96], a[32], b[32];
    struct stepper s;
    dsc_model *const model = model_plain(family);
    const size_t width = dsc_model_state_layout(model)->len;

    /* Gradient in, update out, each number of the state both; and the gradient is read once more,
     * before anything changes, to see that it is finite. */
    struct copier c = {.bytes = (3 + 2 * width) * n * sizeof(float) / 2};
    stepper_init(&s, model, n, 1);
    c.from = malloc(c.bytes);
    c.to = malloc(c.bytes);
    bench_need(c.from && c.to, "no memory");
    memset(c.from, 1, c.bytes);
    memset(c.to, 1, c.bytes);
    c.times = s.steps;
    const struct bench_pair pair = bench_in_turn(stepper_cpu, &s, copy, &c, BENCH_ROUNDS);
    snprintf(what, sizeof what, "%s / memcpy of the same bytes, n = %zu", family->name, n);
    bench_row(what, bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio, BENCH_AT_MOST, 1.3);
    free(c.from);
    free(c.to);
    stepper_clear(&s);
    dsc_model_drop(model);
}

int main(void)
{
    struct torch torch;

    bench_title("hand-designed families (one core)");
    for (const dsc_family *const *f = dsc_families; *f; f++)
        if (!(*f)->phi_layout && !(*f)->coupled)
            bench_family(*f, 1000000);

    torch_start(&torch);
    bench_title("core against PyTorch's fastest way (in-process)");
    bench_torch(&torch, 10, 1, 20);
    bench_torch(&torch, 100, 1, 6);
    bench_torch(&torch, 1000, 2, 8);
    bench_torch(&torch, 10000, 2, 8);
    bench_torch(&torch, 1000000, 2, 8);
    torch_stop(&torch);
    return 0;
}
