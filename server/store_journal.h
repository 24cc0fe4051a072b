/* store_journal.h -- the bulk database: gradients of answered steps and rolling chunks of state
 *
 * One committer thread takes every record that waits into one transaction (one for `strict`
 * sessions, synced to the disk, and one for `relaxed` ones), then calls each record's done. Records
 * are appended from any thread and never wait; loading is for threads that may. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "buf.h"
#include "core/descent.h"
#include "probe.h"
#include "store.h"

struct journal;

enum record_kind {
    RECORD_STEP,  /* a gradient, perhaps a chunk, and the end of older gradients */
    RECORD_ERASE, /* everything of the session: a reset or a deletion            */
    RECORD_STATE, /* the same, and then all chunks as they are before `step`, from which on there is
                     no history */
};

/* Owned by the caller until done is called, on the committer's thread; done must not block. */
struct record {
    enum record_kind kind;
    enum durability durability;
    int64_t session;
    uint64_t step;
    const void *gradient; /* bytes, borrowed */
    size_t gradient_bytes;
    int64_t chunk;     /* index of the chunk that travels along, or -1 */
    const void *state; /* its state from before the step, borrowed     */
    size_t state_bytes;
    uint64_t keep_from; /* gradients of earlier steps may go */
    size_t chunks;      /* RECORD_STATE: how many */
    /* Chunk i, a count for the committer, which asks for one after the other; NULL when there is no
     * memory for it. */
    struct buf *(*chunk_of)(struct record *record, size_t i);
    void *arg;         /* the caller's own */
    bool imported;     /* RECORD_STATE: the state came from a file */
    const void *trail; /* RECORD_STEP: history entries that ride with the gradient, borrowed */
    size_t trail_bytes;
    const void *block; /* entries of the steps from block_first on, for the history, borrowed */
    size_t block_bytes;
    uint64_t block_first;
    int64_t used_at; /* when this is, ms since 1970; 0: nobody will ask (journal_used) */
    void (*done)(struct record *record, const dsc_err *err); /* err is NULL on success */
    struct record *next;
};

/* Open DIR/bulk.db, applying migrations/bulk. The probe is borrowed; NULL is fine. */
bool journal_open(struct journal **out, const char *dir, struct probe *probe,
                  dsc_err *err) DSC_MUST_CHECK;
void journal_close(struct journal *journal); /* commits what waits; NULL is fine */

/* What waits for the committer, and what it has done since the start. Any thread. */
struct journal_usage {
    size_t waiting;      /* records that the committer has not taken */
    size_t bytes;        /* what these, and those that it has, pin   */
    uint64_t commits[2]; /* of relaxed ones, of strict ones */
    uint64_t failures, records, commit_ns;
};
struct journal_usage journal_usage(struct journal *journal);

/* Queue a record; false when the queue is full. */
bool journal_append(struct journal *journal, struct record *record) DSC_MUST_CHECK;

/* What is kept of a session: all of its chunks, by index, or the gradient of the first step from
 * `from` on (no row when there is none). The callback gets each row's bytes, `part` in order from
 * 0; returning false ends the walk. One gradient at a time, because between two of them a load
 * takes a step, and a long read would keep the write-ahead log from being reused. */
struct journal_row {
    uint64_t key; /* step, or chunk index */
    uint64_t step;
    size_t part;
    const void *bytes;
    size_t len;
    const void *trail; /* of a gradient's first row; else NULL */
    size_t trail_len;
};
typedef bool journal_walk(void *arg, const struct journal_row *row, dsc_err *err);

bool journal_chunks(struct journal *journal, int64_t session, journal_walk *row, void *arg,
                    dsc_err *err) DSC_MUST_CHECK;
bool journal_gradient(struct journal *journal, int64_t session, uint64_t from, journal_walk *row,
                      void *arg, dsc_err *err) DSC_MUST_CHECK;

/* Its history: a row for each block, by first step. */
struct journal_extent {
    uint64_t first, end, count; /* steps [first, end), of which `count` have an entry */
};
bool journal_history_extent(struct journal *journal, int64_t session, struct journal_extent *extent,
                            dsc_err *err) DSC_MUST_CHECK;
bool journal_history(struct journal *journal, int64_t session, journal_walk *row, void *arg,
                     dsc_err *err) DSC_MUST_CHECK;

/* When the session was last used, as its records say; 0 when none did. */
bool journal_used(struct journal *journal, int64_t session, int64_t *at,
                  dsc_err *err) DSC_MUST_CHECK;

/* Where the session's steps begin, as its last RECORD_STATE said; zeroes when there was none. */
struct journal_base {
    uint64_t step;
    bool imported;
};
bool journal_base(struct journal *journal, int64_t session, struct journal_base *base,
                  dsc_err *err) DSC_MUST_CHECK;

/* The step it is at: one more than the last gradient's, or where its steps begin. */
bool journal_steps(struct journal *journal, int64_t session, uint64_t *steps,
                   dsc_err *err) DSC_MUST_CHECK;

#endif
