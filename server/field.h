/* field.h -- JSON bodies as tables of fields: the one door to Jansson
 *
 * A body is a struct and a table of rows that say where each member lies, what it may be and what
 * it means. The same rows decode and check a request, encode a reply and describe both in OpenAPI.
 * json_t never leaves field.c.
 *
 * Every body struct begins with a struct field_seen. Decoding fills it; encoding reads it:
 *   given  bit i: row i was in the text          -- a FIELD_OPTIONAL row is encoded only when its
 * bit is set null   bit i: ... and it was null            -- a FIELD_NULLABLE row with its bit set
 * is encoded as null A string that is NULL is encoded as null without any bit. */
#ifndef FIELD_H
#define FIELD_H

#include "buf.h"
#include "core/descent.h"
#include <stddef.h>
#include <stdint.h>

struct field_seen {
    uint64_t given, null;
};

enum field_kind {
    FIELD_BOOL,   /* bool                                                                        */
    FIELD_INT,    /* int64_t in [min, max]; 17.0 is refused                                      */
    FIELD_REAL,   /* double in [min, max], finite                                                */
    FIELD_STRING, /* const char *, min..max bytes of UTF-8 without NUL; borrowed from the arena; one
                     of words where a reply's row has them                                       */
    FIELD_WORD,   /* int, an index into words                                                    */
    FIELD_WORDS,  /* uint64_t: a list of words as bits, bit i for words[i]; each at most once     */
    FIELD_OBJECT, /* a nested struct, in place, described by shape                               */
    FIELD_LIST,   /* struct field_list of structs described by shape, min..max items             */
    FIELD_INTS,   /* struct field_list of int64_t, each in [min, max], at most max_items          */
    FIELD_REALS,  /* struct field_list of double; a null in one of a nullable row decodes to NaN */
    FIELD_STRINGS, /* struct field_list of const char *, each of min..max bytes, as FIELD_STRING */
    FIELD_WORD_OR_REALS, /* struct field_choice: a word, or numbers each in [min, max]           */
    FIELD_LABELS, /* const char *: JSON text of an object of strings, bounded by limits.h, keys
                     sorted; a null value is allowed only where FIELD_MERGE is set               */
    FIELD_JSON,   /* const char *: JSON text of any object, compact, keys sorted                 */
    FIELD_ANY,    /* const char *: the same of any value                                         */
    FIELD_VECTOR, /* nothing in the struct: an array that vector.c takes and gives; described only
                   */
};

enum { FIELD_REQUIRED = 1, FIELD_NULLABLE = 2, FIELD_OPTIONAL = 4, FIELD_MERGE = 8 };

struct field {
    const char *name; /* on the wire: never renamed */
    enum field_kind kind;
    size_t offset; /* in the struct */
    unsigned flags;
    double min, max;  /* a number's range, or a text's bytes, or a list's items; both 0: none */
    size_t max_items; /* of lists of numbers and of strings */
    const char *const *words;  /* FIELD_WORD, FIELD_WORDS, FIELD_WORD_OR_REALS: NULL-terminated */
    const struct shape *shape; /* FIELD_OBJECT, FIELD_LIST */
    const char *format;        /* of a text: "date-time"; of a FIELD_JSON: "config", parameters of
                                  a family; or NULL. Only for OpenAPI */
    double initial;            /* what a BOOL, INT, REAL or WORD is when it is not given */
    const char *doc;           /* a sentence, units included */
};

struct shape {
    const char *name; /* its name in OpenAPI */
    const char *doc;
    size_t size;                /* sizeof the struct */
    const struct field *fields; /* the last row has name == NULL; at most 64 */

    /* Of a body that may be one of several: their shapes, NULL-terminated; NULL for others. Rows
     * say only what tells them apart; members of any of them are let through, and the whole text,
     * compact, keys sorted, is stored at `text` for whoever decodes it by the right shape. */
    const struct shape *const *one_of;
    size_t text; /* offset of a const char * */
};

struct field_list {
    size_t count;
    void *items; /* [count] structs or numbers, from the arena */
};

/* The bit of a row in a struct field_seen. There must be one of that name. */
uint64_t field_bit(const struct shape *shape, const char *name);

struct field_choice {
    int word; /* an index into words; -1 when there are numbers */
    struct field_list reals;
};

/* Decode text[0..len) into *out (shape->size bytes): what is not given is `initial`, of the rows of
 * an object that is not given too, and else zero; strings and lists are borrowed from the arena. On
 * failure err is FAULT_MALFORMED_JSON (not an object, syntax, depth, invalid UTF-8; the sentence
 * has line and column), FAULT_DUPLICATE_KEY, FAULT_UNKNOWN_FIELD, FAULT_MISSING_FIELD,
 * FAULT_INVALID_VALUE or FAULT_OUT_OF_MEMORY, with where = "layout[1].shape[0]". An empty text is
 * an empty object. */
bool field_decode(const struct shape *shape, const char *text, size_t len, void *out,
                  dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* Append *in as one line of JSON (no newline) to out. FAULT_OUT_OF_MEMORY. Doubles are written
 * shortest that round-trips; one that is not finite is null. */
bool field_encode(const struct shape *shape, const void *in, struct buf *out,
                  dsc_err *err) DSC_MUST_CHECK;

/* Set rows of `hyper` from a JSON object such as {"learning_rate": 0.01}; failures as field_decode,
 * with where = "config.learning_rate" (`where` is the prefix, "config"; may be ""). NULL or empty
 * text sets nothing. */
bool field_hyper_decode(dsc_hyper *hyper, const char *text, size_t len, const char *where,
                        dsc_err *err) DSC_MUST_CHECK;

/* All rows as one JSON object, in the table's order; from the arena, NULL when it is full. Whole
 * numbers are written without a point. */
char *field_hyper_encode(const dsc_hyper *hyper, dsc_arena *arena);

/* Merge RFC 7396: `patch` (FIELD_LABELS text decoded with FIELD_MERGE) onto `labels`; from the
 * arena. NULL when it is full; check the number of labels with field_labels_count. */
char *field_labels_merge(const char *labels, const char *patch, dsc_arena *arena);
size_t field_labels_count(const char *labels);

#endif
