/* store_alias.c -- names that point at a version, and every move they made */
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"

#define ALIAS_SELECT                                                                               \
    "SELECT o.name, a.name, a.version, v.number, a.revision, a.created_at, a.updated_at"           \
    " FROM optimizer o JOIN alias a ON a.optimizer = o.id JOIN version v ON v.id = a.version "

static void read_alias(struct query *query, struct alias_row *out)
{
    *out = (struct alias_row) {
        .optimizer = query_text(query, 0),
        .name = query_text(query, 1),
        .version_id = query_int(query, 2),
        .version = query_int(query, 3),
        .revision = query_int(query, 4),
        .created_at = query_int(query, 5),
        .updated_at = query_int(query, 6),
    };
}

static bool no_alias(dsc_err *err, const char *optimizer, const char *alias)
{
    return dsc_fail(err, FAULT_NOT_FOUND, "", "%.63s has no alias \"%.40s\"", optimizer, alias);
}

bool store_alias_find(struct store *store, const char *optimizer, const char *alias,
                      struct alias_row *out, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    struct query query =
        query_begin(store, ALIAS_SELECT "WHERE a.optimizer = ? AND a.name = ?", arena);
    query_bind_int(&query, owner.id);
    query_bind_text(&query, alias);
    const bool found = query_row(&query);
    if (found)
        read_alias(&query, out);
    return query_end(&query, err) && (found || no_alias(err, optimizer, alias));
}

bool store_alias_list(struct store *store, const char *optimizer, const char *after, size_t max,
                      struct alias_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    struct query query = query_begin(
        store, ALIAS_SELECT "WHERE a.optimizer = ? AND a.name > ? ORDER BY a.name LIMIT ?", arena);
    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, owner.id);
    query_bind_text(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_alias(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

/* --- moving --- */

static bool last_revision(struct store *store, int64_t optimizer, const char *alias,
                          int64_t *revision, dsc_err *err)
{
    struct query query = query_begin(
        store, "SELECT ifnull(max(revision), 0) FROM alias_move WHERE optimizer = ? AND alias = ?",
        NULL);

    query_bind_int(&query, optimizer);
    query_bind_text(&query, alias);
    *revision = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err);
}

/* Write a move down (version 0: a deletion) and let go of one that is too old. */
static bool add_move(struct store *store, int64_t optimizer, const char *alias, int64_t revision,
                     int64_t version, int64_t now, dsc_err *err)
{
    struct query query =
        query_begin(store,
                    "INSERT INTO alias_move (optimizer, alias, revision, version, moved_at)"
                    " VALUES (?, ?, ?, nullif(?, 0), ?)",
                    NULL);

    query_bind_int(&query, optimizer);
    query_bind_text(&query, alias);
    query_bind_int(&query, revision);
    query_bind_int(&query, version);
    query_bind_int(&query, now);
    if (!query_run(&query, NULL, err))
        return false;
    query = query_begin(
        store, "DELETE FROM alias_move WHERE optimizer = ? AND alias = ? AND revision <= ?", NULL);
    query_bind_int(&query, optimizer);
    query_bind_text(&query, alias);
    query_bind_int(&query, revision - LIMIT_ALIAS_MOVES);
    return query_run(&query, NULL, err);
}

static bool check_room(struct store *store, int64_t optimizer, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT count(*) FROM alias WHERE optimizer = ?", NULL);

    query_bind_int(&query, optimizer);
    const int64_t count = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err) &&
           (count < LIMIT_ALIASES ||
            dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "the optimizer has %d aliases already",
                     LIMIT_ALIASES));
}

static bool put(struct store *store, int64_t optimizer, const char *alias, int64_t version_id,
                int64_t revision, int64_t now, dsc_err *err)
{
    struct query query =
        query_begin(store,
                    "INSERT INTO alias (optimizer, name, version, revision, created_at, updated_at)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?5) ON CONFLICT (optimizer, name)"
                    " DO UPDATE SET version = ?3, revision = ?4, updated_at = ?5",
                    NULL);

    query_bind_int(&query, optimizer);
    query_bind_text(&query, alias);
    query_bind_int(&query, version_id);
    query_bind_int(&query, revision);
    query_bind_int(&query, now);
    return query_run(&query, NULL, err);
}

bool store_alias_put(struct store *store, const struct version_row *version, const char *alias,
                     bool fresh, dsc_err *err)
{
    const int64_t optimizer = version->optimizer_id, now = clock_ms();
    int64_t revision;

    if (!store_begin(store, err))
        return false;
    const bool ok = (!fresh || check_room(store, optimizer, err)) &&
                    last_revision(store, optimizer, alias, &revision, err) &&
                    put(store, optimizer, alias, version->id, revision + 1, now, err) &&
                    add_move(store, optimizer, alias, revision + 1, version->number, now, err);
    return store_end(store, ok, err);
}

bool store_alias_delete(struct store *store, const char *optimizer, const char *alias, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row owner;
    int changed = 0;
    int64_t revision;

    if (!store_begin(store, err))
        return false;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    bool ok = store_optimizer_find(store, optimizer, &owner, &arena, err);
    if (ok) {
        struct query query =
            query_begin(store, "DELETE FROM alias WHERE optimizer = ? AND name = ?", NULL);
        query_bind_int(&query, owner.id);
        query_bind_text(&query, alias);
        ok = query_run(&query, &changed, err) &&
             (changed == 1 || no_alias(err, optimizer, alias)) &&
             last_revision(store, owner.id, alias, &revision, err) &&
             add_move(store, owner.id, alias, revision + 1, 0, clock_ms(), err);
    }
    dsc_arena_release(&arena);
    return store_end(store, ok, err);
}

bool store_alias_moves(struct store *store, const char *optimizer, const char *alias, int64_t after,
                       size_t max, struct alias_move_row **out, size_t *count, dsc_arena *arena,
                       dsc_err *err)
{
    struct optimizer_row owner;

    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    struct query query =
        query_begin(store,
                    "SELECT revision, ifnull(version, 0), moved_at FROM alias_move"
                    " WHERE optimizer = ? AND alias = ? AND revision > ? ORDER BY revision LIMIT ?",
                    arena);
    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_int(&query, owner.id);
    query_bind_text(&query, alias);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        (*out)[(*count)++] = (struct alias_move_row) {query_int(&query, 0), query_int(&query, 1),
                                                      query_int(&query, 2)};
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page")) &&
           (*count > 0 || after > 0 || no_alias(err, optimizer, alias));
}
