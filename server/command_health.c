/* command_health.c -- `descent health`: is a server ready? For a container's health check
 *
 * A request by hand over one socket: the image needs no other program for it. The deadline is an
 * alarm, so that it covers names that do not resolve as well as answers that do not come. */
#include "command.h"
#include "fault.h"
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct target {
    char host[256], port[8], path[256];
};

/* "http://HOST:PORT[/path]" */
static bool parse_url(struct target *out, const char *url, dsc_err *err)
{
    int end = 0;

    *out = (struct target) {.port = "80"};
    if (sscanf(url, "http://[%255[0-9a-fA-F:.]]%n", out->host, &end) != 1 || end == 0)
        if (sscanf(url, "http://%255[0-9a-zA-Z.-]%n", out->host, &end) != 1)
            return dsc_fail(err, FAULT_INVALID_VALUE, "--url",
                            "must be http://HOST:PORT, not \"%.60s\"", url);
    const char *rest = url + end;
    if (*rest == ':') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits < 1 || digits > 5 || atoi(rest + 1) < 1 || atoi(rest + 1) > 65535)
            return dsc_fail(err, FAULT_INVALID_VALUE, "--url",
                            "must have a port in [1, 65535], not \"%.60s\"", url);
        snprintf(out->port, sizeof out->port, "%.*s", (int)digits, rest + 1);
        rest += 1 + digits;
    }
    size_t len = strlen(rest);
    while (len > 0 && rest[len - 1] == '/')
        len--;
    if ((len > 0 && rest[0] != '/') || len >= sizeof out->path || strpbrk(rest, " \t\r\n?#"))
        return dsc_fail(err, FAULT_INVALID_VALUE, "--url",
                        "must be http://HOST:PORT, not \"%.60s\"", url);
    snprintf(out->path, sizeof out->path, "%.*s", (int)len, rest);
    return true;
}

/* A server that listens on every address is asked on loopback. */
static bool target_of(struct target *out, const struct config *config, dsc_err *err)
{
    const char *host = config->listen.host;

    if (config->url)
        return parse_url(out, config->url, err);
    host = strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
    snprintf(out->host, sizeof out->host, "%s", host);
    snprintf(out->port, sizeof out->port, "%u", (unsigned)config->listen.port);
    out->path[0] = '\0';
    return true;
}

static int connect_to(const struct target *target, dsc_err *err)
{
    struct addrinfo *list = NULL;
    int fd = -1, rc = getaddrinfo(target->host, target->port,
                                  &(struct addrinfo) {.ai_socktype = SOCK_STREAM}, &list);

    for (struct addrinfo *at = list; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            rc = errno;
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0)
        dsc_fail(err, FAULT_INTERNAL, "health", "cannot reach %.60s port %s: %s", target->host,
                 target->port, list ? strerror(rc) : gai_strerror(rc));
    if (list)
        freeaddrinfo(list);
    return fd;
}

static bool send_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* The status line's number, or 0. */
static int ask(int fd, const struct target *target)
{
    char text[1024];
    size_t len = 0;
    int status = 0;

    int size = snprintf(text, sizeof text,
                        "GET %s/readyz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                        target->path, target->host);
    if (!send_all(fd, text, (size_t)size))
        return 0;
    for (ssize_t got; len < sizeof text - 1 && !memchr(text, '\n', len) &&
                      (got = read(fd, text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)got;
    text[len] = '\0';
    return sscanf(text, "HTTP/1.%*1d %3d", &status) == 1 ? status : 0;
}

static void too_late(int signal)
{
    static const char text[] = "descent: health: no answer in time (--timeout-seconds)\n";

    (void)signal;
    _exit(write(STDERR_FILENO, text, sizeof text - 1) < 0 ? 1 : 1);
}

static int health(const struct config *config)
{
    struct target target;
    dsc_err err = {0};

    if (!target_of(&target, config, &err))
        return command_misused(&command_health, &err);
    signal(SIGALRM, too_late);
    alarm((unsigned)config->timeout_seconds);
    int fd = connect_to(&target, &err);
    int status = fd >= 0 ? ask(fd, &target) : 0;
    if (fd >= 0)
        close(fd);
    if (status == 200)
        return 0;
    if (status)
        dsc_fail(&err, FAULT_INTERNAL, "health", "%.60s port %s is not ready: it answers %d",
                 target.host, target.port, status);
    else
        dsc_fail(&err, FAULT_INTERNAL, "health", "%.60s port %s does not answer HTTP", target.host,
                 target.port); /* unless it could not be reached: the first failure wins */
    return command_failed(&err);
}

const struct command command_health = {
    .name = "health",
    .summary = "ask a server whether it is ready",
    .options = (const char *const[]) {"listen", "url", "timeout-seconds", NULL},
    .about = "Asks GET /readyz and says nothing when the answer is 200: the container's\n"
             "health check. No key is needed.\n",
    .examples = "  descent health --listen 127.0.0.1:8080\n"
                "  descent health --url http://descent.example:8080 --timeout-seconds 1\n",
    .run = health,
};
