/* session.h -- optimizations in progress: each one's turn, its step number, its last answer
 *
 * A session is a few runs of the core (groups.h) plus what makes it safe to talk to over a network:
 * requests take turns, a step sent twice is answered twice with the same bits, and an answered step
 * is in the journal. A session comes into memory with its first use and leaves it again, least
 * recently used first, when the memory budget asks for it; nothing is lost by that, except that a
 * session of durability `memory` cannot leave. */
#ifndef SESSION_H
#define SESSION_H

#include "buf.h"
#include "groups.h"
#include "history.h"
#include "pool.h"
#include "registry.h"
#include "store.h"
#include "store_journal.h"
#include <stdatomic.h>

struct sessions;
struct session;

#define SESSION_RANGES_MAX 64

/* What sessions work with; everything is borrowed and outlives them. */
struct session_means {
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct pool *compute;
    size_t memory_budget;    /* bytes that sessions may hold in memory together */
    int64_t (*now_ms)(void); /* milliseconds since 1970; NULL: the machine's clock */
};

/* Finishes the deletions that a crash cut short, then stands ready; nothing is loaded yet. */
bool sessions_open(struct sessions **out, const struct session_means *means,
                   dsc_err *err) DSC_MUST_CHECK;
void sessions_close(struct sessions *sessions); /* when no request is in flight; NULL is fine */

/* How many are in memory, and their bytes. */
struct session_usage {
    size_t count, bytes, bytes_budget;
    uint64_t evicted, loaded, expired; /* since the start; expired are those removed */
};
struct session_usage sessions_usage(struct sessions *sessions);

/* A count of a session in memory, or NULL. Never waits for a disk. */
struct session *session_find(struct sessions *sessions, const char *id);

/* The same, loading it when it is not there: reads the journal and replays up to 80 steps. work is
 * scratch. FAULT_NOT_FOUND, FAULT_SESSION_EXPIRED, FAULT_OUT_OF_MEMORY. */
bool session_load(struct sessions *sessions, const char *id, struct session **out, float *work,
                  dsc_err *err) DSC_MUST_CHECK;
void session_drop(struct sessions *sessions, struct session *session); /* NULL is fine */

/* Create from a row whose id (from the arena), seq, time and state_bytes are filled by the callee
 * and whose other members are checked, but for the number of versions its layout names:
 * FAULT_INVALID_VALUE. FAULT_NOT_FOUND when one of them is gone, FAULT_OUT_OF_MEMORY. */
bool session_create(struct sessions *sessions, struct session_row *row, dsc_arena *arena,
                    dsc_err *err) DSC_MUST_CHECK;

size_t session_n(const struct session *session);

/* Does a step take only some microseconds (LIMIT_LIGHT_...)? False while it is being loaded. */
bool session_light(struct session *session);

/* The steps answered so far of a session that may or may not be in memory. May read the journal.
 * FAULT_NOT_FOUND when it has been deleted since its row was read. */
bool session_steps(struct sessions *sessions, const struct session_row *row, uint64_t *steps,
                   dsc_err *err) DSC_MUST_CHECK;

/* When the session of a row expires or has expired: its ttl after it was created, took its last new
 * step or was reset, whichever came last; in ms since 1970, 0: never. May read the journal. */
bool session_expires_at(struct sessions *sessions, const struct session_row *row, int64_t *at,
                        dsc_err *err) DSC_MUST_CHECK;
bool session_has_expired(const struct sessions *sessions, int64_t expires_at);

/* Remove sessions that expired a day ago, LIMIT_SWEEP_SESSIONS at most; true when there may be
 * more. Waits for the disk; failures are logged, and the session's turn comes again. */
bool sessions_sweep(struct sessions *sessions);

/* A place in a session's line. */
struct session_place {
    struct session_place *next;
    struct task *task; /* to run when it is its turn; NULL: a thread waits for `mine` */
    bool mine;
};

/* One update on its way. The caller fills the first part and keeps the struct until done is called,
 * once, on any thread; done must not block. */
struct session_step {
    struct buf *gradient; /* n float32; the count is taken */
    bool has_step;
    uint64_t step;
    double loss;  /* as the client says; NaN: it does not */
    double limit; /* the largest |update| that the answer's format can carry */
    void (*done)(struct session_step *step, const dsc_err *err); /* err is NULL on success */

    struct buf *update; /* out: n float32, a count for the caller */
    uint64_t next;      /* out: the session's step now            */
    bool replayed;
    uint64_t queue_ns, compute_ns, persist_ns; /* out: 0 where there was none */

    struct sessions *sessions; /* the rest is session_step.c's */
    struct session *session;
    struct task task;
    struct session_place place;
    struct buf *ordered, *fresh; /* gradient and update as the optimizers see them */
    double squares;              /* of the gradient */
    struct history_entry
        trail[HISTORY_BLOCK + 1]; /* what the record says of steps, this one last */
    struct record record;
    struct buf *chunk;
    dsc_err failure;
    uint64_t began_ns, compute_began_ns;
    atomic_int pending;   /* the computation and the record */
    atomic_int computing; /* ranges of this round of it */
    int round;
    size_t ranges;
    struct session_range {
        struct task task;
        struct session_step *step;
        struct range range;
    } range[SESSION_RANGES_MAX];
};

/* Start a step. Fails through done: FAULT_STEP_STALE, FAULT_STEP_GAP, FAULT_STEP_PAYLOAD_MISMATCH,
 * FAULT_NON_FINITE_..., FAULT_OVERLOADED, FAULT_STORAGE_FULL ... and then nothing has changed. The
 * session's count is the caller's. */
void session_step(struct sessions *sessions, struct session *session, struct session_step *step,
                  float *work);

/* Back to the initial state and step 0; waits for its turn and the disk. */
bool session_reset(struct sessions *sessions, struct session *session, dsc_err *err) DSC_MUST_CHECK;

/* Its history in at most `max` points, at least 8, and of how many steps there is one in *total.
 * The sampler is the caller's to close, whatever is returned. */
bool session_history(struct sessions *sessions, struct session *session, size_t max,
                     struct history_sampler *sampler, uint64_t *total, dsc_err *err) DSC_MUST_CHECK;

/* --- its state: session_snapshot.c; all of these wait for the session's turn, and for the disk ---
 */

/* A state between two steps. The groups are the session's, or on their way to be. */
struct session_state {
    struct groups *groups;
    uint64_t step;
    bool imported; /* from a file: see dsc_run_set_imported */
};

/* Let `read` see the state. */
typedef bool session_read_state(void *arg, const struct session_state *state, dsc_err *err);
bool session_look(struct sessions *sessions, struct session *session, session_read_state *read,
                  void *arg, dsc_err *err) DSC_MUST_CHECK;

/* Give the session the state that `fill` puts into groups of its kind, which come in their initial
 * state, at step 0. There is no last answer then. When it fails nothing has changed. */
typedef bool session_fill_state(void *arg, struct session_state *state, dsc_err *err);
bool session_replace(struct sessions *sessions, struct session *session, session_fill_state *fill,
                     void *arg, dsc_err *err) DSC_MUST_CHECK;

/* Keep the state under row->name; fills the rest of the row. FAULT_ALREADY_EXISTS,
 * FAULT_QUOTA_EXCEEDED. */
bool session_checkpoint(struct sessions *sessions, struct session *session,
                        struct checkpoint_row *row, dsc_err *err) DSC_MUST_CHECK;
bool session_checkpoint_delete(struct sessions *sessions, struct session *session, const char *name,
                               dsc_err *err) DSC_MUST_CHECK; /* FAULT_NOT_FOUND */
/* Back to it. FAULT_NOT_FOUND. */
bool session_restore(struct sessions *sessions, struct session *session, const char *name,
                     dsc_err *err) DSC_MUST_CHECK;

/* The versions of the groups of a row, in their order; returns how many. */
int session_versions(const struct session_row *row, int64_t version[GROUPS_MAX]);

/* A new session like this one, with its state as it is or as a checkpoint (NULL: none) has it.
 * Fills the row but for its claim, from the arena. FAULT_NOT_FOUND. */
bool session_fork(struct sessions *sessions, struct session *from, const char *checkpoint_name,
                  struct session_row *row, dsc_arena *arena, dsc_err *err) DSC_MUST_CHECK;

/* Have the session's turn: until session_leave nothing of it changes. FAULT_NOT_FOUND,
 * FAULT_OVERLOADED. */
bool session_enter(struct sessions *sessions, struct session *session, dsc_err *err) DSC_MUST_CHECK;
void session_leave(struct sessions *sessions, struct session *session);
/* Having it: another ttl (0: for ever), which counts from now on, as the row is to say. */
void session_set_ttl(struct session *session, int64_t ttl_seconds, int64_t now);
uint64_t session_step_now(const struct session *session);

/* End a session; waits as above. FAULT_NOT_FOUND. */
bool session_delete(struct sessions *sessions, const char *id, dsc_err *err) DSC_MUST_CHECK;

#endif
