/* field_encode.c -- structs to JSON text, by the rows of their shape
 *
 * Replies are written straight into the buffer that goes out; no tree is built. Texts of
 * FIELD_LABELS and FIELD_JSON rows were made by field.c and are copied as they are. */
#include "field.h"
#include "fault.h"
#include "jsontext.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Append the value at `member`, which has the type that the row's kind says. */
typedef bool encode_kind(const struct field *row, const void *member, struct buf *out);

static bool encode_body(const struct shape *shape, const void *in, struct buf *out);

static bool append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

static bool append_int(struct buf *out, int64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return append_text(out, text);
}

static bool append_real(struct buf *out, double value)
{
    char text[JSONTEXT_REAL_MAX];

    return buf_append(out, text, jsontext_real(text, value));
}

static bool append_string(struct buf *out, const char *text)
{
    return jsontext_string(out, text, strlen(text));
}

static bool encode_bool(const struct field *row, const void *member, struct buf *out)
{
    (void)row;
    return append_text(out, *(const bool *)member ? "true" : "false");
}

static bool encode_int(const struct field *row, const void *member, struct buf *out)
{
    (void)row;
    return append_int(out, *(const int64_t *)member);
}

static bool encode_real(const struct field *row, const void *member, struct buf *out)
{
    (void)row;
    return append_real(out, *(const double *)member);
}

static bool encode_string(const struct field *row, const void *member, struct buf *out)
{
    const char *const text = *(const char *const *)member;

    (void)row;
    return text ? append_string(out, text) : append_text(out, "null");
}

static bool encode_word(const struct field *row, const void *member, struct buf *out)
{
    return append_string(out, row->words[*(const int *)member]);
}

static bool encode_words(const struct field *row, const void *member, struct buf *out)
{
    const uint64_t set = *(const uint64_t *)member;
    bool ok = append_text(out, "["), first = true;

    for (int i = 0; ok && row->words[i]; i++) {
        if (!(set >> i & 1))
            continue;
        ok = (first || append_text(out, ",")) && append_string(out, row->words[i]);
        first = false;
    }
    return ok && append_text(out, "]");
}

static bool encode_object(const struct field *row, const void *member, struct buf *out)
{
    return encode_body(row->shape, member, out);
}

/* LABELS and JSON: text that is JSON already. */
static bool encode_ready(const struct field *row, const void *member, struct buf *out)
{
    const char *const text = *(const char *const *)member;

    (void)row;
    return append_text(out, text ? text : "null");
}

static bool encode_item(const struct field *row, const struct field_list *list, size_t i,
                        struct buf *out)
{
    if (row->kind == FIELD_INTS)
        return append_int(out, ((const int64_t *)list->items)[i]);
    if (row->kind == FIELD_REALS)
        return append_real(out, ((const double *)list->items)[i]);
    if (row->kind == FIELD_STRINGS)
        return append_string(out, ((const char *const *)list->items)[i]);
    return encode_body(row->shape, (const char *)list->items + i * row->shape->size, out);
}

static bool encode_list(const struct field *row, const void *member, struct buf *out)
{
    const struct field_list *const list = member;
    bool ok = append_text(out, "[");

    for (size_t i = 0; ok && i < list->count; i++)
        ok = (i == 0 || append_text(out, ",")) && encode_item(row, list, i, out);
    return ok && append_text(out, "]");
}

static bool encode_word_or_reals(const struct field *row, const void *member, struct buf *out)
{
    const struct field_choice *const choice = member;
    const struct field reals = {.kind = FIELD_REALS};

    return choice->word < 0 ? encode_list(&reals, &choice->reals, out)
                            : encode_word(row, &choice->word, out);
}

static encode_kind *const encode_kinds[] = {
    [FIELD_BOOL] = encode_bool,
    [FIELD_INT] = encode_int,
    [FIELD_REAL] = encode_real,
    [FIELD_STRING] = encode_string,
    [FIELD_WORD] = encode_word,
    [FIELD_WORDS] = encode_words,
    [FIELD_OBJECT] = encode_object,
    [FIELD_LIST] = encode_list,
    [FIELD_INTS] = encode_list,
    [FIELD_REALS] = encode_list,
    [FIELD_LABELS] = encode_ready,
    [FIELD_JSON] = encode_ready,
    [FIELD_ANY] = encode_ready,
    [FIELD_STRINGS] = encode_list,
    [FIELD_WORD_OR_REALS] = encode_word_or_reals,
};

static bool is_written(const struct field *row, const struct field_seen *seen, uint64_t bit)
{
    return row->kind != FIELD_VECTOR && (!(row->flags & FIELD_OPTIONAL) || (seen->given & bit));
}

static bool encode_row(const struct field *row, const void *in, bool null, struct buf *out)
{
    if (!append_string(out, row->name) || !append_text(out, ":"))
        return false;
    if (null)
        return append_text(out, "null");
    return encode_kinds[row->kind](row, (const char *)in + row->offset, out);
}

static bool encode_body(const struct shape *shape, const void *in, struct buf *out)
{
    const struct field_seen *const seen = in;
    bool ok = append_text(out, "{"), first = true;
    uint64_t bit = 1;

    for (const struct field *row = shape->fields; ok && row->name; row++, bit <<= 1) {
        assert(bit != 0); /* at most 64 rows */
        if (!is_written(row, seen, bit))
            continue;
        ok = (first || append_text(out, ",")) &&
             encode_row(row, in, (row->flags & FIELD_NULLABLE) && (seen->null & bit), out);
        first = false;
    }
    return ok && append_text(out, "}");
}

bool field_encode(const struct shape *shape, const void *in, struct buf *out, dsc_err *err)
{
    if (encode_body(shape, in, out))
        return true;
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "there is no memory for the reply");
}

static bool encode_choices(const dsc_hyper_list *list, struct buf *out)
{
    bool ok = append_text(out, "[");

    for (int i = 0; ok && i < list->count; i++)
        ok = (i == 0 || append_text(out, ",")) && append_real(out, list->item[i]);
    return ok && append_text(out, "]");
}

static bool encode_choice(const dsc_hyper *hyper, int row, struct buf *out)
{
    switch (hyper->spec[row].kind) {
    case DSC_HYPER_WORD:
        return append_string(out, dsc_hyper_word(hyper, row));
    case DSC_HYPER_DATASET:
        return append_string(out, hyper->dataset_name);
    case DSC_HYPER_LIST:
        return encode_choices(dsc_hyper_list_at(hyper, row), out);
    default:
        return append_real(out, hyper->value[row]);
    }
}

static bool encode_hyper(const dsc_hyper *hyper, struct buf *out)
{
    bool ok = append_text(out, "{");

    for (int row = 0; ok && hyper->spec[row].name; row++) {
        ok = (row == 0 || append_text(out, ",")) && append_string(out, hyper->spec[row].name) &&
             append_text(out, ":");
        ok = ok && encode_choice(hyper, row, out);
    }
    return ok && append_text(out, "}");
}

char *field_hyper_encode(const dsc_hyper *hyper, dsc_arena *arena)
{
    struct buf *const text = buf_new(512);
    char *copy = NULL;

    if (text && encode_hyper(hyper, text))
        copy = dsc_arena_text(arena, (const char *)text->data, text->len);
    buf_drop(text);
    return copy;
}
