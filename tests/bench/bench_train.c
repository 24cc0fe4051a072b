/* bench_train.c -- a meta-step on quadratics against PyTorch's */
#include "bench.h"
#include "models.h"
#include "torch.h"

enum { METASTEPS = 5, EPOCHS = 3 };

struct training {
    dsc_train *train;
    dsc_crew crew;
};

/* 128 functions, 5 unrolls of 20 an epoch. */
static void training_init(struct training *t, int threads)
{
    dsc_train_spec spec = {.family = &dsc_family_lstm,
                           .problem_count = 1,
                           .problems = {{.problem = &dsc_problem_quadratic, .weight = 1}},
                           .horizon_count = 1,
                           .horizons = {20 * METASTEPS},
                           .unroll = 20,
                           .functions = 128,
                           .learning_rate = 0.003,
                           .clip_norm = 1,
                           .epochs = 1u << 30,
                           .validate_every = 1u << 30,
                           .validation_functions = 1,
                           .seed = 1};

    dsc_hyper_init(&spec.config, dsc_family_lstm.hyper);
    dsc_hyper_init(&spec.problems[0].hyper, dsc_problem_quadratic.hyper);
    t->crew = crew_of(threads);
    bench_need(dsc_train_new(&t->train, &spec, &t->crew, NULL), "no training");
}

/* Seconds of a meta-step. */
static double metastep(void *arg)
{
    const struct training *const t = arg;
    const double began = bench_wall();

    for (int i = 0; i < EPOCHS; i++)
        bench_need(dsc_train_epoch(t->train, NULL), "an epoch failed");
    return (bench_wall() - began) / (EPOCHS * METASTEPS);
}

static void bench_threads(struct torch *torch, int threads, double goal)
{
    char what[96], a[32], b[32];
    struct training ours;
    struct torch_task theirs = {torch, (size_t)threads};

    training_init(&ours, threads);
    const struct bench_pair pair =
        bench_in_turn(torch_meta, &theirs, metastep, &ours, BENCH_ROUNDS);
    snprintf(what, sizeof what, "PyTorch / ours, %d thread%s", threads, threads == 1 ? "" : "s");
    bench_row(what, bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio, BENCH_AT_LEAST, goal);
    dsc_train_free(ours.train);
    crew_end(&ours.crew);
}

int main(void)
{
    struct torch torch;

    torch_start(&torch);
    bench_title("a meta-step: 128 quadratics of 10, unroll 20");
    bench_threads(&torch, 1, 4);
    bench_threads(&torch, 2, 8);
    torch_stop(&torch);
    return 0;
}
