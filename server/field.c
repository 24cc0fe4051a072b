/* field.c -- JSON text to structs, by the rows of their shape: the one door to Jansson
 *
 * What it is for. Every control message of the server is decoded here and nowhere else, so that
 * "unknown field", "must be a whole number in [1, 10], not 17.5" and `layout[1].shape[0]` read the
 * same on every route, and no handler ever sees a value that its row does not allow.
 *
 * How. The text is measured (length, depth) before Jansson parses it into a tree, because Jansson
 * recurses and takes some 50 bytes a number. Then the tree and the rows are walked together; each
 * kind of row has one function in decode_kinds. The tree is freed at the end and everything that
 * must live is in the arena.
 *
 * Where a value is. A `place` is one link of a path and lies on the stack of the function that went
 * one level deeper: layout -> [1] -> shape -> [0]. It becomes text only when something fails.
 *
 * What a client wrote may come back in a sentence, cut at a whole character and without control
 * characters.
 *
 * Known and left. Lines and columns count in the text as vector.c left it, without the numbers.
 * Jansson reads 1e-400 as 0, which is the nearest double. A whole number beyond 64 bits stops it;
 * its path is found from the byte where it stands. A token it has no memory for it calls invalid.
 *
 * Held to account by. tests/unit/test_field.c, tests/fuzz/fuzz_field.c. */
#include "field.h"
#include "fault.h"
#include "jsontext.h"
#include "limits.h"
#include "suggest.h"
#include "where.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- where a value is, and what is wrong with it ---- */

#define NO_INDEX SIZE_MAX

enum {
    SENTENCE_BYTES = sizeof((dsc_err *)NULL)->text,
    WHERE_BYTES = sizeof((dsc_err *)NULL)->where,
    GOT_BYTES = 48, /* of a client's value in a sentence */
};

struct place {
    const struct place *outer; /* NULL: the body itself */
    const char *name;
    size_t index; /* NO_INDEX: not an element of a list */
};

/* From the outside in. */
static void place_write(char where[WHERE_BYTES], const struct place *place)
{
    where[0] = '\0';
    if (!place)
        return;
    place_write(where, place->outer);
    where_name(where, WHERE_BYTES, place->name);
    if (place->index != NO_INDEX)
        where_index(where, WHERE_BYTES, place->index);
}

static bool DSC_PRINTF(4, 5)
    fail_at(dsc_err *err, const struct place *place, int code, const char *fmt, ...)
{
    char where[WHERE_BYTES], text[SENTENCE_BYTES];
    va_list args;

    place_write(where, place);
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return dsc_fail(err, code, where, "%s", text);
}

static bool fail_memory(dsc_err *err)
{
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "the request takes too much memory");
}

/* With a point or an exponent, so that nobody reads that 17 is not a whole number. */
static void real_write(char got[GOT_BYTES], double value)
{
    const size_t len = jsontext_real(got, value);

    if (strspn(got, "-0123456789") == len)
        (void)snprintf(got + len, GOT_BYTES - len, ".0");
}

static const char *kind_name(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    default:
        return "a longer text"; /* a short one, and every number, is shown as it is */
    }
}

/* A value as a sentence shows it: 17.5, "abc", null, a list. */
static void got_write(char got[GOT_BYTES], const json_t *json)
{
    char text[GOT_BYTES - 8];

    if (json_is_integer(json))
        (void)snprintf(got, GOT_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else if (json_is_real(json))
        real_write(got, json_real_value(json));
    else if (json_is_string(json) && json_string_length(json) < sizeof text) {
        (void)jsontext_quote(text, sizeof text, json_string_value(json));
        (void)snprintf(got, GOT_BYTES, "\"%s\"", text);
    } else
        (void)snprintf(got, GOT_BYTES, "%s", kind_name(json));
}

/* "must be <what>, not <the value>" */
static bool fail_value(dsc_err *err, const struct place *place, const json_t *json,
                       const char *what)
{
    char got[GOT_BYTES];

    got_write(got, json);
    return fail_at(err, place, FAULT_INVALID_VALUE, "must be %s, not %s", what, got);
}

/* Append ", word" to a list in a sentence, or as much of it as there is room for. */
static void list_add(char *list, size_t size, const char *word, const char *quote)
{
    const size_t used = strlen(list);

    (void)snprintf(list + used, size - used, "%s%s%s%s", used ? ", " : "", quote, word, quote);
}

/* ---- what a row allows ---- */

static bool is_bounded(const struct field *row)
{
    return row->min != 0 || row->max != 0;
}

static bool in_range(const struct field *row, double value)
{
    return !is_bounded(row) || (value >= row->min && value <= row->max);
}

/* "a number in [0, 1]"; `what` alone where there is no bound. */
static bool fail_range(dsc_err *err, const struct place *place, const json_t *json,
                       const struct field *row, const char *what)
{
    char min[JSONTEXT_REAL_MAX], max[JSONTEXT_REAL_MAX], text[SENTENCE_BYTES];

    if (!is_bounded(row))
        return fail_value(err, place, json, what);
    (void)jsontext_real(min, row->min);
    (void)jsontext_real(max, row->max);
    (void)snprintf(text, sizeof text, "%s in [%s, %s]", what, min, max);
    return fail_value(err, place, json, text);
}

/* Bytes of a text or items of a list. */
static bool check_count(dsc_err *err, const struct place *place, const struct field *row,
                        size_t count, const char *unit)
{
    char min[JSONTEXT_REAL_MAX], max[JSONTEXT_REAL_MAX];

    if (in_range(row, (double)count))
        return true;
    (void)jsontext_real(min, row->min);
    (void)jsontext_real(max, row->max);
    return fail_at(err, place, FAULT_INVALID_VALUE, "must have %s to %s %s, not %zu", min, max,
                   unit, count);
}

/* ---- trees to text ---- */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The keys of an object, sorted, from the arena; NULL when it is full. */
static const char **sorted_keys(json_t *object, dsc_arena *arena)
{
    const size_t count = json_object_size(object);
    const char **const keys = dsc_arena_take(arena, count, sizeof *keys);
    size_t i = 0;

    if (!keys)
        return NULL;
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        keys[i++] = json_object_iter_key(at);
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

static bool dump(struct buf *out, json_t *json, dsc_arena *arena);

static bool dump_object(struct buf *out, json_t *object, dsc_arena *arena)
{
    const size_t count = json_object_size(object);
    const char **const keys = sorted_keys(object, arena);
    bool ok = keys && buf_append(out, "{", 1);

    for (size_t i = 0; ok && i < count; i++)
        ok = (i == 0 || buf_append(out, ",", 1)) &&
             jsontext_string(out, keys[i], strlen(keys[i])) && buf_append(out, ":", 1) &&
             dump(out, json_object_get(object, keys[i]), arena);
    return ok && buf_append(out, "}", 1);
}

static bool dump_array(struct buf *out, const json_t *array, dsc_arena *arena)
{
    bool ok = buf_append(out, "[", 1);

    for (size_t i = 0; ok && i < json_array_size(array); i++)
        ok = (i == 0 || buf_append(out, ",", 1)) && dump(out, json_array_get(array, i), arena);
    return ok && buf_append(out, "]", 1);
}

static bool dump_scalar(struct buf *out, const json_t *json)
{
    char text[JSONTEXT_REAL_MAX];

    if (json_is_string(json))
        return jsontext_string(out, json_string_value(json), json_string_length(json));
    if (json_is_real(json))
        return buf_append(out, text, jsontext_real(text, json_real_value(json)));
    if (json_is_integer(json))
        (void)snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
    else
        (void)snprintf(text, sizeof text, "%s", kind_name(json)); /* true, false, null */
    return buf_append(out, text, strlen(text));
}

/* Compact, keys sorted: equal values give equal text. Recurses no deeper than LIMIT_JSON_DEPTH. Not
 * Jansson's own writer, which gives 0.1 as 0.10000000000000001. */
static bool dump(struct buf *out, json_t *json, dsc_arena *arena)
{
    if (json_is_object(json))
        return dump_object(out, json, arena);
    if (json_is_array(json))
        return dump_array(out, json, arena);
    return dump_scalar(out, json);
}

/* The same from the arena; NULL when that, or the memory, is full. */
static char *dump_text(json_t *json, dsc_arena *arena)
{
    struct buf *const out = buf_new(256);
    char *text = NULL;

    if (out && dump(out, json, arena))
        text = dsc_arena_text(arena, (const char *)out->data, out->len);
    buf_drop(out);
    return text;
}

/* ---- one function for each kind of row ---- */

struct decoder {
    dsc_arena *arena;
    dsc_err *err;
};

/* Check `json` against the row and store it at `member`, which has the type that the row's kind
 * says. */
typedef bool decode_kind(const struct decoder *d, const struct field *row, json_t *json,
                         const struct place *place, void *member);

static bool decode_body(const struct decoder *d, const struct shape *shape, json_t *json,
                        const struct place *place, void *out);

static bool decode_bool(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    (void)row;
    if (!json_is_boolean(json))
        return fail_value(d->err, place, json, "true or false");
    *(bool *)member = json_is_true(json);
    return true;
}

static bool decode_int(const struct decoder *d, const struct field *row, json_t *json,
                       const struct place *place, void *member)
{
    if (!json_is_integer(json) || !in_range(row, (double)json_integer_value(json)))
        return fail_range(d->err, place, json, row, "a whole number");
    *(int64_t *)member = json_integer_value(json);
    return true;
}

static bool decode_real(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    if (!json_is_number(json) || !in_range(row, json_number_value(json)))
        return fail_range(d->err, place, json, row, "a number");
    *(double *)member = json_number_value(json);
    return true;
}

static bool decode_string(const struct decoder *d, const struct field *row, json_t *json,
                          const struct place *place, void *member)
{
    const size_t len = json_string_length(json);
    char *text;

    if (!json_is_string(json))
        return fail_value(d->err, place, json, "a text");
    if (!check_count(d->err, place, row, len, "bytes"))
        return false;
    text = dsc_arena_text(d->arena, json_string_value(json), len);
    *(const char **)member = text;
    return text ? true : fail_memory(d->err);
}

/* Names the choices; where they would leave no room for the value, the one that was meant. */
static bool fail_word(dsc_err *err, const struct field *row, const json_t *json,
                      const struct place *place)
{
    enum { ROOM = 90 };
    char list[SENTENCE_BYTES - 8] = "", what[SENTENCE_BYTES], got[GOT_BYTES];
    size_t count = 0;

    for (; row->words[count]; count++)
        list_add(list, sizeof list, row->words[count], "\"");
    if (strlen(list) <= ROOM) {
        (void)snprintf(what, sizeof what, "one of %s", list);
        return fail_value(err, place, json, what);
    }
    const char *const text = json_is_string(json) ? json_string_value(json) : "";
    const char *const near = suggest(text, row->words, count, sizeof *row->words);
    got_write(got, json);
    return fail_at(err, place, FAULT_INVALID_VALUE, "%s is none of the %zu words%s%s%s", got, count,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static bool decode_word(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    const char *const text = json_string_value(json); /* NULL if it is none */

    for (int i = 0; text && row->words[i]; i++) {
        if (strcmp(text, row->words[i]) == 0) {
            *(int *)member = i;
            return true;
        }
    }
    return fail_word(d->err, row, json, place);
}

static bool decode_words(const struct decoder *d, const struct field *row, json_t *json,
                         const struct place *place, void *member)
{
    struct place item = *place;
    uint64_t *const set = member;

    if (!json_is_array(json))
        return fail_value(d->err, place, json, "a list of words");
    if (!check_count(d->err, place, row, json_array_size(json), "items"))
        return false;
    for (item.index = 0; item.index < json_array_size(json); item.index++) {
        json_t *const word = json_array_get(json, item.index);
        int bit;
        if (!decode_word(d, row, word, &item, &bit))
            return false;
        if (*set >> bit & 1)
            return fail_at(d->err, &item, FAULT_INVALID_VALUE, "\"%s\" is there twice",
                           row->words[bit]);
        *set |= (uint64_t)1 << bit;
    }
    return true;
}

static bool decode_object(const struct decoder *d, const struct field *row, json_t *json,
                          const struct place *place, void *member)
{
    return decode_body(d, row->shape, json, place, member);
}

/* Room for the items of `json`, each of `size` bytes, into *list. */
static bool list_new(const struct decoder *d, struct field_list *list, const json_t *json,
                     size_t size)
{
    list->count = json_array_size(json);
    list->items = dsc_arena_take(d->arena, list->count, size);
    return list->items ? true : fail_memory(d->err);
}

static bool decode_list(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    struct field_list *const list = member;
    struct place item = *place;

    if (!json_is_array(json))
        return fail_value(d->err, place, json, "a list of objects");
    if (!check_count(d->err, place, row, json_array_size(json), "items") ||
        !list_new(d, list, json, row->shape->size))
        return false;
    for (item.index = 0; item.index < list->count; item.index++)
        if (!decode_body(d, row->shape, json_array_get(json, item.index), &item,
                         (char *)list->items + item.index * row->shape->size))
            return false;
    return true;
}

/* INTS, REALS and STRINGS: each item as `decode_one` takes it, which is `size` bytes long. */
static bool decode_items(const struct decoder *d, const struct field *row, json_t *json,
                         const struct place *place, struct field_list *list, size_t size,
                         decode_kind *decode_one)
{
    struct place item = *place;

    if (!json_is_array(json))
        return fail_value(d->err, place, json,
                          decode_one == decode_string ? "a list of texts" : "a list of numbers");
    if (row->max_items > 0 && json_array_size(json) > row->max_items)
        return fail_at(d->err, place, FAULT_INVALID_VALUE, "must have at most %zu items, not %zu",
                       row->max_items, json_array_size(json));
    if (!list_new(d, list, json, size))
        return false;
    for (item.index = 0; item.index < list->count; item.index++)
        if (!decode_one(d, row, json_array_get(json, item.index), &item,
                        (char *)list->items + item.index * size))
            return false;
    return true;
}

static bool decode_ints(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    return decode_items(d, row, json, place, member, sizeof(int64_t), decode_int);
}

/* As encoding wrote it: what is not finite is null. */
static bool decode_real_or_null(const struct decoder *d, const struct field *row, json_t *json,
                                const struct place *place, void *member)
{
    if (!json_is_null(json))
        return decode_real(d, row, json, place, member);
    *(double *)member = NAN;
    return true;
}

static bool decode_reals(const struct decoder *d, const struct field *row, json_t *json,
                         const struct place *place, void *member)
{
    return decode_items(d, row, json, place, member, sizeof(double),
                        row->flags & FIELD_NULLABLE ? decode_real_or_null : decode_real);
}

static bool decode_strings(const struct decoder *d, const struct field *row, json_t *json,
                           const struct place *place, void *member)
{
    return decode_items(d, row, json, place, member, sizeof(const char *), decode_string);
}

static bool decode_word_or_reals(const struct decoder *d, const struct field *row, json_t *json,
                                 const struct place *place, void *member)
{
    struct field_choice *const choice = member;

    if (!json_is_array(json))
        return decode_word(d, row, json, place, &choice->word);
    choice->word = -1;
    return decode_reals(d, row, json, place, &choice->reals);
}

#define LABEL_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define LABEL_REST  LABEL_FIRST "._/-"

enum { LABEL_KEY_BYTES = 63 };

/* What a query string can name without escapes. */
static bool is_label_key(const char *key)
{
    const size_t len = strlen(key);

    return len <= LABEL_KEY_BYTES && strspn(key, LABEL_FIRST) > 0 && strspn(key, LABEL_REST) == len;
}

static bool check_label(const struct decoder *d, const struct field *row, const char *key,
                        const json_t *value, const struct place *labels)
{
    const struct place place = {labels, key, NO_INDEX};

    if (!is_label_key(key))
        return fail_at(
            d->err, &place, FAULT_INVALID_VALUE,
            "a label's name must be 1 to 63 letters, digits and . _ / -, and begin with a "
            "letter or digit");
    if (json_is_null(value) && (row->flags & FIELD_MERGE))
        return true;
    if (!json_is_string(value))
        return fail_value(d->err, &place, value, "a text");
    if (json_string_length(value) > LIMIT_LABEL_BYTES)
        return fail_at(d->err, &place, FAULT_INVALID_VALUE, "must have at most %d bytes, not %zu",
                       LIMIT_LABEL_BYTES, json_string_length(value));
    return true;
}

static bool decode_json(const struct decoder *d, const struct field *row, json_t *json,
                        const struct place *place, void *member)
{
    char *text;

    (void)row;
    if (!json_is_object(json))
        return fail_value(d->err, place, json, "an object");
    text = dump_text(json, d->arena);
    *(const char **)member = text;
    return text ? true : fail_memory(d->err);
}

static bool decode_any(const struct decoder *d, const struct field *row, json_t *json,
                       const struct place *place, void *member)
{
    char *const text = dump_text(json, d->arena);

    (void)row, (void)place;
    *(const char **)member = text;
    return text ? true : fail_memory(d->err);
}

static bool decode_labels(const struct decoder *d, const struct field *row, json_t *json,
                          const struct place *place, void *member)
{
    const size_t count = json_object_size(json);
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return fail_value(d->err, place, json, "an object of texts");
    if (count > LIMIT_LABELS)
        return fail_at(d->err, place, FAULT_INVALID_VALUE, "must have at most %d labels, not %zu",
                       LIMIT_LABELS, count);
    json_object_foreach(json, key, value) if (!check_label(d, row, key, value, place)) return false;
    return decode_json(d, row, json, place, member);
}

/* vector.c has taken the numbers and left []. What it did not see is an array whose name is spelled
 * with escapes, and it does not touch what is no array. */
static bool decode_vector(const struct decoder *d, const struct field *row, json_t *json,
                          const struct place *place, void *member)
{
    (void)row, (void)member;
    if (!json_is_array(json))
        return fail_value(d->err, place, json, "a list of numbers");
    if (json_array_size(json) > 0)
        return fail_at(d->err, place, FAULT_INVALID_VALUE,
                       "must be given as a list of numbers whose name is spelled without escapes");
    return true;
}

static decode_kind *const decode_kinds[] = {
    [FIELD_BOOL] = decode_bool,       [FIELD_INT] = decode_int,
    [FIELD_REAL] = decode_real,       [FIELD_STRING] = decode_string,
    [FIELD_WORD] = decode_word,       [FIELD_WORDS] = decode_words,
    [FIELD_OBJECT] = decode_object,   [FIELD_LIST] = decode_list,
    [FIELD_INTS] = decode_ints,       [FIELD_REALS] = decode_reals,
    [FIELD_LABELS] = decode_labels,   [FIELD_JSON] = decode_json,
    [FIELD_ANY] = decode_any,         [FIELD_VECTOR] = decode_vector,
    [FIELD_STRINGS] = decode_strings, [FIELD_WORD_OR_REALS] = decode_word_or_reals,
};

/* ---- a whole body ---- */

static const struct field *find_row(const struct shape *shape, const char *name)
{
    for (const struct field *row = shape->fields; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

static bool fail_unknown(dsc_err *err, const struct shape *shape, const struct place *place)
{
    char list[SENTENCE_BYTES - 32] = "";

    for (const struct field *row = shape->fields; row->name; row++)
        list_add(list, sizeof list, row->name, "");
    if (shape->one_of)
        return fail_at(err, place, FAULT_UNKNOWN_FIELD, "is not a field here, whatever %s is",
                       list);
    return fail_at(err, place, FAULT_UNKNOWN_FIELD, "is not a field here; there are: %s", list);
}

/* A row of the body, or of any body that it may be. */
static bool is_known(const struct shape *shape, const char *name)
{
    bool known = find_row(shape, name) != NULL;

    for (const struct shape *const *one = shape->one_of; one && *one && !known; one++)
        known = find_row(*one, name) != NULL;
    return known;
}

static bool check_names(const struct decoder *d, const struct shape *shape, json_t *json,
                        const struct place *outer)
{
    const char *key;
    json_t *value;

    json_object_foreach(json, key, value)
    {
        const struct place place = {outer, key, NO_INDEX};

        if (!is_known(shape, key))
            return fail_unknown(d->err, shape, &place);
    }
    return true;
}

/* What the row holds when nobody says otherwise; zero stays where it has no say. */
static void set_initial(const struct field *row, void *member)
{
    if (row->kind == FIELD_BOOL)
        *(bool *)member = row->initial != 0;
    if (row->kind == FIELD_INT)
        *(int64_t *)member = (int64_t)row->initial;
    if (row->kind == FIELD_REAL)
        *(double *)member = row->initial;
    if (row->kind == FIELD_WORD)
        *(int *)member = (int)row->initial;
    for (const struct field *inner = row->kind == FIELD_OBJECT ? row->shape->fields : NULL;
         inner && inner->name; inner++)
        set_initial(inner, (char *)member + inner->offset);
}

static bool decode_row(const struct decoder *d, const struct field *row, json_t *value,
                       const struct place *outer, uint64_t bit, void *out)
{
    struct field_seen *const seen = out;
    const struct place place = {outer, row->name, NO_INDEX};

    if (!value && (row->flags & FIELD_REQUIRED))
        return fail_at(d->err, &place, FAULT_MISSING_FIELD, "is missing");
    if (!value) {
        set_initial(row, (char *)out + row->offset);
        return true;
    }
    seen->given |= bit;
    if (json_is_null(value) && (row->flags & FIELD_NULLABLE)) {
        seen->null |= bit;
        return true;
    }
    return decode_kinds[row->kind](d, row, value, &place, (char *)out + row->offset);
}

/* For whoever decodes it by one of the shapes. */
static bool keep_text(const struct decoder *d, json_t *json, void *member)
{
    char *const text = dump_text(json, d->arena);

    *(const char **)member = text;
    return text ? true : fail_memory(d->err);
}

static bool decode_body(const struct decoder *d, const struct shape *shape, json_t *json,
                        const struct place *place, void *out)
{
    uint64_t bit = 1;

    if (!json_is_object(json))
        return fail_value(d->err, place, json, "an object");
    if (!check_names(d, shape, json, place))
        return false;
    for (const struct field *row = shape->fields; row->name; row++, bit <<= 1) {
        assert(bit != 0); /* at most 64 rows */
        if (!decode_row(d, row, json_object_get(json, row->name), place, bit, out))
            return false;
    }
    return !shape->one_of || keep_text(d, json, (char *)out + shape->text);
}

/* ---- text to a tree ---- */

static bool fail_at_byte(const char *text, size_t at, const char *what, dsc_err *err)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return dsc_fail(err, FAULT_MALFORMED_JSON, NULL, "line %zu, column %zu: %s", line, column,
                    what);
}

/* Before the parser recurses. Only valid text is measured rightly, and that is enough: the parser
 * stops at the first error, up to which this scan saw what it sees. */
static bool check_depth(const char *text, size_t len, dsc_err *err)
{
    int depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < len; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '[') && ++depth > LIMIT_JSON_DEPTH)
            return fail_at_byte(text, i, "there are too many levels", err);
        else if (!quoted && (text[i] == '}' || text[i] == ']'))
            depth--;
    }
    return true;
}

/* What the parser would let pass: it drops a NUL byte that follows a number. */
static bool check_nul(const char *text, size_t len, dsc_err *err)
{
    const char *const nul = memchr(text, '\0', len);

    return nul ? fail_at_byte(text, (size_t)(nul - text), "a NUL byte is not JSON", err) : true;
}

/* The parser stands behind what it cannot take, whose path goes with the sentence: a name that is
 * there twice, or a value. */
static bool fail_token(const char *text, size_t len, const json_error_t *error, int code,
                       const char *what, dsc_err *err)
{
    const size_t at = error->position > 0 ? (size_t)error->position : 0;
    char where[WHERE_BYTES];

    where_of_byte(text, len, at, where, sizeof where);
    return dsc_fail(err, code, where, "line %d, column %d: %s", error->line, error->column, what);
}

/* Jansson's sentence without its quotation of what the client wrote. */
static bool fail_syntax(const json_error_t *error, dsc_err *err)
{
    const char *const near = strstr(error->text, " near '");
    const size_t len = near ? (size_t)(near - error->text) : strlen(error->text);

    return dsc_fail(err, FAULT_MALFORMED_JSON, NULL, "line %d, column %d: %.*s", error->line,
                    error->column, (int)len, error->text);
}

static bool fail_parse(const char *text, size_t len, const json_error_t *error, dsc_err *err)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return fail_token(text, len, error, FAULT_DUPLICATE_KEY, "is there twice", err);
    case json_error_numeric_overflow:
        return fail_token(text, len, error, FAULT_INVALID_VALUE, "the number is too large", err);
    case json_error_null_character:
        return fail_token(text, len, error, FAULT_INVALID_VALUE, "a text must not hold \\u0000",
                          err);
    case json_error_unknown: /* no sentence: an allocation failed */
    case json_error_out_of_memory:
        return fail_memory(err);
    default:
        return fail_syntax(error, err);
    }
}

/* The object that the text is; NULL with err when it is none. The caller frees it with json_decref.
 */
static json_t *parse(const char *text, size_t len, dsc_err *err)
{
    json_error_t error = {.text = ""};
    json_t *json;

    if (len > LIMIT_CONTROL_BYTES) {
        (void)dsc_fail(err, FAULT_BODY_TOO_LARGE, NULL,
                       "must have at most %u bytes beside a vector, not %zu", LIMIT_CONTROL_BYTES,
                       len);
        return NULL;
    }
    if (!check_nul(text, len, err) || !check_depth(text, len, err))
        return NULL;
    json = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json)
        (void)fail_parse(text, len, &error, err);
    else if (!json_is_object(json)) {
        (void)dsc_fail(err, FAULT_MALFORMED_JSON, NULL,
                       "line 1, column 1: the body must be a JSON object");
        json_decref(json);
        json = NULL;
    }
    return json;
}

uint64_t field_bit(const struct shape *shape, const char *name)
{
    const struct field *const row = find_row(shape, name);

    assert(row);
    return (uint64_t)1 << (row - shape->fields);
}

bool field_decode(const struct shape *shape, const char *text, size_t len, void *out,
                  dsc_arena *arena, dsc_err *err)
{
    const struct decoder d = {arena, err};
    json_t *const json = len > 0 ? parse(text, len, err) : json_object();
    bool ok = false;

    memset(out, 0, shape->size);
    if (json)
        ok = decode_body(&d, shape, json, NULL, out);
    else if (len == 0)
        (void)fail_memory(err);
    json_decref(json);
    return ok;
}

/* ---- parameters of an optimizer ---- */

static bool set_list(dsc_hyper *hyper, const char *key, const json_t *list, dsc_err *err)
{
    double items[DSC_HYPER_LIST_MAX];
    const size_t count = json_array_size(list);

    for (size_t i = 0; i < count && i < DSC_HYPER_LIST_MAX; i++) {
        const json_t *const item = json_array_get(list, i);
        items[i] = json_is_number(item) ? json_number_value(item) : NAN; /* in no range */
    }
    return dsc_hyper_set_list(hyper, key, items, count, err);
}

static bool set_value(dsc_hyper *hyper, const char *key, const json_t *value, dsc_err *err)
{
    if (json_is_number(value))
        return dsc_hyper_set_number(hyper, key, json_number_value(value), err);
    if (json_is_string(value))
        return dsc_hyper_set_word(hyper, key, json_string_value(value), err);
    if (json_is_array(value))
        return set_list(hyper, key, value, err);
    return dsc_fail(err, FAULT_INVALID_VALUE, key, "must be a number, a word or a list");
}

/* The core writes the sentence; the code and the place, in what is at `outer`, are ours. */
static bool fail_row(const char *outer, const char *key, int code, const char *text, dsc_err *err)
{
    char where[WHERE_BYTES];

    (void)snprintf(where, sizeof where, "%s", outer);
    where_name(where, sizeof where, key);
    return dsc_fail(err, code, where, "%s", text);
}

static bool set_row(dsc_hyper *hyper, const char *key, const json_t *value, const char *outer,
                    dsc_err *err)
{
    const bool known = dsc_hyper_find(hyper->spec, key) >= 0;
    dsc_err inner = {.code = DSC_OK};

    if (set_value(hyper, key, value, &inner))
        return true;
    return fail_row(outer, key, known ? FAULT_INVALID_VALUE : FAULT_UNKNOWN_FIELD, inner.text, err);
}

static bool check_rows(const dsc_hyper *hyper, const char *outer, dsc_err *err)
{
    dsc_err inner = {.code = DSC_OK};

    return dsc_hyper_check(hyper, &inner) ||
           fail_row(outer, inner.where, FAULT_INVALID_VALUE, inner.text, err);
}

bool field_hyper_decode(dsc_hyper *hyper, const char *text, size_t len, const char *where,
                        dsc_err *err)
{
    json_t *json = NULL;
    dsc_hyper changed = *hyper;
    const char *key;
    json_t *value;
    bool ok = false;

    if (!text || len == 0)
        return true;
    json = parse(text, len, err);
    if (!json)
        goto done;
    json_object_foreach(json, key, value) if (!set_row(&changed, key, value, where, err)) goto done;
    ok = check_rows(&changed, where, err);
    if (ok)
        *hyper = changed;
done:
    json_decref(json);
    return ok;
}

/* ---- labels ---- */

/* A tree of text that this file made; NULL text is no labels. NULL when there is no memory. */
static json_t *labels_parse(const char *labels)
{
    return labels ? json_loads(labels, 0, NULL) : json_object();
}

static bool merge(json_t *labels, json_t *patch)
{
    const char *key;
    json_t *value;

    json_object_foreach(patch, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(labels, key); /* fails when there is none, which is as good */
        else if (json_object_set(labels, key, value) != 0)
            return false;
    }
    return true;
}

char *field_labels_merge(const char *labels, const char *patch, dsc_arena *arena)
{
    json_t *const into = labels_parse(labels), *const from = labels_parse(patch);
    char *text = NULL;

    if (into && from && merge(into, from))
        text = dump_text(into, arena);
    json_decref(into);
    json_decref(from);
    return text;
}

size_t field_labels_count(const char *labels)
{
    json_t *const json = labels_parse(labels);
    const size_t count = json_object_size(json);

    json_decref(json);
    return count;
}
