#include "history.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the trail --- */

void history_restart(struct history_trail *trail, uint64_t step)
{
    trail->first = step;
    trail->count = 0;
}

bool history_due(const struct history_trail *trail, uint64_t t)
{
    return t % HISTORY_BLOCK == 0 && trail->count > 0;
}

void history_add(struct history_trail *trail, const struct history_entry *entry)
{
    assert(trail->count < HISTORY_BLOCK);
    trail->entry[trail->count++] = *entry;
}

void history_merge(struct history_trail *trail, uint64_t t, const struct history_entry *entry,
                   size_t count, uint64_t from)
{
    for (size_t i = 0; i < count && count <= t + 1; i++) {
        const uint64_t step = t + 1 - count + i;

        if (step < from)
            continue;
        if (trail->count == 0)
            trail->first = step;
        const uint64_t at = step - trail->first;
        if (step < trail->first || at > trail->count || at >= HISTORY_BLOCK)
            continue; /* of before there was a history */
        trail->entry[at] = entry[i];
        trail->count = at == trail->count ? trail->count + 1 : trail->count;
    }
}

/* --- fewer points --- */

enum { NUMBERS = 3, EACH = 2 * NUMBERS }; /* smallest and largest of each number */

static double number(const struct history_entry *entry, int which)
{
    const double all[NUMBERS] = {entry->loss, entry->gradient_norm, entry->update_norm};

    return all[which];
}

bool history_sampler_open(struct history_sampler *sampler, uint64_t total, uint64_t first,
                          uint64_t last, size_t max)
{
    assert(max >= EACH + 2);
    *sampler = (struct history_sampler) {.first = first,
                                         .last = last,
                                         .max = max,
                                         .all = total <= max,
                                         .stretches = (max - 2) / EACH};
    sampler->kept = calloc(sampler->stretches * EACH + 2 + max, sizeof *sampler->kept);
    return sampler->kept != NULL;
}

void history_sampler_close(struct history_sampler *sampler)
{
    free(sampler->kept);
}

/* The places of a stretch; a place whose step is 0 and whose norm is NaN would be ambiguous, so
 * empty ones have a step beyond the last. */
static void keep_extremes(struct history_point *place, const struct history_point *point)
{
    for (int i = 0; i < NUMBERS; i++) {
        const double x = number(&point->entry, i);

        if (isnan(x))
            continue;
        if (isnan(number(&place[2 * i].entry, i)) || x < number(&place[2 * i].entry, i))
            place[2 * i] = *point;
        if (isnan(number(&place[2 * i + 1].entry, i)) || x > number(&place[2 * i + 1].entry, i))
            place[2 * i + 1] = *point;
    }
}

/* Before its first point, every place of a stretch holds nothing: all numbers NaN. */
static void clear(struct history_point *place, size_t count)
{
    for (size_t i = 0; i < count; i++)
        place[i] = (struct history_point) {UINT64_MAX, {NAN, NAN, NAN}};
}

void history_sample(struct history_sampler *sampler, uint64_t step,
                    const struct history_entry *entry)
{
    const struct history_point point = {step, *entry};
    const uint64_t span = sampler->last - sampler->first + 1;

    if (sampler->all) {
        if (sampler->count < sampler->max)
            sampler->kept[sampler->count++] = point;
        return;
    }
    if (sampler->count++ == 0) {
        clear(sampler->kept, sampler->stretches * EACH + 2);
        sampler->kept[sampler->stretches * EACH] = point;
    }
    sampler->kept[sampler->stretches * EACH + 1] = point;
    const size_t stretch =
        (size_t)((double)(step - sampler->first) / (double)span * (double)sampler->stretches);
    if (stretch < sampler->stretches)
        keep_extremes(&sampler->kept[stretch * EACH], &point);
}

static int by_step(const void *a_, const void *b_)
{
    const struct history_point *const a = a_, *const b = b_;

    return (a->step > b->step) - (a->step < b->step);
}

const struct history_point *history_points(struct history_sampler *sampler, size_t *count)
{
    const size_t places = sampler->stretches * EACH + 2;
    size_t kept = 0;

    if (!sampler->all && sampler->count > 0) {
        qsort(sampler->kept, places, sizeof *sampler->kept, by_step);
        for (size_t i = 0; i < places && sampler->kept[i].step != UINT64_MAX; i++)
            if (kept == 0 || sampler->kept[kept - 1].step != sampler->kept[i].step)
                sampler->kept[kept++] = sampler->kept[i];
        sampler->all = true;
        sampler->count = kept;
    }
    *count = sampler->count;
    return sampler->kept;
}
