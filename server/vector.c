/* vector.c -- long vectors of numbers as text and as bytes
 *
 * The body {"gradient": [...], "step": 17} is two things: a vector of up to millions of numbers,
 * and a small control message. vector_extract takes the first out of the text where it stands and
 * leaves [] in its place; field.c then reads and checks the second as it does every other body. So
 * this file is the judge of the array and of nothing else: whatever else is wrong with the text, it
 * stops looking and leaves the verdict, and the sentence, to field.c. That is why skipping a value
 * below is so careless: it only has to stay inside the text, end, and agree with a JSON parser
 * where the text is valid.
 *
 * Nothing recurses, so depth costs nothing here; field.c applies the limit. A name that is spelled
 * with escapes ("gr\u0061dient") is not found; field.c, which knows spelled-out names, refuses the
 * array then.
 *
 * Held to account by. tests/unit/test_vector.c, tests/fuzz/fuzz_vector.c (a JSON parser as
 * referee). */
#include "vector.h"
#include "decimal.h"
#include "fault.h"

#include <assert.h>
#include <float.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the wire and the files are little-endian");

/* ---- finding the array ---- */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* From an opening quote to behind the closing one, or end. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && ++p == end)
            return end;
    return p < end ? p + 1 : end;
}

/* A number or a word, or what was meant as one. */
static const char *skip_scalar(const char *p, const char *end)
{
    while (p < end && !strchr(",]} \t\n\r", *p)) /* a NUL stops it too: strchr finds that */
        p++;
    return p;
}

/* Behind the bracket that closes the one at p, whatever kind of bracket each is, or end. */
static const char *skip_nested(const char *p, const char *end)
{
    size_t depth = 0;

    while (p < end) {
        if (*p == '"') {
            p = skip_string(p, end);
            continue;
        }
        if (*p == '[' || *p == '{')
            depth++;
        else if ((*p == ']' || *p == '}') && --depth == 0)
            return p + 1;
        p++;
    }
    return end;
}

static const char *skip_value(const char *p, const char *end)
{
    if (p < end && *p == '"')
        return skip_string(p, end);
    if (p < end && (*p == '[' || *p == '{'))
        return skip_nested(p, end);
    return skip_scalar(p, end);
}

/* Is the string from its quote at p to `behind` spelled exactly `name`? */
static bool is_name(const char *p, const char *behind, const char *name)
{
    const size_t len = strlen(name);

    return (size_t)(behind - p) == len + 2 && behind[-1] == '"' && memcmp(p + 1, name, len) == 0;
}

/* The '[' of the first array that is a member `name` of the top-level object; NULL if there is
 * none. */
static const char *find_array(const char *text, const char *end, const char *name)
{
    const char *p = skip_space(text, end);

    if (p == end || *p != '{')
        return NULL;
    do {
        const char *const key = skip_space(p + 1, end);
        const char *colon;

        if (key == end || *key != '"')
            return NULL;
        p = skip_string(key, end);
        colon = skip_space(p, end);
        if (colon == end || *colon != ':')
            return NULL;
        const char *const value = skip_space(colon + 1, end);

        if (is_name(key, p, name))
            return value < end && *value == '[' ? value : NULL;
        p = skip_space(skip_value(value, end), end);
    } while (p < end && *p == ',');
    return NULL;
}

/* ---- reading the array ---- */

static bool begins_with(const char *p, const char *end, const char *word)
{
    const size_t len = strlen(word);

    return (size_t)(end - p) >= len && memcmp(p, word, len) == 0;
}

static bool begins_other_value(const char *p, const char *end)
{
    return p < end && (strchr("\"[{", *p) != NULL || begins_with(p, end, "true") ||
                       begins_with(p, end, "false") || begins_with(p, end, "null"));
}

static bool fail_syntax(const char *text, const char *at, const char *what, dsc_err *err)
{
    size_t line = 1, column = 1;

    for (; text < at; text++) {
        column = *text == '\n' ? 1 : column + 1;
        line += *text == '\n';
    }
    return dsc_fail(err, FAULT_MALFORMED_JSON, NULL, "line %zu, column %zu: %s", line, column,
                    what);
}

static bool fail_element(const char *text, const char *at, const char *end, const char *name,
                         size_t index, dsc_err *err)
{
    char where[sizeof err->where];

    if (!begins_other_value(at, end))
        return fail_syntax(text, at, at == end ? "the array does not end" : "a number is expected",
                           err);
    (void)snprintf(where, sizeof where, "%.40s[%zu]", name, index);
    return dsc_fail(err, FAULT_INVALID_VALUE, where, "must be a number");
}

/* Numbers from behind the '[' at open; *close is behind the ']'. */
static bool read_array(const char *text, const char *open, const char *end, const char *name,
                       float *out, size_t cap, size_t *count, const char **close, dsc_err *err)
{
    const char *p = skip_space(open + 1, end);
    float x;

    *count = 0;
    if (p < end && *p == ']') {
        *close = p + 1;
        return true;
    }
    for (;; p = skip_space(p + 1, end)) {
        const char *const behind = decimal_read(p, end, &x);

        if (!behind)
            return fail_element(text, p, end, name, *count, err);
        if (*count < cap)
            out[*count] = x;
        ++*count;
        p = skip_space(behind, end);
        if (p < end && *p == ',')
            continue;
        if (p == end || *p != ']')
            return fail_syntax(text, p,
                               p == end ? "the array does not end" : "',' or ']' is expected", err);
        *close = p + 1;
        return true;
    }
}

/* Leave [] where open..close was. */
static void cut(char *text, size_t *len, size_t open, size_t close)
{
    assert(close >= open + 2 && close <= *len);
    text[open + 1] = ']';
    memmove(text + open + 2, text + close, *len - close);
    *len -= close - (open + 2);
}

bool vector_extract(char *text, size_t *len, const char *name, float *out, size_t cap,
                    size_t *count, bool *found, dsc_err *err)
{
    const char *const end = text + *len;
    const char *const open = find_array(text, end, name);
    const char *close = NULL;

    *count = 0;
    *found = open != NULL;
    if (!open)
        return true;
    if (!read_array(text, open, end, name, out, cap, count, &close, err))
        return false;
    cut(text, len, (size_t)(open - text), (size_t)(close - text));
    return true;
}

/* ---- writing ---- */

size_t vector_text_max(size_t n)
{
    assert(n < SIZE_MAX / (DECIMAL_MAX + 1) - 2);
    return 2 + n * (DECIMAL_MAX + 1);
}

size_t vector_write(char *text, const float *x, size_t n)
{
    char *out = text;

    *out++ = '[';
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            *out++ = ',';
        out += decimal_write(out, x[i]);
    }
    *out++ = ']';
    return (size_t)(out - text);
}

size_t vector_write_one(char *text, float x)
{
    /* decimal_write writes beyond what it returns; here nobody promised it room for that. */
    char whole[DECIMAL_MAX];
    const size_t len = decimal_write(whole, x);

    memcpy(text, whole, len);
    return len;
}

/* ---- 16 bits ---- */

const char *const vector_dtypes[] = {"F32", "F16", "BF16", NULL};

size_t vector_dtype_bytes(enum vector_dtype dtype)
{
    return dtype == VECTOR_F32 ? 4 : 2;
}

double vector_dtype_max(enum vector_dtype dtype)
{
    /* The last float32 before the middle between the largest number and the one that would follow
     * it. */
    static const double max[] = {
        [VECTOR_F32] = FLT_MAX, [VECTOR_F16] = 0x1.ffdffep+15, [VECTOR_BF16] = 0x1.fefffep+127};

    return max[dtype];
}

static uint32_t float_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float bits_float(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* bits / 2^drop, nearest, ties to even. A carry into the exponent is what rounding up there should
 * do. */
static uint32_t round_even(uint32_t bits, unsigned drop)
{
    const uint32_t half = UINT32_C(1) << (drop - 1);

    return (bits + half - 1 + (bits >> drop & 1)) >> drop;
}

/* F16 has 5 bits of exponent and 10 of fraction, float32 has 8 and 23: the exponents differ by 112.
 */
enum { F16_SHIFT = 13, F16_REBIAS = 112 };

static uint16_t f16_from_float(float x)
{
    const uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    const unsigned biased = size >> 23;

    if (size > 0x7f800000) /* NaN: stay one, quietly, with what fits of the payload */
        return (uint16_t)(sign | 0x7e00 | (size >> F16_SHIFT & 0x1ff));
    if (biased > F16_REBIAS + 30) /* from 65536 on */
        return (uint16_t)(sign | 0x7c00);
    if (biased > F16_REBIAS)
        return (uint16_t)(sign | round_even(size - ((uint32_t)F16_REBIAS << 23), F16_SHIFT));
    if (biased < F16_REBIAS - 10) /* below half of the smallest subnormal, 2^-25 */
        return (uint16_t)sign;
    return (uint16_t)(sign | round_even((size & 0x7fffff) | 0x800000,
                                        F16_SHIFT + 1 + F16_REBIAS - biased));
}

static float f16_to_float(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, size = half & 0x7fff;

    if (size >= 0x7c00) /* infinity and NaN */
        return bits_float(sign | 0x7f800000 | size << F16_SHIFT);
    if (size >= 0x0400)
        return bits_float(sign | ((size << F16_SHIFT) + ((uint32_t)F16_REBIAS << 23)));
    return bits_float(sign | float_bits((float)size * 0x1p-24f)); /* subnormal: exact in float32 */
}

static uint16_t bf16_from_float(float x)
{
    const uint32_t bits = float_bits(x);

    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)round_even(bits, 16);
}

/* One number at a time through memcpy, because a body's bytes need not be aligned. */
static uint16_t load16(const unsigned char *bytes, size_t i)
{
    uint16_t value;

    memcpy(&value, bytes + 2 * i, sizeof value);
    return value;
}

static void store16(unsigned char *bytes, size_t i, uint16_t value)
{
    memcpy(bytes + 2 * i, &value, sizeof value);
}

void vector_from_bytes(float *x, const void *bytes, size_t n, enum vector_dtype dtype)
{
    if (dtype == VECTOR_F32 && n > 0)
        memmove(x, bytes, n * sizeof *x);
    if (dtype == VECTOR_F16)
        for (size_t i = 0; i < n; i++)
            x[i] = f16_to_float(load16(bytes, i));
    if (dtype == VECTOR_BF16)
        for (size_t i = 0; i < n; i++)
            x[i] = bits_float((uint32_t)load16(bytes, i) << 16);
}

void vector_to_bytes(void *bytes, const float *x, size_t n, enum vector_dtype dtype)
{
    if (dtype == VECTOR_F32 && n > 0)
        memmove(bytes, x, n * sizeof *x);
    if (dtype == VECTOR_F16)
        for (size_t i = 0; i < n; i++)
            store16(bytes, i, f16_from_float(x[i]));
    if (dtype == VECTOR_BF16)
        for (size_t i = 0; i < n; i++)
            store16(bytes, i, bf16_from_float(x[i]));
}
