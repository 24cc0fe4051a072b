#include "shapes.h"
#include "api.h"
#include "limits.h"
#include "scope.h"

/* A row's place: the kind, the member. */
#define AT(type, member) .offset = offsetof(struct type, member)

/* `what`_shape, of the rows `what`_rows; OpenAPI calls it `what`. */
#define SHAPE(what, about, type)                                                                   \
    const struct shape what##_shape = {                                                            \
        .name = #what, .doc = about, .size = sizeof(struct type), .fields = what##_rows}

#define TIME FIELD_STRING, .format = "date-time"

static const struct field refused_rows[] = {
    {"pointer", FIELD_STRING, AT(refused, pointer), FIELD_OPTIONAL,
     .doc = "A field of the body, as a JSON pointer."},
    {"header", FIELD_STRING, AT(refused, header), FIELD_OPTIONAL, .doc = "A header's name."},
    {"query", FIELD_STRING, AT(refused, query), FIELD_OPTIONAL, .doc = "A query parameter's name."},
    {"detail", FIELD_STRING, AT(refused, detail), .doc = "What is wrong with it."},
    {0},
};
SHAPE(refused, "A value that was refused, and where it is.", refused);

static const struct field problem_rows[] = {
    {"type", FIELD_STRING, AT(problem, type), .doc = "urn:descent:error:<code>."},
    {"title", FIELD_STRING, AT(problem, title), .doc = "The same for every failure of a code."},
    {"status", FIELD_INT, AT(problem, status), .doc = "The reply's status."},
    {"detail", FIELD_STRING, AT(problem, detail), .doc = "What is wrong, in a sentence."},
    {"instance", FIELD_STRING, AT(problem, instance), .doc = "The path that was asked for."},
    {"code", FIELD_STRING, AT(problem, code), .doc = "A constant for programs."},
    {"request_id", FIELD_STRING, AT(problem, request_id), .doc = "As in X-Request-Id."},
    {"retryable", FIELD_BOOL, AT(problem, retryable),
     .doc = "Whether the same request may succeed later."},
    {"errors", FIELD_LIST, AT(problem, errors), FIELD_OPTIONAL, .shape = &refused_shape,
     .doc = "The values that were refused."},
    {"expected", FIELD_INT, AT(problem, expected), FIELD_OPTIONAL,
     .doc = "dimension_mismatch: the session's coordinates."},
    {"got", FIELD_INT, AT(problem, got), FIELD_OPTIONAL,
     .doc = "dimension_mismatch: the numbers that came."},
    {"current_step", FIELD_INT, AT(problem, current_step), FIELD_OPTIONAL,
     .doc = "step_stale and step_gap: the session's step."},
    {0},
};
SHAPE(problem, "A failure (RFC 9457).", problem);

static const struct field health_rows[] = {
    {"status", FIELD_STRING, AT(health, status), .doc = "\"ok\"."},
    {0},
};
SHAPE(health, "The server answers.", health);

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
static SHAPE(limits, "The bounds a client meets.", limits_body);

static const struct field family_rows[] = {
    {"name", FIELD_STRING, AT(family_body, name), .doc = "What optimizers name it by."},
    {"doc", FIELD_STRING, AT(family_body, doc), .doc = "What it is."},
    {"source", FIELD_STRING, AT(family_body, source), .doc = "Where it comes from."},
    {"learned", FIELD_BOOL, AT(family_body, learned), .doc = "Whether it has weights."},
    {"config", FIELD_JSON, AT(family_body, config), .format = "config",
     .doc = "Its default config."},
    {0},
};
static SHAPE(family, "A kind of optimizer.", family_body);

static const struct field info_rows[] = {
    {"name", FIELD_STRING, AT(info, name), .doc = "\"descent\"."},
    {"version", FIELD_STRING, AT(info, version), .doc = "Of the program."},
    {"kernel", FIELD_STRING, AT(info, kernel), .doc = "The instruction set that steps run on."},
    {"arithmetic", FIELD_STRING, AT(info, arithmetic), .doc = "Equal words give equal bits."},
    {"limits", FIELD_OBJECT, AT(info, limits), .shape = &limits_shape, .doc = "Bounds."},
    {"families", FIELD_LIST, AT(info, families), .shape = &family_shape,
     .doc = "Kinds of optimizers."},
    {"problems", FIELD_STRINGS, AT(info, problems), .doc = "Kinds of functions to train on."},
    {"dtypes", FIELD_STRINGS, AT(info, dtypes), .doc = "Formats of a binary body."},
    {0},
};
SHAPE(info, "The server.", info);

static const struct field optimizer_new_rows[] = {
    {"name", FIELD_STRING, AT(optimizer_new, name), FIELD_REQUIRED, 1, 63,
     .doc = "Lower-case letters, digits, '.', '_' and '-'; begins with a letter or digit."},
    {"family", FIELD_STRING, AT(optimizer_new, family), FIELD_REQUIRED, 1, 63,
     .doc = "See GET /v1."},
    {"config", FIELD_JSON, AT(optimizer_new, config), FIELD_OPTIONAL, .format = "config",
     .doc = "Of the family; the rest is default."},
    {"description", FIELD_STRING, AT(optimizer_new, description), FIELD_OPTIONAL, 0,
     LIMIT_DESCRIPTION_BYTES, .doc = "For people."},
    {"labels", FIELD_LABELS, AT(optimizer_new, labels), FIELD_OPTIONAL,
     .doc = "Short texts by name."},
    {0},
};
SHAPE(optimizer_new, "An optimizer to create.", optimizer_new);

static const struct field optimizer_rows[] = {
    {"name", FIELD_STRING, AT(optimizer_body, name), .doc = "Its name."},
    {"family", FIELD_STRING, AT(optimizer_body, family), .doc = "Its kind."},
    {"config", FIELD_JSON, AT(optimizer_body, config), .format = "config",
     .doc = "The whole config."},
    {"description", FIELD_STRING, AT(optimizer_body, description), .doc = "For people."},
    {"labels", FIELD_LABELS, AT(optimizer_body, labels), .doc = "Short texts by name."},
    {"source", FIELD_STRING, AT(optimizer_body, source), .doc = "builtin or user."},
    {"latest_version", FIELD_INT, AT(optimizer_body, latest_version), FIELD_NULLABLE,
     .doc = "The highest version, or null."},
    {"created_at", TIME, AT(optimizer_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(optimizer, "An optimizer.", optimizer_body);

static const struct field optimizer_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &optimizer_shape,
     .doc = "Optimizers by name."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(optimizer_page, "A page of optimizers.", page_body);

static const struct field optimizer_patch_rows[] = {
    {"description", FIELD_STRING, AT(optimizer_patch, description), FIELD_OPTIONAL | FIELD_NULLABLE,
     0, LIMIT_DESCRIPTION_BYTES, .doc = "For people; null: none."},
    {"labels", FIELD_LABELS, AT(optimizer_patch, labels),
     FIELD_OPTIONAL | FIELD_NULLABLE | FIELD_MERGE,
     .doc = "Labels to set, or with null to take away; null: takes all."},
    {0},
};
SHAPE(optimizer_patch, "What to change of an optimizer (RFC 7396).", optimizer_patch);

static const struct field alias_new_rows[] = {
    {"version", FIELD_INT, AT(alias_new, version), FIELD_REQUIRED, 1, STEP_MAX,
     .doc = "The version it points at from now on."},
    {0},
};
SHAPE(alias_new, "Where an alias is to point.", alias_new);

static const struct field alias_rows[] = {
    {"optimizer", FIELD_STRING, AT(alias_body, optimizer), .doc = "Its optimizer's name."},
    {"alias", FIELD_STRING, AT(alias_body, alias), .doc = "Its name."},
    {"version", FIELD_INT, AT(alias_body, version), .doc = "The version it points at."},
    {"created_at", TIME, AT(alias_body, created_at), .doc = "RFC 3339."},
    {"updated_at", TIME, AT(alias_body, updated_at), .doc = "When it last moved."},
    {0},
};
SHAPE(alias, "A name for a version, which can be moved.", alias_body);

static const struct field alias_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &alias_shape, .doc = "Aliases by name."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(alias_page, "A page of aliases.", page_body);

static const struct field alias_move_rows[] = {
    {"revision", FIELD_INT, AT(alias_move_body, revision), .doc = "1, 2, ...; the ETag."},
    {"version", FIELD_INT, AT(alias_move_body, version), FIELD_NULLABLE,
     .doc = "Where it pointed from then on; null: it was deleted."},
    {"changed_at", TIME, AT(alias_move_body, changed_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(alias_move, "A move of an alias.", alias_move_body);

static const struct field alias_move_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &alias_move_shape,
     .doc = "Moves, oldest first; also of an alias that was deleted."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(alias_move_page, "A page of an alias's history.", page_body);

static const struct field version_new_rows[] = {
    {"config", FIELD_JSON, AT(version_new, config), FIELD_REQUIRED, .format = "config",
     .doc = "Of a hand-designed family."},
    {0},
};
SHAPE(version_new, "A version of a hand-designed optimizer.", version_new);

static const struct field version_rows[] = {
    {"optimizer", FIELD_STRING, AT(version_body, optimizer), .doc = "Its optimizer's name."},
    {"version", FIELD_INT, AT(version_body, version), .doc = "1, 2, ..."},
    {"family", FIELD_STRING, AT(version_body, family), .doc = "Its kind."},
    {"config", FIELD_JSON, AT(version_body, config), .format = "config",
     .doc = "The whole config."},
    {"sha256", FIELD_STRING, AT(version_body, sha256), .doc = "Of the weights file we serve."},
    {"size_bytes", FIELD_INT, AT(version_body, size_bytes), .doc = "Of that file."},
    {"weights_count", FIELD_INT, AT(version_body, weights_count), .doc = "Numbers in it."},
    {"state_bytes_per_coordinate", FIELD_INT, AT(version_body, state_bytes_per_coordinate),
     FIELD_NULLABLE, .doc = "Null where the state is not proportional to n."},
    {"source", FIELD_STRING, AT(version_body, source), .doc = "builtin, import or job."},
    {"job", FIELD_STRING, AT(version_body, job), FIELD_NULLABLE,
     .doc = "The job that made it, or null."},
    {"parent", FIELD_STRING, AT(version_body, parent), FIELD_NULLABLE,
     .doc = "The version it began from, or null."},
    {"metrics", FIELD_JSON, AT(version_body, metrics), .doc = "What was measured of it."},
    {"created_at", TIME, AT(version_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(version, "A version.", version_body);

static const struct field version_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &version_shape,
     .doc = "Versions, ascending."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(version_page, "A page of versions.", page_body);

static const struct field layout_rows[] = {
    {"name", FIELD_STRING, AT(layout_entry, name), FIELD_REQUIRED, 1, 256,
     .doc = "The tensor's name."},
    {"shape", FIELD_INTS, AT(layout_entry, shape), FIELD_REQUIRED, 1, LIMIT_COORDINATES,
     .max_items = 8, .doc = "Its dimensions."},
    {"optimizer", FIELD_STRING, AT(layout_entry, optimizer), FIELD_OPTIONAL, 1, 128,
     .doc = "Its own optimizer; the session's by default."},
    {0},
};
static SHAPE(layout, "A tensor of the optimizee.", layout_entry);

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
     1e30,
     .doc = "The whole gradient, over all tensors and optimizers, is scaled down to this Euclidean "
            "norm before any optimizer sees it; null: never."},
    {"ttl_seconds", FIELD_INT, AT(session_new, ttl_seconds), FIELD_OPTIONAL | FIELD_NULLABLE, 1,
     LIMIT_TTL_SECONDS,
     .doc = "Seconds without a new step or a reset after which it expires, or null for ever."},
    {"labels", FIELD_LABELS, AT(session_new, labels), FIELD_OPTIONAL,
     .doc = "Short texts by name."},
    {0},
};
SHAPE(session_new, "A session to create.", session_new);

static const char *const session_states[] = {"active", "expired", NULL};

static const struct field session_rows[] = {
    {"id", FIELD_STRING, AT(session_body, id), .doc = "Its id."},
    {"optimizer", FIELD_STRING, AT(session_body, optimizer), .doc = "The version it is pinned to."},
    {"coordinates", FIELD_INT, AT(session_body, coordinates), .doc = "Numbers in a gradient."},
    {"step", FIELD_INT, AT(session_body, step), .doc = "Updates answered."},
    {"state_bytes", FIELD_INT, AT(session_body, state_bytes), .doc = "What it remembers."},
    {"durability", FIELD_STRING, AT(session_body, durability), .words = durability_choice,
     .doc = "What an answered step survives."},
    {"state", FIELD_STRING, AT(session_body, state), .words = session_states,
     .doc = "An expired one is removed a day later."},
    {"layout", FIELD_LIST, AT(session_body, layout), FIELD_OPTIONAL | FIELD_NULLABLE,
     .shape = &layout_shape,
     .doc = "Its tensors, each with the version that steps it; null when it was made by a number "
            "of coordinates; not in listings."},
    {"clip_norm", FIELD_REAL, AT(session_body, clip_norm), FIELD_NULLABLE,
     .doc = "What gradients are scaled down to, or null."},
    {"ttl_seconds", FIELD_INT, AT(session_body, ttl_seconds), FIELD_NULLABLE,
     .doc = "Seconds without a new step or a reset after which it expires, or null."},
    {"labels", FIELD_LABELS, AT(session_body, labels), .doc = "Short texts by name."},
    {"created_at", TIME, AT(session_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(session, "A session.", session_body);

static const struct field session_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &session_shape,
     .doc = "Sessions, oldest first."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(session_page, "A page of sessions.", page_body);

static const struct field session_patch_rows[] = {
    {"labels", FIELD_LABELS, AT(session_patch, labels),
     FIELD_OPTIONAL | FIELD_NULLABLE | FIELD_MERGE,
     .doc = "Labels to set, or with null to take away; null: takes all."},
    {"ttl_seconds", FIELD_INT, AT(session_patch, ttl_seconds), FIELD_OPTIONAL | FIELD_NULLABLE, 1,
     LIMIT_TTL_SECONDS, .doc = "Counts from now on; null: for ever."},
    {0},
};
SHAPE(session_patch, "What to change of a session (RFC 7396).", session_patch);

static const struct field checkpoint_new_rows[] = {
    {"name", FIELD_STRING, AT(checkpoint_new, name), FIELD_REQUIRED, 1, 63,
     .doc = "Lower-case letters, digits, '.', '_' and '-'; begins with a letter or digit."},
    {0},
};
SHAPE(checkpoint_new, "A checkpoint to make of the state as it is.", checkpoint_new);

static const struct field checkpoint_rows[] = {
    {"name", FIELD_STRING, AT(checkpoint_body, name), .doc = "Its name."},
    {"step", FIELD_INT, AT(checkpoint_body, step), .doc = "The session's step when it was made."},
    {"created_at", TIME, AT(checkpoint_body, created_at), .doc = "RFC 3339."},
    {0},
};
SHAPE(checkpoint, "A state to go back to.", checkpoint_body);

static const struct field checkpoint_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &checkpoint_shape,
     .doc = "Checkpoints, oldest first."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(checkpoint_page, "A page of checkpoints.", page_body);

static const struct field restore_rows[] = {
    {"checkpoint", FIELD_STRING, AT(restore_body, checkpoint), FIELD_REQUIRED, 1, 63,
     .doc = "The checkpoint to go back to."},
    {0},
};
SHAPE(restore, "A way back.", restore_body);

static const struct field fork_rows[] = {
    {"checkpoint", FIELD_STRING, AT(fork_body, checkpoint), FIELD_OPTIONAL | FIELD_NULLABLE, 1, 63,
     .doc = "The checkpoint to begin with; null: the state as it is."},
    {0},
};
SHAPE(fork, "What a fork begins with.", fork_body);

static const struct field history_point_rows[] = {
    {"step", FIELD_INT, AT(history_point_body, step), .doc = "The step."},
    {"loss", FIELD_REAL, AT(history_point_body, loss), FIELD_NULLABLE,
     .doc = "What the client sent with it, or null."},
    {"gradient_norm", FIELD_REAL, AT(history_point_body, gradient_norm),
     .doc = "Euclidean, of the gradient as it came."},
    {"update_norm", FIELD_REAL, AT(history_point_body, update_norm), FIELD_NULLABLE,
     .doc = "Euclidean, of the update."},
    {0},
};
static SHAPE(history_point, "A step as it was.", history_point_body);

static const struct field history_rows[] = {
    {"items", FIELD_LIST, AT(history_body, items), .shape = &history_point_shape,
     .doc = "Steps in order. When there are more than max_points, those that are the smallest or "
            "largest of their stretch in one of the three numbers, the first, and the last."},
    {"total", FIELD_INT, AT(history_body, total), .doc = "Steps that are known."},
    {0},
};
SHAPE(history, "What became of a session.", history_body);

static const struct field update_in_rows[] = {
    {"gradient", FIELD_VECTOR, 0, FIELD_REQUIRED, .doc = "One number a coordinate."},
    {"step", FIELD_INT, AT(update_in, step), FIELD_OPTIONAL, 0, STEP_MAX,
     .doc = "The session's step."},
    {"loss", FIELD_REAL, AT(update_in, loss), FIELD_OPTIONAL, -1e308, 1e308,
     .doc = "f where the caller stands."},
    {0},
};
SHAPE(update_in, "A gradient.", update_in);

static const struct field update_out_rows[] = {
    {"update", FIELD_VECTOR, 0, .doc = "Add it to the parameters as it is."},
    {"step", FIELD_INT, AT(update_out, step), 0, 1, STEP_MAX + 1,
     .doc = "The session's step from now on."},
    {"replayed", FIELD_BOOL, AT(update_out, replayed),
     .doc = "Whether this answer was given before."},
    {0},
};
SHAPE(update_out, "An update.", update_out);

#define KEY_NAME   .doc = "For people; no two keys share one."
#define KEY_RATE   .doc = "How many it may send, a minute's worth at once at most; null: no bound."
#define KEY_SCOPES .words = scope_words, .doc = "What it may do."
#define KEY_EXPIRY .doc = "RFC 3339 in UTC, from when on it is refused; null: never."

static const struct field key_new_rows[] = {
    {"name", FIELD_STRING, AT(key_new, name), FIELD_REQUIRED, 1, LIMIT_LABEL_BYTES, KEY_NAME},
    {"scopes", FIELD_WORDS, AT(key_new, scopes), FIELD_REQUIRED, 1, SCOPE_COUNT, KEY_SCOPES},
    {"expires_at", TIME, AT(key_new, expires_at), FIELD_OPTIONAL | FIELD_NULLABLE, 20, 30,
     KEY_EXPIRY},
    {"requests_per_minute", FIELD_INT, AT(key_new, requests_per_minute),
     FIELD_OPTIONAL | FIELD_NULLABLE, 1, LIMIT_REQUESTS_PER_MINUTE, KEY_RATE},
    {0},
};
SHAPE(key_new, "A key to create.", key_new);

static const struct field key_patch_rows[] = {
    {"name", FIELD_STRING, AT(key_new, name), FIELD_OPTIONAL, 1, LIMIT_LABEL_BYTES, KEY_NAME},
    {"scopes", FIELD_WORDS, AT(key_new, scopes), FIELD_OPTIONAL, 1, SCOPE_COUNT, KEY_SCOPES},
    {"expires_at", TIME, AT(key_new, expires_at), FIELD_OPTIONAL | FIELD_NULLABLE, 20, 30,
     KEY_EXPIRY},
    {"requests_per_minute", FIELD_INT, AT(key_new, requests_per_minute),
     FIELD_OPTIONAL | FIELD_NULLABLE, 1, LIMIT_REQUESTS_PER_MINUTE, KEY_RATE},
    {0},
};
SHAPE(key_patch, "What to change of a key.", key_new);

static const struct field key_rows[] = {
    {"id", FIELD_STRING, AT(key_body, id), .doc = "Its id."},
    {"name", FIELD_STRING, AT(key_body, name), KEY_NAME},
    {"prefix", FIELD_STRING, AT(key_body, prefix), .doc = "How its text begins."},
    {"scopes", FIELD_WORDS, AT(key_body, scopes), KEY_SCOPES},
    {"created_at", TIME, AT(key_body, created_at), .doc = "RFC 3339."},
    {"rotated_at", TIME, AT(key_body, rotated_at), .doc = "When its text was made."},
    {"expires_at", TIME, AT(key_body, expires_at), FIELD_NULLABLE, KEY_EXPIRY},
    {"last_used_at", TIME, AT(key_body, last_used_at), FIELD_NULLABLE,
     .doc = "RFC 3339, a minute early at most after a restart; null: never."},
    {"requests_per_minute", FIELD_INT, AT(key_body, requests_per_minute), FIELD_NULLABLE, KEY_RATE},
    {"key", FIELD_STRING, AT(key_body, key), FIELD_OPTIONAL,
     .doc = "Its text, for Authorization: Bearer; only in the reply that makes it."},
    {0},
};
SHAPE(key, "A key.", key_body);

static const struct field key_page_rows[] = {
    {"items", FIELD_LIST, AT(page_body, items), .shape = &key_shape, .doc = "Keys, by id."},
    {"next_page_token", FIELD_STRING, AT(page_body, next_page_token),
     .doc = "\"\" on the last page."},
    {0},
};
SHAPE(key_page, "A page of keys.", page_body);
