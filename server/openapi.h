/* openapi.h -- the API's description for clients, OpenAPI 3.1
 *
 * Made once, when the server starts, of the tables of routes, shapes and failures; the same program
 * always makes the same bytes, which are committed as clients/openapi.json. Any thread. */
#ifndef OPENAPI_H
#define OPENAPI_H

#include "buf.h"
#include "core/descent.h"

/* The document as text. FAULT_OUT_OF_MEMORY. *out is the caller's count. */
bool openapi_make(struct buf **out, dsc_err *err) DSC_MUST_CHECK;

#endif
