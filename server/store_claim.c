/* store_claim.c -- what requests with an Idempotency-Key have made */
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"

/* Claims that one more lets go of, if their time is over: twice as many as come. */
enum { PURGED = 2 };

static bool purge(struct store *store, int64_t now, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "DELETE FROM claim WHERE id IN (SELECT id FROM claim WHERE"
                                     " created_at <= ? ORDER BY created_at LIMIT ?)",
                                     NULL);

    query_bind_int(&query, now - (int64_t)LIMIT_IDEMPOTENCY_SECONDS * 1000);
    query_bind_int(&query, PURGED);
    return query_run(&query, NULL, err);
}

/* Ids count up from the smallest that is left, so the span bounds how many there are. */
static bool check_room(struct store *store, dsc_err *err)
{
    struct query query =
        query_begin(store, "SELECT ifnull(max(id) - min(id) + 1, 0) FROM claim", NULL);

    const int64_t span = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err) &&
           (span < LIMIT_IDEMPOTENCY_KEYS ||
            dsc_fail(err, FAULT_QUOTA_EXCEEDED, "Idempotency-Key",
                     "the server remembers %d already; try again later, or without",
                     LIMIT_IDEMPOTENCY_KEYS));
}

static bool insert(struct store *store, struct claim_row *row, dsc_err *err)
{
    struct query query = query_begin(
        store,
        "INSERT OR REPLACE INTO claim (key, request, created_at) VALUES (?, ?, ?) RETURNING id",
        NULL);

    query_bind_text(&query, row->key);
    query_bind_text(&query, row->request);
    query_bind_int(&query, row->created_at);
    if (query_row(&query)) {
        row->id = query_int(&query, 0);
        query_row(&query);
    }
    return query_end(&query, err);
}

bool store_claim_insert(struct store *store, struct claim_row *row, dsc_err *err)
{
    row->created_at = clock_ms();
    return store_begin(store, err) &&
           store_end(store,
                     purge(store, row->created_at, err) && check_room(store, err) &&
                         insert(store, row, err),
                     err);
}

bool store_claim_find(struct store *store, const char *key, struct claim_row *out, bool *found,
                      dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "SELECT id, key, request, ifnull(location, ''), answer,"
                                     " created_at FROM claim WHERE key = ? AND created_at > ?",
                                     arena);

    query_bind_text(&query, key);
    query_bind_int(&query, clock_ms() - (int64_t)LIMIT_IDEMPOTENCY_SECONDS * 1000);
    *found = query_row(&query);
    if (*found)
        *out = (struct claim_row) {.id = query_int(&query, 0),
                                   .key = query_text(&query, 1),
                                   .request = query_text(&query, 2),
                                   .location = query_text(&query, 3),
                                   .answer = query_blob(&query, 4),
                                   .created_at = query_int(&query, 5)};
    return query_end(&query, err);
}

bool store_claim_fulfil(struct store *store, int64_t id, const char *location, dsc_err *err)
{
    if (id == 0)
        return true;
    struct query query = query_begin(store, "UPDATE claim SET location = ? WHERE id = ?", NULL);
    query_bind_text(&query, location);
    query_bind_int(&query, id);
    return query_run(&query, NULL, err);
}

bool store_claim_answer(struct store *store, int64_t id, const void *bytes, size_t len,
                        dsc_err *err)
{
    struct query query = query_begin(store, "UPDATE claim SET answer = ? WHERE id = ?", NULL);

    query_bind_blob(&query, bytes, len);
    query_bind_int(&query, id);
    return query_run(&query, NULL, err);
}

bool store_claim_drop(struct store *store, int64_t id, dsc_err *err)
{
    struct query query =
        query_begin(store, "DELETE FROM claim WHERE id = ? AND location IS NULL", NULL);

    query_bind_int(&query, id);
    return query_run(&query, NULL, err);
}
