/* mat.h -- products of matrices, by BLAS; the one door to <cblas.h>
 *
 * Row-major, without gaps. A product is computed on the caller's thread alone, so that its bits do
 * not depend on threads; they do depend on the processor, for which BLAS picks its kernel. Any
 * number of threads may multiply at the same time. */
#ifndef DSC_MAT_H
#define DSC_MAT_H

#include "real.h"

#include <stdbool.h>
#include <stddef.h>

/* Once, before the program's first thread of its own and before it counts on blocked signals:
 * OpenBLAS starts threads when it is loaded, which block no signal, so that a SIGTERM meant for
 * sigwait() would end the program on one of them. This ends them; products need none. */
void dsc_mat_begin(void);

/* c [m][n] = a b, or c += a b; a is [m][k], or [k][m] when a_transposed, b likewise [k][n] or
 * [n][k]. 2 m n k operations. */
typedef struct {
    bool a_transposed, b_transposed, add;
} dsc_mat_how;

void dsc_mat_mul(dsc_real *c, const dsc_real *a, const dsc_real *b, size_t m, size_t n, size_t k,
                 dsc_mat_how how);

#endif
