/* session_history.c -- the history of a session, out of the journal and its trail */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"
#include <stdlib.h>
#include <string.h>

/* `memory` sessions keep theirs here, the last LIMIT_MEMORY_HISTORY steps of it. */
bool session_history_flush(struct session *session)
{
    const size_t bytes = session->trail.count * sizeof(struct history_entry);
    const size_t most = LIMIT_MEMORY_HISTORY * sizeof(struct history_entry);

    if (!session->past && !(session->past = buf_new(bytes)))
        return false;
    if (session->past->len == 0)
        session->past_first = session->trail.first;
    if (session->past->len + bytes > most) {
        memmove(session->past->data, session->past->data + bytes, session->past->len - bytes);
        session->past->len -= bytes;
        session->past_first += session->trail.count;
    }
    return buf_append(session->past, session->trail.entry, bytes);
}

void session_history_cut(struct session *session, uint64_t step)
{
    const uint64_t count = session->past ? session->past->len / sizeof(struct history_entry) : 0;

    if (count > 0 && step < session->past_first + count)
        session->past->len = step <= session->past_first ? 0
                                                         : (size_t)(step - session->past_first) *
                                                               sizeof(struct history_entry);
    history_restart(&session->trail, step);
}

/* --- reading --- */

struct reading {
    struct history_sampler *sampler;
    const struct history_trail *trail;
};

static void sample_entries(struct history_sampler *sampler, uint64_t first, const void *bytes,
                           size_t len)
{
    struct history_entry entry;

    for (size_t at = 0; at + sizeof entry <= len; at += sizeof entry) {
        memcpy(&entry, (const char *)bytes + at, sizeof entry);
        history_sample(sampler, first + at / sizeof entry, &entry);
    }
}

static bool sample_row(void *arg, const struct journal_row *row, dsc_err *err)
{
    const struct reading *const reading = arg;

    (void)err;
    if (reading->trail->count == 0 || row->key < reading->trail->first)
        sample_entries(reading->sampler, row->key, row->bytes, row->len);
    return true;
}

/* How much there is: in rows before the trail, then in the trail. */
static bool measure(struct sessions *sessions, const struct session *session,
                    const struct history_trail *trail, const struct buf *past, uint64_t past_first,
                    struct journal_extent *extent, dsc_err *err)
{
    const bool memory = session->durability == DURABILITY_MEMORY;

    *extent = (struct journal_extent) {.count = 0};
    if (memory && past && past->len) {
        extent->first = past_first;
        extent->count = past->len / sizeof(struct history_entry);
        extent->end = past_first + extent->count;
    }
    if (!memory && !journal_history_extent(sessions->means.journal, session->seq, extent, err))
        return false;
    if (trail->count == 0)
        return true;
    if (extent->count == 0)
        extent->first = trail->first;
    extent->count += trail->count;
    extent->end = trail->first + trail->count;
    return true;
}

/* A copy of what memory has, taken in the session's turn. */
static bool copy(struct sessions *sessions, struct session *session, struct history_trail *trail,
                 struct buf **past, uint64_t *past_first, dsc_err *err)
{
    bool ok = true;

    if (!session_enter(sessions, session, err))
        return false;
    *trail = session->trail;
    *past_first = session->past_first;
    if (session->past && session->past->len) {
        *past = buf_new(session->past->len);
        ok = *past && buf_append(*past, session->past->data, session->past->len);
    }
    session_leave(sessions, session);
    return ok || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the history");
}

bool session_history(struct sessions *sessions, struct session *session, size_t max,
                     struct history_sampler *sampler, uint64_t *total, dsc_err *err)
{
    struct history_trail trail;
    struct journal_extent extent;
    struct buf *past = NULL;
    uint64_t past_first = 0;
    struct reading reading = {sampler, &trail};

    *sampler = (struct history_sampler) {.kept = NULL};
    bool ok = copy(sessions, session, &trail, &past, &past_first, err) &&
              measure(sessions, session, &trail, past, past_first, &extent, err);
    if (ok && !history_sampler_open(sampler, extent.count, extent.first,
                                    extent.end > extent.first ? extent.end - 1 : extent.first, max))
        ok = dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the history");
    if (ok && past)
        sample_entries(sampler, past_first, past->data, past->len);
    if (ok && session->durability != DURABILITY_MEMORY)
        ok = journal_history(sessions->means.journal, session->seq, sample_row, &reading, err);
    if (ok)
        sample_entries(sampler, trail.first, trail.entry, trail.count * sizeof *trail.entry);
    *total = ok ? extent.count : 0;
    buf_drop(past);
    return ok;
}
