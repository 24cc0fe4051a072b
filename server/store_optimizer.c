#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"
#include <stdio.h>

#define OPTIMIZER_SELECT                                                                           \
    "SELECT o.id, o.name, o.family, o.config, o.description, o.labels, o.builtin, o.created_at,"   \
    " ifnull((SELECT max(number) FROM version WHERE optimizer = o.id), 0) FROM optimizer o "

static void read_optimizer(struct query *query, struct optimizer_row *out)
{
    *out = (struct optimizer_row) {
        .id = query_int(query, 0),
        .name = query_text(query, 1),
        .family = query_text(query, 2),
        .config = query_text(query, 3),
        .description = query_text(query, 4),
        .labels = query_text(query, 5),
        .builtin = query_int(query, 6) != 0,
        .created_at = query_int(query, 7),
        .latest_version = query_int(query, 8),
    };
}

static bool insert(struct store *store, struct optimizer_row *row, dsc_err *err)
{
    bool conflict;
    struct query query =
        query_begin(store,
                    "INSERT INTO optimizer (name, family, config, description, labels, builtin,"
                    " version_next, created_at) VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
                    NULL);

    row->created_at = clock_ms();
    query_bind_text(&query, row->name);
    query_bind_text(&query, row->family);
    query_bind_text(&query, row->config);
    query_bind_text(&query, row->description);
    query_bind_text(&query, row->labels);
    query_bind_int(&query, row->builtin);
    query_bind_int(&query, row->created_at);
    return query_try(&query, &conflict, err) &&
           (!conflict ||
            dsc_fail(err, FAULT_ALREADY_EXISTS, "name", "\"%.63s\" is taken", row->name));
}

bool store_optimizer_insert(struct store *store, struct optimizer_row *row, dsc_err *err)
{
    char location[96];

    (void)snprintf(location, sizeof location, "/v1/optimizers/%s", row->name);
    return store_begin(store, err) &&
           store_end(store,
                     insert(store, row, err) &&
                         store_claim_fulfil(store, row->claim, location, err),
                     err);
}

bool store_optimizer_find(struct store *store, const char *name, struct optimizer_row *out,
                          dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, OPTIMIZER_SELECT "WHERE o.name = ?", arena);

    query_bind_text(&query, name);
    const bool found = query_row(&query);
    if (found)
        read_optimizer(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "optimizer", name));
}

bool store_optimizer_list(struct store *store, const char *after, size_t max,
                          struct optimizer_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, OPTIMIZER_SELECT "WHERE o.name > ? ORDER BY o.name LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_text(&query, after ? after : "");
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_optimizer(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_optimizer_update(struct store *store, const char *name, const char *description,
                            const char *labels, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "UPDATE optimizer SET description = ifnull(?2, description),"
                                     " labels = ifnull(?3, labels) WHERE name = ?1",
                                     NULL);
    int changed = 0;

    query_bind_text(&query, name);
    query_bind_text(&query, description);
    query_bind_text(&query, labels);
    return query_run(&query, &changed, err) &&
           (changed == 1 || query_not_found(err, "optimizer", name));
}

bool store_optimizer_delete(struct store *store, const char *name, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row row;
    int changed = 0;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    bool ok = store_optimizer_find(store, name, &row, &arena, err);
    bool builtin = ok && row.builtin;
    dsc_arena_release(&arena);
    if (!ok)
        return false;
    if (builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "", "%s is built in", name);
    struct query query = query_begin(
        store,
        "DELETE FROM optimizer WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM version v"
        " JOIN any_pin s ON s.version = v.id WHERE v.optimizer = optimizer.id)"
        " AND NOT EXISTS (SELECT 1 FROM alias WHERE optimizer = optimizer.id)"
        " AND NOT EXISTS (SELECT 1 FROM version v JOIN job_version j ON j.version = v.id"
        " WHERE v.optimizer = optimizer.id)"
        " AND NOT EXISTS (SELECT 1 FROM job WHERE optimizer = optimizer.id AND state < 3)",
        NULL);
    query_bind_text(&query, name);
    return query_run(&query, &changed, err) &&
           (changed == 1 ||
            dsc_fail(err, FAULT_IN_USE, "", "a session, an alias or a job uses %s", name));
}
