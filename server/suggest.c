/* The distance is Levenshtein's (1966), row by row, with a swap of neighbours counted as two. */
#include "suggest.h"
#include <string.h>

enum { WORD_MAX = 63, ERRORS_MAX = 2 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static size_t distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], len = strlen(b);

    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(changed, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[len];
}

const char *suggest(const char *word, const char *const *first, size_t count, size_t stride)
{
    const char *best = NULL;
    size_t nearest = ERRORS_MAX + 1, len = strlen(word);

    for (size_t i = 0; i < count && len <= WORD_MAX; i++) {
        const char *one = *(const char *const *)(const void *)((const char *)first + i * stride);
        size_t apart = strlen(one) <= WORD_MAX ? distance(word, one) : nearest;
        if (apart < nearest && 2 * apart < len) {
            nearest = apart;
            best = one;
        }
    }
    return best;
}
