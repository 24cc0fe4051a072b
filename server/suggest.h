/* suggest.h -- the word somebody probably meant */
#ifndef SUGGEST_H
#define SUGGEST_H

#include <stddef.h>

/* The candidate nearest to `word`, at most two typing errors and less than half of it away; NULL
 * when none is. Candidates are `count` texts, `stride` bytes apart from `first` (so that a table's
 * names need no copying). Longer than 63 bytes is nobody's typing error. O(count * 64^2). */
const char *suggest(const char *word, const char *const *first, size_t count, size_t stride);

#endif
