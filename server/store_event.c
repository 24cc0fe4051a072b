#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_job.h"
#include "store_query.h"
#include <assert.h>
#include <string.h>

const char *const event_kind_words[] = {"state", "progress", "metric", "log", "done", NULL};

/* 0 when the job is gone. */
static bool take_id(struct store *store, int64_t job, int64_t *id, dsc_err *err)
{
    struct query query = query_begin(
        store, "UPDATE job SET event_last = event_last + 1 WHERE seq = ? RETURNING event_last",
        NULL);

    query_bind_int(&query, job);
    *id = query_row(&query) ? query_int(&query, 0) : 0;
    if (*id)
        query_row(&query);
    return query_end(&query, err);
}

static bool insert(struct store *store, int64_t job, int64_t id, enum event_kind kind,
                   const char *data, dsc_err *err)
{
    struct query query = query_begin(
        store, "INSERT INTO job_event (job, id, kind, at, data) VALUES (?, ?, ?, ?, ?)", NULL);

    query_bind_int(&query, job);
    query_bind_int(&query, id);
    query_bind_int(&query, kind);
    query_bind_int(&query, clock_ms());
    query_bind_text(&query, data);
    return query_run(&query, NULL, err);
}

static bool forget(struct store *store, int64_t job, int64_t id, dsc_err *err)
{
    struct query query =
        query_begin(store, "DELETE FROM job_event WHERE job = ? AND id <= ?", NULL);

    query_bind_int(&query, job);
    query_bind_int(&query, id);
    return query_run(&query, NULL, err);
}

static bool add(struct store *store, int64_t job, enum event_kind kind, const char *data,
                dsc_err *err)
{
    int64_t id;

    assert(strlen(data) <= LIMIT_EVENT_BYTES);
    return take_id(store, job, &id, err) && (id == 0 || insert(store, job, id, kind, data, err)) &&
           (id <= LIMIT_JOB_EVENTS || forget(store, job, id - LIMIT_JOB_EVENTS, err));
}

bool store_event_add(struct store *store, int64_t job, enum event_kind kind, const char *data,
                     dsc_err *err)
{
    return store_begin(store, err) && store_end(store, add(store, job, kind, data, err), err);
}

bool store_event_list(struct store *store, int64_t job, int64_t after, size_t max,
                      struct event_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(
        store,
        "SELECT id, kind, at, data FROM job_event WHERE job = ? AND id > ? ORDER BY id LIMIT ?",
        arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, job);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        (*out)[(*count)++] = (struct event_row) {
            .id = query_int(&query, 0),
            .kind = (enum event_kind)query_int(&query, 1),
            .at = query_int(&query, 2),
            .data = query_text(&query, 3),
        };
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the events"));
}
