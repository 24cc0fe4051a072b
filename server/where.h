/* where.h -- where a value is in a JSON body, as a person reads it: layout[1].shape[0]
 *
 * A name that would be misread, because there is a dot or a bracket in it, stands in quotes:
 * labels["team.name"]. Pure; a path that does not fit its room is cut at a whole character. */
#ifndef WHERE_H
#define WHERE_H

#include <stddef.h>

/* Append a member's name, or an index, to the path in where [size], which is terminated. */
void where_name(char *where, size_t size, const char *name);
void where_index(char *where, size_t size, size_t index);

/* The path of the value in text[0..len), a JSON object, that the byte `at` belongs to or follows.
 * The text up to there must be JSON, or as far as it is. O(at). */
void where_of_byte(const char *text, size_t len, size_t at, char *where, size_t size);

/* The path as a JSON pointer (RFC 6901): /layout/1/shape/0. */
void where_pointer(const char *where, char *pointer, size_t size);

#endif
