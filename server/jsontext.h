/* jsontext.h -- pieces of JSON as text
 *
 * What field.c and field_encode.c both write: strings, and doubles that are shortest. Pure but for
 * the buffer they append to. */
#ifndef JSONTEXT_H
#define JSONTEXT_H

#include "buf.h"
#include <stddef.h>

enum { JSONTEXT_REAL_MAX = 32 };

/* Append text[0..len) as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD, so
 * that a sentence cut in the middle of a letter cannot spoil a reply. False when there is no
 * memory. */
bool jsontext_string(struct buf *out, const char *text, size_t len);

/* Write x with the fewest digits that read back as x, whole numbers below 10^15 without an
 * exponent; "null" if it is not finite. NUL-terminated; returns the bytes before that. */
size_t jsontext_real(char text[JSONTEXT_REAL_MAX], double x);

/* The bytes of the UTF-8 character at text (1 to 4), or 0 when there is none of at most `len`
 * bytes. */
size_t jsontext_char(const char *text, size_t len);

/* Copy the NUL-terminated `from` into out [size] as far as whole characters fit, control characters
 * as '?': a client's words may stand in a sentence or a log. Always terminated; returns the bytes
 * before the NUL. */
size_t jsontext_quote(char *out, size_t size, const char *from);

#endif
