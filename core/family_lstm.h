/* family_lstm.h -- what a hyper of the `lstm` family says, for those who calculate with it */
#ifndef DSC_FAMILY_LSTM_H
#define DSC_FAMILY_LSTM_H

#include "hyper.h"
#include "lstm_kernel.h"

typedef struct {
    size_t hidden, layers, inputs; /* cells of a layer; layers; what a gradient becomes */
    dsc_lstm_input input;
    float output_scale;
} dsc_lstm_config;

dsc_lstm_config dsc_lstm_config_of(const dsc_hyper *hyper);

#endif
