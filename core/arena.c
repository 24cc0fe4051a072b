/* arena.c -- a capped bump allocator
 *
 * Pages form a list, newest first. A piece is cut from the newest page; one that does not fit gets
 * a new page of the usual size, or of its own size if it is larger. calloc zeroes the pages, so
 * that pieces are zeroed without being touched twice. */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 16,
    PAGE_BYTES = 16 * 1024, /* holds what a typical request decodes in one allocation */
};

struct dsc_arena_page {
    struct dsc_arena_page *older;
    size_t size, used;
    _Alignas(ALIGNMENT) unsigned char bytes[];
};

void dsc_arena_init(dsc_arena *arena, size_t cap)
{
    *arena = (dsc_arena) {.cap = cap};
}

static struct dsc_arena_page *page_add(dsc_arena *arena, size_t bytes)
{
    const size_t size = bytes > PAGE_BYTES ? bytes : PAGE_BYTES;
    struct dsc_arena_page *page = NULL;

    if (size > SIZE_MAX - sizeof *page)
        return NULL;
    page = calloc(1, sizeof *page + size);
    if (!page)
        return NULL;
    page->size = size;
    page->older = arena->page;
    arena->page = page;
    return page;
}

/* `bytes` is a multiple of ALIGNMENT and below the cap. */
static void *bump(dsc_arena *arena, size_t bytes)
{
    struct dsc_arena_page *page = arena->page;
    void *piece;

    if (!page || page->size - page->used < bytes)
        page = page_add(arena, bytes);
    if (!page)
        return NULL;
    piece = page->bytes + page->used;
    page->used += bytes;
    arena->used += bytes;
    return piece;
}

void *dsc_arena_take(dsc_arena *arena, size_t count, size_t size)
{
    size_t bytes;

    if (size != 0 && count > (SIZE_MAX - ALIGNMENT) / size)
        return NULL;
    bytes = (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (bytes == 0)
        bytes = ALIGNMENT; /* even an empty piece has an address of its own */
    return bytes <= arena->cap - arena->used ? bump(arena, bytes) : NULL;
}

char *dsc_arena_text(dsc_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? dsc_arena_take(arena, len + 1, 1) : NULL;

    if (copy && len)
        memcpy(copy, text, len); /* the NUL is there already */
    return copy;
}

void dsc_arena_release(dsc_arena *arena)
{
    struct dsc_arena_page *page = arena->page;

    while (page) {
        struct dsc_arena_page *const older = page->older;

        free(page);
        page = older;
    }
    arena->page = NULL;
    arena->used = 0;
}
