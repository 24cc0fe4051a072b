#include "registry.h"
#include "fault.h"
#include "field.h"
#include "limits.h"
#include "migrations/embedded.h"
#include "safetensors.h"
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A version's model, once in memory. Versions are immutable, so nothing is ever refreshed. */
struct cached {
    int64_t version_id;
    dsc_model *model;
    struct cached *next;
};

struct registry {
    struct store *store;
    const dsc_kernel *kernel;
    pthread_mutex_t lock; /* of the list */
    struct cached *first;
};

bool registry_name_ok(const char *name)
{
    size_t len = strlen(name);

    if (len < 1 || len > 63 || strchr("._-", name[0]))
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool registry_alias_ok(const char *alias)
{
    return strlen(alias) <= 32 && registry_name_ok(alias);
}

/* --- references --- */

static bool bad_reference(const char *reference, dsc_err *err)
{
    return dsc_fail(err, FAULT_INVALID_VALUE, "optimizer",
                    "\"%.60s\" is not a reference: name, name:7 or name@alias", reference);
}

/* ":7": 7; "": 0. False when it is neither. */
static bool read_number(const char *text, int64_t *number)
{
    const size_t len = strlen(text);

    *number = 0;
    if (len == 0)
        return true;
    if (len > 16 || text[1] == '0' || strspn(text + 1, "0123456789") != len - 1 || len < 2)
        return false;
    *number = strtoll(text + 1, NULL, 10);
    return true;
}

static bool resolve_alias(struct registry *registry, const char *name, const char *alias,
                          struct version_row *out, dsc_arena *arena, dsc_err *err)
{
    struct alias_row row;

    if (!store_begin(registry->store, err)) /* the alias must not move in between */
        return false;
    return store_end(registry->store,
                     store_alias_find(registry->store, name, alias, &row, arena, err) &&
                         store_version_by_id(registry->store, row.version_id, out, arena, err),
                     err);
}

bool registry_resolve(struct registry *registry, const char *reference, struct version_row *out,
                      dsc_arena *arena, dsc_err *err)
{
    char name[64];
    const size_t len = strcspn(reference, ":@");
    int64_t number;

    if (len >= sizeof name)
        return bad_reference(reference, err);
    memcpy(name, reference, len);
    name[len] = '\0';
    if (!registry_name_ok(name))
        return bad_reference(reference, err);
    if (reference[len] == '@' && registry_alias_ok(reference + len + 1))
        return resolve_alias(registry, name, reference + len + 1, out, arena, err);
    if (reference[len] == '@' || !read_number(reference + len, &number))
        return bad_reference(reference, err);
    return store_version_find(registry->store, name, number, out, arena, err);
}

/* --- models --- */

static dsc_model *cache_find(struct registry *registry, int64_t version_id)
{
    dsc_model *model = NULL;

    pthread_mutex_lock(&registry->lock);
    for (struct cached *c = registry->first; c && !model; c = c->next)
        if (c->version_id == version_id)
            model = dsc_model_hold(c->model);
    pthread_mutex_unlock(&registry->lock);
    return model;
}

/* Keep a model for the next caller; without memory it is simply read again. */
static void cache_add(struct registry *registry, int64_t version_id, dsc_model *model)
{
    struct cached *cached = malloc(sizeof *cached);

    if (!cached)
        return;
    pthread_mutex_lock(&registry->lock);
    *cached = (struct cached) {version_id, dsc_model_hold(model), registry->first};
    registry->first = cached;
    pthread_mutex_unlock(&registry->lock);
}

bool registry_model(struct registry *registry, int64_t version_id, dsc_model **out, dsc_err *err)
{
    dsc_arena arena;
    struct version_row row;
    struct buf *file = NULL;
    bool ok = false;

    if ((*out = cache_find(registry, version_id)) != NULL)
        return true;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    if (!store_version_by_id(registry->store, version_id, &row, &arena, err) ||
        !store_version_weights(registry->store, version_id, &file, err))
        goto done;
    const dsc_family *family = dsc_family_find(row.family);
    if (!family) {
        dsc_fail(err, FAULT_INTERNAL, "", "this program has no family %.40s", row.family);
        goto done;
    }
    if (!safetensors_import(out, file->data, file->len, family, registry->kernel, err))
        goto done;
    cache_add(registry, version_id, *out);
    ok = true;
done:
    buf_drop(file);
    dsc_arena_release(&arena);
    return ok;
}

/* --- publishing --- */

static void sha256_hex(const struct buf *file, char out[65])
{
    unsigned char digest[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(digest, file->data, file->len);
    sodium_bin2hex(out, 65, digest, sizeof digest);
}

/* The file we serve for a model, and its digest. */
static bool describe(const dsc_model *model, struct buf **file, char sha256[65], dsc_err *err)
{
    if (!safetensors_export(file, model, err))
        return false;
    sha256_hex(*file, sha256);
    return true;
}

bool registry_describe(const char *optimizer, const dsc_model *model, const char *source,
                       struct version_row *row, struct buf **file, dsc_arena *arena, dsc_err *err)
{
    char sha256[65];

    if (!describe(model, file, sha256, err))
        return false;
    *row = (struct version_row) {
        .optimizer = optimizer,
        .family = dsc_model_family(model)->name,
        .config = field_hyper_encode(dsc_model_hyper(model), arena),
        .sha256 = dsc_arena_text(arena, sha256, 64),
        .source = source,
        .size_bytes = (int64_t)(*file)->len,
        .weights_count = (int64_t)dsc_model_phi_layout(model)->len,
    };
    return (row->config && row->sha256) ||
           dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the version");
}

static bool publish(struct registry *registry, const char *optimizer, dsc_model *model,
                    const char *source, int64_t claim, struct version_row *row, dsc_arena *arena,
                    dsc_err *err)
{
    struct buf *file = NULL;
    bool ok = registry_describe(optimizer, model, source, row, &file, arena, err);

    row->claim = claim;
    ok = ok && store_version_insert(registry->store, row, file, err);

    if (ok)
        cache_add(registry, row->id, model);
    buf_drop(file);
    return ok;
}

bool registry_publish(struct registry *registry, const char *optimizer, dsc_model *model,
                      const char *source, struct version_row *row, dsc_arena *arena, dsc_err *err)
{
    return publish(registry, optimizer, model, source, 0, row, arena, err);
}

bool registry_import(struct registry *registry, const char *optimizer, dsc_model *model,
                     int64_t claim, struct version_row *row, dsc_arena *arena, dsc_err *err)
{
    return publish(registry, optimizer, model, "import", claim, row, arena, err);
}

/* An optimizer and its version 1, or neither. */
static bool insert_both(struct registry *registry, struct optimizer_row *row, dsc_model *model,
                        dsc_arena *arena, dsc_err *err)
{
    const char *const source = row->builtin ? "builtin" : "import";
    struct version_row version;
    struct buf *file = NULL;
    const bool ok = registry_describe(row->name, model, source, &version, &file, arena, err) &&
                    store_begin(registry->store, err) &&
                    store_end(registry->store,
                              store_optimizer_insert(registry->store, row, err) &&
                                  store_version_insert(registry->store, &version, file, err),
                              err);

    if (ok) { /* not before it is durable: an id that was undone is given again */
        row->latest_version = version.number;
        cache_add(registry, version.id, model);
    }
    buf_drop(file);
    return ok;
}

bool registry_create(struct registry *registry, struct optimizer_row *row, const dsc_hyper *hyper,
                     dsc_arena *arena, dsc_err *err)
{
    const dsc_family *family = dsc_family_find(row->family);
    dsc_model *model = NULL;

    row->config = field_hyper_encode(hyper, arena);
    row->latest_version = 0;
    if (!row->config)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the config");
    if (family->phi_layout)
        return store_optimizer_insert(registry->store, row, err);
    if (!dsc_model_new(&model, family, hyper, NULL, registry->kernel, err))
        return false;
    const bool ok = insert_both(registry, row, model, arena, err);
    dsc_model_drop(model);
    return ok;
}

/* --- what a fresh server holds --- */

/* The optimizer and its version 1, unless somebody has the name already. */
static bool add_builtin(struct registry *registry, const char *name, const char *description,
                        dsc_model *model, dsc_err *err)
{
    dsc_arena arena;
    struct optimizer_row row = {
        .name = name,
        .family = dsc_model_family(model)->name,
        .description = description,
        .labels = "{}",
        .builtin = true,
    };
    struct optimizer_row there;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    row.config = field_hyper_encode(dsc_model_hyper(model), &arena);
    const bool ok =
        store_optimizer_find(registry->store, name, &there, &arena, NULL) ||
        (row.config ? insert_both(registry, &row, model, &arena, err)
                    : dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the config"));
    dsc_arena_release(&arena);
    return ok;
}

/* A hand-designed family under its own name with its default config. */
static bool add_family(struct registry *registry, const dsc_family *family, dsc_err *err)
{
    dsc_model *model = NULL;
    dsc_hyper hyper;

    dsc_hyper_init(&hyper, family->hyper);
    const bool ok = dsc_model_new(&model, family, &hyper, NULL, registry->kernel, err) &&
                    add_builtin(registry, family->name, family->doc, model, err);
    dsc_model_drop(model);
    return ok;
}

static bool add_pretrained(struct registry *registry, const struct pretrained *shipped,
                           dsc_err *err)
{
    char about[LIMIT_DESCRIPTION_BYTES];
    dsc_model *model = NULL;

    snprintf(about, sizeof about, "%s", shipped->about);
    about[strcspn(about, "\n")] = '\0'; /* a file ends with one */
    const bool ok =
        safetensors_import(&model, shipped->bytes, shipped->len, NULL, registry->kernel, err) &&
        add_builtin(registry, shipped->name, about, model, err);
    dsc_model_drop(model);
    return ok;
}

static bool add_builtins(struct registry *registry, dsc_err *err)
{
    for (size_t i = 0; dsc_families[i]; i++)
        if (!dsc_families[i]->phi_layout && !add_family(registry, dsc_families[i], err))
            return false;
    for (size_t i = 0; pretrained[i].name; i++)
        if (!add_pretrained(registry, &pretrained[i], err))
            return false;
    return true;
}

/* --- life --- */

bool registry_open(struct registry **out, struct store *store, const dsc_kernel *kernel,
                   dsc_err *err)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (!registry || sodium_init() < 0) {
        free(registry);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the registry");
    }
    pthread_mutex_init(&registry->lock, NULL);
    registry->store = store;
    registry->kernel = kernel;
    if (!add_builtins(registry, err)) {
        registry_close(registry);
        return false;
    }
    *out = registry;
    return true;
}

void registry_close(struct registry *registry)
{
    if (!registry)
        return;
    for (struct cached *c = registry->first, *next; c; c = next) {
        next = c->next;
        dsc_model_drop(c->model);
        free(c);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}
