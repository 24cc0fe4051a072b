/* session_impl.h -- what the files behind session.h share: the structs, the table, the turn
 *
 * Locks, in order: the table's, then one session's; neither is held during numerics or I/O. What a
 * lock does not name is touched only by whoever has the session's turn. */
#ifndef SESSION_IMPL_H
#define SESSION_IMPL_H

#include "session.h"
#include <pthread.h>

enum {
    SESSION_BUCKETS = 1 << 16,
    SESSION_PERIOD = 80, /* steps in which every chunk is written once */
};

_Static_assert(GROUPS_CHUNKS_MAX <= SESSION_PERIOD, "a step takes one chunk along at most");
_Static_assert((int)HISTORY_BLOCK == (int)SESSION_PERIOD,
               "gradients are kept as long as their trail");
_Static_assert(sizeof(struct history_entry) == 24, "as the journal's statements count");

struct session {
    char id[40];
    int64_t seq, ttl_ms; /* 0: for ever */
    enum durability durability;
    size_t n, bytes;  /* coordinates; what it takes of the memory budget */
    double clip_norm; /* of the whole gradient, before any optimizer sees it; 0: none */

    struct groups *groups;                  /* NULL until it has been loaded */
    uint64_t chunk_step[GROUPS_CHUNKS_MAX]; /* each chunk in the journal is from before this step */
    struct buf *gradient, *update;          /* of the last answered step; NULL when there is none */
    bool stale;                             /* what memory knows is not what the journal knows */
    bool gone;                              /* the session has been deleted */
    bool imported;                          /* its state came from a file */
    struct history_trail trail;             /* of the steps that are in no row yet */
    struct buf *past;                       /* of a `memory` session: what the rows would have */
    uint64_t past_first;

    struct session *next;          /* the table's: in its bucket */
    struct session *newer, *older; /* the table's: by last use */
    int holders;                   /* the table's */
    bool linked;                   /* the table's: it is in there */

    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t turn;
    uint64_t steps;  /* answered */
    int64_t used_at; /* ms since 1970: made, took its last new step, was reset */
    bool loaded, light, busy;
    size_t in_line;
    struct session_place *first, *last; /* waiting for their turn */
};

struct sessions {
    struct session_means means;
    pthread_mutex_t lock;
    struct session *bucket[SESSION_BUCKETS];
    struct session *newest, *oldest;
    struct session_usage usage;
};

/* --- session_table.c: which sessions are in memory --- */

/* Put a session in, unless one of its id is there or the budget does not allow it: then *out is
 * that one (a count for the caller), or NULL with err. Evicts others to make room. On success *out
 * is the session itself, with a count for the caller. */
bool session_table_add(struct sessions *sessions, struct session *session, struct session **out,
                       dsc_err *err) DSC_MUST_CHECK;

/* Take it out, so that the next request loads it again; those who hold it keep it until then. */
void session_table_remove(struct sessions *sessions, struct session *session);

void session_table_count_load(struct sessions *sessions);
void session_table_count_expired(struct sessions *sessions);

void session_free(struct session *session); /* when nobody holds it; NULL is fine */

/* --- session_turn.c: one request at a time --- */

enum session_turn { TURN_MINE, TURN_LATER, TURN_FULL };

/* Take the turn, or get into the line: then place->task runs on the pool when it is its turn. */
enum session_turn session_turn_take(struct session *session, struct session_place *place);

/* Wait for the turn on this thread. FAULT_OVERLOADED when the line is full. */
bool session_turn_wait(struct session *session, dsc_err *err) DSC_MUST_CHECK;

/* Give the turn to the next in line. */
void session_turn_release(struct session *session, struct pool *pool);

/* Forget what memory knows: the next request loads the session from the journal. Has the turn. */
void session_forget(struct sessions *sessions, struct session *session);

/* Is what memory knows still true? FAULT_NOT_FOUND when the session has been deleted meanwhile,
 * FAULT_OVERLOADED when it must be loaded again. Has the turn. */
bool session_here(const struct session *session, dsc_err *err) DSC_MUST_CHECK;

/* --- session_plan.c: which optimizers, for which coordinates --- */

struct session_plan {
    int count;
    int64_t version[GROUPS_MAX];
    dsc_model *model[GROUPS_MAX]; /* a count of each */
    struct slice *slice;          /* [slices] in the client's order */
    size_t slices;
};

/* FAULT_INVALID_VALUE when the layout names too many versions, FAULT_NOT_FOUND, _OUT_OF_MEMORY;
 * then there is nothing to close. */
bool session_plan_open(struct session_plan *plan, struct registry *registry,
                       const struct session_row *row, dsc_err *err) DSC_MUST_CHECK;
void session_plan_close(struct session_plan *plan);
size_t session_plan_state_bytes(const struct session_plan *plan);

/* --- what the optimizers see of a gradient --- */

/* Is that anything else than the client's gradient itself? Then session_arrange makes it: from [n]
 * in the client's order, of which `squares` is norm_squares, to [n] in group order, clipped. */
bool session_arranges(const struct session *session);
void session_arrange(const struct session *session, float *to, const float *from, double squares);

/* --- session_history.c --- */

/* A `memory` session's trail is full: keep it. False when there is no memory. */
bool session_history_flush(struct session *session);

/* There is no history from a step on. */
void session_history_cut(struct session *session, uint64_t step);

/* --- session_load.c: from the journal --- */

/* A session for a row, not loaded, its turn taken by the caller, held by nobody. */
bool session_make(struct sessions *sessions, const struct session_row *row, struct session **out,
                  dsc_err *err) DSC_MUST_CHECK;

/* Groups of the row's kind in their initial state; *out is the caller's. */
bool session_groups_new(struct sessions *sessions, const struct session_row *row,
                        struct groups **out, dsc_err *err) DSC_MUST_CHECK;

/* Load the chunks that are kept under a number, and say which step each is from before; what is not
 * kept is left alone. `id` is for the log. */
bool session_chunks_load(struct journal *journal, const char *id, int64_t number,
                         struct groups *groups, uint64_t chunk_step[GROUPS_CHUNKS_MAX],
                         dsc_err *err) DSC_MUST_CHECK;

/* What the journal has does not fit the session: FAULT_INTERNAL, and a line in the log. */
bool session_damaged(const char *id, dsc_err *err);

/* Give it its state: the initial one, or, when there is work (scratch), what the journal has. */
bool session_fill(struct sessions *sessions, struct session *session, const struct session_row *row,
                  float *work, dsc_err *err) DSC_MUST_CHECK;

/* The chunk that travels with step t, or -1. */
int64_t session_chunk_due(const struct session *session, uint64_t t);

/* The step that gradients must be kept from when chunk `renewed` (or none: -1) is from before step
 * `step`. */
uint64_t session_keep_from(const struct session *session, int64_t renewed, uint64_t step);

/* --- session.c --- */

/* 128 random bits: ids cannot be guessed. From the arena, NULL when that is full. */
const char *session_make_id(dsc_arena *arena);

/* Append a copy of the record to the journal and wait until it is as durable as it says. */
bool session_commit(struct journal *journal, const struct record *record,
                    dsc_err *err) DSC_MUST_CHECK;

/* Erase what the bulk database has under a number that the small one no longer knows, for good. */
bool session_erase(const struct session_means *means, int64_t number, dsc_err *err) DSC_MUST_CHECK;

/* The session is at this step, which no answer has led to. Has the turn. */
void session_started(struct session *session, uint64_t step, int64_t used_at);

/* Delete the session of a row; waits for its turn and the disk. FAULT_NOT_FOUND. */
bool session_delete_row(struct sessions *sessions, const struct session_row *row,
                        dsc_err *err) DSC_MUST_CHECK;

/* --- session_expiry.c: not used for longer than its ttl --- */

int64_t session_now(const struct sessions *sessions); /* ms since 1970 */

/* When the session of a row that is not in memory was last used. May read the journal. */
bool session_used_at(struct sessions *sessions, const struct session_row *row, int64_t *at,
                     dsc_err *err) DSC_MUST_CHECK;

/* What a record of the session's use says: now, or 0 when the session lives for ever. */
int64_t session_use(const struct sessions *sessions, const struct session *session);

/* Has the session in memory expired? FAULT_SESSION_EXPIRED. */
bool session_check_expiry(const struct sessions *sessions, struct session *session,
                          dsc_err *err) DSC_MUST_CHECK;

#endif
