/* refusal.h -- a failure as an HTTP reply: the one place that chooses its status
 *
 * Fills call->reply from call->err with a problem document (RFC 9457) and the headers that go with
 * its status; Allow and Accept, which the failure's finder has set, stay. Any thread, once a call.
 */
#ifndef REFUSAL_H
#define REFUSAL_H

#include "routes.h"

void refusal_write(struct call *call);

#endif
