/* fuzz_vector.c -- the scanner against strtof and Jansson, the writer against the scanner
 *
 * Every input is taken three ways: as a number, as a body, and as the bits of float32 to write.
 * Inputs are copied to memory of exactly their length, so that the sanitizers see a step beyond it.
 */
#include "server/vector.h"
#include "server/decimal.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool promise)
{
    if (!promise)
        abort();
}

static char *copy_of(const uint8_t *data, size_t size)
{
    char *const copy = malloc(size ? size : 1);

    check(copy != NULL);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* What decimal_read takes, strtof takes whole, with the same bits. */
static void as_number(const uint8_t *data, size_t size)
{
    char *const text = copy_of(data, size), *whole = NULL, *stop = NULL;
    float x = 0;
    const char *const behind = decimal_read(text, text + size, &x);

    if (behind) {
        whole = strndup(text, (size_t)(behind - text));
        check(whole && bits_of(strtof(whole, &stop)) == bits_of(x) && *stop == '\0');
    }
    free(whole);
    free(text);
}

/* Of text that is JSON: exactly the numbers are taken, and what is left is JSON with an empty
 * array. */
static void check_rest(const json_t *before, const char *rest, size_t len, size_t count, bool found)
{
    const json_t *const array = json_object_get(before, "gradient");
    json_t *after = json_loadb(rest, len, JSON_REJECT_DUPLICATES, NULL);

    check(after != NULL);
    if (found) {
        check(json_array_size(array) == count);
        check(json_is_array(json_object_get(after, "gradient")));
        check(json_array_size(json_object_get(after, "gradient")) == 0);
        (void)json_object_del(after, "gradient");
        check(json_object_size(after) + 1 == json_object_size(before));
    } else
        check(json_equal(before, after));
    json_decref(after);
}

static void as_body(const uint8_t *data, size_t size)
{
    json_t *const before = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    char *const text = copy_of(data, size);
    float x[16];
    size_t len = size, count = 0;
    bool found = false;
    dsc_err err = {.code = DSC_OK};

    if (vector_extract(text, &len, "gradient", x, 16, &count, &found, &err)) {
        check(len <= size && (found || count == 0));
        if (before)
            check_rest(before, text, len, count, found);
    } else
        check(err.code != DSC_OK && len == size && (!before || err.where[0] != '\0'));
    free(text);
    json_decref(before);
}

static void as_floats(const uint8_t *data, size_t size)
{
    const size_t n = size / sizeof(float);
    char *const text = malloc(vector_text_max(n));
    const char *p = text;
    float back;

    check(text != NULL);
    for (size_t i = 0; i < n; i++) {
        float x;

        memcpy(&x, data + i * sizeof x, sizeof x);
        if (!isfinite(x))
            continue;
        p = text + vector_write(text, &x, 1);
        check(decimal_read(text + 1, p, &back) == p - 1 && bits_of(back) == bits_of(x));
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Jansson drops a NUL behind a number, so it is no referee there. */
    if (size > 0 && memchr(data, '\0', size) == NULL)
        as_body(data, size);
    as_number(data, size);
    as_floats(data, size);
    return 0;
}
