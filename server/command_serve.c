/* command_serve.c -- `descent serve`: wiring and lifetime of the server */
#include "command.h"
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "openapi.h"
#include "routes.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Threads for requests that may wait for a disk. */
enum { CONTROL_THREADS = 4 };

/* --- what the settings mean here --- */

static bool check_config(const struct config *config, dsc_err *err)
{
    struct stat status;

    if (config->require_keys && config->insecure_no_keys)
        return dsc_fail(err, FAULT_INVALID_VALUE, "--require-keys",
                        "and --insecure-no-keys contradict each other");
    if (strcmp(config->kernel, "auto") != 0 && !dsc_kernel_find(config->kernel))
        return dsc_fail(err, FAULT_INVALID_VALUE, "--kernel",
                        "this processor has no kernel \"%.40s\"", config->kernel);
    if (config->data_dir && (stat(config->data_dir, &status) != 0 || !S_ISDIR(status.st_mode)))
        return dsc_fail(err, FAULT_INVALID_VALUE, "--data-dir", "%.100s is no folder",
                        config->data_dir);
    return true;
}

static bool keys_required(const struct config *config)
{
    return config->require_keys || !(config->listen.loopback || config->insecure_no_keys);
}

static int compute_threads(const struct config *config)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    return config->threads ? (int)config->threads : processors < 1 ? 1 : (int)processors;
}

/* What the container may use, as version 2 of Linux's control groups says; SIZE_MAX: no bound. */
static size_t container_bytes(void)
{
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "r");
    unsigned long long bytes = 0;
    bool bounded = file && fscanf(file, "%llu", &bytes) == 1; /* or the word "max" */

    if (file)
        fclose(file);
    return bounded ? (size_t)bytes : SIZE_MAX;
}

/* Half by default: the rest is for requests in flight, weights and the page cache. */
static size_t session_bytes(const struct config *config)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t machine = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : (size_t)2 << 30;
    const size_t container = container_bytes();

    if (config->memory_mb)
        return (size_t)config->memory_mb << 20;
    return (container < machine ? container : machine) / 2;
}

/* --- life --- */

static bool app_open(struct app *app, const struct config *config, dsc_err *err)
{
    app->kernel =
        strcmp(config->kernel, "auto") == 0 ? dsc_kernel_best() : dsc_kernel_find(config->kernel);
    app->scratch = dsc_work_new();
    if (!app->scratch)
        return dsc_fail(err, FAULT_OUT_OF_MEMORY, "", "no memory for the network thread");
    return metrics_open(&app->metrics, route_count(), err) && openapi_make(&app->openapi, err) &&
           probe_open(&app->probe, getenv("DESCENT_PROBE"), err) &&
           store_open(&app->store, config->data, err) &&
           journal_open(&app->journal, config->data, app->probe, err) &&
           idempotency_open(&app->idempotency, app->store, err) &&
           registry_open(&app->registry, app->store, app->kernel, err) &&
           pool_open(&app->compute, compute_threads(config), err) &&
           pool_open(&app->control, CONTROL_THREADS, err) &&
           sessions_open(&app->sessions,
                         &(struct session_means) {.store = app->store,
                                                  .journal = app->journal,
                                                  .registry = app->registry,
                                                  .compute = app->compute,
                                                  .memory_budget = session_bytes(config)},
                         err) &&
           keyring_open(&app->keyring,
                        &(struct keyring_options) {config->data, app->store, app->control,
                                                   keys_required(config), config->api_key},
                        err) &&
           collection_open(&app->collection,
                           &(struct collection_means) {config->data, config->data_dir, app->store},
                           err) &&
           watchers_open(&app->watchers, &(struct watch_means) {app->store, app->control, false},
                         err) &&
           jobs_open(&app->jobs,
                     &(struct jobs_means) {.store = app->store,
                                           .registry = app->registry,
                                           .watchers = app->watchers,
                                           .collection = app->collection,
                                           .kernel = app->kernel,
                                           .workers = (int)config->jobs,
                                           .threads = compute_threads(config)},
                     err);
}

/* A server that asks for keys and has none could be used by nobody. The first one is shown on
 * stderr, which for a container is its log. */
static bool make_first_key(struct app *app, const struct config *config, dsc_err *err)
{
    struct key_text key;
    int64_t count;

    if (!keys_required(config) || config->api_key)
        return true;
    if (!store_key_count(app->store, &count, err))
        return false;
    if (count > 0)
        return true;
    if (!key_create(app->store, "first", SCOPE_ALL, 0, &key, err))
        return false;
    fprintf(stderr,
            "descent: there was no key yet; this one may do everything and is not shown again:\n"
            "descent: %s\n",
            key.text);
    return true;
}

/* Upstream first: jobs tell watchers, whom control serves; control hands to compute, compute to the
 * journal. */
static void app_close(struct app *app)
{
    jobs_close(app->jobs);
    pool_close(app->control);
    watchers_close(app->watchers);
    pool_close(app->compute);
    journal_close(app->journal);
    sessions_close(app->sessions);
    registry_close(app->registry);
    keyring_close(app->keyring);
    collection_close(app->collection);
    idempotency_close(app->idempotency);
    store_close(app->store);
    probe_close(app->probe);
    metrics_close(app->metrics);
    buf_drop(app->openapi);
    dsc_work_free(app->scratch);
}

/* Meanwhile this thread, which has nothing else to do, removes expired sessions. */
static int wait_for_signal(struct app *app, const sigset_t *stop)
{
    int signal = 0;

    while (signal <= 0) {
        const bool more = sessions_sweep(app->sessions);
        const struct timespec pause = {.tv_sec = more ? 0 : LIMIT_SWEEP_SECONDS};
        signal = sigtimedwait(stop, NULL, &pause);
    }
    return signal;
}

/* Say that we listen, wait to be told to stop, answer what is in flight. */
static void listen_until_stopped(struct app *app, struct http *http, const char *host,
                                 const sigset_t *stop)
{
    bool v6 = strchr(host, ':') != NULL;

    printf("descent: listening on http://%s%s%s:%u\n", v6 ? "[" : "", host, v6 ? "]" : "",
           http_port(http));
    fflush(stdout);
    log_line(LOG_INFO, "signal", "stopping on signal %d", wait_for_signal(app, stop));
    atomic_store(&app->draining, true);
    http_quiesce(http);
    jobs_halt(app->jobs);
    http_stop(http);
}

/* Blocked before any thread, all of which inherit it. It is also what makes SIGTERM arrive when we
 * are process 1 of a container: there the kernel drops signals that are neither blocked nor
 * handled. */
static void block_signals(sigset_t *stop)
{
    sigemptyset(stop);
    sigaddset(stop, SIGTERM);
    sigaddset(stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, stop, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Left alone, the allocator learns from what is freed and keeps up to 64 MB for each thread:
 * sessions that have left would still be there. A session's state goes back at once; the bodies of
 * a million coordinates, 4 MB, stay below, since fresh pages for each of them would cost more than
 * HTTP. */
static void tame_allocator(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 8 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

static int serve(const struct config *config)
{
    struct app app = {0};
    struct http *http = NULL;
    sigset_t stop;
    dsc_err err = {0};
    int lock = -1, status = 0;

    if (!check_config(config, &err))
        return command_misused(&command_serve, &err);
    log_set_level((enum log_level)config->log_level);
    config_warn();
    tame_allocator();
    umask(0077); /* what is in the databases is nobody else's */
    block_signals(&stop);
    if (!store_lock_dir(config->data, &lock, &err) || !app_open(&app, config, &err) ||
        !make_first_key(&app, config, &err) ||
        !http_start(&http,
                    &(struct http_options) {config->listen.host, config->listen.port, app.probe},
                    &(struct http_calls) {.begin = route_begin,
                                          .serve = route_serve,
                                          .piece = route_piece,
                                          .done = route_done,
                                          .app = &app},
                    &err))
        status = command_failed(&err);
    else
        listen_until_stopped(&app, http, config->listen.host, &stop);
    app_close(&app);
    if (lock >= 0)
        close(lock);
    return status;
}

const struct command command_serve = {
    .name = "serve",
    .summary = "answer the HTTP API",
    .options = (const char *const[]) {"listen", "data", "data-dir", "require-keys",
                                      "insecure-no-keys", "api-key", "kernel", "threads", "jobs",
                                      "memory-mb", "log-level", NULL},
    .about = "Answers the HTTP API and keeps everything in one folder. When it is ready it\n"
             "prints one line on stdout: descent: listening on http://ADDRESS:PORT\n"
             "SIGTERM and SIGINT stop it once the requests in flight are answered.\n\n"
             "Keys: on loopback addresses none is asked for unless --require-keys is there;\n"
             "elsewhere every request needs one. A key that is sent is always checked. When\n"
             "keys are required and there is none, one with every scope is made and printed\n"
             "on stderr, once. `descent key create` makes more, as does POST /v1/keys.\n",
    .examples = "  descent serve\n"
                "  descent serve --listen 127.0.0.1:0 --data /var/lib/descent\n"
                "  DESCENT_API_KEY_FILE=/run/secrets/key descent serve --listen 0.0.0.0:8080\n"
                "  DESCENT_LOG_LEVEL=warn descent serve --config /etc/descent.conf\n",
    .run = serve,
};
