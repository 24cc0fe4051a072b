/* session.h -- optimizations in progress: each one's turn, its step number, its last answer
 *
 * A session is a run of the core plus what makes it safe to talk to over a network: requests take
 * turns, a step sent twice is answered twice with the same bits, and an answered step is in the
 * journal. A session is in memory from its first use; after a restart it is loaded from the journal
 * when somebody asks for it. */
#ifndef SESSION_H
#define SESSION_H

#include "buf.h"
#include "pool.h"
#include "registry.h"
#include "store.h"
#include "store_journal.h"
#include <stdatomic.h>

struct sessions;
struct session;

#define SESSION_SPANS_MAX 16

bool sessions_open(struct sessions **out, struct store *store, struct journal *journal,
                   struct registry *registry, struct pool *compute, dsc_err *err) DSC_MUST_CHECK;
void sessions_close(struct sessions *sessions); /* when no request is in flight; NULL is fine */

/* A count of a session in memory, or NULL. Never waits for a disk. */
struct session *session_find(struct sessions *sessions, const char *id);

/* The same, loading it when it is not there: reads the journal and replays up to 80 steps. work is
 * scratch. FAULT_NOT_FOUND, FAULT_SESSION_EXPIRED. */
bool session_load(struct sessions *sessions, const char *id, struct session **out, float *work,
                  dsc_err *err) DSC_MUST_CHECK;
void session_drop(struct sessions *sessions, struct session *session); /* NULL is fine */

/* Create from a row whose id, seq and version are filled by the callee and whose other members are
 * checked. */
bool session_create(struct sessions *sessions, struct session_row *row,
                    dsc_err *err) DSC_MUST_CHECK;

size_t session_n(const struct session *session);
uint64_t session_steps(struct sessions *sessions, struct session *session);
size_t session_state_bytes(const struct session *session);

/* One update on its way. The caller fills the first part and keeps the struct until done is called,
 * once, on any thread; done must not block. */
struct session_step {
    struct buf *gradient; /* n float32; the count is taken */
    bool has_step;
    uint64_t step;
    double limit; /* the largest |update| that the answer's format can carry */
    void (*done)(struct session_step *step, const dsc_err *err); /* err is NULL on success */

    struct buf *update; /* out: n float32, a count for the caller */
    uint64_t next;      /* out: the session's step now            */
    bool replayed;
    uint64_t queued_ns, compute_ns, persist_ns;

    struct sessions *sessions; /* the rest is session.c's */
    struct session *session;
    struct task task;
    struct session_step *waiting;
    struct record record;
    struct buf *chunk;
    dsc_err failure;
    uint64_t began_ns;
    atomic_int pending, computing;
    struct session_span {
        struct task task;
        struct session_step *step;
        size_t begin, end;
    } span[SESSION_SPANS_MAX];
};

/* Start a step. Fails through done: FAULT_STEP_STALE, FAULT_STEP_GAP, FAULT_STEP_PAYLOAD_MISMATCH,
 * FAULT_NON_FINITE_..., FAULT_OVERLOADED, FAULT_STORAGE_FULL ... and then nothing has changed. The
 * session's count is the caller's. */
void session_step(struct sessions *sessions, struct session *session, struct session_step *step,
                  float *work);

/* Back to the initial state and step 0; waits for its turn and the disk. */
bool session_reset(struct sessions *sessions, struct session *session, dsc_err *err) DSC_MUST_CHECK;

/* End a session; waits as above. */
bool session_delete(struct sessions *sessions, const char *id, float *work,
                    dsc_err *err) DSC_MUST_CHECK;

#endif
