/* family_lstm_gac.c -- the LSTM with global averaging cells: coordinates that tell each other
 * something
 *
 * The network is that of `lstm`, with the same weights under the same names. In addition the first
 * K cells of every layer are averaged: when a layer is done, the outgoing activation h of each of
 * them is replaced by its mean over all coordinates,
 *
 *     h_j(k) <- 1/n sum over coordinates i of h_j(i)             for j < K, in every layer
 *
 * and it is the mean that goes up to the next layer and into the next step. Their memory c is not
 * averaged. The coordinates are all those of the session that this version steps; with K = 0 this
 * is `lstm`.
 *
 * A layer needs the means of the one below, so a step is one pass a layer and one for the readout,
 * and between two of them a join makes means of sums:
 *
 *     pass p    h of layer p - 1 <- its means (not in pass 0);   layer p, or the readout
 *               partial <- sums of the first K h of layer p, and the number of coordinates
 *     join p    shared <- sums / coordinates
 *
 * Sums are double and taken in the order of the blocks, so they have the same bits on every kernel
 * and for any split into ranges. The shared numbers are of one step only; what lasts is in h.
 *
 * |h| <= 1 holds for a mean too, so the bound of `lstm` does. A step that it cannot vouch for is
 * refused: the state is written from the first pass on, so there is nothing to try it on.
 *
 * Source. Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016),
 * appendix D (where n is a network's parameters, and K is not said: the default is ours).
 * Held to account by tests/golden (PyTorch), tests/laws, tests/unit/test_family_lstm_gac.c. */
#include "family_lstm.h"

#include "model.h"
#include "rule.h"

#include <string.h>

enum { AVERAGED_CELLS = DSC_LSTM_OWN_ROWS };

static const dsc_hyper_spec hyper_spec[] = {
    DSC_LSTM_ROWS,
    [AVERAGED_CELLS] = {.name = "averaged_cells",
                        .kind = DSC_HYPER_INT,
                        .min = 0,
                        .max = DSC_LSTM_HIDDEN_MAX,
                        .initial = 2,
                        .at_most = "hidden_size",
                        .doc = "Cells of a layer whose output is averaged over all coordinates."},
    {.name = NULL},
};

static size_t averaged_of(const dsc_hyper *hyper)
{
    return (size_t)hyper->value[AVERAGED_CELLS];
}

/* A file of one cell has no second to average. */
static bool gac_hyper_guess(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err)
{
    if (!dsc_lstm_guess(hyper, hyper_spec, file, err))
        return false;
    if (hyper->value[AVERAGED_CELLS] > hyper->value[DSC_LSTM_HIDDEN_SIZE])
        hyper->value[AVERAGED_CELLS] = hyper->value[DSC_LSTM_HIDDEN_SIZE];
    return true;
}

/* --- passes and joins --- */

static int gac_phases(const dsc_hyper *hyper)
{
    return (int)hyper->value[DSC_LSTM_LAYERS] + 1;
}

/* The sums of a layer, and behind them how many coordinates were added. */
static size_t partial_len(const dsc_hyper *hyper)
{
    return averaged_of(hyper) + 1;
}

static size_t shared_len(const dsc_hyper *hyper)
{
    return averaged_of(hyper);
}

static void gac_join(const dsc_model *model, int phase, uint64_t t, const double *sum,
                     double *shared)
{
    const size_t averaged = averaged_of(dsc_model_hyper(model));

    (void)phase;
    (void)t;
    for (size_t j = 0; j < averaged; j++)
        shared[j] = sum[j] / sum[averaged];
}

/* --- one pass --- */

/* h [hidden] of a layer, in the block that begins at coordinate c. */
static float *rows_of(const dsc_span *span, const dsc_lstm_step *step, size_t layer, size_t c)
{
    return span->state + c * step->width + 2 * layer * step->hidden * dsc_state_block(c, span->n);
}

static void put_means(const dsc_span *span, const dsc_lstm_step *step, size_t layer,
                      size_t averaged)
{
    for (size_t c = 0, lanes; c < span->n; c += lanes) {
        float *const h = rows_of(span, step, layer, c);

        lanes = dsc_state_block(c, span->n);
        for (size_t j = 0; j < averaged; j++)
            for (size_t i = 0; i < lanes; i++)
                h[j * lanes + i] = (float)span->shared[j];
    }
}

/* Of the first n lanes of one row, as sixteen sums. */
static void add_row(const dsc_rules *rules, double *sums, const float *row, size_t lanes, size_t n)
{
    float one[DSC_BLOCK];

    for (size_t i = 0; i < lanes; i++)
        one[i] = i < n ? 1 : 0;
    rules->dot(sums, row, one, lanes);
}

static void add_cell(const dsc_rules *rules, const dsc_span *span, const dsc_lstm_step *step,
                     size_t layer, size_t cell)
{
    double sums[DSC_LANES] = {0};

    for (size_t c = 0, lanes; c < span->n; c += lanes) {
        lanes = dsc_state_block(c, span->n);
        add_row(rules, sums, rows_of(span, step, layer, c) + cell * lanes, lanes, span->n - c);
    }
    for (size_t lane = 0; lane < DSC_LANES; lane++)
        span->partial[cell] += sums[lane];
}

static void gac_step(const dsc_model *model, const dsc_span *span)
{
    const size_t averaged = averaged_of(dsc_model_hyper(model)), layer = (size_t)span->phase;
    const dsc_kernel *const kernel = dsc_model_kernel(model);
    dsc_lstm_step step = dsc_lstm_prepare(model, span);

    step.from = layer;
    step.to = layer + 1;
    if (layer > 0)
        put_means(span, &step, layer - 1, averaged);
    kernel->lstm(&step);
    for (size_t j = 0; layer < step.layers && j < averaged; j++)
        add_cell(kernel->rules, span, &step, layer, j);
    span->partial[averaged] += (double)span->n;
}

static const dsc_coupled coupled = {
    .phases = gac_phases,
    .proposes = false,
    .remembers = false,
    .partial_len = partial_len,
    .shared_len = shared_len,
    .join = gac_join,
};

const dsc_family dsc_family_lstm_gac = {
    .name = "lstm_gac",
    .doc = "The LSTM, with some cells of every layer averaged over all coordinates.",
    .source = "Andrychowicz et al. 2016, appendix D; beginnings as `lstm`.",
    .hyper = hyper_spec,
    .phi_layout = dsc_lstm_phi_layout,
    .phi_init = dsc_lstm_phi_init,
    .hyper_guess = gac_hyper_guess,
    .state_layout = dsc_lstm_state_layout,
    .pack_len = dsc_lstm_pack_len,
    .pack = dsc_lstm_pack,
    .work_len = dsc_lstm_scratch,
    .update_bound = dsc_lstm_update_bound,
    .step = gac_step,
    .coupled = &coupled,
};
