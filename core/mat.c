/* mat.c -- products of matrices, by BLAS */
#include "mat.h"

#include <cblas.h>

/* Exported by every build of OpenBLAS that has threads, and declared in none of its headers. */
extern int blas_thread_shutdown_(void);

void dsc_mat_begin(void)
{
    openblas_set_num_threads(1);
    (void)blas_thread_shutdown_();
}

/* Of the number that this build calculates in. */
#define GEMM _Generic((dsc_real)0, float : cblas_sgemm, double : cblas_dgemm)

static CBLAS_TRANSPOSE transposed(bool yes)
{
    return yes ? CblasTrans : CblasNoTrans;
}

void dsc_mat_mul(dsc_real *c, const dsc_real *a, const dsc_real *b, size_t m, size_t n, size_t k,
                 dsc_mat_how how)
{
    const CBLAS_TRANSPOSE ta = transposed(how.a_transposed), tb = transposed(how.b_transposed);
    const blasint rows = (blasint)m, columns = (blasint)n, terms = (blasint)k;
    const blasint a_row = how.a_transposed ? rows : terms,
                  b_row = how.b_transposed ? terms : columns;

    GEMM(CblasRowMajor, ta, tb, rows, columns, terms, 1, a, a_row, b, b_row, how.add, c, columns);
}
