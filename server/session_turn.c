/* session_turn.c -- one request of a session at a time, in the order in which they came
 *
 * Who finds the turn taken gets into a bounded line. A step that waits there costs no thread:
 * whoever gives the turn back puts the first of the line on the pool. A thread that has to wait (a
 * reset, a deletion) stands in the same line and sleeps. */
#include "session_impl.h"
#include "fault.h"
#include "limits.h"

/* The session's lock is held. False when the line is full. */
static bool get_in_line(struct session *session, struct session_place *place)
{
    if (session->in_line >= LIMIT_TURN_QUEUE)
        return false;
    place->next = NULL;
    *(session->first ? &session->last->next : &session->first) = place;
    session->last = place;
    session->in_line++;
    return true;
}

enum session_turn session_turn_take(struct session *session, struct session_place *place)
{
    enum session_turn turn = TURN_MINE;

    pthread_mutex_lock(&session->lock);
    if (session->busy)
        turn = get_in_line(session, place) ? TURN_LATER : TURN_FULL;
    session->busy = true;
    pthread_mutex_unlock(&session->lock);
    return turn;
}

bool session_turn_wait(struct session *session, dsc_err *err)
{
    struct session_place place = {.task = NULL};
    const enum session_turn turn = session_turn_take(session, &place);

    if (turn == TURN_FULL)
        return dsc_fail(err, FAULT_OVERLOADED, "",
                        "too many requests wait for this session; try again");
    pthread_mutex_lock(&session->lock);
    while (turn == TURN_LATER && !place.mine)
        pthread_cond_wait(&session->turn, &session->lock);
    pthread_mutex_unlock(&session->lock);
    return true;
}

void session_turn_release(struct session *session, struct pool *pool)
{
    struct task *task = NULL;

    pthread_mutex_lock(&session->lock);
    struct session_place *const first = session->first;
    if (first) {
        session->first = first->next;
        session->in_line--;
        task = first->task;
        first->mine = true; /* the last touch of a sleeping thread's place */
        pthread_cond_broadcast(&session->turn);
    } else {
        session->busy = false;
    }
    pthread_mutex_unlock(&session->lock);
    if (task)
        pool_follow(pool, task);
}

void session_forget(struct sessions *sessions, struct session *session)
{
    session->stale = true;
    session_table_remove(sessions, session);
}

bool session_here(const struct session *session, dsc_err *err)
{
    if (session->gone)
        return dsc_fail(err, FAULT_NOT_FOUND, "", "there is no session %s", session->id);
    if (session->stale)
        return dsc_fail(err, FAULT_OVERLOADED, "", "the session is being loaded again; try again");
    return true;
}
