/* schema.h -- a JSON value against a JSON Schema, as strictly as a test wants it
 *
 * The keywords are those that server/openapi.c writes; any other is a failure of the schema, so
 * that none is passed over. Stricter than the standard in one point: where a schema lists
 * properties and says nothing of further ones, a further one is a failure. Any thread. */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#define SCHEMA_WHY_BYTES 256

/* `root` is the document that references lead into. False with a sentence in `why`. */
bool schema_fits(const json_t *root, const json_t *schema, const json_t *value,
                 char why[SCHEMA_WHY_BYTES]);

/* What "#/components/headers/X-Request-Id" leads to, or the node itself when it is no reference;
 * NULL when it leads nowhere. */
const json_t *schema_follow(const json_t *root, const json_t *node);

#endif
