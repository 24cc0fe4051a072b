/* family_lstm.h -- what the families made of LSTM cells have in common with `lstm`
 *
 * Their configs begin with its rows, in its order, and their weights and states are its own, so
 * what follows reads the config of any of them. Pure functions, any thread. */
#ifndef DSC_FAMILY_LSTM_H
#define DSC_FAMILY_LSTM_H

#include "family.h"
#include "hyper.h"
#include "lstm_kernel.h"

enum {
    DSC_LSTM_HIDDEN_SIZE,
    DSC_LSTM_LAYERS,
    DSC_LSTM_PREPROCESSING,
    DSC_LSTM_P,
    DSC_LSTM_INPUT_SCALE,
    DSC_LSTM_OUTPUT_SCALE,
    DSC_LSTM_OWN_ROWS /* the first row of a family's own */
};

enum { DSC_LSTM_LOG_SIGN, DSC_LSTM_NONE };
enum { DSC_LSTM_HIDDEN_MAX = 256, DSC_LSTM_LAYERS_MAX = 4 };

extern const char *const dsc_lstm_preprocessings[];

/* The rows with which a table begins; `least` layers at least. */
#define DSC_LSTM_ROWS(least)                                                                       \
    [DSC_LSTM_HIDDEN_SIZE] = {.name = "hidden_size",                                               \
                              .kind = DSC_HYPER_INT,                                               \
                              .min = 1,                                                            \
                              .max = DSC_LSTM_HIDDEN_MAX,                                          \
                              .initial = 20,                                                       \
                              .doc = "Cells of a layer."},                                         \
    [DSC_LSTM_LAYERS] = {.name = "layers",                                                         \
                         .kind = DSC_HYPER_INT,                                                    \
                         .min = (least),                                                           \
                         .max = DSC_LSTM_LAYERS_MAX,                                               \
                         .initial = 2,                                                             \
                         .doc =                                                                    \
                             "Layers of cells; with 0 the update is a linear map of the input."},  \
    [DSC_LSTM_PREPROCESSING] =                                                                     \
        {.name = "preprocessing",                                                                  \
         .kind = DSC_HYPER_WORD,                                                                   \
         .max = DSC_LSTM_NONE,                                                                     \
         .initial = DSC_LSTM_LOG_SIGN,                                                             \
         .words = dsc_lstm_preprocessings,                                                         \
         .doc = "What is made of a gradient: its logarithm and sign, or itself."},                 \
    [DSC_LSTM_P] = {.name = "p",                                                                   \
                    .kind = DSC_HYPER_REAL,                                                        \
                    .min = 1,                                                                      \
                    .max = 100,                                                                    \
                    .initial = 10,                                                                 \
                    .doc = "log_sign tells gradients apart down to e^-p."},                        \
    [DSC_LSTM_INPUT_SCALE] = {.name = "input_scale",                                               \
                              .kind = DSC_HYPER_REAL,                                              \
                              .min = 0,                                                            \
                              .max = 1e30,                                                         \
                              .initial = 1,                                                        \
                              .open = true,                                                        \
                              .doc = "Multiplies the gradient when preprocessing is none."},       \
    [DSC_LSTM_OUTPUT_SCALE] = {.name = "output_scale",                                             \
                               .kind = DSC_HYPER_REAL,                                             \
                               .min = 0,                                                           \
                               .max = 1e30,                                                        \
                               .initial = 0.1,                                                     \
                               .open = true,                                                       \
                               .doc = "Multiplies the network's answer."}

/* Which cells are averaged, for families that do. */
#define DSC_LSTM_ROW_AVERAGED                                                                      \
    {                                                                                              \
        .name = "averaged_cells", .kind = DSC_HYPER_INT, .min = 0, .max = DSC_LSTM_HIDDEN_MAX,     \
        .initial = 2, .at_most = "hidden_size",                                                    \
        .doc = "Cells of a layer whose output is averaged over all coordinates.",                  \
    }

/* As calculations want it. */
typedef struct {
    size_t hidden, layers, inputs; /* cells of a layer; layers; what a gradient becomes */
    dsc_lstm_input input;
    float output_scale;
} dsc_lstm_config;

dsc_lstm_config dsc_lstm_config_of(const dsc_hyper *hyper);

/* Members of dsc_family. */
void dsc_lstm_phi_layout(dsc_layout *phi, const dsc_hyper *hyper);
void dsc_lstm_phi_init(float *phi, dsc_rng *rng, const dsc_hyper *hyper);
void dsc_lstm_state_layout(dsc_layout *state, const dsc_hyper *hyper);
size_t dsc_lstm_pack_len(const dsc_hyper *hyper);
void dsc_lstm_pack(float *packed, const float *phi, const dsc_hyper *hyper);
size_t dsc_lstm_scratch(const dsc_hyper *hyper);
double dsc_lstm_update_bound(const struct dsc_model *model, double grad_max, double state_max);

/* A dsc_family's hyper_guess, for a table of rows that begins as above; others get their defaults.
 */
bool dsc_lstm_guess(dsc_hyper *hyper, const dsc_hyper_spec *spec, const dsc_layout *file,
                    dsc_err *err);

/* The largest |input| of the network for gradients up to grad_max. */
double dsc_lstm_input_bound(const dsc_hyper *hyper, double grad_max);

/* All of a step, for the kernel. */
dsc_lstm_step dsc_lstm_prepare(const struct dsc_model *model, const dsc_span *span);

#endif
