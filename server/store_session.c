#include "fault.h"
#include "store_query.h"
#include <stdio.h>

/* Each statement once for the sessions on the disk and once for those in memory. */
#define EITHER(memory, sql) ((memory) ? sql("memory_") : sql("main."))

#define SESSION_COLUMNS                                                                            \
    "s.seq, s.id, s.version, o.name || ':' || v.number, s.coordinates, s.durability, s.labels,"    \
    " s.ttl_seconds, s.created_at, s.used_at, s.clip_norm, s.state_bytes"

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
        .clip_norm = query_real(query, 10),
        .state_bytes = query_int(query, 11),
    };
}

/* --- tensors --- */

static bool version_gone(dsc_err *err)
{
    return dsc_fail(err, FAULT_NOT_FOUND, "optimizer", "the version is gone");
}

/* The select makes the pinned version's existence part of the statement. */
#define INSERT_TENSOR(in)                                                                          \
    "INSERT INTO " in "tensor (session, idx, name, shape, version)"                                \
    " SELECT ?1, ?2, ?3, ?4, nullif(?5, 0) WHERE ?5 = 0"                                           \
    " OR EXISTS (SELECT 1 FROM main.version WHERE id = ?5)"

static bool insert_tensor(struct store *store, const struct session_row *row, size_t i,
                          dsc_err *err)
{
    const bool memory = row->durability == DURABILITY_MEMORY;
    struct query query = query_begin(store, EITHER(memory, INSERT_TENSOR), NULL);
    int changed = 0;

    query_bind_int(&query, row->seq);
    query_bind_int(&query, (int64_t)i);
    query_bind_text(&query, row->tensor[i].name);
    query_bind_text(&query, row->tensor[i].shape);
    query_bind_int(&query, row->tensor[i].version_id);
    return query_run(&query, &changed, err) && (changed == 1 || version_gone(err));
}

static bool insert_tensors(struct store *store, const struct session_row *row, dsc_err *err)
{
    for (size_t i = 0; i < row->tensors; i++)
        if (!insert_tensor(store, row, i, err))
            return false;
    return true;
}

static size_t count_tensors(struct store *store, int64_t seq, bool memory)
{
#define COUNT_TENSORS(in) "SELECT count(*) FROM " in "tensor WHERE session = ?"
    struct query query = query_begin(store, EITHER(memory, COUNT_TENSORS), NULL);

    query_bind_int(&query, seq);
    const size_t count = query_row(&query) ? (size_t)query_int(&query, 0) : 0;
    return query_end(&query, NULL) ? count : 0;
}

#define SELECT_TENSORS(in)                                                                         \
    "SELECT t.name, t.shape, ifnull(t.version, 0), o.name || ':' || v.number FROM " in "tensor t"  \
    " LEFT JOIN main.version v ON v.id = t.version LEFT JOIN main.optimizer o ON o.id ="           \
    " v.optimizer WHERE t.session = ? ORDER BY t.idx LIMIT ?"

static bool find_tensors(struct store *store, struct session_row *row, dsc_arena *arena,
                         dsc_err *err)
{
    const bool memory = row->durability == DURABILITY_MEMORY;
    const size_t count = count_tensors(store, row->seq, memory);

    row->tensor = count ? dsc_arena_take(arena, count, sizeof *row->tensor) : NULL;
    if (count == 0)
        return true;
    if (!row->tensor)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the layout");
    struct query query = query_begin(store, EITHER(memory, SELECT_TENSORS), arena);
    query_bind_int(&query, row->seq);
    query_bind_int(&query, (int64_t)count);
    for (; query_row(&query); row->tensors++) {
        const int64_t version = query_int(&query, 2);

        row->tensor[row->tensors] = (struct tensor_row) {
            .name = query_text(&query, 0),
            .shape = query_text(&query, 1),
            .version_id = version,
            .optimizer = version ? query_text(&query, 3) : NULL,
        };
    }
    return query_end(&query, err);
}

/* --- sessions --- */

#define INSERT_SESSION(in)                                                                         \
    "INSERT INTO " in "session (seq, id, version, coordinates, durability, labels, ttl_seconds,"   \
    " created_at, used_at, clip_norm, state_bytes, optimizer) SELECT nullif(?11, 0), ?1, id, ?3, " \
    "?4, ?5, ?6, ?7,"                                                                              \
    " ?8, ?9, ?10, optimizer FROM main.version WHERE id = ?2 RETURNING seq"

static bool insert_session(struct store *store, struct session_row *row, dsc_err *err)
{
    const bool memory = row->durability == DURABILITY_MEMORY;
    struct query query = query_begin(store, EITHER(memory, INSERT_SESSION), NULL);

    query_bind_text(&query, row->id);
    query_bind_int(&query, row->version_id);
    query_bind_int(&query, row->coordinates);
    query_bind_int(&query, row->durability);
    query_bind_text(&query, row->labels);
    query_bind_int(&query, row->ttl_seconds);
    query_bind_int(&query, row->created_at);
    query_bind_int(&query, row->used_at);
    query_bind_real(&query, row->clip_norm);
    query_bind_int(&query, row->state_bytes);
    query_bind_int(&query, row->seq);
    const bool found = query_row(&query);
    if (found) {
        row->seq = query_int(&query, 0);
        query_row(&query); /* the statement is complete once it is done */
    }
    return query_end(&query, err) && (found || version_gone(err));
}

static bool fulfil(struct store *store, const struct session_row *row, dsc_err *err)
{
    char location[80];

    (void)snprintf(location, sizeof location, "/v1/sessions/%s", row->id);
    return store_claim_fulfil(store, row->claim, location, err);
}

bool store_session_insert(struct store *store, struct session_row *row, dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store,
                     insert_session(store, row, err) && insert_tensors(store, row, err) &&
                         store_erasure_done(store, row->seq, err) && fulfil(store, row, err),
                     err);
}

#define SESSION_OF(table)                                                                          \
    "SELECT " SESSION_COLUMNS " FROM " table " s JOIN version v ON v.id = s.version"               \
    " JOIN optimizer o ON o.id = v.optimizer"

bool store_session_find(struct store *store, const char *id, struct session_row *out,
                        dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, SESSION_OF("any_session") " WHERE s.id = ?", arena);

    query_bind_text(&query, id);
    const bool found = query_row(&query);
    if (found)
        read_session(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "session", id)) &&
           find_tensors(store, out, arena, err);
}

/* --- listings --- */

/* What a listing reads, in order of seq: the rows of one index, whichever fits best. Joins are
 * CROSS so that SQLite keeps to that. ?1 is the cursor, ?2 and ?3 choose the rows of the index. */
#define WALK(in, driver)                                                                           \
    "SELECT " SESSION_COLUMNS ", s.ttl_seconds > 0 AND s.used_at + s.ttl_seconds * 1000 <= ?4,"    \
    " s.optimizer FROM " driver " CROSS JOIN main.version v ON v.id = s.version"                   \
    " CROSS JOIN main.optimizer o ON o.id = v.optimizer"
#define WALK_ALL(in) WALK(in, in "session s") " WHERE s.seq > ?1 ORDER BY s.seq LIMIT ?5"
#define WALK_VERSION(in)                                                                           \
    WALK(in, in "session s") " WHERE s.version = ?2 AND s.seq > ?1 ORDER BY s.seq LIMIT ?5"
#define WALK_OPTIMIZER(in)                                                                         \
    WALK(in, in "session s") " WHERE s.optimizer = ?2 AND s.seq > ?1 ORDER BY s.seq LIMIT ?5"
#define WALK_LABEL(in)                                                                             \
    WALK(in, in "session_label l CROSS JOIN " in "session s ON s.seq = l.session")                 \
    " WHERE l.name = ?2 AND l.value = ?3 AND l.session > ?1 ORDER BY l.session LIMIT ?5"

static const char *walk_sql(const struct session_filter *filter, bool memory)
{
    if (filter->labels > 0)
        return EITHER(memory, WALK_LABEL);
    if (filter->version_id)
        return EITHER(memory, WALK_VERSION);
    return filter->optimizer_id ? EITHER(memory, WALK_OPTIMIZER) : EITHER(memory, WALK_ALL);
}

static struct query walk_begin(struct store *store, const struct session_filter *filter,
                               bool memory, int64_t cursor, size_t most, dsc_arena *arena)
{
    struct query query = query_begin(store, walk_sql(filter, memory), arena);

    query_bind_int(&query, cursor);
    if (filter->labels > 0)
        query_bind_text(&query, filter->label[0].name);
    else
        query_bind_int(&query, filter->version_id ? filter->version_id : filter->optimizer_id);
    query_bind_text(&query, filter->labels > 0 ? filter->label[0].value : NULL);
    query_bind_int(&query, filter->expired_at);
    query_bind_int(&query, (int64_t)most);
    return query;
}

static bool has_label(struct store *store, bool memory, int64_t seq,
                      const struct label_filter *label)
{
#define HAS_LABEL(in)                                                                              \
    "SELECT 1 FROM " in "session_label WHERE name = ? AND value = ? AND session = ?"
    struct query query = query_begin(store, EITHER(memory, HAS_LABEL), NULL);

    query_bind_text(&query, label->name);
    query_bind_text(&query, label->value);
    query_bind_int(&query, seq);
    const bool found = query_row(&query);
    return query_end(&query, NULL) && found;
}

/* Does the row pass what the index does not say already? */
static bool passes(struct query *query, const struct session_filter *filter, bool memory)
{
    if ((filter->expired_at && !query_int(query, 12)) ||
        (filter->version_id && filter->version_id != query_int(query, 2)) ||
        (filter->optimizer_id && filter->optimizer_id != query_int(query, 13)))
        return false;
    for (size_t i = 1; i < filter->labels; i++)
        if (!has_label(query->store, memory, query_int(query, 0), &filter->label[i]))
            return false;
    return true;
}

/* One of the two kinds, from *cursor on; *scan rows may still be looked at. */
static bool list_kind(struct store *store, const struct session_filter *filter, bool memory,
                      int64_t *cursor, size_t *scan, size_t max, struct session_row *out,
                      size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query = walk_begin(store, filter, memory, *cursor, *scan, arena);

    while (*count < max && query_row(&query)) {
        *cursor = query_int(&query, 0);
        --*scan;
        if (passes(&query, filter, memory))
            read_session(&query, &out[(*count)++]);
    }
    return query_end(&query, err);
}

bool store_session_list(struct store *store, const struct session_filter *filter, int64_t *cursor,
                        size_t max, struct session_row **out, size_t *count, dsc_arena *arena,
                        dsc_err *err)
{
    size_t scan = LIMIT_SCAN;

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    if (!*out)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page");
    for (int memory = 0; memory < 2 && *count < max && scan > 0; memory++)
        if (!list_kind(store, filter, memory, cursor, &scan, max, *out, count, arena, err))
            return false;
    if (*count < max && scan > 0)
        *cursor = 0;
    return true;
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
        SESSION_OF(UNUSED) " ORDER BY s.used_at + s.ttl_seconds * 1000 LIMIT ?2";
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

#define UPDATE_SESSION(in)                                                                         \
    "UPDATE " in "session SET labels = ?2, ttl_seconds = ?3, used_at = ?4 WHERE id = ?1"

bool store_session_update(struct store *store, const struct session_row *row, dsc_err *err)
{
    const bool memory = row->durability == DURABILITY_MEMORY;
    struct query query = query_begin(store, EITHER(memory, UPDATE_SESSION), NULL);
    int changed = 0;

    query_bind_text(&query, row->id);
    query_bind_text(&query, row->labels);
    query_bind_int(&query, row->ttl_seconds);
    query_bind_int(&query, row->used_at);
    return query_run(&query, &changed, err) &&
           (changed == 1 || query_not_found(err, "session", row->id));
}

#define PINNED_BY                                                                                  \
    "(SELECT * FROM any_session WHERE seq IN (SELECT p.session FROM any_pin p"                     \
    " JOIN main.version u ON u.id = p.version"                                                     \
    " WHERE u.optimizer = ?1 AND (u.id = ?2 OR ?2 = 0)))"

bool store_session_users(struct store *store, int64_t optimizer_id, int64_t version_id, size_t max,
                         struct session_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, SESSION_OF(PINNED_BY) " LIMIT ?3", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, optimizer_id);
    query_bind_int(&query, version_id);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_session(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the sessions"));
}

bool store_session_reserve(struct store *store, int64_t *seq, dsc_err *err)
{
    return query_reserve(store, "session", 1, seq, err);
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
