/* watch.c -- each client's place in a job's events
 *
 *              watchers_wake, room                     page is full
 *     IDLE ------------------------> BUSY (in the pool) <-----+
 *      ^                               |   |__________________|
 *      +-------------------------------+
 *           nothing more, or no room
 *
 * Whatever happens while a watcher is busy sets `again`, and it looks once more before it is idle,
 * so no event is missed. A client that left makes it free itself: at once when idle, else at the
 * end of its turn. Events are read after the job's state: when that is an end, they are all there.
 *
 * Locks, in order: watchers, stream. */
#include "watch.h"
#include "clock.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 64 };

struct watcher {
    struct task task; /* first: the pool hands it back */
    struct watchers *all;
    struct watcher *previous, *next;
    struct stream *stream;
    int64_t job, after;
    _Atomic uint64_t spoke_ns; /* when the client last got something */
    bool busy, again, gone;    /* under the lock */
};

struct watchers {
    struct watch_means means;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct watcher *first;
    size_t count;
    bool closing, ticking;
    pthread_t ticker;
};

/* --- one watcher's turn --- */

static bool write_event(struct watcher *watcher, const struct event_row *event)
{
    char text[LIMIT_EVENT_BYTES + 128];
    const int len = snprintf(text, sizeof text, "id: %" PRId64 "\nevent: %s\ndata: %s\n\n",
                             event->id, event_kind_words[event->kind], event->data);

    if (!stream_write(watcher->stream, text, (size_t)len))
        return false;
    watcher->after = event->id;
    atomic_store(&watcher->spoke_ns, clock_ns());
    return true;
}

/* The next events. *more: there may be others, and room for them. */
static bool write_page(struct watcher *watcher, dsc_arena *arena, bool *more, dsc_err *err)
{
    struct store *const store = watcher->all->means.store;
    struct event_row *events;
    enum job_state state;
    size_t count;

    *more = false;
    if (!store_job_state(store, watcher->job, &state, err) ||
        !store_event_list(store, watcher->job, watcher->after, PAGE, &events, &count, arena, err))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!write_event(watcher, &events[i]))
            return true;
    *more = count == PAGE;
    if (!*more && job_is_over(state))
        stream_end(watcher->stream);
    return true;
}

static void leave(struct watcher *watcher)
{
    struct watchers *const all = watcher->all;

    *(watcher->previous ? &watcher->previous->next : &all->first) = watcher->next;
    if (watcher->next)
        watcher->next->previous = watcher->previous;
    all->count--;
    stream_drop(watcher->stream);
    free(watcher);
}

/* The turn is over: go on, rest, or go. */
static void settle(struct watcher *watcher, bool more)
{
    struct watchers *const all = watcher->all;

    pthread_mutex_lock(&all->lock);
    const bool again = (watcher->again || more) && !watcher->gone;
    watcher->again = false;
    if (watcher->gone)
        leave(watcher);
    else
        watcher->busy = again;
    pthread_mutex_unlock(&all->lock);
    if (again)
        pool_follow(all->means.pool, &watcher->task);
}

static void take_turn(struct task *task, float *work)
{
    struct watcher *const watcher = (struct watcher *)(void *)task; /* its first member */
    dsc_arena arena;
    dsc_err err = {0};
    bool more;

    (void)work;
    dsc_arena_init(&arena, LIMIT_ARENA_BYTES);
    if (!write_page(watcher, &arena, &more, &err)) {
        log_line(LOG_ERROR, "watch", "%s", err.text);
        stream_end(watcher->stream); /* the client will ask again, from where it is */
    }
    dsc_arena_release(&arena);
    settle(watcher, more);
}

/* Under the lock. True when the caller is to submit it, having given the lock back: a watcher that
 * is busy stays. At most LIMIT_WATCHERS tasks wait because of this. */
static bool wake(struct watcher *watcher)
{
    watcher->again = watcher->busy;
    if (watcher->busy)
        return false;
    watcher->busy = true;
    return true;
}

/* --- what its stream says --- */

static void on_room(void *watcher_)
{
    struct watcher *const watcher = watcher_;

    pthread_mutex_lock(&watcher->all->lock);
    const bool idle = wake(watcher);
    pthread_mutex_unlock(&watcher->all->lock);
    if (idle)
        pool_follow(watcher->all->means.pool, &watcher->task);
}

static void on_gone(void *watcher_)
{
    struct watcher *const watcher = watcher_;
    struct watchers *const all = watcher->all;

    pthread_mutex_lock(&all->lock);
    watcher->gone = true;
    if (!watcher->busy)
        leave(watcher);
    pthread_mutex_unlock(&all->lock);
}

/* --- all of them --- */

static bool enter(struct watchers *all, struct watcher *watcher)
{
    pthread_mutex_lock(&all->lock);
    const bool room = all->count < LIMIT_WATCHERS;
    if (room) {
        all->count++;
        watcher->next = all->first;
        if (all->first)
            all->first->previous = watcher;
        all->first = watcher;
        (void)wake(watcher);
        pthread_cond_signal(&all->changed);
    }
    pthread_mutex_unlock(&all->lock);
    if (room)
        pool_follow(all->means.pool, &watcher->task);
    return room;
}

bool watch_job(struct watchers *watchers, int64_t job, int64_t after, struct stream **out,
               dsc_err *err)
{
    struct watcher *const watcher = calloc(1, sizeof *watcher);
    struct stream *const stream =
        watcher ? stream_new(&(struct stream_calls) {on_room, on_gone, watcher}) : NULL;

    if (!stream) {
        free(watcher);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for one more client to follow it");
    }
    *watcher = (struct watcher) {.task.run = take_turn,
                                 .all = watchers,
                                 .stream = stream,
                                 .job = job,
                                 .after = after,
                                 .spoke_ns = clock_ns()};
    *out = stream_hold(stream); /* before it can end */
    if (enter(watchers, watcher))
        return true;
    *out = NULL;
    stream_drop(stream);
    stream_drop(stream);
    free(watcher);
    return dsc_fail(err, FAULT_OVERLOADED, "", "%d clients follow events, as many as may",
                    LIMIT_WATCHERS);
}

void watchers_wake(struct watchers *watchers, int64_t job)
{
    struct watcher *idle[LIMIT_WATCHERS];
    size_t count = 0;

    pthread_mutex_lock(&watchers->lock);
    for (struct watcher *watcher = watchers->first; watcher; watcher = watcher->next)
        if (watcher->job == job && wake(watcher))
            idle[count++] = watcher;
    pthread_mutex_unlock(&watchers->lock);
    for (size_t i = 0; i < count; i++)
        pool_follow(watchers->means.pool, &idle[i]->task);
}

void watchers_tick(struct watchers *watchers, uint64_t now)
{
    const uint64_t silence = LIMIT_WATCH_SECONDS * UINT64_C(1000000000);

    pthread_mutex_lock(&watchers->lock);
    for (struct watcher *watcher = watchers->first; watcher; watcher = watcher->next)
        if (now >= atomic_load(&watcher->spoke_ns) + silence) {
            (void)stream_write(watcher->stream, ":\n\n", 3); /* a full one has something to read */
            atomic_store(&watcher->spoke_ns, now);
        }
    pthread_mutex_unlock(&watchers->lock);
}

size_t watchers_count(struct watchers *watchers)
{
    pthread_mutex_lock(&watchers->lock);
    const size_t count = watchers->count;
    pthread_mutex_unlock(&watchers->lock);
    return count;
}

/* --- the ticker --- */

/* A second, or until there is somebody to tick for. False when it is over. */
static bool wait_a_second(struct watchers *watchers)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&watchers->lock);
    while (!watchers->closing && watchers->count == 0)
        pthread_cond_wait(&watchers->changed, &watchers->lock);
    while (!watchers->closing &&
           pthread_cond_timedwait(&watchers->changed, &watchers->lock, &until) == 0)
        ;
    const bool closing = watchers->closing;
    pthread_mutex_unlock(&watchers->lock);
    return !closing;
}

static void *run(void *watchers)
{
    while (wait_a_second(watchers))
        watchers_tick(watchers, clock_ns());
    return NULL;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

bool watchers_open(struct watchers **out, const struct watch_means *means, dsc_err *err)
{
    struct watchers *const watchers = calloc(1, sizeof *watchers);

    if (!watchers)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for watchers");
    watchers->means = *means;
    pthread_mutex_init(&watchers->lock, NULL);
    init_condition(&watchers->changed);
    watchers->ticking =
        !means->silent && pthread_create(&watchers->ticker, NULL, run, watchers) == 0;
    if (!watchers->ticking && !means->silent) {
        watchers_close(watchers);
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "cannot start the thread of comments");
    }
    *out = watchers;
    return true;
}

void watchers_close(struct watchers *watchers)
{
    if (!watchers)
        return;
    pthread_mutex_lock(&watchers->lock);
    watchers->closing = true;
    pthread_cond_broadcast(&watchers->changed);
    pthread_mutex_unlock(&watchers->lock);
    if (watchers->ticking)
        pthread_join(watchers->ticker, NULL);
    pthread_cond_destroy(&watchers->changed);
    pthread_mutex_destroy(&watchers->lock);
    free(watchers);
}
