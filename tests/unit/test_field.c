/* test_field.c -- bodies decoded, checked, encoded: every kind of row, every way to be wrong */
#include "server/field.h"
#include "server/fault.h"
#include "server/limits.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ---- a body with a row of every kind ---- */

struct tensor {
    struct field_seen seen;
    const char *name;
    struct field_list shape;
};

struct point {
    struct field_seen seen;
    double x;
    int64_t id;
};

struct body {
    struct field_seen seen;
    bool flag;
    int64_t step;
    double rate;
    const char *name;
    int mode;
    struct point point;
    struct field_list layout;
    struct field_list losses;
    const char *labels;
    const char *patch;
    const char *config;
    double clip;
};

static const char *const modes[] = {"strict", "relaxed", "memory", NULL};

static const struct field tensor_fields[] = {
    {.name = "name",
     .kind = FIELD_STRING,
     .offset = offsetof(struct tensor, name),
     .flags = FIELD_REQUIRED,
     .min = 1,
     .max = 8},
    {.name = "shape",
     .kind = FIELD_INTS,
     .offset = offsetof(struct tensor, shape),
     .min = 1,
     .max = 1000,
     .max_items = 3},
    {.name = NULL},
};
static const struct shape tensor_shape = {
    .name = "Tensor", .size = sizeof(struct tensor), .fields = tensor_fields};

static const struct field point_fields[] = {
    {.name = "x", .kind = FIELD_REAL, .offset = offsetof(struct point, x), .flags = FIELD_REQUIRED},
    {.name = "id",
     .kind = FIELD_INT,
     .offset = offsetof(struct point, id),
     .flags = FIELD_OPTIONAL},
    {.name = NULL},
};
static const struct shape point_shape = {
    .name = "Point", .size = sizeof(struct point), .fields = point_fields};

#define ROW(member, KIND) .name = #member, .kind = KIND, .offset = offsetof(struct body, member)

static const struct field body_fields[] = {
    {ROW(flag, FIELD_BOOL), .flags = FIELD_OPTIONAL},
    {ROW(step, FIELD_INT), .flags = FIELD_OPTIONAL, .min = 0, .max = 9007199254740991},
    {ROW(rate, FIELD_REAL), .flags = FIELD_OPTIONAL, .min = 0, .max = 10.5},
    {ROW(name, FIELD_STRING), .flags = FIELD_OPTIONAL, .min = 1, .max = 16},
    {ROW(mode, FIELD_WORD), .flags = FIELD_OPTIONAL, .words = modes},
    {ROW(point, FIELD_OBJECT), .flags = FIELD_OPTIONAL, .shape = &point_shape},
    {ROW(layout, FIELD_LIST), .flags = FIELD_OPTIONAL, .min = 1, .max = 3, .shape = &tensor_shape},
    {ROW(losses, FIELD_REALS), .flags = FIELD_OPTIONAL, .max_items = 4},
    {ROW(labels, FIELD_LABELS), .flags = FIELD_OPTIONAL},
    {ROW(patch, FIELD_LABELS), .flags = FIELD_OPTIONAL | FIELD_MERGE},
    {ROW(config, FIELD_JSON), .flags = FIELD_OPTIONAL},
    {ROW(clip, FIELD_REAL), .flags = FIELD_OPTIONAL | FIELD_NULLABLE},
    {.name = "gradient", .kind = FIELD_VECTOR},
    {.name = NULL},
};
static const struct shape body_shape = {
    .name = "Body", .size = sizeof(struct body), .fields = body_fields};

static int arena_setup(void **state)
{
    dsc_arena *const arena = malloc(sizeof *arena);

    if (!arena)
        return -1;
    dsc_arena_init(arena, LIMIT_ARENA_BYTES);
    *state = arena;
    return 0;
}

static int arena_teardown(void **state)
{
    dsc_arena_release(*state);
    free(*state);
    return 0;
}

static bool decode(dsc_arena *arena, const char *text, struct body *body, dsc_err *err)
{
    *err = (dsc_err) {.code = DSC_OK};
    return field_decode(&body_shape, text, strlen(text), body, arena, err);
}

/* ---- what is right ---- */

static void every_kind_is_decoded(void **state)
{
    static const char text[] =
        "{\"flag\":true,\"step\":17,\"rate\":0.25,\"name\":\"a\\u00e9\",\"mode\":\"memory\","
        "\"point\":{\"x\":3},\"layout\":[{\"name\":\"w\",\"shape\":[2,3]},{\"name\":\"b\"}],"
        "\"losses\":[1,0.5],\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"patch\":{\"x\":null,\"A/"
        "b.c-d_e\":\"\"},"
        "\"config\":{\"z\":[1,2.5,{\"b\":0.1,\"a\":true}],\"p\":null},\"clip\":null,\"gradient\":[]"
        "}";
    struct body body;
    const struct tensor *tensors;
    dsc_err err;

    assert_true(decode(*state, text, &body, &err));
    assert_int_equal(body.seen.given, 0x1fff);
    assert_int_equal(body.seen.null, UINT64_C(1) << 11);
    assert_true(body.flag);
    assert_int_equal(body.step, 17);
    assert_true(body.rate == 0.25);
    assert_string_equal(body.name, "a\xc3\xa9");
    assert_int_equal(body.mode, 2);
    assert_true(body.point.x == 3);
    assert_int_equal(body.point.seen.given, 1);
    assert_int_equal(body.layout.count, 2);
    tensors = body.layout.items;
    assert_string_equal(tensors[0].name, "w");
    assert_int_equal(tensors[0].shape.count, 2);
    assert_int_equal(((const int64_t *)tensors[0].shape.items)[1], 3);
    assert_string_equal(tensors[1].name, "b");
    assert_int_equal(tensors[1].seen.given, 1);
    assert_int_equal(body.losses.count, 2);
    assert_true(((const double *)body.losses.items)[1] == 0.5);
    assert_string_equal(body.labels, "{\"a\":\"1\",\"b\":\"2\"}");
    assert_string_equal(body.patch, "{\"A/b.c-d_e\":\"\",\"x\":null}");
    assert_string_equal(body.config, "{\"p\":null,\"z\":[1,2.5,{\"a\":true,\"b\":0.1}]}");
    assert_true(body.clip == 0);
}

static void an_empty_text_is_an_empty_object(void **state)
{
    struct body body;
    dsc_err err;

    memset(&body, 0xff, sizeof body);
    assert_true(decode(*state, "", &body, &err));
    assert_int_equal(body.seen.given, 0);
    assert_int_equal(body.step, 0);
    assert_null(body.name);
    assert_true(field_decode(&body_shape, NULL, 0, &body, *state, &err));
    assert_true(decode(*state, " { } ", &body, &err));
}

static void bounds_are_included(void **state)
{
    static const char *const texts[] = {
        "{\"step\":0}",
        "{\"step\":9007199254740991}",
        "{\"rate\":0}",
        "{\"rate\":10.5}",
        "{\"rate\":1e-400}",
        "{\"name\":\"a\"}",
        "{\"name\":\"1234567890123456\"}",
        "{\"point\":{\"x\":-1e300}}",
        "{\"point\":{\"x\":1,\"id\":-9223372036854775808}}",
        "{\"layout\":[{\"name\":\"a\",\"shape\":[]}]}",
        "{\"layout\":[{\"name\":\"a\",\"shape\":[1,1000,1]}]}",
        "{\"losses\":[]}",
        "{\"losses\":[1,2,3,4]}",
        "{\"labels\":{}}",
        "{\"config\":{}}",
    };
    struct body body;
    dsc_err err;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!decode(*state, texts[i], &body, &err))
            fail_msg("%s: %s %s", texts[i], err.where, err.text);
}

/* ---- what is wrong ---- */

static void every_mistake_is_named(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where, *sentence;
    } rows[] = {
        {"{\"flag\":1}", FAULT_INVALID_VALUE, "flag", "must be true or false, not 1"},
        {"{\"flag\":null}", FAULT_INVALID_VALUE, "flag", "must be true or false, not null"},
        {"{\"step\":17.5}", FAULT_INVALID_VALUE, "step",
         "must be a whole number in [0, 9007199254740991], not 17.5"},
        {"{\"step\":17.0}", FAULT_INVALID_VALUE, "step",
         "must be a whole number in [0, 9007199254740991], not 17.0"},
        {"{\"step\":-1}", FAULT_INVALID_VALUE, "step",
         "must be a whole number in [0, 9007199254740991], not -1"},
        {"{\"step\":9007199254740992}", FAULT_INVALID_VALUE, "step",
         "must be a whole number in [0, 9007199254740991], not 9007199254740992"},
        {"{\"step\":\"17\"}", FAULT_INVALID_VALUE, "step",
         "must be a whole number in [0, 9007199254740991], not \"17\""},
        {"{\"step\":99999999999999999999}", FAULT_INVALID_VALUE, "step",
         "line 1, column 28: the number is too large"},
        {"{\"rate\":-99999999999999999999}", FAULT_INVALID_VALUE, "rate",
         "line 1, column 29: the number is too large"},
        {"{\"rate\":1e999}", FAULT_INVALID_VALUE, "rate",
         "line 1, column 13: the number is too large"},
        {"{\"rate\":10.6}", FAULT_INVALID_VALUE, "rate", "must be a number in [0, 10.5], not 10.6"},
        {"{\"rate\":true}", FAULT_INVALID_VALUE, "rate", "must be a number in [0, 10.5], not true"},
        {"{\"name\":\"\"}", FAULT_INVALID_VALUE, "name", "must have 1 to 16 bytes, not 0"},
        {"{\"name\":\"12345678901234567\"}", FAULT_INVALID_VALUE, "name",
         "must have 1 to 16 bytes, not 17"},
        {"{\"name\":{}}", FAULT_INVALID_VALUE, "name", "must be a text, not an object"},
        {"{\"name\":null}", FAULT_INVALID_VALUE, "name", "must be a text, not null"},
        {"{\"name\":\"a\\u0000b\"}", FAULT_INVALID_VALUE, "name",
         "line 1, column 18: a text must not hold \\u0000"},
        {"{\"mode\":\"fast\"}", FAULT_INVALID_VALUE, "mode",
         "must be one of \"strict\", \"relaxed\", \"memory\", not \"fast\""},
        {"{\"mode\":0}", FAULT_INVALID_VALUE, "mode",
         "must be one of \"strict\", \"relaxed\", \"memory\", not 0"},
        {"{\"mode\":\"a\\u001b[31m\\n\"}", FAULT_INVALID_VALUE, "mode",
         "must be one of \"strict\", \"relaxed\", \"memory\", not \"a?[31m?\""},
        {"{\"mode\":\"0123456789012345678901234567890123456789\"}", FAULT_INVALID_VALUE, "mode",
         "must be one of \"strict\", \"relaxed\", \"memory\", not a longer text"},
        {"{\"point\":[]}", FAULT_INVALID_VALUE, "point", "must be an object, not a list"},
        {"{\"point\":{}}", FAULT_MISSING_FIELD, "point.x", "is missing"},
        {"{\"point\":{\"x\":\"1\"}}", FAULT_INVALID_VALUE, "point.x",
         "must be a number, not \"1\""},
        {"{\"point\":{\"x\":1,\"y\":2}}", FAULT_UNKNOWN_FIELD, "point.y",
         "is not a field here; there are: x, id"},
        {"{\"layout\":{}}", FAULT_INVALID_VALUE, "layout",
         "must be a list of objects, not an object"},
        {"{\"layout\":[]}", FAULT_INVALID_VALUE, "layout", "must have 1 to 3 items, not 0"},
        {"{\"layout\":[1,2,3,4]}", FAULT_INVALID_VALUE, "layout", "must have 1 to 3 items, not 4"},
        {"{\"layout\":[{\"name\":\"a\"},7]}", FAULT_INVALID_VALUE, "layout[1]",
         "must be an object, not 7"},
        {"{\"layout\":[{\"shape\":[1]}]}", FAULT_MISSING_FIELD, "layout[0].name", "is missing"},
        {"{\"layout\":[{\"name\":\"a\"},{\"name\":\"b\",\"shape\":[0]}]}", FAULT_INVALID_VALUE,
         "layout[1].shape[0]", "must be a whole number in [1, 1000], not 0"},
        {"{\"layout\":[{\"name\":\"a\",\"shape\":[1,1,1,1]}]}", FAULT_INVALID_VALUE,
         "layout[0].shape", "must have at most 3 items, not 4"},
        {"{\"layout\":[{\"name\":\"a\",\"shape\":5}]}", FAULT_INVALID_VALUE, "layout[0].shape",
         "must be a list of numbers, not 5"},
        {"{\"losses\":[1,null]}", FAULT_INVALID_VALUE, "losses[1]", "must be a number, not null"},
        {"{\"losses\":[1,2,3,4,5]}", FAULT_INVALID_VALUE, "losses",
         "must have at most 4 items, not 5"},
        {"{\"labels\":[]}", FAULT_INVALID_VALUE, "labels",
         "must be an object of texts, not a list"},
        {"{\"labels\":{\"a\":1}}", FAULT_INVALID_VALUE, "labels.a", "must be a text, not 1"},
        {"{\"labels\":{\"a\":null}}", FAULT_INVALID_VALUE, "labels.a", "must be a text, not null"},
        {"{\"labels\":{\"-a\":\"\"}}", FAULT_INVALID_VALUE, "labels.-a", NULL},
        {"{\"labels\":{\"\":\"\"}}", FAULT_INVALID_VALUE, "labels[\"\"]", NULL},
        {"{\"labels\":{\"a b\":\"\"}}", FAULT_INVALID_VALUE, "labels.a b", NULL},
        {"{\"labels\":{\"a\\u00e9\":\"\"}}", FAULT_INVALID_VALUE, "labels.a\xc3\xa9", NULL},
        {"{\"config\":[]}", FAULT_INVALID_VALUE, "config", "must be an object, not a list"},
        {"{\"clip\":\"no\"}", FAULT_INVALID_VALUE, "clip", "must be a number, not \"no\""},
        {"{\"gradient\":1}", FAULT_INVALID_VALUE, "gradient", "must be a list of numbers, not 1"},
        {"{\"gr\\u0061dient\":[1]}", FAULT_INVALID_VALUE, "gradient",
         "must be given as a list of numbers whose name is spelled without escapes"},
        {"{\"step\":1,\"stepp\":2}", FAULT_UNKNOWN_FIELD, "stepp",
         "is not a field here; there are: flag, step, rate, name, mode, point, layout, losses, "
         "labels, "
         "patch, config, clip, gradient"},
        {"{\"a\\n\\u007f\":2}", FAULT_UNKNOWN_FIELD, "a??", NULL},
    };
    struct body body;
    dsc_err err;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (decode(*state, rows[i].text, &body, &err))
            fail_msg("%s was taken", rows[i].text);
        assert_int_equal(err.code, rows[i].code);
        assert_string_equal(err.where, rows[i].where);
        if (rows[i].sentence)
            assert_string_equal(err.text, rows[i].sentence);
    }
}

static void texts_that_are_not_json(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where, *sentence;
    } rows[] = {
        {"17", FAULT_MALFORMED_JSON, "", "line 1, column 1: the body must be a JSON object"},
        {"[]", FAULT_MALFORMED_JSON, "", "line 1, column 1: the body must be a JSON object"},
        {"null", FAULT_MALFORMED_JSON, "", "line 1, column 1: the body must be a JSON object"},
        {"\"a\"", FAULT_MALFORMED_JSON, "", "line 1, column 1: the body must be a JSON object"},
        {" ", FAULT_MALFORMED_JSON, "", NULL},
        {"{", FAULT_MALFORMED_JSON, "", NULL},
        {"{}}", FAULT_MALFORMED_JSON, "", "line 1, column 3: end of file expected"},
        {"{\"step\":1}\n x", FAULT_MALFORMED_JSON, "", "line 2, column 2: end of file expected"},
        {"{\"step\":01}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"step\":+1}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"rate\":.5}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"rate\":NaN}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"rate\":-Infinity}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"step\":1,}", FAULT_MALFORMED_JSON, "", NULL},
        {"{'step':1}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"name\":\"\xff\"}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"name\":\"\xed\xa0\x80\"}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"name\":\"\\ud800\"}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"name\":\"a\nb\"}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"name\":\"\\x\"}", FAULT_MALFORMED_JSON, "", NULL},
        {"{\"step\":1,\"step\":1}", FAULT_DUPLICATE_KEY, "step", NULL},
        {"{\"gradient\":[],\"gradient\":[2]}", FAULT_DUPLICATE_KEY, "gradient", NULL},
        {"{\"a\\\"b\":1,\"a\\\"b\":1}", FAULT_DUPLICATE_KEY, "[\"a\\\"b\"]", NULL},
        {"{\"point\":{\"\":1,\"\":1}}", FAULT_DUPLICATE_KEY, "point[\"\"]", NULL},
        {"{\"config\":{\"\\\\\":1,\"\\\\\":1}}", FAULT_DUPLICATE_KEY, "config.\\\\", NULL},
        {"{\"step\":1,\"st\\u0065p\":1}", FAULT_DUPLICATE_KEY, "st\\u0065p", NULL},
    };
    struct body body;
    dsc_err err;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (decode(*state, rows[i].text, &body, &err))
            fail_msg("%s was taken", rows[i].text);
        if (err.code != rows[i].code)
            fail_msg("%s: %d %s", rows[i].text, err.code, err.text);
        assert_string_equal(err.where, rows[i].where);
        if (rows[i].sentence)
            assert_string_equal(err.text, rows[i].sentence);
        assert_memory_equal(err.text, "line ", 5);
    }
}

static void a_nul_in_the_text_is_malformed(void **state)
{
    static const char text[] = "{\"step\":1\0}";
    struct body body;
    dsc_err err = {.code = DSC_OK};

    assert_false(field_decode(&body_shape, text, sizeof text - 1, &body, *state, &err));
    assert_int_equal(err.code, FAULT_MALFORMED_JSON);
}

/* `levels` objects inside each other, the body itself being the first. */
static bool decode_nested(dsc_arena *arena, int levels, const char *close, dsc_err *err)
{
    char text[1024] = "{\"config\":";
    struct body body;

    for (int i = 1; i < levels; i++)
        (void)strcat(text, i == 1 ? "{\"[\":" : i == levels - 1 ? "[" : "[");
    if (levels == 2)
        (void)strcat(text, "1");
    for (int i = 1; *close && i < levels; i++)
        (void)strcat(text, i == levels - 1 ? "}" : "]");
    (void)strcat(text, *close ? "}" : "");
    return decode(arena, text, &body, err);
}

static void depth_has_a_limit(void **state)
{
    char deep[4096];
    struct body body;
    dsc_err err;

    assert_true(decode_nested(*state, LIMIT_JSON_DEPTH, "close", &err));
    assert_false(decode_nested(*state, LIMIT_JSON_DEPTH + 1, "close", &err));
    assert_int_equal(err.code, FAULT_MALFORMED_JSON);
    assert_string_equal(err.text, "line 1, column 46: there are too many levels");
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    assert_false(decode(*state, deep, &body, &err));
    assert_string_equal(err.text, "line 1, column 33: there are too many levels");
    /* brackets in strings do not count, whatever is escaped there */
    assert_true(decode(*state,
                       "{\"config\":{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}",
                       &body, &err));
}

static void a_long_text_is_refused_before_it_is_parsed(void **state)
{
    const size_t len = LIMIT_CONTROL_BYTES + 1;
    char *const text = malloc(len);
    struct body body;
    dsc_err err = {.code = DSC_OK};

    memset(text, ' ', len);
    memcpy(text, "{}", 2);
    assert_true(field_decode(&body_shape, text, len - 1, &body, *state, &err));
    assert_false(field_decode(&body_shape, text, len, &body, *state, &err));
    assert_int_equal(err.code, FAULT_BODY_TOO_LARGE);
    free(text);
}

/* A name of any length stays inside err.where, whole characters only. */
static void long_names_are_cut(void **state)
{
    char text[512];
    struct body body;
    dsc_err err;

    for (size_t len = 50; len < 80; len++) {
        (void)snprintf(
            text, sizeof text, "{\"point\":{\"x\":1,\"%.*s\xe2\x82\xac\xe2\x82\xac\":1}}", (int)len,
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_false(decode(*state, text, &body, &err));
        assert_int_equal(err.code, FAULT_UNKNOWN_FIELD);
        assert_true(strlen(err.where) < sizeof err.where && strlen(err.where) >= 50);
        assert_true((unsigned char)err.where[strlen(err.where) - 1] == 0xac ||
                    err.where[strlen(err.where) - 1] == 'a');
    }
}

static void labels_have_limits(void **state)
{
    char *const text = malloc(1 << 16);
    char *at = text;
    struct body body;
    dsc_err err;

    at += sprintf(at, "{\"labels\":{");
    for (int i = 0; i <= LIMIT_LABELS; i++)
        at += sprintf(at, "%s\"l%d\":\"\"", i ? "," : "", i);
    (void)sprintf(at, "}}");
    assert_false(decode(*state, text, &body, &err));
    assert_string_equal(err.text, "must have at most 64 labels, not 65");

    (void)sprintf(text, "{\"labels\":{\"a\":\"%0*d\"}}", LIMIT_LABEL_BYTES + 1, 0);
    assert_false(decode(*state, text, &body, &err));
    assert_string_equal(err.text, "must have at most 256 bytes, not 257");
    (void)sprintf(text, "{\"labels\":{\"a\":\"%0*d\"}}", LIMIT_LABEL_BYTES, 0);
    assert_true(decode(*state, text, &body, &err));

    (void)sprintf(text, "{\"labels\":{\"%0*d\":\"\"}}", 63, 0);
    assert_true(decode(*state, text, &body, &err));
    (void)sprintf(text, "{\"labels\":{\"%0*d\":\"\"}}", 64, 0);
    assert_false(decode(*state, text, &body, &err));
    free(text);
}

/* For every size of arena the answer is whole, or out_of_memory. */
static void a_full_arena_is_a_failure(void **state)
{
    static const char text[] =
        "{\"name\":\"abc\",\"layout\":[{\"name\":\"w\",\"shape\":[1,2]}],\"losses\":[1],"
        "\"labels\":{\"a\":\"1\"},\"config\":{\"b\":{\"c\":[1,\"x\"]}}}";
    bool ok = false;

    (void)state;
    for (size_t cap = 0; !ok; cap += 8) {
        dsc_arena arena;
        struct body body;
        dsc_err err;

        assert_true(cap < 4096);
        dsc_arena_init(&arena, cap);
        ok = decode(&arena, text, &body, &err);
        if (!ok)
            assert_int_equal(err.code, FAULT_OUT_OF_MEMORY);
        dsc_arena_release(&arena);
    }
}

/* How many more allocations of Jansson succeed. Its hooks take no argument, hence the variable. */
static int allocations_left;

static void *scarce_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

/* The same when allocation number k of the parser fails, for every k. */
static void a_parser_without_memory_is_a_failure(void **state)
{
    static const char text[] =
        "{\"name\":\"abc\",\"step\":1,\"layout\":[{\"name\":\"w\",\"shape\":[1,2]}],"
        "\"losses\":[1.5,2],\"config\":{\"b\":[1,null,\"x\"]}}";
    struct body body;
    bool ok = false;
    dsc_err err;

    json_set_alloc_funcs(scarce_malloc, free);
    for (int k = 0; !ok; k++) {
        assert_true(k < 1000);
        allocations_left = k;
        ok = decode(*state, text, &body, &err);
        /* The parser takes a token it has no memory for as an invalid one. */
        if (!ok && err.code != FAULT_MALFORMED_JSON)
            assert_int_equal(err.code, FAULT_OUT_OF_MEMORY);
    }
    json_set_alloc_funcs(malloc, free);
}

/* ---- encoding ---- */

static void check_encode(const struct shape *shape, const void *in, const char *json)
{
    struct buf *const out = buf_new(1);
    dsc_err err = {.code = DSC_OK};

    assert_true(field_encode(shape, in, out, &err));
    assert_true(buf_append(out, "", 1));
    assert_string_equal((const char *)out->data, json);
    buf_drop(out);
}

static void what_is_decoded_is_encoded_again(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"flag\":true,\"step\":17,\"rate\":0.25,\"name\":\"a\\\"\\n\",\"mode\":\"memory\","
        "\"point\":{\"x\":3,\"id\":-9223372036854775808},\"layout\":[{\"name\":\"w\",\"shape\":[2,"
        "3]},"
        "{\"name\":\"b\",\"shape\":[]}],\"losses\":[1,0.1],\"labels\":{\"a\":\"1\",\"b\":\"\"},"
        "\"patch\":{\"x\":null},\"config\":{\"z\":[1,2.5]},\"clip\":null}",
        "{\"flag\":false,\"clip\":1e-300}",
        "{\"losses\":[]}",
    };
    struct body body;
    dsc_err err;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_true(decode(*state, texts[i], &body, &err));
        check_encode(&body_shape, &body, texts[i]);
    }
}

static void absent_null_and_not_finite(void **state)
{
    static const struct field fields[] = {
        {.name = "x", .kind = FIELD_REAL, .offset = offsetof(struct point, x)},
        {.name = "id",
         .kind = FIELD_INT,
         .offset = offsetof(struct point, id),
         .flags = FIELD_NULLABLE},
        {.name = NULL},
    };
    static const struct shape shape = {
        .name = "Reply", .size = sizeof(struct point), .fields = fields};
    static const struct field text_fields[] = {
        {.name = "name", .kind = FIELD_STRING, .offset = offsetof(struct body, name)},
        {.name = "labels", .kind = FIELD_LABELS, .offset = offsetof(struct body, labels)},
        {.name = "config", .kind = FIELD_JSON, .offset = offsetof(struct body, config)},
        {.name = NULL},
    };
    static const struct shape texts = {
        .name = "Texts", .size = sizeof(struct body), .fields = text_fields};
    const struct body none = {.step = 0};

    (void)state;
    check_encode(&shape, &(struct point) {.x = 1, .id = 2}, "{\"x\":1,\"id\":2}");
    check_encode(&shape, &(struct point) {.x = NAN, .id = 2, .seen.null = 2},
                 "{\"x\":null,\"id\":null}");
    check_encode(&shape, &(struct point) {.x = -INFINITY, .seen.null = 1}, "{\"x\":null,\"id\":0}");
    check_encode(&texts, &none, "{\"name\":null,\"labels\":null,\"config\":null}");
}

/* ---- parameters ---- */

static const char *const kinds[] = {"none", "log_sign", NULL};

static const dsc_hyper_spec spec[] = {
    {.name = "learning_rate",
     .kind = DSC_HYPER_REAL,
     .min = 0,
     .max = 10,
     .initial = 0.01,
     .open = true},
    {.name = "layers", .kind = DSC_HYPER_INT, .min = 0, .max = 4, .initial = 2},
    {.name = "preprocessing", .kind = DSC_HYPER_WORD, .initial = 1, .words = kinds},
    {.name = NULL},
};

static bool set(dsc_hyper *hyper, const char *text, const char *where, dsc_err *err)
{
    *err = (dsc_err) {.code = DSC_OK};
    dsc_hyper_init(hyper, spec);
    return field_hyper_decode(hyper, text, text ? strlen(text) : 0, where, err);
}

static void parameters_are_set(void **state)
{
    dsc_hyper hyper;
    dsc_err err;

    assert_true(set(&hyper, "{\"layers\":3,\"preprocessing\":\"none\",\"learning_rate\":0.1}",
                    "config", &err));
    assert_string_equal(field_hyper_encode(&hyper, *state),
                        "{\"learning_rate\":0.1,\"layers\":3,\"preprocessing\":\"none\"}");
    assert_true(set(&hyper, NULL, "config", &err) && set(&hyper, "", "config", &err));
    assert_string_equal(field_hyper_encode(&hyper, *state),
                        "{\"learning_rate\":0.01,\"layers\":2,\"preprocessing\":\"log_sign\"}");
}

static void wrong_parameters_are_named(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where;
    } rows[] = {
        {"{\"rate\":1}", FAULT_UNKNOWN_FIELD, "config.rate"},
        {"{\"learning_rate\":0}", FAULT_INVALID_VALUE, "config.learning_rate"},
        {"{\"layers\":2.5}", FAULT_INVALID_VALUE, "config.layers"},
        {"{\"layers\":\"two\"}", FAULT_INVALID_VALUE, "config.layers"},
        {"{\"layers\":null}", FAULT_INVALID_VALUE, "config.layers"},
        {"{\"layers\":3,\"preprocessing\":\"log\"}", FAULT_INVALID_VALUE, "config.preprocessing"},
        {"{\"layers\":3,\"preprocessing\":1}", FAULT_INVALID_VALUE, "config.preprocessing"},
        {"{\"a\\nb\":1}", FAULT_UNKNOWN_FIELD, "config.a?b"},
        {"[]", FAULT_MALFORMED_JSON, ""},
        {"{", FAULT_MALFORMED_JSON, ""},
        {"{\"layers\":1,\"layers\":1}", FAULT_DUPLICATE_KEY, "layers"},
    };
    dsc_hyper hyper;
    dsc_err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_false(set(&hyper, rows[i].text, "config", &err));
        assert_int_equal(err.code, rows[i].code);
        assert_string_equal(err.where, rows[i].where);
        assert_true(hyper.value[1] == 2); /* nothing was set */
    }
    assert_false(set(&hyper, "{\"rate\":1}", "", &err));
    assert_string_equal(err.where, "rate");
}

static void a_full_arena_gives_no_parameters(void **state)
{
    dsc_arena small;
    dsc_hyper hyper;

    (void)state;
    dsc_arena_init(&small, 8);
    dsc_hyper_init(&hyper, spec);
    assert_null(field_hyper_encode(&hyper, &small));
    assert_null(field_labels_merge("{\"a\":\"1\"}", NULL, &small));
    dsc_arena_release(&small);
}

/* ---- texts, a word or numbers, and what nobody said ---- */

struct order {
    struct field_seen seen;
    struct field_list names;
    struct field_choice weights;
    int64_t steps;
    struct {
        struct field_seen seen;
        double rate;
        bool on;
        int mode;
    } inner;
};

static const struct field inner_fields[] = {
    {.name = "rate",
     .kind = FIELD_REAL,
     .offset = sizeof(struct field_seen),
     .flags = FIELD_OPTIONAL,
     .initial = 0.25},
    {.name = "on",
     .kind = FIELD_BOOL,
     .offset = offsetof(struct order, inner.on) - offsetof(struct order, inner),
     .flags = FIELD_OPTIONAL,
     .initial = 1},
    {.name = "mode",
     .kind = FIELD_WORD,
     .offset = offsetof(struct order, inner.mode) - offsetof(struct order, inner),
     .flags = FIELD_OPTIONAL,
     .initial = 2,
     .words = modes},
    {.name = NULL},
};
static const struct shape inner_shape = {
    .name = "Inner", .size = sizeof(((struct order *)0)->inner), .fields = inner_fields};

static const struct field order_fields[] = {
    {.name = "names",
     .kind = FIELD_STRINGS,
     .offset = offsetof(struct order, names),
     .flags = FIELD_OPTIONAL,
     .min = 1,
     .max = 4,
     .max_items = 2},
    {.name = "weights",
     .kind = FIELD_WORD_OR_REALS,
     .offset = offsetof(struct order, weights),
     .flags = FIELD_OPTIONAL,
     .min = 0,
     .max = 9,
     .max_items = 3,
     .words = modes},
    {.name = "steps",
     .kind = FIELD_INT,
     .offset = offsetof(struct order, steps),
     .flags = FIELD_OPTIONAL,
     .initial = 100},
    {.name = "inner",
     .kind = FIELD_OBJECT,
     .offset = offsetof(struct order, inner),
     .flags = FIELD_OPTIONAL,
     .shape = &inner_shape},
    {.name = NULL},
};
static const struct shape order_shape = {
    .name = "Order", .size = sizeof(struct order), .fields = order_fields};

static bool decode_order(const char *text, struct order *order, dsc_arena *arena, dsc_err *err)
{
    *err = (dsc_err) {.code = DSC_OK};
    return field_decode(&order_shape, text, strlen(text), order, arena, err);
}

static void what_nobody_said_is_initial(void **state)
{
    struct order order;
    dsc_err err;

    assert_true(decode_order("", &order, *state, &err));
    assert_true(order.steps == 100 && order.inner.rate == 0.25 && order.inner.on &&
                order.inner.mode == 2 && order.names.count == 0 && order.weights.word == 0);
    assert_true(decode_order("{\"steps\":0,\"inner\":{\"on\":false}}", &order, *state, &err));
    assert_true(order.steps == 0 && order.inner.rate == 0.25 && !order.inner.on);
    assert_int_equal(order.inner.seen.given, 2); /* a default counts as not given */
}

static void texts_and_choices(void **state)
{
    static const struct {
        const char *text, *where;
    } wrong[] = {
        {"{\"names\":\"a\"}", "names"},         {"{\"names\":[\"a\",1]}", "names[1]"},
        {"{\"names\":[\"\"]}", "names[0]"},     {"{\"names\":[\"a\",\"b\",\"c\"]}", "names"},
        {"{\"weights\":\"none\"}", "weights"},  {"{\"weights\":[1,10]}", "weights[1]"},
        {"{\"weights\":[1,2,3,4]}", "weights"}, {"{\"weights\":5}", "weights"},
    };
    static const char *const right[] = {
        "{\"names\":[\"ab\",\"c\"],\"weights\":[0,2.5]}",
        "{\"names\":[],\"weights\":\"memory\"}",
    };
    struct order order;
    dsc_err err;

    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        struct buf *const out = buf_new(64);
        assert_true(decode_order(right[i], &order, *state, &err));
        assert_true(field_encode(&order_shape, &order, out, &err));
        assert_int_equal(out->len, strlen(right[i]));
        assert_memory_equal(out->data, right[i], out->len);
        buf_drop(out);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(decode_order(wrong[i].text, &order, *state, &err));
        assert_int_equal(err.code, FAULT_INVALID_VALUE);
        assert_string_equal(err.where, wrong[i].where);
    }
}

/* ---- labels ---- */

static void labels_merge(void **state)
{
    static const struct {
        const char *labels, *patch, *merged;
        size_t count;
    } rows[] = {
        {"{\"a\":\"1\"}", "{\"b\":\"2\"}", "{\"a\":\"1\",\"b\":\"2\"}", 2},
        {"{\"b\":\"1\"}", "{\"a\":\"2\",\"b\":\"3\"}", "{\"a\":\"2\",\"b\":\"3\"}", 2},
        {"{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":null,\"c\":null}", "{\"b\":\"2\"}", 1},
        {"{}", "{}", "{}", 0},
        {NULL, "{\"a\":\"1\"}", "{\"a\":\"1\"}", 1},
        {"{\"a\":\"1\"}", NULL, "{\"a\":\"1\"}", 1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *const merged = field_labels_merge(rows[i].labels, rows[i].patch, *state);

        assert_non_null(merged);
        assert_string_equal(merged, rows[i].merged);
        assert_int_equal(field_labels_count(merged), rows[i].count);
    }
    assert_int_equal(field_labels_count(NULL), 0);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

/* ---- a body that is one of several ---- */

struct either {
    struct field_seen seen;
    int mode;
    const char *text;
};

static const struct shape *const branches[] = {&point_shape, &tensor_shape, NULL};

static const struct field either_fields[] = {
    {.name = "mode",
     .kind = FIELD_WORD,
     .offset = offsetof(struct either, mode),
     .flags = FIELD_REQUIRED,
     .words = modes},
    {.name = NULL},
};
static const struct shape either_shape = {.name = "Either",
                                          .size = sizeof(struct either),
                                          .fields = either_fields,
                                          .one_of = branches,
                                          .text = offsetof(struct either, text)};

/* Its own row is checked; the others are for whoever decodes the text that is kept. */
static void one_of_several(void **state)
{
    static const char text[] = " {\"x\": 0.10, \"mode\": \"memory\", \"name\": [1, {}]}";
    static const char again[] = "{\"x\":1,\"x\":2,\"mode\":\"memory\"}";
    struct either out;
    dsc_arena arena;
    dsc_err err = {0};

    (void)state;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    assert_true(field_decode(&either_shape, text, strlen(text), &out, &arena, NULL));
    assert_int_equal(out.mode, 2);
    assert_string_equal(out.text, "{\"mode\":\"memory\",\"name\":[1,{}],\"x\":0.1}");
    assert_false(field_decode(&either_shape, "{\"x\":1}", 7, &out, &arena, &err));
    assert_int_equal(err.code, FAULT_MISSING_FIELD);
    assert_string_equal(err.where, "mode");
    err = (dsc_err) {0};
    assert_false(field_decode(&either_shape, "{\"y\":1}", 7, &out, &arena, &err));
    assert_int_equal(err.code, FAULT_UNKNOWN_FIELD);
    assert_string_equal(err.text, "is not a field here, whatever mode is");
    err = (dsc_err) {0};
    assert_false(field_decode(&either_shape, again, strlen(again), &out, &arena, &err));
    assert_int_equal(err.code, FAULT_DUPLICATE_KEY);
    dsc_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(every_kind_is_decoded),
        WITH_ARENA(an_empty_text_is_an_empty_object),
        WITH_ARENA(bounds_are_included),
        WITH_ARENA(every_mistake_is_named),
        WITH_ARENA(texts_that_are_not_json),
        WITH_ARENA(a_nul_in_the_text_is_malformed),
        WITH_ARENA(depth_has_a_limit),
        WITH_ARENA(a_long_text_is_refused_before_it_is_parsed),
        WITH_ARENA(long_names_are_cut),
        WITH_ARENA(labels_have_limits),
        cmocka_unit_test(a_full_arena_is_a_failure),
        WITH_ARENA(a_parser_without_memory_is_a_failure),
        WITH_ARENA(what_is_decoded_is_encoded_again),
        cmocka_unit_test(absent_null_and_not_finite),
        WITH_ARENA(parameters_are_set),
        cmocka_unit_test(wrong_parameters_are_named),
        cmocka_unit_test(a_full_arena_gives_no_parameters),
        cmocka_unit_test(one_of_several),
        WITH_ARENA(what_nobody_said_is_initial),
        WITH_ARENA(texts_and_choices),
        WITH_ARENA(labels_merge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
