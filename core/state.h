/* state.h -- where a coordinate's numbers lie in a run's state array
 *
 * A step reads and writes the whole state, 320 bytes a coordinate for the default LSTM, so its
 * order is chosen for the kernel: blocks of DSC_BLOCK coordinates, in a block one row of lanes for
 * each kept number.
 *
 *     block 0: [number 0: 64 lanes][number 1: 64 lanes] ... [number width-1: 64 lanes]
 *     block 1: ...
 *     tail:    the same with rows of DSC_LANES lanes, as many as the rest of n needs
 *
 * Every part takes `width` floats a coordinate, so the block that begins at coordinate c begins at
 * state[c * width], and the coordinates b..e (at block bounds) are contiguous: a snapshot of a
 * range is a copy. Lanes beyond n hold what a coordinate with gradient 0 would; nobody reads them.
 */
#ifndef DSC_STATE_H
#define DSC_STATE_H

#include "layout.h"
#include <stddef.h>

#define DSC_BLOCK ((size_t)64) /* lanes of a full block: four vectors of AVX-512 */
#define DSC_LANES ((size_t)16) /* lanes of a tail block: one vector of AVX-512   */

/* n rounded up to whole tail blocks. */
static inline size_t dsc_state_lanes(size_t n)
{
    return (n + DSC_LANES - 1) / DSC_LANES * DSC_LANES;
}

/* Lanes in the block that begins at coordinate c of n: DSC_BLOCK, or DSC_LANES in the tail. */
static inline size_t dsc_state_block(size_t c, size_t n)
{
    return n - c >= DSC_BLOCK ? DSC_BLOCK : DSC_LANES;
}

/* Copy one named tensor of every coordinate out of, or into, a state of n coordinates.
 *   layout   of one coordinate;  tensor  one of its rows;  rows  [n, tensor->len] row-major
 * O(n * tensor->len). */
void dsc_state_gather(float *rows, const float *state, size_t n, const dsc_layout *layout,
                      const dsc_tensor *tensor);
void dsc_state_scatter(float *state, const float *rows, size_t n, const dsc_layout *layout,
                       const dsc_tensor *tensor);

#endif
