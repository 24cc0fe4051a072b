/* test_decimal.c -- float32 from and to text, with strtof and printf as referees */
#include "server/decimal.h"
#include "server/decimal_pow10.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* splitmix64: a fixed sequence, so that a failure comes again. */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- the table ---- */

/* Bits of 10^45 and of 2^200 / 10^31 fit here; [0] is lowest. */
enum { LIMBS = 8 };

static void big_multiply(uint32_t big[LIMBS], uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)big[i] * factor;
        big[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_int_equal(carry, 0);
}

/* big /= divisor; is there a rest? */
static bool big_divide(uint32_t big[LIMBS], uint32_t divisor)
{
    uint64_t rest = 0;

    for (int i = LIMBS - 1; i >= 0; i--) {
        rest = rest << 32 | big[i];
        big[i] = (uint32_t)(rest / divisor);
        rest %= divisor;
    }
    return rest != 0;
}

/* The top 64 bits, rounded up when anything is below them or was lost before. */
static uint64_t big_top(const uint32_t big[LIMBS], bool lost)
{
    uint64_t top = 0;
    int bit = 32 * LIMBS - 1;

    while (!(big[bit / 32] >> bit % 32 & 1))
        bit--;
    for (int i = 0; i < 64; i++, bit--)
        top = top << 1 | (bit >= 0 && (big[bit / 32] >> bit % 32 & 1));
    for (; bit >= 0; bit--)
        lost |= big[bit / 32] >> bit % 32 & 1;
    return top + lost;
}

static void every_power_is_computed_again(void **state)
{
    (void)state;
    for (int k = POW10_BITS_MIN; k <= POW10_BITS_MAX; k++) {
        uint32_t big[LIMBS] = {0};
        bool lost = false;

        big[k < 0 ? LIMBS - 1 : 0] = k < 0 ? UINT32_C(1) << 31 : 1;
        for (int i = 0; i < k; i++)
            big_multiply(big, 10);
        for (int i = 0; i > k; i--)
            lost |= big_divide(big, 10);
        assert_true(pow10_bits[k - POW10_BITS_MIN] == big_top(big, lost));
    }
}

static void doubles_are_the_nearest(void **state)
{
    char text[16];

    (void)state;
    for (int k = POW10_REAL_MIN; k <= POW10_REAL_MAX; k++) {
        (void)snprintf(text, sizeof text, "1e%d", k);
        assert_true(pow10_real[k - POW10_REAL_MIN] == strtod(text, NULL));
    }
}

/* ---- reading ---- */

static void check_read(const char *text)
{
    const size_t len = strlen(text);
    float x = 7;

    if (decimal_read(text, text + len, &x) != text + len ||
        bits_of(x) != bits_of(strtof(text, NULL)))
        fail_msg("%s read as %.9g (%08x), strtof says %08x", text, (double)x, bits_of(x),
                 bits_of(strtof(text, NULL)));
}

static void known_hard_numbers(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "0.0",
        "-0.000e5",
        "0e999999999999999999999",
        "1",
        "-1",
        "0.1",
        "1e0",
        "1E+2",
        "1e-2",
        /* middles of two float32, and their neighbours */
        "16777217",
        "16777217.0000000000000000000000001",
        "16777216.9999999999999999999999999",
        "16777219",
        "1.00000005960464477539062500",
        "1.00000005960464477539062501",
        "1.00000005960464477539062499",
        "0.500000029802322387695312500000000000000000000000000001",
        "9007199791611904",
        "9007199791611905",
        "9007199791611903",
        "8589973e9",
        "1.000000059604644775390625e0",
        /* the largest, what still rounds to it, and what does not */
        "3.4028234663852886e38",
        "3.4028235677973366e38",
        "3.4028235677973365e38",
        "340282356779733661637539395458142568447",
        "340282356779733661637539395458142568448",
        "1e39",
        "-1e400",
        "1e999999999999999999999",
        "123456789012345678901234567890e10",
        /* the smallest normal, subnormals, and what rounds to 0 */
        "1.1754943508222875e-38",
        "1.17549429e-38",
        "1.1754942807573643e-38",
        "1.1754942106924411e-38",
        "1.401298464324817e-45",
        "7.006492321624085e-46",
        "7.0064923216240853e-46",
        "7.0064923216240854e-46",
        "2.1019476964872256e-45",
        "1e-46",
        "1e-999999999999999999999",
        /* more digits than 64 bits hold, with the decision at the very end */
        "18446744073709551615",
        "18446744073709551616",
        "99999999999999999999",
        "9999999999999999999",
        "0.00000000000000000000000000000000000000000000001e46",
        "123456789.123456789123456789",
        "100000000000000000000000000000000000000e-38",
        "0.1234567890123456789012345678901234567890e-30",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_read(texts[i]);
}

/* The middle between two subnormals, all 105 digits and more, then a hair above and below. */
static void middles_with_all_their_digits(void **state)
{
    char text[400];

    (void)state;
    for (uint32_t bits = 0; bits < 0x7f7fffff; bits += 0x00234567) {
        const double middle = ((double)float_of(bits) + (double)float_of(bits + 1)) / 2;
        const int len = snprintf(text, sizeof text, "%.200f", middle);

        check_read(text);
        text[len] = '1';
        text[len + 1] = '\0';
        check_read(text);
    }
}

static void long_texts_are_exact(void **state)
{
    enum { ZEROS = 100000 };
    char *const text = malloc(2 * ZEROS + 64);
    float x;

    (void)state;
    /* 0.000...1e100001 = 1, and 1000...0e-100000 = 1 */
    (void)sprintf(text, "0.%0*de%d", ZEROS, 1, ZEROS);
    assert_non_null(decimal_read(text, text + strlen(text), &x));
    assert_true(x == 1);
    (void)sprintf(text, "1%0*de-%d", ZEROS, 0, ZEROS);
    assert_non_null(decimal_read(text, text + strlen(text), &x));
    assert_true(x == 1);
    /* 16777217.000...01 is above the middle */
    (void)sprintf(text, "16777217.%0*d", ZEROS, 1);
    assert_non_null(decimal_read(text, text + strlen(text), &x));
    assert_true(x == 16777218);
    free(text);
}

static void random_texts_agree_with_strtof(void **state)
{
    uint64_t seed = 1;
    char text[64];

    (void)state;
    for (int i = 0; i < 300000; i++) {
        const uint64_t r = next(&seed), digits = next(&seed) >> (r & 63);
        const int exponent = (int)(r >> 8 & 127) - 80, point = (int)(r >> 16 & 15);

        if (i % 3 == 0)
            (void)snprintf(text, sizeof text, "%s%llue%d", r >> 63 ? "-" : "",
                           (unsigned long long)digits, exponent);
        else if (i % 3 == 1)
            (void)snprintf(text, sizeof text, "%.*g", 1 + (int)(r >> 20 & 31),
                           (double)float_of((uint32_t)digits & 0xbf7fffff));
        else
            (void)snprintf(text, sizeof text, "%.*f", point, (double)digits * 0x1p-40);
        check_read(text);
    }
}

/* Every text that the grammar refuses, and where reading stops in those that go on. */
static void the_grammar_is_that_of_json(void **state)
{
    static const char *const bad[] = {"",    "-",   "+1",    "01",       "-01",       "00",   ".5",
                                      "-.5", "1.",  "1.e5",  "1e",       "1e+",       "1e-",  "1E",
                                      "e5",  "NaN", "nan",   "Infinity", "-Infinity", "-inf", "--1",
                                      "x",   " 1",  "\"1\"", "- 1"};
    static const struct {
        const char *text;
        size_t used;
    } partial[] = {{"0x10", 1},  {"1,2", 1}, {"1.5]", 3}, {"1e5e5", 3},
                   {"1.5.5", 3}, {"1-1", 1}, {"0 1", 1}};
    float x;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (decimal_read(bad[i], bad[i] + strlen(bad[i]), &x))
            fail_msg("\"%s\" was taken", bad[i]);
    for (size_t i = 0; i < sizeof partial / sizeof partial[0]; i++) {
        const char *const text = partial[i].text;

        assert_ptr_equal(decimal_read(text, text + strlen(text), &x), text + partial[i].used);
    }
}

/* Nothing behind `end` is looked at: here it would make another number. */
static void the_end_is_respected(void **state)
{
    static const char text[] = "-12.5e-17";
    float x;

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        char *const copy = malloc(len + 1); /* the sanitizers guard what is behind */

        memcpy(copy, text, len);
        copy[len] = '\0';
        (void)decimal_read(copy, copy + len, &x);
        free(copy);
    }
    assert_non_null(decimal_read(text, text + 3, &x));
    assert_true(x == -12);
    assert_null(decimal_read(text, text + 4, &x));
}

/* ---- writing ---- */

static int significant_digits(const char *text)
{
    int count = 0, zeros = 0;

    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (count == 0 && *text == '0'))
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

/* printf rounds to the nearest text of so many digits, so if any such text reads back, this one
 * does; but for a power of two, whose interval is lopsided, there may be a shorter one. */
static int digits_needed(float x)
{
    char text[32];

    for (int digits = 1; digits < 9; digits++) {
        (void)snprintf(text, sizeof text, "%.*e", digits - 1, (double)x);
        if (bits_of(strtof(text, NULL)) == bits_of(x))
            return digits;
    }
    return 9;
}

static void check_write(float x)
{
    char text[DECIMAL_MAX + 1], nearest[32];
    const size_t len = decimal_write(text, x);
    const bool power_of_two = (bits_of(x) & 0x7fffff) == 0;
    float back = 0;
    int digits;

    assert_true(len <= DECIMAL_MAX);
    text[len] = '\0';
    if (bits_of(strtof(text, NULL)) != bits_of(x))
        fail_msg("%08x was written as %s, which is another number", bits_of(x), text);
    assert_ptr_equal(decimal_read(text, text + len, &back), text + len);
    assert_int_equal(bits_of(back), bits_of(x));
    if (x == 0 || power_of_two)
        return;
    digits = significant_digits(text);
    if (digits > digits_needed(x))
        fail_msg("%08x was written as %s, but %d digits are enough", bits_of(x), text,
                 digits_needed(x));
    (void)snprintf(nearest, sizeof nearest, "%.*e", digits - 1, (double)x);
    if (strtod(nearest, NULL) != strtod(text, NULL))
        fail_msg("%08x was written as %s, but %s is nearer", bits_of(x), text, nearest);
}

static void edges_of_every_exponent(void **state)
{
    (void)state;
    for (uint32_t exponent = 0; exponent < 255; exponent++)
        for (uint32_t i = 0; i < 64; i++) {
            check_write(float_of(exponent << 23 | i));
            check_write(float_of(exponent << 23 | (0x7fffff - i)));
            check_write(float_of(UINT32_C(1) << 31 | exponent << 23 | (UINT32_C(1) << i % 23)));
        }
}

static void random_bits(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int i = 0; i < 500000; i++) {
        const float x = float_of((uint32_t)next(&seed));

        if (isfinite(x))
            check_write(x);
    }
}

/* Many more, without printf: read back by decimal_read, which the tests above hold to strtof. */
static void random_bits_return(void **state)
{
    uint64_t seed = 3;
    char text[DECIMAL_MAX];
    float back;

    (void)state;
    for (int i = 0; i < 2000000; i++) {
        const uint32_t bits = (uint32_t)next(&seed);
        const float x = float_of(bits);

        if (!isfinite(x))
            continue;
        if (!decimal_read(text, text + decimal_write(text, x), &back) || bits_of(back) != bits)
            fail_msg("%08x did not return", bits);
    }
}

static void the_notation(void **state)
{
    static const struct {
        float x;
        const char *text;
    } rows[] = {
        {0.0f, "0"},
        {-0.0f, "-0"},
        {1, "1"},
        {-1, "-1"},
        {0.1f, "0.1"},
        {-2.5f, "-2.5"},
        {10, "10"},
        {0.3f, "0.3"},
        {100, "100"},
        {16777216, "16777216"},
        {123456790.0f, "123456790"},
        {999999940.0f, "999999940"},
        {1e9f, "1e9"},
        {1.5e9f, "1.5e9"},
        {0.0001f, "0.0001"},
        {-0.00012345679f, "-0.00012345679"},
        {0.00001f, "1e-5"},
        {1.25e-5f, "1.25e-5"},
        {1e-7f, "1e-7"},
        {FLT_MAX, "3.4028235e38"},
        {-FLT_MAX, "-3.4028235e38"},
        {FLT_MIN, "1.1754944e-38"},
        {0x1p-149f, "1e-45"},
        {3.1415927f, "3.1415927"},
        {1234.5f, "1234.5"},
        {8388608.5f, "8388608"},
        {8388607.5f, "8388607.5"},
        {33554432, "33554432"},
        {0x1p-103f, "9.8607613e-32"},
    };
    char text[DECIMAL_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        text[decimal_write(text, rows[i].x)] = '\0';
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_power_is_computed_again),
        cmocka_unit_test(doubles_are_the_nearest),
        cmocka_unit_test(known_hard_numbers),
        cmocka_unit_test(middles_with_all_their_digits),
        cmocka_unit_test(long_texts_are_exact),
        cmocka_unit_test(random_texts_agree_with_strtof),
        cmocka_unit_test(the_grammar_is_that_of_json),
        cmocka_unit_test(the_end_is_respected),
        cmocka_unit_test(edges_of_every_exponent),
        cmocka_unit_test(random_bits),
        cmocka_unit_test(random_bits_return),
        cmocka_unit_test(the_notation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
