/* arena.h -- memory that is given back all at once
 *
 * A capped bump allocator: many small pieces with one lifetime, such as everything that one request
 * decodes. It owns its pages; pieces are aligned to 16 bytes and zeroed. One thread at a time. */
#ifndef DSC_ARENA_H
#define DSC_ARENA_H

#include <stddef.h>

typedef struct dsc_arena {
    struct dsc_arena_page *page; /* newest first */
    size_t used, cap;            /* bytes handed out, and the most that may be */
} dsc_arena;

/* An empty arena that will hand out at most `cap` bytes. Allocates nothing yet. */
void dsc_arena_init(dsc_arena *arena, size_t cap);

/* Borrow `count` * `size` zeroed bytes until dsc_arena_release. NULL when the cap or the memory is
 * reached, or the product overflows. Amortised O(bytes). */
void *dsc_arena_take(dsc_arena *arena, size_t count, size_t size);

/* A copy of text[0..len) with a NUL behind it, or NULL as above. */
char *dsc_arena_text(dsc_arena *arena, const char *text, size_t len);

/* Give everything back; the arena is empty and usable again. */
void dsc_arena_release(dsc_arena *arena);

#endif
