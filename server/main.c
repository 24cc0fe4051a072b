/* main.c -- the program: subcommands, wiring, lifetime */
#include "fault.h"
#include "limits.h"
#include "log.h"
#include "routes.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

/* Threads for requests that may wait for a disk. */
enum { CONTROL_THREADS = 4 };

static const char usage[] =
    "descent -- a server of learned optimizers\n\n"
    "  descent serve [--listen ADDRESS:PORT] [--data DIR] [--kernel NAME] [--insecure-no-keys]\n"
    "  descent version\n\n"
    "serve answers the HTTP API and keeps everything in DIR, which it creates.\n"
    "  --listen           127.0.0.1:8080 by default; port 0 picks one; IPv6 as [::1]:8080\n"
    "  --data             ./.descent by default\n"
    "  --kernel           x86-64-v4, x86-64-v3 or plain; the fastest this processor has by "
    "default\n"
    "  --insecure-no-keys allow listening on other than loopback addresses without keys\n\n"
    "Exit status: 0 success, 1 failure (one line on stderr), 2 wrong usage.\n";

struct options {
    char host[64];
    uint16_t port;
    const char *data;
    const dsc_kernel *kernel;
    bool no_keys;
};

static int wrong_usage(const char *what, const char *value)
{
    fprintf(stderr, "descent: %s%s%s (see descent --help)\n", what, value ? " " : "",
            value ? value : "");
    return 2;
}

static int failed(const dsc_err *err)
{
    fprintf(stderr, "descent: %s%s%s\n", err->where, err->where[0] ? ": " : "", err->text);
    return 1;
}

/* "127.0.0.1:8080" or "[::1]:8080" */
static bool parse_listen(struct options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    size_t len = colon ? (size_t)(colon - text) : 0;
    long port = colon ? strtol(colon + 1, &end, 10) : -1;

    if (len < 1 || end == colon + 1 || *end || port < 0 || port > 65535)
        return false;
    if (text[0] == '[' && text[len - 1] == ']')
        text++, len -= 2;
    if (len < 1 || len >= sizeof options->host)
        return false;
    memcpy(options->host, text, len);
    options->host[len] = '\0';
    options->port = (uint16_t)port;
    return true;
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* 0, or the exit status. */
static int parse_options(struct options *options, int argc, char **argv)
{
    parse_listen(options, "127.0.0.1:8080");
    options->data = ".descent";
    options->kernel = dsc_kernel_best();
    for (int i = 0; i < argc; i++) {
        const char *flag = argv[i];
        if (strcmp(flag, "--insecure-no-keys") == 0) {
            options->no_keys = true;
            continue;
        }
        if (strcmp(flag, "--listen") != 0 && strcmp(flag, "--data") != 0 &&
            strcmp(flag, "--kernel") != 0)
            return wrong_usage("there is no option", flag);
        if (++i == argc)
            return wrong_usage("a value is missing after", flag);
        if (strcmp(flag, "--data") == 0)
            options->data = argv[i];
        else if (strcmp(flag, "--listen") == 0 && !parse_listen(options, argv[i]))
            return wrong_usage("--listen takes ADDRESS:PORT, not", argv[i]);
        else if (strcmp(flag, "--kernel") == 0 && !(options->kernel = dsc_kernel_find(argv[i])))
            return wrong_usage("this processor has no kernel", argv[i]);
    }
    if (!is_loopback(options->host) && !options->no_keys)
        return wrong_usage("keys are required to listen on anything but loopback;"
                           " --insecure-no-keys does without on",
                           options->host);
    return 0;
}

/* One server for a data directory: a second one would be a second writer. */
static bool lock_directory(const char *dir, int *fd, dsc_err *err)
{
    char path[4096];

    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "cannot create %.80s: %s", dir,
                        strerror(errno));
    snprintf(path, sizeof path, "%s/lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "cannot open %.80s: %s", path,
                        strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
        return dsc_fail(err, FAULT_INTERNAL, "--data", "another server uses %.80s", dir);
    return true;
}

/* Half of the machine's memory: the rest is for requests in flight, weights and the page cache. */
static size_t memory_budget(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);

    return pages > 0 && bytes > 0 ? (size_t)pages / 2 * (size_t)bytes : (size_t)1 << 30;
}

static bool app_open(struct app *app, const struct options *options, dsc_err *err)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    app->kernel = options->kernel;
    return probe_open(&app->probe, getenv("DESCENT_PROBE"), err) &&
           store_open(&app->store, options->data, err) &&
           journal_open(&app->journal, options->data, app->probe, err) &&
           registry_open(&app->registry, app->store, app->kernel, err) &&
           pool_open(&app->compute, processors < 1 ? 1 : (int)processors, err) &&
           pool_open(&app->control, CONTROL_THREADS, err) &&
           sessions_open(&app->sessions,
                         &(struct session_means) {app->store, app->journal, app->registry,
                                                  app->compute, memory_budget()},
                         err);
}

/* Upstream first: control hands to compute, compute to the journal. */
static void app_close(struct app *app)
{
    pool_close(app->control);
    pool_close(app->compute);
    journal_close(app->journal);
    sessions_close(app->sessions);
    registry_close(app->registry);
    store_close(app->store);
    probe_close(app->probe);
}

static int wait_for_signal(const sigset_t *stop)
{
    int signal = 0;

    while (sigwait(stop, &signal) != 0)
        ;
    return signal;
}

static int serve(int argc, char **argv)
{
    struct options options = {0};
    struct app app = {0};
    struct http *http = NULL;
    sigset_t stop;
    dsc_err err = {0};
    int lock = -1, status = parse_options(&options, argc, argv);

    if (status != 0)
        return status;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL); /* before any thread: all inherit it */
    signal(SIGPIPE, SIG_IGN);
    if (!lock_directory(options.data, &lock, &err) || !app_open(&app, &options, &err) ||
        !http_start(&http, &(struct http_options) {options.host, options.port, app.probe},
                    &(struct http_calls) {route_begin, route_serve, route_done, &app}, &err)) {
        status = failed(&err);
    } else {
        bool v6 = strchr(options.host, ':') != NULL;
        printf("descent: listening on http://%s%s%s:%u\n", v6 ? "[" : "", options.host,
               v6 ? "]" : "", http_port(http));
        fflush(stdout);
        log_line(LOG_INFO, "signal", "stopping on signal %d", wait_for_signal(&stop));
        atomic_store(&app.draining, true);
        http_quiesce(http);
        http_stop(http);
    }
    app_close(&app);
    if (lock >= 0)
        close(lock);
    return status;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return fputs(usage, stdout) < 0;
    if (strcmp(command, "serve") == 0)
        return serve(argc - 2, argv + 2);
    if (strcmp(command, "version") == 0)
        return printf("descent %s\n", DESCENT_VERSION) < 0;
    return wrong_usage(command[0] ? "there is no command" : "a command is missing",
                       command[0] ? command : NULL);
}
