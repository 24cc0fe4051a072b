#include "served.h"
#include "contract.h"
#include "disk.h"
#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_server(const struct served *served, int out)
{
    const char *program = getenv("DESCENT_BIN");
    const char *argv[32] = {"descent", "serve", "--listen", "127.0.0.1:0", "--data", served->dir};
    int argc = 6;

    if (!program)
        program = "build/descent";
    for (int i = 0; served->flags && served->flags[i] && argc < 31; i++)
        argv[argc++] = served->flags[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* no server outlives its test */
    dup2(out, STDOUT_FILENO);
    if (!freopen(served->log ? served->log : "/dev/null", "a", stderr))
        _exit(126);
    execv(program, (char *const *)argv);
    _exit(127);
}

bool served_start(struct served *served)
{
    char line[256];
    int pipes[2];

    if (!served->dir[0]) {
        strcpy(served->dir, "/tmp/descent-test-XXXXXX");
        if (!mkdtemp(served->dir))
            return false;
    }
    if (pipe(pipes) != 0 || (served->pid = fork()) < 0)
        return false;
    if (served->pid == 0)
        run_server(served, pipes[1]);
    close(pipes[1]);
    FILE *out = fdopen(pipes[0], "r");
    const char *colon = out && fgets(line, sizeof line, out) ? strrchr(line, ':') : NULL;
    served->port = colon ? atoi(colon + 1) : 0;
    if (out)
        fclose(out);
    return served->port > 0;
}

bool served_kill(struct served *served)
{
    return kill(served->pid, SIGKILL) == 0 && waitpid(served->pid, NULL, 0) == served->pid;
}

bool served_stop(struct served *served)
{
    static const char *const files[] = {"lock",           "descent.db", "descent.db-wal",
                                        "descent.db-shm", "bulk.db",    "bulk.db-wal",
                                        "bulk.db-shm"};
    char path[128];
    int status = -1;

    kill(served->pid, SIGTERM);
    waitpid(served->pid, &status, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", served->dir, files[i]);
        unlink(path);
    }
    disk_remove_uploads(served->dir);
    rmdir(served->dir);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        fd = -1;
    }
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

/* Everything until the server closes; the request asked it to. */
static size_t read_all(int fd, char *out, size_t size)
{
    size_t len = 0;

    for (ssize_t got; len < size - 1 && (got = read(fd, out + len, size - 1 - len)) > 0;)
        len += (size_t)got;
    out[len] = '\0';
    return len;
}

int served_ask_whole(const struct served *served, const char *method, const char *path,
                     const char *body, char *reply, size_t reply_size)
{
    char head[1024];
    int status = -1, fd = connect_to(served->port);

    reply[0] = '\0';
    if (fd < 0)
        return -1;
    const int head_len =
        snprintf(head, sizeof head,
                 "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 "%s%s%s%sContent-Length: %zu\r\n\r\n",
                 method, path, served->key ? "Authorization: Bearer " : "",
                 served->key ? served->key : "", served->key ? "\r\n" : "",
                 body ? "Content-Type: application/json\r\n" : "", body ? strlen(body) : 0);
    if (send_all(fd, head, (size_t)head_len) && (!body || send_all(fd, body, strlen(body)))) {
        const size_t len = read_all(fd, reply, reply_size);
        const char *const end = strstr(reply, "\r\n\r\n");
        if (!end || sscanf(reply, "HTTP/1.1 %d", &status) != 1)
            status = -1;
        else if (len < reply_size - 1) /* otherwise it was cut */
            contract_check(method, path, reply, end + 4, len - (size_t)(end + 4 - reply));
    }
    close(fd);
    return status;
}

int served_ask(const struct served *served, const char *method, const char *path, const char *body,
               char *reply, size_t reply_size)
{
    enum { HEADERS_MAX = 4096 };
    char *whole = malloc(HEADERS_MAX + reply_size);
    int status = -1;

    reply[0] = '\0';
    if (whole)
        status = served_ask_whole(served, method, path, body, whole, HEADERS_MAX + reply_size);
    if (status >= 0)
        snprintf(reply, reply_size, "%s", strstr(whole, "\r\n\r\n") + 4);
    free(whole);
    return status;
}
