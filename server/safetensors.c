/* safetensors.c -- weights files: a model from bytes, and bytes from a model
 *
 *     [8 bytes: H, little-endian] [H bytes: JSON header, spaces at its end] [data]
 *
 *     {"__metadata__": {"family": "lstm", "config": "{\"hidden_size\":20}"},
 *      "output.bias": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, ...}
 *
 * What is believed. Nothing: files come from strangers. Every number of the header is checked
 * against the file before it is used, and sizes are multiplied with an overflow check. The tensors
 * must cover the data exactly, each byte once, as the reference implementation demands; a hole
 * could carry anything. Reading goes through stages that each may trust the ones before:
 *
 *     lengths -> JSON -> each tensor by itself -> all together -> metadata -> config -> the
 * family's layout
 *
 * and only the last knows what an optimizer is. Memory is bounded by the file: the array of weights
 * is allocated when the file has been found to hold that many.
 *
 * What is written. Equal models give equal bytes: config in its canonical text, tensors in layout
 * order, no date. That is why the hash of the file can name the weights.
 *
 * Source. github.com/huggingface/safetensors, its README's description of the format.
 * Held to account by. tests/unit/test_safetensors.c, tests/fuzz/fuzz_safetensors.c. */
#include "safetensors.h"
#include "fault.h"
#include "field.h"
#include "jsontext.h"
#include "limits.h"
#include "vector.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METADATA "__metadata__"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

/* The formats of vector.h, and one that only files have. */
enum { DTYPE_F64 = VECTOR_BF16 + 1, DTYPE_COUNT };

static const struct {
    const char *name;
    size_t bytes;
} dtypes[DTYPE_COUNT] = {
    [VECTOR_F32] = {"F32", 4},
    [VECTOR_F16] = {"F16", 2},
    [VECTOR_BF16] = {"BF16", 2},
    [DTYPE_F64] = {"F64", 8},
};

/* Where a tensor lies in the data, in bytes. */
struct extent {
    int dtype;
    size_t begin, end;
};

/* A file taken apart. Text and data are borrowed: the data from the bytes given, the text from
 * json. */
struct file {
    json_t *json; /* the header; to be released */
    const unsigned char *data;
    size_t data_len;
    dsc_layout
        layout; /* the tensors in the header's order: names and shapes; offsets mean nothing */
    struct extent extent[DSC_TENSORS_MAX]; /* of layout.tensor[i] */
    const char *family, *config;           /* NULL when the metadata has none */
};

/* ---- failures ---- */

/* About a tensor or a key of the file, by the name that the file gives it. */
static bool DSC_PRINTF(3, 4) fail_file(dsc_err *err, const char *name, const char *fmt, ...)
{
    char where[sizeof err->where], text[sizeof err->text];
    va_list args;

    (void)jsontext_quote(where, sizeof where, name);
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return dsc_fail(err, FAULT_INVALID_WEIGHTS, where, "%s", text);
}

/* What the core or field.c said, as a failure of the file: only memory stays what it is. */
static bool fail_inner(dsc_err *err, const dsc_err *inner)
{
    if (inner->code == DSC_ENOMEM || inner->code == FAULT_OUT_OF_MEMORY)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "there is no memory for the weights");
    return fail_file(err, inner->where, "%s", inner->text);
}

/* ---- the header's tensors, each by itself ---- */

/* A size or an offset: a whole number that is not negative. */
static bool read_size(size_t *out, const json_t *json)
{
    if (!json_is_integer(json) || json_integer_value(json) < 0)
        return false;
    *out = (size_t)json_integer_value(json);
    return true;
}

static bool read_dtype(int *dtype, const char *name, const json_t *json, dsc_err *err)
{
    const char *const text = json_string_value(json); /* NULL when it is no string */

    for (*dtype = 0; text && *dtype < DTYPE_COUNT; ++*dtype)
        if (strcmp(dtypes[*dtype].name, text) == 0)
            return true;
    return fail_file(err, name, "its dtype must be F32, F16, BF16 or F64");
}

static bool read_shape(dsc_tensor *tensor, const char *name, const json_t *json, dsc_err *err)
{
    const size_t rank = json_array_size(json);

    if (!json_is_array(json))
        return fail_file(err, name, "its shape must be a list of whole numbers");
    if (rank > DSC_RANK_MAX)
        return fail_file(err, name, "has %zu dimensions; weights have at most %d", rank,
                         DSC_RANK_MAX);
    tensor->rank = (int)rank;
    tensor->len = 1;
    for (size_t i = 0; i < rank; i++) {
        if (!read_size(&tensor->shape[i], json_array_get(json, i)))
            return fail_file(err, name, "its shape must be a list of whole numbers");
        if (__builtin_mul_overflow(tensor->len, tensor->shape[i], &tensor->len))
            return fail_file(err, name, "its shape is too large");
    }
    return true;
}

/* data_offsets [begin, end], inside the data, as long as dtype and shape say. */
static bool read_extent(struct extent *extent, const char *name, const dsc_tensor *tensor,
                        const json_t *json, size_t data_len, dsc_err *err)
{
    size_t bytes;

    if (json_array_size(json) != 2 || !read_size(&extent->begin, json_array_get(json, 0)) ||
        !read_size(&extent->end, json_array_get(json, 1)))
        return fail_file(err, name, "its data_offsets must be two whole numbers");
    if (extent->begin > extent->end || extent->end > data_len)
        return fail_file(err, name,
                         "its data_offsets [%zu, %zu] are not inside the %zu bytes of data",
                         extent->begin, extent->end, data_len);
    if (__builtin_mul_overflow(tensor->len, dtypes[extent->dtype].bytes, &bytes))
        return fail_file(err, name, "its shape is too large");
    if (bytes != extent->end - extent->begin)
        return fail_file(err, name, "its shape and dtype take %zu bytes, its data_offsets %zu",
                         bytes, extent->end - extent->begin);
    return true;
}

static bool read_tensor(struct file *file, const char *name, const json_t *json, dsc_err *err)
{
    dsc_tensor *const tensor = &file->layout.tensor[file->layout.count];
    struct extent *const extent = &file->extent[file->layout.count];

    if (!json_is_object(json))
        return fail_file(err, name, "must be an object with dtype, shape and data_offsets");
    if (strlen(name) >= sizeof tensor->name || file->layout.count == DSC_TENSORS_MAX)
        return fail_file(err, name, "is not a tensor of this optimizer");
    *tensor = (dsc_tensor) {.offset = file->layout.len};
    (void)snprintf(tensor->name, sizeof tensor->name, "%s", name);
    if (!read_dtype(&extent->dtype, name, json_object_get(json, "dtype"), err) ||
        !read_shape(tensor, name, json_object_get(json, "shape"), err) ||
        !read_extent(extent, name, tensor, json_object_get(json, "data_offsets"), file->data_len,
                     err))
        return false;
    file->layout.len += tensor->len;
    file->layout.count++;
    return true;
}

/* ---- ... and all together ---- */

static bool lies_before(const struct extent *a, const struct extent *b)
{
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
}

/* Which tensors come first in the data; at most DSC_TENSORS_MAX, so insertion will do. */
static void sort_by_begin(int order[DSC_TENSORS_MAX], const struct file *file)
{
    for (int i = 0; i < file->layout.count; i++) {
        int at = i;

        for (; at > 0 && lies_before(&file->extent[i], &file->extent[order[at - 1]]); at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
}

/* Every byte of the data belongs to exactly one tensor. */
static bool check_cover(const struct file *file, dsc_err *err)
{
    int order[DSC_TENSORS_MAX];
    size_t covered = 0;

    sort_by_begin(order, file);
    for (int i = 0; i < file->layout.count; i++) {
        const struct extent *const extent = &file->extent[order[i]];
        const char *const name = file->layout.tensor[order[i]].name;

        if (extent->begin < covered)
            return fail_file(err, name, "its data overlaps that of another tensor");
        if (extent->begin > covered)
            return fail_file(err, name, "there are %zu bytes of nobody in front of its data",
                             extent->begin - covered);
        covered = extent->end;
    }
    if (covered < file->data_len)
        return fail_file(err, "", "the file goes on %zu bytes behind the last tensor",
                         file->data_len - covered);
    return true;
}

/* ---- the header ---- */

static bool read_metadata(struct file *file, json_t *metadata, dsc_err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return fail_file(err, METADATA, "must be an object of strings");
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return fail_file(
        err, METADATA, "must be an object of strings");
    file->family = json_string_value(json_object_get(metadata, "family"));
    file->config = json_string_value(json_object_get(metadata, "config"));
    return true;
}

static bool read_entries(struct file *file, dsc_err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(file->json, name, value)
    {
        const bool ok = strcmp(name, METADATA) == 0 ? read_metadata(file, value, err)
                                                    : read_tensor(file, name, value, err);

        if (!ok)
            return false;
    }
    return check_cover(file, err);
}

static bool fail_json(dsc_err *err, const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_unknown: /* no sentence: an allocation failed */
    case json_error_out_of_memory:
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "there is no memory for the weights");
    case json_error_duplicate_key:
        return fail_file(err, "", "the header has a key twice (column %d)", error->column);
    default:
        return fail_file(err, "", "the header is not JSON (line %d, column %d)", error->line,
                         error->column);
    }
}

/* The length in front, checked against the file. */
static bool read_length(size_t *header_len, const unsigned char *bytes, size_t len, dsc_err *err)
{
    uint64_t value;

    if (len < LENGTH_BYTES)
        return fail_file(err, "", "a safetensors file has at least %d bytes, not %zu", LENGTH_BYTES,
                         len);
    memcpy(&value, bytes, sizeof value);
    if (value > len - LENGTH_BYTES)
        return fail_file(
            err, "", "its header should have %" PRIu64 " bytes, but the file ends before", value);
    if (value > LIMIT_WEIGHTS_HEADER_BYTES)
        return fail_file(err, "", "its header must have at most %u bytes, not %" PRIu64,
                         LIMIT_WEIGHTS_HEADER_BYTES, value);
    *header_len = (size_t)value;
    return true;
}

/* Fill *file, zeroed before; file->json is to be released whatever is returned. */
static bool read_file(struct file *file, const unsigned char *bytes, size_t len, dsc_err *err)
{
    json_error_t error = {.text = ""};
    const char *header;
    size_t header_len = 0;

    if (!read_length(&header_len, bytes, len, err))
        return false;
    header = (const char *)bytes + LENGTH_BYTES;
    if (header_len == 0 || header[0] != '{')
        return fail_file(err, "", "its header must begin with '{'");
    if (memchr(header, '\0', header_len)) /* the parser would drop one that follows a number */
        return fail_file(err, "", "its header must be text, without NUL bytes");
    file->json = json_loadb(header, header_len, JSON_REJECT_DUPLICATES, &error);
    if (!file->json)
        return fail_json(err, &error);
    file->data = bytes + LENGTH_BYTES + header_len;
    file->data_len = len - LENGTH_BYTES - header_len;
    return read_entries(file, err);
}

/* ---- from a file to a model ---- */

static bool read_config_text(dsc_hyper *hyper, const char *config, dsc_err *err)
{
    static const char where[] = METADATA ".config";

    if (field_hyper_decode(hyper, config, strlen(config), where, err))
        return true;
    if (err->where[0] == '\0') /* the text as a whole is wrong */
        (void)snprintf(err->where, sizeof err->where, "%s", where);
    return false;
}

/* Metadata without `family` counts as none, because PyTorch's tools write their own. */
static bool read_config(dsc_hyper *hyper, const struct file *file, const dsc_family *family,
                        dsc_err *err)
{
    dsc_err inner = {.code = DSC_OK};
    bool ok = true;

    dsc_hyper_init(hyper, family->hyper);
    if (file->family && strcmp(file->family, family->name) != 0)
        return fail_file(err, METADATA ".family", "must be \"%s\", the optimizer's", family->name);
    if (file->family && file->config)
        ok = read_config_text(hyper, file->config, &inner);
    else if (family->hyper_guess)
        ok = family->hyper_guess(hyper, &file->layout, &inner);
    else if (!file->family)
        return fail_file(err, METADATA ".family",
                         "is missing; a file without weights must have it");
    return ok ? true : fail_inner(err, &inner);
}

static bool load_f64(float *phi, const unsigned char *bytes, const dsc_tensor *tensor, dsc_err *err)
{
    for (size_t i = 0; i < tensor->len; i++) {
        double x;

        memcpy(&x, bytes + i * sizeof x, sizeof x);
        phi[i] = (float)x;
        if (isfinite(x) && !isfinite(phi[i]))
            return fail_file(err, tensor->name, "number %zu, %g, is beyond float32", i, x);
    }
    return true;
}

/* Every tensor of the file to its place in `want`, which has the same ones in its own order. */
static bool load(float *phi, const struct file *file, const dsc_layout *want, dsc_err *err)
{
    for (int i = 0; i < file->layout.count; i++) {
        const dsc_tensor *const to = dsc_layout_find(want, file->layout.tensor[i].name);
        const struct extent *const extent = &file->extent[i];
        const unsigned char *const from = file->data + extent->begin;

        assert(to && to->len == file->layout.tensor[i].len);
        if (extent->dtype != DTYPE_F64)
            vector_from_bytes(phi + to->offset, from, to->len, (enum vector_dtype)extent->dtype);
        else if (!load_f64(phi + to->offset, from, to, err))
            return false;
    }
    return true;
}

/* The family of a file that may be of any. */
static bool find_family(const dsc_family **out, const struct file *file, dsc_err *err)
{
    char name[sizeof err->where];

    *out = file->family ? dsc_family_find(file->family) : &dsc_family_lstm;
    (void)jsontext_quote(name, sizeof name, file->family ? file->family : "");
    return *out ? true : fail_file(err, METADATA ".family", "there is no family \"%s\"", name);
}

static bool model_from_file(dsc_model **out, const struct file *file, const dsc_family *family,
                            const dsc_kernel *kernel, dsc_err *err)
{
    dsc_layout want = {0};
    dsc_err inner = {.code = DSC_OK};
    dsc_hyper hyper;
    float *phi = NULL;
    bool ok = false;

    if (!read_config(&hyper, file, family, err))
        return false;
    if (family->phi_layout)
        family->phi_layout(&want, &hyper);
    if (!dsc_layout_match(&file->layout, &want, &inner))
        goto done;
    if (want.len > 0 && !(phi = calloc(want.len, sizeof *phi))) {
        (void)dsc_fail(&inner, DSC_ENOMEM, NULL, "no memory");
        goto done;
    }
    ok = load(phi, file, &want, &inner) && dsc_model_new(out, family, &hyper, phi, kernel, &inner);
done:
    free(phi);
    return ok ? true : fail_inner(err, &inner);
}

bool safetensors_import(dsc_model **out, const void *bytes, size_t len, const dsc_family *family,
                        const dsc_kernel *kernel, dsc_err *err)
{
    struct file file = {.json = NULL};
    const bool ok = read_file(&file, bytes, len, err) &&
                    (family || find_family(&family, &file, err)) &&
                    model_from_file(out, &file, family, kernel, err);

    json_decref(file.json);
    return ok;
}

/* ---- from a model to a file ---- */

static bool append_text(struct buf *out, const char *text)
{
    return buf_append(out, text, strlen(text));
}

static bool append_string(struct buf *out, const char *text)
{
    return jsontext_string(out, text, strlen(text));
}

static bool append_metadata(struct buf *out, const dsc_model *model)
{
    const char *const family = dsc_model_family(model)->name;
    dsc_arena arena;
    const char *config;
    bool ok;

    dsc_arena_init(&arena, LIMIT_CONTROL_BYTES);
    config = field_hyper_encode(dsc_model_hyper(model), &arena);
    ok = config && append_text(out, "{\"" METADATA "\":{\"family\":") &&
         append_string(out, family) && append_text(out, ",\"config\":") &&
         append_string(out, config) && append_text(out, ",\"format\":\"pt\"}");
    dsc_arena_release(&arena);
    return ok;
}

/* ,"output.weight":{"dtype":"F32","shape":[1,20],"data_offsets":[0,80]} */
static bool append_entry(struct buf *out, const dsc_tensor *tensor, const char *dtype, size_t begin,
                         size_t end)
{
    char shape[48] = "", text[160];

    if (tensor->rank == 1)
        (void)snprintf(shape, sizeof shape, "%zu", tensor->shape[0]);
    if (tensor->rank == 2)
        (void)snprintf(shape, sizeof shape, "%zu,%zu", tensor->shape[0], tensor->shape[1]);
    (void)snprintf(text, sizeof text,
                   ":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}", dtype, shape,
                   begin, end);
    return append_text(out, ",") && append_string(out, tensor->name) && append_text(out, text);
}

static bool append_tensor(struct buf *out, const dsc_tensor *tensor)
{
    const size_t begin = tensor->offset * sizeof(float);

    return append_entry(out, tensor, "F32", begin, begin + tensor->len * sizeof(float));
}

/* The end of the header: its padding, and its length in front. */
static bool finish_header(struct buf *out)
{
    bool ok = append_text(out, "}");

    while (ok && out->len % ALIGNMENT != 0)
        ok = append_text(out, " ");
    const uint64_t len = out->len - LENGTH_BYTES;
    memcpy(out->data, &len, sizeof len);
    return ok;
}

/* The length, the header and its padding. */
static bool append_header(struct buf *out, const dsc_model *model)
{
    const dsc_layout *const layout = dsc_model_phi_layout(model);
    static const char zeros[LENGTH_BYTES] = {0};
    bool ok = buf_append(out, zeros, sizeof zeros) && append_metadata(out, model);

    for (int i = 0; ok && i < layout->count; i++)
        ok = append_tensor(out, &layout->tensor[i]);
    return ok && finish_header(out);
}

bool safetensors_export(struct buf **out, const dsc_model *model, dsc_err *err)
{
    /* A header needs some 100 bytes a tensor; the rest grows if it must. */
    const size_t data_len = dsc_model_phi_layout(model)->len * sizeof(float);
    struct buf *file = buf_new(LENGTH_BYTES + 128 * (DSC_TENSORS_MAX + 8) + data_len);
    const bool ok =
        file && append_header(file, model) && buf_append(file, dsc_model_phi(model), data_len);

    if (ok) {
        *out = file;
        file = NULL;
    }
    buf_drop(file);
    return ok ? true : dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "there is no memory for the file");
}

/* ---- any other file ---- */

/* As the core names it. */
static dsc_tensor tensor_of(const struct safetensors_tensor *from)
{
    dsc_tensor tensor = {.rank = from->rank, .len = 1};

    memcpy(tensor.name, from->name, sizeof tensor.name);
    for (int i = 0; i < from->rank; i++) {
        tensor.shape[i] = from->shape[i];
        tensor.len *= from->shape[i];
    }
    return tensor;
}

static size_t number_bytes(const struct safetensors_tensor *tensor)
{
    return tensor->wide ? sizeof *tensor->wide : sizeof *tensor->data;
}

static bool append_texts(struct buf *out, const struct safetensors_text *text, size_t texts)
{
    bool ok = append_text(out, "{\"" METADATA "\":{");

    for (size_t i = 0; ok && i < texts; i++)
        ok = (i == 0 || append_text(out, ",")) && append_string(out, text[i].key) &&
             append_text(out, ":") && append_string(out, text[i].value);
    return ok && append_text(out, "}");
}

static bool append_file(struct buf *out, const struct safetensors_text *text, size_t texts,
                        const struct safetensors_tensor *tensor, size_t count)
{
    static const char zeros[LENGTH_BYTES] = {0};
    bool ok = buf_append(out, zeros, sizeof zeros) && append_texts(out, text, texts);
    size_t at = 0;

    for (size_t i = 0; ok && i < count; i++) {
        const dsc_tensor entry = tensor_of(&tensor[i]);
        const size_t bytes = entry.len * number_bytes(&tensor[i]);
        ok = append_entry(out, &entry, tensor[i].wide ? "F64" : "F32", at, at + bytes);
        at += bytes;
    }
    ok = ok && finish_header(out);
    for (size_t i = 0; ok && i < count; i++)
        ok = buf_append(
            out, tensor[i].wide ? (const void *)tensor[i].wide : (const void *)tensor[i].data,
            tensor_of(&tensor[i]).len * number_bytes(&tensor[i]));
    return ok;
}

bool safetensors_write(struct buf **out, const struct safetensors_text *text, size_t texts,
                       const struct safetensors_tensor *tensor, size_t count, dsc_err *err)
{
    size_t bytes = LENGTH_BYTES + 8192;

    assert(count <= DSC_TENSORS_MAX);
    for (size_t i = 0; i < count; i++)
        bytes += tensor_of(&tensor[i]).len * number_bytes(&tensor[i]) + 160;
    *out = buf_new(bytes);
    if (*out && append_file(*out, text, texts, tensor, count))
        return true;
    buf_drop(*out);
    *out = NULL;
    return dsc_fail(err, FAULT_OUT_OF_MEMORY, NULL, "there is no memory for the file");
}

static bool read_text(struct safetensors_text *text, const json_t *metadata, dsc_err *err)
{
    const char *const value = json_string_value(json_object_get(metadata, text->key));

    text->value[0] = '\0';
    if (value && strlen(value) >= sizeof text->value)
        return fail_file(err, text->key, "must have less than %zu bytes", sizeof text->value);
    if (value)
        strcpy(text->value, value);
    return true;
}

bool safetensors_describe(const void *bytes, size_t len, struct safetensors_text *text,
                          size_t texts, dsc_err *err)
{
    struct file file = {.json = NULL};
    bool ok = read_file(&file, bytes, len, err);

    for (size_t i = 0; ok && i < texts; i++)
        ok = read_text(&text[i], json_object_get(file.json, METADATA), err);
    json_decref(file.json);
    return ok;
}

static bool check_finite(const struct safetensors_tensor *tensor, size_t len, dsc_err *err)
{
    for (size_t i = 0; i < len; i++)
        if (!isfinite(tensor->wide ? tensor->wide[i] : (double)tensor->data[i]))
            return fail_file(err, tensor->name, "number %zu is not finite", i);
    return true;
}

static bool load_tensor(const struct file *file, const struct safetensors_tensor *tensor,
                        dsc_err *err)
{
    const dsc_tensor want = tensor_of(tensor);
    const int i = (int)(dsc_layout_find(&file->layout, tensor->name) - file->layout.tensor);
    const struct extent *const extent = &file->extent[i];
    const unsigned char *const from = file->data + extent->begin;

    if (tensor->wide && extent->dtype != DTYPE_F64)
        return fail_file(err, tensor->name, "must be F64");
    if (tensor->wide)
        memcpy(tensor->wide, from, want.len * sizeof *tensor->wide);
    else if (extent->dtype != DTYPE_F64)
        vector_from_bytes(tensor->data, from, want.len, (enum vector_dtype)extent->dtype);
    else if (!load_f64(tensor->data, from, &want, err))
        return false;
    return check_finite(tensor, want.len, err);
}

bool safetensors_read(const void *bytes, size_t len, const struct safetensors_tensor *tensor,
                      size_t count, dsc_err *err)
{
    struct file file = {.json = NULL};
    dsc_layout want = {.count = (int)count};
    dsc_err inner = {.code = DSC_OK};
    bool ok = read_file(&file, bytes, len, err);

    assert(count <= DSC_TENSORS_MAX);
    for (size_t i = 0; i < count; i++)
        want.tensor[i] = tensor_of(&tensor[i]);
    if (ok && !dsc_layout_match(&file.layout, &want, &inner))
        ok = fail_inner(err, &inner);
    for (size_t i = 0; ok && i < count; i++)
        ok = load_tensor(&file, &tensor[i], err);
    json_decref(file.json);
    return ok;
}
