/* fuzz_field.c -- any bytes as a body: refused with a sentence, or decoded to what encodes to a
 * fixed point */
#include "server/field.h"
#include "server/limits.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
    struct field_seen seen;
    const char *name;
    struct field_list shape;
};

struct body {
    struct field_seen seen;
    bool flag;
    int64_t step;
    double rate;
    const char *name;
    int mode;
    struct item item;
    struct field_list layout, losses, names;
    struct field_choice weights;
    const char *labels, *patch, *config;
};

static const char *const modes[] = {"strict", "relaxed", "memory", NULL};

static const struct field item_fields[] = {
    {.name = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct item, name),
     .flags = FIELD_REQUIRED | FIELD_NULLABLE,
     .min = 1,
     .max = 8},
    {.name = "shape",
     .kind = FIELD_INTS,
     .offset = offsetof(struct item, shape),
     .flags = FIELD_OPTIONAL,
     .min = 1,
     .max = 1000,
     .max_items = 3},
    {.name = NULL},
};
static const struct shape item_shape = {
    .name = "Item", .size = sizeof(struct item), .fields = item_fields};

#define ROW(member, KIND, FLAGS)                                                                   \
    .name = #member, .kind = KIND, .offset = offsetof(struct body, member),                        \
    .flags = FIELD_OPTIONAL | (FLAGS)

static const struct field body_fields[] = {
    {ROW(flag, FIELD_BOOL, 0)},
    {ROW(step, FIELD_INT, 0), .min = 0, .max = 9007199254740991},
    {ROW(rate, FIELD_REAL, FIELD_NULLABLE)},
    {ROW(name, FIELD_STRING, 0), .max = 64},
    {ROW(mode, FIELD_WORD, 0), .words = modes},
    {ROW(item, FIELD_OBJECT, 0), .shape = &item_shape},
    {ROW(layout, FIELD_LIST, 0), .min = 1, .max = 16, .shape = &item_shape},
    {ROW(losses, FIELD_REALS, 0)},
    {ROW(names, FIELD_STRINGS, 0), .min = 1, .max = 8, .max_items = 4},
    {ROW(weights, FIELD_WORD_OR_REALS, 0), .min = 0, .max = 1e300, .max_items = 4, .words = modes},
    {ROW(labels, FIELD_LABELS, 0)},
    {ROW(patch, FIELD_LABELS, FIELD_MERGE)},
    {ROW(config, FIELD_JSON, 0)},
    {.name = "gradient", .kind = FIELD_VECTOR},
    {.name = NULL},
};
static const struct shape body_shape = {
    .name = "Body", .size = sizeof(struct body), .fields = body_fields};

static const char *const words[] = {"none", "log_sign", NULL};
static const dsc_hyper_spec spec[] = {
    {.name = "rate", .kind = DSC_HYPER_REAL, .min = 0, .max = 10, .initial = 0.01, .open = true},
    {.name = "layers", .kind = DSC_HYPER_INT, .min = 0, .max = 4, .initial = 2},
    {.name = "mode", .kind = DSC_HYPER_WORD, .initial = 1, .words = words},
    {.name = NULL},
};

static void check(bool promise)
{
    if (!promise)
        abort();
}

/* A failure has a code, a sentence, and a place without control characters. */
static void check_failure(const dsc_err *err)
{
    check(err->code != DSC_OK && err->text[0] != '\0');
    for (const char *p = err->where; *p; p++)
        check((unsigned char)*p >= 0x20);
}

static struct buf *encode(const struct body *body)
{
    struct buf *const out = buf_new(64);
    dsc_err err = {.code = DSC_OK};

    check(out && field_encode(&body_shape, body, out, &err));
    return out;
}

/* A patch taken twice is the patch taken once. */
static void check_merge(const char *labels, const char *patch, dsc_arena *arena)
{
    const char *const once = field_labels_merge(labels, patch, arena);
    const char *const twice = once ? field_labels_merge(once, patch, arena) : NULL;

    check(once && twice && strcmp(once, twice) == 0);
    check(field_labels_count(once) <= field_labels_count(labels) + field_labels_count(patch));
}

static void as_body(const uint8_t *data, size_t size, dsc_arena *arena)
{
    struct body body;
    struct buf *once, *twice;
    dsc_err err = {.code = DSC_OK};

    if (!field_decode(&body_shape, (const char *)data, size, &body, arena, &err)) {
        check_failure(&err);
        return;
    }
    if (body.labels && body.patch)
        check_merge(body.labels, body.patch, arena);
    once = encode(&body);
    check(field_decode(&body_shape, (const char *)once->data, once->len, &body, arena, &err));
    twice = encode(&body);
    check(once->len == twice->len && memcmp(once->data, twice->data, once->len) == 0);
    buf_drop(once);
    buf_drop(twice);
}

static void as_config(const uint8_t *data, size_t size, const dsc_hyper_spec *rows,
                      dsc_arena *arena)
{
    dsc_hyper hyper, again;
    dsc_err err = {.code = DSC_OK};
    const char *text;

    dsc_hyper_init(&hyper, rows);
    dsc_hyper_init(&again, rows);
    if (!field_hyper_decode(&hyper, (const char *)data, size, "config", &err)) {
        check_failure(&err);
        return;
    }
    text = field_hyper_encode(&hyper, arena);
    check(text && field_hyper_decode(&again, text, strlen(text), "config", &err));
    check(memcmp(hyper.value, again.value, sizeof hyper.value) == 0);
}

/* Of every family as well: their tables differ in kinds, ranges and number of rows. */
static void as_configs(const uint8_t *data, size_t size, dsc_arena *arena)
{
    as_config(data, size, spec, arena);
    for (const dsc_family *const *family = dsc_families; *family; family++)
        as_config(data, size, (*family)->hyper, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const copy = malloc(size ? size : 1); /* of exactly its length, for the sanitizers */
    dsc_arena arena;

    check(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    as_body(copy, size, &arena);
    as_configs(copy, size, &arena);
    dsc_arena_release(&arena);
    free(copy);
    return 0;
}
