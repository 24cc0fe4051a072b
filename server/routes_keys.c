/* routes_keys.c -- API keys as resources */
#include "api.h"

static const struct field secret_headers[] = {
    {"Cache-Control", FIELD_STRING, .flags = FIELD_REQUIRED,
     .doc = "no-store: the key's text is in the body."},
    {0},
};

const struct route key_routes[] = {
    {"POST", "/v1/keys", SCOPE_KEYS_ADMIN, "Create a key; its text is in this reply only",
     .in = &key_new_shape, .out = &key_shape, .status = 201, .reply_headers = secret_headers,
     .may_fail = CAN(FAULT_ALREADY_EXISTS) | CAN(FAULT_QUOTA_EXCEEDED), .serve = key_post},
    {"GET", "/v1/keys", SCOPE_KEYS_ADMIN, "List keys", .query = page_query, .out = &key_page_shape,
     .status = 200, .serve = key_list},
    {"GET", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "One key", .out = &key_shape, .status = 200,
     .serve = key_get},
    {"PATCH", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "Change a key's name, scopes or expiry",
     .take = MEDIA(MEDIA_MERGE) | MEDIA(MEDIA_JSON), .in = &key_patch_shape, .out = &key_shape,
     .status = 200, .may_fail = CAN(FAULT_ALREADY_EXISTS), .serve = key_patch},
    {"DELETE", "/v1/keys/{id}", SCOPE_KEYS_ADMIN, "Revoke a key at once", .status = 204,
     .serve = key_remove},
    {"POST", "/v1/keys/{id}/rotate", SCOPE_KEYS_ADMIN,
     "Give a key a new text; the old one is refused at once", .out = &key_shape, .status = 200,
     .reply_headers = secret_headers, .serve = key_rotate},
    {0},
};
