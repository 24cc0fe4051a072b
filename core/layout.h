/* layout.h -- a flat array of numbers as a list of named tensors
 *
 * Weights and states are flat arrays, so that saving one is a copy. A layout says what lies where
 * in such an array; import, export, checkpoints and inspection read it and need no code per family.
 */
#ifndef DSC_LAYOUT_H
#define DSC_LAYOUT_H

#include "err.h"
#include <stddef.h>

/* The most tensors in a layout. An lstm of four layers has 18. */
#define DSC_TENSORS_MAX 32
#define DSC_RANK_MAX    2

typedef struct {
    char name[40]; /* "lstm.weight_ih_l0"; on the wire: never renamed */
    int rank;      /* 0 to DSC_RANK_MAX                               */
    size_t shape[DSC_RANK_MAX];
    size_t offset, len; /* in numbers, from the start of the array         */
} dsc_tensor;

typedef struct {
    int count;
    dsc_tensor tensor[DSC_TENSORS_MAX];
    size_t len; /* numbers in the whole array */
} dsc_layout;

/* Append a tensor of `rank` dimensions right behind the last. The name is formatted with `index`
 * when it holds a %d. Sizes come from checked hyper-parameters, so an overflow is our mistake and
 * asserts. */
void dsc_layout_add(dsc_layout *layout, const char *name, int index, int rank, size_t rows,
                    size_t cols);

/* Borrowed from the layout, or NULL. */
const dsc_tensor *dsc_layout_find(const dsc_layout *layout, const char *name);

/* Does `file` hold exactly the tensors of `want`, in any order, each with its shape? DSC_EWEIGHTS
 * with where = the tensor that is missing, unknown, there twice, or of another shape. */
bool dsc_layout_match(const dsc_layout *file, const dsc_layout *want, dsc_err *err);

#endif
