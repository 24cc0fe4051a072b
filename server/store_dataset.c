#include "store_dataset.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "store_query.h"
#include <string.h>

#define DATASET_SELECT "SELECT id, name, format, target, created_at, committed_at FROM dataset "

static void read_dataset(struct query *query, struct dataset_row *out)
{
    *out = (struct dataset_row) {
        .id = query_int(query, 0),
        .name = query_text(query, 1),
        .format = query_text(query, 2),
        .target = query_text(query, 3),
        .created_at = query_int(query, 4),
        .committed_at = query_int(query, 5),
    };
}

/* --- looking --- */

bool store_dataset_find(struct store *store, const char *name, struct dataset_row *out,
                        dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(store, DATASET_SELECT "WHERE name = ?", arena);

    query_bind_text(&query, name);
    const bool found = query_row(&query);
    if (found)
        read_dataset(&query, out);
    return query_end(&query, err) && (found || query_not_found(err, "dataset", name));
}

bool store_dataset_list(struct store *store, const char *after, size_t max,
                        struct dataset_row **out, size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query =
        query_begin(store, DATASET_SELECT "WHERE name > ? ORDER BY name LIMIT ?", arena);

    *count = 0;
    *out = dsc_arena_take(arena, max, sizeof **out);
    query_bind_text(&query, after ? after : "");
    query_bind_int(&query, (int64_t)max);
    while (*out && query_row(&query))
        read_dataset(&query, &(*out)[(*count)++]);
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the page"));
}

bool store_dataset_files(struct store *store, int64_t id, struct dataset_file_row **out,
                         size_t *count, dsc_arena *arena, dsc_err *err)
{
    struct query query = query_begin(
        store, "SELECT name, sha256, size_bytes FROM dataset_file WHERE dataset = ? ORDER BY name",
        arena);

    *count = 0;
    *out = dsc_arena_take(arena, LIMIT_DATASET_FILES, sizeof **out);
    query_bind_int(&query, id);
    while (*out && *count < LIMIT_DATASET_FILES && query_row(&query))
        (*out)[(*count)++] = (struct dataset_file_row) {
            query_text(&query, 0), query_text(&query, 1), query_int(&query, 2)};
    return query_end(&query, err) &&
           (*out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the files"));
}

static bool count_rows(struct store *store, const char *sql, int64_t id, int64_t *count,
                       dsc_err *err)
{
    struct query query = query_begin(store, sql, NULL);

    if (id)
        query_bind_int(&query, id);
    *count = query_row(&query) ? query_int(&query, 0) : 0;
    return query_end(&query, err);
}

bool store_dataset_has(struct store *store, const char *sha256, bool *has, dsc_err *err)
{
    struct query query = query_begin(store, "SELECT 1 FROM dataset_file WHERE sha256 = ?", NULL);

    query_bind_text(&query, sha256);
    *has = query_row(&query);
    return query_end(&query, err);
}

/* --- changing: each within a transaction --- */

static bool create(struct store *store, const char *name, dsc_err *err)
{
    int64_t count;

    if (!count_rows(store, "SELECT count(*) FROM dataset", 0, &count, err))
        return false;
    if (count >= LIMIT_DATASETS)
        return dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "there are %d datasets, as many as may be",
                        LIMIT_DATASETS);
    struct query query = query_begin(store,
                                     "INSERT INTO dataset (name, format, target, created_at,"
                                     " committed_at) VALUES (?, '', '', ?, 0)",
                                     NULL);
    query_bind_text(&query, name);
    query_bind_int(&query, clock_ms());
    return query_run(&query, NULL, err);
}

/* The dataset, made unless it is there; not committed. */
static bool find_open(struct store *store, const char *name, struct dataset_row *out,
                      dsc_arena *arena, dsc_err *err)
{
    dsc_err why = {0};

    if (!store_dataset_find(store, name, out, arena, &why)) {
        if (why.code != FAULT_NOT_FOUND)
            return dsc_fail(err, why.code, why.where, "%s", why.text);
        return create(store, name, err) && store_dataset_find(store, name, out, arena, err);
    }
    return !out->format[0] || dsc_fail(err, FAULT_INVALID_STATE, "",
                                       "%s is committed: it does not change any more", name);
}

static bool check_room(struct store *store, int64_t id, dsc_err *err)
{
    int64_t count;

    return count_rows(store, "SELECT count(*) FROM dataset_file WHERE dataset = ?", id, &count,
                      err) &&
           (count < LIMIT_DATASET_FILES ||
            dsc_fail(err, FAULT_QUOTA_EXCEEDED, "", "it has %d files, as many as may be",
                     LIMIT_DATASET_FILES));
}

static bool replace(struct store *store, int64_t id, const struct dataset_file_row *file,
                    bool *replaced, dsc_err *err)
{
    int changed = 0;
    struct query query = query_begin(store,
                                     "UPDATE dataset_file SET sha256 = ?3, size_bytes = ?4"
                                     " WHERE dataset = ?1 AND name = ?2",
                                     NULL);

    query_bind_int(&query, id);
    query_bind_text(&query, file->name);
    query_bind_text(&query, file->sha256);
    query_bind_int(&query, file->size_bytes);
    const bool ok = query_run(&query, &changed, err);
    *replaced = changed == 1;
    return ok;
}

static bool add(struct store *store, int64_t id, const struct dataset_file_row *file, dsc_err *err)
{
    struct query query = query_begin(
        store, "INSERT INTO dataset_file (dataset, name, sha256, size_bytes) VALUES (?, ?, ?, ?)",
        NULL);

    query_bind_int(&query, id);
    query_bind_text(&query, file->name);
    query_bind_text(&query, file->sha256);
    query_bind_int(&query, file->size_bytes);
    return query_run(&query, NULL, err);
}

static bool put(struct store *store, const char *dataset, const struct dataset_file_row *file,
                bool *replaced, dsc_arena *arena, dsc_err *err)
{
    struct dataset_row row;

    return find_open(store, dataset, &row, arena, err) &&
           replace(store, row.id, file, replaced, err) &&
           (*replaced || (check_room(store, row.id, err) && add(store, row.id, file, err)));
}

bool store_dataset_put(struct store *store, const char *dataset,
                       const struct dataset_file_row *file, bool *replaced, dsc_err *err)
{
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    ok = store_begin(store, err) &&
         store_end(store, put(store, dataset, file, replaced, &arena, err), err);
    dsc_arena_release(&arena);
    return ok;
}

static bool mark(struct store *store, int64_t id, const char *format, const char *target,
                 dsc_err *err)
{
    struct query query = query_begin(
        store, "UPDATE dataset SET format = ?, target = ?, committed_at = ? WHERE id = ?", NULL);

    query_bind_text(&query, format);
    query_bind_text(&query, target);
    query_bind_int(&query, clock_ms());
    query_bind_int(&query, id);
    return query_run(&query, NULL, err);
}

static bool commit(struct store *store, const char *name, const char *format, const char *target,
                   dsc_arena *arena, dsc_err *err)
{
    struct dataset_row row;

    if (!store_dataset_find(store, name, &row, arena, err))
        return false;
    if (!row.format[0])
        return mark(store, row.id, format, target, err);
    return (strcmp(row.format, format) == 0 && strcmp(row.target, target) == 0) ||
           dsc_fail(err, FAULT_INVALID_STATE, "", "%s is committed as %s already", name,
                    row.format);
}

bool store_dataset_commit(struct store *store, const char *name, const char *format,
                          const char *target, dsc_err *err)
{
    dsc_arena arena;
    bool ok;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    ok = store_begin(store, err) &&
         store_end(store, commit(store, name, format, target, &arena, err), err);
    dsc_arena_release(&arena);
    return ok;
}

bool store_dataset_delete(struct store *store, const char *name, dsc_err *err)
{
    int changed = 0;
    int64_t users;
    struct query query = query_begin(store,
                                     "DELETE FROM dataset WHERE name = ?1 AND NOT EXISTS"
                                     " (SELECT 1 FROM job_dataset WHERE dataset = dataset.id)",
                                     NULL);

    query_bind_text(&query, name);
    if (!query_run(&query, &changed, err))
        return false;
    if (changed == 1)
        return true;
    query = query_begin(store, "SELECT count(*) FROM dataset WHERE name = ?", NULL);
    query_bind_text(&query, name);
    users = query_row(&query) ? query_int(&query, 0) : 0;
    if (!query_end(&query, err))
        return false;
    return users ? dsc_fail(err, FAULT_IN_USE, "", "a job that is not over reads %s", name)
                 : query_not_found(err, "dataset", name);
}

bool store_dataset_use(struct store *store, const char *name, int64_t job, dsc_err *err)
{
    struct query query = query_begin(store,
                                     "INSERT OR IGNORE INTO job_dataset (job, dataset)"
                                     " SELECT ?, id FROM dataset WHERE name = ?",
                                     NULL);

    query_bind_int(&query, job);
    query_bind_text(&query, name);
    return query_run(&query, NULL, err);
}
