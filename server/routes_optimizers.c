/* routes_optimizers.c -- optimizers and their versions */
#include "api.h"

static const struct field weights_wanted[] = {
    {"If-None-Match", FIELD_STRING, .doc = "ETags of copies that the client has."},
    {"Range", FIELD_STRING, .doc = "One range of bytes: bytes=0-99, bytes=100-, bytes=-100."},
    {"If-Range", FIELD_STRING, .doc = "The ETag of the file that the range continues."},
    {0},
};

static const struct field weights_headers[] = {
    {"ETag", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "\"sha256:...\", of the file."},
    {"Accept-Ranges", FIELD_STRING, .doc = "bytes"},
    {"Content-Range", FIELD_STRING, .doc = "Of a 206: bytes 0-99/20904."},
    {0},
};

static const struct field conditions[] = {
    {"If-Match", FIELD_STRING, .doc = "The ETag that it must have; *: it must exist."},
    {"If-None-Match", FIELD_STRING, .doc = "*: it must not exist."},
    {0},
};

static const struct field alias_headers[] = {
    {"ETag", FIELD_STRING, .flags = FIELD_REQUIRED, .doc = "Its revision, in quotes."},
    {0},
};

const struct route optimizer_routes[] = {
    {"POST", "/v1/optimizers", SCOPE_OPTIMIZERS_WRITE, "Create an optimizer",
     .in = &optimizer_new_shape, .out = &optimizer_shape, .status = 201,
     .may_fail = CAN(FAULT_ALREADY_EXISTS), .serve = optimizer_post},
    {"GET", "/v1/optimizers", SCOPE_OPTIMIZERS_READ, "List optimizers", .query = page_query,
     .out = &optimizer_page_shape, .status = 200, .serve = optimizer_list},
    {"GET", "/v1/optimizers/{name}", SCOPE_OPTIMIZERS_READ, "One optimizer",
     .out = &optimizer_shape, .status = 200, .serve = optimizer_get},
    {"PATCH", "/v1/optimizers/{name}", SCOPE_OPTIMIZERS_WRITE,
     "Change an optimizer's description or labels", .take = MEDIA(MEDIA_MERGE) | MEDIA(MEDIA_JSON),
     .in = &optimizer_patch_shape, .out = &optimizer_shape, .status = 200,
     .serve = optimizer_patch},
    {"DELETE", "/v1/optimizers/{name}", SCOPE_OPTIMIZERS_WRITE, "Delete an optimizer",
     .status = 204, .may_fail = CAN(FAULT_BUILTIN_PROTECTED) | CAN(FAULT_IN_USE),
     .serve = optimizer_delete},

    {"POST", "/v1/optimizers/{name}/versions", SCOPE_OPTIMIZERS_WRITE,
     "Add a version: a weights file or a config", .take = MEDIA(MEDIA_JSON) | MEDIA(MEDIA_WEIGHTS),
     .in = &version_new_shape, .out = &version_shape, .status = 201,
     .may_fail = CAN(FAULT_BUILTIN_PROTECTED) | CAN(FAULT_INVALID_WEIGHTS), .serve = version_post},
    {"GET", "/v1/optimizers/{name}/versions", SCOPE_OPTIMIZERS_READ, "List versions",
     .query = page_query, .out = &version_page_shape, .status = 200, .serve = version_list},
    {"GET", "/v1/optimizers/{name}/versions/{n}", SCOPE_OPTIMIZERS_READ, "One version",
     .out = &version_shape, .status = 200, .serve = version_get},
    {"DELETE", "/v1/optimizers/{name}/versions/{n}", SCOPE_OPTIMIZERS_WRITE, "Delete a version",
     .status = 204, .may_fail = CAN(FAULT_BUILTIN_PROTECTED) | CAN(FAULT_IN_USE),
     .serve = version_delete},
    {"GET", "/v1/optimizers/{name}/versions/{n}/weights", SCOPE_OPTIMIZERS_READ,
     "The safetensors file", .request_headers = weights_wanted, .give = MEDIA(MEDIA_WEIGHTS),
     .status = 200, .also = {206, 304}, .reply_headers = weights_headers,
     .may_fail = CAN(FAULT_RANGE_NOT_SATISFIABLE), .serve = weights_get},

    {"GET", "/v1/optimizers/{name}/aliases", SCOPE_OPTIMIZERS_READ, "List aliases",
     .query = page_query, .out = &alias_page_shape, .status = 200, .serve = alias_list},
    {"GET", "/v1/optimizers/{name}/aliases/{alias}", SCOPE_OPTIMIZERS_READ, "One alias",
     .out = &alias_shape, .status = 200, .reply_headers = alias_headers, .serve = alias_get},
    {"PUT", "/v1/optimizers/{name}/aliases/{alias}", SCOPE_OPTIMIZERS_WRITE,
     "Let an alias point at a version", .request_headers = conditions, .in = &alias_new_shape,
     .out = &alias_shape, .status = 200, .also = {201}, .reply_headers = alias_headers,
     .may_fail = CAN(FAULT_PRECONDITION_FAILED) | CAN(FAULT_QUOTA_EXCEEDED), .serve = alias_put},
    {"DELETE", "/v1/optimizers/{name}/aliases/{alias}", SCOPE_OPTIMIZERS_WRITE, "Delete an alias",
     .request_headers = conditions, .status = 204, .may_fail = CAN(FAULT_PRECONDITION_FAILED),
     .serve = alias_delete},
    {"GET", "/v1/optimizers/{name}/aliases/{alias}/history", SCOPE_OPTIMIZERS_READ,
     "Where an alias has pointed", .query = page_query, .out = &alias_move_page_shape,
     .status = 200, .serve = alias_history},
    {0},
};
