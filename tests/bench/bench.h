/* bench.h -- two sides measured in turn, and a table of their ratios beside the goals
 *
 * A machine that others use too is faster in one minute than in the next, so absolute times mean
 * little. Every figure here is the median, over rounds, of the ratio of two measurements made right
 * after each other. Nothing fails when a goal is missed: the table says so. Benchmarks are programs
 * of their own (`make bench`) and no part of the tests. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* One measurement: does its work for a moment and returns what it measured (seconds a step, steps a
 * second ...). */
typedef double bench_side(void *arg);

enum { BENCH_ROUNDS = 7, BENCH_ROUNDS_MAX = 1024 };

struct bench_pair {
    double a, b;  /* medians of each side */
    double ratio; /* median of a / b      */
};

/* `rounds` rounds of a then b, after one of each that does not count. */
struct bench_pair bench_in_turn(bench_side *a, void *arg_a, bench_side *b, void *arg_b, int rounds);

double bench_median(double *x, int count); /* sorts x */

enum bench_goal { BENCH_AT_LEAST, BENCH_AT_MOST };

void bench_title(const char *title);

/* A row: what, the two figures as texts, their ratio (or another value) and the goal. */
void bench_row(const char *what, const char *a, const char *b, double value, enum bench_goal kind,
               double goal);
void bench_skip(const char *what, const char *reason);

/* A figure with three digits and its unit; the text lives in `text`. */
const char *bench_time(char text[32], double seconds);
const char *bench_number(char text[32], double value, const char *unit);

double bench_wall(void); /* seconds */
double bench_cpu(void);  /* seconds that this thread has computed: others' work does not count */

/* Stop the program with a sentence: a benchmark cannot go on without what failed. */
void bench_need(bool ok, const char *what);

#endif
