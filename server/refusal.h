/* refusal.h -- a failure as an HTTP reply: the one place that chooses its status
 *
 * Fills call->reply from call->err with a problem document (RFC 9457) and the headers that go with
 * its status; of those that are set already the ones of that status stay. Any thread, once a call.
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "routes.h"

void refusal_write(struct call *call);

/* The headers that go with a failing status, beside those of every reply; NULL where there are
 * none. */
const struct field *refusal_headers(int status);

#endif
