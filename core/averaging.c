/* averaging.c -- sums of cells over the blocks of a span, and means back into them */
#include "averaging.h"

/* h [hidden] of a layer, in the block that begins at coordinate c. */
static float *rows_of(const dsc_averaging *averaging, const dsc_span *span, size_t layer, size_t c)
{
    const size_t before = 2 * layer * averaging->hidden;

    return span->state + c * averaging->width + before * dsc_state_block(c, span->n);
}

/* Of the first n lanes of one row, as sixteen sums. */
static void add_row(const dsc_rules *rules, double *sums, const float *row, size_t lanes, size_t n)
{
    float one[DSC_BLOCK];

    for (size_t i = 0; i < lanes; i++)
        one[i] = i < n ? 1 : 0;
    rules->dot(sums, row, one, lanes);
}

static double sum_cell(const dsc_averaging *averaging, const dsc_rules *rules, const dsc_span *span,
                       size_t layer, size_t cell)
{
    double sums[DSC_LANES] = {0}, sum = 0;

    for (size_t c = 0, lanes; c < span->n; c += lanes) {
        lanes = dsc_state_block(c, span->n);
        add_row(rules, sums, rows_of(averaging, span, layer, c) + cell * lanes, lanes, span->n - c);
    }
    for (size_t lane = 0; lane < DSC_LANES; lane++)
        sum += sums[lane];
    return sum;
}

void dsc_averaging_add(const dsc_averaging *averaging, const dsc_rules *rules, const dsc_span *span,
                       size_t layer)
{
    for (size_t j = 0; j < averaging->averaged; j++)
        span->partial[j] += sum_cell(averaging, rules, span, layer, j);
    span->partial[averaging->averaged] += (double)span->n;
}

void dsc_averaging_join(size_t averaged, const double *sum, double *means)
{
    for (size_t j = 0; j < averaged; j++)
        means[j] = sum[j] / sum[averaged];
}

void dsc_averaging_put(const dsc_averaging *averaging, const dsc_span *span, size_t layer,
                       const double *means)
{
    for (size_t c = 0, lanes; c < span->n; c += lanes) {
        float *const h = rows_of(averaging, span, layer, c);

        lanes = dsc_state_block(c, span->n);
        for (size_t j = 0; j < averaging->averaged; j++)
            for (size_t i = 0; i < lanes; i++)
                h[j * lanes + i] = (float)means[j];
    }
}
