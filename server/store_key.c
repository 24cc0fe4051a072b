#include "fault.h"
#include "limits.h"
#include "store_query.h"

#define KEY_SELECT                                                                                 \
    "SELECT id, name, scopes, hash, created_at, rotated_at, expires_at, last_used_at,"             \
    " requests_per_minute FROM key "

static void read_key(struct query *query, struct key_row *out)
{
    *out = (struct key_row) {
        .id = query_text(query, 0),
        .name = query_text(query, 1),
        .scopes = query_text(query, 2),
        .hash = query_text(query, 3),
        .created_at = query_int(query, 4),
        .rotated_at = query_int(query, 5),
        .expires_at = query_int(query, 6),
        .last_used_at = query_int(query, 7),
        .requests_per_minute = query_int(query, 8),
    };
}

static bool name_taken(dsc_err *err, const char *name)
{
    return dsc_fail(err, FAULT_ALREADY_EXISTS, "name", "\"%.63s\" is taken", name);
}

bool store_key_count(struct store *store, int64_t *count, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT count(*) FROM key", NULL);

    *count = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err);
}

static bool insert(struct store *store, const struct key_row *row, dsc_err *err)
{
    bool conflict;
    struct query query =
        query_begin(store,
                    "INSERT INTO key (id, name, scopes, hash, created_at, rotated_at, expires_at,"
                    " requests_per_minute, last_used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                    NULL);

    query_bind_text(&query, row->id);
    query_bind_text(&query, row->name);
    query_bind_text(&query, row->scopes);
    query_bind_text(&query, row->hash);
    query_bind_int(&query, row->created_at);
    query_bind_int(&query, row->rotated_at);
    query_bind_int(&query, row->expires_at);
    query_bind_int(&query, row->requests_per_minute);
    return query_try(&query, &conflict, err) && (!conflict || name_taken(err, row->name));
}

bool store_key_insert(struct store *store, const struct key_row *row, dsc_err *err)
{
    int64_t count;

    if (!store_begin(store, err))
        return false;
    bool ok = store_key_count(store, &count, err) &&
              (count < LIMIT_KEYS ||
               dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "there are %d keys already", LIMIT_KEYS)) &&
              insert(store, row, err);
    return store_end(store, ok, err);
}

bool store_key_find(struct store *store, const char *id, struct key_row *out, dsc_arena *arena,
                    dsc_err *err)
{
    struct query query = query_begin(store, KEY_SELECT "WHERE id = ?", arena);

    query_bind_text(&query, id);
    bool found = query_row(&query);
    if (found)
        read_key(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "key", id));
}

bool store_key_list(struct store *store, const char *after, size_t max, struct key_row **out,
                    size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, KEY_SELECT "WHERE id > ? ORDER BY id LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_text(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_key(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_key_update(struct store *store, const struct key_row *row, dsc_err *err)
{
    bool conflict;
    struct query query =
        query_begin(store,
                    "UPDATE key SET name = ?2, scopes = ?3, hash = ?4, rotated_at = ?5,"
                    " expires_at = ?6, requests_per_minute = ?7 WHERE id = ?1",
                    NULL);

    query_bind_text(&query, row->id);
    query_bind_text(&query, row->name);
    query_bind_text(&query, row->scopes);
    query_bind_text(&query, row->hash);
    query_bind_int(&query, row->rotated_at);
    query_bind_int(&query, row->expires_at);
    query_bind_int(&query, row->requests_per_minute);
    return query_try(&query, &conflict, err) && (!conflict || name_taken(err, row->name));
}

bool store_key_touch(struct store *store, const char *id, int64_t last_used_at, dsc_err *err)
{
    struct query query = query_begin(
        store, "UPDATE key SET last_used_at = ?2 WHERE id = ?1 AND last_used_at < ?2", NULL);

    query_bind_text(&query, id);
    query_bind_int(&query, last_used_at);
    return query_run(&query, NULL, err);
}

bool store_key_delete(struct store *store, const char *id, dsc_err *err)
{
    int changed = 0;
    struct query query = query_begin(store, "DELETE FROM key WHERE id = ?", NULL);

    query_bind_text(&query, id);
    return query_run(&query, &changed, err) && (changed == 1 || query_not_found(err, "key", id));
}
