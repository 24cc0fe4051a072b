/* store.h -- the small database: optimizers, versions, sessions, keys; nothing here changes with a
 * step
 *
 * One connection under one lock: rows are small, callers are threads that may wait for a disk
 * (never the network thread). Every writing call is one transaction and is durable when it returns.
 * Sessions whose durability is `memory` live in tables of the same shape that never reach the disk.
 */
#ifndef STORE_H
#define STORE_H

#include "buf.h"
#include "core/descent.h"
#include "limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;

enum durability { DURABILITY_STRICT, DURABILITY_RELAXED, DURABILITY_MEMORY };
extern const char *const durability_words[]; /* "strict", "relaxed", "memory", NULL */

/* Make DIR, for its owner only, unless it is there. FAULT_INTERNAL. */
bool store_make_dir(const char *dir, dsc_err *err) DSC_MUST_CHECK;

/* Make DIR and hold it for this program alone until *fd is closed: two servers would be two
 * writers. FAULT_INTERNAL when another holds it. */
bool store_lock_dir(const char *dir, int *fd, dsc_err *err) DSC_MUST_CHECK;

/* Open DIR/descent.db (making it), or, with dir NULL, a fresh one that nothing outlives, applying
 * migrations/small. FAULT_INTERNAL with a sentence; a database newer than this program is refused.
 */
bool store_open(struct store **out, const char *dir, dsc_err *err) DSC_MUST_CHECK;
void store_close(struct store *store); /* NULL is fine */

/* Can it be written? Writes the same again and makes that durable, once a second at the most: a
 * success is remembered that long. FAULT_STORAGE_FULL, FAULT_INTERNAL. */
bool store_probe(struct store *store, dsc_err *err) DSC_MUST_CHECK;

/* The calls between store_begin and store_end, on one thread, are one transaction: the others wait.
 * store_end makes them durable when `ok`, and otherwise undoes them; it returns whether they are
 * now durable. Transactions nest: the outermost decides, so a caller whose inner one was not ok
 * must not be ok either. */
bool store_begin(struct store *store, dsc_err *err) DSC_MUST_CHECK;
bool store_end(struct store *store, bool ok, dsc_err *err) DSC_MUST_CHECK;

/* Texts in rows are borrowed from the arena given to the call. Times are milliseconds since 1970.
 */
struct optimizer_row {
    int64_t id;
    const char *name, *family, *config, *description, *labels; /* config, labels: JSON texts */
    bool builtin;
    int64_t latest_version; /* 0 when it has none */
    int64_t created_at;
    int64_t claim; /* that its insertion fulfils; 0: none. So in the rows below. */
};

struct version_row {
    int64_t id, optimizer_id, number;
    const char *optimizer, *family, *config, *sha256, *source;
    const char *job, *parent,
        *metrics; /* "", "", "{}" when it has none; so means NULL on insertion */
    int64_t size_bytes, weights_count, created_at, claim;
};

/* A tensor of a session's layout. */
struct tensor_row {
    const char *name;
    const char *shape;     /* "784,20" */
    int64_t version_id;    /* its own optimizer; 0: the session's */
    const char *optimizer; /* that one as "adam:1", or NULL */
};

/* Numbers of `memory` sessions are greater. */
#define STORE_MEMORY_SEQ ((int64_t)1 << 62)

struct session_row {
    int64_t seq; /* ascending with creation */
    const char *id;
    int64_t version_id;
    const char *optimizer; /* "name:7" */
    int64_t coordinates;
    enum durability durability;
    const char *labels;          /* JSON */
    int64_t ttl_seconds;         /* 0: none */
    int64_t created_at, used_at; /* used_at is not later than the last use */
    double clip_norm;            /* 0: none */
    int64_t state_bytes;         /* -1: from before this was kept */
    int64_t claim;
    size_t tensors; /* of its layout; 0 when it was made by a number of coordinates */
    struct tensor_row *tensor;
};

/* Which sessions a listing is about; zeroes: all. */
struct session_filter {
    int64_t optimizer_id, version_id; /* the session's own, not those of its tensors */
    size_t labels;
    struct label_filter {
        const char *name, *value;
    } label[LIMIT_LABEL_FILTERS];
    int64_t expired_at; /* those whose ttl, as far as their rows know, was over then; 0: all */
};

/* Insert an optimizer without versions; fills created_at. FAULT_ALREADY_EXISTS. */
bool store_optimizer_insert(struct store *store, struct optimizer_row *row,
                            dsc_err *err) DSC_MUST_CHECK;
bool store_optimizer_find(struct store *store, const char *name, struct optimizer_row *out,
                          dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND */
/* Names after `after` (NULL: from the first), ascending; *count rows, from the arena. */
bool store_optimizer_list(struct store *store, const char *after, size_t max,
                          struct optimizer_row **out, size_t *count, dsc_arena *arena,
                          dsc_err *err) DSC_MUST_CHECK;
/* FAULT_NOT_FOUND, FAULT_BUILTIN_PROTECTED, FAULT_IN_USE. */
bool store_optimizer_delete(struct store *store, const char *name, dsc_err *err) DSC_MUST_CHECK;

/* A new version; its number is one more than any ever given, its id was never used. Fills
 * optimizer_id, id, number and created_at. The same weights are kept once for all versions. */
bool store_version_insert(struct store *store, struct version_row *row, const struct buf *weights,
                          dsc_err *err) DSC_MUST_CHECK;
/* number 0 means the highest. FAULT_NOT_FOUND for optimizer or version, FAULT_NO_VERSION when it
 * has none. */
bool store_version_find(struct store *store, const char *optimizer, int64_t number,
                        struct version_row *out, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
bool store_version_by_id(struct store *store, int64_t id, struct version_row *out, dsc_arena *arena,
                         dsc_err *err) DSC_MUST_CHECK;
bool store_version_list(struct store *store, const char *optimizer, int64_t after, size_t max,
                        struct version_row **out, size_t *count, dsc_arena *arena,
                        dsc_err *err) DSC_MUST_CHECK;
bool store_version_weights(struct store *store, int64_t version_id, struct buf **out,
                           dsc_err *err) DSC_MUST_CHECK; /* *out is the caller's count */
bool store_version_delete(struct store *store, const char *optimizer, int64_t number, dsc_err *err)
    DSC_MUST_CHECK; /* FAULT_NOT_FOUND, _BUILTIN_PROTECTED, _IN_USE */

/* What people may change of an optimizer; a NULL leaves it. FAULT_NOT_FOUND. */
bool store_optimizer_update(struct store *store, const char *name, const char *description,
                            const char *labels, dsc_err *err) DSC_MUST_CHECK;

/* Aliases of an optimizer, by name. A version that one points at cannot be deleted. */
struct alias_row {
    const char *optimizer, *name;
    int64_t version_id, version; /* the latter is the number people see */
    int64_t revision;            /* never the same again for this name: its entity tag */
    int64_t created_at, updated_at;
};

/* A move to a version, whose number may be of one that is gone; 0: the alias was deleted. */
struct alias_move_row {
    int64_t revision, version, moved_at;
};

/* FAULT_NOT_FOUND for optimizer or alias. */
bool store_alias_find(struct store *store, const char *optimizer, const char *alias,
                      struct alias_row *out, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
bool store_alias_list(struct store *store, const char *optimizer, const char *after, size_t max,
                      struct alias_row **out, size_t *count, dsc_arena *arena,
                      dsc_err *err) DSC_MUST_CHECK;
/* Let it point at a version; `fresh` when it did not exist. In one transaction with the search for
 * both. FAULT_QUOTA_EXCEEDED beyond LIMIT_ALIASES. */
bool store_alias_put(struct store *store, const struct version_row *version, const char *alias,
                     bool fresh, dsc_err *err) DSC_MUST_CHECK;
bool store_alias_delete(struct store *store, const char *optimizer, const char *alias,
                        dsc_err *err) DSC_MUST_CHECK;
/* The last LIMIT_ALIAS_MOVES moves, oldest first, also of an alias that was deleted. */
bool store_alias_moves(struct store *store, const char *optimizer, const char *alias, int64_t after,
                       size_t max, struct alias_move_row **out, size_t *count, dsc_arena *arena,
                       dsc_err *err) DSC_MUST_CHECK;

/* Sessions. Fills seq, unless it was reserved. FAULT_NOT_FOUND when a version is gone. */
bool store_session_insert(struct store *store, struct session_row *row,
                          dsc_err *err) DSC_MUST_CHECK;
bool store_session_find(struct store *store, const char *id, struct session_row *out,
                        dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* Sessions after *cursor (0: from the first) in order of creation, without their tensors. *cursor
 * becomes where to go on, or 0 at the end. Examines at most LIMIT_SCAN rows, so a page of a filter
 * that few sessions pass may be short before the end. */
bool store_session_list(struct store *store, const struct session_filter *filter, int64_t *cursor,
                        size_t max, struct session_row **out, size_t *count, dsc_arena *arena,
                        dsc_err *err) DSC_MUST_CHECK;
bool store_session_delete(struct store *store, const char *id, dsc_err *err) DSC_MUST_CHECK;
/* Those whose ttl, as far as their rows know, was over at `then`: at most max, the longest first.
 */
bool store_session_unused(struct store *store, int64_t then, size_t max, struct session_row **out,
                          size_t *count, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* Tell a row when its session was last used. */
bool store_session_used(struct store *store, const char *id, int64_t used_at,
                        dsc_err *err) DSC_MUST_CHECK;

/* What people may change of a session; used_at comes along, as a new ttl begins to count then.
 * FAULT_NOT_FOUND. */
bool store_session_update(struct store *store, const struct session_row *row,
                          dsc_err *err) DSC_MUST_CHECK;
/* Sessions that a version, or any version of the optimizer (version 0), is pinned by: at most max,
 * without their tensors. */
bool store_session_users(struct store *store, int64_t optimizer_id, int64_t version_id, size_t max,
                         struct session_row **out, size_t *count, dsc_arena *arena,
                         dsc_err *err) DSC_MUST_CHECK;

/* A deleted session's rows in the bulk database are still to be erased: *seq is one such, or 0. A
 * caller that has erased them says so. */
bool store_erasure_next(struct store *store, int64_t *seq, dsc_err *err) DSC_MUST_CHECK;
bool store_erasure_done(struct store *store, int64_t seq, dsc_err *err) DSC_MUST_CHECK;

/* Numbers for the bulk database that nobody else gets: what is written there under one is garbage,
 * to be erased, until the row that owns it is inserted. */
bool store_session_reserve(struct store *store, int64_t *seq, dsc_err *err) DSC_MUST_CHECK;
bool store_checkpoint_reserve(struct store *store, int64_t *number, dsc_err *err) DSC_MUST_CHECK;

/* States of sessions by name; in the bulk database under -number. */
struct checkpoint_row {
    int64_t number, session; /* session.seq */
    const char *name;
    int64_t step, created_at, claim;
    const char *session_id; /* for the claim's location */
};

/* With a reserved number; fills created_at. FAULT_ALREADY_EXISTS. */
bool store_checkpoint_insert(struct store *store, struct checkpoint_row *row,
                             dsc_err *err) DSC_MUST_CHECK;
/* FAULT_NOT_FOUND. */
bool store_checkpoint_find(struct store *store, int64_t session, const char *name,
                           struct checkpoint_row *out, dsc_arena *arena,
                           dsc_err *err) DSC_MUST_CHECK;
/* Numbers after `after`, ascending: in the order in which they were made. */
bool store_checkpoint_list(struct store *store, int64_t session, int64_t after, size_t max,
                           struct checkpoint_row **out, size_t *count, dsc_arena *arena,
                           dsc_err *err) DSC_MUST_CHECK;
bool store_checkpoint_delete(struct store *store, int64_t number, dsc_err *err) DSC_MUST_CHECK;
/* Those of `memory` sessions, which a process leaves behind when it ends. */
bool store_checkpoint_clear(struct store *store, dsc_err *err) DSC_MUST_CHECK;

/* Requests that create, by their Idempotency-Key. */
struct claim_row {
    int64_t id;
    const char *key, *request; /* hashes in hexadecimal */
    const char *location;      /* of what was made; "": nothing yet */
    struct buf *answer;        /* a count of the caller's; empty when it was not kept */
    int64_t created_at;
};

/* Fills id and created_at; lets go of some whose time is over. FAULT_QUOTA_EXCEEDED. */
bool store_claim_insert(struct store *store, struct claim_row *row, dsc_err *err) DSC_MUST_CHECK;
/* One whose time is not over. */
bool store_claim_find(struct store *store, const char *key, struct claim_row *out, bool *found,
                      dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
/* In the transaction that makes the thing; claim 0 is none. */
bool store_claim_fulfil(struct store *store, int64_t claim, const char *location,
                        dsc_err *err) DSC_MUST_CHECK;
bool store_claim_answer(struct store *store, int64_t claim, const void *bytes, size_t len,
                        dsc_err *err) DSC_MUST_CHECK;
/* Unless something was made. */
bool store_claim_drop(struct store *store, int64_t claim, dsc_err *err) DSC_MUST_CHECK;

/* Keys, in order of id. A key's text is not here, only its hash. */
struct key_row {
    const char *id;   /* 16 hexadecimal digits */
    const char *name; /* unique */
    const char *scopes, *hash;
    int64_t created_at, rotated_at, expires_at, last_used_at; /* 0: never */
    int64_t requests_per_minute;                              /* 0: no bound */
};

/* FAULT_ALREADY_EXISTS when the name is taken, FAULT_QUOTA_EXCEEDED beyond LIMIT_KEYS. */
bool store_key_insert(struct store *store, const struct key_row *row, dsc_err *err) DSC_MUST_CHECK;
bool store_key_find(struct store *store, const char *id, struct key_row *out, dsc_arena *arena,
                    dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND */
bool store_key_list(struct store *store, const char *after, size_t max, struct key_row **out,
                    size_t *count, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;
bool store_key_count(struct store *store, int64_t *count, dsc_err *err) DSC_MUST_CHECK;
/* Everything but id, created_at and last_used_at. FAULT_NOT_FOUND, FAULT_ALREADY_EXISTS. */
bool store_key_update(struct store *store, const struct key_row *row, dsc_err *err) DSC_MUST_CHECK;
bool store_key_touch(struct store *store, const char *id, int64_t last_used_at,
                     dsc_err *err) DSC_MUST_CHECK; /* a key that is gone is no failure */
bool store_key_delete(struct store *store, const char *id, dsc_err *err) DSC_MUST_CHECK;

#endif
