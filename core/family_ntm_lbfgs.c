/* family_ntm_lbfgs.c -- an LSTM with an external memory of low rank: a network that can learn to do
 * what L-BFGS does
 *
 * The controller is `lstm_gac`. Beside it there is a matrix M over pairs of coordinates, which
 * stands for the inverse Hessian; it is never formed. Each coordinate emits the parts of vectors:
 * for each of R read heads r, to be multiplied with M, and for each of W write heads a and b, whose
 * outer product is added to M. Only the writes of the last m steps are kept:
 *
 *     M = sigma I + memory_gain * sum over the kept writes of a b'
 *
 * and at step t every coordinate k computes
 *
 *     i_j = (M r_j)_k = sigma r_j + memory_gain * sum of a (b . r_j)         r from step t - 1
 *     x = [preprocessed gradient, i_1 .. i_R]
 *     h = layers of LSTM cells on x, the first cells of each layer averaged
 *     g, r_1 .. r_R, a_1 .. a_W, b_1 .. b_W = output.weight h + output.bias
 *     update = output_scale g
 *
 * The read sees the memory from before this step's write. All of r, a and b are 0 at the start, so
 * M is sigma I. A read is m W R scalar products over all coordinates and as many additions: O(n m W
 * R), where a full matrix takes n^2. With one read head and three write heads the network has what
 * it needs to carry out BFGS, three steps of it for each of the algorithm's.
 *
 *     pass 0             b . r, by tiles
 *     pass 1             i and x; layer 0; sums of its averaged cells
 *     pass 2 .. layers   means of the layer below; a layer; sums
 *     last pass          means of the last layer; the readout: the update, r, and the oldest write
 *                        is overwritten
 *
 * State of a coordinate: h and c of every layer, r [R], a [m W], b [m W], whose row s W + w is
 * write head w in the slot s of a ring; the step t goes to slot t mod m. 141 floats by default.
 *
 * |h| <= 1, so every answer is bounded whatever was read, and the products are bounded by answers:
 * the update is known to be finite beforehand unless weights are absurd, as in `lstm_gac`.
 *
 * Source. Andrychowicz et al., Learning to learn by gradient descent by gradient descent (2016),
 * appendix D (NTM-BFGS and its low-rank form; sigma, the gain and the beginning are ours).
 * Held to account by tests/golden (the formulas above in float64, with M formed), tests/laws,
 * tests/unit/test_family_ntm_lbfgs.c. */
#include "averaging.h"
#include "family_lstm.h"
#include "lstm.h"
#include "model.h"
#include "net.h"

#include <math.h>
#include <string.h>

enum { AVERAGED_CELLS = DSC_LSTM_OWN_ROWS, READ_HEADS, WRITE_HEADS, SIGMA, MEMORY_GAIN, WINDOW };
enum { HEADS_MAX = 4, WINDOW_MAX = 100 };

static const dsc_hyper_spec hyper_spec[] = {
    DSC_LSTM_ROWS(1),
    [AVERAGED_CELLS] = DSC_LSTM_ROW_AVERAGED,
    [READ_HEADS] = {.name = "read_heads",
                    .kind = DSC_HYPER_INT,
                    .min = 1,
                    .max = HEADS_MAX,
                    .initial = 1,
                    .doc = "Vectors that are multiplied with the memory at each step."},
    [WRITE_HEADS] = {.name = "write_heads",
                     .kind = DSC_HYPER_INT,
                     .min = 1,
                     .max = HEADS_MAX,
                     .initial = 3,
                     .doc = "Outer products that are added to the memory at each step."},
    [SIGMA] = {.name = "sigma",
               .kind = DSC_HYPER_REAL,
               .min = 0,
               .max = 1e6,
               .initial = 1,
               .doc = "The memory begins as the identity times this."},
    [MEMORY_GAIN] = {.name = "memory_gain",
                     .kind = DSC_HYPER_REAL,
                     .min = 0,
                     .max = 1e6,
                     .initial = 0.1,
                     .doc = "Multiplies what is written."},
    [WINDOW] = {.name = "window",
                .kind = DSC_HYPER_INT,
                .min = 1,
                .max = WINDOW_MAX,
                .initial = 10,
                .doc = "Steps whose writes are kept."},
    {.name = NULL},
};

/* --- sizes --- */

typedef struct {
    dsc_net net;
    size_t features; /* of a gradient; the reads come behind them */
    size_t reads, writes, window, averaged;
    size_t width; /* numbers of a coordinate */
} shape;

static shape shape_of(const dsc_hyper *hyper)
{
    const double *const value = hyper->value;
    shape s = {.features = value[DSC_LSTM_PREPROCESSING] == DSC_LSTM_LOG_SIGN ? 2 : 1,
               .reads = (size_t)value[READ_HEADS],
               .writes = (size_t)value[WRITE_HEADS],
               .window = (size_t)value[WINDOW],
               .averaged = (size_t)value[AVERAGED_CELLS]};

    s.net = (dsc_net) {.inputs = s.features + s.reads,
                       .hidden = (size_t)value[DSC_LSTM_HIDDEN_SIZE],
                       .layers = (size_t)value[DSC_LSTM_LAYERS],
                       .answers = 1 + s.reads + 2 * s.writes};
    s.width = 2 * s.net.layers * s.net.hidden + s.reads + 2 * s.window * s.writes;
    return s;
}

static void ntm_phi_layout(dsc_layout *phi, const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);

    dsc_net_layout(phi, &s.net);
}

static void ntm_phi_init(float *phi, dsc_rng *rng, const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);

    dsc_net_init(phi, rng, &s.net);
}

static void ntm_state_layout(dsc_layout *state, const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);

    dsc_net_state_layout(state, &s.net);
    dsc_layout_add(state, "r", 0, 1, s.reads, 0);
    dsc_layout_add(state, "a", 0, 1, s.window * s.writes, 0);
    dsc_layout_add(state, "b", 0, 1, s.window * s.writes, 0);
}

static size_t ntm_pack_len(const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);

    return dsc_net_pack_len(&s.net);
}

static void ntm_pack(float *packed, const float *phi, const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);

    dsc_net_pack(packed, phi, &s.net);
}

/* --- reading sizes from a file --- */

/* The number of answers says whether the read heads are even or odd in number, and the number of
 * inputs is one or two more than theirs: only one of the two fits. */
static bool guess_heads(dsc_hyper *hyper, size_t inputs, size_t answers)
{
    const size_t features = (inputs + answers) % 2 == 1 ? 2 : 1;
    const size_t reads = inputs - features;

    if (inputs <= features || reads > HEADS_MAX || answers < 1 + reads + 2 ||
        answers > 1 + reads + 2 * HEADS_MAX)
        return false;
    hyper->value[DSC_LSTM_PREPROCESSING] = features == 2 ? DSC_LSTM_LOG_SIGN : DSC_LSTM_NONE;
    hyper->value[READ_HEADS] = (double)reads;
    hyper->value[WRITE_HEADS] = (double)((answers - 1 - reads) / 2);
    return true;
}

static bool guess_cells(dsc_hyper *hyper, const dsc_layout *file, size_t hidden)
{
    int layers = 1;

    if (hidden < 1 || hidden > DSC_LSTM_HIDDEN_MAX)
        return false;
    for (char name[] = "lstm.weight_ih_l1";
         layers < DSC_LSTM_LAYERS_MAX && dsc_layout_find(file, name);)
        name[sizeof name - 2] = (char)('0' + ++layers);
    hyper->value[DSC_LSTM_HIDDEN_SIZE] = (double)hidden;
    hyper->value[DSC_LSTM_LAYERS] = layers;
    hyper->value[DSC_LSTM_OUTPUT_SCALE] = 1;
    if (hyper->value[AVERAGED_CELLS] > (double)hidden)
        hyper->value[AVERAGED_CELLS] = (double)hidden;
    return true;
}

static bool ntm_hyper_guess(dsc_hyper *hyper, const dsc_layout *file, dsc_err *err)
{
    const dsc_tensor *const output = dsc_layout_find(file, "output.weight");
    const dsc_tensor *const first = dsc_layout_find(file, "lstm.weight_ih_l0");
    dsc_layout want = {0};

    dsc_hyper_init(hyper, hyper_spec);
    if (!output || !first || output->rank != 2 || first->rank != 2)
        return dsc_fail(err, DSC_EWEIGHTS, output ? "lstm.weight_ih_l0" : "output.weight",
                        "must be there, a matrix");
    if (!guess_heads(hyper, first->shape[1], output->shape[0]) ||
        !guess_cells(hyper, file, output->shape[1]))
        return dsc_fail(err, DSC_EWEIGHTS, "output.weight",
                        "must have 1 + R + 2 W rows, where lstm.weight_ih_l0 has R + 1 or R + 2 "
                        "columns; heads from 1 to %d",
                        HEADS_MAX);
    ntm_phi_layout(&want, hyper);
    return dsc_layout_match(file, &want, err);
}

/* --- the shared numbers: products in pass 1, means in those after it --- */

static int ntm_phases(const dsc_hyper *hyper)
{
    return (int)hyper->value[DSC_LSTM_LAYERS] + 2;
}

static size_t products_of(const shape *s)
{
    return s->window * s->writes * s->reads;
}

static size_t partial_len(const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);
    const size_t sums = dsc_averaging_partial_len(s.averaged);

    return products_of(&s) > sums ? products_of(&s) : sums;
}

static void ntm_join(const dsc_model *model, int phase, uint64_t t, const double *sum,
                     double *shared)
{
    const shape s = shape_of(dsc_model_hyper(model));

    (void)t;
    if (phase == 0)
        memcpy(shared, sum, products_of(&s) * sizeof *shared);
    else
        dsc_averaging_join(s.averaged, sum, shared);
}

/* --- a block --- */

typedef struct {
    size_t lanes, left; /* of them coordinates */
    float *cells;       /* h_l0, c_l0, h_l1, ... */
    float *r, *a, *b;   /* rows of the state */
} block;

static block block_at(const dsc_span *span, size_t c, const shape *s)
{
    const size_t lanes = dsc_state_block(c, span->n);
    float *const cells = span->state + c * s->width;
    float *const r = cells + 2 * s->net.layers * s->net.hidden * lanes;
    float *const a = r + s->reads * lanes;

    return (block) {.lanes = lanes,
                    .left = span->n - c < lanes ? span->n - c : lanes,
                    .cells = cells,
                    .r = r,
                    .a = a,
                    .b = a + s->window * s->writes * lanes};
}

/* Writes that there have been, in the slots from 0. */
static size_t writes_at(const shape *s, uint64_t t)
{
    return (t < s->window ? (size_t)t : s->window) * s->writes;
}

/* --- pass 0: b . r --- */

/* Lanes beyond n are left out: their coordinates do not exist, but they have memories. */
static void multiply_block(const dsc_rules *rules, const shape *s, const block *b, size_t writes,
                           double *sums)
{
    float r[DSC_BLOCK];

    for (size_t j = 0; j < s->reads; j++) {
        memset(r, 0, sizeof r);
        memcpy(r, b->r + j * b->lanes, b->left * sizeof *r);
        for (size_t w = 0; w < writes; w++)
            rules->dot(sums + (w * s->reads + j) * DSC_LANES, b->b + w * b->lanes, r, b->lanes);
    }
}

static void multiply(const dsc_model *model, const dsc_span *span, const shape *s)
{
    const size_t writes = writes_at(s, span->t), products = writes * s->reads;
    double *const sums = (double *)(void *)span->work;

    memset(sums, 0, products * DSC_LANES * sizeof *sums);
    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, s);

        multiply_block(dsc_model_kernel(model)->rules, s, &b, writes, sums);
    }
    for (size_t p = 0; p < products; p++)
        for (size_t lane = 0; lane < DSC_LANES; lane++)
            span->partial[p] += sums[p * DSC_LANES + lane];
}

/* --- pass 1: what the network sees, and its first layer --- */

/* x [lanes] <- M r_j */
static void read_memory(const dsc_model *model, const dsc_span *span, const shape *s,
                        const block *b, size_t j, float *x)
{
    const double *const value = dsc_model_hyper(model)->value;
    const dsc_rules *const rules = dsc_model_kernel(model)->rules;
    double sum[DSC_BLOCK] = {0};

    rules->add(sum, value[SIGMA], b->r + j * b->lanes, b->lanes);
    for (size_t w = 0; w < writes_at(s, span->t); w++)
        rules->add(sum, value[MEMORY_GAIN] * span->shared[w * s->reads + j], b->a + w * b->lanes,
                   b->lanes);
    for (size_t i = 0; i < b->lanes; i++)
        x[i] = (float)sum[i];
}

static dsc_lstm_step cells_of(const dsc_model *model, const dsc_span *span, const shape *s)
{
    dsc_lstm_step cells = dsc_lstm_prepare(model, span);

    cells.inputs = s->net.inputs;
    return cells;
}

static void first_layer(const dsc_model *model, const dsc_span *span, const shape *s)
{
    const dsc_kernel *const kernel = dsc_model_kernel(model);
    dsc_lstm_step cells = cells_of(model, span, s);
    float x[(DSC_LSTM_INPUTS_MAX + HEADS_MAX) * DSC_BLOCK];

    cells.from = 0;
    cells.to = 1;
    cells.given = x;
    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, s);
        float grad[DSC_BLOCK] = {0};

        memcpy(grad, span->grad + c, b.left * sizeof *grad);
        kernel->maths->inputs(&cells.input, grad, x, b.lanes);
        for (size_t j = 0; j < s->reads; j++)
            read_memory(model, span, s, &b, j, x + (s->features + j) * b.lanes);
        cells.n = b.left;
        cells.state = b.cells;
        kernel->lstm(&cells);
    }
}

/* --- the passes after it --- */

static void next_layer(const dsc_model *model, const dsc_span *span, const shape *s, size_t layer)
{
    dsc_lstm_step cells = cells_of(model, span, s);

    cells.from = layer;
    cells.to = layer + 1;
    dsc_model_kernel(model)->lstm(&cells);
}

/* Row `answer` of the readout for a block. */
static void answer(const dsc_model *model, const shape *s, const block *b, size_t row, float *out)
{
    const float *const h = b->cells + 2 * (s->net.layers - 1) * s->net.hidden * b->lanes;

    dsc_model_kernel(model)->rules->affine(
        out, dsc_net_answer(dsc_model_packed(model), &s->net, row), h, s->net.hidden, b->lanes);
}

static void read_out(const dsc_model *model, const dsc_span *span, const shape *s)
{
    const float scale = (float)dsc_model_hyper(model)->value[DSC_LSTM_OUTPUT_SCALE];
    const size_t slot = (size_t)(span->t % s->window) * s->writes;

    for (size_t c = 0; c < span->n; c += dsc_state_block(c, span->n)) {
        const block b = block_at(span, c, s);
        float update[DSC_BLOCK];

        answer(model, s, &b, 0, update);
        for (size_t i = 0; i < b.left; i++)
            span->update[c + i] = scale * update[i];
        for (size_t j = 0; j < s->reads; j++)
            answer(model, s, &b, 1 + j, b.r + j * b.lanes);
        for (size_t w = 0; w < s->writes; w++) {
            answer(model, s, &b, 1 + s->reads + w, b.a + (slot + w) * b.lanes);
            answer(model, s, &b, 1 + s->reads + s->writes + w, b.b + (slot + w) * b.lanes);
        }
    }
}

static void ntm_step(const dsc_model *model, const dsc_span *span)
{
    const shape s = shape_of(dsc_model_hyper(model));
    const dsc_averaging averaging = {s.width, s.net.hidden, s.averaged};
    const size_t layer = (size_t)span->phase - 1;

    if (span->phase == 0) {
        multiply(model, span, &s);
        return;
    }
    if (layer > 0)
        dsc_averaging_put(&averaging, span, layer - 1, span->shared);
    if (layer == s.net.layers) {
        read_out(model, span, &s);
        return;
    }
    if (layer == 0)
        first_layer(model, span, &s);
    else
        next_layer(model, span, &s, layer);
    dsc_averaging_add(&averaging, dsc_model_kernel(model)->rules, span, layer);
}

/* --- the family --- */

/* In floats: the sums of pass 0, or the kernel's scratch. */
static size_t ntm_work_len(const dsc_hyper *hyper)
{
    const shape s = shape_of(hyper);
    const size_t sums = 2 * products_of(&s) * DSC_LANES, kernel = dsc_lstm_scratch(hyper);

    return sums > kernel ? sums : kernel;
}

/* Every r, a and b is an answer of the network, and a product of two is summed over no more
 * coordinates than anyone has. */
static double ntm_update_bound(const dsc_model *model, double grad_max, double state_max)
{
    const double coordinates_max = 0x1p40;
    const dsc_hyper *const hyper = dsc_model_hyper(model);
    const double *const value = hyper->value;
    const float *const packed = dsc_model_packed(model);
    const shape s = shape_of(hyper);
    const double most = dsc_net_bound(packed, &s.net, 1);
    const double written = (double)(s.window * s.writes) * coordinates_max * most * most * most;
    const double read = value[SIGMA] * most + value[MEMORY_GAIN] * written;
    const double input = fmax(dsc_lstm_input_bound(hyper, grad_max), read);

    (void)state_max;
    return isfinite(input) ? dsc_net_bound(packed, &s.net, input) * value[DSC_LSTM_OUTPUT_SCALE]
                           : INFINITY;
}

static const dsc_coupled coupled = {
    .phases = ntm_phases,
    .proposes = false,
    .remembers = false,
    .partial_len = partial_len,
    .shared_len = partial_len,
    .join = ntm_join,
};

const dsc_family dsc_family_ntm_lbfgs = {
    .name = "ntm_lbfgs",
    .doc = "lstm_gac with an external memory of low rank, from which it can read curvature.",
    .source =
        "Andrychowicz et al. 2016, appendix D; sigma, memory_gain and the beginning are ours.",
    .hyper = hyper_spec,
    .phi_layout = ntm_phi_layout,
    .phi_init = ntm_phi_init,
    .hyper_guess = ntm_hyper_guess,
    .state_layout = ntm_state_layout,
    .pack_len = ntm_pack_len,
    .pack = ntm_pack,
    .work_len = ntm_work_len,
    .update_bound = ntm_update_bound,
    .step = ntm_step,
    .coupled = &coupled,
};
