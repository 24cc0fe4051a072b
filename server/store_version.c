#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"
#include <stdio.h>

#define VERSION_SELECT                                                                             \
    "SELECT v.id, v.optimizer, v.number, o.name, o.family, v.config, v.sha256, v.source,"          \
    " length(w.bytes), v.weights_count, v.created_at, v.job, v.parent, v.metrics FROM version v"   \
    " JOIN optimizer o ON o.id = v.optimizer JOIN weights w ON w.sha256 = v.sha256 "

static void read_version(struct query *query, struct version_row *out)
{
    *out = (struct version_row) {
        .id = query_int(query, 0),
        .optimizer_id = query_int(query, 1),
        .number = query_int(query, 2),
        .optimizer = query_text(query, 3),
        .family = query_text(query, 4),
        .config = query_text(query, 5),
        .sha256 = query_text(query, 6),
        .source = query_text(query, 7),
        .size_bytes = query_int(query, 8),
        .weights_count = query_int(query, 9),
        .created_at = query_int(query, 10),
        .job = query_text(query, 11),
        .parent = query_text(query, 12),
        .metrics = query_text(query, 13),
    };
}

/* Take the optimizer's next number: no other version will ever get it. */
static bool take_number(struct store *store, struct version_row *row, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "UPDATE optimizer SET version_next = version_next + 1"
                                     " WHERE name = ? RETURNING id, version_next - 1",
                                     NULL);

    query_bind_text(&query, row->optimizer);
    const bool found = query_row(&query);
    if (found) {
        row->optimizer_id = query_int(&query, 0);
        row->number = query_int(&query, 1);
        query_row(&query);
    }
    return query_end(&query, err) && (found || query_not_found(err, "optimizer", row->optimizer));
}

/* The file, unless some version has it already. */
static bool keep_weights(struct store *store, const char *sha256, const struct buf *weights,
                         dsc_err *err)
{
    struct query query =
        query_begin(store, "INSERT OR IGNORE INTO weights (sha256, bytes) VALUES (?, ?)", NULL);

    query_bind_text(&query, sha256);
    query_bind_blob(&query, weights->data, weights->len);
    return query_run(&query, NULL, err);
}

static bool insert(struct store *store, struct version_row *row, dsc_err *err)
{
    struct query query =
        query_begin(store,
                    "INSERT INTO version (optimizer, number, config, sha256, source, weights_count,"
                    " created_at, job, parent, metrics) VALUES (?, ?, ?, ?, ?, ?, ?,"
                    " ifnull(?, ''), ifnull(?, ''), ifnull(?, '{}')) RETURNING id",
                    NULL);

    row->created_at = clock_ms();
    query_bind_int(&query, row->optimizer_id);
    query_bind_int(&query, row->number);
    query_bind_text(&query, row->config);
    query_bind_text(&query, row->sha256);
    query_bind_text(&query, row->source);
    query_bind_int(&query, row->weights_count);
    query_bind_int(&query, row->created_at);
    query_bind_text(&query, row->job);
    query_bind_text(&query, row->parent);
    query_bind_text(&query, row->metrics);
    if (query_row(&query)) {
        row->id = query_int(&query, 0);
        query_row(&query);
    }
    return query_end(&query, err);
}

static bool fulfil(struct store *store, const struct version_row *row, dsc_err *err)
{
    char location[128];

    (void)snprintf(location, sizeof location, "/v1/optimizers/%s/versions/%lld", row->optimizer,
                   (long long)row->number);
    return store_claim_fulfil(store, row->claim, location, err);
}

bool store_version_insert(struct store *store, struct version_row *row, const struct buf *weights,
                          dsc_err *err)
{
    return store_begin(store, err) &&
           store_end(store,
                     take_number(store, row, err) &&
                         keep_weights(store, row->sha256, weights, err) &&
                         insert(store, row, err) && fulfil(store, row, err),
                     err);
}

bool store_version_find(struct store *store, const char *optimizer, int64_t number,
                        struct version_row *out, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    struct query query =
        query_begin(store,
                    VERSION_SELECT "WHERE v.optimizer = ?1 AND (v.number = ?2 OR ?2 = 0)"
                                   " ORDER BY v.number DESC LIMIT 1",
                    arena);
    query_bind_int(&query, owner.id);
    query_bind_int(&query, number);
    bool found = query_row(&query);
    if (found)
        read_version(&query, out);
    if (!query_end(&query, err) || found)
        return found;
    return number
               ? dsc_fail(err, FAULT_NOT_FOUND, "", "%s has no version %lld", optimizer,
                          (long long)number)
               : dsc_fail(err, FAULT_NO_VERSION, "optimizer", "%s has no version yet", optimizer);
}

bool store_version_by_id(struct store *store, int64_t id, struct version_row *out, dsc_arena *arena,
                         dsc_err *err)
{
    struct query query = query_begin(store, VERSION_SELECT "WHERE v.id = ?", arena);

    query_bind_int(&query, id);
    bool found = query_row(&query);
    if (found)
        read_version(&query, out);
    return query_end(&query, err) &&
           (found || dsc_fail(err, FAULT_NOT_FOUND, "", "the version is gone"));
}

bool store_version_list(struct store *store, const char *optimizer, int64_t after, size_t max,
                        struct version_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct optimizer_row owner;

    *count = 0;
    if (!store_optimizer_find(store, optimizer, &owner, arena, err))
        return false;
    *out = dsc_arena_take(arena, max, sizeof **out);
    struct query query = query_begin(
        store, VERSION_SELECT "WHERE v.optimizer = ? AND v.number > ? ORDER BY v.number LIMIT ?",
        arena);
    query_bind_int(&query, owner.id);
    query_bind_int(&query, after);
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_version(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_version_weights(struct store *store, int64_t version_id, struct buf **out, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "SELECT w.bytes FROM version v JOIN weights w ON w.sha256 ="
                                     " v.sha256 WHERE v.id = ?",
                                     NULL);

    query_bind_int(&query, version_id);
    const bool found = query_row(&query);
    *out = found ? query_blob(&query, 0) : NULL;
    return query_end(&query, err) &&
           (found || dsc_fail(err, FAULT_NOT_FOUND, "", "the version is gone"));
}

bool store_version_delete(struct store *store, const char *optimizer, int64_t number, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row owner;
    struct version_row row;
    int changed = 0;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    bool ok = store_version_find(store, optimizer, number, &row, &arena, err) &&
              store_optimizer_find(store, optimizer, &owner, &arena, err);
    bool builtin = ok && owner.builtin;
    dsc_arena_release(&arena);
    if (!ok)
        return false;
    if (builtin)
        return dsc_fail(err, FAULT_BUILTIN_PROTECTED, "", "%s is built in", optimizer);
    struct query query = query_begin(store,
                                     "DELETE FROM version WHERE id = ?1 AND NOT EXISTS (SELECT 1 "
                                     "FROM any_pin WHERE version = ?1) AND NOT EXISTS (SELECT 1 "
                                     "FROM job_version WHERE version = ?1) AND NOT EXISTS (SELECT 1"
                                     " FROM alias WHERE version = ?1)",
                                     NULL);
    query_bind_int(&query, row.id);
    return query_run(&query, &changed, err) &&
           (changed == 1 ||
            dsc_fail(err, FAULT_IN_USE, "", "a session, an alias or a job uses %s:%lld", optimizer,
                     (long long)number));
}
