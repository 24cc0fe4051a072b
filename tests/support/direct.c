#include "direct.h"
#include "disk.h"

#include "server/openapi.h"

#include <assert.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A request on its way; the server sees its first member. */
struct sent {
    struct request request;
    const struct direct_request *from;
    struct reply reply;
    sem_t answered; /* by this thread, or by the committer's */
};

/* The prototypes that -Wmissing-prototypes asks for; the linker is the only caller. */
const char *__wrap_http_header(const struct request *request, const char *name);
const char *__wrap_http_query(const struct request *request, const char *name);
void __wrap_http_query_each(const struct request *request, http_visit *visit, void *arg);
void __wrap_http_reply(struct request *request, struct reply *reply);
bool __wrap_pool_submit(struct pool *pool, struct task *task);
void __wrap_pool_follow(struct pool *pool, struct task *task);
int __wrap_pool_threads(const struct pool *pool);
size_t __wrap_pool_waiting(struct pool *pool);

/* --- the gateway --- */

static const char *value_of(const struct direct_pair *pair, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(pair[i].name, name) == 0)
            return pair[i].value;
    return NULL;
}

const char *__wrap_http_header(const struct request *request, const char *name)
{
    const struct direct_request *const from = ((const struct sent *)(const void *)request)->from;

    return value_of(from->header, from->headers, name);
}

const char *__wrap_http_query(const struct request *request, const char *name)
{
    const struct direct_request *const from = ((const struct sent *)(const void *)request)->from;

    return value_of(from->query, from->queries, name);
}

void __wrap_http_query_each(const struct request *request, http_visit *visit, void *arg)
{
    const struct direct_request *const from = ((const struct sent *)(const void *)request)->from;

    for (size_t i = 0; i < from->queries; i++)
        visit(arg, from->query[i].name, from->query[i].value);
}

void __wrap_http_reply(struct request *request, struct reply *reply)
{
    struct sent *const sent = (struct sent *)(void *)request;

    assert(sent->reply.status == 0 && reply->status != 0); /* exactly once */
    sent->reply = *reply;
    sent->reply.stream = NULL; /* nobody is there to read it */
    reply->body = NULL;
    stream_lose(reply->stream);
    reply->stream = NULL;
    sem_post(&sent->answered);
}

/* --- the pools: a task runs where it is submitted; such a pool is nothing but its scratch --- */

bool __wrap_pool_submit(struct pool *pool, struct task *task)
{
    __wrap_pool_follow(pool, task);
    return true;
}

void __wrap_pool_follow(struct pool *pool, struct task *task)
{
    task->run(task, (float *)(void *)pool);
}

size_t __wrap_pool_waiting(struct pool *pool)
{
    (void)pool;
    return 0;
}

int __wrap_pool_threads(const struct pool *pool)
{
    (void)pool;
    return 3; /* more than one range, and no power of two */
}

/* --- a request --- */

static size_t lengths(const struct direct_request *from)
{
    size_t count = 0;

    for (size_t i = 0; i < from->headers; i++)
        count += strcasecmp(from->header[i].name, "Content-Length") == 0;
    return count;
}

/* A body as the gateway hands it over: followed by a NUL. */
static struct buf *body_of(const struct direct_request *from)
{
    struct buf *const body = buf_new(from->body_len + 1);

    assert(body);
    if (from->body_len)
        memcpy(body->data, from->body, from->body_len);
    body->data[body->len = from->body_len] = '\0';
    return body;
}

void direct_ask(struct direct *direct, const struct direct_request *from, struct reply *reply)
{
    struct sent sent = {
        .request = {.method = from->method,
                    .path = from->path,
                    .content_length = from->body_len,
                    .has_length = from->body_len > 0 || lengths(from) > 0,
                    .ambiguous_length = lengths(from) > 1,
                    .id = "direct"},
        .from = from,
    };

    sem_init(&sent.answered, 0, 0);
    if (route_begin(&direct->app, &sent.request)) {
        if (from->body_len)
            sent.request.body = body_of(from);
        route_serve(&direct->app, &sent.request);
    }
    while (sem_wait(&sent.answered) != 0)
        ;
    route_done(&direct->app, &sent.request);
    buf_drop(sent.request.body);
    sem_destroy(&sent.answered);
    *reply = sent.reply;
}

/* --- life --- */

bool direct_open(struct direct *direct, dsc_err *err)
{
    struct app *const app = &direct->app;

    *direct = (struct direct) {.app = {.kernel = dsc_kernel_best()}};
    app->compute = app->control = (struct pool *)(void *)dsc_work_new();
    app->scratch = (float *)(void *)app->compute;
    if (!app->compute)
        return dsc_fail(err, DSC_ENOMEM, "", "no memory for scratch");
    snprintf(direct->dir, sizeof direct->dir, "%s/descent-direct-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(direct->dir)) {
        direct->dir[0] = '\0';
        return dsc_fail(err, DSC_EINVAL, "", "cannot make %s", direct->dir);
    }
    return store_open(&app->store, direct->dir, err) &&
           journal_open(&app->journal, direct->dir, NULL, err) &&
           registry_open(&app->registry, app->store, app->kernel, err) &&
           sessions_open(&app->sessions,
                         &(struct session_means) {.store = app->store,
                                                  .journal = app->journal,
                                                  .registry = app->registry,
                                                  .compute = app->compute,
                                                  .memory_budget = (size_t)64 << 20},
                         err) &&
           metrics_open(&app->metrics, route_count(), err) && openapi_make(&app->openapi, err) &&
           idempotency_open(&app->idempotency, app->store, err) &&
           keyring_open(&app->keyring,
                        &(struct keyring_options) {.dir = direct->dir, .store = app->store}, err) &&
           collection_open(&app->collection,
                           &(struct collection_means) {.dir = direct->dir, .store = app->store},
                           err) &&
           watchers_open(&app->watchers,
                         &(struct watch_means) {app->store, app->control, .silent = true}, err) &&
           jobs_open(&app->jobs,
                     &(struct jobs_means) {.store = app->store,
                                           .registry = app->registry,
                                           .watchers = app->watchers,
                                           .collection = app->collection,
                                           .kernel = app->kernel},
                     err);
}

void direct_close(struct direct *direct)
{
    static const char *const files[] = {"descent.db", "descent.db-wal", "descent.db-shm",
                                        "bulk.db",    "bulk.db-wal",    "bulk.db-shm"};
    char path[128];

    jobs_close(direct->app.jobs);
    watchers_close(direct->app.watchers);
    journal_close(direct->app.journal);
    sessions_close(direct->app.sessions);
    registry_close(direct->app.registry);
    keyring_close(direct->app.keyring);
    collection_close(direct->app.collection);
    idempotency_close(direct->app.idempotency);
    metrics_close(direct->app.metrics);
    buf_drop(direct->app.openapi);
    store_close(direct->app.store);
    dsc_work_free((float *)(void *)direct->app.compute);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", direct->dir, files[i]);
        unlink(path);
    }
    disk_remove_uploads(direct->dir);
    rmdir(direct->dir);
}
