#include "command.h"
#include "openapi.h"

static int print(const struct config *config)
{
    struct buf *document = NULL;
    dsc_err err = {0};

    (void)config;
    if (!openapi_make(&document, &err))
        return command_failed(&err);
    const bool written =
        fwrite(document->data, 1, document->len, stdout) == document->len && fflush(stdout) == 0;
    buf_drop(document);
    (void)(written || dsc_fail(&err, DSC_EINVAL, "stdout", "cannot be written"));
    return written ? 0 : command_failed(&err);
}

const struct command command_openapi = {
    .name = "openapi",
    .summary = "print the description of the HTTP API",
    .options = (const char *const[]) {NULL},
    .about = "Prints what a server of this version answers to GET /openapi.json: OpenAPI 3.1,\n"
             "from which clients can be generated.\n",
    .examples = "  descent openapi > openapi.json\n",
    .run = print,
};
