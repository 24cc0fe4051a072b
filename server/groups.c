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

/* Piece j of `parts` of a group, at the bounds that its run wants. */
static struct range piece(const struct groups *groups, int group, size_t parts, size_t j)
{
    const dsc_run *const run = groups->group[group].run;
    const size_t n = dsc_run_n(run), grain = dsc_run_grain(run), grains = (n + grain - 1) / grain;
    const size_t end = grains * (j + 1) / parts * grain;

    return (struct range) {group, grains * j / parts * grain, end < n ? end : n};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t state_bytes(const struct group *group)
{
    return dsc_model_state_bytes(dsc_run_model(group->run), dsc_run_n(group->run));
}

/* Chunks of about `target` bytes; what is coupled stays in one piece. */
static size_t chunks_of(const struct group *group, size_t target)
{
    const size_t blocks = (dsc_run_n(group->run) + DSC_BLOCK - 1) / DSC_BLOCK;

    if (dsc_run_coupled(group->run))
        return 1;
    return least((state_bytes(group) + target - 1) / target, blocks);
}

/* Each group gets its bytes / target, rounded up, so one more at most: hence the subtraction. */
static void lay_chunks(struct groups *groups)
{
    const size_t share =
        groups_state_bytes(groups) / (size_t)(GROUPS_CHUNKS_MAX - groups->count) + 1;
    const size_t target = share > CHUNK_BYTES_MIN ? share : CHUNK_BYTES_MIN;

    for (int g = 0; g < groups->count; g++) {
        const size_t parts = chunks_of(&groups->group[g], target);

        for (size_t j = 0; j < parts; j++) {
            assert(groups->chunks < GROUPS_CHUNKS_MAX);
            groups->chunk[groups->chunks++] = piece(groups, g, parts, j);
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

void groups_set_imported(struct groups *groups, bool imported)
{
    for (int g = 0; g < groups->count; g++)
        dsc_run_set_imported(groups->group[g].run, imported);
}

int groups_count(const struct groups *groups)
{
    return groups->count;
}

dsc_run *groups_run(const struct groups *groups, int group)
{
    return groups->group[group].run;
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
        const float *const own = grad + group->offset;
        dsc_err inner = {0};

        if (dsc_run_proposal(group->run) > 0 ? !dsc_run_check_gradient(group->run, own, &inner)
                                             : !dsc_run_check(group->run, own, limit, work, &inner))
            return fail_in_group(groups, group->offset, &inner, err);
    }
    return true;
}

bool groups_check_update(const struct groups *groups, const float *update, double limit,
                         dsc_err *err)
{
    for (int g = 0; g < groups->count; g++) {
        const struct group *const group = &groups->group[g];
        dsc_err inner = {0};

        if (dsc_run_proposal(group->run) > 0 &&
            !dsc_run_check_update(group->run, update + group->offset, limit, &inner))
            return fail_in_group(groups, group->offset, &inner, err);
    }
    return true;
}

/* --- rounds --- */

int groups_proposals(const struct groups *groups)
{
    int most = 0;

    for (int g = 0; g < groups->count; g++)
        if (dsc_run_proposal(groups->group[g].run) > most)
            most = dsc_run_proposal(groups->group[g].run);
    return most;
}

/* The pass that a run is at in a round, or -1: all begin their proposals with the first round, and
 * what follows them when the last has proposed. */
static int phase_of(const dsc_run *run, int round, int proposals)
{
    const int proposal = dsc_run_proposal(run);
    const int phase = round < proposals ? round : proposal + round - proposals;

    return phase < (round < proposals ? proposal : dsc_run_phases(run)) ? phase : -1;
}

int groups_rounds(const struct groups *groups)
{
    int after = 0;

    for (int g = 0; g < groups->count; g++) {
        const dsc_run *const run = groups->group[g].run;

        if (dsc_run_phases(run) - dsc_run_proposal(run) > after)
            after = dsc_run_phases(run) - dsc_run_proposal(run);
    }
    return groups_proposals(groups) + after;
}

size_t groups_split(const struct groups *groups, int round, size_t want, struct range *out,
                    size_t max)
{
    const size_t fair = groups->n / (want ? want : 1) + 1;
    const size_t target = fair > RANGE_MIN ? fair : RANGE_MIN;
    const int proposals = groups_proposals(groups);
    size_t count = 0;

    for (int g = 0; g < groups->count; g++) {
        const dsc_run *const run = groups->group[g].run;
        const size_t room = max - count - (size_t)(groups->count - 1 - g); /* one for each later */
        const size_t parts = least((dsc_run_n(run) + target - 1) / target, room);

        for (size_t j = 0; phase_of(run, round, proposals) >= 0 && j < parts; j++) {
            out[count] = piece(groups, g, parts, j);
            count += out[count].begin < out[count].end;
        }
    }
    return count;
}

void groups_span(struct groups *groups, uint64_t t, int round, const struct range *range,
                 const float *grad, float *update, float *work)
{
    const struct group *const group = &groups->group[range->group];
    const size_t at = group->offset + range->begin;

    dsc_run_phase(group->run, t, phase_of(group->run, round, groups_proposals(groups)),
                  range->begin, range->end, grad + at, update + at, work);
}

void groups_join(struct groups *groups, uint64_t t, int round)
{
    const int proposals = groups_proposals(groups);

    for (int g = 0; g < groups->count; g++) {
        dsc_run *const run = groups->group[g].run;
        const int phase = phase_of(run, round, proposals);

        if (phase >= 0 && phase < dsc_run_phases(run) - 1)
            dsc_run_join(run, t, phase);
    }
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

/* The parts of a chunk: state, and behind it what the coordinates share. */
struct parts {
    void *state, *shared;
    size_t state_bytes, shared_bytes;
};

static struct parts chunk_parts(const struct groups *groups, size_t chunk)
{
    const struct range *const range = &groups->chunk[chunk];
    dsc_run *const run = groups->group[range->group].run;
    struct parts parts;

    parts.state = dsc_run_state(run, range->begin, range->end, &parts.state_bytes);
    parts.shared = dsc_run_shared(run, &parts.shared_bytes);
    parts.state_bytes *= sizeof(float);
    parts.shared_bytes *= sizeof(double);
    return parts;
}

size_t groups_chunk_bytes(const struct groups *groups, size_t chunk)
{
    const struct parts parts = chunk_parts(groups, chunk);

    return parts.state_bytes + parts.shared_bytes;
}

void groups_chunk_save(struct groups *groups, size_t chunk, void *bytes)
{
    const struct parts parts = chunk_parts(groups, chunk);

    memcpy(bytes, parts.state, parts.state_bytes);
    if (parts.shared_bytes)
        memcpy((char *)bytes + parts.state_bytes, parts.shared, parts.shared_bytes);
}

void groups_chunk_load(struct groups *groups, size_t chunk, const void *bytes)
{
    const struct parts parts = chunk_parts(groups, chunk);

    memcpy(parts.state, bytes, parts.state_bytes);
    if (parts.shared_bytes)
        memcpy(parts.shared, (const char *)bytes + parts.state_bytes, parts.shared_bytes);
}

/* Take a step that was taken before, for a range of a group; all of it where it is coupled. */
static void replay(struct groups *groups, const struct range *range, uint64_t t, const float *grad,
                   float *update, float *work)
{
    const struct group *const group = &groups->group[range->group];
    const size_t at = group->offset + range->begin;

    if (dsc_run_coupled(group->run))
        dsc_run_replay(group->run, t, grad + at, update + at, work);
    else
        dsc_run_span(group->run, t, range->begin, range->end, grad + at, update + at, work);
}

void groups_chunk_replay(struct groups *groups, size_t chunk, uint64_t t, const float *grad,
                         float *update, float *work)
{
    replay(groups, &groups->chunk[chunk], t, grad, update, work);
}

void groups_rest_replay(struct groups *groups, uint64_t t, const float *grad, float *update,
                        float *work)
{
    for (int g = 0; g < groups->count; g++) {
        const struct range whole = {g, 0, dsc_run_n(groups->group[g].run)};

        if (!dsc_run_coupled(groups->group[g].run) && state_bytes(&groups->group[g]) == 0)
            replay(groups, &whole, t, grad, update, work);
    }
}
