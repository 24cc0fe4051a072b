#include "fault.h"
#include "store_query.h"

#define SESSION_OF(table)                                                                          \
    "SELECT s.seq, s.id, s.version, o.name || ':' || v.number, s.coordinates, s.durability, "      \
    "s.labels, s.ttl_seconds, s.created_at, s.used_at FROM " table                                 \
    " s JOIN version v ON v.id = s.version JOIN optimizer o ON o.id = v.optimizer "
#define SESSION_SELECT SESSION_OF("any_session")

static void read_session(struct query *query, struct session_row *out)
{
    *out = (struct session_row) {
        .seq = query_int(query, 0),
        .id = query_text(query, 1),
        .version_id = query_int(query, 2),
        .optimizer = query_text(query, 3),
        .coordinates = query_int(query, 4),
        .durability = (enum durability)query_int(query, 5),
        .labels = query_text(query, 6),
        .ttl_seconds = query_int(query, 7),
        .created_at = query_int(query, 8),
        .used_at = query_int(query, 9),
    };
}

bool store_session_insert(struct store *store, struct session_row *row, dsc_err *err)
{
    bool memory = row->durability == DURABILITY_MEMORY;
    /* The select makes the pinned version's existence part of the statement. */
    struct query query = query_begin(
        store,
        memory
            ? "INSERT INTO memory_session (id, version, coordinates, durability, labels, "
              "ttl_seconds, created_at, used_at)"
              " SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM main.version WHERE id = ?2 RETURNING seq"
            : "INSERT INTO session (id, version, coordinates, durability, labels, ttl_seconds, "
              "created_at, used_at)"
              " SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8 FROM version WHERE id = ?2 RETURNING seq",
        NULL);

    query_bind_text(&query, row->id);
    query_bind_int(&query, row->version_id);
    query_bind_int(&query, row->coordinates);
    query_bind_int(&query, row->durability);
    query_bind_text(&query, row->labels);
    query_bind_int(&query, row->ttl_seconds);
    query_bind_int(&query, row->created_at);
    query_bind_int(&query, row->used_at);
    bool found = query_row(&query);
    if (found) {
        row->seq = query_int(&query, 0);
        query_row(&query); /* the statement is durable once it is done */
    }
    return query_end(&query, err) &&
           (found || dsc_fail(err, FAULT_NOT_FOUND, "optimizer", "the version is gone"));
}

bool store_session_find(struct store *store, const char *id, struct session_row *out,
                        dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, SESSION_SELECT "WHERE s.id = ?", arena);

    query_bind_text(&query, id);
    bool found = query_row(&query);
    if (found)
        read_session(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "session", id));
}

bool store_session_list(struct store *store, int64_t after, size_t max, struct session_row **out,
                        size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, SESSION_SELECT "WHERE s.seq > ? ORDER BY s.seq LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_session(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_session_delete(struct store *store, const char *id, dsc_err *err)
{
    static const char *const sql[] = {"DELETE FROM main.session WHERE id = ?",
                                      "DELETE FROM memory_session WHERE id = ?"};
    int changed = 0;

    for (int i = 0; i < 2 && changed == 0; i++) {
        struct query query = query_begin(store, sql[i], NULL);
        query_bind_text(&query, id);
        if (!query_run(&query, &changed, err))
            return false;
    }
    return changed > 0 || query_not_found(err, "session", id);
}

/* A LIMIT for each table, so that no more is read however many are due. */
#define UNUSED_OF(table)                                                                           \
    "SELECT * FROM " table " WHERE ttl_seconds > 0 AND used_at + ttl_seconds * 1000 <= ?1 "        \
    "ORDER BY used_at + ttl_seconds * 1000 LIMIT ?2"
#define UNUSED                                                                                     \
    "(SELECT * FROM (" UNUSED_OF("main.session") ") UNION ALL SELECT * FROM (" UNUSED_OF(          \
        "memory_session") "))"

bool store_session_unused(struct store *store, int64_t then, size_t max, struct session_row **out,
                          size_t *count, dsc_arena *arena, dsc_err *err)
{
    static const char sql[] =
        SESSION_OF(UNUSED) "ORDER BY s.used_at + s.ttl_seconds * 1000 LIMIT ?2";
    struct query query = query_begin(store, sql, arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, then);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_session(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the sessions"));
}

bool store_session_used(struct store *store, const char *id, int64_t used_at, dsc_err *err)
{
    static const char *const sql[] = {"UPDATE main.session SET used_at = ?1 WHERE id = ?2",
                                      "UPDATE memory_session SET used_at = ?1 WHERE id = ?2"};
    int changed = 0;

    for (int i = 0; i < 2 && changed == 0; i++) {
        struct query query = query_begin(store, sql[i], NULL);
        query_bind_int(&query, used_at);
        query_bind_text(&query, id);
        if (!query_run(&query, &changed, err))
            return false;
    }
    return changed > 0 || query_not_found(err, "session", id);
}

bool store_erasure_next(struct store *store, int64_t *seq, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT ifnull(min(session), 0) FROM erasure", NULL);

    *seq = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err);
}

bool store_erasure_done(struct store *store, int64_t seq, dsc_err *err)
{
    struct query query = query_begin(store, "DELETE FROM erasure WHERE session = ?", NULL);

    query_bind_int(&query, seq);
    return query_run(&query, NULL, err);
}
