/* groups.c -- one run of the core for each optimizer version of a session
 *
 * Group order puts the coordinates of each run side by side, so that a run works on a plain piece
 * of the gradient. The client's order is kept as slices; a session with one group has one slice and
 * is never copied.
 *
 * Chunks are laid out once: all groups together get at most GROUPS_CHUNKS_MAX, each of about equal
 * bytes and at block bounds, so that one of them can travel with every step's record. */
#include "groups.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A chunk smaller than this saves nothing: SQLite writes whole pages of this size. */
enum { CHUNK_BYTES_MIN = 65536 };

/* Fewer coordinates than this are not worth a second thread. */
enum { RANGE_MIN = 4096 };

struct group {
    dsc_run *run;
    size_t offset; /* of its first coordinate in group order */
};

/* A slice, and where it begins in group order. */
struct move {
    size_t len, place;
};

struct groups {
    int count;
    struct group group[GROUPS_MAX];
    size_t moves;
    struct move *move; /* in the client's order; NULL when that is group order */
    size_t n;
    size_t chunks;
    struct range chunk[GROUPS_CHUNKS_MAX];
};

/* --- pieces of a run --- */

/* Piece j of `parts` of n coordinates, at block bounds. */
static struct range piece(int group, size_t n, size_t parts, size_t j)
{
    const size_t blocks = (n + DSC_BLOCK - 1) / DSC_BLOCK;
    const size_t end = blocks * (j + 1) / parts * DSC_BLOCK;

    return (struct range) {group, blocks * j / parts * DSC_BLOCK, end < n ? end : n};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t state_bytes(const struct group *group)
{
    return dsc_model_state_len(dsc_run_model(group->run), dsc_run_n(group->run)) * sizeof(float);
}

/* Each group gets its bytes / target, rounded up, so one more at most: hence the subtraction. */
static void lay_chunks(struct groups *groups)
{
    const size_t share =
        groups_state_bytes(groups) / (size_t)(GROUPS_CHUNKS_MAX - groups->count) + 1;
    const size_t target = share > CHUNK_BYTES_MIN ? share : CHUNK_BYTES_MIN;

    for (int g = 0; g < groups->count; g++) {
        const size_t n = dsc_run_n(groups->group[g].run);
        const size_t blocks = (n + DSC_BLOCK - 1) / DSC_BLOCK;
        const size_t bytes = state_bytes(&groups->group[g]);
        const size_t parts = least((bytes + target - 1) / target, blocks);

        for (size_t j = 0; j < parts; j++) {
            assert(groups->chunks < GROUPS_CHUNKS_MAX);
            groups->chunk[groups->chunks++] = piece(g, n, parts, j);
        }
    }
}

/* --- life --- */

static size_t group_n(int group, const struct slice *slice, size_t slices)
{
    size_t n = 0;

    for (size_t i = 0; i < slices; i++)
        n += slice[i].group == group ? slice[i].len : 0;
    return n;
}

/* Do the slices come group by group already? */
static bool in_order(const struct slice *slice, size_t slices)
{
    for (size_t i = 1; i < slices; i++)
        if (slice[i].group < slice[i - 1].group)
            return false;
    return true;
}

static bool make_runs(struct groups *groups, dsc_model *const *model, int count,
                      const struct slice *slice, size_t slices, dsc_err *err)
{
    for (int g = 0; g < count; g++) {
        const size_t n = group_n(g, slice, slices);

        groups->group[g].offset = groups->n;
        if (!dsc_run_new(&groups->group[g].run, model[g], n, err))
            return false;
        groups->n += n;
        groups->count++;
    }
    return true;
}

/* What brings the client's order into group order: each group is filled from its offset on. */
static bool make_moves(struct groups *groups, const struct slice *slice, size_t slices)
{
    size_t filled[GROUPS_MAX] = {0};

    groups->move = calloc(slices, sizeof *groups->move);
    groups->moves = slices;
    for (size_t i = 0; groups->move && i < slices; i++) {
        const int g = slice[i].group;

        groups->move[i] = (struct move) {slice[i].len, groups->group[g].offset + filled[g]};
        filled[g] += slice[i].len;
    }
    return groups->move != NULL;
}

bool groups_new(struct groups **out, dsc_model *const *model, int count, const struct slice *slice,
                size_t slices, dsc_err *err)
{
    struct groups *const groups = calloc(1, sizeof *groups);

    assert(count >= 1 && count <= GROUPS_MAX);
    if (!groups)
        return dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the session");
    if (!make_runs(groups, model, count, slice, slices, err))
        goto fail;
    if (!in_order(slice, slices) && !make_moves(groups, slice, slices)) {
        (void)dsc_fail(err, DSC_ENOMEM, NULL, "no memory for the session's layout");
        goto fail;
    }
    lay_chunks(groups);
    *out = groups;
    return true;
fail:
    groups_free(groups);
    return false;
}

void groups_free(struct groups *groups)
{
    if (!groups)
        return;
    for (int g = 0; g < groups->count; g++)
        dsc_run_free(groups->group[g].run);
    free(groups->move);
    free(groups);
}

size_t groups_n(const struct groups *groups)
{
    return groups->n;
}

size_t groups_state_bytes(const struct groups *groups)
{
    size_t bytes = 0;

    for (int g = 0; g < groups->count; g++)
        bytes += state_bytes(&groups->group[g]);
    return bytes;
}

/* A coordinate meets each weight once, and each number of its state. */
double groups_work(const struct groups *groups)
{
    double work = 0;

    for (int g = 0; g < groups->count; g++) {
        const dsc_model *const model = dsc_run_model(groups->group[g].run);
        const size_t each =
            1 + dsc_model_phi_layout(model)->len + dsc_model_state_layout(model)->len;

        work += (double)each * (double)dsc_run_n(groups->group[g].run);
    }
    return work;
}

void groups_reset(struct groups *groups)
{
    for (int g = 0; g < groups->count; g++)
        dsc_run_reset(groups->group[g].run);
}

void groups_set_steps(struct groups *groups, uint64_t steps)
{
    for (int g = 0; g < groups->count; g++)
        dsc_run_set_steps(groups->group[g].run, steps);
}

/* --- order --- */

bool groups_reordered(const struct groups *groups)
{
    return groups->move != NULL;
}

void groups_gather(const struct groups *groups, float *to, const float *from)
{
    for (size_t i = 0; i < groups->moves; from += groups->move[i].len, i++)
        memcpy(to + groups->move[i].place, from, groups->move[i].len * sizeof *to);
}

void groups_scatter(const struct groups *groups, float *to, const float *from)
{
    for (size_t i = 0; i < groups->moves; to += groups->move[i].len, i++)
        memcpy(to, from + groups->move[i].place, groups->move[i].len * sizeof *to);
}

/* Where the client has the coordinate that is `at` in group order. */
static size_t client_place(const struct groups *groups, size_t at)
{
    size_t begin = 0;

    for (size_t i = 0; i < groups->moves; begin += groups->move[i].len, i++)
        if (at >= groups->move[i].place && at - groups->move[i].place < groups->move[i].len)
            return begin + at - groups->move[i].place;
    return at;
}

/* --- the step --- */

/* A failure of one run, whose sentence counts in that run, in the client's count. */
static bool fail_in_group(const struct groups *groups, size_t offset, const dsc_err *inner,
                          dsc_err *err)
{
    const char *const bracket = strchr(inner->where, '[');
    char where[sizeof inner->where];

    if (!bracket)
        return dsc_fail(err, inner->code, inner->where, "%s", inner->text);
    (void)snprintf(where, sizeof where, "%.*s[%zu]", (int)(bracket - inner->where), inner->where,
                   client_place(groups, offset + strtoull(bracket + 1, NULL, 10)));
    return dsc_fail(err, inner->code, where, "%s", inner->text);
}

bool groups_check(const struct groups *groups, const float *grad, double limit, float *work,
                  dsc_err *err)
{
    for (int g = 0; g < groups->count; g++) {
        const struct group *const group = &groups->group[g];
        dsc_err inner = {0};

        if (!dsc_run_check(group->run, grad + group->offset, limit, work, &inner))
            return fail_in_group(groups, group->offset, &inner, err);
    }
    return true;
}

size_t groups_split(const struct groups *groups, size_t want, struct range *out, size_t max)
{
    const size_t fair = groups->n / (want ? want : 1) + 1;
    const size_t target = fair > RANGE_MIN ? fair : RANGE_MIN;
    size_t count = 0;

    for (int g = 0; g < groups->count; g++) {
        const size_t n = dsc_run_n(groups->group[g].run);
        const size_t room = max - count - (size_t)(groups->count - 1 - g); /* one for each later */
        const size_t parts = least((n + target - 1) / target, room);

        for (size_t j = 0; j < parts; j++) {
            out[count] = piece(g, n, parts, j);
            count += out[count].begin < out[count].end;
        }
    }
    return count;
}

void groups_span(struct groups *groups, uint64_t t, const struct range *range, const float *grad,
                 float *update, float *work)
{
    const struct group *const group = &groups->group[range->group];
    const size_t at = group->offset + range->begin;

    dsc_run_span(group->run, t, range->begin, range->end, grad + at, update + at, work);
}

void groups_advance(struct groups *groups)
{
    for (int g = 0; g < groups->count; g++)
        dsc_run_advance(groups->group[g].run);
}

/* --- chunks --- */

size_t groups_chunks(const struct groups *groups)
{
    return groups->chunks;
}

static float *chunk_state(const struct groups *groups, size_t chunk, size_t *bytes)
{
    const struct range *const range = &groups->chunk[chunk];
    float *const state =
        dsc_run_state(groups->group[range->group].run, range->begin, range->end, bytes);

    *bytes *= sizeof *state;
    return state;
}

size_t groups_chunk_bytes(const struct groups *groups, size_t chunk)
{
    size_t bytes;

    (void)chunk_state(groups, chunk, &bytes);
    return bytes;
}

void groups_chunk_save(struct groups *groups, size_t chunk, void *bytes)
{
    size_t len;
    const float *const state = chunk_state(groups, chunk, &len);

    memcpy(bytes, state, len);
}

void groups_chunk_load(struct groups *groups, size_t chunk, const void *bytes)
{
    size_t len;
    float *const state = chunk_state(groups, chunk, &len);

    memcpy(state, bytes, len);
}

void groups_chunk_replay(struct groups *groups, size_t chunk, uint64_t t, const float *grad,
                         float *update, float *work)
{
    groups_span(groups, t, &groups->chunk[chunk], grad, update, work);
}

void groups_rest_replay(struct groups *groups, uint64_t t, const float *grad, float *update,
                        float *work)
{
    for (int g = 0; g < groups->count; g++) {
        const struct range whole = {g, 0, dsc_run_n(groups->group[g].run)};

        if (state_bytes(&groups->group[g]) == 0)
            groups_span(groups, t, &whole, grad, update, work);
    }
}
