/* exposition.h -- Prometheus' text format 0.0.4, read strictly
 *
 * Checks what `promtool check metrics` and a scraping server insist on: the syntax of every line;
 * HELP and TYPE once, before their samples, which stay together; no series twice; counters end in
 * _total; histograms have ascending bounds, counts that never fall, +Inf, and a _count equal to
 * it. */
#ifndef EXPOSITION_H
#define EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

struct exposition_sample {
    char family[128]; /* without _bucket, _sum, _count of a histogram */
    char series[512]; /* name{labels}, as it stands */
    double value;
};

struct exposition {
    struct exposition_sample *sample;
    size_t count;
    char trouble[256]; /* "" when all is well; else the line and what is wrong with it */
};

/* Returns whether the text is sound; free with exposition_free in both cases. */
bool exposition_read(struct exposition *out, const char *text);
void exposition_free(struct exposition *exposition);

/* The value of `series`, written as in the text; -1 when it is not there. */
double exposition_value(const struct exposition *exposition, const char *series);

#endif
