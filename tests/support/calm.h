/* calm.h -- the undisturbed run of a session, in this process
 *
 * Gradients are a pure function of (session, step) and the core is deterministic, so what a server
 * must answer, killed as often as one likes, is known to the bit. Keeps the last two updates,
 * because a server may be asked for the one before again. One thread at a time. */
#ifndef CALM_H
#define CALM_H

#include "core/descent.h"
#include "server/vector.h"

struct calm {
    uint64_t seed;
    enum vector_dtype dtype; /* gradients are exact in it; so is what the server reads */
    size_t n;
    dsc_run *run;
    float *work, *gradient, *update[2]; /* update[t % 2] is step t's */
};

/* Start at step 0. Takes a count of the model. */
bool calm_init(struct calm *calm, dsc_model *model, size_t n, uint64_t seed,
               enum vector_dtype dtype);
void calm_release(struct calm *calm);

/* The gradient of step t: magnitudes from 1e-6 (F16: 6e-5) to 16, both signs. Borrowed until the
 * next call. */
const float *calm_gradient(struct calm *calm, uint64_t t);

/* The update of step t: the next, or one of the last two. Borrowed. */
const float *calm_update(struct calm *calm, uint64_t t);

#endif
