#include "shapes.h"
#include "api.h"
#include "limits.h"
#include "scope.h"

/* A row's place: the kind, the member. */
#define AT(type, member) .offset = offsetof(struct type, member)

#define STEP_MAX 9007199254740991.0 /* 2^53 - 1: exact in every client's numbers */

#define SHAPE(what, about, type, rows)                                                             \
    const struct shape what = {                                                                    \
        .name = #type, .doc = about, .size = sizeof(struct type), .fields = rows}

static const struct field health_rows[] = {
    {"status", FIELD_STRING, AT(health, status), .doc = "\"ok\"."},
    {0},
};
SHAPE(health_shape, "The server answers.", health, health_rows);

static const struct field limits_rows[] = {
    {"coordinates_max", FIELD_INT, AT(limits_body, coordinates_max),
     .doc = "Coordinates of a session."},
    {"body_bytes_max", FIELD_INT, AT(limits_body, body_bytes_max),
     .doc = "Bytes of a binary body."},
    {"json_body_bytes_max", FIELD_INT, AT(limits_body, json_body_bytes_max),
     .doc = "Bytes of a JSON body."},
    {"sessions_max", FIELD_INT, AT(limits_body, sessions_max), .doc = "Sessions in this database."},
    {"layout_entries_max", FIELD_INT, AT(limits_body, layout_entries_max),
     .doc = "Entries of a layout."},
    {"page_size_max", FIELD_INT, AT(limits_body, page_size_max), .doc = "Items in a page."},
    {"dense_memory_coordinates_max", FIELD_INT, AT(limits_body, dense_memory_coordinates_max),
     .doc = "Coordinates of a session whose family keeps a dense matrix."},
    {0},
};
static SHAPE(limits_shape, "The bounds a client meets.", limits_body, limits_rows);

static const struct field family_rows[] = {
    {"name", FIELD_STRING, AT(family_body, name), .doc = "What optimizers name it by."},
    {"doc", FIELD_STRING, AT(family_body, doc), .doc = "What it is."},
    {"source", FIELD_STRING, AT(family_body, source), .doc = "Where it comes from."},
    {"learned", FIELD_BOOL, AT(family_body, learned), .doc = "Whether it has weights."},
    {"config", FIELD_JSON, AT(family_body, config), .doc = "Its default config."},
    {0},
};
static SHAPE(family_shape, "A kind of optimizer.", family_body, family_rows);

static const struct field word_rows[] = {
    {"name", FIELD_STRING, AT(word_body, name), .doc = "The word."},
    {0},
};
static SHAPE(word_shape, "A word of the protocol.", word_body, word_rows);

static const struct field info_rows[] = {
    {"name", FIELD_STRING, AT(info, name), .doc = "\"descent\"."},
    {"version", FIELD_STRING, AT(info, version), .doc = "Of the program."},
    {"kernel", FIELD_STRING, AT(info, kernel), .doc = "The instruction set that steps run on."},
    {"arithmetic", FIELD_STRING, AT(info, arithmetic), .doc = "Equal words give equal bits."},
    {"limits", FIELD_OBJECT, AT(info, limits), .shape = &limits_shape, .doc = "Bounds."},
    {"families", FIELD_LIST, AT(info, families), .shape = &family_shape,
     .doc = "Kinds of optimizers."},
    {"dtypes", FIELD_LIST, AT(info, dtypes), .shape = &word_shape,
     .doc = "Formats of a binary body."},
    {0},
};
SHAPE(info_shape, "The server.", info, info_rows);

static const struct field optimizer_new_rows[] = {
    {"name", FIELD_STRING, AT(optimizer_new, name), FIELD_REQUIRED, 1, 63,
     .doc = "Lower-case letters, digits, '.', '_' and '-'; begins with a letter or digit."},
    {"family", FIELD_STRING, AT(optimizer_new, family), FIELD_REQUIRED, 1, 63,
     .doc = "See GET /v1."},
    {"config", FIELD_JSON, AT(optimizer_new, config), FIELD_OPTIONAL,
     .doc = "Of the family; the rest is default."},
    {"description", FIELD_STRING, AT(optimizer_new, description), FIELD_OPTIONAL, 0,
     LIMIT_DESCRIPTION_BYTES, .doc = "For people."},
    {"labels", FIELD_LABELS, AT(optimizer_new, labels), FIELD_OPTIONAL,
     .doc = "Short texts by name."},
    {0},
};
SHAPE(optimizer_new_shape, "An optimizer to create.", optimizer_new, optimizer_new_rows);

static const struct field optimizer_rows[] = {
    {"name", FIELD_STRING, AT(optimizer_body, name), .doc = "Its name."},
    {"family", FIELD_STRING, AT(optimizer_body, family), .doc = "Its kind."},
    {"config", FIELD_JSON, AT(optimizer_body, config), .doc = "The whole config."},
    {"description", FIELD_STRING, AT(optimizer_body, description), .doc = "For people."},
    {"labels", FIELD_LABELS, AT(optimizer_body, labels), .doc = "Short texts by name."},
    {"source", FIELD_STRING, AT(optimizer_body, source), .doc = "builtin or user."},
    {"latest_version", FIELD_INT, AT(optimizer_body, latest_version), FIELD_NULLABLE,
     .doc = "The highest version, or null."},
    {"created_at", FIELD_STRING, AT(optimizer_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(optimizer_shape, "An optimizer.", optimizer_body, optimizer_rows);

static const struct field optimizer_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &optimizer_shape,
     .doc = "Optimizers by name."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(optimizer_page_shape, "A page of optimizers.", page_body, optimizer_page_rows);

static const struct field version_new_rows[] = {
    {"config", FIELD_JSON, AT(version_new, config), FIELD_REQUIRED,
     .doc = "Of a hand-designed family."},
    {0},
};
SHAPE(version_new_shape, "A version of a hand-designed optimizer.", version_new, version_new_rows);

static const struct field version_rows[] = {
    {"optimizer", FIELD_STRING, AT(version_body, optimizer), .doc = "Its optimizer's name."},
    {"version", FIELD_INT, AT(version_body, version), .doc = "1, 2, ..."},
    {"family", FIELD_STRING, AT(version_body, family), .doc = "Its kind."},
    {"config", FIELD_JSON, AT(version_body, config), .doc = "The whole config."},
    {"sha256", FIELD_STRING, AT(version_body, sha256), .doc = "Of the weights file we serve."},
    {"size_bytes", FIELD_INT, AT(version_body, size_bytes), .doc = "Of that file."},
    {"weights_count", FIELD_INT, AT(version_body, weights_count), .doc = "Numbers in it."},
    {"state_bytes_per_coordinate", FIELD_INT, AT(version_body, state_bytes_per_coordinate),
     FIELD_NULLABLE, .doc = "Null where the state is not proportional to n."},
    {"source", FIELD_STRING, AT(version_body, source), .doc = "builtin, import or job."},
    {"job", FIELD_STRING, AT(version_body, job), .doc = "The job that made it, or null."},
    {"parent", FIELD_STRING, AT(version_body, parent),
     .doc = "The version it began from, or null."},
    {"metrics", FIELD_JSON, AT(version_body, metrics), .doc = "What was measured of it."},
    {"created_at", FIELD_STRING, AT(version_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(version_shape, "A version.", version_body, version_rows);

static const struct field version_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &version_shape,
     .doc = "Versions, ascending."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(version_page_shape, "A page of versions.", page_body, version_page_rows);

static const struct field layout_rows[] = {
    {"name", FIELD_STRING, AT(layout_entry, name), FIELD_REQUIRED, 1, 256,
     .doc = "The tensor's name."},
    {"shape", FIELD_INTS, AT(layout_entry, shape), FIELD_REQUIRED, 1, LIMIT_COORDINATES,
     .max_items = 8, .doc = "Its dimensions."},
    {"optimizer", FIELD_STRING, AT(layout_entry, optimizer), FIELD_OPTIONAL, 1, 128,
     .doc = "Its own optimizer; the session's by default."},
    {0},
};
static SHAPE(layout_shape, "A tensor of the optimizee.", layout_entry, layout_rows);

static const char *const durability_choice[] = {"strict", "relaxed", "memory", NULL};

static const struct field session_new_rows[] = {
    {"optimizer", FIELD_STRING, AT(session_new, optimizer), FIELD_REQUIRED, 1, 128,
     .doc = "name, name:7 or name@alias."},
    {"coordinates", FIELD_INT, AT(session_new, coordinates), FIELD_OPTIONAL, 1, LIMIT_COORDINATES,
     .doc = "How many numbers the gradient has; or give layout."},
    {"layout", FIELD_LIST, AT(session_new, layout), FIELD_OPTIONAL, 1, LIMIT_LAYOUT_ENTRIES,
     .shape = &layout_shape, .doc = "The tensors whose concatenation the gradient is."},
    {"durability", FIELD_WORD, AT(session_new, durability), FIELD_OPTIONAL,
     .words = durability_choice,
     .doc = "What an answered step survives: power loss, the process's death, nothing."},
    {"clip_norm", FIELD_REAL, AT(session_new, clip_norm), FIELD_OPTIONAL | FIELD_NULLABLE, 1e-30,
     1e30, .doc = "Scale the gradient down to this norm, or null."},
    {"ttl_seconds", FIELD_INT, AT(session_new, ttl_seconds), FIELD_OPTIONAL | FIELD_NULLABLE, 1,
     LIMIT_TTL_SECONDS,
     .doc = "Seconds without a new step or a reset after which it expires, or null for ever."},
    {"labels", FIELD_LABELS, AT(session_new, labels), FIELD_OPTIONAL,
     .doc = "Short texts by name."},
    {0},
};
SHAPE(session_new_shape, "A session to create.", session_new, session_new_rows);

static const struct field session_rows[] = {
    {"id", FIELD_STRING, AT(session_body, id), .doc = "Its id."},
    {"optimizer", FIELD_STRING, AT(session_body, optimizer), .doc = "The version it is pinned to."},
    {"coordinates", FIELD_INT, AT(session_body, coordinates), .doc = "Numbers in a gradient."},
    {"step", FIELD_INT, AT(session_body, step), .doc = "Updates answered."},
    {"state_bytes", FIELD_INT, AT(session_body, state_bytes), .doc = "What it remembers."},
    {"durability", FIELD_STRING, AT(session_body, durability), .doc = "strict, relaxed or memory."},
    {"state", FIELD_STRING, AT(session_body, state), .doc = "active or expired."},
    {"ttl_seconds", FIELD_INT, AT(session_body, ttl_seconds), FIELD_NULLABLE,
     .doc = "Seconds without a new step or a reset after which it expires, or null."},
    {"labels", FIELD_LABELS, AT(session_body, labels), .doc = "Short texts by name."},
    {"created_at", FIELD_STRING, AT(session_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(session_shape, "A session.", session_body, session_rows);

static const struct field session_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &session_shape,
     .doc = "Sessions, oldest first."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(session_page_shape, "A page of sessions.", page_body, session_page_rows);

static const struct field update_in_rows[] = {
    {"gradient", FIELD_VECTOR, 0, FIELD_REQUIRED, .doc = "One number a coordinate."},
    {"step", FIELD_INT, AT(update_in, step), FIELD_OPTIONAL, 0, STEP_MAX,
     .doc = "The session's step."},
    {"loss", FIELD_REAL, AT(update_in, loss), FIELD_OPTIONAL, -1e308, 1e308,
     .doc = "f where the caller stands."},
    {0},
};
SHAPE(update_in_shape, "A gradient.", update_in, update_in_rows);

#define KEY_NAME   .doc = "For people; no two keys share one."
#define KEY_SCOPES .words = scope_words, .doc = "What it may do."
#define KEY_EXPIRY .doc = "RFC 3339 in UTC, from when on it is refused; null: never."

static const struct field key_new_rows[] = {
    {"name", FIELD_STRING, AT(key_new, name), FIELD_REQUIRED, 1, LIMIT_LABEL_BYTES, KEY_NAME},
    {"scopes", FIELD_WORDS, AT(key_new, scopes), FIELD_REQUIRED, 1, SCOPE_COUNT, KEY_SCOPES},
    {"expires_at", FIELD_STRING, AT(key_new, expires_at), FIELD_OPTIONAL | FIELD_NULLABLE, 20, 30,
     KEY_EXPIRY},
    {0},
};
SHAPE(key_new_shape, "A key to create.", key_new, key_new_rows);

static const struct field key_patch_rows[] = {
    {"name", FIELD_STRING, AT(key_new, name), FIELD_OPTIONAL, 1, LIMIT_LABEL_BYTES, KEY_NAME},
    {"scopes", FIELD_WORDS, AT(key_new, scopes), FIELD_OPTIONAL, 1, SCOPE_COUNT, KEY_SCOPES},
    {"expires_at", FIELD_STRING, AT(key_new, expires_at), FIELD_OPTIONAL | FIELD_NULLABLE, 20, 30,
     KEY_EXPIRY},
    {0},
};
const struct shape key_patch_shape = {"key_patch", "What to change of a key.",
                                      sizeof(struct key_new), key_patch_rows};

static const struct field key_rows[] = {
    {"id", FIELD_STRING, AT(key_body, id), .doc = "Its id."},
    {"name", FIELD_STRING, AT(key_body, name), KEY_NAME},
    {"prefix", FIELD_STRING, AT(key_body, prefix), .doc = "How its text begins."},
    {"scopes", FIELD_WORDS, AT(key_body, scopes), KEY_SCOPES},
    {"created_at", FIELD_STRING, AT(key_body, created_at), .doc = "RFC 3339."},
    {"rotated_at", FIELD_STRING, AT(key_body, rotated_at), .doc = "When its text was made."},
    {"expires_at", FIELD_STRING, AT(key_body, expires_at), FIELD_NULLABLE, KEY_EXPIRY},
    {"last_used_at", FIELD_STRING, AT(key_body, last_used_at), FIELD_NULLABLE,
     .doc = "RFC 3339, a minute early at most after a restart; null: never."},
    {"key", FIELD_STRING, AT(key_body, key), FIELD_OPTIONAL,
     .doc = "Its text, for Authorization: Bearer; only in the reply that makes it."},
    {0},
};
SHAPE(key_shape, "A key.", key_body, key_rows);

static const struct field key_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &key_shape, .doc = "Keys, by id."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(key_page_shape, "A page of keys.", page_body, key_page_rows);
