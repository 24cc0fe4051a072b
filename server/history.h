/* history.h -- what is shown of a session's steps: the loss, the norm of the gradient, that of the
 * update
 *
 * A step must not wait for its history, so an entry travels in the row of the step's gradient, and
 * eighty of them become one row of the history when the gradients are let go of. What is not there
 * yet is the trail, in memory and, in pieces, in those gradients' rows:
 *
 *     history rows [0, 80) [80, 160) ... | trail: entries of the steps since, the last one just
 * taken
 *
 * The update's norm is known when the step is over, so the next step's row has it; a recovery
 * computes that of the last step again. Plain data; whoever has the session's turn may change it.
 */
#ifndef HISTORY_H
#define HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_entry {
    double loss; /* NaN: the client sent none */
    double gradient_norm;
    double update_norm; /* NaN: not known yet */
};

enum { HISTORY_BLOCK = 80 }; /* entries in a row; the steps in which every chunk is written once */

struct history_trail {
    uint64_t first; /* step of entry[0] */
    size_t count;
    struct history_entry entry[HISTORY_BLOCK];
};

void history_restart(struct history_trail *trail, uint64_t step); /* none before this step */

/* Is a row full before step t, so that it is to be written with it? */
bool history_due(const struct history_trail *trail, uint64_t t);

/* The entry of the step behind the last. There is room: the trail was restarted when it was due. */
void history_add(struct history_trail *trail, const struct history_entry *entry);

/* What the row of step t's gradient had: entries up to that of t. Those before `from` are in the
 * history already; later rows know more of a step. */
void history_merge(struct history_trail *trail, uint64_t t, const struct history_entry *entry,
                   size_t count, uint64_t from);

/* --- fewer points --- */

struct history_point {
    uint64_t step;
    struct history_entry entry;
};

/* Thins a series of known ends out to at most `max` points, at least 8: the first, the last, and of
 * each of equal stretches of steps the smallest and the largest of each of the three numbers, so
 * that no extreme is lost. */
struct history_sampler {
    uint64_t first, last; /* steps */
    size_t stretches, max;
    bool all; /* nothing has to be left out */
    struct history_point *kept;
    size_t count;
};

/* total entries, of steps first to last. False when there is no memory. */
bool history_sampler_open(struct history_sampler *sampler, uint64_t total, uint64_t first,
                          uint64_t last, size_t max);
void history_sampler_close(struct history_sampler *sampler);

/* The next entry; steps ascend. */
void history_sample(struct history_sampler *sampler, uint64_t step,
                    const struct history_entry *entry);

/* Afterwards: the points by step, *count of them; borrowed from the sampler. */
const struct history_point *history_points(struct history_sampler *sampler, size_t *count);

#endif
