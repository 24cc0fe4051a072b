/* session.c -- sessions begin, start over and end
 *
 * The rest of a session's life: session_table.c (in memory), session_turn.c (one at a time),
 * session_load.c (out of the journal), session_step.c (an update), session_expiry.c (unused). */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include <semaphore.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* --- begin --- */

const char *session_make_id(dsc_arena *arena)
{
    unsigned char bytes[16];
    char id[4 + 2 * sizeof bytes + 1] = "ses_";

    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(id + 4, sizeof id - 4, bytes, sizeof bytes);
    return dsc_arena_text(arena, id, sizeof id - 1);
}

/* Nobody knows the id yet, so the session may be in the table before its row is in the database. */
static bool admit(struct sessions *sessions, struct session *session, struct session_row *row,
                  dsc_err *err)
{
    struct session *held = NULL;

    if (!session_fill(sessions, session, row, NULL, err) ||
        !session_table_add(sessions, session, &held, err)) {
        session_free(session);
        return false;
    }
    row->state_bytes = (int64_t)groups_state_bytes(session->groups);
    const bool ok = store_session_insert(sessions->means.store, row, err);
    if (ok)
        session->seq = row->seq;
    else
        session_forget(sessions, session);
    session_turn_release(session, sessions->means.compute);
    session_drop(sessions, session);
    return ok;
}

bool session_create(struct sessions *sessions, struct session_row *row, dsc_arena *arena,
                    dsc_err *err)
{
    struct session *session = NULL;

    row->id = session_make_id(arena);
    row->created_at = row->used_at = session_now(sessions);
    if (!row->id)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the session");
    return session_make(sessions, row, &session, err) && admit(sessions, session, row, err);
}

/* --- the turn, for others --- */

bool session_enter(struct sessions *sessions, struct session *session, dsc_err *err)
{
    if (!session_turn_wait(session, err))
        return false;
    if (session_here(session, err))
        return true;
    session_leave(sessions, session);
    return false;
}

void session_leave(struct sessions *sessions, struct session *session)
{
    session_turn_release(session, sessions->means.compute);
}

void session_set_ttl(struct session *session, int64_t ttl_seconds, int64_t now)
{
    session->ttl_ms = ttl_seconds * 1000;
    pthread_mutex_lock(&session->lock);
    session->used_at = now;
    pthread_mutex_unlock(&session->lock);
}

uint64_t session_step_now(const struct session *session)
{
    return session->steps;
}

size_t session_n(const struct session *session)
{
    return session->n;
}

bool session_light(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    const bool light = session->light;
    pthread_mutex_unlock(&session->lock);
    return light;
}

/* --- start over --- */

struct waiting {
    struct record record;
    sem_t ready;
    dsc_err err;
};

static void committed(struct record *record, const dsc_err *err)
{
    struct waiting *const waiting = (struct waiting *)(void *)record; /* its first member */

    if (err)
        waiting->err = *err;
    sem_post(&waiting->ready);
}

bool session_commit(struct journal *journal, const struct record *record, dsc_err *err)
{
    struct waiting waiting = {.record = *record};

    waiting.record.done = committed;
    sem_init(&waiting.ready, 0, 0);
    const bool queued = journal_append(journal, &waiting.record);
    while (queued && sem_wait(&waiting.ready) != 0)
        ;
    sem_destroy(&waiting.ready);
    if (!queued)
        return dsc_fail(err, FAULT_OVERLOADED, "", "too many updates wait for the disk; try again");
    if (waiting.err.code != DSC_OK && err)
        *err = waiting.err;
    return waiting.err.code == DSC_OK;
}

/* Erase what the journal has of a session and wait until that is as durable as asked. */
static bool erase(struct journal *journal, int64_t seq, enum durability durability, int64_t used_at,
                  dsc_err *err)
{
    const struct record record = {.kind = RECORD_ERASE,
                                  .durability = durability,
                                  .session = seq,
                                  .chunk = -1,
                                  .used_at = used_at};

    return durability == DURABILITY_MEMORY || session_commit(journal, &record, err);
}

void session_started(struct session *session, uint64_t step, int64_t used_at)
{
    buf_drop(session->gradient);
    buf_drop(session->update);
    session->gradient = session->update = NULL;
    pthread_mutex_lock(&session->lock);
    session->steps = step;
    session->used_at = used_at;
    pthread_mutex_unlock(&session->lock);
}

bool session_reset(struct sessions *sessions, struct session *session, dsc_err *err)
{
    if (!session_enter(sessions, session, err))
        return false;
    const int64_t used_at = session_use(sessions, session);
    const bool ok = erase(sessions->means.journal, session->seq, session->durability, used_at, err);
    if (ok) {
        groups_reset(session->groups);
        memset(session->chunk_step, 0, sizeof session->chunk_step);
        session->imported = false;
        session_history_cut(session, 0);
        session_started(session, 0, used_at);
    }
    session_leave(sessions, session);
    return ok;
}

/* --- end --- */

/* A relaxed session too: after that nobody looks for its rows again. */
bool session_erase(const struct session_means *means, int64_t number, dsc_err *err)
{
    return erase(means->journal, number, DURABILITY_STRICT, 0, err) &&
           store_erasure_done(means->store, number, err);
}

/* What a crash between the two transactions of a deletion left. */
static bool erase_left_over(const struct session_means *means, dsc_err *err)
{
    int64_t seq;

    while (store_erasure_next(means->store, &seq, err)) {
        if (seq == 0)
            return true;
        log_line(LOG_INFO, "session_erase", "erasing what a deleted session left (%lld)",
                 (long long)seq);
        if (!session_erase(means, seq, err))
            return false;
    }
    return false;
}

static void erase_deleted(const struct session_means *means, const char *id, int64_t number)
{
    if (!session_erase(means, number, NULL))
        log_line(LOG_WARN, "session_erase", "the journal of %s stays until the next start", id);
}

/* The row goes first: from then on the session and its checkpoints are gone, and what the journal
 * still has of them is only garbage, removed here or at the next start. */
static bool delete_in_turn(struct sessions *sessions, struct session *session, dsc_err *err)
{
    const struct session_means *const means = &sessions->means;
    struct checkpoint_row *checkpoint = NULL;
    size_t count = 0;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = store_checkpoint_list(means->store, session->seq, 0, LIMIT_CHECKPOINTS,
                                          &checkpoint, &count, &arena, err) &&
                    store_session_delete(means->store, session->id, err);
    if (ok) {
        session->gone = true;
        session_table_remove(sessions, session);
    }
    for (size_t i = 0; ok && i < count; i++)
        erase_deleted(means, session->id, -checkpoint[i].number);
    if (ok && session->durability != DURABILITY_MEMORY)
        erase_deleted(means, session->id, session->seq);
    dsc_arena_release(&arena);
    return ok;
}

/* The session in memory with its turn taken, or, when it is not there, a stand-in that is never
 * loaded and keeps others from loading it. */
static bool take_for_deletion(struct sessions *sessions, const struct session_row *row,
                              struct session **out, dsc_err *err)
{
    struct session *stand_in = NULL;

    if (!session_make(sessions, row, &stand_in, err))
        return false;
    stand_in->bytes = 0;
    if (!session_table_add(sessions, stand_in, out, err)) {
        session_free(stand_in);
        return false;
    }
    if (*out == stand_in)
        return true;
    session_free(stand_in);
    if (session_turn_wait(*out, err))
        return true;
    session_drop(sessions, *out);
    return false;
}

bool session_delete_row(struct sessions *sessions, const struct session_row *row, dsc_err *err)
{
    struct session *session = NULL;

    if (!take_for_deletion(sessions, row, &session, err))
        return false;
    const bool ok = delete_in_turn(sessions, session, err);
    if (!session->loaded)
        session_forget(sessions, session);
    session_turn_release(session, sessions->means.compute);
    session_drop(sessions, session);
    return ok;
}

bool session_delete(struct sessions *sessions, const char *id, dsc_err *err)
{
    struct session_row row;
    dsc_arena arena;

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = store_session_find(sessions->means.store, id, &row, &arena, err) &&
                    session_delete_row(sessions, &row, err);
    dsc_arena_release(&arena);
    return ok;
}

/* --- all of them --- */

bool sessions_open(struct sessions **out, const struct session_means *means, dsc_err *err)
{
    if (!store_checkpoint_clear(means->store, err) || !erase_left_over(means, err))
        return false;
    struct sessions *const sessions = calloc(1, sizeof *sessions);
    if (!sessions)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the table of sessions");
    pthread_mutex_init(&sessions->lock, NULL);
    sessions->means = *means;
    sessions->usage.bytes_budget = means->memory_budget;
    *out = sessions;
    return true;
}

void sessions_close(struct sessions *sessions)
{
    if (!sessions)
        return;
    for (size_t i = 0; i < SESSION_BUCKETS; i++)
        for (struct session *session = sessions->bucket[i], *next; session; session = next) {
            next = session->next;
            session_free(session);
        }
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}
