/* coupling.c -- sums over the tiles of a run, and the numbers that all of them share */
#include "coupling.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const dsc_coupled *coupled_of(const dsc_model *model)
{
    return dsc_model_family(model)->coupled;
}

/* At least one number, so that none is NULL; NULL when there is no memory, or never could be. */
static double *numbers_new(size_t rows, size_t cols)
{
    size_t len;

    return __builtin_mul_overflow(rows, cols, &len) || len >= SIZE_MAX / sizeof(double)
               ? NULL
               : calloc(len + 1, sizeof(double));
}

bool dsc_coupling_init(dsc_coupling *coupling, const dsc_model *model, size_t n)
{
    const dsc_coupled *const coupled = coupled_of(model);

    *coupling = (dsc_coupling) {0};
    if (!coupled)
        return true;
    coupling->tiles = (n - 1) / DSC_TILE + 1;
    coupling->partial_len = coupled->partial_len(dsc_model_hyper(model));
    coupling->shared_len = coupled->shared_len(dsc_model_hyper(model));
    coupling->partial = numbers_new(coupling->tiles, coupling->partial_len);
    coupling->sum = numbers_new(1, coupling->partial_len);
    coupling->kept = numbers_new(1, coupling->shared_len);
    coupling->draft = numbers_new(1, coupling->shared_len);
    if (coupling->partial && coupling->sum && coupling->kept && coupling->draft)
        return true;
    dsc_coupling_release(coupling);
    return false;
}

void dsc_coupling_release(dsc_coupling *coupling)
{
    free(coupling->partial);
    free(coupling->sum);
    free(coupling->kept);
    free(coupling->draft);
    *coupling = (dsc_coupling) {0};
}

static void set_zero(double *x, size_t len)
{
    if (len > 0)
        memset(x, 0, len * sizeof *x);
}

static void copy(double *to, const double *from, size_t len)
{
    if (len > 0)
        memcpy(to, from, len * sizeof *to);
}

void dsc_coupling_reset(dsc_coupling *coupling)
{
    set_zero(coupling->kept, coupling->shared_len);
}

double *dsc_coupling_row(const dsc_coupling *coupling, size_t c)
{
    double *const row = coupling->partial + c / DSC_TILE * coupling->partial_len;

    assert(c % DSC_TILE == 0 && c / DSC_TILE < coupling->tiles);
    set_zero(row, coupling->partial_len);
    return row;
}

const double *dsc_coupling_shared(const dsc_coupling *coupling, int phase)
{
    return phase == 0 ? coupling->kept : coupling->draft;
}

static void add_tiles(const dsc_coupling *coupling)
{
    set_zero(coupling->sum, coupling->partial_len);
    for (size_t tile = 0; tile < coupling->tiles; tile++)
        for (size_t i = 0; i < coupling->partial_len; i++)
            coupling->sum[i] += coupling->partial[tile * coupling->partial_len + i];
}

void dsc_coupling_join(const dsc_coupling *coupling, const dsc_model *model, uint64_t t, int phase)
{
    add_tiles(coupling);
    if (phase == 0)
        copy(coupling->draft, coupling->kept, coupling->shared_len);
    coupled_of(model)->join(model, phase, t, coupling->sum, coupling->draft);
}

void dsc_coupling_keep(const dsc_coupling *coupling)
{
    copy(coupling->kept, coupling->draft, coupling->shared_len);
}
