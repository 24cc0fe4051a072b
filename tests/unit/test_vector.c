/* test_vector.c -- taking arrays out of JSON, writing them, and the 16-bit formats */
#include "server/vector.h"
#include "server/fault.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CAP = 4 };

/* A body in memory of exactly its length, so that the sanitizers see a step beyond it. */
struct body {
    char *text;
    size_t len, count;
    bool found, ok;
    float x[CAP];
    dsc_err err;
};

static struct body extract(const char *text)
{
    struct body body = {.len = strlen(text)};

    body.text = malloc(body.len ? body.len : 1);
    assert_non_null(body.text);
    memcpy(body.text, text, body.len);
    body.ok = vector_extract(body.text, &body.len, "gradient", body.x, CAP, &body.count,
                             &body.found, &body.err);
    return body;
}

static void release(struct body *body)
{
    free(body->text);
}

static void arrays_are_taken(void **state)
{
    static const struct {
        const char *text, *rest;
        size_t count;
        float x[CAP];
    } rows[] = {
        {"{\"gradient\":[1,2.5,-3e2],\"step\":17}",
         "{\"gradient\":[],\"step\":17}",
         3,
         {1, 2.5f, -300}},
        {"{\"gradient\":[]}", "{\"gradient\":[]}", 0, {0}},
        {" {\t\"gradient\" : [ \n ] } ", " {\t\"gradient\" : [] } ", 0, {0}},
        {"{ \"gradient\" :\r\n[ 1 , 2\n]\n}", "{ \"gradient\" :\r\n[]\n}", 2, {1, 2}},
        {"{\"gradient\":[1,2,3,4,5,6]}", "{\"gradient\":[]}", 6, {1, 2, 3, 4}},
        {"{\"gradient\":[1e39,-1e39]}", "{\"gradient\":[]}", 2, {INFINITY, -INFINITY}},
        /* what stands in front is skipped, whatever it holds */
        {"{\"a\":\"]}\\\"gradient\\\":[9]\\\\\",\"gradient\":[1]}",
         "{\"a\":\"]}\\\"gradient\\\":[9]\\\\\",\"gradient\":[]}",
         1,
         {1}},
        {"{\"a\":{\"gradient\":[7],\"b\":[[],{\"c\":\"}\"}]},\"gradient\":[1]}",
         "{\"a\":{\"gradient\":[7],\"b\":[[],{\"c\":\"}\"}]},\"gradient\":[]}",
         1,
         {1}},
        {"{\"a\":-1.5e3 ,\"b\":true,\"c\":null,\"gradient\":[1]}",
         "{\"a\":-1.5e3 ,\"b\":true,\"c\":null,\"gradient\":[]}",
         1,
         {1}},
        {"{\"gradien\":[2],\"gradients\":[3],\"\":[4],\"gradient\":[1]}",
         "{\"gradien\":[2],\"gradients\":[3],\"\":[4],\"gradient\":[]}",
         1,
         {1}},
        /* only the first; the second is for the duplicate check */
        {"{\"gradient\":[1],\"gradient\":[2]}", "{\"gradient\":[],\"gradient\":[2]}", 1, {1}},
        /* what is wrong behind it is for field.c */
        {"{\"gradient\":[1]", "{\"gradient\":[]", 1, {1}},
        {"{\"gradient\":[1]]", "{\"gradient\":[]]", 1, {1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct body body = extract(rows[i].text);

        assert_true(body.ok && body.found);
        assert_int_equal(body.count, rows[i].count);
        for (size_t k = 0; k < CAP && k < body.count; k++)
            assert_true(body.x[k] == rows[i].x[k]);
        assert_int_equal(body.len, strlen(rows[i].rest));
        assert_memory_equal(body.text, rows[i].rest, body.len);
        release(&body);
    }
}

/* No array of that name at the top: nothing is changed, and field.c says what is wrong, if anything
 * is. */
static void other_texts_are_left_alone(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "{}",
        "[",
        "[1,2]",
        "[{\"gradient\":[1]}]",
        "17",
        "null",
        "\"gradient\"",
        "{\"",
        "{\"\\",
        "{\"gradient",
        "{\"gradient\"",
        "{\"gradient\":",
        "{\"gradient\": ",
        "{\"gradient\":1}",
        "{\"gradient\":\"[1]\"}",
        "{\"gradient\":{\"0\":1}}",
        "{\"gradient\":null}",
        "{\"step\":17}",
        "{\"gr\\u0061dient\":[1]}",
        "{\"a\":{\"gradient\":[1]}}",
        "{\"a\":[",
        "{\"a\":[}",
        "{\"a\":\"",
        "{\"a\" \"gradient\":[1]}",
        "{\"a\":1 \"gradient\":[1]}",
        "{gradient:[1]}",
        "{,\"gradient\":[1]}",
        "{\"a\":,",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{\"a\":\"\\\",\"gradient\":[1]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct body body = extract(texts[i]);

        assert_true(body.ok);
        assert_false(body.found);
        assert_int_equal(body.count, 0);
        assert_int_equal(body.len, strlen(texts[i]));
        assert_memory_equal(body.text, texts[i], body.len);
        release(&body);
    }
}

static void bad_elements_are_named(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *where, *sentence;
    } rows[] = {
        {"{\"gradient\":[1,\"2\"]}", FAULT_INVALID_VALUE, "gradient[1]", "must be a number"},
        {"{\"gradient\":[[1]]}", FAULT_INVALID_VALUE, "gradient[0]", "must be a number"},
        {"{\"gradient\":[1,2,3,{}]}", FAULT_INVALID_VALUE, "gradient[3]", "must be a number"},
        {"{\"gradient\":[true]}", FAULT_INVALID_VALUE, "gradient[0]", "must be a number"},
        {"{\"gradient\":[1,false]}", FAULT_INVALID_VALUE, "gradient[1]", "must be a number"},
        {"{\"gradient\":[1,2,3,4,5,null]}", FAULT_INVALID_VALUE, "gradient[5]", "must be a number"},
        {"{\"gradient\":[NaN]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 14: a number is expected"},
        {"{\"gradient\":[1,nan]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 16: a number is expected"},
        {"{\"gradient\":[-Infinity]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 14: a number is expected"},
        {"{\"gradient\":[nul]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 14: a number is expected"},
        {"{\"gradient\":[1,\n 01]}", FAULT_MALFORMED_JSON, "",
         "line 2, column 2: a number is expected"},
        {"{\"gradient\":[+1]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 14: a number is expected"},
        {"{\"gradient\":[1,]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 16: a number is expected"},
        {"{\"gradient\":[,1]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 14: a number is expected"},
        {"{\"gradient\":[", FAULT_MALFORMED_JSON, "", "line 1, column 14: the array does not end"},
        {"{\"gradient\":[1,", FAULT_MALFORMED_JSON, "",
         "line 1, column 16: the array does not end"},
        {"{\"gradient\":[1", FAULT_MALFORMED_JSON, "", "line 1, column 15: the array does not end"},
        {"{\"gradient\":[1 2]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 16: ',' or ']' is expected"},
        {"{\"gradient\":[1.5.5]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 17: ',' or ']' is expected"},
        {"{\"gradient\":[0x10]}", FAULT_MALFORMED_JSON, "",
         "line 1, column 15: ',' or ']' is expected"},
        {"{\"gradient\":[1}", FAULT_MALFORMED_JSON, "",
         "line 1, column 15: ',' or ']' is expected"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct body body = extract(rows[i].text);

        assert_false(body.ok);
        assert_int_equal(body.err.code, rows[i].code);
        assert_string_equal(body.err.where, rows[i].where);
        assert_string_equal(body.err.text, rows[i].sentence);
        assert_int_equal(body.len, strlen(rows[i].text));
        release(&body);
    }
}

static void a_nul_is_no_end(void **state)
{
    char text[] = "{\"a\":\0,\"gradient\":[1,\0]}";
    size_t len = sizeof text - 1, count;
    bool found;
    float x;
    dsc_err err = {.code = DSC_OK};

    (void)state;
    assert_true(vector_extract(text, &len, "gradient", &x, 1, &count, &found, &err));
    assert_false(found);
}

/* Nothing recurses: a million brackets are a loop. */
static void depth_costs_no_stack(void **state)
{
    enum { DEPTH = 1000000 };
    static const char head[] = "{\"a\":", tail[] = ",\"gradient\":[1]}";
    size_t len = strlen(head) + 2 * DEPTH + strlen(tail), count;
    char *const text = malloc(len);
    bool found;
    float x = 0;
    dsc_err err = {.code = DSC_OK};

    (void)state;
    memcpy(text, head, strlen(head));
    memset(text + strlen(head), '[', DEPTH);
    memset(text + strlen(head) + DEPTH, ']', DEPTH);
    memcpy(text + len - strlen(tail), tail, strlen(tail));
    assert_true(vector_extract(text, &len, "gradient", &x, 1, &count, &found, &err));
    assert_true(found && count == 1 && x == 1);
    free(text);
}

static void written_vectors_return(void **state)
{
    static const float x[] = {0, -0.0f, 1, -2.5f, FLT_MAX, -FLT_MIN, 0x1p-149f, 0.1f};
    enum { N = sizeof x / sizeof x[0] };
    char *const text = malloc(vector_text_max(N) + 2 * 16);
    float back[N];
    size_t len, count;
    bool found;
    dsc_err err = {.code = DSC_OK};

    (void)state;
    memcpy(text, "{\"update\":", 10);
    len = 10 + vector_write(text + 10, x, N);
    assert_true(len - 10 <= vector_text_max(N));
    text[len++] = '}';
    assert_true(vector_extract(text, &len, "update", back, N, &count, &found, &err));
    assert_int_equal(count, N);
    assert_memory_equal(back, x, sizeof x);
    assert_int_equal(len, strlen("{\"update\":[]}"));
    free(text);
}

static void an_empty_vector_is_two_brackets(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(vector_write(text, NULL, 0), 2);
    assert_memory_equal(text, "[]", 2);
    assert_true(vector_text_max(0) >= 2);
    assert_int_equal(vector_write_one(text, 0.5f), 3);
    assert_memory_equal(text, "0.5", 3);
}

/* The longest numbers there are fill no more than what was asked for. */
static void the_worst_vector_fits(void **state)
{
    enum { N = 1000 };
    char *const text = malloc(vector_text_max(N));
    float x[N];

    (void)state;
    for (size_t i = 0; i < N; i++)
        x[i] = -1.1754944e-38f;
    assert_true(vector_write(text, x, N) <= vector_text_max(N));
    free(text);
}

/* ---- 16 bits ---- */

/* What 16 bits mean, by arithmetic on doubles. */
static double f16_value(unsigned half)
{
    const int exponent = (int)(half >> 10 & 31);
    const double fraction = half & 1023, sign = half & 0x8000 ? -1 : 1;

    if (exponent == 31)
        return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static float from_one(unsigned bits, enum vector_dtype dtype)
{
    const uint16_t half = (uint16_t)bits;
    float x;

    vector_from_bytes(&x, &half, 1, dtype);
    return x;
}

static unsigned to_one(float x, enum vector_dtype dtype)
{
    uint16_t half;

    vector_to_bytes(&half, &x, 1, dtype);
    return half;
}

static void every_f16_there_and_back(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x10000; half++) {
        const float x = from_one(half, VECTOR_F16);

        if (isnan(f16_value(half))) {
            assert_true(isnan(x));
            assert_true(isnan(from_one(to_one(x, VECTOR_F16), VECTOR_F16)));
            continue;
        }
        assert_true((double)x == f16_value(half));
        assert_int_equal(signbit(x) != 0, half >> 15);
        assert_int_equal(to_one(x, VECTOR_F16), half);
    }
}

/* Between two neighbours: the middle goes to the even one, what is beside it to its side. */
static void f16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x7c00; half++) {
        const double above = half == 0x7bff ? 65536 : f16_value(half + 1);
        const float middle = (float)((f16_value(half) + above) / 2);
        const unsigned even = half & 1 ? half + 1 : half;

        assert_int_equal(to_one(middle, VECTOR_F16), even);
        assert_int_equal(to_one(-middle, VECTOR_F16), even | 0x8000);
        assert_int_equal(to_one(nextafterf(middle, 0), VECTOR_F16), half);
        assert_int_equal(to_one(nextafterf(middle, INFINITY), VECTOR_F16), half + 1);
    }
    assert_int_equal(to_one(FLT_MAX, VECTOR_F16), 0x7c00);
    assert_int_equal(to_one(FLT_MIN, VECTOR_F16), 0);
    assert_int_equal(to_one(-0x1p-149f, VECTOR_F16), 0x8000);
}

static void every_bf16_there_and_back(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x10000; half++) {
        const uint32_t wide = (uint32_t)half << 16;
        const float x = from_one(half, VECTOR_BF16);

        assert_memory_equal(&x, &wide, sizeof wide);
        if (isnan(x))
            assert_true(isnan(from_one(to_one(x, VECTOR_BF16), VECTOR_BF16)));
        else
            assert_int_equal(to_one(x, VECTOR_BF16), half);
    }
}

static void bf16_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (unsigned half = 0; half < 0x7f80; half++) {
        uint32_t bits = (uint32_t)half << 16 | 0x8000;
        float x;

        memcpy(&x, &bits, sizeof x);
        assert_int_equal(to_one(x, VECTOR_BF16), half + (half & 1));
        bits--;
        memcpy(&x, &bits, sizeof x);
        assert_int_equal(to_one(x, VECTOR_BF16), half);
        bits += 2;
        memcpy(&x, &bits, sizeof x);
        assert_int_equal(to_one(x, VECTOR_BF16), half + 1);
    }
}

static void the_largest_of_each_format(void **state)
{
    (void)state;
    for (int d = VECTOR_F32; vector_dtypes[d]; d++) {
        const enum vector_dtype dtype = (enum vector_dtype)d;
        const float max = (float)vector_dtype_max(dtype), over = nextafterf(max, INFINITY);
        unsigned char bytes[8];
        float back[2];

        assert_true((double)max == vector_dtype_max(dtype));
        vector_to_bytes(bytes, (const float[]) {max, over}, 2, dtype);
        vector_from_bytes(back, bytes, 2, dtype);
        assert_true(isfinite(back[0]));
        assert_true(isinf(back[1]));
    }
}

/* Bytes that begin anywhere, and float32 in place. */
static void bytes_need_no_alignment(void **state)
{
    unsigned char bytes[3 * 4 + 1];
    const float x[3] = {1, -0.5f, 3.25f};
    float back[3];

    (void)state;
    for (int d = VECTOR_F32; vector_dtypes[d]; d++) {
        vector_to_bytes(bytes + 1, x, 3, (enum vector_dtype)d);
        vector_from_bytes(back, bytes + 1, 3, (enum vector_dtype)d);
        assert_memory_equal(back, x, sizeof x);
    }
    vector_from_bytes(back, back, 3, VECTOR_F32);
    vector_to_bytes(back, back, 3, VECTOR_F32);
    assert_memory_equal(back, x, sizeof x);
    assert_int_equal(vector_dtype_bytes(VECTOR_F32), 4);
    assert_int_equal(vector_dtype_bytes(VECTOR_F16), 2);
    assert_int_equal(vector_dtype_bytes(VECTOR_BF16), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_taken),
        cmocka_unit_test(other_texts_are_left_alone),
        cmocka_unit_test(bad_elements_are_named),
        cmocka_unit_test(a_nul_is_no_end),
        cmocka_unit_test(depth_costs_no_stack),
        cmocka_unit_test(written_vectors_return),
        cmocka_unit_test(an_empty_vector_is_two_brackets),
        cmocka_unit_test(the_worst_vector_fits),
        cmocka_unit_test(every_f16_there_and_back),
        cmocka_unit_test(f16_rounds_to_nearest_even),
        cmocka_unit_test(every_bf16_there_and_back),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(the_largest_of_each_format),
        cmocka_unit_test(bytes_need_no_alignment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
