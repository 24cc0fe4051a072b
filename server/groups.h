/* groups.h -- the coordinates of a session, grouped by the optimizer version that steps them
 *
 * A session's gradient is the concatenation of the tensors in its layout, and each tensor may name
 * its own optimizer. All coordinates of one version form one group, which is one run of the core.
 * The vectors of a step are in *group order*: the coordinates of group 0, then those of group 1,
 * and so on. With one group that is the client's order and nothing is ever copied.
 *
 * A step is a number of rounds, nearly always one: in each, every group takes the pass that it is
 * at (core/run.h), and between two rounds the groups draw their conclusions. The first rounds may
 * be proposals, which leave the state alone, so that a step whose update is not finite can still be
 * given up:
 *
 *     groups_check          may this gradient be taken, as far as is known before a round?
 *     rounds 0 .. proposals - 1, groups_join after each
 *     groups_check_update   the rest of the answer, where there were proposals
 *     the rounds that are left, groups_join between them
 *     groups_advance
 *
 * For the journal the state is cut into chunks: ranges of a group that may be of different ages,
 * because every coordinate is stepped by itself. A group whose family couples its coordinates is
 * one chunk, what they share included; one that remembers nothing has none.
 *
 * Owned by one session, whose turn the caller has; the ranges of one round may be computed on
 * several threads at once. */
#ifndef GROUPS_H
#define GROUPS_H

#include "core/descent.h"

struct groups;

/* The most versions in one session: a network has a few kinds of tensors. */
#define GROUPS_MAX 16

/* The next `len` coordinates of the client's gradient go to `group`. */
struct slice {
    size_t len;
    int group;
};

/* A piece of one group; begin and end count in its run and lie where dsc_run_phase wants them. */
struct range {
    int group;
    size_t begin, end;
};

/* `count` groups with one model each (a count of each is taken), whose coordinates the slices deal
 * out; every group gets at least one. State is initial, at step 0. *out is the caller's.
 * DSC_ENOMEM. */
bool groups_new(struct groups **out, dsc_model *const *model, int count, const struct slice *slice,
                size_t slices, dsc_err *err) DSC_MUST_CHECK;
void groups_free(struct groups *groups); /* NULL is fine */

size_t groups_n(const struct groups *groups); /* coordinates of all groups */
size_t groups_state_bytes(const struct groups *groups);
double groups_work(const struct groups *groups); /* about the multiply-adds of a step */
void groups_reset(struct groups *groups);        /* the initial state, step 0 */
void groups_set_steps(struct groups *groups, uint64_t steps);
void groups_set_imported(struct groups *groups, bool imported); /* see dsc_run_set_imported */

/* Their runs, for those who name what is in a state. */
int groups_count(const struct groups *groups);
dsc_run *groups_run(const struct groups *groups, int group);

/* Is group order another than the client's? Then gather makes it of the client's vector, and
 * scatter brings it back; to and from [n] do not overlap. */
bool groups_reordered(const struct groups *groups);
void groups_gather(const struct groups *groups, float *to, const float *from);
void groups_scatter(const struct groups *groups, float *to, const float *from);

/* May grad [n], finite, be the next step with every |update| <= limit? Changes nothing.
 * DSC_ENUMERIC with where = "update[i]", i in the client's order. See dsc_run_check. Where there
 * are proposals, their groups answer only with groups_check_update. */
bool groups_check(const struct groups *groups, const float *grad, double limit, float *work,
                  dsc_err *err) DSC_MUST_CHECK;

/* The rounds of a step; how many of them, from the first, are proposals. */
int groups_rounds(const struct groups *groups);
int groups_proposals(const struct groups *groups);

/* Cut what a round computes into about `want` ranges (at most `max`), for one thread each; returns
 * how many. */
size_t groups_split(const struct groups *groups, int round, size_t want, struct range *out,
                    size_t max);

/* Compute a range of a round of step t: update <- grad, both [n] in group order. */
void groups_span(struct groups *groups, uint64_t t, int round, const struct range *range,
                 const float *grad, float *update, float *work);

/* After every range of a round, and before any of the next; one thread. */
void groups_join(struct groups *groups, uint64_t t, int round);

/* After the proposals: is every |update| of the groups that proposed within the limit? update [n]
 * in group order. As groups_check. */
bool groups_check_update(const struct groups *groups, const float *update, double limit,
                         dsc_err *err) DSC_MUST_CHECK;

void groups_advance(struct groups *groups); /* every range of every round has been computed */

/* --- chunks --- */

/* The most there are, whatever n. */
#define GROUPS_CHUNKS_MAX 80

/* How many there are, and the bytes of one. The same for every session of equal versions and
 * slices, so indices may be stored. */
size_t groups_chunks(const struct groups *groups);
size_t groups_chunk_bytes(const struct groups *groups, size_t chunk);

/* Copy a chunk out of, or into, the state. bytes [groups_chunk_bytes]. */
void groups_chunk_save(struct groups *groups, size_t chunk, void *bytes);
void groups_chunk_load(struct groups *groups, size_t chunk, const void *bytes);

/* Take step t for the coordinates of one chunk alone, as a recovery does, or for all that no chunk
 * has. grad and update [n] in group order. */
void groups_chunk_replay(struct groups *groups, size_t chunk, uint64_t t, const float *grad,
                         float *update, float *work);
void groups_rest_replay(struct groups *groups, uint64_t t, const float *grad, float *update,
                        float *work);

#endif
