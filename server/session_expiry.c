/* session_expiry.c -- sessions that nobody uses any more
 *
 * A session with a ttl expires when that much time has passed since its last use: it was made, took
 * a new step, or was reset. Looking at it is no use, and neither is a request that was refused or
 * answered again. From then on it answers FAULT_SESSION_EXPIRED, which nothing undoes; it can be
 * looked at for one more day, and then the sweeper removes it.
 *
 * The last use is part of the step's record in the journal, so that it survives what the step
 * survives. The small database, where sessions are searched by time, would cost a commit a step;
 * its used_at is only a moment that is not later than the last use. The sweeper takes the sessions
 * that are due by used_at, oldest first. One that was used since gets the true time and so leaves
 * the head of that queue: it is looked at once in a ttl and a day.
 *
 *     made        used       used                     expired          removed
 *      |-----------|----------|--------- ttl ----------|------ day ------|
 *      used_at ..................... sweeper: used_at + ttl + day -> the last use
 *
 * Held to account by tests/unit/test_session_expiry.c and tests/http/test_expiry.c. */
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "session_impl.h"

int64_t session_now(const struct sessions *sessions)
{
    return sessions->means.now_ms ? sessions->means.now_ms() : clock_ms();
}

/* --- the last use --- */

int64_t session_use(const struct sessions *sessions, const struct session *session)
{
    return session->ttl_ms ? session_now(sessions) : 0;
}

bool session_used_at(struct sessions *sessions, const struct session_row *row, int64_t *at,
                     dsc_err *err)
{
    int64_t journal = 0;

    if (row->ttl_seconds && row->seq && row->durability != DURABILITY_MEMORY &&
        !journal_used(sessions->means.journal, row->seq, &journal, err))
        return false;
    *at = journal > row->used_at ? journal : row->used_at;
    return true;
}

static int64_t used_in_memory(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    const int64_t at = session->used_at;
    pthread_mutex_unlock(&session->lock);
    return at;
}

/* --- expiring --- */

bool session_has_expired(const struct sessions *sessions, int64_t expires_at)
{
    return expires_at != 0 && session_now(sessions) >= expires_at;
}

bool session_expires_at(struct sessions *sessions, const struct session_row *row, int64_t *at,
                        dsc_err *err)
{
    *at = 0;
    if (!row->ttl_seconds)
        return true;
    struct session *const session = session_find(sessions, row->id);
    if (session)
        *at = used_in_memory(session);
    else if (!session_used_at(sessions, row, at, err))
        return false;
    session_drop(sessions, session);
    *at += row->ttl_seconds * 1000;
    return true;
}

bool session_check_expiry(const struct sessions *sessions, struct session *session, dsc_err *err)
{
    return !session->ttl_ms ||
           !session_has_expired(sessions, used_in_memory(session) + session->ttl_ms) ||
           dsc_fail(err, FAULT_SESSION_EXPIRED, "", "the session %.40s has expired", session->id);
}

/* --- removing --- */

/* Remove the session of a row that was due by its used_at, or tell the row when it was last used.
 */
static bool sweep(struct sessions *sessions, const struct session_row *row, int64_t then,
                  dsc_err *err)
{
    int64_t expires_at;

    if (!session_expires_at(sessions, row, &expires_at, err))
        return false;
    if (expires_at > then)
        return store_session_used(sessions->means.store, row->id,
                                  expires_at - row->ttl_seconds * 1000, err);
    if (!session_delete_row(sessions, row, err))
        return false;
    session_table_count_expired(sessions);
    return true;
}

/* All of them, also when one cannot be removed. Deleted by a client meanwhile is just as well. */
static bool sweep_all(struct sessions *sessions, const struct session_row *row, size_t count,
                      int64_t then, dsc_err *err)
{
    bool ok = true;

    for (size_t i = 0; i < count; i++) {
        dsc_err one = {0};
        if (sweep(sessions, &row[i], then, &one) || one.code == FAULT_NOT_FOUND)
            continue;
        *err = one;
        ok = false;
    }
    return ok;
}

bool sessions_sweep(struct sessions *sessions)
{
    const int64_t then = session_now(sessions) - (int64_t)LIMIT_EXPIRED_SECONDS * 1000;
    struct session_row *row = NULL;
    size_t count = 0;
    dsc_arena arena;
    dsc_err err = {0};

    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    const bool ok = store_session_unused(sessions->means.store, then, LIMIT_SWEEP_SESSIONS, &row,
                                         &count, &arena, &err) &&
                    sweep_all(sessions, row, count, then, &err);
    dsc_arena_release(&arena);
    if (!ok)
        log_line(LOG_WARN, "session_sweep", "expired sessions stay for now: %s", err.text);
    return ok && count == LIMIT_SWEEP_SESSIONS;
}
