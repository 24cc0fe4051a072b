/* bench_kernel.c -- the LSTM's kernels against the processor's peak, and two cores against one */
#include "bench.h"
#include "fma.h"
#include "models.h"

#include <string.h>

static double peak(void *arg)
{
    (void)arg;
    return fma_peak();
}

/* Floating-point operations a second. */
static double kernel_rate(void *arg)
{
    struct stepper *const s = arg;

    return MODEL_LSTM_FLOPS * (double)s->n / stepper_cpu(s);
}

static void bench_share(const dsc_kernel *kernel, double goal)
{
    static const size_t sizes[] = {1000, 10000, 1000000};
    char what[96], a[32], b[32];

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stepper s;
        dsc_model *const model = model_lstm(kernel);

        stepper_init(&s, model, sizes[i], 1);
        const struct bench_pair pair = bench_in_turn(kernel_rate, &s, peak, NULL, BENCH_ROUNDS);
        snprintf(what, sizeof what, "share of FMA peak, %s, 1 core, n = %zu (%.0f ns each)",
                 kernel->name, sizes[i], MODEL_LSTM_FLOPS / pair.a * 1e9);
        bench_row(what, bench_number(a, pair.a / 1e9, "GFLOP/s"),
                  bench_number(b, pair.b / 1e9, "GFLOP/s"), pair.ratio, BENCH_AT_LEAST, goal);
        stepper_clear(&s);
        dsc_model_drop(model);
    }
}

static void bench_cores(size_t n)
{
    char what[96], a[32], b[32];
    struct stepper one, two;
    dsc_model *const model = model_lstm(NULL);

    stepper_init(&one, model, n, 1);
    stepper_init(&two, model, n, 2);
    const struct bench_pair pair =
        bench_in_turn(stepper_wall, &one, stepper_wall, &two, 2 * BENCH_ROUNDS + 1);
    snprintf(what, sizeof what, "one core / two cores, n = %zu", n);
    bench_row(what, bench_time(a, pair.a), bench_time(b, pair.b), pair.ratio, BENCH_AT_LEAST, 1.85);
    stepper_clear(&one);
    stepper_clear(&two);
    dsc_model_drop(model);
}

static void bench_one(const char *name, double goal)
{
    const dsc_kernel *const kernel = dsc_kernel_find(name);

    if (fma_peak() <= 0)
        bench_skip(name, "no measured peak on this kind of processor");
    else if (!kernel)
        bench_skip(name, "this processor does not have it");
    else
        bench_share(kernel, goal);
}

int main(void)
{
    bench_title("kernel");
    bench_one("x86-64-v4", 0.58);
    bench_one("x86-64-v3", 0.42);
    bench_cores(10000);
    bench_cores(1000000);
    return 0;
}
