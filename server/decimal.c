/* decimal.c -- one float32 from and to decimal text
 *
 * What it is for. A session of a million coordinates sends and receives a million numbers a step.
 * strtof and printf take 60 and 300 ns for each, more than the optimizer itself; this file takes
 * about 15 and 30.
 *
 * Reading. A number is w * 10^k, w its digits without the point. When w has at most 19 digits it
 * fits 64 bits, and with u = 2^-53
 *
 *     d = (double)w * (10^k as a double)       three roundings: |d - w * 10^k| <= ((1 + u)^3 - 1) d
 *
 * which is less than 3.01 units of d's last place. d itself is not the answer, nor is (float)d
 * always: to round twice is wrong when the first rounding lands on, or hops over, the middle of two
 * float32. But that can happen only if such a middle lies within the error. d has 29 bits more than
 * a float32, the middle is where they read 1 0000...0, so if they differ from that pattern by more
 * than MARGIN = 4 units, every number within the error rounds to the same float32 as d: the answer
 * is proven right. That is nearly always (9 of 2^29 random numbers fail). The rest, longer digits
 * and subnormals go to strtof, which is exact. Just below a power of two the units are half as
 * large, but there those 29 bits are near 0 or 2^29, far from the middle.
 *
 * strtof gets a copy whose length is bounded: the middle of two float32 has at most 113 significant
 * digits, so of more than DIGITS_MAX only "and then something" can matter, and one digit says that.
 * The copy has no decimal point, so the locale has no say.
 *
 * Writing. x = c * 2^q may be written as any decimal in its rounding interval
 *
 *     ( (c - 1/2) 2^q, (c + 1/2) 2^q )         ends included when c is even: ties go there;
 *                                              below a power of two the left half is a quarter
 *
 * Schubfach takes the k for which 10^k <= length of the interval < 10^(k+1). Then at most one
 * multiple of 10^(k+1) lies inside, and if so it is the shortest; otherwise one or two multiples of
 * 10^k do, and the nearer is the answer. All is compared on quarters of 10^k: c * 4 and its two
 * neighbours, times a 64-bit power of ten, kept to 32 bits whose last bit is "and something" (round
 * to odd), which is enough to compare with any integer.
 *
 * Sources. R. Giulietti, "The Schubfach way to render doubles", 2020/2022, section 9 and its
 * remarks on float. The reading is interval arithmetic as in W. Clinger, "How to read floating
 * point numbers accurately", 1990, with the error bound above instead of his.
 *
 * Held to account by. tests/unit/test_decimal.c (tables recomputed, strtof and printf as referees)
 * and tests/fuzz/fuzz_vector.c. Once, every positive float32 was written, compared with
 * std::to_chars of GCC 12, and read back. */
#include "decimal.h"
#include "decimal_pow10.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "eight digits are taken as one number");

/* ---- reading ---- */

enum {
    WORD_DIGITS = 19, /* that always fit 64 bits                              */
    DIGITS_MAX = 120, /* that strtof sees; see the essay                      */
    EXTRA_BITS = 29,  /* of a double's fraction behind a float32's            */
    MARGIN = 4,       /* units of a double's last place; the error is below 3.01 */
};

/* More than any text in memory can shift by its digits, and far from overflow of the sum. */
#define EXPONENT_MAX INT64_C(1000000000000000)

/* A number taken apart; its value is the digits of digits..mantissa_end, read as one integer, times
 * 10^exponent. */
struct parts {
    bool negative;
    uint64_t word;                     /* those digits, if they fit   */
    const char *digits, *mantissa_end; /* may have one point between */
    int64_t exponent;
};

static bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Eight characters at once, the first in the lowest byte. All are digits if each byte is 0x30 to
 * 0x3f and stays below 0x40 when 6 is added. */
static bool are_digits(uint64_t eight)
{
    const uint64_t high = UINT64_C(0xf0f0f0f0f0f0f0f0), zeros = UINT64_C(0x3030303030303030);

    return (eight & high) == zeros && ((eight + UINT64_C(0x0606060606060606)) & high) == zeros;
}

/* Their value: neighbours are joined to pairs, pairs to fours, fours to one, each by one product
 * that adds the upper neighbour to ten, a hundred, ten thousand times the lower. */
static uint32_t eight_digits(uint64_t eight)
{
    eight = (eight & UINT64_C(0x0f0f0f0f0f0f0f0f)) * (10 * 256 + 1) >> 8;
    eight = (eight & UINT64_C(0x00ff00ff00ff00ff)) * (100 * 65536 + 1) >> 16;
    return (uint32_t)((eight & UINT64_C(0x0000ffff0000ffff)) * (UINT64_C(10000) * 4294967296 + 1) >>
                      32);
}

/* Digits onto the end of *word, which wraps for long texts; nobody uses it then. */
static const char *read_few_digits(const char *p, const char *end, uint64_t *word)
{
    for (; p < end && is_digit(*p); p++)
        *word = *word * 10 + (uint64_t)(*p - '0');
    return p;
}

/* The same, faster where eight or more are likely: behind the point. */
static const char *read_many_digits(const char *p, const char *end, uint64_t *word)
{
    for (uint64_t eight; end - p >= 8; p += 8) {
        memcpy(&eight, p, sizeof eight);
        if (!are_digits(eight))
            break;
        *word = *word * 100000000 + eight_digits(eight);
    }
    return read_few_digits(p, end, word);
}

/* "e-12": p is behind the e. */
static const char *read_exponent(const char *p, const char *end, int64_t *exponent)
{
    const bool negative = p < end && *p == '-';
    int64_t value = 0;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end || !is_digit(*p))
        return NULL;
    for (; p < end && is_digit(*p); p++)
        if (value < EXPONENT_MAX)
            value = value * 10 + (*p - '0');
    *exponent += negative ? -value : value;
    return p;
}

/* ".5": p is behind the point. */
static const char *read_fraction(const char *p, const char *end, struct parts *parts)
{
    const char *const behind = read_many_digits(p, end, &parts->word);

    parts->exponent = p - behind;
    return behind > p ? behind : NULL;
}

/* The grammar of RFC 8259: [-] (0 | 1-9 digits) [. digits] [e [+-] digits]. */
static const char *read_parts(const char *p, const char *end, struct parts *parts)
{
    *parts = (struct parts) {.negative = p < end && *p == '-'};
    p += parts->negative;
    parts->digits = p;
    p = read_few_digits(p, end, &parts->word);
    if (p == parts->digits || (*parts->digits == '0' && p - parts->digits > 1))
        return NULL;
    if (p < end && *p == '.')
        p = read_fraction(p + 1, end, parts);
    parts->mantissa_end = p;
    if (p && p < end && (*p | 0x20) == 'e')
        p = read_exponent(p + 1, end, &parts->exponent);
    return p;
}

/* Does `word` hold all digits? Zeros in front ("0.000012") do not count. */
static bool fits_word(const struct parts *parts)
{
    const char *p = parts->digits;

    if (parts->mantissa_end - p <= WORD_DIGITS)
        return true;
    while (p < parts->mantissa_end && (*p == '0' || *p == '.'))
        p++;
    return parts->mantissa_end - p <= WORD_DIGITS;
}

/* |x| by one product, if that is provably right; the essay has the proof. */
static bool round_fast(const struct parts *parts, float *x)
{
    const int64_t k = parts->exponent;
    const uint64_t half = UINT64_C(1) << (EXTRA_BITS - 1);
    uint64_t bits, extra;
    double d;

    if (!fits_word(parts) || k < POW10_REAL_MIN || k > POW10_REAL_MAX)
        return false;
    if (parts->word == 0) {
        *x = 0;
        return true;
    }
    d = (double)parts->word * pow10_real[k - POW10_REAL_MIN];
    /* A little inside the normal float32, so that the error stays inside too. */
    if (!(d > 1.2e-38 && d < 3.4e38))
        return false;
    memcpy(&bits, &d, sizeof bits);
    extra = bits & (2 * half - 1);
    *x = (float)d;
    /* Unsigned: what is below the band around the middle wraps to far above it. */
    return extra - (half - MARGIN) > 2 * MARGIN;
}

/* |x| by strtof, on at most DIGITS_MAX digits and one that stands for the rest. */
static float round_slow(const struct parts *parts)
{
    char text[DIGITS_MAX + 32];
    size_t len = 0;
    int64_t exponent = parts->exponent;
    bool more = false;

    for (const char *p = parts->digits; p < parts->mantissa_end; p++) {
        if (*p == '.' || (len == 0 && *p == '0'))
            continue;
        if (len < DIGITS_MAX) {
            text[len++] = *p;
            continue;
        }
        exponent++;
        more |= *p != '0';
    }
    if (len == 0)
        return 0;
    (void)snprintf(text + len, sizeof text - len, "%se%lld", more ? "1" : "",
                   (long long)(exponent - more));
    return strtof(text, NULL);
}

const char *decimal_read(const char *text, const char *end, float *x)
{
    static const float signs[2] = {1, -1}; /* signs are random: a product costs less than a guess */
    struct parts parts;
    const char *const behind = read_parts(text, end, &parts);

    if (!behind)
        return NULL;
    if (!round_fast(&parts, x))
        *x = round_slow(&parts);
    *x *= signs[parts.negative];
    return behind;
}

/* ---- writing ---- */

enum { DIGITS_OUT = 9 }; /* that always tell a float32 from its neighbours */

/* digits * 10^exponent, digits of at most DIGITS_OUT */
struct shortest {
    uint32_t digits;
    int exponent;
};

/* floor(log10(2^q)), floor(log10(3/4 * 2^q)) and floor(log2(10^k)) for the exponents of float32, in
 * fixed point. A shift of a negative number rounds down with every compiler we know; the tests
 * would tell. */
static int log10_pow2(int q)
{
    return (q * 1262611) >> 22;
}

static int log10_three_quarters_pow2(int q)
{
    return (q * 1262611 - 524031) >> 22;
}

static int log2_pow10(int k)
{
    return (k * 1741647) >> 19;
}

/* The product of g = 10^k (64 bits, rounded up) and c, over 2^64, rounded to odd: the lowest bit is
 * set if anything was cut. What g is too large by shows as at most 1 in the next 32 bits. */
static uint32_t multiply_to_odd(uint64_t g, uint32_t c)
{
    const uint64_t low = (g & UINT32_MAX) * c;
    const uint64_t high = (g >> 32) * c + (low >> 32);

    return (uint32_t)(high >> 32) | ((uint32_t)high > 1);
}

/* Of c * 2^q > 0. Names: in quarters of 10^k, `value` is x itself and lower..upper the closed
 * interval of integers that round to x. */
static struct shortest shortest_of(uint32_t c, int q, bool narrow_left)
{
    const int k = narrow_left ? log10_three_quarters_pow2(q) : log10_pow2(q);
    const int shift = q + log2_pow10(-k) + 1;
    const uint64_t g = pow10_bits[-k - POW10_BITS_MIN];
    const uint32_t odd = c & 1;
    const uint32_t value = multiply_to_odd(g, (4 * c) << shift);
    const uint32_t lower = multiply_to_odd(g, (4 * c - 2 + narrow_left) << shift) + odd;
    const uint32_t upper = multiply_to_odd(g, (4 * c + 2) << shift) - odd;
    const uint32_t ones = value / 4, tens = ones / 10;
    const bool ten_below = lower <= 40 * tens, ten_above = 40 * tens + 40 <= upper;
    const bool one_below = lower <= 4 * ones, one_above = 4 * ones + 4 <= upper;
    const uint32_t middle = 4 * ones + 2;
    const bool nearer_above = value > middle || (value == middle && (ones & 1));

    if (ones >= 10 && ten_below != ten_above)
        return (struct shortest) {tens + ten_above, k + 1};
    if (one_below != one_above)
        return (struct shortest) {ones + one_above, k};
    return (struct shortest) {ones + nearer_above, k};
}

/* The bits of a positive finite float32, taken apart. */
static struct shortest shortest_of_bits(uint32_t bits)
{
    const uint32_t fraction = bits & 0x7fffff;
    const int biased = (int)(bits >> 23);

    if (biased == 0)
        return shortest_of(fraction, -149, false);
    return shortest_of(fraction | 0x800000, biased - 150, fraction == 0 && biased > 1);
}

/* The value of `len` digits in front of `point`: 0.digits * 10^point. All nine are there, zeros at
 * the end, and `len` counts those before these; what lies behind is for copies of a fixed size. */
struct digits {
    char text[16];
    int len, point;
};

static const uint32_t powers[DIGITS_OUT] = {1,      10,      100,      1000,     10000,
                                            100000, 1000000, 10000000, 100000000};

/* How many digits value > 0 has: from its bits (1233 / 4096 is log10 2), then one comparison. The
 * shortest digits are below c * 10 < 2^28, so the guess is at most 8. */
static int count_digits(uint32_t value)
{
    const int guess = (32 - __builtin_clz(value)) * 1233 >> 12;

    assert(guess < DIGITS_OUT);
    return guess + (value >= powers[guess]);
}

/* Eight digits as the bytes 0 to 9, the first in the lowest byte: the inverse of eight_digits. x /
 * 100 is x * 10486 >> 20 for x < 10000, and x / 10 is x * 103 >> 10 for x < 100. */
static uint64_t split_digits(uint32_t value)
{
    const uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    const uint64_t hundreds = fours * 10486 >> 20 & UINT64_C(0x0000007f0000007f);
    const uint64_t pairs = hundreds | (fours - 100 * hundreds) << 16;
    const uint64_t tens = pairs * 103 >> 10 & UINT64_C(0x000f000f000f000f);

    return tens | (pairs - 10 * tens) << 8;
}

static struct digits digits_of(struct shortest s)
{
    const int count = count_digits(s.digits);
    const uint32_t nine = s.digits * powers[DIGITS_OUT - count];
    const uint64_t rest = split_digits(nine % 100000000);
    const uint64_t shown = rest + UINT64_C(0x3030303030303030);
    struct digits d = {.point = count + s.exponent};

    d.text[0] = (char)('0' + nine / 100000000);
    memcpy(d.text + 1, &shown, sizeof shown);
    d.len = rest ? DIGITS_OUT - __builtin_clzll(rest) / 8 : 1;
    return d;
}

/* d.ddde-38 */
static char *write_scientific(char *out, const struct digits *d)
{
    int exponent = d->point - 1;

    out[0] = d->text[0];
    out[1] = '.';
    memcpy(out + 2, d->text + 1, DIGITS_OUT - 1);
    out += d->len > 1 ? d->len + 1 : 1;
    *out++ = 'e';
    if (exponent < 0)
        *out++ = '-';
    exponent = abs(exponent);
    if (exponent >= 10)
        *out++ = (char)('0' + exponent / 10);
    *out++ = (char)('0' + exponent % 10);
    return out;
}

/* 0.000ddd, dd.ddd or ddd00: -3 <= point <= 9. */
static char *write_plain(char *out, const struct digits *d)
{
    if (d->point <= 0) {
        memcpy(out, "0.000", 5);
        memcpy(out + 2 - d->point, d->text, DIGITS_OUT);
        return out + 2 - d->point + d->len;
    }
    if (d->point >= d->len) {
        memcpy(out, d->text, DIGITS_OUT);
        return out + d->point;
    }
    memcpy(out + 1, d->text, DIGITS_OUT);
    memcpy(out, d->text, (size_t)d->point);
    out[d->point] = '.';
    return out + 1 + d->len;
}

size_t decimal_write(char text[DECIMAL_MAX], float x)
{
    char *out = text;
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    assert((bits & 0x7f800000) != 0x7f800000);
    *out = '-';
    out += bits >> 31;
    bits &= 0x7fffffff;
    if (bits == 0) {
        *out++ = '0';
        return (size_t)(out - text);
    }
    const struct digits d = digits_of(shortest_of_bits(bits));

    /* Plain from 0.0001 to 999999999: never longer than "-0.000123456789", 15 bytes. */
    out = d.point >= -3 && d.point <= DIGITS_OUT ? write_plain(out, &d) : write_scientific(out, &d);
    return (size_t)(out - text);
}
