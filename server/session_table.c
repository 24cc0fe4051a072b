/* session_table.c -- which sessions are in memory, found by id and forgotten by age
 *
 * A hash table with a list by last use. The table has a count of its own of each session; one that
 * only the table holds may leave when the budget is needed for another. Freed is whoever's last
 * count goes. */
#include "session_impl.h"
#include "fault.h"
#include <stdlib.h>
#include <string.h>

static struct session **bucket_of(struct sessions *sessions, const char *id)
{
    uint32_t hash = 2166136261u; /* FNV-1a; ids are random */

    for (const char *c = id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &sessions->bucket[hash % SESSION_BUCKETS];
}

void session_free(struct session *session)
{
    if (!session)
        return;
    groups_free(session->groups);
    buf_drop(session->gradient);
    buf_drop(session->update);
    buf_drop(session->past);
    pthread_cond_destroy(&session->turn);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

/* --- the list by last use, of those that may leave; the table's lock is held --- */

static bool may_leave(const struct session *session)
{
    return session->durability != DURABILITY_MEMORY;
}

static void list_remove(struct sessions *sessions, struct session *session)
{
    if (!may_leave(session))
        return;
    *(session->newer ? &session->newer->older : &sessions->newest) = session->older;
    *(session->older ? &session->older->newer : &sessions->oldest) = session->newer;
}

static void list_add(struct sessions *sessions, struct session *session)
{
    if (!may_leave(session))
        return;
    session->newer = NULL;
    session->older = sessions->newest;
    *(sessions->newest ? &sessions->newest->newer : &sessions->oldest) = session;
    sessions->newest = session;
}

static void unlink_session(struct sessions *sessions, struct session *session)
{
    struct session **at = bucket_of(sessions, session->id);

    while (*at != session)
        at = &(*at)->next;
    *at = session->next;
    list_remove(sessions, session);
    session->linked = false;
    session->holders--;
    sessions->usage.count--;
    sessions->usage.bytes -= session->bytes;
}

static struct session *find(struct sessions *sessions, const char *id)
{
    struct session *session = *bucket_of(sessions, id);

    while (session && strcmp(session->id, id) != 0)
        session = session->next;
    return session;
}

/* --- the budget --- */

/* Unlink the sessions that must leave for `bytes` more, oldest first, as a chain by `next`; NULL
 * when none has to. Those in use stay. */
static struct session *evict(struct sessions *sessions, size_t bytes)
{
    struct session *gone = NULL;

    for (struct session *at = sessions->oldest, *newer; at; at = newer) {
        newer = at->newer;
        if (sessions->usage.bytes + bytes <= sessions->usage.bytes_budget)
            break;
        if (at->holders > 1)
            continue;
        unlink_session(sessions, at);
        sessions->usage.evicted++;
        at->next = gone;
        gone = at;
    }
    return gone;
}

static void free_chain(struct session *session)
{
    while (session) {
        struct session *const next = session->next;

        session_free(session);
        session = next;
    }
}

/* --- what others call --- */

struct session *session_find(struct sessions *sessions, const char *id)
{
    pthread_mutex_lock(&sessions->lock);
    struct session *session = find(sessions, id);
    if (session) {
        session->holders++;
        list_remove(sessions, session);
        list_add(sessions, session);
    }
    pthread_mutex_unlock(&sessions->lock);
    return session;
}

void session_drop(struct sessions *sessions, struct session *session)
{
    if (!session)
        return;
    pthread_mutex_lock(&sessions->lock);
    bool last = --session->holders == 0;
    pthread_mutex_unlock(&sessions->lock);
    if (last)
        session_free(session);
}

/* The first session may be larger than the budget: better served than refused for ever. */
static bool fits(const struct session_usage *usage, size_t bytes)
{
    return usage->count == 0 || usage->bytes + bytes <= usage->bytes_budget;
}

static void link_session(struct sessions *sessions, struct session *session)
{
    struct session **const head = bucket_of(sessions, session->id);

    session->next = *head;
    *head = session;
    list_add(sessions, session);
    session->linked = true;
    session->holders += 2; /* the table's and the caller's */
    sessions->usage.count++;
    sessions->usage.bytes += session->bytes;
}

bool session_table_add(struct sessions *sessions, struct session *session, struct session **out,
                       dsc_err *err)
{
    struct session *gone = NULL;

    pthread_mutex_lock(&sessions->lock);
    *out = find(sessions, session->id);
    if (*out) {
        (*out)->holders++;
    } else {
        gone = evict(sessions, session->bytes);
        if (fits(&sessions->usage, session->bytes)) {
            link_session(sessions, session);
            *out = session;
        }
    }
    pthread_mutex_unlock(&sessions->lock);
    free_chain(gone);
    return *out || dsc_fail(err, FAULT_OUT_OF_MEMORY, "",
                            "the sessions in use take all of the memory budget; try again");
}

void session_table_remove(struct sessions *sessions, struct session *session)
{
    pthread_mutex_lock(&sessions->lock);
    if (session->linked)
        unlink_session(sessions, session);
    pthread_mutex_unlock(&sessions->lock);
}

void session_table_count_load(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    sessions->usage.loaded++;
    pthread_mutex_unlock(&sessions->lock);
}

void session_table_count_expired(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    sessions->usage.expired++;
    pthread_mutex_unlock(&sessions->lock);
}

struct session_usage sessions_usage(struct sessions *sessions)
{
    pthread_mutex_lock(&sessions->lock);
    const struct session_usage usage = sessions->usage;
    pthread_mutex_unlock(&sessions->lock);
    return usage;
}
