/* contract.h -- every reply of a test against the API's description, and a record of what was seen
 *
 * served_ask, client_ask and whoever reads a reply by other means call contract_check, which fails
 * the test unless the description allows the reply: the status at that route, each header, the
 * media type, the body. The description is that of the server sources the test is linked with;
 * test_description compares it with the one that the server serves.
 *
 * What was seen is written to <the test program>.seen, a line each:
 *
 *     post /v1/sessions/{id}/update 409 step_gap
 *
 * and tests/coverage reads the files of all programs when they have run. Any thread. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What the .seen files begin with: another description, another word. */
#define CONTRACT_MARK_BYTES 17
void contract_mark(char mark[CONTRACT_MARK_BYTES]);

/* The description; borrowed, for ever. */
const json_t *contract_document(void);

/* A reply to `method` on `target` (a query may follow the path): its head, from the status line to
 * the empty line, and its body. */
void contract_check(const char *method, const char *target, const char *head, const void *body,
                    size_t len);

/* The same as a question, and not recorded: false with a sentence in `why`. */
#define CONTRACT_WHY_BYTES 512
bool contract_allows(const char *method, const char *target, const char *head, const void *body,
                     size_t len, char why[CONTRACT_WHY_BYTES]);

/* The template that fits a path, one without parameters before others; NULL when none does. */
const char *contract_path(const char *target);

#endif
