/* state.c -- between the blocked state and rows of one coordinate each */
#include "state.h"

/* Where number `row` of coordinate c lies; `begin` is where c's block begins. */
static size_t place(size_t begin, size_t c, size_t row, size_t n, size_t width)
{
    return begin * width + row * dsc_state_block(begin, n) + (c - begin);
}

/* The block of coordinate c: full ones of DSC_BLOCK first, then the tail in steps of DSC_LANES. */
static size_t block_begin(size_t c, size_t n)
{
    const size_t full = n / DSC_BLOCK * DSC_BLOCK;

    return c < full ? c / DSC_BLOCK * DSC_BLOCK : c / DSC_LANES * DSC_LANES;
}

void dsc_state_gather(float *rows, const float *state, size_t n, const dsc_layout *layout,
                      const dsc_tensor *tensor)
{
    for (size_t c = 0; c < n; c++) {
        const size_t begin = block_begin(c, n);

        for (size_t i = 0; i < tensor->len; i++)
            rows[c * tensor->len + i] = state[place(begin, c, tensor->offset + i, n, layout->len)];
    }
}

void dsc_state_scatter(float *state, const float *rows, size_t n, const dsc_layout *layout,
                       const dsc_tensor *tensor)
{
    for (size_t c = 0; c < n; c++) {
        const size_t begin = block_begin(c, n);

        for (size_t i = 0; i < tensor->len; i++)
            state[place(begin, c, tensor->offset + i, n, layout->len)] = rows[c * tensor->len + i];
    }
}
