/* models.h -- the models that benchmarks step, and runs of them on one or two threads */
#ifndef MODELS_H
#define MODELS_H

#include "core/descent.h"

/* The default LSTM (2 layers of 20, log_sign) with fresh weights. The caller's. */
dsc_model *model_lstm(const dsc_kernel *kernel);

/* A hand-designed family with its default config. The caller's. */
dsc_model *model_plain(const dsc_family *family);

/* The floating-point operations of the default LSTM for one coordinate. */
#define MODEL_LSTM_FLOPS 9960.0

/* A crew of one thread, or of two that stand ready. */
dsc_crew crew_of(int threads);
void crew_end(dsc_crew *crew);

/* A run with a gradient and room for an update. */
struct stepper {
    dsc_run *run;
    size_t n;
    float *grad, *update;
    float *work[2];
    dsc_crew crew; /* one worker or two */
    int steps;     /* of one measurement */
};

void stepper_init(struct stepper *stepper, dsc_model *model, size_t n, int threads);
void stepper_clear(struct stepper *stepper);

void stepper_step(struct stepper *stepper); /* check, every range, advance */

/* Bench sides, arg is a stepper: seconds a step. */
double stepper_wall(void *stepper);
double stepper_cpu(void *stepper); /* of one thread's own time; one worker */

/* n numbers of all sizes that gradients have. */
void fill_gradient(float *grad, size_t n);

#endif
