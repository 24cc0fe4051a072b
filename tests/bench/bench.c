#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec ts;

    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double bench_wall(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double bench_cpu(void)
{
    return seconds(CLOCK_THREAD_CPUTIME_ID);
}

void bench_need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *x, int count)
{
    qsort(x, (size_t)count, sizeof *x, compare);
    return count % 2 ? x[count / 2] : (x[count / 2 - 1] + x[count / 2]) / 2;
}

struct bench_pair bench_in_turn(bench_side *a, void *arg_a, bench_side *b, void *arg_b, int rounds)
{
    double of_a[BENCH_ROUNDS_MAX], of_b[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];

    bench_need(rounds >= 1 && rounds <= BENCH_ROUNDS_MAX, "the number of rounds");
    (void)a(arg_a), (void)b(arg_b); /* caches, pages, clocks */
    for (int i = 0; i < rounds; i++) {
        of_a[i] = a(arg_a);
        of_b[i] = b(arg_b);
        ratio[i] = of_a[i] / of_b[i];
    }
    return (struct bench_pair) {.a = bench_median(of_a, rounds),
                                .b = bench_median(of_b, rounds),
                                .ratio = bench_median(ratio, rounds)};
}

/* --- the table --- */

void bench_title(const char *title)
{
    printf("\n%-58s %12s %12s %8s   %s\n", title, "a", "b", "a / b", "goal");
    fflush(stdout);
}

void bench_row(const char *what, const char *a, const char *b, double value, enum bench_goal kind,
               double goal)
{
    const bool met = kind == BENCH_AT_LEAST ? value >= goal : value <= goal;

    printf("%-58s %12s %12s %8.3g   %s %g %s\n", what, a, b, value,
           kind == BENCH_AT_LEAST ? ">=" : "<=", goal, met ? "met" : "MISSED");
    fflush(stdout);
}

void bench_skip(const char *what, const char *reason)
{
    printf("%-58s skipped: %s\n", what, reason);
    fflush(stdout);
}

const char *bench_time(char text[32], double value)
{
    if (value < 1e-6)
        snprintf(text, 32, "%.3g ns", value * 1e9);
    else if (value < 1e-3)
        snprintf(text, 32, "%.3g us", value * 1e6);
    else if (value < 1)
        snprintf(text, 32, "%.3g ms", value * 1e3);
    else
        snprintf(text, 32, "%.3g s", value);
    return text;
}

const char *bench_number(char text[32], double value, const char *unit)
{
    if (value >= 1e4)
        snprintf(text, 32, "%.0f %s", value, unit);
    else
        snprintf(text, 32, "%.3g %s", value, unit);
    return text;
}
