/* store_checkpoint.c -- states of sessions, kept under a name */
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"
#include <stdio.h>

#define CHECKPOINT_SELECT "SELECT number, session, name, step, created_at FROM checkpoint "

static void read_checkpoint(struct query *query, struct checkpoint_row *out)
{
    *out = (struct checkpoint_row) {
        .number = query_int(query, 0),
        .session = query_int(query, 1),
        .name = query_text(query, 2),
        .step = query_int(query, 3),
        .created_at = query_int(query, 4),
    };
}

bool store_checkpoint_reserve(struct store *store, int64_t *number, dsc_err *err)
{
    return query_reserve(store, "checkpoint", -1, number, err);
}

static bool check_room(struct store *store, int64_t session, dsc_err *err)
{
    struct query query =
        query_begin(store, "SELECT count(*) FROM checkpoint WHERE session = ?", NULL);

    query_bind_int(&query, session);
    const int64_t count = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err) &&
           (count < LIMIT_CHECKPOINTS ||
            dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "the session has %d checkpoints already",
                     LIMIT_CHECKPOINTS));
}

static bool insert(struct store *store, struct checkpoint_row *row, dsc_err *err)
{
    bool conflict;
    struct query query =
        query_begin(store,
                    "INSERT INTO checkpoint (number, session, name, step, created_at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    NULL);

    row->created_at = clock_ms();
    query_bind_int(&query, row->number);
    query_bind_int(&query, row->session);
    query_bind_text(&query, row->name);
    query_bind_int(&query, row->step);
    query_bind_int(&query, row->created_at);
    return query_try(&query, &conflict, err) &&
           (!conflict ||
            dsc_fail(err, FAULT_ALREADY_EXISTS, "name", "\"%.63s\" is taken", row->name));
}

static bool fulfil(struct store *store, const struct checkpoint_row *row, dsc_err *err)
{
    char location[160];

    if (row->claim == 0)
        return true;
    (void)snprintf(location, sizeof location, "/v1/sessions/%s/checkpoints/%s", row->session_id,
                   row->name);
    return store_claim_fulfil(store, row->claim, location, err);
}

bool store_checkpoint_insert(struct store *store, struct checkpoint_row *row, dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store,
                     check_room(store, row->session, err) && insert(store, row, err) &&
                         store_erasure_done(store, -row->number, err) && fulfil(store, row, err),
                     err);
}

bool store_checkpoint_find(struct store *store, int64_t session, const char *name,
                           struct checkpoint_row *out, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, CHECKPOINT_SELECT "WHERE session = ? AND name = ?", arena);

    query_bind_int(&query, session);
    query_bind_text(&query, name);
    const bool found = query_row(&query);
    if (found)
        read_checkpoint(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "checkpoint", name));
}

bool store_checkpoint_list(struct store *store, int64_t session, int64_t after, size_t max,
                           struct checkpoint_row **out, size_t *count, dsc_arena *arena,
                           dsc_err *err)
{
    struct query query = query_begin(
        store, CHECKPOINT_SELECT "WHERE session = ? AND number > ? ORDER BY number LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, session);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_checkpoint(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_checkpoint_delete(struct store *store, int64_t number, dsc_err *err)
{
    struct query query = query_begin(store, "DELETE FROM checkpoint WHERE number = ?", NULL);

    query_bind_int(&query, number);
    return query_run(&query, NULL, err);
}

bool store_checkpoint_clear(struct store *store, dsc_err *err)
{
    struct query query = query_begin(store, "DELETE FROM checkpoint WHERE session > ?", NULL);

    query_bind_int(&query, STORE_MEMORY_SEQ);
    return query_run(&query, NULL, err);
}
