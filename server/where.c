#include "where.h"
#include "jsontext.h"
#include "limits.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* --- writing --- */

/* As much of it as there is room for, whole characters. */
static void append(char *where, size_t size, const char *text)
{
    const size_t used = strlen(where);

    (void)jsontext_quote(where + used, size - used, text);
}

void where_name(char *where, size_t size, const char *name)
{
    const bool quoted = name[0] == '\0' || strpbrk(name, ".[]\"") != NULL;

    append(where, size, quoted ? "[\"" : where[0] ? "." : "");
    append(where, size, name);
    append(where, size, quoted ? "\"]" : "");
}

void where_index(char *where, size_t size, size_t index)
{
    char text[32];

    (void)snprintf(text, sizeof text, "[%zu]", index);
    append(where, size, text);
}

/* --- finding --- */

/* A walk through a text: the objects and arrays that are open, the outermost first. */
struct walk {
    char *where;
    size_t size;
    int depth;
    struct {
        size_t base;  /* bytes of `where` that lead to the object or array itself */
        size_t index; /* of the element, in an array */
        bool array;
        bool named; /* the next text is a value, not a name */
    } open[LIMIT_JSON_DEPTH + 1];
};

static void enter(struct walk *walk, bool array)
{
    if (walk->depth == LIMIT_JSON_DEPTH)
        return;
    walk->depth++;
    walk->open[walk->depth].base = strlen(walk->where);
    walk->open[walk->depth].index = 0;
    walk->open[walk->depth].array = array;
    walk->open[walk->depth].named = false;
    if (array)
        where_index(walk->where, walk->size, 0);
}

static void leave(struct walk *walk)
{
    if (walk->depth > 0)
        walk->where[walk->open[walk->depth--].base] = '\0';
}

static void next(struct walk *walk)
{
    walk->where[walk->open[walk->depth].base] = '\0';
    walk->open[walk->depth].named = false;
    if (walk->open[walk->depth].array)
        where_index(walk->where, walk->size, ++walk->open[walk->depth].index);
}

/* text[0..len) is a string's inside, its escapes as they are. */
static void name(struct walk *walk, const char *text, size_t len)
{
    char copy[128];

    if (walk->depth == 0 || walk->open[walk->depth].array || walk->open[walk->depth].named)
        return;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)(len < 127 ? len : 127), text);
    walk->where[walk->open[walk->depth].base] = '\0';
    where_name(walk->where, walk->size, copy);
    walk->open[walk->depth].named = true;
}

/* The bytes of a string's inside that are in text[0..len). */
static size_t inside(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && text[i] != '"')
        i += text[i] == '\\' ? 2 : 1;
    return i < len ? i : len;
}

void where_of_byte(const char *text, size_t len, size_t at, char *where, size_t size)
{
    struct walk walk = {.where = where, .size = size};

    where[0] = '\0';
    for (size_t i = 0; i < at && i < len; i++) {
        if (text[i] == '"') {
            const size_t bytes = inside(text + i + 1, len - i - 1);
            name(&walk, text + i + 1, bytes);
            i += bytes + 1;
        } else if (text[i] == '{' || text[i] == '[') {
            enter(&walk, text[i] == '[');
        } else if (text[i] == '}' || text[i] == ']') {
            leave(&walk);
        } else if (text[i] == ',') {
            next(&walk);
        }
    }
}

/* --- as a pointer --- */

static size_t put(char *pointer, size_t size, size_t n, char byte)
{
    if (n + 3 > size)
        return n;
    if (byte == '~' || byte == '/') {
        pointer[n++] = '~';
        byte = byte == '~' ? '0' : '1';
    }
    pointer[n++] = byte;
    return n;
}

/* A slash before each part: one begins at the front, after a dot, or with a bracket. A name in
 * quotes ends with one before a bracket. */
void where_pointer(const char *where, char *pointer, size_t size)
{
    bool quoted = false;
    size_t n = 0;

    if (*where != '[')
        pointer[n++] = '/';
    for (; *where; where++) {
        if (quoted ? strncmp(where, "\"]", 2) == 0 : *where == '"')
            quoted = !quoted;
        else if (!quoted && (*where == '[' || *where == '.') && n + 2 < size)
            pointer[n++] = '/';
        else if (quoted || *where != ']')
            n = put(pointer, size, n, *where);
    }
    pointer[n] = '\0';
}
