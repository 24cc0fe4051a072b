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
 * The sums are averaging.c's. The shared numbers are of one step only; what lasts is in h.
 *
 * |h| <= 1 holds for a mean too, so the bound of `lstm` does. A step that it cannot vouch for is
 * refused: the state is written from the first pass on, so there is nothing to try it on.
 *
 * Source. Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016),
 * appendix D (where n is a network's parameters, and K is not said: the default is ours).
 * Held to account by tests/golden (PyTorch), tests/laws, tests/unit/test_family_lstm_gac.c. */
#include "family_lstm.h"

#include "averaging.h"
#include "model.h"

enum { AVERAGED_CELLS = DSC_LSTM_OWN_ROWS };

static const dsc_hyper_spec hyper_spec[] = {
    DSC_LSTM_ROWS(0),
    [AVERAGED_CELLS] = DSC_LSTM_ROW_AVERAGED,
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

static size_t partial_len(const dsc_hyper *hyper)
{
    return dsc_averaging_partial_len(averaged_of(hyper));
}

static size_t shared_len(const dsc_hyper *hyper)
{
    return averaged_of(hyper);
}

static void gac_join(const dsc_model *model, int phase, uint64_t t, const double *sum,
                     double *shared)
{
    (void)phase;
    (void)t;
    dsc_averaging_join(averaged_of(dsc_model_hyper(model)), sum, shared);
}

/* --- one pass --- */

static void gac_step(const dsc_model *model, const dsc_span *span)
{
    const dsc_kernel *const kernel = dsc_model_kernel(model);
    const size_t layer = (size_t)span->phase;
    dsc_lstm_step step = dsc_lstm_prepare(model, span);
    const dsc_averaging averaging = {step.width, step.hidden, averaged_of(dsc_model_hyper(model))};

    step.from = layer;
    step.to = layer + 1;
    if (layer > 0)
        dsc_averaging_put(&averaging, span, layer - 1, span->shared);
    kernel->lstm(&step);
    if (layer < step.layers)
        dsc_averaging_add(&averaging, kernel->rules, span, layer);
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
