/* test_safetensors.c -- files that are right, and every way for one to lie */
#include "server/safetensors.h"
#include "server/fault.h"
#include "server/limits.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- two families of our own: a learned one and one without weights ---- */

static const dsc_hyper_spec hyper[] = {
    {.name = "rows", .kind = DSC_HYPER_INT, .min = 1, .max = 1e6, .initial = 2},
    {.name = "rate", .kind = DSC_HYPER_REAL, .min = 0, .max = 1, .initial = 0.1},
    {.name = NULL},
};

/* w [rows, 3] and b [rows] */
static void phi_layout(dsc_layout *phi, const dsc_hyper *h)
{
    dsc_layout_add(phi, "w", 0, 2, (size_t)h->value[0], 3);
    dsc_layout_add(phi, "b", 0, 1, (size_t)h->value[0], 0);
}

static bool hyper_guess(dsc_hyper *h, const dsc_layout *file, dsc_err *err)
{
    const dsc_tensor *const w = dsc_layout_find(file, "w");

    if (!w || w->rank != 2)
        return dsc_fail(err, DSC_EWEIGHTS, "w", "is missing");
    return dsc_hyper_set_number(h, "rows", (double)w->shape[0], err);
}

static void state_layout(dsc_layout *state, const dsc_hyper *h)
{
    (void)state, (void)h;
}

static void step(const dsc_model *model, const dsc_span *span)
{
    (void)model, (void)span;
}

static const dsc_family learned = {.name = "learned",
                                   .hyper = hyper,
                                   .phi_layout = phi_layout,
                                   .hyper_guess = hyper_guess,
                                   .state_layout = state_layout,
                                   .step = step};
static const dsc_family plain = {
    .name = "plain", .hyper = hyper, .state_layout = state_layout, .step = step};

/* ---- files ---- */

/* The 8 numbers of the usual file: w, then b. */
static const float numbers[8] = {1, 2, 3, -4, 5.5f, 6, 7, -8};

#define W      "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}"
#define FAMILY "\"__metadata__\":{\"family\":\"learned\"}"

struct bytes {
    unsigned char *data;
    size_t len;
};

/* Exactly as long as it is, so that the sanitizers see a step beyond it. */
static struct bytes file_new(uint64_t header_len, const char *header, const void *data,
                             size_t data_len)
{
    struct bytes file = {.len = 8 + strlen(header) + data_len};

    file.data = malloc(file.len);
    assert_non_null(file.data);
    memcpy(file.data, &header_len, 8);
    memcpy(file.data + 8, header, strlen(header));
    if (data_len)
        memcpy(file.data + 8 + strlen(header), data, data_len);
    return file;
}

static dsc_model *import(const char *header, const void *data, size_t data_len,
                         const dsc_family *family, dsc_err *err)
{
    const struct bytes file = file_new(strlen(header), header, data, data_len);
    dsc_model *model = NULL;
    bool ok;

    *err = (dsc_err) {.code = DSC_OK};
    ok = safetensors_import(&model, file.data, file.len, family, NULL, err);
    assert_int_equal(ok, model != NULL);
    assert_int_equal(ok, err->code == DSC_OK);
    free(file.data);
    return model;
}

static void check_numbers(const dsc_model *model)
{
    assert_non_null(model);
    assert_memory_equal(dsc_model_phi(model), numbers, sizeof numbers);
}

/* ---- what is right ---- */

static void a_file_becomes_a_model(void **state)
{
    static const char *const headers[] = {
        "{" W "," B "}",
        "{" B "," W "}   ", /* in any order, padded */
        "{" FAMILY "," W "," B "}",
        "{\"__metadata__\":{\"format\":\"pt\",\"config\":\"not read without a family\"}," W "," B
        "}",
        "{\"__metadata__\":{}," W "," B "}",
        "{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rows\\\":2,\\\"rate\\\":0.1}"
        "\"}," W "," B "}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        dsc_err err;
        dsc_model *const model = import(headers[i], numbers, sizeof numbers, &learned, &err);

        check_numbers(model);
        assert_true(dsc_model_hyper(model)->value[0] == 2 &&
                    dsc_model_hyper(model)->value[1] == 0.1);
        dsc_model_drop(model);
    }
}

static void data_may_lie_in_any_order(void **state)
{
    static const float swapped[8] = {7, -8, 1, 2, 3, -4, 5.5f, 6};
    dsc_err err;
    dsc_model *const model =
        import("{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
               "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
               swapped, sizeof swapped, &learned, &err);

    (void)state;
    check_numbers(model);
    dsc_model_drop(model);
}

static void sizes_come_from_shapes_or_config(void **state)
{
    static const char header[] =
        "{%s\"w\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[0,12]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}";
    static const char *const metadata[] = {
        "", "\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rows\\\":1}\"},"};
    char text[512];
    dsc_err err;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dsc_model *model;

        (void)snprintf(text, sizeof text, header, metadata[i]);
        model = import(text, numbers, 16, &learned, &err);
        assert_non_null(model);
        assert_true(dsc_model_hyper(model)->value[0] == 1);
        dsc_model_drop(model);
    }
}

static void other_types_are_converted(void **state)
{
    static const uint16_t f16[8] = {0x3c00, 0x4000, 0x4200, 0xc400, 0x4580, 0x4600, 0x4700, 0xc800};
    static const uint16_t bf16[8] = {0x3f80, 0x4000, 0x4040, 0xc080,
                                     0x40b0, 0x40c0, 0x40e0, 0xc100};
    static const double f64[8] = {1, 2, 3, -4, 5.5, 6, 7, -8};
    static const struct {
        const char *header;
        const void *data;
        size_t len;
    } rows[] = {
        {"{\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
         "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[12,16]}}",
         f16, sizeof f16},
        {"{\"w\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[12,16]}}",
         bf16, sizeof bf16},
        {"{\"w\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,48]},"
         "\"b\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[48,64]}}",
         f64, sizeof f64},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dsc_err err;
        dsc_model *const model = import(rows[i].header, rows[i].data, rows[i].len, &learned, &err);

        check_numbers(model);
        dsc_model_drop(model);
    }
}

static void a_file_without_weights(void **state)
{
    dsc_err err;
    dsc_model *model =
        import("{\"__metadata__\":{\"family\":\"plain\",\"config\":\"{\\\"rate\\\":0.5}\"}}", NULL,
               0, &plain, &err);

    (void)state;
    assert_non_null(model);
    assert_true(dsc_model_hyper(model)->value[1] == 0.5);
    assert_null(dsc_model_phi(model));
    dsc_model_drop(model);
    model = import("{\"__metadata__\":{\"family\":\"plain\"}}", NULL, 0, &plain, &err);
    assert_non_null(model);
    dsc_model_drop(model);

    assert_null(import("{}", NULL, 0, &plain, &err));
    assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
    assert_string_equal(err.where, "__metadata__.family");
    assert_null(import("{\"__metadata__\":{\"family\":\"plain\"}," W "," B "}", numbers,
                       sizeof numbers, &plain, &err));
    assert_string_equal(err.where, "w");
}

/* ---- lies ---- */

/* One tensor besides a good one, each with one thing wrong; then wrong metadata. Data: 32 bytes. */
static void every_lie_is_named(void **state)
{
    static const struct {
        const char *header, *where, *sentence;
    } rows[] = {
        {"{}", "w", "is missing"},
        {"{\"b\":{\"dtype\":\"F32\",\"shape\":[8],\"data_offsets\":[0,32]}}", "w", "is missing"},
        {"{\"w\":7," B "}", "w", "must be an object with dtype, shape and data_offsets"},
        {"{\"w\":[]," B "}", "w", "must be an object with dtype, shape and data_offsets"},
        {"{\"w\":{\"shape\":[2,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its dtype must be F32, F16, BF16 or F64"},
        {"{\"w\":{\"dtype\":\"I32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its dtype must be F32, F16, BF16 or F64"},
        {"{\"w\":{\"dtype\":32,\"shape\":[2,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its dtype must be F32, F16, BF16 or F64"},
        {"{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}," B "}", "w",
         "its shape must be a list of whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[0,24]}," B "}", "w",
         "its shape must be a list of whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[-2,-3],\"data_offsets\":[0,24]}," B "}", "w",
         "its shape must be a list of whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2.0,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its shape must be a list of whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3,1],\"data_offsets\":[0,24]}," B "}", "w",
         "has 3 dimensions; weights have at most 2"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,4],\"data_offsets\":[0,24]}," B
         "}",
         "w", "its shape is too large"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,24]}," B
         "}",
         "w", "its shape is too large"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[3074457345618258604,6],\"data_offsets\":[0,24]}," B
         "}",
         "w", "its shape is too large"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3]}," B "}", "w",
         "its data_offsets must be two whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0]}," B "}", "w",
         "its data_offsets must be two whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24,32]}," B "}", "w",
         "its data_offsets must be two whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[-8,16]}," B "}", "w",
         "its data_offsets must be two whole numbers"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,0]}," B "}", "w",
         "its data_offsets [24, 0] are not inside the 32 bytes of data"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[16,40]}," B "}", "w",
         "its data_offsets [16, 40] are not inside the 32 bytes of data"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[9223372036854775783,"
         "9223372036854775807]}," B "}",
         "w", NULL},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,20]}," B "}", "w",
         "its shape and dtype take 24 bytes, its data_offsets 20"},
        {"{\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its shape and dtype take 12 bytes, its data_offsets 24"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,24]}," B "}", "w",
         "its shape and dtype take 0 bytes, its data_offsets 24"},
        {"{" W ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]}}", "b",
         "its data overlaps that of another tensor"},
        {"{" W ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "w",
         "its data overlaps that of another tensor"},
        {"{\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]}," B "}", "b",
         "there are 12 bytes of nobody in front of its data"},
        {"{" B "}", "b", "there are 24 bytes of nobody in front of its data"},
        {"{" W "}", "", "the file goes on 8 bytes behind the last tensor"},
        {"{" W ",\"c\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}", "b",
         "is missing"},
        {"{" W "," B ",\"c\\n\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[32,32]}}", "c?",
         NULL},
        {"{" W "," B
         ",\"a%s%n_name_of_more_than_forty_bytes_is_not_ours\":{\"dtype\":\"F32\",\"shape\":[0],"
         "\"data_offsets\":[32,32]}}",
         "a%s%n_name_of_more_than_forty_bytes_is_not_ours", "is not a tensor of this optimizer"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}," B "}", "w",
         "must have shape [3, 3], not [3, 2]"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}," B "}", "w", NULL},
        {"{" FAMILY "," W ",\"b\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[24,32]}}",
         "b", "must have shape [2], not [2, 1]"},
        {"{\"__metadata__\":7," W "," B "}", "__metadata__", "must be an object of strings"},
        {"{\"__metadata__\":{\"family\":7}," W "," B "}", "__metadata__",
         "must be an object of strings"},
        {"{\"__metadata__\":{\"other\":{}}," W "," B "}", "__metadata__",
         "must be an object of strings"},
        {"{\"__metadata__\":{\"family\":\"plain\"}," W "," B "}", "__metadata__.family",
         "must be \"learned\", the optimizer's"},
        {"{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\"}," W "," B "}",
         "__metadata__.config", NULL},
        {"{\"__metadata__\":{\"family\":\"learned\",\"config\":\"[]\"}," W "," B "}",
         "__metadata__.config", NULL},
        {"{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rows\\\":0}\"}," W "," B "}",
         "__metadata__.config.rows", NULL},
        {"{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"cols\\\":3}\"}," W "," B "}",
         "__metadata__.config.cols", NULL},
        {"{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rows\\\":1000000}\"}," W "," B
         "}",
         "w", "must have shape [1000000, 3], not [2, 3]"},
        {"{" W "," W "," B "}", "", NULL},
        {"{" W "," B, "", NULL},
        {"{" W "," B "}}", "", NULL},
        {"{" W ",}", "", NULL},
        {"[]", "", "its header must begin with '{'"},
        {" {" W "," B "}", "", "its header must begin with '{'"},
        {"", "", "its header must begin with '{'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const bool empty = strcmp(rows[i].header, "{}") == 0;
        dsc_err err;
        dsc_model *const model =
            import(rows[i].header, numbers, empty ? 0 : sizeof numbers, &learned, &err);

        if (model)
            fail_msg("%s was taken", rows[i].header);
        assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
        if (strcmp(err.where, rows[i].where) != 0)
            fail_msg("%s: %s %s", rows[i].header, err.where, err.text);
        if (rows[i].sentence)
            assert_string_equal(err.text, rows[i].sentence);
    }
}

static void lengths_are_checked(void **state)
{
    static const uint64_t lens[] = {
        1, 3, 12345, LIMIT_WEIGHTS_HEADER_BYTES, UINT32_MAX, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
    dsc_model *model = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        const struct bytes file = file_new(lens[i], "{}", NULL, 0);
        dsc_err err = {.code = DSC_OK};

        assert_false(safetensors_import(&model, file.data, file.len, &learned, NULL, &err));
        assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
        free(file.data);
    }
    for (size_t len = 0; len < 8; len++) {
        const struct bytes file = file_new(2, "{}", NULL, 0);
        unsigned char *const part = malloc(len + 1);
        dsc_err err = {.code = DSC_OK};

        memcpy(part, file.data, len);
        assert_false(safetensors_import(&model, part, len, &learned, NULL, &err));
        assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
        free(part);
        free(file.data);
    }
    assert_null(model);
}

static void a_long_header_is_refused_unread(void **state)
{
    const size_t len = LIMIT_WEIGHTS_HEADER_BYTES + 1;
    char *const header = malloc(len + 1);
    dsc_err err;

    (void)state;
    memset(header, ' ', len);
    memcpy(header, "{}", 2);
    header[len] = '\0';
    assert_null(import(header, NULL, 0, &learned, &err));
    assert_string_equal(err.text, "its header must have at most 1048576 bytes, not 1048577");
    /* One byte less is read, and then it is the weights that are missing. */
    header[len - 1] = '\0';
    assert_null(import(header, NULL, 0, &learned, &err));
    assert_string_equal(err.where, "w");
    /* Deep nesting ends in an error of the parser, not of the stack. */
    memset(header, '[', len - 1);
    memcpy(header, "{\"a\":", 5);
    assert_null(import(header, NULL, 0, &learned, &err));
    assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
    free(header);
}

static void a_nul_in_the_header_is_refused(void **state)
{
    static const char header[] =
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}";
    const struct bytes file = file_new(strlen(header), header, numbers, 24);
    dsc_model *model = NULL;
    dsc_err err = {.code = DSC_OK};

    (void)state;
    *(char *)memchr(file.data + 8, '4', file.len - 8) = '\0';
    assert_false(safetensors_import(&model, file.data, file.len, &learned, NULL, &err));
    assert_string_equal(err.text, "its header must be text, without NUL bytes");
    free(file.data);
}

/* Any cut of a good file is refused. */
static void cut_files_are_refused(void **state)
{
    const char *const header = "{" W "," B "}";
    const struct bytes file = file_new(strlen(header), header, numbers, sizeof numbers);

    (void)state;
    for (size_t len = 0; len < file.len; len++) {
        unsigned char *const part = malloc(len + 1);
        dsc_model *model = NULL;
        dsc_err err = {.code = DSC_OK};

        memcpy(part, file.data, len);
        assert_false(safetensors_import(&model, part, len, &learned, NULL, &err));
        assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
        free(part);
    }
    free(file.data);
}

/* More tensors than any optimizer has, each of them fine. */
static void too_many_tensors(void **state)
{
    char header[8192] = "{";
    dsc_err err;

    (void)state;
    for (int i = 0; i <= DSC_TENSORS_MAX; i++)
        (void)sprintf(header + strlen(header),
                      "%s\"t%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}",
                      i ? "," : "", i);
    (void)strcat(header, "}");
    assert_null(import(header, NULL, 0, &learned, &err));
    assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
    assert_memory_equal(err.where, "t", 1);
}

static void numbers_must_be_finite(void **state)
{
    static const char wide[] = "{\"w\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":[0,48]},"
                               "\"b\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[48,64]}}";
    static const char half[] = "{\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                               "\"b\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[12,16]}}";
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e39, -3.4028235677973366e38};
    dsc_err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double f64[8] = {1, 2, 3, 4, 5, 6, 7, bad[i]};

        assert_null(import(wide, f64, sizeof f64, &learned, &err));
        assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
        assert_memory_equal(err.where, "b", 1);
    }
    assert_null(import(half, (const uint16_t[8]) {0x3c00, 0x7c00}, 16, &learned, &err));
    assert_int_equal(err.code, FAULT_INVALID_WEIGHTS);
    assert_string_equal(err.where, "w[1]");
    assert_null(
        import("{" W "," B "}", (const float[8]) {0, 0, 0, 0, 0, 0, NAN}, 32, &learned, &err));
    assert_string_equal(err.where, "b[0]");
}

/* ---- writing ---- */

static struct buf *export(const dsc_model *model)
{
    struct buf *file = NULL;
    dsc_err err;

    assert_true(safetensors_export(&file, model, &err));
    assert_non_null(file);
    return file;
}

/* The whole file, typed by hand. */
static void a_model_becomes_a_file(void **state)
{
    static const char header[] =
        "{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rows\\\":2,\\\"rate\\\":0.1}"
        "\",\"format\":\"pt\"},"
        "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}}";
    dsc_err err;
    dsc_model *const model = import("{" B "," W "}", numbers, sizeof numbers, &learned, &err);
    struct buf *const file = export(model);
    uint64_t len;

    (void)state;
    memcpy(&len, file->data, 8);
    assert_int_equal(len % 8, 0);
    assert_int_equal(file->len, 8 + len + sizeof numbers);
    assert_true(len >= strlen(header) && len < strlen(header) + 8);
    assert_memory_equal(file->data + 8, header, strlen(header));
    for (size_t i = strlen(header); i < len; i++)
        assert_int_equal(file->data[8 + i], ' ');
    assert_memory_equal(file->data + 8 + len, numbers, sizeof numbers);
    buf_drop(file);
    dsc_model_drop(model);
}

static void check_round_trip(dsc_model *model, const dsc_family *family)
{
    struct buf *const first = export(model);
    struct buf *second;
    dsc_model *again = NULL;
    dsc_err err = {.code = DSC_OK};

    assert_true(safetensors_import(&again, first->data, first->len, family, NULL, &err));
    second = export(again);
    assert_int_equal(first->len, second->len);
    assert_memory_equal(first->data, second->data, first->len);
    buf_drop(first);
    buf_drop(second);
    dsc_model_drop(again);
    dsc_model_drop(model);
}

static void files_go_out_and_in_and_out(void **state)
{
    dsc_err err;

    (void)state;
    check_round_trip(
        import("{\"__metadata__\":{\"family\":\"learned\",\"config\":\"{\\\"rate\\\":0.3}\"}," W
               "," B "}",
               numbers, sizeof numbers, &learned, &err),
        &learned);
    check_round_trip(
        import("{\"__metadata__\":{\"family\":\"plain\",\"config\":\"{\\\"rate\\\":1e-7}\"}}", NULL,
               0, &plain, &err),
        &plain);
}

/* A model of a family with its default config and the weights a training would begin with. */
static dsc_model *model_of(const dsc_family *family)
{
    dsc_rng rng = dsc_rng_at(1, 2, 3);
    dsc_layout phi = {0};
    dsc_model *model = NULL;
    float *weights = NULL;
    dsc_hyper defaults;
    dsc_err err = {.code = DSC_OK};

    dsc_hyper_init(&defaults, family->hyper);
    if (family->phi_layout) {
        family->phi_layout(&phi, &defaults);
        weights = calloc(phi.len, sizeof *weights);
        assert_non_null(weights);
        family->phi_init(weights, &rng, &defaults);
    }
    assert_true(dsc_model_new(&model, family, &defaults, weights, NULL, &err));
    free(weights);
    return model;
}

static void every_family_goes_out_and_in_and_out(void **state)
{
    (void)state;
    for (const dsc_family *const *family = dsc_families; *family; family++)
        check_round_trip(model_of(*family), *family);
}

/* What PyTorch saves of nn.LSTM(2, 1) and nn.Linear(1, 1): no config, its own metadata. */
static void a_pytorch_state_dict_is_read(void **state)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"lstm.bias_hh_l0\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
        "\"lstm.bias_ih_l0\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,32]},"
        "\"lstm.weight_hh_l0\":{\"dtype\":\"F32\",\"shape\":[4,1],\"data_offsets\":[32,48]},"
        "\"lstm.weight_ih_l0\":{\"dtype\":\"F32\",\"shape\":[4,2],\"data_offsets\":[48,80]},"
        "\"output.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[80,84]},"
        "\"output.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[84,88]}}";
    float data[22];
    const dsc_tensor *tensor;
    dsc_model *model;
    dsc_err err;

    (void)state;
    for (int i = 0; i < 22; i++)
        data[i] = (float)i;
    model = import(header, data, sizeof data, dsc_family_find("lstm"), &err);
    assert_non_null(model);
    tensor = dsc_layout_find(dsc_model_phi_layout(model), "lstm.weight_ih_l0");
    assert_memory_equal(dsc_model_phi(model) + tensor->offset, data + 12, 8 * sizeof(float));
    check_round_trip(model, dsc_family_find("lstm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_becomes_a_model),
        cmocka_unit_test(data_may_lie_in_any_order),
        cmocka_unit_test(sizes_come_from_shapes_or_config),
        cmocka_unit_test(other_types_are_converted),
        cmocka_unit_test(a_file_without_weights),
        cmocka_unit_test(every_lie_is_named),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(a_long_header_is_refused_unread),
        cmocka_unit_test(a_nul_in_the_header_is_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(too_many_tensors),
        cmocka_unit_test(numbers_must_be_finite),
        cmocka_unit_test(a_model_becomes_a_file),
        cmocka_unit_test(files_go_out_and_in_and_out),
        cmocka_unit_test(every_family_goes_out_and_in_and_out),
        cmocka_unit_test(a_pytorch_state_dict_is_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
