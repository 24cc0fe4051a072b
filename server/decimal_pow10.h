/* decimal_pow10.h -- powers of ten for decimal.c: constants that a test computes again
 *
 * Included by decimal.c and by its test only. */
#ifndef DECIMAL_POW10_H
#define DECIMAL_POW10_H

#include <stdint.h>

enum { POW10_BITS_MIN = -31, POW10_BITS_MAX = 45, POW10_REAL_MIN = -57, POW10_REAL_MAX = 38 };

/* 10^k as 64 bits: 10^k / 2^(floor(log2 10^k) - 63), in [2^63, 2^64), rounded up. The exponents are
 * those that writing a float32 can ask for. tests/unit/test_decimal.c recomputes every entry. */
static const uint64_t pow10_bits[POW10_BITS_MAX - POW10_BITS_MIN + 1] = {
    0x81ceb32c4b43fcf5, /* -31 */
    0xa2425ff75e14fc32, /* -30 */
    0xcad2f7f5359a3b3f, /* -29 */
    0xfd87b5f28300ca0e, /* -28 */
    0x9e74d1b791e07e49, /* -27 */
    0xc612062576589ddb, /* -26 */
    0xf79687aed3eec552, /* -25 */
    0x9abe14cd44753b53, /* -24 */
    0xc16d9a0095928a28, /* -23 */
    0xf1c90080baf72cb2, /* -22 */
    0x971da05074da7bef, /* -21 */
    0xbce5086492111aeb, /* -20 */
    0xec1e4a7db69561a6, /* -19 */
    0x9392ee8e921d5d08, /* -18 */
    0xb877aa3236a4b44a, /* -17 */
    0xe69594bec44de15c, /* -16 */
    0x901d7cf73ab0acda, /* -15 */
    0xb424dc35095cd810, /* -14 */
    0xe12e13424bb40e14, /* -13 */
    0x8cbccc096f5088cc, /* -12 */
    0xafebff0bcb24aaff, /* -11 */
    0xdbe6fecebdedd5bf, /* -10 */
    0x89705f4136b4a598, /* -9 */
    0xabcc77118461cefd, /* -8 */
    0xd6bf94d5e57a42bd, /* -7 */
    0x8637bd05af6c69b6, /* -6 */
    0xa7c5ac471b478424, /* -5 */
    0xd1b71758e219652c, /* -4 */
    0x83126e978d4fdf3c, /* -3 */
    0xa3d70a3d70a3d70b, /* -2 */
    0xcccccccccccccccd, /* -1 */
    0x8000000000000000, /* 0 */
    0xa000000000000000, /* 1 */
    0xc800000000000000, /* 2 */
    0xfa00000000000000, /* 3 */
    0x9c40000000000000, /* 4 */
    0xc350000000000000, /* 5 */
    0xf424000000000000, /* 6 */
    0x9896800000000000, /* 7 */
    0xbebc200000000000, /* 8 */
    0xee6b280000000000, /* 9 */
    0x9502f90000000000, /* 10 */
    0xba43b74000000000, /* 11 */
    0xe8d4a51000000000, /* 12 */
    0x9184e72a00000000, /* 13 */
    0xb5e620f480000000, /* 14 */
    0xe35fa931a0000000, /* 15 */
    0x8e1bc9bf04000000, /* 16 */
    0xb1a2bc2ec5000000, /* 17 */
    0xde0b6b3a76400000, /* 18 */
    0x8ac7230489e80000, /* 19 */
    0xad78ebc5ac620000, /* 20 */
    0xd8d726b7177a8000, /* 21 */
    0x878678326eac9000, /* 22 */
    0xa968163f0a57b400, /* 23 */
    0xd3c21bcecceda100, /* 24 */
    0x84595161401484a0, /* 25 */
    0xa56fa5b99019a5c8, /* 26 */
    0xcecb8f27f4200f3a, /* 27 */
    0x813f3978f8940985, /* 28 */
    0xa18f07d736b90be6, /* 29 */
    0xc9f2c9cd04674edf, /* 30 */
    0xfc6f7c4045812297, /* 31 */
    0x9dc5ada82b70b59e, /* 32 */
    0xc5371912364ce306, /* 33 */
    0xf684df56c3e01bc7, /* 34 */
    0x9a130b963a6c115d, /* 35 */
    0xc097ce7bc90715b4, /* 36 */
    0xf0bdc21abb48db21, /* 37 */
    0x96769950b50d88f5, /* 38 */
    0xbc143fa4e250eb32, /* 39 */
    0xeb194f8e1ae525fe, /* 40 */
    0x92efd1b8d0cf37bf, /* 41 */
    0xb7abc627050305ae, /* 42 */
    0xe596b7b0c643c71a, /* 43 */
    0x8f7e32ce7bea5c70, /* 44 */
    0xb35dbf821ae4f38c, /* 45 */
};

/* 10^k as the nearest double. A 19-digit number can be a normal float32 from k = -57 (10^19 *
 * 10^-57 is just below the smallest) to k = 38. */
static const double pow10_real[POW10_REAL_MAX - POW10_REAL_MIN + 1] = {
    1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52, 1e-51, 1e-50, 1e-49, 1e-48, 1e-47, 1e-46,
    1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39, 1e-38, 1e-37, 1e-36, 1e-35, 1e-34,
    1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22,
    1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10,
    1e-9,  1e-8,  1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,   1e1,   1e2,
    1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,  1e13,  1e14,
    1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,  1e26,
    1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38,
};

#endif
